//! One study: many runs of one plan in one world, judged, and the wrong verdicts counted.

use harness_core::event::InvalidReason;
use harness_core::evidence::Evidence;
use harness_core::exit::EndOfRun;
use harness_core::history::History;
use harness_core::judge::{StopDecision, judge, may_stop};
use harness_core::load::WINDOW;
use harness_core::plan::{Holds, Plan, StopRule};
use harness_core::time::WallTime;
use harness_core::units::Ratio;
use harness_core::verdict::Outcome;
use stats::calibrate::wrong_verdicts_max;
use stats::decision::Levels;

use super::family::{Family, MEASURED, RUN_SPREAD, measured};
use super::paint::{Draws, history, paint, paint_placebo};
use super::plan::{Expected, FAULT_ARM, PLACEBO_ARM, Size, plan};
use super::trial::Trial;

/// The share that every expectation claims, in percent and as a number.
const CLAIMED_PERCENT: u64 = 80;
pub(crate) const CLAIMED: f64 = 0.8;

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Study {
    /// What it shows, in words.
    pub(crate) words: String,
    /// The laws of a trial, each with the true share of trials that meet it.
    pub(crate) truths: Vec<(Family, f64)>,
    /// Correlation of the trial's own deviations among the laws.
    pub(crate) shared: f64,
    /// Trials of each arm that is judged: the planned number, or the declared maximum.
    pub(crate) trials: u32,
    pub(crate) stop: StopRule,
    /// The share of trials that are excluded, and that are ambiguous, whatever they show.
    pub(crate) invalid: f64,
    /// The share of good trials grows evenly over a run, by so much from its middle to its end.
    pub(crate) trend: f64,
    /// What must be seen.
    pub(crate) expected: Expectation,
}

/// What must be seen of a study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Expectation {
    /// At the boundary of the claim a pass is wrong (it is just false) and so is a fail (it is
    /// just true): each in one of twenty runs at most.
    BothWrong,
    /// A pass is wrong: one of the expectations does not hold.
    PassWrong,
    /// To call an expectation failed that holds is wrong.
    NamingWrong,
    /// A pass has exactly this chance.
    Power(f64),
    /// A pass has at least this chance.
    PowerAtLeast(f64),
    /// A fail has at least this chance.
    FailAtLeast(f64),
}

/// How the runs of a study ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) runs: u64,
    pub(crate) pass: u64,
    pub(crate) fail: u64,
    /// Runs in which an expectation that holds was called failed.
    pub(crate) named: u64,
    /// Counted trials of the first expectation, summed over the runs.
    pub(crate) cases: u64,
}

impl Study {
    /// Runs it so often. The same seed gives the same ends.
    pub(crate) fn run(&self, runs: u64, seed: u64) -> Ends {
        let plan = self.plan();
        let laws: Vec<Law> = self.truths.iter().map(|truth| self.law(*truth)).collect();
        let mut ends = Ends { runs, ..Ends::default() };
        for run in 0..runs {
            let mut draws = Draws::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(run));
            let evidence = self.evidence(&plan, &laws, &mut draws);
            let verdict = judge(&plan, &evidence);
            ends.pass += u64::from(verdict.outcome == Outcome::Pass);
            ends.fail += u64::from(verdict.outcome == Outcome::Fail);
            let judged = verdict.judgements.iter().zip(&laws);
            let named = judged.filter(|(judgement, law)| {
                judgement.outcome == Outcome::Fail && law.truth >= CLAIMED
            });
            ends.named += u64::from(named.count() > 0);
            ends.cases += u64::from(verdict.judgements[0].counts.n());
        }
        ends
    }

    /// Whether the judge is asked after every trial whether to go on, as the engine does.
    pub(crate) fn looks(&self) -> bool {
        let is_light = self.truths.iter().all(|(family, _)| family.is_light());
        self.stop == StopRule::Sequential && is_light
    }

    fn law(&self, (family, truth): (Family, f64)) -> Law {
        let middle = f64::from(self.trials - 1) / 2.0;
        let of = |number: u32| {
            let trend = self.trend * (f64::from(number) - middle) / middle;
            family.level(truth + trend)
        };
        let count = if self.trend == 0.0 { 1 } else { self.trials };
        Law { family, truth, levels: (0..count).map(of).collect() }
    }

    fn plan(&self) -> Plan {
        let expected = |(place, (family, _)): (usize, &(Family, f64))| Expected {
            id: format!("expectation{place}"),
            arm: family.arm(),
            assertion: family.assertion(),
            holds: family.holds(),
        };
        let size = Size { trials: self.trials, stop: self.stop };
        let mut all: Vec<Expected> = self.truths.iter().enumerate().map(expected).collect();
        if self.compares_runs() {
            all.push(Expected {
                id: MEASURED.to_owned(),
                arm: FAULT_ARM,
                assertion: measured(),
                holds: Holds::InAtLeast(Ratio::from_percent(CLAIMED_PERCENT)),
            });
        }
        plan(size, all)
    }

    fn compares_runs(&self) -> bool {
        self.truths.iter().any(|(family, _)| *family == Family::Regression)
    }

    /// Trial by trial, until the judge says stop or the planned number is reached. Where samples
    /// make a look after every trial too slow, all trials are drawn at once: the judge finds the
    /// stop in them by itself and leaves the rest aside.
    fn evidence(&self, plan: &Plan, laws: &[Law], draws: &mut Draws) -> Evidence {
        let mut evidence = Evidence {
            started: WallTime(0),
            end: Some(EndOfRun::Completed),
            leftovers: Vec::new(),
            put_back_late: Vec::new(),
            history: History::default(),
            trials: Vec::new(),
        };
        // What all trials of this run share, where runs are compared.
        let mut own = 0.0;
        if self.compares_runs() {
            evidence.history = history(self.trials, draws);
            own = RUN_SPREAD * draws.normal();
        }
        let looks = self.looks();
        for number in 0..self.trials {
            self.add_trial(&mut evidence, number, (laws, own), draws);
            if looks && may_stop(plan, &evidence) != StopDecision::GoOn {
                break;
            }
        }
        evidence
    }

    fn add_trial(
        &self,
        evidence: &mut Evidence,
        number: u32,
        (laws, run): (&[Law], f64),
        draws: &mut Draws,
    ) {
        let within_window = WINDOW.as_std().mul_f64(draws.uniform()).into();
        let is_placebo = laws.iter().any(|law| law.family.arm() == PLACEBO_ARM);
        let mut trial = Trial::new(2 * number, is_placebo, within_window);
        let common = draws.normal();
        for law in laws {
            let own = draws.normal();
            let z = self.shared.sqrt() * common + (1.0 - self.shared).sqrt() * own;
            paint(law.family, &mut trial, law.level(number) - run, z, draws);
        }
        let is_excluded = draws.chance(self.invalid);
        let is_ambiguous = !is_excluded && draws.chance(self.invalid);
        if is_excluded {
            trial.invalid(InvalidReason::NotSteady, true);
        } else if is_ambiguous {
            trial.invalid(InvalidReason::LoadLate, false);
        }
        evidence.trials.push(trial.evidence);
        if laws.iter().any(|law| law.family.is_paired()) {
            let mut placebo = Trial::new(2 * number + 1, true, within_window);
            paint_placebo(&mut placebo, draws);
            evidence.trials.push(placebo.evidence);
        }
    }

    /// What is not as it must be, allowing for the chance of the simulation itself: a true limit
    /// is called broken in one of ten thousand studies.
    pub(crate) fn broken(&self, ends: Ends) -> Option<String> {
        let level = Levels::FIVE_PERCENT;
        let (pass, fail) = (level.pass, level.fail);
        let above = |what: &str, seen: u64, chance: f64| {
            let most = most(ends.runs, chance);
            (seen > most).then(|| {
                format!("{}: {what} in {seen} of {} runs, at most {most}", self.words, ends.runs)
            })
        };
        let not_passed = ends.runs - ends.pass;
        match self.expected {
            Expectation::BothWrong => above("wrong pass", ends.pass, pass)
                .or_else(|| above("wrong fail", ends.fail, fail)),
            Expectation::PassWrong => above("wrong pass", ends.pass, pass),
            Expectation::NamingWrong => above("wrongly named", ends.named, fail),
            Expectation::Power(exact) => above("pass", ends.pass, exact)
                .or_else(|| above("no pass", not_passed, 1.0 - exact)),
            Expectation::PowerAtLeast(least) => above("no pass", not_passed, 1.0 - least),
            Expectation::FailAtLeast(least) => above("no fail", ends.runs - ends.fail, 1.0 - least),
        }
    }
}

/// The most of so many runs that have an end of this chance, but for one of ten thousand studies.
fn most(runs: u64, chance: f64) -> u64 {
    const FALSE_ALARM: f64 = 1e-4;
    if chance <= 0.0 {
        return 0;
    }
    if chance >= 1.0 { runs } else { wrong_verdicts_max(runs, chance, FALSE_ALARM) }
}

/// A law with its levels: one, or one for every trial of a run.
struct Law {
    family: Family,
    truth: f64,
    levels: Vec<f64>,
}

impl Law {
    fn level(&self, number: u32) -> f64 {
        self.levels[number as usize % self.levels.len()]
    }
}
