//! Makes the files of a generation: the one before and the committed files since, merged at the same grain.

use std::ops::Range;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::READS;
use super::generation::{FORMAT, Generation, day};
use crate::event::EventTime;
use crate::partial::{Partial, UsersRow};
use crate::store::commit::sha256;
use crate::store::datasets::{
    self, ACTIVE_USERS, AGGREGATES, DAILY, DEAD_LETTERS, EVENT_COUNTS, EVENTS, Kept, ParquetFile,
};
use crate::store::ledger::{Entry, FileRecord, PartitionId};
use crate::store::{Store, StoreError};

const DAY_MS: i64 = 86_400_000;
/// Rows merged at once; a day of more is made in slices, an hour each at the least. Bounds memory.
const ROWS_AT_ONCE: u64 = 2_000_000;

/// A committed file that no generation holds yet.
pub(super) struct RawFile<'a> {
    pub entry: &'a Entry,
    pub file: &'a FileRecord,
}

/// Writes the files of the generation of `date` that follows `before`, and gives it, not yet committed; `None` where one of
/// the files to read has gone: somebody else was first. `raw` is in the order of its partitions.
pub(super) async fn make(
    store: &Store,
    date: &str,
    before: Option<&Generation>,
    raw: &[RawFile<'_>],
    joined_bytes: u64,
    now: EventTime,
) -> Result<Option<Generation>, StoreError> {
    let mut making = Making { store, before, raw, joined_bytes, made: draft(date, before, raw, now) };
    let made = making.all().await;
    let made_all = matches!(made, Ok(true));
    if !made_all {
        abandon(store, &making.made).await;
    }
    made.map(|_| made_all.then_some(making.made))
}

/// Removes the files of a generation that never was; what stays is swept.
pub(super) async fn abandon(store: &Store, generation: &Generation) {
    for file in &generation.files {
        if let Err(error) = store.delete(&Path::from(file.path.as_str())).await {
            tracing::debug!(%error, "a file of compaction stays until the next round");
        }
    }
}

fn draft(date: &str, before: Option<&Generation>, raw: &[RawFile<'_>], now: EventTime) -> Generation {
    let mut made = Generation {
        format: FORMAT,
        ghostlight: env!("CARGO_PKG_VERSION").to_owned(),
        date: date.to_owned(),
        number: before.map_or(1, |before| before.number + 1),
        nonce: uuid::Uuid::new_v4().simple().to_string(),
        supersedes: before.map(|before| before.nonce.clone()),
        committed_at: now,
        users_definition: before.map(|before| before.users_definition.clone()).unwrap_or_default(),
        hll_lg_k: before.map_or(u8::MAX, |before| before.hll_lg_k),
        merged: before.map(|before| before.merged.clone()).unwrap_or_default(),
        files: Vec::new(),
    };
    for RawFile { entry, .. } in raw {
        let definition = &entry.settings.users_definition;
        if !made.users_definition.split(',').any(|known| known == definition) {
            let separator = if made.users_definition.is_empty() { "" } else { "," };
            made.users_definition += &format!("{separator}{definition}");
        }
        made.hll_lg_k = made.hll_lg_k.min(entry.settings.hll_lg_k);
        let merged = made.merged_mut(&entry.partition_id());
        merged.end = merged.end.max(entry.end);
    }
    made
}

struct Making<'a> {
    store: &'a Store,
    before: Option<&'a Generation>,
    raw: &'a [RawFile<'a>],
    joined_bytes: u64,
    made: Generation,
}

/// A file to read, and whose it is; the generation's before are nobody's.
type Input<'a> = (Option<PartitionId>, &'a FileRecord);

impl<'a> Making<'a> {
    /// False where a file has gone.
    async fn all(&mut self) -> Result<bool, StoreError> {
        for dataset in AGGREGATES {
            if !self.aggregate(dataset).await? {
                return Ok(false);
            }
        }
        Ok(self.joined(DEAD_LETTERS).await? && self.joined(EVENTS).await?)
    }

    fn inputs(&self, dataset: &str) -> Vec<Input<'a>> {
        let before = self.before.into_iter().flat_map(|before| &before.files).map(|file| (None, file));
        let raw = self.raw.iter().map(|raw| (Some(raw.entry.partition_id()), raw.file));
        before.chain(raw).filter(|(_, file)| file.dataset == dataset).collect()
    }

    async fn aggregate(&mut self, dataset: &'static str) -> Result<bool, StoreError> {
        let inputs = self.inputs(dataset);
        let slices = slices(&self.made.date, inputs.iter().map(|(_, file)| file.rows).sum());
        let mut by_day = Partial::default();
        for (at, slice) in slices.iter().enumerate() {
            let mut partial = Partial::default();
            let mut reads =
                futures::stream::iter(inputs.iter().map(|(_, file)| read(self.store, file))).buffered(READS);
            for (id, file) in &inputs {
                let Some(Some(bytes)) = reads.try_next().await? else { return Ok(false) };
                let damaged = |problem| StoreError::damaged(&Path::from(file.path.as_str()), problem);
                for batch in datasets::batches(dataset, bytes).map_err(damaged)? {
                    let batch = &batch.map_err(damaged)?;
                    if let Some(id) = id.as_ref().filter(|_| dataset == EVENT_COUNTS && at == 0) {
                        let merged = self.made.merged_mut(id);
                        merged.events += datasets::events_of(batch, &mut merged.tenants).map_err(damaged)?;
                    }
                    let rows = datasets::within(batch, slice).map_err(damaged)?;
                    datasets::absorb_batch(dataset, &rows, &mut partial).map_err(damaged)?;
                }
            }
            drop(reads);
            if dataset == ACTIVE_USERS {
                add_to_day(&mut by_day, &partial, &self.made.date);
            }
            self.put_rows(dataset, &datasets::rows_of(dataset, &partial)).await?;
        }
        if dataset == ACTIVE_USERS {
            self.put_rows(DAILY, &datasets::rows_of(DAILY, &by_day)).await?;
        }
        Ok(true)
    }

    /// Rows that merge with none: as they are, one after another.
    async fn joined(&mut self, dataset: &'static str) -> Result<bool, StoreError> {
        let mut joined = self.file(dataset);
        for (id, file) in self.inputs(dataset) {
            match &id {
                Some(id) => {
                    let merged = self.made.merged_mut(id);
                    match dataset {
                        DEAD_LETTERS => merged.dead_letters += file.rows,
                        _ => merged.event_rows += file.rows,
                    }
                }
                None if file.bytes >= self.joined_bytes => {
                    if !self.take_over(file).await? {
                        return Ok(false);
                    }
                    continue;
                }
                None => {}
            }
            let Some(bytes) = read(self.store, file).await? else { return Ok(false) };
            let damaged = |problem| StoreError::damaged(&Path::from(file.path.as_str()), problem);
            for batch in datasets::batches(dataset, bytes).map_err(damaged)? {
                joined.write(&batch.map_err(damaged)?);
            }
            if joined.length() as u64 >= self.joined_bytes {
                let full = std::mem::replace(&mut joined, self.file(dataset));
                self.put(dataset, full).await?;
            }
        }
        self.put(dataset, joined).await?;
        Ok(true)
    }

    /// Makes a file of the generation before one of this; false where it has gone. Damage stays what `verify` finds.
    async fn take_over(&mut self, file: &FileRecord) -> Result<bool, StoreError> {
        let path = self.made.file_path(&file.dataset, self.made.files.len());
        self.made.files.push(FileRecord { path: path.clone(), ..file.clone() });
        self.store.copy(&Path::from(file.path.as_str()), &Path::from(path)).await
    }

    fn file(&self, dataset: &str) -> ParquetFile {
        ParquetFile::new(dataset, &self.made.users_definition, self.made.hll_lg_k, Kept::Long)
    }

    async fn put_rows(&mut self, dataset: &str, rows: &RecordBatch) -> Result<(), StoreError> {
        let mut file = self.file(dataset);
        file.write(rows);
        self.put(dataset, file).await
    }

    async fn put(&mut self, dataset: &str, file: ParquetFile) -> Result<(), StoreError> {
        let (rows, bytes) = file.finish();
        if rows == 0 {
            return Ok(());
        }
        let path = self.made.file_path(dataset, self.made.files.len());
        let record = FileRecord {
            dataset: dataset.to_owned(),
            path: path.clone(),
            rows,
            bytes: bytes.len() as u64,
            sha256: sha256(&bytes),
        };
        // Before it is written, so that it is removed whatever becomes of the write.
        self.made.files.push(record);
        self.store.put(&Path::from(path), bytes).await
    }
}

/// The day in parts of so few rows each that they fit into memory.
fn slices(date: &str, rows: u64) -> Vec<Range<EventTime>> {
    if rows == 0 {
        return Vec::new();
    }
    let wanted = rows.div_ceil(ROWS_AT_ONCE);
    let count = [1, 2, 3, 4, 6, 8, 12].into_iter().find(|count| *count as u64 >= wanted).unwrap_or(24);
    let begin = day(date).map_or(0, |day| day.start().ms());
    let edge = |at: i64| EventTime::from_ms(begin + at * DAY_MS / count);
    (0..count).map(|at| edge(at)..edge(at + 1)).collect()
}

/// Adds the windows of a day to its one window.
pub(crate) fn add_to_day(by_day: &mut Partial, partial: &Partial, date: &str) {
    let Some(day) = day(date) else { return };
    for row in partial.users() {
        by_day.absorb_users(&UsersRow { window_start: day.start(), window_seconds: (DAY_MS / 1000) as u32, ..row });
    }
}

/// A file, which must be what was recorded of it: damage is not merged into what is good. `None` where it is gone.
pub(crate) async fn read(store: &Store, file: &FileRecord) -> Result<Option<Bytes>, StoreError> {
    let path = Path::from(file.path.as_str());
    let Some(bytes) = store.get_if_there(&path).await? else { return Ok(None) };
    check(file, &bytes).map_err(|problem| StoreError::damaged(&path, problem))?;
    Ok(Some(bytes))
}

/// Whether these are the bytes that were recorded.
pub(crate) fn check(file: &FileRecord, bytes: &Bytes) -> Result<(), &'static str> {
    match bytes.len() as u64 == file.bytes && sha256(bytes) == file.sha256 {
        true => Ok(()),
        false => Err(ALTERED),
    }
}

const ALTERED: &str = "altered: its size or SHA-256 is not what was recorded";

/// The same of a file that nobody wants to hold as a whole; false where it is gone.
#[cfg(feature = "query")]
pub(crate) async fn check_file(store: &Store, file: &FileRecord) -> Result<bool, StoreError> {
    use crate::store::commit::hexadecimal;
    use sha2::{Digest, Sha256};
    const PART: u64 = 8 << 20;
    let path = Path::from(file.path.as_str());
    let mut digest = Sha256::new();
    for begin in (0..file.bytes).step_by(PART as usize) {
        let (part, size) = match store.get_part(&path, begin..file.bytes.min(begin + PART)).await {
            Err(error) if error.is_not_found() => return Ok(false),
            found => found?,
        };
        if size != file.bytes {
            return Err(StoreError::damaged(&path, ALTERED));
        }
        digest.update(&part);
    }
    match hexadecimal(&digest.finalize()) == file.sha256 {
        true => Ok(true),
        false => Err(StoreError::damaged(&path, ALTERED)),
    }
}
