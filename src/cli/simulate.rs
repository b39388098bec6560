//! `ghostlight simulate`: a tenant that never was, to a file, to standard output, or to a webhook.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::event::EventTime;
use crate::simulate::{Envelope, Records, Simulation};

#[derive(Args)]
pub(super) struct SimulateArgs {
    /// The same seed and settings give the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many distinct events.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    #[arg(long, default_value_t = 1)]
    days: u32,
    #[arg(long, default_value_t = 1)]
    tenants: u32,
    /// Users per tenant [default: by the number of events]
    #[arg(long)]
    users: Option<u64>,
    /// The first day, UTC.
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-11-01")]
    start: String,
    /// How events are wrapped.
    #[arg(long, default_value = "stream", value_parser = parse_envelope)]
    envelope: Envelope,
    /// The share of events that come twice.
    #[arg(long, default_value_t = 0.01, value_parser = parse_share)]
    duplicates: f64,
    /// The share of events that come minutes to hours late.
    #[arg(long, default_value_t = 0.01, value_parser = parse_share)]
    late: f64,
    /// The share of records that are not events at all.
    #[arg(long, default_value_t = 0.0005, value_parser = parse_share)]
    malformed: f64,
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE", conflicts_with = "post")]
    output: Option<PathBuf>,
    /// Send to a webhook instead, as Auth0 would: again until it is taken.
    #[arg(long, value_name = "URL")]
    post: Option<String>,
    /// The Authorization header to send.
    #[arg(long, value_name = "VALUE", requires = "post")]
    authorization: Option<String>,
    /// Write the exact answers here, as JSON.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write each tenant's configuration here, in a folder of its name, as auth0-deploy-cli exports it, with known faults.
    #[arg(long, value_name = "DIR")]
    tenant_config: Option<PathBuf>,
}

fn parse_envelope(name: &str) -> Result<Envelope, String> {
    Envelope::from_name(name).ok_or_else(|| format!("expected one of {}", Envelope::NAMES.join(", ")))
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.5).contains(&share) => Ok(share),
        _ => Err("expected a share between 0 and 0.5, such as 0.01".to_owned()),
    }
}

pub(super) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let Some(start) = EventTime::parse(&format!("{}T00:00:00Z", args.start)) else {
        bail!("--start {}: expected a day such as 2026-11-01", args.start);
    };
    let simulation = Simulation {
        seed: args.seed,
        events: args.events,
        days: args.days,
        tenants: args.tenants,
        start: start.ms(),
        envelope: args.envelope,
        duplicates: args.duplicates,
        late: args.late,
        malformed: args.malformed,
        users: args.users,
    };
    if let Some(folder) = &args.tenant_config {
        write_configurations(&simulation, folder)?;
    }
    let mut records = simulation.records();
    match (&args.post, &args.output) {
        (Some(url), _) => {
            let sent = super::runtime()?.block_on(post(&mut records, url, args.authorization.as_deref()))?;
            eprintln!("sent {} records in {} requests to {url}", sent.records, sent.requests);
        }
        (None, Some(path)) => {
            let file = std::fs::File::create(path).with_context(|| format!("creating {}", path.display()))?;
            write_lines(&mut records, file).with_context(|| format!("writing {}", path.display()))?;
        }
        (None, None) => match write_lines(&mut records, std::io::stdout().lock()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            other => other.context("writing to standard output")?,
        },
    }
    if let Some(path) = &args.truth {
        write_truth(records, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_configurations(simulation: &Simulation, folder: &Path) -> anyhow::Result<()> {
    for configuration in simulation.configurations() {
        for (name, value) in configuration.files {
            let path = folder.join(&configuration.tenant).join(name);
            let above = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(above).with_context(|| format!("creating {}", above.display()))?;
            std::fs::write(&path, format!("{value:#}\n")).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

fn write_truth(records: Records, path: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(&records.truth())?;
    std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))
}

fn write_lines(records: &mut Records, output: impl Write) -> std::io::Result<()> {
    let mut output = std::io::BufWriter::with_capacity(1 << 18, output);
    let mut line = Vec::new();
    while records.next_into(&mut line).is_some() {
        line.push(b'\n');
        output.write_all(&line)?;
    }
    output.flush()
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub records: u64,
    pub requests: u64,
}

/// Sends everything in bodies of up to 100 lines, several at once, each again until it is taken: 2xx means delivered, a
/// refusal for good (4xx) is an error.
pub(super) async fn post(records: &mut Records, url: &str, authorization: Option<&str>) -> anyhow::Result<Sent> {
    const LINES_MAX: u64 = 100;
    const AT_ONCE: usize = 8;
    let client = reqwest::Client::new();
    let mut sent = Sent::default();
    let mut record = Vec::new();
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        let (mut body, mut lines) = (Vec::new(), 0);
        while lines < LINES_MAX && records.next_into(&mut record).is_some() {
            body.extend_from_slice(&record);
            body.push(b'\n');
            lines += 1;
        }
        if lines == 0 {
            break;
        }
        while under_way.len() >= AT_ONCE
            && let Some(done) = under_way.join_next().await
        {
            done??;
        }
        let mut request = client.post(url).header("Content-Type", "application/json");
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        under_way.spawn(deliver(request.body(body), url.to_owned()));
        sent.records += lines;
        sent.requests += 1;
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(sent)
}

async fn deliver(request: reqwest::RequestBuilder, url: String) -> anyhow::Result<()> {
    let mut wait = std::time::Duration::from_millis(100);
    const TRIES: u32 = 8;
    for left in (0..TRIES).rev() {
        let Some(attempt) = request.try_clone() else { bail!("a body in memory can be sent twice") };
        let problem = match attempt.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) if response.status().is_client_error() => {
                let status = response.status();
                // A body of nothing but malformed lines is refused; Auth0 never sends one.
                if status == reqwest::StatusCode::BAD_REQUEST {
                    let answer = response.text().await.unwrap_or_default();
                    tracing::warn!(
                        url,
                        answer,
                        "a body was refused; simulated bodies of nothing but malformed lines are"
                    );
                    return Ok(());
                }
                bail!("{url} answered {status}: {}", response.text().await.unwrap_or_default());
            }
            Ok(response) => format!("it answered {}", response.status()),
            Err(error) => error.to_string(),
        };
        if left == 0 {
            bail!("{url} did not take a body in {TRIES} tries: {problem}");
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    Ok(())
}
