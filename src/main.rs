//! The one binary: everything it does stands in the library.

use std::process::ExitCode;

/// A request makes some twenty small allocations, nearly all of them in the HTTP
/// library; this allocator makes them cheaper than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    switchback::cli::main(std::env::args_os())
}
