//! What is suspicious in a script of a tenant, told by its text alone. Nothing of a script is kept but line numbers: what
//! is found may be a secret.

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

/// Names of what holds a secret.
const NAMES: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "privatekey",
    "private_key",
];
/// What known secrets begin with.
const SHAPES: [(&str, &str); 18] = [
    ("AKIA", "an AWS access key"),
    ("ASIA", "an AWS access key"),
    ("AIza", "a Google API key"),
    ("sk_live_", "a Stripe key"),
    ("rk_live_", "a Stripe key"),
    ("ghp_", "a GitHub token"),
    ("gho_", "a GitHub token"),
    ("ghs_", "a GitHub token"),
    ("github_pat_", "a GitHub token"),
    ("glpat-", "a GitLab token"),
    ("xoxb-", "a Slack token"),
    ("xoxp-", "a Slack token"),
    ("https://hooks.slack.com/services/", "the URL of a Slack channel"),
    ("eyJhbGciOi", "a signed token"),
    ("SG.", "a SendGrid key"),
    ("Bearer ", "the value of an Authorization header"),
    ("Basic ", "the value of an Authorization header"),
    ("SSWS ", "the value of an Authorization header"),
];
/// Calls that take a secret after another argument.
const KEYED: [&str; 4] = ["createHmac(", "jwt.sign(", "jwt.verify(", "createCipheriv("];
/// Shorter texts are words.
const SECRET_MIN: usize = 8;

/// Texts in quotation marks that look like secrets.
pub fn smells(script: &str, place: &Place) -> Vec<Smell> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(without_comments(script).lines()) {
        if let Some(what) = smell(line) {
            found.push(Smell { place: place.clone(), line: number, what });
        }
    }
    found
}

/// Lines that write to a log.
pub fn logs(script: &str, place: &Place) -> Vec<Smell> {
    const CALLS: [&str; 5] = ["console.log(", "console.error(", "console.info(", "console.warn(", "console.debug("];
    let code = without_comments(script);
    let lines = (1..).zip(code.lines()).filter(|(_, line)| CALLS.iter().any(|call| line.contains(call)));
    lines.map(|(line, _)| Smell { place: place.clone(), line, what: "it writes to the log" }).collect()
}

fn smell(line: &str) -> Option<&'static str> {
    let mut begin = 0;
    while let Some(found) = line[begin..].find(['"', '\'', '`']) {
        let at = begin + found;
        let quote = line[at..].chars().next()?;
        let inner = &line[at + 1..];
        let text = inner.split(quote).next().unwrap_or(inner);
        if let Some(what) = shape(text) {
            return Some(what);
        }
        let is_written = text.len() >= SECRET_MIN && !text.contains([' ', '$', '{']);
        if is_written && is_given_to_secret(&line[..at]) {
            return Some("a text given to a call that takes a secret");
        }
        if is_written && is_of_secret(&line[..at]) {
            return Some("a text assigned to what is named as a secret");
        }
        begin = (at + 1 + text.len() + 1).min(line.len());
    }
    None
}

/// What a text is by itself.
fn shape(text: &str) -> Option<&'static str> {
    if text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    // Joined with something else it is no secret by itself.
    let is_token = |rest: &str| {
        rest.len() >= SECRET_MIN && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=.~".contains(&byte))
    };
    let (_, what) = SHAPES.iter().find(|(begin, _)| text.strip_prefix(begin).is_some_and(is_token)).or_else(|| {
        const URL: (&str, &str) = ("", "a URL with a password");
        has_password(text).then_some(&URL)
    })?;
    Some(what)
}

/// Whether it is a URL such as `postgres://user:password@host/`.
fn has_password(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    let password = user.and_then(|(user, _)| user.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty() && !password.contains(['$', '{', '<', ' ']))
}

/// Whether what stands before a text is a call that takes a secret there: `setApiKey(`, or `createHmac('sha256', `.
fn is_given_to_secret(before: &str) -> bool {
    let before = before.trim_end();
    match before.strip_suffix('(') {
        Some(call) => {
            let name =
                call.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("").to_ascii_lowercase();
            name.starts_with("set") && NAMES.iter().any(|known| name.contains(known))
        }
        None => {
            before.ends_with(',')
                && KEYED.iter().any(|call| before.rsplit_once(call).is_some_and(|(_, inside)| !inside.contains(')')))
        }
    }
}

/// Whether what stands before a text gives it to something that is named as a secret.
fn is_of_secret(before: &str) -> bool {
    let before = before.trim_end();
    let Some(target) = before.strip_suffix('=').or_else(|| before.strip_suffix(':')) else { return false };
    // A comparison is no assignment.
    let target = target.trim_end_matches(['\'', '"', ' ']);
    if target.ends_with(['=', '!', '<', '>']) {
        return false;
    }
    let name = target.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))).next().unwrap_or("");
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|known| name.contains(known)) || name == "token" || name.ends_with("_token")
}

/// The same lines without what stands in comments.
fn without_comments(script: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut chars = script.chars().peekable();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c, chars.peek()) {
            (Some(_), '\\', _) => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            (Some(open), c, _) if c == open || (c == '\n' && open != '`') => quote = None,
            (None, '"' | '\'' | '`', _) => quote = Some(c),
            (None, '/', Some('/')) => {
                while chars.peek().is_some_and(|next| *next != '\n') {
                    chars.next();
                }
                continue;
            }
            (None, '/', Some('*')) => {
                let mut last = ' ';
                for inner in chars.by_ref() {
                    if inner == '\n' {
                        out.push(inner);
                    }
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
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

    #[test]
    fn secrets_are_told_from_other_texts() {
        let found =
            |script: &str| smells(script, &Place::of("a.js")).iter().map(|smell| smell.line).collect::<Vec<_>>();
        assert_eq!(found("const apiKey = 'k9s8d7f6g5h4';\n"), [1]);
        assert_eq!(found("x({\n  \"client_secret\": \"abcdefghijkl\",\n  b: 1 })"), [2]);
        for guilty in [
            "let t = `-----BEGIN RSA PRIVATE KEY-----abc`;",
            "headers: { Authorization: 'Bearer k9s8d7f6g5h4' }",
            "axios.get(u, { headers: { Authorization: \"Basic dXNlcjpwYXNz\" } })",
            "const db = new Client('postgres://app:hunter2@db.io/users');",
            "sendgrid.setApiKey('k9s8d7f6g5h4');",
            "crypto.createHmac('sha256', 'k9s8d7f6g5h4')",
            "jwt.sign({ a: 1 }, 'k9s8d7f6g5h4')",
            "x('glpat-k9s8d7f6g5h4'); fetch('https://hooks.slack.com/services/T0/B0/k9s8d7')",
        ] {
            assert_eq!(found(guilty), [1], "{guilty}");
        }
        for innocent in [
            "const apiKey = event.secrets.API_KEY;",
            "// const password = 'hunter2hunter2'\n/* secret = 'aaaaaaaaaaaa' */",
            "if (password === 'not a secret!') {}",
            "const token = 'short';",
            "const password = `${prefix}-something`;",
            "api.access.deny('your password is wrong');",
            "url = 'https://example.com/password'",
            "const pem = `-----BEGIN CERTIFICATE-----abc`;",
            "headers: { Authorization: `Bearer ${token}`, b: 'Bearer ' + token, c: 'Basic authentication only' }",
            "new Client(`postgres://app:${event.secrets.DB}@db.io/users`); u = 'https://a.io/x:y@z'",
            "crypto.createHmac('sha256', event.secrets.KEY).update('some-long-text-of-ours')",
            "api.setCustomClaim('https://a.io/password')",
        ] {
            assert_eq!(found(innocent), [0; 0], "{innocent}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_script_is_it_is_looked_at(script in "[-a-z'\"`/*\\\\{}|:= \n\u{e4}]{0,60}") {
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
