//! A POST of the alert as it is, but for characters that nobody sees, for whoever writes their own receiver. The format is
//! ours: `schemas/alert-webhook.schema.json`.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;

use super::super::Alert;
use super::{Request, text};
use crate::config::Secret;
use crate::event::EventTime;

pub const FORMAT: u32 = 1;

#[derive(Debug, Clone)]
pub struct Webhook {
    pub url: String,
    /// Signs what is posted.
    pub secret: Option<Secret>,
}

#[derive(Serialize)]
struct Body<'a> {
    format: u32,
    #[serde(flatten)]
    alert: &'a Alert,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

impl Webhook {
    /// With `X-Ghostlight-Timestamp` (seconds), with `X-Ghostlight-Alert` (the same for each try, so that a receiver can tell a
    /// page that comes twice) and, given a secret, with `X-Ghostlight-Signature: v1=<HMAC-SHA256 of "timestamp.body", in hex>`.
    pub fn render(&self, alert: &Alert, link: Option<&str>, now: EventTime) -> Request {
        let seen = seen(alert);
        let body = serde_json::to_string(&Body { format: FORMAT, alert: &seen, link }).unwrap_or_default();
        let timestamp = now.ms().div_euclid(1000).to_string();
        let key = text::line(&format!("{}:{}", alert.id, alert.sequence), 512);
        let mut headers = vec![("X-Ghostlight-Alert", key)];
        if let Some(secret) = &self.secret {
            headers.push(("X-Ghostlight-Signature", format!("v1={}", signature(secret, &timestamp, &body))));
        }
        headers.push(("X-Ghostlight-Timestamp", timestamp));
        Request { url: self.url.clone(), headers, body }
    }
}

/// Receivers show it to people.
fn seen(alert: &Alert) -> Alert {
    let clean = |text: &String| text::clean(text);
    Alert {
        rule: clean(&alert.rule),
        tenant: clean(&alert.tenant),
        subject: clean(&alert.subject),
        title: clean(&alert.title),
        summary: clean(&alert.summary),
        evidence: alert.evidence.iter().map(|(name, value)| (clean(name), clean(value))).collect(),
        fix: alert.fix.as_ref().map(clean),
        ..alert.clone()
    }
}

fn signature(secret: &Secret, timestamp: &str, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        unreachable!("HMAC takes a key of any length");
    };
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[test]
    fn a_signature_is_hmac_sha256_of_timestamp_and_body() {
        // By `printf '1793494800.{}' | openssl dgst -sha256 -hmac Jefe`.
        let signature = signature(&Secret::new("Jefe".to_owned()), "1793494800", "{}");
        assert_eq!(signature, "edd2bc43739463fba06bbd6d959e83e28955d801f28037eaf2030a123b43ff58");
    }

    #[test]
    fn the_body_is_the_alert_with_a_format() {
        let webhook = Webhook { url: "https://x.test/".to_owned(), secret: None };
        let request = webhook.render(&alert(), Some("https://live.test/"), alert().at);
        let value: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!((&value["format"], &value["link"]), (&1.into(), &"https://live.test/".into()));
        assert_eq!(serde_json::from_value::<Alert>(value).expect("an alert"), alert());
        let headers = [
            ("X-Ghostlight-Alert", "ghost-usage:ef3418fd020f766b:4".to_owned()),
            ("X-Ghostlight-Timestamp", "1793494800".to_owned()),
        ];
        assert_eq!(request.headers, headers);
    }
}
