//! `_current/`: for each dataset exactly the files to read, each committed row in one of them, and views for DuckDB.
//!
//! Derived, and written anew whenever it changes: losing it, or an older one for a while, loses nothing.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::merge::RawFile;
use super::{CompactSettings, Compactor};
use crate::store::datasets::DATASETS;
use crate::store::ledger::{FileRecord, PartitionId, to_json};
use crate::store::{Store, StoreError};

pub const FORMAT: u32 = 1;

/// What to read of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub format: u32,
    pub dataset: String,
    /// The generation of each day that files are of.
    pub generations: BTreeMap<String, u64>,
    /// Up to where of each partition the rows are in the files; `daily` may lack the last hour of it.
    pub through: Vec<Through>,
    pub files: Vec<FileRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    pub source: String,
    pub incarnation: String,
    pub partition: String,
    pub end: u64,
}

impl Through {
    pub fn partition_id(&self) -> PartitionId {
        PartitionId::new(&self.source, &self.incarnation, &self.partition)
    }
}

impl Current {
    /// Committed files of a dataset that no generation holds, so that `daily` lacks their rows.
    pub fn not_merged(&self) -> usize {
        self.files.iter().filter(|file| !file.path.starts_with("_compacted/")).count()
    }

    fn path(dataset: &str) -> Path {
        Path::from(format!("_current/{dataset}.json"))
    }

    /// `None` where nothing was compacted yet.
    pub async fn read(store: &Store, dataset: &str) -> Result<Option<Self>, StoreError> {
        let path = Self::path(dataset);
        let Some(bytes) = store.get_if_there(&path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::damaged(&path, error))
    }

    pub(crate) fn views_path() -> Path {
        Path::from("_current/views.sql")
    }

    /// Whether a text is the views of these lists, wherever their files were when it was written.
    pub(crate) fn are_views(lists: &[Self], text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else { return false };
        let first = lists.iter().flat_map(|current| &current.files).next();
        let base = match first {
            None => Some(String::new()),
            Some(file) => text.split_once("\n    '").and_then(|(_, rest)| {
                let (base, _) = rest.split_once(&format!("/{}'", file.path.replace('\'', "''")))?;
                Some(base.replace("''", "'"))
            }),
        };
        base.is_some_and(|base| views(&base, lists) == text)
    }

    /// The problems of a list by itself and against the generations it names; empty where there are none.
    pub(crate) fn problems(&self, of: impl Fn(&str, u64) -> Option<BTreeSet<String>>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for file in self.files.iter().filter(|file| !seen.insert(&file.path)) {
            problems.push(format!("{} is named twice", file.path));
        }
        let named = |path: &&FileRecord| path.path.starts_with("_compacted/");
        let compacted: BTreeSet<_> = self.files.iter().filter(named).map(|file| file.path.clone()).collect();
        let mut expected = BTreeSet::new();
        for (date, number) in &self.generations {
            match of(date, *number) {
                Some(files) => expected.extend(files),
                // Superseded: what it named cannot be told any more.
                None => return problems,
            }
        }
        if compacted != expected {
            problems.push("it does not name the files of the generations it names".to_owned());
        }
        problems
    }
}

/// What there is to read of each dataset at this moment, as `_current/` would say it; nothing is written. A file that is
/// lost is an error: without it its whole commit, and all after it, would be missing in silence.
pub async fn current(store: &Store) -> Result<Vec<Current>, StoreError> {
    let mut compactor = Compactor::new(store.clone(), CompactSettings::default());
    match compactor.look().await? {
        Some(path) => Err(StoreError::lost(&path)),
        None => Ok(compactor.current()),
    }
}

impl Compactor {
    /// Says what to read now. Whoever slept before a write finds newer generations after it, and writes again.
    pub(super) async fn write_current(&mut self) -> Result<(), StoreError> {
        loop {
            let before = self.generations.coverage();
            let all = self.current();
            for current in &all {
                write_if_changed(&self.store, &Current::path(&current.dataset), to_json(current)).await?;
            }
            let views = views(&base_of(self.store.location()), &all);
            write_if_changed(&self.store, &Current::views_path(), views.into_bytes().into()).await?;
            self.refresh_generations().await?;
            if self.generations.coverage() == before {
                return Ok(());
            }
        }
    }

    fn current(&self) -> Vec<Current> {
        let through = |(id, end): (&super::PartitionId, u64)| Through {
            source: id.source.clone(),
            incarnation: id.incarnation.clone(),
            partition: id.partition.clone(),
            end,
        };
        let end = |chain: &super::Chain| chain.visible().last().map_or(chain.begin(), |entry| entry.end);
        let through: Vec<_> = self.chains.iter().map(|(id, chain)| through((id, end(chain)))).collect();
        let raw = self.raw_files();
        let of_dataset = |dataset: &str| {
            let is_its = |file: &&FileRecord| file.dataset == dataset;
            let compacted = self.generations.winners().flat_map(|generation| &generation.files);
            let raw = raw.iter().map(|RawFile { file, .. }| *file);
            let winners = self.generations.winners();
            Current {
                format: FORMAT,
                dataset: dataset.to_owned(),
                generations: winners.map(|generation| (generation.date.clone(), generation.number)).collect(),
                through: through.clone(),
                files: compacted.filter(is_its).chain(raw.filter(is_its)).cloned().collect(),
            }
        };
        DATASETS.into_iter().map(of_dataset).collect()
    }
}

async fn write_if_changed(store: &Store, path: &Path, bytes: bytes::Bytes) -> Result<(), StoreError> {
    match store.get_if_there(path).await? {
        Some(there) if there == bytes => Ok(()),
        _ => store.put(path, bytes).await,
    }
}

/// Where files are, for whoever starts elsewhere.
fn base_of(location: &str) -> String {
    match location.starts_with("s3://") {
        true => location.to_owned(),
        false => std::path::absolute(location).map_or(location.to_owned(), |path| path.display().to_string()),
    }
}

/// A view a dataset, for DuckDB.
fn views(base: &str, all: &[Current]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut sql =
        "-- What to read of each dataset: every row once that was committed when ghostlight last looked for something to\n\
         -- compact. Read it again before each session, since files it names go some time after they are replaced.\n"
            .to_owned();
    for Current { dataset, files, .. } in all {
        if files.is_empty() {
            sql += &format!("\n-- {dataset} has no rows yet.\n");
            continue;
        }
        let paths: Vec<_> = files.iter().map(|file| quoted(&format!("{base}/{}", file.path))).collect();
        let list = paths.join(",\n    ");
        sql += &format!(
            "\nCREATE OR REPLACE VIEW {dataset} AS SELECT * FROM read_parquet([\n    {list}\n], hive_partitioning = true);\n"
        );
    }
    sql
}
