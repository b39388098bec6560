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
    let mut compactor = Compactor::new(store, settings);
    loop {
        tokio::time::sleep(EVERY).await;
        let began = clock::monotonic();
        match compactor.round(clock::now()).await {
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
