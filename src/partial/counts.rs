//! `event_counts`: how many events of each type, by where they happened.

use super::symbols::{Symbol, Symbols};
use super::windows::{Window, Windows};
use super::{EventKeys, FoldSettings};
use crate::event::{EventTime, LogEvent, catalogue};

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
    rows: Windows<Key, u64>,
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
        *self.rows.rows(window).entry(key).or_insert_with(|| {
            self.heap_bytes += size_of::<(Key, u64)>() * 8 / 7;
            0
        }) += events;
    }

    pub fn tenants<'a>(&self, symbols: &'a Symbols) -> impl Iterator<Item = &'a str> {
        self.rows.iter().map(|(_, key, _)| symbols.get(key.tenant))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn rows<'a>(&self, symbols: &'a Symbols) -> Vec<CountsRow<'a>> {
        let ranks = symbols.ranks(self.rows.iter().flat_map(|(_, key, _)| key.symbols()));
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_cached_key(|(window, key, _)| (ranks.of(key.symbols()), *window));
        rows.into_iter()
            .map(|(window, key, events)| CountsRow {
                window_start: window.start,
                window_seconds: window.seconds,
                tenant: symbols.get(key.tenant),
                type_code: symbols.get(key.type_code),
                client_id: symbols.get(key.client_id),
                connection: symbols.get(key.connection),
                strategy: symbols.get(key.strategy),
                organization_id: symbols.get(key.organization_id),
                events: *events,
            })
            .collect()
    }
}
