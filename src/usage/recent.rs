//! Ghost usage as it begins: the last windows of a client against its own past. Where [`ghost`](super::ghost) judges a
//! period, this judges a moment, so that somebody is woken while it matters.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ghost::{Lifetime, Lifetimes, Pattern, Thresholds, pattern};
use super::tokens::{Issues, KeyTokens, TokenKey, Tokens, second};
use crate::event::EventTime;

/// Windows looked at, and how long they are, in seconds.
const WINDOWS: u32 = 2;
const WINDOW_SECONDS: u32 = 300;
/// Avoidable tokens in each of the windows, and in all of them, that are no accident any more.
const AVOIDABLE_A_WINDOW: u64 = 5;
const AVOIDABLE: u64 = 20;
/// Below this share of the tokens, or this many a window, a client caches again.
const CLEAR_RATIO: f64 = 0.2;
const CLEAR_A_WINDOW: u64 = 2;
/// What came before is looked at for so long: a day's rhythm, and two lifetimes, but no more than a week.
const PAST_SECONDS: Range<u32> = 86_400..7 * 86_400;

/// How a client's use of tokens looks at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    pub state: State,
    /// Tokens of the last two windows, ten minutes.
    pub issued: u64,
    pub needed: u64,
    /// Tokens an hour, now and in what came before.
    pub per_hour: f64,
    pub per_hour_before: f64,
    /// The first of the tokens that nothing but missing caching explains.
    pub since: Option<EventTime>,
    pub addresses: u64,
    pub user_agents: Vec<String>,
    pub lifetime: Lifetime,
    pub billable: bool,
    pub first_log_id: String,
    pub last_log_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It asks for tokens it has, and it did not before, or nothing else explains it.
    Wasting,
    Between,
    /// It asks for hardly any token it has.
    Caching,
}

/// Every client that asked for an avoidable token in the last two windows before `until`. The walks must be settled.
pub fn recent(
    tenant: &str,
    tokens: &Tokens,
    until: EventTime,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
) -> Vec<Recent> {
    let end = second(until);
    let now = end.saturating_sub(WINDOWS * WINDOW_SECONDS)..end;
    let mut clients: BTreeMap<(&str, &str), Vec<&KeyTokens>> = BTreeMap::new();
    let is_wasteful = |key: &KeyTokens| key.issued(&now) > key.needed_per_address(&now);
    for (TokenKey { client_id, audience, .. }, key) in tokens.keys().filter(|(_, key)| is_wasteful(key)) {
        clients.entry((client_id, audience)).or_default().push(key);
    }
    let look = |((client_id, audience), keys): ((&str, &str), Vec<&KeyTokens>)| {
        let lifetime = lifetimes.of(tenant, audience);
        let length = lifetime.seconds.saturating_mul(2).clamp(PAST_SECONDS.start, PAST_SECONDS.end);
        let before = now.start.saturating_sub(length)..now.start;
        let windows = [now.start..now.end - WINDOW_SECONDS, now.end - WINDOW_SECONDS..now.end];
        let sum = |of: &dyn Fn(&KeyTokens) -> u64| keys.iter().map(|key| of(key)).sum::<u64>();
        let issued = sum(&|key| key.issued(&now));
        let needed = sum(&|key| key.needed_per_address(&now));
        let avoidable =
            |window: &Range<u32>| sum(&|key| key.issued(window).saturating_sub(key.needed_per_address(window)));
        let in_each: Vec<u64> = windows.iter().map(avoidable).collect();
        let ratio = issued.saturating_sub(needed) as f64 / issued.max(1) as f64;
        let is_much = in_each.iter().sum::<u64>() >= AVOIDABLE
            && in_each.iter().all(|count| *count >= AVOIDABLE_A_WINDOW)
            && ratio >= thresholds.waste_ratio;
        let accused: Vec<&Issues> = match is_much {
            true => keys
                .iter()
                .flat_map(|key| key.addresses().map(|(_, issues)| issues))
                .filter(|issues| is_accused(issues, &now, &before, lifetime, thresholds))
                .collect(),
            false => Vec::new(),
        };
        let accused_count: u64 = accused.iter().map(|issues| issues.avoidable(&now)).sum();
        let is_little = ratio <= CLEAR_RATIO || in_each.last().is_none_or(|count| *count <= CLEAR_A_WINDOW);
        let state = match (accused_count >= AVOIDABLE, is_little) {
            (true, _) => State::Wasting,
            (_, true) => State::Caching,
            _ => State::Between,
        };
        let begin = before.start..now.end;
        let since = accused.iter().filter_map(|issues| began(issues, &begin)).min();
        let hours = f64::from(length) / 3600.0;
        let last = keys.iter().max_by_key(|key| &key.last);
        Recent {
            client_id: client_id.to_owned(),
            client_name: last.map_or_else(String::new, |key| key.client_name.clone()),
            audience: audience.to_owned(),
            state,
            issued,
            needed,
            per_hour: issued as f64 * 3600.0 / f64::from(WINDOWS * WINDOW_SECONDS),
            per_hour_before: sum(&|key| key.issued(&before)) as f64 / hours,
            since: since.map(|second| EventTime::from_ms(i64::from(second) * 1000)),
            addresses: sum(&|key| key.address_count(&now)),
            user_agents: last.map_or_else(Vec::new, |key| key.user_agents().into_iter().map(str::to_owned).collect()),
            lifetime,
            billable: keys.iter().any(|key| key.billable),
            first_log_id: keys.iter().map(|key| &key.first).min().map_or_else(String::new, |first| first.1.clone()),
            last_log_id: last.map_or_else(String::new, |key| key.last.1.clone()),
        }
    };
    clients.into_iter().map(look).collect()
}

/// Whether nothing but missing caching explains what an address does now: neither its rhythm, nor as many processes as it
/// had before, all of them starting anew.
fn is_accused(
    issues: &Issues,
    now: &Range<u32>,
    before: &Range<u32>,
    lifetime: Lifetime,
    thresholds: &Thresholds,
) -> bool {
    let counted = lifetime.counted_seconds();
    let avoidable = issues.avoidable(now);
    if avoidable == 0 {
        return false;
    }
    let processes = issues.peak(before, counted);
    let peak = issues.peak(&(before.start..now.end), counted);
    let is_more_than_a_restart = avoidable > 3 * processes + 10;
    match pattern(issues, &(before.start..now.end), lifetime, peak, thresholds) {
        Pattern::Uncached => is_more_than_a_restart || issues.needed(before) * 2 < issues.issued(before),
        // Hardly any over all that time, yet now.
        Pattern::Cached | Pattern::TooFew { .. } => processes > 0 && is_more_than_a_restart,
        Pattern::Scheduled { .. } | Pattern::Fleet { .. } => false,
    }
}

/// When an address began to ask for tokens it has: the first avoidable one after which they came in a row, less than a
/// quarter of an hour apart.
fn began(issues: &Issues, span: &Range<u32>) -> Option<u32> {
    let mut begin = None;
    let mut last = 0;
    for second in issues.avoidable_seconds(span) {
        if begin.is_none() || second - last > 900 {
            begin = Some(second);
        }
        last = second;
    }
    begin
}
