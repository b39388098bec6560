//! Compaction: the many small files of a day become few, of the same rows, and what they replace goes.
//!
//! A round *merges* the days that are due into a new generation ([`generation`]), says in `_current/` what to read
//! ([`current`]), and *retires* ([`retire`]) what a generation has held for long: the day's folder for readers by glob is
//! switched to it, and ledger entries whose files are gone become a sum. ARCHITECTURE.md, "Compaction", has every crash
//! point. Any number of processes may do this at once; the only state is on the store.

mod current;
pub mod generation;
pub(super) mod merge;
mod retire;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

pub use current::{Current, current};
pub(crate) use generation::lost_day;
pub use generation::{Coverage, Generation, Generations, published_path};
#[cfg(feature = "query")]
pub(crate) use merge::check_file;
pub(crate) use merge::read as read_file;

use self::generation::day;
use self::merge::RawFile;
use super::commit::stage_path;
use super::datasets::{DATASETS, IDS};
use super::ledger::{self, Entry, FileRecord, PartitionId};
use super::retired::{self, Retired};
use super::{Created, Store, StoreError};
use crate::event::{Day, EventTime};

/// Objects read at the same time.
const READS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactSettings {
    /// How long committed files of today and yesterday wait to be merged.
    pub interval: Duration,
    /// How long those of earlier days do.
    pub late_interval: Duration,
    /// How long what a generation holds stays beside it.
    pub keep: Duration,
    /// From how many on a partition's ledger entries are retired at once.
    pub entries_min: u64,
    /// About how long a file becomes of rows that merge with none; one so long is taken over as it is.
    pub joined_bytes: u64,
}

impl Default for CompactSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        let interval = Duration::from_secs(3600);
        let (entries_min, joined_bytes) = (ledger::SNAPSHOT_EVERY, 32 << 20);
        Self { interval, late_interval: DAY, keep: DAY, entries_min, joined_bytes }
    }
}

/// What a round did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Round {
    pub generations: u64,
    /// Committed files they took in.
    pub merged_files: u64,
    /// Files removed since a generation has held their rows for long, and days readers by glob were switched.
    pub retired_files: u64,
    pub switched_days: u64,
    /// Ledger entries that became a sum.
    pub retired_entries: u64,
    /// A committed file that is gone: what its partition wrote from there on is in no generation, nor in `_current/`.
    pub lost: Option<Path>,
}

/// Compacts one store. What it keeps in memory only saves reading again.
pub struct Compactor {
    store: Store,
    settings: CompactSettings,
    chains: BTreeMap<PartitionId, Chain>,
    generations: Generations,
    /// The generation each day's folder is known to be switched to.
    switched: BTreeMap<String, u64>,
    /// The generation of each day whose files were all seen, or made by this one.
    whole: BTreeMap<String, u64>,
}

/// What of a partition's ledger is still there.
#[derive(Default)]
struct Chain {
    /// Where the first entry begins that there ever was.
    first_start: u64,
    retired: Option<Retired>,
    entries: BTreeMap<u64, Entry>,
    /// Entries of which all files are at their final paths or held by a generation, up to the first that is not: as a
    /// follower sees it.
    visible: usize,
    /// Entries below the retired ones' end lie there still.
    has_leftovers: bool,
}

impl Chain {
    fn begin(&self) -> u64 {
        self.retired.as_ref().map_or(self.first_start, |retired| retired.end)
    }

    /// Whether entries are missing between those that were retired, or the beginning, and those that are there.
    fn has_gap(&self) -> bool {
        self.entries.keys().next().is_some_and(|first| *first > self.begin())
    }

    fn visible(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().take(self.visible)
    }
}

impl Compactor {
    pub fn new(store: Store, settings: CompactSettings) -> Self {
        Self {
            store,
            settings,
            chains: BTreeMap::new(),
            generations: Generations::default(),
            switched: BTreeMap::new(),
            whole: BTreeMap::new(),
        }
    }

    /// One turn of everything that is due at `now`.
    pub async fn round(&mut self, now: EventTime) -> Result<Round, StoreError> {
        let mut round = Round { lost: self.look().await?, ..Round::default() };
        if let Some(path) = &round.lost {
            tracing::error!("{}", StoreError::lost(path));
        }
        for date in self.due(now) {
            if let Some(merged_files) = self.merge(&date, now).await? {
                round.generations += 1;
                round.merged_files += merged_files;
            }
        }
        // Before anything goes: nothing that it names is among that.
        self.write_current().await?;
        self.retire(now, &mut round).await?;
        Ok(round)
    }

    /// Reads what there is, and tells which committed file is lost, if one is.
    async fn look(&mut self) -> Result<Option<Path>, StoreError> {
        // Entries that are retired while they are read show as a gap, and files that move meanwhile as lost; whoever retires
        // again and again is not waited for.
        const TRIES: usize = 3;
        let mut lost = None;
        for _ in 0..TRIES {
            self.read_chains().await?;
            self.refresh_generations().await?;
            self.look_what_is_visible().await?;
            lost = self.lost().await?;
            if lost.is_none() && !self.chains.values().any(Chain::has_gap) {
                break;
            }
        }
        Ok(lost)
    }

    async fn refresh_generations(&mut self) -> Result<(), StoreError> {
        self.generations.refresh(&self.store, "_generations").await
    }

    async fn read_chains(&mut self) -> Result<(), StoreError> {
        // Before the entries: what is retired in between shows as a gap, and waits for the next round.
        let mut retired = retired::all_within(&self.store, "").await?;
        let mut known = std::mem::take(&mut self.chains);
        for id in ledger::partitions(&self.store).await? {
            let mut chain = known.remove(&id).unwrap_or_default();
            let is_new = chain.entries.is_empty() && chain.retired.is_none();
            chain.retired = retired.remove(&id);
            if is_new && chain.retired.is_none() {
                chain.first_start = ledger::first_start(&self.store, &id).await?;
            }
            self.read_chain(&id, &mut chain).await?;
            self.chains.insert(id, chain);
        }
        Ok(())
    }

    async fn read_chain(&self, id: &PartitionId, chain: &mut Chain) -> Result<(), StoreError> {
        let begin = chain.begin();
        chain.entries.retain(|start, _| *start >= begin);
        let listed = self.store.list(&id.folder("_ledger")).await?;
        let start_of = |object: &object_store::ObjectMeta| PartitionId::start_of(&object.location);
        chain.has_leftovers = listed.iter().filter_map(start_of).any(|start| start < begin);
        let is_new = |start: u64| start >= begin && !chain.entries.contains_key(&start);
        let new: Vec<_> = listed.iter().filter_map(start_of).filter(|start| is_new(*start)).collect();
        let reads = new.into_iter().map(|start| ledger::entry_at(&self.store, id, start));
        let read: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        chain.entries.extend(read.into_iter().flatten().map(|entry| (entry.start, entry)));
        Ok(())
    }

    async fn look_what_is_visible(&mut self) -> Result<(), StoreError> {
        // After the entries, so that what they published is in it.
        let mut present = HashSet::new();
        for dataset in DATASETS {
            present.extend(self.store.list(dataset).await?.into_iter().map(|object| object.location.to_string()));
        }
        let coverage = self.generations.coverage();
        for (id, chain) in &mut self.chains {
            let mut end = chain.begin();
            let is_visible = |entry: &&Entry| {
                let follows = entry.start == end;
                end = entry.end;
                let is_there = |file: &&FileRecord| present.contains(&file.path) || coverage.holds(id, entry.end, file);
                follows && entry.files.iter().filter(|file| file.dataset != IDS).all(|file| is_there(&file))
            };
            chain.visible = chain.entries.values().take_while(is_visible).count();
        }
        Ok(())
    }

    /// What is nowhere: a file or an entry that keeps a commit from being seen, or a file of a day's winner.
    async fn lost(&mut self) -> Result<Option<Path>, StoreError> {
        self.generations.refuse_lost(&self.store).await?;
        self.refuse_made_up_ends().await?;
        self.refuse_less_than_committed()?;
        for (id, chain) in &self.chains {
            let Some(entry) = chain.entries.values().nth(chain.visible) else { continue };
            let end = chain.visible().last().map_or(chain.begin(), |entry| entry.end);
            refuse_overlap(&self.store, id, entry, end).await?;
            if entry.start > end && is_entry_lost(&self.store, id, end).await? {
                return Ok(Some(id.entry_path(end)));
            }
            for file in entry.files.iter().filter(|file| file.dataset != IDS) {
                let is_held = self.generations.coverage().holds(id, entry.end, file);
                if !is_held && absent(&self.store, entry, file).await? == Absent::Lost {
                    return Ok(Some(Path::from(file.path.as_str())));
                }
            }
        }
        // The files of a generation come before it, and stay until a newer one has settled: once is enough.
        let is_new = |winner: &&Arc<Generation>| self.whole.get(&winner.date) != Some(&winner.number);
        let new: Vec<_> = self.generations.winners().filter(is_new).cloned().collect();
        if new.is_empty() {
            return Ok(None);
        }
        let present = self.store.list("_compacted").await?;
        let present: HashSet<_> = present.iter().map(|object| object.location.as_ref()).collect();
        for winner in new {
            match winner.files.iter().find(|file| !present.contains(file.path.as_str())) {
                None => _ = self.whole.insert(winner.date.clone(), winner.number),
                Some(file) if is_winner(&self.store, &winner).await? => {
                    return Ok(Some(Path::from(file.path.as_str())));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// An error if a generation says that it holds more of a partition than was ever committed: then what is committed next would
    /// be taken for held.
    async fn refuse_made_up_ends(&self) -> Result<(), StoreError> {
        for winner in self.generations.winners() {
            for merged in &winner.merged {
                let id = merged.partition_id();
                let end = |chain: &Chain| chain.entries.values().next_back().map_or(chain.begin(), |entry| entry.end);
                if self.chains.get(&id).is_none_or(|chain| end(chain) >= merged.end) {
                    continue;
                }
                // What was committed and merged since is there by now.
                let end = ledger::tail(&self.store, &id).await?.end();
                if end < merged.end {
                    let problem = format!(
                        "it holds {} up to {}, and its ledger ends at {end}: one of the two was altered, or an entry is lost",
                        merged.partition_id(),
                        merged.end
                    );
                    return Err(StoreError::damaged(&Generation::path(&winner.date, winner.number), problem));
                }
            }
        }
        Ok(())
    }

    /// An error if a day's generation is gone of which only sums of entries tell: what entries counted of which no file is
    /// outside the generations is in them.
    fn refuse_less_than_committed(&self) -> Result<(), StoreError> {
        let coverage = self.generations.coverage();
        for (id, chain) in &self.chains {
            let is_held = |entry: &&Entry| {
                entry.files.iter().filter(|file| file.dataset != IDS).all(|file| coverage.holds(id, entry.end, file))
            };
            let retired = chain.retired.as_ref().map_or(0, |retired| retired.accounting.counted);
            let counted = chain.entries.values().filter(is_held).map(|entry| entry.accounting.counted);
            self.generations.refuse_less(id, counted.fold(retired, u64::saturating_add))?;
        }
        Ok(())
    }

    /// The files of visible entries that no generation holds, in the order of their partitions.
    fn raw_files(&self) -> Vec<RawFile<'_>> {
        let coverage = self.generations.coverage();
        let mut found = Vec::new();
        for (id, chain) in &self.chains {
            for entry in chain.visible() {
                let is_raw = |file: &&FileRecord| file.dataset != IDS && !coverage.holds(id, entry.end, file);
                found.extend(entry.files.iter().filter(is_raw).map(|file| RawFile { entry, file }));
            }
        }
        found
    }

    /// The days with files that have waited for long enough.
    fn due(&self, now: EventTime) -> Vec<String> {
        let mut waiting: BTreeMap<&str, EventTime> = BTreeMap::new();
        for RawFile { entry, file } in self.raw_files() {
            let Some(date) = file.date() else { continue };
            let since = waiting.entry(date).or_insert(entry.committed_at);
            *since = (*since).min(entry.committed_at);
        }
        let is_due = |(date, since): (&str, EventTime)| {
            let wait = match is_over_for_a_day(date, now) {
                true => self.settings.late_interval,
                false => self.settings.interval,
            };
            (now.before(wait) >= since).then(|| date.to_owned())
        };
        waiting.into_iter().filter_map(is_due).collect()
    }

    /// Makes the next generation of a day; the number of files it took in, or `None` where another process was first.
    async fn merge(&mut self, date: &str, now: EventTime) -> Result<Option<u64>, StoreError> {
        let mut raw = self.raw_files();
        raw.retain(|raw| raw.file.date() == Some(date));
        let winner = self.generations.winner(date).cloned();
        let Some(made) =
            merge::make(&self.store, date, winner.as_deref(), &raw, self.settings.joined_bytes, now).await?
        else {
            // What it was to be made from is gone: by another's generation, or for good, which the next round sees.
            self.whole.remove(date);
            return Ok(None);
        };
        let files = raw.len() as u64;
        let won = match made.create(&self.store).await {
            Ok(Created::Now) => true,
            created => match generation::read_at(&self.store, date, made.number).await? {
                Some(there) => there.nonce == made.nonce,
                None => match created {
                    // The write may still arrive: its files stay until another generation has this number.
                    Err(error) => return Err(error),
                    Ok(_) => false,
                },
            },
        };
        match won {
            true => _ = self.whole.insert(date.to_owned(), made.number),
            false => merge::abandon(&self.store, &made).await,
        }
        self.refresh_generations().await?;
        Ok(won.then_some(files))
    }
}

/// Whether a file of an entry is gone because compaction holds its rows, or its ids.
pub async fn is_retired(store: &Store, entry: &Entry, file: &FileRecord) -> Result<bool, StoreError> {
    let id = entry.partition_id();
    match file.date() {
        Some(date) => {
            let winner = Generations::winner_of(store, date).await?;
            Ok(winner.is_some_and(|winner| winner.holds(&id, entry.end)))
        }
        None => Ok(Retired::newest(store, &id).await?.is_some_and(|retired| retired.end >= entry.end)),
    }
}

/// What became of a file of an entry that was not at its final path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It is about to be published, or was since.
    Waiting,
    /// Compaction holds its rows, or its ids.
    Retired,
    /// It is nowhere.
    Lost,
}

pub async fn absent(store: &Store, entry: &Entry, file: &FileRecord) -> Result<Absent, StoreError> {
    let staged = entry.files.iter().position(|known| known == file).map(|at| stage_path(entry, at));
    // In the order in which it moves.
    for path in staged.into_iter().chain([Path::from(file.path.as_str())]) {
        if store.exists(&path).await? {
            return Ok(Absent::Waiting);
        }
    }
    Ok(if is_retired(store, entry, file).await? { Absent::Retired } else { Absent::Lost })
}

/// Whether the entry that begins where another ended, or retired ones did, is nowhere, though there are later ones.
pub async fn is_entry_lost(store: &Store, id: &PartitionId, start: u64) -> Result<bool, StoreError> {
    // First the entry: the sum that stands for it is there before it goes.
    let is_gone = !store.exists(&id.entry_path(start)).await?;
    Ok(is_gone && Retired::newest(store, id).await?.is_none_or(|retired| retired.end <= start))
}

/// An error if an entry begins before the one before it ends, and no sum of retired ones stands for both.
pub async fn refuse_overlap(store: &Store, id: &PartitionId, entry: &Entry, end: u64) -> Result<(), StoreError> {
    let is_retired = |retired: Retired| retired.end > entry.start;
    if entry.start >= end || Retired::newest(store, id).await?.is_some_and(is_retired) {
        return Ok(());
    }
    let problem =
        format!("it begins at {}, where the entry before it goes up to {end}: one of the two was altered", entry.start);
    Err(StoreError::damaged(&id.entry_path(entry.start), problem))
}

/// Whether there is none newer of its day: files of older ones go.
pub async fn is_winner(store: &Store, generation: &Generation) -> Result<bool, StoreError> {
    let winner = Generations::winner_of(store, &generation.date).await?;
    Ok(winner.is_some_and(|winner| winner.number == generation.number))
}

/// Late events of such a day are few: it is merged seldom, and readers by glob may be switched to its generation.
fn is_over_for_a_day(date: &str, now: EventTime) -> bool {
    day(date).is_some_and(|day| day.plus(2) <= Day::of(now))
}
