//! A generation: what holds of one day's rows, as one entry that is put if absent.
//!
//! `_generations/date=…/<number>.json`, the greatest number of a day is its *winner*. A generation is made from the one
//! before and the committed files that came since, so it holds all that any before it held. Its files lie under
//! `_compacted/` until newer ones have settled, and are never changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::READS;
use crate::event::{Day, EventTime};
use crate::partial::is_zero;
use crate::store::ledger::{FileRecord, PartitionId, text_time, to_json};
use crate::store::{Created, Store, StoreError};

/// The format that this version writes.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    pub format: u32,
    /// The version that wrote it.
    pub ghostlight: String,
    pub date: String,
    /// Counts from 1.
    pub number: u64,
    pub nonce: String,
    /// The nonce of the generation it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    #[serde(with = "text_time")]
    pub committed_at: EventTime,
    /// Which events make a user an active one; several, by comma, where the setting changed.
    pub users_definition: String,
    pub hll_lg_k: u8,
    /// What it holds, sorted by partition.
    pub merged: Vec<Merged>,
    pub files: Vec<FileRecord>,
}

/// What of one partition a generation holds: every row of the day in its entries up to `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    pub source: String,
    pub incarnation: String,
    pub partition: String,
    pub end: u64,
    /// The events of the day in `event_counts`, and its rows in `dead_letters`: so that sums can still be proven.
    pub events: u64,
    pub dead_letters: u64,
    /// Its rows in `events`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub event_rows: u64,
    /// Whose events it had that day.
    pub tenants: BTreeSet<String>,
}

impl Merged {
    pub(super) fn of(id: &PartitionId) -> Self {
        let PartitionId { source, incarnation, partition } = id.clone();
        Self {
            source,
            incarnation,
            partition,
            end: 0,
            events: 0,
            dead_letters: 0,
            event_rows: 0,
            tenants: BTreeSet::new(),
        }
    }

    pub fn partition_id(&self) -> PartitionId {
        PartitionId::new(&self.source, &self.incarnation, &self.partition)
    }
}

impl Generation {
    pub(crate) fn path(date: &str, number: u64) -> Path {
        Path::from(format!("_generations/date={date}/{number:010}.json"))
    }

    /// Says that a day's folders hold the copies of a generation: written once they do, removed before they go.
    pub(crate) fn switched_path(date: &str, number: u64) -> Path {
        Path::from(format!("_generations/date={date}/{number:010}.switched"))
    }

    /// Where file `at` lies for readers of `_current/`, from before the generation is committed.
    pub(super) fn file_path(&self, dataset: &str, at: usize) -> String {
        format!("_compacted/{dataset}/date={}/{:010}-{}-{at}.parquet", self.date, self.number, self.nonce)
    }

    /// Whether it holds the rows of an entry of `id` that ends at `end`.
    pub fn holds(&self, id: &PartitionId, end: u64) -> bool {
        let at = self.merged.binary_search_by(|merged| key(merged).cmp(&key_of(id)));
        at.is_ok_and(|at| self.merged[at].end >= end)
    }

    /// The place of a partition in `merged`, made if needed.
    pub(super) fn merged_mut(&mut self, id: &PartitionId) -> &mut Merged {
        let at = match self.merged.binary_search_by(|merged| key(merged).cmp(&key_of(id))) {
            Ok(at) => at,
            Err(at) => {
                self.merged.insert(at, Merged::of(id));
                at
            }
        };
        &mut self.merged[at]
    }

    pub(super) async fn create(&self, store: &Store) -> Result<Created, StoreError> {
        store.create(&Self::path(&self.date, self.number), to_json(self)).await
    }
}

fn key(merged: &Merged) -> (&str, &str, &str) {
    (&merged.source, &merged.incarnation, &merged.partition)
}

fn key_of(id: &PartitionId) -> (&str, &str, &str) {
    (&id.source, &id.incarnation, &id.partition)
}

pub(super) fn day(date: &str) -> Option<Day> {
    EventTime::parse(&format!("{date}T00:00:00Z")).map(Day::of)
}

/// Where a copy of a generation's file lies for readers by glob, once the day is switched to it.
pub fn published_path(hidden: &str) -> Option<String> {
    let (folder, name) = hidden.strip_prefix("_compacted/")?.rsplit_once('/')?;
    Some(format!("{folder}/compacted-{name}"))
}

/// The date, number and nonce in a path under `_compacted/`, or of a published copy.
pub(super) fn parse_file_path(path: &str) -> Option<(String, u64, String)> {
    let (folder, name) = path.rsplit_once('/')?;
    let name = match path.starts_with("_compacted/") {
        true => name,
        false => name.strip_prefix("compacted-")?,
    };
    let date = folder.rsplit_once("date=")?.1.to_owned();
    let mut parts = name.split('-');
    Some((date, parts.next()?.parse().ok()?, parts.next()?.to_owned()))
}

/// The generations of each day, from the oldest that is whole to the winner.
#[derive(Default)]
pub struct Generations {
    days: BTreeMap<String, BTreeMap<u64, Arc<Generation>>>,
    switched: BTreeSet<(String, u64)>,
}

impl Generations {
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let mut generations = Self::default();
        generations.refresh(store, "_generations").await?;
        Ok(generations)
    }

    /// The winner of one day.
    pub(crate) async fn winner_of(store: &Store, date: &str) -> Result<Option<Arc<Generation>>, StoreError> {
        let mut generations = Self::default();
        generations.refresh(store, &format!("_generations/date={date}")).await?;
        Ok(generations.winner(date).cloned())
    }

    /// Reads those that are new under `folder`. They are never changed, so what is known needs no look.
    pub(super) async fn refresh(&mut self, store: &Store, folder: &str) -> Result<(), StoreError> {
        'again: loop {
            let mut days: BTreeMap<String, BTreeMap<u64, Arc<Generation>>> = BTreeMap::new();
            let mut unknown = Vec::new();
            let mut switched = BTreeSet::new();
            for object in store.list(folder).await? {
                let Some((date, number)) = parse_path(&object.location, ".json") else {
                    switched.extend(parse_path(&object.location, ".switched"));
                    continue;
                };
                let known = self.days.get(&date).and_then(|day| day.get(&number));
                let day = days.entry(date).or_default();
                match known {
                    Some(known) => _ = day.insert(number, known.clone()),
                    None => unknown.push(object.location),
                }
            }
            let reads = unknown.into_iter().map(|path| read_owned(store.clone(), path));
            let read: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
            for generation in read {
                // Superseded and removed since.
                let Some(generation) = generation else { continue 'again };
                days.entry(generation.date.clone()).or_default().insert(generation.number, Arc::new(generation));
            }
            for day in days.values_mut() {
                keep_chain(day);
            }
            (self.days, self.switched) = (days, switched);
            return Ok(());
        }
    }

    pub fn winner(&self, date: &str) -> Option<&Arc<Generation>> {
        self.days.get(date)?.values().next_back()
    }

    pub fn winners(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.days.values().filter_map(|day| day.values().next_back())
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.days.values().flat_map(BTreeMap::values)
    }

    pub(super) fn nonce(&self, date: &str, number: u64) -> Option<&str> {
        Some(&self.days.get(date)?.get(&number)?.nonce)
    }

    /// The newest of a day that no reader may still be without: committed no later than `until`.
    pub(super) fn settled(&self, date: &str, until: EventTime) -> Option<&Arc<Generation>> {
        self.days.get(date)?.values().rev().find(|generation| generation.committed_at <= until)
    }

    /// Those whose copies a day's folders were said to hold when it was listed.
    pub(crate) fn switched(&self) -> impl Iterator<Item = &(String, u64)> {
        self.switched.iter()
    }

    /// An error if a day's generation is gone of which it is said that its copies are there: whoever reads would take the day for
    /// one without events.
    pub(crate) async fn refuse_lost(&self, store: &Store) -> Result<(), StoreError> {
        for (date, number) in &self.switched {
            let is_there = |winner: &Arc<Generation>| winner.number >= *number;
            if !self.winner(date).is_some_and(is_there)
                && !Self::winner_of(store, date).await?.as_ref().is_some_and(is_there)
                && store.exists(&Generation::switched_path(date, *number)).await?
            {
                return Err(StoreError::lost(&Generation::path(date, *number)));
            }
        }
        Ok(())
    }

    /// An error if they hold less of a partition than they must, by what was read of it before: what its retired entries counted,
    /// and those of which no file is outside. So a day is missed of which nothing is left.
    pub(crate) fn refuse_less(&self, id: &PartitionId, counted: u64) -> Result<(), StoreError> {
        let of_id = |generation: &Arc<Generation>| {
            let at = generation.merged.binary_search_by(|merged| key(merged).cmp(&key_of(id)));
            at.map_or(0, |at| generation.merged[at].events)
        };
        let held = self.winners().map(of_id).fold(0, u64::saturating_add);
        match held < counted {
            true => Err(lost_day(id, held, counted)),
            false => Ok(()),
        }
    }

    pub(super) fn dates(&self) -> Vec<String> {
        self.days.keys().cloned().collect()
    }

    /// How far each day holds what.
    pub fn coverage(&self) -> Coverage {
        let of = |generation: &Arc<Generation>| {
            let ends = generation.merged.iter().map(|merged| (merged.partition_id(), merged.end)).collect();
            (generation.date.clone(), ends)
        };
        Coverage { days: self.winners().map(of).collect() }
    }
}

/// That a day's generation is gone, by what the others hold of a partition.
pub(crate) fn lost_day(id: &PartitionId, held: u64, counted: u64) -> StoreError {
    let what = format!("a day's file under _generations/ (they hold {held} events of {id}, of at least {counted})");
    StoreError::Lost { path: what }
}

/// Only what is without a gap up to the winner: what lies below one was written by somebody who woke up late.
fn keep_chain(day: &mut BTreeMap<u64, Arc<Generation>>) {
    let mut wanted = day.keys().next_back().copied();
    while let Some(number) = wanted.filter(|number| day.contains_key(number)) {
        wanted = number.checked_sub(1);
    }
    if let Some(missing) = wanted {
        day.retain(|number, _| *number > missing);
    }
}

fn parse_path(path: &Path, kind: &str) -> Option<(String, u64)> {
    let (folder, name) = path.as_ref().rsplit_once('/')?;
    let date = folder.strip_prefix("_generations/date=")?;
    Some((date.to_owned(), name.strip_suffix(kind)?.parse().ok()?))
}

async fn read(store: &Store, path: &Path) -> Result<Option<Generation>, StoreError> {
    let Some(bytes) = store.get_if_there(path).await? else { return Ok(None) };
    let generation: Generation = serde_json::from_slice(&bytes).map_err(|error| StoreError::damaged(path, error))?;
    if generation.format > FORMAT {
        return Err(StoreError::Newer { path: path.to_string(), found: generation.format, known: FORMAT });
    }
    if Generation::path(&generation.date, generation.number) != *path {
        return Err(StoreError::damaged(
            path,
            format!("it is generation {} of {}", generation.number, generation.date),
        ));
    }
    generation.files.iter().try_for_each(FileRecord::check).map_err(|problem| StoreError::damaged(path, problem))?;
    // Whoever sweeps goes by these.
    let is_its = |file: &&FileRecord| {
        parse_file_path(&file.path).is_some_and(|(date, number, nonce)| {
            (date.as_str(), number, nonce.as_str())
                == (generation.date.as_str(), generation.number, generation.nonce.as_str())
        })
    };
    if let Some(file) = generation.files.iter().find(|file| !is_its(file)) {
        let problem = format!("{} is not a file of generation {} with its nonce", file.path, generation.number);
        return Err(StoreError::damaged(path, problem));
    }
    Ok(Some(generation))
}

async fn read_owned(store: Store, path: Path) -> Result<Option<Generation>, StoreError> {
    read(&store, &path).await
}

/// Reads one generation, wherever its chain is.
pub(super) async fn read_at(store: &Store, date: &str, number: u64) -> Result<Option<Generation>, StoreError> {
    read(store, &Generation::path(date, number)).await
}

/// Up to which position of each partition the rows of a day are in its winner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    days: HashMap<String, HashMap<PartitionId, u64>>,
}

impl Coverage {
    /// Whether the rows of a file of an entry that ends at `end` are in its day's generation.
    pub fn holds(&self, id: &PartitionId, end: u64, file: &FileRecord) -> bool {
        let of_day = file.date().and_then(|date| self.days.get(date));
        of_day.and_then(|day| day.get(id)).is_some_and(|held| *held >= end)
    }

    pub fn has(&self, date: &str) -> bool {
        self.days.contains_key(date)
    }

    pub fn add(&mut self, generation: &Generation) {
        let ends = generation.merged.iter().map(|merged| (merged.partition_id(), merged.end)).collect();
        self.days.insert(generation.date.clone(), ends);
    }
}
