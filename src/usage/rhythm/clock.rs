//! The clock of a job that starts anew each time.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::usage::tokens::Issues;

/// Whether it is a job that runs by the clock.
pub fn is_by_the_clock(issues: &Issues, span: &Range<u32>) -> bool {
    clock_period(issues, span).is_some()
}

/// The period of a job that runs by the clock, if that is what it is: nearly all its tokens come within seconds of a whole
/// number of periods of a minute or more.
pub fn clock_period(issues: &Issues, span: &Range<u32>) -> Option<u32> {
    /// Tokens this close together are one run: of one process, of a job's many workers.
    const TOGETHER: [u32; 2] = [30, 150];
    TOGETHER.into_iter().find_map(|together| period_of_runs(issues, span, together))
}

fn period_of_runs(issues: &Issues, span: &Range<u32>, together: u32) -> Option<u32> {
    const RUNS_MIN: usize = 5;
    /// More tokens a run than that are waste within it: a job has hardly more workers.
    const TOKENS_A_RUN: u64 = 100;
    const TOKENS_A_RUN_OF_SEVERAL: u64 = 3;
    /// More tokens a run than this are of workers that start together, not for longer than they take to start.
    const TOKENS_A_LONG_RUN: u64 = 10;
    const RUN_SECONDS: u32 = 300;
    /// A run begins this late at most, and so many show it.
    const JITTER: [(i64, usize); 2] = [(20, 5), (60, 24)];
    /// Runs looked at: enough to tell, and bounded.
    const RUNS_MAX: usize = 5_000;
    let mut runs: Vec<u32> = Vec::new();
    let mut last = None;
    let mut lasted = 0;
    // The first one may have begun before.
    let mut start = issues.seconds(span).next()?;
    while let Some(before) = issues.seconds(&(start.saturating_sub(together)..start)).next() {
        start = before;
    }
    let span = &(start..span.end);
    for second in issues.seconds(span) {
        match last.map(|last: u32| second - last) {
            Some(gap) if gap <= together => lasted += u64::from(gap),
            _ => runs.push(second),
        }
        if runs.len() > RUNS_MAX {
            break;
        }
        last = Some(second);
    }
    let (count, issued) = (runs.len() as u64, issues.issued(&(span.start..last?)));
    let is_long = lasted > u64::from(RUN_SECONDS) * count && issued > TOKENS_A_LONG_RUN * count;
    if runs.len() < RUNS_MIN || issued > TOKENS_A_RUN * count || is_long {
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
    let is_few = issued <= TOKENS_A_RUN_OF_SEVERAL * count;
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
