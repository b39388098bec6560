//! `event_counts`: how many events of each type, by where they happened.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::symbols::{Symbol, Symbols};
use super::windows::{Rows, Window, Windows};
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

    pub fn rows<'a>(&self, symbols: &'a Symbols) -> Vec<CountsRow<'a>> {
        self.sorted_keys(symbols).rows(&self.rows.sorted())
    }

    /// The same by the day in which windows begin, one day's after the other's.
    pub fn rows_by_day<'a>(&self, symbols: &'a Symbols) -> impl Iterator<Item = (Day, Vec<CountsRow<'a>>)> {
        let (keys, windows) = (self.sorted_keys(symbols), self.rows.sorted());
        let day_of = |(window, _): &(Window, _)| Day::of(window.start);
        let mut at = 0;
        std::iter::from_fn(move || {
            let day = day_of(windows.get(at)?);
            let begin = at;
            at += windows[begin..].partition_point(|window| day_of(window) == day);
            Some((day, keys.rows(&windows[begin..at])))
        })
    }

    fn sorted_keys<'a>(&self, symbols: &'a Symbols) -> SortedKeys<'a> {
        let ranks = symbols.ranks(self.keys.keys().flat_map(Key::symbols));
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(key, _)| ranks.of(key.symbols()));
        let mut places = vec![0; keys.len()];
        (0..).zip(&keys).for_each(|(place, (_, number))| places[**number as usize] = place);
        SortedKeys {
            texts: keys.iter().map(|(key, _)| key.symbols().map(|symbol| symbols.get(symbol))).collect(),
            places,
        }
    }
}

/// Keys in the order of rows.
struct SortedKeys<'a> {
    texts: Vec<[&'a str; 6]>,
    /// By the number of the key.
    places: Vec<u32>,
}

impl<'a> SortedKeys<'a> {
    /// The rows of these windows, which are in order.
    fn rows(&self, windows: &[(Window, &Rows<u32, u64>)]) -> Vec<CountsRow<'a>> {
        let mut sorted: Vec<(u32, u32, u64)> = Vec::with_capacity(windows.iter().map(|(_, rows)| rows.len()).sum());
        for (at, (_, rows)) in (0..).zip(windows) {
            sorted.extend(rows.iter().map(|(number, events)| (self.places[*number as usize], at, *events)));
        }
        sorted.sort_unstable_by_key(|(place, at, _)| (*place, *at));
        let row = |(place, at, events): (u32, u32, u64)| {
            let [tenant, type_code, client_id, connection, strategy, organization_id] = self.texts[place as usize];
            let Window { start: window_start, seconds: window_seconds } = windows[at as usize].0;
            CountsRow {
                window_start,
                window_seconds,
                tenant,
                type_code,
                client_id,
                connection,
                strategy,
                organization_id,
                events,
            }
        };
        sorted.into_iter().map(row).collect()
    }
}
