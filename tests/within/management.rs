//! The audit reads a tenant by its Management API: a local server speaks it from its documented shapes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ghostlight::audit::checks::{self, Scene, State};
use ghostlight::audit::fetch::{self, Fetched};
use ghostlight::audit::tenant::Tenant;
use ghostlight::clock;
use ghostlight::source::management::{Api, ApiError, Credentials, Retry};
use serde_json::{Value, json};

use crate::audit::good;
use crate::support::{ghostlight, runtime};

const SECRET: &str = "a-client-secret-nobody-sees";

/// A tenant behind its API, and how the API is to misbehave.
#[derive(Default)]
struct Server {
    /// By path below `/api/v2/`: a list, or one object.
    answers: BTreeMap<String, Value>,
    /// Under which key a list is, and whether by checkpoints.
    lists: BTreeMap<String, (String, bool)>,
    /// By path: statuses to give before the answer, again and again the last one if it is doubled.
    failures: BTreeMap<String, Vec<u16>>,
    lacking: Vec<String>,
    asked: Vec<String>,
    tokens: usize,
    refuses: bool,
    /// A status of the token endpoint instead, and how many seconds it asks to wait.
    no_token: Option<(u16, i64)>,
    /// Instead of its usual words.
    says: String,
    /// What lists say at most that they have.
    total_max: Option<usize>,
    /// How many a page has, whatever is asked for.
    per_page_max: Option<usize>,
    /// What pages do not say.
    hides: Vec<&'static str>,
    /// Lists of checkpoints of which every page has the same next one.
    endless: Vec<String>,
    /// Behind every token.
    token_tail: String,
    /// How paths that end so are answered.
    endings: Option<(&'static str, u16)>,
}

struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([("content-type", "application/json")], self.0.to_string()).into_response()
    }
}

type Running = Arc<Mutex<Server>>;

impl Server {
    fn list(&mut self, path: &str, key: &str, by_checkpoint: bool, items: &Value) {
        self.answers.insert(path.to_owned(), items.clone());
        self.lists.insert(path.to_owned(), (key.to_owned(), by_checkpoint));
    }

    /// The good tenant as the API has it: by ids, and each thing's own parts below it.
    fn good() -> Self {
        let tenant = good();
        let mut server = Self::default();
        let id = |name: &Value| format!("id-of-{}", name.as_str().unwrap_or_default());
        let part = |key: &str| tenant[key].as_array().cloned().unwrap_or_default();
        let mut clients = part("clients");
        clients.iter_mut().for_each(|client| client["client_id"] = json!(id(&client["name"])));
        clients.iter_mut().for_each(|client| client["client_secret"] = json!("canary-client"));
        server.list("clients", "clients", false, &json!(clients));
        let mut connections = [part("databases"), part("connections")].concat();
        for connection in &mut connections {
            let own = id(&connection["name"]);
            let enabled = connection["enabled_clients"].as_array().cloned().unwrap_or_default();
            let enabled: Vec<_> = enabled.iter().map(|name| json!({ "client_id": id(name) })).collect();
            server.list(&format!("connections/{own}/clients"), "clients", true, &json!(enabled));
            connection.as_object_mut().expect("an object").remove("enabled_clients");
            connection["id"] = json!(own);
        }
        server.list("connections", "connections", true, &json!(connections));
        let mut grants = part("clientGrants");
        grants.iter_mut().for_each(|grant| grant["client_id"] = json!(id(&grant["client_id"])));
        server.list("client-grants", "client_grants", true, &json!(grants));
        let mut organizations = part("organizations");
        for organization in &mut organizations {
            let own = id(&organization["name"]);
            let enabled = organization["connections"].as_array().cloned().unwrap_or_default();
            let of = |one: &Value| json!({ "connection_id": id(&one["name"]), "connection": { "name": one["name"], "strategy": "samlp" } });
            let enabled: Vec<_> = enabled.iter().map(of).collect();
            server.list(
                &format!("organizations/{own}/enabled_connections"),
                "enabled_connections",
                false,
                &json!(enabled),
            );
            organization.as_object_mut().expect("an object").remove("connections");
            organization["id"] = json!(own);
        }
        server.list("organizations", "organizations", true, &json!(organizations));
        let mut roles = part("roles");
        for role in &mut roles {
            let own = id(&role["name"]);
            server.list(&format!("roles/{own}/permissions"), "permissions", false, &role["permissions"]);
            role.as_object_mut().expect("an object").remove("permissions");
            role["id"] = json!(own);
        }
        server.list("roles", "roles", false, &json!(roles));
        server.list("resource-servers", "resource_servers", false, &tenant["resourceServers"]);
        let script = |name: &Value| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenants/good");
            std::fs::read_to_string(format!("{folder}/{}", name.as_str().unwrap_or_default())).expect("a script")
        };
        let mut actions = part("actions");
        actions.iter_mut().for_each(|action| action["code"] = json!(script(&action["code"])));
        server.list("actions/actions", "actions", false, &json!(actions));
        for (trigger, bound) in tenant["triggers"].as_object().expect("triggers") {
            let bound = bound.as_array().expect("a list");
            let binding = |one: &Value| json!({ "id": "b", "display_name": "x", "action": { "id": "a", "name": one["action_name"] } });
            let bound: Vec<_> = bound.iter().map(binding).collect();
            server.list(&format!("actions/triggers/{trigger}/bindings"), "bindings", false, &json!(bound));
        }
        server.list("rules", "rules", false, &json!([]));
        server.list("hooks", "hooks", false, &json!([]));
        server.list("network-acls", "network_acls", false, &tenant["networkACLs"]);
        server.list("event-streams", "eventStreams", true, &tenant["eventStreams"]);
        let mut settings = tenant["tenant"].clone();
        settings["error_page"] =
            json!({ "html": script(&tenant["pages"][0]["html"]), "show_log_link": false, "url": "" });
        let protection = &tenant["attackProtection"];
        for (path, value) in [
            ("tenants/settings", &settings),
            ("attack-protection/brute-force-protection", &protection["bruteForceProtection"]),
            ("attack-protection/suspicious-ip-throttling", &protection["suspiciousIpThrottling"]),
            ("attack-protection/breached-password-detection", &protection["breachedPasswordDetection"]),
            ("attack-protection/bot-detection", &protection["botDetection"]),
            ("guardian/factors", &tenant["guardianFactors"]),
            ("guardian/policies", &tenant["guardianPolicies"]["policies"]),
            ("guardian/factors/phone/selected-provider", &tenant["guardianPhoneFactorSelectedProvider"]),
            ("emails/provider", &tenant["emailProvider"]),
            ("email-templates/verify_email", &tenant["emailTemplates"][0]),
            ("email-templates/reset_email", &tenant["emailTemplates"][1]),
            ("custom-domains", &tenant["customDomains"]),
            ("log-streams", &tenant["logStreams"]),
            ("prompts", &tenant["prompts"]),
            ("self-service-profiles", &tenant["selfServiceProfiles"]),
        ] {
            server.answers.insert(path.to_owned(), value.clone());
        }
        server
    }

    fn said<'a>(&'a self, usual: &'a str) -> &'a str {
        if self.says.is_empty() { usual } else { &self.says }
    }

    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        if uri.path() == "/oauth/token" {
            self.tokens += 1;
            if let Some((status, wait)) = self.no_token {
                let reset = (clock::now().ms() / 1000 + wait).to_string();
                let status = StatusCode::from_u16(status).expect("a status");
                return (status, [("x-ratelimit-reset", reset)], "").into_response();
            }
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            if self.refuses || asked["client_secret"] != SECRET || asked["grant_type"] != "client_credentials" {
                let error = json!({ "error": "access_denied", "error_description": self.said("Unauthorized") });
                return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
            }
            let token = format!("token-{}{}", self.tokens, self.token_tail);
            return Json(json!({ "access_token": token, "expires_in": 86_400, "token_type": "Bearer" }))
                .into_response();
        }
        assert_eq!(*method, Method::GET, "the audit only reads");
        let path = uri.path().strip_prefix("/api/v2/").expect("the Management API").to_owned();
        self.asked.push(path.clone());
        if headers.get("authorization").and_then(|value| value.to_str().ok())
            != Some(&format!("Bearer token-{}", self.tokens))
        {
            return (StatusCode::UNAUTHORIZED, Json(json!({ "message": "Invalid token" }))).into_response();
        }
        let first = path.split('/').next().unwrap_or_default();
        let of_ending = self.endings.filter(|(ending, _)| path.ends_with(ending)).map(|(_, status)| status);
        if let Some(status) = of_ending.filter(|status| *status != 403) {
            return StatusCode::from_u16(status).expect("a status").into_response();
        }
        if of_ending.is_some() || self.lacking.iter().any(|lacking| lacking == first) {
            let body = json!({
                "statusCode": 403, "error": "Forbidden", "errorCode": "insufficient_scope",
                "message": format!("Insufficient scope, expected any of: read:{first}"),
            });
            return (StatusCode::FORBIDDEN, Json(body)).into_response();
        }
        if let Some(failures) = self.failures.get_mut(&path).filter(|failures| !failures.is_empty()) {
            let is_lasting = failures.len() > 1 && failures[0] == failures[1];
            let status = if is_lasting { failures[0] } else { failures.remove(0) };
            let reset = (clock::now().ms() / 1000).to_string();
            let body = Json(json!({ "message": self.said("not now"), "errorCode": "feature_not_enabled" }));
            let status = StatusCode::from_u16(status).expect("a status");
            return (status, [("x-ratelimit-reset", reset)], body).into_response();
        }
        let Some(answer) = self.answers.get(&path) else {
            return (StatusCode::NOT_FOUND, Json(json!({ "message": "Not found." }))).into_response();
        };
        let Some((key, by_checkpoint)) = self.lists.get(&path) else { return Json(answer.clone()).into_response() };
        let query: BTreeMap<String, String> = serde_urlencoded(uri.query().unwrap_or_default());
        let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
        let all = answer.as_array().expect("a list");
        if *by_checkpoint {
            let (from, take) = (number("from").unwrap_or(0), number("take").expect("take").min(100));
            let items: Vec<_> = all.iter().skip(from).take(take).cloned().collect();
            let mut page = json!({ key: items });
            if from + take < all.len() {
                page["next"] = json!((from + take).to_string());
            }
            if self.endless.contains(&path) {
                page["next"] = json!("0");
            }
            return Json(page).into_response();
        }
        let (page, size) = (number("page").expect("page"), number("per_page").expect("per_page"));
        let size = size.min(self.per_page_max.unwrap_or(100));
        let items: Vec<_> = all.iter().skip(page * size).take(size).cloned().collect();
        let total = all.len().min(self.total_max.unwrap_or(usize::MAX));
        let mut body =
            json!({ "start": page * size, "limit": size, "length": items.len(), "total": total, key: items });
        for hidden in &self.hides {
            body.as_object_mut().expect("an object").remove(*hidden);
        }
        Json(body).into_response()
    }
}

fn serde_urlencoded(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

async fn serve(server: Server) -> (String, Running) {
    let running: Running = Arc::new(Mutex::new(server));
    let answer = |Shared(running): Shared<Running>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        running.lock().expect("no test has panicked in it").answer(&method, &uri, &headers, &body)
    };
    let app = Router::new().fallback(answer).with_state(running.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, running)
}

fn api(url: &str, secret: &str) -> Api {
    let credentials = Credentials {
        client_id: "auditor".to_owned(),
        client_secret: secret.to_owned(),
        named: "AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET",
    };
    let retry = Retry { tries: 3, first: Duration::from_millis(1), wait_max: Duration::from_millis(5) };
    Api::new(url, credentials, retry).expect("a URL of this computer")
}

/// Reads the tenant of a server; the server afterwards too.
fn read(server: Server) -> (Result<Fetched, ApiError>, Running) {
    runtime().block_on(async {
        let (url, running) = serve(server).await;
        (Fetched::read(&mut api(&url, SECRET)).await, running)
    })
}

fn states(tenant: &Tenant) -> BTreeMap<&'static str, State> {
    let verdicts = checks::judge(&Scene { tenant, traffic: None });
    verdicts.into_iter().map(|verdict| (verdict.check.id, verdict.state)).collect()
}

fn tenant(fetched: Result<Fetched, ApiError>) -> Tenant {
    fetched.expect("it is read").tenant()
}

/// Checks that did not pass, but for those that need events.
fn wrong(states: &BTreeMap<&'static str, State>) -> Vec<String> {
    let is_wrong = |state: &State| match state {
        State::Passed => false,
        State::NotRun(why) => !why.why().contains("--data"),
        State::Found => true,
    };
    states.iter().filter(|(_, state)| is_wrong(state)).map(|(id, state)| format!("{id}: {state:?}")).collect()
}

#[test]
fn the_good_tenant_passes_every_check_by_its_api_too() {
    let (fetched, running) = read(Server::good());
    let states = states(&tenant(fetched));
    assert_eq!(wrong(&states), Vec::<String>::new());
    let running = running.lock().expect("no panic");
    assert_eq!(running.tokens, 1, "its own token is kept");
    assert!(running.asked.len() > 30, "{:?}", running.asked);
}

#[test]
fn every_page_is_read_by_number_and_by_checkpoint() {
    let mut server = Server::good();
    for (path, count) in [("clients", 250_usize), ("connections", 230), ("client-grants", 201)] {
        let all = server.answers.get_mut(path).and_then(Value::as_array_mut).expect("a list");
        let one = all.last().expect("one").clone();
        all.extend((all.len()..count).map(|number| {
            let mut one = one.clone();
            one["name"] = json!(format!("{path}-{number}"));
            one
        }));
    }
    let (fetched, running) = read(server);
    let tenant = tenant(fetched);
    assert_eq!(tenant.clients.expect("they are read").len(), 250);
    assert_eq!(tenant.connections.expect("they are read").len(), 228, "two are databases");
    assert_eq!(tenant.databases.expect("they are read").len(), 2);
    assert_eq!(tenant.grants.expect("they are read").len(), 201);
    let asked = &running.lock().expect("no panic").asked;
    let times = |path: &str| asked.iter().filter(|one| *one == path).count();
    assert_eq!((times("clients"), times("connections"), times("client-grants"), times("rules")), (3, 3, 3, 1));
}

#[test]
fn a_total_that_is_too_small_ends_no_list() {
    let mut server = Server::good();
    let all = server.answers.get_mut("clients").and_then(Value::as_array_mut).expect("a list");
    let one = all.last().expect("one").clone();
    all.resize(250, one);
    server.total_max = Some(100);
    let (fetched, _) = read(server);
    assert_eq!(tenant(fetched).clients.expect("they are read").len(), 250);
}

#[test]
fn a_server_that_gives_fewer_at_a_time_is_asked_for_the_rest() {
    // Auth0 says how many a page has; who does not, shows it.
    for hides in [vec![], vec!["limit"], vec!["limit", "start", "length"]] {
        let mut server = Server::good();
        let all = server.answers.get_mut("clients").and_then(Value::as_array_mut).expect("a list");
        let one = all.last().expect("one").clone();
        all.resize(250, one);
        (server.per_page_max, server.hides) = (Some(50), hides.clone());
        let (fetched, running) = read(server);
        assert_eq!(tenant(fetched).clients.expect("they are read").len(), 250, "{hides:?}");
        let asked = running.lock().expect("no panic").asked.iter().filter(|one| *one == "clients").count();
        assert!((5..=6).contains(&asked), "{hides:?}: {asked}");
    }
}

#[test]
fn a_missing_scope_is_named_and_the_other_checks_run() {
    let mut server = Server::good();
    server.lacking = vec!["clients".to_owned(), "log-streams".to_owned()];
    let (fetched, _) = read(server);
    let states = states(&tenant(fetched));
    let why = |id: &str| match &states[id] {
        State::NotRun(why) => why.to_string(),
        other => panic!("{id}: {other:?}"),
    };
    assert!(why("client-alg-hs256").contains("lacks the scope read:clients"));
    assert!(why("log-stream-missing").contains("lacks the scope read:log_streams"));
    assert_eq!(states["api-alg-hs256"], State::Passed);
    assert_eq!(states["brute-force-off"], State::Passed);
}

#[test]
fn limits_and_passing_errors_are_waited_for_and_lasting_ones_named() {
    let mut server = Server::good();
    server.failures.insert("clients".to_owned(), vec![429]);
    server.failures.insert("roles".to_owned(), vec![502, 503]);
    server.failures.insert("resource-servers".to_owned(), vec![500, 500]);
    server.failures.insert("network-acls".to_owned(), vec![403]);
    server.failures.insert("rules".to_owned(), vec![404]);
    server.failures.insert("tenants/settings".to_owned(), vec![401]);
    let (fetched, running) = read(server);
    let states = states(&tenant(fetched));
    let why = |id: &str| format!("{:?}", states[id]);
    assert_eq!(states["client-alg-hs256"], State::Passed);
    assert!(why("api-alg-hs256").contains("answered 500, 3 times"), "{}", why("api-alg-hs256"));
    assert!(why("network-acl-missing").contains("feature_not_enabled"));
    assert!(why("rules-left").contains("is not there"));
    assert_eq!(states["tenant-support-email"], State::Passed, "a token that was revoked is replaced once");
    let running = running.lock().expect("no panic");
    let times = |path: &str| running.asked.iter().filter(|one| *one == path).count();
    assert_eq!((times("clients"), times("roles"), times("resource-servers"), times("network-acls")), (2, 3, 3, 1));
    assert_eq!(running.tokens, 2);
}

#[test]
fn what_one_organization_is_refused_or_fails_again_and_again_is_not_asked_for_a_thousand() {
    const ENDING: &str = "/enabled_connections";
    let read = |status: u16, ending: &'static str| {
        let mut server = Server::good();
        let organization = |number| json!({ "id": format!("org_{number}"), "name": format!("org-{number}") });
        server.list("organizations", "organizations", true, &(0..500).map(organization).collect());
        server.endings = Some((ending, status));
        let (fetched, running) = read(server);
        let asked = running.lock().expect("no panic").asked.clone();
        (fetched.map(Fetched::tenant), asked)
    };
    let ends = |asked: &[String]| asked.iter().filter(|path| path.ends_with(ENDING)).count();
    let why = |tenant: &Tenant| {
        let organizations = tenant.organizations.as_ref().expect("they are read");
        let whys: Vec<_> =
            organizations.iter().map(|one| one.connections.unknown().expect("it is not known")).collect();
        assert_eq!(whys.len(), 500);
        whys
    };
    let (tenant, asked) = read(403, ENDING);
    assert_eq!(ends(&asked), 1);
    assert!(
        why(&tenant.expect("it is read"))
            .iter()
            .all(|why| { !why.is_failed() && why.why().contains("lacks the scope read:organization_connections") })
    );
    // Thirty further tries, two each.
    let (tenant, asked) = read(500, ENDING);
    assert_eq!(ends(&asked), 45);
    assert!(why(&tenant.expect("it is read")).iter().all(|why| why.is_failed() && why.why().contains("answered 500")));
    // One that is gone since says nothing of others.
    let (_, asked) = read(404, ENDING);
    assert_eq!(ends(&asked), 500);
    // Where everything fails, each part is asked for once after that.
    let (tenant, asked) = read(503, "");
    let tenant = tenant.expect("it is read");
    assert!(tenant.clients.is_err_and(|why| why.why().contains("answered 503, 3 times")));
    assert!(tenant.self_service.is_err_and(|why| why.why().contains("answered 503, and is not asked again")));
    assert!(asked.len() < 60, "{}", asked.len());
}

#[test]
fn an_answer_without_an_end_is_said_to_be_that() {
    let mut server = Server::good();
    server.answers.insert("prompts".to_owned(), json!("x".repeat(65 << 20)));
    let (fetched, running) = read(server);
    let why = tenant(fetched).login_experience.expect_err("it is not known");
    assert_eq!(why.why(), "GET /api/v2/prompts: answered more than 64 MiB");
    assert_eq!(running.lock().expect("no panic").asked.iter().filter(|path| *path == "prompts").count(), 1);
}

#[test]
fn a_recording_is_not_written_over_what_is_none() {
    let runtime = runtime();
    let (url, running) = runtime.block_on(serve(Server::good()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let audit = |of: &[&str]| {
        let mut command = ghostlight();
        command.arg("audit").args(of).env("AUTH0_CLIENT_ID", "auditor").env("AUTH0_CLIENT_SECRET", SECRET);
        let output = command.output().expect("it runs");
        (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let record = |name: &str| audit(&["--domain", &url, "--record", &path(name).display().to_string()]);
    // An export somebody keeps there, of which one file is called as one of a recording.
    std::fs::create_dir_all(path("export/clients")).expect("a folder");
    for (file, text) in
        [("export/tenant.json", "{ \"support_email\": \"help@acme.io\" }"), ("export/clients/a.json", "{}")]
    {
        std::fs::write(path(file), text).expect("written");
    }
    let (code, error) = record("export");
    assert!(code == 2 && (error.contains("holds tenant.json") || error.contains("holds clients")), "{error}");
    std::fs::remove_dir_all(path("export/clients")).expect("removed");
    let (code, error) = record("export");
    assert!(code == 2 && error.contains("holds tenant.json, which is not what --record writes"), "{error}");
    assert_eq!(running.lock().expect("no panic").asked.len(), 0, "it is refused before anything is asked for");
    let kept = std::fs::read_to_string(path("export/tenant.json")).expect("it is kept");
    assert!(kept.contains("help@acme.io"));
    // Over a recording it records anew, and beside what is hidden.
    std::fs::create_dir(path("own")).expect("a folder");
    std::fs::write(path("own/.gitignore"), "*").expect("written");
    assert_eq!(record("own").0, 0);
    assert_eq!(record("own").0, 0);
    // Each is read by its own option, and the other says so.
    let (code, error) = audit(&["--config", &path("own").display().to_string()]);
    assert!(code == 2 && error.contains("is a recording") && error.contains("--replay"), "{error}");
    let (code, error) = audit(&["--replay", &path("export").display().to_string()]);
    assert!(code == 2 && error.contains("an export is read by --config"), "{error}");
}

#[test]
fn a_checkpoint_that_comes_again_ends_the_list_with_an_error() {
    let mut server = Server::good();
    server.endless = vec!["client-grants".to_owned()];
    let (fetched, running) = read(server);
    let why = tenant(fetched).grants.err().expect("it is not known");
    assert!(why.is_failed() && why.why().contains("the same \"next\" again"), "{why}");
    let asked = running.lock().expect("no panic").asked.iter().filter(|path| *path == "client-grants").count();
    assert_eq!(asked, 2, "the second page says what the first did");
}

#[test]
fn a_token_that_no_header_can_have_is_said_to_be_that() {
    for tail in ["\r\nx-evil: 1", "\n", "\u{0}", " x", "\u{e9}"] {
        let mut server = Server::good();
        server.token_tail = tail.to_owned();
        let (fetched, running) = read(server);
        let error = fetched.err().expect("no token").to_string();
        assert!(error.contains("access_token") && error.contains("no HTTP header may have"), "{error}");
        assert!(!error.contains("token-1"), "{error}");
        let running = running.lock().expect("no panic");
        assert_eq!((running.tokens, running.asked.len()), (1, 0));
    }
}

#[test]
fn a_part_that_could_not_be_read_ends_with_2_and_a_missing_scope_where_it_is_asked_for() {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let codes = |server: Server| {
        let (url, _running) = runtime.block_on(serve(server));
        let code = |of: &[&str]| {
            let mut command = ghostlight();
            command.arg("audit").args(of).env("AUTH0_CLIENT_ID", "auditor").env("AUTH0_CLIENT_SECRET", SECRET);
            let output = command.output().expect("it runs");
            (output.status.code().expect("a code"), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let record = folder.path().display().to_string();
        let (read, error) = code(&["--domain", &url, "--record", &record]);
        // What was recorded says the same.
        assert_eq!(code(&["--replay", &record]).0, read, "{error}");
        (read, code(&["--domain", &url, "--fail-on", "required,not-run"]).0, error)
    };
    let (code, strict, error) = codes(Server::good());
    assert_eq!((code, strict), (0, 2), "{error}");
    let mut server = Server::good();
    server.lacking = vec!["log-streams".to_owned()];
    server.failures.insert("network-acls".to_owned(), vec![403, 403]);
    let (code, strict, error) = codes(server);
    assert_eq!((code, strict), (0, 2), "{error}");
    // A part, and what one object has elsewhere.
    for path in ["custom-domains", "organizations/id-of-acme/enabled_connections"] {
        let mut server = Server::good();
        server.failures.insert(path.to_owned(), vec![400, 400]);
        let (code, strict, error) = codes(server);
        assert_eq!((code, strict), (2, 2), "{path}: {error}");
        assert!(error.contains("not all could be looked at") && error.contains("answered 400: not now"), "{error}");
    }
    let mut server = Server::good();
    server.answers.get_mut("clients").expect("clients")[0]["name"] = json!("");
    let (code, strict, error) = codes(server);
    assert_eq!((code, strict), (2, 2), "{error}");
}

#[test]
fn what_is_not_set_is_none_and_not_missing() {
    let mut server = Server::good();
    server.answers.remove("emails/provider");
    let (fetched, _) = read(server);
    assert_eq!(states(&tenant(fetched))["email-provider-missing"], State::Found);
}

#[test]
fn wrong_credentials_end_it_and_are_not_repeated() {
    let mut server = Server::good();
    server.refuses = true;
    let (fetched, running) = read(server);
    let error = fetched.err().expect("it is refused").to_string();
    assert!(error.contains("AUTH0_CLIENT_SECRET") && !error.contains(SECRET), "{error}");
    assert_eq!(running.lock().expect("no panic").tokens, 1, "it is not asked again");
    // A token that is never taken is no other case.
    let mut server = Server::good();
    server.failures.insert("tenants/settings".to_owned(), vec![401, 401]);
    let (fetched, running) = read(server);
    assert!(matches!(fetched, Err(ApiError::Credentials { .. })));
    assert_eq!(running.lock().expect("no panic").tokens, 2);
}

#[test]
fn without_a_token_nothing_else_is_asked() {
    for (no_token, tokens, what) in [
        ((500, 0), 3, "answered 500, 3 times"),
        ((302, 0), 1, "answered 302"),
        ((429, 3_600), 1, "answered 429, and is to be asked again in"),
    ] {
        let mut server = Server::good();
        server.no_token = Some(no_token);
        let (fetched, running) = read(server);
        let error = fetched.err().expect("no token");
        assert!(matches!(error, ApiError::Token { .. }), "{error:?}");
        assert!(error.to_string().contains(what) && error.to_string().contains("127.0.0.1 gives no token"), "{error}");
        let running = running.lock().expect("no panic");
        assert_eq!((running.tokens, running.asked.len()), (tokens, 0));
    }
}

#[test]
fn an_audit_that_judged_nothing_says_so_and_ends_with_2() {
    let mut server = Server::good();
    server.lacking = server.answers.keys().filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
    server.lacking.extend(["event-streams", "actions", "rules", "hooks", "network-acls"].map(str::to_owned));
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime();
    let (url, _running) = runtime.block_on(serve(server));
    let audit = |format: &str| {
        let mut command = ghostlight();
        command
            .args(["audit", "--domain", &url, "--fail-on", "never", "--format", format, "--record"])
            .arg(folder.path());
        command.env("AUTH0_CLIENT_ID", "auditor").env("AUTH0_CLIENT_SECRET", SECRET).output().expect("it runs")
    };
    let output = audit("text");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{out}");
    assert!(
        out.contains("nothing could be judged") && error.contains("error: nothing could be judged"),
        "{out}{error}"
    );
    let output = audit("sarif");
    assert_eq!(output.status.code(), Some(2));
    let sarif: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], json!(false));
}

#[test]
fn what_a_server_says_never_shows_what_it_was_sent() {
    let refused = |saying: &dyn Fn(&mut Server)| {
        let mut server = Server::good();
        saying(&mut server);
        let (fetched, _) = read(server);
        fetched.err().expect("it is refused").to_string()
    };
    let said = refused(&|server| {
        server.refuses = true;
        server.says = format!("\u{1b}[31mno:\u{200b} {SECRET} {}", SECRET.replacen('-', "\u{200b}-", 1));
    });
    assert!(said.contains("no: (secret) (secret)") && !said.contains(SECRET) && !said.contains('\u{1b}'), "{said}");
    let said = refused(&|server| {
        server.failures.insert("tenants/settings".to_owned(), vec![401, 401]);
        server.says = "Bearer token-1 or token-2 is bad".to_owned();
    });
    assert!(said.contains("(secret) or (secret) is bad") && !said.contains("token-"), "{said}");
}

#[test]
fn recordings_hold_neither_userinfo_nor_queries_nor_other_options() {
    let connection = json!({
        "name": "a", "strategy": "oauth2", "initiate_login_uri": "https://u:canary@a.io/x?k=canary",
        "url": "https:\\\\u:canary@a.io", "user": ["canary"], "password": 12345, "email": ["canary"], "options": {
            "client_id": "public", "password": 1234567, "user": ["canary"], "url": "https://x:canary@h/", "domain": "canary",
            "value": "canary", "scope": ["canary"], "email": { "name": "canary" }, "policy": "canary",
        },
    });
    let kept = fetch::without_secrets("connections", &connection);
    let wanted = json!({
        "name": "a", "strategy": "oauth2", "initiate_login_uri": "https://a.io/x (in part)", "url": "https://a.io (in part)",
        "options": { "client_id": "public" },
    });
    assert_eq!(kept, wanted);
    assert_eq!(fetch::without_secrets("connections", &kept), wanted);
    // Free text, and passwords in what events are joined by.
    let api = json!({
        "name": "https://u:canary@a.io/", "identifier": "https://u:canary@a.io/", "description": "canary", "refresh_token": "canary",
        "scopes": [{ "value": "read:x", "description": "canary" }],
    });
    let kept = fetch::without_secrets("resourceServers", &api);
    let masked = "https://***@a.io/";
    assert_eq!(kept, json!({ "name": masked, "identifier": masked, "scopes": [{ "value": "read:x" }] }));
    assert_eq!(fetch::without_secrets("resourceServers", &kept), kept);
    // Which is the name of this one.
    let acl = json!({ "description": "block https://u:canary@a.io/", "rule": { "scope": "tenant" } });
    let kept = fetch::without_secrets("networkACLs", &acl);
    assert_eq!(kept, json!({ "description": "block https://***@a.io/", "rule": { "scope": "tenant" } }));
}

#[test]
fn a_domain_with_a_password_is_not_quoted() {
    let credentials = || Credentials { client_id: String::new(), client_secret: String::new(), named: "" };
    for wrong in
        ["https://:canary@acme.eu.auth0.com", "https://canary:x@acme.eu.auth0.com/", "canary@[", "https://a.io/?canary"]
    {
        let error = Api::new(wrong, credentials(), Retry::default()).err().expect("it is refused").to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn secrets_go_to_a_tenants_domain_only() {
    let credentials = || Credentials { client_id: String::new(), client_secret: String::new(), named: "" };
    for wrong in ["http://acme.eu.auth0.com", "ftp://acme.eu.auth0.com", "https://acme.eu.auth0.com/api", ""] {
        assert!(matches!(Api::new(wrong, credentials(), Retry::default()), Err(ApiError::Domain(_))), "{wrong}");
    }
    assert!(Api::new("acme.eu.auth0.com", credentials(), Retry::default()).is_ok());
}

#[test]
fn what_was_recorded_is_audited_the_same_and_holds_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("recorded");
    let mut server = Server::good();
    server.lacking = vec!["log-streams".to_owned()];
    server.answers.get_mut("clients").expect("clients")[1]["callbacks"] = json!(["http://localhost:3000/x"]);
    server.answers.get_mut("actions/actions").expect("actions")[0]["secrets"] =
        json!([{ "name": "KEY", "value": "canary-action" }]);
    let run = |command: &mut std::process::Command| {
        let output = command.args(["--format", "json", "--as-of", "2026-11-23T12:00:00Z"]).output().expect("it runs");
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let runtime = runtime();
    let (url, _running) = runtime.block_on(serve(server));
    let live = run(ghostlight()
        .args(["audit", "--domain", &url, "--record"])
        .arg(&record)
        .env("AUTH0_CLIENT_ID", "auditor")
        .env("AUTH0_CLIENT_SECRET", SECRET));
    let replayed = run(ghostlight().args(["audit", "--replay"]).arg(&record));
    assert_eq!(live["findings"], replayed["findings"]);
    assert!(live["findings"].to_string().contains("client-callback-localhost"));
    assert!(replayed["not_run"].to_string().contains("lacks the scope read:log_streams"));
    assert!(replayed["not_run"].to_string().contains("not known: it was not recorded"), "scripts are not recorded");
    let mut files = 0;
    for entry in std::fs::read_dir(&record).expect("a folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a text");
        for secret in ["canary", SECRET, "token-1", "this-never-leaves-the-file", "challengeWith", "code_challenge"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        files += 1;
    }
    assert!(files > 20);
    let without = ghostlight()
        .args(["audit", "--domain", &url])
        .env_remove("AUTH0_CLIENT_SECRET")
        .env("AUTH0_CLIENT_ID", "x")
        .output()
        .expect("it runs");
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("AUTH0_CLIENT_SECRET is not set"));
}
