//! From values to coordinates, and round numbers for the ticks.

/// A scale along one direction of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Values at both ends; the first is the smaller one.
    pub(super) values: (f64, f64),
    /// Coordinates at both ends.
    pub(super) room: (f64, f64),
    /// By ratio instead of by difference; both values are then above zero.
    pub(super) logarithmic: bool,
}

impl Scale {
    pub(super) fn linear(values: (f64, f64), room: (f64, f64)) -> Self {
        // A scale without any extent would divide by zero.
        let values = if values.1 > values.0 { values } else { (values.0, values.0 + 1.0) };
        Self { values, room, logarithmic: false }
    }

    pub(super) fn logarithmic(values: (f64, f64), room: (f64, f64)) -> Self {
        assert!(values.0 > 0.0 && values.1 > values.0, "a logarithmic scale is above zero");
        Self { values, room, logarithmic: true }
    }

    /// The coordinate of a value; values beyond the ends are shown at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let value = value.clamp(low, high);
        let share = if self.logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / (high - low)
        };
        self.room.0 + share * (self.room.1 - self.room.0)
    }

    /// Round values within the scale: about so many, or the powers of ten.
    pub(super) fn ticks(&self, about: usize) -> Vec<f64> {
        let (low, high) = self.values;
        if self.logarithmic {
            let powers = (-3..=7).map(|power| 10_f64.powi(power));
            return powers.filter(|tick| (low..=high).contains(tick)).collect();
        }
        let step = round_step((high - low) / about.max(1) as f64);
        let first = (low / step - 1e-9).ceil();
        let tick = |number: u32| (first + f64::from(number)) * step;
        // A round step is at least half of the wanted one, so this bound is never reached.
        let bound = u32::try_from(4 * about + 4).expect("a few ticks");
        (0..bound).map(tick).take_while(|tick| *tick <= high + step * 1e-9).collect()
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(same, "{a:?} is not {b:?}");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        close(&Scale::linear((-3.0, 5.7), (0.0, 1.0)).ticks(5), &[-2.0, 0.0, 2.0, 4.0]);
        close(&Scale::linear((0.95, 1.0), (0.0, 1.0)).ticks(2), &[0.95, 1.0]);
        close(&Scale::logarithmic((3.0, 2000.0), (0.0, 1.0)).ticks(0), &[10.0, 100.0, 1000.0]);
    }

    #[test]
    fn a_value_beyond_the_end_is_shown_at_the_end() {
        let scale = Scale::linear((0.0, 10.0), (100.0, 0.0));
        close(&[scale.at(5.0), scale.at(-1.0), scale.at(11.0)], &[50.0, 100.0, 0.0]);
    }

    #[test]
    fn a_scale_without_extent_still_has_one() {
        close(&[Scale::linear((2.0, 2.0), (0.0, 10.0)).at(2.0)], &[0.0]);
    }
}
