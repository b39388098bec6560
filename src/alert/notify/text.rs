//! Text as channels take it: short enough, and without control characters.
//!
//! Names and user agents are chosen by strangers. Characters that nobody sees, and those that turn the order of others
//! round, are left out, so that no page reads otherwise than it was written. Right-to-left letters stay: they are somebody's name.
//!
//! Lengths are in UTF-16 units, since no service says what its "characters" are: the strictest reading of those that are
//! likely.

use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::super::{Alert, Status};

const CUT: char = '…';

/// One line of at most `max` units, never empty.
pub fn line(text: &str, max: usize) -> String {
    let clean = clean(text).replace('\n', " ");
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

/// Without what is not seen; controls that are no line's end, and separators of lines that only Unicode has, as spaces.
pub fn clean(text: &str) -> String {
    const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
    let space = |c: char| (c.is_control() && c != '\n') || SEPARATORS.contains(&c);
    text.chars().filter(|c| !is_unseen(*c)).map(|c| if space(c) { ' ' } else { c }).collect()
}

/// Formats and fillers, those of emoji too: they fall apart into their parts.
pub fn is_unseen(c: char) -> bool {
    !c.is_ascii()
        && (CodePointSetData::new::<BidiControl>().contains(c)
            || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
            || CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format)
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

/// Status and title, on one line.
pub fn headline(alert: &Alert, max: usize) -> String {
    line(&format!("{}: {}", status(alert), alert.title), max)
}

/// What every channel shows beside title and summary.
pub fn facts(alert: &Alert) -> [(&'static str, String); 5] {
    [
        ("Severity", alert.severity.name().to_owned()),
        ("Tenant", alert.tenant.clone()),
        ("Subject", alert.subject.clone()),
        ("Since", alert.since.to_string()),
        (if alert.status == Status::Firing { "Seen until" } else { "Ended" }, alert.at.to_string()),
    ]
}

/// For HTML and XML, in text and in attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
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
    fn what_is_not_seen_or_turns_text_round_is_left_out() {
        // Bidirectional controls, zero width, word joiner, byte order mark, soft hyphen, fillers, tags, annotations.
        let unseen = "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}\
                      \u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{115f}\u{3164}\u{ffa0}\u{180e}\u{206a}\
                      \u{fff9}\u{fffb}\u{fe0f}\u{e0041}\u{e0100}\u{e0001}";
        for c in unseen.chars() {
            assert_eq!(line(&format!("a{c}b"), 9), "ab", "{c:?}");
        }
        assert_eq!((line(unseen, 9), lines(unseen, 9)), ("-".to_owned(), "-".to_owned()));
        assert_eq!(line("a\u{2028}b\u{2029}c\u{85}d\u{9b}e", 9), "a b c d e");
        assert_eq!(line("שלום 語 é e\u{301} ünï नमस्ते", 99), "שלום 語 é e\u{301} ünï नमस्ते");
    }

    #[test]
    fn what_is_written_for_a_character_is_kept_whole() {
        let write = |c, out: &mut String| if c == '&' { out.push_str("&amp;") } else { out.push(c) };
        assert_eq!(written("a&b", 7, write), "a&amp;b");
        assert_eq!(written("a&bc", 7, write), "a&amp;…");
        assert_eq!(written("a&bc", 6, write), "a…");
    }
}
