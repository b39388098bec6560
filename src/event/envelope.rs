//! Finds the log events inside whatever a delivery wrapped around them.
//!
//! Works on simd-json's tape: a flat list of nodes in which a container says how many nodes it spans, so that a part
//! nobody asks for (`details`) is stepped over, not visited.

use simd_json::{Node, StaticNode};
use xxhash_rust::xxh3::Xxh3;

use super::catalogue;

/// A value on the tape: the node at the front and everything it contains.
#[derive(Clone, Copy)]
pub(super) struct Value<'t, 'i>(&'t [Node<'i>]);

impl<'t, 'i> Value<'t, 'i> {
    pub fn root(tape: &'t [Node<'i>]) -> Self {
        Self(tape)
    }

    pub fn as_str(self) -> Option<&'i str> {
        match self.0.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn as_i64(self) -> Option<i64> {
        match self.0.first() {
            Some(Node::Static(StaticNode::I64(number))) => Some(*number),
            Some(Node::Static(StaticNode::U64(number))) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A whole number, as text.
    pub fn as_whole_number(self) -> Option<String> {
        match self.0.first() {
            Some(Node::Static(StaticNode::I64(number))) => Some(number.to_string()),
            Some(Node::Static(StaticNode::U64(number))) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Everything in the value, in its order.
    pub fn hash(self, hash: &mut Xxh3) {
        for node in &self.0[..span(self.0).min(self.0.len())] {
            match node {
                Node::String(text) => {
                    hash.update(&[0]);
                    hash.update(&(text.len() as u64).to_le_bytes());
                    hash.update(text.as_bytes());
                }
                Node::Object { len, .. } => hash.update(&[&[1][..], &(*len as u64).to_le_bytes()].concat()),
                Node::Array { len, .. } => hash.update(&[&[2][..], &(*len as u64).to_le_bytes()].concat()),
                Node::Static(value) => hash.update(format!("3{value}").as_bytes()),
            }
        }
    }

    pub fn is_null(self) -> bool {
        matches!(self.0.first(), Some(Node::Static(StaticNode::Null)))
    }

    pub fn is_object(self) -> bool {
        matches!(self.0.first(), Some(Node::Object { .. }))
    }

    /// The key and value pairs of an object; nothing for any other value.
    pub fn fields(self) -> impl Iterator<Item = (&'i str, Value<'t, 'i>)> {
        let mut left = match self.0.first() {
            Some(Node::Object { len, .. }) => *len,
            _ => 0,
        };
        let mut rest = self.0.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (Node::String(key), value) = rest.split_first()? else { return None };
            rest = value.get(span(value)..)?;
            Some((*key, Value(value)))
        })
    }

    /// The elements of an array; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = Value<'t, 'i>> + Clone {
        let mut left = match self.0.first() {
            Some(Node::Array { len, .. }) => *len,
            _ => 0,
        };
        let mut rest = self.0.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let value = rest;
            rest = value.get(span(value)..)?;
            Some(Value(value))
        })
    }

    /// What kind of JSON value this is, for error messages.
    pub fn describe(self) -> &'static str {
        match self.0.first() {
            Some(Node::String(_)) => "a string",
            Some(Node::Object { .. }) => "an object",
            Some(Node::Array { .. }) => "an array",
            Some(Node::Static(StaticNode::Null)) => "null",
            Some(Node::Static(StaticNode::Bool(_))) => "a boolean",
            Some(Node::Static(_)) => "a number",
            None => "nothing",
        }
    }
}

fn span(nodes: &[Node<'_>]) -> usize {
    match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

/// What an envelope holds.
pub(super) enum Content<'t, 'i> {
    /// A flat event: the object with `type`.
    Event(Value<'t, 'i>),
    /// JSON inside a JSON string, still to be parsed.
    Nested(&'i str),
}

/// Deeper wrapping than any bridge does; stops hostile input.
const DEPTH_MAX: u32 = 8;

/// Calls `visit` for every event in `value`, in order, with the `log_id` of the envelope around it (empty if none). What
/// holds no event is given to `refuse` with the reason.
///
/// Known envelopes: a flat event; `{log_id, data}`; arrays; `{"logs": […]}` and `{"records": […]}`; EventBridge
/// `detail`; Splunk HEC `event`; Event Grid and CloudEvents `data`; bridges' `json`, `message` or `event`, holding the
/// event as an object or as a string of JSON.
pub(super) fn unwrap<'t, 'i>(
    value: Value<'t, 'i>,
    visit: &mut dyn FnMut(Content<'t, 'i>, &'i str),
    refuse: &mut dyn FnMut(String),
) {
    descend(value, "", 0, visit, refuse);
}

fn descend<'t, 'i>(
    value: Value<'t, 'i>,
    outer_id: &'i str,
    depth: u32,
    visit: &mut dyn FnMut(Content<'t, 'i>, &'i str),
    refuse: &mut dyn FnMut(String),
) {
    if depth > DEPTH_MAX {
        return refuse(format!("envelopes nested deeper than {DEPTH_MAX}"));
    }
    if matches!(value.0.first(), Some(Node::Array { .. })) {
        for element in value.elements() {
            descend(element, outer_id, depth + 1, visit, refuse);
        }
        return;
    }
    if !value.is_object() {
        return refuse(format!("expected a log event (a JSON object), found {}", value.describe()));
    }
    // Inside an envelope, an object with a known code is the event: nothing more needs to be asked of its keys.
    let code = || value.fields().find(|(key, _)| *key == "type").and_then(|(_, code)| code.as_str());
    if depth > 0 && code().is_some_and(catalogue::is_known) {
        return visit(Content::Event(value), outer_id);
    }
    // By wrapper, so that of a key that occurs twice the last one wins.
    let mut wrapped: [Option<Value<'t, 'i>>; WRAPPERS.len()] = [None; WRAPPERS.len()];
    let mut has_type = false;
    let mut log_id = outer_id;
    for (key, field) in value.fields() {
        match key {
            "type" => has_type = field.as_str().is_some_and(|code| !code.is_empty()),
            "log_id" => log_id = field.as_str().unwrap_or(log_id),
            _ => {
                if let Some(at) = wrapper(key).filter(|_| holds_event(field, depth)) {
                    wrapped[at] = Some(field);
                }
            }
        }
    }
    let found = wrapped.iter().flatten().count();
    for inner in wrapped.into_iter().flatten() {
        match inner.as_str() {
            Some(text) => visit(Content::Nested(text), log_id),
            // Beside a wrapper that holds the event, this is what a collector says of it.
            None if found > 1 && is_other_event(inner) => {}
            None => descend(inner, log_id, depth + 1, visit, refuse),
        }
    }
    match (found, has_type) {
        (0, true) => visit(Content::Event(value), outer_id),
        (0, false) => refuse("not an Auth0 log event: no `type`, and no envelope around one".to_owned()),
        _ => {}
    }
}

/// The keys under which envelopes and bridges keep what they wrap.
const WRAPPERS: [&str; 7] = ["data", "logs", "records", "detail", "event", "json", "message"];

fn wrapper(key: &str) -> Option<usize> {
    WRAPPERS.iter().position(|wrapper| *wrapper == key)
}

/// An object with a `type` that is no code of Auth0's, and no envelope itself: such as the `event` of Elastic's schema.
fn is_other_event(value: Value<'_, '_>) -> bool {
    let wraps = |(key, field): (&str, Value<'_, '_>)| wrapper(key).is_some() && holds_event(field, 1);
    let code = value.fields().find(|(key, _)| *key == "type").and_then(|(_, code)| code.as_str());
    value.is_object() && !code.is_some_and(catalogue::is_known) && !value.fields().any(wraps)
}

/// Whether a wrapper's value can hold an event, told without going deep: an object that has `type`, `log_id` or another
/// wrapper; an array (also an empty one: it holds no events, which is no error); a string that begins like JSON.
fn holds_event(value: Value<'_, '_>, depth: u32) -> bool {
    match value.0.first() {
        Some(Node::Object { .. }) => value.fields().any(|(key, field)| match key {
            "type" | "log_id" => field.as_str().is_some() || field.as_i64().is_some(),
            _ => wrapper(key).is_some() && depth <= DEPTH_MAX && holds_event(field, depth + 1),
        }),
        Some(Node::Array { len, .. }) => *len == 0 || value.elements().any(|element| element.is_object()),
        Some(Node::String(text)) => text.trim_start().starts_with(['{', '[']),
        _ => false,
    }
}
