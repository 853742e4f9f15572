//! The one binary: everything it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchback::cli::main(std::env::args_os())
}
