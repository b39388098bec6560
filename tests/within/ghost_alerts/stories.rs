//! What happens to clients, and what ought to be paged of it.

use std::ops::Range;

use super::clients::*;
use crate::support::Dice;

/// What happens to one client and audience.
pub struct Story {
    pub name: &'static str,
    /// From the settings; else unknown.
    pub lifetime: Option<u32>,
    pub issues: Vec<u32>,
    /// Of other addresses, organizations or scope sets of the client.
    pub others: (Place, Vec<Vec<u32>>),
    pub expected: Expected,
}

/// By what tokens are told apart.
#[derive(Clone, Copy)]
pub enum Place {
    Address,
    Organization,
    Scope,
}

pub enum Expected {
    Nothing,
    /// Paged once, in this time, and not over before the data is.
    Page(Range<u32>),
    /// What nobody can tell at first: paged once at most, and over by then.
    Passing(u32),
    /// Paged and resolved so many times, each in its time.
    Times(Vec<(Range<u32>, Range<u32>)>),
    /// Paged on the first two days, and resolved after the first day and in the end, in this time.
    Daily(Range<u32>),
    /// Paged once, and resolved once, each in its time.
    Episode(Range<u32>, Range<u32>),
}

pub const NOWHERE: (Place, Vec<Vec<u32>>) = (Place::Address, Vec::new());

pub fn well_behaved(dice: &mut Dice) -> Vec<Story> {
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

pub fn ghosts(dice: &mut Dice) -> Vec<Story> {
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
    let twice = vec![
        (at(1, 10, 8)..at(1, 10, 21), at(1, 13, 3)..at(1, 13, 31)),
        (at(1, 21, 8)..at(1, 21, 21), at(2, 0, 3)..at(2, 3, 31)),
    ];
    add("breaks twice", hour, issues, Expected::Times(twice));
    let mut issues = process(dice, start()..broke, HOUR, Renews::Late);
    issues.extend(requests(dice, broke..mended, 36_000.0));
    issues.extend(process(dice, mended..end(), HOUR, Renews::Late));
    add("breaks, ten a second", hour, issues, Expected::Episode(broke..at(2, 14, 16), mended..at(2, 20, 31)));
    let mut issues = process(dice, start()..broke, HOUR, Renews::Late);
    issues.extend(requests(dice, broke..at(2, 15, 0), 1800.0));
    issues.extend(process(dice, at(2, 15, 0)..at(2, 15, 40), HOUR, Renews::Late));
    issues.extend(requests(dice, at(2, 15, 40)..at(2, 18, 0), 1800.0));
    issues.extend(process(dice, at(2, 18, 0)..end(), HOUR, Renews::Late));
    let twice = vec![
        (at(2, 14, 4)..at(2, 14, 16), at(2, 15, 0)..at(2, 15, 40)),
        (at(2, 15, 41)..at(2, 15, 56), at(2, 18, 0)..at(2, 18, 36)),
    ];
    add("is rolled back for 40 minutes", hour, issues, Expected::Times(twice));
    let mut issues = process(dice, start()..at(1, 10, 7), HOUR, Renews::Late);
    issues.extend(requests(dice, at(1, 10, 7)..at(1, 12, 3), 300.0));
    issues.extend(process(dice, at(1, 12, 3)..at(2, 14, 7), HOUR, Renews::Late));
    issues.extend(requests(dice, at(2, 14, 7)..at(2, 16, 3), 300.0));
    issues.extend(process(dice, at(2, 16, 3)..end(), HOUR, Renews::Late));
    let twice = vec![
        (at(1, 10, 8)..at(1, 10, 26), at(1, 12, 3)..at(1, 12, 36)),
        (at(2, 14, 8)..at(2, 14, 26), at(2, 16, 3)..at(2, 16, 36)),
    ];
    add("breaks twice, for two lifetimes", hour, issues, Expected::Times(twice));
    let mut issues = process(dice, start()..at(1, 14, 3), HOUR, Renews::Late);
    let mut times = Vec::new();
    for day in 1..DAYS {
        issues.extend(requests(dice, at(day, 14, 3)..at(day, 15, 3), 400.0));
        issues.extend(process(dice, at(day, 15, 3)..at(day + 1, 14, 3), HOUR, Renews::Late));
        times.push((at(day, 14, 8)..at(day, 14, 31), at(day, 15, 3)..at(day, 18, 3)));
    }
    add("breaks every day", hour, issues, Expected::Times(times));
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
    for (count, seconds, lifetime) in [(10, 300, HOUR), (20, 60, HOUR), (10, 900, DAY)] {
        let issues = old_fleet(dice, count, seconds, Renews::Late);
        add("many that forget too early", Some(lifetime), issues, Expected::Page(start()..at(2, 12, 0)));
    }
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
pub fn of_unknown_lifetimes(dice: &mut Dice) -> Vec<Story> {
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
pub fn of_many(dice: &mut Dice) -> Vec<Story> {
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
pub fn of_seldom(dice: &mut Dice) -> Vec<Story> {
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
