//! How a batch becomes true: stage, commit, publish; and recovery, which is the same path at start, after a crash, or after a
//! lost race.
//!
//! Only [`PartitionLog`] writes ledger entries. Its tail moves only forward, and only by entries that are on the store.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use super::compact;
use super::datasets::{self, File, IDS};
use super::ledger::{self, Entry, FileRecord, PartitionId, SNAPSHOT_EVERY, SettingsText, Tail};
use super::retired::{self, Retired, id_files, range_of_ids};
use super::{Created, STDIN, Store, StoreError};
use crate::event::EventTime;
use crate::partial::Batch;
use crate::partial::dedupe::Dedupe;

/// How many ids a partition keeps at least, once they are older than id files are kept for.
pub const DEFAULT_HORIZON: usize = 1_000_000;

/// Why a batch was not committed. Either way nothing of it is true, and its range will be folded again.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another process committed this range: it owns the partition now, or did for a moment.
    #[error("partition {partition} at {start} was committed by another process ({by}): this batch is dropped")]
    Fenced { partition: PartitionId, start: u64, by: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A partition's place in the ledger, and the only writer of its entries in this process.
pub struct PartitionLog {
    store: Store,
    id: PartitionId,
    tail: Tail,
    /// Whether stages lie where the chain ends: of commits under way, or that failed.
    has_stages: bool,
}

impl PartitionLog {
    /// Finds where the partition stands, and finishes what an interrupted commit left: publishes what is committed,
    /// sweeps what never can be.
    pub async fn recover(store: &Store, id: PartitionId) -> Result<Self, StoreError> {
        Self::recover_from(store, id, 0).await
    }

    /// [`recover`](Self::recover) for a partition that begins at `begin`, not at 0.
    pub async fn recover_from(store: &Store, id: PartitionId, begin: u64) -> Result<Self, StoreError> {
        let tail = Tail { begin, ..ledger::tail(store, &id).await? };
        let mut log = Self { store: store.clone(), id, tail, has_stages: false };
        log.finish_stages().await?;
        Ok(log)
    }

    pub fn id(&self) -> &PartitionId {
        &self.id
    }

    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Where the next batch begins.
    pub fn end(&self) -> u64 {
        self.tail.end()
    }

    /// Makes `batch` true, and publishes it. After an error the caller recovers: it alone knows whether the range is
    /// still its to read.
    pub async fn commit(
        &mut self,
        batch: &Batch,
        settings: &SettingsText,
        now: EventTime,
    ) -> Result<Entry, CommitError> {
        assert_eq!(batch.start, self.end(), "a batch begins where the ledger ends");
        assert!(!batch.is_empty(), "an empty range has nothing to commit");
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let files = datasets::encode(batch, &self.id, settings, &nonce, now);
        let entry = self.entry(batch, settings, now, nonce, &files);
        let (store, entry_ref) = (&self.store, &entry);
        let staging = files
            .into_iter()
            .enumerate()
            .map(|(at, file)| async move { store.put(&stage_path(entry_ref, at), file.bytes).await });
        if let Err(error) = all(staging).await {
            // No entry will ever name it.
            self.abandon_stage(&entry).await;
            return Err(error.into());
        }
        self.create_or_yield(&entry).await?;
        self.publish(&entry).await?;
        self.tail.entries += 1;
        self.tail.accounting.add(&entry.accounting);
        self.tail.last = Some(entry.clone());
        if self.tail.entries.is_multiple_of(SNAPSHOT_EVERY) {
            ledger::write_snapshot(&self.store, &self.id, &self.tail).await?;
        }
        if self.has_stages {
            // The chain is past them now: what no entry names never will be.
            self.finish_stages().await?;
        }
        Ok(entry)
    }

    fn entry(&self, batch: &Batch, settings: &SettingsText, now: EventTime, nonce: String, files: &[File]) -> Entry {
        let record = |file: &File| FileRecord {
            dataset: file.dataset.to_owned(),
            path: file.path.clone(),
            rows: file.rows,
            bytes: file.bytes.len() as u64,
            sha256: sha256(&file.bytes),
        };
        Entry {
            format: ledger::FORMAT,
            ghostlight: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.id.source.clone(),
            incarnation: self.id.incarnation.clone(),
            partition: self.id.partition.clone(),
            start: batch.start,
            end: batch.end,
            nonce,
            committed_at: now,
            accounting: batch.accounting,
            frontier: batch.frontier.map(Into::into),
            resume: batch.resume.clone(),
            settings: settings.clone(),
            unknown_types: batch.unknown_types.clone(),
            gap: batch.gap.clone(),
            files: files.iter().map(record).collect(),
        }
    }

    /// The one write that makes the batch true. Where its answer is lost or says that an entry is there already, the
    /// nonce tells whether it is ours.
    async fn create_or_yield(&self, entry: &Entry) -> Result<(), CommitError> {
        let created = ledger::create_entry(&self.store, entry).await;
        if matches!(created, Ok(Created::Now)) {
            return self.yield_if_retired(entry).await;
        }
        match ledger::entry_at(&self.store, &self.id, entry.start).await? {
            Some(there) if there.nonce == entry.nonce => self.yield_if_retired(entry).await,
            Some(there) => {
                self.drop_stage(entry).await?;
                let by = format!("nonce {}, ghostlight {}, at {}", there.nonce, there.ghostlight, there.committed_at);
                Err(self.fenced(entry, by))
            }
            // Not there as far as anybody can tell, yet the write may still arrive: the stage stays, and whoever finds
            // the entry publishes it.
            None => Err(match created {
                Err(error) => {
                    if error.is_refusal() {
                        self.abandon_stage(entry).await;
                    }
                    error.into()
                }
                Ok(_) => StoreError::damaged(
                    &Path::from(self.id.folder("_ledger")),
                    format!("put-if-absent at {} found an entry that reading does not", entry.start),
                )
                .into(),
            }),
        }
    }

    /// Where this process slept for so long that the range was committed by another and retired since, nothing was there to
    /// collide with. But then the entry before is gone as well: they go in ascending order.
    async fn yield_if_retired(&self, entry: &Entry) -> Result<(), CommitError> {
        if let Some(before) = &self.tail.last
            && self.store.exists(&self.id.entry_path(before.start)).await?
        {
            return Ok(());
        }
        // Gone before ours was written, or while we slept after it: ours is good as long as no sum reaches over it. Where one
        // does it may hold ours or another's; whoever recovers goes on behind it in either case.
        let retired = Retired::newest(&self.store, &self.id).await?;
        if retired.is_none_or(|retired| retired.end <= entry.start) {
            return Ok(());
        }
        // The stage first: without it nobody can publish what the entry names.
        self.drop_stage(entry).await?;
        self.store.delete(&self.id.entry_path(entry.start)).await?;
        Err(self.fenced(entry, "it was retired since".to_owned()))
    }

    fn fenced(&self, entry: &Entry, by: String) -> CommitError {
        CommitError::Fenced { partition: self.id.clone(), start: entry.start, by }
    }

    /// Moves a committed entry's files to their final paths. Idempotent, also beside another process that does the same.
    async fn publish(&self, entry: &Entry) -> Result<(), StoreError> {
        let publishing = entry
            .files
            .iter()
            .enumerate()
            .map(|(at, file)| async move { self.publish_file(&stage_path(entry, at), entry, file).await });
        all(publishing).await
    }

    async fn publish_file(&self, staged: &Path, entry: &Entry, file: &FileRecord) -> Result<(), StoreError> {
        let to = Path::from(file.path.as_str());
        match self.store.rename(staged, &to).await {
            // Another process published it; by now compaction may even have retired it.
            Err(error) if error.is_not_found() => {
                match self.store.exists(&to).await? || compact::is_retired(&self.store, entry, file).await? {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            other => other,
        }
    }

    async fn drop_stage(&self, entry: &Entry) -> Result<(), StoreError> {
        for at in 0..entry.files.len() {
            self.store.delete(&stage_path(entry, at)).await?;
        }
        Ok(())
    }

    /// Deletes a stage that nothing will ever name, as far as the store lets it: what stays is swept after the next commit.
    async fn abandon_stage(&self, entry: &Entry) {
        if let Err(error) = self.drop_stage(entry).await {
            tracing::debug!(%error, "a stage stays until the next commit");
        }
    }

    /// Publishes staged files that an entry names; deletes those whose range another entry has. A stage at the tail is
    /// left alone: its commit may be under way.
    async fn finish_stages(&mut self) -> Result<(), StoreError> {
        self.has_stages = false;
        let mut entries: HashMap<u64, Option<Entry>> = HashMap::new();
        let mut behind = Vec::new();
        for staged in self.store.list(&self.id.folder("_staging")).await? {
            let Some((start, nonce, at)) = parse_stage_name(&staged.location) else { continue };
            if start >= self.end() {
                self.has_stages = true;
                continue;
            }
            if let std::collections::hash_map::Entry::Vacant(vacant) = entries.entry(start) {
                vacant.insert(ledger::entry_at(&self.store, &self.id, start).await?);
            }
            behind.push((staged.location, start, nonce, at));
        }
        if behind.is_empty() {
            return Ok(());
        }
        // After the entries: one that is retired by now was written by somebody who woke up late, and is not true.
        let retired = Retired::newest(&self.store, &self.id).await?.map_or(0, |retired| retired.end);
        for (staged, start, nonce, at) in behind {
            let named = entries
                .get(&start)
                .and_then(Option::as_ref)
                .filter(|entry| entry.nonce == nonce && entry.start >= retired)
                .and_then(|entry| Some((entry, entry.files.get(at)?)));
            match named {
                Some((entry, file)) => self.publish_file(&staged, entry, file).await?,
                None => self.store.delete(&staged).await?,
            }
        }
        Ok(())
    }

    /// What the partition counted last, so that a duplicate is one whether or not the process was restarted.
    pub async fn dedupe(&self, horizon: usize) -> Result<Dedupe, StoreError> {
        loop {
            // Names sort by position, whatever a copy or a clock made of the files' times.
            let files = id_files(&self.store, &self.id.folder("")).await?;
            refuse_lost_ids(&self.store, &files, &self.id.folder(""), horizon).await?;
            if let Some(dedupe) = seed_dedupe(&self.store, files, horizon).await? {
                return Ok(dedupe);
            }
        }
    }
}

/// How many operations on the store are under way at once: most of each is waiting.
const AT_ONCE: usize = 16;

/// Does all of it, also what comes after something that fails, and says what failed first: nothing is still under way then.
async fn all(operations: impl Iterator<Item = impl Future<Output = Result<(), StoreError>>>) -> Result<(), StoreError> {
    let done: Vec<_> = stream::iter(operations).buffered(AT_ONCE).collect().await;
    done.into_iter().collect()
}

/// Deletes id files older than `keep_ms`. A partition that can go on keeps its last `horizon` ids however old they are
/// (and at least as many as the default horizon: another process may want more than this one): they say what its next
/// event may repeat.
pub async fn retire_ids(store: &Store, horizon: usize, keep_ms: i64, now: EventTime) -> Result<(), StoreError> {
    let mut newer: HashMap<PartitionId, u64> = HashMap::new();
    for file in id_files(store, "").await?.into_iter().rev() {
        let Some(id) = PartitionId::of_path(&file.location) else { continue };
        let has_ended = id.source == STDIN;
        let newer = newer.entry(id).or_default();
        let written = EventTime::from_ms(file.last_modified.timestamp_millis());
        if (has_ended || *newer >= horizon.max(DEFAULT_HORIZON) as u64) && now.since_ms(written) > keep_ms {
            store.delete(&file.location).await?;
        }
        *newer += file.size / 8;
    }
    Ok(())
}

/// What any partition counted last: for sources whose records may have come another way already (a file, a backfill).
pub async fn dedupe_of_all(store: &Store, horizon: usize) -> Result<Dedupe, StoreError> {
    loop {
        let mut files = id_files(store, "").await?;
        refuse_lost_ids(store, &files, "", horizon).await?;
        files.sort_by_key(|file| file.last_modified);
        if let Some(dedupe) = seed_dedupe(store, files, horizon).await? {
            return Ok(dedupe);
        }
    }
}

/// An error if an id file is gone of a partition's last `horizon`, or the entries that would name it: what it had would be
/// counted again. `files` are those that are there; `within` is one partition, or empty for all. What standard input brought
/// is not gone on with, and its ids go by age alone.
async fn refuse_lost_ids(store: &Store, files: &[ObjectMeta], within: &str, horizon: usize) -> Result<(), StoreError> {
    // More than others keep is not asked for.
    let horizon = horizon.min(DEFAULT_HORIZON) as u64;
    let retired = retired::all_within(store, within).await?;
    let mut starts: BTreeMap<PartitionId, Vec<u64>> = BTreeMap::new();
    for object in store.list(&format!("_ledger{within}")).await? {
        if let Some((id, start)) = PartitionId::of_path(&object.location).zip(PartitionId::start_of(&object.location)) {
            starts.entry(id).or_default().push(start);
        }
    }
    let mut present: HashMap<PartitionId, HashMap<u64, u64>> = HashMap::new();
    for file in files {
        if let Some((id, (start, _))) = PartitionId::of_path(&file.location).zip(range_of_ids(&file.location)) {
            present.entry(id).or_default().insert(start, file.size / 8);
        }
    }
    for (id, starts) in starts.into_iter().filter(|(id, _)| id.source != STDIN) {
        let sum = retired.get(&id);
        let begin = match sum {
            Some(sum) => sum.end,
            None => ledger::first_start(store, &id).await?,
        };
        let is_retired_since = || async { Ok::<_, StoreError>(Retired::newest(store, &id).await?.as_ref() != sum) };
        let starts: Vec<u64> = starts.into_iter().filter(|start| *start >= begin).collect();
        if starts.first().is_some_and(|first| *first > begin) && !is_retired_since().await? {
            return Err(StoreError::lost(&id.entry_path(begin)));
        }
        let mut newer = 0;
        for start in starts.into_iter().rev() {
            if newer >= horizon {
                break;
            }
            if let Some(ids) = present.get(&id).and_then(|of_id| of_id.get(&start)) {
                newer += ids;
                continue;
            }
            // One that counted nothing new has none.
            let Some(entry) = ledger::entry_at(store, &id, start).await? else { continue };
            let Some(file) = entry.files.iter().find(|file| file.dataset == IDS) else { continue };
            if compact::absent(store, &entry, file).await? == compact::Absent::Lost {
                return Err(StoreError::LostIds { path: file.path.clone() });
            }
            newer += file.rows;
        }
        for file in sum.iter().flat_map(|sum| &sum.ids).rev() {
            if newer >= horizon {
                break;
            }
            newer += file.rows;
            let path = Path::from(file.path.as_str());
            let is_there = files.iter().any(|there| there.location == path) || store.exists(&path).await?;
            // Put together with others since.
            if !is_there && !is_retired_since().await? {
                return Err(StoreError::LostIds { path: file.path.clone() });
            }
        }
    }
    Ok(())
}

/// Takes the newest ids of `files`, which are in the order they were counted; `None` where one has gone since it was listed.
async fn seed_dedupe(store: &Store, files: Vec<ObjectMeta>, horizon: usize) -> Result<Option<Dedupe>, StoreError> {
    let mut blocks = Vec::new();
    let mut wanted = horizon;
    for file in files.into_iter().rev() {
        if wanted == 0 {
            break;
        }
        let Some(bytes) = store.get_if_there(&file.location).await? else { return Ok(None) };
        // In place of one that was lost for good.
        if bytes.is_empty() {
            tracing::warn!("{} is empty: what comes again of its events is counted twice", file.location);
            continue;
        }
        let ids = datasets::decode_ids(&bytes).map_err(|problem| StoreError::damaged(&file.location, problem))?;
        let keep = ids.len().min(wanted);
        wanted -= keep;
        blocks.push(ids[ids.len() - keep..].to_vec());
    }
    let mut dedupe = Dedupe::new(horizon);
    for identity in blocks.iter().rev().flatten() {
        dedupe.insert(*identity);
    }
    Ok(Some(dedupe))
}

/// Finishes every interrupted commit on the store, whoever left it.
pub async fn recover_all(store: &Store) -> Result<(), StoreError> {
    let mut partitions: Vec<_> =
        store.list("_staging").await?.iter().filter_map(|staged| PartitionId::of_path(&staged.location)).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for id in partitions {
        PartitionLog::recover(store, id).await?;
    }
    Ok(())
}

/// Where file `at` of a batch waits until it is published.
pub(super) fn stage_path(entry: &Entry, at: usize) -> Path {
    let folder = entry.partition_id().folder("_staging");
    Path::from(format!("{folder}/{:020}-{}-{at}", entry.start, entry.nonce))
}

fn parse_stage_name(path: &Path) -> Option<(u64, String, usize)> {
    let mut parts = path.filename()?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?.parse().ok()?))
}

pub(crate) fn sha256(bytes: &Bytes) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// A digest as the ledger has it.
pub(super) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    async fn put_ids(store: &Store, id: &PartitionId, start: u64, ids: std::ops::Range<u64>) {
        let bytes = datasets::encode_ids(&ids.collect::<Vec<_>>());
        let path = Path::from(format!("{}/{start:020}-{:020}-n.ids", id.folder("_ids"), start + 1));
        store.put(&path, bytes).await.expect("is written");
    }

    async fn id_files(store: &Store) -> usize {
        store.list("_ids").await.expect("can be listed").len()
    }

    #[tokio::test]
    async fn a_partition_is_seeded_by_position_whenever_its_files_were_written() {
        let store = Store::of(Arc::new(InMemory::new()));
        let id = PartitionId::new("webhook", "w", "0");
        // The newest ids were copied there first.
        put_ids(&store, &id, 20, 200..210).await;
        put_ids(&store, &id, 10, 100..110).await;
        let log = PartitionLog::recover(&store, id).await.expect("recovers");
        let mut dedupe = log.dedupe(10).await.expect("can be read");
        assert!((200..210).all(|id| !dedupe.insert(id)), "the last ten by position are known");
        assert!(dedupe.insert(105), "and only they");
    }

    #[tokio::test]
    async fn old_ids_go_but_for_the_horizon_of_a_partition_that_can_go_on() {
        let store = Store::of(Arc::new(InMemory::new()));
        let (spool, stdin) = (PartitionId::new("webhook", "w", "0"), PartitionId::new(crate::store::STDIN, "s", "0"));
        let half = DEFAULT_HORIZON as u64 / 2;
        for (start, id) in [(0, &spool), (1, &spool), (2, &spool), (3, &spool), (0, &stdin)] {
            put_ids(&store, id, start, 0..half).await;
        }
        let now = crate::clock::now();
        retire_ids(&store, 10, 3 * DAY_MS, now).await.expect("works");
        assert_eq!(id_files(&store).await, 5, "none is old yet");
        let later = EventTime::from_ms(now.ms() + 4 * DAY_MS);
        retire_ids(&store, 3 * half as usize, 3 * DAY_MS, later).await.expect("works");
        assert_eq!(id_files(&store).await, 3, "three halves of a horizon, and nothing of standard input");
        retire_ids(&store, 10, 3 * DAY_MS, later).await.expect("works");
        assert_eq!(id_files(&store).await, 2, "never fewer than the default horizon");
    }
}
