//! For programs: `schemas/report.schema.json` describes it.

use super::super::Report;
use crate::alert::notify::text;

pub fn render(report: &Report) -> String {
    match serde_json::to_string_pretty(report) {
        Ok(json) => escaped(&json) + "\n",
        Err(error) => unreachable!("plain data is JSON: {error}"),
    }
}

/// Without what JSON lets stand, and a terminal or an editor obeys. It can only be within a string.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c != '\n' && text::is_unseen_or_control(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_escaped_and_read_back_as_it_was() {
        let name = "a\u{1b}[31m\u{9b}\u{202e}\u{e0041}\u{2028}é語\n\"";
        let json = escaped(&serde_json::to_string(name).expect("JSON"));
        assert!(!json.chars().any(text::is_unseen_or_control), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), name);
    }
}
