//! ghostlight turns an Auth0 tenant's log stream into numbers people act on.
//!
//! Everything written is a mergeable partial. A *batch* is a contiguous range of one partition's records; folding it
//! gives rows keyed by event-time window in which counts add, first and last are minimum and maximum, sketches union and
//! bitmaps or. Rows of the same key from any batch, partition, worker or day merge to the same answer in any order, so
//! there is no late data, no operator state, and exactly once needs no coordinator: one put-if-absent of a ledger entry
//! makes a batch true.
//!
//! ```text
//! source ─▶ chunk ─▶ event ─▶ partial ─▶ store                          usage
//! files, webhook     typed    dedupe,    stage ─▶ COMMIT ─▶ publish ─▶  a fold over what
//! and its spool      events   fold       files    ledger    rename      is committed
//! ```
//!
//! Start reading at [`run`], the write loop. Dependencies point one way: `event` ← `partial` ← `store`, `source` ← `run`;
//! `usage` reads rows and knows no source. The read side begins at [`watch`]: follow, fold, judge, and show or send.

pub mod alert;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod export;
pub mod live;
pub mod output;
pub mod partial;
#[cfg(feature = "query")]
pub mod query;
pub mod render;
pub mod report;
pub mod run;
pub mod simulate;
pub mod source;
pub mod store;
pub mod usage;
pub mod watch;
