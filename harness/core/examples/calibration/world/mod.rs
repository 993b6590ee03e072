//! A world whose truth is known: trials are drawn at random from a law in which the chance that a
//! trial meets its condition is an exact number, and the real judge judges their evidence.
//!
//! The laws are what makes honest statistics hard: requests of one trial depend on each other,
//! latencies and recovery times have heavy tails, long recoveries are not seen to their end, the
//! system drifts, and trials turn out to be invalid. Nothing of the judge is imitated here.

mod cost;
mod family;
mod long_run;
mod paint;
mod plan;
mod studies;
mod study;
mod trial;
mod truth;

pub(crate) use long_run::long_run;
pub(crate) use studies::{Sizes, studies};
pub(crate) use study::{Ends, Expectation, Study};
