//! Slack's incoming webhooks, with Block Kit.
//!
//! After Slack's reference (docs.slack.dev: Block Kit's header and section blocks, text objects, "Formatting message
//! text"): a header of 150 characters, a section of 3000, 10 fields of 2000, and `&`, `<` and `>` escaped. That
//! `plain_text` wants the same escapes, and what Slack counts as a character, is unverified.

use serde_json::{Value, json};

use super::super::Alert;
use super::{Request, text};
use crate::config::Secret;

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELDS_MAX: usize = 10;
const FIELD_MAX: usize = 2000;
/// Ours: a message is read on a phone.
const SECTIONS_OF_FIELDS_MAX: usize = 3;

#[derive(Debug, Clone)]
pub struct Slack {
    pub url: Secret,
}

impl Slack {
    pub fn render(&self, alert: &Alert, link: Option<&str>) -> Request {
        let message = json!({ "text": fallback(alert), "blocks": blocks(alert, link) });
        Request { url: self.url.expose().to_owned(), headers: Vec::new(), body: message.to_string() }
    }
}

/// What a notification shows.
fn fallback(alert: &Alert) -> String {
    let headline = text::headline(alert, HEADER_MAX);
    escaped(&format!("{headline}\n{}", alert.summary), SECTION_MAX)
}

fn blocks(alert: &Alert, link: Option<&str>) -> Vec<Value> {
    let header = escaped(&text::headline(alert, HEADER_MAX), HEADER_MAX);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": header, "emoji": false } }),
        section(&alert.summary, ""),
    ];
    if let Some(fix) = &alert.fix {
        blocks.push(section(fix, "*What to do:* "));
    }
    let mut fields: Vec<_> = text::facts(alert).iter().map(|(name, value)| field(name, value)).collect();
    fields.extend(alert.evidence.iter().map(|(name, value)| field(name, value)));
    let shown = FIELDS_MAX * SECTIONS_OF_FIELDS_MAX;
    for fields in fields[..fields.len().min(shown)].chunks(FIELDS_MAX) {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let mut context = vec![marked_up(escaped(&format!("{}:{}", alert.id, alert.sequence), FIELD_MAX))];
    if let Some(more) = fields.len().checked_sub(shown).filter(|more| *more > 0) {
        context.push(marked_up(format!("{more} more not shown")));
    }
    if let Some(link) = link {
        // A `|` would end the address.
        context.push(marked_up(format!("<{}|Live page>", escaped(&link.replace('|', "%7C"), FIELD_MAX))));
    }
    blocks.push(json!({ "type": "context", "elements": context }));
    blocks
}

/// `before` is ours, and marked up.
fn section(text: &str, before: &str) -> Value {
    let text = escaped(text, SECTION_MAX - before.len());
    json!({ "type": "section", "text": marked_up(format!("{before}{text}")) })
}

fn field(name: &str, value: &str) -> Value {
    const NAME_MAX: usize = 200;
    let name = escaped(&text::line(name, NAME_MAX), NAME_MAX);
    let value = escaped(value, FIELD_MAX - NAME_MAX - "**\n".len());
    marked_up(format!("*{name}*\n{value}"))
}

/// Verbatim: names of people and channels in an alert are no mentions.
fn marked_up(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

fn escaped(text: &str, max: usize) -> String {
    text::written(text, max, |c, out| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::alert;
    use super::*;

    #[test]
    fn a_message_has_header_summary_fix_fields_and_context() {
        let slack = Slack { url: Secret::new("https://hooks.slack.test/x".to_owned()) };
        let request = slack.render(&alert(), Some("https://live.test/?a=1&b=2"));
        let value: Value = serde_json::from_str(&request.body).expect("JSON");
        let kinds: Vec<_> = value["blocks"].as_array().expect("blocks").iter().map(|block| &block["type"]).collect();
        assert_eq!(kinds, ["header", "section", "section", "section", "context"]);
        let title = "Firing: billing-worker asks for 12 tokens where 1 would do";
        assert_eq!(value["blocks"][0]["text"]["text"], title);
        assert_eq!(value["blocks"][2]["text"]["text"], "*What to do:* Cache the token until it expires.");
        assert_eq!(value["blocks"][3]["fields"][5]["text"], "*tokens*\n144");
        assert_eq!(value["blocks"][4]["elements"][1]["text"], "<https://live.test/?a=1&amp;b=2|Live page>");
    }

    #[test]
    fn nobody_is_called_by_what_an_alert_says() {
        let hostile = Alert { summary: "<!channel> & <https://evil.test|ok>".to_owned(), ..alert() };
        let text = blocks(&hostile, None)[1]["text"]["text"].clone();
        assert_eq!(text, "&lt;!channel&gt; &amp; &lt;https://evil.test|ok&gt;");
    }
}
