//! Proves a directory: no gap, no overlap, no foreign, missing or altered file, and accounting that adds up, from what lies
//! on the store alone.

mod copies;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::{BinaryArray, Float64Array};
use bytes::Bytes;
use object_store::path::Path;

use self::copies::{check_copies, check_doubled, check_switched, copied};
use super::commit::DEFAULT_HORIZON;
use super::compact::generation::published_path;
use super::compact::merge::{add_to_day, check};
use super::compact::{Current, Generation, Generations, is_retired};
use super::datasets::{self, ACTIVE_USERS, DAILY, DATASETS, DEAD_LETTERS, EVENTS, IDS};
use super::ledger::{self, Entry, FileRecord, PartitionId, Starts};
use super::policies::Policies;
use super::retired::{self, Retired};
use super::{Store, StoreError};
use crate::partial::sketch::UserSketch;
use crate::partial::{Accounting, Partial, UsersRow};

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

/// Checks everything, also while workers write and compaction goes on.
///
/// The ledger is listed after the rest: what lay at its final path then has its entry by now. What a generation holds may be
/// gone; then its sums stand for the rows.
pub async fn verify(store: &Store) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let objects: BTreeSet<String> =
        store.list("").await?.into_iter().map(|object| object.location.to_string()).collect();
    let retired_before = retired::newest_paths(store, "").await?;
    let generations = Generations::read(store).await?;
    let mut chains = read_chains(store, &mut report).await?;
    // After the entries: those it stands for are complete in it, whether or not they are gone.
    let retired = retired::all_within(store, "").await?;
    let retired_since = retired::newest_paths(store, "").await?;
    let copied = copied(&generations, &objects);
    let mut held = check_generations(store, &generations, &objects, &mut report).await?;
    note_successions(store, &objects, &mut report).await?;
    let mut named: HashSet<String> = names_of(&generations, &retired);
    for (id, chain) in &mut chains {
        let retired = retired.get(id);
        let begin = match retired {
            Some(retired) => {
                chain.retain(|entry| entry.start >= retired.end);
                check_retired(store, retired, chain, &mut report).await?;
                report.accounting.add(&retired.accounting);
                report.entries += retired.entries as usize;
                retired.end
            }
            None => ledger::first_start(store, id).await?,
        };
        check_chain(id, chain, begin, &mut report);
        let mut sums = held.remove(id).unwrap_or_default();
        sums.is_partial = retired_before.get(id) != retired_since.get(id);
        for (at, entry) in chain.iter().enumerate() {
            let is_last = at + 1 == chain.len();
            report.accounting.add(&entry.accounting);
            named.extend(entry.files.iter().map(|file| file.path.clone()));
            check_entry(store, entry, is_last, &generations, &mut sums, &mut report).await?;
            check_doubled(store, entry, &copied, &mut report).await?;
        }
        check_ids(store, id, chain, retired, &mut report).await?;
        let end = chain.last().map_or(begin, |entry| entry.end);
        for generation in generations.winners().filter(|generation| generation.holds(id, end + 1)) {
            let problem = format!("it holds {id} further than its ledger goes, which ends at {end}");
            report.problem(Generation::path(&generation.date, generation.number), problem);
        }
        check_partition(id, chain, retired, &sums, &mut report);
    }
    for id in
        held.into_keys().chain(retired.keys().cloned()).filter(|id| !chains.contains_key(id)).collect::<BTreeSet<_>>()
    {
        report.problem(id, "missing: compaction holds rows of it, and it has no ledger entry");
    }
    let mut policies = Policies::default();
    retired.values().for_each(|retired| policies.and(&retired.policies));
    chains.values().flatten().for_each(|entry| policies.take(entry));
    report.notes.extend(policies.note());
    report.partitions = chains.len();
    report.entries += chains.values().map(Vec::len).sum::<usize>();
    check_switched(store, &generations, &objects, &mut report).await?;
    check_foreign(store, &objects, &named, &retired, &mut report).await?;
    let ends = chains.iter().filter_map(|(id, chain)| Some((id.clone(), chain.last()?.end))).collect();
    check_current(store, &generations, &ends, &mut report).await?;
    let shared = ids_in_several_partitions(store, &objects).await?;
    if shared > 0 {
        report.notes.push(format!(
            "{shared} log_ids were counted in more than one partition: the same events came two ways, and count twice"
        ));
    }
    Ok(report)
}

/// How many rows there are that merge with none.
#[derive(Default, Clone, Copy)]
struct Singles {
    dead_letters: u64,
    event_rows: u64,
}

impl Singles {
    /// Adds a file's, and gives how many they are.
    fn add(&mut self, dataset: &str, bytes: Bytes) -> Result<u64, String> {
        let rows = datasets::count(dataset, bytes)?;
        *(if dataset == EVENTS { &mut self.event_rows } else { &mut self.dead_letters }) += rows;
        Ok(rows)
    }
}

/// What of one partition compaction holds, and what else of it was found.
#[derive(Default)]
struct Sums {
    events: u64,
    dead_letters: u64,
    event_rows: u64,
    /// Whether something could not be read, or went while it was looked at: then nothing can be said of the sum.
    is_partial: bool,
}

/// Checks the files of each day's winner against what it says, and gives what they hold of each partition.
async fn check_generations(
    store: &Store,
    generations: &Generations,
    objects: &BTreeSet<String>,
    report: &mut Report,
) -> Result<BTreeMap<PartitionId, Sums>, StoreError> {
    let mut held: BTreeMap<PartitionId, Sums> = BTreeMap::new();
    for generation in generations.winners() {
        for merged in &generation.merged {
            let sums = held.entry(merged.partition_id()).or_default();
            sums.events += merged.events;
            sums.dead_letters += merged.dead_letters;
            sums.event_rows += merged.event_rows;
        }
        match check_generation(store, generation, report).await? {
            None => check_copies(store, generation, objects, report).await?,
            // A newer one may have replaced it meanwhile; whoever verifies again sees that one.
            Some(missing) => {
                let winner = Generations::winner_of(store, &generation.date).await?;
                if winner.is_none_or(|winner| winner.number == generation.number) {
                    let problem = format!("a file of it is missing: {}", missing.path);
                    report.problem(Generation::path(&generation.date, generation.number), problem);
                }
            }
        }
    }
    Ok(held)
}

/// Conservation within a day: its rows are what was merged, and `daily` is what they come to. Says which file is missing, if
/// one is.
async fn check_generation<'g>(
    store: &Store,
    generation: &'g Generation,
    report: &mut Report,
) -> Result<Option<&'g FileRecord>, StoreError> {
    let (mut partial, mut daily, mut singles) = (Partial::default(), Partial::default(), Singles::default());
    for file in &generation.files {
        report.files += 1;
        let Some(bytes) = store.get_if_there(&Path::from(file.path.as_str())).await? else { return Ok(Some(file)) };
        let read = match check(file, &bytes).map_err(str::to_owned).and_then(|()| check_rows(file, &bytes)) {
            Err(problem) => Err(problem),
            Ok(()) => match file.dataset.as_str() {
                DEAD_LETTERS | EVENTS => singles.add(&file.dataset, bytes).map(drop),
                DAILY => {
                    check_estimates(DAILY, &bytes).and_then(|()| datasets::absorb(ACTIVE_USERS, bytes, &mut daily))
                }
                dataset => {
                    check_estimates(dataset, &bytes).and_then(|()| datasets::absorb(dataset, bytes, &mut partial))
                }
            },
        };
        if let Err(problem) = read {
            report.problem(&file.path, problem);
            return Ok(None);
        }
    }
    let (mut accounting, mut by_day) = (Accounting::default(), Partial::default());
    for merged in &generation.merged {
        accounting.counted += merged.events;
        accounting.dead_letters += merged.dead_letters;
        accounting.event_rows += merged.event_rows;
    }
    let place = Generation::path(&generation.date, generation.number);
    check_sums(&place, &accounting, &partial, singles, None, report);
    add_to_day(&mut by_day, &partial, &generation.date);
    let is_same = |(one, other): (&UsersRow<'_>, &UsersRow<'_>)| {
        (one.tenant, one.dimension, one.key, one.events, one.logins, one.signups)
            == (other.tenant, other.dimension, other.key, other.events, other.logins, other.signups)
            && one.users.registers() == other.users.registers()
    };
    let (expected, found) = (by_day.users(), daily.users());
    if expected.len() != found.len() || !expected.iter().zip(&found).all(is_same) {
        report.problem(place, "its daily rows are not what its windows come to");
    }
    Ok(None)
}

/// A file has as many rows as was recorded of it, which table formats go by.
fn check_rows(file: &FileRecord, bytes: &Bytes) -> Result<(), String> {
    let found = match file.dataset.as_str() {
        IDS => datasets::decode_ids(bytes)?.len() as u64,
        _ => datasets::rows(bytes.clone())?,
    };
    match found == file.rows {
        true => Ok(()),
        false => Err(format!("it has {found} rows, and {} were recorded of it", file.rows)),
    }
}

/// Everything that a generation or a sum of retired entries accounts for.
fn names_of(generations: &Generations, retired: &BTreeMap<PartitionId, Retired>) -> HashSet<String> {
    let files = generations.all().flat_map(|generation| &generation.files);
    let mut named: HashSet<String> =
        files.flat_map(|file| [Some(file.path.clone()), published_path(&file.path)]).flatten().collect();
    named.extend(retired.values().flat_map(|retired| &retired.ids).map(|file| file.path.clone()));
    named
}

async fn check_retired(
    store: &Store,
    retired: &Retired,
    chain: &[Entry],
    report: &mut Report,
) -> Result<(), StoreError> {
    let id = retired.partition_id();
    if !retired.accounting.adds_up() {
        report.problem(&id, format!("the sum of its retired entries does not add up: {:?}", retired.accounting));
    }
    if chain.is_empty() {
        report.problem(&id, "missing: its last entry, which always stays");
    }
    for gap in &retired.gaps {
        report.notes.push(format!("{id}: {} to {} was never read, as allowed: {}", gap.start, gap.end, gap.reason));
    }
    for file in &retired.ids {
        // Ids go by age; those that are there are those that were written.
        if let Some(bytes) = store.get_if_there(&Path::from(file.path.as_str())).await?
            && let Err(problem) = check(file, &bytes)
        {
            report.problem(&file.path, problem);
        }
    }
    Ok(())
}

/// A partition that can go on has the ids of its last events, by which what comes again is known. Older ones go by age.
async fn check_ids(
    store: &Store,
    id: &PartitionId,
    chain: &[Entry],
    retired: Option<&Retired>,
    report: &mut Report,
) -> Result<(), StoreError> {
    if id.source == super::STDIN {
        return Ok(());
    }
    let of_retired = retired.into_iter().flat_map(|retired| &retired.ids);
    let of_entries = chain.iter().flat_map(|entry| &entry.files).filter(|file| file.dataset == IDS);
    let mut newer = 0;
    for file in of_retired.chain(of_entries).collect::<Vec<_>>().into_iter().rev() {
        if newer >= DEFAULT_HORIZON as u64 {
            break;
        }
        newer += file.rows;
        let is_there = store.exists(&Path::from(file.path.as_str())).await?;
        // The last entry's may wait to be published, and is looked for elsewhere.
        let is_of_last = chain.last().is_some_and(|last| last.files.contains(file));
        // Put together with others since.
        if !is_there && !is_of_last && Retired::newest(store, id).await?.as_ref() == retired {
            report.problem(&file.path, "missing: what comes again of its events would be counted twice");
        }
    }
    Ok(())
}

/// Conservation over all of a partition: what was counted is in the generations' rows and in the files they do not hold.
fn check_partition(id: &PartitionId, chain: &[Entry], retired: Option<&Retired>, sums: &Sums, report: &mut Report) {
    let mut expected = retired.map(|retired| retired.accounting).unwrap_or_default();
    chain.iter().for_each(|entry| expected.add(&entry.accounting));
    if sums.is_partial {
        return;
    }
    for (what, found, expected) in [
        ("events in all its rows", sums.events, expected.counted),
        ("dead letters in all its rows", sums.dead_letters, expected.dead_letters),
        ("rows of events", sums.event_rows, expected.event_rows),
    ] {
        if found != expected {
            report.problem(id, format!("{found} {what}, its ledger says {expected}"));
        }
    }
}

/// Whether `_current/` says what to read. An older list that names what has gone since is no loss: it is written anew.
async fn check_current(
    store: &Store,
    generations: &Generations,
    ends: &BTreeMap<PartitionId, u64>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut lists = Vec::new();
    for dataset in DATASETS {
        let place = format!("_current/{dataset}.json");
        let current = match Current::read(store, dataset).await {
            Ok(Some(current)) => current,
            Ok(None) => continue,
            Err(error) if error.is_damaged() => {
                report.problem(place, "damaged; `ghostlight compact` writes it anew");
                continue;
            }
            Err(error) => return Err(error),
        };
        let files = |date: &str, number| {
            let found = generations.all().find(|one| one.date == date && one.number == number)?;
            let its = found.files.iter().filter(|file| file.dataset == dataset);
            Some(its.map(|file| file.path.clone()).collect())
        };
        current.problems(files).into_iter().for_each(|problem| report.problem(&place, problem));
        for file in &current.files {
            if !store.exists(&Path::from(file.path.as_str())).await? {
                report.notes.push(format!("{place} names files that are gone; the next compaction writes it anew"));
                break;
            }
        }
        lists.push(current);
    }
    let is_behind = |(id, end): &(&PartitionId, &u64)| {
        let through = lists.first().into_iter().flat_map(|current| &current.through);
        let of_id = through.filter(|through| through.partition_id() == **id).map(|through| through.end);
        of_id.max().is_none_or(|through| through < **end)
    };
    let behind = if lists.is_empty() { 0 } else { ends.iter().filter(is_behind).count() };
    if behind > 0 {
        report.notes.push(format!(
            "_current/ is as of the last compaction: it lacks what was committed since in {behind} of {} partitions",
            ends.len()
        ));
    }
    let views = store.get_if_there(&Current::views_path()).await?;
    if lists.len() == DATASETS.len() && !views.is_some_and(|views| Current::are_views(&lists, &views)) {
        let place = Current::views_path();
        report.notes.push(format!("{place} is not what the lists beside it say; the next compaction writes it anew"));
    }
    Ok(())
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
            // Retired since it was listed.
            Err(error) if error.is_not_found() => {}
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
            std::cmp::Ordering::Greater => {
                report.problem(id, format!("gap: nothing covers {end} to {start}: {} is gone", id.entry_path(end)))
            }
            std::cmp::Ordering::Less => report.problem(id, format!("overlap: {start} to {end} is covered twice")),
            std::cmp::Ordering::Equal => {}
        }
    }
}

async fn check_entry(
    store: &Store,
    entry: &Entry,
    is_last: bool,
    generations: &Generations,
    sums: &mut Sums,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut partial = Partial::default();
    let (mut singles, mut ids) = (Singles::default(), None);
    let mut complete = true;
    for (at, file) in entry.files.iter().enumerate() {
        let is_held = is_held(generations, entry, file);
        let bytes = match find_file(store, entry, at, file, is_last).await? {
            Place::Found(bytes) => bytes,
            Place::Staged(bytes) => {
                let path = &file.path;
                report
                    .notes
                    .push(format!("{path}: committed, not yet published; the next run of its partition publishes it"));
                bytes
            }
            Place::Gone => {
                complete &= file.dataset == IDS;
                if !is_held && file.dataset != IDS {
                    sums.is_partial = true;
                }
                continue;
            }
            Place::Missing => {
                let place = format!("the ledger entry of {} at {} names it", entry.partition_id(), entry.start);
                report.problem(&file.path, format!("missing: {place}"));
                complete = false;
                sums.is_partial |= !is_held;
                continue;
            }
        };
        report.files += 1;
        if check(file, &bytes).is_err() {
            report.problem(&file.path, "altered: its size or SHA-256 is not what the ledger says");
            complete = false;
            sums.is_partial |= !is_held;
            continue;
        }
        if let Err(problem) = check_rows(file, &bytes) {
            report.problem(&file.path, problem);
        }
        let mut rows = Partial::default();
        let read = match file.dataset.as_str() {
            IDS => datasets::decode_ids(&bytes).map(|found| ids = Some(found.len() as u64)),
            DEAD_LETTERS | EVENTS => singles.add(&file.dataset, bytes).map(|rows| match file.dataset.as_str() {
                _ if is_held => {}
                EVENTS => sums.event_rows += rows,
                _ => sums.dead_letters += rows,
            }),
            dataset => check_estimates(dataset, &bytes).and_then(|()| datasets::absorb(dataset, bytes, &mut rows)),
        };
        if !is_held {
            sums.events += rows.counts().iter().map(|row| row.events).sum::<u64>();
        }
        partial.merge(&rows);
        if let Err(problem) = read {
            report.problem(&file.path, problem);
            complete = false;
            sums.is_partial |= !is_held;
        }
    }
    if complete {
        let place = format!("{} at {}", entry.partition_id(), entry.start);
        check_sums(&place, &entry.accounting, &partial, singles, ids, report);
    }
    Ok(())
}

/// Whether the rows of a file are in its day's generation.
fn is_held(generations: &Generations, entry: &Entry, file: &FileRecord) -> bool {
    let winner = file.date().and_then(|date| generations.winner(date));
    winner.is_some_and(|winner| winner.holds(&entry.partition_id(), entry.end))
}

/// Where a committed file is.
enum Place {
    Found(Bytes),
    Staged(Bytes),
    /// Rightly: its ids are old, or compaction holds its rows.
    Gone,
    Missing,
}

/// A committed file, wherever it legitimately is.
async fn find_file(
    store: &Store,
    entry: &Entry,
    at: usize,
    file: &FileRecord,
    is_last: bool,
) -> Result<Place, StoreError> {
    let published = Path::from(file.path.as_str());
    if let Some(bytes) = store.get_if_there(&published).await? {
        return Ok(Place::Found(bytes));
    }
    if is_last {
        if let Some(bytes) = store.get_if_there(&super::commit::stage_path(entry, at)).await? {
            return Ok(Place::Staged(bytes));
        }
        // Published between the two looks.
        if let Some(bytes) = store.get_if_there(&published).await? {
            return Ok(Place::Found(bytes));
        }
    }
    // Ids are retired by age, under the settings of whoever does it; what a partition goes on with is kept.
    let is_old_ids = file.dataset == IDS && (!is_last || entry.source == super::STDIN);
    match is_old_ids || is_retired(store, entry, file).await? {
        true => Ok(Place::Gone),
        false => Ok(Place::Missing),
    }
}

/// Whether every sketch is one, and its written estimate and bounds are those it gives.
fn check_estimates(dataset: &str, bytes: &Bytes) -> Result<(), String> {
    if dataset != ACTIVE_USERS && dataset != DAILY {
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
fn check_sums(
    place: &impl std::fmt::Display,
    accounting: &Accounting,
    partial: &Partial,
    singles: Singles,
    ids: Option<u64>,
    report: &mut Report,
) {
    let counts = partial.counts();
    let of_class = |class: &str| counts.iter().filter(|row| row.class() == class).map(|row| row.events).sum::<u64>();
    let tokens = partial.tokens();
    let sums = [
        ("events in event_counts", counts.iter().map(|row| row.events).sum(), accounting.counted),
        ("rows in dead_letters", singles.dead_letters, accounting.dead_letters),
        ("rows in events", singles.event_rows, accounting.event_rows),
        ("ids in the id file", ids.unwrap_or(accounting.counted), accounting.counted),
        ("tokens issued in m2m_tokens", tokens.iter().map(|row| row.issued).sum(), of_class("m2m-ok")),
        ("tokens refused in m2m_tokens", tokens.iter().map(|row| row.failed).sum(), of_class("m2m-fail")),
    ];
    for (what, found, expected) in sums {
        if found != expected {
            report.problem(place, format!("{found} {what}, the accounting says {expected}"));
        }
    }
}

async fn check_foreign(
    store: &Store,
    objects: &BTreeSet<String>,
    named: &HashSet<String>,
    retired: &BTreeMap<PartitionId, Retired>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let (mut staged, mut making) = (0, 0);
    for path in objects {
        let top = path.split('/').next().unwrap_or_default();
        const OTHERS: [&str; 9] = [
            "_ledger",
            "_snapshots",
            "_starts",
            "_progress",
            "_alerts",
            "_probe",
            "_generations",
            "_retired",
            "_current",
        ];
        if named.contains(path) || OTHERS.contains(&top) || top.starts_with("_probe-") {
            continue;
        }
        match top {
            // Of an entry that was retired, and about to go.
            IDS if is_of_retired(path, retired) => {}
            "_staging" => staged += 1,
            "_compacted" => making += 1,
            _ if DATASETS.contains(&top) || top == IDS => {
                // Unless it was retired since it was listed.
                if store.exists(&Path::from(path.as_str())).await? {
                    report.problem(path, "foreign: no ledger entry names it, and readers by glob would take it in");
                }
            }
            _ => report.notes.push(format!("{path}: not ghostlight's")),
        }
    }
    if staged > 0 {
        report.notes.push(format!("{staged} staged files of commits under way or interrupted; no reader sees them"));
    }
    if making > 0 {
        report.notes.push(format!("{making} files of compaction under way or replaced; no reader sees them"));
    }
    Ok(())
}

fn is_of_retired(path: &str, retired: &BTreeMap<PartitionId, Retired>) -> bool {
    let path = Path::from(path);
    let retired = PartitionId::of_path(&path).and_then(|id| retired.get(&id));
    let end = retired::range_of_ids(&path).map(|(_, end)| end);
    retired.zip(end).is_some_and(|(retired, end)| end <= retired.end)
}

/// How many ids at a time; bounds the memory to some 100 MB however large the directory is.
const IDS_AT_ONCE: u64 = 4_000_000;

async fn ids_in_several_partitions(store: &Store, objects: &BTreeSet<String>) -> Result<u64, StoreError> {
    let mut partitions: Vec<PartitionId> = Vec::new();
    let mut files = Vec::new();
    let mut count = 0;
    // Sorted by partition.
    for object in
        retired::id_files(store, "").await?.into_iter().filter(|object| objects.contains(object.location.as_ref()))
    {
        let Some(id) = PartitionId::of_path(&object.location) else { continue };
        if partitions.last() != Some(&id) {
            partitions.push(id);
        }
        count += object.size / 8;
        files.push((partitions.len(), object.location));
    }
    if partitions.len() < 2 {
        return Ok(0);
    }
    let passes = count.div_ceil(IDS_AT_ONCE).max(1);
    let mut shared = 0;
    for pass in 0..passes {
        // The partition an id was first met in; `None` once it was met in another.
        let mut met: HashMap<u64, Option<usize>> = HashMap::new();
        for (partition, path) in &files {
            let Some(bytes) = store.get_if_there(path).await? else { continue };
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
