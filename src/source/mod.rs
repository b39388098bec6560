//! Where records come from. A source is an ordered, replayable sequence of records, cut into [`Chunk`]s.

pub mod file;
pub mod gateway;
pub mod kafka;
pub mod management;
pub mod spool;
pub mod webhook;

pub use crate::event::{Chunk, Content, RecordSpan, Resume};
