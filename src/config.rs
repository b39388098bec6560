//! Settings: what was written ([`RawConfig`], TOML) becomes what it means ([`Config`]) in one step. No other code validates.

mod alerts;
mod audit;
mod kafka;
mod management;
mod prices;
mod privacy;
mod quota;
mod read;
mod rules;
mod secret;
#[cfg(test)]
mod tests;
mod toml_error;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use alerts::AlertSettings;
pub use audit::{AuditFrom, AuditSettings};
pub use kafka::{KafkaConnection, KafkaSource, OnGap, Sasl, StartAt, Tls};
pub use management::{ManagementApi, ManagementSource};
pub use prices::Prices;
pub use quota::{MonthlyQuota, QuotaSettings};
pub use read::LiveSettings;
pub use rules::DecisionSettings;
pub use secret::Secret;

use crate::event::{ActiveDefinition, DecodeSettings, Privacy, WindowLength, catalogue};
use crate::partial::FoldSettings;
use crate::partial::sketch::Precision;
use crate::source::spool::SpoolLimits;
use crate::store::Location;
use crate::store::commit::DEFAULT_HORIZON;
use crate::store::compact::CompactSettings;
use crate::usage::ghost::{Lifetimes, Thresholds};
use alerts::RawAlerts;
use audit::RawAudit;
use kafka::{RawKafka, RawKafkaSource};
use management::{RawManagement, RawManagementSource};
use prices::RawPrices;
use privacy::RawPrivacy;
use quota::RawQuota;
use read::{RawGhosts, RawLive};
use secret::{RawSecret, read_secret};
use value::{GIB, KIB, MIB, TIB, count, duration, iec, non_empty, size, window};

/// The effective settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub out: Location,
    /// Goes before anything an event says about its tenant.
    pub tenant: Option<String>,
    pub fold: FoldSettings,
    /// Type codes that are not counted.
    pub ignore: Vec<String>,
    pub privacy: Privacy,
    pub dedupe: DedupeSettings,
    pub flush: FlushLimits,
    pub files: FileSettings,
    pub http: HttpSettings,
    pub kafka: Option<KafkaConnection>,
    pub management: Option<ManagementApi>,
    pub source: SourceSettings,
    pub webhook: WebhookSettings,
    pub spool: SpoolSettings,
    pub quota: QuotaSettings,
    pub prices: Prices,
    /// How long tokens live, and what makes a ghost.
    pub lifetimes: Lifetimes,
    pub ghosts: Thresholds,
    pub live: LiveSettings,
    /// How the read side compacts; `None` where it does not.
    pub compaction: Option<CompactSettings>,
    pub alerts: AlertSettings,
    pub audit: Option<AuditSettings>,
    pub log: LogSettings,
}

#[derive(Debug, Clone, Copy)]
pub struct DedupeSettings {
    /// How many events back a `log_id` is remembered, per partition.
    pub horizon: usize,
    /// How long id files are kept beyond that.
    pub ids_keep: Duration,
}

/// A batch is committed as soon as it reaches any of these.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    pub interval: Duration,
    pub rows: usize,
    pub bytes: u64,
    pub memory_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct FileSettings {
    pub record_max: usize,
    /// Threads that parse; one more folds and writes.
    pub threads: usize,
}

#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub listen: SocketAddr,
}

/// What is consumed beside the webhook.
#[derive(Debug, Clone, Default)]
pub struct SourceSettings {
    pub kafka: Option<KafkaSource>,
    pub management: Option<ManagementSource>,
}

/// Where the webhook's bodies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookTo {
    Spool,
    /// Event by event to this topic.
    Kafka {
        topic: String,
    },
    /// There is no webhook.
    Off,
}

#[derive(Debug, Clone)]
pub struct WebhookSettings {
    pub to: WebhookTo,
    pub path: String,
    /// The whole value of the `Authorization` header.
    pub authorization: Option<Secret>,
    pub body_max: usize,
}

#[derive(Debug, Clone)]
pub struct SpoolSettings {
    pub folder: PathBuf,
    pub segment_bytes: u64,
    pub bytes_max: u64,
}

impl SpoolSettings {
    pub fn limits(&self) -> SpoolLimits {
        SpoolLimits { segment_bytes: self.segment_bytes, bytes_max: self.bytes_max }
    }
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub level: String,
    pub json: bool,
}

/// A setting that cannot be used. Names the key, what was written, and a line that would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading the settings {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },
    #[error("setting {key}: {problem}\n  right would be, for example: {example}")]
    Value { key: &'static str, problem: String, example: &'static str },
}

/// The file as written. Every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    out: Option<String>,
    tenant: Option<String>,
    #[serde(default)]
    windows: RawWindows,
    #[serde(default)]
    users: RawUsers,
    #[serde(default)]
    events: RawEvents,
    #[serde(default)]
    datasets: RawDatasets,
    #[serde(default)]
    privacy: RawPrivacy,
    #[serde(default)]
    dedupe: RawDedupe,
    #[serde(default)]
    flush: RawFlush,
    #[serde(default)]
    files: RawFiles,
    #[serde(default)]
    http: RawHttp,
    kafka: Option<RawKafka>,
    management: Option<RawManagement>,
    #[serde(default)]
    source: RawSource,
    #[serde(default)]
    webhook: RawWebhook,
    #[serde(default)]
    spool: RawSpool,
    #[serde(default)]
    quota: RawQuota,
    #[serde(default)]
    prices: RawPrices,
    #[serde(default)]
    ghosts: RawGhosts,
    #[serde(default)]
    live: RawLive,
    #[serde(default)]
    compaction: read::RawCompaction,
    #[serde(default)]
    alerts: RawAlerts,
    audit: Option<RawAudit>,
    #[serde(default)]
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindows {
    users: Option<String>,
    tokens: Option<String>,
    counts: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsers {
    definition: Option<String>,
    hll_precision: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvents {
    ignore: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatasets {
    events: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDedupe {
    horizon: Option<u64>,
    ids_keep: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlush {
    interval: Option<String>,
    rows: Option<u64>,
    bytes: Option<String>,
    memory: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFiles {
    record_max: Option<String>,
    threads: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    kafka: Option<RawKafkaSource>,
    management: Option<RawManagementSource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    to: Option<String>,
    topic: Option<String>,
    path: Option<String>,
    authorization: Option<RawSecret>,
    body_max: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpool {
    folder: Option<PathBuf>,
    segment: Option<String>,
    max: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: Option<String>,
    format: Option<String>,
}

/// What a command line may say; it goes before what is written.
#[derive(Debug, Default)]
pub struct Flags {
    pub out: Option<String>,
    pub tenant: Option<String>,
    /// Brokers as `host:port`, separated by commas.
    pub kafka: Option<String>,
    pub topics: Vec<String>,
    pub group: Option<String>,
    /// Of a tenant's Management API.
    pub domain: Option<String>,
    /// Address and port.
    pub listen: Option<String>,
    /// Nothing is taken in, and the page is what it is for.
    pub only_reads: bool,
}

impl RawConfig {
    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: toml_error::explain(text, error) })
    }

    fn apply(&mut self, flags: &Flags) {
        if flags.out.is_some() {
            self.out.clone_from(&flags.out);
        }
        if flags.tenant.is_some() {
            self.tenant.clone_from(&flags.tenant);
        }
        if flags.only_reads {
            self.webhook = RawWebhook { to: Some("off".to_owned()), ..RawWebhook::default() };
            (self.kafka, self.source.kafka) = (None, None);
            self.source.management = None;
            // Nothing is written, so nobody needs the key.
            self.privacy = RawPrivacy::default();
            self.live.only();
        }
        if flags.listen.is_some() {
            self.http.listen.clone_from(&flags.listen);
        }
        if let Some(servers) = &flags.kafka {
            self.kafka.get_or_insert_default().set_servers(servers);
        }
        if !flags.topics.is_empty() {
            self.source.kafka.get_or_insert_default().set_topics(&flags.topics);
        }
        if let Some(domain) = &flags.domain {
            self.management.get_or_insert_default().set_domain(domain);
        }
        if let Some(group) = &flags.group {
            self.source.kafka.get_or_insert_default().set_group(group);
        }
    }
}

impl Config {
    /// The settings in `path`, or the defaults without one, with `flags` before both.
    pub fn load(path: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_with_rules(path, flags, None)
    }

    /// [`load`](Self::load), with what alerts are decided by from another file, if one is given.
    pub fn load_with_rules(path: Option<&Path>, flags: &Flags, rules: Option<&Path>) -> Result<Self, ConfigError> {
        let mut raw = match path {
            None => RawConfig::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
                RawConfig::parse(&text, path)?
            }
        };
        raw.apply(flags);
        if let Some(rules) = rules {
            rules::replace(&mut raw, rules)?;
        }
        Self::from_raw(raw)
    }

    /// Settings from TOML text; `path` names it in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::from_raw(RawConfig::parse(text, path)?)
    }

    fn from_raw(raw: RawConfig) -> Result<Self, ConfigError> {
        let out = raw.out.as_deref().unwrap_or("./ghostlight-data/out");
        let listen = raw.http.listen.as_deref().unwrap_or("127.0.0.1:7070");
        let source = raw.source.kafka.map(|raw| kafka::source(raw, default_threads())).transpose()?;
        let pulled = raw.source.management.map(management::source).transpose()?;
        let management = raw.management.map(management::api).transpose()?;
        let live = read::live(raw.live)?;
        let audit = raw.audit.map(|given| audit::audit(given, raw.tenant.as_ref(), management.as_ref(), live.days));
        let audit = audit.transpose()?;
        let (lifetimes, ghosts) = read::ghosts(raw.ghosts)?;
        let config = Self {
            out: Location::parse(out).map_err(|error| ConfigError::Value {
                key: "out",
                problem: error.to_string(),
                example: "out = \"./ghostlight-data/out\"",
            })?,
            tenant: non_empty(raw.tenant, "tenant", "tenant = \"acme\"")?,
            fold: FoldSettings {
                users_window: window(raw.windows.users, "windows.users", "1h", "users = \"1h\"", 86_400)?,
                tokens_window: window(raw.windows.tokens, "windows.tokens", "5m", "tokens = \"5m\"", 3600)?,
                counts_window: window(raw.windows.counts, "windows.counts", "5m", "counts = \"5m\"", 86_400)?,
                definition: definition(raw.users.definition)?,
                precision: precision(raw.users.hll_precision)?,
                events: raw.datasets.events.unwrap_or(false),
            },
            ignore: ignore(raw.events.ignore)?,
            privacy: privacy::privacy(raw.privacy)?,
            dedupe: DedupeSettings {
                horizon: count(
                    raw.dedupe.horizon,
                    "dedupe.horizon",
                    DEFAULT_HORIZON as u64,
                    "horizon = 1000000",
                    1..=100_000_000,
                )?,
                ids_keep: duration(raw.dedupe.ids_keep, "dedupe.ids_keep", "3d", "ids_keep = \"3d\"")?,
            },
            flush: FlushLimits {
                interval: duration(raw.flush.interval, "flush.interval", "30s", "interval = \"30s\"")?,
                rows: count(raw.flush.rows, "flush.rows", 1_000_000, "rows = 1000000", 1..=100_000_000)?,
                bytes: size(raw.flush.bytes, "flush.bytes", "1GiB", "bytes = \"1GiB\"", 1..=TIB)?,
                memory_bytes: size(raw.flush.memory, "flush.memory", "32MiB", "memory = \"32MiB\"", MIB..=64 * GIB)?
                    as usize,
            },
            files: FileSettings {
                record_max: size(raw.files.record_max, "files.record_max", "8MiB", "record_max = \"8MiB\"", KIB..=GIB)?
                    as usize,
                threads: count(raw.files.threads, "files.threads", default_threads(), "threads = 4", 1..=256)?,
            },
            http: HttpSettings {
                listen: listen.parse().map_err(|_| ConfigError::Value {
                    key: "http.listen",
                    problem: format!("{listen:?} is not an address and a port"),
                    example: "listen = \"127.0.0.1:7070\"",
                })?,
            },
            kafka: raw.kafka.map(kafka::connection).transpose()?,
            webhook: WebhookSettings {
                to: webhook_to(raw.webhook.to.as_deref(), raw.webhook.topic, source.is_some() || pulled.is_some())?,
                path: raw.webhook.path.unwrap_or_else(|| "/v1/logs".to_owned()),
                authorization: raw
                    .webhook
                    .authorization
                    .map(|raw| read_secret(raw, "webhook.authorization", AUTHORIZATION_EXAMPLE))
                    .transpose()?,
                body_max: size(raw.webhook.body_max, "webhook.body_max", "8MiB", "body_max = \"8MiB\"", KIB..=GIB)?
                    as usize,
            },
            spool: SpoolSettings {
                folder: raw.spool.folder.unwrap_or_else(|| PathBuf::from("./ghostlight-data/spool")),
                segment_bytes: size(
                    raw.spool.segment,
                    "spool.segment",
                    "64MiB",
                    "segment = \"64MiB\"",
                    4 * KIB..=16 * GIB,
                )?,
                bytes_max: size(raw.spool.max, "spool.max", "10GiB", "max = \"10GiB\"", 4 * KIB..=1024 * TIB)?,
            },
            management,
            source: SourceSettings { kafka: source, management: pulled },
            quota: quota::quota(raw.quota)?,
            prices: prices::prices(raw.prices)?,
            lifetimes,
            ghosts,
            live,
            compaction: read::compaction(raw.compaction)?,
            alerts: alerts::alerts(raw.alerts)?,
            audit,
            log: log(raw.log)?,
        };
        config.check_together()
    }

    /// What only several settings together can get wrong.
    fn check_together(self) -> Result<Self, ConfigError> {
        let path = &self.webhook.path;
        let taken = ["/metrics", "/healthz", "/readyz", "/", "/login"].contains(&path.as_str())
            || ["/api/", "/assets/"].iter().any(|taken| path.starts_with(taken));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if !path.starts_with('/') || taken || path.contains("//") || !path.chars().all(is_plain) {
            return Err(ConfigError::Value {
                key: "webhook.path",
                problem: format!("{path:?} is not a path of its own"),
                example: "path = \"/v1/logs\"",
            });
        }
        let is_open = self.webhook.to != WebhookTo::Off && self.webhook.authorization.is_none();
        if is_open && !self.http.listen.ip().is_loopback() {
            return Err(ConfigError::Value {
                key: "webhook.authorization",
                problem: format!("missing, and {} can be reached from other machines", self.http.listen),
                example: AUTHORIZATION_EXAMPLE,
            });
        }
        self.live.check(self.http.listen)?;
        privacy::check_together(self.privacy.policies(), self.quota.watches_users())?;
        let uses_kafka = self.source.kafka.is_some() || matches!(self.webhook.to, WebhookTo::Kafka { .. });
        if uses_kafka && self.kafka.is_none() {
            return Err(ConfigError::Value {
                key: "kafka.bootstrap_servers",
                problem: "missing: where the Kafka brokers are".to_owned(),
                example: "[kafka]\n  bootstrap_servers = [\"kafka-1:9092\", \"kafka-2:9092\"]",
            });
        }
        if let (Some(connection), Some(source)) = (&self.kafka, &self.source.kafka) {
            kafka::check_together(connection, source)?;
        }
        if !uses_kafka && self.kafka.is_some() {
            return Err(ConfigError::Value {
                key: "kafka",
                problem: "nothing uses it: there is neither source.kafka (or --topic) nor webhook.to = \"kafka\""
                    .to_owned(),
                example: "[source.kafka]\n  topics = [\"auth0-logs\"]",
            });
        }
        management::check_together(self.management.as_ref(), self.source.management.as_ref(), &self.webhook.to)?;
        if self.webhook.body_max as u64 > self.spool.bytes_max / 4 {
            return Err(ConfigError::Value {
                key: "webhook.body_max",
                problem: format!("more than a quarter of spool.max, which is {}", iec(self.spool.bytes_max)),
                example: "body_max = \"8MiB\"",
            });
        }
        if self.spool.bytes_max < self.spool.segment_bytes {
            return Err(ConfigError::Value {
                key: "spool.max",
                problem: "less than spool.segment".to_owned(),
                example: "max = \"10GiB\"",
            });
        }
        Ok(self)
    }

    /// How records are read.
    pub fn decode(&self) -> DecodeSettings {
        DecodeSettings { tenant: self.tenant.clone(), privacy: self.privacy.clone(), whole: self.fold.events }
    }

    /// What whoever wrote the settings may not have thought of.
    pub fn warnings(&self) -> Vec<&'static str> {
        let to_topic = matches!(self.webhook.to, WebhookTo::Kafka { .. });
        privacy::warnings(self.privacy.policies(), to_topic)
    }

    /// The settings in effect and what they cost, as lines.
    pub fn describe(&self) -> String {
        let fold = &self.fold;
        let lg_k = fold.precision.lg_k();
        let error = fold.precision.standard_error() * 100.0;
        let kib = fold.precision.bytes_max() as f64 / 1024.0;
        let size = iec;
        let time = |duration: Duration| humantime::format_duration(duration).to_string();
        let seconds = |window: WindowLength| time(Duration::from_secs(u64::from(window.seconds())));
        // A ring of 64-bit identities, and a table of places in it that may be half empty.
        let dedupe_bytes = self.dedupe.horizon as u64 * (8 + 11);
        let mut lines = vec![
            format!("out                     {}", self.out),
            format!("tenant                  {}", self.tenant.as_deref().unwrap_or("(as each event says)")),
            format!("windows.users           {}", seconds(fold.users_window)),
            format!("windows.tokens          {}", seconds(fold.tokens_window)),
            format!("windows.counts          {}", seconds(fold.counts_window)),
            format!("users.definition        {}", fold.definition.name()),
            format!("users.hll_precision     {lg_k}: about {error:.1} % error, {kib:.0} KiB for a full sketch"),
            format!("events.ignore           {}", describe_ignored(&self.ignore)),
            format!("datasets.events         {}", fold.events),
            format!(
                "dedupe.horizon          {}: up to {} of memory per partition{}",
                self.dedupe.horizon,
                size(dedupe_bytes),
                self.source.kafka.as_ref().map_or_else(String::new, |_| dedupe_of_partitions(dedupe_bytes))
            ),
            format!("dedupe.ids_keep         {}: 8 bytes on disk per event", time(self.dedupe.ids_keep)),
            format!("flush.interval          {}", time(self.flush.interval)),
            format!("flush.rows              {}", self.flush.rows),
            format!("flush.bytes             {}", size(self.flush.bytes)),
            format!("flush.memory            {}", size(self.flush.memory_bytes as u64)),
            format!("files.record_max        {}", size(self.files.record_max as u64)),
            format!("files.threads           {}", self.files.threads),
            format!("http.listen             {}", self.http.listen),
            format!("webhook.to              {}", self.webhook.to),
            format!("webhook.path            {}", self.webhook.path),
            format!("webhook.authorization   {}", self.webhook.authorization.as_ref().map_or("(none)", |_| "(set)")),
            format!("webhook.body_max        {}", size(self.webhook.body_max as u64)),
            format!("spool.folder            {}", self.spool.folder.display()),
            format!("spool.segment           {}", size(self.spool.segment_bytes)),
            format!("spool.max               {}", size(self.spool.bytes_max)),
            format!("log.level               {}", self.log.level),
            format!("log.format              {}", if self.log.json { "json" } else { "text" }),
        ];
        lines.extend(privacy::describe(&self.privacy));
        lines.extend(self.quota.describe());
        lines.extend(self.prices.describe());
        lines.extend(read::describe_ghosts(&self.lifetimes, &self.ghosts));
        lines.extend(self.live.describe(self.http.listen.ip().is_loopback()));
        lines.extend(read::describe_compaction(self.compaction.as_ref()));
        lines.extend(self.kafka.iter().flat_map(KafkaConnection::describe));
        lines.extend(self.source.kafka.iter().flat_map(KafkaSource::describe));
        lines.extend(self.management.iter().flat_map(ManagementApi::describe));
        lines.extend(self.source.management.iter().flat_map(ManagementSource::describe));
        lines.extend(self.alerts.describe());
        lines.extend(self.audit.iter().flat_map(AuditSettings::describe));
        lines.join("\n")
    }
}

/// What a worker that is left alone with all partitions may take. How many there are only the cluster knows.
fn dedupe_of_partitions(bytes: u64) -> String {
    let sums = [12, 48].map(|partitions| format!("{} with {partitions}", iec(bytes * partitions)));
    format!(", {} (one worker may have to read all)", sums.join(", "))
}

fn default_threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn ignore(codes: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let codes = codes.unwrap_or_default();
    let is_code = |code: &String| !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match codes.iter().find(|code| !is_code(code)) {
        Some(code) => Err(ConfigError::Value {
            key: "events.ignore",
            problem: format!("{code:?} cannot be a type code"),
            example: "ignore = [\"sapi\", \"gd_tenant_update\"]",
        }),
        None => Ok(codes),
    }
}

/// Codes nobody knows yet are allowed, since Auth0 adds some, and named, since most are misspelt.
fn describe_ignored(codes: &[String]) -> String {
    let unknown: Vec<_> = codes.iter().filter(|code| !catalogue::is_known(code)).map(String::as_str).collect();
    match unknown[..] {
        [] => format!("{codes:?}"),
        _ => format!("{codes:?}, of which the catalogue does not have {}", unknown.join(", ")),
    }
}

fn definition(name: Option<String>) -> Result<ActiveDefinition, ConfigError> {
    let Some(name) = name else { return Ok(ActiveDefinition::default()) };
    ActiveDefinition::from_name(&name).ok_or_else(|| ConfigError::Value {
        key: "users.definition",
        problem: format!("{name:?} is not one of {}", ActiveDefinition::NAMES.join(", ")),
        example: "definition = \"published\"",
    })
}

fn precision(lg_k: Option<u64>) -> Result<Precision, ConfigError> {
    let Some(lg_k) = lg_k else { return Ok(Precision::DEFAULT) };
    u8::try_from(lg_k).ok().and_then(Precision::new).ok_or_else(|| ConfigError::Value {
        key: "users.hll_precision",
        problem: format!("{lg_k} is not between {} and {}", Precision::MIN, Precision::MAX),
        example: "hll_precision = 12",
    })
}

fn log(raw: RawLog) -> Result<LogSettings, ConfigError> {
    let level = raw.level.unwrap_or_else(|| "info".to_owned());
    // A filter takes any word for the name of a target, and would then show nothing.
    let is_level = level.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let is_filter = level.contains('=') && level.parse::<tracing_subscriber::EnvFilter>().is_ok();
    if !is_level && !is_filter {
        return Err(ConfigError::Value {
            key: "log.level",
            problem: format!(
                "{level:?} is not off, error, warn, info, debug, trace, nor a filter such as \"ghostlight=debug\""
            ),
            example: "level = \"info\"",
        });
    }
    let json = match raw.format.as_deref() {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(ConfigError::Value {
                key: "log.format",
                problem: format!("{other:?} is not one of text, json"),
                example: "format = \"text\"",
            });
        }
    };
    Ok(LogSettings { level, json })
}

const AUTHORIZATION_EXAMPLE: &str = "authorization = { env = \"GHOSTLIGHT_WEBHOOK_AUTHORIZATION\" }";

impl std::fmt::Display for WebhookTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spool => f.write_str("spool"),
            Self::Kafka { topic } => write!(f, "kafka: topic {topic}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// Without a word about it the webhook is on where nothing else brings events.
fn webhook_to(to: Option<&str>, topic: Option<String>, has_source: bool) -> Result<WebhookTo, ConfigError> {
    let topic_wrong = |problem: &str| ConfigError::Value {
        key: "webhook.topic",
        problem: problem.to_owned(),
        example: "to = \"kafka\"\n  topic = \"auth0-logs\"",
    };
    let to = match (to, has_source) {
        (Some("kafka"), _) => {
            let topic = topic.ok_or_else(|| topic_wrong("missing: the topic that events are produced to"))?;
            return Ok(WebhookTo::Kafka { topic });
        }
        (Some("spool"), _) | (None, false) => WebhookTo::Spool,
        (Some("off"), _) | (None, true) => WebhookTo::Off,
        (Some(other), _) => {
            return Err(ConfigError::Value {
                key: "webhook.to",
                problem: format!("{other:?} is not one of spool, kafka, off"),
                example: "to = \"spool\"",
            });
        }
    };
    if topic.is_some() { Err(topic_wrong("only used with to = \"kafka\"")) } else { Ok(to) }
}
