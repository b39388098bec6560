//! Records built field for field after events that Auth0, its users and its partners published, with values of our own:
//! each says exactly what it should, in whatever envelope it comes.

use ghostlight::event::{DecodeSettings, Decoded, Decoder, EventTime, LogEvent, ReadTime, Reject, catalogue};
use proptest::prelude::*;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../samples/", $name))
    };
}

/// Samples of one event each.
const SINGLE: [(&str, &[u8]); 12] = [
    ("seccft-2018", sample!("seccft-2018.json")),
    ("seacft-2021-stream", sample!("seacft-2021-stream.json")),
    ("s-2021-eventbridge", sample!("s-2021-eventbridge.json")),
    ("seccft-2024-organization", sample!("seccft-2024-organization.json")),
    ("sapi-2024-pull", sample!("sapi-2024-pull.json")),
    ("seccft-2025-client-ip", sample!("seccft-2025-client-ip.json")),
    ("s-2021-sso", sample!("s-2021-sso.json")),
    ("f-2021-scope-array", sample!("f-2021-scope-array.json")),
    ("api_limit", sample!("api_limit.json")),
    ("token_quota_consumption_warning", sample!("token_quota_consumption_warning.json")),
    ("s-2025-panther", sample!("s-2025-panther.json")),
    ("unknown-code", sample!("unknown-code.json")),
];

/// Samples that hold `seccft-2024-organization` in another envelope, the first four with `seacft-2021-stream` after it.
const WRAPPED: [(&str, usize, &[u8]); 9] = [
    ("jsonarray", 2, sample!("jsonarray.json")),
    ("jsonobject", 2, sample!("jsonobject.json")),
    ("management-page", 2, sample!("management-page.json")),
    ("lines", 2, sample!("lines.ndjson")),
    ("splunk", 1, sample!("splunk.json")),
    ("event-grid", 1, sample!("event-grid.json")),
    ("bridge-json", 1, sample!("bridge-json.json")),
    ("bridge-message", 1, sample!("bridge-message.json")),
    ("bridge-event", 1, sample!("bridge-event.json")),
];

fn single(name: &str) -> &'static [u8] {
    SINGLE.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no sample {name}")).1
}

/// Reads a record on 2026-11-23.
fn decode(record: &[u8]) -> (Decoded, Vec<Reject>) {
    let read = ReadTime { arrived: None, now: time("2026-11-23T12:00:00Z") };
    let (mut decoded, mut rejects) = (Decoded::default(), Vec::new());
    Decoder::new(None).decode(record, read, &mut decoded, &mut |reject| rejects.push(reject));
    (decoded, rejects)
}

fn time(text: &str) -> EventTime {
    EventTime::parse(text).unwrap_or_else(|| panic!("{text} is a time"))
}

/// An event of that type and time, with an id and a tenant and nothing else.
fn event<'a>(code: &'a str, at: &str, log_id: &'a str, tenant: &'a str) -> LogEvent<'a> {
    LogEvent {
        kind: catalogue::lookup(code),
        type_code: code,
        at: time(at),
        lateness_ms: 0,
        identity: xxh3_64(log_id.as_bytes()),
        log_id,
        tenant,
        organization_id: "",
        organization_name: "",
        connection: "",
        strategy: "",
        client_id: "",
        client_name: "",
        user_id: "",
        ip: "",
        user_agent: "",
        audience: "",
        scope: "",
        user_name: "",
        hostname: "",
        description: "",
    }
}

#[track_caller]
fn assert_reads(name: &str, expected: LogEvent<'_>) {
    let (decoded, rejects) = decode(single(name));
    assert_eq!(rejects, [], "{name}");
    assert_eq!(decoded.events().collect::<Vec<_>>(), [expected], "{name}");
}

#[test]
fn a_token_of_2018_with_nulls_and_no_log_id_is_read_and_identified_by_what_it_says() {
    let (decoded, rejects) = decode(single("seccft-2018"));
    assert_eq!(rejects, []);
    let found = decoded.events().next().expect("an event");
    let expected = LogEvent {
        client_id: "q3Lr8mPz0XyVb5NtKc2WdE7sHaUf4GjQ",
        client_name: "profile-publisher",
        ip: "203.0.113.17",
        audience: "api.profiles.fennel.example",
        identity: found.identity,
        ..event("seccft", "2018-09-03T07:22:41.904Z", "", "fennel")
    };
    assert_eq!(decoded.events().collect::<Vec<_>>(), [expected]);

    let text = String::from_utf8_lossy(single("seccft-2018"));
    for (from, to) in [(".904Z", ".905Z"), ("203.0.113.17", "203.0.113.18"), ("\"scope\": null", "\"scope\": \"a\"")] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let (other, _) = decode(changed.as_bytes());
        let other = other.events().next().expect("an event").identity;
        assert_ne!(other, found.identity, "an event with {to} is another one");
    }
}

#[test]
fn a_code_exchange_of_2021_has_no_audience_and_is_so_late_as_its_log_id_says() {
    assert_reads(
        "seacft-2021-stream",
        LogEvent {
            lateness_ms: 3_368,
            client_id: "mB6tYw1ZrQe9XcVo3UnPk5LjHgFdSa8T",
            client_name: "Storefront",
            user_id: "auth0|6180a1f0c3d2e4b5a6978877",
            ip: "198.51.100.23",
            user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/95.0.4638.69 \
                         Safari/537.36",
            ..event(
                "seacft",
                "2021-11-04T00:38:08.977Z",
                "90020211104003812345678901234567890123456789012345678901",
                "juniper",
            )
        },
    );
}

#[test]
fn a_login_from_eventbridge_in_europe_is_the_detail_not_the_envelope() {
    assert_reads(
        "s-2021-eventbridge",
        LogEvent {
            lateness_ms: 2_412,
            connection: "Username-Password-Authentication",
            strategy: "auth0",
            client_id: "Vt7NcJ2bXq9LzRk5PyWm3HsGd8FaUe1K",
            client_name: "Citizen portal",
            user_id: "auth0|607d3a1e9b2c4d0068f1a2b3",
            ip: "2001:db8:85a3::8a2e:370:7334",
            user_agent: "Mobile Safari 14.0.3 / iOS 14.4.2",
            ..event(
                "s",
                "2021-04-19T08:05:40.706Z",
                "80020210419080543118000000000000001223372036854775811234",
                "sorrel",
            )
        },
    );
}

fn token_of_an_organization() -> LogEvent<'static> {
    LogEvent {
        lateness_ms: 79,
        organization_id: "org_8QvR2mYxLkT5bNzW",
        organization_name: "larkspur",
        client_id: "Hy5KpW9rTz2QnXv7LbMc4JdGs8FaEu3R",
        client_name: "Invoice exporter",
        ip: "192.0.2.88",
        user_agent: "Other 0.0.0 / Other 0.0.0",
        audience: "https://api.tansy.example/",
        scope: "read:invoices write:invoices",
        ..event(
            "seccft",
            "2024-11-12T14:27:03.218Z",
            "90020241112142703297641000000000000001223372036856123456",
            "tansy",
        )
    }
}

#[test]
fn a_token_of_an_organization_has_its_scopes_as_a_sorted_set() {
    assert_reads("seccft-2024-organization", token_of_an_organization());
}

#[test]
fn a_management_api_write_is_identified_by_its_underscore_id_and_not_by_what_its_details_hold() {
    assert_reads(
        "sapi-2024-pull",
        LogEvent {
            lateness_ms: 82,
            client_id: "Dn4XtQ8bLyKz6RvW2McJp9HsGa5FeU7T",
            user_id: "auth0|65fd00aa11bb22cc33dd44ee",
            ip: "203.0.113.201",
            user_agent: "Chrome 124.0.0 / Mac OS X 10.15.7",
            ..event(
                "sapi",
                "2024-05-21T16:40:55.031Z",
                "90020240521164055113902000000000000001223372036847654321",
                "borage",
            )
        },
    );
}

#[test]
fn a_token_of_2025_has_the_address_of_ip_and_each_scope_once() {
    assert_reads(
        "seccft-2025-client-ip",
        LogEvent {
            lateness_ms: 62,
            client_id: "Ls8RqV3nYt6KbXz1WmPc9JhGd4FaEu7D",
            client_name: "tenant-backup",
            ip: "198.51.100.140",
            user_agent: "tenant-backup 2.4.1",
            audience: "https://mallow.eu.auth0.com/api/v2/",
            scope: "read:clients read:connections",
            ..event(
                "seccft",
                "2025-07-30T05:51:19.640Z",
                "90020250730055119702118000000000000001223372036881234567",
                "mallow",
            )
        },
    );
    let (mut text, other) = (String::from_utf8_lossy(single("seccft-2025-client-ip")).into_owned(), "10.9.8.7");
    text = text.replace(r#""client_ip": "198.51.100.140""#, &format!(r#""client_ip": "{other}""#));
    assert!(text.contains(other));
    let (decoded, _) = decode(text.as_bytes());
    assert_eq!(decoded.events().next().expect("an event").ip, "198.51.100.140", "not the socket's peer");
}

#[test]
fn a_single_sign_on_login_has_no_connection_and_a_custom_domain_names_no_tenant() {
    assert_reads(
        "s-2021-sso",
        LogEvent {
            lateness_ms: 3_427,
            client_id: "Cx2ZpN8vQy5LkTb7RwMj4HsGd1FaUe9K",
            client_name: "Help centre",
            user_id: "google-oauth2|104857600123456789012",
            ip: "192.0.2.7",
            user_agent: "Firefox 92.0.0 / Windows 10.0.0",
            ..event(
                "s",
                "2021-09-07T11:30:01.455Z",
                "90020210907113004882000000000000001223372036854780001111",
                "unknown",
            )
        },
    );
}

#[test]
fn a_failed_login_has_its_array_of_scopes_as_a_sorted_set_where_all_of_it_is_wanted() {
    let name = "f-2021-scope-array";
    assert_reads(
        name,
        LogEvent {
            lateness_ms: 4_033,
            client_id: "mB6tYw1ZrQe9XcVo3UnPk5LjHgFdSa8T",
            client_name: "Storefront",
            ip: "198.51.100.23",
            user_agent: "Mozilla/5.0 (X11; Linux x86_64)",
            ..event(
                "f",
                "2021-11-03T19:02:29.377Z",
                "90020211103190233410000000000000001223372036854790002222",
                "juniper",
            )
        },
    );
    let whole = DecodeSettings { whole: true, ..DecodeSettings::default() };
    let read = ReadTime { arrived: None, now: time("2026-11-24T00:00:00Z") };
    let mut found = Decoded::default();
    Decoder::with_settings(whole).decode(single(name), read, &mut found, &mut |reject| panic!("{reject:?}"));
    let sets: Vec<_> = found.events().map(|event| (event.audience, event.scope)).collect();
    assert_eq!(sets, [("https://juniper.au.auth0.com/userinfo", "email openid profile")]);
}

#[test]
fn a_rate_limit_event_has_no_address() {
    assert_reads(
        "api_limit",
        LogEvent {
            lateness_ms: 74,
            client_id: "Ls8RqV3nYt6KbXz1WmPc9JhGd4FaEu7D",
            client_name: "tenant-backup",
            user_agent: "Other 0.0.0 / Other 0.0.0",
            ..event(
                "api_limit",
                "2025-03-18T22:00:10.021Z",
                "90020250318220010095000000000000001223372036870003333444",
                "mallow",
            )
        },
    );
}

#[test]
fn a_token_quota_warning_is_a_known_type() {
    let code = "token_quota_consumption_warning";
    assert_eq!((catalogue::lookup(code).code, catalogue::lookup(code).class.name()), (code, "rate-limit"));
    assert_reads(
        code,
        LogEvent {
            lateness_ms: 117,
            client_id: "Hy5KpW9rTz2QnXv7LbMc4JdGs8FaEu3R",
            client_name: "Invoice exporter",
            ..event(
                code,
                "2025-06-11T09:34:00.133Z",
                "90020250611093400250000000000000001223372036877770005555",
                "tansy",
            )
        },
    );
}

#[test]
fn a_date_as_panther_writes_it_is_utc() {
    assert_reads(
        "s-2025-panther",
        LogEvent {
            lateness_ms: 169,
            organization_id: "org_K2nBvCxZ9mLqWe4R",
            connection: "google-oauth2",
            strategy: "google-oauth2",
            client_id: "Fe6UaG1dSh8JkLzXcV3bNmQwErTy5Pi9",
            client_name: "Field notes",
            user_id: "google-oauth2|117223344556677889900",
            ip: "203.0.113.66",
            user_agent: "Chrome 140.0.0 / Linux 0.0.0",
            ..event(
                "s",
                "2025-10-03T14:09:32.149Z",
                "90020251003140932318000000000000001223372036890001212123",
                "yarrow",
            )
        },
    );
}

#[test]
fn a_type_nobody_knows_yet_is_other_and_keeps_its_code() {
    let code = "quantum_entanglement_succeeded";
    assert_eq!(catalogue::lookup(code).code, "other");
    assert_reads(
        "unknown-code",
        LogEvent {
            lateness_ms: 76,
            client_id: "Fe6UaG1dSh8JkLzXcV3bNmQwErTy5Pi9",
            client_name: "Field notes",
            user_id: "google-oauth2|117223344556677889900",
            ip: "203.0.113.66",
            ..event(
                code,
                "2026-10-02T10:15:00.001Z",
                "90020261002101500077000000000000001223372036899990009999",
                "yarrow",
            )
        },
    );
}

#[test]
fn every_published_envelope_holds_the_same_event() {
    for (name, number, record) in WRAPPED {
        let (decoded, rejects) = decode(record);
        assert_eq!(rejects, [], "{name}");
        let found: Vec<_> = decoded.events().collect();
        assert_eq!(found.first(), Some(&token_of_an_organization()), "{name}");
        let (alone, _) = decode(single("seacft-2021-stream"));
        let second: Vec<_> = alone.events().take(number - 1).collect();
        assert_eq!(found[1..], second, "{name}");
    }
}

/// The flat event inside a sample.
fn flat(record: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(record).expect("a sample is JSON");
    for wrapper in ["detail", "data"] {
        if let Some(inner) = value.get(wrapper) {
            value = inner.clone();
        }
    }
    assert!(value["type"].is_string(), "a flat event: {value}");
    value
}

/// The event in every envelope there is, alone or twice in those that can hold several, and in some within others.
fn envelopes(event: &Value) -> Vec<(&'static str, usize, Vec<u8>)> {
    let bytes = |value: &Value| value.to_string().into_bytes();
    let mut stream = json!({ "data": event });
    if let Some(log_id) = event.get("log_id").filter(|id| id.is_string()) {
        stream["log_id"] = log_id.clone();
    }
    let bridge = |detail: &Value| {
        json!({ "version": "0", "id": "5f0b1c52-7a86-4d3e-9e0d-2d1f4a6b8c90", "detail-type": "Auth0 log",
                "source": "aws.partner/auth0.com/x/auth0.logs", "time": "2026-11-01T00:00:00Z", "resources": [],
                "detail": detail })
    };
    let cloud = json!({ "id": "1", "source": "auth0", "type": "Auth0.Log", "specversion": "1.0", "data": stream });
    let grid = json!({ "id": "1", "topic": "t", "subject": "s", "eventType": "Auth0.Log", "dataVersion": "1",
                       "eventTime": "2026-11-01T00:00:00Z", "data": stream });
    let mut lines = bytes(&stream);
    lines.extend_from_slice(b"\r\n");
    lines.extend_from_slice(&bytes(event));
    lines.push(b'\n');
    let pretty = serde_json::to_vec_pretty(&json!([stream, event])).expect("a value is JSON");
    let mark = [b"\xEF\xBB\xBF".as_slice(), &bytes(&stream)].concat();
    vec![
        ("flat", 1, bytes(event)),
        ("stream", 1, bytes(&stream)),
        ("with a byte order mark", 1, mark),
        ("JSONLINES", 2, lines),
        ("JSONARRAY", 2, bytes(&json!([stream, stream]))),
        ("a pretty printed array", 2, pretty),
        ("JSONOBJECT", 2, bytes(&json!({ "logs": [stream, stream] }))),
        ("Management API", 2, bytes(&json!([event, event]))),
        (
            "Management API with totals",
            2,
            bytes(&json!({ "start": 0, "limit": 50, "length": 2, "total": 2, "logs": [event, event] })),
        ),
        ("EventBridge", 1, bytes(&bridge(&stream))),
        ("EventBridge with the flat event", 1, bytes(&bridge(event))),
        ("Splunk", 1, bytes(&json!({ "time": 1.5, "host": "h", "sourcetype": "auth0", "event": stream }))),
        ("CloudEvents", 1, bytes(&cloud)),
        ("Event Grid", 2, bytes(&json!([grid, grid]))),
        ("records", 2, bytes(&json!({ "records": [stream, event] }))),
        ("a bridge's json", 1, bytes(&json!({ "@timestamp": "2026-11-01T00:00:00Z", "json": stream }))),
        ("a bridge's message", 1, bytes(&json!({ "message": stream.to_string() }))),
        (
            "a bridge's message of lines in an array",
            2,
            bytes(&json!({ "message": json!([stream, event]).to_string() })),
        ),
        ("a bridge's event", 1, bytes(&json!({ "event": event.to_string() }))),
        ("EventBridge in a string in a bridge", 1, bytes(&json!({ "message": bridge(&stream).to_string() }))),
    ]
}

#[test]
fn the_same_event_in_every_envelope_is_the_same_event() {
    for (name, record) in SINGLE {
        let event = flat(record);
        let (alone, rejects) = decode(event.to_string().as_bytes());
        assert_eq!((alone.len(), rejects.as_slice()), (1, [].as_slice()), "{name}");
        let expected = alone.events().next().expect("an event");
        for (envelope, number, wrapped) in envelopes(&event) {
            let (decoded, rejects) = decode(&wrapped);
            assert_eq!(rejects, [], "{name} as {envelope}");
            assert_eq!(decoded.events().collect::<Vec<_>>(), vec![expected; number], "{name} as {envelope}");
        }
    }
}

/// One change to a record's bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Flip {
        at: prop::sample::Index,
        bits: u8,
    },
    Cut {
        at: prop::sample::Index,
    },
    Drop {
        at: prop::sample::Index,
        length: usize,
    },
    Insert {
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    /// A part of the record once more, somewhere else.
    Repeat {
        from: prop::sample::Index,
        length: usize,
        to: prop::sample::Index,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let json =
        prop::sample::select(vec!["{", "}", "[", "]", "\"", ",", ":", "\n", "\\", "null", "\\ud800", "1e999", "-"]);
    prop_oneof![
        (index(), 1_u8..).prop_map(|(at, bits)| Mutation::Flip { at, bits }),
        index().prop_map(|at| Mutation::Cut { at }),
        (index(), 1_usize..40).prop_map(|(at, length)| Mutation::Drop { at, length }),
        (index(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert { at, bytes }),
        (index(), json).prop_map(|(at, text)| Mutation::Insert { at, bytes: text.into() }),
        (index(), 1_usize..80, index()).prop_map(|(from, length, to)| Mutation::Repeat { from, length, to }),
    ]
}

impl Mutation {
    fn apply(&self, record: &mut Vec<u8>) {
        if record.is_empty() {
            return;
        }
        let length_now = record.len();
        let range = |at: &prop::sample::Index, length: usize| {
            let start = at.index(length_now);
            start..(start + length).min(length_now)
        };
        match self {
            Self::Flip { at, bits } => record[at.index(length_now)] ^= bits,
            Self::Cut { at } => record.truncate(at.index(length_now)),
            Self::Drop { at, length } => drop(record.drain(range(at, *length))),
            Self::Insert { at, bytes } => {
                let at = at.index(length_now);
                record.splice(at..at, bytes.iter().copied()).for_each(drop);
            }
            Self::Repeat { from, length, to } => {
                let part = record[range(from, *length)].to_vec();
                let to = to.index(length_now);
                record.splice(to..to, part).for_each(drop);
            }
        }
    }
}

fn samples() -> Vec<Vec<u8>> {
    let singles = SINGLE.iter().map(|(_, record)| record.to_vec());
    let wrapped = WRAPPED.iter().map(|(_, _, record)| record.to_vec());
    let compact = SINGLE.iter().map(|(_, record)| flat(record).to_string().into_bytes());
    singles.chain(wrapped).chain(compact).collect()
}

/// Whether any part of a JSON value is an empty array: an envelope of no events.
fn holds_empty_array(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(holds_empty_array),
        Value::Object(fields) => fields.values().any(holds_empty_array),
        _ => false,
    }
}

/// By the grammar of RFC 8259, which allows half a surrogate pair and numbers beyond any type's; serde_json's own values do
/// not, what it skips may be such.
fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_record_is_understood_or_refused_with_a_reason(
        mut record in prop::sample::select(samples()),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        mutations.iter().for_each(|mutation| mutation.apply(&mut record));
        let (decoded, rejects) = decode(&record);

        let mut end = 0;
        for reject in &rejects {
            prop_assert!(!reject.reason.is_empty());
            prop_assert!(reject.bytes.start >= end && reject.bytes.start < reject.bytes.end, "{reject:?} after {end}");
            prop_assert!(reject.bytes.end <= record.len(), "{reject:?} of {} bytes", record.len());
            end = reject.bytes.end;
        }
        // Every string an event has is one that can be read, however the record was damaged.
        for event in decoded.events() {
            prop_assert!(!event.type_code.is_empty() && !event.tenant.is_empty());
        }
        let body = record.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&record);
        if decoded.is_empty() && rejects.is_empty() {
            let nothing = body.iter().all(u8::is_ascii_whitespace);
            let no_events = || serde_json::from_slice::<Value>(body).is_ok_and(|value| holds_empty_array(&value));
            prop_assert!(nothing || no_events(), "neither understood nor refused: {}", String::from_utf8_lossy(body));
        }
        // One line is one value: if it is no JSON, it is refused whole.
        if !body.contains(&b'\n') && !is_json(body) && !body.trim_ascii().is_empty() {
            prop_assert!(!rejects.is_empty(), "no JSON, yet accepted: {}", String::from_utf8_lossy(body));
            prop_assert!(decoded.is_empty(), "no JSON, yet events: {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_damaged_line_costs_only_itself(
        line in prop::sample::select(SINGLE.to_vec()),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        let good = flat(single("seccft-2024-organization")).to_string().into_bytes();
        let mut damaged = flat(line.1).to_string().into_bytes();
        mutations.iter().for_each(|mutation| mutation.apply(&mut damaged));
        // What no longer stands on one line is not this test's matter.
        damaged.retain(|byte| *byte != b'\n' && *byte != b'\r');
        let record = [&good, b"\n".as_slice(), &damaged, b"\n", &good, b"\n"].concat();
        let (decoded, rejects) = decode(&record);
        let (alone, refused_alone) = decode(&damaged);
        let found: Vec<_> = decoded.events().collect();
        prop_assert_eq!(found.first(), Some(&token_of_an_organization()));
        prop_assert_eq!(found.last(), Some(&token_of_an_organization()));
        prop_assert_eq!(&found[1..found.len() - 1], &alone.events().collect::<Vec<_>>()[..]);
        prop_assert_eq!(rejects.len(), refused_alone.len());
    }
}

#[test]
fn every_file_of_samples_is_used_by_these_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let names = SINGLE.iter().map(|(name, _)| *name).chain(WRAPPED.iter().map(|(name, ..)| *name));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of samples")
        .map(|file| file.expect("a file").path().file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    names.sort();
    files.sort();
    assert_eq!(names, files);
}
