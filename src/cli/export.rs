//! `ghostlight export`: the datasets for engines that want a table format.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::clock;
use crate::config::{Config, Flags, LogSettings};
use crate::export::delta;
use crate::store::datasets::{ACTIVE_USERS, DAILY};
use crate::store::{Location, Store};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Delta Lake: a table for each dataset below this folder or s3://bucket/prefix. Again, it adds what is new, and removes
    /// what compaction replaced.
    #[arg(long, value_name = "DIR")]
    delta: String,
    /// What ghostlight wrote: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(None, &Flags { out: args.data.clone(), only_reads: true, ..Flags::default() })?;
    super::start_logging(&LogSettings { level: "warn".to_owned(), json: config.log.json });
    let to = Location::parse(&args.delta)?;
    let store = Store::open_existing(&config.out)?;
    if to.is_within(&config.out) || config.out.is_within(&to) {
        bail!("--delta {to} is not apart from {}, which ghostlight writes: say another place", config.out);
    }
    let tables = Store::open(&to)?;
    let exported = super::runtime()?.block_on(async {
        tables.probe().await.with_context(|| format!("checking that {to} can be written to"))?;
        delta::export(&store, &tables, clock::now).await.with_context(|| format!("exporting {} to {to}", config.out))
    })?;
    if let Some(users) =
        exported.iter().find(|table| table.dataset == ACTIVE_USERS).filter(|users| users.not_merged > 0)
    {
        let count = users.not_merged;
        say!("note           {DAILY} lacks the rows of {count} files of {ACTIVE_USERS} that are not compacted yet");
    }
    for table in exported {
        let what = match table.is_changed {
            true => format!("{} files added, {} removed", table.added, table.removed),
            false => "unchanged".to_owned(),
        };
        let restored = match table.restored {
            0 => String::new(),
            count => format!(", {count} that were gone copied again"),
        };
        say!("{:<14} version {}: {what}{restored}", table.dataset, table.version);
    }
    Ok(ExitCode::SUCCESS)
}
