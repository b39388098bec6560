//! What happens when: decides each event once, in the order of its date, as a few numbers.
//!
//! Tokens of machines with a cache follow a schedule made at the start. Everything else is dealt out over slices of a
//! minute by the hour of the day. An event stays numbers until it is written, so that late events and duplicates cost
//! little to hold back, and a duplicate written again has the same bytes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::cast::{Cast, Machine, Role};
use super::truth::Tally;
use super::{Dice, Simulation};

/// Under which definition an event of a kind makes its user active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Never,
    Published,
    Docs,
    Inferred,
}

/// Which details an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Login,
    SingleSignOn,
    Silent,
    SilentFailed,
    CrossOrigin,
    Code,
    Refresh,
    UserToken,
    Signup,
    SignupFailed,
    LoginFailed,
    UnknownUser,
    OauthFailed,
    TokenFailed,
    Logout,
    Mfa,
    Management,
    Limit,
    ApiLimit,
    Account,
    Notice,
    Unknown,
    TokenIssued,
    TokenRefused,
}

/// A kind of event: nearly a type code, but one code can have two kinds.
pub struct Kind {
    pub code: &'static str,
    pub shape: Shape,
    pub evidence: Evidence,
    /// Among the events that no machine asked for.
    pub weight: u32,
    pub has_connection: bool,
    pub has_organization: bool,
    pub description: &'static str,
}

const WITH_CONNECTION: u8 = 1;
const WITH_ORGANIZATION: u8 = 2;
const BOTH: u8 = 3;

const fn kind(
    code: &'static str,
    shape: Shape,
    evidence: Evidence,
    weight: u32,
    has: u8,
    description: &'static str,
) -> Kind {
    Kind {
        code,
        shape,
        evidence,
        weight,
        has_connection: has & WITH_CONNECTION != 0,
        has_organization: has & WITH_ORGANIZATION != 0,
        description,
    }
}

use Evidence::{Docs, Inferred, Never, Published};

/// Every kind there is; the first two are the machines' own and are dealt by other rules than by weight.
#[rustfmt::skip]
pub const KINDS: [Kind; 51] = [
    kind("seccft", Shape::TokenIssued, Never, 0, 0, "Client Credentials for Access Token"),
    kind("feccft", Shape::TokenRefused, Never, 0, 0, "Unauthorized"),
    kind("s", Shape::Login, Published, 2600, BOTH, "Successful login"),
    kind("s", Shape::SingleSignOn, Published, 550, WITH_ORGANIZATION, "Successful login"),
    kind("seacft", Shape::Code, Published, 2000, WITH_ORGANIZATION, "Authorization Code for Access Token"),
    kind("sertft", Shape::Refresh, Published, 1700, WITH_ORGANIZATION, "Refresh Token for Access Token"),
    kind("ssa", Shape::Silent, Published, 700, WITH_ORGANIZATION, "Successful silent authentication"),
    kind("scoa", Shape::CrossOrigin, Published, 150, WITH_CONNECTION, "Successful cross-origin authentication"),
    kind("sepft", Shape::UserToken, Published, 130, WITH_CONNECTION, "Password for Access Token"),
    kind("sens", Shape::UserToken, Published, 60, WITH_CONNECTION, "Native social login"),
    kind("seoobft", Shape::UserToken, Published, 60, WITH_CONNECTION, "Out-of-band for Access Token"),
    kind("seotpft", Shape::UserToken, Published, 80, WITH_CONNECTION, "OTP for Access Token"),
    kind("sercft", Shape::UserToken, Published, 15, WITH_CONNECTION, "MFA recovery code for Access Token"),
    kind("sepkoobft", Shape::UserToken, Inferred, 12, BOTH, "Passkey and out-of-band for Access Token"),
    kind("secte", Shape::UserToken, Inferred, 12, BOTH, "Custom token exchange"),
    kind("sede", Shape::UserToken, Inferred, 12, WITH_CONNECTION, "Device code for Access Token"),
    kind("ss", Shape::Signup, Docs, 140, BOTH, "Successful signup"),
    kind("fs", Shape::SignupFailed, Never, 12, WITH_CONNECTION, "User already exists"),
    kind("slo", Shape::Logout, Never, 420, WITH_CONNECTION, "User successfully logged out"),
    kind("flo", Shape::Logout, Never, 8, WITH_CONNECTION, "The \"returnTo\" querystring parameter is not allowed"),
    kind("fp", Shape::LoginFailed, Never, 170, BOTH, "Wrong email or password."),
    kind("fu", Shape::UnknownUser, Never, 70, BOTH, "Wrong email or password."),
    kind("f", Shape::OauthFailed, Never, 70, BOTH, "access_denied (User did not authorize the request)"),
    kind("fsa", Shape::SilentFailed, Never, 120, WITH_ORGANIZATION, "Login required"),
    kind("feacft", Shape::TokenFailed, Never, 12, 0, "Invalid authorization code"),
    kind("fertft", Shape::TokenFailed, Never, 30, 0, "Unknown or invalid refresh token."),
    kind("fepft", Shape::TokenFailed, Never, 12, WITH_CONNECTION, "Wrong email or password."),
    kind("gd_start_auth", Shape::Mfa, Never, 140, 0, "Second factor authentication started"),
    kind("gd_send_pn", Shape::Mfa, Never, 80, 0, "Push notification sent"),
    kind("gd_send_sms", Shape::Mfa, Never, 25, 0, "SMS sent"),
    kind("gd_auth_succeed", Shape::Mfa, Never, 120, 0, "MFA Auth success"),
    kind("gd_auth_failed", Shape::Mfa, Never, 15, 0, "MFA Auth failed"),
    kind("gd_auth_rejected", Shape::Mfa, Never, 5, 0, "MFA Auth rejected"),
    kind("gd_enrollment_complete", Shape::Mfa, Never, 10, 0, "Guardian - Enrollment complete"),
    kind("sapi", Shape::Management, Never, 420, 0, "Update a user"),
    kind("mgmt_api_read", Shape::Management, Never, 40, 0, "Get client by ID"),
    kind("limit_wc", Shape::Limit, Never, 12, WITH_CONNECTION, "Blocked account after too many failed logins"),
    kind("limit_mu", Shape::Limit, Never, 6, WITH_CONNECTION, "Blocked IP address"),
    kind("pwd_leak", Shape::Limit, Never, 6, WITH_CONNECTION, "Leaked password used"),
    kind("api_limit", Shape::ApiLimit, Never, 12, 0, "You passed the limit of 10 requests per second."),
    kind("cs", Shape::Account, Never, 40, WITH_CONNECTION, "Code sent"),
    kind("cls", Shape::Account, Never, 20, WITH_CONNECTION, "Code or link sent"),
    kind("sv", Shape::Account, Never, 40, WITH_CONNECTION, "Your email was verified. You can continue using the application."),
    kind("scp", Shape::Account, Never, 15, WITH_CONNECTION, "You can now login to the application with the new password."),
    kind("scpr", Shape::Account, Never, 20, WITH_CONNECTION, "Password change requested"),
    kind("fcp", Shape::Account, Never, 5, WITH_CONNECTION, "Password is too weak"),
    kind("sce", Shape::Account, Never, 4, WITH_CONNECTION, "Email changed"),
    kind("sdu", Shape::Account, Never, 5, WITH_CONNECTION, "User successfully deleted"),
    kind("depnote", Shape::Notice, Never, 8, 0, "Legacy Tokeninfo endpoint: This feature is being deprecated."),
    kind("zz_new_code", Shape::Unknown, Never, 4, WITH_CONNECTION, "Something this century has not seen"),
    kind("zz_other_new_code", Shape::Unknown, Never, 2, 0, ""),
];

const ISSUED: u16 = 0;
const REFUSED: u16 = 1;
const FIRST_BY_WEIGHT: usize = 2;

/// No such index.
pub const NONE: u16 = u16::MAX;

/// An event as numbers, indices into the cast.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// When it happened.
    pub date: i64,
    /// The time in its `log_id`.
    pub ingested: i64,
    /// Unique.
    pub number: u64,
    /// Whatever else is written follows from this.
    pub seed: u64,
    pub user: u32,
    pub kind: u16,
    pub tenant: u16,
    /// An application, or a machine of a token event; [`NONE`] is a client Auth0 does not know.
    pub actor: u16,
    pub address: u16,
    pub organization: u16,
    pub connection: u16,
}

/// From here on an event counts as late; ordinary delay is a few seconds.
const LATE_FROM_MS: u64 = 120_000;
const LATE_UP_TO_MS: u64 = 3 * 3_600_000;

impl Event {
    pub fn kind(&self) -> &'static Kind {
        &KINDS[usize::from(self.kind)]
    }

    pub fn is_late(&self) -> bool {
        self.ingested - self.date >= LATE_FROM_MS as i64
    }
}

/// A token a cache will ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    tenant: u16,
    machine: u16,
    process: u16,
}

/// Who asks at any time, for as long as it is not too early for him; a share in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Issue(Role),
    Refuse(Role),
    Stranger,
}

const ASKERS: [(Asker, u64); 6] = [
    (Asker::Issue(Role::AsksPerRequest), 52),
    (Asker::Issue(Role::CacheBroke), 24),
    (Asker::Issue(Role::Management), 14),
    (Asker::Refuse(Role::AsksPerRequest), 4),
    (Asker::Refuse(Role::WellBehaved), 2),
    (Asker::Stranger, 4),
];
/// Each asker comes this often before the shares decide, so that small simulations have them all.
const AT_LEAST: u32 = 2;

/// When the cache breaks that does, in tenths of all the time.
pub const BREAKS_AT_TENTHS: i64 = 6;

const SLICE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// How busy each UTC hour of a day is.
const RHYTHM: [u64; 24] = [14, 10, 8, 7, 8, 12, 22, 40, 62, 80, 88, 90, 84, 86, 92, 94, 90, 82, 70, 60, 52, 42, 30, 20];

pub struct Planner {
    dice: Dice,
    start: i64,
    slices: i64,
    next_slice: i64,
    /// Weights of the slices so far and in all, and how many events they got.
    weight_so_far: u128,
    weight: u128,
    dealt: u64,
    /// Events without a schedule, and how many of them are tokens.
    to_deal: u64,
    tokens_left: u64,
    schedule: Vec<Due>,
    next_due: usize,
    asked: Vec<[u32; ASKERS.len()]>,
    breaks_at: i64,
    late: f64,
    number: u64,
    times: Vec<i64>,
    weights: u64,
}

impl Planner {
    pub fn new(settings: &Simulation, cast: &Cast) -> Self {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(settings.seed));
        let slices = i64::from(settings.days.max(1)) * (DAY_MS / SLICE_MS);
        let end = settings.start + slices * SLICE_MS;
        let breaks_at = settings.start + slices * BREAKS_AT_TENTHS / 10 * SLICE_MS;
        let schedule = schedule(&mut dice, cast, settings.start, end, breaks_at);
        // Three in ten events are tokens of machines, and the caches' share of that is bounded so that the wasteful ones
        // show also in a small simulation.
        let tokens = settings.events / 10 * 3 + settings.events % 10 * 3 / 10;
        let schedule = thin(schedule, cast, tokens * 6 / 10);
        let scheduled = schedule.len() as u64;
        Planner {
            dice,
            start: settings.start,
            slices,
            next_slice: 0,
            weight_so_far: 0,
            weight: (0..slices).map(|i| u128::from(busy(settings.start + i * SLICE_MS))).sum(),
            dealt: 0,
            to_deal: settings.events - scheduled,
            tokens_left: tokens - scheduled,
            schedule,
            next_due: 0,
            asked: vec![[0; ASKERS.len()]; cast.tenants.len()],
            breaks_at,
            late: settings.late,
            number: 0,
            times: Vec::new(),
            weights: KINDS.iter().map(|kind| u64::from(kind.weight)).sum(),
        }
    }

    /// Hands the events of the next minute to `sink` in the order of their date, and says up to when all are planned;
    /// `None` after the last minute.
    pub fn next_slice(&mut self, cast: &Cast, tally: &mut Tally, mut sink: impl FnMut(Event)) -> Option<i64> {
        if self.next_slice == self.slices {
            return None;
        }
        let from = self.start + self.next_slice * SLICE_MS;
        let until = from + SLICE_MS;
        self.next_slice += 1;
        self.weight_so_far += u128::from(busy(from));
        // By the cumulated weight, so that rounding never loses an event.
        let by_now = u128::from(self.to_deal) * self.weight_so_far / self.weight;
        let count = u64::try_from(by_now).unwrap_or(u64::MAX) - self.dealt;
        let mut times = std::mem::take(&mut self.times);
        times.clear();
        times.extend((0..count).map(|_| from + self.dice.below(SLICE_MS as u64) as i64));
        times.sort_unstable();
        let mut dates = times.iter().copied().peekable();
        loop {
            let due = self.schedule.get(self.next_due).copied().filter(|due| due.at < until);
            let event = match (due, dates.peek().copied()) {
                (Some(due), date) if date.is_none_or(|date| due.at <= date) => {
                    self.next_due += 1;
                    self.scheduled(due, cast)
                }
                (_, Some(date)) => {
                    dates.next();
                    self.deal(date, cast)
                }
                _ => break,
            };
            tally.observe(&event, cast);
            sink(event);
        }
        self.times = times;
        Some(until)
    }

    fn event(&mut self, date: i64, kind: u16, tenant: u16) -> Event {
        // Auth0 ingests within some seconds, sometimes within milliseconds.
        let delay = if self.dice.chance(self.late) {
            LATE_FROM_MS + self.dice.below(LATE_UP_TO_MS - LATE_FROM_MS)
        } else {
            let most = [120, 500, 4_200][self.dice.below(3) as usize];
            50 + self.dice.below(most)
        };
        self.number += 1;
        Event {
            date,
            ingested: date + delay as i64,
            number: self.number,
            seed: self.dice.next(),
            user: 0,
            kind,
            tenant,
            actor: NONE,
            address: 0,
            organization: NONE,
            connection: NONE,
        }
    }

    fn scheduled(&mut self, due: Due, cast: &Cast) -> Event {
        let machine = &cast.tenants[usize::from(due.tenant)].machines[usize::from(due.machine)];
        let event = self.event(due.at, ISSUED, due.tenant);
        by_machine(event, machine, due.machine, due.process)
    }

    /// An event without a schedule.
    fn deal(&mut self, date: i64, cast: &Cast) -> Event {
        let count = cast.tenants.len() as u64;
        // The minimum of two draws makes the first tenant the largest.
        let tenant = self.dice.below(count).min(self.dice.below(count)) as u16;
        let is_token = self.dice.below(self.to_deal - self.dealt) < self.tokens_left;
        self.dealt += 1;
        if is_token {
            self.tokens_left -= 1;
            return self.token(date, tenant, cast);
        }
        let mut left = self.dice.below(self.weights);
        let mut kind = FIRST_BY_WEIGHT;
        for (i, candidate) in KINDS.iter().enumerate().skip(FIRST_BY_WEIGHT) {
            let weight = u64::from(candidate.weight);
            if left < weight {
                kind = i;
                break;
            }
            left -= weight;
        }
        let mut event = self.event(date, kind as u16, tenant);
        let stage = &cast.tenants[usize::from(tenant)];
        // A power law: the cube of an even draw makes few users busy and most of them rare.
        let draw = self.dice.unit();
        let user = (draw * draw * draw * f64::from(stage.users)) as u32;
        event.user = user.min(stage.users - 1);
        let person = stage.person(event.user);
        event.actor = if self.dice.below(5) == 0 {
            self.dice.below(stage.applications.len() as u64) as u16
        } else {
            person.application as u16
        };
        let kind = event.kind();
        if kind.has_connection {
            event.connection = person.connection as u16;
        }
        // Members sometimes use what is not their organization's.
        if kind.has_organization && self.dice.below(8) != 0 {
            event.organization = person.organization.unwrap_or(NONE);
        }
        event
    }

    fn token(&mut self, date: i64, tenant: u16, cast: &Cast) -> Event {
        let too_early = |asker: Asker| asker == Asker::Issue(Role::CacheBroke) && date < self.breaks_at;
        let asked = &mut self.asked[usize::from(tenant)];
        let rare =
            ASKERS.iter().zip(asked.iter()).position(|((asker, _), times)| *times < AT_LEAST && !too_early(*asker));
        let choice = rare.unwrap_or_else(|| {
            let mut left = self.dice.below(100);
            let mut choice = 0;
            for (i, (_, share)) in ASKERS.iter().enumerate() {
                if left < *share {
                    choice = i;
                    break;
                }
                left -= share;
            }
            // Before his time somebody else asks instead.
            if too_early(ASKERS[choice].0) { 0 } else { choice }
        });
        asked[choice] += 1;
        let (kind, role) = match ASKERS[choice].0 {
            Asker::Issue(role) => (ISSUED, role),
            Asker::Refuse(role) => (REFUSED, role),
            Asker::Stranger => return self.event(date, REFUSED, tenant),
        };
        let event = self.event(date, kind, tenant);
        let machines = &cast.tenants[usize::from(tenant)].machines;
        let found = machines.iter().position(|machine| machine.role == role);
        let index = found.unwrap_or_default();
        let process = self.dice.below(64) as u16;
        by_machine(event, &machines[index], index as u16, process)
    }
}

fn by_machine(event: Event, machine: &Machine, index: u16, process: u16) -> Event {
    Event {
        actor: index,
        address: process % machine.addresses.len() as u16,
        organization: machine.organization.unwrap_or(NONE),
        ..event
    }
}

/// How much happens in the slice that begins at `at`.
fn busy(at: i64) -> u64 {
    let day = at.div_euclid(DAY_MS);
    let of_day = at.rem_euclid(DAY_MS);
    let hour = (of_day / 3_600_000) as usize;
    // The first of January 1970 was a Thursday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    RHYTHM[hour] * if weekend { 6 } else { 10 }
}

/// All tokens that caches and jobs ask for, in order.
fn schedule(dice: &mut Dice, cast: &Cast, start: i64, end: i64, breaks_at: i64) -> Vec<Due> {
    let mut all = Vec::new();
    for (t, tenant) in cast.tenants.iter().enumerate() {
        for (m, machine) in tenant.machines.iter().enumerate() {
            let due = |at, process| Due { at, tenant: t as u16, machine: m as u16, process };
            if machine.role == Role::ScheduledJob {
                // Every six hours, some seconds past the hour.
                const PERIOD: i64 = 6 * 3_600_000;
                let mut at = start + (-start).rem_euclid(PERIOD);
                while at < end - 10_000 {
                    all.push(due(at + dice.below(10_000) as i64, 0));
                    at += PERIOD;
                }
            }
            let until = if machine.role == Role::CacheBroke { breaks_at } else { end };
            let lifetime = machine.lifetime_s as u64 * 1_000;
            for process in 0..machine.processes {
                // The processes were started before the story, at different times.
                let mut at = start + dice.below(lifetime) as i64;
                while at < until {
                    all.push(due(at, process));
                    // Some libraries renew in the last tenth of the life. Most caches ask with the first call after it,
                    // so that every one of their tokens was needed even without a leeway.
                    at += if machine.renews_early() {
                        lifetime / 10 * 9 + 1_000 + dice.below(lifetime / 10)
                    } else {
                        lifetime + 1_000 + dice.below(lifetime / 20)
                    } as i64;
                }
            }
        }
    }
    all.sort_unstable();
    all
}

/// Keeps at most `allowed` entries, some of every role of every tenant, spread over the time.
fn thin(schedule: Vec<Due>, cast: &Cast, allowed: u64) -> Vec<Due> {
    let all = schedule.len() as u64;
    if all <= allowed {
        return schedule;
    }
    let group = |due: &Due| {
        let role = cast.tenants[usize::from(due.tenant)].machines[usize::from(due.machine)].role;
        usize::from(due.tenant) * Role::ALL.len() + role as usize
    };
    let groups = cast.tenants.len() * Role::ALL.len();
    let mut have = vec![0_u64; groups];
    for due in &schedule {
        have[group(due)] += 1;
    }
    let mut keep = vec![0_u64; groups];
    let mut left = allowed;
    for _ in 0..4 {
        for (keep, have) in keep.iter_mut().zip(&have) {
            if left > 0 && *keep < *have {
                *keep += 1;
                left -= 1;
            }
        }
    }
    for (keep, have) in keep.iter_mut().zip(&have) {
        let share = have * left / all;
        *keep = (*keep + share).min(*have);
    }
    // An entry stays where the cumulated share steps up, which spreads them evenly.
    let mut seen = vec![0_u64; groups];
    schedule
        .into_iter()
        .filter(|due| {
            let group = group(due);
            let (have, keep) = (have[group], keep[group]);
            let before = seen[group] * keep / have;
            seen[group] += 1;
            seen[group] * keep / have > before
        })
        .collect()
}
