//! What is suspicious in a script of a tenant, told by its text alone. Nothing of a script is kept but line numbers: what
//! is found may be a secret.

mod pieces;
mod secrets;

use self::pieces::{Kind, pieces};
use super::document::Place;

/// Something that ought not to be there, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smell {
    pub place: Place,
    /// Within the script, from 1.
    pub line: u32,
    pub what: &'static str,
}

/// What an Action's code does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits {
    /// Looks at whether a request came with PKCE.
    pub reads_code_challenge: bool,
    pub denies_access: bool,
    /// Asks for another factor.
    pub challenges: bool,
    /// Tells at signup whether somebody is known.
    pub denies_signup_with_reason: bool,
}

/// Texts in quotation marks that look like secrets.
pub fn smells(script: &str, place: &Place) -> Vec<Smell> {
    let smell = |(line, what)| Smell { place: place.clone(), line, what };
    secrets::found(script).into_iter().map(smell).collect()
}

/// Lines that write to a log.
pub fn logs(script: &str, place: &Place) -> Vec<Smell> {
    const CALLS: [&str; 5] = ["console.log(", "console.error(", "console.info(", "console.warn(", "console.debug("];
    let code = without_comments(script);
    let lines = (1..).zip(code.lines()).filter(|(_, line)| CALLS.iter().any(|call| line.contains(call)));
    lines.map(|(line, _)| Smell { place: place.clone(), line, what: "it writes to the log" }).collect()
}

/// The same lines without what stands in comments.
fn without_comments(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    for piece in pieces(script) {
        match piece.kind {
            Kind::Comment => out.extend(piece.text.chars().filter(|c| *c == '\n')),
            _ => out.push_str(piece.text),
        }
    }
    out
}

pub fn traits(script: &str) -> Traits {
    let code = without_comments(script);
    Traits {
        reads_code_challenge: code.contains("code_challenge"),
        denies_access: code.contains("access.deny("),
        challenges: code.contains("challengeWith(") || code.contains("challengeWithAny("),
        denies_signup_with_reason: code.contains("access.deny(") && tells_who_is_known(&code),
    }
}

/// Whether a text of the script says that somebody exists.
fn tells_who_is_known(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["already exists", "already registered", "already have an account", "already in use", "user exists"]
        .iter()
        .any(|text| code.contains(text))
}

/// Lines of a Liquid template with an expression that no filter escapes.
pub fn unescaped(template: &str) -> Vec<u32> {
    const ESCAPING: [&str; 6] = ["escape", "escape_once", "h", "html_escape", "url_encode", "uri_escape"];
    let mut lines = Vec::new();
    let mut rest = template;
    let mut line = 1;
    while let Some((before, after)) = rest.split_once("{{") {
        line += before.matches('\n').count() as u32;
        let Some((expression, behind)) = after.split_once("}}") else { break };
        let mut filters = expression.split('|').skip(1).map(|filter| filter.split(':').next().unwrap_or("").trim());
        if !filters.any(|filter| ESCAPING.contains(&filter.trim_end_matches('-').trim())) {
            lines.push(line);
        }
        line += expression.matches('\n').count() as u32;
        rest = behind;
    }
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_a_script_is_it_is_looked_at(script in "[-a-z'\"`/*\\\\{}()$|?:=,+ \n\u{e4}]{0,60}") {
            smells(&script, &Place::of("a.js"));
            traits(&script);
            unescaped(&script);
        }
    }

    #[test]
    fn only_escaped_expressions_pass() {
        assert_eq!(
            unescaped("<p>{{ a }}</p>\n{{ b | escape }}\n{{ c | upcase }}{{d}}\n{{ e | default: 'x' | html_escape }}"),
            [1, 3]
        );
        assert_eq!(unescaped("nothing\n{% if a %}x{% endif %}"), [0; 0]);
    }

    #[test]
    fn what_stands_in_a_comment_is_not_done() {
        assert!(!traits("// code_challenge\n/* api.access.deny('x') */").reads_code_challenge);
        let code = "const u = 'https://a//b'; if (!q.code_challenge) api.access.deny('PKCE');";
        assert_eq!(traits(code), Traits { reads_code_challenge: true, denies_access: true, ..Traits::default() });
    }
}
