//! How evenly tokens come, against those that come by chance.

use std::ops::Range;

use crate::usage::tokens::Issues;

/// So many spans are enough to judge by their evenness alone, and to do so again and again.
pub const SPANS_ENOUGH: usize = 7;
pub const SPANS_SURE: usize = 20;
pub const MARGIN_SURE: f64 = 4.0;

/// How much the number of tokens differs from that of the spans beside it, as a multiple of what chance (Poisson) would give.
pub struct Unevenness {
    pub value: f64,
    /// Of the estimate: 1.3 standard errors, so that one in ten is beyond.
    error: f64,
    /// Spans that were compared with those beside them.
    pub compared: usize,
}

impl Unevenness {
    /// Half of what chance would give is where they are told apart.
    pub const EVEN: f64 = 0.6;

    /// With so many times more than chance of the estimate to spare.
    pub fn is_even(&self, margin: f64, compared_min: usize) -> bool {
        self.compared >= compared_min && self.value + self.error * margin < Self::EVEN
    }

    pub fn is_uneven(&self) -> bool {
        self.compared >= SPANS_ENOUGH && self.value - self.error > Self::EVEN
    }

    /// The same over two lifetimes, for so many tokens alive at a time. Processes that ask seldom come the less evenly the
    /// longer they wait once their tokens have run out: of waits of half a lifetime the value is 0.33, of one 0.46, of two
    /// 0.64, of six 0.85. As many processes as expected wait for two at most if 0.4 tokens each are alive, for six with none.
    pub fn is_more_uneven_than_a_fleet(&self, alive: f64, processes_expected: u64) -> bool {
        let fleet = 0.85 - 0.25 * (alive / (0.4 * processes_expected.max(1) as f64)).min(1.0);
        self.compared >= SPANS_SURE && self.value - self.error * 1.25 > fleet
    }
}

/// The Hadamard variance of counts over spans of so many seconds: the mean square of the second difference of three
/// neighbours, over what chance would give it (R. A. Baugh, "Frequency modulation analysis with the Hadamard variance",
/// 1971). Unlike the Allan variance, of first differences, it says nothing of a steady rise or fall: of a fleet that follows
/// the day by tens of processes an hour as little as of the requests that follow it. The quarter of the spans that differ
/// most, those with a restart or a rollout, is left out.
pub fn unevenness(issues: &Issues, span: &Range<u32>, length: u32) -> Option<Unevenness> {
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
pub struct Counts {
    /// Before each of those quarters; of each time in which somebody was there by itself.
    before: Vec<Vec<u64>>,
    cells_a_span: usize,
}

impl Counts {
    pub fn new(issues: &Issues, span: &Range<u32>, length: u32) -> Option<Self> {
        const CELLS_MAX: u32 = 8_000;
        // Counts are known by windows only where there are several tokens a second.
        let grain = issues.grain_seconds();
        let cell = length.div_ceil(4).next_multiple_of(grain);
        let first = issues.seconds(span).next()?.next_multiple_of(grain);
        // The last ones: what happens now counts.
        let first = first.max(span.end.saturating_sub(CELLS_MAX.saturating_mul(cell)));
        if first >= span.end {
            return None;
        }
        let count = |period: Range<u32>| {
            let count = period.end.saturating_sub(period.start) / cell;
            let from = (period.end - period.end % grain).saturating_sub(count * cell);
            let mut before = vec![0];
            before.extend(issues.issued_by(&(from..from + count * cell), cell).into_iter().scan(0, |sum, issued| {
                *sum += issued;
                Some(*sum)
            }));
            before
        };
        let before = busy(issues, first..span.end, length).into_iter().map(count).collect();
        Some(Self { before, cells_a_span: length.div_ceil(cell) as usize })
    }

    /// How often three spans that do not overlap stand side by side, each three at their own place.
    pub fn compared(&self) -> usize {
        self.second_differences().count().div_ceil(self.cells_a_span)
    }

    /// By how much each span differs from the middle of its neighbours, doubled, and the variance that chance (Poisson) would
    /// give it. Spans in which nobody asks say nothing.
    pub fn second_differences(&self) -> impl Iterator<Item = (f64, f64)> {
        let cells = self.cells_a_span;
        let of = move |at: &[u64]| {
            let [one, two, three] = [0, cells, 2 * cells].map(|from| (at[from + cells] - at[from]) as f64);
            (one - 2.0 * two + three, one + 4.0 * two + three)
        };
        let periods = self.before.iter().flat_map(move |before| before.windows(3 * cells + 1));
        periods.map(of).filter(|(_, chance)| *chance > 0.0)
    }
}

/// When somebody was there: the period without the pauses, as over night, in which nobody asked for so long that many would
/// have. Who comes and who goes is uneven whatever it does between, so that the first and the last span beside a pause
/// count for nothing.
fn busy(issues: &Issues, period: Range<u32>, length: u32) -> Vec<Range<u32>> {
    /// So many would have come.
    const MANY: u64 = 20;
    let issued = issues.issued(&period).max(1);
    let long = u64::from(length).max(u64::from(period.end - period.start) * MANY / issued);
    let (mut found, mut begin, mut last) = (Vec::new(), period.start, period.start);
    let ends = issues.seconds(&period).chain([period.end]);
    for second in ends {
        if u64::from(second - last) > long {
            found.push(begin..last.saturating_sub(length));
            begin = second.saturating_add(length);
        }
        last = second;
    }
    found.push(begin..period.end);
    found.retain(|busy| !busy.is_empty());
    found
}
