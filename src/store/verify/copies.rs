//! What compaction copies for readers by glob: it is there, it is what it is a copy of, and beside nothing that it holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use object_store::path::Path;

use super::Report;
use crate::store::compact::generation::published_path;
use crate::store::compact::merge::check;
use crate::store::compact::{Generation, Generations};
use crate::store::datasets::IDS;
use crate::store::ledger::Entry;
use crate::store::{Store, StoreError};

/// Copies for readers by glob are what they are copies of.
pub(super) async fn check_copies(
    store: &Store,
    generation: &Generation,
    objects: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), StoreError> {
    for file in &generation.files {
        let Some(copy) = published_path(&file.path).filter(|copy| objects.contains(copy)) else { continue };
        if let Some(bytes) = store.get_if_there(&Path::from(copy.as_str())).await?
            && let Err(problem) = check(file, &bytes)
        {
            report.problem(copy, problem);
        }
    }
    Ok(())
}

/// The generations of which there are copies for readers by glob.
pub(super) fn copied(generations: &Generations, objects: &BTreeSet<String>) -> Vec<Arc<Generation>> {
    let is_copied = |generation: &&Arc<Generation>| {
        generation.files.iter().any(|file| published_path(&file.path).is_some_and(|copy| objects.contains(&copy)))
    };
    generations.all().filter(is_copied).cloned().collect()
}

/// What a copy holds was removed before the copy came: it is not beside it.
pub(super) async fn check_doubled(
    store: &Store,
    entry: &Entry,
    copied: &[Arc<Generation>],
    report: &mut Report,
) -> Result<(), StoreError> {
    for file in entry.files.iter().filter(|file| file.dataset != IDS) {
        let of_day = |generation: &&Arc<Generation>| Some(generation.date.as_str()) == file.date();
        let holds = |generation: &Arc<Generation>| generation.holds(&entry.partition_id(), entry.end);
        if copied.iter().filter(of_day).any(holds) && store.exists(&Path::from(file.path.as_str())).await? {
            report.problem(&file.path, "doubled: readers by glob count its rows here and in the day's compacted file");
        }
    }
    Ok(())
}

/// A day that is said to be switched to a generation has all copies of it.
pub(super) async fn check_switched(
    store: &Store,
    generations: &Generations,
    objects: &BTreeSet<String>,
    report: &mut Report,
) -> Result<(), StoreError> {
    for (date, number) in generations.switched() {
        let found = generations.all().find(|one| one.date == *date && one.number == *number);
        let copies = found.into_iter().flat_map(|found| &found.files).filter_map(|file| published_path(&file.path));
        for copy in copies.filter(|copy| !objects.contains(copy)) {
            // Copied since it was listed; or the day is being switched to another, before which that was taken back.
            if !store.exists(&Path::from(copy.as_str())).await?
                && store.exists(&Generation::switched_path(date, *number)).await?
            {
                let advice = "readers by glob lack its rows, no others do; `ghostlight compact` copies it again";
                report.problem(copy, format!("missing: {advice}"));
            }
        }
    }
    Ok(())
}
