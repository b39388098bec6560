//! The quick suite: needs nothing from outside. One binary, so that there is one link.

mod alerts;
mod audit;
mod bad_input;
mod commits;
mod compact;
mod conditions;
mod events;
mod export;
mod faulty_store;
mod files;
mod ghost_alerts;
mod ghosts;
mod kill;
mod laws;
mod management;
mod notify;
mod page;
mod pii;
mod progress;
mod pull;
#[cfg(feature = "query")]
mod query;
mod replay;
mod report;
mod samples;
mod scan;
mod schemas;
#[path = "../support/mod.rs"]
mod support;
mod truth;
mod watch;
mod webhook;
