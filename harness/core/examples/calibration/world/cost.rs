//! The laws of what trials cost. A meter's sums only grow, and are read at a beat of their own: the
//! incident begins anywhere between two readings.

use harness_core::ids::SignalId;
use harness_core::plan::{Assertion, CostBound, Phase, WindowRange};
use harness_core::units::{Currency, Duration, Money, SpendRate};

use super::family::{Family, GOOD_LEAST, REQUESTS, TIME_SPREAD};
use super::paint::{Draws, success};
use super::plan::{METER, METER_EVERY, fault, ms};
use super::trial::Trial;
use super::truth::{beta_binomial_at_least, beta_shapes, normal};

/// The bound on a rate, in EUR/s, and for how long at the start of the window it does not bind.
const RATE_MAX: f64 = 2.0;
const GRACE_MS: u64 = 200;
/// What is spent in each second of the grace besides.
const RATE_IN_GRACE: f64 = 30.0;
/// Standard deviation of the log of a trial's highest rate; what goes on all the time is a part.
const RATE_SPREAD: f64 = 0.8;
const ALWAYS_PART: f64 = 0.25;
/// How long the highest rate lasts, and how much later than the grace it begins at most.
const BURST_MS: f64 = 500.0;
const BURST_LATEST_MS: f64 = 400.0;
/// How often a meter falls silent where the rate is above its bound.
const SILENT_SHARE: f64 = 0.7;
/// The rates of a runaway and without one, the bound on it, and when it must be capped.
const RUNAWAY_RATE: f64 = 10.0;
const CALM_RATE: f64 = 0.5;
const CAPPED_RATE_MAX: f64 = 1.5;
const CAPPED_MS: u64 = 3000;
/// A runaway is held until then, so that more is seen than the time to cap it.
const HELD_MS: u64 = 4600;
/// The bound for a good request, in millionths of EUR: with the fewest good ones of the success
/// rate, what is spent at level 0.
const PER_SUCCESS_MAX: u64 = 10_000;
const SPENT_SPREAD: f64 = 0.3;
/// The mean share of good requests, and the correlation among those of a trial.
const GOOD_MEAN: f64 = 0.95;
const GOOD_CORRELATION: f64 = 0.1;
/// The bound on all that is spent, in EUR, and the exponent of its heavy tail.
const TOTAL_MAX: u64 = 1;
const TOTAL_TAIL: f64 = 1.2;
const MICROS: u64 = 1_000_000;

/// A stretch of time after the load's start, in ms, with what each second of it costs, in EUR.
type Stretch = (f64, f64, f64);

/// What is asserted.
pub(super) fn assertion(family: Family) -> Assertion {
    let during = || WindowRange::phases("fault", Phase::Fault, Phase::Fault);
    let money = |micros| Money::from_micros(micros, Currency::EUR);
    let bound = match family {
        Family::CostCapped => CostBound::Capped {
            at_most: per_second(CAPPED_RATE_MAX),
            fault: fault(),
            within: ms(CAPPED_MS),
        },
        Family::CostPerSuccess => {
            CostBound::PerSuccess { at_most: money(PER_SUCCESS_MAX), during: during() }
        }
        Family::CostTotal => {
            CostBound::Total { at_most: money(TOTAL_MAX * MICROS), during: during() }
        }
        _ => {
            CostBound::Rate { at_most: per_second(RATE_MAX), grace: ms(GRACE_MS), during: during() }
        }
    };
    Assertion::Cost { signal: SignalId::new(METER), bound }
}

fn per_second(rate: f64) -> SpendRate {
    format!("{rate} EUR/s").parse().expect("it is written as in a scenario")
}

/// The chance that a trial of this level meets it.
pub(super) fn chance(family: Family, level: f64) -> f64 {
    match family {
        Family::CostCapped => normal((level + (CAPPED_MS as f64 / 1e3).ln()) / TIME_SPREAD),
        Family::CostPerSuccess => {
            let shapes = beta_shapes(GOOD_MEAN, GOOD_CORRELATION);
            let at_least = |good| beta_binomial_at_least(good, REQUESTS, shapes);
            (1..=REQUESTS)
                .map(|good| {
                    let mass = at_least(good) - at_least(good + 1);
                    let room = (f64::from(good) / f64::from(GOOD_LEAST)).ln() + level;
                    mass * normal(room / SPENT_SPREAD)
                })
                .sum()
        }
        Family::CostTotal => 1.0 - (1.0_f64).min((-level * TOTAL_TAIL).exp()),
        _ => normal((level + RATE_MAX.ln()) / RATE_SPREAD),
    }
}

/// Puts into a trial what its meter told, and the requests that it paid for.
pub(super) fn paint(family: Family, trial: &mut Trial, level: f64, z: f64, draws: &mut Draws) {
    match family {
        Family::CostCapped => capped(trial, (-level + TIME_SPREAD * z).exp(), draws),
        Family::CostPerSuccess => {
            let good = draws.beta(beta_shapes(GOOD_MEAN, GOOD_CORRELATION));
            success(trial, good, draws);
            let least = PER_SUCCESS_MAX * u64::from(GOOD_LEAST);
            let spent = least as f64 / MICROS as f64 * (-level + SPENT_SPREAD * z).exp();
            once(trial, spent, draws);
        }
        Family::CostTotal => {
            let spent = (-level).exp() * (1.0 - normal(z)).powf(-1.0 / TOTAL_TAIL);
            once(trial, TOTAL_MAX as f64 * spent, draws);
        }
        _ => rate(family, trial, (-level + RATE_SPREAD * z).exp(), draws),
    }
}

/// Some rate all the time, a lot more in the grace, and the highest one for a while after it.
fn rate(family: Family, trial: &mut Trial, highest: f64, draws: &mut Draws) {
    let [fault, grace_ends] = [500, 500 + GRACE_MS].map(|at| at as f64);
    let from = grace_ends + BURST_LATEST_MS * draws.uniform();
    let to = from + BURST_MS;
    let stretches = [
        (0.0, from, ALWAYS_PART * highest),
        (fault, grace_ends, RATE_IN_GRACE),
        (from, to, highest),
        (to, f64::INFINITY, ALWAYS_PART * highest),
    ];
    let is_silent =
        family == Family::CostRateUnseen && highest > RATE_MAX && draws.chance(SILENT_SHARE);
    meter(trial, &stretches, is_silent.then_some([from, to]), draws);
}

/// A runaway from when the fault is in force on, capped after so many seconds.
fn capped(trial: &mut Trial, took: f64, draws: &mut Draws) {
    trial.hold_fault([HELD_MS, HELD_MS + 300]);
    let [_, effective, _] = trial.instants();
    let from = effective.since(trial.at(0)).secs_f64() * 1e3;
    let to = from + took * 1e3;
    let stretches =
        [(0.0, from, CALM_RATE), (from, to, RUNAWAY_RATE), (to, f64::INFINITY, CALM_RATE)];
    meter(trial, &stretches, None, draws);
}

/// A sum that is spent somewhere within the fault phase.
fn once(trial: &mut Trial, spent: f64, draws: &mut Draws) {
    let from = 600.0 + 400.0 * draws.uniform();
    let lasts_ms = 400.0;
    meter(trial, &[(from, from + lasts_ms, spent * 1e3 / lasts_ms)], None, draws);
}

/// Reads the sum at every beat, but for a time of silence.
fn meter(trial: &mut Trial, stretches: &[Stretch], silent: Option<[f64; 2]>, draws: &mut Draws) {
    const END_MS: f64 = 4900.0;
    let first: Duration = METER_EVERY.as_std().mul_f64(draws.uniform()).into();
    for beat in 0.. {
        let after = first + METER_EVERY.times(beat);
        let at = after.secs_f64() * 1e3;
        if at > END_MS {
            break;
        }
        let sum = stretches
            .iter()
            .map(|(from, to, rate)| (at.min(*to) - from).max(0.0) / 1e3 * rate)
            .sum();
        let is_silent = silent.is_some_and(|[from, to]| from <= at && at <= to);
        trial.metered(after, (!is_silent).then_some(sum));
    }
}
