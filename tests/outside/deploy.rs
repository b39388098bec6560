//! What lies under `deploy/` is what ghostlight, Compose, Kubernetes and systemd accept. Nothing is deployed.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{ghostlight, output, script, succeed};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The secrets and names that the settings take from their surroundings.
const VARIABLES: [(&str, &str); 4] = [
    ("GHOSTLIGHT_WEBHOOK_TOKEN", "Bearer test"),
    ("GHOSTLIGHT_KAFKA_PASSWORD", "test"),
    ("HOSTNAME", "worker-1"),
    ("POD_NAME", "ghostlight-0"),
];

fn settings_files() -> Vec<PathBuf> {
    let found = glob::glob(&format!("{ROOT}/deploy/**/*.toml")).expect("a pattern");
    found.map(|path| path.expect("can be listed")).collect()
}

#[test]
fn ghostlight_accepts_every_settings_file_that_is_deployed() {
    let files = settings_files();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        succeed(ghostlight().envs(VARIABLES).arg("check-config").arg(file));
    }
}

#[test]
fn a_secret_that_is_not_given_is_missed_by_name() {
    for (file, variable) in
        [("compose/gateway.toml", "GHOSTLIGHT_WEBHOOK_TOKEN"), ("kubernetes/worker.toml", "GHOSTLIGHT_KAFKA_PASSWORD")]
    {
        let mut command = ghostlight();
        command.envs(VARIABLES).env_remove(variable).arg("check-config").arg(format!("{ROOT}/deploy/{file}"));
        let (is_accepted, said) = output(&mut command);
        assert!(!is_accepted && said.contains(variable), "{file}: {said}");
    }
}

#[test]
fn compose_file_manifests_and_dockerfile_fit_their_schemas_and_each_other() {
    let said = succeed(script("deploy.py").arg(ROOT));
    for checked in ["Dockerfile: ", "compose: ", "unit: ", "kubernetes: "] {
        assert!(said.contains(checked), "nothing was said of {checked}{said}");
    }
}

#[test]
fn whatever_is_broken_in_a_copy_of_them_is_found() {
    let said = succeed(script("deploy.py").args([ROOT, "broken"]));
    assert!(said.contains("broken: "), "{said}");
}

#[test]
fn systemd_understands_the_whole_unit_and_calls_it_safe() {
    let unit = std::fs::read_to_string(format!("{ROOT}/deploy/ghostlight.service")).expect("the unit is there");
    // Where a package would put the program, there is none here; the rest is checked as it is.
    let installed = "ExecStart=/usr/bin/ghostlight ";
    assert!(unit.contains(installed), "{unit}");
    let built = unit.replace(installed, &format!("ExecStart={} ", env!("CARGO_BIN_EXE_ghostlight")));
    assert_eq!(complaints(&built), Vec::<String>::new());

    for (what, instead) in [("ProtectSystem=strict", "ProtectSystem=strikt"), ("Restart=always", "Restarts=always")] {
        assert!(!complaints(&built.replace(what, instead)).is_empty(), "{instead} was not found");
    }
}

/// What systemd says of a unit. What it cannot read it only warns of, and succeeds.
fn complaints(unit: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ghostlight.service");
    std::fs::write(&path, unit).expect("a file is written");
    let analyze = |arguments: &[&str]| {
        let found = Command::new("systemd-analyze").args(arguments).arg(&path).output();
        let found = found.unwrap_or_else(|error| {
            panic!("systemd-analyze: {error}; on Debian and Ubuntu 'apt-get install systemd' brings it")
        });
        (found.status.success(), String::from_utf8_lossy(&[found.stdout, found.stderr].concat()).into_owned())
    };
    let (is_valid, said) = analyze(&["verify", "--man=no", "--recursive-errors=no"]);
    // Other units of this machine may have faults of their own.
    let mut complaints: Vec<_> =
        said.lines().filter(|line| line.contains("ghostlight.service")).map(str::to_owned).collect();
    if !is_valid && complaints.is_empty() {
        complaints.push(said);
    }
    // From 0 to 100: how much of the system the unit leaves open. One that keeps to its job is below 20.
    let (is_safe, said) = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"]);
    if !is_safe {
        complaints.push(said);
    }
    complaints
}

fn promtool(arguments: &[&str]) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(format!("{ROOT}/deploy/prometheus"));
    succeed(&mut command)
}

#[test]
fn prometheus_accepts_the_alert_rules_and_they_fire_when_they_should() {
    assert!(promtool(&["check", "rules", "--lint-fatal", "ghostlight.rules.yml"]).contains("SUCCESS"));
    assert!(promtool(&["test", "rules", "ghostlight.rules.test.yml"]).contains("SUCCESS"));
    // Each rule has a test.
    let rules = read("deploy/prometheus/ghostlight.rules.yml");
    let tests = read("deploy/prometheus/ghostlight.rules.test.yml");
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let fires = tests
            .split("alert_rule_test:")
            .any(|test| test.split("alertname: ").skip(1).any(|rest| rest.starts_with(&format!("{name}\n"))));
        assert!(fires, "no test in which {name} fires");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_there_are_in_promql() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/ghostlight.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut rules = "groups: [{name: dashboard, rules: [".to_owned();
    for (number, panel) in panels.iter().enumerate() {
        for (of_panel, target) in panel["targets"].as_array().into_iter().flatten().enumerate() {
            let expression = target["expr"].as_str().expect("an expression").replace("$__rate_interval", "5m");
            rules +=
                &serde_json::json!({ "record": format!("panel:{number}:{of_panel}"), "expr": expression }).to_string();
            rules += ",";
        }
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
    }
    rules += "]}]";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dashboard.yml");
    std::fs::write(&path, &rules).expect("written");
    assert!(promtool(&["check", "rules", &path.display().to_string()]).contains("SUCCESS"));

    let known: std::collections::BTreeSet<_> = ghostlight::live::metrics::names().collect();
    for (file, text) in [
        ("the dashboard", rules),
        ("the rules", read("deploy/prometheus/ghostlight.rules.yml")),
        ("their tests", read("deploy/prometheus/ghostlight.rules.test.yml")),
    ] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let asked: Vec<_> = words.filter(|word| word.starts_with("ghostlight_")).collect();
        assert!(!asked.is_empty(), "{file}");
        for name in asked {
            assert!(known.contains(name), "{file} asks for {name}, which ghostlight does not have");
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}
