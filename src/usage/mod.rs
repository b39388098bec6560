//! The read side's fold: committed rows to what all views share. Knows no source, and has no memory but what is committed.
//!
//! [`Usage`] is the fold, the same over the output of one worker and of fifty, in any order. [`follow`] reads what is
//! committed, and [`hosts`] what only the dataset `events` has; everything else here is pure.

pub mod activity;
#[cfg(test)]
mod chance;
pub mod follow;
pub mod forecast;
pub mod ghost;
pub mod hosts;
pub mod quota;
pub mod recent;
pub mod rhythm;
pub mod silence;
pub mod spike;
pub mod sudden;
pub mod tokens;
pub mod users;
pub mod uses;

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use crate::event::{Day, EventTime};
use crate::partial::{Dimension, Partial};
use crate::store::{Store, StoreError};

/// What is known of every tenant from the rows absorbed so far.
#[derive(Default)]
pub struct Usage {
    tenants: BTreeMap<String, TenantUsage>,
    /// Whether what is judged may be of any day, so that users are kept by window of all of them.
    keeps_all_windows: bool,
}

#[derive(Default)]
pub struct TenantUsage {
    pub users: users::Users,
    pub tokens: tokens::Tokens,
    pub activity: activity::Activity,
    pub uses: uses::Uses,
}

impl Usage {
    /// What any window of its past can be judged by.
    pub fn of_all_windows() -> Self {
        Self { keeps_all_windows: true, ..Self::default() }
    }

    /// Takes in rows, each once. Late ones belong to their own windows like any other.
    pub fn absorb(&mut self, rows: &Partial) {
        self.absorb_within(rows, &(EventTime::from_ms(i64::MIN)..EventTime::from_ms(i64::MAX)));
    }

    /// The same of those rows whose windows begin in a period.
    pub fn absorb_within(&mut self, rows: &Partial, period: &Range<EventTime>) {
        let keeps_all_windows = self.keeps_all_windows;
        for row in rows.users().iter().filter(|row| period.contains(&row.window_start)) {
            let users = &mut self.tenant_mut(row.tenant).users;
            users.keep_all_windows(keeps_all_windows);
            users.absorb(row);
        }
        for row in rows.tokens().iter().filter(|row| period.contains(&row.window_start)) {
            self.tenant_mut(row.tenant).tokens.absorb(row);
        }
        for row in rows.counts().iter().filter(|row| period.contains(&row.window_start)) {
            let tenant = self.tenant_mut(row.tenant);
            tenant.activity.absorb(row);
            tenant.uses.absorb(row);
        }
    }

    /// Takes in what a follower hands over.
    pub fn see(&mut self, seen: follow::Seen) {
        match seen {
            follow::Seen::Rows(rows) => self.absorb(&rows),
            follow::Seen::Anew => *self = Self { keeps_all_windows: self.keeps_all_windows, ..Self::default() },
        }
    }

    /// Forgets the days before this one, so that memory stays bounded.
    pub fn forget_before(&mut self, day: Day) {
        for tenant in self.tenants.values_mut() {
            tenant.users.forget_before(day);
            tenant.tokens.forget_before(day);
            tenant.activity.forget_before(day);
            tenant.uses.forget_before(day);
        }
    }

    /// Brings the walks over tokens up to date: asked for after absorbing, before anything about tokens is asked.
    pub fn settle(&mut self, lifetimes: &ghost::Lifetimes) {
        for (name, tenant) in &mut self.tenants {
            tenant.tokens.settle(|audience| lifetimes.of(name, audience).counted_seconds());
        }
    }

    pub fn tenants(&self) -> impl Iterator<Item = (&str, &TenantUsage)> {
        self.tenants.iter().map(|(name, tenant)| (name.as_str(), tenant))
    }

    pub fn tenant(&self, name: &str) -> Option<&TenantUsage> {
        self.tenants.get(name)
    }

    fn tenant_mut(&mut self, name: &str) -> &mut TenantUsage {
        users::entry(&mut self.tenants, name)
    }
}

impl TenantUsage {
    /// Organizations with an active user in these days.
    pub fn active_organizations(&self, days: RangeInclusive<Day>) -> u64 {
        self.users.active(Dimension::Organization, days).count() as u64
    }

    /// Enterprise connections with an active user in these days.
    pub fn active_enterprise_connections(&self, days: RangeInclusive<Day>) -> u64 {
        let is_enterprise = |name: &str| {
            self.activity.connections().any(|(known, connection)| known == name && connection.is_enterprise())
        };
        self.users.active(Dimension::Connection, days).filter(|(name, _)| is_enterprise(name)).count() as u64
    }
}

/// Merges every visible row into one partial.
pub async fn fold(store: &Store) -> Result<Partial, StoreError> {
    let mut all = Partial::default();
    let take = |seen| match seen {
        follow::Seen::Rows(rows) => all.merge(&rows),
        follow::Seen::Anew => all = Partial::default(),
    };
    follow::Follower::new(store.clone()).read(take).await?;
    Ok(all)
}
