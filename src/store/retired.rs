//! What is left of a chain's beginning once compaction holds its rows: the sum of its entries, which are gone.
//!
//! `_retired/<source>/<incarnation>/<partition>/<number>.json`, put if absent; the greatest number holds, and each is made
//! from the one before. It is written before the first of its entries goes, and they go in ascending order. So an entry
//! below its end is no entry any more: whoever writes one there woke up late, and finds out (`commit`).

use std::collections::BTreeMap;

use object_store::ObjectMeta;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::ledger::{Entry, FileRecord, PartitionId, text_time, to_json};
use super::policies::Policies;
use super::{Created, Store, StoreError};
use crate::event::EventTime;
use crate::partial::Accounting;

/// The format that this version writes.
pub const FORMAT: u32 = 1;
const FOLDER: &str = "_retired";

/// The sum of a chain's entries from its beginning to `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub format: u32,
    /// The version that wrote it.
    pub ghostlight: String,
    pub source: String,
    pub incarnation: String,
    pub partition: String,
    /// Counts from 1.
    pub number: u64,
    pub begin: u64,
    pub end: u64,
    pub entries: u64,
    pub accounting: Accounting,
    /// The greatest event time, but none later than it was read.
    #[serde(default, with = "text_time::option", skip_serializing_if = "Option::is_none")]
    pub frontier: Option<EventTime>,
    /// When the last of them was committed.
    #[serde(with = "text_time")]
    pub committed_at: EventTime,
    /// Ranges that were never read; an operator allowed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Under which people were written; those of sums made by versions before are not known.
    #[serde(default, skip_serializing_if = "Policies::is_empty")]
    pub policies: Policies,
    /// The ids of the events they counted, in order; the older ones may be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<FileRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub start: u64,
    pub end: u64,
    pub reason: String,
}

impl Retired {
    /// What follows `before`, still without entries.
    pub(super) fn after(before: Option<&Self>, first: &Entry) -> Self {
        let fresh = || Self {
            format: FORMAT,
            ghostlight: String::new(),
            source: first.source.clone(),
            incarnation: first.incarnation.clone(),
            partition: first.partition.clone(),
            number: 0,
            begin: first.start,
            end: first.start,
            entries: 0,
            accounting: Accounting::default(),
            frontier: None,
            committed_at: first.committed_at,
            gaps: Vec::new(),
            policies: Policies::default(),
            ids: Vec::new(),
        };
        let before = before.cloned().unwrap_or_else(fresh);
        Self { number: before.number + 1, ghostlight: env!("CARGO_PKG_VERSION").to_owned(), ..before }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        assert_eq!(entry.start, self.end, "a chain has no holes");
        self.end = entry.end;
        self.entries += 1;
        self.accounting.add(&entry.accounting);
        self.policies.take(entry);
        self.frontier = self.frontier.max(entry.frontier.map(|frontier| frontier.event_time.min(frontier.read_at)));
        self.committed_at = self.committed_at.max(entry.committed_at);
        if let Some(reason) = &entry.gap {
            self.gaps.push(Gap { start: entry.start, end: entry.end, reason: reason.clone() });
        }
    }

    pub fn partition_id(&self) -> PartitionId {
        PartitionId::new(&self.source, &self.incarnation, &self.partition)
    }

    pub(super) async fn create(&self, store: &Store) -> Result<Created, StoreError> {
        store.create(&path(&self.partition_id(), self.number), to_json(self)).await
    }

    /// What holds of one partition.
    pub async fn newest(store: &Store, id: &PartitionId) -> Result<Option<Self>, StoreError> {
        Ok(all_within(store, &id.folder("")).await?.remove(id))
    }

    /// Whether an id file is one of its own.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.ids.iter().any(|file| file.path == path.as_ref())
    }

    /// Where ids of several entries lie: apart from those of entries, until this is what holds.
    pub(super) fn ids_path(&self, start: u64, end: u64) -> Path {
        let nonce = uuid::Uuid::new_v4().simple();
        Path::from(format!("{}/{start:020}-{end:020}-{nonce}.ids", self.partition_id().folder(FOLDER)))
    }
}

/// The id files that hold, sorted by partition and position: of the entries that are there, and of retired ones.
pub(super) async fn id_files(store: &Store, within: &str) -> Result<Vec<ObjectMeta>, StoreError> {
    loop {
        let before = newest_paths(store, within).await?;
        let retired = all_within(store, within).await?;
        let mut files = store.list(&format!("_ids{within}")).await?;
        files.extend(store.list(&format!("{FOLDER}{within}")).await?);
        // Files go only after what replaces them holds: if nothing new does, the listing was whole.
        if newest_paths(store, within).await? != before {
            continue;
        }
        let holds = |file: ObjectMeta| {
            let id = PartitionId::of_path(&file.location)?;
            let (start, _) = range_of_ids(&file.location)?;
            let is_of_entry = file.location.as_ref().starts_with("_ids/");
            let holds = match retired.get(&id) {
                Some(retired) => (is_of_entry && start >= retired.end) || retired.names(&file.location),
                None => is_of_entry,
            };
            holds.then_some((id, start, file))
        };
        let mut files: Vec<_> = files.into_iter().filter_map(holds).collect();
        files.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        return Ok(files.into_iter().map(|(_, _, file)| file).collect());
    }
}

fn path(id: &PartitionId, number: u64) -> Path {
    Path::from(format!("{}/{number:010}.json", id.folder(FOLDER)))
}

/// The range that an id file is of, by its name.
pub(super) fn range_of_ids(path: &Path) -> Option<(u64, u64)> {
    let mut parts = path.filename()?.strip_suffix(".ids")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What holds of each partition under `within`: empty for all, else begins with a slash.
pub async fn all_within(store: &Store, within: &str) -> Result<BTreeMap<PartitionId, Retired>, StoreError> {
    'again: loop {
        let mut found = BTreeMap::new();
        for (id, path) in newest_paths(store, within).await? {
            // Gone, because there is a newer one by now.
            let Some(bytes) = store.get_if_there(&path).await? else { continue 'again };
            let retired: Retired =
                serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(&path, error.to_string()))?;
            if retired.format != FORMAT {
                let (found, known) = (retired.format, FORMAT);
                return Err(StoreError::Newer { path: path.to_string(), found, known });
            }
            found.insert(id, retired);
        }
        return Ok(found);
    }
}

/// Where what holds of each partition lies. Equal as long as nothing was retired.
pub(super) async fn newest_paths(store: &Store, within: &str) -> Result<BTreeMap<PartitionId, Path>, StoreError> {
    let listed = store.list(&format!("{FOLDER}{within}")).await?;
    let is_sum = |object: &ObjectMeta| object.location.as_ref().ends_with(".json");
    // Sorted, so that the greatest number of each is the last.
    let of_partition = |object: ObjectMeta| Some((PartitionId::of_path(&object.location)?, object.location));
    Ok(listed.into_iter().filter(is_sum).filter_map(of_partition).collect())
}

/// Removes what a partition's newest one stands for: id files it does not name, older ones, and entries.
pub(super) async fn sweep(store: &Store, id: &PartitionId) -> Result<u64, StoreError> {
    let Some(retired) = Retired::newest(store, id).await? else { return Ok(0) };
    let mut replaced = store.list(&id.folder("_ids")).await?;
    replaced.extend(store.list(&id.folder(FOLDER)).await?);
    let newest = path(id, retired.number);
    for object in replaced.into_iter().map(|object| object.location) {
        let is_replaced = match range_of_ids(&object) {
            // One that ends later is of an entry, or of somebody who makes the next.
            Some((_, end)) => end <= retired.end && !retired.names(&object),
            None => object.as_ref().ends_with(".json") && object < newest,
        };
        if is_replaced {
            store.delete(&object).await?;
        }
    }
    let mut removed = 0;
    // Ascending, each after the one before it is gone: a stale writer looks for its predecessor.
    for entry in store.list(&id.folder("_ledger")).await? {
        if PartitionId::start_of(&entry.location).is_some_and(|start| start < retired.end) {
            store.delete(&entry.location).await?;
            removed += 1;
        }
    }
    Ok(removed)
}
