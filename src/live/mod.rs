//! The one HTTP server: the webhook's route, the live page and its JSON, `/metrics`, `/healthz`, `/readyz`.

mod access;
pub mod metrics;
pub mod model;
pub mod overview;
pub mod page;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use self::access::Access;
use crate::config::Secret;
use crate::source::spool::Spool;

/// Whether the process can do its work, and if not, why. Written by the write loops, each under its own name, read by
/// `/readyz`.
#[derive(Clone, Default)]
pub struct Readiness {
    problems: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    pub fn set(&self, part: &'static str, problem: Option<String>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => drop(problems.insert(part, problem)),
            None => drop(problems.remove(part)),
        }
    }

    fn problem(&self) -> Option<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        (!problems.is_empty()).then(|| problems.values().map(String::as_str).collect::<Vec<_>>().join("; "))
    }
}

#[derive(Clone)]
struct Live {
    readiness: Readiness,
    spool: Option<Spool>,
    metrics: PrometheusHandle,
    access: Option<Arc<Access>>,
}

/// How long a connection may send nothing, and be sent nothing, before it is closed: whoever only opens connections must
/// not use them all up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Connections at once; the next waits in the kernel's queue. Far more than Auth0 or a balancer opens, and few enough for
/// the usual limit of 1024 open files.
const CONNECTIONS_MAX: usize = 512;

/// A listener with a bounded number of connections, which end when they fall silent.
pub struct Listener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence_max: Duration,
}

impl Listener {
    pub fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), silence_max: SILENCE_MAX }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let place = match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            Err(closed) => unreachable!("nobody closes the semaphore: {closed}"),
        };
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream.as_mut().set_read_timeout_pinned(Some(self.silence_max));
        stream.as_mut().set_write_timeout_pinned(Some(self.silence_max));
        (Connection { stream, silence_max: self.silence_max, _place: place }, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection and its place among those allowed.
pub struct Connection {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    silence_max: Duration,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, buf);
        if matches!(written, Poll::Ready(Ok(1..))) {
            // A page that listens to events says nothing itself. Setting the limit begins it anew.
            let silence_max = self.silence_max;
            self.stream.as_mut().set_read_timeout_pinned(Some(silence_max));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// What operators ask: open to all, also where the page wants a token; but without it `/metrics` keeps tenants' figures to
/// itself, and a wrong one is refused.
pub fn router(readiness: Readiness, spool: Option<Spool>, metrics: PrometheusHandle, token: Option<&Secret>) -> Router {
    let access = token.map(|token| Arc::new(Access::new(token)));
    let router = Router::new()
        .route("/metrics", get(render_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Live { readiness, spool, metrics, access });
    page::with_security_headers(router)
}

async fn render_metrics(State(live): State<Live>, request: Request) -> Response {
    let headers = request.headers();
    if let Some(spool) = &live.spool {
        ::metrics::gauge!("ghostlight_spool_end_position").set(spool.end() as f64);
        ::metrics::gauge!("ghostlight_spool_held_bytes").set(spool.held() as f64);
        ::metrics::gauge!("ghostlight_spool_max_bytes").set(spool.bytes_max() as f64);
    }
    let may_see = match &live.access {
        Some(access) => access.is_granted(headers),
        None => page::foreign_host(&request).is_none(),
    };
    // Who means to see them and may not is told, instead of left to wonder where they are.
    if !may_see && live.access.is_some() && headers.contains_key(header::AUTHORIZATION) {
        return (StatusCode::UNAUTHORIZED, "the token is not the one of live.token\n").into_response();
    }
    let text = metrics::text(&live.metrics, may_see);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn ready(State(live): State<Live>) -> Response {
    let spool_problem = live.spool.as_ref().and_then(|spool| spool.health().err());
    let problem = spool_problem.or_else(|| live.readiness.problem());
    match problem {
        None => "ready\n".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {problem}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use axum::serve::Listener as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn silent_connections_end_and_their_places_are_free_again() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listens");
        let address = listener.local_addr().expect("an address");
        let silence_max = Duration::from_millis(50);
        let mut listener = Listener { listener, places: Arc::new(Semaphore::new(1)), silence_max };
        let _one = TcpStream::connect(address).await.expect("connects");
        let _two = TcpStream::connect(address).await.expect("connects, into the kernel's queue");
        let (mut first, _) = listener.accept().await;
        assert!(tokio::time::timeout(silence_max / 5, listener.accept()).await.is_err(), "one place, and it is taken");
        let ended = first.read(&mut [0; 8]).await.expect_err("nothing ever comes");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(first);
        listener.accept().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_written_to_is_not_silent() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listens");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).await.expect("connects");
        let (mut connection, _) = Listener::new(listener).accept().await;
        let read = |connection: &mut Connection| {
            let mut buffer = [0; 8];
            Pin::new(connection).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut buffer))
        };
        for _ in 0..5 {
            assert!(read(&mut connection).is_pending());
            tokio::time::advance(SILENCE_MAX * 2 / 3).await;
            connection.write_all(b"data: \n\n").await.expect("the client is there");
        }
        assert!(read(&mut connection).is_pending());
        tokio::time::advance(SILENCE_MAX * 2).await;
        assert!(matches!(read(&mut connection), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut));
    }
}
