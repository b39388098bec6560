//! `ghostlight backfill`: log events of a time that was missed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::clock;
use crate::config::{Config, Flags};
use crate::event::EventTime;
use crate::run::{self, Taker};

#[derive(Args)]
pub(super) struct BackfillArgs {
    /// From this date on, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = super::alerts::time)]
    from: EventTime,
    /// Before this date.
    #[arg(long, value_name = "TIME", value_parser = super::alerts::time)]
    to: EventTime,
    /// A tenant's domain, before management.domain of the settings.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Settings (TOML) of the worker whose spool, or webhook, takes what is found.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn backfill(args: &BackfillArgs) -> anyhow::Result<ExitCode> {
    let (from, to) = (args.from, args.to);
    if from >= to {
        bail!("--from {from} is not before --to {to}");
    }
    if to > clock::now() {
        bail!("--to {to} is still to come: log events of now are `ghostlight run`'s");
    }
    let config = Config::load(Some(&args.config), &Flags { domain: args.domain.clone(), ..Flags::default() })?;
    super::start_logging(&config.log);
    let done = super::runtime()?
        .block_on(run::backfill(&config, from..to))
        .with_context(|| format!("filling in {from} to {to}"))?;
    let domain = config.management.map(|api| api.domain).unwrap_or_default();
    say!("found    {} log events of {domain} from {from} to {to}", done.found);
    say!("known    {} of them: they are counted already", done.known);
    match done.taken_by {
        Taker::Spool(folder) => say!(
            "taken    {} into the spool {}: the next `ghostlight run` counts them",
            done.found - done.known,
            folder.display()
        ),
        Taker::Worker(url) => say!("taken    {} by the worker at {url}", done.found - done.known),
    }
    Ok(ExitCode::SUCCESS)
}
