//! SQL over the datasets, by DataFusion: each dataset is a table of the rows `_current/` would name at that moment, every
//! committed row once ([`table`]), with functions for sketches ([`functions`]). Nothing is ever written to the store.

mod files;
mod functions;
pub mod output;
mod table;

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, plan_err};
use datafusion::config::Dialect;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Visit};
use datafusion::sql::sqlparser::parser::ParserError;
use futures::TryStreamExt;

use self::files::Files;
use self::table::Dataset;
use crate::store::compact::Current;
use crate::store::datasets::{ACTIVE_USERS, DAILY, DATASETS};
use crate::store::{Store, compact};

/// Of the threads queries run on. Where DataFusion plans, its stack grows by itself; clones and drops of what is deep, and
/// evaluating it, take what there is. Only what is used takes memory.
pub const QUERY_STACK: usize = 512 << 20;

/// Where tables are registered; it shows in errors, from which it is left out.
const NAMESPACE: &str = "datafusion.public.";

/// Less is not enough to sort anything in.
pub const MEMORY_MIN: usize = 32 << 20;

/// The datasets as they are at one moment.
pub struct Tables {
    session: SessionContext,
    memory: usize,
    /// Committed files of users whose rows `daily` lacks.
    not_in_daily: usize,
}

/// The rows of an answer, which are made while they are read.
pub struct Answer {
    rows: SendableRecordBatchStream,
    memory: usize,
}

impl Answer {
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    pub async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        self.rows.try_next().await.map_err(|error| explained(error, self.memory))
    }
}

impl Tables {
    /// For queries that hold so many bytes at most of what they group, join and sort, as far as DataFusion counts them.
    pub async fn of(store: &Store, memory: usize) -> anyhow::Result<Self> {
        let all = compact::current(store).await?;
        if all.iter().all(|current| current.through.is_empty()) {
            bail!("{}: no ledger, so nothing ghostlight wrote", store.location());
        }
        let (config, runtime) = bounded(memory)?;
        let session = SessionContext::new_with_config_rt(config.with_information_schema(true), runtime);
        let place = ObjectStoreUrl::parse("ghostlight://store")?;
        let users = all.iter().find(|current| current.dataset == ACTIVE_USERS);
        let not_in_daily = users.map_or(0, Current::not_merged);
        let files = all.iter().flat_map(|current| current.files.iter().cloned());
        session.register_object_store(place.as_ref(), Arc::new(Files::new(store.clone(), files)));
        for current in all {
            session.register_table(current.dataset.as_str(), Arc::new(Dataset::new(&current, place.clone())?))?;
        }
        functions::register(&session);
        Ok(Self { session, memory, not_in_daily })
    }

    /// What an answer about `daily` lacks, in words: compaction makes that table, some time after the others have their rows.
    pub fn caveat(&self, sql: &str) -> Option<String> {
        let asks_daily =
            sql.to_ascii_lowercase().split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == DAILY);
        (asks_daily && self.not_in_daily > 0).then(|| {
            let count = self.not_in_daily;
            format!("daily lacks the rows of {count} files of active_users that are not compacted yet; `ghostlight compact` adds them")
        })
    }

    pub async fn ask(&self, sql: &str) -> anyhow::Result<Answer> {
        let rows = self.rows(sql).await.map_err(|error| explained(error, self.memory))?;
        Ok(Answer { rows, memory: self.memory })
    }

    async fn rows(&self, sql: &str) -> Result<SendableRecordBatchStream, DataFusionError> {
        let state = self.session.state();
        let mut statement = state.sql_to_statement(sql, &Dialect::Generic)?;
        if matches!(&statement, Statement::Statement(plain) if matches!(**plain, ast::Statement::ShowTables { .. })) {
            statement = state.sql_to_statement(OUR_TABLES, &Dialect::Generic)?;
        }
        only_reads(&statement)?;
        has_no_long_chain(&statement)?;
        let plan = state.statement_to_plan(statement).await?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        self.session.execute_logical_plan(plan).await?.execute_stream().await
    }
}

/// Refuses what writes for that, and not for what is wrong with it besides.
fn only_reads(statement: &Statement) -> Result<(), DataFusionError> {
    use ast::{SetExpr, Statement as Sql};
    let is_read = match statement {
        Statement::Explain(explained) => return only_reads(&explained.statement),
        Statement::Statement(plain) => match plain.as_ref() {
            // What follows a WITH may be something else.
            Sql::Query(query) => {
                !matches!(*query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
            }
            Sql::Explain { .. }
            | Sql::ExplainTable { .. }
            | Sql::ShowTables { .. }
            | Sql::ShowColumns { .. }
            | Sql::ShowFunctions { .. }
            | Sql::ShowVariable { .. } => true,
            _ => false,
        },
        _ => false,
    };
    if is_read {
        return Ok(());
    }
    let text = statement.to_string();
    plan_err!("statement not supported: {}", text.split_whitespace().next().unwrap_or_default())
}

/// Operators one after another, as in `a OR b OR c`, which are one within the other: to plan so many takes a second, and
/// twice as many five times as long.
const CHAIN_MAX: usize = 1_000;

/// Refuses what would be planned for longer than anybody waits.
fn has_no_long_chain(statement: &Statement) -> Result<(), DataFusionError> {
    let plain = match statement {
        Statement::Explain(explained) => return has_no_long_chain(&explained.statement),
        Statement::Statement(plain) => plain,
        _ => return Ok(()),
    };
    match plain.visit(&mut Chains) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => plan_err!(
            "more than {CHAIN_MAX} operators follow one another, which takes too long to plan; of values that are compared \
             make a list, as in x IN (1, 2, 3), and of other chains several, each in parentheses"
        ),
    }
}

struct Chains;

impl ast::Visitor for Chains {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        is_chain(std::iter::successors(Some(&*query.body), |body| match *body {
            ast::SetExpr::SetOperation { left, .. } => Some(&**left),
            _ => None,
        }))
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        is_chain(std::iter::successors(Some(expr), |expr| match *expr {
            ast::Expr::BinaryOp { left, .. } => Some(&**left),
            _ => None,
        }))
    }
}

/// Stops at one that is too long.
fn is_chain<'a, T: 'a>(links: impl Iterator<Item = &'a T>) -> ControlFlow<()> {
    match links.take(CHAIN_MAX + 2).count() > CHAIN_MAX + 1 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// Of each thread, at least: what sorts in less has too little room to merge what it wrote.
const MEMORY_OF_THREAD: usize = 256 << 20;

/// Shares of the memory for all that can go on in the system's folder for temporary files; the rest of it for what cannot.
fn bounded(memory: usize) -> Result<(SessionConfig, Arc<RuntimeEnv>), DataFusionError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(memory / MEMORY_OF_THREAD).max(1);
    // Set aside for merging, before there is anything to merge.
    let config =
        SessionConfig::new().with_target_partitions(threads).with_sort_spill_reservation_bytes(memory / threads / 4);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory))).build_arc()?;
    Ok((config, runtime))
}

/// `SHOW TABLES`, without those that tables are described by.
const OUR_TABLES: &str = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";

/// What is wrong with a query, and what would be right.
fn explained(error: DataFusionError, memory: usize) -> anyhow::Error {
    let root = error.find_root();
    let message = match root {
        DataFusionError::SQL(wrong, _) => match wrong.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone().into(),
            ParserError::RecursionLimitExceeded => "too many parts one within the other".into(),
        },
        root => root.message(),
    };
    let text = message.replace(NAMESPACE, "").replace(files::LABEL, "");
    let advice = match root {
        DataFusionError::SQL(wrong, _) if matches!(**wrong, ParserError::RecursionLimitExceeded) => {
            Some("parts are nested too deep: name inner ones by WITH".to_owned())
        }
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
        DataFusionError::ResourcesExhausted(_) => {
            let bound = bytesize::ByteSize::b(memory as u64).display().iec();
            Some(format!(
                "it may use {bound} (--memory): say more, as in --memory 4GiB, or ask for fewer days, columns or groups"
            ))
        }
        _ => None,
    };
    // What DataFusion guesses was meant by a function is seldom near.
    let text = text.split("\nDid you mean").next().unwrap_or_default();
    // Nor does it help how much of the bound is whose.
    let text =
        text.split(" - ").next().filter(|_| matches!(root, DataFusionError::ResourcesExhausted(_))).unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match advice {
        Some(advice) => anyhow!("the query failed: {}; {advice}", text.trim_end_matches(['.', ' '])),
        None => anyhow!("the query failed: {text}"),
    }
}
