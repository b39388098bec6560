//! The settings of the connection to Kafka, of the consumer, and of the webhook's gateway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use serde::Deserialize;

use super::{ConfigError, RawSecret, Secret, duration, read_secret};
use crate::event::EventTime;

/// How to reach the cluster.
#[derive(Debug, Clone)]
pub struct KafkaConnection {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
    /// Properties of librdkafka's, passed on as they are.
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM files. Without `ca` the system's certificates are trusted.
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub key_password: Option<Secret>,
}

#[derive(Debug, Clone)]
pub enum Sasl {
    Password {
        mechanism: String,
        username: String,
        password: Secret,
    },
    /// OAUTHBEARER: a token by the client credentials grant of an OpenID provider.
    OAuth {
        token_endpoint: String,
        client_id: String,
        client_secret: Secret,
        scope: Option<String>,
    },
}

/// What is consumed, and as whom.
#[derive(Debug, Clone)]
pub struct KafkaSource {
    /// Names; a pattern begins with `^`.
    pub topics: Vec<String>,
    pub group: String,
    /// `group.instance.id`: static membership.
    pub instance: Option<String>,
    pub session_timeout: Duration,
    pub start: StartAt,
    pub on_gap: OnGap,
    /// Part of the incarnation's name: another epoch is another sequence of records.
    pub epoch: Option<String>,
    /// Threads that decode, fold and commit; each has some of the partitions.
    pub threads: usize,
}

/// Where a topic that the ledger does not know is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    Earliest,
    Latest,
    Time(EventTime),
}

impl StartAt {
    pub(super) fn parse(name: &str, key: &'static str) -> Result<Self, ConfigError> {
        match name {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => EventTime::parse(time).map(Self::Time).ok_or_else(|| ConfigError::Value {
                key,
                problem: format!("{time:?} is not earliest, latest or an ISO 8601 time"),
                example: "start = \"2026-11-01T00:00:00Z\"",
            }),
        }
    }
}

impl std::fmt::Display for StartAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// What to do when records that were never read are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// The partition stops, and says so.
    Stop,
    /// The gap is recorded in the ledger, and reading goes on behind it.
    Record,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKafka {
    bootstrap_servers: Option<OneOrMany>,
    tls: Option<RawTls>,
    sasl: Option<RawSasl>,
    #[serde(default)]
    properties: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<RawSecret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSasl {
    mechanism: String,
    username: Option<String>,
    password: Option<RawSecret>,
    token_endpoint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<RawSecret>,
    scope: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKafkaSource {
    topics: Option<Vec<String>>,
    topic_pattern: Option<String>,
    group: Option<String>,
    instance: Option<RawText>,
    session_timeout: Option<String>,
    start: Option<String>,
    on_gap: Option<String>,
    epoch: Option<String>,
    threads: Option<u64>,
}

/// A text, or the environment variable that holds it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawText {
    Text(String),
    Env { env: String },
}

impl RawKafka {
    /// The flags of the command line go before what is written.
    pub fn set_servers(&mut self, servers: &str) {
        self.bootstrap_servers = Some(OneOrMany::One(servers.to_owned()));
    }
}

impl RawKafkaSource {
    pub fn set_topics(&mut self, topics: &[String]) {
        (self.topics, self.topic_pattern) = (Some(topics.to_vec()), None);
    }

    pub fn set_group(&mut self, group: &str) {
        self.group = Some(group.to_owned());
    }
}

/// Properties that ghostlight decides, with the setting to use, if there is one.
const OWN_PROPERTIES: [(&str, &str); 26] = [
    ("bootstrap.servers", "kafka.bootstrap_servers"),
    ("metadata.broker.list", "kafka.bootstrap_servers"),
    ("security.protocol", "kafka.tls and kafka.sasl"),
    ("ssl.ca.location", "kafka.tls.ca"),
    ("ssl.certificate.location", "kafka.tls.certificate"),
    ("ssl.key.location", "kafka.tls.key"),
    ("ssl.key.password", "kafka.tls.key_password"),
    ("sasl.mechanism", "kafka.sasl.mechanism"),
    ("sasl.mechanisms", "kafka.sasl.mechanism"),
    ("sasl.username", "kafka.sasl.username"),
    ("sasl.password", "kafka.sasl.password"),
    ("sasl.oauthbearer.client.id", "kafka.sasl.client_id"),
    ("sasl.oauthbearer.client.secret", "kafka.sasl.client_secret"),
    ("sasl.oauthbearer.token.endpoint.url", "kafka.sasl.token_endpoint"),
    ("sasl.oauthbearer.method", "kafka.sasl.token_endpoint"),
    ("group.id", "source.kafka.group"),
    ("group.instance.id", "source.kafka.instance"),
    ("session.timeout.ms", "source.kafka.session_timeout"),
    ("auto.offset.reset", "source.kafka.start: the ledger decides where reading goes on"),
    ("enable.auto.commit", "nothing: the ledger has the offsets"),
    ("enable.auto.offset.store", "nothing: the ledger has the offsets"),
    ("enable.partition.eof", "nothing"),
    ("statistics.interval.ms", "nothing: lag and readiness come from them"),
    ("check.crcs", "nothing: librdkafka would step over a damaged batch"),
    ("enable.idempotence", "nothing: the gateway's producer is always idempotent"),
    ("acks", "nothing: the gateway always waits for all replicas"),
];

/// A property with any of these in its name holds a secret.
const SECRET_PARTS: [&str; 6] = ["password", "secret", "passphrase", "key.pem", "private.key", "oauthbearer.config"];

const SERVERS_EXAMPLE: &str = "bootstrap_servers = [\"kafka-1:9092\", \"kafka-2:9092\"]";
const PROPERTIES_EXAMPLE: &str = "\"socket.keepalive.enable\" = \"true\"";

pub(super) fn connection(raw: RawKafka) -> Result<KafkaConnection, ConfigError> {
    let servers = match raw.bootstrap_servers {
        Some(OneOrMany::One(one)) => one,
        Some(OneOrMany::Many(many)) => many.join(","),
        None => String::new(),
    };
    let is_server = |server: &str| {
        let port = server.trim().rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if let Some(wrong) = servers.split(',').find(|server| !is_server(server)) {
        let problem = if servers.is_empty() {
            "missing: where the Kafka brokers are".to_owned()
        } else {
            format!("{wrong:?} is not a host and a port")
        };
        return Err(ConfigError::Value { key: "kafka.bootstrap_servers", problem, example: SERVERS_EXAMPLE });
    }
    Ok(KafkaConnection {
        bootstrap_servers: servers,
        tls: raw.tls.map(tls).transpose()?,
        sasl: raw.sasl.map(sasl).transpose()?,
        properties: properties(raw.properties)?,
    })
}

fn tls(raw: RawTls) -> Result<Tls, ConfigError> {
    if raw.certificate.is_some() != raw.key.is_some() {
        return Err(ConfigError::Value {
            key: "kafka.tls.certificate",
            problem: "a certificate and its key belong together, and one of them is missing".to_owned(),
            example: "certificate = \"/etc/ghostlight/client.pem\", key = \"/etc/ghostlight/client.key\"",
        });
    }
    let files = [("kafka.tls.ca", &raw.ca), ("kafka.tls.certificate", &raw.certificate), ("kafka.tls.key", &raw.key)];
    for (key, file) in files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?))) {
        readable(key, file)?;
    }
    let key_password = raw.key_password.map(|raw| {
        read_secret(raw, "kafka.tls.key_password", "key_password = { env = \"GHOSTLIGHT_KAFKA_KEY_PASSWORD\" }")
    });
    Ok(Tls { ca: raw.ca, certificate: raw.certificate, key: raw.key, key_password: key_password.transpose()? })
}

fn readable(key: &'static str, file: &Path) -> Result<(), ConfigError> {
    std::fs::read(file).map(drop).map_err(|error| ConfigError::Value {
        key,
        problem: format!("reading {}: {error}", file.display()),
        example: "ca = \"/etc/ghostlight/ca.pem\"",
    })
}

fn sasl(raw: RawSasl) -> Result<Sasl, ConfigError> {
    let missing = |key, example| ConfigError::Value { key, problem: "missing".to_owned(), example };
    let unused = |is_set: bool, key, mechanism: &str| match is_set {
        true => Err(ConfigError::Value {
            key,
            problem: format!("not used with the mechanism {mechanism}"),
            example: "mechanism = \"SCRAM-SHA-512\", username = \"ghostlight\", password = { env = \"GHOSTLIGHT_KAFKA_PASSWORD\" }",
        }),
        false => Ok(()),
    };
    match raw.mechanism.as_str() {
        mechanism @ ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => {
            let example = "password = { env = \"GHOSTLIGHT_KAFKA_PASSWORD\" }";
            unused(raw.token_endpoint.is_some(), "kafka.sasl.token_endpoint", mechanism)?;
            unused(raw.client_id.is_some(), "kafka.sasl.client_id", mechanism)?;
            unused(raw.client_secret.is_some(), "kafka.sasl.client_secret", mechanism)?;
            Ok(Sasl::Password {
                mechanism: mechanism.to_owned(),
                username: raw.username.ok_or_else(|| missing("kafka.sasl.username", "username = \"ghostlight\""))?,
                password: match raw.password {
                    Some(raw) => read_secret(raw, "kafka.sasl.password", example)?,
                    None => return Err(missing("kafka.sasl.password", example)),
                },
            })
        }
        "OAUTHBEARER" => {
            let example = "client_secret = { env = \"GHOSTLIGHT_KAFKA_CLIENT_SECRET\" }";
            unused(raw.username.is_some(), "kafka.sasl.username", "OAUTHBEARER")?;
            unused(raw.password.is_some(), "kafka.sasl.password", "OAUTHBEARER")?;
            let endpoint = "token_endpoint = \"https://idp.example.com/oauth/token\"";
            let token_endpoint = raw.token_endpoint.ok_or_else(|| missing("kafka.sasl.token_endpoint", endpoint))?;
            let is_local =
                ["http://127.0.0.1:", "http://127.0.0.1/"].iter().any(|local| token_endpoint.starts_with(local));
            if !token_endpoint.starts_with("https://") && !is_local {
                return Err(ConfigError::Value {
                    key: "kafka.sasl.token_endpoint",
                    problem: format!("{token_endpoint:?} is not an https address"),
                    example: endpoint,
                });
            }
            Ok(Sasl::OAuth {
                token_endpoint,
                client_id: raw
                    .client_id
                    .ok_or_else(|| missing("kafka.sasl.client_id", "client_id = \"ghostlight\""))?,
                client_secret: match raw.client_secret {
                    Some(raw) => read_secret(raw, "kafka.sasl.client_secret", example)?,
                    None => return Err(missing("kafka.sasl.client_secret", example)),
                },
                scope: raw.scope,
            })
        }
        other => Err(ConfigError::Value {
            key: "kafka.sasl.mechanism",
            problem: format!("{other:?} is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
            example: "mechanism = \"SCRAM-SHA-512\"",
        }),
    }
}

/// Asks librdkafka itself about every property, so that a misspelt one is an error here and not at 3 a.m.
fn properties(raw: BTreeMap<String, toml::Value>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut properties = BTreeMap::new();
    let wrong = |problem| ConfigError::Value { key: "kafka.properties", problem, example: PROPERTIES_EXAMPLE };
    for (name, value) in raw {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            toml::Value::Float(number) => number.to_string(),
            _ => return Err(wrong(format!("{name} must be a text, a number, true or false"))),
        };
        if let Some((_, instead)) = OWN_PROPERTIES.iter().find(|(own, _)| *own == name) {
            return Err(wrong(format!("{name} is ghostlight's own to set; use {instead}")));
        }
        if SECRET_PARTS.iter().any(|part| name.contains(part)) {
            return Err(wrong(format!(
                "{name} holds a secret, which may not stand in a settings file; kafka.tls and kafka.sasl take theirs from \
                 the environment or from files"
            )));
        }
        let mut alone = ClientConfig::new();
        alone.set(&name, &value);
        if let Err(error) = alone.create_native_config() {
            let reason = match error {
                KafkaError::ClientConfig(_, reason, ..) => reason,
                other => other.to_string(),
            };
            return Err(wrong(format!("{name}: {reason}")));
        }
        properties.insert(name, value);
    }
    Ok(properties)
}

pub(super) fn source(raw: RawKafkaSource, threads: u64) -> Result<KafkaSource, ConfigError> {
    let topics = match (raw.topics, raw.topic_pattern) {
        (Some(topics), None) => topics,
        (None, Some(pattern)) if pattern.starts_with('^') => vec![pattern],
        (None, Some(pattern)) => {
            return Err(ConfigError::Value {
                key: "source.kafka.topic_pattern",
                problem: format!("{pattern:?} does not begin with ^, which makes it a pattern"),
                example: "topic_pattern = \"^auth0[.].*\"",
            });
        }
        _ => Vec::new(),
    };
    check_topics(&topics)?;
    let threads = super::count(raw.threads, "source.kafka.threads", threads, "threads = 4", 1..=256)?;
    Ok(KafkaSource {
        topics,
        group: text(
            raw.group.unwrap_or_else(|| "ghostlight".to_owned()),
            "source.kafka.group",
            "group = \"ghostlight\"",
        )?,
        instance: raw.instance.map(instance).transpose()?,
        session_timeout: session_timeout(raw.session_timeout)?,
        start: StartAt::parse(raw.start.as_deref().unwrap_or("earliest"), "source.kafka.start")?,
        on_gap: match raw.on_gap.as_deref() {
            None | Some("stop") => OnGap::Stop,
            Some("record") => OnGap::Record,
            Some(other) => {
                return Err(ConfigError::Value {
                    key: "source.kafka.on_gap",
                    problem: format!("{other:?} is not one of stop, record"),
                    example: "on_gap = \"stop\"",
                });
            }
        },
        epoch: raw.epoch.map(epoch).transpose()?,
        threads,
    })
}

/// Kafka's rule for names; whether a pattern is one is asked of the client, which decides what it means.
fn check_topics(topics: &[String]) -> Result<(), ConfigError> {
    let wrong =
        |problem| Err(ConfigError::Value { key: "source.kafka.topics", problem, example: "topics = [\"auth0-logs\"]" });
    let is_pattern = |name: &String| name.starts_with('^');
    let is_name = |name: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (1..=249).contains(&name.len()) && name.chars().all(is_plain) && name != "." && name != ".."
    };
    if topics.is_empty() {
        return wrong("missing: give topics, topic_pattern or --topic".to_owned());
    }
    if let Some(name) = topics.iter().find(|name| !is_pattern(name) && !is_name(name)) {
        return wrong(format!("{name:?} cannot be the name of a topic"));
    }
    if let Some((_, name)) = topics.iter().enumerate().find(|(at, name)| topics[..*at].contains(name)) {
        return wrong(format!("{name:?} is there twice"));
    }
    for pattern in topics.iter().filter(|name| is_pattern(name)) {
        if !compiles(pattern) {
            return Err(ConfigError::Value {
                key: "source.kafka.topic_pattern",
                problem: format!("{pattern:?} is not a regular expression (POSIX, extended)"),
                example: "topic_pattern = \"^auth0[.].*\"",
            });
        }
    }
    Ok(())
}

/// Whether the client takes it: asked of one that knows no broker and is never polled.
fn compiles(pattern: &str) -> bool {
    struct Silent;
    impl ClientContext for Silent {
        fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    }
    impl ConsumerContext for Silent {}
    let mut config = ClientConfig::new();
    config.set("group.id", "check");
    // A client that cannot be made says nothing of the pattern.
    let client: Result<BaseConsumer<Silent>, _> = config.create_with_context(Silent);
    client.map_or(true, |client| client.subscribe(&[pattern]).is_ok())
}

fn session_timeout(raw: Option<String>) -> Result<Duration, ConfigError> {
    let (key, example) = ("source.kafka.session_timeout", "session_timeout = \"45s\"");
    let timeout = duration(raw, key, "45s", example)?;
    // What the client takes.
    match (1..=3_600_000).contains(&timeout.as_millis()) {
        true => Ok(timeout),
        false => Err(ConfigError::Value {
            key,
            problem: format!("{} is not from 1ms to 1h", humantime::format_duration(timeout)),
            example,
        }),
    }
}

/// The client's condition that concerns two settings.
pub(super) fn check_together(connection: &KafkaConnection, source: &KafkaSource) -> Result<(), ConfigError> {
    const POLL_MS_DEFAULT: u128 = 300_000;
    let set = connection.properties.get("max.poll.interval.ms").and_then(|text| text.parse().ok());
    let poll_ms: u128 = set.unwrap_or(POLL_MS_DEFAULT);
    match source.session_timeout.as_millis() > poll_ms {
        true => Err(ConfigError::Value {
            key: "source.kafka.session_timeout",
            problem: format!("longer than max.poll.interval.ms, which is {poll_ms}"),
            example: "session_timeout = \"45s\"",
        }),
        false => Ok(()),
    }
}

fn text(text: String, key: &'static str, example: &'static str) -> Result<String, ConfigError> {
    if text.trim().is_empty() {
        return Err(ConfigError::Value { key, problem: "empty".to_owned(), example });
    }
    Ok(text)
}

fn instance(raw: RawText) -> Result<String, ConfigError> {
    let (key, example) = ("source.kafka.instance", "instance = { env = \"HOSTNAME\" }");
    let value = match raw {
        RawText::Text(text) => text,
        RawText::Env { env } => std::env::var(&env).map_err(|_| ConfigError::Value {
            key,
            problem: format!("the environment has no variable {env}"),
            example,
        })?,
    };
    text(value, key, example)
}

fn epoch(epoch: String) -> Result<String, ConfigError> {
    let is_plain = !epoch.is_empty() && epoch.len() <= 32 && epoch.chars().all(|c| c.is_ascii_alphanumeric());
    match is_plain {
        true => Ok(epoch),
        false => Err(ConfigError::Value {
            key: "source.kafka.epoch",
            problem: format!("{epoch:?} must be up to 32 letters and digits"),
            example: "epoch = \"2\"",
        }),
    }
}

const NONE: &str = "(none)";

fn line(key: &str, value: impl std::fmt::Display) -> String {
    format!("{key:<29} {value}")
}

fn path(path: Option<&PathBuf>) -> String {
    path.map_or_else(|| NONE.to_owned(), |path| path.display().to_string())
}

fn whether_set(is_set: bool) -> &'static str {
    if is_set { "(set)" } else { NONE }
}

impl KafkaConnection {
    /// Lines for `check-config`; no secret among them.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut lines = vec![line("kafka.bootstrap_servers", &self.bootstrap_servers)];
        if let Some(tls) = &self.tls {
            let ca = tls.ca.as_ref().map_or_else(|| "(this system's)".to_owned(), |ca| ca.display().to_string());
            lines.extend([
                line("kafka.tls.ca", ca),
                line("kafka.tls.certificate", path(tls.certificate.as_ref())),
                line("kafka.tls.key", path(tls.key.as_ref())),
                line("kafka.tls.key_password", whether_set(tls.key_password.is_some())),
            ]);
        }
        match &self.sasl {
            None => {}
            Some(Sasl::Password { mechanism, username, .. }) => lines.extend([
                line("kafka.sasl.mechanism", mechanism),
                line("kafka.sasl.username", username),
                line("kafka.sasl.password", whether_set(true)),
            ]),
            Some(Sasl::OAuth { token_endpoint, client_id, scope, .. }) => lines.extend([
                line("kafka.sasl.mechanism", "OAUTHBEARER"),
                line("kafka.sasl.token_endpoint", token_endpoint),
                line("kafka.sasl.client_id", client_id),
                line("kafka.sasl.client_secret", whether_set(true)),
                line("kafka.sasl.scope", scope.as_deref().unwrap_or(NONE)),
            ]),
        }
        let properties = self.properties.iter();
        lines.extend(properties.map(|(name, value)| line("kafka.properties", format!("{name} = {value}"))));
        lines
    }
}

impl KafkaSource {
    pub(super) fn describe(&self) -> Vec<String> {
        let (pattern, names): (Vec<_>, Vec<_>) =
            self.topics.iter().map(String::as_str).partition(|topic| topic.starts_with('^'));
        let topics = if pattern.is_empty() {
            line("source.kafka.topics", names.join(", "))
        } else {
            line("source.kafka.topic_pattern", pattern.join(", "))
        };
        vec![
            topics,
            line("source.kafka.group", &self.group),
            line("source.kafka.instance", self.instance.as_deref().unwrap_or("(none: dynamic membership)")),
            line("source.kafka.session_timeout", humantime::format_duration(self.session_timeout)),
            line("source.kafka.start", format!("{}, where the ledger knows nothing yet", self.start)),
            line("source.kafka.on_gap", if self.on_gap == OnGap::Stop { "stop" } else { "record" }),
            line("source.kafka.epoch", self.epoch.as_deref().unwrap_or(NONE)),
            line("source.kafka.threads", self.threads),
        ]
    }
}
