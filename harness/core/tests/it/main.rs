//! Tests of the judge and of the evidence, from outside: made-up trials go in, verdicts come out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod automation;
mod calibration;
mod comparison;
mod cost;
mod detection;
mod every_claim;
mod evidence;
mod fixture;
mod invariant;
mod mean;
mod properties;
mod recovery;
mod regression;
mod slo;
mod verdict;
