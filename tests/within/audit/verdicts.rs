//! Each check with a tenant that fails it and one that passes it, and what is not known.

use super::*;

#[test]
fn each_check_fails_its_tenant_and_passes_the_good_one() {
    let traffic = Events::good(40).traffic(30);
    assert_eq!(traffic.gap, None);
    let good = good();
    let wrong: Vec<_> = judged(&good, Some(&traffic))
        .into_values()
        .filter(|verdict| verdict.state != State::Passed || !verdict.unjudged.is_empty())
        .map(|verdict| format!("{}: {:?} {:?} {:?}", verdict.check.id, verdict.state, verdict.found, verdict.unjudged))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
    let faults = faults();
    for (id, edits, who) in &faults {
        let mut tenant = good.clone();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let verdicts = judged(&tenant, Some(&traffic));
        let verdict = verdicts.get(id).unwrap_or_else(|| panic!("there is no check {id}"));
        assert_eq!(verdict.state, State::Found, "{id}: {:?}", verdict.unjudged);
        let names: Vec<_> = verdict.found.iter().map(|found| found.thing.name.as_str()).collect();
        assert!(names.contains(who), "{id}: {names:?}");
        assert!(verdict.found.iter().all(|found| !found.evidence.is_empty()), "{id}");
    }
    // What no configuration shows.
    let by_traffic = [
        ("client-ghost", Events::with_a_ghost()),
        ("log-stream-filtered", Events::without_logins()),
        ("canonical-domain-used", Events::past_the_custom_domain()),
    ];
    for (id, events) in &by_traffic {
        assert_eq!(judged(&good, Some(&events.traffic(30)))[id].state, State::Found, "{id}");
    }
    let with_fault: Vec<_> = faults.iter().map(|(id, ..)| *id).chain(by_traffic.iter().map(|(id, _)| *id)).collect();
    let without: Vec<_> = checks::all().map(|check| check.id).filter(|id| !with_fault.contains(id)).collect();
    assert_eq!(without, Vec::<&str>::new(), "each check needs a tenant that fails it");
}

#[test]
fn what_could_not_be_judged_is_unknown_and_says_nothing_of_others_of_its_kind() {
    let mut tenant = good();
    edit(&mut tenant, "/clients/0/callbacks/-", json!("@@CALLBACK@@"));
    edit(&mut tenant, "/clients/1/callbacks/-", json!("http://localhost:3000/x"));
    edit(&mut tenant, "/clients/1/callbacks/-", json!("@@CALLBACK@@"));
    edit(&mut tenant, "/resourceServers", Value::Null);
    let reading = Reading { at: TODAY, source: "x".to_owned(), export: read(&tenant), baseline: Baseline::default() };
    let standing = Standing::new(&reading.report(None));
    let unknown = |check: &str, subject: &str| standing.unknown(check, subject).is_some();
    assert!(unknown("client-callback-localhost", "application Portal"));
    for found_or_seen in ["application Shop", "application Mobile"] {
        assert!(!unknown("client-callback-localhost", found_or_seen), "{found_or_seen}");
    }
    assert!(unknown("client-callback-localhost", "tenant settings"), "it may be what that hangs on");
    assert!(unknown("api-alg-hs256", "API Orders") && unknown("organizations-bypassed", "application Portal"));
    assert!(!unknown("client-grant-implicit", "application Portal"), "it passed");
    assert_eq!(standing.required.len(), 1);
}

#[test]
fn a_value_of_another_type_is_said_to_be_that() {
    for (pointer, value, id, why) in [
        (
            "/clients/1/grant_types",
            json!("implicit"),
            "client-refresh-rotation",
            "grant_types is a text where a list belongs",
        ),
        (
            "/clients/1/grant_types",
            json!([7, true]),
            "client-refresh-rotation",
            "in part true or false where a text belongs",
        ),
        (
            "/resourceServers/0/token_lifetime",
            json!(-1),
            "api-token-lifetime",
            "token_lifetime is a number where a number of at least 0 belongs",
        ),
        ("/clients/1/jwt_configuration", json!("RS256"), "client-alg-hs256", "alg is a text where an object belongs"),
        (
            "/guardianFactors",
            json!([{ "name": "otp", "enabled": "yes" }]),
            "mfa-no-factor",
            "a text where true or false",
        ),
        ("/guardianPolicies/policies", json!("all"), "mfa-never", "policies is a text where a list belongs"),
        ("/networkACLs/0/active", json!("yes"), "canonical-domain-open", "a text where true or false belongs"),
        ("/networkACLs/0/active", json!("@@ACTIVE@@"), "canonical-domain-open", "what it blocks is @@ACTIVE@@"),
        ("/resourceServers/0/scopes", json!("all"), "api-permissions-missing", "scopes is a text where a list belongs"),
        (
            "/databases/0/enabled_clients",
            json!(7),
            "b2b-open-signup",
            "enabled_clients is a number where a list belongs",
        ),
        ("/clients/1/grant_types", json!(["@@GRANT@@"]), "client-refresh-rotation", "grant_types is in part @@GRANT@@"),
    ] {
        let mut tenant = good();
        edit(&mut tenant, pointer, value);
        if id == "network-acl-missing" || id == "canonical-domain-open" {
            edit(&mut tenant, "/networkACLs/1/active", json!(false));
        }
        let State::NotRun(said) = judged(&tenant, None).remove(id).expect("a check").state else {
            panic!("{pointer}: it was judged")
        };
        assert!(said.why().contains(why), "{pointer}: {said}");
        assert_eq!(said.is_failed(), !why.contains("@@"), "{pointer}: {said}");
    }
}

#[test]
fn what_is_not_there_is_not_right() {
    let not_run = |edits: &[(&str, Value)], id: &str| {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let verdicts = judged(&tenant, None);
        assert!(matches!(verdicts[id].state, State::NotRun(_)), "{id} {edits:?}: {:?}", verdicts[id].found);
    };
    let protection = "/attackProtection/bruteForceProtection";
    for (id, pointer, value) in [
        ("tenant-classic-login", "/prompts/universal_login_experience", Value::Null),
        ("breached-passwords-method", "/attackProtection/breachedPasswordDetection/method", Value::Null),
        ("ip-throttling-attempts", "/attackProtection/suspiciousIpThrottling/stage/pre-login/rate", Value::Null),
        ("mfa-phone-provider", "/guardianFactors/0/name", json!("otp")),
        ("mfa-phone-provider", "/guardianFactors/0/enabled", Value::Null),
        ("mfa-phone-provider", "/guardianPhoneFactorSelectedProvider", json!({})),
        ("mfa-phone-provider", "/guardianPhoneFactorSelectedProvider/provider", json!("")),
        ("api-management-user-access", "/resourceServers/1/subject_type_authorization", Value::Null),
        ("api-management-user-access", "/resourceServers", json!([])),
        ("client-grant-implicit", "/clients/1/grant_types", Value::Null),
        ("client-grant-password", "/clients/1/grant_types", Value::Null),
        ("client-grant-surplus", "/clients/1/grant_types", Value::Null),
        ("client-refresh-rotation", "/clients/1/grant_types", Value::Null),
        ("canonical-domain-open", "/networkACLs/0/active", Value::Null),
        ("canonical-domain-open", "/networkACLs/0/rule/match/hostnames", json!(["@@HOSTS@@"])),
        ("email-templates-default", "/emailTemplates/1/enabled", Value::Null),
        ("rbac-not-enforced", "/roles/0/permissions", json!("@@PERMISSIONS@@")),
        ("pkce-not-enforced", "/triggers", Value::Null),
        ("canonical-domain-open", "/networkACLs/0/rule", json!("@@RULE@@")),
        ("management-acl-missing", "/networkACLs/1/rule", json!("@@RULE@@")),
        ("management-acl-missing", "/networkACLs/1/active", json!("@@ACTIVE@@")),
        ("management-acl-missing", "/networkACLs/1/rule/scope", json!("@@SCOPE@@")),
        ("pkce-not-enforced", "/triggers/post-login", json!("@@BINDINGS@@")),
        ("pkce-not-enforced", "/triggers/post-login/0/action_name", json!("##NAME##")),
        ("bot-detection-off", "/attackProtection/botDetection/challenge_password_policy", Value::Null),
        ("management-grant-wide", "/clientGrants/1/scope/-", json!("##SCOPES##")),
        ("enterprise-without-organization", "/organizations/0/connections/0/name", json!("##SAML##")),
        ("enterprise-without-organization", "/connections/1/name", json!("##SAML##")),
        ("brute-force-block", &format!("{protection}/enabled"), json!(false)),
        ("brute-force-block", &format!("{protection}/enabled"), Value::Null),
    ] {
        let more = ("/resourceServers/0/enforce_policies", json!(false));
        let edits = if id == "rbac-not-enforced" { vec![more, (pointer, value)] } else { vec![(pointer, value)] };
        not_run(&edits, id);
    }
    not_run(&[("/networkACLs/0/active", Value::Null), ("/networkACLs/1/active", Value::Null)], "network-acl-missing");
}

#[test]
fn what_is_done_in_another_shape_passes_too() {
    let own = "northwind.eu.auth0.com";
    for (id, rule) in [
        (
            "canonical-domain-open",
            json!({ "scope": "tenant", "action": { "block": true }, "match": { "hostnames": [own] } }),
        ),
        (
            "canonical-domain-open",
            json!({ "scope": "authentication", "action": { "block": true }, "not_match": { "hostnames": ["login.northwind.internal"] } }),
        ),
        (
            "management-acl-missing",
            json!({ "scope": "management", "action": { "block": true }, "not_match": { "ipv4_cidrs": ["203.0.113.0/24"] } }),
        ),
        (
            "management-acl-missing",
            json!({ "scope": "tenant", "action": { "allow": true }, "match": { "ipv6_cidrs": ["2001:db8::/32"] } }),
        ),
    ] {
        let mut tenant = good();
        edit(&mut tenant, "/networkACLs", json!([{ "description": "a", "active": true, "rule": rule }]));
        assert_eq!(judged(&tenant, None)[id].state, State::Passed, "{id}: {tenant}");
    }
    let mut tenant = good();
    let but_own = json!({ "scope": "tenant", "action": { "block": true }, "not_match": { "hostnames": [own] } });
    edit(&mut tenant, "/networkACLs", json!([{ "description": "a", "active": true, "rule": but_own }]));
    assert_eq!(judged(&tenant, None)["canonical-domain-open"].state, State::Found, "all but the canonical domain");
    // What is for some requests only, or for another tenant's domain, protects nobody.
    for (id, rule) in [
        (
            "canonical-domain-open",
            json!({ "scope": "tenant", "action": { "block": true }, "match": { "hostnames": [own], "geo_country_codes": ["KP"] } }),
        ),
        (
            "canonical-domain-open",
            json!({ "scope": "tenant", "action": { "block": true }, "match": { "hostnames": ["another.us.auth0.com"] } }),
        ),
        (
            "management-acl-missing",
            json!({ "scope": "management", "action": { "allow": true }, "match": { "ipv4_cidrs": ["0.0.0.0/0"] } }),
        ),
    ] {
        let mut tenant = good();
        edit(&mut tenant, "/networkACLs", json!([{ "description": "a", "active": true, "rule": rule }]));
        assert_eq!(judged(&tenant, None)[id].state, State::Found, "{id}: {rule}");
        // A recording holds enough to say the same.
        let recorded = fetch::without_secrets("networkACLs", &tenant["networkACLs"]);
        edit(&mut tenant, "/networkACLs", recorded);
        assert_eq!(judged(&tenant, None)[id].state, State::Found, "{id}: {tenant}");
    }
}

#[test]
fn a_flexible_password_policy_goes_before_the_older_settings() {
    const PASSWORDS: [&str; 4] = [
        "database-password-policy",
        "database-password-length",
        "database-password-history",
        "database-password-personal",
    ];
    let older = ["passwordPolicy", "password_complexity_options", "password_history", "password_no_personal_info"];
    let states = |options: Value, keeps_older: bool| {
        let mut tenant = good();
        for database in 0..tenant["databases"].as_array().expect("databases").len() {
            let at = format!("/databases/{database}/options");
            edit(&mut tenant, &format!("{at}/password_options"), options.clone());
            let gone = older.iter().filter(|_| !keeps_older);
            gone.for_each(|key| edit(&mut tenant, &format!("{at}/{key}"), Value::Null));
        }
        let recorded = fetch::without_secrets("databases", &tenant["databases"]);
        let first = judged(&tenant, None);
        edit(&mut tenant, "/databases", recorded);
        let again = judged(&tenant, None);
        PASSWORDS.map(|id| {
            assert!(options.is_string() || first[id].state == again[id].state, "as recorded: {id}");
            first[id].state.clone()
        })
    };
    let all = |state: State| [state.clone(), state.clone(), state.clone(), state];
    let strong = json!({
        "complexity": { "min_length": 12, "character_types": ["uppercase", "lowercase", "number"] },
        "dictionary": { "active": false }, "history": { "active": true, "size": 5 }, "profile_data": { "active": true },
    });
    let weak = json!({
        "complexity": { "min_length": 1, "character_types": [] },
        "dictionary": { "active": false }, "history": { "active": false }, "profile_data": { "active": false },
    });
    for keeps_older in [true, false] {
        assert_eq!(states(strong.clone(), keeps_older), all(State::Passed));
        assert_eq!(states(weak.clone(), keeps_older), all(State::Found));
    }
    let mut by_dictionary = weak;
    by_dictionary["dictionary"]["active"] = json!(true);
    assert_eq!(states(by_dictionary, true)[0], State::Passed);
    assert!(states(json!("@@OPTIONS@@"), true).iter().all(|state| matches!(state, State::NotRun(_))));
    assert!(matches!(states(json!({}), true)[..2], [State::NotRun(_), State::NotRun(_)]));
}

#[test]
fn an_api_of_ones_own_is_not_the_management_api_by_how_its_identifier_ends() {
    let mut tenant = good();
    let own = json!({
        "name": "Own", "identifier": "https://api.acme.io/api/v2", "signing_alg": "HS256", "token_lifetime": 2_592_000,
        "subject_type_authorization": { "user": { "policy": "allow_all" } },
    });
    edit(&mut tenant, "/resourceServers/-", own);
    let grant = json!({ "client_id": "Worker", "audience": "https://api.acme.io/api/v2", "scope": ["delete:users"] });
    edit(&mut tenant, "/clientGrants/-", grant);
    let verdicts = judged(&tenant, None);
    for id in ["api-alg-hs256", "api-token-lifetime", "api-user-policy", "api-permissions-missing"] {
        assert_eq!(verdicts[id].state, State::Found, "{id}");
    }
    for id in ["api-management-user-access", "management-grant-wide"] {
        assert_eq!(verdicts[id].state, State::Passed, "{id}");
    }
    // Behind a placeholder what is said to be none is none; and what is said to be Auth0's own is, whatever its host.
    let placed = "https://##ORDERS##/api/v2/";
    edit(&mut tenant, "/resourceServers/2/identifier", json!(placed));
    edit(&mut tenant, "/resourceServers/2/is_system", json!(false));
    edit(&mut tenant, "/clientGrants/2/audience", json!(placed));
    let verdicts = judged(&tenant, None);
    assert_eq!(verdicts["api-alg-hs256"].state, State::Found);
    assert!(matches!(verdicts["management-grant-wide"].state, State::NotRun(_)), "its audience is not known");
    let private = "https://auth.corp.internal/api/v2/";
    edit(&mut tenant, "/resourceServers/2/identifier", json!(private));
    edit(&mut tenant, "/resourceServers/2/is_system", json!(true));
    edit(&mut tenant, "/clientGrants/2/audience", json!(private));
    assert_eq!(judged(&tenant, None)["management-grant-wide"].state, State::Found);
}

#[test]
fn more_of_what_is_wrong_is_found() {
    let found = |edits: &[(&str, Value)], id: &str, who: &str| {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let verdicts = judged(&tenant, None);
        let names: Vec<_> = verdicts[id].found.iter().map(|found| found.thing.name.as_str()).collect();
        assert!(names.contains(&who), "{id} {edits:?}: {:?}", verdicts[id].state);
    };
    found(&[("/clients/0/jwt_configuration/alg", json!("none"))], "client-alg-hs256", "Portal");
    found(&[("/resourceServers/0/signing_alg", json!("none"))], "api-alg-hs256", "Orders");
    for strategy in ["yandex", "weibo", "paypal-sandbox"] {
        let connection = json!({ "name": "x", "strategy": strategy, "options": {} });
        found(&[("/connections/-", connection)], "social-developer-keys", "x");
    }
    for scope in ["update:actions", "read:client_keys", "update:clients", "delete:users", "create:signing_keys"] {
        let who = "Deployer to https://northwind.eu.auth0.com/api/v2/";
        found(&[("/clientGrants/1/scope", json!([scope]))], "management-grant-wide", who);
    }
    found(
        &[
            ("/resourceServers/1/is_system", Value::Null),
            ("/resourceServers/1/subject_type_authorization/user/policy", json!("allow_all")),
        ],
        "api-management-user-access",
        "Auth0 Management API",
    );
    found(&[("/tenant/session_lifetime_in_minutes", json!(20_000))], "tenant-session-lifetime", "settings");
    found(
        &[("/clients/0/name", json!("All Applications")), ("/clients/0/jwt_configuration/alg", json!("HS256"))],
        "client-alg-hs256",
        "All Applications",
    );
    // Only what runs counts, and only where it runs.
    let never = ("/guardianPolicies/policies", json!([]));
    found(std::slice::from_ref(&never), "mfa-never", "MFA");
    let at_login = ("/actions/1/supported_triggers/0/id", json!("post-login"));
    found(&[never.clone(), at_login.clone(), ("/actions/1/deployed", json!(false))], "mfa-never", "MFA");
    found(&[("/actions/0/deployed", json!(false))], "pkce-not-enforced", "Shop");
    found(&[("/actions/0/supported_triggers/0/id", json!("post-user-registration"))], "pkce-not-enforced", "Shop");
    found(std::slice::from_ref(&at_login), "password-reset-mfa", "members");
    let bound = ("/triggers/post-login/-", json!({ "action_name": "reset" }));
    found(&[never.clone(), at_login.clone()], "mfa-never", "MFA");
    found(&[never.clone(), at_login.clone(), bound.clone(), ("/actions/1/deployed", json!(false))], "mfa-never", "MFA");
    found(&[("/triggers/post-login", json!([]))], "pkce-not-enforced", "Shop");
    found(&[("/triggers/post-login", Value::Null)], "pkce-not-enforced", "Shop");
    found(&[("/triggers", json!({}))], "pkce-not-enforced", "Shop");
    found(&[("/triggers/password-reset-post-challenge", json!([]))], "password-reset-mfa", "members");
    let mut tenant = good();
    [never, at_login, bound].into_iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value));
    edit(&mut tenant, "/clients/0/global", json!(true));
    edit(&mut tenant, "/clients/0/jwt_configuration/alg", json!("HS256"));
    let verdicts = judged(&tenant, None);
    assert_eq!((&verdicts["mfa-never"].state, &verdicts["client-alg-hs256"].state), (&State::Passed, &State::Passed));
}

#[test]
fn what_cannot_be_read_of_one_part_leaves_the_others() {
    for (pointer, value, id, why) in [
        (
            "/clients/0/name",
            json!(""),
            "client-alg-hs256",
            "tenant.yaml#/clients/0/name: an application without a name",
        ),
        ("/clients/0/name", json!(17), "client-alg-hs256", "tenant.yaml#/clients/0/name"),
        ("/databases/-", json!("@@DB@@"), "database-passkeys", "tenant.yaml#/databases/2 is the placeholder @@DB@@"),
        ("/roles/0", json!(7), "rbac-not-enforced", "tenant.yaml#/roles/0/name"),
    ] {
        let mut tenant = good();
        edit(&mut tenant, pointer, value);
        let verdicts = judged(&tenant, None);
        let State::NotRun(said) = &verdicts[id].state else { panic!("{pointer}: {:?}", verdicts[id].state) };
        assert!(said.why().contains(why), "{said}");
        assert_eq!(verdicts["api-alg-hs256"].state, State::Passed);
    }
}

#[test]
fn what_is_shown_of_minutes_is_readable() {
    let mut tenant = good();
    edit(&mut tenant, "/tenant/session_lifetime_in_minutes", json!(1_000_000));
    let found = judged(&tenant, None).remove("tenant-session-lifetime").expect("a check").found;
    assert_eq!(found[0].evidence, "session_lifetime_in_minutes is 16666.67 hours");
}
