//! The walking process alone, for tests: takes its job over standard input, which is a socket.
//!
//! Users get the same process as a hidden subcommand of `gameday`.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a program of its own; this is its only message")]
fn main() -> ExitCode {
    match load::walk_journeys() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
