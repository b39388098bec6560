//! Bad input of every kind: a clear error or a dead letter, the right exit code, and nothing lost.

use std::path::Path;

use crate::support::{config, dead_letters, ghostlight, ingest, open, output, verified};

const GOOD: &str = r#"{"type":"s","log_id":"id-1","date":"2026-11-01T00:00:00Z","user_id":"auth0|1"}"#;

fn run_ingest(out: &Path, more: &[&str]) -> (bool, String) {
    output(ghostlight().arg("ingest").arg("--out").arg(out).args(more))
}

#[test]
fn what_cannot_be_understood_is_kept_byte_for_byte_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.ndjson");
    let bad: [(&[u8], &str); 9] = [
        (b"not json at all", "not JSON"),
        (b"\xff\xfe\x00garbage\x80", "invalid UTF-8"),
        (b"{\"type\":\"s\",\"log_id\":\"\xc3\x28\"}", "invalid UTF-8"),
        (b"42", "found a number"),
        (b"{\"log_id\":\"1\",\"data\":{\"log_id\":\"1\"}}", "no `type`"),
        (b"{\"type\":\"s\",\"log_id\":\"1\"}", "no `date`"),
        (b"{\"type\":\"s\",\"log_id\":\"1\",\"date\":\"soon\"}", "ISO 8601"),
        (b"{\"type\":\"s\",\"log_id\":\"1\"", "not JSON"),
        (b"[[[[[[[[[[[[{\"type\":\"s\"}]]]]]]]]]]]]", "nested deeper"),
    ];
    let mut content = format!("{GOOD}\n").into_bytes();
    for (line, _) in bad {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    std::fs::write(&file, content).expect("written");
    let store = open(&folder.path().join("out"));
    let summary = ingest(&store, &config(""), &[&file]).expect("ingests");
    assert_eq!((summary.accounting.counted, summary.accounting.rejected), (1, bad.len() as u64));
    let letters = dead_letters(&store);
    let mut offset = GOOD.len() as u64 + 1;
    for ((line, reason), letter) in bad.iter().zip(&letters) {
        assert_eq!((letter.0, letter.2.as_slice()), (offset, *line));
        assert!(letter.3.contains(reason), "{:?} for {}", letter.3, String::from_utf8_lossy(line));
        offset += line.len() as u64 + 1;
    }
    verified(&store);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_kept_whole_in_flat_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("long.ndjson");
    let long: Vec<u8> = (0..100_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let mut content = format!("{GOOD}\n").into_bytes();
    content.extend_from_slice(&long);
    content.extend_from_slice(format!("\n{}\n", GOOD.replace("id-1", "id-2")).as_bytes());
    std::fs::write(&file, content).expect("written");
    let out = folder.path().join("out");
    let (ok, said) = run_ingest(&out, &[file.to_str().expect("text")]);
    assert!(ok && said.contains("2 counted"), "{said}");
    let store = open(&out);
    verified(&store);
    let letters = dead_letters(&store);
    assert!(letters.iter().all(|letter| letter.3.contains("files.record_max")));
    assert!(letters.into_iter().flat_map(|letter| letter.2).eq(long));
}

#[test]
fn files_that_cannot_be_read_are_named_and_the_others_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good.ndjson");
    std::fs::write(&good, format!("{GOOD}\n")).expect("written");
    let out = folder.path().join("out");
    // Opening works, reading is an error of the device.
    let (ok, said) = run_ingest(&out, &["/proc/self/mem", "/no/such/file", good.to_str().expect("text")]);
    assert!(!ok, "{said}");
    assert!(said.contains("/proc/self/mem: ") && said.contains("/no/such/file: No such file"), "{said}");
    assert_eq!(verified(&open(&out)).accounting.counted, 1);
    let (ok, said) = run_ingest(&out, &["/no/such/*.ndjson"]);
    assert!(!ok && said.contains("no file matches"), "{said}");
}

/// A limit on file sizes is the full disk that every machine has.
#[test]
fn a_full_disk_is_a_clear_error_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let truth = crate::support::write_simulation(&crate::support::small(6, 4000), &file);
    let out = folder.path().join("out");
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", script, "bash", env!("CARGO_BIN_EXE_ghostlight"), "ingest", "--out"]).arg(&out).arg(&file);
    let (ok, said) = output(&mut limited);
    assert!(!ok && said.contains("error: ") && said.contains("File too large"), "{said}");
    assert!(said.contains("_staging/"), "names what could not be written: {said}");
    let (ok, said) = run_ingest(&out, &[file.to_str().expect("text")]);
    assert!(ok, "{said}");
    assert_eq!(verified(&open(&out)).accounting.counted, truth.distinct_events);
}

#[test]
fn wrong_places_and_settings_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.ndjson");
    std::fs::write(&file, format!("{GOOD}\n")).expect("written");
    let file = file.to_str().expect("text");
    let (ok, said) = run_ingest(Path::new(file), &[file]);
    assert!(!ok && said.contains("opening the output folder") && said.contains(file), "{said}");
    let (ok, said) = run_ingest(Path::new("gs://bucket"), &[file]);
    assert!(!ok && said.contains("gs:// is not supported"), "{said}");
    let (ok, said) = output(ghostlight().args(["verify", "/no/such/folder"]));
    assert!(!ok && said.contains("/no/such/folder"), "{said}");
    let (ok, said) = output(ghostlight().arg("verify").arg(folder.path()));
    assert!(!ok && said.contains("no ledger"), "{said}");
    let settings = folder.path().join("wrong.toml");
    std::fs::write(&settings, "[flush]\ninterval = \"often\"\n").expect("written");
    let (ok, said) = output(ghostlight().arg("check-config").arg(&settings));
    assert!(!ok && said.contains("flush.interval") && said.contains("interval = \"30s\""), "{said}");
    std::fs::write(&settings, "[flush]\nintervall = \"5s\"\n").expect("written");
    let (ok, said) = output(ghostlight().arg("check-config").arg(&settings));
    assert!(!ok && said.contains("intervall") && said.contains("line 2"), "{said}");
}

#[test]
fn verify_says_where_a_directory_breaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    crate::support::write_simulation(&crate::support::small(6, 4000), &file);
    let out = folder.path().join("out");
    let make = || {
        let _ = std::fs::remove_dir_all(&out);
        ingest(&open(&out), &config(crate::support::SMALL_BATCHES), &[&file]).expect("ingests");
    };
    let find = |part: &str| {
        let mut found: Vec<_> =
            glob::glob(&format!("{}/{part}", out.display())).expect("a pattern").flatten().collect();
        found.sort();
        found
    };
    let broken = |what: &str| {
        let (ok, said) = output(ghostlight().arg("verify").arg(&out));
        assert!(!ok && said.contains(what), "expected {what:?}: {said}");
    };
    make();
    assert!(output(ghostlight().arg("verify").arg(&out)).0);
    let counts = find("event_counts/*/*.parquet").remove(0);
    std::fs::remove_file(&counts).expect("removed");
    broken("missing");
    make();
    let users = find("active_users/*/*.parquet").remove(0);
    let mut bytes = std::fs::read(&users).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&users, bytes).expect("written");
    broken("altered");
    make();
    let copy = find("event_counts/*/*.parquet").remove(0);
    std::fs::copy(&copy, copy.with_file_name("copy.parquet")).expect("copied");
    broken("foreign");
    make();
    let entries = find("_ledger/file/*/0/*.json");
    assert!(entries.len() >= 3, "the scene has several commits");
    std::fs::remove_file(&entries[1]).expect("removed");
    broken("gap");
    make();
    let entry = find("_ledger/file/*/0/*.json").remove(0);
    let text = std::fs::read_to_string(&entry).expect("reads");
    std::fs::write(&entry, text.replace("\"counted\": ", "\"counted\": 1")).expect("written");
    broken("does not add up");
}
