//! The rows of an answer, in each format, written as they come; only a table for people waits for all of them, to know how
//! wide its columns are.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::explained;
use crate::render::{Column, Look, Page, shown, visible};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal; long values are cut.
    Table,
    /// With a line of names; binary values as hexadecimal digits.
    Csv,
    /// One list, an object a row and line; binary values as hexadecimal digits.
    Json,
    /// With all types as they are; needs -o.
    Parquet,
}

/// Writes all rows of an answer.
pub async fn write(
    rows: SendableRecordBatchStream,
    format: Format,
    look: Look,
    mut output: Output,
) -> anyhow::Result<()> {
    let schema = rows.schema();
    match format {
        Format::Table => table(&schema, rows, look, &mut output).await?,
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().build(&mut output);
            // Without rows there are names all the same.
            let written = writer.write(&RecordBatch::new_empty(schema));
            each(rows, written, |batch| writer.write(batch)).await?;
        }
        Format::Json => json(rows, &mut output).await?,
        Format::Parquet => {
            let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default());
            let properties = WriterProperties::builder().set_compression(zstd).build();
            let mut writer = ArrowWriter::try_new(&mut output, schema, Some(properties)).context(WRITING)?;
            each(rows, Ok(()), |batch| writer.write(batch)).await?;
            writer.close().context(WRITING)?;
        }
    }
    output.finish()
}

const WRITING: &str = "writing the answer";

/// Hands over row by row what comes, once what was `begun` went well.
async fn each<E: std::error::Error + Send + Sync + 'static>(
    mut rows: SendableRecordBatchStream,
    begun: Result<(), E>,
    mut write: impl FnMut(&RecordBatch) -> Result<(), E>,
) -> anyhow::Result<()> {
    begun.context(WRITING)?;
    while let Some(batch) = rows.try_next().await.map_err(explained)? {
        write(&batch).context(WRITING)?;
    }
    Ok(())
}

/// A list with a row a line, which nothing in hides from who looks at it.
async fn json(rows: SendableRecordBatchStream, output: &mut Output) -> anyhow::Result<()> {
    let mut separator = "[\n";
    each(rows, Ok(()), |batch| {
        let mut writer = JsonBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        writer.write(batch).and_then(|()| writer.finish()).map_err(io::Error::other)?;
        let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
        for line in text.lines() {
            write!(output, "{separator}{}", visible(line))?;
            separator = ",\n";
        }
        Ok::<_, io::Error>(())
    })
    .await?;
    let end = if separator == ",\n" { "\n]\n" } else { "[]\n" };
    output.write_all(end.as_bytes()).context(WRITING)
}

async fn table(
    schema: &SchemaRef,
    rows: SendableRecordBatchStream,
    look: Look,
    output: &mut Output,
) -> anyhow::Result<()> {
    let names: Vec<_> = schema.fields().iter().map(|field| shown(field.name())).collect();
    let columns = schema.fields().iter().zip(&names).map(|(field, name)| column_of(field.data_type(), name));
    let columns: Vec<_> = columns.collect();
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let mut cells: Vec<Vec<String>> = Vec::new();
    each(rows, Ok(()), |batch| {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
        cells.extend((0..batch.num_rows()).map(row));
        Ok::<_, datafusion::arrow::error::ArrowError>(())
    })
    .await?;
    let mut page = Page::new(look);
    page.table(&columns, &cells);
    if cells.is_empty() {
        page.line("  (no rows)");
    }
    output.write_all(page.finish().as_bytes()).context(WRITING)
}

fn column_of<'a>(kind: &DataType, name: &'a str) -> Column<'a> {
    match kind {
        _ if kind.is_numeric() => Column::Number(name),
        _ if kind.is_temporal() || *kind == DataType::Boolean => Column::Whole(name),
        _ => Column::Text(name),
    }
}

/// Where an answer goes: standard output, or a file that appears, or is replaced, once it is whole.
pub struct Output {
    to: To,
}

enum To {
    Standard(BufWriter<io::Stdout>),
    /// A device or a pipe, which is written to as it is.
    Stream(BufWriter<File>),
    File(Draft),
}

/// A file in the making, beside the one it will be; removed unless it was finished.
struct Draft {
    file: BufWriter<File>,
    draft: PathBuf,
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name there is nothing.
        let _ = std::fs::remove_file(&self.draft);
    }
}

impl Output {
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { to: To::Standard(BufWriter::new(io::stdout())) }) };
        let naming = || format!("writing {}", path.display());
        // The file behind a link is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(&path).with_context(naming)?;
            return Ok(Self { to: To::Stream(BufWriter::new(file)) });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4()));
        let file = File::create_new(&draft).with_context(naming)?;
        Ok(Self { to: To::File(Draft { file: BufWriter::new(file), draft, path }) })
    }

    fn finish(self) -> anyhow::Result<()> {
        match self.to {
            To::Standard(mut out) => quiet_if_closed(out.flush()).context("writing to standard output"),
            To::Stream(mut file) => file.flush().context(WRITING),
            To::File(mut made) => {
                let written = made.file.flush().and_then(|()| made.file.get_ref().sync_all());
                let named = written.and_then(|()| std::fs::rename(&made.draft, &made.path));
                named.with_context(|| format!("writing {}", made.path.display()))
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Standard(out) => quiet_if_closed(out.write_all(bytes)).map(|()| bytes.len()),
            To::Stream(file) => file.write(bytes),
            To::File(made) => made.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Standard(out) => quiet_if_closed(out.flush()),
            To::Stream(file) => file.flush(),
            To::File(made) => made.file.flush(),
        }
    }
}

/// Whoever stops reading has read enough.
fn quiet_if_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
