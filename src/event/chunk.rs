//! A contiguous range of a partition's records, as a source cuts it and as the decoder reads it.

use std::ops::Range;

use super::{Decoded, Decoder, EventTime, ReadTime, Reject, Sink};

/// A contiguous range of a partition: what is read, decoded and folded as one piece. A batch ends where a chunk ends.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The first position of the range, and the one after its last.
    pub start: u64,
    pub end: u64,
    /// The records' bytes; [`RecordSpan::bytes`] points into it.
    pub bytes: Vec<u8>,
    pub records: Vec<RecordSpan>,
    /// What the source needs to go on from `end`, kept in the ledger entry that ends there.
    pub resume: Resume,
}

/// One record of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpan {
    /// The record's position in its partition.
    pub offset: u64,
    pub bytes: Range<usize>,
    /// When it arrived, where that is part of the record.
    pub arrived: Option<EventTime>,
    pub content: Content,
}

/// What the source knows of a record's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// Anything: a value, or lines of them.
    #[default]
    Any,
    /// One line: nobody needs to look for others in it.
    Line,
    /// Why this is no record (a piece of a line over the limit, a damaged end of a compressed file); it becomes a dead
    /// letter without being parsed.
    Refused(String),
}

/// What a source must know to go on where a batch ended. Only files need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resume {
    /// XXH3-128, in hexadecimal, of everything before `end`: a file that no longer begins so is another file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_xxh3: Option<String>,
    /// The file holds JSON values over several lines, not one a line: told by its beginning, once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub values: bool,
    /// The range ends inside a line longer than a record may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside_record: bool,
}

/// A record, or a line of one, that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The position of the record in its partition.
    pub offset: u64,
    /// Where in the record `raw` begins, in bytes.
    pub position: u64,
    /// Byte for byte; empty where not all of what events say about people is kept: nobody can tell what is in it.
    pub raw: Vec<u8>,
    pub reason: String,
    pub arrived: Option<EventTime>,
}

/// A chunk, read.
#[derive(Debug, Default)]
pub struct DecodedChunk {
    pub start: u64,
    pub end: u64,
    pub resume: Resume,
    /// How many bytes of records it held.
    pub bytes: u64,
    pub records: u64,
    /// Records of which at least a part is a dead letter; their good events are in `events` all the same.
    pub rejected: u64,
    pub events: Decoded,
    pub dead_letters: Vec<DeadLetter>,
}

impl Chunk {
    /// Reads every record. `now` only serves to tell dates that cannot be true.
    pub fn decode(&self, decoder: &mut Decoder, now: EventTime) -> DecodedChunk {
        let mut events = Decoded::default();
        let decoded = self.decode_into(&mut events, decoder, now);
        DecodedChunk { events, ..decoded }
    }

    /// The same, with the events given to `events` as they are read; what is returned has none.
    pub fn decode_into(&self, events: &mut dyn Sink, decoder: &mut Decoder, now: EventTime) -> DecodedChunk {
        let mut decoded = DecodedChunk {
            start: self.start,
            end: self.end,
            resume: self.resume.clone(),
            records: self.records.len() as u64,
            ..DecodedChunk::default()
        };
        let keeps_raw = decoder.settings().privacy.keeps_all();
        for record in &self.records {
            let bytes = &self.bytes[record.bytes.clone()];
            decoded.bytes += bytes.len() as u64;
            let before = decoded.dead_letters.len();
            let mut bury = |position: usize, raw: &[u8], reason: String| {
                decoded.dead_letters.push(DeadLetter {
                    offset: record.offset,
                    position: position as u64,
                    raw: if keeps_raw { raw.to_vec() } else { Vec::new() },
                    reason,
                    arrived: record.arrived,
                });
            };
            let read = ReadTime { arrived: record.arrived, now };
            let mut refuse = |reject: Reject| bury(reject.bytes.start, &bytes[reject.bytes.clone()], reject.reason);
            match &record.content {
                Content::Any => decoder.decode(bytes, read, events, &mut refuse),
                Content::Line => decoder.decode_line(bytes, read, events, &mut refuse),
                Content::Refused(reason) => bury(0, bytes, reason.clone()),
            }
            decoded.rejected += u64::from(decoded.dead_letters.len() > before);
        }
        decoded
    }
}
