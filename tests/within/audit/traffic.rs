//! The configuration beside what is used.

use super::*;

#[test]
fn a_ghost_is_found_by_the_name_of_its_client() {
    let events = Events::with_a_ghost();
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
fn logins_past_an_organization_are_over_once_users_have_logged_in_since() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/2/organization_usage", json!("require"));
    let verdict = |events: &Events| {
        let verdict = judged(&tenant, Some(&events.traffic(30))).remove("organizations-bypassed").expect("a check");
        let found: Vec<_> = verdict.found.into_iter().map(|found| found.evidence).collect();
        (verdict.state, found, verdict.unjudged.into_iter().map(|one| one.why.to_string()).collect::<Vec<_>>())
    };
    let ends_on = |events: &Events, day: &str| {
        let (state, found, _) = verdict(events);
        assert!(state == State::Found && found[0].ends_with(&format!("the last on {day}")), "{day}: {found:?}");
    };
    ends_on(&Events::good(40), "2026-11-23");
    // For five days nobody logged in to Mobile, while everything else went on; then, with an organization.
    let mut events = Events::good(40).without_lately(&["\"Mobile\""], 0..5);
    for ago in [2, 1, 0] {
        ends_on(&events, "2026-11-18");
        events.login(Day::of(TODAY).plus(-ago).start(), "Mobile", "members", "auth0", "acme");
    }
    assert_eq!(verdict(&events).0, State::Passed);
    // Nobody came for longer than was asked for.
    let (state, found, unjudged) = verdict(&Events::good(40).without_lately(&["\"Mobile\""], 0..35));
    assert!(matches!(state, State::NotRun(_)), "{found:?}");
    assert!(unjudged[0].contains("was on 2026-10-19, and hardly any came since"), "{unjudged:?}");
    // The stream leaves logins out since.
    let events = Events::good(40).without_lately(&["\"type\":\"s\""], 0..9);
    ends_on(&events, "2026-11-14");
    let (_, _, unjudged) = verdict(&events);
    assert!(unjudged[0].contains("\"Portal\"") && unjudged[0].contains("since 2026-11-14"), "{unjudged:?}");
}

#[test]
fn nothing_is_called_unused_where_logins_or_tokens_cover_too_few_of_the_days() {
    let mut tenant = good();
    edit(&mut tenant, "/organizations/-", json!({ "name": "globex" }));
    edit(&mut tenant, "/clients/-", json!({ "name": "Old", "app_type": "spa", "grant_types": ["authorization_code"] }));
    edit(&mut tenant, "/clients/-", json!({ "name": "Robot", "grant_types": ["client_credentials"] }));
    edit(&mut tenant, "/databases/-", json!({ "name": "Old-Users", "strategy": "auth0", "enabled_clients": ["Shop"] }));
    edit(&mut tenant, "/connections/0/enabled_clients/-", json!("Mobile"));
    edit(&mut tenant, "/clientGrants/-", json!({ "client_id": "Deployer", "audience": ORDERS, "scope": [] }));
    let by_logins = [
        ("connection-unused", "Old-Users"),
        ("client-connection-unused", "google-oauth2"),
        ("organizations-idle", "globex"),
        ("client-unused", "Old"),
    ];
    let deployer = format!("Deployer to {ORDERS}");
    let by_tokens = [("grant-unused", deployer.as_str()), ("client-unused", "Robot")];
    let is_found = |verdicts: &BTreeMap<&'static str, Verdict>, (id, who): (&str, &str)| {
        verdicts[id].found.iter().any(|found| found.thing.name == who)
    };
    let said = |verdicts: &BTreeMap<&'static str, Verdict>, (id, who): (&str, &str)| match &verdicts[id].state {
        State::NotRun(why) if verdicts[id].unjudged.is_empty() => why.to_string(),
        _ => verdicts[id].unjudged.iter().filter(|one| one.thing.name == who).map(|one| one.why.to_string()).collect(),
    };
    // Weekends, and a holiday of a week, are quiet.
    for (code, quiet) in [("\"type\":\"s\"", 8..15), ("seccft", 8..15), ("\"type\":\"s\"", 0..3)] {
        let traffic = Events::good(40).without_lately(&[code], quiet).traffic(30);
        let verdicts = judged(&tenant, Some(&traffic));
        for one in by_logins.iter().chain(&by_tokens) {
            assert!(is_found(&verdicts, *one), "{one:?}: {:?} {:?}", verdicts[one.0].state, verdicts[one.0].unjudged);
        }
    }
    for (code, of, others, what) in [
        ("\"type\":\"s\"", &by_logins[..], &by_tokens[..], "20 of the 31 days have logins (s)"),
        ("seccft", &by_tokens[..], &by_logins[..], "20 of the 31 days have M2M tokens (seccft)"),
    ] {
        let traffic = Events::good(40).without_lately(&[code], 10..21).traffic(30);
        assert_eq!(traffic.gap, None);
        let verdicts = judged(&tenant, Some(&traffic));
        for one in of {
            let said = said(&verdicts, *one);
            assert!(said.contains(what) && said.contains("none from 2026-11-03 to 2026-11-13"), "{one:?}: {said}");
            assert!(!is_found(&verdicts, *one), "{one:?}");
        }
        others.iter().for_each(|one| assert!(is_found(&verdicts, *one), "{one:?}"));
    }
}

#[test]
fn whether_a_grant_for_users_is_used_is_not_told_by_tokens_of_clients() {
    let of_users = |client: &str, audience: &str| json!({ "client_id": client, "audience": audience, "subject_type": "user", "scope": ["update:clients"] });
    let mut tenant = good();
    for (client, audience) in [("Worker", ORDERS), ("Shop", ORDERS), ("Shop", MANAGEMENT)] {
        edit(&mut tenant, "/clientGrants/-", of_users(client, audience));
    }
    edit(&mut tenant, "/clientGrants/2/allow_any_organization", json!(true));
    let verdicts = judged(&tenant, Some(&Events::good(40).traffic(30)));
    for (id, names) in [
        (
            "grant-unused",
            vec![
                format!("Worker to {ORDERS} for users"),
                format!("Shop to {ORDERS} for users"),
                format!("Shop to {MANAGEMENT} for users"),
            ],
        ),
        ("management-grant-idle", vec![format!("Shop to {MANAGEMENT} for users")]),
    ] {
        let verdict = &verdicts[id];
        assert_eq!(verdict.found, Vec::new(), "{id}");
        assert_eq!(verdict.unjudged.iter().map(|one| one.thing.name.clone()).collect::<Vec<_>>(), names, "{id}");
        assert!(verdict.unjudged.iter().all(|one| one.why.why().contains("it is for users")), "{:?}", verdict.unjudged);
    }
    // Its subject is not that of the client's own grant.
    let found = &verdicts["grant-any-organization"].found[0].thing;
    assert_eq!(found.subject(), format!("client grant Worker to {ORDERS} for users"));
    // Nor has it a secret.
    let wide: BTreeMap<_, _> =
        verdicts["management-grant-wide"].found.iter().map(|found| (&*found.thing.name, &*found.evidence)).collect();
    let of_shop = wide[&*format!("Shop to {MANAGEMENT} for users")];
    assert!(of_shop.starts_with("for its users, as far as each of them may: it has update:clients"), "{of_shop}");
    assert!(!verdicts["management-grant-wide"].check.why.contains("secret"));
    let kept = fetch::without_secrets("clientGrants", &of_users("Shop", ORDERS));
    assert_eq!(kept["subject_type"], "user");
    // Which of them it is may be unknown.
    edit(&mut tenant, "/clientGrants/3/subject_type", json!("@@SUBJECT@@"));
    let verdicts = judged(&tenant, Some(&Events::good(40).traffic(30)));
    let why = verdicts["grant-unused"].unjudged[1].why.to_string();
    assert!(why.contains("subject_type is @@SUBJECT@@"), "{why}");
}

#[test]
fn of_an_application_that_was_never_seen_is_said_that_it_may_be_new() {
    let mut tenant = good();
    let worker =
        |name: &str| json!({ "name": name, "app_type": "non_interactive", "grant_types": ["client_credentials"] });
    for name in ["Old", "Never"] {
        edit(&mut tenant, "/clients/-", worker(name));
    }
    let mut events = Events::good(40);
    events.token(Day::of(TODAY).plus(-35).start(), "Old", ORDERS, "read:orders");
    let verdicts = judged(&tenant, Some(&events.traffic(30)));
    let found = &verdicts["client-unused"].found;
    let said: Vec<_> = found.iter().map(|found| (&*found.thing.name, found.evidence.contains("added since"))).collect();
    assert_eq!(said, [("Never", true), ("Old", false)], "{found:?}");
    assert!(found[0].evidence.contains("no use was seen since 2026-10-15; it may have been added since"), "{found:?}");
}

#[test]
fn busy_applications_without_a_name_may_be_those_of_an_export_without_ids() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/1/organization_usage", json!("require"));
    let mut events = Events::good(40);
    events.lines = events.lines.replace("\"client_name\":\"Shop\"", "\"client_name\":\"\"");
    let verdicts = judged(&tenant, Some(&events.traffic(30)));
    for id in ["client-unused", "organizations-bypassed"] {
        let verdict = &verdicts[id];
        assert!(matches!(verdict.state, State::NotRun(_)), "{id}: {:?} {:?}", verdict.state, verdict.found);
        let why = verdict.unjudged[0].why.to_string();
        assert!(why.contains("\"Shop\"") && why.contains("such as \"id-of-Shop\""), "{id}: {why}");
    }
}

#[test]
fn single_sign_ons_without_a_connection_could_be_of_one_that_seems_unused() {
    let mut tenant = good();
    edit(&mut tenant, "/connections/-", json!({ "name": "email", "strategy": "email", "enabled_clients": ["Shop"] }));
    let mut events = Events::good(40);
    for ago in 1..4 {
        events.login(Day::of(TODAY).plus(-ago).start(), "Shop", "", "", "");
    }
    let found = judged(&tenant, Some(&events.traffic(30))).remove("connection-unused").expect("a check").found;
    let evidence = &found[0].evidence;
    assert!(evidence.contains("; 3 single sign-ons name no connection, and could be of it"), "{evidence}");
    // So could those be who go on by refresh tokens.
    assert!(evidence.ends_with("; refresh tokens of \"Shop\" are used, and could be of its users"), "{evidence}");
}

#[test]
fn grants_that_leave_a_trace_are_told_and_a_code_is_not_missed_where_refresh_tokens_are_used() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/1/grant_types/-", json!("password"));
    let found = |events: &Events| {
        let verdict = judged(&tenant, Some(&events.traffic(30))).remove("client-grant-type-unused").expect("a check");
        verdict.found.iter().map(|found| found.lasting_evidence().to_owned()).collect::<Vec<_>>()
    };
    let mut events = Events::good(40);
    assert_eq!(found(&events), ["no password (sepft)"]);
    events.push(json!({ "type": "sepft", "user_id": "auth0|1" }), Day::of(TODAY).start(), "Shop");
    assert_eq!(found(&events), Vec::<String>::new());
    // Whoever logged in longer ago renews.
    let mut renewing = Events::good(40).without(&["\"type\":\"seacft\""]);
    for ago in 0..40 {
        let at = Day::of(TODAY).plus(-ago).start();
        renewing.push(json!({ "type": "seacft", "user_id": "auth0|1" }), at, "Portal");
        renewing.push(json!({ "type": "sertft", "user_id": "auth0|1" }), at, "Shop");
        renewing.push(json!({ "type": "sepft", "user_id": "auth0|1" }), at, "Shop");
    }
    let verdict = judged(&tenant, Some(&renewing.traffic(30))).remove("client-grant-type-unused").expect("a check");
    assert!(verdict.found.iter().all(|found| !found.evidence.contains("authorization_code")), "{:?}", verdict.found);
    assert!(
        verdict.unjudged.iter().any(|one| one.why.why().contains("refresh tokens are used")),
        "{:?}",
        verdict.unjudged
    );
}

#[test]
fn one_old_event_does_not_make_the_data_begin_with_it() {
    let events = || Events::good(25);
    let gap = |events: &Events| events.traffic(30).gap.expect("a gap");
    assert!(gap(&events()).contains("the data begins on 2026-10-30"), "{}", gap(&events()));
    let mut old = events();
    old.login(Day::of(TODAY).plus(-400).start(), "Shop", "shoppers", "auth0", "");
    let expected = "the data has no events at all from 2025-10-20 to 2026-10-29";
    assert_eq!(gap(&old), expected);
    let since = Day::of(TODAY).plus(-24);
    assert_eq!(old.traffic(20).since, Some(since), "what was before a long pause says nothing of the time since");
    // A pause that ends as the period begins takes nothing from it.
    assert_eq!(old.traffic(24).gap, None);
    assert_eq!(old.traffic(26).gap, None);
}

#[test]
fn who_only_tries_does_not_use_an_application() {
    let mut tenant = good();
    let old =
        json!({ "name": "Old", "client_id": "id-of-Old", "app_type": "spa", "grant_types": ["authorization_code"] });
    edit(&mut tenant, "/clients/-", old);
    let mut events = Events::good(40);
    for ago in [2, 1] {
        let failed = json!({ "type": "fp", "user_id": "auth0|9", "connection": "shoppers", "strategy": "auth0" });
        events.push(failed, Day::of(TODAY).plus(-ago).start(), "Old");
    }
    let verdict = |events: &Events, id: &str| judged(&tenant, Some(&events.traffic(30))).remove(id).expect("a check");
    let evidence: Vec<_> = verdict(&events, "client-unused").found.into_iter().map(|found| found.evidence).collect();
    let wanted = "only failed attempts in 30 days (2026-10-24 to 2026-11-23): 2, the last on 2026-11-22";
    assert_eq!(evidence, [wanted]);
    assert_eq!(verdict(&events, "client-grant-type-unused").state, State::Passed, "that is the same");
    events.login(Day::of(TODAY).start(), "Old", "shoppers", "auth0", "");
    assert_eq!(verdict(&events, "client-unused").state, State::Passed);
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
            "2 of the 3 applications that may use it had no login by it: \"Portal\", \"Mobile\" in 30 days (2026-10-24 to 2026-11-23)"
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
    for day in 0..40 {
        events.token(Day::of(TODAY).plus(-day).start(), "Worker", secret, "read:orders");
    }
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
    let filtered = Events::without_logins().traffic(30);
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
    let (planted, found) = joins("60000");
    assert_eq!(found, planted);
    assert_eq!(planted.iter().filter(|(check, _)| check == "client-ghost").count(), 3);
}

#[test]
fn a_small_simulation_plants_no_ghosts_that_nobody_can_see() {
    let (planted, found) = joins("30000");
    let ghosts = |faults: &Faults| faults.iter().filter(|(check, _)| check == "client-ghost").count();
    assert_eq!(ghosts(&planted), 1, "{planted:?}");
    assert!(found.is_superset(&planted), "{found:?}");
    // What is too thin to be sure of may be found.
    assert_eq!(found.len() - ghosts(&found), planted.len() - ghosts(&planted), "{found:?}");
}

/// Check and subject.
type Faults = BTreeSet<(String, String)>;

/// What a simulation of a week planted, and what the audit found of that.
fn joins(events: &str) -> (Faults, Faults) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    succeed(
        ghostlight()
            .args(["simulate", "--seed", "5", "--events", events, "--days", "7", "--start", "2026-11-17", "-o"])
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
    (wanted, found)
}

#[test]
fn logins_at_the_canonical_domain_are_counted_where_the_data_has_host_names() {
    let tenant = good();
    let state = |traffic: &Traffic| judged(&tenant, Some(traffic)).remove("canonical-domain-used").expect("a check");
    let traffic = Events::past_the_custom_domain().traffic(30);
    let verdict = state(&traffic);
    assert_eq!(verdict.state, State::Found);
    let day = Day::of(TODAY).plus(-3);
    let period = traffic.period();
    let expected = format!("logins and signups came by northwind.eu.auth0.com {period}: 10 of 310, the last on {day}");
    assert_eq!(verdict.found[0].evidence, expected);
    // Before the period.
    let earlier = Events::past_the_custom_domain().traffic(2);
    assert_eq!(state(&earlier).state, State::Passed);
    // Nothing is said of days that the dataset lacks, and of events without a host.
    let mut traffic = Events::good(40).traffic(30);
    assert_eq!(state(&traffic).state, State::Passed);
    let whole = traffic.hosts.clone().expect("hosts");
    for (hosts, why) in [
        (
            Ok(Hosts { days: whole.days.iter().copied().skip(1).collect(), ..whole.clone() }),
            "the dataset events has nothing of",
        ),
        (Ok(Hosts { by_name: BTreeMap::new(), ..whole }), "names a host"),
        (Ok(Hosts::default()), "set datasets.events"),
        (Err("not read here"), "not read here"),
    ] {
        traffic.hosts = hosts;
        let State::NotRun(said) = state(&traffic).state else { panic!("{why}: it was judged") };
        assert!(said.why().contains(why), "{said}");
    }
}
