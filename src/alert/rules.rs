//! The rules: what usage says of a tenant at the end of one window, as conditions. Pure: the same usage gives the same
//! conditions, whoever asks, and as often as they ask.

use std::time::Duration;

use super::episode::Timing;
use super::{Condition, Level, Severity};
use crate::config::QuotaSettings;
use crate::event::{Class, Day, EventTime, catalogue};
use crate::usage::TenantUsage;
use crate::usage::ghost::{self, Lifetimes, Thresholds};
use crate::usage::recent::{self, Recent, State};

/// A client burns tokens it has, now.
pub const GHOST_USAGE: &str = "ghost-usage";
/// A client burned tokens it had over the last day, too slowly for [`GHOST_USAGE`].
pub const GHOST_USAGE_SLOW: &str = "ghost-usage-slow";
/// Auth0 says that a rate limit or a token quota was reached, or nearly.
pub const RATE_LIMIT: &str = "rate-limit";

/// Windows that alerts are decided on, whatever those of the rows: the grain of the finest rows by default.
pub const WINDOW_MS: i64 = 300_000;

const HOUR: Duration = Duration::from_secs(3600);

/// Every rule, and how long its conditions must last.
pub const TIMINGS: [(&str, Timing); 3] = [
    // Its condition looks at two windows already.
    (GHOST_USAGE, Timing { for_windows: 1, clear_windows: 2, repeat: Some(HOUR.saturating_mul(12)) }),
    // Longer than what is left of a fast one that was mended.
    (GHOST_USAGE_SLOW, Timing { for_windows: 36, clear_windows: 1, repeat: Some(HOUR.saturating_mul(7 * 24)) }),
    (RATE_LIMIT, Timing { for_windows: 1, clear_windows: 1, repeat: Some(HOUR.saturating_mul(24)) }),
];

/// A slow ghost is there while it asked within so long, and gone once it did not for so long.
const SLOW_ON_MS: i64 = 2 * 3_600_000;
const SLOW_CLEAR_MS: i64 = 12 * 3_600_000;

/// What rules are judged by.
#[derive(Debug, Clone, Default)]
pub struct RuleSettings {
    pub lifetimes: Lifetimes,
    pub ghosts: Thresholds,
    pub quota: QuotaSettings,
}

/// Everything there is to say of a tenant at the end of a window. The walks over tokens must be settled.
pub fn conditions(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    let mut found = ghosts(tenant, usage, window_end, settings);
    found.extend(rate_limits(tenant, usage, window_end));
    found
}

fn ghosts(tenant: &str, usage: &TenantUsage, window_end: EventTime, settings: &RuleSettings) -> Vec<Condition> {
    let RuleSettings { lifetimes, ghosts: thresholds, .. } = settings;
    let recent = recent::recent(tenant, &usage.tokens, window_end, lifetimes, thresholds);
    let mut found: Vec<_> = recent.iter().map(|found| ghost(tenant, found)).collect();
    let day = EventTime::from_ms(window_end.ms() - 86_400_000)..window_end;
    for found_slow in ghost::token_use(tenant, &usage.tokens, &day, lifetimes, thresholds) {
        if !found_slow.verdict.is_ghost() {
            continue;
        }
        let is_same =
            |found: &&Recent| (&found.client_id, &found.audience) == (&found_slow.client_id, &found_slow.audience);
        let quiet_ms = found_slow.last_accused_at.map_or(i64::MAX, |last| window_end.since_ms(last));
        let level = match recent.iter().find(is_same).map(|found| found.state) {
            // One page for one thing: while it is fast, the other rule says all there is to say.
            Some(State::Wasting | State::Between) => Level::Between,
            _ if quiet_ms < SLOW_ON_MS => Level::On,
            _ if quiet_ms < SLOW_CLEAR_MS => Level::Between,
            _ => Level::Clear,
        };
        found.push(slow_ghost(&found_slow, level));
    }
    found
}

fn ghost(tenant: &str, found: &Recent) -> Condition {
    let name = client_name(&found.client_name, &found.client_id);
    let avoidable = found.issued.saturating_sub(found.needed);
    let per_month = (found.per_hour * 24.0 * 30.0).round();
    let since = found.since.map_or_else(|| "a while".to_owned(), |since| since.to_string());
    let verdict = match found.since {
        Some(at) if found.per_hour_before * 5.0 < found.per_hour => ghost::Verdict::StoppedCaching { at },
        _ => ghost::Verdict::DoesNotCache,
    };
    Condition {
        rule: GHOST_USAGE,
        severity: if found.billable { Severity::Critical } else { Severity::Warning },
        tenant: tenant.to_owned(),
        key: format!("{}\n{}", found.client_id, found.audience),
        subject: format!("{name} for {}", found.audience),
        level: match found.state {
            State::Wasting => Level::On,
            State::Between => Level::Between,
            State::Caching => Level::Clear,
        },
        title: format!("{name} asks for M2M tokens it already has: {:.0} an hour", found.per_hour),
        summary: format!(
            "In the last ten minutes {} of {} tokens for {} were asked for while one was valid (lifetime {} s, {}), from {} \
             {}. Before it was {:.1} an hour. It has been so since {since}. Going on like this it is {per_month:.0} tokens a \
             month{}.",
            avoidable,
            found.issued,
            found.audience,
            found.lifetime.seconds,
            found.lifetime.from.name(),
            found.addresses,
            if found.addresses == 1 { "address" } else { "addresses" },
            found.per_hour_before,
            if found.billable { ", which count toward the quota" } else { " for Auth0's own API, outside the quota" },
        ),
        evidence: vec![
            ("client_id".to_owned(), found.client_id.clone()),
            ("audience".to_owned(), found.audience.clone()),
            ("issued in 10 minutes".to_owned(), found.issued.to_string()),
            ("needed in 10 minutes".to_owned(), found.needed.to_string()),
            ("user agents".to_owned(), found.user_agents.join(", ")),
            ("first log_id".to_owned(), found.first_log_id.clone()),
            ("last log_id".to_owned(), found.last_log_id.clone()),
        ],
        fix: Some(ghost::fix(found.user_agents.first().map_or("", String::as_str), verdict)),
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
        title: format!("{name} {}: {} avoidable M2M tokens in 24 hours", found.verdict.text(), found.avoidable()),
        summary: format!("{} (confidence {}).", found.explanation, found.confidence.name()),
        evidence: vec![
            ("client_id".to_owned(), found.client_id.clone()),
            ("audience".to_owned(), found.audience.clone()),
            ("issued in 24 hours".to_owned(), found.issued.to_string()),
            ("needed in 24 hours".to_owned(), found.needed_per_address.to_string()),
            ("user agents".to_owned(), found.user_agents.join(", ")),
            ("first log_id".to_owned(), found.first_log_id.clone()),
            ("last log_id".to_owned(), found.last_log_id.clone()),
        ],
        fix: Some(found.fix()),
    }
}

/// Auth0's own warnings, by type. They are rare, so that a single one matters.
fn rate_limits(tenant: &str, usage: &TenantUsage, window_end: EventTime) -> Vec<Condition> {
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
            severity: if code == "api_limit" { Severity::Critical } else { Severity::Warning },
            tenant: tenant.to_owned(),
            key: code.to_owned(),
            subject: code.to_owned(),
            level: if in_window > 0 { Level::On } else { Level::Between },
            title: format!("{}: {in_hour} in the last hour", kind.meaning),
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

fn client_name<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}
