//! Prometheus Alertmanager's `POST /api/v2/alerts`.
//!
//! After prometheus.io/docs/alerting/latest/alerts_api and Alertmanager's `api/v2/openapi.yaml`. An alert is its labels there, so
//! that a resolution must repeat those of its page: they are what stays the same in an episode. One without an end is
//! over when nobody repeats it for `resolve_timeout` (5 min); ours are sent once, so they carry an end far off.

use std::time::Duration;

use serde_json::json;

use super::super::{Alert, Status};
use super::{Request, text};
use crate::config::Secret;
use crate::event::EventTime;

/// When a page that is neither repeated nor resolved is over. The longest interval of a rule's repeats is a week, counted
/// from the page, and a page may be tried for a day: with a week alone the alert would end just before each repeat, and fire anew.
const HOLD: Duration = Duration::from_secs(8 * 24 * 3600);
/// Ours: labels are indexed, and shown in one line.
const LABEL_MAX: usize = 256;
const ANNOTATION_MAX: usize = 4000;
const EVIDENCE_MAX: usize = 50;

#[derive(Debug, Clone)]
pub struct Alertmanager {
    /// With the path.
    pub url: String,
    /// The whole value of the `Authorization` header.
    pub authorization: Option<Secret>,
}

impl Alertmanager {
    pub const PATH: &str = "/api/v2/alerts";

    pub fn render(&self, alert: &Alert, link: Option<&str>, now: EventTime) -> Request {
        let ends_at = match alert.status {
            Status::Firing => EventTime::from_ms(alert.at.max(now).ms().saturating_add(HOLD.as_millis() as i64)),
            // In the past, or it would fire until then; and not before its begin, which is refused.
            Status::Resolved => alert.at.min(now).max(alert.since),
        };
        let label = |text: &str| text::line(text, LABEL_MAX);
        let mut body = json!({
            "labels": {
                "alertname": label(&alert.rule),
                "alert_id": label(&alert.id),
                "severity": alert.severity.name(),
                "subject": label(&alert.subject),
                "tenant": label(&alert.tenant),
            },
            "annotations": annotations(alert),
            "startsAt": alert.since.to_string(),
            "endsAt": ends_at.to_string(),
        });
        if let Some(link) = link {
            body["generatorURL"] = link.into();
        }
        let headers = self.authorization.iter().map(|value| ("Authorization", value.expose().to_owned())).collect();
        Request { url: self.url.clone(), headers, body: json!([body]).to_string() }
    }
}

fn annotations(alert: &Alert) -> serde_json::Value {
    let evidence = alert.evidence.iter().take(EVIDENCE_MAX);
    let evidence: Vec<_> = evidence.map(|(name, value)| format!("{name}: {value}")).collect();
    let mut annotations = json!({
        "summary": text::line(&alert.title, ANNOTATION_MAX),
        "description": text::lines(&alert.summary, ANNOTATION_MAX),
    });
    if !evidence.is_empty() {
        annotations["evidence"] = text::lines(&evidence.join("\n"), ANNOTATION_MAX).into();
    }
    if let Some(fix) = &alert.fix {
        annotations["fix"] = text::lines(fix, ANNOTATION_MAX).into();
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    fn sent(alert: &Alert, now: EventTime) -> serde_json::Value {
        let alertmanager = Alertmanager { url: "http://x.test/api/v2/alerts".to_owned(), authorization: None };
        let body = alertmanager.render(alert, Some("https://live.test/"), now).body;
        let list: Vec<serde_json::Value> = serde_json::from_str(&body).expect("a list");
        assert_eq!(list.len(), 1);
        list[0].clone()
    }

    #[test]
    fn a_resolution_has_its_page_s_labels_and_an_end() {
        let now = EventTime::from_ms(alert().at.ms() + 60_000);
        let firing = sent(&alert(), now);
        let resolved = sent(&Alert { status: Status::Resolved, sequence: 5, ..alert() }, now);
        assert_eq!(firing["labels"], resolved["labels"]);
        assert_eq!(firing["labels"]["alertname"], "ghost-usage");
        assert_eq!(firing["startsAt"], "2026-11-01T00:00:00.000Z");
        assert_eq!(firing["endsAt"], "2026-11-09T01:01:00.000Z", "eight days after it is sent");
        assert_eq!(resolved["endsAt"], "2026-11-01T01:00:00.000Z");
        assert_eq!(firing["annotations"]["evidence"], "tokens: 144\nneeded: 12");
    }

    #[test]
    fn a_page_holds_until_its_repeat_arrives_even_one_that_is_tried_for_long() {
        use crate::alert::{outbox, rules};
        for (rule, timing) in rules::TIMINGS {
            let arrives = timing.repeat.unwrap_or_default() + outbox::GIVE_UP;
            assert!(HOLD >= arrives, "{rule} is repeated after up to {arrives:?}");
        }
    }

    #[test]
    fn a_resolution_is_over_by_the_wall_clock() {
        let now = EventTime::from_ms(alert().at.ms() - 60_000);
        let resolved = sent(&Alert { status: Status::Resolved, sequence: 5, ..alert() }, now);
        assert_eq!(resolved["endsAt"], now.to_string());
    }
}
