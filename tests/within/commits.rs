//! Commits of a few events each, and a year of them beside compaction.

use std::sync::Arc;

use ghostlight::config::Config;
use ghostlight::event::{Chunk, Content, Decoder, EventTime, RecordSpan};
use ghostlight::partial::Batch;
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::run::WriteSettings;
use ghostlight::store::commit::{CommitError, PartitionLog};
use ghostlight::store::compact::{CompactSettings, Compactor};
use ghostlight::store::ledger::{Entry, PartitionId};
use ghostlight::store::{Store, StoreError};
use ghostlight::usage::follow::Follower;
use object_store::memory::InMemory;

use super::faulty_store::{Fault, FaultyStore};

pub const DAY_MS: i64 = 86_400_000;

pub fn after(time: EventTime, ms: i64) -> EventTime {
    EventTime::from_ms(time.ms() + ms)
}

pub fn partition(name: &str) -> PartitionId {
    PartitionId::new("webhook", "w", name)
}

/// A login and a token of the same minute, told apart by `n`.
pub fn events(n: u64, time: EventTime) -> Vec<String> {
    let about = |type_code: &str| {
        format!(
            r#"{{"type":"{type_code}","log_id":"{type_code}-{n}","date":"{time}","client_id":"c{}","client_name":"C","ip":"10.0.0.{}""#,
            n % 3,
            n % 2
        )
    };
    vec![
        format!(r#"{},"user_id":"auth0|{}","connection":"db","strategy":"auth0"}}"#, about("s"), n % 50),
        format!(r#"{},"audience":"https://api/","scope":"read"}}"#, about("seccft")),
    ]
}

fn write_settings(toml: &str) -> WriteSettings {
    WriteSettings::new(&Config::parse(toml, std::path::Path::new("test.toml")).expect("right settings"))
}

fn batch(start: u64, lines: &[String], settings: &WriteSettings, now: EventTime) -> Batch {
    let mut chunk = Chunk { start, end: start, ..Chunk::default() };
    for line in lines {
        let begin = chunk.bytes.len();
        chunk.bytes.extend_from_slice(line.as_bytes());
        let bytes = begin..chunk.bytes.len();
        chunk.records.push(RecordSpan { offset: chunk.end, bytes, arrived: None, content: Content::Line });
        chunk.end += 1;
    }
    let decoded = chunk.decode(&mut Decoder::with_settings(settings.decode.clone()), now);
    let mut batch = Batch::new(start);
    batch.fold(decoded, &settings.fold, &[], &mut Dedupe::new(1_000_000), now);
    batch
}

pub async fn commit_to(log: &mut PartitionLog, lines: &[String], now: EventTime) -> Result<Entry, CommitError> {
    commit_by(log, "tenant = \"acme\"", lines, now).await
}

/// By these settings.
pub async fn commit_by(
    log: &mut PartitionLog,
    toml: &str,
    lines: &[String],
    now: EventTime,
) -> Result<Entry, CommitError> {
    let settings = write_settings(toml);
    log.commit(&batch(log.end(), lines, &settings, now), &settings.text, now).await
}

/// What lies on the store at one time, and what those who start have to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Level {
    pub raw_files: usize,
    pub entries: usize,
    pub id_files: usize,
    /// Operations on the store until a partition can go on, with all the ids it knows.
    pub start_operations: usize,
    /// And until a reader has seen everything.
    pub read_operations: usize,
    pub objects: usize,
    pub commits: usize,
}

pub struct Year {
    pub partitions: usize,
    pub days: i64,
    /// Of each partition and day.
    pub flushes: i64,
    pub settings: CompactSettings,
}

impl Year {
    /// Commits and compacts by the clock, a round after each hour that had a flush; tells how it stands at the end of each
    /// day, before that day's last round.
    pub async fn run(&self, store: &Arc<InMemory>, mut tell: impl FnMut(i64, Level)) -> Result<(), StoreError> {
        let first = EventTime::parse("2026-11-01T00:00:00Z").expect("a time");
        let inner = Store::of(store.clone());
        let mut compactor = Compactor::new(inner.clone(), self.settings);
        let mut logs = Vec::new();
        for n in 0..self.partitions {
            logs.push(PartitionLog::recover(&inner, partition(&n.to_string())).await?);
        }
        let mut hour = 0;
        for day in 0..self.days {
            for flush in 0..self.flushes {
                let now = after(first, day * DAY_MS + flush * DAY_MS / self.flushes + 60_000);
                if (now.ms() - first.ms()) / 3_600_000 > hour {
                    hour = (now.ms() - first.ms()) / 3_600_000;
                    compactor.round(now).await?;
                }
                for (n, log) in logs.iter_mut().enumerate() {
                    let id = (day * self.flushes + flush) as u64 * self.partitions as u64 + n as u64;
                    let mut lines = events(id, after(now, -30_000));
                    if flush == self.flushes / 2 && day > 7 {
                        // A week late.
                        lines.extend(events(id + 1_000_000_000, after(now, -7 * DAY_MS)));
                    }
                    commit_to(log, &lines, now).await.expect("commits");
                }
            }
            tell(day, self.level(store, (day + 1) * self.flushes).await?);
        }
        compactor.round(after(first, self.days * DAY_MS)).await.map(drop)
    }

    async fn level(&self, store: &Arc<InMemory>, flushes: i64) -> Result<Level, StoreError> {
        let counted = FaultyStore::with_listings(store.clone(), u64::MAX, Fault::Before);
        let log = PartitionLog::recover(&Store::of(counted.clone()), partition("0")).await?;
        log.dedupe(1_000_000).await?;
        let read = FaultyStore::with_listings(store.clone(), u64::MAX, Fault::Before);
        Follower::new(Store::of(read.clone())).poll(|_| {}).await?;
        let all = Store::of(store.clone()).list("").await?;
        let count = |is: &dyn Fn(&str) -> bool| all.iter().filter(|object| is(object.location.as_ref())).count();
        Ok(Level {
            raw_files: count(&|path| path.starts_with("event_counts/") && !path.contains("/compacted-")),
            entries: count(&|path| path.starts_with("_ledger/")),
            id_files: count(&|path| path.ends_with(".ids")),
            start_operations: counted.operations() as usize,
            read_operations: read.operations() as usize,
            objects: all.len(),
            commits: self.partitions * flushes as usize,
        })
    }
}
