//! Text as channels take it: short enough, and without control characters.
//!
//! Lengths are in UTF-16 units, since no service says what its "characters" are: the strictest reading of those that are
//! likely.

use super::super::{Alert, Status};

const CUT: char = '…';

/// One line of at most `max` units, never empty.
pub fn line(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(clean.trim(), max, |c, out| out.push(c))
}

/// Lines of at most `max` units together, never empty.
pub fn lines(text: &str, max: usize) -> String {
    cut(clean(text).trim(), max, |c, out| out.push(c))
}

/// As [`lines`], with each character as `write` has it.
pub fn written(text: &str, max: usize, write: impl Fn(char, &mut String)) -> String {
    cut(clean(text).trim(), max, write)
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

fn cut(text: &str, max: usize, write: impl Fn(char, &mut String)) -> String {
    // Services refuse empty text.
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut out = String::new();
    // How far `out` goes with room for the sign that something is left out.
    let (mut units, mut fitting) = (0, 0);
    for c in text.chars() {
        let before = out.len();
        write(c, &mut out);
        units += out[before..].chars().map(char::len_utf16).sum::<usize>();
        if units > max {
            out.truncate(fitting);
            out.push(CUT);
            return out;
        }
        if units + CUT.len_utf16() <= max {
            fitting = out.len();
        }
    }
    out
}

/// `Firing` or `Resolved`.
pub fn status(alert: &Alert) -> &'static str {
    match alert.status {
        Status::Firing => "Firing",
        Status::Resolved => "Resolved",
    }
}

/// How bad, in words.
pub fn severity(alert: &Alert) -> &'static str {
    use super::super::Severity;
    match alert.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// Status and title, on one line.
pub fn headline(alert: &Alert, max: usize) -> String {
    line(&format!("{}: {}", status(alert), alert.title), max)
}

/// What every channel shows beside title and summary.
pub fn facts(alert: &Alert) -> [(&'static str, String); 5] {
    [
        ("Severity", severity(alert).to_owned()),
        ("Tenant", alert.tenant.clone()),
        ("Subject", alert.subject.clone()),
        ("Since", alert.since.to_string()),
        (if alert.status == Status::Firing { "Seen until" } else { "Ended" }, alert.at.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_its_limit_and_says_so() {
        assert_eq!(line("abcdef", 6), "abcdef");
        assert_eq!(line("abcdefg", 6), "abcde…");
        // Each emoji is two units.
        assert_eq!(line("👻👻👻", 6), "👻👻👻");
        assert_eq!(line("👻👻👻👻", 6), "👻👻…");
        assert_eq!(line("a\nb\tc\u{0}", 9), "a b c");
        assert_eq!(lines("a\nb\tc\u{0}", 9), "a\nb c");
        assert_eq!(line(" \n", 9), "-");
    }

    #[test]
    fn what_is_written_for_a_character_is_kept_whole() {
        let write = |c, out: &mut String| if c == '&' { out.push_str("&amp;") } else { out.push(c) };
        assert_eq!(written("a&b", 7, write), "a&amp;b");
        assert_eq!(written("a&bc", 7, write), "a&amp;…");
        assert_eq!(written("a&bc", 6, write), "a…");
    }
}
