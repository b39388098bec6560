//! `ghostlight run`: the HTTP server, the webhook into the spool or into Kafka, the spool and Kafka into the store.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::consume::Consume;
use super::notes::{self, CaughtUp, Noted, Notes};
use super::pull::{KnownUntil, Pull};
use super::read::ReadSide;
use super::{PartitionWriter, WriteSettings, error_chain, prepare, say_warnings};
use crate::clock;
use crate::config::{Config, WebhookTo};
use crate::event::{Decoder, EventTime};
use crate::live::{self, Readiness};
use crate::partial::Accounting;
use crate::source::gateway::Gateway;
use crate::source::kafka::{Context, Health};
use crate::source::spool::{Next, Spool, SpoolError};
use crate::source::webhook::{self, Sink};
use crate::store::commit::{CommitError, PartitionLog};
use crate::store::ledger::{PartitionId, Tail};
use crate::store::progress::Pause;
use crate::store::{Store, StoreError, progress};

/// The source name of the webhook's partitions.
pub const WEBHOOK: &str = "webhook";

const CHUNK_BYTES: usize = 1 << 20;
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often a store that fails is tried again once the process is to stop.
const LAST_TRIES: u32 = 3;

/// How long requests under way may take once the process is to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How long the gateway's last records may take.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(5);
/// The spool's write loop in `/readyz`.
const SPOOL_PART: &str = "spool";

/// What a run committed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    pub accounting: Accounting,
}

/// Serves until `shutdown`, then takes no more, commits everything that was acknowledged, and returns.
pub async fn serve(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Served> {
    say_warnings(config);
    let metrics = live::metrics::install()?;
    let readiness = Readiness::default();
    let spool = match config.webhook.to == WebhookTo::Spool || config.source.management.is_some() {
        true => Some(Spool::open(&config.spool.folder, config.spool.limits())?),
        false => None,
    };
    let sink = match (&config.webhook.to, &spool) {
        (WebhookTo::Kafka { topic }, _) => Some(Sink::Kafka(Arc::new(gateway(config, topic, &readiness)?))),
        (WebhookTo::Spool, Some(spool)) => Some(Sink::Spool(spool.clone())),
        _ => None,
    };
    let mut router = live::router(readiness.clone(), spool.clone(), metrics.clone(), config.live.token.as_ref());
    if let Some(sink) = &sink {
        router = router.merge(webhook::router(sink.clone(), &config.webhook));
    }
    let upkeep = tokio::spawn(live::metrics::keep_small(metrics));

    let mut loops = WriteLoops::default();
    // A gateway alone writes nothing.
    let store = match spool.is_some() || config.source.kafka.is_some() {
        true => Some(Store::open(&config.out)?),
        false => None,
    };
    if let Some(store) = &store {
        prepare(store, config).await?;
    }
    let pull = match (&config.management, &config.source.management, &spool, &store) {
        (Some(api), Some(source), Some(spool), Some(store)) => {
            Some(Pull::open(api, source, spool, store, readiness.clone()).await?)
        }
        _ => None,
    };
    if let (Some(spool), Some(store)) = (&spool, &store) {
        let drain = Drain {
            pulled: pull.as_ref().map(Pull::known),
            runtime: Handle::current(),
            store: store.clone(),
            spool: spool.clone(),
            notes: Notes::new(Handle::current(), store.clone()),
            readiness: readiness.clone(),
            pause: None,
            last_look: None,
            settings: WriteSettings::new(config),
            horizon: config.dedupe.horizon,
            served: Served::default(),
        };
        loops.start("write-loop", move || drain.run().map(|served| served.accounting))?;
    }
    let pulling = pull.map(|pull| tokio::spawn(pull.run()));
    let (stopping, mut stop_seen) = tokio::sync::watch::channel(false);
    let is_loopback = config.http.listen.ip().is_loopback();
    let read_side = match &store {
        Some(store) if config.live.is_on(is_loopback) => {
            let (read_side, page) = ReadSide::start(config, store, stop_seen.clone(), None)?;
            router = router.merge(page);
            Some(read_side)
        }
        _ => None,
    };
    let stop_consuming = Arc::new(AtomicBool::new(false));
    if let (Some(source), Some(connection), Some(store)) = (&config.source.kafka, &config.kafka, store) {
        let consume = Consume {
            runtime: Handle::current(),
            store,
            connection: connection.clone(),
            source: source.clone(),
            settings: WriteSettings::new(config),
            horizon: config.dedupe.horizon,
            health: Health::new(readiness.clone(), "kafka", connection),
            readiness,
            stop: Arc::clone(&stop_consuming),
        };
        loops.start("kafka-poll", move || consume.run())?;
    }

    let WriteLoops { threads, ended, mut end_seen } = loops;
    // Only the write loops still hold one.
    drop(ended);
    let writes = !threads.is_empty();
    let consuming = Arc::clone(&stop_consuming);
    let until = async move {
        tokio::select! {
            () = shutdown => tracing::info!("stopping: no more requests are taken; what was acknowledged is committed"),
            // A write loop that cannot go on stops the server: nobody reads its source any more.
            _ = end_seen.recv(), if writes => {}
        }
        // Kafka's partitions need not wait for requests under way.
        consuming.store(true, Ordering::Release);
        stopping.send_replace(true);
    };
    // A peer that never finishes its request must not hold the last commit up.
    let patience = async move {
        let _ = stop_seen.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    let address = listener.local_addr()?;
    tracing::info!(%address, webhook = %config.webhook.to, path = config.webhook.path, out = %config.out, "listening");
    let server = axum::serve(live::Listener::new(listener), router).with_graceful_shutdown(until).into_future();
    let served = tokio::select! {
        served = server => served.context("serving HTTP"),
        () = patience => {
            tracing::warn!("connections that did not end in time are closed");
            Ok(())
        }
    };
    upkeep.abort();
    drop(read_side);
    if let Some(pulling) = pulling {
        pulling.abort();
        // It holds the spool until it has ended.
        let _ = pulling.await;
    }
    if let Some(spool) = &spool {
        spool.close();
    }
    stop_consuming.store(true, Ordering::Release);
    let result = tokio::task::spawn_blocking(move || {
        if let Some(Sink::Kafka(gateway)) = &sink {
            gateway.flush(GATEWAY_PATIENCE);
        }
        join(threads)
    });
    let result = result.await?;
    served?;
    result
}

fn gateway(config: &Config, topic: &str, readiness: &Readiness) -> anyhow::Result<Gateway> {
    let connection = config.kafka.as_ref().context("webhook.to = \"kafka\" without [kafka]")?;
    let health = Health::new(readiness.clone(), "gateway", connection);
    let (runtime, owned) = (Handle::current(), connection.clone());
    let context = move || Context::new(runtime.clone(), &owned, health.clone());
    Gateway::new(connection, topic, context).context("making the producer to Kafka")
}

/// The threads that bring sources into the store.
struct WriteLoops {
    threads: Vec<JoinHandle<anyhow::Result<Accounting>>>,
    ended: mpsc::Sender<()>,
    /// Hears of the first loop that ends.
    end_seen: mpsc::Receiver<()>,
}

impl Default for WriteLoops {
    fn default() -> Self {
        let (ended, end_seen) = mpsc::channel(1);
        Self { threads: Vec::new(), ended, end_seen }
    }
}

impl WriteLoops {
    fn start(
        &mut self,
        name: &str,
        run: impl FnOnce() -> anyhow::Result<Accounting> + Send + 'static,
    ) -> std::io::Result<()> {
        let ended = self.ended.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = run();
            // Whether or not anybody listens any more.
            let _ = ended.try_send(());
            result
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

/// Waits for the loops' last commits. The first error goes before what the others did.
fn join(threads: Vec<JoinHandle<anyhow::Result<Accounting>>>) -> anyhow::Result<Served> {
    let mut served = Served::default();
    let results: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    for result in results {
        let accounting =
            result.map_err(|_| anyhow::anyhow!("a write loop panicked; its source has what is not committed"))??;
        served.accounting.add(&accounting);
    }
    Ok(served)
}

/// The write loop of one spool.
struct Drain {
    runtime: Handle,
    store: Store,
    spool: Spool,
    notes: Notes,
    readiness: Readiness,
    /// Where log events are pulled into the spool too: up to when.
    pulled: Option<KnownUntil>,
    /// When nobody listened last, until senders have delivered again.
    pause: Option<Pause>,
    /// When it was seen last that somebody listened.
    last_look: Option<EventTime>,
    settings: WriteSettings,
    horizon: usize,
    served: Served,
}

/// Why the loop could not go on as it was.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl From<StoreError> for DrainError {
    fn from(error: StoreError) -> Self {
        Self::Commit(CommitError::Store(error))
    }
}

impl DrainError {
    /// Whether trying again can help: the store may come back, another owner's entry is a place to go on from.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Commit(CommitError::Fenced { .. } | CommitError::Store(StoreError::Operation { .. })))
    }
}

impl Drain {
    fn run(mut self) -> anyhow::Result<Served> {
        let mut wait = RETRY_FIRST;
        let mut last_tries = LAST_TRIES;
        loop {
            let committed_before = self.served.accounting.records;
            match self.run_until_error() {
                Ok(()) => return Ok(self.served),
                Err(error) if !error.is_passing() => {
                    self.readiness.set(SPOOL_PART, Some(error.to_string()));
                    return Err(error)
                        .context("the write loop cannot go on; acknowledged events are safe in the spool");
                }
                Err(error) => {
                    tracing::error!(error = %error_chain(&error), "commit failed; the batch is folded again from the spool");
                    self.readiness.set(SPOOL_PART, Some(error_chain(&error)));
                    if self.spool.is_closed() {
                        last_tries -= 1;
                        if last_tries == 0 {
                            return Err(error).context(
                                "stopping without the last commit; acknowledged events are safe in the spool and will be \
                                 committed by the next run",
                            );
                        }
                    }
                    if self.served.accounting.records > committed_before {
                        wait = RETRY_FIRST;
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// How long nobody had listened when this process began, by the last note and the last commit.
    fn last_heard(&self, id: &PartitionId, tail: &Tail) -> Result<(Option<Pause>, Option<EventTime>), StoreError> {
        let note = self.runtime.block_on(progress::read(&self.store, id))?;
        let committed = tail.last.as_ref().map(|entry| entry.committed_at);
        Ok((note.as_ref().and_then(|note| note.pause), committed.max(note.map(|note| note.at))))
    }

    /// Tells readers of the pause before anything is committed that would make them judge what was in it: in the note that is
    /// there, which vouches for no more than it did.
    fn tell_pause(&self, id: &PartitionId) {
        let told = async {
            let note = progress::read(&self.store, id).await?;
            let (position, at) = note.map_or((0, EventTime::from_ms(0)), |note| (note.position, note.at));
            progress::note(&self.store, id, position, at, self.pause).await
        };
        if let Err(error) = self.runtime.block_on(told) {
            tracing::debug!(partition = %id, "noting a pause: {error}");
        }
    }

    /// From recovery to the end of the spool, or the first error.
    fn run_until_error(&mut self) -> Result<(), DrainError> {
        let id = PartitionId::new(WEBHOOK, self.spool.id(), "0");
        let log = self.runtime.block_on(PartitionLog::recover(&self.store, id.clone()))?;
        if self.pulled.is_none() && self.last_look.is_none() {
            (self.pause, self.last_look) = self.last_heard(&id, log.tail())?;
        }
        let dedupe = self.runtime.block_on(log.dedupe(self.horizon))?;
        let mut reader = self.spool.reader(log.end())?;
        self.spool.release(log.end())?;
        let mut writer = PartitionWriter::new(self.runtime.clone(), log, dedupe, self.settings.clone());
        let mut decoder = Decoder::with_settings(self.settings.decode.clone());
        let poll = self.settings.flush.interval.min(Duration::from_millis(250));
        let mut noted = Noted::default();
        loop {
            // Before the look: what was pulled until then is in the spool by now.
            let looked = match &self.pulled {
                Some(pulled) => pulled.get(),
                None => {
                    let now = clock::now();
                    // Also where it was frozen, as with its machine. What is pulled nobody has to send.
                    let heard = self.last_look.replace(now).unwrap_or(now);
                    let pause = Pause::after(self.pause, heard, now);
                    let is_new = pause.is_some() && pause != self.pause;
                    self.pause = pause;
                    if is_new {
                        self.tell_pause(&id);
                    }
                    Some(now)
                }
            };
            let next = reader.next(CHUNK_BYTES, poll)?;
            let closed = matches!(next, Next::Closed);
            match next {
                Next::Chunk(chunk) => writer.read(&chunk, &mut decoder),
                Next::Idle if writer.end() == writer.committed() => {
                    // Nothing is left that a commit could fail at.
                    self.readiness.set(SPOOL_PART, None);
                    self.clear(writer.committed())?;
                    if let Some(looked) = looked {
                        self.note_caught_up(&id, writer.committed(), looked, &mut noted);
                    }
                }
                Next::Idle | Next::Closed => {}
            }
            if (closed || writer.is_due())
                && let Some(entry) = writer.flush()?
            {
                // Only now: that the store can be read says nothing about writing.
                self.readiness.set(SPOOL_PART, None);
                self.served.accounting.add(&entry.accounting);
                self.clear(writer.committed())?;
                // A store that takes its time keeps nobody from listening.
                self.last_look = Some(clock::now());
            }
            if closed {
                // Its writer has ended, so nothing comes behind what was rolled.
                self.clear(writer.committed())?;
                // Nothing came any more: readers need not wait for what was until now.
                if let Some(at) = looked
                    && writer.end() == writer.committed()
                    && self.spool.trouble().is_none()
                {
                    let (partition, pause) = (id.clone(), self.pause);
                    let note = CaughtUp { partition, position: writer.committed(), at, pause };
                    self.runtime.block_on(notes::write(&self.store, note));
                }
                return Ok(());
            }
        }
    }

    /// Bodies hold more about people than what is made of them: those committed go as soon as they can, and do not wait for
    /// their segment to become full.
    fn clear(&self, committed: u64) -> Result<(), SpoolError> {
        self.spool.release(committed)?;
        if self.spool.start() < committed { self.spool.roll() } else { Ok(()) }
    }

    /// `looked`: when nothing more than what is committed was there to read.
    fn note_caught_up(&self, partition: &PartitionId, position: u64, looked: EventTime, noted: &mut Noted) {
        let now = clock::monotonic();
        // A spool that refuses bodies is empty because senders wait, not because nothing happens.
        if !noted.is_due(position, now) || self.spool.health().is_err() {
            return;
        }
        if let Some(turn) = self.notes.turn() {
            noted.set(position, now);
            self.notes
                .write(turn, vec![CaughtUp { partition: partition.clone(), position, at: looked, pause: self.pause }]);
        }
    }
}
