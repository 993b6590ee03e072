//! The samples of a trial in a stretch of time, summed up, and whether they can be trusted: none
//! missing, the client awake, requests sent in time.

use std::collections::BTreeSet;

use super::case::{Case, Found};
use super::traffic::expected;
use crate::evidence::{Latencies, WindowEvidence};
use crate::ids::RequestKind;
use crate::load::WINDOW;
use crate::plan::WindowRange;
use crate::time::RunTime;
use crate::units::{Duration, Quantile};

/// With so many requests expected and none recorded something is broken: by chance it happens less
/// than twice in a billion times.
const EXPECTED_SURELY: f64 = 20.0;

/// What was sent and answered in a stretch of time.
#[derive(Debug)]
pub(super) struct Sum<'a> {
    /// Requests that were due.
    pub(super) planned: u64,
    /// Those that ended well.
    pub(super) good: u64,
    /// Latencies of the good ones, in parts.
    pub(super) latencies: Vec<&'a Latencies>,
}

/// Sums up one kind of requests, or all, over the windows that lie wholly in the range.
pub(super) fn sum<'a>(
    case: Case<'a>,
    of: Option<&RequestKind>,
    during: &WindowRange,
    lag_max: Duration,
) -> Result<Sum<'a>, Found> {
    let (from, to) = case.range(during)?;
    let windows = trusted(case, from, to, lag_max)?;
    let kinds = || {
        windows
            .iter()
            .flat_map(|window| &window.kinds)
            .filter(|(kind, _)| of.is_none_or(|wanted| *kind == wanted))
            .map(|(_, samples)| samples)
    };
    let sum = Sum {
        planned: kinds().map(|samples| samples.planned).sum(),
        good: kinds().map(|samples| samples.good).sum(),
        latencies: kinds().map(|samples| &samples.latency_us).collect(),
    };
    if sum.planned > 0 {
        return Ok(sum);
    }
    let (first, last) = (&windows[0], &windows[windows.len() - 1]);
    let awaited = expected(
        &case.plan.load,
        of,
        WINDOW.times(u64::from(first.index)),
        WINDOW.times(u64::from(last.index) + 1),
    );
    Err(if awaited >= EXPECTED_SURELY {
        Found::ambiguous(format!("about {awaited:.0} requests were planned, none was recorded"))
    } else {
        Found::excluded(format!("no request was due in `{}`", during.text))
    })
}

/// The windows that lie wholly between two times, at least one; `Err` when one is missing although
/// requests were planned, when the client stood still, or when requests went out too late.
pub(super) fn trusted(
    case: Case<'_>,
    from: RunTime,
    to: RunTime,
    lag_max: Duration,
) -> Result<Vec<&WindowEvidence>, Found> {
    let all = &case.trial.windows;
    let Some(any) = all.first() else {
        return Err(Found::ambiguous("there are no samples"));
    };
    let width = WINDOW.micros() * 1000;
    let origin = any.start.nanos().saturating_sub(u64::from(any.index) * width);
    let first = from.nanos().saturating_sub(origin).div_ceil(width);
    let end = to.nanos().saturating_sub(origin) / width;
    if first >= end {
        return Err(Found::ambiguous("there is no whole window of samples between both ends"));
    }
    // They lie in ascending order, each number once.
    let place = |number: u64| all.partition_point(|window| u64::from(window.index) < number);
    let windows: Vec<&WindowEvidence> = all[place(first)..place(end)].iter().collect();
    let of = end - first;
    if (windows.len() as u64) < of {
        let inside: BTreeSet<u64> = windows.iter().map(|window| u64::from(window.index)).collect();
        let missing = |index: &u64| {
            let due = |index| {
                expected(&case.plan.load, None, WINDOW.times(index), WINDOW.times(index + 1))
            };
            !inside.contains(index) && due(*index) > 0.0
        };
        let gaps = (first..end).filter(missing).count();
        if gaps > 0 {
            return Err(Found::ambiguous(format!("{gaps} of {of} windows of samples are missing")));
        }
    }
    if windows.is_empty() {
        return Err(Found::excluded("no load was planned"));
    }
    let paused = windows.iter().filter(|window| window.paused).count();
    if paused > 0 {
        return Err(Found::ambiguous(format!("the client stood still in {paused} windows")));
    }
    if is_late(&windows, lag_max) {
        let lag = Latencies::merged(windows.iter().map(|window| &window.lag_us));
        let late = lag.quantile(Quantile::P99).unwrap_or(lag_max);
        return Err(Found::ambiguous(format!(
            "requests were sent late: p99 {late}, at most {lag_max} is allowed"
        )));
    }
    Ok(windows)
}

/// Whether the 99th percentile of the send lag is above its bound.
fn is_late(windows: &[&WindowEvidence], lag_max: Duration) -> bool {
    let buckets = windows.iter().flat_map(|window| window.lag_us.buckets());
    let (all, timely) = buckets.fold((0_u64, 0_u64), |(all, timely), bucket| {
        let in_time = if bucket.to_us <= lag_max.micros() { bucket.count } else { 0 };
        (all + bucket.count, timely + in_time)
    });
    timely < Quantile::P99.rank(all)
}
