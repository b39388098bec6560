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

/// Before it was read for the first time, or because it could not be.
pub(super) fn unread(settings: &AuditSettings, problem: Option<String>) -> Audited {
    Audited {
        tenant: settings.tenant.clone(),
        source: settings.from.to_string(),
        unused_days: settings.unused_days,
        problem,
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
    Ok(Audited { reading: Some(Arc::new(reading)), lifetimes, ..unread(settings, None) })
}

/// What is known after a reading: how long tokens live is as it was, where the APIs could not be read this time.
fn after(before: &Audited, mut audited: Audited) -> Audited {
    if audited.reading.as_ref().is_some_and(|reading| reading.export.tenant.apis.is_err()) {
        audited.lifetimes.clone_from(&before.lifetimes);
    }
    audited
}

/// Says after each time how it went.
pub(super) async fn again(settings: AuditSettings, publish: watch::Sender<Audited>) -> Infallible {
    loop {
        match once(&settings, clock::now()).await {
            Ok(audited) => publish.send_modify(|before| *before = after(before, audited)),
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
    watch::channel(unread(settings, None))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    async fn read(folder: &Path) -> Audited {
        let settings = AuditSettings {
            tenant: "acme".to_owned(),
            from: AuditFrom::Export(folder.to_owned()),
            baseline: None,
            interval: Duration::from_secs(60),
            unused_days: 30,
        };
        once(&settings, EventTime::from_ms(0)).await.expect("an export")
    }

    #[tokio::test]
    async fn how_long_tokens_live_is_not_forgotten_while_the_apis_cannot_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |apis: &str| {
            let text = format!("tenant: {{ support_email: help@acme.internal }}\n{apis}");
            std::fs::write(folder.path().join("tenant.yaml"), text).expect("written");
        };
        write("resourceServers: [{ name: Orders, identifier: orders, token_lifetime: 600 }]");
        let first = read(folder.path()).await;
        assert_eq!(first.lifetimes, BTreeMap::from([("orders".to_owned(), 600)]));
        write("");
        let second = after(&first, read(folder.path()).await);
        assert_eq!(second.lifetimes, first.lifetimes);
        write("resourceServers: []");
        assert_eq!(after(&second, read(folder.path()).await).lifetimes, BTreeMap::new());
    }
}
