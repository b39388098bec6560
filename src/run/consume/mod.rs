//! Kafka into the store. One thread polls and cuts chunks; some threads decode, fold and commit, each its own partitions.
//!
//! The ledger says where each partition goes on: the rebalance callback recovers what it is given and assigns it once,
//! with final offsets. Whatever goes wrong with a partition (another process committed, the store failed, an offset is
//! gone) has one way out: it is taken off the assignment and placed anew from the ledger.

mod fetched;
mod fold;
mod member;
mod place;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::runtime::Handle;

use self::fetched::Fetched;
use self::fold::Folder;
use super::notes::{Noted, Notes};
use super::{WriteSettings, have_ended};
use crate::clock;
use crate::config::{KafkaConnection, KafkaSource};
use crate::event::{Chunk, Content, EventTime, RecordSpan};
use crate::partial::Accounting;
use crate::source::kafka::{self, Context, Health, Member, TopicPartition};
use crate::store::Store;
use crate::store::commit::PartitionLog;
use crate::store::ledger::PartitionId;

/// A chunk goes to its thread at this size, or when nothing more comes.
const CHUNK_BYTES: usize = 512 << 10;
/// Chunks on their way to the threads, in bytes; over that nothing is polled, and soon nothing fetched.
const WAITING_BYTES_MAX: usize = 16 << 20;
const POLLS_A_TURN: usize = 100;
const POLL: Duration = Duration::from_millis(50);
/// How long to wait for room before the partitions are paused, so that polling goes on without records.
const ROOM_PATIENCE: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);
const OFFSETS_EVERY: Duration = Duration::from_secs(5);
/// How often the brokers are asked at least whether a topic is still the one it was, how long that may take, and how long
/// a commit waits for it before it is put off.
const CONFIRM_EVERY: Duration = Duration::from_secs(5);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
const CONFIRM_PATIENCE: Duration = Duration::from_secs(2);

/// What the consumer needs.
pub(super) struct Consume {
    pub runtime: Handle,
    pub store: Store,
    pub connection: KafkaConnection,
    pub source: KafkaSource,
    pub settings: WriteSettings,
    pub horizon: usize,
    pub health: Health,
    pub readiness: crate::live::Readiness,
    pub stop: Arc<AtomicBool>,
}

impl Consume {
    /// Consumes until it is told to stop; then commits what was read, and leaves.
    pub fn run(self) -> anyhow::Result<Accounting> {
        let config = kafka::consumer_config(&self.connection, &self.source);
        let context = Context::new(self.runtime.clone(), &self.connection, self.health.clone());
        let consumer: BaseConsumer<Context> = config.create_with_context(context)?;
        let threads = self.source.threads;
        let stop = Arc::clone(&self.stop);
        let mut jobs = Vec::new();
        let mut queues = Vec::new();
        for _ in 0..threads {
            let (sender, queue) = channel();
            jobs.push(sender);
            queues.push(queue);
        }
        let notes = Notes::new(self.runtime.clone(), self.store.clone());
        let group = Arc::new(Group {
            consume: self,
            notes,
            jobs,
            state: Mutex::new(State::default()),
            room: Room::default(),
            confirmed: Confirmed::default(),
            is_broken: AtomicBool::new(false),
        });
        consumer.context().set_member(Arc::clone(&group) as Arc<dyn Member>);
        let folders: Vec<_> = queues
            .into_iter()
            .map(|queue| {
                let group = Arc::clone(&group);
                let folder = std::thread::Builder::new().name("kafka-fold".to_owned());
                folder.spawn(move || Folder::new(group).run(queue))
            })
            .collect::<Result<_, _>>()?;
        let topics: Vec<&str> = group.consume.source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let polled = group.poll_until(&consumer, &stop);
        // Whatever ended the polling, what was folded is committed, and offsets show it.
        group.send_chunks();
        group.release(&consumer, None);
        leave(consumer);
        group.jobs.iter().for_each(|jobs| drop(jobs.send(Job::End)));
        for folder in folders {
            folder
                .join()
                .map_err(|_| anyhow::anyhow!("a thread that folds panicked; Kafka has what is not committed"))?;
        }
        polled?;
        Ok(group.state().accounting)
    }
}

/// Leaves the group, which calls back once more, with nothing left to give up. Librdkafka may never come to an end of that: it
/// does not answer who gives partitions up at the moment in which it closes. All is committed, so the group may find out for itself.
fn leave(consumer: BaseConsumer<Context>) {
    const PATIENCE: Duration = Duration::from_secs(15);
    let (runs, running) = channel();
    let close = move || {
        drop(consumer);
        drop(runs);
    };
    // Without a thread it is dropped with what could not be spawned.
    let _ = std::thread::Builder::new().name("kafka-leave".to_owned()).spawn(close);
    if !have_ended(&running, PATIENCE) {
        tracing::warn!(
            "the Kafka client did not close; all is committed, and the group will miss this member after its session"
        );
    }
}

/// What a folding thread is told, in order.
enum Job {
    Own {
        slot: Slot,
        log: Box<PartitionLog>,
    },
    Fold {
        slot: Slot,
        chunk: Chunk,
    },
    /// Forgets these; commits before what was folded of them, unless they were lost or cannot be confirmed.
    Leave {
        slots: Vec<u64>,
        is_confirmed: bool,
        done: SyncSender<()>,
    },
    End,
}

/// One time of owning a partition. A later time of the same partition has another number.
#[derive(Clone)]
struct Slot {
    number: u64,
    partition: TopicPartition,
    /// False once it was lost or failed: what is on its way is dropped.
    alive: Arc<AtomicBool>,
}

impl Slot {
    fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }
}

/// A partition that is read.
struct Owned {
    slot: Slot,
    id: PartitionId,
    /// The offset after the last record taken; the ledger's end at first.
    position: u64,
    /// The chunk being cut.
    chunk: Chunk,
    /// Up to where the ledger goes.
    committed: u64,
    since: Instant,
    /// A possible end behind the position, as the last report had it, and the position at that time.
    end_seen: Option<(u64, u64)>,
    fetched: Fetched,
    noted: Noted,
    thread: usize,
}

/// A partition of ours that is not read, and when to try again.
struct Waiting {
    again: Instant,
    wait: Duration,
    problem: String,
}

impl Owned {
    /// Behind the last record may lie offsets that hold none: markers and aborted records of transactions. Once two
    /// reports in a row say that the client has come to this end, with nothing left to take and no record taken in
    /// between, the position is that end. The first seconds do not count: a report may be of the time before.
    fn step_to(&mut self, end: u64, is_at_end: bool) {
        const SETTLED: Duration = Duration::from_secs(5);
        let seen = (is_at_end && end > self.position).then_some((end, self.position));
        if seen.is_some() && seen == self.end_seen && self.since.elapsed() > SETTLED {
            self.position = end;
            self.chunk.end = end;
        }
        self.end_seen = seen;
    }
}

#[derive(Default)]
struct State {
    owned: HashMap<TopicPartition, Owned>,
    waiting: BTreeMap<TopicPartition, Waiting>,
    /// The partition the last record was of: records come in runs.
    last: Option<TopicPartition>,
    slots: u64,
    /// Nothing was left to take at some time since the last report.
    was_idle: bool,
    /// A broker refuses us something; said until a record comes.
    is_refused: bool,
    /// The ids that topics had when they were placed.
    topic_ids: BTreeMap<String, String>,
    accounting: Accounting,
    offsets_due: BTreeMap<TopicPartition, u64>,
}

/// Memory of the chunks that wait for the folding threads.
#[derive(Default)]
struct Room {
    taken: AtomicUsize,
    waiting: Mutex<()>,
    freed: Condvar,
}

impl Room {
    fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::AcqRel);
    }

    fn free(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::AcqRel);
        // Whoever has looked, and is about to wait, holds this.
        drop(self.waiting.lock());
        self.freed.notify_all();
    }

    fn is_full(&self) -> bool {
        self.taken.load(Ordering::Acquire) > WAITING_BYTES_MAX
    }

    /// Waits until there is room; false if there is none in time.
    fn wait(&self, patience: Duration) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |(): &mut ()| self.is_full();
        drop(self.freed.wait_timeout_while(waiting, patience, is_full).unwrap_or_else(PoisonError::into_inner));
        !self.is_full()
    }
}

/// When the topics were last known to be what they were when they were placed. A topic that is deleted and made anew keeps
/// its name, and the client goes on in it with the old offsets; so a batch is committed only once this is later than its
/// last record.
#[derive(Default)]
struct Confirmed {
    at: Mutex<Option<Instant>>,
    is_wanted: AtomicBool,
    changed: Condvar,
}

impl Confirmed {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: Instant) {
        *self.lock() = Some(at);
        self.changed.notify_all();
    }

    /// Has the polling thread ask, if need be, and waits for it; false if there is no answer in time.
    fn wait_for(&self, since: Instant) -> bool {
        let is_missing = |at: &mut Option<Instant>| at.is_none_or(|at| at <= since);
        let mut at = self.lock();
        if is_missing(&mut at) {
            self.is_wanted.store(true, Ordering::Release);
            let waited = self.changed.wait_timeout_while(at, CONFIRM_PATIENCE, is_missing);
            at = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !is_missing(&mut at)
    }
}

/// What a chunk takes, in bytes.
fn memory(chunk: &Chunk) -> usize {
    chunk.bytes.len() + chunk.records.len() * size_of::<RecordSpan>()
}

fn list<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for TopicPartition { topic, partition } in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

struct Group {
    consume: Consume,
    notes: Notes,
    jobs: Vec<Sender<Job>>,
    /// Never held over a poll, a question to the cluster or the store, or a wait.
    state: Mutex<State>,
    room: Room,
    confirmed: Confirmed,
    /// A folding thread panicked.
    is_broken: AtomicBool,
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_until(&self, consumer: &BaseConsumer<Context>, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut tended = clock::monotonic();
        let (mut offsets_sent, mut asked) = (tended, tended);
        while !stop.load(Ordering::Acquire) {
            let began = clock::monotonic();
            // What was fetched already is taken without a look at the clock for each.
            let patience = std::iter::once(POLL).chain(std::iter::repeat_n(Duration::ZERO, POLLS_A_TURN));
            let mut polled = 0;
            for patience in patience {
                match consumer.poll(patience) {
                    Some(Ok(message)) => self.take(&message),
                    Some(Err(error)) => self.failed(&error)?,
                    None => break,
                }
                polled += 1;
            }
            if polled == 0 {
                self.send_chunks();
                // Events other than records end a poll early.
                self.state().was_idle |= began.elapsed() >= POLL;
            }
            if tended.elapsed() >= POLL {
                tended = clock::monotonic();
                self.send_chunks();
                self.place_waiting(consumer);
                if offsets_sent.elapsed() >= OFFSETS_EVERY {
                    offsets_sent = clock::monotonic();
                    self.send_offsets(consumer, CommitMode::Async);
                }
                if asked.elapsed() >= CONFIRM_EVERY {
                    asked = clock::monotonic();
                    self.confirm_topics(consumer);
                }
            }
            self.confirm_if_wanted(consumer);
            if self.room.is_full() {
                self.make_room(consumer, stop)?;
            }
            anyhow::ensure!(!self.is_broken.load(Ordering::Acquire), "a thread that folds panicked");
        }
        Ok(())
    }

    /// Puts a record into its partition's chunk, and a full chunk on its way.
    fn take(&self, message: &BorrowedMessage<'_>) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_refused) {
            self.consume.health.reads();
        }
        let State { owned, last, .. } = &mut *state;
        if last.as_ref().is_none_or(|last| last.partition != message.partition() || last.topic != message.topic()) {
            *last = Some(TopicPartition { topic: message.topic().to_owned(), partition: message.partition() });
        }
        let Some(owned) = last.as_ref().and_then(|last| owned.get_mut(last)) else { return };
        let Ok(offset) = u64::try_from(message.offset()) else { return };
        if offset < owned.position {
            metrics::counter!("ghostlight_kafka_records_below_position_total").increment(1);
            return;
        }
        let payload = message.payload().unwrap_or_default();
        let chunk = &mut owned.chunk;
        let begin = chunk.bytes.len();
        chunk.bytes.extend_from_slice(payload);
        let arrived = message.timestamp().to_millis().map(EventTime::from_ms);
        chunk.records.push(RecordSpan { offset, bytes: begin..begin + payload.len(), arrived, content: Content::Any });
        owned.position = offset + 1;
        chunk.end = owned.position;
        if memory(chunk) >= CHUNK_BYTES {
            self.send_chunk(owned);
        }
    }

    fn send_chunks(&self) {
        self.state().owned.values_mut().filter(|owned| owned.chunk.end > owned.chunk.start).for_each(|owned| {
            self.send_chunk(owned);
        });
    }

    fn send_chunk(&self, owned: &mut Owned) {
        let next = Chunk { start: owned.position, end: owned.position, ..Chunk::default() };
        let chunk = std::mem::replace(&mut owned.chunk, next);
        metrics::counter!("ghostlight_kafka_records_total").increment(chunk.records.len() as u64);
        metrics::counter!("ghostlight_kafka_bytes_total").increment(chunk.bytes.len() as u64);
        self.room.take(memory(&chunk));
        self.give(owned.thread, Job::Fold { slot: owned.slot.clone(), chunk });
    }

    /// A folding thread ends only when told, so there is always one to take the job.
    fn give(&self, thread: usize, job: Job) {
        if self.jobs[thread].send(job).is_err() {
            tracing::error!("a thread that folds is gone");
        }
    }

    /// Waits until the folding threads have caught up. Polling goes on meanwhile, with the partitions paused, so that the
    /// group does not take us for dead.
    fn make_room(&self, consumer: &BaseConsumer<Context>, stop: &AtomicBool) -> anyhow::Result<()> {
        let until = clock::monotonic() + ROOM_PATIENCE;
        while clock::monotonic() < until {
            if self.room.wait(POLL / 5) {
                return Ok(());
            }
            self.confirm_if_wanted(consumer);
        }
        tracing::warn!("committing does not keep up: fetching pauses");
        // By the number of the slot: a rebalance may bring partitions, or bring one back.
        let mut paused: HashMap<u64, Slot> = HashMap::new();
        let is_over = || stop.load(Ordering::Acquire) || self.is_broken.load(Ordering::Acquire);
        while self.room.is_full() && !is_over() {
            let is_new = |slot: &&Slot| !paused.contains_key(&slot.number);
            let slots: Vec<Slot> =
                self.state().owned.values().map(|owned| &owned.slot).filter(is_new).cloned().collect();
            if !slots.is_empty() {
                if let Err(error) = consumer.pause(&list(slots.iter().map(|slot| &slot.partition))) {
                    tracing::debug!(%error, "pausing");
                }
                self.set_fetched(&slots, Fetched::paused);
                paused.extend(slots.into_iter().map(|slot| (slot.number, slot)));
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => self.failed(&error)?,
                None => {}
            }
            self.confirm_if_wanted(consumer);
        }
        // Those too that went meanwhile: in the client a pause outlives the assignment.
        if let Err(error) = consumer.resume(&list(paused.values().map(|slot| &slot.partition))) {
            tracing::debug!(%error, "resuming");
        }
        let since = clock::now();
        self.set_fetched(paused.values(), || Fetched::since(since));
        tracing::info!("fetching goes on");
        Ok(())
    }

    /// What the reports told of these partitions so far no longer counts.
    fn set_fetched<'a>(&self, slots: impl IntoIterator<Item = &'a Slot>, fetched: impl Fn() -> Fetched) {
        let mut state = self.state();
        for slot in slots {
            let owned = state.owned.get_mut(&slot.partition);
            if let Some(owned) = owned.filter(|owned| owned.slot.number == slot.number) {
                owned.fetched = fetched();
            }
        }
    }

    fn confirm_if_wanted(&self, consumer: &BaseConsumer<Context>) {
        if self.confirmed.is_wanted.swap(false, Ordering::AcqRel) {
            self.confirm_topics(consumer);
        }
    }

    /// Asks whether the topics are what they were when they were placed, takes those off that are not, and says whether
    /// there was an answer.
    fn confirm_topics(&self, consumer: &BaseConsumer<Context>) -> bool {
        let now = clock::monotonic();
        let placed: BTreeMap<String, String> = {
            let State { owned, topic_ids, .. } = &*self.state();
            let ids = owned.keys().filter_map(|owned| topic_ids.get_key_value(&owned.topic));
            ids.map(|(topic, id)| (topic.clone(), id.clone())).collect()
        };
        if placed.is_empty() {
            return true;
        }
        let topics: Vec<String> = placed.keys().cloned().collect();
        let ids = match kafka::topic_ids(consumer, &topics, CONFIRM_TIMEOUT) {
            Ok(ids) => ids,
            Err(error) => {
                tracing::debug!(error, "whether the topics are still the same is not known; commits are put off");
                return false;
            }
        };
        for (topic, id) in placed {
            if ids.get(&topic).is_some_and(|found| *found != id) {
                let owned: Vec<_> = self.state().owned.keys().filter(|owned| owned.topic == topic).cloned().collect();
                tracing::error!(topic, "the topic was made anew while it was read");
                owned.iter().for_each(|partition| {
                    self.trouble(partition, None, "the topic was made anew".to_owned(), RETRY_FIRST);
                });
            }
        }
        self.confirmed.set(now);
        true
    }

    fn failed(&self, error: &KafkaError) -> anyhow::Result<()> {
        let code = error.rdkafka_error_code();
        let label = code.map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"));
        metrics::counter!("ghostlight_kafka_errors_total", "code" => label).increment(1);
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(_), _) => {
                let text = kafka::explain(error, &self.consume.source).unwrap_or_else(|| error.to_string());
                anyhow::bail!("{text}");
            }
            // Which partition it was the error does not say: look at all.
            (_, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => {
                let all: Vec<_> = self.state().owned.keys().cloned().collect();
                all.iter().for_each(|partition| {
                    self.trouble(partition, None, "an offset is gone from the broker".to_owned(), RETRY_FIRST);
                });
            }
            _ => match kafka::explain(error, &self.consume.source) {
                Some(text) => {
                    self.state().is_refused = true;
                    self.consume.health.set(Some(text));
                }
                None => self.consume.health.passes(error),
            },
        }
        Ok(())
    }
}
