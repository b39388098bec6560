//! `ghostlight export --delta`: each table's log names exactly what is current, whatever interrupts it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as Folder;
use std::process::Command;
use std::sync::Arc;

use ghostlight::clock;
use ghostlight::export::delta::{self, DeltaError};
use ghostlight::partial::Partial;
use ghostlight::store::compact::{CompactSettings, Compactor};
use ghostlight::store::datasets::{self, AGGREGATES, DATASETS};
use ghostlight::store::{Location, Store};
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{
    SMALL_BATCHES, Simulated, committed, config, ghostlight, ingest, open, output, runtime, small, succeed, tables,
    write_simulation,
};

/// What one table's log says.
#[derive(Default)]
struct Log {
    versions: u64,
    /// The `add` of each file that is in the table.
    files: BTreeMap<String, Value>,
    added: usize,
    removed: usize,
}

/// Follows a log by the words of Delta's protocol, checking what it asks for.
fn log(exported: &Store, dataset: &str) -> Log {
    let mut log = Log::default();
    let runtime = runtime();
    for object in runtime.block_on(exported.list(&format!("{dataset}/_delta_log"))).expect("can be listed") {
        assert_eq!(object.location.as_ref(), format!("{dataset}/_delta_log/{:020}.json", log.versions));
        let bytes = runtime.block_on(exported.read(&object.location)).expect("can be read");
        let lines: Vec<Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        let of_kind = |kind: &str| lines.iter().filter(|line| !line[kind].is_null()).count();
        let first = usize::from(log.versions == 0);
        assert_eq!((of_kind("commitInfo"), of_kind("protocol"), of_kind("metaData")), (1, first, first));
        for line in &lines {
            let path = |action: &str| line[action]["path"].as_str().map(str::to_owned);
            if let Some(path) = path("remove") {
                assert!(log.files.remove(&path).is_some(), "{path} was not there");
                log.removed += 1;
            }
            if let Some(path) = path("add") {
                let add = line["add"].clone();
                let date = add["partitionValues"]["date"].as_str().expect("a day");
                assert!(path.starts_with(&format!("date={date}/")), "{path}");
                assert!(log.files.insert(path.clone(), add).is_none(), "{path} was there already");
                log.added += 1;
            }
        }
        log.versions += 1;
    }
    log
}

/// The merged rows of all tables, and the rows of each as its log tells and as its files have.
fn exported_rows(exported: &Store) -> (Vec<String>, BTreeMap<&'static str, usize>) {
    let (mut partial, mut counts) = (Partial::default(), BTreeMap::new());
    for dataset in DATASETS {
        let (mut told, mut found) = (0, 0);
        for (path, add) in log(exported, dataset).files {
            let at = Path::from(format!("{dataset}/{path}"));
            let bytes = runtime().block_on(exported.read(&at)).expect("a file of the log is there");
            assert_eq!(json!(bytes.len()), add["size"], "{at}");
            let stats: Value = serde_json::from_str(add["stats"].as_str().expect("text")).expect("JSON");
            told += stats["numRecords"].as_u64().expect("a number") as usize;
            let batches = datasets::read(dataset, bytes.clone()).expect("a file of the dataset");
            found += batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
            if AGGREGATES.contains(&dataset) {
                datasets::absorb(dataset, bytes, &mut partial).expect("rows");
            }
        }
        assert_eq!(told, found, "{dataset}");
        counts.insert(dataset, found);
    }
    (tables(&partial), counts)
}

fn export(out: &Folder, to: &Folder) -> Command {
    let mut command = ghostlight();
    command.arg("export").arg("--delta").arg(to).arg("--data").arg(out);
    command
}

#[test]
fn a_table_has_what_is_current_and_an_export_again_brings_what_is_new_and_takes_what_was_merged() {
    let (simulated, late) = (Simulated::new(8_000, 4, 61), Simulated::new(2_000, 4, 62));
    let (out, to) = (simulated.ingest_into("out"), simulated.path("delta"));
    let hold = |what: &str| {
        let (rows, counts) = exported_rows(&open(&to));
        assert_eq!(rows, committed(&open(&out)), "{what}");
        counts
    };
    let said = succeed(&mut export(&out, &to));
    assert!(DATASETS.iter().all(|dataset| said.contains(dataset)) && said.contains("version 0: "), "{said}");
    let folders = std::fs::read_dir(&to).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let folders: BTreeSet<_> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(folders, DATASETS.map(str::to_owned).into(), "nothing but tables");
    let counts = hold("as committed");
    assert_eq!(counts["dead_letters"], simulated.truth().malformed as usize);
    assert_eq!(counts["daily"], 0, "a table without rows is one");
    let said = succeed(&mut export(&out, &to));
    assert_eq!(said.matches("version 0: unchanged").count(), DATASETS.len(), "{said}");

    succeed(ghostlight().arg("ingest").arg("--out").arg(&out).arg(late.events_path()));
    succeed(&mut export(&out, &to));
    hold("more came");
    let more = log(&open(&to), "event_counts");
    assert_eq!((more.versions, more.removed), (2, 0), "what is only new is only added");

    succeed(ghostlight().args(["compact", "--keep", "0s"]).arg(&out));
    let said = succeed(&mut export(&out, &to));
    let counts = hold("merged");
    assert!(counts["daily"] > 0, "{counts:?}");
    let merged = log(&open(&to), "event_counts");
    assert_eq!((merged.versions, merged.removed), (3, more.added), "{said}");
    assert!(merged.files.len() < more.files.len(), "{said}");
    // What is gone of a table, or cut off, is copied again, and its version stays.
    let name = |dataset: &str| to.join(dataset).join(log(&open(&to), dataset).files.keys().next().expect("a file"));
    std::fs::remove_file(name("event_counts")).expect("removed");
    std::fs::write(name("daily"), b"PAR1").expect("written");
    let said = succeed(&mut export(&out, &to));
    assert_eq!(said.matches(": unchanged, 1 that were gone copied again").count(), 2, "{said}");
    hold("restored");
    // What compaction moves and removes afterwards is the same to a table.
    for _ in 0..2 {
        succeed(ghostlight().args(["compact", "--keep", "0s"]).arg(&out));
        let said = succeed(&mut export(&out, &to));
        assert_eq!(said.matches(": unchanged").count(), DATASETS.len(), "{said}");
    }
    succeed(ghostlight().arg("verify").arg(&out));
}

/// A store with something in it.
fn filled(seed: u64) -> Store {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events");
    write_simulation(&small(seed, 600), &file);
    let store = Store::of(Arc::new(InMemory::new()));
    ingest(&store, &config(SMALL_BATCHES), &[&file]).expect("ingests");
    store
}

fn compact(store: &Store) {
    let at_once = std::time::Duration::ZERO;
    let settings =
        CompactSettings { interval: at_once, late_interval: at_once, keep: at_once, ..CompactSettings::default() };
    let round = runtime().block_on(Compactor::new(store.clone(), settings).round(clock::now())).expect("compacts");
    assert!(round.generations > 0);
}

#[test]
fn an_export_that_is_interrupted_anywhere_leaves_whole_tables_and_the_next_one_completes_them() {
    let before = filled(71);
    let merged = filled(71);
    compact(&merged);
    for fault in [Fault::Before, Fault::After, Fault::Crash, Fault::CrashAfter] {
        let mut interrupted = 0;
        for at in 1.. {
            let inner = Arc::new(InMemory::new());
            let whole = Store::of(inner.clone());
            runtime().block_on(delta::export(&before, &whole, clock::now)).expect("exports");
            let faulty = FaultyStore::new(inner, at, fault.clone());
            let broken = runtime().block_on(delta::export(&merged, &Store::of(faulty.clone()), clock::now)).is_err();
            // Whatever happened: what each log says is there, of one state or the other.
            for dataset in DATASETS {
                for path in log(&whole, dataset).files.keys() {
                    let file = Path::from(format!("{dataset}/{path}"));
                    runtime().block_on(whole.read(&file)).expect("a file of the log is there");
                }
            }
            runtime().block_on(delta::export(&merged, &whole, clock::now)).expect("exports");
            assert_eq!(exported_rows(&whole).0, committed(&merged), "operation {at}");
            interrupted += u64::from(broken);
            if !faulty.was_reached() {
                break;
            }
        }
        assert!(interrupted > 10, "{interrupted} operations");
    }
}

#[test]
fn of_two_exports_at_once_one_comes_second_and_both_end_well() {
    let before = filled(72);
    let merged = filled(72);
    compact(&merged);
    for at in 1.. {
        let inner = Arc::new(InMemory::new());
        let whole = Store::of(inner.clone());
        let (from, to) = (before.clone(), whole.clone());
        let other = move || {
            runtime().block_on(delta::export(&from, &to, clock::now)).expect("the other one exports");
        };
        let frozen = FaultyStore::new(inner, at, Fault::Frozen(Arc::new(other)));
        let tables = Store::of(frozen.clone());
        runtime().block_on(delta::export(&merged, &tables, clock::now)).expect("it exports");
        if !frozen.was_reached() {
            assert!(at > 10, "{at} operations");
            break;
        }
        // The last to commit each table decides; exporting once more leaves one state.
        runtime().block_on(delta::export(&merged, &whole, clock::now)).expect("exports");
        assert_eq!(exported_rows(&whole).0, committed(&merged), "operation {at}");
    }
}

#[test]
fn a_place_that_is_not_an_exports_is_refused_and_left_as_it_is() {
    let store = filled(73);
    let attempt = |tables: &Store| runtime().block_on(delta::export(&store, tables, clock::now));
    let commit = "active_users/_delta_log/00000000000000000000.json";
    let meta = |schema: &str| json!({ "metaData": { "schemaString": schema } }).to_string();
    for (name, content, expected) in [
        (commit, "nonsense".to_owned(), "version 0 cannot be read"),
        (commit, meta("{}"), "its columns are not those of this dataset"),
        (
            commit,
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[]}}"#.to_owned(),
            "asks for reader 3 and writer 7",
        ),
        ("active_users/_delta_log/00000000000000000003.json", meta("{}"), "version 0 is missing"),
        ("active_users/_delta_log/00000000000000000010.checkpoint.parquet", String::new(), "no commit"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, &content).expect("written");
        match attempt(&open(folder.path())) {
            Err(error @ DeltaError::Table { .. }) => {
                let said = error.to_string();
                assert!(said.contains(expected) && said.contains("active_users"), "{said}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(std::fs::read_to_string(&file).expect("text"), content, "{name}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let simulated = Simulated::new(500, 1, 74);
    succeed(ghostlight().arg("ingest").arg("--out").arg(&out).arg(simulated.events_path()));
    for to in [out.clone(), out.join("delta"), folder.path().to_owned(), folder.path().join("new/../out/delta")] {
        let (is_well, said) = output(&mut export(&out, &to));
        assert!(!is_well && said.contains("is not apart from"), "{said}");
    }
    succeed(ghostlight().arg("verify").arg(&out));
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    let (is_well, said) = output(&mut export(&folder.path().join("empty"), &folder.path().join("delta")));
    assert!(!is_well && said.contains("no ledger, so nothing ghostlight wrote"), "{said}");
    let (is_well, said) = output(ghostlight().args(["export", "--delta", "gs://a", "--data"]).arg(&out));
    assert!(!is_well && said.contains("gs:// is not supported"), "{said}");
}

#[test]
fn a_file_that_was_altered_is_not_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    let simulated = Simulated::new(500, 1, 75);
    let out = simulated.ingest_into("out");
    let found = runtime().block_on(ghostlight::store::compact::current(&open(&out))).expect("can be read");
    let file = out.join(&found[0].files[0].path);
    let mut bytes = std::fs::read(&file).expect("a file");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let to = folder.path().join("delta");
    let (is_well, said) = output(&mut export(&out, &to));
    assert!(!is_well && said.contains(&found[0].files[0].path) && said.contains("SHA-256"), "{said}");
    let tables = Store::open_existing(&Location::Folder(to)).expect("a place");
    assert_eq!(log(&tables, "active_users").versions, 0);
}

#[test]
fn a_lost_file_is_said_and_takes_nothing_out_of_a_table() {
    let simulated = Simulated::new(2_000, 2, 71);
    let (out, to) = (simulated.ingest_into("out"), simulated.path("delta"));
    succeed(&mut export(&out, &to));
    let before = exported_rows(&open(&to));
    let lost = runtime().block_on(open(&out).list("dead_letters")).expect("can be listed").remove(0).location;
    std::fs::remove_file(out.join(lost.as_ref())).expect("was there");
    let (is_well, said) = output(&mut export(&out, &to));
    assert!(!is_well && said.contains(lost.as_ref()) && said.contains("ghostlight verify"), "{said}");
    assert!(exported_rows(&open(&to)) == before, "as it was");
    let (is_well, said) = output(ghostlight().args(["compact"]).arg(&out));
    assert!(!is_well && said.contains(lost.as_ref()), "{said}");
}

#[test]
fn a_table_is_of_one_store() {
    let (one, other) = (Simulated::new(2_000, 2, 72), Simulated::new(2_000, 2, 73));
    let (out, to) = (one.ingest_into("out"), one.path("delta"));
    succeed(&mut export(&out, &to));
    let before = exported_rows(&open(&to));
    let (is_well, said) = output(&mut export(&other.ingest_into("out"), &to));
    assert!(!is_well && said.contains("its rows would be replaced"), "{said}");
    assert!(exported_rows(&open(&to)) == before, "as it was");
}
