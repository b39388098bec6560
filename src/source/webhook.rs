//! Auth0's Custom Webhook: one route that answers 200 once the body is safe: synced to the spool, or acknowledged by Kafka.
//!
//! Takes all three content formats (JSON lines, array, object), plain or gzip. What is not JSON at all is refused with 400
//! and stays the sender's; everything else is stored as it came, and judged when it is read.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::gateway::{Gateway, ProduceError};
use super::spool::{AppendError, Spool};
use crate::clock;
use crate::config::{Secret, WebhookSettings};

/// Bodies in memory at once, in KiB; a request over that waits its turn.
const BODIES_KIB_MAX: usize = 64 * 1024;
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where bodies are made safe.
#[derive(Clone)]
pub enum Sink {
    Spool(Spool),
    Kafka(Arc<Gateway>),
}

impl Sink {
    async fn keep(&self, body: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Spool(spool) => spool.append(body, clock::now()).await.map(drop)?,
            Self::Kafka(gateway) => gateway.produce(body).await?,
        }
        Ok(())
    }
}

struct Webhook {
    sink: Sink,
    /// Digest of the `Authorization` value: comparing digests takes the same time whatever the length.
    authorization: Option<[u8; 32]>,
    body_max: usize,
    bodies: Semaphore,
}

/// The webhook's route.
pub fn router(sink: Sink, settings: &WebhookSettings) -> Router {
    let digest = |secret: &Secret| Sha256::digest(secret.expose().as_bytes()).into();
    let webhook = Webhook {
        sink,
        authorization: settings.authorization.as_ref().map(digest),
        body_max: settings.body_max,
        bodies: Semaphore::new(BODIES_KIB_MAX.max(kib(settings.body_max) as usize)),
    };
    Router::new().route(&settings.path, post(receive)).with_state(Arc::new(webhook))
}

/// Why a request was not taken, as its sender sees it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("wrong or missing Authorization header: it must be exactly the value set as webhook.authorization")]
    Unauthorized,
    #[error("a page of {0:?} sent this, and Auth0 is no browser; without webhook.authorization none of them is taken")]
    Browser(String),
    #[error("the body is larger than {0} bytes (webhook.body_max)")]
    TooLarge(usize),
    #[error("Content-Encoding {0:?} is not supported; send the body plain or gzip")]
    Encoding(String),
    #[error("the body is not gzip, as its Content-Encoding says: {0}")]
    Gzip(String),
    #[error("the body is not JSON: {0}. Expected Auth0 log events as JSON lines, a JSON array or {{\"logs\": […]}}")]
    NotJson(String),
    #[error("the body did not arrive: {0}")]
    Incomplete(String),
    #[error("{0}; nothing of the body was kept, send it again")]
    NotStored(#[from] AppendError),
    #[error("{0}; send it again: what was taken already is known by its log_id")]
    NotProduced(#[from] ProduceError),
    #[error("too many bodies at once; send it again")]
    Busy,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Browser(_) => StatusCode::FORBIDDEN,
            Self::TooLarge(_)
            | Self::NotStored(AppendError::TooLarge { .. })
            | Self::NotProduced(ProduceError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Gzip(_) | Self::NotJson(_) => StatusCode::BAD_REQUEST,
            Self::Incomplete(_) => StatusCode::REQUEST_TIMEOUT,
            Self::NotStored(_) | Self::NotProduced(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = serde_json::json!({ "error": self.to_string() }).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let extra: Option<(HeaderName, &str)> = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "5")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
        }
        response
    }
}

async fn receive(State(webhook): State<Arc<Webhook>>, request: Request<Body>) -> Response {
    let response = match webhook.take(request).await {
        Ok(bytes) => {
            metrics::counter!("ghostlight_webhook_bytes_total").increment(bytes as u64);
            ([(header::CONTENT_TYPE, "application/json")], r#"{"stored":true}"#).into_response()
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "webhook request refused");
            refusal.into_response()
        }
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("ghostlight_webhook_requests_total", "status" => status).increment(1);
    response
}

impl Webhook {
    async fn take(&self, request: Request<Body>) -> Result<usize, Refusal> {
        self.authorize(request.headers())?;
        let encoding = content_encoding(request.headers())?;
        let announced = content_length(request.headers()).unwrap_or(self.body_max);
        if announced > self.body_max {
            return Err(Refusal::TooLarge(self.body_max));
        }
        // A compressed body may grow to the limit.
        let held = if encoding == Encoding::Gzip { self.body_max } else { announced };
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.bodies.acquire_many(kib(held)));
        let _turn = turn.await.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        let body = axum::body::to_bytes(request.into_body(), self.body_max);
        let body = tokio::time::timeout(BODY_TIMEOUT, body)
            .await
            .map_err(|_| Refusal::Incomplete(format!("not within {} s", BODY_TIMEOUT.as_secs())))?
            .map_err(|error| self.body_error(&error))?;
        let body = match encoding {
            Encoding::Plain => body.to_vec(),
            Encoding::Gzip => self.gunzip(&body)?,
        };
        check_json(&body)?;
        self.sink.keep(&body).await?;
        Ok(body.len())
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(wanted) = &self.authorization else {
            // Any site may have a browser on this machine post what it likes to loopback.
            let origin =
                headers.get(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()).into_owned());
            return origin.map_or(Ok(()), |origin| Err(Refusal::Browser(origin)));
        };
        let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        let given: [u8; 32] = Sha256::digest(given).into();
        if bool::from(given.ct_eq(wanted)) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }

    fn gunzip(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(body).take(self.body_max as u64 + 1);
        decoder.read_to_end(&mut plain).map_err(|error| Refusal::Gzip(error.to_string()))?;
        if plain.len() > self.body_max { Err(Refusal::TooLarge(self.body_max)) } else { Ok(plain) }
    }

    fn body_error(&self, error: &axum::Error) -> Refusal {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = source {
            if cause.to_string().contains("length limit exceeded") {
                return Refusal::TooLarge(self.body_max);
            }
            source = cause.source();
        }
        Refusal::Incomplete(error.to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Plain) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Plain),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        other => Err(Refusal::Encoding(other.to_owned())),
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn kib(bytes: usize) -> u32 {
    (bytes / 1024 + 1) as u32
}

/// Whether there is JSON in the body at all: the whole, or at least one of its lines. The rest is judged by the reader, so
/// that one broken line does not make Auth0 send the others again and again.
fn check_json(body: &[u8]) -> Result<(), Refusal> {
    let is_value = |text: &[u8]| {
        let text = text.trim_ascii();
        matches!(text.first(), Some(b'{' | b'[')) && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
    };
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if is_value(body) || body.split(|byte| *byte == b'\n').any(is_value) {
        return Ok(());
    }
    Err(Refusal::NotJson(match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Err(_) if body.trim_ascii().is_empty() => "it is empty".to_owned(),
        Err(error) => error.to_string(),
        Ok(_) => "it is a bare value, not an object or array".to_owned(),
    }))
}
