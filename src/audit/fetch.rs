//! Reads a tenant's configuration from its Management API, and from what was recorded of that.
//!
//! A part whose scope the token lacks is missing, and says which scope; the others are read all the same. A recording holds
//! what the checks look at and nothing else: no secret, and no script, since scripts hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assets::{ASSETS, Asset, Found, Item, Paging};
use super::document::{Document, Place, not_known, unknown, with_placeholder};
use super::not_run::NotRun;
use super::tenant::{self, Code, Tenant};
use super::url::{masked, shown};
use crate::source::management::{Api, ApiError};

/// Pages of one part.
const PAGES_MAX: u32 = 1_000;
const PER_PAGE: &str = "100";
const PER_PAGE_COUNT: usize = 100;
/// Objects of which each is asked for its own parts.
const DETAILS_MAX: usize = 1_000;
/// How often it asks again in all where the API fails.
const AGAIN_MAX: u32 = 30;

const RECORDED: &str = "what `ghostlight audit --record` writes";
const NO_EXPORT: &str = "an export is read by --config (audit.config in settings)";

/// What an endpoint gave.
type Given = Result<Vec<Value>, NotRun>;

/// Every part by its key.
pub struct Fetched {
    parts: BTreeMap<&'static str, Given>,
}

/// One part as it is recorded.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    endpoint: String,
    items: Option<Vec<Value>>,
    missing: Option<String>,
    /// Whether it could not be read, rather than that nobody gave it.
    #[serde(default)]
    is_failed: bool,
}

impl Fetched {
    /// All that the token may read. An error is what concerns every part.
    pub async fn read(api: &mut Api) -> Result<Self, ApiError> {
        api.limit_again(AGAIN_MAX);
        let mut parts: BTreeMap<&'static str, Given> = BTreeMap::new();
        let mut connections = None;
        for asset in ASSETS.iter().filter(|asset| !asset.endpoint.is_empty()) {
            let given = match asset.endpoint {
                // Databases and others come together.
                "connections" => {
                    if connections.is_none() {
                        connections = Some(part(api, asset).await?);
                    }
                    let is_wanted = |one: &Value| (one["strategy"] == "auth0") == (asset.key == "databases");
                    connections
                        .clone()
                        .unwrap_or_else(|| Ok(Vec::new()))
                        .map(|all| all.into_iter().filter(is_wanted).collect())
                }
                _ => part(api, asset).await?,
            };
            parts.insert(asset.key, given);
        }
        Ok(Self { parts })
    }

    /// What was recorded.
    pub fn replay(folder: &Path) -> anyhow::Result<Self> {
        let mut parts = BTreeMap::new();
        for asset in ASSETS.iter().filter(|asset| !asset.endpoint.is_empty()) {
            let path = folder.join(format!("{}.json", asset.key));
            // A pipe would be waited for.
            if std::fs::metadata(&path).is_ok_and(|kind| !kind.is_file()) {
                bail!("{} is no file", path.display());
            }
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
            };
            let document = Document::json(&path.display().to_string(), &text)?;
            let recorded: Recorded = serde_json::from_value(document.root)
                .map_err(|_| anyhow::anyhow!("{}: not {RECORDED}; {NO_EXPORT}", path.display()))?;
            let given = match (recorded.items, recorded.missing) {
                (Some(items), None) => Ok(items),
                (_, Some(why)) if recorded.is_failed => Err(NotRun::Failed(why)),
                (_, Some(why)) => Err(NotRun::NotGiven(why)),
                (None, None) => Err("nothing was recorded".into()),
            };
            parts.insert(asset.key, given);
        }
        if parts.is_empty() {
            bail!("{}: holds nothing of {RECORDED}; {NO_EXPORT}", folder.display());
        }
        Ok(Self { parts })
    }

    /// Writes a file for each part, over those of an older recording and nothing else.
    pub fn record(&self, folder: &Path) -> anyhow::Result<()> {
        refuse_others(folder)?;
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        for asset in &ASSETS {
            let Some(given) = self.parts.get(asset.key) else { continue };
            let recorded = Recorded {
                endpoint: asset.endpoint.to_owned(),
                items: given
                    .as_ref()
                    .ok()
                    .map(|items| items.iter().map(|item| without_secrets(asset.key, item)).collect()),
                missing: given.as_ref().err().map(NotRun::to_string),
                is_failed: given.as_ref().is_err_and(NotRun::is_failed),
            };
            let path = folder.join(format!("{}.json", asset.key));
            let text = serde_json::to_string_pretty(&recorded)? + "\n";
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    pub fn tenant(self) -> Tenant {
        let mut parts = self.parts;
        let found = ASSETS.iter().map(|asset| {
            let found = match parts.remove(asset.key) {
                Some(Ok(items)) => Found::Items(placed(asset, items)),
                Some(Err(why)) => Found::Missing(why),
                // What only exports have apart stands in other parts here.
                None if asset.endpoint.is_empty() => Found::Items(Vec::new()),
                None => Found::Missing(NotRun::NotGiven(format!("{} was not read", asset.key))),
            };
            (asset.key, found)
        });
        tenant::build(&found.collect(), &mut Inline)
    }
}

/// Refuses to record over what is none: somebody may keep it there.
pub fn refuse_others(folder: &Path) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("looking into {}", folder.display()))?,
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("looking into {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Such as .gitignore, which is never written over.
        if !name.starts_with('.') && !is_recorded(&entry.path()) {
            bail!(
                "{} holds {name}, which is not what --record writes: give a folder of its own, or one that does not exist yet",
                folder.display()
            );
        }
    }
    Ok(())
}

/// Whether a folder is what [`Fetched::record`] wrote.
pub fn is_recording(folder: &Path) -> bool {
    ASSETS.iter().any(|asset| is_recorded(&folder.join(format!("{}.json", asset.key))))
}

/// Whether a file is a part that was recorded, by its name and by what it holds.
fn is_recorded(path: &Path) -> bool {
    let is_part = |asset: &Asset| path.file_name().is_some_and(|name| *name == *format!("{}.json", asset.key));
    ASSETS.iter().any(is_part)
        && path.is_file()
        && std::fs::read(path).is_ok_and(|bytes| serde_json::from_slice::<Recorded>(&bytes).is_ok())
}

fn placed(asset: &Asset, items: Vec<Value>) -> Vec<Item> {
    let endpoint = Place::of(&format!("GET /api/v2/{}", asset.endpoint));
    let is_list = !matches!(asset.paging, Paging::Whole) || items.len() > 1;
    let place = |index| if is_list { endpoint.item(index) } else { endpoint.clone() };
    items.into_iter().enumerate().map(|(index, value)| Item { value, place: place(index), file_name: None }).collect()
}

/// Scripts stand in the answers themselves.
struct Inline;

impl Code for Inline {
    fn read(&mut self, _: &Place, _: &str) -> Option<(String, Place)> {
        None
    }
}

/// One part with what each of its objects has elsewhere.
async fn part(api: &mut Api, asset: &Asset) -> Result<Given, ApiError> {
    let listed = match asset.paging {
        Paging::Whole => api.get(asset.endpoint, &[]).await.map(|answer| whole(asset, answer)),
        Paging::Pages(key) => pages(api, asset.endpoint, key).await,
        Paging::Checkpoint(key) => checkpoints(api, asset.endpoint, key).await,
        Paging::Names(names) => named(api, asset.endpoint, names).await,
        Paging::Lists(names, key) => lists(api, asset.endpoint, names, key).await,
    };
    let mut items = match given(asset.scope, listed)? {
        Ok(items) => items,
        missing => return Ok(missing),
    };
    let detail = match asset.key {
        "organizations" => {
            Some(("enabled_connections", "connections", "enabled_connections", "read:organization_connections"))
        }
        "databases" => Some(("clients", "enabled_clients", "clients", asset.scope)),
        "roles" => Some(("permissions", "permissions", "permissions", asset.scope)),
        _ => None,
    };
    if let Some((below, key, list, scope)) = detail {
        let mut refused = None;
        for (number, item) in items.iter_mut().enumerate() {
            let Some(id) = item.get("id").and_then(Value::as_str).map(str::to_owned) else { continue };
            // Some answers still have it.
            if item.get(key).is_some_and(Value::is_array) {
                continue;
            }
            let value = match &refused {
                Some(why) => Err(NotRun::clone(why)),
                None if number < DETAILS_MAX => {
                    let path = format!("{}/{id}/{below}", asset.endpoint);
                    let listed = match asset.key {
                        "databases" => checkpoints(api, &path, list).await,
                        _ => pages(api, &path, list).await,
                    };
                    let is_forbidden = matches!(listed, Err(ApiError::Forbidden { .. }));
                    let value = given(scope, listed)?.map(|items| items.into_iter().map(by_id).collect());
                    // What one is refused, or fails again and again, so will the others.
                    refused = match &value {
                        Err(why) if is_forbidden => Some(why.clone()),
                        Err(why) if why.is_failed() && !api.asks_again() => {
                            Some(why.map(|why| format!("not asked for, since {why}")))
                        }
                        _ => None,
                    };
                    value
                }
                None => Err(NotRun::NotGiven(format!("only the first {DETAILS_MAX} are asked for theirs"))),
            };
            item[key] = match value {
                Ok(items) => Value::Array(items),
                Err(why) => unknown(&why),
            };
        }
    }
    Ok(Ok(items))
}

/// A client of a connection is its id.
fn by_id(item: Value) -> Value {
    match item.get("client_id") {
        Some(id) => id.clone(),
        None => item,
    }
}

/// What concerns one part only is why it is missing.
fn given(scope: &str, listed: Result<Vec<Value>, ApiError>) -> Result<Given, ApiError> {
    match listed {
        Ok(items) => Ok(Ok(items)),
        Err(ApiError::Forbidden { code, .. }) if code == "insufficient_scope" => {
            Ok(Err(NotRun::NotGiven(format!("the client's grant lacks the scope {scope}"))))
        }
        // What the plan does not have is no error.
        Err(error @ (ApiError::Forbidden { .. } | ApiError::Scope { .. } | ApiError::NotFound { .. })) => {
            Ok(Err(NotRun::NotGiven(error.to_string())))
        }
        Err(error @ (ApiError::Invalid { .. } | ApiError::Other { .. })) => Ok(Err(NotRun::Failed(error.to_string()))),
        Err(
            error @ (ApiError::Domain(_)
            | ApiError::DomainWithUser
            | ApiError::Credentials { .. }
            | ApiError::Token { .. }),
        ) => Err(error),
    }
}

/// One answer: an object, or a list of objects. MFA's policies are a list of texts, which an export has in an object.
fn whole(asset: &Asset, answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(_) if asset.key == "guardianPolicies" => vec![json!({ "policies": answer })],
        Value::Array(items) => items,
        other => vec![other],
    }
}

async fn pages(api: &mut Api, endpoint: &str, key: &str) -> Result<Vec<Value>, ApiError> {
    let mut all: Vec<Value> = Vec::new();
    // How many a full page has: a server may give fewer at a time than it was asked for.
    let mut size = PER_PAGE_COUNT;
    for page in 0..PAGES_MAX {
        let page_text = page.to_string();
        let query = [("page", page_text.as_str()), ("per_page", PER_PAGE), ("include_totals", "true")];
        let answer = api.get(endpoint, &query).await?;
        let said = |name: &str| answer.get(name).and_then(Value::as_u64);
        let (start, limit, total) = (said("start"), said("limit"), said("total"));
        let Some(items) = list(answer, key) else { return Err(unexpected(endpoint, key)) };
        if let Some(start) = start.filter(|start| *start != all.len() as u64) {
            return Err(other(endpoint, format!("gave what begins at {start} where {} comes next", all.len())));
        }
        let (known, count) = (all.len() as u64, items.len());
        let lacks = |known: u64| total.filter(|total| known < *total);
        all.extend(items);
        if page == 0 {
            // One that does not say how many it gives shows it.
            let shown = lacks(count as u64).map(|_| count as u64);
            size = limit.or(shown).filter(|size| (1..=100).contains(size)).unwrap_or(size as u64) as usize;
        }
        // Whatever a total says, a page that is full can be followed by another.
        match lacks(known + count as u64) {
            _ if count >= size => {}
            Some(total) => return Err(other(endpoint, format!("gave {} of {total}", all.len()))),
            None => return Ok(all),
        }
    }
    Err(other(endpoint, format!("has more than {PAGES_MAX} pages")))
}

async fn checkpoints(api: &mut Api, endpoint: &str, key: &str) -> Result<Vec<Value>, ApiError> {
    let mut all = Vec::new();
    let mut from = None;
    let mut seen = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let mut query = vec![("take", PER_PAGE)];
        query.extend(from.as_deref().map(|from: &str| ("from", from)));
        let answer = api.get(endpoint, &query).await?;
        let next = answer.get("next").and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
        let Some(items) = list(answer, key) else { return Err(unexpected(endpoint, key)) };
        all.extend(items);
        match next {
            Some(next) if !seen.insert(next.clone()) => {
                return Err(other(endpoint, "gave the same \"next\" again, which would never end".to_owned()));
            }
            Some(next) => from = Some(next),
            None => return Ok(all),
        }
    }
    Err(other(endpoint, format!("has more than {PAGES_MAX} pages")))
}

fn other(endpoint: &str, problem: String) -> ApiError {
    ApiError::Other { path: format!("GET /api/v2/{endpoint}"), problem }
}

fn list(answer: Value, key: &str) -> Option<Vec<Value>> {
    match answer {
        Value::Array(items) => Some(items),
        Value::Object(mut fields) => match fields.remove(key) {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

fn unexpected(endpoint: &str, key: &str) -> ApiError {
    other(endpoint, format!("the answer has no list {key}"))
}

async fn lists(api: &mut Api, endpoint: &str, names: &[&str], key: &str) -> Result<Vec<Value>, ApiError> {
    let mut all = serde_json::Map::new();
    for name in names {
        all.insert((*name).to_owned(), Value::Array(pages(api, &format!("{endpoint}/{name}/{key}"), key).await?));
    }
    Ok(vec![Value::Object(all)])
}

async fn named(api: &mut Api, endpoint: &str, names: &[&str]) -> Result<Vec<Value>, ApiError> {
    let mut all = Vec::new();
    for name in names {
        let path = if name.is_empty() { endpoint.to_owned() } else { format!("{endpoint}/{name}") };
        match api.get(&path, &[]).await {
            Ok(answer) => all.push(answer),
            Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Every key that a check looks at, on its way down too. What is not here is not recorded.
#[rustfmt::skip]
const KEPT: [&str; 152] = [
    "action", "action_name", "active", "admin_notification_frequency", "alg", "allow", "allow_all_scopes", "allow_any_organization",
    "allow_legacy_delegation_grant_types", "allow_legacy_ro_grant_types", "allow_legacy_tokeninfo_endpoint",
    "allow_other_legacy_grant_types", "allowed_logout_urls", "allowed_origins", "allowlist", "app_type", "attributes",
    "audience", "authentication_methods", "backchannel_logout_urls", "block", "brute_force_protection", "callbacks",
    "challenge_password_policy", "character_types", "challenge_password_reset_policy", "challenge_passwordless_policy",
    "client_authentication_methods", "client_id", "complexity", "connection", "connection_id", "connections", "cross_origin_auth",
    "cross_origin_authentication", "custom_domain_id", "custom_login_page_on", "default_audience",
    "default_directory", "default_redirection_uri", "deployed", "description", "dictionary", "disable_clickjack_protection_headers",
    "disable_signup", "domain", "email", "enable", "enable_client_connections", "enable_custom_domain_in_emails",
    "enable_dynamic_client_registration", "enable_idtoken_api2", "enable_legacy_profile",
    "enable_public_signup_user_exists_error", "enabled", "enabledDatabaseCustomization", "enabled_clients",
    "enforce_policies", "ephemeral_session_lifetime", "ephemeral_session_lifetime_in_minutes", "error_page",
    "expiration_type", "flags", "global", "grant_types", "history", "hostnames", "id", "identifier",
    "idle_ephemeral_session_lifetime", "idle_ephemeral_session_lifetime_in_minutes", "idle_session_lifetime",
    "idle_session_lifetime_in_minutes", "import_mode", "infinite_token_lifetime", "initiate_login_uri", "ipv4_cidrs",
    "ipv6_cidrs", "is_domain_connection", "is_first_party", "is_system", "jwt_configuration", "lifetime_in_seconds",
    "match", "max_attempts", "method", "min_length", "mode", "monitoring_mode_enabled", "name", "not_match", "oidc_conformant",
    "oidc_logout", "options", "organization_usage", "passkey", "password", "passwordPolicy",
    "password_complexity_options", "password_history", "password_no_personal_info", "password_options", "password-reset-post-challenge",
    "password_reset_policy",
    "passwordless_policy", "permissions", "policies", "policy", "post-login", "pre-change-password", "pre-login",
    "pre-user-registration", "profile_data", "proof_of_possession", "provider", "rate", "refresh_token", "require_proof_of_possession",
    "require_pushed_authorization_requests", "required", "resource_server_identifier", "rotation_type", "rule",
    "runtime", "sandbox_version", "scope", "scopes", "session_cookie", "session_lifetime",
    "session_lifetime_in_minutes", "shields", "signed_request_object", "signing_alg", "size", "stage", "status", "strategy",
    "subject_type", "subject_type_authorization", "support_email", "support_url", "supported_triggers", "template",
    "token_dialect", "token_endpoint_auth_method", "token_lifetime", "universal_login_experience", "url", "user", "value",
    "verification_method", "web_origins",
];
/// Of these only that they are there.
#[rustfmt::skip]
const PRESENT: [&str; 11] = [
    "asns", "auth0_managed", "connecting_ipv4_cidrs", "connecting_ipv6_cidrs", "geo_country_codes",
    "geo_subdivision_codes", "ja3_fingerprints", "ja4_fingerprints", "private_key_jwt", "token_encryption", "user_agents",
];
/// Scripts and templates: only that there is one.
const SCRIPTS: [&str; 3] = ["code", "customScripts", "html"];
/// Names, which are no URLs that lead anywhere, and stay as they are but for a user and a password.
const JOINED: [&str; 6] =
    ["audience", "default_audience", "description", "identifier", "name", "resource_server_identifier"];
/// Of these only what is below them: a value of that name could be anything.
const OBJECTS: [&str; 8] =
    ["email", "error_page", "options", "passkey", "password", "refresh_token", "session_cookie", "user"];

/// Of a connection's options only these: those of other strategies may have anything under any name.
const OPTIONS: [&str; 13] = [
    "attributes",
    "authentication_methods",
    "brute_force_protection",
    "client_id",
    "customScripts",
    "disable_signup",
    "enabledDatabaseCustomization",
    "import_mode",
    "passwordPolicy",
    "password_complexity_options",
    "password_history",
    "password_no_personal_info",
    "password_options",
];

/// Of this part a description is the name; elsewhere it is anything.
const NAMED_BY_DESCRIPTION: &str = "networkACLs";

/// What is looked at of a value, or of all values, of a part.
pub fn without_secrets(part: &str, value: &Value) -> Value {
    let kept = |(key, value): (&String, &Value)| {
        let name = key.as_str();
        let kept = match value {
            _ if SCRIPTS.contains(&name) => {
                if is_empty(value) {
                    value.clone()
                } else {
                    unknown(&"it was not recorded".into())
                }
            }
            _ if PRESENT.contains(&name) => {
                if is_empty(value) {
                    value.clone()
                } else {
                    Value::Bool(true)
                }
            }
            _ if OBJECTS.contains(&name) && !value.is_object() => return None,
            _ if name == "description" && part != NAMED_BY_DESCRIPTION => return None,
            Value::Object(options) if name == "options" => {
                let mut options = options.clone();
                options.retain(|key, _| OPTIONS.contains(&key.as_str()));
                without_secrets(part, &Value::Object(options))
            }
            // The events are joined by these.
            Value::String(text) if JOINED.contains(&name) => readable(text, |text| masked(text).into_owned()),
            _ if KEPT.contains(&name) => without_secrets(part, value),
            _ => return None,
        };
        Some((key.clone(), kept))
    };
    match value {
        Value::Object(fields) => Value::Object(fields.iter().filter_map(kept).collect()),
        Value::Array(items) => items.iter().map(|item| without_secrets(part, item)).collect(),
        // Why it is not known, rather than a value.
        Value::String(text) if not_known(text).is_some() => readable(text, str::to_owned),
        Value::String(text) if text.contains([':', '@', '?', '#', '\\']) => readable(text, shown),
        Value::String(text) => readable(text, str::to_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// What is kept of a text, the same when it is read again.
fn readable(text: &str, kept: impl Fn(&str) -> String) -> Value {
    let kept = kept(text);
    Value::String(with_placeholder(&kept).unwrap_or(kept))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
