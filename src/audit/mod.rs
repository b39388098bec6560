//! What is wrong with a tenant: its configuration, looked at by itself and beside what is really used.
//!
//! [`export`] reads files; [`tenant`] holds what the checks need of them, and no secret.

pub mod assets;
pub mod code;
pub mod document;
pub mod export;
pub mod tenant;
