//! The quick suite: needs nothing from outside. One binary, so that there is one link.

mod bad_input;
mod faulty_store;
mod files;
mod ghosts;
mod kill;
mod laws;
mod progress;
mod replay;
mod samples;
mod schemas;
#[path = "../support/mod.rs"]
mod support;
mod truth;
mod watch;
mod webhook;
