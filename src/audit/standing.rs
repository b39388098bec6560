//! What the last audit of a tenant found, for whoever follows it: the live page, its alerts, reports, and how long tokens live.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::baseline::Baseline;
use super::checks::{Check, Scene, Severity};
use super::export::Export;
use super::report::{Report, Unknown};
use super::tenant::Tenant;
use super::traffic::Traffic;
use crate::event::EventTime;
use crate::usage::TenantUsage;
use crate::usage::ghost::{LIFETIME_SECONDS_MAX, Lifetimes, Thresholds};

/// A tenant that is audited from time to time.
#[derive(Debug, Clone)]
pub struct Audited {
    /// As its events name it.
    pub tenant: String,
    /// What is audited.
    pub source: String,
    /// What nobody used for so many days is unused.
    pub unused_days: i64,
    /// Why it could not be read when it last was.
    pub problem: Option<String>,
    /// What was read last; `None` until it could be read once.
    pub reading: Option<Arc<Reading>>,
    /// How long tokens live by it, in seconds, by audience.
    pub lifetimes: BTreeMap<String, u32>,
    /// What was found; `None` until that is judged.
    pub standing: Option<Standing>,
}

/// A tenant's configuration as it was read, and what of it is accepted.
pub struct Reading {
    pub at: EventTime,
    pub source: String,
    pub export: Export,
    pub baseline: Baseline,
}

/// What was found when it could be read last.
#[derive(Debug, Clone)]
pub struct Standing {
    pub at: EventTime,
    /// What the events beside it cover, in words.
    pub events: Option<String>,
    /// Open findings by severity, as [`Severity::ALL`] has them.
    pub open: [u64; 3],
    pub accepted: u64,
    /// Checks that could not be run.
    pub not_run: u64,
    /// What is required and nobody has accepted.
    pub required: Vec<Required>,
    /// What nobody could look at: what was found of it before may still be so.
    pub unknown: Vec<Unknown>,
}

/// All that one required check found of one thing.
#[derive(Debug, Clone)]
pub struct Required {
    pub check: &'static Check,
    pub subject: String,
    pub evidence: Vec<String>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("at", &self.at).field("source", &self.source).finish_non_exhaustive()
    }
}

impl Reading {
    /// What the checks find in it, beside what is used.
    pub fn report(&self, traffic: Option<&Traffic>) -> Report {
        let scene = Scene { tenant: &self.export.tenant, traffic };
        Report::new(self.source.clone(), &scene, |place| self.export.line(place), &self.baseline, self.at)
    }
}

impl Audited {
    /// Whether nobody knows yet how the first reading goes.
    pub fn is_first_due(&self) -> bool {
        self.reading.is_none() && self.problem.is_none()
    }

    /// What was read last, judged beside what the tenant used up to `now`; the walks over tokens must be settled.
    pub fn judge(
        &mut self,
        usage: &TenantUsage,
        now: EventTime,
        by: (&Lifetimes, &Thresholds),
        held_back: Option<String>,
    ) {
        let Some(reading) = &self.reading else { return };
        let traffic = Traffic::new(&self.tenant, usage, self.unused_days, now, by, held_back);
        self.standing = Some(Standing::new(&reading.report(Some(&traffic))));
    }
}

impl Standing {
    pub fn new(report: &Report) -> Self {
        let mut required: Vec<Required> = Vec::new();
        let mut known: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for finding in report.open().filter(|finding| finding.check.severity == Severity::Required) {
            let subject = finding.subject();
            let evidence = finding.found.evidence.clone();
            let at = *known.entry((finding.check.id, subject.clone())).or_insert(required.len());
            match required.get_mut(at) {
                Some(one) => one.evidence.push(evidence),
                None => required.push(Required { check: finding.check, subject, evidence: vec![evidence] }),
            }
        }
        Self {
            at: report.at,
            events: report.events.clone(),
            open: Severity::ALL.map(|severity| report.open_of(severity) as u64),
            accepted: report.findings.iter().filter(|finding| finding.accepted.is_some()).count() as u64,
            not_run: report.not_run.len() as u64,
            required,
            unknown: report.unknown.clone(),
        }
    }

    /// The check of this name, if what it once found of a subject may still be so, since nobody could look.
    pub fn unknown(&self, check: &str, subject: &str) -> Option<&'static Check> {
        let is_found = self.required.iter().any(|found| found.check.id == check && found.subject == subject);
        let unknown = self.unknown.iter().find(|unknown| unknown.check.id == check && unknown.covers(subject));
        unknown.filter(|_| !is_found).map(|unknown| unknown.check)
    }
}

/// How long the tokens of each API live, in seconds, where its configuration says so. Of one whose identifier has a password in
/// it, which is not kept, events are not told to be.
pub fn lifetimes(tenant: &Tenant) -> impl Iterator<Item = (String, u32)> {
    tenant.apis.iter().flatten().filter_map(|api| {
        let seconds = api.token_seconds.known()?.clamp(1.0, f64::from(LIFETIME_SECONDS_MAX));
        Some((api.identifier.known()?.clone(), seconds as u32))
    })
}
