//! `active_users`: distinct users, logins and signups per window, tenant, dimension and key.

use std::borrow::Cow;

use super::sketch::{Precision, UserHash, UserSketch};
use super::symbols::{Symbol, Symbols};
use super::windows::{Window, Windows};
use super::{EventKeys, FoldSettings, Latest};
use crate::event::{Class, EventTime, LogEvent};

/// What users are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The whole tenant; the key is empty.
    Tenant,
    /// By `organization_id`.
    Organization,
    /// By connection name.
    Connection,
    /// By `client_id`.
    Client,
}

impl Dimension {
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Organization, Self::Connection, Self::Client];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Organization => "organization",
            Self::Connection => "connection",
            Self::Client => "client",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

/// One row of `active_users`.
#[derive(Clone)]
pub struct UsersRow<'a> {
    pub window_start: EventTime,
    pub window_seconds: u32,
    pub tenant: &'a str,
    pub dimension: Dimension,
    pub key: &'a str,
    /// The organization's or client's name, as its latest event has it.
    pub key_name: &'a str,
    /// Events that make their user an active one.
    pub events: u64,
    pub logins: u64,
    pub signups: u64,
    pub users: Cow<'a, UserSketch>,
    pub first_at: EventTime,
    pub last_at: EventTime,
    pub max_lateness_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tenant: Symbol,
    dimension: Dimension,
    key: Symbol,
}

struct Value {
    key_name: Latest,
    events: u64,
    logins: u64,
    signups: u64,
    users: UserSketch,
    first_at: EventTime,
    last_at: EventTime,
    max_lateness_ms: i64,
}

#[derive(Default)]
pub(super) struct Users {
    rows: Windows<Key, Value>,
    pub heap_bytes: usize,
}

impl Users {
    pub fn fold(&mut self, event: &LogEvent<'_>, keys: &EventKeys, settings: &FoldSettings, symbols: &mut Symbols) {
        let active = settings.definition.accepts(event.kind.evidence).then(|| UserHash::of(event.user_id)).flatten();
        let login = event.kind.class == Class::LoginOk;
        let signup = event.kind.class == Class::SignupOk;
        if active.is_none() && !login && !signup {
            return;
        }
        let (tenant, none) = (keys.tenant, Symbol::EMPTY);
        let window = Window { start: settings.users_window.start(event.at), seconds: settings.users_window.seconds() };
        let dimensions = [
            (Dimension::Tenant, none, ""),
            (Dimension::Organization, keys.organization_id, event.organization_name),
            (Dimension::Connection, keys.connection, ""),
            (Dimension::Client, keys.client_id, event.client_name),
        ];
        for (dimension, key, name) in dimensions {
            if key == none && dimension != Dimension::Tenant {
                continue;
            }
            let key = Key { tenant, dimension, key };
            let row = self.row(window, key, event.at, settings.precision);
            row.events += u64::from(active.is_some());
            row.logins += u64::from(login);
            row.signups += u64::from(signup);
            row.first_at = row.first_at.min(event.at);
            row.last_at = row.last_at.max(event.at);
            row.max_lateness_ms = row.max_lateness_ms.max(event.lateness_ms);
            row.key_name.offer(event.at, name, symbols);
            if let Some(user) = active {
                let before = row.users.heap_bytes();
                row.users.insert(user);
                let grown = row.users.heap_bytes().saturating_sub(before);
                self.heap_bytes += grown;
            }
        }
    }

    /// Merges a row of the same grain, wherever it was folded.
    pub fn absorb(&mut self, row: &UsersRow<'_>, precision: Precision, symbols: &mut Symbols) {
        let window = Window { start: row.window_start, seconds: row.window_seconds };
        let key = Key { tenant: symbols.intern(row.tenant), dimension: row.dimension, key: symbols.intern(row.key) };
        let value = self.row(window, key, row.last_at, precision);
        value.key_name.offer(row.last_at, row.key_name, symbols);
        value.events += row.events;
        value.logins += row.logins;
        value.signups += row.signups;
        let before = value.users.heap_bytes();
        value.users.merge(&row.users);
        value.first_at = value.first_at.min(row.first_at);
        value.last_at = value.last_at.max(row.last_at);
        value.max_lateness_ms = value.max_lateness_ms.max(row.max_lateness_ms);
        let grown = value.users.heap_bytes().saturating_sub(before);
        self.heap_bytes += grown;
    }

    fn row(&mut self, window: Window, key: Key, at: EventTime, precision: Precision) -> &mut Value {
        self.rows.rows(window).entry(key).or_insert_with(|| {
            let users = UserSketch::new(precision);
            self.heap_bytes += size_of::<(Key, Value)>() * 8 / 7 + users.heap_bytes();
            Value {
                key_name: Latest::new(at),
                events: 0,
                logins: 0,
                signups: 0,
                users,
                first_at: at,
                last_at: at,
                max_lateness_ms: 0,
            }
        })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn rows<'a>(&'a self, symbols: &'a Symbols) -> Vec<UsersRow<'a>> {
        let ranks = symbols.ranks(self.rows.iter().flat_map(|(_, key, _)| [key.tenant, key.key]));
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_cached_key(|(window, row, _)| {
            let [tenant, key] = ranks.of([row.tenant, row.key]);
            (tenant, row.dimension, key, *window)
        });
        rows.into_iter()
            .map(|(window, key, value)| UsersRow {
                window_start: window.start,
                window_seconds: window.seconds,
                tenant: symbols.get(key.tenant),
                dimension: key.dimension,
                key: symbols.get(key.key),
                key_name: symbols.get(value.key_name.name),
                events: value.events,
                logins: value.logins,
                signups: value.signups,
                users: Cow::Borrowed(&value.users),
                first_at: value.first_at,
                last_at: value.last_at,
                max_lateness_ms: value.max_lateness_ms,
            })
            .collect()
    }
}
