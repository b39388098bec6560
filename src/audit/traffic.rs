//! What a tenant's events say of what is used: applications, connections, organizations and grants, each with when it was
//! used last. Pure: rows in, answers out.
//!
//! Something is unused only where the events cover the period asked for; [`Traffic::gap`] says what is missing otherwise.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Class, Day, EventTime, catalogue};
use crate::partial::Partial;
use crate::usage::activity::is_enterprise;
use crate::usage::ghost::{self, Lifetimes, Thresholds, TokenUse};
use crate::usage::{Usage, silence};

/// How old the last event may be for "until today".
const STALE_DAYS: i64 = 2;
/// So many days in a row without any event are an outage of the stream rather than a quiet time.
const QUIET_DAYS_MAX: i64 = 3;

/// When something was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Within the period.
    pub events: u64,
    pub last_at: Option<EventTime>,
}

impl Used {
    fn add(&mut self, at: EventTime, events: u64, within: bool) {
        self.events += if within { events } else { 0 };
        self.last_at = self.last_at.max(Some(at));
    }
}

/// What one application did.
#[derive(Debug, Clone, Default)]
pub struct ClientUse {
    /// As its latest event has it.
    pub name: String,
    pub used: Used,
    pub logins: u64,
    pub logins_without_organization: u64,
    /// Logins that name no connection: single sign-on.
    pub logins_without_connection: u64,
}

/// What a client did with its tokens for an audience.
#[derive(Debug, Clone, Default)]
pub struct GrantUse {
    pub used: Used,
    /// Of all tokens ever seen.
    pub scopes: BTreeSet<String>,
}

pub struct Traffic {
    /// Of the data.
    pub tenant: String,
    pub days: i64,
    pub begin: EventTime,
    pub end: EventTime,
    /// Why nothing may be called unused.
    pub gap: Option<String>,
    pub clients: BTreeMap<String, ClientUse>,
    pub connections: BTreeMap<String, Used>,
    /// By client and connection.
    pub pairs: BTreeMap<(String, String), Used>,
    /// By id; each with its name.
    pub organizations: BTreeMap<String, (String, Used)>,
    /// By client and audience.
    pub grants: BTreeMap<(String, String), GrantUse>,
    pub ghosts: Vec<TokenUse>,
    pub logins: u64,
    pub logins_with_organization: u64,
    pub enterprise_logins: u64,
    /// The types of events within the period.
    kinds: BTreeSet<&'static str>,
}

/// Rows taken in so far.
#[derive(Default)]
pub struct Rows {
    /// By tenant.
    counts: BTreeMap<String, Counts>,
    usage: Usage,
    /// What is later is not counted.
    until: Option<EventTime>,
}

/// Events by day, and by what the audit asks for.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Count {
    day: i64,
    kind: &'static str,
    client: String,
    connection: String,
    enterprise: bool,
    organization: String,
}

const DAY_MS: i64 = 86_400_000;

impl Rows {
    /// Rows of before a time.
    pub fn until(until: EventTime) -> Self {
        Self { until: Some(until), ..Self::default() }
    }

    /// Takes in rows, each once.
    pub fn absorb(&mut self, rows: &Partial) {
        for row in rows.counts() {
            if self.until.is_some_and(|until| row.window_start >= until) {
                continue;
            }
            let count = Count {
                day: row.window_start.ms().div_euclid(DAY_MS),
                kind: catalogue::lookup(row.type_code).code,
                client: row.client_id.to_owned(),
                connection: row.connection.to_owned(),
                enterprise: is_enterprise(row.strategy),
                organization: row.organization_id.to_owned(),
            };
            *self.counts.entry(row.tenant.to_owned()).or_default().entry(count).or_default() += row.events;
        }
        self.usage.absorb(rows);
    }

    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(String::as_str)
    }

    /// What a tenant used in the last `days` before `now`.
    pub fn traffic(
        mut self,
        tenant: &str,
        days: i64,
        now: EventTime,
        lifetimes: &Lifetimes,
        thresholds: &Thresholds,
    ) -> Traffic {
        self.usage.settle(lifetimes);
        let mut counts = self.counts.remove(tenant).unwrap_or_default();
        counts.retain(|count, _| EventTime::from_ms(count.day * DAY_MS) < now);
        let from = Day::of(now).plus(-days).start();
        let mut traffic = Traffic {
            tenant: tenant.to_owned(),
            days,
            begin: from,
            end: now,
            gap: None,
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            pairs: BTreeMap::new(),
            organizations: BTreeMap::new(),
            grants: BTreeMap::new(),
            ghosts: Vec::new(),
            logins: 0,
            logins_with_organization: 0,
            enterprise_logins: 0,
            kinds: BTreeSet::new(),
        };
        counts.iter().for_each(|(count, events)| traffic.count(count, *events, from));
        if let Some(usage) = self.usage.tenant(tenant) {
            traffic.tokens(usage, from, now);
            traffic.ghosts = ghost::token_use(tenant, &usage.tokens, &(from..now), lifetimes, thresholds);
            traffic.ghosts.retain(|used| used.verdict.is_ghost());
        }
        traffic.gap = gap(tenant, &counts, days, now);
        traffic
    }
}

type Counts = BTreeMap<Count, u64>;

/// What of the period the events do not cover.
fn gap(tenant: &str, counts: &Counts, days: i64, now: EventTime) -> Option<String> {
    let seen: BTreeSet<i64> = counts.keys().map(|count| count.day).collect();
    let day = |number: i64| EventTime::from_ms(number * DAY_MS);
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return Some(format!("the data has no events of {:?}", tenant));
    };
    let today = now.ms().div_euclid(DAY_MS);
    let from = today - days;
    if today - last > STALE_DAYS {
        return Some(format!("the data ends on {}; nothing is known of the time since", day(*last).date()));
    }
    if *first > from {
        return Some(format!(
            "the data begins on {}, and {days} days were asked for: use --unused-days {} or wait",
            day(*first).date(),
            (today - first).max(0)
        ));
    }
    let within: Vec<i64> = seen.iter().copied().filter(|day| *day >= from - QUIET_DAYS_MAX).collect();
    let pause = within.windows(2).find(|pair| pair[1] - pair[0] > QUIET_DAYS_MAX);
    if let Some(pause) = pause {
        let (after, until) = (day(pause[0] + 1).date(), day(pause[1] - 1).date());
        return Some(format!("the data has no events at all from {after} to {until}"));
    }
    let missing = silence::missing(&types(counts, today - 7..=today), &types(counts, from..=today - 8));
    missing.first().map(|missing| format!("the stream seems to be filtered: {}", missing.what))
}

fn types(counts: &Counts, days: std::ops::RangeInclusive<i64>) -> BTreeMap<&str, u64> {
    let mut types = BTreeMap::new();
    for (count, events) in counts.iter().filter(|(count, _)| days.contains(&count.day)) {
        *types.entry(count.kind).or_default() += events;
    }
    types
}

impl Traffic {
    fn count(&mut self, count: &Count, events: u64, from: EventTime) {
        let at = EventTime::from_ms(count.day * DAY_MS);
        let within = at >= from;
        let class = catalogue::lookup(count.kind).class;
        let is_login = class == Class::LoginOk;
        self.kinds.extend(within.then_some(count.kind));
        if !count.client.is_empty() {
            let client = self.clients.entry(count.client.clone()).or_default();
            client.used.add(at, events, within);
            if is_login && within {
                client.logins += events;
                client.logins_without_organization += if count.organization.is_empty() { events } else { 0 };
                client.logins_without_connection += if count.connection.is_empty() { events } else { 0 };
            }
        }
        if is_login && within {
            self.logins += events;
            self.logins_with_organization += if count.organization.is_empty() { 0 } else { events };
            self.enterprise_logins += if count.enterprise { events } else { 0 };
        }
        if !count.organization.is_empty() {
            self.organizations.entry(count.organization.clone()).or_default().1.add(at, events, within);
        }
        // A failed login is no use of a connection.
        let uses = matches!(class, Class::LoginOk | Class::SignupOk | Class::UserTokenOk);
        if uses && !count.connection.is_empty() {
            self.connections.entry(count.connection.clone()).or_default().add(at, events, within);
            let pair = (count.client.clone(), count.connection.clone());
            self.pairs.entry(pair).or_default().add(at, events, within);
        }
    }

    fn tokens(&mut self, usage: &crate::usage::TenantUsage, from: EventTime, now: EventTime) {
        use crate::partial::Dimension;
        for (id, users) in usage.users.keys(Dimension::Client) {
            if let Some(client) = self.clients.get_mut(id) {
                users.name.clone_into(&mut client.name);
            }
        }
        for (id, users) in usage.users.keys(Dimension::Organization) {
            if let Some((name, _)) = self.organizations.get_mut(id) {
                users.name.clone_into(name);
            }
        }
        for (key, tokens) in usage.tokens.keys() {
            let client = self.clients.entry(key.client_id.clone()).or_default();
            if client.name.is_empty() {
                tokens.client_name.clone_into(&mut client.name);
            }
            let second = crate::usage::tokens::second;
            // Of what came later only its last time is kept.
            let last = match tokens.last.0 {
                last if last < now => Some(last),
                _ if tokens.issued(&(0..second(now))) > 0 => Some(now),
                _ => continue,
            };
            client.used.last_at = client.used.last_at.max(last);
            let grant = self.grants.entry((key.client_id.clone(), key.audience.clone())).or_default();
            grant.used.last_at = grant.used.last_at.max(last);
            grant.used.events += tokens.issued(&(second(from)..second(now)));
            grant.scopes.extend(key.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned));
        }
    }

    /// The ids of an application in the events: its own, or those of everybody who had its name.
    pub fn ids_of<'a>(&'a self, id: Option<&'a str>, name: &'a str) -> Vec<&'a str> {
        match id {
            Some(id) => vec![id],
            None => self.clients.iter().filter(|(_, used)| used.name == name).map(|(id, _)| id.as_str()).collect(),
        }
    }

    pub fn client(&self, id: Option<&str>, name: &str) -> ClientUse {
        let mut sum = ClientUse::default();
        for used in self.ids_of(id, name).into_iter().filter_map(|id| self.clients.get(id)) {
            sum.used.events += used.used.events;
            sum.used.last_at = sum.used.last_at.max(used.used.last_at);
            sum.logins += used.logins;
            sum.logins_without_organization += used.logins_without_organization;
            sum.logins_without_connection += used.logins_without_connection;
        }
        sum
    }

    /// Why nobody can tell that no user logged in: other types (such as ssa, sepft) show a part of them only.
    pub fn without_logins(&self) -> Option<&'static str> {
        (!self.kinds.contains("s"))
            .then_some("the data has no login of anybody (s) in that time: the stream may leave them out")
    }

    /// Why nobody can tell that a client asked for no tokens of its own.
    pub fn without_client_tokens(&self) -> Option<&'static str> {
        (!self.kinds.contains("seccft"))
            .then_some("the data has no M2M token (seccft) at all in that time: the stream may leave them out")
    }

    /// Why nobody can tell that no refresh token was exchanged: Auth0 delivers exchanges together, or none.
    pub fn without_exchanges(&self) -> Option<&'static str> {
        let category = catalogue::lookup("sertft").category;
        (!self.kinds.iter().any(|kind| catalogue::lookup(kind).category == category)).then_some(
            "the data has no exchange for tokens (such as sertft) at all in that time: the stream may leave them out",
        )
    }

    /// Whether an application occurs in the events at all.
    pub fn knows(&self, id: Option<&str>, name: &str) -> bool {
        self.ids_of(id, name).iter().any(|id| self.clients.contains_key(*id))
    }

    /// "in 30 days (2026-10-24 to 2026-11-23)".
    pub fn period(&self) -> String {
        format!("in {} days ({} to {})", self.days, self.begin.date(), self.end.date())
    }

    /// When it was used last, as far back as the events go.
    pub fn last(&self, used: Option<&Used>) -> String {
        match used.and_then(|used| used.last_at) {
            Some(at) => format!("the last use was on {}", at.date()),
            None => "no use was ever seen".to_owned(),
        }
    }
}
