//! `event_counts`: how many events of each type, by where they happened.

use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::symbols::{Symbol, Symbols};
use super::windows::{Window, Windows};
use super::{EventKeys, FoldSettings};
use crate::event::{Day, EventTime, LogEvent, catalogue};

/// One row of `event_counts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountsRow<'a> {
    pub window_start: EventTime,
    pub window_seconds: u32,
    pub tenant: &'a str,
    /// The type code, or `other` for one the catalogue does not have.
    pub type_code: &'a str,
    pub client_id: &'a str,
    pub connection: &'a str,
    pub strategy: &'a str,
    pub organization_id: &'a str,
    pub events: u64,
}

impl CountsRow<'_> {
    /// The class of the type code, as datasets name it.
    pub fn class(&self) -> &'static str {
        catalogue::lookup(self.type_code).class.name()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tenant: Symbol,
    type_code: Symbol,
    client_id: Symbol,
    connection: Symbol,
    strategy: Symbol,
    organization_id: Symbol,
}

impl Key {
    /// In the order in which rows are sorted.
    fn symbols(&self) -> [Symbol; 6] {
        [self.tenant, self.type_code, self.client_id, self.connection, self.strategy, self.organization_id]
    }
}

#[derive(Default)]
pub(super) struct Counts {
    /// Each key as a number: there are few, and most come in many windows.
    keys: HashMap<Key, u32, FixedState>,
    rows: Windows<u32, u64>,
    pub heap_bytes: usize,
}

impl Counts {
    pub fn fold(&mut self, event: &LogEvent<'_>, keys: &EventKeys, settings: &FoldSettings, symbols: &mut Symbols) {
        let window =
            Window { start: settings.counts_window.start(event.at), seconds: settings.counts_window.seconds() };
        let key = Key {
            tenant: keys.tenant,
            type_code: symbols.intern(event.kind.code),
            client_id: keys.client_id,
            connection: keys.connection,
            strategy: symbols.intern(event.strategy),
            organization_id: keys.organization_id,
        };
        self.add(window, key, 1);
    }

    /// Merges a row of the same grain, wherever it was folded.
    pub fn absorb(&mut self, row: &CountsRow<'_>, symbols: &mut Symbols) {
        let window = Window { start: row.window_start, seconds: row.window_seconds };
        let key = Key {
            tenant: symbols.intern(row.tenant),
            type_code: symbols.intern(row.type_code),
            client_id: symbols.intern(row.client_id),
            connection: symbols.intern(row.connection),
            strategy: symbols.intern(row.strategy),
            organization_id: symbols.intern(row.organization_id),
        };
        self.add(window, key, row.events);
    }

    fn add(&mut self, window: Window, key: Key, events: u64) {
        let next = self.keys.len() as u32;
        let number = *self.keys.entry(key).or_insert_with(|| {
            self.heap_bytes += size_of::<(Key, u32)>() * 8 / 7;
            next
        });
        *self.rows.rows(window).entry(number).or_insert_with(|| {
            self.heap_bytes += size_of::<(u32, u64)>() * 8 / 7;
            0
        }) += events;
    }

    pub fn tenants<'a>(&self, symbols: &'a Symbols) -> impl Iterator<Item = &'a str> {
        self.keys.keys().map(|key| symbols.get(key.tenant))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The days in which windows begin.
    pub fn days(&self) -> BTreeSet<Day> {
        self.rows.sorted().into_iter().map(|(window, _)| Day::of(window.start)).collect()
    }

    /// Those in windows that begin within `day`, or all.
    pub fn rows<'a>(&self, day: Option<Day>, symbols: &'a Symbols) -> Vec<CountsRow<'a>> {
        // A key's rows are in order if windows come in order.
        let mut rows_by_key = vec![Vec::new(); self.keys.len()];
        let mut count = 0;
        let is_asked = |window: &Window| day.is_none_or(|day| Day::of(window.start) == day);
        for (window, rows) in self.rows.sorted().into_iter().filter(|(window, _)| is_asked(window)) {
            count += rows.len();
            rows.iter().for_each(|(number, events)| rows_by_key[*number as usize].push((window, *events)));
        }
        let ranks = symbols.ranks(self.keys.keys().flat_map(Key::symbols));
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| ranks.of(key.symbols()));
        let mut sorted = Vec::with_capacity(count);
        for (key, number) in keys {
            let [tenant, type_code, client_id, connection, strategy, organization_id] =
                key.symbols().map(|symbol| symbols.get(symbol));
            sorted.extend(rows_by_key[*number as usize].iter().map(|(window, events)| CountsRow {
                window_start: window.start,
                window_seconds: window.seconds,
                tenant,
                type_code,
                client_id,
                connection,
                strategy,
                organization_id,
                events: *events,
            }));
        }
        sorted
    }
}
