//! What is paged of simulated clients, window by window over five days: of fleets nobody, of ghosts each once, until it is
//! mended.

use std::ops::Range;

use ghostlight::alert::episode::{Change, Tracker, Transition};
use ghostlight::alert::rules::{self, RuleSettings};
use ghostlight::event::EventTime;
use ghostlight::partial::{CountsRow, IssuedSeconds, Partial, TokensRow};
use ghostlight::usage::Usage;
use ghostlight::usage::ghost::{Lifetimes, TokenUse, token_use};
use ghostlight::watch::WatchSettings;

use crate::support::Dice;

const MINUTE: u32 = 60;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;
const WINDOW: u32 = 300;
const DAYS: u32 = 5;
const TENANT: &str = "acme";

fn start() -> u32 {
    (EventTime::parse("2026-11-02T00:00:00Z").expect("a date").ms() / 1000) as u32
}

fn end() -> u32 {
    start() + DAYS * DAY
}

fn unit(dice: &mut Dice) -> f64 {
    (dice.roll(1 << 30) as f64 + 0.5) / f64::from(1 << 30)
}

fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    -unit(dice).ln() * mean
}

/// Requests at random, so many an hour.
fn requests(dice: &mut Dice, period: Range<u32>, per_hour: f64) -> Vec<u32> {
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
enum Renews {
    Early,
    /// Anywhere in the last tenth of the lifetime.
    Spread,
    Late,
}

/// One process with a cache.
fn process(dice: &mut Dice, alive: Range<u32>, lifetime: u32, renews: Renews) -> Vec<u32> {
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
fn fleet(dice: &mut Dice, count: u32, begin: Range<u32>, until: u32, lifetime: u32, renews: Renews) -> Vec<u32> {
    let one = |_| {
        let from = begin.start + dice.roll(u64::from(begin.end - begin.start)) as u32;
        process(dice, from..until, lifetime, renews)
    };
    (0..count).flat_map(one).collect()
}

/// A fleet that was there long before anybody looked, at any point of its rhythm.
fn old_fleet(dice: &mut Dice, count: u32, lifetime: u32, renews: Renews) -> Vec<u32> {
    fleet(dice, count, start() - 2 * lifetime..start() - lifetime, end(), lifetime, renews)
}

/// A fleet that is replaced again and again, each time over so long.
fn deployed(dice: &mut Dice, count: u32, every: u32, over: u32, lifetime: u32) -> Vec<u32> {
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
fn asked_seldom(dice: &mut Dice, count: u32, lifetime: u32, wait: u32) -> Vec<u32> {
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
fn replaced(dice: &mut Dice, count: u32, every: u32, lifetime: u32, wait: u32) -> Vec<u32> {
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
fn of_day(second: u32) -> f64 {
    let turn = f64::from((second - start() + 20 * HOUR) % DAY) / f64::from(DAY);
    (1.0 - (std::f64::consts::TAU * turn).cos()) / 2.0
}

/// Caches behind one address, as many as the day wants of them: each renews between 93 and 97 % of its lifetime, and any one
/// is stopped where there are too many.
fn scaled_by_day(dice: &mut Dice, count: Range<u32>, lifetime: u32) -> Vec<u32> {
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
fn requests_by_day(dice: &mut Dice, period: Range<u32>, per_hour: Range<f64>) -> Vec<u32> {
    let all = requests(dice, period, per_hour.end);
    let share = |second| (per_hour.start + (per_hour.end - per_hour.start) * of_day(second)) / per_hour.end;
    all.into_iter().filter(|second| unit(dice) < share(*second)).collect()
}

fn at(day: u32, hour: u32, minute: u32) -> u32 {
    start() + day * DAY + hour * HOUR + minute * MINUTE
}

/// What happens to one client and audience.
struct Story {
    name: &'static str,
    /// From the settings; else unknown.
    lifetime: Option<u32>,
    issues: Vec<u32>,
    /// Of other addresses, organizations or scope sets of the client.
    others: (Place, Vec<Vec<u32>>),
    expected: Expected,
}

/// By what tokens are told apart.
#[derive(Clone, Copy)]
enum Place {
    Address,
    Organization,
    Scope,
}

enum Expected {
    Nothing,
    /// Paged once, in this time, and not over before the data is.
    Page(Range<u32>),
    /// What nobody can tell at first: paged once at most, and over by then.
    Passing(u32),
    /// Paged and resolved twice.
    Twice([(Range<u32>, Range<u32>); 2]),
    /// Paged on the first two days, and resolved after the first day and in the end, in this time.
    Daily(Range<u32>),
    /// Paged once, and resolved once, each in its time.
    Episode(Range<u32>, Range<u32>),
}

const NOWHERE: (Place, Vec<Vec<u32>>) = (Place::Address, Vec::new());

fn well_behaved(dice: &mut Dice) -> Vec<Story> {
    use Renews::{Early, Late, Spread};
    let mut all = Vec::new();
    for (name, over) in [("50 become 200 within 20 minutes", 1200), ("20 become 100 within 30 minutes", 1800)] {
        for renews in [Early, Spread] {
            let (before, after) = if over == 1200 { (50, 150) } else { (20, 80) };
            let mut issues = old_fleet(dice, before, HOUR, renews);
            issues.extend(fleet(dice, after, at(2, 10, 7)..at(2, 10, 7) + over, end(), HOUR, renews));
            all.push(Story {
                name,
                lifetime: Some(HOUR),
                issues,
                others: NOWHERE,
                expected: Expected::Passing(at(3, 12, 0)),
            });
        }
    }
    let mut of_day = Vec::new();
    let mut add = |name, lifetime, issues: Vec<u32>| {
        all.push(Story { name, lifetime, issues, others: NOWHERE, expected: Expected::Nothing });
    };
    let hour = Some(HOUR);
    add("one process", hour, process(dice, start()..end(), HOUR, Early));
    let begin = at(0, 9, 0);
    add("100 started within 5 minutes", hour, fleet(dice, 100, begin..begin + 300, end(), HOUR, Early));
    add("200 started within a minute", hour, fleet(dice, 200, begin..begin + 60, end(), HOUR, Early));
    let grown = |dice: &mut Dice, over: u32| {
        let mut issues = old_fleet(dice, 20, HOUR, Early);
        issues.extend(fleet(dice, 180, at(2, 9, 0)..at(2, 9, 0) + over, end(), HOUR, Early));
        issues
    };
    add("20 become 200 within a minute", hour, grown(dice, 60));
    add("20 become 200 within 4 minutes", hour, grown(dice, 240));
    add("60 deployed every 8 hours", hour, deployed(dice, 60, 8 * HOUR, 300, HOUR));
    add("60 deployed every day over 20 minutes", hour, deployed(dice, 60, DAY, 20 * MINUTE, HOUR));
    add("200 that were there before", hour, old_fleet(dice, 200, HOUR, Early));
    add("300 that renew late", hour, old_fleet(dice, 300, HOUR, Late));
    add("200 that renew some time before", hour, old_fleet(dice, 200, HOUR, Spread));
    add("40 that renew some time before", hour, old_fleet(dice, 40, HOUR, Spread));
    add(
        "100 with ten minutes' tokens",
        Some(10 * MINUTE),
        fleet(dice, 100, begin..begin + 60, end(), 10 * MINUTE, Spread),
    );
    add("20 started together, taken for a day's", None, fleet(dice, 20, begin..begin + 60, end(), HOUR, Early));
    let mut grown = fleet(dice, 1, start()..start() + 300, end(), HOUR, Early);
    grown.extend(fleet(dice, 9, at(2, 9, 0)..at(2, 9, 10), end(), HOUR, Early));
    add("one becomes ten, taken for a day's", None, grown);
    let rollout: Vec<u32> = (0..45).map(|n| at(1, 9, 0) + n * 30 + dice.roll(4) as u32).collect();
    let rollout = rollout.into_iter().flat_map(|from| process(dice, from..end(), DAY, Early)).collect();
    add("45 rolled out evenly, with a day's tokens", Some(DAY), rollout);
    add("150 with a day's tokens", Some(DAY), old_fleet(dice, 150, DAY, Early));
    add("40 with ten minutes' tokens", Some(10 * MINUTE), old_fleet(dice, 40, 10 * MINUTE, Late));
    add("20 with an hour's tokens, taken for a day's", None, old_fleet(dice, 20, HOUR, Early));
    for count in [60, 120] {
        add("many with an hour's tokens, taken for a day's", None, old_fleet(dice, count, HOUR, Early));
    }
    for (count, lifetime) in [(20, HOUR), (60, HOUR), (5, 11 * MINUTE)] {
        let new = fleet(dice, count, at(1, 10, 7)..at(1, 10, 11), end(), lifetime, Early);
        add("new ones, taken for a day's", None, new);
    }
    let mut scaled = old_fleet(dice, 10, HOUR, Early);
    for day in 0..DAYS {
        for n in 0..70 {
            let from = at(day, 6, 0) + n * 150;
            scaled.extend(process(dice, from..at(day, 20, 0), HOUR, Early));
        }
    }
    add("10 that become 80 every morning", hour, scaled);
    for (count, renews) in [(45, Late), (60, Late), (60, Spread), (150, Late)] {
        let mut issues = Vec::new();
        for day in 0..DAYS {
            let begin = at(day, 8, 0);
            issues.extend(fleet(dice, count, begin..begin + HOUR, at(day, 18, 0), HOUR, renews));
        }
        // Of the first day's nobody can tell whether they will go on.
        let expected = if count > 50 { Expected::Passing(at(0, 20, 0)) } else { Expected::Nothing };
        of_day.push(Story { name: "there by day only", lifetime: hour, issues, others: NOWHERE, expected });
    }
    let job = |every: u32, tokens: u32, dice: &mut Dice| -> Vec<u32> {
        let runs = (start()..end()).step_by(every as usize);
        runs.flat_map(|run| (0..tokens).map(|_| run + 2 + dice.roll(6) as u32).collect::<Vec<_>>()).collect()
    };
    add("a job every five minutes", Some(DAY), job(300, 1, dice));
    add("three jobs every hour", Some(DAY), job(HOUR, 3, dice));
    let mut several = job(15 * MINUTE, 1, dice);
    several.extend(job(HOUR, 1, dice).into_iter().map(|run| run + 430));
    several.extend(job(20 * MINUTE, 1, dice).into_iter().map(|run| run + 200));
    add("jobs every 15 minutes, 20 minutes and hour", Some(DAY), several);
    let every = |minutes: u32, offset: u32| (start() + offset * 30..end()).step_by((minutes * MINUTE) as usize);
    let cron_7 = (start()..end()).step_by(HOUR as usize).flat_map(|hour| (0..9).map(move |n| hour + n * 7 * MINUTE));
    add("a job at every seventh minute", Some(DAY), cron_7.collect());
    let staggered = every(15, 1).chain(every(15, 5)).chain(every(15, 14)).chain(every(15, 23)).collect();
    add("four jobs every 15 minutes", Some(DAY), staggered);
    add("three jobs every 10 minutes", Some(DAY), every(10, 0).chain(every(10, 4)).chain(every(10, 11)).collect());
    add("jobs every 5 and 12 minutes", Some(DAY), every(5, 0).chain(every(12, 0)).collect());
    let late: Vec<u32> = (at(1, 9, 0)..end()).step_by(300).map(|run| run + dice.roll(60) as u32).collect();
    add("a new job every five minutes, within a minute", Some(DAY), late);
    for lifetime in [Some(DAY), None, Some(HOUR)] {
        let life = lifetime.unwrap_or(DAY);
        let mut issues = Vec::new();
        let hours = (0..DAYS).flat_map(|day| (8..18).map(move |hour| at(day, hour, 0)));
        let deploys: Vec<u32> = hours.map(|hour| hour + dice.roll(2400) as u32).collect();
        for (n, begin) in deploys.iter().enumerate() {
            let until = deploys.get(n + 1).copied().unwrap_or(end());
            for p in 0..20 {
                issues.extend(process(dice, begin + p * 12..until, life, Early));
            }
        }
        add("20 deployed ten times a day", lifetime, issues);
    }
    let mut workers = Vec::new();
    for run in (start()..end()).step_by(2 * HOUR as usize) {
        workers.extend((0..40).map(|_| run + 2 + dice.roll(120) as u32));
    }
    add("a job of 40 workers every two hours", Some(DAY), workers);
    let cron = (start()..end()).step_by(HOUR as usize).flat_map(|hour| (0..9).map(move |n| hour + n * 7 * MINUTE));
    add("jobs at every fifth and seventh minute", Some(DAY), every(5, 0).chain(cron).collect());
    add("80 with ten minutes' tokens, taken for a day's", None, old_fleet(dice, 80, 10 * MINUTE, Early));
    add("one with five minutes' tokens, taken for a day's", None, process(dice, start()..end(), 300, Spread));
    all.extend(of_day);
    for place in [Place::Address, Place::Organization, Place::Scope] {
        let others = |of: &mut dyn FnMut() -> Vec<u32>| (place, (0..40).map(|_| of()).collect());
        let story = |name, issues, others| Story { name, lifetime: hour, issues, others, expected: Expected::Nothing };
        let fleets = others(&mut || old_fleet(dice, 10, HOUR, Early));
        all.push(story("40 places with ten processes each", old_fleet(dice, 10, HOUR, Early), fleets));
        // One after the other, as a rollout goes, or somebody who scales by what there is to do.
        let mut n = 0;
        let grown = others(&mut || {
            n += 1;
            let mut issues = old_fleet(dice, 2, HOUR, Early);
            let from = at(2, 9, 0) + n * 10;
            issues.extend(fleet(dice, 18, from..from + 60, end(), HOUR, Early));
            issues
        });
        all.push(story("40 places go from 2 to 20 processes within ten minutes", Vec::new(), grown));
        let mut n = 0;
        let new = others(&mut || {
            n += 1;
            process(dice, at(2, 9, 0) + n * 120..end(), HOUR, Early)
        });
        all.push(story("40 new places within an hour and a half", old_fleet(dice, 10, HOUR, Early), new));
    }
    let one = |n: u32, dice: &mut Dice| process(dice, start() + n * 4..end(), DAY, Early);
    let others = (Place::Address, (1..400).map(|n| one(n, dice)).collect());
    all.push(Story {
        name: "400 places that renew in step",
        lifetime: Some(DAY),
        issues: one(0, dice),
        others,
        expected: Expected::Nothing,
    });
    all
}

fn ghosts(dice: &mut Dice) -> Vec<Story> {
    let mut all = Vec::new();
    let mut add = |name, lifetime, issues: Vec<u32>, expected| {
        all.push(Story { name, lifetime, issues, others: NOWHERE, expected });
    };
    let hour = Some(HOUR);
    let (broke, mended) = (at(2, 14, 3), at(2, 20, 0));
    for (name, per_hour, paged, resolved) in [
        ("breaks, 12 a minute", 720.0, at(2, 14, 16), at(2, 20, 31)),
        ("breaks, 4 a minute", 240.0, at(2, 14, 31), at(2, 20, 41)),
        ("breaks, 2 a minute", 120.0, at(2, 15, 1), at(2, 20, 41)),
        ("breaks, 1 a minute", 60.0, at(2, 15, 31), at(2, 21, 1)),
    ] {
        // With an hour's tokens fewer are alive at once than a fleet may have.
        for lifetime in [HOUR, DAY].into_iter().filter(|lifetime| *lifetime == DAY || per_hour > 100.0) {
            let mut issues = process(dice, start()..broke, lifetime, Renews::Late);
            issues.extend(requests(dice, broke..mended, per_hour));
            issues.extend(process(dice, mended..end(), lifetime, Renews::Late));
            add(name, Some(lifetime), issues, Expected::Episode(broke..paged, mended..resolved));
        }
    }
    for (n, per_hour) in [1200.0, 300.0].into_iter().cycle().take(6).enumerate() {
        let lifetime = [HOUR, 2 * HOUR, 4 * HOUR][n / 2];
        let mut issues = process(dice, start()..at(1, 14, 3), lifetime, Renews::Early);
        issues.extend(requests(dice, at(1, 14, 3)..end(), per_hour));
        add("breaks for good", Some(lifetime), issues, Expected::Page(at(1, 14, 3)..at(1, 14, 36)));
    }
    let mut issues = fleet(dice, 20, start()..start() + 300, broke, HOUR, Renews::Early);
    issues.extend(requests(dice, broke..mended, 480.0));
    issues.extend(fleet(dice, 20, mended..mended + 60, end(), HOUR, Renews::Early));
    add("a fleet breaks", hour, issues, Expected::Episode(broke..at(2, 14, 21), mended..at(2, 22, 31)));
    for (name, per_hour) in
        [("20 an hour", 20.0), ("30 an hour", 30.0), ("40 an hour", 40.0), ("60 an hour", 60.0), ("2 a minute", 120.0)]
    {
        // Of an hour's tokens so few are alive that it takes longer.
        for lifetime in [HOUR, DAY].into_iter().filter(|lifetime| *lifetime == DAY || per_hour >= 40.0) {
            let issues = requests(dice, start()..end(), per_hour);
            add(name, Some(lifetime), issues, Expected::Page(start()..at(4, 12, 0)));
        }
    }
    add("one a second", None, requests(dice, start()..end(), 3600.0), Expected::Page(start()..at(0, 6, 0)));
    let mut bursts = Vec::new();
    for run in (start()..end()).step_by(HOUR as usize) {
        let begin = run + dice.roll(900) as u32;
        bursts.extend((0..20 + dice.roll(21)).map(|_| begin + dice.roll(300) as u32));
    }
    add("20 to 40 within five minutes every hour", Some(DAY), bursts, Expected::Page(start()..at(4, 0, 0)));
    for phase in [10 * MINUTE, 20 * MINUTE] {
        let phases = (start()..end()).step_by(2 * phase as usize);
        let issues = phases.flat_map(|begin| requests(dice, begin..begin + phase, 240.0)).collect();
        add("asks for some minutes and then for none", Some(DAY), issues, Expected::Page(start()..at(1, 0, 0)));
    }
    for (per_hour, processes) in [(600.0, 60), (300.0, 20)] {
        let mut issues = requests(dice, start()..broke, per_hour);
        issues.extend(fleet(dice, processes, broke..broke + HOUR, end(), HOUR, Renews::Early));
        let expected = Expected::Episode(start()..at(1, 0, 0), broke..at(2, 20, 0));
        add("is mended by a fleet", hour, issues, expected);
    }
    let short = |dice: &mut Dice| -> Vec<u32> {
        let (mut at, mut found) = (f64::from(start()) + unit(dice) * 300.0, Vec::new());
        while at < f64::from(end()) {
            found.push(at as u32);
            at += 300.0 + exponential(dice, 5.0);
        }
        found
    };
    let mut issues = process(dice, start()..at(1, 10, 7), HOUR, Renews::Late);
    issues.extend(requests(dice, at(1, 10, 7)..at(1, 13, 3), 600.0));
    issues.extend(process(dice, at(1, 13, 3)..at(1, 21, 7), HOUR, Renews::Late));
    issues.extend(requests(dice, at(1, 21, 7)..at(2, 0, 3), 600.0));
    issues.extend(process(dice, at(2, 0, 3)..end(), HOUR, Renews::Late));
    let twice = [
        (at(1, 10, 8)..at(1, 10, 21), at(1, 13, 3)..at(1, 13, 31)),
        (at(1, 21, 8)..at(1, 21, 21), at(2, 0, 3)..at(2, 3, 31)),
    ];
    add("breaks twice", hour, issues, Expected::Twice(twice));
    let mut issues = process(dice, start()..broke, HOUR, Renews::Late);
    issues.extend(requests(dice, broke..mended, 36_000.0));
    issues.extend(process(dice, mended..end(), HOUR, Renews::Late));
    add("breaks, ten a second", hour, issues, Expected::Episode(broke..at(2, 14, 16), mended..at(2, 20, 31)));
    let mut issues = process(dice, start()..broke, HOUR, Renews::Late);
    issues.extend(requests(dice, broke..at(2, 15, 0), 1800.0));
    issues.extend(process(dice, at(2, 15, 0)..at(2, 15, 40), HOUR, Renews::Late));
    issues.extend(requests(dice, at(2, 15, 40)..at(2, 18, 0), 1800.0));
    issues.extend(process(dice, at(2, 18, 0)..end(), HOUR, Renews::Late));
    let twice = [
        (at(2, 14, 4)..at(2, 14, 16), at(2, 15, 0)..at(2, 15, 40)),
        (at(2, 15, 41)..at(2, 15, 56), at(2, 18, 0)..at(2, 18, 36)),
    ];
    add("is rolled back for 40 minutes", hour, issues, Expected::Twice(twice));
    let mut issues = process(dice, start()..at(1, 10, 7), HOUR, Renews::Late);
    issues.extend(requests(dice, at(1, 10, 7)..at(1, 12, 3), 300.0));
    issues.extend(process(dice, at(1, 12, 3)..at(2, 14, 7), HOUR, Renews::Late));
    issues.extend(requests(dice, at(2, 14, 7)..at(2, 16, 3), 300.0));
    issues.extend(process(dice, at(2, 16, 3)..end(), HOUR, Renews::Late));
    let twice = [
        (at(1, 10, 8)..at(1, 10, 26), at(1, 12, 3)..at(1, 12, 36)),
        (at(2, 14, 8)..at(2, 14, 26), at(2, 16, 3)..at(2, 16, 36)),
    ];
    add("breaks twice, for two lifetimes", hour, issues, Expected::Twice(twice));
    // In a loop, so that each token has a successor after any time.
    for (every, lifetime) in [(5, 15 * MINUTE), (10, HOUR)] {
        let mut issues = process(dice, start()..broke, lifetime, Renews::Early);
        issues.extend((broke..mended).step_by(every));
        issues.extend(process(dice, mended..end(), lifetime, Renews::Early));
        let expected = Expected::Episode(broke..at(2, 14, 16), mended..at(2, 20, 31));
        add("breaks, in a loop", Some(lifetime), issues, expected);
    }
    for (lifetime, per_hour) in [(15 * MINUTE, 1200.0), (30 * MINUTE, 400.0)] {
        let mut issues = process(dice, start()..broke, lifetime, Renews::Late);
        issues.extend(requests(dice, broke..mended, per_hour));
        issues.extend(process(dice, mended..end(), lifetime, Renews::Late));
        let expected = Expected::Episode(broke..at(2, 14, 26), mended..at(2, 20, 31));
        add("breaks, of short tokens", Some(lifetime), issues, expected);
    }
    for per_hour in [240.0, 900.0] {
        let mut issues = process(dice, start()..at(0, 9, 0), HOUR, Renews::Late);
        for day in 0..4 {
            issues.extend(requests(dice, at(day, 9, 0)..at(day, 17, 0), per_hour));
        }
        add("in office hours", Some(DAY), issues, Expected::Daily(at(4, 9, 0)..at(4, 21, 0)));
    }
    let issues = (0..3).flat_map(|_| short(dice)).collect();
    add("three that forget after five minutes", Some(DAY), issues, Expected::Page(start()..at(2, 12, 0)));
    for place in [Place::Address, Place::Organization, Place::Scope] {
        for per_hour in [6.0, 30.0] {
            let one = |dice: &mut Dice| {
                let mut issues = process(dice, start()..broke, HOUR, Renews::Late);
                issues.extend(requests(dice, broke..mended, per_hour));
                issues.extend(process(dice, mended..end(), HOUR, Renews::Late));
                issues
            };
            let others = (place, (0..59).map(|_| one(dice)).collect());
            let (name, expected) =
                ("breaks at 60 places", Expected::Episode(broke..at(2, 14, 31), mended..at(2, 20, 41)));
            all.push(Story { name, lifetime: hour, issues: one(dice), others, expected });
        }
    }
    all
}

/// The same of audiences of which nobody said how long their tokens live.
fn of_unknown_lifetimes(dice: &mut Dice) -> Vec<Story> {
    use Renews::{Early, Late, Spread};
    let mut all = Vec::new();
    let (broke, mended) = (at(2, 14, 3), at(2, 17, 40));
    let broken = |dice: &mut Dice, lifetime: u32, per_hour: f64| {
        let mut issues = process(dice, start()..broke, lifetime, Late);
        issues.extend(requests(dice, broke..mended, per_hour));
        issues.extend(process(dice, mended..end(), lifetime, Late));
        issues
    };
    let minutes = |count: u32| count * MINUTE;
    for (place, count, per_hour, lifetime, paged) in [
        (Place::Address, 20, 180.0, minutes(10), at(2, 14, 31)),
        (Place::Organization, 30, 120.0, minutes(10), at(2, 14, 31)),
        (Place::Organization, 200, 18.0, HOUR, at(2, 14, 31)),
        (Place::Address, 1, 60.0, DAY, at(2, 15, 31)),
        (Place::Address, 1, 300.0, DAY, at(2, 14, 26)),
        (Place::Address, 1, 300.0, HOUR, at(2, 14, 26)),
        (Place::Address, 1, 600.0, 2 * HOUR, at(2, 14, 21)),
        (Place::Address, 1, 3600.0, minutes(10), at(2, 14, 16)),
    ] {
        let others = (place, (1..count).map(|_| broken(dice, lifetime, per_hour)).collect());
        let expected = Expected::Episode(broke..paged, mended..mended + 3 * HOUR);
        let issues = broken(dice, lifetime, per_hour);
        all.push(Story { name: "breaks", lifetime: None, issues, others, expected });
    }
    let mut add = |name, issues, others| {
        all.push(Story { name, lifetime: None, issues, others, expected: Expected::Nothing });
    };
    for count in [12, 25, 45] {
        for lifetime in [minutes(15), minutes(30), HOUR, 2 * HOUR] {
            add("a fleet that renews some time before", old_fleet(dice, count, lifetime, Spread), NOWHERE);
        }
    }
    for lifetime in [minutes(15), HOUR, DAY] {
        add("a fleet that renews early", old_fleet(dice, 30, lifetime, Early), NOWHERE);
        add("a fleet that renews late", old_fleet(dice, 30, lifetime, Late), NOWHERE);
    }
    for place in [Place::Address, Place::Organization] {
        for lifetime in [HOUR, DAY] {
            let one = |dice: &mut Dice| {
                let from = at(1, 9, 0) + dice.roll(u64::from(HOUR)) as u32;
                process(dice, from..end(), lifetime, Early)
            };
            let others = (place, (1..200).map(|_| one(dice)).collect());
            add("200 places that start within an hour", one(dice), others);
        }
    }
    all
}

/// What a count alone misjudges: fleets and ghosts that follow the day, many workers, many addresses.
fn of_many(dice: &mut Dice) -> Vec<Story> {
    let mut all = Vec::new();
    let mut add = |name, lifetime, issues: Vec<u32>, others: Vec<Vec<u32>>, expected| {
        all.push(Story { name, lifetime: Some(lifetime), issues, others: (Place::Address, others), expected });
    };
    for count in [10..120, 30..90, 20..60] {
        let issues = scaled_by_day(dice, count, HOUR);
        add("as many caches as the day wants", HOUR, issues, Vec::new(), Expected::Nothing);
    }
    let issues = requests_by_day(dice, start()..end(), 30.0..300.0);
    add("requests as the day wants", HOUR, issues, Vec::new(), Expected::Page(start()..at(4, 0, 0)));
    for workers in [60, 95] {
        let runs = (start()..end()).step_by(HOUR as usize);
        let issues = runs.flat_map(|run| (0..workers).map(move |_| run)).map(|run| run + dice.roll(60) as u32);
        add("a job of many workers every hour", DAY, issues.collect(), Vec::new(), Expected::Nothing);
    }
    for (count, per_hour) in [(100, 8.0), (400, 2.0)] {
        let others = (0..count).map(|_| requests(dice, start()..end(), per_hour)).collect();
        let paged = Expected::Page(start()..at(4, 12, 0));
        add("a few an hour at each of many addresses", 2 * HOUR, Vec::new(), others, paged);
    }
    let mut others = vec![Vec::new(); 100];
    for second in old_fleet(dice, 600, 4 * HOUR, Renews::Spread) {
        others[dice.roll(100) as usize].push(second);
    }
    add("caches whose requests leave by any address", 4 * HOUR, Vec::new(), others, Expected::Nothing);
    all
}

/// Caches that look like none: their processes ask about as seldom as their tokens live, or hardly live longer themselves.
fn of_seldom(dice: &mut Dice) -> Vec<Story> {
    let mut all = Vec::new();
    let mut add = |name, lifetime, issues: Vec<u32>, others| {
        all.push(Story { name, lifetime: Some(lifetime), issues, others, expected: Expected::Nothing });
    };
    for (count, lifetime, wait) in [
        (12, 5 * MINUTE, 5 * MINUTE),
        (30, HOUR, 30 * MINUTE),
        (10, HOUR, HOUR),
        (45, HOUR, HOUR),
        (30, 10 * MINUTE, 10 * MINUTE),
    ] {
        let issues = asked_seldom(dice, count, lifetime, wait);
        add("processes that ask as seldom as their tokens live", lifetime, issues, NOWHERE);
    }
    let others = (Place::Scope, (1..20).map(|_| asked_seldom(dice, 6, HOUR, 15 * MINUTE)).collect());
    let issues = asked_seldom(dice, 6, HOUR, 15 * MINUTE);
    add("a few processes that ask seldom for each of many scopes", HOUR, issues, others);
    for (count, every, lifetime, wait) in
        [(20, 30 * MINUTE, HOUR, 2 * MINUTE), (20, HOUR, DAY, MINUTE), (50, HOUR, DAY, 5), (50, 2 * HOUR, DAY, 5)]
    {
        let issues = replaced(dice, count, every, lifetime, wait);
        add("processes that are replaced at uneven times", lifetime, issues, NOWHERE);
    }
    let late = (start()..end()).step_by(HOUR as usize).flat_map(|run| {
        let run = run + dice.roll(600) as u32;
        (0..10).map(move |n| run + n / 2)
    });
    add("a job of ten workers that begins up to ten minutes late", DAY, late.collect(), NOWHERE);
    all
}

fn usage(story: &Story, dice: &mut Dice) -> Usage {
    let mut rows = Partial::default();
    let time = |second: u32| EventTime::from_ms(i64::from(second) * 1000);
    // Somebody logs in in every window, so that it is known from when on there is data.
    for window in (start()..end()).step_by(WINDOW as usize) {
        rows.absorb_counts(&CountsRow {
            window_start: time(window),
            window_seconds: WINDOW,
            tenant: TENANT,
            type_code: "s",
            client_id: "portal",
            connection: "users",
            strategy: "auth0",
            organization_id: "",
            events: 30 + dice.roll(10),
        });
    }
    let places = [&story.issues].into_iter().chain(&story.others.1).enumerate();
    let tokens = places.flat_map(|(place, issues)| issues.iter().map(move |second| (place, second)));
    let tokens = tokens.enumerate().filter(|(_, (_, second))| (start()..end()).contains(second));
    for (number, (place, second)) in tokens {
        let place = format!("{place}");
        let (ip, organization_id, scope) = match story.others.0 {
            Place::Address => (place.as_str(), "", "read:data"),
            Place::Organization => ("10.0.0.1", place.as_str(), "read:data"),
            Place::Scope => ("10.0.0.1", "", place.as_str()),
        };
        let window = second - second % WINDOW;
        let mut seconds = IssuedSeconds::new(WINDOW);
        seconds.set(second - window);
        let log_id = format!("{second}-{number}");
        rows.absorb_tokens(&TokensRow {
            window_start: time(window),
            window_seconds: WINDOW,
            tenant: TENANT,
            client_id: "client",
            audience: "https://api.example/",
            organization_id,
            scope,
            ip,
            client_name: story.name,
            user_agent: "node-fetch/1.0",
            issued: 1,
            failed: 0,
            issued_seconds: std::borrow::Cow::Owned(seconds),
            billable: true,
            first_at: time(*second),
            last_at: time(*second),
            first_log_id: &log_id,
            last_log_id: &log_id,
        });
    }
    let mut usage = Usage::default();
    usage.absorb(&rows);
    usage
}

/// Pages about ghost usage, and their ends.
fn paged(story: &Story, dice: &mut Dice) -> (Vec<Transition>, TokenUse) {
    let mut usage = usage(story, dice);
    let by_setting = story.lifetime.map(|seconds| ("https://api.example/".to_owned(), seconds)).into_iter().collect();
    let settings =
        RuleSettings { lifetimes: Lifetimes { by_setting, ..Lifetimes::default() }, ..RuleSettings::default() };
    usage.settle(&settings.lifetimes);
    let usage = usage.tenant(TENANT).expect("the tenant");
    let mut tracker = Tracker::new(WatchSettings::default().episodes());
    let mut all = Vec::new();
    for window_end in (start() + WINDOW..=end()).step_by(WINDOW as usize) {
        let window_end = EventTime::from_ms(i64::from(window_end) * 1000);
        all.extend(tracker.observe(window_end, &rules::conditions(TENANT, usage, window_end, &settings)));
    }
    // Who renews in step is no spike either.
    let is_told = |found: &Transition| match &story.expected {
        Expected::Nothing => found.alert.rule.starts_with(rules::GHOST_USAGE) || found.alert.rule == rules::SPIKE,
        _ => found.alert.rule.starts_with(rules::GHOST_USAGE),
    };
    all.retain(|found| is_told(found) && !matches!(found.change, Change::Repeated(_)));
    let period = EventTime::from_ms(i64::from(start()) * 1000)..EventTime::from_ms(i64::from(end()) * 1000);
    let mut found = token_use(TENANT, &usage.tokens, &period, &settings.lifetimes, &settings.ghosts);
    (all, found.remove(0))
}

/// What is wrong with what was paged, and with what is said of the whole time.
fn problem(story: &Story, (found, verdict): &(Vec<Transition>, TokenUse)) -> Option<String> {
    let told: Vec<String> = found
        .iter()
        .map(|found| format!("{:?} {} at {}: {}", found.change, found.alert.rule, found.alert.at, found.alert.summary))
        .collect();
    let is_in = |found: &Transition, period: &Range<u32>| {
        let at = (found.alert.at.ms() / 1000) as u32;
        period.contains(&at)
    };
    let mended = verdict.mended_at.map(|at| (at.ms() / 1000) as u32);
    let is_said = match &story.expected {
        Expected::Nothing => !verdict.verdict.is_ghost(),
        Expected::Passing(_) => !verdict.verdict.is_ghost(),
        Expected::Twice(_) | Expected::Daily(_) => verdict.verdict.is_ghost(),
        Expected::Page(_) => verdict.verdict.is_ghost() && mended.is_none(),
        Expected::Episode(_, over) => {
            let about = over.start - HOUR..over.start + HOUR;
            verdict.verdict.is_ghost() && mended.is_some_and(|mended| about.contains(&mended))
        }
    };
    let is_right = is_said
        && match (&story.expected, found.as_slice()) {
            (Expected::Nothing, []) => true,
            (Expected::Page(when), [fired]) => is_in(fired, when),
            (Expected::Passing(_), []) => true,
            (Expected::Passing(by), [_, resolved]) => is_in(resolved, &(start()..*by)),
            (Expected::Twice([one, two]), [first, over, second, end]) => {
                is_in(first, &one.0) && is_in(over, &one.1) && is_in(second, &two.0) && is_in(end, &two.1)
            }
            (Expected::Daily(over), [_, _, second, end]) => {
                is_in(second, &(at(1, 9, 0)..at(1, 13, 0))) && is_in(end, over)
            }
            (Expected::Episode(when, over), [fired, resolved]) => is_in(fired, when) && is_in(resolved, over),
            _ => false,
        };
    (!is_right).then(|| {
        format!(
            "{}, lifetime {:?}, {} tokens: {} transitions, {:?}, mended {mended:?}: {}\n  {}",
            story.name,
            story.lifetime,
            story.issues.len(),
            told.len(),
            verdict.verdict,
            verdict.explanation,
            told.iter().take(4).cloned().collect::<Vec<_>>().join("\n  ")
        )
    })
}

fn check(tell: fn(&mut Dice) -> Vec<Story>) {
    let mut wrong = Vec::new();
    let mut count = 0;
    let seeds = std::env::var("GHOSTLIGHT_TEST_SEEDS").map_or(1, |seeds| seeds.parse().expect("how many seeds"));
    for seed in 0..seeds {
        let mut dice = Dice(2026 + seed);
        for story in tell(&mut dice) {
            count += 1;
            wrong.extend(problem(&story, &paged(&story, &mut dice)));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} stories:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn who_caches_well_is_never_paged_however_many_they_are_and_however_they_start() {
    check(well_behaved);
}

#[test]
fn every_ghost_is_paged_once_and_resolved_only_when_it_is_mended() {
    check(ghosts);
}

#[test]
fn who_caches_is_told_from_a_ghost_where_nobody_said_how_long_tokens_live() {
    check(of_unknown_lifetimes);
}

#[test]
fn who_follows_the_day_and_who_asks_from_many_places_is_told_by_the_rhythm() {
    check(of_many);
}

#[test]
fn caches_that_are_asked_seldom_or_do_not_live_long_are_no_ghosts() {
    check(of_seldom);
}
