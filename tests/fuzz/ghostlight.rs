//! The part of ghostlight that is fuzzed.

#[path = "../../src/event/mod.rs"]
pub mod event;
