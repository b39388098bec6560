//! Alerts out to channels: real HTTP and mail servers on this machine take them, refuse them, or never answer.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ghostlight::alert::episode::{EpisodeSettings, Timing};
use ghostlight::alert::journal::Journal;
use ghostlight::alert::notify::alertmanager::Alertmanager;
use ghostlight::alert::notify::email::{Email, Tls};
use ghostlight::alert::notify::pagerduty::PagerDuty;
use ghostlight::alert::notify::slack::Slack;
use ghostlight::alert::notify::teams::Teams;
use ghostlight::alert::notify::webhook::Webhook;
use ghostlight::alert::notify::{Channel, Message, Notifier, NotifyError, Retry, Target};
use ghostlight::alert::outbox::{self, Outbox};
use ghostlight::alert::{Alert, Condition, Level, Severity, Status};
use ghostlight::config::Secret;
use ghostlight::event::{EventTime, WindowLength};
use serde_json::Value;

use crate::schemas::{problems, schema};
use crate::support::smtp::{self, Security, SmtpServer};
use crate::support::{self, Dice, open, runtime};

/// Pauses short enough for a test; time-outs long enough that only what never answers meets them.
const QUICK: Retry = Retry {
    tries: 3,
    pause: Duration::from_millis(1),
    try_max: Duration::from_secs(60),
    total_max: Duration::from_secs(600),
};

fn alert() -> Alert {
    Alert {
        id: "ghost-usage:ef3418fd020f766b".to_owned(),
        sequence: 4,
        status: Status::Firing,
        rule: "ghost-usage".to_owned(),
        severity: Severity::Warning,
        tenant: "acme".to_owned(),
        subject: "client billing-worker, audience https://api.acme.internal/".to_owned(),
        title: "billing-worker asks for 12 tokens where 1 would do".to_owned(),
        summary: "In 1 h it got 144 tokens; 12 would have lasted.".to_owned(),
        evidence: vec![("tokens".to_owned(), "144".to_owned()), ("needed".to_owned(), "12".to_owned())],
        fix: Some("Cache the token until it expires.".to_owned()),
        since: EventTime::from_ms(1_793_491_200_000),
        at: EventTime::from_ms(1_793_494_800_000),
    }
}

/// What a server does with a request; the last one is repeated.
#[derive(Clone)]
enum Answer {
    Plain(u16, &'static str),
    /// With `Retry-After`.
    Later(u16, &'static str),
    MovedTo(&'static str),
    /// Refused, with all that somebody who debugs would have a server say: path, query, header and body.
    Echo,
    Never,
}

#[derive(Clone)]
struct Taken {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Taken {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

#[derive(Clone)]
struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Server {
    async fn start(answers: &[Answer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            answers: Arc::new(Mutex::new(answers.iter().cloned().collect())),
            taken: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("not poisoned").clone()
    }
}

async fn answer(State(server): State<Server>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = serde_json::from_str::<Value>(&body).unwrap_or_default()["routing_key"].clone();
    let echo = format!("{uri} {authorization} {}", key.as_str().unwrap_or_default());
    server.taken.lock().expect("not poisoned").push(Taken { path: uri.to_string(), headers, body });
    let next = {
        let mut answers = server.answers.lock().expect("not poisoned");
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    };
    let code = |status| StatusCode::from_u16(status).expect("a status");
    match next.expect("an answer") {
        Answer::Plain(status, text) => (code(status), text).into_response(),
        Answer::Later(status, after) => (code(status), [("Retry-After", after)], "later").into_response(),
        Answer::MovedTo(to) => (code(307), [("Location", to)]).into_response(),
        Answer::Echo => (code(400), format!("not taken: {echo} {}", echo.to_uppercase())).into_response(),
        Answer::Never => std::future::pending().await,
    }
}

fn secret(value: &str) -> Secret {
    Secret::new(value.to_owned())
}

async fn send(channel: Channel, retry: Retry) -> Result<(), NotifyError> {
    let target = Target { name: "ops".to_owned(), min_severity: Severity::Info, channel };
    let link = Some("https://live.test/".to_owned());
    Notifier::new(vec![target], link, retry).expect("a client").send("ops", &alert()).await
}

fn webhook(server: &Server) -> Channel {
    Channel::Webhook(Webhook { url: server.url("/hook"), secret: None })
}

#[tokio::test]
async fn each_channel_posts_json_to_its_url_with_its_own_secrets() {
    let server = Server::start(&[Answer::Plain(202, "ok")]).await;
    let channels = [
        Channel::Webhook(Webhook { url: server.url("/hook"), secret: Some(secret("signs")) }),
        Channel::Slack(Slack { url: secret(&server.url("/services/T/B/secret")) }),
        Channel::PagerDuty(PagerDuty { url: server.url("/v2/enqueue"), routing_key: secret("routes") }),
        Channel::Alertmanager(Alertmanager {
            url: server.url("/api/v2/alerts"),
            authorization: Some(secret("Bearer am")),
        }),
        Channel::Teams(Teams { url: secret(&server.url("/workflows/x?sig=secret")) }),
        Channel::Log,
    ];
    for channel in channels {
        send(channel, QUICK).await.expect("taken");
    }
    let taken = server.taken();
    let paths: Vec<_> = taken.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/hook", "/services/T/B/secret", "/v2/enqueue", "/api/v2/alerts", "/workflows/x?sig=secret"],
        "the log is no request"
    );
    assert!(taken.iter().all(|request| request.header("content-type") == "application/json"));
    assert_eq!(taken[0].json()["title"], alert().title.as_str());
    assert_eq!(taken[1].json()["blocks"][0]["type"], "header");
    assert_eq!(taken[2].json()["routing_key"], "routes");
    assert_eq!(taken[3].header("authorization"), "Bearer am");
    assert_eq!(taken[3].json()[0]["labels"]["alert_id"], alert().id.as_str());
    assert_eq!(taken[4].json()["attachments"][0]["content"]["type"], "AdaptiveCard");
}

/// HMAC by its definition (RFC 2104), from SHA-256 alone, for keys of up to a block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let pad = |with: u8| (0..64).map(|n| key.get(n).copied().unwrap_or_default() ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36), message].concat());
    let outer = Sha256::digest([&pad(0x5c), &inner[..]].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_webhook_s_signature_is_over_the_time_and_the_bytes_that_arrive() {
    let server = Server::start(&[Answer::Plain(200, "")]).await;
    send(Channel::Webhook(Webhook { url: server.url("/"), secret: Some(secret("signs")) }), QUICK)
        .await
        .expect("taken");
    let request = &server.taken()[0];
    let signed = format!("{}.{}", request.header("x-ghostlight-timestamp"), request.body);
    assert_eq!(request.header("x-ghostlight-signature"), format!("v1={}", hmac_sha256(b"signs", signed.as_bytes())));
    assert_eq!(request.header("x-ghostlight-alert"), "ghost-usage:ef3418fd020f766b:4");
    let seconds: i64 = request.header("x-ghostlight-timestamp").parse().expect("seconds");
    assert!(seconds > 1_700_000_000, "the wall clock, not the alert's time");
}

#[tokio::test]
async fn a_server_that_recovers_gets_the_page_with_the_same_key() {
    let server = Server::start(&[Answer::Plain(500, "no"), Answer::Plain(503, "no"), Answer::Plain(200, "")]).await;
    send(webhook(&server), QUICK).await.expect("taken at last");
    let taken = server.taken();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|request| request.header("x-ghostlight-alert") == "ghost-usage:ef3418fd020f766b:4"));
    assert!(taken.iter().all(|request| request.body == taken[0].body));
}

#[tokio::test]
async fn a_server_that_stays_broken_is_tried_as_often_as_set_and_may_be_later() {
    let server = Server::start(&[Answer::Plain(502, "bad\ngateway")]).await;
    let error = send(webhook(&server), QUICK).await.expect_err("never taken");
    assert_eq!((error.is_final, error.tries, server.taken().len()), (false, 3, 3));
    let host = format!("127.0.0.1:{}", server.address.port());
    let told = format!("channel ops (webhook at {host}): answered 502: bad gateway (tries: 3)");
    assert_eq!(error.to_string(), told);
}

#[tokio::test]
async fn a_refusal_is_final_and_tried_once() {
    for status in [400, 401, 404, 410] {
        let server = Server::start(&[Answer::Plain(status, "invalid_payload")]).await;
        let error = send(webhook(&server), QUICK).await.expect_err("refused");
        assert_eq!((error.is_final, error.tries, server.taken().len()), (true, 1, 1), "{status}");
        assert!(error.to_string().contains(&format!("answered {status}: invalid_payload")), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(&[Answer::Plain(200, "")]).await;
    let server = Server::start(&[Answer::MovedTo(elsewhere.url("/stolen").leak())]).await;
    let error = send(webhook(&server), QUICK).await.expect_err("not taken");
    assert!(error.is_final && error.problem.starts_with("answered 307"), "{error}");
    assert!(elsewhere.taken().is_empty());
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it_or_the_attempt_ends() {
    let server = Server::start(&[Answer::Later(429, "0"), Answer::Plain(200, "")]).await;
    send(webhook(&server), QUICK).await.expect("taken the second time");
    assert_eq!(server.taken().len(), 2);
    // Longer than the attempt may take: the outbox comes again.
    for status in [429, 503] {
        let server = Server::start(&[Answer::Later(status, "3600"), Answer::Plain(200, "")]).await;
        let error = send(webhook(&server), QUICK).await.expect_err("not now");
        assert_eq!((error.is_final, error.tries, server.taken().len()), (false, 1, 1), "{status}");
    }
    // Until a date, which is a wait as well.
    for (date, tries) in [("Sun, 06 Nov 1994 08:49:37 GMT", 2), ("Fri, 31 Dec 2100 23:59:59 GMT", 1)] {
        let server = Server::start(&[Answer::Later(503, date), Answer::Plain(200, "")]).await;
        assert_eq!(send(webhook(&server), QUICK).await.is_ok(), tries == 2, "{date}");
        assert_eq!(server.taken().len(), tries, "{date}");
    }
    // It means nothing in other answers.
    let server = Server::start(&[Answer::Later(500, "3600"), Answer::Plain(200, "")]).await;
    send(webhook(&server), QUICK).await.expect("taken the second time");
}

#[tokio::test]
async fn nobody_listening_may_be_later() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/services/T0/B0/secret-part", listener.local_addr().expect("an address"));
    drop(listener);
    let error = send(Channel::Slack(Slack { url: secret(&url) }), QUICK).await.expect_err("nobody there");
    assert_eq!((error.is_final, error.tries), (false, 3));
    assert!(!format!("{error} {error:?}").contains("secret-part"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_its_time_and_tried_again() {
    let server = Server::start(&[Answer::Never]).await;
    let retry = Retry { try_max: Duration::from_millis(200), ..QUICK };
    let error = send(webhook(&server), retry).await.expect_err("no answer");
    assert_eq!((error.is_final, error.tries), (false, 3));
    assert!(error.problem.contains("no answer within"), "{error}");
}

#[tokio::test]
async fn no_secret_is_in_an_error_even_if_the_answer_repeats_it() {
    let echo = "Cannot POST /services/T00000000/B00000000/very-secret with routes-secretly";
    let server = Server::start(&[Answer::Plain(404, echo)]).await;
    let url = server.url("/services/T00000000/B00000000/very-secret");
    let error = send(Channel::Slack(Slack { url: secret(&url) }), QUICK).await.expect_err("refused");
    let told = format!("{error} {error:?}");
    assert!(!told.contains("very-secret") && !told.contains("B00000000") && told.contains("Cannot POST"), "{told}");
    let channel = PagerDuty { url: server.url("/"), routing_key: secret("routes-secretly") };
    let error = send(Channel::PagerDuty(channel), QUICK).await.expect_err("refused");
    assert!(!error.to_string().contains("routes-secretly"), "{error}");
}

#[tokio::test]
async fn what_a_server_echoes_of_urls_and_tokens_is_in_no_error_no_log_and_no_journal() {
    let server = Server::start(&[Answer::Echo]).await;
    let (path, token) = ("/hidden-path-1/T0/hidden%2Fpath-2?sig=hidden-query", "hidden-token-0123456789");
    let channels = [
        Channel::Webhook(Webhook { url: server.url(path), secret: Some(secret(token)) }),
        Channel::Slack(Slack { url: secret(&server.url(path)) }),
        Channel::PagerDuty(PagerDuty { url: server.url(path), routing_key: secret(token) }),
        Channel::Alertmanager(Alertmanager {
            url: server.url(path),
            authorization: Some(secret(&format!("Bearer {token}"))),
        }),
        Channel::Alertmanager(Alertmanager {
            url: server.url(path),
            authorization: Some(secret("Basic aGlkZGVuOmhpZGRlbg==")),
        }),
        Channel::Teams(Teams { url: secret(&server.url(path)) }),
    ];
    let written = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("ghostlight=trace")
        .with_writer(Written(Arc::clone(&written)).into_writer())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let mut all = String::new();
    for (number, channel) in channels.into_iter().enumerate() {
        let name = format!("channel-{number}");
        let target = Target { name: name.clone(), min_severity: Severity::Info, channel };
        let notifier = Notifier::new(vec![target], None, QUICK).expect("a client");
        let error = notifier.send(&name, &alert()).await.expect_err("refused");
        assert!(error.problem.starts_with("answered 400: "), "{error}");
        assert!(number == 4 || error.problem.contains("not taken: (secret)"), "{error}");
        assert!(!error.problem.contains('…'), "nothing is only cut off: {error}");
        all += &format!("{error} {error:?}\n");
        let (_journal, mut outbox) = page_written(&store, &notifier, &name).await;
        let send = |name: String, alert: Alert| {
            let notifier = &notifier;
            async move { notifier.send(&name, &alert).await }
        };
        assert_eq!(outbox.deliver(|| alert().at, send).await.expect("a round").failed, 1);
    }
    drop(guard);
    let log = String::from_utf8(written.lock().expect("not poisoned").clone()).expect("UTF-8");
    assert!(log.contains("could not be sent"), "{log}");
    all += &log;
    for object in store.list("").await.expect("lists") {
        all += &format!("{} ", object.location);
        all += &String::from_utf8_lossy(&store.read(&object.location).await.expect("reads"));
    }
    assert!(all.contains("_alerts/ghost-usage/"), "{all}");
    assert!(!all.to_lowercase().contains("hidden") && !all.contains("aGlkZGVu"), "{all}");
}

/// A journal in which one alert fires, and the outbox of its writer.
async fn page_written(store: &ghostlight::store::Store, notifier: &Notifier, key: &str) -> (Journal, Outbox) {
    let timing = Timing { for_windows: 1, clear_windows: 1, repeat: None };
    let settings = EpisodeSettings {
        window: WindowLength::new(Duration::from_secs(300)).expect("a length"),
        timings: BTreeMap::from([("ghost-usage", timing)]),
        silences: Vec::new(),
    };
    let mut journal = Journal::open(store, settings).await.expect("a journal");
    let now = alert().at;
    let outbox = Outbox::open(&journal, &notifier.names(), now).await.expect("an outbox");
    let condition = Condition {
        rule: "ghost-usage",
        severity: Severity::Warning,
        // One of its own: what others have decided stays theirs.
        tenant: format!("tenant-{key}"),
        key: key.to_owned(),
        subject: alert().subject,
        level: Level::On,
        for_windows: 0,
        title: alert().title,
        summary: alert().summary,
        evidence: alert().evidence,
        fix: alert().fix,
    };
    journal.observe(&condition.tenant.clone(), now, &[condition], now).await.expect("written down");
    (journal, outbox)
}

fn channels_by_http() -> [Channel; 5] {
    let url = "https://x.test/";
    [
        Channel::Webhook(Webhook { url: url.to_owned(), secret: None }),
        Channel::Slack(Slack { url: secret(url) }),
        Channel::PagerDuty(PagerDuty { url: url.to_owned(), routing_key: secret("key") }),
        Channel::Alertmanager(Alertmanager { url: url.to_owned(), authorization: None }),
        Channel::Teams(Teams { url: secret(url) }),
    ]
}

#[test]
fn no_channel_shows_what_nobody_sees_or_what_turns_text_round() {
    let email = Channel::Email(Email {
        host: "mail.test".to_owned(),
        port: 25,
        tls: Tls::None,
        ca: None,
        from: "a@x.test".parse().expect("an address"),
        to: vec!["b@x.test".parse().expect("an address")],
        login: None,
    });
    let channels = channels_by_http().into_iter().chain([email, Channel::Log]);
    // "billing" with an override that shows what follows backwards, a zero width space, an isolate and a tag.
    let hostile = all_of("bil\u{202e}lin\u{200b}g\u{2066}-\u{e0041}worker\u{2028}x", 3);
    for channel in channels {
        let text = match channel.render(&hostile, None, hostile.at) {
            Message::Http(request) => request.body,
            Message::Email(mail) => format!("{}\n{}\n{}", mail.subject, mail.text, mail.html),
            Message::Log(line) => format!("{line:?}"),
        };
        let unseen = ['\u{202e}', '\u{200b}', '\u{2066}', '\u{e0041}', '\u{2028}'];
        let found = unseen.iter().find(|c| text.contains(**c) || text.contains(&format!("u{:04x}", **c as u32)));
        assert_eq!(found, None, "{}: {text}", channel.kind());
        assert!(text.contains("billing-worker x"), "{}: {text}", channel.kind());
    }
}

#[tokio::test]
async fn an_answer_is_shown_up_to_200_characters() {
    let long = "x".repeat(100_000).leak();
    let server = Server::start(&[Answer::Plain(400, long)]).await;
    let error = send(webhook(&server), QUICK).await.expect_err("refused");
    assert_eq!(error.problem.matches('x').count(), 199);
}

#[tokio::test]
async fn a_channel_is_not_told_what_is_not_bad_enough_for_it() {
    let server = Server::start(&[Answer::Plain(200, "")]).await;
    let target = |name: &str, min_severity| Target { name: name.to_owned(), min_severity, channel: webhook(&server) };
    let targets = vec![target("all", Severity::Info), target("bad", Severity::Critical)];
    let notifier = Notifier::new(targets, None, QUICK).expect("a client");
    assert_eq!(notifier.names(), ["all", "bad"]);
    notifier.send("bad", &alert()).await.expect("left out");
    assert!(server.taken().is_empty());
    notifier.send("all", &alert()).await.expect("taken");
    notifier.send("bad", &Alert { severity: Severity::Critical, ..alert() }).await.expect("taken");
    assert_eq!(server.taken().len(), 2);
    let error = notifier.send("none", &alert()).await.expect_err("no such channel");
    assert!(error.is_final, "{error}");
}

#[tokio::test]
async fn the_log_has_the_alert_with_its_fields() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt().json().with_writer(Written(Arc::clone(&written)).into_writer()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    send(Channel::Log, QUICK).await.expect("written");
    drop(guard);
    let line: Value = serde_json::from_slice(&written.lock().expect("not poisoned")).expect("one line of JSON");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["fields"]["message"], format!("Firing: {}", alert().title));
    assert_eq!(line["fields"]["alert"], alert().id.as_str());
    assert_eq!(line["fields"]["evidence"], "tokens=144; needed=12");
}

#[derive(Clone)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn into_writer(self) -> impl Fn() -> Self + Send + Sync + 'static {
        move || self.clone()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An alert with `text` wherever there is text.
fn all_of(text: &str, evidence: usize) -> Alert {
    let text = || text.to_owned();
    Alert {
        rule: text(),
        tenant: text(),
        subject: text(),
        title: text(),
        summary: text(),
        evidence: vec![(text(), text()); evidence],
        fix: Some(text()),
        severity: Severity::Critical,
        ..alert()
    }
}

#[test]
fn every_payload_is_as_its_schema_says_whatever_the_alert_says() {
    let channels = channels_by_http();
    let (long, markup) = ("long ".repeat(20_000), "<b>&amp; \"x\" 'y' </b> <!channel> [a](b) *c* |".repeat(500));
    let alerts = [
        alert(),
        Alert { status: Status::Resolved, sequence: 5, fix: None, evidence: Vec::new(), ..alert() },
        all_of(&long, 200),
        all_of(&markup, 40),
        all_of(&"👻 語 ".repeat(5_000), 31),
        all_of("\r\n\t\u{0}\u{7f}", 3),
        all_of("", 1),
        Alert { id: long, severity: Severity::Info, ..alert() },
    ];
    let links = [None, Some("https://live.test/?a=1&b=<2>")];
    for channel in &channels {
        let schema = schema(&format!("alert-{}", channel.kind()));
        for alert in &alerts {
            for link in links {
                let Message::Http(request) = channel.render(alert, link, alert.at) else { panic!("posted") };
                let payload: Value = serde_json::from_str(&request.body).expect("JSON");
                let mut found = problems(&schema, &payload);
                found.iter_mut().for_each(|problem| problem.truncate(300));
                assert_eq!(found, Vec::<String>::new(), "{}", channel.kind());
            }
        }
    }
}

#[test]
fn the_schemas_of_payloads_refuse_what_a_service_would_refuse() {
    let slack = Channel::Slack(Slack { url: secret("https://x.test/") });
    let Message::Http(request) = slack.render(&alert(), None, alert().at) else { panic!("posted") };
    let mut payload: Value = serde_json::from_str(&request.body).expect("JSON");
    payload["blocks"][0]["text"]["text"] = "x".repeat(151).into();
    assert_eq!(problems(&schema("alert-slack"), &payload).len(), 1);
    let pagerduty = PagerDuty { url: "https://x.test/".to_owned(), routing_key: secret("key") };
    let Message::Http(request) = Channel::PagerDuty(pagerduty).render(&alert(), None, alert().at) else {
        panic!("posted")
    };
    let mut payload: Value = serde_json::from_str(&request.body).expect("JSON");
    payload["payload"]["severity"] = "bad".into();
    payload["payload"]["timestamp"] = "now".into();
    assert_eq!(problems(&schema("alert-pagerduty"), &payload).len(), 2);
}

fn email(server: &SmtpServer, tls: Tls, login: Option<(&str, &str)>) -> Email {
    let trusted = lettre::transport::smtp::client::Certificate::from_pem(server.ca.as_bytes()).expect("a certificate");
    Email {
        host: "localhost".to_owned(),
        port: server.address.port(),
        tls,
        ca: Some(trusted),
        from: "ghostlight <ghostlight@acme.internal>".parse().expect("an address"),
        to: ["On call <ops@acme.internal>", "second@acme.internal"].map(|to| to.parse().expect("an address")).into(),
        login: login.map(|(user, password)| (user.to_owned(), secret(password))),
    }
}

/// Headers, unfolded, and the parts' bodies, decoded.
fn read_mail(data: &str) -> (Vec<String>, Vec<String>) {
    let (headers, body) = data.split_once("\r\n\r\n").expect("headers and a body");
    let headers = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let boundary = headers.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
    let between = format!("--{boundary}");
    let parts = body.split(&between).skip(1).filter(|part| !part.starts_with("--")).map(|part| {
        let (headers, body) = part.trim_start().split_once("\r\n\r\n").expect("a part");
        let body = body.trim_end_matches("\r\n");
        match headers.lines().find_map(|line| line.strip_prefix("Content-Transfer-Encoding: ")) {
            Some("base64") => String::from_utf8(smtp::base64(body)).expect("UTF-8"),
            Some("quoted-printable") => smtp::quoted_printable(body),
            Some("7bit") => body.to_owned(),
            other => panic!("encoded as {other:?}"),
        }
    });
    (headers.split("\r\n").map(str::to_owned).collect(), parts.collect())
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_whatever_the_connection() {
    let login = Some(("ghost", "pass word é"));
    for (security, tls, login, mechanisms) in [
        (Security::None, Tls::None, None, ""),
        (Security::StartTls, Tls::StartTls, login, "PLAIN LOGIN"),
        (Security::Tls, Tls::Tls, login, "LOGIN"),
    ] {
        let server = SmtpServer::start(security, login, mechanisms, &[]).await;
        send(Channel::Email(email(&server, tls, login)), QUICK).await.expect("taken");
        let taken = server.taken();
        assert_eq!(taken.len(), 1);
        let mail = &taken[0];
        assert_eq!(mail.from, "ghostlight@acme.internal");
        assert_eq!(mail.to, ["ops@acme.internal", "second@acme.internal"]);
        assert_eq!(mail.encrypted, security != Security::None);
        assert_eq!(mail.login, login.map(|(user, password)| (user.to_owned(), password.to_owned())));
        let (headers, parts) = read_mail(&mail.data);
        let has = |header: &str| assert!(headers.iter().any(|line| line == header), "{header}: {headers:?}");
        has("Subject: Firing: billing-worker asks for 12 tokens where 1 would do");
        has("Auto-Submitted: auto-generated");
        assert!(headers.iter().any(|line| line.starts_with("Message-ID: <ghostlight.")), "{headers:?}");
        assert!(headers.iter().any(|line| line.starts_with("References: <ghostlight.")), "{headers:?}");
        assert!(parts[0].contains("What to do: Cache the token until it expires."), "{}", parts[0]);
        assert!(parts[0].contains("tokens: 144"), "{}", parts[0]);
        assert!(parts[1].contains("<th align=\"left\">tokens</th><td>144</td>"), "{}", parts[1]);
    }
}

#[tokio::test]
async fn lines_of_dots_and_other_scripts_arrive_whole() {
    let server = SmtpServer::start(Security::None, None, "", &[]).await;
    let summary = format!(".\r\n..\n.hidden\n{}", "語👻".repeat(1_000));
    let alert = Alert { title: "語: ünï".to_owned(), summary: summary.clone(), ..alert() };
    let channel = Channel::Email(email(&server, Tls::None, None));
    let target = Target { name: "mail".to_owned(), min_severity: Severity::Info, channel };
    Notifier::new(vec![target], None, QUICK).expect("a client").send("mail", &alert).await.expect("taken");
    let (_, parts) = read_mail(&server.taken()[0].data);
    let text = parts[0].replace("\r\n", "\n");
    assert!(text.starts_with("Firing: 語: ünï\n\n. \n..\n.hidden\n語👻"), "{text}");
    assert!(text.contains(&"語👻".repeat(1_000)));
}

#[tokio::test]
async fn a_mail_server_that_is_busy_is_tried_again_and_one_that_refuses_is_not() {
    let server = SmtpServer::start(Security::None, None, "", &["451 later"]).await;
    send(Channel::Email(email(&server, Tls::None, None)), QUICK).await.expect("taken the second time");
    assert_eq!((server.taken().len(), server.connections()), (1, 2));

    let server = SmtpServer::start(Security::None, None, "", &["550 no such mailbox"]).await;
    let error = send(Channel::Email(email(&server, Tls::None, None)), QUICK).await.expect_err("refused");
    assert_eq!((error.is_final, error.tries, server.taken().len(), server.connections()), (true, 1, 0, 1));
    assert!(error.problem.contains("550") && error.problem.contains("no such mailbox"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_final_and_is_not_told() {
    let server = SmtpServer::start(Security::StartTls, Some(("ghost", "right")), "PLAIN", &[]).await;
    let channel = Channel::Email(email(&server, Tls::StartTls, Some(("ghost", "wrong-password"))));
    let error = send(channel, QUICK).await.expect_err("refused");
    assert!(error.is_final && error.problem.contains("535"), "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong-password"), "{error}");
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_or_to_a_stranger_where_tls_is_asked_for() {
    // A server, or somebody before it, that offers no TLS.
    let server = SmtpServer::start(Security::None, None, "", &[]).await;
    let error = send(Channel::Email(email(&server, Tls::StartTls, None)), QUICK).await.expect_err("no TLS");
    assert!(error.is_final && server.taken().is_empty(), "{error}");
    // A certificate that nobody vouches for.
    for (security, tls) in [(Security::StartTls, Tls::StartTls), (Security::Tls, Tls::Tls)] {
        let server = SmtpServer::start(security, None, "", &[]).await;
        let stranger = Email { ca: None, ..email(&server, tls, None) };
        let error = send(Channel::Email(stranger), QUICK).await.expect_err("not trusted");
        assert!(error.problem.contains("ertificate") && server.taken().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn no_mail_server_may_be_later() {
    let server = SmtpServer::start(Security::None, None, "", &[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let nobody = Email { port, ..email(&server, Tls::None, None) };
    drop(listener);
    let error = send(Channel::Email(nobody), QUICK).await.expect_err("nobody there");
    assert_eq!((error.is_final, error.tries), (false, 3));
}

#[tokio::test]
async fn what_the_journal_holds_reaches_each_channel_once_though_another_is_broken() {
    let good = Server::start(&[Answer::Plain(500, "not yet"), Answer::Plain(200, "")]).await;
    let broken = Server::start(&[Answer::Plain(500, "no")]).await;
    let target = |name: &str, server| Target {
        name: name.to_owned(),
        min_severity: Severity::Warning,
        channel: webhook(server),
    };
    let targets = vec![target("good", &good), target("broken", &broken)];
    let notifier = Notifier::new(targets, None, QUICK).expect("a client");

    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let now = alert().at;
    let (_journal, mut outbox) = page_written(&store, &notifier, "key").await;
    let notifier = std::sync::Arc::new(notifier);
    let send = |name: String, alert: Alert| {
        let notifier = std::sync::Arc::clone(&notifier);
        async move { notifier.send(&name, &alert).await }
    };
    let round = outbox.deliver(|| now, send).await.expect("a round");
    assert_eq!((round.sent, round.failed), (1, 1));
    assert_eq!((good.taken().len(), broken.taken().len()), (2, 3), "each with its own tries");
    let round = outbox.deliver(|| now, send).await.expect("a round");
    assert_eq!((round.sent, round.waiting), (0, 1), "the outbox pauses");
    assert_eq!((good.taken().len(), broken.taken().len()), (2, 3));
}

/// Tokens of a client that asked for one a day until 25 minutes ago, and since then for one every few seconds, up to now:
/// alerts are judged by the clock, as far as the stream is known to have come.
fn cache_that_broke() -> String {
    let now = ghostlight::clock::now();
    let mut dice = Dice(9);
    let mut ago_ms: Vec<i64> = vec![49 * 3_600_000, 24 * 3_600_000 + 1_800_000];
    let mut next = 25 * 60_000;
    while next > 0 {
        ago_ms.push(next);
        next -= 1000 + dice.roll(8000) as i64;
    }
    let event = |(number, ago): (usize, &i64)| {
        let time = EventTime::from_ms(now.ms() - ago);
        format!(
            r#"{{"type":"seccft","date":"{time}","log_id":"broken-{number}","tenant_name":"acme","client_id":"billing","client_name":"billing","audience":"https://api.example/","scope":"read:data","ip":"10.0.0.1","user_agent":"axios/1.7.7","hostname":"acme.us.auth0.com"}}"#
        )
    };
    ago_ms.iter().enumerate().map(event).collect::<Vec<_>>().join("\n")
}

/// Looks until there is something, for so long at most.
fn wait_for<T>(what: &str, at_most: Duration, server: &support::Server, look: impl Fn() -> Option<T>) -> T {
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 0..at_most.as_millis() / PAUSE.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("no {what} within {at_most:?}: {}", server.log());
}

#[test]
fn the_real_program_pages_at_once_exactly_once_and_not_again_after_a_restart() {
    // Between the decision and the page lies no lease, only the way: a page that waited for one would come later.
    const PROMPTLY: Duration = outbox::LEASE.checked_div(3).expect("not by zero");
    const PATIENCE: Duration = Duration::from_secs(90);
    let (hook_runtime, folder) = (runtime(), tempfile::tempdir().expect("a folder"));
    let hook = hook_runtime.block_on(Server::start(&[Answer::Plain(200, "")]));
    let url = hook.url("/hook");
    let settings = format!(
        "[flush]\ninterval = \"100ms\"\n[live]\ninterval = \"200ms\"\n[[alerts.channels]]\ntype = \"webhook\"\nname = \"hook\"\nurl = {url:?}\n"
    );
    let start = || support::Server::start(folder.path(), "spool", &settings);
    // By alert and sequence, how often.
    let pages = || {
        let mut pages = BTreeMap::new();
        for request in hook.taken() {
            *pages.entry(request.header("x-ghostlight-alert").to_owned()).or_insert(0) += 1;
        }
        pages
    };
    let ghosts = || pages().into_iter().filter(|(key, _)| key.starts_with("ghost-usage:")).collect::<Vec<_>>();
    let in_journal = |what: &str| {
        let paths: Vec<_> = runtime().block_on(open(&folder.path().join("out")).list("_alerts/ghost-usage")).ok()?;
        paths.into_iter().map(|found| found.location.to_string()).find(|path| path.ends_with(what))
    };

    let server = start();
    assert_eq!(server.post(cache_that_broke().as_bytes(), &[]).0, 200);
    let entry = wait_for("decision", PATIENCE, &server, || in_journal("/0000000000.json"));
    let page = wait_for("page", PROMPTLY, &server, || ghosts().first().cloned());
    let id = entry.trim_start_matches("_alerts/").trim_end_matches("/0000000000.json").replace('/', ":");
    assert_eq!(page, (format!("{id}:0"), 1));
    let taken = hook.taken().into_iter().find(|request| request.header("x-ghostlight-alert") == page.0).expect("taken");
    assert_eq!((taken.json()["status"].clone(), taken.json()["tenant"].clone()), ("firing".into(), "acme".into()));
    assert!(taken.json()["subject"].as_str().is_some_and(|subject| subject.starts_with("billing")), "{}", taken.body);
    wait_for("marker", PROMPTLY, &server, || in_journal("/0000000000.hook.sent.json"));
    server.stop();

    let server = start();
    // It knows the alert, and a round of its outbox is over: that counts what was sent, if only nothing.
    wait_for("alert", PATIENCE, &server, || server.get("/api/v1/alerts").1.contains(&id).then_some(()));
    wait_for("round", PATIENCE, &server, || {
        server.get("/metrics").1.contains("ghostlight_alerts_sent_total{outcome=\"sent\"}").then_some(())
    });
    server.stop();
    assert!(pages().values().all(|times| *times == 1), "{:?}", pages());
    assert_eq!(ghosts(), [page]);
}

/// A tenant's configuration with one application of this grant, replaced at once; its path.
fn configured(folder: &Path, grant: &str) -> PathBuf {
    let (new, tenant) = (folder.join("new.yaml"), folder.join("tenant.yaml"));
    std::fs::write(&new, format!("clients:\n- name: Shop\n  grant_types: [{grant}]\n")).expect("written");
    std::fs::rename(&new, &tenant).expect("renamed");
    tenant
}

#[test]
fn what_an_audit_finds_reaches_every_channel_and_so_does_its_end() {
    const PATIENCE: Duration = Duration::from_secs(90);
    let (servers, folder) = (runtime(), tempfile::tempdir().expect("a folder"));
    let (hooks, mails) = servers.block_on(async {
        (Server::start(&[Answer::Plain(200, "")]).await, SmtpServer::start(Security::None, None, "", &[]).await)
    });
    let tenant = configured(folder.path(), "implicit");
    let secret = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, value).expect("written");
        format!("{{ file = {path:?} }}")
    };
    let channel = |kind: &str, more: &str| format!("[[alerts.channels]]\ntype = {kind:?}\nname = {kind:?}\n{more}\n");
    let settings = [
        format!("[live]\ninterval = \"50ms\"\n[audit]\nconfig = {tenant:?}\ntenant = \"acme\"\ninterval = \"50ms\"\n"),
        channel("webhook", &format!("url = {:?}", hooks.url("/webhook"))),
        channel("slack", &format!("url = {}", secret("slack.url", &hooks.url("/slack")))),
        channel("teams", &format!("url = {}", secret("teams.url", &hooks.url("/teams")))),
        channel(
            "pagerduty",
            &format!("url = {:?}\nrouting_key = {}", hooks.url("/pagerduty"), secret("routing.key", "a-routing-key")),
        ),
        channel("alertmanager", &format!("url = {:?}", hooks.url("/alertmanager"))),
        channel(
            "email",
            &format!(
                "smtp = \"127.0.0.1:{}\"\ntls = \"none\"\nfrom = \"ghostlight@acme.internal\"\nto = [\"ops@acme.internal\"]",
                mails.address.port()
            ),
        ),
    ];
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    let server =
        support::Server::start_with(folder.path(), "watch", &settings.concat(), support::watch).expect("starts");
    // What each channel was told of this finding, by what it calls its two ends.
    let told = || {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let posted = hooks.taken().into_iter().map(|taken| (taken.path, taken.body));
        let mailed = mails.taken().into_iter().map(|taken| {
            let (headers, parts) = read_mail(&taken.data);
            ("/email".to_owned(), [headers.join("\n"), parts.concat()].concat())
        });
        for (path, text) in posted.chain(mailed).filter(|(_, text)| text.contains("implicit")) {
            told.entry(path.split('/').nth(1).unwrap_or_default().to_owned()).or_default().push(text);
        }
        told
    };
    const KINDS: [&str; 6] = ["alertmanager", "email", "pagerduty", "slack", "teams", "webhook"];
    let fired =
        wait_for("page everywhere", PATIENCE, &server, || Some(told()).filter(|told| told.len() == KINDS.len()));
    assert_eq!(fired.keys().collect::<Vec<_>>(), KINDS);
    for (kind, texts) in &fired {
        assert!(texts[0].contains("application Shop") || texts[0].contains("Shop"), "{kind}: {}", texts[0]);
    }
    configured(folder.path(), "authorization_code");
    let is_over = |kind: &str, text: &str| match kind {
        "alertmanager" => text.contains("endsAt"),
        "pagerduty" => text.contains("\"event_action\":\"resolve\""),
        _ => text.to_lowercase().contains("resolved"),
    };
    let over = wait_for("end everywhere", PATIENCE, &server, || {
        let told = told();
        let ended = told.iter().all(|(kind, texts)| texts.iter().any(|text| is_over(kind, text)));
        (told.len() == KINDS.len() && ended).then_some(told)
    });
    server.stop();
    for (kind, texts) in over {
        // An Alertmanager is told again and again of what fires.
        assert!(kind == "alertmanager" || texts.len() == 2, "{kind}: {texts:#?}");
    }
}

#[test]
fn a_channel_that_never_answers_holds_up_no_other() {
    const PATIENCE: Duration = Duration::from_secs(90);
    let (servers, folder) = (runtime(), tempfile::tempdir().expect("a folder"));
    let (stuck, good) = servers
        .block_on(async { (Server::start(&[Answer::Never]).await, Server::start(&[Answer::Plain(200, "")]).await) });
    let tenant = configured(folder.path(), "implicit");
    let settings = format!(
        "[live]\ninterval = \"50ms\"\n[audit]\nconfig = {tenant:?}\ntenant = \"acme\"\ninterval = \"50ms\"\n\
         [[alerts.channels]]\ntype = \"webhook\"\nname = \"stuck\"\nurl = {:?}\n\
         [[alerts.channels]]\ntype = \"webhook\"\nname = \"good\"\nurl = {:?}\n",
        stuck.url("/stuck"),
        good.url("/good")
    );
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    let server = support::Server::start_with(folder.path(), "watch", &settings, support::watch).expect("starts");
    let told = |status: &str| {
        let is_it = |taken: &Taken| taken.body.contains("implicit") && taken.json()["status"] == status;
        good.taken().iter().any(is_it).then_some(())
    };
    wait_for("page", PATIENCE, &server, || told("firing").filter(|()| !stuck.taken().is_empty()));
    configured(folder.path(), "authorization_code");
    wait_for("end", PATIENCE, &server, || told("resolved"));
    // The other one's first attempt, three tries of a quarter of a minute, is still under way.
    let log = server.stop();
    assert!(!log.contains("could not be sent"), "{log}");
}
