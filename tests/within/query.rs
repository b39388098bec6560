//! `ghostlight query`: its numbers are the report's and the truth, whatever compaction did, and it says what is wrong.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::datatypes::DataType;
use ghostlight::output::Output;
use ghostlight::query::Tables;
use ghostlight::query::output::{Format, write};
use ghostlight::render::Look;
use ghostlight::report::{Report, UsersOfKey};
use ghostlight::store::Store;
use ghostlight::store::datasets::DATASETS;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{Simulated, config, ghostlight, ingest, open, output, runtime, succeed, wait_for};

const TENANT: &str = "northwind-prod";
const COUNTED: &str =
    "hll_sketch_estimate(users) AS users, hll_sketch_lower(users) AS lower, hll_sketch_upper(users) AS upper";

fn query(out: &Path, sql: &str) -> Command {
    let mut command = ghostlight();
    command.arg("query").arg(sql).arg("--data").arg(out);
    command
}

fn rows(out: &Path, sql: &str) -> Vec<Value> {
    serde_json::from_str(&succeed(query(out, sql).args(["--format", "json"]))).expect("a list")
}

fn refused(out: &Path, sql: &str) -> String {
    let (is_well, said) = output(query(out, sql).args(["--format", "json"]));
    assert!(!is_well, "{sql}: {said}");
    said
}

fn report(out: &Path, from: &str, to: &str) -> Report {
    let days = ["--tenant", TENANT, "--from", from, "--to", to, "--format", "json", "--data"];
    serde_json::from_str(&succeed(ghostlight().arg("report").args(days).arg(out))).expect("a report")
}

fn compact(out: &Path, keep: &str) {
    succeed(ghostlight().args(["compact", "--keep", keep]).arg(out));
}

fn ingest_more(out: &Path, simulated: &Simulated) {
    succeed(ghostlight().arg("ingest").arg("--out").arg(out).arg(simulated.events_path()));
}

/// One of the answers' numbers of users is the report's, which is no whole number.
fn hold(row: &Value, users: &ghostlight::live::model::Users, what: &str) {
    assert_eq!(row["users"].as_i64(), Some(users.estimate.round() as i64), "{what}: {row}");
    for (found, expected) in [(&row["lower"], users.lower), (&row["upper"], users.upper)] {
        let found = found.as_f64().expect("a number");
        assert!((found / expected - 1.0).abs() < 1e-9, "{what}: {row}, the report has {users:?}");
    }
}

fn union(dataset: &str, dimension: &str, from: &str, to: &str) -> String {
    format!(
        "SELECT key, {COUNTED} FROM (SELECT key, hll_union_agg(users_hll) AS users FROM {dataset} WHERE tenant = '{TENANT}' \
         AND dimension = '{dimension}' AND date BETWEEN '{from}' AND '{to}' GROUP BY key) ORDER BY key"
    )
}

#[test]
fn active_users_of_a_month_a_week_and_a_day_are_the_reports() {
    let simulated = Simulated::new(20_000, 12, 21);
    let out = simulated.ingest_into("out");
    let month = report(&out, "2026-11-01", "2026-11-12");
    let check = |dataset: &str| {
        for (from, to) in [("2026-11-01", "2026-11-12"), ("2026-11-03", "2026-11-09"), ("2026-11-05", "2026-11-05")] {
            let report = report(&out, from, to).active_users;
            let of = |keys: Vec<UsersOfKey>| keys.into_iter().map(|key| (key.key, key.users)).collect::<Vec<_>>();
            let total = vec![(String::new(), report.total.users)];
            for (dimension, mut expected) in [
                ("tenant", total),
                ("connection", of(report.by_connection)),
                ("organization", of(report.by_organization)),
                ("client", of(report.by_client)),
            ] {
                expected.sort_by(|a, b| a.0.cmp(&b.0));
                let found = rows(&out, &union(dataset, dimension, from, to));
                assert!(!found.is_empty() && found.len() == expected.len(), "{dimension} {from} {to}: {found:?}");
                for (row, (key, users)) in found.iter().zip(&expected) {
                    assert_eq!(row["key"], json!(key), "{dimension} {from} {to}");
                    hold(row, users, &format!("{dataset} {dimension} {key} {from} {to}"));
                }
            }
        }
    };
    check("active_users");

    // Each day, and the seven days up to it: a union over a window of rows.
    let by_day = format!(
        "WITH days AS (SELECT date, hll_union_agg(users_hll) AS users FROM active_users WHERE tenant = '{TENANT}' AND \
         dimension = 'tenant' GROUP BY date), weeks AS (SELECT date, users, hll_union_agg(users) OVER (ORDER BY date ROWS \
         BETWEEN 6 PRECEDING AND CURRENT ROW) AS week FROM days) SELECT date, {COUNTED}, hll_sketch_estimate(week) AS week \
         FROM weeks ORDER BY date"
    );
    let days = rows(&out, &by_day);
    assert_eq!(days.len(), month.active_users.by_day.len());
    for (row, day) in days.iter().zip(&month.active_users.by_day) {
        assert_eq!(row["date"], json!(day.date));
        hold(row, &day.day, &day.date);
    }
    let week = report(&out, "2026-11-03", "2026-11-09").active_users.total.users;
    assert_eq!(days[8]["week"], json!(week.estimate.round() as i64), "the week to 2026-11-09");
    let truth = simulated.truth().users[TENANT].month as f64;
    let whole = &rows(&out, &union("active_users", "tenant", "2026-11-01", "2026-11-30"))[0];
    let bound = |name: &str| whole[name].as_f64().expect("a number");
    assert!((bound("lower")..=bound("upper")).contains(&truth), "{truth}: {whole}");

    // Two sketches at a time are as good as all at once.
    let halves = format!(
        "SELECT {COUNTED} FROM (SELECT hll_union(a.users, b.users) AS users FROM (SELECT hll_union_agg(users_hll) AS users \
         FROM active_users WHERE dimension = 'tenant' AND tenant = '{TENANT}' AND date < '2026-11-06') AS a CROSS JOIN \
         (SELECT hll_union_agg(users_hll) AS users FROM active_users WHERE dimension = 'tenant' AND tenant = '{TENANT}' AND \
         date >= '2026-11-06') AS b)"
    );
    hold(&rows(&out, &halves)[0], &month.active_users.total.users, "by halves");

    compact(&out, "1day");
    check("active_users");
    check("daily");
}

/// What nobody may find changed.
const QUESTIONS: [&str; 5] = [
    "SELECT tenant, dimension, key, date, hll_sketch_estimate(hll_union_agg(users_hll)) AS users, sum(events) AS events, \
     sum(logins) AS logins, min(first_at) AS first_at, max(last_at) AS last_at FROM active_users GROUP BY 1, 2, 3, 4 \
     ORDER BY 1, 2, 3, 4",
    "SELECT tenant, client_id, audience, date, sum(issued) AS issued, sum(failed) AS failed FROM m2m_tokens GROUP BY 1, 2, 3, \
     4 ORDER BY 1, 2, 3, 4",
    "SELECT tenant, date_trunc('hour', window_start) AS hour, type, sum(events) AS events FROM event_counts GROUP BY 1, 2, 3 \
     ORDER BY 1, 2, 3",
    "SELECT reason, count(*) AS letters, sum(position) AS positions FROM dead_letters GROUP BY 1 ORDER BY 1",
    "SELECT sum(events) AS events, count(DISTINCT date) AS days FROM event_counts WHERE date > '2026-11-02'",
];

#[test]
fn compaction_in_between_changes_no_answer_and_only_what_the_ledger_names_is_read() {
    let (simulated, late) = (Simulated::new(12_000, 5, 31), Simulated::new(3_000, 5, 32));
    let out = simulated.ingest_into("out");
    let ask = || QUESTIONS.map(|sql| rows(&out, sql));
    let first = ask();
    assert!(first.iter().all(|rows| !rows.is_empty()), "{first:?}");
    let events = rows(&out, "SELECT sum(events) AS events FROM event_counts");
    assert_eq!(events, [json!({ "events": simulated.truth().distinct_events })]);
    let letters = rows(&out, "SELECT count(*) AS letters FROM dead_letters");
    assert_eq!(letters, [json!({ "letters": simulated.truth().malformed })]);
    assert_eq!(rows(&out, "SELECT * FROM daily"), Vec::<Value>::new(), "compaction makes it");

    // A copy of what is counted, beside it.
    let day = out.join("event_counts/date=2026-11-03");
    let file = std::fs::read_dir(&day).expect("the day's folder").next().expect("a file").expect("a file").path();
    std::fs::copy(&file, day.join("copy.parquet")).expect("a copy");
    assert_eq!(ask(), first, "beside a file that nobody committed");
    std::fs::remove_file(day.join("copy.parquet")).expect("it goes");

    compact(&out, "1day");
    assert_eq!(ask(), first, "merged, the merged files still there");
    ingest_more(&out, &late);
    let more = ask();
    assert_ne!(more, first);
    for round in ["all merged", "again", "and again"] {
        compact(&out, "0s");
        assert_eq!(ask(), more, "{round}");
    }
    let [daily, active] = ["daily", "active_users"].map(|dataset| {
        rows(&out, &format!("SELECT tenant, date, sum(logins) AS logins FROM {dataset} GROUP BY 1, 2 ORDER BY 1, 2"))
    });
    assert_eq!(daily, active);
}

/// Parquet's rows and types, as text.
fn parquet_rows(path: &Path) -> (Vec<DataType>, usize) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).expect("a file")).expect("Parquet");
    let types = reader.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let rows = reader.build().expect("Parquet").map(|batch| batch.expect("rows").num_rows()).sum();
    (types, rows)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_format_has_the_same_rows_and_a_file_appears_once_it_is_whole() {
    let simulated = Simulated::new(5_000, 2, 41);
    let out = simulated.ingest_into("out");
    let folder = simulated.path("answers");
    std::fs::create_dir(&folder).expect("a folder");
    let to = |name: &str| -> PathBuf { folder.join(name) };
    let sql = "SELECT date, tenant, sum(events) AS events, NULLIF(tenant, tenant) AS nothing, max(users_estimate) AS \
               largest, true AS is_so FROM active_users WHERE dimension = 'tenant' GROUP BY 1, 2 ORDER BY 1, 2";
    let json = rows(&out, sql);
    assert!(json.len() >= 2 && json.iter().all(|row| row["nothing"].is_null() && row["is_so"] == json!(true)));
    let csv = succeed(query(&out, sql).args(["--format", "csv"]));
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("date,tenant,events,nothing,largest,is_so"));
    for (line, row) in lines.by_ref().zip(&json) {
        let text = |name: &str| row[name].as_str().expect("text").to_owned();
        assert!(line.starts_with(&format!("{},{},{},,", text("date"), text("tenant"), row["events"])), "{line}");
    }
    assert_eq!(csv.lines().count(), json.len() + 1);
    let table = succeed(&mut query(&out, sql));
    assert_eq!(table.lines().count(), json.len() + 1, "{table}");
    assert!(table.lines().skip(1).all(|line| line.contains("NULL") && line.contains("2026-11-0")), "{table}");

    let parquet = to("answer.parquet");
    std::fs::write(&parquet, "what was there before").expect("a file");
    succeed(query(&out, sql).args(["--format", "parquet", "-o"]).arg(&parquet));
    let (types, count) = parquet_rows(&parquet);
    assert_eq!((types[0].clone(), types[2].clone(), count), (DataType::Date32, DataType::Int64, json.len()));
    let whole = format!("SELECT users_hll, window_start FROM active_users WHERE tenant = '{TENANT}'");
    succeed(query(&out, &whole).args(["--format", "parquet", "-o"]).arg(&parquet));
    assert_eq!(parquet_rows(&parquet).0[0], DataType::Binary, "replaced");

    // It fails while it is answered: what was there stays, and nothing else.
    let before = std::fs::read(&parquet).expect("a file");
    for format in ["parquet", "csv", "json", "table"] {
        let fails = "SELECT hll_sketch_estimate(raw) AS users FROM dead_letters";
        let (is_well, said) = output(query(&out, fails).args(["--format", format, "-o"]).arg(&parquet));
        assert!(!is_well && said.contains("hll_sketch_estimate: "), "{format}: {said}");
        assert_eq!(std::fs::read(&parquet).expect("a file"), before, "{format}");
    }
    assert_eq!(names(&folder), ["answer.parquet"]);
    let (is_well, said) = output(query(&out, sql).args(["-o"]).arg(to("no/such/folder.txt")));
    assert!(!is_well && said.contains("no/such/folder.txt: No such file or directory"), "{said}");
    let (is_well, said) = output(query(&out, sql).args(["--format", "parquet"]));
    assert!(!is_well && said.contains("-o FILE"), "{said}");
    assert_eq!(succeed(query(&out, sql).args(["--format", "csv", "-o", "/dev/stdout"])), csv);
}

#[test]
fn an_answer_without_rows_says_so_in_every_format() {
    let simulated = Simulated::new(1_000, 1, 42);
    let out = simulated.ingest_into("out");
    let nothing = "SELECT tenant, events FROM event_counts WHERE date < '2020-01-01'";
    assert_eq!(succeed(query(&out, nothing).args(["--format", "csv"])), "tenant,events\n");
    assert_eq!(succeed(query(&out, nothing).args(["--format", "json"])), "[]\n");
    assert!(succeed(&mut query(&out, nothing)).ends_with("(no rows)\n"));
    let file = simulated.path("nothing.parquet");
    succeed(query(&out, nothing).args(["--format", "parquet", "-o"]).arg(&file));
    assert_eq!(parquet_rows(&file), (vec![DataType::Utf8, DataType::Int64], 0));
    // As in Spark: no sketches unite to one without users, and what is NULL has no number.
    let users = "SELECT hll_sketch_estimate(hll_union_agg(users_hll)) AS users, hll_sketch_estimate(NULL) AS unknown, \
                 hll_union(NULL, hll_union_agg(users_hll)) AS united FROM active_users WHERE date < '2020-01-01'";
    assert_eq!(rows(&out, users), [json!({ "users": 0, "unknown": null, "united": null })]);
}

#[test]
fn sketches_of_different_precision_unite_only_where_that_is_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let (fine, coarse) = (Simulated::new(4_000, 2, 51), Simulated::new(4_000, 2, 52));
    for (simulated, precision) in [(&fine, 12), (&coarse, 10)] {
        let settings = config(&format!("[users]\nhll_precision = {precision}\n"));
        ingest(&open(&out), &settings, &[&simulated.events_path()]).expect("ingests");
    }
    let united = |more: &str| {
        format!(
            "SELECT hll_sketch_estimate(hll_union_agg(users_hll{more})) AS users FROM active_users WHERE dimension = 'tenant' \
             AND tenant = '{TENANT}' AND date BETWEEN '2026-11-01' AND '2026-11-02'"
        )
    };
    for more in ["", ", false"] {
        let said = refused(&out, &united(more));
        let is_named = said.contains("lgConfigK 12 and 10") || said.contains("lgConfigK 10 and 12");
        assert!(is_named && said.contains("hll_union_agg(…, true)"), "{said}");
    }
    let users = report(&out, "2026-11-01", "2026-11-02").active_users.total.users;
    assert_eq!(rows(&out, &united(", true")), [json!({ "users": users.estimate.round() as i64 })]);
    let said = refused(&out, &united(", date > '2026-11-01'"));
    assert!(said.contains("hll_union_agg: the second argument is"), "{said}");
}

#[test]
fn what_is_wrong_with_a_query_is_said_with_what_would_be_right() {
    let simulated = Simulated::new(6_000, 1, 43);
    let out = simulated.ingest_into("out");
    assert!(simulated.truth().malformed > 0);
    for (sql, expected) in [
        ("SELECT * FROM nothing", "table 'nothing' not found; the tables are active_users, m2m_tokens, event_counts"),
        ("SELECT whom FROM event_counts", "No field named whom"),
        ("SELECT hll_estimate(users_hll) FROM daily", "Invalid function 'hll_estimate'; of sketches there are"),
        ("SELECT hll_estimate(users_hll) FROM daily", "of sketches there are hll_sketch_estimate, hll_sketch_lower"),
        ("SELEC 1", "is it one statement of SQL?"),
        ("SELECT 'a", "the query failed: Unterminated string literal"),
        ("SELECT 1 FROM", "the query failed: Expected: identifier, found: EOF; is it one statement of SQL?"),
        ("", "No SQL statements"),
        ("SELECT 1; SELECT 2", "single SQL statement"),
        ("SELECT hll_sketch_estimate(x'0102')", "2 bytes are not a DataSketches HLL sketch"),
        ("SELECT hll_sketch_estimate(raw) FROM dead_letters", "such as the column users_hll"),
        ("SELECT hll_union_agg(raw) FROM dead_letters", "hll_union_agg: "),
        ("SELECT hll_sketch_estimate(1)", "Candidate functions: hll_sketch_estimate(Binary)"),
        ("DROP TABLE daily", "ghostlight query only reads"),
        ("CREATE TABLE mine AS SELECT 1", "ghostlight query only reads"),
        ("INSERT INTO daily SELECT * FROM daily", "ghostlight query only reads"),
        ("INSERT INTO daily VALUES (1)", "INSERT; ghostlight query only reads"),
        ("INSERT INTO nothing SELECT whom FROM nowhere", "INSERT; ghostlight query only reads"),
        ("EXPLAIN INSERT INTO daily VALUES (1)", "ghostlight query only reads"),
        ("WITH a AS (SELECT 1) INSERT INTO daily SELECT * FROM a", "ghostlight query only reads"),
        ("UPDATE nothing SET whom = 1", "ghostlight query only reads"),
        ("DELETE FROM nothing", "ghostlight query only reads"),
        ("COPY (SELECT 1) TO 'mine.csv'", "ghostlight query only reads"),
        ("SET datafusion.execution.batch_size = 1", "ghostlight query only reads"),
        ("SELECT * FROM '/etc/passwd'", "the tables are"),
    ] {
        let said = refused(&out, sql);
        assert!(said.starts_with("error: ") && said.contains(expected), "{sql}: {said}");
        assert!(!said.contains("panicked") && !said.contains("Error("), "{sql}: {said}");
    }
    // A join's columns keep their names, which tables and csv take.
    let doubled =
        "SELECT a.tenant, b.tenant, a.date AS date, b.date FROM daily AS a JOIN daily AS b ON a.date = b.date";
    let parquet = simulated.path("doubled.parquet");
    for format in ["json", "parquet", "csv", "table"] {
        let (is_well, said) = output(query(&out, doubled).args(["--format", format, "-o"]).arg(&parquet));
        let is_refused = matches!(format, "json" | "parquet");
        assert_eq!(is_well, !is_refused, "{format}: {said}");
        assert_eq!(said.contains("have one name: tenant, date; ") && said.contains(" AS "), is_refused, "{said}");
        assert_eq!(parquet.exists(), !is_refused);
    }
    // However deep it is, it is answered or refused.
    let sum = format!("SELECT max(events-events+{}1) AS n FROM event_counts", "1+".repeat(500));
    assert_eq!(rows(&out, &sum), [json!({ "n": 501 })]);
    let chain = format!("SELECT count(*) AS n FROM daily WHERE {}true", "events < 0 OR ".repeat(300));
    assert_eq!(rows(&out, &chain), [json!({ "n": 0 })]);
    // What would be planned for minutes is refused, and said in another way answered.
    let or = |count: i32, with: &str| (0..count).map(|n| format!("events = {}", -1 - n)).collect::<Vec<_>>().join(with);
    let any = |condition: &str| format!("SELECT count(*) AS n FROM event_counts WHERE {condition}");
    for long in [
        any(&or(1_100, " OR ")),
        format!("EXPLAIN {}", any(&or(5_000, " AND "))),
        format!("SELECT {}1 AS n", "1+".repeat(20_000)),
        format!("SELECT count(*) AS n FROM ({}SELECT 1 AS n)", "SELECT 1 AS n UNION ALL ".repeat(1_100)),
    ] {
        let said = refused(&out, &long);
        assert!(
            said.contains("more than 1000 operators follow one another") && said.contains("IN (1, 2, 3)"),
            "{said}"
        );
    }
    let parts = (0..5).map(|_| format!("({})", or(300, " OR "))).collect::<Vec<_>>().join(" OR ");
    let list = format!("events IN ({})", (0..5_000).map(|n| (-1 - n).to_string()).collect::<Vec<_>>().join(","));
    for condition in [parts, list] {
        assert_eq!(rows(&out, &any(&condition)), [json!({ "n": 0 })]);
    }
    let asked = format!("SELECT n{} AS n FROM (SELECT 1 AS n)", " IS NULL".repeat(14_000));
    assert_eq!(rows(&out, &asked), [json!({ "n": false })]);
    let nested = |open: &str, close: &str| format!("SELECT {}1{}", open.repeat(3_000), close.repeat(3_000));
    for (open, close) in [("(", ")"), ("(SELECT ", ")"), ("abs(", ")"), ("1 IN (SELECT ", ")"), ("- ", "")] {
        let said = refused(&out, &nested(open, close));
        assert!(said.contains("nested too deep: name inner ones by WITH"), "{open}: {said}");
    }

    let (is_well, said) = output(&mut query(&simulated.path("nowhere"), "SELECT 1"));
    assert!(!is_well && said.contains("nowhere"), "{said}");
    std::fs::create_dir(simulated.path("empty")).expect("a folder");
    let (is_well, said) = output(&mut query(&simulated.path("empty"), "SELECT 1"));
    assert!(!is_well && said.contains("no ledger, so nothing ghostlight wrote"), "{said}");

    for show in ["SHOW TABLES", "show tables;", "/* Which are there? */ SHOW  TABLES"] {
        let mut tables: Vec<_> = DATASETS.map(|dataset| json!({ "table_name": dataset })).into();
        tables.sort_by_key(|table| table["table_name"].as_str().map(str::to_owned));
        assert_eq!(rows(&out, show), tables, "{show}");
    }
    let columns =
        rows(&out, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'daily'");
    assert!(columns.contains(&json!({ "column_name": "date", "data_type": "Date32" })), "{columns:?}");
    let plan = succeed(&mut query(&out, "EXPLAIN SELECT events FROM event_counts WHERE date = '2026-11-09'"));
    assert!(plan.contains("EmptyExec"), "files of other days are not opened: {plan}");
    let long = "SELECT tenant, type, client_id, sum(events) AS events FROM event_counts WHERE class = 'login-ok' AND tenant \
                LIKE 'north%' AND client_id NOT IN ('a', 'b', 'c', 'd') GROUP BY 1, 2, 3 ORDER BY events DESC LIMIT 7";
    let plan = succeed(&mut query(&out, &format!("EXPLAIN {long}")));
    for row in rows(&out, &format!("EXPLAIN {long}")) {
        let text = row["plan"].as_str().expect("text");
        assert!(text.lines().any(|line| line.len() > 100), "{text}");
        assert!(
            text.lines().all(|line| plan.lines().any(|shown| shown.trim_end() == format!("    {line}").trim_end())),
            "{plan}"
        );
    }
}

#[test]
fn a_file_that_goes_while_a_query_is_under_way_is_named() {
    let simulated = Simulated::new(1_000, 1, 44);
    let out = simulated.ingest_into("out");
    let (store, runtime) = (open(&out), runtime());
    let found = runtime.block_on(ghostlight::store::compact::current(&store)).expect("can be read");
    let counts = found.iter().find(|current| current.dataset == "event_counts").expect("a dataset");
    let tables = runtime.block_on(Tables::of(&store, 1 << 30)).expect("can be read");
    let answer = |name: &str| {
        let output = Output::open(Some(&simulated.path(name)));
        runtime.block_on(async {
            let rows = tables.ask("SELECT sum(events) AS events FROM event_counts").await?;
            write(rows, Format::Csv, Look { width: 80, color: false }, output?).await
        })
    };
    answer("before.csv").expect("answers");
    let file = &counts.files[0].path;
    std::fs::remove_file(out.join(file)).expect("removed");
    let error = answer("after.csv").expect_err("a file is gone").to_string();
    assert!(error.contains(file.as_str()) && error.contains("ask again"), "{error}");
    assert!(simulated.path("before.csv").exists() && !simulated.path("after.csv").exists());
    // Whoever asks from now on is told before anything is read.
    let said = refused(&out, "SELECT sum(events) AS events FROM event_counts");
    assert!(said.contains(file.as_str()) && said.contains("ghostlight verify"), "{said}");
}

/// Whatever reads once says what is lost or altered of `out`, and how to see the rest.
fn all_refuse(simulated: &Simulated, out: &Path, path: &str, readers: &[&str]) {
    let settings = simulated.path("tenant.yaml");
    std::fs::write(&settings, "clients: []\n").expect("written");
    let copy = simulated.path("copy");
    for reader in readers {
        let mut command = ghostlight();
        match *reader {
            "query" => command.args(["query", "SELECT sum(events) FROM event_counts", "--data"]).arg(out),
            "report" => command.args(["report", "--data"]).arg(out),
            "backtest" => command.args(["alerts", "backtest", "--data"]).arg(out),
            "audit" => command.args(["audit", "--config"]).arg(&settings).arg("--data").arg(out),
            "compact" => command.arg("compact").arg(out),
            "export" => command.arg("export").arg("--delta").arg(&copy).arg("--data").arg(out),
            other => panic!("no reader {other}"),
        };
        let (is_well, said) = output(&mut command);
        assert!(!is_well && said.contains(path), "{reader}: {said}");
    }
}

const READERS: [&str; 6] = ["query", "report", "backtest", "audit", "compact", "export"];

#[test]
fn a_lost_file_is_an_error_and_not_fewer_rows() {
    let simulated = Simulated::new(2_000, 2, 29);
    let out = simulated.ingest_into("out");
    let lost = runtime().block_on(open(&out).list("event_counts")).expect("can be listed").remove(0).location;
    std::fs::remove_file(out.join(lost.as_ref())).expect("was there");
    all_refuse(&simulated, &out, lost.as_ref(), &READERS);
}

#[test]
fn a_lost_file_of_a_generation_is_an_error() {
    let simulated = Simulated::new(2_000, 2, 47);
    let out = simulated.ingest_into("out");
    succeed(ghostlight().arg("compact").arg(&out));
    let files = runtime().block_on(open(&out).list("_compacted/event_counts")).expect("can be listed");
    let lost = &files.first().expect("a file").location;
    std::fs::remove_file(out.join(lost.as_ref())).expect("was there");
    all_refuse(&simulated, &out, lost.as_ref(), &READERS);
}

/// What was ingested in several commits, and where their entries are.
fn of_several_commits(simulated: &Simulated) -> (PathBuf, Vec<String>) {
    let out = simulated.path("out");
    let settings = simulated.path("settings.toml");
    std::fs::write(&settings, "[flush]\nrows = 200\n").expect("written");
    succeed(
        ghostlight().arg("ingest").arg("--config").arg(&settings).arg("--out").arg(&out).arg(simulated.events_path()),
    );
    let entries = runtime().block_on(open(&out).list("_ledger")).expect("can be listed");
    let entries: Vec<_> = entries.into_iter().map(|entry| entry.location.to_string()).collect();
    assert!(entries.len() > 2, "{entries:?}");
    (out, entries)
}

#[test]
fn a_lost_entry_is_an_error_and_not_the_end_of_its_partition() {
    for lost in 0..2 {
        let simulated = Simulated::new(2_000, 2, 48);
        let (out, entries) = of_several_commits(&simulated);
        let path = out.join(&entries[lost]);
        let entry = std::fs::read(&path).expect("was there");
        let events = rows(&out, "SELECT sum(events) AS events FROM event_counts");
        std::fs::remove_file(&path).expect("was there");
        all_refuse(&simulated, &out, &entries[lost], &READERS);
        // Nothing was made of what is left.
        std::fs::write(&path, entry).expect("written");
        succeed(ghostlight().arg("compact").arg(&out));
        assert_eq!(rows(&out, "SELECT sum(events) AS events FROM event_counts"), events);
    }
}

#[test]
fn what_daily_lacks_is_said_beside_the_answer() {
    let simulated = Simulated::new(2_000, 2, 48);
    let out = simulated.ingest_into("out");
    let said = |sql: &str| output(&mut query(&out, sql)).1.contains("note: daily lacks the rows of");
    assert!(said("SELECT count(*) FROM daily") && !said("SELECT count(*) FROM active_users"));
    succeed(ghostlight().arg("compact").arg(&out));
    assert!(!said("SELECT count(*) FROM daily"));
}

#[test]
fn entries_that_overlap_are_an_error() {
    let simulated = Simulated::new(2_000, 2, 48);
    let (out, entries) = of_several_commits(&simulated);
    let path = out.join(&entries[0]);
    let mut entry: Value = serde_json::from_slice(&std::fs::read(&path).expect("was there")).expect("JSON");
    entry["end"] = json!(entry["end"].as_u64().expect("a position") + 3);
    std::fs::write(&path, entry.to_string()).expect("written");
    all_refuse(&simulated, &out, &entries[1], &READERS);
}

#[test]
fn whoever_reads_a_file_knows_that_it_was_altered() {
    let simulated = Simulated::new(2_000, 1, 49);
    let out = simulated.ingest_into("out");
    let altered = runtime().block_on(open(&out).list("event_counts")).expect("can be listed").remove(0).location;
    let path = out.join(altered.as_ref());
    let bytes = std::fs::read(&path).expect("was there");
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    std::fs::write(&path, flipped(bytes.len() / 2)).expect("written");
    all_refuse(&simulated, &out, altered.as_ref(), &READERS);
    // Wherever it was, also where the answer does not depend on it; and all that is no longer as long as it was.
    let more = [bytes.as_slice(), &[0]].concat();
    let all = (0..40).map(|part| flipped(part * bytes.len() / 40));
    for other in all.chain([more, bytes[..bytes.len() - 1].to_vec(), bytes[..100].to_vec(), Vec::new()]) {
        std::fs::write(&path, other).expect("written");
        let said = refused(&out, "SELECT count(DISTINCT type) AS types FROM event_counts");
        assert!(said.contains(altered.as_ref()) && !said.contains("Generic ghostlight"), "{said}");
    }
    // Other datasets are none the worse.
    assert_ne!(rows(&out, "SELECT sum(issued) AS issued FROM m2m_tokens"), [json!({ "issued": 0 })]);
    std::fs::write(&path, &bytes).expect("written");
    assert_eq!(rows(&out, "SELECT count(*) > 0 AS are_some FROM event_counts"), [json!({ "are_some": true })]);
}

#[test]
fn a_file_is_checked_once_by_each_query() {
    let simulated = Simulated::new(2_000, 2, 50);
    let out = simulated.ingest_into("out");
    let files = object_store::local::LocalFileSystem::new_with_prefix(&out).expect("a folder");
    let counted = FaultyStore::new(Arc::new(files), u64::MAX, Fault::Before);
    let runtime = runtime();
    let tables = runtime.block_on(Tables::of(&Store::of(counted.clone()), 1 << 30)).expect("can be read");
    let operations = || {
        let before = counted.operations();
        runtime.block_on(async {
            let mut answer = tables.ask("SELECT sum(events) AS events FROM event_counts").await.expect("understood");
            while answer.next().await.expect("answers").is_some() {}
        });
        counted.operations() - before
    };
    let (first, second) = (operations(), operations());
    let found = runtime.block_on(open(&out).list("event_counts")).expect("can be listed").len() as u64;
    assert_eq!(first, second + found, "a file is read once more than its parts are");
}

#[test]
fn an_answer_is_not_written_into_what_is_queried() {
    let simulated = Simulated::new(2_000, 2, 30);
    let out = simulated.ingest_into("out");
    let (is_well, said) = output(query(&out, "SELECT 1").args(["--format", "csv", "-o"]).arg(out.join("events/x.csv")));
    assert!(!is_well && said.contains("say another place"), "{said}");
}

/// So many rows that nobody waits for the last one.
const ENDLESS: &str =
    "SELECT a.tenant, a.type, n.value FROM event_counts AS a CROSS JOIN generate_series(1, 1000000000000) AS n";

#[test]
fn who_stops_reading_ends_the_query() {
    let simulated = Simulated::new(2_000, 1, 45);
    let out = simulated.ingest_into("out");
    for format in ["csv", "json"] {
        let mut asked = query(&out, ENDLESS);
        asked.args(["--format", format]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = asked.spawn().expect("it starts");
        let mut first = [0; 100];
        child.stdout.take().expect("a pipe").read_exact(&mut first).expect("rows come before the last one");
        let ended = child.wait_with_output().expect("it ends");
        assert!(ended.status.success() && ended.stderr.is_empty(), "{format}: {ended:?}");
    }
}

#[test]
fn an_interrupted_query_leaves_no_file() {
    let simulated = Simulated::new(2_000, 1, 46);
    let out = simulated.ingest_into("out");
    let folder = simulated.path("answers");
    std::fs::create_dir(&folder).expect("a folder");
    for (format, signal) in [("csv", "INT"), ("json", "TERM"), ("parquet", "INT")] {
        let mut child =
            query(&out, ENDLESS).args(["--format", format, "-o"]).arg(folder.join("answer")).spawn().expect("starts");
        wait_for("a file in the making", || (!names(&folder).is_empty()).then_some(()));
        let id = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill runs").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{format}");
        assert_eq!(names(&folder), Vec::<String>::new(), "{format}");
    }
}

#[test]
fn a_query_takes_no_more_memory_than_it_may_and_says_so() {
    let simulated = Simulated::new(20_000, 2, 47);
    let out = simulated.ingest_into("out");
    let many = "WITH many AS (SELECT repeat(a.client_id || 'x', 20) AS raw, a.events + b.events AS n FROM event_counts AS a CROSS \
                JOIN event_counts AS b LIMIT 200000) ";
    let ask = |sql: &str| output(query(&out, &format!("{many}{sql}")).args(["--format", "json", "--memory", "64MiB"]));
    // One side of a join is held.
    let (is_well, said) = ask("SELECT count(*) AS n FROM many AS a JOIN many AS b ON a.raw = b.raw AND a.n = b.n");
    assert!(!is_well && said.starts_with("error: the query failed: Failed to allocate additional "), "{said}");
    assert!(said.contains("it may use 64.0 MiB (--memory)") && said.contains("--memory 4GiB"), "{said}");
    assert!(said.lines().count() == 1 && !said.contains("pool"), "{said}");
    // What is sorted goes on outside of it.
    let (is_well, said) =
        ask("SELECT max(at) AS last FROM (SELECT row_number() OVER (ORDER BY raw, n) AS at FROM many)");
    assert!(is_well && said.contains("{\"last\":200000}"), "{said}");
    for wrong in ["1MiB", "much", "-1"] {
        let (is_well, said) = output(query(&out, "SELECT 1").arg(format!("--memory={wrong}")));
        assert!(!is_well && said.contains("32MiB at least"), "{said}");
    }
}

#[test]
fn a_table_shows_the_first_rows_of_many_and_says_that_there_are_more() {
    let simulated = Simulated::new(2_000, 1, 48);
    let out = simulated.ingest_into("out");
    let table = succeed(&mut query(&out, ENDLESS));
    assert_eq!(table.lines().count(), 1 + 10_000 + 1);
    assert!(table.ends_with("(the first 10,000 rows; there are more: --format csv, json or parquet has all)\n"));
    let exactly = succeed(&mut query(&out, &format!("{ENDLESS} LIMIT 10000")));
    assert_eq!(exactly.lines().count(), 1 + 10_000);
}
