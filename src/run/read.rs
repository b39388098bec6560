//! The read side beside a server: a thread that follows and judges, since folding is work, and a task that sends what was
//! decided.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::error_chain;
use crate::alert::notify::{Notifier, Retry};
use crate::alert::outbox::Outbox;
use crate::clock;
use crate::config::Config;
use crate::live::model::Model;
use crate::live::{self, Readiness, page};
use crate::store::{Store, StoreError};
use crate::watch::{Watch, WatchSettings};

/// How often what is not delivered yet is looked for, beside right after a decision.
const DELIVER_EVERY: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(10);
/// The read loop in `/readyz` of a process that does nothing else.
const PART: &str = "read side";

/// What of the read side runs; it ends with this.
pub(super) struct ReadSide {
    /// Tells the thread.
    over: watch::Sender<bool>,
    deliver: JoinHandle<()>,
}

impl Drop for ReadSide {
    fn drop(&mut self) {
        self.over.send_replace(true);
        self.deliver.abort();
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
        let settings = watch_settings(config);
        let channels = config.alerts.channels.clone();
        let notifier = Notifier::new(channels, config.alerts.link.clone(), Retry::default())
            .context("making the channels of alerts")?;
        let (publish, overview) = watch::channel(Arc::new(Model::default()));
        let decided = Arc::new(Notify::new());
        let follow = Follow {
            store: store.clone(),
            settings: settings.clone(),
            interval: config.live.interval,
            publish,
            decided: Arc::clone(&decided),
            readiness,
        };
        let (over, mut is_over) = watch::channel(false);
        let runtime = Handle::current();
        std::thread::Builder::new().name("read-side".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = follow.run() => {}
                    _ = is_over.wait_for(|over| *over) => {}
                }
            });
        })?;
        let deliver = tokio::spawn(deliver(store.clone(), settings, Arc::new(notifier), decided));
        Ok((Self { over, deliver }, page::router(overview, config.live.token.clone(), stopping)))
    }
}

/// What the read side takes from the settings.
pub fn watch_settings(config: &Config) -> WatchSettings {
    let mut settings = WatchSettings { days: config.live.days, ..WatchSettings::default() };
    settings.rules.lifetimes = config.lifetimes.clone();
    settings.rules.ghosts = config.ghosts;
    settings.rules.quota = config.quota.clone();
    settings
}

struct Follow {
    store: Store,
    settings: WatchSettings,
    interval: Duration,
    publish: watch::Sender<Arc<Model>>,
    decided: Arc<Notify>,
    readiness: Option<Readiness>,
}

impl Follow {
    /// Until it is aborted. After an error it begins anew from what is committed, as a restart would.
    async fn run(self) {
        loop {
            let Err(error) = self.follow().await;
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

    async fn follow(&self) -> Result<std::convert::Infallible, StoreError> {
        let mut watch = Watch::open(self.store.clone(), self.settings.clone()).await?;
        let mut shown_revision = None;
        loop {
            let round = watch.round(clock::now()).await?;
            if !round.decided.is_empty() {
                self.decided.notify_one();
            }
            if let Some(readiness) = &self.readiness {
                readiness.set(PART, None);
            }
            let mut model = watch.model(clock::now());
            if shown_revision != Some(model.revision) {
                shown_revision = Some(model.revision);
                // Greater than whatever was shown, also by an earlier follower.
                model.revision = self.publish.borrow().revision + 1;
                self.publish.send_replace(Arc::new(model));
            }
            tokio::time::sleep(self.interval).await;
        }
    }
}

/// Sends what any reader decided and no one has sent, until it is aborted.
async fn deliver(store: Store, settings: WatchSettings, notifier: Arc<Notifier>, decided: Arc<Notify>) {
    loop {
        let failed = deliver_until_error(&store, &settings, &notifier, &decided).await;
        let Err(error) = failed;
        tracing::warn!("delivering alerts failed: {}; tried again", error_chain(&error));
        tokio::time::sleep(RETRY).await;
    }
}

async fn deliver_until_error(
    store: &Store,
    settings: &WatchSettings,
    notifier: &Arc<Notifier>,
    decided: &Notify,
) -> Result<std::convert::Infallible, StoreError> {
    let journal = crate::alert::journal::Journal::open(store, settings.episodes()).await?;
    let mut outbox = Outbox::open(&journal, &notifier.names(), clock::now()).await?;
    loop {
        let send = |name: String, alert| {
            let notifier = Arc::clone(notifier);
            async move { notifier.send(&name, &alert).await }
        };
        let round = outbox.deliver(clock::now, send).await?;
        let count = |outcome: &'static str, number| {
            metrics::counter!("ghostlight_alerts_sent_total", "outcome" => outcome).increment(number);
        };
        count("sent", round.sent);
        count("failed", round.failed);
        count("given_up", round.given_up);
        // Whichever comes first.
        let _ = tokio::time::timeout(DELIVER_EVERY, decided.notified()).await;
    }
}

/// Runs the read side alone, until `shutdown`.
pub async fn watch(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let metrics = live::install_metrics()?;
    let readiness = Readiness::default();
    let store = Store::open_existing(&config.out)?;
    let (stopping, stop_seen) = watch::channel(false);
    let (_read_side, page) = ReadSide::start(config, &store, stop_seen, Some(readiness.clone()))?;
    let router = live::router(readiness, None, metrics.clone()).merge(page);
    let upkeep = tokio::spawn(live::keep_metrics_small(metrics));
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
