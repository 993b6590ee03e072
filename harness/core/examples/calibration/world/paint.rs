//! Draws a trial from a law: puts into its evidence what a run would have recorded.

use harness_core::event::InvalidReason;
use harness_core::evidence::Latencies;
use harness_core::history::{EarlierRun, History, RunValue};
use harness_core::ids::{ExpectationId, RunId};
use harness_core::time::RunTime;
use harness_core::units::Duration;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Beta, Binomial, Distribution, StandardNormal, StandardUniform};

use super::cost;
use super::family::{
    CHANGE_SPREAD, CORRELATION, DUE, EARLIER_RUNS, Family, LATENCY_BETWEEN, LATENCY_TAIL,
    LATENCY_WITHIN, LOGIT_SPREAD, MEAN_CORRELATION, MEASURED, PAGED_TWICE, REACTION_TAIL,
    RUN_SPREAD, RUN_TRIAL_SPREAD, TIME_SPREAD, WORSENING_SCALE, WORSENING_SPREAD,
};
use super::plan::{KINDS, PROBE_EVERY, ms};
use super::trial::{BASELINE, FAULT, PER_WINDOW, RECOVERY, Trial};
use super::truth::{beta_shapes, logistic, normal};

/// A recovery that takes longer is mostly ended by a guardrail, in seconds.
const ABORTED_AFTER: f64 = 1.2;
const ABORTED_SHARE: f64 = 0.7;
/// What everything drifts by from the baseline to the fault phase, as a logarithm.
const DRIFT: f64 = -0.105;

/// Random numbers of one run.
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    pub(super) fn uniform(&mut self) -> f64 {
        StandardUniform.sample(&mut self.0)
    }

    pub(super) fn chance(&mut self, of: f64) -> bool {
        self.uniform() < of
    }

    pub(super) fn beta(&mut self, [a, b]: [f64; 2]) -> f64 {
        Beta::new(a, b).expect("both shapes are positive").sample(&mut self.0)
    }

    fn binomial(&mut self, whole: u64, chance: f64) -> u64 {
        let law = Binomial::new(whole, chance).expect("a chance lies between 0 and 1");
        law.sample(&mut self.0)
    }
}

/// Puts into a trial what the law gives at this level, `z` being the trial's own deviation
/// (standard normal, higher is worse).
pub(super) fn paint(family: Family, trial: &mut Trial, level: f64, z: f64, draws: &mut Draws) {
    let [inject, effective, reverted] = trial.instants();
    match family {
        Family::SuccessRate | Family::ErrorBudget => {
            success(trial, correlated(logistic(level), CORRELATION, draws), draws);
        }
        Family::MeanRate => {
            success(trial, correlated(logistic(level), MEAN_CORRELATION, draws), draws);
        }
        Family::SuccessRateShared => success(trial, logistic(level - LOGIT_SPREAD * z), draws),
        Family::Latency | Family::LatencyTail => latency(family, trial, level, z, draws),
        Family::Restore | Family::RestoreAborted | Family::MeanRestore => {
            let took = (-level + TIME_SPREAD * z).exp();
            outage(trial, RECOVERY, reverted + secs(took));
            let is_long = took > ABORTED_AFTER && family == Family::RestoreAborted;
            if is_long && draws.chance(ABORTED_SHARE) {
                trial.invalid(InvalidReason::Aborted, false);
            }
        }
        Family::Mitigate => {
            outage(trial, FAULT, effective + secs((-level + TIME_SPREAD * z).exp()));
        }
        Family::Detection => {
            let at = effective + secs((-level + TIME_SPREAD * z).exp());
            if at < trial.at(4100) {
                trial.alert(at, "Burn");
                if level.is_finite() && draws.chance(PAGED_TWICE) {
                    trial.alert(at + ms(50), "Burn");
                }
            }
        }
        Family::Quiet if z > level => trial.alert(inject + ms(200), "Burn"),
        Family::Invariant => {
            let lost = if z > level { 1 + draws.binomial(20, 0.3) } else { 0 };
            trial.ids(440, lost);
        }
        Family::Degradation => {
            let change = -level - WORSENING_SCALE * (WORSENING_SPREAD * -z).exp();
            changed(trial, change, draws);
        }
        Family::DegradationDrift => {
            changed(trial, DRIFT - level + CHANGE_SPREAD * z, draws);
        }
        Family::Acts => {
            let took = (-level).exp() * (1.0 - normal(z)).powf(-1.0 / REACTION_TAIL);
            let at = effective + secs(took);
            if at < trial.at(4100) {
                trial.action(at, "breaker", "open");
            }
        }
        Family::StaysQuiet if z > level => trial.action(inject + ms(100), "breaker", "open"),
        Family::ExactlyOnce => {
            let times = if z <= level { 1 } else { 2 * u64::from(draws.chance(0.5)) };
            for time in 1..=times {
                trial.action(inject + ms(100 * time), "breaker", "open");
            }
        }
        Family::Never | Family::KillSwitch | Family::Blind if z > level => {
            trial.action(inject + ms(100), "breaker", "restart");
        }
        Family::Quiet | Family::StaysQuiet | Family::Never | Family::KillSwitch | Family::Blind => {
        }
        Family::Regression => trial.alert(effective + secs(run_time(-level, z)), "Burn"),
        Family::CostRate
        | Family::CostRateUnseen
        | Family::CostCapped
        | Family::CostPerSuccess
        | Family::CostTotal => cost::paint(family, trial, level, z, draws),
        Family::Telemetry => telemetry(trial, logistic(level - LOGIT_SPREAD * z), draws),
    }
}

/// A trial's own chance that a request is good.
fn correlated(mean: f64, correlation: f64, draws: &mut Draws) -> f64 {
    if mean < 1.0 { draws.beta(beta_shapes(mean, correlation)) } else { 1.0 }
}

/// The time of a trial in a run of this level, on the logarithmic scale.
fn run_time(level: f64, z: f64) -> f64 {
    /// The middle one, in seconds.
    const MIDDLE: f64 = 0.3;
    MIDDLE * (level + RUN_TRIAL_SPREAD * z).exp()
}

/// What earlier runs of so many trials measured, each with a level of its own.
pub(super) fn history(trials: u32, draws: &mut Draws) -> History {
    let run = |number: u32, draws: &mut Draws| {
        let level = RUN_SPREAD * draws.normal();
        let mut times: Vec<f64> = (0..trials).map(|_| run_time(level, draws.normal())).collect();
        times.sort_by(f64::total_cmp);
        let last = times.len() - 1;
        let value = RunValue {
            name: "time to detect".to_owned(),
            unit: "s".to_owned(),
            median: Some(f64::midpoint(times[last / 2], times[last.div_ceil(2)])),
            trials,
        };
        EarlierRun {
            run: RunId::new(format!("run-{number:02}")),
            plan_sha256: String::new(),
            values: [(ExpectationId::new(MEASURED), value)].into(),
        }
    };
    let runs = (0..EARLIER_RUNS).map(|number| run(number, draws)).collect();
    History { runs, ..History::default() }
}

/// The placebo trial that a fault trial is compared with: it drifts, and nothing else.
pub(super) fn paint_placebo(trial: &mut Trial, draws: &mut Draws) {
    let change = DRIFT + CHANGE_SPREAD * draws.normal();
    changed(trial, change, draws);
}

fn secs(secs: f64) -> Duration {
    /// Longer than any trial.
    const SECS_MAX: f64 = 3600.0;
    std::time::Duration::from_secs_f64(secs.min(SECS_MAX)).into()
}

/// Requests that are good with the trial's own chance.
pub(super) fn success(trial: &mut Trial, chance: f64, draws: &mut Draws) {
    for window in FAULT {
        let good = draws.binomial(PER_WINDOW, chance);
        trial.requests(window, KINDS[0], good, Latencies::default());
    }
}

fn latency(family: Family, trial: &mut Trial, level: f64, z: f64, draws: &mut Draws) {
    let shift = -level + LATENCY_BETWEEN * z;
    for window in FAULT {
        let one = |_| {
            let log = match family {
                Family::LatencyTail => -(1.0 - draws.uniform()).ln() / LATENCY_TAIL,
                _ => LATENCY_WITHIN * draws.normal(),
            };
            (secs((shift + log).exp()), 1)
        };
        let latencies = (0..PER_WINDOW).map(one).collect();
        trial.requests(window, KINDS[1], PER_WINDOW, latencies);
    }
}

/// A window of both kinds of requests, all good, each with a latency of its own.
pub(super) fn busy(trial: &mut Trial, window: u32, draws: &mut Draws) {
    for kind in KINDS {
        let one = |_| (secs((LATENCY_WITHIN * draws.normal() - 4.0).exp()), 1);
        let latencies = (0..PER_WINDOW).map(one).collect();
        trial.requests(window, kind, PER_WINDOW, latencies);
    }
}

/// Windows that begin before a time are bad.
fn outage(trial: &mut Trial, windows: std::ops::Range<u32>, until: RunTime) {
    for window in windows {
        let good = if trial.at(100 * u64::from(window)) < until { 0 } else { PER_WINDOW };
        trial.requests(window, KINDS[0], good, Latencies::default());
    }
}

/// Latencies of a level of the trial's own in the baseline, and changed in the fault phase. All
/// requests move together, so the ratio of their medians is the change itself.
fn changed(trial: &mut Trial, change: f64, draws: &mut Draws) {
    let baseline = -4.0 + LATENCY_BETWEEN * draws.normal();
    for (windows, log) in [(BASELINE, baseline), (FAULT, baseline + change)] {
        let profile = |place: u64| (0.9 + place as f64 / 100.0) * log.exp();
        let latencies: Latencies = (0..PER_WINDOW).map(|place| (secs(profile(place)), 1)).collect();
        for window in windows {
            trial.requests(window, KINDS[1], PER_WINDOW, latencies.clone());
        }
    }
}

fn telemetry(trial: &mut Trial, chance: f64, draws: &mut Draws) {
    for number in 0..u64::from(DUE) {
        if draws.chance(chance) {
            let at = trial.at(500) + PROBE_EVERY.times(number) + ms(1);
            trial.observed(at);
        }
    }
}
