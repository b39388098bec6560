//! Who was active: distinct users per UTC day, by tenant, organization, connection and client. Weeks and months are unions
//! of days, never sums.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::event::{Day, EventTime};
use crate::partial::sketch::{Estimate, UserUnion};
use crate::partial::{Dimension, UsersRow};

/// Active users of one tenant.
#[derive(Default)]
pub struct Users {
    keys: BTreeMap<Dimension, BTreeMap<String, KeyUsers>>,
    /// How late the latest event of a day was, in milliseconds.
    lateness_ms: BTreeMap<Day, i64>,
    /// The tenant's users by the end of each window, of the latest ones: days are made of them.
    windows: BTreeMap<EventTime, UserUnion>,
    /// Of windows before these, only days are known.
    keeps_all_windows: bool,
}

/// Windows kept: four days of hours.
const WINDOWS_MAX: usize = 96;

/// Active users of one organization, connection or client, or of the tenant.
#[derive(Default)]
pub struct KeyUsers {
    /// As the latest event that has one says.
    pub name: String,
    named_at: Option<EventTime>,
    pub days: BTreeMap<Day, DayUsers>,
}

#[derive(Default)]
pub struct DayUsers {
    /// Events that make their user an active one.
    pub events: u64,
    pub logins: u64,
    pub signups: u64,
    pub users: UserUnion,
}

/// The users of a day, and of its week and month up to that day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UserDay {
    pub day: Day,
    pub on_day: Estimate,
    /// Of the ISO 8601 week so far.
    pub in_week: Estimate,
    /// Of the calendar month so far.
    pub in_month: Estimate,
}

impl Users {
    pub(super) fn keep_all_windows(&mut self, keeps_all_windows: bool) {
        self.keeps_all_windows = keeps_all_windows;
    }

    pub(super) fn absorb(&mut self, row: &UsersRow<'_>) {
        let key = entry(self.keys.entry(row.dimension).or_default(), row.key);
        let is_later = || key.named_at.is_none_or(|at| (row.last_at, row.key_name) > (at, key.name.as_str()));
        if !row.key_name.is_empty() && is_later() {
            key.named_at = Some(row.last_at);
            row.key_name.clone_into(&mut key.name);
        }
        if row.dimension == Dimension::Tenant {
            let end = EventTime::from_ms(row.window_start.ms() + i64::from(row.window_seconds) * 1000);
            self.windows.entry(end).or_default().add(&row.users);
            if !self.keeps_all_windows && self.windows.len() > WINDOWS_MAX {
                self.windows.pop_first();
            }
        }
        let day = Day::of(row.window_start);
        let of_day = key.days.entry(day).or_default();
        of_day.events += row.events;
        of_day.logins += row.logins;
        of_day.signups += row.signups;
        of_day.users.add(&row.users);
        let lateness_ms = self.lateness_ms.entry(day).or_default();
        *lateness_ms = row.max_lateness_ms.max(*lateness_ms);
    }

    pub(super) fn forget_before(&mut self, day: Day) {
        for keys in self.keys.values_mut() {
            keys.values_mut().for_each(|key| key.days = key.days.split_off(&day));
            keys.retain(|_, key| !key.days.is_empty());
        }
        self.lateness_ms = self.lateness_ms.split_off(&day);
        self.windows = self.windows.split_off(&day.start());
    }

    /// Every key of a dimension; the tenant's own is the empty one.
    pub fn keys(&self, dimension: Dimension) -> impl Iterator<Item = (&str, &KeyUsers)> {
        self.keys.get(&dimension).into_iter().flatten().map(|(key, users)| (key.as_str(), users))
    }

    /// Keys of a dimension with an active user in these days.
    pub fn active(&self, dimension: Dimension, days: RangeInclusive<Day>) -> impl Iterator<Item = (&str, &KeyUsers)> {
        self.keys(dimension).filter(move |(_, key)| key.days.range(days.clone()).any(|(_, day)| day.events > 0))
    }

    /// The tenant's distinct users over these days.
    pub fn distinct(&self, days: RangeInclusive<Day>) -> Estimate {
        self.tenant().map_or_else(|| UserUnion::default().estimate(), |key| key.distinct(days))
    }

    /// The distinct users of some keys of a dimension together.
    pub fn distinct_among(
        &self,
        dimension: Dimension,
        days: RangeInclusive<Day>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Estimate {
        let mut union = UserUnion::default();
        for (_, key) in self.keys(dimension).filter(|(key, _)| is_wanted(key)) {
            key.days.range(days.clone()).for_each(|(_, day)| union.add(&day.users.sketch()));
        }
        union.estimate()
    }

    /// The tenant's users of each day there is, with its week and month so far.
    pub fn by_day(&self, days: RangeInclusive<Day>) -> Vec<UserDay> {
        let Some(tenant) = self.tenant() else { return Vec::new() };
        // From where the first day's week and month begin.
        let first = days.start().month_start().min(days.start().week_start());
        let (mut week, mut month) = ((first, UserUnion::default()), (first, UserUnion::default()));
        let mut all = Vec::new();
        for (day, of_day) in tenant.days.range(first..=*days.end()) {
            for (so_far, begin) in [(&mut week, day.week_start()), (&mut month, day.month_start())] {
                if so_far.0 != begin {
                    *so_far = (begin, UserUnion::default());
                }
                so_far.1.add(&of_day.users.sketch());
            }
            if day >= days.start() {
                let on_day = of_day.users.estimate();
                all.push(UserDay { day: *day, on_day, in_week: week.1.estimate(), in_month: month.1.estimate() });
            }
        }
        all
    }

    /// [`by_day`](Self::by_day) as it was at `until`, which is in the last of the days or at its end: by the windows that were
    /// over then. Where those of that day are not kept any more, all of the day.
    pub fn by_day_until(&self, days: RangeInclusive<Day>, until: EventTime) -> Vec<UserDay> {
        let mut all = self.by_day(days.clone());
        let today = *days.end();
        let begin = today.start();
        let is_kept = self.keeps_all_windows
            || self.windows.len() < WINDOWS_MAX
            || self.windows.keys().next().is_some_and(|first| *first <= begin);
        let Some(last) = all.last_mut().filter(|last| last.day == today && until < today.plus(1).start() && is_kept)
        else {
            return all;
        };
        let mut so_far = UserUnion::default();
        let over = self.windows.range(EventTime::from_ms(begin.ms() + 1)..=until);
        over.for_each(|(_, users)| so_far.add(&users.sketch()));
        let with = |from: Day| {
            let mut union = so_far.clone();
            let before = self.tenant().into_iter().flat_map(|tenant| tenant.days.range(from..today));
            before.for_each(|(_, day)| union.add(&day.users.sketch()));
            union.estimate()
        };
        *last = UserDay {
            day: today,
            on_day: so_far.estimate(),
            in_week: with(today.week_start()),
            in_month: with(today.month_start()),
        };
        all
    }

    /// How late the latest event of these days was, in milliseconds.
    pub fn max_lateness_ms(&self, days: RangeInclusive<Day>) -> i64 {
        self.lateness_ms.range(days).map(|(_, ms)| *ms).max().unwrap_or(0)
    }

    fn tenant(&self) -> Option<&KeyUsers> {
        self.keys.get(&Dimension::Tenant)?.get("")
    }
}

impl KeyUsers {
    pub fn distinct(&self, days: RangeInclusive<Day>) -> Estimate {
        let mut union = UserUnion::default();
        self.days.range(days).for_each(|(_, day)| union.add(&day.users.sketch()));
        union.estimate()
    }
}

/// The value of a key, made if need be; a string is allocated only then.
pub(super) fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    match map.get_mut(key) {
        Some(value) => value,
        None => unreachable!("it was just inserted"),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::partial::sketch::{Precision, UserHash, UserSketch};

    const HOUR_MS: i64 = 3_600_000;

    /// Two users of each hour, one of whom comes again the next.
    fn row(hour: i64) -> UsersRow<'static> {
        let mut users = UserSketch::new(Precision::DEFAULT);
        [hour, hour + 1].iter().for_each(|id| users.insert(UserHash::of(&format!("auth0|{id}")).expect("an id")));
        let at = EventTime::from_ms(1_793_491_200_000 + hour * HOUR_MS);
        UsersRow {
            window_start: at,
            window_seconds: 3600,
            tenant: "acme",
            dimension: Dimension::Tenant,
            key: "",
            key_name: "",
            events: 2,
            logins: 2,
            signups: 0,
            users: Cow::Owned(users),
            first_at: at,
            last_at: at,
            max_lateness_ms: 0,
        }
    }

    fn users(hours: std::ops::Range<i64>, keeps_all_windows: bool) -> Users {
        let mut users = Users { keeps_all_windows, ..Users::default() };
        hours.for_each(|hour| users.absorb(&row(hour)));
        users
    }

    #[test]
    fn users_at_a_time_are_those_of_windows_that_were_over_then_whatever_came_since() {
        let days = 10;
        let all = users(0..days * 24, true);
        let first = Day::of(row(0).window_start);
        for hour in (1..days * 24).filter(|hour| hour % 24 != 0) {
            let until = row(hour).window_start;
            let expected = users(0..hour, true).by_day(first..=Day::of(until));
            assert_eq!(all.by_day_until(first..=Day::of(until), until), expected, "hour {hour}");
        }
        // Of what is long past whole days are known.
        let some = users(0..days * 24, false);
        let early = row(30).window_start;
        assert_eq!(some.by_day_until(first..=Day::of(early), early), some.by_day(first..=Day::of(early)));
        let late = row(days * 24 - 5).window_start;
        assert_eq!(some.by_day_until(first..=Day::of(late), late), all.by_day_until(first..=Day::of(late), late));
    }
}
