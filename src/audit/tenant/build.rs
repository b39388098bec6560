//! From what was read to what the checks need: each object field by field, and nothing of it that is not asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::assets::{Found, Item};
use super::super::code::{self, Smell};
use super::super::document::{Place, ReadError, not_known, placeholder, with_placeholder};
use super::super::not_run::NotRun;
use super::super::url::masked;
use super::{
    Action, Api, Bindings, BotDetection, Client, Connection, CustomDomain, Element, ErrorPage, Factor, Field, Flexible,
    Grant, Known, NetworkAcl, Organization, Part, Role, Settings, Shield, Stream, Switched, Tenant, Texts, Thing, USER,
    is_canonical,
};

/// Reads the scripts that a configuration names.
pub trait Code {
    /// The text of a file that stands instead of a script, and its place; `None` if it cannot be read.
    fn read(&mut self, from: &Place, name: &str) -> Option<(String, Place)>;
}

/// Takes over what the checks need.
pub fn build(found: &BTreeMap<&'static str, Found>, code: &mut dyn Code) -> Tenant {
    let parts = Parts { found };
    let management = Management::of(&parts);
    let settings = parts.one("tenant", settings).and_then(|settings| settings.ok_or_else(|| "it is empty".into()));
    Tenant {
        settings,
        clients: parts.many("clients", client),
        databases: parts.many("databases", |node| connection(node, code)),
        connections: parts.many("connections", |node| connection(node, code)),
        apis: parts.many("resourceServers", |node| api(node, &management)),
        grants: parts.many("clientGrants", |node| Ok(grant(node, &management))),
        organizations: parts.many("organizations", organization),
        roles: parts.many("roles", role),
        brute_force: parts.one("attackProtection.bruteForceProtection", |node| shield(node, "brute force protection")),
        ip_throttling: parts.one("attackProtection.suspiciousIpThrottling", |node| shield(node, "IP throttling")),
        breached_passwords: parts
            .one("attackProtection.breachedPasswordDetection", |node| shield(node, "breached passwords")),
        bot_detection: parts.one("attackProtection.botDetection", |node| Ok(bot_detection(node))),
        factors: parts.many("guardianFactors", factor),
        mfa_policies: parts
            .one("guardianPolicies", |node| Ok(node.texts("policies")))
            .map(|given| given.unwrap_or(Field { key: "policies", value: Known::Is(Vec::new()) })),
        phone_provider: parts.one("guardianPhoneFactorSelectedProvider", |node| Ok(node.text("provider"))),
        email_provider: parts.one("emailProvider", |node| {
            Ok(Switched { thing: node.only("e-mail provider"), enabled: node.flag("enabled") })
        }),
        email_templates: parts.many("emailTemplates", |node| switched(node, "e-mail template", "template")),
        custom_domains: parts.many("customDomains", |node| {
            Ok(CustomDomain {
                thing: node.thing("custom domain", "domain", "custom_domain_id")?,
                status: node.text("status"),
            })
        }),
        log_streams: parts.many("logStreams", |node| stream(node, "log stream")),
        event_streams: parts.many("eventStreams", |node| stream(node, "event stream")),
        actions: parts.many("actions", |node| action(node, code)),
        bindings: parts.one("triggers", |node| Ok(bindings(node))),
        rules: parts.many("rules", |node| switched(node, "rule", "name")),
        hooks: parts.many("hooks", |node| switched(node, "hook", "name")),
        network_acls: parts.many("networkACLs", |node| Ok(network_acl(node))),
        error_page: error_page(&parts, code),
        login_experience: match parts.one("prompts", |node| Ok(node.text("universal_login_experience"))) {
            Ok(Some(field)) => Ok(field),
            Ok(None) => Err("prompts are empty".into()),
            Err(why) => Err(why),
        },
        self_service: parts.items("selfServiceProfiles").map(|items| items.len()),
    }
}

struct Parts<'a> {
    found: &'a BTreeMap<&'static str, Found>,
}

impl<'a> Parts<'a> {
    /// Of a list with a placeholder in it nobody knows how many objects it has, nor which.
    fn items(&self, key: &str) -> Part<&'a [Item]> {
        match self.found.get(key) {
            Some(Found::Items(items)) => {
                let open = items.iter().find_map(|item| Some((item, placeholder(item.value.as_str()?)?)));
                let not_given =
                    |(item, shown): (&Item, _)| NotRun::NotGiven(format!("{} is the placeholder {shown}", item.place));
                open.map_or(Ok(items), |open| Err(not_given(open)))
            }
            Some(Found::Missing(why)) => Err(why.clone()),
            None => Err(NotRun::NotGiven(format!("nothing was read of {key}"))),
        }
    }

    /// What cannot be read makes its part unknown, and no other.
    fn many<T>(&self, key: &str, mut read: impl FnMut(&Node<'a>) -> Result<T, ReadError>) -> Part<Vec<T>> {
        let read = self.items(key)?.iter().map(|item| read(&Node::of(item))).collect::<Result<_, _>>();
        let failed = |error: ReadError| format!("{}: {}; right would be {}", error.place, error.problem, error.right);
        read.map_err(|error| NotRun::Failed(failed(error)))
    }

    /// What is no object says nothing of its fields, least of all that they are not set.
    fn one<T>(&self, key: &str, mut read: impl FnMut(&Node<'a>) -> Result<T, ReadError>) -> Part<Option<T>> {
        let read_object = |node: &Node<'a>| match node.value {
            Value::Object(_) | Value::Null => read(node),
            _ => Err(ReadError::new(&node.place, "it is no object", "an object with its fields")),
        };
        Ok(self.many(key, read_object)?.into_iter().next())
    }
}

/// One object, read field by field.
struct Node<'a> {
    value: &'a Value,
    place: Place,
    file_name: Option<&'a str>,
}

impl<'a> Node<'a> {
    fn of(item: &'a Item) -> Self {
        Self { value: &item.value, place: item.place.clone(), file_name: item.file_name.as_deref() }
    }

    /// The thing itself, by the key of its name and of its id.
    fn thing(&self, kind: &'static str, name: &str, id: &str) -> Result<Thing, ReadError> {
        let text = self.value.get(name).and_then(Value::as_str).or(self.file_name).filter(|name| !name.is_empty());
        let Some(text) = text else {
            let right = format!("\"{name}\" with the name of the {kind}");
            return Err(ReadError::new(self.place.at(name), format!("{} {kind} without a name", article(kind)), right));
        };
        let shown = with_placeholder(text);
        let is_unnamed = shown.is_some();
        let id = self.value.get(id).and_then(Value::as_str).filter(|id| placeholder(id).is_none());
        Ok(Thing {
            kind,
            is_unnamed,
            name: masked(shown.as_deref().unwrap_or(text)).into_owned(),
            id: id.map(str::to_owned),
            place: self.place.clone(),
        })
    }

    /// Something of which a tenant has one.
    fn only(&self, name: &'static str) -> Thing {
        Thing { kind: "tenant", name: name.to_owned(), id: None, place: self.place.clone(), is_unnamed: false }
    }

    fn read<T>(&self, key: &'static str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Field<T> {
        let mut value = self.value;
        for step in key.split('.') {
            value = match (value.get(step), value) {
                (Some(next), _) => next,
                (None, Value::Object(_)) => return Field { key, value: Known::Absent },
                // So is written, at times, an object without anything in it.
                (None, Value::Array(items)) if items.is_empty() => return Field { key, value: Known::Absent },
                // What stands for an object may hold the key, and what is none says nothing of it.
                (None, other) => return Field { key, value: known(other, "an object", |_| None) },
            };
        }
        Field { key, value: known(value, expected, read) }
    }

    fn text(&self, key: &'static str) -> Field<String> {
        let field = self.read(key, "a text", as_text);
        // What is set to nothing is not set.
        if field.is(&String::new()) { Field { key, value: Known::Absent } } else { field }
    }

    fn flag(&self, key: &'static str) -> Field<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn number(&self, key: &'static str) -> Field<f64> {
        self.read(key, "a number of at least 0", |value| value.as_f64().filter(|number| *number >= 0.0))
    }

    /// Whether anything is there.
    fn presence(&self, key: &'static str) -> Field<bool> {
        let is_there = |value: &Value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        // A placeholder stands for something; what it is does not matter.
        match self.read(key, "anything", |value| Some(is_there(value))) {
            Field { value: Known::Absent, .. } => Field { key, value: Known::Is(false) },
            Field { value: Known::Unknown(NotRun::NotGiven(_)), .. } => Field { key, value: Known::Is(true) },
            field => field,
        }
    }

    fn texts(&self, key: &'static str) -> Texts {
        self.list(key, |value| known(value, "a text", as_text))
    }

    /// Of a list of objects the first of these keys that each has.
    fn texts_of(&self, key: &'static str, names: &[&str]) -> Texts {
        self.list(key, |value| {
            let name = names.iter().find_map(|name| value.pointer(name)).unwrap_or(value);
            known(name, "an object with a name", as_text)
        })
    }

    fn list(&self, key: &'static str, read: impl Fn(&Value) -> Element) -> Texts {
        self.read(key, "a list", |value| value.as_array().map(|items| items.iter().map(&read).collect()))
    }
}

/// Of a word as it is spoken: "MFA" begins with an e.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'A', 'e', 'i', 'o']) || word.starts_with("MFA") { "an" } else { "a" }
}

fn known<T>(value: &Value, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Known<T> {
    if value.is_null() {
        return Known::Absent;
    }
    if let Some(why) = value.as_str().and_then(not_known) {
        return Known::Unknown(why);
    }
    match read(value) {
        Some(value) => Known::Is(value),
        None => {
            let found = match value {
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) => "a text",
                Value::Array(_) => "a list",
                Value::Object(_) | Value::Null => "an object",
            };
            Known::Unknown(NotRun::Failed(format!("{found} where {expected} belongs")))
        }
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(masked(text).into_owned()),
        // YAML without quotation marks.
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn settings(node: &Node<'_>) -> Result<Settings, ReadError> {
    // Where both are there, minutes are what counts.
    let hours = |key, in_minutes| match node.number(in_minutes) {
        Field { value: Known::Absent, .. } => node.number(key),
        Field { value: Known::Is(minutes), key } => Field { key, value: Known::Is(minutes / 60.0) },
        field => field,
    };
    Ok(Settings {
        thing: node.only("settings"),
        support_email: node.text("support_email"),
        support_url: node.text("support_url"),
        login_uri: node.text("default_redirection_uri"),
        logout_urls: node.texts("allowed_logout_urls"),
        default_audience: node.text("default_audience"),
        default_directory: node.text("default_directory"),
        sandbox_version: node.text("sandbox_version"),
        session_hours: hours("session_lifetime", "session_lifetime_in_minutes"),
        idle_session_hours: hours("idle_session_lifetime", "idle_session_lifetime_in_minutes"),
        ephemeral_session_hours: hours("ephemeral_session_lifetime", "ephemeral_session_lifetime_in_minutes"),
        idle_ephemeral_session_hours: hours(
            "idle_ephemeral_session_lifetime",
            "idle_ephemeral_session_lifetime_in_minutes",
        ),
        cookie_mode: node.text("session_cookie.mode"),
        idtoken_api2: node.flag("flags.enable_idtoken_api2"),
        legacy_ro_grant: node.flag("flags.allow_legacy_ro_grant_types"),
        legacy_tokeninfo: node.flag("flags.allow_legacy_tokeninfo_endpoint"),
        legacy_delegation: node.flag("flags.allow_legacy_delegation_grant_types"),
        legacy_profile: node.flag("flags.enable_legacy_profile"),
        other_legacy_grants: node.flag("flags.allow_other_legacy_grant_types"),
        dynamic_registration: node.flag("flags.enable_dynamic_client_registration"),
        user_exists_error: node.flag("flags.enable_public_signup_user_exists_error"),
        no_clickjack_protection: node.flag("flags.disable_clickjack_protection_headers"),
        client_connections: node.flag("flags.enable_client_connections"),
        domain_in_emails: node.flag("flags.enable_custom_domain_in_emails"),
    })
}

fn client(node: &Node<'_>) -> Result<Client, ReadError> {
    let cross_origin = match node.flag("cross_origin_authentication") {
        Field { value: Known::Absent, .. } => node.flag("cross_origin_auth"),
        field => field,
    };
    Ok(Client {
        thing: node.thing("application", "name", "client_id")?,
        app_type: node.text("app_type"),
        callbacks: node.texts("callbacks"),
        origins: node.texts("allowed_origins"),
        web_origins: node.texts("web_origins"),
        logout_urls: node.texts("allowed_logout_urls"),
        alg: node.text("jwt_configuration.alg"),
        id_token_seconds: node.number("jwt_configuration.lifetime_in_seconds"),
        grant_types: node.texts("grant_types"),
        oidc_conformant: node.flag("oidc_conformant"),
        auth_method: node.text("token_endpoint_auth_method"),
        has_private_key_jwt: node.presence("client_authentication_methods.private_key_jwt"),
        rotation: node.text("refresh_token.rotation_type"),
        expiration: node.text("refresh_token.expiration_type"),
        lives_forever: node.flag("refresh_token.infinite_token_lifetime"),
        cross_origin,
        first_party: node.flag("is_first_party"),
        par: node.flag("require_pushed_authorization_requests"),
        jar: node.flag("signed_request_object.required"),
        proof_of_possession: node.flag("require_proof_of_possession"),
        backchannel: node.texts("oidc_logout.backchannel_logout_urls"),
        login_uri: node.text("initiate_login_uri"),
        organization_usage: node.text("organization_usage"),
        own_login_page: node.flag("custom_login_page_on"),
        global: node.flag("global"),
    })
}

fn connection(node: &Node<'_>, code: &mut dyn Code) -> Result<Connection, ReadError> {
    let is_flexible = node.value.pointer("/options/password_options").is_some_and(|options| !options.is_null());
    // Where both are there, the older ones are ignored.
    let either = |flexible, older| if is_flexible { flexible } else { older };
    Ok(Connection {
        thing: node.thing("connection", "name", "id")?,
        strategy: node.text("strategy"),
        is_domain: node.flag("is_domain_connection"),
        enabled_clients: node.texts("enabled_clients"),
        has_own_keys: node.presence("options.client_id"),
        disable_signup: node.flag("options.disable_signup"),
        password_policy: node.text("options.passwordPolicy"),
        flexible: is_flexible.then(|| Flexible {
            character_types: node.texts("options.password_options.complexity.character_types"),
            dictionary: node.flag("options.password_options.dictionary.active"),
        }),
        password_history: node
            .flag(either("options.password_options.history.active", "options.password_history.enable")),
        history_size: node.number(either("options.password_options.history.size", "options.password_history.size")),
        no_personal_info: node
            .flag(either("options.password_options.profile_data.active", "options.password_no_personal_info.enable")),
        min_length: node.number(either(
            "options.password_options.complexity.min_length",
            "options.password_complexity_options.min_length",
        )),
        brute_force: node.flag("options.brute_force_protection"),
        customized: node.flag("options.enabledDatabaseCustomization"),
        import_mode: node.flag("options.import_mode"),
        passkeys: node.flag("options.authentication_methods.passkey.enabled"),
        passwords: node.flag("options.authentication_methods.password.enabled"),
        email_verification: node.text("options.attributes.email.verification_method"),
        script_smells: scripts(node, code, code::smells),
        script_logs: scripts(node, code, code::logs),
    })
}

/// What a look at each script of a database finds.
fn scripts(node: &Node<'_>, code: &mut dyn Code, look: fn(&str, &Place) -> Vec<Smell>) -> Part<Vec<Smell>> {
    let given = node.value.pointer("/options/customScripts");
    if let Some(why) = given.and_then(Value::as_str).and_then(not_known) {
        return Err(why.map(|why| format!("{} is {why}", node.place.at("options.customScripts"))));
    }
    let Some(scripts) = given.and_then(Value::as_object) else { return Ok(Vec::new()) };
    let mut smells = Vec::new();
    for (name, script) in scripts {
        let place = node.place.at("options.customScripts").at(name);
        let (text, place) = script_text(script, &place, code)?;
        smells.extend(look(&text, &place));
    }
    Ok(smells)
}

/// A script that stands in the configuration, or in the file that it names.
fn script_text(script: &Value, place: &Place, code: &mut dyn Code) -> Part<(String, Place)> {
    let Some(text) = script.as_str() else { return Err(NotRun::Failed(format!("{place} is no text"))) };
    if let Some(why) = not_known(text).filter(|_| !text.contains('\n')) {
        return Err(why.map(|why| format!("{place} is {why}")));
    }
    let is_file = !text.contains(['\n', ';', '{']) && [".js", ".html"].iter().any(|end| text.ends_with(end));
    if !is_file {
        return Ok((text.to_owned(), place.clone()));
    }
    let not_given = || NotRun::NotGiven(format!("{place} names a file that is not within the export"));
    code.read(place, text).ok_or_else(not_given)
}

fn api(node: &Node<'_>, management: &Management<'_>) -> Result<Api, ReadError> {
    Ok(Api {
        thing: node.thing("API", "name", "id")?,
        identifier: node.text("identifier"),
        is_management: management.is(node, "identifier"),
        is_system: node.flag("is_system"),
        alg: node.text("signing_alg"),
        token_seconds: node.number("token_lifetime"),
        enforces_policies: node.flag("enforce_policies"),
        token_dialect: node.text("token_dialect"),
        user_policy: node.text("subject_type_authorization.user.policy"),
        proof_of_possession: node.flag("proof_of_possession.required"),
        encrypts: node.presence("token_encryption"),
        permissions: node.texts_of("scopes", &["/value"]),
    })
}

/// Which audiences are the Management API of the tenant.
struct Management<'a> {
    /// Identifiers of APIs that are said to be Auth0's own, and to be none of them.
    system: BTreeSet<&'a str>,
    own: BTreeSet<&'a str>,
}

impl<'a> Management<'a> {
    fn of(parts: &Parts<'a>) -> Self {
        let apis = parts.items("resourceServers").unwrap_or_default();
        let said = |wanted: bool| {
            let is_so = move |item: &&Item| item.value.get("is_system").and_then(Value::as_bool) == Some(wanted);
            apis.iter().filter(is_so).filter_map(|item| item.value.get("identifier")?.as_str()).collect()
        };
        Self { system: said(true), own: said(false) }
    }

    /// `https://{domain}/api/v2/`, in an export often with a placeholder for the domain. An API of one's own may end so as well.
    fn is(&self, node: &Node<'_>, key: &str) -> bool {
        let Some(audience) = node.value.get(key).and_then(Value::as_str) else { return false };
        let host =
            audience.strip_prefix("https://").and_then(|rest| rest.trim_end_matches('/').strip_suffix("/api/v2"));
        let is_placeholder = |host| placeholder(host).is_some_and(|shown| with_placeholder(host) == Some(shown));
        host.is_some_and(|host| {
            self.system.contains(audience)
                || !self.own.contains(audience)
                    && (is_canonical(host) || audience.ends_with('/') && is_placeholder(host))
        })
    }
}

fn grant(node: &Node<'_>, management: &Management<'_>) -> Grant {
    let (client, audience, subject_type) = (node.text("client_id"), node.text("audience"), node.text("subject_type"));
    let text = |field: &Field<String>| match &field.value {
        Known::Is(text) => text.clone(),
        Known::Unknown(why) => why.to_string(),
        Known::Absent => "(any)".to_owned(),
    };
    // A client may have both for an API.
    let of = if subject_type.is(&USER.to_owned()) { " for users" } else { "" };
    let name = format!("{} to {}{of}", text(&client), text(&audience));
    let is_unnamed = client.known().is_none() || audience.known().is_none();
    let id = node.value.get("id").and_then(Value::as_str).map(str::to_owned);
    Grant {
        thing: Thing { kind: "client grant", name, id, place: node.place.clone(), is_unnamed },
        client,
        audience,
        of_management: management.is(node, "audience"),
        subject_type,
        scopes: node.texts("scope"),
        all_scopes: node.flag("allow_all_scopes"),
        organization_usage: node.text("organization_usage"),
        any_organization: node.flag("allow_any_organization"),
    }
}

fn organization(node: &Node<'_>) -> Result<Organization, ReadError> {
    Ok(Organization {
        thing: node.thing("organization", "name", "id")?,
        connections: node.texts_of("connections", &["/name", "/connection/name", "/connection_id"]),
    })
}

fn role(node: &Node<'_>) -> Result<Role, ReadError> {
    Ok(Role {
        thing: node.thing("role", "name", "id")?,
        apis: node.texts_of("permissions", &["/resource_server_identifier"]),
    })
}

fn shield(node: &Node<'_>, name: &'static str) -> Result<Shield, ReadError> {
    Ok(Shield {
        thing: node.only(name),
        enabled: node.flag("enabled"),
        shields: node.texts("shields"),
        allowlist: node.texts("allowlist"),
        mode: node.text("mode"),
        attempts: node.number("max_attempts"),
        login_attempts: node.number("stage.pre-login.max_attempts"),
        login_rate: node.number("stage.pre-login.rate"),
        signup_attempts: node.number("stage.pre-user-registration.max_attempts"),
        signup_rate: node.number("stage.pre-user-registration.rate"),
        method: node.text("method"),
        notifies: node.texts("admin_notification_frequency"),
        stage_shields: [
            node.texts("stage.pre-user-registration.shields"),
            node.texts("stage.pre-change-password.shields"),
        ],
    })
}

fn bot_detection(node: &Node<'_>) -> BotDetection {
    // What an older endpoint called otherwise.
    let policy = |key, older| match node.text(key) {
        Field { value: Known::Absent, .. } => node.text(older),
        field => field,
    };
    BotDetection {
        thing: node.only("bot detection"),
        policies: [
            policy("challenge_password_policy", "policy"),
            policy("challenge_passwordless_policy", "passwordless_policy"),
            policy("challenge_password_reset_policy", "password_reset_policy"),
        ],
        allowlist: node.texts("allowlist"),
        monitors_only: node.flag("monitoring_mode_enabled"),
    }
}

fn factor(node: &Node<'_>) -> Result<Factor, ReadError> {
    Ok(Factor { thing: node.thing("MFA factor", "name", "id")?, enabled: node.flag("enabled") })
}

fn switched(node: &Node<'_>, kind: &'static str, name: &str) -> Result<Switched, ReadError> {
    let enabled = match node.flag("enabled") {
        Field { value: Known::Absent, .. } => node.flag("active"),
        field => field,
    };
    Ok(Switched { thing: node.thing(kind, name, "id")?, enabled })
}

fn stream(node: &Node<'_>, kind: &'static str) -> Result<Stream, ReadError> {
    Ok(Stream { thing: node.thing(kind, "name", "id")?, status: node.text("status") })
}

fn action(node: &Node<'_>, code: &mut dyn Code) -> Result<Action, ReadError> {
    let text = match node.value.get("code") {
        None | Some(Value::Null) => Err("it has no code".into()),
        Some(script) => script_text(script, &node.place.at("code"), code),
    };
    Ok(Action {
        thing: node.thing("Action", "name", "id")?,
        runtime: node.text("runtime"),
        triggers: node.texts_of("supported_triggers", &["/id"]),
        deployed: node.flag("deployed"),
        smells: text.as_ref().map(|(text, place)| code::smells(text, place)).map_err(Clone::clone),
        logs: text.as_ref().map(|(text, place)| code::logs(text, place)).map_err(Clone::clone),
        traits: text.map(|(text, _)| code::traits(&text)),
    })
}

fn bindings(node: &Node<'_>) -> Bindings {
    // As an export has it, and as the Management API has it.
    let bound = |trigger| node.texts_of(trigger, &["/action_name", "/action/name"]);
    Bindings {
        post_login: bound("post-login"),
        pre_user_registration: bound("pre-user-registration"),
        password_reset: bound("password-reset-post-challenge"),
    }
}

fn network_acl(node: &Node<'_>) -> NetworkAcl {
    let name = node.value.get("description").and_then(Value::as_str).unwrap_or("without a description");
    let shown = with_placeholder(name);
    let is_unnamed = shown.is_some();
    NetworkAcl {
        thing: Thing {
            kind: "network ACL",
            name: masked(shown.as_deref().unwrap_or(name)).into_owned(),
            id: node.value.get("id").and_then(Value::as_str).map(str::to_owned),
            place: node.place.clone(),
            is_unnamed,
        },
        active: node.flag("active"),
        scope: node.text("rule.scope"),
        blocks: node.flag("rule.action.block"),
        allows: node.flag("rule.action.allow"),
        narrowed_by: narrowed_by(node),
        hostnames: node.texts("rule.match.hostnames"),
        ipv4: node.texts("rule.match.ipv4_cidrs"),
        ipv6: node.texts("rule.match.ipv6_cidrs"),
        other_hostnames: node.texts("rule.not_match.hostnames"),
        other_ipv4: node.texts("rule.not_match.ipv4_cidrs"),
        other_ipv6: node.texts("rule.not_match.ipv6_cidrs"),
    }
}

/// What of a rule's match is neither host names nor addresses.
fn narrowed_by(node: &Node<'_>) -> Option<String> {
    const READ: [&str; 3] = ["hostnames", "ipv4_cidrs", "ipv6_cidrs"];
    let given = node.value.pointer("/rule/match")?.as_object()?;
    let is_set = |value: &Value| value.as_array().is_none_or(|items| !items.is_empty()) && !value.is_null();
    given
        .iter()
        .find(|(key, value)| !READ.contains(&key.as_str()) && is_set(value))
        .map(|(key, _)| masked(key).into_owned())
}

/// Where an error page is, and what is shown there; nothing where it is elsewhere.
fn shown<'a>(page: &'a Value, place: &Place) -> Option<(Place, &'a Value)> {
    let is_given = |value: &&Value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
    let html = page.get("html").filter(is_given).map(|html| (place.at("html"), html));
    html.or_else(|| page.get("url").filter(is_given).map(|_| (place.at("url"), &Value::Null)))
}

/// From the tenant's settings, as the Management API has it, or from the pages of an export.
fn error_page(parts: &Parts<'_>, code: &mut dyn Code) -> Part<Option<ErrorPage>> {
    let settings = parts.items("tenant");
    let pages = parts.items("pages");
    let of_settings = settings
        .as_ref()
        .ok()
        .and_then(|items| items.first())
        .and_then(|item| shown(item.value.get("error_page")?, &item.place.at("error_page")));
    let named = |item: &&Item| item.value.get("name").and_then(Value::as_str) == Some("error_page");
    let of_pages =
        pages.as_ref().ok().and_then(|items| items.iter().find(named)).and_then(|item| shown(&item.value, &item.place));
    match (of_settings.or(of_pages), settings, pages) {
        (Some((place, html)), ..) => {
            let unescaped = match html.is_null() {
                // A page of one's own elsewhere.
                true => Ok(Vec::new()),
                false => match script_text(html, &place, code) {
                    // So is a file that nobody filled.
                    Ok((text, _)) if text.trim().is_empty() => return Ok(None),
                    text => text.map(|(text, _)| code::unescaped(&text)),
                },
            };
            let thing = Thing { kind: "tenant", name: "error page".to_owned(), id: None, place, is_unnamed: false };
            Ok(Some(ErrorPage { thing, unescaped }))
        }
        // An export has it among the pages, so that without those nothing is known.
        (None, _, Err(why)) | (None, Err(why), _) => Err(why),
        (None, Ok(_), Ok(_)) => Ok(None),
    }
}
