//! A thread that decodes, folds and commits its partitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::{PartitionWriter, error_chain};
use super::{Group, Job, RETRY_FIRST, RETRY_MAX, Slot, memory};
use crate::clock;
use crate::event::{Chunk, Decoder};
use crate::store::commit::PartitionLog;

pub(super) struct Folder {
    group: Arc<Group>,
    decoder: Decoder,
    /// By the number of their slot.
    writers: HashMap<u64, Writer>,
    /// Commits that failed since the last that did not.
    failures: u32,
}

struct Writer {
    slot: Slot,
    writer: PartitionWriter,
    /// When the last chunk was folded.
    folded: Instant,
}

/// Tells the polling thread of a panic, which it could not survive: the partitions would stay ours, unread.
impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.group.is_broken.store(true, Ordering::Release);
        }
    }
}

impl Folder {
    pub fn new(group: Arc<Group>) -> Self {
        let decoder = Decoder::with_settings(group.consume.settings.decode.clone());
        Self { group, decoder, writers: HashMap::new(), failures: 0 }
    }

    pub fn run(mut self, jobs: Receiver<Job>) {
        let pace = self.group.consume.settings.flush.interval.min(Duration::from_millis(250));
        loop {
            match jobs.recv_timeout(pace) {
                Ok(Job::Own { slot, log }) => self.own(slot, *log),
                Ok(Job::Fold { slot, chunk }) => {
                    let bytes = memory(&chunk);
                    self.fold(&slot, chunk);
                    self.group.room.free(bytes);
                }
                Ok(Job::Leave { slots, is_confirmed, done }) => {
                    for number in slots {
                        if is_confirmed {
                            self.commit(number);
                        }
                        self.writers.remove(&number);
                    }
                    // Whoever waits may have given up.
                    let _ = done.try_send(());
                }
                Ok(Job::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.writers.retain(|_, writer| writer.slot.is_alive());
            let due: Vec<u64> =
                self.writers.iter().filter(|(_, owned)| owned.writer.is_due()).map(|(number, _)| *number).collect();
            for number in due {
                self.flush(number);
            }
        }
    }

    fn own(&mut self, slot: Slot, log: PartitionLog) {
        let consume = &self.group.consume;
        match consume.runtime.block_on(log.dedupe(consume.horizon)) {
            Ok(dedupe) => {
                let writer = PartitionWriter::new(consume.runtime.clone(), log, dedupe, consume.settings.clone());
                self.writers.insert(slot.number, Writer { slot, writer, folded: clock::monotonic() });
            }
            Err(error) => self.fail(&slot, &error),
        }
    }

    fn fold(&mut self, slot: &Slot, chunk: Chunk) {
        if !slot.is_alive() {
            return;
        }
        let Some(owned) = self.writers.get_mut(&slot.number) else { return };
        owned.writer.read(&chunk, &mut self.decoder);
        owned.folded = clock::monotonic();
        let heap_bytes = owned.writer.heap_bytes();
        // The limit on memory is for all partitions together, of all threads.
        let partitions = self.group.state().owned.len().max(self.writers.len());
        let share = self.group.consume.settings.flush.memory_bytes / partitions;
        if heap_bytes > share && !self.flush(slot.number) && heap_bytes > 2 * share {
            let text = "the brokers did not confirm for long that the topic is still the same".to_owned();
            self.give_back(slot, text);
        }
    }

    /// Commits if it is sure that the topic was still the same after the last record; otherwise false, and it is for later.
    fn flush(&mut self, number: u64) -> bool {
        let is_confirmed = self.writers.get(&number).is_none_or(|owned| self.group.confirmed.wait_for(owned.folded));
        if is_confirmed {
            self.commit(number);
        }
        is_confirmed
    }

    fn commit(&mut self, number: u64) {
        let Some(owned) = self.writers.get_mut(&number).filter(|owned| owned.slot.is_alive()) else { return };
        let Writer { slot, writer, .. } = owned;
        match writer.flush() {
            Ok(None) => {}
            Ok(Some(entry)) => {
                self.failures = 0;
                let mut state = self.group.state();
                state.accounting.add(&entry.accounting);
                if let Some(owned) = state.owned.get_mut(&slot.partition).filter(|owned| owned.slot.number == number) {
                    owned.committed = entry.end;
                    state.offsets_due.insert(slot.partition.clone(), entry.end);
                }
            }
            Err(error) => {
                let slot = slot.clone();
                self.fail(&slot, &error);
            }
        }
    }

    fn fail(&mut self, slot: &Slot, error: &(dyn std::error::Error + 'static)) {
        self.give_back(slot, error_chain(error));
    }

    /// Gives the partition back, to be placed again from the ledger.
    fn give_back(&mut self, slot: &Slot, text: String) {
        tracing::error!(partition = %slot.partition, "{text}; reading goes on from the ledger");
        self.writers.remove(&slot.number);
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(8)).min(RETRY_MAX);
        self.failures += 1;
        self.group.trouble(&slot.partition, Some(slot.number), text, wait);
    }
}
