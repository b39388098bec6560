//! Where partitions go on: recovered from the ledger, compared with what the broker has, assigned once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::super::error_chain;
use super::super::notes::Noted;
use super::fetched::Fetched;
use super::{Group, Job, Owned, RETRY_FIRST, RETRY_MAX, Slot, State, Waiting};
use crate::clock;
use crate::config::{KafkaSource, OnGap, StartAt};
use crate::event::Chunk;
use crate::partial::Batch;
use crate::source::kafka::{self, ASK_TIMEOUT, Context, TopicPartition};
use crate::store::StoreError;
use crate::store::commit::{CommitError, PartitionLog};
use crate::store::ledger::{self, FirstTopics, PartitionId, Starts};

const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Partitions that are recovered at the same time.
const RECOVERIES: usize = 16;
/// How long placing may hold up the polling in all, and one partition whose leader does not answer: the group takes a
/// member for dead that does not poll for `max.poll.interval.ms`, five minutes.
const PLACE_PATIENCE: Duration = Duration::from_secs(60);
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(3);
/// The id of topics that have none, as brokers before 2.8 tell it.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Where a partition goes on, or why it cannot; a topic's trouble is that of each of its partitions.
type Placed = Result<PartitionLog, Arc<PlaceError>>;

/// Why a partition cannot be read from where it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error(
        "{partition}: records {from} to {low} were removed before they were read (retention, or deleted); to go on behind \
         them, and have the gap in the ledger, set source.kafka.on_gap = \"record\""
    )]
    Gap { partition: TopicPartition, from: u64, low: u64 },
    #[error(
        "{partition}: the ledger is at {from}, but the log ends at {high}: records that were read are gone from the broker \
         (an unclean leader election, or a restored broker), and their offsets will be given to others; set \
         source.kafka.epoch to a new name to read the topic as a new one"
    )]
    Behind { partition: TopicPartition, from: u64, high: u64 },
    #[error(
        "the topic {topic} is not the one read before (then {known}, now {found}): it was made anew, or this is another \
         cluster; to read it as a new one, and have that in the ledger, set source.kafka.on_gap = \"record\""
    )]
    Another { topic: String, known: String, found: String },
    #[error(
        "the broker tells no id of the topic {0}, so that one made anew could not be told from it; set source.kafka.epoch, \
         and a new one whenever the topic is made anew"
    )]
    NoId(String),
    #[error("there is no topic {0} on this cluster, or the user may not describe it")]
    NoTopic(String),
    #[error("the cluster: {0}")]
    Cluster(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer within {} s", RECOVERY_TIMEOUT.as_secs())]
    Slow,
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl PlaceError {
    /// Whether only an operator can mend it.
    fn is_final(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Behind { .. } | Self::Another { .. } | Self::NoId(_))
    }
}

impl Group {
    /// Takes a partition off what is read; it is placed again from the ledger after `wait`.
    pub(super) fn trouble(&self, partition: &TopicPartition, slot: Option<u64>, problem: String, wait: Duration) {
        let mut state = self.state();
        let is_meant = |owned: &Owned| slot.is_none_or(|slot| slot == owned.slot.number);
        if !state.owned.get(partition).is_some_and(is_meant) {
            return;
        }
        if let Some(owned) = state.owned.remove(partition) {
            owned.slot.alive.store(false, Ordering::Release);
            state.waiting.insert(partition.clone(), Waiting { again: clock::monotonic() + wait, wait, problem });
        }
    }

    /// Tries those that wait and are due.
    pub(super) fn place_waiting(&self, consumer: &BaseConsumer<Context>) {
        // What was lost is about to be taken from us.
        if consumer.assignment_lost() {
            return;
        }
        let now = clock::monotonic();
        let due: Vec<_> = {
            let state = self.state();
            state.waiting.iter().filter(|(_, waiting)| waiting.again <= now).map(|(due, _)| due.clone()).collect()
        };
        if due.is_empty() {
            return;
        }
        // They are still assigned as far as the client knows.
        if matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            let assigned = consumer.assignment().unwrap_or_default();
            let mut list = TopicPartitionList::new();
            for partition in &due {
                if assigned.find_partition(&partition.topic, partition.partition).is_some() {
                    list.add_partition(&partition.topic, partition.partition);
                }
            }
            if let Err(error) = consumer.incremental_unassign(&list) {
                // Still fetched from where it was: it must not be owned from elsewhere.
                tracing::warn!(%error, "taking partitions off the assignment; tried again");
                let again = now + RETRY_MAX;
                self.state().waiting.values_mut().filter(|waiting| waiting.again <= now).for_each(|waiting| {
                    waiting.again = again;
                });
                return;
            }
        }
        self.place(consumer, due);
    }

    /// Recovers partitions from the ledger and assigns those that can be read, all at once.
    pub(super) fn place(&self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>) {
        let placed = self.find_places(consumer, partitions);
        let mut list = TopicPartitionList::new();
        {
            let mut state = self.state();
            for (partition, found) in placed {
                match found {
                    Ok(log) => {
                        self.own(&mut state, partition, log);
                    }
                    Err(error) => {
                        let problem = error_chain(&error);
                        let before = state.waiting.get(&partition);
                        if before.is_none_or(|before| before.problem != problem) {
                            tracing::error!(%partition, "{problem}");
                        }
                        let wait = match before {
                            _ if error.is_final() => RETRY_MAX,
                            Some(before) => (before.wait * 2).min(RETRY_MAX),
                            None => RETRY_FIRST,
                        };
                        let again = clock::monotonic() + wait;
                        state.waiting.insert(partition, Waiting { again, wait, problem });
                    }
                }
            }
            let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
            let assigned = consumer.assignment().unwrap_or_default();
            for (partition, owned) in &mut state.owned {
                let is_new = assigned.find_partition(&partition.topic, partition.partition).is_none();
                // The eager protocol knows only whole assignments: what is read already goes on where it is.
                if is_new || !is_cooperative {
                    owned.fetched = Fetched::since(clock::now());
                    let offset = Offset::Offset(owned.position as i64);
                    if let Err(error) = list.add_partition_offset(&partition.topic, partition.partition, offset) {
                        tracing::error!(%partition, %error, "an offset that cannot be");
                    }
                }
            }
            let problem = state.waiting.values().next().map(|waiting| waiting.problem.clone());
            self.consume.readiness.set("partitions", problem);
            metrics::gauge!("ghostlight_kafka_partitions", "state" => "read").set(state.owned.len() as f64);
            metrics::gauge!("ghostlight_kafka_partitions", "state" => "stopped").set(state.waiting.len() as f64);
        }
        let result = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
            _ => consumer.assign(&list),
        };
        if let Err(error) = result {
            tracing::error!(%error, "assigning partitions");
            for element in list.elements() {
                let partition = TopicPartition { topic: element.topic().to_owned(), partition: element.partition() };
                self.trouble(&partition, None, format!("it could not be assigned: {error}"), RETRY_FIRST);
            }
        }
    }

    fn own(&self, state: &mut State, partition: TopicPartition, log: PartitionLog) {
        state.waiting.remove(&partition);
        state.slots += 1;
        let slot = Slot { number: state.slots, partition: partition.clone(), alive: Arc::new(AtomicBool::new(true)) };
        let (id, position) = (log.id().clone(), log.end());
        // To the thread with the fewest.
        let load = |thread: &usize| state.owned.values().filter(|owned| owned.thread == *thread).count();
        let thread = (0..self.jobs.len()).min_by_key(load).unwrap_or(0);
        self.give(thread, Job::Own { slot: slot.clone(), log: Box::new(log) });
        let chunk = Chunk { start: position, end: position, ..Chunk::default() };
        tracing::info!(%partition, offset = position, "reading");
        let since = clock::monotonic();
        let owned = Owned {
            slot,
            id,
            position,
            chunk,
            committed: position,
            since,
            end_seen: None,
            fetched: Fetched::since(clock::now()),
            noted: Noted::default(),
            thread,
        };
        state.owned.insert(partition, owned);
    }

    fn find_places(
        &self,
        consumer: &BaseConsumer<Context>,
        partitions: Vec<TopicPartition>,
    ) -> Vec<(TopicPartition, Placed)> {
        let mut by_topic: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for TopicPartition { topic, partition } in partitions {
            by_topic.entry(topic).or_default().push(partition);
        }
        let topics: Vec<String> = by_topic.keys().cloned().collect();
        let mut placed = Vec::new();
        let ids = match topics.is_empty() {
            true => Ok(BTreeMap::new()),
            false => kafka::topic_ids(consumer, &topics, ASK_TIMEOUT),
        };
        let until = clock::monotonic() + PLACE_PATIENCE;
        for (topic, numbers) in by_topic {
            let found =
                ids.clone().map_err(PlaceError::Cluster).and_then(|ids| self.incarnation(consumer, &topic, &ids));
            let source = source_name(&topic);
            let starts = found.and_then(|(incarnation, after)| {
                let starts = self.starts(consumer, &topic, &incarnation, after)?;
                Ok((incarnation, starts))
            });
            let starts = starts.map_err(Arc::new);
            let partition = |number: &i32| TopicPartition { topic: topic.clone(), partition: *number };
            let (incarnation, starts) = match starts {
                Ok(found) => found,
                Err(error) => {
                    placed.extend(numbers.iter().map(|number| (partition(number), Err(Arc::clone(&error)))));
                    continue;
                }
            };
            let recoveries = numbers.iter().map(|number| {
                let id = PartitionId::new(&source, &incarnation, &number.to_string());
                let begin = starts.of(&id.partition);
                let patience = left(until).min(RECOVERY_TIMEOUT);
                let recovery = PartitionLog::recover_from(&self.consume.store, id, begin);
                async move { tokio::time::timeout(patience, recovery).await }
            });
            let recoveries = futures::stream::iter(recoveries).buffered(RECOVERIES).collect::<Vec<_>>();
            for (number, recovered) in numbers.iter().zip(self.consume.runtime.block_on(recoveries)) {
                let partition = partition(number);
                let found = match recovered {
                    Ok(Ok(log)) => self.find_place(consumer, &partition, log, until),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(PlaceError::Slow),
                };
                placed.push((partition, found.map_err(Arc::new)));
            }
        }
        placed
    }

    /// The name of what the topic holds now, and of what it held before if that is another thing: refused unless allowed.
    fn incarnation(
        &self,
        consumer: &BaseConsumer<Context>,
        topic: &str,
        ids: &BTreeMap<String, String>,
    ) -> Result<(String, Option<String>), PlaceError> {
        let cluster = consumer.client().fetch_cluster_id(ASK_TIMEOUT);
        let cluster = cluster.ok_or_else(|| PlaceError::Cluster("it does not tell its id".to_owned()))?;
        let topic_id = ids.get(topic).ok_or_else(|| PlaceError::NoTopic(topic.to_owned()))?;
        let epoch = &self.consume.source.epoch;
        if topic_id == NO_ID && epoch.is_none() {
            return Err(PlaceError::NoId(topic.to_owned()));
        }
        self.state().topic_ids.insert(topic.to_owned(), topic_id.clone());
        let end = epoch.as_ref().map_or_else(String::new, |epoch| format!(".{epoch}"));
        let incarnation = format!("{cluster}.{topic_id}{end}");
        let (store, source) = (&self.consume.store, source_name(topic));
        let others = self.ask(ledger::incarnations(store, &source))?;
        if others.contains(&incarnation) {
            return Ok((incarnation, None));
        }
        // An epoch allows one change: the one it was made for.
        let is_new_epoch = epoch.is_some() && !others.iter().any(|other| other.ends_with(&end));
        let is_allowed = self.consume.source.on_gap == OnGap::Record || is_new_epoch;
        match self.ask(ledger::last_incarnation(store, &source, &others))? {
            Some(known) if !is_allowed => {
                Err(PlaceError::Another { topic: topic.to_owned(), known, found: incarnation })
            }
            known => Ok((incarnation, known)),
        }
    }

    /// Asks the store, for a bounded time.
    fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, PlaceError> {
        let bounded = async { tokio::time::timeout(RECOVERY_TIMEOUT, question).await };
        Ok(self.consume.runtime.block_on(bounded).map_err(|_| PlaceError::Slow)??)
    }

    /// Where the topic's partitions begin: decided once, by the first worker that sees the topic. One that follows another
    /// of its name, or came after the pattern was first read, begins at its beginning: what is in it came while it was
    /// wanted.
    fn starts(
        &self,
        consumer: &BaseConsumer<Context>,
        topic: &str,
        incarnation: &str,
        after: Option<String>,
    ) -> Result<Starts, PlaceError> {
        let (store, source) = (&self.consume.store, source_name(topic));
        if let Some(starts) = self.ask(Starts::read(store, &source, incarnation))? {
            return Ok(starts);
        }
        let cluster = |error: KafkaError| PlaceError::Cluster(error.to_string());
        let metadata = consumer.fetch_metadata(Some(topic), ASK_TIMEOUT).map_err(cluster)?;
        let described = metadata.topics().iter().find(|found| found.name() == topic);
        let numbers: Vec<i32> = described.iter().flat_map(|found| found.partitions()).map(|found| found.id()).collect();
        if numbers.is_empty() {
            return Err(PlaceError::NoTopic(topic.to_owned()));
        }
        let is_later = after.is_some() || self.is_later_topic(consumer, topic)?;
        if let Some(known) = &after {
            tracing::warn!(topic, known, incarnation, "the topic is not the one read before; allowed, and recorded");
        }
        let policy = "earliest".to_owned();
        let mut starts = Starts { format: ledger::FORMAT, policy, after, partitions: BTreeMap::new() };
        let wanted = match self.consume.source.start {
            _ if is_later => Offset::Beginning,
            StartAt::Earliest => Offset::Beginning,
            StartAt::Latest => {
                starts.policy = "latest".to_owned();
                Offset::End
            }
            StartAt::Time(time) => {
                starts.policy = time.to_string();
                Offset::Offset(time.ms())
            }
        };
        let mut at_time = BTreeMap::new();
        if let Offset::Offset(_) = wanted {
            let mut times = TopicPartitionList::new();
            for number in &numbers {
                times.add_partition_offset(topic, *number, wanted).map_err(cluster)?;
            }
            for element in consumer.offsets_for_times(times, ASK_TIMEOUT).map_err(cluster)?.elements() {
                at_time.insert(element.partition(), element.offset());
            }
        }
        for number in numbers {
            let (low, high) = consumer.fetch_watermarks(topic, number, ASK_TIMEOUT).map_err(cluster)?;
            let begin = match (wanted, at_time.get(&number)) {
                (Offset::Beginning, _) => low,
                (Offset::Offset(_), Some(Offset::Offset(found))) => *found,
                // Nothing is as young as that yet.
                _ => high,
            };
            starts.partitions.insert(number.to_string(), begin.max(0) as u64);
        }
        self.ask(starts.decide(store, &source, incarnation))
    }

    /// Whether the topic was made after its pattern was first read, where that makes a difference.
    fn is_later_topic(&self, consumer: &BaseConsumer<Context>, topic: &str) -> Result<bool, PlaceError> {
        let KafkaSource { topics, start: StartAt::Latest, .. } = &self.consume.source else { return Ok(false) };
        if topics.iter().any(|name| name == topic) {
            return Ok(false);
        }
        let pattern = topics.join(" ");
        let first = match self.ask(FirstTopics::read(&self.consume.store, &pattern))? {
            Some(first) => first,
            None => {
                let metadata = consumer.fetch_metadata(None, ASK_TIMEOUT);
                let metadata = metadata.map_err(|error| PlaceError::Cluster(error.to_string()))?;
                let topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
                let first = FirstTopics { format: ledger::FORMAT, pattern, topics };
                self.ask(first.decide(&self.consume.store))?
            }
        };
        Ok(!first.topics.contains(topic))
    }

    fn find_place(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: &TopicPartition,
        mut log: PartitionLog,
        until: Instant,
    ) -> Result<PartitionLog, PlaceError> {
        let from = log.end();
        let patience = left(until).min(WATERMARK_TIMEOUT);
        let watermarks = consumer.fetch_watermarks(&partition.topic, partition.partition, patience);
        let (low, high) = watermarks.map_err(|error| PlaceError::Cluster(error.to_string()))?;
        let (low, high) = (low.max(0) as u64, high.max(0) as u64);
        if high < from {
            return Err(PlaceError::Behind { partition: partition.clone(), from, high });
        }
        if low > from {
            let gap = PlaceError::Gap { partition: partition.clone(), from, low };
            if self.consume.source.on_gap == OnGap::Stop {
                return Err(gap);
            }
            tracing::warn!("{gap}; allowed, and recorded");
            let batch = Batch::lost(from, low, "removed from the topic before it was read".to_owned());
            let commit = log.commit(&batch, &self.consume.settings.text, clock::now());
            // Given up half-way it is as if the process had ended there.
            let bounded = async { tokio::time::timeout(RECOVERY_TIMEOUT, commit).await };
            self.consume.runtime.block_on(bounded).map_err(|_| PlaceError::Slow)??;
        }
        Ok(log)
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(clock::monotonic())
}

/// The source of a topic's partitions in the ledger.
fn source_name(topic: &str) -> String {
    format!("kafka.{topic}")
}
