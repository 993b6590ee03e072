//! Writes the data of a path in few bytes: relative steps in tenths of a unit, level parts joined.
//! Rounds positions, not steps, so that a long path does not drift.

use std::fmt::Write as _;

use super::xy;

/// A path under way.
#[derive(Debug, Default)]
pub(super) struct Pen {
    data: String,
    /// Where it is, in tenths of a unit; `None` before the first move.
    at: Option<(i64, i64)>,
    /// Where it stands in what is written; behind `at` by a level part that may still grow.
    written: (i64, i64),
}

impl Pen {
    /// Lifts the pen and puts it down there.
    pub(super) fn go(&mut self, x: f64, y: f64) {
        self.flush();
        write!(self.data, "M{} {}", xy(x), xy(y)).expect("writing to a string cannot fail");
        self.at = Some((tenths(x), tenths(y)));
        self.written = (tenths(x), tenths(y));
    }

    /// Draws a straight line to there.
    pub(super) fn draw(&mut self, x: f64, y: f64) {
        let to = (tenths(x), tenths(y));
        let at = self.at.expect("a path begins with a move");
        let was_level = at.1 == self.written.1;
        if !(was_level && to.1 == at.1) {
            self.flush();
        }
        self.at = Some(to);
        if to.1 != self.written.1 {
            self.flush();
        }
    }

    /// Closes the present part.
    pub(super) fn close(&mut self) {
        self.flush();
        self.data.push('z');
    }

    /// The path's data.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.data
    }

    fn flush(&mut self) {
        let Some(at) = self.at else { return };
        let (dx, dy) = (at.0 - self.written.0, at.1 - self.written.1);
        let step = match (dx, dy) {
            (0, 0) => return,
            (dx, 0) => format!("h{}", number(dx)),
            (0, dy) => format!("v{}", number(dy)),
            (dx, dy) if dy < 0 => format!("l{}{}", number(dx), number(dy)),
            (dx, dy) => format!("l{} {}", number(dx), number(dy)),
        };
        self.data.push_str(&step);
        self.written = at;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "coordinates of a chart are small")]
fn tenths(value: f64) -> i64 {
    (value * 10.0).round() as i64
}

/// Tenths as a number without what SVG does not need: `1.2`, `-.5`, `3`.
fn number(tenths: i64) -> String {
    let (sign, size) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
    match (size / 10, size % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, part) => format!("{sign}.{part}"),
        (whole, part) => format!("{sign}{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_parts_are_joined() {
        let mut pen = Pen::default();
        pen.go(1.0, 5.0);
        for x in [2.0, 3.0, 4.5] {
            pen.draw(x, 5.0);
        }
        pen.draw(4.5, 3.0);
        pen.draw(5.0, 2.5);
        assert_eq!(pen.finish(), "M1 5h3.5v-2l.5-.5");
    }

    #[test]
    fn a_long_path_does_not_drift() {
        let mut pen = Pen::default();
        pen.go(0.0, 0.0);
        for step in 1..=100 {
            // Each step is less than half of what is told apart.
            pen.draw(f64::from(step) * 0.04, 0.0);
        }
        assert_eq!(pen.finish(), "M0 0h4");
    }
}
