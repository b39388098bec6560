//! Ghost usage as it begins: the last windows of a client against its own past. Where [`ghost`](super::ghost) judges a
//! period, this judges a moment, so that somebody is woken while it matters.
//!
//! An address is accused once it [suddenly](super::sudden) asks for more. What was always so is no surprise: that is
//! [`ghost`](super::ghost)'s. It has ended once it was quiet for longer than chance, by how often it was quiet before, would
//! have it, or once what it does is explained.

use std::collections::BTreeMap;
use std::ops::Range;

use super::TenantUsage;
use super::ghost::{Lifetime, Lifetimes, Thresholds};
use super::rhythm::pattern;
use super::sudden::{SLOT_SECONDS, Slots};
use super::tokens::{Issues, KeyTokens, TokenKey, second};
use crate::event::EventTime;

/// How many of the last slots are the present.
const SLOTS: usize = 2;
/// What came before is looked at for so long: a day's rhythm, and two lifetimes, but no more than a week.
const PAST_SECONDS: Range<u32> = 86_400..7 * 86_400;
/// How long something that ended is remembered.
const LOOK_BACK_SLOTS: usize = 144;

/// How a client's use of tokens looks at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    pub state: State,
    /// Tokens of the last ten minutes.
    pub issued: u64,
    pub needed: u64,
    /// Tokens an hour, now and in what is known from before; `None` if that is too short to tell.
    pub per_hour: f64,
    pub per_hour_before: Option<f64>,
    /// The first of the tokens that nothing but missing caching explains.
    pub since: Option<EventTime>,
    /// Avoidable tokens since then.
    pub avoidable_since: u64,
    pub addresses: u64,
    pub user_agents: Vec<String>,
    pub lifetime: Lifetime,
    pub billable: bool,
    /// Of the first window of `since`, where it is known.
    pub first_log_id: Option<String>,
    pub last_log_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It asks for tokens it has, and it did not before, or nothing else explains it.
    Wasting,
    Between,
    /// It asks for hardly any token it has, or for no more than is explained.
    Caching,
}

/// Every client that asked for an avoidable token in the last hours before `until`. The walks must be settled.
pub fn recent(
    tenant: &str,
    usage: &TenantUsage,
    until: EventTime,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
) -> Vec<Recent> {
    let end = second(until);
    let looked = end.saturating_sub(LOOK_BACK_SLOTS as u32 * SLOT_SECONDS)..end;
    let known_since = usage.activity.begin().map_or(0, second);
    let is_wasteful = |key: &KeyTokens| key.issued(&looked) > key.needed_per_address(&looked);
    let mut clients: BTreeMap<(&str, &str), Vec<&KeyTokens>> = BTreeMap::new();
    for (TokenKey { client_id, audience, .. }, key) in usage.tokens.keys().filter(|(_, key)| is_wasteful(key)) {
        clients.entry((client_id, audience)).or_default().push(key);
    }
    let look = |((client_id, audience), keys): ((&str, &str), Vec<&KeyTokens>)| {
        let moment = Moment { end, known_since, lifetime: lifetimes.of(tenant, audience), thresholds };
        moment.of(client_id, audience, &keys)
    };
    clients.into_iter().map(look).collect()
}

/// When one client and audience is looked at, and by what measure.
struct Moment<'a> {
    /// The end of the last window.
    end: u32,
    /// The tenant's first event: before that nothing is known.
    known_since: u32,
    lifetime: Lifetime,
    thresholds: &'a Thresholds,
}

impl Moment<'_> {
    fn of(&self, client_id: &str, audience: &str, keys: &[&KeyTokens]) -> Recent {
        let now = self.end.saturating_sub(SLOTS as u32 * SLOT_SECONDS)..self.end;
        let sum = |of: &dyn Fn(&KeyTokens) -> u64| keys.iter().map(|key| of(key)).sum::<u64>();
        let issued = sum(&|key| key.issued(&now));
        let needed = sum(&|key| key.needed_per_address(&now)).min(issued);
        let avoidable = self.avoidable_by_slot(keys);
        let addresses: Vec<&Issues> = keys.iter().flat_map(|key| key.addresses()).map(|(_, issues)| issues).collect();
        let accused: Vec<(&Issues, u32)> =
            addresses.iter().filter_map(|issues| Some((*issues, self.sudden_since(issues)?))).collect();
        let since = accused.iter().map(|(_, since)| *since).min();
        let state = if !accused.is_empty() {
            State::Wasting
        } else if is_quiet(&avoidable) || addresses.iter().all(|issues| self.is_excused(issues)) {
            State::Caching
        } else {
            State::Between
        };
        let before = self.past().start..since.unwrap_or(now.start);
        let hours = f64::from(before.end.saturating_sub(before.start)) / 3600.0;
        let last = keys.iter().max_by_key(|key| &key.last);
        Recent {
            client_id: client_id.to_owned(),
            client_name: last.map_or_else(String::new, |key| key.client_name.clone()),
            audience: audience.to_owned(),
            state,
            issued,
            needed,
            per_hour: issued as f64 * 3600.0 / f64::from(SLOTS as u32 * SLOT_SECONDS),
            per_hour_before: (hours >= 1.0).then(|| sum(&|key| key.issued(&before)) as f64 / hours),
            since: since.map(|second| EventTime::from_ms(i64::from(second) * 1000)),
            avoidable_since: accused.iter().map(|(issues, since)| issues.avoidable(&(*since..self.end))).sum(),
            addresses: sum(&|key| key.address_count(&now)),
            user_agents: last.map_or_else(Vec::new, |key| key.user_agents().into_iter().map(str::to_owned).collect()),
            lifetime: self.lifetime,
            billable: keys.iter().any(|key| key.billable),
            first_log_id: since
                .and_then(|since| keys.iter().filter_map(|key| key.first_from(since)).min())
                .map(|first| first.1.clone()),
            last_log_id: last.map_or_else(String::new, |key| key.last.1.clone()),
        }
    }

    /// What is looked at: as far back as it is known, in whole slots.
    fn past(&self) -> Range<u32> {
        let length = self.lifetime.seconds.saturating_mul(2).clamp(PAST_SECONDS.start, PAST_SECONDS.end);
        let slots = self.end.saturating_sub(self.known_since).min(length) / SLOT_SECONDS;
        self.end - slots * SLOT_SECONDS..self.end
    }

    /// Avoidable tokens in each of the last slots, twice as many as are looked back.
    fn avoidable_by_slot(&self, keys: &[&KeyTokens]) -> Vec<u64> {
        let period = self.end.saturating_sub(2 * LOOK_BACK_SLOTS as u32 * SLOT_SECONDS)..self.end;
        let mut sum = vec![0; period.len().div_ceil(SLOT_SECONDS as usize)];
        for (_, issues) in keys.iter().flat_map(|key| key.addresses()) {
            sum.iter_mut().zip(issues.avoidable_by(&period, SLOT_SECONDS)).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Since when an address suddenly asks for more.
    fn sudden_since(&self, issues: &Issues) -> Option<u32> {
        let past = self.past();
        let expected = self.thresholds.processes_per_address;
        if issues.issued(&past) <= expected {
            return None;
        }
        let counts = issues.issued_by(&past, SLOT_SECONDS);
        let slots = counts.len();
        let begin = Slots::new(counts, self.lifetime.counted_seconds(), expected).begin(slots)?;
        let since = past.start + begin as u32 * SLOT_SECONDS..self.end;
        // A short time could be filled by a burst that has just ended: the last minute has half of its share.
        let last_minute = issues.issued(&(self.end - 60..self.end));
        let goes_on = slots - begin >= 5 || last_minute * 2 * since.len() as u64 >= issues.issued(&since) * 60;
        goes_on.then(|| issues.avoidable_seconds(&since).next()).flatten()
    }

    /// Whether what an address did lately is explained.
    fn is_excused(&self, issues: &Issues) -> bool {
        let length = self.lifetime.seconds.saturating_mul(3).max(3 * 3600);
        let lately = self.past().start.max(self.end.saturating_sub(length))..self.end;
        let peak = issues.peak(&lately, self.lifetime.counted_seconds());
        pattern(issues, &lately, self.lifetime, peak, self.thresholds).is_excuse()
    }
}

/// Whether a client has been quiet for so long that it has ended: for longer than chance, by how many of its slots were
/// quiet before, would have once in a hundred thousand times.
fn is_quiet(avoidable: &[u64]) -> bool {
    const BY_CHANCE: f64 = 1e-5;
    let level = |slots: &[u64]| {
        let (sum, squares) = slots.iter().fold((0, 0), |(sum, squares), count| (sum + count, squares + count * count));
        // What the slot of a token has, on average.
        squares.checked_div(sum).unwrap_or(0)
    };
    // A fifth of what it was.
    let quiet = level(avoidable) / 5;
    let is_active = |count: &u64| *count > quiet;
    let Some(last) = avoidable.iter().rposition(is_active) else { return true };
    let silent = avoidable.len() - 1 - last;
    let looked = &avoidable[(last + 1).saturating_sub(LOOK_BACK_SLOTS)..=last];
    let first = looked.iter().position(is_active).unwrap_or(0);
    let active = looked.iter().filter(|count| is_active(count)).count() as f64;
    let share = (active + 1.0) / (looked.len() - first + 2) as f64;
    let enough = BY_CHANCE.ln() / (1.0 - share).ln();
    silent as f64 >= enough.min(LOOK_BACK_SLOTS as f64)
}
