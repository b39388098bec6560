//! `m2m_tokens`: tokens issued by the client credentials exchange, with the seconds in which they were issued.

use std::borrow::Cow;

use super::symbols::{Symbol, Symbols};
use super::windows::{Window, Windows};
use super::{EventKeys, FoldSettings, Latest, UNRECOGNISED};
use crate::event::{Class, EventTime, LogEvent};

/// A bit per second of a window, in which at least one token was issued: bit `n % 8` of byte `n / 8` is second `n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedSeconds(Box<[u8]>);

impl IssuedSeconds {
    pub fn new(window_seconds: u32) -> Self {
        Self(vec![0; (window_seconds as usize).div_ceil(8)].into_boxed_slice())
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub fn set(&mut self, second: u32) {
        if let Some(byte) = self.0.get_mut(second as usize / 8) {
            *byte |= 1 << (second % 8);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(byte, other)| *byte |= other);
    }

    /// The seconds set, ascending, counted from the window's start.
    pub fn seconds(&self) -> impl Iterator<Item = u32> {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(at, byte)| (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| at as u32 * 8 + bit))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One row of `m2m_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensRow<'a> {
    pub window_start: EventTime,
    pub window_seconds: u32,
    pub tenant: &'a str,
    pub client_id: &'a str,
    pub audience: &'a str,
    pub organization_id: &'a str,
    /// The scope set: sorted, joined by one space.
    pub scope: &'a str,
    pub ip: &'a str,
    /// As the latest event has them.
    pub client_name: &'a str,
    pub user_agent: &'a str,
    pub issued: u64,
    pub failed: u64,
    pub issued_seconds: Cow<'a, IssuedSeconds>,
    pub billable: bool,
    pub first_at: EventTime,
    pub last_at: EventTime,
    pub first_log_id: &'a str,
    pub last_log_id: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tenant: Symbol,
    client_id: Symbol,
    audience: Symbol,
    organization_id: Symbol,
    scope: Symbol,
    ip: Symbol,
}

impl Key {
    /// In the order in which rows are sorted.
    fn symbols(&self) -> [Symbol; 6] {
        [self.tenant, self.client_id, self.audience, self.organization_id, self.scope, self.ip]
    }
}

struct Value {
    client_name: Latest,
    user_agent: Latest,
    issued: u64,
    failed: u64,
    issued_seconds: IssuedSeconds,
    billable: bool,
    first_at: EventTime,
    last_at: EventTime,
    first_log_id: String,
    last_log_id: String,
}

#[derive(Default)]
pub(super) struct Tokens {
    rows: Windows<Key, Value>,
    pub heap_bytes: usize,
}

impl Tokens {
    pub fn fold(&mut self, event: &LogEvent<'_>, keys: &EventKeys, settings: &FoldSettings, symbols: &mut Symbols) {
        let is_issue = match event.kind.class {
            Class::M2mOk => true,
            Class::M2mFail => false,
            _ => return,
        };
        let window_start = settings.tokens_window.start(event.at);
        let second = (event.at.since_ms(window_start) / 1000) as u32;
        let mut row = TokensRow {
            window_start,
            window_seconds: settings.tokens_window.seconds(),
            tenant: event.tenant,
            client_id: event.client_id,
            audience: event.audience,
            organization_id: event.organization_id,
            scope: event.scope,
            ip: event.ip,
            client_name: event.client_name,
            user_agent: event.user_agent,
            issued: 1,
            failed: 0,
            issued_seconds: Cow::Owned(IssuedSeconds(Box::default())),
            billable: is_billable(event.audience),
            first_at: event.at,
            last_at: event.at,
            first_log_id: event.log_id,
            last_log_id: event.log_id,
        };
        if !is_issue {
            // Whoever can reach the token endpoint chooses every value of a refused request. Auth0 adds the name
            // of a client it knows; all others share one key.
            row.client_id = if event.client_name.is_empty() { UNRECOGNISED } else { event.client_id };
            (row.audience, row.organization_id, row.scope, row.ip, row.user_agent) = ("", "", "", "", "");
            (row.issued, row.failed, row.billable) = (0, 1, false);
            return self.absorb(&row, symbols);
        }
        // Of an issue they are checked, and so as the event has them.
        let key = Key {
            tenant: keys.tenant,
            client_id: keys.client_id,
            audience: symbols.intern(row.audience),
            organization_id: keys.organization_id,
            scope: symbols.intern(row.scope),
            ip: symbols.intern(row.ip),
        };
        self.add(key, &row, Some(second), symbols);
    }

    /// Merges a row of the same grain, wherever it was folded.
    pub fn absorb(&mut self, row: &TokensRow<'_>, symbols: &mut Symbols) {
        let key = Key {
            tenant: symbols.intern(row.tenant),
            client_id: symbols.intern(row.client_id),
            audience: symbols.intern(row.audience),
            organization_id: symbols.intern(row.organization_id),
            scope: symbols.intern(row.scope),
            ip: symbols.intern(row.ip),
        };
        self.add(key, row, None, symbols);
    }

    /// A token issued within `second` of the window, or a row of any.
    fn add(&mut self, key: Key, row: &TokensRow<'_>, second: Option<u32>, symbols: &mut Symbols) {
        let window = Window { start: row.window_start, seconds: row.window_seconds };
        let value = self.rows.rows(window).entry(key).or_insert_with(|| {
            let issued_seconds = IssuedSeconds::new(row.window_seconds);
            self.heap_bytes += size_of::<(Key, Value)>() * 8 / 7
                + issued_seconds.0.len()
                + row.first_log_id.len()
                + row.last_log_id.len();
            Value {
                client_name: Latest::new(row.last_at),
                user_agent: Latest::new(row.last_at),
                issued: 0,
                failed: 0,
                issued_seconds,
                billable: row.billable,
                first_at: row.first_at,
                last_at: row.last_at,
                first_log_id: row.first_log_id.to_owned(),
                last_log_id: row.last_log_id.to_owned(),
            }
        });
        value.client_name.offer(row.last_at, row.client_name, symbols);
        value.user_agent.offer(row.last_at, row.user_agent, symbols);
        // A refused request says nothing of what is billed.
        value.billable |= row.billable;
        value.issued += row.issued;
        value.failed += row.failed;
        match second {
            Some(second) => value.issued_seconds.set(second),
            None => value.issued_seconds.merge(&row.issued_seconds),
        }
        if (row.first_at, row.first_log_id) < (value.first_at, value.first_log_id.as_str()) {
            value.first_at = row.first_at;
            row.first_log_id.clone_into(&mut value.first_log_id);
        }
        if (row.last_at, row.last_log_id) > (value.last_at, value.last_log_id.as_str()) {
            value.last_at = row.last_at;
            row.last_log_id.clone_into(&mut value.last_log_id);
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn rows<'a>(&'a self, symbols: &'a Symbols) -> Vec<TokensRow<'a>> {
        let ranks = symbols.ranks(self.rows.iter().flat_map(|(_, key, _)| key.symbols()));
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_cached_key(|(window, key, _)| (ranks.of(key.symbols()), *window));
        rows.into_iter()
            .map(|(window, key, value)| TokensRow {
                window_start: window.start,
                window_seconds: window.seconds,
                tenant: symbols.get(key.tenant),
                client_id: symbols.get(key.client_id),
                audience: symbols.get(key.audience),
                organization_id: symbols.get(key.organization_id),
                scope: symbols.get(key.scope),
                ip: symbols.get(key.ip),
                client_name: symbols.get(value.client_name.name),
                user_agent: symbols.get(value.user_agent.name),
                issued: value.issued,
                failed: value.failed,
                issued_seconds: Cow::Borrowed(&value.issued_seconds),
                billable: value.billable,
                first_at: value.first_at,
                last_at: value.last_at,
                first_log_id: &value.first_log_id,
                last_log_id: &value.last_log_id,
            })
            .collect()
    }
}

/// Whether tokens for `audience` count toward the M2M quota: all but those for Auth0's own APIs on the tenant's
/// canonical domain. The Management API is documented; the other paths are by Auth0's naming, not confirmed.
fn is_billable(audience: &str) -> bool {
    let Some((host, path)) = audience.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return true;
    };
    !(host.ends_with(".auth0.com") && matches!(path.trim_end_matches('/'), "api/v2" | "userinfo" | "mfa" | "me"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_auth0s_own_audiences_are_free() {
        for own in ["https://acme.eu.auth0.com/api/v2/", "https://acme.auth0.com/userinfo", "https://a.auth0.com/mfa/"]
        {
            assert!(!is_billable(own), "{own}");
        }
        for billable in
            ["", "https://api.acme.com/", "https://api.acme.com/api/v2/", "urn:acme", "https://a.auth0.com/x"]
        {
            assert!(is_billable(billable), "{billable}");
        }
    }

    #[test]
    fn a_refused_request_and_an_issue_of_one_key_are_billable_in_either_order() {
        let at = EventTime::from_ms(1_790_000_100_000);
        let row = |issued, failed, billable| TokensRow {
            window_start: at,
            window_seconds: 300,
            tenant: "acme",
            client_id: "c",
            audience: "",
            organization_id: "",
            scope: "",
            ip: "",
            client_name: "",
            user_agent: "",
            issued,
            failed,
            issued_seconds: Cow::Owned(IssuedSeconds::new(300)),
            billable,
            first_at: at,
            last_at: at,
            first_log_id: "1",
            last_log_id: "1",
        };
        for rows in [[row(1, 0, true), row(0, 1, false)], [row(0, 1, false), row(1, 0, true)]] {
            let (mut tokens, mut symbols) = (Tokens::default(), Symbols::default());
            rows.iter().for_each(|row| tokens.absorb(row, &mut symbols));
            let merged = tokens.rows(&symbols);
            assert_eq!((merged.len(), merged[0].issued, merged[0].failed, merged[0].billable), (1, 1, 1, true));
        }
    }

    #[test]
    fn issued_seconds_are_kept_to_the_second() {
        let mut seconds = IssuedSeconds::new(300);
        [0, 7, 8, 299].into_iter().for_each(|second| seconds.set(second));
        let mut other = IssuedSeconds::new(300);
        other.set(150);
        seconds.merge(&other);
        assert_eq!(seconds.seconds().collect::<Vec<_>>(), [0, 7, 8, 150, 299]);
        assert_eq!(seconds.as_bytes().len(), 38);
    }
}
