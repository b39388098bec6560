//! `ghostlight report`: a month of a tenant on one page.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use crate::audit::traffic;
use crate::clock;
use crate::config::{Config, Flags, LogSettings};
use crate::event::{Day, EventTime, WindowLength};
use crate::partial::Partial;
use crate::report::render::{Format, render};
use crate::report::{Extent, LOOK_BACK_DAYS, Report, Scene};
use crate::run;
use crate::store::Store;
use crate::store::policies::Policies;
use crate::store::progress::Patience;
use crate::usage::Usage;
use crate::usage::follow::{Follower, Seen};

/// Days of a report: more than ten years.
const DAYS_MAX: i64 = 4_000;

#[derive(Args)]
pub(super) struct ReportArgs {
    /// What ghostlight wrote: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Whose report [default: the only tenant there is]
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A calendar month (UTC), such as 2026-11 [default: the one of the last event]
    #[arg(long, value_name = "MONTH", value_parser = month, conflicts_with_all = ["from", "to"])]
    month: Option<Day>,
    /// The first day (UTC), such as 2026-11-01 [default: that of the first event]
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Day>,
    /// The last day (UTC), itself too [default: that of the last event]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Day>,
    /// Settings (TOML) with quotas, prices, the tenant to audit, and the lifetimes and thresholds of ghosts.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn day(text: &str) -> Result<Day, String> {
    let at = EventTime::parse(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10);
    at.map(Day::of).ok_or_else(|| "expected a day, such as 2026-11-01".to_owned())
}

fn month(text: &str) -> Result<Day, String> {
    let first = Some(text).filter(|text| text.len() == 7).and_then(|text| day(&format!("{text}-01")).ok());
    first.ok_or_else(|| "expected a month, such as 2026-11".to_owned())
}

pub(super) fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { out: args.data.clone(), only_reads: true, ..Flags::default() };
    let config = Config::load(args.config.as_deref(), &flags)?;
    super::start_logging(&LogSettings { level: "warn".to_owned(), json: config.log.json });
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        bail!("--from {from} is after --to {to}");
    }
    let runtime = super::runtime()?;
    let mut settings = runtime.block_on(run::settings_with_audit(&config));
    let data = config.out.to_string();
    let mut found = Found::new(asked(args));
    let mut follower = Follower::new(Store::open_existing(&config.out)?);
    let now = clock::now();
    runtime
        .block_on(async {
            follower.read(|seen| found.see(seen)).await?;
            follower.hear(now).await
        })
        .with_context(|| format!("reading {data}"))?;
    let tenants: Vec<&str> = found.extents.keys().map(String::as_str).collect();
    let tenant = super::tenant(&data, args.tenant.as_deref(), &tenants)?;
    let extent = found.extents[&tenant];
    let days = days(args, extent);
    let count = days.end().since(*days.start()) + 1;
    if count > DAYS_MAX {
        bail!("from {} to {} are {count} days: a report is of {DAYS_MAX} at most", days.start(), days.end());
    }
    let none = Default::default();
    let usage = found.usage.tenant(&tenant).unwrap_or(&none);
    if usage.activity.types().all(|(_, by_day)| by_day.range(days.clone()).next().is_none()) {
        bail!(
            "{data} has no event of {tenant} from {} to {}: those it has are from {} to {}",
            days.start(),
            days.end(),
            extent.begin,
            extent.end
        );
    }
    // The same, whether the days were asked for or found.
    found.usage.forget_before(days.start().plus(-LOOK_BACK_DAYS));
    found.usage.settle(&settings.rules.lifetimes);
    if let Some(mut audited) = settings.rules.audited.as_deref().cloned().filter(|audited| audited.tenant == tenant) {
        // The configuration of now, beside what was used up to the report's end.
        let until = now.min(days.end().plus(1).start());
        let held_back = traffic::held_back(follower.reach(settings.patience, now).get(&tenant), until);
        let rules = &settings.rules;
        audited.judge(
            found.usage.tenant(&tenant).unwrap_or(&none),
            until,
            (&rules.lifetimes, &rules.ghosts),
            held_back,
        );
        settings.rules.audit(Arc::new(audited));
    }
    let report = Report::new(&Scene {
        tenant: &tenant,
        usage: found.usage.tenant(&tenant).unwrap_or(&none),
        extent,
        held_back: held_back(&follower, &tenant, *days.end(), settings.patience, now),
        policies: policies(&follower, &tenant, &days),
        days,
        settings: &settings.rules,
        prices: &config.prices,
    });
    super::write(&render(&report, args.format, super::look(args.output.is_some())), args.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// What was asked for: the first day and the last, if they were.
fn asked(args: &ReportArgs) -> (Option<Day>, Option<Day>) {
    match args.month {
        Some(first) => (Some(first), Some(first.next_month().plus(-1))),
        None => (args.from, args.to),
    }
}

fn days(args: &ReportArgs, extent: Extent) -> RangeInclusive<Day> {
    let last = Day::of(EventTime::from_ms(extent.end.ms() - 1));
    match asked(args) {
        (None, None) => last.month_start()..=last.next_month().plus(-1),
        // A day before the first event, or after the last one, is found to have none.
        (first, end) => {
            let first = first.unwrap_or_else(|| Day::of(extent.begin).min(end.unwrap_or(last)));
            first..=end.unwrap_or_else(|| last.max(first))
        }
    }
}

/// What was read.
struct Found {
    window: std::ops::Range<EventTime>,
    usage: Usage,
    extents: BTreeMap<String, Extent>,
}

impl Found {
    fn new((first, last): (Option<Day>, Option<Day>)) -> Self {
        let begin = first.map_or(EventTime::from_ms(i64::MIN), |first| first.plus(-LOOK_BACK_DAYS).start());
        let end = last.map_or(EventTime::from_ms(i64::MAX), |last| last.plus(1).start());
        Self { window: begin..end, usage: Usage::default(), extents: BTreeMap::new() }
    }

    fn see(&mut self, seen: Seen) {
        match seen {
            Seen::Rows(rows) => {
                self.usage.absorb_within(&rows, &self.window);
                self.extend(&rows);
            }
            Seen::Anew => (self.usage, self.extents) = (Usage::default(), BTreeMap::new()),
        }
    }

    fn extend(&mut self, rows: &Partial) {
        for row in rows.counts() {
            let end = EventTime::from_ms(row.window_start.ms() + i64::from(row.window_seconds) * 1000);
            let extent = Extent { begin: row.window_start, end };
            match self.extents.get_mut(row.tenant) {
                Some(known) => *known = known.and(extent),
                None => drop(self.extents.insert(row.tenant.to_owned(), extent)),
            }
        }
    }
}

/// Under which the tenant's users of these days were written.
fn policies(follower: &Follower, tenant: &str, days: &RangeInclusive<Day>) -> Policies {
    let days = days.start().to_string()..=days.end().to_string();
    let mut policies = Policies::default();
    let of_tenant = follower.partitions().filter(|followed| followed.tenants.contains(tenant));
    of_tenant.for_each(|followed| policies.and(&followed.policies.within(&days)));
    policies
}

/// Why the last day is not known yet, if it ought to be.
fn held_back(follower: &Follower, tenant: &str, last: Day, patience: Patience, now: EventTime) -> Option<String> {
    if follower.is_ended(tenant) {
        return None;
    }
    // The window before the one that is under way ought to be known.
    let window = WindowLength::FIVE_MINUTES;
    let due = EventTime::from_ms(window.start(now).ms() - 2 * i64::from(window.seconds()) * 1000);
    let reach = follower.reach(patience, now);
    let wanted = due.min(last.plus(1).start());
    reach.get(tenant)?.holding_back(wanted).map(str::to_owned)
}
