//! The rules: what usage says of a tenant at the end of one window, as conditions. Pure: the same usage gives the same
//! conditions, whoever asks, and as often as they ask.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::episode::Timing;
use super::{Alert, Condition, Level, Severity};
use crate::audit::checks::Check;
use crate::audit::standing::{Audited, Required};
use crate::config::{MonthlyQuota, QuotaSettings};
use crate::event::{Class, Day, EventTime, catalogue};
use crate::partial::sketch::Estimate;
use crate::usage::TenantUsage;
use crate::usage::activity::{Connection, SLOTS};
use crate::usage::ghost::{self, Confidence, Lifetimes, Thresholds};
use crate::usage::quota::{self, Bucket, Projection, TokenQuota, TooLittle};
use crate::usage::recent::{self, Recent, State};
use crate::usage::spike::Bursts;
use crate::usage::tokens::{TokenKey, second};
use crate::usage::{forecast, silence, spike};

/// A client burns tokens it has, now.
pub const GHOST_USAGE: &str = "ghost-usage";
/// A client burned tokens it had over the last day, too slowly for [`GHOST_USAGE`].
pub const GHOST_USAGE_SLOW: &str = "ghost-usage-slow";
/// Auth0 says that a rate limit or a token quota was reached, or nearly.
pub const RATE_LIMIT: &str = "rate-limit";

/// A month's quota is used up, or will be.
pub const QUOTA: &str = "quota";
/// A client or an organization is near its hourly or daily token quota.
pub const TOKEN_QUOTA: &str = "token-quota";
/// Many more events of a class than usual.
pub const SPIKE: &str = "spike";
/// More logins of a connection fail than before.
pub const LOGIN_FAILURES: &str = "login-failures";
/// Nothing comes any more.
pub const SILENCE: &str = "silence";
/// Types of events that ought to come do not: the stream is filtered, and counts are too low.
pub const FILTERED_STREAM: &str = "filtered-stream";
/// A required finding of the audit, which nobody has accepted.
pub const AUDIT: &str = "audit";

/// Windows that alerts are decided on, whatever those of the rows: the grain of the finest rows by default.
pub const WINDOW_MS: i64 = 300_000;

const HOUR: Duration = Duration::from_secs(3600);

/// Every rule, and how long its conditions must last.
pub const TIMINGS: [(&str, Timing); 10] = [
    // Its condition looks at as many windows as it needs.
    (GHOST_USAGE, Timing { for_windows: 1, clear_windows: 1, repeat: Some(HOUR.saturating_mul(12)) }),
    // Longer than what is left of a fast one that was mended; and what little data says for a while ends nothing.
    (GHOST_USAGE_SLOW, Timing { for_windows: 36, clear_windows: 36, repeat: Some(HOUR.saturating_mul(7 * 24)) }),
    (RATE_LIMIT, Timing { for_windows: 1, clear_windows: 1, repeat: Some(HOUR.saturating_mul(24)) }),
    (QUOTA, Timing { for_windows: 3, clear_windows: 12, repeat: Some(HOUR.saturating_mul(7 * 24)) }),
    // An hour's quota that is filled again within two hours is one thing.
    (TOKEN_QUOTA, Timing { for_windows: 1, clear_windows: 24, repeat: Some(HOUR.saturating_mul(24)) }),
    (SPIKE, Timing { for_windows: 1, clear_windows: 3, repeat: Some(HOUR.saturating_mul(24)) }),
    (LOGIN_FAILURES, Timing { for_windows: 2, clear_windows: 12, repeat: Some(HOUR.saturating_mul(24)) }),
    (SILENCE, Timing { for_windows: 2, clear_windows: 1, repeat: Some(HOUR.saturating_mul(24)) }),
    (FILTERED_STREAM, Timing { for_windows: 12, clear_windows: 12, repeat: Some(HOUR.saturating_mul(7 * 24)) }),
    // What is not mended within a week is known.
    (AUDIT, Timing { for_windows: 1, clear_windows: 1, repeat: Some(HOUR.saturating_mul(7 * 24)) }),
];

/// Rules of which the second says nothing new of a subject, by the same key, while the first fires.
pub const INHIBITIONS: [(&str, &str); 1] = [(GHOST_USAGE, GHOST_USAGE_SLOW)];

/// A slow ghost is there while it asked within so long, and gone once it did not for so long, if it is not mended before: a
/// little longer than the longest of pauses.
const SLOW_ON_MS: i64 = 2 * 3_600_000;
const SLOW_CLEAR_MS: i64 = 31 * 3_600_000;
/// It is judged by so long, or by a hundred lifetimes, but by no more than a week.
const SLOW_MS: Range<i64> = DAY_MS..7 * DAY_MS;

/// What rules are judged by.
#[derive(Debug, Clone, Default)]
pub struct RuleSettings {
    pub lifetimes: Lifetimes,
    pub ghosts: Thresholds,
    pub quota: QuotaSettings,
    /// Rules that are turned off.
    pub off: Vec<&'static str>,
    /// Rules whose conditions are as bad as the settings say.
    pub severities: BTreeMap<&'static str, Severity>,
    /// What the audit says of its tenant.
    pub audited: Option<Arc<Audited>>,
}

impl RuleSettings {
    /// Takes over what the audit found last, and how long tokens live by the tenant's configuration.
    pub fn audit(&mut self, audited: Arc<Audited>) {
        let of_tenant = |(audience, seconds): (&String, &u32)| ((audited.tenant.clone(), audience.clone()), *seconds);
        self.lifetimes.by_tenant = audited.lifetimes.iter().map(of_tenant).collect();
        self.audited = Some(audited);
    }

    /// The check of an alert of the audit that could not be looked at this time.
    pub fn unknown(&self, alert: &Alert) -> Option<&'static Check> {
        let audited = self.audited.as_ref().filter(|audited| audited.tenant == alert.tenant)?;
        let (_, check) = alert.evidence.iter().find(|(name, _)| name == CHECK).filter(|_| alert.rule == AUDIT)?;
        audited.standing.as_ref()?.unknown(check, &alert.subject)
    }
}

/// Everything there is to say of a tenant at the end of a window. The walks over tokens must be settled.
pub fn conditions(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    let mut found = ghosts(tenant, usage, window_end, settings);
    found.extend(rate_limits(tenant, usage, window_end));
    found.extend(quotas(tenant, usage, window_end, settings));
    found.extend(token_quotas(tenant, usage, window_end, settings));
    let burns = found.iter().any(|found| found.rule == GHOST_USAGE && found.level == Level::On);
    found.extend(spikes(tenant, usage, window_end).into_iter().map(|spike| match spike.key.as_str() {
        // One page for one thing, and the other has the fix.
        key if burns && key == Class::M2mOk.name() => Condition { level: spike.level.min(Level::Between), ..spike },
        _ => spike,
    }));
    found.extend(login_failures(tenant, usage, window_end));
    found.extend(silence_of(tenant, usage, window_end));
    found.extend(filtered(tenant, usage, window_end));
    as_set(found, settings)
}

/// What the last look at the audited tenant's configuration says, whatever the windows; `firing` is what fires of the tenant by
/// the journal.
pub fn audit_conditions<'a>(firing: impl Iterator<Item = &'a Alert>, settings: &RuleSettings) -> Vec<Condition> {
    let mut found = audit(settings);
    found.extend(unknown(firing, settings));
    as_set(found, settings)
}

fn as_set(mut found: Vec<Condition>, settings: &RuleSettings) -> Vec<Condition> {
    found.retain(|condition| !settings.off.contains(&condition.rule));
    for condition in &mut found {
        condition.severity = settings.severities.get(condition.rule).copied().unwrap_or(condition.severity);
    }
    found
}

fn ghosts(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    let RuleSettings { lifetimes, ghosts: thresholds, .. } = settings;
    let recent = recent::recent(tenant, usage, window_end, lifetimes, thresholds);
    let mut found: Vec<_> = recent.iter().map(|found| ghost(tenant, found)).collect();
    let slow = ghost::token_use_lately(tenant, &usage.tokens, window_end, SLOW_MS, lifetimes, thresholds);
    for found_slow in slow.iter() {
        let is_same =
            |found: &&Recent| (&found.client_id, &found.audience) == (&found_slow.client_id, &found_slow.audience);
        // That is the other rule's.
        if found_slow.is_sudden && found_slow.verdict.is_ghost() {
            continue;
        }
        let is_caching = recent.iter().find(is_same).is_some_and(|found| found.state == State::Caching);
        if is_caching || found_slow.mended_at.is_some() {
            continue;
        }
        let quiet_ms = found_slow.last_accused_at.map_or(i64::MAX, |last| window_end.since_ms(last));
        let level = match found_slow.verdict.is_ghost() {
            true if quiet_ms < SLOW_ON_MS => Level::On,
            true if quiet_ms < SLOW_CLEAR_MS => Level::Between,
            // For once there is too little to tell.
            false if found_slow.confidence == Confidence::Low => Level::Between,
            _ => continue,
        };
        found.push(slow_ghost(found_slow, level));
    }
    found
}

fn ghost(tenant: &str, found: &Recent) -> Condition {
    let name = client_name(&found.client_name, &found.client_id);
    let avoidable = found.issued.saturating_sub(found.needed);
    let stopped = found.since.filter(|_| found.per_hour_before.is_some_and(|before| before * 5.0 < found.per_hour));
    let verdict = stopped.map_or(ghost::Verdict::DoesNotCache, |at| ghost::Verdict::StoppedCaching { at });
    let before = match found.per_hour_before {
        Some(before) if stopped.is_some() => {
            format!(" Before that it asked for {before:.1} an hour, now for {:.0}.", found.per_hour)
        }
        _ => String::new(),
    };
    let since = found.since.map_or_else(String::new, |since| {
        format!(" It has been so since {since}: {} avoidable tokens by now.{before}", found.avoidable_since)
    });
    let per_day = found.per_hour * 24.0;
    Condition {
        rule: GHOST_USAGE,
        severity: if found.billable { Severity::Critical } else { Severity::Warning },
        tenant: tenant.to_owned(),
        key: format!("{}\n{}", found.client_id, found.audience),
        subject: format!("{name} for {}", found.audience),
        level: match found.state {
            State::Wasting => Level::On,
            // Over, or a pause as by night: nobody can tell yet, and nobody is woken by it again.
            State::Between if avoidable == 0 => Level::Unknown,
            State::Between => Level::Between,
            State::Caching | State::Few => Level::Clear,
        },
        for_windows: 0,
        title: format!("{name} asks for M2M tokens it already has: {:.0} an hour", found.per_hour),
        summary: match found.state {
            State::Caching | State::Few => format!(
                "In the last ten minutes {avoidable} of {} tokens for {} were asked for while one was valid: hardly any, or what \
                 processes with a cache each ask for.",
                found.issued, found.audience
            ),
            State::Wasting | State::Between => format!(
                "In the last ten minutes {avoidable} of {} tokens for {} were asked for while one was valid (lifetime {} s, \
                 {}), from {} {}.{since} At this rate it is {per_day:.0} tokens a day{}.",
                found.issued,
                found.audience,
                found.lifetime.seconds,
                found.lifetime.from.name(),
                found.addresses,
                if found.addresses == 1 { "address" } else { "addresses" },
                if found.billable {
                    ", which count toward the quota"
                } else {
                    " for Auth0's own API, outside the quota"
                },
            ),
        },
        evidence: vec![
            ("client_id".to_owned(), found.client_id.clone()),
            ("audience".to_owned(), found.audience.clone()),
            ("issued in 10 minutes".to_owned(), found.issued.to_string()),
            ("needed in 10 minutes".to_owned(), found.needed.to_string()),
            ("user agents".to_owned(), found.user_agents.join(", ")),
        ]
        .into_iter()
        .chain(found.last_log_id.iter().map(|last| ("last log_id".to_owned(), last.clone())))
        .chain(found.first_log_id.iter().map(|first| ("first log_id of it".to_owned(), first.clone())))
        .collect(),
        fix: Some(format!(
            "{}. If many processes were started instead, over more than six minutes, it ends by itself within some lifetimes",
            ghost::fix(&found.user_agents, &found.audience, verdict)
        )),
    }
}

fn slow_ghost(found: &ghost::TokenUse, level: Level) -> Condition {
    let name = client_name(&found.client_name, &found.client_id);
    Condition {
        rule: GHOST_USAGE_SLOW,
        severity: Severity::Warning,
        tenant: found.tenant.clone(),
        key: format!("{}\n{}", found.client_id, found.audience),
        subject: format!("{name} for {}", found.audience),
        level,
        for_windows: 0,
        title: format!(
            "{name} {}: {} avoidable M2M tokens in 24 hours",
            found.verdict.text(),
            found.avoidable_last_day
        ),
        summary: format!("{} (confidence {}).", found.explanation, found.confidence.name()),
        evidence: vec![
            ("client_id".to_owned(), found.client_id.clone()),
            ("audience".to_owned(), found.audience.clone()),
            ("avoidable in 24 hours".to_owned(), found.avoidable_last_day.to_string()),
            ("looked at since".to_owned(), found.from.to_string()),
            ("issued".to_owned(), found.issued.to_string()),
            ("needed".to_owned(), found.needed_per_address.to_string()),
            ("user agents".to_owned(), found.user_agents.join(", ")),
            ("first log_id".to_owned(), found.first_log_id.clone()),
            ("last log_id".to_owned(), found.last_log_id.clone()),
        ],
        fix: Some(found.fix()),
    }
}

/// Auth0's own warnings, by type. They are rare, so that a single one matters.
fn rate_limits(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Vec<Condition> {
    const MANY: u64 = 10;
    /// It is over once an hour went by without another.
    const QUIET_MS: i64 = 3_600_000;
    let from = |ms: i64| EventTime::from_ms(window_end.ms() - ms);
    let mut found = Vec::new();
    for (code, series) in usage.activity.watched() {
        let kind = catalogue::lookup(code);
        let in_hour = series.sum(from(QUIET_MS)..window_end);
        if kind.class != Class::RateLimit || in_hour == 0 {
            continue;
        }
        let in_window = series.sum(from(WINDOW_MS)..window_end);
        let today = series.sum(Day::of(window_end).start()..window_end);
        found.push(Condition {
            rule: RATE_LIMIT,
            // A request that was refused now and then is retried; many are an outage.
            severity: if code == "api_limit" && in_hour >= MANY { Severity::Critical } else { Severity::Warning },
            tenant: tenant.to_owned(),
            key: code.to_owned(),
            subject: code.to_owned(),
            // Also what came too late for its own window.
            level: Level::On,
            for_windows: 0,
            title: format!("{code}, {}: {in_hour} in the last hour", kind.meaning),
            summary: format!(
                "Auth0 logged {in_window} events of type {code} ({}) in the last five minutes, {in_hour} in the last hour and \
                 {today} since midnight UTC.",
                kind.meaning
            ),
            evidence: vec![
                ("type".to_owned(), code.to_owned()),
                ("events in 5 minutes".to_owned(), in_window.to_string()),
                ("events in an hour".to_owned(), in_hour.to_string()),
            ],
            fix: None,
        });
    }
    found
}

const DAY_MS: i64 = 86_400_000;

/// The condition of a rule whose evidence is all in its summary.
fn plain(
    (rule, severity): (&'static str, Severity),
    tenant: &str,
    key: String,
    subject: String,
    level: Level,
    title: String,
    summary: String,
) -> Condition {
    let (tenant, evidence) = (tenant.to_owned(), Vec::new());
    Condition { rule, severity, tenant, key, subject, level, for_windows: 0, title, summary, evidence, fix: None }
}

/// A month's quota of tokens and of users: used up, and about to be.
fn quotas(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    let quota = settings.quota.of(tenant);
    // Tokens that a month's last minutes used up are known when it is over, and must be so for as long as the rule wants.
    let began = Day::of(EventTime::from_ms(window_end.ms() - 1)).month_start().start();
    let is_last_months = window_end.since_ms(began) <= LAST_MONTH_MS;
    let mut found = Vec::new();
    struct Kind {
        key: &'static str,
        name: &'static str,
        quota: Option<u64>,
        project: fn(&TenantUsage, EventTime) -> Result<Projection, TooLittle>,
        /// When it is judged.
        judged: EventTime,
        /// Whether enough was seen to say what is to come.
        is_known: fn(&TenantUsage, Day) -> bool,
    }
    let kinds = [
        Kind {
            key: "m2m_tokens",
            name: "M2M tokens",
            quota: quota.m2m_tokens,
            project: forecast::m2m_tokens,
            judged: if is_last_months { began } else { window_end },
            is_known: |_, _| true,
        },
        Kind {
            key: "mau",
            name: "monthly active users",
            quota: quota.mau,
            project: forecast::active_users_by_the_hour,
            judged: window_end,
            is_known: knows_new_users,
        },
    ];
    for Kind { key, name, quota, project, judged, is_known } in kinds {
        let Some(quota) = quota else { continue };
        let today = Day::of(EventTime::from_ms(judged.ms() - 1));
        let Ok(projection) = project(usage, judged) else { continue };
        let (Estimate { estimate: used, lower, upper }, end) = (projection.used, projection.month());
        let share = used * 100.0 / quota.max(1) as f64;
        let within = if lower < upper { format!(" ({lower:.0} to {upper:.0})") } else { String::new() };
        let said = format!(
            "{used:.0}{within} of {quota} {name} are used ({share:.0} %); by the month's end it will be {:.0} ({:.0} to {:.0}, \
             80 %).",
            end.value, end.lower, end.upper
        );
        // Of an estimate, once it is so by its lower bound.
        let exceeded = match quota as f64 {
            quota if lower >= quota => Level::On,
            quota if used >= quota => Level::Between,
            _ => Level::Clear,
        };
        found.push(plain(
            (QUOTA, Severity::Critical),
            tenant,
            format!("{key}/exceeded"),
            format!("the quota of {name}"),
            exceeded,
            format!("The month's quota of {name} is used up: {used:.0}{within} of {quota}"),
            said.clone(),
        ));
        // Also by the interval's lower end: what merely may be pages nobody.
        let will_be = end.lower > quota as f64 && is_known(usage, today);
        let level = match exceeded {
            // That it was to be so need not be said again.
            Level::On => Level::Unknown,
            _ if will_be || share >= 80.0 => Level::On,
            _ if end.value < 0.9 * quota as f64 => Level::Clear,
            _ => Level::Between,
        };
        let day = projection.runs_out_on(quota as f64, today).expected;
        let when = day.map_or_else(|| "is near".to_owned(), |day| format!("runs out on {day}"));
        found.push(plain(
            (QUOTA, Severity::Warning),
            tenant,
            format!("{key}/projected"),
            format!("the quota of {name}"),
            level,
            format!("The month's quota of {name} {when}: {share:.0} % used"),
            said,
        ));
    }
    found.extend(counts_of_month(tenant, usage, Day::of(window_end).plus(-1), quota));
    found
}

/// So long after a month its tokens are judged in place of the new one's.
const LAST_MONTH_MS: i64 = 3 * WINDOW_MS;

/// Quotas of what was active in a month up to a day that is over; on a month's first day that is the last one's. Of whole
/// days: at what time of its day something was active first is not known.
fn counts_of_month(tenant: &str, usage: &TenantUsage, last: Day, quota: MonthlyQuota) -> Vec<Condition> {
    let days = last.month_start()..=last;
    let kinds = [
        ("organizations", "active organizations", quota.organizations, usage.active_organizations(days.clone())),
        (
            "enterprise_connections",
            "active enterprise connections",
            quota.enterprise_connections,
            usage.active_enterprise_connections(days.clone()),
        ),
    ];
    let mut found = Vec::new();
    for (key, name, quota, active) in kinds {
        let Some(quota) = quota else { continue };
        let share = active as f64 * 100.0 / quota.max(1) as f64;
        let said = format!("{active} of {quota} {name} by the end of {} ({share:.0} %).", days.end());
        let exceeded = if active >= quota { Level::On } else { Level::Clear };
        let nearly = match exceeded {
            Level::On => Level::Unknown,
            _ if share >= 80.0 => Level::On,
            _ => Level::Clear,
        };
        for (part, severity, level, title) in [
            (
                "exceeded",
                Severity::Critical,
                exceeded,
                format!("The month's quota of {name} is used up: {active} of {quota}"),
            ),
            ("nearly", Severity::Warning, nearly, format!("The month's quota of {name} is near: {share:.0} % used")),
        ] {
            let subject = format!("the quota of {name}");
            let key = format!("{key}/{part}");
            found.push(plain((QUOTA, severity), tenant, key, subject, level, title, said.clone()));
        }
    }
    found
}

/// Whether it was seen how many of a day's users are new to the month. On its first day all are, whoever they are, and until
/// the second is over it is only assumed of the days to come.
fn knows_new_users(usage: &TenantUsage, today: Day) -> bool {
    let first = usage.activity.begin().map(|begin| Day::of(begin).max(today.month_start()));
    first.is_some_and(|first| today.since(first) >= 2)
}

/// Token quotas of clients and organizations, by UTC hour and day: used up, and nearly.
fn token_quotas(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    type Of = fn(&TokenKey) -> &str;
    let kinds: [(&str, &BTreeMap<String, TokenQuota>, Of); 2] = [
        ("client", &settings.quota.client_tokens, |key| &key.client_id),
        ("organization", &settings.quota.organization_tokens, |key| &key.organization_id),
    ];
    let mut found = Vec::new();
    for (kind, quotas, of) in kinds {
        for (id, quota) in quotas {
            let issued = |period: std::ops::Range<EventTime>| {
                let period = second(period.start)..second(period.end);
                let keys = usage.tokens.keys().filter(|(key, _)| of(key) == id);
                keys.map(|(_, tokens)| tokens.issued(&period)).sum()
            };
            for bucket in quota::token_buckets(*quota, window_end, issued) {
                if bucket.used == 0 {
                    continue;
                }
                let (period, hourly) = match bucket.bucket {
                    Bucket::Hour => ("Hour", "hourly"),
                    Bucket::Day => ("Day", "daily"),
                };
                let percent = bucket.share() * 100.0;
                let said = format!(
                    "{} of {} tokens since {}. Beyond the quota Auth0 answers 429 where it is enforced.",
                    bucket.used, bucket.quota, bucket.begin
                );
                let exceeded = if percent >= 100.0 { Level::On } else { Level::Clear };
                found.push(plain(
                    (TOKEN_QUOTA, Severity::Critical),
                    tenant,
                    format!("{kind}/{id}/{period}/exceeded"),
                    format!("{kind} {id}"),
                    exceeded,
                    format!("{kind} {id} has used up its {hourly} token quota: {percent:.0} %"),
                    said.clone(),
                ));
                let level = match exceeded {
                    Level::On => Level::Unknown,
                    _ if percent >= 80.0 => Level::On,
                    _ => Level::Clear,
                };
                found.push(plain(
                    (TOKEN_QUOTA, Severity::Warning),
                    tenant,
                    format!("{kind}/{id}/{period}"),
                    format!("{kind} {id}"),
                    level,
                    format!("{kind} {id} has used {percent:.0} % of its {hourly} token quota"),
                    said,
                ));
            }
        }
    }
    found
}

/// Classes of events against their own past, by windows; attacks, which may be slow, also by hours.
fn spikes(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Vec<Condition> {
    const HOUR: usize = 12;
    let windows_known = usage.activity.window_slots();
    let Some(first) = usage.activity.begin() else { return Vec::new() };
    let mut found = Vec::new();
    for (class, series) in usage.activity.classes() {
        let is_of = |classes: &[Class]| classes.iter().any(|of| of.name() == class);
        let bursts = if is_of(&[Class::M2mOk, Class::UserTokenOk]) { Bursts::Recurring } else { Bursts::Daily };
        let detect = |windows: usize, known: u64| {
            let at = EventTime::from_ms(window_end.ms() - windows as i64 * WINDOW_MS);
            let now = series.sum(at..window_end).saturating_sub(known);
            if (now as f64) <= spike::CLEAR_EVENTS {
                return None;
            }
            let history = series.slots(first.max(EventTime::from_ms(at.ms() - 21 * DAY_MS))..at);
            let mut history: Vec<u64> = history.rchunks_exact(windows).map(|some| some.iter().sum()).collect();
            history.reverse();
            Some((now, windows, spike::detect(&history, SLOTS / windows, at, now, bursts)?))
        };
        let by_hour = Some(HOUR).filter(|hour| is_of(&[Class::Attack]) && windows_known < *hour);
        let all = by_hour.into_iter().chain([windows_known]).filter_map(|windows| detect(windows, 0));
        let Some((now, windows, mut spike)) = all.max_by_key(|(_, _, spike)| level(spike.level)) else { continue };
        let length = if windows == HOUR { "an hour".to_owned() } else { format!("{} minutes", windows * 5) };
        let length_ms = windows as i64 * WINDOW_MS;
        // Of rows with longer windows the last that is over.
        let end_ms = window_end.ms() - if windows == windows_known { window_end.ms().rem_euclid(length_ms) } else { 0 };
        let (begin, end) = (EventTime::from_ms(end_ms - length_ms), EventTime::from_ms(end_ms));
        if spike.level == spike::Level::On && is_of(&[Class::M2mOk]) {
            // Many that were started together renew together.
            let anew = detect(windows, usage.tokens.renewed(&(begin..end)));
            if anew.is_none_or(|(_, _, anew)| anew.level != spike::Level::On) {
                spike.level = spike::Level::Between;
            }
        }
        let of_class = |code: &&str| catalogue::lookup(code).class.name() == class;
        let types: Vec<&str> = usage.activity.types().map(|(code, _)| code).filter(of_class).collect();
        let query = types.iter().map(|code| format!("type:{code}")).collect::<Vec<_>>().join(" OR ");
        let spike_of = plain(
            (SPIKE, if class == Class::Attack.name() { Severity::Critical } else { Severity::Warning }),
            tenant,
            class.to_owned(),
            format!("events of class {class}"),
            level(spike.level),
            format!("{now} events of class {class} in {length}, where {:.0} are usual", spike.expected),
            format!(
                "A spike begins at {:.0} here, by the same hours of the days before; this is {:.1} deviations above them.",
                spike.threshold, spike.score
            ),
        );
        let evidence = vec![
            (format!("events in {length}"), now.to_string()),
            ("usual".to_owned(), format!("{:.0}", spike.expected)),
            ("window".to_owned(), format!("{begin} to {end}")),
            ("types of this class".to_owned(), types.join(", ")),
        ];
        let fix = Some(format!("look at them: in Auth0, Monitoring > Logs, search {query}"));
        // Where it is a ghost the page that says so comes first.
        let for_windows = if is_of(&[Class::M2mOk]) { 3 } else { 0 };
        found.push(Condition { for_windows, evidence, fix, ..spike_of });
    }
    found
}

fn level(of_spike: spike::Level) -> Level {
    match of_spike {
        spike::Level::On => Level::On,
        spike::Level::Between => Level::Between,
        spike::Level::Clear => Level::Clear,
    }
}

/// The last logins of each connection, as many as say something, against the week before them.
fn login_failures(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Vec<Condition> {
    let of_connection = |(name, connection): (&str, &Connection)| {
        let (since, now) =
            connection.lately(EventTime::from_ms(window_end.ms() - DAY_MS)..window_end, spike::ATTEMPTS_MIN);
        let before = connection.attempts(EventTime::from_ms(since.ms() - 7 * DAY_MS)..since);
        // Nobody uses it any more, or never did: nothing to say.
        if now.all() == 0 || before.all() == 0 {
            return None;
        }
        let found = spike::ratio(now.failed, now.succeeded, before.failed, before.succeeded);
        Some(plain(
            (LOGIN_FAILURES, Severity::Warning),
            tenant,
            name.to_owned(),
            format!("connection {name}"),
            level(found.level),
            format!("{:.0} % of the logins by {name} fail", found.now.value * 100.0),
            format!(
                "Since {since} {} of {} logins failed; in the week before it was {:.1} %.",
                now.failed,
                now.all(),
                found.before.value * 100.0
            ),
        ))
    };
    usage.activity.connections().filter_map(of_connection).collect()
}

/// No events at all, for longer than this tenant is used to.
fn silence_of(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Option<Condition> {
    let begin = EventTime::from_ms(window_end.ms() - WINDOW_MS);
    const LOOK_BACK: Duration = HOUR.saturating_mul(28 * 24);
    let first = usage.activity.begin()?;
    if usage.activity.at(begin) > 0 {
        return None;
    }
    let slots = (first.max(EventTime::from_ms(window_end.ms() - LOOK_BACK.as_millis() as i64)).ms()..window_end.ms())
        .step_by(WINDOW_MS as usize)
        .map(|slot| usage.activity.at(EventTime::from_ms(slot)))
        .collect::<Vec<_>>();
    let is_known = slots.iter().any(|events| *events > 0);
    // For four weeks: there is nothing to judge it by, and it goes on.
    let endless = silence::Silence { level: silence::Level::Between, silent_for: LOOK_BACK, usual: LOOK_BACK };
    let found = if is_known { silence::silence(&slots, SLOTS)? } else { endless };
    let minutes = |length: Duration| length.as_secs() / 60;
    Some(plain(
        (SILENCE, Severity::Critical),
        tenant,
        "stream".to_owned(),
        "the log stream".to_owned(),
        match found.level {
            silence::Level::On => Level::On,
            silence::Level::Between => Level::Between,
            silence::Level::Clear => Level::Clear,
        },
        format!("No event for {} minutes", minutes(found.silent_for)),
        format!(
            "More than {} minutes without any are unusual here at this time. Look at Monitoring > Streams in Auth0: a stream \
             that failed for seven days is paused. Until events come, every count is too low.",
            minutes(found.usual)
        ),
    ))
}

/// Types that ought to come do not: by days that are over, so that whoever judges, and whenever, finds the same.
fn filtered(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Vec<Condition> {
    let last = Day::of(window_end).plus(-1);
    let sum = |days: std::ops::RangeInclusive<Day>| -> BTreeMap<&str, u64> {
        let of_type = |(code, by_day): (&'static str, &BTreeMap<Day, u64>)| {
            (code, by_day.range(days.clone()).map(|(_, events)| events).sum::<u64>())
        };
        usage.activity.types().map(of_type).filter(|(_, events)| *events > 0).collect()
    };
    let missing = silence::missing(&sum(last.plus(-6)..=last), &sum(last.plus(-60)..=last.plus(-7)));
    let condition = |found: silence::Missing| {
        plain(
            (FILTERED_STREAM, Severity::Warning),
            tenant,
            found.key.clone(),
            "the log stream".to_owned(),
            Level::On,
            format!("The log stream seems to be filtered: {}", found.what),
            found.why.to_owned(),
        )
    };
    missing.into_iter().map(condition).collect()
}

fn audit(settings: &RuleSettings) -> Vec<Condition> {
    let Some(audited) = &settings.audited else { return Vec::new() };
    let condition = |found: &Required| {
        let Required { check, subject, evidence } = found;
        let facts =
            [(CHECK, check.id), ("audited", &audited.source), ("looks at", check.looks_at), ("page", check.docs)];
        Condition {
            rule: AUDIT,
            severity: Severity::Warning,
            tenant: audited.tenant.clone(),
            key: audit_key(check, subject),
            subject: subject.clone(),
            level: Level::On,
            for_windows: 0,
            title: format!("{}: {subject}", check.title),
            summary: format!("The audit found: {}. It matters because {}.", evidence.join("; "), check.why),
            evidence: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            fix: Some(check.fix.to_owned()),
        }
    };
    audited.standing.iter().flat_map(|standing| &standing.required).map(condition).collect()
}

/// The name of the evidence that says which check found it.
const CHECK: &str = "check";

fn audit_key(check: &Check, subject: &str) -> String {
    format!("{}\n{subject}", check.id)
}

/// Of the tenant's alerts that fire, as the journal has them, those that nobody could look at this time: an audit that was not
/// run mends nothing, and pages nobody.
fn unknown<'a>(firing: impl Iterator<Item = &'a Alert>, settings: &RuleSettings) -> Vec<Condition> {
    let condition = |alert: &Alert| {
        let check = settings.unknown(alert)?;
        Some(Condition {
            rule: AUDIT,
            severity: alert.severity,
            tenant: alert.tenant.clone(),
            key: audit_key(check, &alert.subject),
            subject: alert.subject.clone(),
            level: Level::Unknown,
            for_windows: 0,
            title: alert.title.clone(),
            summary: alert.summary.clone(),
            evidence: alert.evidence.clone(),
            fix: alert.fix.clone(),
        })
    };
    firing.filter_map(condition).collect()
}

fn client_name<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}
