//! START HERE: the write loop, and the only place that knows both a source and the store.
//!
//! ```text
//! source ─▶ chunk ─▶ decode ─▶ dedupe, fold ─▶ batch ─▶ commit ─▶ acknowledge
//! ```
//!
//! [`PartitionWriter`] is that line for one partition. [`serve`] feeds it from the spool, which the webhook and `pull`
//! fill, and from Kafka (`consume`), [`ingest`] from files, with as many decoding threads as there are cores and one that folds in order,
//! or on one thread alone.

mod audit;
mod backfill;
mod compact;
mod consume;
mod ingest;
mod notes;
mod pull;
mod read;
mod serve;

pub use backfill::{Backfilled, Taker, backfill};
pub(crate) use ingest::total_bytes;
pub use ingest::{IngestError, IngestSummary, Ingested, ingest, ingest_into};
pub use read::{audited_settings, settings_with_audit, watch, watch_settings};
pub use serve::{Served, serve};

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::clock;
use crate::config::{Config, FlushLimits};
use crate::event::{Chunk, DecodeSettings, DecodedChunk, Decoder};
use crate::partial::dedupe::Dedupe;
use crate::partial::{Batch, FoldSettings};
use crate::store::Store;
use crate::store::commit::{self, CommitError, PartitionLog};
use crate::store::ledger::{Entry, PrivacyText, SettingsText};

/// What of the settings every partition needs.
#[derive(Clone)]
pub struct WriteSettings {
    pub decode: DecodeSettings,
    pub fold: FoldSettings,
    pub ignore: Vec<String>,
    pub flush: FlushLimits,
    pub text: SettingsText,
}

impl WriteSettings {
    pub fn new(config: &Config) -> Self {
        let mut text = SettingsText::new(&config.fold, config.dedupe.horizon, config.dedupe.ids_keep);
        text.tenant.clone_from(&config.tenant);
        text.ignore.clone_from(&config.ignore);
        text.privacy = PrivacyText::of(&config.privacy);
        let (decode, ignore) = (config.decode(), config.ignore.clone());
        Self { decode, fold: config.fold, ignore, flush: config.flush, text }
    }
}

/// One partition being written: its place in the ledger, what it counted last, and the batch being folded.
///
/// After an error the writer is dropped, and made again from the ledger: what it held was never true.
pub struct PartitionWriter {
    runtime: Handle,
    log: PartitionLog,
    dedupe: Dedupe,
    batch: Batch,
    settings: WriteSettings,
    /// When the batch's first chunk was folded.
    began: Option<Instant>,
}

impl PartitionWriter {
    pub fn new(runtime: Handle, log: PartitionLog, dedupe: Dedupe, settings: WriteSettings) -> Self {
        let batch = Batch::new(log.end());
        Self { runtime, log, dedupe, batch, settings, began: None }
    }

    /// Where the next chunk begins.
    pub fn end(&self) -> u64 {
        self.batch.end
    }

    /// Up to where the partition is committed.
    pub fn committed(&self) -> u64 {
        self.log.end()
    }

    pub fn fold(&mut self, chunk: DecodedChunk) {
        self.began.get_or_insert_with(clock::monotonic);
        self.batch.fold(chunk, &self.settings.fold, &self.settings.ignore, &mut self.dedupe, clock::now());
        self.report_size();
    }

    /// Decodes and folds, where one thread does both.
    pub fn read(&mut self, chunk: &Chunk, decoder: &mut Decoder) {
        self.began.get_or_insert_with(clock::monotonic);
        let Self { batch, dedupe, settings, .. } = self;
        batch.read(chunk, decoder, &settings.fold, &settings.ignore, dedupe, clock::now());
        self.report_size();
    }

    fn report_size(&self) {
        metrics::gauge!("ghostlight_batch_bytes", "partition" => self.log.id().to_string())
            .set(self.batch.heap_bytes() as f64);
    }

    /// About how much memory the batch holds.
    pub fn heap_bytes(&self) -> usize {
        self.batch.heap_bytes()
    }

    /// Whether the batch has reached a limit of size.
    pub fn is_full(&self) -> bool {
        let limits = &self.settings.flush;
        self.batch.bytes >= limits.bytes
            || self.batch.partial.row_count() >= limits.rows
            || self.batch.heap_bytes() >= limits.memory_bytes
    }

    /// Whether the batch has reached any limit, time included.
    pub fn is_due(&self) -> bool {
        self.began.is_some_and(|began| began.elapsed() >= self.settings.flush.interval) || self.is_full()
    }

    /// Commits what is folded, if anything is.
    pub fn flush(&mut self) -> Result<Option<Entry>, CommitError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        let began = clock::monotonic();
        let batch = std::mem::replace(&mut self.batch, Batch::new(0));
        let committed = self.runtime.block_on(self.log.commit(&batch, &self.settings.text, clock::now()));
        self.batch = Batch::new(self.log.end());
        self.began = None;
        let entry = committed.inspect_err(|error| match error {
            CommitError::Fenced { .. } => metrics::counter!("ghostlight_fenced_total").increment(1),
            CommitError::Store(_) => metrics::counter!("ghostlight_commit_errors_total").increment(1),
        })?;
        report_commit(&entry, began);
        Ok(Some(entry))
    }

    /// Hands the dedupe memory on, once everything is committed.
    pub fn into_dedupe(self) -> Dedupe {
        self.dedupe
    }
}

fn report_commit(entry: &Entry, began: Instant) {
    let accounting = &entry.accounting;
    let events = |outcome: &'static str, number| {
        metrics::counter!("ghostlight_events_total", "outcome" => outcome).increment(number);
    };
    events("counted", accounting.counted);
    events("duplicate", accounting.duplicates);
    events("ignored", accounting.ignored);
    metrics::counter!("ghostlight_records_total", "outcome" => "read").increment(accounting.read);
    metrics::counter!("ghostlight_records_total", "outcome" => "rejected").increment(accounting.rejected);
    metrics::counter!("ghostlight_commits_total").increment(1);
    metrics::histogram!("ghostlight_commit_seconds").record(began.elapsed().as_secs_f64());
    let partition = entry.partition_id().to_string();
    metrics::gauge!("ghostlight_committed_position", "partition" => partition.clone()).set(entry.end as f64);
    if let Some(frontier) = entry.frontier {
        let seconds = frontier.event_time.ms() as f64 / 1000.0;
        metrics::gauge!("ghostlight_frontier_seconds", "partition" => partition).set(seconds);
    }
    tracing::info!(
        partition = %entry.partition_id(),
        start = entry.start,
        end = entry.end,
        records = accounting.records,
        rejected = accounting.rejected,
        counted = accounting.counted,
        duplicates = accounting.duplicates,
        files = entry.files.len(),
        "committed"
    );
    for (code, count) in &entry.unknown_types {
        tracing::info!(code, count, "a type code that is not in the catalogue was counted as `other`");
    }
}

fn say_warnings(config: &Config) {
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Makes the output ready for writing: probed, every interrupted commit finished, old id files gone.
async fn prepare(store: &Store, config: &Config) -> anyhow::Result<()> {
    use anyhow::Context;
    let location = store.location();
    store.probe().await.with_context(|| format!("checking that {location} can be written to"))?;
    commit::recover_all(store).await.with_context(|| format!("finishing what an earlier run left at {location}"))?;
    let keep_ms = i64::try_from(config.dedupe.ids_keep.as_millis()).unwrap_or(i64::MAX);
    commit::retire_ids(store, config.dedupe.horizon, keep_ms, clock::now())
        .await
        .with_context(|| format!("removing old id files at {location}"))
}

/// Waits until every thread that holds the other end of `running` has ended; false if they take longer than `patience`.
fn have_ended(running: &Receiver<Infallible>, patience: Duration) -> bool {
    matches!(running.recv_timeout(patience), Err(RecvTimeoutError::Disconnected))
}

/// An error and its causes in one line, each said once.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
