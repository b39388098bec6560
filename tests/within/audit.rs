//! The audit: each check with a tenant that fails it and one that passes it, exports in both layouts, joins with traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ghostlight::audit::assets::{self, Layout};
use ghostlight::audit::baseline::Baseline;
use ghostlight::audit::checks::{self, Scene, State, Verdict};
use ghostlight::audit::document::Document;
use ghostlight::audit::export::{self, Export};
use ghostlight::audit::fetch;
use ghostlight::audit::standing::{Reading, Standing};
use ghostlight::audit::traffic::Traffic;
use ghostlight::event::{Day, EventTime};
use ghostlight::simulate::Truth;
use ghostlight::store::Store;
use ghostlight::usage::{
    self, TenantUsage, Usage,
    ghost::{Lifetimes, Thresholds},
};
use object_store::memory::InMemory;
use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::schemas;
use crate::support::{config, ghostlight, ingest, runtime, succeed};

/// 2026-11-23T12:00:00Z, the day of every audit here.
const TODAY: EventTime = EventTime::from_ms(1_795_435_200_000);
const ORDERS: &str = "https://orders.northwind.internal/";
const MANAGEMENT: &str = "https://northwind.eu.auth0.com/api/v2/";

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tenants").join(name)
}

/// The good tenant's configuration as JSON.
pub fn good() -> Value {
    let text = std::fs::read_to_string(sample("good/tenant.yaml")).expect("the good tenant");
    Document::yaml("tenant.yaml", &text).expect("YAML").root
}

/// Events of the good tenant: `days` of them, each application and connection in use every day.
struct Events {
    lines: String,
    number: u64,
}

impl Events {
    fn good(days: i64) -> Self {
        let mut events = Self { lines: String::new(), number: 0 };
        for day in (0..days).rev() {
            let at = Day::of(TODAY).plus(-day).start();
            for _ in 0..2 {
                events.login(at, "Portal", "acme-saml", "samlp", "acme");
                events.login(at, "Portal", "members", "auth0", "acme");
                events.login(at, "Shop", "shoppers", "auth0", "");
                events.login(at, "Shop", "google-oauth2", "google-oauth2", "");
                events.login(at, "Mobile", "shoppers", "auth0", "");
            }
            events.token(at, "Worker", ORDERS, "read:orders");
            events.token(at, "Deployer", MANAGEMENT, "read:clients");
            // Few, so that the rest can be left out.
            if day == 5 {
                for client in ["Portal", "Shop", "Mobile"] {
                    events.push(json!({ "type": "seacft", "user_id": "auth0|1" }), at, client);
                    events.push(json!({ "type": "sertft", "user_id": "auth0|1" }), at, client);
                }
            }
        }
        events
    }

    fn push(&mut self, mut event: Value, at: EventTime, client: &str) {
        self.number += 1;
        event["date"] = json!(EventTime::from_ms(at.ms() + (self.number % 3_600 * 1_000) as i64).to_string());
        event["log_id"] = json!(format!("number-{}", self.number));
        event["client_id"] = json!(format!("id-of-{client}"));
        event["client_name"] = json!(client);
        event["tenant_name"] = json!("northwind");
        self.lines += &format!("{event}\n");
    }

    fn login(&mut self, at: EventTime, client: &str, connection: &str, strategy: &str, organization: &str) {
        let mut event = json!({ "type": "s", "user_id": "auth0|1", "connection": connection, "strategy": strategy });
        if !organization.is_empty() {
            event["organization_id"] = json!(format!("org_{organization}"));
            event["organization_name"] = json!(organization);
        }
        self.push(event, at, client);
    }

    fn token(&mut self, at: EventTime, client: &str, audience: &str, scope: &str) {
        self.push(json!({ "type": "seccft", "audience": audience, "scope": scope, "ip": "192.0.2.1" }), at, client);
    }

    /// Without the lines of some days or kinds.
    fn without(mut self, what: &[&str]) -> Self {
        let is_kept = |line: &&str| !what.iter().any(|what| line.contains(what));
        self.lines = self.lines.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        self
    }

    fn traffic(&self, days: i64) -> Traffic {
        self.traffic_but(days, None)
    }

    fn traffic_but(&self, days: i64, held_back: Option<String>) -> Traffic {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events");
        std::fs::write(&file, &self.lines).expect("written");
        let store = Store::of(Arc::new(InMemory::new()));
        ingest(&store, &config(""), &[&file]).expect("ingests");
        let mut usage = Usage::default();
        let rows = runtime().block_on(usage::fold(&store)).expect("reads");
        usage.absorb_within(&rows, &(EventTime::from_ms(0)..TODAY));
        let (lifetimes, thresholds) = (Lifetimes::default(), Thresholds::default());
        usage.settle(&lifetimes);
        let usage = usage.tenant("northwind").expect("there are events");
        Traffic::new("northwind", usage, days, TODAY, (&lifetimes, &thresholds), held_back)
    }
}

fn read(tenant: &Value) -> Export {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&sample("good"), folder.path());
    // JSON is YAML.
    std::fs::write(folder.path().join("tenant.yaml"), tenant.to_string()).expect("written");
    export::read(folder.path()).expect("an export")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                std::fs::copy(entry.path(), target).expect("copied");
            }
        }
    }
}

fn judged(tenant: &Value, traffic: Option<&Traffic>) -> BTreeMap<&'static str, Verdict> {
    let export = read(tenant);
    let scene = Scene { tenant: &export.tenant, traffic };
    checks::judge(&scene).into_iter().map(|verdict| (verdict.check.id, verdict)).collect()
}

/// Sets what a pointer leads to; `-` at its end adds to a list, and null removes.
fn edit(tenant: &mut Value, pointer: &str, value: Value) {
    let (above, key) = pointer.rsplit_once('/').expect("a pointer");
    if tenant.pointer(above).is_none() {
        edit(tenant, above, json!({}));
    }
    match tenant.pointer_mut(above).expect("what is above") {
        Value::Object(fields) if value.is_null() => {
            fields.remove(key);
        }
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        other => panic!("{pointer}: {other} has no parts"),
    }
}

type Edits = Vec<(&'static str, Value)>;

/// What makes the good tenant fail each check, and who is found.
#[rustfmt::skip]
fn faults() -> Vec<(&'static str, Edits, &'static str)> {
    let all = |ids: &[&'static str], edits: Edits, who: &'static str| -> Vec<(&'static str, Edits, &'static str)> { ids.iter().map(|id| (*id, edits.clone(), who)).collect() };
    let one = |id: &'static str, pointer: &'static str, value: Value, who: &'static str| (id, vec![(pointer, value)], who);
    let settings = "settings";
    let mut faults = vec![
        one("tenant-support-email", "/tenant/support_email", json!(""), settings),
        one("tenant-support-url", "/tenant/support_url", Value::Null, settings),
        one("tenant-login-uri", "/tenant/default_redirection_uri", Value::Null, settings),
        one("tenant-logout-urls", "/tenant/allowed_logout_urls", json!([]), settings),
        one("tenant-node-version", "/tenant/sandbox_version", json!("18"), settings),
        one("tenant-idtoken-management-api", "/tenant/flags/enable_idtoken_api2", json!(true), settings),
        one("tenant-legacy-ro-grant", "/tenant/flags/allow_legacy_ro_grant_types", json!(true), settings),
        one("tenant-legacy-tokeninfo", "/tenant/flags/allow_legacy_tokeninfo_endpoint", json!(true), settings),
        one("tenant-legacy-delegation", "/tenant/flags/allow_legacy_delegation_grant_types", json!(true), settings),
        one("tenant-legacy-profile", "/tenant/flags/enable_legacy_profile", json!(true), settings),
        one("tenant-other-legacy-grants", "/tenant/flags/allow_other_legacy_grant_types", json!(true), settings),
        one("tenant-dynamic-registration", "/tenant/flags/enable_dynamic_client_registration", json!(true), settings),
        one("tenant-user-exists-error", "/tenant/flags/enable_public_signup_user_exists_error", json!(true), settings),
        one("tenant-clickjacking", "/tenant/flags/disable_clickjack_protection_headers", json!(true), settings),
        one("tenant-client-connections", "/tenant/flags/enable_client_connections", json!(true), settings),
        one("tenant-default-audience", "/tenant/default_audience", json!(ORDERS), settings),
        one("tenant-default-directory", "/tenant/default_directory", json!("members"), settings),
        one("tenant-session-lifetime", "/tenant/idle_session_lifetime", json!(100), settings),
        one("tenant-session-lifetime", "/tenant/ephemeral_session_lifetime", json!(200), settings),
        one("tenant-session-cookie", "/tenant/session_cookie", Value::Null, settings),
        one("tenant-error-page", "/pages", json!([]), settings),
        one("tenant-classic-login", "/prompts/universal_login_experience", json!("classic"), settings),
        one("client-alg-hs256", "/clients/0/jwt_configuration/alg", json!("HS256"), "Portal"),
        one("client-grant-implicit", "/clients/1/grant_types/-", json!("implicit"), "Shop"),
        one("client-grant-password", "/clients/2/grant_types/-", json!("password"), "Mobile"),
        one("client-grant-surplus", "/clients/1/grant_types/-", json!("client_credentials"), "Shop"),
        one("client-oidc-conformant", "/clients/0/oidc_conformant", json!(false), "Portal"),
        one("client-auth-none", "/clients/3/token_endpoint_auth_method", json!("none"), "Worker"),
        ("client-private-key-jwt", vec![("/clients/3/token_endpoint_auth_method", json!("client_secret_post")), ("/clients/3/client_authentication_methods", Value::Null)], "Worker"),
        one("client-refresh-rotation", "/clients/1/refresh_token/rotation_type", json!("non-rotating"), "Shop"),
        one("client-refresh-expiration", "/clients/1/refresh_token/expiration_type", Value::Null, "Shop"),
        one("client-refresh-infinite", "/clients/1/refresh_token/infinite_token_lifetime", json!(true), "Shop"),
        one("client-id-token-lifetime", "/clients/0/jwt_configuration/lifetime_in_seconds", json!(864_000), "Portal"),
        one("client-cross-origin-auth", "/clients/1/cross_origin_auth", json!(true), "Shop"),
        one("client-third-party", "/clients/4/is_first_party", json!(false), "Deployer"),
        one("client-login-uri", "/clients/0/initiate_login_uri", Value::Null, "Portal"),
        one("client-logout-url", "/clients/0/allowed_logout_urls", json!([]), "Portal"),
        one("client-callback-scheme", "/clients/2/callbacks/-", json!("com.northwind.mobile://callback"), "Mobile"),
        one("client-callback-missing", "/clients/2/callbacks", Value::Null, "Mobile"),
        ("client-own-login-page", vec![("/prompts/universal_login_experience", json!("classic")), ("/clients/0/custom_login_page_on", json!(true))], "Portal"),
        one("client-backchannel-logout", "/clients/0/oidc_logout", Value::Null, "Portal"),
        one("client-par", "/clients/0/require_pushed_authorization_requests", json!(false), "Portal"),
        one("client-jar", "/clients/0/signed_request_object", Value::Null, "Portal"),
        one("client-sender-constraining", "/clients/3/require_proof_of_possession", json!(false), "Worker"),
        one("api-alg-hs256", "/resourceServers/0/signing_alg", json!("HS256"), "Orders"),
        one("api-token-lifetime", "/resourceServers/0/token_lifetime", json!(604_800), "Orders"),
        one("api-user-policy", "/resourceServers/0/subject_type_authorization/user/policy", json!("allow_all"), "Orders"),
        one("api-management-user-access", "/resourceServers/1/subject_type_authorization/user/policy", json!("allow_all"), "Auth0 Management API"),
        one("api-sender-constraining", "/resourceServers/0/proof_of_possession", Value::Null, "Orders"),
        one("api-encryption", "/resourceServers/0/token_encryption", Value::Null, "Orders"),
        one("api-permissions-missing", "/resourceServers/0/scopes", json!([]), "Orders"),
        one("brute-force-off", "/attackProtection/bruteForceProtection/enabled", json!(false), "brute force protection"),
        one("brute-force-block", "/attackProtection/bruteForceProtection/shields", json!(["user_notification"]), "brute force protection"),
        one("brute-force-notify", "/attackProtection/bruteForceProtection/shields", json!(["block"]), "brute force protection"),
        one("brute-force-lockout", "/attackProtection/bruteForceProtection/mode", json!("count_per_identifier_and_ip"), "brute force protection"),
        one("brute-force-attempts", "/attackProtection/bruteForceProtection/max_attempts", json!(11), "brute force protection"),
        one("brute-force-allowlist", "/attackProtection/bruteForceProtection/allowlist", json!(["192.0.2.1"]), "brute force protection"),
        one("ip-throttling-off", "/attackProtection/suspiciousIpThrottling/enabled", json!(false), "IP throttling"),
        one("ip-throttling-block", "/attackProtection/suspiciousIpThrottling/shields", json!([]), "IP throttling"),
        one("ip-throttling-notify", "/attackProtection/suspiciousIpThrottling/shields", json!(["block"]), "IP throttling"),
        one("ip-throttling-attempts", "/attackProtection/suspiciousIpThrottling/stage/pre-login/max_attempts", json!(101), "IP throttling"),
        one("ip-throttling-attempts", "/attackProtection/suspiciousIpThrottling/stage/pre-user-registration/max_attempts", json!(51), "IP throttling"),
        one("ip-throttling-allowlist", "/attackProtection/suspiciousIpThrottling/allowlist", json!(["192.0.2.1"]), "IP throttling"),
        one("breached-passwords-off", "/attackProtection/breachedPasswordDetection/enabled", json!(false), "breached passwords"),
        one("breached-passwords-block", "/attackProtection/breachedPasswordDetection/shields", json!([]), "breached passwords"),
        one("breached-passwords-new", "/attackProtection/breachedPasswordDetection/stage/pre-user-registration/shields", json!([]), "breached passwords"),
        one("breached-passwords-new", "/attackProtection/breachedPasswordDetection/stage/pre-change-password/shields", json!(["admin_notification"]), "breached passwords"),
        one("bot-detection-off", "/attackProtection/botDetection/challenge_passwordless_policy", json!("never"), "bot detection"),
        one("bot-detection-allowlist", "/attackProtection/botDetection/allowlist", json!(["192.0.2.0/24"]), "bot detection"),
        one("bot-detection-monitors", "/attackProtection/botDetection/monitoring_mode_enabled", json!(true), "bot detection"),
        one("mfa-no-factor", "/guardianFactors", json!([{ "name": "otp", "enabled": false }]), "MFA"),
        ("mfa-never", vec![("/guardianPolicies/policies", json!([])), ("/actions/1/code", json!("exports.x = 1;"))], "MFA"),
        one("mfa-phone-provider", "/guardianPhoneFactorSelectedProvider/provider", json!("auth0"), "sms"),
        one("email-provider-missing", "/emailProvider", json!({}), "e-mail provider"),
        one("email-templates-default", "/emailTemplates/1/enabled", json!(false), "reset_email"),
        one("email-custom-domain", "/tenant/flags/enable_custom_domain_in_emails", json!(false), settings),
        one("custom-domain-missing", "/customDomains", json!([]), "custom domain"),
        one("custom-domain-not-ready", "/customDomains/0/status", json!("pending_verification"), "login.northwind.internal"),
        one("canonical-domain-open", "/networkACLs/0/active", json!(false), "canonical domain"),
        one("network-acl-missing", "/networkACLs", json!([]), "network ACL"),
        one("management-acl-missing", "/networkACLs/1/rule/scope", json!("authentication"), "management API"),
        one("canonical-domain-open", "/networkACLs/0/rule/match", json!({ "hostnames": ["login.northwind.internal"] }), "canonical domain"),
        one("log-stream-missing", "/logStreams", json!([]), "log stream"),
        one("log-stream-stopped", "/logStreams/0/status", json!("suspended"), "ghostlight"),
        one("event-stream-stopped", "/eventStreams/0/status", json!("disabled"), "crm"),
        one("social-developer-keys", "/connections/0/options/client_id", json!(""), "google-oauth2"),
        one("database-password-policy", "/databases/0/options/passwordPolicy", json!("low"), "members"),
        one("database-password-length", "/databases/0/options/password_complexity_options/min_length", json!(6), "members"),
        one("database-password-history", "/databases/0/options/password_history/enable", json!(false), "members"),
        one("database-password-personal", "/databases/0/options/password_no_personal_info", Value::Null, "members"),
        one("database-brute-force", "/databases/0/options/brute_force_protection", json!(false), "members"),
        one("database-custom-scripts", "/databases/0/options/enabledDatabaseCustomization", json!(true), "members"),
        one("database-domain-connection", "/databases/0/is_domain_connection", json!(true), "members"),
        one("database-passkeys", "/databases/0/options/authentication_methods/passkey/enabled", json!(false), "members"),
        one("database-email-verification", "/databases/0/options/attributes/email/verification_method", json!("link"), "members"),
        one("action-node-version", "/actions/0/runtime", json!("node18-actions"), "pkce"),
        one("action-secret", "/actions/0/code", json!("const apiKey = 'k9s8d7f6g5h4';\napi.access.deny(event.request.query.code_challenge);"), "pkce"),
        one("database-script-secret", "/databases/0/options/customScripts", json!({ "login": "const password = 'hunter2hunter2';\nx();" }), "members"),
        one("script-logs", "/actions/0/code", json!("console.log(event.user);\napi.access.deny(event.request.query.code_challenge);"), "pkce"),
        one("script-logs", "/databases/0/options/customScripts", json!({ "login": "function login() {\n  console.error(x);\n}" }), "members"),
        one("rules-left", "/rules/-", json!({ "name": "enrich", "enabled": true }), "enrich"),
        one("hooks-left", "/hooks/-", json!({ "name": "exchange", "enabled": true }), "exchange"),
        one("pkce-not-enforced", "/actions/0/code", json!("// code_challenge\napi.access.deny('no');"), "Shop"),
        one("password-reset-mfa", "/actions/1/code", json!("exports.x = () => {};"), "members"),
        one("signup-tells-users", "/actions/2/code", json!("api.access.deny('x', 'This address is already registered');"), "signup"),
        one("error-page-unescaped", "/pages/0/html", json!("<p>\n{{ error_description }}</p>"), "error page"),
        one("organizations-unused", "/clients/0/organization_usage", json!("deny"), "acme"),
        one("organizations-bypassed", "/clients/1/organization_usage", json!("require"), "Shop"),
        one("organizations-idle", "/organizations/-", json!({ "name": "globex" }), "globex"),
        one("enterprise-shared", "/organizations/-", json!({ "name": "globex", "connections": [{ "name": "acme-saml" }] }), "acme-saml"),
        one("enterprise-without-organization", "/organizations/0/connections", json!([]), "acme-saml"),
        one("rbac-not-enforced", "/resourceServers/0/enforce_policies", json!(false), "Orders"),
        one("rbac-not-in-tokens", "/resourceServers/0/token_dialect", json!("access_token"), "Orders"),
        one("b2b-open-signup", "/databases/0/options/disable_signup", Value::Null, "members"),
        one("b2b-one-connection", "/databases/1/enabled_clients", json!(["Shop", "Mobile", "Portal"]), "shoppers"),
        one("grant-any-organization", "/clientGrants/0/allow_any_organization", json!(true), "Worker to https://orders.northwind.internal/"),
        ("b2b-disagrees", vec![("/organizations", json!([])), ("/clients/0/organization_usage", json!("deny")), ("/connections/1", json!({ "name": "email", "strategy": "email" }))], settings),
        one("connection-unused", "/databases/-", json!({ "name": "Old-Users", "strategy": "auth0", "options": {}, "enabled_clients": ["Shop"] }), "Old-Users"),
        one("connection-unused", "/connections/-", json!({ "name": "email", "strategy": "email", "options": {}, "enabled_clients": ["Shop"] }), "email"),
        one("connection-unused", "/connections/-", json!({ "name": "facebook", "strategy": "facebook", "options": { "client_id": "x" }, "enabled_clients": ["Shop"] }), "facebook"),
        one("connection-nowhere", "/connections/0/enabled_clients", json!([]), "google-oauth2"),
        one("client-connection-unused", "/connections/0/enabled_clients/-", json!("Mobile"), "google-oauth2"),
        one("client-grant-type-unused", "/clients/2/grant_types/-", json!("urn:ietf:params:oauth:grant-type:device_code"), "Mobile"),
        one("client-unused", "/clients/-", json!({ "name": "Forgotten", "app_type": "non_interactive", "grant_types": ["client_credentials"] }), "Forgotten"),
        one("grant-unused", "/clientGrants/-", json!({ "client_id": "Deployer", "audience": ORDERS, "scope": [] }), "Deployer to https://orders.northwind.internal/"),
        one("management-grant-wide", "/clientGrants/1/scope/-", json!("create:client_grants"), "Deployer to https://northwind.eu.auth0.com/api/v2/"),
        one("management-grant-idle", "/clientGrants/-", json!({ "client_id": "Worker", "audience": MANAGEMENT, "allow_all_scopes": true }), "Worker to https://northwind.eu.auth0.com/api/v2/"),
    ];
    for (field, kind, who, at) in [
        ("callbacks", "callback", "Portal", "/clients/0/callbacks/-"),
        ("allowed_logout_urls", "logout", "Portal", "/clients/0/allowed_logout_urls/-"),
        ("allowed_origins", "origin", "Portal", "/clients/0/allowed_origins/-"),
        ("web_origins", "web-origin", "Portal", "/clients/0/web_origins/-"),
    ] {
        assert!(at.contains(field));
        for (problem, url) in [
            ("localhost", "http://localhost:3000/x"), ("http", "http://portal.northwind.internal"), ("wildcard", "https://*.northwind.internal"),
            ("placeholder", "https://www.example.com/x"), ("shared-host", "https://northwind.vercel.app/x"),
        ] {
            let id = checks::all().map(|check| check.id).find(|id| *id == format!("client-{kind}-{problem}")).expect("a check");
            faults.extend(all(&[id], vec![(at, json!(url))], who));
        }
    }
    faults
}

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
    let with_fault: Vec<_> = faults.iter().map(|(id, ..)| *id).chain(["client-ghost", "log-stream-filtered"]).collect();
    let without: Vec<_> = checks::all().map(|check| check.id).filter(|id| !with_fault.contains(id)).collect();
    assert_eq!(without, Vec::<&str>::new(), "each check needs a tenant that fails it");
}

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

/// The good tenant in the directory layout.
fn as_directory(tenant: &Value, folder: &Path) {
    let write = |path: String, value: &Value| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, format!("{value:#}")).expect("written");
    };
    for asset in &assets::ASSETS {
        let Some(value) = tenant.pointer(&format!("/{}", asset.key.replace('.', "/"))) else { continue };
        let objects = || value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]).into_iter().enumerate();
        match asset.layout {
            Layout::File(at) => write(at.to_owned(), value),
            Layout::Folder(at) | Layout::FolderBut(at, _) => {
                std::fs::create_dir_all(folder.join(at)).expect("a folder");
                objects().for_each(|(number, value)| write(format!("{at}/{number:03}.json"), &value));
            }
            Layout::Folders(at, name) => {
                objects().for_each(|(number, value)| write(format!("{at}/{number:03}/{name}"), &value));
            }
        }
    }
}

fn findings(export: &Export) -> Vec<String> {
    let scene = Scene { tenant: &export.tenant, traffic: None };
    let mut all = Vec::new();
    for verdict in checks::judge(&scene) {
        let found =
            verdict.found.iter().map(|found| format!("{:?} {} {}", found.thing.name, found.thing.kind, found.evidence));
        let mut found: Vec<_> = found.collect();
        found.sort();
        all.push(format!("{} {} {found:?}", verdict.check.id, matches!(verdict.state, State::NotRun(_))));
    }
    all
}

#[test]
fn both_layouts_of_an_export_say_the_same() {
    assert_eq!(
        findings(&export::read(&sample("example-directory")).expect("the directory layout")),
        findings(&export::read(&sample("example-yaml/tenant.yaml")).expect("the YAML layout")),
    );
    // And with each fault there is.
    for (id, edits, _) in faults() {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        copy(&sample("good"), folder.path());
        std::fs::remove_file(folder.path().join("tenant.yaml")).expect("it was copied");
        as_directory(&tenant, folder.path());
        assert_eq!(findings(&export::read(folder.path()).expect(id)), findings(&read(&tenant)), "{id}");
    }
}

#[test]
fn a_file_of_which_nothing_is_known_is_not_left_out() {
    for (content, is_failed, why) in [
        ("\"@@ALL@@\"", false, "is the placeholder @@ALL@@"),
        ("null", true, "is null where an object belongs"),
        // Known by its file's name, and nothing of it is set.
        ("{}", false, "\"unknown\""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&sample("example-directory"), folder.path());
        std::fs::write(folder.path().join("clients/unknown.json"), content).expect("written");
        let (code, said, _) = run_audit(folder.path(), &["--format", "json", "--fail-on", "never"]);
        assert_eq!(code, Some(if is_failed { 2 } else { 0 }), "{content}: {said}");
        assert!(said.contains(why), "{content}: {said}");
    }
}

#[test]
fn a_placeholder_is_neither_right_nor_wrong() {
    let export = export::read(&sample("example-yaml")).expect("a folder with a tenant.yaml");
    let verdicts = checks::judge(&Scene { tenant: &export.tenant, traffic: None });
    let state = |id: &str| &verdicts.iter().find(|verdict| verdict.check.id == id).expect("a check").state;
    for (id, placeholder) in [
        ("client-callback-http", "##ENV##"),
        ("client-web-origin-localhost", "@@WEB_ORIGINS@@"),
        ("tenant-session-lifetime", "##SESSION_HOURS##"),
        ("tenant-logout-urls", "@@LOGOUT_URLS@@"),
    ] {
        match state(id) {
            State::NotRun(why) => assert!(why.why().contains(placeholder), "{id}: {why}"),
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(*state("client-callback-localhost"), State::Found, "what is known is judged");
    for id in ["log-stream-missing", "rules-left", "custom-domain-not-ready", "tenant-node-version"] {
        assert!(matches!(state(id), State::NotRun(_)), "{id}: what the export leaves out is not judged");
    }
}

fn audit(config: &Path, more: &[&str]) -> Command {
    let mut command = ghostlight();
    command.arg("audit").arg("--config").arg(config).args(more);
    if !more.contains(&"--as-of") {
        command.args(["--as-of", "2026-11-23T12:00:00Z"]);
    }
    command
}

fn run_audit(config: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = audit(config, more).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
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
fn errors_say_what_is_wrong_and_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let fails = |what: &[&str]| {
        let (code, out, error) = run_audit(folder.path(), &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""));
        what.iter().for_each(|what| assert!(error.contains(what), "{what}: {error}"));
    };
    fails(&["has neither tenant.yaml nor tenant.json", "a0deploy export"]);
    // What would be of no use is not passed over.
    for (more, what) in [
        (["--record", "x"], "cannot be used with"),
        (["--settings", "nowhere.toml"], "--data <DIR>"),
        (["--tenant", "acme"], "--data <DIR>"),
        (["--unused-days", "401"], "401 is not in 1..=400"),
        (["--as-of", "yesterday"], "2026-11-01T00:00:00Z"),
        (["--baseline", "nowhere.toml"], "reading nowhere.toml"),
    ] {
        let (code, out, error) = run_audit(&sample("good"), &more);
        assert!(code == Some(2) && out.is_empty() && error.contains(what), "{more:?}: {error}");
    }
    let file = folder.path().join("tenant.yaml");
    for (text, what) in [
        ("", ["is empty", "clients:"]),
        ("- a\n", ["is no mapping", "clients:"]),
        ("klients: []\n", ["has no part of a tenant", "clients:"]),
        ("clients: 7\n", ["tenant.yaml#/clients", "a list of objects"]),
        ("clients: [\n", ["tenant.yaml, line", "not YAML"]),
    ] {
        std::fs::write(&file, text).expect("written");
        fails(&what);
    }
    // Of two layouts in one folder neither is passed over.
    std::fs::write(&file, "clients: []\n").expect("written");
    std::fs::create_dir(folder.path().join("clients")).expect("a folder");
    std::fs::write(folder.path().join("clients/notes.txt"), "no object").expect("written");
    assert_eq!(run_audit(folder.path(), &["--fail-on", "never"]).0, Some(0));
    std::fs::write(folder.path().join("clients/shop.json"), "{ \"name\": \"Shop\" }").expect("written");
    fails(&["holds two exports: tenant.yaml", "such as clients/shop.json", "tenant.yaml itself"]);
    assert_eq!(run_audit(&file, &["--fail-on", "never"]).0, Some(0));
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
fn what_is_not_there_is_not_right() {
    let not_run = |edits: &[(&str, Value)], id: &str| {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let verdicts = judged(&tenant, None);
        assert!(matches!(verdicts[id].state, State::NotRun(_)), "{id} {edits:?}: {:?}", verdicts[id].found);
    };
    let protection = "/attackProtection/bruteForceProtection";
    for (id, pointer, value) in [
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
    for scope in ["update:actions", "read:client_keys", "update:clients", "delete:users"] {
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
    let mut tenant = good();
    [never, at_login].into_iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value));
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
fn what_is_no_file_is_refused_by_its_name() {
    let pipe = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
    };
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |what: &str| {
        let (code, out, error) = run_audit(folder.path(), &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(what) && error.contains("is no file") && !error.contains('\u{1b}'), "{error}");
    };
    std::fs::create_dir(folder.path().join("clients")).expect("a folder");
    pipe(&folder.path().join("clients/a\u{1b}[31m.json"));
    refused("clients/a\\u{1b}[31m.json");
    std::fs::remove_dir_all(folder.path().join("clients")).expect("removed");
    pipe(&folder.path().join("tenant.json"));
    refused("tenant.json");
    pipe(&folder.path().join("tenant.yaml"));
    refused("tenant.yaml");
}

#[test]
fn a_script_outside_of_the_export_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("outside.js"), "const apiKey = 'k9s8d7f6g5h4';").expect("written");
    let export = folder.path().join("export");
    std::fs::create_dir_all(export.join("actions")).expect("a folder");
    std::os::unix::fs::symlink(folder.path().join("outside.js"), export.join("actions/link.js")).expect("a link");
    for name in ["../outside.js", "actions/link.js", "/etc/hostname.js"] {
        let text = format!("actions:\n  - {{ name: a, code: {name:?}, runtime: node22 }}\n");
        std::fs::write(export.join("tenant.yaml"), text).expect("written");
        let (_, out, _) = run_audit(&export, &[]);
        assert!(unwrapped(&out).contains("names a file that is not within the export"), "{name}: {out}");
        assert!(!out.contains("seems to hold a secret"), "{name}: {out}");
    }
}

/// Without the breaks of lines.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
    let (code, out, _) = run(&(both.clone() + &entry("Mobile", "2026-12-31")), &[]);
    assert_eq!(code, Some(0), "{out}");
    assert!(unwrapped(&out).contains("of application Mobile matches nothing any more: remove it"), "{out}");
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
        assert!(!out.contains("errors=\"0\" skipped=\"11\"") && out.contains("<error type="), "{out}");
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
    assert_eq!(counts["skipped"], 11);
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

#[test]
fn what_is_recorded_is_all_that_the_checks_look_at() {
    // Scripts are left out on purpose.
    const OF_SCRIPTS: [&str; 8] = [
        "action-secret",
        "database-script-secret",
        "error-page-unescaped",
        "mfa-never",
        "password-reset-mfa",
        "pkce-not-enforced",
        "script-logs",
        "signup-tells-users",
    ];
    let of = |tenant: &Value| {
        let mut found = findings(&read(tenant));
        found.retain(|line| !OF_SCRIPTS.iter().any(|id| line.starts_with(&format!("{id} "))));
        found
    };
    for (id, edits, _) in faults() {
        let mut tenant = good();
        edits.iter().for_each(|(pointer, value)| edit(&mut tenant, pointer, value.clone()));
        let mut recorded = tenant.clone();
        // Pages are a part of exports only.
        for asset in assets::ASSETS.iter().filter(|asset| !asset.endpoint.is_empty()) {
            if let Some(value) = recorded.pointer_mut(&format!("/{}", asset.key.replace('.', "/"))) {
                *value = fetch::without_secrets(asset.key, value);
            }
        }
        assert!(!recorded.to_string().contains("this-never-leaves-the-file"), "{id}");
        assert_eq!(of(&recorded), of(&tenant), "{id}");
    }
}
