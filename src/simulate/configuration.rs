//! The configuration that fits the traffic: an export in auth0-deploy-cli's directory layout, with faults that are known.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Simulation;
use super::cast::{APPLICATIONS, CONNECTIONS, Cast, Machine, Role, Tenant};

/// Something that is wrong with the configuration on purpose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// The check of the audit that must find it.
    pub check: String,
    /// The name of what is wrong.
    pub subject: String,
}

/// The export of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    pub tenant: String,
    /// Path within the export, and content.
    pub files: Vec<(String, Value)>,
}

/// Who is there and never does anything.
const RETIRED_CLIENT: &str = "Retired Portal";
const UNUSED_CONNECTIONS: [(&str, &str); 2] = [("facebook", "facebook"), ("umbrella-okta", "okta")];
const IDLE_ORGANIZATION: &str = "dormant";
/// The application that requires organizations; most of its users are members nowhere.
const REQUIRES_ORGANIZATION: &str = APPLICATIONS[3];
const APPLICATION_TYPES: [&str; 5] = ["spa", "regular_web", "native", "regular_web", "regular_web"];

impl Simulation {
    /// What auth0-deploy-cli would export of each tenant.
    pub fn configurations(&self) -> Vec<Configuration> {
        Cast::new(self).tenants.iter().map(configuration).collect()
    }
}

/// So many avoidable tokens a day make a ghost that nobody overlooks: twice as many as accuse. In a small simulation clients
/// ask for fewer.
const GHOST_PER_DAY: f64 = 200.0;

/// What is wrong with every tenant's configuration, and what its traffic shows of it.
pub fn faults(tenant: &Tenant, wasted_per_day: impl Fn(Role) -> f64) -> Vec<Fault> {
    let (api, orders, management) = audiences(tenant);
    let fault = |check: &str, subject: &str| Fault { check: check.to_owned(), subject: subject.to_owned() };
    let unused_grant = format!("{} to {api}", Role::WellBehaved.name());
    let idle_grant = format!("{} to {management}", Role::ScheduledJob.name());
    let mut all = vec![
        fault("client-callback-localhost", APPLICATIONS[0]),
        fault("client-grant-implicit", APPLICATIONS[2]),
        fault("client-grant-type-unused", APPLICATIONS[2]),
        fault("api-alg-hs256", &orders),
        fault("social-developer-keys", "github"),
        fault("enterprise-without-organization", UNUSED_CONNECTIONS[1].0),
        fault("organizations-bypassed", REQUIRES_ORGANIZATION),
        fault("organizations-idle", IDLE_ORGANIZATION),
        fault("client-unused", RETIRED_CLIENT),
        fault("grant-unused", &unused_grant),
        fault("grant-unused", &idle_grant),
        fault("management-grant-wide", &idle_grant),
        fault("management-grant-idle", &idle_grant),
    ];
    all.extend(UNUSED_CONNECTIONS.map(|(name, _)| fault("connection-unused", name)));
    let ghosts = [Role::AsksPerRequest, Role::CacheBroke, Role::Management];
    let ghosts = ghosts.into_iter().filter(|role| wasted_per_day(*role) >= GHOST_PER_DAY);
    all.extend(ghosts.map(|role| fault("client-ghost", role.name())));
    all.sort();
    all
}

/// Of the API, of the API of orders, and of the Management API.
fn audiences(tenant: &Tenant) -> (String, String, String) {
    let of = |role| {
        let machine = tenant.machines.iter().find(|machine| machine.role == role);
        machine.map_or_else(String::new, |machine| machine.audience.clone())
    };
    (of(Role::AsksPerRequest), of(Role::WellBehaved), of(Role::Management))
}

fn configuration(tenant: &Tenant) -> Configuration {
    let (api, orders, management) = audiences(tenant);
    // None of those that stand for examples, which would be a fault nobody planted.
    let domain = format!("{}.internal", tenant.name);
    let mut files = vec![(
        "tenant.json".to_owned(),
        json!({ "friendly_name": tenant.name, "support_email": format!("help@{domain}"), "allowed_logout_urls": [] }),
    )];
    let mut put =
        |folder: &str, name: &str, value: Value| files.push((format!("{folder}/{}.json", file_name(name)), value));
    for (name, kind) in APPLICATIONS.iter().zip(APPLICATION_TYPES) {
        put("clients", name, application(name, kind, &domain));
    }
    put("clients", RETIRED_CLIENT, application(RETIRED_CLIENT, "regular_web", &domain));
    let machines = one_a_role(tenant);
    for machine in &machines {
        let name = machine.role.name();
        put(
            "clients",
            name,
            json!({
                "name": name, "app_type": "non_interactive", "grant_types": ["client_credentials"],
                "jwt_configuration": { "alg": "RS256" },
            }),
        );
        let mut scopes: Vec<&str> = tenant
            .machines
            .iter()
            .filter(|other| other.role == machine.role)
            .flat_map(|other| other.scopes.iter().copied())
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        put("grants", name, json!({ "client_id": name, "audience": machine.audience, "scope": scopes }));
    }
    let unused = Role::WellBehaved.name();
    put("grants", &format!("{unused} api"), json!({ "client_id": unused, "audience": api, "scope": ["read:data"] }));
    let idle = Role::ScheduledJob.name();
    let powerful =
        json!({ "client_id": idle, "audience": management, "scope": ["create:client_grants", "read:users"] });
    put("grants", &format!("{idle} management"), powerful);
    for (identifier, seconds, alg) in [(&api, 86_400, "RS256"), (&orders, 3_600, "HS256")] {
        let value = json!({
            "name": identifier, "identifier": identifier, "signing_alg": alg, "token_lifetime": seconds,
            "scopes": [{ "value": "read:data" }],
        });
        put("resource-servers", identifier, value);
    }
    for connection in CONNECTIONS.iter().skip(1) {
        let keys = if connection.name == "github" { "" } else { "own" };
        put("connections", connection.name, other_connection(connection.name, connection.strategy, keys));
    }
    for (name, strategy) in UNUSED_CONNECTIONS {
        put("connections", name, other_connection(name, strategy, "own"));
    }
    let database = CONNECTIONS[0].name;
    put(
        &format!("database-connections/{}", file_name(database)),
        "database",
        json!({ "name": database, "strategy": "auth0", "enabled_clients": APPLICATIONS, "options": { "passwordPolicy": "good" } }),
    );
    for (_, name) in &tenant.organizations {
        let connection = match *name {
            "acme" => json!([{ "name": "acme-saml" }]),
            "globex" => json!([{ "name": "globex-entra" }]),
            _ => json!([]),
        };
        put("organizations", name, json!({ "name": name, "connections": connection }));
    }
    put("organizations", IDLE_ORGANIZATION, json!({ "name": IDLE_ORGANIZATION, "connections": [] }));
    Configuration { tenant: tenant.name.clone(), files }
}

/// A machine's grants and scopes are those of all it does.
fn one_a_role(tenant: &Tenant) -> Vec<&Machine> {
    let first = |role: &Role| tenant.machines.iter().find(|machine| machine.role == *role);
    Role::ALL.iter().filter_map(first).collect()
}

fn application(name: &str, kind: &str, domain: &str) -> Value {
    let mut callbacks = vec![format!("https://app.{domain}/callback")];
    if name == APPLICATIONS[0] {
        callbacks.push("http://localhost:3000/callback".to_owned());
    }
    let mut grants = vec!["authorization_code", "refresh_token"];
    if name == APPLICATIONS[2] {
        grants.extend(["implicit", "urn:openid:params:grant-type:ciba"]);
    }
    let organizations = if name == REQUIRES_ORGANIZATION { "require" } else { "allow" };
    json!({
        "name": name, "app_type": kind, "callbacks": callbacks, "grant_types": grants, "organization_usage": organizations,
        "jwt_configuration": { "alg": "RS256" }, "client_secret": "a-secret-that-no-output-has",
    })
}

fn other_connection(name: &str, strategy: &str, keys: &str) -> Value {
    json!({
        "name": name, "strategy": strategy, "enabled_clients": APPLICATIONS,
        "options": { "client_id": keys, "client_secret": "a-secret-that-no-output-has" },
    })
}

/// As auth0-deploy-cli does, without what a file's name must not have.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || " -_.()".contains(c) { c } else { '-' }).collect()
}
