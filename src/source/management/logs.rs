//! A tenant's log events by `GET /api/v2/logs`: after a `log_id`, which has no end, or by their dates, which ends after 1,000.
//!
//! <https://auth0.com/docs/deploy-monitor/logs/retrieve-log-events-using-mgmt-api>, and `log-search-query-syntax` beside it. The
//! `next` link of an answer is not followed: what it stands for, "newer than the last `log_id`", outlives a restart.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Api, ApiError};
use crate::event::EventTime;

/// The most log events that one answer has.
pub const PAGE: usize = 100;
/// Pages of one search: it gives at most 1,000 log events.
pub const SEARCH_PAGES: usize = 10;

const SCOPE: &str = "read:logs";

/// One log event.
pub struct Log {
    pub id: String,
    /// Its date, else the time in its id.
    pub at: Option<EventTime>,
    /// As it came.
    pub text: Box<RawValue>,
}

/// What of an event is looked at here.
#[derive(Deserialize)]
struct Head {
    log_id: Option<String>,
    #[serde(rename = "_id")]
    underscore_id: Option<String>,
    id: Option<String>,
    /// The API's definition allows other than text.
    date: Option<Value>,
}

/// Those newer than a log event, by `log_id`; none once there is nothing more.
pub async fn newer(api: &mut Api, log_id: &str) -> Result<Vec<Log>, ApiError> {
    let mut logs = list(api, &[("from", log_id), ("take", &PAGE.to_string())]).await?;
    logs.retain(|log| log.id != log_id);
    Ok(logs)
}

/// In which order of their dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    /// What Auth0 no longer keeps goes from the end of such a list, so that pages stay where they are; what comes meanwhile
    /// moves some of them to a later page, where they are seen again.
    Descending,
}

/// By date: from one time on, and before another, if given.
pub async fn dated(
    api: &mut Api,
    from: Option<EventTime>,
    to: Option<EventTime>,
    order: Order,
    page: usize,
) -> Result<Vec<Log>, ApiError> {
    let (page, size) = (page.to_string(), PAGE.to_string());
    let sort = match order {
        Order::Ascending => "date:1",
        Order::Descending => "date:-1",
    };
    let bound = |time: Option<EventTime>| time.map_or_else(|| "*".to_owned(), |time| time.to_string());
    let end = if to.is_some() { '}' } else { ']' };
    let query = format!("date:[{} TO {}{end}", bound(from), bound(to));
    let mut asked = vec![("page", page.as_str()), ("per_page", size.as_str()), ("sort", sort)];
    if from.is_some() || to.is_some() {
        asked.push(("q", &query));
    }
    list(api, &asked).await
}

/// Whether Auth0 still has a log event, and so every later one.
pub async fn is_retained(api: &mut Api, log_id: &str) -> Result<bool, ApiError> {
    match api.get_json(&format!("logs/{log_id}"), &[]).await {
        Ok(_) => Ok(true),
        Err(ApiError::NotFound { .. } | ApiError::Invalid { .. }) => Ok(false),
        Err(error) => Err(with_scope(api, error)),
    }
}

/// A body as Auth0's webhook posts it in its format of arrays.
pub fn body<'a>(logs: impl IntoIterator<Item = &'a Log>) -> Vec<u8> {
    let mut body = vec![b'['];
    for log in logs {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(log.text.get().as_bytes());
    }
    body.push(b']');
    body
}

async fn list(api: &mut Api, query: &[(&str, &str)]) -> Result<Vec<Log>, ApiError> {
    let answer = match api.get_json("logs", query).await {
        Ok(answer) => answer,
        Err(error) => return Err(with_scope(api, error)),
    };
    let wrong = |problem: &str| ApiError::Other { path: "GET /api/v2/logs".to_owned(), problem: problem.to_owned() };
    let texts: Vec<Box<RawValue>> =
        serde_json::from_slice(&answer).map_err(|_| wrong("answered something that is no list of log events"))?;
    let log = |text: Box<RawValue>| {
        let head: Head = serde_json::from_str(text.get()).ok()?;
        let id = [head.log_id, head.underscore_id, head.id].into_iter().flatten().find(|id| is_id(id))?;
        let dated = head.date.as_ref().and_then(Value::as_str).and_then(EventTime::parse);
        Some(Log { at: dated.or_else(|| EventTime::from_log_id(&id)), id, text })
    };
    let logs = texts.into_iter().map(log).collect::<Option<Vec<_>>>();
    logs.ok_or_else(|| wrong("answered a log event without a log_id, so that nothing can go on from there"))
}

/// What can stand in a path as it is.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 256 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn with_scope(api: &Api, error: ApiError) -> ApiError {
    match error {
        ApiError::Forbidden { path, code } => {
            ApiError::Scope { path, code, named: api.credentials.named, scope: SCOPE, audience: api.audience() }
        }
        other => other,
    }
}
