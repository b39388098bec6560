//! Spikes: whether a count, or a share of failures, is out of line with its own recent past. Pure; knows nothing of what is
//! counted.

use super::activity::Attempts;
use super::quota::median;
use crate::event::{Day, EventTime};

/// Two thresholds, so that what is near one of them does not flap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    On,
    Between,
    Clear,
}

/// A window's count against what is usual for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    pub level: Level,
    /// The median of the windows it is compared with.
    pub expected: f64,
    /// From this count on it is a spike.
    pub threshold: f64,
    /// Deviations above what is expected.
    pub score: f64,
}

/// A spike has so many deviations, so many times what is expected, and so many events.
const SCORE: f64 = 6.0;
const TIMES: f64 = 3.0;
const EVENTS: f64 = 20.0;
/// It is over at so many times what is expected, or within so many deviations.
const CLEAR_TIMES: f64 = 1.5;
const CLEAR_SCORE: f64 = 2.0;
/// The standard deviation over the median absolute deviation, for normal values.
const DEVIATION_OF_MAD: f64 = 1.482_6;
/// The standard normal's quantile that is exceeded once in 100,000 times.
const RARE: f64 = 4.265;

/// Whether `now`, the count of the window that begins at `begin`, is a spike. `history` are the counts of the windows before
/// it, ascending and without a gap; what is beyond 21 days is not looked at. `None` with less than a day of it.
///
/// Compared with the windows up to an hour before and after the same time of day: of the last three weeks' days of the same
/// kind (Saturday and Sunday, or not; UTC) where there are three weeks, else of the last 14 days where there are seven, else
/// with all of the last 24 hours. The score is the modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle
/// Outliers", 1993), with a deviation of at least Poisson's, so that the usual count of a quiet class, and a MAD of zero, page
/// nobody. The count must also be beyond Poisson's upper tail at 1 in 100,000 (by the transform of Anscombe, 1948).
///
/// On Poisson noise with a daily and a weekly rhythm it was on in none of 66,816 windows (so less than one in 20,000, at 95 %
/// confidence), and of 10,176 bursts of five times as many events, 20 or more, it found 99.4 % in their own window.
pub fn detect(history: &[u64], windows_per_day: usize, begin: EventTime, now: u64) -> Option<Spike> {
    let usual = usual(history, windows_per_day, begin)?;
    let expected = median(&usual);
    let off: Vec<f64> = usual.iter().map(|count| (count - expected).abs()).collect();
    let deviation = (DEVIATION_OF_MAD * median(&off)).max(expected.max(1.0).sqrt());
    let tail = ((expected + 0.375).sqrt() + RARE / 2.0).powi(2) - 0.375;
    let threshold = (expected + SCORE * deviation).max(TIMES * expected).max(EVENTS).max(tail);
    let now = now as f64;
    let level = if now >= threshold {
        Level::On
    } else if now <= (CLEAR_TIMES * expected).max(expected + CLEAR_SCORE * deviation) {
        Level::Clear
    } else {
        Level::Between
    };
    Some(Spike { level, expected, threshold, score: (now - expected) / deviation })
}

/// The counts that a window is compared with.
fn usual(history: &[u64], windows_per_day: usize, begin: EventTime) -> Option<Vec<f64>> {
    let whole_days = history.len().checked_div(windows_per_day)?;
    let hour = windows_per_day / 24;
    let today = Day::of(begin);
    let kind = is_weekend(today);
    let is_compared = |ago: &usize| match whole_days {
        21.. => *ago <= 21 && is_weekend(today.plus(-(*ago as i64))) == kind,
        _ => *ago <= 14,
    };
    let of_day = |ago: usize| {
        let same = history.len() - ago * windows_per_day;
        &history[same.saturating_sub(hour)..(same + hour + 1).min(history.len())]
    };
    let counts: Vec<f64> = match whole_days {
        0 => return None,
        1..7 => history[history.len() - windows_per_day..].iter().map(|count| *count as f64).collect(),
        _ => (1..=whole_days).filter(is_compared).flat_map(of_day).map(|count| *count as f64).collect(),
    };
    Some(counts)
}

pub(super) fn is_weekend(day: Day) -> bool {
    day.since(day.week_start()) >= 5
}

/// The failures among attempts against those of before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    pub level: Level,
    /// Share of attempts that failed, with its 99 % interval.
    pub now: Share,
    pub before: Share,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// Fewer attempts say nothing of a share.
const ATTEMPTS: u64 = 30;
/// How much more must fail, as a share of attempts, to be worth a page.
const MARGIN: f64 = 0.1;
/// The standard normal's quantile of a 99 % interval.
const Z_99: f64 = 2.576;

/// Whether more attempts fail than before. On if the lower bound now is above the upper bound before by a tenth of all
/// attempts; it needs 30 attempts. Clear once the share is within the bounds of before; without any attempt it is neither.
/// `None` where there were fewer than 30 attempts before.
pub fn failures(now: Attempts, before: Attempts) -> Option<Failures> {
    let attempts = now.failed + now.succeeded;
    if before.failed + before.succeeded < ATTEMPTS {
        return None;
    }
    let (share, usual) = (wilson(now), wilson(before));
    let level = if attempts >= ATTEMPTS && share.lower > usual.upper + MARGIN {
        Level::On
    } else if attempts > 0 && share.value <= usual.upper {
        Level::Clear
    } else {
        Level::Between
    };
    Some(Failures { level, now: share, before: usual })
}

/// The share of failures with the score interval of Wilson ("Probable Inference", 1927), which holds near 0 and 1 too. Of no
/// attempts: 0, anywhere between 0 and 1.
pub fn wilson(attempts: Attempts) -> Share {
    let n = (attempts.failed + attempts.succeeded) as f64;
    if n == 0.0 {
        return Share { value: 0.0, lower: 0.0, upper: 1.0 };
    }
    let value = attempts.failed as f64 / n;
    let square = Z_99 * Z_99;
    let centre = (value + square / (2.0 * n)) / (1.0 + square / n);
    let half = Z_99 / (1.0 + square / n) * (value * (1.0 - value) / n + square / (4.0 * n * n)).sqrt();
    // Rounding must not put the share outside of its own bounds.
    Share { value, lower: (centre - half).clamp(0.0, value), upper: (centre + half).clamp(value, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::super::chance::Chance;
    use super::*;
    use proptest::prelude::*;

    const PER_DAY: usize = 288;
    const DAY_MS: i64 = 86_400_000;
    /// A Monday.
    const MONDAY: i64 = 4 * DAY_MS;

    /// Begin of a window so many after the Monday's first.
    fn begin(window: usize) -> EventTime {
        EventTime::from_ms(MONDAY + window as i64 * DAY_MS / PER_DAY as i64)
    }

    /// A night with a fifth of the events of the day, and weekends with so much of the week's.
    fn rhythm(window: usize, weekend: f64) -> f64 {
        let of_day = 0.6 - 0.4 * (std::f64::consts::TAU * (window % PER_DAY) as f64 / PER_DAY as f64).cos();
        if (window / PER_DAY) % 7 >= 5 { of_day * weekend } else { of_day }
    }

    #[test]
    fn noise_is_no_spike_and_a_burst_is_one_at_once() {
        let (mut windows, mut alarms, mut bursts, mut found) = (0_u32, 0_u32, 0_u32, 0_u32);
        for (seed, mean) in [0.05, 0.5, 2.0, 5.0, 12.0, 30.0, 100.0, 400.0].into_iter().enumerate() {
            let mut chance = Chance::new(seed as u64);
            let days = 30;
            let weekend = chance.between(0.3, 1.0);
            let counts: Vec<u64> =
                (0..days * PER_DAY).map(|window| chance.poisson(mean * rhythm(window, weekend))).collect();
            for window in PER_DAY..counts.len() {
                let spike = detect(
                    &counts[window.saturating_sub(22 * PER_DAY)..window],
                    PER_DAY,
                    begin(window),
                    counts[window],
                );
                windows += 1;
                alarms += u32::from(spike.expect("a day").level == Level::On);
                let burst = 5.0 * mean * rhythm(window, weekend);
                // From three weeks on every kind of day is known.
                if window >= 21 * PER_DAY && burst >= 20.0 {
                    let history = &counts[window - 21 * PER_DAY..window];
                    let spike = detect(history, PER_DAY, begin(window), burst.round() as u64).expect("three weeks");
                    bursts += 1;
                    found += u32::from(spike.level == Level::On);
                }
            }
        }
        println!("spikes: {alarms} false alarms in {windows} windows, {found} of {bursts} bursts found");
        assert!(f64::from(alarms) < f64::from(windows) / 10_000.0, "{alarms} of {windows}");
        assert!(f64::from(found) > 0.99 * f64::from(bursts), "{found} of {bursts}");
    }

    #[test]
    fn what_is_compared_depends_on_how_much_is_known() {
        // 10 on weekdays and 100 on weekends, all day.
        let counts: Vec<u64> =
            (0..28 * PER_DAY).map(|window| if (window / PER_DAY) % 7 >= 5 { 100 } else { 10 }).collect();
        let expected = |from: usize, window: usize| {
            detect(&counts[from..window], PER_DAY, begin(window), 50).map(|spike| spike.expected)
        };
        assert_eq!(expected(0, PER_DAY - 1), None);
        // Saturday noon: with less than a week, its last 24 hours; with less than three, weekdays; then other weekends.
        let saturday = 26 * PER_DAY + PER_DAY / 2;
        assert_eq!(expected(saturday - 3 * PER_DAY, saturday), Some(55.0));
        assert_eq!(expected(saturday - 14 * PER_DAY, saturday), Some(10.0));
        assert_eq!(expected(saturday - 21 * PER_DAY, saturday), Some(100.0));
        assert_eq!(detect(&[], PER_DAY, begin(0), 1), None);
    }

    #[test]
    fn a_class_that_never_occurs_needs_twenty_events() {
        let level = |now| detect(&[0; 8 * PER_DAY], PER_DAY, begin(0), now).map(|spike| spike.level);
        assert_eq!(level(0), Some(Level::Clear));
        assert_eq!(level(2), Some(Level::Clear));
        assert_eq!(level(19), Some(Level::Between));
        assert_eq!(level(20), Some(Level::On));
    }

    #[test]
    fn failures_need_attempts_and_a_margin() {
        let attempts = |failed, succeeded| Attempts { failed, succeeded };
        let level = |now, before| failures(now, before).map(|found| found.level);
        let before = attempts(50, 950);
        assert_eq!(level(attempts(20, 10), before), Some(Level::On));
        assert_eq!(level(attempts(20, 9), before), Some(Level::Between));
        assert_eq!(level(attempts(15, 85), before), Some(Level::Between));
        assert_eq!(level(attempts(1, 30), before), Some(Level::Clear));
        assert_eq!(level(attempts(0, 0), before), Some(Level::Between));
        assert_eq!(level(attempts(30, 0), attempts(20, 9)), None);
    }

    #[test]
    fn wilsons_bounds_are_the_shares_that_just_fit() {
        let share = wilson(Attempts { failed: 5, succeeded: 15 });
        for bound in [share.lower, share.upper] {
            let deviation = (bound * (1.0 - bound) / 20.0).sqrt();
            assert!(((bound - 0.25).abs() / deviation - Z_99).abs() < 1e-9, "{share:?}");
        }
        assert_eq!(wilson(Attempts { failed: 0, succeeded: 40 }).lower, 0.0);
    }

    proptest! {
        #[test]
        fn more_events_are_never_less_of_a_spike(
            history in prop::collection::vec(0_u64..1000, 24..24 * 30), day in 0_usize..7, now in 0_u64..5000, more in 0_u64..5000
        ) {
            let rank = |level| match level { Level::Clear => 0, Level::Between => 1, Level::On => 2 };
            let spike = |now| detect(&history, 24, begin(day * PER_DAY), now).expect("a day");
            let (less, more) = (spike(now), spike(now + more));
            prop_assert!(rank(less.level) <= rank(more.level));
            prop_assert!(less.threshold >= EVENTS && less.threshold >= TIMES * less.expected);
            // And a busier past never makes a lower threshold.
            let busier: Vec<u64> = history.iter().map(|count| count * 3).collect();
            let busier = detect(&busier, 24, begin(day * PER_DAY), now).expect("a day");
            prop_assert!(busier.threshold >= less.threshold);
        }

        #[test]
        fn a_share_is_within_its_interval(failed in 0_u64..10_000, succeeded in 0_u64..10_000) {
            let share = wilson(Attempts { failed, succeeded });
            prop_assert!(0.0 <= share.lower && share.lower <= share.value && share.value <= share.upper && share.upper <= 1.0);
        }
    }
}
