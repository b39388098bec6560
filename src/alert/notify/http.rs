//! One POST of JSON, and what an answer means.

use std::fmt;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode, Url};

use super::Failure;

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

/// What of a secret URL an answer may repeat: each part that is long enough to be one, the longest first.
pub fn secret_parts(url: &str) -> Vec<&str> {
    const PART_MIN: usize = 6;
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let mut parts = vec![url];
    parts.extend(path.split(['/', '?', '&', '=']).filter(|part| part.len() >= PART_MIN));
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts
}

pub async fn post(client: &Client, request: &Request, secrets: &[&str]) -> Result<(), Failure> {
    let mut builder = client.post(&request.url).header("Content-Type", "application/json");
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let answer = match builder.body(request.body.clone()).send().await {
        Ok(answer) => answer,
        // A request that cannot be made stays so.
        Err(error) if error.is_builder() => return Err(Failure::lasting(told(&error.without_url()))),
        Err(error) => return Err(Failure::passing(told(&error.without_url()))),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let asks_to_wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let retry_after = answer.headers().get(RETRY_AFTER).filter(|_| asks_to_wait);
    // The form with a date is left to the ordinary pauses.
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    let problem = format!("answered {}: {}", status.as_u16(), begin_of(answer, secrets).await);
    Err(Failure { problem, is_final: !may_change(status), retry_after })
}

/// Whether the same request may be taken later. A redirect is not: the URL is wrong.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

async fn begin_of(mut answer: reqwest::Response, secrets: &[&str]) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < READ_MAX
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    shown(&String::from_utf8_lossy(&bytes), secrets)
}

/// How a text begins, on one line, without `secrets`.
pub fn shown(text: &str, secrets: &[&str]) -> String {
    let text = secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"));
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
        let shown = shown(answer, &secret_parts(url));
        assert!(!shown.contains("secret-part") && !shown.contains("other-secret") && !shown.contains("B0000000"));
        assert!(shown.starts_with("Cannot POST /(secret)/(secret)"), "{shown}");
    }

    #[test]
    fn only_what_time_can_change_is_tried_again() {
        let changing = |code| StatusCode::from_u16(code).is_ok_and(may_change);
        assert!([408, 425, 429, 500, 502, 503, 504].into_iter().all(changing));
        assert!(![301, 307, 400, 401, 403, 404, 410, 413, 422].into_iter().any(changing));
    }
}
