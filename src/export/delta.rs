//! The datasets as Delta Lake tables, a folder each: copies of the files that are current, and a log that names them.
//!
//! An export makes a table's files those `_current/` would name, in one commit: what is not in the table yet is added, what
//! compaction replaced is removed. Files are copied before they are named, under names that never mean other bytes, and a
//! commit is a put-if-absent of the next version, so who is interrupted, or comes second, begins again and loses nothing.
//! Removed files stay where they are, for readers of older versions, until VACUUM takes them. A file of the table that is
//! gone, or has another size, is copied again.
//!
//! The log is the one of <https://github.com/delta-io/delta/blob/master/PROTOCOL.md>, reader version 1 and writer version 2:
//! what every engine reads. It has no checkpoints of ours, and asks those who write some to keep the commits before.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Schema};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::EventTime;
use crate::store::commit::sha256;
use crate::store::compact::{self, Current, published_path};
use crate::store::ledger::FileRecord;
use crate::store::{Created, Store, StoreError, datasets};

/// Files copied at the same time.
const COPIES: usize = 8;
/// How often it is begun again after files were removed, or others exported, meanwhile.
const TRIES: usize = 5;
/// Of a table's configuration: where its rows come from.
const SOURCE: &str = "ghostlight.data";
const READER_VERSION: u32 = 1;
const WRITER_VERSION: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{location}: no ledger, so nothing ghostlight wrote")]
    Nothing { location: String },
    #[error(
        "the Delta table {table}: {problem}; export to an empty place, or one that only `ghostlight export` writes"
    )]
    Table { table: String, problem: String },
    #[error(
        "the Delta table {table} is of {of}, not of {location}: its rows would be replaced. Export to another place, also if \
         the same data moved"
    )]
    Foreign { table: String, of: String, location: String },
    #[error("the Delta table {table}: others committed to it {TRIES} times meanwhile; export again")]
    Overtaken { table: String },
}

/// What an export made of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub dataset: String,
    /// The table's version from now on.
    pub version: u64,
    pub is_changed: bool,
    /// Files.
    pub added: usize,
    pub removed: usize,
    /// Files that the table has, and that were no longer there.
    pub restored: usize,
    /// Committed files of it that are not compacted yet.
    pub not_merged: usize,
}

/// Brings the tables at `tables` up to what is current in `store`.
pub async fn export(store: &Store, tables: &Store, now: impl Fn() -> EventTime) -> Result<Vec<Exported>, DeltaError> {
    let mut all = current(store).await?;
    let mut exported = Vec::new();
    for at in 0..all.len() {
        let mut tries = 1;
        exported.push(loop {
            match export_table(store, tables, &all[at], &now).await {
                Ok(Some(table)) => break table,
                Ok(None) if tries == TRIES => return Err(DeltaError::Overtaken { table: all[at].dataset.clone() }),
                // Another export was first.
                Ok(None) => {}
                // Compaction was, and holds the rows elsewhere.
                Err(DeltaError::Store(error)) if error.is_not_found() && tries < TRIES => {}
                Err(error) => return Err(error),
            }
            tries += 1;
            all = current(store).await?;
        });
    }
    Ok(exported)
}

async fn current(store: &Store) -> Result<Vec<Current>, DeltaError> {
    let all = compact::current(store).await?;
    match all.iter().all(|current| current.through.is_empty()) {
        true => Err(DeltaError::Nothing { location: store.location().to_owned() }),
        false => Ok(all),
    }
}

/// `None` where the version was committed by another.
async fn export_table(
    store: &Store,
    tables: &Store,
    current: &Current,
    now: &impl Fn() -> EventTime,
) -> Result<Option<Exported>, DeltaError> {
    let dataset = current.dataset.as_str();
    let schema = schema_text(dataset)?;
    let table = Table::read(tables, dataset, &schema).await?;
    let location = source_of(store);
    if table.version.is_some() && table.source.as_deref() != Some(&location) {
        let of = table.source.unwrap_or_else(|| "somebody else's making".to_owned());
        return Err(DeltaError::Foreign { table: format!("{}/{dataset}", tables.location()), of, location });
    }
    let wanted: BTreeMap<String, &FileRecord> =
        current.files.iter().map(|file| Ok((path_within(dataset, file)?, file))).collect::<Result<_, DeltaError>>()?;
    let new: Vec<_> = wanted.iter().filter(|(path, _)| !table.files.contains_key(*path)).collect();
    let old: Vec<_> = table.files.iter().filter(|(path, _)| !wanted.contains_key(*path)).collect();
    let present: BTreeMap<String, u64> =
        tables.list(dataset).await?.into_iter().map(|object| (object.location.to_string(), object.size)).collect();
    let is_gone = |(path, file): &(&String, &&FileRecord)| {
        table.files.contains_key(*path) && present.get(&format!("{dataset}/{path}")) != Some(&file.bytes)
    };
    let gone: Vec<_> = wanted.iter().filter(is_gone).collect();
    let exported = |version, is_changed| Exported {
        dataset: dataset.to_owned(),
        version,
        is_changed,
        added: new.len(),
        removed: old.len(),
        restored: gone.len(),
        not_merged: current.not_merged(),
    };
    let copies = new.iter().chain(&gone);
    let copies = copies.map(|(path, file)| copy(store, tables, file, Path::from(format!("{dataset}/{path}"))));
    futures::stream::iter(copies).buffer_unordered(COPIES).try_collect::<()>().await?;
    if let (Some(version), true, true) = (table.version, new.is_empty(), old.is_empty()) {
        return Ok(Some(exported(version, false)));
    }

    let at = now().ms();
    let mut actions = vec![json!({ "commitInfo": {
        "timestamp": at,
        "operation": "WRITE",
        "operationParameters": { "mode": if old.is_empty() { "Append" } else { "Overwrite" } },
        "engineInfo": concat!("ghostlight/", env!("CARGO_PKG_VERSION")),
    }})];
    if table.version.is_none() {
        actions.push(json!({ "protocol": { "minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION } }));
        actions.push(json!({ "metaData": {
            "id": uuid::Uuid::new_v4().to_string(),
            "name": dataset,
            "format": { "provider": "parquet", "options": {} },
            "schemaString": schema,
            "partitionColumns": ["date"],
            "configuration": { "delta.enableExpiredLogCleanup": "false", SOURCE: location },
            "createdTime": at,
        }}));
    }
    actions.extend(new.iter().map(|(path, file)| json!({ "add": Add::new(path, file, at) })));
    actions.extend(old.iter().map(|(path, add)| {
        json!({ "remove": {
            "path": encoded(path),
            "deletionTimestamp": at,
            // Also where the same rows stand in other files: whoever follows the table as a stream would take them for new.
            "dataChange": true,
            "extendedFileMetadata": true,
            "partitionValues": add.partition_values,
            "size": add.size,
        }})
    }));
    let lines: String = actions.iter().map(|action| format!("{action}\n")).collect();
    let version = table.version.map_or(0, |version| version + 1);
    Ok(match tables.create(&commit_path(dataset, version), lines.into_bytes().into()).await? {
        Created::Now => Some(exported(version, true)),
        Created::Exists => None,
    })
}

/// Where a store is, the same from whichever folder it is asked.
fn source_of(store: &Store) -> String {
    let location = store.location();
    match location.starts_with("s3://") {
        true => location.to_owned(),
        false => std::path::Path::new(location)
            .canonicalize()
            .map_or_else(|_| location.to_owned(), |folder| folder.display().to_string()),
    }
}

async fn copy(store: &Store, tables: &Store, file: &FileRecord, to: Path) -> Result<(), DeltaError> {
    let from = Path::from(file.path.as_str());
    let bytes = store.get(&from).await?;
    if sha256(&bytes) != file.sha256 {
        return Err(StoreError::damaged(&from, "its SHA-256 is not the one committed").into());
    }
    match datasets::rows(bytes.clone()) {
        Ok(rows) if rows == file.rows => Ok(tables.put(&to, bytes).await?),
        Ok(rows) => {
            let problem = format!("it has {rows} rows, and {} were recorded of it", file.rows);
            Err(StoreError::damaged(&from, problem).into())
        }
        Err(problem) => Err(StoreError::damaged(&from, problem).into()),
    }
}

/// Where a file lies in its table: its name says which commit or generation it is of.
fn path_within(dataset: &str, file: &FileRecord) -> Result<String, DeltaError> {
    let published = published_path(&file.path).unwrap_or_else(|| file.path.clone());
    match published.strip_prefix(dataset).and_then(|rest| rest.strip_prefix("/date=")) {
        Some(rest) => Ok(Path::from(format!("date={rest}")).to_string()),
        None => Err(StoreError::damaged(&Path::from(file.path.as_str()), "it has no day in its path").into()),
    }
}

fn commit_path(dataset: &str, version: u64) -> Path {
    Path::from(format!("{dataset}/_delta_log/{version:020}.json"))
}

/// What the log says, up to a version.
#[derive(Default)]
struct Table {
    /// `None` where there is no table yet.
    version: Option<u64>,
    /// By path.
    files: BTreeMap<String, Add>,
    schema: Option<Value>,
    source: Option<String>,
}

/// A line of the log; what else there may be changes neither which files there are nor how they are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    protocol: Option<Protocol>,
    meta_data: Option<MetaData>,
    add: Option<Add>,
    remove: Option<Remove>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protocol {
    min_reader_version: u32,
    min_writer_version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaData {
    schema_string: String,
    #[serde(default)]
    configuration: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    partition_values: BTreeMap<String, Option<String>>,
    size: u64,
    modification_time: i64,
    data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stats: Option<String>,
}

#[derive(Deserialize)]
struct Remove {
    path: String,
}

impl Add {
    fn new(path: &str, file: &FileRecord, at: i64) -> Self {
        Self {
            path: encoded(path),
            partition_values: BTreeMap::from([("date".to_owned(), file.date().map(str::to_owned))]),
            size: file.bytes,
            modification_time: at,
            data_change: true,
            stats: Some(json!({ "numRecords": file.rows }).to_string()),
        }
    }
}

impl Table {
    async fn read(tables: &Store, dataset: &str, schema: &str) -> Result<Self, DeltaError> {
        let folder = format!("{dataset}/_delta_log");
        let names = tables.list(&folder).await?;
        let version_of = |path: &Path| path.filename()?.strip_suffix(".json")?.parse::<u64>().ok();
        let versions: BTreeSet<_> = names.iter().filter_map(|object| version_of(&object.location)).collect();
        let mut table = Self::default();
        let wrong = |problem: String| DeltaError::Table { table: format!("{}/{dataset}", tables.location()), problem };
        if versions.is_empty() {
            return match names.first() {
                Some(object) => Err(wrong(format!("{} is there, but no commit", object.location))),
                None => Ok(table),
            };
        }
        if let Some((missing, _)) = (0..).zip(&versions).find(|(expected, version)| expected != *version) {
            return Err(wrong(format!("version {missing} is missing in its log")));
        }
        let reads = versions.iter().map(|version| {
            let path = commit_path(dataset, *version);
            async move { Ok::<_, DeltaError>((*version, tables.get(&path).await?)) }
        });
        let mut reads = futures::stream::iter(reads).buffered(COPIES);
        while let Some((version, bytes)) = reads.try_next().await? {
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let action = serde_json::from_slice(line)
                    .map_err(|error| wrong(format!("version {version} cannot be read: {error}")))?;
                table.take(action).map_err(|problem| wrong(format!("version {version} {problem}")))?;
            }
            table.version = Some(version);
        }
        if table.schema != serde_json::from_str(schema).ok() {
            return Err(wrong("its columns are not those of this dataset and version".to_owned()));
        }
        Ok(table)
    }

    fn take(&mut self, action: Action) -> Result<(), String> {
        if let Some(Protocol { min_reader_version, min_writer_version }) = action.protocol
            && (min_reader_version, min_writer_version) != (READER_VERSION, WRITER_VERSION)
        {
            return Err(format!("asks for reader {min_reader_version} and writer {min_writer_version}"));
        }
        if let Some(meta_data) = action.meta_data {
            self.schema = serde_json::from_str(&meta_data.schema_string).ok();
            self.source = meta_data.configuration.get(SOURCE).cloned();
        }
        if let Some(Remove { path }) = action.remove {
            self.files.remove(&decoded(&path));
        }
        if let Some(add) = action.add {
            self.files.insert(decoded(&add.path), add);
        }
        Ok(())
    }
}

/// Paths in a log are those of URIs.
fn encoded(path: &str) -> String {
    const KEPT: AsciiSet =
        NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'=').remove(b'/');
    utf8_percent_encode(path, &KEPT).to_string()
}

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn schema_text(dataset: &str) -> Result<String, DeltaError> {
    let wrong = |problem: String| DeltaError::Table { table: dataset.to_owned(), problem };
    let schema = datasets::schema(dataset).ok_or_else(|| wrong("no dataset is called so".to_owned()))?;
    Ok(delta_schema(&schema).map_err(wrong)?.to_string())
}

/// The columns in the words of Delta, with the day behind them.
fn delta_schema(schema: &Schema) -> Result<Value, String> {
    let field = |name: &str, kind: &str, nullable: bool| json!({ "name": name, "type": kind, "nullable": nullable, "metadata": {} });
    let columns = schema.fields().iter().map(|column| {
        let kind = match column.data_type() {
            DataType::Utf8 => "string",
            DataType::Binary => "binary",
            DataType::Boolean => "boolean",
            DataType::Int32 => "integer",
            DataType::Int64 => "long",
            DataType::Float64 => "double",
            DataType::Timestamp(_, Some(_)) => "timestamp",
            other => return Err(format!("column {} is a {other}, which no Delta type is known for", column.name())),
        };
        Ok(field(column.name(), kind, column.is_nullable()))
    });
    let fields: Vec<_> = columns.chain([Ok(field("date", "date", false))]).collect::<Result<_, _>>()?;
    Ok(json!({ "type": "struct", "fields": fields }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_has_a_schema_in_delta() {
        for dataset in datasets::DATASETS {
            let schema: Value = serde_json::from_str(&schema_text(dataset).expect("a schema")).expect("JSON");
            let columns = datasets::schema(dataset).expect("a dataset").fields().len();
            assert_eq!(schema["fields"].as_array().map(Vec::len), Some(columns + 1), "{dataset}");
        }
    }

    #[test]
    fn paths_are_uris_in_the_log() {
        let path = "date=2026-11-01/kafka.a-0-α %.parquet";
        assert_eq!(encoded(path), "date=2026-11-01/kafka.a-0-%CE%B1%20%25.parquet");
        assert_eq!(decoded(&encoded(path)), path);
    }
}
