//! The gateway: events of the webhook, produced to a Kafka topic one by one, keyed by `log_id`, so that every copy of an
//! event lands in the same partition, where a duplicate is seen.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kafka::{Context, client_config};
use crate::config::KafkaConnection;

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
        let events = split(body);
        let producer = self.producer().map_err(ProduceError::Full)?;
        let sent: Vec<_> = events
            .iter()
            .map(|event| {
                let record = FutureRecord::to(&self.topic).payload(event.bytes);
                match &event.log_id {
                    Some(id) => producer.send_result(record.key(id.as_str())),
                    None => producer.send_result(FutureRecord::<str, [u8]>::to(&self.topic).payload(event.bytes)),
                }
                .map_err(|(error, _)| self.refusal(error, event.bytes.len(), true))
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
    log_id: Option<String>,
}

#[derive(Deserialize)]
struct Ids {
    log_id: Option<String>,
    #[serde(rename = "_id")]
    underscore_id: Option<String>,
    data: Option<Box<Ids>>,
}

impl Ids {
    fn first(self) -> Option<String> {
        let own = self.log_id.or(self.underscore_id).filter(|id| !id.is_empty());
        own.or_else(|| self.data.and_then(|data| data.first()))
    }
}

#[derive(Deserialize)]
struct Logs<'a> {
    #[serde(borrow)]
    logs: Vec<&'a RawValue>,
}

/// The events in a body: lines, the elements of an array or of `logs`. What cannot be told apart goes as one piece, and
/// is judged by whoever reads it.
fn split(body: &[u8]) -> Vec<Piece<'_>> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if let Ok(values) = serde_json::from_slice::<Vec<&RawValue>>(body) {
        return values.into_iter().map(|value| piece(value.get().as_bytes())).collect();
    }
    if let Ok(object) = serde_json::from_slice::<Logs<'_>>(body) {
        return object.logs.into_iter().map(|value| piece(value.get().as_bytes())).collect();
    }
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        return vec![piece(body)];
    }
    body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).map(piece).collect()
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    let bytes = bytes.trim_ascii();
    let log_id = serde_json::from_slice::<Ids>(bytes).ok().and_then(Ids::first);
    Piece { bytes, log_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_into_its_events_whatever_its_format() {
        let event = |id: &str| format!(r#"{{"log_id":"{id}","data":{{"type":"s","log_id":"{id}"}}}}"#);
        let (one, two) = (event("1"), event("2"));
        for body in [
            format!("{one}\n{two}\n"),
            format!("[{one}, {two}]"),
            format!("{{\"logs\":[{one},\n{two}]}}"),
            format!("\u{feff}{one}\r\n\n{two}"),
        ] {
            let pieces = split(body.as_bytes());
            let found: Vec<_> = pieces.iter().map(|piece| (piece.log_id.as_deref(), piece.bytes)).collect();
            assert_eq!(found, [(Some("1"), one.as_bytes()), (Some("2"), two.as_bytes())], "{body}");
        }
        let flat = r#"{"type":"s","_id":"3"}"#;
        assert_eq!(split(flat.as_bytes())[0].log_id.as_deref(), Some("3"));
    }

    #[test]
    fn what_is_broken_is_a_piece_of_its_own_without_a_key() {
        let body = b"{\"log_id\":\"1\"}\n{\"log_id\":\"\xff\n{\"log_id\":\"2\"}";
        let pieces = split(body);
        let found: Vec<_> = pieces.iter().map(|piece| (piece.log_id.as_deref(), piece.bytes)).collect();
        assert_eq!(
            found,
            [
                (Some("1"), &b"{\"log_id\":\"1\"}"[..]),
                (None, b"{\"log_id\":\"\xff"),
                (Some("2"), b"{\"log_id\":\"2\"}")
            ]
        );
    }
}
