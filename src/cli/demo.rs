//! `ghostlight demo`: the main job on the embedded default. Starts what `run` starts, sends a simulated tenant's day to its
//! own webhook over HTTP, and prints what was found in what it wrote.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;

use crate::config::{Config, Flags, LogSettings};
use crate::partial::{Dimension, Partial};
use crate::run;
use crate::simulate::Simulation;
use crate::store::{Location, Store};
use crate::usage::{self, ghost};

#[derive(Args)]
pub(super) struct DemoArgs {
    /// How many events the simulated day has.
    #[arg(long, default_value_t = 60_000)]
    events: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write; emptied of an earlier demo's data first.
    #[arg(long, value_name = "DIR", default_value = "./ghostlight-data/demo")]
    dir: PathBuf,
}

/// What a finding must avoid at least to be worth a line: fewer is noise over a day.
const AVOIDABLE_MIN: u64 = 100;

pub(super) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&LogSettings { level: "warn".to_owned(), json: false });
    clear_earlier_demo(&args.dir)?;
    let mut config = Config::load(None, &Flags::default())?;
    config.out = Location::Folder(args.dir.join("out"));
    config.spool.folder = args.dir.join("spool");
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening on a free port")?;
        let url = format!("http://{}{}", listener.local_addr()?, config.webhook.path);
        println!("ghostlight demo: one simulated day of an Auth0 tenant, sent to its own webhook\n");
        println!("webhook     {url}");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn({
            let config = config.clone();
            async move { run::serve(&config, listener, async { drop(stopped.await) }).await }
        });
        let simulation = Simulation { seed: args.seed, events: args.events, days: 1, ..Simulation::default() };
        let mut records = simulation.records();
        let sent = super::simulate::post(&mut records, &url, None).await?;
        println!("sent        {} records in {} requests", sent.records, sent.requests);
        drop(stop);
        let served = serving.await??;
        let sum = served.accounting;
        println!(
            "committed   {} events counted, {} duplicates left out, {} pieces rejected and kept in dead_letters\n",
            sum.counted, sum.duplicates, sum.dead_letters
        );
        let store = Store::open_existing(&config.out)?;
        let partial = usage::fold(&store).await?;
        if partial.row_count() == 0 && args.events > 0 {
            bail!("nothing was found in what was written");
        }
        print_users(&partial);
        // What a tenant's API settings would say (`token_lifetime`); the events do not.
        let tokens = records.truth().m2m;
        let lifetimes: BTreeMap<_, _> = tokens.into_iter().map(|row| (row.audience, row.lifetime_s)).collect();
        print_tokens(&partial, &lifetimes);
        print_where(&args.dir);
        Ok(ExitCode::SUCCESS)
    })
}

/// Only a folder that a demo made is emptied.
fn clear_earlier_demo(dir: &PathBuf) -> anyhow::Result<()> {
    let marker = dir.join(".ghostlight-demo");
    if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
        if !marker.exists() {
            bail!("{} is not empty and no demo's: give another with --dir", dir.display());
        }
        for part in ["out", "spool"] {
            let part = dir.join(part);
            if part.exists() {
                std::fs::remove_dir_all(&part).with_context(|| format!("removing {}", part.display()))?;
            }
        }
    }
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    std::fs::write(&marker, "").with_context(|| format!("writing {}", marker.display()))
}

fn print_users(partial: &Partial) {
    // Hours merge to the day: that is what the sketches are for.
    let mut day: Vec<crate::partial::UsersRow<'_>> = Vec::new();
    for row in partial.users() {
        match day.last_mut() {
            Some(last) if (last.tenant, last.dimension, last.key) == (row.tenant, row.dimension, row.key) => {
                last.users.to_mut().merge(&row.users);
                last.logins += row.logins;
                last.signups += row.signups;
                if row.last_at >= last.last_at {
                    (last.last_at, last.key_name) = (row.last_at, row.key_name);
                }
            }
            _ => day.push(row),
        }
    }
    println!("ACTIVE USERS (distinct, with 99.7 % bounds)");
    println!("  {:<44} {:>9} {:>19} {:>8}", "", "users", "between", "logins");
    for dimension in Dimension::ALL {
        let mut rows: Vec<_> = day.iter().filter(|row| row.dimension == dimension).collect();
        rows.sort_by(|a, b| b.users.estimate().estimate.total_cmp(&a.users.estimate().estimate));
        for row in rows.into_iter().take(5) {
            let users = row.users.estimate();
            let name = match (row.dimension, row.key_name) {
                (Dimension::Tenant, _) => row.tenant,
                (_, "") => row.key,
                (_, name) => name,
            };
            let label = format!("{} {name}", dimension.name());
            let between = format!("{:.0} to {:.0}", users.lower.floor(), users.upper.ceil());
            println!("  {label:<44.44} {:>9.0} {between:>19} {:>8}", users.estimate, row.logins);
        }
    }
    println!();
}

fn print_tokens(partial: &Partial, lifetimes: &BTreeMap<String, i64>) {
    let lifetime = |audience: &str| lifetimes.get(audience).copied().unwrap_or(ghost::DEFAULT_LIFETIME_SECONDS);
    let uses = ghost::token_use(partial, lifetime);
    println!(
        "M2M TOKENS BY CLIENT (token lifetimes as the simulated tenant's APIs have them; needed: a cache per address)"
    );
    println!(
        "  {:<26} {:<34} {:>7} {:>7} {:>10} {:>10}",
        "client", "audience", "issued", "needed", "avoidable", "addresses"
    );
    for token_use in uses.iter().take(14) {
        println!(
            "  {:<26.26} {:<34.34} {:>7} {:>7} {:>10} {:>10}",
            token_use.client_name,
            token_use.audience,
            token_use.issued,
            token_use.needed_per_address,
            token_use.avoidable(),
            token_use.addresses
        );
    }
    println!("\nGHOSTS (tokens asked for while a valid one was out; {AVOIDABLE_MIN} or more avoidable)");
    let ghosts: Vec<_> = uses.iter().filter(|token_use| token_use.avoidable() >= AVOIDABLE_MIN).collect();
    for found in &ghosts {
        println!(
            "  {} ({}) asked {} times for {}\n    where {} would do: as many as {} processes that cache well. {}\n    \
             evidence: last log_id {}\n    fix: keep the token until it expires (expires_in), in a cache all its processes share",
            found.client_name,
            found.client_id,
            found.issued,
            found.audience,
            found.needed_per_address,
            found.equals_processes(),
            if found.billable {
                "Counts toward the M2M quota."
            } else {
                "Auth0's own API: does not count toward the quota."
            },
            found.last_log_id
        );
    }
    if ghosts.is_empty() {
        println!("  none");
    }
    println!();
}

fn print_where(dir: &std::path::Path) {
    let out = dir.join("out");
    let out = out.display();
    println!("PARQUET     {out}");
    println!(
        "  duckdb -c \"SELECT type, sum(events) AS events FROM read_parquet('{out}/event_counts/**/*.parquet') GROUP BY type ORDER BY events DESC\""
    );
    println!("  python -c \"import pandas; print(pandas.read_parquet('{out}/m2m_tokens'))\"");
    println!("  ghostlight verify {out}");
}
