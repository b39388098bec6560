//! Notes that partitions are caught up, written beside the write loops: no loop ever waits for one, and one that cannot be
//! written stops nothing. What they mean and who reads them: `store/progress`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::event::EventTime;
use crate::store::ledger::PartitionId;
use crate::store::progress::Pause;
use crate::store::{Store, progress};

/// How often a partition that stays caught up is noted: readers are behind an idle stream by this, and the grace.
const EVERY: Duration = Duration::from_secs(15);
/// Notes written at the same time, and how long one may take: a store that hangs must not keep newer ones waiting.
const WRITES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);

/// A partition that was committed up to `position` at `at`, with nothing more to read.
pub(super) struct CaughtUp {
    pub partition: PartitionId,
    pub position: u64,
    pub at: EventTime,
    pub pause: Option<Pause>,
}

pub(super) struct Notes {
    runtime: Handle,
    store: Store,
    /// One list of notes at a time, so that what waits is bounded.
    turns: Arc<Semaphore>,
}

impl Notes {
    pub fn new(runtime: Handle, store: Store) -> Self {
        Self { runtime, store, turns: Arc::new(Semaphore::new(1)) }
    }

    /// The turn to write, unless what was given before is still being written: then the caller looks again later.
    pub fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).try_acquire_owned().ok()
    }

    /// Begins to write, and does not wait.
    pub fn write(&self, turn: OwnedSemaphorePermit, notes: Vec<CaughtUp>) {
        if notes.is_empty() {
            return;
        }
        let store = self.store.clone();
        self.runtime.spawn(async move {
            let write = |note| write(&store, note);
            futures::stream::iter(notes).for_each_concurrent(WRITES, write).await;
            drop(turn);
        });
    }
}

/// Writes one, or gives up.
pub(super) async fn write(store: &Store, CaughtUp { partition, position, at, pause }: CaughtUp) {
    let noted = tokio::time::timeout(PATIENCE, progress::note(store, &partition, position, at, pause)).await;
    let problem = match noted {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(super::error_chain(&error)),
        Err(_) => Some(format!("the store did not answer within {} s", PATIENCE.as_secs())),
    };
    let outcome = if problem.is_none() { "written" } else { "failed" };
    metrics::counter!("ghostlight_progress_notes_total", "outcome" => outcome).increment(1);
    if let Some(problem) = problem {
        tracing::debug!(%partition, "noting that it is caught up: {problem}");
    }
}

/// What was noted last of a partition.
#[derive(Default)]
pub(super) struct Noted(Option<(u64, Instant)>);

impl Noted {
    /// At once after a commit, then at a pace.
    pub fn is_due(&self, position: u64, now: Instant) -> bool {
        self.0.is_none_or(|(noted, at)| noted != position || now.saturating_duration_since(at) >= EVERY)
    }

    pub fn set(&mut self, position: u64, now: Instant) {
        self.0 = Some((position, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_note_is_due_at_once_after_a_commit_and_then_at_a_pace() {
        let began = clock::monotonic();
        let mut noted = Noted::default();
        assert!(noted.is_due(0, began));
        noted.set(0, began);
        assert!(!noted.is_due(0, began) && !noted.is_due(0, began + EVERY - Duration::from_millis(1)));
        assert!(noted.is_due(0, began + EVERY));
        assert!(noted.is_due(7, began), "more was committed");
    }
}
