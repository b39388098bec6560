//! Clients as they ask for tokens, second by second, over five days.

use std::ops::Range;

use ghostlight::event::EventTime;

use crate::support::Dice;

pub const MINUTE: u32 = 60;
pub const HOUR: u32 = 3600;
pub const DAY: u32 = 86_400;
pub const DAYS: u32 = 5;

pub fn start() -> u32 {
    (EventTime::parse("2026-11-02T00:00:00Z").expect("a date").ms() / 1000) as u32
}

pub fn end() -> u32 {
    start() + DAYS * DAY
}

pub fn unit(dice: &mut Dice) -> f64 {
    (dice.roll(1 << 30) as f64 + 0.5) / f64::from(1 << 30)
}

pub fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    -unit(dice).ln() * mean
}

/// Requests at random, so many an hour.
pub fn requests(dice: &mut Dice, period: Range<u32>, per_hour: f64) -> Vec<u32> {
    let next = |at: &f64, dice: &mut Dice| at + exponential(dice, 3600.0 / per_hour);
    let mut found = Vec::new();
    let mut at = next(&f64::from(period.start), dice);
    while at < f64::from(period.end) {
        found.push(at as u32);
        at = next(&at, dice);
    }
    found
}

/// After how long a process asks again: early and nearly exactly, or with the first request after its token ran out.
#[derive(Clone, Copy)]
pub enum Renews {
    Early,
    /// Anywhere in the last tenth of the lifetime.
    Spread,
    Late,
}

/// One process with a cache.
pub fn process(dice: &mut Dice, alive: Range<u32>, lifetime: u32, renews: Renews) -> Vec<u32> {
    let life = f64::from(lifetime);
    let mut found = Vec::new();
    let mut at = f64::from(alive.start);
    while at < f64::from(alive.end) {
        // It may have been there before anybody looked.
        if at >= f64::from(start()) {
            found.push(at as u32);
        }
        at += match renews {
            Renews::Early => 0.95 * life + exponential(dice, 5.0),
            Renews::Spread => life * (0.9 + 0.1 * unit(dice)),
            Renews::Late => life + exponential(dice, 0.03 * life),
        };
    }
    found
}

/// Processes that start over a while.
pub fn fleet(dice: &mut Dice, count: u32, begin: Range<u32>, until: u32, lifetime: u32, renews: Renews) -> Vec<u32> {
    let one = |_| {
        let from = begin.start + dice.roll(u64::from(begin.end - begin.start)) as u32;
        process(dice, from..until, lifetime, renews)
    };
    (0..count).flat_map(one).collect()
}

/// A fleet that was there long before anybody looked, at any point of its rhythm.
pub fn old_fleet(dice: &mut Dice, count: u32, lifetime: u32, renews: Renews) -> Vec<u32> {
    fleet(dice, count, start() - 2 * lifetime..start() - lifetime, end(), lifetime, renews)
}

/// A fleet that is replaced again and again, each time over so long.
pub fn deployed(dice: &mut Dice, count: u32, every: u32, over: u32, lifetime: u32) -> Vec<u32> {
    let mut issues = Vec::new();
    for begin in (start() - every..end()).step_by(every as usize) {
        for n in 0..count {
            let from = begin + n * over / count;
            issues.extend(process(dice, from..(from + every).min(end()), lifetime, Renews::Early));
        }
    }
    issues
}

/// A fleet whose processes keep a token until half a minute before its end, and then wait for their next request.
pub fn asked_seldom(dice: &mut Dice, count: u32, lifetime: u32, wait: u32) -> Vec<u32> {
    let long_before = start() - 3 * (lifetime + wait);
    let one = |_| {
        let mut at = f64::from(long_before + dice.roll(u64::from(lifetime + wait)) as u32);
        let mut found = Vec::new();
        while at < f64::from(end()) {
            found.push(at as u32);
            at += f64::from(lifetime) - 30.0 + exponential(dice, f64::from(wait));
        }
        found
    };
    (0..count).flat_map(one).filter(|second| *second >= start()).collect()
}

/// A fleet that is replaced at uneven times, so often on average; each process asks with its first request.
pub fn replaced(dice: &mut Dice, count: u32, every: u32, lifetime: u32, wait: u32) -> Vec<u32> {
    let mut begins = vec![start() - every];
    while begins.last().is_some_and(|last| *last < end()) {
        let after = 300.0 + exponential(dice, f64::from(every) - 300.0);
        begins.extend(begins.last().map(|last| last + after as u32));
    }
    let mut issues = Vec::new();
    for pair in begins.windows(2) {
        for n in 0..count {
            let (from, until) = (pair[0] + n * 5, (pair[1] + n * 5).min(end()));
            let from = from + exponential(dice, f64::from(wait)) as u32;
            if from < until {
                issues.extend(process(dice, from..until, lifetime, Renews::Early));
            }
        }
    }
    issues
}

/// From 0 at four in the morning to 1 at four in the afternoon.
pub fn of_day(second: u32) -> f64 {
    let turn = f64::from((second - start() + 20 * HOUR) % DAY) / f64::from(DAY);
    (1.0 - (std::f64::consts::TAU * turn).cos()) / 2.0
}

/// Caches behind one address, as many as the day wants of them: each renews between 93 and 97 % of its lifetime, and any one
/// is stopped where there are too many.
pub fn scaled_by_day(dice: &mut Dice, count: Range<u32>, lifetime: u32) -> Vec<u32> {
    let wanted = |second| count.start + (f64::from(count.end - count.start) * of_day(second)).round() as u32;
    // When each asks next.
    let mut pods: Vec<u32> = (0..wanted(start())).map(|_| start() + dice.roll(u64::from(lifetime)) as u32).collect();
    let mut issues = Vec::new();
    for minute in (start()..end()).step_by(MINUTE as usize) {
        while pods.len() < wanted(minute) as usize {
            pods.push(minute + dice.roll(60) as u32);
        }
        while pods.len() > wanted(minute) as usize {
            pods.swap_remove(dice.roll(pods.len() as u64) as usize);
        }
        for next in pods.iter_mut().filter(|next| **next < minute + MINUTE) {
            issues.push(*next);
            *next += (f64::from(lifetime) * (0.93 + 0.04 * unit(dice))) as u32;
        }
    }
    issues
}

/// Requests at random, as many as the day wants of them.
pub fn requests_by_day(dice: &mut Dice, period: Range<u32>, per_hour: Range<f64>) -> Vec<u32> {
    let all = requests(dice, period, per_hour.end);
    let share = |second| (per_hour.start + (per_hour.end - per_hour.start) * of_day(second)) / per_hour.end;
    all.into_iter().filter(|second| unit(dice) < share(*second)).collect()
}

pub fn at(day: u32, hour: u32, minute: u32) -> u32 {
    start() + day * DAY + hour * HOUR + minute * MINUTE
}
