//! The live page in a real browser: what it shows, that nothing overlaps, that it keeps itself up to date.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use ghostlight::live::model::Model;

use crate::support::overview::{PageServer, empty, full, hostile, next, quiet};
use crate::support::{runtime, script};

/// Runs a part of `page.py` against a page that shows `model`. The script asks for changes by lines on its standard
/// output, each answered by a line: `show NAME`, `stop`, `start`.
fn in_chromium(part: &str, model: Model, token: Option<&str>) {
    let runtime = runtime();
    let mut server = runtime.block_on(PageServer::start(model, token));
    let mut browser = script("page.py")
        .args([part, &server.url("/")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let mut answers = browser.stdin.take().expect("a pipe");
    let mut said = String::new();
    for line in BufReader::new(browser.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("text");
        match line.as_str() {
            "show full" => server.show(full()),
            "show next" => server.show(next()),
            "stop" => runtime.block_on(server.stop()),
            "start" => runtime.block_on(server.start_again()),
            other => {
                said += other;
                said.push('\n');
                continue;
            }
        }
        writeln!(answers, "done").expect("the script reads");
    }
    let status = browser.wait().expect("the script ends");
    assert!(status.success() && said.contains("checked: "), "{part}: {status}, {said}");
}

#[test]
fn the_page_shows_a_tenant_full_of_data_without_overlaps_in_every_width_dark_and_light() {
    in_chromium("full", full(), None);
}

#[test]
fn an_empty_page_says_what_to_do() {
    in_chromium("empty", empty(), None);
    in_chromium("quiet", quiet(), None);
}

#[test]
fn hostile_names_stay_text_and_stay_in_their_places() {
    in_chromium("hostile", hostile(), None);
}

#[test]
fn the_page_works_by_keyboard_and_an_update_changes_numbers_without_a_reload() {
    in_chromium("keyboard", full(), None);
}

#[test]
fn the_page_says_that_the_connection_is_lost_and_comes_back_by_itself() {
    in_chromium("connection", full(), None);
}

#[test]
fn with_a_token_the_page_opens_after_a_login_only() {
    in_chromium("login", full(), Some("open sesame"));
}
