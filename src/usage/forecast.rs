//! Where a tenant's month is heading: its usage as the series that [`quota`](super::quota) projects.

use super::TenantUsage;
use super::quota::{Daily, Projection, TooLittle, project, project_users};
use super::users::UserDay;
use crate::event::{Day, EventTime};

/// The days of a tenant up to `as_of`, whole but for the last.
struct Days {
    first: Day,
    today: Day,
    elapsed: f64,
}

impl Days {
    fn of(usage: &TenantUsage, as_of: EventTime) -> Option<Self> {
        const WEEKS: i64 = 8;
        const HOUR_MS: i64 = 3_600_000;
        let today = Day::of(EventTime::from_ms(as_of.ms() - 1));
        let begin = usage.activity.begin().filter(|begin| *begin < as_of)?;
        let day = Day::of(begin);
        // A day that was joined in its course would be taken for a quiet one.
        let whole = if begin.since_ms(day.start()) < HOUR_MS { day } else { day.plus(1) };
        let first = whole.max(today.plus(1 - WEEKS * 7)).min(today);
        let elapsed = as_of.since_ms(today.start()) as f64 / 86_400_000.0;
        Some(Self { first, today, elapsed: elapsed.clamp(0.0, 1.0) })
    }

    fn all(&self) -> impl Iterator<Item = Day> + use<> {
        let first = self.first;
        (0..=self.today.since(first)).map(move |days| first.plus(days))
    }

    fn daily<'a>(&self, counts: &'a [f64]) -> Daily<'a> {
        let in_month = (self.today.since(self.today.month_start()) + 1) as usize;
        Daily {
            counts,
            elapsed: self.elapsed,
            in_month: in_month.min(counts.len()),
            days_left: (self.today.next_month().since(self.today) - 1) as usize,
        }
    }
}

/// Billable M2M tokens by the end of the month that `as_of` is in.
pub fn m2m_tokens(usage: &TenantUsage, as_of: EventTime) -> Result<Projection, TooLittle> {
    let days = Days::of(usage, as_of).ok_or(TooLittle::SixHours)?;
    let of_day = |day: Day| usage.tokens.issued(&(day.start()..day.plus(1).start().min(as_of)), true) as f64;
    let counts: Vec<f64> = days.all().map(of_day).collect();
    project(&days.daily(&counts))
}

/// The same at the end of the last whole hour, by those who were active before it and nobody else: whoever decides it, and
/// whenever, finds the same.
pub fn active_users_by_the_hour(usage: &TenantUsage, as_of: EventTime) -> Result<Projection, TooLittle> {
    const HOUR_MS: i64 = 3_600_000;
    let until = EventTime::from_ms(as_of.ms() - as_of.ms().rem_euclid(HOUR_MS));
    // In a month's first hour what is known is the last month's.
    let month = |at: EventTime| Day::of(EventTime::from_ms(at.ms() - 1)).month_start();
    if month(until) != month(as_of) {
        return Err(TooLittle::SixHours);
    }
    let days = Days::of(usage, until).ok_or(TooLittle::SixHours)?;
    let known = usage.users.by_day_until(days.first.min(days.today.month_start())..=days.today, until);
    of_days(&days, &known)
}

/// Distinct active users by the end of the month that `as_of` is in.
pub fn active_users(usage: &TenantUsage, as_of: EventTime) -> Result<Projection, TooLittle> {
    let days = Days::of(usage, as_of).ok_or(TooLittle::SixHours)?;
    let known = usage.users.by_day(days.first.min(days.today.month_start())..=days.today);
    of_days(&days, &known)
}

fn of_days(days: &Days, known: &[UserDay]) -> Result<Projection, TooLittle> {
    let on = |day: Day| known.iter().find(|found| found.day == day);
    let counts: Vec<f64> = days.all().map(|day| on(day).map_or(0.0, |found| found.on_day.estimate)).collect();
    let mut in_month = Vec::new();
    for day in days.all().filter(|day| *day >= days.today.month_start()) {
        // A day without events adds nobody.
        in_month.extend(on(day).map(|found| found.in_month).or(in_month.last().copied()));
    }
    project_users(&days.daily(&counts), &in_month)
}
