//! `simulate` knows the exact answers; `ingest` must find them, in every envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use ghostlight::event::catalogue;
use ghostlight::partial::{Dimension, Partial};
use ghostlight::simulate::{Envelope, LEEWAY_PERCENT, Simulation, Truth};
use ghostlight::store::Store;
use ghostlight::usage::tokens::TokenKey;
use ghostlight::usage::{self, Usage, ghost};
use object_store::memory::InMemory;

use crate::support::{config, ingest, runtime, small, verified, write_simulation};

fn found(simulation: &Simulation) -> (Truth, Partial) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events");
    let truth = write_simulation(simulation, &file);
    let store = Store::of(Arc::new(InMemory::new()));
    let summary = ingest(&store, &config("[flush]\nbytes = \"4MiB\"\n"), &[&file]).expect("ingests");
    verified(&store);
    let accounting = summary.accounting;
    assert_eq!(accounting.records, truth.records);
    assert_eq!(accounting.rejected, truth.malformed);
    assert_eq!(accounting.events, truth.events);
    assert_eq!(accounting.counted, truth.distinct_events);
    assert_eq!(accounting.duplicates, truth.duplicates);
    (truth, runtime().block_on(usage::fold(&store)).expect("reads"))
}

fn check_counts(truth: &Truth, partial: &Partial) {
    let mut expected: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (tenant, types) in &truth.by_type {
        for (code, count) in types {
            *expected.entry((tenant, catalogue::lookup(code).code)).or_default() += count;
        }
    }
    let mut counted: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in partial.counts() {
        *counted.entry((row.tenant, row.type_code)).or_default() += row.events;
    }
    assert_eq!(counted, expected);
}

fn check_tokens(truth: &Truth, partial: &Partial) {
    let key = |tenant: &str, client: &str, audience: &str, organization: &str, scope: &str| {
        [tenant, client, audience, organization, scope].join("|")
    };
    let mut issued: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    let mut failed: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in partial.tokens() {
        if row.issued > 0 {
            let of = key(row.tenant, row.client_id, row.audience, row.organization_id, row.scope);
            let entry = issued.entry(of).or_insert((0, row.billable));
            entry.0 += row.issued;
        }
        if row.failed > 0 {
            *failed.entry((row.tenant.to_owned(), row.client_id.to_owned())).or_default() += row.failed;
        }
    }
    let expected: BTreeMap<_, _> = truth
        .m2m
        .iter()
        .filter(|row| row.issued > 0)
        .map(|row| {
            let of = key(&row.tenant, &row.client_id, &row.audience, &row.organization_id, &row.scope);
            (of, (row.issued, row.billable))
        })
        .collect();
    assert_eq!(issued, expected);
    let expected: BTreeMap<_, _> = truth
        .m2m_failed
        .iter()
        .flat_map(|(tenant, clients)| clients.iter().map(|(id, count)| ((tenant.clone(), id.clone()), *count)))
        .collect();
    assert_eq!(failed, expected);

    // The bitmaps lose nothing that the needed tokens depend on, with a leeway and without.
    let mut usage = Usage::default();
    usage.absorb(partial);
    for (leeway_percent, is_strict) in [(0, true), (LEEWAY_PERCENT as u32, false)] {
        let by_setting = truth.m2m.iter().map(|row| (row.audience.clone(), row.lifetime_s as u32)).collect();
        let leeway_percent = Some(leeway_percent);
        usage.settle(&ghost::Lifetimes { by_setting, leeway_percent, ..ghost::Lifetimes::default() });
        for row in truth.m2m.iter().filter(|row| row.issued > 0) {
            let tokens = &usage.tenant(&row.tenant).expect("every tenant is found").tokens;
            let of = |key: &&TokenKey| {
                [&key.client_id, &key.audience, &key.organization_id, &key.scope]
                    == [&row.client_id, &row.audience, &row.organization_id, &row.scope]
            };
            let (_, used) = tokens.keys().find(|(key, _)| of(key)).expect("every key is found");
            let all = 0..u32::MAX;
            let expected = match is_strict {
                true => (row.issued, row.needed_shared, row.needed_per_address),
                false => (row.issued, row.needed_shared_leeway, row.needed_per_address_leeway),
            };
            let found = (used.issued(&all), used.needed_shared(&all), used.needed_per_address(&all));
            assert_eq!(found, expected, "{row:?}");
        }
    }
}

fn check_users(truth: &Truth, partial: &Partial) {
    let mut sketches: BTreeMap<(String, Dimension, String), ghostlight::partial::sketch::UserSketch> = BTreeMap::new();
    for row in partial.users() {
        sketches
            .entry((row.tenant.to_owned(), row.dimension, row.key.to_owned()))
            .and_modify(|users| users.merge(&row.users))
            .or_insert_with(|| row.users.clone().into_owned());
    }
    let (mut checked, mut outside) = (0, 0);
    let mut check = |tenant: &str, dimension, key: &str, exact: u64| {
        let estimate = sketches[&(tenant.to_owned(), dimension, key.to_owned())].estimate();
        checked += 1;
        let within = (estimate.lower..=estimate.upper).contains(&(exact as f64));
        outside += u32::from(!within);
        // Five standard errors are beyond chance whatever the seed.
        let error = (estimate.estimate / exact as f64 - 1.0).abs();
        assert!(error < 5.0 * 0.01625 + 1.0 / exact as f64, "{tenant} {dimension:?} {key}: {estimate:?} for {exact}");
    };
    for (tenant, users) in &truth.users {
        check(tenant, Dimension::Tenant, "", users.month);
        users.by_organization.iter().for_each(|(key, exact)| check(tenant, Dimension::Organization, key, *exact));
        users.by_connection.iter().for_each(|(key, exact)| check(tenant, Dimension::Connection, key, *exact));
        users.by_client.iter().for_each(|(key, exact)| check(tenant, Dimension::Client, key, *exact));
    }
    assert!(checked >= 10);
    assert!(f64::from(outside) <= f64::from(checked) * 0.02, "{outside} of {checked} outside of 99.7 % bounds");
}

#[test]
fn ingest_finds_what_simulate_knows_in_every_envelope() {
    for name in Envelope::NAMES {
        let envelope = Envelope::from_name(name).expect("a name of its own list");
        let (truth, partial) = found(&Simulation { envelope, tenants: 2, ..small(21, 8_000) });
        check_counts(&truth, &partial);
        check_tokens(&truth, &partial);
        check_users(&truth, &partial);
    }
}

#[test]
fn distinct_users_stay_within_their_bounds_at_size() {
    let simulation = Simulation { users: Some(60_000), days: 7, ..small(22, 120_000) };
    let (truth, partial) = found(&simulation);
    check_counts(&truth, &partial);
    check_users(&truth, &partial);
}
