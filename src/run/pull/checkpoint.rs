//! Up to where a tenant's log events are in the spool. It lies beside the records, under the spool's lock, and is written
//! only after they are synced: who stops in between pulls some of them again, which the spool's partition knows by `log_id`.

use serde::{Deserialize, Serialize};

use crate::event::EventTime;
use crate::source::spool::{Spool, SpoolError};
use crate::store::ledger::text_time;

const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    format: u32,
    /// The last log event that is in the spool.
    pub log_id: Option<String>,
    /// Without one: from which date on they are wanted; `None` for all that Auth0 has.
    #[serde(with = "text_time::option")]
    pub wanted_from: Option<EventTime>,
    /// What Auth0 had at that time is in the spool.
    #[serde(with = "text_time::option")]
    pub known_until: Option<EventTime>,
    /// What was gone before it was pulled.
    pub gaps: Vec<Gap>,
}

/// Log events of this time were no longer there, if there were any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    #[serde(with = "text_time")]
    pub from: EventTime,
    #[serde(with = "text_time")]
    pub to: EventTime,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(
        "{file} is no checkpoint of this version: {problem}; restore it, or remove it to begin at source.management.start"
    )]
    Damaged { file: String, problem: String },
}

impl Checkpoint {
    /// Of a tenant nothing was pulled of yet.
    pub fn new(wanted_from: Option<EventTime>) -> Self {
        Self { format: FORMAT, log_id: None, wanted_from, known_until: None, gaps: Vec::new() }
    }

    pub fn load(spool: &Spool, domain: &str) -> Result<Option<Self>, CheckpointError> {
        let name = file_name(domain);
        let Some(bytes) = spool.kept(&name)? else { return Ok(None) };
        let damaged = |problem: String| {
            let file = spool.folder().join(&name).display().to_string();
            CheckpointError::Damaged { file, problem }
        };
        let checkpoint: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match checkpoint.format {
            FORMAT => Ok(Some(checkpoint)),
            other => Err(damaged(format!("it has format {other}"))),
        }
    }

    /// Blocks.
    pub fn save(&self, spool: &Spool, domain: &str) -> Result<(), SpoolError> {
        match serde_json::to_vec_pretty(self) {
            Ok(json) => spool.keep(&file_name(domain), &json),
            Err(error) => unreachable!("it has no maps: {error}"),
        }
    }
}

/// Each tenant's own, should the domain be set to another.
fn file_name(domain: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    format!("pulled-{}.json", domain.chars().map(plain).collect::<String>())
}
