//! The ledger: per partition a chain of small JSON entries, each of which makes one range of it true.
//!
//! `_ledger/<source>/<incarnation>/<partition>/<start>.json`, written only if absent. An entry begins where the one before
//! it ends. `_snapshots/…` holds sums every [`SNAPSHOT_EVERY`] entries, so that finding the end takes one listing from
//! there; a snapshot is derived, and may be lost.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::datasets::{DATASETS, IDS};
use super::retired::Retired;
use super::{Created, Store, StoreError};
use crate::event::{EventTime, Policy, Privacy, Resume};
use crate::partial::{Accounting, FoldSettings, Frontier};

/// The format of entries and snapshots that this version writes.
pub const FORMAT: u32 = 1;

/// How many entries one listing and the reads after it may have to cover.
pub const SNAPSHOT_EVERY: u64 = 64;

/// An ordered, replayable sequence of records. The incarnation is part of its name, so that one name never means two
/// contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub source: String,
    pub incarnation: String,
    pub partition: String,
}

impl PartitionId {
    pub fn new(source: &str, incarnation: &str, partition: &str) -> Self {
        Self { source: source.to_owned(), incarnation: incarnation.to_owned(), partition: partition.to_owned() }
    }

    /// The partition a path under `_ledger/`, `_staging/`, `_snapshots/`, `_ids/` or (before `.json`) `_progress/` belongs to.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let mut parts = path.parts().skip(1);
        let mut next = || parts.next().map(|part| part.as_ref().to_owned());
        Some(Self { source: next()?, incarnation: next()?, partition: next()? })
    }

    pub(crate) fn folder(&self, top: &str) -> String {
        format!("{top}/{}/{}/{}", self.source, self.incarnation, self.partition)
    }

    /// The start in the name of an entry.
    pub(crate) fn start_of(path: &Path) -> Option<u64> {
        path.filename()?.strip_suffix(".json")?.parse().ok()
    }

    pub(crate) fn entry_path(&self, start: u64) -> Path {
        Path::from(format!("{}/{start:020}.json", self.folder("_ledger")))
    }

    fn snapshot_path(&self, start: u64) -> Path {
        Path::from(format!("{}/{start:020}.json", self.folder("_snapshots")))
    }
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.source, self.incarnation, self.partition)
    }
}

/// One commit: a range of a partition, and the files that hold what it folded to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub format: u32,
    /// The version that wrote it.
    pub ghostlight: String,
    pub source: String,
    pub incarnation: String,
    pub partition: String,
    pub start: u64,
    pub end: u64,
    /// Tells this attempt from every other at the same range.
    pub nonce: String,
    #[serde(with = "text_time")]
    pub committed_at: EventTime,
    pub accounting: Accounting,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontier: Option<FrontierText>,
    #[serde(default)]
    pub resume: Resume,
    pub settings: SettingsText,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub unknown_types: std::collections::BTreeMap<String, u64>,
    /// Why the records of this range were never read; an operator allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    pub files: Vec<FileRecord>,
}

/// A file of a commit, at its final path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    pub dataset: String,
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// [`Frontier`] as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontierText {
    #[serde(with = "text_time")]
    pub event_time: EventTime,
    #[serde(with = "text_time")]
    pub read_at: EventTime,
}

impl From<Frontier> for FrontierText {
    fn from(frontier: Frontier) -> Self {
        Self { event_time: frontier.event_time, read_at: frontier.read_at }
    }
}

/// The settings that shaped a batch's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsText {
    pub users_window_seconds: u32,
    pub tokens_window_seconds: u32,
    pub counts_window_seconds: u32,
    pub users_definition: String,
    pub hll_lg_k: u8,
    pub dedupe_horizon: u64,
    pub ids_keep_seconds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacyText>,
}

/// What became of what the events say about people, where not all of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyText {
    pub user_id: String,
    pub user_name: String,
    pub ip: String,
    pub email: String,
    /// Tells the key from others: values hashed with another one are other values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

impl PrivacyText {
    pub fn of(privacy: &Privacy) -> Option<Self> {
        let policies = privacy.policies();
        let name = |policy: Policy| policy.name().to_owned();
        (!privacy.keeps_all()).then(|| Self {
            user_id: name(policies.user_id),
            user_name: name(policies.user_name),
            ip: name(policies.ip),
            email: name(policies.email),
            key_id: privacy.key_id(),
        })
    }
}

impl SettingsText {
    pub fn new(fold: &FoldSettings, dedupe_horizon: usize, ids_keep: std::time::Duration) -> Self {
        Self {
            users_window_seconds: fold.users_window.seconds(),
            tokens_window_seconds: fold.tokens_window.seconds(),
            counts_window_seconds: fold.counts_window.seconds(),
            users_definition: fold.definition.name().to_owned(),
            hll_lg_k: fold.precision.lg_k(),
            dedupe_horizon: dedupe_horizon as u64,
            ids_keep_seconds: ids_keep.as_secs(),
            tenant: None,
            ignore: Vec::new(),
            privacy: None,
        }
    }
}

impl FileRecord {
    /// Checks that it is of a dataset there is, and lies where files of it do.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { dataset, path, .. } = self;
        if *dataset != IDS && !DATASETS.contains(&dataset.as_str()) {
            return Err(format!("{path} is of {dataset:?}, and no dataset is called so"));
        }
        let below = path.strip_prefix("_compacted/").unwrap_or(path).strip_prefix(dataset.as_str());
        match below.is_some_and(|rest| rest.starts_with('/')) {
            true => Ok(()),
            false => Err(format!("{path} is said to be of {dataset}, and does not lie there")),
        }
    }

    /// The day its rows are of; `None` for files of ids.
    pub fn date(&self) -> Option<&str> {
        self.path.split('/').find_map(|part| part.strip_prefix("date="))
    }
}

impl Entry {
    pub fn partition_id(&self) -> PartitionId {
        PartitionId::new(&self.source, &self.incarnation, &self.partition)
    }

    /// Checks what must hold in every entry, whoever wrote it: asked before writing and after reading.
    fn check(&self) -> Result<(), String> {
        if self.end <= self.start {
            return Err(format!("the range {}..{} is empty", self.start, self.end));
        }
        if !self.accounting.adds_up() {
            return Err(format!("the accounting does not add up: {:?}", self.accounting));
        }
        let Accounting { counted, event_rows, .. } = self.accounting;
        if event_rows != 0 && event_rows != counted {
            return Err(format!("of {counted} events counted {event_rows} are rows of `events`: it has all or none"));
        }
        self.files.iter().try_for_each(FileRecord::check)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Snapshot {
    format: u32,
    /// The entry it was taken after.
    start: u64,
    entries: u64,
    accounting: Accounting,
}

/// The end of a partition's chain.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    pub last: Option<Entry>,
    /// Where a partition without entries begins.
    pub begin: u64,
    /// Where the entries that are still there begin; 0 if none was retired.
    pub retired: u64,
    /// How many entries the partition has had, and their sum.
    pub entries: u64,
    pub accounting: Accounting,
}

impl Tail {
    /// Where the next entry begins.
    pub fn end(&self) -> u64 {
        self.last.as_ref().map_or(self.begin, |entry| entry.end)
    }
}

/// Finds the end of a partition's chain.
pub async fn tail(store: &Store, id: &PartitionId) -> Result<Tail, StoreError> {
    loop {
        let retired = Retired::newest(store, id).await?;
        match tail_after(store, id, retired.as_ref()).await {
            // Its beginning was retired between two looks.
            Err(error) if Retired::newest(store, id).await? != retired => {
                tracing::debug!(%error, "looking again");
            }
            found => return found,
        }
    }
}

async fn tail_after(store: &Store, id: &PartitionId, retired: Option<&Retired>) -> Result<Tail, StoreError> {
    let mut tail = Tail::default();
    let mut from = None;
    if let Some(retired) = retired {
        tail.retired = retired.end;
        (tail.begin, tail.entries, tail.accounting) = (retired.end, retired.entries, retired.accounting);
        from = Some(id.entry_path(retired.end - 1));
    }
    if let Some(snapshot) = last_snapshot(store, id).await?.filter(|snapshot| snapshot.start >= tail.retired)
        // A snapshot of an entry that is gone was written by somebody who woke up late.
        && let Some(entry) = entry_at(store, id, snapshot.start).await?
    {
        from = Some(id.entry_path(snapshot.start));
        (tail.last, tail.entries, tail.accounting) = (Some(entry), snapshot.entries, snapshot.accounting);
    }
    for found in store.list_after(&id.folder("_ledger"), from.as_ref()).await? {
        let entry = read_entry(store, &found.location).await?;
        if from.is_some() && entry.start != tail.end() {
            let problem = format!("it begins at {}, the entry before it ends at {}", entry.start, tail.end());
            return Err(StoreError::damaged(&found.location, problem));
        }
        tail.entries += 1;
        tail.accounting.add(&entry.accounting);
        from = Some(found.location);
        tail.last = Some(entry);
    }
    if retired.is_some() && tail.last.is_none() {
        // The last entry always stays.
        return Err(StoreError::damaged(&Path::from(id.folder("_ledger")), "its last entry is missing"));
    }
    Ok(tail)
}

async fn last_snapshot(store: &Store, id: &PartitionId) -> Result<Option<Snapshot>, StoreError> {
    let Some(newest) = store.list(&id.folder("_snapshots")).await?.pop() else { return Ok(None) };
    // A snapshot only saves time: one that cannot be read is as good as none.
    let bytes = store.get_if_there(&newest.location).await?;
    let snapshot = bytes.and_then(|bytes| serde_json::from_slice::<Snapshot>(&bytes).ok());
    Ok(snapshot.filter(|snapshot| snapshot.format == FORMAT))
}

/// The entry of the last snapshot: whoever recovers reads on from it.
pub(super) async fn last_snapshot_start(store: &Store, id: &PartitionId) -> Result<Option<u64>, StoreError> {
    Ok(last_snapshot(store, id).await?.map(|snapshot| snapshot.start))
}

/// Writes a snapshot after the entry that `tail` ends with, and forgets older ones.
pub async fn write_snapshot(store: &Store, id: &PartitionId, tail: &Tail) -> Result<(), StoreError> {
    let Some(last) = &tail.last else { return Ok(()) };
    let snapshot = Snapshot { format: FORMAT, start: last.start, entries: tail.entries, accounting: tail.accounting };
    let path = id.snapshot_path(last.start);
    store.put(&path, to_json(&snapshot)).await?;
    for old in store.list(&id.folder("_snapshots")).await? {
        if old.location < path {
            store.delete(&old.location).await?;
        }
    }
    Ok(())
}

pub async fn read_entry(store: &Store, path: &Path) -> Result<Entry, StoreError> {
    let bytes = store.get(path).await?;
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    if let Ok(Head { format }) = serde_json::from_slice(&bytes)
        && format > FORMAT
    {
        return Err(StoreError::Newer { path: path.to_string(), found: format, known: FORMAT });
    }
    let entry: Entry = serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(path, error))?;
    entry.check().map_err(|problem| StoreError::damaged(path, problem))?;
    if entry.partition_id().entry_path(entry.start) != *path {
        return Err(StoreError::damaged(
            path,
            format!("it is the entry of {} at {}", entry.partition_id(), entry.start),
        ));
    }
    Ok(entry)
}

/// The entry that begins at `start`, if there is one.
pub async fn entry_at(store: &Store, id: &PartitionId, start: u64) -> Result<Option<Entry>, StoreError> {
    match read_entry(store, &id.entry_path(start)).await {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The entry that ends at `end`, if one does.
pub async fn entry_ending_at(store: &Store, id: &PartitionId, end: u64) -> Result<Option<Entry>, StoreError> {
    let before = id.entry_path(end);
    let entries = store.list(&id.folder("_ledger")).await?;
    let at = entries.partition_point(|found| found.location < before);
    let Some(found) = at.checked_sub(1).and_then(|at| entries.get(at)) else { return Ok(None) };
    let entry = read_entry(store, &found.location).await?;
    Ok((entry.end == end).then_some(entry))
}

/// Writes `entry` only if none begins where it does.
pub(super) async fn create_entry(store: &Store, entry: &Entry) -> Result<Created, StoreError> {
    let path = entry.partition_id().entry_path(entry.start);
    entry.check().map_err(|problem| StoreError::damaged(&path, problem))?;
    store.create(&path, to_json(entry)).await
}

/// Every partition that has a ledger.
pub async fn partitions(store: &Store) -> Result<Vec<PartitionId>, StoreError> {
    let mut found = Vec::new();
    for source in store.folders("_ledger").await? {
        for incarnation in store.folders(&format!("_ledger/{source}")).await? {
            for partition in store.folders(&format!("_ledger/{source}/{incarnation}")).await? {
                found.push(PartitionId::new(&source, &incarnation, &partition));
            }
        }
    }
    Ok(found)
}

/// The incarnations a source has been seen in, also those of which nothing was committed yet.
pub async fn incarnations(store: &Store, source: &str) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::from_iter(store.folders(&format!("_ledger/{source}")).await?);
    for object in store.list(&format!("_starts/{source}")).await? {
        found.extend(object.location.filename().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    Ok(found)
}

/// The one of a source's incarnations that no other followed.
pub async fn last_incarnation(
    store: &Store,
    source: &str,
    known: &BTreeSet<String>,
) -> Result<Option<String>, StoreError> {
    let mut last = known.clone();
    for incarnation in known {
        if let Some(after) = Starts::read(store, source, incarnation).await?.and_then(|starts| starts.after) {
            last.remove(&after);
        }
    }
    Ok(last.pop_last())
}

/// The topics there were when a pattern was first read from the end of each, decided once: others came later, and are read
/// from their beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstTopics {
    pub format: u32,
    pub pattern: String,
    pub topics: BTreeSet<String>,
}

impl FirstTopics {
    fn path(pattern: &str) -> Path {
        Path::from(format!("_starts/patterns/{:016x}.json", xxh3_64(pattern.as_bytes())))
    }

    pub async fn read(store: &Store, pattern: &str) -> Result<Option<Self>, StoreError> {
        read_decided(store, &Self::path(pattern), |first: &Self| first.format).await
    }

    /// Writes these unless others are there already, and gives those that hold.
    pub async fn decide(self, store: &Store) -> Result<Self, StoreError> {
        let path = Self::path(&self.pattern);
        decide(store, &path, self, |first| first.format).await
    }
}

/// The spool that a tenant's log events are pulled into, decided once: two would count everything twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    pub format: u32,
    /// Its identity.
    pub spool: String,
}

impl Pulled {
    pub fn by(spool: &str) -> Self {
        Self { format: FORMAT, spool: spool.to_owned() }
    }

    pub fn path(domain: &str) -> Path {
        Path::from(format!("_starts/management/{domain}.json"))
    }

    /// Writes this unless another is there already, and gives the one that holds.
    pub async fn decide(self, store: &Store, domain: &str) -> Result<Self, StoreError> {
        decide(store, &Self::path(domain), self, |pulled| pulled.format).await
    }
}

/// Where the partitions of an incarnation begin, decided once, by whoever comes first: a stream that was not read from
/// its beginning. A partition that is not named begins at 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    pub format: u32,
    /// The setting that decided.
    pub policy: String,
    /// The incarnation that the source was known in before. What of that one was never read is lost; an operator allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    pub partitions: std::collections::BTreeMap<String, u64>,
}

impl Starts {
    pub fn of(&self, partition: &str) -> u64 {
        self.partitions.get(partition).copied().unwrap_or(0)
    }

    fn path(source: &str, incarnation: &str) -> Path {
        Path::from(format!("_starts/{source}/{incarnation}.json"))
    }

    pub async fn read(store: &Store, source: &str, incarnation: &str) -> Result<Option<Self>, StoreError> {
        read_decided(store, &Self::path(source, incarnation), |starts: &Self| starts.format).await
    }

    /// Writes these unless others are there already, and gives those that hold.
    pub async fn decide(self, store: &Store, source: &str, incarnation: &str) -> Result<Self, StoreError> {
        decide(store, &Self::path(source, incarnation), self, |starts| starts.format).await
    }
}

/// Where a partition's first entry begins, whatever there is of it.
pub async fn first_start(store: &Store, id: &PartitionId) -> Result<u64, StoreError> {
    let starts = Starts::read(store, &id.source, &id.incarnation).await?;
    Ok(starts.map_or(0, |starts| starts.of(&id.partition)))
}

async fn read_decided<T: DeserializeOwned>(
    store: &Store,
    path: &Path,
    format: impl Fn(&T) -> u32,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.get_if_there(path).await? else { return Ok(None) };
    let decided: T = serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(path, error.to_string()))?;
    match format(&decided) {
        FORMAT => Ok(Some(decided)),
        found => Err(StoreError::damaged(path, format!("it has format {found}, this version reads {FORMAT}"))),
    }
}

async fn decide<T: Serialize + DeserializeOwned>(
    store: &Store,
    path: &Path,
    decision: T,
    format: impl Fn(&T) -> u32,
) -> Result<T, StoreError> {
    match store.create(path, to_json(&decision)).await {
        Ok(Created::Now) => Ok(decision),
        // Also after a lost answer: what is there holds.
        other => match read_decided(store, path, format).await? {
            Some(decided) => Ok(decided),
            None => match other {
                Err(error) => Err(error),
                Ok(_) => Err(StoreError::damaged(path, "put-if-absent found it, reading does not".to_owned())),
            },
        },
    }
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Bytes {
    match serde_json::to_vec_pretty(value) {
        Ok(json) => json.into(),
        Err(error) => unreachable!("entries and snapshots have no maps with other than text keys: {error}"),
    }
}

/// Times as entries have them: ISO 8601, UTC, milliseconds.
pub(crate) mod text_time {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::event::EventTime;

    pub fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    fn parse<E: Error>(text: &str) -> Result<EventTime, E> {
        EventTime::parse(text).ok_or_else(|| E::custom(format!("{text:?} is not an ISO 8601 time")))
    }

    /// The same for a time that may not be known.
    pub(crate) mod option {
        use super::*;

        pub fn serialize<S: Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EventTime>, D::Error> {
            Option::<String>::deserialize(deserializer)?.map(|text| parse(&text)).transpose()
        }
    }
}
