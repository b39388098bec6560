//! What is missing: a tenant that says nothing at all, and types that ought to come with those that do. Pure, on event time.

use std::collections::BTreeMap;

use super::activity::{SLOT_SECONDS, SLOTS};
use super::spike::is_weekend;
use crate::event::{Class, Day, EventTime, catalogue};

/// How long nothing came, against what is usual at this time of the week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    pub is_silent: bool,
    /// From the end of the last slot with events.
    pub gap_seconds: i64,
    /// Beyond this it is silent.
    pub limit_seconds: i64,
    /// Events that usually come in such a gap at this time of the week.
    pub expected: f64,
}

/// A shorter gap is never silence.
const GAP_SECONDS: i64 = 15 * 60;
/// In a gap that is silence at least so many events were to come: by chance alone none comes once in 22,000 times.
const EXPECTED: f64 = 10.0;
/// Slots at most an hour from the same time of day are compared.
const AROUND: usize = 3600 / SLOT_SECONDS as usize;

/// Whether a tenant is silent at `until`. `slots` are all its events by slot, ascending, the last one ending at `until`, from
/// its first event on (eight weeks say enough).
///
/// Silent is a gap that is longer than 99.9 % of the gaps one was in at this time of the day, on days of the same kind
/// (Saturday and Sunday, or not; UTC), than a quarter of an hour, and in which ten events or more were to come. While fewer
/// than 1,000 slots are compared the longest gap stands for that quantile, with a half on top. `None` with less than a week.
///
/// On Poisson noise with a daily rhythm, from three events a day to three a slot, it was silent in 6 of 6,340 windows.
pub fn silence(slots: &[u64], until: EventTime) -> Option<Silence> {
    if slots.len() < 7 * SLOTS {
        return None;
    }
    let mut gap = 0;
    let gaps: Vec<usize> = slots
        .iter()
        .map(|events| {
            gap = if *events == 0 { gap + 1 } else { 0 };
            gap
        })
        .collect();
    let kind = is_weekend(Day::of(EventTime::from_ms(until.ms() - 1)));
    let is_compared = |n: &usize| {
        let back = slots.len() - 1 - n;
        let off = back % SLOTS;
        let begin = EventTime::from_ms(until.ms() - (back as i64 + 1) * SLOT_SECONDS * 1000);
        (off <= AROUND || off >= SLOTS - AROUND) && is_weekend(Day::of(begin)) == kind
    };
    // The gap itself is not what it is compared with.
    let past = ..slots.len() - gap;
    let compared: Vec<usize> = (0..past.end).filter(is_compared).collect();
    let mut usual: Vec<usize> = compared.iter().map(|n| gaps[*n]).collect();
    usual.sort_unstable();
    let longest = *usual.get((usual.len() * 999).div_ceil(1000).checked_sub(1)?)?;
    let limit = if usual.len() < 1000 { longest + longest.div_ceil(2) } else { longest };
    let per_slot = compared.iter().map(|n| slots[*n]).sum::<u64>() as f64 / compared.len() as f64;
    let seconds = |slots: usize| slots as i64 * SLOT_SECONDS;
    let limit_seconds = seconds(limit).max(GAP_SECONDS);
    let expected = per_slot * gap as f64;
    let is_silent = seconds(gap) > limit_seconds && expected >= EXPECTED;
    Some(Silence { is_silent, gap_seconds: seconds(gap), limit_seconds, expected })
}

/// Something that ought to come and does not: most likely the log stream's filter leaves it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Names this lack; stable.
    pub key: &'static str,
    /// What is missing, in words.
    pub what: String,
    /// What is wrong in our numbers because of it.
    pub why: &'static str,
}

/// So many events must have come before others are missed.
const ENOUGH: u64 = 100;

/// What is missing among the types of the last seven days, given those of the time `before`; both are events by type code.
pub fn missing(last: &BTreeMap<&str, u64>, before: &BTreeMap<&str, u64>) -> Vec<Missing> {
    let sum = |of: &BTreeMap<&str, u64>, is: &dyn Fn(&str, Class) -> bool| -> u64 {
        of.iter().filter(|(code, _)| is(code, catalogue::lookup(code).class)).map(|(_, events)| events).sum()
    };
    let logins = |_: &str, class: Class| class == Class::LoginOk;
    let exchanges = |code: &str, _: Class| matches!(code, "seacft" | "sertft");
    let failures = |code: &str, _: Class| matches!(code, "f" | "fp" | "fu");
    let successes = |_: &str, class: Class| matches!(class, Class::LoginOk | Class::SignupOk | Class::UserTokenOk);
    let tokens = |_: &str, class: Class| class == Class::M2mOk;

    let mut found = Vec::new();
    let (failed, succeeded) = (sum(last, &failures), sum(last, &successes));
    let exchanged = sum(last, &exchanges);
    if failed >= ENOUGH && succeeded == 0 {
        found.push(Missing {
            key: "successes",
            what: format!("{failed} failed logins in seven days, and not one that succeeded"),
            why: "Active users are counted from successes only. Every share of failures is 100 %.",
        });
    } else if exchanged >= ENOUGH && sum(last, &logins) == 0 {
        found.push(Missing {
            key: "logins",
            what: format!("{exchanged} tokens exchanged for users in seven days, and not one login (s, ssa)"),
            why: "Users who only log in are missing among the active ones, and connections look unused.",
        });
    }
    let tokens_before = sum(before, &tokens);
    let others = succeeded + failed;
    if tokens_before >= ENOUGH && sum(last, &tokens) == 0 && others >= ENOUGH {
        found.push(Missing {
            key: "m2m-tokens",
            what: format!("{others} events of users in seven days, but no M2M token (seccft), of which {tokens_before} came before"),
            why: "M2M tokens, their quota and ghost usage cannot be told.",
        });
    }
    found.extend(missing_categories(last));
    found
}

/// Categories of a log stream's filter without which a number is wrong: as Auth0 names them, what they make wrong.
const NEEDED: [(&str, &str); 4] = [
    ("auth.login.success", "Active users are too few."),
    ("auth.login.fail", "Failing connections cannot be told."),
    ("auth.token_exchange.success", "Active users and M2M tokens are too few."),
    ("auth.token_exchange.fail", "Refused tokens cannot be told."),
];

/// A filter is likely where events are many, and all of them of two categories or fewer. A tenant without a filter has
/// more: at the least someone fails to log in, or an administrator changes something.
fn missing_categories(last: &BTreeMap<&str, u64>) -> Option<Missing> {
    const MANY: u64 = 10_000;
    let mut categories: Vec<&str> = last
        .iter()
        .filter(|(_, events)| **events > 0)
        .map(|(code, _)| catalogue::lookup(code).category)
        .filter(|category| !category.is_empty())
        .collect();
    categories.sort_unstable();
    categories.dedup();
    let absent: Vec<(&str, &'static str)> =
        NEEDED.into_iter().filter(|(category, _)| !categories.contains(category)).collect();
    let (_, why) = *absent.first()?;
    let is_filtered = (1..=2).contains(&categories.len()) && last.values().sum::<u64>() >= MANY;
    let names: Vec<&str> = absent.iter().map(|(category, _)| *category).collect();
    is_filtered.then(|| Missing {
        key: "categories",
        what: format!("all events of seven days are of {}; none of {}", categories.join(" and "), names.join(", ")),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::super::chance::Chance;
    use super::*;

    const SLOT_MS: i64 = SLOT_SECONDS * 1000;

    /// The end of so many slots that began on a Monday.
    fn end(slots: usize) -> EventTime {
        EventTime::from_ms(4 * 86_400_000 + slots as i64 * SLOT_MS)
    }

    #[test]
    fn a_busy_tenant_is_silent_after_a_quarter_of_an_hour() {
        let mut slots = vec![50; 20 * SLOTS];
        assert_eq!(silence(&slots[..7 * SLOTS - 1], end(7 * SLOTS - 1)), None);
        for gap in 1..=3 {
            slots.push(0);
            let found = silence(&slots, end(slots.len())).expect("weeks");
            assert!(!found.is_silent, "{gap}: {found:?}");
        }
        slots.push(0);
        let found = silence(&slots, end(slots.len())).expect("weeks");
        assert_eq!(found, Silence { is_silent: true, gap_seconds: 1200, limit_seconds: 900, expected: 200.0 });
    }

    #[test]
    fn a_quiet_night_is_no_silence_and_a_quiet_morning_is() {
        // Events from 6 to 22 o'clock on weekdays only.
        let is_open = |n: usize| (72..264).contains(&(n % SLOTS)) && (n / SLOTS) % 7 < 5;
        let slots: Vec<u64> = (0..28 * SLOTS).map(|n| if is_open(n) { 20 } else { 0 }).collect();
        for n in 14 * SLOTS..slots.len() {
            let found = silence(&slots[..n], end(n)).expect("two weeks");
            assert!(!found.is_silent, "{n}: {found:?}");
        }
        // A Tuesday on which nobody comes.
        let mut quiet = slots[..22 * SLOTS].to_vec();
        quiet.resize(22 * SLOTS + 120, 0);
        assert!(silence(&quiet, end(quiet.len())).expect("weeks").is_silent);
    }

    #[test]
    fn noise_is_hardly_ever_silence() {
        let (mut windows, mut alarms) = (0_u32, 0_u32);
        for (seed, mean) in [0.01, 0.1, 0.4, 1.0, 3.0].into_iter().enumerate() {
            let mut chance = Chance::new(seed as u64);
            let slots: Vec<u64> = (0..30 * SLOTS)
                .map(|n| {
                    let of_day = 0.6 - 0.4 * (std::f64::consts::TAU * n as f64 / SLOTS as f64).cos();
                    chance.poisson(mean * of_day)
                })
                .collect();
            for n in (8 * SLOTS..slots.len()).step_by(5) {
                windows += 1;
                alarms += u32::from(silence(&slots[..n], end(n)).expect("a week").is_silent);
            }
        }
        println!("silence: {alarms} false alarms in {windows} windows");
        assert!(f64::from(alarms) < f64::from(windows) / 1000.0, "{alarms} of {windows}");
    }

    #[test]
    fn what_ought_to_come_is_missed() {
        let keys = |last: &[(&'static str, u64)], before: &[(&'static str, u64)]| -> Vec<&str> {
            let all = |types: &[(&'static str, u64)]| types.iter().copied().collect::<BTreeMap<&str, u64>>();
            missing(&all(last), &all(before)).iter().map(|missing| missing.key).collect()
        };
        let whole = [("s", 500), ("seacft", 500), ("fp", 100), ("feacft", 3), ("seccft", 900), ("sapi", 9)];
        assert_eq!(keys(&whole, &whole), [""; 0]);
        assert_eq!(keys(&[], &whole), [""; 0]);
        assert_eq!(keys(&[("seacft", 60), ("sertft", 60), ("seccft", 5)], &whole), ["logins"]);
        assert_eq!(keys(&[("seacft", 60), ("sertft", 60), ("ssa", 1), ("seccft", 5)], &whole), [""; 0]);
        assert_eq!(keys(&[("fp", 60), ("fu", 60), ("seccft", 5)], &whole), ["successes"]);
        assert_eq!(keys(&[("s", 90), ("fp", 10)], &whole), ["m2m-tokens"]);
        assert_eq!(keys(&[("s", 90), ("fp", 10)], &[("s", 90)]), [""; 0]);
        assert_eq!(keys(&[("s", 9_000), ("fp", 1_000)], &[]), ["categories"]);
        assert_eq!(keys(&[("s", 9_000), ("fp", 999)], &[]), [""; 0]);
    }

    #[test]
    fn what_is_missed_is_told_with_its_consequence() {
        let last = [("seccft", 20_000)].into_iter().collect();
        let found = missing(&last, &BTreeMap::new());
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].what,
            "all events of seven days are of auth.token_exchange.success; none of auth.login.success, auth.login.fail, \
             auth.token_exchange.fail"
        );
        assert_eq!(found[0].why, "Active users are too few.");
    }
}
