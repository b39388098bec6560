//! The page's model out of usage: what is shown of each tenant, and nothing that is not in its rows. Pure. Reports show the same
//! of other days.

use std::ops::{Range, RangeInclusive};

use crate::alert::rules::RuleSettings;
use crate::alert::{Alert, Status};
use crate::audit::checks::Check;
use crate::config::MonthlyQuota;
use crate::event::{Class, Day, EventTime, catalogue};
use crate::live::model::{
    Activity, AlertView, Audit, AuditFinding, ClientTokens, ConnectionFailures, CountOfMonth, Evidence, Ghost,
    GhostsChecked, Month, Projection, TenantOverview, TokenWindow, TokensOfMonth, TypeActivity, UserDay, Users,
    UsersOfMonth,
};
use crate::partial::sketch::Estimate;
use crate::usage::TenantUsage;
use crate::usage::activity::SLOT_SECONDS;
use crate::usage::ghost::{self, TokenUse, Verdict};
use crate::usage::tokens::{KeyTokens, second, time};
use crate::usage::{forecast, quota};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// Days of active users shown: a month, and what comes before it at its beginning.
const DAYS_SHOWN: i64 = 35;
const GHOSTS_SHOWN: usize = 100;
const CLIENTS_SHOWN: usize = 500;
const FINDINGS_SHOWN: usize = 100;

/// One tenant as it is at `as_of`, the end of its last window with events. The walks over tokens must be settled.
pub fn tenant_overview(tenant: &str, usage: &TenantUsage, as_of: EventTime, settings: &RuleSettings) -> TenantOverview {
    let quota = settings.quota.of(tenant);
    let today = last_day(as_of);
    let period = today.month_start().start()..as_of;
    let uses = ghost::token_use(tenant, &usage.tokens, &period, &settings.lifetimes, &settings.ghosts);
    let month = month(usage, &uses, as_of, quota);
    let before = |ms: i64| EventTime::from_ms(as_of.ms() - ms)..as_of;
    TenantOverview {
        tenant: tenant.to_owned(),
        as_of: Some(as_of),
        active_users_by_day: usage.users.by_day(today.plus(1 - DAYS_SHOWN)..=today).into_iter().map(user_day).collect(),
        token_rate: token_rate(usage, as_of),
        ghosts: ghosts(&uses, Some(Rest::of_month(as_of)), quota.m2m_tokens).take(GHOSTS_SHOWN).collect(),
        ghosts_checked: ghosts_checked(&uses, period.start),
        clients: clients(&uses).take(CLIENTS_SHOWN).collect(),
        alerts: Vec::new(),
        held_back: None,
        activity: Activity {
            rate_limits: types(usage, Class::RateLimit, as_of),
            attacks: types(usage, Class::Attack, as_of),
            failures: failures(usage, before(DAY_MS)),
        },
        month,
        audit: None,
    }
}

/// The day that ends at `as_of`, or that it is in.
fn last_day(as_of: EventTime) -> Day {
    Day::of(EventTime::from_ms(as_of.ms() - 1))
}

/// The calendar month that `as_of` is in, up to then, against its quotas and where it is heading. `uses` are those of the
/// same time.
pub fn month(usage: &TenantUsage, uses: &[TokenUse], as_of: EventTime, quota: MonthlyQuota) -> Month {
    let today = last_day(as_of);
    let days = today.month_start()..=today;
    let length = today.next_month().since(today.month_start()) as f64 * DAY_MS as f64;
    let user_forecast = forecast::active_users(usage, as_of).ok();
    let token_forecast = forecast::m2m_tokens(usage, as_of).ok();
    let users_ran_out = |quota: u64| {
        let mut days = usage.users.by_day(days.clone()).into_iter();
        days.find(|found| found.in_month.estimate > quota as f64).map(|found| found.day)
    };
    let tokens_ran_out = |quota: u64| {
        let period = |day: Day| days.start().start()..day.plus(1).start().min(as_of);
        let mut all = (0..=today.since(*days.start())).map(|n| days.start().plus(n));
        all.find(|day| usage.tokens.issued(&period(*day), true) > quota)
    };
    let used = used(usage, uses, days.clone(), quota);
    Month {
        name: today.month(),
        elapsed: (as_of.since_ms(days.start().start()) as f64 / length).clamp(0.0, 1.0),
        active_users: UsersOfMonth {
            projected: user_forecast.as_ref().map(projection),
            runs_out_on: runs_out(quota.mau, users_ran_out, user_forecast.as_ref(), today),
            ..used.active_users
        },
        m2m_tokens: TokensOfMonth {
            projected: token_forecast.as_ref().map(projection),
            runs_out_on: runs_out(quota.m2m_tokens, tokens_ran_out, token_forecast.as_ref(), today),
            ..used.m2m_tokens
        },
        ..used
    }
}

/// What was used in some days, whether they are a month or not. `uses` are those of the same days.
pub fn used(usage: &TenantUsage, uses: &[TokenUse], days: RangeInclusive<Day>, quota: MonthlyQuota) -> Month {
    let billable = || uses.iter().filter(|found| found.billable);
    Month {
        name: String::new(),
        elapsed: 1.0,
        active_users: UsersOfMonth {
            users: users(usage.users.distinct(days.clone())),
            quota: quota.mau,
            projected: None,
            runs_out_on: None,
        },
        m2m_tokens: TokensOfMonth {
            issued: billable().map(|found| found.issued).sum(),
            needed: billable().map(|found| found.needed_per_address).sum(),
            avoidable: billable().map(TokenUse::avoidable).sum(),
            unbillable: uses.iter().filter(|found| !found.billable).map(|found| found.issued).sum(),
            quota: quota.m2m_tokens,
            projected: None,
            runs_out_on: None,
        },
        organizations: CountOfMonth { active: usage.active_organizations(days.clone()), quota: quota.organizations },
        enterprise_connections: CountOfMonth {
            active: usage.active_enterprise_connections(days.clone()),
            quota: quota.enterprise_connections,
        },
    }
}

/// What is still to come of a month: what is projected needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    pub as_of: EventTime,
    pub days: f64,
}

impl Rest {
    pub fn of_month(as_of: EventTime) -> Self {
        let end = last_day(as_of).next_month().start();
        Self { as_of, days: end.since_ms(as_of).max(0) as f64 / DAY_MS as f64 }
    }
}

/// The ghosts among `uses`, which are of a month up to `rest`, if they are.
pub fn ghosts(uses: &[TokenUse], rest: Option<Rest>, quota: Option<u64>) -> impl Iterator<Item = Ghost> {
    uses.iter().filter(|found| found.verdict.is_ghost()).map(move |found| ghost_view(found, rest, quota))
}

/// Every client and audience with its verdict, most tokens first.
pub fn clients(uses: &[TokenUse]) -> impl Iterator<Item = ClientTokens> {
    let mut by_issued: Vec<&TokenUse> = uses.iter().collect();
    by_issued.sort_by_key(|found| std::cmp::Reverse(found.issued));
    by_issued.into_iter().map(client_view)
}

pub fn ghosts_checked(uses: &[TokenUse], from: EventTime) -> GhostsChecked {
    GhostsChecked { clients: uses.len() as u64, issued: uses.iter().map(|found| found.issued).sum(), from: Some(from) }
}

pub fn users(estimate: Estimate) -> Users {
    Users { estimate: estimate.estimate, lower: estimate.lower, upper: estimate.upper }
}

pub fn user_day(found: crate::usage::users::UserDay) -> UserDay {
    UserDay {
        date: found.day.to_string(),
        day: users(found.on_day),
        week: users(found.in_week),
        month: users(found.in_month),
    }
}

/// Five-minute windows of the last 24 hours with tokens in them.
fn token_rate(usage: &TenantUsage, as_of: EventTime) -> Vec<TokenWindow> {
    let slot = SLOT_SECONDS as u32;
    let end = second(as_of).next_multiple_of(slot);
    token_windows(usage, &(end.saturating_sub(86_400)..end), slot, |_| true)
}

/// The windows of a period, in seconds, with tokens of such keys in them.
pub fn token_windows(
    usage: &TenantUsage,
    period: &Range<u32>,
    length: u32,
    is_wanted: impl Fn(&KeyTokens) -> bool,
) -> Vec<TokenWindow> {
    let mut windows = Vec::new();
    for begin in period.clone().step_by(length as usize) {
        let window = begin..(begin + length).min(period.end);
        let mut sum = TokenWindow { at: time(begin), issued: 0, needed: 0, avoidable: 0 };
        for (_, key) in usage.tokens.keys().filter(|(_, key)| is_wanted(key)) {
            let issued = key.issued(&window);
            let needed = key.needed_per_address(&window).min(issued);
            sum.issued += issued;
            sum.needed += needed;
            sum.avoidable += issued - needed;
        }
        if sum.issued > 0 {
            windows.push(sum);
        }
    }
    windows
}

fn projection(found: &quota::Projection) -> Projection {
    let end = found.month();
    Projection { value: end.value, lower: end.lower, upper: end.upper }
}

/// The day on which a quota was used up, or else on which it will be.
fn runs_out(
    quota: Option<u64>,
    was: impl Fn(u64) -> Option<Day>,
    found: Option<&quota::Projection>,
    today: Day,
) -> Option<String> {
    let quota = quota?;
    let will = || found?.runs_out_on(quota as f64, today).expected;
    was(quota).or_else(will).map(|day| day.to_string())
}

fn id(found: &TokenUse) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(format!("{}\n{}", found.client_id, found.audience).as_bytes()))
}

fn client_view(found: &TokenUse) -> ClientTokens {
    ClientTokens {
        id: id(found),
        client_id: found.client_id.clone(),
        client_name: found.client_name.clone(),
        audience: found.audience.clone(),
        verdict: found.verdict.text(),
        confidence: found.confidence.name().to_owned(),
        billable: found.billable,
        issued: found.issued,
        needed: found.needed_per_address,
        needed_shared: found.needed_shared,
        addresses: found.addresses,
        explanation: found.explanation.clone(),
    }
}

fn ghost_view(found: &TokenUse, rest: Option<Rest>, quota: Option<u64>) -> Ghost {
    // As it was in the last day, or since it began; what was mended stays as it is.
    let projected = rest.map(|rest| {
        let began = match found.verdict {
            Verdict::StoppedCaching { at } => at,
            _ => found.first_at,
        };
        let day = (rest.as_of.since_ms(began) as f64 / DAY_MS as f64).clamp(1.0 / 24.0, 1.0);
        let to_come = if found.mended_at.is_some() { 0.0 } else { found.avoidable_last_day as f64 / day * rest.days };
        found.avoidable() + to_come.round() as u64
    });
    let share = |quota: u64| projected.filter(|_| found.billable).map(|tokens| tokens as f64 / quota.max(1) as f64);
    Ghost {
        id: id(found),
        client_id: found.client_id.clone(),
        client_name: found.client_name.clone(),
        audience: found.audience.clone(),
        keys: found.keys,
        verdict: found.verdict.text(),
        confidence: found.confidence.name().to_owned(),
        billable: found.billable,
        issued: found.issued,
        needed: found.needed_per_address,
        avoidable: found.avoidable(),
        waste_ratio: found.waste_ratio(),
        needed_shared: found.needed_shared,
        equals_processes: found.equals_processes,
        addresses: found.addresses,
        user_agents: found.user_agents.clone(),
        median_spacing_seconds: found.median_spacing_seconds.map(f64::from),
        lifetime_seconds: u64::from(found.lifetime.seconds),
        lifetime_from: found.lifetime.from.name().to_owned(),
        since: match found.verdict {
            Verdict::StoppedCaching { at } => Some(at),
            _ => None,
        },
        mended_at: found.mended_at,
        projected_avoidable: projected,
        quota_share: quota.and_then(share),
        first_log_id: found.first_log_id.clone(),
        last_log_id: found.last_log_id.clone(),
        explanation: found.explanation.clone(),
        fix: found.fix(),
    }
}

fn types(usage: &TenantUsage, class: Class, as_of: EventTime) -> Vec<TypeActivity> {
    let before = |ms: i64| EventTime::from_ms(as_of.ms() - ms);
    let of_class = usage.activity.watched().filter(|(code, _)| catalogue::lookup(code).class == class);
    let mut found: Vec<_> = of_class
        .map(|(code, series)| TypeActivity {
            type_code: code.to_owned(),
            meaning: catalogue::lookup(code).meaning.to_owned(),
            events_last_day: series.sum(before(DAY_MS)..as_of),
            events_last_hour: series.sum(before(HOUR_MS)..as_of),
            last_at: series.last_before(as_of),
        })
        .collect();
    found.sort_by_key(|found| std::cmp::Reverse(found.events_last_day));
    found
}

/// Connections with failed logins in a period, the worst ratio first.
pub fn failures(usage: &TenantUsage, period: Range<EventTime>) -> Vec<ConnectionFailures> {
    let mut failures: Vec<_> = usage
        .activity
        .connections()
        .map(|(name, connection)| (name, connection.attempts(period.clone())))
        .filter(|(_, attempts)| attempts.failed > 0)
        .map(|(name, attempts)| ConnectionFailures {
            connection: name.to_owned(),
            failed: attempts.failed,
            succeeded: attempts.succeeded,
            ratio: attempts.failed as f64 / (attempts.failed + attempts.succeeded) as f64,
        })
        .collect();
    failures.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    failures
}

/// What the audit says of a tenant, if it is the one that is audited. What fires of it and could not be looked at this time is
/// shown as it was found.
pub fn audit_view<'a>(tenant: &str, firing: impl Iterator<Item = &'a Alert>, settings: &RuleSettings) -> Option<Audit> {
    let audited = settings.audited.as_ref().filter(|audited| audited.tenant == tenant)?;
    let shown = Audit { source: audited.source.clone(), problem: audited.problem.clone(), ..Audit::default() };
    let Some(standing) = &audited.standing else { return Some(shown) };
    let [required, recommended, best_practice] = standing.open;
    let finding = |check: &Check, subject: &str, evidence: Vec<String>, is_judged| AuditFinding {
        check: check.id.to_owned(),
        title: check.title.to_owned(),
        subject: subject.to_owned(),
        evidence,
        why: check.why.to_owned(),
        fix: check.fix.to_owned(),
        docs: check.docs.to_owned(),
        is_judged,
    };
    let found = standing.required.iter().map(|one| finding(one.check, &one.subject, one.evidence.clone(), true));
    let unknown = firing.filter_map(|alert| {
        let check = settings.unknown(alert)?;
        Some(finding(check, &alert.subject, vec![alert.summary.clone()], false))
    });
    Some(Audit {
        at: Some(standing.at),
        events: standing.events.clone(),
        required,
        recommended,
        best_practice,
        accepted: standing.accepted,
        not_run: standing.not_run,
        findings: found.chain(unknown).take(FINDINGS_SHOWN).collect(),
        ..shown
    })
}

/// An alert as the page shows it.
pub fn alert_view(alert: &Alert) -> AlertView {
    AlertView {
        id: alert.id.clone(),
        sequence: alert.sequence,
        rule: alert.rule.clone(),
        severity: alert.severity.name().to_owned(),
        status: match alert.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
        .to_owned(),
        subject: alert.subject.clone(),
        title: alert.title.clone(),
        summary: alert.summary.clone(),
        evidence: alert
            .evidence
            .iter()
            .map(|(name, value)| Evidence { name: name.clone(), value: value.clone() })
            .collect(),
        fix: alert.fix.clone(),
        since: alert.since,
        at: alert.at,
    }
}
