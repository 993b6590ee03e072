//! Whether a measurement says something about the target, or about the client that took it. Pure.

use harness_core::load::RequestOutcome;
use harness_core::units::Duration;
use load::LoadReport;

use super::text::micros;

/// Send lag beyond this is never small.
const LAG_MAX: Duration = Duration::from_millis(50);

/// The bound on the 99th percentile of send lag: [`LAG_MAX`], or a tenth of the latency that
/// matters where that is less.
pub(super) fn lag_bound(threshold: Option<Duration>) -> Duration {
    threshold.map_or(LAG_MAX, |threshold| LAG_MAX.min(threshold.divided_by(10)))
}

/// Why the measurement is not valid, in sentences; none when it is.
pub(super) fn problems(report: &LoadReport, lag_bound: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(lag) = report.lag_us.p99
        && lag > lag_bound.micros()
    {
        problems.push(format!(
            "requests left late: send lag p99 {} is over {}",
            micros(lag),
            micros(lag_bound.micros())
        ));
    }
    if report.windows_paused > 0 {
        problems.push(format!(
            "the client stood still {} times, {} in all: {} of {} windows of 100 ms are its own",
            report.pauses,
            micros(report.paused_us),
            report.windows_paused,
            report.windows
        ));
    }
    let own = report.total.outcomes.get(&RequestOutcome::Other).copied().unwrap_or(0);
    if own > 0 {
        problems.push(format!("{own} requests failed in the client: no free port or file"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use load::{KindReport, Percentiles};

    use super::*;

    fn report() -> LoadReport {
        let all = |value| Percentiles {
            p50: Some(value),
            p90: Some(value),
            p95: Some(value),
            p99: Some(value),
            p999: Some(value),
            max: Some(value),
        };
        LoadReport {
            seconds: 1.0,
            rate_asked: 100.0,
            rate_achieved: 100.0,
            due: 100,
            sent: 100,
            total: KindReport {
                planned: 100,
                good: 100,
                outcomes: BTreeMap::from([(RequestOutcome::Status(200), 100)]),
                latency_us: all(1_000),
                service_us: all(900),
            },
            kinds: BTreeMap::new(),
            lag_us: all(100),
            windows: 10,
            windows_paused: 0,
            pauses: 0,
            paused_us: 0,
            cpu_cores: 0.1,
        }
    }

    #[test]
    fn the_bound_follows_the_latency_that_matters() {
        for (threshold, bound) in [(None, 50_000), (Some(2_000), 50_000), (Some(100), 10_000)] {
            let threshold = threshold.map(Duration::from_millis);
            assert_eq!(lag_bound(threshold).micros(), bound, "{threshold:?}");
        }
    }

    #[test]
    fn what_is_the_clients_own_is_named() {
        assert_eq!(problems(&report(), LAG_MAX), Vec::<String>::new());
        let mut late = report();
        late.lag_us.p99 = Some(50_001);
        assert!(problems(&late, LAG_MAX)[0].contains("send lag p99 50.0 ms is over 50.0 ms"));
        late.lag_us.p99 = Some(50_000);
        assert!(problems(&late, LAG_MAX).is_empty());
        let mut still = report();
        (still.windows_paused, still.pauses, still.paused_us) = (3, 1, 250_000);
        assert!(problems(&still, LAG_MAX)[0].contains("stood still 1 times, 250 ms in all: 3 of"));
        let mut own = report();
        own.total.outcomes.insert(RequestOutcome::Other, 7);
        assert!(problems(&own, LAG_MAX)[0].contains("7 requests failed in the client"));
    }
}
