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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: QueryArgs,
    }

    #[test]
    fn whatever_is_asked_the_feature_is_named() {
        let lines: [&[&str]; 4] =
            [&["query"], &["query", "SELECT 1"], &["query", "SELECT 1", "--format", "csv"], &["query", "-o", "a"]];
        for line in lines {
            let cli = Cli::try_parse_from(line).expect("it takes whatever `query` takes");
            let said = query(&cli.args).expect_err("it cannot").to_string();
            assert!(said.contains("its feature `query`") && said.contains("`--features query`"), "{said}");
        }
    }
}
