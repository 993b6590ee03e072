//! Load and latency of a trial as columns, thinned to a bounded number of points. Merging windows
//! is exact: counts are summed and histograms are added, quantiles are never averaged.

use harness_core::evidence::{Latencies, WindowEvidence};
use harness_core::load::WINDOW;
use harness_core::units::Quantile;

use super::POINTS_MAX;
use super::trial::{Axis, Series};

/// The columns of these windows, which are in ascending order.
pub(super) fn series(windows: &[WindowEvidence], axis: Axis) -> Series {
    let span = match (windows.first(), windows.last()) {
        (Some(first), Some(last)) => last.index.saturating_sub(first.index) as usize + 1,
        _ => 1,
    };
    // Groups begin at multiples of their length, so the first one may be short: one point more.
    let merged = match span {
        span if span <= POINTS_MAX => 1,
        span => u32::try_from(span.div_ceil(POINTS_MAX - 1)).expect("an index fits in 32 bits"),
    };
    let step_s = WINDOW.times(u64::from(merged)).secs_f64();
    let mut series = Series { step_s, ..Series::default() };
    for group in windows.chunk_by(|a, b| a.index / merged == b.index / merged) {
        push(&mut series, group, axis);
    }
    series
}

fn push(series: &mut Series, group: &[WindowEvidence], axis: Axis) {
    let totals = group.iter().map(WindowEvidence::totals);
    let (planned, good) = totals.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    let at_s = axis.at(group[0].start);
    let kinds = group.iter().flat_map(|window| window.kinds.values());
    let latencies = Latencies::merged(kinds.map(|kind| &kind.latency_us));
    let millis = |quantile| Some(latencies.quantile(quantile)?.micros() as f64 / 1e3);
    series.at_s.push(at_s);
    series.planned.push(planned);
    series.good.push(good);
    series.latency_ms_p50.push(millis(Quantile::P50));
    series.latency_ms_p99.push(millis(Quantile::P99));
    if group.iter().any(|window| window.paused) {
        series.paused_s.push(at_s);
    }
}
