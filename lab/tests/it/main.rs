//! The lab as a whole: real processes on loopback, real signals, bounded time.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod certificates;
mod cost;
mod defects;
mod disk;
mod faults;
mod life;
mod support;
