//! `events`: each event counted, as a row of its own. Rows that merge with none, so no part of a [`Partial`](super::Partial):
//! two batches' are put one after the other.

use super::symbols::{Symbol, Symbols};
use crate::event::{EventTime, EventType, LogEvent, TEXTS};

/// The rows of a batch.
#[derive(Default)]
pub struct Events {
    symbols: Symbols,
    /// Of each row, one after the other: no two are the same, so they are not kept as symbols.
    log_ids: String,
    rows: Vec<Row>,
}

struct Row {
    kind: &'static EventType,
    at: EventTime,
    lateness_ms: i64,
    identity: u64,
    /// Where its `log_id` ends.
    log_id_end: usize,
    tenant: Symbol,
    texts: [Symbol; TEXTS],
}

impl Events {
    pub fn push(&mut self, event: &LogEvent<'_>) {
        self.log_ids.push_str(event.log_id);
        self.rows.push(Row {
            kind: event.kind,
            at: event.at,
            lateness_ms: event.lateness_ms,
            identity: event.identity,
            log_id_end: self.log_ids.len(),
            tenant: self.symbols.intern(event.tenant),
            texts: event.texts().map(|text| self.symbols.intern(text)),
        });
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// By number, from 0 on, in the order they were pushed.
    pub fn get(&self, number: usize) -> LogEvent<'_> {
        let row = &self.rows[number];
        LogEvent::of_texts(
            row.kind,
            row.at,
            row.lateness_ms,
            row.identity,
            self.log_id(number),
            self.symbols.get(row.tenant),
            row.texts.map(|text| self.symbols.get(text)),
        )
    }

    fn log_id(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.rows[before].log_id_end);
        &self.log_ids[start..self.rows[number].log_id_end]
    }

    /// The numbers of all rows, by tenant, time and `log_id`; equal ones in the order they were pushed.
    pub fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.rows.len() as u32).collect();
        let place = |number: u32| {
            let row = &self.rows[number as usize];
            (self.symbols.get(row.tenant), row.at, self.log_id(number as usize))
        };
        numbers.sort_by(|one, other| place(*one).cmp(&place(*other)));
        numbers
    }

    /// About how much memory the rows hold, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.symbols.heap_bytes() + self.log_ids.capacity() + self.rows.capacity() * size_of::<Row>()
    }
}
