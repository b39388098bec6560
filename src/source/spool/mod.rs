//! The spool: a durable queue of webhook bodies on disk, appended by HTTP handlers and read back by the pipeline.
//!
//! A body is acknowledged only once it is synced, and read only once it is synced. Offsets are positions in one stream
//! of bytes that segments cut into files; they never begin again, however much is released. See `record` for the format
//! and `writer` for what a failing disk does. Nothing here reads a clock or understands a body.

mod folder;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::event::EventTime;
use folder::Segment;
pub use reader::{Next, SpoolReader};
use record::{HEADER_BYTES, Seal};
use writer::Writer;

/// How many bytes of records may wait for the writer, and so how much memory appends can take.
const WAITING_BYTES_MAX: u64 = 64 << 20;
/// How many appends may wait: the bound for small bodies, where the bookkeeping weighs more than the bytes.
const WAITING_APPENDS_MAX: usize = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// A segment that reaches this length is followed by a new one. At most a quarter of `bytes_max` is used, so
    /// that the segment being written, which cannot be released, never fills the spool by itself.
    pub segment_bytes: u64,
    /// How many bytes of records the folder may hold before appends are refused.
    pub bytes_max: u64,
}

impl SpoolLimits {
    pub const SEGMENT_BYTES: u64 = 64 << 20;
}

/// Why a spool cannot be opened or read. None of these passes by itself: somebody has to look at the folder.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the spool {} is open in another ghostlight; stop that one or give this one its own folder", folder.display())]
    Locked { folder: PathBuf },
    #[error("{} is not a spool's identity ({reason}); restore the file, or move the folder away to begin a new spool", file.display())]
    Identity { file: PathBuf, reason: String },
    #[error(
        "{} is missing although the folder holds segments; restore the file, or move the folder away to begin a new spool",
        file.display()
    )]
    NoIdentity { file: PathBuf },
    #[error(
        "the spool {} has an identity but no segment, so its offset is lost; restore the segments, or move the folder away \
         to begin a new spool",
        folder.display()
    )]
    NoSegments { folder: PathBuf },
    #[error(
        "the spool's segments do not join: {} ends at offset {end}, the next is {}; restore the segment between them",
        file.display(),
        next.display()
    )]
    Gap { file: PathBuf, end: u64, next: PathBuf },
    #[error("{} is damaged at offset {offset}: {reason}; restore the file from a copy", file.display())]
    Damaged { file: PathBuf, offset: u64, reason: String },
    #[error(
        "the ledger is at offset {from} but the spool begins at {start}: what lies between was committed to another `out` and \
         removed, or is lost; set `out` back to where it was, or begin a new spool (spool.folder) for a new `out`"
    )]
    Removed { from: u64, start: u64 },
    #[error(
        "the ledger is at offset {from} but the spool ends at {end}: the spool was restored from an older copy, or its disk \
         lost what it had reported as synced"
    )]
    Ahead { from: u64, end: u64 },
    #[error(
        "offset {from} is inside the record that begins at {before} and ends at {after}, so it is not an offset of this spool"
    )]
    NotABoundary { from: u64, before: u64, after: u64 },
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl SpoolError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// Why a body was not taken. Nothing of it is kept, except as [`Disk`](Self::Disk) says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the spool is full: {used} of {max} bytes (spool.max) wait to be committed")]
    Full { used: u64, max: u64 },
    #[error("too much waits to be written; try again")]
    Busy,
    /// The disk refused; a later append may succeed unless [`Spool::health`] says otherwise. After a failed sync the
    /// body may still turn up at the next start, as if it had been sent twice.
    #[error("{0}")]
    Disk(String),
    #[error("a body of {bytes} bytes does not fit into the spool, which takes at most {max}")]
    TooLarge { bytes: u64, max: u64 },
    #[error("the spool is closed")]
    Closed,
}

/// A handle to an open spool. When the last clone is dropped the spool closes, and the drop waits for what was already
/// taken to be written.
#[derive(Clone)]
pub struct Spool(Arc<Handle>);

struct Handle {
    id: String,
    shared: Arc<Shared>,
    /// One release at a time: segments must leave in order, or a crash between two would leave a gap.
    releasing: Mutex<()>,
    writer: Option<JoinHandle<()>>,
    /// Held until the writer has ended.
    _lock: File,
}

impl Spool {
    /// Opens the spool in `folder`, or makes a new one there. Blocks while it reads the last segment.
    pub fn open(folder: &Path, limits: SpoolLimits) -> Result<Self, SpoolError> {
        folder::make(folder)?;
        let lock = folder::lock(folder)?;
        let (id, mut segments) = folder::open(folder)?;
        let Some(last) = segments.last_mut() else {
            return Err(SpoolError::NoSegments { folder: folder.to_owned() });
        };
        let seal = Seal::of(&id);
        let file = folder::recover(folder, seal, last)?;
        let last = *last;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            seal,
            segment_bytes: limits.segment_bytes.min(limits.bytes_max / 4).max(1),
            bytes_max: limits.bytes_max,
            state: Mutex::new(State {
                segments: segments.iter().map(|segment| segment.start).collect(),
                end: last.end(),
                queue: VecDeque::new(),
                waiting_bytes: 0,
                closed: false,
                rolls: false,
                ended: false,
                failed: None,
                failing: None,
                full: None,
            }),
            queued: Condvar::new(),
            synced: Condvar::new(),
            #[cfg(test)]
            faults: tests::Faults::default(),
        });
        let writer = Writer { shared: Arc::clone(&shared), file, start: last.start, synced_bytes: last.bytes };
        let writer = thread::Builder::new()
            .name("spool-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(SpoolError::io("start the writer of", folder))?;
        Ok(Self(Arc::new(Handle { id, shared, releasing: Mutex::new(()), writer: Some(writer), _lock: lock })))
    }

    /// A UUID written when the spool was made: the incarnation of its offsets.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Takes a body and resolves to its offset once it is written and synced; many appends share one sync. A future
    /// that is dropped leaves the body in the queue: it may be written without anybody being told.
    pub async fn append(&self, body: &[u8], arrived: EventTime) -> Result<u64, AppendError> {
        let answer = self.0.shared.enqueue(body, arrived)?;
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(AppendError::Disk("the spool's writer ended unexpectedly".to_owned())),
        }
    }

    /// The first offset held.
    pub fn start(&self) -> u64 {
        self.0.shared.state().start()
    }

    /// The end of what is synced: the offset the next record gets.
    pub fn end(&self) -> u64 {
        self.0.shared.state().end
    }

    /// Bytes of records held on disk.
    pub fn held(&self) -> u64 {
        let state = self.0.shared.state();
        state.end - state.start()
    }

    /// The most it may hold.
    pub fn bytes_max(&self) -> u64 {
        self.0.shared.bytes_max
    }

    /// Reads from the record at `from` on, or from the end. An offset the spool cannot serve is an error, never a skip.
    pub fn reader(&self, from: u64) -> Result<SpoolReader, SpoolError> {
        SpoolReader::new(Arc::clone(&self.0.shared), from)
    }

    /// Removes the segments all of whose records lie below `below`, and gives the number of bytes freed. The active
    /// segment stays even when it is read to its end: its name carries the offset over a restart.
    pub fn release(&self, below: u64) -> Result<u64, SpoolError> {
        let _releasing = self.0.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.0.shared;
        let mut freed = 0;
        loop {
            let (start, end) = {
                let state = shared.state();
                match (state.segments.front(), state.segments.get(1)) {
                    (Some(&start), Some(&end)) if end <= below => (start, end),
                    _ => return Ok(freed),
                }
            };
            let path = folder::segment_path(&shared.folder, start);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SpoolError::io("remove", &path)(error));
                }
                _ => {}
            }
            // Before the next is removed: a loss of power may otherwise bring this one back without its successor.
            folder::sync(&shared.folder).map_err(SpoolError::io("sync the folder", &shared.folder))?;
            let mut state = shared.state();
            state.segments.pop_front();
            state.full = None;
            freed += end - start;
        }
    }

    /// Has a new segment follow the active one, so that what is in that one goes with the next release. Does not wait for
    /// the writer; once that has ended, it is done here.
    pub fn roll(&self) -> Result<(), SpoolError> {
        let _releasing = self.0.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.0.shared;
        let end = {
            let mut state = shared.state();
            let is_empty = state.segments.back() == Some(&state.end);
            // What was not synced may lie behind the end.
            if is_empty || state.failed.is_some() {
                return Ok(());
            }
            if !state.ended {
                state.rolls = true;
                shared.queued.notify_one();
                return Ok(());
            }
            state.end
        };
        let path = folder::segment_path(&shared.folder, end);
        folder::create_segment(&shared.folder, end).map_err(SpoolError::io("create the segment", &path))?;
        folder::sync(&shared.folder).map_err(SpoolError::io("sync the folder", &shared.folder))?;
        shared.state().segments.push_back(end);
        Ok(())
    }

    /// What was kept beside the records under a name.
    pub fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, SpoolError> {
        let path = self.0.shared.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SpoolError::io("read", &path)(error)),
        }
    }

    /// Keeps something small beside the records, durably and whole; what was there under that name is replaced. Blocks.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), SpoolError> {
        let folder = &self.0.shared.folder;
        folder::replace(folder, name, bytes).map_err(SpoolError::io("write", &folder.join(name)))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0.shared.folder
    }

    /// Stops taking bodies. What was taken before is still written and answered; readers then come to
    /// [`Next::Closed`]. Does not wait.
    pub fn close(&self) {
        self.0.shared.close();
    }

    pub fn is_closed(&self) -> bool {
        self.0.shared.state().closed
    }

    /// Why bodies are refused, where that does not pass by itself: for `/readyz`.
    pub fn health(&self) -> Result<(), String> {
        match self.trouble() {
            Some(reason) => Err(reason),
            None if self.0.shared.state().closed => Err(AppendError::Closed.to_string()),
            None => Ok(()),
        }
    }

    /// Why it refuses bodies that it would take otherwise.
    pub fn trouble(&self) -> Option<String> {
        let state = self.0.shared.state();
        let failed = state.failed.as_ref().or(state.failing.as_ref()).cloned();
        failed.or_else(|| state.full.as_ref().map(ToString::to_string))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
        // A writer that panicked has already said so through its state.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// A body on its way to the writer.
struct Pending {
    body: Vec<u8>,
    arrived: EventTime,
    answer: oneshot::Sender<Result<u64, AppendError>>,
}

impl Pending {
    fn record_bytes(&self) -> u64 {
        (HEADER_BYTES + self.body.len()) as u64
    }

    fn answer(self, result: Result<u64, AppendError>) {
        // An HTTP handler whose client went away no longer listens.
        let _ = self.answer.send(result);
    }
}

/// What handles, writer and readers have in common. The lock on `state` is never held over a file operation.
struct Shared {
    folder: PathBuf,
    seal: Seal,
    segment_bytes: u64,
    bytes_max: u64,
    state: Mutex<State>,
    /// Wakes the writer: something is queued, or the spool closes.
    queued: Condvar,
    /// Wakes readers: more is synced, or the writer has ended.
    synced: Condvar,
    #[cfg(test)]
    faults: tests::Faults,
}

/// How often a spool that could not write tries again by itself: a process that is not ready gets no bodies to try with.
const PROBE_EVERY: Duration = Duration::from_secs(5);

struct State {
    /// Where each segment begins, in order, the active one last; never empty.
    segments: VecDeque<u64>,
    /// Everything below is synced.
    end: u64,
    queue: VecDeque<Pending>,
    /// Records in the queue and in the group being written, with their headers.
    waiting_bytes: u64,
    closed: bool,
    /// The active segment is to be followed by a new one, full or not.
    rolls: bool,
    /// The writer has ended: `end` is final.
    ended: bool,
    /// Why nothing can be appended until a restart.
    failed: Option<String>,
    /// The last refusal for want of space, until space is released.
    full: Option<AppendError>,
    /// Why the last write failed, until one works.
    failing: Option<String>,
}

impl State {
    fn start(&self) -> u64 {
        self.segments.front().copied().unwrap_or(self.end)
    }

    /// The segment `offset` falls in, as far as it is synced; `None` if that was removed.
    fn segment_at(&self, offset: u64) -> Option<Segment> {
        let after = self.segments.partition_point(|&start| start <= offset);
        let start = *self.segments.get(after.checked_sub(1)?)?;
        let end = self.segments.get(after).copied().unwrap_or(self.end);
        Some(Segment { start, bytes: end - start })
    }
}

impl Shared {
    /// A thread that panicked with the lock held leaves the state whole: every change to it is a plain assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        &self,
        body: &[u8],
        arrived: EventTime,
    ) -> Result<oneshot::Receiver<Result<u64, AppendError>>, AppendError> {
        let bytes = body.len() as u64;
        // Half of the spool is what surely fits once everything that can be released is. More would be refused as
        // "full" for ever, and the sender would try for ever.
        let max = u64::from(u32::MAX).min((self.bytes_max / 2).saturating_sub(HEADER_BYTES as u64));
        if bytes > max {
            return Err(AppendError::TooLarge { bytes, max });
        }
        let (answer, answered) = oneshot::channel();
        let pending = Pending { body: body.to_vec(), arrived, answer };
        let record_bytes = pending.record_bytes();
        let mut state = self.state();
        if let Some(reason) = &state.failed {
            return Err(AppendError::Disk(reason.clone()));
        }
        if state.closed {
            return Err(AppendError::Closed);
        }
        let used = state.end - state.start() + state.waiting_bytes;
        if used + record_bytes > self.bytes_max {
            let full = AppendError::Full { used, max: self.bytes_max };
            state.full = Some(full.clone());
            return Err(full);
        }
        // A body that is over the bound by itself is taken when nothing else waits.
        let too_much = state.waiting_bytes > 0 && state.waiting_bytes + record_bytes > WAITING_BYTES_MAX;
        if too_much || state.queue.len() >= WAITING_APPENDS_MAX {
            return Err(AppendError::Busy);
        }
        state.waiting_bytes += record_bytes;
        state.queue.push_back(pending);
        self.queued.notify_one();
        Ok(answered)
    }

    /// Waits for appends and takes what fits into `room` bytes, at least one; `None` when the spool is closed and
    /// everything was taken. After a write that failed it may also be none: time to try whether writing works again. None
    /// as well where the segment is to be followed by another.
    fn next_group(&self, room: u64) -> Option<Vec<Pending>> {
        let idle = |state: &mut State| state.queue.is_empty() && !state.closed && !state.rolls;
        let state = self.state();
        let mut state = if state.failing.is_some() {
            let waited = self.queued.wait_timeout_while(state, PROBE_EVERY, idle);
            let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return Some(Vec::new());
            }
            state
        } else {
            self.queued.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
        };
        if state.queue.is_empty() && state.rolls && !state.closed {
            return Some(Vec::new());
        }
        let mut group = vec![state.queue.pop_front()?];
        let mut bytes = group[0].record_bytes();
        while state.queue.front().is_some_and(|next| bytes + next.record_bytes() <= room)
            && let Some(next) = state.queue.pop_front()
        {
            bytes += next.record_bytes();
            group.push(next);
        }
        Some(group)
    }

    /// Makes everything below `end` readable, a group that was just synced, and gives the offset of its first record.
    fn publish(&self, end: u64) -> u64 {
        let mut state = self.state();
        let start = state.end;
        state.end = end;
        state.failing = None;
        state.waiting_bytes -= end - start;
        self.synced.notify_all();
        start
    }

    /// Whether the segment is to be followed by another; asked once.
    fn take_roll(&self) -> bool {
        std::mem::take(&mut self.state().rolls)
    }

    /// Says in `health` whether writing works.
    fn set_failing(&self, reason: Option<String>) {
        self.state().failing = reason;
    }

    /// Takes a group that was not written out of the account.
    fn forget(&self, group: &[Pending]) {
        self.state().waiting_bytes -= group.iter().map(Pending::record_bytes).sum::<u64>();
    }

    /// Refuses everything from now on, and what waits. The first reason stays.
    fn fail(&self, reason: String) {
        let (reason, refused) = {
            let mut state = self.state();
            state.waiting_bytes = 0;
            let reason = state.failed.get_or_insert(reason).clone();
            (reason, std::mem::take(&mut state.queue))
        };
        tracing::error!(folder = %self.folder.display(), reason, "the spool takes nothing until a restart");
        refused.into_iter().for_each(|pending| pending.answer(Err(AppendError::Disk(reason.clone()))));
    }

    fn close(&self) {
        self.state().closed = true;
        self.queued.notify_all();
    }

    /// Waits until something past `position` is synced, the writer has ended, or `wait` is over.
    fn wait_past(&self, position: u64, wait: Duration) -> MutexGuard<'_, State> {
        let nothing = |state: &mut State| state.end <= position && !(state.closed && state.ended);
        let waited = self.synced.wait_timeout_while(self.state(), wait, nothing);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
