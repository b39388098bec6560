//! What is written, in every format, and how it ends.

use super::*;

/// An application, as findings show it.
fn good_thing() -> Thing {
    Thing { kind: "application", name: "Shop".to_owned(), id: None, place: Place::of("x"), is_unnamed: false }
}

#[test]
fn no_secret_of_an_export_reaches_any_output() {
    let files = glob::glob(&format!("{}/**/*", sample("example-directory").display())).expect("a pattern");
    let all: String = files.filter_map(|path| std::fs::read_to_string(path.expect("a path")).ok()).collect();
    for number in 1..=14 {
        assert!(all.contains(&format!("canary-{number}")), "canary-{number} is in the export");
    }
    for layout in ["example-directory", "example-yaml"] {
        for format in ["text", "json", "html", "sarif", "junit"] {
            let (code, out, error) = run_audit(&sample(layout), &["--format", format]);
            assert_eq!((code, error.as_str()), (Some(1), ""), "{layout} {format}");
            assert!(out.contains("action-secret") && !out.contains("canary"), "{layout} {format}");
        }
    }
    // Nor an error: in a file that is no JSON, and in a value of a wrong type.
    let folder = tempfile::tempdir().expect("a folder");
    copy(&sample("example-directory"), folder.path());
    let client = folder.path().join("clients/My M2M.json");
    std::fs::write(
        &client,
        "{ \"name\": \"My M2M\", \"callbacks\": \"canary-15\", \"grant_types\": [{ \"a\": \"canary-16\" }] }",
    )
    .expect("written");
    let (code, out, error) = run_audit(folder.path(), &[]);
    assert!(code == Some(1) && !out.contains("canary") && error.is_empty(), "{out}{error}");
    assert!(out.contains("a text where a list belongs"), "{out}");
    std::fs::write(&client, "{ \"name\": \"My M2M\", \"client_secret\": canary-17 }").expect("written");
    let (code, out, error) = run_audit(folder.path(), &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        error.contains("clients/My M2M.json, line 1") && error.contains("right would be") && !error.contains("canary"),
        "{error}"
    );
}

#[test]
fn a_fingerprint_stays_when_others_come_in_front() {
    let mut tenant = good();
    for url in ["http://localhost:1/x", "http://localhost:2/x"] {
        edit(&mut tenant, "/clients/1/callbacks/-", json!(url));
    }
    edit(&mut tenant, "/clients/1/oidc_conformant", json!(false));
    edit(&mut tenant, "/clients/1/grant_types/-", json!("implicit"));
    let fingerprints = |tenant: &Value| -> BTreeSet<String> {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&sample("good"), folder.path());
        std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
        let (_, out, _) = run_audit(folder.path(), &["--format", "sarif"]);
        let sarif: Value = serde_json::from_str(&out).expect("JSON");
        let results = sarif["runs"][0]["results"].as_array().expect("results");
        let of = |result: &Value| result["partialFingerprints"]["ghostlight/v1"].as_str().map(str::to_owned);
        let all: BTreeSet<_> = results.iter().filter_map(of).collect();
        assert_eq!(all.len(), results.len(), "each has its own");
        all
    };
    let before = fingerprints(&tenant);
    assert!(before.len() >= 4, "{before:?}");
    let first = tenant["clients"][0].clone();
    let clients = tenant["clients"].as_array_mut().expect("a list");
    clients.insert(0, first);
    clients[0]["name"] = json!("New");
    clients[2]["callbacks"].as_array_mut().expect("a list").insert(0, json!("https://shop.northwind.internal/new"));
    assert_eq!(fingerprints(&tenant), before);
}

#[test]
fn the_readme_names_every_scope() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the README");
    let line = readme.lines().find(|line| line.contains("`--domain` reads with")).expect("a line of scopes");
    for asset in assets::ASSETS.iter().filter(|asset| !asset.scope.is_empty()) {
        assert!(line.contains(asset.scope), "{}", asset.scope);
    }
}

#[test]
fn a_baseline_accepts_until_it_expires_and_says_what_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tenant = good();
    edit(&mut tenant, "/clients/0/callbacks/-", json!("http://localhost:3000/x"));
    edit(&mut tenant, "/clients/1/callbacks/-", json!("http://localhost:4000/x"));
    copy(&sample("good"), folder.path());
    std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
    let baseline = folder.path().join("baseline.toml");
    let entry = |subject: &str, expires: &str| {
        format!(
            "[[accepted]]\ncheck = \"client-callback-localhost\"\nsubject = \"application {subject}\"\nreason = \"no tenant for development yet\"\nexpires = \"{expires}\"\n"
        )
    };
    let run = |text: &str, more: &[&str]| {
        std::fs::write(&baseline, text).expect("written");
        let path = baseline.display().to_string();
        run_audit(folder.path(), &[&["--baseline", &path], more].concat())
    };
    let both = entry("Portal", "2026-12-31") + &entry("Shop", "2026-11-23");
    let (code, out, error) = run(&both, &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("ACCEPTED (2)") && out.contains("no tenant for development yet"), "{out}");
    // A day later one has expired.
    let (code, out, _) = run(&both, &["--as-of", "2026-11-24T00:00:00Z"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(unwrapped(&out).contains("client-callback-localhost of application Shop expired on 2026-11-23"), "{out}");
    for format in ["json", "html", "sarif", "junit"] {
        let (_, out, _) = run(&both, &["--as-of", "2026-11-24T00:00:00Z", "--format", format]);
        assert!(out.contains("of application Shop expired on 2026-11-23"), "{format}: {out}");
    }
    let (code, out, _) = run(&(both.clone() + &entry("Mobile", "2026-12-31")), &[]);
    assert_eq!(code, Some(0), "{out}");
    assert!(unwrapped(&out).contains("of application Mobile matches nothing any more: remove it"), "{out}");
    let (code, out, _) = run(&both.replace("application Portal", "Portal"), &[]);
    assert_eq!(code, Some(1), "{out}");
    let wanted = "of Portal matches nothing: a subject is written with its kind, such as \"application Portal\"";
    assert!(unwrapped(&out).contains(wanted), "{out}");
    // Only one of an application's URLs.
    let with_evidence = entry("Portal", "2026-12-31") + "evidence = \"http://localhost:9/y\"\n";
    let (code, out, _) = run(&(with_evidence + &entry("Shop", "2026-12-31")), &[]);
    assert_eq!(code, Some(1), "{out}");
    for (wrong, what) in [
        (both.replace("client-callback-localhost", "client-callback-lokalhost"), "there is no such check"),
        (both.replace("2026-12-31", "soon"), "which is no day"),
        (both.replace("no tenant for development yet", " "), "the reason is empty"),
        (both.replace("reason", "raeson"), "raeson"),
        (both.replace("\"2026-12-31\"", "20261231"), "expires is \"integer\", which is no day"),
        (both.replace("2026-12-31", "2026-12-32\u{202e}"), "which is no day"),
        (both.replace("client-callback-localhost", "x\u{202e}\u{200b}y"), "x\\u{202e}\\u{200b}y of application"),
        (both.replace("reason", "r\u{202e}"), "r\\u{202e}"),
    ] {
        let (code, _, error) = run(&wrong, &[]);
        assert!(code == Some(2) && error.contains(what) && error.contains("right would be"), "{what}: {error}");
        assert!(!error.contains(['\u{202e}', '\u{200b}']), "{error}");
    }
    // As TOML has days.
    let (code, out, error) =
        run(&both.replace("\"2026-12-31\"", "2026-12-31").replace("\"2026-11-23\"", "2026-11-23"), &[]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    // What could not be looked at is not said to be gone, whether it expired or not.
    for callbacks in [json!("@@CALLBACKS@@"), json!(["@@CALLBACK@@"]), json!(["@@CALLBACK@@", "http://localhost:9/z"])]
    {
        let mut tenant = tenant.clone();
        edit(&mut tenant, "/clients/0/callbacks", callbacks);
        std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
        let one = |expires: &str| entry("Portal", expires) + "evidence = \"http://localhost:3000/x\"\n";
        let (_, out, _) = run(&(one("2026-12-31") + &entry("Shop", "2026-12-31") + &one("2026-01-01")), &[]);
        let out = unwrapped(&out);
        assert!(out.contains("expired on 2026-01-01") && !out.contains(": remove it"), "{out}");
    }
    std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
    let (_, sarif, _) = run(&both, &["--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|result| result["suppressions"][0]["justification"] == "no tenant for development yet"));
}

#[test]
fn what_is_accepted_stays_so_from_day_to_day() {
    let thing = |id: &str| Thing { id: Some(id.to_owned()), ..Thing::clone(&good_thing()) };
    let check = checks::all().find(|check| check.id == "client-grant-type-unused").expect("a check");
    let finding = |id: &str, day: u32| {
        let evidence =
            format!("no refresh_token (sertft) in 30 days (2026-10-{day} to 2026-11-{day}); the last use was never");
        let lasting = "no refresh_token (sertft)".len();
        let found = checks::Found { thing: thing(id), place: Place::of("x"), line: None, evidence, lasting };
        Finding { check, found, line: None, accepted: None }
    };
    let accepted = |more: &str, finding: Finding| {
        let text = format!(
            "[[accepted]]\ncheck = \"client-grant-type-unused\"\nsubject = \"application Shop\"\nreason = \"x\"\nexpires = 2027-01-31\n{more}"
        );
        let mut findings = [finding];
        let notes = Baseline::parse(&text).expect("a baseline").apply(&mut findings, |_, _| true, TODAY);
        (findings[0].accepted.is_some(), notes.into_iter().map(|note| note.text).collect::<String>())
    };
    let whole = format!("evidence = {:?}", finding("a", 20).found.evidence);
    for more in ["", "evidence = \"no refresh_token (sertft)\"", &whole, "id = \"a\""] {
        assert_eq!(accepted(more, finding("a", 21)), (true, String::new()), "{more}");
    }
    for more in ["evidence = \"no refresh_token (sertft)x\"", "evidence = \"no refresh\"", "id = \"b\""] {
        let (is_accepted, note) = accepted(more, finding("a", 21));
        assert!(
            !is_accepted && note.contains("what is open is subject \"application Shop\", id \"a\""),
            "{more}: {note}"
        );
    }
}

#[test]
fn the_exit_code_gates_a_pipeline() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&sample("good"), folder.path());
    let code = |tenant: &Value, fail_on: &str| {
        std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
        run_audit(folder.path(), &["--fail-on", fail_on]).0.expect("a code")
    };
    let codes =
        |tenant: &Value| ["required", "recommended", "best-practice", "never"].map(|fail_on| code(tenant, fail_on));
    let with = |pointer: &str, value: Value| {
        let mut tenant = good();
        edit(&mut tenant, pointer, value);
        tenant
    };
    assert_eq!(codes(&good()), [0, 0, 0, 0]);
    assert_eq!(codes(&with("/clients/0/initiate_login_uri", Value::Null)), [0, 0, 1, 0]);
    assert_eq!(codes(&with("/clients/1/refresh_token", json!({ "rotation_type": "rotating" }))), [0, 1, 1, 0]);
    assert_eq!(codes(&with("/resourceServers/0/signing_alg", json!("HS256"))), [1, 1, 1, 0]);
    // What could not be read leaves the gate shut, whatever is asked for; what was found all the same counts first.
    for (pointer, value) in [("/clients/0/name", json!("")), ("/clients/0/callbacks", json!("https://a.internal/"))] {
        let mut tenant = with(pointer, value);
        assert_eq!(codes(&tenant), [2, 2, 2, 2], "{pointer}");
        let (code, out, error) = run_audit(folder.path(), &["--format", "junit"]);
        assert!(code == Some(2) && error.contains("not all could be looked at: client-"), "{error}");
        assert!(!out.contains("errors=\"0\" skipped=\"12\"") && out.contains("<error type="), "{out}");
        edit(&mut tenant, "/resourceServers/0/signing_alg", json!("HS256"));
        assert_eq!(codes(&tenant), [1, 1, 1, 2], "{pointer}");
    }
    // What was left out shuts it only where that is asked for.
    let without = with("/roles", Value::Null);
    assert_eq!(codes(&without), [0, 0, 0, 0]);
    assert_eq!(["not-run", "never,not-run", "required,not-run"].map(|fail_on| code(&without, fail_on)), [2, 2, 2]);
    assert_eq!(code(&with("/resourceServers/0/signing_alg", json!("HS256")), "not-run"), 1);
    assert_eq!(code(&with("/clients/0/initiate_login_uri", Value::Null), "best-practice,not-run"), 1);
    assert_eq!(run_audit(&folder.path().join("nowhere"), &[]).0, Some(2));
}

#[test]
fn json_is_as_described() {
    let described = schemas::schema("audit");
    let folder = tempfile::tempdir().expect("a folder");
    let baseline = folder.path().join("baseline.toml");
    let entry = |check: &str, expires: &str| {
        format!(
            "[[accepted]]\ncheck = {check:?}\nsubject = \"application My SPA\"\nreason = \"x\"\nexpires = {expires:?}\n"
        )
    };
    std::fs::write(&baseline, entry("client-callback-localhost", "2027-01-01") + &entry("client-par", "2020-01-01"))
        .expect("written");
    let (_, out, _) =
        run_audit(&sample("example-directory"), &["--format", "json", "--baseline", &baseline.display().to_string()]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(schemas::problems(&described, &report), Vec::<String>::new());
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    schemas::keys_of(&report, "", &mut seen);
    schemas::described_keys(&described, &described, "", &mut all);
    assert_eq!(seen, all);
    let localhost =
        report["findings"].as_array().expect("findings").iter().find(|one| one["check"] == "client-callback-localhost");
    let localhost = localhost.expect("it is found");
    assert_eq!((&localhost["line"], &localhost["pointer"]), (&json!(6), &json!("/callbacks/1")));
    assert_eq!(localhost["accepted"]["expires"], "2027-01-01");
    for (key, wrong) in
        [("format", json!(2)), ("at", json!("now")), ("open", json!({})), ("not_run", json!([{ "check": "x" }]))]
    {
        let mut damaged = report.clone();
        damaged[key] = wrong;
        assert_ne!(schemas::problems(&described, &damaged), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn what_is_written_grows_with_the_findings_and_no_faster() {
    let folder = tempfile::tempdir().expect("a folder");
    let urls = json!(["http://localhost:3000/x", "https://*.a.internal", "https://www.example.com/x"]);
    let sizes = |count: usize| {
        let client = |number| {
            json!({
                "name": format!("app-{number}"), "app_type": "spa", "callbacks": urls, "web_origins": urls,
                "jwt_configuration": { "alg": "HS256" }, "grant_types": ["implicit", "password"], "oidc_conformant": false,
            })
        };
        let organization = |number| json!({ "name": format!("org-{number}"), "connections": [{ "name": "saml" }] });
        let tenant = json!({
            "clients": (0..count).map(client).collect::<Vec<_>>(),
            "organizations": (0..count).map(organization).collect::<Vec<_>>(),
            "databases": [], "connections": [{ "name": "saml", "strategy": "samlp" }],
        });
        std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
        ["text", "json", "html", "sarif", "junit"].map(|format| {
            let (_, out, _) = run_audit(folder.path(), &["--format", format]);
            if format == "json" {
                let report: Value = serde_json::from_str(&out).expect("JSON");
                let findings = report["findings"].as_array().expect("findings");
                assert!(findings.len() > 10 * count && out.len() < 400 * findings.len(), "{} bytes", out.len());
                let shared = findings.iter().find(|one| one["check"] == "enterprise-shared").expect("one is shared");
                assert!(
                    shared["evidence"]
                        .as_str()
                        .is_some_and(|text| text.ends_with(&format!(" and {} more", count - 10)))
                );
            }
            if format == "sarif" {
                let sarif: Value = serde_json::from_str(&out).expect("JSON");
                let run = &sarif["runs"][0];
                let results = run["results"].as_array().expect("results");
                let said = run["invocations"][0]["toolExecutionNotifications"].to_string();
                assert_eq!((results.len() == 25_000, said.contains("are left out")), (count == 2_000, count == 2_000));
                assert!(out.len() < 900 * results.len(), "{} bytes", out.len());
            }
            out.len()
        })
    };
    let (half, whole) = (sizes(1_000), sizes(2_000));
    for (half, whole) in half.into_iter().zip(whole) {
        assert!(whole * 2 < half * 5, "{half} bytes become {whole}");
    }
}

/// A tenant whose names are chosen by somebody who means ill.
fn nasty() -> Value {
    let mut tenant = good();
    edit(&mut tenant, "/clients/0/name", json!("</failure>\"><script>alert(1)</script>&\u{1b}[31m\u{0}\u{202e}"));
    edit(&mut tenant, "/clients/0/callbacks/-", json!("http://localhost/<b>&\"'"));
    tenant
}

#[test]
fn junit_is_xml_with_a_case_for_each_check() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&sample("good"), folder.path());
    std::fs::write(folder.path().join("tenant.yaml"), nasty().to_string()).expect("written");
    let (code, out, _) = run_audit(folder.path(), &["--format", "junit"]);
    assert_eq!(code, Some(1));
    let mut reader = quick_xml::Reader::from_str(&out);
    reader.config_mut().check_end_names = true;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut depth = 0;
    loop {
        match reader.read_event().expect("XML") {
            Event::Start(tag) | Event::Empty(tag) if !tag.name().as_ref().is_empty() => {
                tag.attributes().for_each(|attribute| {
                    assert!(
                        attribute.expect("an attribute").normalized_value(quick_xml::XmlVersion::Implicit1_0).is_ok()
                    )
                });
                *counts.entry(String::from_utf8_lossy(tag.name().as_ref()).into_owned()).or_default() += 1;
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(depth >= 0);
    assert_eq!(counts["testcase"], checks::all().count());
    assert_eq!(counts["failure"], 1);
    assert_eq!(counts["skipped"], 12);
    assert!(!counts.contains_key("script"), "{counts:?}");
}

#[test]
fn a_page_or_a_terminal_shows_names_as_text() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&sample("good"), folder.path());
    std::fs::write(folder.path().join("tenant.yaml"), nasty().to_string()).expect("written");
    let (_, html, _) = run_audit(folder.path(), &["--format", "html"]);
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    assert!(!html.contains("<script") && !html.contains("<b>") && html.contains("&lt;script&gt;"), "{html}");
    let (_, text, _) = run_audit(folder.path(), &[]);
    assert!(!text.contains(['\u{1b}', '\u{0}', '\u{202e}']) && text.contains("<script>"), "{text}");
    assert!(text.lines().filter(|line| !line.contains("see  https")).all(|line| line.chars().count() <= 130), "{text}");
}

#[test]
fn whoever_stops_reading_ends_it_quietly() {
    let mut child = audit(&sample("example-yaml"), &["--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), ""));
}
