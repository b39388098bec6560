//! The dataset `events`: exactly the events counted, each once, whatever was sent twice, interrupted or merged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use ghostlight::event::{ActiveDefinition, EventTime, catalogue};
use ghostlight::simulate::Truth;
use ghostlight::store::compact::{CompactSettings, Compactor, Generations};
use ghostlight::store::{Store, StoreError, datasets};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{
    Server, committed, config, ingest, open, output, runtime, small, texts, verified, write_simulation,
};

const ON: &str = "[datasets]\nevents = true\n[flush]\nbytes = \"64KiB\"\n[files]\nthreads = 2\n";

struct Scene {
    _folder: tempfile::TempDir,
    file: PathBuf,
    truth: Truth,
}

fn scene(events: u64) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let truth = write_simulation(&small(23, events), &file);
    assert!(truth.duplicates > 0 && truth.late > 0 && truth.malformed > 0);
    Scene { _folder: folder, file, truth }
}

/// The files of `events` in the dataset's folder, each with its rows.
fn files(store: &Store) -> Vec<(String, RecordBatch)> {
    let runtime = runtime();
    let read = |path: Path| {
        let bytes = runtime.block_on(store.read(&path)).expect("read");
        let batches = datasets::read(datasets::EVENTS, bytes).expect("rows of events");
        let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).expect("the same columns");
        (path.to_string(), all)
    };
    let listed = runtime.block_on(store.list(datasets::EVENTS)).expect("listed");
    listed.into_iter().map(|object| read(object.location)).collect()
}

/// Every row as text, with its file's day, sorted.
fn rows(store: &Store) -> Vec<String> {
    let mut rows = Vec::new();
    for (path, batch) in files(store) {
        let date = path.split('/').find_map(|part| part.strip_prefix("date=")).expect("a day").to_owned();
        let times = batch.column(0).as_any().downcast_ref::<arrow::array::TimestampMillisecondArray>().expect("times");
        let schema = batch.schema();
        let columns: Vec<_> = schema.fields().iter().skip(1).map(|field| texts(&batch, field.name())).collect();
        for row in 0..batch.num_rows() {
            let mut values = vec![EventTime::from_ms(times.value(row)).to_string()];
            values.extend(columns.iter().map(|column| column[row].clone()));
            assert!(values[0].starts_with(&date), "{path} has {values:?}");
            rows.push(values.join("\t"));
        }
    }
    rows.sort();
    rows
}

fn column(store: &Store, name: &str) -> Vec<String> {
    files(store).iter().flat_map(|(_, batch)| texts(batch, name)).collect()
}

#[test]
fn every_event_counted_is_one_row_and_the_rows_give_the_truths_numbers() {
    let Scene { _folder, file, truth } = scene(6000);
    let store = Store::of(Arc::new(InMemory::new()));
    ingest(&store, &config(ON), &[&file]).expect("ingests");
    let accounting = verified(&store).accounting;
    assert_eq!((accounting.event_rows, accounting.counted), (truth.distinct_events, truth.distinct_events));
    let ids: BTreeSet<_> = column(&store, "log_id").into_iter().collect();
    assert_eq!((ids.len() as u64, ids.contains("")), (truth.distinct_events, false));

    let mut by_type: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, batch) in files(&store) {
        let [tenants, types, classes, categories, ids, logs] =
            ["tenant", "type", "class", "category", "user_id", "log_id"].map(|name| texts(&batch, name));
        let times = batch.column(0).as_any().downcast_ref::<arrow::array::TimestampMillisecondArray>().expect("times");
        let place = |row: usize| (&tenants[row], times.value(row), &logs[row]);
        assert!((1..batch.num_rows()).all(|row| place(row - 1) < place(row)), "{path} is sorted");
        for row in 0..batch.num_rows() {
            let kind = catalogue::lookup(&types[row]);
            assert_eq!((classes[row].as_str(), categories[row].as_str()), (kind.class.name(), kind.category));
            *by_type.entry(tenants[row].clone()).or_default().entry(types[row].clone()).or_default() += 1;
            if ActiveDefinition::Published.accepts(kind.evidence) && !ids[row].is_empty() {
                users.entry(tenants[row].clone()).or_default().insert(ids[row].clone());
            }
        }
    }
    assert_eq!(by_type, truth.by_type);
    let counted: BTreeMap<_, _> = users.into_iter().map(|(tenant, ids)| (tenant, ids.len() as u64)).collect();
    let expected: BTreeMap<_, _> = truth.users.iter().map(|(tenant, users)| (tenant.clone(), users.month)).collect();
    assert_eq!(counted, expected);
    for name in ["user_name", "hostname", "description", "ip", "audience", "scope", "connection"] {
        assert!(column(&store, name).iter().any(|value| !value.is_empty()), "no row has {name}");
    }

    // Without the setting nothing else is different.
    let without = Store::of(Arc::new(InMemory::new()));
    ingest(&without, &config("[flush]\nbytes = \"64KiB\"\n"), &[&file]).expect("ingests");
    assert!(files(&without).is_empty() && verified(&without).accounting.event_rows == 0);
    assert!(committed(&without) == committed(&store));
}

#[test]
fn a_fault_at_any_operation_loses_no_row_and_doubles_none() {
    let Scene { _folder, file, truth } = scene(1500);
    let store = Store::of(Arc::new(InMemory::new()));
    ingest(&store, &config(ON), &[&file]).expect("ingests");
    let expected = rows(&store);
    assert_eq!(expected.len() as u64, truth.distinct_events);
    for fault in [Fault::Before, Fault::After, Fault::CrashAfter] {
        for at in 1.. {
            let inner = Arc::new(InMemory::new());
            let faulty = FaultyStore::with_listings(inner.clone(), at, fault.clone());
            let first = ingest(&Store::of(faulty.clone()), &config(ON), &[&file]);
            let store = Store::of(inner);
            if faulty.was_reached() {
                let again = format!("{ON}[dedupe]\nhorizon = 500000\n").replace("64KiB", "150KiB");
                ingest(&store, &config(&again), &[&file]).expect("a restart works");
            } else {
                first.expect("without a fault it works");
            }
            verified(&store);
            assert!(rows(&store) == expected, "other rows after a fault at operation {at}");
            if !faulty.was_reached() {
                assert!(at > 40, "only {at} operations");
                break;
            }
        }
    }
}

#[test]
fn what_a_killed_server_had_acknowledged_is_one_row_each() {
    let Scene { _folder, file, truth } = scene(3000);
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read(&file).expect("read");
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let more = "[datasets]\nevents = true\n[flush]\ninterval = \"30ms\"\n";
    let mut server = Server::start(folder.path(), "spool", more);
    for (at, body) in lines.chunks(100).map(<[_]>::concat).enumerate() {
        assert_eq!(server.post(&body, &[]).0, 200);
        if at % 7 == 3 {
            server.child.kill().expect("SIGKILL");
            server.child.wait().expect("ends");
            server = Server::start(folder.path(), "spool", more);
            // As Auth0 does, to which the answer was lost.
            assert_eq!(server.post(&body, &[]).0, 200);
        }
    }
    server.stop();
    let store = open(&folder.path().join("out"));
    assert_eq!(verified(&store).accounting.event_rows, truth.distinct_events);
    let ids = column(&store, "log_id");
    assert_eq!(ids.len() as u64, truth.distinct_events);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len() as u64, truth.distinct_events);
}

/// Everything is due at once, and what is held goes at once.
const AT_ONCE: CompactSettings = CompactSettings {
    interval: Duration::ZERO,
    late_interval: Duration::ZERO,
    keep: Duration::ZERO,
    entries_min: 1,
    joined_bytes: 1,
};

fn compact(store: &Store, joined_bytes: u64) -> Result<(), StoreError> {
    let settings = CompactSettings { joined_bytes, ..AT_ONCE };
    // Days after all that was committed, so that every day is over.
    let now = EventTime::from_ms(ghostlight::clock::now().ms() + 5 * 86_400_000);
    runtime().block_on(async {
        let mut compactor = Compactor::new(store.clone(), settings);
        compactor.round(now).await?;
        compactor.round(EventTime::from_ms(now.ms() + 60_000)).await.map(drop)
    })
}

/// Ingests a file in two parts, as it grows, with something in between.
fn ingest_halves(store: &Store, file: &PathBuf, between: impl FnOnce()) {
    let text = std::fs::read(file).expect("read");
    let growing = file.with_extension("growing");
    std::fs::write(&growing, &text[..text.len() / 2]).expect("written");
    ingest(store, &config(ON), &[&growing]).expect("ingests");
    between();
    std::fs::write(&growing, &text).expect("written");
    ingest(store, &config(ON), &[&growing]).expect("ingests");
}

#[test]
fn compaction_joins_the_rows_as_they_are_and_takes_long_files_over() {
    let Scene { _folder, file, truth } = scene(3000);
    for joined_bytes in [u64::MAX, 1] {
        let store = Store::of(Arc::new(InMemory::new()));
        ingest_halves(&store, &file, || {
            let expected = rows(&store);
            compact(&store, joined_bytes).expect("compacts");
            assert!(verified(&store).problems.is_empty() && rows(&store) == expected);
        });
        let expected = rows(&store);
        assert_eq!(expected.len() as u64, truth.distinct_events);
        compact(&store, joined_bytes).expect("compacts");
        verified(&store);
        assert!(rows(&store) == expected, "other rows after compaction");
        let paths: Vec<_> = files(&store).into_iter().map(|(path, _)| path).collect();
        assert!(paths.iter().all(|path| path.contains("/compacted-")), "{paths:?}");
        let days: BTreeSet<_> = paths.iter().map(|path| path.split('/').nth(1)).collect();
        let generations = runtime().block_on(Generations::read(&store)).expect("read");
        assert!(generations.winners().any(|generation| generation.number > 1));
        match joined_bytes {
            1 => assert!(paths.len() > days.len(), "long files stay: {paths:?}"),
            _ => assert_eq!(paths.len(), days.len(), "a file a day: {paths:?}"),
        }
        let views = Path::from("_current/views.sql");
        let views = String::from_utf8(runtime().block_on(store.read(&views)).expect("read").to_vec()).expect("text");
        assert!(views.contains("CREATE OR REPLACE VIEW events AS"), "{views}");
    }
}

#[test]
fn a_fault_while_long_files_are_taken_over_loses_no_row_and_doubles_none() {
    let Scene { _folder, file, .. } = scene(600);
    let begun = Arc::new(InMemory::new());
    let store = Store::of(begun.clone());
    ingest_halves(&store, &file, || compact(&store, 1).expect("compacts"));
    let expected = rows(&store);
    for fault in [Fault::Before, Fault::CrashAfter] {
        for at in 1.. {
            let inner = Arc::new(begun.fork());
            let faulty = FaultyStore::with_listings(inner.clone(), at, fault.clone());
            let ended = compact(&Store::of(faulty.clone()), 1);
            let store = Store::of(inner);
            verified(&store);
            let now = rows(&store);
            assert!(now.windows(2).all(|pair| pair[0] < pair[1]), "doubled by glob, at operation {at}");
            compact(&store, 1).expect("another goes on");
            verified(&store);
            assert!(rows(&store) == expected, "other rows after a fault at operation {at}");
            if !faulty.was_reached() {
                ended.expect("without a fault it works");
                assert!(at > 30, "only {at} operations");
                break;
            }
        }
    }
}

#[test]
fn verify_tells_rows_that_are_missing_or_too_many() {
    let Scene { _folder, file, .. } = scene(600);
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    ingest(&store, &config(ON), &[&file]).expect("ingests");
    let problems = || {
        let report = runtime().block_on(ghostlight::store::verify::verify(&store)).expect("verifies");
        report.problems.join("\n")
    };
    assert_eq!(problems(), "");
    let paths: Vec<_> = files(&store).into_iter().map(|(path, _)| path).collect();
    let [one, other] = [&paths[0], &paths[1]].map(|path| Path::from(path.as_str()));
    let bytes = runtime().block_on(store.read(&one)).expect("read");
    runtime().block_on(inner.put(&other, bytes.into())).expect("written");
    assert!(problems().contains("altered"), "{}", problems());
    runtime().block_on(inner.delete(&other)).expect("deleted");
    assert!(problems().contains("missing"), "{}", problems());
}

#[test]
fn rows_are_flushed_by_the_memory_they_take() {
    let Scene { _folder, file, truth } = scene(30_000);
    let commits = |text: &str| {
        let store = Store::of(Arc::new(InMemory::new()));
        let commits = ingest(&store, &config(text), &[&file]).expect("ingests").commits;
        (commits, files(&store).iter().map(|(_, batch)| batch.num_rows()).sum::<usize>() as u64)
    };
    let memory = "[flush]\nmemory = \"3MiB\"\n";
    let (with, rows) = commits(&format!("[datasets]\nevents = true\n{memory}"));
    let (without, _) = commits(memory);
    assert_eq!(rows, truth.distinct_events);
    // Some 150 bytes a row.
    assert!(with > without && with >= truth.distinct_events * 100 / (3 << 20), "{with} commits, {without} without");
}

#[test]
fn report_and_verify_work_with_the_dataset_and_without() {
    let Scene { _folder, file, .. } = scene(2000);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("on.toml");
    std::fs::write(&settings, ON).expect("written");
    let mut reports = Vec::new();
    for name in ["with", "without"] {
        let out = folder.path().join(name);
        let mut command = crate::support::ghostlight();
        command.arg("ingest").arg("--out").arg(&out).arg(&file);
        if name == "with" {
            command.arg("--config").arg(&settings);
        }
        assert!(output(&mut command).0);
        for args in [&["verify"][..], &["compact"], &["verify"]] {
            let (is_well, text) = output(crate::support::ghostlight().args(args).arg(&out));
            assert!(is_well, "{args:?} {name}: {text}");
        }
        let tenant = "northwind-prod";
        let (is_well, text) = output(
            crate::support::ghostlight()
                .args(["report", "--tenant", tenant, "--month", "2026-11", "--format", "csv", "--data"])
                .arg(&out),
        );
        assert!(is_well, "{text}");
        reports.push(text);
    }
    assert_eq!(reports[0], reports[1]);
}
