use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

/// One record with its bytes.
#[derive(Debug, PartialEq)]
pub struct Record {
    bytes: Vec<u8>,
    kind: RecordKind,
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut bytes = Vec::new();
        let kind = self.next_into(&mut bytes)?;
        Some(Record { bytes, kind })
    }
}

fn small(seed: u64, envelope: Envelope) -> Simulation {
    Simulation {
        seed,
        events: 4_000,
        days: 3,
        tenants: 2,
        envelope,
        duplicates: 0.05,
        malformed: 0.02,
        ..Simulation::default()
    }
}

/// The flat events of a valid record.
fn open(value: Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(all) => all.into_iter().for_each(|one| open(one, into)),
        Value::Object(mut map) if map.contains_key("type") => {
            assert!(map["log_id"].is_string());
            into.push(Value::Object(std::mem::take(&mut map)));
        }
        Value::Object(mut map) => {
            for name in ["logs", "detail", "event", "data", "json"] {
                if let Some(inside) = map.remove(name) {
                    return open(inside, into);
                }
            }
            if let Some(Value::String(text)) = map.remove("message") {
                open(serde_json::from_str(&text).unwrap(), into);
            }
        }
        _ => {}
    }
}

/// All events with duplicates, and the truth; checks each record on the way.
fn play(settings: &Simulation) -> (Vec<Value>, Truth) {
    let mut records = settings.records();
    let mut events = Vec::new();
    for record in &mut records {
        assert!(!record.bytes.contains(&b'\n'));
        let parsed = serde_json::from_slice::<Value>(&record.bytes);
        let before = events.len();
        if record.kind.malformed {
            if let Ok(value) = parsed {
                open(value, &mut events);
            }
            assert_eq!(events.len(), before);
        } else {
            open(parsed.unwrap(), &mut events);
        }
        assert_eq!(events.len() - before, record.kind.events as usize);
    }
    (events, records.truth())
}

fn text<'v>(event: &'v Value, key: &str) -> &'v str {
    event[key].as_str().unwrap_or_default()
}

fn distinct(events: &[Value]) -> Vec<&Value> {
    let mut by_id = BTreeMap::new();
    for event in events {
        let known = by_id.entry(text(event, "log_id")).or_insert(event);
        assert_eq!(*known, event, "a duplicate differs");
    }
    by_id.into_values().collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for envelope in Envelope::ALL {
        let settings = small(7, envelope);
        assert!(settings.records().eq(settings.records()));
        assert_eq!(settings.records().truth(), settings.records().truth());
        assert_eq!(Envelope::from_name(envelope.name()), Some(envelope));
    }
    assert!(!small(7, Envelope::Stream).records().eq(small(8, Envelope::Stream).records()));
}

/// A change here means that stored expectations elsewhere change as well: change it on purpose only.
#[test]
fn a_seed_stays_a_seed() {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for record in small(7, Envelope::Mixed).records() {
        for byte in record.bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(hash, 0xe70b_7ff5_7640_fd08, "{hash:#x}");
}

#[test]
fn any_size_has_exactly_the_events_asked_for() {
    for events in [0, 1, 2, 9, 10, 57, 200, 3_000] {
        for (days, tenants) in [(0, 0), (1, 1), (1, 3), (7, 3), (60, 1), (60, 9)] {
            let settings = Simulation {
                events,
                days,
                tenants,
                envelope: Envelope::Mixed,
                malformed: 0.01,
                ..Simulation::default()
            };
            let truth = settings.records().truth();
            assert_eq!(truth.distinct_events, events);
            assert_eq!(truth.events, events + truth.duplicates);
        }
    }
}

#[test]
fn a_small_simulation_has_every_kind_of_machine() {
    let truth = Simulation { events: 200, ..Simulation::default() }.records().truth();
    for role in cast::Role::ALL {
        let issued: u64 = truth.m2m.iter().filter(|row| row.kind == role.name()).map(|row| row.issued).sum();
        assert!(issued >= 2, "{} has {issued}", role.name());
    }
    assert!(truth.m2m_failed.values().all(|failed| failed.len() == 3));
}

#[test]
fn the_truth_is_what_a_reader_finds() {
    for envelope in Envelope::ALL {
        let settings = small(3, envelope);
        let (events, truth) = play(&settings);
        let distinct = distinct(&events);
        assert_eq!(truth.events, events.len() as u64);
        assert_eq!(truth.distinct_events, distinct.len() as u64);
        assert_eq!(truth.duplicates, (events.len() - distinct.len()) as u64);
        assert_eq!(truth.distinct_events, settings.events);
        assert!(truth.duplicates > 0 && truth.late > 0 && truth.malformed > 0);

        let mut by_type: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for event in &distinct {
            let types = by_type.entry(text(event, "tenant_name").into()).or_default();
            *types.entry(text(event, "type").into()).or_default() += 1;
        }
        assert_eq!(by_type, truth.by_type);
        check_users(&distinct, &truth);
        check_tokens(&distinct, &truth);
    }
}

fn check_users(events: &[&Value], truth: &Truth) {
    const PUBLISHED: [&str; 10] =
        ["s", "sepft", "ssa", "seoobft", "seotpft", "sercft", "sertft", "seacft", "scoa", "sens"];
    const INFERRED: [&str; 3] = ["secte", "sede", "sepkoobft"];
    let mut sets: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        let (tenant, code, user) = (text(event, "tenant_name"), text(event, "type"), text(event, "user_id"));
        if user.is_empty() {
            continue;
        }
        let mut add = |what: &str, key: &str| {
            sets.entry(format!("{tenant}/{what}/{key}")).or_default().insert(user);
        };
        let published = PUBLISHED.contains(&code);
        if published || INFERRED.contains(&code) || code == "ss" {
            add("broad", "");
        }
        if published || code == "ss" {
            add("docs", "");
        }
        if !published {
            continue;
        }
        let date = text(event, "date");
        add("all", "");
        add("day", &date[..10]);
        add("month", &date[..7]);
        for (what, key) in [("organization", "organization_id"), ("connection", "connection"), ("client", "client_id")]
        {
            let value = text(event, key);
            if !value.is_empty() {
                add(what, value);
            }
        }
    }
    let mut expected = BTreeMap::new();
    for (tenant, users) in &truth.users {
        let mut put = |what: &str, key: &str, count: u64| {
            if count > 0 {
                expected.insert(format!("{tenant}/{what}/{key}"), count);
            }
        };
        put("all", "", users.month);
        put("docs", "", users.month_docs);
        put("broad", "", users.month_broad);
        for (what, map) in [
            ("day", &users.by_day),
            ("month", &users.by_month),
            ("organization", &users.by_organization),
            ("connection", &users.by_connection),
            ("client", &users.by_client),
        ] {
            map.iter().for_each(|(key, count)| put(what, key, *count));
        }
    }
    let found: BTreeMap<String, u64> = sets.iter().map(|(key, set)| (key.clone(), set.len() as u64)).collect();
    assert_eq!(found, expected);
}

fn needed(mut seconds: Vec<i64>, lifetime: i64) -> u64 {
    seconds.sort_unstable();
    let (mut valid_until, mut needed) = (i64::MIN, 0);
    for at in seconds {
        if at >= valid_until {
            valid_until = at + lifetime;
            needed += 1;
        }
    }
    needed
}

fn seconds(date: &str) -> i64 {
    let number = |from: usize, to: usize| date[from..to].parse::<i64>().unwrap();
    let day = (0..60_000).find(|day| civil(*day) == (number(0, 4), number(5, 7) as u64, number(8, 10) as u64)).unwrap();
    day * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19)
}

fn check_tokens(events: &[&Value], truth: &Truth) {
    let mut issues: BTreeMap<[String; 5], Vec<(i64, &str)>> = BTreeMap::new();
    let mut failed: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for event in events {
        let code = text(event, "type");
        let tenant = text(event, "tenant_name");
        if code == "feccft" {
            let client = match text(event, "client_name") {
                "" => UNRECOGNISED,
                _ => text(event, "client_id"),
            };
            *failed.entry(tenant.into()).or_default().entry(client.into()).or_default() += 1;
        }
        if code != "seccft" {
            continue;
        }
        let mut scopes: Vec<&str> = match &event["scope"] {
            Value::String(text) => text.split(' ').collect(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        scopes.sort_unstable();
        let key = [
            tenant.to_owned(),
            text(event, "client_id").to_owned(),
            text(event, "audience").to_owned(),
            text(event, "organization_id").to_owned(),
            scopes.join(" "),
        ];
        issues.entry(key).or_default().push((seconds(text(event, "date")), text(event, "ip")));
    }
    assert_eq!(failed, truth.m2m_failed);
    assert_eq!(issues.len(), truth.m2m.len());
    for row in &truth.m2m {
        let key = [&row.tenant, &row.client_id, &row.audience, &row.organization_id, &row.scope];
        let found = &issues[&key.map(String::clone)];
        assert_eq!(row.issued, found.len() as u64);
        let all = found.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(row.first_at_ms.div_euclid(1_000), *all.iter().min().unwrap());
        assert_eq!(row.last_at_ms.div_euclid(1_000), *all.iter().max().unwrap());
        assert_eq!(row.needed_shared, needed(all.clone(), row.lifetime_s));
        let lenient = row.lifetime_s * (100 - LEEWAY_PERCENT) / 100;
        assert_eq!(row.needed_shared_leeway, needed(all, lenient));
        let mut by_address: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (at, address) in found {
            by_address.entry(address).or_default().push(*at);
        }
        let sum = |lifetime| by_address.values().map(|at| needed(at.clone(), lifetime)).sum::<u64>();
        assert_eq!(row.needed_per_address, sum(row.lifetime_s));
        assert_eq!(row.needed_per_address_leeway, sum(lenient));
    }
}

#[test]
fn machines_behave_as_their_names_say() {
    let truth =
        Simulation { events: 100_000, days: 10, users: Some(20_000), ..Simulation::default() }.records().truth();
    let row = |name: &str| truth.m2m.iter().find(|row| row.kind == name).unwrap();
    let wasteful = row("asks-per-request");
    assert!(wasteful.issued > 20 * wasteful.needed_per_address);
    let good = row("well-behaved");
    assert_eq!((good.issued, good.issued), (good.needed_shared, good.needed_shared_leeway));
    let local = row("cache-per-process");
    assert_eq!((local.issued, local.issued), (local.needed_per_address, local.needed_per_address_leeway));
    assert!(local.issued > 8 * local.needed_shared);
    for early in truth.m2m.iter().filter(|row| row.kind == "per-scope") {
        assert!(early.needed_shared < early.issued && early.issued == early.needed_shared_leeway);
    }
    let fleet = row("fleet-behind-nat");
    assert!(fleet.issued > 8 * fleet.needed_shared);
    assert_eq!(fleet.needed_per_address, fleet.needed_shared);
    assert!(!row("management").billable);
    let job = row("scheduled-job");
    assert_eq!((job.issued, job.needed_shared), (40, 40));
    let broke = row("cache-broke");
    assert!(broke.issued > 10 * broke.needed_shared);
    let refused: u64 = truth.m2m_failed.values().flat_map(BTreeMap::values).sum();
    let tokens = refused + truth.m2m.iter().map(|row| row.issued).sum::<u64>();
    assert!((25_000..35_000).contains(&tokens), "{tokens}");
    let people = &truth.users["northwind-prod"];
    assert!(people.month > 1_500 && people.month < people.month_docs);
    assert!(people.month_docs <= people.month_broad);
}

#[test]
fn memory_does_not_grow_with_events() {
    let settings = Simulation { events: 200_000, ..Simulation::default() };
    let mut records = settings.records();
    let mut out = Vec::new();
    let (mut most, mut bytes, mut count) = (0, 0, 0);
    while let Some(kind) = records.next_into(&mut out) {
        most = most.max(records.arriving.len() + records.again.len());
        bytes += out.len();
        count += u64::from(kind.events);
    }
    assert!(most < 1_000, "{most} events held back");
    let mean = bytes / count as usize;
    assert!((1_500..2_100).contains(&mean), "{mean} bytes an event");
    let truth = records.truth();
    assert_eq!((truth.events, truth.distinct_events), (count, 200_000));
    // Its JSON is lossless.
    let json = serde_json::to_string(&truth).unwrap();
    assert_eq!(serde_json::from_str::<Truth>(&json).unwrap(), truth);
}

#[test]
fn dates_are_right_at_the_edges() {
    let mut out = Vec::new();
    for at in [0, 951_782_399_999, 1_793_491_200_000, 4_107_542_399_999] {
        write::date(&mut out, at, true);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "1970-01-01T00:00:00.000Z2000-02-28T23:59:59.999Z2026-11-01T00:00:00.000Z2100-02-28T23:59:59.999Z"
    );
}
