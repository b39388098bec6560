//! For build servers: JUnit's XML, a test case for each check.

use std::fmt::Write;

use super::super::checks::{self, Area, Severity};
use super::super::report::Report;
use crate::render::escaped;

pub fn render(report: &Report, fail_on: Option<Severity>) -> String {
    let mut suites = String::new();
    let mut sums = (0, 0, 0, 0);
    for area in Area::ALL {
        let mut cases = String::new();
        let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
        for check in checks::all().filter(|check| check.area == area) {
            tests += 1;
            let (name, class) = (escaped(check.id), escaped(&format!("ghostlight.{}", check.severity.name())));
            let _ = write!(cases, "    <testcase name=\"{name}\" classname=\"{class}\" time=\"0\">");
            let found: Vec<String> = report
                .open()
                .filter(|finding| finding.check.id == check.id)
                .map(|finding| {
                    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
                    let place = &finding.found.place;
                    format!(
                        "{}: {} ({}{line} {})",
                        finding.subject(),
                        finding.found.evidence,
                        place.file,
                        place.pointer
                    )
                })
                .collect();
            let text: Vec<String> = found.iter().map(|found| escaped(found)).collect();
            let not_run = report.not_run.iter().find(|(other, _)| other.id == check.id);
            match not_run {
                Some((_, why)) if why.is_failed() => {
                    errors += 1;
                    let _ = write!(cases, "<error type=\"{class}\" message=\"{}\"/>", escaped(why.why()));
                }
                Some((_, why)) => {
                    skipped += 1;
                    let _ = write!(cases, "<skipped message=\"{}\"/>", escaped(why.why()));
                }
                None if found.is_empty() => {}
                None if fail_on.is_some_and(|from| check.severity <= from) => {
                    failures += 1;
                    let message = escaped(&format!("{}. To fix it: {}", check.title, check.fix));
                    let _ =
                        write!(cases, "<failure type=\"{class}\" message=\"{message}\">{}</failure>", text.join("\n"));
                }
                None => {
                    let _ = write!(cases, "<system-out>{}</system-out>", text.join("\n"));
                }
            }
            let notes: Vec<String> =
                report.notes.iter().filter(|note| note.check == check.id).map(|note| escaped(&note.text)).collect();
            if !notes.is_empty() {
                let _ = write!(cases, "<system-err>{}</system-err>", notes.join("\n"));
            }
            cases.push_str("</testcase>\n");
        }
        let _ = write!(
            suites,
            "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
             timestamp=\"{}\">\n{cases}  </testsuite>\n",
            escaped(area.name()),
            report.at.to_string().trim_end_matches('Z'),
        );
        sums = (sums.0 + tests, sums.1 + failures, sums.2 + errors, sums.3 + skipped);
    }
    let (tests, failures, errors, skipped) = sums;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ghostlight audit\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{suites}</testsuites>\n"
    )
}
