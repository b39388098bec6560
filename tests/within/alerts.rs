//! Alerts, on the store: any number of readers and restarts decide each transition once, and every channel gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ghostlight::alert::episode::{EpisodeSettings, Timing};
use ghostlight::alert::journal::{self, Journal};
use ghostlight::alert::outbox::{self, Outbox, Round};
use ghostlight::alert::silence::Silence;
use ghostlight::alert::{Alert, Condition, Level, Severity, Status};
use ghostlight::event::{EventTime, WindowLength};
use ghostlight::store::verify::verify;
use ghostlight::store::{Location, Store, StoreError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::faulty_store::{Fault, FaultyStore};
use crate::schemas::{described_keys, keys_of, problems, schema};

const TENANT: &str = "acme";
const LENGTH: WindowLength = WindowLength::FIVE_MINUTES;
const CHANNELS: [&str; 2] = ["oncall", "chat"];
const MINUTE: i64 = 60_000;

/// The end of window `n`.
fn end(n: usize) -> EventTime {
    EventTime::from_ms(1_793_491_200_000 + n as i64 * i64::from(LENGTH.seconds()) * 1000)
}

/// The first window that ends after `after`.
fn window_after(after: Option<EventTime>) -> usize {
    let windows = |after: EventTime| after.since_ms(end(0)).div_euclid(i64::from(LENGTH.seconds()) * 1000) + 1;
    after.map_or(0, windows).max(0) as usize
}

/// What every window says of each subject, and how it is decided.
#[derive(Debug, Clone)]
struct History {
    timing: Timing,
    silences: Vec<Silence>,
    /// A letter a window: `+` on, `~` between, `-` clear, ` ` not mentioned.
    subjects: Vec<String>,
}

impl History {
    fn new(for_windows: u32, clear_windows: u32, subjects: &[&str]) -> Self {
        Self {
            timing: Timing { for_windows, clear_windows, repeat: None },
            silences: Vec::new(),
            subjects: subjects.iter().map(|levels| (*levels).to_owned()).collect(),
        }
    }

    fn repeated_every(mut self, windows: u64) -> Self {
        self.timing.repeat = Some(Duration::from_secs(windows * u64::from(LENGTH.seconds())));
        self
    }

    fn silenced_until(mut self, window: usize) -> Self {
        let reason = "maintenance".to_owned();
        let subject = Some("subject 0".to_owned());
        self.silences.push(Silence { rule: None, tenant: None, subject, until: end(window), reason });
        self
    }

    fn settings(&self) -> EpisodeSettings {
        let timings = BTreeMap::from([("spike", self.timing)]);
        EpisodeSettings { window: LENGTH, timings, silences: self.silences.clone() }
    }

    fn windows(&self) -> usize {
        self.subjects.iter().map(String::len).max().unwrap_or_default()
    }

    fn conditions(&self, window: usize) -> Vec<Condition> {
        let level = |letter| match letter {
            b'+' => Some(Level::On),
            b'~' => Some(Level::Between),
            b'-' => Some(Level::Clear),
            _ => None,
        };
        let said = self.subjects.iter().enumerate().filter_map(|(subject, levels)| {
            let level = level(*levels.as_bytes().get(window)?)?;
            Some(Condition {
                rule: "spike",
                severity: Severity::Critical,
                tenant: TENANT.to_owned(),
                key: subject.to_string(),
                subject: format!("subject {subject}"),
                level,
                for_windows: 0,
                title: "failed logins spike".to_owned(),
                summary: format!("window {window}: {level:?}"),
                evidence: vec![("events".to_owned(), window.to_string())],
                fix: Some("look at it".to_owned()),
            })
        });
        said.collect()
    }
}

/// A wall clock that only the test moves. It begins now, since the store dates objects by the real one.
#[derive(Clone)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(ghostlight::clock::now().ms())))
    }

    fn now(&self) -> EventTime {
        EventTime::from_ms(self.0.load(Ordering::SeqCst))
    }

    fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// What a channel was sent: alert, sequence, and the window that decided.
type Sent = (&'static str, String, u64, EventTime);

/// Channels that take what they are sent.
#[derive(Clone, Default)]
struct Channels(Arc<Mutex<Vec<Sent>>>);

impl Channels {
    fn take(&self, channel: &str, alert: &Alert) {
        let channel = CHANNELS.into_iter().find(|name| *name == channel).expect("one of ours");
        self.0.lock().expect("no test panicked").push((channel, alert.id.clone(), alert.sequence, alert.at));
    }

    fn all(&self) -> Vec<Sent> {
        self.0.lock().expect("no test panicked").clone()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

/// A reader, from its start to the end of history; after that many errors it dies.
async fn read(
    store: &Store,
    history: &History,
    clock: &Clock,
    channels: &Channels,
    mut patience: u32,
) -> Result<(), StoreError> {
    let mut bear = |error| {
        patience = patience.checked_sub(1).ok_or(error)?;
        Ok::<_, StoreError>(())
    };
    let mut journal = loop {
        match Journal::open(store, history.settings()).await {
            Ok(journal) => break journal,
            Err(error) => bear(error)?,
        }
    };
    let mut outbox = loop {
        match Outbox::open(&journal, &CHANNELS, clock.now()).await {
            Ok(outbox) => break outbox,
            Err(error) => bear(error)?,
        }
    };
    let after = loop {
        match journal.wanted_after(TENANT).await {
            Ok(after) => break after,
            Err(error) => bear(error)?,
        }
    };
    for window in window_after(after)..history.windows() {
        while let Err(error) = journal.sync().await {
            bear(error)?;
        }
        while let Err(error) = journal.observe(TENANT, end(window), &history.conditions(window), clock.now()).await {
            bear(error)?;
        }
        while let Err(error) = deliver(&mut outbox, clock, channels).await {
            bear(error)?;
        }
        while let Err(error) = journal.note_evaluated().await {
            bear(error)?;
        }
    }
    Ok(())
}

async fn deliver(outbox: &mut Outbox, clock: &Clock, channels: &Channels) -> Result<Round, StoreError> {
    let send = |channel: String, alert| async move {
        channels.take(&channel, &alert);
        Ok::<(), String>(())
    };
    outbox.deliver(|| clock.now(), send).await
}

/// A reader that nothing happens to, also delivering what others left.
async fn finish(store: &Store, history: &History, clock: &Clock, channels: &Channels) {
    read(store, history, clock, channels, 0).await.expect("works");
    let journal = Journal::open(store, history.settings()).await.expect("opens");
    let mut outbox = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
    for _ in 0..10 {
        if deliver(&mut outbox, clock, channels).await.expect("delivers").waiting == 0 {
            return;
        }
        clock.pass(60 * MINUTE);
    }
    panic!("something waits for ever");
}

async fn objects(store: &Store) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for object in store.list("_alerts").await.expect("listed") {
        let bytes = store.read(&object.location).await.expect("read");
        found.insert(object.location.to_string(), serde_json::from_slice(&bytes).expect("JSON"));
    }
    found
}

/// Every entry by its path, without what differs between processes.
async fn entries(store: &Store) -> BTreeMap<String, Value> {
    let mut entries = objects(store).await;
    entries.retain(|_, object| object.get("alert").is_some());
    for entry in entries.values_mut() {
        let fields = entry.as_object_mut().expect("an object");
        fields.remove("nonce").expect("is there");
        fields.remove("decided_at").expect("is there");
    }
    entries
}

/// The journal of one reader that never stopped.
fn undisturbed(history: &History) -> BTreeMap<String, Value> {
    let store = Store::of(Arc::new(InMemory::new()));
    block_on(async {
        read(&store, history, &Clock::new(), &Channels::default(), 0).await.expect("works");
        entries(&store).await
    })
}

/// `F`ired, `R`esolved, or the number of a repeat, in the order of windows; in brackets what is silenced.
fn told(entries: &BTreeMap<String, Value>) -> String {
    let mut all: Vec<_> = entries.values().collect();
    all.sort_by_key(|entry| (entry["alert"]["at"].to_string(), entry["alert"]["id"].to_string()));
    let mut text = String::new();
    for entry in all {
        let letter = match (&entry["repeat"], entry["alert"]["status"].as_str()) {
            (Value::Number(number), _) => number.to_string(),
            (_, Some("firing")) => "F".to_owned(),
            _ => "R".to_owned(),
        };
        match entry.get("silenced") {
            Some(_) => write!(text, "({letter})").expect("written"),
            None => text += &letter,
        }
    }
    text
}

/// Alert, sequence and window of what the channels must have had; and of repeats, which may be overtaken.
fn to_send(entries: &BTreeMap<String, Value>) -> (BTreeSet<Sent>, BTreeSet<Sent>) {
    let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries.values().filter(|entry| entry.get("silenced").is_none()) {
        let alert: Alert = serde_json::from_value(entry["alert"].clone()).expect("an alert");
        for channel in CHANNELS {
            let sent = (channel, alert.id.clone(), alert.sequence, alert.at);
            if entry.get("repeat").is_some() {
                may.insert(sent)
            } else {
                must.insert(sent)
            };
        }
    }
    (must, may)
}

/// What was sent, and has no marker.
async fn unmarked(store: &Store, sent: &[Sent]) -> BTreeSet<Sent> {
    let objects = objects(store).await;
    let has_marker = |(channel, id, sequence, at): &Sent| {
        objects.iter().any(|(path, entry)| {
            let alert = &entry["alert"];
            let is_it = alert["id"] == *id && alert["sequence"] == *sequence && alert["at"] == at.to_string();
            is_it && objects.contains_key(&path.replace(".json", &format!(".{channel}.sent.json")))
        })
    };
    sent.iter().filter(|sent| !has_marker(sent)).cloned().collect()
}

/// Every page at least once, in order; twice only where `twice` allows it.
fn check_sent(sent: &[Sent], expected: &BTreeMap<String, Value>, twice: &BTreeSet<Sent>, what: &str) {
    let (must, may) = to_send(expected);
    let mut times: BTreeMap<&Sent, usize> = BTreeMap::new();
    let mut last: BTreeMap<(&str, &str), (u64, EventTime)> = BTreeMap::new();
    for page in sent {
        assert!(must.contains(page) || may.contains(page), "{what}: {page:?} is in no entry");
        let times = times.entry(page).or_default();
        *times += 1;
        assert!(*times == 1 || (twice.contains(page) && *times == 2), "{what}: {page:?} was sent {times} times");
        let last = last.entry((page.0, page.1.as_str())).or_insert((0, EventTime::from_ms(i64::MIN)));
        assert!(*last <= (page.2, page.3), "{what}: {page:?} came after {last:?}");
        *last = (page.2, page.3);
    }
    for page in &must {
        assert!(times.contains_key(page), "{what}: {page:?} was never sent");
    }
}

/// Something of everything: several episodes, what ends early, hysteresis, repeats, a silence that ends.
fn eventful() -> History {
    History::new(2, 2, &["-++++++++--~++--", "+-++~--  ", "---++++++++++++-"]).repeated_every(4).silenced_until(6)
}

#[test]
fn one_reader_writes_and_sends_each_transition_once() {
    let history = eventful();
    let expected = undisturbed(&history);
    assert_eq!(told(&expected), "(F)FFR(1)01R2FR");
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    block_on(finish(&store, &history, &clock, &channels));
    check_sent(&channels.all(), &expected, &BTreeSet::new(), "one reader");
    let (must, may) = to_send(&expected);
    assert_eq!(channels.all().len(), must.len() + may.len(), "repeats too, since nothing overtook them");
}

#[test]
fn three_readers_and_ten_restarts_page_once() {
    let history = History::new(1, 1, &["-++++-"]);
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    crate::support::runtime().block_on(async {
        for _ in 0..10 {
            // Really at once, on several threads.
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    let (store, history) = (store.clone(), history.clone());
                    let (clock, channels) = (clock.clone(), channels.clone());
                    tokio::spawn(async move { read(&store, &history, &clock, &channels, 0).await })
                })
                .collect();
            for reader in readers {
                reader.await.expect("ends").expect("works");
            }
        }
        finish(&store, &history, &clock, &channels).await;
        assert_eq!(told(&entries(&store).await), "FR");
    });
    assert_eq!(channels.all().len(), 2 * CHANNELS.len());
}

/// Runs with `fault` at operation 1, 2, 3, … until it is no longer reached. A reader with `patience` lives on; one without
/// dies, and another comes after its lease.
fn at_every_operation(history: &History, fault: &Fault, patience: u32, what: &str) -> u64 {
    let expected = undisturbed(history);
    for at in 1.. {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
        let faulty = FaultyStore::new(inner, at, fault.clone());
        let first = block_on(read(&Store::of(faulty.clone()), history, &clock, &channels, patience));
        if patience > 0 || !faulty.was_reached() {
            first.expect("it lives on");
        }
        let what = format!("{what} at operation {at}");
        block_on(async {
            let twice = unmarked(&store, &channels.all()).await;
            assert!(patience == 0 || twice.is_empty(), "{what}: whoever lives marks what it sent");
            clock.pass(5 * MINUTE);
            finish(&store, history, &clock, &channels).await;
            assert_eq!(entries(&store).await, expected, "{what}");
            check_sent(&channels.all(), &expected, &twice, &what);
        });
        if !faulty.was_reached() {
            return at;
        }
    }
    unreachable!("the operations end")
}

#[test]
fn a_failed_operation_anywhere_changes_no_decision_and_no_page() {
    let operations = at_every_operation(&eventful(), &Fault::Before, 3, "failed");
    assert!(operations > 100, "only {operations} operations: the test does not reach the protocol");
}

#[test]
fn a_lost_answer_anywhere_changes_no_decision_and_no_page() {
    at_every_operation(&eventful(), &Fault::After, 3, "answer lost");
}

#[test]
fn a_crash_before_any_operation_loses_nothing_and_repeats_only_what_has_no_marker() {
    at_every_operation(&eventful(), &Fault::Crash, 0, "crash");
}

#[test]
fn a_crash_after_any_operation_loses_nothing_and_repeats_only_what_has_no_marker() {
    at_every_operation(&eventful(), &Fault::CrashAfter, 0, "crash after");
}

#[test]
fn a_reader_frozen_anywhere_while_another_takes_over_repeats_only_what_has_no_marker() {
    let history = eventful();
    let expected = undisturbed(&history);
    for at in 1.. {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
        let twice = Arc::new(Mutex::new(BTreeSet::new()));
        let meanwhile = {
            let (store, history, clock) = (store.clone(), history.clone(), clock.clone());
            let (channels, twice) = (channels.clone(), twice.clone());
            move || {
                block_on(async {
                    *twice.lock().expect("unpoisoned") = unmarked(&store, &channels.all()).await;
                    clock.pass(5 * MINUTE);
                    finish(&store, &history, &clock, &channels).await;
                });
            }
        };
        let frozen = FaultyStore::new(inner.clone(), at, Fault::Frozen(Arc::new(meanwhile)));
        let what = format!("frozen at operation {at}");
        block_on(async {
            read(&Store::of(frozen.clone()), &history, &clock, &channels, 0).await.expect("it wakes up and goes on");
            assert_eq!(entries(&store).await, expected, "{what}");
            clock.pass(5 * MINUTE);
            finish(&store, &history, &clock, &channels).await;
        });
        check_sent(&channels.all(), &expected, &twice.lock().expect("unpoisoned"), &what);
        if !frozen.was_reached() {
            return;
        }
    }
}

fn histories() -> impl Strategy<Value = History> {
    // Rows, so that something comes of them.
    let row = (prop_oneof![4 => Just("+"), 3 => Just("-"), 1 => Just("~"), 1 => Just(" ")], 1_usize..5);
    let levels = proptest::collection::vec(row, 1..10)
        .prop_map(|rows| rows.into_iter().map(|(letter, length)| letter.repeat(length)).collect::<String>());
    let subjects = proptest::collection::vec(levels, 1..4);
    (subjects, 1_u32..4, 1_u32..4, proptest::option::of(1_u64..5), proptest::option::of(0_usize..20)).prop_map(
        |(subjects, for_windows, clear_windows, repeat, silence)| {
            let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
            let mut history = History::new(for_windows, clear_windows, &subjects);
            if let Some(windows) = repeat {
                history = history.repeated_every(windows);
            }
            if let Some(window) = silence {
                history = history.silenced_until(window);
            }
            history
        },
    )
}

/// One of the readers, between two windows.
struct Reader {
    journal: Journal,
    next: usize,
}

impl Reader {
    async fn start(store: &Store, history: &History) -> Self {
        let journal = Journal::open(store, history.settings()).await.expect("opens");
        let after = journal.wanted_after(TENANT).await.expect("reads");
        Self { journal, next: window_after(after) }
    }

    async fn step(&mut self, history: &History, now: EventTime) {
        let window = self.next;
        self.journal.observe(TENANT, end(window), &history.conditions(window), now).await.expect("works");
        self.next += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_and_restarts_of_three_readers_give_the_journal_of_one(
        history in histories(),
        schedule in proptest::collection::vec((0_usize..3, 0_u8..10), 0..150),
    ) {
        let expected = undisturbed(&history);
        let store = Store::of(Arc::new(InMemory::new()));
        let now = Clock::new().now();
        let found = block_on(async {
            let mut readers = Vec::new();
            for _ in 0..3 {
                readers.push(Reader::start(&store, &history).await);
            }
            for (reader, action) in schedule {
                let reader = &mut readers[reader];
                match action {
                    0 => *reader = Reader::start(&store, &history).await,
                    1 => reader.journal.sync().await.expect("works"),
                    2 => reader.journal.note_evaluated().await.expect("works"),
                    _ if reader.next < history.windows() => reader.step(&history, now).await,
                    _ => {}
                }
            }
            for reader in &mut readers {
                while reader.next < history.windows() {
                    reader.step(&history, now).await;
                }
            }
            entries(&store).await
        });
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_is_lost_of_evaluated_costs_only_windows_seen_again() {
    let history = eventful();
    let expected = undisturbed(&history);
    let inner = Arc::new(InMemory::new());
    let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
    block_on(async {
        finish(&store, &history, &clock, &channels).await;
        let path = Path::from("_alerts/_evaluated/acme.json");
        let before = store.read(&path).await.expect("is there");
        let (pages, last) = (channels.all().len(), history.windows() - 1);
        assert_eq!(serde_json::from_slice::<Value>(&before).expect("JSON")["window_end"], end(last).to_string());
        for damage in [&b"{"[..], b"{\"format\": 99}"] {
            inner.put(&path, damage.to_vec().into()).await.expect("written");
            let journal = Journal::open(&store, history.settings()).await.expect("opens");
            assert_eq!(journal.wanted_after(TENANT).await.expect("reads"), None);
            finish(&store, &history, &clock, &channels).await;
            assert_eq!(store.read(&path).await.expect("mended"), before);
        }
        inner.delete(&path).await.expect("deleted");
        finish(&store, &history, &clock, &channels).await;
        assert_eq!(entries(&store).await, expected);
        assert_eq!(channels.all().len(), pages, "and nobody is paged again");
        // A reader that is behind does not take it back.
        let mut behind = Journal::open(&store, history.settings()).await.expect("opens");
        behind.observe(TENANT, end(3), &history.conditions(3), clock.now()).await.expect("works");
        behind.note_evaluated().await.expect("works");
        assert_eq!(store.read(&path).await.expect("is there"), before);
    });
}

#[test]
fn what_was_over_long_before_the_first_reader_came_is_written_down_and_not_sent() {
    // Over for an hour and more, firing still, and over for less.
    let history = History::new(1, 1, &["-+~-----------+", "----------+++++", "----------+----"]);
    let (store, clock) = (Store::of(Arc::new(InMemory::new())), Clock(Arc::new(AtomicI64::new(end(16).ms()))));
    let (channels, one_reader) = (Channels::default(), undisturbed(&history));
    block_on(async {
        let mut journal = Journal::open(&store, history.settings()).await.expect("opens");
        let mut outbox = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
        for window in 0..14 {
            journal.observe_unwritten(TENANT, end(window), &history.conditions(window));
        }
        assert_eq!(entries(&store).await, BTreeMap::new());
        journal.observed_first(TENANT, clock.now()).await.expect("works");
        assert_eq!(told(&entries(&store).await), "(F)(R)FFR");
        // It all goes on from there.
        journal.observe(TENANT, end(14), &history.conditions(14), clock.now()).await.expect("works");
        assert_eq!(told(&entries(&store).await), "(F)(R)FFRF");
        deliver(&mut outbox, &clock, &channels).await.expect("delivers");
        let sent = |subject: usize| {
            let id = history.conditions(10)[subject].id();
            let of_subject =
                |(channel, alert, sequence, _): Sent| (channel == CHANNELS[0] && alert == id).then_some(sequence);
            channels.all().into_iter().filter_map(of_subject).collect::<Vec<_>>()
        };
        assert_eq!([sent(0), sent(1), sent(2)], [vec![2], vec![0], vec![0, 1]]);
        // Where an earlier reader told of the beginning, the end is told, however old.
        let (other, before) = (Store::of(Arc::new(InMemory::new())), end(1));
        let mut journal = Journal::open(&other, history.settings()).await.expect("opens");
        journal.observe(TENANT, end(1), &history.conditions(1), before).await.expect("works");
        let mut journal = Journal::open(&other, history.settings()).await.expect("opens");
        (2..14).for_each(|window| journal.observe_unwritten(TENANT, end(window), &history.conditions(window)));
        journal.observed_first(TENANT, clock.now()).await.expect("works");
        assert_eq!(told(&entries(&other).await), "FRFFR");
        // But for the silence, it is what one reader that never stopped had decided.
        let without = |mut entries: BTreeMap<String, Value>| {
            for entry in entries.values_mut() {
                entry.as_object_mut().expect("an object").remove("silenced");
            }
            entries
        };
        assert_eq!(without(entries(&store).await), one_reader);
    });
}

#[test]
fn a_reader_sees_only_the_last_windows_again() {
    let history = History::new(3, 2, &["++++++"]);
    let (store, clock) = (Store::of(Arc::new(InMemory::new())), Clock::new());
    block_on(async {
        read(&store, &history, &clock, &Channels::default(), 0).await.expect("works");
        let journal = Journal::open(&store, history.settings()).await.expect("opens");
        assert_eq!(journal.wanted_after(TENANT).await.expect("reads"), Some(end(2)));
        assert_eq!(journal.wanted_after("another").await.expect("reads"), None);
        assert_eq!(journal.tenants().collect::<Vec<_>>(), [TENANT]);
        assert_eq!(journal.firing().map(|alert| alert.sequence).collect::<Vec<_>>(), [0]);
    });
}

#[test]
fn the_first_decision_holds_also_where_another_reader_saw_other_windows() {
    // Late events came in between: the second reader sees the condition a window later, and its end not at all.
    let (first, second) = (History::new(1, 1, &["-+++-+"]), History::new(1, 1, &["--++++++-"]));
    let (store, clock) = (Store::of(Arc::new(InMemory::new())), Clock::new());
    block_on(async {
        let (mut one, mut other) = (Reader::start(&store, &first).await, Reader::start(&store, &second).await);
        for _ in 0..3 {
            one.step(&first, clock.now()).await;
            other.step(&second, clock.now()).await;
        }
        assert_eq!(other.journal.firing().map(|alert| alert.at).collect::<Vec<_>>(), [end(1)]);
        for _ in 3..6 {
            one.step(&first, clock.now()).await;
        }
        other.journal.sync().await.expect("works");
        for _ in 3..9 {
            other.step(&second, clock.now()).await;
        }
        let found = entries(&store).await;
        let at: Vec<_> = found.values().map(|entry| entry["alert"]["at"].as_str().expect("text")).collect();
        let expected: Vec<_> = [1, 4, 5, 8].map(|window| end(window).to_string()).into();
        assert_eq!((at, told(&found).as_str()), (expected.iter().map(String::as_str).collect(), "FRFR"));
    });
}

#[test]
fn what_another_reader_resolved_is_not_repeated() {
    let repeated = |levels| History::new(1, 1, &[levels]).repeated_every(2);
    let (first, second) = (repeated("+-----"), repeated("++++++"));
    let (store, clock) = (Store::of(Arc::new(InMemory::new())), Clock::new());
    block_on(async {
        let (mut one, mut other) = (Reader::start(&store, &first).await, Reader::start(&store, &second).await);
        other.step(&second, clock.now()).await;
        one.step(&first, clock.now()).await;
        one.step(&first, clock.now()).await;
        // The other has not heard of it when its repeat is due.
        other.step(&second, clock.now()).await;
        other.step(&second, clock.now()).await;
        assert_eq!(told(&entries(&store).await), "FR");
        assert_eq!(other.journal.firing().count(), 0);
    });
}

/// A store on which one alert fires, undelivered, and the clock by which it did.
fn firing() -> (Store, Arc<InMemory>, Clock, History) {
    let history = History::new(1, 1, &["-++"]);
    let inner = Arc::new(InMemory::new());
    (Store::of(inner.clone()), inner, Clock::new(), history)
}

async fn journal_of(store: &Store, history: &History, clock: &Clock) -> Journal {
    let mut journal = Journal::open(store, history.settings()).await.expect("opens");
    for window in 0..history.windows() {
        journal.observe(TENANT, end(window), &history.conditions(window), clock.now()).await.expect("works");
    }
    journal
}

#[test]
fn what_its_writer_did_not_send_is_taken_over_after_the_lease() {
    let (store, _, clock, history) = firing();
    let channels = Channels::default();
    block_on(async {
        // Each has seen the channel before the alert fired.
        let other = Journal::open(&store, history.settings()).await.expect("opens");
        let mut other = Outbox::open(&other, &CHANNELS, clock.now()).await.expect("opens");
        let journal = journal_of(&store, &history, &clock).await;
        let mut third =
            Outbox::open(&Journal::open(&store, history.settings()).await.expect("opens"), &CHANNELS, clock.now())
                .await
                .expect("opens");
        clock.pass(outbox::LEASE.as_millis() as i64 - 1);
        let waiting = Round { waiting: 2, ..Round::default() };
        assert_eq!(deliver(&mut other, &clock, &channels).await.expect("works"), waiting);
        clock.pass(1);
        let sent = Round { sent: 2, ..Round::default() };
        assert_eq!(deliver(&mut other, &clock, &channels).await.expect("works"), sent);
        for outbox in [&mut other, &mut third] {
            clock.pass(60 * MINUTE);
            assert_eq!(deliver(outbox, &clock, &channels).await.expect("works"), Round::default());
        }
        let mut writer = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
        assert_eq!(deliver(&mut writer, &clock, &channels).await.expect("works"), Round::default());
        assert_eq!(channels.all().len(), 2);
    });
}

/// What a writer that died did not send.
async fn left_behind(store: &Store, history: &History, clock: &Clock) {
    let journal = journal_of(store, history, clock).await;
    Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
    clock.pass(outbox::LEASE.as_millis() as i64);
}

#[test]
fn a_reader_that_takes_over_sends_in_the_same_round_whatever_fails_once() {
    let history = History::new(1, 1, &["-+-", "-++"]);
    for fault in [Fault::Before, Fault::After] {
        for at in 1.. {
            let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
            let faulty = FaultyStore::new(inner, at, fault.clone());
            block_on(async {
                left_behind(&store, &history, &clock).await;
                let journal = Journal::open(&store, history.settings()).await.expect("opens");
                let journal = match Journal::open(&Store::of(faulty.clone()), history.settings()).await {
                    Ok(other) => other,
                    Err(_) => journal,
                };
                let Ok(mut outbox) = Outbox::open(&journal, &CHANNELS, clock.now()).await else { return };
                let first = deliver(&mut outbox, &clock, &channels).await;
                let second = deliver(&mut outbox, &clock, &channels).await.expect("one operation fails");
                assert_eq!(second.waiting, 0, "operation {at}: {first:?}");
                assert!(first.is_err() || first.is_ok_and(|first| first.waiting == 0), "operation {at}");
                check_sent(&channels.all(), &entries(&store).await, &BTreeSet::new(), &format!("operation {at}"));
            });
            if !faulty.was_reached() {
                break;
            }
        }
    }
}

#[test]
fn nothing_is_sent_by_a_lease_that_ran_out_while_the_reader_was_frozen() {
    let history = History::new(1, 1, &["-++"]);
    for at in 1.. {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, clock) = (Store::of(inner.clone()), Clock::new());
        let later = clock.clone();
        let frozen = FaultyStore::new(inner, at, Fault::Frozen(Arc::new(move || later.pass(5 * MINUTE))));
        block_on(async {
            left_behind(&store, &history, &clock).await;
            let journal = Journal::open(&Store::of(frozen.clone()), history.settings()).await.expect("opens");
            let mut outbox = Outbox::open(&journal, &["chat"], clock.now()).await.expect("opens");
            let send = async |_: String, _: Alert| {
                let mut claims = objects(&store).await.into_iter().filter(|(path, _)| path.contains(".claim-"));
                let taken = claims.next_back().expect("a claim").1["at"].clone();
                let taken = EventTime::parse(taken.as_str().expect("text")).expect("a time");
                let left_ms = outbox::LEASE.as_millis() as i64 - clock.now().since_ms(taken);
                assert!(left_ms >= outbox::SEND_MAX.as_millis() as i64, "operation {at}: {left_ms} ms are left");
                Ok::<(), String>(())
            };
            let mut rounds = 0;
            while outbox.deliver(|| clock.now(), send).await.expect("works").waiting > 0 {
                clock.pass(MINUTE);
                rounds += 1;
                assert!(rounds < 10, "it is sent in the end");
            }
        });
        if !frozen.was_reached() {
            return;
        }
    }
}

#[test]
fn what_its_writer_is_sending_when_its_lease_ends_is_not_sent_again() {
    let history = History::new(1, 1, &["-++"]);
    for at in 1.. {
        let inner = Arc::new(InMemory::new());
        let (store, clock) = (Store::of(inner.clone()), Clock::new());
        // The lease ends, and the writer's marker arrives, after the other reader has listed what is sent.
        let meanwhile = {
            let (store, inner, clock) = (store.clone(), inner.clone(), clock.clone());
            move || {
                block_on(async {
                    for path in entries(&store).await.keys() {
                        let marker = Path::from(path.replace(".json", ".chat.sent.json"));
                        inner.put(&marker, b"{}".to_vec().into()).await.expect("written");
                    }
                });
                clock.pass(MINUTE - 1);
            }
        };
        let frozen = FaultyStore::new(inner.clone(), at, Fault::Frozen(Arc::new(meanwhile)));
        block_on(async {
            journal_of(&store, &history, &clock).await;
            let other = Journal::open(&Store::of(frozen.clone()), history.settings()).await.expect("opens");
            let mut other = Outbox::open(&other, &["chat"], clock.now()).await.expect("opens");
            clock.pass(outbox::LEASE.as_millis() as i64 - MINUTE + 1);
            let send = async |_: String, _: Alert| {
                let is_sent = objects(&store).await.keys().any(|path| path.ends_with(".sent.json"));
                assert!(!is_sent, "frozen at operation {at}");
                Ok::<(), String>(())
            };
            for _ in 0..3 {
                other.deliver(|| clock.now(), send).await.expect("works");
                clock.pass(MINUTE);
            }
        });
        if !frozen.was_reached() {
            return;
        }
    }
}

#[test]
fn a_window_whose_entry_could_not_be_written_is_wanted_again_and_not_noted_before() {
    let history = History::new(1, 1, &["-+"]);
    let mut failures = 0;
    for at in 1.. {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, now) = (Store::of(inner.clone()), Clock::new().now());
        let faulty = FaultyStore::new(inner, at, Fault::Before);
        block_on(async {
            let mut journal = Journal::open(&Store::of(faulty.clone()), history.settings()).await.expect("lists");
            journal.observe(TENANT, end(0), &history.conditions(0), now).await.expect("nothing to write");
            if journal.observe(TENANT, end(1), &history.conditions(1), now).await.is_err() {
                failures += 1;
                journal.note_evaluated().await.expect("works");
                assert!(!objects(&store).await.contains_key("_alerts/_evaluated/acme.json"), "operation {at}");
                assert_eq!(journal.wanted_after(TENANT).await.expect("is known"), Some(end(0)));
                let ours = journal.observe(TENANT, end(1), &history.conditions(1), now).await.expect("works");
                assert_eq!(ours.len(), 1);
            }
            assert_eq!(journal.wanted_after(TENANT).await.expect("is known"), Some(end(1)));
            assert_eq!(told(&entries(&store).await), "F");
        });
        if !faulty.was_reached() {
            break;
        }
    }
    assert_eq!(failures, 1, "there is one write");
}

#[test]
fn a_reader_knows_its_own_entries_also_where_an_answer_was_lost() {
    let history = History::new(1, 1, &["-++--+"]).repeated_every(1);
    for at in 1.. {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (store, now) = (Store::of(inner.clone()), Clock::new().now());
        let faulty = FaultyStore::new(inner, at, Fault::After);
        block_on(async {
            let mut journal = Journal::open(&Store::of(faulty.clone()), history.settings()).await.expect("lists");
            let mut ours = 0;
            for window in 0..history.windows() {
                // One operation fails, so the second time works.
                for _ in 0..2 {
                    let conditions = history.conditions(window);
                    ours += journal.observe(TENANT, end(window), &conditions, now).await.map_or(0, |ours| ours.len());
                }
            }
            assert_eq!(ours, 4, "operation {at}");
            assert_eq!(told(&entries(&store).await), "F1RF");
        });
        if !faulty.was_reached() {
            return;
        }
    }
}

#[test]
fn a_writer_that_was_busy_renews_its_lease_before_it_sends() {
    let (store, _, clock, history) = firing();
    let channels = Channels::default();
    block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        let mut outbox = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
        clock.pass(MINUTE);
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works").sent, 2);
        let claims = objects(&store).await.into_keys().filter(|path| path.contains(".claim-1.")).count();
        assert_eq!(claims, 2);
    });
}

#[test]
fn a_channel_that_fails_is_tried_again_with_growing_pauses_and_holds_up_no_other() {
    let history = History::new(1, 1, &["-+-", "-++"]);
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        let mut outbox = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
        let begun = clock.now();
        let mut tries = Vec::new();
        for _ in 0..24 * 60 {
            let asked = Mutex::new(false);
            let send = async |channel: String, alert: Alert| {
                let is_refused = channel == "oncall" && alert.subject == "subject 0" && alert.status == Status::Firing;
                if is_refused && clock.now().since_ms(begun) < 200 * MINUTE {
                    *asked.lock().expect("unpoisoned") = true;
                    return Err("503 Service Unavailable");
                }
                channels.take(&channel, &alert);
                Ok(())
            };
            outbox.deliver(|| clock.now(), send).await.expect("works");
            if asked.into_inner().expect("unpoisoned") {
                tries.push(clock.now().since_ms(begun) / MINUTE);
            }
            clock.pass(MINUTE);
        }
        // The lease of the entry, then of its claims: 2, 4, 8, 16, 32, 60 minutes; then it gets through.
        assert_eq!(tries, [0, 2, 6, 14, 30, 62, 122, 182]);
        check_sent(&channels.all(), &entries(&store).await, &BTreeSet::new(), "in order, each once");
    });
}

#[test]
fn what_a_channel_never_takes_is_given_up_after_a_day_and_what_follows_is_sent() {
    let history = History::new(1, 1, &["-+-"]);
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    block_on(async {
        let mut reader = Reader::start(&store, &history).await;
        let mut outbox = Outbox::open(&reader.journal, &["oncall"], clock.now()).await.expect("opens");
        let mut sum = Round::default();
        for minute in 0..26 * 60 {
            if minute % 60 == 0 && reader.next < history.windows() {
                reader.step(&history, clock.now()).await;
            }
            let send = async |channel: String, alert: Alert| match alert.status {
                Status::Firing => Err("400 Bad Request"),
                Status::Resolved => {
                    channels.take(&channel, &alert);
                    Ok(())
                }
            };
            let round = outbox.deliver(|| clock.now(), send).await.expect("works");
            sum = Round {
                sent: sum.sent + round.sent,
                failed: sum.failed + round.failed,
                given_up: sum.given_up + round.given_up,
                waiting: round.waiting,
            };
            clock.pass(MINUTE);
        }
        assert_eq!(sum, Round { sent: 1, failed: 28, given_up: 1, waiting: 0 });
        let objects = objects(&store).await;
        let markers = objects.into_iter().filter(|(path, _)| path.ends_with(".sent.json"));
        let given_up: Vec<_> = markers.map(|(_, marker)| marker.get("given_up").cloned()).collect();
        assert_eq!(given_up, [Some(json!("not sent within 24 h")), None]);
    });
}

#[test]
fn a_send_that_never_ends_is_a_failed_one() {
    let (store, _, clock, history) = firing();
    let channels = Channels::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        let mut outbox = Outbox::open(&journal, &CHANNELS, clock.now()).await.expect("opens");
        let send = async |channel: String, alert: Alert| {
            if channel == "oncall" {
                std::future::pending::<()>().await;
            }
            channels.take(&channel, &alert);
            Ok::<(), String>(())
        };
        let round = outbox.deliver(|| clock.now(), send).await.expect("works");
        assert_eq!(round, Round { sent: 1, failed: 1, ..Round::default() });
    });
}

#[test]
fn a_channel_added_later_is_not_sent_what_was_before_it() {
    let history = History::new(1, 1, &["-+--+"]);
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    block_on(async {
        let mut reader = Reader::start(&store, &history).await;
        for _ in 0..3 {
            reader.step(&history, clock.now()).await;
        }
        clock.pass(5 * MINUTE);
        let mut outbox = Outbox::open(&reader.journal, &["chat"], clock.now()).await.expect("opens");
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works"), Round::default());
        for _ in 3..5 {
            reader.step(&history, clock.now()).await;
        }
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works").sent, 1);
        assert_eq!(channels.all()[0].2, 2, "the second episode");
        // Known from then on: a restart loses nothing.
        let history = History::new(1, 1, &["-+--+-"]);
        reader.step(&history, clock.now()).await;
        clock.pass(5 * MINUTE);
        let journal = Journal::open(&store, history.settings()).await.expect("opens");
        let mut outbox = Outbox::open(&journal, &["chat"], clock.now()).await.expect("opens");
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works").sent, 1);
    });
}

#[test]
fn of_repeats_left_undelivered_only_the_last_is_sent() {
    let history = History::new(1, 1, &["-+++++++-"]).repeated_every(2);
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        assert_eq!(told(&entries(&store).await), "F123R");
        let mut outbox = Outbox::open(&journal, &["chat"], clock.now()).await.expect("opens");
        deliver(&mut outbox, &clock, &channels).await.expect("works");
    });
    let at: Vec<_> =
        channels.all().iter().map(|(_, _, sequence, at)| (*sequence, window_after(Some(*at)) - 1)).collect();
    assert_eq!(at, [(0, 1), (0, 7), (1, 8)]);
}

/// Three episodes of one alert, one of another, and one with repeats that still fires; all delivered.
fn many_episodes() -> History {
    History::new(1, 1, &["-+-+-+-", "-+-", "-+-++++"]).repeated_every(1)
}

/// So late that everything is old, by a clock that the store's dates are compared with.
fn after_keeping() -> EventTime {
    EventTime::from_ms(ghostlight::clock::now().ms() + journal::KEEP.as_millis() as i64 + MINUTE)
}

#[test]
fn of_old_alerts_only_the_last_episode_is_kept_and_readers_go_on_from_it() {
    let (store, clock, channels) = (Store::of(Arc::new(InMemory::new())), Clock::new(), Channels::default());
    let history = many_episodes();
    block_on(async {
        finish(&store, &history, &clock, &channels).await;
        let before = objects(&store).await;
        assert_eq!(journal::forget(&store, clock.now()).await.expect("works"), 0, "nothing is old");
        assert_eq!(objects(&store).await, before);

        let removed = journal::forget(&store, after_keeping()).await.expect("works");
        let left = objects(&store).await;
        assert_eq!(removed as usize, before.len() - left.len());
        let gone: BTreeSet<_> = before.keys().filter(|path| !left.contains_key(*path)).collect();
        let is_old = |path: &str| path.starts_with("_alerts/spike/");
        assert!(gone.iter().all(|path| is_old(path)), "{gone:?}");
        // Of the first alert two episodes of three went, of the third one of two; each entry with its two markers.
        assert_eq!(told(&entries(&store).await).matches(['F', 'R']).count(), 5, "{:?}", left.keys());
        assert_eq!(gone.len(), 6 * 3, "{gone:?}");
        assert_eq!(journal::forget(&store, after_keeping()).await.expect("works"), 0, "once is enough");

        // What comes next is counted on, and decided as if all were there.
        let sent = channels.all().len();
        let longer = History::new(1, 1, &["-+-+-+-+", "-+----- ", "-+-+++++"]).repeated_every(100);
        finish(&store, &longer, &clock, &channels).await;
        let new: Vec<_> = channels.all()[sent..].to_vec();
        assert_eq!(new.len(), CHANNELS.len(), "one fires, for each channel: {new:?}");
        assert!(new.iter().all(|(_, _, sequence, at)| (*sequence, *at) == (6, end(7))), "{new:?}");
    });
}

#[test]
fn three_readers_that_forget_at_once_and_one_that_stops_anywhere_send_nothing_again() {
    let history = many_episodes();
    for fault in [Fault::Crash, Fault::CrashAfter, Fault::Before, Fault::After] {
        for at in 1.. {
            let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
            let faulty = FaultyStore::new(inner, at, fault.clone());
            block_on(async {
                finish(&store, &history, &clock, &channels).await;
                let (sent, decided) = (channels.all(), entries(&store).await);
                let dying = Store::of(faulty.clone());
                let stopped = journal::forget(&dying, after_keeping()).await;
                assert!(stopped.is_ok() || faulty.was_reached());
                // By the clock at which they were decided, so that what lost its marker would be sent.
                finish(&store, &history, &clock, &channels).await;
                assert_eq!(channels.all(), sent, "{at}");
                let of_all = || journal::forget(&store, after_keeping());
                let done = futures::future::join_all([of_all(), of_all(), of_all()]).await;
                assert!(done.iter().all(Result::is_ok), "{done:?}");
                finish(&store, &history, &clock, &channels).await;
                assert_eq!(channels.all(), sent, "{at}");
                let left = entries(&store).await;
                assert!(left.iter().all(|(path, entry)| decided.get(path) == Some(entry)), "{at}");
                assert_eq!(told(&left).matches(['F', 'R']).count(), 5, "{at}");
                let has_entry = |path: &String| {
                    let entry_of = |channel| path.replace(&format!(".{channel}.sent"), "");
                    CHANNELS.iter().any(|channel| left.contains_key(&entry_of(channel)))
                };
                let markers: Vec<_> =
                    objects(&store).await.into_keys().filter(|path| path.contains(".sent.")).collect();
                assert!(markers.iter().all(has_entry), "nothing is left of what went: {markers:?}");
            });
            if !faulty.was_reached() {
                assert!(at > 10, "only {at} operations");
                break;
            }
        }
    }
}

#[test]
fn an_entry_that_is_damaged_or_newer_is_refused_by_name() {
    let (store, inner, clock, history) = firing();
    block_on(async {
        journal_of(&store, &history, &clock).await;
        let path = Path::from(entries(&store).await.into_keys().next().expect("one entry"));
        let entry: Value = serde_json::from_slice(&store.read(&path).await.expect("read")).expect("JSON");
        let altered = |change: fn(&mut Value)| {
            let mut entry = entry.clone();
            change(&mut entry);
            serde_json::to_vec(&entry).expect("JSON")
        };
        let wrong = [
            b"{".to_vec(),
            altered(|entry| entry["alert"]["status"] = json!("resolved")),
            altered(|entry| entry["alert"]["sequence"] = json!(2)),
            altered(|entry| entry["alert"]["id"] = json!("spike:0")),
            altered(|entry| entry["alert"]["rule"] = json!("quota")),
            altered(|entry| entry["alert"]["since"] = json!("2099-01-01T00:00:00.000Z")),
            altered(|entry| entry["repeat"] = json!(1)),
        ];
        for bytes in wrong {
            inner.put(&path, bytes.clone().into()).await.expect("written");
            match Journal::open(&store, history.settings()).await.err() {
                Some(StoreError::Damaged { path: named, .. }) => assert_eq!(named, path.to_string()),
                other => panic!("{}: {other:?}", String::from_utf8_lossy(&bytes)),
            }
        }
        inner.put(&path, altered(|entry| entry["format"] = json!(2)).into()).await.expect("written");
        let error = Journal::open(&store, history.settings()).await.err().expect("refused");
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }), "{error}");
    });
}

#[test]
fn an_entry_that_cannot_be_read_holds_up_no_other_alert() {
    let history = History::new(1, 1, &["-++", "-++", "-++"]);
    let inner = Arc::new(InMemory::new());
    let (store, clock, channels) = (Store::of(inner.clone()), Clock::new(), Channels::default());
    block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        let first = Path::from(entries(&store).await.into_keys().next().expect("an entry"));
        inner.put(&first, b"{".to_vec().into()).await.expect("written");
        let mut outbox = Outbox::open(&journal, &["chat"], clock.now()).await.expect("opens");
        let round = deliver(&mut outbox, &clock, &channels).await.expect("works");
        assert_eq!(round, Round { sent: 2, failed: 1, ..Round::default() });
    });
}

#[test]
fn a_claim_that_cannot_be_read_is_nobodys() {
    let (store, inner, clock, history) = firing();
    let channels = Channels::default();
    block_on(async {
        journal_of(&store, &history, &clock).await;
        let entry = entries(&store).await.into_keys().next().expect("one entry");
        let claim = Path::from(entry.replace(".json", ".chat.claim-1.json"));
        inner.put(&claim, b"{".to_vec().into()).await.expect("written");
        let journal = Journal::open(&store, history.settings()).await.expect("opens");
        let mut outbox = Outbox::open(&journal, &["chat"], clock.now()).await.expect("opens");
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works").waiting, 1);
        clock.pass(2 * outbox::LEASE.as_millis() as i64);
        assert_eq!(deliver(&mut outbox, &clock, &channels).await.expect("works").sent, 1);
    });
}

#[test]
fn an_entry_is_as_described_and_no_reader_of_datasets_sees_it() {
    let described = schema("alert-journal-entry");
    let store = Store::of(Arc::new(InMemory::new()));
    let mut seen = BTreeSet::new();
    block_on(async {
        finish(&store, &eventful(), &Clock::new(), &Channels::default()).await;
        for (path, object) in objects(&store).await {
            if object.get("alert").is_some() {
                assert_eq!(problems(&described, &object), Vec::<String>::new(), "{path}");
                keys_of(&object, "", &mut seen);
            }
        }
        let report = verify(&store).await.expect("verifies");
        assert_eq!((report.problems, report.notes), (Vec::new(), Vec::new()));
        assert!(ghostlight::usage::fold(&store).await.expect("folds").counts().is_empty());
    });
    let mut all = BTreeSet::new();
    described_keys(&described, &described, "", &mut all);
    assert_eq!(seen, all);
    assert_ne!(problems(&described, &json!({ "format": 1, "alert": { "id": "Spike:0" } })), Vec::<String>::new());
}

#[test]
fn a_tenant_of_any_name_has_its_place() {
    let history = History::new(1, 1, &["-+"]);
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::new());
    let location = Location::parse(folder.path().to_str().expect("UTF-8")).expect("a location");
    let store = Store::open(&location).expect("opens");
    // What a file system takes as it is, and what it does not, also as it is written in a path; some begin alike.
    let long = ["x".repeat(248), "x".repeat(249), "x".repeat(5_000), format!("{}y", "x".repeat(4_999)), "ü".repeat(42)];
    let tenants = ["a/b", "a", "..", "_evaluated", "ü ß"].into_iter().chain(long.iter().map(String::as_str));
    block_on(async {
        for tenant in tenants.clone() {
            let mut journal = Journal::open(&store, history.settings()).await.expect("opens");
            assert_eq!(journal.wanted_after(tenant).await.expect("reads"), None, "{tenant}");
            for window in 0..2 {
                let mut conditions = history.conditions(window);
                conditions.iter_mut().for_each(|condition| condition.tenant = tenant.to_owned());
                journal.observe(tenant, end(window), &conditions, clock.now()).await.expect("works");
            }
            journal.note_evaluated().await.expect("works");
            let journal = Journal::open(&store, history.settings()).await.expect("opens");
            assert_eq!(journal.wanted_after(tenant).await.expect("reads"), Some(end(0)), "{tenant}");
        }
        assert_eq!(entries(&store).await.len(), tenants.count(), "an id each");
        let places: Vec<String> = store
            .list("_alerts/_evaluated")
            .await
            .expect("lists")
            .iter()
            .map(|object| object.location.filename().expect("a name").to_owned())
            .collect();
        // As they always were, where they fit.
        for name in ["a%2Fb", "a", "..", "_evaluated", "%C3%BC %C3%9F", &long[0]] {
            assert!(places.contains(&format!("{name}.json")), "{name} of {places:?}");
        }
    });
}

#[test]
fn channels_may_be_called_what_paths_can_hold() {
    assert!(["oncall", "Slack_2", "repeat-1", "claim-1", "sent"].into_iter().all(outbox::is_channel_name));
    assert!(!["", "a.b", "a/b", "ü", " "].into_iter().any(outbox::is_channel_name));
    let history = History::new(1, 1, &["-+"]);
    let (store, clock) = (Store::of(Arc::new(InMemory::new())), Clock::new());
    let names = ["repeat-1", "claim-1", "sent"];
    block_on(async {
        let journal = journal_of(&store, &history, &clock).await;
        let mut outbox = Outbox::open(&journal, &names, clock.now()).await.expect("opens");
        // On a task of its own, as a program does it.
        let delivered = tokio::spawn(async move {
            let send = async |_: String, _: Alert| Ok::<(), String>(());
            let first = outbox.deliver(ghostlight::clock::now, send).await.expect("works");
            (first, outbox.deliver(ghostlight::clock::now, send).await.expect("works"))
        });
        let (first, second) = delivered.await.expect("ends");
        assert_eq!((first.sent, second), (3, Round::default()));
        let again = Journal::open(&store, history.settings()).await.expect("opens");
        assert_eq!(again.firing().count(), 1);
    });
}
