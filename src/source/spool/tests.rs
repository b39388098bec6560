use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::super::{Content, Resume};
use super::*;

/// Makes the writer's file operations fail, and counts its syncs.
#[derive(Default)]
pub(super) struct Faults {
    writes_to_fail: AtomicUsize,
    syncs_to_fail: AtomicUsize,
    cuts_to_fail: AtomicUsize,
    syncs: AtomicUsize,
    /// While a test holds it, a sync does not return.
    gate: Mutex<()>,
}

impl Faults {
    pub(super) fn on_write(&self) -> io::Result<()> {
        take_one(&self.writes_to_fail, io::ErrorKind::StorageFull)
    }

    pub(super) fn on_sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock());
        take_one(&self.syncs_to_fail, io::ErrorKind::Other)
    }

    pub(super) fn on_cut(&self) -> io::Result<()> {
        take_one(&self.cuts_to_fail, io::ErrorKind::Other)
    }
}

fn take_one(left: &AtomicUsize, kind: io::ErrorKind) -> io::Result<()> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(kind.into()),
        Err(_) => Ok(()),
    }
}

const ROOMY: SpoolLimits = SpoolLimits { segment_bytes: SpoolLimits::SEGMENT_BYTES, bytes_max: 1 << 30 };
const AT: EventTime = EventTime::from_ms(1_790_000_000_123);
const NO_WAIT: Duration = Duration::ZERO;
/// Far longer than anything takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn small_segments(segment_bytes: u64) -> SpoolLimits {
    SpoolLimits { segment_bytes, ..ROOMY }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn append(spool: &Spool, body: impl AsRef<[u8]>) -> Result<u64, AppendError> {
    runtime().block_on(spool.append(body.as_ref(), AT))
}

/// Sends without waiting for the answer.
fn enqueue(spool: &Spool, body: &str) -> oneshot::Receiver<Result<u64, AppendError>> {
    spool.0.shared.enqueue(body.as_bytes(), AT).unwrap()
}

fn read_all(spool: &Spool, from: u64, bytes_max: usize) -> Vec<(u64, Vec<u8>)> {
    let mut reader = spool.reader(from).unwrap();
    let mut records = Vec::new();
    let mut position = from;
    while let Next::Chunk(chunk) = reader.next(bytes_max, NO_WAIT).unwrap() {
        assert_eq!(chunk.start, position);
        assert!(chunk.end > chunk.start && !chunk.records.is_empty());
        assert!(chunk.records.len() == 1 || chunk.bytes.len() <= bytes_max);
        assert_eq!(chunk.resume, Resume::default());
        position = chunk.end;
        for record in &chunk.records {
            assert_eq!((record.arrived, &record.content), (Some(AT), &Content::Any));
            records.push((record.offset, chunk.bytes[record.bytes.clone()].to_vec()));
        }
    }
    assert_eq!(position, spool.end());
    records
}

fn bodies(spool: &Spool) -> Vec<String> {
    let records = read_all(spool, spool.start(), 1 << 20);
    records.into_iter().map(|(_, body)| String::from_utf8(body).unwrap()).collect()
}

fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = names.filter(|path| path.extension().is_some_and(|ext| ext == "seg")).collect();
    files.sort();
    files
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

/// The id of the spools that [`folder_with`] makes.
const ID: &str = "5b0a1d9e-3c1f-4a57-9d2e-0f6f8f1c7a42";

fn record(body: &str, starts_group: bool) -> Vec<u8> {
    sealed(body, starts_group, ID)
}

fn sealed(body: &str, starts_group: bool, spool_id: &str) -> Vec<u8> {
    let header = record::Header::of(body.as_bytes(), AT, starts_group, Seal::of(spool_id)).unwrap();
    [&header.encode()[..], body.as_bytes()].concat()
}

/// A closed spool whose only segment holds `content`.
fn folder_with(content: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(Spool::open(folder.path(), ROOMY).unwrap());
    fs::write(folder::segment_path(folder.path(), 0), content).unwrap();
    fs::write(folder.path().join("spool.json"), format!(r#"{{"format":2,"id":"{ID}"}}"#)).unwrap();
    folder
}

/// Waits for something another thread is about to do.
fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if happened() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen");
}

#[test]
fn acknowledged_bodies_survive_reopening_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("a/b");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sent: Vec<&[u8]> = vec![b"{\"type\":\"s\"}", b"", &[0, 0xFE, b'G', b'L', 0xFF, 7], &large, b"last"];
    let spool = Spool::open(&nested, ROOMY).unwrap();
    assert_eq!((spool.start(), spool.end()), (0, 0));
    let mut offsets: Vec<u64> = sent[..3].iter().map(|body| append(&spool, body).unwrap()).collect();
    let id = spool.id().to_owned();
    drop(spool);

    let spool = Spool::open(&nested, ROOMY).unwrap();
    assert_eq!(spool.id(), id);
    offsets.extend(sent[3..].iter().map(|body| append(&spool, body).unwrap()));
    for bytes_max in [0, 30, 1 << 10, 1 << 30] {
        let read = read_all(&spool, 0, bytes_max);
        assert!(read.iter().map(|(offset, body)| (*offset, &body[..])).eq(offsets.iter().copied().zip(sent.clone())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_bodies_in_any_segments_are_read_once_and_in_order_from_any_record(
        sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..30),
        segment_bytes in 1_u64..600,
        bytes_max in 0_usize..500,
        reopen_every in 1_usize..10,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), small_segments(segment_bytes)).unwrap();
        let mut expected = Vec::new();
        for (index, body) in sent.into_iter().enumerate() {
            if index % reopen_every == 0 {
                drop(spool);
                spool = Spool::open(folder.path(), small_segments(segment_bytes)).unwrap();
            }
            expected.push((append(&spool, &body).unwrap(), body));
        }
        for from in 0..expected.len() {
            prop_assert_eq!(&read_all(&spool, expected[from].0, bytes_max)[..], &expected[from..]);
        }
    }
}

#[test]
fn a_torn_tail_of_every_length_is_cut_and_nothing_before_it_is_lost() {
    let sound = [record("first", true), record("second", false), record("third", true)].concat();
    let torn = [record("fourth, never finished", true), record("fifth", false)].concat();
    let fourth = record("fourth, never finished", true).len();
    for length in 0..torn.len() {
        let folder = folder_with(&[&sound, &torn[..length]].concat());
        let spool = Spool::open(folder.path(), ROOMY).unwrap();
        let mut expected = vec!["first", "second", "third"];
        expected.extend((length >= fourth).then_some("fourth, never finished"));
        assert_eq!(bodies(&spool), expected, "{length}");
        append(&spool, "after").unwrap();
        expected.push("after");
        drop(spool);
        assert_eq!(bodies(&Spool::open(folder.path(), ROOMY).unwrap()), expected, "{length}");
    }
}

#[test]
fn a_group_whose_beginning_the_disk_lost_is_torn_and_not_damage() {
    let sound = record("kept", true);
    let mut group = [record("lost by the disk", true), record("kept by chance", false)].concat();
    group[..30].fill(0);
    let folder = folder_with(&[&sound[..], &group].concat());
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(bodies(&spool), ["kept"]);
    assert_eq!(spool.end(), sound.len() as u64);
}

#[test]
fn only_the_first_record_of_each_group_is_marked_so() {
    let folder = folder_with(b"");
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    let gate = spool.0.shared.faults.gate.lock().unwrap();
    let mut answers = vec![enqueue(&spool, "alone")];
    until(|| spool.0.shared.faults.syncs.load(Ordering::SeqCst) == 1);
    answers.extend(["two", "three", "four"].map(|body| enqueue(&spool, body)));
    drop(gate);
    answers.into_iter().for_each(|answer| assert!(answer.blocking_recv().unwrap().is_ok()));
    let expected = [record("alone", true), record("two", true), record("three", false), record("four", false)].concat();
    assert_eq!(fs::read(folder::segment_path(folder.path(), 0)).unwrap(), expected);
}

#[test]
fn damage_before_a_later_group_is_an_error_at_opening_that_names_the_place() {
    let first = record("first", true);
    let content = [&first[..], &record("second", true), &record("third", true)].concat();
    for at in first.len()..first.len() + 26 {
        let folder = folder_with(&content);
        let file = folder::segment_path(folder.path(), 0);
        flip(&file, at);
        let error = Spool::open(folder.path(), ROOMY).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, SpoolError::Damaged { file: named, offset, .. }
            if *named == file && *offset == first.len() as u64),
            "{at}: {error}"
        );
        assert!(error.to_string().contains("acknowledged records follow at 51"), "{error}");
    }
}

#[test]
fn damage_met_while_reading_is_an_error_after_everything_before_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), small_segments(60)).unwrap();
    let offsets: Vec<u64> = ["one", "two", "three", "four"].iter().map(|body| append(&spool, body).unwrap()).collect();
    let first = folder::segment_path(folder.path(), 0);
    for at in 23..46 {
        flip(&first, at);
        let mut reader = spool.reader(0).unwrap();
        let Next::Chunk(chunk) = reader.next(1 << 20, NO_WAIT).unwrap() else { panic!("a chunk") };
        assert_eq!((chunk.records.len(), chunk.end), (1, offsets[1]));
        for _ in 0..2 {
            let error = reader.next(1 << 20, NO_WAIT).unwrap_err();
            assert!(matches!(&error, SpoolError::Damaged { file, offset: 23, .. } if *file == first), "{at}: {error}");
        }
        flip(&first, at);
        assert!(matches!(reader.next(1 << 20, NO_WAIT), Ok(Next::Chunk(chunk)) if chunk.start == 23));
    }
    fs::OpenOptions::new().write(true).open(&first).unwrap().set_len(40).unwrap();
    let error = spool.reader(23).unwrap().next(1 << 20, NO_WAIT).unwrap_err();
    assert!(matches!(&error, SpoolError::Damaged { offset: 23, .. }), "{error}");
}

#[test]
fn appends_of_many_tasks_are_all_there_once_and_share_syncs() {
    const APPENDS: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    let tasks = Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let gate = spool.0.shared.faults.gate.lock().unwrap();
    let appends: Vec<_> = (0..APPENDS)
        .map(|n| {
            let spool = spool.clone();
            tasks.spawn(async move { (spool.append(format!("body {n:03}").as_bytes(), AT).await.unwrap(), n) })
        })
        .collect();
    until(|| spool.0.shared.state().waiting_bytes == (APPENDS * (HEADER_BYTES + 8)) as u64);
    assert_eq!(spool.end(), 0, "nothing is readable before it is synced");
    assert!(matches!(spool.reader(0).unwrap().next(1 << 20, NO_WAIT), Ok(Next::Idle)));
    assert!(appends.iter().all(|append| !append.is_finished()), "nothing is acknowledged before it is synced");
    drop(gate);

    let mut acknowledged: Vec<_> = appends.into_iter().map(|append| tasks.block_on(append).unwrap()).collect();
    acknowledged.sort_unstable();
    let read = read_all(&spool, 0, 1 << 20);
    assert_eq!(
        read,
        acknowledged.iter().map(|(offset, n)| (*offset, format!("body {n:03}").into_bytes())).collect::<Vec<_>>()
    );
    assert_eq!(read.iter().map(|(offset, _)| offset).collect::<HashSet<_>>().len(), APPENDS);
    // The group that met the gate, and everything that had come meanwhile.
    assert!(spool.0.shared.faults.syncs.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_second_open_is_refused_while_the_first_lives() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    let clone = spool.clone();
    drop(spool);
    let error = Spool::open(folder.path(), ROOMY).map(|_| ()).unwrap_err();
    assert!(matches!(&error, SpoolError::Locked { .. }));
    assert!(error.to_string().contains(&folder.path().display().to_string()) && error.to_string().contains("another"));
    let reader = clone.reader(0).unwrap();
    drop(clone);
    Spool::open(folder.path(), ROOMY).unwrap();
    drop(reader);
}

#[test]
fn release_removes_only_whole_segments_below_and_reopening_continues_at_the_same_offsets() {
    let folder = tempfile::tempdir().unwrap();
    let limits = small_segments(60);
    let spool = Spool::open(folder.path(), limits).unwrap();
    // Three records of 24 bytes make a segment of 72.
    let offsets: Vec<u64> = (0..9).map(|n| append(&spool, format!("b{n:03}")).unwrap()).collect();
    assert_eq!(offsets, (0..9).map(|n| n * 24).collect::<Vec<_>>());
    until(|| segment_files(folder.path()).len() == 4);
    assert_eq!(spool.release(71).unwrap(), 0);
    assert_eq!(spool.release(143).unwrap(), 72);
    assert_eq!((spool.start(), spool.end(), spool.held()), (72, 216, 144));
    assert!(matches!(spool.reader(48), Err(SpoolError::Removed { from: 48, start: 72 })));
    assert_eq!(bodies(&spool), ["b003", "b004", "b005", "b006", "b007", "b008"]);
    drop(spool);

    let spool = Spool::open(folder.path(), limits).unwrap();
    assert_eq!((spool.start(), spool.end()), (72, 216));
    assert_eq!(spool.release(u64::MAX).unwrap(), 144);
    assert_eq!((spool.start(), spool.end()), (216, 216), "the empty active segment stays");
    drop(spool);

    let spool = Spool::open(folder.path(), limits).unwrap();
    assert_eq!(append(&spool, "next").unwrap(), 216);
    assert_eq!(spool.release(u64::MAX).unwrap(), 0, "the active segment stays");
    assert_eq!(bodies(&spool), ["next"]);
}

#[test]
fn what_is_committed_goes_though_its_segment_is_not_full() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    append(&spool, "one").unwrap();
    let end = spool.end();
    assert_eq!(spool.release(end).unwrap(), 0, "the active segment stays");
    spool.roll().unwrap();
    until(|| spool.release(end).unwrap() > 0);
    assert_eq!((spool.start(), spool.held(), segment_files(folder.path()).len()), (end, 0, 1));
    spool.roll().unwrap();
    assert_eq!(append(&spool, "two").unwrap(), end);
    assert_eq!(
        segment_files(folder.path()),
        [folder::segment_path(folder.path(), end)],
        "an empty one has no successor"
    );
    spool.roll().unwrap();
    until(|| segment_files(folder.path()).len() == 2);
    assert_eq!(spool.release(end).unwrap(), 0, "it is not committed yet");
    drop(spool);
    assert_eq!(bodies(&Spool::open(folder.path(), ROOMY).unwrap()), ["two"]);
}

#[test]
fn a_closed_spool_is_emptied_and_goes_on_at_the_same_offset() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    append(&spool, "last").unwrap();
    let end = spool.end();
    let mut reader = spool.reader(end).unwrap();
    spool.close();
    until(|| matches!(reader.next(1, NO_WAIT), Ok(Next::Closed)));
    spool.roll().unwrap();
    assert_eq!(spool.release(end).unwrap(), end);
    drop((spool, reader));
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!((spool.start(), spool.held(), segment_files(folder.path()).len()), (end, 0, 1));
    assert_eq!(append(&spool, "next").unwrap(), end);
}

#[test]
fn a_release_that_fails_is_repeated_and_leaves_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let limits = small_segments(60);
    let spool = Spool::open(folder.path(), limits).unwrap();
    let mut reader = spool.reader(0).unwrap();
    (0..9).for_each(|n| assert!(append(&spool, format!("b{n:03}")).is_ok()));
    until(|| segment_files(folder.path()).len() == 4);
    let (path, away) = (folder::segment_path(folder.path(), 0), folder.path().join("away"));
    fs::rename(&path, &away).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(spool.release(u64::MAX).is_err());
    assert_eq!(spool.start(), 0);
    fs::remove_dir(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    assert_eq!(spool.release(144).unwrap(), 144);
    assert!(matches!(reader.next(1 << 20, NO_WAIT), Err(SpoolError::Removed { from: 0, start: 144 })));
    drop(spool);
    assert_eq!(bodies(&Spool::open(folder.path(), limits).unwrap()), ["b006", "b007", "b008"]);
}

#[test]
fn a_full_spool_refuses_and_works_again_after_release() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SpoolLimits { segment_bytes: 1 << 20, bytes_max: 400 }).unwrap();
    for _ in 0..4 {
        append(&spool, [b'x'; 80]).unwrap();
    }
    assert_eq!(spool.health(), Ok(()));
    assert_eq!(append(&spool, "x"), Err(AppendError::Full { used: 400, max: 400 }));
    assert!(spool.health().unwrap_err().contains("full"));
    assert_eq!(spool.end(), 400);
    assert_eq!(bodies(&spool).len(), 4);
    // The writer may still be about to begin the segment that lets the last full one go.
    until(|| {
        spool.release(spool.end()).unwrap();
        spool.start() == 400
    });
    assert_eq!(spool.health(), Ok(()));
    assert_eq!(append(&spool, [b'y'; 180]), Ok(400));
    assert_eq!(append(&spool, [b'z'; 181]), Err(AppendError::TooLarge { bytes: 181, max: 180 }));
}

#[test]
fn a_spool_that_is_read_to_its_end_always_has_room_for_the_largest_body() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SpoolLimits { segment_bytes: 1 << 20, bytes_max: 400 }).unwrap();
    for size in [79, 180, 180, 10, 10, 180, 30, 60, 180, 79, 79, 180] {
        until(|| {
            spool.release(spool.end()).unwrap();
            append(&spool, vec![b'x'; size]).is_ok()
        });
    }
}

#[test]
fn a_failed_write_keeps_nothing_of_its_group_and_the_next_append_works() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    append(&spool, "before").unwrap();
    let gate = spool.0.shared.faults.gate.lock().unwrap();
    let first = enqueue(&spool, "in the sync");
    until(|| spool.0.shared.faults.syncs.load(Ordering::SeqCst) == 2);
    let group = [enqueue(&spool, "lost one"), enqueue(&spool, "lost two")];
    spool.0.shared.faults.writes_to_fail.store(1, Ordering::SeqCst);
    drop(gate);
    first.blocking_recv().unwrap().unwrap();
    for answer in group {
        let Err(AppendError::Disk(reason)) = answer.blocking_recv().unwrap() else { panic!("a refusal") };
        assert!(reason.contains("no storage space") && reason.contains("nothing of it was kept"), "{reason}");
    }
    assert!(spool.health().is_err_and(|why| why.contains("no storage space")), "until a write works");
    append(&spool, "after").unwrap();
    assert_eq!(spool.health(), Ok(()));
    assert_eq!(spool.0.shared.state().waiting_bytes, 0);
    assert_eq!(bodies(&spool), ["before", "in the sync", "after"]);
    drop(spool);
    assert_eq!(bodies(&Spool::open(folder.path(), ROOMY).unwrap()), ["before", "in the sync", "after"]);
}

#[test]
fn a_failed_sync_stops_the_spool_until_it_is_opened_again() {
    for write_fails_first in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), ROOMY).unwrap();
        append(&spool, "before").unwrap();
        let faults = &spool.0.shared.faults;
        if write_fails_first {
            faults.writes_to_fail.store(1, Ordering::SeqCst);
            faults.cuts_to_fail.store(1, Ordering::SeqCst);
        } else {
            faults.syncs_to_fail.store(1, Ordering::SeqCst);
        }
        for body in ["in the failed sync", "later"] {
            let Err(AppendError::Disk(reason)) = append(&spool, body) else { panic!("a refusal") };
            assert!(reason.contains("restart"), "{reason}");
            assert_eq!(spool.health(), Err(reason));
        }
        assert_eq!(bodies(&spool), ["before"], "what was synced stays readable");
        spool.roll().unwrap();
        assert_eq!(segment_files(folder.path()).len(), 1, "nothing may follow what is uncertain");
        let mut reader = spool.reader(spool.end()).unwrap();
        drop(spool);
        assert!(matches!(reader.next(1, LONG), Ok(Next::Closed)));
        let spool = Spool::open(folder.path(), ROOMY).unwrap();
        append(&spool, "after").unwrap();
        assert_eq!(bodies(&spool), ["before", "after"]);
    }
}

#[test]
fn too_much_that_waits_is_refused_as_busy() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    let gate = spool.0.shared.faults.gate.lock().unwrap();
    let over_the_bound = spool.0.shared.enqueue(&vec![0; WAITING_BYTES_MAX as usize + 1], AT).unwrap();
    assert_eq!(append(&spool, "one more"), Err(AppendError::Busy));
    drop(gate);
    assert_eq!(over_the_bound.blocking_recv().unwrap(), Ok(0));
    append(&spool, "one more").unwrap();
}

#[test]
fn a_reader_waits_and_wakes_when_something_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), small_segments(50)).unwrap();
    let mut reader = spool.reader(0).unwrap();
    assert!(matches!(reader.next(1 << 20, Duration::from_millis(5)), Ok(Next::Idle)));
    let reading = thread::spawn(move || {
        let mut records = 0;
        while let Next::Chunk(chunk) = reader.next(1 << 20, LONG).unwrap() {
            records += chunk.records.len();
        }
        records
    });
    for _ in 0..20 {
        append(&spool, "{}").unwrap();
    }
    spool.close();
    assert_eq!(reading.join().unwrap(), 20);
}

#[test]
fn a_reader_refuses_positions_it_cannot_serve() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), small_segments(60)).unwrap();
    let boundaries: HashSet<u64> = (0..7).map(|n| append(&spool, format!("b{n:03}")).unwrap()).collect();
    for from in 0..spool.end() {
        match spool.reader(from).map(|_| ()) {
            Ok(()) => assert!(boundaries.contains(&from), "{from}"),
            Err(error) => {
                let before = from / 24 * 24;
                assert!(!boundaries.contains(&from), "{from}: {error}");
                assert!(
                    matches!(error, SpoolError::NotABoundary { before: b, after, .. } if b == before && after == before + 24)
                );
            }
        }
    }
    let end = spool.end();
    assert!(spool.reader(end).is_ok());
    assert!(matches!(spool.reader(end + 1), Err(SpoolError::Ahead { from, end: e }) if from == end + 1 && e == end));
    spool.release(72).unwrap();
    assert!(matches!(spool.reader(0), Err(SpoolError::Removed { from: 0, start: 72 })));
}

#[test]
fn a_closed_spool_drains_what_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    let gate = spool.0.shared.faults.gate.lock().unwrap();
    let taken = [enqueue(&spool, "one"), enqueue(&spool, "two")];
    let mut reader = spool.reader(0).unwrap();
    spool.close();
    assert_eq!(append(&spool, "too late"), Err(AppendError::Closed));
    assert!(spool.health().is_err());
    assert!(matches!(reader.next(1 << 20, NO_WAIT), Ok(Next::Idle)), "not closed while something is still written");
    drop(gate);
    for answer in taken {
        answer.blocking_recv().unwrap().unwrap();
    }
    let mut records = 0;
    while let Next::Chunk(chunk) = reader.next(1 << 20, LONG).unwrap() {
        records += chunk.records.len();
    }
    assert_eq!(records, 2);
}

#[test]
fn missing_pieces_of_the_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Spool::open(folder.path(), small_segments(30)).map(|_| ()).unwrap_err().to_string();
    let spool = Spool::open(folder.path(), small_segments(30)).unwrap();
    for _ in 0..4 {
        append(&spool, "0123456789").unwrap();
    }
    drop(spool);
    let files = segment_files(folder.path());
    fs::rename(&files[1], folder.path().join("away")).unwrap();
    let error = open();
    assert!(error.contains("ends at offset 30") && error.contains("00000000000000000060.seg"), "{error}");
    fs::rename(folder.path().join("away"), &files[1]).unwrap();

    let identity = folder.path().join("spool.json");
    let text = fs::read_to_string(&identity).unwrap();
    fs::write(&identity, text.replace("\"format\":2", "\"format\":3")).unwrap();
    assert!(open().contains("format 3"));
    fs::write(&identity, "{\"format\":2,\"id\":\"../..\"}").unwrap();
    assert!(open().contains("UUID"));
    fs::remove_file(&identity).unwrap();
    assert!(open().contains("spool.json is missing"));
    fs::write(&identity, text).unwrap();
    assert_eq!(bodies(&Spool::open(folder.path(), small_segments(30)).unwrap()).len(), 4);

    for file in segment_files(folder.path()) {
        fs::remove_file(file).unwrap();
    }
    assert!(open().contains("no segment"));
}

#[test]
fn a_sender_cannot_make_its_unfinished_body_look_like_damage() {
    let sound = record("kept", true);
    let forged = sealed("made up by a sender", true, "another spool");
    let mut unfinished = record(&"x".repeat(1000), true);
    unfinished.truncate(100);
    let folder = folder_with(&[&sound[..], &unfinished, &forged].concat());
    assert_eq!(bodies(&Spool::open(folder.path(), ROOMY).unwrap()), ["kept"]);
    let sealed_here = record("synced later", true);
    let folder = folder_with(&[&sound[..], &unfinished, &sealed_here].concat());
    assert!(matches!(Spool::open(folder.path(), ROOMY), Err(SpoolError::Damaged { .. })));
}

#[test]
fn making_a_spool_that_was_cut_off_is_finished_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    drop(Spool::open(folder.path(), ROOMY).unwrap());
    fs::remove_file(folder.path().join("spool.json")).unwrap();
    fs::write(folder.path().join("spool.json.new"), "{\"form").unwrap();
    let spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(append(&spool, "first"), Ok(0));
}
