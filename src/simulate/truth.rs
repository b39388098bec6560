//! What the generated tenants really did, counted while they do it, exactly and in plain sets.
//!
//! Distinct users are bits by user number, so they are exact. Every number but `records`, `malformed`, `events`,
//! `duplicates` and `max_lateness_ms` is about distinct events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cast::{APPLICATIONS, CONNECTIONS, Cast, Machine, Role, Tenant};
use super::configuration::{self, Fault};
use super::plan::{BREAKS_AT_TENTHS, Event, Evidence, KINDS, NONE, Shape};
use super::{Simulation, civil};

/// A client that renews this early, as a share of the lifetime, is forgiven in the `_leeway` figures.
pub const LEEWAY_PERCENT: i64 = 10;
/// The key of [`Truth::m2m_failed`] for clients Auth0 does not know.
pub const UNRECOGNISED: &str = "(unrecognised)";

/// What a correct reader of the whole simulation finds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// All records, the malformed included.
    pub records: u64,
    pub malformed: u64,
    /// Valid events, duplicates included.
    pub events: u64,
    pub distinct_events: u64,
    pub duplicates: u64,
    /// Distinct events that came minutes to hours after they happened.
    pub late: u64,
    /// Greatest difference of ingest time (the time in `log_id`) and `date`.
    pub max_lateness_ms: i64,
    /// Tenant, type code as sent, number of events.
    pub by_type: BTreeMap<String, BTreeMap<String, u64>>,
    pub users: BTreeMap<String, Users>,
    pub m2m: Vec<Tokens>,
    /// Tenant, client id or [`UNRECOGNISED`], number of failed token requests.
    pub m2m_failed: BTreeMap<String, BTreeMap<String, u64>>,
    /// Tenant, what is wrong with its configuration on purpose.
    #[serde(default)]
    pub faults: BTreeMap<String, Vec<Fault>>,
}

/// Distinct users of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// Over all the simulation, by the list of types Auth0 staff published, as all other fields unless they say otherwise.
    pub month: u64,
    /// The published list and signups.
    pub month_docs: u64,
    /// The published list, signups, and newer codes that name a user.
    pub month_broad: u64,
    /// By calendar month in UTC, `2026-11`.
    pub by_month: BTreeMap<String, u64>,
    /// By UTC day of the event, `2026-11-01`.
    pub by_day: BTreeMap<String, u64>,
    /// By organization id.
    pub by_organization: BTreeMap<String, u64>,
    /// By connection name, over events that name their connection.
    pub by_connection: BTreeMap<String, u64>,
    pub by_client: BTreeMap<String, u64>,
}

/// The tokens of one (tenant, client, audience, organization, scope set).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    pub tenant: String,
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    /// Empty without an organization.
    pub organization_id: String,
    /// Sorted and joined by a space; empty without a scope.
    pub scope: String,
    /// What the client does, by the names of the cast.
    pub kind: String,
    pub lifetime_s: i64,
    pub billable: bool,
    pub issued: u64,
    /// Tokens that one cache shared by all would have asked for.
    pub needed_shared: u64,
    /// Tokens that one cache an address would have asked for.
    pub needed_per_address: u64,
    /// The same, when a token may be renewed in the last [`LEEWAY_PERCENT`] of its life.
    pub needed_shared_leeway: u64,
    pub needed_per_address_leeway: u64,
    /// Event times in milliseconds.
    pub first_at_ms: i64,
    pub last_at_ms: i64,
}

/// A set of user numbers.
#[derive(Default, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn insert(&mut self, user: u32) {
        let word = (user / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (user % 64);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// One cache that asks only when it has to. Issues must come in the order of their time.
#[derive(Default, Clone, Copy)]
struct Walk {
    valid_until: Option<i64>,
    needed: u64,
}

impl Walk {
    fn issue(&mut self, at: i64, lifetime: i64) {
        if self.valid_until.is_none_or(|until| at >= until) {
            self.valid_until = Some(at + lifetime);
            self.needed += 1;
        }
    }
}

/// Both walks: with the whole life, and with the leeway.
#[derive(Default, Clone, Copy)]
struct Walks {
    strict: Walk,
    lenient: Walk,
}

impl Walks {
    fn issue(&mut self, at: i64, lifetime: i64) {
        self.strict.issue(at, lifetime);
        self.lenient.issue(at, lifetime - lifetime * LEEWAY_PERCENT / 100);
    }
}

#[derive(Default, Clone)]
struct MachineTally {
    issued: u64,
    failed: u64,
    shared: Walks,
    addresses: Vec<Walks>,
    first_at: i64,
    last_at: i64,
}

struct TenantTally {
    kinds: Vec<u64>,
    published: Bits,
    docs: Bits,
    broad: Bits,
    days: Vec<Bits>,
    organizations: Vec<Bits>,
    connections: Vec<Bits>,
    applications: Vec<Bits>,
    machines: Vec<MachineTally>,
    unrecognised: u64,
}

impl TenantTally {
    /// Tokens of a role that a cache in each process would have saved.
    fn wasted(&self, tenant: &Tenant, role: Role) -> u64 {
        let rows = self.machines.iter().zip(&tenant.machines).filter(|(_, machine)| machine.role == role);
        rows.map(|(row, _)| row.issued - row.addresses.iter().map(|walks| walks.lenient.needed).sum::<u64>()).sum()
    }
}

/// The truth in the making.
pub struct Tally {
    pub records: u64,
    pub malformed: u64,
    pub events: u64,
    pub duplicates: u64,
    distinct: u64,
    late: u64,
    max_lateness_ms: i64,
    first_day: i64,
    days: u32,
    tenants: Vec<TenantTally>,
}

const DAY_MS: i64 = 86_400_000;

impl Tally {
    pub fn new(settings: &Simulation, cast: &Cast) -> Self {
        let tenant = |tenant: &Tenant| TenantTally {
            kinds: vec![0; KINDS.len()],
            published: Bits::default(),
            docs: Bits::default(),
            broad: Bits::default(),
            days: Vec::new(),
            organizations: vec![Bits::default(); tenant.organizations.len()],
            connections: vec![Bits::default(); CONNECTIONS.len()],
            applications: vec![Bits::default(); APPLICATIONS.len()],
            machines: tenant
                .machines
                .iter()
                .map(|machine| MachineTally {
                    addresses: vec![Walks::default(); machine.addresses.len()],
                    ..MachineTally::default()
                })
                .collect(),
            unrecognised: 0,
        };
        Tally {
            records: 0,
            malformed: 0,
            events: 0,
            duplicates: 0,
            distinct: 0,
            late: 0,
            max_lateness_ms: 0,
            first_day: settings.start.div_euclid(DAY_MS),
            days: settings.days,
            tenants: cast.tenants.iter().map(tenant).collect(),
        }
    }

    /// Counts a distinct event. Events must come in the order of their date, because the walks over tokens need it.
    pub fn observe(&mut self, event: &Event, cast: &Cast) {
        let index = usize::from(event.tenant);
        let (tally, tenant) = (&mut self.tenants[index], &cast.tenants[index]);
        let kind = event.kind();
        self.distinct += 1;
        self.late += u64::from(event.is_late());
        self.max_lateness_ms = self.max_lateness_ms.max(event.ingested - event.date);
        tally.kinds[usize::from(event.kind)] += 1;
        match kind.shape {
            Shape::TokenIssued => {
                let actor = usize::from(event.actor);
                let (row, machine) = (&mut tally.machines[actor], &tenant.machines[actor]);
                let second = event.date.div_euclid(1_000);
                let address = usize::from(event.address);
                if row.issued == 0 {
                    row.first_at = event.date;
                }
                row.last_at = event.date;
                row.issued += 1;
                row.shared.issue(second, machine.lifetime_s);
                row.addresses[address].issue(second, machine.lifetime_s);
            }
            Shape::TokenRefused if event.actor == NONE => tally.unrecognised += 1,
            Shape::TokenRefused => tally.machines[usize::from(event.actor)].failed += 1,
            _ => {}
        }
        match kind.evidence {
            Evidence::Never => return,
            Evidence::Published => {}
            Evidence::Docs => {
                tally.docs.insert(event.user);
                tally.broad.insert(event.user);
                return;
            }
            Evidence::Inferred => {
                tally.broad.insert(event.user);
                return;
            }
        }
        tally.published.insert(event.user);
        tally.docs.insert(event.user);
        tally.broad.insert(event.user);
        let day = (event.date.div_euclid(DAY_MS) - self.first_day) as usize;
        if day >= tally.days.len() {
            tally.days.resize(day + 1, Bits::default());
        }
        tally.days[day].insert(event.user);
        if event.organization != NONE {
            tally.organizations[usize::from(event.organization)].insert(event.user);
        }
        if event.connection != NONE {
            tally.connections[usize::from(event.connection)].insert(event.user);
        }
        tally.applications[usize::from(event.actor)].insert(event.user);
    }

    pub fn finish(self, cast: &Cast) -> Truth {
        let mut truth = Truth {
            records: self.records,
            malformed: self.malformed,
            events: self.events,
            distinct_events: self.distinct,
            duplicates: self.duplicates,
            late: self.late,
            max_lateness_ms: self.max_lateness_ms,
            ..Truth::default()
        };
        for (tally, tenant) in self.tenants.iter().zip(&cast.tenants) {
            let by_type = truth.by_type.entry(tenant.name.clone()).or_default();
            for (kind, count) in KINDS.iter().zip(&tally.kinds) {
                if *count > 0 {
                    *by_type.entry(kind.code.to_owned()).or_default() += count;
                }
            }
            truth.users.insert(tenant.name.clone(), users(tally, tenant, self.first_day));
            let wasted_per_day = |role| {
                let tenths = if role == Role::CacheBroke { 10 - BREAKS_AT_TENTHS } else { 10 };
                tally.wasted(tenant, role) as f64 * 10.0 / (f64::from(self.days.max(1)) * tenths as f64)
            };
            truth.faults.insert(tenant.name.clone(), configuration::faults(tenant, wasted_per_day));
            let failed = truth.m2m_failed.entry(tenant.name.clone()).or_default();
            if tally.unrecognised > 0 {
                failed.insert(UNRECOGNISED.to_owned(), tally.unrecognised);
            }
            for (row, machine) in tally.machines.iter().zip(&tenant.machines) {
                if row.failed > 0 {
                    *failed.entry(machine.client_id.clone()).or_default() += row.failed;
                }
                if row.issued > 0 {
                    truth.m2m.push(tokens(row, machine, tenant));
                }
            }
        }
        truth
    }
}

fn users(tally: &TenantTally, tenant: &Tenant, first_day: i64) -> Users {
    let mut months: BTreeMap<String, Bits> = BTreeMap::new();
    let mut by_day = BTreeMap::new();
    for (i, day) in tally.days.iter().enumerate() {
        let users = day.count();
        if users == 0 {
            continue;
        }
        let (year, month, of_month) = civil(first_day + i as i64);
        by_day.insert(format!("{year:04}-{month:02}-{of_month:02}"), users);
        let all = months.entry(format!("{year:04}-{month:02}")).or_default();
        if all.0.len() < day.0.len() {
            all.0.resize(day.0.len(), 0);
        }
        for (word, more) in all.0.iter_mut().zip(&day.0) {
            *word |= more;
        }
    }
    fn named<'a>(names: impl Iterator<Item = &'a str>, sets: &[Bits]) -> BTreeMap<String, u64> {
        names.zip(sets).map(|(name, set)| (name.to_owned(), set.count())).filter(|(_, users)| *users > 0).collect()
    }
    Users {
        month: tally.published.count(),
        month_docs: tally.docs.count(),
        month_broad: tally.broad.count(),
        by_month: months.iter().map(|(month, set)| (month.clone(), set.count())).collect(),
        by_day,
        by_organization: named(tenant.organizations.iter().map(|(id, _)| id.as_str()), &tally.organizations),
        by_connection: named(CONNECTIONS.iter().map(|connection| connection.name), &tally.connections),
        by_client: named(tenant.applications.iter().map(String::as_str), &tally.applications),
    }
}

fn tokens(row: &MachineTally, machine: &Machine, tenant: &Tenant) -> Tokens {
    let mut scopes = machine.scopes.to_vec();
    scopes.sort_unstable();
    Tokens {
        tenant: tenant.name.clone(),
        client_id: machine.client_id.clone(),
        client_name: machine.role.name().to_owned(),
        audience: machine.audience.clone(),
        organization_id: machine
            .organization
            .map_or_else(String::new, |i| tenant.organizations[usize::from(i)].0.clone()),
        scope: scopes.join(" "),
        kind: machine.role.name().to_owned(),
        lifetime_s: machine.lifetime_s,
        billable: machine.billable,
        issued: row.issued,
        needed_shared: row.shared.strict.needed,
        needed_per_address: row.addresses.iter().map(|walks| walks.strict.needed).sum(),
        needed_shared_leeway: row.shared.lenient.needed,
        needed_per_address_leeway: row.addresses.iter().map(|walks| walks.lenient.needed).sum(),
        first_at_ms: row.first_at,
        last_at_ms: row.last_at,
    }
}
