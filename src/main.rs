//! The edge: parse the command line, dispatch, print one error chain, set the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ghostlight::cli::main() {
        Ok(code) => code,
        Err(error) => {
            ghostlight::cli::print_error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}
