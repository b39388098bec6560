//! Ghost usage: tokens a client asked for while it still had a valid one.
//!
//! A token is *avoidable* if the same tenant, client, audience, organization and scope set already had one with life left.
//! Seen two ways: *per address*, what even a cache in each calling process would have saved, if an address is one process;
//! *shared*, what one cache for all would have. The lifetime is not in the events: Auth0's default is 86,400 s.

use std::collections::BTreeMap;

use crate::partial::{Partial, TokensRow};

/// The lifetime of an API's tokens unless its settings say otherwise (`resource-servers` `token_lifetime`).
pub const DEFAULT_LIFETIME_SECONDS: i64 = 86_400;

/// How a client used its tokens for one audience, organization and scope set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    pub tenant: String,
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    pub organization_id: String,
    pub scope: String,
    pub billable: bool,
    pub issued: u64,
    /// How many it would have needed with one cache for all.
    pub needed_shared: u64,
    /// How many with a cache per address.
    pub needed_per_address: u64,
    pub addresses: u64,
    pub last_log_id: String,
}

impl TokenUse {
    /// On the cautious figure: what even a cache per address would have saved.
    pub fn avoidable(&self) -> u64 {
        self.issued.saturating_sub(self.needed_per_address)
    }

    /// As many processes that cache well would ask for as many tokens; an address may hide that many.
    pub fn equals_processes(&self) -> u64 {
        self.issued.div_ceil(self.needed_shared.max(1))
    }
}

/// Every key's use of tokens over all of `partial`, the most wasteful first.
///
/// `lifetime_seconds` says how long a token for an audience lives.
pub fn token_use(partial: &Partial, lifetime_seconds: impl Fn(&str) -> i64) -> Vec<TokenUse> {
    let rows = partial.tokens();
    let mut keys: BTreeMap<_, Vec<&TokensRow<'_>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.issued > 0) {
        let key = (row.tenant, row.client_id, row.audience, row.organization_id, row.scope);
        keys.entry(key).or_default().push(row);
    }
    let mut uses: Vec<_> = keys
        .into_iter()
        .filter_map(|((tenant, client_id, audience, organization_id, scope), rows)| {
            let lifetime_seconds = lifetime_seconds(audience);
            let last = rows.iter().max_by_key(|row| (row.last_at, row.last_log_id))?;
            let mut addresses: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
            for row in &rows {
                addresses.entry(row.ip).or_default().extend(issue_seconds(row));
            }
            let all = addresses.values().flatten().copied().collect();
            Some(TokenUse {
                tenant: tenant.to_owned(),
                client_id: client_id.to_owned(),
                client_name: last.client_name.to_owned(),
                audience: audience.to_owned(),
                organization_id: organization_id.to_owned(),
                scope: scope.to_owned(),
                billable: last.billable,
                issued: rows.iter().map(|row| row.issued).sum(),
                needed_shared: needed(all, lifetime_seconds),
                addresses: addresses.len() as u64,
                needed_per_address: addresses.into_values().map(|seconds| needed(seconds, lifetime_seconds)).sum(),
                last_log_id: last.last_log_id.to_owned(),
            })
        })
        .collect();
    uses.sort_by_key(|token_use| std::cmp::Reverse(token_use.avoidable()));
    uses
}

fn issue_seconds(row: &TokensRow<'_>) -> impl Iterator<Item = i64> {
    let start = row.window_start.ms() / 1000;
    row.issued_seconds.seconds().map(move |second| start + i64::from(second)).collect::<Vec<_>>().into_iter()
}

/// How many tokens a perfect cache would have asked for, given the seconds in which some were asked for.
fn needed(mut seconds: Vec<i64>, lifetime_seconds: i64) -> u64 {
    seconds.sort_unstable();
    let mut valid_until = i64::MIN;
    let mut needed = 0;
    for second in seconds {
        if second >= valid_until {
            needed += 1;
            valid_until = second + lifetime_seconds;
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_cache_asks_again_only_when_its_token_has_expired() {
        assert_eq!(needed(vec![120, 3660, 3730, 3840, 7380], 3600), 3);
        assert_eq!(needed(vec![120, 3660, 3830, 3840, 7380], 3600), 2);
        assert_eq!(needed(vec![7380, 120, 120], 3600), 2);
        assert_eq!(needed(vec![], 3600), 0);
    }
}
