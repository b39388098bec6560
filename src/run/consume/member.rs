//! What the group tells us: partitions come, go, and are lost; statistics.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::{Offset, Statistics, TopicPartitionList};

use super::super::notes::CaughtUp;
use super::fetched::Report;
use super::{Group, Job};
use crate::clock;
use crate::event::EventTime;
use crate::source::kafka::{Context, Member, TopicPartition};

/// How long partitions that go to another member are committed at most; the ledger keeps a late one out.
const HANDOVER: Duration = Duration::from_secs(15);

impl Member for Group {
    fn assigned(&self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>) {
        metrics::counter!("ghostlight_kafka_rebalances_total", "kind" => "assigned").increment(1);
        tracing::info!(partitions = partitions.len(), "assigned");
        if !partitions.is_empty() {
            self.consume.health.reads();
        }
        self.place(consumer, partitions);
    }

    fn revoked(&self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>) {
        if consumer.assignment_lost() {
            metrics::counter!("ghostlight_kafka_rebalances_total", "kind" => "lost").increment(1);
            tracing::warn!(partitions = partitions.len(), "the assignment was lost: nothing of it is committed");
            self.forget(Some(&partitions));
        } else {
            metrics::counter!("ghostlight_kafka_rebalances_total", "kind" => "revoked").increment(1);
            tracing::info!(partitions = partitions.len(), "revoked");
            self.release(consumer, Some(&partitions));
        }
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                let assigned = consumer.assignment().unwrap_or_default();
                let mut list = TopicPartitionList::new();
                for partition in &partitions {
                    if assigned.find_partition(&partition.topic, partition.partition).is_some() {
                        list.add_partition(&partition.topic, partition.partition);
                    }
                }
                consumer.incremental_unassign(&list)
            }
            _ => consumer.unassign(),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "giving partitions up");
        }
    }

    fn reported(&self, statistics: &Statistics) {
        let made_at = EventTime::from_ms(statistics.time.saturating_mul(1000));
        let brokers: HashMap<i32, _> = statistics
            .brokers
            .values()
            .filter(|broker| broker.nodeid >= 0)
            .map(|broker| (broker.nodeid, broker))
            .collect();
        let (now, turn) = (clock::monotonic(), self.notes.turn());
        let mut caught_up = Vec::new();
        let mut state = self.state();
        let was_idle = std::mem::take(&mut state.was_idle);
        for (partition, owned) in &mut state.owned {
            let topic = statistics.topics.get(&partition.topic);
            let found = topic.and_then(|topic| topic.partitions.get(&partition.partition));
            let report = found.and_then(|found| Report::of(made_at, brokers.get(&found.broker)?, found));
            let known_at = owned.fetched.known_at(report);
            let Some(found) = found else { continue };
            // Records of open transactions cannot be read yet.
            let end = if found.ls_offset >= 0 { found.ls_offset } else { found.hi_offset };
            let Ok(end) = u64::try_from(end) else { continue };
            let labels = [("topic", partition.topic.clone()), ("partition", partition.partition.to_string())];
            metrics::gauge!("ghostlight_kafka_lag_records", &labels).set(end.saturating_sub(owned.committed) as f64);
            let is_at_end = [found.eof_offset, found.next_offset, found.app_offset] == [end as i64; 3]
                && found.fetchq_cnt == 0
                && found.fetch_state == "active";
            owned.step_to(end, is_at_end && was_idle);
            // Below the high watermark lie records of a transaction that has not ended: they happened already.
            let is_all = owned.committed == end && found.hi_offset == end as i64;
            if let Some(at) = known_at.filter(|_| is_all && turn.is_some() && owned.noted.is_due(end, now)) {
                owned.noted.set(end, now);
                caught_up.push(CaughtUp { partition: owned.id.clone(), position: end, at, pause: None });
            }
        }
        drop(state);
        if let Some(turn) = turn {
            self.notes.write(turn, caught_up);
        }
    }
}

impl Group {
    /// Gives partitions up (all, or these) after committing what was folded of them.
    pub(super) fn release(&self, consumer: &BaseConsumer<Context>, partitions: Option<&[TopicPartition]>) {
        let mut leaving: HashMap<usize, Vec<u64>> = HashMap::new();
        {
            let state = self.state();
            let is_leaving = |partition: &TopicPartition| partitions.is_none_or(|list| list.contains(partition));
            for (_, owned) in state.owned.iter().filter(|(partition, _)| is_leaving(partition)) {
                leaving.entry(owned.thread).or_default().push(owned.slot.number);
            }
        }
        let is_confirmed = self.confirm_topics(consumer);
        let (done, finished) = sync_channel(self.jobs.len());
        let threads = leaving.len();
        for (thread, slots) in leaving {
            self.give(thread, Job::Leave { slots, is_confirmed, done: done.clone() });
        }
        let until = clock::monotonic() + HANDOVER;
        for _ in 0..threads {
            if finished.recv_timeout(until.saturating_duration_since(clock::monotonic())).is_err() {
                tracing::warn!(
                    "partitions are given up before their last commit; their next owner reads that part again"
                );
                break;
            }
        }
        // Waiting for a broker that does not answer would hold the group up, or our end.
        let mode = if self.consume.health.is_well() { CommitMode::Sync } else { CommitMode::Async };
        self.send_offsets(consumer, mode);
        self.forget(partitions);
    }

    fn forget(&self, partitions: Option<&[TopicPartition]>) {
        let mut state = self.state();
        let is_leaving = |partition: &TopicPartition| partitions.is_none_or(|list| list.contains(partition));
        state.owned.retain(|partition, owned| {
            let leaves = is_leaving(partition);
            if leaves {
                owned.slot.alive.store(false, Ordering::Release);
                let labels = [("topic", partition.topic.clone()), ("partition", partition.partition.to_string())];
                metrics::gauge!("ghostlight_kafka_lag_records", &labels).set(0.0);
            }
            !leaves
        });
        state.waiting.retain(|partition, _| !is_leaving(partition));
        state.offsets_due.retain(|partition, _| !is_leaving(partition));
    }

    /// Tells the group how far the ledger is: only so that lag can be seen there.
    pub(super) fn send_offsets(&self, consumer: &BaseConsumer<Context>, mode: CommitMode) {
        let due = std::mem::take(&mut self.state().offsets_due);
        if due.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in due {
            let offset = Offset::Offset(offset as i64);
            drop(list.add_partition_offset(&partition.topic, partition.partition, offset));
        }
        if let Err(error) = consumer.commit(&list, mode) {
            tracing::debug!(%error, "the group's offsets are behind the ledger for a while");
        }
    }
}
