//! The `harness` command. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::Harness::standard().main()
}
