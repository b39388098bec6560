//! A tenant's configuration as types: what the checks look at, and nothing else. Secrets are never taken over.
//!
//! A value is known, unknown (a placeholder, or of a type nobody documents) or absent, so that a check can say what it
//! could not judge. A part that was not read at all is missing, with the reason.

mod build;

pub use build::{Code, build};

use super::code::{Smell, Traits};
use super::document::Place;
use super::not_run::NotRun;

/// What is said of a setting that an answer or an export leaves out.
pub const NOT_THERE: &str = "not there";

/// The type of subject of client grants by which an application gets an API's tokens for its users, not for itself.
pub const USER: &str = "user";

/// A part of the configuration, or why nothing is known of it.
pub type Part<T> = Result<T, NotRun>;

/// What is said about somebody: an application, a connection, the tenant itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    pub kind: &'static str,
    pub name: String,
    /// Auth0's, where the export has it.
    pub id: Option<String>,
    pub place: Place,
    /// The name holds a placeholder, so that nothing can be joined by it.
    pub is_unnamed: bool,
}

impl Thing {
    /// Kind and name: what a baseline and an alert call it by.
    pub fn subject(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    Is(T),
    /// With what stands there instead: a placeholder, or what it is where it cannot be.
    Unknown(NotRun),
    Absent,
}

/// A value, and under which key of its thing it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<T> {
    pub key: &'static str,
    pub value: Known<T>,
}

impl<T> Field<T> {
    /// The value, if it is known and there.
    pub fn known(&self) -> Option<&T> {
        match &self.value {
            Known::Is(value) => Some(value),
            Known::Unknown(_) | Known::Absent => None,
        }
    }

    /// Why the value is not known, if it is not.
    pub fn unknown(&self) -> Option<NotRun> {
        match &self.value {
            Known::Is(_) => None,
            Known::Unknown(why) => Some(why.clone()),
            Known::Absent => Some(NOT_THERE.into()),
        }
    }

    pub fn is(&self, wanted: &T) -> bool
    where
        T: PartialEq,
    {
        self.known() == Some(wanted)
    }
}

/// One text of a list.
pub type Element = Known<String>;
pub type Texts = Field<Vec<Element>>;

impl Texts {
    /// Those that are known.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.known().into_iter().flatten().filter_map(|element| match element {
            Known::Is(text) => Some(text.as_str()),
            Known::Unknown(_) | Known::Absent => None,
        })
    }

    pub fn has(&self, wanted: &str) -> bool {
        self.all().any(|text| text == wanted)
    }

    /// Whether anything of it is unknown.
    pub fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// Why something of it is unknown, if anything is.
    pub fn open(&self) -> Option<NotRun> {
        match &self.value {
            Known::Is(elements) => elements.iter().find_map(|element| match element {
                Known::Unknown(why) => Some(why.map(|why| format!("in part {why}"))),
                Known::Is(_) | Known::Absent => None,
            }),
            Known::Unknown(why) => Some(why.clone()),
            Known::Absent => None,
        }
    }

    /// Blank texts are none.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Known::Is(elements) => elements.iter().all(|element| match element {
                Known::Is(text) => text.trim().is_empty(),
                Known::Unknown(_) => false,
                Known::Absent => true,
            }),
            Known::Unknown(_) => false,
            Known::Absent => true,
        }
    }
}

pub struct Tenant {
    pub settings: Part<Settings>,
    pub clients: Part<Vec<Client>>,
    pub databases: Part<Vec<Connection>>,
    /// All but databases.
    pub connections: Part<Vec<Connection>>,
    pub apis: Part<Vec<Api>>,
    pub grants: Part<Vec<Grant>>,
    pub organizations: Part<Vec<Organization>>,
    pub roles: Part<Vec<Role>>,
    pub brute_force: Part<Option<Shield>>,
    pub ip_throttling: Part<Option<Shield>>,
    pub breached_passwords: Part<Option<Shield>>,
    pub bot_detection: Part<Option<BotDetection>>,
    pub factors: Part<Vec<Factor>>,
    pub mfa_policies: Part<Texts>,
    pub phone_provider: Part<Option<Field<String>>>,
    pub email_provider: Part<Option<Switched>>,
    pub email_templates: Part<Vec<Switched>>,
    pub custom_domains: Part<Vec<CustomDomain>>,
    pub log_streams: Part<Vec<Stream>>,
    pub event_streams: Part<Vec<Stream>>,
    pub actions: Part<Vec<Action>>,
    pub bindings: Part<Option<Bindings>>,
    pub rules: Part<Vec<Switched>>,
    pub hooks: Part<Vec<Switched>>,
    pub network_acls: Part<Vec<NetworkAcl>>,
    /// The tenant's own page for errors.
    pub error_page: Part<Option<ErrorPage>>,
    pub login_experience: Part<Field<String>>,
    /// Self-service profiles: customers set up their own single sign-on.
    pub self_service: Part<usize>,
}

/// Whether a host name is a tenant's own one at Auth0, the canonical domain.
pub fn is_canonical(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    // What stands behind a custom domain with certificates of one's own is reached by that.
    let is_edge = host.contains(".edge.tenants.");
    !is_edge
        && [".auth0.com", ".auth0app.com"]
            .iter()
            .any(|end| host.strip_suffix(end).is_some_and(|tenant| !tenant.is_empty()))
}

pub struct Settings {
    pub thing: Thing,
    pub support_email: Field<String>,
    pub support_url: Field<String>,
    pub login_uri: Field<String>,
    pub logout_urls: Texts,
    pub default_audience: Field<String>,
    pub default_directory: Field<String>,
    pub sandbox_version: Field<String>,
    pub session_hours: Field<f64>,
    pub idle_session_hours: Field<f64>,
    /// Of sessions that end with the browser.
    pub ephemeral_session_hours: Field<f64>,
    pub idle_ephemeral_session_hours: Field<f64>,
    pub cookie_mode: Field<String>,
    pub idtoken_api2: Field<bool>,
    pub legacy_ro_grant: Field<bool>,
    pub legacy_tokeninfo: Field<bool>,
    pub legacy_delegation: Field<bool>,
    pub legacy_profile: Field<bool>,
    pub other_legacy_grants: Field<bool>,
    pub dynamic_registration: Field<bool>,
    pub user_exists_error: Field<bool>,
    pub no_clickjack_protection: Field<bool>,
    pub client_connections: Field<bool>,
    pub domain_in_emails: Field<bool>,
}

pub struct Client {
    pub thing: Thing,
    pub app_type: Field<String>,
    pub callbacks: Texts,
    pub origins: Texts,
    pub web_origins: Texts,
    pub logout_urls: Texts,
    pub alg: Field<String>,
    pub id_token_seconds: Field<f64>,
    pub grant_types: Texts,
    pub oidc_conformant: Field<bool>,
    pub auth_method: Field<String>,
    pub has_private_key_jwt: Field<bool>,
    pub rotation: Field<String>,
    pub expiration: Field<String>,
    pub lives_forever: Field<bool>,
    pub cross_origin: Field<bool>,
    pub first_party: Field<bool>,
    pub par: Field<bool>,
    pub jar: Field<bool>,
    pub proof_of_possession: Field<bool>,
    pub backchannel: Texts,
    pub login_uri: Field<String>,
    pub organization_usage: Field<String>,
    pub own_login_page: Field<bool>,
    /// It stands for all applications.
    pub global: Field<bool>,
}

/// The flexible password policy of a database.
/// <https://auth0.com/docs/authenticate/database-connections/flexible-password-policy>
pub struct Flexible {
    pub character_types: Texts,
    /// Whether common passwords are refused.
    pub dictionary: Field<bool>,
}

pub struct Connection {
    pub thing: Thing,
    pub strategy: Field<String>,
    pub is_domain: Field<bool>,
    pub enabled_clients: Texts,
    /// Whether it has keys of one's own at the provider.
    pub has_own_keys: Field<bool>,
    pub disable_signup: Field<bool>,
    pub password_policy: Field<String>,
    /// What goes before the policy, and all else that is said of passwords elsewhere, where it is there.
    pub flexible: Option<Flexible>,
    pub password_history: Field<bool>,
    /// How many passwords it remembers.
    pub history_size: Field<f64>,
    pub no_personal_info: Field<bool>,
    pub min_length: Field<f64>,
    pub brute_force: Field<bool>,
    pub customized: Field<bool>,
    pub import_mode: Field<bool>,
    pub passkeys: Field<bool>,
    pub passwords: Field<bool>,
    pub email_verification: Field<String>,
    pub script_smells: Part<Vec<Smell>>,
    pub script_logs: Part<Vec<Smell>>,
}

pub struct Api {
    pub thing: Thing,
    pub identifier: Field<String>,
    /// It is the Management API, also where a placeholder stands for the domain.
    pub is_management: bool,
    pub is_system: Field<bool>,
    pub alg: Field<String>,
    pub token_seconds: Field<f64>,
    pub enforces_policies: Field<bool>,
    pub token_dialect: Field<String>,
    pub user_policy: Field<String>,
    pub proof_of_possession: Field<bool>,
    pub encrypts: Field<bool>,
    pub permissions: Texts,
}

pub struct Grant {
    pub thing: Thing,
    /// The client's id, or its name where an export has no ids.
    pub client: Field<String>,
    pub audience: Field<String>,
    /// It is for the Management API, also where a placeholder stands for the domain.
    pub of_management: bool,
    /// Whom its tokens are for: `client`, which is the default, or `user`.
    pub subject_type: Field<String>,
    pub scopes: Texts,
    pub all_scopes: Field<bool>,
    pub organization_usage: Field<String>,
    pub any_organization: Field<bool>,
}

pub struct Organization {
    pub thing: Thing,
    /// Names or ids of its connections.
    pub connections: Texts,
}

pub struct Role {
    pub thing: Thing,
    /// Identifiers of the APIs it has permissions of.
    pub apis: Texts,
}

pub struct Shield {
    pub thing: Thing,
    pub enabled: Field<bool>,
    pub shields: Texts,
    pub allowlist: Texts,
    /// What attempts are counted by.
    pub mode: Field<String>,
    pub attempts: Field<f64>,
    pub login_attempts: Field<f64>,
    /// Milliseconds until an attempt is given back.
    pub login_rate: Field<f64>,
    pub signup_attempts: Field<f64>,
    pub signup_rate: Field<f64>,
    /// How breached passwords are looked for: `standard` or `enhanced`.
    pub method: Field<String>,
    /// How often administrators are told.
    pub notifies: Texts,
    /// At signups, and when a password is changed.
    pub stage_shields: [Texts; 2],
}

pub struct BotDetection {
    pub thing: Thing,
    /// When each way in asks for a challenge: passwords, passwordless, resets of passwords.
    pub policies: [Field<String>; 3],
    pub allowlist: Texts,
    pub monitors_only: Field<bool>,
}

pub struct Factor {
    pub thing: Thing,
    pub enabled: Field<bool>,
}

/// Something that can be switched off.
pub struct Switched {
    pub thing: Thing,
    pub enabled: Field<bool>,
}

pub struct CustomDomain {
    pub thing: Thing,
    pub status: Field<String>,
}

pub struct Stream {
    pub thing: Thing,
    pub status: Field<String>,
}

pub struct Action {
    pub thing: Thing,
    pub runtime: Field<String>,
    pub triggers: Texts,
    pub deployed: Field<bool>,
    pub smells: Part<Vec<Smell>>,
    pub logs: Part<Vec<Smell>>,
    pub traits: Part<Traits>,
}

/// The names of the Actions that run at each trigger.
pub struct Bindings {
    pub post_login: Texts,
    pub pre_user_registration: Texts,
    pub password_reset: Texts,
}

pub struct NetworkAcl {
    pub thing: Thing,
    pub active: Field<bool>,
    pub scope: Field<String>,
    pub blocks: Field<bool>,
    pub allows: Field<bool>,
    /// What else is asked of a request, such as its country: then it is not for everybody.
    pub narrowed_by: Option<String>,
    pub hostnames: Texts,
    pub ipv4: Texts,
    pub ipv6: Texts,
    /// What the action is not for.
    pub other_hostnames: Texts,
    pub other_ipv4: Texts,
    pub other_ipv6: Texts,
}

pub struct ErrorPage {
    pub thing: Thing,
    /// Lines with expressions that are not escaped.
    pub unescaped: Part<Vec<u32>>,
}
