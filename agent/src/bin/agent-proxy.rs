//! The proxy alone, for benchmarks and tests:
//! `agent-proxy --config FILE --socket PATH [--log FILE]`.
//!
//! Users get the same proxy as a hidden subcommand of `gameday`.

use std::path::PathBuf;
use std::process::ExitCode;

use agent::proxy::{ProxyArguments, run};

const USAGE: &str = "usage: agent-proxy --config FILE --socket PATH [--log FILE]";

fn main() -> ExitCode {
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        return fail(USAGE);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "a program of its own; this is its only message")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<ProxyArguments> {
    let (mut config, mut socket, mut log) = (None, None, None);
    while let Some(word) = words.next() {
        let value = PathBuf::from(words.next()?);
        match word.as_str() {
            "--config" => config = Some(value),
            "--socket" => socket = Some(value),
            "--log" => log = Some(value),
            _ => return None,
        }
    }
    Some(ProxyArguments { config: config?, socket: socket?, log })
}
