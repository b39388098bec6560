//! From a topic to committed Parquet, beside bare librdkafka consumers that discard what they read, in one run against
//! one broker on this machine.
//!
//! `cargo bench --features outside --bench kafka`, after `./tests/run` has fetched Kafka once (or with
//! GHOSTLIGHT_TEST_KAFKA=host:port). GHOSTLIGHT_BENCH_EVENTS and GHOSTLIGHT_BENCH_ROUNDS change how much is read,
//! GHOSTLIGHT_BENCH_SETTINGS adds lines to ghostlight's settings.
//!
//! The bare consumers take the three ways librdkafka has: one poll at a time, a queue a partition, and a batch a call;
//! and the first of them also with librdkafka's own fetch settings, to show what ours change. Each line has wall time from
//! the first record to the last (for ghostlight: to the end of the process, after its last commit), and CPU time of that
//! consumer alone, since the broker shares the machine.

#![allow(unsafe_code, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ghostlight::config::{Config, Flags};
use ghostlight::simulate::Simulation;
use ghostlight::source::kafka;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings as native;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support_kafka::Broker;

#[allow(dead_code)]
#[path = "../tests/support/kafka.rs"]
mod support_kafka;

const TOPIC: &str = "logs";
const PARTITIONS: i32 = 12;

/// What one consumer took.
struct Taken {
    wall: Duration,
    cpu: Duration,
    bytes: u64,
    rss_mib: Option<u64>,
}

fn main() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (events, rounds) = (number("GHOSTLIGHT_BENCH_EVENTS", 1_000_000), number("GHOSTLIGHT_BENCH_ROUNDS", 3));
    let broker = Broker::start();
    let (records, bytes) = produce(&broker, events);
    println!(
        "{records} records of {} bytes on average, uncompressed, in {PARTITIONS} partitions; {} cores",
        bytes / records,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let ways: [(&str, &dyn Fn() -> Taken); 5] = [
        ("bare, one poll a record, librdkafka's settings", &|| poll(&bare(&broker, false), records)),
        ("bare, one poll a record", &|| poll(&bare(&broker, true), records)),
        ("bare, a queue a partition, 2 threads", &|| queues(Arc::new(bare(&broker, true)), records)),
        ("bare, a batch a call", &|| batches(&bare(&broker, true), records)),
        ("ghostlight, to committed Parquet", &|| ghostlight(&broker, records, bytes)),
    ];
    let mut found: BTreeMap<usize, Vec<Taken>> = BTreeMap::new();
    for round in 1..=rounds {
        for (number, (name, way)) in ways.iter().enumerate() {
            let taken = way();
            let seconds = taken.wall.as_secs_f64();
            let rate = records as f64 / seconds;
            let cpu_rate = records as f64 / taken.cpu.as_secs_f64();
            print!(
                "{round}  {name:<48} {rate:>9.0} events/s {:>6.0} MB/s {cpu_rate:>10.0} events/CPU-s",
                taken.bytes as f64 / seconds / 1e6
            );
            println!("{}", taken.rss_mib.map_or_else(String::new, |mib| format!("  {mib} MiB at most")));
            found.entry(number).or_default().push(taken);
        }
    }
    let median = |number: usize| {
        let mut rates: Vec<f64> = found[&number].iter().map(|taken| 1.0 / taken.wall.as_secs_f64()).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2] * records as f64
    };
    let (ours, best) = (median(4), (0..4).map(median).fold(0.0, f64::max));
    println!("median: ghostlight {ours:.0} events/s, {:.0} % of the fastest bare consumer", 100.0 * ours / best);
}

fn produce(broker: &Broker, events: u64) -> (u64, u64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.address()).create().expect("an admin client");
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("it answers");
    made.into_iter().for_each(|result| drop(result.expect("the topic is made")));
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("linger.ms", "20")
        .set("batch.size", "262144")
        .create()
        .expect("a producer");
    let simulation = Simulation { seed: 20_261_124, events, days: 1, ..Simulation::default() };
    let mut made = simulation.records();
    let (mut record, mut records, mut bytes) = (Vec::new(), 0, 0);
    while made.next_into(&mut record).is_some() {
        let partition = (records % PARTITIONS as u64) as i32;
        let mut next: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(TOPIC).partition(partition).payload(&record);
        while let Err((_, back)) = producer.send(next) {
            next = back;
            std::thread::sleep(Duration::from_millis(2));
        }
        records += 1;
        bytes += record.len() as u64;
    }
    producer.flush(Duration::from_secs(120)).expect("everything is acknowledged");
    (records, bytes)
}

/// A consumer of all partitions from their beginning; with the settings ghostlight has, or librdkafka's.
fn bare(broker: &Broker, is_ours: bool) -> BaseConsumer {
    let mut config = ClientConfig::new();
    if is_ours {
        let text =
            format!("[kafka]\nbootstrap_servers = {:?}\n[source.kafka]\ntopics = [{TOPIC:?}]\n", broker.address());
        let settings = settings(&text, &std::env::temp_dir());
        let (kafka, source) = (settings.kafka.expect("given"), settings.source.kafka.expect("given"));
        config = kafka::consumer_config(&kafka, &source);
    } else {
        config.set("bootstrap.servers", broker.address()).set("group.id", "bare");
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&list).expect("is assigned");
    consumer
}

fn settings(text: &str, folder: &Path) -> Config {
    let file = folder.join(format!("ghostlight-bench-{}.toml", std::process::id()));
    std::fs::write(&file, text).expect("settings are written");
    let config = Config::load(Some(&file), &Flags::default()).expect("the settings are right");
    std::fs::remove_file(&file).expect("is removed");
    config
}

/// Measures from the first record on.
struct Clock {
    began: Instant,
    cpu: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now(), cpu: cpu_time(Whose::Own) }
    }

    fn taken(&self, bytes: u64) -> Taken {
        Taken { wall: self.began.elapsed(), cpu: cpu_time(Whose::Own) - self.cpu, bytes, rss_mib: None }
    }
}

enum Whose {
    Own,
    /// Of children that have ended and were waited for; the broker is none of them.
    Children,
}

fn cpu_time(whose: Whose) -> Duration {
    // See proc_pid_stat(5): in ticks of 10 ms, utime and stime, then cutime and cstime.
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let first = match whose {
        Whose::Own => 11,
        Whose::Children => 13,
    };
    let ticks: u64 = fields[first..first + 2].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(10 * ticks)
}

fn poll(consumer: &BaseConsumer, records: u64) -> Taken {
    let (mut clock, mut count, mut bytes) = (None, 0, 0);
    while count < records {
        if let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) {
            clock.get_or_insert_with(Clock::start);
            count += 1;
            bytes += message.payload_len() as u64;
        }
    }
    clock.expect("records").taken(bytes)
}

fn queues(consumer: Arc<BaseConsumer>, records: u64) -> Taken {
    let queues: Vec<_> = (0..PARTITIONS)
        .map(|partition| consumer.split_partition_queue(TOPIC, partition).expect("the partition is assigned"))
        .collect();
    let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let clock = Clock::start();
    std::thread::scope(|scope| {
        for queues in queues.chunks(PARTITIONS as usize / 2) {
            let (count, bytes) = (&count, &bytes);
            scope.spawn(move || {
                while count.load(Ordering::Relaxed) < records {
                    let mut is_idle = true;
                    for queue in queues {
                        let (mut some, mut some_bytes) = (0, 0);
                        while some < 1000
                            && let Some(Ok(message)) = queue.poll(Duration::ZERO)
                        {
                            some += 1;
                            some_bytes += message.payload_len() as u64;
                        }
                        is_idle &= some == 0;
                        count.fetch_add(some, Ordering::Relaxed);
                        bytes.fetch_add(some_bytes, Ordering::Relaxed);
                    }
                    if is_idle {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        while count.load(Ordering::Relaxed) < records {
            drop(consumer.poll(Duration::from_millis(10)));
        }
    });
    clock.taken(bytes.into_inner())
}

fn batches(consumer: &BaseConsumer, records: u64) -> Taken {
    const SIZE: usize = 1000;
    let (mut clock, mut count, mut bytes) = (None, 0, 0);
    let mut messages = [std::ptr::null_mut::<native::rd_kafka_message_t>(); SIZE];
    // SAFETY: the client lives as long as `consumer`; the queue is released at the end.
    let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    while count < records {
        // SAFETY: `messages` has room for as many as are asked for.
        let got = unsafe { native::rd_kafka_consume_batch_queue(queue, 1000, messages.as_mut_ptr(), SIZE) };
        for message in &messages[..got.max(0) as usize] {
            clock.get_or_insert_with(Clock::start);
            // SAFETY: the call filled in that many messages, which are ours to destroy, once.
            unsafe {
                if (**message).err == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    count += 1;
                    bytes += (**message).len as u64;
                }
                native::rd_kafka_message_destroy(*message);
            }
        }
    }
    // SAFETY: taken above, not used again.
    unsafe { native::rd_kafka_queue_destroy(queue) };
    clock.expect("records").taken(bytes)
}

/// The program itself, with its defaults, from the moment it reads to its end.
fn ghostlight(broker: &Broker, records: u64, bytes: u64) -> Taken {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, log) = (folder.path().join("ghostlight.toml"), folder.path().join("log"));
    let text = format!(
        "out = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[webhook]\nto = \"off\"\n[kafka]\nbootstrap_servers = \
         {:?}\n[source.kafka]\ntopics = [{TOPIC:?}]\n{}",
        folder.path().join("out").display().to_string(),
        broker.address(),
        std::env::var("GHOSTLIGHT_BENCH_SETTINGS").unwrap_or_default(),
    );
    std::fs::write(&file, text).expect("settings are written");
    let cpu = cpu_time(Whose::Children);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ghostlight"))
        .args(["run", "--config"])
        .arg(&file)
        .stderr(std::fs::File::create(&log).expect("a log"))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    while !said().contains("reading") {
        std::thread::sleep(Duration::from_millis(2));
    }
    let began = Instant::now();
    let address = said().split("listening address=").nth(1).and_then(|rest| rest.split(' ').next().map(str::to_owned));
    let address = address.expect("its address");
    let mut peak = None;
    while taken(&address) < records {
        assert!(child.try_wait().expect("can be asked").is_none(), "{}", said());
        peak = peak_mib(child.id()).or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill runs").success());
    assert!(child.wait().expect("ends").success(), "{}", said());
    let wall = began.elapsed();
    Taken { wall, cpu: cpu_time(Whose::Children) - cpu, bytes, rss_mib: peak }
}

/// How many records the program has taken, by its metrics.
fn taken(address: &str) -> u64 {
    let mut connection = TcpStream::connect(address).expect("it listens");
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    let lines = answer.lines().filter_map(|line| line.strip_prefix("ghostlight_kafka_records_total "));
    lines.map(|value| value.parse::<f64>().expect("a number") as u64).sum()
}

fn peak_mib(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? / 1024)
}
