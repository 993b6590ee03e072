//! The load engine against real sockets on loopback: targets that behave, and targets that do not.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod basics;
mod finish;
mod hostile;
mod journeys;
mod secure;
mod stall;
mod stop;
mod support;
mod whole;
