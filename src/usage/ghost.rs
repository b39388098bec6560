//! Ghost usage: tokens a client asked for while it still had a valid one.
//!
//! A token is *avoidable* if the same tenant, client, audience, organization and scope set already had one with life left.
//! Seen two ways: *per address*, what even a cache in each calling process would have saved, if an address is one process;
//! *shared*, what one cache for all would have. Clients that renew early are not wasteful: a token counts as needed once
//! its predecessor has less than the leeway left.
//!
//! An address can hide a fleet (NAT), and a job that starts every hour has no memory of the hour before. So a client is
//! accused only on the cautious figure, per address, and only of what neither a fleet of processes that cache well nor a
//! job that runs by the clock explains; [`Pattern`] says how these are told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tokens::{Issues, KeyTokens, TokenKey, Tokens, seconds};
use crate::event::EventTime;

/// The lifetime of an API's tokens unless its settings say otherwise (Auth0's `resource-servers`, `token_lifetime`).
pub const DEFAULT_LIFETIME_SECONDS: u32 = 86_400;
/// The longest lifetime Auth0 allows.
pub const LIFETIME_SECONDS_MAX: u32 = 2_592_000;
/// How much of a lifetime may be left when a client renews.
pub const DEFAULT_LEEWAY_PERCENT: u32 = 10;

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
            Self::Default => "the default: the events do not tell, set it in [ghosts.lifetimes]",
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

/// What explains the tokens of one address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// Hardly any was avoidable.
    Cached,
    /// By the clock, every so many seconds: a job that starts anew each time. A cache that forgets too early has a period
    /// too, but drifts: each time it waits for the next request.
    Scheduled { period_seconds: u32 },
    /// As many processes, each with a cache of its own. Over any lifetime each asks about once, so that the number of
    /// tokens in neighbouring spans hardly differs; requests that are not cached come at random, and it does.
    Fleet { processes: u64 },
    /// Few enough to be a fleet, and not enough to tell.
    TooFew { processes: u64 },
    /// Nothing else explains them.
    Uncached,
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
    /// What nothing but missing caching explains, of the tokens issued.
    pub accused: u64,
    /// When the last of those was issued.
    pub last_accused_at: Option<EventTime>,
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
        fix(self.user_agents.first().map_or("", String::as_str), self.verdict)
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
    let mut clients: BTreeMap<(&str, &str), Vec<(&TokenKey, &KeyTokens)>> = BTreeMap::new();
    let span = seconds(period);
    for (key, of_key) in tokens.keys().filter(|(_, of_key)| of_key.issued(&span) > 0) {
        clients.entry((&key.client_id, &key.audience)).or_default().push((key, of_key));
    }
    let mut uses: Vec<_> = clients
        .into_iter()
        .map(|((client_id, audience), keys)| {
            let lifetime = lifetimes.of(tenant, audience);
            Judged::new(&keys, &span, lifetime, thresholds).into_use(tenant, client_id, audience, &keys)
        })
        .collect();
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
    accused: u64,
    /// Tokens issued to addresses that are accused.
    accused_issued: u64,
    /// Tokens that a fleet, a job, or too little to tell explains.
    excused: u64,
    peak: u64,
    patterns: Vec<Pattern>,
    /// The seconds of accused tokens, and all seconds with tokens at accused addresses, ascending.
    accused_seconds: Vec<u32>,
    issue_seconds: Vec<u32>,
    /// An accused address keeps tokens for a while.
    forgets_early: bool,
    verdict: Verdict,
    confidence: Confidence,
}

impl Judged {
    fn new(keys: &[(&TokenKey, &KeyTokens)], span: &Range<u32>, lifetime: Lifetime, thresholds: &Thresholds) -> Self {
        let mut judged = Self {
            span: span.clone(),
            lifetime,
            issued: 0,
            needed_per_address: 0,
            needed_shared: 0,
            accused: 0,
            accused_issued: 0,
            excused: 0,
            peak: 0,
            patterns: Vec::new(),
            accused_seconds: Vec::new(),
            issue_seconds: Vec::new(),
            forgets_early: false,
            verdict: Verdict::CachesWell,
            confidence: Confidence::High,
        };
        for (_, key) in keys {
            judged.issued += key.issued(span);
            judged.needed_per_address += key.needed_per_address(span);
            judged.needed_shared += key.needed_shared(span);
            for (_, issues) in key.addresses() {
                judged.address(issues, thresholds);
            }
        }
        judged.accused_seconds.sort_unstable();
        judged.issue_seconds.sort_unstable();
        judged.decide(thresholds);
        judged
    }

    fn address(&mut self, issues: &Issues, thresholds: &Thresholds) {
        let avoidable = issues.avoidable(&self.span);
        if avoidable == 0 {
            return;
        }
        let peak = issues.peak(&self.span, self.lifetime.counted_seconds());
        self.peak = self.peak.max(peak);
        let pattern = pattern(issues, &self.span, self.lifetime, peak, thresholds);
        match pattern {
            Pattern::Uncached => {
                self.accused += avoidable;
                self.accused_issued += issues.issued(&self.span);
                self.accused_seconds.extend(issues.avoidable_seconds(&self.span));
                self.issue_seconds.extend(issues.seconds(&self.span));
                self.forgets_early |= forgets_early(issues, &self.span);
            }
            Pattern::Cached => {}
            Pattern::Scheduled { .. } | Pattern::Fleet { .. } | Pattern::TooFew { .. } => self.excused += avoidable,
        }
        self.patterns.push(pattern);
    }

    fn decide(&mut self, thresholds: &Thresholds) {
        let days = f64::from(self.span.end.saturating_sub(self.span.start)) / 86_400.0;
        // A period of less than a day must show as much as a day would.
        let is_enough = self.accused as f64 >= thresholds.avoidable_per_day * days.max(1.0)
            || self.is_sustained(thresholds.avoidable_per_day);
        let ratio = self.accused as f64 / self.accused_issued.max(1) as f64;
        if !is_enough || ratio < thresholds.waste_ratio.min(0.2) {
            let shared_waste = self.issued.saturating_sub(self.needed_shared) as f64 / self.issued.max(1) as f64;
            self.verdict = if self.excused > 0 || shared_waste >= thresholds.waste_ratio {
                Verdict::CachesPerProcess
            } else {
                Verdict::CachesWell
            };
            let is_guess = self.patterns.iter().any(|pattern| matches!(pattern, Pattern::TooFew { .. }));
            self.confidence = if is_guess { Confidence::Low } else { Confidence::High };
            return;
        }
        self.verdict = match self.stopped_at() {
            Some(at) => Verdict::StoppedCaching { at },
            None if ratio < 0.8 || self.forgets_early => Verdict::CachesPartly,
            None => Verdict::DoesNotCache,
        };
        self.confidence = match self.peak / thresholds.processes_per_address.max(1) {
            0 => Confidence::Low,
            1..4 => Confidence::Medium,
            _ => Confidence::High,
        };
    }

    /// Whether the last day of the period alone shows enough: a cache that broke yesterday is not diluted by a month.
    fn is_sustained(&self, avoidable_per_day: f64) -> bool {
        let last_day = self.span.end.saturating_sub(86_400);
        let count = self.accused_seconds.len() - self.accused_seconds.partition_point(|second| *second < last_day);
        count as f64 >= avoidable_per_day
    }

    /// When it stopped caching: the first avoidable token after a time in which there were hardly any, if that time was
    /// long enough for a cache to show.
    fn stopped_at(&self) -> Option<EventTime> {
        const SLOT: u32 = 300;
        let first = *self.issue_seconds.first()?;
        let total = self.accused_seconds.len();
        let mut slots: BTreeMap<u32, u64> = BTreeMap::new();
        self.accused_seconds.iter().for_each(|second| *slots.entry(second / SLOT).or_default() += 1);
        let mut busy: Vec<u64> = slots.values().copied().collect();
        busy.sort_unstable();
        let usual = busy[busy.len() / 2];
        let (slot, _) = slots.iter().find(|(_, count)| **count >= usual.div_ceil(4).max(1))?;
        let at = self.accused_seconds.partition_point(|second| *second < slot * SLOT);
        let begin = *self.accused_seconds.get(at)?;
        let quiet = begin.saturating_sub(first);
        let asked_before = self.issue_seconds.partition_point(|second| *second < begin);
        let rate_before = asked_before as f64 / f64::from(quiet.max(1));
        let rate_after = (total - at) as f64 / f64::from(self.span.end.saturating_sub(begin).max(1));
        let is_long = quiet >= self.lifetime.seconds.clamp(3600, 6 * 3600);
        (is_long && at * 20 <= total && rate_before * 5.0 <= rate_after)
            .then(|| EventTime::from_ms(i64::from(begin) * 1000))
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
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    fn explanation(&self, addresses: u64) -> String {
        let lifetime = text_of_seconds(self.lifetime.seconds);
        let from = self.lifetime.from.name();
        let avoidable = self.issued.saturating_sub(self.needed_per_address);
        if self.verdict.is_ghost() {
            return format!(
                "{} of {} tokens were asked for while one was valid (lifetime {lifetime}, {from}): as many as {} processes \
                 an address that cache well; no rhythm of a fleet or of a job explains them",
                self.accused, self.issued, self.peak
            );
        }
        let excuse = self.patterns.iter().find(|pattern| !matches!(pattern, Pattern::Cached | Pattern::Uncached));
        match excuse {
            Some(Pattern::Scheduled { period_seconds }) => format!(
                "asks every {} by the clock: a job that starts anew each time",
                text_of_seconds(*period_seconds)
            ),
            Some(Pattern::Fleet { processes }) => {
                format!("as regular as {processes} processes behind one address, each with a cache of its own")
            }
            Some(Pattern::TooFew { processes }) => {
                format!("could be {processes} processes behind one address that cache well; too few tokens to tell")
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
        let first = tokens().map(|key| &key.first).min();
        let last = tokens().map(|key| &key.last).max();
        let named = tokens().max_by_key(|key| &key.last).map_or("", |key| key.client_name.as_str());
        let unknown = (EventTime::from_ms(0), String::new());
        let (first, last) = (first.unwrap_or(&unknown), last.unwrap_or(&unknown));
        let explanation = self.explanation(addresses.len() as u64);
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
            accused: self.accused,
            last_accused_at: self.accused_seconds.last().map(|second| EventTime::from_ms(i64::from(*second) * 1000)),
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

/// What explains one address's tokens in a period.
pub fn pattern(issues: &Issues, span: &Range<u32>, lifetime: Lifetime, peak: u64, thresholds: &Thresholds) -> Pattern {
    let (issued, avoidable) = (issues.issued(span), issues.avoidable(span));
    if avoidable * 20 <= issued || avoidable <= 2 {
        return Pattern::Cached;
    }
    // From when on it was so: a cache that broke is judged by what came after.
    let mut wasted = issues.avoidable_seconds(span);
    let from = wasted.nth(issues.seconds(span).count() / 20).or_else(|| issues.seconds(span).next());
    let since = from.unwrap_or(span.start)..span.end;
    if let Some(period_seconds) = clock_period(issues, &since) {
        return Pattern::Scheduled { period_seconds };
    }
    if peak >= PROCESSES_APART && forgets_early(issues, &since) {
        return Pattern::Uncached;
    }
    let margin = if peak > thresholds.processes_per_address { 2.0 } else { 1.0 };
    match unevenness(issues, &since, lifetime) {
        // Half of what chance would give, with more than chance of the estimate to spare; a large fleet must show it better.
        Some(Unevenness { value, error }) if value + error * margin < 0.6 => Pattern::Fleet { processes: peak },
        _ if peak > thresholds.processes_per_address => Pattern::Uncached,
        Some(Unevenness { value, error }) if value - error > 0.6 => Pattern::Uncached,
        _ => Pattern::TooFew { processes: peak },
    }
}

/// So many processes do not keep their distance by chance.
const PROCESSES_APART: u64 = 8;

/// Whether there is a shortest time between tokens: a cache that forgets before the token has run out. Processes with a
/// cache each know nothing of each other, and often ask one right after the other.
fn forgets_early(issues: &Issues, span: &Range<u32>) -> bool {
    const GAPS_MIN: usize = 20;
    let seconds: Vec<u32> = issues.seconds(span).collect();
    let mut gaps: Vec<u32> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if gaps.len() < GAPS_MIN {
        return false;
    }
    gaps.sort_unstable();
    let (least, median) = (gaps[gaps.len() / 50], gaps[gaps.len() / 2]);
    // Among requests at random one gap in 50 is below a thirtieth of the median.
    median >= 10 && least * 2 >= median
}

/// The period of a job that runs by the clock, if that is what it is: nearly all its tokens come within seconds of a whole
/// number of periods of a minute or more.
fn clock_period(issues: &Issues, span: &Range<u32>) -> Option<u32> {
    /// Tokens this close together are one run.
    const RUN: u32 = 30;
    const RUNS_MIN: usize = 5;
    /// A run begins this late at most.
    const JITTER: i64 = 20;
    /// Runs looked at: enough to tell, and bounded.
    const RUNS_MAX: usize = 5_000;
    let mut runs: Vec<u32> = Vec::new();
    let mut last = None;
    for second in issues.seconds(span) {
        if last.is_none_or(|last: u32| second - last > RUN) {
            runs.push(second);
            if runs.len() > RUNS_MAX {
                break;
            }
        }
        last = Some(second);
    }
    if runs.len() < RUNS_MIN {
        return None;
    }
    let mut gaps: Vec<u32> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    // Schedules are in whole minutes.
    let period = (gaps[gaps.len() / 2] + 30) / 60 * 60;
    if period < 60 {
        return None;
    }
    let mut phases: Vec<i64> = runs.iter().map(|run| i64::from(run % period)).collect();
    // Away from where the circle closes: the emptier half turn tells where that is.
    let turned = |phase: &i64| (phase + i64::from(period) / 2) % i64::from(period);
    let spread = |phases: &[i64]| phases.iter().max().unwrap_or(&0) - phases.iter().min().unwrap_or(&0);
    let other: Vec<i64> = phases.iter().map(turned).collect();
    if spread(&other) < spread(&phases) {
        phases = other;
    }
    phases.sort_unstable();
    let middle = phases[phases.len() / 2];
    let near = phases.iter().filter(|phase| (*phase - middle).abs() <= JITTER.min(i64::from(period) / 6)).count();
    (near * 10 >= phases.len() * 9).then_some(period)
}

/// How much the number of tokens differs between neighbouring spans, as a multiple of what chance (Poisson) would give.
struct Unevenness {
    value: f64,
    /// Of the estimate: 1.3 standard errors, so that one in ten is beyond.
    error: f64,
}

/// The Allan variance of counts over spans of one lifetime: half the mean square of the difference of neighbours, over
/// the mean (D. W. Allan, "Statistics of atomic frequency standards", 1966). Slow changes, as by the hour of the day,
/// cancel out; a twentieth of the spans, those with a restart, is left out.
fn unevenness(issues: &Issues, span: &Range<u32>, lifetime: Lifetime) -> Option<Unevenness> {
    const SPANS_MIN: usize = 8;
    const SPANS_MAX: u32 = 2_000;
    // Counts are known by windows only where there are several tokens a second.
    let grain = issues.grain_seconds();
    let length = lifetime.seconds.div_ceil(grain).saturating_mul(grain);
    let first = issues.seconds(span).next()?.next_multiple_of(grain);
    // The last ones: what happens now counts.
    let count = (span.end.saturating_sub(first) / length).min(SPANS_MAX);
    let from = (span.end - span.end % grain).saturating_sub(count * length);
    let counts: Vec<f64> =
        (0..count).map(|n| issues.issued(&(from + n * length..from + (n + 1) * length)) as f64).collect();
    // Spans in which nobody asks say nothing.
    let mut pairs: Vec<(f64, f64)> =
        counts.windows(2).map(|pair| (pair[0] - pair[1], pair[0] + pair[1])).filter(|(_, sum)| *sum > 0.0).collect();
    if pairs.len() + 1 < SPANS_MIN {
        return None;
    }
    pairs.sort_by(|a, b| (a.0 * a.0 / a.1).total_cmp(&(b.0 * b.0 / b.1)));
    let kept = &pairs[..pairs.len() - pairs.len() / 20];
    // Of chi-squared with one degree, the mean without the greatest twentieth is 0.758.
    let share = if kept.len() < pairs.len() { 0.758 } else { 1.0 };
    let value =
        kept.iter().map(|(difference, sum)| difference * difference / sum).sum::<f64>() / kept.len() as f64 / share;
    // Each square over its mean is about chi-squared with one degree: variance 2; neighbours share a span.
    let error = 1.3 * value * (3.0 / kept.len() as f64).sqrt();
    Some(Unevenness { value, error })
}

fn text_of_seconds(seconds: u32) -> String {
    humantime::format_duration(std::time::Duration::from_secs(u64::from(seconds))).to_string()
}

/// Where the libraries of a program keep tokens. By what the `user_agent` of Auth0's events begins with or holds.
const LIBRARIES: [(&str, &str); 14] = [
    (
        "auth0-deploy-cli",
        "give auth0-deploy-cli a token made once (AUTH0_ACCESS_TOKEN), not id and secret on every run",
    ),
    ("terraform", "give the provider a token made once (AUTH0_API_TOKEN), not id and secret on every run"),
    (
        "python-requests",
        "use authlib's or requests-oauthlib's client-credentials session and keep it for the process, or auth0-python's GetToken with a cache in front",
    ),
    ("python", "keep one client-credentials session (authlib) for the process, not one a request"),
    (
        "axios",
        "keep the token beside its expiry in a module variable, or use the auth0 package's ManagementClient or openid-client once a process",
    ),
    ("node", "make the client (auth0, openid-client) once a process, not once a request; it keeps its token"),
    ("undici", "make the client (auth0, openid-client) once a process, not once a request; it keeps its token"),
    (
        "go-http-client",
        "make one TokenSource of golang.org/x/oauth2/clientcredentials (it wraps ReuseTokenSource) and share its http.Client",
    ),
    (
        "okhttp",
        "keep the token of auth0-java's requestToken with its expiry, or use Spring Security's OAuth2AuthorizedClientManager",
    ),
    (
        "java",
        "keep the token of auth0-java's requestToken with its expiry, or use Spring Security's OAuth2AuthorizedClientManager",
    ),
    ("dotnet", "register Duende.AccessTokenManagement (AddClientCredentialsTokenManagement), which caches"),
    (
        "reqwest",
        "make one oauth2 client with its token behind an Arc and a lock, and renew it when expires_in has passed",
    ),
    ("guzzle", "keep the token in a PSR-6 cache with expires_in as its lifetime (auth0-php's setTokenCache)"),
    ("curl", "write the token with its expiry to a file that the next run reads first"),
];

pub fn fix(user_agent: &str, verdict: Verdict) -> String {
    let agent = user_agent.to_ascii_lowercase();
    let library = LIBRARIES.iter().find(|(name, _)| agent.contains(name)).map(|(_, fix)| *fix);
    let general = "keep the token until it expires (expires_in less a minute), in a cache all its processes share";
    let first = match verdict {
        Verdict::StoppedCaching { at } => {
            format!("look at what was deployed shortly before {at}: the cache is gone since; then ")
        }
        Verdict::CachesPartly => {
            "let the cache keep tokens as long as they live (expires_in), not for a fixed shorter time; ".to_owned()
        }
        _ => String::new(),
    };
    match library {
        Some(library) => format!("{first}{library}; {general}"),
        None => format!("{first}{general}"),
    }
}
