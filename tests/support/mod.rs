//! What the tests share: the real program, settings, simulated events, tables that compare, a real Kafka.

// Each of the two binaries uses its part.
#![allow(dead_code)]

pub mod kafka;
pub mod months;
pub mod overview;
pub mod smtp;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The built program, with no settings of this machine's and no proxy between it and a server of the test's.
pub fn ghostlight() -> Command {
    quiet(Command::new(env!("CARGO_BIN_EXE_ghostlight")))
}

fn quiet(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("AWS_") || text.starts_with("RUST_LOG") || text.ends_with("_PROXY") {
            command.env_remove(&name);
        }
    }
    command
}

/// The Python that `tests/run` made ready.
pub fn python() -> Command {
    match std::env::var_os("GHOSTLIGHT_TEST_PYTHON") {
        Some(python) => {
            let mut command = quiet(Command::new(python));
            // No compiled scripts among the sources.
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
        None => panic!("GHOSTLIGHT_TEST_PYTHON is not set: run these tests by ./tests/run, which makes it ready"),
    }
}

/// A script under `tests/outside`.
pub fn script(name: &str) -> Command {
    let mut command = python();
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(name));
    command
}

/// Runs to the end; fails the test, with all the program said, unless it succeeds.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    stdout.into_owned()
}

/// A simulated tenant's events and their truth, in a folder that is removed with this value.
pub struct Simulated {
    folder: tempfile::TempDir,
}

impl Simulated {
    pub fn new(events: u64, days: u32, seed: u64) -> Self {
        let simulated = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        succeed(
            ghostlight()
                .args(["simulate", "--events", &events.to_string(), "--days", &days.to_string()])
                .args(["--seed", &seed.to_string(), "--truth"])
                .arg(simulated.truth_path())
                .arg("-o")
                .arg(simulated.events_path()),
        );
        simulated
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn events_path(&self) -> PathBuf {
        self.path("events.ndjson")
    }

    pub fn truth_path(&self) -> PathBuf {
        self.path("truth.json")
    }

    pub fn truth(&self) -> ghostlight::simulate::Truth {
        let json = std::fs::read(self.truth_path()).expect("the truth was written");
        serde_json::from_slice(&json).expect("the truth is JSON")
    }

    /// Ingests into a folder of its own, and gives its path.
    pub fn ingest_into(&self, name: &str) -> PathBuf {
        let out = self.path(name);
        succeed(ghostlight().arg("ingest").arg("--out").arg(&out).arg(self.events_path()));
        out
    }
}

use ghostlight::config::Config;
use ghostlight::partial::Partial;
use ghostlight::partial::sketch::Registers;
use ghostlight::run::IngestSummary;
use ghostlight::simulate::{Simulation, Truth};
use ghostlight::source::file::Input;
use ghostlight::store::verify::Report;
use ghostlight::store::{Location, Store, verify};
use ghostlight::usage;

/// Settings from TOML text.
pub fn config(toml: &str) -> Config {
    Config::parse(toml, Path::new("test.toml")).expect("settings of a test are right")
}

/// Small batches, so that a small input has many commits.
pub const SMALL_BATCHES: &str = "[flush]\nbytes = \"64KiB\"\n[files]\nthreads = 2\n";

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Waits, two minutes at most, until there is such a value.
pub fn wait_for<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let began = ghostlight::clock::monotonic();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn open(folder: &Path) -> Store {
    Store::open(&Location::Folder(folder.to_owned())).expect("a folder can be opened")
}

/// Ingests files through the library.
pub fn ingest(store: &Store, config: &Config, paths: &[&Path]) -> anyhow::Result<IngestSummary> {
    let runtime = runtime();
    let inputs = paths.iter().map(|path| Input::File(path.to_path_buf())).collect();
    let summary =
        ghostlight::run::ingest_into(store.clone(), runtime.handle(), config, inputs, false, &AtomicU64::new(0))?;
    if let Some((input, error)) = summary.failures().next() {
        anyhow::bail!("{}: {error}", input.name());
    }
    Ok(summary)
}

/// Writes a simulation's records as lines.
pub fn write_simulation(simulation: &Simulation, path: &Path) -> Truth {
    let mut records = simulation.records();
    let (mut bytes, mut record) = (Vec::new(), Vec::new());
    while records.next_into(&mut record).is_some() {
        bytes.extend_from_slice(&record);
        bytes.push(b'\n');
    }
    std::fs::write(path, bytes).expect("a file is written");
    records.truth()
}

/// A small simulation with everything in it.
pub fn small(seed: u64, events: u64) -> Simulation {
    Simulation { seed, events, days: 2, duplicates: 0.05, late: 0.05, malformed: 0.01, ..Simulation::default() }
}

/// Everything a partial says that does not depend on order: one line a row, sketches by their registers.
pub fn tables(partial: &Partial) -> Vec<String> {
    let mut rows = Vec::new();
    for row in partial.users() {
        let registers = match row.users.registers() {
            Registers::Coupons(coupons) => format!("coupons {coupons:?}"),
            Registers::Array(registers) => format!("array {registers:?}"),
        };
        rows.push(format!(
            "users {} {} {} {} {} {} {} {} {} {} {} {registers} {:?} lateness {}",
            row.window_start,
            row.window_seconds,
            row.tenant,
            row.dimension.name(),
            row.key,
            row.key_name,
            row.events,
            row.logins,
            row.signups,
            row.first_at,
            row.last_at,
            row.users.estimate(),
            row.max_lateness_ms,
        ));
    }
    rows.extend(partial.tokens().iter().map(|row| format!("{row:?}")));
    rows.extend(partial.counts().iter().map(|row| format!("{row:?}")));
    rows
}

/// The merged tables of what is committed.
pub fn committed(store: &Store) -> Vec<String> {
    tables(&runtime().block_on(usage::fold(store)).expect("what is committed can be read"))
}

/// [`committed`] without how late events were: for comparing ways of arrival.
pub fn committed_but_for_lateness(store: &Store) -> Vec<String> {
    let rows = committed(store).into_iter();
    rows.map(|row| row.split(" lateness ").next().unwrap_or_default().to_owned()).collect()
}

/// The raw bytes and reasons of all dead letters, sorted.
pub fn dead_letters(store: &Store) -> Vec<(u64, u64, Vec<u8>, String)> {
    let runtime = runtime();
    let mut found = Vec::new();
    for object in runtime.block_on(store.list("dead_letters")).expect("can be listed") {
        let bytes = runtime.block_on(store.read(&object.location)).expect("can be read");
        let letters = ghostlight::store::datasets::dead_letters(bytes).expect("are dead letters");
        found.extend(letters.into_iter().map(|letter| (letter.offset, letter.position, letter.raw, letter.reason)));
    }
    found.sort();
    found
}

/// A column of text.
pub fn texts(batch: &arrow::array::RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("there is a column {name}"));
    let column = column.as_any().downcast_ref::<arrow::array::StringArray>().expect("a column of text");
    (0..batch.num_rows()).map(|row| column.value(row).to_owned()).collect()
}

/// Verifies, and fails the test on any problem.
pub fn verified(store: &Store) -> Report {
    let report = runtime().block_on(verify::verify(store)).expect("can be verified");
    assert!(report.problems.is_empty(), "{:#?}", report.problems);
    assert!(report.accounting.adds_up(), "{:?}", report.accounting);
    report
}

/// Runs the real program to its end.
pub fn output(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.success(), text)
}

/// The read side alone, by these settings.
pub fn watch(settings: &Path) -> Command {
    let mut command = ghostlight();
    command.arg("watch").arg("--config").arg(settings);
    command
}

/// `ghostlight run` with these settings.
pub fn run(settings: &Path) -> Command {
    let mut command = ghostlight();
    command.arg("run").arg("--config").arg(settings);
    command
}

/// A running `ghostlight run`, killed when dropped.
pub struct Server {
    pub child: Child,
    pub url: String,
    log: PathBuf,
}

impl Server {
    /// Starts with the output in `folder/out`, the spool in `folder/NAME`, on a free port, with more settings: what stands
    /// before `--` belongs to the webhook.
    pub fn start(folder: &Path, name: &str, more: &str) -> Self {
        Self::start_by(folder, name, more, run).unwrap_or_else(|log| panic!("it does not start: {log}"))
    }

    /// The same by a command of the caller's; the log if the process ends at once.
    pub fn start_by(folder: &Path, name: &str, more: &str, command: impl Fn(&Path) -> Command) -> Result<Self, String> {
        let (webhook, rest) = more.split_once("--").unwrap_or(("", more));
        let spool = folder.join(name).display().to_string();
        Self::start_with(folder, name, &format!("[webhook]\n{webhook}\n[spool]\nfolder = {spool:?}\n{rest}"), command)
    }

    /// With the output in `folder/out`, on a free port, and these settings.
    pub fn start_with(
        folder: &Path,
        name: &str,
        settings: &str,
        command: impl Fn(&Path) -> Command,
    ) -> Result<Self, String> {
        let (file, log) = (folder.join(format!("{name}.toml")), folder.join(format!("{name}.log")));
        let out = folder.join("out").display().to_string();
        let text = format!("out = {out:?}\n[http]\nlisten = \"127.0.0.1:0\"\n{settings}");
        std::fs::write(&file, text).expect("settings are written");
        let output = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let before = output.metadata().expect("a log").len() as usize;
        let mut child = command(&file).stderr(output).spawn().expect("starts");
        let read = || std::fs::read_to_string(&log).unwrap_or_default().split_off(before);
        for _ in 0..3000 {
            let address = read().lines().find_map(|line| {
                let rest = line.split_once("listening address=")?.1;
                Some(rest.split(' ').next()?.to_owned())
            });
            if let Some(address) = address {
                return Ok(Self { child, url: format!("http://{address}/v1/logs"), log });
            }
            if child.try_wait().expect("can be asked").is_some() {
                return Err(read());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        Err(format!("not listening after 30 s: {}", read()))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// Asks it to end, and waits until it has committed everything.
    pub fn stop(self) -> String {
        let (is_well, log) = self.end();
        assert!(is_well, "{log}");
        log
    }

    /// Asks it to end, if it has not; whether it ended well, and its log.
    pub fn end(mut self) -> (bool, String) {
        if self.is_running() {
            self.signal("TERM");
        }
        let is_well = self.child.wait().expect("ends").success();
        let log = self.log();
        // A thread that does is not in the exit code.
        assert!(!log.contains("panicked at"), "{log}");
        (is_well, log)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("can be asked").is_none()
    }

    /// A request with any headers; the status and the answer.
    pub fn post(&self, body: &[u8], headers: &[(&str, &str)]) -> (u16, String) {
        runtime().block_on(async {
            let mut request = reqwest::Client::new().post(&self.url).body(body.to_vec());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.expect("it answers");
            (response.status().as_u16(), response.text().await.expect("a body"))
        })
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let url = self.url.replace("/v1/logs", path);
        runtime().block_on(async {
            let response = reqwest::get(url).await.expect("it answers");
            (response.status().as_u16(), response.text().await.expect("a body"))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers that look random and are the same every time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
