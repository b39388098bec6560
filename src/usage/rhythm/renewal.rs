//! After how long a token is followed by another one: the time after which caches renew, or the pace of a loop.

use std::ops::Range;

use super::EARLY;
use crate::usage::ghost::{Lifetime, LifetimeFrom};
use crate::usage::tokens::Issues;

/// Whether tokens have successors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Most are followed by one so many seconds later, by more than chance.
    After(u32),
    /// The same, and many also after a shorter time: bursts, or a fleet started in several.
    Multiple(u32),
    /// There was time for it, and they are not.
    Never,
    /// Of a fleet that was started in steps as much as of caches that forget.
    Twofold,
    /// Too few, or too many at once, to tell.
    Unclear,
}

/// Looks for the time after which tokens have successors: how many pairs of tokens are so long apart, against how many
/// are a little less or a little more, by chance.
pub fn renewal(issues: &Issues, span: &Range<u32>, lifetime: Lifetime) -> Renewal {
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
    /// Tokens of which it is asked, for each lag that stands out, whether another one follows.
    const ASKED: usize = 500;
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
    let asked: Vec<u32> = tokens.iter().step_by(tokens.len().div_ceil(ASKED)).copied().collect();
    let is_rhythm = |lag: u32| {
        // Early ones must go on and on, and not by chance. Bursts in which a fleet was started, minutes apart, do not.
        let by_chance = partners as f64 / f64::from(latest) * 0.4 * f64::from(lag);
        let followed_within = |lag: u32, about: u32| followed_after(lag, about, &asked, &seconds);
        let followed = |lag: u32| followed_within(lag, lag / 5);
        let is_chance = || by_chance >= 2.0 && followed(lag + lag / 2) * 2 > asked.len();
        let goes_on = || lifetime.from == LifetimeFrom::Default && pairs.stand_out(lag, 2);
        // After a burst the others come once, and not again.
        let comes_again = || lag > latest / 2 || followed(lag * 2) * 10 >= asked.len() * 8;
        let is_early = || followed(lag) * 10 >= asked.len() * 9 && comes_again() && (!is_chance() || goes_on());
        // At the edges of a day some have many so much later, and most have none.
        let is_of_many = || followed_within(lag, lag / 10) * 10 >= asked.len() * 4;
        if lag > lifetime.seconds / EARLY { is_of_many() } else { is_early() }
    };
    let lags: Vec<u32> = pairs.lags().collect();
    let first = |is_wanted: &dyn Fn(u32) -> bool| lags.iter().copied().find(|lag| is_wanted(*lag));
    match first(&is_rhythm) {
        Some(lag) if lags.first() == Some(&lag) => Renewal::After(lag),
        Some(lag) if lag > lifetime.seconds / EARLY => match first(&|lag| pairs.are_spread_over(lag)) {
            Some(early) if early < lag && pairs.sharpness(early) > 2.0 * pairs.sharpness(lag) => {
                Renewal::Multiple(early)
            }
            Some(early) if early < lag => Renewal::Twofold,
            _ => Renewal::Multiple(lag),
        },
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

/// How many have another one `lag` seconds later, give or take `about`.
fn followed_after(lag: u32, about: u32, tokens: &[u32], seconds: &[u32]) -> usize {
    let is_followed = |token: &&u32| {
        let from = seconds.partition_point(|second| *second < *token + lag - about);
        seconds.get(from).is_some_and(|second| *second <= *token + lag + about)
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

    /// The narrowest look that finds more pairs than chance has from this bin on.
    fn width_found(&self, at: usize) -> Option<usize> {
        Self::SCALES.into_iter().find(|scale| self.is_found(at, *scale)).map(|(width, _)| width)
    }

    fn bins(&self, lags: Range<u32>) -> impl Iterator<Item = usize> {
        (0..self.edges.len()).filter(move |at| lags.contains(&self.edges[*at]))
    }

    /// Whether as many have one `times` as much later: what renews goes on.
    fn stand_out(&self, lag: u32, times: u32) -> bool {
        let wanted = lag.saturating_mul(times);
        let near = wanted - wanted / 50..wanted + wanted / 50;
        self.bins(near).any(|at| self.width_found(at).is_some())
    }

    /// Whether tokens come at any point of this rhythm, as those of processes with a rhythm of their own each: a fleet that
    /// was started in steps has many of each step close together, or those of steps of one all equally far apart.
    fn are_spread_over(&self, lag: u32) -> bool {
        let Some(bin) = self.edges.iter().position(|edge| *edge >= lag / 10) else { return false };
        let (close, all) = (self.below[bin] as f64, self.below.last().copied().unwrap_or(0) as f64);
        let by_chance = all * f64::from(self.edges[bin]) / f64::from(self.edges.last().copied().unwrap_or(1));
        (0.5..1.7).contains(&(close / by_chance))
    }

    /// The most successors a second, beyond chance, about this lag: of one rhythm the fewer, the more often it has gone round.
    fn sharpness(&self, lag: u32) -> f64 {
        let near = lag - lag / 20..lag + lag / 20;
        let of = |at: usize| {
            let width = self.width_found(at)?;
            Some(self.excess(at, width)?.share / f64::from(self.edges[at + width] - self.edges[at]))
        };
        self.bins(near).filter_map(of).fold(0.0, f64::max)
    }

    /// Lags after which at least every other token has a successor, ascending.
    fn lags(&self) -> impl Iterator<Item = u32> {
        let found = move |at: usize| {
            let width = self.width_found(at)?;
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

/// After how many seconds the next token comes, if that is nearly always about as many: a loop. Those of a fleet come now
/// closer together and now further apart.
pub fn steady_gap(issues: &Issues, span: &Range<u32>) -> Option<u32> {
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
