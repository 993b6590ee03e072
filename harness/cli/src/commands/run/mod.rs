//! `gameday run FILE`: plan, policy, debts, locks; then the run, the verdict, the report.

mod abort_http;
mod locks;
mod referee;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::watchdog::HarnessProcess;
use harness_core::event::AbortRequest;
use harness_core::exit::{self, EndOfRun};
use harness_core::history::History;
use harness_core::ids::RunId;
use harness_core::plan::Plan;
use harness_core::time::Clock;
use harness_engine::clock::RunClock;
use harness_engine::run::{EngineError, RunInput, RunSummary};
use harness_engine::store::{RunDir, RunStore};
use harness_engine::watchdog::{WatchdogLink, WatchdogStart};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::args::{self, Global};
use crate::commands::program;
use crate::containers;
use crate::failure::Failure;
use crate::gate::{self, Rules};
use crate::history;
use crate::output;
use crate::ports::{self, Origin};
use crate::progress::{Mode, Progress};
use crate::scenario;
use crate::stored::{self, Stored};
use crate::style::Style;
use abort_http::AbortHttp;
use referee::Referee;

/// Interrupts that wait to be taken; more of them say nothing new.
const INTERRUPTS_MAX: usize = 8;

pub(crate) fn run(global: &Global, arguments: &args::Run) -> Result<u8, Failure> {
    let plan = scenario::plan(&arguments.scenario, global.color)?;
    let stops = Stops { file: arguments.abort_file.as_deref(), http: arguments.abort_http };
    let rules = Rules::of(&arguments.organisation, &arguments.scenario.file);
    let how = How { lab: arguments.lab.as_deref(), mode: mode(arguments), stops, rules: &rules };
    carry_out(global, plan, how, |run, summary| conclude(global, arguments, run, &summary))
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    /// On the running lab of this state directory; else on one of its own.
    pub(crate) lab: Option<&'a Path>,
    /// What is shown meanwhile.
    pub(crate) mode: Mode,
    /// Ways to stop it, beside interrupts and `gameday abort`.
    pub(crate) stops: Stops<'a>,
    /// Where rules are found.
    pub(crate) rules: &'a Rules,
}

/// Ways to stop a run that are off unless asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stops<'a> {
    /// It stops when this file appears.
    pub(crate) file: Option<&'a Path>,
    /// It stops when it is told so at this loopback address.
    pub(crate) http: Option<SocketAddr>,
}

impl Stops<'_> {
    /// Only interrupts and `gameday abort`.
    pub(crate) const NONE: Self = Self { file: None, http: None };
}

/// Carries out a plan, and concludes while the run is still locked.
pub(crate) fn carry_out(
    global: &Global,
    plan: Plan,
    how: How<'_>,
    conclude: impl FnOnce(RunDir, RunSummary) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(RunClock::start());
    let passed = gate::pass(&global.runs, &plan, how.rules, clock.wall())?;
    refuse_unready(&plan)?;
    let store = RunStore::new(&global.runs);
    refuse_unpaid(&store)?;
    let origin = origin(how.lab, &plan)?;

    let (run, _lock) = store
        .create(&plan, clock.wall())
        .map_err(|error| Failure::could_not("make the run's directory", &error))?;
    passed.keep(&run)?;
    let _system = locks::take(&origin, &plan, &run)?;
    let history = remember(&store, &plan, &run)?;
    let progress = Arc::new(Progress::new(how.mode, Style::stderr(global.color), &plan));
    if matches!(how.mode, Mode::Live | Mode::Plain) {
        output::tell(&format!("run {} in {}", run.id(), stored::short(run.path())));
    }

    let http = how.stops.http.map(|address| AbortHttp::bind(address, &run)).transpose()?;
    if let Some(http) = &http {
        output::tell(&http.words());
    }
    let mut switches = vec![run.abort_path()];
    switches.extend(how.stops.file.map(Path::to_owned));

    let ports = ports::ports(&plan, &run, &origin, clock)?;
    let plan = Arc::new(plan);
    let referee = Referee::new(Arc::clone(&plan), Arc::clone(&progress), history);
    let outside = Outside { ports, http, switches };
    let done = drive(&plan, &run, outside, &progress, referee);
    progress.finish();
    conclude(run, done?)
}

/// A plan knows nothing of this machine's places: a fault that names one which is not there would
/// fail in each trial.
fn refuse_unready(plan: &Plan) -> Result<(), Failure> {
    let registry = ports::registry();
    for fault in &plan.faults {
        let entry = registry.entry(&fault.kind, &plan.system.kind);
        let ready = entry.map_or(Ok(()), |entry| entry.injector.ready(&fault.spec));
        ready.map_err(|error| {
            Failure::refused(format!("fault {} cannot be injected here: {error}", fault.id))
        })?;
    }
    Ok(())
}

/// Stores what earlier runs measured beside the run, so that judging it again reads the same.
fn remember(store: &RunStore, plan: &Plan, run: &RunDir) -> Result<History, Failure> {
    let history = history::gather(store, plan, run)
        .map_err(|error| Failure::could_not("look for earlier runs", &error))?;
    let mut text = serde_json::to_string_pretty(&history).expect("a history is plain data");
    text.push('\n');
    run.write(RunDir::HISTORY, text.as_bytes())
        .map_err(|error| Failure::could_not("store what earlier runs measured", &error))?;
    Ok(history)
}

/// What a run has to do with beside its plan and its directory.
struct Outside {
    ports: harness_engine::Ports,
    http: Option<AbortHttp>,
    switches: Vec<PathBuf>,
}

/// Runs the engine on a runtime of its own.
fn drive(
    plan: &Arc<Plan>,
    run: &RunDir,
    outside: Outside,
    progress: &Arc<Progress>,
    referee: Referee,
) -> Result<RunSummary, Failure> {
    let Outside { ports, http, switches } = outside;
    let (put, interrupts) = mpsc::channel(INTERRUPTS_MAX);
    interrupt_by_signals(put.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not("start the runtime", &error))?;
    let own = HarnessProcess::own()
        .map_err(|error| Failure::could_not("find this process in /proc", &error))?;
    let watchdog = WatchdogStart {
        argv: vec![
            program()?.into(),
            "agent-watchdog".into(),
            "--run".into(),
            run.path().into(),
            "--lease".into(),
            plan.safety.lease.to_string().into(),
            "--harness".into(),
            own.to_string().into(),
        ],
        lease: plan.safety.lease,
        fence: run.fence_path(),
    };
    let files = run.files().map_err(|error| Failure::could_not("make the run's files", &error))?;
    let ended = runtime.block_on(async {
        // Ends with this block.
        let mut aside = JoinSet::new();
        if let Some(http) = http {
            aside.spawn(http.serve(put));
        }
        let watchdog = WatchdogLink::start(watchdog)
            .await
            .map_err(|error| Failure::could_not("start the watchdog", &error))?;
        let input = RunInput {
            run: run.id().clone(),
            plan: Arc::clone(plan),
            ports,
            files,
            interrupts,
            switches,
            observer: Arc::clone(progress) as Arc<dyn harness_engine::run::Observer>,
            enough: Some(Box::new(referee)),
            watchdog: Some(watchdog),
        };
        harness_engine::run::run(input).await.map_err(|error| failed(run, error))
    });
    // A probe that hangs must not hold the verdict back.
    runtime.shutdown_background();
    ended
}

fn failed(run: &RunDir, error: EngineError) -> Failure {
    match error {
        EngineError::Storage(_) => Failure::could_not("begin the run's record", &error),
        EngineError::Bug { what, owed } => {
            let code = if owed.is_empty() { exit::BUG } else { exit::LEFTOVERS };
            let rest = if owed.is_empty() {
                "everything was put back".to_owned()
            } else {
                format!("still owed: {}", owed.join(", "))
            };
            Failure::with_code(code, format!("a defect of gameday: {what}; {rest}"))
                .hint(format!("please report it with the directory {}", run.path().display()))
        }
    }
}

/// Concludes a run; the exit code.
fn conclude(
    global: &Global,
    arguments: &args::Run,
    run: RunDir,
    summary: &RunSummary,
) -> Result<u8, Failure> {
    let id = run.id().clone();
    let shown = show(global, arguments, run);
    // What is owed counts more than a report that could not be written.
    settled(summary, &id)?;
    match (shown, &summary.end) {
        // A full disk aborts the run, and then holds no report: it is an abort all the same.
        (Err(failure), EndOfRun::Aborted { because }) => {
            failure.tell();
            let words = format!("aborted, and everything was put back: {because}");
            Err(Failure::with_code(exit::ABORTED, words))
        }
        (shown, _) => shown,
    }
}

/// Judges, writes and prints; the exit code.
fn show(global: &Global, arguments: &args::Run, run: RunDir) -> Result<u8, Failure> {
    let stored = Stored::read(run)?;
    let verdict = stored.verdict();
    stored.write_derived(&verdict)?;
    let style = Style::stdout(global.color);
    if arguments.json {
        let line = serde_json::json!({
            "verdict": verdict,
            "run": stored.run.id(),
            "directory": stored.run.path(),
        });
        output::say(&line.to_string());
    } else if arguments.quiet {
        output::say(&stored::sentence(&verdict));
    } else {
        output::say(&stored.text(&stored.plan, &verdict, style));
    }
    Ok(verdict.exit_code)
}

/// Whether everything was put back.
pub(crate) fn settled(summary: &RunSummary, run: &RunId) -> Result<(), Failure> {
    if summary.owed.is_empty() {
        return Ok(());
    }
    Err(Failure::leftovers(format!("not put back: {}", summary.owed.join(", ")))
        .hint(format!("`gameday undo {run}` tries again and proves it")))
}

/// A run that owes something blocks the next one.
fn refuse_unpaid(store: &RunStore) -> Result<(), Failure> {
    let unpaid = store.unpaid().map_err(|error| Failure::could_not("look for debts", &error))?;
    let Some(first) = unpaid.first() else { return Ok(()) };
    let debts = match &first.debts {
        Ok(debts) => debts.join(", "),
        Err(error) => format!("its ledger cannot be read: {error}"),
    };
    Err(Failure::refused(format!("run {} still owes: {debts}", first.run.id()))
        .hint(format!("`gameday undo {}` puts it back and proves it", first.run.id())))
}

fn origin(lab: Option<&Path>, plan: &Plan) -> Result<Origin, Failure> {
    if let Some(containers) = &plan.system.containers {
        if lab.is_some() {
            return Err(Failure::usage(
                "`--lab` is for scenarios on the lab; this one has containers",
            )
            .hint("leave `--lab` out"));
        }
        let socket = containers::socket(containers.socket.as_deref()).map_err(|why| {
            Failure::refused(why)
                .hint("name it: `system: {containers: {socket: ...}}`, or DOCKER_HOST")
        })?;
        // Two paths to one socket are one engine.
        return Ok(Origin::Containers(socket.canonicalize().unwrap_or(socket)));
    }
    let Some(state) = lab else { return Ok(Origin::Started) };
    locks::refuse_labs_of_runs(state)?;
    let status = lab::status(state).map_err(|error| {
        Failure::could_not("use the lab", &error)
            .hint(format!("`gameday lab up --state {}` starts one", state.display()))
    })?;
    if !status.running {
        return Err(Failure::refused(format!("the lab in {} is not running", state.display()))
            .hint(format!("`gameday lab up --state {}` starts it", state.display())));
    }
    if !plan.system.defects.is_empty() {
        return Err(Failure::usage("`--with` cannot change a lab that is running")
            .hint("give it to `gameday lab up`, or leave `--lab` out"));
    }
    Ok(Origin::Attached(status.lab.state))
}

fn mode(arguments: &args::Run) -> Mode {
    if arguments.json {
        Mode::Json
    } else if arguments.quiet {
        Mode::Quiet
    } else {
        shown()
    }
}

/// What is shown on standard error: more on a terminal.
pub(crate) fn shown() -> Mode {
    if std::io::stderr().is_terminal() { Mode::Live } else { Mode::Plain }
}

/// Interrupts of this process, counted. The first handler of the process is ours.
fn interrupt_by_signals(put: mpsc::Sender<AbortRequest>) -> Result<(), Failure> {
    let mut count = 0;
    ctrlc::set_handler(move || {
        count += 1;
        // A full queue means that enough interrupts wait already.
        put.try_send(AbortRequest::Signal { count }).ok();
    })
    .map_err(|error| Failure::could_not("listen for interrupts", &error))
}
