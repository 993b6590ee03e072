//! The state machine against a small obedient world, and against one that is not.

use super::{Conductor, replay};
use crate::event::{
    AbortRequest, Command, Done, Event, Invalid, InvalidReason, Issued, Lost, WindowCounts,
};
use crate::exit::EndOfRun;
use crate::fault::{Effect, FaultError, Reverted};
use crate::ids::{CommandId, FaultId, TrialIndex};
use crate::journal::{Entry, What};
use crate::load::{LoadSummary, LoadTick};
use crate::plan::Plan;
use crate::plan::fixture::{ms, plan};
use crate::system::Processed;
use crate::time::{RunTime, WallTime};
use crate::topology::Topology;
use crate::units::Duration;

/// What the world does wrong.
#[derive(Default)]
struct Twist {
    /// Answers to commands of this name are replaced, so often.
    answers: Vec<(&'static str, Done, u32)>,
    /// Events from outside, at a time in ms.
    outside: Vec<(u64, Event)>,
    /// All requests fail from this time on, in ms.
    all_bad_from: Option<u64>,
    /// Reverts of this fault never answer: their deadline ends them.
    hangs: Option<&'static str>,
}

/// An obedient world in virtual time; every answer takes 10 ms.
struct World<'p> {
    plan: &'p Plan,
    conductor: Conductor<'p>,
    now: RunTime,
    due: Vec<(RunTime, Event)>,
    log: Vec<(RunTime, Command)>,
    entries: Vec<Entry>,
    load: Option<(CommandId, TrialIndex, RunTime)>,
    windows: u32,
    twist: Twist,
}

fn name(command: &Command) -> String {
    let text = format!("{command:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}

impl<'p> World<'p> {
    fn run(plan: &'p Plan, twist: Twist) -> Self {
        let mut world = Self {
            plan,
            conductor: Conductor::new(plan),
            now: RunTime::START,
            due: vec![(RunTime::START, Event::Started { wall: WallTime(0) })],
            log: Vec::new(),
            entries: Vec::new(),
            load: None,
            windows: 0,
            twist,
        };
        for (at, event) in std::mem::take(&mut world.twist.outside) {
            world.due.push((RunTime::START + ms(at), event));
        }
        for _ in 0..200_000 {
            if world.conductor.is_finished() {
                assert_eq!(replay(plan, &world.entries), Ok(()));
                return world;
            }
            world.step();
        }
        panic!("the run does not end; last: {:?}", world.log.iter().rev().take(5));
    }

    fn step(&mut self) {
        let next = self.due.iter().enumerate().min_by_key(|(_, (at, _))| *at);
        let (place, _) = next.expect("the conductor always waits for something");
        let (at, event) = self.due.remove(place);
        self.now = self.now.max(at);
        self.record(What::Event(event.clone()));
        if let Event::Load(_) = event {
            self.next_window();
        }
        for issued in self.conductor.on_event(self.now, &event) {
            self.record(What::Command(issued.clone()));
            self.log.push((self.now, issued.command.clone()));
            self.obey(issued);
        }
    }

    fn record(&mut self, what: What) {
        self.entries.push(Entry { at: self.now, wall: WallTime(0), what });
    }

    fn next_window(&mut self) {
        let Some((_, trial, from)) = self.load else { return };
        let bad = self.twist.all_bad_from.is_some_and(|ms_| self.now > RunTime::START + ms(ms_));
        let (good, bad) = if bad { (0, 10) } else { (10, 0) };
        let start = from + ms(u64::from(self.windows) * 100);
        let window = WindowCounts {
            trial,
            index: self.windows,
            start,
            planned: 10,
            good,
            within: good,
            paused: false,
        };
        self.windows += 1;
        self.due.push((self.now, Event::Window(window)));
        let tick = LoadTick { due: 10, good, bad, ..LoadTick::default() };
        self.due.push((self.now + ms(100), Event::Load(tick)));
    }

    fn obey(&mut self, issued: Issued) {
        let (id, now) = (issued.id, self.now);
        let twisted = self
            .twist
            .answers
            .iter_mut()
            .find(|(what, _, often)| *often > 0 && *what == name(&issued.command));
        let outcome = match (twisted, issued.command) {
            (Some((_, outcome, often)), _) => {
                *often -= 1;
                outcome.clone()
            }
            (None, Command::Open) => Done::Opened(Topology::default()),
            (None, Command::Settle { .. }) => Done::Steady(Topology::default()),
            (None, Command::StartLoad { trial }) => {
                self.load = Some((id, trial, now));
                self.windows = 0;
                self.due.push((now + ms(100), Event::Load(LoadTick::default())));
                Done::LoadStarted { from: now }
            }
            (None, Command::StopLoad { .. }) => {
                let Some((load, _, _)) = self.load.take() else { return };
                let ended = Done::LoadEnded(summary());
                self.due.push((now + ms(10), Event::Done { command: load, outcome: ended }));
                return;
            }
            (None, Command::Arm { .. }) => Done::Armed,
            (None, Command::Inject { .. }) => {
                Done::Injected { began: now, effect: Effect::InPlace }
            }
            (None, Command::AwaitEffective { .. }) => {
                Done::Effective { since: now, seen: String::new() }
            }
            (None, Command::Revert { fault, .. }) if self.twist.hangs == Some(fault.as_str()) => {
                let within = self.plan.deadlines.revert;
                let error = FaultError::TimedOut { step: "revert".into(), within };
                let outcome = Done::FaultFailed(error);
                self.due.push((now + within, Event::Done { command: id, outcome }));
                return;
            }
            (None, Command::Revert { .. }) => Done::Reverted { began: now, how: Reverted::PutBack },
            (None, Command::AwaitReverted { .. }) => {
                Done::ProvenReverted { since: now, seen: String::new() }
            }
            (None, Command::Collect { .. }) => Done::Collected(Processed::default()),
            (None, Command::Close) => Done::Closed,
            (None, Command::Wake { at }) => {
                self.due.push((at, Event::Woke { command: id }));
                return;
            }
            (
                None,
                Command::TrialBegins { .. }
                | Command::PhaseBegins { .. }
                | Command::PlaceboMark { .. }
                | Command::TrialEnds { .. }
                | Command::End { .. },
            ) => return,
        };
        self.due.push((now + ms(10), Event::Done { command: id, outcome }));
    }

    fn names(&self) -> Vec<String> {
        self.log.iter().map(|(_, command)| name(command)).filter(|name| name != "Wake").collect()
    }

    fn end(&self) -> (EndOfRun, Vec<(TrialIndex, FaultId)>) {
        match self.log.last() {
            Some((_, Command::End { end, leftovers })) => (end.clone(), leftovers.clone()),
            other => panic!("the last command is {other:?}"),
        }
    }

    fn invalid(&self, trial: u32) -> Vec<Invalid> {
        self.log
            .iter()
            .find_map(|(_, command)| match command {
                Command::TrialEnds { trial: ended, invalid } if ended.0 == trial => {
                    Some(invalid.clone())
                }
                _ => None,
            })
            .expect("the trial ended")
    }

    fn reasons(&self, trial: u32) -> Vec<(InvalidReason, bool)> {
        self.invalid(trial).iter().map(|known| (known.reason, known.before_injection)).collect()
    }
}

fn summary() -> LoadSummary {
    LoadSummary {
        due: 0,
        sent: 0,
        accepted: Vec::new(),
        unknown: Vec::new(),
        lag_us_p50: 0,
        lag_us_p99: 0,
        lag_us_max: 0,
        cpu_cores: 0.0,
        pauses: 0,
        paused: Duration::ZERO,
        traces: Vec::new(),
    }
}

fn failed() -> Done {
    Done::FaultFailed(FaultError::Failed { action: "x".into(), why: "y".into() })
}

#[test]
fn a_fault_trial_goes_through_its_phases() {
    let plan = plan(&["fault"]);
    let world = World::run(&plan, Twist::default());
    insta::assert_snapshot!(world.names().join(" "), @"Open Settle TrialBegins StartLoad PhaseBegins PhaseBegins Arm Arm PhaseBegins Inject AwaitEffective Inject AwaitEffective Revert AwaitReverted Revert PhaseBegins AwaitReverted PhaseBegins StopLoad Collect TrialEnds Close End");
    assert_eq!(world.end(), (EndOfRun::Completed, Vec::new()));
    assert!(world.invalid(0).is_empty());
}

#[test]
fn a_placebo_trial_has_the_times_and_no_fault() {
    let plan = plan(&["placebo"]);
    let world = World::run(&plan, Twist::default());
    let names = world.names();
    assert!(!names.iter().any(|name| name == "Inject" || name == "Arm"));
    assert_eq!(names.iter().filter(|name| *name == "PlaceboMark").count(), 4);
    assert!(world.invalid(0).is_empty());
}

#[test]
fn an_unsteady_system_excludes_the_trial_and_a_spare_takes_its_place() {
    let plan = plan(&["fault"]);
    let unsteady = Done::Unsteady { missing: vec!["checkout 2/3".into()] };
    let world =
        World::run(&plan, Twist { answers: vec![("Settle", unsteady, 1)], ..Twist::default() });
    assert_eq!(world.reasons(0), [(InvalidReason::NotSteady, true)]);
    assert!(world.invalid(100).is_empty());
}

#[test]
fn a_bad_baseline_excludes_the_trial_before_anything_is_armed() {
    let mut plan = plan(&["fault"]);
    plan.trials.spare.clear();
    plan.safety.guardrails.clear();
    let world = World::run(&plan, Twist { all_bad_from: Some(0), ..Twist::default() });
    assert_eq!(world.reasons(0), [(InvalidReason::BaselineNotSteady, true)]);
    assert!(!world.names().contains(&"Arm".to_owned()));
}

#[test]
fn an_abort_reverts_at_once_newest_first_and_nothing_else_follows() {
    let plan = plan(&["fault", "fault"]);
    let abort = Event::Abort(AbortRequest::Signal { count: 1 });
    let world = World::run(&plan, Twist { outside: vec![(1300, abort)], ..Twist::default() });
    let after: Vec<_> =
        world.log.iter().skip_while(|(at, _)| *at < RunTime::START + ms(1300)).collect();
    assert!(
        matches!(&after[0].1, Command::Revert { fault, .. } if fault.as_str() == "second"),
        "{after:?}"
    );
    assert_eq!(after[0].0, RunTime::START + ms(1300));
    for (_, command) in &after {
        let name = name(command);
        assert!(
            ["Revert", "AwaitReverted", "StopLoad", "TrialEnds", "Close", "End"]
                .contains(&name.as_str()),
            "{name}"
        );
    }
    assert_eq!(world.reasons(0), [(InvalidReason::Aborted, false)]);
    assert_eq!(world.end(), (EndOfRun::Aborted { because: "interrupted".into() }, Vec::new()));
}

#[test]
fn a_revert_that_hangs_holds_up_the_others_for_one_deadline() {
    let plan = plan(&["fault"]);
    let abort = Event::Abort(AbortRequest::Signal { count: 1 });
    let twist = Twist { outside: vec![(1300, abort)], hangs: Some("second"), ..Twist::default() };
    let world = World::run(&plan, twist);
    let reverts: Vec<(u64, &str)> = world
        .log
        .iter()
        .filter_map(|(at, command)| match command {
            Command::Revert { fault, .. } => {
                Some((at.since(RunTime::START).millis(), fault.as_str()))
            }
            _ => None,
        })
        .collect();
    let deadline = plan.deadlines.revert.millis();
    assert_eq!(reverts[..2], [(1300, "second"), (1300 + deadline, "first")], "newest first");
    let again: Vec<&str> = reverts[2..].iter().map(|(_, fault)| *fault).collect();
    assert_eq!(again, ["second", "second"], "it is tried again after the others");
    assert_eq!(world.end().1, [(TrialIndex(0), FaultId::new("second"))]);
}

#[test]
fn an_abort_while_injecting_reverts_without_waiting_for_the_answer() {
    let plan = plan(&["fault"]);
    let begin = World::run(&plan, Twist::default());
    let (at, _) =
        begin.log.iter().find(|(_, c)| matches!(c, Command::Inject { .. })).unwrap().clone();
    let lost = Event::Lost(Lost::Watchdog { why: "gone".into() });
    let when = at.since(RunTime::START).millis() + 1;
    let world = World::run(&plan, Twist { outside: vec![(when, lost)], ..Twist::default() });
    let reverts = world.names().iter().filter(|name| *name == "Revert").count();
    assert_eq!(reverts, 2, "the armed one is paid, too");
    assert_eq!(world.end().1, Vec::new());
}

#[test]
fn a_fault_that_is_not_seen_makes_the_trial_ambiguous_and_is_reverted() {
    let plan = plan(&["fault"]);
    let unseen = Done::NotEffective { seen: "answers 200".into() };
    let world = World::run(
        &plan,
        Twist { answers: vec![("AwaitEffective", unseen, 1)], ..Twist::default() },
    );
    assert_eq!(world.reasons(0), [(InvalidReason::NotEffective, false)]);
    assert_eq!(world.end(), (EndOfRun::Completed, Vec::new()));
}

#[test]
fn a_fault_that_cannot_be_armed_excludes_the_trial() {
    let mut plan = plan(&["fault"]);
    plan.trials.spare.clear();
    let world =
        World::run(&plan, Twist { answers: vec![("Arm", failed(), 1)], ..Twist::default() });
    assert_eq!(world.reasons(0), [(InvalidReason::NotInjected, true)]);
    assert!(!world.names().contains(&"Inject".to_owned()));
    assert_eq!(world.names().iter().filter(|name| *name == "Revert").count(), 1);
}

#[test]
fn a_revert_that_fails_is_tried_again_and_at_last_named() {
    let plan = plan(&["fault", "fault"]);
    let once =
        World::run(&plan, Twist { answers: vec![("Revert", failed(), 2)], ..Twist::default() });
    assert_eq!(once.end(), (EndOfRun::Completed, Vec::new()));

    let unseen = Done::NotReverted { seen: "still refused".into() };
    let world = World::run(
        &plan,
        Twist { answers: vec![("AwaitReverted", unseen, 3)], ..Twist::default() },
    );
    let (end, leftovers) = world.end();
    assert!(matches!(end, EndOfRun::Aborted { .. }));
    assert_eq!(leftovers, [(TrialIndex(0), FaultId::new("first"))]);
    assert!(!world.names().iter().skip(20).any(|name| name == "Inject"), "no further attack");
}

#[test]
fn a_tripped_guardrail_aborts() {
    let plan = plan(&["fault"]);
    let world = World::run(&plan, Twist { all_bad_from: Some(1200), ..Twist::default() });
    let (end, leftovers) = world.end();
    let because = "guardrail tripped: success < 50% for 300ms".to_owned();
    assert_eq!(end, EndOfRun::Aborted { because });
    assert!(leftovers.is_empty());
}

#[test]
fn the_third_interrupt_leaves_and_names_what_is_owed() {
    let plan = plan(&["fault"]);
    let interrupt = |count| Event::Abort(AbortRequest::Signal { count });
    let outside = vec![(1300, interrupt(1)), (1301, interrupt(2)), (1302, interrupt(3))];
    let world = World::run(&plan, Twist { outside, ..Twist::default() });
    assert_eq!(world.end().1.len(), 2);
}

#[test]
fn enough_evidence_ends_the_run_as_completed() {
    let plan = plan(&["placebo", "placebo", "placebo"]);
    let first = World::run(&plan, Twist::default());
    let (at, _) = *first
        .log
        .iter()
        .find(|(_, command)| matches!(command, Command::TrialEnds { .. }))
        .map(|(at, command)| (at, command))
        .as_ref()
        .unwrap();
    let enough = Event::Enough { because: "early pass".into() };
    let outside = vec![(at.since(RunTime::START).millis() + 1, enough)];
    let world = World::run(&plan, Twist { outside, ..Twist::default() });
    let begun = world.names().iter().filter(|name| *name == "TrialBegins").count();
    assert_eq!((begun, world.end().0), (1, EndOfRun::Completed));
}
