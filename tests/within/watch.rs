//! The read side by a simulated clock: what is paged, when, and that nothing but the data decides it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ghostlight::alert::episode::{Change, Transition};
use ghostlight::alert::journal::Entry;
use ghostlight::alert::{Severity, Status, rules};
use ghostlight::audit::checks::{self, Check};
use ghostlight::audit::document::Place;
use ghostlight::audit::report::Unknown;
use ghostlight::audit::standing::{Audited, Required, Standing};
use ghostlight::audit::tenant::Thing;
use ghostlight::config::{MonthlyQuota, QuotaSettings};
use ghostlight::event::{Chunk, Content, Day, Decoder, EventTime, RecordSpan};
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::partial::{Batch, FoldSettings};
use ghostlight::run::WriteSettings;
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::ledger::PartitionId;
use ghostlight::store::progress::Pause;
use ghostlight::store::{Location, Store, progress};
use ghostlight::usage::ghost::{Lifetimes, TokenUse, token_use};
use ghostlight::usage::quota::TokenQuota;
use ghostlight::watch::{self, Watch, WatchSettings};
use object_store::memory::InMemory;

use serde_json::Value;

use crate::support::{self, Dice, Server, Simulated, config, ghostlight, runtime, succeed, wait_for};

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
    /// What notes say of a time in which nobody listened.
    pause: Option<Pause>,
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
        Self { store, settings: WriteSettings::new(&config("")), partitions, flush_minutes, pause: None }
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
            progress::note(&self.store, partition.log.id(), partition.log.end(), now, self.pause).await.expect("notes");
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
fn where_nobody_listened_nothing_is_silent_until_senders_have_returned() {
    runtime().block_on(async {
        let pause = at("23T12:00")..at("23T14:00");
        let minutes =
            (0..).map(|minute| later(at("22T06:00"), minute * MINUTE_MS)).take_while(|time| *time < at("23T15:00"));
        let heard = minutes.filter(|time| !pause.contains(time));
        let events: Vec<_> = heard.enumerate().map(|(number, time)| token(time, "billing", number)).collect();
        for is_noted in [true, false] {
            let mut workers = Workers::new(&events, 1, 1).await;
            workers.partitions[0].stuck = pause.clone();
            workers.pause = is_noted.then(|| Pause { from: pause.start, returned: at("23T14:10") });
            let mut watch = Watch::open(workers.store.clone(), watch_settings()).await.expect("opens");
            let mut now = at("23T11:00");
            while now < at("23T14:30") {
                workers.work(now).await;
                watch.round(now).await.expect("works");
                now = later(now, MINUTE_MS);
            }
            let paged = workers.store.list("_alerts/silence").await.expect("lists");
            assert_eq!(paged.is_empty(), is_noted, "{paged:?}");
        }
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

/// The required check of these audits, which is one of applications.
fn required_check() -> &'static Check {
    checks::all().find(|check| check.id == "client-grant-implicit").expect("a required check")
}

/// What an audit found of these applications, and which it could not look at; all of them if it was not run.
fn audited(found: &[&str], unknown: Option<&[&str]>, now: EventTime) -> Audited {
    let check = required_check();
    let thing = |name: &&str| Thing {
        kind: "application",
        name: (*name).to_owned(),
        id: None,
        place: Place::of("clients"),
        is_unnamed: false,
    };
    let required =
        |name: &&str| Required { check, subject: thing(name).subject(), evidence: vec!["implicit".to_owned()] };
    let standing = Standing {
        at: now,
        events: None,
        open: [found.len() as u64, 0, 0],
        accepted: 0,
        not_run: 0,
        required: found.iter().map(required).collect(),
        unknown: unknown
            .map(|names| Unknown { check, things: names.iter().map(thing).collect() })
            .into_iter()
            .collect(),
    };
    Audited {
        tenant: TENANT.to_owned(),
        source: "tenant/".to_owned(),
        unused_days: 30,
        problem: None,
        reading: None,
        lifetimes: BTreeMap::from([(AUDIENCE.to_owned(), 1800)]),
        standing: Some(standing),
    }
}

async fn audit_alerts(store: &Store) -> Vec<(String, Status)> {
    let mut found = Vec::new();
    for object in store.list("_alerts/audit").await.expect("lists") {
        let entry: Entry =
            serde_json::from_slice(&store.read(&object.location).await.expect("reads")).expect("an entry");
        found.push((entry.decided_at, entry.alert.subject.clone(), entry.alert.status));
    }
    found.sort_by_key(|(at, subject, _)| (*at, subject.clone()));
    found.into_iter().map(|(_, subject, status)| (subject, status)).collect()
}

#[test]
fn a_required_finding_is_paged_once_and_resolves_when_it_is_gone() {
    runtime().block_on(async {
        let mut workers = Workers::new(&story(at("23T14:03")..at("23T14:04")), 1, 1).await;
        let now = std::cell::Cell::new(at("23T12:00"));
        let step = async |workers: &mut Workers, watches: &mut [&mut Watch]| {
            for _ in 0..7 {
                workers.work(now.get()).await;
                for watch in watches.iter_mut() {
                    watch.round(now.get()).await.expect("works");
                }
                now.set(later(now.get(), MINUTE_MS));
            }
        };
        let mut settings = watch_settings();
        settings.rules.lifetimes = Lifetimes::default();
        // One reader has no audit: it says nothing of its alerts, so it resolves none.
        let mut other = Watch::open(workers.store.clone(), settings.clone()).await.expect("opens");
        settings.rules.audit(Arc::new(audited(&["A"], None, now.get())));
        let mut watch = Watch::open(workers.store.clone(), settings.clone()).await.expect("opens");
        step(&mut workers, &mut [&mut other, &mut watch]).await;
        let on = |name: &str| (format!("application {name}"), Status::Firing);
        let off = |name: &str| (format!("application {name}"), Status::Resolved);
        assert_eq!(audit_alerts(&workers.store).await, [on("A")]);
        // Shown, with how long tokens live.
        let model = watch.model(now.get());
        let shown = model.tenants[0].audit.as_ref().expect("it is audited");
        assert_eq!((shown.required, shown.findings[0].subject.as_str()), (1, "application A"));
        assert!(model.tenants[0].alerts.iter().any(|alert| alert.rule == rules::AUDIT && alert.status == "firing"));
        assert_eq!(settings.rules.lifetimes.of(TENANT, AUDIENCE).from.name(), "from the tenant's configuration");
        // A restart pages nobody again, and one more finding is one more page.
        watch.audit(audited(&["A", "B"], None, now.get()));
        let mut watch = Watch::open(workers.store.clone(), settings.clone()).await.expect("opens");
        watch.audit(audited(&["A", "B"], None, now.get()));
        step(&mut workers, &mut [&mut other, &mut watch]).await;
        assert_eq!(audit_alerts(&workers.store).await, [on("A"), on("B")]);
        // What could not be looked at stays, also for one that was started since and has never seen it; it is shown as such.
        for unknown in [&["A", "B"] as &[&str], &[]] {
            settings.rules.audit(Arc::new(audited(&[], Some(unknown), now.get())));
            let mut watch = Watch::open(workers.store.clone(), settings.clone()).await.expect("opens");
            step(&mut workers, &mut [&mut other, &mut watch]).await;
            step(&mut workers, &mut [&mut other, &mut watch]).await;
            assert_eq!(audit_alerts(&workers.store).await, [on("A"), on("B")], "{unknown:?}");
            let model = watch.model(now.get());
            let shown = &model.tenants[0].audit.as_ref().expect("it is audited").findings;
            let shown: Vec<_> = shown.iter().map(|finding| (finding.subject.as_str(), finding.is_judged)).collect();
            assert_eq!(shown, [("application A", false), ("application B", false)]);
        }
        // Of others of its kind it says nothing.
        settings.rules.audit(Arc::new(audited(&[], Some(&["B"]), now.get())));
        let mut watch = Watch::open(workers.store.clone(), settings).await.expect("opens");
        step(&mut workers, &mut [&mut other, &mut watch]).await;
        step(&mut workers, &mut [&mut other, &mut watch]).await;
        assert_eq!(audit_alerts(&workers.store).await, [on("A"), on("B"), off("A")]);
        watch.audit(audited(&[], None, now.get()));
        step(&mut workers, &mut [&mut other, &mut watch]).await;
        assert_eq!(audit_alerts(&workers.store).await, [on("A"), on("B"), off("A"), off("B")]);
    });
}

#[test]
fn what_an_audit_finds_is_told_while_no_event_comes_and_by_no_older_reading() {
    runtime().block_on(async {
        let store = Store::of(Arc::new(InMemory::new()));
        let (on, off) = (("application A".to_owned(), Status::Firing), ("application A".to_owned(), Status::Resolved));
        let mut settings = watch_settings();
        settings.rules.audit(Arc::new(audited(&["A"], None, at("23T12:00"))));
        let mut watch = Watch::open(store.clone(), settings.clone()).await.expect("opens");
        let round = watch.round(at("23T12:01")).await.expect("works");
        assert_eq!((round.windows, round.decided.len()), (0, 1));
        let alert = &round.decided[0].alert;
        assert_eq!((alert.at, alert.since), (at("23T12:00"), at("23T12:00")), "when it was looked at");
        // It shows, though nothing else is known of the tenant.
        let shown = watch.model(at("23T12:01"));
        assert_eq!(shown.tenants.len(), 1);
        assert_eq!((shown.tenants[0].tenant.as_str(), shown.tenants[0].as_of, shown.as_of), (TENANT, None, None));
        assert_eq!(shown.tenants[0].alerts.len(), 1);
        // Neither the same again, nor a restart, nor another reader.
        watch.round(at("23T12:02")).await.expect("works");
        settings.rules.audit(Arc::new(audited(&["A"], None, at("23T12:30"))));
        let mut other = Watch::open(store.clone(), settings.clone()).await.expect("opens");
        other.round(at("23T12:31")).await.expect("works");
        assert_eq!(audit_alerts(&store).await, std::slice::from_ref(&on));
        // One that found it mended, before another that still has an older reading: that one says nothing.
        watch.audit(audited(&[], None, at("23T13:00")));
        watch.round(at("23T13:01")).await.expect("works");
        for minute in 2..20 {
            other.round(later(at("23T13:00"), minute * MINUTE_MS)).await.expect("works");
        }
        other.audit(audited(&["A"], None, at("23T12:59")));
        other.round(at("23T13:21")).await.expect("works");
        assert_eq!(audit_alerts(&store).await, [on, off]);
        // No window was judged by it.
        assert!(store.list("_alerts/_evaluated").await.expect("lists").is_empty());
    });
}

#[test]
fn an_audit_changes_nothing_of_what_windows_say() {
    runtime().block_on(async {
        let mut journals = Vec::new();
        for is_audited in [false, true] {
            let mut workers = Workers::new(&story(at("23T14:03")..at("23T16:00")), 1, 1).await;
            let mut watch = Watch::open(workers.store.clone(), watch_settings()).await.expect("opens");
            let mut now = at("23T13:30");
            while now < at("23T17:00") {
                // Of moments long after the windows that are judged then, and of each minute.
                if is_audited {
                    watch
                        .audit(Audited { lifetimes: BTreeMap::new(), ..audited(&["A"], None, later(now, 86_400_000)) });
                }
                workers.work(now).await;
                watch.round(now).await.expect("works");
                now = later(now, MINUTE_MS);
            }
            assert_eq!(audit_alerts(&workers.store).await.len(), usize::from(is_audited));
            journals.push(decisions(&journalled(&workers.store).await));
        }
        assert_eq!(journals[0].len(), 2);
        assert_eq!(journals[0], journals[1]);
    });
}

#[test]
fn whoever_begins_to_watch_old_data_is_not_paged_for_what_was_over_long_ago() {
    runtime().block_on(async {
        for (broken, wanted) in [
            (at("23T14:03")..at("23T16:00"), vec![(Status::Firing, true), (Status::Resolved, true)]),
            (at("23T14:03")..at("23T20:00"), vec![(Status::Firing, false)]),
        ] {
            let mut workers = Workers::new(&story(broken), 2, 1).await;
            workers.work(at("23T20:00")).await;
            let settings = WatchSettings { look_back: Duration::from_secs(8 * 3600), ..watch_settings() };
            let mut decided = Vec::new();
            for day in [29, 30] {
                let mut watch = Watch::open(workers.store.clone(), settings.clone()).await.expect("opens");
                decided.extend(watch.round(at(&format!("{day}T00:00"))).await.expect("works").decided);
            }
            let ghosts = decided.iter().filter(|entry| entry.alert.rule == rules::GHOST_USAGE);
            let told: Vec<_> = ghosts.map(|entry| (entry.alert.status, entry.silenced.is_some())).collect();
            assert_eq!(told, wanted, "{decided:#?}");
        }
    });
}

/// What alerts of a rule would have done over these events; the data ends with the period.
async fn backtested(
    events: &[(EventTime, Vec<u8>)],
    quota: QuotaSettings,
    rule: &str,
    period: Range<EventTime>,
) -> Vec<Transition> {
    let mut workers = Workers::new(events, 1, 1).await;
    workers.work(period.end).await;
    let mut settings = watch_settings();
    settings.rules.quota = quota;
    let mut told = Vec::new();
    let tell = |transition: &Transition| told.push(transition.clone());
    assert!(watch::backtest(&workers.store, &settings, &period, tell).await.expect("works"));
    told.retain(|told| told.alert.rule == rule && !matches!(told.change, Change::Repeated(_)));
    told
}

#[test]
fn a_quota_of_users_is_paged_once_the_month_shows_that_it_will_be_used_up() {
    let login = |time: EventTime, user: i64| {
        let record = format!(
            r#"{{"type":"s","date":"{time}","log_id":"{user}-{time}","tenant_name":"{TENANT}","client_id":"web","user_id":"auth0|{user}","connection":"db","ip":"10.0.0.1","hostname":"acme.us.auth0.com"}}"#
        );
        (time, record.into_bytes())
    };
    // Sixty logins a day, of the same users each day or of others.
    let logins = |are_others: bool| {
        let login = |n: i64| {
            let day = n / 60;
            login(
                later(at("01T00:03"), (day - 31) * 24 * 60 * MINUTE_MS + n % 60 * 24 * MINUTE_MS),
                if are_others { n } else { n % 60 },
            )
        };
        (0..60 * 39).map(login).collect::<Vec<_>>()
    };
    let quota = |mau| QuotaSettings {
        monthly: MonthlyQuota { mau: Some(mau), ..MonthlyQuota::default() },
        ..QuotaSettings::default()
    };
    let begin = at("01T00:00");
    runtime().block_on(async {
        // Sixty by the month's end, and far fewer than were projected on its first day.
        for mau in [140, 300] {
            let told = backtested(&logins(false), quota(mau), rules::QUOTA, begin..at("05T00:00")).await;
            assert_eq!(told, [], "{mau}");
        }
        // 1,800 by then, of which 424 are there when it is certain enough.
        let told = backtested(&logins(true), quota(1_000), rules::QUOTA, begin..at("08T00:00")).await;
        let [fired] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!((fired.change, fired.alert.severity), (Change::Fired, Severity::Warning));
        assert!(fired.alert.at > at("03T00:00"), "{fired:#?}");
    });
}

#[test]
fn an_hourly_token_quota_that_fills_each_office_hour_is_paged_once_a_day_and_anew_when_it_is_used_up() {
    // From eight to six, a token every 43 seconds, and on the second day one every 30: 83 and 120 an hour.
    let mut events = Vec::new();
    for (day, every_ms) in [("23T08:00", 43_000), ("24T08:00", 30_000)] {
        let asked = (0..36_000_000 / every_ms).map(|n| later(at(day), n * every_ms));
        for time in asked {
            events.push(token(time, "biz", events.len()));
        }
    }
    events.push(token(at("24T23:58"), "other", 0));
    let token_quota = TokenQuota { per_hour: Some(100), per_day: Some(1_000) };
    let quota =
        QuotaSettings { client_tokens: BTreeMap::from([("biz".to_owned(), token_quota)]), ..QuotaSettings::default() };
    runtime().block_on(async {
        let told = backtested(&events, quota, rules::TOKEN_QUOTA, at("23T00:00")..at("24T23:59")).await;
        let told: Vec<_> = told
            .iter()
            .map(|Transition { change, alert, .. }| {
                (*change, alert.severity, alert.at.to_string()[8..16].to_owned(), alert.title.as_str())
            })
            .collect();
        let fired = |severity, title: &str| {
            let of = |found: &&(Change, Severity, String, &str)| {
                found.0 == Change::Fired && found.1 == severity && found.3.contains(title)
            };
            told.iter().filter(of).count()
        };
        assert_eq!(fired(Severity::Warning, "of its hourly token quota"), 2, "{told:#?}");
        assert_eq!(fired(Severity::Critical, "client biz has used up its hourly token quota"), 1, "{told:#?}");
        assert_eq!(fired(Severity::Warning, "of its daily token quota"), 2, "{told:#?}");
        assert_eq!(fired(Severity::Critical, "client biz has used up its daily token quota"), 1, "{told:#?}");
        assert_eq!(told.iter().filter(|(change, ..)| *change == Change::Fired).count(), 6, "{told:#?}");
        assert_eq!(told[0].2, "23T09:00", "{told:#?}");
        assert!(told.iter().all(|(.., title)| !title.contains('(')), "{told:#?}");
    });
}

#[test]
fn a_management_api_that_hangs_does_not_keep_the_page_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    succeed(ghostlight().args(["simulate", "--events", "2000", "--days", "1", "-o"]).arg(place("events.ndjson")));
    succeed(ghostlight().arg("ingest").arg("--out").arg(place("out")).arg(place("events.ndjson")));
    // It takes connections, and never answers.
    let api = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let domain = format!("http://{}", api.local_addr().expect("an address"));
    let settings = format!(
        "[live]\ninterval = \"50ms\"\n[management]\ndomain = {domain:?}\n[audit]\ntenant = \"northwind-prod\"\n"
    );
    let watch = |settings: &Path| {
        let mut command = support::watch(settings);
        command.env("AUTH0_CLIENT_ID", "auditor").env("AUTH0_CLIENT_SECRET", "secret");
        command
    };
    let began = ghostlight::clock::monotonic();
    let server = Server::start_with(folder.path(), "watch", &settings, watch).expect("starts");
    let shown = wait_for("the tenant", || {
        let shown: Value = serde_json::from_str(&server.get("/api/v1/overview").1).expect("JSON");
        shown["overview"]["month"]["m2m_tokens"]["issued"].as_u64().is_some_and(|issued| issued > 0).then_some(shown)
    });
    // It is waited for, and no window is judged, for thirty seconds.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let audit = &shown["overview"]["audit"];
    assert_eq!(
        (audit["source"].as_str(), &audit["at"], &audit["problem"]),
        (Some(domain.as_str()), &Value::Null, &Value::Null)
    );
    server.stop();
}

#[test]
fn an_export_in_the_settings_is_on_the_page_an_alert_and_how_long_tokens_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    // Up to yesterday, so that they cover the days that what is unused is asked for.
    let since_1970 = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let today = Day::of(EventTime::from_ms(since_1970.as_millis() as i64));
    succeed(
        ghostlight()
            .args(["simulate", "--events", "30000", "--days", "8", "--start", &today.plus(-8).to_string()])
            .arg("--tenant-config")
            .arg(place("tenants"))
            .arg("-o")
            .arg(place("events.ndjson")),
    );
    succeed(ghostlight().arg("ingest").arg("--out").arg(place("out")).arg(place("events.ndjson")));
    let tenants: Vec<_> =
        std::fs::read_dir(place("tenants")).expect("a folder").map(|entry| entry.expect("one")).collect();
    let tenant = tenants[0].file_name().into_string().expect("a name");
    let audit = |config: &Path| {
        format!(
            "[live]\ninterval = \"50ms\"\n[audit]\nconfig = {config:?}\ninterval = \"50ms\"\ntenant = {tenant:?}\nunused_days = 6\n"
        )
    };
    let overview =
        |server: &Server| -> Value { serde_json::from_str(&server.get("/api/v1/overview").1).expect("JSON") };
    // There is nothing at first: that is said, and pages nobody.
    let config = place("tenants-later");
    let server = Server::start_with(folder.path(), "watch", &audit(&config), support::watch).expect("starts");
    let shown = wait_for("a problem", || {
        let shown = overview(&server)["overview"]["audit"].clone();
        shown["problem"].is_string().then_some(shown)
    });
    assert!(
        shown["at"].is_null() && shown["problem"].as_str().is_some_and(|text| text.contains("tenants-later")),
        "{shown}"
    );
    std::os::unix::fs::symlink(place("tenants").join(&tenant), &config).expect("linked");
    let shown = wait_for("an audit", || {
        let shown = overview(&server)["overview"].clone();
        (shown["audit"]["at"].is_string() && shown["audit"]["problem"].is_null()).then_some(shown)
    });
    let required = shown["audit"]["findings"].as_array().expect("findings").len();
    assert!(
        required > 0 && required as u64 <= shown["audit"]["required"].as_u64().expect("a number"),
        "{}",
        shown["audit"]
    );
    // It says the same as the command does of the same moment.
    let shown_audit = &shown["audit"];
    let at = shown_audit["at"].as_str().expect("a time");
    let output = ghostlight()
        .args(["audit", "--format", "json", "--unused-days", "6", "--as-of", at, "--config"])
        .arg(&config)
        .arg("--data")
        .arg(place("out"))
        .output()
        .expect("it runs");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (key, name) in [("required", "required"), ("recommended", "recommended"), ("best_practice", "best-practice")] {
        assert_eq!(shown_audit[key], told["open"][name], "{key}: {shown_audit} {told}");
    }
    assert_eq!(shown_audit["not_run"].as_u64(), told["not_run"].as_array().map(|all| all.len() as u64));
    assert!(told["findings"].as_array().expect("findings").iter().any(|one| one["check"] == "connection-unused"));
    let has =
        |check: &str| shown_audit["findings"].as_array().expect("findings").iter().any(|one| one["check"] == check);
    assert!(has("organizations-bypassed") && has("client-callback-localhost"), "{shown_audit}");
    assert!(shown_audit["events"].as_str().is_some_and(|text| text.contains("in 6 days")), "{shown_audit}");
    let of_configuration = |ghost: &Value| ghost["lifetime_from"] == "from the tenant's configuration";
    assert!(
        shown["ghosts"].as_array().is_some_and(|ghosts| ghosts.iter().any(of_configuration)),
        "{}",
        shown["ghosts"]
    );
    server.stop();
}

#[test]
fn quotas_of_organizations_and_enterprise_connections_are_paged_too() {
    let simulated = Simulated::new(6_000, 4, 77);
    let out = simulated.ingest_into("out");
    let settings = simulated.path("settings.toml");
    let said = |quota: u64| {
        let text = format!("[quota]\norganizations = {quota}\nenterprise_connections = {quota}\n");
        std::fs::write(&settings, text).expect("written");
        succeed(ghostlight().args(["alerts", "backtest", "--data"]).arg(&out).arg("--config").arg(&settings))
    };
    let used_up = said(1);
    for name in ["active organizations", "active enterprise connections"] {
        assert_eq!(used_up.matches(&format!("quota of {name} is used up")).count(), 1, "{used_up}");
    }
    assert!(!said(1_000).contains("quota of active"));
}
