//! What each stage of the write path costs, one stage a bench, all on the same events.
//!
//! Run with `cargo bench --bench pipeline`. Every bench reports bytes of input a second and events a second; the head of
//! each says what it asks, of what, and in which unit. The input is made once, in memory, by the simulator with a fixed
//! seed, so two runs on one machine measure the same work.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ghostlight::config::{Config, Flags};
use ghostlight::event::scan::{Isa, Scanner};
use ghostlight::event::{Chunk, Content, DecodeSettings, DecodedChunk, Decoder, EventTime, RecordSpan};
use ghostlight::partial::Batch;
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::partial::sketch::{Precision, UserHash, UserSketch};
use ghostlight::run::{WriteSettings, ingest};
use ghostlight::simulate::Simulation;
use ghostlight::source::file::Input as FileInput;
use ghostlight::store::Store;
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::ledger::PartitionId;
use ghostlight::store::verify::verify;
use ghostlight::usage::{self, Usage};
use simd_json::{Buffers, INPUT_PADDING, Tape, fill_tape_padded};
use tokio::runtime::Runtime;

/// A day of one tenant in log stream entries, one a line, with 1 % duplicates, 1 % late events and 0.05 % broken lines.
const EVENTS: u64 = 12_000;
const SEED: u64 = 20_261_123;
/// As large as the chunks that sources cut.
const CHUNK_BYTES: usize = 1 << 20;
/// Read a day after the simulation ends, which only tells dates that cannot be true.
const NOW: EventTime = EventTime::from_ms(1_793_491_200_000 + 2 * 86_400_000);

struct Input {
    chunks: Vec<Chunk>,
    lines: Vec<u8>,
    events: u64,
}

impl Input {
    fn new() -> Self {
        let simulation = Simulation { seed: SEED, events: EVENTS, days: 1, ..Simulation::default() };
        let mut records = simulation.records();
        let (mut record, mut lines, mut events) = (Vec::new(), Vec::new(), 0);
        let mut chunks = Vec::new();
        let mut chunk = Chunk::default();
        while let Some(kind) = records.next_into(&mut record) {
            events += u64::from(kind.events);
            let begin = chunk.bytes.len();
            chunk.bytes.extend_from_slice(&record);
            let offset = lines.len() as u64;
            chunk.records.push(RecordSpan {
                offset,
                bytes: begin..chunk.bytes.len(),
                arrived: None,
                content: Content::Any,
            });
            chunk.bytes.push(b'\n');
            lines.extend_from_slice(&record);
            lines.push(b'\n');
            chunk.end = lines.len() as u64;
            if chunk.bytes.len() >= CHUNK_BYTES {
                let start = chunk.end;
                chunks.push(std::mem::replace(&mut chunk, Chunk { start, end: start, ..Chunk::default() }));
            }
        }
        if !chunk.records.is_empty() {
            chunks.push(chunk);
        }
        println!("input: {events} events in {:.1} MB of lines, seed {SEED}", lines.len() as f64 / 1e6);
        Self { chunks, lines, events }
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(|chunk| chunk.records.iter().map(|span| &chunk.bytes[span.bytes.clone()]))
    }

    fn throughput(&self) -> Throughput {
        Throughput::ElementsAndBytes { elements: self.events, bytes: self.lines.len() as u64 }
    }

    fn decode(&self) -> Vec<DecodedChunk> {
        let mut decoder = Decoder::new(None);
        self.chunks.iter().map(|chunk| chunk.decode(&mut decoder, NOW)).collect()
    }
}

fn defaults() -> Config {
    Config::load(None, &Flags::default()).expect("the defaults are right")
}

fn fold(chunks: Vec<DecodedChunk>, settings: &WriteSettings) -> Batch {
    let mut dedupe = Dedupe::new(1_000_000);
    let mut batch = Batch::new(0);
    for chunk in chunks {
        batch.fold(chunk, &settings.fold, &settings.ignore, &mut dedupe, NOW);
    }
    batch
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Question: how fast are the fields of events found, on one thread?
/// Input: the lines above. The scanner by each instruction set that this processor has; beside it simd-json's tape, with the
/// copy that it needs, in which nothing is looked for yet.
/// Unit: bytes of lines and events a second.
fn scan(c: &mut Criterion, input: &Input) {
    let mut group = c.benchmark_group("scan");
    group.throughput(input.throughput());
    for isa in Isa::ALL {
        let Some(mut scanner) = Scanner::with(isa) else {
            println!("scan: this processor has no {isa:?}");
            continue;
        };
        group.bench_function(format!("{isa:?}"), |b| {
            b.iter(|| input.records().filter(|record| black_box(scanner.scan(record)).is_some()).count());
        });
    }
    group.bench_function("tape of simd-json", |b| {
        let (mut buffers, mut copy, mut nodes) = (Buffers::new(4096), Vec::new(), Vec::new());
        b.iter(|| {
            let mut parse = |record: &[u8]| {
                copy.clear();
                copy.extend_from_slice(record);
                copy.resize(record.len() + INPUT_PADDING, 0);
                let mut tape = Tape(std::mem::take(&mut nodes)).reset();
                let parsed = fill_tape_padded(&mut copy, record.len(), &mut buffers, &mut tape).is_ok();
                nodes = tape.reset().0;
                parsed
            };
            input.records().filter(|record| parse(record)).count()
        });
    });
    group.finish();
}

/// Question: how fast do bytes become events, on one thread?
/// Input: the lines above, as chunks of 1 MiB; also by a decoder that has no scanner, and parses every record. `serde_json`
/// reads the same lines into its `Value`, and does nothing with them: what a reader would pay before looking at its first
/// field.
/// Unit: bytes of lines and events a second.
fn parse(c: &mut Criterion, input: &Input) {
    let mut group = c.benchmark_group("parse");
    group.throughput(input.throughput());
    for (name, scanner) in [("ghostlight", Some(Scanner::default())), ("ghostlight without scanner", None)] {
        let mut decoder = Decoder::with_scanner(DecodeSettings::default(), scanner);
        group.bench_function(name, |b| {
            b.iter(|| {
                input.chunks.iter().map(|chunk| black_box(chunk.decode(&mut decoder, NOW)).events.len()).sum::<usize>()
            });
        });
    }
    group.bench_function("serde_json::Value", |b| {
        b.iter(|| {
            let value = |line: &&[u8]| black_box(serde_json::from_slice::<serde_json::Value>(line)).is_ok();
            input.records().filter(value).count()
        });
    });
    group.finish();
}

/// Question: how fast do events become rows, on the one thread that folds?
/// Input: the same lines, decoded outside the measurement, folded into one batch with the default settings and a dedupe
/// memory that begins empty; freeing the chunks is measured, freeing the batch is not.
/// Unit: bytes of the lines the events came from, and events a second.
fn fold_events(c: &mut Criterion, input: &Input) {
    let settings = WriteSettings::new(&defaults());
    let mut group = c.benchmark_group("fold");
    group.throughput(input.throughput());
    group.bench_function("dedupe and fold", |b| {
        b.iter_batched(|| input.decode(), |chunks| fold(chunks, &settings), BatchSize::PerIteration);
    });
    group.finish();
}

/// Question: what does counting a user cost: hashing the id, and noting the hash in a sketch?
/// Input: 100 000 visits by 20 000 users with ids as Auth0 makes them, into one sketch of the default precision.
/// Unit: bytes of ids, and inserts a second. No peer: a second sketch would be a dependency for this bench alone.
fn sketch(c: &mut Criterion) {
    let id = |user: u64| format!("auth0|{:024x}", user.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let visits: Vec<String> = (0..100_000_u64).map(|visit| id(visit.wrapping_mul(7919) % 20_000)).collect();
    let bytes = visits.iter().map(|id| id.len() as u64).sum();
    let mut group = c.benchmark_group("sketch");
    group.throughput(Throughput::ElementsAndBytes { elements: visits.len() as u64, bytes });
    group.bench_function("hash and insert", |b| {
        b.iter(|| {
            let mut sketch = UserSketch::new(Precision::DEFAULT);
            visits.iter().filter_map(|id| UserHash::of(id)).for_each(|user| sketch.insert(user));
            sketch
        });
    });
    group.finish();
}

/// Question: what does making a batch true cost without a disk: Parquet, checksums, stage, ledger entry, publish?
/// Input: the batch that the lines fold to, committed onto an empty store in memory. A batch that held more events
/// would cost less an event: the cost is that of rows and files.
/// Unit: bytes of the lines that the batch came from, and events a second.
fn encode(c: &mut Criterion, input: &Input) {
    let runtime = runtime();
    let settings = WriteSettings::new(&defaults());
    let batch = fold(input.decode(), &settings);
    let fresh = || {
        let store = Store::of(Arc::new(object_store::memory::InMemory::new()));
        runtime.block_on(PartitionLog::recover(&store, PartitionId::new("bench", "1", "0"))).expect("an empty store")
    };
    let commit =
        |mut log: PartitionLog| runtime.block_on(log.commit(&batch, &settings.text, NOW)).expect("nobody else writes");
    let entry = commit(fresh());
    println!(
        "encode: {} rows, {:.2} MB in {} files",
        batch.partial.row_count(),
        entry.files.iter().map(|file| file.bytes).sum::<u64>() as f64 / 1e6,
        entry.files.len()
    );
    let mut group = c.benchmark_group("encode");
    group.sample_size(20);
    group.throughput(input.throughput());
    group.bench_function("commit to memory", |b| b.iter_batched(fresh, commit, BatchSize::PerIteration));
    group.finish();
}

/// Question: how long does `ghostlight ingest` take from a file to committed, synced Parquet?
/// Input: the lines as one plain file, into an empty folder each time, with `files.threads = 1` (one thread reads, decodes,
/// folds and writes) and otherwise default settings. Opening the store and syncing to the disk of the
/// temporary folder are measured too.
/// Unit: bytes of the file, and events a second.
fn end_to_end(c: &mut Criterion, input: &Input) {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, &input.lines).expect("the file is written");
    let mut defaults = Config::parse("[files]\nthreads = 1", Path::new("bench")).expect("right settings");
    let mut group = c.benchmark_group("end to end");
    group.sample_size(10);
    group.throughput(input.throughput());
    group.bench_function("file to Parquet, 1 thread", |b| {
        b.iter_batched(
            || tempfile::tempdir_in(folder.path()).expect("a temporary folder"),
            |out| {
                defaults.out = ghostlight::store::Location::Folder(out.path().join("out"));
                let inputs = vec![FileInput::File(file.clone())];
                let summary =
                    ingest(runtime.handle(), &defaults, inputs, false, &AtomicU64::new(0)).expect("it can be written");
                assert_eq!(summary.accounting.events, input.events, "every event is read");
                out
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Question: how long does it take to prove what was written, and to fold it again into what every view is made of?
/// Input: the lines, folded and committed chunk by chunk, one batch each, onto a store in memory.
/// Unit: bytes of the lines that the rows came from, and events a second.
fn read(c: &mut Criterion, input: &Input) {
    let runtime = runtime();
    let settings = WriteSettings::new(&defaults());
    let store = Store::of(Arc::new(object_store::memory::InMemory::new()));
    let write = async {
        let log = PartitionLog::recover(&store, PartitionId::new("bench", "1", "0")).await;
        let mut log = log.expect("an empty store");
        let mut dedupe = Dedupe::new(1_000_000);
        for chunk in input.decode() {
            let mut batch = Batch::new(chunk.start);
            batch.fold(chunk, &settings.fold, &settings.ignore, &mut dedupe, NOW);
            log.commit(&batch, &settings.text, NOW).await.expect("nobody else writes");
        }
    };
    runtime.block_on(write);
    let mut group = c.benchmark_group("read");
    group.sample_size(20);
    group.throughput(input.throughput());
    group.bench_function("verify", |b| {
        b.iter(|| {
            let report = runtime.block_on(verify(&store)).expect("it can be read");
            assert!(report.problems.is_empty(), "{:?}", report.problems);
        });
    });
    group.bench_function("fold", |b| {
        b.iter(|| {
            let mut usage = Usage::default();
            usage.absorb(&runtime.block_on(usage::fold(&store)).expect("it can be read"));
            usage
        });
    });
    group.finish();
}

fn pipeline(c: &mut Criterion) {
    let input = Input::new();
    scan(c, &input);
    parse(c, &input);
    fold_events(c, &input);
    sketch(c);
    encode(c, &input);
    read(c, &input);
    end_to_end(c, &input);
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
