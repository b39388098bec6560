//! The replay law: stop the process anywhere, start it again, also with other settings: every record is folded into
//! committed rows exactly once.

use std::path::PathBuf;
use std::sync::Arc;

use ghostlight::store::Store;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::faulty_store::{Fault, FaultyStore, Overwriting};
use crate::support::{Dice, committed, config, dead_letters, ingest, small, verified, write_simulation};

/// Settings a restart may come with: other batches, other threads, another dedupe memory.
const SETTINGS: [&str; 3] = [
    "[flush]\nbytes = \"64KiB\"\n[files]\nthreads = 2\n",
    "[flush]\nbytes = \"150KiB\"\n[files]\nthreads = 1\n",
    "[flush]\nmemory = \"1MiB\"\n[files]\nthreads = 3\n[dedupe]\nhorizon = 500000\n",
];

struct Scene {
    _folder: tempfile::TempDir,
    file: PathBuf,
    expected: Vec<String>,
    expected_dead: Vec<(u64, u64, Vec<u8>, String)>,
}

/// A file of several chunks, and the tables of a run that never stopped.
fn scene(events: u64) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    write_simulation(&small(11, events), &file);
    let store = Store::of(Arc::new(InMemory::new()));
    ingest(&store, &config(SETTINGS[0]), &[&file]).expect("ingests");
    verified(&store);
    let (expected, expected_dead) = (committed(&store), dead_letters(&store));
    Scene { _folder: folder, file, expected, expected_dead }
}

impl Scene {
    fn check(&self, inner: &Arc<InMemory>, what: &str) {
        let store = Store::of(inner.clone());
        verified(&store);
        let staged = crate::support::runtime().block_on(store.list("_staging")).expect("listed");
        assert!(staged.is_empty(), "{what}: {staged:?} stays");
        assert!(committed(&store) == self.expected, "{what}: the tables differ from a run that never stopped");
        assert!(dead_letters(&store) == self.expected_dead, "{what}: the dead letters differ");
    }
}

/// Runs with `fault` at operation 1, 2, 3, … until it is no longer reached, starting again after each.
fn at_every_operation(scene: &Scene, fault: &Fault, what: &str) -> u64 {
    for at in 1.. {
        let inner = Arc::new(InMemory::new());
        let faulty = FaultyStore::with_listings(inner.clone(), at, fault.clone());
        let first = ingest(&Store::of(faulty.clone()), &config(SETTINGS[0]), &[&scene.file]);
        if !faulty.was_reached() {
            first.expect("without a fault it works");
            scene.check(&inner, what);
            return at;
        }
        let restart = config(SETTINGS[at as usize % SETTINGS.len()]);
        ingest(&Store::of(inner.clone()), &restart, &[&scene.file]).expect("a restart works");
        scene.check(&inner, &format!("{what} at operation {at}"));
    }
    unreachable!("the operations end")
}

#[test]
fn a_failed_operation_anywhere_changes_nothing_in_the_end() {
    let operations = at_every_operation(&scene(2500), &Fault::Before, "failed");
    assert!(operations > 40, "only {operations} operations: the test does not reach the protocol");
}

#[test]
fn a_lost_answer_anywhere_changes_nothing_in_the_end() {
    at_every_operation(&scene(2500), &Fault::After, "answer lost");
}

#[test]
fn a_crash_before_any_operation_changes_nothing_in_the_end() {
    at_every_operation(&scene(2500), &Fault::Crash, "crash");
}

#[test]
fn a_crash_after_any_operation_changes_nothing_in_the_end() {
    at_every_operation(&scene(2500), &Fault::CrashAfter, "crash after");
}

#[test]
fn a_process_frozen_anywhere_while_another_takes_over_adds_nothing() {
    let scene = scene(2500);
    for at in 1.. {
        let inner = Arc::new(InMemory::new());
        let (meanwhile, file) = (inner.clone(), scene.file.clone());
        let takeover = move || {
            let other = config(SETTINGS[at as usize % SETTINGS.len()]);
            ingest(&Store::of(meanwhile.clone()), &other, &[&file]).expect("the other process works");
        };
        let frozen = FaultyStore::with_listings(inner.clone(), at, Fault::Frozen(Arc::new(takeover)));
        let woken = ingest(&Store::of(frozen.clone()), &config(SETTINGS[0]), &[&scene.file]);
        woken.expect("a process that wakes up late goes on from what the other did");
        scene.check(&inner, &format!("frozen at operation {at}"));
        if !frozen.was_reached() {
            return;
        }
    }
}

#[test]
fn any_number_of_crashes_in_a_row_changes_nothing_in_the_end() {
    let scene = scene(2500);
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let inner = Arc::new(InMemory::new());
        for run in 0.. {
            let at = 1 + dice.roll(60);
            let fault = match dice.roll(4) {
                0 => Fault::Before,
                1 => Fault::After,
                2 => Fault::Crash,
                _ => Fault::CrashAfter,
            };
            let faulty = FaultyStore::with_listings(inner.clone(), at, fault);
            let settings = config(SETTINGS[dice.roll(3) as usize]);
            if ingest(&Store::of(faulty.clone()), &settings, &[&scene.file]).is_ok() || run > 200 {
                break;
            }
        }
        ingest(&Store::of(inner.clone()), &config(SETTINGS[0]), &[&scene.file]).expect("the last run works");
        scene.check(&inner, &format!("crashes by seed {seed}"));
    }
}

#[test]
fn ingesting_again_changes_nothing() {
    let scene = scene(2500);
    let inner = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    for settings in SETTINGS {
        ingest(&store, &config(settings), &[&scene.file]).expect("ingests");
        scene.check(&inner, settings);
    }
}

#[test]
fn a_store_without_put_if_absent_is_refused_before_anything_is_written() {
    let scene = scene(300);
    let store = Store::of(Arc::new(Overwriting(InMemory::new())));
    let error = ingest(&store, &config(SETTINGS[0]), &[&scene.file]).expect_err("refused");
    assert!(format!("{error:#}").contains("does not honour put-if-absent"), "{error:#}");
}

#[test]
fn many_commits_are_found_through_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let inner: Arc<InMemory> = Arc::new(InMemory::new());
    let store = Store::of(inner.clone());
    let mut content = String::new();
    for n in 0..200 {
        content.push_str(&format!(
            "{{\"type\":\"s\",\"log_id\":\"id-{n}\",\"date\":\"2026-11-01T00:00:00Z\",\"user_id\":\"auth0|{n}\"}}\n"
        ));
        std::fs::write(&file, &content).expect("grows");
        ingest(&store, &config(""), &[&file]).expect("ingests");
    }
    let report = verified(&store);
    assert_eq!((report.entries, report.accounting.counted), (200, 200));
    let snapshots = crate::support::runtime().block_on(store.list("_snapshots")).expect("listed");
    assert_eq!(snapshots.len(), 1, "older snapshots are forgotten");
    // A snapshot only saves time: without it, the chain still has its end.
    let runtime = crate::support::runtime();
    runtime.block_on(object_store::ObjectStoreExt::delete(&inner, &snapshots[0].location)).expect("deleted");
    assert_eq!(ingest(&store, &config(""), &[&file]).expect("ingests").accounting.records, 0);
    let _: &dyn ObjectStore = &*inner;
}
