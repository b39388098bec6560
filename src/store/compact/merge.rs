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
use crate::store::datasets::{self, ACTIVE_USERS, AGGREGATES, DAILY, DEAD_LETTERS, EVENT_COUNTS};
use crate::store::ledger::{Entry, FileRecord, PartitionId};
use crate::store::{Store, StoreError};

const DAY_MS: i64 = 86_400_000;
/// Rows merged at once; a day of more is made in slices, an hour each at the least. Bounds memory.
const ROWS_AT_ONCE: u64 = 2_000_000;
/// About how many bytes of dead letters one file takes.
const DEAD_LETTER_BYTES: usize = 64 << 20;

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
    now: EventTime,
) -> Result<Option<Generation>, StoreError> {
    let mut making = Making { store, before, raw, made: draft(date, before, raw, now) };
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
        self.dead_letters().await
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
                let Some(Some(batches)) = reads.try_next().await? else { return Ok(false) };
                for batch in &batches {
                    let damaged = |problem| StoreError::damaged(&Path::from(file.path.as_str()), problem);
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
            self.put(dataset, &[datasets::rows_of(dataset, &partial)]).await?;
        }
        if dataset == ACTIVE_USERS {
            self.put(DAILY, &[datasets::rows_of(DAILY, &by_day)]).await?;
        }
        Ok(true)
    }

    /// As they are, one after another.
    async fn dead_letters(&mut self) -> Result<bool, StoreError> {
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        for (id, file) in self.inputs(DEAD_LETTERS) {
            let Some(batches) = read(self.store, file).await? else { return Ok(false) };
            if let Some(id) = &id {
                self.made.merged_mut(id).dead_letters += file.rows;
            }
            bytes += batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
            waiting.extend(batches);
            if bytes >= DEAD_LETTER_BYTES {
                self.put(DEAD_LETTERS, &std::mem::take(&mut waiting)).await?;
                bytes = 0;
            }
        }
        self.put(DEAD_LETTERS, &waiting).await?;
        Ok(true)
    }

    async fn put(&mut self, dataset: &str, batches: &[RecordBatch]) -> Result<(), StoreError> {
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if rows == 0 {
            return Ok(());
        }
        let bytes = datasets::to_parquet(batches, &self.made.users_definition, self.made.hll_lg_k);
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

/// The rows of a file, which must be what was recorded of it: damage is not merged into what is good.
async fn read(store: &Store, file: &FileRecord) -> Result<Option<Vec<RecordBatch>>, StoreError> {
    let path = Path::from(file.path.as_str());
    let Some(bytes) = store.get_if_there(&path).await? else { return Ok(None) };
    check(file, &bytes).map_err(|problem| StoreError::damaged(&path, problem))?;
    datasets::read(&file.dataset, bytes).map(Some).map_err(|problem| StoreError::damaged(&path, problem))
}

/// Whether these are the bytes that were recorded.
pub(crate) fn check(file: &FileRecord, bytes: &Bytes) -> Result<(), &'static str> {
    match bytes.len() as u64 == file.bytes && sha256(bytes) == file.sha256 {
        true => Ok(()),
        false => Err("altered: its size or SHA-256 is not what was recorded"),
    }
}
