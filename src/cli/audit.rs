//! `ghostlight audit`: what is wrong with a tenant, for people and for pipelines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::audit::baseline::Baseline;
use crate::audit::checks::Severity;
use crate::audit::export::{self, Export};
use crate::audit::fetch::{self, Fetched};
use crate::audit::render::{Format, render};
use crate::audit::report::NOTHING_JUDGED;
use crate::audit::standing::{Reading, lifetimes};
use crate::audit::traffic::{self, Traffic};
use crate::clock;
use crate::config::{Config, Flags, LogSettings};
use crate::event::EventTime;
use crate::run;
use crate::source::management::{Api, Credentials, Retry};
use crate::store::Store;
use crate::usage::follow::{Follower, Seen};
use crate::usage::{TenantUsage, Usage, hosts};

#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["config", "domain", "replay"]))]
pub(super) struct AuditArgs {
    /// What auth0-deploy-cli exported: its folder, or its tenant.yaml.
    #[arg(long, value_name = "DIR|FILE")]
    config: Option<PathBuf>,
    /// A tenant's domain, such as acme.eu.auth0.com: read by its Management API, as AUTH0_CLIENT_ID with AUTH0_CLIENT_SECRET.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Keep what was read there, without secrets and scripts, to be audited again.
    #[arg(long, value_name = "DIR", requires = "domain", conflicts_with_all = ["config", "replay"])]
    record: Option<PathBuf>,
    /// What was kept so.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// What ghostlight wrote of the tenant's events, to say what is really used: a folder or s3://bucket/prefix.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The tenant's name in that data [default: the only one there is]
    #[arg(long, value_name = "NAME", requires = "data")]
    tenant: Option<String>,
    /// What nobody used for so many days is called unused, if the data covers them.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=400))]
    unused_days: u16,
    /// Judge as of this time, such as 2026-11-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::alerts::time)]
    as_of: Option<EventTime>,
    /// Settings (TOML) with the lifetimes and thresholds of ghosts.
    #[arg(long, value_name = "FILE", requires = "data")]
    settings: Option<PathBuf>,
    /// How it is written.
    #[arg(long, default_value = "text", value_parser = parse_format)]
    format: Format,
    /// From which severity on the exit code is 1; with not-run it is 2 where a check had not all it looks at.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "required")]
    fail_on: Vec<FailOn>,
    /// Findings that are accepted (TOML): check, subject, reason, expires.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Required,
    Recommended,
    BestPractice,
    Never,
    NotRun,
}

impl AuditArgs {
    /// The least grave finding that counts, of those that are named; where none is, a required one.
    fn fail_from(&self) -> Option<Severity> {
        let severity = |fail_on: &FailOn| match fail_on {
            FailOn::Required => Some(Some(Severity::Required)),
            FailOn::Recommended => Some(Some(Severity::Recommended)),
            FailOn::BestPractice => Some(Some(Severity::BestPractice)),
            FailOn::Never => Some(None),
            FailOn::NotRun => None,
        };
        self.fail_on.iter().filter_map(severity).max().unwrap_or(Some(Severity::Required))
    }
}

fn parse_format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| format!("expected one of {}", Format::NAMES.join(", ")))
}

/// Nothing found is 0, something is 1; an audit that could not be made, in part or at all, is neither, but 2.
pub(super) fn audit(args: &AuditArgs) -> ExitCode {
    match audited(args) {
        Ok(code) => code,
        Err(error) => {
            super::print_error(error.as_ref());
            ExitCode::from(2)
        }
    }
}

fn audited(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let now = args.as_of.unwrap_or_else(clock::now);
    let baseline = Baseline::read(args.baseline.as_deref())?;
    let (source, export) = configuration(args)?;
    let traffic = match &args.data {
        Some(data) => Some(traffic(args, data, &export, now)?),
        None => None,
    };
    let mut report = Reading { at: now, source, export, baseline }.report(traffic.as_ref());
    report.folder = args.config.as_deref().map(folder);
    let look = super::look(args.output.is_some());
    super::write(&render(&report, args.format, look, args.fail_from()), args.output.as_deref())?;
    if !report.is_judged() {
        bail!("{NOTHING_JUDGED}");
    }
    // What was found is found, whatever else there may be.
    if report.fails(args.fail_from()) {
        return Ok(ExitCode::FAILURE);
    }
    let mut unseen: Vec<_> = report.failed().collect();
    if args.fail_on.contains(&FailOn::NotRun) {
        unseen = report.unseen().collect();
    }
    if let [(check, why), rest @ ..] = unseen.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
        bail!("not all could be looked at: {}: {why}{more}", check.id);
    }
    Ok(ExitCode::SUCCESS)
}

/// The tenant's configuration, and what it was read from.
fn configuration(args: &AuditArgs) -> anyhow::Result<(String, Export)> {
    if let Some(path) = &args.config {
        return Ok((path.display().to_string(), export::read(path)?));
    }
    if let Some(folder) = &args.record {
        fetch::refuse_others(folder)?;
    }
    let (source, fetched) = match (&args.domain, &args.replay) {
        (Some(domain), _) => (domain.clone(), fetched(domain)?),
        (None, Some(folder)) => (folder.display().to_string(), Fetched::replay(folder)?),
        (None, None) => bail!("nothing to audit: give --config, --domain or --replay"),
    };
    if let Some(folder) = &args.record {
        fetched.record(folder)?;
    }
    Ok((source, Export { tenant: fetched.tenant(), lines: BTreeMap::new() }))
}

fn fetched(domain: &str) -> anyhow::Result<Fetched> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.with_context(|| format!("{name} is not set: --domain needs a client with a grant for the Management API"))
    };
    let credentials = Credentials {
        client_id: variable("AUTH0_CLIENT_ID")?,
        client_secret: variable("AUTH0_CLIENT_SECRET")?,
        named: "AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET",
    };
    // It says on standard error what it waits for.
    super::start_logging(&LogSettings { level: "warn".to_owned(), json: false });
    let mut api = Api::new(domain, credentials, Retry::default())?;
    Ok(super::runtime()?.block_on(Fetched::read(&mut api))?)
}

/// What the paths of an export are relative to.
fn folder(config: &Path) -> String {
    let folder = if config.is_file() { config.parent().unwrap_or(Path::new("")) } else { config };
    folder.to_string_lossy().into_owned()
}

fn traffic(args: &AuditArgs, data: &str, export: &Export, now: EventTime) -> anyhow::Result<Traffic> {
    let flags = Flags { out: Some(data.to_owned()), only_reads: true, ..Flags::default() };
    let config = Config::load(args.settings.as_deref(), &flags)?;
    let store = Store::open_existing(&config.out)?;
    let mut rules = run::watch_settings(&config).rules;
    let mut follower = Follower::new(store.clone());
    let mut usage = Usage::default();
    let until = EventTime::from_ms(i64::MIN)..now;
    let take = |seen| match seen {
        Seen::Rows(rows) => usage.absorb_within(&rows, &until),
        Seen::Anew => usage = Usage::default(),
    };
    let runtime = super::runtime()?;
    runtime
        .block_on(async {
            follower.read(take).await?;
            follower.hear(now).await
        })
        .with_context(|| format!("reading {data}"))?;
    let tenants: Vec<&str> = usage.tenants().map(|(name, _)| name).collect();
    let tenant = super::tenant(data, args.tenant.as_deref(), &tenants)?;
    let of_tenant = |(audience, seconds)| ((tenant.clone(), audience), seconds);
    rules.lifetimes.by_tenant = lifetimes(&export.tenant).map(of_tenant).collect();
    usage.settle(&rules.lifetimes);
    let reach = follower.reach(config.alerts.decisions.patience, now);
    let held_back = traffic::held_back(reach.get(&tenant), now);
    let none = TenantUsage::default();
    let of_tenant = usage.tenant(&tenant).unwrap_or(&none);
    let judged_by = (&rules.lifetimes, &rules.ghosts);
    let mut traffic = Traffic::new(&tenant, of_tenant, i64::from(args.unused_days), now, judged_by, held_back);
    let hosts = {
        let time = traffic.begin..traffic.end;
        runtime.block_on(hosts::read(&store, &tenant, &time))
    };
    traffic.hosts = Ok(hosts.with_context(|| format!("reading {data}"))?);
    Ok(traffic)
}
