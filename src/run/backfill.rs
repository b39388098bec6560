//! Log events of a time that is past, pulled by the Management API: into the spool, or to the worker that has it open.
//!
//! By date, since a time is what was lost, and late log events of it are found too; the latest first, since Auth0 may remove
//! the earliest meanwhile. A search ends after 1,000, so the next one goes on at the date of the last. What `out` has counted
//! already is left out; what comes twice within a partition is told there by its `log_id`.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock;
use crate::config::{Config, Secret, WebhookTo};
use crate::event::EventTime;
use crate::partial::dedupe::Dedupe;
use crate::source::management::logs::{self, Log, Order, PAGE, SEARCH_PAGES};
use crate::source::management::{Api, Retry};
use crate::source::spool::{AppendError, Spool, SpoolError};
use crate::store::{Store, commit};

const TRIES: u32 = 8;
const RETRY_FIRST: Duration = Duration::from_millis(250);

/// What a backfill did.
#[derive(Debug)]
pub struct Backfilled {
    /// Log events with a date in the period.
    pub found: u64,
    /// Of them, those that `out` had counted already.
    pub known: u64,
    pub taken_by: Taker,
}

/// Who counts what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taker {
    /// The next `ghostlight run` with this spool.
    Spool(std::path::PathBuf),
    /// The one that runs, by its webhook.
    Worker(String),
}

/// Pulls every log event with a date in `period`, as the settings' `management` says.
pub async fn backfill(config: &Config, period: Range<EventTime>) -> anyhow::Result<Backfilled> {
    let Some(settings) = &config.management else {
        bail!("the settings have no [management] with a domain, and no --domain is given: whose log events?");
    };
    let mut api = Api::new(&settings.domain, settings.credentials.clone(), Retry::default())?;
    let into = Into::open(config)?;
    let store = Store::open(&config.out)?;
    let mut known = commit::dedupe_of_all(&store, config.dedupe.horizon)
        .await
        .with_context(|| format!("reading which log events {} has counted", config.out))?;
    let mut done = Backfilled { found: 0, known: 0, taken_by: into.taker() };
    let mut to = period.end;
    let mut seen = HashSet::new();
    loop {
        let searched = search(&mut api, &into, period.start..to, &mut known, &mut seen, &mut done).await;
        match searched.with_context(|| format!("what has a date of {to} or later is taken; go on with --to {to}"))? {
            // Up to that date, and with it: there may be more of it.
            Some(earliest) if earliest.ms() + 1 < to.ms() => to = EventTime::from_ms(earliest.ms() + 1),
            Some(earliest) => bail!(
                "more than {} log events have the date {earliest}, and a search gives no more: those before them are not taken; go \
                 on with --to {earliest}",
                PAGE * SEARCH_PAGES,
            ),
            None => return Ok(done),
        }
    }
}

/// One search to its end; the earliest date where it may have ended for being too long. `seen` are those that were found
/// lately: some of them are found again.
async fn search(
    api: &mut Api,
    into: &Into,
    period: Range<EventTime>,
    known: &mut Dedupe,
    seen: &mut HashSet<String>,
    done: &mut Backfilled,
) -> anyhow::Result<Option<EventTime>> {
    let mut earliest = period.end;
    let before = std::mem::take(seen);
    for page in 0..SEARCH_PAGES {
        let mut found = logs::dated(api, Some(period.start), Some(period.end), Order::Descending, page).await?;
        if found.is_empty() {
            return Ok(None);
        }
        earliest = found.iter().filter_map(|log| log.at).fold(earliest, EventTime::min);
        found.retain(|log| !before.contains(&log.id) && seen.insert(log.id.clone()));
        let count = found.len() as u64;
        found.retain(|log| known.insert(xxh3_64(log.id.as_bytes())));
        done.found += count;
        done.known += count - found.len() as u64;
        if !found.is_empty() {
            into.give(&found).await?;
        }
    }
    Ok(Some(earliest))
}

enum Into {
    Spool(Spool),
    Worker { client: Client, url: String, authorization: Option<Secret> },
}

impl Into {
    /// The spool, if nobody has it open; else whoever has, by the webhook that they serve.
    fn open(config: &Config) -> anyhow::Result<Self> {
        let locked = match config.webhook.to == WebhookTo::Spool || config.source.management.is_some() {
            true => match Spool::open(&config.spool.folder, config.spool.limits()) {
                Ok(spool) => return Ok(Self::Spool(spool)),
                Err(error @ SpoolError::Locked { .. }) => Some(error),
                Err(error) => return Err(error.into()),
            },
            false => None,
        };
        if config.webhook.to == WebhookTo::Off {
            match locked {
                Some(error) => bail!(
                    "{error}. It has no webhook (webhook.to = \"off\") that could take them: stop it, fill, and start it again"
                ),
                None => bail!(
                    "these settings have nothing that log events could be filled into: neither a spool (webhook.to = \"spool\", or \
                     source.management) nor a gateway (webhook.to = \"kafka\")"
                ),
            }
        }
        let mut address = config.http.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        Ok(Self::Worker {
            client: Client::builder().no_proxy().build().context("making an HTTP client")?,
            url: format!("http://{address}{}", config.webhook.path),
            authorization: config.webhook.authorization.clone(),
        })
    }

    fn taker(&self) -> Taker {
        match self {
            Self::Spool(spool) => Taker::Spool(spool.folder().to_owned()),
            Self::Worker { url, .. } => Taker::Worker(url.clone()),
        }
    }

    /// Returns once they are synced to disk, here or there.
    async fn give(&self, logs: &[Log]) -> anyhow::Result<()> {
        let body = logs::body(logs);
        let mut wait = RETRY_FIRST;
        for left in (0..TRIES).rev() {
            let problem = match self {
                Self::Spool(spool) => match spool.append(&body, clock::now()).await {
                    Ok(_) => return Ok(()),
                    Err(AppendError::Busy) => AppendError::Busy.to_string(),
                    Err(error @ AppendError::Full { .. }) => {
                        bail!("{error}: start `ghostlight run`, which empties it and takes the rest by its webhook")
                    }
                    Err(error) => return Err(error.into()),
                },
                Self::Worker { client, url, authorization } => {
                    let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(body.clone());
                    if let Some(secret) = authorization {
                        request = request.header(AUTHORIZATION, secret.expose());
                    }
                    match request.send().await {
                        Ok(answer) if answer.status().is_success() => return Ok(()),
                        Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => "it answers 503".to_owned(),
                        Ok(answer) => {
                            let (status, said) = (answer.status(), answer.text().await.unwrap_or_default());
                            bail!("the worker at {url} answered {}: {said}", status.as_u16());
                        }
                        Err(error) => error.without_url().to_string(),
                    }
                }
            };
            if left == 0 {
                bail!("{:?} did not take what was found in {TRIES} tries: {problem}", self.taker());
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(())
    }
}
