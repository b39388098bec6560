//! The Management API of a tenant: reads, one request after another, at the pace it allows.
//!
//! Its own token is kept for as long as it lives, of course. What passes (429, 5xx, a broken connection) is asked again a
//! few times, after what the answer says; what does not is an error that says what to do. Nothing is ever written.

pub mod logs;

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::alert::notify::text;
use crate::clock;

/// The longest answer that is read.
const ANSWER_MAX: usize = 64 << 20;
/// How much of what a server says is shown.
const SAID_MAX: usize = 200;
/// How long it waits for a token in all.
const TOKEN_WAIT_MAX: Duration = Duration::from_secs(60);
/// No token is kept for longer, whatever is said of it: as long as Auth0 lets them live.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shorter waits need no words.
const SAID_FROM: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the tenant's that may read; never shown.
#[derive(Clone)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
    /// Where they come from, for who has to mend them.
    pub named: &'static str,
}

/// How patiently it asks.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub tries: u32,
    /// Before the second try, twice as long before each further one.
    pub first: Duration,
    /// However long the answer asks to wait.
    pub wait_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 6, first: Duration::from_millis(500), wait_max: Duration::from_secs(60) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the domain {0:?} is none: give the tenant's own, such as acme.eu.auth0.com")]
    Domain(String),
    /// Not shown, since it may hold a password.
    #[error("the domain has a user or a password in it: give the host alone, such as acme.eu.auth0.com")]
    DomainWithUser,
    #[error("{domain} refuses the client: {said}; check {named}, and that the client has a grant for {audience}")]
    Credentials { domain: String, audience: String, said: String, named: &'static str },
    /// No part can be read without a token.
    #[error("{domain} gives no token: {problem}")]
    Token { domain: String, problem: String },
    /// Not for this token. `code` is Auth0's: `insufficient_scope`, or what the plan does not have.
    #[error("{path} is forbidden: {code}")]
    Forbidden { path: String, code: String },
    /// The same where it is known what would help.
    #[error("{path} is forbidden: {code}; give the client of {named} the scope {scope} for {audience}")]
    Scope { path: String, code: String, named: &'static str, scope: &'static str, audience: String },
    #[error("{path} is not there")]
    NotFound { path: String },
    #[error("{path} answered 400: {said}")]
    Invalid { path: String, said: String },
    #[error("{path}: {problem}")]
    Other { path: String, problem: String },
}

struct Token {
    value: String,
    renew_at: Instant,
}

pub struct Api {
    client: Client,
    base: Url,
    credentials: Credentials,
    retry: Retry,
    token: Option<Token>,
    /// How often it asks again in all, whatever it asks for.
    again_left: u32,
    /// Every token there was, so that none is ever shown.
    tokens: Vec<String>,
}

/// A wait for a limit that never ends counts for so many: each may take a minute.
const LIMIT_WEIGHT: u32 = 3;

/// What a try ended with.
enum Tried {
    Answer(Vec<u8>),
    /// To be asked again: why, and after how long if the answer said.
    Passing(String, Option<Duration>),
    /// The same where there were too many requests.
    Limited(Option<Duration>),
    TooLong,
    Refused(StatusCode, Value),
}

impl Api {
    /// Of a domain, always by https; a URL with http is taken for this computer only.
    pub fn new(domain: &str, credentials: Credentials, retry: Retry) -> Result<Self, ApiError> {
        let base = base(domain)?;
        let client = Client::builder()
            .user_agent(concat!("ghostlight/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| ApiError::Other { path: domain.to_owned(), problem: error.to_string() })?;
        Ok(Self { client, base, credentials, retry, token: None, again_left: u32::MAX, tokens: Vec::new() })
    }

    /// Asks again so many times in all from here on; what is asked for after that is asked for once. Waits for a limit of
    /// requests count only where they were of no use.
    pub fn limit_again(&mut self, times: u32) {
        self.again_left = times;
    }

    /// Whether it still asks again.
    pub fn asks_again(&self) -> bool {
        self.again_left > 0
    }

    /// Host, and port if it is not the usual one.
    pub fn domain(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The audience of its tokens.
    fn audience(&self) -> String {
        format!("{}api/v2/", self.base)
    }

    /// What is at a path below `/api/v2/`.
    pub async fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Value, ApiError> {
        let answer = self.get_json(path, query).await?;
        serde_json::from_slice(&answer).map_err(|error| ApiError::Other {
            path: format!("GET /api/v2/{path}"),
            problem: format!("answered JSON that cannot be read: {error}"),
        })
    }

    /// The same as it came: valid JSON.
    async fn get_json(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, ApiError> {
        let mut url = self.base.clone();
        url.set_path(&format!("/api/v2/{path}"));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let shown = format!("GET /api/v2/{path}");
        let mut is_renewed = false;
        loop {
            let token = self.token().await?;
            let client = self.client.clone();
            let request = || client.get(url.clone()).bearer_auth(&token);
            let (status, answer) = match self.send(&shown, None, request).await? {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            // A token can be revoked before it has run out: once it is worth another.
            if status == StatusCode::UNAUTHORIZED && !is_renewed {
                self.token = None;
                is_renewed = true;
                continue;
            }
            let text = |key: &str| self.said(answer.get(key).and_then(Value::as_str).unwrap_or("no reason given"));
            return Err(match status {
                StatusCode::UNAUTHORIZED => self.refused(text("message")),
                StatusCode::FORBIDDEN => ApiError::Forbidden { path: shown, code: text("errorCode") },
                StatusCode::NOT_FOUND => ApiError::NotFound { path: shown },
                StatusCode::BAD_REQUEST => ApiError::Invalid { path: shown, said: text("message") },
                status => ApiError::Other { path: shown, problem: format!("answered {}", status.as_u16()) },
            });
        }
    }

    fn refused(&self, said: String) -> ApiError {
        let domain = self.base.host_str().unwrap_or_default().to_owned();
        ApiError::Credentials { domain, audience: self.audience(), said, named: self.credentials.named }
    }

    /// What a server said, as it may be shown: one line, and without our own secret and tokens, which it was sent.
    fn said(&self, text: &str) -> String {
        let mut shown = text::line(text, usize::MAX);
        for secret in self.tokens.iter().chain([&self.credentials.client_secret]).filter(|secret| !secret.is_empty()) {
            shown = shown.replace(secret.as_str(), "(secret)");
        }
        text::line(&shown, SAID_MAX)
    }

    /// The token, asked for anew only once it has run out.
    async fn token(&mut self) -> Result<String, ApiError> {
        if let Some(token) = self.token.as_ref().filter(|token| clock::monotonic() < token.renew_at) {
            return Ok(token.value.clone());
        }
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            expires_in: u64,
        }
        let mut url = self.base.clone();
        url.set_path("/oauth/token");
        let body = json!({
            "grant_type": "client_credentials", "audience": self.audience(),
            "client_id": self.credentials.client_id, "client_secret": self.credentials.client_secret,
        });
        let client = self.client.clone();
        let request = || client.post(url.clone()).header("Content-Type", "application/json").body(body.to_string());
        let domain = self.base.host_str().unwrap_or_default().to_owned();
        let none = |problem: String| ApiError::Token { domain: domain.clone(), problem };
        let answer = match self.send("POST /oauth/token", Some(TOKEN_WAIT_MAX), request).await {
            Err(ApiError::Other { path, problem }) => return Err(none(format!("{path} {problem}"))),
            Err(error) => return Err(error),
            Ok(Ok(answer)) => answer,
            Ok(Err((status, answer))) => {
                let said = ["error_description", "error"].iter().find_map(|key| answer.get(*key)?.as_str());
                return Err(match said {
                    Some(said) => self.refused(self.said(said)),
                    None if matches!(
                        status,
                        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                    ) =>
                    {
                        self.refused("no reason given".to_owned())
                    }
                    None => none(format!("POST /oauth/token answered {}", status.as_u16())),
                });
            }
        };
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|_| none("the answer of POST /oauth/token has no access_token and expires_in".to_owned()))?;
        // A token is of visible ASCII (RFC 6750).
        if answer.access_token.is_empty() || !answer.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(none(
                "the access_token of POST /oauth/token is empty, or has characters that no HTTP header may have"
                    .to_owned(),
            ));
        }
        // A tenth of its life early, so that none runs out on its way.
        let lifetime = Duration::from_secs(answer.expires_in).min(LIFETIME_MAX);
        let renew_at = clock::monotonic() + lifetime / 10 * 9;
        self.tokens.push(answer.access_token.clone());
        self.token = Some(Token { value: answer.access_token.clone(), renew_at });
        Ok(answer.access_token)
    }

    /// The answer, or what was refused for good; in all it waits no longer than `wait_max`.
    async fn send(
        &mut self,
        path: &str,
        wait_max: Option<Duration>,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Result<Vec<u8>, (StatusCode, Value)>, ApiError> {
        let mut pause = self.retry.first;
        let mut left = self.retry.tries.max(1);
        let mut waited = Duration::ZERO;
        let fails = |problem: String| Err(ApiError::Other { path: path.to_owned(), problem });
        // What is waited for a limit counts where it was of no use.
        let mut limits = 0;
        loop {
            let (problem, asked, is_limit) = match once(request()).await {
                Tried::Answer(answer) => return Ok(Ok(answer)),
                Tried::Refused(status, answer) => return Ok(Err((status, answer))),
                Tried::TooLong => return fails(format!("answered more than {} MiB", ANSWER_MAX >> 20)),
                Tried::Limited(asked) => ("answered 429".to_owned(), asked, true),
                Tried::Passing(problem, asked) => (problem, asked, false),
            };
            left -= 1;
            if left == 0 {
                self.again_left = self.again_left.saturating_sub(limits * LIMIT_WEIGHT);
                return fails(format!("{problem}, {} times", self.retry.tries.max(1)));
            }
            if self.again_left == 0 {
                return fails(format!("{problem}, and is not asked again after so many others"));
            }
            match is_limit {
                true => limits += 1,
                false => self.again_left -= 1,
            }
            let mut wait = asked.unwrap_or(pause);
            if wait_max.is_some_and(|max| waited + wait > max) {
                return fails(format!("{problem}, and is to be asked again in {} s only", wait.as_secs()));
            }
            wait = wait.min(self.retry.wait_max);
            if wait >= SAID_FROM {
                tracing::warn!("{path} {problem}; it is asked again in {} s", wait.as_secs());
            }
            tokio::time::sleep(wait).await;
            waited += wait;
            pause *= 2;
        }
    }
}

/// The URL of a domain, without a path.
pub fn base(domain: &str) -> Result<Url, ApiError> {
    if domain.contains('@') {
        return Err(ApiError::DomainWithUser);
    }
    let wrong = || ApiError::Domain(domain.split(['?', '#']).next().unwrap_or_default().to_owned());
    let text = if domain.contains("://") { domain.to_owned() } else { format!("https://{domain}") };
    let base = Url::parse(&text).map_err(|_| wrong())?;
    let is_bare = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
    let is_here = base.host_str().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
    if !is_bare
        || base.host_str().is_none_or(str::is_empty)
        || !(base.scheme() == "https" || base.scheme() == "http" && is_here)
    {
        return Err(wrong());
    }
    Ok(base)
}

async fn once(request: reqwest::RequestBuilder) -> Tried {
    // Its own text has the URL, which has no secret, and never the headers.
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Tried::Passing(error.without_url().to_string(), None),
    };
    let status = answer.status();
    let asked = asked_to_wait(answer.headers());
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= ANSWER_MAX => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return Tried::TooLong,
            Ok(None) => break,
            Err(error) => return Tried::Passing(error.without_url().to_string(), None),
        }
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Tried::Limited(asked);
    }
    if status.is_server_error() {
        return Tried::Passing(format!("answered {}", status.as_u16()), asked);
    }
    if !status.is_success() {
        return Tried::Refused(status, serde_json::from_slice(&bytes).unwrap_or(Value::Null));
    }
    match serde_json::from_slice::<IgnoredAny>(&bytes) {
        Ok(_) => Tried::Answer(bytes),
        Err(_) => Tried::Passing("answered something that is not JSON".to_owned(), None),
    }
}

/// Until `x-ratelimit-reset`, which is a Unix time in seconds, or for `Retry-After` in seconds.
fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let now = u64::try_from(clock::now().ms() / 1000).unwrap_or_default();
    match seconds(RETRY_AFTER.as_str()) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        // One more, since it is cut to seconds.
        None => seconds("x-ratelimit-reset").map(|reset| Duration::from_secs(reset.saturating_sub(now) + 1)),
    }
}
