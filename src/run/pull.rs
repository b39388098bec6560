//! Pulls a tenant's log events by its Management API into the spool, where the write loop takes them up as it does the
//! webhook's: synced to disk first, then the checkpoint moves.

pub(super) mod checkpoint;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use super::error_chain;
use crate::clock;
use crate::config::{ManagementApi, ManagementSource, StartAt};
use crate::event::EventTime;
use crate::live::Readiness;
use crate::source::management::logs::{self, Log, Order, PAGE, SEARCH_PAGES};
use crate::source::management::{Api, ApiError, Retry};
use crate::source::spool::{AppendError, Spool, SpoolError};
use crate::store::Store;
use crate::store::ledger::Pulled;
use checkpoint::{Checkpoint, Gap};

/// In `/readyz`.
const PART: &str = "management";
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Auth0 keeps log events for at least a day: whoever was away for less has missed nothing. Some hours less, to be sure.
/// <https://auth0.com/docs/deploy-monitor/logs/log-data-retention>
const AWAY_MS_MAX: i64 = 20 * 3_600_000;
/// How much earlier than known a search by dates begins, since log events can arrive long after their date. What comes
/// twice is told by its `log_id`.
const LATE_MS_MAX: i64 = 3_600_000;

/// Up to when the spool has what Auth0 has: an idle spool says nothing of later times.
#[derive(Clone)]
pub(super) struct KnownUntil(Arc<AtomicI64>);

impl KnownUntil {
    const NEVER: i64 = i64::MIN;

    pub fn get(&self) -> Option<EventTime> {
        let ms = self.0.load(Ordering::Acquire);
        (ms != Self::NEVER).then_some(EventTime::from_ms(ms))
    }

    fn set(&self, time: EventTime) {
        self.0.store(time.ms(), Ordering::Release);
    }
}

pub(super) struct Pull {
    api: Api,
    domain: String,
    spool: Spool,
    interval: Duration,
    readiness: Readiness,
    checkpoint: Checkpoint,
    known: KnownUntil,
    /// Whether the last turn ended well, so that nothing can have been removed since.
    is_close: bool,
    /// Where a search last began again.
    found_again: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("GET /api/v2/logs answers that {0} is not there, which it has just given itself")]
    Contradiction(String),
}

/// How a turn ended.
enum Turn {
    More,
    CaughtUp,
}

impl Pull {
    /// Goes on from the checkpoint, if nobody else pulls the same tenant into this store.
    pub async fn open(
        api: &ManagementApi,
        source: &ManagementSource,
        spool: &Spool,
        store: &Store,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let api = Api::new(&api.domain, api.credentials.clone(), Retry::default())?;
        let domain = api.domain();
        let claim = Pulled::by(spool.id());
        let holds = claim.decide(store, &domain).await.with_context(|| format!("saying who pulls {domain}"))?;
        if holds.spool != spool.id() {
            bail!(
                "the log events of {domain} are pulled into another spool ({}), and would all be counted twice: spools do not know \
                 each other's log_ids. Stop one of the two. To go on with this spool ({}) for good, stop the other, remove {} \
                 at {}, and set source.management.start to when the other ended",
                holds.spool,
                spool.id(),
                Pulled::path(&domain),
                store.location(),
            );
        }
        let loaded = Checkpoint::load(spool, &domain)?;
        let checkpoint = match loaded {
            Some(checkpoint) => checkpoint,
            None => {
                let checkpoint = Checkpoint::new(match source.start {
                    StartAt::Earliest => None,
                    StartAt::Latest => Some(clock::now()),
                    StartAt::Time(time) => Some(time),
                });
                // Decided once: a restart before anything came must not move it.
                checkpoint.save(spool, &domain)?;
                checkpoint
            }
        };
        // What is counted for the first time would otherwise be no increase to who scrapes it.
        metrics::counter!("ghostlight_management_gaps_total").increment(0);
        for Gap { from, to } in &checkpoint.gaps {
            tracing::warn!(%from, %to, "log events of {domain} of this time were gone before they were pulled");
        }
        Ok(Self {
            api,
            domain,
            spool: spool.clone(),
            interval: source.interval,
            readiness,
            checkpoint,
            known: KnownUntil(Arc::new(AtomicI64::new(KnownUntil::NEVER))),
            is_close: false,
            found_again: None,
        })
    }

    pub fn known(&self) -> KnownUntil {
        self.known.clone()
    }

    /// Until the spool is closed, or it is aborted.
    pub async fn run(mut self) {
        let mut wait = RETRY_FIRST;
        loop {
            match self.turn().await {
                Ok(turn) => {
                    self.readiness.set(PART, None);
                    wait = RETRY_FIRST;
                    if matches!(turn, Turn::CaughtUp) {
                        tokio::time::sleep(self.interval).await;
                    }
                }
                Err(PullError::Append(AppendError::Closed)) => return,
                Err(error) => {
                    self.is_close = false;
                    metrics::counter!("ghostlight_management_errors_total").increment(1);
                    let problem = format!("pulling the log events of {}: {}", self.domain, error_chain(&error));
                    tracing::error!("{problem}; tried again in {} s", wait.as_secs());
                    self.readiness.set(PART, Some(problem));
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// One answer into the spool.
    async fn turn(&mut self) -> Result<Turn, PullError> {
        let asked = clock::now();
        let logs = match self.checkpoint.log_id.clone() {
            Some(id) => match self.newer(&id, asked).await? {
                Some(logs) => logs,
                None => {
                    self.begin_again(id, asked).await?;
                    return Ok(Turn::More);
                }
            },
            None => self.first().await?,
        };
        let mut next = self.checkpoint.clone();
        let turn = match logs.last() {
            None => {
                next.known_until = Some(asked);
                Turn::CaughtUp
            }
            Some(last) => {
                self.spool.append(&logs::body(&logs), asked).await?;
                let is_first = next.log_id.is_none();
                next.log_id = Some(last.id.clone());
                next.known_until = EventTime::from_log_id(&last.id).or(last.at).map(|at| at.min(asked));
                metrics::counter!("ghostlight_management_logs_total").increment(logs.len() as u64);
                // Fewer than asked for are all there were; the next ones are worth an interval.
                if is_first || logs.len() >= PAGE { Turn::More } else { Turn::CaughtUp }
            }
        };
        let is_empty = logs.is_empty();
        self.save(next).await?;
        self.is_close = true;
        if is_empty {
            // What came before was appended before it was asked.
            self.known.set(asked);
        }
        if let Some(known) = self.checkpoint.known_until {
            metrics::gauge!("ghostlight_management_known_seconds").set(known.ms() as f64 / 1000.0);
        }
        Ok(turn)
    }

    /// The one that arrived first of those wanted: what follows it by `log_id` is all that follows.
    ///
    /// It need not have the first date: those before it may have arrived later. But none arrives before its date, so that
    /// among later dates than its arrival there is none.
    async fn first(&mut self) -> Result<Vec<Log>, PullError> {
        let mut first: Option<Log> = None;
        let mut from = self.checkpoint.wanted_from;
        loop {
            let mut last = from;
            for page in 0..SEARCH_PAGES {
                let logs = logs::dated(&mut self.api, from, None, Order::Ascending, page).await?;
                let is_full = logs.len() >= PAGE;
                last = logs.iter().filter_map(|log| log.at).max().max(last);
                first = logs.into_iter().chain(first).min_by(|a, b| a.id.cmp(&b.id));
                let arrived = first.as_ref().and_then(|first| EventTime::from_log_id(&first.id));
                if !is_full || arrived.is_none() || last > arrived {
                    return Ok(first.into_iter().collect());
                }
            }
            if last == from {
                // More of one date than a search gives.
                return Ok(first.into_iter().collect());
            }
            from = last;
        }
    }

    /// What follows the last log event; `None` if that one is no longer there.
    async fn newer(&mut self, id: &str, asked: EventTime) -> Result<Option<Vec<Log>>, PullError> {
        let was_away = self.checkpoint.known_until.is_none_or(|known| asked.since_ms(known) > AWAY_MS_MAX);
        if !self.is_close && was_away && !logs::is_retained(&mut self.api, id).await? {
            return Ok(None);
        }
        match logs::newer(&mut self.api, id).await {
            Ok(logs) => Ok(Some(logs)),
            // It may be something else that it does not like.
            Err(error @ (ApiError::NotFound { .. } | ApiError::Invalid { .. })) => {
                match logs::is_retained(&mut self.api, id).await? {
                    true => Err(error.into()),
                    false => Ok(None),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on by dates from what is known, and says what is gone.
    async fn begin_again(&mut self, id: String, asked: EventTime) -> Result<(), PullError> {
        if self.found_again.as_ref() == Some(&id) {
            return Err(PullError::Contradiction(id));
        }
        let mut next = self.checkpoint.clone();
        let known = next.known_until.or_else(|| EventTime::from_log_id(&id));
        let oldest = logs::dated(&mut self.api, None, None, Order::Ascending, 0)
            .await?
            .first()
            .and_then(|log| log.at)
            .unwrap_or(asked);
        let gap = known.map(|from| Gap { from, to: oldest });
        // Of a tenant where nothing happens the last log event goes too, and nothing with it.
        let gap = gap.filter(|gap| gap.to > gap.from && asked.since_ms(gap.from) > AWAY_MS_MAX);
        if let Some(Gap { from, to }) = gap {
            tracing::error!(
                %from, %to,
                "the log events of {} of this time are no longer kept by Auth0, so they are not counted; what is kept is pulled",
                self.domain
            );
        } else {
            tracing::info!("the last log event pulled of {} is no longer kept; going on by dates", self.domain);
        }
        next.gaps.extend(gap);
        next.log_id = None;
        next.wanted_from = known.map(|known| EventTime::from_ms(known.ms() - LATE_MS_MAX));
        self.save(next).await?;
        if let Some(gap) = gap {
            metrics::counter!("ghostlight_management_gaps_total").increment(1);
            let seconds = gap.to.since_ms(gap.from) as u64 / 1000;
            metrics::counter!("ghostlight_management_gap_seconds_total").increment(seconds);
        }
        Ok(())
    }

    async fn save(&mut self, next: Checkpoint) -> Result<(), PullError> {
        if next.log_id.is_some() && self.checkpoint.log_id.is_none() {
            self.found_again.clone_from(&next.log_id);
        }
        let (spool, domain, saved) = (self.spool.clone(), self.domain.clone(), next.clone());
        match tokio::task::spawn_blocking(move || saved.save(&spool, &domain)).await {
            Ok(result) => result?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        self.checkpoint = next;
        Ok(())
    }
}
