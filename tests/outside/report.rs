//! The report's HTML in a real browser: on screens of three widths, light and dark, and printed to PDF.

use crate::support::{Simulated, ghostlight, script, succeed};

#[test]
fn the_page_reads_well_on_every_screen_and_on_paper() {
    let simulated = Simulated::new(40_000, 30, 7);
    let out = simulated.ingest_into("out");
    let (page, settings) = (simulated.path("report.html"), simulated.path("settings.toml"));
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenants/example-directory");
    let text = format!(
        "[quota]\nmau = 3000\nm2m_tokens = 20000\n[prices]\ncurrency = \"USD\"\nper_1000_m2m_tokens = 1.5\n[audit]\nconfig = \
         {config:?}\ntenant = \"northwind-prod\"\n"
    );
    std::fs::write(&settings, text).expect("settings");
    succeed(
        ghostlight()
            .args(["report", "--format", "html", "--data"])
            .arg(&out)
            .arg("--config")
            .arg(&settings)
            .arg("-o")
            .arg(&page),
    );
    assert!(std::fs::read_to_string(&page).expect("a page").contains("<h2>Audit ("));
    let said = succeed(script("page.py").arg("report").arg(format!("file://{}", page.display())));
    assert!(said.contains("checked: ") && said.contains("pages of PDF"), "{said}");
}
