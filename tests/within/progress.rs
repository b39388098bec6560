//! Notes that a partition is caught up, by the real program: written, true, and no newer than the process that is alive.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ghostlight::clock::now;
use ghostlight::event::EventTime;
use ghostlight::store::ledger::{self, PartitionId};
use ghostlight::store::progress::{self, Note, Progress};

use crate::support::{Server, open, runtime, verified, wait_for};

const FLUSH: &str = "[flush]\ninterval = \"50ms\"\n";

fn bodies(of: std::ops::Range<usize>) -> Vec<u8> {
    let event = |n| {
        format!(r#"{{"log_id":"id-{n}","data":{{"type":"s","log_id":"id-{n}","date":"2026-11-01T00:00:00Z"}}}}"#) + "\n"
    };
    of.map(event).collect::<String>().into_bytes()
}

fn notes(folder: &Path) -> HashMap<PartitionId, Note> {
    runtime().block_on(progress::read_all(&open(&folder.join("out")))).expect("can be read")
}

/// The end of a partition's ledger, and of its accounting.
fn end(folder: &Path, id: &PartitionId) -> (u64, u64) {
    let tail = runtime().block_on(ledger::tail(&open(&folder.join("out")), id)).expect("can be read");
    (tail.end(), tail.accounting.counted)
}

/// Waits until so many events are counted and the partition is noted as caught up at that end.
fn wait_until_caught_up(folder: &Path, id: &PartitionId, counted: u64) -> Note {
    wait_for(&format!("{id} is caught up with {counted} events"), || {
        let (end, found) = end(folder, id);
        let note = notes(folder).remove(id)?;
        (found == counted && note.position == end).then_some(note)
    })
}

fn only_partition(folder: &Path) -> PartitionId {
    wait_for("a note", || notes(folder).into_keys().next())
}

#[test]
fn an_idle_server_notes_that_it_is_caught_up_and_goes_on_noting() {
    let folder = tempfile::tempdir().expect("a folder");
    let began = now();
    let server = Server::start(folder.path(), "spool", FLUSH);
    let id = only_partition(folder.path());
    assert_eq!(notes(folder.path())[&id].position, 0, "there is nothing to read yet");

    assert_eq!(server.post(&bodies(0..10), &[]).0, 200);
    let posted = now();
    let first = wait_until_caught_up(folder.path(), &id, 10);
    assert!(first.at > began && first.at <= now(), "{first:?}");
    let moved_on =
        wait_for("the note moves on", || Some(notes(folder.path()).remove(&id)?).filter(|note| *note != first));
    assert!(moved_on.position == first.position && moved_on.at > first.at, "{first:?} {moved_on:?}");
    assert!(moved_on.at > posted, "by a look after the last event came");
    let metrics = server.get("/metrics").1;
    assert!(metrics.contains("ghostlight_progress_notes_total{outcome=\"written\"}"), "{metrics}");
    server.stop();
    let report = verified(&open(&folder.path().join("out")));
    assert!(report.notes.is_empty(), "notes are nothing foreign: {:?}", report.notes);
}

#[test]
fn what_is_not_committed_yet_is_not_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", FLUSH);
    let id = only_partition(folder.path());
    assert_eq!(server.post(&bodies(0..10), &[]).0, 200);
    let first = wait_until_caught_up(folder.path(), &id, 10);
    drop(server);

    // Killed with events in its spool; started again it reads them, and commits them only when it ends.
    let lazy = "[flush]\ninterval = \"1h\"\n";
    let server = Server::start(folder.path(), "spool", lazy);
    assert_eq!(server.post(&bodies(10..30), &[]).0, 200);
    let posted = now();
    drop(server);
    let server = Server::start(folder.path(), "spool", lazy);
    wait_for("the events are read", || server.get("/metrics").1.contains("ghostlight_batch_bytes{").then_some(()));
    // Another one that starts now has time for an idle moment, so this one has too.
    let other = Server::start(folder.path(), "other", lazy);
    wait_for("a note of the other", || notes(folder.path()).into_keys().find(|found| *found != id));
    let left = notes(folder.path()).remove(&id).expect("the note stays");
    server.stop();
    other.stop();
    assert!(left.position == first.position && left.at <= posted, "{left:?} is of after {posted}");

    // Its last commit is beyond the note, so the note says nothing any more.
    let (end, counted) = end(folder.path(), &id);
    assert!(counted == 30 && end > left.position);
    let last = notes(folder.path()).remove(&id).expect("a note");
    assert!(last.position == end && last.at > posted, "stopped, it noted that nothing was left: {last:?}");
    let grace = Duration::ZERO;
    let mut progress = Progress { end, frontier: None, ..Progress::new(id.clone()) };
    progress.hear(&left, now());
    assert_eq!(progress.reaches(grace), None);

    let server = Server::start(folder.path(), "spool", FLUSH);
    let note = wait_until_caught_up(folder.path(), &id, 30);
    server.stop();
    progress.hear(&note, now());
    assert_eq!(progress.reaches(grace), Some(note.at));
}

#[test]
fn a_frozen_server_s_note_gets_old_while_another_s_moves_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (Server::start(folder.path(), "one", FLUSH), Server::start(folder.path(), "two", FLUSH));
    assert_eq!(one.post(&bodies(0..10), &[]).0, 200);
    let frozen = wait_for("a commit", || notes(folder.path()).into_keys().find(|id| end(folder.path(), id).1 == 10));
    wait_until_caught_up(folder.path(), &frozen, 10);
    one.signal("STOP");
    let stopped = now();
    let other = wait_for("both have notes", || notes(folder.path()).into_keys().find(|id| *id != frozen));
    let at = |id: &PartitionId| -> EventTime { notes(folder.path())[id].at };
    // Longer than the pace of notes: it would have written another by now.
    wait_for("the other's notes go on", || (at(&other).since_ms(stopped) > 20_000).then_some(()));
    assert!(at(&frozen) <= stopped, "{} after it was frozen at {stopped}", at(&frozen));
    two.stop();
}

#[test]
fn after_a_pause_notes_say_until_when_senders_may_deliver_what_they_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", FLUSH);
    let id = only_partition(folder.path());
    server.stop();
    let store = open(&folder.path().join("out"));
    let noted_ago = |ms: i64| {
        let at = EventTime::from_ms(now().ms() - ms);
        runtime().block_on(progress::note(&store, &id, 0, at, None)).expect("is noted");
        at
    };
    let started = |after: EventTime| {
        let server = Server::start(folder.path(), "spool", FLUSH);
        wait_for("a new note", || (notes(folder.path())[&id].at > after).then_some(()));
        server.stop();
        notes(folder.path())[&id].clone()
    };
    let at = noted_ago(3_600_000);
    let note = started(at);
    let pause = note.pause.expect("a pause");
    assert_eq!(pause.from, at);
    let left_ms = pause.returned.since_ms(note.at);
    assert!((500_000..=600_000).contains(&left_ms), "{left_ms} ms");
    assert_eq!(started(note.at).pause, Some(pause), "a restart does not begin it anew");
    assert_eq!(started(noted_ago(30_000)).pause, None);
}
