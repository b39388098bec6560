//! The edge: parse the command line, dispatch, print one error chain, set the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ghostlight::cli::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", ghostlight::run::error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
