//! Success rate and latency of one trial in one window.
//!
//! A trial is ok when its own share, or its own count of requests within the threshold, meets the
//! bound exactly; nothing is inferred from requests, they are not independent.

use stats::calibrate::resolution;
use stats::decimal::Decimal;
use stats::latency::{Bucket, Quantile as Rank, ThresholdCounts, nearest_rank};

use super::case::{Case, FewRequests, Found, SEND_LAG_MAX, Value, state_of};
use super::samples::{Sum, sum};
use super::words;
use crate::evidence::Latencies;
use crate::ids::RequestKind;
use crate::plan::{Bound, WindowRange};
use crate::units::{Duration, Quantile, Ratio};
use crate::verdict::TrialState;

/// The share of good requests against a bound.
pub(super) fn success_rate(
    case: Case<'_>,
    of: Option<&RequestKind>,
    bound: Bound,
    during: &WindowRange,
) -> Found {
    let Sum { planned, good, .. } = match sum(case, of, during, SEND_LAG_MAX) {
        Ok(sum) => sum,
        Err(found) => return found,
    };
    let holds = match bound {
        Bound::AtLeast(least) => least.is_reached_by(good, planned),
        Bound::AtMost(most) => most.is_not_exceeded_by(good, planned),
    };
    let share = good as f64 / planned as f64;
    let state = if holds { TrialState::Ok } else { TrialState::Bad };
    let because = format!("{} of {planned} requests succeeded", words::share(share));
    let gap = match bound {
        Bound::AtLeast(least) => least.complement(),
        Bound::AtMost(most) => most,
    };
    Found { few: few(planned, gap), ..Found::new(state, Value::At(share), because) }
}

/// Whether a window holds fewer requests than a bound takes that leaves so large a share open.
fn few(due: u64, gap: Ratio) -> Option<FewRequests> {
    let fair = resolution(Decimal::from_billionths(gap.complement().billionths()))?;
    let fair = fair.requests_warned_below;
    (due < fair).then_some(FewRequests { due, fair })
}

/// A quantile of latency against a threshold; what did not end well is endless.
pub(super) fn latency(
    case: Case<'_>,
    of: Option<&RequestKind>,
    quantile: Quantile,
    at_most: Duration,
    during: &WindowRange,
) -> Found {
    let lag_max = SEND_LAG_MAX.min(at_most.divided_by(10));
    let sum = match sum(case, of, during, lag_max) {
        Ok(sum) => sum,
        Err(found) => return found,
    };
    let (buckets, lost) = buckets(&sum);
    let exact = Decimal::from_billionths(quantile.billionths());
    let counts = ThresholdCounts::of_buckets(&buckets, lost, at_most.micros() as f64);
    let Some(state) = counts.quantile_within(exact) else {
        return Found::excluded(format!("no request was due in `{}`", during.text));
    };
    let planned = sum.planned;
    let gap = Ratio::from_billionths(Ratio::ONE.billionths() - quantile.billionths());
    let found = match nearest_rank(&buckets, lost, exact) {
        Rank::UpTo(micros) => {
            let secs = micros / 1e6;
            let because = format!("{quantile} {} of {planned} requests", words::seconds(secs));
            Found::new(state_of(state), Value::At(secs), because)
        }
        Rank::Lost | Rank::NoSample => {
            let because = format!("{lost} of {planned} requests had no good answer");
            Found::new(state_of(state), Value::Endless, because)
        }
    };
    Found { few: few(planned, gap), ..found }
}

/// The latencies in the form of `stats`, in us, and how many requests had none.
pub(super) fn buckets(sum: &Sum<'_>) -> (Vec<Bucket>, u64) {
    let latencies = Latencies::merged(sum.latencies.iter().copied());
    let buckets = latencies.buckets().map(|bucket| Bucket {
        above: bucket.from_us as f64 - 1.0,
        up_to: bucket.to_us as f64,
        count: bucket.count,
    });
    (buckets.collect(), sum.planned.saturating_sub(latencies.count()))
}
