//! A dataset as a table: exactly the files that are current, with their day as the column `date`. Of a query that says which
//! days it wants, other days' files are not opened; within files DataFusion reads by their statistics.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::{expr_applicable_for_cols, filter_partitioned_file};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::event::EventTime;
use crate::store::compact::Current;
use crate::store::datasets;
use crate::store::ledger::FileRecord;

const DATE: &str = "date";
const DAY_MS: i64 = 86_400_000;

#[derive(Debug)]
pub struct Dataset {
    schema: TableSchema,
    /// The columns that files are chosen by.
    days: DFSchema,
    files: Vec<PartitionedFile>,
    place: ObjectStoreUrl,
}

impl Dataset {
    pub fn new(current: &Current, place: ObjectStoreUrl) -> anyhow::Result<Self> {
        let unknown = || anyhow::anyhow!("no dataset is called {}", current.dataset);
        let columns = datasets::schema(&current.dataset).ok_or_else(unknown)?;
        let date = Arc::new(Field::new(DATE, DataType::Date32, false));
        let days = DFSchema::try_from(Schema::new(vec![Arc::clone(&date)]))?;
        let schema = TableSchema::builder(columns).with_table_partition_cols(vec![date]).build();
        let files = current.files.iter().map(partitioned).collect::<anyhow::Result<_>>()?;
        Ok(Self { schema, days, files, place })
    }

    /// The files of the days that are asked for.
    fn files(&self, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let of_days: Vec<_> = filters.iter().filter(|filter| is_of_days(filter)).cloned().collect();
        let files = self.files.iter().cloned();
        files.filter_map(|file| filter_partitioned_file(file, &of_days, &self.days).transpose()).collect()
    }
}

fn partitioned(file: &FileRecord) -> anyhow::Result<PartitionedFile> {
    let date = file.date().and_then(|date| EventTime::parse(&format!("{date}T00:00:00Z")));
    let date = date.ok_or_else(|| anyhow::anyhow!("{} has no day in its path, such as date=2026-11-01", file.path))?;
    let day = i32::try_from(date.ms().div_euclid(DAY_MS))?;
    let found = PartitionedFile::new(file.path.as_str(), file.bytes);
    Ok(found.with_partition_values(vec![ScalarValue::Date32(Some(day))]))
}

fn is_of_days(filter: &Expr) -> bool {
    expr_applicable_for_cols(&[DATE], filter)
}

#[async_trait]
impl TableProvider for Dataset {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_of_days(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.files(filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let groups = FileGroup::new(files).split_files(session.config().target_partitions());
        let config = FileScanConfigBuilder::new(self.place.clone(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
