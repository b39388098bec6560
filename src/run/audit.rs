//! Reads the tenant of the settings again and again, beside the read side, which judges what was read by what is used.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;

use crate::audit::baseline::Baseline;
use crate::audit::export::{self, Export};
use crate::audit::fetch::Fetched;
use crate::audit::report::NOTHING_JUDGED;
use crate::audit::standing::{Audited, Reading, lifetimes};
use crate::clock;
use crate::config::{AuditFrom, AuditSettings};
use crate::event::EventTime;
use crate::source::management::{Api, Retry};

/// Before it was read for the first time.
fn unread(settings: &AuditSettings) -> Audited {
    Audited {
        tenant: settings.tenant.clone(),
        source: settings.from.to_string(),
        unused_days: settings.unused_days,
        problem: None,
        reading: None,
        lifetimes: BTreeMap::new(),
        standing: None,
    }
}

/// Read once, and not judged.
pub(super) async fn once(settings: &AuditSettings, now: EventTime) -> anyhow::Result<Audited> {
    let fetched = |fetched: Fetched| Export { tenant: fetched.tenant(), lines: BTreeMap::new() };
    let export = match &settings.from {
        AuditFrom::Export(path) => export::read(path)?,
        AuditFrom::Recording(folder) => fetched(Fetched::replay(folder)?),
        AuditFrom::Api(api) => {
            let mut api = Api::new(&api.domain, api.credentials.clone(), Retry::default())?;
            fetched(Fetched::read(&mut api).await?)
        }
    };
    let baseline = Baseline::read(settings.baseline.as_deref())?;
    let reading = Reading { at: now, source: settings.from.to_string(), export, baseline };
    anyhow::ensure!(reading.report(None).is_judged(), NOTHING_JUDGED);
    let lifetimes = lifetimes(&reading.export.tenant).collect();
    Ok(Audited { reading: Some(Arc::new(reading)), lifetimes, ..unread(settings) })
}

/// Says after each time how it went.
pub(super) async fn again(settings: AuditSettings, publish: watch::Sender<Audited>) -> Infallible {
    loop {
        match once(&settings, clock::now()).await {
            Ok(audited) => drop(publish.send_replace(audited)),
            Err(error) => {
                let problem = super::error_chain(error.as_ref());
                tracing::warn!("auditing {}: {problem}; what was found before stands", settings.from);
                metrics::counter!("ghostlight_audit_errors_total").increment(1);
                publish.send_modify(|audited| audited.problem = Some(problem));
            }
        }
        tokio::time::sleep(settings.interval).await;
    }
}

/// What there is to follow of it.
pub(super) fn channel(settings: &AuditSettings) -> (watch::Sender<Audited>, watch::Receiver<Audited>) {
    watch::channel(unread(settings))
}
