//! The replay law on an S3 server: killed at any moment and started again, the tables are those of a run that never stopped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ghostlight::partial::Partial;
use ghostlight::store::{Location, Store};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::support::{Simulated, ghostlight, script, succeed};

const BUCKET: &str = "ghostlight-test";
/// Many commits out of a small file.
const SMALL_BATCHES: &str = "[flush]\nbytes = \"512KiB\"\n";

/// An S3 server that ends with this value, also when a test panics. It ends by itself if this process is killed.
struct S3 {
    server: Child,
    endpoint: String,
}

impl S3 {
    fn start() -> Self {
        let mut server = script("s3_server.py")
            .arg(BUCKET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let mut endpoint = String::new();
        let stdout = server.stdout.take().map(BufReader::new);
        let mut s3 = Self { server, endpoint: String::new() };
        stdout.expect("standard output is piped").read_line(&mut endpoint).expect("the server's address");
        s3.endpoint = endpoint.trim().to_owned();
        assert!(s3.endpoint.starts_with("http://127.0.0.1:"), "the S3 server did not start: {:?}", s3.endpoint);
        s3
    }

    fn ghostlight(&self) -> Command {
        let mut command = ghostlight();
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT", &self.endpoint)
            .env("AWS_ALLOW_HTTP", "true");
        command
    }

    /// `ghostlight ingest` of the simulated file in small batches.
    fn ingest(&self, simulated: &Simulated, prefix: &str) -> Command {
        let settings = simulated.path("small-batches.toml");
        std::fs::write(&settings, SMALL_BATCHES).expect("settings can be written");
        let mut command = self.ghostlight();
        command.args(["ingest", "--config"]).arg(settings);
        command.arg("--out").arg(url(prefix)).arg(simulated.events_path());
        command
    }

    /// What `ghostlight verify` says; the test fails if it finds anything wrong.
    fn verify(&self, prefix: &str) -> String {
        succeed(self.ghostlight().arg("verify").arg(url(prefix)))
    }

    /// A copy of a prefix, in a folder.
    fn copy(&self, simulated: &Simulated, prefix: &str) -> PathBuf {
        let folder = simulated.path(&format!("copy-of-{prefix}"));
        succeed(script("s3_copy.py").args([self.endpoint.as_str(), BUCKET, prefix]).arg(&folder));
        folder
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if self.server.kill().is_ok() {
            let _ended = self.server.wait();
        }
    }
}

fn url(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

/// The first number after `label` in what a command printed.
fn number_after(said: &str, label: &str) -> u64 {
    let line = said.lines().find_map(|line| line.trim_start().strip_prefix(label));
    let number = line.and_then(|rest| rest.split_whitespace().find_map(|word| word.parse().ok()));
    number.unwrap_or_else(|| panic!("no number after {label:?} in: {said}"))
}

/// The number before `word` in the line that begins with `label`.
fn number_before(said: &str, label: &str, word: &str) -> u64 {
    let line = said.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_default();
    let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let number = words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok());
    number.unwrap_or_else(|| panic!("no number before {word:?} in the line {label:?} of: {said}"))
}

fn fold(folder: &Path) -> Partial {
    let store = Store::open_existing(&Location::Folder(folder.to_owned())).expect("the folder is there");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ghostlight::usage::fold(&store)).expect("the rows can be read")
}

/// Every row as text, with a sketch's registers for its bytes, which depend on the order of arrival.
fn rows(partial: &Partial) -> Vec<String> {
    let users = partial.users().into_iter().map(|row| {
        let key = (row.window_start, row.window_seconds, row.tenant, row.dimension, row.key, row.key_name);
        let counts = (row.events, row.logins, row.signups, row.first_at, row.last_at, row.max_lateness_ms);
        let users = row.users.estimate();
        format!("users {key:?} {counts:?} {users:?} {:?}", row.users.registers())
    });
    let tokens = partial.tokens().into_iter().map(|row| format!("tokens {row:?}"));
    let counts = partial.counts().into_iter().map(|row| format!("counts {row:?}"));
    users.chain(tokens).chain(counts).collect()
}

fn assert_same_rows(found: &Partial, expected: &Partial) {
    let (found, expected) = (rows(found), rows(expected));
    if let Some((found, expected)) = found.iter().zip(&expected).find(|(found, expected)| found != expected) {
        panic!("a row differs; found, expected:\n{found}\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "rows");
    assert!(!expected.is_empty(), "there was nothing to compare");
}

#[test]
fn the_s3_server_of_these_tests_honours_put_if_absent() {
    let s3 = S3::start();
    let said = succeed(script("s3_absent.py").args([s3.endpoint.as_str(), BUCKET]));
    assert!(said.contains("put-if-absent is honoured"), "{said}");
}

#[test]
fn a_run_on_s3_killed_at_any_moment_counts_every_event_once_in_the_end() {
    const KILLS: u32 = 12;
    let s3 = S3::start();
    let simulated = Simulated::new(20_000, 2, 11);
    let truth = simulated.truth();
    let expected = fold(&simulated.ingest_into("local"));

    let began = ghostlight::clock::monotonic();
    succeed(&mut s3.ingest(&simulated, "whole"));
    // Kills come somewhere in this time after each start, so that several runs are needed to the end.
    let mut longest = began.elapsed() / 4;
    let said = s3.verify("whole");
    assert_eq!(number_before(&said, "events", "counted"), truth.distinct_events, "{said}");
    assert!(number_before(&said, "checked", "commits") >= 20, "batches were to be small: {said}");

    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut killed = 0;
    let mut last_prefix = String::new();
    // Where a run got to its end sooner than it was killed, the next prefix gets the rest of the kills, sooner.
    for round in 0.. {
        assert!(round < 6, "only {killed} kills in {round} rounds");
        let prefix = format!("killed-{round}");
        while killed < KILLS {
            let mut run = s3.ingest(&simulated, &prefix);
            let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ghostlight can be started");
            let share = f64::from(random.next_u32()) / f64::from(u32::MAX);
            if finishes_within(&mut run, longest.mul_f64(share)) {
                break;
            }
            run.kill().expect("it can be killed");
            // It may have ended by itself at the last moment.
            killed += u32::from(!run.wait().expect("it can be waited for").success());
        }
        succeed(&mut s3.ingest(&simulated, &prefix));

        let said = s3.verify(&prefix);
        assert_eq!(number_after(&said, "records"), truth.records, "{said}");
        assert_eq!(number_before(&said, "records", "rejected"), truth.malformed, "{said}");
        assert_eq!(number_before(&said, "events", "counted"), truth.distinct_events, "{said}");
        assert_eq!(number_before(&said, "events", "duplicates"), truth.duplicates, "{said}");
        let copy = s3.copy(&simulated, &prefix);
        assert_same_rows(&fold(&copy), &expected);
        last_prefix = prefix;
        if killed >= KILLS {
            println!("{killed} kills in {} rounds", round + 1);
            break;
        }
        longest /= 2;
    }

    let again = succeed(&mut s3.ingest(&simulated, &last_prefix));
    assert!(again.contains("unchanged"), "everything was read before, yet it says: {again}");
}

/// Whether a process ends, and well, in that time. A failure to end well fails the test.
fn finishes_within(run: &mut Child, time: Duration) -> bool {
    let began = ghostlight::clock::monotonic();
    loop {
        if let Some(status) = run.try_wait().expect("it can be waited for") {
            assert!(status.success(), "ghostlight failed by itself: {status}");
            return true;
        }
        if began.elapsed() >= time {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(feature = "query")]
#[test]
fn queries_and_exports_on_s3_are_those_of_a_folder_before_and_after_compaction() {
    let s3 = S3::start();
    let simulated = Simulated::new(10_000, 3, 12);
    let out = simulated.ingest_into("local");
    succeed(&mut s3.ingest(&simulated, "queried"));
    let questions = [
        "SELECT tenant, date, hll_sketch_estimate(hll_union_agg(users_hll)) AS users, sum(logins) AS logins FROM \
         active_users WHERE dimension = 'tenant' GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT client_id, sum(issued) AS issued FROM m2m_tokens WHERE date >= '2026-11-02' GROUP BY 1 ORDER BY 1",
        "SELECT reason, count(*) AS letters FROM dead_letters GROUP BY 1 ORDER BY 1",
    ];
    let ask = |mut command: Command, sql: &str, data: &str| {
        succeed(command.args(["query", sql, "--format", "csv", "--data", data]))
    };
    let local = questions.map(|sql| ask(ghostlight(), sql, out.to_str().expect("text")));
    assert!(local.iter().all(|rows| rows.lines().count() > 2), "{local:?}");
    let remote = || questions.map(|sql| ask(s3.ghostlight(), sql, &url("queried")));
    assert_eq!(remote(), local);
    let export = || {
        let (data, tables) = (url("queried"), url("delta"));
        succeed(s3.ghostlight().args(["export", "--delta", &tables, "--data", &data]))
    };
    assert!(export().contains("version 0: "));
    succeed(s3.ghostlight().args(["compact", "--keep", "0s"]).arg(url("queried")));
    assert_eq!(remote(), local);
    assert!(export().contains("version 1: "));
    assert!(export().contains("version 1: unchanged"));
    let tables = s3.copy(&simulated, "delta");
    let said = succeed(script("views.py").arg(tables).args(["northwind-prod", "delta"]));
    let found: serde_json::Value = serde_json::from_str(&said).expect("what the tables say");
    let by_day =
        "SELECT date, sum(events) AS events FROM event_counts WHERE tenant = 'northwind-prod' GROUP BY 1 ORDER BY 1";
    let days = ask(ghostlight(), by_day, out.to_str().expect("text"));
    let of_tables = found["events_by_day"].as_object().expect("events by day").iter();
    let of_tables: String = of_tables.map(|(day, events)| format!("{day},{events}\n")).collect();
    assert_eq!(days, format!("date,events\n{of_tables}"));
}
