//! PagerDuty's Events API v2: a firing alert triggers, a resolved one resolves; the alert's id is the deduplication key.
//!
//! After developer.pagerduty.com, "Send an alert event" and "PD-CEF": summary up to 1024 characters, dedup_key up to 255,
//! severity one of critical, error, warning, info, and 202 for an answer. The limit of 512 KB for an event is unverified; what is
//! sent stays far below.

use serde_json::{Value, json};

use super::super::{Alert, Status};
use super::{Request, text};
use crate::config::Secret;

pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";

const SUMMARY_MAX: usize = 1024;
const KEY_MAX: usize = 255;
/// Ours.
const DETAIL_MAX: usize = 4000;
const EVIDENCE_MAX: usize = 50;
const EVIDENCE_TEXT_MAX: usize = 1000;

#[derive(Debug, Clone)]
pub struct PagerDuty {
    /// [`URL`], or that of the service region.
    pub url: String,
    pub routing_key: Secret,
}

impl PagerDuty {
    pub fn render(&self, alert: &Alert, link: Option<&str>) -> Request {
        let mut event = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": match alert.status {
                Status::Firing => "trigger",
                Status::Resolved => "resolve",
            },
            "dedup_key": text::line(&alert.id, KEY_MAX),
            "client": "ghostlight",
            "payload": {
                "summary": text::line(&format!("{}: {}", alert.tenant, alert.title), SUMMARY_MAX),
                "source": text::line(&alert.tenant, KEY_MAX),
                "severity": alert.severity.name(),
                "timestamp": alert.at.to_string(),
                "component": text::line(&alert.subject, KEY_MAX),
                "group": text::line(&alert.tenant, KEY_MAX),
                "class": text::line(&alert.rule, KEY_MAX),
                "custom_details": details(alert),
            },
        });
        if let Some(link) = link {
            event["client_url"] = link.into();
            event["links"] = json!([{ "href": link, "text": "Live page" }]);
        }
        Request { url: self.url.clone(), headers: Vec::new(), body: event.to_string() }
    }
}

fn details(alert: &Alert) -> Value {
    let evidence = alert.evidence.iter().take(EVIDENCE_MAX).map(|(name, value)| {
        json!({ "name": text::line(name, EVIDENCE_TEXT_MAX), "value": text::lines(value, EVIDENCE_TEXT_MAX) })
    });
    let mut details = json!({
        "summary": text::lines(&alert.summary, DETAIL_MAX),
        "evidence": evidence.collect::<Vec<_>>(),
        "since": alert.since.to_string(),
        "sequence": alert.sequence,
    });
    if let Some(fix) = &alert.fix {
        details["fix"] = text::lines(fix, DETAIL_MAX).into();
    }
    details
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    fn event(alert: &Alert, link: Option<&str>) -> Value {
        let pagerduty = PagerDuty { url: URL.to_owned(), routing_key: Secret::new("key".to_owned()) };
        serde_json::from_str(&pagerduty.render(alert, link).body).expect("JSON")
    }

    #[test]
    fn what_fires_triggers_and_what_resolves_resolves_under_one_key() {
        let firing = event(&alert(), Some("https://live.test/"));
        let resolved = event(&Alert { status: Status::Resolved, sequence: 5, ..alert() }, None);
        assert_eq!((&firing["event_action"], &resolved["event_action"]), (&"trigger".into(), &"resolve".into()));
        assert_eq!(firing["dedup_key"], "ghost-usage:ef3418fd020f766b");
        assert_eq!(firing["dedup_key"], resolved["dedup_key"]);
        assert_eq!(firing["payload"]["severity"], "warning");
        assert_eq!(firing["payload"]["custom_details"]["evidence"][1], json!({ "name": "needed", "value": "12" }));
        assert_eq!(firing["links"][0]["href"], "https://live.test/");
        assert_eq!(resolved.get("links"), None);
    }
}
