//! For people who were not there: one page, without scripts and without anything from elsewhere.

use std::fmt::Write;

use super::super::checks::{BY_HAND, Check, Severity};
use super::super::not_run::NotRun;
use super::super::report::{Finding, Report};
use crate::render::escaped;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
background:#fff}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:left;border-bottom:1px solid \
#ddd}td.n{text-align:right}section{margin:1.5rem 0;padding:.2rem 1rem;border-left:.4rem solid #888}section.required{\
border-color:#b00020}section.recommended{border-color:#b26a00}code{font-size:.9em;overflow-wrap:anywhere}dt{font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}td,th{border-color:#444}a{color:#8ab4f8}}";

/// Should anything of a name ever pass for more than text: nothing is loaded, run or sent, and only the style holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub fn render(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{POLICY}\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>Audit of {source}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Audit of {source}</h1>\n<p>{at}</p>\n",
        source = escaped(&report.source),
        at = escaped(&report.at.to_string()),
    );
    for text in [&report.events, &report.model].into_iter().flatten() {
        let _ = writeln!(out, "<p>{}</p>", escaped(text));
    }
    out.push_str("<h2>Score by area</h2>\n<table>\n<tr><th>area</th><th>score</th><th>passed</th><th>failed</th><th>not run</th></tr>\n");
    for score in &report.scores {
        let percent = score.percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{percent}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(score.area.name()),
            score.passed,
            score.failed,
            score.not_run
        );
    }
    out.push_str("</table>\n");
    for severity in Severity::ALL {
        let _ = writeln!(out, "<h2>{} ({})</h2>", escaped(severity.name()), report.open_of(severity));
        let all: Vec<&Finding> = report.open().filter(|finding| finding.check.severity == severity).collect();
        all.chunk_by(|a, b| a.check.id == b.check.id).for_each(|found| check(&mut out, found));
    }
    list(
        &mut out,
        "Accepted",
        report.findings.iter().filter_map(|finding| {
            let entry = finding.accepted.as_ref()?;
            Some(format!("{}: {}, until {}: {}", finding.check.id, finding.subject(), entry.expires, entry.reason))
        }),
    );
    let not_run = |(check, why): &(&Check, NotRun)| {
        format!("{}: {}{why}", check.id, if why.is_failed() { "failed: " } else { "" })
    };
    list(&mut out, "Not run", report.not_run.iter().map(not_run));
    list(&mut out, "Also not judged", report.unjudged.iter().map(not_run));
    list(&mut out, "To be looked at by hand", BY_HAND.iter().map(|one| format!("{} ({})", one.title, one.why)));
    list(&mut out, "Notes", report.notes.iter().map(|note| note.text.clone()));
    out.push_str("</body>\n</html>\n");
    out
}

fn list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.map(|item| format!("<li>{}</li>\n", escaped(&item))).collect();
    if !items.is_empty() {
        let _ = write!(out, "<h2>{title} ({})</h2>\n<ul>\n{}</ul>\n", items.len(), items.concat());
    }
}

/// All that one check found.
fn check(out: &mut String, found: &[&Finding]) {
    let Some(check) = found.first().map(|finding| finding.check) else { return };
    let _ = writeln!(
        out,
        "<section class=\"{}\">\n<h3>{}</h3>\n<dl>",
        escaped(check.severity.name()),
        escaped(check.title)
    );
    for finding in found {
        let place = &finding.found.place;
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "<dt>{}</dt><dd>{}<br><code>{}{line} {}</code></dd>",
            escaped(&finding.subject()),
            escaped(&finding.found.evidence),
            escaped(&place.file),
            escaped(&place.pointer)
        );
    }
    let _ = writeln!(
        out,
        "<dt>Why it matters</dt><dd>{}</dd>\n<dt>Fix</dt><dd>{}</dd>\n<dt>Check</dt><dd><a href=\"{}\"><code>{}</code></a></dd>\n\
         </dl>\n</section>",
        escaped(check.why),
        escaped(check.fix),
        escaped(check.docs),
        escaped(check.id),
    );
}
