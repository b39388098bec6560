//! The gateway: events of the webhook, produced to a Kafka topic one by one, keyed by what the reader will know them by
//! (`log_id`, if there is one), so that every copy of an event lands in the same partition, where a duplicate is seen.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::kafka::{Context, client_config};
use crate::clock;
use crate::config::KafkaConnection;
use crate::event::{Decoded, Decoder, EventTime, ReadTime};

/// How long a record may take to be acknowledged before the sender is told to try again: less than Auth0 waits.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Gateway {
    config: ClientConfig,
    /// What a new producer reports to.
    context: Box<dyn Fn() -> Context + Send + Sync>,
    producer: Mutex<FutureProducer<Context>>,
    topic: String,
}

/// Why a body was not taken. Some of its events may be in Kafka; sent again, they are duplicates.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("Kafka takes no more for now ({0})")]
    Full(KafkaError),
    #[error("Kafka refuses a record of {bytes} bytes, which is more than the topic {topic} takes (max.message.bytes)")]
    TooLarge { bytes: usize, topic: String },
    #[error("Kafka did not acknowledge: {0}")]
    NotAcknowledged(KafkaError),
}

impl Gateway {
    pub fn new(
        connection: &KafkaConnection,
        topic: &str,
        context: impl Fn() -> Context + Send + Sync + 'static,
    ) -> Result<Self, KafkaError> {
        let mut config = client_config(connection);
        config.set("enable.idempotence", "true").set("acks", "all");
        for (name, value) in [
            ("delivery.timeout.ms", "9000"),
            ("message.timeout.ms", "9000"),
            ("linger.ms", "5"),
            ("compression.type", "zstd"),
            // Memory: what waits to be acknowledged; over that a body is refused with 503.
            ("queue.buffering.max.kbytes", "65536"),
            ("statistics.interval.ms", "1000"),
            ("reconnect.backoff.max.ms", "5000"),
        ] {
            let is_set = connection.properties.contains_key(name);
            // Two names of one property.
            let is_same = name == "message.timeout.ms" && connection.properties.contains_key("delivery.timeout.ms");
            if !is_set && !is_same && name != "delivery.timeout.ms" {
                config.set(name, value);
            }
        }
        let producer = Mutex::new(config.create_with_context(context())?);
        Ok(Self { config, context: Box::new(context), producer, topic: topic.to_owned() })
    }

    /// The producer; a new one where the last one met an error that an idempotent producer cannot outlive.
    fn producer(&self) -> Result<FutureProducer<Context>, KafkaError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = producer.client().fatal_error() {
            tracing::error!(reason, "Kafka: the producer ended; another takes over");
            *producer = self.config.create_with_context((self.context)())?;
        }
        Ok(producer.clone())
    }

    /// Produces every event of a body and waits until the brokers have acknowledged all.
    pub async fn produce(&self, body: &[u8]) -> Result<(), ProduceError> {
        let events = split(body, clock::now());
        let producer = self.producer().map_err(ProduceError::Full)?;
        let sent: Vec<_> = events
            .iter()
            .map(|event| {
                let record = FutureRecord::to(&self.topic).payload(event.bytes).key(event.key.as_str());
                producer.send_result(record).map_err(|(error, _)| self.refusal(error, event.bytes.len(), true))
            })
            .collect();
        let failed =
            |count| metrics::counter!("ghostlight_gateway_records_total", "outcome" => "failed").increment(count);
        let mut under_way = Vec::new();
        for delivery in sent {
            match delivery {
                Ok(delivery) => under_way.push(delivery),
                Err(error) => {
                    failed(1);
                    return Err(error);
                }
            }
        }
        let answers = match tokio::time::timeout(ACKNOWLEDGE_TIMEOUT, join_all(under_way)).await {
            Ok(answers) => answers,
            Err(_) => {
                failed(events.len() as u64);
                return Err(ProduceError::NotAcknowledged(KafkaError::MessageProduction(
                    RDKafkaErrorCode::MessageTimedOut,
                )));
            }
        };
        for (answer, event) in answers.into_iter().zip(&events) {
            let error = match answer {
                Ok(Ok(_)) => continue,
                Ok(Err((error, _))) => error,
                Err(_) => KafkaError::Canceled,
            };
            failed(1);
            return Err(self.refusal(error, event.bytes.len(), false));
        }
        metrics::counter!("ghostlight_gateway_records_total", "outcome" => "acknowledged")
            .increment(events.len() as u64);
        Ok(())
    }

    fn refusal(&self, error: KafkaError, bytes: usize, is_queue: bool) -> ProduceError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => ProduceError::TooLarge { bytes, topic: self.topic.clone() },
            _ if is_queue => ProduceError::Full(error),
            _ => ProduceError::NotAcknowledged(error),
        }
    }

    /// Waits for what is under way.
    pub fn flush(&self, patience: Duration) {
        let flushed = self.producer().and_then(|producer| producer.flush(patience));
        if let Err(error) = flushed {
            tracing::warn!(%error, "not everything was acknowledged; its senders were not told 200");
        }
    }
}

/// One event of a body, as it came.
struct Piece<'a> {
    bytes: &'a [u8],
    /// Equal for every copy of an event, whatever came with it.
    key: String,
}

/// The keys under which the reader looks for events inside an envelope.
const WRAPPERS: [&str; 7] = ["data", "logs", "records", "detail", "event", "json", "message"];

/// Deeper wrapping than any bridge does; what is deeper stays one piece.
const DEPTH_MAX: u32 = 8;

/// The events in a body: lines, the elements of an array, also of one in an envelope. What cannot be told apart goes as
/// one piece, and is judged by whoever reads it.
fn split(body: &[u8], now: EventTime) -> Vec<Piece<'_>> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut parts = Vec::new();
    if let Ok(value) = serde_json::from_slice::<&RawValue>(body) {
        take_apart(value, 0, &mut parts);
    } else {
        for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<&RawValue>(line) {
                Ok(value) => take_apart(value, 0, &mut parts),
                Err(_) => parts.push(line),
            }
        }
    }
    let mut decoder = Decoder::new(None);
    let mut decoded = Decoded::default();
    let mut piece = |bytes| Piece { bytes, key: key(bytes, &mut decoder, &mut decoded, now) };
    parts.into_iter().map(&mut piece).collect()
}

fn take_apart<'a>(value: &'a RawValue, depth: u32, parts: &mut Vec<&'a [u8]>) {
    match elements(value.get(), depth) {
        Some(elements) => elements.into_iter().for_each(|element| take_apart(element, depth + 1, parts)),
        None => parts.push(value.get().as_bytes().trim_ascii()),
    }
}

/// The values of an array, or of the one array in an envelope that says nothing of its events itself.
fn elements(json: &str, depth: u32) -> Option<Vec<&RawValue>> {
    if depth > DEPTH_MAX {
        return None;
    }
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(json).ok(),
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
            if fields.contains_key("log_id") {
                return None;
            }
            let is_json = |value: &RawValue| value.get().trim_start_matches(['"', ' ']).starts_with(['{', '[']);
            let mut wrapped = WRAPPERS.iter().filter_map(|name| fields.get(*name)).filter(|value| is_json(value));
            // With several of them the reader decides.
            let (Some(only), None) = (wrapped.next(), wrapped.next()) else { return None };
            let elements = elements(only.get(), depth + 1)?;
            elements.iter().all(|element| element.get().starts_with('{')).then_some(elements)
        }
        _ => None,
    }
}

/// What the reader will know the event by: its `log_id`, or the identity it gives an event without one. What holds no
/// event it can count is known by its bytes.
fn key(bytes: &[u8], decoder: &mut Decoder, decoded: &mut Decoded, now: EventTime) -> String {
    decoded.clear();
    decoder.decode(bytes, ReadTime { arrived: None, now }, decoded, &mut |_| {});
    match decoded.events().next() {
        Some(event) if !event.log_id.is_empty() => event.log_id.to_owned(),
        Some(event) => format!("{:016x}", event.identity),
        None => format!("{:016x}", xxh3_64(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EventTime = EventTime::from_ms(1_795_435_200_000);

    fn found(body: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        split(body, NOW).into_iter().map(|piece| (piece.key, text(piece.bytes))).collect()
    }

    fn event(id: &str) -> String {
        format!(r#"{{"log_id":"{id}","data":{{"type":"s","log_id":"{id}","date":"2026-11-01T00:00:00Z"}}}}"#)
    }

    #[test]
    fn a_body_is_split_into_its_events_whatever_its_format() {
        let (one, two) = (event("1"), event("2"));
        for body in [
            format!("{one}\n{two}\n"),
            format!("[{one}, {two}]"),
            format!("[[{one}], {two}]"),
            format!("{{\"logs\":[{one},\n{two}]}}"),
            format!("{{\"records\":[{one},{two}]}}"),
            format!("{{\"id\":\"delivery-7\",\"detail\":{{\"logs\":[{one},{two}]}}}}"),
            format!("{{\"message\":\"of a bridge\",\"data\":[{one},{two}]}}"),
            format!("\u{feff}{one}\r\n\n{two}"),
            format!("[{one}]\n{{\"logs\":[{two}]}}\n"),
        ] {
            let expected = [("1".to_owned(), one.clone()), ("2".to_owned(), two.clone())];
            assert_eq!(found(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn an_event_has_the_key_it_has_without_its_envelope() {
        let flat = r#"{"type":"s","log_id":"1","date":"2026-11-01T00:00:00Z"}"#;
        let text = serde_json::to_string(flat).expect("text");
        for body in [
            flat.to_owned(),
            flat.replace("log_id", "_id"),
            flat.replace("log_id", "id"),
            format!("{{\"log_id\":\"1\",\"data\":{}}}", flat.replace("\"1\"", "\"\"")),
            format!("{{\"id\":\"7\",\"detail\":{{\"log_id\":\"1\",\"data\":{flat}}}}}"),
            format!("{{\"time\":7,\"event\":{flat}}}"),
            format!("{{\"id\":\"7\",\"type\":\"com.auth0.log\",\"data\":{flat}}}"),
            format!("{{\"json\":{flat}}}"),
            format!("{{\"message\":{text},\"offset\":12}}"),
        ] {
            assert_eq!(found(body.as_bytes()), [("1".to_owned(), body.clone())]);
        }
    }

    #[test]
    fn an_event_without_a_log_id_has_the_key_of_every_copy_of_it() {
        let flat = r#"{"type":"s","date":"2026-11-01T00:00:00Z","user_id":"u"}"#;
        let keys = |body: String| found(body.as_bytes()).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let one = keys(flat.to_owned());
        assert!(one.len() == 1 && one[0].len() == 16, "{one:?}");
        let other = flat.replace("\"u\"", "\"v\"");
        for body in [
            format!("{{\"time\":1,\"event\":{flat}}}"),
            format!("{{\"time\":2,\"event\":{flat}}}"),
            flat.replace(':', ": "),
        ] {
            // A date with a space in it is none.
            let body = body.replace("T00: 00: 00Z", "T00:00:00Z");
            assert_eq!(keys(body.clone()), one, "{body}");
        }
        assert_eq!(keys(flat.replace("\"type\"", "\"log_id\":12345,\"type\"")), ["12345"], "a number is an id");
        let both = keys(format!("[{other},{flat}]"));
        assert!(both[0] != both[1] && both[1] == one[0], "{both:?}");
    }

    #[test]
    fn what_is_broken_is_a_piece_of_its_own() {
        let body = [&event("1").into_bytes()[..], b"{\"log_id\":\"\xff", &event("2").into_bytes()].join(&b'\n');
        let pieces = found(&body);
        assert_eq!((pieces.len(), &pieces[0].0[..], &pieces[2].0[..]), (3, "1", "2"), "{pieces:?}");
        assert_eq!(split(&body, NOW)[1].bytes, b"{\"log_id\":\"\xff");
    }
}
