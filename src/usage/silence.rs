//! Data that ought to be there and is not: a stream that has gone silent, and one that a filter keeps things out of. Either
//! makes every count too low. Pure functions over plain series.
//!
//! How long a tenant may be silent is its own, and that of the time of the week: the gap that 99.9 % of moments do not
//! reach. A holiday nobody worked on looks like a silence all the same.
//!
//! Measured by the tests below, by seeds that nothing here was chosen by, over eight simulated weeks of thirty tenants whose
//! nights and weekends are slow (mean rates of 0.1 to 50 events a window of five minutes, at work): 3 false silences in
//! 1,620 days. A stream cut off at 14:00 on a working day is found after 20 minutes from five events a window on, after
//! about an hour at one, after four to five hours at one event in 25 minutes, and after most of a day at one in 50.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::event::{Class, catalogue};

/// No gap up to this is a silence: delivery may pause for minutes.
const GAP_MIN: Duration = Duration::from_secs(15 * 60);
/// The share of moments at which it is silent for longer.
const RARE: f64 = 0.001;
/// How much longer than that a silence must last: a day has 288 moments, so that otherwise small tenants would have one
/// every few days.
const SLACK: f64 = 1.5;
/// While so little is known a time of the week has not been seen, or only with the end of the gap before it.
const FIRST_DAYS: usize = 10;
/// How much longer than the longest gap there was a silence must last until then: from a night to a weekend.
const SLACK_FIRST_DAYS: f64 = 8.0;
/// Weeks looked at.
const WEEKS: usize = 8;

/// How long it has been silent, against how long it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    pub level: Level,
    /// Since the end of the last window that has events.
    pub silent_for: Duration,
    /// A silence for longer than this is one.
    pub usual: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    On,
    /// Silent, but not for long enough.
    Between,
    /// The last window has events.
    Clear,
}

/// Judges the end of a series of all events by window, oldest first. `None` while less than a day has gone by since the
/// first event.
///
/// With less than ten days too little is known of weekends, so that a silence must last eight times as long as the longest
/// there was.
pub fn silence(history: &[u64], windows_per_day: usize) -> Option<Silence> {
    let week = 7 * windows_per_day;
    let first = history.iter().position(|events| *events > 0)?;
    let history = &history[first.max(history.len().saturating_sub(WEEKS * week))..];
    if windows_per_day == 0 || history.len() < windows_per_day {
        return None;
    }
    let past = Past::new(history, windows_per_day);
    let silent = past.silent_at(history.len() - 1);
    let windows = if history.len() < FIRST_DAYS * windows_per_day {
        SLACK_FIRST_DAYS * past.longest_before(silent)
    } else {
        SLACK * past.rare_gap(silent)
    };
    let window = Duration::from_secs(86_400) / u32::try_from(windows_per_day).ok()?;
    let usual = window.mul_f64(windows).max(GAP_MIN);
    let silent_for = window.mul_f64(silent as f64);
    let level = match silent {
        0 => Level::Clear,
        _ if silent_for > usual => Level::On,
        _ => Level::Between,
    };
    Some(Silence { level, silent_for, usual })
}

struct Past {
    /// How many windows it has been silent at the end of each.
    silent: Vec<usize>,
    /// How many windows before each have events.
    busy: Vec<usize>,
    week: usize,
    /// Windows of an hour, by which a time of the week may be missed.
    reach: usize,
}

impl Past {
    fn new(history: &[u64], windows_per_day: usize) -> Self {
        let mut silent = Vec::with_capacity(history.len());
        let mut busy = vec![0];
        let (mut run, mut count) = (0, 0);
        for events in history {
            run = if *events > 0 { 0 } else { run + 1 };
            count += usize::from(*events > 0);
            silent.push(run);
            busy.push(count);
        }
        Self { silent, busy, week: 7 * windows_per_day, reach: windows_per_day.div_ceil(24) }
    }

    fn silent_at(&self, window: usize) -> usize {
        self.silent[window]
    }

    /// The longest silence before the last one, which is so long.
    fn longest_before(&self, last: usize) -> f64 {
        self.silent[..self.silent.len() - last].iter().copied().max().unwrap_or(0) as f64
    }

    /// The windows around the same time of the week as `window`, in every week before the last.
    fn alike(&self, window: usize) -> impl Iterator<Item = Range<usize>> {
        let newest = self.silent.len() - 1 - self.silent_at(self.silent.len() - 1);
        (1..=WEEKS).filter_map(move |weeks| {
            let middle = window.checked_sub(weeks * self.week)?;
            Some(middle.saturating_sub(self.reach)..(middle + self.reach + 1).min(newest + 1))
                .filter(|all| !all.is_empty())
        })
    }

    /// The gap that moments like this one reach with a chance of [`RARE`], in windows.
    ///
    /// Two answers, of which the longer counts. One from the chance that so many windows in a row are empty, each as often
    /// as it was empty at its time of the week. That takes windows for independent, so the other is the longest gap there
    /// was at this time of the week, leaving out the worst week of four and more, which may have been an outage.
    fn rare_gap(&self, silent: usize) -> f64 {
        let last = self.silent.len() - 1;
        let mut chance = 1.0;
        let mut gap = 0;
        while chance > RARE && gap < last {
            let (mut busy, mut all) = (0, 0);
            for windows in self.alike(last - gap) {
                busy += self.busy[windows.end] - self.busy[windows.start];
                all += windows.len();
            }
            // Laplace's rule on the side of caution: no window is certain to have events.
            chance *= 1.0 - busy as f64 / (all + 1) as f64;
            gap += 1;
        }
        // Nothing says when events ought to come.
        let by_chance = if chance > RARE { self.longest_before(silent) } else { gap as f64 };
        let mut longest: Vec<_> =
            self.alike(last).filter_map(|windows| self.silent[windows].iter().copied().max()).collect();
        longest.sort_unstable_by(|a, b| b.cmp(a));
        let seen = longest.get(usize::from(longest.len() >= 4)).copied().unwrap_or(0) as f64;
        by_chance.max(seen)
    }
}

/// Something that ought to come and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Stable: what alerts are told apart by.
    pub key: String,
    /// What was seen, with numbers.
    pub what: String,
    /// Which numbers are wrong because of it.
    pub why: &'static str,
}

/// What must have come before one concludes from what did not. Events of a week.
const SOME: u64 = 20;
/// Refresh tokens work for weeks without a login, failures come in bursts of one script.
const MANY: u64 = 200;
/// So many logins or exchanges that some must have failed, and that a stream category is no rarity.
const PLENTY: u64 = 5_000;

/// What a tenant's stream lacks, by events per type code: of the last seven days, and of as many weeks before that as are
/// known. Auth0 delivers a stream by category (`auth.login.success` and so on), so it is categories that go missing; with a
/// type that Auth0 files under none nothing is concluded.
pub fn missing(week: &BTreeMap<&str, u64>, before: &BTreeMap<&str, u64>) -> Vec<Missing> {
    let of = |codes: &[&str]| codes.iter().filter_map(|code| week.get(code)).sum::<u64>();
    let by_category = |counts: &BTreeMap<&str, u64>| {
        let mut sums: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (code, events) in counts {
            *sums.entry(catalogue::lookup(code).category).or_default() += events;
        }
        sums.remove("");
        sums
    };
    let logins: u64 =
        week.iter().filter(|(code, _)| catalogue::lookup(code).class == Class::LoginOk).map(|(_, events)| events).sum();
    let (now, then) = (by_category(week), by_category(before));
    let in_category = |name: &str| now.get(name).copied().unwrap_or(0);
    let mut found = Vec::new();
    let mut add = |key: &str, what: String, why| found.push(Missing { key: key.to_owned(), what, why });

    let (codes, refreshes, failures) = (of(&["seacft"]), of(&["sertft"]), of(&["f", "fp", "fu"]));
    if logins == 0 && (codes >= SOME || refreshes >= MANY) {
        add(
            "logins",
            format!(
                "{codes} exchanges of a code (seacft) and {refreshes} of a refresh token (sertft) in 7 days, but no login (s, ssa)"
            ),
            "Active users, logins and failure ratios are too low: the stream most likely leaves out auth.login.success.",
        );
    }
    if logins == 0 && failures >= MANY {
        add(
            "successes",
            format!("{failures} failed logins (f, fp, fu) in 7 days, but none that worked"),
            "Either nobody can log in, or the stream leaves out auth.login.success, and active users are not counted.",
        );
    }
    let m2m_before = before.get("seccft").copied().unwrap_or(0);
    let still_comes = logins + codes + refreshes;
    if of(&["seccft"]) == 0 && m2m_before >= SOME && still_comes >= SOME {
        add(
            "m2m",
            format!(
                "{still_comes} logins and exchanges in 7 days, but no M2M token (seccft), of which {m2m_before} came before"
            ),
            "M2M tokens, ghost usage and the projection of the quota are too low.",
        );
    }
    if logins >= PLENTY && in_category("auth.login.fail") == 0 {
        add(
            "failed logins",
            format!("{logins} logins in 7 days, but not one that failed (auth.login.fail)"),
            "Failure ratios and attacks on passwords cannot be seen.",
        );
    }
    if logins >= PLENTY && in_category("auth.token_exchange.success") + in_category("auth.token_exchange.fail") == 0 {
        add(
            "token exchanges",
            format!("{logins} logins in 7 days, but not one exchange of a token (auth.token_exchange)"),
            "M2M tokens and ghost usage are not counted, and users who only refresh tokens are not active.",
        );
    }
    // Rare kinds of events come and go; one that came daily and stops while the others go on does not.
    let others = now.values().sum::<u64>();
    for (category, events) in then {
        if in_category(category) == 0 && events >= MANY && others >= MANY {
            add(
                &format!("category {category}"),
                format!(
                    "no event of the stream category {category} in 7 days, of which {events} came before, while {others} others came"
                ),
                "Every number that needs these events is too low: the stream's filter may have been changed.",
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usage::chance::Chance;

    const PER_DAY: usize = 288;
    const HOUR: usize = 12;

    fn level(history: &[u64]) -> Level {
        silence(history, PER_DAY).expect("a day and more").level
    }

    /// Rates of a working week that begins on a Monday: slow nights and weekends.
    fn rate(mean: f64, window: usize) -> f64 {
        let (day, hour) = (window / PER_DAY % 7, window % PER_DAY / HOUR);
        mean * if (7..20).contains(&hour) { 1.0 } else { 0.1 } * if day < 5 { 1.0 } else { 0.2 }
    }

    #[test]
    fn less_than_a_day_is_no_history() {
        assert_eq!(silence(&[1; PER_DAY - 1], PER_DAY), None);
        assert_eq!(silence(&[0; PER_DAY * 9], PER_DAY), None);
        assert_eq!(silence(&[], 0), None);
    }

    #[test]
    fn a_busy_stream_is_silent_after_a_quarter_of_an_hour() {
        let cut = |windows: usize| level(&[vec![50; PER_DAY * 14], vec![0; windows]].concat());
        assert_eq!((cut(0), cut(3), cut(4)), (Level::Clear, Level::Between, Level::On));
    }

    #[test]
    fn a_night_without_events_is_none_where_nights_have_none() {
        let office = |windows: usize| -> Vec<u64> {
            (0..windows).map(|window| if (8 * HOUR..18 * HOUR).contains(&(window % PER_DAY)) { 9 } else { 0 }).collect()
        };
        for days in [3, 7, 30] {
            for window in (0..PER_DAY).step_by(5) {
                let level = level(&office(days * PER_DAY + window));
                assert_ne!(level, Level::On, "{days} days and {window} windows");
            }
        }
        // At eight work begins, and today it does not.
        let mut late = office(30 * PER_DAY + 8 * HOUR);
        late.extend([0; 8 * HOUR]);
        assert_eq!(level(&late), Level::On);
    }

    #[test]
    fn an_outage_of_the_past_does_not_hide_the_next() {
        let mut history = vec![20; PER_DAY * 35];
        history[PER_DAY * 20..PER_DAY * 22].fill(0);
        history.extend([0; 8]);
        assert_eq!(level(&history), Level::On);
    }

    /// Seeds that nothing in this file was chosen by.
    const SEED: u64 = 20_000;
    const MEANS: [f64; 10] = [0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

    #[test]
    fn noise_is_hardly_ever_silent_and_a_cut_is_found() {
        let (mut days, mut moments, mut silent, mut episodes) = (0, 0, 0, 0);
        for (set, (n, mean)) in (0..3).flat_map(|set| MEANS.into_iter().enumerate().map(move |mean| (set, mean))) {
            let mut chance = Chance::new(SEED + set * 1000 + n as u64);
            let counts: Vec<_> = (0..56 * PER_DAY).map(|window| chance.poisson(rate(mean, window))).collect();
            let mut was_silent = false;
            for end in 2 * PER_DAY..counts.len() {
                let is_silent = counts[end - 1] == 0 && level(&counts[..end]) == Level::On;
                silent += usize::from(is_silent);
                episodes += usize::from(is_silent && !was_silent);
                was_silent = is_silent;
            }
            days += 54;
            moments += 54 * PER_DAY;
            // Cut off at 14:00 on the Thursday of the seventh week.
            let end = (6 * 7 + 3) * PER_DAY + 14 * HOUR;
            let cut = |windows: usize| level(&[&counts[..end], &vec![0; windows]].concat());
            let minutes = 5 * (1..).find(|windows| cut(*windows) == Level::On).expect("found at last");
            println!("{mean} a window: found after {minutes} minutes");
            assert!(mean < 3.0 || minutes <= 30, "{minutes} minutes at {mean} a window");
        }
        println!("{silent} of {moments} moments, {episodes} episodes in {days} days");
        assert!(silent * 1000 < moments, "{silent} of {moments} moments");
        assert!(episodes * 100 < days, "{episodes} episodes in {days} days");
    }

    fn keys(week: &[(&'static str, u64)], before: &[(&'static str, u64)]) -> Vec<String> {
        let counts = |of: &[(&'static str, u64)]| of.iter().copied().collect();
        missing(&counts(week), &counts(before)).into_iter().map(|missing| missing.key).collect()
    }

    #[test]
    fn a_complete_stream_lacks_nothing() {
        let all =
            [("s", 9000), ("ssa", 400), ("seacft", 9000), ("sertft", 9000), ("seccft", 300), ("fp", 400), ("slo", 500)];
        assert_eq!(keys(&all, &all), Vec::<String>::new());
        assert_eq!(
            keys(&[("seccft", 90_000)], &[("seccft", 90_000)]),
            Vec::<String>::new(),
            "a tenant for machines only"
        );
        assert_eq!(keys(&[], &[]), Vec::<String>::new());
        assert_eq!(keys(&[], &all), Vec::<String>::new(), "all of it: that is a silence");
    }

    #[test]
    fn what_a_filter_keeps_out_is_named() {
        assert_eq!(keys(&[("seacft", 20)], &[]), ["logins"]);
        assert_eq!(keys(&[("sertft", 199)], &[]), Vec::<String>::new());
        assert_eq!(keys(&[("sertft", 200)], &[]), ["logins"]);
        assert_eq!(keys(&[("fp", 150), ("fu", 50)], &[]), ["successes"]);
        assert_eq!(keys(&[("s", 20)], &[("seccft", 20)]), ["m2m"]);
        assert_eq!(keys(&[("seccft", 9000)], &[("s", 200)]), ["category auth.login.success"]);
        assert_eq!(keys(&[("s", 5000), ("seacft", 5000)], &[]), ["failed logins"]);
        assert_eq!(keys(&[("s", 5000), ("f", 50)], &[]), ["token exchanges"]);
        assert_eq!(keys(&[("s", 5000), ("f", 9), ("seacft", 1)], &[("slo", 200)]), ["category auth.logout.success"]);
        assert_eq!(keys(&[("s", 300)], &[("zz_new", 5000)]), Vec::<String>::new(), "of no category");
    }

    proptest! {
        #[test]
        fn silence_grows_and_ends_with_the_next_event(
            history in prop::collection::vec(0_u64..3, 48..48 * 30),
            more in 1_usize..300,
        ) {
            let mut history = [vec![1], history].concat();
            history.push(1);
            prop_assert_eq!(silence(&history, 48).map(|found| found.level), Some(Level::Clear));
            history.extend(vec![0; more]);
            let found = silence(&history, 48).expect("history");
            prop_assert_eq!(found.silent_for, Duration::from_secs(1800) * more as u32);
            prop_assert_eq!(found.level == Level::On, found.silent_for > found.usual);
            history.push(5);
            prop_assert_eq!(silence(&history, 48).map(|found| found.level), Some(Level::Clear));
        }
    }
}
