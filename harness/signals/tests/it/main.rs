//! The sources against small servers on loopback sockets, as they are used: made from a plan,
//! run, and stopped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actions;
mod alerts;
mod fake;
mod probes;
mod registry;
mod watch;
