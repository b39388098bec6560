//! What the audit writes is what the standard says.

use crate::support::{ghostlight, output, python, script, succeed};

#[test]
fn sarif_fits_the_schema_of_the_standard() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.sarif");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenants/example-directory");
    let (is_clean, said) =
        output(ghostlight().args(["audit", "--config", config, "--format", "sarif", "-o"]).arg(&file));
    assert!(!is_clean && said.is_empty(), "{said}");
    let said = succeed(script("sarif.py").arg(&file));
    assert!(said.starts_with("sarif: "), "{said}");
}

#[test]
fn the_pipeline_of_deploy_is_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/ci/github-actions.yaml");
    succeed(python().args(["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", file]));
    // Its lines are lines that ghostlight takes: they fail only for what is not here.
    let text = std::fs::read_to_string(file).expect("it is there");
    let commands: Vec<String> = text
        .split("run: >-")
        .skip(1)
        .map(|rest| {
            rest.lines().skip(1).take_while(|line| line.starts_with("          ")).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(commands.len(), 2);
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let mut run = ghostlight();
        run.args(&words).env_remove("AUTH0_CLIENT_ID");
        let (is_clean, said) = output(&mut run);
        assert!(!is_clean && said.contains("audit-baseline.toml"), "{command}: {said}");
    }
}
