//! A report in each format: a function from report to text, a file each.

mod html;
mod json;
mod junit;
mod sarif;
mod terminal;

use super::checks::Severity;
use super::report::Report;
use crate::alert::notify::text;

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

/// How it is to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    pub color: bool,
    /// From which severity on it counts as failed.
    pub fail_on: Option<Severity>,
}

pub fn render(report: &Report, format: Format, look: Look) -> String {
    match format {
        Format::Text => terminal::render(report, look),
        Format::Json => json::render(report),
        Format::Html => html::render(report),
        Format::Sarif => sarif::render(report),
        Format::Junit => junit::render(report, look.fail_on),
    }
}

/// One line without characters that nobody sees: names are chosen by strangers.
fn shown(text: &str) -> String {
    text::line(text, 1_000)
}

/// JSON with what nobody sees, and what turns text round, as escapes: the same values, and nothing that a terminal obeys.
fn visible(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => out.push(c),
            _ if c.is_control() || text::is_unseen(c) || matches!(c, '\u{2028}' | '\u{2029}') => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            _ => out.push(c),
        }
    }
    out
}

/// For XML and HTML, in text and in attributes. Two characters are none of XML's.
fn escaped(text: &str) -> String {
    text::escaped(&shown(text)).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
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
        render(&report, Format::Text, look)
    }

    #[test]
    fn colour_is_there_only_where_it_is_wanted_and_changes_no_word() {
        let plain = text(Look { width: 100, color: false, fail_on: None });
        let colored = text(Look { width: 100, color: true, fail_on: None });
        assert!(!plain.contains('\u{1b}') && colored.contains("\u{1b}[31m"));
        let mut without = colored;
        for code in ["0", "1", "2", "31", "32", "33"] {
            without = without.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(without, plain);
    }

    #[test]
    fn json_is_the_same_and_hides_nothing() {
        let value = serde_json::json!({ "a\u{202e}b": "\u{85}\u{9b}31m \u{200b}\u{e0001}\u{2028}\u{7f} \u{e4}\n" });
        let text = visible(&format!("{value:#}\n"));
        assert!(text.contains("\\u202e") && text.contains("\\udb40\\udc01") && text.contains('\u{e4}'), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && !text::is_unseen(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn prose_fits_the_width_whatever_it_is() {
        let words = |width| {
            text(Look { width, color: false, fail_on: None }).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for width in [40, 60, 100, 160] {
            let text = text(Look { width, color: false, fail_on: None });
            for line in text.lines().filter(|line| line.starts_with("    why") || line.starts_with("    fix")) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            assert_eq!(words(width), words(100));
        }
    }
}
