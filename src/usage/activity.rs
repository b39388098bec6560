//! What happened, in numbers: events per five minutes and class, per day and type, and logins per quarter of an hour and
//! connection.

use std::collections::BTreeMap;
use std::ops::Range;

use super::users::entry;
use crate::event::{Class, Day, EventTime, catalogue};
use crate::partial::CountsRow;

/// The grain of the series by class, whatever the windows of the rows: a longer window counts where it begins.
pub const SLOT_SECONDS: i64 = 300;
/// Slots of a day.
pub const SLOTS: usize = 288;

/// The grain of logins by connection.
const QUARTER_MS: i64 = 900_000;

/// The events of one tenant.
#[derive(Default)]
pub struct Activity {
    classes: BTreeMap<&'static str, Series>,
    /// Types of which single events matter: rate limits and attacks.
    watched: BTreeMap<&'static str, Series>,
    types: BTreeMap<&'static str, BTreeMap<Day, u64>>,
    connections: BTreeMap<String, Connection>,
    /// Slots of the longest window of the rows.
    window_slots: usize,
}

/// Events per slot.
#[derive(Default)]
pub struct Series {
    days: BTreeMap<Day, Box<[u32]>>,
}

#[derive(Default)]
pub struct Connection {
    /// Such as `samlp`; empty where no event had it.
    pub strategy: String,
    /// Logins of each day by quarter of an hour, ascending, where there were any: those that succeeded, and those that
    /// failed.
    days: BTreeMap<Day, Vec<(u8, u32, u32)>>,
    pub last_at: Option<EventTime>,
}

/// Logins that were tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    pub succeeded: u64,
    pub failed: u64,
}

impl Attempts {
    pub fn all(self) -> u64 {
        self.succeeded + self.failed
    }

    fn plus(self, more: Self) -> Self {
        Self { succeeded: self.succeeded + more.succeeded, failed: self.failed + more.failed }
    }
}

impl Series {
    fn add(&mut self, at: EventTime, events: u64) {
        let day = Day::of(at);
        let slots = self.days.entry(day).or_insert_with(|| vec![0; SLOTS].into_boxed_slice());
        if let Some(slot) = slots.get_mut((at.since_ms(day.start()) / 1000 / SLOT_SECONDS) as usize) {
            *slot = slot.saturating_add(u32::try_from(events).unwrap_or(u32::MAX));
        }
    }

    /// Events of one slot.
    pub fn at(&self, slot: EventTime) -> u64 {
        let day = Day::of(slot);
        let within = (slot.since_ms(day.start()) / 1000 / SLOT_SECONDS) as usize;
        self.days.get(&day).and_then(|slots| slots.get(within)).map_or(0, |events| u64::from(*events))
    }

    /// Events of every slot from `from` up to `to`, both on the grain; slots without events are zero.
    pub fn slots(&self, period: Range<EventTime>) -> Vec<u64> {
        let count = period.end.since_ms(period.start).max(0) / (SLOT_SECONDS * 1000);
        (0..count).map(|n| self.at(EventTime::from_ms(period.start.ms() + n * SLOT_SECONDS * 1000))).collect()
    }

    pub fn sum(&self, period: Range<EventTime>) -> u64 {
        self.slots(period).iter().sum()
    }

    /// The last slot before `until` that has events.
    pub fn last_before(&self, until: EventTime) -> Option<EventTime> {
        self.days.range(..=Day::of(until)).rev().find_map(|(day, slots)| {
            let slot = |n: usize| EventTime::from_ms(day.start().ms() + n as i64 * SLOT_SECONDS * 1000);
            (0..SLOTS)
                .rev()
                .map(|n| (slot(n), slots[n]))
                .find(|(at, events)| *at < until && *events > 0)
                .map(|(at, _)| at)
        })
    }

    /// The first slot that has events.
    pub fn first(&self) -> Option<EventTime> {
        let (day, slots) = self.days.iter().next()?;
        let at = slots.iter().position(|events| *events > 0)?;
        Some(EventTime::from_ms(day.start().ms() + at as i64 * SLOT_SECONDS * 1000))
    }
}

impl Activity {
    pub(super) fn absorb(&mut self, row: &CountsRow<'_>) {
        let kind = catalogue::lookup(row.type_code);
        // Of a window longer than a slot it is known at its end how many there were, and of no sooner.
        let slots = i64::from(row.window_seconds) / SLOT_SECONDS;
        self.window_slots = self.window_slots.max(slots as usize);
        let at = EventTime::from_ms(row.window_start.ms() + (slots - 1).max(0) * SLOT_SECONDS * 1000);
        self.classes.entry(kind.class.name()).or_default().add(at, row.events);
        if matches!(kind.class, Class::RateLimit | Class::Attack) {
            self.watched.entry(kind.code).or_default().add(at, row.events);
        }
        *self.types.entry(kind.code).or_default().entry(Day::of(row.window_start)).or_default() += row.events;
        if row.connection.is_empty() {
            return;
        }
        let connection = entry(&mut self.connections, row.connection);
        if row.strategy > connection.strategy.as_str() {
            row.strategy.clone_into(&mut connection.strategy);
        }
        let (succeeded, failed) = match kind.class {
            Class::LoginOk | Class::SignupOk | Class::UserTokenOk => (row.events, 0),
            Class::LoginFail | Class::UserTokenFail => (0, row.events),
            _ => return,
        };
        if succeeded > 0 {
            connection.last_at = connection.last_at.max(Some(row.window_start));
        }
        let day = Day::of(at);
        let quarter = (at.since_ms(day.start()) / QUARTER_MS) as u8;
        let quarters = connection.days.entry(day).or_default();
        let place = quarters.binary_search_by_key(&quarter, |(quarter, ..)| *quarter).unwrap_or_else(|place| {
            quarters.insert(place, (quarter, 0, 0));
            place
        });
        let add = |sum: &mut u32, more: u64| *sum = sum.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        add(&mut quarters[place].1, succeeded);
        add(&mut quarters[place].2, failed);
    }

    pub(super) fn forget_before(&mut self, day: Day) {
        self.classes.values_mut().chain(self.watched.values_mut()).for_each(|series| {
            series.days = series.days.split_off(&day);
        });
        self.types.values_mut().for_each(|days| *days = days.split_off(&day));
        self.connections.values_mut().for_each(|connection| connection.days = connection.days.split_off(&day));
    }

    /// Events by class, as datasets name it.
    pub fn classes(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.classes.iter().map(|(class, series)| (*class, series))
    }

    /// Events of the types that are watched one by one: rate limits and attacks.
    pub fn watched(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.watched.iter().map(|(code, series)| (*code, series))
    }

    /// Events by type code and day.
    pub fn types(&self) -> impl Iterator<Item = (&'static str, &BTreeMap<Day, u64>)> {
        self.types.iter().map(|(code, days)| (*code, days))
    }

    pub fn connections(&self) -> impl Iterator<Item = (&str, &Connection)> {
        self.connections.iter().map(|(name, connection)| (name.as_str(), connection))
    }

    /// In how many slots events are known to have come, where rows have longer windows than one.
    pub fn window_slots(&self) -> usize {
        self.window_slots.clamp(1, SLOTS)
    }

    /// The first slot with events.
    pub fn begin(&self) -> Option<EventTime> {
        self.classes.values().filter_map(Series::first).min()
    }

    /// The end of the last slot with events.
    pub fn end(&self) -> Option<EventTime> {
        let end = |series: &Series| {
            let (day, slots) = series.days.iter().next_back()?;
            let last = slots.iter().rposition(|events| *events > 0)?;
            Some(EventTime::from_ms(day.start().ms() + (last as i64 + 1) * SLOT_SECONDS * 1000))
        };
        self.classes.values().filter_map(end).max()
    }

    /// Events of a class in a period.
    pub fn sum(&self, class: Class, period: Range<EventTime>) -> u64 {
        self.classes.get(class.name()).map_or(0, |series| series.sum(period))
    }

    /// All events of a slot.
    pub fn at(&self, slot: EventTime) -> u64 {
        self.classes.values().map(|series| series.at(slot)).sum()
    }
}

impl Connection {
    /// Attempts in the quarters of an hour that begin in this period.
    pub fn attempts(&self, period: Range<EventTime>) -> Attempts {
        self.quarters(&period).fold(Attempts::default(), |sum, (_, found)| sum.plus(found))
    }

    /// The last attempts of a period, by whole quarters of an hour that have ended: `enough`, or all. And since when.
    pub fn lately(&self, period: Range<EventTime>, enough: u64) -> (EventTime, Attempts) {
        let end = EventTime::from_ms(period.end.ms() - period.end.ms().rem_euclid(QUARTER_MS));
        let mut found = (end, Attempts::default());
        for (begin, attempts) in self.quarters(&(period.start..end)).rev().filter(|(_, attempts)| attempts.all() > 0) {
            if found.1.all() >= enough {
                break;
            }
            found = (begin, found.1.plus(attempts));
        }
        found
    }

    /// The quarters of an hour that begin in this period, in order, each with what was tried in it.
    fn quarters(&self, period: &Range<EventTime>) -> impl DoubleEndedIterator<Item = (EventTime, Attempts)> {
        let period = period.clone();
        let days = Day::of(period.start)..=Day::of(period.end);
        let quarters = self.days.range(days).flat_map(|(day, quarters)| {
            let begin = day.start().ms();
            quarters.iter().map(move |(quarter, succeeded, failed)| {
                let attempts = Attempts { succeeded: u64::from(*succeeded), failed: u64::from(*failed) };
                (EventTime::from_ms(begin + i64::from(*quarter) * QUARTER_MS), attempts)
            })
        });
        quarters.filter(move |(begin, _)| period.contains(begin))
    }

    /// What kind of connection its strategy makes it, as Auth0's usage report tells them apart.
    pub fn kind(&self) -> &'static str {
        match self.strategy.as_str() {
            "" => "unknown",
            "auth0" => "database",
            "email" | "sms" => "passwordless",
            strategy if is_enterprise(strategy) => "enterprise",
            _ => "social",
        }
    }

    /// Whether it is one of Auth0's enterprise strategies, which have a quota of their own.
    pub fn is_enterprise(&self) -> bool {
        is_enterprise(&self.strategy)
    }
}

pub fn is_enterprise(strategy: &str) -> bool {
    // Facts of the `strategy` names of enterprise connections (Auth0 Management API, connections).
    const ENTERPRISE: [&str; 9] =
        ["ad", "adfs", "auth0-adldap", "google-apps", "oidc", "okta", "pingfederate", "samlp", "waad"];
    ENTERPRISE.contains(&strategy)
}
