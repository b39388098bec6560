//! The live page at `/`, its JSON under `/api/v1/` and its server-sent events.
//!
//! Serves the newest [`Model`] that somebody else makes, and computes nothing. The page is part of the binary and asks no
//! other host for anything. With a token set, everything here but the login wants it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Form, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use super::access::Access;
use super::model::{AlertView, Ghost, GhostsChecked, Ingest, Model, TenantOverview};
use crate::config::Secret;
use crate::event::EventTime;
use crate::store::ledger::text_time;

/// Pages that listen at once. Each holds a connection for as long as it is open, and the webhook needs some, too; a page
/// without a place asks again from time to time.
const STREAMS_MAX: usize = 128;

/// How often a stream without news says that it is there. The page takes twice as much silence as a lost connection.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

const LOGIN_BYTES_MAX: usize = 8 * 1024;

#[derive(Clone)]
struct Page {
    overview: watch::Receiver<Arc<Model>>,
    stopping: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
}

impl Page {
    fn model(&self) -> Arc<Model> {
        Arc::clone(&self.overview.borrow())
    }
}

/// The routes of the page. Streams end once `stopping` holds `true`, or whoever would say so is gone.
pub fn router(overview: watch::Receiver<Arc<Model>>, token: Option<Secret>, stopping: watch::Receiver<bool>) -> Router {
    let access: Option<Arc<Access>> = token.map(|token| Arc::new(Access::new(&token)));
    let page = Page { overview, stopping, streams: Arc::new(Semaphore::new(STREAMS_MAX)) };
    let guarded = Router::new()
        .route("/", get(|| async { Html(include_str!("page/index.html")) }))
        .route("/assets/page.js", asset("text/javascript", include_str!("page/page.js")))
        .route("/assets/page.css", asset("text/css", include_str!("page/page.css")))
        .route("/assets/uplot.js", asset("text/javascript", include_str!("page/uplot.js")))
        .route("/assets/uplot.css", asset("text/css", include_str!("page/uplot.css")))
        .route("/assets/uplot-license.txt", asset("text/plain", include_str!("page/uplot-license.txt")))
        .route("/api/v1/overview", get(overview_of_tenant))
        .route("/api/v1/tenants", get(tenants))
        .route("/api/v1/ghosts", get(ghosts))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/ingest", get(ingest))
        .route("/api/v1/events", get(events))
        .route("/api/v1/openapi.json", asset("application/json", include_str!("../../schemas/api.openapi.json")))
        .route("/api/{*path}", get(|| async { Refusal::NoSuchPath.into_response() }))
        .route_layer(middleware::from_fn_with_state(access.clone(), guard));
    // What the login form is made of.
    let open = Router::new()
        .route("/login", get(login_form).post(login))
        .route("/assets/login.css", asset("text/css", include_str!("page/login.css")))
        .route("/assets/icon.svg", asset("image/svg+xml", include_str!("page/icon.svg")))
        .layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX))
        .layer(Extension(access));
    with_security_headers(guarded.merge(open).with_state(page))
}

/// Tells browsers to run, show and remember nothing but what is meant.
pub fn with_security_headers(router: Router) -> Router {
    const HEADERS: [(HeaderName, &str); 7] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    router.layer(middleware::map_response(|mut response: Response| async {
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }))
}

fn asset(content_type: &'static str, text: &'static str) -> axum::routing::MethodRouter<Page> {
    // What is text is UTF-8; JSON and SVG say so themselves.
    let content_type = match content_type {
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        other => other,
    };
    get(move || async move { ([(header::CONTENT_TYPE, content_type)], text) })
}

/// Why a question was not answered, as whoever asked sees it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("this page wants its token: as `Authorization: Bearer TOKEN`, or log in at /")]
    Unauthorized,
    #[error(
        "without a token this page answers to localhost and to addresses, not to {0:?}, which another site may have made up; set live.token"
    )]
    Host(String),
    #[error("no events of a tenant {0:?} came so far; /api/v1/tenants lists those that are known")]
    UnknownTenant(String),
    #[error("the question is not as expected: {0}")]
    Question(String),
    #[error("there is nothing at this path; /api/v1/openapi.json lists what there is")]
    NoSuchPath,
    #[error("{STREAMS_MAX} pages are listening already; ask /api/v1/overview from time to time")]
    TooManyStreams,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownTenant(_) | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::Question(_) => StatusCode::BAD_REQUEST,
            Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = json(&serde_json::json!({ "error": self.to_string() }));
        *response.status_mut() = status;
        let extra = match self {
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Self::TooManyStreams => Some((header::RETRY_AFTER, "15")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => unreachable!("answers have no maps with other than text keys: {error}"),
    }
}

async fn guard(State(access): State<Option<Arc<Access>>>, request: Request, next: Next) -> Response {
    match access {
        Some(access) if !access.is_granted(request.headers()) => match request.uri().path() {
            "/" => (StatusCode::UNAUTHORIZED, login_page("")).into_response(),
            _ => Refusal::Unauthorized.into_response(),
        },
        Some(_) => next.run(request).await,
        None => match foreign_host(&request) {
            Some(host) => Refusal::Host(host).into_response(),
            None => next.run(request).await,
        },
    }
}

/// The name the request was sent to, if it is one that its owner may let mean this machine: a page of that name could read
/// what nothing but loopback keeps from it (DNS rebinding). Addresses are nobody's to give another meaning.
pub(super) fn foreign_host(request: &Request) -> Option<String> {
    let of_header = || request.headers().get(header::HOST)?.to_str().ok()?.parse().ok();
    let authority: Authority = request.uri().authority().cloned().or_else(of_header)?;
    let host = authority.host();
    let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let is_local = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    (!is_address && !is_local).then(|| host.to_owned())
}

fn login_page(problem: &str) -> Html<String> {
    Html(include_str!("page/login.html").replace("{problem}", problem))
}

async fn login_form(Extension(access): Extension<Option<Arc<Access>>>) -> Response {
    match access {
        Some(_) => login_page("").into_response(),
        None => Redirect::to("/").into_response(),
    }
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

async fn login(
    Extension(access): Extension<Option<Arc<Access>>>,
    headers: HeaderMap,
    form: Result<Form<Login>, FormRejection>,
) -> Response {
    let Some(access) = access else { return Redirect::to("/").into_response() };
    let Form(login) = match form {
        Ok(form) => form,
        Err(rejection) => return Refusal::Question(rejection.body_text()).into_response(),
    };
    // A token copied from a file often brings the end of its line.
    if !access.is_token(login.token.trim()) {
        tracing::warn!("a login to the live page with a wrong token");
        return (
            StatusCode::UNAUTHORIZED,
            login_page("That is not the token. It is what <code>live.token</code> names."),
        )
            .into_response();
    }
    let is_https =
        headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    ([(header::SET_COOKIE, access.set_cookie(is_https))], Redirect::to("/")).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantQuery {
    tenant: Option<String>,
}

type Asked = Result<Query<TenantQuery>, QueryRejection>;

/// The tenant asked for, or the first; `None` only if there is none at all.
fn find(model: &Model, asked: Asked) -> Result<Option<&TenantOverview>, Refusal> {
    let Query(query) = asked.map_err(|rejection| Refusal::Question(rejection.body_text()))?;
    match query.tenant {
        None => Ok(model.tenants.first()),
        Some(name) => match model.tenants.iter().find(|one| one.tenant == name) {
            Some(found) => Ok(Some(found)),
            None => Err(Refusal::UnknownTenant(name)),
        },
    }
}

#[derive(Serialize)]
struct OverviewAnswer<'a> {
    revision: u64,
    #[serde(with = "text_time::option")]
    as_of: Option<EventTime>,
    tenants: Vec<&'a str>,
    overview: Option<&'a TenantOverview>,
    ingest: &'a Ingest,
}

async fn overview_of_tenant(State(page): State<Page>, asked: Asked) -> Result<Response, Refusal> {
    let model = page.model();
    Ok(json(&OverviewAnswer {
        revision: model.revision,
        as_of: model.as_of,
        tenants: model.tenants.iter().map(|one| one.tenant.as_str()).collect(),
        overview: find(&model, asked)?,
        ingest: &model.ingest,
    }))
}

#[derive(Serialize)]
struct TenantsAnswer<'a> {
    revision: u64,
    tenants: Vec<TenantSummary<'a>>,
}

#[derive(Serialize)]
struct TenantSummary<'a> {
    tenant: &'a str,
    #[serde(with = "text_time::option")]
    as_of: Option<EventTime>,
    ghosts: usize,
    alerts_firing: usize,
    held_back: Option<&'a str>,
}

impl<'a> TenantSummary<'a> {
    fn of(one: &'a TenantOverview) -> Self {
        Self {
            tenant: &one.tenant,
            as_of: one.as_of,
            ghosts: one.ghosts.len(),
            alerts_firing: one.alerts.iter().filter(|alert| alert.status == "firing").count(),
            held_back: one.held_back.as_deref(),
        }
    }
}

async fn tenants(State(page): State<Page>) -> Response {
    let model = page.model();
    let tenants = model.tenants.iter().map(TenantSummary::of).collect();
    json(&TenantsAnswer { revision: model.revision, tenants })
}

#[derive(Serialize)]
struct GhostsAnswer<'a> {
    revision: u64,
    tenant: Option<&'a str>,
    held_back: Option<&'a str>,
    checked: GhostsChecked,
    ghosts: &'a [Ghost],
}

async fn ghosts(State(page): State<Page>, asked: Asked) -> Result<Response, Refusal> {
    let model = page.model();
    let found = find(&model, asked)?;
    Ok(json(&GhostsAnswer {
        revision: model.revision,
        tenant: found.map(|one| one.tenant.as_str()),
        held_back: found.and_then(|one| one.held_back.as_deref()),
        checked: found.map(|one| one.ghosts_checked.clone()).unwrap_or_default(),
        ghosts: found.map_or(&[], |one| &one.ghosts),
    }))
}

#[derive(Serialize)]
struct AlertsAnswer<'a> {
    revision: u64,
    tenant: Option<&'a str>,
    held_back: Option<&'a str>,
    alerts: &'a [AlertView],
}

async fn alerts(State(page): State<Page>, asked: Asked) -> Result<Response, Refusal> {
    let model = page.model();
    let found = find(&model, asked)?;
    Ok(json(&AlertsAnswer {
        revision: model.revision,
        tenant: found.map(|one| one.tenant.as_str()),
        held_back: found.and_then(|one| one.held_back.as_deref()),
        alerts: found.map_or(&[], |one| &one.alerts),
    }))
}

#[derive(Serialize)]
struct IngestAnswer<'a> {
    revision: u64,
    ingest: &'a Ingest,
}

async fn ingest(State(page): State<Page>) -> Response {
    let model = page.model();
    json(&IngestAnswer { revision: model.revision, ingest: &model.ingest })
}

/// Returns once it holds `true`, or nobody is left to say so.
async fn until(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Says the revision at once and whenever it changes. The page then asks for what it shows.
async fn events(State(page): State<Page>) -> Response {
    let Page { mut overview, stopping, streams } = page;
    let Ok(place) = streams.try_acquire_owned() else { return Refusal::TooManyStreams.into_response() };
    overview.mark_changed();
    let stream = futures::stream::unfold((overview, stopping, place), |(mut overview, mut stopping, place)| async {
        tokio::select! {
            biased;
            () = until(&mut stopping) => None,
            changed = overview.changed() => {
                changed.ok()?;
                let revision = overview.borrow_and_update().revision;
                let event = Event::default().event("overview").data(revision.to_string());
                Some((Ok::<_, Infallible>(event), (overview, stopping, place)))
            }
        }
    });
    // An event, not a comment: pages do not hear of comments, and a broken connection may say nothing for minutes.
    let alive = KeepAlive::new().interval(ALIVE_EVERY).event(Event::default().event("alive").data(""));
    // Proxies such as nginx would hold events back until there are many.
    ([(HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(stream).keep_alive(alive)).into_response()
}
