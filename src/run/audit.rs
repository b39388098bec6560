//! Audits the tenant of the settings again and again, beside the read side.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::audit::baseline::Baseline;
use crate::audit::checks::Scene;
use crate::audit::export::{self, Export};
use crate::audit::fetch::Fetched;
use crate::audit::report::{NOTHING_JUDGED, Report};
use crate::audit::standing::{Audited, Standing};
use crate::clock;
use crate::config::{AuditFrom, AuditSettings};
use crate::event::EventTime;
use crate::source::management::{Api, Retry};

/// Before it was read for the first time.
pub(super) fn unread(settings: &AuditSettings) -> Audited {
    let AuditSettings { tenant, from, .. } = settings;
    Audited { tenant: tenant.clone(), source: from.to_string(), problem: None, standing: None }
}

/// One audit, by configuration alone: what events say is for `ghostlight audit --data`.
pub(super) async fn once(
    settings: &AuditSettings,
    before: Option<&Standing>,
    now: EventTime,
) -> anyhow::Result<Standing> {
    let baseline = match &settings.baseline {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            Baseline::parse(&text).with_context(|| format!("reading {}", path.display()))?
        }
        None => Baseline::default(),
    };
    let fetched = |fetched: Fetched| Export { tenant: fetched.tenant(), lines: BTreeMap::new() };
    let export = match &settings.from {
        AuditFrom::Export(path) => export::read(path)?,
        AuditFrom::Recording(folder) => fetched(Fetched::replay(folder)?),
        AuditFrom::Api(api) => {
            let mut api = Api::new(&api.domain, api.credentials.clone(), Retry::default())?;
            fetched(Fetched::read(&mut api).await?)
        }
    };
    let scene = Scene { tenant: &export.tenant, traffic: None };
    let report = Report::new(settings.from.to_string(), &scene, |place| export.line(place), &baseline, now);
    anyhow::ensure!(report.is_judged(), NOTHING_JUDGED);
    Ok(Standing::new(&report, &export.tenant, before))
}

/// Says after each time how it went.
pub(super) async fn again(settings: AuditSettings, publish: watch::Sender<Arc<Audited>>) -> Infallible {
    loop {
        let shown = Arc::clone(&publish.borrow());
        let mut next = Audited::clone(&shown);
        match once(&settings, shown.standing.as_ref(), clock::now()).await {
            Ok(standing) => (next.standing, next.problem) = (Some(standing), None),
            Err(error) => {
                let problem = super::error_chain(error.as_ref());
                tracing::warn!("auditing {}: {problem}; what was found before stands", settings.from);
                metrics::counter!("ghostlight_audit_errors_total").increment(1);
                next.problem = Some(problem);
            }
        }
        publish.send_replace(Arc::new(next));
        tokio::time::sleep(settings.interval).await;
    }
}
