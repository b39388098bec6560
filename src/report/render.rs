//! A report in each format: a function from report to text, a file each. What people read is
//! the same on a terminal and on paper ([`content`]).

mod chart;
mod content;
mod csv;
mod html;
mod json;
mod terminal;

use super::Report;
use crate::render::Look;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// As schemas/report.schema.json describes.
    Json,
    /// One page with charts that needs nothing else, also to be printed.
    Html,
    /// One table, a number a row.
    Csv,
}

pub fn render(report: &Report, format: Format, look: Look) -> String {
    match format {
        Format::Text => terminal::render(report, look),
        Format::Json => json::render(report),
        Format::Html => html::render(report),
        Format::Csv => csv::render(report),
    }
}
