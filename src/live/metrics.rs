//! What `/metrics` has: every name with its meaning, and the figures of the read side. Prometheus text, version 0.0.4.
//!
//! Labels are bounded: partitions by the source, tenants by [`TENANTS_MAX`], everything else by lists in the code.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::model::{Model, TenantOverview};
use crate::alert::Severity;
use crate::alert::rules::TIMINGS;
use crate::event::EventTime;

enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Name, kind, unit and meaning of every metric; what has no unit counts things.
const METRICS: [(&str, Kind, Option<Unit>, &str); 48] = [
    ("ghostlight_webhook_requests_total", Counter, None, "Webhook requests by answered status"),
    ("ghostlight_webhook_bytes_total", Counter, Some(Unit::Bytes), "Webhook bodies stored, decompressed"),
    ("ghostlight_records_total", Counter, None, "Records committed, by outcome (read, rejected)"),
    ("ghostlight_events_total", Counter, None, "Events committed, by outcome (counted, duplicate, ignored)"),
    ("ghostlight_commits_total", Counter, None, "Ledger entries written"),
    ("ghostlight_commit_errors_total", Counter, None, "Batches dropped and folded again"),
    ("ghostlight_fenced_total", Counter, None, "Batches dropped because another process committed their range"),
    ("ghostlight_commit_seconds", Histogram, Some(Unit::Seconds), "From the end of a batch to its publication"),
    (
        "ghostlight_progress_notes_total",
        Counter,
        None,
        "Notes that a partition is caught up, by outcome (written, failed)",
    ),
    ("ghostlight_batch_bytes", Gauge, Some(Unit::Bytes), "Memory held by the batch being folded"),
    ("ghostlight_committed_position", Gauge, None, "End of the partition's ledger"),
    ("ghostlight_frontier_seconds", Gauge, Some(Unit::Seconds), "Greatest event time committed, UNIX time"),
    ("ghostlight_kafka_lag_records", Gauge, None, "Records of a partition behind its end, by the ledger"),
    ("ghostlight_kafka_partitions", Gauge, None, "Partitions of this worker, by state (read, stopped)"),
    ("ghostlight_kafka_records_total", Counter, None, "Records taken from Kafka"),
    ("ghostlight_kafka_bytes_total", Counter, Some(Unit::Bytes), "Values taken from Kafka, decompressed"),
    ("ghostlight_kafka_records_below_position_total", Counter, None, "Records left out: the ledger has them already"),
    (
        "ghostlight_kafka_rebalances_total",
        Counter,
        None,
        "Times partitions changed hands, by kind (assigned, revoked, lost)",
    ),
    ("ghostlight_kafka_errors_total", Counter, None, "Errors of the Kafka clients, by code"),
    ("ghostlight_gateway_records_total", Counter, None, "Events produced to Kafka, by outcome (acknowledged, failed)"),
    ("ghostlight_management_logs_total", Counter, None, "Log events pulled by the Management API"),
    ("ghostlight_management_errors_total", Counter, None, "Times that pulling failed and was begun again"),
    (
        "ghostlight_management_known_seconds",
        Gauge,
        Some(Unit::Seconds),
        "Up to when what Auth0 has is in the spool, UNIX time",
    ),
    ("ghostlight_management_gaps_total", Counter, None, "Times that log events were gone before they were pulled"),
    ("ghostlight_management_gap_seconds_total", Counter, Some(Unit::Seconds), "How much time is missing so"),
    ("ghostlight_spool_end_position", Gauge, None, "End of what the spool has synced"),
    ("ghostlight_spool_held_bytes", Gauge, Some(Unit::Bytes), "Bytes the spool holds on disk"),
    (
        "ghostlight_spool_max_bytes",
        Gauge,
        Some(Unit::Bytes),
        "Bytes the spool may hold; beyond it requests are answered 503",
    ),
    ("ghostlight_read_rounds_total", Counter, None, "Rounds of the read side, by outcome (done, failed)"),
    (
        "ghostlight_read_done_seconds",
        Gauge,
        Some(Unit::Seconds),
        "When the read side last had read everything, UNIX time",
    ),
    ("ghostlight_read_lag_seconds", Gauge, Some(Unit::Seconds), "How far the slowest partition is behind now"),
    ("ghostlight_read_windows_total", Counter, None, "Windows of 5 minutes judged, of all tenants"),
    ("ghostlight_generations_total", Counter, None, "Days merged into a new generation"),
    ("ghostlight_retired_files_total", Counter, None, "Files removed since a generation has held their rows for long"),
    ("ghostlight_retired_entries_total", Counter, None, "Ledger entries summed up and removed"),
    ("ghostlight_compaction_seconds", Histogram, Some(Unit::Seconds), "Duration of a round of compaction"),
    (
        "ghostlight_tenants",
        Gauge,
        None,
        "Tenants, by state (shown; held_back: their verdicts wait; without_metrics: beyond the first 100)",
    ),
    ("ghostlight_alerts_firing", Gauge, None, "Alerts that fire, by rule and severity"),
    (
        "ghostlight_alerts_decided_total",
        Counter,
        None,
        "Transitions this process decided, by status (firing, resolved)",
    ),
    ("ghostlight_alerts_sent_total", Counter, None, "Alerts handed to channels, by outcome (sent, failed, given_up)"),
    ("ghostlight_audit_errors_total", Counter, None, "Times that the tenant's configuration could not be read"),
    ("ghostlight_tenant_active_users", Gauge, None, "Distinct active users of the calendar month so far, estimated"),
    (
        "ghostlight_tenant_m2m_tokens",
        Gauge,
        None,
        "M2M tokens of the calendar month so far, by kind (needed, avoidable, unbillable)",
    ),
    (
        "ghostlight_tenant_quota",
        Gauge,
        None,
        "What a month's quota allows, by quota (mau, m2m_tokens, organizations, enterprise_connections)",
    ),
    ("ghostlight_tenant_quota_used", Gauge, None, "What of a month's quota is used, whether it is set or not"),
    ("ghostlight_tenant_quota_projected", Gauge, None, "What of a month's quota is used by its end (mau, m2m_tokens)"),
    ("ghostlight_tenant_ghosts", Gauge, None, "Clients and audiences that ask for tokens they have"),
    ("ghostlight_tenant_rate_limit_events", Gauge, None, "Rate limits hit or nearly hit in the last hour of events"),
];

/// Tenants whose figures are metrics: the first ones of the model.
const TENANTS_MAX: usize = 100;
/// What begins so is a tenant's business, not the process's.
const OF_TENANTS: &str = "ghostlight_tenant_";

/// The metrics of this process. Several servers in one process (tests) share them.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    let handle = PrometheusBuilder::new().set_buckets(&buckets)?.install_recorder()?;
    for (name, kind, unit, meaning) in METRICS {
        match (kind, unit) {
            (Counter, None) => metrics::describe_counter!(name, meaning),
            (Counter, Some(unit)) => metrics::describe_counter!(name, unit, meaning),
            (Gauge, None) => metrics::describe_gauge!(name, meaning),
            (Gauge, Some(unit)) => metrics::describe_gauge!(name, unit, meaning),
            (Histogram, None) => metrics::describe_histogram!(name, meaning),
            (Histogram, Some(unit)) => metrics::describe_histogram!(name, unit, meaning),
        }
    }
    *installed = Some(handle.clone());
    Ok(handle)
}

/// The names there are, as Prometheus has them: a histogram has three.
pub fn names() -> impl Iterator<Item = String> {
    METRICS.iter().flat_map(|(name, kind, ..)| {
        let ends: &[&str] = if matches!(kind, Histogram) { &["_bucket", "_sum", "_count"] } else { &[""] };
        ends.iter().map(move |end| format!("{name}{end}"))
    })
}

/// Folds what the histograms took in, so that they stay small even if nobody ever asks for them.
pub async fn keep_small(metrics: PrometheusHandle) {
    let mut interval = tokio::time::interval(Duration::from_secs(5));
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}

/// The text of `/metrics`; without the figures of tenants for whom may not see them.
pub(super) fn text(metrics: &PrometheusHandle, with_tenants: bool) -> String {
    let text = metrics.render();
    if with_tenants {
        return text;
    }
    let is_of_tenant = |line: &str| {
        let rest = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
        rest.starts_with(OF_TENANTS)
    };
    text.split_inclusive('\n').filter(|line| !is_of_tenant(line)).collect()
}

/// Shows what a round of the read side found, which ended at `now`.
pub fn show(model: &Model, now: EventTime) {
    gauge!("ghostlight_read_done_seconds").set(now.ms() as f64 / 1000.0);
    let lag = model.ingest.partitions.iter().filter_map(|partition| partition.lag_seconds).max();
    gauge!("ghostlight_read_lag_seconds").set(lag.unwrap_or(0) as f64);
    let held_back = model.tenants.iter().filter(|tenant| tenant.held_back.is_some()).count();
    for (state, number) in [
        ("shown", model.tenants.len()),
        ("held_back", held_back),
        ("without_metrics", model.tenants.len().saturating_sub(TENANTS_MAX)),
    ] {
        gauge!("ghostlight_tenants", "state" => state).set(number as f64);
    }
    show_firing(model);
    model.tenants.iter().take(TENANTS_MAX).for_each(show_tenant);
}

/// Of every rule and severity, also those of which nothing fires: a gauge that is left out keeps its last value.
fn show_firing(model: &Model) {
    let mut firing: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for alert in model.tenants.iter().flat_map(|tenant| &tenant.alerts).filter(|alert| alert.status == "firing") {
        *firing.entry((&alert.rule, &alert.severity)).or_default() += 1;
    }
    for (rule, _) in TIMINGS {
        for severity in Severity::ALL.map(Severity::name) {
            let number = firing.get(&(rule, severity)).copied().unwrap_or_default();
            gauge!("ghostlight_alerts_firing", "rule" => rule, "severity" => severity).set(f64::from(number));
        }
    }
}

fn show_tenant(shown: &TenantOverview) {
    let tenant = &shown.tenant;
    let month = &shown.month;
    let set = |name: &'static str, value: f64| gauge!(name, "tenant" => tenant.clone()).set(value);
    set("ghostlight_tenant_active_users", month.active_users.users.estimate);
    set("ghostlight_tenant_ghosts", shown.ghosts.len() as f64);
    let limits: u64 = shown.activity.rate_limits.iter().map(|found| found.events_last_hour).sum();
    set("ghostlight_tenant_rate_limit_events", limits as f64);
    let tokens = &month.m2m_tokens;
    for (kind, number) in
        [("needed", tokens.needed), ("avoidable", tokens.avoidable), ("unbillable", tokens.unbillable)]
    {
        gauge!("ghostlight_tenant_m2m_tokens", "tenant" => tenant.clone(), "kind" => kind).set(number as f64);
    }
    let projected = |projection: &Option<super::model::Projection>| projection.as_ref().map(|found| found.value);
    for (quota, used, allowed, projected) in [
        ("mau", month.active_users.users.estimate, month.active_users.quota, projected(&month.active_users.projected)),
        ("m2m_tokens", tokens.issued as f64, tokens.quota, projected(&tokens.projected)),
        ("organizations", month.organizations.active as f64, month.organizations.quota, None),
        (
            "enterprise_connections",
            month.enterprise_connections.active as f64,
            month.enterprise_connections.quota,
            None,
        ),
    ] {
        let set = |name: &'static str, value: f64| {
            gauge!(name, "tenant" => tenant.clone(), "quota" => quota).set(value);
        };
        set("ghostlight_tenant_quota_used", used);
        allowed.into_iter().for_each(|allowed| set("ghostlight_tenant_quota", allowed as f64));
        projected.into_iter().for_each(|projected| set("ghostlight_tenant_quota_projected", projected));
    }
}

/// Counts a round, and what was decided in it, by status.
pub fn count_round(windows: u64, firing: u64, resolved: u64) {
    counter!("ghostlight_read_rounds_total", "outcome" => "done").increment(1);
    counter!("ghostlight_read_windows_total").increment(windows);
    counter!("ghostlight_alerts_decided_total", "status" => "firing").increment(firing);
    counter!("ghostlight_alerts_decided_total", "status" => "resolved").increment(resolved);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_once_and_named_as_prometheus_wants() {
        let mut names: Vec<_> = METRICS.iter().map(|(name, ..)| *name).collect();
        for (name, kind, unit, _) in &METRICS {
            assert_eq!(name.ends_with("_total"), matches!(kind, Counter), "{name}");
            let ends = |unit: &str| name.trim_end_matches("_total").ends_with(unit);
            assert_eq!(unit.is_some(), ends("_bytes") || ends("_seconds"), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
