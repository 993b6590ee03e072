//! By how much a metric got worse within each case, and whether most cases stay within a margin.
//!
//! The verdict is the sign test: exact for the median whatever the law of the differences. Signed
//! ranks and shifts answer for the middle of symmetric differences only, so they are shown, and
//! decide on request.

mod equivalence;
mod paired;
mod ranks;

pub use equivalence::{
    Equivalence, EquivalencePlan, Range, equivalence, equivalence_pairs_needed, equivalence_power,
};
pub use paired::{Change, Margin, log_ratio, median_tally, worsening_state};
pub use ranks::{
    RANK_VALUES_MAX, Shift, SignedRank, TWO_SAMPLE_VALUES_MAX, mann_whitney_less, shift_one_sample,
    shift_two_samples, signed_rank,
};
