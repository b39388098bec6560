//! What an audit found, as every format shows it.

use std::collections::BTreeSet;

use super::baseline::{Baseline, Entry, Note};
use super::checks::{self, Area, Check, Found, Scene, Severity, State};
use super::document::Place;
use super::not_run::NotRun;
use super::tenant::Thing;
use crate::event::EventTime;

/// What is said where no check could be judged.
pub const NOTHING_JUDGED: &str = "nothing could be judged: no check had what it needs";

/// One finding of one check.
#[derive(Debug, Clone)]
pub struct Finding {
    pub check: &'static Check,
    pub found: Found,
    pub line: Option<u32>,
    pub accepted: Option<Entry>,
}

impl Finding {
    /// What a baseline calls it by.
    pub fn subject(&self) -> String {
        self.found.thing.subject()
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// A check that could not look at all that it looks at.
#[derive(Debug, Clone)]
pub struct Unknown {
    pub check: &'static Check,
    /// What could not be judged; of none, nothing could.
    pub things: Vec<Thing>,
}

impl Unknown {
    /// Whether what the check once found of a subject may still be so. What could not be judged of a thing says nothing of
    /// others of its kind, but may be what something else hangs on.
    pub fn covers(&self, subject: &str) -> bool {
        let is_another = |thing: &Thing| {
            let is_of_kind = subject.strip_prefix(thing.kind).is_some_and(|rest| rest.starts_with(' '));
            is_of_kind && thing.subject() != subject
        };
        self.things.is_empty() || !self.things.iter().all(is_another)
    }
}

/// How one area stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Score {
    pub area: Area,
    /// The weight of the checks that passed, of those that were judged, in percent; a required one counts five times as
    /// much as a best practice. Nothing where none was judged.
    pub percent: Option<u32>,
    pub passed: usize,
    pub failed: usize,
    pub not_run: usize,
}

pub struct Report {
    /// What was audited.
    pub source: String,
    /// What the paths of places are relative to, if they are files.
    pub folder: Option<String>,
    pub at: EventTime,
    /// What the events cover, if there are any.
    pub events: Option<String>,
    /// B2B or B2C, by which signs.
    pub model: Option<String>,
    pub scores: Vec<Score>,
    /// The gravest first.
    pub findings: Vec<Finding>,
    pub passed: Vec<&'static Check>,
    pub not_run: Vec<(&'static Check, NotRun)>,
    /// Beside findings: what could not be judged.
    pub unjudged: Vec<(&'static Check, NotRun)>,
    /// The checks of both.
    pub unknown: Vec<Unknown>,
    pub notes: Vec<Note>,
}

impl Report {
    pub fn new(
        source: String,
        scene: &Scene<'_>,
        line: impl Fn(&Place) -> Option<u32>,
        baseline: &Baseline,
        at: EventTime,
    ) -> Self {
        let verdicts = checks::judge(scene);
        let mut findings = Vec::new();
        let (mut passed, mut not_run, mut unjudged) = (Vec::new(), Vec::new(), Vec::new());
        let (mut unknown, mut open) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            let check = verdict.check;
            let found: BTreeSet<String> = verdict.found.iter().map(|found| found.thing.subject()).collect();
            let mut things: Vec<Thing> = verdict.unjudged.iter().map(|unjudged| unjudged.thing.clone()).collect();
            if !things.is_empty() {
                open.push(Unknown { check, things: things.clone() });
            }
            things.retain(|thing| !found.contains(&thing.subject()));
            if matches!(verdict.state, State::NotRun(_)) || !things.is_empty() {
                unknown.push(Unknown { check, things });
            }
            match verdict.state {
                State::Passed => passed.push(check),
                State::NotRun(why) => not_run.push((check, why)),
                State::Found => {
                    unjudged.extend(verdict.unjudged.into_iter().map(|unjudged| (check, unjudged.why)));
                    findings.extend(verdict.found.into_iter().map(|found| Finding {
                        check,
                        line: found.line.or_else(|| line(&found.place)),
                        found,
                        accepted: None,
                    }));
                }
            }
        }
        findings.sort_by_key(|finding| finding.check.severity);
        // Of a subject with a finding there may have been another, where a part of it is not known.
        let is_judged = |id: &str, subject: &str| {
            !not_run.iter().any(|(check, _)| check.id == id)
                && !open.iter().any(|unknown| unknown.check.id == id && unknown.covers(subject))
        };
        let notes = baseline.apply(&mut findings, is_judged, at);
        let scores = Area::ALL.into_iter().map(|area| score(area, &findings, &passed, &not_run)).collect();
        Self {
            source,
            folder: None,
            at,
            events: scene.traffic.map(|traffic| {
                let gap = scene.stranger().or_else(|| traffic.gap.clone());
                let gap = gap.map(|gap| format!("; {gap}")).unwrap_or_default();
                format!("events of {:?} {}{gap}", traffic.tenant, traffic.period())
            }),
            model: checks::configured(scene).ok().map(|configured| {
                let signals = configured.signals.join(", ");
                format!(
                    "{} by its configuration{}{signals}",
                    configured.model.name(),
                    if signals.is_empty() { "" } else { ": " }
                )
            }),
            scores,
            findings,
            passed,
            not_run,
            unjudged,
            unknown,
            notes,
        }
    }

    /// Findings that nobody has accepted.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.accepted.is_none())
    }

    /// Whether any check could be judged; a report without any says nothing of the tenant.
    pub fn is_judged(&self) -> bool {
        !self.passed.is_empty() || !self.findings.is_empty()
    }

    pub fn open_of(&self, severity: Severity) -> usize {
        self.open().filter(|finding| finding.check.severity == severity).count()
    }

    /// Whether anything open is as grave as this, or graver.
    pub fn fails(&self, from: Option<Severity>) -> bool {
        from.is_some_and(|from| self.open().any(|finding| finding.check.severity <= from))
    }

    /// What could not be looked at, altogether or in part.
    pub fn unseen(&self) -> impl Iterator<Item = &(&'static Check, NotRun)> {
        self.not_run.iter().chain(&self.unjudged)
    }

    /// What of it ought to have been.
    pub fn failed(&self) -> impl Iterator<Item = &(&'static Check, NotRun)> {
        self.unseen().filter(|(_, why)| why.is_failed())
    }

    /// The path of a place for who stands where the audit was started; nothing where it is no file.
    pub fn path(&self, place: &Place) -> Option<String> {
        let folder = self.folder.as_deref()?;
        Some(match folder {
            "" | "." => place.file.to_string(),
            _ => format!("{}/{}", folder.trim_end_matches('/'), place.file),
        })
    }
}

/// A check with accepted findings only has passed.
fn score(area: Area, findings: &[Finding], passed: &[&'static Check], not_run: &[(&'static Check, NotRun)]) -> Score {
    let mut failed: Vec<&Check> =
        findings.iter().filter(|finding| finding.accepted.is_none()).map(|finding| finding.check).collect();
    failed.dedup_by_key(|check| check.id);
    let mut accepted: Vec<&Check> = findings.iter().map(|finding| finding.check).collect();
    accepted.dedup_by_key(|check| check.id);
    accepted.retain(|check| !failed.iter().any(|other| other.id == check.id));
    let of_area = |checks: &[&Check]| -> (usize, u32) {
        let own = checks.iter().filter(|check| check.area == area);
        (own.clone().count(), own.map(|check| check.severity.weight()).sum())
    };
    let (good, bad) = (of_area(&[passed, &accepted].concat()), of_area(&failed));
    let judged = good.1 + bad.1;
    Score {
        area,
        percent: (judged > 0).then(|| good.1 * 100 / judged),
        passed: good.0,
        failed: bad.0,
        not_run: not_run.iter().filter(|(check, _)| check.area == area).count(),
    }
}
