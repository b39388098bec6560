//! Who plays: tenants, applications, connections, organizations, and the machines that ask for tokens.
//!
//! Nothing here costs memory per user. A user is a number, and everything about him follows from the number and the
//! tenant's seed, so a tenant of millions is as small as a tenant of ten.

use super::{Simulation, mix};

/// What a user of a connection looks like; the share is in percent of the users.
pub struct Connection {
    pub name: &'static str,
    pub strategy: &'static str,
    pub strategy_type: &'static str,
    pub share: u64,
}

const fn connection(name: &'static str, strategy: &'static str, strategy_type: &'static str, share: u64) -> Connection {
    Connection { name, strategy, strategy_type, share }
}

/// The connections every tenant has.
pub const CONNECTIONS: [Connection; 8] = [
    connection("Username-Password-Authentication", "auth0", "database", 45),
    connection("google-oauth2", "google-oauth2", "social", 20),
    connection("github", "github", "social", 7),
    connection("apple", "apple", "social", 6),
    connection("acme-saml", "samlp", "enterprise", 10),
    connection("globex-entra", "waad", "enterprise", 5),
    connection("email", "email", "passwordless", 5),
    connection("sms", "sms", "passwordless", 2),
];
const FIRST_ENTERPRISE: usize = 4;
const FIRST_PASSWORDLESS: usize = 6;

/// The applications people log in with. The last name must be escaped in JSON.
pub const APPLICATIONS: [&str; 5] =
    ["Storefront (SPA)", "Customer Portal", "Mobile App", "Partner Console", "Back Office \"Ops\" \\ Büro"];

const ORGANIZATIONS: [&str; 12] = [
    "acme",
    "globex",
    "hooli",
    "initech",
    "umbrella",
    "stark",
    "wayne",
    "tyrell",
    "cyberdyne",
    "soylent",
    "wonka",
    "vehement",
];

const TENANTS: [&str; 6] =
    ["northwind-prod", "contoso-prod", "fabrikam-eu", "tailspin-dev", "litware-stage", "proseware-prod"];

/// First name, last name, and the part of an address made of them. Some need escapes in JSON.
pub const NAMES: [(&str, &str, &str); 16] = [
    ("Ada", "Lovelace", "ada.lovelace"),
    ("Zoë", "Müller", "zoe.mueller"),
    ("Grace", "Hopper", "grace.hopper"),
    ("Conan", "O'Brien", "conan.o'brien"),
    ("Dwayne \"The Rock\"", "Johnson", "dwayne.johnson"),
    ("小龙", "李", "li.xiaolong"),
    ("José", "Núñez", "jose.nunez"),
    ("Back\\slash", "Smith", "b.smith"),
    ("Linus", "Torvalds", "linus.torvalds"),
    ("Søren", "Ångström", "soren.angstrom"),
    ("Ирина", "Иванова", "irina.ivanova"),
    ("Barbara", "Liskov", "barbara.liskov"),
    ("Emoji 🙂", "Person", "emoji.person"),
    ("Margaret", "Hamilton", "margaret.hamilton"),
    ("Tab\tby", "Catt", "tabby.catt"),
    ("Edsger", "Dijkstra", "edsger.dijkstra"),
];

/// What people's programs call themselves, with the mobile flag: the parsed form, the raw form, and nasty ones.
pub const USER_AGENTS: [(&str, bool); 14] = [
    ("Chrome 129.0.0 / Mac OS X 10.15.7", false),
    ("Chrome 128.0.0 / Windows 10.0.0", false),
    ("Firefox 131.0.0 / Ubuntu 22.04", false),
    ("Mobile Safari 17.6.0 / iOS 17.6.1", true),
    ("Chrome Mobile 129.0.0 / Android 14.0.0", true),
    ("Safari 17.6.0 / Mac OS X 10.15.7", false),
    ("Edge 129.0.0 / Windows 10.0.0", false),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
        false,
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        true,
    ),
    ("Other 0.0.0 / Other 0.0.0", false),
    ("okhttp 4.12.0 / Android 14.0.0", true),
    ("Kiosk \"Lobby\" 2.1 / C:\\Program Files\\kiosk.exe", false),
    ("Büro-Browser 3.0 / Größe ∞", false),
    ("SmartTV 5.1 / Tizen 7.0", false),
];

/// How a machine treats its tokens. The names go into the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    AsksPerRequest,
    CachePerProcess,
    WellBehaved,
    FleetBehindNat,
    CacheBroke,
    ScheduledJob,
    Management,
    PerOrganization,
    PerScope,
}

impl Role {
    pub const ALL: [Role; 9] = [
        Role::AsksPerRequest,
        Role::CachePerProcess,
        Role::WellBehaved,
        Role::FleetBehindNat,
        Role::CacheBroke,
        Role::ScheduledJob,
        Role::Management,
        Role::PerOrganization,
        Role::PerScope,
    ];

    /// The role in the truth, and the client's name in the events.
    pub fn name(self) -> &'static str {
        match self {
            Role::AsksPerRequest => "asks-per-request",
            Role::CachePerProcess => "cache-per-process",
            Role::WellBehaved => "well-behaved",
            Role::FleetBehindNat => "fleet-behind-nat",
            Role::CacheBroke => "cache-broke",
            Role::ScheduledJob => "scheduled-job",
            Role::Management => "management",
            Role::PerOrganization => "per-organization",
            Role::PerScope => "per-scope",
        }
    }
}

/// One thing that needs a token of its own: a client with an audience, an organization and a scope set.
pub struct Machine {
    pub role: Role,
    pub client_id: String,
    pub audience: String,
    pub organization: Option<u16>,
    pub scopes: &'static [&'static str],
    pub lifetime_s: i64,
    pub billable: bool,
    pub addresses: Vec<String>,
    /// How many processes cache a token of their own; process `i` calls from address `i` modulo their number.
    pub processes: u16,
    pub user_agent: &'static str,
}

impl Machine {
    /// Whether it asks for the next token before the old one has run out.
    pub fn renews_early(&self) -> bool {
        matches!(self.role, Role::FleetBehindNat | Role::PerScope)
    }
}

pub struct Tenant {
    pub seed: u64,
    pub name: String,
    pub host: String,
    pub users: u32,
    /// Client ids, in the order of [`APPLICATIONS`].
    pub applications: Vec<String>,
    /// Id and name.
    pub organizations: Vec<(String, &'static str)>,
    pub connection_ids: Vec<String>,
    pub machines: Vec<Machine>,
}

pub struct Cast {
    pub tenants: Vec<Tenant>,
}

impl Cast {
    pub fn new(settings: &Simulation) -> Self {
        let count = u64::from(settings.tenant_count());
        let users = match settings.users {
            Some(users) => users.clamp(1, u64::from(u32::MAX)),
            None => (settings.events / count / 20).clamp(20, 2_000_000),
        };
        let tenants = (0..count).map(|i| tenant(settings.seed, i, u32::try_from(users).unwrap_or(u32::MAX))).collect();
        Cast { tenants }
    }
}

/// A user, as the number says.
pub struct Person {
    pub hash: u64,
    pub connection: usize,
    pub organization: Option<u16>,
    pub application: usize,
}

impl Tenant {
    pub fn person(&self, user: u32) -> Person {
        // For one tenant this is a bijection of the user's number, so that two users never share an id.
        let hash = mix(self.seed ^ u64::from(user));
        let mut left = mix(hash) % 100;
        let mut connection = 0;
        for (i, candidate) in CONNECTIONS.iter().enumerate() {
            if left < candidate.share {
                connection = i;
                break;
            }
            left -= candidate.share;
        }
        let fate = mix(hash ^ 1);
        let enterprise = (FIRST_ENTERPRISE..FIRST_PASSWORDLESS).contains(&connection);
        let member = fate % 100 < if enterprise { 80 } else { 12 };
        // The minimum of two draws makes the first organizations the large ones.
        let count = self.organizations.len() as u64;
        let organization = ((fate >> 8) % count).min((fate >> 24) % count);
        Person {
            hash,
            connection,
            organization: member.then_some(organization as u16),
            application: ((fate >> 40) % 5).min((fate >> 48) % 5) as usize,
        }
    }
}

/// Auth0's client ids are 32 letters and digits.
pub fn client_id(seed: u64) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..32).map(|i| char::from(LETTERS[(mix(seed ^ (i << 56)) % 62) as usize])).collect()
}

fn identifier(prefix: &str, seed: u64) -> String {
    const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let tail = (0..16).map(|i| char::from(LETTERS[(mix(seed ^ (i << 56)) % 36) as usize]));
    prefix.chars().chain(tail).collect()
}

fn tenant(seed: u64, index: u64, users: u32) -> Tenant {
    let seed = mix(seed.wrapping_add(mix(index + 1)));
    let name = match TENANTS.get(index as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("tenant-{index}"),
    };
    let host = format!("{name}.us.auth0.com");
    let sub = |kind: u64, i: usize| mix(seed ^ (kind << 32) ^ i as u64);
    let machines = machines(seed, &name, &host);
    Tenant {
        seed,
        applications: (0..APPLICATIONS.len()).map(|i| client_id(sub(1, i))).collect(),
        organizations: ORGANIZATIONS
            .iter()
            .enumerate()
            .map(|(i, name)| (identifier("org_", sub(2, i)), *name))
            .collect(),
        connection_ids: (0..CONNECTIONS.len()).map(|i| identifier("con_", sub(3, i))).collect(),
        name,
        host,
        users,
        machines,
    }
}

/// How many organizations the `per-organization` client serves.
const SERVED: u16 = 6;
const SCOPE_SETS: [&[&str]; 3] =
    [&["read:orders"], &["read:orders", "write:orders"], &["read:invoices", "write:invoices", "export:invoices"]];

fn machines(seed: u64, tenant: &str, host: &str) -> Vec<Machine> {
    const DAY: i64 = 86_400;
    const HOUR: i64 = 3_600;
    let api = format!("https://api.{tenant}.example/");
    let orders = format!("https://orders.{tenant}.example/");
    let management = format!("https://{host}/api/v2/");
    let mut all = Vec::new();
    for (i, role) in Role::ALL.into_iter().enumerate() {
        let own = mix(seed ^ (9 << 32) ^ i as u64);
        let address = |n: u16| {
            let [a, b, ..] = mix(own ^ u64::from(n >> 8)).to_le_bytes();
            format!("34.{}.{}.{}", i + 16 * usize::from(a % 16), b, 10 + (n & 0xff))
        };
        let (audience, lifetime_s, addresses, processes, scopes, user_agent): (
            &str,
            i64,
            u16,
            u16,
            &'static [&'static str],
            &'static str,
        ) = match role {
            Role::AsksPerRequest => (&api, DAY, 1, 0, &["read:data", "write:data"], "node-fetch/1.0"),
            Role::CachePerProcess => (&orders, HOUR, 12, 12, &["read:orders"], "Go-http-client/2.0"),
            Role::WellBehaved => (&orders, HOUR, 1, 1, &["read:orders", "read:stock"], "python-requests/2.32.3"),
            Role::FleetBehindNat => (&api, DAY, 1, 20, &["read:data"], "Java/21.0.4"),
            Role::CacheBroke => (&orders, HOUR, 1, 1, &["write:orders"], "axios/1.7.7"),
            // A client without any scope, because the scope may be missing in a real event.
            Role::ScheduledJob => (&orders, HOUR, 1, 0, &[], "curl/8.9.1"),
            Role::Management => (
                &management,
                DAY,
                2,
                0,
                &["read:users", "update:users", "read:logs"],
                "auth0-deploy-cli/8.6.0 (node.js/20.17.0)",
            ),
            Role::PerOrganization => (&api, DAY, 1, 1, &["read:data"], "Other 0.0.0 / Other 0.0.0"),
            Role::PerScope => (&orders, HOUR, 1, 1, &[], "reqwest/0.12 \"billing\\worker\""),
        };
        let one = |organization, scopes| Machine {
            role,
            client_id: client_id(own),
            audience: audience.to_owned(),
            organization,
            scopes,
            lifetime_s,
            billable: role != Role::Management,
            addresses: (0..addresses).map(address).collect(),
            processes,
            user_agent,
        };
        match role {
            Role::PerOrganization => all.extend((0..SERVED).map(|i| one(Some(i), scopes))),
            Role::PerScope => all.extend(SCOPE_SETS.into_iter().map(|scopes| one(None, scopes))),
            _ => all.push(one(None, scopes)),
        }
    }
    all
}
