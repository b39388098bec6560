//! What goes once a generation has held it for long: files, older generations, and ledger entries.
//!
//! The order of each step is what keeps it safe; every one is idempotent, and any process may go on with it.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use object_store::path::Path;

use super::generation::{parse_file_path, published_path};
use super::{Compactor, Generation, Round, is_over_for_a_day};
use crate::event::EventTime;
use crate::store::commit::stage_path;
use crate::store::datasets::{self, DATASETS, IDS};
use crate::store::ledger::{self, Entry, FileRecord, PartitionId};
use crate::store::retired::{self, Retired};
use crate::store::{Created, FILE, Store, StoreError};

/// Ids that one file of retired entries takes: 64 MB.
const IDS_MAX: u64 = 8_000_000;

impl Compactor {
    pub(super) async fn retire(&mut self, now: EventTime, round: &mut Round) -> Result<(), StoreError> {
        let until = now.before(self.settings.keep);
        let is_done = |date: &String| {
            let switched = self.switched.get(date);
            switched.is_some() && self.generations.winner(date).map(|winner| &winner.number) == switched
        };
        let dates: Vec<_> = self.generations.dates().into_iter().filter(|date| !is_done(date)).collect();
        self.sweep_files(&dates, until).await?;
        for date in dates {
            let Some(settled) = self.generations.settled(&date, until).cloned() else { continue };
            if is_over_for_a_day(&date, now) && self.switched.get(&date) != Some(&settled.number) {
                self.switch(&settled, round).await?;
            }
        }
        for id in self.chains.keys().cloned().collect::<Vec<_>>() {
            self.retire_entries(&id, until, round).await?;
        }
        Ok(())
    }

    /// Removes files of generations older than the settled ones, and of generations that never were. Before the generations'
    /// entries, so that nobody who slept can publish a copy of them any more.
    async fn sweep_files(&self, dates: &[String], until: EventTime) -> Result<(), StoreError> {
        if dates.is_empty() {
            return Ok(());
        }
        for object in self.store.list("_compacted").await? {
            let Some((date, number, nonce)) = parse_file_path(object.location.as_ref()) else { continue };
            let Some(winner) = self.generations.winner(&date).filter(|_| dates.contains(&date)) else { continue };
            let settled = self.generations.settled(&date, until).map_or(0, |settled| settled.number);
            let is_kept = number >= settled && self.generations.nonce(&date, number) == Some(nonce.as_str());
            // One of a later number may be somebody's who is about to commit it.
            if number <= winner.number && !is_kept {
                self.store.delete(&object.location).await?;
            }
        }
        Ok(())
    }

    /// Makes the folders of a day hold the files of `to` in place of all that it holds. First what is there goes, then the
    /// copies come: a reader by glob may find less for a moment, and never a row twice.
    async fn switch(&mut self, to: &Generation, round: &mut Round) -> Result<(), StoreError> {
        let held = self.held_files(to);
        let staged: HashSet<Path> =
            self.store.list("_staging").await?.into_iter().map(|object| object.location).collect();
        if held.values().any(|stage| staged.contains(stage)) {
            // Somebody may still be publishing it; recovery does.
            return Ok(());
        }
        let said: Vec<u64> =
            self.generations.switched().filter(|(date, _)| *date == to.date).map(|(_, number)| *number).collect();
        for number in said.iter().filter(|number| **number < to.number) {
            self.store.delete(&Generation::switched_path(&to.date, *number)).await?;
        }
        let mut there = HashSet::new();
        for dataset in DATASETS {
            for object in self.store.list(&format!("{dataset}/date={}", to.date)).await? {
                let path = object.location.as_ref();
                let is_older = parse_file_path(path).is_some_and(|(_, number, _)| number < to.number);
                if is_older || held.contains_key(path) {
                    self.store.delete(&object.location).await?;
                    round.retired_files += 1;
                } else {
                    there.insert(path.to_owned());
                }
            }
        }
        for file in &to.files {
            let Some(copy) = published_path(&file.path).filter(|copy| !there.contains(copy)) else { continue };
            if !self.store.copy(&Path::from(file.path.as_str()), &Path::from(copy)).await? {
                // Another process went on to a later generation; or it is lost, which the next round sees.
                self.whole.remove(&to.date);
                return Ok(());
            }
        }
        if !said.contains(&to.number) {
            self.store.put(&Generation::switched_path(&to.date, to.number), Bytes::new()).await?;
        }
        for generation in self.generations.all() {
            if generation.date == to.date && generation.number < to.number {
                self.store.delete(&Generation::path(&generation.date, generation.number)).await?;
            }
        }
        round.switched_days += 1;
        self.switched.insert(to.date.clone(), to.number);
        Ok(())
    }

    /// The committed files whose rows `to` holds, with where each was staged.
    fn held_files(&self, to: &Generation) -> BTreeMap<&str, Path> {
        let mut held = BTreeMap::new();
        for (id, chain) in &self.chains {
            for entry in chain.entries.values() {
                if !to.holds(id, entry.end) {
                    continue;
                }
                for (at, file) in entry.files.iter().enumerate() {
                    if file.date() == Some(to.date.as_str()) {
                        held.insert(file.path.as_str(), stage_path(entry, at));
                    }
                }
            }
        }
        held
    }

    /// Turns a partition's first entries into their sum, once all their files are gone. Those of files stay: where each
    /// ended is how an older copy of a file is known.
    async fn retire_entries(
        &mut self,
        id: &PartitionId,
        until: EventTime,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        if id.source == FILE {
            return Ok(());
        }
        let Some(chain) = self.chains.get(id) else { return Ok(()) };
        let is_gone = |entry: &Entry, file: &FileRecord| match file.date() {
            Some(date) => self.is_switched(date, |generation| generation.holds(id, entry.end)),
            None => file.dataset == IDS,
        };
        let mut entries: Vec<&Entry> = chain
            .visible()
            .take_while(|entry| entry.committed_at <= until && entry.files.iter().all(|file| is_gone(entry, file)))
            .collect();
        if entries.len() as u64 >= self.settings.entries_min {
            // Whoever recovers reads on from the last snapshot, or from the last entry.
            let last = chain.entries.keys().next_back().copied().unwrap_or_default();
            let first_kept = ledger::last_snapshot_start(&self.store, id).await?.map_or(last, |start| start.min(last));
            entries.retain(|entry| entry.start < first_kept);
        }
        let is_due = !entries.is_empty() && entries.len() as u64 >= self.settings.entries_min;
        if is_due {
            retire(&self.store, chain.retired.as_ref(), &entries).await?;
        }
        if is_due || chain.has_leftovers {
            round.retired_entries += retired::sweep(&self.store, id).await?;
        }
        Ok(())
    }

    fn is_switched(&self, date: &str, to: impl Fn(&Generation) -> bool) -> bool {
        let Some(number) = self.switched.get(date) else { return false };
        self.generations
            .all()
            .any(|generation| generation.date == date && generation.number == *number && to(generation))
    }
}

/// Writes what follows `before`: the sum of `entries` added to it. Whoever loses leaves it to the winner.
async fn retire(store: &Store, before: Option<&Retired>, entries: &[&Entry]) -> Result<(), StoreError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let mut made = Retired::after(before, first);
    entries.iter().for_each(|entry| made.add(entry));
    let written = merge_ids(store, &mut made, entries).await?;
    let created = made.create(store).await;
    if matches!(created, Ok(Created::Now)) {
        return Ok(());
    }
    // Another's, or ours whose answer was lost; or what others made from it since, which names what still counts.
    match Retired::newest(store, &made.partition_id()).await? {
        Some(there) if there.number >= made.number => {
            for path in written.iter().filter(|path| !there.names(path)) {
                store.delete(path).await?;
            }
            Ok(())
        }
        // The write may still arrive: its files stay, and are swept with the next sum.
        _ => created.map(drop),
    }
}

/// Makes few id files of many, and gives the paths of those written. Each file is at least twice as large as the one after
/// it, or as large as one may be, so their number grows with the logarithm of the ids.
async fn merge_ids(store: &Store, made: &mut Retired, entries: &[&Entry]) -> Result<Vec<Path>, StoreError> {
    let id = made.partition_id();
    let mut listed = store.list(&id.folder(IDS)).await?;
    listed.extend(store.list(&id.folder("_retired")).await?);
    let there: HashSet<String> = listed.into_iter().map(|object| object.location.to_string()).collect();
    let of_entries = entries.iter().flat_map(|entry| &entry.files).filter(|file| file.dataset == IDS);
    let mut groups: Vec<(u64, Vec<FileRecord>)> = Vec::new();
    for (at, file) in made.ids.iter().chain(of_entries).enumerate().filter(|(_, file)| there.contains(&file.path)) {
        let (mut rows, mut files) = (file.rows, vec![file.clone()]);
        while let Some((before, _)) = groups.last()
            && at >= made.ids.len()
            && *before < 2 * rows
            && before + rows <= IDS_MAX
        {
            let Some((before, mut before_files)) = groups.pop() else { break };
            before_files.append(&mut files);
            (rows, files) = (rows + before, before_files);
        }
        groups.push((rows, files));
    }
    let mut written = Vec::new();
    let mut ids = Vec::new();
    for (_, mut files) in groups {
        match files.len() {
            1 => ids.append(&mut files),
            _ => ids.extend(concatenate(store, made, &files, &mut written).await?),
        }
    }
    made.ids = ids;
    Ok(written)
}

async fn concatenate(
    store: &Store,
    made: &Retired,
    files: &[FileRecord],
    written: &mut Vec<Path>,
) -> Result<Option<FileRecord>, StoreError> {
    let (mut ids, mut range) = (Vec::new(), None);
    for file in files {
        let path = Path::from(file.path.as_str());
        // Old ones go by age at any time.
        let Some(bytes) = store.get_if_there(&path).await? else { continue };
        ids.extend(datasets::decode_ids(&bytes).map_err(|problem| StoreError::damaged(&path, problem))?);
        let Some((start, end)) = retired::range_of_ids(&path) else { continue };
        range = Some((range.map_or(start, |(first, _)| first), end));
    }
    let Some((start, end)) = range else { return Ok(None) };
    let path = made.ids_path(start, end);
    let bytes = datasets::encode_ids(&ids);
    let (rows, size, sha256) = (ids.len() as u64, bytes.len() as u64, crate::store::commit::sha256(&bytes));
    written.push(path.clone());
    store.put(&path, bytes).await?;
    Ok(Some(FileRecord { dataset: IDS.to_owned(), path: path.to_string(), rows, bytes: size, sha256 }))
}
