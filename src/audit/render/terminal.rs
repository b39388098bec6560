//! For people at a terminal: scores, then findings, the gravest first, then what could not be judged.

use std::fmt::Write;

use super::super::checks::{BY_HAND, Check, Severity};
use super::super::not_run::NotRun;
use super::super::report::{Finding, NOTHING_JUDGED, Report};
use crate::render::{Look, Page, Style, shown};

const INDENT: &str = "    ";

pub fn render(report: &Report, look: Look) -> String {
    let mut page = Page::new(look);
    head(&mut page, report);
    findings(&mut page, report);
    not_run(&mut page, report);
    by_hand(&mut page);
    summary(&mut page, report);
    page.finish()
}

fn head(page: &mut Page, report: &Report) {
    page.wrapped("audited  ", &shown(&report.source));
    if let Some(events) = &report.events {
        page.wrapped("beside   ", &shown(events));
    }
    if let Some(model) = &report.model {
        page.wrapped("tenant   ", &shown(model));
    }
    page.title("SCORE BY AREA");
    for score in &report.scores {
        let percent = match score.percent {
            Some(percent) => {
                let style = if percent >= 90 {
                    Style::Green
                } else if percent >= 60 {
                    Style::Yellow
                } else {
                    Style::Red
                };
                page.styled(&format!("{percent:>4} %"), style)
            }
            None => page.styled("     -", Style::Dim),
        };
        let mut line = String::new();
        let _ = write!(
            line,
            "  {:<26}{percent}  {:>3} passed {:>3} failed {:>3} not run",
            score.area.name(),
            score.passed,
            score.failed,
            score.not_run
        );
        page.line(&line);
    }
}

fn findings(page: &mut Page, report: &Report) {
    for severity in Severity::ALL {
        let all: Vec<&Finding> = report.open().filter(|finding| finding.check.severity == severity).collect();
        if all.is_empty() {
            continue;
        }
        page.title(&format!("{} ({})", severity.name().to_uppercase(), all.len()));
        let mut rest = all.as_slice();
        while let [first, ..] = rest {
            let same = rest.iter().take_while(|finding| finding.check.id == first.check.id).count();
            check(page, first.check, &rest[..same]);
            rest = &rest[same..];
        }
    }
    let accepted: Vec<_> =
        report.findings.iter().filter_map(|finding| Some((finding, finding.accepted.as_ref()?))).collect();
    if !accepted.is_empty() {
        page.title(&format!("ACCEPTED ({})", accepted.len()));
        for (finding, entry) in accepted {
            let text = format!("{} until {}: {}", shown(&finding.subject()), entry.expires, shown(&entry.reason));
            page.wrapped(&format!("  {}  ", finding.check.id), &text);
        }
    }
}

fn check(page: &mut Page, check: &Check, findings: &[&Finding]) {
    let style = match check.severity {
        Severity::Required => Style::Red,
        Severity::Recommended => Style::Yellow,
        Severity::BestPractice => Style::Dim,
    };
    let id = page.styled(check.id, style);
    page.line(&format!("  {id}  {}", check.title));
    for finding in findings {
        let text = format!("{}: {}", shown(&finding.subject()), shown(&finding.found.evidence));
        page.wrapped(&format!("{INDENT}- "), &text);
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = &finding.found.place;
        let pointer = if place.pointer.is_empty() { String::new() } else { format!("  {}", place.pointer) };
        let at = page.styled(&shown(&format!("{}{line}{pointer}", place.file)), Style::Dim);
        page.line(&format!("{INDENT}  {at}"));
    }
    page.wrapped(&format!("{INDENT}why  "), check.why);
    page.wrapped(&format!("{INDENT}fix  "), check.fix);
    page.line(&format!("{INDENT}see  {}", check.docs));
}

fn not_run(page: &mut Page, report: &Report) {
    if report.not_run.is_empty() && report.unjudged.is_empty() {
        return;
    }
    page.title(&format!("NOT RUN ({})", report.not_run.len()));
    // Most have a reason in common.
    let mut reasons: Vec<(&NotRun, Vec<&str>)> = Vec::new();
    for (check, why) in &report.not_run {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, checks)) => checks.push(check.id),
            None => reasons.push((why, vec![check.id])),
        }
    }
    for (why, checks) in reasons {
        page.wrapped("  ", &format!("{}:", reason(why)));
        page.wrapped(INDENT, &checks.join(", "));
    }
    for (check, why) in &report.unjudged {
        page.wrapped(&format!("  {}  ", check.id), &format!("also not judged: {}", reason(why)));
    }
}

fn reason(why: &NotRun) -> String {
    let failed = if why.is_failed() { "failed: " } else { "" };
    format!("{failed}{}", shown(why.why()))
}

fn by_hand(page: &mut Page) {
    page.title("LOOK YOURSELF: neither configuration nor events tell");
    for one in &BY_HAND {
        page.wrapped("  - ", &format!("{} ({})", one.title, one.why));
    }
}

fn summary(page: &mut Page, report: &Report) {
    page.line("");
    for note in &report.notes {
        page.wrapped("note     ", &shown(&note.text));
    }
    if !report.is_judged() {
        return page.wrapped("found    ", NOTHING_JUDGED);
    }
    let [required, recommended, best] = Severity::ALL.map(|severity| report.open_of(severity));
    let text = format!(
        "{required} required, {recommended} recommended, {best} best practices; {} checks passed, {} not run",
        report.passed.len(),
        report.not_run.len()
    );
    page.wrapped("found    ", &text);
}
