//! Alerts: what a rule says of a window becomes transitions, and each transition is told once.
//!
//! A rule turns usage into [`Condition`]s, window by window in event time. [`episode`] makes transitions of them, purely;
//! [`journal`] writes each transition down only if nobody has yet, and [`outbox`] sends what is written down. Nothing here
//! knows how a channel is spoken to, nor how a rule decides.

pub mod episode;
pub mod journal;
pub mod notify;
pub mod outbox;
pub mod rules;
pub mod silence;

use serde::{Deserialize, Serialize};

use crate::event::EventTime;
use crate::store::ledger::text_time;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

/// Whether the condition holds, or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

/// What is sent: one transition of one alert, complete, so that whoever is paged needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Rule and subject: the same for every episode of the same thing, and in every process. Such as `ghost-usage:3f9a…` (16 hex digits).
    pub id: String,
    /// Counts the transitions of this id from 0: even ones fire, odd ones resolve. A repeated page has the number of its firing.
    pub sequence: u64,
    pub status: Status,
    /// The rule's name, such as `ghost-usage`.
    pub rule: String,
    pub severity: Severity,
    pub tenant: String,
    /// What it is about, in words: a client and an audience, a quota, a connection.
    pub subject: String,
    /// One line.
    pub title: String,
    /// What was seen, with numbers and units; a few sentences.
    pub summary: String,
    /// Name and value, in the order to show: counts, log_ids, addresses.
    pub evidence: Vec<(String, String)>,
    /// What to do, where a rule knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Event time: begin of the first window in which the condition held; of the audit, the first that found it.
    #[serde(with = "text_time")]
    pub since: EventTime,
    /// Event time: end of the window that decided; of the audit, when it was made.
    #[serde(with = "text_time")]
    pub at: EventTime,
}

/// What a rule says of a subject at the end of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub rule: &'static str,
    pub severity: Severity,
    pub tenant: String,
    /// The subject's stable key: hashed into the id, with the tenant.
    pub key: String,
    pub subject: String,
    pub level: Level,
    /// Windows in a row it must last at least, if that is longer than the rule says.
    pub for_windows: u32,
    pub title: String,
    pub summary: String,
    pub evidence: Vec<(String, String)>,
    pub fix: Option<String>,
}

/// Where a subject stands between a rule's two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nobody could look: what fires goes on, and nobody is told anything.
    Unknown,
    /// Below the lower threshold; also a subject the rule does not mention.
    Clear,
    /// Between them: neither fires nor resolves.
    Between,
    /// Above the upper threshold.
    On,
}

impl Condition {
    /// The alert's id: the rule, and XXH3-64 of tenant and key.
    pub fn id(&self) -> String {
        let hashed = [self.tenant.as_bytes(), b"\0", self.key.as_bytes()].concat();
        format!("{}:{:016x}", self.rule, xxhash_rust::xxh3::xxh3_64(&hashed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(rule: &'static str, tenant: &str, key: &str) -> String {
        let text = String::new;
        Condition {
            rule,
            severity: Severity::Warning,
            tenant: tenant.to_owned(),
            key: key.to_owned(),
            subject: text(),
            level: Level::On,
            for_windows: 0,
            title: text(),
            summary: text(),
            evidence: Vec::new(),
            fix: None,
        }
        .id()
    }

    #[test]
    fn an_id_is_the_rule_and_a_hash_of_tenant_and_key() {
        // Written down: ids are in journals and in other people's systems.
        assert_eq!(id("ghost-usage", "acme", "client|audience"), "ghost-usage:ef3418fd020f766b");
        assert_ne!(id("quota", "acme", "ab"), id("quota", "acmea", "b"));
        assert_ne!(id("quota", "acme", "ab"), id("spike", "acme", "ab"));
    }
}
