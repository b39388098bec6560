//! Compaction and what it removes: whatever is interrupted, whoever else does it at the same time, no row is lost and none
//! is doubled, for readers of any kind, at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ghostlight::event::EventTime;
use ghostlight::partial::Partial;
use ghostlight::partial::sketch::Precision;
use ghostlight::store::commit::{CommitError, PartitionLog};
use ghostlight::store::compact::{CompactSettings, Compactor, Current, Generations, Round};
use ghostlight::store::datasets::{self, AGGREGATES, DATASETS};
use ghostlight::store::ledger::{self, Entry, PartitionId};
use ghostlight::store::retired::Retired;
use ghostlight::store::{Store, StoreError};
use ghostlight::usage::follow::{Follower, Seen};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::commits::{DAY_MS, Level, Year, after, commit_by, commit_to, events, partition};
use crate::faulty_store::{Fault, FaultyStore};
use crate::support::months::month;
use crate::support::{committed, dead_letters, ghostlight, output, runtime, tables, texts, verified};

/// Everything is due at once, and what is held goes at once: the harshest order of events.
const AT_ONCE: CompactSettings = CompactSettings {
    interval: Duration::ZERO,
    late_interval: Duration::ZERO,
    keep: Duration::ZERO,
    entries_min: 1,
    joined_bytes: 32 << 20,
};

fn at(text: &str) -> EventTime {
    EventTime::parse(&format!("2026-11-{text}Z")).expect("a time")
}

/// Commits as a process would that starts anew.
fn commit(store: &Store, id: &PartitionId, lines: &[String], now: EventTime) -> Result<Entry, CommitError> {
    runtime().block_on(async {
        let mut log = PartitionLog::recover(store, id.clone()).await?;
        commit_by(&mut log, "tenant = \"acme\"\n[datasets]\nevents = true", lines, now).await
    })
}

fn compact(store: &Store, now: EventTime) -> Result<Round, StoreError> {
    compact_by(store, AT_ONCE, now)
}

fn compact_by(store: &Store, settings: CompactSettings, now: EventTime) -> Result<Round, StoreError> {
    runtime().block_on(Compactor::new(store.clone(), settings).round(now))
}

/// What the first day's hours, then later days', hold: two partitions, late events, dead letters.
fn write(store: &Store, days: std::ops::RangeInclusive<i64>) {
    for day in days {
        for hour in [3, 4, 23] {
            for name in ["0", "1"] {
                let now = after(at("01T00:00:00"), day * DAY_MS - DAY_MS + hour * 3_600_000);
                let n = (day as u64 * 24 + hour as u64) * 10 + name.parse::<u64>().expect("a number");
                let mut lines = events(n, after(now, -60_000));
                lines.extend(events(n + 5000, after(now, -7_200_000)));
                if hour == 4 {
                    lines.push("not json".to_owned());
                    lines.extend(events(n + 9000, at("01T05:00:00").min(now)));
                }
                commit(store, &partition(name), &lines, now).expect("commits");
            }
        }
    }
}

/// A store that was compacted before, with files switched and entries retired, and to which more came, also of old days.
fn begun() -> Arc<InMemory> {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=1);
    compact(&store, at("03T00:30:00")).expect("compacts");
    write(&store, 2..=3);
    inner
}

const LATER: &str = "08T12:00:00";

fn objects(store: &Store, prefix: &str) -> Vec<String> {
    let listed = runtime().block_on(store.list(prefix)).expect("listed");
    listed.into_iter().map(|object| object.location.to_string()).collect()
}

fn generations(store: &Store) -> usize {
    objects(store, "_generations").iter().filter(|path| path.ends_with(".json")).count()
}

fn absorb(store: &Store, dataset: &str, path: &str, into: &mut Partial) {
    let bytes = runtime().block_on(store.read(&Path::from(path))).unwrap_or_else(|error| panic!("{path}: {error}"));
    datasets::absorb(dataset, bytes, into).expect("rows");
}

/// What somebody reads who takes the files that `_current/` lists.
fn by_current(store: &Store) -> Option<Vec<String>> {
    let mut partial = Partial::default();
    for dataset in AGGREGATES {
        let current = runtime().block_on(Current::read(store, dataset)).expect("read")?;
        current.files.iter().for_each(|file| absorb(store, dataset, &file.path, &mut partial));
    }
    Some(tables(&partial))
}

/// What somebody reads who takes every file in the datasets' folders.
fn by_glob(store: &Store) -> Partial {
    let mut partial = Partial::default();
    for dataset in AGGREGATES {
        objects(store, dataset).iter().for_each(|path| absorb(store, dataset, path, &mut partial));
    }
    partial
}

/// Events and tokens by their key.
fn amounts(partial: &Partial) -> BTreeMap<String, u64> {
    let mut amounts = BTreeMap::new();
    for mut row in partial.counts() {
        let events = std::mem::take(&mut row.events);
        amounts.insert(format!("{row:?}"), events);
    }
    for row in partial.tokens() {
        amounts.insert(format!("{} {} {}", row.window_start, row.client_id, row.ip), row.issued);
    }
    amounts
}

/// The `log_id` of each row of `events` in these files, sorted.
fn log_ids_of(store: &Store, paths: impl Iterator<Item = String>) -> Vec<String> {
    let runtime = runtime();
    let read = |path: String| runtime.block_on(store.read(&Path::from(path))).expect("read");
    let batches = paths.flat_map(|path| datasets::read("events", read(path)).expect("rows"));
    let mut found: Vec<String> = batches.flat_map(|batch| texts(&batch, "log_id")).collect();
    found.sort();
    found
}

fn log_ids(store: &Store) -> Vec<String> {
    log_ids_of(store, objects(store, "events").into_iter())
}

struct Expected {
    tables: Vec<String>,
    amounts: BTreeMap<String, u64>,
    dead_letters: usize,
    /// Of the rows of `events`.
    log_ids: Vec<String>,
    records: u64,
    days: usize,
    /// What `_current/` lists before the next round.
    listed: Option<Vec<String>>,
}

impl Expected {
    fn of(inner: &Arc<InMemory>) -> Self {
        let store = Store::of(inner.clone());
        let report = verified(&store);
        let folded = runtime().block_on(ghostlight::usage::fold(&store)).expect("folds");
        Self {
            tables: tables(&folded),
            amounts: amounts(&folded),
            dead_letters: report.accounting.dead_letters as usize,
            log_ids: log_ids(&store),
            records: report.accounting.records,
            days: folded.counts().iter().map(|row| row.window_start.date()).collect::<BTreeSet<_>>().len(),
            listed: by_current(&store),
        }
    }

    /// At any moment: nothing is missing for followers and by `_current/`, nothing is doubled by glob.
    fn check_now(&self, store: &Store, what: &str) {
        let report = verified(store);
        assert_eq!(report.accounting.records, self.records, "{what}");
        assert!(committed(store) == self.tables, "{what}: a follower reads other tables");
        for (key, amount) in amounts(&by_glob(store)) {
            assert!(amount <= self.amounts[&key], "{what}: {key} is doubled by glob: {amount}");
        }
        assert!(dead_letters(store).len() <= self.dead_letters, "{what}");
        let found = log_ids(store);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{what}: a row of events is doubled by glob");
        assert!(found.iter().all(|id| self.log_ids.binary_search(id).is_ok()), "{what}");
    }

    /// `_current/` lists what is committed, as of this or of the round before; each dataset by itself.
    fn check_current(&self, store: &Store, what: &str) {
        let (now, before) = (&self.tables, self.listed.as_ref().unwrap_or(&self.tables));
        let part = |tables: &[String], is_its: fn(&&String) -> bool| -> Vec<String> {
            tables.iter().filter(is_its).cloned().collect()
        };
        let of_dataset: [fn(&&String) -> bool; 3] =
            [|row| row.starts_with("users"), |row| row.starts_with("TokensRow"), |row| row.starts_with("CountsRow")];
        let Some(listed) = by_current(store) else { return };
        for is_its in of_dataset {
            let listed = part(&listed, is_its);
            assert!(listed == part(now, is_its) || listed == part(before, is_its), "{what}: _current lists other rows");
        }
    }

    /// Once a round has ended: nothing is missing for anybody.
    fn check_settled(&self, store: &Store, what: &str) {
        self.check_now(store, what);
        assert!(by_current(store).is_some_and(|tables| tables == self.tables), "{what}: _current lists other rows");
        assert!(tables(&by_glob(store)) == self.tables, "{what}: a reader by glob finds other rows");
        assert_eq!(dead_letters(store).len(), self.dead_letters, "{what}");
        assert!(log_ids(store) == self.log_ids, "{what}: other rows of events by glob");
        let current = runtime().block_on(Current::read(store, "events")).expect("read").expect("a list");
        assert!(log_ids_of(store, current.files.iter().map(|file| file.path.clone())) == self.log_ids, "{what}");
        let raw: Vec<_> = AGGREGATES.iter().flat_map(|dataset| objects(store, dataset)).collect();
        assert!(raw.iter().all(|path| path.contains("/compacted-")), "{what}: {raw:?}");
        let days = generations(store);
        assert_eq!(
            (days, raw.len()),
            (self.days, 3 * self.days),
            "{what}: a generation a day, a file a day and dataset"
        );
        assert_eq!(objects(store, "_compacted").len(), objects(store, "daily").len() * 6, "{what}");
        assert_eq!(objects(store, "_ledger").len(), 2, "{what}: the last entry of each partition");
        for name in ["0", "1"] {
            let (log, dedupe) = runtime().block_on(async {
                let log = PartitionLog::recover(store, partition(name)).await.expect("recovers");
                let dedupe = log.dedupe(1_000_000).await.expect("read");
                (log, dedupe)
            });
            assert_eq!(log.tail().accounting.counted, dedupe.len() as u64, "{what}: every id is known, once");
        }
    }
}

fn two_rounds(store: &Store) -> Result<(), StoreError> {
    two_rounds_at(store, at(LATER))
}

fn two_rounds_at(store: &Store, now: EventTime) -> Result<(), StoreError> {
    // By one process, which remembers.
    runtime().block_on(async {
        let mut compactor = Compactor::new(store.clone(), AT_ONCE);
        compactor.round(now).await?;
        compactor.round(after(now, 60_000)).await.map(drop)
    })
}

#[test]
fn rows_are_the_same_before_and_after_every_round() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    for day in 1..=4 {
        write(&store, day..=day);
        let expected = Expected::of(&inner);
        for hour in [1, 2, 30] {
            let now = after(at("01T00:00:00"), day * DAY_MS + hour * 3_600_000);
            compact(&store, now).expect("compacts");
            expected.check_now(&store, &format!("day {day}, {hour} h later"));
            expected.check_current(&store, "after a round");
            assert!(tables(&by_glob(&store)) == expected.tables);
        }
    }
    let expected = Expected::of(&inner);
    compact(&store, at(LATER)).expect("compacts");
    expected.check_settled(&store, "all days");
    assert_eq!(compact(&store, at(LATER)).expect("nothing to do"), Round { switched_days: 4, ..Round::default() });
}

/// Rounds that meet a fault.
type Rounds = fn(&Store) -> Result<(), StoreError>;

fn at_every_operation(begun: &Arc<InMemory>, rounds: Rounds, fault: &Fault, what: &str) {
    let expected = Expected::of(begun);
    for number in 1.. {
        let inner = Arc::new(begun.fork());
        let store = Store::of(inner.clone());
        let faulty = FaultyStore::with_listings(inner.clone(), number, fault.clone());
        let ended = rounds(&Store::of(faulty.clone()));
        let what = format!("{what} at operation {number}");
        expected.check_now(&store, &what);
        expected.check_current(&store, &what);
        two_rounds(&store).expect("another goes on");
        expected.check_settled(&store, &what);
        if !faulty.was_reached() {
            ended.expect("without a fault it works");
            assert!(number > 100, "only {number} operations: the test does not reach everything");
            return;
        }
    }
}

#[test]
fn a_failed_operation_anywhere_loses_and_doubles_nothing() {
    at_every_operation(&begun(), two_rounds, &Fault::Before, "failed");
}

#[test]
fn a_lost_answer_anywhere_loses_and_doubles_nothing() {
    at_every_operation(&begun(), two_rounds, &Fault::After, "answer lost");
}

#[test]
fn a_crash_before_any_operation_loses_and_doubles_nothing() {
    at_every_operation(&begun(), two_rounds, &Fault::Crash, "crash");
}

#[test]
fn a_crash_after_any_operation_loses_and_doubles_nothing() {
    at_every_operation(&begun(), two_rounds, &Fault::CrashAfter, "crash after");
}

const KEPT: CompactSettings = CompactSettings { keep: Duration::from_secs(86_400), ..AT_ONCE };

/// Days merged, one of them twice since late events came, and nothing removed yet.
fn unsettled() -> Arc<InMemory> {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=2);
    compact_by(&store, KEPT, at("05T00:00:00")).expect("compacts");
    commit(&store, &partition("0"), &events(70_000, at("01T05:00:00")), at("05T06:00:00")).expect("commits");
    compact_by(&store, KEPT, at("05T12:00:00")).expect("compacts");
    inner
}

/// Days are switched to what was merged first, while newer generations wait; then to those.
fn settling_rounds(store: &Store) -> Result<(), StoreError> {
    runtime().block_on(async {
        let mut compactor = Compactor::new(store.clone(), KEPT);
        compactor.round(at("06T00:30:00")).await?;
        compactor.round(at("06T13:00:00")).await.map(drop)
    })
}

#[test]
fn generations_that_wait_behind_the_settled_one_are_safe_at_every_operation() {
    let unsettled = unsettled();
    assert_eq!(generations(&Store::of(unsettled.clone())), 3, "a day has two");
    for (fault, what) in [(Fault::Before, "failed"), (Fault::After, "answer lost"), (Fault::CrashAfter, "crash after")]
    {
        at_every_operation(&unsettled, settling_rounds, &fault, what);
    }
    // Frozen, while another goes through the same rounds.
    let expected = Expected::of(&unsettled);
    for number in 1.. {
        let inner = Arc::new(unsettled.fork());
        let meanwhile = Store::of(inner.clone());
        let others = move || settling_rounds(&meanwhile).expect("the other compacts");
        let frozen = FaultyStore::with_listings(inner.clone(), number, Fault::Frozen(Arc::new(others)));
        let woken = settling_rounds(&Store::of(frozen.clone()));
        let what = format!("frozen at operation {number}: {woken:?}");
        let store = Store::of(inner);
        expected.check_now(&store, &what);
        two_rounds(&store).expect("another goes on");
        expected.check_settled(&store, &what);
        if !frozen.was_reached() {
            return;
        }
    }
}

#[test]
fn readers_at_every_operation_find_everything_and_nothing_twice() {
    let begun = begun();
    let expected = Arc::new(Expected::of(&begun));
    for number in 1.. {
        let inner = Arc::new(begun.fork());
        let (reader, seen) = (Store::of(inner.clone()), expected.clone());
        let read = move || {
            let what = format!("before operation {number}");
            seen.check_now(&reader, &what);
            seen.check_current(&reader, &what);
        };
        let watched = FaultyStore::with_listings(inner, number, Fault::Frozen(Arc::new(read)));
        two_rounds(&Store::of(watched.clone())).expect("nobody disturbs it");
        if !watched.was_reached() {
            return;
        }
    }
}

#[test]
fn a_reader_frozen_anywhere_while_what_it_reads_is_merged_and_removed_finds_everything_once() {
    type Read<'a> = &'a dyn Fn(&Store) -> Result<(), String>;
    let begun = begun();
    let expected = Expected::of(&begun);
    let (tables_of_all, records) = (expected.tables.clone(), expected.records);
    // The live page, reports, backtests and audits read as a follower does.
    let follows = move |store: &Store| {
        let folded = runtime().block_on(ghostlight::usage::fold(store)).map_err(|error| error.to_string())?;
        if tables(&folded) == tables_of_all { Ok(()) } else { Err("other tables".to_owned()) }
    };
    let proves = move |store: &Store| {
        let report = runtime().block_on(ghostlight::store::verify::verify(store)).map_err(|error| error.to_string())?;
        if report.problems.is_empty() && report.accounting.records == records {
            Ok(())
        } else {
            Err(format!("{report:?}"))
        }
    };
    // Who starts to write.
    let starts = |store: &Store| {
        runtime().block_on(async {
            let log = PartitionLog::recover(store, partition("0")).await.map_err(|error| error.to_string())?;
            let known = log.dedupe(1_000_000).await.map_err(|error| error.to_string())?.len() as u64;
            let counted = log.tail().accounting.counted;
            if known == counted { Ok(()) } else { Err(format!("{known} ids are known of {counted}")) }
        })
    };
    let readers: [(&str, Read<'_>); 3] = [("a follower", &follows), ("verify", &proves), ("a start", &starts)];
    for (what, read) in readers {
        for number in 1.. {
            let inner = Arc::new(begun.fork());
            let meanwhile = Store::of(inner.clone());
            let others = move || two_rounds(&meanwhile).expect("compacts");
            let frozen = FaultyStore::with_listings(inner.clone(), number, Fault::Frozen(Arc::new(others)));
            read(&Store::of(frozen.clone()))
                .unwrap_or_else(|error| panic!("{what}, frozen at operation {number}: {error}"));
            if !frozen.was_reached() {
                assert!(number > 5, "{what}: only {number} operations");
                break;
            }
        }
    }
}

#[test]
fn a_compactor_frozen_anywhere_while_others_go_on_loses_and_doubles_nothing() {
    let begun = begun();
    for number in 1.. {
        let inner = Arc::new(begun.fork());
        let meanwhile = Store::of(inner.clone());
        let others = move || {
            two_rounds(&meanwhile).expect("the other compacts");
            // Late events of an old day, which are merged, and switched to, as well.
            commit(&meanwhile, &partition("0"), &events(70_000, at("01T05:00:00")), at("08T13:00:00"))
                .expect("commits");
            compact(&meanwhile, at("08T14:00:00")).expect("the other compacts again");
            commit(&meanwhile, &partition("1"), &events(80_000, at("02T05:00:00")), at("08T15:00:00"))
                .expect("commits");
        };
        let frozen = FaultyStore::with_listings(inner.clone(), number, Fault::Frozen(Arc::new(others)));
        let store = Store::of(inner.clone());
        // It may find that what it was about to read is gone; it need not succeed.
        let woken = two_rounds(&Store::of(frozen.clone()));
        if !frozen.was_reached() {
            woken.expect("without a fault it works");
            return;
        }
        let what = format!("frozen at operation {number}: {woken:?}");
        let expected = Expected::of(&inner);
        assert_eq!(expected.records, 3 * 3 * 2 * 4 + 3 * 2 * 3 + 4, "{what}");
        expected.check_now(&store, &what);
        two_rounds_at(&store, at("09T12:00:00")).expect("another goes on");
        expected.check_settled(&store, &what);
    }
}

#[test]
fn a_worker_frozen_anywhere_while_its_range_is_committed_and_retired_adds_nothing() {
    let begun = begun();
    let records_before = Expected::of(&begun).records;
    let mut fenced = 0;
    for number in 1.. {
        let inner = Arc::new(begun.fork());
        let (store, meanwhile) = (Store::of(inner.clone()), Store::of(inner.clone()));
        let lines = events(60_000, at("04T23:30:00"));
        let others = {
            let lines = lines.clone();
            move || {
                let now = at("05T00:00:00");
                commit(&meanwhile, &partition("0"), &lines, now).expect("the new owner commits the same records");
                for n in 0..3 {
                    commit(&meanwhile, &partition("0"), &events(61_000 + n, at("05T00:00:00")), now).expect("and more");
                }
                two_rounds(&meanwhile).expect("compacts");
            }
        };
        let frozen = FaultyStore::with_listings(inner.clone(), number, Fault::Frozen(Arc::new(others)));
        let (id, now) = (partition("0"), at("05T00:00:00"));
        let committed = runtime().block_on(async {
            let mut log = PartitionLog::recover(&Store::of(frozen.clone()), id.clone()).await?;
            let before = log.end();
            let entry = commit_to(&mut log, &lines, now).await?;
            assert!(entry.start == before);
            Ok::<_, CommitError>(entry)
        });
        if !frozen.was_reached() {
            committed.expect("without a fault it works");
            assert!(fenced > 3, "only {fenced} were fenced");
            return;
        }
        let what = format!("frozen at operation {number}: {:?}", committed.as_ref().map(|entry| entry.start));
        let expected = Expected::of(&inner);
        // Whose commit went through counts once more, since this worker does not read anew; who is fenced adds nothing,
        // unless its entry was true, and retired while it slept behind it.
        let by_it = expected.records - records_before - 4 * 2;
        match &committed {
            Ok(_) => assert_eq!(by_it, 2, "{what}"),
            Err(CommitError::Fenced { by, .. }) if by.contains("retired") => assert!([0, 2].contains(&by_it), "{what}"),
            Err(CommitError::Fenced { .. }) => assert_eq!(by_it, 0, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        fenced += u32::from(committed.is_err());
        expected.check_now(&store, &what);
        two_rounds(&store).expect("compacts");
        expected.check_settled_but_for_days(&store, &what);
        let chain = verified(&store);
        assert_eq!(chain.accounting.counted, chain.accounting.events - chain.accounting.duplicates, "{what}");
    }
}

#[test]
fn a_worker_frozen_anywhere_while_what_is_before_its_range_is_retired_commits() {
    let begun = begun();
    let records_before = Expected::of(&begun).records;
    for number in 1.. {
        let inner = Arc::new(begun.fork());
        let (store, meanwhile) = (Store::of(inner.clone()), Store::of(inner.clone()));
        let others = move || two_rounds(&meanwhile).expect("compacts");
        let frozen = FaultyStore::with_listings(inner.clone(), number, Fault::Frozen(Arc::new(others)));
        let lines = events(60_000, at("04T23:30:00"));
        let committed = commit(&Store::of(frozen.clone()), &partition("0"), &lines, at("05T00:00:00"));
        committed.unwrap_or_else(|error| panic!("frozen at operation {number}: {error}"));
        let expected = Expected::of(&inner);
        assert_eq!(expected.records, records_before + 2, "frozen at operation {number}");
        two_rounds(&store).expect("compacts");
        expected.check_settled_but_for_days(&store, &format!("frozen at operation {number}"));
        if !frozen.was_reached() {
            return;
        }
    }
}

impl Expected {
    fn check_settled_but_for_days(&self, store: &Store, what: &str) {
        self.check_now(store, what);
        self.check_current(store, what);
        assert!(tables(&by_glob(store)) == self.tables, "{what}: a reader by glob finds other rows");
    }
}

#[test]
fn a_range_that_was_retired_cannot_be_committed_again() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    let id = partition("0");
    let runtime = runtime();
    // Two that slept: one that knew nothing yet, and one behind the first entry.
    let mut first = runtime.block_on(PartitionLog::recover(&store, id.clone())).expect("recovers");
    write(&store, 1..=1);
    let mut second = runtime.block_on(PartitionLog::recover(&store, id.clone())).expect("recovers");
    write(&store, 2..=4);
    compact(&store, at(LATER)).expect("compacts");
    let expected = Expected::of(&inner);
    for log in [&mut first, &mut second] {
        let late = runtime.block_on(commit_to(log, &events(1, at("01T00:30:00")), at("01T01:00:00")));
        let error = late.expect_err("is refused");
        assert!(matches!(&error, CommitError::Fenced { by, .. } if by.contains("retired")), "{error}");
        expected.check_settled(&store, "after it woke up");
        assert!(objects(&store, "_staging").is_empty());
    }
    // Killed right after its entry was written: the entry is no entry, and is swept.
    let retired = runtime.block_on(Retired::newest(&store, &id)).expect("read").expect("is there");
    assert_eq!((retired.begin, retired.entries), (0, 11));
    for number in 1.. {
        let now_there = inner.clone();
        let inner = Arc::new(InMemory::new());
        let faulty = FaultyStore::with_listings(inner.clone(), number, Fault::Crash);
        // It recovered when nothing was there.
        let recovered = runtime.block_on(PartitionLog::recover(&Store::of(faulty.clone()), id.clone()));
        let Ok(mut log) = recovered else { continue };
        runtime.block_on(copy_all(&now_there, &inner));
        let late = runtime.block_on(commit_to(&mut log, &events(1, at("01T00:30:00")), at("01T01:00:00")));
        let store = Store::of(inner.clone());
        expected.check_now(&store, &format!("killed at operation {number}"));
        runtime.block_on(ghostlight::store::commit::recover_all(&store)).expect("recovers");
        two_rounds(&store).expect("compacts");
        expected.check_settled(&store, &format!("killed at operation {number}"));
        assert!(objects(&store, "_staging").is_empty());
        if !faulty.was_reached() {
            assert!(matches!(late, Err(CommitError::Fenced { .. })));
            return;
        }
    }
}

/// Puts everything that `from` has into `to`.
async fn copy_all(from: &InMemory, to: &InMemory) {
    let store = Store::of(Arc::new(from.fork()));
    for object in store.list("").await.expect("listed") {
        let bytes = store.read(&object.location).await.expect("read");
        to.put(&object.location, bytes.into()).await.expect("written");
    }
}

#[test]
fn late_partials_make_the_next_generation() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=4);
    compact(&store, at("06T00:00:00")).expect("compacts");
    let generation = |number| format!("_generations/date=2026-11-01/{number:010}.json");
    assert!(objects(&store, "_generations").contains(&generation(1)));
    commit(&store, &partition("1"), &events(77_777, at("01T12:00:00")), at("06T01:00:00")).expect("commits");
    let expected = Expected::of(&inner);
    let round = compact(&store, at("06T02:00:00")).expect("compacts");
    assert_eq!((round.generations, round.merged_files), (1, 4));
    assert!(objects(&store, "_generations").contains(&generation(2)));
    assert!(!objects(&store, "_generations").contains(&generation(1)), "the one before has gone");
    expected.check_settled(&store, "late");
}

#[test]
fn what_a_generation_holds_stays_until_it_has_held_it_for_long_enough() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=2);
    let expected = Expected::of(&inner);
    let settings = CompactSettings { keep: Duration::from_secs(86_400), ..AT_ONCE };
    let raw = objects(&store, "event_counts");
    let hour = 3_600_000;
    let begin = at("05T00:00:00");
    for (hours, gone) in [(0, false), (12, false), (23, false), (24, true)] {
        compact_by(&store, settings, after(begin, hours * hour)).expect("compacts");
        assert_eq!(objects(&store, "event_counts") != raw, gone, "after {hours} h");
        assert_eq!(objects(&store, "_ledger").len() == 2, gone, "after {hours} h");
        expected.check_now(&store, "while it waits");
        expected.check_current(&store, "while it waits");
    }
    // Today's files wait for the hour, those of earlier days for a day; and readers by glob find them as they are.
    commit(&store, &partition("0"), &events(1, at("06T00:10:00")), at("06T00:11:00")).expect("commits");
    commit(&store, &partition("0"), &events(2, at("01T00:10:00")), at("06T00:12:00")).expect("commits");
    let settings = CompactSettings::default();
    for (now, generations) in [("06T01:10:00", 0), ("06T01:11:00", 1), ("06T23:00:00", 0), ("07T00:12:00", 1)] {
        let round = compact_by(&store, settings, at(now)).expect("compacts");
        assert_eq!(round.generations, generations, "at {now}");
    }
}

#[test]
fn followers_see_every_row_once_whenever_compaction_goes_on() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    let runtime = runtime();
    let mut follower = Follower::new(store.clone());
    let mut folded = Partial::default();
    let anew = AtomicU64::new(0);
    let poll = |follower: &mut Follower, folded: &mut Partial| {
        let take = |seen| match seen {
            Seen::Rows(rows) => folded.merge(&rows),
            Seen::Anew => {
                anew.fetch_add(1, Ordering::Relaxed);
                *folded = Partial::default();
            }
        };
        runtime.block_on(follower.poll(take)).expect("polls")
    };
    for day in 1..=4 {
        write(&store, day..=day);
        assert!(poll(&mut follower, &mut folded) > 0);
        compact(&store, after(at("01T00:00:00"), (day + 1) * DAY_MS)).expect("compacts");
        assert_eq!(poll(&mut follower, &mut folded), 0, "what was merged is not new");
        assert!(tables(&folded) == committed(&store), "day {day}");
    }
    assert_eq!(anew.load(Ordering::Relaxed), 0, "who keeps up never begins anew");
    // Files go before it has read them.
    commit(&store, &partition("0"), &events(1, at("04T12:00:00")), at("05T00:00:00")).expect("commits");
    commit(&store, &partition("0"), &events(2, at("04T12:01:00")), at("05T00:00:00")).expect("commits");
    compact(&store, at(LATER)).expect("compacts");
    assert!(poll(&mut follower, &mut folded) > 0);
    assert_eq!(anew.load(Ordering::Relaxed), 1);
    assert!(tables(&folded) == committed(&store));
    // What else a follower tells is as of every entry, gone or not.
    let fresh: Vec<_> = {
        let mut fresh = Follower::new(store.clone());
        runtime.block_on(fresh.poll(|_| {})).expect("polls");
        fresh.partitions().map(|one| (one.progress.clone(), one.accounting, one.tenants.clone())).collect()
    };
    let raw = Store::of(Arc::new(InMemory::new()));
    write(&raw, 1..=4);
    commit(&raw, &partition("0"), &events(1, at("04T12:00:00")), at("05T00:00:00")).expect("commits");
    commit(&raw, &partition("0"), &events(2, at("04T12:01:00")), at("05T00:00:00")).expect("commits");
    let mut of_raw = Follower::new(raw);
    runtime.block_on(of_raw.poll(|_| {})).expect("polls");
    let of_raw: Vec<_> =
        of_raw.partitions().map(|one| (one.progress.clone(), one.accounting, one.tenants.clone())).collect();
    assert_eq!(fresh, of_raw);
}

#[test]
fn altered_and_missing_files_of_compaction_are_found() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=4);
    compact(&store, at(LATER)).expect("compacts");
    let runtime = runtime();
    let problems = |inner: &Arc<InMemory>| {
        runtime.block_on(ghostlight::store::verify::verify(&Store::of(inner.clone()))).expect("verifies").problems
    };
    for (prefix, problem) in [
        ("_compacted/active_users", "missing"),
        ("_compacted/event_counts", "altered"),
        ("event_counts", "altered"),
        ("_ledger", "missing"),
        (".json", "gap"),
        (".ids", "altered"),
        ("daily", "altered"),
        ("_compacted/daily", "altered"),
    ] {
        let damaged = Arc::new(inner.fork());
        let path = match prefix.starts_with('.') {
            true => objects(&store, "_retired").into_iter().find(|path| path.ends_with(prefix)).expect("is there"),
            false => objects(&store, prefix)[0].clone(),
        };
        let path = Path::from(path);
        runtime.block_on(async {
            match problem {
                "altered" => damaged.put(&path, b"altered".to_vec().into()).await.map(drop),
                _ => damaged.delete(&path).await,
            }
            .expect("done");
        });
        let found = problems(&damaged);
        assert!(found.iter().any(|text| text.contains(problem)), "{path}: {found:?}");
    }
    // A copy that is gone, whichever it is; who compacts from then on copies it again.
    let copies: Vec<_> = DATASETS.iter().flat_map(|dataset| objects(&store, dataset)).collect();
    assert!(copies.len() > 4 * 4, "{copies:?}");
    for copy in copies {
        let lost = Arc::new(inner.fork());
        runtime.block_on(lost.delete(&Path::from(copy.as_str()))).expect("done");
        let found = problems(&lost);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{copy}: missing")), "{copy}: {found:?}");
        compact(&Store::of(lost.clone()), at(LATER)).expect("compacts");
        assert_eq!(problems(&lost), Vec::<String>::new(), "{copy}");
    }
    // A raw file beside the copy that holds its rows: readers by glob would count it twice.
    let doubled = Arc::new(InMemory::new());
    let store = Store::of(doubled.clone());
    write(&store, 1..=4);
    let raw = objects(&store, "event_counts")[0].clone();
    let bytes = runtime.block_on(store.read(&Path::from(raw.as_str()))).expect("read");
    let keep_entries = CompactSettings { entries_min: 1000, ..AT_ONCE };
    compact_by(&store, keep_entries, at(LATER)).expect("compacts");
    assert_eq!(problems(&doubled), Vec::<String>::new());
    runtime.block_on(doubled.put(&Path::from(raw.as_str()), bytes.into())).expect("written");
    assert!(problems(&doubled).iter().any(|text| text.contains("doubled")));
    // Damage is not merged into what is good.
    let altered = Arc::new(begun().fork());
    let store = Store::of(altered.clone());
    let raw =
        objects(&store, "event_counts").into_iter().find(|path| !path.contains("compacted-")).expect("a raw file");
    let other = objects(&store, "active_users")[0].clone();
    let bytes = runtime.block_on(store.read(&Path::from(other.as_str()))).expect("read");
    runtime.block_on(altered.put(&Path::from(raw.as_str()), bytes.into())).expect("written");
    let error = compact(&store, at(LATER)).expect_err("is refused");
    assert!(error.to_string().contains("altered"), "{error}");
}

/// `cargo bench --bench error` does so for 50 seeds, and prints how far off they are.
#[test]
fn a_lost_generation_is_an_error_to_all_who_read_and_changes_nothing() {
    let inner = Arc::new(InMemory::new());
    write(&Store::of(inner.clone()), 1..=4);
    compact(&Store::of(inner.clone()), at(LATER)).expect("compacts");
    let whole = committed(&Store::of(inner.clone()));
    let date = "_generations/date=2026-11-02/";
    for all in [false, true] {
        let lost = Arc::new(inner.fork());
        let store = Store::of(lost.clone());
        for path in objects(&store, date).iter().filter(|path| all || path.ends_with(".json")) {
            runtime().block_on(lost.delete(&Path::from(path.as_str()))).expect("deleted");
        }
        let before = objects(&store, "");
        let refused = [
            compact(&store, at(LATER)).map(drop),
            runtime().block_on(ghostlight::store::compact::current(&store)).map(drop),
            runtime().block_on(Follower::new(store.clone()).read(|_| {})),
        ];
        for result in refused {
            let error = result.expect_err("is refused").to_string();
            assert!(
                error.contains(if all { "under _generations/" } else { date }) && error.contains("is lost"),
                "{error}"
            );
        }
        assert_eq!(objects(&store, ""), before);
        assert!(!runtime().block_on(ghostlight::store::verify::verify(&store)).expect("verifies").problems.is_empty());
    }
    assert!(whole == committed(&Store::of(inner)));
}

#[test]
fn lost_ids_are_told_and_nothing_is_counted_twice_by_going_on_without_them() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=2);
    let raw = Arc::new(inner.fork());
    compact(&store, at(LATER)).expect("compacts");
    for (inner, prefix) in [(raw, "_ids"), (inner, "_retired")] {
        let store = Store::of(inner.clone());
        let ids = objects(&store, prefix).into_iter().filter(|path| path.ends_with(".ids"));
        let ids: Vec<_> = ids.filter(|path| path.contains("/0/")).collect();
        for path in &ids {
            let lost = Arc::new(inner.fork());
            let store = Store::of(lost.clone());
            runtime().block_on(lost.delete(&Path::from(path.as_str()))).expect("deleted");
            let found = runtime().block_on(ghostlight::store::verify::verify(&store)).expect("verifies").problems;
            assert!(found.iter().any(|text| text.contains(path) && text.contains("missing")), "{path}: {found:?}");
            let again = || {
                runtime().block_on(async {
                    PartitionLog::recover(&store, partition("0")).await?.dedupe(1_000).await.map(drop)
                })
            };
            let error = again().expect_err("is refused").to_string();
            assert!(error.contains(path), "{error}");
            let all = || runtime().block_on(ghostlight::store::commit::dedupe_of_all(&store, 1_000)).map(drop);
            assert!(all().is_err());
            runtime().block_on(lost.put(&Path::from(path.as_str()), Vec::new().into())).expect("written");
            again().expect("goes on without them");
            all().expect("goes on without them");
        }
    }
}

#[test]
fn without_the_sum_of_retired_entries_nobody_goes_on() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=2);
    compact(&store, at(LATER)).expect("compacts");
    for path in objects(&store, "_retired").iter().filter(|path| path.ends_with(".json")) {
        runtime().block_on(inner.delete(&Path::from(path.as_str()))).expect("deleted");
    }
    let again = runtime()
        .block_on(async { PartitionLog::recover(&store, partition("0")).await?.dedupe(1_000).await.map(drop) });
    assert!(again.expect_err("is refused").to_string().contains("is lost"));
    let all = runtime().block_on(ghostlight::store::commit::dedupe_of_all(&store, 1_000)).map(drop);
    assert!(all.expect_err("is refused").to_string().contains("is lost"));
}

#[test]
fn a_lost_day_that_is_smaller_than_what_is_not_retired_yet_is_an_error_too() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    // A day of few events is retired, and more than that lies in generations beside its entries.
    commit(&store, &partition("0"), &events(1, at("01T12:00:00")), at("01T12:30:00")).expect("commits");
    commit(&store, &partition("0"), &events(2, at("01T13:00:00")), at("01T13:30:00")).expect("commits");
    compact(&store, at("06T00:00:00")).expect("compacts");
    let keep_entries = CompactSettings { entries_min: 1000, ..AT_ONCE };
    for n in 0..20 {
        let now = at("06T12:00:00");
        commit(&store, &partition("0"), &events(100 + n, after(now, -60_000)), now).expect("commits");
    }
    compact_by(&store, keep_entries, at("09T00:00:00")).expect("compacts");
    assert!(!objects(&store, "_retired").is_empty());
    runtime().block_on(Follower::new(store.clone()).read(|_| {})).expect("reads");
    for path in objects(&store, "_generations/date=2026-11-01/") {
        runtime().block_on(inner.delete(&Path::from(path.as_str()))).expect("deleted");
    }
    for error in [
        compact_by(&store, keep_entries, at("09T00:00:00")).map(drop),
        runtime().block_on(ghostlight::store::compact::current(&store)).map(drop),
        runtime().block_on(Follower::new(store.clone()).read(|_| {})),
    ] {
        let error = error.expect_err("is refused").to_string();
        assert!(error.contains("is lost"), "{error}");
    }
}

#[test]
fn what_a_ledger_or_a_generation_says_of_a_file_is_held_against_it() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=2);
    let raw = Arc::new(inner.fork());
    compact(&store, at(LATER)).expect("compacts");
    let alter = |inner: &Arc<InMemory>, path: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let altered = Arc::new(inner.fork());
        let store = Store::of(altered.clone());
        let bytes = runtime().block_on(store.read(&Path::from(path))).expect("is there");
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        change(&mut value);
        runtime().block_on(altered.put(&Path::from(path), value.to_string().into_bytes().into())).expect("written");
        store
    };
    let verified =
        |store: &Store| runtime().block_on(ghostlight::store::verify::verify(store)).map(|report| report.problems);
    let read = |store: &Store| runtime().block_on(ghostlight::store::compact::current(store)).map(drop);
    let generation = objects(&store, "_generations").into_iter().find(|path| path.ends_with(".json")).expect("one");
    let entry = objects(&Store::of(raw.clone()), "_ledger").pop().expect("one");
    for (inner, path) in [(&inner, &generation), (&raw, &entry)] {
        let store = alter(inner, path, &|value| value["files"][0]["rows"] = serde_json::json!(5_000));
        let problems = verified(&store).expect("verifies");
        assert!(problems.iter().any(|text| text.contains("5000 were recorded of it")), "{problems:?}");
        let store = alter(inner, path, &|value| value["files"][0]["dataset"] = serde_json::json!("n2m_tokens"));
        let error = read(&store).expect_err("is refused").to_string();
        assert!(error.contains("no dataset is called so"), "{error}");
    }
    // By another nonce its files would be swept.
    let store = alter(&inner, &generation, &|value| value["nonce"] = serde_json::json!("0123456789abcdef"));
    assert!(compact(&store, at(LATER)).expect_err("is refused").to_string().contains("with its nonce"));
    let store = alter(&inner, &generation, &|value| value["merged"][0]["end"] = serde_json::json!(93_553_841));
    assert!(verified(&store).expect("verifies").iter().any(|text| text.contains("further than its ledger goes")));
    let error = read(&store).expect_err("is refused").to_string();
    assert!(error.contains(&generation) && error.contains("up to 93553841"), "{error}");
}

#[test]
fn views_that_are_not_what_the_lists_say_are_told() {
    let inner = begun();
    let store = Store::of(inner.clone());
    compact(&store, at(LATER)).expect("compacts");
    let runtime = runtime();
    let notes = || runtime.block_on(ghostlight::store::verify::verify(&store)).expect("verifies").notes;
    let views = Path::from("_current/views.sql");
    let whole = runtime.block_on(store.read(&views)).expect("is there");
    assert_eq!(notes(), Vec::<String>::new());
    // Written where the data lay under another name.
    let moved = String::from_utf8(whole.to_vec()).expect("text");
    let base = moved.split_once("\n    '").and_then(|(_, rest)| rest.split_once("/_compacted")).expect("a path").0;
    for (text, is_well) in [
        (moved.replace(base, "/mnt/it's"), false),
        (moved.replace(base, "/mnt/it''s"), true),
        (moved[..moved.len() / 2].to_owned(), false),
        (moved.replacen("VIEW daily", "VIEW dialy", 1), false),
        (moved.clone(), true),
    ] {
        runtime.block_on(inner.put(&views, text.into_bytes().into())).expect("written");
        let notes = notes();
        let is_told = notes.iter().any(|note| note.contains("views.sql is not what the lists beside it say"));
        assert_eq!(is_told, !is_well, "{notes:?}");
    }
    runtime.block_on(inner.delete(&views)).expect("deleted");
    assert_eq!(notes().len(), 1);
    compact(&store, at(LATER)).expect("compacts");
    assert_eq!(notes(), Vec::<String>::new());
    assert_eq!(runtime.block_on(store.read(&views)).expect("is there"), whole);
}

#[test]
fn a_folder_that_is_somebody_elses_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (is_well, said) = output(ghostlight().arg("compact").arg(folder.path()));
    assert!(!is_well && said.contains("no ledger, so nothing ghostlight wrote"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_months_users_by_day_are_those_by_window_in_registers_and_the_bounds_hold_the_truth() {
    for (users, seeds) in [(100_u64, 3), (10_000, 3), (1_000_000, 1)] {
        for seed in 0..seeds {
            let (by_window, by_day) = runtime().block_on(month(users, seed));
            assert_eq!(by_day, by_window, "{users} users, seed {seed}");
            let (exact, found) = (users as f64, by_day.1);
            assert!((found.lower..=found.upper).contains(&exact), "{users} users, seed {seed}: {found:?}");
            let error = (found.estimate / exact - 1.0).abs();
            assert!(error <= 3.0 * Precision::DEFAULT.standard_error(), "{users} users, seed {seed}: {found:?}");
        }
    }
}

/// A file that is lost is said to be by whoever reads once, or begins to compact.
#[test]
fn what_was_seen_of_a_generation_is_not_listed_again() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    write(&store, 1..=4);
    compact_by(&store, KEPT, at("05T00:00:00")).expect("compacts");
    let counted = FaultyStore::with_listings(inner, u64::MAX, Fault::Before);
    // So young that nothing is due, and nothing is swept.
    let now = at("05T00:00:01");
    runtime().block_on(async {
        let mut compactor = Compactor::new(Store::of(counted.clone()), KEPT);
        let mut operations = Vec::new();
        for _ in 0..3 {
            let before = counted.operations();
            assert_eq!(compactor.round(now).await.expect("a round"), Round::default());
            operations.push(counted.operations() - before);
        }
        let read = |at: usize| operations[at];
        // The first one reads the entries and generations as well.
        assert!(read(0) > read(1) && read(1) == read(2), "{operations:?}");
        assert_eq!(counted.listed("_compacted"), 1 + 3, "once for what is lost, and by each sweep");
    });
}

/// Twelve partitions flushed every minute for a year are 6.3 million entries. What has to be bounded does not depend on how
/// long a minute is, only on how many flushes there are in `keep` and in an `interval`: so here a day has 8 flushes instead
/// of 1440, and a year 60 days; that is enough for what grows with the year to show. `cargo bench --bench year` has more.
#[test]
fn files_entries_and_what_a_start_has_to_read_stay_bounded() {
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    let runtime = runtime();
    let settings = CompactSettings { entries_min: 8, ..CompactSettings::default() };
    let year = Year { partitions: 3, days: 60, flushes: 8, settings };
    let mut most: BTreeMap<i64, [usize; 4]> = BTreeMap::new();
    let mut end = Level::default();
    let tell = |day, level: Level| {
        let Level { raw_files, entries, id_files, start_operations, .. } = level;
        let of_days = most.entry(day / 20).or_default();
        for (most, now) in of_days.iter_mut().zip([raw_files, entries, id_files, start_operations]) {
            *most = (*most).max(now);
        }
        end = level;
    };
    runtime.block_on(year.run(&inner, tell)).expect("compacts");
    println!("most of raw files, entries, id files, operations of a start, by 20 days: {most:?}");
    let [first, .., last] = [most[&0], most[&1], most[&2]];
    for (first, last) in first.iter().zip(&last) {
        assert!(*last <= first + first / 4 + 8, "it grows: {most:?}");
    }
    let report = verified(&store);
    assert_eq!(report.entries, end.commits);
    // What a generation a day comes to, with its files and copies, is what a year has.
    let generations = runtime.block_on(Generations::read(&store)).expect("read");
    assert_eq!(generations.winners().count() as i64, year.days);
    let days = year.days as usize;
    assert!(end.objects < 16 * days + 60 * end.commits / days, "{end:?}");
    // A reader takes a generation and its files a day, and what is not merged yet.
    assert!(end.read_operations < 5 * days + end.entries + 3 * end.raw_files + 50, "{end:?}");
    assert!(runtime.block_on(ledger::partitions(&store)).expect("listed").len() == year.partitions);
}
