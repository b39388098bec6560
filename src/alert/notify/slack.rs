//! Slack's incoming webhooks, with Block Kit.
//!
//! After Slack's reference (docs.slack.dev: Block Kit's header and section blocks, text objects, "Formatting message
//! text"): a header of 150 characters, a section of 3000, 10 fields of 2000, and `&`, `<` and `>` escaped. All blocks
//! together may have about 13,200 (slackapi/bolt-js#2509; no reference says so), less for more blocks: so what is counted here
//! is their JSON. That `plain_text` wants the same escapes, and what Slack counts as a character, is unverified.

use serde_json::{Value, json};

use super::super::Alert;
use super::{Request, text};
use crate::config::Secret;

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELDS_MAX: usize = 10;
// Ours: a message is read on a phone, and none may be refused for its length.
const BLOCKS_MAX: usize = 12_500;
const SUMMARY_MAX: usize = 2000;
const FIX_MAX: usize = 1000;
const FIELD_MAX: usize = 500;
const NAME_MAX: usize = 100;
const SECTIONS_OF_FIELDS_MAX: usize = 3;
const ID_MAX: usize = 200;
const LINK_MAX: usize = 1000;

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
        section(&alert.summary, "", SUMMARY_MAX),
    ];
    if let Some(fix) = &alert.fix {
        blocks.push(section(fix, "*What to do:* ", FIX_MAX));
    }
    let mut context = vec![marked_up(escaped(&format!("{}:{}", alert.id, alert.sequence), ID_MAX))];
    if let Some(link) = link {
        // A `|` would end the address.
        context.push(marked_up(format!("<{}|Live page>", escaped(&link.replace('|', "%7C"), LINK_MAX))));
    }
    let facts = text::facts(alert);
    let facts = facts.iter().map(|(name, value)| field(name, value));
    let mut fields = facts.chain(alert.evidence.iter().map(|(name, value)| field(name, value))).peekable();
    // With room for the frames of what is still to come.
    let mut left = BLOCKS_MAX - units(&json!([blocks, context])) - 500;
    let mut shown = Vec::new();
    while shown.len() < FIELDS_MAX * SECTIONS_OF_FIELDS_MAX
        && let Some(field) = fields.next_if(|field| units(field) < left)
    {
        left -= units(&field) + ",".len();
        shown.push(field);
    }
    for fields in shown.chunks(FIELDS_MAX) {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let more = fields.count();
    if more > 0 {
        context.insert(1, marked_up(format!("{more} more not shown")));
    }
    blocks.push(json!({ "type": "context", "elements": context }));
    blocks
}

/// How long it is as JSON.
fn units(value: &Value) -> usize {
    value.to_string().encode_utf16().count()
}

/// `before` is ours, and marked up.
fn section(text: &str, before: &str, max: usize) -> Value {
    let text = escaped(text, max - before.len());
    json!({ "type": "section", "text": marked_up(format!("{before}{text}")) })
}

fn field(name: &str, value: &str) -> Value {
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
    fn a_message_is_never_too_long_for_slack_and_says_what_it_leaves_out() {
        let long_link = format!("https://live.test/?{}", "a".repeat(5000));
        for text in ["long ", "\"", "&", "語", "👻", "\n<"].map(|text| text.repeat(20_000)) {
            let alert = Alert {
                id: text.clone(),
                tenant: text.clone(),
                subject: text.clone(),
                title: text.clone(),
                summary: text.clone(),
                evidence: vec![(text.clone(), text.clone()); 100],
                fix: Some(text.clone()),
                ..alert()
            };
            let blocks = blocks(&alert, Some(&long_link));
            // What Slack was seen to refuse is 13,200.
            assert!(units(&json!(blocks)) <= BLOCKS_MAX && units(&json!(blocks)) < 13_000, "{}", units(&json!(blocks)));
            assert!(blocks[1]["text"]["text"].as_str().is_some_and(|text| text.ends_with('…')), "{}", blocks[1]);
            let fields = blocks.iter().filter_map(|block| block["fields"].as_array()).flatten();
            let fields: Vec<_> = fields.filter_map(|field| field["text"].as_str()).collect();
            assert!(fields[1].ends_with('…') && fields[1].encode_utf16().count() <= FIELD_MAX, "{}", fields[1]);
            let more = format!("{} more not shown", 105 - fields.len());
            assert_eq!(blocks[blocks.len() - 1]["elements"][1]["text"], more);
        }
    }

    #[test]
    fn nobody_is_called_by_what_an_alert_says() {
        let hostile = Alert { summary: "<!channel> & <https://evil.test|ok>".to_owned(), ..alert() };
        let text = blocks(&hostile, None)[1]["text"]["text"].clone();
        assert_eq!(text, "&lt;!channel&gt; &amp; &lt;https://evil.test|ok&gt;");
    }
}
