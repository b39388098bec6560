//! A report in each format: a function from report to text, a file each.

mod html;
mod json;
mod junit;
mod lines;
mod sarif;
mod terminal;

use super::checks::Severity;
use super::report::Report;
use crate::render::Look;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Html,
    Sarif,
    Junit,
}

impl Format {
    pub const NAMES: [&str; 5] = ["text", "json", "html", "sarif", "junit"];

    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Text, Self::Json, Self::Html, Self::Sarif, Self::Junit];
        Self::NAMES.iter().position(|known| *known == name).and_then(|at| all.get(at).copied())
    }
}

/// `fail_on` is the severity from which on a finding counts as failed.
pub fn render(report: &Report, format: Format, look: Look, fail_on: Option<Severity>) -> String {
    match format {
        Format::Text => terminal::render(report, look),
        Format::Json => json::render(report),
        Format::Html => html::render(report),
        Format::Sarif => sarif::render(report),
        Format::Junit => junit::render(report, fail_on),
    }
}

#[cfg(test)]
mod tests {
    use super::super::baseline::Baseline;
    use super::super::checks::Scene;
    use super::super::export;
    use super::*;
    use crate::event::EventTime;

    fn text(look: Look) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenants/example-yaml");
        let export = export::read(std::path::Path::new(folder)).expect("an export");
        let scene = Scene { tenant: &export.tenant, traffic: None };
        let line = |place: &_| export.line(place);
        let report = Report::new("tenant.yaml".to_owned(), &scene, line, &Baseline::default(), EventTime::from_ms(0));
        render(&report, Format::Text, look, None)
    }

    #[test]
    fn colour_is_there_only_where_it_is_wanted_and_changes_no_word() {
        let plain = text(Look { width: 100, color: false });
        let colored = text(Look { width: 100, color: true });
        assert!(!plain.contains('\u{1b}') && colored.contains("\u{1b}[31m"));
        let mut without = colored;
        for code in ["0", "1", "2", "31", "32", "33"] {
            without = without.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(without, plain);
    }

    #[test]
    fn prose_fits_the_width_whatever_it_is() {
        let words =
            |width| text(Look { width, color: false }).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in [40, 60, 100, 160] {
            let text = text(Look { width, color: false });
            for line in text.lines().filter(|line| line.starts_with("    why") || line.starts_with("    fix")) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert_eq!(words(width), words(100));
        }
    }
}
