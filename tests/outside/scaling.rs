//! What the program costs as its input grows, in instructions as Valgrind's cachegrind counts them: clocks are noisy, counts
//! are not. Of the program that tests are built with, which is slower than a release, and grows alike.
//!
//! `./tests/run --test outside -- scaling --nocapture` prints the tables; `GHOSTLIGHT_TEST_SCALE=10` makes them of ten times
//! as many events.

use std::path::PathBuf;
use std::process::Command;

use ghostlight::simulate::Simulation;
use tempfile::TempDir;

use crate::support::ghostlight;

/// Events of an input of which something else grows.
fn events() -> u64 {
    2000 * std::env::var("GHOSTLIGHT_TEST_SCALE").map_or(1, |scale| scale.parse().expect("a number"))
}

/// A simulated tenant of one day, whose events are all valid and come once.
fn plain(events: u64) -> Simulation {
    let users = Some(400);
    Simulation { events, days: 1, users, duplicates: 0.0, late: 0.0, malformed: 0.0, ..Simulation::default() }
}

fn lines(simulation: &Simulation) -> Vec<Vec<u8>> {
    let mut records = simulation.records();
    let (mut all, mut record) = (Vec::new(), Vec::new());
    while records.next_into(&mut record).is_some() {
        record.push(b'\n');
        all.push(record.clone());
    }
    all
}

/// Millions of instructions.
#[derive(Debug, Clone, Copy)]
struct Costs {
    ingest: f64,
    verify: f64,
    report: f64,
}

impl Costs {
    /// Of lines that come in so many files, which are as many partitions.
    fn of(lines: &[Vec<u8>], files: usize) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let write = |(number, lines): (usize, &[Vec<u8>])| {
            let path = path(&format!("{number}.ndjson"));
            std::fs::write(&path, lines.concat()).expect("a file is written");
            path
        };
        let inputs: Vec<PathBuf> = lines.chunks(lines.len().div_ceil(files)).enumerate().map(write).collect();
        let out = path("out");
        Self {
            ingest: instructions(ghostlight().arg("ingest").arg("--out").arg(&out).args(inputs)),
            verify: instructions(ghostlight().arg("verify").arg(&out)),
            report: instructions(
                ghostlight()
                    .args(["report", "--format", "json", "--tenant"])
                    .arg(value(&lines[0], "tenant_name").expect("whose event it is"))
                    .arg("--data")
                    .arg(&out)
                    .arg("-o")
                    .arg(path("report.json")),
            ),
        }
    }

    fn each(self) -> [(&'static str, f64); 3] {
        [("ingest", self.ingest), ("verify", self.verify), ("report", self.report)]
    }
}

fn instructions(command: &Command) -> f64 {
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    counted.arg(command.get_program()).args(command.get_args());
    let output = counted.output().unwrap_or_else(|error| panic!("valgrind: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{counted:?}: {said}");
    let refs = said.lines().find_map(|line| line.split("I ").nth(1)?.trim().strip_prefix("refs:"));
    let refs = refs.unwrap_or_else(|| panic!("no count in what valgrind said: {said}"));
    refs.trim().replace(',', "").parse::<f64>().expect("a count") / 1e6
}

/// Prints what each size costs, and fails if anything grows faster than the size, by what it costs beyond the smallest.
fn check(what: &str, sizes: &[u64], costs: impl Fn(u64) -> Costs) -> Vec<(u64, Costs)> {
    /// What a run differs from another of the same, and a table that is half full from one that is full.
    const SLACK: f64 = 1.25;
    println!("\n| {what} | ingest | verify | report |\n|--:|--:|--:|--:|");
    let all: Vec<(u64, Costs)> = sizes.iter().map(|size| (*size, costs(*size))).collect();
    for (size, Costs { ingest, verify, report }) in &all {
        println!("| {size} | {ingest:.0} | {verify:.0} | {report:.0} |");
    }
    let (first, middle, last) = (all[0], all[all.len() / 2], all[all.len() - 1]);
    let growth = (last.0 - first.0) as f64 / (middle.0 - first.0) as f64;
    for ((part, first), ((_, middle), (_, last))) in
        first.1.each().into_iter().zip(middle.1.each().into_iter().zip(last.1.each()))
    {
        // A twentieth of a run is as much as none.
        let by_middle = (middle - first).max(first / 20.0);
        assert!(
            last - first <= by_middle * growth * SLACK,
            "{part} by {what}: {first:.0}, {middle:.0} and {last:.0} million instructions"
        );
    }
    all
}

#[test]
fn no_cost_grows_faster_than_the_input_nor_costs_an_event_more_than_it_did() {
    /// Compilers and processors differ, too.
    const SLACK: f64 = 1.2;
    /// Thousands of instructions an event, of as many as there are by default. Whoever makes it dearer and means it writes down the new one, and why; whoever
    /// makes it cheaper, too.
    const AN_EVENT: [(&str, f64); 3] = [("ingest", 137.0), ("verify", 43.3), ("report", 77.3)];
    let events = events();
    let of = |simulation: Simulation| Costs::of(&lines(&simulation), 1);
    let all = check("events", &[events / 4, events / 2, events], |events| of(plain(events)));
    let ((few, of_few), (many, of_many)) = (all[0], all[all.len() - 1]);
    for ((part, written), ((_, of_few), (_, of_many))) in
        AN_EVENT.into_iter().zip(of_few.each().into_iter().zip(of_many.each()))
    {
        let an_event = (of_many - of_few) * 1000.0 / (many - few) as f64;
        println!("{part}: {an_event:.1} thousand instructions an event");
        assert!(
            an_event < written * SLACK,
            "{part}: {an_event:.1} thousand instructions an event, where {written} were"
        );
    }
    check("days, of as many events each", &[1, 4, 8], |days| {
        of(Simulation { days: days as u32, ..plain(events / 8 * days) })
    });
    check("days, of the same events", &[1, 4, 16], |days| of(Simulation { days: days as u32, ..plain(events) }));
    check("users", &[40, 400, 4000], |users| of(Simulation { users: Some(users), ..plain(events) }));
    check("tenants", &[1, 4, 16], |tenants| of(Simulation { tenants: tenants as u32, ..plain(events) }));
    check("clients", &[1, 10, 100], |clients| Costs::of(&with_clients(lines(&plain(events)), clients), 1));
    check("partitions", &[1, 4, 16], |files| Costs::of(&lines(&plain(events)), files as usize));
}

/// Where the text of a key begins in a line, if it has it.
fn begin(line: &[u8], key: &str) -> Option<usize> {
    let key = format!("\"{key}\":\"");
    Some(line.windows(key.len()).position(|part| part == key.as_bytes())? + key.len())
}

fn value<'a>(line: &'a [u8], key: &str) -> Option<&'a str> {
    std::str::from_utf8(&line[begin(line, key)?..]).ok()?.split('"').next()
}

/// The same events of so many times as many clients.
fn with_clients(mut lines: Vec<Vec<u8>>, times: u64) -> Vec<Vec<u8>> {
    for (number, line) in lines.iter_mut().enumerate() {
        if let Some(at) = begin(line, "client_id") {
            line.splice(at..at, format!("{:03}", number as u64 % times).into_bytes());
        }
    }
    lines
}
