//! Reads the stream back from a record boundary on, never past what is synced.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Chunk, Content, RecordSpan, Resume};
use super::record::{self, Flaw, HEADER_BYTES, Header};
use super::{Shared, SpoolError, folder};

/// What a wait for records ended with.
#[derive(Debug)]
pub enum Next {
    Chunk(Chunk),
    /// Nothing came within the wait.
    Idle,
    /// The spool is closed and everything in it was read.
    Closed,
}

/// Reads records in order, each once. It outlives the handles to the spool, and then ends with [`Next::Closed`].
pub struct SpoolReader {
    shared: Arc<Shared>,
    position: u64,
    open: Option<OpenSegment>,
}

struct OpenSegment {
    start: u64,
    path: PathBuf,
    file: File,
}

impl SpoolReader {
    pub(super) fn new(shared: Arc<Shared>, from: u64) -> Result<Self, SpoolError> {
        let (start, end, segment) = {
            let state = shared.state();
            (state.start(), state.end, state.segment_at(from))
        };
        let Some(segment) = segment else { return Err(SpoolError::Removed { from, start }) };
        if from > end {
            return Err(SpoolError::Ahead { from, end });
        }
        let mut reader = Self { shared, position: from, open: None };
        if from != segment.start && from != end {
            reader.check_boundary(segment.start)?;
        }
        Ok(reader)
    }

    /// Blocks until there is something to read, `wait` has passed, or the spool is closed and read to its end.
    ///
    /// A chunk takes at most `bytes_max` bytes, headers included, but always at least one record; it ends with its
    /// segment at the latest. After an error the position is where it was. Damage is an error only once it is next, so
    /// the records before it are still delivered.
    pub fn next(&mut self, bytes_max: usize, wait: Duration) -> Result<Next, SpoolError> {
        let (start, segment) = {
            let state = self.shared.wait_past(self.position, wait);
            if state.end <= self.position {
                return Ok(if state.closed && state.ended { Next::Closed } else { Next::Idle });
            }
            (state.start(), state.segment_at(self.position))
        };
        let Some(segment) = segment else { return Err(SpoolError::Removed { from: self.position, start }) };
        let chunk = self.read(segment.start, segment.end(), bytes_max)?;
        self.position = chunk.end;
        Ok(Next::Chunk(chunk))
    }

    /// Reads from the position on, in the segment that is synced from `start` to `end`.
    fn read(&mut self, start: u64, end: u64, bytes_max: usize) -> Result<Chunk, SpoolError> {
        let position = self.position;
        let left = end - position;
        let seal = self.shared.seal;
        let segment = self.open(start)?;
        segment.file.seek(SeekFrom::Start(position - start)).map_err(SpoolError::io("read", &segment.path))?;
        let mut bytes = Vec::new();
        segment.read_up_to(left.min(bytes_max.max(HEADER_BYTES) as u64), &mut bytes)?;

        let mut records = Vec::new();
        let mut at = 0;
        loop {
            match record::parse(&bytes[at..], seal) {
                Ok(header) => {
                    let body = at + HEADER_BYTES;
                    let next = body + header.body_bytes as usize;
                    let offset = position + at as u64;
                    let arrived = Some(header.arrived);
                    records.push(RecordSpan { offset, bytes: body..next, arrived, content: Content::Any });
                    at = next;
                }
                Err(_) if at > 0 => break,
                // A record over `bytes_max`; within what is synced, so a damaged length cannot ask for any memory.
                Err(Flaw::Incomplete { needed }) if (bytes.len() as u64) < needed && needed <= left => {
                    let read = bytes.len() as u64;
                    segment.read_up_to(needed - read, &mut bytes)?;
                    if bytes.len() as u64 == read {
                        return Err(segment.damaged(position, Flaw::Incomplete { needed }));
                    }
                }
                Err(flaw) => return Err(segment.damaged(position, flaw)),
            }
        }
        bytes.truncate(at);
        Ok(Chunk { start: position, end: position + at as u64, bytes, records, resume: Resume::default() })
    }

    /// Walks the headers of the segment up to the position. Bodies are left out: they were read and committed before,
    /// and damage to them does not matter any more.
    fn check_boundary(&mut self, start: u64) -> Result<(), SpoolError> {
        let from = self.position;
        let segment = self.open(start)?;
        let mut file = BufReader::new(&segment.file);
        let mut at = start;
        while at < from {
            let mut bytes = [0; HEADER_BYTES];
            match file.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(segment.damaged(at, Flaw::Incomplete { needed: HEADER_BYTES as u64 }));
                }
                Err(error) => return Err(SpoolError::io("read", &segment.path)(error)),
            }
            let Some(header) = Header::decode(&bytes) else { return Err(segment.damaged(at, Flaw::NoHeader)) };
            let next = at + header.record_bytes();
            if next > from {
                return Err(SpoolError::NotABoundary { from, before: at, after: next });
            }
            file.seek_relative(i64::from(header.body_bytes)).map_err(SpoolError::io("read", &segment.path))?;
            at = next;
        }
        Ok(())
    }

    fn open(&mut self, start: u64) -> Result<&mut OpenSegment, SpoolError> {
        let open = match self.open.take() {
            Some(open) if open.start == start => open,
            _ => {
                let path = folder::segment_path(&self.shared.folder, start);
                let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
                OpenSegment { start, path, file }
            }
        };
        Ok(self.open.insert(open))
    }
}

impl OpenSegment {
    /// Reads on, fewer bytes than `count` only at the end of the file.
    fn read_up_to(&mut self, count: u64, bytes: &mut Vec<u8>) -> Result<(), SpoolError> {
        bytes.reserve_exact(count as usize);
        (&mut self.file).take(count).read_to_end(bytes).map_err(SpoolError::io("read", &self.path))?;
        Ok(())
    }

    fn damaged(&self, offset: u64, flaw: Flaw) -> SpoolError {
        SpoolError::Damaged { file: self.path.clone(), offset, reason: flaw.reason().to_owned() }
    }
}
