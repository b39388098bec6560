//! One POST of JSON, and what an answer means.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use super::Failure;
use crate::clock;

/// How much of an answer an error shows, in characters.
const SHOWN_MAX: usize = 200;
/// How much of an answer is read, in bytes.
const READ_MAX: usize = 16 << 10;

/// A POST of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub url: String,
    /// Beside `Content-Type: application/json`.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Neither the URL nor the body is fit to be seen by everybody.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "POST of {} bytes to {}", self.body.len(), host(&self.url))
    }
}

pub fn client() -> reqwest::Result<Client> {
    Client::builder()
        .user_agent(concat!("ghostlight/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Pages are rare: a connection kept from the last one has often been closed by then.
        .pool_max_idle_per_host(0)
        .build()
}

/// The host and port of a URL: what may be shown of it.
pub fn host(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "(no URL)".to_owned() };
    let host = url.host_str().unwrap_or("(no host)");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What an error must not show: secrets, and what of them an answer may repeat.
#[derive(Default)]
pub struct Secrets {
    /// Longest first.
    whole: Vec<String>,
    /// Every run of [`RUN`] characters of them.
    runs: HashSet<Vec<char>>,
}

/// So many characters in a row are no coincidence, and fewer tell nothing.
const RUN: usize = 8;

impl Secrets {
    /// Path, query and user of a URL, whole, in parts and decoded.
    pub fn with_url(self, url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        self.with_parts(path, &['/', '?', '&', '=', '#', ';', ':']).with_parts(user, &[':'])
    }

    /// As of a header: the words of it too.
    pub fn with(self, secret: &str) -> Self {
        self.with_parts(secret, &[' ', ':']).with_whole(secret)
    }

    fn with_parts(mut self, text: &str, separators: &[char]) -> Self {
        const PART_MIN: usize = 6;
        const WHOLE_MIN: usize = 3;
        let parts = text.split(separators).filter(|part| part.len() >= PART_MIN);
        for part in parts.chain(Some(text).filter(|text| text.len() >= WHOLE_MIN)) {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            self = self.with_whole(&decoded).with_whole(part);
        }
        self
    }

    fn with_whole(mut self, secret: &str) -> Self {
        if !secret.is_empty() && !self.whole.iter().any(|known| known == secret) {
            self.runs.extend(runs(secret));
            self.whole.push(secret.to_owned());
            self.whole.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
        self
    }

    /// `text` without them; also without words that have a piece of one, in whatever case. Other encodings are not known.
    fn hidden_in(&self, text: &str) -> String {
        const HIDDEN: &str = "(secret)";
        // Short ones last: they could cut a longer one in pieces.
        let (long, short) = self.whole.split_at(self.whole.partition_point(|secret| secret.len() >= RUN));
        let without =
            |text: String, secrets: &[String]| secrets.iter().fold(text, |text, one| text.replace(one, HIDDEN));
        let text = without(text.to_owned(), long);
        let is_of_word = |c: char| c.is_alphanumeric() || "-_.~%+".contains(c);
        let mut out = String::new();
        for piece in text.split_inclusive(|c| !is_of_word(c)) {
            let word = piece.trim_end_matches(|c| !is_of_word(c));
            let is_known = runs(word).any(|run| self.runs.contains(&run));
            out += if is_known { HIDDEN } else { word };
            out += &piece[word.len()..];
        }
        without(out, short)
    }
}

fn runs(text: &str) -> impl Iterator<Item = Vec<char>> {
    let chars: Vec<_> = text.to_lowercase().chars().collect();
    (0..(chars.len() + 1).saturating_sub(RUN)).map(move |at| chars[at..at + RUN].to_vec())
}

pub async fn post(client: &Client, request: &Request, secrets: &Secrets) -> Result<(), Failure> {
    let mut builder = client.post(&request.url).header("Content-Type", "application/json");
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let answer = match builder.body(request.body.clone()).send().await {
        Ok(answer) => answer,
        // A request that cannot be made stays so.
        Err(error) if error.is_builder() => {
            return Err(Failure::lasting(secrets.hidden_in(&told(&error.without_url()))));
        }
        Err(error) => return Err(Failure::passing(secrets.hidden_in(&told(&error.without_url())))),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let asks_to_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let header = |name| answer.headers().get(name)?.to_str().ok();
    // By the server's own clock where it tells.
    let now = header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let now =
        now.unwrap_or_else(|| UNIX_EPOCH + Duration::from_millis(clock::now().ms().try_into().unwrap_or_default()));
    let retry_after = header(RETRY_AFTER).filter(|_| asks_to_wait).and_then(|value| wait(value, now));
    // It could repeat a password that the header has in another encoding.
    let has_password = |(name, value): &(&str, String)| *name == "Authorization" && value.starts_with("Basic ");
    let said = match request.headers.iter().any(has_password) {
        true => "(not shown)".to_owned(),
        false => begin_of(answer, secrets).await,
    };
    let problem = format!("answered {}: {said}", status.as_u16());
    Err(Failure { problem, is_final: !may_change(status), retry_after })
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3).
fn wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default()),
    }
}

/// Whether the same request may be taken later. A redirect is not: the URL is wrong.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

async fn begin_of(mut answer: reqwest::Response, secrets: &Secrets) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < READ_MAX
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    shown(&String::from_utf8_lossy(&bytes), secrets)
}

/// How a text begins, on one line, without `secrets`.
pub fn shown(text: &str, secrets: &Secrets) -> String {
    // First what is not seen goes: it could keep a secret from being found.
    let text = secrets.hidden_in(&super::text::clean(text));
    if text.trim().is_empty() { "nothing".to_owned() } else { super::text::line(&text, SHOWN_MAX) }
}

/// An error and its causes; reqwest's own text has only the outermost.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_url_only_the_host_is_shown() {
        let url = "https://hooks.slack.com/services/T0000000/B0000000/secret-part?sig=other-secret";
        assert_eq!(host(url), "hooks.slack.com");
        let request = Request { url: url.to_owned(), headers: Vec::new(), body: "{}".to_owned() };
        assert_eq!(format!("{request:?}"), "POST of 2 bytes to hooks.slack.com");
        let answer = "Cannot POST /services/T0000000/B0000000/secret-part?sig=other-secret";
        let secrets = Secrets::default().with_url(url);
        assert_eq!(shown(answer, &secrets), "Cannot POST (secret)");
        let shown = shown("Cannot POST /services/T0000000/B0000000/secret-part", &secrets);
        assert!(!shown.contains("secret-part") && !shown.contains("other-secret") && !shown.contains("B0000000"));
        assert!(shown.starts_with("Cannot POST /(secret)/(secret)"), "{shown}");
    }

    #[test]
    fn a_secret_is_hidden_also_in_part_decoded_or_in_another_case() {
        let url = "https://user:pass-word@x.test/workflows/a%2Fb-hidden%20one?sig=Sig%3Dnature&v=1";
        let secrets = Secrets::default().with_url(url).with("Bearer tok-0123456789").with("k");
        for answer in [
            "at /workflows/a%2Fb-hidden%20one?sig=Sig%3Dnature&v=1.",
            "sig: Sig=nature",
            "part: a/b-hidden one",
            "SIG%3DNATURE",
            "begins with tok-012345",
            "is <b>TOK-0123456789</b>, not good",
            "to\u{200b}k-01\u{202e}23456789",
            "Bearer%20tok-0123456789",
            "pass-word",
        ] {
            let shown = shown(answer, &secrets).to_lowercase();
            assert!(shown.contains("(secret)"), "{answer}: {shown}");
            for part in ["hidden", "nature", "012345", "pass-word"] {
                assert!(!shown.contains(part), "{answer}: {shown}");
            }
        }
        assert_eq!(shown("invalid_payload: no text, error 1", &secrets), "invalid_payload: no text, error 1");
        assert_eq!(shown("x.test is busy", &Secrets::default().with_url(url)), "x.test is busy");
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_793_491_200); // 2026-11-01T00:00:00Z
        let seconds = |value| wait(value, now).map(|wait| wait.as_secs());
        assert_eq!((seconds("30"), seconds(" 0 ")), (Some(30), Some(0)));
        assert_eq!(seconds("Sun, 01 Nov 2026 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Sunday, 01-Nov-26 00:01:30 GMT"), Some(90));
        assert_eq!(seconds("Sun Nov  1 00:01:30 2026"), Some(90));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0), "it is past");
        assert_eq!((seconds("soon"), seconds("-1"), seconds("")), (None, None, None));
    }

    #[test]
    fn only_what_time_can_change_is_tried_again() {
        let changing = |code| StatusCode::from_u16(code).is_ok_and(may_change);
        assert!([408, 425, 429, 500, 502, 503, 504].into_iter().all(changing));
        assert!(![301, 307, 400, 401, 403, 404, 410, 413, 422].into_iter().any(changing));
    }
}
