//! `ghostlight report`: its numbers are the simulator's truth, or hold it between their bounds; each format is what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ghostlight::event::catalogue;
use ghostlight::live::model::{Model, Users};
use ghostlight::render::Look;
use ghostlight::report::render::{Format, render};
use ghostlight::report::{
    ActiveUsers, Change, Cost, CostlyGhost, Days, EventDay, Events, M2mTokens, Period, Report, TokensBefore,
    TypeEvents, Unused, UnusedKey, UserWeek, UsersOfKey,
};
use ghostlight::simulate::{Simulation, Truth};
use serde_json::{Value, json};

use crate::schemas::{described_keys, keys_of, problems, schema};
use crate::support::overview::{full, hostile};
use crate::support::{ghostlight, output, succeed, write_simulation};

/// 2026-10-01T00:00:00Z.
const OCTOBER: i64 = 1_790_812_800_000;
const DAY_MS: i64 = 86_400_000;
const TENANT: &str = "northwind-prod";

/// A simulated tenant on disk, with the settings that have its tokens' lifetimes.
struct Simulated {
    folder: tempfile::TempDir,
    truths: Vec<Truth>,
}

impl Simulated {
    fn new(simulations: &[Simulation]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut truths = Vec::new();
        let mut lifetimes: BTreeMap<String, i64> = BTreeMap::new();
        for (n, simulation) in simulations.iter().enumerate() {
            let events = folder.path().join(format!("events-{n}"));
            let truth = write_simulation(simulation, &events);
            lifetimes.extend(truth.m2m.iter().map(|row| (row.audience.clone(), row.lifetime_s)));
            truths.push(truth);
            succeed(ghostlight().arg("ingest").arg("--out").arg(folder.path().join("out")).arg(&events));
        }
        let lifetimes: String = lifetimes.iter().map(|(audience, s)| format!("{audience:?} = \"{s}s\"\n")).collect();
        let settings = format!(
            "[quota]\nmau = 2000\nm2m_tokens = 5000\norganizations = 20\nenterprise_connections = 5\n[prices]\ncurrency = \
             \"EUR\"\nper_1000_m2m_tokens = 2.5\n[ghosts.lifetimes]\n{lifetimes}"
        );
        std::fs::write(folder.path().join("settings.toml"), settings).expect("settings");
        Self { folder, truths }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn report(&self, more: &[&str]) -> Command {
        let mut command = ghostlight();
        command.arg("report").arg("--data").arg(self.path("out")).arg("--config").arg(self.path("settings.toml"));
        command.args(more).env_remove("NO_COLOR").env("TERM", "xterm");
        command
    }

    fn read(&self, more: &[&str]) -> Report {
        let text = succeed(self.report(more).args(["--format", "json"]));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(problems(&schema("report"), &value), Vec::<String>::new());
        serde_json::from_value(value).expect("a report")
    }
}

/// October and November, of the same tenant with other clients, and the first days of December.
fn two_months() -> Simulated {
    let october = Simulation { seed: 5, events: 15_000, days: 31, start: OCTOBER, ..Simulation::default() };
    let november = Simulation { seed: 6, events: 20_000, days: 33, start: OCTOBER + 31 * DAY_MS, ..october.clone() };
    Simulated::new(&[october, november])
}

fn holds(users: &Users, exact: u64, what: &str) {
    assert!((users.lower..=users.upper).contains(&(exact as f64)), "{what}: {users:?} for {exact}");
}

fn hold(found: &[UsersOfKey], exact: &BTreeMap<String, u64>, what: &str) {
    let keys: BTreeSet<_> = found.iter().map(|found| &found.key).collect();
    assert_eq!(keys, exact.keys().collect(), "{what}");
    let outside = found.iter().filter(|found| {
        let exact = exact[&found.key] as f64;
        !(found.users.lower..=found.users.upper).contains(&exact)
    });
    // Of many at 99.7 % one may be.
    assert!(outside.count() <= 1, "{what}: {found:?} for {exact:?}");
    assert!(found.is_sorted_by(|a, b| a.users.estimate >= b.users.estimate), "{what}");
}

#[test]
fn the_numbers_of_a_report_are_the_truth_or_hold_it_between_their_bounds() {
    let simulation = Simulation { seed: 4, events: 30_000, days: 33, tenants: 2, ..Simulation::default() };
    let simulated = Simulated::new(&[simulation]);
    let truth = &simulated.truths[0];
    for (tenant, exact) in &truth.users {
        let report = simulated.read(&["--tenant", tenant, "--from", "2026-11-01", "--to", "2026-12-03"]);
        assert!(report.period.is_covered, "{:?}", report.period);
        let active = &report.active_users;
        holds(&active.total.users, exact.month, "all");
        hold(&active.by_connection, &exact.by_connection, "connections");
        hold(&active.by_organization, &exact.by_organization, "organizations");
        hold(&active.by_client, &exact.by_client, "clients");
        assert_eq!(report.organizations.active, exact.by_organization.len() as u64);
        let dates: Vec<_> = active.by_day.iter().map(|day| day.date.clone()).collect();
        assert_eq!(dates, exact.by_day.keys().cloned().collect::<Vec<_>>());
        active.by_day.iter().for_each(|day| holds(&day.day, exact.by_day[&day.date], &day.date));
        for (month, users) in &exact.by_month {
            let by_day = active.by_day.iter().rev().find(|day| day.date.starts_with(month)).expect("a day");
            holds(&by_day.month, *users, month);
        }
        // Each simulated person has one connection, so that kinds are sums.
        let kind = |name: &str| match name {
            "Username-Password-Authentication" => "database",
            "acme-saml" | "globex-entra" => "enterprise",
            "email" | "sms" => "passwordless",
            _ => "social",
        };
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        exact.by_connection.iter().for_each(|(name, users)| *kinds.entry(kind(name).to_owned()).or_default() += users);
        hold(&active.by_connection_type, &kinds, "kinds");

        let tokens = &report.m2m_tokens;
        let of_truth = |is_wanted: &dyn Fn(&ghostlight::simulate::Tokens) -> bool,
                        of: fn(&ghostlight::simulate::Tokens) -> u64| {
            truth.m2m.iter().filter(|row| row.tenant == *tenant && is_wanted(row)).map(of).sum::<u64>()
        };
        let billable = |row: &ghostlight::simulate::Tokens| row.billable;
        assert_eq!(tokens.total.issued, of_truth(&billable, |row| row.issued));
        assert_eq!(tokens.total.needed, of_truth(&billable, |row| row.needed_per_address_leeway));
        assert_eq!(tokens.total.avoidable, tokens.total.issued - tokens.total.needed);
        assert_eq!(tokens.total.unbillable, of_truth(&|row| !row.billable, |row| row.issued));
        assert_eq!(tokens.failed, truth.m2m_failed[tenant].values().sum::<u64>());
        for client in &tokens.clients {
            let is_its = |row: &ghostlight::simulate::Tokens| {
                row.client_id == client.client_id && row.audience == client.audience
            };
            assert_eq!(client.issued, of_truth(&is_its, |row| row.issued));
            assert_eq!(client.needed, of_truth(&is_its, |row| row.needed_per_address_leeway));
        }
        let by_day = |of: fn(&ghostlight::live::model::TokenWindow) -> u64| tokens.by_day.iter().map(of).sum::<u64>();
        assert_eq!((by_day(|day| day.issued), by_day(|day| day.needed)), (tokens.total.issued, tokens.total.needed));
        let cost = tokens.cost.as_ref().expect("there is a price");
        assert!((cost.issued - tokens.total.issued as f64 * 0.0025).abs() < 1e-9);

        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        for (code, events) in &truth.by_type[tenant] {
            *types.entry(catalogue::lookup(code).code).or_default() += events;
        }
        let events = &report.events;
        assert_eq!(events.by_day.iter().map(|day| day.events).sum::<u64>(), types.values().sum::<u64>());
        let shown = [&events.rate_limits, &events.attacks, &events.failures].into_iter().flatten();
        let shown: BTreeMap<&str, u64> = shown.map(|found| (found.type_code.as_str(), found.events)).collect();
        assert!(shown.len() >= 3, "{shown:?}");
        shown.iter().for_each(|(code, events)| assert_eq!(types[code], *events, "{code}"));
    }
    let ghosts: BTreeSet<String> = simulated
        .read(&["--tenant", TENANT])
        .m2m_tokens
        .ghosts
        .into_iter()
        .map(|found| found.ghost.client_name)
        .collect();
    assert!(ghosts.len() <= 8 && !ghosts.contains("caches-well"), "{ghosts:?}");
}

#[test]
fn a_ghosts_evidence_is_of_the_reported_days() {
    let start = OCTOBER + 15 * DAY_MS;
    let simulated = Simulated::new(&[Simulation { seed: 4, events: 60_000, days: 30, start, ..Simulation::default() }]);
    let lines = std::fs::read(simulated.path("events-0")).expect("the events");
    let mut firsts: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
        let text = |name: &str| event["data"][name].as_str().unwrap_or_default().to_owned();
        if text("type") == "seccft" && text("date").starts_with("2026-11") {
            let this = (text("date"), text("log_id"));
            let first = firsts.entry((text("client_id"), text("audience"))).or_insert_with(|| this.clone());
            *first = this.min(first.clone());
        }
    }
    let ghosts = simulated.read(&["--tenant", TENANT, "--month", "2026-11"]).m2m_tokens.ghosts;
    assert!(!ghosts.is_empty(), "the simulation has ghosts");
    for CostlyGhost { ghost, .. } in ghosts {
        let (_, log_id) = &firsts[&(ghost.client_id.clone(), ghost.audience.clone())];
        assert_eq!(ghost.first_log_id, *log_id, "{}", ghost.client_name);
    }
}

#[test]
fn a_month_is_compared_with_the_one_before_and_names_what_is_no_longer_used() {
    let simulated = two_months();
    let [october, november] = &simulated.truths[..] else { panic!("two months") };
    let report = simulated.read(&["--month", "2026-11"]);
    assert_eq!(report.period.month.as_deref(), Some("2026-11"));
    assert!(report.period.is_covered && report.period.elapsed == 1.0, "{:?}", report.period);
    assert_eq!(report.period.compared_with, Some(Days { from: "2026-10-01".into(), to: "2026-10-31".into() }));
    let active = &report.active_users;
    holds(&active.total.users, november.users[TENANT].by_month["2026-11"], "November");
    holds(&active.previous.expect("October is there"), october.users[TENANT].by_month["2026-10"], "October");
    let change = active.change.expect("both are there");
    assert!(change.lower <= change.value && change.value <= change.upper);
    // The month is over, and later events tell so.
    assert!(active.total.projected.is_none() && report.m2m_tokens.total.projected.is_none());
    assert_eq!(report.m2m_tokens.total.quota, Some(5000));
    let before: u64 = october.m2m.iter().filter(|row| row.billable).map(|row| row.issued).sum();
    assert_eq!(report.m2m_tokens.previous.expect("October is there").issued, before);

    let used = |truth: &Truth| -> BTreeSet<String> {
        let machines = truth.m2m.iter().map(|row| row.client_id.clone());
        truth.users[TENANT].by_client.keys().cloned().chain(machines).collect()
    };
    let unused: BTreeSet<String> = report.unused.clients.iter().map(|client| client.key.clone()).collect();
    assert_eq!(unused, used(october).difference(&used(november)).cloned().collect());
    assert!(unused.len() > 5 && report.unused.connections.is_empty(), "{:?}", report.unused);

    // The month of the last event is the one there is when none is asked for, and it is not over.
    let report = simulated.read(&[]);
    assert_eq!(report.period.month.as_deref(), Some("2026-12"));
    assert!(!report.period.is_covered && report.period.elapsed < 0.1, "{:?}", report.period);
    assert!(report.period.gaps[0].starts_with("the data ends on 2026-12-0"), "{:?}", report.period.gaps);
    assert_eq!(report.period.compared_with, Some(Days { from: "2026-11-01".into(), to: "2026-11-03".into() }));
    assert!(report.active_users.total.projected.is_some());

    // Nothing was before the first month; the days of a range are no month, and have no quota.
    let report = simulated.read(&["--month", "2026-10"]);
    assert_eq!((report.period.compared_with, report.active_users.previous), (None, None));
    let report = simulated.read(&["--from", "2026-11-10", "--to", "2026-11-16"]);
    assert_eq!((report.period.month, report.active_users.total.quota), (None, None));
    assert_eq!(report.period.compared_with, Some(Days { from: "2026-11-03".into(), to: "2026-11-09".into() }));
    let report = simulated.read(&["--from", "2026-11-01", "--to", "2026-11-30"]);
    assert_eq!(report.period.month.as_deref(), Some("2026-11"));
}

#[test]
fn what_the_data_does_not_cover_is_said() {
    let day = |n: i64| OCTOBER + n * DAY_MS;
    let part = |seed, start| Simulation { seed, events: 2_000, days: 2, start, ..Simulation::default() };
    let simulated = Simulated::new(&[part(1, day(9) + DAY_MS / 2), part(2, day(20))]);
    let report = simulated.read(&["--month", "2026-10"]);
    let gaps = report.period.gaps.join("\n");
    assert!(!report.period.is_covered);
    for wanted in [
        "the data begins on 2026-10-10 12:0",
        "the data ends on 2026-10-2",
        "there is no event at all from 2026-10-13 to 2026-10-20",
    ] {
        assert!(gaps.contains(wanted), "{wanted}: {gaps}");
    }
    let (is_well, said) = output(&mut simulated.report(&["--from", "2026-10-14", "--to", "2026-10-19"]));
    assert!(!is_well && said.contains("no event of northwind-prod from 2026-10-14 to 2026-10-19"), "{said}");
    let text = succeed(&mut simulated.report(&["--month", "2026-10"]));
    assert!(text.contains("The data does not cover all of these days") && text.contains("no event at all"), "{text}");
    let html = succeed(&mut simulated.report(&["--month", "2026-10", "--format", "html"]));
    assert!(html.contains("The data does not cover all of these days"), "{html}");
}

#[test]
fn errors_name_what_is_there() {
    let simulated = Simulated::new(&[Simulation { events: 2_000, days: 2, tenants: 2, ..Simulation::default() }]);
    let fails = |more: &[&str], wanted: &[&str]| {
        let (is_well, said) = output(&mut simulated.report(more));
        assert!(!is_well && wanted.iter().all(|wanted| said.contains(wanted)), "{more:?}: {said}");
    };
    fails(&[], &["northwind-prod", "say which by --tenant"]);
    fails(&["--tenant", "x\u{1b}[31my"], &["no events of", "northwind-prod", "\\u{1b}"]);
    let none = ["--tenant", TENANT, "--month", "2027-01"];
    fails(&none, &["no event of northwind-prod from 2027-01-01 to 2027-01-31", "from 2026-11-01T", "to 2026-11-03T"]);
    fails(&["--tenant", TENANT, "--to", "2025-01-01"], &["no event of northwind-prod", "2025-01-01"]);
    fails(&["--tenant", TENANT, "--from", "2028-01-01"], &["no event of northwind-prod", "2028-01-01"]);
    fails(&["--tenant", TENANT, "--from", "0001-01-01"], &["days: a report is of 4000 at most"]);
    fails(&["--month", "2026-13"], &["2026-13", "expected a month, such as 2026-11"]);
    fails(&["--from", "2026-11-31"], &["2026-11-31", "expected a day, such as 2026-11-01"]);
    fails(&["--from", "2026-11-02", "--to", "2026-11-01"], &["--from 2026-11-02 is after --to 2026-11-01"]);
    fails(&["--month", "2026-11", "--from", "2026-11-01"], &["cannot be used with"]);
    let empty = tempfile::tempdir().expect("a folder");
    let (is_well, said) = output(ghostlight().arg("report").arg("--data").arg(empty.path()));
    assert!(!is_well && said.contains("has no events"), "{said}");
    let (is_well, said) = output(ghostlight().args(["report", "--data", "/nowhere/at/all"]));
    assert!(!is_well && said.contains("/nowhere/at/all"), "{said}");
}

/// Runs the program on a terminal of so many columns.
fn on_terminal(command: &mut Command, columns: u16) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("it may be used");
    let name = ptsname(&controller, Vec::new()).expect("it has a name").into_string().expect("text");
    let size = rustix::termios::Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&controller, size).expect("it has a size");
    let user = std::fs::File::options().read(true).write(true).open(name).expect("it opens");
    let mut child = command.stdout(Stdio::from(user)).stdin(Stdio::null()).spawn().expect("it starts");
    // The command holds the other side, which ends with it.
    command.stdout(Stdio::null());
    let mut said = Vec::new();
    // Once nobody writes any more, reading is an error.
    drop(std::fs::File::from(controller).read_to_end(&mut said));
    assert!(child.wait().expect("it ends").success());
    String::from_utf8(said).expect("text").replace("\r\n", "\n")
}

fn without_color(text: &str) -> String {
    let mut out = text.to_owned();
    for code in ["0", "1", "2", "31", "32", "33"] {
        out = out.replace(&format!("\u{1b}[{code}m"), "");
    }
    out
}

#[test]
fn text_fits_the_terminal_and_has_colour_only_there() {
    let simulated = two_months();
    let month = ["--month", "2026-11"];
    for columns in [44, 80, 120] {
        let colored = on_terminal(&mut simulated.report(&month), columns);
        let text = without_color(&colored);
        assert!(colored != text && !text.contains('\u{1b}'), "{text}");
        for line in text.lines() {
            // An id that is longer than the line stays whole.
            let is_one_word = line.split_whitespace().any(|word| word.chars().count() + 16 > usize::from(columns));
            assert!(line.chars().count() <= usize::from(columns) || is_one_word, "{columns}: {line}");
        }
        let plain = on_terminal(simulated.report(&month).env("NO_COLOR", "1"), columns);
        assert_eq!(plain, text);
        assert_eq!(on_terminal(simulated.report(&month).env("TERM", "dumb"), columns), text);
        for title in [
            "IN SHORT",
            "ACTIVE USERS",
            "M2M TOKENS",
            "QUOTAS",
            "FAILURES AND ATTACKS",
            "NO LONGER USED",
            "HOW TO READ IT",
        ] {
            assert!(text.lines().any(|line| line.starts_with(title)), "{title}: {text}");
        }
    }
    let piped = succeed(&mut simulated.report(&month));
    assert!(!piped.contains('\u{1b}'));
    let narrow = succeed(simulated.report(&month).env("COLUMNS", "60"));
    let is_long =
        |line: &str| line.chars().count() > 60 && line.split_whitespace().all(|word| word.chars().count() < 44);
    assert!(narrow != piped && !narrow.lines().any(is_long), "{narrow}");
    assert_eq!(succeed(simulated.report(&month).env("COLUMNS", "wide")), piped);
    let file = simulated.path("report.txt");
    let said = on_terminal(simulated.report(&month).arg("-o").arg(&file), 80);
    assert_eq!((said.as_str(), std::fs::read_to_string(file).expect("a file")), ("", piped));
}

#[test]
fn csv_is_one_tidy_table_of_the_same_numbers() {
    let simulated = two_months();
    let report = simulated.read(&["--month", "2026-11"]);
    let text = succeed(&mut simulated.report(&["--month", "2026-11", "--format", "csv"]));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    let rows: Vec<BTreeMap<String, String>> =
        reader.deserialize().map(|row| row.expect("as many cells as columns")).collect();
    assert!(rows.len() > 200, "{}", rows.len());
    let keys = ["metric", "dimension", "key", "audience", "date"];
    assert!(keys.iter().all(|key| columns.iter().any(|column| column == key)), "{columns:?}");
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert_eq!((row["tenant"].as_str(), row["from"].as_str()), (TENANT, "2026-11-01"));
        row["value"].parse::<f64>().unwrap_or_else(|error| panic!("{row:?}: {error}"));
        assert_eq!(row["lower"].is_empty(), row["upper"].is_empty());
        assert!(seen.insert(keys.map(|key| row[key].clone())), "twice: {row:?}");
    }
    let value = |metric: &str, of: [&str; 4]| -> f64 {
        let wanted = [metric, of[0], of[1], of[2], of[3]];
        let row = rows.iter().find(|row| keys.iter().zip(wanted).all(|(key, wanted)| row[*key] == wanted));
        row.unwrap_or_else(|| panic!("{metric} {of:?}"))["value"].parse().expect("a number")
    };
    // JSON's numbers are read to the last but one bit.
    let is = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 1e-12, "{found} {wanted}");
    is(value("active_users", [""; 4]), report.active_users.total.users.estimate);
    assert_eq!(value("m2m_tokens_avoidable", [""; 4]), report.m2m_tokens.total.avoidable as f64);
    let organization = &report.active_users.by_organization[0];
    is(value("active_users", ["organization", &organization.key, "", ""]), organization.users.estimate);
    let day = &report.active_users.by_day[3];
    is(value("active_users_of_week_so_far", ["", "", "", &day.date]), day.week.estimate);
    let client = &report.m2m_tokens.clients[0];
    let of = ["client", client.client_id.as_str(), client.audience.as_str(), ""];
    assert_eq!(value("m2m_tokens_issued", of), client.issued as f64);
}

#[test]
fn what_the_audit_of_the_settings_finds_is_in_every_format() {
    let simulation = Simulation { seed: 5, events: 40_000, days: 31, start: OCTOBER, ..Simulation::default() };
    let month = ["--month", "2026-10"];
    let simulated = Simulated::new(std::slice::from_ref(&simulation));
    assert_eq!(simulated.read(&month).audit, None);
    let config = simulated.path("tenant");
    let configuration = simulation.configurations().into_iter().find(|one| one.tenant == TENANT).expect("the tenant's");
    for (path, value) in configuration.files {
        let path = config.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, value.to_string()).expect("written");
    }
    let settings = std::fs::read_to_string(simulated.path("settings.toml")).expect("settings");
    let audit = format!("[audit]\nconfig = {config:?}\ntenant = {TENANT:?}\nunused_days = 20\n");
    std::fs::write(simulated.path("settings.toml"), settings + &audit).expect("settings");
    let audit = simulated.read(&month).audit.expect("it is audited");
    // The same as the command finds at the end of those days.
    let output = ghostlight()
        .args(["audit", "--format", "json", "--unused-days", "20", "--as-of", "2026-11-01T00:00:00Z", "--data"])
        .arg(simulated.path("out"))
        .arg("--config")
        .arg(&config)
        .arg("--settings")
        .arg(simulated.path("settings.toml"))
        .output()
        .expect("it runs");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let open = [audit.required, audit.recommended, audit.best_practice];
    assert_eq!(
        open.map(Value::from).as_slice(),
        ["required", "recommended", "best-practice"].map(|key| told["open"][key].clone())
    );
    assert_eq!(Some(audit.not_run as usize), told["not_run"].as_array().map(Vec::len));
    let checks: BTreeSet<&str> = audit.findings.iter().map(|found| found.check.as_str()).collect();
    for check in ["api-alg-hs256", "client-callback-localhost", "organizations-bypassed", "social-developer-keys"] {
        assert!(checks.contains(check), "{checks:?}");
    }
    assert!(audit.events.is_some_and(|events| events.contains("in 20 days (2026-10-12 to 2026-11-01)")));
    for (format, wanted) in [
        ("text", vec!["AUDIT (", "A callback URL leads to this computer", "at", "application ", "Audit   "]),
        (
            "html",
            vec!["<h2>Audit (", "<h3>A callback URL leads to this computer</h3>", "http://localhost:3000/callback"],
        ),
        ("csv", vec!["audit_required", "audit_findings,client-callback-localhost,application ", "audit_not_run"]),
        ("json", vec!["\"check\": \"client-callback-localhost\""]),
    ] {
        let text = succeed(&mut simulated.report(&[&month as &[&str], &["--format", format]].concat()));
        wanted.iter().for_each(|wanted| assert!(text.contains(wanted), "{format}: {wanted}: {text}"));
        assert!(!text.contains("a-secret-that-no-output-has"), "{format}");
    }
    // What the days do not cover is not said to be unused; and another tenant's report has nothing of it.
    let settings = std::fs::read_to_string(simulated.path("settings.toml")).expect("settings");
    std::fs::write(simulated.path("settings.toml"), settings.replace("unused_days = 20", "unused_days = 40"))
        .expect("settings");
    let longer = simulated.read(&month).audit.expect("it is audited");
    assert!(
        longer
            .events
            .is_some_and(|events| events.contains("the data begins on 2026-10-01, and 40 days were asked for"))
    );
    assert!(longer.not_run > audit.not_run && longer.recommended < audit.recommended);
    // One that cannot be read takes nothing from the rest.
    let nowhere = settings.replace(&format!("{config:?}"), "\"/nowhere\"");
    std::fs::write(simulated.path("settings.toml"), nowhere).expect("settings");
    let unread = simulated.read(&month);
    assert!(unread.m2m_tokens.total.issued > 0);
    let unread = unread.audit.expect("it was to be audited");
    assert!(unread.at.is_none() && unread.problem.is_some_and(|problem| problem.contains("/nowhere: ")));
    for (format, wanted) in [
        ("text", "AUDIT (not known)\n  The configuration in /nowhere could not be read"),
        ("html", "<h2>Audit (not known)</h2>\n<p>The configuration in /nowhere could not be read"),
        ("csv", "m2m_tokens_issued"),
    ] {
        let text = succeed(&mut simulated.report(&[&month as &[&str], &["--format", format]].concat()));
        assert!(text.contains(wanted) && !text.contains("audit_required"), "{format}: {text}");
        assert!(!text.contains("not known;"), "{format}: {text}");
    }
    std::fs::write(simulated.path("settings.toml"), format!("[audit]\nconfig = {config:?}\ntenant = \"other\"\n"))
        .expect("settings");
    assert_eq!(simulated.read(&month).audit, None);
}

/// A report with something of everything, in the words of a page's model.
fn of(model: &Model) -> Report {
    let tenant = &model.tenants[0];
    let users = Users { estimate: 1_000.0, lower: 960.0, upper: 1_045.0 };
    let name = || tenant.tenant.clone();
    let keys = || vec![UsersOfKey { key: name(), name: name(), users, logins: 7, previous: Some(users) }];
    let types = || {
        vec![TypeEvents {
            type_code: "fp".into(),
            meaning: name(),
            events: 3,
            days: 2,
            last_on: Some("2026-11-02".into()),
            previous: Some(1),
        }]
    };
    let unused = || vec![UnusedKey { key: name(), name: name(), last_on: "2026-10-02".into() }];
    let ghosts = tenant.ghosts.iter().cloned();
    Report {
        format: 1,
        tenant: name(),
        period: Period {
            month: Some("2026-11".into()),
            from: "2026-11-01".into(),
            to: "2026-11-30".into(),
            days: 30,
            as_of: tenant.as_of.expect("a time"),
            elapsed: 0.75,
            is_covered: false,
            gaps: vec![name()],
            compared_with: Some(Days { from: "2026-10-01".into(), to: "2026-10-23".into() }),
        },
        active_users: ActiveUsers {
            total: tenant.month.active_users.clone(),
            previous: Some(users),
            change: Some(Change { value: 0.1, lower: 0.05, upper: 0.15 }),
            average_day: users,
            by_day: tenant.active_users_by_day.clone(),
            by_week: vec![UserWeek { from: "2026-10-26".into(), users, is_whole: false }],
            by_connection_type: keys(),
            by_connection: keys(),
            by_organization: keys(),
            by_client: keys(),
        },
        m2m_tokens: M2mTokens {
            total: tenant.month.m2m_tokens.clone(),
            previous: Some(TokensBefore { issued: 5, needed: 3, avoidable: 2 }),
            by_day: tenant.token_rate.iter().take(1).cloned().collect(),
            failed: 4,
            cost: Some(Cost { currency: "USD".into(), per_1000_tokens: 1.5, issued: 3.0, avoidable: 2.0, ghosts: 1.5 }),
            clients: tenant.clients.clone(),
            ghosts: ghosts.map(|ghost| CostlyGhost { ghost, cost: Some(1.0), projected_cost: Some(2.0) }).collect(),
            ghosts_checked: tenant.ghosts_checked.clone(),
        },
        organizations: tenant.month.organizations,
        enterprise_connections: tenant.month.enterprise_connections,
        events: Events {
            by_day: vec![EventDay {
                date: "2026-11-02".into(),
                events: 9,
                logins: 5,
                failed_logins: 3,
                rate_limits: 1,
                attacks: 0,
            }],
            rate_limits: types(),
            attacks: types(),
            failures: types(),
            failures_by_connection: tenant.activity.failures.clone(),
        },
        unused: Unused { looked_at_since: tenant.as_of, connections: unused(), clients: unused() },
        audit: tenant.audit.clone(),
    }
}

#[test]
fn json_is_as_described_and_has_every_field_it_names() {
    let described = schema("report");
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    for report in [of(&full()), of(&hostile())] {
        let text = render(&report, Format::Json, Look { width: 80, color: false });
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(problems(&described, &value), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Report>(value.clone()).expect("a report"), report);
        keys_of(&value, "", &mut seen);
        for (key, wrong) in [("format", json!(2)), ("period", json!({})), ("tenant", json!(null)), ("extra", json!(1))]
        {
            let mut damaged = value.clone();
            damaged[key] = wrong;
            assert_ne!(problems(&described, &damaged), Vec::<String>::new(), "{key}");
        }
    }
    described_keys(&described, &described, "", &mut all);
    assert_eq!(seen, all);
    assert!(all.len() > 150, "{}", all.len());
}

#[test]
fn text_is_no_wider_than_the_page() {
    let mut report = of(&full());
    report.period.is_covered = false;
    for width in [40, 60, 80] {
        for color in [false, true] {
            let text = render(&report, Format::Text, Look { width, color });
            assert!(text.contains("not cover all of"), "{text}");
            for line in text.lines() {
                let shown: String = line
                    .split('\u{1b}')
                    .map(|part| {
                        part.split_once('m')
                            .map_or(part, |(code, rest)| if code.starts_with('[') { rest } else { part })
                    })
                    .collect();
                // A word that is longer by itself stays whole.
                let is_one_word = shown.split_whitespace().any(|word| word.chars().count() > width - 24);
                assert!(shown.chars().count() <= width || is_one_word, "{width}: {shown:?}");
            }
        }
    }
}

#[test]
fn what_the_numbers_lack_is_in_the_table_too() {
    let mut report = of(&full());
    report.period.gaps = vec!["people were written under 2 policies ([privacy]), hashed with one key".to_owned()];
    let text = render(&report, Format::Csv, Look { width: 80, color: false });
    let line = text.lines().find(|line| line.contains(",caveats,")).expect("a line");
    assert!(line.contains("\"people were written under 2 policies ([privacy]), hashed with one key\""), "{line}");
    assert_eq!(line.matches(",caveats,").count(), 1);
}

#[test]
fn names_of_strangers_stay_names_in_every_format() {
    let report = of(&hostile());
    let look = Look { width: 80, color: false };
    for format in [Format::Text, Format::Json, Format::Html, Format::Csv] {
        let text = render(&report, format, look);
        let is_bad =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200b}';
        assert!(!text.contains(is_bad), "{format:?}: {:?}", text.chars().find(|c| is_bad(*c)));
    }
    let text = render(&report, Format::Text, look);
    assert!(text.lines().any(|line| line.starts_with("GHOSTS (")) && text.contains("fix "), "{text}");
    let html = render(&report, Format::Html, look);
    assert!(html.contains("class=\"bounds\""), "a day's users have bounds");
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"), "{html}");
    assert!(html.contains("&lt;"), "the model has markup in its names");
    is_self_contained(&html);
}

/// Nothing in it is fetched from anywhere, and nothing runs.
fn is_self_contained(html: &str) {
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    for what in ["<script", "<link", "<iframe", "src=", "href=", "url(", "@import", " on"] {
        let within_tag = |tag: &str| tag.contains(what);
        let tags = html.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(tag, _)| format!("<{tag}")));
        assert_eq!(tags.filter(|tag| within_tag(tag)).collect::<Vec<_>>(), Vec::<String>::new(), "{what}");
    }
    let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style");
    assert!(!style.contains("url(") && !style.contains("@import") && style.contains("@media print"));
}

#[test]
fn html_is_one_file_with_charts_for_screen_and_paper() {
    let simulated = two_months();
    let file = simulated.path("report.html");
    let said = succeed(simulated.report(&["--month", "2026-11", "--format", "html"]).arg("-o").arg(&file));
    assert_eq!(said, "");
    let html = std::fs::read_to_string(&file).expect("a file");
    is_self_contained(&html);
    assert_eq!(html.matches("<svg").count(), 3, "users, tokens, logins");
    assert_eq!(html.matches("<title>2026-11-").count(), 90, "a bar a day");
    assert!(html.len() < 200_000, "{}", html.len());
    // It is XML but for its first line and what HTML leaves open, so that no tag is left open by mistake.
    let text = html.replace("<!doctype html>\n", "").replace("<meta charset=\"utf-8\">", "");
    let text: String = text.lines().filter(|line| !line.starts_with("<meta")).collect::<Vec<_>>().join("\n");
    let mut reader = quick_xml::Reader::from_str(&text);
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("at {}: {error}", reader.buffer_position())) {
            quick_xml::events::Event::Eof => break,
            _ => continue,
        }
    }
}

#[test]
fn compacted_data_gives_the_same_report() {
    let simulated = two_months();
    let args = ["--month", "2026-11", "--format", "json"];
    let before = succeed(&mut simulated.report(&args));
    succeed(ghostlight().arg("compact").arg(simulated.path("out")).args(["--keep", "0s"]));
    assert_eq!(succeed(&mut simulated.report(&args)), before);
    assert!(Path::new(&simulated.path("out")).join("_generations").exists());
}
