//! The recipes under `tests/recipes` find, with engines of others, what `ghostlight report` says and the simulator knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use ghostlight::report::{Report, UsersOfKey};

use crate::support::{Simulated, ghostlight, python, script, succeed};

const TENANT: &str = "northwind-prod";
const DAYS: [(&str, &str); 3] =
    [("2026-11-01", "2026-11-12"), ("2026-11-03", "2026-11-09"), ("2026-11-05", "2026-11-05")];
const DIMENSIONS: [&str; 4] = ["tenant", "connection", "organization", "client"];

/// Lower bound, estimate and upper bound by key.
type Bounds = BTreeMap<String, [f64; 3]>;

/// One simulated tenant, ingested once for all tests of this module.
fn dataset() -> &'static (Simulated, PathBuf) {
    static DATASET: OnceLock<(Simulated, PathBuf)> = OnceLock::new();
    DATASET.get_or_init(|| {
        let simulated = Simulated::new(40_000, 12, 11);
        let out = simulated.ingest_into("out");
        (simulated, out)
    })
}

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

/// What the report says of the same.
fn users_of(report: &Report, dimension: &str) -> BTreeMap<String, f64> {
    let active = &report.active_users;
    let of = |keys: &[UsersOfKey]| keys.iter().map(|key| (key.key.clone(), key.users.estimate)).collect();
    match dimension {
        "connection" => of(&active.by_connection),
        "organization" => of(&active.by_organization),
        "client" => of(&active.by_client),
        _ => BTreeMap::from([(String::new(), active.total.users.estimate)]),
    }
}

/// Holds what a recipe answers to the report, from which it may differ by `off`, and to the truth.
fn hold(name: &str, off: f64, answer: impl Fn([&str; 3]) -> Bounds) {
    let (simulated, out) = dataset();
    let truth = &simulated.truth().users[TENANT];
    let (mut checked, mut known) = (0, 0);
    for (from, to) in DAYS {
        let report = report(out, from, to);
        for dimension in DIMENSIONS {
            let (theirs, ours) = (answer([from, to, dimension]), users_of(&report, dimension));
            assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "{name} {dimension}");
            for (key, users) in ours {
                let [lower, estimate, upper] = theirs[&key];
                assert!(lower <= estimate && estimate <= upper, "{name} {dimension} {key}");
                let difference = (estimate - users).abs();
                assert!(
                    difference <= off + users * 1e-6,
                    "{name} {dimension} {key} {from} {to}: {estimate}, ours {users}"
                );
                checked += 1;
            }
        }
        let is_month = (from, to) == DAYS[0];
        if let Some(exact) = if is_month { Some(&truth.month) } else { truth.by_day.get(from).filter(|_| from == to) } {
            let [lower, _, upper] = answer([from, to, "tenant"])[""];
            assert!((lower..=upper).contains(&(*exact as f64)), "{name}: {lower} to {upper} for {exact}");
            known += 1;
        }
    }
    assert!(checked > 50 && known == 2, "{name}: {checked}, {known}");
}

#[test]
fn every_recipe_counts_the_users_of_any_days_as_the_report_does_and_as_they_are() {
    for name in ["duckdb_users.py", "polars_users.py", "pandas_users.py", "clickhouse_users.py"] {
        hold(name, 0.0, |[from, to, dimension]| {
            let said = succeed(recipe(name).arg(&dataset().1).args([TENANT, from, to, dimension]));
            serde_json::from_str(&said).expect("a map of bounds")
        });
    }
}

#[test]
fn spark_counts_the_same_and_makes_the_same_sketches_of_the_same_users() {
    let (simulated, out) = dataset();
    let of_days = DAYS.into_iter().flat_map(|(from, to)| DIMENSIONS.map(|dimension| [from, to, dimension]));
    let questions: Vec<_> = of_days.collect();
    let asked: Vec<_> = questions.iter().map(|[from, to, dimension]| [TENANT, *from, to, dimension]).collect();
    let mut spark = script("spark.py");
    spark.arg(out).arg(simulated.truth_path()).arg(simulated.events_path());
    // One session, since one takes longer to begin than to answer all of them.
    let said = succeed(spark.arg(serde_json::to_string(&asked).expect("text")));
    let answers: Vec<Bounds> = serde_json::from_str(&said).expect("a list of maps of bounds");
    let answers: BTreeMap<_, _> = questions.into_iter().zip(answers).collect();
    // Spark's estimates are whole numbers.
    hold("spark_users.py", 0.5, |question| answers[&question].clone());
}

#[test]
fn one_users_events_are_found_as_they_came_by_the_id_and_by_its_hash() {
    let simulated = Simulated::new(6_000, 3, 19);
    let text = std::fs::read_to_string(simulated.events_path()).expect("lines");
    // By user, the ids of their events; duplicates once, what is broken not at all.
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let event = event.get("data").unwrap_or(&event);
        if let (Some(user), Some(id)) = (event["user_id"].as_str(), event["log_id"].as_str()) {
            users.entry(user.to_owned()).or_default().insert(id.to_owned());
        }
    }
    users.remove("");
    let (user, expected) = users.iter().max_by_key(|(_, ids)| ids.len()).expect("users");
    assert!(expected.len() > 3);
    let key = simulated.path("key");
    std::fs::write(&key, "a key of the tests").expect("written");
    for (name, privacy) in
        [("kept", String::new()), ("hashed", format!("[privacy]\nuser_id = \"hash\"\nkey = {{ file = {key:?} }}\n"))]
    {
        let (out, settings) = (simulated.path(name), simulated.path("settings.toml"));
        std::fs::write(&settings, format!("[datasets]\nevents = true\n{privacy}")).expect("written");
        let mut ingest = ghostlight();
        ingest.arg("ingest").arg("--config").arg(&settings).arg("--out").arg(&out);
        succeed(ingest.arg(simulated.events_path()));
        let mut asked = recipe("duckdb_events.py");
        asked.arg(&out).args([user, "2026-11-01", "2026-11-03"]);
        if name == "hashed" {
            asked.env("GHOSTLIGHT_PRIVACY_KEY", "a key of the tests");
        }
        let found: Vec<BTreeMap<String, String>> = serde_json::from_str(&succeed(&mut asked)).expect("events");
        assert!(found.windows(2).all(|pair| pair[0]["occurred_at"] <= pair[1]["occurred_at"]), "{found:?}");
        let ids: Vec<_> = found.iter().map(|event| event["log_id"].clone()).collect();
        assert_eq!(ids.len(), expected.len(), "each once");
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), *expected, "{name}");
    }
}
