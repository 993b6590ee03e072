//! How many requests the plan lets one expect in a stretch of time: to tell a gap in the samples
//! from a time without load.

use crate::ids::RequestKind;
use crate::plan::{LoadPlan, Shape};
use crate::units::Duration;

/// Arrivals expected between two times since the load's start; of one kind, or of all.
pub(super) fn expected(
    load: &LoadPlan,
    of: Option<&RequestKind>,
    from: Duration,
    to: Duration,
) -> f64 {
    let arrivals = (until(load, to) - until(load, from)).max(0.0);
    arrivals * of.map_or(1.0, |kind| share(load, kind))
}

fn share(load: &LoadPlan, kind: &RequestKind) -> f64 {
    let weight = |of_kind: Option<&RequestKind>| -> f64 {
        let requests = load.mix.iter();
        requests
            .filter(|request| of_kind.is_none_or(|kind| &request.kind == kind))
            .map(|request| f64::from(request.weight))
            .sum()
    };
    let all = weight(None);
    if all > 0.0 { weight(Some(kind)) / all } else { 1.0 }
}

/// Arrivals expected from the load's start to this time; of users as many as they send at least,
/// when every answer takes as long as it may.
fn until(load: &LoadPlan, time: Duration) -> f64 {
    let at = time.secs_f64();
    match &load.shape {
        Shape::Journeys(journeys) => journeys.expected_until(time, load.timeout),
        Shape::Constant { rate } => rate.per_second() * at,
        Shape::Ramp { from, to, over } => {
            let (from, to, over) = (from.per_second(), to.per_second(), over.secs_f64());
            let climbing = at.min(over);
            let slope = if over > 0.0 { (to - from) / over } else { 0.0 };
            from * climbing + slope * climbing * climbing / 2.0 + to * (at - climbing)
        }
        Shape::Steps { steps } => {
            let (mut sum, mut left) = (0.0, at);
            for (place, step) in steps.iter().enumerate() {
                let is_last = place + 1 == steps.len();
                let lasts = if is_last { left } else { step.lasts.secs_f64().min(left) };
                sum += step.rate.per_second() * lasts;
                left -= lasts;
            }
            sum
        }
        Shape::Spike { base, peak, at: begins, lasts } => {
            let inside = (at - begins.secs_f64()).clamp(0.0, lasts.secs_f64());
            base.per_second() * (at - inside) + peak.per_second() * inside
        }
        Shape::Recorded { offsets_us } => {
            offsets_us.partition_point(|offset| *offset < time.micros()) as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;

    fn check(shape: &Shape, expected: [f64; 3]) {
        let load = LoadPlan { shape: shape.clone(), ..crate::plan::fixture::plan(&[]).load };
        let found = [1_000, 2_000, 10_000].map(|at| until(&load, Duration::from_millis(at)));
        let same = found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9);
        assert!(same, "{shape:?}: {found:?} is not {expected:?}");
    }

    #[test]
    fn arrivals_are_the_area_under_the_shape() {
        let rate = |text: &str| text.parse().unwrap();
        let secs = Duration::from_secs;
        check(&Shape::Constant { rate: rate("40/s") }, [40.0, 80.0, 400.0]);
        let ramp = Shape::Ramp { from: rate("0/s"), to: rate("40/s"), over: secs(2) };
        check(&ramp, [10.0, 40.0, 360.0]);
        let step = |text, lasts| Step { rate: rate(text), lasts: secs(lasts) };
        let steps = Shape::Steps { steps: vec![step("10/s", 1), step("0/s", 3), step("5/s", 1)] };
        check(&steps, [10.0, 10.0, 40.0]);
        let spike =
            Shape::Spike { base: rate("1/s"), peak: rate("11/s"), at: secs(1), lasts: secs(2) };
        check(&spike, [1.0, 12.0, 30.0]);
        let recorded = Shape::Recorded { offsets_us: vec![0, 999_999, 1_000_000, 5_000_000] };
        check(&recorded, [2.0, 3.0, 4.0]);
    }
}
