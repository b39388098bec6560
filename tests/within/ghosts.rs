//! Verdicts over simulated clients of every kind, against what is known of them; and what the verdicts rest on, against a
//! walk done another way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ghostlight::event::{Day, EventTime};
use ghostlight::partial::{IssuedSeconds, Partial, TokensRow};
use ghostlight::usage::Usage;
use ghostlight::usage::ghost::{Lifetimes, Thresholds, TokenUse, Verdict, fix, token_use};
use ghostlight::usage::tokens::{ADDRESSES_MAX, KeyTokens};
use proptest::prelude::*;

use crate::support::Dice;

const MINUTE: u32 = 60;
const HOUR: u32 = 3600;
const DAY: u32 = 86_400;
const WINDOW: u32 = 300;
const DAYS: u32 = 10;
const TENANT: &str = "acme";

fn start() -> u32 {
    (EventTime::parse("2026-11-02T00:00:00Z").expect("a date").ms() / 1000) as u32
}

/// A token: when, and for which organization and to which address.
type Issue = (u32, u8, u16);

fn unit(dice: &mut Dice) -> f64 {
    (dice.roll(1 << 30) as f64 + 0.5) / f64::from(1 << 30)
}

fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    -unit(dice).ln() * mean
}

/// Requests at random, more by day than by night.
fn requests(dice: &mut Dice, period: Range<u32>, per_day: f64) -> Vec<u32> {
    let mut at = f64::from(period.start);
    let mut found = Vec::new();
    loop {
        // As often as at the busiest hour, thinned out by the hour.
        at += exponential(dice, f64::from(DAY) / (per_day * 1.6));
        if at >= f64::from(period.end) {
            return found;
        }
        let hour = (at / 3600.0) % 24.0;
        let busy = (1.0 + 0.6 * ((hour - 15.0) / 24.0 * std::f64::consts::TAU).cos()) / 1.6;
        if unit(dice) < busy {
            found.push(at as u32);
        }
    }
}

/// One process with a cache: it asks with the first request after its token ran out, or a little before that.
fn process(dice: &mut Dice, period: Range<u32>, lifetime: u32, renews_early: bool) -> Vec<u32> {
    let mut at = f64::from(period.start) + unit(dice) * f64::from(lifetime.min(period.end - period.start));
    let mut found = Vec::new();
    while at < f64::from(period.end) {
        found.push(at as u32);
        let life = f64::from(lifetime);
        at +=
            if renews_early { life * (0.905 + 0.09 * unit(dice)) } else { life + 1.0 + exponential(dice, life * 0.03) };
    }
    found
}

struct Client {
    kind: &'static str,
    lifetime: u32,
    issues: Vec<Issue>,
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    CachesWell,
    PerProcess,
    Partly,
    DoesNot,
    StoppedAt(u32),
}

impl Expected {
    fn is_ghost(self) -> bool {
        !matches!(self, Self::CachesWell | Self::PerProcess)
    }

    fn is(self, verdict: Verdict) -> bool {
        match (self, verdict) {
            (Self::CachesWell, Verdict::CachesWell)
            | (Self::PerProcess, Verdict::CachesPerProcess)
            | (Self::Partly, Verdict::CachesPartly)
            | (Self::DoesNot, Verdict::DoesNotCache) => true,
            // To the window.
            (Self::StoppedAt(at), Verdict::StoppedCaching { at: found }) => {
                (found.ms() / 1000 - i64::from(at)).abs() <= i64::from(WINDOW)
            }
            _ => false,
        }
    }
}

const LIFETIMES: [u32; 7] = [60, 10 * MINUTE, HOUR, 8 * HOUR, DAY, 7 * DAY, 30 * DAY];

fn clients(dice: &mut Dice) -> Vec<Client> {
    let at = |address: u16| move |second: u32| (second, 0, address);
    let mut all = Vec::new();
    let mut add = |kind, lifetime, issues: Vec<Issue>, expected| {
        all.push(Client { kind, lifetime, issues, expected });
    };
    for lifetime in LIFETIMES {
        let per_lifetime = f64::from(DAY) / f64::from(lifetime);
        // All end at the same time; where tokens live shortly, there are many.
        let days = if lifetime < HOUR { 4 } else { DAYS };
        let period = start() + (DAYS - days) * DAY..start() + DAYS * DAY;
        for round in 0..8_u16 {
            // From a few requests a lifetime up to thousands a day, from one address or several.
            let per_day = (per_lifetime * 6.0).max(300.0) * (1.0 + f64::from(round));
            let addresses = 1 + round % 3;
            let share =
                (0..addresses).flat_map(|address| requests(dice, period.clone(), per_day).into_iter().map(at(address)));
            add("asks per request", lifetime, share.collect(), Expected::DoesNot);
        }
        for round in 0..6 {
            let one = process(dice, period.clone(), lifetime, round % 2 == 0);
            add("well-behaved", lifetime, one.into_iter().map(at(0)).collect(), Expected::CachesWell);
        }
        // With fewer than one token each there is nothing to tell.
        if lifetime <= 3 * DAY {
            for round in 0..4_u16 {
                let several = (0..4 + 12 * round)
                    .flat_map(|n| process(dice, period.clone(), lifetime, round % 2 == 0).into_iter().map(at(n)));
                add("a cache per process", lifetime, several.collect(), Expected::PerProcess);
            }
        }
        // Processes start over the first hours, and a fleet is restarted sometimes.
        for round in 0..6_u32 {
            let count = [2_u32, 5, 12, 20, 35, 48][round as usize];
            if u64::from(count) * u64::from(DAYS * DAY) / u64::from(lifetime) < 40 {
                continue;
            }
            let fleet =
                (0..count).flat_map(|_| process(dice, period.clone(), lifetime, round % 2 == 0)).map(at(0)).collect();
            add("a fleet behind one address", lifetime, fleet, Expected::PerProcess);
        }
        if lifetime <= 8 * HOUR {
            for count in [80_u32, 150, 300] {
                let fleet =
                    (0..count).flat_map(|_| process(dice, period.clone(), lifetime, count == 150)).map(at(0)).collect();
                add("a large fleet behind one address", lifetime, fleet, Expected::PerProcess);
            }
        }
        for every in [5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY] {
            if every * 2 <= lifetime {
                let runs = period.clone().step_by(every as usize).map(|due| due + 3 + dice.roll(8) as u32);
                add("a scheduled job", lifetime, runs.map(at(0)).collect(), Expected::PerProcess);
            }
        }
        if (HOUR..=DAY).contains(&lifetime) {
            for round in 0..3 {
                // A cache that keeps tokens for five minutes whatever their life.
                let (mut second, mut issues) = (f64::from(period.start), Vec::new());
                while second < f64::from(period.end) {
                    issues.push((second as u32, 0, 0));
                    second += 300.0 + exponential(dice, 4.0 + 8.0 * f64::from(round));
                }
                add("forgets after five minutes", lifetime, issues, Expected::Partly);
            }
        }
        if lifetime <= DAY {
            for round in 0..4_u32 {
                let broke = period.start + days * DAY / 3 + round * HOUR + 3 * MINUTE;
                let before = process(dice, period.start..broke, lifetime, false);
                let per_day = (per_lifetime * 8.0).max(2000.0);
                let after = requests(dice, broke..period.end, per_day);
                let found = after.iter().copied().next().unwrap_or(broke);
                let issues = before.into_iter().chain(after).map(at(0)).collect();
                add("its cache broke", lifetime, issues, Expected::StoppedAt(found));
            }
            // A token an organization: none of them is waste.
            let served = (0..12).flat_map(|organization| {
                process(dice, period.clone(), lifetime, false).into_iter().map(move |second| (second, organization, 0))
            });
            add("serves organizations", lifetime, served.collect(), Expected::CachesWell);
        }
    }
    all
}

/// The rows that any workers would commit: each issue in some partial of its window, windows in any order.
fn rows(client: &Client, id: &str, dice: &mut Dice) -> Vec<Partial> {
    let mut partials: Vec<Partial> = (0..3).map(|_| Partial::default()).collect();
    let mut order: Vec<usize> = (0..client.issues.len()).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, dice.roll(last as u64 + 1) as usize);
    }
    for issue in order {
        let (second, organization, address) = client.issues[issue];
        let window = second - second % WINDOW;
        let mut seconds = IssuedSeconds::new(WINDOW);
        seconds.set(second - window);
        let at = EventTime::from_ms(i64::from(second) * 1000);
        let log_id = format!("{second}-{issue}");
        partials[dice.roll(3) as usize].absorb_tokens(&TokensRow {
            window_start: EventTime::from_ms(i64::from(window) * 1000),
            window_seconds: WINDOW,
            tenant: TENANT,
            client_id: id,
            audience: &audience(client.lifetime),
            organization_id: &format!("org_{organization}"),
            scope: "read:data",
            ip: &format!("10.0.{}.{}", address / 250, address % 250),
            client_name: client.kind,
            user_agent: "node-fetch/1.0",
            issued: 1,
            failed: 0,
            issued_seconds: std::borrow::Cow::Owned(seconds),
            billable: true,
            first_at: at,
            last_at: at,
            first_log_id: &log_id,
            last_log_id: &log_id,
        });
    }
    partials
}

fn audience(lifetime: u32) -> String {
    format!("https://api.example/{lifetime}")
}

fn lifetimes() -> Lifetimes {
    let by_setting = LIFETIMES.iter().map(|seconds| (audience(*seconds), *seconds)).collect();
    Lifetimes { by_setting, ..Lifetimes::default() }
}

/// A walk that shares nothing with the program's: every second one after the other, with the newest token's end.
fn needed(client: &Client) -> (u64, u64) {
    let counted = client.lifetime - client.lifetime / 10;
    let mut by_address: BTreeMap<(u8, u16), BTreeSet<u32>> = BTreeMap::new();
    let mut shared: BTreeMap<u8, BTreeSet<u32>> = BTreeMap::new();
    for (second, organization, address) in &client.issues {
        by_address.entry((*organization, *address)).or_default().insert(*second);
        shared.entry(*organization).or_default().insert(*second);
    }
    let walk = |seconds: &BTreeSet<u32>| {
        let mut ends = 0;
        seconds
            .iter()
            .filter(|second| {
                **second >= ends && {
                    ends = **second + counted;
                    true
                }
            })
            .count() as u64
    };
    (by_address.values().map(walk).sum(), shared.values().map(walk).sum())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn needed_tokens_do_not_depend_on_the_order_of_arrival_nor_on_when_anybody_looked(
        lifetime in proptest::sample::select(LIFETIMES.to_vec()),
        seconds in proptest::collection::vec((0_u32..3 * DAY, 0_u8..2, 0_u16..3), 1..300),
        looks in proptest::collection::vec(any::<bool>(), 12),
        seed in any::<u64>(),
    ) {
        let issues: Vec<Issue> =
            seconds.into_iter().map(|(offset, organization, ip)| (start() + offset, organization, ip)).collect();
        let client = Client { kind: "any", lifetime, issues, expected: Expected::CachesWell };
        let mut dice = Dice(seed);
        let mut usage = Usage::default();
        // Twelve commits, of which each has an issue with equal chance.
        let mut parts: Vec<Vec<Issue>> = vec![Vec::new(); looks.len()];
        client.issues.iter().for_each(|issue| parts[dice.roll(12) as usize].push(*issue));
        for (issues, is_looked_at) in parts.into_iter().zip(looks) {
            let part = Client { kind: client.kind, lifetime, issues, expected: client.expected };
            rows(&part, "client", &mut dice).iter().for_each(|rows| usage.absorb(rows));
            if is_looked_at {
                usage.settle(&lifetimes());
            }
        }
        usage.settle(&lifetimes());
        let tokens = &usage.tenant(TENANT).expect("the tenant").tokens;
        let all = 0..u32::MAX;
        let sum = |of: &dyn Fn(&KeyTokens) -> u64| tokens.keys().map(|(_, key)| of(key)).sum::<u64>();
        prop_assert_eq!(sum(&|key| key.issued(&all)), client.issues.len() as u64);
        let found = (sum(&|key| key.needed_per_address(&all)), sum(&|key| key.needed_shared(&all)));
        prop_assert_eq!(found, needed(&client));
    }
}

#[test]
fn more_addresses_than_are_kept_accuse_nobody_and_lose_no_token() {
    let count = ADDRESSES_MAX as u16 + 200;
    // Each asks twice, where once would do.
    let issues = (0..count).flat_map(|address| [(start() + 10, 0, address), (start() + 400, 0, address)]).collect();
    let client = Client { kind: "crowd", lifetime: HOUR, issues, expected: Expected::CachesWell };
    let mut found = Vec::new();
    for seed in 0..3 {
        let mut usage = Usage::default();
        rows(&client, "client", &mut Dice(seed)).iter().for_each(|rows| usage.absorb(rows));
        usage.settle(&lifetimes());
        let tokens = &usage.tenant(TENANT).expect("the tenant").tokens;
        let (_, key) = tokens.keys().next().expect("a key");
        let all = 0..u32::MAX;
        assert_eq!(key.issued(&all), 2 * u64::from(count));
        // Of those that are not kept apart all count as needed.
        assert_eq!(key.needed_per_address(&all), ADDRESSES_MAX as u64 + 2 * 200);
        found.push(key.addresses().map(|(ip, _)| ip.to_owned()).collect::<Vec<_>>());
        let period = EventTime::from_ms(0)..EventTime::from_ms(i64::MAX);
        let uses = token_use(TENANT, tokens, &period, &lifetimes(), &Thresholds::default());
        assert!(uses[0].explanation.ends_with("beyond 1024 are taken for needed"), "{}", uses[0].explanation);
    }
    assert!(found.iter().all(|kept| *kept == found[0]), "which are kept does not depend on the order");
}

#[test]
fn verdicts_over_hundreds_of_clients_are_right() {
    let mut dice = Dice(2026);
    let all = clients(&mut dice);
    assert!(all.len() >= 200, "{}", all.len());
    let mut usage = Usage::default();
    for (at, client) in all.iter().enumerate() {
        rows(client, &format!("client-{at}"), &mut dice).iter().for_each(|rows| usage.absorb(rows));
    }
    usage.settle(&lifetimes());
    let day = Day::of(EventTime::from_ms(i64::from(start()) * 1000));
    let period = day.start()..day.plus(i64::from(DAYS)).start();
    let tokens = &usage.tenant(TENANT).expect("the tenant").tokens;
    let found: BTreeMap<String, TokenUse> = token_use(TENANT, tokens, &period, &lifetimes(), &Thresholds::default())
        .into_iter()
        .map(|found| (found.client_id.clone(), found))
        .collect();
    let (mut hits, mut false_alarms, mut misses, mut wrong) = (0, 0, 0, Vec::new());
    for (at, client) in all.iter().enumerate() {
        let found = &found[&format!("client-{at}")];
        let (per_address, shared) = needed(client);
        assert_eq!(found.issued, client.issues.len() as u64, "{}", client.kind);
        assert_eq!((found.needed_per_address, found.needed_shared), (per_address, shared), "{}", client.kind);
        match (client.expected.is_ghost(), found.verdict.is_ghost()) {
            (true, true) => hits += 1,
            (false, true) => false_alarms += 1,
            (true, false) => misses += 1,
            (false, false) => {}
        }
        if !client.expected.is(found.verdict) {
            wrong.push(format!(
                "{} with lifetime {} s: {:?} expected, {:?} ({:?}) found: {} issued, {} avoidable, peak {}: {}",
                client.kind,
                client.lifetime,
                client.expected,
                found.verdict,
                found.confidence,
                found.issued,
                found.avoidable(),
                found.equals_processes,
                found.explanation,
            ));
        }
    }
    let precision = f64::from(hits) / f64::from(hits + false_alarms);
    let recall = f64::from(hits) / f64::from(hits + misses);
    println!("{} clients: precision {precision:.3}, recall {recall:.3}, {} verdicts wrong", all.len(), wrong.len());
    println!("{}", wrong.join("\n"));
    assert!(false_alarms == 0, "somebody who caches was accused");
    assert!(recall >= 0.97, "{recall}");
    assert!(wrong.len() * 50 <= all.len(), "{} of {} verdicts are wrong", wrong.len(), all.len());
}

#[test]
fn a_cache_that_broke_early_in_a_period_was_a_cache_before_it() {
    let day = |number: u32| start() + number * DAY;
    // Its last good token is of six days before; a month begins, and half a day later it breaks. Or it was broken before.
    for (broke, expected) in [(day(7) + DAY / 2, true), (day(6), false)] {
        let mut dice = Dice(7);
        let mut issues: Vec<Issue> = vec![(day(1), 0, 0)];
        issues.extend(requests(&mut dice, broke..day(DAYS), 600.0).into_iter().map(|second| (second, 0, 0)));
        let client = Client { kind: "breaks", lifetime: 7 * DAY, issues, expected: Expected::StoppedAt(broke) };
        let mut usage = Usage::default();
        rows(&client, "client", &mut dice).iter().for_each(|rows| usage.absorb(rows));
        usage.settle(&lifetimes());
        let period = EventTime::from_ms(i64::from(day(7)) * 1000)..EventTime::from_ms(i64::from(day(DAYS)) * 1000);
        let tokens = &usage.tenant(TENANT).expect("the tenant").tokens;
        let found = token_use(TENANT, tokens, &period, &lifetimes(), &Thresholds::default()).remove(0);
        assert!(found.verdict.is_ghost(), "{found:?}");
        let stopped = matches!(found.verdict, Verdict::StoppedCaching { at } if (at.ms() / 1000).abs_diff(i64::from(broke)) < 600);
        assert_eq!(stopped, expected, "{:?}", found.verdict);
    }
}

#[test]
fn the_fix_is_for_the_program_and_not_for_a_word_in_its_name() {
    let fix = |agent: &str| fix(&[agent.to_owned()], "https://api.example/", Verdict::DoesNotCache);
    assert!(fix("Java/17.0.2").contains("auth0-java"));
    assert!(!fix("my-javascript-app/1").contains("auth0-java"));
}
