//! A contiguous range of a partition, folded: what one commit makes true.

use serde::{Deserialize, Serialize};

use super::dedupe::Dedupe;
use super::{Events, FoldSettings, Partial};
use crate::event::{Chunk, DeadLetter, DecodedChunk, Decoder, EventTime, LogEvent, Resume, Sink};

/// What became of every record and event of a range. In each entry, and so in every sum of entries,
/// `records = read + rejected` and `events = counted + duplicates + ignored`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounting {
    pub records: u64,
    pub read: u64,
    /// Records of which at least a part could not be understood; that part is in `dead_letters`.
    pub rejected: u64,
    pub events: u64,
    pub counted: u64,
    pub duplicates: u64,
    /// Events of types the settings say to leave out.
    pub ignored: u64,
    pub dead_letters: u64,
    /// Rows in `events`: a batch's are as many as were counted, or none where that dataset is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub event_rows: u64,
}

/// Whether a number is left out where it is written.
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Accounting {
    /// Saturates: only a ledger that somebody made up comes near.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.records, other.records);
        add(&mut self.read, other.read);
        add(&mut self.rejected, other.rejected);
        add(&mut self.events, other.events);
        add(&mut self.counted, other.counted);
        add(&mut self.duplicates, other.duplicates);
        add(&mut self.ignored, other.ignored);
        add(&mut self.dead_letters, other.dead_letters);
        add(&mut self.event_rows, other.event_rows);
    }

    /// Whether nothing vanished.
    pub fn adds_up(&self) -> bool {
        let outcomes = self.counted.checked_add(self.duplicates).and_then(|sum| sum.checked_add(self.ignored));
        self.read.checked_add(self.rejected) == Some(self.records)
            && outcomes == Some(self.events)
            && self.dead_letters >= self.rejected
            && self.event_rows <= self.counted
    }
}

/// How far a partition's events have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frontier {
    /// The greatest event time seen.
    pub event_time: EventTime,
    /// When it was read.
    pub read_at: EventTime,
}

/// A range of a partition and everything it folded to.
pub struct Batch {
    pub start: u64,
    pub end: u64,
    pub resume: Resume,
    pub partial: Partial,
    /// The events counted, where each is a row of its own too.
    pub events: Events,
    pub accounting: Accounting,
    /// The identities of the events counted, in order.
    pub identities: Vec<u64>,
    pub dead_letters: Vec<DeadLetter>,
    pub frontier: Option<Frontier>,
    /// Type codes the catalogue does not have, with how often they came; at most [`UNKNOWN_TYPES_MAX`] of them.
    pub unknown_types: std::collections::BTreeMap<String, u64>,
    /// Why nothing of the range could be read.
    pub gap: Option<String>,
    /// Bytes of records read.
    pub bytes: u64,
    dead_letter_bytes: usize,
}

const UNKNOWN_TYPES_MAX: usize = 32;

impl Batch {
    /// An empty batch that begins at `start`.
    pub fn new(start: u64) -> Self {
        Self {
            start,
            end: start,
            resume: Resume::default(),
            partial: Partial::default(),
            events: Events::default(),
            accounting: Accounting::default(),
            identities: Vec::new(),
            dead_letters: Vec::new(),
            frontier: None,
            unknown_types: std::collections::BTreeMap::new(),
            gap: None,
            bytes: 0,
            dead_letter_bytes: 0,
        }
    }

    /// A range whose records are gone.
    pub fn lost(start: u64, end: u64, reason: String) -> Self {
        Self { end, gap: Some(reason), ..Self::new(start) }
    }

    /// Folds the chunk that follows; `chunk.start` is this batch's `end`.
    pub fn fold(
        &mut self,
        chunk: DecodedChunk,
        settings: &FoldSettings,
        ignore: &[String],
        dedupe: &mut Dedupe,
        read_at: EventTime,
    ) {
        let mut folding = Folding::new(self, chunk.start, settings, ignore, dedupe);
        chunk.events.events().for_each(|event| folding.push(&event));
        folding.end(chunk, read_at);
    }

    /// Reads and folds the chunk that follows: [`Chunk::decode`] and [`fold`](Self::fold), with no event kept between them.
    pub fn read(
        &mut self,
        chunk: &Chunk,
        decoder: &mut Decoder,
        settings: &FoldSettings,
        ignore: &[String],
        dedupe: &mut Dedupe,
        read_at: EventTime,
    ) {
        let mut folding = Folding::new(self, chunk.start, settings, ignore, dedupe);
        let decoded = chunk.decode_into(&mut folding, decoder, read_at);
        folding.end(decoded, read_at);
    }

    fn note_unknown_type(&mut self, code: &str) {
        if let Some(count) = self.unknown_types.get_mut(code) {
            *count += 1;
        } else if self.unknown_types.len() < UNKNOWN_TYPES_MAX && code.len() <= 64 {
            self.unknown_types.insert(code.to_owned(), 1);
        }
    }

    /// A batch without a range has nothing to commit, not even blank records.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// About how much memory the batch holds, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.partial.heap_bytes() + self.events.heap_bytes() + self.identities.capacity() * 8 + self.dead_letter_bytes
    }
}

/// A chunk on its way into a batch.
struct Folding<'a> {
    batch: &'a mut Batch,
    settings: &'a FoldSettings,
    ignore: &'a [String],
    dedupe: &'a mut Dedupe,
    accounting: Accounting,
    newest: Option<EventTime>,
}

impl Sink for Folding<'_> {
    fn push(&mut self, event: &LogEvent<'_>) {
        let Self { batch, settings, ignore, dedupe, accounting, newest } = self;
        accounting.events += 1;
        *newest = (*newest).max(Some(event.at));
        if ignore.iter().any(|code| code == event.type_code) {
            accounting.ignored += 1;
        } else if !dedupe.insert(event.identity) {
            accounting.duplicates += 1;
        } else {
            accounting.counted += 1;
            batch.identities.push(event.identity);
            batch.partial.fold(event, settings);
            if settings.events {
                accounting.event_rows += 1;
                batch.events.push(event);
            }
            if event.kind.code == "other" {
                batch.note_unknown_type(event.type_code);
            }
        }
    }
}

impl<'a> Folding<'a> {
    fn new(
        batch: &'a mut Batch,
        start: u64,
        settings: &'a FoldSettings,
        ignore: &'a [String],
        dedupe: &'a mut Dedupe,
    ) -> Self {
        assert_eq!(start, batch.end, "a batch is a contiguous range");
        Self { batch, settings, ignore, dedupe, accounting: Accounting::default(), newest: None }
    }

    /// After the chunk's events: what else it held.
    fn end(self, chunk: DecodedChunk, read_at: EventTime) {
        let Self { batch, accounting, newest, .. } = self;
        let accounting = Accounting {
            records: chunk.records,
            read: chunk.records - chunk.rejected,
            rejected: chunk.rejected,
            dead_letters: chunk.dead_letters.len() as u64,
            ..accounting
        };
        assert!(accounting.adds_up(), "{accounting:?}");
        batch.accounting.add(&accounting);
        if let Some(event_time) = newest
            && batch.frontier.is_none_or(|frontier| event_time > frontier.event_time)
        {
            batch.frontier = Some(Frontier { event_time, read_at });
        }
        batch.dead_letter_bytes += chunk.dead_letters.iter().map(|letter| letter.raw.len() + 128).sum::<usize>();
        batch.dead_letters.extend(chunk.dead_letters);
        batch.bytes += chunk.bytes;
        batch.end = chunk.end;
        batch.resume = chunk.resume;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounting_that_overflows_does_not_add_up() {
        let good = Accounting { records: 3, read: 2, rejected: 1, dead_letters: 1, ..Accounting::default() };
        assert!(good.adds_up());
        let made_up = Accounting { read: u64::MAX, rejected: 4, dead_letters: 4, ..good };
        assert!(!made_up.adds_up());
        let mut sum = good;
        sum.add(&made_up);
        assert!(!sum.adds_up());
    }
}
