//! Files that are renamed, grow, shrink, are rewritten, compressed, or hold their events in another form.

use std::io::Write;
use std::path::{Path, PathBuf};

use ghostlight::simulate::{Envelope, Simulation};

use crate::support::{
    SMALL_BATCHES, committed, config, dead_letters, ghostlight, ingest, open, output, small, verified, write_simulation,
};

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn out(&self) -> PathBuf {
        self.path("out")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file is written");
        path
    }

    /// `ghostlight ingest --out OUT MORE…`
    fn ingest(&self, more: &[&str]) -> (bool, String) {
        output(ghostlight().arg("ingest").arg("--out").arg(self.out()).args(more))
    }

    fn counted(&self) -> u64 {
        verified(&open(&self.out())).accounting.counted
    }
}

fn event(n: usize) -> String {
    let minute = n % 60;
    format!(r#"{{"type":"s","log_id":"id-{n}","date":"2026-11-01T00:{minute:02}:00Z","user_id":"auth0|{n}"}}"#)
}

fn lines(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|n| event(n) + "\n").collect::<String>().into_bytes()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compresses");
    encoder.finish().expect("compresses")
}

#[test]
fn a_renamed_file_is_the_same_file() {
    let scene = Scene::new();
    let first = scene.write("a.ndjson", &lines(0..50));
    assert!(scene.ingest(&[text(&first)]).0);
    let second = scene.path("a.ndjson.1");
    std::fs::rename(&first, &second).expect("renames");
    let (ok, said) = scene.ingest(&[text(&second)]);
    assert!(ok && said.contains("unchanged"), "{said}");
    assert_eq!(scene.counted(), 50);
}

#[test]
fn a_grown_file_continues_where_it_ended() {
    let scene = Scene::new();
    for end in [1, 3, 10, 200] {
        let file = scene.write("a.ndjson", &lines(0..end));
        assert!(scene.ingest(&[text(&file)]).0);
        assert_eq!(scene.counted(), end as u64);
    }
    assert_eq!(verified(&open(&scene.out())).partitions, 1);
}

#[test]
fn an_older_copy_of_a_file_that_has_grown_is_known() {
    let scene = Scene::new();
    let older = scene.write("older.ndjson", &lines(0..30));
    assert!(scene.ingest(&[text(&older)]).0);
    let grown = scene.write("grown.ndjson", &lines(0..90));
    assert!(scene.ingest(&[text(&grown)]).0);
    let (ok, said) = scene.ingest(&[text(&older)]);
    assert!(ok && said.contains("unchanged"), "{said}");
    assert_eq!(scene.counted(), 90);
}

#[test]
fn a_truncated_file_is_refused_with_what_happened_and_what_to_do() {
    let scene = Scene::new();
    let whole = lines(0..100);
    let file = scene.write("a.ndjson", &whole);
    assert!(scene.ingest(&[text(&file)]).0);
    scene.write("a.ndjson", &whole[..whole.len() / 2]);
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(!ok && said.contains("was truncated") && said.contains("--as-new"), "{said}");
    assert_eq!(scene.counted(), 100);
}

#[test]
fn a_file_rewritten_in_place_is_refused_and_can_be_read_as_new() {
    let scene = Scene::new();
    let file = scene.write("a.ndjson", &lines(0..100));
    assert!(scene.ingest(&[text(&file)]).0);
    // The same beginning, other events after it: copied and truncated, then written to again.
    scene.write("a.ndjson", &[lines(0..20), lines(1000..1100)].concat());
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(!ok && said.contains("rewritten in place") && said.contains("--as-new"), "{said}");
    let (ok, said) = scene.ingest(&["--as-new", text(&file)]);
    assert!(ok, "{said}");
    assert_eq!(scene.counted(), 200, "the 20 events they share are duplicates");
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(ok && said.contains("unchanged"), "{said}");
}

#[test]
fn a_rotated_file_and_its_successor_are_two_files() {
    let scene = Scene::new();
    let file = scene.write("a.ndjson", &lines(0..100));
    assert!(scene.ingest(&[text(&file)]).0);
    std::fs::rename(&file, scene.path("a.ndjson.1")).expect("renames");
    scene.write("a.ndjson", &lines(100..150));
    let (ok, said) = scene.ingest(&[&format!("{}/a.ndjson*", scene.folder.path().display())]);
    assert!(ok, "{said}");
    assert_eq!(scene.counted(), 150);
}

#[test]
fn compression_is_told_by_content_and_is_not_part_of_what_a_file_is() {
    let scene = Scene::new();
    let plain = scene.path("plain");
    write_simulation(&small(4, 3000), &plain);
    let bytes = std::fs::read(&plain).expect("reads");
    let zipped = scene.write("named-wrongly.zst", &gzip(&bytes));
    let zstd = scene.write("no-name-at-all", &zstd::encode_all(&bytes[..], 1).expect("compresses"));
    assert!(scene.ingest(&[text(&zipped)]).0);
    let first = committed(&open(&scene.out()));
    for again in [&zstd, &plain] {
        let (ok, said) = scene.ingest(&[text(again)]);
        assert!(ok && said.contains("unchanged"), "{said}");
    }
    assert!(committed(&open(&scene.out())) == first);
    assert_eq!(scene.counted(), 3000);
}

#[test]
fn a_gzip_cut_off_gives_what_is_whole_and_goes_on_once_the_rest_is_there() {
    let scene = Scene::new();
    let zipped = gzip(&lines(0..40_000));
    let mut last = 0;
    for part in [3, 5, 7] {
        let file = scene.write("a.gz", &zipped[..zipped.len() * part / 8]);
        let (ok, said) = scene.ingest(&[text(&file)]);
        assert!(!ok && said.contains("cut off or damaged") && said.contains("gzip"), "{said}");
        let counted = scene.counted();
        assert!(counted > last && counted < 40_000, "{counted}");
        last = counted;
    }
    let file = scene.write("a.gz", &zipped);
    assert!(scene.ingest(&[text(&file)]).0);
    assert_eq!(scene.counted(), 40_000);
    assert!(dead_letters(&open(&scene.out())).is_empty());
}

#[test]
fn the_unfinished_last_line_waits_until_it_is_finished() {
    let scene = Scene::new();
    let whole = lines(0..10);
    let file = scene.write("a.ndjson", &whole[..whole.len() - 25]);
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(ok && said.contains("ends in the middle of a record"), "{said}");
    assert_eq!(scene.counted(), 9);
    scene.write("a.ndjson", &lines(0..12));
    assert!(scene.ingest(&[text(&file)]).0);
    assert_eq!(scene.counted(), 12);
    assert!(dead_letters(&open(&scene.out())).is_empty());
}

#[test]
fn a_last_line_without_a_line_break_is_a_record_if_it_is_whole() {
    let scene = Scene::new();
    let file = scene.write("a.ndjson", event(1).as_bytes());
    assert!(scene.ingest(&[text(&file)]).0);
    assert_eq!(scene.counted(), 1);
    scene.write("a.ndjson", format!("{}\n{}", event(1), event(2)).as_bytes());
    assert!(scene.ingest(&[text(&file)]).0);
    assert_eq!(scene.counted(), 2);
}

#[test]
fn pretty_printed_values_and_large_arrays_are_read_value_by_value() {
    let array = format!("[\n{}\n]\n", (0..30_000).map(event).collect::<Vec<_>>().join(",\n"));
    let one_line = format!("[{}]", (0..30_000).map(event).collect::<Vec<_>>().join(","));
    let pretty = |n| event(n).replace(",\"", ",\n  \"").replace('{', "{\n  ").replace('}', "\n}\n");
    for (name, content) in [("array", array), ("one-line", one_line), ("pretty", (0..30_000).map(pretty).collect())] {
        let scene = Scene::new();
        let file = scene.write(name, content.as_bytes());
        let store = open(&scene.out());
        let settings = config("[flush]\nbytes = \"100KiB\"\n[files]\nrecord_max = \"4KiB\"\n");
        let summary = ingest(&store, &settings, &[&file]).expect("ingests");
        assert_eq!((summary.accounting.counted, summary.accounting.rejected), (30_000, 0), "{name}");
        assert!(summary.commits > 1, "{name} is read in pieces");
        verified(&store);
        assert_eq!(ingest(&store, &settings, &[&file]).expect("ingests").accounting.records, 0, "{name} again");
    }
}

#[test]
fn every_envelope_is_read_from_a_folder() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("in/deep")).expect("a folder");
    for (at, name) in Envelope::NAMES.into_iter().enumerate() {
        let envelope = Envelope::from_name(name).expect("a name of its own list");
        let simulation =
            Simulation { envelope, start: at as i64 * 86_400_000 * 40 + 1_700_000_000_000, ..small(100, 500) };
        write_simulation(&simulation, &scene.path(&format!("in/deep/{name}")));
    }
    let (ok, said) = scene.ingest(&[text(&scene.path("in"))]);
    assert!(ok, "{said}");
    assert_eq!(scene.counted(), 500 * Envelope::NAMES.len() as u64);
}

#[test]
fn standard_input_is_read_and_dedupe_guards_a_second_time() {
    let scene = Scene::new();
    for expected in ["40 counted, 0 duplicates", "0 counted, 40 duplicates"] {
        let mut command = ghostlight();
        command.arg("ingest").arg("--out").arg(scene.out()).arg("-");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("starts");
        child.stdin.take().expect("a pipe").write_all(&lines(0..40)).expect("writes");
        let output = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(expected), "{said}");
    }
    assert_eq!(scene.counted(), 40);
}

#[test]
fn events_that_came_another_way_already_are_left_out_of_a_file() {
    let scene = Scene::new();
    let first = scene.write("first.ndjson", &lines(0..100));
    let overlapping = scene.write("second.ndjson", &lines(50..150));
    let (ok, said) = scene.ingest(&[text(&first), text(&overlapping)]);
    assert!(ok && said.contains("150 counted, 50 duplicates"), "{said}");
    assert_eq!(scene.counted(), 150);
}

#[test]
fn what_can_be_read_once_only_is_read_whole() {
    let scene = Scene::new();
    let file = scene.path("events.ndjson");
    let truth = write_simulation(&small(8, 3000), &file);
    let script = format!(
        "{} ingest --out {} <(cat {})",
        env!("CARGO_BIN_EXE_ghostlight"),
        scene.out().display(),
        file.display()
    );
    let (ok, said) = output(std::process::Command::new("bash").args(["-c", &script]));
    assert!(ok, "{said}");
    let accounting = verified(&open(&scene.out())).accounting;
    assert_eq!((accounting.records, accounting.counted), (truth.records, truth.distinct_events));
}

#[test]
fn a_torn_first_line_costs_only_itself() {
    let scene = Scene::new();
    let torn = [r#"[{"type":"s","da"#, r#"{"type":"s","#, r#"{"type":"s","log_id":"x"#];
    for (at, first) in torn.into_iter().enumerate() {
        let good = (at * 10..at * 10 + 5).map(event).collect::<Vec<_>>().join("\n");
        let file = scene.write(&format!("{at}"), format!("{first}\n{good}\n").as_bytes());
        let (ok, said) = scene.ingest(&[text(&file)]);
        assert!(ok && said.contains("5 counted") && said.contains("1 rejected"), "{first}: {said}");
    }
}

#[test]
fn a_broken_string_inside_an_array_does_not_take_the_rest_with_it() {
    let scene = Scene::new();
    let broken = event(2).replace("auth0|2\"", "auth0|2");
    let array = format!("[\n{},\n{},\n{broken},\n{},\n{}\n]\n", event(0), event(1), event(3), event(4));
    let file = scene.write("array", array.as_bytes());
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(ok && said.contains("counted"), "{said}");
    let kept: Vec<u8> = dead_letters(&open(&scene.out())).into_iter().flat_map(|letter| letter.2).collect();
    assert!(String::from_utf8_lossy(&kept).contains("auth0|2"));
    assert_eq!(scene.counted(), 4);
}

#[test]
fn a_growing_array_goes_on_as_an_array() {
    let scene = Scene::new();
    let file = scene.write("array", format!("[{},\n", event(1)).as_bytes());
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(ok && said.contains("1 counted"), "{said}");
    scene.write("array", format!("[{},\n{}]\n", event(1), event(2)).as_bytes());
    let (ok, said) = scene.ingest(&[text(&file)]);
    assert!(ok && said.contains("1 counted") && said.contains("0 rejected"), "{said}");
    assert_eq!(scene.counted(), 2);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_content() {
    let scene = Scene::new();
    let pretty = event(1).replace(",\"", ",\n  \"");
    let lines = format!("{}\n{}\n", event(2), event(3));
    for (name, content) in [("pretty", format!("[\n{pretty}\n]\n")), ("lines", lines)] {
        let file = scene.write(name, format!("\u{feff}{content}").as_bytes());
        let (ok, said) = scene.ingest(&[text(&file)]);
        assert!(ok && said.contains("0 rejected"), "{said}");
    }
    assert_eq!(scene.counted(), 3);
}

#[test]
fn short_files_that_begin_alike_are_different_files() {
    let scene = Scene::new();
    for (name, content) in [
        ("blank", "\n\n".to_owned()),
        ("a", format!("\n\n{}\n", event(1))),
        ("b", format!("\n\n{}\n", event(2))),
        ("c", format!("\n\n{}\n{}\n", event(1), event(3))),
        ("d", format!("\n\n{}\n{}\n", event(1), event(4))),
    ] {
        let file = scene.write(name, content.as_bytes());
        let (ok, said) = scene.ingest(&[text(&file)]);
        assert!(ok, "{name}: {said}");
    }
    assert_eq!(scene.counted(), 4);
}

#[test]
fn a_long_stretch_of_white_space_is_stepped_over() {
    let scene = Scene::new();
    let mut content = b"[\n".to_vec();
    content.resize(20_000_000, b' ');
    content.extend_from_slice(format!("{}]", event(1)).as_bytes());
    let file = scene.write("a.gz", &gzip(&content));
    let summary = ingest(&open(&scene.out()), &config("[flush]\nbytes = \"1MiB\"\n"), &[&file]).expect("ingests");
    assert_eq!(summary.accounting.counted, 1);
}

#[test]
fn verifying_beside_a_process_that_writes_finds_nothing_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    write_simulation(&small(5, 20_000), &file);
    let store = open(&folder.path().join("out"));
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || ingest(&store, &config(SMALL_BATCHES), &[&file]).expect("ingests"))
    };
    let mut entries = std::collections::BTreeSet::new();
    while !writer.is_finished() {
        entries.insert(verified(&store).entries);
    }
    writer.join().expect("no panic");
    assert!(entries.len() > 3, "it was looked at while it was written: {entries:?}");
}

#[test]
fn a_folder_with_the_output_in_it_is_read_without_it() {
    let scene = Scene::new();
    scene.write("events.ndjson", &lines(0..20));
    let folder = scene.folder.path().display().to_string();
    for _ in 0..3 {
        let (ok, said) = scene.ingest(&[&folder]);
        assert!(ok, "{said}");
        assert_eq!(scene.counted(), 20);
    }
    let (_, said) = scene.ingest(&[&folder]);
    assert!(said.contains("left out") && said.contains("0 rejected"), "{said}");
    let out = scene.out().display().to_string();
    let (ok, said) = scene.ingest(&[&out]);
    assert!(!ok && said.contains("own output"), "{said}");
}
