//! What `schemas/` and `deploy/` say is what the code does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, TimeUnit};
use ghostlight::config::{Config, Flags};
use ghostlight::event::{Chunk, Content, Decoder, EventTime, RecordSpan, Resume};
use ghostlight::partial::Batch;
use ghostlight::partial::dedupe::Dedupe;
use ghostlight::run::WriteSettings;
use ghostlight::simulate::{Envelope, Simulation};
use ghostlight::store::commit::PartitionLog;
use ghostlight::store::compact::{CompactSettings, Compactor};
use ghostlight::store::ledger::PartitionId;
use ghostlight::store::progress::Pause;
use ghostlight::store::{Location, Store, datasets, progress};
use serde_json::{Map, Value, json};

/// A day after the simulations begin.
const NOW: EventTime = EventTime::from_ms(1_793_491_200_000 + 5 * 86_400_000);

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn schema(name: &str) -> Value {
    let path = format!("schemas/{name}.schema.json");
    serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "utf8".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) => format!("timestamp[ms, {zone}]"),
        other => panic!("schemas/ has no text for {other}"),
    }
}

fn object<'a>(value: &'a Value, key: &str) -> &'a Map<String, Value> {
    value[key].as_object().unwrap_or_else(|| panic!("{key} is an object"))
}

#[test]
fn the_columns_described_are_the_columns_written() {
    for dataset in datasets::DATASETS {
        let described = schema(dataset);
        assert_eq!(described["dataset"], dataset);
        assert_eq!(described["partitioned_by"], json!(["date"]));
        let columns = described["columns"].as_array().expect("columns");
        let told: Vec<_> =
            columns.iter().map(|column| json!([column["name"], column["type"], column["nullable"]])).collect();
        let written: Vec<_> = datasets::schema(dataset)
            .expect("a dataset")
            .fields()
            .iter()
            .map(|field| json!([field.name(), type_text(field.data_type()), field.is_nullable()]))
            .collect();
        assert_eq!(told, written, "{dataset}");
        for column in columns {
            assert!(column["description"].as_str().is_some_and(|text| text.len() > 20), "{dataset}: {column}");
            let merge = column["merge"].as_str().expect("merge");
            assert!(object(&described, "merge_rules").contains_key(merge), "{dataset}: {merge} is not explained");
        }
        let sorted: BTreeSet<_> = texts(&described["sorted_by"]);
        let keys: BTreeSet<_> = columns
            .iter()
            .filter(|column| column["merge"] == "key")
            .map(|column| column["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(sorted.is_subset(&keys), "{dataset}");
        let merges = datasets::is_aggregate(dataset) || dataset == datasets::DAILY;
        assert_eq!(sorted == keys, merges, "{dataset}: rows are sorted by their whole key");
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// deploy/ghostlight.toml as it is once every setting is taken in. Text stands behind `# `, a setting behind `#`.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => String::new(),
        Some(setting) => setting.to_owned(),
        None => line.to_owned(),
    };
    read("deploy/ghostlight.toml").lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_settings_file_holds_the_defaults() {
    let defaults = Config::load(None, &Flags::default()).expect("the defaults are right").describe();
    let parse =
        |text: &str| Config::parse(text, Path::new("deploy/ghostlight.toml")).expect("right settings").describe();
    assert_eq!(parse(&uncommented()), defaults);
    assert_eq!(parse(&read("deploy/ghostlight.toml")), defaults, "as it is delivered");
}

#[test]
fn the_settings_described_are_the_settings_read() {
    let described = schema("settings");
    let mut in_schema = BTreeSet::new();
    let mut defaults = String::new();
    walk(&described, "", &mut |section, settings| {
        // Sections without a default are there only where somebody wants them.
        if !section.is_empty() && settings.iter().any(|(_, setting)| setting.get("default").is_some()) {
            defaults += &format!("[{section}]\n");
        }
        for (key, setting) in settings {
            assert!(setting["description"].as_str().is_some_and(|text| text.len() > 10), "{section}.{key}");
            in_schema.insert(if section.is_empty() { key.to_string() } else { format!("{section}.{key}") });
            defaults += &toml_line(key, setting);
        }
    });
    let effective = Config::load(None, &Flags::default()).expect("the defaults are right").describe();
    let of_schema = Config::parse(&defaults, Path::new("schemas")).expect("right settings").describe();
    assert_eq!(of_schema, effective, "{defaults}");

    let names = |described: &str| -> BTreeSet<String> {
        described.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut in_code = names(&effective);
    for text in kafka_settings(folder.path()) {
        in_code.extend(names(&Config::parse(&text, Path::new("kafka.toml")).expect("right settings").describe()));
    }
    // Alerts are described only where there are some.
    let secret = folder.path().join("file").display().to_string();
    let alerts = format!(
        "[alerts]\nlink = \"https://ghostlight.example.com/\"\nrules = {{ spike = {{ enabled = false }} }}\nsilences = [{{ until = \"2026-12-01T00:00:00Z\", reason = \"x\" }}]\n[[alerts.channels]]\ntype = \"slack\"\nname = \"chat\"\nurl = {{ file = {secret:?} }}\n"
    );
    std::fs::write(folder.path().join("file"), "https://hooks.slack.com/services/x").expect("written");
    in_code.extend(names(&Config::parse(&alerts, Path::new("alerts.toml")).expect("right settings").describe()));
    let management = format!(
        "[management]\ndomain = \"acme.eu.auth0.com\"\nclient_id = {{ file = {secret:?} }}\nclient_secret = {{ file = {secret:?} \
         }}\n[source.management]\n"
    );
    in_code.extend(names(&Config::parse(&management, Path::new("m.toml")).expect("right settings").describe()));
    let audits = ["config", "replay"].map(|from| format!("[audit]\n{from} = \"x\"\ntenant = \"acme\"\n"));
    for audit in audits {
        in_code.extend(names(&Config::parse(&audit, Path::new("a.toml")).expect("right settings").describe()));
    }
    // Where bodies go is one line, with the topic in it.
    in_code.insert("webhook.topic".to_owned());
    assert_eq!(in_schema, in_code);
    let text = read("deploy/ghostlight.toml");
    let mut in_file = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines() {
        let header = line.strip_prefix("# example: ").unwrap_or(line);
        if let Some(name) = header.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        }
        let setting =
            line.strip_prefix("# example: ").or_else(|| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')));
        if let Some((key, _)) = setting.and_then(|setting| setting.split_once(" = ")) {
            assert!(in_file.insert(format!("{section}{key}")), "{key} is there once");
        }
    }
    assert_eq!(in_file, in_schema);

    // The file itself, uncommented, is also valid by the schema.
    let settings: toml::Table = toml::from_str(&uncommented()).expect("TOML");
    let settings = serde_json::to_value(settings).expect("JSON");
    assert_eq!(problems(&described, &settings), Vec::<String>::new());
    for wrong in [json!({ "flsh": {} }), json!({ "flush": { "rows": "many" } }), json!({ "log": { "format": "xml" } })]
    {
        assert_ne!(problems(&described, &wrong), Vec::<String>::new(), "{wrong}");
    }
}

/// Visits every section of the settings with its own settings, from the outside in.
fn walk(section: &Value, name: &str, visit: &mut impl FnMut(&str, &[(&String, &Value)])) {
    assert_eq!(section["additionalProperties"], false, "{name}");
    let (sections, settings): (Vec<_>, Vec<_>) = object(section, "properties")
        .iter()
        .partition(|(_, value)| value["type"] == "object" && value.get("oneOf").is_none());
    visit(name, &settings);
    for (key, section) in sections {
        walk(section, &if name.is_empty() { key.to_string() } else { format!("{name}.{key}") }, visit);
    }
}

/// Settings that together have every key of Kafka's.
fn kafka_settings(folder: &Path) -> [String; 2] {
    let file = folder.join("file");
    std::fs::write(&file, "secret").expect("written");
    let file = file.display().to_string();
    let connection = format!(
        "[kafka]\nbootstrap_servers = [\"a:1\"]\nproperties = {{ \"socket.keepalive.enable\" = true }}\n[kafka.tls]\nca = \
         {file:?}\ncertificate = {file:?}\nkey = {file:?}\nkey_password = {{ file = {file:?} }}\n"
    );
    let password = format!("[kafka.sasl]\nmechanism = \"PLAIN\"\nusername = \"u\"\npassword = {{ file = {file:?} }}\n");
    let token = format!(
        "[kafka.sasl]\nmechanism = \"OAUTHBEARER\"\ntoken_endpoint = \"https://idp.example.com/token\"\nclient_id = \
         \"c\"\nclient_secret = {{ file = {file:?} }}\nscope = \"s\"\n"
    );
    [
        format!("{connection}{password}[source.kafka]\ntopics = [\"a\"]\n"),
        format!("{connection}{token}[source.kafka]\ntopic_pattern = \"^a\"\n"),
    ]
}

fn toml_line(key: &str, setting: &Value) -> String {
    // A string, a whole number and an empty list are written in TOML as in JSON.
    setting.get("default").map_or_else(String::new, |default| format!("{key} = {default}\n"))
}

/// Simulated records, one of a type that nobody knows, and one that is broken for certain.
fn chunk(envelope: Envelope, malformed: f64) -> Chunk {
    let simulation = Simulation { seed: 7, events: 2_000, days: 2, envelope, malformed, ..Simulation::default() };
    let mut chunk = Chunk::default();
    let mut records = simulation.records();
    let mut record = Vec::new();
    while records.next_into(&mut record).is_some() {
        push(&mut chunk, &record);
    }
    push(&mut chunk, br#"{"type":"zz_new","date":"2026-11-02T00:00:00Z","log_id":"1"}"#);
    push(&mut chunk, b"not json");
    chunk
}

fn push(chunk: &mut Chunk, record: &[u8]) {
    let begin = chunk.bytes.len();
    chunk.bytes.extend_from_slice(record);
    let bytes = begin..chunk.bytes.len();
    chunk.records.push(RecordSpan { offset: begin as u64, bytes, arrived: None, content: Content::Any });
    chunk.end = chunk.bytes.len() as u64;
}

#[test]
fn a_ledger_entry_is_as_described() {
    let described = schema("ledger-entry");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&Location::Folder(folder.path().to_owned())).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let key = folder.path().join("key");
    std::fs::write(&key, "0123456789abcdef").expect("written");
    let config = format!(
        "tenant = \"acme\"\n[events]\nignore = [\"fsa\"]\n[datasets]\nevents = true\n[privacy]\nuser_id = \"hash\"\nkey = {{ \
         file = {:?} }}\n",
        key.display().to_string()
    );
    let config = Config::parse(&config, Path::new("x")).expect("right");
    let settings = WriteSettings::new(&config);

    let mut full = Batch::new(0);
    let mut decoded = chunk(Envelope::Stream, 0.01);
    decoded.resume = Resume { prefix_xxh3: Some("0".repeat(32)), values: true, inside_record: true };
    let decoded = decoded.decode(&mut Decoder::with_settings(settings.decode.clone()), NOW);
    full.fold(decoded, &settings.fold, &settings.ignore, &mut Dedupe::new(1_000_000), NOW);
    let mut blank = Batch::new(full.end);
    blank.end += 1;
    let lost = Batch::lost(blank.end, blank.end + 5, "removed".to_owned());

    let mut seen = BTreeSet::new();
    let mut log =
        runtime.block_on(PartitionLog::recover(&store, PartitionId::new("file", "test", "0"))).expect("an empty store");
    for batch in [&full, &blank, &lost] {
        runtime.block_on(log.commit(batch, &settings.text, NOW)).expect("nobody else writes");
        let path = folder.path().join(format!("_ledger/file/test/0/{:020}.json", batch.start));
        let entry: Value = serde_json::from_slice(&std::fs::read(path).expect("the entry")).expect("JSON");
        assert_eq!(problems(&described, &entry), Vec::<String>::new(), "{entry:#}");
        keys_of(&entry, "", &mut seen);
    }
    // The entries together have every key there can be.
    let mut all = BTreeSet::new();
    described_keys(&described, &described, "", &mut all);
    seen.retain(|key| !key.starts_with("unknown_types."));
    assert_eq!(seen, all);

    let entry = serde_json::to_value(log.tail().last.as_ref().expect("an entry")).expect("JSON");
    for (key, wrong) in [("start", json!(-1)), ("nonce", json!(7)), ("accounting", json!({ "records": 1 }))] {
        let mut damaged = entry.clone();
        damaged[key] = wrong;
        assert_ne!(problems(&described, &damaged), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn a_progress_note_is_as_described() {
    let described = schema("progress-note");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&Location::Folder(folder.path().to_owned())).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let id = PartitionId::new("kafka.logs", "cluster.topic", "3");
    runtime.block_on(progress::note(&store, &id, 42, NOW, Some(Pause { from: NOW, returned: NOW }))).expect("a note");
    let path = folder.path().join("_progress/kafka.logs/cluster.topic/3.json");
    let note: Value = serde_json::from_slice(&std::fs::read(path).expect("the note")).expect("JSON");
    assert_eq!(problems(&described, &note), Vec::<String>::new(), "{note:#}");
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    keys_of(&note, "", &mut seen);
    described_keys(&described, &described, "", &mut all);
    assert_eq!(seen, all);
    for (key, wrong) in [("position", json!(-1)), ("at", json!("yesterday")), ("format", json!(2))] {
        let mut damaged = note.clone();
        damaged[key] = wrong;
        assert_ne!(problems(&described, &damaged), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn what_compaction_writes_is_as_described() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&Location::Folder(folder.path().to_owned())).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "0123456789abcdef").expect("written");
    let text = format!(
        "[datasets]\nevents = true\n[privacy]\nip = \"hash\"\nkey = {{ file = {:?} }}",
        key.path().display().to_string()
    );
    let settings = WriteSettings::new(&Config::parse(&text, Path::new("x")).expect("right"));
    let commit = |from: u64| {
        let mut log = runtime
            .block_on(PartitionLog::recover(&store, PartitionId::new("webhook", "w", "0")))
            .expect("can be recovered");
        let mut chunk = chunk(Envelope::Stream, 0.01);
        (chunk.start, chunk.end) = (log.end(), log.end() + 1);
        let mut batch = Batch::new(log.end());
        let decoded = chunk.decode(&mut Decoder::new(None), NOW);
        batch.fold(decoded, &settings.fold, &settings.ignore, &mut Dedupe::new(1_000_000), NOW);
        runtime.block_on(log.commit(&batch, &settings.text, NOW)).expect("nobody else writes");
        let lost = Batch::lost(log.end(), log.end() + from, "removed".to_owned());
        runtime.block_on(log.commit(&lost, &settings.text, NOW)).expect("nobody else writes");
    };
    // Kept for long, so that the first generation stays beside the second, and its entries go with the third round.
    let day = std::time::Duration::from_secs(86_400);
    let round = |keep, days: i64| {
        let at_once = std::time::Duration::ZERO;
        let settings = CompactSettings {
            interval: at_once,
            late_interval: at_once,
            keep,
            entries_min: 1,
            ..CompactSettings::default()
        };
        let now = EventTime::from_ms(NOW.ms() + days * 86_400_000);
        runtime.block_on(Compactor::new(store.clone(), settings).round(now)).expect("compacts");
    };
    commit(1);
    round(30 * day, 3);
    commit(2);
    round(30 * day, 4);
    let read_all = |prefix: &str| -> Vec<Value> {
        let listed = runtime.block_on(store.list(prefix)).expect("listed");
        let json = listed.iter().filter(|object| object.location.as_ref().ends_with(".json"));
        json.map(|object| {
            serde_json::from_slice(&runtime.block_on(store.read(&object.location)).expect("read")).expect("JSON")
        })
        .collect()
    };
    let (generations, currents) = (read_all("_generations"), read_all("_current"));
    round(std::time::Duration::ZERO, 5);
    for (name, written) in
        [("generation", generations), ("current", currents), ("retired-entries", read_all("_retired"))]
    {
        let described = schema(name);
        let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
        for written in &written {
            assert_eq!(problems(&described, written), Vec::<String>::new(), "{written:#}");
            keys_of(written, "", &mut seen);
        }
        described_keys(&described, &described, "", &mut all);
        seen.retain(|key| !key.starts_with("generations."));
        assert_eq!(seen, all, "{name}");
        let mut damaged = written[0].clone();
        damaged["format"] = json!(2);
        assert_ne!(problems(&described, &damaged), Vec::<String>::new(), "{name}");
    }
}

pub fn keys_of(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.insert(format!("{path}{key}"));
            keys_of(value, &format!("{path}{key}."), into);
        }),
        Value::Array(elements) => elements.iter().for_each(|element| keys_of(element, path, into)),
        _ => {}
    }
}

pub fn described_keys(root: &Value, schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    let schema = resolve(root, schema);
    if let Some(items) = schema.get("items") {
        described_keys(root, items, path, into);
    }
    for choice in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        described_keys(root, choice, path, into);
    }
    for (key, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        into.insert(format!("{path}{key}"));
        described_keys(root, value, &format!("{path}{key}."), into);
    }
}

#[test]
fn every_envelope_is_described() {
    let described = schema("log-event");
    for envelope in [Envelope::Flat, Envelope::Mixed] {
        let simulation =
            Simulation { seed: 3, events: 1_000, days: 1, envelope, malformed: 0.0, ..Simulation::default() };
        let mut records = simulation.records();
        let mut record = Vec::new();
        while let Some(kind) = records.next_into(&mut record) {
            assert!(kind.events > 0);
            let value: Value = serde_json::from_slice(&record).expect("JSON");
            let found = problems(&described, &value);
            assert!(found.is_empty(), "{found:?}: {value}");
        }
    }
    for wrong in
        [json!(7), json!({}), json!({ "type": 5 }), json!({ "log_id": "1", "data": 5 }), json!({ "message": "hello" })]
    {
        assert_ne!(problems(&described, &wrong), Vec::<String>::new(), "{wrong}");
    }
}

/// Follows a `$ref` into `$defs`.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference within the file");
            resolve(root, root.pointer(pointer).unwrap_or_else(|| panic!("{reference} is there")))
        }
        None => schema,
    }
}

/// What in `value` is not as `schema` says, by the part of JSON Schema that `schemas/` uses.
pub fn problems(schema: &Value, value: &Value) -> Vec<String> {
    problems_within(schema, schema, value)
}

/// The same for a schema whose references lead into the whole of `root`.
pub fn problems_within(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(root, schema, value, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolve(root, schema);
    let keywords = schema.as_object().expect("a schema");
    for (keyword, wanted) in keywords {
        let fits = match (keyword.as_str(), value) {
            ("type", _) => is_type(wanted.as_str().expect("one type"), value),
            ("const", _) => wanted == value,
            ("enum", _) => wanted.as_array().is_some_and(|all| all.contains(value)),
            ("minimum", Value::Number(number)) => number.as_f64() >= wanted.as_f64(),
            ("maximum", Value::Number(number)) => number.as_f64() <= wanted.as_f64(),
            ("minLength", Value::String(text)) => text.chars().count() as u64 >= wanted.as_u64().unwrap_or_default(),
            ("maxLength", Value::String(text)) => text.chars().count() as u64 <= wanted.as_u64().unwrap_or_default(),
            ("minItems", Value::Array(elements)) => elements.len() as u64 >= wanted.as_u64().unwrap_or_default(),
            ("maxItems", Value::Array(elements)) => elements.len() as u64 <= wanted.as_u64().unwrap_or_default(),
            ("pattern", Value::String(text)) => matches_pattern(wanted.as_str().expect("text"), text),
            ("anyOf", _) => matching(root, wanted, value, at) > 0,
            ("oneOf", _) => matching(root, wanted, value, at) == 1,
            ("required", Value::Object(fields)) => texts(wanted).iter().all(|key| fields.contains_key(key)),
            ("items", Value::Array(elements)) => {
                elements.iter().enumerate().for_each(|(n, one)| check(root, wanted, one, &format!("{at}/{n}"), found));
                true
            }
            ("properties", Value::Object(fields)) => {
                for (key, wanted) in wanted.as_object().expect("properties") {
                    if let Some(value) = fields.get(key) {
                        check(root, wanted, value, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            ("additionalProperties", Value::Object(fields)) => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = fields.iter().filter(|(key, _)| !known.is_some_and(|known| known.contains_key(*key)));
                let mut fits = true;
                for (key, value) in others {
                    match wanted {
                        Value::Bool(allowed) => fits &= allowed,
                        wanted => check(root, wanted, value, &format!("{at}/{key}"), found),
                    }
                }
                fits
            }
            (
                "$schema"
                | "$defs"
                | "title"
                | "description"
                | "default"
                | "examples"
                | "format"
                | "minimum"
                | "maximum"
                | "minLength"
                | "maxLength"
                | "minItems"
                | "maxItems"
                | "pattern"
                | "required"
                | "items"
                | "properties"
                | "additionalProperties",
                _,
            ) => true,
            (other, _) => panic!("this test does not know {other}"),
        };
        if !fits {
            found.push(format!("{at}: {keyword} {wanted}: {value}"));
        }
    }
}

fn matching(root: &Value, schemas: &Value, value: &Value, at: &str) -> usize {
    let fits = |schema: &&Value| {
        let mut found = Vec::new();
        check(root, schema, value, at, &mut found);
        found.is_empty()
    };
    schemas.as_array().into_iter().flatten().filter(fits).count()
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("this test does not know the type {other}"),
    }
}

/// The few patterns in `schemas/`, without a library of regular expressions.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let hexadecimal =
        |length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[a-z0-9-]+:[0-9a-f]{16}$" => {
            let name = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            text.split_once(':').is_some_and(|(rule, hash)| {
                !rule.is_empty() && name(rule) && hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        }
        "^[0-9a-f]{16}$" => hexadecimal(16),
        "^[0-9a-f]{32}$" => hexadecimal(32),
        "^[0-9a-f]{64}$" => hexadecimal(64),
        "^/" => text.starts_with('/'),
        "^\\s*[{\\[]" => text.trim_start().starts_with(['{', '[']),
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$" => {
            EventTime::parse(text).is_some_and(|time| time.to_string() == text)
        }
        r"^\d{4}-\d{2}-\d{2}$" => {
            EventTime::parse(&format!("{text}T00:00:00Z")).is_some_and(|time| time.date() == text)
        }
        other => panic!("this test does not know the pattern {other}"),
    }
}
