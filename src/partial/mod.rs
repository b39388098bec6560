//! The pure core: events fold into a [`Partial`], partials merge. Any split of the same events, merged in any order, is
//! the same partial.
//!
//! Nothing here does I/O, reads a clock, spawns or locks.

mod batch;
mod counts;
pub mod dedupe;
mod events;
pub mod sketch;
mod symbols;
mod tokens;
mod users;
mod windows;

pub(crate) use batch::is_zero;
pub use batch::{Accounting, Batch, Frontier};
pub use counts::CountsRow;
pub use events::Events;
pub use tokens::{IssuedSeconds, TokensRow};
pub use users::{Dimension, UsersRow};

use crate::event::{ActiveDefinition, Day, EventTime, LogEvent, WindowLength};
use sketch::Precision;
use symbols::{Symbol, Symbols};

/// Also the key shared by client ids, connections and organizations in events that are not successes.
pub use crate::event::UNRECOGNISED;

/// What shapes the rows. Written into every ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldSettings {
    pub users_window: WindowLength,
    pub tokens_window: WindowLength,
    pub counts_window: WindowLength,
    pub definition: ActiveDefinition,
    pub precision: Precision,
    /// Whether each event is a row of its own too.
    pub events: bool,
}

impl Default for FoldSettings {
    fn default() -> Self {
        Self {
            users_window: WindowLength::HOUR,
            tokens_window: WindowLength::FIVE_MINUTES,
            counts_window: WindowLength::FIVE_MINUTES,
            definition: ActiveDefinition::default(),
            precision: Precision::DEFAULT,
            events: false,
        }
    }
}

/// The rows of the three aggregate datasets for some set of events.
#[derive(Default)]
pub struct Partial {
    symbols: Symbols,
    users: users::Users,
    tokens: tokens::Tokens,
    counts: counts::Counts,
}

impl Partial {
    pub fn fold(&mut self, event: &LogEvent<'_>, settings: &FoldSettings) {
        let keys = EventKeys::of(event, &mut self.symbols);
        self.counts.fold(event, &keys, settings, &mut self.symbols);
        self.users.fold(event, &keys, settings, &mut self.symbols);
        self.tokens.fold(event, &keys, settings, &mut self.symbols);
    }

    pub fn merge(&mut self, other: &Partial) {
        other.users().iter().for_each(|row| self.absorb_users(row));
        other.tokens().iter().for_each(|row| self.absorb_tokens(row));
        other.counts().iter().for_each(|row| self.absorb_counts(row));
    }

    pub fn absorb_users(&mut self, row: &UsersRow<'_>) {
        let precision = row.users.precision();
        self.users.absorb(row, precision, &mut self.symbols);
    }

    pub fn absorb_tokens(&mut self, row: &TokensRow<'_>) {
        self.tokens.absorb(row, &mut self.symbols);
    }

    pub fn absorb_counts(&mut self, row: &CountsRow<'_>) {
        self.counts.absorb(row, &mut self.symbols);
    }

    /// Sorted by tenant, dimension, key and window.
    pub fn users(&self) -> Vec<UsersRow<'_>> {
        self.users.rows(&self.symbols)
    }

    /// Sorted by tenant, client, audience, organization, scope, address and window.
    pub fn tokens(&self) -> Vec<TokensRow<'_>> {
        self.tokens.rows(&self.symbols)
    }

    /// Sorted by tenant, type, client, connection, strategy, organization and window.
    pub fn counts(&self) -> Vec<CountsRow<'_>> {
        self.counts.rows(&self.symbols)
    }

    /// [`counts`](Self::counts) by the day in which windows begin, one day's after the other's: there are far more of them than
    /// of other rows.
    pub fn counts_by_day(&self) -> impl Iterator<Item = (Day, Vec<CountsRow<'_>>)> {
        self.counts.rows_by_day(&self.symbols)
    }

    /// Whose rows these are, each perhaps several times.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.counts.tenants(&self.symbols)
    }

    pub fn row_count(&self) -> usize {
        self.users.len() + self.tokens.len() + self.counts.len()
    }

    /// About how much memory the rows hold, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.symbols.heap_bytes() + self.users.heap_bytes + self.tokens.heap_bytes + self.counts.heap_bytes
    }
}

/// The strings of an event that several datasets are keyed by, interned once. What a stranger made up is not among them.
struct EventKeys {
    tenant: Symbol,
    client_id: Symbol,
    connection: Symbol,
    organization_id: Symbol,
}

impl EventKeys {
    fn of(event: &LogEvent<'_>, symbols: &mut Symbols) -> Self {
        let is_checked = event.kind.class.is_authenticated();
        // In any other event a stranger may have chosen these; Auth0 adds a name, or a strategy, to what it found in the
        // tenant.
        let mut known = |value: &str, witness: &str| {
            let is_made_up = !is_checked && !value.is_empty() && witness.is_empty();
            symbols.intern(if is_made_up { UNRECOGNISED } else { value })
        };
        Self {
            client_id: known(event.client_id, event.client_name),
            connection: known(event.connection, event.strategy),
            organization_id: known(event.organization_id, event.organization_name),
            tenant: symbols.intern(event.tenant),
        }
    }
}

/// A name as the latest event has it, also an empty one; among equally late ones the greater. So a row's name is as old
/// as its `last_at`, and merging rows keeps the right one in any order.
struct Latest {
    at: EventTime,
    name: Symbol,
}

impl Latest {
    /// None yet; what is offered is of this time or later, or too old.
    fn new(at: EventTime) -> Self {
        Self { at, name: Symbol::EMPTY }
    }

    fn offer(&mut self, at: EventTime, name: &str, symbols: &mut Symbols) {
        if at < self.at {
            return;
        }
        let known = symbols.get(self.name);
        let is_known = name.len() == known.len() && (name.is_empty() || name == known);
        if !is_known && (at > self.at || name > known) {
            self.name = symbols.intern(name);
        }
        self.at = at;
    }
}
