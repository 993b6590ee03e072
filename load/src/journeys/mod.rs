//! Journeys: users who walk through a system step by step, with pauses between.
//!
//! The walking is goose's, and goose is kept apart: it lives in a child process ([`walk_journeys`])
//! that [`JourneyDriver`] starts for each load, so that its signal handler, its output, its one
//! kill switch per process and its exits never reach the run. The child sums up into the same
//! windows as the open loop and tells them over a socket; it dies with its parent.
//!
//! This is the *closed model*. A user sends nothing while it waits, so a slow target gets fewer
//! requests, and a stall is charged to at most one request of each user. Latency counts from the
//! instant at which the user wanted to send. Rates that must hold are the open loop's work.

mod answer;
mod child;
mod cookies;
mod driver;
mod process;
mod think;
mod user;
mod walk;
mod wire;

pub use child::{JourneyError, walk_journeys};
pub use driver::JourneyDriver;

/// The name of this driver in errors.
const DRIVER: &str = "the journey driver";
