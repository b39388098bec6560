//! URLs as they may be shown and kept: users and passwords, and what else stands in them, are often secrets.

use std::borrow::Cow;

/// What stands for a user and a password.
const MASK: &str = "***";

/// A URL without what stands behind `?`, `#` and `;` or before `@`.
pub fn shown(text: &str) -> String {
    let text = text.replace('\\', "/");
    let (scheme, authority, rest) = split(&text);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let shown_host = match host.rsplit_once(':') {
        Some((name, _)) if !scheme.is_empty() && is_cut_off(host) => name,
        _ => host,
    };
    let path = &rest[..rest.find(['?', '#', ';']).unwrap_or(rest.len())];
    let path = if shown_host.len() < host.len() { "" } else { path };
    let sign = match scheme {
        "" if text.starts_with("//") => "//",
        "" => "",
        _ => "://",
    };
    let is_cut = shown_host.len() < authority.len() || path.len() < rest.len();
    format!("{scheme}{sign}{shown_host}{path}{}", if is_cut { " (in part)" } else { "" })
}

/// A text as it is, but for the user and the password of each URL in it. Names and audiences are told apart by the rest.
pub fn masked(text: &str) -> Cow<'_, str> {
    match text.contains('@') {
        true => Cow::Owned(text.split_inclusive(char::is_whitespace).map(masked_word).collect()),
        false => Cow::Borrowed(text),
    }
}

fn masked_word(text: &str) -> Cow<'_, str> {
    let slashed = text.replace('\\', "/");
    let (scheme, authority, rest) = split(&slashed);
    if scheme.is_empty() && !slashed.starts_with("//") {
        return Cow::Borrowed(text);
    }
    let begin = text.len() - rest.len() - authority.len();
    let end = match authority.rfind('@') {
        Some(at) => begin + at,
        None => match rest.rfind('@').filter(|_| is_cut_off(authority)) {
            Some(at) => text.len() - rest.len() + at,
            None => return Cow::Borrowed(text),
        },
    };
    Cow::Owned(format!("{}{MASK}{}", &text[..begin], &text[end..]))
}

/// What is no port may be a password with a sign in it that ends the host.
fn is_cut_off(host: &str) -> bool {
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit() || c == '*');
    !host.ends_with(']') && host.rsplit_once(':').is_some_and(|(_, port)| !is_port(port))
}

/// Scheme, authority and what follows it. Browsers take one slash, or none, behind `https:` for two.
pub fn split(text: &str) -> (&str, &str, &str) {
    let web =
        text.split_once(':').filter(|(scheme, _)| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web)));
    let (scheme, rest) = match web {
        Some((scheme, rest)) => (scheme, rest.trim_start_matches('/')),
        None => text.split_once("://").unwrap_or(("", text.strip_prefix("//").unwrap_or(text))),
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len()));
    (scheme, authority, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_what_is_no_secret_is_shown() {
        assert_eq!(shown("https://a.io/cb"), "https://a.io/cb");
        assert_eq!(shown("http://user:pass@a.io/cb?key=secret#x"), "http://a.io/cb (in part)");
        for (given, wanted) in [
            ("https:\\\\user:pass@a.io\\cb", "https://a.io/cb (in part)"),
            ("https:/user:pass@a.io/cb", "https://a.io/cb (in part)"),
            ("https://a.io/cb;jsessionid=secret", "https://a.io/cb (in part)"),
            ("https://a.io?key=secret", "https://a.io (in part)"),
            ("https://user:pa#ss@a.io/cb", "https://user (in part)"),
            ("https://us;er:pass@a.io/", "https://a.io/ (in part)"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("//localhost/", "//localhost/"),
            ("http://[::1]:80/", "http://[::1]:80/"),
            ("com.acme.app://callback", "com.acme.app://callback"),
            ("https://{organization_name}.a.io/*", "https://{organization_name}.a.io/*"),
        ] {
            assert_eq!(shown(given), wanted);
            assert_eq!(shown(wanted), wanted);
        }
    }

    #[test]
    fn users_and_passwords_are_masked_and_nothing_else() {
        for (given, wanted) in [
            ("https://user:pass@a.io/v1", "https://***@a.io/v1"),
            ("postgres://app:pa@ss@db.io/x", "postgres://***@db.io/x"),
            ("https:\\\\user:pass@a.io\\v1", "https:\\\\***@a.io\\v1"),
            ("https:/user:pass@a.io", "https:/***@a.io"),
            ("//user:pass@a.io", "//***@a.io"),
            ("https://user:pa/ss@a.io", "https://***@a.io"),
            ("https://a.io/a@b", "https://a.io/a@b"),
            ("https://a.io:443/a@b?c:d", "https://a.io:443/a@b?c:d"),
            ("help@acme.io", "help@acme.io"),
            ("from https://a.io to (https://u:p@b.io/x) by  u@v", "from https://a.io to (https://***@b.io/x) by  u@v"),
            ("urn:acme:a@b", "urn:acme:a@b"),
            ("Orders", "Orders"),
            ("", ""),
        ] {
            assert_eq!(masked(given), wanted);
            assert_eq!(masked(wanted), wanted);
        }
    }
}
