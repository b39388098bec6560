//! What the live page and its JSON show: plain data, with every number's unit.
//!
//! It knows nothing of how it is made, and decides nothing. Every field is always written; what is not known is `null`.
//! Times are event times, UTC. `schemas/api.openapi.json` describes the same, and a test compares.

use serde::{Deserialize, Serialize};

use crate::event::EventTime;
use crate::store::ledger::text_time;

/// Everything there is to show, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Greater with every change; what pages compare to know whether there is something new.
    pub revision: u64,
    /// Greatest event time of any tenant.
    #[serde(with = "text_time::option")]
    pub as_of: Option<EventTime>,
    /// In the order the page offers them; the first is shown unless another is asked for.
    pub tenants: Vec<TenantOverview>,
    pub ingest: Ingest,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TenantOverview {
    pub tenant: String,
    /// Greatest event time of the tenant.
    #[serde(with = "text_time::option")]
    pub as_of: Option<EventTime>,
    pub month: Month,
    /// Ascending by date; the last day is the one under way.
    pub active_users_by_day: Vec<UserDay>,
    /// Ascending, the last 24 hours. A window in which no token was issued may be left out.
    pub token_rate: Vec<TokenWindow>,
    /// Most avoidable tokens first.
    pub ghosts: Vec<Ghost>,
    /// What was looked at to find `ghosts`, also when there are none.
    pub ghosts_checked: GhostsChecked,
    /// Every client and audience of the month with its verdict, ghosts too, most tokens first; at most 500.
    pub clients: Vec<ClientTokens>,
    /// Firing first, then the resolved ones, the newest first.
    pub alerts: Vec<AlertView>,
    /// Why verdicts wait, in words; `null` if nothing holds them back.
    pub held_back: Option<String>,
    pub activity: Activity,
    /// What the audit says of its configuration; `null` where it is not audited.
    pub audit: Option<Audit>,
}

/// What the last audit of the tenant's configuration found, beside what is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// An export, a recording, or a domain.
    pub source: String,
    /// When it was read last; `null` if it never could be, or is being read for the first time.
    #[serde(with = "text_time::option")]
    pub at: Option<EventTime>,
    /// Why it could not be read since, in words; `null` if it was, or while it is being read for the first time.
    pub problem: Option<String>,
    /// What the events that it was judged beside cover, in words; `null` before.
    pub events: Option<String>,
    /// Findings that are open, by severity.
    pub required: u64,
    pub recommended: u64,
    pub best_practice: u64,
    /// Findings that a baseline accepts.
    pub accepted: u64,
    /// Checks that could not be run.
    pub not_run: u64,
    /// What is required, by check and subject, and what was and could not be looked at; at most 100.
    pub findings: Vec<AuditFinding>,
}

/// All that one check found of one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFinding {
    /// The check's stable name, such as `client-grant-implicit`.
    pub check: String,
    pub title: String,
    /// Kind and name.
    pub subject: String,
    /// What was seen, with values.
    pub evidence: Vec<String>,
    pub why: String,
    pub fix: String,
    /// Auth0's page.
    pub docs: String,
    /// Whether it was looked at this time. Otherwise it was found before, its alert fires, and nobody could see whether it is
    /// mended.
    pub is_judged: bool,
}

/// An estimate of distinct users, with its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// Users.
    pub estimate: f64,
    /// Users.
    pub lower: f64,
    /// Users.
    pub upper: f64,
}

/// What a count comes to by the month's end, in the unit of the count, with its 80 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The calendar month under way, UTC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// Such as `2026-11`; empty before the first event.
    pub name: String,
    /// How much of it has passed, 0 to 1.
    pub elapsed: f64,
    pub active_users: UsersOfMonth,
    pub m2m_tokens: TokensOfMonth,
    pub organizations: CountOfMonth,
    pub enterprise_connections: CountOfMonth,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsersOfMonth {
    pub users: Users,
    /// Users a month.
    pub quota: Option<u64>,
    /// Users by the month's end.
    pub projected: Option<Projection>,
    /// The day of this month, `YYYY-MM-DD`, on which the quota is used up, or was.
    pub runs_out_on: Option<String>,
}

/// Machine-to-machine tokens of the month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TokensOfMonth {
    /// Billable tokens, which count toward the quota; `needed` and `avoidable` are parts of them.
    pub issued: u64,
    /// Tokens.
    pub needed: u64,
    /// Tokens.
    pub avoidable: u64,
    /// Tokens for Auth0's own audiences, which do not count.
    pub unbillable: u64,
    /// Tokens a month.
    pub quota: Option<u64>,
    /// Tokens by the month's end.
    pub projected: Option<Projection>,
    /// The day of this month, `YYYY-MM-DD`, on which the quota is used up, or was.
    pub runs_out_on: Option<String>,
}

/// How many of a kind were used this month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountOfMonth {
    pub active: u64,
    pub quota: Option<u64>,
}

/// Distinct users up to the end of a UTC day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Of the day.
    pub day: Users,
    /// Of its ISO week so far.
    pub week: Users,
    /// Of its calendar month so far.
    pub month: Users,
}

/// Machine-to-machine tokens of 5 minutes, billable or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenWindow {
    /// Begin of the window.
    #[serde(with = "text_time")]
    pub at: EventTime,
    /// Tokens; the sum of the next two.
    pub issued: u64,
    /// Tokens.
    pub needed: u64,
    /// Tokens.
    pub avoidable: u64,
}

/// A client that asks for machine-to-machine tokens of one audience that it could have cached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ghost {
    /// The same in every answer for the same client and audience.
    pub id: String,
    pub client_id: String,
    /// May be empty.
    pub client_name: String,
    pub audience: String,
    /// Organizations and scope sets, each of which needs tokens of its own.
    pub keys: u64,
    /// Such as `does not cache`.
    pub verdict: String,
    /// `high`, `medium` or `low`.
    pub confidence: String,
    /// Whether its tokens count toward the quota.
    pub billable: bool,
    /// Tokens this month.
    pub issued: u64,
    /// Tokens a cache per address would have needed.
    pub needed: u64,
    /// Tokens: issued less needed.
    pub avoidable: u64,
    /// Avoidable of issued, 0 to 1.
    pub waste_ratio: f64,
    /// Tokens one cache shared by all addresses would have needed.
    pub needed_shared: u64,
    /// As many processes, each with a cache of its own, would have needed what was issued.
    pub equals_processes: u64,
    /// Distinct addresses seen.
    pub addresses: u64,
    pub user_agents: Vec<String>,
    /// Seconds between one token and the next.
    pub median_spacing_seconds: Option<f64>,
    /// Seconds a token is taken to live.
    pub lifetime_seconds: u64,
    /// Where the lifetime comes from, in words.
    pub lifetime_from: String,
    /// Until when it cached, if it did.
    #[serde(with = "text_time::option")]
    pub since: Option<EventTime>,
    /// Since when it asks for hardly any token it has, if it does.
    #[serde(with = "text_time::option")]
    pub mended_at: Option<EventTime>,
    /// Avoidable tokens by the month's end.
    pub projected_avoidable: Option<u64>,
    /// `projected_avoidable` of the tenant's token quota, 0 and up; `null` without a quota or if not billable.
    pub quota_share: Option<f64>,
    /// Empty if not known.
    pub first_log_id: String,
    /// Empty if not known.
    pub last_log_id: String,
    /// Why this verdict, in sentences.
    pub explanation: String,
    /// What to do, in sentences; lines may be broken.
    pub fix: String,
}

/// How one client uses the machine-to-machine tokens of one audience.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientTokens {
    /// The same in every answer for the same client and audience.
    pub id: String,
    pub client_id: String,
    /// May be empty.
    pub client_name: String,
    pub audience: String,
    /// Such as `caches per process only`.
    pub verdict: String,
    /// `high`, `medium` or `low`.
    pub confidence: String,
    pub billable: bool,
    /// Tokens this month.
    pub issued: u64,
    /// Tokens a cache per address would have needed.
    pub needed: u64,
    /// Tokens one cache shared by all addresses would have needed.
    pub needed_shared: u64,
    /// Distinct addresses seen.
    pub addresses: u64,
    /// Why it was judged so.
    pub explanation: String,
}

/// What the search for ghosts covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GhostsChecked {
    /// Clients that were issued machine-to-machine tokens.
    pub clients: u64,
    /// Tokens issued to them, billable or not.
    pub issued: u64,
    /// Since when.
    #[serde(with = "text_time::option")]
    pub from: Option<EventTime>,
}

/// An alert as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertView {
    /// Rule and subject; see [`Self::sequence`].
    pub id: String,
    /// Which transition of `id` this is; the two together occur once.
    pub sequence: u64,
    pub rule: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// `firing` or `resolved`.
    pub status: String,
    pub subject: String,
    /// One line.
    pub title: String,
    /// What was seen, with numbers and units.
    pub summary: String,
    /// In the order to show.
    pub evidence: Vec<Evidence>,
    /// What to do, where a rule knows.
    pub fix: Option<String>,
    /// Begin of the first window in which the condition held.
    #[serde(with = "text_time")]
    pub since: EventTime,
    /// End of the window that decided.
    #[serde(with = "text_time")]
    pub at: EventTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Rate limits hit or nearly hit, the most events first.
    pub rate_limits: Vec<TypeActivity>,
    /// Attack protection at work, the most events first.
    pub attacks: Vec<TypeActivity>,
    /// The worst ratio first.
    pub failures: Vec<ConnectionFailures>,
}

/// Events of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeActivity {
    /// Auth0's code, such as `api_limit`.
    pub type_code: String,
    pub meaning: String,
    /// Events in the last 24 hours.
    pub events_last_day: u64,
    /// Events in the last 60 minutes.
    pub events_last_hour: u64,
    #[serde(with = "text_time::option")]
    pub last_at: Option<EventTime>,
}

/// Logins by a connection in the last 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionFailures {
    /// Empty for logins that name none.
    pub connection: String,
    /// Logins.
    pub failed: u64,
    /// Logins.
    pub succeeded: u64,
    /// Failed of all, 0 to 1.
    pub ratio: f64,
}

/// How what is shown came in, over all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    pub partitions: Vec<PartitionState>,
    /// Records committed.
    pub records: u64,
    /// Records of them that could not be understood; they are kept in `dead_letters`.
    pub rejected: u64,
    /// Events committed.
    pub events: u64,
    /// Events of them that were known already, and are not counted.
    pub duplicates: u64,
    /// Milliseconds the latest event came after its time; negative if none came after it.
    pub max_lateness_ms: i64,
    /// What keeps new data away, in words.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Source, incarnation and partition.
    pub partition: String,
    /// Offset: the end of what is committed.
    pub position: u64,
    /// Greatest event time committed.
    #[serde(with = "text_time::option")]
    pub frontier: Option<EventTime>,
    /// Whether everything there was to read is committed.
    pub is_caught_up: bool,
    /// Seconds of event time behind; `null` if not known.
    pub lag_seconds: Option<u64>,
}
