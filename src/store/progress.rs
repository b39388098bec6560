//! How far each partition is known, for whoever needs time to have passed: a window can be judged once nothing of it is
//! still to come.
//!
//! What is committed tells how far event time has come, but not whether more is waiting. So a worker that is caught up
//! notes it: `_progress/<source>/<incarnation>/<partition>.json`. A note only ever helps: it may be missing, old, damaged
//! or a stale owner's, and then the partition is as far as its events say. Nothing here decides what is committed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::ledger::{Entry, PartitionId, text_time, to_json};
use super::retired::Retired;
use super::{FILE, STDIN, Store, StoreError};
use crate::event::EventTime;

/// The format of notes that this version writes.
pub const FORMAT: u32 = 1;

/// Notes read at the same time.
const READS: usize = 16;

/// As far as anything can be: what never goes on holds nothing up.
pub const FOREVER: EventTime = EventTime::from_ms(i64::MAX);

/// At `at` everything up to `position` was committed, and there was nothing more to read.
///
/// `at` is the time of the look, not of the write. A record that arrives between the two is no earlier than `at` by the
/// clock of its arrival; how much earlier its event happened is the stream's own delay, and what [`Patience::grace`] is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub format: u32,
    pub position: u64,
    #[serde(with = "text_time")]
    pub at: EventTime,
    /// The last time in which nobody listened, while senders may still deliver what they kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The version that wrote it.
    pub ghostlight: String,
}

/// Nobody listened since `from`; what senders could not deliver they have delivered again by `returned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    #[serde(with = "text_time")]
    pub from: EventTime,
    #[serde(with = "text_time")]
    pub returned: EventTime,
}

impl Pause {
    /// Shorter ones are what any stream has, and what senders try again within.
    const MIN: Duration = Duration::from_secs(60);
    /// How long senders are given at most; else as long as the pause was.
    const RETURN_MAX: Duration = Duration::from_secs(600);

    /// Of somebody who listens again at `now`, and was last heard of at `heard`; `before` is what was known of a pause then.
    pub fn after(before: Option<Self>, heard: EventTime, now: EventTime) -> Option<Self> {
        let before = before.filter(|pause| pause.returned > now);
        if now.before(Self::MIN) <= heard {
            return before;
        }
        let length = now.since_ms(heard).min(Self::RETURN_MAX.as_millis() as i64);
        let from = before.map_or(heard, |pause| pause.from.min(heard));
        Some(Self { from, returned: EventTime::from_ms(now.ms() + length) })
    }

    /// Whether nothing that is missing from a window that ends then says that nothing happened.
    pub fn covers(self, window_end: EventTime) -> bool {
        self.from < window_end && window_end <= self.returned
    }
}

/// Notes that the partition was caught up. The last one written holds, whoever wrote it.
pub async fn note(
    store: &Store,
    id: &PartitionId,
    position: u64,
    at: EventTime,
    pause: Option<Pause>,
) -> Result<(), StoreError> {
    let note = Note { format: FORMAT, position, at, pause, ghostlight: env!("CARGO_PKG_VERSION").to_owned() };
    store.put(&path_of(id), to_json(&note)).await
}

fn path_of(id: &PartitionId) -> Path {
    Path::from(format!("{}.json", id.folder("_progress")))
}

/// The note of one partition; `None` if there is none that can be understood.
pub async fn read(store: &Store, id: &PartitionId) -> Result<Option<Note>, StoreError> {
    Ok(store.get_if_there(&path_of(id)).await?.and_then(|bytes| understood(&bytes)))
}

fn understood(bytes: &[u8]) -> Option<Note> {
    serde_json::from_slice(bytes).ok().filter(|note: &Note| note.format == FORMAT)
}

/// The notes of all partitions, also of those that have no ledger entry yet. One that cannot be understood is left out.
pub async fn read_all(store: &Store) -> Result<HashMap<PartitionId, Note>, StoreError> {
    let found = store.list("_progress").await?;
    let reads = found.into_iter().filter_map(|object| {
        let id = partition_of(&object.location)?;
        Some(async move { Ok((id, store.get_if_there(&object.location).await?)) })
    });
    let read: Vec<(PartitionId, Option<_>)> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
    let notes = read.into_iter().filter_map(|(id, bytes)| Some((id, understood(&bytes?)?)));
    Ok(notes.collect())
}

fn partition_of(path: &Path) -> Option<PartitionId> {
    let id = PartitionId::of_path(path)?;
    let partition = id.partition.strip_suffix(".json")?.to_owned();
    Some(PartitionId { partition, ..id })
}

/// How long to wait for what may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Events come out of order, and after they happened: this much earlier than the latest of a partition, or than the
    /// moment it was caught up, is taken as complete. Also covers clocks that differ by less.
    pub grace: Duration,
    /// A partition nobody was heard of for so long, by the wall clock, holds nothing back any more: a spool that was
    /// wiped, a topic that was made anew.
    pub retired_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { grace: Duration::from_secs(60), retired_after: Duration::from_secs(24 * 3600) }
    }
}

/// How far one partition is: a fold of its entries as they are followed, and its note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub partition: PartitionId,
    /// The greatest event time followed, but none later than it was read: one event with a clock that is ahead must not
    /// vouch for hours that are still to come.
    pub frontier: Option<EventTime>,
    /// When the last entry followed was committed, by the clock of whoever did.
    pub read_at: Option<EventTime>,
    /// Up to where the partition was followed: the end of the last entry whose rows the caller has.
    pub end: u64,
    /// The note: the position it speaks of, and the time.
    pub caught_up: Option<(u64, EventTime)>,
    /// The note's too, whatever its position.
    pub pause: Option<Pause>,
    /// A file or standard input: read once, by somebody who waits for it.
    pub ended: bool,
}

impl Progress {
    pub fn new(partition: PartitionId) -> Self {
        let ended = [FILE, STDIN].contains(&partition.source.as_str());
        Self { partition, frontier: None, read_at: None, end: 0, caught_up: None, pause: None, ended }
    }

    /// Takes in the next entry of the partition.
    pub fn follow(&mut self, entry: &Entry) {
        self.end = self.end.max(entry.end);
        self.read_at = self.read_at.max(Some(entry.committed_at));
        let frontier = entry.frontier.map(|frontier| frontier.event_time.min(frontier.read_at));
        self.frontier = self.frontier.max(frontier);
    }

    /// Takes in the partition's entries that are no longer there one by one.
    pub fn follow_retired(&mut self, retired: &Retired) {
        self.end = self.end.max(retired.end);
        self.read_at = self.read_at.max(Some(retired.committed_at));
        self.frontier = self.frontier.max(retired.frontier);
    }

    /// Takes in the partition's note, as it was read at `now`: a clock that is ahead of ours does not reach further.
    pub fn hear(&mut self, note: &Note, now: EventTime) {
        self.caught_up = Some((note.position, note.at.min(now)));
        self.pause = note.pause;
    }

    /// Up to which event time everything is known; `None` if nothing is.
    pub fn reaches(&self, grace: Duration) -> Option<EventTime> {
        match self.ended {
            true => Some(FOREVER),
            false => self.frontier.max(self.idle_since()).map(|known| known.before(grace)),
        }
    }

    /// Whether a window that ends at `window_end` is complete as far as this partition goes.
    pub fn is_past(&self, window_end: EventTime, grace: Duration) -> bool {
        self.reaches(grace).is_some_and(|reach| reach >= window_end)
    }

    /// When the partition was caught up at exactly where it was followed to. A note of another position says nothing: it
    /// is a stale owner's, or of entries the caller has not seen.
    pub fn idle_since(&self) -> Option<EventTime> {
        self.caught_up.filter(|(position, _)| *position == self.end).map(|(_, at)| at)
    }

    /// The last sign that somebody reads the partition.
    fn heard_at(&self) -> Option<EventTime> {
        self.read_at.max(self.caught_up.map(|(_, at)| at))
    }

    /// Whether nothing was heard of it for so long that nobody seems to read it any more.
    fn is_retired(&self, retired_after: Duration, now: EventTime) -> bool {
        self.heard_at().is_some_and(|heard| now.before(retired_after) > heard)
    }

    /// How far behind `now` it is, and why, in words.
    pub fn describe(&self, now: EventTime) -> String {
        let partition = &self.partition;
        let time = |at: EventTime| time_text(at, now);
        let last = self.read_at.map_or_else(|| "nothing yet".to_owned(), |at| format!("last read {}", time(at)));
        match (self.frontier, self.idle_since()) {
            (frontier, Some(idle)) if Some(idle) >= frontier => {
                let behind = length_text(now.since_ms(idle));
                format!("partition {partition} is {behind} behind: it was caught up at {}, and not since", time(idle))
            }
            (Some(frontier), _) => {
                let behind = length_text(now.since_ms(frontier));
                format!("partition {partition} is {behind} behind: committed up to {}, {last}", time(frontier))
            }
            (None, _) => format!("partition {partition} has no event committed: {last}"),
        }
    }

    fn describe_retired(&self, now: EventTime) -> String {
        let heard = self.heard_at().unwrap_or(now);
        let (length, time) = (length_text(now.since_ms(heard)), time_text(heard, now));
        format!("partition {} is not waited for: nothing was heard of it for {length}, since {time}", self.partition)
    }
}

/// How far a tenant is: as far as the slowest of the partitions that may still have something of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Up to which event time everything is known, never later than now; `None` if nothing is.
    pub until: Option<EventTime>,
    /// Which partition is the slowest, how far behind it is, and why; `None` if none is waited for.
    pub slowest: Option<String>,
    /// The partitions nobody was heard of for long, each in words.
    pub retired: Vec<String>,
    /// When nobody listened, for one partition or another.
    pub pauses: Vec<Pause>,
}

impl Reach {
    /// Why a window that ends at `window_end` cannot be judged yet; `None` if it can.
    pub fn holding_back(&self, window_end: EventTime) -> Option<&str> {
        match self.until {
            Some(until) if until >= window_end => None,
            _ => Some(self.slowest.as_deref().unwrap_or("the window has not ended yet")),
        }
    }
}

/// How far each tenant is, from all partitions and the tenants that each had rows of.
///
/// A partition holds back the tenants it had rows of, and no other. Where every partition of a tenant that could go on is
/// retired, nobody reads for it any more: then it is known as far as the one that came furthest, and not beyond.
pub fn reach_of_tenants<'a>(
    partitions: impl IntoIterator<Item = (&'a Progress, impl IntoIterator<Item = &'a str>)>,
    patience: Patience,
    now: EventTime,
) -> BTreeMap<String, Reach> {
    let mut of_tenants: BTreeMap<&str, Vec<&Progress>> = BTreeMap::new();
    for (progress, tenants) in partitions {
        for tenant in tenants {
            of_tenants.entry(tenant).or_default().push(progress);
        }
    }
    let reach = |(tenant, all): (&str, Vec<&Progress>)| (tenant.to_owned(), reach_of(&all, patience, now));
    of_tenants.into_iter().map(reach).collect()
}

fn reach_of(partitions: &[&Progress], patience: Patience, now: EventTime) -> Reach {
    let may_go_on = partitions.iter().copied().filter(|progress| !progress.ended);
    let (retired, read): (Vec<_>, Vec<_>) =
        may_go_on.partition(|progress| progress.is_retired(patience.retired_after, now));
    let reaches = |progress: &&&Progress| progress.reaches(patience.grace);
    let slowest = read.iter().min_by_key(reaches).or_else(|| retired.iter().max_by_key(reaches));
    Reach {
        until: slowest.map_or(Some(now), |slowest| slowest.reaches(patience.grace).map(|reach| reach.min(now))),
        slowest: slowest.map(|slowest| slowest.describe(now)),
        retired: retired.iter().map(|retired| retired.describe_retired(now)).collect(),
        pauses: partitions.iter().filter_map(|progress| progress.pause).collect(),
    }
}

/// `14:03` in UTC, with the date where it is not that of `now`.
fn time_text(at: EventTime, now: EventTime) -> String {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or(("", &text));
    let minute = time.get(..5).unwrap_or(time);
    if date == now.date() { minute.to_owned() } else { format!("{date} {minute}") }
}

/// In the largest unit of which there are at least two.
fn length_text(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    fn at(text: &str) -> EventTime {
        EventTime::parse(&format!("2026-11-23T{text}Z")).expect("a time")
    }

    fn kafka(partition: &str) -> PartitionId {
        PartitionId::new("kafka.logs", "c.t", partition)
    }

    /// Committed up to an event time, at a wall clock time, with the ledger's end at 100.
    fn read(partition: &str, frontier: &str, read_at: &str) -> Progress {
        let (frontier, read_at) = (Some(at(frontier)), Some(at(read_at)));
        Progress { frontier, read_at, end: 100, ..Progress::new(kafka(partition)) }
    }

    fn noted(progress: Progress, position: u64, text: &str) -> Progress {
        Progress { caught_up: Some((position, at(text))), ..progress }
    }

    fn entry(end: u64, frontier: Option<(&str, &str)>, committed_at: &str) -> Entry {
        let mut entry = serde_json::json!({
            "format": 1, "ghostlight": "0.1.0", "source": "kafka.logs", "incarnation": "c.t", "partition": "3",
            "start": end - 1, "end": end, "nonce": "n", "committed_at": at(committed_at).to_string(),
            "accounting": { "records": 0, "read": 0, "rejected": 0, "events": 0, "counted": 0, "duplicates": 0,
                            "ignored": 0, "dead_letters": 0 },
            "settings": { "users_window_seconds": 3600, "tokens_window_seconds": 300, "counts_window_seconds": 300,
                          "users_definition": "d", "hll_lg_k": 12, "dedupe_horizon": 1, "ids_keep_seconds": 1 },
            "files": []
        });
        if let Some((event_time, read_at)) = frontier {
            entry["frontier"] =
                serde_json::json!({ "event_time": at(event_time).to_string(), "read_at": at(read_at).to_string() });
        }
        serde_json::from_value(entry).expect("an entry")
    }

    fn tenants<'a>(partitions: &'a [(Progress, &'a [&'a str])], now: &str) -> BTreeMap<String, Reach> {
        let partitions = partitions.iter().map(|(progress, tenants)| (progress, tenants.iter().copied()));
        reach_of_tenants(partitions, Patience::default(), at(now))
    }

    #[test]
    fn everything_up_to_a_grace_before_the_frontier_is_known() {
        let progress = read("3", "14:03:00", "14:03:20");
        assert_eq!(progress.reaches(GRACE), Some(at("14:02:00")));
        assert_eq!(progress.reaches(Duration::ZERO), Some(at("14:03:00")));
        assert!(progress.is_past(at("14:02:00"), GRACE), "a window does not hold its own end");
        assert!(!progress.is_past(at("14:02:01"), GRACE));
        let nothing = Progress::new(kafka("3"));
        assert_eq!((nothing.reaches(GRACE), nothing.is_past(at("00:00:00"), GRACE)), (None, false));
    }

    #[test]
    fn a_note_at_the_end_reaches_further_and_one_elsewhere_says_nothing() {
        let progress = read("3", "14:03:00", "14:03:20");
        assert_eq!(noted(progress.clone(), 100, "14:20:00").reaches(GRACE), Some(at("14:19:00")));
        for elsewhere in [0, 99, 101] {
            assert_eq!(noted(progress.clone(), elsewhere, "14:20:00").reaches(GRACE), Some(at("14:02:00")));
        }
        assert_eq!(noted(progress, 100, "13:00:00").reaches(GRACE), Some(at("14:02:00")), "the later of both");
        let empty = noted(Progress::new(kafka("3")), 0, "14:20:00");
        assert_eq!(empty.reaches(GRACE), Some(at("14:19:00")), "a partition without a record is caught up too");
    }

    #[test]
    fn files_and_standard_input_hold_nothing_up() {
        for source in [FILE, STDIN] {
            let progress = Progress::new(PartitionId::new(source, "i", "0"));
            assert_eq!(progress.reaches(GRACE), Some(FOREVER));
        }
        for source in ["webhook", "kafka.file", "kafka.stdin"] {
            assert_eq!(Progress::new(PartitionId::new(source, "i", "0")).reaches(GRACE), None);
        }
    }

    #[test]
    fn entries_move_a_partition_forward_only_and_no_event_is_later_than_it_was_read() {
        let mut progress = Progress::new(kafka("3"));
        progress.follow(&entry(10, Some(("14:00:00", "14:00:01")), "14:00:02"));
        progress.follow(&entry(20, Some(("11:00:00", "14:05:00")), "14:05:01"));
        progress.follow(&entry(30, None, "14:06:00"));
        assert_eq!(progress, Progress { end: 30, ..read("3", "14:00:00", "14:06:00") }, "late events change nothing");
        progress.follow(&entry(40, Some(("23:00:00", "14:07:00")), "14:07:30"));
        assert_eq!(progress.frontier, Some(at("14:07:00")), "a clock that is ahead does not vouch for the evening");
    }

    #[test]
    fn a_note_from_the_future_reaches_no_further_than_now() {
        let mut progress = read("3", "14:03:00", "14:03:20");
        let note = Note { format: FORMAT, position: 100, at: at("19:00:00"), pause: None, ghostlight: String::new() };
        progress.hear(&note, at("14:20:00"));
        assert_eq!(progress.reaches(GRACE), Some(at("14:19:00")));
    }

    #[test]
    fn after_a_pause_senders_have_as_long_to_deliver_again_but_ten_minutes_at_most() {
        let after = |before, heard: &str, now: &str| Pause::after(before, at(heard), at(now));
        let pause = |from: &str, returned: &str| Some(Pause { from: at(from), returned: at(returned) });
        assert_eq!(after(None, "14:00:00", "14:01:00"), None);
        assert_eq!(after(None, "14:00:00", "14:03:00"), pause("14:00:00", "14:06:00"));
        let hours = after(None, "11:00:00", "14:00:00");
        assert_eq!(hours, pause("11:00:00", "14:10:00"));
        // Restarted meanwhile, it is the same pause, and over when it is.
        assert_eq!(after(hours, "14:02:00", "14:02:10"), hours);
        assert_eq!(after(hours, "14:02:00", "14:05:00"), pause("11:00:00", "14:08:00"));
        assert_eq!(after(hours, "14:10:00", "14:10:10"), None);
        let covers = |window_end| hours.is_some_and(|pause| pause.covers(at(window_end)));
        assert_eq!(["11:00:00", "11:05:00", "14:10:00", "14:15:00"].map(covers), [false, true, true, false]);
    }

    #[test]
    fn a_lagging_partition_holds_back_the_tenants_it_had_rows_of_and_says_so() {
        let partitions = [
            (noted(read("0", "14:20:00", "14:20:10"), 100, "14:22:50"), &["acme", "beta"][..]),
            (read("3", "14:03:00", "14:23:00"), &["acme"]),
        ];
        let reaches = tenants(&partitions, "14:23:00");
        assert_eq!(reaches["beta"].until, Some(at("14:21:50")));
        assert_eq!(reaches["beta"].holding_back(at("14:20:00")), None);
        let acme = &reaches["acme"];
        assert_eq!(acme.until, Some(at("14:02:00")));
        assert_eq!(acme.holding_back(at("14:00:00")), None);
        assert_eq!(
            acme.holding_back(at("14:05:00")),
            Some("partition kafka.logs/c.t/3 is 20 min behind: committed up to 14:03, last read 14:23")
        );
        assert!(acme.retired.is_empty());
    }

    #[test]
    fn a_partition_of_which_nothing_is_known_holds_its_tenants_back_entirely() {
        let unknown = Progress { read_at: Some(at("14:22:00")), ..Progress::new(kafka("7")) };
        let reaches = tenants(&[(read("0", "14:20:00", "14:20:10"), &["acme"]), (unknown, &["acme"])], "14:23:00");
        assert_eq!(reaches["acme"].until, None);
        let why = reaches["acme"].holding_back(at("10:00:00")).expect("is held back");
        assert_eq!(why, "partition kafka.logs/c.t/7 has no event committed: last read 14:22");
    }

    #[test]
    fn a_worker_that_was_caught_up_and_is_gone_says_when_it_was() {
        let gone = noted(read("0", "11:00:00", "11:00:10"), 100, "12:00:00");
        let why = tenants(&[(gone, &["acme"])], "14:23:00")["acme"].holding_back(at("14:00:00")).map(str::to_owned);
        let text = "partition kafka.logs/c.t/0 is 2 h behind: it was caught up at 12:00, and not since";
        assert_eq!(why.as_deref(), Some(text));
    }

    #[test]
    fn after_a_day_of_silence_a_partition_holds_nothing_back_but_is_named() {
        let day_before = |text: &str| EventTime::from_ms(at(text).ms() - 86_400_000);
        let mut silent = read("9", "14:03:00", "14:23:00");
        (silent.frontier, silent.read_at) = (Some(day_before("14:03:00")), Some(day_before("14:22:59")));
        let read = read("0", "14:20:00", "14:20:10");
        let reach = |silent: &Progress| {
            let partitions = [(silent.clone(), &["acme"][..]), (read.clone(), &["acme"])];
            tenants(&partitions, "14:23:00").remove("acme").expect("the tenant")
        };
        let retired = reach(&silent);
        assert_eq!(retired.until, Some(at("14:19:00")));
        let text =
            "partition kafka.logs/c.t/9 is not waited for: nothing was heard of it for 24 h, since 2026-11-22 14:22";
        assert_eq!(retired.retired, [text]);
        // A note is a sign of life, whatever its position; so is a commit.
        silent.caught_up = Some((7, day_before("14:23:01")));
        assert_eq!(reach(&silent).until, Some(day_before("14:02:00")));
        silent.caught_up = None;
        silent.read_at = Some(day_before("14:23:01"));
        assert_eq!((reach(&silent).until, reach(&silent).retired), (Some(day_before("14:02:00")), Vec::new()));
    }

    #[test]
    fn a_tenant_nobody_reads_for_is_known_as_far_as_it_was_read_and_not_beyond() {
        let week_before = |progress: Progress| {
            let before = |at: Option<EventTime>| at.map(|at| EventTime::from_ms(at.ms() - 7 * 86_400_000));
            Progress { frontier: before(progress.frontier), read_at: before(progress.read_at), ..progress }
        };
        let (one, two) =
            (week_before(read("0", "10:00:00", "10:00:10")), week_before(read("1", "11:00:00", "11:00:10")));
        let reach = &tenants(&[(one, &["acme"]), (two, &["acme"])], "14:23:00")["acme"];
        assert_eq!(reach.until, Some(EventTime::from_ms(at("10:59:00").ms() - 7 * 86_400_000)));
        assert_eq!(reach.retired.len(), 2);
        let why = reach.holding_back(at("14:00:00")).expect("is held back");
        assert!(why.contains("c.t/1 is 7 days behind: committed up to 2026-11-16 11:00"), "{why}");
    }

    #[test]
    fn a_tenant_of_files_alone_is_known_up_to_now() {
        let file = Progress::new(PartitionId::new(FILE, "i", "0"));
        let reach = &tenants(&[(file.clone(), &["acme"])], "14:23:00")["acme"];
        assert_eq!((reach.until, &reach.slowest), (Some(at("14:23:00")), &None));
        assert_eq!(reach.holding_back(at("14:25:00")), Some("the window has not ended yet"));
        let both = [(file, &["acme"][..]), (read("0", "14:20:00", "14:20:10"), &["acme"])];
        assert_eq!(tenants(&both, "14:23:00")["acme"].until, Some(at("14:19:00")), "nor does it vouch for others");
    }

    #[test]
    fn lengths_are_told_in_units_a_person_would_use() {
        let told: Vec<_> =
            [-5, 119, 120, 7199, 7200, 172_799, 172_800].map(|seconds| length_text(seconds * 1000)).into();
        assert_eq!(told, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }

    #[tokio::test]
    async fn notes_are_read_back_and_damaged_or_newer_ones_are_as_good_as_none() {
        let store = Store::of(Arc::new(InMemory::new()));
        assert!(read_all(&store).await.expect("reads").is_empty());
        for partition in ["0", "1", "2", "3"] {
            note(&store, &kafka(partition), 100, at("14:00:00"), None).await.expect("writes");
        }
        note(&store, &kafka("0"), 90, at("14:10:00"), None).await.expect("writes over it");
        for (partition, text) in [("1", "{\"format\": 1, \"posi"), ("2", "{\"format\": 2, \"position\": 7}"), ("3", "")]
        {
            let path = Path::from(format!("{}.json", kafka(partition).folder("_progress")));
            store.put(&path, text.as_bytes().to_vec().into()).await.expect("writes");
        }
        store.put(&Path::from("_progress/readme"), b"foreign".to_vec().into()).await.expect("writes");
        let notes = read_all(&store).await.expect("reads");
        let expected = Note {
            format: 1,
            position: 90,
            at: at("14:10:00"),
            pause: None,
            ghostlight: env!("CARGO_PKG_VERSION").to_owned(),
        };
        assert_eq!(notes, HashMap::from([(kafka("0"), expected)]));
    }
}
