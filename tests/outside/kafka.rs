//! Kafka against a real broker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ghostlight::clock::{monotonic, now};
use ghostlight::event::EventTime;
use ghostlight::simulate::{Simulation, Truth};
use ghostlight::store::progress;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use rustix::fs::{CWD, RenameFlags};

use crate::support::kafka::{Broker, PASSWORD, USER};
use crate::support::{
    Dice, Server, committed_but_for_lateness, config, dead_letters, ingest, open, run, runtime, verified,
    write_simulation,
};

/// After this long something hangs. Long, since a test that waits says nothing of speed, and this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

fn wait_while(is_so: impl Fn() -> bool, log: impl Fn() -> String) {
    let began = monotonic();
    while is_so() {
        assert!(began.elapsed() < PATIENCE, "{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", broker.address()).create().expect("an admin client")
}

fn create_topic(broker: &Broker, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    topic.config = settings.to_vec();
    let made = runtime().block_on(admin(broker).create_topics([&topic], &AdminOptions::new())).expect("it answers");
    made.into_iter().for_each(|result| drop(result.expect("the topic is made")));
}

fn producer(broker: &Broker, more: &[(&str, &str)]) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.address())
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000");
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// Sends, waiting where the producer's queue is full.
fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, partition: i32, key: &[u8], value: &[u8]) {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    while let Err((_, back)) = producer.send(record) {
        record = back;
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn flush(producer: &ThreadedProducer<DefaultProducerContext>) {
    producer.flush(PATIENCE).expect("everything is acknowledged");
}

/// Produces a simulation, each event to the partition of its place modulo, copies with the original: as a gateway that
/// keys by log_id would.
fn produce(broker: &Broker, topic: &str, partitions: i32, simulation: &Simulation, more: &[(&str, &str)]) -> Truth {
    let producer = producer(broker, more);
    let mut records = simulation.records();
    let mut record = Vec::new();
    let mut number = 0_u64;
    while records.next_into(&mut record).is_some() {
        number += 1;
        let partition = partition_of(&record, number, partitions);
        send(&producer, topic, partition, b"", &record);
    }
    flush(&producer);
    records.truth()
}

/// By the event's log_id, so that a copy follows its original; a record without one goes anywhere.
fn partition_of(record: &[u8], number: u64, partitions: i32) -> i32 {
    let text = String::from_utf8_lossy(record);
    let hash = match text.split_once("\"log_id\":\"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((id, _)) => id.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))),
        None => number,
    };
    (hash % partitions as u64) as i32
}

/// A worker's settings: the output in `folder/out`; a page is not its business, as in deploy/.
fn worker(broker: &Broker, topic: &str, group: &str, more: &str) -> String {
    format!(
        "[live]\nenabled = false\n[kafka]\nbootstrap_servers = {:?}\n[source.kafka]\ntopics = [{topic:?}]\ngroup = {group:?}\nsession_timeout = \
         \"6s\"\n{more}",
        broker.address()
    )
}

/// Starts a worker and waits until it is listening.
fn start(folder: &Path, name: &str, settings: &str) -> Server {
    Server::start_with(folder, name, settings, run).unwrap_or_else(|log| panic!("{name} does not start: {log}"))
}

/// How many records of each partition are committed, by the ledger on disk.
fn committed_ends(folder: &Path) -> BTreeMap<String, u64> {
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.join("out/_ledger")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = std::fs::read(entry.path())
                && let Ok(entry) = serde_json::from_slice::<serde_json::Value>(&bytes)
            {
                let partition = format!("{}/{}", entry["source"], entry["partition"]);
                let end = ends.entry(partition).or_default();
                *end = (*end).max(entry["end"].as_u64().unwrap_or_default());
            }
        }
    }
    ends
}

/// Waits until the ledger covers all records of a topic.
fn wait_until_committed(broker: &Broker, folder: &Path, topic: &str, partitions: i32) {
    let client: rdkafka::consumer::BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker.address()).create().expect("a client");
    let high: u64 = (0..partitions)
        .map(|partition| {
            let ask = || rdkafka::consumer::Consumer::fetch_watermarks(&client, topic, partition, PATIENCE);
            ask().expect("the broker answers").1 as u64
        })
        .sum();
    let done = || committed_ends(folder).values().sum::<u64>();
    wait_while(|| done() < high, || format!("{} of {high} records committed", done()));
}

fn simulation(seed: u64, events: u64) -> Simulation {
    Simulation { seed, events, days: 1, duplicates: 0.03, late: 0.03, malformed: 0.005, ..Simulation::default() }
}

#[test]
fn a_topic_is_counted_exactly_and_offsets_show_no_lag() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 4, &[]);
    let truth = produce(&broker, "logs", 4, &simulation(1, 20_000), &[]);
    let worker = start(folder.path(), "w", &worker(&broker, "logs", "g", "[flush]\ninterval = \"1s\"\n"));
    wait_until_committed(&broker, folder.path(), "logs", 4);
    let ready = worker.get("/readyz");
    assert_eq!(ready.0, 200, "{}", ready.1);
    let metrics = worker.get("/metrics").1;
    let log = worker.stop();
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.duplicates), (truth.distinct_events, truth.duplicates), "{log}");
    assert!(metrics.contains("ghostlight_kafka_lag_records{topic=\"logs\",partition=\"0\"}"), "{metrics}");
}

/// The merged tables of a run that ingests the same records, whatever their order.
fn expected(simulation: &Simulation, folder: &Path) -> Vec<String> {
    let file = folder.join("events.ndjson");
    write_simulation(simulation, &file);
    let store = open(&folder.join("expected"));
    // Copies lie further apart here than in one partition, where the default horizon finds them.
    ingest(&store, &config("[dedupe]\nhorizon = 10000000\n"), &[&file]).expect("ingests");
    committed_but_for_lateness(&store)
}

/// Sends records one after the other until told to stop; the truth is of what was sent.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    /// All of a simulation, spread over `seconds`.
    fn start(address: String, topic: &'static str, partitions: i32, simulation: Simulation, seconds: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", &address)
                .set("enable.idempotence", "true")
                .set("message.timeout.ms", "180000");
            let producer: ThreadedProducer<DefaultProducerContext> = config.create().expect("a producer");
            let mut records = simulation.records();
            let (mut record, mut number) = (Vec::new(), 0_u64);
            let began = monotonic();
            while records.next_into(&mut record).is_some() {
                number += 1;
                send(&producer, topic, partition_of(&record, number, partitions), b"", &record);
                let due = seconds * number as f64 / simulation.events as f64;
                while began.elapsed().as_secs_f64() < due && !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            producer.flush(PATIENCE).expect("everything is acknowledged");
        });
        Self { stop, thread }
    }

    /// Sends what is left as fast as it can.
    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("everything was sent");
    }
}

/// The laws under everything at once. `GHOSTLIGHT_TEST_SEED` and `GHOSTLIGHT_TEST_SECONDS` choose another run; the long
/// form is `tests/run --test outside chaos` with minutes of them.
#[test]
fn chaos_of_workers_and_broker_changes_nothing() {
    let variable =
        |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let seed = variable("GHOSTLIGHT_TEST_SEED", now().ms() as u64);
    let seconds = variable("GHOSTLIGHT_TEST_SECONDS", 60);
    println!("GHOSTLIGHT_TEST_SEED={seed} GHOSTLIGHT_TEST_SECONDS={seconds}");
    let mut dice = Dice(seed);
    let mut broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 12, &[]);
    let simulation = simulation(seed, 500 * seconds);
    let load = Load::start(broker.address().to_owned(), "logs", 12, simulation.clone(), seconds as f64);
    let settings = |name: &str, instance: bool| {
        let instance = if instance { format!("instance = {name:?}\n") } else { String::new() };
        worker(&broker, "logs", "g", &format!("{instance}[flush]\ninterval = \"700ms\"\n"))
    };
    let texts: Vec<(String, String)> =
        (0..5).map(|n| (format!("w{n}"), settings(&format!("w{n}"), n % 2 == 0))).collect();
    let start_one = |n: usize| start(folder.path(), &texts[n].0, &texts[n].1);
    let mut workers: BTreeMap<usize, Server> = (0..3).map(|n| (n, start_one(n))).collect();
    let mut frozen: Vec<(usize, Instant)> = Vec::new();
    let mut done: BTreeMap<&str, u32> = BTreeMap::new();
    // Each kind once, in an order by the seed; then as the dice say.
    let kinds = ["killed", "frozen", "stopped", "broker restarted"];
    let mut planned = kinds.to_vec();
    (1..planned.len()).for_each(|at| planned.swap(at, dice.roll(at as u64 + 1) as usize));
    let began = monotonic();
    while began.elapsed().as_secs() < seconds || !planned.is_empty() {
        std::thread::sleep(Duration::from_millis(500 + dice.roll(1500)));
        frozen.retain(|(n, until)| {
            let is_over = monotonic() >= *until;
            if is_over && let Some(worker) = workers.get(n) {
                worker.signal("CONT");
            }
            !is_over
        });
        // A supervisor starts them again.
        workers.retain(|_, worker| worker.is_running() || !is_fenced(&worker.log()));
        let is_frozen = |n: &usize| frozen.iter().any(|(other, _)| other == n);
        let (kind, n) = match planned.last().copied() {
            Some(kind) => match workers.keys().copied().find(|n| !is_frozen(n)) {
                Some(n) => {
                    planned.pop();
                    (kind, n)
                }
                // All are gone or frozen.
                None => ("none", dice.roll(5) as usize),
            },
            None => {
                let kind = match dice.roll(10) {
                    0..4 => "killed",
                    4..7 => "frozen",
                    7 => "stopped",
                    8 => "broker restarted",
                    _ => "none",
                };
                (kind, dice.roll(5) as usize)
            }
        };
        let is_frozen = is_frozen(&n);
        match (kind, workers.contains_key(&n)) {
            (_, false) => {
                *done.entry("started").or_default() += 1;
                workers.insert(n, start_one(n));
            }
            ("killed", true) => {
                *done.entry("killed").or_default() += 1;
                frozen.retain(|(other, _)| *other != n);
                drop(workers.remove(&n));
            }
            ("frozen", true) if !is_frozen && frozen.len() < 2 => {
                *done.entry("frozen").or_default() += 1;
                workers[&n].signal("STOP");
                // Half of the times past the session's time-out.
                let pause = if dice.roll(2) == 0 { 1 + dice.roll(3) } else { 7 + dice.roll(4) };
                frozen.push((n, monotonic() + Duration::from_secs(pause)));
            }
            ("stopped", true) if !is_frozen => {
                *done.entry("stopped").or_default() += 1;
                if let Some(worker) = workers.remove(&n) {
                    end(worker);
                }
            }
            ("broker restarted", true) => {
                *done.entry("broker restarted").or_default() += 1;
                broker.kill();
                std::thread::sleep(Duration::from_millis(dice.roll(3000)));
                broker.start_again();
            }
            _ => {}
        }
    }
    println!("{done:?}");
    assert!(kinds.iter().all(|kind| done.contains_key(kind)), "{done:?}");
    workers.values().for_each(|worker| worker.signal("CONT"));
    load.finish();
    for n in 0..3 {
        workers.entry(n).or_insert_with(|| start_one(n));
    }
    wait_until_committed(&broker, folder.path(), "logs", 12);
    workers.into_values().for_each(end);
    let store = open(&folder.path().join("out"));
    let report = verified(&store);
    let truth = {
        let mut records = simulation.records();
        let mut record = Vec::new();
        while records.next_into(&mut record).is_some() {}
        records.truth()
    };
    assert_eq!(report.partitions, 12);
    assert_eq!((report.accounting.counted, report.accounting.duplicates), (truth.distinct_events, truth.duplicates));
    assert_eq!(report.accounting.records, truth.records);
    assert_same(&committed_but_for_lateness(&store), &expected(&simulation, folder.path()));
}

/// Whether a worker ended because the broker was killed while it joined as a static member: the group is then restored with
/// the member that had its `group.instance.id` before, and the new one counts as another process.
fn is_fenced(log: &str) -> bool {
    let last_run = log.rsplit("listening address=").next();
    last_run.is_some_and(|log| log.contains("another process uses this source.kafka.instance"))
}

fn end(worker: Server) {
    let (is_well, log) = worker.end();
    assert!(is_well || is_fenced(&log), "{log}");
}

fn assert_same(found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len(), "rows");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

/// Two hours of a tenant as fast as they can be read, by one worker with all partitions, with the settings and in the memory
/// that deploy/ gives it. At the default horizon the memory of the log_ids alone may exceed that: `check-config` says by how
/// much. `GHOSTLIGHT_TEST_EVENTS=3600000` is a tenant with 500 events a second.
#[test]
fn two_hours_of_traffic_stay_below_the_ceiling() {
    const CEILING_MIB: u64 = 256;
    let events = std::env::var("GHOSTLIGHT_TEST_EVENTS").map_or(360_000, |text| text.parse().expect("a number"));
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 12, &[]);
    let truth = produce(&broker, "logs", 12, &simulation(9, events), &[("compression.type", "lz4")]);
    // As in deploy/compose/worker.toml.
    let more = "threads = 2\n[dedupe]\nhorizon = 100000\n[flush]\nmemory = \"16MiB\"\n";
    let worker = start(folder.path(), "w", &worker(&broker, "logs", "g", more));
    wait_until_committed(&broker, folder.path(), "logs", 12);
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.child.id())).expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak").trim();
    let mib = peak.trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024;
    println!("{events} events: {mib} MiB at most");
    worker.stop();
    assert!(mib < CEILING_MIB, "{mib} MiB");
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.duplicates), (truth.distinct_events, truth.duplicates));
}

#[test]
fn any_number_of_workers_and_any_flush_interval_merge_to_equal_tables() {
    const ROUNDS: u64 = 3;
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    let simulation = simulation(3, 30_000);
    let expected = expected(&simulation, folder.path());
    // Every codec: a partition may hold batches of each.
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let producers = codecs.map(|codec| producer(&broker, &[("compression.type", codec)]));
    let eager = "[kafka.properties]\n\"partition.assignment.strategy\" = \"range\"\n";
    for (workers, interval, more) in [(1, "300ms", ""), (2, "1s", eager), (5, "3s", "")] {
        let run = folder.path().join(format!("run-{workers}"));
        std::fs::create_dir(&run).expect("a folder");
        let topic = format!("logs-{workers}");
        create_topic(&broker, &topic, 10, &[]);
        let settings = worker(&broker, &topic, &topic, &format!("[flush]\ninterval = {interval:?}\n{more}"));
        let running: Vec<_> = (0..workers).map(|n| start(&run, &format!("w{n}"), &settings)).collect();
        let shares = || -> Vec<u64> {
            running.iter().map(|worker| metric(worker, "ghostlight_kafka_partitions{state=\"read\"}")).collect()
        };
        let is_shared = |shares: &[u64]| shares.iter().sum::<u64>() == 10 && !shares.contains(&0);
        wait_while(|| !is_shared(&shares()), || format!("{:?}", shares()));
        let mut records = simulation.records();
        let (mut record, mut number) = (Vec::new(), 0_u64);
        while records.next_into(&mut record).is_some() {
            number += 1;
            let partition = partition_of(&record, number, 10);
            send(&producers[partition as usize % codecs.len()], &topic, partition, b"", &record);
            if number.is_multiple_of(simulation.events / ROUNDS) {
                producers.iter().for_each(flush);
                wait_until_committed(&broker, &run, &topic, 10);
            }
        }
        producers.iter().for_each(flush);
        wait_until_committed(&broker, &run, &topic, 10);
        let shares = shares();
        let commits: Vec<u64> = running
            .into_iter()
            .map(|worker| worker.stop().lines().filter(|line| line.contains("committed partition=")).count() as u64)
            .collect();
        let store = open(&run.join("out"));
        let report = verified(&store);
        let entries = entries_of_partitions(&run);
        assert_eq!(report.partitions, 10);
        assert!(entries.values().all(|entries| *entries >= ROUNDS), "{entries:?}");
        assert!(is_shared(&shares), "nobody came or went: {shares:?}");
        assert_eq!(commits.iter().sum::<u64>(), entries.values().sum::<u64>());
        let worked = |(commits, share): (&u64, &u64)| *commits >= ROUNDS * share;
        assert!(commits.iter().zip(&shares).all(worked), "{commits:?} commits, {shares:?} partitions");
        assert_same(&committed_but_for_lateness(&store), &expected);
    }
}

/// The value of a counter or gauge; 0 before there is one.
fn metric(worker: &Server, name: &str) -> u64 {
    let metrics = worker.get("/metrics").1;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse::<f64>().expect("a number") as u64)
}

/// How many commits each partition has, by the ledger on disk.
fn entries_of_partitions(folder: &Path) -> BTreeMap<String, u64> {
    let objects = runtime().block_on(open(&folder.join("out")).list("_ledger")).expect("can be listed");
    let mut entries = BTreeMap::new();
    for path in objects.iter().map(|object| object.location.as_ref()) {
        *entries.entry(path.rsplit_once('/').expect("a folder").0.to_owned()).or_default() += 1;
    }
    entries
}

fn event(id: &str) -> Vec<u8> {
    format!(r#"{{"type":"s","log_id":"{id}","date":"2026-11-01T00:00:00Z","user_id":"auth0|{id}"}}"#).into_bytes()
}

#[test]
fn poison_tombstones_headers_and_copies_in_other_partitions_are_told() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 3, &[]);
    let producer = producer(&broker, &[]);
    send(&producer, "logs", 0, b"1", &event("1"));
    send(&producer, "logs", 0, b"p", b"{\"type\": poison \xff");
    let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(b"x".as_slice()) });
    let with_headers = event("2");
    let record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to("logs").partition(0).key(&b"2"[..]).payload(&with_headers[..]).headers(headers);
    producer.send(record).map_err(|(error, _)| error).expect("is taken");
    let tombstone: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("logs").partition(0).key(b"1".as_slice());
    producer.send(tombstone).map_err(|(error, _)| error).expect("is taken");
    let several = [event("3"), event("4")].join(&b'\n');
    send(&producer, "logs", 0, b"", &several);
    // Partition 2 stays idle; partition 1 gets what partition 0 had.
    send(&producer, "logs", 1, b"", &event("1"));
    send(&producer, "logs", 1, b"", &event("3"));
    flush(&producer);
    let worker = start(folder.path(), "w", &worker(&broker, "logs", "g", "[flush]\ninterval = \"300ms\"\n"));
    wait_until_committed(&broker, folder.path(), "logs", 3);
    worker.stop();
    let store = open(&folder.path().join("out"));
    let report = verified(&store);
    let sum = report.accounting;
    assert_eq!((sum.records, sum.rejected, sum.counted), (7, 1, 6), "{sum:?}");
    assert!(report.notes.iter().any(|note| note.starts_with("2 log_ids")), "{:?}", report.notes);
    let letters = dead_letters(&store);
    assert_eq!((letters.len(), letters[0].0, &letters[0].2[..]), (1, 1, &b"{\"type\": poison \xff"[..]));
    let row = dead_letter_places(&store);
    assert_eq!(row, ["kafka.logs 0 1"]);
}

#[test]
fn transactions_that_end_in_aborted_records_hold_nothing_up() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 1, &[("cleanup.policy", "compact")]);
    let producer = producer(&broker, &[("transactional.id", "t")]);
    let wait = PATIENCE;
    producer.init_transactions(wait).expect("works");
    for (number, commit) in [(1, true), (2, false), (3, true), (4, false)] {
        producer.begin_transaction().expect("begins");
        let key = number.to_string();
        send(&producer, "logs", 0, key.as_bytes(), &event(&key));
        flush(&producer);
        if commit { producer.commit_transaction(wait) } else { producer.abort_transaction(wait) }.expect("ends");
    }
    let worker = start(folder.path(), "w", &worker(&broker, "logs", "g", "[flush]\ninterval = \"300ms\"\n"));
    // Four records and four markers: the ledger comes to the very end.
    wait_until_committed(&broker, folder.path(), "logs", 1);
    assert_eq!(committed_ends(folder.path()).values().sum::<u64>(), 8);
    worker.stop();
    let report = verified(&open(&folder.path().join("out")));
    assert_eq!((report.accounting.records, report.accounting.counted), (2, 2));
}

/// Where each dead letter says it came from.
fn dead_letter_places(store: &ghostlight::store::Store) -> Vec<String> {
    let objects = runtime().block_on(store.list("dead_letters")).expect("can be listed");
    let mut places = Vec::new();
    for object in objects {
        let bytes = runtime().block_on(store.read(&object.location)).expect("can be read");
        for batch in ghostlight::store::datasets::read("dead_letters", bytes).expect("is Parquet") {
            let text = |name: &str, row: usize| {
                let column = batch.column_by_name(name).expect("the column");
                arrow::util::display::array_value_to_string(column, row).expect("a value")
            };
            places.extend(
                (0..batch.num_rows())
                    .map(|row| format!("{} {} {}", text("source", row), text("partition", row), text("offset", row))),
            );
        }
    }
    places
}

/// What a worker says when it cannot read: by `/readyz`, and by its log among the first things that it complains of. After
/// how long is printed and not judged, since that is a matter of how busy the machine is.
fn says(folder: &Path, name: &str, settings: &str, expected: &[&str]) {
    let worker = start(folder, name, settings);
    let began = monotonic();
    let mut answer = (0, String::new());
    while began.elapsed() < PATIENCE {
        answer = worker.get("/readyz");
        if answer.0 == 503
            && expected.iter().all(|part| answer.1.contains(part))
            && expected.iter().all(|part| worker.log().contains(part))
        {
            println!("{name}: said after {:.1} s", began.elapsed().as_secs_f64());
            let log = worker.log();
            let mut complaints = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
            let is_meant = |line: &&str| expected.iter().all(|part| line.contains(part));
            let place = complaints.position(|line| is_meant(&line)).expect("one line says all of it");
            assert!(place < 3, "{name}: {place} other complaints came first: {log}");
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{name}: not {expected:?}, but {} {}\n{}", answer.0, answer.1, worker.log());
}

#[test]
fn secure_connections_work_and_what_is_refused_is_said_clearly() {
    let broker = Broker::start_secure();
    let folder = tempfile::tempdir().expect("a folder");
    for topic in ["logs", "secret"] {
        create_topic(&broker, topic, 2, &[]);
    }
    let plain = producer(&broker, &[]);
    (0..10).for_each(|n| send(&plain, "logs", n % 2, b"", &event(&n.to_string())));
    flush(&plain);
    let secure = broker.secure();
    std::fs::write(folder.path().join("right"), PASSWORD).expect("written");
    std::fs::write(folder.path().join("wrong"), "wrong-password").expect("written");
    let tls = |more: &str| format!("[kafka.tls]\nca = {:?}\n{more}", secure.ca.display().to_string());
    let mutual = format!(
        "certificate = {:?}\nkey = {:?}\n",
        secure.certificate.display().to_string(),
        secure.key.display().to_string()
    );
    let sasl = |mechanism: &str, password: &str| {
        let file = folder.path().join(password).display().to_string();
        format!("[kafka.sasl]\nmechanism = {mechanism:?}\nusername = {USER:?}\npassword = {{ file = {file:?} }}\n")
    };
    let settings = |address: &str, topic: &str, group: &str, security: &str| {
        format!(
            "[kafka]\nbootstrap_servers = {address:?}\n{security}[source.kafka]\ntopics = [{topic:?}]\ngroup = \
             {group:?}\nsession_timeout = \"6s\"\n[flush]\ninterval = \"300ms\"\n"
        )
    };
    for (name, address, security) in [
        ("tls", &secure.tls, tls("")),
        ("mutual", &secure.mutual_tls, tls(&mutual)),
        ("plain", &secure.sasl, tls("") + &sasl("PLAIN", "right")),
        ("scram256", &secure.sasl, tls("") + &sasl("SCRAM-SHA-256", "right")),
        ("scram512", &secure.sasl, tls("") + &sasl("SCRAM-SHA-512", "right")),
    ] {
        let run = folder.path().join(format!("run-{name}"));
        std::fs::create_dir(&run).expect("a folder");
        let worker = start(&run, name, &settings(address, "logs", name, &security));
        wait_until_committed(&broker, &run, "logs", 2);
        let log = worker.stop();
        assert!(!log.contains(PASSWORD), "{name}: the password is never logged");
        assert_eq!(verified(&open(&run.join("out"))).accounting.counted, 10, "{name}");
    }
    broker.deny_read("group", "forbidden");
    broker.deny_read("topic", "secret");
    let scram = tls("") + &sasl("SCRAM-SHA-512", "right");
    let path = folder.path();
    let wrong = tls("") + &sasl("SCRAM-SHA-512", "wrong");
    says(path, "password", &settings(&secure.sasl, "logs", "g", &wrong), &["refuse us", "kafka.sasl"]);
    says(path, "no-certificate", &settings(&secure.mutual_tls, "logs", "g", &tls("")), &["TLS", "kafka.tls"]);
    let system = settings(&secure.tls, "logs", "g", "[kafka.tls]\n");
    says(path, "unknown-ca", &system, &["TLS", "kafka.tls"]);
    says(path, "topic", &settings(&secure.sasl, "nowhere", "g", &scram), &["no topic nowhere", "source.kafka.topics"]);
    says(path, "secret", &settings(&secure.sasl, "secret", "g", &scram), &["reading secret is not authorised"]);
    says(path, "group", &settings(&secure.sasl, "logs", "forbidden", &scram), &["group forbidden is not authorised"]);
    let address = "127.0.0.1:1";
    says(path, "nobody", &settings(address, "logs", "g", ""), &["no Kafka broker answers at 127.0.0.1:1"]);
}

#[test]
fn a_cluster_that_is_not_there_is_said_with_its_cause_and_does_not_flood_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let settings = |address: &str| {
        let reconnect = "{ \"reconnect.backoff.ms\" = 10, \"reconnect.backoff.max.ms\" = 50 }";
        format!(
            "[kafka]\nbootstrap_servers = {address:?}\nproperties = {reconnect}\n[source.kafka]\ntopics = [\"logs\"]\n"
        )
    };
    says(path, "unknown", &settings("nowhere.invalid:9092"), &["resolve", "kafka.bootstrap_servers"]);
    // Something that speaks HTTP.
    let serving = runtime();
    let listener = serving.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("listens");
    let address = listener.local_addr().expect("an address").to_string();
    serving.spawn(async move { axum::serve(listener, axum::Router::new()).await });
    says(path, "http", &settings(&address), &["does not speak Kafka's protocol"]);
    let nobody = start(path, "nobody", &settings("127.0.0.1:1,127.0.0.1:2"));
    let errors = || -> f64 {
        let metrics = nobody.get("/metrics").1;
        let errors = metrics.lines().filter(|line| line.starts_with("ghostlight_kafka_errors_total{"));
        errors.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    wait_while(|| errors() < 300.0, || nobody.log());
    let log = nobody.stop();
    let lines = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    // One a broker, and again after a minute, if this takes that long.
    assert!((1..30).contains(&lines), "{lines} lines: {log}");
}

#[test]
fn oauth_tokens_are_fetched_by_client_credentials() {
    let broker = Broker::start_secure();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 1, &[]);
    let plain = producer(&broker, &[]);
    send(&plain, "logs", 0, b"", &event("1"));
    flush(&plain);
    // An issuer: checks the grant, and gives an unsigned token, which this broker's listener takes.
    let asked = Arc::new(std::sync::Mutex::new(String::new()));
    let issuer = {
        let asked = Arc::clone(&asked);
        let issue = move |headers: axum::http::HeaderMap, body: String| async move {
            let basic = headers["authorization"].to_str().expect("text").to_owned();
            *asked.lock().expect("whole") = format!("{basic} {body}");
            let now = now().ms() as f64 / 1000.0;
            let part = |text: String| base64url(text.as_bytes());
            let claims = format!(r#"{{"sub":"{USER}","iat":{now},"exp":{}}}"#, now + 3600.0);
            let token = format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(claims));
            serde_json::json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string()
        };
        axum::Router::new().route("/token", axum::routing::post(issue))
    };
    let serving = runtime();
    let listener = serving.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("listens");
    let endpoint = format!("http://{}/token", listener.local_addr().expect("an address"));
    serving.spawn(async move { axum::serve(listener, issuer).await });
    std::fs::write(folder.path().join("secret"), "s:3 cret").expect("written");
    let settings = format!(
        "[kafka]\nbootstrap_servers = {:?}\n[kafka.tls]\nca = {:?}\n[kafka.sasl]\nmechanism = \
         \"OAUTHBEARER\"\ntoken_endpoint = {endpoint:?}\nclient_id = \"me\"\nclient_secret = {{ file = {:?} }}\nscope = \"kafka\"\n\
         [source.kafka]\ntopics = [\"logs\"]\n[flush]\ninterval = \"300ms\"\n",
        broker.secure().sasl,
        broker.secure().ca.display().to_string(),
        folder.path().join("secret").display().to_string(),
    );
    let worker = start(folder.path(), "w", &settings);
    wait_until_committed(&broker, folder.path(), "logs", 1);
    let log = worker.stop();
    assert!(!log.contains("s:3 cret"), "the secret is never logged");
    let asked = asked.lock().expect("whole").clone();
    // me:s%3A3%20cret in base64: both halves are encoded as a form is, by RFC 6749.
    assert_eq!(asked, "Basic bWU6cyUzQTMlMjBjcmV0 grant_type=client_credentials&scope=kafka");
}

fn base64url(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len()).for_each(|at| text.push(char::from(letters[(bits >> (18 - 6 * at)) as usize & 63])));
    }
    text
}

/// Events `from..to`, to partition 0.
fn send_events(broker: &Broker, topic: &str, partition: i32, events: std::ops::Range<u64>) {
    let producer = producer(broker, &[]);
    events.for_each(|n| send(&producer, topic, partition, b"", &event(&format!("{partition}-{n}"))));
    flush(&producer);
}

/// Runs a worker until everything is committed.
fn run_worker(broker: &Broker, folder: &Path, topic: &str, partitions: i32, more: &str) -> String {
    let settings = worker(broker, topic, "g", &format!("{more}[flush]\ninterval = \"200ms\"\n"));
    let worker = start(folder, "w", &settings);
    wait_until_committed(broker, folder, topic, partitions);
    worker.stop()
}

fn counted(folder: &Path) -> u64 {
    verified(&open(&folder.join("out"))).accounting.counted
}

#[test]
fn a_new_topic_starts_where_the_setting_says_and_a_new_partition_at_its_beginning() {
    let broker = Broker::start();
    for (start_at, seen) in [("earliest", 30), ("latest", 15), ("2026-11-02T00:00:00Z", 25)] {
        let folder = tempfile::tempdir().expect("a folder");
        let topic = format!("logs-{seen}");
        // Retention goes by the records' own times.
        create_topic(&broker, &topic, 1, &[("retention.ms", "-1")]);
        // Five of the first day, ten of the third.
        let timed = producer(&broker, &[]);
        for n in 0..15_u64 {
            let at = if n < 5 { 1_793_491_200_000 } else { 1_793_664_000_000 };
            let value = event(&format!("old-{n}"));
            let record: BaseRecord<'_, [u8], [u8]> =
                BaseRecord::to(&topic).partition(0).payload(&value[..]).key(&b""[..]).timestamp(at);
            timed.send(record).map_err(|(error, _)| error).expect("is taken");
        }
        flush(&timed);
        let settings =
            worker(&broker, &topic, &topic, &format!("start = {start_at:?}\n[flush]\ninterval = \"200ms\"\n"));
        let first = start(folder.path(), "w", &settings);
        let starts = folder.path().join(format!("out/_starts/kafka.{topic}"));
        wait_while(|| !starts.exists() || !first.log().contains("reading"), || first.log());
        first.stop();
        // Added while nobody looks, with events in it already.
        let more = NewPartitions::new(&topic, 2);
        let made =
            runtime().block_on(admin(&broker).create_partitions([&more], &AdminOptions::new())).expect("it answers");
        made.into_iter().for_each(|result| drop(result.expect("made")));
        std::thread::sleep(Duration::from_secs(1));
        send_events(&broker, &topic, 0, 0..5);
        send_events(&broker, &topic, 1, 0..10);
        let again = start(folder.path(), "w", &settings);
        wait_until_committed(&broker, folder.path(), &topic, 2);
        again.stop();
        assert_eq!(
            counted(folder.path()),
            seen,
            "{start_at}: {}",
            std::fs::read_to_string(folder.path().join("w.log")).unwrap_or_default()
        );
    }
}

#[test]
fn a_topic_that_a_pattern_meets_later_is_read_from_its_beginning() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs-1", 1, &[]);
    send_events(&broker, "logs-1", 0, 0..10);
    let settings = format!(
        "[kafka]\nbootstrap_servers = {:?}\nproperties = {{ \"topic.metadata.refresh.interval.ms\" = 500 \
         }}\n[source.kafka]\ntopic_pattern = \"^logs-.*\"\nstart = \"latest\"\nsession_timeout = \"6s\"\n[flush]\ninterval = \
         \"200ms\"\n",
        broker.address()
    );
    let is_placed = |topic: &str, worker: &Server| {
        worker.log().lines().any(|line| line.contains("reading") && line.contains(topic))
    };
    let first = start(folder.path(), "first", &settings);
    wait_while(|| !is_placed("logs-1[0]", &first), || first.log());
    // While it reads; each of another number of records, so that the sum tells.
    create_topic(&broker, "logs-2", 1, &[]);
    send_events(&broker, "logs-2", 0, 100..120);
    wait_while(|| !is_placed("logs-2[0]", &first), || first.log());
    first.stop();
    // While nobody does.
    create_topic(&broker, "logs-3", 1, &[]);
    send_events(&broker, "logs-3", 0, 200..240);
    let second = start(folder.path(), "second", &settings);
    wait_while(|| !is_placed("logs-3[0]", &second), || second.log());
    send_events(&broker, "logs-1", 0, 300..380);
    wait_while(|| counted(folder.path()) < 20 + 40 + 80, || second.log());
    second.stop();
    assert_eq!(counted(folder.path()), 20 + 40 + 80);
}

#[test]
fn a_gap_stops_its_partition_alone_and_is_recorded_only_where_allowed() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 2, &[]);
    send_events(&broker, "logs", 0, 0..10);
    send_events(&broker, "logs", 1, 0..10);
    run_worker(&broker, folder.path(), "logs", 2, "");
    send_events(&broker, "logs", 0, 10..30);
    send_events(&broker, "logs", 1, 10..30);
    let mut removed = TopicPartitionList::new();
    removed.add_partition_offset("logs", 0, Offset::Offset(25)).expect("an offset");
    runtime().block_on(admin(&broker).delete_records(&removed, &AdminOptions::new())).expect("are removed");

    let settings = worker(&broker, "logs", "g", "[flush]\ninterval = \"200ms\"\n");
    let stopped = start(folder.path(), "w", &settings);
    wait_while(
        || committed_ends(folder.path()).values().sum::<u64>() < 40 || stopped.get("/readyz").0 != 503,
        || stopped.log(),
    );
    let (_, why) = stopped.get("/readyz");
    assert!(why.contains("logs[0]: records 10 to 25 were removed") && why.contains("on_gap"), "{why}");
    stopped.stop();
    assert_eq!(counted(folder.path()), 40, "the other partition went on");

    run_worker(&broker, folder.path(), "logs", 2, "on_gap = \"record\"\n");
    let report = verified(&open(&folder.path().join("out")));
    assert_eq!(report.accounting.counted, 45);
    assert!(report.notes.iter().any(|note| note.contains("10 to 25 was never read")), "{:?}", report.notes);
}

/// What is noted of each partition of a topic: the position, and when.
fn notes(folder: &Path) -> BTreeMap<String, (u64, EventTime)> {
    let notes = runtime().block_on(progress::read_all(&open(&folder.join("out")))).expect("can be read");
    notes.into_iter().map(|(id, note)| (id.partition, (note.position, note.at))).collect()
}

#[test]
fn idle_and_caught_up_partitions_are_noted_and_stopped_or_silent_ones_no_more() {
    let mut broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 3, &[]);
    send_events(&broker, "logs", 0, 0..10);
    send_events(&broker, "logs", 2, 0..10);
    let settings = worker(&broker, "logs", "g", "[flush]\ninterval = \"200ms\"\n");
    // Long, so that a silent broker does not look like partitions lost.
    let settings = settings.replace("\"6s\"", "\"120s\"");
    let positions = |folder: &Path| -> Vec<u64> { notes(folder).into_values().map(|(position, _)| position).collect() };
    let first = start(folder.path(), "w", &settings);
    wait_while(|| positions(folder.path()) != [10, 0, 10], || format!("{:?}\n{}", notes(folder.path()), first.log()));
    let listening = now();
    first.stop();

    // Partition 2 has a gap: nobody knows any more what lies behind it.
    send_events(&broker, "logs", 0, 10..30);
    send_events(&broker, "logs", 2, 10..30);
    let mut removed = TopicPartitionList::new();
    removed.add_partition_offset("logs", 2, Offset::Offset(25)).expect("an offset");
    runtime().block_on(admin(&broker).delete_records(&removed, &AdminOptions::new())).expect("are removed");
    let second = start(folder.path(), "w", &settings);
    wait_while(|| second.get("/readyz").0 != 503, || second.log());
    let stopped = now();
    let is_newer = |partition: &str| notes(folder.path())[partition].1 > stopped;
    wait_while(|| !is_newer("0") || !is_newer("1"), || format!("{:?}\n{}", notes(folder.path()), second.log()));
    assert_eq!(positions(folder.path()), [30, 0, 10]);
    let of_stopped = notes(folder.path())["2"].1;
    assert!(of_stopped < listening, "{of_stopped} is of after {listening}");

    // A broker that is silent tells nothing new, however often the client repeats what it knew: for longer than the pace
    // of notes there is none.
    broker.signal("STOP");
    let frozen = now();
    let newest = || notes(folder.path()).into_values().map(|(_, at)| at).max().expect("notes");
    wait_while(|| now().since_ms(newest()) < 20_000, || format!("{:?}\n{}", notes(folder.path()), second.log()));
    assert!(newest() <= frozen, "{} is of after {frozen}", newest());
    broker.signal("CONT");
    wait_while(|| newest() <= frozen, || format!("{:?}\n{}", notes(folder.path()), second.log()));
    second.stop();
}

#[test]
fn a_topic_made_anew_is_refused_until_it_is_allowed() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 1, &[]);
    send_events(&broker, "logs", 0, 0..10);
    run_worker(&broker, folder.path(), "logs", 1, "");
    runtime().block_on(admin(&broker).delete_topics(&["logs"], &AdminOptions::new())).expect("is deleted");
    create_topic_again(&broker, "logs");
    send_events(&broker, "logs", 0, 100..120);
    let settings = worker(&broker, "logs", "g", "[flush]\ninterval = \"200ms\"\n");
    says(folder.path(), "refused", &settings, &["the topic logs is not the one read before", "on_gap"]);
    assert_eq!(counted(folder.path()), 10);
    // Where an unknown topic begins says nothing of one that was known before.
    let more = "on_gap = \"record\"\nstart = \"latest\"\n[flush]\ninterval = \"200ms\"\n";
    let allowed = start(folder.path(), "allowed", &worker(&broker, "logs", "g", more));
    wait_while(|| committed_ends(folder.path()).is_empty() || counted(folder.path()) < 30, || allowed.log());
    allowed.stop();
    let report = verified(&open(&folder.path().join("out")));
    assert_eq!(report.accounting.counted, 30);
    let of_topic: Vec<_> = report.notes.iter().filter(|note| note.starts_with("kafka.logs: ")).collect();
    assert!(of_topic.len() == 1 && of_topic[0].contains("as allowed"), "{:?}", report.notes);
}

#[test]
fn a_topic_made_anew_while_it_is_read_is_noticed() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 1, &[]);
    send_events(&broker, "logs", 0, 0..10);
    let settings = worker(&broker, "logs", "g", "on_gap = \"record\"\n[flush]\ninterval = \"200ms\"\n");
    let worker = start(folder.path(), "w", &settings);
    wait_until_committed(&broker, folder.path(), "logs", 1);
    runtime().block_on(admin(&broker).delete_topics(&["logs"], &AdminOptions::new())).expect("is deleted");
    create_topic_again(&broker, "logs");
    // More than there were, so that the old offset is one of the new topic's too.
    send_events(&broker, "logs", 0, 100..130);
    wait_while(|| counted(folder.path()) < 40, || worker.log());
    worker.stop();
    assert_eq!(counted(folder.path()), 40);
}

/// Deleting takes the broker a moment.
fn create_topic_again(broker: &Broker, name: &str) {
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let make = || runtime().block_on(admin(broker).create_topics([&topic], &AdminOptions::new()));
    wait_while(|| !make().is_ok_and(|made| made.iter().all(Result::is_ok)), || format!("{name} is not made again"));
}

#[test]
fn a_store_that_fails_for_a_while_holds_up_and_loses_nothing() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 6, &[]);
    let simulation = simulation(5, 40_000);
    let load = Load::start(broker.address().to_owned(), "logs", 6, simulation.clone(), 15.0);
    let settings = worker(&broker, "logs", "g", "[flush]\ninterval = \"300ms\"\n");
    let worker = start(folder.path(), "w", &settings);
    let (out, away) = (folder.path().join("out"), folder.path().join("away"));
    // Nothing can be listed, read or written below a file. In one step, so that nobody makes a folder in between.
    std::fs::write(&away, "").expect("is written");
    let exchange = || rustix::fs::renameat_with(CWD, &out, CWD, &away, RenameFlags::EXCHANGE).expect("are exchanged");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(2));
        exchange();
        wait_while(|| worker.get("/readyz").0 != 503, || worker.log());
        exchange();
    }
    load.finish();
    wait_until_committed(&broker, folder.path(), "logs", 6);
    wait_while(|| worker.get("/readyz").0 != 200, || worker.log());
    worker.stop();
    let store = open(&out);
    verified(&store);
    assert_same(&committed_but_for_lateness(&store), &expected(&simulation, folder.path()));
}

#[test]
fn the_gateway_acknowledges_what_kafka_has_and_nothing_else() {
    let mut broker = Broker::start();
    let folder = tempfile::tempdir().expect("a folder");
    create_topic(&broker, "logs", 3, &[("max.message.bytes", "20000")]);
    let settings =
        format!("[kafka]\nbootstrap_servers = {:?}\n[webhook]\nto = \"kafka\"\ntopic = \"logs\"\n", broker.address());
    let gateway = start(folder.path(), "gateway", &settings);
    let body = |ids: std::ops::Range<u64>| ids.map(|n| event(&n.to_string())).collect::<Vec<_>>().join(&b'\n');
    assert_eq!(gateway.post(&body(0..50), &[]).0, 200);
    // Sent again, every event goes to the partition it went to before: no worker counts it twice.
    assert_eq!(gateway.post(&body(25..60), &[]).0, 200);
    assert_eq!(gateway.post(b"[{\"type\":\"s\",\"log_id\":\"x\"}]", &[]).0, 200, "an array, without a date");
    assert_eq!(gateway.post(b"not json", &[]).0, 400);
    // The same events in envelopes, each sent several times, and one that has no log_id.
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let anonymous = r#"{"type":"s","date":"2026-11-01T00:00:00Z","user_id":"u"}"#;
    for n in 0..5 {
        let events: Vec<String> = (200..210).map(|id| text(&event(&id.to_string()))).collect();
        let wrapped = events.iter().map(|event| format!("{{\"time\":{n},\"event\":{event}}}")).collect::<Vec<_>>();
        let bodies = [
            wrapped.join("\n"),
            format!("{{\"id\":\"{n}\",\"detail\":{}}}", events[0]),
            format!("{{\"offset\":{n},\"records\":[{}]}}", events[1..].join(",")),
            format!("{{\"offset\":{n},\"message\":{}}}", serde_json::to_string(&events[2]).expect("text")),
            format!("{{\"offset\":{n},\"event\":{anonymous}}}"),
        ];
        bodies.iter().for_each(|body| assert_eq!(gateway.post(body.as_bytes(), &[]).0, 200, "{body}"));
    }
    let large = format!("{{\"type\":\"s\",\"log_id\":\"l\",\"x\":\"{}\"}}", "x".repeat(1_500_000));
    let (status, why) = gateway.post(large.as_bytes(), &[]);
    assert!(status == 413 && why.contains("max.message.bytes"), "{status} {why}");
    broker.kill();
    let (status, why) = gateway.post(&body(100..110), &[]);
    assert!(status == 503 && why.contains("again"), "{status} {why}");
    broker.start_again();
    wait_while(|| gateway.post(&body(100..110), &[]).0 != 200, || gateway.log());
    gateway.stop();
    let worker = start(folder.path(), "w", &worker(&broker, "logs", "g", "[flush]\ninterval = \"200ms\"\n"));
    wait_until_committed(&broker, folder.path(), "logs", 3);
    worker.stop();
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.rejected), (70 + 10 + 1, 1), "{accounting:?}");
    assert!(accounting.duplicates >= 25 + 5 * 22 - 11, "{accounting:?}");
}
