//! The command from outside: real processes on loopback, bounded in time and load.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and looks at the command with a clock of its own"
)]

mod attack;
mod calibrate;
mod catalogue;
mod commands;
mod conformance_containers;
mod conformance_cost;
mod containers;
mod help;
mod injectors;
mod interrupted;
mod killed;
mod load;
mod netns;
mod podman;
mod policy;
mod repeated;
mod stalled;
mod support;
mod target;
mod undo;
