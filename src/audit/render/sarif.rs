//! For code scanning: SARIF 2.1.0 (OASIS).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::checks::{self, Check, Severity};
use super::super::report::{Finding, Report};
use super::lines::Lines;
use crate::render::visible;

/// What a path in a URI must not have as it is (RFC 3986).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');

/// GitHub refuses a run with more results.
const RESULTS_MAX: usize = 25_000;

pub fn render(report: &Report) -> String {
    let index: BTreeMap<&str, usize> = checks::all().enumerate().map(|(index, check)| (check.id, index)).collect();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let results = report.findings.iter().take(RESULTS_MAX).map(|finding| {
        let mut fingerprint = fingerprint(finding);
        let count = seen.entry(fingerprint.clone()).or_default();
        *count += 1;
        if *count > 1 {
            fingerprint += &format!(":{count}");
        }
        result(report, finding, &index, &fingerprint)
    });
    let left_out = report.findings.len().saturating_sub(RESULTS_MAX);
    let is_left_out = (left_out > 0).then(|| {
        json!({
            "level": "warning",
            "message": { "text": format!("{left_out} more findings, the least grave, are left out: the other formats have them") },
        })
    });
    let not_run = report.unseen().map(|(check, why)| {
        json!({
            "level": if why.is_failed() { "error" } else { "note" },
            "message": { "text": format!("{} was not run: {why}", check.id) },
            "associatedRule": { "id": check.id, "index": index.get(check.id) },
        })
    });
    let notes = report.notes.iter().map(|note| {
        json!({
            "level": "warning",
            "message": { "text": note.text },
            "associatedRule": { "id": note.check, "index": index.get(note.check.as_str()) },
        })
    });
    let notifications: Vec<Value> = is_left_out.into_iter().chain(notes).chain(not_run.take(RESULTS_MAX)).collect();
    let tool = json!({ "driver": {
        "name": "ghostlight",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": checks::all().map(rule).collect::<Vec<_>>(),
    } });
    let invocation = json!({
        "executionSuccessful": report.is_judged() && report.failed().next().is_none(),
        "endTimeUtc": report.at.to_string(),
        "toolExecutionNotifications": notifications,
    });
    let schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
    let mut run = Lines::of(&format!("{{\"$schema\":\"{schema}\",\"version\":\"2.1.0\",\"runs\":["));
    run.key("tool", &tool);
    run.list("invocations", [invocation]);
    run.key("columnKind", &json!("unicodeCodePoints"));
    run.list("results", results);
    visible(&run.finish("]}"))
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Required => "error",
        Severity::Recommended => "warning",
        Severity::BestPractice => "note",
    }
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": format!("{}: {}.", check.title, check.why) },
        "help": { "text": format!("{}. To fix it: {}. Looks at {}.", check.why, check.fix, check.looks_at) },
        "helpUri": check.docs,
        "defaultConfiguration": { "level": level(check.severity) },
        "properties": { "tags": [check.area.name(), check.severity.name()] },
    })
}

/// What stays the same while lines move, and while others come and go in front: who is found, where within it, and what
/// of a list. The place in a list is none of it.
fn fingerprint(finding: &Finding) -> String {
    let (found, own) = (&finding.found, &finding.found.thing.place);
    let within = match found.place.file == own.file {
        true => found.place.pointer.strip_prefix(&own.pointer).unwrap_or(&found.place.pointer),
        false => &found.place.pointer,
    };
    let is_index = |step: &&str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let named: Vec<&str> = within.split('/').filter(|step| !is_index(step)).collect();
    let element = if within.split('/').any(|step| is_index(&step)) { found.lasting_evidence() } else { "" };
    format!("{}:{}:{}:{element}", finding.check.id, finding.subject(), named.join("/"))
}

fn result(report: &Report, finding: &Finding, index: &BTreeMap<&str, usize>, fingerprint: &str) -> Value {
    let (check, found) = (finding.check, &finding.found);
    let subject = finding.subject();
    let mut location = json!({
        "logicalLocations": [{ "name": found.thing.name, "fullyQualifiedName": found.place.to_string(), "kind": "resource" }],
    });
    if let Some(path) = report.path(&found.place) {
        let uri = utf8_percent_encode(&path, PATH).to_string();
        location["physicalLocation"] =
            json!({ "artifactLocation": { "uri": uri }, "region": { "startLine": finding.line.unwrap_or(1) } });
    }
    let mut result = json!({
        "ruleId": check.id,
        "ruleIndex": index.get(check.id),
        "level": level(check.severity),
        "message": { "text": format!("{}: {subject}: {}.", check.title, found.evidence) },
        "locations": [location],
        "partialFingerprints": { "ghostlight/v1": fingerprint },
    });
    if let Some(entry) = &finding.accepted {
        result["suppressions"] = json!([{ "kind": "external", "status": "accepted", "justification": entry.reason }]);
    }
    result
}
