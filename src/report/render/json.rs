//! For programs: `schemas/report.schema.json` describes it.

use super::super::Report;
use crate::render::visible;

pub fn render(report: &Report) -> String {
    match serde_json::to_string_pretty(report) {
        Ok(json) => visible(&json) + "\n",
        Err(error) => unreachable!("plain data is JSON: {error}"),
    }
}
