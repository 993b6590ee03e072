//! `gameday completions SHELL`.

use clap::CommandFactory;
use harness_core::exit;

use crate::args::{Cli, Completions};
use crate::output;

pub(crate) fn run(arguments: &Completions) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "gameday", &mut script);
    output::say(&String::from_utf8_lossy(&script));
    exit::PASS
}
