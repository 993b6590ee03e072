//! What earlier runs of a scenario measured, gathered from the run store when a run begins.
//!
//! Verdicts are read where they are stored, and made again from the ground data where they are not.
//! A run that cannot be read is left out: it is no reason not to run.

use harness_core::history::{EarlierRun, History, RUNS_MAX, is_family};
use harness_core::plan::Plan;
use harness_core::verdict::Verdict;
use harness_engine::store::{RunDir, RunStore, StoreError};

use crate::stored::Stored;

/// Directories that are looked at, from the latest on.
const LOOKED_AT_MAX: usize = 1000;

/// The history of a run that begins now.
pub(crate) fn gather(store: &RunStore, plan: &Plan, now: &RunDir) -> Result<History, StoreError> {
    let before = store.list()?.into_iter().rev().filter(|run| run.id() < now.id());
    let mut runs: Vec<EarlierRun> =
        before.take(LOOKED_AT_MAX).filter_map(|run| left_by(run, plan)).take(RUNS_MAX).collect();
    runs.reverse();
    Ok(History { runs, ..History::default() })
}

/// What a run of the plan's family left, when it is over.
fn left_by(run: RunDir, plan: &Plan) -> Option<EarlierRun> {
    let earlier = run.plan().ok().filter(|earlier| is_family(earlier, plan))?;
    if run.is_alive() {
        return None;
    }
    let stored = std::fs::read(run.path().join(RunDir::VERDICT))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Verdict>(&bytes).ok())
        .filter(|verdict| verdict.plan_sha256 == earlier.sha256());
    let id = run.id().clone();
    let verdict = match stored {
        Some(verdict) => verdict,
        None => Stored::read(run).ok()?.verdict(),
    };
    EarlierRun::of(&id, &verdict)
}

#[cfg(test)]
mod tests {
    use harness_core::evidence::Evidence;
    use harness_core::exit::EndOfRun;
    use harness_core::ids::ArmName;
    use harness_core::judge::judge;
    use harness_core::time::WallTime;
    use harness_core::verdict::{Measured, TrialJudgement, TrialState};
    use harness_engine::store::Lock;

    use super::*;
    use crate::args::{self, Colour};
    use crate::scenario;

    /// When the first run of a store began, in milliseconds.
    const WALL: i64 = 1_795_358_762_000;

    fn plan() -> Plan {
        let file = "payments-outage".to_owned();
        let (set, with) = (Vec::new(), Vec::new());
        let (seed, trials, placebo) = (Some(1), Some(2), None);
        let mode = Some(args::Mode::Observed);
        let arguments = args::Scenario { file, set, with, trials, placebo, mode, seed };
        scenario::plan(&arguments, Colour::Never)
            .unwrap_or_else(|_| panic!("the catalogue is valid"))
    }

    /// A store in which each run begins a second after the one before it.
    struct Store {
        _directory: tempfile::TempDir,
        runs: RunStore,
        begun: i64,
    }

    impl Store {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let runs = RunStore::new(directory.path().join("runs"));
            Self { _directory: directory, runs, begun: 0 }
        }

        fn begin(&mut self, plan: &Plan) -> (RunDir, Lock) {
            self.begun += 1;
            self.runs.create(plan, WallTime(WALL + 1000 * self.begun)).unwrap()
        }

        /// A run that has ended so, with a verdict.
        fn ended(&mut self, plan: &Plan, end: EndOfRun) -> RunDir {
            let (run, _lock) = self.begin(plan);
            write(&run, &verdict(plan, end));
            run
        }

        fn completed(&mut self, plan: &Plan) -> RunDir {
            self.ended(plan, EndOfRun::Completed)
        }

        /// The runs that count for one of this plan that begins now.
        fn gathered(&mut self, plan: &Plan) -> History {
            let (now, _lock) = self.begin(plan);
            gather(&self.runs, plan, &now).unwrap()
        }
    }

    fn verdict(plan: &Plan, end: EndOfRun) -> Verdict {
        let evidence = Evidence {
            started: WallTime(WALL),
            end: Some(end),
            leftovers: Vec::new(),
            put_back_late: Vec::new(),
            history: History::default(),
            trials: Vec::new(),
        };
        judge(plan, &evidence)
    }

    fn write(run: &RunDir, verdict: &Verdict) {
        run.write(RunDir::VERDICT, &serde_json::to_vec(verdict).unwrap()).unwrap();
    }

    fn names(history: &History) -> Vec<&str> {
        history.runs.iter().map(|run| run.run.as_str()).collect()
    }

    #[test]
    fn completed_runs_of_the_family_count_oldest_first() {
        let (mut store, plan) = (Store::new(), plan());
        let first = store.completed(&plan);
        let second = store.completed(&Plan { seed: 2, ..plan.clone() });
        let third = store.completed(&plan);
        let history = store.gathered(&plan);
        let expected = [first, second, third];
        assert_eq!(names(&history), expected.each_ref().map(|run| run.id().as_str()));
        assert_eq!(history.runs[0].plan_sha256, plan.sha256());
    }

    #[test]
    fn what_says_nothing_about_this_run_does_not_count() {
        let (mut store, plan) = (Store::new(), plan());
        let with = |change: fn(&mut Plan)| {
            let mut other = plan.clone();
            change(&mut other);
            other
        };
        store.completed(&with(|plan| plan.scenario.name = "another".into()));
        store.completed(&with(|plan| plan.system.environment = "staging".into()));
        store.completed(&with(|plan| {
            plan.system.defects.insert("breaker".into(), "off".into());
        }));
        // A calibration.
        store.completed(&with(|plan| {
            for trial in &mut plan.trials.planned {
                trial.arm = ArmName::new("placebo");
            }
        }));
        store.ended(&plan, EndOfRun::Errored { because: "the disk was full".into() });
        let unreadable = store.completed(&plan);
        unreadable.write(RunDir::PLAN, b"{}").unwrap();
        // Neither a verdict nor what it is made of.
        store.begin(&plan);
        // A verdict on another plan, and nothing of its own to be judged.
        let (stale, _) = store.begin(&plan);
        let other = Plan { seed: 2, ..plan.clone() };
        write(&stale, &verdict(&other, EndOfRun::Completed));
        let (alive, _lock) = store.begin(&plan);
        write(&alive, &verdict(&plan, EndOfRun::Completed));
        assert_eq!(names(&store.gathered(&plan)), [""; 0]);
    }

    #[test]
    fn a_later_run_is_no_history() {
        let (mut store, plan) = (Store::new(), plan());
        let (now, _lock) = store.begin(&plan);
        store.completed(&plan);
        assert_eq!(gather(&store.runs, &plan, &now).unwrap(), History::default());
    }

    #[test]
    fn the_median_over_the_trials_that_could_be_told_is_kept() {
        let (mut store, plan) = (Store::new(), plan());
        let (run, lock) = store.begin(&plan);
        let mut verdict = verdict(&plan, EndOfRun::Completed);
        let judgement = verdict.judgements.iter_mut().find(|one| one.family == "latency").unwrap();
        let id = judgement.id.clone();
        judgement.measured = Some(Measured {
            name: "p99 latency".into(),
            unit: "s".into(),
            bound: 1.0,
            bound_is_upper: true,
            median: Some(1.0),
            worst: Some(1.5),
            censored: 0,
        });
        let states = [TrialState::Ok, TrialState::Bad, TrialState::Ambiguous, TrialState::Excluded];
        judgement.trials = (0..)
            .zip(states)
            .map(|(index, state)| TrialJudgement {
                trial: harness_core::ids::TrialIndex(index),
                state,
                value: Some(f64::from(index) + 0.5),
                censored_at: None,
                because: String::new(),
            })
            .collect();
        write(&run, &verdict);
        drop(lock);
        let history = store.gathered(&plan);
        let value = &history.runs[0].values[&id];
        assert_eq!((value.median, value.trials, value.unit.as_str()), (Some(1.0), 2, "s"));
        assert_eq!(value.name, "p99 latency");
    }

    #[test]
    fn the_last_runs_are_kept() {
        let (mut store, plan) = (Store::new(), plan());
        let first = store.completed(&plan);
        for _ in 0..RUNS_MAX {
            store.completed(&plan);
        }
        let history = store.gathered(&plan);
        assert_eq!(history.runs.len(), RUNS_MAX);
        assert_ne!(names(&history)[0], first.id().as_str());
    }
}
