//! One record of a segment: a header of 20 bytes, little endian, then the body.
//!
//! | bytes | |
//! | --- | --- |
//! | 0..4 | magic: [`FIRST`] or [`FOLLOWS`] |
//! | 4..8 | length of the body, `u32` |
//! | 8..16 | arrival, milliseconds since the epoch, `i64` |
//! | 16..20 | CRC-32 of the spool's id, bytes 4..16 and the body |

use crate::event::EventTime;

pub const HEADER_BYTES: usize = 20;

/// The first record of a group commit. It is written only after everything before it was synced, so a sound record
/// with this magic proves that whatever precedes it was once safe on disk.
///
/// A body may hold any bytes, also what looks like a record; its checksum is then wrong, because nobody outside knows
/// the [`Seal`].
const FIRST: [u8; 4] = [0xFE, b'G', b'L', 0xFF];

/// A later record of the same group. It proves nothing about what precedes it: a disk that loses power during a sync
/// may have kept the end of a group and not its beginning.
const FOLLOWS: [u8; 4] = [0xFF, b'l', b'g', 0xFE];

/// What the checksums of one spool start from: no other spool's records, and none made up by a sender, match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u32);

impl Seal {
    pub fn of(spool_id: &str) -> Self {
        Self(crc32fast::hash(spool_id.as_bytes()))
    }

    fn checksum(self, body_bytes: u32, arrived: EventTime, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&body_bytes.to_le_bytes());
        hasher.update(&arrived.ms().to_le_bytes());
        hasher.update(body);
        hasher.finalize()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub starts_group: bool,
    pub body_bytes: u32,
    pub arrived: EventTime,
    crc: u32,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// They end before the record does, which takes so many bytes.
    Incomplete {
        needed: u64,
    },
    NoHeader,
    Checksum,
}

impl Flaw {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Incomplete { .. } => "the file ends inside the record",
            Self::NoHeader => "no record begins here",
            Self::Checksum => "its checksum does not match",
        }
    }
}

impl Header {
    /// `None` for a body longer than its length field can say.
    pub fn of(body: &[u8], arrived: EventTime, starts_group: bool, seal: Seal) -> Option<Self> {
        let body_bytes = u32::try_from(body.len()).ok()?;
        let crc = seal.checksum(body_bytes, arrived, body);
        Some(Self { starts_group, body_bytes, arrived, crc })
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(if self.starts_group { &FIRST } else { &FOLLOWS });
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.arrived.ms().to_le_bytes());
        bytes[16..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Reads the header alone; whether the body belongs to it only [`parse`] tells.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (body_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (arrived, crc) = rest.split_first_chunk::<8>()?;
        let starts_group = *magic == FIRST;
        if !starts_group && *magic != FOLLOWS {
            return None;
        }
        Some(Self {
            starts_group,
            body_bytes: u32::from_le_bytes(*body_bytes),
            arrived: EventTime::from_ms(i64::from_le_bytes(*arrived)),
            crc: u32::from_le_bytes(*crc.first_chunk::<4>()?),
        })
    }

    /// Header and body together.
    pub fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }
}

/// The record `bytes` begin with, checked; its body follows the header.
pub fn parse(bytes: &[u8], seal: Seal) -> Result<Header, Flaw> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Flaw::Incomplete { needed: HEADER_BYTES as u64 });
    };
    let header = Header::decode(head).ok_or(Flaw::NoHeader)?;
    let Some(body) = rest.get(..header.body_bytes as usize) else {
        return Err(Flaw::Incomplete { needed: header.record_bytes() });
    };
    if seal.checksum(header.body_bytes, header.arrived, body) != header.crc {
        return Err(Flaw::Checksum);
    }
    Ok(header)
}

/// What a scan found of a segment that may have been cut by a crash.
#[derive(Debug, PartialEq, Eq)]
pub enum Tail {
    Whole,
    /// Sound up to `sound` bytes; what follows was never acknowledged.
    Torn {
        sound: usize,
    },
    /// The record at `at` is damaged although it had been synced: at `proof` a later group begins.
    Damaged {
        at: usize,
        flaw: Flaw,
        proof: usize,
    },
}

pub fn scan(segment: &[u8], seal: Seal) -> Tail {
    let mut at = 0;
    while at < segment.len() {
        match parse(&segment[at..], seal) {
            Ok(header) => at += HEADER_BYTES + header.body_bytes as usize,
            Err(flaw) => {
                let later_group = (at + 1..segment.len())
                    .find(|&from| segment[from..].starts_with(&FIRST) && parse(&segment[from..], seal).is_ok());
                return match later_group {
                    Some(proof) => Tail::Damaged { at, flaw, proof },
                    None => Tail::Torn { sound: at },
                };
            }
        }
    }
    Tail::Whole
}
