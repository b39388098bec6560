//! A tenant that never was, deterministic by seed, with known truth.
//!
//! [`Simulation`] is the settings; [`Records`] streams them as records, in the order in which they arrive: some twice, some
//! hours late, some broken. [`Truth`] says what a correct reader must find. Read on in `cast` (who plays), `plan` (what
//! happens when), `render` (how an event is written), `truth` (what is counted) and `configuration` (what the tenant exports).

mod cast;
mod configuration;
mod plan;
mod render;
mod truth;
mod write;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use cast::Cast;
pub use configuration::{Configuration, Fault};
use plan::{Event, Planner};
use truth::Tally;
pub use truth::{LEEWAY_PERCENT, Tokens, Truth, UNRECOGNISED, Users};

/// Settings of a simulation. The same settings and seed give the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    pub seed: u64,
    /// Distinct valid events, exactly.
    pub events: u64,
    /// At least one day is played.
    pub days: u32,
    /// 1 to 1000; the first is the largest.
    pub tenants: u32,
    /// Begin in UTC milliseconds; events are dated from here up to `days` later.
    pub start: i64,
    pub envelope: Envelope,
    /// Share of the events that come a second time, within the next 2000 events.
    pub duplicates: f64,
    /// Share of the events that are ingested two minutes to three hours after they happened.
    pub late: f64,
    /// Share of malformed records, 0.9 at most.
    pub malformed: f64,
    /// Users of a tenant; by default one for every 20 events, 20 to 2 million.
    pub users: Option<u64>,
}

impl Default for Simulation {
    fn default() -> Self {
        Simulation {
            seed: 1,
            events: 100_000,
            days: 30,
            tenants: 1,
            // 2026-11-01T00:00:00Z.
            start: 1_793_491_200_000,
            envelope: Envelope::Stream,
            duplicates: 0.01,
            late: 0.01,
            malformed: 0.0005,
            users: None,
        }
    }
}

impl Simulation {
    /// The records, one by one. Memory grows with users, days and late events, not with events.
    pub fn records(&self) -> Records {
        Records::new(self)
    }

    fn tenant_count(&self) -> u32 {
        self.tenants.clamp(1, 1_000)
    }
}

/// What a record wraps its events in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// The event itself, as the Management API returns it.
    Flat,
    /// `{"log_id":..,"data":{..}}`, one a record.
    #[default]
    Stream,
    /// A JSON array of some 50 stream entries.
    Array,
    /// `{"logs":[..]}` with some 50 stream entries.
    Logs,
    /// An AWS EventBridge event with the stream entry as `detail`.
    EventBridge,
    /// A Splunk HEC event with the stream entry as `event`.
    Splunk,
    /// An Azure Event Grid event with the flat event as `data`.
    EventGrid,
    /// Each record another one of these, or a stream entry under `json`, or as text under `message`.
    Mixed,
}

impl Envelope {
    pub const NAMES: [&str; 8] = ["flat", "stream", "array", "logs", "eventbridge", "splunk", "eventgrid", "mixed"];
    const ALL: [Envelope; 8] = [
        Envelope::Flat,
        Envelope::Stream,
        Envelope::Array,
        Envelope::Logs,
        Envelope::EventBridge,
        Envelope::Splunk,
        Envelope::EventGrid,
        Envelope::Mixed,
    ];

    /// The envelope of one of the [`Envelope::NAMES`].
    pub fn from_name(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        Self::ALL.get(at).copied()
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What [`Records::next_into`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKind {
    pub malformed: bool,
    /// Valid events in it, duplicates included; none in a malformed record.
    pub events: u32,
}

/// An event held back until `due`: a time for late events, a position for duplicates.
struct Held {
    due: i64,
    event: Event,
}

impl Held {
    fn order(&self) -> (i64, u64) {
        (self.due, self.event.number)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

/// A duplicate comes after at most so many other events.
const DUPLICATE_WITHIN: u64 = 2_000;
/// Events arrive in another order than that of their ids, by some seconds.
const JITTER_MS: u64 = 3_000;

/// The stream of records.
pub struct Records {
    settings: Simulation,
    cast: Cast,
    planner: Planner,
    tally: Tally,
    /// Not the planner's dice, so that the envelope and the broken records do not change the events.
    dice: Dice,
    arriving: BinaryHeap<Reverse<Held>>,
    again: BinaryHeap<Reverse<Held>>,
    /// All events that arrive before this are planned.
    planned_until: i64,
    handed_out: i64,
    /// The next event, with whether it is a duplicate.
    peeked: Option<(Event, bool)>,
    scratch: Vec<u8>,
}

impl Records {
    fn new(settings: &Simulation) -> Self {
        let settings = settings.clone();
        let cast = Cast::new(&settings);
        let planner = Planner::new(&settings, &cast);
        let tally = Tally::new(&settings, &cast);
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        rng.set_stream(1);
        Records {
            planned_until: i64::MIN,
            settings,
            cast,
            planner,
            tally,
            dice: Dice(rng),
            arriving: BinaryHeap::new(),
            again: BinaryHeap::new(),
            handed_out: 0,
            peeked: None,
            scratch: Vec::new(),
        }
    }

    /// Writes the next record over `out`, which is worth reusing.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Option<RecordKind> {
        out.clear();
        if self.peeked.is_none() {
            self.peeked = self.next_event();
        }
        let (event, _) = self.peeked?;
        self.tally.records += 1;
        if self.dice.chance(self.settings.malformed.clamp(0.0, 0.9)) {
            self.tally.malformed += 1;
            self.write_malformed(out, &event);
            return Some(RecordKind { malformed: true, events: 0 });
        }
        let events = self.write_record(out);
        Some(RecordKind { malformed: false, events })
    }

    /// What all records together hold. Records not taken yet are played first.
    pub fn truth(mut self) -> Truth {
        let mut out = Vec::new();
        while self.next_into(&mut out).is_some() {}
        self.tally.finish(&self.cast)
    }

    /// The next event to arrive, and whether it has arrived before.
    fn next_event(&mut self) -> Option<(Event, bool)> {
        let is_due = |held: &Reverse<Held>, now| held.0.due <= now;
        if self.again.peek().is_some_and(|held| is_due(held, self.handed_out)) {
            return self.pop_again();
        }
        while !self.arriving.peek().is_some_and(|held| is_due(held, self.planned_until)) {
            if self.planned_until == i64::MAX {
                return self.pop_again();
            }
            let (arriving, dice) = (&mut self.arriving, &mut self.dice);
            let sink = |event: Event| {
                let due = event.ingested + dice.below(JITTER_MS) as i64;
                arriving.push(Reverse(Held { due, event }));
            };
            self.planned_until =
                self.planner.next_slice(&self.cast, &mut self.tally, sink).map_or(i64::MAX, |until| until - 1);
        }
        let Reverse(Held { event, .. }) = self.arriving.pop()?;
        self.handed_out += 1;
        if self.dice.chance(self.settings.duplicates) {
            let due = self.handed_out + 1 + self.dice.below(DUPLICATE_WITHIN) as i64;
            self.again.push(Reverse(Held { due, event }));
        }
        Some((event, false))
    }

    fn pop_again(&mut self) -> Option<(Event, bool)> {
        let Reverse(Held { event, .. }) = self.again.pop()?;
        self.handed_out += 1;
        Some((event, true))
    }

    /// Takes the next event for writing.
    fn take(&mut self) -> Option<Event> {
        let (event, again) = match self.peeked.take() {
            Some(peeked) => peeked,
            None => self.next_event()?,
        };
        self.tally.events += 1;
        self.tally.duplicates += u64::from(again);
        Some(event)
    }

    fn write_record(&mut self, out: &mut Vec<u8>) -> u32 {
        let envelope = self.settings.envelope;
        // Beyond the named ones, Mixed has two of its own.
        let (choice, several) = if envelope == Envelope::Mixed {
            (self.dice.below(9), 1 + self.dice.below(12))
        } else {
            (envelope as u64, 25 + self.dice.below(51))
        };
        let envelope = Envelope::ALL[choice.min(7) as usize];
        let (open, several, close) = match envelope {
            Envelope::Array => ("[", several, "]"),
            Envelope::Logs => ("{\"logs\":[", several, "]}"),
            _ => ("", 1, ""),
        };
        write::raw(out, open);
        let mut events = 0;
        while events < several {
            let Some(event) = self.take() else { break };
            if events > 0 {
                out.push(b',');
            }
            events += 1;
            match envelope {
                Envelope::Mixed if choice == 7 => {
                    write::raw(out, "{\"json\": ");
                    entry(out, &event, &self.cast);
                    write::raw(out, ", \"p_source_label\": \"auth0\", \"offset\": 17}");
                }
                Envelope::Mixed => {
                    self.scratch.clear();
                    entry(&mut self.scratch, &event, &self.cast);
                    write::raw(out, "{\"@version\":\"1\",\"message\":\"");
                    write::escaped(out, &self.scratch);
                    write::raw(out, "\"}");
                }
                single => wrapped(out, single, &event, &self.cast),
            }
        }
        write::raw(out, close);
        events as u32
    }

    /// Writes what no reader may take for an event.
    fn write_malformed(&mut self, out: &mut Vec<u8>, event: &Event) {
        let begin = out.len();
        match self.dice.below(6) {
            0 => {
                // An object without its end.
                wrapped(out, Envelope::Stream, event, &self.cast);
                let length = out.len() as u64 - begin as u64;
                out.truncate(begin + 1 + self.dice.below(length - 1) as usize);
            }
            1 => write::raw(out, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
            2 => {
                // Half a letter in a record that is otherwise fine. It is in the type, which every reader looks at: one that
                // skips what it does not need may never notice a broken name.
                write::raw(out, "{\"log_id\":\"");
                render::log_id(out, event);
                out.extend_from_slice(b"\",\"data\":{\"type\":\"s\xc3\",\"user_name\":\"Zo\xc3\"}}");
            }
            3 => {
                write::raw(out, "{\"log_id\":\"");
                render::log_id(out, event);
                write::raw(out, "\",\"data\":{\"description\":\"no kind\",\"date\":\"");
                write::date(out, event.date, true);
                write::raw(out, "\"}}");
            }
            4 => write::number(out, event.seed >> 20),
            _ => write::raw(out, "{\"heartbeat\":true,\"note\":\"nothing happened\"}"),
        }
    }
}

/// Writes a log stream entry.
fn entry(out: &mut Vec<u8>, event: &Event, cast: &Cast) {
    write::raw(out, "{\"log_id\":\"");
    render::log_id(out, event);
    write::raw(out, "\",\"data\":");
    render::flat(out, event, cast);
    out.push(b'}');
}

/// Writes one event in an envelope that holds one.
fn wrapped(out: &mut Vec<u8>, envelope: Envelope, event: &Event, cast: &Cast) {
    let tenant = &cast.tenants[usize::from(event.tenant)].name;
    match envelope {
        Envelope::Flat => render::flat(out, event, cast),
        Envelope::EventBridge => {
            write::raw(out, "{\"version\":\"0\",\"id\":\"");
            write::uuid(out, event.seed);
            write::raw(out, "\",\"detail-type\":\"Auth0 log\",\"source\":\"aws.partner/auth0.com/");
            write::raw(out, tenant);
            write::raw(
                out,
                "-0b57f4e1-6d3a-4a53-9a3e-0c2f7f3f1b11/auth0.logs\",\"account\":\"123456789012\",\"time\":\"",
            );
            write::date(out, event.ingested + 9_000, false);
            write::raw(out, "\",\"region\":\"us-east-1\",\"resources\":[],\"detail\":");
            entry(out, event, cast);
            out.push(b'}');
        }
        Envelope::Splunk => {
            write::raw(out, "{\"event\":");
            entry(out, event, cast);
            write::raw(out, ",\"sourcetype\":\"auth0\",\"time\":");
            write::number(out, event.ingested.unsigned_abs() / 1_000);
            out.push(b'.');
            write::digits(out, event.ingested.unsigned_abs() % 1_000, 3);
            out.push(b'}');
        }
        Envelope::EventGrid => {
            write::raw(out, "{\"id\":\"");
            write::uuid(out, event.seed);
            write::raw(out, "\",\"topic\":\"/subscriptions/auth0/partnerTopics/");
            write::raw(out, tenant);
            write::raw(out, "\",\"subject\":\"auth0.log\",\"eventType\":\"auth0.log\",\"eventTime\":\"");
            write::date(out, event.ingested + 2_000, true);
            write::raw(out, "\",\"dataVersion\":\"1.0\",\"metadataVersion\":\"1\",\"data\":");
            render::flat(out, event, cast);
            out.push(b'}');
        }
        Envelope::Stream | Envelope::Array | Envelope::Logs | Envelope::Mixed => {
            entry(out, event, cast);
        }
    }
}

/// Draws that depend on ChaCha's definition alone, not on how a version of a crate makes ranges.
struct Dice(ChaCha8Rng);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Below `limit`, which a zero counts as one.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// From zero up to one.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// SplitMix64's step: different numbers stay different, and neighbours get far apart.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Year, month and day of a day number since 1970, by Howard Hinnant's algorithm.
fn civil(day: i64) -> (i64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
