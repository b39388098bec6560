//! `ghostlight query` of a program that was built without it.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

#[derive(Args)]
pub(super) struct QueryArgs {
    /// Whatever `query` takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _any: Vec<String>,
}

pub(super) fn query(_: &QueryArgs) -> anyhow::Result<ExitCode> {
    bail!(
        "this ghostlight was built without its feature `query`: build it with `--features query`, or without \
         `--no-default-features`"
    )
}
