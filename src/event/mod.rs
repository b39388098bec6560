//! The vocabulary: what an Auth0 log event is to us, and how bytes become one.
//!
//! Nothing here does I/O or reads a clock; times come in with the record.

pub mod catalogue;
mod chunk;
mod envelope;
pub mod parse;
pub mod privacy;
mod repair;
pub mod scan;
mod time;

pub use catalogue::{ActiveDefinition, Class, EventType};
pub use chunk::{Chunk, Content, DeadLetter, DecodedChunk, RecordSpan, Resume};
pub use parse::{DecodeSettings, Decoded, Decoder, ReadTime, Reject, Sink};
pub use privacy::{Policies, Policy, Privacy};
pub use time::{Day, EventTime, WindowLength};

/// What a log event says as far as the datasets need it. Strings are empty where the event has no value.
///
/// Field names are Auth0's own. What of people they hold is as [`Privacy`] says. `scope` and `audience` are normalised: a set, sorted, joined by one space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEvent<'a> {
    pub kind: &'static EventType,
    /// The code as it came, also when [`kind`](Self::kind) is `other`.
    pub type_code: &'a str,
    pub at: EventTime,
    /// How long after [`at`](Self::at) the event reached us: the record's arrival, else the ingest time in `log_id`.
    pub lateness_ms: i64,
    /// XXH3-64 of `log_id`, or of every normalised field where the event has no id at all.
    pub identity: u64,
    pub log_id: &'a str,
    pub tenant: &'a str,
    pub organization_id: &'a str,
    pub organization_name: &'a str,
    pub connection: &'a str,
    pub strategy: &'a str,
    pub client_id: &'a str,
    pub client_name: &'a str,
    pub user_id: &'a str,
    pub ip: &'a str,
    pub user_agent: &'a str,
    /// These two only of tokens issued to machines, and where [`DecodeSettings::whole`] asks for them.
    pub audience: &'a str,
    pub scope: &'a str,
    /// These three only where [`DecodeSettings::whole`] asks for them.
    pub user_name: &'a str,
    pub hostname: &'a str,
    pub description: &'a str,
}

/// The tenant of an event whose source has no tenant set and which names none itself.
pub const UNKNOWN_TENANT: &str = "unknown";

/// What stands in place of what a stranger chose and Auth0 did not recognise. Parentheses occur in no identifier of Auth0's.
pub const UNRECOGNISED: &str = "(unrecognised)";
