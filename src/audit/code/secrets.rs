//! Which texts of a script look like secrets: by what they are, and by what they are given to.

use super::pieces::{Kind, Piece, pieces};

/// Names of what holds a secret.
const NAMES: [&str; 12] = [
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
    "signingkey",
    "signing_key",
];
/// Last words of names of what holds one; within a word they are something else, as in `bypass`.
const LAST: [&str; 4] = ["pass", "passphrase", "pwd", "token"];
/// Last words of names of something about a secret, which is none.
const ABOUT: [&str; 32] = [
    "action",
    "alg",
    "algorithm",
    "arn",
    "claim",
    "column",
    "endpoint",
    "error",
    "event",
    "field",
    "format",
    "header",
    "hint",
    "id",
    "label",
    "less",
    "message",
    "name",
    "param",
    "parameter",
    "path",
    "pattern",
    "placeholder",
    "policy",
    "prefix",
    "prompt",
    "scope",
    "strategy",
    "title",
    "type",
    "uri",
    "url",
];
/// Words of texts such as "Your password" or "client_secret", which name a secret and are none.
const LABELS: [&str; 27] = [
    "access",
    "api",
    "client",
    "confirm",
    "current",
    "email",
    "error",
    "expired",
    "forgot",
    "invalid",
    "key",
    "login",
    "missing",
    "my",
    "new",
    "old",
    "optional",
    "password",
    "private",
    "required",
    "reset",
    "secret",
    "token",
    "undefined",
    "user",
    "wrong",
    "your",
];
/// What known secrets begin with.
const SHAPES: [(&str, &str); 20] = [
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
    ("https://discord.com/api/webhooks/", "the URL of a Discord channel"),
    ("https://discordapp.com/api/webhooks/", "the URL of a Discord channel"),
    ("eyJhbGciOi", "a signed token"),
    ("SG.", "a SendGrid key"),
    ("Bearer ", "the value of an Authorization header"),
    ("Basic ", "the value of an Authorization header"),
    ("SSWS ", "the value of an Authorization header"),
];
/// Calls that take a secret after another argument.
const KEYED: [&str; 10] = [
    "createHmac",
    "createCipheriv",
    "createDecipheriv",
    "HmacSHA1",
    "HmacSHA256",
    "HmacSHA512",
    "AES.encrypt",
    "AES.decrypt",
    "jwt.sign",
    "jwt.verify",
];
/// Calls that take a name and what belongs to it.
const NAMED: [&str; 4] = ["set", "append", "setHeader", "header"];
/// Calls that give back what they are given, in another shape.
const SHAPING: [&str; 5] = ["Buffer.from", "atob", "btoa", "encode", "String"];
/// Shorter texts are words.
const SECRET_MIN: usize = 8;
/// So many pieces before a text tell what it is for.
const BEFORE_MAX: usize = 64;

const GIVEN: &str = "a text given to a call that takes a secret";
const ASSIGNED: &str = "a text assigned to what is named as a secret";
const INSTEAD: &str = "a text that stands in for a secret";
const COMPARED: &str = "a text that a secret is compared with";

/// A text of a script, and the code around it.
struct Code<'a> {
    pieces: Vec<Piece<'a>>,
    /// What each text says; several that are joined say it together, in place of the first one.
    values: Vec<String>,
}

/// The lines of texts that look like secrets, each with what it looks like.
pub fn found(script: &str) -> Vec<(u32, &'static str)> {
    let code = Code::of(script);
    let smell = |at: usize| Some((code.pieces[at].line, code.smell(at)?));
    let mut found: Vec<_> = (0..code.pieces.len()).filter_map(smell).collect();
    found.dedup_by_key(|(line, _)| *line);
    found
}

impl<'a> Code<'a> {
    fn of(script: &'a str) -> Self {
        let mut code = Self { pieces: Vec::new(), values: Vec::new() };
        for piece in pieces(script) {
            let is_text = matches!(piece.kind, Kind::Text | Kind::Part);
            match (piece.kind, code.pieces.as_slice()) {
                (Kind::Space | Kind::Comment, _) => continue,
                (Kind::Text, [.., before, plus]) if plus.is("+") && before.kind == Kind::Text => {
                    code.pieces.pop();
                    code.values.pop();
                    code.values.last_mut().into_iter().for_each(|joined| *joined += &piece.value());
                    continue;
                }
                _ => {}
            }
            code.pieces.push(piece);
            code.values.push(if is_text { piece.value() } else { String::new() });
        }
        code
    }

    fn is(&self, at: Option<usize>, signs: &[&str]) -> bool {
        at.and_then(|at| self.pieces.get(at)).is_some_and(|piece| signs.iter().any(|sign| piece.is(sign)))
    }

    fn smell(&self, at: usize) -> Option<&'static str> {
        let value = self.values[at].as_str();
        let kind = self.pieces[at].kind;
        if !matches!(kind, Kind::Text | Kind::Part) {
            return None;
        }
        let is_followed =
            self.is(Some(at + 1), &[","]) && self.pieces.get(at + 2).is_some_and(|next| next.kind == Kind::Text);
        if let Some(what) = shape(value, is_followed) {
            return Some(what);
        }
        let is_written = value.len() >= SECRET_MIN && !value.contains([' ', '\n', '\t', '{', '<']);
        if kind == Kind::Part || !is_written || is_label(value) || is_address(value) {
            return None;
        }
        self.use_of(at, value)
    }

    /// What a text is used as, by the code around it.
    fn use_of(&self, at: usize, value: &str) -> Option<&'static str> {
        const COMPARING: [&str; 4] = ["==", "===", "!=", "!=="];
        let before = at.checked_sub(1)?;
        let above = at.checked_sub(2)?;
        if self.is(Some(before), &["=", ":", "||=", "??="]) && self.is_named(above) {
            return Some(ASSIGNED);
        }
        if self.is(Some(before), &COMPARING) && self.is_named(above)
            || self.is(Some(at + 1), &COMPARING) && self.pieces.get(at + 2).is_some_and(|_| self.is_named(at + 2))
        {
            return is_random(value).then_some(COMPARED);
        }
        if self.is(Some(before), &["||", "??", "?", ":"]) {
            return self.stands_in(before, value).then_some(INSTEAD);
        }
        let open = self.opening(before)?;
        let call = open.checked_sub(1)?;
        if self.pieces[open].is("[") {
            let is_given = self.is(Some(call), &["=", ":"]) && self.is_named(call.checked_sub(1)?);
            return (is_given && is_random(value)).then_some(ASSIGNED);
        }
        let path = self.pieces[call].text;
        let is_call = |names: &[&str]| {
            self.pieces[call].kind == Kind::Word
                && names
                    .iter()
                    .any(|name| path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        };
        if !self.pieces[open].is("(") {
            return None;
        }
        let is_first = open == before;
        let is_second_of_named = is_call(&NAMED) && above == open + 1 && is_secret_name(&self.values[above]);
        if is_second_of_named || !is_first && is_call(&KEYED) || is_first && is_setter(path) {
            return Some(GIVEN);
        }
        (is_first && is_call(&SHAPING) && self.stands_in(call, value)).then_some(ASSIGNED)
    }

    /// Whether what stands here is named as a secret: a variable, a key, or what is read by a key.
    fn is_named(&self, at: usize) -> bool {
        let name = match self.pieces[at].kind {
            Kind::Word => self.pieces[at].text,
            Kind::Text => &self.values[at],
            Kind::Sign if self.pieces[at].is("]") && self.is(at.checked_sub(2), &["["]) => &self.values[at - 1],
            _ => return false,
        };
        is_secret_name(name.rsplit('.').next().unwrap_or(name))
    }

    /// Whether the expression that goes on behind here is a secret's: what it may be instead is one, or what it is assigned to.
    fn stands_in(&self, last: usize, value: &str) -> bool {
        let mut depth = 0_u32;
        // What stands before a question mark is the condition.
        let mut is_condition = false;
        for at in (last.saturating_sub(BEFORE_MAX)..=last).rev() {
            let piece = &self.pieces[at];
            match piece.text {
                ")" | "]" | "}" if piece.kind == Kind::Sign => depth += 1,
                "(" | "[" | "{" if piece.kind == Kind::Sign => match depth {
                    0 => return false,
                    _ => depth -= 1,
                },
                _ if depth > 0 || at == last && !self.is(Some(at), &["?"]) => {}
                "?" if piece.kind == Kind::Sign => is_condition = true,
                "=" | ":" if piece.kind == Kind::Sign => {
                    return at.checked_sub(1).is_some_and(|target| self.is_named(target));
                }
                "," | ";" | "=>" if piece.kind == Kind::Sign => return false,
                "return" => return false,
                _ if piece.kind == Kind::Part => return false,
                _ => {}
            }
            let reads_secrets = ["secrets", "env", "configuration"]
                .iter()
                .any(|holder| piece.kind == Kind::Word && piece.text.split(['.', '?']).any(|name| name == *holder));
            let is_about = is_about(piece.text.rsplit('.').next().unwrap_or(piece.text));
            if depth == 0 && !is_condition && (self.is_named(at) || reads_secrets && !is_about && is_random(value)) {
                return true;
            }
        }
        false
    }

    /// The bracket that is open in front of here.
    fn opening(&self, last: usize) -> Option<usize> {
        // Only what is an argument or an element as it is.
        if !self.is(Some(last), &["(", "[", ","]) {
            return None;
        }
        let mut depth = 0_u32;
        for at in (last.saturating_sub(BEFORE_MAX)..=last).rev() {
            match self.pieces[at].text {
                _ if self.pieces[at].kind == Kind::Part => return None,
                _ if self.pieces[at].kind != Kind::Sign => {}
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => return Some(at),
                "(" | "[" | "{" => depth -= 1,
                _ => {}
            }
        }
        None
    }
}

/// The words of a name, in small letters: of `apiKey` and `API_KEY` the same.
fn words(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = ' ';
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || c.is_uppercase() && last.is_lowercase();
        if begins && all.last().is_some_and(|word| !word.is_empty()) {
            all.push(String::new());
        }
        if c.is_alphanumeric() {
            all.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        last = c;
    }
    all.retain(|word| !word.is_empty());
    all
}

fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_holder = NAMES.iter().any(|known| lower.contains(known))
        || words(name).last().is_some_and(|last| LAST.contains(&last.as_str()));
    is_holder && !is_about(name) && !lower.contains("passwordless")
}

fn is_about(name: &str) -> bool {
    words(name).last().is_some_and(|last| ABOUT.contains(&last.as_str()))
}

/// `setApiKey` takes one.
fn is_setter(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    name.starts_with("set") && NAMES.iter().any(|known| name.contains(known))
}

/// Whether a text names a secret, as labels do, and names such as STRIPE_SECRET_KEY and acme-api-key.
fn is_label(text: &str) -> bool {
    const NAMED: [&str; 4] = ["key", "password", "secret", "token"];
    let is_constant = text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let is_joined = text.contains(['_', '-']) && (is_constant || !text.contains(|c: char| c.is_ascii_digit()));
    let words = words(text);
    words.iter().all(|word| LABELS.contains(&word.as_str()))
        || is_joined && words.iter().any(|word| NAMED.contains(&word.as_str()))
}

/// Whether a text leads somewhere: a URL, a path, an e-mail address.
fn is_address(text: &str) -> bool {
    let is_mail = || {
        let domain = text.split_once('@').map(|(_, domain)| domain);
        domain
            .and_then(|domain| domain.rsplit_once('.'))
            .is_some_and(|(_, top)| top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic()))
    };
    let is_path = ["/", "./", "../"].iter().any(|begin| text.starts_with(begin)) && !is_random(text);
    text.contains("://") || is_path || text.starts_with("urn:") || text.starts_with("arn:") || is_mail()
}

/// Whether a part of a text is letters and digits as no word has them; ids of things are written as UUIDs.
fn is_random(text: &str) -> bool {
    let is_mixed = |part: &str| {
        part.len() >= SECRET_MIN
            && part.contains(|c: char| c.is_ascii_digit())
            && part.contains(|c: char| c.is_ascii_alphabetic())
    };
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is_uuid = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
    !is_uuid && parts.into_iter().any(is_mixed)
}

/// What a text is by itself; a key may go on in the next text.
fn shape(text: &str, is_followed: bool) -> Option<&'static str> {
    let key = text.trim_start().strip_prefix("-----BEGIN ").and_then(|text| text.split_once("PRIVATE KEY-----"));
    if key.is_some_and(|(_, key)| is_followed || !key.trim().is_empty()) {
        return Some("a private key");
    }
    // Joined with something else it is no secret by itself.
    let is_token = |rest: &str| {
        rest.len() >= SECRET_MIN && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=.~".contains(&byte))
    };
    let (_, what) = SHAPES.iter().find(|(begin, _)| text.strip_prefix(begin).is_some_and(is_token)).or_else(|| {
        const URL: (&str, &str) = ("", "a URL with a password");
        const PARAMETER: (&str, &str) = ("", "a parameter that is named as a secret");
        match has_password(text) {
            true => Some(&URL),
            false => has_parameter(text).then_some(&PARAMETER),
        }
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

/// Whether it is a list such as `client_id=a&client_secret=b` or `Server=a;Password=b`.
fn has_parameter(text: &str) -> bool {
    text.split(['?', '&', ';']).filter_map(|part| part.split_once('=')).any(|(name, value)| {
        let is_value = value.len() >= SECRET_MIN && !value.contains(['$', '{', '<', ' ', '(', '[', '"', '\'']);
        is_value && is_random(value) && is_secret_name(name.trim()) && !is_label(value) && !is_address(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_parameters_are_found() {
        for (script, is_secret) in [
            ("x('client_id=a&client_secret=abcdefgh12345678')", true),
            ("x(\"https://api.x.io/v1?api_key=abcdefgh12345678\")", true),
            ("x('Server=db;User Id=sa;Password=Sup3rS3cret;')", true),
            ("x('https://discord.com/api/webhooks/123/abcdefghijk')", true),
            ("const signingKey = 'abcdefgh12345678';", true),
            ("x('grant_type=password&client_secret=')", false),
            ("x(`client_secret=${event.secrets.KEY}`)", false),
            ("x('https://a.io/?token_type=urn:x:access_token')", false),
            ("x('response_type=token&scope=openid')", false),
            ("x('https://app.acme.io/login?reset_password=requested')", false),
            ("x('refresh_token=expired_or_revoked')", false),
        ] {
            assert_eq!(!found(script).is_empty(), is_secret, "{script}");
        }
    }

    #[test]
    fn secrets_are_told_from_other_texts() {
        let lines = |script: &str| found(script).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("const apiKey = 'k9s8d7f6g5h4';\n"), [1]);
        assert_eq!(lines("x({\n  \"client_secret\": \"abcdefghijkl\",\n  b: 1 })"), [2]);
        // On the next line, behind a comment, and in a text of several lines.
        assert_eq!(lines("const apiKey =\n  'k9s8d7f6g5h4';\nx({ password:\n  // mine\n  `hunter2hunter2` })"), [2, 5]);
        assert_eq!(lines("const pem = `\n-----BEGIN PRIVATE KEY-----\nMIIE`;\nlet b = 1;"), [1]);
        for guilty in [
            "let t = `-----BEGIN RSA PRIVATE KEY-----abc`;",
            "headers: { Authorization: 'Bearer k9s8d7f6g5h4' }",
            "axios.get(u, { headers: { Authorization: \"Basic dXNlcjpwYXNz\" } })",
            "const db = new Client('postgres://app:hunter2@db.io/users');",
            "sendgrid.setApiKey('k9s8d7f6g5h4');",
            "crypto.createHmac('sha256', 'k9s8d7f6g5h4')",
            "jwt.sign({ a: 1 }, 'k9s8d7f6g5h4')",
            "x('glpat-k9s8d7f6g5h4'); fetch('https://hooks.slack.com/services/T0/B0/k9s8d7')",
            // Quotation marks within.
            "const password = 'k9\\'s8d7f6';",
            "const password = \"k9\\\"s8\\\\d7\";",
            "const q = 'it\\'s'; const password = 'hunter2hunter2';",
            "x.replace(/'/g, ''); const password = 'hunter2hunter2';",
            // In place of what is not set.
            "const key = process.env.API_KEY || \"hunterhunter\";",
            "const key = event.secrets.API_KEY ?? 'hunterhunter';",
            "const key = event.secrets?.STRIPE || 'k9s8d7f6g5h4';",
            "const apiKey = config.x || 'hunterhunter';",
            "call({ apiKey: f(a, b) || 'hunterhunter' })",
            "const apiKey = isTest ? 'hunterhunter' : event.secrets.K;",
            "const k = isTest ? event.secrets.API_KEY : 'hunterhunter';",
            "const { API_KEY = 'hunterhunter' } = event.secrets;",
            "options.password ||= 'hunterhunter';",
            "x(`${event.secrets.API_KEY || 'hunterhunter'}`)",
            // Without anything put in, or with it elsewhere.
            "const apiKey = `k9s8d7f6g5h4`;",
            "fetch(`https://app:hunter2@${host}/users`)",
            "fetch(`${base}/x`, { headers: { 'x-api-key': 'k9s8d7f6g5h4' } })",
            // In other ways.
            "const apiKey = 'k9s8' + 'd7f6g5h4';",
            "const accessToken = 'k9s8d7f6g5h4';",
            "const dbPwd = 'hunter2hunter2';",
            "createTransport({ auth: { user: 'app', pass: 'hunter2hunter2' } })",
            "process.env.DB_PASS || 'hunter2hunter2'",
            "config['api_key'] = 'k9s8d7f6g5h4';",
            "headers.set('x-api-key', 'k9s8d7f6g5h4');",
            "const secret = Buffer.from('k9s8d7f6g5h4', 'base64');",
            "const secret = new TextEncoder().encode('k9s8d7f6g5h4');",
            "const API_KEYS = ['one-k9s8d7f6g5h4', 'two'];",
            "if (headers['x-api-key'] !== 'k9s8d7f6g5h4') {}",
            "if ('k9s8d7f6g5h4' === apiKey) {}",
            "CryptoJS.AES.decrypt(text, 'hunterhunter')",
            "const pem = ['-----BEGIN PRIVATE KEY-----', 'MIIE'].join('\\n');",
        ] {
            assert_eq!(lines(guilty), [1], "{guilty}");
        }
        for innocent in [
            "const apiKey = event.secrets.API_KEY;",
            "// const password = 'hunter2hunter2'\n/* secret = 'aaaaaaaaaaaa' */",
            "if (password === 'not a secret!') {}",
            "const token = 'short';",
            "const password = `${prefix}-something`;",
            "const bypass = 'internal-network', passport = 'not-a-secret', passCount = 'twentyfive';",
            "api.access.deny('your password is wrong');",
            "url = 'https://example.com/password'",
            "const pem = `-----BEGIN CERTIFICATE-----abc`;",
            "headers: { Authorization: `Bearer ${token}`, b: 'Bearer ' + token, c: 'Basic authentication only' }",
            "new Client(`postgres://app:${event.secrets.DB}@db.io/users`); u = 'https://a.io/x:y@z'",
            "crypto.createHmac('sha256', event.secrets.KEY).update('some-long-text-of-ours')",
            "api.setCustomClaim('https://a.io/password')",
            // URLs, paths, addresses, and what is about a secret.
            "const passwordResetUrl = 'https://example.com/reset'; const secretPath = '/run/secrets/db';",
            "const password_reset = 'https://example.com/reset'; const apiKeyHeader = 'x-acme-api-key';",
            "{ secretName: 'prod-database-login', passwordPolicy: 'excellent', tokenType: 'urn:ietf:params' }",
            "{ subject_token: 'urn:ietf:params:oauth:token-type:jwt', secret: 'arn:aws:secretsmanager:eu:1:x' }",
            "{ connection: 'Username-Password-Authentication', passwordless: 'sms-otp-code' }",
            // Names and messages.
            "{ password: 'Password', client_secret: 'client_secret', secret: 'STRIPE_SECRET_KEY', token: 'undefined' }",
            "const errors = { password: `The password\nis wrong` };",
            "const errors = { password: 'wrong_password', token: 'tokenExpired', api_key: 'acme-api-key' };",
            "const domain = event.secrets.DOMAIN || 'acme.eu.auth0.com';",
            "const region = process.env.REGION || 'eu-central-1', stage = process.env.STAGE || 'production';",
            "const id = event.secrets.CLIENT_ID || 'k9s8d7f6g5h4'; const t = process.env.T || '550e8400-e29b-41d4-a716-446655440000';",
            "const from = event.secrets.FROM || 'postmaster@acme.io';",
            "const x = apiKey ? run('something-else') : skip('another-thing');",
            "const x = apiKey ? 'something-else' : 'another-thing';",
            "if (apiKey) { log(a || 'nothing-there') }",
            "if (!event.secrets.API_KEY) return api.access.deny('configuration_error');",
            "if (body.password !== 'production') {}",
            "const pem = `-----BEGIN PRIVATE KEY-----\n${event.secrets.KEY}\n-----END PRIVATE KEY-----`;",
            "const pem = '-----BEGIN PRIVATE KEY-----\\n' + event.secrets.KEY;",
            "headers.set('content-type', 'application/json'); cache.set('apiKeyName', 'something');",
            "const ratio = a / b; const s = \"it's\"; // password = 'hunter2hunter2'",
        ] {
            assert_eq!(lines(innocent), [0; 0], "{innocent}");
        }
    }
}
