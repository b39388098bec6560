//! What the last audit of a tenant found, for whoever follows it: the live page, its alerts, and how long tokens live.

use std::collections::BTreeMap;

use super::checks::{Check, Severity};
use super::report::Report;
use super::tenant::Tenant;
use crate::event::EventTime;
use crate::usage::ghost::LIFETIME_SECONDS_MAX;

/// A tenant that is audited from time to time.
#[derive(Debug, Clone)]
pub struct Audited {
    /// As its events name it.
    pub tenant: String,
    /// What is audited.
    pub source: String,
    /// Why it could not be read when it last was.
    pub problem: Option<String>,
    /// `None` until it could be read once.
    pub standing: Option<Standing>,
}

/// What was found when it could be read last.
#[derive(Debug, Clone)]
pub struct Standing {
    pub at: EventTime,
    /// Open findings by severity, as [`Severity::ALL`] has them.
    pub open: [u64; 3],
    pub accepted: u64,
    /// Checks that could not be run.
    pub not_run: u64,
    /// What is required and nobody has accepted.
    pub required: Vec<Required>,
    /// How long tokens live, in seconds, by audience.
    pub lifetimes: BTreeMap<String, u32>,
}

/// All that one required check found of one thing.
#[derive(Debug, Clone)]
pub struct Required {
    pub check: &'static Check,
    pub subject: String,
    pub evidence: Vec<String>,
    /// Whether it was looked at this time; otherwise it was found before, and nobody knows whether it is mended.
    pub is_judged: bool,
}

impl Standing {
    /// Out of a report on the tenant. What `before` had found, and what could not be looked at now, stands.
    pub fn new(report: &Report, tenant: &Tenant, before: Option<&Self>) -> Self {
        let mut required: Vec<Required> = Vec::new();
        for finding in report.open().filter(|finding| finding.check.severity == Severity::Required) {
            let subject = finding.subject();
            let evidence = finding.found.evidence.clone();
            match required.iter_mut().find(|one| one.check.id == finding.check.id && one.subject == subject) {
                Some(one) => one.evidence.push(evidence),
                None => {
                    required.push(Required { check: finding.check, subject, evidence: vec![evidence], is_judged: true })
                }
            }
        }
        let is_unknown = |one: &&Required| report.not_run.iter().any(|(check, _)| check.id == one.check.id);
        let unknown = before.into_iter().flat_map(|before| &before.required).filter(is_unknown);
        required.extend(unknown.map(|one| Required { is_judged: false, ..one.clone() }));
        Self {
            at: report.at,
            open: Severity::ALL.map(|severity| report.open_of(severity) as u64),
            accepted: report.findings.iter().filter(|finding| finding.accepted.is_some()).count() as u64,
            not_run: report.not_run.len() as u64,
            required,
            lifetimes: lifetimes(tenant).collect(),
        }
    }
}

/// How long the tokens of each API live, in seconds, where its configuration says so.
pub fn lifetimes(tenant: &Tenant) -> impl Iterator<Item = (String, u32)> {
    tenant.apis.iter().flatten().filter_map(|api| {
        let seconds = api.token_seconds.known()?.clamp(1.0, f64::from(LIFETIME_SECONDS_MAX));
        Some((api.identifier.known()?.clone(), seconds as u32))
    })
}
