//! `ghostlight ingest`: files into the store. A reader cuts chunks, workers decode them, this thread folds them in order; or
//! this thread does it all, where it is to be the only one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use tokio::runtime::Handle;

use super::{PartitionWriter, WriteSettings, prepare, say_warnings};
use crate::clock;
use crate::config::Config;
use crate::event::{Chunk, DecodedChunk, Decoder};
use crate::partial::Accounting;
use crate::partial::dedupe::Dedupe;
use crate::source::file::{self, FileError, FileSource, Fingerprint, Input};
use crate::store::commit::{self, CommitError, PartitionLog};
use crate::store::ledger::{self, Entry, PartitionId};
use crate::store::{FILE, STDIN, Store, StoreError, datasets};

/// What an ingest did.
#[derive(Debug, Default)]
pub struct IngestSummary {
    pub accounting: Accounting,
    /// Bytes of content read, decompressed.
    pub bytes: u64,
    /// Rows written to the aggregate datasets, and files to all.
    pub rows: u64,
    pub files: u64,
    pub commits: u64,
    pub inputs: Vec<(Input, Ingested)>,
}

/// What became of one input.
#[derive(Debug)]
pub enum Ingested {
    /// Read from `from` to `to`; with the place and length of an unfinished last line that is left for later.
    Read {
        from: u64,
        to: u64,
        unfinished: Option<(u64, usize)>,
    },
    /// Read to its end before.
    NothingNew {
        unfinished: Option<(u64, usize)>,
    },
    Empty,
    /// Not read, or not to its end; what is committed stays.
    Failed(IngestError),
}

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("a thread that reads or decodes died; what is committed stays, run again for the rest")]
    Thread,
}

impl From<StoreError> for IngestError {
    fn from(error: StoreError) -> Self {
        Self::Commit(CommitError::Store(error))
    }
}

/// Reads every input to its end and commits it. `read` counts bytes as they are read, for a progress bar. Blocks; not to
/// be called from an async task.
pub fn ingest(
    runtime: &Handle,
    config: &Config,
    inputs: Vec<Input>,
    as_new: bool,
    read: &AtomicU64,
) -> anyhow::Result<IngestSummary> {
    ingest_into(Store::open(&config.out)?, runtime, config, inputs, as_new, read)
}

/// [`ingest`] into a store that is open already, wherever `config` says.
pub fn ingest_into(
    store: Store,
    runtime: &Handle,
    config: &Config,
    inputs: Vec<Input>,
    as_new: bool,
    read: &AtomicU64,
) -> anyhow::Result<IngestSummary> {
    say_warnings(config);
    runtime.block_on(prepare(&store, config))?;
    let incarnations = runtime.block_on(ledger::incarnations(&store, FILE))?.into_iter().collect();
    let mut ingest = Ingest { runtime, config, store, incarnations, dedupe: None, as_new, read };
    let mut summary = IngestSummary::default();
    for input in inputs {
        let ingested = ingest.input(&input, &mut summary).unwrap_or_else(Ingested::Failed);
        // Without its store nothing else can be committed either.
        let stop = matches!(&ingested, Ingested::Failed(IngestError::Commit(_)));
        summary.inputs.push((input, ingested));
        if stop {
            break;
        }
    }
    Ok(summary)
}

struct Ingest<'a> {
    runtime: &'a Handle,
    config: &'a Config,
    store: Store,
    /// The incarnations of files the ledger knows.
    incarnations: Vec<String>,
    /// What was counted last, here or by any other source; kept from one input to the next.
    dedupe: Option<Dedupe>,
    as_new: bool,
    read: &'a AtomicU64,
}

/// A file at the place to go on from.
enum Opened {
    At(Box<FileSource>, Box<PartitionLog>),
    /// A beginning of something that was read further already.
    Known,
}

impl Ingest<'_> {
    fn input(&mut self, input: &Input, summary: &mut IngestSummary) -> Result<Ingested, IngestError> {
        loop {
            match self.input_once(input, summary) {
                // Somebody else reads the same file, and is ahead: go on from there.
                Err(IngestError::Commit(CommitError::Fenced { partition, start, by })) => {
                    tracing::warn!(%partition, start, by, "another process reads this file too; going on from its last commit");
                    self.dedupe = None;
                }
                other => {
                    if other.is_err() {
                        self.dedupe = None;
                    }
                    return other;
                }
            }
        }
    }

    fn input_once(&mut self, input: &Input, summary: &mut IngestSummary) -> Result<Ingested, IngestError> {
        let source = FileSource::open(input, self.config.files.record_max)?;
        let fingerprint = source.fingerprint();
        if fingerprint.is_blank() {
            return Ok(Ingested::Empty);
        }
        let opened = match source.is_replayable() {
            false => {
                let id = PartitionId::new(STDIN, &uuid::Uuid::new_v4().simple().to_string(), "0");
                Opened::At(Box::new(source), Box::new(self.runtime.block_on(PartitionLog::recover(&self.store, id))?))
            }
            true => self.place(input, &fingerprint)?,
        };
        match opened {
            Opened::At(source, log) => self.pump(*source, *log, summary),
            Opened::Known => Ok(Ingested::NothingNew { unfinished: None }),
        }
    }

    /// Finds the partition a file is, by how its content begins, and steps over what was read of it.
    fn place(&mut self, input: &Input, fingerprint: &Fingerprint) -> Result<Opened, IngestError> {
        let open = || FileSource::open(input, self.config.files.record_max);
        let mut candidates: Vec<_> =
            self.incarnations.iter().filter_map(|name| Some((fingerprint.shared(name)?, name.clone()))).collect();
        // The longer the beginning shared, the likelier the same file.
        candidates.sort_unstable_by_key(|(length, _)| std::cmp::Reverse(*length));
        let mut refused = None;
        for (length, incarnation) in candidates {
            let id = PartitionId::new(FILE, &incarnation, "0");
            let log = self.runtime.block_on(PartitionLog::recover(&self.store, id))?;
            let resume = log.tail().last.as_ref().map(|entry| entry.resume.clone()).unwrap_or_default();
            let mut source = open()?;
            match source.resume(log.end(), &resume) {
                Ok(()) => return Ok(Opened::At(Box::new(source), Box::new(log))),
                Err(error @ FileError::Truncated { .. }) => {
                    if self.is_a_known_beginning(&mut open()?, log.id())? {
                        return Ok(Opened::Known);
                    }
                    refused.get_or_insert(error);
                }
                // Files that share no more than the little one of them had are two files.
                Err(FileError::Rewritten { .. }) if !fingerprint.is_wholly_shared(length) => {}
                Err(error @ FileError::Rewritten { .. }) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(error) = refused
            && !self.as_new
        {
            return Err(error.into());
        }
        let mut incarnation = fingerprint.incarnation();
        if self.incarnations.contains(&incarnation) {
            incarnation = format!("{incarnation}-{}", uuid::Uuid::new_v4().simple());
        }
        let id = PartitionId::new(FILE, &incarnation, "0");
        self.incarnations.push(incarnation);
        let log = self.runtime.block_on(PartitionLog::recover(&self.store, id))?;
        let mut source = open()?;
        let resume = log.tail().last.as_ref().map(|entry| entry.resume.clone()).unwrap_or_default();
        source.resume(log.end(), &resume)?;
        Ok(Opened::At(Box::new(source), Box::new(log)))
    }

    /// Whether a file shorter than what was read of its partition is exactly what one of the commits ended at: an older
    /// copy of a file that has grown since.
    fn is_a_known_beginning(&self, source: &mut FileSource, id: &PartitionId) -> Result<bool, IngestError> {
        let (size, resume) = source.measure()?;
        let ended = self.runtime.block_on(ledger::entry_ending_at(&self.store, id, size))?;
        Ok(ended.is_some_and(|entry| entry.resume == resume))
    }

    fn pump(
        &mut self,
        source: FileSource,
        log: PartitionLog,
        summary: &mut IngestSummary,
    ) -> Result<Ingested, IngestError> {
        let dedupe = match self.dedupe.take() {
            Some(dedupe) => dedupe,
            None => self.runtime.block_on(commit::dedupe_of_all(&self.store, self.config.dedupe.horizon))?,
        };
        let from = log.end();
        let settings = WriteSettings::new(self.config);
        let mut writer = PartitionWriter::new(self.runtime.clone(), log, dedupe, settings);
        let (source, ended) = match self.config.files.threads {
            1 => self.read_and_fold(source, &mut writer, summary)?,
            threads => self.fold_beside(threads, source, &mut writer, summary)?,
        };
        // What was read before the file turned out damaged is good.
        if let Some(entry) = writer.flush()? {
            summary.add(&entry);
        }
        let to = writer.committed();
        self.dedupe = Some(writer.into_dedupe());
        ended?;
        let unfinished = source.unfinished();
        Ok(if to == from { Ingested::NothingNew { unfinished } } else { Ingested::Read { from, to, unfinished } })
    }

    /// On this thread alone: what is read stays in its core's cache until it is folded, and nobody is waited for.
    fn read_and_fold(
        &self,
        mut source: FileSource,
        writer: &mut PartitionWriter,
        summary: &mut IngestSummary,
    ) -> Result<(FileSource, Result<(), FileError>), IngestError> {
        let mut decoder = Decoder::with_settings(self.config.decode());
        loop {
            let chunk = match source.next_chunk() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok((source, Ok(()))),
                Err(error) => return Ok((source, Err(error))),
            };
            self.read.fetch_add(chunk.end - chunk.start, Ordering::Relaxed);
            writer.read(&chunk, &mut decoder);
            summary.after(chunk.end - chunk.start, writer)?;
            source.reuse(chunk.bytes);
        }
    }

    /// On this thread, beside one that reads and some that decode.
    fn fold_beside(
        &self,
        threads: usize,
        source: FileSource,
        writer: &mut PartitionWriter,
        summary: &mut IngestSummary,
    ) -> Result<(FileSource, Result<(), FileError>), IngestError> {
        let read = self.read;
        let (folded, reading) = std::thread::scope(|scope| {
            // Chunk n goes through worker n % threads, and is taken from there: so they come out in order.
            let mut to_workers: Vec<SyncSender<Chunk>> = Vec::new();
            let mut from_workers: Vec<Receiver<DecodedChunk>> = Vec::new();
            let (spent, spent_queue) = channel();
            for _ in 0..threads {
                let (chunks, chunk_queue) = sync_channel::<Chunk>(2);
                let (decoded, decoded_queue) = sync_channel(2);
                let settings = self.config.decode();
                let spent = spent.clone();
                scope.spawn(move || {
                    let mut decoder = Decoder::with_settings(settings);
                    for chunk in chunk_queue {
                        if decoded.send(chunk.decode(&mut decoder, clock::now())).is_err() {
                            return;
                        }
                        // Nobody takes it once all is read.
                        let _ = spent.send(chunk.bytes);
                    }
                });
                to_workers.push(chunks);
                from_workers.push(decoded_queue);
            }
            let reader = scope.spawn(move || read_chunks(source, &to_workers, &spent_queue, read));
            let folded = fold_all(writer, from_workers, summary);
            (folded, reader.join())
        });
        let reading = reading.map_err(|_| IngestError::Thread)?;
        folded?;
        Ok(reading)
    }
}

/// Reads to the end, or until nobody takes the chunks any more.
fn read_chunks(
    mut source: FileSource,
    workers: &[SyncSender<Chunk>],
    spent: &Receiver<Vec<u8>>,
    read: &AtomicU64,
) -> (FileSource, Result<(), FileError>) {
    for worker in workers.iter().cycle() {
        spent.try_iter().for_each(|bytes| source.reuse(bytes));
        match source.next_chunk() {
            Ok(Some(chunk)) => {
                read.fetch_add(chunk.end - chunk.start, Ordering::Relaxed);
                if worker.send(chunk).is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => return (source, Err(error)),
        }
    }
    (source, Ok(()))
}

fn fold_all(
    writer: &mut PartitionWriter,
    workers: Vec<Receiver<DecodedChunk>>,
    summary: &mut IngestSummary,
) -> Result<(), IngestError> {
    for worker in workers.iter().cycle() {
        let Ok(chunk) = worker.recv() else { return Ok(()) };
        let length = chunk.end - chunk.start;
        writer.fold(chunk);
        summary.after(length, writer)?;
    }
    Ok(())
}

impl IngestSummary {
    /// After a chunk of so many bytes was folded.
    fn after(&mut self, bytes: u64, writer: &mut PartitionWriter) -> Result<(), CommitError> {
        self.bytes += bytes;
        if writer.is_full()
            && let Some(entry) = writer.flush()?
        {
            self.add(&entry);
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) {
        self.accounting.add(&entry.accounting);
        self.commits += 1;
        self.files += entry.files.len() as u64;
        let aggregates = entry.files.iter().filter(|file| datasets::is_aggregate(&file.dataset));
        self.rows += aggregates.map(|file| file.rows).sum::<u64>();
    }

    /// The inputs that were not read to their end.
    pub fn failures(&self) -> impl Iterator<Item = (&Input, &IngestError)> {
        self.inputs.iter().filter_map(|(input, ingested)| match ingested {
            Ingested::Failed(error) => Some((input, error)),
            _ => None,
        })
    }
}

/// The size on disk of all inputs, where all have one.
pub(crate) fn total_bytes(inputs: &[Input]) -> Option<u64> {
    inputs
        .iter()
        .map(|input| match input {
            file::Input::File(path) => std::fs::metadata(path).ok().map(|metadata| metadata.len()),
            file::Input::Stdin => None,
        })
        .sum()
}
