//! What is paged of simulated clients, window by window over five days: of fleets nobody, of ghosts each once, until it is
//! mended.

mod clients;
mod stories;

use std::ops::Range;

use ghostlight::alert::episode::{Change, Tracker, Transition};
use ghostlight::alert::rules::{self, RuleSettings};
use ghostlight::event::EventTime;
use ghostlight::partial::{CountsRow, IssuedSeconds, Partial, TokensRow};
use ghostlight::usage::Usage;
use ghostlight::usage::ghost::{Lifetimes, TokenUse, token_use};
use ghostlight::watch::WatchSettings;

use self::clients::{HOUR, at, end, start};
use self::stories::{Expected, Place, Story, ghosts, of_many, of_seldom, of_unknown_lifetimes, well_behaved};
use crate::support::Dice;

const WINDOW: u32 = 300;
const TENANT: &str = "acme";

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
        Expected::Times(_) | Expected::Daily(_) => verdict.verdict.is_ghost(),
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
            (Expected::Times(times), told) => {
                let each = times.iter().flat_map(|(fired, resolved)| [fired, resolved]);
                told.len() == 2 * times.len() && told.iter().zip(each).all(|(found, when)| is_in(found, when))
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
