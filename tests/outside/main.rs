//! ghostlight and what others made: the engines that read its Parquet, Apache's own sketches, an S3 server, Kafka.
//!
//! Run by `./tests/run`, which makes ready what these need.

mod audit;
mod deploy;
mod kafka;
mod page;
mod readers;
mod recipes;
mod report;
mod s3;
mod scaling;
#[path = "../support/mod.rs"]
mod support;
