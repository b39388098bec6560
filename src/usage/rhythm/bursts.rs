//! Tokens that come in bursts: of processes that are started together, once or again and again.

use std::ops::Range;

use crate::usage::tokens::Issues;

/// Tokens that come close together, and when.
pub struct Bursts {
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

    pub fn new(issues: &Issues, span: &Range<u32>) -> Self {
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
    pub fn started_together(&self) -> Option<u64> {
        let (_, a_day) = Self::A_DAY.into_iter().find(|(length, _)| self.longest <= *length)?;
        let is_often = self.found.windows(a_day + 1).any(|some| some[a_day].0 - some[0].0 < 86_400);
        self.found.iter().map(|(_, size)| *size).max().filter(|_| self.are_all && !is_often)
    }

    /// How many tokens a burst has, if many have about as many as the one before, however often they come: the same processes
    /// started again and again have, and who asks for every step of its work has not.
    pub fn started_again(&self) -> Option<u64> {
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
pub fn are_in_bursts(issues: &Issues, span: &Range<u32>) -> bool {
    const SLOT: u32 = 300;
    let slots = issues.issued_by(span, SLOT);
    let mean = slots.iter().sum::<u64>() as f64 / slots.len().max(1) as f64;
    let squares = slots.windows(3).map(|three| (three[0] as f64 - 2.0 * three[1] as f64 + three[2] as f64).powi(2));
    // By chance the mean of these is six times the mean; beyond that it is the mean's square, over the
    // share of slots in which they come.
    let beyond = squares.sum::<f64>() / (slots.len().max(3) - 2) as f64 / 6.0 - mean;
    beyond >= mean * mean
}
