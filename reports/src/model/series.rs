//! Load and latency of a trial as columns, thinned to a bounded number of points. Merging windows
//! is exact: counts are summed and histograms are added, quantiles are never averaged.

use harness_core::load::{KindSamples, WINDOW, WindowSamples, latency_histogram};
use hdrhistogram::Histogram;

use super::POINTS_MAX;
use super::trial::{Axis, Series};

/// The columns of these windows, which are in ascending order.
pub(super) fn series(windows: &[WindowSamples], axis: Axis) -> Series {
    let span = match (windows.first(), windows.last()) {
        (Some(first), Some(last)) => last.index.saturating_sub(first.index) as usize + 1,
        _ => return Series { step_s: WINDOW.secs_f64(), ..Series::default() },
    };
    let merged = u32::try_from(span.div_ceil(POINTS_MAX)).expect("an index fits in 32 bits");
    let mut series = Series {
        step_s: WINDOW.times(u64::from(merged)).secs_f64(),
        ..Series::default()
    };
    let mut scratch = latency_histogram();
    for group in windows.chunk_by(|a, b| a.index / merged == b.index / merged) {
        push(&mut series, group, axis, &mut scratch);
    }
    series
}

fn push(
    series: &mut Series,
    group: &[WindowSamples],
    axis: Axis,
    scratch: &mut Histogram<u64>,
) {
    let totals = group.iter().map(WindowSamples::totals);
    let (planned, good) = totals.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
    let at_s = axis.at(group[0].start);
    let mut kinds = group.iter().flat_map(|window| window.kinds.values()).filter(has_latency);
    let (p50, p99) = match (kinds.next(), kinds.next()) {
        (None, _) => (None, None),
        (Some(only), None) => quantiles(&only.latency_us),
        (Some(first), Some(second)) => {
            scratch.reset();
            for kind in [first, second].into_iter().chain(kinds) {
                scratch.add(&kind.latency_us).expect("all histograms have the same bounds");
            }
            quantiles(scratch)
        }
    };
    series.at_s.push(at_s);
    series.planned.push(planned);
    series.good.push(good);
    series.latency_ms_p50.push(p50);
    series.latency_ms_p99.push(p99);
    if group.iter().any(|window| window.paused) {
        series.paused_s.push(at_s);
    }
}

fn has_latency(kind: &&KindSamples) -> bool {
    !kind.latency_us.is_empty()
}

/// Median and 99th percentile in milliseconds.
fn quantiles(histogram: &Histogram<u64>) -> (Option<f64>, Option<f64>) {
    let at = |quantile| Some(histogram.value_at_quantile(quantile) as f64 / 1e3);
    (at(0.5), at(0.99))
}
