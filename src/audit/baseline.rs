//! Findings that somebody has accepted: which, why, and until when.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Deserializer};

use super::checks::{self, Found};
use super::document::escaped;
use super::report::Finding;
use crate::event::EventTime;

const EXAMPLE: &str = "[[accepted]]\n  check = \"client-callback-localhost\"\n  subject = \"application Portal\"\n  reason = \"its developers have no tenant of their own yet\"\n  expires = \"2027-01-31\"";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    accepted: Vec<Entry>,
}

/// One accepted finding.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub check: String,
    /// Kind and name, as findings show them.
    pub subject: String,
    /// Only what has this evidence, where a subject has several; when something was not used is no matter.
    pub evidence: Option<String>,
    /// Only what has this id, where several have the name.
    pub id: Option<String>,
    pub reason: String,
    /// The last day on which it holds.
    #[serde(deserialize_with = "day")]
    pub expires: String,
}

/// In quotation marks or, as TOML has dates, without.
fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match toml::Value::deserialize(from)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(day) => day.to_string(),
        other => other.type_str().to_owned(),
    })
}

/// What to tell whoever keeps the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The check of the entry.
    pub check: String,
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Baseline {
    entries: Vec<Entry>,
}

/// What is wrong with a baseline, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}\n  right would be, for example:\n  {EXAMPLE}")]
pub struct BaselineError(String);

impl BaselineError {
    /// It quotes what somebody wrote.
    fn new(problem: &str) -> Self {
        Self(problem.split('\n').map(escaped).collect::<Vec<_>>().join("\n"))
    }
}

impl Baseline {
    /// The one in a file, or an empty one.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let reading = || format!("reading {}", path.display());
        let text = std::fs::read_to_string(path).with_context(reading)?;
        Self::parse(&text).with_context(reading)
    }

    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let raw: Raw = toml::from_str(text).map_err(|error| BaselineError::new(&error.to_string()))?;
        for entry in &raw.accepted {
            let wrong =
                |problem: String| Err(BaselineError::new(&format!("{} of {}: {problem}", entry.check, entry.subject)));
            if !checks::all().any(|check| check.id == entry.check) {
                return wrong("there is no such check".to_owned());
            }
            if entry.reason.trim().is_empty() {
                return wrong("the reason is empty".to_owned());
            }
            if entry.last_moment().is_none() {
                return wrong(format!("expires is {:?}, which is no day", entry.expires));
            }
        }
        Ok(Self { entries: raw.accepted })
    }

    /// Marks what is accepted, and says which entries have expired or match nothing, each with its check.
    pub fn apply(&self, findings: &mut [Finding], is_judged: impl Fn(&str, &str) -> bool, now: EventTime) -> Vec<Note> {
        let mut notes = Vec::new();
        for entry in &self.entries {
            let mut note = |what: String| {
                let text = format!("baseline: {} of {} {what}", entry.check, entry.subject);
                notes.push(Note { check: entry.check.clone(), text });
            };
            let kindless = findings.iter().find(|finding| entry.lacks_kind(finding)).map(Finding::subject);
            let near = findings.iter().find(|finding| entry.nearly_fits(finding)).map(|finding| {
                let id = finding.found.thing.id.as_ref().map(|id| format!(", id {id:?}")).unwrap_or_default();
                format!("subject {:?}{id}, evidence {:?}", finding.subject(), finding.found.lasting_evidence())
            });
            let mut matching: Vec<_> = findings.iter_mut().filter(|finding| entry.fits(finding)).collect();
            let is_gone = matching.is_empty() && is_judged(&entry.check, &entry.subject);
            if entry.last_moment().is_none_or(|last| now > last) {
                let gone = if is_gone { ", and is gone: remove it" } else { "" };
                note(format!("expired on {}{gone}", entry.expires));
            } else if let Some(subject) = kindless.filter(|_| matching.is_empty()) {
                note(format!("matches nothing: a subject is written with its kind, such as {subject:?}"));
            } else if let Some(near) = near.filter(|_| matching.is_empty()) {
                note(format!("matches nothing; what is open is {near}"));
            } else if is_gone {
                note("matches nothing any more: remove it".to_owned());
            } else {
                matching.iter_mut().for_each(|finding| finding.accepted = Some(entry.clone()));
            }
        }
        notes
    }
}

impl Entry {
    fn last_moment(&self) -> Option<EventTime> {
        EventTime::parse(&format!("{}T23:59:59.999Z", self.expires))
    }

    /// Whether only the kind is missing from the subject of a finding.
    fn lacks_kind(&self, finding: &Finding) -> bool {
        finding.check.id == self.check && finding.found.thing.name == self.subject
    }

    fn fits(&self, finding: &Finding) -> bool {
        finding.check.id == self.check
            && finding.subject() == self.subject
            && self.id.as_ref().is_none_or(|id| finding.found.thing.id.as_ref() == Some(id))
            && self.evidence.as_ref().is_none_or(|evidence| is_evidence(evidence, &finding.found))
    }

    /// Whether it would fit but for its evidence, or its id.
    fn nearly_fits(&self, finding: &Finding) -> bool {
        finding.check.id == self.check && finding.subject().eq_ignore_ascii_case(&self.subject)
    }
}

/// Whether somebody meant what was found: by all of its evidence, on whichever day, or by what of it lasts.
fn is_evidence(given: &str, found: &Found) -> bool {
    let lasting = found.lasting_evidence();
    let is_older = || given.strip_prefix(lasting).is_some_and(|when| when.starts_with(' '));
    given == found.evidence || given == lasting || lasting.len() < found.evidence.len() && is_older()
}
