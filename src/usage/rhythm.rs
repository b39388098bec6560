//! What explains the tokens of one address: the clock of a job, the rhythm of caches, or nothing.
//!
//! A process that caches asks again when its token has run out. So of a fleet nearly every token has a successor one
//! lifetime later, wherever it began, however many there are and in whatever burst they were started; and over any
//! lifetime each asks about once. Requests that nobody caches know nothing of lifetimes. Both are looked for: the time
//! after which tokens have successors (`renewal`), and how evenly they come (`evenness`).

mod bursts;
mod clock;
mod evenness;
mod parts;
mod renewal;

use std::ops::Range;

pub use bursts::are_in_bursts;
pub use clock::is_by_the_clock;
pub use parts::parts;

use bursts::Bursts;
use clock::clock_period;
use evenness::{Counts, MARGIN_SURE, SPANS_ENOUGH, SPANS_SURE, Unevenness, unevenness};
use renewal::{Renewal, renewal, steady_gap};

use super::ghost::{Lifetime, LifetimeFrom, Thresholds};
use super::tokens::Issues;

/// What explains the tokens of one address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// Hardly any was avoidable.
    Cached,
    /// By the clock, every so many seconds: a job that starts anew each time. A cache that forgets too early has a period
    /// too, but drifts: each time it waits for the next request.
    Scheduled { period_seconds: u32 },
    /// As many processes, each with a cache of its own.
    Fleet { processes: u64 },
    /// Each is renewed so long after it was issued, long before the lifetime that is assumed: most likely they live no longer.
    ShorterLived { seconds: u32 },
    /// Few enough to be a fleet, and not enough to tell.
    TooFew { processes: u64 },
    /// The next one comes so long after the last, long before it has run out: a loop without a cache, or a cache that
    /// forgets too early.
    Again { after_seconds: u32 },
    /// Nothing else explains them.
    Uncached,
}

impl Pattern {
    /// Whether it is missing caching.
    pub fn is_waste(self) -> bool {
        matches!(self, Self::Again { .. } | Self::Uncached)
    }

    /// Whether something else is known to explain them.
    pub fn is_excuse(self) -> bool {
        matches!(self, Self::Cached | Self::Scheduled { .. } | Self::Fleet { .. } | Self::ShorterLived { .. })
    }
}

/// Tokens alive at once at one address, as a multiple of the processes expected there at most, that no fleet explains
/// whatever their rhythm.
const BEYOND_ANY_FLEET: u64 = 8;
/// Tokens renewed after less than this share of a lifetime are renewed early. Above, two bursts in which a fleet was
/// started look the same.
const EARLY: u32 = 3;
/// No API's tokens are taken to be renewed sooner than this unless it is said so: those that live for five minutes, by who
/// renews them a little early.
const RENEWED_SECONDS_MIN: u32 = 225;

/// What explains one address's tokens in a period.
pub fn pattern(issues: &Issues, span: &Range<u32>, lifetime: Lifetime, thresholds: &Thresholds) -> Pattern {
    let (issued, avoidable) = (issues.issued(span), issues.avoidable(span));
    if avoidable * 20 <= issued || avoidable <= 2 {
        return Pattern::Cached;
    }
    // From when to when it was so: a cache that broke and was mended is judged by what was between.
    let wasted: Vec<u32> = issues.avoidable_seconds(span).collect();
    let few = issues.seconds(span).count() / 20;
    let since = match (wasted.get(few), wasted.len().checked_sub(1 + wasted.len() / 20)) {
        (Some(from), Some(last)) if wasted[last] > *from => *from..wasted[last] + 1,
        _ => issues.seconds(span).next().unwrap_or(span.start)..span.end,
    };
    if let Some(period_seconds) = clock_period(issues, &since) {
        return Pattern::Scheduled { period_seconds };
    }
    let peak = issues.peak(span, lifetime.counted_seconds());
    let (expected, most) =
        (thresholds.processes_per_address, thresholds.processes_per_address.saturating_mul(BEYOND_ANY_FLEET));
    if let Some(processes) = Bursts::new(issues, &since).started_together().filter(|size| *size <= expected) {
        return Pattern::TooFew { processes };
    }
    let found = by_rhythm(issues, &since, lifetime, peak, expected..most);
    if found.is_waste() {
        // Of the whole period, which cuts no burst short.
        if let Some(processes) = Bursts::new(issues, span).started_again().filter(|size| *size <= most) {
            return Pattern::TooFew { processes };
        }
        // Of few enough to be fleets that are replaced now and then nobody can tell.
        if found == Pattern::Uncached && peak <= most && are_in_bursts(issues, &since) {
            return Pattern::TooFew { processes: peak };
        }
    }
    found
}

/// What the time until others come, or else how evenly they come, says of tokens of which so many are alive at once.
fn by_rhythm(
    issues: &Issues,
    span: &Range<u32>,
    lifetime: Lifetime,
    peak: u64,
    Range { start: expected, end: most }: Range<u64>,
) -> Pattern {
    let is_known = lifetime.from != LifetimeFrom::Default;
    if let Some(after_seconds) = steady_gap(issues, span) {
        // So many caches do not take turns. Of an unset lifetime a minute's tokens may be one's.
        let alive = u64::from(lifetime.seconds / after_seconds.max(1));
        if alive > expected / 2 && after_seconds < lifetime.seconds / EARLY && (is_known || after_seconds < 50) {
            return Pattern::Again { after_seconds };
        }
    }
    let renewal = renewal(issues, span, lifetime);
    match renewal {
        Renewal::Multiple(_) | Renewal::Twofold if peak > most && is_known => return Pattern::Uncached,
        Renewal::After(seconds) | Renewal::Multiple(seconds) if seconds > lifetime.seconds / EARLY => {
            return Pattern::Fleet { processes: peak };
        }
        Renewal::After(seconds) | Renewal::Multiple(seconds) if !is_known && seconds >= RENEWED_SECONDS_MIN => {
            return Pattern::ShorterLived { seconds };
        }
        Renewal::After(after_seconds) | Renewal::Multiple(after_seconds) => return Pattern::Again { after_seconds },
        Renewal::Twofold => return Pattern::TooFew { processes: peak },
        Renewal::Never | Renewal::Unclear => {}
    }
    let by_evenness = if is_known {
        of_known_lifetime(issues, span, lifetime, peak, renewal, expected..most)
    } else {
        of_any_lifetime(issues, span, lifetime, expected..most)
    };
    by_evenness.unwrap_or(Pattern::TooFew { processes: peak })
}

/// What evenness says where it is known how long tokens live; `None` if there is too little to tell.
fn of_known_lifetime(
    issues: &Issues,
    span: &Range<u32>,
    lifetime: Lifetime,
    peak: u64,
    renewal: Renewal,
    processes: Range<u64>,
) -> Option<Pattern> {
    let (expected, most) = (processes.start, processes.end);
    // A large fleet must show it better, and for longer: a ghost is looked at every five minutes, and must not look even by
    // chance.
    let (margin, spans_min) = if peak > expected { (MARGIN_SURE, SPANS_SURE) } else { (1.0, SPANS_ENOUGH) };
    let over = |lifetimes: u32| unevenness(issues, span, lifetime.seconds.saturating_mul(lifetimes));
    let found = over(1);
    match &found {
        Some(found) if found.is_even(margin, spans_min) => {
            // In so short a time few of a fleet renew, by chance: only what renews sooner is even.
            let short = lifetime.seconds / 8;
            let is_sooner = short >= issues.grain_seconds().max(60)
                && unevenness(issues, span, short).is_some_and(|found| found.is_even(MARGIN_SURE, SPANS_SURE));
            return Some(if is_sooner { Pattern::Uncached } else { Pattern::Fleet { processes: peak } });
        }
        Some(found) if found.is_even(2.0, SPANS_ENOUGH) => return None,
        _ if peak > most => return Some(Pattern::Uncached),
        _ => {}
    }
    let (found, over_two) = (found?, over(2));
    // Neither renews, nor comes as evenly as what renews when it is asked to.
    const SURE: f64 = 0.85;
    let is_uneven = match over_two {
        Some(over_two) if peak <= expected => {
            let alive = issues.issued(span) as f64 * f64::from(lifetime.seconds) / f64::from(span.end - span.start);
            over_two.is_more_uneven_than_a_fleet(alive, expected)
        }
        Some(over_two) => {
            let value = found.value.min(over_two.value);
            value > Unevenness::EVEN && found.is_uneven() || renewal == Renewal::Never && value > SURE
        }
        // Of who is there for some hours at a time.
        None => peak > expected && found.value > SURE && found.is_uneven(),
    };
    is_uneven.then_some(Pattern::Uncached)
}

/// What evenness says where nobody said how long tokens live. A fleet is even over the lifetime its tokens have, whichever
/// that is; what is uneven over all that a fleet of the processes expected could have is none. A loop is even over spans in
/// which no fleet renews. `None` if there is too little to tell.
fn of_any_lifetime(issues: &Issues, span: &Range<u32>, assumed: Lifetime, processes: Range<u64>) -> Option<Pattern> {
    let issued = issues.issued(span).max(1);
    let length = u64::from(span.end - span.start);
    // So long would tokens of as many processes live that are asked for as often.
    let lifetime_of = |processes: u64| (processes.saturating_mul(length) / issued).min(u64::from(assumed.seconds));
    let (likely, longest) = (lifetime_of(processes.start) as u32, lifetime_of(processes.end) as u32);
    let of = |seconds: u32| unevenness(issues, span, seconds);
    let is_even = |found: &Unevenness| found.is_even(MARGIN_SURE, SPANS_SURE);
    if of(RENEWED_SECONDS_MIN / 4).as_ref().is_some_and(is_even) {
        return Some(Pattern::Again { after_seconds: (length / issued) as u32 });
    }
    let next = |seconds: &u32| Some(seconds + seconds / 4);
    let lifetimes = std::iter::successors(Some(RENEWED_SECONDS_MIN), next).take_while(|seconds| *seconds <= longest);
    let mut is_none = true;
    for seconds in lifetimes {
        let found = of(seconds);
        if found.as_ref().is_some_and(is_even) {
            return Some(Pattern::ShorterLived { seconds });
        }
        is_none &= seconds > likely || found.as_ref().is_some_and(Unevenness::is_uneven);
    }
    // Too short a time shows no lifetime of an hour; more than any fleet would ask for needs none.
    let is_long = longest < RENEWED_SECONDS_MIN || length >= (SPANS_SURE as u64 + 2) * u64::from(longest.min(3600));
    (is_none && is_long).then_some(Pattern::Uncached)
}

/// Whether addresses that have too few tokens each to tell ask, all in all, as nobody does who caches: over spans of two
/// lifetimes no more evenly than chance has it. Processes behind addresses that change with each request look the same at
/// each, but are even all together, which is the caller's to see.
pub fn is_scattered(addresses: &[&Issues], span: &Range<u32>, lifetime_seconds: u32) -> bool {
    const COMPARED_MIN: usize = 100;
    /// What comes in bursts differs by more: jobs, rollouts.
    const BURSTS: f64 = 2.5;
    let (mut squares, mut chances, mut compared) = (0.0, 0.0, 0);
    for issues in addresses {
        let Some(counts) = Counts::new(issues, span, lifetime_seconds.saturating_mul(2)) else { continue };
        for (difference, chance) in counts.second_differences() {
            squares += difference * difference;
            chances += chance;
        }
        compared += counts.compared();
    }
    // Of so few tokens a span the median says little; the mean over all of them does.
    let value = squares / f64::max(chances, 1.0);
    let error = 1.3 * value * (1.8 / compared.max(1) as f64).sqrt();
    compared >= COMPARED_MIN && value - error > Unevenness::EVEN && value < BURSTS
}

/// Whether they come evenly as far as little data can tell, as all the tokens of processes do that ask now by one address and
/// now by another: even all together, and at none of them.
pub fn looks_even(issues: &Issues, span: &Range<u32>, lifetime_seconds: u32) -> bool {
    const COMPARED_MIN: usize = 4;
    unevenness(issues, span, lifetime_seconds).is_some_and(|found| found.is_even(2.0, COMPARED_MIN))
}

/// Whether they come no more evenly than by chance, and not in bursts no more often than people deploy.
pub fn is_by_chance(issues: &Issues, span: &Range<u32>, lifetime_seconds: u32) -> bool {
    let over = |lifetimes: u32| unevenness(issues, span, lifetime_seconds.saturating_mul(lifetimes));
    let is_uneven = |found: &Unevenness| found.compared >= SPANS_ENOUGH && found.value > Unevenness::EVEN;
    over(1).as_ref().is_some_and(is_uneven)
        && over(2).is_none_or(|over_two| over_two.value > Unevenness::EVEN)
        && Bursts::new(issues, span).started_together().is_none()
}
