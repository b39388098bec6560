//! A report: what a tenant did in a month, or in any whole days, on one page. Pure: usage in, plain data out, text out of that.
//!
//! Its numbers are the live page's ([`overview`]), of other days. An estimate carries its bounds, and days that the data does
//! not cover are named. `schemas/report.schema.json` describes the same, and a test compares.

mod coverage;
pub mod render;

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

pub use coverage::Extent;

use crate::alert::rules::RuleSettings;
use crate::config::Prices;
use crate::event::{Class, Day, EventTime, catalogue};
use crate::live::model::{
    Audit, ClientTokens, ConnectionFailures, CountOfMonth, Ghost, GhostsChecked, TokenWindow, TokensOfMonth, UserDay,
    Users, UsersOfMonth,
};
use crate::live::overview::{self, Rest};
use crate::partial::Dimension;
use crate::store::ledger::text_time;
use crate::store::policies::Policies;
use crate::usage::TenantUsage;
use crate::usage::ghost::{self, TokenUse};
use crate::usage::tokens::second;
use crate::usage::users::KeyUsers;

/// Changes when what was there before is gone or means something else.
const FORMAT: u32 = 1;
/// How far before its days a report looks: for what was used once, and for what it is compared with.
pub const LOOK_BACK_DAYS: i64 = 400;
const DAY_SECONDS: u32 = 86_400;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    pub tenant: String,
    pub period: Period,
    pub active_users: ActiveUsers,
    pub m2m_tokens: M2mTokens,
    pub organizations: CountOfMonth,
    pub enterprise_connections: CountOfMonth,
    pub events: Events,
    pub unused: Unused,
    /// What the audit of the tenant's configuration finds; `null` unless the settings have it audited.
    pub audit: Option<Audit>,
}

/// Whole UTC days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// Such as `2026-11`; `null` unless it is a calendar month.
    pub month: Option<String>,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Days from the first to the last.
    pub days: u64,
    /// Up to when the data tells, no later than the period's end.
    #[serde(with = "text_time")]
    pub as_of: EventTime,
    /// How much of the period that is, 0 to 1.
    pub elapsed: f64,
    /// Whether the data covers all of it, as far as it tells.
    pub is_covered: bool,
    /// What it does not cover, in words.
    pub gaps: Vec<String>,
    /// What it is compared with: the month before, or as many days; as far as this one goes. `null` if the data does not
    /// cover that.
    pub compared_with: Option<Days>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActiveUsers {
    /// Distinct users of all the days, against the quota; projected while the month is under way.
    pub total: UsersOfMonth,
    /// Of the days it is compared with.
    pub previous: Option<Users>,
    pub change: Option<Change>,
    /// Mean of the days up to now, those without users too.
    pub average_day: Users,
    /// Ascending; a day without users is left out.
    pub by_day: Vec<UserDay>,
    /// Ascending, ISO 8601; a week that reaches out of the days is counted up to their end.
    pub by_week: Vec<UserWeek>,
    /// By kind of connection, of users whose events name their connection; most users first, as in the next three.
    pub by_connection_type: Vec<UsersOfKey>,
    pub by_connection: Vec<UsersOfKey>,
    pub by_organization: Vec<UsersOfKey>,
    pub by_client: Vec<UsersOfKey>,
}

/// Distinct users of an ISO 8601 week.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserWeek {
    /// Its Monday.
    pub from: String,
    pub users: Users,
    /// Whether the week is over, and the data has all of it.
    pub is_whole: bool,
}

/// How much more, as a share of what was before: 0.1 is a tenth more. The bounds are those of both estimates together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The users of one connection, organization, client or kind of connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsersOfKey {
    pub key: String,
    /// May be empty.
    pub name: String,
    /// Distinct users.
    pub users: Users,
    /// Logins.
    pub logins: u64,
    /// Distinct users of the days it is compared with.
    pub previous: Option<Users>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct M2mTokens {
    /// Against the quota; projected while the month is under way.
    pub total: TokensOfMonth,
    /// Of the days it is compared with.
    pub previous: Option<TokensBefore>,
    /// Billable tokens by day, ascending; a day without is left out.
    pub by_day: Vec<TokenWindow>,
    /// Requests for a token that were refused.
    pub failed: u64,
    /// What the billable tokens cost; `null` without `prices.per_1000_m2m_tokens`.
    pub cost: Option<Cost>,
    /// Every client and audience with its verdict, ghosts too, most tokens first.
    pub clients: Vec<ClientTokens>,
    /// Most avoidable tokens first.
    pub ghosts: Vec<CostlyGhost>,
    pub ghosts_checked: GhostsChecked,
}

/// Billable tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokensBefore {
    pub issued: u64,
    pub needed: u64,
    pub avoidable: u64,
}

/// Money, whether or not a quota covers the tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub currency: String,
    /// Of a thousand tokens.
    pub per_1000_tokens: f64,
    /// Of all that were issued.
    pub issued: f64,
    /// Of those that were avoidable.
    pub avoidable: f64,
    /// Of those that ghosts asked for.
    pub ghosts: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CostlyGhost {
    #[serde(flatten)]
    pub ghost: Ghost,
    /// Of its avoidable tokens; `null` without a price, or if they are not billable.
    pub cost: Option<f64>,
    /// Of those by the month's end.
    pub projected_cost: Option<f64>,
}

/// What happened, by what Auth0 calls it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Ascending; a day without events is left out.
    pub by_day: Vec<EventDay>,
    /// Rate limits hit or nearly hit, most events first, as in the next two.
    pub rate_limits: Vec<TypeEvents>,
    /// Attack protection at work.
    pub attacks: Vec<TypeEvents>,
    /// Logins, signups and requests for tokens that failed, by reason.
    pub failures: Vec<TypeEvents>,
    /// Failed logins by connection, the worst ratio first.
    pub failures_by_connection: Vec<ConnectionFailures>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDay {
    pub date: String,
    pub events: u64,
    pub logins: u64,
    pub failed_logins: u64,
    pub rate_limits: u64,
    pub attacks: u64,
}

/// Events of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeEvents {
    /// Auth0's code, such as `fp`.
    pub type_code: String,
    pub meaning: String,
    pub events: u64,
    /// Days on which there were some.
    pub days: u64,
    pub last_on: Option<String>,
    /// Events of the days it is compared with.
    pub previous: Option<u64>,
}

/// What was used before, and not in these days. What never was only the tenant's configuration tells: `ghostlight audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// Since when the data was looked at.
    #[serde(with = "text_time::option")]
    pub looked_at_since: Option<EventTime>,
    /// Without a login, the longest first.
    pub connections: Vec<UnusedKey>,
    /// Without a login and without a token, the longest first.
    pub clients: Vec<UnusedKey>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedKey {
    pub key: String,
    /// May be empty.
    pub name: String,
    /// The day of the last use.
    pub last_on: String,
}

/// What is reported of: usage up to the end of these days, and what else is known of it.
pub struct Scene<'a> {
    pub tenant: &'a str,
    /// Of no row after the last day. The walks over tokens must be settled.
    pub usage: &'a TenantUsage,
    /// From when to when the tenant has events at all.
    pub extent: Extent,
    pub days: RangeInclusive<Day>,
    /// What keeps later data away, in words.
    pub held_back: Option<String>,
    /// Under which policies people of these days were written.
    pub policies: Policies,
    pub settings: &'a RuleSettings,
    pub prices: &'a Prices,
}

impl Report {
    pub fn new(scene: &Scene<'_>) -> Self {
        let Scene { tenant, usage, settings, prices, .. } = *scene;
        let days = scene.days.clone();
        let (first, end) = (*days.start(), days.end().plus(1));
        let is_month = first == first.month_start() && end == first.next_month();
        // Later events tell that it is over.
        let as_of = if scene.extent.end >= end.start() { end.start() } else { scene.extent.end };
        let known = first..=Day::of(EventTime::from_ms(as_of.ms() - 1));
        let period = first.start()..as_of;
        let before = before(scene, &known, is_month);
        let uses = ghost::token_use(tenant, &usage.tokens, &period, &settings.lifetimes, &settings.ghosts);
        let quota = settings.quota.of(tenant);
        let mut used = match is_month {
            true => overview::month(usage, &uses, as_of, quota),
            // Quotas are of months.
            false => overview::used(usage, &uses, known.clone(), Default::default()),
        };
        if as_of == end.start() {
            // It is over: there is nothing to project.
            (used.active_users.projected, used.m2m_tokens.projected) = (None, None);
        }
        let (is_covered, gaps) = coverage::gaps(scene, &known, as_of);
        let elapsed = as_of.since_ms(first.start()) as f64 / end.start().since_ms(first.start()) as f64;
        Report {
            format: FORMAT,
            tenant: tenant.to_owned(),
            period: Period {
                month: is_month.then(|| first.month()),
                from: first.to_string(),
                to: days.end().to_string(),
                days: end.since(first) as u64,
                as_of,
                elapsed,
                is_covered,
                gaps,
                compared_with: before
                    .as_ref()
                    .map(|days| Days { from: days.start().to_string(), to: days.end().to_string() }),
            },
            active_users: active_users(scene, used.active_users, &known, as_of, before.as_ref()),
            m2m_tokens: M2mTokens {
                previous: before.as_ref().map(|before| {
                    let period = before.start().start()..before.end().plus(1).start();
                    let uses = ghost::token_use(tenant, &usage.tokens, &period, &settings.lifetimes, &settings.ghosts);
                    let TokensOfMonth { issued, needed, avoidable, .. } =
                        overview::used(usage, &uses, before.clone(), Default::default()).m2m_tokens;
                    TokensBefore { issued, needed, avoidable }
                }),
                by_day: overview::token_windows(
                    usage,
                    &(second(period.start)..second(period.end)),
                    DAY_SECONDS,
                    |key| key.billable,
                ),
                failed: usage.tokens.failed().flat_map(|(_, failed)| failed.range(known.clone())).map(|(_, n)| n).sum(),
                cost: prices.per_1000_m2m_tokens.map(|price| {
                    let of = |tokens: u64| price * tokens as f64 / 1000.0;
                    let ghosts = uses.iter().filter(|found| found.billable && found.verdict.is_ghost());
                    Cost {
                        currency: prices.currency.clone(),
                        per_1000_tokens: price,
                        issued: of(used.m2m_tokens.issued),
                        avoidable: of(used.m2m_tokens.avoidable),
                        ghosts: of(ghosts.map(TokenUse::avoidable).sum()),
                    }
                }),
                clients: overview::clients(&uses).collect(),
                ghosts: overview::ghosts(&uses, is_month.then(|| Rest::of_month(as_of)), used.m2m_tokens.quota)
                    .map(|ghost| {
                        let price = prices.per_1000_m2m_tokens.filter(|_| ghost.billable);
                        let cost = |tokens: u64| Some(price? * tokens as f64 / 1000.0);
                        CostlyGhost {
                            cost: cost(ghost.avoidable),
                            projected_cost: ghost.projected_avoidable.and_then(cost),
                            ghost,
                        }
                    })
                    .collect(),
                ghosts_checked: overview::ghosts_checked(&uses, period.start),
                total: used.m2m_tokens,
            },
            organizations: used.organizations,
            enterprise_connections: used.enterprise_connections,
            events: events(usage, &known, as_of, before.as_ref()),
            unused: unused(usage, &known, &period),
            audit: overview::audit_view(tenant, std::iter::empty(), settings),
        }
    }
}

/// The days before these, as many, or the same of the month before; if the data covers them.
fn before(scene: &Scene<'_>, known: &RangeInclusive<Day>, is_month: bool) -> Option<RangeInclusive<Day>> {
    let first = *known.start();
    let days = if is_month {
        let begin = first.plus(-1).month_start();
        let is_over = *known.end() == *scene.days.end();
        let last = if is_over { first.plus(-1) } else { begin.plus(known.end().since(first)).min(first.plus(-1)) };
        begin..=last
    } else {
        first.plus(-1 - known.end().since(first))..=first.plus(-1)
    };
    coverage::begins_by(scene.extent.begin, *days.start()).then_some(days)
}

fn active_users(
    scene: &Scene<'_>,
    total: UsersOfMonth,
    known: &RangeInclusive<Day>,
    as_of: EventTime,
    before: Option<&RangeInclusive<Day>>,
) -> ActiveUsers {
    let usage = scene.usage;
    let by_day = usage.users.by_day(known.clone());
    let mut by_week: Vec<UserWeek> = Vec::new();
    for found in &by_day {
        let (begin, users) = (found.day.week_start(), overview::users(found.in_week));
        let is_whole = begin.plus(7).start() <= as_of && coverage::begins_by(scene.extent.begin, begin);
        let week = UserWeek { from: begin.to_string(), users, is_whole };
        match by_week.last_mut().filter(|known| known.from == week.from) {
            Some(known) => *known = week,
            None => by_week.push(week),
        }
    }
    let by_day: Vec<UserDay> = by_day.into_iter().map(overview::user_day).collect();
    let first = Day::of(scene.extent.begin).max(*known.start());
    let count = (known.end().since(first) + 1).max(1) as f64;
    let mean = |of: fn(&Users) -> f64| by_day.iter().map(|found| of(&found.day)).sum::<f64>() / count;
    let average_day = Users { estimate: mean(|u| u.estimate), lower: mean(|u| u.lower), upper: mean(|u| u.upper) };
    let previous = before.map(|before| overview::users(usage.users.distinct(before.clone())));
    let of_dimension = |dimension| {
        let all = usage.users.active(dimension, known.clone());
        sorted(all.map(|(key, found)| UsersOfKey {
            key: key.to_owned(),
            name: found.name.clone(),
            users: overview::users(found.distinct(known.clone())),
            logins: logins(found, known),
            previous: before.map(|before| overview::users(found.distinct(before.clone()))),
        }))
    };
    ActiveUsers {
        change: previous.and_then(|previous| change(&total.users, &previous)),
        previous,
        average_day,
        by_day,
        by_week,
        by_connection_type: by_connection_type(usage, known, before),
        by_connection: of_dimension(Dimension::Connection),
        by_organization: of_dimension(Dimension::Organization),
        by_client: of_dimension(Dimension::Client),
        total,
    }
}

fn logins(found: &KeyUsers, days: &RangeInclusive<Day>) -> u64 {
    found.days.range(days.clone()).map(|(_, day)| day.logins).sum()
}

fn sorted(all: impl Iterator<Item = UsersOfKey>) -> Vec<UsersOfKey> {
    let mut all: Vec<_> = all.collect();
    all.sort_by(|a, b| b.users.estimate.total_cmp(&a.users.estimate).then_with(|| a.key.cmp(&b.key)));
    all
}

/// `None` where there was nobody before.
fn change(now: &Users, before: &Users) -> Option<Change> {
    let ratio = |a: f64, b: f64| a / b - 1.0;
    (before.lower > 0.0).then(|| Change {
        value: ratio(now.estimate, before.estimate),
        lower: ratio(now.lower, before.upper),
        upper: ratio(now.upper, before.lower),
    })
}

fn by_connection_type(
    usage: &TenantUsage,
    known: &RangeInclusive<Day>,
    before: Option<&RangeInclusive<Day>>,
) -> Vec<UsersOfKey> {
    let kind_of =
        |name: &str| usage.activity.connections().find(|(known, _)| *known == name).map_or("unknown", |c| c.1.kind());
    let kinds: BTreeSet<&str> =
        usage.users.active(Dimension::Connection, known.clone()).map(|(name, _)| kind_of(name)).collect();
    let of_kind = |kind: &str| {
        let distinct = |days: &RangeInclusive<Day>| {
            let among = usage.users.distinct_among(Dimension::Connection, days.clone(), |name| kind_of(name) == kind);
            overview::users(among)
        };
        let all = usage.users.active(Dimension::Connection, known.clone()).filter(|(name, _)| kind_of(name) == kind);
        UsersOfKey {
            key: kind.to_owned(),
            name: String::new(),
            users: distinct(known),
            logins: all.map(|(_, found)| logins(found, known)).sum(),
            previous: before.map(distinct),
        }
    };
    sorted(kinds.into_iter().map(of_kind))
}

fn events(
    usage: &TenantUsage,
    known: &RangeInclusive<Day>,
    as_of: EventTime,
    before: Option<&RangeInclusive<Day>>,
) -> Events {
    let activity = &usage.activity;
    let of_day = |day: Day| {
        let period = day.start()..day.plus(1).start();
        let of = |class| activity.sum(class, period.clone());
        EventDay {
            date: day.to_string(),
            events: activity.classes().map(|(_, series)| series.sum(period.clone())).sum(),
            logins: of(Class::LoginOk),
            failed_logins: of(Class::LoginFail),
            rate_limits: of(Class::RateLimit),
            attacks: of(Class::Attack),
        }
    };
    let of_classes = |classes: &[Class]| {
        let types = activity.types().filter(|(code, _)| classes.contains(&catalogue::lookup(code).class));
        let mut found: Vec<_> = types
            .map(|(code, by_day)| TypeEvents {
                type_code: code.to_owned(),
                meaning: catalogue::lookup(code).meaning.to_owned(),
                events: by_day.range(known.clone()).map(|(_, events)| events).sum(),
                days: by_day.range(known.clone()).count() as u64,
                last_on: by_day.range(known.clone()).next_back().map(|(day, _)| day.to_string()),
                previous: before.map(|before| by_day.range(before.clone()).map(|(_, events)| events).sum()),
            })
            .filter(|found| found.events > 0)
            .collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.events));
        found
    };
    Events {
        by_day: days(known).map(of_day).filter(|day| day.events > 0).collect(),
        rate_limits: of_classes(&[Class::RateLimit]),
        attacks: of_classes(&[Class::Attack]),
        failures: of_classes(&[Class::LoginFail, Class::SignupFail, Class::UserTokenFail, Class::M2mFail]),
        failures_by_connection: overview::failures(usage, known.start().start()..as_of),
    }
}

fn days(range: &RangeInclusive<Day>) -> impl Iterator<Item = Day> + use<> {
    let first = *range.start();
    (0..=range.end().since(first)).map(move |n| first.plus(n))
}

fn unused(usage: &TenantUsage, known: &RangeInclusive<Day>, period: &Range<EventTime>) -> Unused {
    let last_active = |found: &KeyUsers| found.days.iter().rev().find(|(_, day)| day.events > 0).map(|(day, _)| *day);
    let connections = usage.activity.connections().filter_map(|(name, connection)| {
        let (attempts, last) = (connection.attempts(period.clone()), Day::of(connection.last_at?));
        (attempts.succeeded == 0 && last < *known.start()).then(|| (name, String::new(), last))
    });
    let mut clients: std::collections::BTreeMap<&str, (String, Day)> = Default::default();
    let mut seen = |id, name: &str, last: Day| {
        let client = clients.entry(id).or_insert_with(|| (name.to_owned(), last));
        client.1 = client.1.max(last);
        if client.0.is_empty() {
            name.clone_into(&mut client.0);
        }
    };
    for (id, found) in usage.users.keys(Dimension::Client) {
        if let Some(last) = last_active(found) {
            seen(id, &found.name, last);
        }
    }
    for (key, tokens) in usage.tokens.keys() {
        seen(&key.client_id, &tokens.client_name, Day::of(tokens.last.0));
    }
    let clients = clients.into_iter().map(|(id, (name, last))| (id, name, last));
    Unused {
        looked_at_since: usage.activity.begin(),
        connections: longest_first(connections),
        clients: longest_first(clients.filter(|(_, _, last)| last < known.start())),
    }
}

fn longest_first<'a>(all: impl Iterator<Item = (&'a str, String, Day)>) -> Vec<UnusedKey> {
    let mut all: Vec<_> =
        all.map(|(key, name, last)| UnusedKey { key: key.to_owned(), name, last_on: last.to_string() }).collect();
    all.sort_by(|a, b| (&a.last_on, &a.key).cmp(&(&b.last_on, &b.key)));
    all
}
