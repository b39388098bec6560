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

/// How many texts an event has beside its `log_id` and its tenant.
pub(crate) const TEXTS: usize = 15;

impl<'a> LogEvent<'a> {
    /// All but `log_id` and `tenant`, for whoever keeps events.
    pub(crate) fn texts(&self) -> [&'a str; TEXTS] {
        [
            self.type_code,
            self.organization_id,
            self.organization_name,
            self.connection,
            self.strategy,
            self.client_id,
            self.client_name,
            self.user_id,
            self.ip,
            self.user_agent,
            self.audience,
            self.scope,
            self.user_name,
            self.hostname,
            self.description,
        ]
    }

    /// The event of which all this was kept.
    pub(crate) fn of_texts(
        kind: &'static EventType,
        at: EventTime,
        lateness_ms: i64,
        identity: u64,
        log_id: &'a str,
        tenant: &'a str,
        texts: [&'a str; TEXTS],
    ) -> Self {
        let [
            type_code,
            organization_id,
            organization_name,
            connection,
            strategy,
            client_id,
            client_name,
            user_id,
            ip,
            user_agent,
            audience,
            scope,
            user_name,
            hostname,
            description,
        ] = texts;
        Self {
            kind,
            at,
            lateness_ms,
            identity,
            log_id,
            tenant,
            type_code,
            organization_id,
            organization_name,
            connection,
            strategy,
            client_id,
            client_name,
            user_id,
            ip,
            user_agent,
            audience,
            scope,
            user_name,
            hostname,
            description,
        }
    }
}

/// The tenant of an event whose source has no tenant set and which names none itself.
pub const UNKNOWN_TENANT: &str = "unknown";

/// What stands in place of what a stranger chose and Auth0 did not recognise. Parentheses occur in no identifier of Auth0's.
pub const UNRECOGNISED: &str = "(unrecognised)";
