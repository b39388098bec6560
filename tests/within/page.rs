//! The live page over real HTTP: what its JSON says, who may see it, when its events come and end.

use std::collections::BTreeSet;

use ghostlight::live::model::Model;
use reqwest::header::{self, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};

use crate::schemas::{described_keys, keys_of, problems_within, read};
use crate::support::overview::{PageServer, empty, full, hostile, next, quiet};

fn client() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).build().expect("a client")
}

async fn get(url: &str) -> Response {
    client().get(url).send().await.expect("an answer")
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}

fn described() -> Value {
    serde_json::from_str(&read("schemas/api.openapi.json")).expect("JSON")
}

/// The paths of the API that answer in JSON, each with the schema of its answer.
fn answers(described: &Value) -> Vec<(String, Value)> {
    let paths = described["paths"].as_object().expect("paths");
    let schema = |path: &Value| path["get"]["responses"]["200"]["content"].get("application/json").cloned();
    paths.iter().filter_map(|(path, value)| Some((path.clone(), schema(value)?["schema"].clone()))).collect()
}

#[tokio::test]
async fn every_answer_is_as_the_openapi_file_says_and_has_every_field_it_names() {
    let described = described();
    let answers = answers(&described);
    assert_eq!(answers.len(), 6);
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    for model in [full(), empty(), quiet(), hostile()] {
        let server = PageServer::start(model, None).await;
        for (path, schema) in &answers {
            let response = get(&server.url(path)).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
            let answer = json_of(response).await;
            assert_eq!(problems_within(&described, schema, &answer), Vec::<String>::new(), "{path}");
            if path != "/api/v1/openapi.json" {
                keys_of(&answer, &format!("{path} "), &mut seen);
                described_keys(&described, schema, &format!("{path} "), &mut all);
            }
        }
    }
    assert_eq!(seen, all);
    assert!(all.len() > 150, "{}", all.len());

    let schema = &described["components"]["schemas"]["Ghost"];
    let ghost = serde_json::to_value(&full().tenants[0].ghosts[0]).expect("JSON");
    assert_eq!(problems_within(&described, schema, &ghost), Vec::<String>::new());
    for (key, wrong) in [("issued", json!(-1)), ("since", json!("yesterday")), ("confidence", json!("total"))] {
        let mut damaged = ghost.clone();
        damaged[key] = wrong;
        assert_ne!(problems_within(&described, schema, &damaged), Vec::<String>::new(), "{key}");
    }
}

#[tokio::test]
async fn the_openapi_file_is_served_as_it_is() {
    let server = PageServer::start(empty(), None).await;
    assert_eq!(json_of(get(&server.url("/api/v1/openapi.json")).await).await, described());
}

#[test]
fn a_model_read_back_is_the_same_model() {
    for model in [full(), empty(), quiet(), hostile()] {
        let text = serde_json::to_string(&model).expect("JSON");
        assert!(serde_json::from_str::<Model>(&text).expect("a model") == model, "{text}");
    }
}

#[tokio::test]
async fn the_tenant_asked_for_is_shown_and_one_that_is_not_known_is_an_error() {
    let server = PageServer::start(full(), None).await;
    let first = json_of(get(&server.url("/api/v1/overview")).await).await;
    assert_eq!(first["overview"]["tenant"], "northwind-prod");
    assert_eq!(first["tenants"], json!(["northwind-prod", "northwind-staging"]));
    let second = json_of(get(&server.url("/api/v1/overview?tenant=northwind-staging")).await).await;
    assert_eq!(second["overview"]["tenant"], "northwind-staging");
    assert_eq!(
        json_of(get(&server.url("/api/v1/ghosts?tenant=northwind-prod")).await).await["tenant"],
        "northwind-prod"
    );

    for path in ["overview", "ghosts", "alerts"] {
        let response = get(&server.url(&format!("/api/v1/{path}?tenant=%3Cb%3E"))).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(json_of(response).await["error"].as_str().is_some_and(|text| text.contains("<b>")), "{path}");
        let response = get(&server.url(&format!("/api/v1/{path}?tenant=a&tenant=b"))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let response = get(&server.url(&format!("/api/v1/{path}?tenat=northwind-prod"))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert!(json_of(response).await["error"].as_str().is_some_and(|text| text.contains("tenat")), "{path}");
    }
    let response = get(&server.url("/api/v2/anything")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(json_of(response).await["error"].is_string());

    let nobody = PageServer::start(empty(), None).await;
    assert_eq!(json_of(get(&nobody.url("/api/v1/overview")).await).await["overview"], Value::Null);
    assert_eq!(get(&nobody.url("/api/v1/overview?tenant=a")).await.status(), StatusCode::NOT_FOUND);
}

const PAGE: [&str; 6] =
    ["/", "/assets/page.js", "/assets/page.css", "/assets/uplot.js", "/assets/uplot.css", "/assets/icon.svg"];

#[tokio::test]
async fn everything_a_browser_loads_is_less_than_300_kilobytes_uncompressed() {
    let server = PageServer::start(full(), None).await;
    let mut sum = 0;
    for path in PAGE.into_iter().chain(["/api/v1/overview"]) {
        let response = get(&server.url(path)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        sum += response.bytes().await.expect("a body").len();
    }
    assert!((80_000..300_000).contains(&sum), "{sum} bytes");
}

#[tokio::test]
async fn with_a_token_all_but_the_login_and_what_operators_ask_wants_it() {
    let server = PageServer::start(full(), Some("open sesame")).await;
    let described = described();
    let api = described["paths"].as_object().expect("paths").keys().map(String::as_str);
    let guarded = || PAGE[..5].iter().copied().chain(["/assets/uplot-license.txt", "/api/v1/nothing"]);
    for path in guarded().chain(api) {
        let response = get(&server.url(path)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
        if path != "/" {
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer", "{path}");
        }
        let body = response.text().await.expect("text");
        assert!(!body.contains("northwind"), "{path}");
        let wrong = client().get(server.url(path)).bearer_auth("open barley").send().await.expect("an answer");
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/login", "/assets/login.css", "/assets/icon.svg", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(&server.url(path)).await.status(), StatusCode::OK, "{path}");
    }
    let form = get(&server.url("/")).await.text().await.expect("text");
    assert!(form.contains("action=\"/login\""), "{form}");
    for path in ["/", "/api/v1/overview"] {
        let right = client().get(server.url(path)).bearer_auth("open sesame").send().await.expect("an answer");
        assert_eq!(right.status(), StatusCode::OK, "{path}");
    }
    // Without a token it has no tenant's figures; a scraper with a wrong one is to hear of it.
    let metrics = async |token: Option<&str>| {
        let request = client().get(server.url("/metrics"));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.expect("an answer").status()
    };
    assert_eq!(metrics(None).await, StatusCode::OK);
    assert_eq!(metrics(Some("open sesame")).await, StatusCode::OK);
    assert_eq!(metrics(Some("open barley")).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_login_gives_a_cookie_that_opens_the_page() {
    let server = PageServer::start(full(), Some("open sesame")).await;
    let login = async |body: &'static str| {
        let request = client().post(server.url("/login")).body(body);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").send().await.expect("an answer")
    };
    for body in ["token=open+barley", "token="] {
        let wrong = login(body).await;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
        assert!(!wrong.headers().contains_key(header::SET_COOKIE));
        assert!(wrong.text().await.expect("text").contains("That is not the token"));
    }
    assert!(login("other=1").await.status().is_client_error());
    let huge = client().post(server.url("/login")).body(format!("token={}", "x".repeat(20_000)));
    let huge = huge.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").send().await.expect("an answer");
    assert!(huge.status().is_client_error());

    let right = login("token=open%20sesame%0A").await;
    assert_eq!(right.status(), StatusCode::SEE_OTHER);
    assert_eq!(right.headers()[header::LOCATION], "/");
    let cookie = right.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("sesame"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let page = client().get(server.url("/")).header(header::COOKIE, pair).send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_there_is_nothing_to_log_in_to() {
    let server = PageServer::start(full(), None).await;
    let response = get(&server.url("/login")).await;
    assert_eq!(
        (response.status(), &response.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/"))
    );
}

#[tokio::test]
async fn without_a_token_only_who_asks_this_machine_by_its_own_name_is_answered() {
    let open = PageServer::start(full(), None).await;
    let with_token = PageServer::start(full(), Some("open sesame")).await;
    let asked = |server: &PageServer, host: &str| {
        client().get(server.url("/api/v1/overview")).header(header::HOST, host).bearer_auth("open sesame").send()
    };
    for host in ["localhost:7070", "LOCALHOST", "page.localhost", "127.0.0.1:7070", "[::1]:7070", "192.0.2.7"] {
        let answer = asked(&open, host).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    // A name may be made to mean this machine by whoever owns it.
    for host in ["attacker.example:7070", "localhost.attacker.example", "127.0.0.1.attacker.example"] {
        let answer = asked(&open, host).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        let said = answer.text().await.expect("text");
        assert!(said.contains("set live.token"), "{said}");
        let answer = asked(&with_token, host).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{host}: who has the token may come by any name");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    for token in [None, Some("open sesame")] {
        let server = PageServer::start(full(), token).await;
        for path in ["/", "/login", "/assets/page.js", "/api/v1/overview?tenant=x", "/api/none", "/none", "/metrics"] {
            let response = get(&server.url(path)).await;
            let headers = response.headers();
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
}

/// Reads a stream until it says `event`, and gives the data with it.
async fn data_of(stream: &mut Response, event: &str) -> String {
    let mut said = String::new();
    loop {
        let chunk = stream.chunk().await.expect("the stream is whole").expect("the stream goes on");
        said += std::str::from_utf8(&chunk).expect("text");
        if let Some(data) = said.split("\n\n").find_map(|one| one.strip_prefix(&format!("event: {event}\ndata: "))) {
            return data.to_owned();
        }
    }
}

#[tokio::test]
async fn events_say_the_revision_at_once_and_when_it_changes_and_end_when_the_server_stops() {
    let mut server = PageServer::start(full(), None).await;
    let mut stream = get(&server.url("/api/v1/events")).await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    assert_eq!(data_of(&mut stream, "overview").await, "1");
    server.show(next());
    assert_eq!(data_of(&mut stream, "overview").await, "2");
    assert_eq!(json_of(get(&server.url("/api/v1/overview")).await).await["revision"], 2);
    // Returns only once all connections have ended; the stream is still open on this side.
    server.stop().await;
    assert_eq!(stream.chunk().await.expect("the stream ended in order"), None);
}

#[tokio::test]
async fn only_so_many_pages_listen_at_once_and_the_others_are_told() {
    let server = PageServer::start(full(), None).await;
    let client = client();
    let mut streams = Vec::new();
    let refused = loop {
        let stream = client.get(server.url("/api/v1/events")).send().await.expect("an answer");
        match stream.status() {
            StatusCode::OK => streams.push(stream),
            _ => break stream,
        }
        assert!(streams.len() < 500, "there is no end");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "15");
    assert!(streams.len() >= 100);
    assert_eq!(get(&server.url("/api/v1/overview")).await.status(), StatusCode::OK, "numbers are there all the same");
    // A page that is closed makes place for another.
    streams.clear();
    loop {
        let stream = client.get(server.url("/api/v1/events")).send().await.expect("an answer");
        if stream.status() == StatusCode::OK {
            break;
        }
        tokio::task::yield_now().await;
    }
}
