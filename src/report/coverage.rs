//! How much of a report's days the data covers, and what it lacks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Scene, days};
use crate::event::{Day, EventTime};
use crate::usage::silence;

/// So long may a tenant be quiet at the beginning of its first day: a stream that began then covers the day.
const QUIET_MS: i64 = 3_600_000;
/// So many days in a row without any event are an outage of the stream rather than a quiet time.
const QUIET_DAYS_MAX: usize = 3;

/// From when to when there are events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Begin of the first window.
    pub begin: EventTime,
    /// End of the last one.
    pub end: EventTime,
}

impl Extent {
    pub fn and(self, other: Self) -> Self {
        Self { begin: self.begin.min(other.begin), end: self.end.max(other.end) }
    }
}

pub(super) fn begins_by(begin: EventTime, day: Day) -> bool {
    begin.since_ms(day.start()) < QUIET_MS
}

/// Whether the days are covered, and what is to be said of that. Short quiet times are said, and are no gap, as is a change of
/// policies.
pub(super) fn gaps(scene: &Scene<'_>, known: &RangeInclusive<Day>, as_of: EventTime) -> (bool, Vec<String>) {
    let mut gaps = Vec::new();
    let (first, end) = (*scene.days.start(), scene.days.end().plus(1));
    if !begins_by(scene.extent.begin, first) {
        gaps.push(format!("the data begins on {}: nothing is known of the time before", minute(scene.extent.begin)));
    }
    if as_of < end.start() {
        gaps.push(format!("the data ends on {}: nothing is known of the time after", minute(as_of)));
    }
    gaps.extend(scene.held_back.as_ref().map(|why| format!("not all is read yet: {why}")));
    let (week, earlier) =
        (types(scene, known.end().plus(-6)..=*known.end()), types(scene, first..=known.end().plus(-7)));
    gaps.extend(
        silence::missing(&week, &earlier)
            .iter()
            .map(|missing| format!("the stream seems to be filtered: {}", missing.what)),
    );
    let mut is_covered = gaps.is_empty();
    for quiet in quiet(scene, known) {
        is_covered &= quiet.len() <= QUIET_DAYS_MAX;
        gaps.push(match quiet.as_slice() {
            [day] => format!("there is no event at all on {day}"),
            [first, .., last] => format!("there is no event at all from {first} to {last}"),
            [] => continue,
        });
    }
    // All is there, but users are not what they seem.
    gaps.extend(scene.policies.note());
    (is_covered, gaps)
}

/// Days between others that have events, and have none.
fn quiet(scene: &Scene<'_>, known: &RangeInclusive<Day>) -> Vec<Vec<Day>> {
    let mut has_events: BTreeMap<Day, u64> = BTreeMap::new();
    for (_, by_day) in scene.usage.activity.types() {
        by_day.range(known.clone()).for_each(|(day, events)| *has_events.entry(*day).or_default() += events);
    }
    let mut all: Vec<Vec<Day>> = Vec::new();
    let begin = Day::of(scene.extent.begin);
    for day in days(known).filter(|day| *day > begin && !has_events.contains_key(day)) {
        match all.last_mut().filter(|run| run.last().is_some_and(|last| last.plus(1) == day)) {
            Some(run) => run.push(day),
            None => all.push(vec![day]),
        }
    }
    all
}

fn types<'a>(scene: &Scene<'a>, days: RangeInclusive<Day>) -> BTreeMap<&'a str, u64> {
    let sum = |by_day: &BTreeMap<Day, u64>| match days.is_empty() {
        true => 0,
        false => by_day.range(days.clone()).map(|(_, events)| events).sum(),
    };
    scene.usage.activity.types().map(|(code, by_day)| (code, sum(by_day))).filter(|(_, events)| *events > 0).collect()
}

/// `2026-11-03 14:05`, UTC.
fn minute(at: EventTime) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}
