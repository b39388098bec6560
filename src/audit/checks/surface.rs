//! Attack surface: what is allowed, beside what is used. "Unused" is said only where the events cover the period.

use std::collections::BTreeSet;

use super::super::document::Place;
use super::super::tenant::{Client, Connection, Grant, Known, NOT_THERE, Thing, USER};
use super::super::traffic::{ClientUse, Traffic, Used};
use super::applications::clients;
use super::connections::both;
use super::{Area, Check, Judged, NotRun, Outcome, Scene, Severity, listed, organizations, part};
use crate::event::{Class, Day, catalogue};
use crate::usage::ghost::TokenUse;

const CONNECTIONS: &str = "https://auth0.com/docs/get-started/applications/update-application-connections";
const CLIENT_GRANTS: &str = "https://auth0.com/docs/get-started/applications/application-access-to-apis-client-grants";

use Severity::{BestPractice, Recommended};

pub const CHECKS: &[Check] = &[
    Check {
        id: "connection-unused",
        area: Area::Surface,
        severity: Recommended,
        title: "A connection that nobody uses",
        looks_at: "databases, connections; events: logins by connection",
        why: "an account there, or at that provider, is still a way in",
        fix: "disable it for all applications, then remove it",
        docs: CONNECTIONS,
        judge: |scene, out| {
            let connections = both(scene)?;
            let traffic = with_logins(scene)?;
            let single = match traffic.logins.without_connection {
                0 => String::new(),
                count => format!("; {count} single sign-ons name no connection, and could be of it"),
            };
            let all: Vec<_> = clients(scene).into_iter().flatten().collect();
            // Who has a refresh token goes on without a login.
            let renewing = |connection: &Connection| {
                let may_be =
                    !matches!(connection.enabled_clients.value, Known::Is(_)) || connection.enabled_clients.is_open();
                let renews = |client: &&&Client| {
                    let used = traffic.client(client.thing.id.as_deref(), &client.thing.name);
                    let last = used.types.get("sertft").is_some_and(|last| last.start() >= traffic.begin);
                    last && (may_be || organizations::allows(connection, client))
                };
                let names: Vec<String> =
                    all.iter().filter(renews).map(|client| format!("{:?}", client.thing.name)).collect();
                match names.is_empty() {
                    true => String::new(),
                    false => format!("; refresh tokens of {} are used, and could be of its users", listed(&names)),
                }
            };
            for connection in connections {
                if connection.thing.is_unnamed {
                    out.unjudged(&connection.thing, "name", "a placeholder");
                    continue;
                }
                let used = traffic.connections.get(&connection.thing.name);
                if used.is_none_or(|used| used.events == 0) {
                    let renewing = renewing(connection);
                    let when = format!("{}; {}{single}{renewing}", traffic.period(), traffic.last(used));
                    out.unused(&connection.thing, connection.thing.place.clone(), "nobody logged in by it", when);
                }
            }
            Ok(())
        },
    },
    Check {
        id: "connection-nowhere",
        area: Area::Surface,
        severity: BestPractice,
        title: "A connection that no application may use",
        looks_at: "databases, connections: enabled_clients, is_domain_connection",
        why: "it is forgotten, and comes back with one click",
        fix: "remove it",
        docs: CONNECTIONS,
        judge: |scene, out| {
            for connection in both(scene)? {
                if connection.is_domain.is(&true) {
                    continue;
                }
                match &connection.enabled_clients.value {
                    Known::Is(clients) if clients.is_empty() => {
                        out.at(&connection.thing, &connection.enabled_clients, "enabled_clients is empty")
                    }
                    Known::Absent => out.unjudged(&connection.thing, connection.enabled_clients.key, "not there"),
                    Known::Unknown(what) => out.unjudged(&connection.thing, connection.enabled_clients.key, what),
                    Known::Is(_) => {}
                }
            }
            Ok(())
        },
    },
    Check {
        id: "client-connection-unused",
        area: Area::Surface,
        severity: BestPractice,
        title: "A connection that applications never use",
        looks_at: "databases, connections: enabled_clients; events: logins by application and connection",
        why: "whoever has an account there gets into an application it was never meant for",
        fix: "disable the connection for these applications, unless single sign-on brings their users",
        docs: CONNECTIONS,
        judge: client_connection_unused,
    },
    Check {
        id: "client-unused",
        area: Area::Surface,
        severity: Recommended,
        title: "An application that nobody uses",
        looks_at: "clients; events by application",
        why: "its callbacks, secrets and grants are still good",
        fix: "ask its owner, then remove it",
        docs: "https://auth0.com/docs/get-started/applications/remove-applications",
        judge: |scene, out| {
            let all = clients(scene)?;
            let traffic = scene.covered()?;
            let strangers = Strangers::of(scene, traffic);
            for client in all {
                let thing = &client.thing;
                if thing.is_unnamed && thing.id.is_none() {
                    out.unjudged(thing, "name", "a placeholder");
                    continue;
                }
                let used = traffic.client(thing.id.as_deref(), &thing.name);
                if !is_unused(&used, traffic) {
                    continue;
                }
                if let Some(why) = invisible(client, traffic) {
                    untold(thing, why, out);
                } else if let Some(why) = strangers.hide(client) {
                    untold(thing, &why, out);
                } else if used.used.last_at.is_none() {
                    let unknown = "it may have been added since, which the configuration does not say";
                    let (what, when) = without_use(&used.used, traffic);
                    out.unused(thing, thing.place.clone(), what, format!("{when}; {unknown}"));
                } else {
                    let (what, when) = without_use(&used.used, traffic);
                    out.unused(thing, thing.place.clone(), what, when);
                }
            }
            Ok(())
        },
    },
    Check {
        id: "client-grant-type-unused",
        area: Area::Surface,
        severity: Recommended,
        title: "A grant that an application never uses",
        looks_at: "clients: grant_types; events: exchanges by application",
        why: "each is a way to tokens that nobody looks after",
        fix: "remove it from the application's grant types",
        docs: "https://auth0.com/docs/get-started/applications/update-grant-types",
        judge: |scene, out| {
            let all = clients(scene)?;
            let traffic = scene.covered()?;
            for client in all {
                grant_types_unused(client, traffic, out);
            }
            Ok(())
        },
    },
    Check {
        id: "grant-unused",
        area: Area::Surface,
        severity: Recommended,
        title: "A client grant that is never used",
        looks_at: "clientGrants: subject_type; events: tokens by client and audience",
        why: "whoever gets the client's secret has the API as well",
        fix: "remove the grant",
        docs: CLIENT_GRANTS,
        judge: |scene, out| {
            let grants = part(&scene.tenant.grants)?;
            let traffic = scene.covered()?;
            let strangers = Strangers::of(scene, traffic);
            for grant in grants {
                match used_grant(scene, &strangers, grant) {
                    Ok((0, _)) if traffic.without_client_tokens().is_some() => {
                        untold(&grant.thing, traffic.without_client_tokens().unwrap_or_default(), out);
                    }
                    Ok((0, last)) => {
                        let when = format!("{}; {last}", traffic.period());
                        out.unused(&grant.thing, grant.thing.place.clone(), "no token", when);
                    }
                    Ok(_) => {}
                    Err((what, why)) => out.unjudged(&grant.thing, what, why),
                }
            }
            Ok(())
        },
    },
    Check {
        id: "management-grant-wide",
        area: Area::Surface,
        severity: Recommended,
        title: "A client may do nearly anything to the tenant",
        looks_at: "clientGrants: audience of the Management API, scope",
        why: "whoever gets hold of its tokens has the tenant",
        fix: "leave the scopes it needs",
        docs: CLIENT_GRANTS,
        judge: |scene, out| {
            for grant in part(&scene.tenant.grants)? {
                let Some(wide) = wide(grant, out) else { continue };
                let evidence = match grant.subject_type.is(&USER.to_owned()) {
                    true => format!("for its users, as far as each of them may: {wide}"),
                    false => wide,
                };
                out.at(&grant.thing, &grant.scopes, evidence);
            }
            Ok(())
        },
    },
    Check {
        id: "management-grant-idle",
        area: Area::Surface,
        severity: Recommended,
        title: "A powerful client of the Management API is hardly used",
        looks_at: "clientGrants: audience of the Management API, scope, subject_type; events: tokens",
        why: "nobody watches it, and its secret is the tenant",
        fix: "remove it, or give it what it uses",
        docs: CLIENT_GRANTS,
        judge: |scene, out| {
            let grants = part(&scene.tenant.grants)?;
            let traffic = scene.covered()?;
            let strangers = Strangers::of(scene, traffic);
            for grant in grants {
                let Some(wide) = wide(grant, out) else { continue };
                match used_grant(scene, &strangers, grant) {
                    Ok((tokens, _)) if tokens < FEW_TOKENS && traffic.without_client_tokens().is_some() => {
                        untold(&grant.thing, traffic.without_client_tokens().unwrap_or_default(), out);
                    }
                    Ok((tokens, last)) if tokens < FEW_TOKENS => out.at(
                        &grant.thing,
                        &grant.scopes,
                        format!("{wide}; {tokens} tokens {}; {last}", traffic.period()),
                    ),
                    Ok(_) => {}
                    Err((what, why)) => out.unjudged(&grant.thing, what, why),
                }
            }
            Ok(())
        },
    },
    Check {
        id: "client-ghost",
        area: Area::Surface,
        severity: Recommended,
        title: "A client asks for tokens it has",
        looks_at: "events: tokens by client and audience; resourceServers: token_lifetime",
        why: "each costs quota, and the token endpoint's rate limit is everybody's",
        fix: "keep tokens until they expire, in a cache that all processes share",
        docs: "https://auth0.com/docs/secure/tokens/token-best-practices",
        judge: |scene, out| {
            let all: Vec<_> = clients(scene)?.collect();
            let traffic = scene.lately()?;
            let mut unmatched = BTreeSet::new();
            for ghost in &traffic.ghosts {
                let found = all.iter().find(|client| {
                    client.thing.id.as_ref().is_some_and(|id| *id == ghost.client_id)
                        || client.thing.id.is_none() && client.thing.name == ghost.client_name
                });
                match found {
                    Some(client) => out.thing(
                        &client.thing,
                        format!("{} for {}: {}", ghost.verdict.text(), ghost.audience, ghost.explanation),
                    ),
                    None if unmatched.insert(&ghost.client_id) => untold(&of_events(ghost), UNMATCHED, out),
                    None => {}
                }
            }
            Ok(())
        },
    },
];

const UNMATCHED: &str = "by the events it asks for tokens it has, and the configuration knows no application of its id or name: it \
                         was renamed or removed since, or is of another tenant";

/// So many tokens in the period are little use.
const FEW_TOKENS: u64 = 10;
/// With so many scopes of the Management API a client may do nearly anything.
const WIDE_SCOPES: usize = 20;
/// Each of these alone is as good as all, and by what. What every service needs that keeps users (update:users, tickets for new
/// passwords) is not among them: each tenant has one.
const POWERFUL: [(&str, &str); 23] = [
    ("create:client_grants", "it can give itself the rest"),
    ("update:client_grants", "it can give itself the rest"),
    ("create:client_keys", "it can give any client a new secret"),
    ("update:client_keys", "it can give any client a new secret"),
    ("read:client_keys", "it has the secrets of every client"),
    ("create:client_credentials", "it can give any client a key of its own"),
    ("update:clients", "it can send any client's logins elsewhere"),
    ("update:tenant_settings", "it can change every login"),
    ("create:actions", "its code can run in every login"),
    ("update:actions", "its code can run in every login"),
    ("create:role_members", "it can give any user any role"),
    ("create:signing_keys", "it can change by which key tokens are known"),
    ("update:email_provider", "it can read the mails by which users get in"),
    ("update:email_templates", "it can change the mails by which users get in"),
    ("update:custom_domains", "it can change where users log in"),
    ("update:log_streams", "it can stop what tells of it"),
    ("create:hooks", "its code can run in every token exchange"),
    ("update:hooks", "its code can run in every token exchange"),
    ("create:rules", "its code can run in every login"),
    ("update:rules", "its code can run in every login"),
    ("create:connections", "it can let anybody in, as anybody"),
    ("update:connections", "it can let anybody in, as anybody"),
    ("update:attack_protection", "it can switch the tenant's defences off"),
];
/// What cannot be made good once it is deleted.
const LASTING: [&str; 8] =
    ["users", "clients", "connections", "resource_servers", "organizations", "roles", "actions", "log_streams"];

/// The events, where they have logins.
pub(super) fn with_logins<'a>(scene: &Scene<'a>) -> Result<&'a Traffic, NotRun> {
    let traffic = scene.covered()?;
    traffic.without_logins().map_or(Ok(traffic), |why| Err(why.into()))
}

pub(super) fn untold(thing: &Thing, why: &str, out: &mut Outcome) {
    out.unjudged(thing, "its use", NotRun::NotGiven(format!("not to be told: {why}")));
}

/// Why a use of an application could not be seen: by each of its grants another type of event tells.
fn invisible<'t>(client: &Client, traffic: &'t Traffic) -> Option<&'t str> {
    let grants = &client.grant_types;
    let is_unknown = grants.is_open() || matches!(grants.value, Known::Absent);
    let is_machine = client.app_type.is(&"non_interactive".to_owned());
    let may = |grant: &str| is_unknown || grants.has(grant);
    let (client_tokens, logins) = (traffic.without_client_tokens(), traffic.without_logins());
    let of_client = client_tokens.filter(|_| may("client_credentials"));
    let of_users =
        logins.filter(|_| is_unknown && !is_machine || grants.all().any(|grant| grant != "client_credentials"));
    let of_refresh = traffic.without_exchanges().filter(|_| !(is_unknown && is_machine) && may("refresh_token"));
    of_client.or(of_users).or(of_refresh)
}

/// Whether nobody got anything from it within the period: whoever only tries may be anybody.
fn is_unused(used: &ClientUse, traffic: &Traffic) -> bool {
    use Class::{Attack, LoginFail, M2mFail, RateLimit, SignupFail, UserTokenFail};
    let begin = Day::of(traffic.begin);
    let mut codes = used.types.iter().filter(|(_, last)| **last >= begin).map(|(code, _)| catalogue::lookup(code));
    used.used.events == 0
        || codes.all(|code| matches!(code.class, LoginFail | SignupFail | UserTokenFail | M2mFail | RateLimit | Attack))
}

/// What is to be said of it, and when that was so.
fn without_use(used: &Used, traffic: &Traffic) -> (&'static str, String) {
    match (used.events, used.last_at) {
        (1.., Some(last)) => {
            let when = format!("{}: {}, the last on {}", traffic.period(), used.events, last.date());
            ("only failed attempts", when)
        }
        _ => ("no use", format!("{}; {}", traffic.period(), traffic.last(Some(used)))),
    }
}

/// The types of event that a use of a grant leaves, of which one is enough; of others, as the implicit one, nothing tells.
const EXCHANGES: [(&str, &[&str]); 11] = [
    ("authorization_code", &["seacft"]),
    ("refresh_token", &["sertft"]),
    ("client_credentials", &["seccft"]),
    // Whoever has another factor gets the token by that.
    ("password", &["sepft", "seotpft", "seoobft", "sercft"]),
    ("http://auth0.com/oauth/grant-type/password-realm", &["sepft", "seotpft", "seoobft", "sercft"]),
    ("http://auth0.com/oauth/grant-type/mfa-otp", &["seotpft"]),
    ("http://auth0.com/oauth/grant-type/mfa-oob", &["seoobft"]),
    ("http://auth0.com/oauth/grant-type/mfa-recovery-code", &["sercft"]),
    // Native social logins, and for whom somebody else asks.
    ("urn:ietf:params:oauth:grant-type:token-exchange", &["secte", "sens", "success_on_behalf_of_token_exchange"]),
    ("urn:ietf:params:oauth:grant-type:device_code", &["sede"]),
    ("urn:openid:params:grant-type:ciba", &["ciba_exchange_succeeded"]),
];

fn grant_types_unused(client: &Client, traffic: &Traffic, out: &mut Outcome) {
    let thing = &client.thing;
    if thing.is_unnamed && thing.id.is_none() {
        return out.unjudged(thing, "name", "a placeholder");
    }
    if let Some(why) = client.grant_types.open() {
        out.unjudged(thing, client.grant_types.key, why);
    }
    let used = traffic.client(thing.id.as_deref(), &thing.name);
    // That it is unused altogether is another check's.
    if is_unused(&used, traffic) {
        return;
    }
    for (index, grant) in client.grant_types.known().into_iter().flatten().enumerate() {
        let Known::Is(grant) = grant else { continue };
        let Some((_, codes)) = EXCHANGES.iter().find(|(name, _)| name == grant) else { continue };
        let last = codes.iter().filter_map(|code| used.types.get(code)).max().map(|last| last.start());
        let code = codes[0];
        if last.is_some_and(|last| last >= traffic.begin) {
            continue;
        }
        if let Some(why) = traffic.without_exchange(code) {
            untold(thing, why, out);
            continue;
        }
        let renews = used.types.get("sertft").is_some_and(|last| last.start() >= traffic.begin);
        if grant == "authorization_code" && renews {
            untold(thing, "its refresh tokens are used, and each began with a login, which may be longer ago", out);
            continue;
        }
        let last = traffic.last(Some(&Used { events: 0, last_at: last }));
        let place = thing.place.at(client.grant_types.key).item(index);
        out.unused(thing, place, format!("no {grant} ({code})"), format!("{}; {last}", traffic.period()));
    }
}

/// Why a grant of the Management API is wide.
fn wide(grant: &Grant, out: &mut Outcome) -> Option<String> {
    if !grant.of_management {
        if let Known::Unknown(what) = &grant.audience.value {
            out.unjudged(&grant.thing, grant.audience.key, what);
        }
        return None;
    }
    if grant.all_scopes.is(&true) {
        return Some("it has all scopes of the Management API".to_owned());
    }
    if let Some((scope, what)) = POWERFUL.iter().find(|(scope, _)| grant.scopes.has(scope)) {
        return Some(format!("it has {scope}, by which {what}"));
    }
    let deletes = |scope: &&str| scope.strip_prefix("delete:").is_some_and(|what| LASTING.contains(&what));
    if let Some(scope) = grant.scopes.all().find(deletes) {
        return Some(format!("it has {scope}, and what is deleted so is gone"));
    }
    let count = grant.scopes.all().count();
    if count >= WIDE_SCOPES {
        return Some(format!("it has {count} scopes of the Management API"));
    }
    if let Some(what) = grant.scopes.open() {
        out.unjudged(&grant.thing, grant.scopes.key, what);
    }
    None
}

/// Tokens of a grant in the period, and when there was the last; or what of it cannot be told, and why.
fn used_grant(
    scene: &Scene<'_>,
    strangers: &Strangers<'_>,
    grant: &Grant,
) -> Result<(u64, String), (&'static str, NotRun)> {
    let traffic = strangers.traffic;
    match &grant.subject_type.value {
        Known::Is(subject) if subject == USER => {
            let why = "not to be told: it is for users, whose tokens are not counted by API";
            return Err(("its use", NotRun::NotGiven(why.to_owned())));
        }
        Known::Unknown(why) => return Err((grant.subject_type.key, why.clone())),
        Known::Is(_) | Known::Absent => {}
    }
    let (Some(client), Some(audience)) = (grant.client.known(), grant.audience.known()) else {
        let field = if grant.client.known().is_none() { &grant.client } else { &grant.audience };
        return Err((field.key, field.unknown().unwrap_or_else(|| NOT_THERE.into())));
    };
    // By what an export calls the client, and by its id where that is known.
    let same = |thing: &Thing| thing.id.as_ref() == Some(client) || thing.name == *client;
    let known = scene.tenant.clients.as_ref().ok().and_then(|all| all.iter().find(|one| same(&one.thing)));
    let (id, name) = match known {
        Some(known) => (known.thing.id.as_deref(), known.thing.name.as_str()),
        None if traffic.clients.contains_key(client) => (Some(client.as_str()), ""),
        None => (None, client.as_str()),
    };
    let mut tokens = 0;
    let mut last = None;
    for id in traffic.ids_of(id, name) {
        if let Some(used) = traffic.grants.get(&(id.to_owned(), audience.clone())) {
            tokens += used.used.events;
            last = last.max(used.used.last_at);
        }
    }
    if let Some(why) = strangers.hiding(id, name, |one| one.asks).filter(|_| tokens == 0) {
        return Err(("its use", NotRun::NotGiven(format!("not to be told: {why}"))));
    }
    let used = Used { events: tokens, last_at: last };
    Ok((tokens, traffic.last(Some(&used))))
}

/// Busy applications of the events that the configuration does not know. Where an export has no ids, each of them may be one
/// of its own, renamed since.
pub(super) struct Strangers<'a> {
    traffic: &'a Traffic,
    busy: Vec<Stranger<'a>>,
    /// Every name in the events.
    names: BTreeSet<&'a str>,
}

impl<'a> Strangers<'a> {
    pub fn of(scene: &Scene<'a>, traffic: &'a Traffic) -> Self {
        let things = || scene.tenant.clients.iter().flatten().map(|client| &client.thing);
        let ids: BTreeSet<&str> = things().filter_map(|thing| thing.id.as_deref()).collect();
        let names: BTreeSet<&str> = things().map(|thing| thing.name.as_str()).collect();
        // One that Auth0 let do something; its dashboard is none, nor is what somebody made up. Without a name it may be any.
        let is_strange = |(id, used): &(&str, &ClientUse)| !ids.contains(id) && !names.contains(used.name.as_str());
        let busy = traffic.clients.iter().map(|(id, used)| (id.as_str(), used)).filter(is_strange);
        let busy =
            busy.map(|(id, used)| Stranger::of(id, used, Day::of(traffic.begin))).filter(Stranger::is_busy).collect();
        Self { traffic, busy, names: traffic.clients.values().map(|used| used.name.as_str()).collect() }
    }

    /// Why nobody can tell that an application is not used, if one of those may be it.
    pub fn hide(&self, client: &Client) -> Option<String> {
        let grants = &client.grant_types;
        let is_known = !grants.is_open() && !grants.is_empty();
        let is_machine = |grant: &str| grant == "client_credentials";
        let may_ask = !is_known || grants.all().any(is_machine);
        let may_have_users = !is_known || !grants.all().all(is_machine);
        let is_like = |one: &Stranger| one.asks && may_ask || one.has_users && may_have_users;
        self.hiding(client.thing.id.as_deref(), &client.thing.name, is_like)
    }

    fn hiding(&self, id: Option<&str>, name: &str, is_like: impl Fn(&Stranger<'_>) -> bool) -> Option<String> {
        if id.is_some() || self.names.contains(name) {
            return None;
        }
        let mut like = self.busy.iter().filter(|one| is_like(one));
        let first = like.next()?.name;
        let count = 1 + like.count();
        Some(format!(
            "the export has no ids, and the data has {count} busy applications that it does not know, such as {first:?}: this \
             may be one of them, renamed"
        ))
    }
}

struct Stranger<'a> {
    name: &'a str,
    /// For tokens of its own.
    asks: bool,
    has_users: bool,
}

impl<'a> Stranger<'a> {
    fn of(id: &'a str, used: &'a ClientUse, begin: Day) -> Self {
        let classes =
            || used.types.iter().filter(|(_, last)| **last >= begin).map(|(code, _)| catalogue::lookup(code).class);
        Self {
            name: if used.name.is_empty() { id } else { &used.name },
            asks: classes().any(|class| class == Class::M2mOk),
            has_users: classes().any(|class| class.is_authenticated() && class != Class::M2mOk),
        }
    }

    fn is_busy(&self) -> bool {
        self.asks || self.has_users
    }
}

/// An application as the events know it.
fn of_events(ghost: &TokenUse) -> Thing {
    let name = if ghost.client_name.is_empty() { &ghost.client_id } else { &ghost.client_name };
    Thing {
        kind: "application",
        name: name.clone(),
        id: Some(ghost.client_id.clone()),
        place: Place::of("events"),
        is_unnamed: false,
    }
}

fn client_connection_unused(scene: &Scene<'_>, out: &mut Outcome) -> Judged {
    let all: Vec<_> = clients(scene)?.collect();
    let connections: Vec<_> = both(scene)?.collect();
    let traffic = with_logins(scene)?;
    for connection in connections {
        if connection.thing.is_unnamed {
            out.unjudged(&connection.thing, "name", "a placeholder");
            continue;
        }
        // Unused altogether is another check's.
        if traffic.connections.get(&connection.thing.name).is_none_or(|used| used.events == 0) {
            continue;
        }
        if !organizations::knows_clients(connection, out) {
            continue;
        }
        let (mut unused, mut single) = (Vec::new(), 0);
        let allowed: Vec<_> = all.iter().filter(|client| organizations::allows(connection, client)).collect();
        for client in &allowed {
            let ids = traffic.ids_of(client.thing.id.as_deref(), &client.thing.name);
            let pair = |id: &&str| traffic.pairs.get(&((*id).to_owned(), connection.thing.name.clone()));
            let used: u64 = ids.iter().filter_map(pair).map(|used| used.events).sum();
            let logins = traffic.client(client.thing.id.as_deref(), &client.thing.name);
            if used > 0 || is_unused(&logins, traffic) {
                continue;
            }
            unused.push(format!("{:?}", client.thing.name));
            single += logins.logins.without_connection;
        }
        if unused.is_empty() {
            continue;
        }
        let single = match single {
            0 => String::new(),
            count => format!("; {count} of their single sign-ons name no connection, and could be of it"),
        };
        let (count, all) = (unused.len(), allowed.len());
        let evidence =
            format!("{count} of the {all} applications that may use it had no login by it: {}", listed(&unused));
        let place = connection.thing.place.at(connection.enabled_clients.key);
        out.unused(&connection.thing, place, evidence, format!("{}{single}", traffic.period()));
    }
    Ok(())
}
