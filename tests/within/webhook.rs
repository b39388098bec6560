//! The webhook by the real program over real HTTP: what is answered, and that what was acknowledged is counted.

use std::io::Write;
use std::process::Command;

use crate::support::{Server, dead_letters, open, output, runtime, verified, wait_for};

fn event(n: usize) -> String {
    format!(
        r#"{{"log_id":"id-{n}","data":{{"type":"s","log_id":"id-{n}","date":"2026-11-01T00:00:00Z","user_id":"auth0|{n}"}}}}"#
    )
}

fn bodies(of: std::ops::Range<usize>) -> Vec<u8> {
    of.map(|n| event(n) + "\n").collect::<String>().into_bytes()
}

#[test]
fn all_three_content_formats_are_taken_plain_and_gzip() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "");
    let array = format!("[{},{}]", event(3), event(4));
    let object = format!("{{\"logs\":[{},{}]}}", event(5), event(6));
    for body in [&bodies(1..3), array.as_bytes(), object.as_bytes()] {
        assert_eq!(server.post(body, &[("Content-Type", "application/json")]).0, 200);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bodies(7..10)).expect("compresses");
    let gzip = gzip.finish().expect("compresses");
    assert_eq!(server.post(&gzip, &[("Content-Encoding", "gzip")]).0, 200);
    // Delivered again, as Auth0 does when an answer is lost.
    assert_eq!(server.post(&bodies(1..3), &[]).0, 200);
    server.stop();
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.duplicates, accounting.rejected), (9, 2, 0));
}

#[test]
fn what_is_refused_says_why_with_the_right_status_and_is_not_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "Bearer right\n").expect("written");
    let token = format!("authorization = {{ file = {:?} }}", folder.path().join("token").display().to_string());
    let server = Server::start(folder.path(), "spool", &format!("{token}\nbody_max = \"4KiB\"\n--"));
    let right = ("Authorization", "Bearer right");
    let refused = |body: &[u8], headers: &[(&str, &str)], status: u16, says: &str| {
        let (found, answer) = server.post(body, headers);
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(says), "{answer}");
    };
    refused(event(1).as_bytes(), &[], 401, "Authorization");
    refused(event(1).as_bytes(), &[("Authorization", "Bearer wrong")], 401, "Authorization");
    refused(event(1).as_bytes(), &[("Authorization", "right")], 401, "Authorization");
    refused(&bodies(0..100), &[right], 413, "4096 bytes");
    refused(b"not json", &[right], 400, "not JSON");
    refused(b"", &[right], 400, "it is empty");
    refused(b"42", &[right], 400, "bare value");
    refused(b"{\"type\":\"s\"", &[right], 400, "not JSON");
    refused(event(1).as_bytes(), &[right, ("Content-Encoding", "br")], 415, "\\\"br\\\"");
    refused(event(1).as_bytes(), &[right, ("Content-Encoding", "gzip")], 400, "not gzip");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 3_000_000]).expect("compresses");
    let bomb = bomb.finish().expect("compresses");
    refused(&bomb, &[right, ("Content-Encoding", "gzip")], 413, "4096 bytes");
    assert_eq!(server.get("/v1/logs").0, 405);
    assert_eq!(server.get("/nothing").0, 404);
    assert_eq!(server.post(event(1).as_bytes(), &[right]).0, 200);
    let log = server.stop();
    assert!(!log.contains("Bearer right"), "the secret is never logged");
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.records, accounting.counted), (1, 1));
}

#[test]
fn a_broken_line_among_good_ones_is_a_dead_letter_and_the_others_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "");
    for (broken, good) in [(&b"{\"log_id\":\"broken"[..], 1..3), (b"{\"type\":\"\xff\xfeGL\xff\"}", 3..5)] {
        let good: Vec<String> = good.map(event).collect();
        let body = [good[0].as_bytes(), b"\n", broken, b"\n", good[1].as_bytes()].concat();
        assert_eq!(server.post(&body, &[]).0, 200);
    }
    server.stop();
    let store = open(&folder.path().join("out"));
    assert_eq!(verified(&store).accounting.counted, 4);
    let letters: Vec<_> = dead_letters(&store).into_iter().map(|letter| (letter.2, letter.3)).collect();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0].0, b"{\"log_id\":\"broken");
    assert_eq!(letters[1].0, b"{\"type\":\"\xff\xfeGL\xff\"}");
    assert!(letters[1].1.contains("invalid UTF-8"), "{letters:?}");
}

#[test]
fn health_readiness_and_metrics_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "[flush]\ninterval = \"20ms\"\n");
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(server.get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(server.post(&bodies(0..10), &[]).0, 200);
    let counted = |metrics: &str| metrics.contains("ghostlight_events_total{outcome=\"counted\"} 10");
    let seen = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        counted(&server.get("/metrics").1)
    });
    let metrics = server.get("/metrics").1;
    assert!(seen, "{metrics}");
    assert!(metrics.contains("ghostlight_webhook_requests_total{status=\"200\"} 1"), "{metrics}");
    assert!(metrics.contains("ghostlight_commits_total 1"), "{metrics}");
}

#[test]
fn the_read_sides_figures_are_metrics_and_tenants_only_for_who_has_the_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "open sesame").expect("written");
    let live = format!("[live]\ninterval = \"20ms\"\ntoken = {{ file = {:?} }}\n", token.display().to_string());
    let server = Server::start(folder.path(), "spool", &format!("[flush]\ninterval = \"20ms\"\n{live}"));
    assert_eq!(server.post(&bodies(0..10), &[]).0, 200);
    let with_token = || {
        let request = reqwest::Client::new().get(server.url.replace("/v1/logs", "/metrics")).bearer_auth("open sesame");
        runtime().block_on(async { request.send().await.expect("it answers").text().await.expect("a body") })
    };
    let shown = wait_for("the tenant is shown", || {
        Some(with_token()).filter(|metrics| metrics.contains("ghostlight_tenant_active_users{tenant="))
    });
    for line in [
        "ghostlight_tenants{state=\"shown\"} 1",
        "ghostlight_alerts_firing{rule=\"ghost-usage\",severity=\"critical\"} 0",
        "ghostlight_read_rounds_total{outcome=\"done\"} ",
        "ghostlight_spool_max_bytes 10737418240",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let open = server.get("/metrics").1;
    assert!(open.contains("ghostlight_tenants{state=\"shown\"} 1"), "{open}");
    assert!(!open.contains("ghostlight_tenant_"), "{open}");
}

#[test]
fn no_other_sites_page_writes_events_or_reads_tenants_of_a_server_on_loopback() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "[flush]\ninterval = \"20ms\"\n[live]\ninterval = \"20ms\"\n";
    let server = Server::start(folder.path(), "spool", settings);
    let (status, answer) = server.post(&bodies(0..10), &[("Origin", "https://attacker.example")]);
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("https://attacker.example") && answer.contains("webhook.authorization"), "{answer}");
    assert_eq!(server.post(&bodies(0..10), &[]).0, 200);
    let metrics = |host: &str| {
        let request = reqwest::Client::new().get(server.url.replace("/v1/logs", "/metrics")).header("host", host);
        runtime().block_on(async { request.send().await.expect("it answers").text().await.expect("a body") })
    };
    let is_shown = |metrics: &String| metrics.contains("ghostlight_tenant_active_users{tenant=");
    wait_for("the tenant is shown", || Some(metrics("localhost:7070")).filter(is_shown));
    let foreign = metrics("attacker.example");
    assert!(foreign.contains("ghostlight_tenants{state=\"shown\"} 1"), "{foreign}");
    assert!(!foreign.contains("ghostlight_tenant_"), "{foreign}");
    let log = server.stop();
    assert_eq!(verified(&open(&folder.path().join("out"))).accounting.counted, 10, "{log}");
}

#[test]
fn two_replicas_on_one_output_count_everything_and_say_what_came_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (Server::start(folder.path(), "one", ""), Server::start(folder.path(), "two", ""));
    assert_eq!(one.post(&bodies(0..60), &[]).0, 200);
    assert_eq!(two.post(&bodies(60..100), &[]).0, 200);
    // One body was delivered to both: across partitions it counts twice, and verify says how often that happened.
    assert_eq!(two.post(&bodies(0..5), &[]).0, 200);
    one.stop();
    two.stop();
    let report = verified(&open(&folder.path().join("out")));
    assert_eq!((report.partitions, report.accounting.counted), (2, 105));
    assert!(report.notes.iter().any(|note| note.starts_with("5 log_ids")), "{:?}", report.notes);
}

#[test]
fn a_wiped_spool_is_a_new_partition_and_what_was_committed_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "");
    assert_eq!(server.post(&bodies(0..50), &[]).0, 200);
    server.stop();
    std::fs::remove_dir_all(folder.path().join("spool")).expect("wiped");
    let server = Server::start(folder.path(), "spool", "");
    assert_eq!(server.post(&bodies(50..80), &[]).0, 200);
    server.stop();
    let report = verified(&open(&folder.path().join("out")));
    assert_eq!((report.partitions, report.accounting.counted), (2, 80));
}

#[test]
fn a_second_process_on_the_same_spool_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "");
    let (ok, said) = output(
        Command::new(env!("CARGO_BIN_EXE_ghostlight")).arg("run").arg("--config").arg(folder.path().join("spool.toml")),
    );
    assert!(!ok && said.contains("spool") && said.contains("another ghostlight"), "{said}");
    assert_eq!(server.post(&bodies(0..5), &[]).0, 200);
    server.stop();
    assert_eq!(verified(&open(&folder.path().join("out"))).accounting.counted, 5);
}

#[test]
fn a_full_spool_answers_503_and_every_acknowledged_body_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "body_max = \"8KiB\"\n--segment = \"8KiB\"\nmax = \"32KiB\"\n[flush]\ninterval = \"1h\"\n";
    let server = Server::start(folder.path(), "spool", more);
    let answers: Vec<_> = (0..60).map(|n| server.post(&bodies(n * 10..n * 10 + 10), &[])).collect();
    let acknowledged = answers.iter().filter(|(status, _)| *status == 200).count() as u64;
    assert!(acknowledged > 5 && acknowledged < 60, "{acknowledged}");
    assert!(answers.iter().all(|(status, answer)| *status == 200 || (*status == 503 && answer.contains("spool.max"))));
    let (status, why) = server.get("/readyz");
    assert!(status == 503 && why.contains("full"), "{why}");
    server.stop();
    assert_eq!(verified(&open(&folder.path().join("out"))).accounting.counted, acknowledged * 10);
}

/// A limit on file sizes is the full disk that every machine has.
#[test]
fn a_full_disk_under_the_spool_answers_503_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "[flush]\ninterval = \"1h\"\n";
    let limited = |settings: &std::path::Path| {
        let mut command = Command::new("bash");
        let script = "trap '' XFSZ; ulimit -f 40; exec \"$@\"";
        command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_ghostlight"), "run", "--config"]).arg(settings);
        command
    };
    let server = Server::start_by(folder.path(), "spool", more, limited).expect("starts");
    let answers: Vec<_> = (0..60).map(|n| server.post(&bodies(n * 10..n * 10 + 10), &[])).collect();
    let acknowledged: Vec<_> = (0..60).filter(|n| answers[*n].0 == 200).collect();
    assert!(acknowledged.len() > 5 && acknowledged.len() < 60, "{answers:?}");
    assert!(
        answers.iter().all(|(status, answer)| *status == 200 || (*status == 503 && answer.contains("File too large")))
    );
    let (status, why) = server.get("/readyz");
    assert!(status == 503 && why.contains("cannot write to the spool"), "{status} {why}");
    drop(server);
    Server::start(folder.path(), "spool", more).stop();
    assert_eq!(verified(&open(&folder.path().join("out"))).accounting.counted, acknowledged.len() as u64 * 10);
}

#[test]
fn a_simulated_tenant_posted_by_the_program_itself_is_counted_exactly() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), "spool", "[flush]\ninterval = \"50ms\"\n");
    let truth = folder.path().join("truth.json");
    let (ok, said) = output(
        Command::new(env!("CARGO_BIN_EXE_ghostlight"))
            .args(["simulate", "--events", "5000", "--malformed", "0", "--envelope", "mixed", "--post", &server.url])
            .arg("--truth")
            .arg(&truth),
    );
    assert!(ok, "{said}");
    server.stop();
    let truth: ghostlight::simulate::Truth =
        serde_json::from_slice(&std::fs::read(truth).expect("reads")).expect("is a truth");
    let accounting = verified(&open(&folder.path().join("out"))).accounting;
    assert_eq!((accounting.counted, accounting.duplicates), (truth.distinct_events, truth.duplicates));
}

#[test]
fn the_demo_counts_every_event_it_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_ghostlight"));
    let (ok, said) = output(demo.args(["demo", "--events", "20000", "--dir"]).arg(folder.path()));
    assert!(ok && said.contains(" 20000 events counted"), "{said}");
    verified(&open(&folder.path().join("out")));
}
