//! Question: how long does the read side take to start again over what a month has written?
//!
//! Input: a simulated month of 50 tenants in 12 partitions, each event in the partition its time and place in the stream
//! choose, on disk, committed in steps of GHOSTLIGHT_BENCH_COMMIT_MINUTES of event time (60 by default; a step is a ledger
//! entry and three files, a partition). GHOSTLIGHT_BENCH_EVENTS is the number of events, 1 500 000 by default.
//! Run with `cargo bench --bench restart`; it prints seconds, entries, files and bytes, and the peer in the same run: reading
//! every byte of those files, which no reader can do without. Not by criterion: a start over a month is one long sample.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ghostlight::clock::monotonic;
use ghostlight::config::{Config, Flags};
use ghostlight::event::{Chunk, Content, Decoder, EventTime, RecordSpan};
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::run::{PartitionWriter, WriteSettings};
use ghostlight::simulate::Simulation;
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::ledger::PartitionId;
use ghostlight::store::{Location, Store};
use ghostlight::watch::{Watch, WatchSettings};
use tokio::runtime::Runtime;

const PARTITIONS: usize = 12;
const TENANTS: u32 = 50;
const DAYS: u32 = 30;
const ROUNDS: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// One partition: what waits to be committed, and its writer.
struct Partition {
    chunk: Chunk,
    writer: PartitionWriter,
    decoder: Decoder,
}

impl Partition {
    fn push(&mut self, record: &[u8]) {
        let begin = self.chunk.bytes.len();
        self.chunk.bytes.extend_from_slice(record);
        let bytes = begin..self.chunk.bytes.len();
        self.chunk.records.push(RecordSpan { offset: self.chunk.end, bytes, arrived: None, content: Content::Any });
        self.chunk.end += 1;
    }

    fn commit(&mut self, now: EventTime) {
        let end = self.chunk.end;
        let chunk = std::mem::replace(&mut self.chunk, Chunk { start: end, end, ..Chunk::default() });
        self.writer.fold(chunk.decode(&mut self.decoder, now));
        self.writer.flush().expect("commits");
    }
}

/// Writes the month, and says how many entries that made.
fn write(runtime: &Runtime, store: &Store, events: u64, step_ms: i64) -> u64 {
    let config = Config::load(None, &Flags::default()).expect("the defaults are right");
    let simulation = Simulation { events, days: DAYS, tenants: TENANTS, ..Simulation::default() };
    let now = EventTime::from_ms(simulation.start + i64::from(DAYS) * 86_400_000);
    let mut partitions: Vec<_> = (0..PARTITIONS)
        .map(|number| {
            let id = PartitionId::new("kafka.auth0-logs", "cluster.topic", &number.to_string());
            let log = runtime.block_on(PartitionLog::recover(store, id)).expect("a new partition");
            let writer = PartitionWriter::new(
                runtime.handle().clone(),
                log,
                Dedupe::new(config.dedupe.horizon / PARTITIONS),
                WriteSettings::new(&config),
            );
            Partition { chunk: Chunk::default(), writer, decoder: Decoder::new(None) }
        })
        .collect();
    // Records come about in the order of their time, so an equal number of them is about an equal length of time.
    let steps = (i64::from(DAYS) * 86_400_000 / step_ms) as u64;
    let per_step = (events / steps).max(1);
    let mut records = simulation.records();
    let (mut record, mut count, mut entries) = (Vec::new(), 0_u64, 0_u64);
    loop {
        let more = records.next_into(&mut record).is_some();
        if more {
            partitions[count as usize % PARTITIONS].push(&record);
            count += 1;
        }
        if count.is_multiple_of(per_step) || !more {
            for partition in partitions.iter_mut().filter(|partition| !partition.chunk.records.is_empty()) {
                partition.commit(now);
                entries += 1;
            }
        }
        if !more {
            return entries;
        }
    }
}

/// How many files there are of each kind, and how many bytes.
fn measure(folder: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for found in glob::glob(&format!("{}/**/*", folder.display())).expect("a pattern").flatten() {
        if found.is_file() {
            sum = (sum.0 + 1, sum.1 + std::fs::read(&found).expect("readable").len() as u64);
        }
    }
    sum
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --test` only ask whether it works.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let events = if is_test { 2_000 } else { number("GHOSTLIGHT_BENCH_EVENTS", 1_500_000) };
    let minutes = if is_test { 24 * 60 } else { number("GHOSTLIGHT_BENCH_COMMIT_MINUTES", 60) };
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let location = Location::parse(&out.display().to_string()).expect("a place");
    let store = Store::open(&location).expect("a store");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");

    let entries = write(&runtime, &store, events, minutes as i64 * 60_000);
    println!(
        "{events} events of {TENANTS} tenants, {DAYS} days, {PARTITIONS} partitions, a commit each {minutes} minutes: {entries} entries"
    );
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..if is_test { 1 } else { ROUNDS } {
        let began = monotonic();
        let (files, bytes) = measure(&out);
        times.entry("reading every byte").or_default().push(began.elapsed());
        let began = monotonic();
        let now = EventTime::from_ms(Simulation::default().start + i64::from(DAYS) * 86_400_000);
        let (read, tenants) = runtime.block_on(async {
            let mut watch = Watch::open(store.clone(), WatchSettings::default()).await.expect("opens");
            let round = watch.round(now).await.expect("reads");
            (round.entries, watch.model(now).tenants.len())
        });
        times.entry("the read side's start").or_default().push(began.elapsed());
        assert_eq!((read, tenants), (entries, TENANTS as usize), "everything is read");
        println!("  {files} files, {:.1} MB", bytes as f64 / 1e6);
    }
    for (what, mut found) in times {
        found.sort_unstable();
        println!(
            "{what}: median {:.2} s ({:.2} to {:.2})",
            found[found.len() / 2].as_secs_f64(),
            found[0].as_secs_f64(),
            found[found.len() - 1].as_secs_f64()
        );
    }
}
