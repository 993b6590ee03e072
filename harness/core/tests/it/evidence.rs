//! A journal and samples become evidence.

use harness_core::event::{Command, Done, Event, Invalid, InvalidReason, Issued};
use harness_core::evidence::{Evidence, EvidenceBuilder};
use harness_core::exit::EndOfRun;
use harness_core::fault::{Effect, Reverted};
use harness_core::ids::{ArmName, CommandId, SignalId, TrialIndex};
use harness_core::journal::{Entry, What};
use harness_core::load::{LoadSummary, WINDOW, WindowSamples};
use harness_core::plan::Phase;
use harness_core::signal::{Observation, SignalEvent};
use harness_core::system::Processed;
use harness_core::time::{RunTime, WallTime};
use harness_core::units::Duration;

use crate::fixture::{fault, ms};

const TRIAL: TrialIndex = TrialIndex(0);

fn at(millis: u64) -> RunTime {
    RunTime::START + ms(millis)
}

/// A journal in the making: entries get their ids and times in the order of writing.
#[derive(Default)]
struct Journal {
    entries: Vec<Entry>,
    issued: u64,
}

impl Journal {
    fn command(&mut self, millis: u64, command: Command) -> CommandId {
        let id = CommandId(self.issued);
        self.issued += 1;
        self.write(millis, What::Command(Issued { id, command }));
        id
    }

    fn done(&mut self, millis: u64, command: CommandId, outcome: Done) {
        self.write(millis, What::Event(Event::Done { command, outcome }));
    }

    fn write(&mut self, millis: u64, what: What) {
        let wall = WallTime(i64::try_from(millis).unwrap());
        self.entries.push(Entry { at: at(millis), wall, what });
    }

    fn phase(&mut self, millis: u64, phase: Phase) {
        self.command(millis, Command::PhaseBegins { trial: TRIAL, phase });
    }

    fn evidence(&self, entries: usize) -> Evidence {
        let mut builder = EvidenceBuilder::new();
        for window in [1, 0, 1] {
            let start = at(1000) + WINDOW.times(u64::from(window));
            builder.samples(&WindowSamples::new(TRIAL, window, start));
        }
        for entry in &self.entries[..entries] {
            builder.entry(entry);
        }
        builder.finish()
    }
}

fn observed(millis: u64) -> What {
    let signal = SignalId::new("sentinel");
    let observation = Observation::Value { signal, at: at(millis), value: 1.0 };
    What::Event(Event::Signal(SignalEvent::Observed(observation)))
}

fn seen() -> String {
    "503".into()
}

fn summary() -> LoadSummary {
    LoadSummary {
        due: 7,
        sent: 7,
        accepted: vec![(0, 6)],
        unknown: Vec::new(),
        lag_us_p50: 1,
        lag_us_p99: 2,
        lag_us_max: 3,
        cpu_cores: 0.1,
        pauses: 0,
        paused: Duration::ZERO,
        traces: Vec::new(),
    }
}

/// A run of one fault trial, with a late second answer and an answer to nothing.
fn journal() -> Journal {
    let mut journal = Journal::default();
    let (trial, fault) = (TRIAL, fault);
    journal.write(0, What::Event(Event::Started { wall: WallTime(77) }));
    journal.command(0, Command::Open);
    journal.write(10, observed(10));
    journal.command(900, Command::TrialBegins { trial, arm: ArmName::new("fault") });
    let load = journal.command(900, Command::StartLoad { trial });
    journal.done(990, load, Done::LoadStarted { from: at(1000) });
    journal.phase(1000, Phase::Warmup);
    journal.phase(1500, Phase::Baseline);
    journal.phase(2500, Phase::Fault);
    let inject = journal.command(2500, Command::Inject { trial, fault: fault() });
    let done = Done::Injected { began: at(2502), effect: Effect::InPlace };
    journal.done(2510, inject, done);
    let look = journal.command(2510, Command::AwaitEffective { trial, fault: fault() });
    journal.write(2550, observed(2549));
    journal.done(2700, look, Done::Effective { since: at(2600), seen: seen() });
    journal.done(2710, look, Done::Effective { since: at(2000), seen: "late".into() });
    journal.done(2720, CommandId(999), Done::Effective { since: at(1), seen: "stray".into() });
    let revert = journal.command(5500, Command::Revert { trial, fault: fault(), hurry: false });
    journal.phase(5500, Phase::Recovery);
    journal.done(5510, revert, Done::Reverted { began: at(5501), how: Reverted::PutBack });
    let look =
        journal.command(5510, Command::AwaitReverted { trial, fault: fault(), hurry: false });
    journal.done(5700, look, Done::ProvenReverted { since: at(5600), seen: "200".into() });
    journal.phase(7000, Phase::Settle);
    journal.command(7500, Command::StopLoad { trial, now: false });
    journal.done(7550, load, Done::LoadEnded(summary()));
    let collect = journal.command(7600, Command::Collect { trial });
    journal.done(7700, collect, Done::Collected(Processed::default()));
    let because = "late".to_owned();
    let reason = InvalidReason::LoadLate;
    let invalid = vec![Invalid { reason, because, before_injection: false }];
    journal.command(7800, Command::TrialEnds { trial, invalid });
    journal.write(7900, observed(7900));
    let end = EndOfRun::Completed;
    journal.command(8000, Command::End { end, leftovers: Vec::new() });
    journal
}

#[test]
fn every_fact_finds_its_place() {
    let journal = journal();
    let evidence = journal.evidence(journal.entries.len());
    assert_eq!(evidence.started, WallTime(77));
    assert_eq!((evidence.end, evidence.leftovers.len()), (Some(EndOfRun::Completed), 0));
    let [trial] = &evidence.trials[..] else { panic!("one trial") };
    assert_eq!((trial.began, trial.ended), (at(900), Some(at(7800))));
    assert_eq!(trial.load, Some(summary()), "the second answer of the load's command counts");
    let phases: Vec<_> = trial.phases.values().copied().collect();
    let expected = [(1000, 1500), (1500, 2500), (2500, 5500), (5500, 7000), (7000, 7500)]
        .map(|(from, to)| (at(from), Some(at(to))));
    assert_eq!(phases, expected);
    let times = &trial.faults[&fault()];
    assert_eq!(times.inject, Some(at(2502)));
    assert_eq!(times.effective, Some(at(2600)), "the first answer counts");
    assert_eq!(times.revert, Some(at(5501)));
    assert_eq!(times.reverted, Some(at(5600)));
    assert_eq!(times.seen, ["503", "200"]);
    assert_eq!(trial.observations[&SignalId::new("sentinel")].len(), 1, "the trial's own");
    assert_eq!(trial.processed, Some(Ok(Processed::default())));
    assert_eq!(trial.invalid.len(), 1);
    let windows: Vec<u32> = trial.windows.iter().map(|window| window.index).collect();
    assert_eq!(windows, [0, 1], "in order, each once");
}

/// The journal may break off after any entry: no panic, and the fault is owed from the injection
/// to the proof of its end.
#[test]
fn a_journal_may_break_off_anywhere() {
    let journal = journal();
    let place = |wanted: fn(&What) -> bool| {
        journal.entries.iter().position(|entry| wanted(&entry.what)).unwrap()
    };
    let injected =
        place(|what| matches!(what, What::Command(Issued { command: Command::Inject { .. }, .. })));
    let proven = place(|what| {
        matches!(what, What::Event(Event::Done { outcome: Done::ProvenReverted { .. }, .. }))
    });
    for entries in 0..journal.entries.len() {
        let evidence = journal.evidence(entries);
        assert_eq!(evidence.end, None);
        let owed = (injected..proven).contains(&entries.saturating_sub(1));
        assert_eq!(!evidence.leftovers.is_empty(), owed, "after {entries} entries");
    }
}

#[test]
fn a_placebo_has_the_instants_at_which_faults_would_have_been() {
    let mut journal = Journal::default();
    let trial = TRIAL;
    journal.command(0, Command::TrialBegins { trial, arm: ArmName::new("placebo") });
    let mark = |begins| Command::PlaceboMark { trial, fault: fault(), begins };
    journal.command(100, mark(true));
    journal.command(300, mark(false));
    let evidence = journal.evidence(3);
    let times = &evidence.trials[0].faults[&fault()];
    assert_eq!((times.inject, times.effective), (Some(at(100)), Some(at(100))));
    assert_eq!((times.revert, times.reverted), (Some(at(300)), Some(at(300))));
    assert!(evidence.leftovers.is_empty(), "nothing was injected");
}
