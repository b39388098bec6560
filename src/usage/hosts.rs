//! By which host names a tenant's users come: of the dataset `events`, which alone has them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::event::{Day, EventTime};
use crate::store::compact::{self, Current};
use crate::store::datasets::{self, EVENTS};
use crate::store::ledger::FileRecord;
use crate::store::{Store, StoreError};

/// Logins, signups and changes of a password, done and refused: what a user does at the tenant's own pages.
const BY_USERS: [&str; 10] = ["s", "f", "fs", "ss", "fu", "fp", "scoa", "fcoa", "sepft", "fepft"];

/// What came by one host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostUse {
    pub events: u64,
    pub last_at: EventTime,
}

/// The host names of a tenant's users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The first day that the dataset has of the tenant, of those asked for.
    pub since: Option<Day>,
    /// By host name; empty where the events name none.
    pub by_name: BTreeMap<String, HostUse>,
}

/// What the dataset `events` has of these days.
pub async fn read(store: &Store, tenant: &str, days: RangeInclusive<Day>) -> Result<Hosts, StoreError> {
    // A file that goes meanwhile is held by a generation that is listed the next time.
    const TRIES: usize = 3;
    for _ in 1..TRIES {
        match read_once(store, tenant, &days).await {
            Err(StoreError::Lost { .. }) => {}
            other => return other,
        }
    }
    read_once(store, tenant, &days).await
}

async fn read_once(store: &Store, tenant: &str, days: &RangeInclusive<Day>) -> Result<Hosts, StoreError> {
    let mut hosts = Hosts::default();
    let dates = days.start().to_string()..=days.end().to_string();
    let is_asked_for = |file: &&FileRecord| file.date().is_some_and(|date| dates.contains(&date.to_owned()));
    let all = compact::current(store).await?;
    let files = all.iter().filter(|current| current.dataset == EVENTS).flat_map(|Current { files, .. }| files);
    for file in files.filter(is_asked_for) {
        let path = object_store::path::Path::from(file.path.as_str());
        let bytes = compact::read_file(store, file).await?.ok_or_else(|| StoreError::lost(&path))?;
        let took = datasets::visits(bytes, |visit| {
            if visit.tenant != tenant || !days.contains(&Day::of(visit.at)) {
                return;
            }
            let day = Day::of(visit.at);
            hosts.since = Some(hosts.since.map_or(day, |since| since.min(day)));
            if visit.hostname.is_empty() || !BY_USERS.contains(&visit.type_code) {
                return;
            }
            match hosts.by_name.get_mut(visit.hostname) {
                Some(host) => *host = HostUse { events: host.events + 1, last_at: host.last_at.max(visit.at) },
                None => _ = hosts.by_name.insert(visit.hostname.to_owned(), HostUse { events: 1, last_at: visit.at }),
            }
        });
        took.map_err(|problem| StoreError::damaged(&path, problem))?;
    }
    Ok(hosts)
}
