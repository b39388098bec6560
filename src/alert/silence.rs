//! Silences: which alerts nobody is told of for a while. They hide pages, never transitions.

use super::Alert;
use crate::event::EventTime;

/// Keeps the pages of some alerts back. What is `None` fits every alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    pub rule: Option<String>,
    pub tenant: Option<String>,
    /// A part of the subject.
    pub subject: Option<String>,
    /// Covers windows that end at or before this.
    pub until: EventTime,
    /// Written into the journal.
    pub reason: String,
}

impl Silence {
    pub fn covers(&self, alert: &Alert) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        alert.at <= self.until
            && fits(&self.rule, &alert.rule)
            && fits(&self.tenant, &alert.tenant)
            && self.subject.as_ref().is_none_or(|part| alert.subject.contains(part))
    }
}
