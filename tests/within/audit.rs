//! The audit: each check with a tenant that fails it and one that passes it, exports in both layouts, joins with traffic.

mod exports;
mod output;
mod traffic;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ghostlight::audit::assets::{self, Layout};
use ghostlight::audit::baseline::Baseline;
use ghostlight::audit::checks::{self, Scene, State, Verdict};
use ghostlight::audit::document::{Document, Place};
use ghostlight::audit::export::{self, Export};
use ghostlight::audit::fetch;
use ghostlight::audit::report::Finding;
use ghostlight::audit::standing::{Reading, Standing};
use ghostlight::audit::tenant::Thing;
use ghostlight::audit::traffic::Traffic;
use ghostlight::event::{Day, EventTime};
use ghostlight::simulate::Truth;
use ghostlight::store::Store;
use ghostlight::usage::{
    self, TenantUsage, Usage,
    ghost::{Lifetimes, Thresholds},
    hosts::{self, Hosts},
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

    /// With one application that asks for a token all the time.
    fn with_a_ghost() -> Self {
        let mut events = Self::good(40);
        for second in 0..2_000 {
            let at = EventTime::from_ms(TODAY.ms() - 86_400_000 + second % 61 * 1_000 + second * 40_000);
            events.token(at, "Worker", ORDERS, "read:orders");
        }
        events
    }

    /// With a few logins past the custom domain.
    fn past_the_custom_domain() -> Self {
        let mut events = Self::good(40);
        let login = |line: &str| line.contains("\"type\":\"s\"") && line.contains(&Day::of(TODAY).plus(-3).to_string());
        let own = |line: &str| match login(line) {
            true => line.replace("login.northwind.internal", "northwind.eu.auth0.com"),
            false => line.to_owned(),
        };
        events.lines = events.lines.lines().map(|line| own(line) + "\n").collect();
        events
    }

    /// Of a stream that has exchanges, and not the logins they come from.
    fn without_logins() -> Self {
        let events = Self::good(40);
        Self { lines: events.lines.replace("\"type\":\"s\"", "\"type\":\"seacft\""), ..events }
    }

    fn push(&mut self, mut event: Value, at: EventTime, client: &str) {
        self.number += 1;
        event["date"] = json!(EventTime::from_ms(at.ms() + (self.number % 3_600 * 1_000) as i64).to_string());
        event["log_id"] = json!(format!("number-{}", self.number));
        event["client_id"] = json!(format!("id-of-{client}"));
        event["client_name"] = json!(client);
        event["tenant_name"] = json!("northwind");
        event["hostname"] = json!("login.northwind.internal");
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

    /// Without lines that say all of `what`, on the last of these days.
    fn without_lately(self, what: &[&str], ago: std::ops::Range<i64>) -> Self {
        let days: Vec<String> = ago.map(|ago| format!("\"date\":\"{}", Day::of(TODAY).plus(-ago))).collect();
        let is_left_out = |line: &&str| {
            what.iter().all(|what| line.contains(what)) && days.iter().any(|day| line.contains(day.as_str()))
        };
        let lines = self.lines.lines().filter(|line| !is_left_out(line)).map(|line| format!("{line}\n")).collect();
        Self { lines, ..self }
    }

    fn traffic(&self, days: i64) -> Traffic {
        self.traffic_but(days, None)
    }

    fn traffic_but(&self, days: i64, held_back: Option<String>) -> Traffic {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("events");
        std::fs::write(&file, &self.lines).expect("written");
        let store = Store::of(Arc::new(InMemory::new()));
        ingest(&store, &config("[datasets]\nevents = true"), &[&file]).expect("ingests");
        let mut usage = Usage::default();
        let rows = runtime().block_on(usage::fold(&store)).expect("reads");
        usage.absorb_within(&rows, &(EventTime::from_ms(0)..TODAY));
        let (lifetimes, thresholds) = (Lifetimes::default(), Thresholds::default());
        usage.settle(&lifetimes);
        let usage = usage.tenant("northwind").expect("there are events");
        let mut traffic = Traffic::new("northwind", usage, days, TODAY, (&lifetimes, &thresholds), held_back);
        let time = traffic.begin..traffic.end;
        let hosts = runtime().block_on(hosts::read(&store, "northwind", &time));
        traffic.hosts = Ok(hosts.expect("reads"));
        traffic
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
        one("tenant-client-connections", "/tenant/flags/enable_client_connections", Value::Null, settings),
        one("tenant-default-audience", "/tenant/default_audience", json!(ORDERS), settings),
        one("tenant-default-directory", "/tenant/default_directory", json!("members"), settings),
        one("tenant-session-lifetime", "/tenant/idle_session_lifetime", json!(100), settings),
        one("tenant-session-lifetime", "/tenant/ephemeral_session_lifetime", json!(200), settings),
        one("tenant-session-cookie", "/tenant/session_cookie", Value::Null, settings),
        one("tenant-error-page", "/pages", json!([]), settings),
        one("tenant-error-page", "/pages/0/html", json!(" "), settings),
        one("tenant-error-page", "/pages/0", json!({ "name": "error_page", "html": "", "url": "" }), settings),
        one("tenant-classic-login", "/prompts/universal_login_experience", json!("classic"), settings),
        one("client-alg-hs256", "/clients/0/jwt_configuration/alg", json!("HS256"), "Portal"),
        one("client-alg-hs256", "/clients/0/jwt_configuration/alg", json!("hs256"), "Portal"),
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
        one("client-callback-missing", "/clients/2/callbacks", json!(["", " "]), "Mobile"),
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
        one("ip-throttling-attempts", "/attackProtection/suspiciousIpThrottling/stage/pre-login/rate", json!(863_999), "IP throttling"),
        one("ip-throttling-attempts", "/attackProtection/suspiciousIpThrottling/stage/pre-user-registration/rate", json!(1_199), "IP throttling"),
        one("ip-throttling-allowlist", "/attackProtection/suspiciousIpThrottling/allowlist", json!(["192.0.2.1"]), "IP throttling"),
        one("breached-passwords-off", "/attackProtection/breachedPasswordDetection/enabled", json!(false), "breached passwords"),
        one("breached-passwords-block", "/attackProtection/breachedPasswordDetection/shields", json!([]), "breached passwords"),
        one("breached-passwords-new", "/attackProtection/breachedPasswordDetection/stage/pre-user-registration/shields", json!([]), "breached passwords"),
        one("breached-passwords-new", "/attackProtection/breachedPasswordDetection/stage/pre-change-password/shields", json!(["admin_notification"]), "breached passwords"),
        one("breached-passwords-notify", "/attackProtection/breachedPasswordDetection/shields", json!(["block"]), "breached passwords"),
        one("breached-passwords-notify", "/attackProtection/breachedPasswordDetection/admin_notification_frequency", json!([]), "breached passwords"),
        one("breached-passwords-method", "/attackProtection/breachedPasswordDetection/method", json!("standard"), "breached passwords"),
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
        one("event-stream-missing", "/eventStreams", json!([]), "event stream"),
        one("event-stream-stopped", "/eventStreams/0/status", json!("disabled"), "crm"),
        one("social-developer-keys", "/connections/0/options/client_id", json!(""), "google-oauth2"),
        one("database-password-policy", "/databases/0/options/passwordPolicy", json!("low"), "members"),
        one("database-password-length", "/databases/0/options/password_complexity_options/min_length", json!(6), "members"),
        one("database-password-history", "/databases/0/options/password_history/enable", json!(false), "members"),
        one("database-password-history", "/databases/0/options/password_history/size", json!(4), "members"),
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
        ("management-grant-wide", vec![("/clientGrants/1/audience", json!("https://##DOMAIN##/api/v2/")), ("/clientGrants/1/scope/-", json!("create:client_grants"))], "Deployer to ##DOMAIN##"),
        ("api-management-user-access", vec![("/resourceServers/1/is_system", Value::Null), ("/resourceServers/1/identifier", json!("https://##DOMAIN##/api/v2/")), ("/resourceServers/1/subject_type_authorization/user/policy", json!("allow_all"))], "Auth0 Management API"),
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

/// Without the breaks of lines.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
