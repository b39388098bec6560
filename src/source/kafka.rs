//! Kafka as a source: the client, what it reports, and what the cluster says of its topics. Who reads which partition from
//! where is decided by the ledger, in `run/consume.rs`.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

use crate::config::{KafkaConnection, KafkaSource, Sasl};

/// How the texts of [`explain`] begin.
const REFUSED: &str = "Kafka: ";
const REFUSE_US: &str = "refuse us";
const REFUSE_EACH_OTHER: &str = "refuse each other";

/// How long one question to the cluster may take.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// The properties every client of ours has: where the cluster is, and who we are.
pub fn client_config(connection: &KafkaConnection) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &connection.bootstrap_servers);
    config.set("client.id", "ghostlight");
    let protocol = match (connection.tls.is_some(), connection.sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &connection.tls {
        let files = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ];
        for (property, file) in files.into_iter().filter_map(|(property, file)| Some((property, file.as_ref()?))) {
            config.set(property, file.to_string_lossy());
        }
        if tls.ca.is_none() {
            // The library is built with its own OpenSSL, which does not know where this system keeps its certificates.
            config.set("ssl.ca.location", "probe");
        }
        if let Some(password) = &tls.key_password {
            config.set("ssl.key.password", password.expose());
        }
    }
    match &connection.sasl {
        None => {}
        Some(Sasl::Password { mechanism, username, password }) => {
            config.set("sasl.mechanism", mechanism).set("sasl.username", username);
            config.set("sasl.password", password.expose());
        }
        Some(Sasl::OAuth { .. }) => {
            config.set("sasl.mechanism", "OAUTHBEARER");
        }
    }
    for (name, value) in &connection.properties {
        config.set(name, value);
    }
    config
}

/// The consumer's properties. What may be overridden by `kafka.properties` is set only where nobody did.
pub fn consumer_config(connection: &KafkaConnection, source: &KafkaSource) -> ClientConfig {
    let mut config = client_config(connection);
    config.set("group.id", &source.group);
    if let Some(instance) = &source.instance {
        config.set("group.instance.id", instance);
    }
    config.set("session.timeout.ms", source.session_timeout.as_millis().to_string());
    // The ledger has the offsets. An offset that is gone must come to us, never be skipped.
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error");
    for (name, value) in [
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("isolation.level", "read_committed"),
        // Lag, and whether any broker answers.
        ("statistics.interval.ms", "1000"),
        // Memory: what is fetched ahead, for all partitions together.
        ("queued.max.messages.kbytes", "16384"),
        ("fetch.max.bytes", "8388608"),
        ("fetch.message.max.bytes", "1048576"),
        // A full queue is looked at again after this many ms. At the default of 1000, 16 MiB a second is all there is.
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.wait.max.ms", "100"),
        ("reconnect.backoff.max.ms", "5000"),
        ("topic.metadata.refresh.interval.ms", "30000"),
    ] {
        if !connection.properties.contains_key(name) {
            config.set(name, value);
        }
    }
    let heartbeat = (source.session_timeout.as_millis() / 3).clamp(100, 3000);
    if !connection.properties.contains_key("heartbeat.interval.ms") {
        config.set("heartbeat.interval.ms", heartbeat.to_string());
    }
    config
}

/// Who is told when the group changes hands. Called from within a poll, on the polling thread.
pub trait Member: Send + Sync + 'static {
    fn assigned(&self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>);
    fn revoked(&self, consumer: &BaseConsumer<Context>, partitions: Vec<TopicPartition>);
    /// Statistics, about once a second.
    fn reported(&self, statistics: &Statistics);
}

/// What the client tells: errors, statistics, rebalances.
pub struct Context {
    runtime: tokio::runtime::Handle,
    sasl: Option<Sasl>,
    health: Health,
    member: OnceLock<Arc<dyn Member>>,
}

impl Context {
    pub fn new(runtime: tokio::runtime::Handle, connection: &KafkaConnection, health: Health) -> Self {
        Self { runtime, sasl: connection.sasl.clone(), health, member: OnceLock::new() }
    }

    /// Says who is to be told. Before the first poll.
    pub fn set_member(&self, member: Arc<dyn Member>) {
        let _ = self.member.set(member);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug => tracing::trace!(facility, message, "librdkafka"),
            // What matters of these comes as an error too, with what to do about it.
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        self.health.heard(&statistics);
        if let Some(member) = self.member.get() {
            member.reported(&statistics);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.failed(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let Some(sasl @ Sasl::OAuth { .. }) = &self.sasl else { return Err("kafka.sasl is not OAUTHBEARER".into()) };
        let token = self.runtime.block_on(fetch_token(sasl));
        if let Err(problem) = &token {
            self.health.set(Some(format!("no token for Kafka: {problem}")));
        }
        token.map_err(Into::into)
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let Some(member) = self.member.get() else { return };
        let partitions = list
            .elements()
            .iter()
            .map(|element| TopicPartition { topic: element.topic().to_owned(), partition: element.partition() })
            .collect();
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => member.assigned(consumer, partitions),
            _ => member.revoked(consumer, partitions),
        }
    }
}

/// A token by the client credentials grant (RFC 6749, 4.4).
async fn fetch_token(sasl: &Sasl) -> Result<OAuthToken, String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        access_token: String,
        expires_in: Option<u64>,
    }
    let Sasl::OAuth { token_endpoint, client_id, client_secret, scope } = sasl else {
        return Err("not OAUTHBEARER".to_owned());
    };
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let encoded = form.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&");
    let client = reqwest::Client::builder().timeout(ASK_TIMEOUT).build().map_err(|error| error.to_string())?;
    let request = client
        .post(token_endpoint)
        .basic_auth(percent(client_id), Some(percent(client_secret.expose())))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(encoded);
    let response =
        request.send().await.map_err(|error| format!("{token_endpoint}: {}", crate::run::error_chain(&error)))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| format!("{token_endpoint}: {error}"))?;
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        return Err(format!("{token_endpoint} answered {status}: {text}"));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| format!("{token_endpoint}: {error}"))?;
    let lifetime_ms = answer.expires_in.unwrap_or(300) as i64 * 1000;
    Ok(OAuthToken {
        token: answer.access_token,
        principal_name: client_id.clone(),
        lifetime_ms: crate::clock::now().ms() + lifetime_ms,
    })
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// What was said lately, so that what repeats is said once a minute.
#[derive(Default)]
struct Said(BTreeMap<String, Instant>);

impl Said {
    /// Whether `text` is to be said now.
    fn is_due(&mut self, text: &str, now: Instant) -> bool {
        const REPEAT: Duration = Duration::from_secs(60);
        self.0.retain(|_, said| now.saturating_duration_since(*said) < REPEAT);
        let is_due = !self.0.contains_key(text);
        if is_due {
            self.0.insert(text.to_owned(), now);
        }
        is_due
    }
}

/// How it stands with the cluster: for `/readyz` and the log. An error is logged when it is new, and once a minute.
#[derive(Clone)]
pub struct Health(Arc<Mutex<HealthState>>);

struct HealthState {
    readiness: crate::live::Readiness,
    topic: &'static str,
    servers: String,
    is_tls: bool,
    unreached: Option<Unreached>,
    /// No broker is connected, and none has been since this was said.
    is_down: bool,
    problem: Option<String>,
    said: Said,
}

/// Why a connection failed.
struct Unreached {
    /// It tells what to mend, which "connection refused" and "disconnected" do not.
    is_specific: bool,
    reason: String,
    at: Instant,
}

impl HealthState {
    /// Keeps the reason that tells most; a specific one until it has not been heard for a while.
    fn note(&mut self, is_specific: bool, reason: String, now: Instant) {
        const OUTDATED: Duration = Duration::from_secs(30);
        let is_better =
            |known: &Unreached| known.is_specific && !is_specific && now.duration_since(known.at) < OUTDATED;
        if !self.unreached.as_ref().is_some_and(is_better) {
            self.unreached = Some(Unreached { is_specific, reason, at: now });
        }
    }

    fn nobody_answers(&self, reason: &str) -> String {
        let servers = &self.servers;
        let (why, is_specific) =
            self.unreached.as_ref().map_or((reason, false), |known| (&known.reason, known.is_specific));
        let hint = match self.is_tls {
            _ if is_specific => "; check kafka.bootstrap_servers",
            true => "; if they are up, check kafka.tls: a TLS listener may end what it does not trust without a word",
            false => "; if they are up, check kafka.bootstrap_servers and whether they want TLS (kafka.tls)",
        };
        format!("no Kafka broker answers at {servers}: {why}{hint}")
    }

    fn set(&mut self, problem: Option<String>) {
        match &problem {
            Some(text) if self.said.is_due(text, crate::clock::monotonic()) => tracing::error!("{text}"),
            None if self.problem.is_some() => {
                tracing::info!("Kafka answers again");
                self.said = Said::default();
            }
            _ => {}
        }
        self.readiness.set(self.topic, problem.clone());
        self.problem = problem;
    }
}

impl Health {
    pub fn new(readiness: crate::live::Readiness, topic: &'static str, connection: &KafkaConnection) -> Self {
        let servers = connection.bootstrap_servers.clone();
        readiness.set(topic, Some(format!("no broker has answered yet ({servers})")));
        Self(Arc::new(Mutex::new(HealthState {
            readiness,
            topic,
            servers,
            is_tls: connection.tls.is_some(),
            unreached: None,
            is_down: false,
            problem: None,
            said: Said::default(),
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a problem, or that there is none any more.
    pub fn set(&self, problem: Option<String>) {
        self.lock().set(problem);
    }

    fn failed(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let label = code.map_or_else(|| "unknown".to_owned(), |code| format!("{code:?}"));
        metrics::counter!("ghostlight_kafka_errors_total", "code" => label).increment(1);
        // How often and after how long differs each time.
        let reason = reason.split(" (after ").next().unwrap_or(reason);
        let mut state = self.lock();
        let is_specific = match code {
            Some(RDKafkaErrorCode::Authentication) => {
                let text =
                    format!("the Kafka brokers {REFUSE_US}: {reason}; check kafka.sasl, the user and the password");
                return state.set(Some(text));
            }
            Some(RDKafkaErrorCode::SSL) => {
                let text = format!(
                    "no TLS connection to Kafka is made, brokers and ghostlight {REFUSE_EACH_OTHER}: {reason}; check kafka.tls"
                );
                return state.set(Some(text));
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                state.is_down = true;
                false
            }
            Some(RDKafkaErrorCode::Resolve) => {
                state.note(true, reason.to_owned(), crate::clock::monotonic());
                true
            }
            Some(RDKafkaErrorCode::BadMessage) => {
                let text = format!("what answers does not speak Kafka's protocol, or wants TLS ({reason})");
                state.note(true, text, crate::clock::monotonic());
                true
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut) => {
                state.note(false, reason.to_owned(), crate::clock::monotonic());
                false
            }
            // The consumer has these too, and says which of them matter; see `explain`.
            _ => return tracing::debug!(%error, reason, "Kafka"),
        };
        tracing::debug!(reason, is_specific, "a broker is not reached");
        // A broker that refuses us said more already.
        let is_refusal = |problem: &String| problem.contains(REFUSE_US) || problem.contains(REFUSE_EACH_OTHER);
        if state.is_down && !state.problem.as_ref().is_some_and(is_refusal) {
            let text = state.nobody_answers(reason);
            state.set(Some(text));
        }
    }

    /// Says an error of the consumer's that passes by itself, unless it is one that [`failed`](Self::failed) has told of.
    pub fn passes(&self, error: &KafkaError) {
        let is_told = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::BadMessage
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::SSL
            )
        );
        if !is_told && self.lock().said.is_due(&error.to_string(), crate::clock::monotonic()) {
            tracing::warn!(%error, "Kafka; the client tries again by itself");
        } else {
            tracing::debug!(%error, "Kafka; the client tries again by itself");
        }
    }

    fn heard(&self, statistics: &Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP" && broker.nodeid >= 0) {
            let mut state = self.lock();
            (state.unreached, state.is_down) = (None, false);
            // What a broker said of a topic or the group stays until it is mended; see `explain`.
            if state.problem.as_ref().is_none_or(|problem| !problem.starts_with(REFUSED)) {
                state.set(None);
            }
        }
    }

    /// Whether nothing is known to be wrong.
    pub fn is_well(&self) -> bool {
        self.lock().problem.is_none()
    }

    /// The consumer reads: nothing is refused any more.
    pub fn reads(&self) {
        let mut state = self.lock();
        if state.problem.as_ref().is_some_and(|problem| problem.starts_with(REFUSED)) {
            state.set(None);
        }
    }
}

/// An error of the consumer's as people can act on it; `None` for those that pass by themselves.
pub fn explain(error: &KafkaError, source: &KafkaSource) -> Option<String> {
    let topics = source.topics.join(", ");
    let group = &source.group;
    Some(match error.rdkafka_error_code()? {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            format!(
                "Kafka: there is no topic {topics} on this cluster, or it may not be described; check source.kafka.topics"
            )
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            format!("Kafka: reading {topics} is not authorised; the user needs READ and DESCRIBE on it")
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            format!(
                "Kafka: the consumer group {group} is not authorised; the user needs READ on the group (source.kafka.group)"
            )
        }
        RDKafkaErrorCode::FencedInstanceId => {
            format!(
                "Kafka: another process uses this source.kafka.instance in the group {group}: each worker needs its own (if \
                 each has, the coordinator was lost while this one joined, and a start anew is enough)"
            )
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            format!("Kafka: the other members of the group {group} use another partition.assignment.strategy")
        }
        _ => return None,
    })
}

/// What identifies the content of topics: each one's id, which a topic of the same name made anew does not share.
///
/// The client has no safe call for it, so this is the one place that calls the native library.
#[allow(unsafe_code)]
pub fn topic_ids(
    consumer: &BaseConsumer<Context>,
    topics: &[String],
    patience: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let client = consumer.client().native_ptr();
    let timeout_ms = patience.as_millis() as i32;
    let text = |pointer: *const std::ffi::c_char| match pointer.is_null() {
        true => String::new(),
        // SAFETY: the library gives strings that end in a zero and live as long as the result they belong to.
        false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned(),
    };
    // SAFETY: every object is made here, used only while it lives, and destroyed once below, in the opposite order. The
    // request is waited for, so nothing is left under way; a time-out of the wait only leaves the request to be dropped
    // with its queue. The names outlive the collection, which copies them.
    unsafe {
        let queue = native::rd_kafka_queue_new(client);
        let collection = native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options =
            native::rd_kafka_AdminOptions_new(client, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        native::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
        native::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = native::rd_kafka_queue_poll(queue, timeout_ms + 500);
        let answer = if event.is_null() {
            Err("no broker described the topics in time".to_owned())
        } else if native::rd_kafka_event_error(event) != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            Err(text(native::rd_kafka_event_error_string(event)))
        } else {
            let mut count = 0;
            let result = native::rd_kafka_event_DescribeTopics_result(event);
            let described = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            let mut ids = BTreeMap::new();
            for at in 0..count {
                let topic = *described.add(at);
                let name = text(native::rd_kafka_TopicDescription_name(topic));
                let error = native::rd_kafka_TopicDescription_error(topic);
                let is_good = error.is_null()
                    || native::rd_kafka_error_code(error) == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
                if is_good {
                    let id = native::rd_kafka_Uuid_base64str(native::rd_kafka_TopicDescription_topic_id(topic));
                    // As Kafka itself writes them, and as a path can hold them.
                    ids.insert(name, text(id).replace('/', "_").replace('+', "-"));
                }
            }
            Ok(ids)
        };
        if !event.is_null() {
            native::rd_kafka_event_destroy(event);
        }
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_TopicCollection_destroy(collection);
        native::rd_kafka_queue_destroy(queue);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_once_a_minute() {
        let (mut said, began) = (Said::default(), crate::clock::monotonic());
        let due = |seconds: u64, text: &str, said: &mut Said| said.is_due(text, began + Duration::from_secs(seconds));
        assert!(due(0, "a", &mut said) && due(0, "b", &mut said));
        // Two that take turns are as old as each other.
        assert!(!(1..59).any(|second| due(second, "a", &mut said) || due(second, "b", &mut said)));
        assert!(due(61, "a", &mut said) && !due(62, "a", &mut said) && due(63, "b", &mut said));
    }

    #[test]
    fn the_reason_that_tells_most_is_kept_while_nobody_answers() {
        let connection = KafkaConnection {
            bootstrap_servers: "b:9092".to_owned(),
            tls: None,
            sasl: None,
            properties: BTreeMap::new(),
        };
        let tell = |codes: &[(RDKafkaErrorCode, &str)]| {
            let health = Health::new(crate::live::Readiness::default(), "kafka", &connection);
            codes.iter().for_each(|(code, reason)| health.failed(&KafkaError::Global(*code), reason));
            health.lock().problem.clone().unwrap_or_default()
        };
        let down = (RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let unknown = (RDKafkaErrorCode::Resolve, "Failed to resolve 'b:9092' (after 3ms in state CONNECT)");
        let refused = (RDKafkaErrorCode::BrokerTransportFailure, "Connect to b failed: Connection refused (after 0ms)");
        let strange = (RDKafkaErrorCode::BadMessage, "Invalid response size 1213486160");
        let wrong = (RDKafkaErrorCode::Authentication, "wrong password");
        assert!(tell(&[down]).contains("1/1 brokers are down; if they are up"));
        for told in [[unknown, down, refused], [down, refused, unknown], [refused, unknown, down]] {
            assert_eq!(
                tell(&told),
                "no Kafka broker answers at b:9092: Failed to resolve 'b:9092'; check kafka.bootstrap_servers"
            );
        }
        assert!(tell(&[strange, down]).contains("does not speak Kafka's protocol, or wants TLS"));
        assert!(tell(&[refused, down]).contains("Connection refused; if they are up"));
        assert!(tell(&[refused, down, wrong]).contains("refuse us: wrong password"));
        assert!(tell(&[wrong, refused, down]).contains("refuse us: wrong password"));
        assert_eq!(tell(&[unknown, refused]), "", "one of several brokers");
    }
}
