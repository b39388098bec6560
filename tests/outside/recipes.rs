//! The recipes under `tests/recipes` find, with engines of others, what `ghostlight report` says and the simulator knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ghostlight::report::{Report, UsersOfKey};

use crate::support::{Simulated, ghostlight, python, succeed};

const TENANT: &str = "northwind-prod";

fn recipe(name: &str) -> Command {
    let mut command = python();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes").join(name));
    command
}

fn report(out: &Path, from: &str, to: &str) -> Report {
    let said = succeed(
        ghostlight()
            .args(["report", "--tenant", TENANT, "--from", from, "--to", to, "--format", "json", "--data"])
            .arg(out),
    );
    serde_json::from_str(&said).expect("a report")
}

#[test]
fn every_recipe_counts_the_users_of_any_days_as_the_report_does_and_as_they_are() {
    let simulated = Simulated::new(40_000, 12, 11);
    let out = simulated.ingest_into("out");
    let truth = &simulated.truth().users[TENANT];
    let read = |name: &str, from: &str, to: &str, dimension: &str| -> BTreeMap<String, [f64; 3]> {
        let said = succeed(recipe(name).arg(&out).args([TENANT, from, to, dimension]));
        serde_json::from_str(&said).expect("a map of bounds")
    };
    for name in ["duckdb_users.py", "polars_users.py", "pandas_users.py"] {
        let mut checked = 0;
        for (from, to) in [("2026-11-01", "2026-11-12"), ("2026-11-03", "2026-11-09"), ("2026-11-05", "2026-11-05")] {
            let active = report(&out, from, to).active_users;
            let all = UsersOfKey { users: active.total.users, ..UsersOfKey::default() };
            let of =
                |keys: Vec<UsersOfKey>| keys.into_iter().map(|key| (key.key, key.users)).collect::<BTreeMap<_, _>>();
            for (dimension, ours) in [
                ("tenant", of(vec![all])),
                ("connection", of(active.by_connection)),
                ("organization", of(active.by_organization)),
                ("client", of(active.by_client)),
            ] {
                let theirs = read(name, from, to, dimension);
                assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "{name} {dimension}");
                for (key, users) in ours {
                    let [lower, estimate, upper] = theirs[&key];
                    assert!(lower <= estimate && estimate <= upper, "{name} {dimension} {key}");
                    let difference = (estimate - users.estimate).abs() / users.estimate;
                    assert!(difference < 1e-6, "{name} {dimension} {key} {from} {to}: {estimate}, ours {users:?}");
                    checked += 1;
                }
            }
            let exact = if from == to { truth.by_day.get(from) } else { (to == "2026-11-12").then_some(&truth.month) };
            if let Some(exact) = exact {
                let [lower, _, upper] = read(name, from, to, "tenant")[""];
                assert!((lower..=upper).contains(&(*exact as f64)), "{name}: {lower} to {upper} for {exact}");
            }
        }
        assert!(checked > 50, "{name}: {checked}");
    }
}
