//! Episodes: from what rules say, window by window, to transitions. Pure: the only time is event time, so that the same
//! windows give the same transitions whoever looks at them, and when.
//!
//! A subject fires once a rule said [`Level::On`] of it in so many windows in a row, and resolves once it said
//! [`Level::Clear`] in so many in a row; [`Level::Between`] ends either row and changes nothing else, and of
//! [`Level::Unknown`] not even a page is repeated. So all there is to remember is each subject's last transition, which is in
//! the journal, and a few last windows, which can be read again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rules::INHIBITIONS;
use super::silence::Silence;
use super::{Alert, Condition, Level, Status};
use crate::event::{EventTime, WindowLength};

/// How long a rule's conditions must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Windows in a row above the threshold until it fires; 0 is as 1.
    pub for_windows: u32,
    /// Windows in a row below the lower threshold until it has ended; 0 is as 1.
    pub clear_windows: u32,
    /// How long, in event time, until a page is repeated.
    pub repeat: Option<Duration>,
}

/// What decides about transitions, beside the conditions.
#[derive(Debug, Clone)]
pub struct EpisodeSettings {
    /// The length of the windows that are observed.
    pub window: WindowLength,
    /// Every rule this process knows, also those turned off: their alerts resolve, since nothing mentions them. Alerts of
    /// other rules are not this process's to decide.
    pub timings: BTreeMap<&'static str, Timing>,
    pub silences: Vec<Silence>,
}

impl EpisodeSettings {
    /// How many windows a new [`Tracker`] must see again to know what one that never stopped does.
    pub fn windows_to_see_again(&self) -> u32 {
        self.timings.values().map(|timing| timing.for_windows.max(timing.clear_windows)).max().unwrap_or_default()
    }
}

/// What happened to an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub change: Change,
    pub alert: Alert,
    /// Why nobody is told.
    pub silenced: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Fired,
    /// It fires still. The number counts the intervals since it fired; 0 is the page of what was silenced until now, where
    /// no interval begins.
    Repeated(u64),
    Resolved,
}

/// Where every alert of a tenant stands.
#[derive(Debug)]
pub struct Tracker {
    settings: EpisodeSettings,
    /// By alert id.
    subjects: BTreeMap<String, Subject>,
    observed: Option<EventTime>,
}

#[derive(Debug, Default)]
struct Subject {
    /// The number of the next transition.
    next: u64,
    /// End of the window that decided the last one. This and earlier windows say nothing new.
    decided: Option<EventTime>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Inactive,
    /// Above the threshold in a row of windows, the first of which began at `since`.
    Pending { since: EventTime },
    Firing {
        alert: Box<Alert>,
        /// When the first of a row of windows below the lower threshold began.
        clear: Option<EventTime>,
        /// Why nobody has been told of this episode yet.
        silenced: Option<String>,
    },
}

impl Tracker {
    pub fn new(settings: EpisodeSettings) -> Self {
        Self { settings, subjects: BTreeMap::new(), observed: None }
    }

    /// The end of the last window observed.
    pub fn observed(&self) -> Option<EventTime> {
        self.observed
    }

    /// The alerts that fire now, as they fired.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.subjects.values().filter_map(|subject| match &subject.state {
            State::Firing { alert, .. } => Some(&**alert),
            _ => None,
        })
    }

    /// How many transitions of an alert are known.
    pub fn transitions(&self, id: &str) -> u64 {
        self.subjects.get(id).map_or(0, |subject| subject.next)
    }

    /// What one window, all of it, says of every subject of the tenant; windows come in order. One that was observed
    /// already changes nothing. One that does not follow the last begins every row anew, since nobody knows what was between.
    pub fn observe(&mut self, window_end: EventTime, conditions: &[Condition]) -> Vec<Transition> {
        if self.observed.is_some_and(|observed| window_end <= observed) {
            return Vec::new();
        }
        let window = Window::ending(window_end, self.settings.window);
        let follows = self.observed.is_none_or(|observed| observed == window.begin);
        self.see(window, follows, conditions)
    }

    /// The same of what somebody looked at by themselves, at a moment: what is found then holds until the next look, so that
    /// no window is missing between.
    pub fn look(&mut self, at: EventTime, conditions: &[Condition]) -> Vec<Transition> {
        if self.observed.is_some_and(|observed| at <= observed) {
            return Vec::new();
        }
        let window = Window::ending(at, self.settings.window);
        self.see(Window { after: self.observed, is_look: true, ..window }, true, conditions)
    }

    fn see(&mut self, window: Window, follows: bool, conditions: &[Condition]) -> Vec<Transition> {
        self.observed = Some(window.end);
        let said = strongest(conditions);
        for (id, condition) in &said {
            assert!(self.settings.timings.contains_key(condition.rule), "rule {} has a timing", condition.rule);
            if condition.level == Level::On && !self.subjects.contains_key(id) {
                self.subjects.insert(id.clone(), Subject::default());
            }
        }
        let inhibited = self.inhibited(&said);
        let mut transitions = Vec::new();
        for (id, subject) in &mut self.subjects {
            let Some(timing) = self.settings.timings.get(rule_of(id)) else { continue };
            if subject.decided.is_some_and(|decided| window.end <= decided) {
                continue;
            }
            let condition = said.get(id).copied();
            let level = match condition.map_or(Level::Clear, |condition| condition.level) {
                Level::On if inhibited.contains(id) => Level::Between,
                level => level,
            };
            if !follows || level == Level::Unknown {
                subject.begin_row_anew();
            }
            if level == Level::Unknown {
                continue;
            }
            transitions.extend(subject.observe(id, window, (condition, level), timing, &self.settings.silences));
        }
        self.subjects.retain(|_, subject| subject.next > 0 || !matches!(subject.state, State::Inactive));
        transitions
    }

    /// What another rule says already, or is about to.
    fn inhibited(&self, said: &BTreeMap<String, &Condition>) -> BTreeSet<String> {
        let fires = |id: &String| {
            said.get(id).is_some_and(|condition| condition.level == Level::On)
                || self.subjects.get(id).is_some_and(|subject| matches!(subject.state, State::Firing { .. }))
        };
        let other = |id: &String| {
            let (rule, subject) = id.split_once(':')?;
            let (_, inhibited) = INHIBITIONS.iter().find(|(by, _)| *by == rule)?;
            Some(format!("{inhibited}:{subject}"))
        };
        self.subjects.keys().filter(|id| fires(id)).filter_map(other).collect()
    }

    /// Takes over what the journal says of an alert, unless what is known is newer.
    pub fn adopt(&mut self, transition: &Transition) {
        let Transition { change, alert, silenced } = transition;
        let subject = self.subjects.entry(alert.id.clone()).or_default();
        match change {
            Change::Repeated(_) => {
                if let State::Firing { alert: firing, silenced: untold, .. } = &mut subject.state
                    && firing.sequence == alert.sequence
                    && silenced.is_none()
                {
                    *untold = None;
                }
            }
            Change::Fired | Change::Resolved if alert.sequence + 1 < subject.next => {}
            // The same decision: what was seen since then stays.
            Change::Fired | Change::Resolved
                if alert.sequence + 1 == subject.next && subject.decided == Some(alert.at) =>
            {
                if let State::Firing { silenced: untold, .. } = &mut subject.state {
                    untold.clone_from(silenced);
                }
            }
            Change::Fired => {
                let state = State::Firing { alert: Box::new(alert.clone()), clear: None, silenced: silenced.clone() };
                subject.decide(alert, state);
            }
            Change::Resolved => subject.decide(alert, State::Inactive),
        }
    }
}

#[derive(Clone, Copy)]
struct Window {
    begin: EventTime,
    end: EventTime,
    /// What was observed before ended then; `None` where that is not known.
    after: Option<EventTime>,
    length: WindowLength,
    /// Of a moment rather than of a time: nothing is known of what was before.
    is_look: bool,
}

impl Window {
    fn ending(end: EventTime, length: WindowLength) -> Self {
        let begin = EventTime::from_ms(end.ms() - i64::from(length.seconds()) * 1000);
        Self { begin, end, after: Some(begin), length, is_look: false }
    }

    /// What is said of when a row began that began with the window from `begin`.
    fn since(&self, begin: EventTime) -> EventTime {
        if self.is_look { EventTime::from_ms(begin.ms() + self.end.since_ms(self.begin)) } else { begin }
    }

    /// How many windows there are from a row's begin to the end of this one.
    fn count_since(&self, begin: EventTime) -> i64 {
        self.end.since_ms(begin) / (i64::from(self.length.seconds()) * 1000)
    }
}

impl Subject {
    fn observe(
        &mut self,
        id: &str,
        window: Window,
        (condition, level): (Option<&Condition>, Level),
        timing: &Timing,
        silences: &[Silence],
    ) -> Option<Transition> {
        let silence_of =
            |alert: &Alert| silences.iter().find(|silence| silence.covers(alert)).map(|silence| silence.reason.clone());
        let transition = match &mut self.state {
            State::Inactive | State::Pending { .. } => {
                let condition = condition.filter(|_| level == Level::On);
                let Some(condition) = condition else {
                    self.state = State::Inactive;
                    return None;
                };
                let since = match self.state {
                    State::Pending { since } => since,
                    _ => window.begin,
                };
                if window.count_since(since) < i64::from(timing.for_windows.max(condition.for_windows)) {
                    self.state = State::Pending { since };
                    return None;
                }
                let alert = fired(id, self.next, condition, window.since(since), window.end);
                Transition { change: Change::Fired, silenced: silence_of(&alert), alert }
            }
            State::Firing { alert, clear, silenced: untold } if level == Level::Clear => {
                let begin = *clear.get_or_insert(window.begin);
                if window.count_since(begin) < i64::from(timing.clear_windows) {
                    return None;
                }
                // The end of what nobody was told of is nobody's news; the end of a page is, also under a silence.
                let silenced = untold.clone();
                let alert = resolved(alert, condition, window.end);
                Transition { change: Change::Resolved, alert, silenced }
            }
            State::Firing { alert, clear, silenced: untold } => {
                *clear = None;
                let repeated = repeated(alert, condition?, window.end);
                let silenced = silence_of(&repeated);
                let number = match intervals_begun(timing.repeat, alert.at, window) {
                    Some(number) => number,
                    None if untold.is_some() && silenced.is_none() => 0,
                    None => return None,
                };
                if silenced.is_none() {
                    *untold = None;
                }
                return Some(Transition { change: Change::Repeated(number), alert: repeated, silenced });
            }
        };
        let state = match transition.change {
            Change::Resolved => State::Inactive,
            _ => State::Firing {
                alert: Box::new(transition.alert.clone()),
                clear: None,
                silenced: transition.silenced.clone(),
            },
        };
        self.decide(&transition.alert, state);
        Some(transition)
    }

    fn decide(&mut self, alert: &Alert, state: State) {
        self.next = alert.sequence + 1;
        self.decided = Some(alert.at);
        self.state = state;
    }

    fn begin_row_anew(&mut self) {
        match &mut self.state {
            State::Pending { .. } => self.state = State::Inactive,
            State::Firing { clear, .. } => *clear = None,
            State::Inactive => {}
        }
    }
}

/// Which interval since `fired` begins in `window`, or since what was observed before, if one does: asked of each window by
/// itself, so that no restart can move it. Where nobody knows what was before, it is the last one, which the journal may have.
fn intervals_begun(interval: Option<Duration>, fired: EventTime, window: Window) -> Option<u64> {
    let interval_ms = i64::try_from(interval?.as_millis()).ok().filter(|ms| *ms > 0)?;
    let number = window.end.since_ms(fired).div_euclid(interval_ms);
    (number > window.after.unwrap_or(fired).since_ms(fired).div_euclid(interval_ms))
        .then_some(number as u64)
        .filter(|number| *number > 0)
}

fn fired(id: &str, sequence: u64, condition: &Condition, since: EventTime, at: EventTime) -> Alert {
    Alert {
        id: id.to_owned(),
        sequence,
        status: Status::Firing,
        rule: condition.rule.to_owned(),
        severity: condition.severity,
        tenant: condition.tenant.clone(),
        subject: condition.subject.clone(),
        title: condition.title.clone(),
        summary: condition.summary.clone(),
        evidence: condition.evidence.clone(),
        fix: condition.fix.clone(),
        since,
        at,
    }
}

/// The alert as it fired, with what is seen now. Severity and subject stay those of the page, whatever is said of them
/// since: other systems know the alert by them.
fn repeated(alert: &Alert, condition: &Condition, at: EventTime) -> Alert {
    let now = fired(&alert.id, alert.sequence, condition, alert.since, at);
    Alert { severity: alert.severity, subject: alert.subject.clone(), ..now }
}

/// The alert as it fired, with what is seen now, if its rule still speaks of it.
fn resolved(alert: &Alert, condition: Option<&Condition>, at: EventTime) -> Alert {
    let mut alert = Alert { sequence: alert.sequence + 1, status: Status::Resolved, at, ..alert.clone() };
    if let Some(condition) = condition {
        alert.summary.clone_from(&condition.summary);
        alert.evidence.clone_from(&condition.evidence);
    }
    alert
}

/// One condition a subject: if a rule names it twice, the worse.
fn strongest(conditions: &[Condition]) -> BTreeMap<String, &Condition> {
    let mut said: BTreeMap<String, &Condition> = BTreeMap::new();
    for condition in conditions {
        let there = said.entry(condition.id()).or_insert(condition);
        if (condition.level, condition.severity) > (there.level, there.severity) {
            *there = condition;
        }
    }
    said
}

fn rule_of(id: &str) -> &str {
    id.split_once(':').map_or(id, |(rule, _)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Severity;

    const LENGTH: WindowLength = WindowLength::FIVE_MINUTES;
    const ONCE: Timing = Timing { for_windows: 1, clear_windows: 1, repeat: None };
    const TWICE: Timing = Timing { for_windows: 2, clear_windows: 2, repeat: None };

    /// The end of window `n`.
    fn end(n: i64) -> EventTime {
        EventTime::from_ms(1_793_491_200_000 + n * i64::from(LENGTH.seconds()) * 1000)
    }

    fn tracker(timing: Timing, silences: &[Silence]) -> Tracker {
        let timings = BTreeMap::from([("spike", timing)]);
        Tracker::new(EpisodeSettings { window: LENGTH, timings, silences: silences.to_vec() })
    }

    fn condition(key: &str, level: Level) -> Condition {
        Condition {
            rule: "spike",
            severity: Severity::Warning,
            tenant: "acme".to_owned(),
            key: key.to_owned(),
            subject: format!("subject {key}"),
            level,
            for_windows: 0,
            title: format!("{key} is high"),
            summary: format!("{level:?}"),
            evidence: Vec::new(),
            fix: None,
        }
    }

    /// Windows from `from`, a letter each: `+` on, `~` between, `-` clear, `?` unknown, ` ` not mentioned, `!` the window is
    /// left out.
    fn observe(tracker: &mut Tracker, from: i64, levels: &str) -> Vec<Vec<Transition>> {
        let mut all = Vec::new();
        for (n, letter) in (from..).zip(levels.chars()) {
            let level = match letter {
                '+' => Some(Level::On),
                '~' => Some(Level::Between),
                '-' => Some(Level::Clear),
                '?' => Some(Level::Unknown),
                ' ' => None,
                _ => {
                    all.push(Vec::new());
                    continue;
                }
            };
            let conditions: Vec<_> = level.map(|level| condition("k", level)).into_iter().collect();
            all.push(tracker.observe(end(n), &conditions));
        }
        all
    }

    /// What happened in each window: `F`ired, `R`esolved, a repeat by its number; in brackets what is silenced.
    fn told(transitions: &[Vec<Transition>]) -> String {
        let mut text = String::new();
        for window in transitions {
            assert!(window.len() <= 1);
            let Some(transition) = window.first() else {
                text.push('.');
                continue;
            };
            let letter = match transition.change {
                Change::Fired => "F".to_owned(),
                Change::Resolved => "R".to_owned(),
                Change::Repeated(number) => number.to_string(),
            };
            text += &if transition.silenced.is_some() { format!("({letter})") } else { letter };
        }
        text
    }

    fn story(timing: Timing, silences: &[Silence], levels: &str) -> String {
        told(&observe(&mut tracker(timing, silences), 0, levels))
    }

    #[test]
    fn it_fires_and_resolves_after_so_many_windows_in_a_row() {
        assert_eq!(story(ONCE, &[], "--+++--+-"), "..F..R.FR");
        assert_eq!(story(TWICE, &[], "-+++---++  "), "..F..R..F.R");
        assert_eq!(story(Timing { for_windows: 3, ..ONCE }, &[], "++-+++-"), ".....FR");
        let never_zero = Timing { for_windows: 0, clear_windows: 0, repeat: None };
        assert_eq!(story(never_zero, &[], "-+-"), ".FR");
    }

    #[test]
    fn what_is_pending_and_ends_early_is_nothing() {
        assert_eq!(story(TWICE, &[], "+-+-+ +~+-"), "..........");
        let mut tracker = tracker(TWICE, &[]);
        observe(&mut tracker, 0, "+-");
        assert!(tracker.subjects.is_empty(), "and leaves nothing behind");
    }

    #[test]
    fn between_the_thresholds_nothing_fires_and_nothing_resolves() {
        assert_eq!(story(ONCE, &[], "~~+~~~-~~+"), "..F...R..F");
        assert_eq!(story(TWICE, &[], "++-~-~--"), ".F.....R", "a window between ends the row that would resolve it");
    }

    #[test]
    fn what_nobody_could_look_at_neither_fires_nor_resolves_nor_is_repeated() {
        assert_eq!(story(ONCE, &[], "?+???-?"), ".F...R.");
        assert_eq!(story(TWICE, &[], "+?++-?--"), "...F...R", "and ends every row");
        let timing = Timing { repeat: Some(Duration::from_secs(300)), ..ONCE };
        assert_eq!(story(timing, &[], "+???+-"), "F...4R");
    }

    #[test]
    fn an_alert_says_when_it_began_and_when_it_was_decided() {
        let transitions: Vec<_> = observe(&mut tracker(TWICE, &[]), 10, "-++ -").concat();
        let [fired, resolved] = transitions.as_slice() else { panic!("{transitions:?}") };
        assert_eq!((fired.alert.since, fired.alert.at), (end(10), end(12)));
        assert_eq!((fired.alert.sequence, fired.alert.status), (0, Status::Firing));
        assert_eq!((resolved.alert.since, resolved.alert.at), (end(10), end(14)));
        assert_eq!((resolved.alert.sequence, resolved.alert.status), (1, Status::Resolved));
        assert_eq!((resolved.alert.title.as_str(), resolved.alert.summary.as_str()), ("k is high", "Clear"));
        assert_eq!(fired.alert.id, condition("k", Level::On).id());
    }

    #[test]
    fn a_subject_nobody_mentions_any_more_resolves_with_what_was_said_of_it() {
        let transitions = observe(&mut tracker(ONCE, &[]), 0, "+ ").concat();
        assert_eq!((transitions[1].change, transitions[1].alert.summary.as_str()), (Change::Resolved, "On"));
    }

    #[test]
    fn a_page_is_repeated_by_event_time_while_it_fires() {
        let timing = Timing { repeat: Some(Duration::from_secs(15 * 60)), ..TWICE };
        assert_eq!(story(timing, &[], "+++++++~+--+++"), ".F..1..2..R.F.");
        // Not in a window that says it may be over; the next one comes when it is due.
        assert_eq!(story(timing, &[], "++++-++++"), ".F.....2.");
        // Shorter than a window: once a window at most.
        let often = Timing { repeat: Some(Duration::from_secs(60)), ..ONCE };
        assert_eq!(story(often, &[], "+++-"), "F510R");
    }

    #[test]
    fn page_repeat_and_resolution_are_one_alert_to_other_systems_whatever_is_said_of_it_since() {
        use crate::alert::notify::alertmanager::Alertmanager;
        use crate::alert::notify::pagerduty::PagerDuty;
        let timing = Timing { repeat: Some(Duration::from_secs(300)), ..ONCE };
        let mut tracker = tracker(timing, &[]);
        let worse = Condition {
            severity: Severity::Critical,
            subject: "another name".to_owned(),
            summary: "worse".to_owned(),
            ..condition("k", Level::On)
        };
        let clear = Condition { level: Level::Clear, ..worse.clone() };
        let mut told = tracker.observe(end(0), &[condition("k", Level::On)]);
        told.extend(tracker.observe(end(1), std::slice::from_ref(&worse)));
        // As a restart would take it over.
        let mut restarted = self::tracker(timing, &[]);
        told.iter().for_each(|transition| restarted.adopt(transition));
        told.extend(restarted.observe(end(2), &[worse]));
        told.extend(restarted.observe(end(3), &[clear]));
        let changes: Vec<_> = told.iter().map(|transition| transition.change).collect();
        assert_eq!(changes, [Change::Fired, Change::Repeated(1), Change::Repeated(2), Change::Resolved]);
        assert_eq!(told[2].alert.summary, "worse", "what is seen now is told");
        let known_by = |alert: &Alert| {
            let (url, authorization) = ("https://x.test/".to_owned(), None);
            let posted = Alertmanager { url: url.clone(), authorization }.render(alert, None, alert.at).body;
            let posted: serde_json::Value = serde_json::from_str(&posted).expect("JSON");
            let routing_key = crate::config::Secret::new("key".to_owned());
            let event = PagerDuty { url, routing_key }.render(alert, None).body;
            let event: serde_json::Value = serde_json::from_str(&event).expect("JSON");
            (posted[0]["labels"].clone(), event["dedup_key"].clone(), alert.severity, alert.subject.clone())
        };
        for transition in &told {
            assert_eq!(known_by(&transition.alert), known_by(&told[0].alert), "{:?}", transition.change);
        }
    }

    #[test]
    fn what_is_silenced_is_decided_all_the_same_and_told_once_the_silence_ends() {
        let silence = |until, rule: Option<&str>, subject: Option<&str>| Silence {
            rule: rule.map(str::to_owned),
            tenant: Some("acme".to_owned()),
            subject: subject.map(str::to_owned),
            until: end(until),
            reason: "migration".to_owned(),
        };
        let all = [silence(3, None, None)];
        assert_eq!(story(ONCE, &all, "-++++++-"), ".(F)..0..R");
        assert_eq!(story(ONCE, &all, "-++-+-"), ".(F).(R)FR", "nobody is told that what nobody knew of is over");
        assert_eq!(story(ONCE, &[silence(3, Some("spike"), Some("ject k"))], "-+-"), ".(F)(R)");
        for other in [silence(9, Some("quota"), None), silence(9, None, Some("nothing")), silence(-1, None, None)] {
            assert_eq!(story(ONCE, &[other], "-+-"), ".FR");
        }
        let repeated = Timing { repeat: Some(Duration::from_secs(600)), ..ONCE };
        assert_eq!(story(repeated, &all, "+++++++-"), "(F).(1).2.3R");
        assert_eq!(story(repeated, &[silence(2, None, None)], "+++++++-"), "(F).(1)02.3R");
        let transition = &observe(&mut tracker(ONCE, &all), 0, "+")[0][0];
        assert_eq!(transition.silenced.as_deref(), Some("migration"));
    }

    #[test]
    fn the_end_of_a_page_is_told_although_a_silence_began_since() {
        let mut tracker = tracker(ONCE, &[]);
        let fired = observe(&mut tracker, 0, "+").concat();
        let everything =
            Silence { rule: None, tenant: None, subject: None, until: end(99), reason: "quiet".to_owned() };
        let mut restarted = self::tracker(ONCE, &[everything]);
        restarted.adopt(&fired[0]);
        assert_eq!(told(&observe(&mut restarted, 1, "+-")), ".R");
    }

    #[test]
    fn windows_that_do_not_follow_each_other_are_not_in_a_row() {
        assert_eq!(story(TWICE, &[], "+!++"), "...F");
        assert_eq!(story(TWICE, &[], "++-!--"), ".F...R");
    }

    #[test]
    fn a_window_observed_again_changes_nothing() {
        let mut tracker = tracker(TWICE, &[]);
        assert_eq!(told(&observe(&mut tracker, 0, "++")), ".F");
        assert_eq!(told(&observe(&mut tracker, 0, "--")), "..");
        assert_eq!(told(&observe(&mut tracker, 2, "--")), ".R");
    }

    #[test]
    fn a_tracker_that_is_behind_says_nothing_of_windows_already_decided_about() {
        let ahead = observe(&mut tracker(ONCE, &[]), 0, "+-+++").concat();
        let mut behind = tracker(ONCE, &[]);
        assert_eq!(told(&observe(&mut behind, 0, "+")), "F");
        ahead.iter().for_each(|transition| behind.adopt(transition));
        assert_eq!(told(&observe(&mut behind, 1, "-+-+-")), "..RFR");
    }

    #[test]
    fn an_older_transition_is_not_adopted_and_the_same_one_keeps_what_was_seen_since() {
        let mut tracker = tracker(Timing { clear_windows: 2, ..ONCE }, &[]);
        let transitions = observe(&mut tracker, 0, "+--+-").concat();
        assert_eq!(transitions.len(), 3);
        transitions.iter().for_each(|transition| tracker.adopt(transition));
        assert_eq!(told(&observe(&mut tracker, 5, "-")), "R", "two windows in a row, adopted in between or not");
    }

    #[test]
    fn looks_count_the_time_between_them_and_skip_no_repeat() {
        let looks = |timing, every: i64, levels: &str| {
            let mut tracker = tracker(timing, &[]);
            let look = |(n, letter)| {
                let level = if letter == '+' { Level::On } else { Level::Clear };
                tracker.look(EventTime::from_ms(end(n * every).ms() + 1_234), &[condition("k", level)])
            };
            told(&(0..).zip(levels.chars()).map(look).collect::<Vec<_>>())
        };
        assert_eq!(looks(ONCE, 12, "-++--+"), ".F.R.F");
        // What was found an hour ago is found for longer than three windows; what is found for the first time, for one.
        let thrice = Timing { for_windows: 3, clear_windows: 3, repeat: None };
        assert_eq!(looks(thrice, 12, "+-++--+"), "...F.R.");
        assert_eq!(looks(thrice, 1, "++++---+"), "..F...R.");
        let hourly = Timing { repeat: Some(Duration::from_secs(3600)), ..ONCE };
        assert_eq!(looks(hourly, 5, "+++++++++"), "F..1.2..3");
        // A restart between two looks loses none.
        let fired = tracker(hourly, &[]).look(end(0), &[condition("k", Level::On)]);
        let mut restarted = tracker(hourly, &[]);
        restarted.adopt(&fired[0]);
        assert_eq!(told(&[restarted.look(end(40), &[condition("k", Level::On)])]), "3");
        // It is so since it was seen, not since a window before.
        assert_eq!((fired[0].alert.since, fired[0].alert.at), (end(0), end(0)));
        let mut patient = tracker(thrice, &[]);
        assert_eq!(patient.look(end(3), &[condition("k", Level::On)]), []);
        let fired = patient.look(end(15), &[condition("k", Level::On)]);
        assert_eq!((fired[0].alert.since, fired[0].alert.at), (end(3), end(15)));
        // One that is older than the last says nothing.
        let mut tracker = tracker(ONCE, &[]);
        assert_eq!(tracker.look(end(12), &[condition("k", Level::On)]).len(), 1);
        assert_eq!(tracker.look(end(6), &[]), []);
        let fired = tracker.look(end(18), &[]).remove(0);
        assert_eq!((fired.change, fired.alert.at), (Change::Resolved, end(18)));
    }

    #[test]
    fn rules_without_a_timing_are_not_decided() {
        let fired = observe(&mut tracker(ONCE, &[]), 0, "+").concat();
        let mut other = tracker(ONCE, &[]);
        let mut alien = fired[0].clone();
        alien.alert.id = alien.alert.id.replace("spike", "newer-rule");
        other.adopt(&alien);
        assert_eq!(told(&observe(&mut other, 1, "---")), "...");
        assert_eq!(other.firing().count(), 1);
    }

    #[test]
    fn of_a_subject_named_twice_the_worse_counts() {
        let both = [condition("k", Level::Clear), condition("k", Level::On)];
        for conditions in [both.to_vec(), both.iter().rev().cloned().collect()] {
            let transitions = tracker(ONCE, &[]).observe(end(0), &conditions);
            assert_eq!(transitions.iter().map(|one| one.change).collect::<Vec<_>>(), [Change::Fired]);
        }
    }
}
