//! The merge, conservation, lateness, identity and bound laws, over the pure core.

use std::sync::Arc;

use ghostlight::event::{Chunk, Content, Decoded, DecodedChunk, Decoder, EventTime, ReadTime, RecordSpan, Resume};
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::partial::{Batch, FoldSettings, Partial, UNRECOGNISED};
use ghostlight::simulate::{Envelope, Simulation};
use ghostlight::store::Store;
use object_store::memory::InMemory;
use proptest::prelude::*;

use crate::support::{committed, config, ingest, small, tables, verified, write_simulation};

const NOW: EventTime = EventTime::from_ms(1_795_435_200_000);

fn decode(records: &[Vec<u8>]) -> Decoded {
    let read = ReadTime { arrived: None, now: NOW };
    let (mut decoder, mut decoded) = (Decoder::new(None), Decoded::default());
    records.iter().for_each(|record| decoder.decode(record, read, &mut decoded, &mut |_| {}));
    decoded
}

fn records(simulation: &Simulation) -> Vec<Vec<u8>> {
    let (mut records, mut all, mut record) = (simulation.records(), Vec::new(), Vec::new());
    while records.next_into(&mut record).is_some() {
        all.push(record.clone());
    }
    all
}

fn fold(decoded: &Decoded, keep: impl Fn(usize) -> bool) -> Partial {
    let mut partial = Partial::default();
    let settings = FoldSettings::default();
    let kept = decoded.events().enumerate().filter(|(at, _)| keep(*at));
    kept.for_each(|(_, event)| partial.fold(&event, &settings));
    partial
}

fn chunk(start: u64, records: &[Vec<u8>]) -> DecodedChunk {
    let mut chunk = Chunk { start, end: start + records.len() as u64, resume: Resume::default(), ..Chunk::default() };
    for (at, record) in records.iter().enumerate() {
        let begin = chunk.bytes.len();
        chunk.bytes.extend_from_slice(record);
        let bytes = begin..chunk.bytes.len();
        chunk.records.push(RecordSpan { offset: start + at as u64, bytes, arrived: None, content: Content::Any });
    }
    chunk.decode(&mut Decoder::new(None), NOW)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_split_merged_in_any_order_equals_folding_at_once(
        seed in 0_u64..1000,
        parts in 1_usize..9,
        assignment in proptest::collection::vec(0_usize..9, 600),
        order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let decoded = decode(&records(&Simulation { users: Some(40), ..small(seed, 600) }));
        let part_of = |at: usize| assignment[at % assignment.len()] % parts;
        let mut merged = Partial::default();
        for part in order.into_iter().filter(|part| *part < parts) {
            merged.merge(&fold(&decoded, |at| part_of(at) == part));
        }
        prop_assert_eq!(tables(&merged), tables(&fold(&decoded, |_| true)));
    }

    #[test]
    fn merging_is_associative_and_an_empty_partial_changes_nothing(seed in 0_u64..1000) {
        let decoded = decode(&records(&small(seed, 300)));
        let part = |of: usize| fold(&decoded, move |at| at % 3 == of);
        let mut left = part(0);
        left.merge(&part(1));
        left.merge(&part(2));
        let mut tail = part(1);
        tail.merge(&part(2));
        let mut right = Partial::default();
        right.merge(&part(0));
        right.merge(&Partial::default());
        right.merge(&tail);
        prop_assert_eq!(tables(&left), tables(&right));
    }

    #[test]
    fn every_record_and_event_is_accounted_for_however_it_is_cut(
        seed in 0_u64..1000,
        cuts in proptest::collection::vec(1_usize..80, 1..20),
    ) {
        let simulation = Simulation { malformed: 0.1, duplicates: 0.2, envelope: Envelope::Mixed, ..small(seed, 400) };
        let all = records(&simulation);
        let truth = simulation.records().truth();
        let (mut batch, mut dedupe) = (Batch::new(0), Dedupe::new(100_000));
        let (mut at, mut cut) = (0, cuts.iter().cycle());
        while at < all.len() {
            let end = (at + cut.next().copied().unwrap_or(1)).min(all.len());
            batch.fold(chunk(at as u64, &all[at..end]), &FoldSettings::default(), &[], &mut dedupe, NOW);
            at = end;
        }
        let accounting = batch.accounting;
        prop_assert!(accounting.adds_up());
        prop_assert_eq!(accounting.records, truth.records);
        prop_assert_eq!(accounting.rejected, truth.malformed);
        prop_assert_eq!(accounting.counted, truth.distinct_events);
        prop_assert_eq!(accounting.duplicates, truth.duplicates);
        prop_assert_eq!(batch.partial.counts().iter().map(|row| row.events).sum::<u64>(), truth.distinct_events);
    }
}

#[test]
fn duplicates_change_nothing_but_their_own_count() {
    let all = records(&Simulation { duplicates: 0.0, malformed: 0.0, ..small(3, 500) });
    let settings = FoldSettings::default();
    let once = {
        let mut batch = Batch::new(0);
        batch.fold(chunk(0, &all), &settings, &[], &mut Dedupe::new(100_000), NOW);
        batch
    };
    let mut twice = Batch::new(0);
    let mut dedupe = Dedupe::new(100_000);
    twice.fold(chunk(0, &all), &settings, &[], &mut dedupe, NOW);
    twice.fold(chunk(all.len() as u64, &all), &settings, &[], &mut dedupe, NOW);
    assert_eq!(tables(&twice.partial), tables(&once.partial));
    assert_eq!(twice.accounting.duplicates, once.accounting.counted);
}

#[test]
fn ignored_types_are_counted_as_ignored_and_in_no_row() {
    let all = records(&Simulation { malformed: 0.0, duplicates: 0.0, ..small(5, 500) });
    let mut batch = Batch::new(0);
    batch.fold(chunk(0, &all), &FoldSettings::default(), &["seccft".to_owned()], &mut Dedupe::new(1000), NOW);
    assert!(batch.accounting.ignored > 0 && batch.accounting.adds_up());
    assert!(batch.partial.counts().iter().all(|row| row.type_code != "seccft"));
    assert!(batch.partial.tokens().iter().all(|row| row.issued == 0));
}

#[test]
fn an_event_however_late_is_in_its_own_window_and_the_window_says_how_late() {
    let week_late = r#"{"type":"s","log_id":"90020261110120000000000000000000000001223372036854775807","date":"2026-11-03T11:59:59.000Z","user_id":"auth0|1"}"#;
    let mut batch = Batch::new(0);
    batch.fold(chunk(0, &[week_late.as_bytes().to_vec()]), &FoldSettings::default(), &[], &mut Dedupe::new(10), NOW);
    let users = batch.partial.users();
    assert_eq!(users[0].window_start.to_string(), "2026-11-03T11:00:00.000Z");
    assert_eq!(users[0].max_lateness_ms, 7 * 86_400_000 + 1000);
}

#[test]
fn values_a_stranger_chose_share_one_key() {
    let failure = |n: u32, code: &str| {
        format!(
            r#"{{"type":"{code}","log_id":"id-{n}","date":"2026-11-03T11:59:59.000Z","client_id":"made-up-{n}","client_name":"","connection":"made-up-{n}","organization_id":"org_{n}","organization_name":"","ip":"10.0.{}.{}","audience":"https://made-up-{n}/","scope":"made:{n}","user_id":"made|{n}"}}"#,
            n / 256,
            n % 256
        )
        .into_bytes()
    };
    let all: Vec<_> =
        (0..20_000).map(|n| failure(n, ["feccft", "fp", "f", "fu", "limit_wc"][n as usize % 5])).collect();
    let mut batch = Batch::new(0);
    batch.fold(chunk(0, &all), &FoldSettings::default(), &[], &mut Dedupe::new(100_000), NOW);
    assert_eq!(batch.accounting.counted, 20_000);
    assert_eq!(batch.partial.row_count(), 5 + 1, "a row a type, and one of refused tokens");
    let tokens = batch.partial.tokens();
    assert_eq!((tokens[0].client_id, tokens[0].failed, tokens[0].issued), (UNRECOGNISED, 4000, 0));
    assert_eq!((tokens[0].ip, tokens[0].scope, tokens[0].audience), ("", "", ""));
    assert!(batch.partial.counts().iter().all(|row| row.client_id == UNRECOGNISED));
}

#[test]
fn a_known_client_that_fails_keeps_its_name_in_the_rows() {
    let known = br#"{"type":"feccft","log_id":"1","date":"2026-11-03T11:59:59.000Z","client_id":"abc","client_name":"Billing","scope":"x"}"#;
    let mut batch = Batch::new(0);
    batch.fold(chunk(0, &[known.to_vec()]), &FoldSettings::default(), &[], &mut Dedupe::new(10), NOW);
    assert_eq!((batch.partial.tokens()[0].client_id, batch.partial.tokens()[0].client_name), ("abc", "Billing"));
}

#[test]
fn the_memory_ceiling_flushes_early_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    // Many users in many hours: rows and sketches outgrow a small ceiling again and again.
    write_simulation(&Simulation { days: 20, users: Some(20_000), ..small(9, 30_000) }, &file);
    let (small_memory, large_memory) = (Store::of(Arc::new(InMemory::new())), Store::of(Arc::new(InMemory::new())));
    let summary = ingest(&small_memory, &config("[flush]\nmemory = \"1MiB\"\n"), &[&file]).expect("ingests");
    assert!(summary.commits > 5, "only {} commits", summary.commits);
    let whole = ingest(&large_memory, &config("[flush]\nmemory = \"1GiB\"\n"), &[&file]).expect("ingests");
    assert_eq!(whole.commits, 1);
    verified(&small_memory);
    assert!(committed(&small_memory) == committed(&large_memory));
}
