//! What rules say of a window, of rows written by hand.

use std::borrow::Cow;

use ghostlight::alert::rules::{self, RuleSettings};
use ghostlight::alert::{Condition, Level};
use ghostlight::config::{MonthlyQuota, QuotaSettings};
use ghostlight::event::EventTime;
use ghostlight::partial::sketch::{Precision, UserHash, UserSketch};
use ghostlight::partial::{CountsRow, Dimension, IssuedSeconds, Partial, TokensRow, UsersRow};
use ghostlight::usage::Usage;

const TENANT: &str = "acme";
const MINUTE: i64 = 60_000;

fn at(text: &str) -> EventTime {
    EventTime::parse(text).expect("a time")
}

fn later(time: EventTime, minutes: i64) -> EventTime {
    EventTime::from_ms(time.ms() + minutes * MINUTE)
}

#[derive(Default)]
struct Rows(Partial);

impl Rows {
    fn counts(&mut self, window_start: EventTime, minutes: u32, type_code: &str, events: u64) {
        self.0.absorb_counts(&CountsRow {
            window_start,
            window_seconds: minutes * 60,
            tenant: TENANT,
            type_code,
            client_id: "portal",
            connection: "users",
            strategy: "auth0",
            organization_id: "",
            events,
        });
    }

    /// A login in each window of five minutes.
    fn logins(&mut self, from: EventTime, until: EventTime) {
        let windows = (from.ms()..until.ms()).step_by(5 * MINUTE as usize);
        windows.for_each(|window| self.counts(EventTime::from_ms(window), 5, "s", 1));
    }

    /// Somebody is active in an organization.
    fn member(&mut self, window_start: EventTime, organization_id: &str) {
        let mut users = UserSketch::new(Precision::DEFAULT);
        UserHash::of("auth0|1").into_iter().for_each(|user| users.insert(user));
        self.0.absorb_users(&UsersRow {
            window_start,
            window_seconds: 3600,
            tenant: TENANT,
            dimension: Dimension::Organization,
            key: organization_id,
            key_name: organization_id,
            events: 1,
            logins: 1,
            signups: 0,
            users: Cow::Owned(users),
            first_at: window_start,
            last_at: window_start,
            max_lateness_ms: 0,
        });
    }

    fn tokens(&mut self, window_start: EventTime, issued: u64) {
        self.0.absorb_tokens(&TokensRow {
            window_start,
            window_seconds: 300,
            tenant: TENANT,
            client_id: "client",
            audience: "https://api.example/",
            organization_id: "",
            scope: "read:data",
            ip: "192.0.2.1",
            client_name: "Client",
            user_agent: "curl/8",
            issued,
            failed: 0,
            issued_seconds: Cow::Owned(IssuedSeconds::new(300)),
            billable: true,
            first_at: window_start,
            last_at: window_start,
            first_log_id: "1",
            last_log_id: "2",
        });
    }

    /// What is said at the end of a window, by rule and key.
    fn said(&self, window_end: EventTime, settings: &RuleSettings, rule: &str, key: &str) -> Option<Condition> {
        let mut usage = Usage::default();
        usage.absorb(&self.0);
        usage.settle(&settings.lifetimes);
        let of_tenant = usage.tenant(TENANT).expect("the tenant");
        let all = rules::conditions(TENANT, of_tenant, window_end, settings);
        all.into_iter().find(|found| found.rule == rule && found.key == key)
    }

    fn level(&self, window_end: EventTime, settings: &RuleSettings, rule: &str, key: &str) -> Option<Level> {
        self.said(window_end, settings, rule, key).map(|found| found.level)
    }
}

fn with(monthly: MonthlyQuota) -> RuleSettings {
    RuleSettings { quota: QuotaSettings { monthly, ..QuotaSettings::default() }, ..RuleSettings::default() }
}

#[test]
fn a_rate_limit_that_came_too_late_for_its_window_is_told_for_an_hour() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -1440), now);
    rows.counts(later(now, -15), 5, "api_limit", 15);
    let of = |window_end| rows.level(window_end, &RuleSettings::default(), rules::RATE_LIMIT, "api_limit");
    assert_eq!(of(later(now, -15)), None);
    assert_eq!((of(later(now, -10)), of(now), of(later(now, 45))), (Some(Level::On), Some(Level::On), Some(Level::On)));
    assert_eq!(of(later(now, 50)), None);
}

#[test]
fn of_a_long_window_nothing_is_said_before_it_is_over() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -1440), now);
    rows.counts(later(now, -60), 60, "api_limit", 15);
    let of = |window_end| rows.level(window_end, &RuleSettings::default(), rules::RATE_LIMIT, "api_limit");
    assert_eq!((of(later(now, -55)), of(later(now, -5)), of(now)), (None, None, Some(Level::On)));
}

#[test]
fn what_is_known_by_the_hour_only_is_no_spike_of_five_minutes() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    (-5 * 24..2).for_each(|hour| rows.counts(later(now, hour * 60), 60, "s", 12));
    (-5 * 24..1).for_each(|hour| rows.counts(later(now, hour * 60), 60, "fp", 30));
    rows.counts(later(now, 60), 60, "fp", 300);
    let of = |end| rows.said(later(now, end), &RuleSettings::default(), rules::SPIKE, "login-fail");
    assert_eq!(
        [0, 30, 60, 115].map(|end| of(end).map(|said| said.level).filter(|level| *level == Level::On)),
        [None; 4]
    );
    let found = of(120).expect("is said");
    assert_eq!(
        (found.level, found.title.as_str()),
        (Level::On, "300 events of class login-fail in an hour, where 30 are usual")
    );
}

#[test]
fn a_silence_of_more_than_four_weeks_is_not_over() {
    let mut rows = Rows::default();
    let end = at("2026-10-01T00:00:00Z");
    rows.logins(later(end, -20 * 1440), end);
    let of = |days: i64| rows.level(later(end, days * 1440), &RuleSettings::default(), rules::SILENCE, "stream");
    assert_eq!((of(1), of(27)), (Some(Level::On), Some(Level::On)));
    assert_eq!((of(28), of(40)), (Some(Level::Between), Some(Level::Between)));
}

#[test]
fn a_spike_goes_on_between_what_begins_and_what_ends_it() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -5 * 1440), later(now, 30));
    for (window, events) in [60, 19, 12, 5].into_iter().enumerate() {
        rows.counts(later(now, window as i64 * 5), 5, "fp", events);
    }
    let levels =
        [5, 10, 15, 20].map(|end| rows.level(later(now, end), &RuleSettings::default(), rules::SPIKE, "login-fail"));
    assert_eq!(levels, [Some(Level::On), Some(Level::Between), Some(Level::Between), None]);
}

#[test]
fn what_a_months_last_day_used_up_is_told_on_the_next() {
    let month_end = at("2026-11-01T00:00:00Z");
    let mut rows = Rows::default();
    rows.logins(later(month_end, -10 * 1440), later(month_end, 180));
    for number in 0..5 {
        rows.member(later(month_end, -240), &format!("org_{number}"));
    }
    let quota = with(MonthlyQuota { organizations: Some(5), ..MonthlyQuota::default() });
    let of = |end| rows.level(later(month_end, end), &quota, rules::QUOTA, "organizations/exceeded");
    assert_eq!(of(-5), Some(Level::Clear), "its day is not over");
    assert_eq!([0, 5, 15, 600].map(of), [Some(Level::On); 4]);
    assert_eq!(of(1440), Some(Level::Clear), "a new month's first day is over");
}

#[test]
fn what_a_months_last_minutes_used_up_is_told_when_it_is_over() {
    let month_end = at("2026-11-01T00:00:00Z");
    let mut rows = Rows::default();
    rows.logins(later(month_end, -10 * 1440), later(month_end, 180));
    rows.tokens(later(month_end, -5), 600);
    let quota = with(MonthlyQuota { m2m_tokens: Some(500), ..MonthlyQuota::default() });
    let of = |end| rows.level(later(month_end, end), &quota, rules::QUOTA, "m2m_tokens/exceeded");
    assert_eq!([0, 5, 10, 15].map(of), [Some(Level::On); 4]);
    assert_eq!(of(20), Some(Level::Clear), "the new month");
}

#[test]
fn an_outage_of_a_connection_is_told_within_its_quarters_of_an_hour_and_is_over_once_logins_work() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    let windows = (-5 * 288..36).map(|window| (window, later(now, window * 5)));
    // A hundred logins in a quarter of an hour, of which three fail; for twenty minutes none works.
    for (window, begin) in windows {
        let is_outage = (1..5).contains(&window);
        rows.counts(begin, 5, "s", if is_outage { 0 } else { 32 });
        rows.counts(begin, 5, "fp", if is_outage { 33 } else { 1 });
    }
    let of = |minutes| rows.level(later(now, minutes), &RuleSettings::default(), rules::LOGIN_FAILURES, "users");
    assert_eq!((of(0), of(10)), (Some(Level::Clear), Some(Level::Clear)), "no quarter is over since");
    assert_eq!((of(15), of(25)), (Some(Level::On), Some(Level::On)));
    assert_eq!(of(45), Some(Level::Clear));
    let said = rows.said(later(now, 15), &RuleSettings::default(), rules::LOGIN_FAILURES, "users").expect("is said");
    assert!(said.summary.starts_with("Since 2026-11-10T12:00:00"), "{}", said.summary);
}

#[test]
fn of_a_connection_with_few_logins_as_many_are_looked_at_as_say_something() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -6 * 1440), later(now, -360));
    // Six an hour, and all fail.
    (0..36).for_each(|n| rows.counts(later(now, -360 + n * 10), 5, "fp", 1));
    let of = |minutes| rows.level(later(now, minutes), &RuleSettings::default(), rules::LOGIN_FAILURES, "users");
    assert_eq!((of(-360), of(0)), (Some(Level::Clear), Some(Level::On)));
    rows.logins(now, later(now, 360));
    let of = |minutes| rows.level(later(now, minutes), &RuleSettings::default(), rules::LOGIN_FAILURES, "users");
    assert_eq!(of(360), Some(Level::Clear));
    assert_eq!(of(360 + 1500), None, "nobody uses it any more");
    // Fewer than say anything, a day after the last that failed.
    (0..30).for_each(|n| rows.counts(later(now, 1500 + n * 30), 5, "s", 1));
    let of = |minutes| rows.level(later(now, minutes), &RuleSettings::default(), rules::LOGIN_FAILURES, "users");
    assert_eq!(of(1500 + 900), Some(Level::Clear));
}

#[test]
fn a_slow_attack_is_told_by_the_hour() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -5 * 1440), later(now, 120));
    (0..12).for_each(|window| rows.counts(later(now, window * 5), 5, "limit_wc", 8));
    let said = |end| rows.said(later(now, end), &RuleSettings::default(), rules::SPIKE, "attack");
    assert_eq!((said(0).map(|said| said.level), said(10).map(|said| said.level)), (None, Some(Level::Between)));
    let found = said(60).expect("is said");
    assert_eq!(found.level, Level::On);
    assert_eq!(found.title, "96 events of class attack in an hour, where 0 are usual");
    assert_eq!(said(120).map(|said| said.level), None);
}

#[test]
fn users_have_used_up_a_quota_once_the_lower_bound_of_their_estimate_has() {
    let mut rows = Rows::default();
    let now = at("2026-11-10T12:00:00Z");
    rows.logins(later(now, -5 * 1440), now);
    let mut users = UserSketch::new(Precision::DEFAULT);
    (0..20_000).for_each(|n| UserHash::of(&format!("auth0|{n}")).into_iter().for_each(|user| users.insert(user)));
    let estimate = users.estimate();
    rows.0.absorb_users(&UsersRow {
        window_start: later(now, -1440),
        window_seconds: 3600,
        tenant: TENANT,
        dimension: Dimension::Tenant,
        key: "",
        key_name: "",
        events: 20_000,
        logins: 20_000,
        signups: 0,
        users: Cow::Owned(users),
        first_at: later(now, -1440),
        last_at: later(now, -1440),
        max_lateness_ms: 0,
    });
    let of = |mau: f64, part: &str| {
        let quota = with(MonthlyQuota { mau: Some(mau as u64), ..MonthlyQuota::default() });
        rows.level(now, &quota, rules::QUOTA, &format!("mau/{part}"))
    };
    assert!(estimate.lower < estimate.estimate - 10.0, "{estimate:?}");
    assert_eq!(of(estimate.lower - 5.0, "exceeded"), Some(Level::On));
    assert_eq!(
        (of(estimate.estimate - 5.0, "exceeded"), of(estimate.estimate - 5.0, "projected")),
        (Some(Level::Between), Some(Level::On))
    );
    assert_eq!(of(estimate.upper, "exceeded"), Some(Level::Clear));
}
