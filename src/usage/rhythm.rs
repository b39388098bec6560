//! What explains the tokens of one address: the clock of a job, the rhythm of caches, or nothing.
//!
//! A process that caches asks again when its token has run out. So of a fleet nearly every token has a successor one
//! lifetime later, wherever it began, however many there are and in whatever burst they were started; and over any
//! lifetime each asks about once. Requests that nobody caches know nothing of lifetimes. Both are looked for: the time
//! after which tokens have successors ([`renewal`]), and how evenly they come ([`unevenness`]).

use std::collections::BTreeSet;
use std::ops::Range;

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
/// No API's tokens are taken to be renewed sooner than this unless it is said so: those that live for ten minutes, by who
/// renews them a little early.
const RENEWED_SECONDS_MIN: u32 = 450;

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
        Renewal::Multiple(_) if peak > most && is_known => return Pattern::Uncached,
        Renewal::After(seconds) | Renewal::Multiple(seconds) if seconds > lifetime.seconds / EARLY => {
            return Pattern::Fleet { processes: peak };
        }
        Renewal::After(seconds) | Renewal::Multiple(seconds) if !is_known && seconds >= RENEWED_SECONDS_MIN => {
            return Pattern::ShorterLived { seconds };
        }
        Renewal::After(after_seconds) | Renewal::Multiple(after_seconds) => return Pattern::Again { after_seconds },
        Renewal::Never | Renewal::Unclear => {}
    }
    let by_evenness = if is_known {
        of_known_lifetime(issues, span, lifetime, peak, renewal, expected..most)
    } else {
        of_any_lifetime(issues, span, lifetime, expected..most)
    };
    by_evenness.unwrap_or(Pattern::TooFew { processes: peak })
}

/// After how many seconds the next token comes, if that is nearly always about as many: a loop. Those of a fleet come now
/// closer together and now further apart.
fn steady_gap(issues: &Issues, span: &Range<u32>) -> Option<u32> {
    const GAPS_MIN: usize = 50;
    const GAPS_MAX: usize = 20_000;
    let mut last = None;
    let mut gaps: Vec<u32> =
        issues.seconds(span).take(GAPS_MAX).filter_map(|second| Some(second - last.replace(second)?)).collect();
    // Of more than one a second it is not known when they came.
    if gaps.len() < GAPS_MIN || issues.issued(span) * 20 > issues.seconds(span).count() as u64 * 21 {
        return None;
    }
    let middle = gaps.len() / 2;
    let median = *gaps.select_nth_unstable(middle).1;
    // In so many of them, and for so much of the time.
    let steady = median * 6 / 10..=(median * 14).div_ceil(10);
    let near = || gaps.iter().filter(|gap| steady.contains(gap));
    let lasted: u64 = gaps.iter().map(|gap| u64::from(*gap)).sum();
    (near().count() * 10 >= gaps.len() * 9 && near().map(|gap| u64::from(*gap)).sum::<u64>() * 10 >= lasted * 8)
        .then_some(median)
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
        Some(found) if found.is_even(margin, spans_min) => return Some(Pattern::Fleet { processes: peak }),
        Some(found) if found.is_even(2.0, SPANS_ENOUGH) => return None,
        _ if peak > most => return Some(Pattern::Uncached),
        _ => {}
    }
    let (found, over_two) = (found?, over(2)?);
    let is_uneven = if peak <= expected {
        let alive = issues.issued(span) as f64 * f64::from(lifetime.seconds) / f64::from(span.end - span.start);
        over_two.is_more_uneven_than_a_fleet(alive, expected)
    } else {
        // Neither renews, nor comes as evenly as what renews when it is asked to.
        const SURE: f64 = 0.85;
        let value = found.value.min(over_two.value);
        value > Unevenness::EVEN && found.is_uneven() || renewal == Renewal::Never && value > SURE
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

/// Whether processes that cache ask through several addresses, now by one and now by another: even all together, and at none
/// of them.
pub fn is_even_together(shared: &Issues, span: &Range<u32>, lifetime_seconds: u32) -> bool {
    const COMPARED_MIN: usize = 4;
    unevenness(shared, span, lifetime_seconds).is_some_and(|found| found.is_even(2.0, COMPARED_MIN))
}

/// Whether they come no more evenly than by chance, and not in bursts no more often than people deploy.
pub fn is_by_chance(issues: &Issues, span: &Range<u32>, lifetime_seconds: u32) -> bool {
    let over = |lifetimes: u32| unevenness(issues, span, lifetime_seconds.saturating_mul(lifetimes));
    let is_uneven = |found: &Unevenness| found.compared >= SPANS_ENOUGH && found.value > Unevenness::EVEN;
    over(1).as_ref().is_some_and(is_uneven)
        && over(2).is_none_or(|over_two| over_two.value > Unevenness::EVEN)
        && Bursts::new(issues, span).started_together().is_none()
}

/// Tokens that come close together, and when.
struct Bursts {
    /// The begin of each, and how many there are in it.
    found: Vec<(u32, u64)>,
    /// The longest, in seconds.
    longest: u32,
    /// Whether nearly all tokens are in one of them.
    are_all: bool,
}

impl Bursts {
    /// So long a deploy takes, and so often people do it; longer ones less often.
    const A_DAY: [(u32, usize); 2] = [(900, 16), (3600, 4)];

    fn new(issues: &Issues, span: &Range<u32>) -> Self {
        const APART: u32 = 300;
        const TOKENS_MIN: u64 = 5;
        let grain = issues.grain_seconds();
        let (mut found, mut longest) = (Vec::new(), 0);
        let mut close = |burst: Range<u32>| {
            // Those beyond one a second count where their window begins.
            let size = issues.issued(&(burst.start - burst.start % grain..burst.end));
            let length = burst.end - burst.start;
            if size >= TOKENS_MIN && length <= Self::A_DAY[1].0 {
                found.push((burst.start, size));
                longest = longest.max(length);
            }
        };
        let mut burst: Option<Range<u32>> = None;
        for second in issues.seconds(span) {
            match &mut burst {
                Some(burst) if second - burst.end < APART => burst.end = second + 1,
                burst => burst.replace(second..second + 1).into_iter().for_each(&mut close),
            }
        }
        burst.into_iter().for_each(close);
        let are_all = found.iter().map(|(_, size)| size).sum::<u64>() * 10 >= issues.issued(span) * 9;
        Self { found, longest, are_all }
    }

    /// How many tokens come at once at most, if nearly all come in bursts no more often than people deploy: processes that
    /// start together look like that, and so does a job that asks for every step.
    fn started_together(&self) -> Option<u64> {
        let (_, a_day) = Self::A_DAY.into_iter().find(|(length, _)| self.longest <= *length)?;
        let is_often = self.found.windows(a_day + 1).any(|some| some[a_day].0 - some[0].0 < 86_400);
        self.found.iter().map(|(_, size)| *size).max().filter(|_| self.are_all && !is_often)
    }

    /// How many tokens a burst has, if many have about as many as the one before, however often they come: the same processes
    /// started again and again have, and who asks for every step of its work has not.
    fn started_again(&self) -> Option<u64> {
        /// Of fewer pairs all must be alike.
        const PAIRS_ENOUGH: usize = 6;
        /// Of two in five: where sizes are a matter of chance (Poisson) it is 0.27, of chi-squared with one degree.
        const OF_ONE_SIZE: f64 = 0.11;
        let mut sizes: Vec<u64> = self.found.iter().map(|(_, size)| *size).collect();
        let differs = |pair: &[u64]| pair[0].abs_diff(pair[1]).pow(2) as f64 / (pair[0] + pair[1]) as f64;
        let mut differ: Vec<f64> = sizes.windows(2).map(differs).collect();
        let at = if differ.len() < PAIRS_ENOUGH { differ.len().checked_sub(1)? } else { differ.len() * 2 / 5 };
        let middle = sizes.len() / 2;
        let is_one = self.are_all && *differ.select_nth_unstable_by(at, f64::total_cmp).1 < OF_ONE_SIZE;
        is_one.then(|| *sizes.select_nth_unstable(middle).1)
    }
}

/// Whether they come as if all came in half of the time, minutes of many after minutes of none. What rises and falls by the hour
/// says nothing.
fn are_in_bursts(issues: &Issues, span: &Range<u32>) -> bool {
    const SLOT: u32 = 300;
    let slots = issues.issued_by(span, SLOT);
    let mean = slots.iter().sum::<u64>() as f64 / slots.len().max(1) as f64;
    let squares = slots.windows(3).map(|three| (three[0] as f64 - 2.0 * three[1] as f64 + three[2] as f64).powi(2));
    // By chance the mean of these is six times the mean; beyond that it is the mean's square, over the
    // share of slots in which they come.
    let beyond = squares.sum::<f64>() / (slots.len().max(3) - 2) as f64 / 6.0 - mean;
    beyond >= mean * mean
}

/// Whether it is a job that runs by the clock.
pub fn is_by_the_clock(issues: &Issues, span: &Range<u32>) -> bool {
    clock_period(issues, span).is_some()
}

/// The period of a job that runs by the clock, if that is what it is: nearly all its tokens come within seconds of a whole
/// number of periods of a minute or more.
fn clock_period(issues: &Issues, span: &Range<u32>) -> Option<u32> {
    /// Tokens this close together are one run: of one process, of a job's many workers.
    const TOGETHER: [u32; 2] = [30, 150];
    TOGETHER.into_iter().find_map(|together| period_of_runs(issues, span, together))
}

fn period_of_runs(issues: &Issues, span: &Range<u32>, together: u32) -> Option<u32> {
    const RUNS_MIN: usize = 5;
    /// More tokens a run than that are waste within it: a job has hardly more workers.
    const TOKENS_A_RUN: u64 = 100;
    const TOKENS_A_RUN_OF_SEVERAL: u64 = 3;
    /// A run begins this late at most, and so many show it.
    const JITTER: [(i64, usize); 2] = [(20, 5), (60, 24)];
    /// Runs looked at: enough to tell, and bounded.
    const RUNS_MAX: usize = 5_000;
    let mut runs: Vec<u32> = Vec::new();
    let mut last = None;
    // The first one may have begun before.
    let mut start = issues.seconds(span).next()?;
    while let Some(before) = issues.seconds(&(start.saturating_sub(together)..start)).next() {
        start = before;
    }
    let span = &(start..span.end);
    for second in issues.seconds(span) {
        if last.is_none_or(|last: u32| second - last > together) {
            runs.push(second);
            if runs.len() > RUNS_MAX {
                break;
            }
        }
        last = Some(second);
    }
    if runs.len() < RUNS_MIN || issues.issued(&(span.start..last?)) > TOKENS_A_RUN * runs.len() as u64 {
        return None;
    }
    let mut gaps: Vec<u32> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    // Schedules are in whole minutes.
    let period = (gaps[gaps.len() / 2] + 30) / 60 * 60;
    if period < 2 * together {
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
    let is_near = |jitter: i64| {
        let near = phases.iter().filter(|phase| (*phase - middle).abs() <= jitter.min(i64::from(period) / 6)).count();
        near * 10 >= phases.len() * 9
    };
    let is_one = JITTER.iter().any(|(jitter, runs)| phases.len() >= *runs && is_near(*jitter));
    if is_one {
        return Some(period);
    }
    let is_few = issues.issued(&(span.start..last?)) <= TOKENS_A_RUN_OF_SEVERAL * runs.len() as u64;
    [3600, 86_400].into_iter().find(|period| is_few && are_several(&runs, *period))
}

/// Whether nearly all runs begin at the same few times of every hour, or of every day: several jobs of one client, or a job
/// whose times are not evenly apart.
fn are_several(runs: &[u32], period: u32) -> bool {
    /// Runs this close together in the period begin at the same time.
    const TOGETHER: u32 = 40;
    /// Times that take more of the hours in which there are runs are met by chance: who asks by day has no other hours.
    const SHARE: u32 = 3;
    const RUNS_A_TIME: usize = 3;
    let mut phases: Vec<u32> = runs.iter().map(|run| run % period).collect();
    phases.sort_unstable();
    let mut times: Vec<usize> = Vec::new();
    let mut first = None;
    for phase in phases {
        match (first, times.last_mut()) {
            (Some(first), Some(count)) if phase - first < TOGETHER => *count += 1,
            _ => {
                first = Some(phase);
                times.push(1);
            }
        }
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    let mut found = 0;
    let needed = times.iter().take_while(|count| {
        let is_wanted = found * 10 < runs.len() * 9;
        found += **count;
        is_wanted
    });
    let needed = needed.count();
    let hours: BTreeSet<u32> = runs.iter().map(|run| run % period / 3600).collect();
    needed * RUNS_A_TIME <= runs.len() && needed as u32 * TOGETHER * SHARE <= hours.len() as u32 * 3600
}

/// Whether tokens have successors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// Most are followed by one so many seconds later, by more than chance.
    After(u32),
    /// The same, and many also after a shorter time: bursts, or a fleet started in several.
    Multiple(u32),
    /// There was time for it, and they are not.
    Never,
    /// Too few, or too many at once, to tell.
    Unclear,
}

/// Looks for the time after which tokens have successors: how many pairs of tokens are so long apart, against how many
/// are a little less or a little more, by chance.
fn renewal(issues: &Issues, span: &Range<u32>, lifetime: Lifetime) -> Renewal {
    /// Those renewed later than their lifetime wait for the next request.
    const LATEST_PERCENT: u64 = 105;
    /// Of tokens that live shorter than is assumed, many are seen only by looking at more of them, and less far.
    const SOON: u32 = 7200;
    let latest = (u64::from(lifetime.seconds) * LATEST_PERCENT / 100).min(u64::from(span.end - span.start) / 2) as u32;
    if lifetime.from == LifetimeFrom::Default && latest > SOON {
        let near = renewal_within(issues, span, lifetime, SOON);
        if matches!(near, Renewal::After(_) | Renewal::Multiple(_)) {
            return near;
        }
    }
    renewal_within(issues, span, lifetime, latest)
}

/// The same, of times up to `latest`.
fn renewal_within(issues: &Issues, span: &Range<u32>, lifetime: Lifetime, latest: u32) -> Renewal {
    /// Tokens whose successors are looked for, and pairs looked at: enough to tell, and bounded.
    const TOKENS: usize = 4_000;
    const TOKENS_MIN: usize = 20;
    const PAIRS: usize = 500_000;
    /// So many of the longest lags back: what happens now counts.
    const LAGS: u32 = 30;
    let edges = lags(latest);
    let seconds: Vec<u32> = issues.seconds(span).collect();
    let within = |period: Range<u32>| {
        let before = |end: u32| seconds.partition_point(|second| *second < end);
        &seconds[before(period.start)..before(period.end)]
    };
    let end = span.end - latest;
    let begin = end.saturating_sub(latest.saturating_mul(LAGS)).max(span.start);
    let followed = within(begin..end);
    let length = (span.end - begin).max(1) as usize;
    let partners = (within(begin..span.end).len() * latest as usize / length).max(1);
    let every = followed.len().div_ceil((PAIRS / partners).clamp(1, TOKENS)).max(1);
    // Any one of so many: every n-th would be of the same few processes of a fleet, again and again.
    let any_of = |some: &[u32]| some[(some[0].wrapping_mul(0x9e37_79b1) >> 8) as usize % some.len()];
    let tokens: Vec<u32> = followed.chunks(every).map(any_of).collect();
    if tokens.len() < TOKENS_MIN || edges.len() < 2 {
        return Renewal::Unclear;
    }
    let pairs = Pairs::count(&tokens, &seconds, &edges);
    let is_rhythm = |lag: &u32| {
        // Early ones must go on and on, and not by chance. Bursts in which a fleet was started, minutes apart, do not.
        let by_chance = partners as f64 / f64::from(latest) * 0.4 * f64::from(*lag);
        let followed = |lag: u32| followed_after(lag, &tokens, &seconds);
        let is_chance = || by_chance >= 2.0 && followed(lag + lag / 2) * 2 > tokens.len();
        let goes_on = || lifetime.from == LifetimeFrom::Default && pairs.stand_out(*lag, 2);
        // After a burst the others come once, and not again.
        let comes_again = || *lag > latest / 2 || followed(*lag * 2) * 10 >= tokens.len() * 8;
        let is_early = || followed(*lag) * 10 >= tokens.len() * 9 && comes_again() && (!is_chance() || goes_on());
        *lag > lifetime.seconds / EARLY || is_early()
    };
    let mut lags = pairs.lags().peekable();
    let shortest = lags.peek().copied();
    match lags.find(is_rhythm) {
        Some(lag) if shortest == Some(lag) => Renewal::After(lag),
        Some(lag) => Renewal::Multiple(lag),
        None if latest >= lifetime.seconds && pairs.exclude(lifetime.seconds / 2) => Renewal::Never,
        None => Renewal::Unclear,
    }
}

/// Bounds of the lags that are told apart: each half a per cent greater than the one before, and two seconds at least.
fn lags(latest: u32) -> Vec<u32> {
    const SHORTEST: u32 = 20;
    let next = |edge: &u32| Some((edge + 2).max((f64::from(*edge) * 1.005) as u32));
    std::iter::successors(Some(SHORTEST), next).take_while(|edge| *edge <= latest).collect()
}

/// How many have another one about `lag` seconds later.
fn followed_after(lag: u32, tokens: &[u32], seconds: &[u32]) -> usize {
    let is_followed = |token: &&u32| {
        let from = seconds.partition_point(|second| *second < *token + lag - lag / 5);
        seconds.get(from).is_some_and(|second| *second <= *token + lag + lag / 5)
    };
    tokens.iter().filter(is_followed).count()
}

/// Pairs of tokens by how long they are apart.
struct Pairs<'a> {
    tokens: f64,
    /// Tokens a second, where they are looked at.
    density: f64,
    edges: &'a [u32],
    /// Of pairs that are less than each edge apart.
    below: Vec<u64>,
}

/// Pairs about one lag beyond those that chance gives.
struct Excess {
    /// A token.
    share: f64,
    /// A token, by chance.
    chance: f64,
    /// Of `share`, one standard deviation.
    error: f64,
}

impl<'a> Pairs<'a> {
    fn count(tokens: &[u32], seconds: &[u32], edges: &'a [u32]) -> Self {
        /// Lags are counted apart up to so many; where they are longer, several together.
        const LAGS_MAX: u32 = 1 << 20;
        let latest = edges.last().copied().unwrap_or(0);
        let grain = latest / LAGS_MAX + 1;
        let mut apart = vec![0_u32; (latest / grain + 1) as usize];
        for token in tokens {
            let from = seconds.partition_point(|second| *second <= *token);
            let later = seconds[from..].iter().map(|second| second - token).take_while(|lag| *lag < latest);
            later.for_each(|lag| apart[(lag / grain) as usize] += 1);
        }
        let (mut at, mut sum) = (0, 0);
        let below = edges.iter().map(|edge| {
            let end = (edge / grain) as usize;
            sum += apart[at..end].iter().map(|pairs| u64::from(*pairs)).sum::<u64>();
            at = end;
            sum
        });
        let below = below.collect();
        let length = tokens.last().zip(tokens.first()).map_or(1, |(last, first)| last - first);
        let density = tokens.len() as f64 / f64::from(length.max(1));
        Self { tokens: tokens.len() as f64, density, edges, below }
    }

    /// In `width` bins from bin `at` on, against as many on both sides, one width away.
    fn excess(&self, at: usize, width: usize) -> Option<Excess> {
        let of = |from: usize| {
            let (begin, end) = (*self.edges.get(from)?, *self.edges.get(from + width)?);
            Some(((self.below[from + width] - self.below[from]) as f64, f64::from(end - begin)))
        };
        let (count, length) = of(at)?;
        let (before, length_before) = of(at.checked_sub(2 * width)?)?;
        let after = of(at + 2 * width);
        let density = match after {
            Some((after, length_after)) => (before / length_before + after / length_after) / 2.0,
            None => before / length_before,
        };
        let chance = density * length;
        // The count scatters, and so does what it is compared with; tokens so close together share what they count.
        let shared = 1.0 + self.density * length;
        let error = (chance * 1.5 * shared + 1.0).sqrt() / self.tokens;
        Some(Excess { share: (count - chance) / self.tokens, chance: chance / self.tokens, error })
    }

    /// Exact to the second, or not: how wide to look, and how far it must stand out. Rhythms of the day give broad bumps.
    const SCALES: [(usize, f64); 3] = [(1, 0.2), (3, 0.2), (9, 1.0)];

    /// Whether from this bin on more pairs are found than chance has it, seen at this scale.
    fn is_found(&self, at: usize, (width, contrast): (usize, f64)) -> bool {
        self.excess(at, width).is_some_and(|Excess { share, chance, error }| {
            share >= 0.5 && share >= 6.0 * error && share >= chance * contrast
        })
    }

    /// Whether as many have one `times` as much later: what renews goes on.
    fn stand_out(&self, lag: u32, times: u32) -> bool {
        let wanted = lag.saturating_mul(times);
        let near = wanted - wanted / 50..wanted + wanted / 50;
        let bins = (0..self.edges.len()).filter(|at| near.contains(&self.edges[*at]));
        bins.into_iter().any(|at| Self::SCALES.into_iter().any(|scale| self.is_found(at, scale)))
    }

    /// Lags after which at least every other token has a successor, ascending.
    fn lags(&self) -> impl Iterator<Item = u32> {
        let found = move |at: usize| {
            let (width, _) = Self::SCALES.into_iter().find(|scale| self.is_found(at, *scale))?;
            // A wide look finds it early: where it is, the next few are fullest.
            let end = (at + 2 * width).min(self.edges.len() - 1);
            let fullest = (at + 1..=end).max_by_key(|bin| self.below[*bin] - self.below[bin - 1])?;
            Some(self.edges[fullest])
        };
        (0..self.edges.len()).filter_map(found)
    }

    /// Whether it is out of the question that a fleet renews after `earliest` seconds or more, each at its own time.
    fn exclude(&self, earliest: u32) -> bool {
        let first = self.edges.partition_point(|edge| *edge < earliest);
        let is_excluded = |width| {
            let mut looked = (first..self.edges.len()).filter_map(|at| self.excess(at, width)).peekable();
            looked.peek().is_some() && looked.all(|Excess { share, error, .. }| share + 2.0 * error < 0.35)
        };
        [1, 3].into_iter().any(is_excluded)
    }
}

/// So many spans are enough to judge by their evenness alone, and to do so again and again.
const SPANS_ENOUGH: usize = 7;
const SPANS_SURE: usize = 20;
const MARGIN_SURE: f64 = 4.0;

/// How much the number of tokens differs from that of the spans beside it, as a multiple of what chance (Poisson) would give.
struct Unevenness {
    value: f64,
    /// Of the estimate: 1.3 standard errors, so that one in ten is beyond.
    error: f64,
    /// Spans that were compared with those beside them.
    compared: usize,
}

impl Unevenness {
    /// Half of what chance would give is where they are told apart.
    const EVEN: f64 = 0.6;

    /// With so many times more than chance of the estimate to spare.
    fn is_even(&self, margin: f64, compared_min: usize) -> bool {
        self.compared >= compared_min && self.value + self.error * margin < Self::EVEN
    }

    fn is_uneven(&self) -> bool {
        self.compared >= SPANS_ENOUGH && self.value - self.error > Self::EVEN
    }

    /// The same over two lifetimes, for so many tokens alive at a time. Processes that ask seldom come the less evenly the
    /// longer they wait once their tokens have run out: of waits of half a lifetime the value is 0.33, of one 0.46, of two
    /// 0.64, of six 0.85. As many processes as expected wait for two at most if 0.4 tokens each are alive, for six with none.
    fn is_more_uneven_than_a_fleet(&self, alive: f64, processes_expected: u64) -> bool {
        let fleet = 0.85 - 0.25 * (alive / (0.4 * processes_expected.max(1) as f64)).min(1.0);
        self.compared >= SPANS_SURE && self.value - self.error * 1.25 > fleet
    }
}

/// The Hadamard variance of counts over spans of so many seconds: the mean square of the second difference of three
/// neighbours, over what chance would give it (R. A. Baugh, "Frequency modulation analysis with the Hadamard variance",
/// 1971). Unlike the Allan variance, of first differences, it says nothing of a steady rise or fall: of a fleet that follows
/// the day by tens of processes an hour as little as of the requests that follow it. The quarter of the spans that differ
/// most, those with a restart or a rollout, is left out.
fn unevenness(issues: &Issues, span: &Range<u32>, length: u32) -> Option<Unevenness> {
    const COMPARED_MIN: usize = 4;
    let counts = Counts::new(issues, span, length)?;
    let mut triples: Vec<f64> =
        counts.second_differences().map(|(difference, chance)| difference * difference / chance).collect();
    let compared = triples.len().div_ceil(counts.cells_a_span);
    if compared < COMPARED_MIN {
        return None;
    }
    triples.sort_by(f64::total_cmp);
    let kept = &triples[..triples.len() - triples.len() / 4];
    // Of chi-squared with one degree, the mean without the greatest quarter is 0.369. Spans that begin at every quarter of
    // the one before tell nearly three times as much as those that do not overlap: the variance of this mean, over its
    // square, is 2.4 over as many spans (simulated).
    let value = kept.iter().sum::<f64>() / kept.len() as f64 / 0.369;
    let error = 1.3 * value * (2.6 / compared as f64).sqrt();
    Some(Unevenness { value, error, compared })
}

/// Tokens in spans that overlap: a new one begins with each quarter of one.
struct Counts {
    /// Before each of those quarters.
    before: Vec<u64>,
    cells_a_span: usize,
}

impl Counts {
    fn new(issues: &Issues, span: &Range<u32>, length: u32) -> Option<Self> {
        const CELLS_MAX: u32 = 8_000;
        // Counts are known by windows only where there are several tokens a second.
        let grain = issues.grain_seconds();
        let cell = length.div_ceil(4).next_multiple_of(grain);
        let first = issues.seconds(span).next()?.next_multiple_of(grain);
        // The last ones: what happens now counts.
        let count = (span.end.saturating_sub(first) / cell).min(CELLS_MAX);
        let from = (span.end - span.end % grain).saturating_sub(count * cell);
        let mut before = vec![0];
        before.extend(issues.issued_by(&(from..from + count * cell), cell).into_iter().scan(0, |sum, issued| {
            *sum += issued;
            Some(*sum)
        }));
        Some(Self { before, cells_a_span: length.div_ceil(cell) as usize })
    }

    /// How often three spans that do not overlap stand side by side, each three at their own place.
    fn compared(&self) -> usize {
        self.second_differences().count().div_ceil(self.cells_a_span)
    }

    /// By how much each span differs from the middle of its neighbours, doubled, and the variance that chance (Poisson) would
    /// give it. Spans in which nobody asks say nothing.
    fn second_differences(&self) -> impl Iterator<Item = (f64, f64)> {
        let cells = self.cells_a_span;
        let of = move |at: &[u64]| {
            let [one, two, three] = [0, cells, 2 * cells].map(|from| (at[from + cells] - at[from]) as f64);
            (one - 2.0 * two + three, one + 4.0 * two + three)
        };
        self.before.windows(3 * cells + 1).map(of).filter(|(_, chance)| *chance > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;

    /// Runs from eight to six of each day, each so long after the one before, by day and by number.
    fn by_day(days: u32, after: impl Fn(u32, u32) -> u32) -> Vec<u32> {
        let mut runs = Vec::new();
        for day in 0..days {
            let mut run = day * DAY + 8 * 3600;
            for n in 0.. {
                run += after(day, n);
                if run >= day * DAY + 18 * 3600 {
                    break;
                }
                runs.push(run);
            }
        }
        runs
    }

    #[test]
    fn whoever_asks_again_and_again_by_day_is_not_several_jobs() {
        for (days, between) in [(4, 60), (4, 45), (7, 120), (7, 60), (14, 120)] {
            let scattered = |day: u32, n: u32| {
                let mixed = (day * 5_003 + n + 1).wrapping_mul(0x9E37_79B1);
                between * 3 / 4 + (mixed ^ mixed >> 15) % (between / 2)
            };
            assert!(!are_several(&by_day(days, scattered), DAY), "each {between} s for {days} days");
        }
        // Every second 20 minutes, else 31: the same times of each day, give or take some seconds.
        let jobs = by_day(7, |day, n| if n % 2 == 0 { 1200 + day % 3 } else { 1860 - day % 3 });
        assert!(are_several(&jobs, DAY));
    }
}
