//! M2M tokens of one tenant: for every key the seconds in which tokens were issued, and how many a perfect cache would
//! have asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use roaring::RoaringBitmap;

use super::ghost::Lately;
use super::users::entry;
use crate::event::{Day, EventTime};
use crate::partial::TokensRow;

/// Addresses kept apart per key. Beyond, those with the greatest hashes share a series in which every token counts as
/// needed, so that nobody is accused of what is not known.
pub const ADDRESSES_MAX: usize = 1024;
const USER_AGENTS_MAX: usize = 16;
/// Windows of a key of which the first token is known: two hours.
const FIRSTS_MAX: usize = 24;

/// What tokens are interchangeable within: a token for one key is of no use for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    pub client_id: String,
    pub audience: String,
    pub organization_id: String,
    /// The scope set: sorted, joined by one space.
    pub scope: String,
}

/// The tokens of one tenant.
#[derive(Default)]
pub struct Tokens {
    keys: BTreeMap<TokenKey, KeyTokens>,
    /// Refused requests by client and day.
    failed: BTreeMap<String, BTreeMap<Day, u64>>,
    /// What was found of them lately: settling and forgetting, which follow every change, forget it.
    pub(super) lately: Lately,
}

/// The tokens of one key.
pub struct KeyTokens {
    pub client_name: String,
    pub billable: bool,
    /// Event time and `log_id` of the last token.
    pub last: (EventTime, String),
    /// The first of each day.
    first_of_day: BTreeMap<Day, (EventTime, String)>,
    /// The first of each of the last windows.
    firsts: BTreeMap<u32, (EventTime, String)>,
    addresses: BTreeMap<String, Issues>,
    /// Of all addresses together.
    shared: Issues,
    /// Of the addresses beyond [`ADDRESSES_MAX`], by begin of their windows.
    crowd: BTreeMap<u32, u64>,
    crowd_from: Option<u64>,
    user_agents: BTreeMap<String, u64>,
    lifetime_seconds: u32,
}

/// Seconds since 1970 in which tokens were issued; and those in which a perfect cache would have asked.
#[derive(Default, Clone)]
pub struct Issues {
    seconds: RoaringBitmap,
    /// Tokens beyond one a second, by begin of their window.
    more: BTreeMap<u32, u64>,
    /// The longest of those windows.
    grain_seconds: u32,
    needed: Vec<u32>,
}

/// Unix seconds of an event time. The program refuses times before 2013; those after 2106 share the last second.
pub fn second(at: EventTime) -> u32 {
    u32::try_from(at.ms().div_euclid(1000).max(0)).unwrap_or(u32::MAX)
}

/// The event time at which a second begins.
pub fn time(second: u32) -> EventTime {
    EventTime::from_ms(i64::from(second) * 1000)
}

pub(super) fn seconds(period: &Range<EventTime>) -> Range<u32> {
    second(period.start)..second(period.end)
}

impl Issues {
    fn absorb(&mut self, row: &TokensRow<'_>) {
        let (start, issued) = (second(row.window_start), row.issued);
        let mut new = 0;
        let mut first_new = u32::MAX;
        for offset in row.issued_seconds.seconds() {
            let second = start.saturating_add(offset);
            if self.seconds.insert(second) {
                new += 1;
                first_new = first_new.min(second);
            }
        }
        if issued > new {
            *self.more.entry(start).or_default() += issued - new;
            self.grain_seconds = self.grain_seconds.max(row.window_seconds);
        }
        // The walk goes forward only: what it found before the first change still holds.
        self.needed.truncate(self.needed.partition_point(|second| *second < first_new));
    }

    /// Goes on with the walk from where it still holds: a perfect cache asks with the first request after its token ran out.
    fn walk(&mut self, lifetime_seconds: u32) {
        let mut next = match self.needed.last() {
            None => self.seconds.min(),
            Some(last) => self.seconds.range(last.saturating_add(lifetime_seconds)..).next(),
        };
        while let Some(second) = next {
            // At the end of time there is no second after.
            if self.needed.last() == Some(&second) {
                break;
            }
            self.needed.push(second);
            next = self.seconds.range(second.saturating_add(lifetime_seconds)..).next();
        }
    }

    /// Tokens issued in this period: to the second, but for those beyond one a second, which count where their window
    /// begins.
    pub fn issued(&self, period: &Range<u32>) -> u64 {
        if period.is_empty() {
            return 0;
        }
        self.seconds.range_cardinality(period.clone())
            + self.more.range(period.clone()).map(|(_, more)| more).sum::<u64>()
    }

    /// Tokens issued in each of the spans of `length` seconds that the period is cut into.
    pub fn issued_by(&self, period: &Range<u32>, length: u32) -> Vec<u64> {
        let mut counts = vec![0; (period.len()).div_ceil(length as usize)];
        let slot = |second: u32| ((second - period.start) / length) as usize;
        self.seconds.range(period.clone()).for_each(|second| counts[slot(second)] += 1);
        self.more.range(period.clone()).for_each(|(window, more)| counts[slot(*window)] += more);
        counts
    }

    /// Those of them that were avoidable.
    pub fn avoidable_by(&self, period: &Range<u32>, length: u32) -> Vec<u64> {
        let mut counts = self.issued_by(period, length);
        let before = |end: u32| self.needed.partition_point(|second| *second < end);
        for second in &self.needed[before(period.start)..before(period.end).max(before(period.start))] {
            let count = &mut counts[((second - period.start) / length) as usize];
            *count = count.saturating_sub(1);
        }
        counts
    }

    pub fn needed(&self, period: &Range<u32>) -> u64 {
        let before = |end: u32| self.needed.partition_point(|second| *second < end);
        before(period.end).saturating_sub(before(period.start)) as u64
    }

    pub fn avoidable(&self, period: &Range<u32>) -> u64 {
        self.issued(period).saturating_sub(self.needed(period))
    }

    /// The seconds in which tokens were issued, ascending.
    pub fn seconds(&self, period: &Range<u32>) -> impl Iterator<Item = u32> {
        self.seconds.range(period.clone())
    }

    /// How many those are.
    pub fn seconds_count(&self, period: &Range<u32>) -> u64 {
        if period.is_empty() { 0 } else { self.seconds.range_cardinality(period.clone()) }
    }

    /// The seconds of avoidable tokens, ascending.
    pub fn avoidable_seconds(&self, period: &Range<u32>) -> impl Iterator<Item = u32> {
        self.seconds(period).filter(|second| self.needed.binary_search(second).is_err())
    }

    /// The most tokens alive at once: that many processes that cache well would explain them. Those beyond one a second are
    /// spread over the seconds of their window that had any.
    pub fn peak(&self, period: &Range<u32>, lifetime_seconds: u32) -> u64 {
        let mut issues: Vec<(u32, u64)> = self.seconds(period).map(|second| (second, 1)).collect();
        for (window, more) in self.more.range(period.clone()) {
            let begin = issues.partition_point(|(second, _)| second < window);
            let end = issues.partition_point(|(second, _)| *second < window.saturating_add(self.grain_seconds));
            let count = (end - begin) as u64;
            issues[begin..end].iter_mut().zip(0..).for_each(|((_, issued), at)| {
                *issued += more / count + u64::from(at < more % count);
            });
        }
        let (mut begin, mut alive, mut peak) = (0, 0, 0);
        for (second, count) in &issues {
            alive += count;
            while issues[begin].0.saturating_add(lifetime_seconds) <= *second {
                alive -= issues[begin].1;
                begin += 1;
            }
            peak = peak.max(alive);
        }
        peak
    }

    /// The spans over which tokens can be counted: no shorter than what is known of those beyond one a second.
    pub fn grain_seconds(&self) -> u32 {
        self.grain_seconds.max(1)
    }

    fn forget_before(&mut self, day: u32) {
        self.seconds.remove_range(..day);
        self.more = self.more.split_off(&day);
        // The last one before may still be valid: the walk goes on from it.
        self.needed.drain(..self.needed.partition_point(|second| *second < day).saturating_sub(1));
    }
}

impl Tokens {
    pub(super) fn absorb(&mut self, row: &TokensRow<'_>) {
        if row.failed > 0 {
            *entry(&mut self.failed, row.client_id).entry(Day::of(row.window_start)).or_default() += row.failed;
        }
        if row.issued == 0 {
            return;
        }
        let key = TokenKey {
            client_id: row.client_id.to_owned(),
            audience: row.audience.to_owned(),
            organization_id: row.organization_id.to_owned(),
            scope: row.scope.to_owned(),
        };
        self.keys.entry(key).or_insert_with(|| KeyTokens::new(row)).absorb(row);
    }

    /// Brings every walk up to date. Queries need it after rows were absorbed.
    pub fn settle(&mut self, lifetime_seconds: impl Fn(&str) -> u32) {
        self.lately = Lately::default();
        for (key, tokens) in &mut self.keys {
            tokens.settle(lifetime_seconds(&key.audience).max(1));
        }
    }

    pub(super) fn forget_before(&mut self, day: Day) {
        self.lately = Lately::default();
        let second = second(day.start());
        self.keys.retain(|_, tokens| {
            tokens.forget_before(second);
            !tokens.shared.seconds.is_empty()
        });
        self.failed.values_mut().for_each(|days| *days = days.split_off(&day));
        self.failed.retain(|_, days| !days.is_empty());
    }

    pub fn keys(&self) -> impl Iterator<Item = (&TokenKey, &KeyTokens)> {
        self.keys.iter()
    }

    /// Refused requests by client and day; clients Auth0 does not know share a key.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &BTreeMap<Day, u64>)> {
        self.failed.iter().map(|(client, days)| (client.as_str(), days))
    }

    /// Tokens that took the place of one that ran out, at addresses that had one before the period.
    pub fn renewed(&self, period: &Range<EventTime>) -> u64 {
        let period = seconds(period);
        let is_known = |issues: &&Issues| issues.seconds.min().is_some_and(|first| first < period.start);
        let addresses = self.keys.values().flat_map(|key| key.addresses.values());
        addresses.filter(is_known).map(|issues| issues.needed(&period)).sum()
    }

    /// Tokens issued, billable or not, of all keys.
    pub fn issued(&self, period: &Range<EventTime>, billable: bool) -> u64 {
        let period = seconds(period);
        self.keys.values().filter(|key| key.billable == billable).map(|key| key.issued(&period)).sum()
    }
}

impl KeyTokens {
    fn new(row: &TokensRow<'_>) -> Self {
        Self {
            client_name: row.client_name.to_owned(),
            billable: row.billable,
            last: (row.last_at, row.last_log_id.to_owned()),
            first_of_day: BTreeMap::new(),
            firsts: BTreeMap::new(),
            addresses: BTreeMap::new(),
            shared: Issues::default(),
            crowd: BTreeMap::new(),
            crowd_from: None,
            user_agents: BTreeMap::new(),
            lifetime_seconds: 0,
        }
    }

    fn absorb(&mut self, row: &TokensRow<'_>) {
        let start = second(row.window_start);
        self.billable |= row.billable;
        if (row.last_at, row.last_log_id) >= (self.last.0, self.last.1.as_str()) {
            self.last = (row.last_at, row.last_log_id.to_owned());
            row.client_name.clone_into(&mut self.client_name);
        }
        keep_first(&mut self.first_of_day, Day::of(row.window_start), row);
        keep_first(&mut self.firsts, start, row);
        if self.firsts.len() > FIRSTS_MAX {
            self.firsts.pop_first();
        }
        if self.user_agents.len() < USER_AGENTS_MAX || self.user_agents.contains_key(row.user_agent) {
            *entry(&mut self.user_agents, row.user_agent) += row.issued;
        }
        self.shared.absorb(row);
        if self.crowd_from.is_some_and(|from| hash(row.ip) >= from) {
            *self.crowd.entry(start).or_default() += row.issued;
            return;
        }
        entry(&mut self.addresses, row.ip).absorb(row);
        if self.addresses.len() > ADDRESSES_MAX {
            self.join_crowd();
        }
    }

    /// Gives up the address with the greatest hash. Which addresses stay does not depend on the order they came in.
    fn join_crowd(&mut self) {
        let Some(ip) = self.addresses.keys().max_by_key(|ip| hash(ip)).cloned() else { return };
        let Some(issues) = self.addresses.remove(&ip) else { return };
        self.crowd_from = Some(hash(&ip));
        for second in issues.seconds.iter() {
            *self.crowd.entry(second - second % 300).or_default() += 1;
        }
        for (window, more) in issues.more {
            *self.crowd.entry(window).or_default() += more;
        }
    }

    fn settle(&mut self, lifetime_seconds: u32) {
        let is_other = std::mem::replace(&mut self.lifetime_seconds, lifetime_seconds) != lifetime_seconds;
        for issues in self.addresses.values_mut().chain([&mut self.shared]) {
            if is_other {
                issues.needed.clear();
            }
            issues.walk(lifetime_seconds);
        }
    }

    fn forget_before(&mut self, second: u32) {
        self.addresses.values_mut().for_each(|issues| issues.forget_before(second));
        self.addresses.retain(|_, issues| !issues.seconds.is_empty());
        self.shared.forget_before(second);
        self.crowd = self.crowd.split_off(&second);
        self.first_of_day = self.first_of_day.split_off(&Day::of(time(second)));
    }

    pub fn issued(&self, period: &Range<u32>) -> u64 {
        self.shared.issued(period)
    }

    /// What one cache shared by all would have asked for.
    pub fn needed_shared(&self, period: &Range<u32>) -> u64 {
        self.shared.needed(period)
    }

    /// What a cache an address would have asked for.
    pub fn needed_per_address(&self, period: &Range<u32>) -> u64 {
        self.addresses.values().map(|issues| issues.needed(period)).sum::<u64>()
            + self.crowd.range(period.clone()).map(|(_, issued)| issued).sum::<u64>()
    }

    /// What that would have saved.
    pub fn avoidable_per_address(&self, period: &Range<u32>) -> u64 {
        self.issued(period).saturating_sub(self.needed_per_address(period))
    }

    /// The first token of the days from this second's on.
    pub fn first_since(&self, second: u32) -> Option<&(EventTime, String)> {
        self.first_of_day.range(Day::of(time(second))..).next().map(|(_, first)| first)
    }

    /// The first token of the window that this second is in, unless that is long ago.
    pub fn first_from(&self, second: u32) -> Option<&(EventTime, String)> {
        let (_, first) = self.firsts.range(..=second).next_back()?;
        Some(first).filter(|_| self.firsts.first_key_value().is_some_and(|(window, _)| *window <= second))
    }

    pub fn addresses(&self) -> impl Iterator<Item = (&str, &Issues)> {
        self.addresses.iter().map(|(ip, issues)| (ip.as_str(), issues))
    }

    pub fn shared(&self) -> &Issues {
        &self.shared
    }

    /// Addresses in this period, at least.
    pub fn address_count(&self, period: &Range<u32>) -> u64 {
        self.addresses.values().filter(|issues| issues.issued(period) > 0).count() as u64
    }

    /// Whether there were more than [`ADDRESSES_MAX`].
    pub fn has_more_addresses(&self, period: &Range<u32>) -> bool {
        self.crowd.range(period.clone()).next().is_some()
    }

    /// What its requests called themselves, the most frequent first.
    pub fn user_agents(&self) -> Vec<&str> {
        let mut agents: Vec<_> = self.user_agents.iter().filter(|(agent, _)| !agent.is_empty()).collect();
        agents.sort_by_key(|(agent, issued)| (std::cmp::Reverse(**issued), agent.as_str()));
        agents.into_iter().map(|(agent, _)| agent.as_str()).collect()
    }
}

/// What was avoidable at all addresses of these keys in `period`, as if it had been asked for at one, of tokens that are valid
/// for so long. Of addresses that first asked in the period before `known`: who asks later is new, as when somebody scales
/// up. `None` if that is one address, or `expected` tokens or fewer since `looked`.
pub fn pool(
    keys: &[&KeyTokens],
    period: &Range<u32>,
    (known, looked): (u32, u32),
    valid_seconds: u32,
    expected: u64,
    grain_seconds: u32,
) -> Option<Issues> {
    let is_known = |issues: &&Issues| issues.seconds(period).next().is_some_and(|first| first < known);
    let several = || keys.iter().flat_map(|key| key.addresses.values()).filter(is_known);
    let lately = looked..period.end;
    if several().nth(1).is_none() || several().map(|issues| issues.avoidable(&lately)).sum::<u64>() <= expected {
        return None;
    }
    let mut pool = Issues { grain_seconds, ..Issues::default() };
    let mut again = |second: u32, count| *pool.more.entry(second - second % grain_seconds).or_default() += count;
    for issues in several() {
        let mut valid_until = 0;
        for second in issues.seconds(period) {
            if second >= valid_until {
                valid_until = second.saturating_add(valid_seconds);
            } else if !pool.seconds.insert(second) {
                again(second, 1);
            }
        }
        issues.more.range(period.clone()).for_each(|(window, more)| again(*window, *more));
    }
    (pool.issued(&lately) > expected).then_some(pool)
}

fn keep_first<K: Ord>(firsts: &mut BTreeMap<K, (EventTime, String)>, key: K, row: &TokensRow<'_>) {
    let first = || (row.first_at, row.first_log_id.to_owned());
    let kept = firsts.entry(key).or_insert_with(first);
    if (row.first_at, row.first_log_id) < (kept.0, kept.1.as_str()) {
        *kept = first();
    }
}

fn hash(ip: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(ip.as_bytes())
}
