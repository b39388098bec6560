//! The commands: what each takes, and what it prints.

/// A line on standard output. Who closes it, as `head` does, wants no more of it: the command goes on and ends as it would.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::print_line(format_args!($($text)*)) };
}

mod alerts;
mod audit;
mod backfill;
mod compact;
mod demo;
mod export;
#[cfg(feature = "query")]
mod query;
#[cfg(any(test, not(feature = "query")))]
mod query_absent;
mod report;
mod simulate;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::audit::document::escaped;
use crate::clock;
use crate::config::{Config, Flags, LogSettings};
use crate::output::Output;
use crate::render::Look;
use crate::run::{self, IngestSummary, Ingested};
use crate::source::file;
use crate::store::{Location, Store, verify};
#[cfg(not(feature = "query"))]
use query_absent as query;

/// Turns an Auth0 tenant's log stream into numbers people act on.
#[derive(Parser)]
#[command(name = "ghostlight", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole thing on a simulated tenant's day, in under a minute.
    Demo(demo::DemoArgs),
    /// Reads log files into Parquet. Reading the same files again changes nothing.
    Ingest(IngestArgs),
    /// Takes Auth0's webhook or a Kafka topic and writes Parquet until it is stopped.
    Run(RunArgs),
    /// Pulls log events of a time that was missed, by the Management API.
    Backfill(backfill::BackfillArgs),
    /// Shows what was found at a live page, decides alerts and sends them, beside workers that write.
    Watch(WatchArgs),
    /// Tries alerts out.
    Alerts(alerts::AlertsArgs),
    /// Merges the small files of each day, and removes what merged files have held for long.
    Compact(compact::CompactArgs),
    /// A month of a tenant on one page: who is active, what is burnt, what it costs, where it is heading.
    Report(report::ReportArgs),
    /// Answers a question in SQL about what was written.
    Query(query::QueryArgs),
    /// Keeps the datasets as tables of another format, beside what ghostlight writes.
    Export(export::ExportArgs),
    /// Says what is wrong with a tenant's configuration, beside what is really used.
    Audit(audit::AuditArgs),
    /// Proves an output directory: nothing lost, nothing twice, nothing altered.
    Verify(VerifyArgs),
    /// Writes a synthetic tenant's log events, the same for the same seed.
    Simulate(simulate::SimulateArgs),
    /// Prints the settings in effect and what they cost.
    CheckConfig(CheckConfigArgs),
}

#[derive(Args)]
struct IngestArgs {
    /// Files (plain, gzip or zstd), folders, globs, or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// Where to write: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// The tenant of all events, whatever they say themselves.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Settings (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read a file that was rewritten in place as a new one.
    #[arg(long)]
    as_new: bool,
}

#[derive(Args)]
struct RunArgs {
    /// Settings (TOML); without any, the webhook is at http://127.0.0.1:7070/v1/logs.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka brokers to consume from, separated by commas.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// The topic to consume; may be given several times.
    #[arg(long = "topic", value_name = "T")]
    topics: Vec<String>,
    /// The consumer group [default: ghostlight]
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Where to write: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
    /// Where to listen; another port for each worker on one machine [default: 127.0.0.1:7070]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

#[derive(Args)]
struct WatchArgs {
    /// What workers write: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where to listen [default: 127.0.0.1:7070]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Settings (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct VerifyArgs {
    /// A folder or s3://bucket/prefix that ghostlight wrote.
    #[arg(value_name = "DIR")]
    location: String,
}

#[derive(Args)]
struct CheckConfigArgs {
    /// Settings (TOML).
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command line of this process.
pub fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Demo(args) => demo::demo(&args),
        Command::Ingest(args) => ingest(args),
        Command::Run(args) => serve(args),
        Command::Backfill(args) => backfill::backfill(&args),
        Command::Watch(args) => watch(args),
        Command::Alerts(args) => alerts::alerts(&args),
        Command::Compact(args) => compact::compact(&args),
        Command::Report(args) => report::report(&args),
        Command::Query(args) => query::query(&args),
        Command::Export(args) => export::export(&args),
        Command::Audit(args) => Ok(audit::audit(&args)),
        Command::Verify(args) => verify(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::CheckConfig(args) => check_config(&args),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the async runtime")
}

/// Logs go to standard error; `RUST_LOG` goes before the settings.
fn start_logging(settings: &LogSettings) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| settings.level.clone());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if settings.json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

fn print_line(text: std::fmt::Arguments<'_>) {
    if let Err(error) = print(format_args!("{text}\n")) {
        eprintln!("error: writing to standard output: {error}");
        std::process::exit(1);
    }
}

/// Whoever stops reading has read enough.
fn print(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// How text looks on this terminal; what goes to a file has neither its width nor its colours, and in a pipe it is as wide as
/// COLUMNS says.
fn look(is_file: bool) -> Look {
    const WITHOUT_TERMINAL: usize = 100;
    let is_terminal = !is_file && std::io::stdout().is_terminal();
    let given = || std::env::var("COLUMNS").ok()?.parse::<usize>().ok().filter(|_| !is_file);
    let width = match terminal_size::terminal_size() {
        Some((columns, _)) if is_terminal => usize::from(columns.0),
        _ => given().unwrap_or(WITHOUT_TERMINAL),
    };
    let width = width.clamp(40, 160);
    // https://no-color.org
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Look { width, color: is_terminal && !is_unwanted && !is_dumb }
}

/// To a file, or to standard output.
fn write(text: &str, path: Option<&Path>) -> anyhow::Result<()> {
    let mut output = Output::open(path)?;
    let written = output.write_all(text.as_bytes());
    output.finish(written.map_err(Into::into))
}

/// Names in it are chosen by strangers.
pub fn print_error(error: &(dyn std::error::Error + 'static)) {
    let text = run::error_chain(error);
    eprintln!("error: {}", text.split('\n').map(escaped).collect::<Vec<_>>().join("\n"));
}

/// The tenant that was asked for, or the only one there is.
fn tenant(data: &str, wanted: Option<&str>, there: &[&str]) -> anyhow::Result<String> {
    match (wanted, there) {
        (Some(name), all) if all.contains(&name) => Ok(name.to_owned()),
        (_, []) => bail!("{data} has no events"),
        (Some(name), all) => bail!("{data} has no events of {name:?}; it has those of {}", all.join(", ")),
        (None, [only]) => Ok((*only).to_owned()),
        (None, all) => bail!("{data} has events of {}: say which by --tenant", all.join(", ")),
    }
}

fn check_config(args: &CheckConfigArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(Some(&args.config), &Flags::default())?;
    say!("{}", config.describe());
    Ok(ExitCode::SUCCESS)
}

fn serve(args: RunArgs) -> anyhow::Result<ExitCode> {
    let RunArgs { out, kafka, topics, group, listen, config } = args;
    let config = Config::load(config.as_deref(), &Flags { out, kafka, topics, group, listen, ..Flags::default() })?;
    start_logging(&config.log);
    runtime()?.block_on(async {
        run::serve(&config, listen_at(&config).await?, stop_signal()?).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { out: args.data, listen: args.listen, only_reads: true, ..Flags::default() };
    let config = Config::load(args.config.as_deref(), &flags)?;
    start_logging(&config.log);
    runtime()?.block_on(async {
        run::watch(&config, listen_at(&config).await?, stop_signal()?).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn listen_at(config: &Config) -> anyhow::Result<TcpListener> {
    TcpListener::bind(config.http.listen).await.with_context(|| {
        format!(
            "listening on {} (http.listen, or --listen HOST:PORT); is another ghostlight running?",
            config.http.listen
        )
    })
}

/// Ctrl-C and SIGTERM, which end the process no more once somebody listens.
struct Interruptions {
    interrupt: Signal,
    terminate: Signal,
}

impl Interruptions {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listening for Ctrl-C")?,
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}

/// Ends at the first Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interruptions = Interruptions::listen()?;
    Ok(async move {
        interruptions.next().await;
        tokio::spawn(async move {
            interruptions.next().await;
            eprintln!(
                "stopped at once; what is not committed is still where it came from, and the next run goes on from there"
            );
            std::process::exit(130);
        });
    })
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let location = Location::parse(&args.location)?;
    let store = Store::open_existing(&location)?;
    let report = runtime()?.block_on(verify::verify(&store))?;
    for problem in &report.problems {
        say!("wrong    {problem}");
    }
    for note in &report.notes {
        say!("note     {note}");
    }
    if report.entries == 0 && report.problems.is_empty() {
        bail!("{location}: no ledger, so nothing ghostlight wrote");
    }
    let sum = &report.accounting;
    say!(
        "checked  {} partitions, {} commits, {} files\nrecords  {} = {} read + {} rejected\nevents   {} = {} counted + {} \
         duplicates + {} ignored",
        report.partitions,
        report.entries,
        report.files,
        sum.records,
        sum.read,
        sum.rejected,
        sum.events,
        sum.counted,
        sum.duplicates,
        sum.ignored
    );
    if report.problems.is_empty() {
        say!("verified nothing lost, nothing twice, nothing altered");
        Ok(ExitCode::SUCCESS)
    } else {
        say!("FAILED   {} problems", report.problems.len());
        Ok(ExitCode::FAILURE)
    }
}

fn ingest(args: IngestArgs) -> anyhow::Result<ExitCode> {
    let flags = Flags { out: args.out, tenant: args.tenant, ..Flags::default() };
    let config = Config::load(args.config.as_deref(), &flags)?;
    // The summary says what matters; what is committed when is for who asks.
    let level = if config.log.level == "info" { "warn" } else { &config.log.level };
    start_logging(&LogSettings { level: level.to_owned(), json: config.log.json });
    let mut own = vec![config.spool.folder.clone()];
    if let Location::Folder(out) = &config.out {
        own.push(out.clone());
    }
    let (inputs, left_out) = file::inputs(&args.inputs, &own)?;
    let total = run::total_bytes(&inputs);
    let runtime = runtime()?;
    let read = Arc::new(AtomicU64::new(0));
    let progress = show_progress(&read, total);
    let began = clock::monotonic();
    let summary = run::ingest(runtime.handle(), &config, inputs, args.as_new, &read);
    progress.finish_and_clear();
    let summary = summary?;
    print_summary(&summary, &config.out, began.elapsed());
    if left_out > 0 {
        say!("left out    {left_out} files of ghostlight's own output and spool");
    }
    Ok(if summary.failures().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A bar on a terminal, nothing elsewhere. Compressed content is longer than its file, so the bar may fill early.
fn show_progress(read: &Arc<AtomicU64>, total: Option<u64>) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => {
            (indicatif::ProgressBar::new(total), "{bar:40} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left")
        }
        None => (indicatif::ProgressBar::new_spinner(), "{spinner} {bytes}  {bytes_per_sec}"),
    };
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let (shown, read) = (bar.downgrade(), read.clone());
    std::thread::spawn(move || {
        while let Some(bar) = shown.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_position(read.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    bar
}

fn print_summary(summary: &IngestSummary, out: &Location, took: Duration) {
    for (input, ingested) in &summary.inputs {
        let name = input.name();
        let tail = |unfinished: &Option<(u64, usize)>| {
            if let Some((at, length)) = unfinished {
                say!(
                    "note        {name} ends in the middle of a record: the {length} bytes from byte {at} on are left for \
                     when it has grown"
                );
            }
        };
        match ingested {
            Ingested::Read { unfinished, .. } => tail(unfinished),
            Ingested::NothingNew { unfinished: None } => {
                say!("unchanged   {name}: everything in it was read before");
            }
            Ingested::NothingNew { unfinished } => tail(unfinished),
            Ingested::Empty => say!("empty       {name}"),
            Ingested::Failed(error) => eprintln!("error: {}", run::error_chain(error)),
        }
    }
    let sum = &summary.accounting;
    let megabytes = summary.bytes as f64 / 1e6;
    let seconds = took.as_secs_f64().max(1e-9);
    say!("records     {} ({} read, {} rejected)", sum.records, sum.read, sum.rejected);
    say!(
        "events      {} ({} counted, {} duplicates, {} ignored)",
        sum.events,
        sum.counted,
        sum.duplicates,
        sum.ignored
    );
    say!("written     {} window rows in {} files, {} commits, to {out}", summary.rows, summary.files, summary.commits);
    if sum.event_rows > 0 {
        say!("            and {} rows of events", sum.event_rows);
    }
    say!("read        {megabytes:.1} MB in {seconds:.2} s: {:.0} MB/s", megabytes / seconds);
    if sum.dead_letters > 0 {
        say!("rejected    see the dataset dead_letters: each with its reason");
    }
}
