//! When each request is due: an iterator of instants for every shape and every kind of arrivals.
//!
//! Pure and reproducible: shape, arrivals, seed and length are all that it depends on. The rate is
//! exact on average: the instants are the inverse of the integral of the rate, at whole numbers for
//! even arrivals and at sums of unit exponentials for Poisson ones (time rescaling: Daley and
//! Vere-Jones, An Introduction to the Theory of Point Processes I, section 7.4).

use harness_core::plan::{Arrivals, Shape};
use harness_core::units::Duration;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// The stream of the plan's seed from which Poisson arrivals are drawn.
const STREAM_ARRIVALS: u64 = 1;

/// Nanoseconds since the load's start at which requests are due, ascending, all before `length`.
#[derive(Debug)]
pub struct Schedule {
    instants: Instants,
    length_ns: u64,
}

#[derive(Debug)]
enum Instants {
    Rated { curve: Curve, count: Count },
    Recorded { offsets_us: Vec<u64>, next: usize },
}

/// The expected number of arrivals up to the next one.
#[derive(Debug)]
enum Count {
    Even { next: u64 },
    Poisson { rng: Box<ChaCha8Rng>, sum: f64 },
}

impl Schedule {
    /// The instants of one trial.
    pub fn new(shape: &Shape, arrivals: Arrivals, seed: u64, length_ns: u64) -> Self {
        let instants = if let Shape::Recorded { offsets_us } = shape {
            Instants::Recorded { offsets_us: offsets_us.clone(), next: 0 }
        } else {
            Instants::Rated { curve: Curve::new(shape), count: Count::new(arrivals, seed) }
        };
        Self { instants, length_ns }
    }

    /// Requests that are expected in all: the integral of the rate, or the recorded ones; of users
    /// as many as they send when no answer takes any time.
    pub fn expected(shape: &Shape, length_ns: u64) -> f64 {
        match shape {
            Shape::Recorded { offsets_us } => {
                offsets_us.iter().filter(|us| us.saturating_mul(1000) < length_ns).count() as f64
            }
            Shape::Constant { .. }
            | Shape::Ramp { .. }
            | Shape::Steps { .. }
            | Shape::Spike { .. } => Curve::new(shape).count_until(length_ns as f64 / 1e9),
            Shape::Journeys(journeys) => {
                let length = Duration::from_micros(length_ns / 1000);
                journeys.expected_until(length, Duration::ZERO)
            }
        }
    }
}

impl Count {
    fn new(arrivals: Arrivals, seed: u64) -> Self {
        match arrivals {
            Arrivals::Constant => Self::Even { next: 0 },
            Arrivals::Poisson => {
                let mut rng = Box::new(ChaCha8Rng::seed_from_u64(seed));
                rng.set_stream(STREAM_ARRIVALS);
                Self::Poisson { rng, sum: 0.0 }
            }
        }
    }

    fn advance(&mut self) -> f64 {
        match self {
            Self::Even { next } => {
                *next += 1;
                (*next - 1) as f64
            }
            Self::Poisson { rng, sum } => {
                let gap: f64 = Exp1.sample(rng);
                *sum += gap;
                *sum
            }
        }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let at = match &mut self.instants {
            Instants::Rated { curve, count } => nanos(curve.time_of(count.advance())?),
            Instants::Recorded { offsets_us, next } => {
                let at = offsets_us.get(*next)?.saturating_mul(1000);
                *next += 1;
                at
            }
        };
        (at < self.length_ns).then_some(at)
    }
}

/// Whole nanoseconds; beyond what fits, the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and no instant is before the start"
)]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// A rate over time, made of pieces in which it is linear, with its integral and the inverse.
#[derive(Debug)]
struct Curve {
    pieces: Vec<Piece>,
    /// The piece in which the last answer lay; questions ascend.
    at: usize,
}

#[derive(Debug)]
struct Piece {
    start: f64,
    /// Seconds; the last piece never ends.
    length: f64,
    rate: f64,
    /// Change of the rate per second.
    slope: f64,
    /// The integral up to `start`.
    count: f64,
}

impl Piece {
    fn count_in(&self, seconds: f64) -> f64 {
        seconds * (self.rate + 0.5 * self.slope * seconds)
    }

    /// Seconds after `start` at which the integral has grown by `count`: the stable root of the
    /// quadratic. `None` when it never does.
    fn seconds_for(&self, count: f64) -> Option<f64> {
        let root = self.rate.mul_add(self.rate, 2.0 * self.slope * count).max(0.0).sqrt();
        let divisor = self.rate + root;
        if count <= 0.0 {
            return (divisor > 0.0 || self.slope > 0.0).then_some(0.0);
        }
        (divisor > 0.0).then(|| (2.0 * count / divisor).min(self.length))
    }
}

impl Curve {
    fn new(shape: &Shape) -> Self {
        let mut curve = Self { pieces: Vec::new(), at: 0 };
        match shape {
            Shape::Constant { rate } => curve.push(f64::INFINITY, rate.per_second(), 0.0),
            Shape::Ramp { from, to, over } => {
                let (from, to, over) = (from.per_second(), to.per_second(), over.secs_f64());
                if over > 0.0 {
                    curve.push(over, from, (to - from) / over);
                }
                curve.push(f64::INFINITY, to, 0.0);
            }
            Shape::Steps { steps } => {
                for (index, step) in steps.iter().enumerate() {
                    let last = index + 1 == steps.len();
                    let length = if last { f64::INFINITY } else { step.lasts.secs_f64() };
                    curve.push(length, step.rate.per_second(), 0.0);
                }
            }
            Shape::Spike { base, peak, at, lasts } => {
                curve.push(at.secs_f64(), base.per_second(), 0.0);
                curve.push(lasts.secs_f64(), peak.per_second(), 0.0);
                curve.push(f64::INFINITY, base.per_second(), 0.0);
            }
            // Nothing is due by a rate.
            Shape::Recorded { .. } | Shape::Journeys(_) => {}
        }
        curve
    }

    fn push(&mut self, length: f64, rate: f64, slope: f64) {
        let (start, count) = self.pieces.last().map_or((0.0, 0.0), |last| {
            (last.start + last.length, last.count + last.count_in(last.length))
        });
        self.pieces.push(Piece { start, length, rate, slope, count });
    }

    /// Seconds at which the integral reaches `count`, which never falls from call to call; `None`
    /// when it never does.
    fn time_of(&mut self, count: f64) -> Option<f64> {
        while self.pieces.get(self.at + 1).is_some_and(|next| next.count <= count) {
            self.at += 1;
        }
        let piece = self.pieces.get(self.at)?;
        piece.seconds_for(count - piece.count).map(|seconds| piece.start + seconds)
    }

    fn count_until(&self, seconds: f64) -> f64 {
        self.pieces
            .iter()
            .filter(|piece| piece.start < seconds)
            .map(|piece| piece.count_in((seconds - piece.start).min(piece.length)))
            .sum()
    }
}

#[cfg(test)]
mod tests;
