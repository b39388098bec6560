//! The read side by a simulated clock: what is paged, when, and that nothing but the data decides it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ghostlight::alert::journal::Entry;
use ghostlight::alert::{Status, rules};
use ghostlight::event::{Chunk, Content, Decoder, EventTime, RecordSpan};
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::partial::{Batch, FoldSettings};
use ghostlight::run::WriteSettings;
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::ledger::PartitionId;
use ghostlight::store::{Location, Store, progress};
use ghostlight::usage::ghost::{Lifetimes, TokenUse, token_use};
use ghostlight::watch::{Watch, WatchSettings};
use object_store::memory::InMemory;

use crate::support::{Dice, config, runtime};

const MINUTE_MS: i64 = 60_000;
const TENANT: &str = "acme";
const AUDIENCE: &str = "https://api.example/";

fn at(text: &str) -> EventTime {
    EventTime::parse(&format!("2026-11-{text}:00Z")).expect("a time")
}

fn later(time: EventTime, ms: i64) -> EventTime {
    EventTime::from_ms(time.ms() + ms)
}

fn token(time: EventTime, client: &str, number: usize) -> (EventTime, Vec<u8>) {
    let record = format!(
        r#"{{"type":"seccft","date":"{time}","log_id":"{client}-{number}","tenant_name":"{TENANT}","client_id":"{client}","client_name":"{client}","audience":"{AUDIENCE}","scope":"read:data","ip":"10.0.0.1","user_agent":"axios/1.7.7","hostname":"acme.us.auth0.com"}}"#
    );
    (time, record.into_bytes())
}

/// A client that asks hourly but for the time in which its cache is broken: then twelve times a minute. Beside it a fleet
/// behind the same address, which is restarted when the cache breaks.
fn story(broken: Range<EventTime>) -> Vec<(EventTime, Vec<u8>)> {
    let mut dice = Dice(5);
    let (begin, end) = (at("22T06:00"), at("23T20:00"));
    let mut all: Vec<(EventTime, &str)> = Vec::new();
    // What is due after the break comes with it.
    let next = |time, wait_ms| match later(time, wait_ms) {
        next if time < broken.start && next > broken.start => broken.start,
        next => next,
    };
    let mut time = begin;
    while time < end {
        all.push((time, "billing"));
        let is_broken = broken.contains(&time);
        time = next(time, if is_broken { dice.roll(10_000) as i64 } else { 3_601_000 + dice.roll(100_000) as i64 });
    }
    let mut time = begin;
    while time < end {
        all.extend((0..15).map(|_| (later(time, dice.roll(50_000) as i64), "fleet")));
        time = next(time, 3_600_000);
    }
    all.sort_by_key(|(time, _)| *time);
    all.into_iter().enumerate().map(|(number, (time, client))| token(time, client, number)).collect()
}

/// Workers that commit what has happened, on a clock of the test's.
struct Workers {
    store: Store,
    settings: WriteSettings,
    partitions: Vec<Partition>,
    flush_minutes: i64,
}

struct Partition {
    log: PartitionLog,
    dedupe: Dedupe,
    events: Vec<(EventTime, Vec<u8>)>,
    done: usize,
    /// In this time it reads nothing, and says nothing.
    stuck: Range<EventTime>,
}

impl Workers {
    async fn new(events: &[(EventTime, Vec<u8>)], partitions: usize, flush_minutes: i64) -> Self {
        let store = Store::of(Arc::new(InMemory::new()));
        let mut shares: Vec<Vec<(EventTime, Vec<u8>)>> = vec![Vec::new(); partitions];
        for (number, event) in events.iter().enumerate() {
            shares[number * 7 % partitions].push(event.clone());
        }
        let mut open = Vec::new();
        for (number, events) in shares.into_iter().enumerate() {
            let id = PartitionId::new("kafka.logs", "c.t", &number.to_string());
            open.push(Partition {
                log: PartitionLog::recover(&store, id).await.expect("recovers"),
                dedupe: Dedupe::new(1000),
                events,
                done: 0,
                stuck: EventTime::from_ms(0)..EventTime::from_ms(0),
            });
        }
        let partitions = open;
        Self { store, settings: WriteSettings::new(&config("")), partitions, flush_minutes }
    }

    /// What they do until `now`: commit, and note that they are caught up.
    async fn work(&mut self, now: EventTime) {
        if now.ms() / MINUTE_MS % self.flush_minutes != 0 {
            return;
        }
        for partition in &mut self.partitions {
            if partition.stuck.contains(&now) {
                continue;
            }
            let end = partition.events.partition_point(|(time, _)| *time < now);
            let mut chunk = Chunk { start: partition.done as u64, end: end as u64, ..Chunk::default() };
            for (offset, (_, record)) in partition.events[..end].iter().enumerate().skip(partition.done) {
                let begin = chunk.bytes.len();
                chunk.bytes.extend_from_slice(record);
                let bytes = begin..chunk.bytes.len();
                chunk.records.push(RecordSpan {
                    offset: offset as u64,
                    bytes,
                    arrived: Some(now),
                    content: Content::Any,
                });
            }
            if end > partition.done {
                partition.done = end;
                let mut batch = Batch::new(chunk.start);
                let decoded = chunk.decode(&mut Decoder::new(None), now);
                batch.fold(decoded, &FoldSettings::default(), &[], &mut partition.dedupe, now);
                partition.log.commit(&batch, &self.settings.text, now).await.expect("commits");
            }
            progress::note(&self.store, partition.log.id(), partition.log.end(), now).await.expect("notes");
        }
    }
}

fn watch_settings() -> WatchSettings {
    let by_setting = BTreeMap::from([(AUDIENCE.to_owned(), 3600)]);
    let mut settings = WatchSettings::default();
    settings.rules.lifetimes = Lifetimes { by_setting, ..Lifetimes::default() };
    settings
}

/// Every transition of the ghost rules in the journal.
async fn journalled(store: &Store) -> Vec<Entry> {
    let mut entries = Vec::new();
    for object in store.list("_alerts").await.expect("lists") {
        let path = object.location.to_string();
        if !path.contains("_evaluated") && !path.contains("repeat") {
            let bytes = store.read(&object.location).await.expect("reads");
            let entry: Entry = serde_json::from_slice(&bytes).expect("an entry");
            if entry.alert.rule.starts_with(rules::GHOST_USAGE) {
                entries.push(entry);
            }
        }
    }
    entries.sort_by_key(|entry| (entry.alert.id.clone(), entry.alert.sequence));
    entries
}

/// What was decided, without who did and when by the wall clock, and without the newest evidence at that time.
fn decisions(entries: &[Entry]) -> Vec<String> {
    let told = |entry: &Entry| {
        let mut alert = entry.alert.clone();
        alert.evidence.retain(|(name, _)| !name.ends_with("log_id"));
        format!("{alert:?}")
    };
    entries.iter().map(told).collect()
}

#[test]
fn a_cache_that_breaks_is_paged_within_two_windows_and_resolves_after_the_fix() {
    runtime().block_on(async {
        let broken = at("23T14:03")..at("23T16:00");
        let mut workers = Workers::new(&story(broken.clone()), 3, 1).await;
        let mut watch = Watch::open(workers.store.clone(), watch_settings()).await.expect("opens");
        let (mut now, end) = (at("23T12:00"), at("23T19:00"));
        let mut shown_while_firing = 0;
        while now < end {
            workers.work(now).await;
            watch.round(now).await.expect("works");
            let model = watch.model(now);
            shown_while_firing += model
                .tenants
                .iter()
                .filter(|tenant| tenant.alerts.iter().any(|alert| alert.status == "firing"))
                .count();
            now = later(now, MINUTE_MS);
        }
        let entries = journalled(&workers.store).await;
        assert_eq!(entries.len(), 2, "{entries:#?}");
        let (fired, resolved) = (&entries[0].alert, &entries[1].alert);
        assert_eq!((fired.status, resolved.status), (Status::Firing, Status::Resolved));
        assert_eq!(fired.rule, rules::GHOST_USAGE);
        assert!(fired.subject.starts_with("billing"), "{fired:?}");
        // Two windows after the break, one minute of grace included, on the simulated clock.
        assert!(fired.at <= at("23T14:15") && entries[0].decided_at <= at("23T14:17"), "{:?}", entries[0]);
        assert!(fired.summary.contains("2026-11-23T14:03"), "{}", fired.summary);
        assert!(fired.fix.as_deref().is_some_and(|fix| fix.contains("deployed shortly before")), "{:?}", fired.fix);
        assert!(resolved.at > broken.end && resolved.at <= at("23T16:20"), "{resolved:?}");
        assert!(shown_while_firing > 60, "the page shows it: {shown_while_firing}");
    });
}

#[test]
fn restarts_and_three_readers_at_once_decide_what_one_reader_does() {
    runtime().block_on(async {
        let events = story(at("23T14:03")..at("23T16:00"));
        let mut journals = Vec::new();
        for (readers, restart_every) in [(1, 1000), (1, 7), (3, 1000), (3, 11)] {
            let mut workers = Workers::new(&events, 3, 1).await;
            let mut watches = Vec::new();
            let mut dice = Dice(readers as u64 * 31 + restart_every);
            let (mut now, end) = (at("23T13:00"), at("23T17:00"));
            let mut minute = 0;
            while now < end {
                workers.work(now).await;
                if minute % restart_every == 0 {
                    watches.clear();
                    for _ in 0..readers {
                        watches.push(Watch::open(workers.store.clone(), watch_settings()).await.expect("opens"));
                    }
                }
                // One of them misses some rounds.
                for watch in &mut watches {
                    if readers == 1 || dice.roll(3) > 0 {
                        watch.round(now).await.expect("works");
                    }
                }
                now = later(now, MINUTE_MS);
                minute += 1;
            }
            journals.push(decisions(&journalled(&workers.store).await));
        }
        assert_eq!(journals[0].len(), 2);
        journals.iter().for_each(|journal| assert_eq!(journal, &journals[0]));
    });
}

#[test]
fn a_partition_that_lags_holds_verdicts_back_and_resolves_nothing() {
    runtime().block_on(async {
        // The fix comes at 15:00 by the clock, while a partition is stuck from 14:30 to 14:50.
        let mut workers = Workers::new(&story(at("23T14:03")..at("23T15:00")), 2, 1).await;
        workers.partitions[1].stuck = at("23T14:30")..at("23T14:50");
        let mut watch = Watch::open(workers.store.clone(), watch_settings()).await.expect("opens");
        let (mut now, end) = (at("23T12:00"), at("23T17:00"));
        let mut held_back = Vec::new();
        while now < end {
            workers.work(now).await;
            let decided = watch.round(now).await.expect("works").decided;
            if workers.partitions[1].stuck.contains(&later(now, -3 * MINUTE_MS)) {
                assert!(decided.is_empty(), "nothing is decided while {now} is not known: {decided:?}");
            }
            held_back.extend(watch.model(now).tenants[0].held_back.clone().map(|why| (now, why)));
            now = later(now, MINUTE_MS);
        }
        let (_, why) = held_back.last().expect("it was said");
        assert!(why.contains("kafka.logs/c.t/1") && why.contains("behind"), "{why}");
        assert!(held_back.iter().all(|(when, _)| (at("23T14:30")..at("23T14:52")).contains(when)), "{held_back:?}");
        let entries = journalled(&workers.store).await;
        assert_eq!(entries.len(), 2, "{entries:#?}");
        assert!(entries[1].alert.at > at("23T15:00"), "{:?}", entries[1].alert);
    });
}

#[test]
fn any_number_of_partitions_and_any_flush_interval_give_equal_findings() {
    runtime().block_on(async {
        let events = story(at("23T14:03")..at("23T16:00"));
        let mut findings: Vec<(Vec<TokenUse>, Vec<String>)> = Vec::new();
        for (partitions, flush_minutes) in [(1, 1), (12, 1), (12, 3), (5, 10)] {
            let mut workers = Workers::new(&events, partitions, flush_minutes).await;
            let mut watch = Watch::open(workers.store.clone(), watch_settings()).await.expect("opens");
            let (mut now, end) = (at("23T13:30"), at("23T17:30"));
            while now < end {
                workers.work(now).await;
                watch.round(now).await.expect("works");
                now = later(now, MINUTE_MS);
            }
            let tokens = &watch.usage().tenant(TENANT).expect("the tenant").tokens;
            let period = at("22T00:00")..at("23T17:00");
            let settings = watch_settings().rules;
            let found = token_use(TENANT, tokens, &period, &settings.lifetimes, &settings.ghosts);
            findings.push((found, decisions(&journalled(&workers.store).await)));
        }
        assert_eq!(findings[0].1.len(), 2);
        findings.iter().for_each(|found| assert_eq!(found, &findings[0]));
    });
}

#[test]
fn a_store_that_goes_away_is_no_empty_one() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        let store = Store::open(&Location::Folder(out.clone())).expect("opens");
        let mut workers = Workers::new(&story(at("23T14:03")..at("23T16:00")), 2, 1).await;
        let mut watch = Watch::open(store.clone(), watch_settings()).await.expect("opens");
        watch.round(at("22T07:00")).await.expect("nothing is there yet");
        for partition in &mut workers.partitions {
            let id = partition.log.id().clone();
            partition.log = PartitionLog::recover(&store, id).await.expect("recovers");
        }
        workers.work(at("22T08:00")).await;
        assert!(watch.round(at("22T08:01")).await.expect("reads").entries > 0);
        std::fs::remove_dir_all(&out).expect("removed");
        let error = watch.round(at("22T08:02")).await.expect_err("nothing is left").to_string();
        assert!(error.contains("nothing is left at") && error.contains("out"), "{error}");
    });
}
