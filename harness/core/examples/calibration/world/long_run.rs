//! A run as long as the judge must cope with: many trials, each full of windows of samples.

use harness_core::evidence::Evidence;
use harness_core::exit::EndOfRun;
use harness_core::history::History;
use harness_core::plan::{Plan, StopRule};
use harness_core::time::WallTime;
use harness_core::units::Duration;

use super::family::Family;
use super::paint::{Draws, busy};
use super::plan::{Expected, Size, plan};
use super::trial::Trial;

/// Success rate, latency, restore, budget and degradation: all that read samples.
const JUDGED: [Family; 5] = [
    Family::SuccessRate,
    Family::Latency,
    Family::Restore,
    Family::ErrorBudget,
    Family::Degradation,
];

/// A plan and its evidence; four windows of ten lie in the fault phase.
pub(crate) fn long_run(trials: u32, windows: u32) -> (Plan, Evidence) {
    let expected = |family: Family| Expected {
        id: format!("{family:?}"),
        arm: family.arm(),
        assertion: family.assertion(),
        holds: family.holds(),
    };
    let plan =
        plan(Size { trials, stop: StopRule::Fixed }, JUDGED.into_iter().map(expected).collect());
    let mut draws = Draws::new(u64::from(trials));
    let mut evidence = Evidence {
        started: WallTime(0),
        end: Some(EndOfRun::Completed),
        leftovers: Vec::new(),
        put_back_late: Vec::new(),
        history: History::default(),
        trials: Vec::new(),
    };
    for number in 0..trials {
        let mut trial = Trial::new(2 * number, false, Duration::ZERO);
        let length = u64::from(windows) * 100;
        let fault_end = (length / 10 * 4).max(1600);
        trial.hold_fault([fault_end, length]);
        for window in 0..windows {
            busy(&mut trial, window, &mut draws);
        }
        evidence.trials.push(trial.evidence);
    }
    (plan, evidence)
}
