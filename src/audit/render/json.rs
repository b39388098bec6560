//! For programs: `schemas/audit.schema.json` describes it.

use serde_json::{Value, json};

use super::super::checks::{BY_HAND, Check, Severity};
use super::super::not_run::NotRun;
use super::super::report::{Finding, Report};
use super::lines::Lines;
use crate::render::visible;

/// Changes when what was there before is gone or means something else.
const FORMAT: u32 = 1;

pub fn render(report: &Report) -> String {
    let not_run = |(check, why): &(&'static Check, NotRun)| json!({ "check": check.id, "why": why.why(), "failed": why.is_failed() });
    let counts: serde_json::Map<String, Value> = Severity::ALL
        .into_iter()
        .map(|severity| (severity.name().to_owned(), json!(report.open_of(severity))))
        .collect();
    let scores = report.scores.iter().map(|score| {
        json!({
            "area": score.area.name(), "percent": score.percent, "passed": score.passed, "failed": score.failed,
            "not_run": score.not_run,
        })
    });
    // What is so of a check is said once, however much it found.
    let mut checks: Vec<&Check> = report.findings.iter().map(|finding| finding.check).collect();
    checks.dedup_by_key(|check| check.id);
    let mut out = Lines::of("");
    out.key("format", &json!(FORMAT));
    out.key("source", &json!(report.source));
    out.key("at", &json!(report.at.to_string()));
    out.key("events", &json!(report.events));
    out.key("model", &json!(report.model));
    out.key("open", &json!(counts));
    out.list("scores", scores);
    out.list("checks", checks.into_iter().map(check));
    out.list("findings", report.findings.iter().map(|one| finding(report, one)));
    out.list("passed", report.passed.iter().map(|check| json!(check.id)));
    out.list("not_run", report.not_run.iter().map(not_run));
    out.list("unjudged", report.unjudged.iter().map(not_run));
    out.list("by_hand", BY_HAND.iter().map(|one| json!({ "title": one.title, "why": one.why })));
    out.list("notes", report.notes.iter().map(|note| json!(note.text)));
    visible(&out.finish(""))
}

fn check(check: &Check) -> Value {
    json!({
        "check": check.id,
        "severity": check.severity.name(),
        "area": check.area.name(),
        "title": check.title,
        "looks_at": check.looks_at,
        "why": check.why,
        "fix": check.fix,
        "docs": check.docs,
    })
}

fn finding(report: &Report, finding: &Finding) -> Value {
    let (check, found) = (finding.check, &finding.found);
    json!({
        "check": check.id,
        "severity": check.severity.name(),
        "subject": finding.subject(),
        "kind": found.thing.kind,
        "name": found.thing.name,
        "id": found.thing.id,
        "file": report.path(&found.place).unwrap_or_else(|| found.place.file.to_string()),
        "line": finding.line,
        "pointer": found.place.pointer,
        "evidence": found.evidence,
        "accepted": finding.accepted.as_ref().map(|entry| json!({ "reason": entry.reason, "expires": entry.expires })),
    })
}
