//! The `polytask` command: arguments in, library calls, words out.
//!
//! Each verb is one file in [`verbs`]; this file parses, dispatches, and turns the outcome into an exit code:
//! 0 done, 1 ran but a stated bar was missed, 2 could not run.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod columns;
mod help;
mod lines;
mod models;
mod npy;
mod signals;
mod verbs;

use std::process::ExitCode;

use polytask_terminal::output;

/// Keeps freed pages: every step of a training allocates the same buffers again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    signals::fail_on_file_limit();
    match verbs::Cli::read().run() {
        Ok(outcome) => outcome.into(),
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&error);
            ExitCode::from(2)
        }
    }
}
