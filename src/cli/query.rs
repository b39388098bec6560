//! `ghostlight query`: SQL over the datasets.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::config::{Config, Flags, LogSettings};
use crate::query::output::{Format, Output, write};
use crate::query::{QUERY_STACK, Tables};
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
}

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
    let answer = runtime.spawn({
        let (sql, format, output) = (args.sql.clone(), args.format, args.output.clone());
        async move {
            let rows = Tables::of(&store).await?.ask(&sql).await?;
            // After the query was understood: a wrong one leaves no trace.
            let output = Output::open(output.as_deref())?;
            write(rows, format, look, output).await
        }
    });
    runtime.block_on(answer).context("the query ended too soon")??;
    Ok(ExitCode::SUCCESS)
}
