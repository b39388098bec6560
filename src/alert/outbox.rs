//! The outbox: what the journal holds, told to every channel at least once.
//!
//! Beside an entry lie, for each channel, `<entry>.<channel>.claim-<n>.json` (a reader takes it on itself to send) and
//! `<entry>.<channel>.sent.json` (the channel has it, or it was given up). A lease says whose turn it is: at first that of
//! whoever wrote the entry; then that of whoever writes the next claim, only if absent, once the lease before is over. A
//! lease is good for one attempt; each is longer than the last, so that they are the pauses between attempts too. A process
//! that was restarted is another reader: what it wrote and had not sent waits until its lease is over.
//! `_alerts/_channels/<channel>.json` says since when there is a channel.
//!
//! **At least once**: an entry is sent until it has its marker, by any reader. A channel gets an alert's pages in order; the
//! resolution waits for the page. It gets one twice only
//! - if a process dies, or its store fails until it dies, between sending and writing the marker;
//! - if a process is frozen, or hears nothing from its store, in that same place for longer than its lease;
//! - if a send fails, or takes longer than [`SEND_MAX`], though the channel took it;
//! - if the clocks of two readers differ by more than [`SLACK`].
//!
//! **Left out**: what is silenced; pages older than the channel; repeats that another has followed; and what could not be
//! sent for [`GIVE_UP`], which is said in the log and in the marker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use futures::future::join_all;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::Alert;
use super::journal::{self, Entry, FOLDER, FORMAT, Journal, Object, Page};
use crate::clock;
use crate::event::EventTime;
use crate::store::ledger::{text_time, to_json};
use crate::store::{Created, Store, StoreError};

/// How long an entry is its writer's to send. Later leases double, up to [`LEASE_MAX`].
pub const LEASE: Duration = Duration::from_secs(120);
pub const LEASE_MAX: Duration = Duration::from_secs(3600);
/// How much the clocks of two readers may differ.
pub const SLACK: Duration = Duration::from_secs(15);
/// How long one attempt may take, with all the retries of the channel.
pub const SEND_MAX: Duration = Duration::from_secs(80);
/// How long it is tried.
pub const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// How long after a lease was taken an attempt may begin: it, and the clocks' difference, fit into what is left.
const SEND_BY: Duration = LEASE.saturating_sub(SEND_MAX).saturating_sub(SLACK);
/// An entry that has been on the store for so long was sent or given up, or nobody was there to do either.
const FORGET: Duration = GIVE_UP.saturating_add(Duration::from_secs(3600));
/// How long one round begins new attempts for.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Whether a channel may be called so: the name is part of paths.
pub fn is_channel_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// What became of the pages of one round; a page counts once for each channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    pub sent: u64,
    pub failed: u64,
    pub given_up: u64,
    /// Another reader's turn, or a pause between two attempts, or no time left in this round.
    pub waiting: u64,
}

/// Sends what the journal holds, for one process.
pub struct Outbox {
    store: Store,
    /// That of the process's journal: what it wrote is this one's to send.
    nonce: String,
    channels: Vec<Channel>,
}

struct Channel {
    name: String,
    /// When any reader had it first.
    since: EventTime,
    /// Pages that are not for this channel.
    settled: BTreeSet<Page>,
    /// The last lease of each page that was used.
    used: BTreeMap<Page, u64>,
    /// The channel has it, and the store could not be told.
    unmarked: BTreeSet<Page>,
}

/// A claim, and a marker.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    ghostlight: String,
    nonce: String,
    /// Wall clock.
    #[serde(with = "text_time")]
    at: EventTime,
    /// Why the channel never got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_up: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FirstSeen {
    format: u32,
    ghostlight: String,
    channel: String,
    #[serde(with = "text_time")]
    first_seen: EventTime,
}

/// What lies beside an entry.
#[derive(Default)]
struct Files {
    sent: BTreeSet<String>,
    /// The highest claim of each channel.
    claims: BTreeMap<String, u64>,
    /// The entry itself is.
    is_there: bool,
    is_old: bool,
}

/// What a round works with.
struct Work<'a, C, F> {
    store: &'a Store,
    nonce: &'a str,
    /// By alert, each in the order to send.
    alerts: Vec<Vec<(Page, Files)>>,
    begun: EventTime,
    clock: C,
    send: F,
}

/// Whose turn it is to send a page to a channel.
enum Turn {
    /// This process's, by this lease, if it begins before that time.
    Ours { lease: u64, until: EventTime },
    /// Another's, or nobody's yet.
    NotOurs,
    /// The channel has it.
    Past,
}

/// Whether what comes after a page can be sent.
#[derive(PartialEq, Eq)]
enum Outcome {
    Settled,
    Open,
}

impl Outbox {
    /// The outbox beside `journal`. A channel that no reader had before gets what is decided from now on.
    pub async fn open(journal: &Journal, channels: &[&str], now: EventTime) -> Result<Self, StoreError> {
        let store = journal.store().clone();
        let mut known = Vec::new();
        for name in channels {
            assert!(is_channel_name(name), "{name:?} is not a channel's name");
            known.push(Channel {
                name: (*name).to_owned(),
                since: first_seen(&store, name, now).await?,
                settled: BTreeSet::new(),
                used: BTreeMap::new(),
                unmarked: BTreeSet::new(),
            });
        }
        Ok(Self { store, nonce: journal.nonce().to_owned(), channels: known })
    }

    /// One round: sends what is this process's to send now. Channels go side by side; one that hangs holds up nobody
    /// else, but the round. One listing, and reads for what is not sent yet.
    ///
    /// `clock` is the wall clock, asked before each attempt; `send` gets the channel's name and the alert.
    pub async fn deliver<C, F, S, E>(&mut self, clock: C, send: F) -> Result<Round, StoreError>
    where
        C: Fn() -> EventTime,
        F: Fn(String, Alert) -> S,
        S: Future<Output = Result<(), E>>,
        E: Display,
    {
        let alerts = due(&self.store).await?;
        let begun = clock();
        let work = Work { store: &self.store, nonce: &self.nonce, alerts, begun, clock, send };
        let mut sum = Round::default();
        let mut failed = None;
        for (round, error) in join_all(self.channels.iter_mut().map(|channel| work.deliver(channel))).await {
            sum.sent += round.sent;
            sum.failed += round.failed;
            sum.given_up += round.given_up;
            sum.waiting += round.waiting;
            failed = failed.or(error);
        }
        failed.map_or(Ok(sum), Err)
    }
}

impl<C, F, S, E> Work<'_, C, F>
where
    C: Fn() -> EventTime,
    F: Fn(String, Alert) -> S,
    S: Future<Output = Result<(), E>>,
    E: Display,
{
    async fn deliver(&self, channel: &mut Channel) -> (Round, Option<StoreError>) {
        let mut round = Round::default();
        channel.forget_all_but(self.alerts.iter().flatten().map(|(page, _)| page).collect());
        for pages in &self.alerts {
            for (page, files) in pages {
                if files.sent.contains(&channel.name) || channel.settled.contains(page) {
                    continue;
                }
                match self.attempt(channel, page, files, &mut round).await {
                    Ok(Outcome::Settled) => {}
                    Ok(Outcome::Open) => break,
                    Err(error) => return (round, Some(error)),
                }
            }
        }
        (round, None)
    }

    async fn attempt(
        &self,
        channel: &mut Channel,
        page: &Page,
        files: &Files,
        round: &mut Round,
    ) -> Result<Outcome, StoreError> {
        if channel.unmarked.contains(page) {
            return self.mark_sent(channel, page).await;
        }
        let entry = match journal::read_entry(self.store, page).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(Outcome::Settled),
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. })) => {
                tracing::error!(%error, "an alert cannot be sent; the others are");
                round.failed += 1;
                return Ok(Outcome::Open);
            }
            Err(error) => return Err(error),
        };
        // Near the channel's beginning rather a page too many: clocks differ.
        if entry.silenced.is_some() || after(entry.decided_at, LEASE) <= channel.since {
            channel.settled.insert(page.clone());
            return Ok(Outcome::Settled);
        }
        let now = (self.clock)();
        if now > after(entry.decided_at, GIVE_UP) {
            round.given_up += 1;
            return self.give_up(channel, page, now).await;
        }
        let turn = if now < after(self.begun, ROUND_MAX) {
            self.turn(channel, page, &entry, files, now).await?
        } else {
            Turn::NotOurs
        };
        match turn {
            Turn::Past => return Ok(Outcome::Settled),
            // Asked again: the store may have taken its time.
            Turn::Ours { lease, until } if (self.clock)() < until => {
                channel.used.insert(page.clone(), lease);
            }
            _ => {
                round.waiting += 1;
                return Ok(Outcome::Open);
            }
        }
        let problem = match tokio::time::timeout(SEND_MAX, (self.send)(channel.name.clone(), entry.alert)).await {
            Ok(Ok(())) => {
                round.sent += 1;
                channel.unmarked.insert(page.clone());
                return self.mark_sent(channel, page).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", SEND_MAX.as_secs()),
        };
        round.failed += 1;
        let (channel, alert, sequence) = (&channel.name, &page.alert, page.sequence);
        tracing::warn!(channel, alert, sequence, problem, "an alert could not be sent; it is tried again");
        Ok(Outcome::Open)
    }

    /// Finds out whose turn it is, and takes it if it is nobody's.
    async fn turn(
        &self,
        channel: &Channel,
        page: &Page,
        entry: &Entry,
        files: &Files,
        now: EventTime,
    ) -> Result<Turn, StoreError> {
        let number = files.claims.get(&channel.name).copied().unwrap_or_default();
        let (holder, taken_at) = match number {
            0 => (entry.nonce.clone(), entry.decided_at),
            // A claim that cannot be read is nobody's.
            number => match read_note(self.store, &claim_path(page, &channel.name, number)).await? {
                Some(claim) => (claim.nonce, claim.at),
                None => (String::new(), entry.decided_at),
            },
        };
        let until = after(taken_at, SEND_BY);
        // Ours and unused, but too old to send by, is renewed at once.
        let is_unused = holder == self.nonce && channel.used.get(page).is_none_or(|used| *used < number);
        if is_unused && now < until {
            return Ok(Turn::Ours { lease: number, until });
        }
        if !is_unused && now < after(taken_at, lease(number)) {
            return Ok(Turn::NotOurs);
        }
        let number = number + 1;
        let claim = self.note(now, None);
        if !create_note(self.store, &claim_path(page, &channel.name, number), &claim).await? {
            return Ok(Turn::NotOurs);
        }
        // The holder before may have sent it since the listing.
        if self.store.exists(&sent_path(page, &channel.name)).await? {
            return Ok(Turn::Past);
        }
        Ok(Turn::Ours { lease: number, until: after(now, SEND_BY) })
    }

    async fn mark_sent(&self, channel: &mut Channel, page: &Page) -> Result<Outcome, StoreError> {
        create_note(self.store, &sent_path(page, &channel.name), &self.note((self.clock)(), None)).await?;
        channel.unmarked.remove(page);
        Ok(Outcome::Settled)
    }

    async fn give_up(&self, channel: &Channel, page: &Page, now: EventTime) -> Result<Outcome, StoreError> {
        let reason = format!("not sent within {} h", GIVE_UP.as_secs() / 3600);
        let (name, alert, sequence) = (&channel.name, &page.alert, page.sequence);
        tracing::error!(channel = name, alert, sequence, "an alert was given up: {reason}");
        create_note(self.store, &sent_path(page, name), &self.note(now, Some(reason))).await?;
        Ok(Outcome::Settled)
    }

    fn note(&self, at: EventTime, given_up: Option<String>) -> Note {
        let ghostlight = env!("CARGO_PKG_VERSION").to_owned();
        Note { format: FORMAT, ghostlight, nonce: self.nonce.to_owned(), at, given_up }
    }
}

impl Channel {
    fn forget_all_but(&mut self, due: BTreeSet<&Page>) {
        self.settled.retain(|page| due.contains(page));
        self.used.retain(|page, _| due.contains(page));
        self.unmarked.retain(|page| due.contains(page));
    }
}

/// Every alert's pages that may have to be sent.
async fn due(store: &Store) -> Result<Vec<Vec<(Page, Files)>>, StoreError> {
    // What the store dates is compared with our clock, whatever clock entries are dated by.
    let oldest = clock::now().before(FORGET).ms();
    let mut alerts: BTreeMap<String, BTreeMap<Page, Files>> = BTreeMap::new();
    for found in store.list(FOLDER).await? {
        let Some((page, object)) = journal::parse(&found.location) else { continue };
        let files = alerts.entry(page.alert.clone()).or_default().entry(page).or_default();
        match object {
            Object::Entry => {
                files.is_there = true;
                files.is_old = found.last_modified.timestamp_millis() < oldest;
            }
            Object::Sent(channel) => {
                files.sent.insert(channel);
            }
            Object::Claim(channel, number) => {
                let highest = files.claims.entry(channel).or_default();
                *highest = number.max(*highest);
            }
        }
    }
    let due = |pages: BTreeMap<Page, Files>| {
        let mut pages = pages.into_iter().filter(|(_, files)| files.is_there).peekable();
        let mut due = Vec::new();
        while let Some((page, files)) = pages.next() {
            // Number 0 tells what was silenced for the first time, whatever its neighbours.
            let is_overtaken = page.repeat.is_some_and(|number| number > 0)
                && pages.peek().is_some_and(|(next, _)| next.sequence == page.sequence);
            if !files.is_old && !is_overtaken {
                due.push((page, files));
            }
        }
        due
    };
    Ok(alerts.into_values().map(due).filter(|pages| !pages.is_empty()).collect())
}

/// How long claim `number` is its writer's; 0 is the entry itself.
fn lease(number: u64) -> Duration {
    let doublings = u32::try_from(number).unwrap_or(u32::MAX);
    LEASE.saturating_mul(2_u32.saturating_pow(doublings)).min(LEASE_MAX)
}

fn after(time: EventTime, duration: Duration) -> EventTime {
    EventTime::from_ms(time.ms().saturating_add(duration.as_millis() as i64))
}

fn claim_path(page: &Page, channel: &str, number: u64) -> Path {
    page.beside(&format!(".{channel}.claim-{number}"))
}

fn sent_path(page: &Page, channel: &str) -> Path {
    page.beside(&format!(".{channel}.sent"))
}

/// Writes a note unless one is there; whether the one there is this one, also where the answer is lost.
async fn create_note(store: &Store, path: &Path, note: &Note) -> Result<bool, StoreError> {
    match store.create(path, to_json(note)).await {
        Ok(Created::Now) => Ok(true),
        other => match (read_note(store, path).await?, other) {
            (Some(there), _) => Ok(there.nonce == note.nonce),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Ok(false),
        },
    }
}

/// `None` where it is missing or cannot be read.
async fn read_note(store: &Store, path: &Path) -> Result<Option<Note>, StoreError> {
    let Some(bytes) = store.get_if_there(path).await? else { return Ok(None) };
    Ok(journal::from_json(path, &bytes).inspect_err(|error| tracing::warn!(%error, "passed over")).ok())
}

/// When a channel was there first, decided by whoever has it first.
async fn first_seen(store: &Store, channel: &str, now: EventTime) -> Result<EventTime, StoreError> {
    let path = Path::from(format!("{FOLDER}/_channels/{channel}.json"));
    let ghostlight = env!("CARGO_PKG_VERSION").to_owned();
    let ours = FirstSeen { format: FORMAT, ghostlight, channel: channel.to_owned(), first_seen: now };
    let created = store.create(&path, to_json(&ours)).await;
    if matches!(created, Ok(Created::Now)) {
        return Ok(now);
    }
    match store.get_if_there(&path).await? {
        Some(bytes) => Ok(journal::from_json::<FirstSeen>(&path, &bytes)?.first_seen),
        None => created.and(Err(StoreError::damaged(&path, "put-if-absent found it, reading does not"))),
    }
}
