//! For programs: `schemas/audit.schema.json` describes it.

use serde_json::{Value, json};

use super::super::checks::{BY_HAND, Check, Severity};
use super::super::not_run::NotRun;
use super::super::report::{Finding, Report};
use crate::render::visible;

/// Changes when what was there before is gone or means something else.
const FORMAT: u32 = 1;

pub fn render(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(|one| finding(report, one)).collect();
    let not_run = |(check, why): &(&'static Check, NotRun)| json!({ "check": check.id, "why": why.why(), "failed": why.is_failed() });
    let counts: serde_json::Map<String, Value> = Severity::ALL
        .into_iter()
        .map(|severity| (severity.name().to_owned(), json!(report.open_of(severity))))
        .collect();
    let scores: Vec<Value> = report
        .scores
        .iter()
        .map(|score| {
            json!({
                "area": score.area.name(), "percent": score.percent, "passed": score.passed, "failed": score.failed,
                "not_run": score.not_run,
            })
        })
        .collect();
    let value = json!({
        "format": FORMAT,
        "source": report.source,
        "at": report.at.to_string(),
        "events": report.events,
        "model": report.model,
        "open": counts,
        "scores": scores,
        "findings": findings,
        "passed": report.passed.iter().map(|check| check.id).collect::<Vec<_>>(),
        "not_run": report.not_run.iter().map(not_run).collect::<Vec<_>>(),
        "unjudged": report.unjudged.iter().map(not_run).collect::<Vec<_>>(),
        "by_hand": BY_HAND.iter().map(|one| json!({ "title": one.title, "why": one.why })).collect::<Vec<_>>(),
        "notes": report.notes,
    });
    visible(&format!("{value:#}\n"))
}

fn finding(report: &Report, finding: &Finding) -> Value {
    let (check, found) = (finding.check, &finding.found);
    json!({
        "check": check.id,
        "severity": check.severity.name(),
        "area": check.area.name(),
        "title": check.title,
        "subject": finding.subject(),
        "kind": found.thing.kind,
        "name": found.thing.name,
        "id": found.thing.id,
        "file": report.path(&found.place).unwrap_or_else(|| found.place.file.to_string()),
        "line": finding.line,
        "pointer": found.place.pointer,
        "evidence": found.evidence,
        "looks_at": check.looks_at,
        "why": check.why,
        "fix": check.fix,
        "docs": check.docs,
        "accepted": finding.accepted.as_ref().map(|entry| json!({ "reason": entry.reason, "expires": entry.expires })),
    })
}
