use super::*;

fn error(text: &str) -> String {
    Config::parse(text, Path::new("x.toml")).expect_err("not right").to_string()
}

#[test]
fn errors_name_the_key_and_show_a_right_line() {
    for (text, key, example) in [
        ("[windows]\ntokens = \"7s\"", "windows.tokens", "tokens = \"5m\""),
        ("[windows]\ntokens = \"2h\"", "windows.tokens", "tokens = \"5m\""),
        ("[flush]\ninterval = \"soon\"", "flush.interval", "interval = \"30s\""),
        ("[flush]\nmemory = \"lots\"", "flush.memory", "memory = \"32MiB\""),
        ("[users]\nhll_precision = 40", "users.hll_precision", "hll_precision = 12"),
        ("[users]\ndefinition = \"mine\"", "users.definition", "definition = \"published\""),
        ("[http]\nlisten = \"everywhere\"", "http.listen", "listen = \"127.0.0.1:7070\""),
        ("[http]\nlisten = \"0.0.0.0:7070\"", "webhook.authorization", "env ="),
        ("[webhook]\nto = \"nowhere\"", "webhook.to", "to = \"spool\""),
        ("[webhook]\nto = \"kafka\"", "webhook.topic", "topic = \"auth0-logs\""),
        ("[webhook]\ntopic = \"x\"", "webhook.topic", "topic = \"auth0-logs\""),
        ("[source.kafka]\ntopics = [\"x\"]", "kafka.bootstrap_servers", "kafka-1:9092"),
        ("[kafka]\nbootstrap_servers = \"x:1\"", "nothing uses it", "[source.kafka]"),
        ("[kafka]\nbootstrap_servers = \"x\"", "kafka.bootstrap_servers", "kafka-1:9092"),
        ("[kafka]\nbootstrap_servers = \"x:1\"", "--topic", "[source.kafka]"),
        ("[source.kafka]\ngroup = \"g\"", "--topic", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ngroup = \"g\"", "source.kafka.topics", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ntopics = [\"a b\"]", "source.kafka.topics", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ntopic_pattern = \"auth0.*\"", "source.kafka.topic_pattern", "^auth0"),
        ("[source.kafka]\ntopics = [\"a\", \"b\", \"a\"]", "\"a\" is there twice", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ntopics = [\".\"]", "source.kafka.topics", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ntopics = [\"..\"]", "source.kafka.topics", "topics = [\"auth0-logs\"]"),
        ("[source.kafka]\ntopic_pattern = \"^[a\"", "source.kafka.topic_pattern", "^auth0"),
        ("[source.kafka]\ntopic_pattern = \"^(a\"", "source.kafka.topic_pattern", "^auth0"),
        ("[source.kafka]\ntopics = [\"a\"]\nsession_timeout = \"10h\"", "source.kafka.session_timeout", "45s"),
        ("[source.kafka]\ntopics = [\"a\"]\nsession_timeout = \"1us\"", "source.kafka.session_timeout", "45s"),
        (
            "[kafka]\nbootstrap_servers = \"x:1\"\n[source.kafka]\ntopics = [\"a\"]\nsession_timeout = \"6m\"",
            "max.poll.interval.ms",
            "session_timeout = \"45s\"",
        ),
        ("[source.kafka]\ntopics = [\"a\"]\nstart = \"then\"", "source.kafka.start", "2026-11-01"),
        ("[source.kafka]\ntopics = [\"a\"]\non_gap = \"x\"", "source.kafka.on_gap", "on_gap = \"stop\""),
        ("[kafka]\nbootstrap_servers = \"x:1\"\nproperties = { \"fetch.min.byte\" = 1 }", "fetch.min.byte", "socket"),
        ("[kafka]\nbootstrap_servers = \"x:1\"\nproperties = { \"group.id\" = \"g\" }", "source.kafka.group", "socket"),
        (
            "[kafka]\nbootstrap_servers = \"x:1\"\nsasl = { mechanism = \"MD5\" }",
            "kafka.sasl.mechanism",
            "SCRAM-SHA-512",
        ),
        ("[kafka]\nbootstrap_servers = \"x:1\"\nsasl = { mechanism = \"PLAIN\" }", "kafka.sasl.username", "username ="),
        ("[kafka]\nbootstrap_servers = \"x:1\"\ntls = { ca = \"/no/such\" }", "kafka.tls.ca", "ca ="),
        ("[source.management]", "management.domain", "domain = \"acme.eu.auth0.com\""),
        ("[management]\ndomain = \"http://acme.eu.auth0.com\"", "management.domain", "acme.eu.auth0.com"),
        (
            "[management]\ndomain = \"acme.eu.auth0.com\"\nclient_id = { env = \"GHOSTLIGHT_NO_SUCH\" }",
            "management.client_id",
            "AUTH0_CLIENT_ID",
        ),
        ("[audit]\ntenant = \"acme\"", "audit.config", "config = \"/etc/ghostlight/tenant\""),
        ("[audit]\nconfig = \"x\"\nreplay = \"y\"", "audit.config", "config = \"/etc/ghostlight/tenant\""),
        ("[audit]\nconfig = \"x\"", "audit.tenant", "tenant = \"acme\""),
        (
            "[audit]\nconfig = \"x\"\ntenant = \"a\"\nunused_days = 62",
            "audit.unused_days: 62 is not between 1 and 61, of the 62 days that live.days keeps",
            "unused_days = 30",
        ),
        ("[audit]\nconfig = \"x\"\ntenant = \"a\"\nunused_days = 0", "audit.unused_days", "unused_days = 30"),
        ("[source.management]\ninterval = \"10ms\"", "source.management.interval", "interval = \"15s\""),
        ("[source.management]\nstart = \"then\"", "source.management.start", "2026-11-01"),
        ("[webhook]\nauthorization = { env = \"GHOSTLIGHT_NO_SUCH\" }", "GHOSTLIGHT_NO_SUCH", "env ="),
        ("out = \"ftp://x\"", "out", "./ghostlight-data/out"),
        ("[webhook]\npath = \"/metrics\"", "webhook.path", "path = \"/v1/logs\""),
        ("[webhook]\npath = \"/api/v1/logs\"", "webhook.path", "path = \"/v1/logs\""),
        ("[webhook]\npath = \"/{tenant}\"", "webhook.path", "path = \"/v1/logs\""),
        ("[webhook]\npath = \"logs\"", "webhook.path", "path = \"/v1/logs\""),
        ("[webhook]\nbody_max = \"100GB\"", "webhook.body_max", "body_max = \"8MiB\""),
        ("[spool]\nmax = \"1MiB\"\nsegment = \"1MiB\"", "webhook.body_max", "body_max = \"8MiB\""),
        ("[spool]\nsegment = \"9EiB\"", "spool.segment", "segment = \"64MiB\""),
        ("[events]\nignore = [\"\"]", "events.ignore", "ignore = [\"sapi\""),
        ("[events]\nignore = [\"s api\"]", "events.ignore", "ignore = [\"sapi\""),
        ("[log]\nlevel = \"loud\"", "log.level", "level = \"info\""),
        ("[ghosts.lifetimes]\n\"https://a/\" = \"0s\"", "of \"https://a/\": must be more", "https://api.example.com/"),
        ("[ghosts.lifetimes]\n\"a\" = \"1500ms\"", "of \"a\": 1s 500ms is not in whole seconds", "= \"1h\""),
        ("[ghosts.lifetimes]\n\"\" = \"1h\"", "ghosts.lifetimes: an empty audience", "= \"1h\""),
    ] {
        let error = error(text);
        assert!(error.contains(key) && error.contains(example), "{text}: {error}");
    }
    let typed = [
        ("[flush]\ninterval = 30", "line 2, column 12: setting flush.interval: an integer", "interval = \"30s\""),
        ("[flush]\nrows = -1", "flush.rows", "rows = 1000000"),
        ("[flush]\nbytes = \"-1\"", "flush.bytes", "bytes = \"1GiB\""),
        ("[flush]\nintervall = \"5s\"", "setting flush.intervall: there is no", "example: interval = \"30s\""),
        ("[users]\nhll_precision = 300", "users.hll_precision", "hll_precision = 12"),
        ("flush = 3", "setting flush", "interval = \"30s\""),
        ("tenant = 7", "line 1, column 10: setting tenant", "tenant = \"acme\""),
        ("[kafka]\nbootstrap_servers = 7", "kafka.bootstrap_servers", "[\"kafka-1:9092\""),
        ("[kafka.sasl]\nusername = \"x\"", "setting kafka.sasl.mechanism: missing", "SCRAM-SHA-512"),
        ("[live]\nenabled = \"yes\"", "true or false", "enabled = false"),
    ];
    for (text, says, example) in typed {
        let error = error(text);
        assert!(error.contains(says) && error.contains(example), "{text}: {error}");
    }
    let misspelt = error("[flush]\nintervall = \"5s\"");
    assert!(misspelt.contains("intervall") && misspelt.contains("interval"), "{misspelt}");
}

#[test]
fn an_unknown_code_to_ignore_is_allowed_and_named() {
    let text = "[events]\nignore = [\"sapi\", \"spai\"]\n[log]\nlevel = \"warn,ghostlight=debug\"";
    let described = Config::parse(text, Path::new("x.toml")).expect("right").describe();
    assert!(described.contains("the catalogue does not have spai"), "{described}");
}

#[test]
fn the_memory_of_log_ids_is_told_for_all_partitions_of_kafka() {
    let describe = |text: &str| Config::parse(text, Path::new("x.toml")).expect("is right").describe();
    assert!(describe("").contains("1000000: up to 18.1 MiB of memory per partition\n"), "{}", describe(""));
    let kafka = "[kafka]\nbootstrap_servers = \"x:1\"\n[source.kafka]\ntopics = [\"a\"]";
    let expected = "per partition, 217.4 MiB with 12, 869.8 MiB with 48";
    assert!(describe(kafka).contains(expected), "{}", describe(kafka));
}

#[test]
fn no_error_quotes_a_secret_that_stands_in_the_wrong_place() {
    for text in [
        "[kafka]\nsasl = { mechanism = \"PLAIN\", password = \"hunter2\" }",
        "[kafka.sasl]\nmechanism = \"PLAIN\"\npasword = \"hunter2\"",
        "[kafka]\nsasl = \"user:hunter2\"",
        "[webhook]\nauthorization = { evn = \"Bearer hunter2\" }",
        "[webhook]\nauthorization = { \"Bearer hunter2\" = 1 }",
        "[webhook]\nauthorization = \"Bearer hunter2\"",
        "[webhook]\nauthorization = \"Bearer hunter2",
        "[webhook]\nauthorization = { env = \"Bearer hunter2\" }",
        "[webhook]\nauthorization = { env = [\"Bearer hunter2\"] }",
        "[webhook]\nauthorization = { file = \"hunter2\" }",
        "webhook = \"Bearer hunter2\"",
        "[live]\ntoken = \"hunter2\"",
        "[live]\ninterval = [\"hunter2\"]",
        "[[alerts.channels]]\ntype = \"slack\"\nname = \"a\"\nurl = \"https://hooks/hunter2\"",
        "[[alerts.channels]]\ntype = \"webhook\"\nname = \"a\"\nurl = \"htps://user:hunter2@x\"",
        "[[alerts.channels]]\ntype = \"hunter2\"\nname = \"a\"",
        "[[alerts.channels]]\ntype = \"email\"\nname = \"a\"\nsmtp = \"smtp://u:hunter2@x\"\nfrom = \"a@example.com\"\nto = []",
    ] {
        let error = error(text);
        assert!(!error.contains("hunter2"), "{text}: {error}");
        assert!(error.contains("line ") || error.contains("right would be"), "{text}: {error}");
    }
}

#[test]
fn a_secret_is_never_printed() {
    assert_eq!(format!("{:?}", Secret::new("Bearer x".to_owned())), "(secret)");
}
