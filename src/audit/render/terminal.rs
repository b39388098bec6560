//! For people at a terminal: scores, then findings, the gravest first, then what could not be judged.

use std::fmt::Write;

use super::super::checks::{BY_HAND, Check, Severity};
use super::super::report::{Finding, NOTHING_JUDGED, Report};
use super::{Look, shown};

const INDENT: &str = "    ";

pub fn render(report: &Report, look: Look) -> String {
    let mut page = Page { out: String::new(), look };
    page.head(report);
    page.findings(report);
    page.not_run(report);
    page.by_hand();
    page.summary(report);
    page.out
}

struct Page {
    out: String,
    look: Look,
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Red,
    Yellow,
    Green,
    Dim,
}

impl Page {
    fn styled(&self, text: &str, style: Style) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Red => "31",
            Style::Yellow => "33",
            Style::Green => "32",
            Style::Dim => "2",
        };
        if self.look.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Text broken at spaces, the lines after the first one indented by as much as `label` is long.
    fn wrapped(&mut self, label: &str, text: &str) {
        let label_width = label.chars().count();
        let width = self.look.width.max(label_width + 20);
        let (mut line, mut used) = (label.to_owned(), label_width);
        let mut is_empty = true;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if !is_empty && used + 1 + length > width {
                self.line(&line);
                (line, used, is_empty) = (" ".repeat(label_width), label_width, true);
            }
            if !is_empty {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
            is_empty = false;
        }
        self.line(&line);
    }

    fn title(&mut self, text: &str) {
        let title = self.styled(text, Style::Bold);
        self.line("");
        self.line(&title);
    }

    fn head(&mut self, report: &Report) {
        self.wrapped("audited  ", &shown(&report.source));
        if let Some(events) = &report.events {
            self.wrapped("beside   ", &shown(events));
        }
        if let Some(model) = &report.model {
            self.wrapped("tenant   ", &shown(model));
        }
        self.title("SCORE BY AREA");
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
                    self.styled(&format!("{percent:>4} %"), style)
                }
                None => self.styled("     -", Style::Dim),
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
            self.line(&line);
        }
    }

    fn findings(&mut self, report: &Report) {
        for severity in Severity::ALL {
            let all: Vec<&Finding> = report.open().filter(|finding| finding.check.severity == severity).collect();
            if all.is_empty() {
                continue;
            }
            self.title(&format!("{} ({})", severity.name().to_uppercase(), all.len()));
            let mut rest = all.as_slice();
            while let [first, ..] = rest {
                let same = rest.iter().take_while(|finding| finding.check.id == first.check.id).count();
                self.check(first.check, &rest[..same]);
                rest = &rest[same..];
            }
        }
        let accepted: Vec<_> =
            report.findings.iter().filter_map(|finding| Some((finding, finding.accepted.as_ref()?))).collect();
        if !accepted.is_empty() {
            self.title(&format!("ACCEPTED ({})", accepted.len()));
            for (finding, entry) in accepted {
                let text = format!("{} until {}: {}", shown(&finding.subject()), entry.expires, shown(&entry.reason));
                self.wrapped(&format!("  {}  ", finding.check.id), &text);
            }
        }
    }

    fn check(&mut self, check: &Check, findings: &[&Finding]) {
        let style = match check.severity {
            Severity::Required => Style::Red,
            Severity::Recommended => Style::Yellow,
            Severity::BestPractice => Style::Dim,
        };
        let id = self.styled(check.id, style);
        self.line(&format!("  {id}  {}", check.title));
        for finding in findings {
            let text = format!("{}: {}", shown(&finding.subject()), shown(&finding.found.evidence));
            self.wrapped(&format!("{INDENT}- "), &text);
            let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
            let place = &finding.found.place;
            let pointer = if place.pointer.is_empty() { String::new() } else { format!("  {}", place.pointer) };
            let at = self.styled(&shown(&format!("{}{line}{pointer}", place.file)), Style::Dim);
            self.line(&format!("{INDENT}  {at}"));
        }
        self.wrapped(&format!("{INDENT}why  "), check.why);
        self.wrapped(&format!("{INDENT}fix  "), check.fix);
        self.line(&format!("{INDENT}see  {}", check.docs));
    }

    fn not_run(&mut self, report: &Report) {
        if report.not_run.is_empty() && report.unjudged.is_empty() {
            return;
        }
        self.title(&format!("NOT RUN ({})", report.not_run.len()));
        // Most have a reason in common.
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (check, why) in &report.not_run {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, checks)) => checks.push(check.id),
                None => reasons.push((why, vec![check.id])),
            }
        }
        for (why, checks) in reasons {
            self.wrapped("  ", &format!("{}:", shown(why)));
            self.wrapped(INDENT, &checks.join(", "));
        }
        for (check, why) in &report.unjudged {
            self.wrapped(&format!("  {}  ", check.id), &format!("also not judged: {}", shown(why)));
        }
    }

    fn by_hand(&mut self) {
        self.title("LOOK YOURSELF: neither configuration nor events tell");
        for one in &BY_HAND {
            self.wrapped("  - ", &format!("{} ({})", one.title, one.why));
        }
    }

    fn summary(&mut self, report: &Report) {
        self.line("");
        for note in &report.notes {
            self.wrapped("note     ", &shown(note));
        }
        if !report.is_judged() {
            return self.wrapped("found    ", NOTHING_JUDGED);
        }
        let [required, recommended, best] = Severity::ALL.map(|severity| report.open_of(severity));
        let text = format!(
            "{required} required, {recommended} recommended, {best} best practices; {} checks passed, {} not run",
            report.passed.len(),
            report.not_run.len()
        );
        self.wrapped("found    ", &text);
    }
}
