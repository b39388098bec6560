//! Microsoft Teams, by a workflow that posts when a webhook request is received: an Adaptive Card in a message.
//!
//! After learn.microsoft.com, "Create and send messages" (Workflows take Adaptive Cards only, as `attachments` of a message)
//! and adaptivecards.io, version 1.4. Text is in `RichTextBlock`s, whose runs know no Markdown, so that nothing in an alert is
//! taken for a link. That a workflow has the 28 KB limit of the older connectors is unverified; it is kept.

use serde_json::{Value, json};

use super::super::{Alert, Severity, Status};
use super::{Request, text};
use crate::config::Secret;

// Together below 28 KB of UTF-8, in whatever script: a unit has at most 3 bytes.
const TITLE_MAX: usize = 300;
const SUMMARY_MAX: usize = 2000;
const FIX_MAX: usize = 1000;
const FACTS_MAX: usize = 16;
const NAME_MAX: usize = 60;
const VALUE_MAX: usize = 180;

#[derive(Debug, Clone)]
pub struct Teams {
    pub url: Secret,
}

impl Teams {
    pub fn render(&self, alert: &Alert, link: Option<&str>) -> Request {
        let message = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card(alert, link),
            }],
        });
        Request { url: self.url.expose().to_owned(), headers: Vec::new(), body: message.to_string() }
    }
}

fn card(alert: &Alert, link: Option<&str>) -> Value {
    let color = match (alert.status, alert.severity) {
        (Status::Resolved, _) => "Good",
        (Status::Firing, Severity::Critical) => "Attention",
        (Status::Firing, Severity::Warning) => "Warning",
        (Status::Firing, Severity::Info) => "Accent",
    };
    let title = text::headline(alert, TITLE_MAX);
    let mut body = vec![
        block(&[json!({ "type": "TextRun", "text": title, "weight": "Bolder", "size": "Large", "color": color })]),
        block(&[run(&text::lines(&alert.summary, SUMMARY_MAX))]),
    ];
    if let Some(fix) = &alert.fix {
        body.push(fact("What to do", &text::lines(fix, FIX_MAX)));
    }
    let facts = text::facts(alert);
    let facts: Vec<_> = facts
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(alert.evidence.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .collect();
    for (name, value) in facts.iter().take(FACTS_MAX) {
        body.push(fact(&text::line(name, NAME_MAX), &text::lines(value, VALUE_MAX)));
    }
    if facts.len() > FACTS_MAX {
        body.push(block(&[run(&format!("{} more not shown", facts.len() - FACTS_MAX))]));
    }
    body.push(fact("Alert", &text::line(&format!("{}:{}", alert.id, alert.sequence), VALUE_MAX)));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let Some(link) = link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Live page", "url": link }]);
    }
    card
}

fn block(runs: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn fact(name: &str, value: &str) -> Value {
    block(&[json!({ "type": "TextRun", "text": format!("{name}: "), "weight": "Bolder" }), run(value)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[test]
    fn the_card_says_what_happened_what_to_do_and_the_evidence() {
        let card = card(&alert(), Some("https://live.test/"));
        assert_eq!(card["body"][0]["inlines"][0]["color"], "Warning");
        assert_eq!(card["body"][1]["inlines"][0]["text"], alert().summary);
        assert_eq!(card["body"][2]["inlines"][1]["text"], "Cache the token until it expires.");
        assert_eq!(card["body"][8]["inlines"][0]["text"], "tokens: ");
        assert_eq!(card["actions"][0]["url"], "https://live.test/");
    }

    #[test]
    fn a_card_fits_whatever_the_alert_says() {
        let long = "語\"".repeat(50_000);
        let evidence = vec![(long.clone(), long.clone()); 100];
        let hostile = Alert {
            id: long.clone(),
            rule: long.clone(),
            tenant: long.clone(),
            subject: long.clone(),
            title: long.clone(),
            summary: long.clone(),
            evidence,
            fix: Some(long),
            ..alert()
        };
        let teams = Teams { url: Secret::new("https://x.test/".to_owned()) };
        let bytes = teams.render(&hostile, None).body.len();
        assert!(bytes < 28_000, "{bytes}");
    }
}
