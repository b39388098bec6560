//! By which host names a tenant's users come: of the dataset `events`, which alone has them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::event::{Class, Day, EventTime, catalogue};
use crate::store::compact::{self, Current};
use crate::store::datasets::{self, EVENTS};
use crate::store::ledger::FileRecord;
use crate::store::{Store, StoreError};

/// What came by one host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostUse {
    pub events: u64,
    pub last_at: EventTime,
}

/// The host names of a tenant's users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The days of which the dataset has something of the tenant.
    pub days: BTreeSet<Day>,
    /// By host name; empty where the events name none.
    pub by_name: BTreeMap<String, HostUse>,
}

/// What the dataset `events` has of a time.
pub async fn read(store: &Store, tenant: &str, time: &Range<EventTime>) -> Result<Hosts, StoreError> {
    // A file that goes meanwhile is held by a generation that is listed the next time.
    const TRIES: usize = 3;
    for _ in 1..TRIES {
        match read_once(store, tenant, time).await {
            Err(StoreError::Lost { .. }) => {}
            other => return other,
        }
    }
    read_once(store, tenant, time).await
}

/// Whether a user did it at the tenant's own pages or endpoints, or tried to.
fn is_by_a_user(type_code: &str) -> bool {
    use Class::{LoginFail, LoginOk, SignupFail, SignupOk};
    matches!(catalogue::lookup(type_code).class, LoginOk | LoginFail | SignupOk | SignupFail)
}

async fn read_once(store: &Store, tenant: &str, time: &Range<EventTime>) -> Result<Hosts, StoreError> {
    let mut hosts = Hosts::default();
    let dates = time.start.date()..=time.end.date();
    let is_asked_for = |file: &&FileRecord| file.date().is_some_and(|date| dates.contains(&date.to_owned()));
    let all = compact::current(store).await?;
    let files = all.iter().filter(|current| current.dataset == EVENTS).flat_map(|Current { files, .. }| files);
    for file in files.filter(is_asked_for) {
        let path = object_store::path::Path::from(file.path.as_str());
        let bytes = compact::read_file(store, file).await?.ok_or_else(|| StoreError::lost(&path))?;
        let took = datasets::visits(bytes, |visit| {
            if visit.tenant != tenant || !time.contains(&visit.at) {
                return;
            }
            hosts.days.insert(Day::of(visit.at));
            if visit.hostname.is_empty() || !is_by_a_user(visit.type_code) {
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
