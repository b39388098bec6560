//! A month of users whose number is known, through the store: by windows as they were committed, by days as compacted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ghostlight::config::{Config, Flags};
use ghostlight::event::{Day, EventTime};
use ghostlight::partial::sketch::{Estimate, Precision, Registers, UserHash, UserSketch, UserUnion};
use ghostlight::partial::{Accounting, Batch, Dimension, Partial, UsersRow};
use ghostlight::run::WriteSettings;
use ghostlight::store::Store;
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::compact::{CompactSettings, Compactor};
use ghostlight::store::datasets::{self, ACTIVE_USERS, DAILY};
use ghostlight::store::ledger::PartitionId;
use object_store::memory::InMemory;

const DAYS: u64 = 30;
const HOURS: u64 = DAYS * 24;
const HOUR_MS: i64 = 3_600_000;
/// How often each user comes, at any hours of the month.
const VISITS: u64 = 3;

/// What all sketches of a dataset unite to.
pub type Union = (Registers, Estimate);

/// The union of the windows, and that of the days.
pub async fn month(users: u64, seed: u64) -> (Union, Union) {
    let first = EventTime::parse("2026-11-01T00:00:00Z").map(Day::of).expect("a day");
    let store = Store::of(Arc::new(InMemory::new()));
    let settings = WriteSettings::new(&Config::load(None, &Flags::default()).expect("the defaults are right"));
    let id = PartitionId::new("webhook", "w", "0");
    let mut log = PartitionLog::recover(&store, id).await.expect("recovers");
    let end = first.plus(DAYS as i64 + 2).start();
    log.commit(&batch(users, seed, first), &settings.text, end).await.expect("commits");
    let by_window = union(&store, ACTIVE_USERS).await;
    let (interval, late_interval, keep) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let at_once = CompactSettings { interval, late_interval, keep, ..CompactSettings::default() };
    Compactor::new(store.clone(), at_once).round(end).await.expect("compacts");
    (by_window, union(&store, DAILY).await)
}

/// Every user, at several hours.
fn batch(users: u64, seed: u64, first: Day) -> Batch {
    let mut sketches: Vec<_> = (0..HOURS).map(|_| UserSketch::new(Precision::DEFAULT)).collect();
    for user in 0..users {
        let hash = UserHash::of(&format!("auth0|{seed:04}{user:020}")).expect("an id");
        for visit in 0..VISITS {
            sketches[(mixed((seed * users + user) * VISITS + visit) % HOURS) as usize].insert(hash);
        }
    }
    let mut partial = Partial::default();
    for (hour, users) in (0..).zip(&sketches).filter(|(_, users)| users.estimate().estimate > 0.0) {
        let window_start = EventTime::from_ms(first.start().ms() + hour * HOUR_MS);
        partial.absorb_users(&UsersRow {
            window_start,
            window_seconds: 3600,
            tenant: "acme",
            dimension: Dimension::Tenant,
            key: "",
            key_name: "",
            events: 1,
            logins: 1,
            signups: 0,
            users: Cow::Borrowed(users),
            first_at: window_start,
            last_at: window_start,
            max_lateness_ms: 0,
        });
    }
    let mut batch = Batch::new(0);
    (batch.end, batch.partial) = (1, partial);
    batch.accounting = Accounting { records: 1, read: 1, ..Accounting::default() };
    batch
}

/// A number that tells nothing of the one it was made of (SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

async fn union(store: &Store, dataset: &str) -> Union {
    let mut rows = Partial::default();
    for object in store.list(dataset).await.expect("listed") {
        let bytes = store.read(&object.location).await.expect("read");
        datasets::absorb(ACTIVE_USERS, bytes, &mut rows).expect("rows");
    }
    let mut union = UserUnion::default();
    rows.users().iter().for_each(|row| union.add(&row.users));
    (union.sketch().registers(), union.estimate())
}
