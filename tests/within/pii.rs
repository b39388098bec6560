//! What is written about people: under every policy each value that is not to be kept is nowhere, in no file, however it is
//! encoded, no log and no answer; and hashing changes no number.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use ghostlight::store::{Store, datasets};

use crate::support::{
    Server, config, dead_letters, ghostlight, ingest, open, output, runtime, small, succeed, texts, verified, wait_for,
    write_simulation,
};

/// What is planted, by the setting whose policy it falls under.
const PLANTED: [(&str, &[&str]); 4] = [
    ("user_id", &["PLANTED-ID-1", "PLANTED-ID-2"]),
    ("user_name", &["planted.name", "planted.login@"]),
    ("ip", &["203.0.113.77", "2001:db8:77::aa"]),
    ("email", &["hidden.example", "PIIPCT%40hidden.example"]),
];
/// In free text and in what cannot be read: written only where everything is kept.
const FREE: [&str; 4] = ["PLANTED-TEXT", "PLANTED-BROKEN", "PLANTED-DATE", "PLANTED-TYPE"];
/// Where no dataset has a column: written nowhere.
const NOWHERE: [&str; 3] = ["PLANTED-DETAIL", "PLANTED-IDENTITY", "PLANTED-TOP"];

/// Events of many kinds, good ones and others, with all of these in every field that has room for it.
fn lines() -> Vec<Vec<u8>> {
    let details = r#""details":{"prompts":[{"user_id":"PLANTED-DETAIL","user_name":"planted.detail@PLANTED-DETAIL"}],"request":{"ip":"PLANTED-DETAIL","auth":{"user":{"email":"PLANTED-DETAIL"}},"body":{"email":"PLANTED-DETAIL","password":"*****"}},"response":{"body":{"user_id":"PLANTED-DETAIL"}},"error":{"message":"PLANTED-DETAIL"}}"#;
    let more = r#""email":"top@PLANTED-TOP","identity_user_id":"PLANTED-IDENTITY","client_ip":"PLANTED-TOP","location_info":{"city_name":"PLANTED-TOP"}"#;
    let event = |n: usize, code: &str, who: &str| {
        format!(
            r#"{{"log_id":"id-{n}","type":"{code}","date":"2026-11-01T00:0{}:00.000Z","tenant_name":"acme","hostname":"acme.eu.auth0.com","client_id":"app","client_name":"App","connection":"db","strategy":"auth0","user_agent":"curl","description":"PLANTED-TEXT of planted.login@hidden.example at 203.0.113.77",{who},{more},{details}}}"#,
            n % 10
        )
    };
    let by_name = r#""user_id":"auth0|PLANTED-ID-1","user_name":"planted.name","ip":"203.0.113.77""#;
    let by_mail = r#""user_id":"auth0|PLANTED-ID-2","user_name":"planted.login@hidden.example","ip":"2001:db8:77::aa""#;
    let enterprise = r#""user_id":"samlp|corp|someone@hidden.example","user_name":"planted.name","ip":"203.0.113.77""#;
    let escaped =
        r#""user_id":"waad|PIIPCT%40hidden.example","user_name":"PIIPCT%40hidden.example","ip":"203.0.113.77""#;
    let machine = r#""user_id":"","user_name":"","ip":"203.0.113.77","audience":"https://api/","scope":"read""#;
    let mut lines = Vec::new();
    for code in
        ["s", "seacft", "sertft", "ss", "slo", "f", "fp", "fu", "fs", "limit_wc", "gd_auth_succeed", "sapi", "zz_new"]
    {
        for who in [by_name, by_mail, enterprise, escaped] {
            lines.push(event(lines.len(), code, who));
        }
    }
    for code in ["seccft", "seccft", "seccft", "feccft", "feccft", "feccft"] {
        lines.push(event(lines.len(), code, machine));
    }
    // A type that is none.
    lines.push(event(lines.len(), "PLANTED-TYPE of planted.login@hidden.example", machine));
    // In an envelope, without an id, in a string.
    lines.push(format!(r#"{{"log_id":"id-200","data":{}}}"#, event(200, "s", by_mail)));
    lines.push(event(201, "s", by_name).replace(r#""log_id":"id-201","#, ""));
    lines.push(format!(r#"{{"message":{}}}"#, serde_json::json!(event(202, "f", by_mail))));
    let mut bytes: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
    // What cannot be read.
    let about = "PLANTED-BROKEN auth0|PLANTED-ID-1 planted.login@hidden.example 203.0.113.77";
    bytes.push(format!(r#"{{"type":"s","log_id":"cut","user_id":"{about}","#).into_bytes());
    bytes.push(format!(r#"{{"no_type":"{about}"}}"#).into_bytes());
    bytes.push(format!(r#"[{{"type":"s","log_id":"x","date":"2026-11-01T00:00:00Z"}},"{about}"]"#).into_bytes());
    bytes.push(format!(r#"{{"type":"s","log_id":"y","date":"PLANTED-DATE {about}"}}"#).into_bytes());
    bytes.push(format!(r#"{{"data":{{"type":"s","log_id":"z","date":"PLANTED-DATE {about}"}}}}"#).into_bytes());
    bytes.push(b"{\"type\":\"s\",\"log_id\":\"v\",\"user_id\":Zoe}".to_vec());
    bytes.push([format!("{{\"type\":\"{about}").as_bytes(), b"\xff\xfe\"}"].concat());
    bytes
}

/// How many of them are events that count.
const COUNTED: u64 = 13 * 4 + 6 + 1 + 3 + 1;
const REJECTED: u64 = 7;

fn settings(folder: &Path, policies: &[(&str, &str)]) -> String {
    let key = folder.join("key");
    std::fs::write(&key, "0123456789abcdef").expect("written");
    let mut text = "[datasets]\nevents = true\n[privacy]\n".to_owned();
    policies.iter().for_each(|(field, policy)| text += &format!("{field} = \"{policy}\"\n"));
    if policies.iter().any(|(_, policy)| *policy == "hash") {
        text += &format!("key = {{ file = {:?} }}\n", key.display().to_string());
    }
    text
}

/// All of one policy, each alone, and none.
fn all_policies() -> Vec<Vec<(&'static str, &'static str)>> {
    let mut all = vec![Vec::new()];
    for policy in ["hash", "drop"] {
        all.push(PLANTED.iter().map(|(field, _)| (*field, policy)).collect());
        all.extend(PLANTED.iter().map(|(field, _)| vec![(*field, policy)]));
    }
    all
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("can be listed") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Everything in a folder: names, bytes as they lie, and the values of every column of Parquet.
fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for path in files_below(folder) {
        // A file may go meanwhile.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        all.extend_from_slice(path.display().to_string().as_bytes());
        all.push(b'\n');
        all.extend_from_slice(&bytes);
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let text = path.display().to_string();
            let is_its = |dataset: &&str| text.contains(&format!("/{dataset}/"));
            let dataset = datasets::DATASETS.into_iter().find(is_its).expect("a dataset");
            for batch in datasets::read(dataset, bytes.into()).expect("rows") {
                batch.columns().iter().for_each(|column| append_values(column, &mut all));
            }
        }
    }
    all
}

fn append_values(column: &dyn Array, all: &mut Vec<u8>) {
    for row in 0..column.len() {
        match column.data_type() {
            DataType::Binary => all.extend_from_slice(column.as_binary::<i32>().value(row)),
            DataType::Utf8 => all.extend_from_slice(column.as_string::<i32>().value(row).as_bytes()),
            _ => {}
        }
        all.push(b'\n');
    }
}

fn has(contents: &[u8], planted: &str) -> bool {
    memchr::memmem::find(contents, planted.as_bytes()).is_some()
}

/// Which of all that is planted must not be there, under these policies.
fn forbidden(policies: &[(&str, &str)]) -> BTreeSet<&'static str> {
    let mut forbidden: BTreeSet<_> = NOWHERE.into_iter().collect();
    if policies.is_empty() {
        return forbidden;
    }
    forbidden.extend(FREE);
    for (field, planted) in PLANTED {
        if policies.iter().any(|(other, _)| *other == field) {
            forbidden.extend(planted);
        }
    }
    forbidden
}

fn assert_none(contents: &[u8], policies: &[(&str, &str)], place: &str) {
    for planted in forbidden(policies) {
        assert!(!has(contents, planted), "{policies:?}: {planted} is in {place}");
    }
}

#[test]
fn no_value_that_is_not_kept_is_in_any_file_or_word_of_an_ingest() {
    for policies in all_policies() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, toml) = (folder.path().join("in.ndjson"), folder.path().join("settings.toml"));
        let out = folder.path().join("out");
        let mut text = lines().join(&b'\n');
        // Longer than a record may be, so a dead letter in pieces.
        text.extend_from_slice(format!("\n{}\n", "PLANTED-BROKEN 203.0.113.77 ".repeat(5000)).as_bytes());
        std::fs::write(&file, text).expect("written");
        let more = "[files]\nrecord_max = \"64KiB\"\n[log]\nlevel = \"ghostlight=trace\"\n";
        std::fs::write(&toml, settings(folder.path(), &policies) + more).expect("written");
        let mut command = ghostlight();
        let (is_well, said) =
            output(command.arg("ingest").arg("--config").arg(&toml).arg("--out").arg(&out).arg(&file));
        assert!(is_well, "{said}");
        let store = open(&out);
        let accounting = verified(&store).accounting;
        assert_eq!((accounting.counted, accounting.event_rows), (COUNTED, COUNTED), "{policies:?}: {said}");
        let letters = dead_letters(&store);
        assert!(letters.len() as u64 > REJECTED, "{letters:?}");
        assert_none(said.as_bytes(), &policies, "what it says");
        let before = contents(&out);
        assert_none(&before, &policies, "a file");
        // What is kept is there: so the search finds what it looks for.
        let allowed = PLANTED.iter().flat_map(|(_, planted)| planted.iter()).chain(&FREE);
        for planted in allowed.filter(|planted| !forbidden(&policies).contains(*planted)) {
            // An address is the stricter of two policies.
            let is_address = planted.contains('@') || planted.contains("example");
            let is_hidden = is_address && policies.iter().any(|(field, _)| ["email", "user_name"].contains(field));
            assert!(is_hidden || has(&before, planted), "{policies:?}: {planted} is nowhere");
        }
        assert!(letters.iter().all(|letter| letter.2.is_empty() != policies.is_empty()), "{policies:?}");
        let reasons: BTreeSet<_> = letters.iter().map(|letter| letter.3.as_str()).collect();
        assert!(reasons.iter().all(|reason| !reason.is_empty()) && reasons.len() > 4, "{reasons:?}");
        // A character of the record.
        assert_eq!(reasons.iter().any(|reason| reason.contains("('")), policies.is_empty(), "{reasons:?}");
        assert_eq!(policies.iter().any(|(_, policy)| *policy == "hash"), has(&before, "hmac:"), "{policies:?}");

        let (is_well, said) = output(ghostlight().arg("compact").arg(&out));
        assert!(is_well, "{said}");
        assert_none(&contents(&out), &policies, "a file, after compaction");
        assert_none(said.as_bytes(), &policies, "what compaction says");
    }
}

#[test]
fn no_value_that_is_not_kept_stays_in_the_spool_or_is_shown_or_logged_by_a_server() {
    for policies in
        [&[][..], &PLANTED.map(|(field, _)| (field, "hash"))[..], &PLANTED.map(|(field, _)| (field, "drop"))[..]]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let more = format!(
            "[flush]\ninterval = \"50ms\"\n[live]\ninterval = \"50ms\"\n[log]\nlevel = \"info,ghostlight=trace\"\n{}",
            settings(folder.path(), policies)
        );
        let server = Server::start(folder.path(), "spool", &more);
        assert_eq!(server.post(&lines().join(&b'\n'), &[]).0, 200);
        let refused = b"PLANTED-BROKEN planted.login@hidden.example 203.0.113.77 auth0|PLANTED-ID-1";
        let (status, answer) = server.post(refused, &[]);
        assert_eq!(status, 400);
        assert!(!has(answer.as_bytes(), "PLANTED"), "{answer}");
        let counted = format!("ghostlight_events_total{{outcome=\"counted\"}} {COUNTED}");
        wait_for("counted", || server.get("/metrics").1.contains(&counted).then_some(()));
        // Whatever the policy: what is committed goes, though its segment is far from full.
        let spool = folder.path().join("spool");
        wait_for("an empty spool", || (!has(&contents(&spool), "PLANTED")).then_some(()));
        wait_for("the read side", || server.get("/api/v1/tenants").1.contains("acme").then_some(()));
        let pages = [
            "/",
            "/metrics",
            "/readyz",
            "/api/v1/overview?tenant=acme",
            "/api/v1/tenants",
            "/api/v1/ghosts",
            "/api/v1/alerts",
            "/api/v1/ingest",
        ];
        for page in pages {
            assert_none(server.get(page).1.as_bytes(), policies, page);
        }
        // While it runs, and once it has ended.
        let written = || [contents(&folder.path().join("out")), contents(&spool)].concat();
        assert_none(&written(), policies, "a file");
        let last = lines().swap_remove(0);
        let last = String::from_utf8(last).expect("text").replace("\"id-0\"", "\"id-300\"");
        assert_eq!(server.post(last.as_bytes(), &[]).0, 200);
        let log = server.stop();
        assert_none(log.as_bytes(), policies, "the log");
        assert_none(&written(), policies, "a file, after the end");
        assert!(!has(&contents(&spool), "PLANTED"), "it stops with an empty spool");
        let accounting = verified(&open(&folder.path().join("out"))).accounting;
        assert_eq!((accounting.counted, accounting.dead_letters), (COUNTED + 1, REJECTED));
    }
}

/// The distinct values of a column.
fn distinct(store: &Store, dataset: &str, name: &str) -> BTreeSet<String> {
    let runtime = runtime();
    let listed = runtime.block_on(store.list(dataset)).expect("listed");
    let read = |path| datasets::read(dataset, runtime.block_on(store.read(path)).expect("read")).expect("rows");
    listed.iter().flat_map(|object| read(&object.location)).flat_map(|batch| texts(&batch, name)).collect()
}

#[test]
fn hashing_changes_no_number_and_dropping_only_what_needs_the_value() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let truth = write_simulation(&small(5, 8000), &file);
    let all = |policy| PLANTED.map(|(field, _)| (field, policy));
    let stores = ["keep", "hash", "drop"].map(|policy| {
        let store = open(&folder.path().join(policy));
        ingest(&store, &config(&settings(folder.path(), &all(policy))), &[&file]).expect("ingests");
        assert_eq!(verified(&store).accounting.event_rows, truth.distinct_events);
        store
    });
    let [kept, hashed, dropped] = &stores;
    for (dataset, name) in [("events", "user_id"), ("events", "user_name"), ("events", "ip"), ("m2m_tokens", "ip")] {
        let [kept, hashed, dropped] = [kept, hashed, dropped].map(|store| distinct(store, dataset, name));
        assert_eq!(kept.len(), hashed.len(), "{dataset}.{name}");
        assert!(hashed.iter().all(|value| value.is_empty() || value.starts_with("hmac:")), "{hashed:?}");
        assert!(hashed.len() > 10 && dropped.iter().all(String::is_empty), "{dropped:?}");
    }
    let folded =
        [kept, hashed, dropped].map(|store| runtime().block_on(ghostlight::usage::fold(store)).expect("folds"));
    let [kept, hashed, dropped] = &folded;
    let [kept_users, hashed_users, dropped_users] = [kept, hashed, dropped].map(|rows| rows.users());
    assert_eq!(kept_users.len(), hashed_users.len());
    for (kept, hashed) in kept_users.iter().zip(&hashed_users) {
        let place = (kept.window_start, kept.tenant, kept.dimension, kept.key);
        assert_eq!(place, (hashed.window_start, hashed.tenant, hashed.dimension, hashed.key));
        assert_eq!((kept.events, kept.logins, kept.signups), (hashed.events, hashed.logins, hashed.signups));
        // Few enough to be counted all but exactly.
        let (one, other) = (kept.users.estimate().estimate, hashed.users.estimate().estimate);
        assert!((one - other).abs() < 0.02 * one + 0.5, "{place:?}: {one} and {other}");
    }
    assert!(dropped_users.iter().all(|row| row.events == 0 && row.users.estimate().estimate == 0.0));
    let logins = |rows: &[ghostlight::partial::UsersRow<'_>]| {
        rows.iter().map(|row| (row.logins, row.signups)).fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1))
    };
    assert_eq!(logins(&kept_users), logins(&dropped_users));
    assert_eq!(format!("{:?}", kept.counts()), format!("{:?}", hashed.counts()));
    assert_eq!(format!("{:?}", kept.counts()), format!("{:?}", dropped.counts()));
    let tokens = |rows: &ghostlight::partial::Partial| {
        let mut rows: Vec<_> = rows
            .tokens()
            .iter()
            .map(|row| {
                format!("{} {} {} {} {:?}", row.window_start, row.client_id, row.issued, row.failed, row.issued_seconds)
            })
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(tokens(kept), tokens(hashed));
    let issued = |rows: &ghostlight::partial::Partial| rows.tokens().iter().map(|row| row.issued).sum::<u64>();
    assert_eq!((issued(kept), issued(kept)), (issued(hashed), issued(dropped)));
}

#[test]
fn a_missing_key_is_an_error_at_start_and_a_drop_that_costs_a_number_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (toml, file) = (folder.path().join("settings.toml"), folder.path().join("in.ndjson"));
    std::fs::write(&file, lines().join(&b'\n')).expect("written");
    let ingest = |text: &str| {
        std::fs::write(&toml, text).expect("written");
        output(
            ghostlight()
                .arg("ingest")
                .arg("--config")
                .arg(&toml)
                .arg("--out")
                .arg(folder.path().join("out"))
                .arg(&file),
        )
    };
    let (is_well, said) = ingest("[privacy]\nip = \"hash\"\nkey = { env = \"GHOSTLIGHT_NO_SUCH_KEY\" }\n");
    assert!(!is_well && said.contains("privacy.key") && said.contains("GHOSTLIGHT_NO_SUCH_KEY"), "{said}");
    let (is_well, said) = ingest("[privacy]\nip = \"hash\"\n");
    assert!(!is_well && said.contains("privacy.key: missing") && said.contains("env ="), "{said}");
    assert!(!folder.path().join("out").exists(), "nothing was begun");
    let (is_well, said) = ingest("[privacy]\nuser_id = \"drop\"\nip = \"drop\"\n[log]\nlevel = \"warn\"\n");
    assert!(is_well && said.contains("users cannot be counted") && said.contains("behind one address"), "{said}");
    // Whoever only reads needs no key.
    std::fs::write(&toml, "[privacy]\nip = \"hash\"\n").expect("written");
    let out = folder.path().join("out").display().to_string();
    let report = ["report", "--tenant", "acme", "--month", "2026-11", "--data", &out, "--config"];
    let (is_well, said) = output(ghostlight().args(report).arg(&toml));
    assert!(is_well, "{said}");
}

#[test]
fn verify_and_reports_say_that_a_policy_or_a_key_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("out"));
    let keys = ["0123456789abcdef", "0123456789abcdef", "0123456789abcdef", "fedcba9876543210"];
    for (n, key) in keys.into_iter().enumerate() {
        // First as it came.
        let policies: &[_] = if n == 0 { &[] } else { &[("ip", "hash")] };
        let text = settings(folder.path(), policies);
        std::fs::write(folder.path().join("key"), key).expect("written");
        let file = folder.path().join(format!("{n}.ndjson"));
        std::fs::write(
            &file,
            format!(r#"{{"type":"s","log_id":"{n}","date":"2026-11-01T00:00:00Z","ip":"203.0.113.77"}}"#),
        )
        .expect("written");
        ingest(&store, &config(&text), &[&file]).expect("ingests");
        let out = folder.path().join("out");
        let mut report = ghostlight();
        report
            .args(["report", "--tenant", "unknown", "--from", "2026-11-01", "--to", "2026-11-01", "--data"])
            .arg(&out);
        let report = succeed(&mut report).split_whitespace().collect::<Vec<_>>().join(" ");
        let notes = verified(&store).notes.join("\n");
        let said = [
            "",
            "under 2 policies ([privacy]), hashed with one key",
            "under 2 policies",
            "under 3 policies ([privacy]), hashed with 2 keys",
        ];
        assert!(notes.contains(said[n]) && notes.contains("policies") == (n > 0), "{notes}");
        assert!(report.contains(said[n]) && report.contains("policies ([privacy])") == (n > 0), "{report}");
    }
}
