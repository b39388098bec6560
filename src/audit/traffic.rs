//! What a tenant's events say of what is used: applications, connections, organizations and grants, each with when it was
//! used last. Pure: usage in, answers out.
//!
//! Something is unused only where the events cover the period asked for; [`Traffic::gap`] says what is missing otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::url::masked;
use crate::event::{Day, EventTime, catalogue};
use crate::partial::UNRECOGNISED;
use crate::store::progress::Reach;
use crate::usage::ghost::{self, Lifetimes, Thresholds, TokenUse};
use crate::usage::hosts::Hosts;
use crate::usage::uses::{self, Logins};
use crate::usage::{TenantUsage, silence};

/// How old the last event may be for "until today".
const STALE_DAYS: i64 = 2;
/// So many days in a row without any event are an outage of the stream rather than a quiet time.
const QUIET_DAYS_MAX: i64 = 3;

/// So many without a login, or a token, while other events come.
const PAUSE_DAYS_MAX: i64 = 7;
/// Logins past an organization are over once more days than these had logins, and none past it. The last has just begun.
pub const BYPASSED_DAYS: usize = 2;

/// When something was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Within the period.
    pub events: u64,
    pub last_at: Option<EventTime>,
}

/// What one application did.
#[derive(Debug, Clone, Default)]
pub struct ClientUse {
    /// As its latest event has it.
    pub name: String,
    pub used: Used,
    /// Within the period.
    pub logins: Logins,
    /// The last day of a login without an organization.
    pub last_without_organization: Option<Day>,
    /// The last days with logins, as many as tell whether those without an organization are over.
    login_days: BTreeSet<Day>,
    /// The last day of each type of event.
    pub types: BTreeMap<&'static str, Day>,
}

impl ClientUse {
    /// Of the last days with logins those after another.
    pub fn login_days_after(&self, day: Day) -> usize {
        self.login_days.range(day.plus(1)..).count()
    }

    fn logged_in(&mut self, day: Day) {
        self.login_days.insert(day);
        if self.login_days.len() > BYPASSED_DAYS + 1 {
            self.login_days.pop_first();
        }
    }
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
    /// The first day of the data, or of what came after its last long pause.
    pub since: Option<Day>,
    /// The last day of the data.
    pub until: Option<Day>,
    /// The days of the period with any event.
    pub seen: BTreeSet<Day>,
    /// Which types of events ought to come and do not, in words.
    pub missing: Vec<String>,
    /// Why nothing may be called unused.
    pub gap: Option<String>,
    /// What of the events is not read yet.
    held_back: Option<String>,
    /// That the data ended long ago, if it did.
    pub ended: Option<String>,
    pub clients: BTreeMap<String, ClientUse>,
    pub connections: BTreeMap<String, Used>,
    /// By client and connection.
    pub pairs: BTreeMap<(String, String), Used>,
    /// By id; each with its name.
    pub organizations: BTreeMap<String, (String, Used)>,
    /// By client and audience.
    pub grants: BTreeMap<(String, String), GrantUse>,
    pub ghosts: Vec<TokenUse>,
    pub logins: Logins,
    /// By which host names users came; or why that is not known.
    pub hosts: Result<Hosts, &'static str>,
    /// Why nobody can tell by each of [`TOLD_BY`], and by all exchanges, that something was not used.
    untold: BTreeMap<&'static str, String>,
    without_exchanges: Option<String>,
    without_late_logins: Option<String>,
    /// The ids of each client's name.
    ids: BTreeMap<String, Vec<String>>,
}

impl Traffic {
    /// What a tenant used in the last `days` before `now`. The walks over tokens must be settled; `held_back` says what of the
    /// events is not read yet.
    pub fn new(
        tenant: &str,
        usage: &TenantUsage,
        days: i64,
        now: EventTime,
        (lifetimes, thresholds): (&Lifetimes, &Thresholds),
        held_back: Option<String>,
    ) -> Self {
        let today = Day::of(now);
        let from = today.plus(-days);
        let seen = days_of(usage, today, |_| true);
        let exchanges = catalogue::lookup("sertft").category;
        let exchanges = days_of(usage, today, |code| catalogue::lookup(code).category == exchanges);
        let untold = TOLD_BY.iter().filter_map(|(code, what, without)| {
            Some((*code, pause(&days_of(usage, today, |one| one == *code), from..=today, what, without)?))
        });
        let untold: BTreeMap<&'static str, String> = untold.collect();
        let missing = silence::missing(&types(usage, today.plus(-7)..=today), &types(usage, from..=today.plus(-8)));
        let missing: Vec<String> = missing.into_iter().map(|missing| missing.what).collect();
        let filtered = || missing.first().map(|what| format!("the stream seems to be filtered: {what}"));
        let mut traffic = Self {
            tenant: tenant.to_owned(),
            days,
            begin: from.start(),
            end: now,
            since: since(&seen),
            until: seen.last().copied(),
            seen: seen.range(from..).copied().collect(),
            gap: held_back.clone().or_else(|| gap(tenant, &seen, from..=today)).or_else(filtered),
            held_back,
            ended: seen.last().and_then(|last| ended(*last, today)),
            missing,
            clients: BTreeMap::new(),
            connections: BTreeMap::new(),
            pairs: BTreeMap::new(),
            organizations: BTreeMap::new(),
            grants: BTreeMap::new(),
            ghosts: ghost::token_use(tenant, &usage.tokens, &(from.start()..now), lifetimes, thresholds),
            logins: Logins::default(),
            hosts: Err("the host names of events are not read here, only by `ghostlight audit --data`"),
            without_exchanges: pause(&exchanges, from..=today, EXCHANGES.0, EXCHANGES.1),
            without_late_logins: late_logins(&days_of(usage, today, |code| code == "s"), today),
            untold,
            ids: BTreeMap::new(),
        };
        traffic.ghosts.retain(|used| used.verdict.is_ghost());
        // As the configuration has them.
        for ghost in &mut traffic.ghosts {
            ghost.client_name = masked(&ghost.client_name).into_owned();
            ghost.audience = masked(&ghost.audience).into_owned();
        }
        traffic.uses(usage, from..=today);
        traffic.tokens(usage, from.start(), now);
        for (id, used) in &traffic.clients {
            traffic.ids.entry(used.name.clone()).or_default().push(id.clone());
        }
        traffic
    }

    fn uses(&mut self, usage: &TenantUsage, days: RangeInclusive<Day>) {
        let used = |by_day: &uses::Days| {
            let last = by_day.range(..=days.end()).next_back()?;
            let events = by_day.range(days.clone()).map(|(_, events)| events).sum();
            Some(Used { events, last_at: Some(last.0.start()) })
        };
        for (id, client) in usage.uses.clients() {
            let mut of_client = ClientUse::default();
            for (day, found) in client.days.range(..=days.end()) {
                let is_within = days.contains(day);
                of_client.used.events += if is_within { found.events } else { 0 };
                of_client.used.last_at = Some(day.start());
                if is_within {
                    of_client.logins.add(&found.logins);
                }
                if found.logins.all > 0 {
                    of_client.logged_in(*day);
                }
                if found.logins.without_organization > 0 {
                    of_client.last_without_organization = Some(*day);
                }
            }
            self.logins.add(&of_client.logins);
            if id.is_empty() || of_client.used.last_at.is_none() {
                continue;
            }
            of_client.types = client.types.iter().map(|(code, last)| (*code, *last.min(days.end()))).collect();
            self.clients.insert(id.to_owned(), of_client);
            let pairs = client
                .connections
                .iter()
                .filter_map(|(connection, by_day)| Some(((id.to_owned(), masked(connection).into()), used(by_day)?)));
            self.pairs.extend(pairs);
        }
        for (name, connection) in usage.activity.connections() {
            let within = days.start().start()..days.end().plus(1).start();
            if let Some(last) = connection.last_at {
                let events = connection.attempts(within).succeeded;
                self.connections.insert(masked(name).into(), Used { events, last_at: Some(last) });
            }
        }
        for (id, by_day) in usage.uses.organizations().filter(|(id, _)| *id != UNRECOGNISED) {
            if let Some(used) = used(by_day) {
                self.organizations.insert(id.to_owned(), (String::new(), used));
            }
        }
    }

    fn tokens(&mut self, usage: &TenantUsage, from: EventTime, now: EventTime) {
        use crate::partial::Dimension;
        for (id, users) in usage.users.keys(Dimension::Client) {
            if let Some(client) = self.clients.get_mut(id) {
                client.name = masked(&users.name).into();
            }
        }
        for (id, users) in usage.users.keys(Dimension::Organization) {
            if let Some((name, _)) = self.organizations.get_mut(id) {
                *name = masked(&users.name).into();
            }
        }
        for (key, tokens) in usage.tokens.keys() {
            let client = self.clients.entry(key.client_id.clone()).or_default();
            if client.name.is_empty() {
                client.name = masked(&tokens.client_name).into();
            }
            let second = crate::usage::tokens::second;
            // Of what came later only its last time is kept.
            let last = match tokens.last.0 {
                last if last < now => Some(last),
                _ if tokens.issued(&(0..second(now))) > 0 => Some(now),
                _ => continue,
            };
            client.used.last_at = client.used.last_at.max(last);
            let grant = self.grants.entry((key.client_id.clone(), masked(&key.audience).into())).or_default();
            grant.used.last_at = grant.used.last_at.max(last);
            grant.used.events += tokens.issued(&(second(from)..second(now)));
            grant.scopes.extend(key.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned));
        }
    }

    /// The ids of an application in the events: its own, or those of everybody who had its name.
    pub fn ids_of<'a>(&'a self, id: Option<&'a str>, name: &'a str) -> Vec<&'a str> {
        match id {
            Some(id) => vec![id],
            None => self.ids.get(name).into_iter().flatten().map(String::as_str).collect(),
        }
    }

    pub fn client(&self, id: Option<&str>, name: &str) -> ClientUse {
        let mut sum = ClientUse::default();
        for used in self.ids_of(id, name).into_iter().filter_map(|id| self.clients.get(id)) {
            sum.used.events += used.used.events;
            sum.used.last_at = sum.used.last_at.max(used.used.last_at);
            sum.logins.add(&used.logins);
            sum.last_without_organization = sum.last_without_organization.max(used.last_without_organization);
            used.login_days.iter().for_each(|day| sum.logged_in(*day));
            for (code, last) in &used.types {
                let known = sum.types.entry(code).or_insert(*last);
                *known = (*last).max(*known);
            }
        }
        sum
    }

    /// Why nobody can tell that no user logged in: other types (such as ssa, sepft) show a part of them only.
    pub fn without_logins(&self) -> Option<&str> {
        self.untold.get("s").map(String::as_str)
    }

    /// Why nobody can tell that no user logged in lately.
    pub fn without_late_logins(&self) -> Option<&str> {
        self.held_back.as_deref().or(self.without_late_logins.as_deref())
    }

    /// Why nobody can tell that a client asked for no tokens of its own.
    pub fn without_client_tokens(&self) -> Option<&str> {
        self.untold.get("seccft").map(String::as_str)
    }

    /// Why nobody can tell that no refresh token was exchanged: Auth0 delivers exchanges together, or none.
    pub fn without_exchanges(&self) -> Option<&str> {
        self.without_exchanges.as_deref()
    }

    /// The same of one type: what is as common as these is left out by the settings (`events.ignore`), if nobody has it.
    pub fn without_exchange(&self, code: &str) -> Option<&str> {
        self.untold.get(code).map_or_else(|| self.without_exchanges(), |why| Some(why.as_str()))
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
            None => self.since.map_or_else(String::new, |first| format!("no use was seen since {first}")),
        }
    }
}

/// What alone shows some use, what it is called, and what is said of data without any.
const TOLD_BY: [(&str, &str, &str); 4] = [
    ("s", "logins (s)", "no login of anybody (s)"),
    ("seccft", "M2M tokens (seccft)", "no M2M token (seccft) at all"),
    ("seacft", "exchanges of a code (seacft)", "no exchange of a code (seacft) of any application"),
    ("sertft", "exchanges of a refresh token (sertft)", "no exchange of a refresh token (sertft) of any application"),
];
const EXCHANGES: (&str, &str) =
    ("exchanges for tokens (such as sertft)", "no exchange for tokens (such as sertft) at all");
const LEFT_OUT: &str = "the stream or events.ignore may leave them out";

/// The days, up to today, with events of some types.
fn days_of(usage: &TenantUsage, today: Day, is_one: impl Fn(&str) -> bool) -> BTreeSet<Day> {
    let types = usage.activity.types().filter(|(code, _)| is_one(code));
    types.flat_map(|(_, by_day)| by_day.range(..=today).map(|(day, _)| *day)).collect()
}

/// Why events of a type do not tell of all of the period, though others may: there are none, or none for too many days in a
/// row. Weekends, and holidays up to a week, are quiet.
fn pause(days: &BTreeSet<Day>, period: RangeInclusive<Day>, what: &str, without: &str) -> Option<String> {
    let (from, today) = (*period.start(), *period.end());
    let within: Vec<Day> = days.range(period).copied().collect();
    if within.is_empty() {
        return Some(format!("the data has {without} in that time: {LEFT_OUT}"));
    }
    let all = today.since(from) + 1;
    let (count, allowed) = (within.len(), (all / 4).clamp(QUIET_DAYS_MAX, PAUSE_DAYS_MAX));
    let begins = std::iter::once(from).chain(within.iter().map(|day| day.plus(1)));
    let ends = within.iter().map(|day| day.plus(-1)).chain(std::iter::once(today));
    let (begin, end) = begins.zip(ends).max_by_key(|(begin, end)| end.since(*begin))?;
    (end.since(begin) >= allowed)
        .then(|| format!("{count} of the {all} days have {what}, and none from {begin} to {end} has any: {LEFT_OUT}"))
}

/// From when on there is data without a long pause.
fn since(days: &BTreeSet<Day>) -> Option<Day> {
    let goes_on = |(later, earlier): &(&Day, &Day)| later.since(**earlier) <= PAUSE_DAYS_MAX;
    let last = days.last()?;
    let pairs = days.iter().rev().zip(days.iter().rev().skip(1));
    Some(pairs.take_while(goes_on).last().map_or(*last, |(_, earlier)| *earlier))
}

/// Why logins do not tell of today.
fn late_logins(days: &BTreeSet<Day>, today: Day) -> Option<String> {
    let last = days.last().filter(|last| today.since(**last) <= PAUSE_DAYS_MAX);
    last.is_none().then(|| match days.last() {
        Some(last) => format!("the data has no login of anybody (s) since {last}: {LEFT_OUT}"),
        None => format!("the data has no login of anybody (s): {LEFT_OUT}"),
    })
}

/// What of the period the events do not cover.
fn gap(tenant: &str, seen: &BTreeSet<Day>, period: RangeInclusive<Day>) -> Option<String> {
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return Some(format!("the data has no event of {tenant:?} yet"));
    };
    let (from, today) = (*period.start(), *period.end());
    if let Some(ended) = ended(*last, today) {
        return Some(ended);
    }
    if *first > from {
        let (asked, covered) = (today.since(from), today.since(*first));
        let fewer = match covered {
            0 => String::new(),
            days => format!("ask for {days} (--unused-days, audit.unused_days), or "),
        };
        return Some(format!("the data begins on {first}, and {asked} days were asked for: {fewer}wait"));
    }
    // Also one that began before.
    let days: Vec<Day> = seen.iter().copied().collect();
    let lacks = |pair: &&[Day]| pair[1] >= from && pair[1].since(pair[0].max(from.plus(-1))) > QUIET_DAYS_MAX;
    days.windows(2).find(lacks).map(|pause| {
        let (after, until) = (pause[0].plus(1), pause[1].plus(-1));
        format!("the data has no events at all from {after} to {until}")
    })
}

/// That the last event is too old to say anything of today, if it is.
fn ended(last: Day, today: Day) -> Option<String> {
    (today.since(last) > STALE_DAYS).then(|| {
        format!(
            "the data ends on {last}, and nothing is known of the time since: audit --as-of judges by an earlier day"
        )
    })
}

fn types(usage: &TenantUsage, days: RangeInclusive<Day>) -> BTreeMap<&'static str, u64> {
    if days.is_empty() {
        return BTreeMap::new();
    }
    let sum = |by_day: &BTreeMap<Day, u64>| by_day.range(days.clone()).map(|(_, events)| events).sum();
    let types = usage.activity.types().map(|(code, by_day)| (code, sum(by_day)));
    types.filter(|(_, events)| *events > 0).collect()
}

/// What of the events of the last days is not read yet, if it is.
pub fn held_back(reach: Option<&Reach>, now: EventTime) -> Option<String> {
    let until = Day::of(now).plus(-STALE_DAYS).start();
    let reason = reach?.holding_back(until)?;
    Some(format!("not all events up to {} are read yet: {reason}", until.date()))
}
