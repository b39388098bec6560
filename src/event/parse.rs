//! Bytes to events: one record in, any number of [`LogEvent`]s and, where something could not be understood, a reason out.
//!
//! Never panics on any bytes. Buffers are kept between records; an event's strings are where the record has them, and copied
//! only by who keeps events ([`Decoded`], into one arena a chunk). Where a key occurs twice in an object the last one wins, as
//! in `JSON.parse`.

use std::cell::Cell;
use std::ops::Range;

use simd_json::{Buffers, INPUT_PADDING, Node, Tape, fill_tape_padded};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::envelope::{Content, Value, unwrap};
use super::repair;
use super::scan::{Fields, Scanner};
use super::{Class, EventTime, EventType, LogEvent, Privacy, TEXTS, UNKNOWN_TENANT, catalogue};

/// When a record reached us.
#[derive(Debug, Clone, Copy)]
pub struct ReadTime {
    /// When the record arrived, if that is part of the record itself, and so the same however often it is read.
    pub arrived: Option<EventTime>,
    /// The time now: only asked whether a date can be true.
    pub now: EventTime,
}

impl ReadTime {
    /// When the record arrived; nothing where that cannot be, since producers set this time as they like.
    fn arrival(self) -> Option<EventTime> {
        self.arrived.filter(|arrived| arrived.is_plausible(self.now))
    }
}

/// A piece of a record that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Which bytes of the record: the whole of it, or one line.
    pub bytes: Range<usize>,
    pub reason: String,
}

/// Takes events as they are read, in order.
pub trait Sink {
    fn push(&mut self, event: &LogEvent<'_>);
}

impl<F: FnMut(&LogEvent<'_>)> Sink for F {
    fn push(&mut self, event: &LogEvent<'_>) {
        self(event);
    }
}

/// The events of any number of records, in order.
#[derive(Debug, Default)]
pub struct Decoded {
    text: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    kind: &'static EventType,
    at: EventTime,
    lateness_ms: i64,
    identity: u64,
    /// Where the row's text begins, and where from there its `log_id` ends, its tenant, and each of the others.
    start: usize,
    log_id_end: u32,
    tenant_end: u32,
    ends: [u32; TEXTS],
}

impl Sink for Decoded {
    fn push(&mut self, event: &LogEvent<'_>) {
        let start = self.text.len();
        let mut append = |text| {
            self.text.push_str(text);
            (self.text.len() - start) as u32
        };
        let (log_id_end, tenant_end) = (append(event.log_id), append(event.tenant));
        let ends = event.texts().map(append);
        let LogEvent { kind, at, lateness_ms, identity, .. } = *event;
        self.rows.push(Row { kind, at, lateness_ms, identity, start, log_id_end, tenant_end, ends });
    }
}

impl Decoded {
    pub fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn events(&self) -> impl Iterator<Item = LogEvent<'_>> {
        self.rows.iter().map(|row| {
            let mut begin = row.start;
            let mut until = |end: u32| {
                let end = row.start + end as usize;
                let text = self.text.get(begin..end).unwrap_or_default();
                begin = end;
                text
            };
            let (log_id, tenant) = (until(row.log_id_end), until(row.tenant_end));
            let texts = row.ends.map(until);
            LogEvent::of_texts(row.kind, row.at, row.lateness_ms, row.identity, log_id, tenant, texts)
        })
    }
}

/// How records are read.
#[derive(Debug, Clone, Default)]
pub struct DecodeSettings {
    /// The tenant the source is set to, which goes before anything an event says.
    pub tenant: Option<String>,
    pub privacy: Privacy,
    /// Whether also what only the dataset `events` has is wanted.
    pub whole: bool,
}

/// Reads records. Keeps its buffers; one per thread.
pub struct Decoder {
    settings: DecodeSettings,
    /// Asked first; what it is not sure of is the parser's.
    scanner: Option<Scanner>,
    /// Of how many values in a row it was not.
    unsure: u32,
    buffers: Buffers,
    tape: Vec<Node<'static>>,
    input: Vec<u8>,
    room: Room,
    /// For JSON inside JSON strings.
    nested: Option<Box<Decoder>>,
}

/// Room for what of an event is not as the record has it.
#[derive(Default)]
struct Room {
    user_id: String,
    ip: String,
    user_name: String,
    audience: String,
    scope: String,
    scopes: Scopes,
}

/// JSON in a string in JSON in a string: deeper than any bridge goes.
const NESTED_MAX: u32 = 3;

impl Decoder {
    pub fn new(tenant: Option<String>) -> Self {
        Self::with_settings(DecodeSettings { tenant, ..DecodeSettings::default() })
    }

    pub fn with_settings(settings: DecodeSettings) -> Self {
        Self::with_scanner(settings, Some(Scanner::default()))
    }

    /// One that says the same of every record, whatever scanner it has, and without one.
    pub fn with_scanner(settings: DecodeSettings, scanner: Option<Scanner>) -> Self {
        let buffers = Buffers::new(4096);
        let (tape, input, room) = (Vec::new(), Vec::new(), Room::default());
        Self { settings, scanner, unsure: 0, buffers, tape, input, room, nested: None }
    }

    pub fn settings(&self) -> &DecodeSettings {
        &self.settings
    }

    /// Reads one record: a JSON value, or lines of them. Events are given to `out`; what cannot be understood is
    /// given to `refuse`. A record with nothing in it but white space is understood and holds nothing.
    pub fn decode(&mut self, record: &[u8], read: ReadTime, out: &mut dyn Sink, refuse: &mut dyn FnMut(Reject)) {
        let body = after_byte_order_mark(record);
        let mut rejects = Vec::new();
        let events = Cell::new(0_usize);
        let out = &mut |event: &LogEvent<'_>| {
            events.set(events.get() + 1);
            out.push(event);
        };
        if !holds_lines(&record[body..]) {
            self.decode_value(record, body..record.len(), read, out, &mut |reject| rejects.push(reject));
            if rejects.is_empty() || events.get() > 0 || !record.trim_ascii().contains(&b'\n') {
                return rejects.into_iter().for_each(refuse);
            }
        }
        // Lines; or what looked like one value and is none: then a broken first line must not take the others with it.
        let mut by_line = Vec::new();
        let mut at = body;
        while at < record.len() {
            let end = memchr::memchr(b'\n', &record[at..]).map_or(record.len(), |length| at + length);
            self.decode_value(record, at..end, read, out, &mut |reject| by_line.push(reject));
            at = end + 1;
        }
        let one_value_after_all = !rejects.is_empty() && events.get() == 0;
        (if one_value_after_all { rejects } else { by_line }).into_iter().for_each(refuse);
    }

    /// [`decode`](Self::decode) for a record that is known to be one line.
    pub fn decode_line(&mut self, line: &[u8], read: ReadTime, out: &mut dyn Sink, refuse: &mut dyn FnMut(Reject)) {
        self.decode_value(line, after_byte_order_mark(line)..line.len(), read, out, refuse);
    }

    fn decode_value(
        &mut self,
        record: &[u8],
        range: Range<usize>,
        read: ReadTime,
        out: &mut dyn Sink,
        refuse: &mut dyn FnMut(Reject),
    ) {
        let value = &record[range.clone()];
        if value.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if let Err(reason) = self.decode_json(value, "", NESTED_MAX, read, out) {
            refuse(Reject { bytes: range, reason });
        }
    }

    /// One JSON value. Events that are good are kept even if others in the same value are not.
    fn decode_json(
        &mut self,
        json: &[u8],
        outer_id: &str,
        nested_left: u32,
        read: ReadTime,
        out: &mut dyn Sink,
    ) -> Result<(), String> {
        // In a stream of other envelopes it would be asked in vain; every sixteenth value tells when that is over.
        let scanner = self.scanner.as_mut().filter(|_| self.unsure < 16 || self.unsure.is_multiple_of(16));
        if let Some(event) = scanner.and_then(|scanner| scanner.scan(json)) {
            self.unsure = 0;
            let outer_id = if event.outer_id.is_empty() { outer_id } else { event.outer_id };
            let event = Event {
                fields: event.fields,
                numeric_id: None,
                date: event.date.map(|text| read_date_text(text).ok_or(BadDate::Text(text))),
                audience: event.audience.iter(),
                scope: event.scope.iter(),
                tape: Value::root(&[]),
            };
            return push_event(event, outer_id, &self.settings, read, &mut self.room, out);
        }
        self.unsure = self.unsure.wrapping_add(1);
        self.input.clear();
        self.input.extend_from_slice(json);
        self.input.resize(json.len() + INPUT_PADDING, 0);
        let mut tape = Tape(std::mem::take(&mut self.tape)).reset();
        let mut problems = Problems::default();
        let parsed = fill_tape_padded(&mut self.input, json.len(), &mut self.buffers, &mut tape);
        match parsed {
            Ok(()) => {
                let Self { nested, scanner, settings, room, .. } = self;
                // Both closures report problems, one after the other, never at once.
                let found = std::cell::RefCell::new(&mut problems);
                unwrap(
                    Value::root(&tape.0),
                    &mut |content, envelope_id| {
                        let outer_id = if envelope_id.is_empty() { outer_id } else { envelope_id };
                        let result = match content {
                            Content::Event(event) => push_event(Event::of(event), outer_id, settings, read, room, out),
                            Content::Nested(_) if nested_left == 0 => Err("JSON in strings nested too deep".to_owned()),
                            Content::Nested(text) => nested
                                .get_or_insert_with(|| {
                                    Box::new(Decoder::with_scanner(settings.clone(), scanner.clone()))
                                })
                                .decode_json(text.trim().as_bytes(), outer_id, nested_left - 1, read, out)
                                .map_err(|reason| format!("in the JSON string of an envelope: {reason}")),
                        };
                        found.borrow_mut().note(result);
                    },
                    &mut |reason| found.borrow_mut().note(Err(reason)),
                );
            }
            Err(error) => {
                let reason = describe_json_error(json, &error, self.settings.privacy.keeps_all());
                self.tape = tape.reset().0;
                // What is readable once is not made readable again.
                return match repair::readable(json) {
                    Some(json) => self.decode_json(&json, outer_id, nested_left, read, out),
                    None => Err(reason),
                };
            }
        }
        self.tape = tape.reset().0;
        problems.into_result()
    }
}

/// What is wrong with the parts of one JSON value. Keeps the first few reasons and counts the rest.
#[derive(Default)]
struct Problems {
    parts: usize,
    wrong: usize,
    reasons: Vec<String>,
}

impl Problems {
    fn note(&mut self, result: Result<(), String>) {
        self.parts += 1;
        if let Err(reason) = result {
            self.wrong += 1;
            if self.reasons.len() < 3 {
                self.reasons.push(if self.parts > 1 { format!("part {}: {reason}", self.parts) } else { reason });
            }
        }
    }

    fn into_result(self) -> Result<(), String> {
        match self.wrong {
            0 => Ok(()),
            1 if self.parts == 1 => Err(self.reasons.join("; ")),
            wrong => Err(format!("{wrong} of {} parts: {}", self.parts, self.reasons.join("; "))),
        }
    }
}

fn after_byte_order_mark(record: &[u8]) -> usize {
    if record.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 }
}

/// Whether a record holds several values, one a line. What may stand on either side of a line break inside one JSON
/// value is known, so the first one tells; a broken line then costs only itself.
fn holds_lines(record: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', record) else { return false };
    let next = record[end..].trim_ascii_start();
    let Some(next_byte) = next.first() else { return false };
    match record[..end].trim_ascii_end().last() {
        None => holds_lines(next),
        Some(b'[' | b'{' | b',' | b':') => false,
        Some(b'}' | b']') => !matches!(next_byte, b',' | b']' | b'}'),
        Some(_) => matches!(next_byte, b'{' | b'['),
    }
}

/// The parser also says which character is wrong: one of the record, so it is quoted only where all of it may be written.
fn describe_json_error(json: &[u8], error: &simd_json::Error, quotes: bool) -> String {
    if let Err(utf8) = std::str::from_utf8(json) {
        return format!("not JSON: invalid UTF-8 at byte {}", utf8.valid_up_to());
    }
    match quotes {
        true => format!("not JSON: {error}"),
        false => format!("not JSON: {:?} at character {}", error.error(), error.index()),
    }
}

/// One event as it came.
struct Event<'t, 'i, Strings> {
    fields: Fields<'i>,
    /// `log_id`, where that is a number.
    numeric_id: Option<String>,
    /// Nothing where it is absent or null; where it cannot be read, why.
    date: Option<Result<EventTime, BadDate<'i>>>,
    audience: Strings,
    scope: Strings,
    /// All of it; empty where it is known to have an id.
    tape: Value<'t, 'i>,
}

/// What stands in place of a date.
#[derive(Clone, Copy)]
enum BadDate<'i> {
    Text(&'i str),
    Other(&'static str),
}

impl BadDate<'_> {
    /// Text may be anything, so it is quoted only where everything may be written.
    fn reason(self, quotes: bool) -> String {
        const EXPECTED: &str = "expected ISO 8601 such as \"2026-11-23T12:00:00.000Z\"";
        match self {
            Self::Text(text) if quotes => format!("`date` is {text:?}, {EXPECTED}"),
            Self::Text(_) => format!("`date` is not one, {EXPECTED}"),
            Self::Other(kind) => format!("`date` is {kind}, expected an ISO 8601 string"),
        }
    }
}

impl<'t, 'i> Event<'t, 'i, ()> {
    fn of(tape: Value<'t, 'i>) -> Event<'t, 'i, impl Iterator<Item = &'i str> + Clone> {
        let mut fields = Fields::default();
        let (mut numeric_id, mut date, mut audience, mut scope) = (None, None, None, None);
        for (key, value) in tape.fields() {
            // A value of another type than the schema's (null above all) is an absent one.
            let text = || value.as_str().unwrap_or_default();
            match key {
                "type" => fields.type_code = text(),
                "log_id" => {
                    fields.log_id = text();
                    numeric_id = value.as_whole_number();
                }
                "_id" => fields.underscore_id = text(),
                "id" => fields.id = text(),
                "date" => date = Some(value),
                "tenant_name" => fields.tenant_name = text(),
                "hostname" => fields.hostname = text(),
                "organization_id" => fields.organization_id = text(),
                "organization_name" => fields.organization_name = text(),
                "connection" => fields.connection = text(),
                "strategy" => fields.strategy = text(),
                "client_id" => fields.client_id = text(),
                "client_name" => fields.client_name = text(),
                "user_id" => fields.user_id = text(),
                "user_name" => fields.user_name = text(),
                "ip" => fields.ip = text(),
                "user_agent" => fields.user_agent = text(),
                "description" => fields.description = text(),
                "audience" => audience = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Event {
            fields,
            numeric_id,
            date: date.filter(|value| !value.is_null()).map(read_date),
            audience: strings(audience),
            scope: strings(scope),
            tape,
        }
    }
}

/// A string, or the strings in an array.
fn strings<'i>(value: Option<Value<'_, 'i>>) -> impl Iterator<Item = &'i str> + Clone {
    value.into_iter().flat_map(|value| value.as_str().into_iter().chain(value.elements().filter_map(Value::as_str)))
}

fn push_event<'i>(
    event: Event<'_, 'i, impl Iterator<Item = &'i str> + Clone>,
    outer_id: &str,
    settings: &DecodeSettings,
    read: ReadTime,
    room: &mut Room,
    out: &mut dyn Sink,
) -> Result<(), String> {
    let DecodeSettings { tenant, privacy, whole } = settings;
    let Event { fields, numeric_id, date, audience, scope, tape } = event;
    let log_id = [fields.log_id, outer_id, fields.underscore_id, fields.id]
        .into_iter()
        .find(|id| !id.is_empty())
        .or(numeric_id.as_deref())
        .unwrap_or_default();
    let ingested = EventTime::from_log_id(log_id);
    let at = event_time(date, ingested, read, privacy.keeps_all())?;
    // Nothing arrives before it happened.
    let arrived = read.arrival().filter(|arrived| at.is_plausible(*arrived)).or(ingested).unwrap_or(at);
    let identity = if log_id.is_empty() {
        // All of it: two events may differ only in what no column holds.
        let mut hash = Xxh3::new();
        tape.hash(&mut hash);
        hash.digest()
    } else {
        xxh3_64(log_id.as_bytes())
    };
    let kind = catalogue::lookup(fields.type_code);
    let has_sets = *whole || kind.class == Class::M2mOk;
    let only_whole = |text| if *whole { text } else { "" };
    out.push(&LogEvent {
        kind,
        at,
        lateness_ms: arrived.since_ms(at).max(0),
        identity,
        type_code: privacy.type_code(fields.type_code),
        log_id,
        tenant: tenant.as_deref().unwrap_or_else(|| tenant_of(fields.tenant_name, fields.hostname)),
        organization_id: fields.organization_id,
        organization_name: fields.organization_name,
        connection: fields.connection,
        strategy: fields.strategy,
        client_id: fields.client_id,
        client_name: fields.client_name,
        user_id: privacy.user_id(fields.user_id, &mut room.user_id),
        ip: privacy.ip(fields.ip, &mut room.ip),
        user_agent: fields.user_agent,
        audience: if has_sets { set(audience, false, &mut room.audience) } else { "" },
        scope: if has_sets { room.scopes.set(scope, &mut room.scope) } else { "" },
        user_name: privacy.user_name(only_whole(fields.user_name), &mut room.user_name),
        hostname: only_whole(fields.hostname),
        description: privacy.free_text(only_whole(fields.description)),
    });
    Ok(())
}

/// The event's time: its `date`, if the time in `log_id` agrees. Else `date`, unless it is missing or absurd (far from
/// the time in `log_id` *and* from when it was read); then the time in `log_id`.
fn event_time(
    date: Option<Result<EventTime, BadDate<'_>>>,
    ingested: Option<EventTime>,
    read: ReadTime,
    quotes: bool,
) -> Result<EventTime, String> {
    // An old arrival says nothing against a date: it may be wrong, and what is read later is only older.
    let now = read.arrival().map_or(read.now, |arrived| arrived.max(read.now));
    let believed = ingested.filter(|time| time.is_plausible(now));
    if let Some(Ok(at)) = date {
        // Auth0 wrote both, so a clock that disagrees with them is ours.
        let is_agreed = ingested.is_some_and(|time| time.is_plausible(time) && !at.is_far_from(time));
        let is_credible = match believed {
            Some(_) => !at.is_far_from(now),
            None => at.is_plausible(now),
        };
        if is_agreed || is_credible {
            return Ok(at);
        }
    }
    believed.ok_or_else(|| match date {
        None => "no `date`, and no time in `log_id`".to_owned(),
        Some(Err(bad)) => bad.reason(quotes),
        Some(Ok(at)) => format!("`date` {at} cannot be true, and `log_id` holds no time"),
    })
}

/// A string; or, since the Management API's definition allows an object, what databases make of dates: `{"$date": …}`,
/// and a number of milliseconds.
fn read_date<'i>(value: Value<'_, 'i>) -> Result<EventTime, BadDate<'i>> {
    match value.as_str() {
        Some(text) => read_date_text(text).ok_or(BadDate::Text(text)),
        None => wrapped_date(value).ok_or(BadDate::Other(value.describe())),
    }
}

fn read_date_text(text: &str) -> Option<EventTime> {
    EventTime::parse(text).or_else(|| EventTime::parse(text.trim()))
}

fn wrapped_date(value: Value<'_, '_>) -> Option<EventTime> {
    if let Some(number) = value.as_i64() {
        return Some(EventTime::from_ms(number));
    }
    value.fields().find(|(key, _)| matches!(*key, "$date" | "date" | "$numberLong")).and_then(|(_, inner)| {
        let number = inner.as_str().and_then(|text| text.parse().ok()).map(EventTime::from_ms);
        number.or_else(|| read_date(inner).ok())
    })
}

/// The tenant an event names: `tenant_name`, else the first label of an Auth0 host name (a custom domain names none).
fn tenant_of<'i>(tenant_name: &'i str, hostname: &'i str) -> &'i str {
    if !tenant_name.is_empty() {
        return tenant_name;
    }
    match hostname.strip_suffix(".auth0.com").and_then(|host| host.split('.').next()) {
        Some(label) if !label.is_empty() => label,
        _ => UNKNOWN_TENANT,
    }
}

/// Strings as a set: sorted, without repetition, joined by one space. Scopes are also split at white space; an audience is
/// one URI. Written into `room`, unless a string is that already.
fn set<'a, 'i: 'a>(mut strings: impl Iterator<Item = &'i str> + Clone, split: bool, room: &'a mut String) -> &'a str {
    let all = strings.clone();
    if let (Some(first), None) = (strings.next(), strings.next())
        && (!split || is_sorted_set(first.trim()))
    {
        return first.trim();
    }
    let mut items: Vec<&str> = Vec::new();
    for item in all {
        if split {
            items.extend(item.split_whitespace());
        } else if !item.trim().is_empty() {
            items.push(item.trim());
        }
    }
    items.sort_unstable();
    items.dedup();
    room.clear();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            room.push(' ');
        }
        room.push_str(item);
    }
    room
}

/// Scopes as they came, and as the sets they are: a client asks for the same ones again and again.
#[derive(Default)]
struct Scopes(Vec<(String, String)>);

impl Scopes {
    const COUNT: usize = 64;
    /// What is longer is not kept.
    const LENGTH_MAX: usize = 1024;

    fn set<'a, 'i: 'a>(
        &'a mut self,
        mut strings: impl Iterator<Item = &'i str> + Clone,
        room: &'a mut String,
    ) -> &'a str {
        let all = strings.clone();
        let (Some(scope), None) = (strings.next(), strings.next()) else { return set(all, true, room) };
        if scope.is_empty() || scope.len() > Self::LENGTH_MAX {
            return set(all, true, room);
        }
        if self.0.is_empty() {
            self.0.resize_with(Self::COUNT, Default::default);
        }
        let (known, as_set) = &mut self.0[xxh3_64(scope.as_bytes()) as usize % Self::COUNT];
        if known != scope {
            scope.clone_into(known);
            set(all, true, room).clone_into(as_set);
        }
        as_set
    }
}

/// Whether `scope` is already written as [`set`] would write it.
fn is_sorted_set(scope: &str) -> bool {
    let mut last = "";
    scope.is_empty()
        || scope.split(' ').all(|item| {
            let ok = item > last && !item.contains(char::is_whitespace);
            last = item;
            ok
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(record: &[u8]) -> (Decoded, Vec<Reject>) {
        let read = ReadTime { arrived: None, now: EventTime::from_ms(1_795_435_200_000) };
        let (mut decoded, mut rejects) = (Decoded::default(), Vec::new());
        Decoder::new(None).decode(record, read, &mut decoded, &mut |reject| rejects.push(reject));
        (decoded, rejects)
    }

    fn only(record: &str) -> (Decoded, String) {
        let (decoded, rejects) = decode(record.as_bytes());
        let reasons = rejects.into_iter().map(|reject| reject.reason).collect::<Vec<_>>().join("|");
        (decoded, reasons)
    }

    const ID: &str = "90020241024190617517000000000000001223372036854775807123";

    #[test]
    fn a_broken_line_costs_only_itself() {
        let good = format!(r#"{{"type":"s","log_id":"{ID}"}}"#);
        for body in [
            format!("{good}\ngarbage\n{good}\n"),
            format!("garbage\n{good}\n{good}"),
            format!("\n\n{good}\r\n{{\"type\":\"s\", \"log_id\r\n{good}\n"),
            format!("{{\"type\":\"s\",\"log_id\":\"1\n{good}\n{good}\n"),
            format!("{good}\n}}{{\"type\":\"s\"}}\n{good}\n"),
            format!("{{\"type\":\"s\",\n{good}\n{good}\n"),
        ] {
            let (decoded, rejects) = decode(body.as_bytes());
            assert_eq!((decoded.len(), rejects.len()), (2, 1), "{body}: {rejects:?}");
        }
    }

    #[test]
    fn a_broken_value_over_several_lines_is_one_dead_letter() {
        let body = b"{\n  \"type\": \"s\",\n  \"log_id\": \n}\n";
        let (decoded, rejects) = decode(body);
        assert_eq!((decoded.len(), rejects.len()), (0, 1), "{rejects:?}");
        assert_eq!(rejects[0].bytes, 0..body.len());
    }

    #[test]
    fn a_pretty_printed_value_is_one_value() {
        let body = format!(
            "[\n  {{\n    \"type\": \"s\",\n    \"log_id\": \"{ID}\"\n  }},\n  {{\"type\":\"s\",\"log_id\":\"{ID}\"}}\n]\n"
        );
        let (decoded, rejects) = decode(body.as_bytes());
        assert_eq!((decoded.len(), rejects.len()), (2, 0), "{rejects:?}");
    }

    #[test]
    fn scope_and_audience_are_sets_however_written() {
        let of = |fields: &str| {
            let (decoded, reasons) = only(&format!(r#"{{"type":"seccft","log_id":"{ID}"{fields}}}"#));
            assert_eq!(reasons, "");
            let event = decoded.events().next().map(|event| (event.scope.to_owned(), event.audience.to_owned()));
            event.expect("one event")
        };
        assert_eq!(of("").0, "");
        assert_eq!(of(r#","scope":null,"audience":null"#), (String::new(), String::new()));
        for scope in [r#""b a  b""#, r#"["b","a"]"#, r#"["a b"]"#, r#""a b""#] {
            assert_eq!(of(&format!(r#","scope":{scope}"#)).0, "a b");
        }
        assert_eq!(of(r#","audience":["https://b/","https://a/"]"#).1, "https://a/ https://b/");
        assert_eq!(of(r#","audience":"https://a/""#).1, "https://a/");
    }

    #[test]
    fn an_absurd_date_yields_to_the_time_in_log_id() {
        let at = |date: &str, id: &str| {
            let (decoded, reasons) = only(&format!(r#"{{"type":"s","date":{date},"log_id":"{id}"}}"#));
            decoded.events().next().map(|event| event.at.to_string()).ok_or(reasons)
        };
        let ingest = "2024-10-24T19:06:17.517Z";
        assert_eq!(at(r#""2024-10-24T19:06:10.000Z""#, ID).as_deref(), Ok("2024-10-24T19:06:10.000Z"));
        assert_eq!(at(r#""1970-01-01T00:00:00.000Z""#, ID).as_deref(), Ok(ingest));
        assert_eq!(at("null", ID).as_deref(), Ok(ingest));
        assert_eq!(at(r#"{"$date":"2024-10-24T19:00:00Z"}"#, ID).as_deref(), Ok("2024-10-24T19:00:00.000Z"));
        assert_eq!(at(r#""2018-08-24T11:48:16.111Z""#, "123456789").as_deref(), Ok("2018-08-24T11:48:16.111Z"));
        assert!(at(r#""2099-01-01T00:00:00Z""#, "1").is_err_and(|reason| reason.contains("cannot be true")));
        assert!(at(r#""soon""#, "1").is_err_and(|reason| reason.contains("soon") && reason.contains("ISO 8601")));
    }

    #[test]
    fn a_wrong_arrival_time_makes_no_dead_letter_and_no_lateness() {
        let now = EventTime::from_ms(1_795_435_200_000); // 2026-11-23
        let happened = EventTime::from_ms(1_795_435_100_000);
        let id = "90020261123115820000000000000000001223372036854775807123";
        let dated = format!(r#"{{"type":"s","date":"{happened}","log_id":"1"}}"#);
        let with_id = format!(r#"{{"type":"s","date":"{happened}","log_id":"{id}"}}"#);
        let only_id = format!(r#"{{"type":"s","log_id":"{id}"}}"#);
        let arrivals = [
            (1000, 0),
            (i64::MIN, 0),
            (1_420_070_400_000, 0), // 2015
            (4_070_908_800_000, 0), // 2099
            (i64::MAX, 0),
            (happened.ms() + 5000, 5000),
        ];
        for (arrived, lateness_ms) in arrivals {
            for record in [&dated, &with_id, &only_id] {
                let read = ReadTime { arrived: Some(EventTime::from_ms(arrived)), now };
                let mut decoded = Decoded::default();
                let mut refuse = |reject: Reject| panic!("{arrived}: {record}: {}", reject.reason);
                Decoder::new(None).decode(record.as_bytes(), read, &mut decoded, &mut refuse);
                let found = decoded.events().next().map(|event| (event.at, event.lateness_ms));
                assert_eq!(found, Some((happened, lateness_ms)), "{arrived}: {record}");
            }
        }
        // With our own clock at the beginning of time, what Auth0 wrote twice still holds.
        let read = ReadTime { arrived: None, now: EventTime::from_ms(0) };
        let (mut decoded, mut refused) = (Decoded::default(), 0);
        Decoder::new(None).decode(with_id.as_bytes(), read, &mut decoded, &mut |_| refused += 1);
        Decoder::new(None).decode(dated.as_bytes(), read, &mut decoded, &mut |_| refused += 1);
        assert_eq!((decoded.len(), refused), (1, 1));
    }

    #[test]
    fn the_tenant_comes_from_the_event_unless_set() {
        let tenant = |fields: &str, set: Option<&str>| {
            let read = ReadTime { arrived: None, now: EventTime::from_ms(1_795_435_200_000) };
            let mut decoded = Decoded::default();
            let record = format!(r#"{{"type":"s","log_id":"{ID}"{fields}}}"#);
            Decoder::new(set.map(str::to_owned)).decode(record.as_bytes(), read, &mut decoded, &mut |_| {});
            decoded.events().next().map(|event| event.tenant.to_owned()).unwrap_or_default()
        };
        assert_eq!(tenant(r#","hostname":"acme.eu.auth0.com""#, None), "acme");
        assert_eq!(tenant(r#","hostname":"login.acme.com""#, None), "unknown");
        assert_eq!(tenant(r#","tenant_name":"acme","hostname":"other.auth0.com""#, None), "acme");
        assert_eq!(tenant(r#","tenant_name":"acme""#, Some("mine")), "mine");
    }

    #[test]
    fn reasons_name_what_is_wrong() {
        assert!(only("not json").1.starts_with("not JSON"));
        assert!(only("42").1.contains("found a number"));
        assert!(only("{}").1.contains("no `type`"));
        let (_, rejects) = decode(b"{\"type\":\"\xff\"}");
        assert!(rejects[0].reason.contains("invalid UTF-8 at byte 9"), "{rejects:?}");
        let mixed = format!(r#"[{{"type":"s","log_id":"{ID}"}},{{"log_id":"2"}},7]"#);
        let (decoded, reason) = only(&mixed);
        assert_eq!(decoded.len(), 1);
        assert!(reason.starts_with("2 of 3 parts: part 2: "), "{reason}");
    }

    fn identities(record: &str) -> Vec<u64> {
        let (decoded, reasons) = only(record);
        assert_eq!(reasons, "", "{record}");
        decoded.events().map(|event| event.identity).collect()
    }

    #[test]
    fn every_wrapper_of_an_envelope_is_opened() {
        let event = |id: &str| format!(r#"{{"log_id":"{id}","data":{{"type":"s","date":"2026-11-01T00:00:00Z"}}}}"#);
        let (one, two, three) = (event("1"), event("2"), event("3"));
        assert_eq!(identities(&format!(r#"{{"logs":[{one},{two}],"records":[{three}]}}"#)).len(), 3);
        // Of Elastic's schema: what the collector says of the event stands beside it.
        let text = one.replace('"', "\\\"");
        let shipped = format!(r#"{{"message":"{text}","event":{{"type":"access","log_id":"x","kind":"event"}}}}"#);
        assert_eq!(identities(&shipped), identities(&one));
        assert_eq!(
            identities(&format!(r#"{{"json":{one},"json":{two}}}"#)),
            identities(&two),
            "of equal keys the last"
        );
    }

    #[test]
    fn a_number_is_an_id_and_without_one_everything_tells_events_apart() {
        let event = |fields: &str| format!(r#"{{"type":"s","date":"2026-11-01T00:00:00Z"{fields}}}"#);
        let identity = |fields: &str| identities(&event(fields))[0];
        let long = r#","log_id":90020241024190617517000000000000001223372036854775807123"#;
        let all = [
            r#","log_id":1"#,
            r#","log_id":2"#,
            long,
            "",
            r#","description":"a""#,
            r#","description":"b""#,
            r#","details":{"a":[1]}"#,
            r#","details":{"a":[2]}"#,
        ];
        let mut found: Vec<u64> = all.iter().map(|fields| identity(fields)).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), all.len(), "each is an event of its own");
        assert_eq!(identity(r#","log_id":1"#), identity(r#","log_id":"1""#));
        assert_eq!(identity(long), identity(&format!(r#","log_id":"{ID}""#)), "also one longer than any number");
    }

    #[test]
    fn json_that_is_right_is_read_whatever_its_numbers_and_surrogates() {
        for odd in [r#"{"n":1e999}"#, r#"{"n":[123456789012345678901234567890]}"#, r#""\ud83d""#, r#""cut \ude00 off""#]
        {
            let (decoded, reasons) = only(&format!(r#"{{"type":"s","log_id":"{ID}","details":{odd}}}"#));
            assert_eq!((decoded.len(), reasons.as_str()), (1, ""), "{odd}");
        }
        for wrong in [r#"{"n":1e}"#, r#"{"n":01234567890123456789}"#, r#""\ud83""#] {
            let (decoded, reasons) = only(&format!(r#"{{"type":"s","log_id":"{ID}","details":{wrong}}}"#));
            assert!(decoded.is_empty() && reasons.starts_with("not JSON"), "{wrong}: {reasons}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let (decoded, _) = only(&format!(r#"{{"type":"f","type":"s","log_id":"{ID}"}}"#));
        assert_eq!(decoded.events().next().map(|event| event.kind.code), Some("s"));
    }
}
