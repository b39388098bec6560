//! What the audit writes is what the standard says.

use crate::support::{ghostlight, output, script, succeed};

#[test]
fn sarif_fits_the_schema_of_the_standard() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.sarif");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/tenants/example-directory");
    let (is_clean, said) =
        output(ghostlight().args(["audit", "--config", config, "--format", "sarif", "-o"]).arg(&file));
    assert!(!is_clean && said.is_empty(), "{said}");
    let said = succeed(script("sarif.py").arg(&file));
    assert!(said.starts_with("sarif: "), "{said}");
}
