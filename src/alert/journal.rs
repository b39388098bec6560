//! The journal: what was decided of each alert, on the object store, where every reader finds it.
//!
//! `_alerts/<rule>/<id hash>/<sequence>.json` is one transition, `<sequence>.repeat-<n>.json` a repeated page of one that
//! fires; both are written only if absent. That one write makes a transition true. Three readers that see the same windows
//! decide the same, and the first to write is the one whose decision holds: the others take over what they find, and say
//! nothing of windows it has decided about. So does a reader that is behind, or was restarted.
//!
//! | what happens | what lies there | why no transition is lost or made twice |
//! | --- | --- | --- |
//! | the process dies before the entry | `_evaluated` is not past its window | a restart, or another reader, sees the window again and decides it again |
//! | the entry's answer is lost | the entry, or not | GET tells, by the nonce; not there: written again, before any later window |
//! | the process dies after the entry | the entry | a restart takes it over; any reader sends it (see [`outbox`](super::outbox)) |
//! | another reader was first, maybe by another window, since late events came in between | its entry | it holds; ours is dropped |
//! | a reader is behind | entries of later windows | it takes over the last, and passes over windows up to that one's |
//! | `_evaluated` is missing, damaged or too early | | windows are seen again; the entries are there |
//! | [`forget`] removes old episodes, stops midway, or two do at once | the last episode of each alert, whole, and its markers | only last transitions decide; what is old is not sent, with a marker or without |
//!
//! Entries of a tenant are written in the order of its windows, and a window's before the next one is looked at. So the
//! journal is at any time what one reader that never stopped had written up to some window.
//!
//! `_alerts/_evaluated/<tenant>.json` only saves time: it says which windows need not be seen again.
//!
//! Alerts of the audit belong to no window: what a look at the configuration finds is decided at the time of that look, by
//! itself, so that it is told also while no event comes. A reader whose look is older than what is decided says nothing of it.
//!
//! The windows before a tenant's first reader came are decided all at once. What had begun and was over long before is
//! written down as the others would have, but is not sent: nobody is paged for what ended last month.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::{Path, PathPart};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::episode::{Change, EpisodeSettings, Tracker, Transition};
use super::rules::AUDIT;
use super::{Alert, Condition, Status};
use crate::event::EventTime;
use crate::store::ledger::{text_time, to_json};
use crate::store::{Created, Store, StoreError};

/// The format of entries, and of what lies beside them.
pub const FORMAT: u32 = 1;

/// The folder of everything about alerts.
pub const FOLDER: &str = "_alerts";

/// How many entries are read at once.
const READS_AT_ONCE: usize = 16;

/// How long an episode that another has followed is kept, by the store's dates: a year and what it is compared with.
pub const KEEP: Duration = Duration::from_secs(400 * 24 * 3600);

/// What was over for so long when a tenant's first reader came is nobody's news.
pub const LONG_OVER: Duration = Duration::from_secs(3600);

/// A transition, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub format: u32,
    /// The version that wrote it.
    pub ghostlight: String,
    /// Tells what this process wrote from what others did.
    pub nonce: String,
    /// Wall clock.
    #[serde(with = "text_time")]
    pub decided_at: EventTime,
    /// A repeated page: how many intervals after it fired. 0 is the first page of an alert that was silenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u64>,
    /// Why it is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<String>,
    pub alert: Alert,
}

impl Entry {
    fn new(transition: &Transition, nonce: &str, now: EventTime) -> Self {
        let repeat = match transition.change {
            Change::Repeated(number) => Some(number),
            Change::Fired | Change::Resolved => None,
        };
        Self {
            format: FORMAT,
            ghostlight: env!("CARGO_PKG_VERSION").to_owned(),
            nonce: nonce.to_owned(),
            decided_at: now,
            repeat,
            silenced: transition.silenced.clone(),
            alert: transition.alert.clone(),
        }
    }

    pub fn transition(&self) -> Transition {
        let change = match (self.repeat, self.alert.status) {
            (Some(number), _) => Change::Repeated(number),
            (None, Status::Firing) => Change::Fired,
            (None, Status::Resolved) => Change::Resolved,
        };
        Transition { change, alert: self.alert.clone(), silenced: self.silenced.clone() }
    }

    fn page(&self) -> Page {
        Page { alert: self.alert.id.clone(), sequence: self.alert.sequence, repeat: self.repeat }
    }

    /// Checks what must hold in every entry, whoever wrote it: asked before writing and after reading.
    fn check(&self) -> Result<(), String> {
        let alert = &self.alert;
        let hash = alert.id.strip_prefix(&alert.rule).and_then(|rest| rest.strip_prefix(':'));
        if !hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))) {
            return Err(format!("{} is not an id of rule {}", alert.id, alert.rule));
        }
        if (alert.status == Status::Firing) != alert.sequence.is_multiple_of(2) {
            return Err(format!("transition {} cannot be {:?}", alert.sequence, alert.status));
        }
        if self.repeat.is_some() && alert.status != Status::Firing {
            return Err("only what fires is repeated".to_owned());
        }
        // What somebody looked at is so since then.
        if alert.since > alert.at {
            return Err(format!("it began at {} and was decided at {}", alert.since, alert.at));
        }
        Ok(())
    }
}

/// What names an entry: a transition of an alert, or a repeated page of it. Sorts in the order they come to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Page {
    pub alert: String,
    pub sequence: u64,
    pub repeat: Option<u64>,
}

impl Page {
    pub(super) fn path(&self) -> Path {
        self.beside("")
    }

    /// The path of what belongs to this page.
    pub(super) fn beside(&self, what: &str) -> Path {
        let repeat = self.repeat.map_or_else(String::new, |number| format!(".repeat-{number}"));
        Path::from(format!("{}/{:010}{repeat}{what}.json", folder(&self.alert), self.sequence))
    }
}

fn folder(alert: &str) -> String {
    format!("{FOLDER}/{}", alert.replacen(':', "/", 1))
}

/// What an object in an alert's folder is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Object {
    Entry,
    /// A channel has it.
    Sent(String),
    /// A reader took it on itself to send it to a channel.
    Claim(String, u64),
}

/// Reads a name; `None` for what is not ours to understand.
pub(super) fn parse(path: &Path) -> Option<(Page, Object)> {
    let parts: Vec<_> = path.parts().collect();
    let [_, rule, hash, name] = parts.as_slice() else { return None };
    let mut words = name.as_ref().strip_suffix(".json")?.split('.');
    let sequence = words.next()?.parse().ok()?;
    let mut rest: Vec<_> = words.collect();
    // A channel may have any name without a dot, so the number of words decides.
    let repeat = match rest.len() {
        1 | 3 => Some(rest.remove(0).strip_prefix("repeat-")?.parse().ok()?),
        _ => None,
    };
    let object = match rest.as_slice() {
        [] => Object::Entry,
        [channel, "sent"] => Object::Sent((*channel).to_owned()),
        [channel, claim] => Object::Claim((*channel).to_owned(), claim.strip_prefix("claim-")?.parse().ok()?),
        _ => return None,
    };
    Some((Page { alert: format!("{}:{}", rule.as_ref(), hash.as_ref()), sequence, repeat }, object))
}

pub(super) async fn read_entry(store: &Store, page: &Page) -> Result<Option<Entry>, StoreError> {
    let path = page.path();
    let Some(bytes) = store.get_if_there(&path).await? else { return Ok(None) };
    let entry: Entry = from_json(&path, &bytes)?;
    entry.check().map_err(|problem| StoreError::damaged(&path, problem))?;
    if entry.page() != *page {
        return Err(StoreError::damaged(&path, format!("it is the entry at {}", entry.page().path())));
    }
    Ok(Some(entry))
}

async fn create_entry(store: &Store, entry: &Entry) -> Result<Created, StoreError> {
    let path = entry.page().path();
    entry.check().map_err(|problem| StoreError::damaged(&path, problem))?;
    store.create(&path, to_json(entry)).await
}

pub(super) fn from_json<T: DeserializeOwned>(path: &Path, bytes: &Bytes) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    if let Ok(Head { format }) = serde_json::from_slice(bytes)
        && format > FORMAT
    {
        return Err(StoreError::Newer { path: path.to_string(), found: format, known: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(|error| StoreError::damaged(path, error))
}

/// The alerts of every tenant, as this process decides them and others have.
pub struct Journal {
    store: Store,
    settings: EpisodeSettings,
    nonce: String,
    /// What each tenant's windows decide.
    tenants: BTreeMap<String, Tenant>,
    /// What looks at its configuration decide.
    audits: BTreeMap<String, Tenant>,
    /// What has been read of each alert: its last transition, and how often that was repeated.
    read: HashMap<String, (u64, usize)>,
    /// The last transition of each alert that is known.
    standing: BTreeMap<String, Alert>,
}

struct Tenant {
    tracker: Tracker,
    /// Decided, and not yet written down, oldest first.
    unwritten: VecDeque<Transition>,
    /// As far as is known to be noted.
    evaluated: Option<EventTime>,
}

impl Journal {
    /// Reads where every alert stands.
    pub async fn open(store: &Store, settings: EpisodeSettings) -> Result<Self, StoreError> {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let mut journal = Self {
            store: store.clone(),
            settings,
            nonce,
            tenants: BTreeMap::new(),
            audits: BTreeMap::new(),
            read: HashMap::new(),
            standing: BTreeMap::new(),
        };
        journal.sync().await?;
        Ok(journal)
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The alerts that fire now, as they fired, as far as this process knows.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.tenants.values().chain(self.audits.values()).flat_map(|tenant| tenant.tracker.firing())
    }

    /// The last transition of every alert, as far as this process knows: what fires, and what has ended.
    pub fn standing(&self) -> impl Iterator<Item = &Alert> {
        self.standing.values()
    }

    /// The tenants that were observed or have had alerts.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }

    /// Takes over what others have written since. One listing, and a read for each alert that has changed.
    pub async fn sync(&mut self) -> Result<(), StoreError> {
        let mut pages: BTreeMap<String, Vec<Page>> = BTreeMap::new();
        for object in self.store.list(FOLDER).await? {
            if let Some((page, Object::Entry)) = parse(&object.location) {
                pages.entry(page.alert.clone()).or_default().push(page);
            }
        }
        let changed = pages.into_iter().filter_map(|(alert, pages)| {
            let standing = standing(pages);
            let shape = (standing.first()?.sequence, standing.len() - 1);
            (self.read.get(&alert) != Some(&shape)).then_some((alert, shape, standing))
        });
        let store = &self.store;
        let reads = changed.map(async |(alert, shape, pages)| Ok((alert, shape, read_standing(store, &pages).await?)));
        let read: Vec<_> = futures::stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        for (alert, shape, entries) in read {
            if let Some(first) = entries.first() {
                self.standing.insert(first.alert.id.clone(), first.alert.clone());
            }
            for entry in &entries {
                let known = match entry.alert.rule == AUDIT {
                    true => self.audit(&entry.alert.tenant),
                    false => self.tenant(&entry.alert.tenant),
                };
                known.tracker.adopt(&entry.transition());
            }
            self.read.insert(alert, shape);
        }
        Ok(())
    }

    /// Windows of `tenant` that end after this are wanted; `None`: every window there is. Some of them were seen before
    /// the restart: they tell what had begun and decided nothing yet.
    pub async fn wanted_after(&self, tenant: &str) -> Result<Option<EventTime>, StoreError> {
        let before = |window_end: EventTime, windows: u32| {
            EventTime::from_ms(window_end.ms() - i64::from(windows) * i64::from(self.settings.window.seconds()) * 1000)
        };
        if let Some(known) = self.tenants.get(tenant)
            && let Some(observed) = known.tracker.observed()
        {
            // A window whose transitions could not be written is wanted again, so that they are.
            let again = u32::from(!known.unwritten.is_empty());
            return Ok(Some(before(observed, again)));
        }
        let evaluated = read_evaluated(&self.store, tenant).await?;
        Ok(evaluated.map(|window_end| before(window_end, self.settings.windows_to_see_again())))
    }

    /// Decides one window of `tenant`, from what every rule says of it, and writes down what changed; gives what is this
    /// process's. Windows come in order. After an error the same window is wanted again: what could not be written is
    /// written first.
    pub async fn observe(
        &mut self,
        tenant: &str,
        window_end: EventTime,
        conditions: &[Condition],
        now: EventTime,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut written = self.write(tenant, now).await?;
        self.observe_unwritten(tenant, window_end, conditions);
        written.extend(self.write(tenant, now).await?);
        Ok(written)
    }

    /// Decides one window as [`observe`](Self::observe) does, and writes nothing down until [`observed_first`](Self::observed_first).
    pub fn observe_unwritten(&mut self, tenant: &str, window_end: EventTime, conditions: &[Condition]) {
        assert!(conditions.iter().all(|condition| condition.tenant == tenant), "conditions are those of {tenant}");
        let tenant = self.tenant(tenant);
        tenant.unwritten.extend(tenant.tracker.observe(window_end, conditions));
    }

    /// Writes down what was decided of the windows before the first reader came. What both began in them and was over by then
    /// for [`LONG_OVER`] is silenced.
    pub async fn observed_first(&mut self, tenant: &str, now: EventTime) -> Result<Vec<Entry>, StoreError> {
        let unwritten = &mut self.tenant(tenant).unwritten;
        // An odd number resolves what the even one before it fired.
        let episode = |transition: &Transition| (transition.alert.id.clone(), transition.alert.sequence & !1);
        let of_change = |change| unwritten.iter().filter(move |transition| transition.change == change);
        // Whoever was told of a beginning is told of its end.
        let begun: BTreeSet<_> = of_change(Change::Fired).map(episode).collect();
        let over: BTreeMap<_, _> = of_change(Change::Resolved)
            .filter(|transition| transition.alert.at < now.before(LONG_OVER))
            .map(|transition| (episode(transition), transition.alert.at))
            .filter(|(episode, _)| begun.contains(episode))
            .collect();
        for transition in unwritten {
            if let Some(at) = over.get(&episode(transition)) {
                transition.silenced.get_or_insert_with(|| format!("it was over at {at}, before anybody watched"));
            }
        }
        self.write(tenant, now).await
    }

    /// Whether a look at a tenant's configuration at this time was not decided yet.
    pub fn wants_look(&self, tenant: &str, at: EventTime) -> bool {
        let is_known = |known: &Tenant| known.unwritten.is_empty() && known.tracker.observed() >= Some(at);
        !self.audits.get(tenant).is_some_and(is_known)
    }

    /// Decides what one look at a tenant's configuration found; otherwise as [`observe`](Self::observe).
    pub async fn look(
        &mut self,
        tenant: &str,
        at: EventTime,
        conditions: &[Condition],
        now: EventTime,
    ) -> Result<Vec<Entry>, StoreError> {
        let (store, nonce) = (self.store.clone(), self.nonce.clone());
        let known = self.audit(tenant);
        let mut written = known.write(&store, &nonce, now).await?;
        known.unwritten.extend(known.tracker.look(at, conditions));
        written.extend(known.write(&store, &nonce, now).await?);
        self.stand(&written);
        Ok(written)
    }

    async fn write(&mut self, tenant: &str, now: EventTime) -> Result<Vec<Entry>, StoreError> {
        let (store, nonce) = (self.store.clone(), self.nonce.clone());
        let written = self.tenant(tenant).write(&store, &nonce, now).await?;
        self.stand(&written);
        Ok(written)
    }

    fn stand(&mut self, written: &[Entry]) {
        for entry in written.iter().filter(|entry| entry.repeat.is_none()) {
            self.standing.insert(entry.alert.id.clone(), entry.alert.clone());
        }
    }

    /// Notes up to which window each tenant is decided, so that a restart need not see all again. Never goes back.
    pub async fn note_evaluated(&mut self) -> Result<(), StoreError> {
        for (name, tenant) in &mut self.tenants {
            let Some(observed) = tenant.tracker.observed().filter(|_| tenant.unwritten.is_empty()) else { continue };
            if tenant.evaluated.is_some_and(|evaluated| observed <= evaluated) {
                continue;
            }
            let noted = read_evaluated(&self.store, name).await?;
            if noted.is_none_or(|noted| noted < observed) {
                let ghostlight = env!("CARGO_PKG_VERSION").to_owned();
                let evaluated = Evaluated { format: FORMAT, ghostlight, tenant: name.clone(), window_end: observed };
                self.store.put(&evaluated_path(name), to_json(&evaluated)).await?;
            }
            tenant.evaluated = noted.max(Some(observed));
        }
        Ok(())
    }

    fn tenant(&mut self, tenant: &str) -> &mut Tenant {
        let settings = &self.settings;
        self.tenants.entry(tenant.to_owned()).or_insert_with(|| Tenant::new(settings.clone()))
    }

    fn audit(&mut self, tenant: &str) -> &mut Tenant {
        let settings = &self.settings;
        self.audits.entry(tenant.to_owned()).or_insert_with(|| Tenant::new(settings.clone()))
    }
}

impl Tenant {
    fn new(settings: EpisodeSettings) -> Self {
        Self { tracker: Tracker::new(settings), unwritten: VecDeque::new(), evaluated: None }
    }

    async fn write(&mut self, store: &Store, nonce: &str, now: EventTime) -> Result<Vec<Entry>, StoreError> {
        let mut ours = Vec::new();
        while let Some(transition) = self.unwritten.front() {
            match write_or_yield(store, &Entry::new(transition, nonce, now)).await? {
                Written::Ours(entry) => ours.push(*entry),
                Written::Others(entries) => {
                    entries.iter().for_each(|entry| self.tracker.adopt(&entry.transition()));
                }
            }
            self.unwritten.pop_front();
        }
        Ok(ours)
    }
}

enum Written {
    Ours(Box<Entry>),
    /// Another's is there; this is where it, and what followed, leaves the alert.
    Others(Vec<Entry>),
}

/// The one write that makes a transition true. Where its answer is lost or says that an entry is there already, the nonce
/// tells whether it is ours.
async fn write_or_yield(store: &Store, entry: &Entry) -> Result<Written, StoreError> {
    let page = entry.page();
    // Somebody who knew more may have resolved it: then there is nothing to repeat.
    if entry.repeat.is_some() {
        let there = read_alert(store, &page.alert).await?;
        if there.first().is_some_and(|there| there.alert.sequence > page.sequence) {
            return Ok(Written::Others(there));
        }
    }
    let created = create_entry(store, entry).await;
    if matches!(created, Ok(Created::Now)) {
        return Ok(Written::Ours(Box::new(entry.clone())));
    }
    match read_entry(store, &page).await? {
        Some(there) if there.nonce == entry.nonce => Ok(Written::Ours(Box::new(there))),
        Some(there) => {
            tracing::debug!(
                alert = page.alert,
                sequence = page.sequence,
                by = there.nonce,
                "decided by another reader"
            );
            Ok(Written::Others(read_alert(store, &page.alert).await?))
        }
        None => Err(match created {
            Err(error) => error,
            Ok(_) => StoreError::damaged(&page.path(), "put-if-absent found an entry that reading does not"),
        }),
    }
}

/// Removes the episodes that are older than [`KEEP`] and that another of the same alert has followed; gives how many objects
/// went. The last episode of an alert stays for ever: its number is what the next transition is counted from.
///
/// Any number of readers may do so at once, and stop anywhere. An entry goes before what says of it that it was sent, so
/// that none is ever without; and what is left of one that went is old, and goes the next time. A process frozen for so long
/// in the one write that the removed entry would have stopped writes it anew, dated by the time before: nobody is told.
pub async fn forget(store: &Store, now: EventTime) -> Result<u64, StoreError> {
    let oldest = now.before(KEEP).ms();
    let mut alerts: BTreeMap<String, BTreeMap<Page, Vec<(bool, ObjectMeta)>>> = BTreeMap::new();
    for found in store.list(FOLDER).await? {
        let Some((page, object)) = parse(&found.location) else { continue };
        let beside = (object != Object::Entry, found);
        alerts.entry(page.alert.clone()).or_default().entry(page).or_default().push(beside);
    }
    let is_old = |objects: &[(bool, ObjectMeta)]| {
        objects.iter().all(|(_, found)| found.last_modified.timestamp_millis() < oldest)
    };
    let old_pages = alerts.into_values().flat_map(|pages| {
        let is_entry = |objects: &[(bool, ObjectMeta)]| objects.iter().any(|(is_beside, _)| !is_beside);
        let last = pages.iter().filter(|(_, objects)| is_entry(objects)).map(|(page, _)| page.sequence).max();
        // An even number fires, the odd one after it resolves.
        let last_episode = last.unwrap_or_default() & !1;
        pages.into_iter().filter(move |(page, objects)| page.sequence < last_episode && is_old(objects))
    });
    let removals = old_pages.map(async |(_, mut objects)| {
        objects.sort_unstable_by_key(|(is_beside, _)| *is_beside);
        for (_, found) in &objects {
            store.delete(&found.location).await?;
        }
        Ok(objects.len() as u64)
    });
    let removed: Vec<u64> = futures::stream::iter(removals).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(removed.iter().sum())
}

/// Of an alert's pages, its last transition and that one's repeats.
fn standing(mut pages: Vec<Page>) -> Vec<Page> {
    let last = pages.iter().map(|page| page.sequence).max();
    pages.retain(|page| Some(page.sequence) == last);
    pages.sort_unstable();
    pages
}

/// The last transition's entry, and those of its repeats that can matter: whether anybody was told of what was silenced.
async fn read_standing(store: &Store, pages: &[Page]) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for page in pages {
        entries.extend(read_entry(store, page).await?);
        if entries.first().is_none_or(|entry| entry.silenced.is_none()) {
            break;
        }
    }
    Ok(entries)
}

async fn read_alert(store: &Store, alert: &str) -> Result<Vec<Entry>, StoreError> {
    let objects = store.list(&folder(alert)).await?;
    let pages = objects.iter().filter_map(|object| match parse(&object.location)? {
        (page, Object::Entry) => Some(page),
        _ => None,
    });
    read_standing(store, &standing(pages.collect())).await
}

#[derive(Debug, Serialize, Deserialize)]
struct Evaluated {
    format: u32,
    ghostlight: String,
    tenant: String,
    #[serde(with = "text_time")]
    window_end: EventTime,
}

fn evaluated_path(tenant: &str) -> Path {
    // A part of its own, whatever characters it has.
    Path::from_iter([FOLDER, "_evaluated", &format!("{}.json", part_of(tenant))])
}

/// The name, if it and its ending fit into a part of a path; otherwise its beginning and a hash. File systems take parts of
/// 255 bytes, and a file that is being written has two more.
fn part_of(tenant: &str) -> Cow<'_, str> {
    const MAX: usize = 248;
    let written = |text: &str| PathPart::from(text).as_ref().len();
    if written(tenant) <= MAX {
        return Cow::Borrowed(tenant);
    }
    let hash = format!("-{:032x}", xxhash_rust::xxh3::xxh3_128(tenant.as_bytes()));
    let mut left = MAX - hash.len();
    let mut short = String::new();
    for c in tenant.chars() {
        let Some(rest) = left.checked_sub(written(c.encode_utf8(&mut [0; 4]))) else { break };
        left = rest;
        short.push(c);
    }
    Cow::Owned(short + &hash)
}

/// What cannot be read is as good as none: it only costs seeing windows again.
async fn read_evaluated(store: &Store, tenant: &str) -> Result<Option<EventTime>, StoreError> {
    let path = evaluated_path(tenant);
    let Some(bytes) = store.get_if_there(&path).await? else { return Ok(None) };
    match from_json::<Evaluated>(&path, &bytes) {
        // Another name may be written as this one's beginning and hash.
        Ok(evaluated) => Ok((evaluated.tenant == tenant).then_some(evaluated.window_end)),
        Err(error) => {
            tracing::warn!(%error, "windows are evaluated again");
            Ok(None)
        }
    }
}
