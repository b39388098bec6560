//! What is wrong with a tenant: its configuration, looked at by itself and beside what is really used.
//!
//! [`export`] reads files, [`fetch`] the Management API; [`tenant`] holds what the checks need of them, and no secret; [`traffic`] what is used; [`checks`]
//! is the table of what is looked at; [`report`] puts together what was found, and [`render`] writes it; [`standing`] is what the read side follows.

pub mod assets;
pub mod baseline;
pub mod checks;
pub mod code;
pub mod document;
pub mod export;
pub mod fetch;
pub mod not_run;
pub mod render;
pub mod report;
pub mod standing;
pub mod tenant;
pub mod traffic;
pub mod url;
