//! Ghost usage: tokens a client asked for while it still had a valid one.
//!
//! A token is *avoidable* if the same tenant, client, audience, organization and scope set already had one with life left.
//! Seen two ways: *per address*, what even a cache in each calling process would have saved, if an address is one process;
//! *shared*, what one cache for all would have. Clients that renew early are not wasteful: a token counts as needed once
//! its predecessor has less than the leeway left.
//!
//! An address can hide a fleet (NAT), and a job that starts every hour has no memory of the hour before. So a client is
//! accused only on the cautious figure, per address, and only of what neither a fleet of processes that cache well nor a
//! job that runs by the clock explains; [`rhythm`](super::rhythm) says how these are told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::rhythm::{Pattern, are_in_bursts, is_by_chance, is_scattered, looks_even, parts, pattern};
use super::sudden::{QUIET_SLOTS, SLOT_SECONDS, Slots};
use super::tokens::{ADDRESSES_MAX, Issues, KeyTokens, TokenKey, Tokens, pool, seconds, time};
use crate::event::EventTime;

/// The lifetime of an API's tokens unless its settings say otherwise (Auth0's `resource-servers`, `token_lifetime`).
pub const DEFAULT_LIFETIME_SECONDS: u32 = 86_400;
/// The longest lifetime Auth0 allows.
pub const LIFETIME_SECONDS_MAX: u32 = 2_592_000;
/// How much of a lifetime may be left when a client renews.
pub const DEFAULT_LEEWAY_PERCENT: u32 = 10;

/// More processes than this are started an hour, at one address, by hardly anybody.
const STARTED_AN_HOUR: f64 = 360.0;
/// What asks again sooner has no cache, more likely than one that forgets.
const CACHES_SECONDS_MIN: u32 = 120;

/// How long the tokens of each audience live, and from where that is known.
#[derive(Debug, Clone, Default)]
pub struct Lifetimes {
    /// By audience, from the settings.
    pub by_setting: BTreeMap<String, u32>,
    /// By tenant and audience, from the tenant's configuration.
    pub by_tenant: BTreeMap<(String, String), u32>,
    /// Instead of Auth0's default.
    pub default_seconds: Option<u32>,
    pub leeway_percent: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub seconds: u32,
    pub from: LifetimeFrom,
    leeway_percent: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeFrom {
    Setting,
    TenantConfiguration,
    Default,
}

impl LifetimeFrom {
    pub fn name(self) -> &'static str {
        match self {
            Self::Setting => "from the settings",
            Self::TenantConfiguration => "from the tenant's configuration",
            Self::Default => "assumed: the events do not tell, set it in [ghosts.lifetimes]",
        }
    }
}

impl Lifetimes {
    /// In this order: the setting, the tenant's configuration, the default.
    pub fn of(&self, tenant: &str, audience: &str) -> Lifetime {
        let configured = || self.by_tenant.get(&(tenant.to_owned(), audience.to_owned()));
        let (seconds, from) = match self.by_setting.get(audience) {
            Some(seconds) => (*seconds, LifetimeFrom::Setting),
            None => match configured() {
                Some(seconds) => (*seconds, LifetimeFrom::TenantConfiguration),
                None => (self.default_seconds.unwrap_or(DEFAULT_LIFETIME_SECONDS), LifetimeFrom::Default),
            },
        };
        Lifetime { seconds, from, leeway_percent: self.leeway_percent.unwrap_or(DEFAULT_LEEWAY_PERCENT) }
    }
}

impl Lifetime {
    /// For how long a token makes another one avoidable: its life but for the leeway.
    pub fn counted_seconds(self) -> u32 {
        (u64::from(self.seconds) * u64::from(100 - self.leeway_percent.min(99)) / 100).max(1) as u32
    }

    /// The same where somebody is woken by it: where nobody said how long it lives, no longer than most do.
    pub fn surely_counted_seconds(self) -> u32 {
        const ASSUMED_MAX: u32 = 3600;
        match self.from {
            LifetimeFrom::Default => Self { seconds: self.seconds.min(ASSUMED_MAX), ..self }.counted_seconds(),
            LifetimeFrom::Setting | LifetimeFrom::TenantConfiguration => self.counted_seconds(),
        }
    }
}

/// What is asked of a finding before anybody is accused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Avoidable tokens a day, on the cautious figure.
    pub avoidable_per_day: f64,
    /// Their share of all that were issued.
    pub waste_ratio: f64,
    /// Processes that may hide behind one address. Up to so many tokens alive at once, only their rhythm accuses.
    pub processes_per_address: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { avoidable_per_day: 100.0, waste_ratio: 0.5, processes_per_address: 50 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    CachesWell,
    CachesPerProcess,
    CachesPartly,
    DoesNotCache,
    /// It was caching until then.
    StoppedCaching {
        at: EventTime,
    },
}

impl Verdict {
    pub fn text(self) -> String {
        match self {
            Self::CachesWell => "caches well".to_owned(),
            Self::CachesPerProcess => "caches per process only".to_owned(),
            Self::CachesPartly => "caches partly".to_owned(),
            Self::DoesNotCache => "does not cache".to_owned(),
            Self::StoppedCaching { at } => format!("was caching until {at}"),
        }
    }

    /// Whether it is an accusation.
    pub fn is_ghost(self) -> bool {
        matches!(self, Self::CachesPartly | Self::DoesNotCache | Self::StoppedCaching { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    Low,
    Medium,
    High,
}

impl Confidence {
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How a client used its tokens for one audience, over all organizations and scope sets: each of those needs tokens of its
/// own, and is walked by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenUse {
    pub tenant: String,
    pub client_id: String,
    pub client_name: String,
    pub audience: String,
    /// Organizations and scope sets with tokens of their own.
    pub keys: u64,
    pub billable: bool,
    pub issued: u64,
    /// With a cache an address.
    pub needed_per_address: u64,
    /// With one cache for all.
    pub needed_shared: u64,
    /// Begin of the period.
    pub from: EventTime,
    /// What a cache an address would have saved in the last day of it.
    pub avoidable_last_day: u64,
    /// What nothing but missing caching explains, of the tokens issued.
    pub accused: u64,
    /// All of those came suddenly, in some hours; none is a rhythm's.
    pub is_sudden: bool,
    /// When the last of those was issued.
    pub last_accused_at: Option<EventTime>,
    /// Since when it asks for hardly any of them, if it does.
    pub mended_at: Option<EventTime>,
    /// The most tokens alive at once: as many processes that cache well would ask for as many tokens.
    pub equals_processes: u64,
    pub addresses: u64,
    pub user_agents: Vec<String>,
    /// Between one second with tokens and the next.
    pub median_spacing_seconds: Option<u32>,
    pub lifetime: Lifetime,
    pub verdict: Verdict,
    pub confidence: Confidence,
    /// In one sentence, why it was judged so.
    pub explanation: String,
    /// In the period, to the day.
    pub first_at: EventTime,
    pub last_at: EventTime,
    pub first_log_id: String,
    pub last_log_id: String,
}

impl TokenUse {
    /// On the cautious figure: what even a cache an address would have saved.
    pub fn avoidable(&self) -> u64 {
        self.issued.saturating_sub(self.needed_per_address)
    }

    /// Its share of all that were issued.
    pub fn waste_ratio(&self) -> f64 {
        self.avoidable() as f64 / self.issued.max(1) as f64
    }

    /// What to do, for the program its requests name.
    pub fn fix(&self) -> String {
        fix(&self.user_agents, &self.audience, self.verdict)
    }
}

/// Every client's use of tokens in a period, the most wasteful first. The walks must be settled.
pub fn token_use(
    tenant: &str,
    tokens: &Tokens,
    period: &Range<EventTime>,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
) -> Vec<TokenUse> {
    uses(tenant, tokens, lifetimes, thresholds, 0.0, |_| seconds(period))
}

/// The same of the last hundred lifetimes before the last half hour that is over by `until`, but of no less and no more than
/// `length`, in milliseconds; only of those with half of what would be too much.
pub fn token_use_lately(
    tenant: &str,
    tokens: &Tokens,
    until: EventTime,
    length: Range<i64>,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
) -> Arc<[TokenUse]> {
    /// What needs hours to be seen need not be looked for, over days, every few minutes.
    const EVERY_MS: i64 = 1_800_000;
    let until = EventTime::from_ms(until.ms() - until.ms().rem_euclid(EVERY_MS));
    tokens.lately.of((until, *thresholds), || {
        let of = |lifetime: Lifetime| {
            let ms = (i64::from(lifetime.seconds) * 100_000).clamp(length.start, length.end);
            seconds(&(EventTime::from_ms(until.ms() - ms)..until))
        };
        uses(tenant, tokens, lifetimes, thresholds, thresholds.avoidable_per_day / 2.0, of).into()
    })
}

/// What was found lately of a tenant's tokens, until there are others or lifetimes change: whoever judges one window after
/// the other asks again and again.
#[derive(Default)]
pub struct Lately(Mutex<Option<Found>>);

struct Found {
    by: (EventTime, Thresholds),
    uses: Arc<[TokenUse]>,
}

impl Lately {
    fn of(&self, by: (EventTime, Thresholds), find: impl FnOnce() -> Arc<[TokenUse]>) -> Arc<[TokenUse]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(found) if found.by == by => Arc::clone(&found.uses),
            _ => Arc::clone(&known.insert(Found { by, uses: find() }).uses),
        }
    }
}

fn uses(
    tenant: &str,
    tokens: &Tokens,
    lifetimes: &Lifetimes,
    thresholds: &Thresholds,
    avoidable_min: f64,
    span: impl Fn(Lifetime) -> Range<u32>,
) -> Vec<TokenUse> {
    let mut clients: BTreeMap<(&str, &str), Vec<(&TokenKey, &KeyTokens)>> = BTreeMap::new();
    for (key, of_key) in tokens.keys() {
        clients.entry((&key.client_id, &key.audience)).or_default().push((key, of_key));
    }
    let judge = |((client_id, audience), mut keys): ((&str, &str), Vec<(&TokenKey, &KeyTokens)>)| {
        let lifetime = lifetimes.of(tenant, audience);
        let span = span(lifetime);
        keys.retain(|(_, key)| key.issued(&span) > 0);
        let avoidable = keys.iter().map(|(_, key)| key.avoidable_per_address(&span));
        let is_shown = !keys.is_empty() && avoidable.sum::<u64>() as f64 >= avoidable_min;
        is_shown.then(|| Judged::new(&keys, &span, lifetime, thresholds).into_use(tenant, client_id, audience, &keys))
    };
    let mut uses: Vec<_> = clients.into_iter().filter_map(judge).collect();
    uses.sort_by(|a, b| b.accused.cmp(&a.accused).then(b.avoidable().cmp(&a.avoidable())));
    uses
}

/// One client and audience, with the evidence gathered.
struct Judged {
    span: Range<u32>,
    lifetime: Lifetime,
    issued: u64,
    needed_per_address: u64,
    needed_shared: u64,
    accused: Accused,
    /// Tokens that a fleet, a job, or too little to tell explains.
    excused: u64,
    peak: u64,
    patterns: Vec<Pattern>,
    verdict: Verdict,
    confidence: Confidence,
}

/// Tokens that nothing but missing caching explains.
#[derive(Default)]
struct Accused {
    avoidable: u64,
    /// All of the addresses and times that are accused.
    issued: u64,
    /// The seconds of the avoidable ones, and all with tokens of those addresses, also from shortly before, ascending.
    seconds: Vec<u32>,
    issue_seconds: Vec<u32>,
    /// Some are a rhythm's: not all came suddenly, in some hours.
    is_steady: bool,
    /// After how long the addresses ask again, if that is a rhythm of theirs.
    again_after_seconds: Option<u32>,
    /// Some come in bursts, as those of processes do that are started again and again.
    is_in_bursts: bool,
}

impl Accused {
    fn add(&mut self, issues: &Issues, span: &Range<u32>) {
        self.avoidable += issues.avoidable(span);
        self.issued += issues.issued(span);
        self.seconds.extend(issues.avoidable_seconds(span));
    }

    /// What a rhythm accuses, or that there is none.
    fn add_steady(&mut self, issues: &Issues, span: &Range<u32>, found: Pattern) {
        self.add(issues, span);
        self.is_steady = true;
        self.is_in_bursts |= are_in_bursts(issues, span);
        if let Pattern::Again { after_seconds } = found {
            self.again_after_seconds = self.again_after_seconds.max(Some(after_seconds));
        }
    }

    fn sorted(mut self) -> Self {
        self.seconds.sort_unstable();
        self.issue_seconds.sort_unstable();
        self
    }

    /// The most of any 24 hours: what was bad for a day is not diluted by a month. Of those beyond one a second as many as of
    /// the others.
    fn most_a_day(&self) -> u64 {
        let (mut begin, mut most) = (0, 0);
        for (at, second) in self.seconds.iter().enumerate() {
            while second - self.seconds[begin] >= 86_400 {
                begin += 1;
            }
            most = most.max(at + 1 - begin);
        }
        (most as u64 * self.avoidable).checked_div(self.seconds.len() as u64).unwrap_or(0)
    }
}

impl Judged {
    fn new(keys: &[(&TokenKey, &KeyTokens)], span: &Range<u32>, lifetime: Lifetime, thresholds: &Thresholds) -> Self {
        let keys: Vec<&KeyTokens> = keys.iter().map(|(_, key)| *key).collect();
        let sum = |of: &dyn Fn(&KeyTokens) -> u64| keys.iter().map(|key| of(key)).sum();
        let mut judged = Self {
            span: span.clone(),
            lifetime,
            issued: sum(&|key| key.issued(span)),
            needed_per_address: sum(&|key| key.needed_per_address(span)),
            needed_shared: sum(&|key| key.needed_shared(span)),
            accused: Accused::default(),
            excused: 0,
            peak: 0,
            patterns: Vec::new(),
            verdict: Verdict::CachesWell,
            confidence: Confidence::High,
        };
        let mut alone = Accused::default();
        let mut unclear = Vec::new();
        for key in &keys {
            let found = judged.patterns_of(key, thresholds);
            found.iter().for_each(|(issues, pattern)| judged.address(issues, *pattern, thresholds, &mut alone));
            let is_unclear = |(issues, pattern)| matches!(pattern, Pattern::TooFew { .. }).then_some(issues);
            unclear.push((*key, found.into_iter().filter_map(is_unclear).collect()));
        }
        judged.accused = alone.sorted();
        if (judged.accused.most_a_day() as f64) < thresholds.avoidable_per_day
            && let Some(together) =
                judged.together(&keys, thresholds).or_else(|| judged.scattered(&unclear, thresholds))
        {
            judged.accused = together.sorted();
        }
        judged.decide(thresholds);
        judged
    }

    /// What explains the tokens at each address of a key that had any to avoid.
    fn patterns_of<'k>(&self, key: &'k KeyTokens, thresholds: &Thresholds) -> Vec<(&'k Issues, Pattern)> {
        let addresses = key.addresses().map(|(_, issues)| issues).filter(|issues| issues.avoidable(&self.span) > 0);
        let of = |issues| (issues, pattern(issues, &self.span, self.lifetime, thresholds));
        let mut found: Vec<(&Issues, Pattern)> = addresses.map(of).collect();
        let is_unexplained = |pattern: &Pattern| pattern.is_waste() || matches!(pattern, Pattern::TooFew { .. });
        let unexplained = found.iter().filter(|(_, pattern)| is_unexplained(pattern));
        let unexplained = unexplained.map(|(issues, _)| issues.issued(&self.span)).sum::<u64>();
        // Of one that wastes among many that cache nothing is even but them.
        if found.len() > 1
            && unexplained * 5 >= key.issued(&self.span) * 4
            && looks_even(key.shared(), &self.span, self.lifetime.seconds)
        {
            let processes = key.shared().peak(&self.span, self.lifetime.counted_seconds());
            let wasteful = found.iter_mut().filter(|(_, pattern)| pattern.is_waste());
            wasteful.for_each(|(_, pattern)| *pattern = Pattern::TooFew { processes });
        }
        found
    }

    fn address(&mut self, issues: &Issues, pattern: Pattern, thresholds: &Thresholds, accused: &mut Accused) {
        self.peak = self.peak.max(issues.peak(&self.span, self.lifetime.counted_seconds()));
        self.patterns.push(pattern);
        if pattern == Pattern::Cached {
            return;
        }
        let before = accused.issued;
        if !pattern.is_waste() {
            self.excused += issues.avoidable(&self.span);
            let counted = match pattern {
                Pattern::ShorterLived { seconds } => seconds,
                _ => self.lifetime.counted_seconds(),
            };
            let first = issues.seconds(&self.span).next().unwrap_or(self.span.end);
            self.sudden(issues, first, counted, thresholds, accused);
        }
        if accused.issued == before {
            let parts = self.parts(issues, thresholds);
            if pattern.is_waste() && parts.is_empty() {
                accused.add_steady(issues, &self.span, pattern);
            }
            parts.iter().for_each(|(found, part)| accused.add_steady(issues, part, *found));
        }
        if accused.issued > before {
            accused.issue_seconds.extend(issues.seconds(&self.known()));
        }
    }

    /// The parts of the period in which tokens were wasted, beside others, of half as many at most, that are explained: who
    /// wasted for days and was mended by a fleet is neither as a whole.
    fn parts(&self, issues: &Issues, thresholds: &Thresholds) -> Vec<(Pattern, Range<u32>)> {
        let parts = parts(issues, &self.span);
        if parts.len() == 1 || (issues.avoidable(&self.span) as f64) < thresholds.avoidable_per_day {
            return Vec::new();
        }
        let judge = |part| (pattern(issues, &part, self.lifetime, thresholds), part);
        let (wasteful, others): (Vec<_>, Vec<_>) =
            parts.into_iter().map(judge).partition(|(found, _)| found.is_waste());
        let rate = |part: &Range<u32>| issues.issued(part) as f64 / f64::from(part.end - part.start);
        let excused = others.iter().filter(|(found, _)| found.is_excuse()).map(|(_, part)| rate(part));
        let Some(excused) = excused.max_by(f64::total_cmp) else { return Vec::new() };
        wasteful.into_iter().filter(|(_, part)| rate(part) >= 2.0 * excused).collect()
    }

    /// What no address shows by itself all may show together: those that were there from the begin.
    fn together(&self, keys: &[&KeyTokens], thresholds: &Thresholds) -> Option<Accused> {
        let all = keys.iter().flat_map(|key| key.addresses());
        let begin = all.filter_map(|(_, issues)| issues.seconds(&self.span).next()).min()?;
        let counted = self.lifetime.surely_counted_seconds();
        let known = begin.saturating_add(counted.clamp(3600, 86_400));
        let expected = thresholds.processes_per_address;
        let pool = pool(keys, &self.span, (known, self.span.start), counted, expected, SLOT_SECONDS)?;
        let mut accused = Accused::default();
        self.sudden(&pool, begin, counted, thresholds, &mut accused);
        accused.issue_seconds.extend(pool.seconds(&self.known()));
        (accused.avoidable > 0).then_some(accused)
    }

    /// What has too few tokens at each address to tell, by the rhythm of all of them. Not where nobody said how long tokens
    /// live: of shorter ones an address that caches has as few as one that does not.
    fn scattered(&self, unclear: &[(&KeyTokens, Vec<&Issues>)], thresholds: &Thresholds) -> Option<Accused> {
        if self.lifetime.from == LifetimeFrom::Default {
            return None;
        }
        let mut accused = Accused { is_steady: true, ..Accused::default() };
        for (key, unclear) in unclear {
            let avoidable = unclear.iter().map(|issues| issues.avoidable(&self.span)).sum::<u64>() as f64;
            let shared = key.shared();
            // Caches whose requests leave by any of many addresses are even all together.
            if unclear.len() > 1
                && avoidable >= thresholds.avoidable_per_day
                && is_scattered(unclear, &self.span, self.lifetime.seconds)
                && is_by_chance(shared, &self.span, self.lifetime.seconds)
                && pattern(shared, &self.span, self.lifetime, thresholds).is_waste()
            {
                unclear.iter().for_each(|issues| {
                    accused.add(issues, &self.span);
                    accused.issue_seconds.extend(issues.seconds(&self.known()));
                });
            }
        }
        (accused.avoidable > 0).then_some(accused)
    }

    /// Hours in which a cache was broken say little of a month; what was sudden, by what is known since `first`, is accused
    /// by itself.
    fn sudden(
        &self,
        issues: &Issues,
        first: u32,
        counted_seconds: u32,
        thresholds: &Thresholds,
        accused: &mut Accused,
    ) {
        if (issues.avoidable(&self.span) as f64) < thresholds.avoidable_per_day {
            return;
        }
        let known = first - first % SLOT_SECONDS..self.span.end;
        let counts = issues.issued_by(&known, SLOT_SECONDS);
        let slots = Slots::new(counts, counted_seconds, thresholds.processes_per_address);
        let at = |slot: usize| known.start + slot as u32 * SLOT_SECONDS;
        let spans = slots.episodes(QUIET_SLOTS).into_iter().map(|slots| at(slots.start)..at(slots.end));
        // A rollout that went on for long shows as a fleet after it.
        let is_excused = |span: &Range<u32>| pattern(issues, span, self.lifetime, thresholds).is_excuse();
        spans.filter(|span| !is_excused(span)).for_each(|span| accused.add(issues, &span));
    }

    /// The period and what came shortly before, where a cache may have shown.
    fn known(&self) -> Range<u32> {
        self.span.start.saturating_sub(self.lifetime.seconds.max(86_400).saturating_mul(2))..self.span.end
    }

    fn decide(&mut self, thresholds: &Thresholds) {
        let is_enough = self.accused.most_a_day() as f64 >= thresholds.avoidable_per_day;
        let ratio = self.accused.avoidable as f64 / self.accused.issued.max(1) as f64;
        if !is_enough || ratio < thresholds.waste_ratio.min(0.2) {
            let shared_waste = self.issued.saturating_sub(self.needed_shared) as f64 / self.issued.max(1) as f64;
            self.verdict = if self.excused > 0 || shared_waste >= thresholds.waste_ratio {
                Verdict::CachesPerProcess
            } else {
                Verdict::CachesWell
            };
            let is_guess = |pattern: &Pattern| matches!(pattern, Pattern::TooFew { .. } | Pattern::ShorterLived { .. });
            let is_guess = self.patterns.iter().any(is_guess);
            self.confidence = if is_guess { Confidence::Low } else { Confidence::High };
            return;
        }
        self.verdict = match self.stopped_at() {
            Some(at) => Verdict::StoppedCaching { at },
            None if ratio < 0.8
                || self.accused.again_after_seconds.is_some_and(|after| after >= CACHES_SECONDS_MIN) =>
            {
                Verdict::CachesPartly
            }
            None => Verdict::DoesNotCache,
        };
        self.confidence = match self.peak / thresholds.processes_per_address.max(1) {
            0 => Confidence::Low,
            _ if self.accused.is_in_bursts => Confidence::Low,
            // Whether it caches at all is a guess.
            _ if self.accused.again_after_seconds.is_some() => Confidence::Medium,
            1..4 => Confidence::Medium,
            _ if self.may_be_containers() => Confidence::Medium,
            _ => Confidence::High,
        };
    }

    /// Whether so many processes may have been started, each asking once and gone before its token had run out.
    fn may_be_containers(&self) -> bool {
        let per_hour = self.peak as f64 * 3600.0 / f64::from(self.lifetime.counted_seconds());
        self.verdict == Verdict::DoesNotCache && per_hour < STARTED_AN_HOUR
    }

    /// When it was mended: since then there are hardly any of what came before, for longer than it paused before, as over
    /// night.
    fn mended_at(&self) -> Option<EventTime> {
        const QUIET_SECONDS: u32 = 3600;
        const PAUSE_SECONDS_MAX: u32 = 86_400;
        let first = *self.accused.seconds.first()?;
        let last = self.accused.seconds.len() - 1 - self.accused.seconds.len() / 20;
        // The last twentieth may be what came after; as long as they come as they did, it is not.
        let usual = (self.accused.seconds[last] - first) / last.max(1) as u32;
        let goes_on = |at: &usize| self.accused.seconds[*at + 1] - self.accused.seconds[*at] <= 10 * usual.max(1);
        let last =
            (last..self.accused.seconds.len() - 1).find(|at| !goes_on(at)).unwrap_or(self.accused.seconds.len() - 1);
        let end = self.accused.seconds[last];
        let rate = |count: usize, length: u32| count as f64 / f64::from(length.max(1));
        let (during, since) =
            (rate(last + 1, end - first), rate(self.accused.seconds.len() - 1 - last, self.span.end - end));
        let pauses = self.accused.seconds[..=last].windows(2).map(|pair| pair[1] - pair[0]);
        let pause = pauses.filter(|pause| *pause < PAUSE_SECONDS_MAX).max().unwrap_or(0);
        // So long that twenty would have come.
        let enough = (20.0 / during).max(f64::from(QUIET_SECONDS)).max(f64::from(pause) * 1.25);
        let is_long = f64::from(self.span.end - end) >= enough;
        (self.verdict.is_ghost() && is_long && since * 5.0 <= during).then(|| time(end))
    }

    /// When it stopped caching: the first avoidable token after a time in which there were hardly any, if that time was
    /// long enough for a cache to show.
    fn stopped_at(&self) -> Option<EventTime> {
        const SLOT: u32 = 300;
        const DAY_SECONDS: u32 = 86_400;
        let first = *self.accused.issue_seconds.first()?;
        let total = self.accused.seconds.len();
        let mut slots: BTreeMap<u32, u64> = BTreeMap::new();
        self.accused.seconds.iter().for_each(|second| *slots.entry(second / SLOT).or_default() += 1);
        let mut busy: Vec<u64> = slots.values().copied().collect();
        busy.sort_unstable();
        let usual = busy[busy.len() / 2];
        let (slot, _) = slots.iter().find(|(_, count)| **count >= usual.div_ceil(4).max(1))?;
        let at = self.accused.seconds.partition_point(|second| *second < slot * SLOT);
        let begin = *self.accused.seconds.get(at)?;
        let quiet = begin.saturating_sub(first);
        let asked_by = |end: u32| self.accused.issue_seconds.partition_point(|second| *second < end);
        let rate_before = asked_by(begin) as f64 / f64::from(quiet.max(1));
        // What was so when the period began, began before.
        let rate_lately = (asked_by(begin) - asked_by(begin.saturating_sub(3600))) as f64 / 3600.0;
        let end = *self.accused.seconds.last()?;
        let rate_after = (total - at) as f64 / f64::from(end.saturating_sub(begin).max(1));
        let is_long = quiet >= self.lifetime.seconds.clamp(3600, 6 * 3600);
        // What is as quiet a day later is a night.
        let night = quiet.min(DAY_SECONDS);
        let before = |second: u32| self.accused.seconds.partition_point(|found| *found < second);
        let day_later = begin.saturating_add(DAY_SECONDS);
        let asked = (before(day_later) - before(day_later.saturating_sub(night))) as f64;
        let is_night = end > day_later && asked / f64::from(night.max(1)) * 5.0 <= rate_after;
        (is_long && !is_night && at * 20 <= total && rate_before.max(rate_lately) * 5.0 <= rate_after)
            .then(|| time(begin))
    }

    fn median_spacing(keys: &[(&TokenKey, &KeyTokens)], span: &Range<u32>) -> Option<u32> {
        let mut gaps: Vec<u32> = Vec::new();
        for (_, key) in keys {
            let mut last = None;
            for second in key.shared().seconds(span) {
                gaps.extend(last.map(|last: u32| second - last));
                last = Some(second);
            }
        }
        let middle = gaps.len() / 2;
        (!gaps.is_empty()).then(|| *gaps.select_nth_unstable(middle).1)
    }

    fn explanation(&self, addresses: u64) -> String {
        let lifetime = text_of_seconds(self.lifetime.seconds);
        let from = self.lifetime.from.name();
        let avoidable = self.issued.saturating_sub(self.needed_per_address);
        if self.verdict.is_ghost() {
            let why = match self.accused.again_after_seconds {
                Some(after) => format!(
                    "each is followed by the next about {} later, whatever its lifetime: a loop without a cache, or a cache \
                     that keeps tokens for no longer",
                    text_of_seconds(after)
                ),
                None => {
                    let alike = match self.may_be_containers() {
                        true => {
                            ", but containers that start one by one, ask once and are gone before the token has run out would \
                             look the same"
                        }
                        false => "",
                    };
                    format!(
                        "neither the rhythm of a fleet nor a job by the clock of up to a hundred workers explains them{alike}"
                    )
                }
            };
            return format!(
                "{avoidable} of {} tokens were asked for while one was valid (lifetime {lifetime}, {from}): as many as {} \
                 processes an address that cache well; {why}",
                self.issued, self.peak
            );
        }
        let excuse = self.patterns.iter().find(|pattern| **pattern != Pattern::Cached && !pattern.is_waste());
        match excuse {
            Some(Pattern::Scheduled { period_seconds }) => format!(
                "asks every {} by the clock: a job that starts anew each time",
                text_of_seconds(*period_seconds)
            ),
            Some(Pattern::Fleet { processes }) => {
                format!("as regular as {processes} processes behind one address, each with a cache of its own")
            }
            Some(Pattern::ShorterLived { seconds }) => format!(
                "renewed about {} after they were issued: they seem to live no longer than that. The lifetime is taken to be \
                 {lifetime}, {from}",
                text_of_seconds(*seconds)
            ),
            Some(Pattern::TooFew { processes }) => {
                format!(
                    "could be {processes} processes behind one address that cache well: neither their rhythm nor their number \
                     tells"
                )
            }
            _ if self.verdict == Verdict::CachesPerProcess => format!(
                "each of {addresses} addresses caches; one cache shared by all would need {} of {} tokens",
                self.needed_shared, self.issued
            ),
            _ => format!("{avoidable} of {} tokens avoidable (lifetime {lifetime}, {from})", self.issued),
        }
    }

    fn into_use(self, tenant: &str, client_id: &str, audience: &str, keys: &[(&TokenKey, &KeyTokens)]) -> TokenUse {
        let addresses: BTreeSet<&str> = keys
            .iter()
            .flat_map(|(_, key)| key.addresses())
            .filter(|(_, issues)| issues.issued(&self.span) > 0)
            .map(|(ip, _)| ip)
            .collect();
        let mut user_agents: Vec<String> = Vec::new();
        for agent in keys.iter().flat_map(|(_, key)| key.user_agents()) {
            if user_agents.len() < 5 && !user_agents.iter().any(|known| known == agent) {
                user_agents.push(agent.to_owned());
            }
        }
        let tokens = || keys.iter().map(|(_, key)| key);
        let first = tokens().filter_map(|key| key.first_since(self.span.start)).min();
        let last = tokens().map(|key| &key.last).max();
        let named = tokens().max_by_key(|key| &key.last).map_or("", |key| key.client_name.as_str());
        let unknown = (EventTime::from_ms(0), String::new());
        let (first, last) = (first.unwrap_or(&unknown), last.unwrap_or(&unknown));
        let mut explanation = self.explanation(addresses.len() as u64);
        if tokens().any(|key| key.has_more_addresses(&self.span)) {
            explanation += &format!("; tokens of the addresses beyond {ADDRESSES_MAX} are taken for needed");
        }
        let day = self.span.end.saturating_sub(86_400).max(self.span.start)..self.span.end;
        TokenUse {
            tenant: tenant.to_owned(),
            client_id: client_id.to_owned(),
            client_name: named.to_owned(),
            audience: audience.to_owned(),
            keys: keys.len() as u64,
            billable: tokens().any(|key| key.billable),
            issued: self.issued,
            needed_per_address: self.needed_per_address,
            needed_shared: self.needed_shared,
            from: time(self.span.start),
            avoidable_last_day: tokens().map(|key| key.avoidable_per_address(&day)).sum(),
            accused: self.accused.avoidable,
            is_sudden: !self.accused.is_steady,
            last_accused_at: self.accused.seconds.last().copied().map(time),
            mended_at: self.mended_at(),
            equals_processes: self.peak.max(1),
            addresses: addresses.len() as u64,
            user_agents,
            median_spacing_seconds: Self::median_spacing(keys, &self.span),
            lifetime: self.lifetime,
            verdict: self.verdict,
            confidence: self.confidence,
            explanation,
            first_at: first.0,
            last_at: last.0,
            first_log_id: first.1.clone(),
            last_log_id: last.1.clone(),
        }
    }
}

fn text_of_seconds(seconds: u32) -> String {
    humantime::format_duration(std::time::Duration::from_secs(u64::from(seconds))).to_string()
}

/// Where a program may keep tokens, by its library.
struct Library {
    /// What the `user_agent` of Auth0's events holds, in lower case.
    agent: &'static str,
    /// For the tokens of any API.
    keep: &'static str,
    /// For those of the Management API, if that differs.
    keep_management: Option<&'static str>,
}

const fn library(agent: &'static str, keep: &'static str, keep_management: Option<&'static str>) -> Library {
    Library { agent, keep, keep_management }
}

const NODE: &str = "neither openid-client nor the auth0 package's AuthenticationClient keeps client-credentials tokens: keep the \
                    token beside its expiry in a module variable, and the promise of the request under way with it";
const NODE_MANAGEMENT: &str =
    "make the auth0 package's ManagementClient once a process, not once a request: it keeps its token";
const JAVA: &str = "auth0-java's requestToken keeps nothing: keep the token with its expiry in one object of the process, or use \
                    Spring Security's OAuth2AuthorizedClientManager";
const PYTHON: &str = "keep one authlib OAuth2Session for the process, which renews its token by itself; auth0-python's GetToken \
                      and requests keep none";

/// The first whose agent is found is meant.
const LIBRARIES: [Library; 15] = [
    library(
        "auth0-deploy-cli",
        "give auth0-deploy-cli a token made once (AUTH0_ACCESS_TOKEN), not id and secret on every run",
        None,
    ),
    library("terraform", "give the provider a token made once (AUTH0_API_TOKEN), not id and secret on every run", None),
    library("python", PYTHON, None),
    library("axios", NODE, Some(NODE_MANAGEMENT)),
    library("node", NODE, Some(NODE_MANAGEMENT)),
    library("undici", NODE, Some(NODE_MANAGEMENT)),
    library("openid-client", NODE, Some(NODE_MANAGEMENT)),
    library(
        "go-http-client",
        "make one TokenSource of golang.org/x/oauth2/clientcredentials (it wraps ReuseTokenSource) and share its http.Client",
        Some("make go-auth0's management.New once a process, not once a request: its client keeps the token"),
    ),
    library("okhttp", JAVA, None),
    library("java", JAVA, None),
    library(
        "dotnet",
        "register Duende.AccessTokenManagement (AddClientCredentialsTokenManagement), which caches",
        None,
    ),
    library(
        "reqwest",
        "keep the token with its expiry behind an Arc and a lock, and renew it when expires_in has passed",
        None,
    ),
    library(
        "guzzle",
        "keep the token in a PSR-6 or PSR-16 cache, with expires_in as its lifetime",
        Some("give auth0-php's configuration a PSR-6 pool for its Management API token (setManagementTokenCache)"),
    ),
    library(
        "ruby",
        "keep the token with expires_in as its lifetime in Rails.cache or one object of the process",
        Some("make one Auth0Client a process, not one a request: it keeps its token"),
    ),
    library("curl", "write the token with its expiry to a file that the next run reads first", None),
];

/// Whether a word of it begins with this name.
fn names(agent: &str, name: &str) -> bool {
    agent.match_indices(name).any(|(at, _)| !agent[..at].ends_with(|before: char| before.is_alphanumeric()))
}

/// What to do, for the programs that these requests name, the most frequent first.
pub fn fix(user_agents: &[String], audience: &str, verdict: Verdict) -> String {
    let is_management = audience.ends_with("/api/v2/");
    let mut steps: Vec<&str> = Vec::new();
    for agent in user_agents {
        // Which is no Java.
        let agent = agent.to_ascii_lowercase().replace("javascript", "");
        let found = LIBRARIES.iter().find(|library| names(&agent, library.agent));
        let keep = found.map(|found| found.keep_management.filter(|_| is_management).unwrap_or(found.keep));
        steps.extend(keep.filter(|keep| !steps.contains(keep)));
    }
    steps.push("keep the token until it expires (expires_in less a minute), in a cache all its processes share");
    let first = match verdict {
        Verdict::StoppedCaching { at } => {
            format!("look at what was deployed shortly before {at}: the cache is gone since; then ")
        }
        Verdict::CachesPartly => {
            "if it has a cache, let it keep tokens as long as they live (expires_in), not for a fixed shorter time; "
                .to_owned()
        }
        _ => String::new(),
    };
    format!("{first}{}", steps.join("; "))
}
