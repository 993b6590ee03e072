//! The statistics of a judgement: numbers in, numbers out.
//!
//! Exact binomial decisions and bounds, sequential designs, bounds of capped means, recovery times
//! with censoring, latency ranks, error budgets, degradation, comparison with history, planning.
//! Every level, bound and p value is one-sided unless its name says otherwise.
//!
//! The package is pure: no clock, file, environment or global; random numbers come from a seed in
//! the arguments. It knows nothing of scenarios, plans or reports.

pub mod automation;
pub mod binomial;
pub mod bounded_mean;
pub mod budget;
pub mod calibrate;
pub mod clustering;
pub mod composition;
pub mod cost;
pub mod decimal;
pub mod decision;
pub mod degradation;
pub mod history;
pub mod latency;
pub mod multiplicity;
pub mod planning;
pub mod recovery;
pub mod resample;
pub mod sequential;
mod special;
pub mod student;
pub mod survival;
pub mod telemetry;
pub mod validity;
