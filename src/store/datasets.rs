//! The datasets as Parquet, in both directions. The shapes are described in `schemas/`; a test compares.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::ledger::{PartitionId, SettingsText};
use crate::event::{DeadLetter, EventTime, LogEvent};
use crate::partial::sketch::UserSketch;
use crate::partial::{Batch, CountsRow, Dimension, IssuedSeconds, Partial, TokensRow, UsersRow};

pub const ACTIVE_USERS: &str = "active_users";
pub const M2M_TOKENS: &str = "m2m_tokens";
pub const EVENT_COUNTS: &str = "event_counts";
pub const DEAD_LETTERS: &str = "dead_letters";
/// Each event as a row of its own, where the settings ask for it.
pub const EVENTS: &str = "events";
/// Users by day: `active_users` with windows of a day, made by compaction.
pub const DAILY: &str = "daily";
/// The identities of the events a batch counted: no dataset for readers, but committed like one.
pub const IDS: &str = "_ids";

/// The datasets readers see.
pub const DATASETS: [&str; 6] = [ACTIVE_USERS, M2M_TOKENS, EVENT_COUNTS, DEAD_LETTERS, EVENTS, DAILY];
/// The datasets commits write whose rows are partials that merge: all that can be known is in them.
pub const AGGREGATES: [&str; 3] = [ACTIVE_USERS, M2M_TOKENS, EVENT_COUNTS];

/// Whether a dataset is one of [`AGGREGATES`].
pub fn is_aggregate(dataset: &str) -> bool {
    AGGREGATES.contains(&dataset)
}

/// A file to be committed.
pub struct File {
    pub dataset: &'static str,
    pub path: String,
    pub rows: u64,
    pub bytes: Bytes,
}

/// The columns of a dataset, without `date`, which is in the path.
pub fn schema(dataset: &str) -> Option<SchemaRef> {
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let text = |name| Field::new(name, DataType::Utf8, false);
    let number = |name| Field::new(name, DataType::Int64, false);
    let at = |name| Field::new(name, time(), false);
    let window = || [at("window_start"), Field::new("window_seconds", DataType::Int32, false), text("tenant")];
    let rest = match dataset {
        ACTIVE_USERS | DAILY => vec![
            text("dimension"),
            text("key"),
            text("key_name"),
            number("events"),
            number("logins"),
            number("signups"),
            Field::new("users_hll", DataType::Binary, false),
            Field::new("users_estimate", DataType::Float64, false),
            Field::new("users_lower", DataType::Float64, false),
            Field::new("users_upper", DataType::Float64, false),
            at("first_at"),
            at("last_at"),
            number("max_lateness_ms"),
        ],
        M2M_TOKENS => vec![
            text("client_id"),
            text("client_name"),
            text("audience"),
            text("organization_id"),
            text("scope"),
            text("ip"),
            text("user_agent"),
            number("issued"),
            number("failed"),
            Field::new("issued_seconds", DataType::Binary, false),
            Field::new("billable", DataType::Boolean, false),
            at("first_at"),
            at("last_at"),
            text("first_log_id"),
            text("last_log_id"),
        ],
        EVENT_COUNTS => vec![
            text("type"),
            text("class"),
            text("client_id"),
            text("connection"),
            text("strategy"),
            text("organization_id"),
            number("events"),
        ],
        DEAD_LETTERS => {
            return Some(Arc::new(Schema::new(vec![
                at("read_at"),
                Field::new("arrived_at", time(), true),
                text("source"),
                text("incarnation"),
                text("partition"),
                number("offset"),
                number("position"),
                text("reason"),
                Field::new("raw", DataType::Binary, false),
            ])));
        }
        EVENTS => {
            let texts = EVENT_TEXTS.into_iter().map(|(name, _)| text(name));
            return Some(Arc::new(Schema::new(std::iter::once(at("occurred_at")).chain(texts).collect::<Vec<_>>())));
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(window().into_iter().chain(rest).collect::<Vec<_>>())))
}

/// A column of text, by what it has of an event.
type EventText = (&'static str, for<'a> fn(&LogEvent<'a>) -> &'a str);

/// The columns of `events` after its time.
const EVENT_TEXTS: [EventText; 19] = [
    ("tenant", |event| event.tenant),
    ("log_id", |event| event.log_id),
    ("type", |event| event.type_code),
    ("class", |event| event.kind.class.name()),
    ("category", |event| event.kind.category),
    ("client_id", |event| event.client_id),
    ("client_name", |event| event.client_name),
    ("connection", |event| event.connection),
    ("strategy", |event| event.strategy),
    ("organization_id", |event| event.organization_id),
    ("organization_name", |event| event.organization_name),
    ("user_id", |event| event.user_id),
    ("user_name", |event| event.user_name),
    ("ip", |event| event.ip),
    ("user_agent", |event| event.user_agent),
    ("hostname", |event| event.hostname),
    ("audience", |event| event.audience),
    ("scope", |event| event.scope),
    ("description", |event| event.description),
];

/// How many events become columns at once: what bounds the memory of it.
const EVENTS_AT_ONCE: usize = 8192;

/// Every file of a batch, at its final path: a file per dataset and UTC day of the windows, and the id file.
pub fn encode(batch: &Batch, id: &PartitionId, settings: &SettingsText, nonce: &str, now: EventTime) -> Vec<File> {
    let range = format!("{:020}-{:020}-{nonce}", batch.start, batch.end);
    let name = format!("{}-{}-{range}", id.source, id.partition);
    let parquet = |dataset, date: &str, batches: &mut dyn Iterator<Item = RecordBatch>| {
        let mut file = ParquetFile::new(dataset, &settings.users_definition, settings.hll_lg_k, Kept::Briefly);
        batches.for_each(|batch| file.write(&batch));
        let (rows, bytes) = file.finish();
        File { dataset, path: format!("{dataset}/date={date}/{name}.parquet"), rows, bytes }
    };
    let file = |dataset, date: &str, batch: &RecordBatch| parquet(dataset, date, &mut std::iter::once(batch.clone()));
    let mut files = Vec::new();
    for (date, rows) in by_date(batch.partial.users(), |row| row.window_start) {
        files.push(file(ACTIVE_USERS, &date, &users_batch(&rows)));
    }
    for (date, rows) in by_date(batch.partial.tokens(), |row| row.window_start) {
        files.push(file(M2M_TOKENS, &date, &tokens_batch(&rows)));
    }
    for (day, rows) in batch.partial.counts_by_day() {
        files.push(file(EVENT_COUNTS, &day.to_string(), &counts_batch(&rows)));
    }
    if !batch.dead_letters.is_empty() {
        files.push(file(DEAD_LETTERS, &now.date(), &dead_letters_batch(&batch.dead_letters, id, now)));
    }
    for (date, numbers) in by_date(batch.events.sorted(), |number| batch.events.get(*number as usize).at) {
        let rows =
            |numbers: &[u32]| numbers.iter().map(|number| batch.events.get(*number as usize)).collect::<Vec<_>>();
        let mut batches = numbers.chunks(EVENTS_AT_ONCE).map(|numbers| events_batch(&rows(numbers)));
        files.push(parquet(EVENTS, &date, &mut batches));
    }
    if !batch.identities.is_empty() {
        files.push(File {
            dataset: IDS,
            path: format!("{}/{range}.ids", id.folder(IDS)),
            rows: batch.identities.len() as u64,
            bytes: encode_ids(&batch.identities),
        });
    }
    files
}

fn by_date<T>(rows: Vec<T>, at: impl Fn(&T) -> EventTime) -> BTreeMap<String, Vec<T>> {
    let mut dates: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    for row in rows {
        dates.entry(at(&row).ms().div_euclid(86_400_000)).or_default().push(row);
    }
    dates.into_iter().map(|(day, rows)| (EventTime::from_ms(day * 86_400_000).date(), rows)).collect()
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|value| value as i64)))
}

fn times(values: impl Iterator<Item = EventTime>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values.map(EventTime::ms)).with_timezone("UTC"))
}

fn assemble(dataset: &str, columns: Vec<ArrayRef>) -> RecordBatch {
    match schema(dataset).map(|schema| RecordBatch::try_new(schema, columns)) {
        Some(Ok(batch)) => batch,
        other => unreachable!("the columns of {dataset} are those of its schema: {other:?}"),
    }
}

fn users_batch(rows: &[UsersRow<'_>]) -> RecordBatch {
    let (sketches, estimates): (Vec<_>, Vec<_>) = rows.iter().map(|row| row.users.to_bytes_and_estimate()).unzip();
    let columns: Vec<ArrayRef> = vec![
        times(rows.iter().map(|row| row.window_start)),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.window_seconds as i32))),
        texts(rows.iter().map(|row| row.tenant)),
        texts(rows.iter().map(|row| row.dimension.name())),
        texts(rows.iter().map(|row| row.key)),
        texts(rows.iter().map(|row| row.key_name)),
        numbers(rows.iter().map(|row| row.events)),
        numbers(rows.iter().map(|row| row.logins)),
        numbers(rows.iter().map(|row| row.signups)),
        Arc::new(BinaryArray::from_iter_values(&sketches)),
        Arc::new(Float64Array::from_iter_values(estimates.iter().map(|users| users.estimate))),
        Arc::new(Float64Array::from_iter_values(estimates.iter().map(|users| users.lower))),
        Arc::new(Float64Array::from_iter_values(estimates.iter().map(|users| users.upper))),
        times(rows.iter().map(|row| row.first_at)),
        times(rows.iter().map(|row| row.last_at)),
        numbers(rows.iter().map(|row| row.max_lateness_ms as u64)),
    ];
    assemble(ACTIVE_USERS, columns)
}

fn tokens_batch(rows: &[TokensRow<'_>]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        times(rows.iter().map(|row| row.window_start)),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.window_seconds as i32))),
        texts(rows.iter().map(|row| row.tenant)),
        texts(rows.iter().map(|row| row.client_id)),
        texts(rows.iter().map(|row| row.client_name)),
        texts(rows.iter().map(|row| row.audience)),
        texts(rows.iter().map(|row| row.organization_id)),
        texts(rows.iter().map(|row| row.scope)),
        texts(rows.iter().map(|row| row.ip)),
        texts(rows.iter().map(|row| row.user_agent)),
        numbers(rows.iter().map(|row| row.issued)),
        numbers(rows.iter().map(|row| row.failed)),
        Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| row.issued_seconds.as_bytes()))),
        Arc::new(rows.iter().map(|row| Some(row.billable)).collect::<BooleanArray>()),
        times(rows.iter().map(|row| row.first_at)),
        times(rows.iter().map(|row| row.last_at)),
        texts(rows.iter().map(|row| row.first_log_id)),
        texts(rows.iter().map(|row| row.last_log_id)),
    ];
    assemble(M2M_TOKENS, columns)
}

fn counts_batch(rows: &[CountsRow<'_>]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        times(rows.iter().map(|row| row.window_start)),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.window_seconds as i32))),
        texts(rows.iter().map(|row| row.tenant)),
        texts(rows.iter().map(|row| row.type_code)),
        texts(rows.iter().map(CountsRow::class)),
        texts(rows.iter().map(|row| row.client_id)),
        texts(rows.iter().map(|row| row.connection)),
        texts(rows.iter().map(|row| row.strategy)),
        texts(rows.iter().map(|row| row.organization_id)),
        numbers(rows.iter().map(|row| row.events)),
    ];
    assemble(EVENT_COUNTS, columns)
}

fn dead_letters_batch(letters: &[DeadLetter], id: &PartitionId, now: EventTime) -> RecordBatch {
    let arrived: TimestampMillisecondArray =
        letters.iter().map(|letter| letter.arrived.map(EventTime::ms)).collect::<TimestampMillisecondArray>();
    let columns: Vec<ArrayRef> = vec![
        times(letters.iter().map(|_| now)),
        Arc::new(arrived.with_timezone("UTC")),
        texts(letters.iter().map(|_| id.source.as_str())),
        texts(letters.iter().map(|_| id.incarnation.as_str())),
        texts(letters.iter().map(|_| id.partition.as_str())),
        numbers(letters.iter().map(|letter| letter.offset)),
        numbers(letters.iter().map(|letter| letter.position)),
        texts(letters.iter().map(|letter| letter.reason.as_str())),
        Arc::new(BinaryArray::from_iter_values(letters.iter().map(|letter| letter.raw.as_slice()))),
    ];
    assemble(DEAD_LETTERS, columns)
}

fn events_batch(rows: &[LogEvent<'_>]) -> RecordBatch {
    let columns = EVENT_TEXTS.into_iter().map(|(_, text)| texts(rows.iter().map(text)));
    assemble(EVENTS, std::iter::once(times(rows.iter().map(|row| row.at))).chain(columns).collect())
}

/// The rows of one aggregate dataset, sorted; or the users by day of a partial folded to days.
pub(super) fn rows_of(dataset: &str, partial: &Partial) -> RecordBatch {
    match dataset {
        M2M_TOKENS => tokens_batch(&partial.tokens()),
        EVENT_COUNTS => counts_batch(&partial.counts()),
        _ => users_batch(&partial.users()),
    }
}

/// A Parquet file that is being written.
pub(super) struct ParquetFile {
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
}

/// How long a file is likely to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// A batch's: small, and one of many until it is merged. A context of zstd for each column costs its readers more than
    /// all else (on a virtual machine each asks the hypervisor what the processor can do).
    Briefly,
    /// A generation's.
    Long,
}

impl Kept {
    fn compression(self) -> Compression {
        match self {
            Self::Briefly => Compression::SNAPPY,
            Self::Long => Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()),
        }
    }
}

/// A reader skips rows by groups, and a writer holds one.
const GROUP_ROWS: usize = 1 << 17;

impl ParquetFile {
    pub fn new(dataset: &str, users_definition: &str, hll_lg_k: u8, kept: Kept) -> Self {
        let about = |key: &str, value: String| KeyValue::new(format!("ghostlight.{key}"), value);
        let properties = WriterProperties::builder()
            .set_compression(kept.compression())
            .set_key_value_metadata(Some(vec![
                about("version", env!("CARGO_PKG_VERSION").to_owned()),
                about("users_definition", users_definition.to_owned()),
                about("hll_lg_k", hll_lg_k.to_string()),
            ]))
            .build();
        let columns = schema(dataset).unwrap_or_else(|| unreachable!("{dataset} is a dataset"));
        match ArrowWriter::try_new(Vec::new(), columns, Some(properties)) {
            Ok(writer) => Self { writer, rows: 0 },
            Err(error) => unreachable!("the columns of {dataset} can be written: {error}"),
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        let mut written = self.writer.write(batch);
        if self.writer.in_progress_rows() >= GROUP_ROWS {
            written = written.and_then(|()| self.writer.flush());
        }
        if let Err(error) = written {
            unreachable!("a valid batch is written to memory: {error}");
        }
    }

    /// About how long it has become, in bytes.
    pub fn length(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// How many rows it has, and its bytes.
    pub fn finish(self) -> (u64, Bytes) {
        match self.writer.into_inner() {
            Ok(bytes) => (self.rows, bytes.into()),
            Err(error) => unreachable!("a file ends in memory: {error}"),
        }
    }
}

const IDS_MAGIC: &[u8; 8] = b"GLIDS\x01\0\0";

/// An id file: eight bytes that say what it is, then the XXH3-64 identities, little endian, in the order counted.
pub(super) fn encode_ids(ids: &[u64]) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + ids.len() * 8);
    bytes.extend_from_slice(IDS_MAGIC);
    ids.iter().for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
    bytes.into()
}

pub fn decode_ids(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let body = bytes.strip_prefix(IDS_MAGIC).ok_or("not an id file of this format")?;
    if body.len() % 8 != 0 {
        return Err(format!("its length {} is not eight bytes an id", bytes.len()));
    }
    let id = |word: &[u8]| word.try_into().map(u64::from_le_bytes).unwrap_or_default();
    Ok(body.chunks_exact(8).map(id).collect())
}

/// Reads a file of an aggregate dataset into `partial`; other datasets have no rows to merge.
pub fn absorb(dataset: &str, bytes: Bytes, partial: &mut Partial) -> Result<(), String> {
    read(dataset, bytes)?.iter().try_for_each(|batch| absorb_batch(dataset, batch, partial))
}

/// The same for rows that were read.
pub(super) fn absorb_batch(dataset: &str, batch: &RecordBatch, partial: &mut Partial) -> Result<(), String> {
    let columns = Columns(batch);
    match dataset {
        ACTIVE_USERS => absorb_users(&columns, partial),
        M2M_TOKENS => absorb_tokens(&columns, partial),
        EVENT_COUNTS => absorb_counts(&columns, partial),
        _ => Ok(()),
    }
}

/// The rows whose window begins within `windows`.
pub(super) fn within(batch: &RecordBatch, windows: &Range<EventTime>) -> Result<RecordBatch, String> {
    let starts = Columns(batch).times("window_start")?;
    let is_within: BooleanArray =
        starts.values().iter().map(|start| Some(windows.contains(&EventTime::from_ms(*start)))).collect();
    arrow::compute::filter_record_batch(batch, &is_within).map_err(|error| error.to_string())
}

/// How many events rows of `event_counts` are, and whose.
pub(super) fn events_of(batch: &RecordBatch, tenants: &mut BTreeSet<String>) -> Result<u64, String> {
    let columns = Columns(batch);
    let (events, names) = (columns.numbers("events")?, columns.texts("tenant")?);
    for row in 0..batch.num_rows() {
        if !tenants.contains(names.value(row)) {
            tenants.insert(names.value(row).to_owned());
        }
    }
    Ok(events.values().iter().map(|events| *events as u64).sum())
}

/// Reads a file as it lies, checking its columns.
pub fn read(dataset: &str, bytes: Bytes) -> Result<Vec<RecordBatch>, String> {
    batches(dataset, bytes)?.collect()
}

/// The same, some rows at a time.
pub fn batches(
    dataset: &str,
    bytes: Bytes,
) -> Result<impl Iterator<Item = Result<RecordBatch, String>> + use<>, String> {
    let expected = schema(dataset).ok_or_else(|| format!("no dataset is called {dataset}"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    if builder.schema().fields() != expected.fields() {
        return Err(format!("its columns are not those of {dataset}: {:?}", builder.schema().fields()));
    }
    let reader = builder.build().map_err(|error| error.to_string())?;
    Ok(reader.map(|batch| batch.map_err(|error| error.to_string())))
}

/// What a row of `events` says of where a user came in.
pub struct Visit<'a> {
    pub at: EventTime,
    pub tenant: &'a str,
    pub type_code: &'a str,
    pub hostname: &'a str,
}

/// The rows of a file of `events`, of which only these columns are read.
pub fn visits(bytes: Bytes, mut take: impl FnMut(Visit<'_>)) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["occurred_at", "tenant", "type", "hostname"]);
    let reader = builder.with_projection(columns).build().map_err(|error| error.to_string())?;
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column {name}"));
        let at = column("occurred_at")?.as_primitive_opt::<TimestampMillisecondType>();
        let text = |name: &str| Ok::<_, String>(column(name)?.as_string_opt::<i32>());
        let (Some(at), Some(tenants), Some(types), Some(hostnames)) =
            (at, text("tenant")?, text("type")?, text("hostname")?)
        else {
            return Err("its columns are not those of events".to_owned());
        };
        for row in 0..batch.num_rows() {
            take(Visit {
                at: EventTime::from_ms(at.value(row)),
                tenant: tenants.value(row),
                type_code: types.value(row),
                hostname: hostnames.value(row),
            });
        }
    }
    Ok(())
}

/// How many rows a file says that it has.
pub(crate) fn rows(bytes: Bytes) -> Result<u64, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    Ok(builder.metadata().file_metadata().num_rows().try_into().unwrap_or_default())
}

/// How many rows a file has, all of which can be read.
pub(super) fn count(dataset: &str, bytes: Bytes) -> Result<u64, String> {
    batches(dataset, bytes)?.map(|batch| batch.map(|batch| batch.num_rows() as u64)).sum()
}

/// The dead letters of a file.
pub fn dead_letters(bytes: Bytes) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Vec::new();
    for batch in read(DEAD_LETTERS, bytes)? {
        let columns = Columns(&batch);
        let (offset, position) = (columns.numbers("offset")?, columns.numbers("position")?);
        let (reason, raw) = (columns.texts("reason")?, columns.binaries("raw")?);
        let arrived = columns.times("arrived_at")?;
        letters.extend((0..batch.num_rows()).map(|row| DeadLetter {
            offset: offset.value(row) as u64,
            position: position.value(row) as u64,
            raw: raw.value(row).to_vec(),
            reason: reason.value(row).to_owned(),
            arrived: arrived.is_valid(row).then(|| EventTime::from_ms(arrived.value(row))),
        }));
    }
    Ok(letters)
}

struct Columns<'a>(&'a RecordBatch);

impl<'a> Columns<'a> {
    fn get<T: 'static>(&self, name: &str) -> Result<&'a T, String> {
        let column = self.0.column_by_name(name).ok_or_else(|| format!("no column {name}"))?;
        column.as_any().downcast_ref().ok_or_else(|| format!("column {name} is a {}", column.data_type()))
    }

    fn texts(&self, name: &str) -> Result<&'a StringArray, String> {
        self.get(name)
    }

    fn numbers(&self, name: &str) -> Result<&'a Int64Array, String> {
        self.get(name)
    }

    fn times(&self, name: &str) -> Result<&'a TimestampMillisecondArray, String> {
        self.get(name)
    }

    fn binaries(&self, name: &str) -> Result<&'a BinaryArray, String> {
        self.get(name)
    }
}

fn absorb_users(columns: &Columns<'_>, partial: &mut Partial) -> Result<(), String> {
    let window_start = columns.times("window_start")?;
    let window_seconds: &Int32Array = columns.get("window_seconds")?;
    let (tenant, dimension) = (columns.texts("tenant")?, columns.texts("dimension")?);
    let (key, key_name) = (columns.texts("key")?, columns.texts("key_name")?);
    let events = columns.numbers("events")?;
    let (logins, signups) = (columns.numbers("logins")?, columns.numbers("signups")?);
    let users = columns.binaries("users_hll")?;
    let (first_at, last_at) = (columns.times("first_at")?, columns.times("last_at")?);
    let lateness = columns.numbers("max_lateness_ms")?;
    for row in 0..columns.0.num_rows() {
        let dimension = dimension.value(row);
        partial.absorb_users(&UsersRow {
            window_start: EventTime::from_ms(window_start.value(row)),
            window_seconds: window_seconds.value(row) as u32,
            tenant: tenant.value(row),
            dimension: Dimension::from_name(dimension).ok_or_else(|| format!("no dimension is called {dimension}"))?,
            key: key.value(row),
            key_name: key_name.value(row),
            events: events.value(row) as u64,
            logins: logins.value(row) as u64,
            signups: signups.value(row) as u64,
            users: Cow::Owned(UserSketch::from_bytes(users.value(row)).map_err(|error| error.to_string())?),
            first_at: EventTime::from_ms(first_at.value(row)),
            last_at: EventTime::from_ms(last_at.value(row)),
            max_lateness_ms: lateness.value(row),
        });
    }
    Ok(())
}

fn absorb_tokens(columns: &Columns<'_>, partial: &mut Partial) -> Result<(), String> {
    let window_start = columns.times("window_start")?;
    let window_seconds: &Int32Array = columns.get("window_seconds")?;
    let (tenant, client_id) = (columns.texts("tenant")?, columns.texts("client_id")?);
    let (client_name, audience) = (columns.texts("client_name")?, columns.texts("audience")?);
    let (organization_id, scope) = (columns.texts("organization_id")?, columns.texts("scope")?);
    let (ip, user_agent) = (columns.texts("ip")?, columns.texts("user_agent")?);
    let (issued, failed) = (columns.numbers("issued")?, columns.numbers("failed")?);
    let issued_seconds = columns.binaries("issued_seconds")?;
    let billable: &BooleanArray = columns.get("billable")?;
    let (first_at, last_at) = (columns.times("first_at")?, columns.times("last_at")?);
    let (first_log_id, last_log_id) = (columns.texts("first_log_id")?, columns.texts("last_log_id")?);
    for row in 0..columns.0.num_rows() {
        partial.absorb_tokens(&TokensRow {
            window_start: EventTime::from_ms(window_start.value(row)),
            window_seconds: window_seconds.value(row) as u32,
            tenant: tenant.value(row),
            client_id: client_id.value(row),
            audience: audience.value(row),
            organization_id: organization_id.value(row),
            scope: scope.value(row),
            ip: ip.value(row),
            client_name: client_name.value(row),
            user_agent: user_agent.value(row),
            issued: issued.value(row) as u64,
            failed: failed.value(row) as u64,
            issued_seconds: Cow::Owned(IssuedSeconds::from_bytes(issued_seconds.value(row))),
            billable: billable.value(row),
            first_at: EventTime::from_ms(first_at.value(row)),
            last_at: EventTime::from_ms(last_at.value(row)),
            first_log_id: first_log_id.value(row),
            last_log_id: last_log_id.value(row),
        });
    }
    Ok(())
}

fn absorb_counts(columns: &Columns<'_>, partial: &mut Partial) -> Result<(), String> {
    let window_start = columns.times("window_start")?;
    let window_seconds: &Int32Array = columns.get("window_seconds")?;
    let (tenant, type_code) = (columns.texts("tenant")?, columns.texts("type")?);
    let (client_id, connection) = (columns.texts("client_id")?, columns.texts("connection")?);
    let (strategy, organization_id) = (columns.texts("strategy")?, columns.texts("organization_id")?);
    let events = columns.numbers("events")?;
    for row in 0..columns.0.num_rows() {
        partial.absorb_counts(&CountsRow {
            window_start: EventTime::from_ms(window_start.value(row)),
            window_seconds: window_seconds.value(row) as u32,
            tenant: tenant.value(row),
            type_code: type_code.value(row),
            client_id: client_id.value(row),
            connection: connection.value(row),
            strategy: strategy.value(row),
            organization_id: organization_id.value(row),
            events: events.value(row) as u64,
        });
    }
    Ok(())
}
