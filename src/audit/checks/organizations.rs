//! B2B or B2C: what the configuration says, what the traffic says, and where the two disagree.

use std::collections::BTreeSet;

use super::super::tenant::{Client, Connection, Known, Organization, Role};
use super::super::traffic::{BYPASSED_DAYS, Used};
use super::applications::clients;
use super::connections::{Sort, both, sort};
use super::surface::{Strangers, untold, with_logins};
use super::{Area, Check, Judged, NOT_THERE, NotRun, Outcome, Scene, Severity, apis, listed, part};
use crate::event::Day;

const ORGANIZATIONS: &str = "https://auth0.com/docs/manage-users/organizations";
const RBAC: &str = "https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis";

use Severity::{BestPractice, Recommended, Required};

pub const CHECKS: &[Check] = &[
    Check {
        id: "organizations-unused",
        area: Area::Organizations,
        severity: Recommended,
        title: "Organizations that no application knows of",
        looks_at: "organizations; clients: organization_usage",
        why: "members log in as if there were none, and no policy of an organization is applied",
        fix: "let applications allow or require organizations, or remove them",
        docs: ORGANIZATIONS,
        judge: |scene, out| {
            let organizations = part(&scene.tenant.organizations)?;
            let mut open = false;
            for client in clients(scene)? {
                if matches!(usage(client, out), Some("allow" | "require")) {
                    return clear(out);
                }
                open |= client.organization_usage.known().is_none() && client.organization_usage.value != Known::Absent;
            }
            if !open {
                for organization in organizations {
                    out.thing(&organization.thing, "no application has organization_usage allow or require");
                }
            }
            Ok(())
        },
    },
    Check {
        id: "organizations-bypassed",
        area: Area::Organizations,
        severity: Required,
        title: "Logins go past the organizations an application requires",
        looks_at: "clients: organization_usage; events: logins without organization_id",
        why: "whoever is a member nowhere gets in all the same, or by an old session",
        fix: "look at who these users are, end their sessions, and check the organization in tokens",
        docs: ORGANIZATIONS,
        judge: |scene, out| {
            let traffic = scene.lately()?;
            let strangers = Strangers::of(scene, traffic);
            for client in clients(scene)? {
                if usage(client, out) != Some("require") {
                    continue;
                }
                if client.thing.is_unnamed && client.thing.id.is_none() {
                    out.unjudged(&client.thing, "name", "a placeholder");
                    continue;
                }
                if let Some(why) = strangers.hide(client) {
                    untold(&client.thing, &why, out);
                    continue;
                }
                let used = traffic.client(client.thing.id.as_deref(), &client.thing.name);
                // What was before it was required is over, once its users have logged in since.
                let is_open = |last: &Day| used.login_days_after(*last) <= BYPASSED_DAYS;
                match used.last_without_organization.filter(is_open) {
                    Some(last) if last.start() >= traffic.begin => {
                        let (count, all) = (used.logins.without_organization, used.logins.all);
                        let when = format!("{}: {count} of {all}, the last on {last}", traffic.period());
                        let place = client.thing.place.at(client.organization_usage.key);
                        out.unused(&client.thing, place, "logins had no organization", when);
                    }
                    Some(last) => {
                        let why =
                            format!("its last login without an organization was on {last}, and hardly any came since");
                        untold(&client.thing, &why, out);
                    }
                    None => {
                        if let Some(why) = traffic.without_late_logins() {
                            untold(&client.thing, why, out);
                        }
                    }
                }
            }
            Ok(())
        },
    },
    Check {
        id: "organizations-idle",
        area: Area::Organizations,
        severity: BestPractice,
        title: "An organization that nobody uses",
        looks_at: "organizations; events: organization_id",
        why: "its members and connections are ways in that nobody watches",
        fix: "ask whether it is still a customer, or remove it",
        docs: ORGANIZATIONS,
        judge: |scene, out| {
            let organizations = part(&scene.tenant.organizations)?;
            let traffic = with_logins(scene)?;
            let names: BTreeSet<&str> = organizations.iter().map(|one| one.thing.name.as_str()).collect();
            // Those that only M2M tokens are for have no name in the data.
            let is_strange = |(name, used): &&(String, Used)| used.events > 0 && !names.contains(name.as_str());
            let strangers = traffic.organizations.values().filter(is_strange).count();
            for organization in organizations {
                let thing = &organization.thing;
                let used = match &thing.id {
                    Some(id) => traffic.organizations.get(id).map(|(_, used)| used),
                    None if thing.is_unnamed => {
                        out.unjudged(thing, "name", "a placeholder");
                        continue;
                    }
                    None => match traffic.organizations.values().find(|(name, _)| *name == thing.name) {
                        Some((_, used)) => Some(used),
                        None if strangers > 0 => {
                            let why = format!(
                                "the export has no ids, and the data has {strangers} busy organizations that it does not \
                                 know: this may be one of them, renamed, or known there by its id only"
                            );
                            untold(thing, &why, out);
                            continue;
                        }
                        None => None,
                    },
                };
                if used.is_none_or(|used| used.events == 0) {
                    let when = format!("{}; {}", traffic.period(), traffic.last(used));
                    out.unused(thing, thing.place.clone(), "no event", when);
                }
            }
            Ok(())
        },
    },
    Check {
        id: "enterprise-shared",
        area: Area::Organizations,
        severity: Recommended,
        title: "An enterprise connection of several organizations",
        looks_at: "organizations: connections; connections: strategy",
        why: "one customer's administrator decides who gets into another's organization",
        fix: "give each organization a connection of its own",
        docs: "https://auth0.com/docs/manage-users/organizations/configure-organizations/enable-connections",
        judge: |scene, out| {
            enterprise(scene, out, |connection, owners, out| {
                if owners.len() > 1 {
                    out.thing(&connection.thing, format!("it is enabled in {}", listed(owners)));
                }
            })
        },
    },
    Check {
        id: "enterprise-without-organization",
        area: Area::Organizations,
        severity: Recommended,
        title: "An enterprise connection of no organization",
        looks_at: "organizations: connections; connections: strategy",
        why: "its users are nobody's members, so that no policy of an organization is applied",
        fix: "enable it in the organization whose it is",
        docs: "https://auth0.com/docs/manage-users/organizations/configure-organizations/enable-connections",
        judge: |scene, out| {
            enterprise(scene, out, |connection, owners, out| {
                if owners.is_empty() {
                    out.thing(&connection.thing, "there are organizations, and it is enabled in none");
                }
            })
        },
    },
    Check {
        id: "rbac-not-enforced",
        area: Area::Organizations,
        severity: Recommended,
        title: "Permissions that nobody enforces",
        looks_at: "resourceServers: enforce_policies; roles: permissions",
        why: "roles are given, and every user gets whatever an application asks for",
        fix: "enable RBAC for the API",
        docs: RBAC,
        judge: |scene, out| {
            let roles = part(&scene.tenant.roles)?;
            for api in part(&scene.tenant.apis)?.iter().filter(|api| !apis::is_system(api)) {
                let Some(Some(identifier)) = out.read(&api.thing, &api.identifier) else { continue };
                let count = roles.iter().filter(|role| role.apis.has(identifier)).count();
                if count > 0 {
                    out.not_on(
                        &api.thing,
                        &api.enforces_policies,
                        &format!("{count} roles have permissions of it, and enforce_policies is not on"),
                    );
                } else if !api.enforces_policies.is(&true) {
                    let open = |role: &Role| role.apis.open().or_else(|| role.apis.unknown());
                    if let Some((role, why)) = roles.iter().find_map(|role| Some((role, open(role)?))) {
                        out.unjudged(&role.thing, role.apis.key, why);
                    }
                }
            }
            Ok(())
        },
    },
    Check {
        id: "rbac-not-in-tokens",
        area: Area::Organizations,
        severity: BestPractice,
        title: "Enforced permissions are not in tokens",
        looks_at: "resourceServers: enforce_policies, token_dialect",
        why: "the API cannot see what a user may do, and has to ask or to guess",
        fix: "set the token dialect to access_token_authz",
        docs: RBAC,
        judge: |scene, out| {
            for api in part(&scene.tenant.apis)?.iter().filter(|api| !apis::is_system(api)) {
                if !api.enforces_policies.is(&true) {
                    continue;
                }
                match out.read(&api.thing, &api.token_dialect) {
                    Some(Some(dialect)) if dialect.ends_with("_authz") => {}
                    Some(Some(dialect)) => {
                        out.at(&api.thing, &api.token_dialect, format!("token_dialect is {dialect}"))
                    }
                    Some(None) => out.at(
                        &api.thing,
                        &api.token_dialect,
                        "token_dialect is not set, and the default has no permissions",
                    ),
                    None => {}
                }
            }
            Ok(())
        },
    },
    Check {
        id: "b2b-open-signup",
        area: Area::Organizations,
        severity: Recommended,
        title: "Anybody may sign up at a B2B database",
        looks_at: "databases: options.disable_signup, enabled_clients; clients: organization_usage",
        why: "strangers have accounts where only customers' people belong",
        fix: "disable signups, and invite members",
        docs: "https://auth0.com/docs/manage-users/organizations/configure-organizations/invite-members",
        judge: |scene, out| {
            let requiring = requiring(scene, out)?;
            for database in part(&scene.tenant.databases)? {
                if requiring.is_empty() || !knows_clients(database, out) {
                    continue;
                }
                let Some(client) = requiring.iter().find(|client| allows(database, client)) else { continue };
                out.not_on(
                    &database.thing,
                    &database.disable_signup,
                    &format!("signups are open, and {:?}, which requires organizations, uses it", client.thing.name),
                );
            }
            Ok(())
        },
    },
    Check {
        id: "b2b-one-connection",
        area: Area::Organizations,
        severity: BestPractice,
        title: "One connection for all applications",
        looks_at: "databases, connections: enabled_clients",
        why: "whoever has an account for one application has one for each",
        fix: "enable it where its users belong",
        docs: "https://auth0.com/docs/get-started/applications/update-application-connections",
        judge: |scene, out| {
            let all: Vec<_> =
                clients(scene)?.filter(|client| super::applications::is_interactive(client, out)).collect();
            if all.len() < 3 {
                return Ok(());
            }
            for connection in both(scene)? {
                if knows_clients(connection, out) && all.iter().all(|client| allows(connection, client)) {
                    out.at(
                        &connection.thing,
                        &connection.enabled_clients,
                        format!("all {} interactive applications may use it", all.len()),
                    );
                }
            }
            Ok(())
        },
    },
    Check {
        id: "grant-any-organization",
        area: Area::Organizations,
        severity: Recommended,
        title: "A client may act for every organization",
        looks_at: "clientGrants: allow_any_organization",
        why: "its secret is a key to every customer's data",
        fix: "associate the grant with the organizations it serves",
        docs: "https://auth0.com/docs/manage-users/organizations/organizations-for-m2m-applications",
        judge: |scene, out| {
            for grant in part(&scene.tenant.grants)? {
                out.on(&grant.thing, &grant.any_organization, "allow_any_organization is true");
            }
            Ok(())
        },
    },
    Check {
        id: "b2b-disagrees",
        area: Area::Organizations,
        severity: Recommended,
        title: "Configuration and traffic disagree about B2B",
        looks_at: "organizations, clients, connections; events: organization_id, strategy",
        why: "a model that nobody follows protects nobody",
        fix: "decide what the tenant is, and make applications follow",
        docs: "https://auth0.com/docs/get-started/architecture-scenarios/business-to-business",
        judge: |scene, out| {
            let configured = configured(scene)?;
            let traffic = scene.lately()?;
            let logins = traffic.logins;
            if logins.all < LOGINS_MIN {
                return Err(NotRun::NotGiven(format!("{} logins are too few to tell", logins.all)));
            }
            let percent = |part: u64| part * 100 / logins.all;
            let (organizations, enterprise) =
                (percent(logins.all - logins.without_organization), percent(logins.enterprise));
            let shares = format!(
                "{organizations} % of {} logins had an organization, {enterprise} % an enterprise connection, {}",
                logins.all,
                traffic.period()
            );
            let thing = &part(&scene.tenant.settings)?.thing;
            match configured.model {
                Model::Business if organizations < 5 && enterprise < 5 => out.thing(
                    thing,
                    format!(
                        "the configuration is B2B ({}), the traffic is not: {shares}",
                        configured.signals.join(", ")
                    ),
                ),
                Model::Consumer if organizations >= 20 || enterprise >= 20 => out.thing(
                    thing,
                    format!(
                        "the configuration is B2C ({}), the traffic is not: {shares}",
                        configured.signals.join(", ")
                    ),
                ),
                _ => {}
            }
            Ok(())
        },
    },
];

/// Of fewer logins no share is taken.
const LOGINS_MIN: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Business,
    Consumer,
    /// Signs of both.
    Both,
    /// Signs of neither.
    Neither,
}

impl Model {
    pub fn name(self) -> &'static str {
        match self {
            Self::Business => "B2B",
            Self::Consumer => "B2C",
            Self::Both => "B2B and B2C",
            Self::Neither => "neither B2B nor B2C",
        }
    }
}

/// What the configuration makes of the tenant, and by which signs.
pub struct Configured {
    pub model: Model,
    pub signals: Vec<String>,
}

pub fn configured(scene: &Scene<'_>) -> Result<Configured, NotRun> {
    let organizations = part(&scene.tenant.organizations)?.len();
    let connections = part(&scene.tenant.connections)?;
    let databases = part(&scene.tenant.databases)?;
    let strategy = |wanted: &[&str]| {
        connections
            .iter()
            .filter(|one| one.strategy.known().is_some_and(|found| wanted.contains(&found.as_str())))
            .count()
    };
    let of_sort = |wanted| connections.iter().filter(|connection| sort(connection) == wanted).count();
    let using =
        clients(scene)?.filter(|client| client.organization_usage.known().is_some_and(|usage| usage != "deny")).count();
    let open = databases.iter().filter(|database| !database.disable_signup.is(&true)).count();
    let self_service = scene.tenant.self_service.as_ref().copied().unwrap_or(0);
    let count = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
    let business: Vec<String> = [
        count(organizations, "organizations"),
        count(using, "applications with organizations"),
        count(of_sort(Sort::Enterprise), "enterprise connections"),
        count(self_service, "self-service profiles"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let consumer: Vec<String> = [
        count(of_sort(Sort::Social), "social connections"),
        count(strategy(&["email", "sms"]), "passwordless connections"),
        count(open, "databases with open signup"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let model = match (business.is_empty(), consumer.is_empty()) {
        (false, true) => Model::Business,
        (true, false) => Model::Consumer,
        (false, false) => Model::Both,
        (true, true) => Model::Neither,
    };
    Ok(Configured { model, signals: business.into_iter().chain(consumer).collect() })
}

fn usage<'c>(client: &'c Client, out: &mut Outcome) -> Option<&'c str> {
    out.read(&client.thing, &client.organization_usage).flatten().map(String::as_str)
}

/// One that is right is enough: what else could not be judged does not matter.
fn clear(out: &mut Outcome) -> Judged {
    out.unjudged.clear();
    Ok(())
}

/// Applications that require organizations.
fn requiring<'a>(scene: &Scene<'a>, out: &mut Outcome) -> Result<Vec<&'a Client>, NotRun> {
    Ok(clients(scene)?.filter(|client| usage(client, out) == Some("require")).collect())
}

/// Whether it is known which applications may use a connection; notes it if not.
pub(super) fn knows_clients(connection: &Connection, out: &mut Outcome) -> bool {
    let clients = &connection.enabled_clients;
    if matches!(clients.value, Known::Absent) {
        out.unjudged(&connection.thing, clients.key, "not there");
    } else if let Some(why) = clients.open() {
        out.unjudged(&connection.thing, clients.key, why);
    } else {
        return true;
    }
    false
}

/// Whether an application is among those that may use a connection, by id or by name.
pub(super) fn allows(connection: &Connection, client: &Client) -> bool {
    connection.enabled_clients.all().any(|enabled| {
        client.thing.id.as_deref() == Some(enabled) || (!client.thing.is_unnamed && client.thing.name == enabled)
    })
}

/// Every enterprise connection of a tenant with organizations, with the organizations it is enabled in.
fn enterprise(scene: &Scene<'_>, out: &mut Outcome, judge: impl Fn(&Connection, &[&str], &mut Outcome)) -> Judged {
    let organizations = part(&scene.tenant.organizations)?;
    let connections = part(&scene.tenant.connections)?;
    if organizations.is_empty() {
        return Ok(());
    }
    for organization in organizations {
        let connections = &organization.connections;
        if matches!(connections.value, Known::Absent) {
            out.unjudged(&organization.thing, connections.key, NOT_THERE);
        } else if let Some(why) = connections.open() {
            out.unjudged(&organization.thing, connections.key, why);
        }
    }
    for connection in connections.iter().filter(|connection| sort(connection) == Sort::Enterprise) {
        let thing = &connection.thing;
        if thing.is_unnamed && thing.id.is_none() {
            out.unjudged(thing, "name", "a placeholder");
            continue;
        }
        let has = |one: &&Organization| {
            one.connections.has(&thing.name) || thing.id.as_ref().is_some_and(|id| one.connections.has(id))
        };
        let owners: Vec<&str> = organizations.iter().filter(has).map(|one| one.thing.name.as_str()).collect();
        if owners.is_empty() && !out.unjudged.is_empty() {
            continue;
        }
        judge(connection, &owners, out);
    }
    Ok(())
}
