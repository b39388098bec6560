//! `ghostlight demo`: the main job on the embedded default. Starts what `run` starts, sends a simulated tenant's day to its
//! own webhook over HTTP, and prints what was found in what it wrote.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;

use crate::config::{Config, Flags, LogSettings};
use crate::event::{Day, EventTime};
use crate::partial::Dimension;
use crate::run;
use crate::simulate::Simulation;
use crate::store::{Location, Store};
use crate::usage::follow::Follower;
use crate::usage::{Usage, ghost};

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
    /// Leaves the live page up until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

pub(super) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(&LogSettings { level: "warn".to_owned(), json: false });
    clear_earlier_demo(&args.dir)?;
    let mut config = Config::load(None, &Flags::default())?;
    config.out = Location::Folder(args.dir.join("out"));
    config.spool.folder = args.dir.join("spool");
    config.live.enabled = Some(false);
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening on a free port")?;
        let url = format!("http://{}{}", listener.local_addr()?, config.webhook.path);
        say!("ghostlight demo: one simulated day of an Auth0 tenant, sent to its own webhook\n");
        say!("webhook     {url}");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn({
            let config = config.clone();
            async move { run::serve(&config, listener, async { drop(stopped.await) }).await }
        });
        let simulation = Simulation { seed: args.seed, events: args.events, days: 1, ..Simulation::default() };
        let mut records = simulation.records();
        let sent = super::simulate::post(&mut records, &url, None).await?;
        say!("sent        {} records in {} requests", sent.records, sent.requests);
        drop(stop);
        let served = serving.await??;
        let sum = served.accounting;
        say!(
            "committed   {} events counted, {} duplicates left out, {} pieces rejected and kept in dead_letters\n",
            sum.counted,
            sum.duplicates,
            sum.dead_letters
        );
        let store = Store::open_existing(&config.out)?;
        let mut usage = Usage::default();
        Follower::new(store).read(|seen| usage.see(seen)).await?;
        let day = Day::of(EventTime::from_ms(simulation.start));
        let days = day..=day.plus(i64::from(simulation.days) - 1);
        if usage.tenants().next().is_none() && args.events > 0 {
            bail!("nothing was found in what was written");
        }
        print_users(&usage, &days);
        // What a tenant's API settings would say (`token_lifetime`); the events do not.
        let tokens = records.truth().m2m;
        let lifetimes = tokens.into_iter().map(|row| (row.audience, row.lifetime_s as u32)).collect();
        let lifetimes = ghost::Lifetimes { by_setting: lifetimes, ..ghost::Lifetimes::default() };
        usage.settle(&lifetimes);
        print_tokens(&usage, &days, &lifetimes);
        print_where(&args.dir);
        if args.keep {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening on a free port")?;
            say!("\nLIVE PAGE   http://{}/ until Ctrl-C", listener.local_addr()?);
            config.lifetimes = lifetimes;
            // All of the day, though it is over.
            config.live.look_back = Duration::from_secs(400 * 86_400);
            config.live.is_over = true;
            run::watch(&config, listener, super::stop_signal()?).await?;
        }
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

fn print_users(usage: &Usage, days: &RangeInclusive<Day>) {
    say!("ACTIVE USERS (distinct, with 99.7 % bounds)");
    say!("  {:<44} {:>9} {:>19} {:>8}", "", "users", "between", "logins");
    for (tenant, of_tenant) in usage.tenants() {
        for dimension in Dimension::ALL {
            let mut rows: Vec<_> = of_tenant
                .users
                .keys(dimension)
                .map(|(key, found)| (key, found, found.distinct(days.clone())))
                .collect();
            rows.sort_by(|a, b| b.2.estimate.total_cmp(&a.2.estimate));
            for (key, found, users) in rows.into_iter().take(5) {
                let name = match (dimension, found.name.as_str()) {
                    (Dimension::Tenant, _) => tenant,
                    (_, "") => key,
                    (_, name) => name,
                };
                let label = format!("{} {name}", dimension.name());
                let between = format!("{:.0} to {:.0}", users.lower.floor(), users.upper.ceil());
                let logins: u64 = found.days.range(days.clone()).map(|(_, day)| day.logins).sum();
                say!("  {label:<44.44} {:>9.0} {between:>19} {logins:>8}", users.estimate);
            }
        }
    }
    say!("");
}

fn print_tokens(usage: &Usage, days: &RangeInclusive<Day>, lifetimes: &ghost::Lifetimes) {
    let period = days.start().start()..days.end().plus(1).start();
    let thresholds = ghost::Thresholds::default();
    let uses: Vec<_> = usage
        .tenants()
        .flat_map(|(name, tenant)| ghost::token_use(name, &tenant.tokens, &period, lifetimes, &thresholds))
        .collect();
    say!(
        "M2M TOKENS BY CLIENT (token lifetimes as the simulated tenant's APIs have them; needed: a cache per address)"
    );
    say!(
        "  {:<22} {:<34} {:>6} {:>6} {:>9} {:>9}  verdict",
        "client",
        "audience",
        "issued",
        "needed",
        "avoidable",
        "addresses"
    );
    for token_use in uses.iter().take(14) {
        say!(
            "  {:<22.22} {:<34.34} {:>6} {:>6} {:>9} {:>9}  {}",
            token_use.client_name,
            token_use.audience,
            token_use.issued,
            token_use.needed_per_address,
            token_use.avoidable(),
            token_use.addresses,
            token_use.verdict.text()
        );
    }
    say!("\nGHOSTS (tokens asked for while a valid one was out, and nothing but missing caching explains it)");
    let ghosts: Vec<_> = uses.iter().filter(|token_use| token_use.verdict.is_ghost()).collect();
    for found in &ghosts {
        say!(
            "  {} ({}) for {}\n    {}, confidence {}: {}. {}\n    evidence: log_id {} to {}\n    fix: {}",
            found.client_name,
            found.client_id,
            found.audience,
            found.verdict.text(),
            found.confidence.name(),
            found.explanation,
            if found.billable {
                "Counts toward the M2M quota."
            } else {
                "Auth0's own API: does not count toward the quota."
            },
            found.first_log_id,
            found.last_log_id,
            found.fix()
        );
    }
    if ghosts.is_empty() {
        say!("  none");
    }
    say!("");
}

fn print_where(dir: &std::path::Path) {
    let out = dir.join("out");
    let out = out.display();
    say!("PARQUET     {out}");
    say!(
        "  duckdb -c \"SELECT type, sum(events) AS events FROM read_parquet('{out}/event_counts/**/*.parquet') GROUP BY type ORDER BY events DESC\""
    );
    say!("  python -c \"import pandas; print(pandas.read_parquet('{out}/m2m_tokens'))\"");
    say!("  ghostlight verify {out}");
    say!("  ghostlight demo --keep     # the same, and its live page");
}
