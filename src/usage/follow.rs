//! Reads what becomes visible on the store, entry by entry: the read side's only input.
//!
//! An entry is visible once all its files are at their final paths. A partition is followed up to its first entry that is
//! not, and from there again at the next poll.
//!
//! What compaction holds is read from there, once, at the beginning; of the entries after that the files that it does not
//! hold. What it takes in later is not new. Who is so far behind that files go before they were read begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::event::EventTime;
use crate::partial::{Accounting, Partial};
use crate::store::compact::{self, Absent, Coverage, Generation, Generations};
use crate::store::datasets::IDS;
use crate::store::ledger::{self, Entry, PartitionId};
use crate::store::policies::Policies;
use crate::store::progress::{self, Patience, Progress, Reach};
use crate::store::retired::{self, Retired};
use crate::store::{Store, StoreError, datasets};

/// Entries whose files are read at the same time.
const READS: usize = 8;
/// Entries that may wait for being taken, which bounds memory.
const AT_ONCE: usize = 256;

/// What is handed over.
pub enum Seen {
    /// Rows, each once.
    Rows(Box<Partial>),
    /// What was handed over so far is to be forgotten: all of it comes again, from where it is now.
    Anew,
}

/// Follows every partition of a store.
pub struct Follower {
    store: Store,
    partitions: BTreeMap<PartitionId, Followed>,
    /// What was read of compaction; `None` before that.
    compacted: Option<Arc<Coverage>>,
    /// The part of it that was handed over, should it be interrupted.
    loading: Coverage,
}

/// How far one partition was followed.
pub struct Followed {
    /// The path of the last entry taken.
    last: Option<Path>,
    pub progress: Progress,
    pub accounting: Accounting,
    /// How people are written in it.
    pub policies: Policies,
    /// Whose events it had.
    pub tenants: BTreeSet<String>,
    /// The file without which it cannot be followed further, where it is lost.
    lost: Option<Path>,
    /// Events that generations hold of it, and those of retired entries and of entries of which no file is outside them: no
    /// more than that.
    merged: u64,
    counted_in_merged: u64,
}

impl Followed {
    fn new(id: PartitionId) -> Self {
        Self {
            last: None,
            progress: Progress::new(id),
            accounting: Accounting::default(),
            policies: Policies::default(),
            tenants: BTreeSet::new(),
            lost: None,
            merged: 0,
            counted_in_merged: 0,
        }
    }

    fn take(&mut self, path: Path, entry: &Entry, rows: &Partial, is_merged: bool) {
        if is_merged {
            self.counted_in_merged = self.counted_in_merged.saturating_add(entry.accounting.counted);
        }
        self.last = Some(path);
        self.progress.follow(entry);
        self.accounting.add(&entry.accounting);
        self.policies.take(entry);
        for tenant in rows.tenants() {
            if !self.tenants.contains(tenant) {
                self.tenants.insert(tenant.to_owned());
            }
        }
    }

    fn take_retired(&mut self, retired: &Retired) {
        let before = retired.partition_id().entry_path(retired.end - 1);
        self.last = Some(before);
        self.progress.follow_retired(retired);
        self.accounting = retired.accounting;
        self.counted_in_merged = retired.accounting.counted;
        self.policies.clone_from(&retired.policies);
    }

    /// Whether `entry` is the next one. A listing may lack one that was written while it was made.
    fn is_followed_by(&self, entry: &Entry) -> bool {
        entry.start == self.progress.end
    }
}

/// Whether a step went through, or compaction has removed what it needs.
#[derive(PartialEq, Eq)]
enum Step {
    Done,
    Overtaken,
}

impl Follower {
    pub fn new(store: Store) -> Self {
        Self { store, partitions: BTreeMap::new(), compacted: None, loading: Coverage::default() }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn partitions(&self) -> impl Iterator<Item = &Followed> {
        self.partitions.values()
    }

    /// Takes in what workers noted of being caught up, as known at `now`.
    pub async fn hear(&mut self, now: EventTime) -> Result<(), StoreError> {
        for (id, note) in progress::read_all(&self.store).await? {
            // Also of a partition without an entry: it has nothing yet, and that is known.
            self.partition(id).progress.hear(&note, now);
        }
        Ok(())
    }

    /// Takes every partition for one that never goes on.
    pub fn end(&mut self) {
        self.partitions.values_mut().for_each(|followed| followed.progress.ended = true);
    }

    fn partition(&mut self, id: PartitionId) -> &mut Followed {
        self.partitions.entry(id.clone()).or_insert_with(|| Followed::new(id))
    }

    /// How far each tenant is known at `now`.
    pub fn reach(&self, patience: Patience, now: EventTime) -> BTreeMap<String, Reach> {
        let partitions =
            self.partitions.values().map(|followed| (&followed.progress, followed.tenants.iter().map(String::as_str)));
        progress::reach_of_tenants(partitions, patience, now)
    }

    /// Whether every partition with this tenant's events is one that never goes on.
    pub fn is_ended(&self, tenant: &str) -> bool {
        self.partitions().filter(|followed| followed.tenants.contains(tenant)).all(|found| found.progress.ended)
    }

    /// Hands the rows of everything that became visible since the last call to `take`, and says of how many entries and
    /// generations. After an error the next call goes on where this one ended.
    pub async fn poll(&mut self, mut take: impl FnMut(Seen)) -> Result<u64, StoreError> {
        loop {
            let mut taken = 0;
            let mut rows = |rows: Partial| {
                taken += 1;
                take(Seen::Rows(Box::new(rows)));
            };
            let mut step = self.load(&mut rows).await?;
            if step == Step::Done {
                step = self.follow(&mut rows).await?;
            }
            if step == Step::Done {
                return Ok(taken);
            }
            *self = Self::new(self.store.clone());
            take(Seen::Anew);
        }
    }

    /// [`poll`](Self::poll) for who reads once: a lost file is an error, since what its partition wrote from there on would
    /// be missing unsaid.
    pub async fn read(&mut self, take: impl FnMut(Seen)) -> Result<(), StoreError> {
        self.poll(take).await?;
        self.lost().map_or(Ok(()), |path| Err(StoreError::lost(path)))
    }

    /// A file that holds a partition up for good.
    pub fn lost(&self) -> Option<&Path> {
        self.partitions().find_map(|followed| followed.lost.as_ref())
    }

    /// Once: what compaction holds, and what stands for the entries it removed.
    async fn load(&mut self, take: &mut impl FnMut(Partial)) -> Result<Step, StoreError> {
        if self.compacted.is_some() {
            return Ok(Step::Done);
        }
        // Before the generations, which hold at least what was retired before.
        let retired = retired::all_within(&self.store, "").await?;
        let generations = Generations::read(&self.store).await?;
        generations.refuse_lost(&self.store).await?;
        retired.iter().try_for_each(|(id, retired)| generations.refuse_less(id, retired.accounting.counted))?;
        let new = generations.winners().filter(|generation| !self.loading.has(&generation.date));
        let reads = new.map(|generation| read_generation(self.store.clone(), generation.clone()));
        let mut reads = futures::stream::iter(reads.collect::<Vec<_>>()).buffered(READS);
        while let Some((generation, rows)) = reads.try_next().await? {
            let rows = match rows {
                Ok(rows) => rows,
                Err(gone) if compact::is_winner(&self.store, &generation).await? => {
                    return Err(StoreError::lost(&gone));
                }
                Err(_) => return Ok(Step::Overtaken),
            };
            self.loading.add(&generation);
            for merged in &generation.merged {
                let followed = self.partition(merged.partition_id());
                followed.tenants.extend(merged.tenants.iter().cloned());
                followed.merged = followed.merged.saturating_add(merged.events);
            }
            take(rows);
        }
        drop(reads);
        for (id, retired) in &retired {
            self.partition(id.clone()).take_retired(retired);
        }
        self.compacted = Some(Arc::new(std::mem::take(&mut self.loading)));
        Ok(Step::Done)
    }

    async fn follow(&mut self, take: &mut impl FnMut(Partial)) -> Result<Step, StoreError> {
        let Some(compacted) = self.compacted.clone() else { return Ok(Step::Done) };
        let partitions = ledger::partitions(&self.store).await?;
        if partitions.is_empty() && self.partitions.values().any(|followed| followed.last.is_some()) {
            return Err(StoreError::Gone { location: self.store.location().to_owned() });
        }
        for id in partitions {
            let store = self.store.clone();
            let followed = self.partition(id.clone());
            followed.lost = None;
            let folder = id.folder("_ledger");
            let paths = store.list_after(&folder, followed.last.as_ref()).await?;
            if followed.last.is_none() {
                if is_retired(&store, followed).await? {
                    return Ok(Step::Overtaken);
                }
                followed.progress.end = ledger::first_start(&store, &id).await?;
            }
            'partition: for paths in paths.chunks(AT_ONCE) {
                let reads = paths
                    .iter()
                    .map(|found| read_visible(store.clone(), found.location.clone(), compacted.clone()))
                    .collect::<Vec<_>>();
                let mut reads = futures::stream::iter(reads).buffered(READS);
                while let Some((path, found)) = reads.try_next().await? {
                    match found {
                        Found::Visible(entry, rows) if followed.is_followed_by(&entry) => {
                            let is_outside = |file: &ledger::FileRecord| {
                                file.dataset != IDS && !compacted.holds(&id, entry.end, file)
                            };
                            let is_merged = !entry.files.iter().any(is_outside);
                            followed.take(path, &entry, &rows, is_merged);
                            if followed.counted_in_merged > followed.merged {
                                return Err(compact::lost_day(&id, followed.merged, followed.counted_in_merged));
                            }
                            take(*rows);
                        }
                        Found::Incomplete(entry, file) if followed.is_followed_by(&entry) => {
                            match compact::absent(&store, &entry, &file).await? {
                                Absent::Retired => return Ok(Step::Overtaken),
                                Absent::Lost => followed.lost = Some(Path::from(file.path)),
                                Absent::Waiting => {}
                            }
                            break 'partition;
                        }
                        _ if is_retired(&store, followed).await? => return Ok(Step::Overtaken),
                        other => {
                            if let Found::Visible(entry, _) | Found::Incomplete(entry, _) = &other {
                                compact::refuse_overlap(&store, &id, entry, followed.progress.end).await?;
                            }
                            // One that was written while the listing was made is there by now.
                            let next = followed.progress.end;
                            if compact::is_entry_lost(&store, &id, next).await? {
                                followed.lost = Some(id.entry_path(next));
                            }
                            break 'partition;
                        }
                    }
                }
            }
        }
        Ok(Step::Done)
    }
}

/// Whether entries after the last one taken were retired.
async fn is_retired(store: &Store, followed: &Followed) -> Result<bool, StoreError> {
    let retired = Retired::newest(store, &followed.progress.partition).await?;
    Ok(retired.is_some_and(|retired| retired.end > followed.progress.end))
}

/// What there is at an entry's path.
enum Found {
    Visible(Box<Entry>, Box<Partial>),
    /// With a file that is not at its final path: not yet, or no longer.
    Incomplete(Box<Entry>, ledger::FileRecord),
    /// It was removed since it was listed.
    Gone,
}

/// An entry and those of its rows that are not in `compacted`.
async fn read_visible(store: Store, path: Path, compacted: Arc<Coverage>) -> Result<(Path, Found), StoreError> {
    spawned(async move {
        let entry = match ledger::read_entry(&store, &path).await {
            Ok(entry) => Box::new(entry),
            Err(error) if error.is_not_found() => return Ok((path, Found::Gone)),
            Err(error) => return Err(error),
        };
        let id = entry.partition_id();
        let mut rows = Partial::default();
        for file in entry.files.iter().filter(|file| datasets::is_aggregate(&file.dataset)) {
            if compacted.holds(&id, entry.end, file) {
                continue;
            }
            if !absorb(&store, file, &mut rows).await? {
                let file = file.clone();
                return Ok((path, Found::Incomplete(entry, file)));
            }
        }
        Ok((path, Found::Visible(entry, Box::new(rows))))
    })
    .await
}

/// A generation and its rows; or the file of it that is gone.
async fn read_generation(
    store: Store,
    generation: Arc<Generation>,
) -> Result<(Arc<Generation>, Result<Partial, Path>), StoreError> {
    spawned(async move {
        let mut rows = Partial::default();
        for file in generation.files.iter().filter(|file| datasets::is_aggregate(&file.dataset)) {
            if !absorb(&store, file, &mut rows).await? {
                let gone = Path::from(file.path.as_str());
                return Ok((generation, Err(gone)));
            }
        }
        Ok((generation, Ok(rows)))
    })
    .await
}

/// Takes in the rows of a file, which must be as it was recorded; false where it is gone.
async fn absorb(store: &Store, file: &ledger::FileRecord, rows: &mut Partial) -> Result<bool, StoreError> {
    let Some(bytes) = compact::read_file(store, file).await? else { return Ok(false) };
    let damaged = |problem| StoreError::damaged(&Path::from(file.path.as_str()), problem);
    datasets::absorb(&file.dataset, bytes, rows).map_err(damaged)?;
    Ok(true)
}

/// On another thread, so that several files are decoded at once.
async fn spawned<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(found) => found,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and whoever waits with it.
            Err(_) => std::future::pending().await,
        },
    }
}
