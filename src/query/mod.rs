//! SQL over the datasets, by DataFusion: each dataset is a table of the rows `_current/` would name at that moment, every
//! committed row once ([`table`]), with functions for sketches ([`functions`]). Nothing is ever written to the store.

mod files;
mod functions;
pub mod output;
mod table;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};

use self::files::Files;
use self::table::Dataset;
use crate::store::datasets::DATASETS;
use crate::store::{Store, compact};

/// Bytes of a statement, beside its literals. Planning is recursive, two bytes are enough for one level more (`1+1+1`), and a
/// stack that is used up ends the process.
const SQL_MAX: usize = 16 << 10;
/// Of the threads queries run on: a level takes some 40 KiB without optimisation. Only what is used takes memory.
pub const QUERY_STACK: usize = 512 << 20;

/// Where tables are registered; it shows in errors, from which it is left out.
const NAMESPACE: &str = "datafusion.public.";

/// The datasets as they are at one moment.
pub struct Tables(SessionContext);

impl Tables {
    pub async fn of(store: &Store) -> anyhow::Result<Self> {
        let all = compact::current(store).await?;
        if all.iter().all(|current| current.through.is_empty()) {
            bail!("{}: no ledger, so nothing ghostlight wrote", store.location());
        }
        let session = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
        let place = ObjectStoreUrl::parse("ghostlight://store")?;
        session.register_object_store(place.as_ref(), Arc::new(Files::new(store.clone())));
        for current in all {
            session.register_table(current.dataset.as_str(), Arc::new(Dataset::new(&current, place.clone())?))?;
        }
        functions::register(&session);
        Ok(Self(session))
    }

    /// The answer, which is made while it is read.
    pub async fn ask(&self, sql: &str) -> anyhow::Result<SendableRecordBatchStream> {
        // Sketches as literals are long, and no deeper.
        let length: usize = sql.split('\'').step_by(2).map(str::len).sum();
        if length > SQL_MAX {
            bail!("the query has {length} bytes beside its literals; at most {SQL_MAX} are read");
        }
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let planned = self.0.sql_with_options(sql, only_reads).await.map_err(explained)?;
        planned.execute_stream().await.map_err(explained)
    }
}

/// What is wrong with a query, and what would be right.
fn explained(error: DataFusionError) -> anyhow::Error {
    let root = error.find_root();
    let text = root.message().replace(NAMESPACE, "");
    let advice = match root {
        DataFusionError::SQL(..) => Some("is it one statement of SQL?".to_owned()),
        DataFusionError::Plan(_) if text.starts_with("table '") => {
            Some(format!("the tables are {}", DATASETS.join(", ")))
        }
        DataFusionError::Plan(_) if text.contains("nvalid function '") => {
            Some(format!("of sketches there are {}; SHOW FUNCTIONS has all", functions::NAMES.join(", ")))
        }
        DataFusionError::Plan(_) if text.contains(" not supported: ") => {
            Some("ghostlight query only reads: SELECT, SHOW TABLES, DESCRIBE, EXPLAIN".to_owned())
        }
        _ => None,
    };
    // What DataFusion guesses was meant by a function is seldom near.
    let text = text.split("\nDid you mean").next().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match advice {
        Some(advice) => anyhow!("the query failed: {}; {advice}", text.trim_end_matches(['.', ' '])),
        None => anyhow!("the query failed: {text}"),
    }
}
