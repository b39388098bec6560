//! The configuration beside what is used.

use super::*;

#[test]
fn a_ghost_is_found_by_the_name_of_its_client() {
    let mut events = Events::good(40);
    for second in 0..2_000 {
        let at = EventTime::from_ms(TODAY.ms() - 86_400_000 + second % 61 * 1_000 + second * 40_000);
        events.token(at, "Worker", ORDERS, "read:orders");
    }
    let verdicts = judged(&good(), Some(&events.traffic(30)));
    let ghost = &verdicts["client-ghost"];
    assert_eq!(ghost.state, State::Found);
    let names: Vec<_> = ghost.found.iter().map(|found| found.thing.name.as_str()).collect();
    assert_eq!((names, ghost.unjudged.len()), (vec!["Worker"], 0));
    // One that the configuration does not know is not passed over.
    let mut tenant = good();
    edit(&mut tenant, "/clients/3/name", json!("Worker 2"));
    let State::NotRun(why) = &judged(&tenant, Some(&events.traffic(30)))["client-ghost"].state else {
        panic!("it was judged");
    };
    assert!(why.why().contains("application \"Worker\"") && why.why().contains("knows no application"), "{why}");
}

#[test]
fn logins_from_before_an_organization_was_required_are_over() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/2/organization_usage", json!("require"));
    let state = |events: &Events| {
        let verdict = judged(&tenant, Some(&events.traffic(30))).remove("organizations-bypassed").expect("a check");
        (verdict.state, verdict.found.into_iter().map(|found| found.evidence).collect::<Vec<_>>())
    };
    let (state_of, found) = state(&Events::good(40));
    assert!(state_of == State::Found && found[0].ends_with("the last on 2026-11-23"), "{found:?}");
    // For three days all of Mobile's had one.
    let mut events = Events::good(40);
    let is_lately = |line: &str| ["2026-11-21", "2026-11-22", "2026-11-23"].iter().any(|day| line.contains(day));
    let keep = |line: &&str| !(line.contains("\"Mobile\"") && is_lately(line));
    events.lines = events.lines.lines().filter(keep).map(|line| format!("{line}\n")).collect();
    assert_eq!(state(&events), (State::Passed, Vec::new()));
}

#[test]
fn what_old_data_ends_with_is_not_said_to_be_so_today() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/2/organization_usage", json!("require"));
    let verdict = |traffic: &Traffic| judged(&tenant, Some(traffic)).remove("organizations-bypassed").expect("a check");
    let old = Events::good(40).without(&["2026-11-19", "2026-11-2"]).traffic(30);
    let verdicts = judged(&tenant, Some(&old));
    for id in ["organizations-bypassed", "b2b-disagrees", "client-ghost", "log-stream-filtered"] {
        let State::NotRun(why) = &verdicts[id].state else { panic!("{id}: {:?}", verdicts[id].found) };
        assert!(why.why().contains("the data ends on 2026-11-18"), "{id}: {why}");
    }
    // So that nothing is paged, and nothing that was paged is resolved.
    let reading = Reading { at: TODAY, source: "x".to_owned(), export: read(&tenant), baseline: Baseline::default() };
    let standing = Standing::new(&reading.report(Some(&old)));
    assert!(standing.required.is_empty() && standing.unknown("organizations-bypassed", "application Mobile").is_some());
    // What is not read yet takes nothing from what was seen.
    let held_back = Events::good(40).traffic_but(30, Some("partition 3 lags".to_owned()));
    let verdict = verdict(&held_back);
    let names = |things: Vec<&str>| things.into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(verdict.found.iter().map(|found| found.thing.name.as_str()).collect()), ["Mobile"]);
    assert_eq!(names(verdict.unjudged.iter().map(|one| one.thing.name.as_str()).collect()), ["Portal"]);
}

#[test]
fn without_any_event_yet_that_is_what_is_said() {
    let (lifetimes, thresholds) = (Lifetimes::default(), Thresholds::default());
    let traffic = Traffic::new("northwind", &TenantUsage::default(), 30, TODAY, (&lifetimes, &thresholds), None);
    let verdicts = judged(&good(), Some(&traffic));
    for id in ["client-unused", "client-ghost", "organizations-bypassed", "b2b-disagrees", "log-stream-filtered"] {
        let State::NotRun(why) = &verdicts[id].state else { panic!("{id}: {:?}", verdicts[id].state) };
        assert_eq!(why.why(), "the data has no event of \"northwind\" yet", "{id}");
    }
    let reading = Reading { at: TODAY, source: "x".to_owned(), export: read(&good()), baseline: Baseline::default() };
    let events = reading.report(Some(&traffic)).events.expect("there is traffic");
    assert!(events.ends_with("; the data has no event of \"northwind\" yet"), "{events}");
}

#[test]
fn connections_that_applications_never_use_are_found_once_each() {
    let mut tenant = good();
    for client in ["Mobile", "Portal"] {
        edit(&mut tenant, "/connections/0/enabled_clients/-", json!(client));
    }
    let verdicts = judged(&tenant, Some(&Events::good(40).traffic(30)));
    let found: Vec<_> = verdicts["client-connection-unused"].found.iter().map(|found| &found.evidence).collect();
    assert_eq!(
        found,
        [
            "2 of the 3 applications that may use it had no login by it in 30 days (2026-10-24 to 2026-11-23): \"Portal\", \"Mobile\""
        ]
    );
}

#[test]
fn an_organization_that_only_tokens_are_for_is_not_called_idle_where_an_export_has_no_ids() {
    let mut tenant = good();
    edit(&mut tenant, "/organizations/-", json!({ "name": "globex" }));
    let mut events = Events::good(40);
    let token = json!({ "type": "seccft", "audience": ORDERS, "scope": "", "organization_id": "org_globex" });
    events.push(token, Day::of(TODAY).plus(-1).start(), "Worker");
    let idle = judged(&tenant, Some(&events.traffic(30))).remove("organizations-idle").expect("a check");
    assert!(idle.unjudged[0].why.why().contains("known there by its id only"), "{:?} {:?}", idle.found, idle.unjudged);
    assert_eq!(idle.found, Vec::new());
    edit(&mut tenant, "/organizations/0/id", json!("org_acme"));
    edit(&mut tenant, "/organizations/1/id", json!("org_globex"));
    assert_eq!(judged(&tenant, Some(&events.traffic(30)))["organizations-idle"].state, State::Passed);
}

#[test]
fn a_password_in_an_audience_or_a_name_is_masked_and_joined_all_the_same() {
    let secret = "https://app:canary@orders.northwind.internal/";
    let mut tenant = good();
    for pointer in ["/resourceServers/0/identifier", "/resourceServers/0/name", "/clientGrants/0/audience"] {
        edit(&mut tenant, pointer, json!(secret));
    }
    edit(&mut tenant, "/roles/0/permissions/0/resource_server_identifier", json!(secret));
    edit(&mut tenant, "/resourceServers/0/enforce_policies", json!(false));
    edit(&mut tenant, "/resourceServers/0/signing_alg", json!("HS256"));
    edit(&mut tenant, "/clientGrants/0/allow_any_organization", json!(true));
    let mut events = Events::good(40).without(&["seccft"]);
    for second in 0..2_000 {
        let at = EventTime::from_ms(TODAY.ms() - 86_400_000 + second % 61 * 1_000 + second * 40_000);
        events.token(at, "Worker", secret, "read:orders");
    }
    let verdicts = judged(&tenant, Some(&events.traffic(30)));
    assert_eq!(verdicts["grant-unused"].found.len(), 1, "{:?}", verdicts["grant-unused"].found);
    assert_eq!(verdicts["grant-unused"].found[0].thing.name, format!("Deployer to {MANAGEMENT}"));
    let mut shown = String::new();
    for id in ["client-ghost", "rbac-not-enforced", "api-alg-hs256", "grant-any-organization"] {
        assert_eq!(verdicts[id].state, State::Found, "{id}");
        shown += &format!("{:?}", verdicts[id].found);
    }
    assert!(shown.contains("https://***@orders.northwind.internal/") && !shown.contains("canary"), "{shown}");
}

#[test]
fn nothing_is_called_unused_where_the_events_do_not_tell() {
    let unused = [
        "connection-unused",
        "client-unused",
        "grant-unused",
        "organizations-idle",
        "client-connection-unused",
        "client-grant-type-unused",
        "management-grant-idle",
    ];
    let states = |traffic: Option<&Traffic>| -> Vec<String> {
        let verdicts = judged(&good(), traffic);
        unused
            .iter()
            .map(|id| match &verdicts[id].state {
                State::NotRun(why) => why.to_string(),
                other => panic!("{id}: {other:?}"),
            })
            .collect()
    };
    let all_say = |traffic: Option<&Traffic>, what: &str| {
        states(traffic).iter().for_each(|why| assert!(why.contains(what), "{why}"));
    };
    all_say(None, "--data");
    all_say(Some(&Events::good(20).traffic(30)), "the data begins on 2026-11-04");
    // Everything stopped five days ago.
    let stale = Events::good(40).without(&["2026-11-19", "2026-11-2"]);
    all_say(Some(&stale.traffic(30)), "the data ends on 2026-11-18");
    let hole = Events::good(40).without(&["2026-11-08", "2026-11-09", "2026-11-10", "2026-11-11"]);
    all_say(Some(&hole.traffic(30)), "no events at all from 2026-11-08 to 2026-11-11");
    let mut filtered = Events::good(40);
    filtered.lines = filtered.lines.replace("\"type\":\"s\"", "\"type\":\"seacft\"");
    let filtered = filtered.traffic(30);
    all_say(Some(&filtered), "seems to be filtered");
    let verdicts = judged(&good(), Some(&filtered));
    let found = &verdicts["log-stream-filtered"].found;
    assert!(found[0].evidence.contains("no login (s, ssa)") && found[0].thing.name == "log stream", "{found:?}");
}

#[test]
fn a_type_that_never_comes_says_nothing_of_what_it_alone_would_show() {
    let without = |what: &[&str]| Events::good(40).without(what).traffic(30);
    let mut tenant = good();
    edit(&mut tenant, "/organizations/-", json!({ "name": "globex" }));
    edit(&mut tenant, "/clients/-", json!({ "name": "Old", "app_type": "spa", "grant_types": ["authorization_code"] }));
    let state = |verdicts: &BTreeMap<&'static str, Verdict>, id: &str, who: &str| {
        let verdict = &verdicts[id];
        match (&verdict.state, verdict.found.iter().any(|found| found.thing.name == who)) {
            (State::NotRun(why), _) => why.to_string(),
            (_, true) => "found".to_owned(),
            (..) => verdict.unjudged.iter().map(|unjudged| unjudged.why.why()).collect::<Vec<_>>().join("; "),
        }
    };
    let traffic = without(&["seccft"]);
    assert_eq!(traffic.gap, None);
    let verdicts = judged(&tenant, Some(&traffic));
    for (id, who) in [("grant-unused", "Worker"), ("client-unused", "Worker")] {
        assert!(state(&verdicts, id, who).contains("no M2M token (seccft)"), "{id}: {}", state(&verdicts, id, who));
    }
    assert_eq!(state(&verdicts, "client-unused", "Old"), "found");
    assert_eq!(state(&verdicts, "organizations-idle", "globex"), "found");
    let traffic = without(&["\"type\":\"s\""]);
    let verdicts = judged(&tenant, Some(&traffic));
    for id in ["connection-unused", "client-connection-unused", "organizations-idle", "client-unused"] {
        let said = state(&verdicts, id, "Old");
        assert!(said.contains("no login of anybody"), "{id}: {said}");
    }
    assert_eq!(verdicts["grant-unused"].state, State::Passed);
    // Silent logins show who is logged in already, not by what.
    let mut events = Events::good(40);
    events.lines = events.lines.replace("\"type\":\"s\"", "\"type\":\"ssa\"");
    let verdicts = judged(&tenant, Some(&events.traffic(30)));
    let said = state(&verdicts, "organizations-idle", "globex");
    assert!(said.contains("no login of anybody"), "{said}");
}

#[test]
fn a_renamed_application_is_not_called_unused_where_an_export_has_no_ids() {
    let mut tenant = good();
    // By their new names, of which there was no event yet; and one that nobody uses.
    edit(&mut tenant, "/clients/3/name", json!("Worker 2"));
    edit(&mut tenant, "/clientGrants/0/client_id", json!("Worker 2"));
    edit(&mut tenant, "/clients/0/name", json!("Portal 2"));
    edit(&mut tenant, "/clients/0/organization_usage", json!("require"));
    edit(&mut tenant, "/organizations/0/name", json!("acme-2"));
    edit(&mut tenant, "/clients/-", json!({ "name": "Old", "app_type": "spa", "grant_types": ["authorization_code"] }));
    let traffic = Events::good(40).traffic(30);
    let verdicts = judged(&tenant, Some(&traffic));
    let found = |id: &str| verdicts[id].found.iter().map(|found| found.thing.name.as_str()).collect::<Vec<_>>();
    let unjudged = |id: &str, who: &str| {
        let why = verdicts[id].unjudged.iter().find(|one| one.thing.name == who).map(|one| one.why.to_string());
        why.unwrap_or_else(|| panic!("{id} {who}: {:?} {:?}", verdicts[id].state, verdicts[id].found))
    };
    for (id, who) in [
        ("client-unused", "Worker 2"),
        ("client-unused", "Portal 2"),
        ("client-unused", "Old"),
        ("organizations-bypassed", "Portal 2"),
        ("grant-unused", "Worker 2 to https://orders.northwind.internal/"),
    ] {
        let why = unjudged(id, who);
        assert!(
            why.contains("the export has no ids, and the data has") && why.contains("does not know"),
            "{id}: {why}"
        );
    }
    // Of those that ask for tokens themselves, and of those that people log in to.
    assert!(
        unjudged("client-unused", "Worker 2").contains("1 busy applications that it does not know, such as \"Worker\"")
    );
    assert!(unjudged("client-unused", "Portal 2").contains("such as \"Portal\""));
    assert!(unjudged("organizations-idle", "acme-2").contains("1 busy organizations"));
    assert_eq!(found("client-unused"), Vec::<&str>::new());
    // What asks for tokens only is none of those that people log in to.
    edit(&mut tenant, "/clients/0/name", json!("Portal"));
    let verdicts = judged(&tenant, Some(&traffic));
    let found: Vec<_> = verdicts["client-unused"].found.iter().map(|found| found.thing.name.as_str()).collect();
    assert_eq!(found, ["Old"]);
    // With ids nothing is left to guess.
    for (index, name) in ["Portal", "Shop", "Mobile", "Worker", "Deployer", "Old"].iter().enumerate() {
        edit(&mut tenant, &format!("/clients/{index}/client_id"), json!(format!("id-of-{name}")));
    }
    let verdicts = judged(&tenant, Some(&traffic));
    assert_eq!(verdicts["client-unused"].unjudged, Vec::new());
    assert_eq!(verdicts["client-unused"].found.len(), 1);
}

#[test]
fn the_events_of_another_tenant_judge_nothing() {
    let traffic = Events::good(40).traffic(30);
    let mut tenant = good();
    for index in 0..5 {
        edit(&mut tenant, &format!("/clients/{index}/name"), json!(format!("other-{index}")));
    }
    let verdicts = judged(&tenant, Some(&traffic));
    for id in ["client-unused", "connection-unused", "grant-unused", "organizations-idle", "client-ghost"] {
        let State::NotRun(why) = &verdicts[id].state else { panic!("{id}: {:?}", verdicts[id].found) };
        assert!(why.why().contains("seems to be of another tenant: of the 5 applications"), "{id}: {why}");
    }
}

#[test]
fn events_after_the_day_of_the_audit_do_not_count() {
    let mut events = Events::good(40);
    let early = EventTime::from_ms(TODAY.ms() - 35 * 86_400_000);
    let late = EventTime::from_ms(TODAY.ms() + 3_600_000);
    events.login(early, "Old", "shoppers", "auth0", "");
    events.login(late, "Old", "old-connection", "auth0", "");
    events.login(EventTime::from_ms(TODAY.ms() + 3 * 86_400_000), "Old", "shoppers", "auth0", "");
    events.token(late, "Worker", MANAGEMENT, "read:clients");
    let traffic = events.traffic(30);
    assert_eq!(traffic.gap, None);
    let old = &traffic.clients["id-of-Old"].used;
    assert_eq!((old.events, old.last_at.map(|at| at.date().to_string())), (0, Some("2026-10-19".to_owned())));
    assert!(!traffic.connections.contains_key("old-connection"));
    assert!(!traffic.grants.contains_key(&("id-of-Worker".to_owned(), MANAGEMENT.to_owned())));
}

#[test]
fn joins_find_what_the_simulator_planted_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    succeed(
        ghostlight()
            .args(["simulate", "--seed", "5", "--events", "60000", "--days", "7", "--start", "2026-11-17", "-o"])
            .arg(path("events"))
            .arg("--truth")
            .arg(path("truth.json"))
            .arg("--tenant-config")
            .arg(path("config")),
    );
    succeed(ghostlight().arg("ingest").arg("--out").arg(path("out")).arg(path("events")));
    let truth: Truth = serde_json::from_slice(&std::fs::read(path("truth.json")).expect("written")).expect("a truth");
    let (tenant, planted) = truth.faults.first_key_value().expect("a tenant");
    let config = path("config").join(tenant);
    let data = path("out").display().to_string();
    let period = ["--as-of", "2026-11-24T00:00:00Z", "--unused-days", "6"];
    let settings = ["--data", &data, "--format", "json"];
    let output =
        ghostlight().arg("audit").arg("--config").arg(&config).args(settings).args(period).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("a-secret-that-no-output-has"));
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let checks: BTreeSet<&str> = planted.iter().map(|fault| fault.check.as_str()).collect();
    let found: BTreeSet<(String, String)> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| checks.contains(finding["check"].as_str().unwrap_or_default()))
        .map(|finding| {
            (
                finding["check"].as_str().unwrap_or_default().to_owned(),
                finding["name"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let wanted: BTreeSet<_> = planted.iter().map(|fault| (fault.check.clone(), fault.subject.clone())).collect();
    assert_eq!(found, wanted);
}
