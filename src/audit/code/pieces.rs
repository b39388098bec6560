//! A script cut into words, signs, texts and comments, as far as telling a text from code needs it.

/// What a piece of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Space,
    Comment,
    /// A name, with the names before it that dots join, or a number.
    Word,
    Sign,
    Regex,
    /// In quotation marks.
    Text,
    /// Of a template with something put in: what stands before, between or behind.
    Part,
}

#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub kind: Kind,
    /// All of it, quotation marks too.
    pub text: &'a str,
    /// Where it begins, from 1.
    pub line: u32,
}

impl Piece<'_> {
    pub fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// What a text says: without its quotation marks, and escapes as what they stand for.
    pub fn value(&self) -> String {
        let text = self.text.strip_prefix(['"', '\'', '`', '}']).unwrap_or(self.text);
        let text = text.strip_suffix("${").or(text.strip_suffix(['"', '\'', '`'])).unwrap_or(text);
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '\\' { chars.next() } else { None }) {
                ('\\', Some('n')) => out.push('\n'),
                ('\\', Some('t')) => out.push('\t'),
                // The text goes on in the next line.
                ('\\', Some('\n') | None) => {}
                ('\\', Some(escaped)) => out.push(escaped),
                _ => out.push(c),
            }
        }
        out
    }
}

/// Longer ones first.
const SIGNS: [&str; 15] =
    ["===", "!==", "||=", "??=", "&&=", "==", "!=", "<=", ">=", "=>", "||", "??", "&&", "+=", "?."];
/// Words that no operator for two stands behind, so that a slash begins a regular expression.
const BEFORE_REGEX: [&str; 7] = ["return", "typeof", "case", "in", "of", "throw", "else"];

/// All of a script, piece by piece.
pub fn pieces(script: &str) -> Vec<Piece<'_>> {
    let mut all: Vec<Piece<'_>> = Vec::new();
    // Of each template that something is being put into, how many braces are open within.
    let mut templates: Vec<u32> = Vec::new();
    let (mut rest, mut line) = (script, 1);
    // The last one that is neither space nor comment.
    let mut last = None;
    while let Some(first) = rest.chars().next() {
        let is_operand = !last.is_some_and(ends_operand);
        let goes_on = first == '}' && templates.last() == Some(&0);
        let (kind, length) = match first {
            '`' => template(rest, &mut templates),
            '}' if goes_on => {
                templates.pop();
                (Kind::Part, template(rest, &mut templates).1)
            }
            '"' | '\'' => (Kind::Text, quoted(rest, first)),
            '/' if rest.starts_with("//") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (Kind::Comment, rest[2..].find("*/").map_or(rest.len(), |end| 2 + end + 2))
            }
            '/' if is_operand => regex(rest).map_or((Kind::Sign, 1), |length| (Kind::Regex, length)),
            c if c.is_whitespace() => (Kind::Space, until(rest, |c| !c.is_whitespace())),
            c if is_of_word(c) => (Kind::Word, word(rest)),
            c => {
                match (c, templates.last_mut()) {
                    ('{', Some(open)) => *open += 1,
                    ('}', Some(open)) => *open -= 1,
                    _ => {}
                }
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                (Kind::Sign, sign.map_or(c.len_utf8(), |sign| sign.len()))
            }
        };
        let (text, behind) = rest.split_at(length);
        let piece = Piece { kind, text, line };
        if !matches!(kind, Kind::Space | Kind::Comment) {
            last = Some(piece);
        }
        line += u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX - line);
        all.push(piece);
        rest = behind;
    }
    all
}

fn ends_operand(piece: Piece<'_>) -> bool {
    match piece.kind {
        Kind::Word => !BEFORE_REGEX.contains(&piece.text),
        Kind::Sign => matches!(piece.text, ")" | "]" | "}"),
        _ => true,
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn until(text: &str, is_end: impl Fn(char) -> bool) -> usize {
    text.find(is_end).unwrap_or(text.len())
}

/// `event.secrets?.KEY` is one.
fn word(text: &str) -> usize {
    let mut length = until(text, |c| !is_of_word(c));
    loop {
        let rest = &text[length..];
        let joined = rest.strip_prefix("?.").or_else(|| rest.strip_prefix('.')).unwrap_or("");
        let next = until(joined, |c| !is_of_word(c));
        if next == 0 {
            return length;
        }
        length += rest.len() - joined.len() + next;
    }
}

/// Up to its quotation mark, or the end of its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What of a template begins with a backtick, or with the brace behind what was put in.
fn template(text: &str, templates: &mut Vec<u32>) -> (Kind, usize) {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '`' => return (Kind::Text, at + 1),
            '$' if text[at..].starts_with("${") => {
                templates.push(0);
                return (Kind::Part, at + 2);
            }
            _ => {}
        }
    }
    (Kind::Text, text.len())
}

/// A regular expression on one line.
fn regex(text: &str) -> Option<usize> {
    const LENGTH_MAX: usize = 1_000;
    let mut chars = text.char_indices().skip(1).take(LENGTH_MAX);
    let mut is_class = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '\n' => return None,
            '[' => is_class = true,
            ']' => is_class = false,
            '/' if !is_class => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(script: &str) -> Vec<(Kind, &str)> {
        let all = pieces(script);
        assert_eq!(all.iter().map(|piece| piece.text).collect::<String>(), script);
        let told = all.iter().filter(|piece| piece.kind != Kind::Space);
        told.map(|piece| (piece.kind, piece.text)).collect()
    }

    #[test]
    fn texts_comments_and_code_are_told_apart() {
        use Kind::{Comment, Part, Regex, Sign, Text, Word};
        assert_eq!(
            cut("a.b?.c = 'it\\'s' // x 'y'\n/* \" */ || \"z"),
            [
                (Word, "a.b?.c"),
                (Sign, "="),
                (Text, "'it\\'s'"),
                (Comment, "// x 'y'"),
                (Comment, "/* \" */"),
                (Sign, "||"),
                (Text, "\"z")
            ]
        );
        assert_eq!(
            cut("`a${ { b: `c` }.b || 'd' }e${f}` g"),
            [
                (Part, "`a${"),
                (Sign, "{"),
                (Word, "b"),
                (Sign, ":"),
                (Text, "`c`"),
                (Sign, "}"),
                (Sign, "."),
                (Word, "b"),
                (Sign, "||"),
                (Text, "'d'"),
                (Part, "}e${"),
                (Word, "f"),
                (Part, "}`"),
                (Word, "g"),
            ]
        );
        assert_eq!(
            cut("x(/['\"`/]/g); a / b / 'c'; return /'/"),
            [
                (Word, "x"),
                (Sign, "("),
                (Regex, "/['\"`/]/"),
                (Word, "g"),
                (Sign, ")"),
                (Sign, ";"),
                (Word, "a"),
                (Sign, "/"),
                (Word, "b"),
                (Sign, "/"),
                (Text, "'c'"),
                (Sign, ";"),
                (Word, "return"),
                (Regex, "/'/"),
            ]
        );
    }
}
