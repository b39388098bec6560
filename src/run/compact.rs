//! Compaction beside a server: a thread of its own, since merging is work.

use std::convert::Infallible;
use std::time::Duration;

use super::error_chain;
use crate::clock;
use crate::store::Store;
use crate::store::compact::{CompactSettings, Compactor};

/// How often it is looked for what is due, first after so long.
const EVERY: Duration = Duration::from_secs(300);

/// Compacts `store`, round by round.
pub(super) async fn rounds(store: Store, settings: CompactSettings) -> Infallible {
    let mut compactor = Compactor::new(store.clone(), settings);
    let mut is_probed = false;
    loop {
        tokio::time::sleep(EVERY).await;
        let began = clock::monotonic();
        let mut turn = async || {
            // A process that only watches has not looked yet. Without put-if-absent two could believe that a generation is
            // theirs.
            if !is_probed {
                store.probe().await?;
                is_probed = true;
            }
            compactor.round(clock::now()).await
        };
        match turn().await {
            Ok(round) => {
                metrics::counter!("ghostlight_generations_total").increment(round.generations);
                metrics::counter!("ghostlight_retired_files_total").increment(round.retired_files);
                metrics::counter!("ghostlight_retired_entries_total").increment(round.retired_entries);
                metrics::histogram!("ghostlight_compaction_seconds").record(began.elapsed().as_secs_f64());
                tracing::debug!(?round, "compacted");
            }
            // Nothing waits for it, and whatever it left is gone on with.
            Err(error) => tracing::warn!("compaction failed: {}; tried again", error_chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::store::compact::Current;
    use crate::store::datasets::DAILY;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_runs_compacts_by_itself() {
        let store = Store::of(Arc::new(InMemory::new()));
        let running = rounds(store.clone(), CompactSettings::default());
        let stopped = tokio::time::timeout(EVERY + Duration::from_secs(1), running).await;
        assert!(stopped.is_err(), "it goes on until it is stopped");
        assert!(Current::read(&store, DAILY).await.expect("can be read").is_some(), "a round was made");
        let left = store.list("").await.expect("can be listed");
        assert!(!left.iter().any(|object| object.location.as_ref().starts_with("_probe")), "{left:?}");
    }
}
