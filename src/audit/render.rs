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

/// For XML and HTML, in text and in attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in shown(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Neither is a character of XML.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
