//! Rows by their window, each window a table of its own: events come by about their time, so that the rows they meet are few
//! and near at hand, however many a batch has.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::event::EventTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub start: EventTime,
    pub seconds: u32,
}

/// The rows of one window.
pub type Rows<K, V> = HashMap<K, V, FixedState>;

pub struct Windows<K, V> {
    places: HashMap<Window, usize, FixedState>,
    tables: Vec<(Window, Rows<K, V>)>,
    /// The place of the window asked for last.
    last: usize,
}

impl<K, V> Default for Windows<K, V> {
    fn default() -> Self {
        Self { places: HashMap::default(), tables: Vec::new(), last: 0 }
    }
}

impl<K: Hash + Eq, V> Windows<K, V> {
    pub fn rows(&mut self, window: Window) -> &mut Rows<K, V> {
        if self.tables.get(self.last).is_none_or(|(last, _)| *last != window) {
            self.last = *self.places.entry(window).or_insert_with(|| {
                self.tables.push((window, Rows::default()));
                self.tables.len() - 1
            });
        }
        &mut self.tables[self.last].1
    }

    pub fn len(&self) -> usize {
        self.tables.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// The windows in order, their rows in none.
    pub fn sorted(&self) -> Vec<(Window, &Rows<K, V>)> {
        let mut sorted: Vec<_> = self.tables.iter().map(|(window, rows)| (*window, rows)).collect();
        sorted.sort_unstable_by_key(|(window, _)| *window);
        sorted
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (Window, &K, &V)> {
        self.tables.iter().flat_map(|(window, rows)| rows.iter().map(|(key, value)| (*window, key, value)))
    }
}
