//! Proves a directory: no gap, no overlap, no foreign, missing or altered file, and accounting that adds up, from what lies
//! on the store alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::{BinaryArray, Float64Array};
use bytes::Bytes;
use object_store::path::Path;

use super::commit::sha256;
use super::datasets::{self, ACTIVE_USERS, DATASETS, DEAD_LETTERS, IDS};
use super::ledger::{self, Entry, FileRecord, PartitionId, Starts};
use super::{Store, StoreError};
use crate::partial::sketch::UserSketch;
use crate::partial::{Accounting, Partial};

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    pub partitions: usize,
    pub entries: usize,
    pub files: usize,
    pub accounting: Accounting,
    /// Where the directory is not what its ledger says.
    pub problems: Vec<String>,
    /// What is worth knowing, and no error.
    pub notes: Vec<String>,
}

impl Report {
    fn problem(&mut self, path: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.problems.push(format!("{path}: {what}"));
    }
}

/// Checks everything, also while workers write.
///
/// The ledger is listed after the rest: what lay at its final path then has its entry by now.
pub async fn verify(store: &Store) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let objects: BTreeSet<String> =
        store.list("").await?.into_iter().map(|object| object.location.to_string()).collect();
    let chains = read_chains(store, &mut report).await?;
    let mut named: HashSet<String> = HashSet::new();
    note_successions(store, &objects, &mut report).await?;
    for (id, chain) in &chains {
        let starts = Starts::read(store, &id.source, &id.incarnation).await?.unwrap_or_default();
        check_chain(id, chain, starts.of(&id.partition), &mut report);
        for (at, entry) in chain.iter().enumerate() {
            let is_last = at + 1 == chain.len();
            report.accounting.add(&entry.accounting);
            named.extend(entry.files.iter().map(|file| file.path.clone()));
            check_entry(store, entry, is_last, &mut report).await?;
        }
    }
    report.partitions = chains.len();
    report.entries = chains.values().map(Vec::len).sum();
    check_foreign(&objects, &named, &mut report);
    let shared = ids_in_several_partitions(store, &chains, &objects).await?;
    if shared > 0 {
        report.notes.push(format!(
            "{shared} log_ids were counted in more than one partition: the same events came two ways, and count twice"
        ));
    }
    Ok(report)
}

/// Says which sources were made anew: what of the former was never read, nobody knows.
async fn note_successions(store: &Store, objects: &BTreeSet<String>, report: &mut Report) -> Result<(), StoreError> {
    for path in objects.iter().filter(|path| path.starts_with("_starts/kafka.")) {
        let parts = path.strip_suffix(".json").and_then(|path| path.strip_prefix("_starts/")?.split_once('/'));
        let Some((source, incarnation)) = parts else { continue };
        let starts = Starts::read(store, source, incarnation).await?;
        if let Some(after) = starts.and_then(|starts| starts.after) {
            report.notes.push(format!(
                "{source}: {incarnation} was read after {after}, as allowed; what was in the former, and not read, is lost"
            ));
        }
    }
    Ok(())
}

async fn read_chains(store: &Store, report: &mut Report) -> Result<BTreeMap<PartitionId, Vec<Entry>>, StoreError> {
    let mut chains: BTreeMap<PartitionId, Vec<Entry>> = BTreeMap::new();
    // Paths sort by partition and, zero-padded, by start.
    for found in store.list("_ledger").await? {
        match ledger::read_entry(store, &found.location).await {
            Ok(entry) => chains.entry(entry.partition_id()).or_default().push(entry),
            Err(StoreError::Damaged { path, problem }) => report.problem(path, problem),
            Err(StoreError::Newer { path, found, .. }) => {
                report.problem(path, format!("written in newer format {found}"))
            }
            Err(error) => return Err(error),
        }
    }
    Ok(chains)
}

fn check_chain(id: &PartitionId, chain: &[Entry], begin: u64, report: &mut Report) {
    if let Some(first) = chain.first().filter(|first| first.start != begin) {
        report.problem(id, format!("gap: the first entry begins at {}, not at {begin}", first.start));
    }
    for entry in chain {
        if let Some(reason) = &entry.gap {
            report.notes.push(format!("{id}: {} to {} was never read, as allowed: {reason}", entry.start, entry.end));
        }
    }
    for pair in chain.windows(2) {
        let (end, start) = (pair[0].end, pair[1].start);
        match start.cmp(&end) {
            std::cmp::Ordering::Greater => report.problem(id, format!("gap: nothing covers {end} to {start}")),
            std::cmp::Ordering::Less => report.problem(id, format!("overlap: {start} to {end} is covered twice")),
            std::cmp::Ordering::Equal => {}
        }
    }
}

async fn check_entry(store: &Store, entry: &Entry, is_last: bool, report: &mut Report) -> Result<(), StoreError> {
    let mut partial = Partial::default();
    let (mut dead_letters, mut ids) = (0, None);
    let mut complete = true;
    for (at, file) in entry.files.iter().enumerate() {
        report.files += 1;
        let Some(bytes) = find_file(store, entry, at, file, is_last, report).await? else {
            complete = false;
            continue;
        };
        if bytes.len() as u64 != file.bytes || sha256(&bytes) != file.sha256 {
            report.problem(&file.path, "altered: its size or SHA-256 is not what the ledger says");
            complete = false;
            continue;
        }
        let read = match file.dataset.as_str() {
            IDS => datasets::decode_ids(&bytes).map(|found| ids = Some(found.len() as u64)),
            DEAD_LETTERS => datasets::dead_letters(bytes).map(|letters| dead_letters += letters.len() as u64),
            dataset => check_estimates(dataset, &bytes).and_then(|()| datasets::absorb(dataset, bytes, &mut partial)),
        };
        if let Err(problem) = read {
            report.problem(&file.path, problem);
            complete = false;
        }
    }
    if complete {
        check_sums(entry, &partial, dead_letters, ids, report);
    }
    Ok(())
}

/// The bytes of a committed file, wherever it legitimately is.
async fn find_file(
    store: &Store,
    entry: &Entry,
    at: usize,
    file: &FileRecord,
    is_last: bool,
    report: &mut Report,
) -> Result<Option<Bytes>, StoreError> {
    let published = Path::from(file.path.as_str());
    if let Some(bytes) = store.get_if_there(&published).await? {
        return Ok(Some(bytes));
    }
    if is_last {
        if let Some(bytes) = store.get_if_there(&super::commit::stage_path(entry, at)).await? {
            report
                .notes
                .push(format!("{published}: committed, not yet published; the next run of its partition publishes it"));
            return Ok(Some(bytes));
        }
        // Published between the two looks.
        if let Some(bytes) = store.get_if_there(&published).await? {
            return Ok(Some(bytes));
        }
    }
    // Ids are retired by age, under the settings of whoever does it; what a partition goes on with is kept.
    if file.dataset == IDS && (!is_last || entry.source == super::STDIN) {
        return Ok(None);
    }
    report.problem(
        &file.path,
        format!("missing: the ledger entry of {} at {} names it", entry.partition_id(), entry.start),
    );
    Ok(None)
}

/// Whether every sketch is one, and its written estimate and bounds are those it gives.
fn check_estimates(dataset: &str, bytes: &Bytes) -> Result<(), String> {
    if dataset != ACTIVE_USERS {
        return Ok(());
    }
    for batch in datasets::read(dataset, bytes.clone())? {
        let column = |name: &str| batch.column_by_name(name).map(|column| column.as_any());
        let floats = |name| column(name).and_then(|column| column.downcast_ref::<Float64Array>()).ok_or("no estimates");
        let sketches =
            column("users_hll").and_then(|column| column.downcast_ref::<BinaryArray>()).ok_or("no sketches")?;
        let (estimate, lower, upper) = (floats("users_estimate")?, floats("users_lower")?, floats("users_upper")?);
        for row in 0..batch.num_rows() {
            let users = UserSketch::from_bytes(sketches.value(row)).map_err(|error| error.to_string())?.estimate();
            if (users.estimate, users.lower, users.upper) != (estimate.value(row), lower.value(row), upper.value(row)) {
                return Err(format!("row {row}: the written estimate is not the sketch's"));
            }
            if !(users.lower <= users.estimate && users.estimate <= users.upper) {
                return Err(format!("row {row}: the estimate is not within its bounds"));
            }
        }
    }
    Ok(())
}

/// Conservation: the rows hold exactly the events the accounting says were counted.
fn check_sums(entry: &Entry, partial: &Partial, dead_letters: u64, ids: Option<u64>, report: &mut Report) {
    let counts = partial.counts();
    let of_class = |class: &str| counts.iter().filter(|row| row.class() == class).map(|row| row.events).sum::<u64>();
    let tokens = partial.tokens();
    let sums = [
        ("events in event_counts", counts.iter().map(|row| row.events).sum(), entry.accounting.counted),
        ("rows in dead_letters", dead_letters, entry.accounting.dead_letters),
        ("ids in the id file", ids.unwrap_or(entry.accounting.counted), entry.accounting.counted),
        ("tokens issued in m2m_tokens", tokens.iter().map(|row| row.issued).sum(), of_class("m2m-ok")),
        ("tokens refused in m2m_tokens", tokens.iter().map(|row| row.failed).sum(), of_class("m2m-fail")),
    ];
    for (what, found, expected) in sums {
        if found != expected {
            let place = format!("{} at {}", entry.partition_id(), entry.start);
            report.problem(place, format!("{found} {what}, the accounting says {expected}"));
        }
    }
}

fn check_foreign(objects: &BTreeSet<String>, named: &HashSet<String>, report: &mut Report) {
    let mut staged = 0;
    for path in objects {
        let top = path.split('/').next().unwrap_or_default();
        const OTHERS: [&str; 6] = ["_ledger", "_snapshots", "_starts", "_progress", "_alerts", "_probe"];
        if named.contains(path) || OTHERS.contains(&top) {
            continue;
        }
        if top == "_staging" {
            staged += 1;
        } else if DATASETS.contains(&top) || top == IDS {
            report.problem(path, "foreign: no ledger entry names it, and readers by glob would take it in");
        } else {
            report.notes.push(format!("{path}: not ghostlight's"));
        }
    }
    if staged > 0 {
        report.notes.push(format!("{staged} staged files of commits under way or interrupted; no reader sees them"));
    }
}

/// How many ids at a time; bounds the memory to some 100 MB however large the directory is.
const IDS_AT_ONCE: u64 = 4_000_000;

async fn ids_in_several_partitions(
    store: &Store,
    chains: &BTreeMap<PartitionId, Vec<Entry>>,
    objects: &BTreeSet<String>,
) -> Result<u64, StoreError> {
    if chains.len() < 2 {
        return Ok(0);
    }
    let files: Vec<(usize, &FileRecord)> = chains
        .values()
        .enumerate()
        .flat_map(|(at, chain)| chain.iter().flat_map(move |entry| entry.files.iter().map(move |file| (at, file))))
        .filter(|(_, file)| file.dataset == IDS && objects.contains(&file.path))
        .collect();
    let passes = files.iter().map(|(_, file)| file.rows).sum::<u64>().div_ceil(IDS_AT_ONCE).max(1);
    let mut shared = 0;
    for pass in 0..passes {
        // The partition an id was first met in; `None` once it was met in another.
        let mut met: HashMap<u64, Option<usize>> = HashMap::new();
        for (partition, file) in &files {
            let Some(bytes) = store.get_if_there(&Path::from(file.path.as_str())).await? else { continue };
            for id in datasets::decode_ids(&bytes).unwrap_or_default() {
                if id % passes != pass {
                    continue;
                }
                let first = met.entry(id).or_insert(Some(*partition));
                if first.is_some_and(|first| first != *partition) {
                    *first = None;
                    shared += 1;
                }
            }
        }
    }
    Ok(shared)
}
