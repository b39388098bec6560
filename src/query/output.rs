//! The rows of an answer, in each format, written as they come; only a table for people waits for as many as it shows, to
//! know how wide its columns are.

use std::io::{self, Write};

use anyhow::{Context, bail};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Answer;
use crate::output::Output;
use crate::render::{Column, Look, Page, cell, grouped, indented, shown, visible};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal: the first 10,000 rows; long values are cut.
    Table,
    /// With a line of names; binary values as hexadecimal digits.
    Csv,
    /// One list, an object a row and line; binary values as hexadecimal digits.
    Json,
    /// With all types as they are; needs -o.
    Parquet,
}

/// Rows of a table: more than anybody looks at, and all of them are held for their widths.
const TABLE_ROWS: usize = 10_000;
/// Of Parquet's rows, whose columns are held until a group of them is written.
const GROUP_BYTES: usize = 64 << 20;

/// Writes all rows of an answer, or as many as are read.
pub async fn write(answer: Answer, format: Format, look: Look, mut output: Output) -> anyhow::Result<()> {
    let written = rows(answer, format, look, &mut output).await;
    output.finish(written)
}

async fn rows(mut answer: Answer, format: Format, look: Look, output: &mut Output) -> anyhow::Result<()> {
    let schema = answer.schema();
    if matches!(format, Format::Json | Format::Parquet) {
        check_names(&schema)?;
    }
    match format {
        Format::Table => table(answer, look, output).await,
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().build(output);
            // Without rows there are names all the same.
            writer.write(&RecordBatch::new_empty(schema)).context(WRITING)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch).context(WRITING)?;
            }
            Ok(())
        }
        Format::Json => json(answer, output).await,
        Format::Parquet => {
            let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default());
            let properties = WriterProperties::builder().set_compression(zstd).build();
            let mut writer = ArrowWriter::try_new(output, schema, Some(properties)).context(WRITING)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch).context(WRITING)?;
                if writer.memory_size() > GROUP_BYTES {
                    writer.flush().context(WRITING)?;
                }
            }
            writer.close().context(WRITING).map(drop)
        }
    }
}

const WRITING: &str = "writing the answer";

/// Of two values of one name in an object readers take either, and of two columns of one name in Parquet some take none.
fn check_names(schema: &Schema) -> anyhow::Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut doubled: Vec<_> = names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name)).collect();
    doubled.dedup_by_key(|(_, name)| *name);
    if doubled.is_empty() {
        return Ok(());
    }
    let doubled: Vec<_> = doubled.into_iter().map(|(_, name)| shown(name)).collect();
    bail!(
        "several columns of the answer have one name: {}; give each its own, as in SELECT a.{} AS {}_of_a; the formats table \
         and csv take them as they are",
        doubled.join(", "),
        doubled[0],
        doubled[0],
    )
}

/// A list with a row a line, which nothing in hides from who looks at it.
async fn json(mut answer: Answer, output: &mut Output) -> anyhow::Result<()> {
    let mut separator = "[\n";
    while let Some(batch) = answer.next().await? {
        let mut writer = JsonBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        writer.write(&batch).and_then(|()| writer.finish()).context(WRITING)?;
        let text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
        for line in text.lines() {
            write!(output, "{separator}{}", visible(line)).context(WRITING)?;
            separator = ",\n";
        }
        output.flush().context(WRITING)?;
    }
    let end = if separator == ",\n" { "\n]\n" } else { "[]\n" };
    output.write_all(end.as_bytes()).context(WRITING)
}

async fn table(mut answer: Answer, look: Look, output: &mut Output) -> anyhow::Result<()> {
    let schema = answer.schema();
    let is_plan = schema.fields().iter().map(|field| field.name()).eq(["plan_type", "plan"]);
    let names: Vec<_> = schema.fields().iter().map(|field| shown(field.name())).collect();
    let columns = schema.fields().iter().zip(&names).map(|(field, name)| column_of(field.data_type(), name));
    let columns: Vec<_> = columns.collect();
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_cut = false;
    while !is_cut && let Some(batch) = answer.next().await? {
        let values = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let values: Vec<_> = values.collect::<Result<_, _>>().context(WRITING)?;
        let text = |text: String| if is_plan { text } else { cell(&text) };
        let of_row = |row| values.iter().map(|column| text(column.value(row).to_string())).collect();
        let room = TABLE_ROWS - rows.len();
        rows.extend((0..batch.num_rows().min(room)).map(of_row));
        is_cut = batch.num_rows() > room;
    }
    let mut page = Page::new(look);
    match is_plan {
        true => rows.iter().for_each(|row| plan(&mut page, row)),
        false => page.table(&columns, &rows),
    }
    if rows.is_empty() {
        page.line("  (no rows)");
    }
    if is_cut {
        let rows = grouped(TABLE_ROWS as u64);
        page.line(&format!("  (the first {rows} rows; there are more: --format csv, json or parquet has all)"));
    }
    output.write_all(page.finish().as_bytes()).context(WRITING)
}

/// What EXPLAIN says, of which every line counts.
fn plan(page: &mut Page, row: &[String]) {
    let [kind, plan] = row else { return };
    page.line(&format!("  {kind}"));
    plan.lines().for_each(|line| page.line(&format!("    {}", indented(line))));
}

fn column_of<'a>(kind: &DataType, name: &'a str) -> Column<'a> {
    match kind {
        _ if kind.is_numeric() => Column::Number(name),
        _ if kind.is_temporal() || *kind == DataType::Boolean => Column::Whole(name),
        _ => Column::Text(name),
    }
}
