//! From plan and evidence to a verdict. No clock, no files; the same evidence gives the same words.
//!
//! Each trial is brought to a state per expectation (one file per assertion family), the states to
//! a conclusion by the numbers of `stats`, the conclusions to a verdict. Nothing is computed here
//! that `stats` computes.

mod automation;
mod average;
mod budget;
mod case;
mod conclusion;
mod cost;
mod degradation;
mod detection;
mod invariant;
mod phrase;
mod recovery;
mod regression;
mod resemblance;
mod samples;
mod sentence;
mod slo;
mod stop;
mod telemetry;
mod traffic;
mod verdict;
mod words;

pub use stop::{StopDecision, may_stop};
pub use verdict::{judge, judge_with, outcomes_by_states};
