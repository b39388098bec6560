//! The read loop: follows what is committed, folds it, judges each window once it is complete, and says what is shown.
//!
//! [`Watch::round`] is one turn of it, with the time as an argument. It remembers nothing that is not committed or in the
//! alerts' journal: a new process reads the same rows and comes to the same.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::{Range, RangeInclusive};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use crate::alert::episode::{EpisodeSettings, Timing, Tracker, Transition};
use crate::alert::journal::{Entry, Journal};
use crate::alert::rules::{self, RuleSettings};
use crate::alert::silence::Silence;
use crate::alert::{Condition, Level};
use crate::audit::standing::{Audited, Reading};
use crate::audit::traffic;
use crate::event::{Day, EventTime, WindowLength};
use crate::live::model::{Ingest, Model, PartitionState, TenantOverview};
use crate::live::overview;
use crate::partial::Accounting;
use crate::store::progress::{Patience, Reach};
use crate::store::{Store, StoreError};
use crate::usage::follow::Follower;
use crate::usage::{TenantUsage, Usage};

/// How long before what is known the first window lies that a tenant is ever judged by, and the earliest one after a
/// pause: who starts to watch wants no page about last month.
const LOOK_BACK_MS: i64 = DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// What the read side is told.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    pub rules: RuleSettings,
    pub timings: BTreeMap<&'static str, Timing>,
    pub silences: Vec<Silence>,
    pub patience: Patience,
    /// How far back from what is known the first reader of a tenant judges.
    pub look_back: Duration,
    /// Days of usage kept in memory, today included.
    pub days: i64,
    /// Nobody writes any more: what is there is all there is, and time ends with it.
    pub is_over: bool,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            rules: RuleSettings::default(),
            timings: rules::TIMINGS.into_iter().collect(),
            silences: Vec::new(),
            patience: Patience::default(),
            look_back: Duration::from_secs(3600),
            // This month and the one before, which trends are measured against.
            days: 62,
            is_over: false,
        }
    }
}

impl WatchSettings {
    /// What decides about alerts' transitions.
    pub fn episodes(&self) -> EpisodeSettings {
        EpisodeSettings {
            window: WindowLength::FIVE_MINUTES,
            timings: self.timings.clone(),
            silences: self.silences.clone(),
        }
    }
}

/// The read side of one store.
pub struct Watch {
    settings: WatchSettings,
    follower: Follower,
    usage: Usage,
    journal: Journal,
    reach: BTreeMap<String, Reach>,
    /// The file that was said to be lost.
    lost: Option<object_store::path::Path>,
    /// What the audit judged last.
    judged: Option<Arc<Reading>>,
    revision: u64,
}

/// How old a note of being caught up may be; they come every 15 seconds.
const NOTED_MS_MAX: i64 = 120_000;

/// A tenant over which rules are tried: the ends of its windows, and what was found so far.
type Judging<'u> = (&'u str, &'u TenantUsage, RangeInclusive<i64>, Tracker);

/// What alerts would have done over stored data: every transition is told in the order of windows. Windows end in `period`;
/// `false` if there is no data in it.
pub async fn backtest(
    store: &Store,
    settings: &WatchSettings,
    period: &Range<EventTime>,
    mut tell: impl FnMut(&Transition),
) -> Result<bool, StoreError> {
    let mut usage = Usage::of_all_windows();
    Follower::new(store.clone()).read(|seen| usage.see(seen)).await?;
    usage.settle(&settings.rules.lifetimes);
    let mut tenants: Vec<Judging<'_>> = usage
        .tenants()
        .filter_map(|(tenant, of_tenant)| {
            let (first, end) = (of_tenant.activity.begin()?, of_tenant.activity.end()?);
            let begin = WindowLength::FIVE_MINUTES.start(first.max(period.start)).ms() + rules::WINDOW_MS;
            let ends = begin..=end.min(period.end).ms();
            (!ends.is_empty()).then(|| (tenant, of_tenant, ends, Tracker::new(settings.episodes())))
        })
        .collect();
    let begin = tenants.iter().map(|(_, _, ends, _)| *ends.start()).min();
    let end = tenants.iter().map(|(_, _, ends, _)| *ends.end()).max();
    let Some((begin, end)) = begin.zip(end) else { return Ok(false) };
    // Tenants know nothing of each other: of each a day at a time, then what was found in the order of windows.
    let share = tenants.len().div_ceil(std::thread::available_parallelism().map_or(1, NonZero::get));
    for day in (begin..=end).step_by(DAY_MS as usize) {
        let judge = |(tenant, usage, ends, tracker): &mut Judging<'_>| -> Vec<_> {
            let windows = (day..(day + DAY_MS).min(end + 1)).step_by(rules::WINDOW_MS as usize);
            let observe = |window_end| {
                let window_end = EventTime::from_ms(window_end);
                tracker.observe(window_end, &rules::conditions(tenant, usage, window_end, &settings.rules))
            };
            let windows = windows.filter(|window_end| ends.contains(window_end));
            windows.flat_map(observe).collect()
        };
        let mut found: Vec<Transition> = std::thread::scope(|scope| {
            let judge = |share| scope.spawn(move || <[_]>::iter_mut(share).flat_map(judge).collect::<Vec<_>>());
            let running: Vec<_> = tenants.chunks_mut(share).map(judge).collect();
            running.into_iter().flat_map(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        found.sort_by_key(|transition| transition.alert.at);
        found.iter().for_each(&mut tell);
    }
    Ok(true)
}

/// Windows to judge.
struct Due {
    /// Their ends, in order.
    windows: Vec<EventTime>,
    /// Whether no reader has judged any of the tenant's before.
    is_first: bool,
}

/// What one turn did.
#[derive(Debug, Default)]
pub struct Round {
    /// Ledger entries read.
    pub entries: u64,
    /// Windows judged, of all tenants.
    pub windows: u64,
    /// What this process decided.
    pub decided: Vec<Entry>,
}

impl Watch {
    pub async fn open(store: Store, settings: WatchSettings) -> Result<Self, StoreError> {
        let journal = Journal::open(&store, settings.episodes()).await?;
        let follower = Follower::new(store);
        let (usage, reach) = (Usage::default(), BTreeMap::new());
        Ok(Self { settings, follower, usage, journal, reach, lost: None, judged: None, revision: 0 })
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes over what was read of the tenant that is audited; the next [`round`](Self::round) judges it.
    pub fn audit(&mut self, mut audited: Audited) {
        if audited.standing.is_none() {
            let before = self.settings.rules.audited.as_ref();
            audited.standing = before.and_then(|before| before.standing.clone());
        }
        self.settings.rules.audit(Arc::new(audited));
        self.usage.settle(&self.settings.rules.lifetimes);
        self.revision += 1;
    }

    /// Judges what was read of the configuration beside what is used by now: each reading once.
    fn judge(&mut self) {
        let Some(audited) = &self.settings.rules.audited else { return };
        let Some(reading) = &audited.reading else { return };
        if self.judged.as_ref().is_some_and(|judged| Arc::ptr_eq(judged, reading)) {
            return;
        }
        self.judged = Some(Arc::clone(reading));
        let (mut audited, at) = (Audited::clone(audited), reading.at);
        let rules = &self.settings.rules;
        let none = TenantUsage::default();
        let usage = self.usage.tenant(&audited.tenant).unwrap_or(&none);
        let held_back = traffic::held_back(self.reach.get(&audited.tenant), at);
        audited.judge(usage, at, (&rules.lifetimes, &rules.ghosts), held_back);
        self.settings.rules.audit(Arc::new(audited));
        self.revision += 1;
    }

    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Reads what is new, and decides nothing; gives how many ledger entries that were.
    pub async fn look(&mut self, now: EventTime) -> Result<u64, StoreError> {
        let entries = self.follow().await?;
        // After the rows: a note of a position that was not followed yet says nothing.
        self.follower.hear(now).await?;
        if self.settings.is_over {
            self.follower.end();
        }
        self.reach = self.follower.reach(self.settings.patience, now);
        self.judge();
        self.journal.sync().await?;
        if entries > 0 {
            self.revision += 1;
        }
        Ok(entries)
    }

    /// Reads what is new, and decides what the audit found and the windows that are complete by now.
    pub async fn round(&mut self, now: EventTime) -> Result<Round, StoreError> {
        let mut round = Round { entries: self.look(now).await?, ..Round::default() };
        round.decided.extend(self.decide_audit(now).await?);
        // What fails of one tenant keeps nobody from judging the others; it is tried again in the next round.
        let mut failed = None;
        for (tenant, until) in self.complete() {
            if let Err(error) = self.judge_tenant(&tenant, until, now, &mut round).await {
                tracing::warn!("windows of {tenant} could not be judged: {error}");
                failed.get_or_insert(error);
            }
        }
        if round.windows > 0 || !round.decided.is_empty() {
            self.revision += 1;
        }
        let noted = self.journal.note_evaluated().await;
        match failed {
            Some(error) => Err(error),
            None => noted.map(|()| round),
        }
    }

    /// Decides the windows of a tenant that are complete by now.
    async fn judge_tenant(
        &mut self,
        tenant: &str,
        until: EventTime,
        now: EventTime,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let due = self.due(tenant, until).await?;
        for &window_end in &due.windows {
            let conditions = self.conditions(tenant, window_end);
            match due.is_first {
                true => self.journal.observe_unwritten(tenant, window_end, &conditions),
                false => round.decided.extend(self.journal.observe(tenant, window_end, &conditions, now).await?),
            }
            round.windows += 1;
        }
        if due.is_first {
            round.decided.extend(self.journal.observed_first(tenant, now).await?);
        }
        Ok(())
    }

    /// What was found of the configuration is so whether or not events come: it is decided at the time of the audit.
    async fn decide_audit(&mut self, now: EventTime) -> Result<Vec<Entry>, StoreError> {
        let Some(audited) = &self.settings.rules.audited else { return Ok(Vec::new()) };
        let Some(at) = audited.standing.as_ref().map(|standing| standing.at) else { return Ok(Vec::new()) };
        if !self.journal.wants_look(&audited.tenant, at) {
            return Ok(Vec::new());
        }
        let firing = self.journal.firing().filter(|alert| alert.tenant == audited.tenant);
        let conditions = rules::audit_conditions(firing, &self.settings.rules);
        self.journal.look(&audited.tenant, at, &conditions, now).await
    }

    async fn follow(&mut self) -> Result<u64, StoreError> {
        let entries = self.follower.poll(|seen| self.usage.see(seen)).await?;
        let lost = self.follower.lost();
        if let Some(path) = lost.filter(|path| self.lost.as_ref() != Some(*path)) {
            tracing::error!("{}", StoreError::lost(path));
        }
        self.lost = lost.cloned();
        if entries > 0 {
            // By the newest event there is, not by the clock: data of last year can be looked at too.
            let newest = self.follower.partitions().filter_map(|followed| followed.progress.frontier).max();
            if let Some(newest) = newest {
                self.usage.forget_before(Day::of(newest).plus(1 - self.settings.days));
            }
            self.usage.settle(&self.settings.rules.lifetimes);
        }
        Ok(entries)
    }

    /// Up to when each tenant with usage is known.
    fn complete(&self) -> Vec<(String, EventTime)> {
        let until = |tenant: &str| self.reach.get(tenant).and_then(|reach| reach.until);
        self.usage.tenants().filter_map(|(tenant, _)| Some((tenant.to_owned(), until(tenant)?))).collect()
    }

    /// The ends of the windows to judge, in order: those that are complete and were not judged yet.
    async fn due(&self, tenant: &str, until: EventTime) -> Result<Due, StoreError> {
        let last = WindowLength::FIVE_MINUTES.start(until);
        // Where nothing more will come, as with files, judging ends with the events.
        let last = match self.usage.tenant(tenant).and_then(|usage| usage.activity.end()) {
            Some(end) if self.follower.is_ended(tenant) => last.min(end),
            _ => last,
        };
        let wanted_after = self.journal.wanted_after(tenant).await?;
        let earliest = |ms: i64| EventTime::from_ms(last.ms() - ms);
        let after = match wanted_after {
            Some(after) => after.max(earliest(LOOK_BACK_MS)),
            None => earliest(self.settings.look_back.as_millis() as i64),
        };
        let first = WindowLength::FIVE_MINUTES.start(after).ms() + rules::WINDOW_MS;
        let windows = (first..=last.ms()).step_by(rules::WINDOW_MS as usize).map(EventTime::from_ms).collect();
        // Where time ends with the data, nothing in it is long over.
        Ok(Due { windows, is_first: wanted_after.is_none() && !self.settings.is_over })
    }

    fn conditions(&self, tenant: &str, window_end: EventTime) -> Vec<Condition> {
        let usage = self.usage.tenant(tenant);
        let mut found =
            usage.map_or_else(Vec::new, |usage| rules::conditions(tenant, usage, window_end, &self.settings.rules));
        // Where nobody listened nothing is silent before it was sent again.
        let is_paused = |reach: &Reach| reach.pauses.iter().any(|pause| pause.covers(window_end));
        if self.reach.get(tenant).is_some_and(is_paused) {
            let silence = found.iter_mut().filter(|found| found.rule == rules::SILENCE);
            silence.for_each(|found| found.level = found.level.min(Level::Between));
        }
        found
    }

    /// Everything there is to show at `now`.
    pub fn model(&self, now: EventTime) -> Model {
        let mut tenants: Vec<_> = self.usage.tenants().map(|(name, usage)| self.tenant(name, usage, now)).collect();
        // What is wrong with a tenant shows also where no event of it ever came.
        let audited = self.settings.rules.audited.iter().map(|audited| audited.tenant.as_str());
        let none = TenantUsage::default();
        let silent = audited.filter(|name| self.usage.tenant(name).is_none());
        tenants.extend(silent.map(|name| TenantOverview { as_of: None, ..self.tenant(name, &none, now) }));
        Model {
            revision: self.revision,
            as_of: tenants.iter().filter_map(|tenant| tenant.as_of).max(),
            tenants,
            ingest: self.ingest(now),
        }
    }

    fn tenant(&self, name: &str, usage: &TenantUsage, now: EventTime) -> TenantOverview {
        let as_of = usage.activity.end().unwrap_or(now);
        let mut shown = overview::tenant_overview(name, usage, as_of, &self.settings.rules);
        let mut alerts: Vec<_> = self.journal.standing().filter(|alert| alert.tenant == name).collect();
        alerts.sort_by_key(|alert| (alert.status != crate::alert::Status::Firing, std::cmp::Reverse(alert.at)));
        // Of those that fire none is left out, but for the most absurd numbers.
        let firing = alerts.iter().filter(|alert| alert.status == crate::alert::Status::Firing).count();
        shown.alerts = alerts.into_iter().take(firing.clamp(50, 1_000)).map(overview::alert_view).collect();
        // The window before the one that is under way ought to be known.
        let due = EventTime::from_ms(WindowLength::FIVE_MINUTES.start(now).ms() - 2 * rules::WINDOW_MS);
        let reach = self.reach.get(name).filter(|_| !self.follower.is_ended(name));
        let firing = self.journal.firing().filter(|alert| alert.tenant == name);
        shown.audit = overview::audit_view(name, firing, &self.settings.rules);
        shown.held_back = reach.and_then(|reach| reach.holding_back(due)).map(str::to_owned);
        shown
    }

    fn ingest(&self, now: EventTime) -> Ingest {
        let mut sum = Accounting::default();
        let mut partitions = Vec::new();
        for followed in self.follower.partitions() {
            sum.add(&followed.accounting);
            let progress = &followed.progress;
            let reach = progress.reaches(Duration::ZERO).map(|reach| reach.min(now));
            // Who reads it notes so again and again; nobody knows what came after the last note.
            let is_lately = |idle: EventTime| now.since_ms(idle) <= NOTED_MS_MAX;
            let is_caught_up = progress.ended || progress.idle_since().is_some_and(is_lately);
            partitions.push(PartitionState {
                partition: progress.partition.to_string(),
                position: progress.end,
                frontier: progress.frontier,
                is_caught_up,
                lag_seconds: reach.filter(|_| !progress.ended).map(|reach| now.since_ms(reach).max(0) as u64 / 1000),
            });
        }
        let days = Day::of(EventTime::from_ms(0))..=Day::of(now).plus(2);
        let lateness = self.usage.tenants().map(|(_, usage)| usage.users.max_lateness_ms(days.clone())).max();
        Ingest {
            partitions,
            records: sum.records,
            rejected: sum.rejected,
            events: sum.events,
            duplicates: sum.duplicates,
            max_lateness_ms: lateness.unwrap_or(0),
            problem: None,
        }
    }
}
