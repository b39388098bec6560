//! Ghost usage as it begins: the last windows of a client against its own past. Where [`ghost`](super::ghost) judges a
//! period, this judges a moment, so that somebody is woken while it matters.
//!
//! An address is accused once it [suddenly](super::sudden) asks for more. What was always so is no surprise: that is
//! [`ghost`](super::ghost)'s. It has ended once it was quiet for longer than chance, by how often it was quiet before, would
//! have it, or once what it does is explained.

use std::collections::BTreeMap;
use std::ops::Range;

use super::TenantUsage;
use super::ghost::{Lifetime, LifetimeFrom, Lifetimes, Thresholds};
use super::rhythm::{Pattern, is_by_the_clock, looks_even, pattern};
use super::sudden::{MENDED_SLOTS, SLOT_SECONDS, Slots};
use super::tokens::{Issues, KeyTokens, TokenKey, pool, second, time};
use crate::event::EventTime;

/// How many of the last slots are the present.
const SLOTS: usize = 2;
/// What came before is looked at for so long: a week's rhythm, and an hour for what began with it.
const PAST_SECONDS: u32 = 7 * 86_400 + 3600;
/// What is explained is so by this many lifetimes.
const EXPLAINED_LIFETIMES: u32 = 26;
/// How long something that ended is remembered.
const LOOK_BACK_SLOTS: usize = DAY_SLOTS;
const DAY_SLOTS: usize = 288;
/// Times that it broke and was mended before, of which each may hide the next: two a day.
const ROUNDS_MAX: usize = 14;
/// Slots that are looked at for quiet.
const QUIET_SLOTS: usize = 2 * LOOK_BACK_SLOTS;
/// By how much of the past it is judged how often it is quiet.
const QUIET_LOOK_BACK_SLOTS: usize = 144;

/// How a client's use of tokens looks at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Recent {
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    pub state: State,
    /// Tokens of the last ten minutes.
    pub issued: u64,
    pub needed: u64,
    /// Tokens an hour, now and in what is known from before; `None` if that is too short to tell.
    pub per_hour: f64,
    pub per_hour_before: Option<f64>,
    /// The first of the tokens that nothing but missing caching explains.
    pub since: Option<EventTime>,
    /// Avoidable tokens since then.
    pub avoidable_since: u64,
    pub addresses: u64,
    pub user_agents: Vec<String>,
    pub lifetime: Lifetime,
    pub billable: bool,
    /// Of the first window of `since`, where it is known.
    pub first_log_id: Option<String>,
    /// Unless the last token is later than the moment.
    pub last_log_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It asks for tokens it has, and it did not before, or nothing else explains it.
    Wasting,
    Between,
    /// It asks for hardly any token it has, or for no more than is explained.
    Caching,
    /// It never asked for so many that anything could be sudden.
    Few,
}

/// Every client that asked for an avoidable token in the last hours before `until`. The walks must be settled.
pub fn recent(
    tenant: &str,
    usage: &TenantUsage,
    until: EventTime,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
) -> Vec<Recent> {
    let end = second(until);
    let looked = end.saturating_sub(LOOK_BACK_SLOTS as u32 * SLOT_SECONDS)..end;
    let known_since = usage.activity.begin().map_or(0, second);
    let is_wasteful = |key: &KeyTokens| key.avoidable_per_address(&looked) > 0;
    let mut clients: BTreeMap<(&str, &str), Vec<&KeyTokens>> = BTreeMap::new();
    for (TokenKey { client_id, audience, .. }, key) in usage.tokens.keys().filter(|(_, key)| is_wasteful(key)) {
        clients.entry((client_id, audience)).or_default().push(key);
    }
    let slot = |at: usize| usage.activity.at(time(end.saturating_sub((QUIET_SLOTS - at) as u32 * SLOT_SECONDS)));
    let heard: Vec<bool> = (0..QUIET_SLOTS).map(|at| slot(at) > 0).collect();
    let look = |((client_id, audience), keys): ((&str, &str), Vec<&KeyTokens>)| {
        let moment = Moment { end, known_since, heard: &heard, lifetime: lifetimes.of(tenant, audience), thresholds };
        moment.of(client_id, audience, &keys)
    };
    clients.into_iter().map(look).collect()
}

/// When one client and audience is looked at, and by what measure.
struct Moment<'a> {
    /// The end of the last window.
    end: u32,
    /// The tenant's first event: before that nothing is known.
    known_since: u32,
    /// The slots of [`QUIET_SLOTS`] in which the tenant had any event.
    heard: &'a [bool],
    lifetime: Lifetime,
    thresholds: &'a Thresholds,
}

impl Moment<'_> {
    fn of(&self, client_id: &str, audience: &str, keys: &[&KeyTokens]) -> Recent {
        let now = self.end.saturating_sub(SLOTS as u32 * SLOT_SECONDS)..self.end;
        let sum = |of: &dyn Fn(&KeyTokens) -> u64| keys.iter().map(|key| of(key)).sum::<u64>();
        let issued = sum(&|key| key.issued(&now));
        let needed = sum(&|key| key.needed_per_address(&now)).min(issued);
        let avoidable = self.avoidable_by_slot(keys);
        // Of the others there was never enough for anything to be sudden.
        let counted_seconds = self.lifetime.surely_counted_seconds();
        let pool = self.pool(keys, counted_seconds);
        let looked = |issues| Some((issues, self.slots(issues, counted_seconds)?));
        let addresses = keys.iter().flat_map(|key| key.addresses()).map(|(_, issues)| issues);
        let alone: Vec<(&Issues, Slots)> = addresses.filter_map(looked).collect();
        // What none of them shows by itself all may show together.
        let together: Vec<(&Issues, Slots)> = pool.as_ref().and_then(looked).into_iter().collect();
        let since = |of: &dyn Fn(&Issues, &Slots) -> Option<u32>| {
            let found_alone = begun(&alone, of);
            if found_alone.is_empty() { begun(&together, of) } else { found_alone }
        };
        let mut accused = since(&|issues, slots| self.sudden_since(issues, slots));
        let mut busy = alone.iter().chain(&together).peekable();
        let state = if !accused.is_empty() {
            State::Wasting
        } else if is_quiet(&avoidable, self.heard) {
            State::Caching
        } else if busy.peek().is_none() {
            State::Few
        } else if busy.all(|(issues, slots)| self.is_excused(issues, slots)) {
            State::Caching
        } else {
            State::Between
        };
        if state == State::Between {
            // What goes on for long is sudden no more, and began all the same.
            accused = since(&|issues, slots| self.last_sudden(issues, slots).map(|(begin, _)| begin));
        }
        let since = accused.iter().map(|(_, since)| *since).min();
        let before = self.past().start..since.unwrap_or(now.start);
        // As it is now, and not as it was when it began.
        let lately = since.map_or(now.start, |since| since.clamp(now.start, self.end.saturating_sub(60)))..self.end;
        let per_hour = |period: &Range<u32>| {
            sum(&|key| key.issued(period)) as f64 * 3600.0 / f64::from(period.end.saturating_sub(period.start).max(1))
        };
        let hours = f64::from(before.end.saturating_sub(before.start)) / 3600.0;
        let last = keys.iter().max_by_key(|key| &key.last);
        Recent {
            client_id: client_id.to_owned(),
            client_name: last.map_or_else(String::new, |key| key.client_name.clone()),
            audience: audience.to_owned(),
            state,
            issued,
            needed,
            per_hour: per_hour(&lately),
            per_hour_before: (hours >= 1.0).then(|| per_hour(&before)),
            since: since.map(time),
            avoidable_since: accused.iter().map(|(issues, since)| issues.avoidable(&(*since..self.end))).sum(),
            addresses: sum(&|key| key.address_count(&now)),
            user_agents: last.map_or_else(Vec::new, |key| key.user_agents().into_iter().map(str::to_owned).collect()),
            lifetime: self.lifetime,
            billable: keys.iter().any(|key| key.billable),
            first_log_id: since
                .and_then(|since| keys.iter().filter_map(|key| key.first_from(since)).min())
                .map(|first| first.1.clone()),
            last_log_id: last.filter(|key| second(key.last.0) < self.end).map(|key| key.last.1.clone()),
        }
    }

    /// What was avoidable at all addresses, organizations and scope sets together, if that is so much that it could be
    /// sudden.
    fn pool(&self, keys: &[&KeyTokens], counted_seconds: u32) -> Option<Issues> {
        let lately = self.end.saturating_sub(counted_seconds.clamp(3600, 43_200));
        let expected = self.thresholds.processes_per_address;
        pool(keys, &self.past(), (lately, lately), counted_seconds, expected, SLOT_SECONDS)
    }

    /// What is looked at: as far back as it is known, in whole slots.
    fn past(&self) -> Range<u32> {
        let slots = self.end.saturating_sub(self.known_since).min(PAST_SECONDS) / SLOT_SECONDS;
        self.end - slots * SLOT_SECONDS..self.end
    }

    /// Avoidable tokens in each of the last [`QUIET_SLOTS`].
    fn avoidable_by_slot(&self, keys: &[&KeyTokens]) -> Vec<u64> {
        let period = self.end.saturating_sub(QUIET_SLOTS as u32 * SLOT_SECONDS)..self.end;
        let mut sum = vec![0; period.len().div_ceil(SLOT_SECONDS as usize)];
        for (_, issues) in keys.iter().flat_map(|key| key.addresses()) {
            sum.iter_mut().zip(issues.avoidable_by(&period, SLOT_SECONDS)).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Since when an address suddenly asks for more.
    fn sudden_since(&self, issues: &Issues, slots: &Slots) -> Option<u32> {
        let since = self.sudden_by(issues, slots, self.lifetime.surely_counted_seconds())?;
        if is_by_the_clock(issues, &(since..self.end)) {
            return None;
        }
        if self.lifetime.from != LifetimeFrom::Default {
            return Some(since);
        }
        // What is renewed earlier than is assumed lives shorter: that is a fleet's measure then.
        let spans = [self.past().start..since, since..self.end];
        let shorter = spans.iter().find_map(|span| match pattern(issues, span, self.lifetime, self.thresholds) {
            Pattern::ShorterLived { seconds } if seconds < self.lifetime.surely_counted_seconds() => Some(seconds),
            _ => None,
        });
        match shorter {
            Some(seconds) => self.sudden_by(issues, &self.slots(issues, seconds)?, seconds),
            None => Some(since),
        }
    }

    fn sudden_by(&self, issues: &Issues, slots: &Slots, counted_seconds: u32) -> Option<u32> {
        let begin = slots.begin(slots.count())?;
        let since = self.past().start + begin as u32 * SLOT_SECONDS..self.end;
        let since = issues.avoidable_seconds(&since).next()?..self.end;
        is_even(issues, &(since.start.max(self.end.saturating_sub(counted_seconds.max(SLOT_SECONDS)))..self.end))
            .then_some(since.start)
    }

    /// Its tokens by slot, without earlier times in which they were wasted: who breaks again is measured by how it was
    /// before. `None` if there were never enough.
    fn slots(&self, issues: &Issues, counted_seconds: u32) -> Option<Slots> {
        let past = self.past();
        let expected = self.thresholds.processes_per_address;
        if issues.issued(&past) <= expected {
            return None;
        }
        let mut slots = Slots::new(issues.issued_by(&past, SLOT_SECONDS), counted_seconds, expected);
        if !slots.is_much() {
            return None;
        }
        let at = |slot: usize| past.start + slot as u32 * SLOT_SECONDS;
        let rate = |span: &Range<u32>| issues.issued(span) as f64 / f64::from(span.end - span.start);
        let is_waste = |episode: &Range<usize>| {
            let span = at(episode.start)..at(episode.end);
            // What was started would have renewed within a lifetime.
            let after = span.end..span.end.saturating_add(self.lifetime.seconds / 10 * 11 + SLOT_SECONDS);
            let is_gone = after.end <= self.end && rate(&after) * 5.0 <= rate(&span);
            let found = pattern(issues, &span, self.lifetime, self.thresholds);
            let is_excuse = || found.is_excuse() || looks_even(issues, &span, self.lifetime.seconds);
            found.is_waste() || is_gone && !is_excuse()
        };
        let is_over = |episode: &Range<usize>, slots: &Slots| episode.end + MENDED_SLOTS < slots.count();
        // Again: beside the first of several the others look usual.
        for _ in 0..ROUNDS_MAX {
            let over = slots.episodes(MENDED_SLOTS).into_iter();
            let over: Vec<_> = over.filter(|episode| is_over(episode, &slots) && is_waste(episode)).collect();
            if over.is_empty() {
                break;
            }
            slots = slots.without(&over);
        }
        Some(slots)
    }

    /// When something sudden began last, and until when it was sudden.
    fn last_sudden(&self, issues: &Issues, slots: &Slots) -> Option<(u32, u32)> {
        let past = self.past();
        let at = |slot: usize| past.start + slot as u32 * SLOT_SECONDS;
        let (begin, end) = (0..=slots.count()).rev().find_map(|end| Some((slots.begin(end)?, end)))?;
        Some((issues.avoidable_seconds(&(at(begin)..self.end)).next()?, at(end)))
    }

    /// Whether what an address did lately, or since it last asked for more suddenly, is explained.
    fn is_excused(&self, issues: &Issues, slots: &Slots) -> bool {
        let past = self.past();
        let lifetimes = |count: u32| self.lifetime.seconds.saturating_mul(count).clamp(3 * 3600, PAST_SECONDS);
        let earliest = past.start.max(self.end.saturating_sub(lifetimes(EXPLAINED_LIFETIMES)));
        let sudden = self.last_sudden(issues, slots).map(|(_, end)| end).filter(|end| *end >= earliest);
        let since = sudden.unwrap_or(earliest);
        // So soon after nothing is known of what came.
        let known_after = match self.lifetime.from {
            LifetimeFrom::Default => self.lifetime.surely_counted_seconds(),
            LifetimeFrom::Setting | LifetimeFrom::TenantConfiguration => self.lifetime.seconds.saturating_mul(2),
        };
        if sudden.is_some() && self.end - since < known_after {
            return false;
        }
        let is_excuse = |from: u32| pattern(issues, &(from..self.end), self.lifetime, self.thresholds).is_excuse();
        is_excuse(since) || is_excuse(since.max(self.end.saturating_sub(lifetimes(3))))
    }
}

/// Those of which something began, and when.
fn begun<'a>(among: &[(&'a Issues, Slots)], of: &dyn Fn(&Issues, &Slots) -> Option<u32>) -> Vec<(&'a Issues, u32)> {
    among.iter().filter_map(|(issues, slots)| Some((*issues, of(issues, slots)?))).collect()
}

/// Whether tokens come evenly, until now: in each of five parts a quarter of its share. A burst does not. Seconds with
/// tokens are counted: of more than one a second only the window is known.
fn is_even(issues: &Issues, span: &Range<u32>) -> bool {
    const PARTS: u32 = 5;
    let length = span.end - span.start;
    let part = |at: u32| span.start + length * at / PARTS..span.start + length * (at + 1) / PARTS;
    let total = issues.seconds_count(span);
    // The last minute has half of its share, so that what has just ended is over.
    let last_minute = issues.seconds_count(&(span.end - 60.min(length)..span.end));
    let goes_on = length > 1500 || last_minute * 2 * u64::from(length) >= total * 60;
    goes_on && (0..PARTS).all(|at| issues.seconds_count(&part(at)) * 4 * u64::from(PARTS) >= total)
}

/// Whether a client has been quiet for so long that it has ended: for longer than chance, by how many of its slots were
/// quiet before, would have once in a hundred thousand times. Slots in which it paused a day before do not count, nor
/// those in which nothing at all was heard of a tenant that is always heard.
fn is_quiet(avoidable: &[u64], heard: &[bool]) -> bool {
    const BY_CHANCE: f64 = 1e-5;
    let level = |slots: &[u64]| {
        let (sum, squares) = slots.iter().fold((0, 0), |(sum, squares), count| (sum + count, squares + count * count));
        // What the slot of a token has, on average.
        squares.checked_div(sum).unwrap_or(0)
    };
    // A fifth of what it was.
    let quiet = level(avoidable) / 5;
    let is_active = |count: &u64| *count > quiet;
    let Some(last) = avoidable.iter().rposition(is_active) else { return true };
    let paused = |slot: &usize| {
        let Some(before) = slot.checked_sub(DAY_SLOTS).filter(|before| *before < last) else { return false };
        let begin = avoidable[..=before].iter().rposition(is_active);
        let end = avoidable[before..=last].iter().position(is_active).map(|after| before + after);
        begin.zip(end).is_some_and(|(begin, end)| begin < end && end - begin < DAY_SLOTS)
    };
    let day_before = heard[..=last].iter().rev().take(DAY_SLOTS);
    let is_always_heard = day_before.filter(|heard| **heard).count() * 10 >= DAY_SLOTS * 9;
    let is_known = |slot: &usize| heard[*slot] || !is_always_heard;
    let silent = (last + 1..avoidable.len()).filter(|slot| is_known(slot) && !paused(slot)).count();
    let looked = &avoidable[(last + 1).saturating_sub(QUIET_LOOK_BACK_SLOTS)..=last];
    let first = looked.iter().position(is_active).unwrap_or(0);
    let active = looked.iter().filter(|count| is_active(count)).count() as f64;
    let share = (active + 1.0) / (looked.len() - first + 2) as f64;
    let enough = BY_CHANCE.ln() / (1.0 - share).ln();
    silent as f64 >= enough.min(QUIET_LOOK_BACK_SLOTS as f64)
}
