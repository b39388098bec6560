//! Spikes: one window against its own recent past, and a connection's failures against its own. Pure functions over plain
//! series; nothing here knows what is counted, reads a clock or keeps anything.
//!
//! What is usual is a median and what is a spread a median absolute deviation (MAD), so that spikes of the past, up to half
//! of it, do not hide the next one. The distance is the modified z score of B. Iglewicz and D. Hoaglin, "How to Detect and
//! Handle Outliers" (ASQC, 1993), 0.6745 (x - median) / MAD; they call 3.5 an outlier, and a page needs 6.
//!
//! Measured by the tests below, by seeds that nothing here was chosen by: no false alarm in 309,312 windows of Poisson noise
//! whose rate swings by a factor of nine within each day (mean rates of 0.2 to 500 events a window); of 42,702 bursts of
//! five times the rate, and at least 20 events, every one was found in its own window. Real traffic scatters more than
//! Poisson noise, which the MAD takes in, but what that costs is not measured here.

use std::ops::Range;

use crate::event::{Day, EventTime};

/// A spike needs all of these.
const ON_SCORE: f64 = 6.0;
const ON_RATIO: f64 = 3.0;
const ON_EVENTS: f64 = 20.0;
/// It is over at this ratio, or at as few events: half of what it takes to begin.
const CLEAR_RATIO: f64 = 1.5;
pub const CLEAR_EVENTS: f64 = 10.0;
/// The chance that a count no less is mere Poisson noise at the usual rate: one window in ten million, which at a hundred
/// series of five-minute windows is one false alarm in a year.
const TAIL: f64 = 1e-7;
/// Sets a MAD to the scale of a standard deviation, for normal noise: 1 / 0.6745.
const MAD_TO_SD: f64 = 1.4826;
/// Days looked at: without the weekend apart, and with it.
const DAYS: usize = 14;
const DAYS_BY_KIND: usize = 28;
/// From so many days on a time of day is compared with itself, and from so many on weekends with weekends.
const DAYS_MIN: usize = 7;
const DAYS_BY_KIND_MIN: usize = 21;

/// How a window stands against its past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    pub level: Level,
    /// The usual count of such a window.
    pub expected: f64,
    /// The least count that is a spike.
    pub threshold: f64,
    /// The modified z score.
    pub score: f64,
    pub against: Against,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    On,
    /// Neither enough to begin nor little enough to end.
    Between,
    Clear,
}

/// What a window was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The hour before and after this time of day, on weekdays or on weekends, whichever it is.
    TimeOfDayAndKind { days: usize },
    /// The hour before and after this time of day.
    TimeOfDay { days: usize },
    /// The last 24 hours, since there is less than a week.
    LastDay,
}

/// How often what comes in bursts has to come to be usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bursts {
    /// By the same hours of days or weeks.
    Daily,
    /// Or twice in a week, whenever: processes that began together renew their tokens together.
    Recurring,
}

/// Judges the window that begins at `at`, with `now` events, by those right before it, oldest first. `None` while there is
/// less than a day of them.
///
/// What comes at the same time every day, such as a nightly job, or every week is no spike: a count is also compared with
/// the same window and its two neighbours of the days, and of the same weekdays, before.
pub fn detect(history: &[u64], windows_per_day: usize, at: EventTime, now: u64, bursts: Bursts) -> Option<Spike> {
    let days = history.len().checked_div(windows_per_day)?;
    if days == 0 {
        return None;
    }
    let past = Past { history, windows_per_day, today: Day::of(at) };
    let around = windows_per_day.div_ceil(24);
    let (against, usual) = if days >= DAYS_BY_KIND_MIN {
        let alike: Vec<_> = past.days_alike(days.min(DAYS_BY_KIND)).collect();
        (Against::TimeOfDayAndKind { days: alike.len() }, Usual::of(past.around(alike.into_iter(), around)))
    } else if days >= DAYS_MIN {
        let days = days.min(DAYS);
        (Against::TimeOfDay { days }, Usual::of(past.around(1..=days, around)))
    } else {
        // A rhythm that a day's median does not have may show at this time of the days there are.
        let last_day = Usual::of(history[history.len() - windows_per_day..].to_vec());
        let same_time = Usual::of(past.around(1..=days, around));
        (Against::LastDay, if same_time.median > last_day.median { same_time } else { last_day })
    };
    let peak = past.usual_peak(days, days >= DAYS_BY_KIND_MIN);
    let recurring = match bursts {
        Bursts::Daily => 0.0,
        Bursts::Recurring => past.recurring_peak(&usual),
    };
    Some(usual.judge(now as f64, peak.max(recurring), against))
}

struct Past<'a> {
    history: &'a [u64],
    windows_per_day: usize,
    today: Day,
}

impl Past<'_> {
    /// Days back that are weekdays as today is, or weekend days as today is.
    fn days_alike(&self, days: usize) -> impl Iterator<Item = usize> {
        let is_weekend = |back: usize| {
            let day = self.today.plus(-(back as i64));
            day.since(day.week_start()) >= 5
        };
        let today = is_weekend(0);
        (1..=days).filter(move |back| is_weekend(*back) == today)
    }

    /// Counts of the windows no further than `reach` from the same time, so many days back.
    fn around(&self, days_back: impl Iterator<Item = usize>, reach: usize) -> Vec<u64> {
        days_back.flat_map(|back| self.near(back, reach)).copied().collect()
    }

    fn near(&self, days_back: usize, reach: usize) -> &[u64] {
        let back = days_back * self.windows_per_day;
        let end = self.history.len();
        // The window itself is `end - back`; what is not there yet, or no more, is left out.
        &self.history[end.saturating_sub(back + reach).min(end)..(end + reach + 1).saturating_sub(back).min(end)]
    }

    /// What this window or one beside it usually reaches: by day, or by week where there are enough of them.
    fn usual_peak(&self, days: usize, by_week: bool) -> f64 {
        let peak = |back: usize| self.near(back, 1).iter().copied().max().unwrap_or(0);
        let daily = if by_week {
            self.days_alike(days.min(DAYS_BY_KIND)).map(peak).collect()
        } else {
            (1..=days.min(DAYS)).map(peak).collect()
        };
        let weekly =
            if by_week { (1..=days.min(DAYS_BY_KIND) / 7).map(|week| peak(week * 7)).collect() } else { vec![0] };
        median(daily).max(median(weekly))
    }

    /// What the second greatest burst of the last week reached. One that goes on until now is none yet, but for what of it
    /// is older than a day.
    fn recurring_peak(&self, usual: &Usual) -> f64 {
        const WEEK: usize = 7;
        /// Windows of quiet between two bursts.
        const APART: usize = 2;
        let high = usual.threshold(0.0) as u64;
        let last_week = &self.history[self.history.len().saturating_sub(WEEK * self.windows_per_day)..];
        let is_high = |window: &usize| last_week[*window] >= high;
        let mut runs: Vec<Range<usize>> = Vec::new();
        for window in (0..last_week.len()).filter(is_high) {
            match runs.last_mut() {
                Some(run) if window - run.end < APART => run.end = window + 1,
                _ => runs.push(window..window + 1),
            }
        }
        if let Some(run) = runs.last_mut().filter(|run| last_week.len() - run.end < APART) {
            run.end = run.end.min(last_week.len().saturating_sub(self.windows_per_day)).max(run.start);
        }
        // A burst may be cut by the end of a window.
        let reached = |run: &Range<usize>| {
            let windows = &last_week[run.clone()];
            windows.windows(2).map(|two| two[0] + two[1]).chain(windows.iter().copied()).max().unwrap_or(0)
        };
        let mut peaks: Vec<u64> = runs.iter().map(reached).collect();
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        peaks.get(1).map_or(0.0, |peak| *peak as f64)
    }
}

/// What a window usually counts.
struct Usual {
    median: f64,
    /// On the scale of a standard deviation, never below that of Poisson noise: counts do not scatter less, and a MAD of
    /// zero says only that more than half of the windows are alike.
    spread: f64,
}

impl Usual {
    fn of(counts: Vec<u64>) -> Self {
        let median = median(counts.clone());
        let mut deviations: Vec<_> = counts.iter().map(|count| (*count as f64 - median).abs()).collect();
        deviations.sort_unstable_by(f64::total_cmp);
        // A count stands for an interval of one around it, so half a unit of the deviation is rounding.
        let mad = (middle(&deviations) - 0.5).max(0.0);
        Self { median, spread: (MAD_TO_SD * mad).max(median.max(1.0).sqrt()) }
    }

    /// The least count that is a spike.
    fn threshold(&self, peak: f64) -> f64 {
        let Self { median: expected, spread } = *self;
        [
            ON_EVENTS,
            expected * ON_RATIO,
            expected + ON_SCORE * spread,
            poisson_above(expected),
            // The step up from what is usual here, so that what ends a spike cannot begin one.
            peak * CLEAR_RATIO + 1.0,
        ]
        .into_iter()
        .fold(0.0, f64::max)
        .ceil()
    }

    fn judge(&self, now: f64, peak: f64, against: Against) -> Spike {
        let Self { median: expected, spread } = *self;
        let threshold = self.threshold(peak);
        let level = if now >= threshold {
            Level::On
        } else if now <= (expected.max(peak) * CLEAR_RATIO).max(CLEAR_EVENTS) {
            Level::Clear
        } else {
            Level::Between
        };
        Spike { level, expected, threshold, score: (now - expected) / spread, against }
    }
}

/// The least count that Poisson noise of this mean reaches with a chance below [`TAIL`].
fn poisson_above(mean: f64) -> f64 {
    /// From here on the normal approximation with its first correction for skew is good to a part in a thousand, and the
    /// other conditions are far above it.
    const LARGE: f64 = 200.0;
    /// The quantile of the normal distribution at [`TAIL`].
    const Z: f64 = 5.1993;
    if mean <= 0.0 {
        return 1.0;
    }
    if mean > LARGE {
        return (mean + Z * mean.sqrt() + (Z * Z - 1.0) / 6.0).ceil();
    }
    // From a count in the far tail down, where its terms are summed from the smallest.
    let mut count = (mean + 12.0 * mean.sqrt() + 30.0).ceil();
    let mut term = (-mean + count * mean.ln() - ln_factorial(count)).exp();
    let mut tail = term;
    while tail < TAIL && count > 0.0 {
        term *= count / mean;
        count -= 1.0;
        tail += term;
    }
    count + 1.0
}

fn ln_factorial(count: f64) -> f64 {
    (2..=count as u64).map(|n| (n as f64).ln()).sum()
}

fn median(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let values: Vec<_> = counts.into_iter().map(|count| count as f64).collect();
    middle(&values)
}

/// The median of what is sorted; nothing has a median of zero.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// Attempts below which a share says nothing.
pub const ATTEMPTS_MIN: u64 = 50;
/// How much more must fail than ever before, as a share of all attempts, to begin and to end.
const ON_MARGIN: f64 = 0.10;
const CLEAR_MARGIN: f64 = 0.05;
/// The normal quantile of a 99 % interval on both sides.
const Z_99: f64 = 2.5758;

/// How a connection's failures stand against its past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureRatio {
    /// `Between` while there are too few attempts to tell whether more fail. A connection that nobody uses any more stays
    /// there: whoever asks decides when that is over.
    pub level: Level,
    pub now: Share,
    pub before: Share,
}

/// A share of attempts with its 99 % interval, by E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
/// Inference" (JASA 22, 1927). Without attempts it is anything from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// Judges the attempts of a period by those before it. A connection without a past is never on.
pub fn ratio(failed: u64, succeeded: u64, baseline_failed: u64, baseline_succeeded: u64) -> FailureRatio {
    let now = wilson(failed, succeeded);
    let before = wilson(baseline_failed, baseline_succeeded);
    let attempts = failed + succeeded;
    let level = if attempts >= ATTEMPTS_MIN && now.lower > before.upper + ON_MARGIN {
        Level::On
    } else if attempts > 0 && now.value <= before.upper + CLEAR_MARGIN {
        // However few: they work.
        Level::Clear
    } else {
        Level::Between
    };
    FailureRatio { level, now, before }
}

fn wilson(failed: u64, succeeded: u64) -> Share {
    let attempts = (failed + succeeded) as f64;
    if attempts == 0.0 {
        return Share { value: 0.0, lower: 0.0, upper: 1.0 };
    }
    let value = failed as f64 / attempts;
    let z2 = Z_99 * Z_99 / attempts;
    let middle = (value + z2 / 2.0) / (1.0 + z2);
    let half = (value * (1.0 - value) * z2 + z2 * z2 / 4.0).sqrt() / (1.0 + z2);
    Share { value, lower: (middle - half).max(0.0).min(value), upper: (middle + half).min(1.0).max(value) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usage::chance::Chance;

    const PER_DAY: usize = 288;

    /// A window's begin, so many days and windows after a Monday.
    fn at(days: usize, window: usize) -> EventTime {
        let monday = EventTime::parse("2026-11-02T00:00:00Z").expect("a date");
        EventTime::from_ms(monday.ms() + ((days * PER_DAY + window) as i64) * 300_000)
    }

    fn level(history: &[u64], at: EventTime, now: u64) -> Level {
        detect(history, PER_DAY, at, now, Bursts::Daily).expect("a day and more").level
    }

    #[test]
    fn less_than_a_day_is_no_history() {
        assert_eq!(detect(&[5; PER_DAY - 1], PER_DAY, at(0, PER_DAY - 1), 500, Bursts::Daily), None);
        assert_eq!(detect(&[], 0, at(0, 0), 500, Bursts::Daily), None);
        assert!(detect(&[5; PER_DAY], PER_DAY, at(1, 0), 500, Bursts::Daily).is_some());
    }

    #[test]
    fn more_history_is_compared_more_closely() {
        let against = |days: usize| {
            detect(&vec![5; days * PER_DAY], PER_DAY, at(days, 0), 5, Bursts::Daily).map(|spike| spike.against)
        };
        assert_eq!(against(6), Some(Against::LastDay));
        assert_eq!(against(7), Some(Against::TimeOfDay { days: 7 }));
        assert_eq!(against(20), Some(Against::TimeOfDay { days: 14 }));
        // The 21 days before a Monday have six days of weekends, so 15 are alike.
        assert_eq!(against(21), Some(Against::TimeOfDayAndKind { days: 15 }));
        assert_eq!(against(26), Some(Against::TimeOfDayAndKind { days: 6 }));
    }

    #[test]
    fn a_flat_past_with_a_mad_of_zero_has_the_spread_of_poisson_noise() {
        let spike = detect(&[100; PER_DAY * 14], PER_DAY, at(14, 0), 300, Bursts::Daily).expect("history");
        assert_eq!((spike.expected, spike.score, spike.level), (100.0, 20.0, Level::On));
        assert_eq!(level(&[100; PER_DAY * 14], at(14, 0), 299), Level::Between);
        assert_eq!(level(&[100; PER_DAY * 14], at(14, 0), 150), Level::Clear);
    }

    #[test]
    fn a_few_events_never_page_and_end_a_spike() {
        let never = vec![0; PER_DAY * 14];
        assert_eq!(level(&never, at(14, 0), 20), Level::On);
        assert_eq!(level(&never, at(14, 0), 19), Level::Between);
        assert_eq!(level(&never, at(14, 0), 10), Level::Clear);
    }

    #[test]
    fn a_daily_job_is_no_spike_but_ten_times_as_much_is() {
        for days in [2, 10, 28] {
            let mut history = vec![1; PER_DAY * days + 36];
            for day in 0..days {
                // Its start moves by a window.
                history[day * PER_DAY + 36 + day % 2] = 500;
            }
            assert_eq!(level(&history, at(days, 36), 500), Level::Clear, "{days} days");
            assert_eq!(level(&history, at(days, 36), 5000), Level::On, "{days} days");
            let later = [&history[..], &[500; 12]].concat();
            assert_eq!(level(&later, at(days, 48), 500), Level::On, "{days} days, at another time");
        }
    }

    #[test]
    fn work_that_begins_at_nine_is_no_spike_from_the_second_day_on() {
        let office = |window: usize| if (108..216).contains(&(window % PER_DAY)) { 60 } else { 0 };
        for days in [1, 2, 3] {
            for window in 108..216 {
                let history: Vec<u64> = (0..days * PER_DAY + window).map(office).collect();
                assert_eq!(level(&history, at(days, window), 60), Level::Clear, "{days} days, window {window}");
            }
        }
    }

    #[test]
    fn a_weekly_job_is_no_spike_on_its_weekday_once_it_came_three_times() {
        let mut history = vec![1; PER_DAY * 28];
        for week in 0..4 {
            history[week * 7 * PER_DAY] = 500;
        }
        assert_eq!(level(&history, at(28, 0), 500), Level::Clear);
        let tuesday = [&history[..], &[1; PER_DAY]].concat();
        assert_eq!(level(&tuesday, at(29, 0), 500), Level::On);
    }

    #[test]
    fn weekends_are_compared_with_weekends_from_three_weeks_on() {
        let busy = |days: usize| -> Vec<u64> {
            (0..days * PER_DAY).map(|window| if (window / PER_DAY) % 7 >= 5 { 10 } else { 100 }).collect()
        };
        let noon = |days: usize| [busy(days), busy(8)[(days % 7) * PER_DAY..][..144].to_vec()].concat();
        assert_eq!(level(&noon(26), at(26, 144), 100), Level::On, "a Saturday as busy as a weekday");
        assert_eq!(level(&noon(28), at(28, 144), 100), Level::Clear, "a Monday");
    }

    #[test]
    fn spikes_of_the_past_do_not_hide_the_next() {
        let mut history = vec![10; PER_DAY * 14];
        for day in 0..6 {
            history[day * PER_DAY..day * PER_DAY + 24].fill(1000);
        }
        assert_eq!(level(&history, at(14, 0), 60), Level::On);
    }

    /// A fleet that renews 300 tokens in step, each time within so many seconds.
    fn in_step(every: usize, until: usize) -> Vec<u64> {
        let mut counts = vec![2; until];
        for (n, at) in (7..until).step_by(every).enumerate() {
            // Now in one window, now in two.
            let first = [300, 180, 240][n % 3];
            counts[at] += first;
            if at + 1 < until {
                counts[at + 1] += 300 - first;
            }
        }
        counts
    }

    #[test]
    fn a_fleet_that_renews_in_step_is_no_spike_and_one_that_grew_fourfold_is() {
        // From every quarter of an hour to somewhat less than a day.
        for every in [3, 11, 35, 100, 263] {
            let counts = in_step(every, PER_DAY * 6);
            let judge = |window: usize, now| {
                detect(&counts[..window], PER_DAY, at(0, window), now, Bursts::Recurring).expect("a day").level
            };
            for (window, count) in counts.iter().enumerate().skip(PER_DAY.max(2 * every + 9)) {
                assert_ne!(judge(window, *count), Level::On, "every {every}, window {window}");
            }
            assert_eq!(judge(PER_DAY * 5, 1200), Level::On, "every {every}");
        }
    }

    #[test]
    fn a_burst_that_goes_on_does_not_make_itself_usual_and_only_tokens_come_in_bursts() {
        let mut counts = vec![2; PER_DAY * 3];
        for window in PER_DAY * 2..PER_DAY * 2 + 100 {
            let judge = |bursts| detect(&counts[..window], PER_DAY, at(0, window), 300, bursts).expect("a day").level;
            assert_eq!(judge(Bursts::Recurring), Level::On, "window {window}");
            counts[window] = 300;
        }
        let counts = in_step(100, PER_DAY * 4);
        assert_eq!(detect(&counts, PER_DAY, at(4, 0), 300, Bursts::Daily).expect("days").level, Level::On);
        assert_ne!(detect(&counts, PER_DAY, at(4, 0), 300, Bursts::Recurring).expect("days").level, Level::On);
    }

    #[test]
    fn the_poisson_threshold_has_the_tail_it_promises() {
        for mean in [0.0, 0.01, 0.5, 4.0, 37.5, 199.0, 1000.0] {
            let threshold = poisson_above(mean);
            let tail = |from: f64| -> f64 {
                let term = |n: f64| (-mean + n * mean.ln() - ln_factorial(n)).exp();
                (0..400).map(|step| term(from + f64::from(step))).sum()
            };
            if mean > 0.0 {
                assert!(tail(threshold) < 1.1 * TAIL, "{mean}: {}", tail(threshold));
                assert!(threshold <= 1.0 || tail(threshold - 1.0) > 0.9 * TAIL, "{mean}: {}", tail(threshold - 1.0));
            } else {
                assert_eq!(threshold, 1.0);
            }
        }
    }

    /// Rates of a daily rhythm: from 0.2 to 1.8 of the mean.
    fn rate(mean: f64, window: usize) -> f64 {
        mean * (1.0 + 0.8 * (std::f64::consts::TAU * window as f64 / PER_DAY as f64).sin())
    }

    #[test]
    fn noise_is_quiet_and_a_burst_is_found_in_its_window() {
        let (mut windows, mut alarms, mut bursts, mut found) = (0, 0, 0, 0);
        for (seed, mean) in [0.2, 1.0, 3.0, 10.0, 50.0, 500.0].into_iter().enumerate() {
            let mut chance = Chance::new(20_000 + seed as u64);
            let days = 180;
            let counts: Vec<_> = (0..days * PER_DAY).map(|window| chance.poisson(rate(mean, window))).collect();
            for window in PER_DAY..counts.len() {
                let at = at(0, window);
                let past = &counts[window.saturating_sub(29 * PER_DAY)..window];
                windows += 1;
                alarms += usize::from(level(past, at, counts[window]) == Level::On);
                if window % 7 == 0 && window > 7 * PER_DAY {
                    bursts += 1;
                    let burst = (5.0 * rate(mean, window)).ceil().max(20.0) as u64;
                    found += usize::from(level(past, at, burst) == Level::On);
                }
            }
        }
        println!("{alarms} false alarms in {windows} windows; {found} of {bursts} bursts");
        assert!(alarms * 10_000 < windows, "{alarms} false alarms in {windows} windows");
        assert_eq!(found, bursts);
    }

    #[test]
    fn failures_count_against_the_connections_own_past() {
        assert_eq!(ratio(50, 50, 50, 950).level, Level::On);
        assert_eq!(ratio(50, 50, 500, 500).level, Level::Clear, "as ever");
        assert_eq!(ratio(6, 94, 50, 950).level, Level::Clear);
        assert_eq!(ratio(13, 87, 50, 950).level, Level::Between);
        assert_eq!(ratio(49, 0, 50, 950).level, Level::Between, "too few to tell");
        assert_eq!(ratio(50, 0, 50, 950).level, Level::On);
        assert_eq!(ratio(1, 29, 50, 950).level, Level::Clear, "few, but they work");
        assert_eq!(ratio(100, 0, 0, 0).level, Level::Clear, "no past");
        assert_eq!(ratio(0, 0, 5, 5).level, Level::Between);
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // 99 % interval of 10 in 100, by the formula in exact arithmetic.
        let share = wilson(10, 90);
        assert!((share.value - 0.1).abs() < 1e-12);
        assert!((share.lower - 0.0459).abs() < 5e-4 && (share.upper - 0.2039).abs() < 5e-4, "{share:?}");
        assert_eq!((wilson(0, 40).lower, wilson(40, 0).upper), (0.0, 1.0));
    }

    proptest! {
        #[test]
        fn more_events_are_never_less_of_a_spike(
            history in prop::collection::vec(0_u64..200, 48..48 * 30),
            now in 0_u64..2000,
            more in 0_u64..2000,
        ) {
            let rank = |level: Level| match level { Level::Clear => 0, Level::Between => 1, Level::On => 2 };
            let judge = |now: u64| detect(&history, 48, at(3, 0), now, Bursts::Daily).expect("history");
            let (first, second) = (judge(now), judge(now + more));
            prop_assert!(rank(second.level) >= rank(first.level));
            prop_assert!(second.score >= first.score);
            prop_assert_eq!(first.level == Level::On, now as f64 >= first.threshold);
        }

        #[test]
        fn a_busier_past_expects_more_and_needs_more(
            history in prop::collection::vec(0_u64..200, 48..48 * 30),
            factor in 1_u64..9,
        ) {
            let busier: Vec<_> = history.iter().map(|count| count * factor).collect();
            let judge = |history: &[u64]| detect(history, 48, at(3, 0), 7, Bursts::Daily).expect("history");
            let (plain, scaled) = (judge(&history), judge(&busier));
            prop_assert_eq!(scaled.expected, plain.expected * factor as f64);
            prop_assert!(scaled.threshold >= plain.threshold);
        }

        #[test]
        fn a_share_is_within_its_interval(failed in 0_u64..5000, succeeded in 0_u64..5000) {
            let share = wilson(failed, succeeded);
            prop_assert!(0.0 <= share.lower && share.lower <= share.value && share.value <= share.upper && share.upper <= 1.0);
            prop_assert!(failed + succeeded == 0 || wilson(failed + 1, succeeded).value >= share.value);
        }
    }
}
