//! Other engines read what ghostlight wrote, and find what the simulator knows.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::support::{Simulated, script, succeed};

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
