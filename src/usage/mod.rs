//! The read side's fold: committed rows to usage. Knows no source, and has no memory but what is committed.

pub mod ghost;

use object_store::path::Path;

use crate::partial::Partial;
use crate::store::{Store, StoreError, datasets, ledger};

/// Merges every visible row. A partition is followed up to its first entry that has a file not yet at its final path.
pub async fn fold(store: &Store) -> Result<Partial, StoreError> {
    let mut partial = Partial::default();
    for id in ledger::partitions(store).await? {
        'entries: for found in store.list(&id.folder("_ledger")).await? {
            let entry = ledger::read_entry(store, &found.location).await?;
            let mut files = Vec::new();
            for file in entry.files.iter().filter(|file| datasets::is_aggregate(&file.dataset)) {
                let path = Path::from(file.path.as_str());
                match store.get_if_there(&path).await? {
                    Some(bytes) => files.push((file, bytes)),
                    None => break 'entries,
                }
            }
            for (file, bytes) in files {
                datasets::absorb(&file.dataset, bytes, &mut partial)
                    .map_err(|problem| StoreError::damaged(&Path::from(file.path.as_str()), problem))?;
            }
        }
    }
    Ok(partial)
}
