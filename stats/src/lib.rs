//! The statistics of a judgement: numbers in, numbers out.
//!
//! Exact binomial decisions and bounds, sequential designs, bounds of capped means, recovery times
//! with censoring, latency ranks, error budgets, degradation, comparison with history, planning.
//! Every level, bound and p value is one-sided unless its name says otherwise.
//!
//! The package is pure: no clock, file, environment or global; random numbers come from a seed in
//! the arguments. It knows nothing of scenarios, plans or reports.
//!
//! A case is whatever is counted once, usually a trial: it is ok, bad or ambiguous.
//!
//! ```
//! use stats::decision::{Claim, Conclusion, Levels, Tally, decide};
//!
//! let claim = Claim { share: 0.8, levels: Levels::FIVE_PERCENT };
//! let clean = Tally { ok: 14, bad: 0, ambiguous: 0 };
//! assert_eq!(decide(clean, claim).conclusion, Conclusion::Pass);
//! let doubtful = Tally { ok: 13, bad: 0, ambiguous: 1 };
//! assert_eq!(decide(doubtful, claim).conclusion, Conclusion::Inconclusive);
//! ```

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
