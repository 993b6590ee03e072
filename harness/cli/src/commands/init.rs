//! `gameday init`: a commented scenario to start from. Never overwrites unasked.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use harness_core::exit;

use crate::args::Init;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(arguments: &Init) -> Result<u8, Failure> {
    let file = &arguments.file;
    let mut options = OpenOptions::new();
    options.write(true).truncate(true);
    if arguments.force {
        options.create(true);
    } else {
        options.create_new(true);
    }
    let written =
        options.open(file).and_then(|mut open| open.write_all(scenarios::starter().as_bytes()));
    match written {
        Ok(()) => {
            output::say(&format!("Wrote {}. Next:", file.display()));
            output::say(&format!("  gameday plan {}    what it would do", file.display()));
            output::say(&format!("  gameday run {}     do it on the built-in lab", file.display()));
            Ok(exit::PASS)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::usage(format!("{} exists", file.display()))
                .hint("give another name, or `--force` to overwrite it"))
        }
        Err(error) => Err(Failure::could_not(&format!("write {}", file.display()), &error)),
    }
}
