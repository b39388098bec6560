//! `ghostlight alerts`: a sample to every channel, and what would have been paged over stored data.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::alert::episode::{Change, Transition};
use crate::alert::notify::{Notifier, Retry, text};
use crate::alert::{Alert, Severity, Status, rules};
use crate::clock;
use crate::config::{Config, Flags};
use crate::event::EventTime;
use crate::run;
use crate::store::Store;
use crate::watch;

#[derive(Args)]
pub(super) struct AlertsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends a sample of a rule's alert to every channel of the settings.
    Test(TestArgs),
    /// Shows what would have fired and resolved over stored data, and when.
    Backtest(BacktestArgs),
}

#[derive(Args)]
struct TestArgs {
    /// The rule.
    #[arg(value_name = "RULE", value_parser = rules::TIMINGS.map(|(rule, _)| rule))]
    rule: String,
    /// Settings (TOML) with the channels.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct BacktestArgs {
    /// What ghostlight wrote: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Settings (TOML) with the lifetimes, thresholds and quotas to try.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What alerts are decided by, instead of what the settings say: TOML with any of [ghosts], [quota], [alerts.rules],
    /// and [alerts]' silences, grace and retired_after. What it does not name stays as in the settings.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// From when on, such as 2026-11-01T00:00:00Z [default: the first event]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<EventTime>,
    /// Up to when [default: the last event]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<EventTime>,
}

pub(super) fn time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).ok_or_else(|| "expected ISO 8601 in UTC, such as 2026-11-01T00:00:00Z".to_owned())
}

pub(super) fn alerts(args: &AlertsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Test(args) => test(args),
        Command::Backtest(args) => backtest(args),
    }
}

fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(args.config.as_deref(), &Flags::default())?;
    super::start_logging(&config.log);
    let notifier = Notifier::new(config.alerts.channels.clone(), config.alerts.link.clone(), Retry::default())
        .context("making the channels of alerts")?;
    let alert = sample(&args.rule, clock::now());
    let mut failed = 0;
    super::runtime()?.block_on(async {
        for name in notifier.names() {
            match notifier.send(name, &alert).await {
                Ok(()) => say!("sent     {name}"),
                Err(error) => {
                    failed += 1;
                    say!("FAILED   {error}");
                }
            }
        }
    });
    if notifier.names().len() == 1 {
        say!("note     there is no channel but the log: add one under [[alerts.channels]]");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An alert that says of itself that it is none.
fn sample(rule: &str, now: EventTime) -> Alert {
    let text = str::to_owned;
    Alert {
        id: format!("{rule}:0000000000000000"),
        sequence: 0,
        status: Status::Firing,
        rule: text(rule),
        severity: Severity::Critical,
        tenant: text("sample-tenant"),
        subject: text("a sample"),
        title: format!("This is a sample of {rule}: nothing is wrong"),
        summary: text("Somebody ran `ghostlight alerts test` to see whether alerts arrive here. They do."),
        evidence: vec![(text("rule"), text(rule))],
        fix: Some(text("nothing")),
        since: now,
        at: now,
    }
}

/// For a terminal, which obeys what strangers write.
fn shown(text: &str) -> String {
    text::line(text, 500)
}

fn period(args: &BacktestArgs) -> String {
    let text = |at: Option<EventTime>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    format!("between {} and {}", text(args.from, "its beginning"), text(args.to, "its end"))
}

fn backtest(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { out: args.data.clone(), ..Flags::default() };
    let config = Config::load_with_rules(args.config.as_deref(), &flags, args.rules.as_deref())?;
    super::start_logging(&config.log);
    let begin = args.from.unwrap_or(EventTime::from_ms(0));
    let end = args.to.unwrap_or(EventTime::from_ms(i64::MAX));
    if begin >= end {
        bail!("--from {begin} is not before --to {end}");
    }
    let store = Store::open_existing(&config.out)?;
    let runtime = super::runtime()?;
    let settings = runtime.block_on(run::audited_settings(&config))?;
    let (mut fired, mut resolved) = (0, 0);
    let tell = |transition: &Transition| {
        let alert = &transition.alert;
        let what = match transition.change {
            Change::Fired => "fires   ",
            Change::Repeated(_) => "repeats ",
            Change::Resolved => "resolves",
        };
        fired += u64::from(transition.change == Change::Fired);
        resolved += u64::from(transition.change == Change::Resolved);
        say!("{}  {what}  {:<16}  {}: {}", alert.at, alert.rule, shown(&alert.tenant), shown(&alert.title));
        if let Some(reason) = &transition.silenced {
            say!("{:>24}  silenced: {reason}", "");
        }
    };
    if !runtime.block_on(watch::backtest(&store, &settings, &(begin..end), tell))? {
        bail!("{} has no event {}: nothing to try alerts on", config.out, period(args));
    }
    say!("{fired} would have fired, {resolved} of them resolved");
    Ok(ExitCode::SUCCESS)
}
