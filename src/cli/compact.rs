//! `ghostlight compact`: one round of compaction, of everything there is.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::runtime;
use crate::clock;
use crate::store::compact::{CompactSettings, Compactor};
use crate::store::{Location, Store, StoreError, commit, ledger};

#[derive(Args)]
pub(super) struct CompactArgs {
    /// A folder or s3://bucket/prefix that ghostlight wrote.
    #[arg(value_name = "DIR")]
    location: String,
    /// How long what is merged stays beside it, for readers that are under way.
    #[arg(long, value_name = "TIME", default_value = "1day", value_parser = humantime::parse_duration)]
    keep: Duration,
}

pub(super) fn compact(args: &CompactArgs) -> anyhow::Result<ExitCode> {
    let location = Location::parse(&args.location)?;
    let store = Store::open_existing(&location)?;
    let at_once = Duration::ZERO;
    let settings =
        CompactSettings { interval: at_once, late_interval: at_once, keep: args.keep, ..CompactSettings::default() };
    let round = runtime()?.block_on(async {
        // A folder that is somebody else's stays as it is.
        if ledger::partitions(&store).await?.is_empty() && store.list("_retired").await?.is_empty() {
            bail!("{location}: no ledger, so nothing ghostlight wrote");
        }
        store.probe().await.with_context(|| format!("checking that {location} can be written to"))?;
        // What an interrupted commit left would hold its partition back.
        commit::recover_all(&store)
            .await
            .with_context(|| format!("finishing what an earlier run left at {location}"))?;
        Compactor::new(store, settings).round(clock::now()).await.with_context(|| format!("compacting {location}"))
    })?;
    say!("merged   {} files into {} generations", round.merged_files, round.generations);
    say!("removed  {} files, {} ledger entries", round.retired_files, round.retired_entries);
    say!("to read  {location}: _current/, or the datasets' folders");
    match &round.lost {
        Some(path) => Err(StoreError::lost(path))
            .with_context(|| format!("what is to read at {location} is not all that was written")),
        None => Ok(ExitCode::SUCCESS),
    }
}
