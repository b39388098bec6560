//! `ghostlight query`: SQL over the datasets.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::config::{Config, Flags, LogSettings};
use crate::output::Output;
use crate::query::output::{Format, write};
use crate::query::{MEMORY_MIN, QUERY_STACK, Tables};
use crate::store::{Location, Store};

#[derive(Args)]
pub(super) struct QueryArgs {
    /// One statement that reads, such as "SHOW TABLES", "DESCRIBE active_users" or "SELECT …".
    #[arg(value_name = "SQL")]
    sql: String,
    /// What ghostlight wrote: a folder or s3://bucket/prefix [default: ./ghostlight-data/out]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// How the rows are written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to a file, which appears once it is whole, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How much memory groups, joins and sorting may take: sorting and grouping go on in the folder for temporary files. A
    /// core is used for each 256 MiB.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = memory)]
    memory: usize,
}

fn memory(text: &str) -> Result<usize, String> {
    let bytes = text.parse::<bytesize::ByteSize>().ok().and_then(|size| usize::try_from(size.as_u64()).ok());
    bytes.filter(|bytes| *bytes >= MEMORY_MIN).ok_or_else(|| "expected a size such as 1GiB, 32MiB at least".to_owned())
}

/// So long what is under way may take to end, once it is to stop.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn query(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    if args.format == Format::Parquet && args.output.is_none() {
        bail!("--format parquet is nothing for standard output: say which file by -o FILE");
    }
    let config = Config::load(None, &Flags { out: args.data.clone(), only_reads: true, ..Flags::default() })?;
    super::start_logging(&LogSettings { level: "error".to_owned(), json: config.log.json });
    if let Some(output) = &args.output
        && Location::parse(&output.display().to_string()).is_ok_and(|output| output.is_within(&config.out))
    {
        bail!("-o {} is within {}, which ghostlight writes: say another place", output.display(), config.out);
    }
    let store = Store::open_existing(&config.out)?;
    // As many threads as there are cores: a query is work. Files are read on a few more.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(16)
        .thread_stack_size(QUERY_STACK)
        .build()
        .context("starting the async runtime")?;
    let look = super::look(args.output.is_some());
    let mut answer = runtime.spawn({
        let (sql, format, memory, output) = (args.sql.clone(), args.format, args.memory, args.output.clone());
        async move {
            let tables = Tables::of(&store, memory).await?;
            let answer = tables.ask(&sql).await?;
            if let Some(caveat) = tables.caveat(&sql) {
                eprintln!("note: {caveat}");
            }
            // After the query was understood: a wrong one leaves no trace.
            let output = Output::open(output.as_deref())?;
            write(answer, format, look, output).await
        }
    });
    // Apart from the query's, whose threads may all be at work when somebody interrupts it.
    let waiting =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the async runtime")?;
    let mut interruptions = waiting.block_on(async { super::Interruptions::listen() })?;
    let ended = waiting.block_on(async {
        tokio::select! {
            answered = &mut answer => Some(answered),
            () = interruptions.next() => None,
        }
    });
    if ended.is_none() {
        // The file in the making goes, and what was written for sorting; who cannot wait for that says so again.
        answer.abort();
        std::thread::spawn(move || {
            waiting.block_on(interruptions.next());
            std::process::exit(130);
        });
    }
    runtime.shutdown_timeout(PATIENCE);
    match ended {
        Some(answered) => answered.context("the query ended too soon")?.map(|()| ExitCode::SUCCESS),
        None => Ok(ExitCode::from(130)),
    }
}
