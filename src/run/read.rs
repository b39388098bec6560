//! The read side beside a server: a thread of its own, since folding is work, that follows, judges, and sends what was
//! decided.

use std::convert::Infallible;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{error_chain, have_ended};
use crate::alert::notify::{Notifier, Retry};
use crate::alert::outbox::Outbox;
use crate::alert::{Status, journal};
use crate::audit::standing::Audited;
use crate::clock;
use crate::config::{AuditSettings, Config};
use crate::live::model::Model;
use crate::live::{self, Readiness, page};
use crate::store::{Store, StoreError};
use crate::watch::{Round, Watch, WatchSettings};

/// How often what is not delivered yet is looked for, beside right after a decision.
const DELIVER_EVERY: Duration = Duration::from_secs(30);
const FORGET_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How long no window is judged at first while the audit is under way, since by it tokens live for another time than one thinks.
const FIRST_AUDIT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(10);
/// The read loop in `/readyz` of a process that does nothing else.
const PART: &str = "read side";

/// How long its threads may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// The read side's threads; they end with this.
pub(super) struct ReadSide {
    over: watch::Sender<bool>,
    /// Closed once no thread runs any more.
    running: mpsc::Receiver<Infallible>,
}

impl Drop for ReadSide {
    fn drop(&mut self) {
        self.over.send_replace(true);
        // The runtime they wait on goes next. Whoever is at work for longer is ended with the process.
        have_ended(&self.running, ENDING);
    }
}

impl ReadSide {
    /// Starts following `store`, and gives the routes that show what is found. `readiness`, if given, is told of trouble.
    pub fn start(
        config: &Config,
        store: &Store,
        stopping: watch::Receiver<bool>,
        readiness: Option<Readiness>,
    ) -> anyhow::Result<(Self, Router)> {
        let channels = config.alerts.channels.clone();
        let notifier = Notifier::new(channels, config.alerts.link.clone(), Retry::default())
            .context("making the channels of alerts")?;
        let (publish, overview) = watch::channel(Arc::new(Model::default()));
        let (over, is_over) = watch::channel(false);
        let (runs, running) = mpsc::channel();
        let mut audited = None;
        if let Some(settings) = config.audit.clone() {
            let (publish, seen) = super::audit::channel(&settings);
            on_a_thread("audit", (over.subscribe(), runs.clone()), move || super::audit::again(settings, publish))?;
            audited = Some(seen);
        }
        let follow = Follow {
            store: store.clone(),
            audited,
            settings: watch_settings(config),
            interval: config.live.interval,
            publish,
            decided: watch::Sender::new(()),
            notifier: Arc::new(notifier),
            readiness,
        };
        if let Some(settings) = config.compaction {
            let store = store.clone();
            on_a_thread("compaction", (over.subscribe(), runs.clone()), move || {
                super::compact::rounds(store, settings)
            })?;
        }
        on_a_thread("read-side", (is_over, runs), || follow.run())?;
        Ok((Self { over, running }, page::router(overview, config.live.token.clone(), stopping)))
    }
}

/// Works until `is_over`, on a thread of its own: folding and merging would hold up a server's.
fn on_a_thread<F: Future<Output = Infallible>>(
    name: &str,
    (mut is_over, runs): (watch::Receiver<bool>, mpsc::Sender<Infallible>),
    work: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<()> {
    let runtime = Handle::current();
    let until_over = move || {
        runtime.block_on(async {
            tokio::select! {
                never = work() => match never {},
                _ = is_over.wait_for(|over| *over) => {}
            }
        });
        drop(runs);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(until_over).map(drop)
}

/// What the read side takes from the settings.
pub fn watch_settings(config: &Config) -> WatchSettings {
    let decisions = config.alerts.decisions.clone();
    let mut settings = WatchSettings {
        days: config.live.days,
        look_back: config.live.look_back,
        is_over: config.live.is_over,
        timings: decisions.timings,
        silences: decisions.silences,
        patience: decisions.patience,
        ..WatchSettings::default()
    };
    settings.rules.off = decisions.off;
    settings.rules.severities = decisions.severities;
    settings.rules.lifetimes = config.lifetimes.clone();
    settings.rules.ghosts = config.ghosts;
    settings.rules.quota = config.quota.clone();
    settings
}

/// [`watch_settings`] with the tenant's configuration and how long tokens live by it, where it is audited; read now, and not
/// judged.
pub async fn audited_settings(config: &Config) -> anyhow::Result<WatchSettings> {
    with_audit(config, |audit, error| Err(error.context(format!("auditing {}", audit.from)))).await
}

/// The same, where a configuration that cannot be read is said to be that: the rest does not wait for it.
pub async fn settings_with_audit(config: &Config) -> WatchSettings {
    let unread = |audit: &AuditSettings, error: anyhow::Error| {
        let problem = error_chain(error.as_ref());
        tracing::warn!("auditing {}: {problem}", audit.from);
        Ok::<_, Infallible>(super::audit::unread(audit, Some(problem)))
    };
    let Ok(settings) = with_audit(config, unread).await;
    settings
}

async fn with_audit<E>(
    config: &Config,
    unread: impl FnOnce(&AuditSettings, anyhow::Error) -> Result<Audited, E>,
) -> Result<WatchSettings, E> {
    let mut settings = watch_settings(config);
    if let Some(audit) = &config.audit {
        let audited = super::audit::once(audit, clock::now()).await;
        settings.rules.audit(Arc::new(audited.or_else(|error| unread(audit, error))?));
    }
    Ok(settings)
}

struct Follow {
    store: Store,
    settings: WatchSettings,
    /// What the audit of the settings says.
    audited: Option<watch::Receiver<Audited>>,
    interval: Duration,
    publish: watch::Sender<Arc<Model>>,
    decided: watch::Sender<()>,
    notifier: Arc<Notifier>,
    readiness: Option<Readiness>,
}

impl Follow {
    /// Until it is aborted. After an error it begins anew from what is committed, as a restart would.
    async fn run(self) -> Infallible {
        let audit_by = clock::monotonic() + FIRST_AUDIT;
        loop {
            let Err(error) = self.follow(audit_by).await;
            metrics::counter!("ghostlight_read_rounds_total", "outcome" => "failed").increment(1);
            let problem = format!("reading what is committed failed: {}", error_chain(&error));
            tracing::warn!("{problem}; tried again");
            if let Some(readiness) = &self.readiness {
                readiness.set(PART, Some(problem.clone()));
            }
            self.publish.send_modify(|model| {
                let mut shown = Model::clone(model);
                shown.revision += 1;
                shown.ingest.problem = Some(problem);
                *model = Arc::new(shown);
            });
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn follow(&self, audit_by: Instant) -> Result<Infallible, StoreError> {
        let mut audited = self.audited.clone();
        let mut settings = self.settings.clone();
        if let Some(audited) = &mut audited {
            settings.rules.audit(Arc::new(audited.borrow_and_update().clone()));
        }
        let mut watch = Watch::open(self.store.clone(), settings).await?;
        // Beside the journal that decides: what that wrote is this one's to send, at once.
        let mut outboxes = Vec::new();
        for name in self.notifier.names() {
            outboxes.push(Outbox::open(watch.journal(), &[name], clock::now()).await?);
        }
        tokio::select! {
            ended = self.rounds(&mut watch, audited, audit_by) => ended,
            never = self.deliver_all(&mut outboxes) => match never {},
            never = self.forget() => match never {},
        }
    }

    async fn rounds(
        &self,
        watch: &mut Watch,
        mut audited: Option<watch::Receiver<Audited>>,
        audit_by: Instant,
    ) -> Result<Infallible, StoreError> {
        let (mut shown_revision, mut shown_health) = (None, None);
        loop {
            if let Some(audited) = audited.as_mut().filter(|audited| audited.has_changed().unwrap_or(false)) {
                watch.audit(audited.borrow_and_update().clone());
            }
            let is_audit_due = audited.as_ref().is_some_and(|audited| audited.borrow().is_first_due());
            let round = match is_audit_due && clock::monotonic() < audit_by {
                // What there is, is shown at once.
                true => Round { entries: watch.look(clock::now()).await?, ..Round::default() },
                false => watch.round(clock::now()).await?,
            };
            if !round.decided.is_empty() {
                self.decided.send_replace(());
            }
            if let Some(readiness) = &self.readiness {
                readiness.set(PART, None);
            }
            let of_status = |status| round.decided.iter().filter(|entry| entry.alert.status == status).count() as u64;
            live::metrics::count_round(round.windows, of_status(Status::Firing), of_status(Status::Resolved));
            let mut model = watch.model(clock::now());
            live::metrics::show(&model, clock::now());
            // Also while nothing comes: how far behind a partition is changes by itself.
            let health = Health::of(&model);
            if shown_revision != Some(model.revision) || shown_health.as_ref() != Some(&health) {
                (shown_revision, shown_health) = (Some(model.revision), Some(health));
                // Greater than whatever was shown, also by an earlier follower.
                model.revision = self.publish.borrow().revision + 1;
                self.publish.send_replace(Arc::new(model));
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Removes what is old of the alerts' journal, now and once a day; nothing waits for it.
    async fn forget(&self) -> Infallible {
        loop {
            match journal::forget(&self.store, clock::now()).await {
                Ok(0) => {}
                Ok(objects) => tracing::info!(objects, "old alerts were removed from the journal"),
                Err(error) => tracing::warn!("removing old alerts failed: {}; tried again", error_chain(&error)),
            }
            tokio::time::sleep(FORGET_EVERY).await;
        }
    }

    /// Each channel by itself, so that one that hangs holds up no other.
    async fn deliver_all(&self, outboxes: &mut [Outbox]) -> Infallible {
        join_all(outboxes.iter_mut().map(|outbox| self.deliver(outbox))).await;
        // Without channels there is nothing to send.
        std::future::pending().await
    }

    /// Sends what this reader decided, and what no other sent.
    async fn deliver(&self, outbox: &mut Outbox) -> Infallible {
        let mut decided = self.decided.subscribe();
        loop {
            let send = |name: String, alert| {
                let notifier = Arc::clone(&self.notifier);
                async move { notifier.send(&name, &alert).await }
            };
            match outbox.deliver(clock::now, send).await {
                Ok(round) => {
                    let count = |outcome: &'static str, number| {
                        metrics::counter!("ghostlight_alerts_sent_total", "outcome" => outcome).increment(number);
                    };
                    count("sent", round.sent);
                    count("failed", round.failed);
                    count("given_up", round.given_up);
                }
                Err(error) => tracing::warn!("delivering alerts failed: {}; tried again", error_chain(&error)),
            }
            // Whichever comes first.
            let _ = tokio::time::timeout(DELIVER_EVERY, decided.changed()).await;
        }
    }
}

/// What of a page changes while nothing comes.
#[derive(PartialEq, Eq)]
struct Health {
    /// Of each partition whether it is caught up, and the minutes it lags.
    partitions: Vec<(bool, Option<u64>)>,
    /// What holds back each tenant.
    held_back: Vec<Option<String>>,
}

impl Health {
    fn of(model: &Model) -> Self {
        let partitions = model.ingest.partitions.iter();
        let partitions = partitions.map(|one| (one.is_caught_up, one.lag_seconds.map(|seconds| seconds / 60)));
        Self {
            partitions: partitions.collect(),
            held_back: model.tenants.iter().map(|tenant| tenant.held_back.clone()).collect(),
        }
    }
}

/// Runs the read side alone, until `shutdown`.
pub async fn watch(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let metrics = live::metrics::install()?;
    let readiness = Readiness::default();
    let store = Store::open_existing(&config.out)?;
    let (stopping, stop_seen) = watch::channel(false);
    let (_read_side, page) = ReadSide::start(config, &store, stop_seen, Some(readiness.clone()))?;
    let router = live::router(readiness, None, metrics.clone(), config.live.token.as_ref()).merge(page);
    let upkeep = tokio::spawn(live::metrics::keep_small(metrics));
    let address = listener.local_addr()?;
    tracing::info!(%address, data = %config.out, "listening");
    let until = async move {
        shutdown.await;
        stopping.send_replace(true);
    };
    let served = axum::serve(live::Listener::new(listener), router).with_graceful_shutdown(until).await;
    upkeep.abort();
    served.context("serving HTTP")
}
