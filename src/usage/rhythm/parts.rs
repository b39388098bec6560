//! Where somebody began to ask for far more or far less, and went on with it: what was before says nothing of what is after.

use std::ops::Range;

use crate::usage::tokens::Issues;

const HOUR: u32 = 3600;
/// Hours that are compared: the day before and the day after.
const DAY: usize = 24;
/// So many times as much is another rate.
const CHANGE: u64 = 2;
/// So few more or less are none.
const TOKENS_MIN: u64 = 50;

/// The period, cut where the rate changed for a day and more; itself if it nowhere did.
pub fn parts(issues: &Issues, span: &Range<u32>) -> Vec<Range<u32>> {
    let counts = issues.issued_by(span, HOUR);
    let day = |hours: Range<usize>| counts[hours].iter().sum::<u64>();
    let change = |at: usize| {
        let (before, after) = (day(at - DAY..at), day(at..at + DAY));
        let (less, more) = (before.min(after), before.max(after) + 1);
        (more >= less * CHANGE && more - less >= TOKENS_MIN).then_some((more * 1000 / (less + 1), at))
    };
    let mut found: Vec<(u64, usize)> = (DAY..(counts.len() + 1).saturating_sub(DAY)).filter_map(change).collect();
    // Each change shows for hours: where it is greatest it is.
    found.sort_unstable_by(|a, b| b.cmp(a));
    let mut cuts: Vec<usize> = Vec::new();
    for (_, at) in found {
        if cuts.iter().all(|cut| cut.abs_diff(at) >= DAY) {
            cuts.push(at);
        }
    }
    cuts.sort_unstable();
    let begin = |cut: &usize| span.start + *cut as u32 * HOUR;
    let begins = std::iter::once(span.start).chain(cuts.iter().map(begin));
    begins.zip(cuts.iter().map(begin).chain([span.end])).map(|(begin, end)| begin..end).collect()
}
