//! Reads what becomes visible on the store, entry by entry: the read side's only input.
//!
//! An entry is visible once all its files are at their final paths. A partition is followed up to its first entry that is
//! not, and from there again at the next poll.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::event::EventTime;
use crate::partial::{Accounting, Partial};
use crate::store::ledger::{self, Entry, PartitionId};
use crate::store::progress::{self, Patience, Progress, Reach};
use crate::store::{Store, StoreError, datasets};

/// Entries whose files are read at the same time.
const READS: usize = 8;
/// Entries that may wait for being taken, which bounds memory.
const AT_ONCE: usize = 256;

/// Follows every partition of a store.
pub struct Follower {
    store: Store,
    partitions: BTreeMap<PartitionId, Followed>,
}

/// How far one partition was followed.
pub struct Followed {
    /// The path of the last entry taken.
    last: Option<Path>,
    pub progress: Progress,
    pub accounting: Accounting,
    /// Whose events it had.
    pub tenants: BTreeSet<String>,
}

impl Followed {
    fn new(id: PartitionId) -> Self {
        Self { last: None, progress: Progress::new(id), accounting: Accounting::default(), tenants: BTreeSet::new() }
    }

    fn take(&mut self, path: Path, entry: &Entry, rows: &Partial) {
        self.last = Some(path);
        self.progress.follow(entry);
        self.accounting.add(&entry.accounting);
        for tenant in rows.tenants() {
            if !self.tenants.contains(tenant) {
                self.tenants.insert(tenant.to_owned());
            }
        }
    }
}

impl Follower {
    pub fn new(store: Store) -> Self {
        Self { store, partitions: BTreeMap::new() }
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
            self.partitions.entry(id.clone()).or_insert_with(|| Followed::new(id)).progress.hear(&note, now);
        }
        Ok(())
    }

    /// How far each tenant is known at `now`.
    pub fn reach(&self, patience: Patience, now: EventTime) -> BTreeMap<String, Reach> {
        let partitions =
            self.partitions.values().map(|followed| (&followed.progress, followed.tenants.iter().map(String::as_str)));
        progress::reach_of_tenants(partitions, patience, now)
    }

    /// Hands every entry that became visible since the last call to `take`, those of one partition in their order, and
    /// says how many there were. After an error the next call goes on where this one ended.
    pub async fn poll(&mut self, mut take: impl FnMut(&Entry, Partial)) -> Result<u64, StoreError> {
        let mut taken = 0;
        for id in ledger::partitions(&self.store).await? {
            let followed = self.partitions.entry(id.clone()).or_insert_with(|| Followed::new(id.clone()));
            let folder = id.folder("_ledger");
            let paths = self.store.list_after(&folder, followed.last.as_ref()).await?;
            for paths in paths.chunks(AT_ONCE) {
                let reads = paths.iter().map(|found| read_visible(self.store.clone(), found.location.clone()));
                let mut reads = futures::stream::iter(reads).buffered(READS);
                let mut is_whole = true;
                while let Some((path, visible)) = reads.try_next().await? {
                    let Some((entry, rows)) = visible else {
                        is_whole = false;
                        break;
                    };
                    followed.take(path, &entry, &rows);
                    taken += 1;
                    take(&entry, rows);
                }
                if !is_whole {
                    break;
                }
            }
        }
        Ok(taken)
    }
}

/// An entry and its rows; `None` for one with a file that is not yet at its final path.
async fn read_visible(store: Store, path: Path) -> Result<(Path, Option<(Entry, Partial)>), StoreError> {
    // On another thread, so that several files are decoded at once.
    let read = tokio::spawn(async move {
        let entry = ledger::read_entry(&store, &path).await?;
        let mut rows = Partial::default();
        for file in entry.files.iter().filter(|file| datasets::is_aggregate(&file.dataset)) {
            let at = Path::from(file.path.as_str());
            let Some(bytes) = store.get_if_there(&at).await? else { return Ok((path, None)) };
            datasets::absorb(&file.dataset, bytes, &mut rows).map_err(|problem| StoreError::damaged(&at, problem))?;
        }
        Ok((path, Some((entry, rows))))
    });
    match read.await {
        Ok(found) => found,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and whoever waits with it.
            Err(_) => std::future::pending().await,
        },
    }
}
