//! Other engines read what ghostlight wrote, and find what the simulator knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ghostlight::report::Report;

use crate::support::{Simulated, ghostlight, script, succeed};

/// One simulated tenant, ingested once for all tests of this module.
fn dataset() -> &'static (Simulated, PathBuf) {
    static DATASET: OnceLock<(Simulated, PathBuf)> = OnceLock::new();
    DATASET.get_or_init(|| {
        let simulated = Simulated::new(40_000, 3, 7);
        let out = simulated.ingest_into("out");
        (simulated, out)
    })
}

/// Runs a script over the output, the truth and the events. It says how much it checked.
fn check(name: &str) -> String {
    let (simulated, out) = dataset();
    succeed(script(name).arg(out).arg(simulated.truth_path()).arg(simulated.events_path()))
}

#[test]
fn duckdb_polars_and_pyarrow_read_the_same_rows_of_the_documented_types() {
    let said = check("same_rows.py");
    for dataset in ["active_users", "m2m_tokens", "event_counts", "dead_letters"] {
        assert!(said.contains(&format!("{dataset}: ")), "nothing was said of {dataset}: {said}");
    }
}

#[test]
fn sums_read_by_duckdb_are_the_truth() {
    let said = check("sums.py");
    assert!(said.contains("event_counts: ") && said.contains("m2m_tokens: "), "{said}");
}

#[test]
fn apache_datasketches_reads_every_sketch_and_its_union_is_the_true_number_of_users() {
    let said = check("sketches.py");
    assert!(said.contains("sketches read"), "{said}");
}

const TENANT: &str = "northwind-prod";

fn report(out: &Path) -> Report {
    let mut command = ghostlight();
    let days = ["--from", "2026-11-01", "--to", "2026-11-05"];
    command.args(["report", "--tenant", TENANT, "--format", "json"]).args(days).arg("--data").arg(out);
    serde_json::from_str(&succeed(&mut command)).expect("a report")
}

#[derive(Debug, serde::Deserialize)]
struct Views {
    events_by_day: BTreeMap<String, u64>,
    users: Vec<Days>,
    issued: u64,
    failed: u64,
    dead_letters: u64,
}

#[derive(Debug, serde::Deserialize)]
struct Days {
    by_day: BTreeMap<String, f64>,
    all: f64,
}

fn views(out: &Path, how: &[&str]) -> Views {
    let said = succeed(script("views.py").arg(out).arg(TENANT).args(how));
    serde_json::from_str(&said).expect("what the views say")
}

/// DuckDB's numbers are the report's.
fn hold(found: &Views, report: &Report, what: &str) {
    let by_day: BTreeMap<_, _> = report.events.by_day.iter().map(|day| (day.date.clone(), day.events)).collect();
    assert_eq!(found.events_by_day, by_day, "{what}");
    let tokens = &report.m2m_tokens;
    assert_eq!((found.issued, found.failed), (tokens.total.issued, tokens.failed), "{what}");
    let same = |found: f64, users: f64| assert!((found / users - 1.0).abs() < 1e-6, "{what}: {found}, ours {users}");
    for users in &found.users {
        same(users.all, report.active_users.total.users.estimate);
        assert_eq!(users.by_day.len(), report.active_users.by_day.len(), "{what}");
        report.active_users.by_day.iter().for_each(|day| same(users.by_day[&day.date], day.day.estimate));
    }
}

#[test]
fn the_views_for_duckdb_have_the_reports_numbers_before_and_after_compaction_removed_anything() {
    let simulated = Simulated::new(20_000, 5, 13);
    let late = Simulated::new(5_000, 5, 14);
    let out = simulated.ingest_into("out");
    let compact = |keep: &str| succeed(ghostlight().args(["compact", "--keep", keep]).arg(&out));
    let raw = report(&out);
    assert!(raw.active_users.by_day.len() == 5 && raw.m2m_tokens.total.issued > 0 && raw.m2m_tokens.failed > 0);
    let by_glob = views(&out, &["glob"]);
    hold(&by_glob, &raw, "as committed");
    let dead_letters = simulated.truth().malformed;
    assert!(by_glob.dead_letters == dead_letters && dead_letters > 0);

    // Merged, and nothing removed yet; then late events of the same days come, which the views name after the next round.
    compact("1day");
    assert_eq!(report(&out), raw);
    let named = views(&out, &[]);
    assert_eq!(named.users.len(), 2, "by window, and by day");
    hold(&named, &raw, "merged");
    succeed(ghostlight().arg("ingest").arg("--out").arg(&out).arg(late.events_path()));
    hold(&views(&out, &[]), &raw, "merged, and more came");
    let more = report(&out);
    hold(&views(&out, &["glob"]), &more, "merged, and more came, by glob");

    // All of it merged, and what is merged removed: at the second round also what the first one kept for its readers.
    for round in ["all merged", "again"] {
        compact("0s");
        assert_eq!(report(&out), more, "{round}");
        hold(&views(&out, &[]), &more, round);
        let by_glob = views(&out, &["glob"]);
        hold(&by_glob, &more, round);
        assert_eq!(by_glob.dead_letters, dead_letters + late.truth().malformed, "{round}");
    }
    let files = std::fs::read_dir(out.join("active_users/date=2026-11-03")).expect("the day's folder");
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name().into_string().expect("text")).collect();
    assert!(names.len() == 1 && names[0].starts_with("compacted-"), "{names:?}");
}

#[test]
fn delta_tables_have_the_reports_numbers_whatever_was_exported_before() {
    let simulated = Simulated::new(20_000, 5, 15);
    let late = Simulated::new(5_000, 5, 16);
    let (out, tables) = (simulated.ingest_into("out"), simulated.path("delta"));
    let check = |what: &str| {
        succeed(ghostlight().arg("export").arg("--delta").arg(&tables).arg("--data").arg(&out));
        hold(&views(&tables, &["delta"]), &report(&out), what);
    };
    check("as committed");
    succeed(ghostlight().arg("ingest").arg("--out").arg(&out).arg(late.events_path()));
    check("more came");
    succeed(ghostlight().args(["compact", "--keep", "0s"]).arg(&out));
    check("merged");
}

/// Sketches of other implementations, as SQL reads them.
#[cfg(feature = "query")]
#[test]
fn sketches_of_every_kind_that_python_makes_are_read_by_queries() {
    let (_, out) = dataset();
    let made = succeed(&mut script("sketch_kinds.py"));
    let made: Vec<(String, String, u64, u64)> = serde_json::from_str(&made).expect("a list");
    let ask = |sql: &str| {
        let said = succeed(ghostlight().args(["query", sql, "--format", "csv", "--data"]).arg(out));
        said.lines().nth(1).expect("a row").to_owned()
    };
    for (what, sketch, users, estimate) in &made {
        let counted = ask(&format!("SELECT hll_sketch_estimate(x'{sketch}') AS users"));
        assert_eq!(counted, estimate.to_string(), "{what}");
        let bounds = format!(
            "SELECT {users} BETWEEN hll_sketch_lower(u) AND hll_sketch_upper(u) FROM (SELECT hll_union(x'{sketch}', \
             x'{sketch}') AS u)"
        );
        assert_eq!(ask(&bounds), "true", "{what}");
    }
    // One of each number of users has those of all smaller ones.
    let all: Vec<_> = made.iter().map(|(_, sketch, ..)| format!("(x'{sketch}')")).collect();
    let union = format!(
        "SELECT hll_sketch_estimate(hll_union_agg(sketch)) AS users FROM (VALUES {}) AS made (sketch)",
        all.join(", ")
    );
    let largest = made.iter().map(|(_, _, _, estimate)| estimate).max().expect("some");
    assert_eq!(ask(&union), largest.to_string());
    assert!(made.len() >= 24, "{}", made.len());
}
