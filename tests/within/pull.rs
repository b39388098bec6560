//! Log events pulled by the Management API, by the real program from a local server that speaks it from its documented shapes:
//! nothing lost and nothing twice, whatever fails in between; and what is gone is said.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ghostlight::clock;
use ghostlight::event::EventTime;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Server, ghostlight, open, output, run, runtime, verified, wait_for};

const SECRET: &str = "a-client-secret-nobody-sees";
const DAY_MS: i64 = 86_400_000;

/// How the next answer for log events goes wrong.
#[derive(Clone, Copy)]
enum Failure {
    Status(u16),
    /// The connection ends within the answer.
    Cut,
}

/// A tenant's log events behind its API.
#[derive(Default)]
struct Tenant {
    /// By `log_id`, ascending.
    logs: Vec<Value>,
    /// So many of them have happened.
    happened: usize,
    /// So many of them are no longer kept.
    gone: usize,
    /// How many more are with each request.
    expires: usize,
    failures: VecDeque<Failure>,
    /// Whether the client's grant has the scope, and its secret is right.
    lacks_scope: bool,
    refuses: bool,
    /// Whether what follows one that is gone is refused, instead of what is left.
    is_strict: bool,
    asked: Vec<String>,
    tokens: usize,
}

struct Auth0 {
    tenant: Arc<Mutex<Tenant>>,
    url: String,
    /// Serves until it is dropped.
    _runtime: Runtime,
}

impl Auth0 {
    fn start(logs: Vec<Value>) -> Self {
        let happened = logs.len();
        let tenant = Arc::new(Mutex::new(Tenant { logs, happened, ..Tenant::default() }));
        let runtime = runtime();
        let app = Router::new().fallback(answer).with_state(tenant.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { tenant, url, _runtime: runtime }
    }

    fn set(&self, change: impl FnOnce(&mut Tenant)) {
        change(&mut self.tenant.lock().expect("no panic"));
    }

    fn get<T>(&self, look: impl FnOnce(&Tenant) -> T) -> T {
        look(&self.tenant.lock().expect("no panic"))
    }

    /// Settings that pull from here. `more` may begin with keys of `[source.management]`.
    fn settings(&self, folder: &Path, spool: &str, more: &str) -> String {
        format!("{}[source.management]\ninterval = \"1s\"\n{more}", self.connection(folder, spool))
    }

    fn connection(&self, folder: &Path, spool: &str) -> String {
        let (secret, spool) = (folder.join("secret"), folder.join(spool));
        std::fs::write(&secret, SECRET).expect("written");
        format!(
            "[flush]\ninterval = \"100ms\"\n[spool]\nfolder = {spool:?}\n[management]\ndomain = {:?}\nclient_id = {{ file = \
             {secret:?} }}\nclient_secret = {{ file = {secret:?} }}\n",
            self.url
        )
    }

    fn start_pulling(&self, folder: &Path, spool: &str, more: &str) -> Result<Server, String> {
        Server::start_with(folder, spool, &self.settings(folder, spool, more), run)
    }

    fn checkpoint_path(&self, folder: &Path, spool: &str) -> std::path::PathBuf {
        let domain = self.url.trim_start_matches("http://").replace(':', "_");
        folder.join(spool).join(format!("pulled-{domain}.json"))
    }

    fn checkpoint(&self, folder: &Path, spool: &str) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.checkpoint_path(folder, spool)).ok()?).ok()
    }

    /// Waits until the checkpoint is at the last log event that has happened.
    fn wait_until_pulled(&self, folder: &Path, spool: &str) {
        let last = self.get(|tenant| tenant.logs[tenant.happened - 1]["log_id"].clone());
        wait_for("all log events are pulled", || (self.checkpoint(folder, spool)?["log_id"] == last).then_some(()));
    }
}

async fn answer(State(tenant): State<Arc<Mutex<Tenant>>>, method: Method, uri: Uri) -> Response {
    tenant.lock().expect("no panic").answer(&method, &uri)
}

fn reply(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let reset = (clock::now().ms() / 1000).to_string();
    (status, [("content-type", "application/json"), ("x-ratelimit-reset", &reset)], value.to_string()).into_response()
}

impl Tenant {
    fn answer(&mut self, method: &Method, uri: &Uri) -> Response {
        if (method, uri.path()) == (&Method::POST, "/oauth/token") {
            self.tokens += 1;
            return match self.refuses {
                true => reply(401, &json!({ "error": "access_denied", "error_description": "Unauthorized" })),
                false => reply(200, &json!({ "access_token": "a-token", "expires_in": 86400, "token_type": "Bearer" })),
            };
        }
        self.asked.push(uri.to_string());
        if self.lacks_scope {
            return reply(403, &json!({ "errorCode": "insufficient_scope", "message": "Insufficient scope" }));
        }
        self.gone = (self.gone + self.expires).min(self.happened);
        let kept = &self.logs[self.gone..self.happened];
        let id = |log: &Value| log["log_id"].as_str().expect("an id").to_owned();
        let found: Vec<Value> = match uri.path().strip_prefix("/api/v2/logs") {
            Some("") => {
                let url = reqwest::Url::parse(&format!("http://x{uri}")).expect("a URL");
                let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
                match query.get("from") {
                    Some(from) if self.is_strict && !kept.iter().any(|log| id(log) == *from) => {
                        return reply(
                            400,
                            &json!({ "message": "Invalid value from", "errorCode": "invalid_query_string" }),
                        );
                    }
                    Some(from) => {
                        let take: usize = query["take"].parse().expect("take");
                        assert!(take <= 100);
                        kept.iter().filter(|log| id(log) > *from).take(take).cloned().collect()
                    }
                    None => search(kept, &query),
                }
            }
            Some(one) => match kept.iter().find(|log| format!("/{}", id(log)) == one) {
                Some(log) => return reply(200, log),
                None => return reply(404, &json!({ "message": "Log not found", "errorCode": "log_not_found" })),
            },
            None => return reply(404, &Value::Null),
        };
        match self.failures.pop_front() {
            Some(Failure::Status(status)) => reply(status, &json!({ "message": "not now" })),
            Some(Failure::Cut) => {
                let text = json!(found).to_string();
                let half = text.as_bytes()[..text.len() / 2].to_vec();
                let parts = [Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
                Body::from_stream(futures::stream::iter(parts)).into_response()
            }
            None => reply(200, &json!(found)),
        }
    }
}

/// By dates, at most 1,000 in all.
fn search(kept: &[Value], query: &BTreeMap<String, String>) -> Vec<Value> {
    let descending = match query["sort"].as_str() {
        "date:1" => false,
        "date:-1" => true,
        other => panic!("{other}"),
    };
    let (page, size): (usize, usize) =
        (query["page"].parse().expect("page"), query["per_page"].parse().expect("per_page"));
    assert!(size <= 100 && (page + 1) * size <= 1000, "Auth0 pages through 1,000 results only");
    let (from, to) = match query.get("q") {
        Some(q) => {
            let range = q.strip_prefix("date:[").expect("a range of dates");
            let (from, to) = range.split_once(" TO ").expect("a range of dates");
            (from.to_owned(), to.trim_end_matches(['}', ']']).to_owned())
        }
        None => ("*".to_owned(), "*".to_owned()),
    };
    let date = |log: &Value| log["date"].as_str().expect("a date").to_owned();
    let mut found: Vec<_> = kept
        .iter()
        .filter(|log| (from == "*" || date(log) >= from) && (to == "*" || date(log) < to))
        .cloned()
        .collect();
    found.sort_by_key(date);
    if descending {
        found.reverse();
    }
    found.into_iter().skip(page * size).take(size).collect()
}

/// Log events a second apart that end at `end`, each of a user of its own; every tenth arrived late, after the next ones.
fn logs(count: usize, end: EventTime) -> Vec<Value> {
    let mut logs: Vec<Value> = (0..count)
        .map(|n| {
            let at = EventTime::from_ms(end.ms() - (count - n) as i64 * 1000);
            let arrived = EventTime::from_ms(at.ms() + if n % 10 == 3 { 4_500 } else { 90 });
            let digits: String = arrived.to_string().chars().filter(char::is_ascii_digit).collect();
            json!({
                "log_id": format!("900{digits}{n:036}"), "date": at.to_string(), "type": "s", "tenant_name": "acme",
                "user_id": format!("auth0|{n}"), "client_id": "a", "client_name": "A", "description": "",
            })
        })
        .collect();
    logs.sort_by_key(|log| log["log_id"].as_str().expect("an id").to_owned());
    logs
}

fn counted(folder: &Path) -> u64 {
    verified(&open(&folder.join("out"))).accounting.counted
}

#[test]
fn every_log_event_is_counted_once_through_failures_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let auth0 = Auth0::start(logs(1050, clock::now()));
    auth0.set(|tenant| tenant.happened = 0);
    let failures = [Failure::Status(429), Failure::Cut, Failure::Status(503), Failure::Cut];
    for happened in [310, 700, 1050] {
        auth0.set(|tenant| {
            tenant.happened = happened;
            tenant.failures = failures.into();
        });
        let mut server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
        auth0.wait_until_pulled(folder.path(), "spool");
        assert_eq!(server.get("/readyz"), (200, "ready\n".to_owned()));
        // Not even asked to end: what is in the spool is there.
        server.child.kill().expect("is killed");
        server.child.wait().expect("ends");
        // As if it had stopped between the spool and the checkpoint: a page comes again.
        let path = auth0.checkpoint_path(folder.path(), "spool");
        let mut checkpoint = auth0.checkpoint(folder.path(), "spool").expect("a checkpoint");
        checkpoint["log_id"] = auth0.get(|tenant| tenant.logs[happened - 60]["log_id"].clone());
        std::fs::write(path, checkpoint.to_string()).expect("written");
    }
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    let log = server.stop();
    assert!(!log.contains(SECRET) && !log.contains("a-token"), "{log}");
    assert_eq!(counted(folder.path()), 1050);
    assert_eq!(auth0.get(|tenant| tenant.tokens), 4, "a token is kept for as long as the process runs");
}

#[test]
fn what_is_not_allowed_is_said_with_its_setting_until_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let auth0 = Auth0::start(logs(5, clock::now()));
    auth0.set(|tenant| tenant.lacks_scope = true);
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    let unready = |wanted: &str| {
        wait_for(wanted, || {
            let (status, says) = server.get("/readyz");
            (status == 503 && says.contains(wanted)).then_some(says)
        })
    };
    let says = unready("read:logs");
    assert!(says.contains("management.client_id") && says.contains("insufficient_scope"), "{says}");
    auth0.set(|tenant| tenant.lacks_scope = false);
    auth0.wait_until_pulled(folder.path(), "spool");
    wait_for("ready again", || (server.get("/readyz").0 == 200).then_some(()));
    assert!(server.get("/metrics").1.contains("ghostlight_management_logs_total 5"));
    server.stop();
    auth0.set(|tenant| tenant.refuses = true);
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    wait_for("refused", || server.get("/readyz").1.contains("management.client_secret").then_some(()));
    assert!(!server.get("/readyz").1.contains(SECRET));
    server.stop();
    assert_eq!(counted(folder.path()), 5);
}

#[test]
fn log_events_that_were_gone_before_they_were_pulled_are_a_gap_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let before = |days: i64| EventTime::from_ms(now.ms() - days * DAY_MS);
    let all = [logs(50, before(5)), logs(50, before(3)), logs(120, now)].concat();
    let auth0 = Auth0::start(all);
    auth0.set(|tenant| tenant.happened = 50);
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    server.stop();
    // It was away for five days, and Auth0 keeps two.
    let path = auth0.checkpoint_path(folder.path(), "spool");
    let mut checkpoint = auth0.checkpoint(folder.path(), "spool").expect("a checkpoint");
    checkpoint["known_until"] = json!(before(5).to_string());
    std::fs::write(&path, checkpoint.to_string()).expect("written");
    auth0.set(|tenant| (tenant.happened, tenant.gone) = (220, 100));
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    let metrics = server.get("/metrics").1;
    assert!(metrics.contains("ghostlight_management_gaps_total 1"), "{metrics}");
    let log = server.stop();
    assert!(log.contains("are no longer kept by Auth0"), "{log}");
    let checkpoint = auth0.checkpoint(folder.path(), "spool").expect("a checkpoint");
    assert_eq!(checkpoint["gaps"].as_array().expect("gaps").len(), 1, "{checkpoint}");
    assert_eq!(checkpoint["gaps"][0]["from"], json!(before(5).to_string()));
    assert_eq!(
        checkpoint["gaps"][0]["to"],
        auth0
            .get(|tenant| tenant.logs[100..]
                .iter()
                .map(|log| log["date"].to_string())
                .min()
                .map(|date| json!(date.trim_matches('"'))))
            .expect("a date")
    );
    assert_eq!(counted(folder.path()), 170);
    // And again at each start, as long as the spool is.
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    assert!(server.stop().contains("were gone before they were pulled"));
}

#[test]
fn a_tenant_where_nothing_happens_has_no_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let all = [logs(50, EventTime::from_ms(now.ms() - 3 * DAY_MS)), logs(30, now)].concat();
    let auth0 = Auth0::start(all);
    auth0.set(|tenant| tenant.happened = 50);
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    // It is asked all the time, the last one goes, and later there are others.
    wait_for("nothing more is there", || {
        auth0.checkpoint(folder.path(), "spool")?["known_until"]
            .as_str()
            .and_then(EventTime::parse)
            .filter(|known| *known >= now)
    });
    auth0.set(|tenant| (tenant.gone, tenant.is_strict) = (50, true));
    wait_for("it goes on by dates", || auth0.checkpoint(folder.path(), "spool")?["log_id"].is_null().then_some(()));
    server.stop();
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.set(|tenant| tenant.happened = 80);
    auth0.wait_until_pulled(folder.path(), "spool");
    server.stop();
    assert_eq!(auth0.checkpoint(folder.path(), "spool").expect("a checkpoint")["gaps"], json!([]));
    assert_eq!(counted(folder.path()), 80);
}

#[test]
fn one_tenant_has_one_puller() {
    let folder = tempfile::tempdir().expect("a folder");
    let auth0 = Auth0::start(logs(20, clock::now()));
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    let same = auth0.start_pulling(folder.path(), "spool", "").err().expect("it is refused");
    assert!(same.contains("is open in another ghostlight"), "{same}");
    let other = auth0.start_pulling(folder.path(), "other", "").err().expect("it is refused");
    assert!(other.contains("would all be counted twice") && other.contains("_starts/management/"), "{other}");
    server.stop();
    assert_eq!(counted(folder.path()), 20);
}

#[test]
fn it_begins_where_it_is_told_and_only_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let auth0 = Auth0::start(logs(600, now));
    let start = EventTime::from_ms(now.ms() - 250_000);
    let more = format!("start = {:?}\n", start.to_string());
    let server = auth0.start_pulling(folder.path(), "spool", &more).expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    server.stop();
    // Whatever it says now.
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    server.stop();
    let arrived = auth0.get(|tenant| {
        let first = tenant.logs.iter().position(|log| log["date"].as_str() >= Some(start.to_string().as_str()));
        tenant.logs.len() - first.expect("some")
    });
    assert_eq!(counted(folder.path()), arrived as u64);
    assert!((250..255).contains(&arrived), "{arrived}");
}

/// Settings in a file, for a tenant's log events to be filled into `out` beside it.
fn to_fill(auth0: &Auth0, folder: &Path) -> std::path::PathBuf {
    let settings = folder.join("spool.toml");
    let text = format!("out = {:?}\n{}", folder.join("out"), auth0.connection(folder, "spool"));
    std::fs::write(&settings, text).expect("written");
    settings
}

fn backfill(settings: &Path, from: EventTime, to: EventTime) -> Command {
    let mut command = ghostlight();
    let (from, to) = (from.to_string(), to.to_string());
    command.args(["backfill", "--from", &from, "--to", &to, "--config"]).arg(settings);
    command
}

#[test]
fn a_backfill_finds_every_log_event_of_its_time_beyond_a_searchs_thousand_and_leaves_out_what_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let auth0 = Auth0::start(logs(2600, now));
    let settings = to_fill(&auth0, folder.path());
    auth0.set(|tenant| tenant.failures = [Failure::Cut, Failure::Status(429)].into());
    let ago = |seconds: i64| EventTime::from_ms(now.ms() - seconds * 1000);
    let (is_well, text) = output(&mut backfill(&settings, ago(2500), ago(100)));
    assert!(is_well && text.contains("found    2400 log events") && text.contains("known    0 of them"), "{text}");
    let start =
        || Server::start_with(folder.path(), "run", &auth0.connection(folder.path(), "spool"), run).expect("starts");
    start().stop();
    assert_eq!(counted(folder.path()), 2400);
    // The same again and some more: only those are taken.
    let (is_well, text) = output(&mut backfill(&settings, ago(2600), ago(50)));
    assert!(is_well && text.contains("found    2550 log events") && text.contains("known    2400 of them"), "{text}");
    start().stop();
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.duplicates), (2550, 0));
}

#[test]
fn a_backfill_misses_nothing_that_is_kept_while_the_earliest_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let auth0 = Auth0::start(logs(2600, now));
    let settings = to_fill(&auth0, folder.path());
    // With each answer some of the earliest go.
    auth0.set(|tenant| tenant.expires = 12);
    let (is_well, text) = output(&mut backfill(&settings, EventTime::from_ms(now.ms() - DAY_MS), now));
    assert!(is_well, "{text}");
    Server::start_with(folder.path(), "run", &auth0.connection(folder.path(), "spool"), run).expect("starts").stop();
    let (kept, gone) = auth0.get(|tenant| (tenant.logs.len() - tenant.gone, tenant.gone));
    assert!(gone > 100 && counted(folder.path()) >= kept as u64, "{text}");
}

#[test]
fn what_arrived_before_the_earliest_by_date_is_pulled_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let mut all = logs(1500, now);
    // The first 1,200 by date arrive ten minutes after all others.
    for (n, log) in all.iter_mut().enumerate() {
        let date = EventTime::parse(log["date"].as_str().expect("a date")).expect("a date");
        let is_late = now.since_ms(date) > 300_000;
        let arrived = EventTime::from_ms(date.ms() + if is_late { 1_600_000 } else { 90 });
        let digits: String = arrived.to_string().chars().filter(char::is_ascii_digit).collect();
        log["log_id"] = json!(format!("900{digits}{n:036}"));
    }
    all.sort_by_key(|log| log["log_id"].as_str().expect("an id").to_owned());
    let auth0 = Auth0::start(all);
    let server = auth0.start_pulling(folder.path(), "spool", "").expect("starts");
    auth0.wait_until_pulled(folder.path(), "spool");
    server.stop();
    assert_eq!(counted(folder.path()), 1500);
}

#[test]
fn a_backfill_beside_a_running_worker_goes_by_its_webhook() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let auth0 = Auth0::start(logs(300, now));
    let server =
        Server::start_with(folder.path(), "run", &auth0.connection(folder.path(), "spool"), run).expect("starts");
    let address = server.url.trim_start_matches("http://").trim_end_matches("/v1/logs");
    let settings = folder.path().join("spool.toml");
    let connection = auth0.connection(folder.path(), "spool");
    let out = folder.path().join("out");
    let text = |webhook: &str| {
        format!("out = {out:?}\n[http]\nlisten = {address:?}\n[webhook]\nto = {webhook:?}\n{connection}")
    };
    std::fs::write(&settings, text("spool")).expect("written");
    let (is_well, said) = output(&mut backfill(&settings, EventTime::from_ms(now.ms() - DAY_MS), now));
    assert!(is_well && said.contains("taken    300 by the worker at"), "{said}");
    std::fs::write(&settings, text("off") + "[source.management]\n").expect("written");
    let (is_well, said) = output(&mut backfill(&settings, EventTime::from_ms(now.ms() - DAY_MS), now));
    assert!(!is_well && said.contains("stop it, fill, and start it again"), "{said}");
    server.stop();
    assert_eq!(counted(folder.path()), 300);
}

#[test]
fn a_backfill_that_fails_says_where_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = clock::now();
    let auth0 = Auth0::start(logs(1200, now));
    let settings = to_fill(&auth0, folder.path());
    let from = EventTime::from_ms(now.ms() - DAY_MS);
    auth0.set(|tenant| tenant.lacks_scope = true);
    let (is_well, said) = output(&mut backfill(&settings, from, now));
    assert!(!is_well && said.contains("read:logs") && said.contains(&format!("--to {now}")), "{said}");
    // More of one millisecond than a search gives.
    auth0.set(|tenant| {
        tenant.lacks_scope = false;
        tenant.logs.iter_mut().for_each(|log| log["date"] = json!(from.to_string()));
    });
    let (is_well, said) = output(&mut backfill(&settings, from, now));
    assert!(!is_well && said.contains("more than 1000 log events have the date"), "{said}");
    let (is_well, said) = output(&mut backfill(&settings, now, from));
    assert!(!is_well && said.contains("is not before --to"), "{said}");
}
