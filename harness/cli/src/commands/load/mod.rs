//! `gameday load URL`: the load engine as a tool of its own. Measures, and says whether the
//! measurement can be believed; judges nothing.

mod arguments;
mod interrupt;
mod job;
mod sink;
mod text;
mod validity;

use std::io;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::exit;
use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::{LoadDriver, LoadError, LoadJob, RequestOutcome, Stop};
use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use harness_engine::clock::RunClock;
use load::{ClosedReport, Drivers, LoadReport, run_closed};
use serde::Serialize;

pub(crate) use arguments::Load;
use interrupt::Interrupts;
use job::Job;
use sink::Sink;

use crate::args::Global;
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::style::Style;

/// The format of the JSON result.
const FORMAT: &str = "gameday.load/1";
/// From the start of the engine to the first request: threads are up and idle by then.
const LEAD: Duration = Duration::from_millis(100);
/// How long the first connection, which sends nothing, may take.
const REACH: StdDuration = StdDuration::from_secs(5);

/// What came out of a load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    format: &'static str,
    target: &'a str,
    seed: u64,
    plan: &'a harness_core::plan::LoadPlan,
    interrupted: bool,
    /// Whether the figures are the target's.
    valid: bool,
    /// Why they are not.
    problems: Vec<String>,
    lag_us_bound: u64,
    #[serde(flatten)]
    measured: Measured,
}

/// The figures.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Measured {
    Open(Box<LoadReport>),
    Closed(ClosedReport),
}

pub(crate) fn run(global: &Global, arguments: &Load) -> Result<u8, Failure> {
    let job = Job::new(arguments, global.color)?;
    let interrupts = Interrupts::listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not("start the runtime", &error))?;
    let (measured, written) = runtime.block_on(async {
        tokio::select! {
            done = drive(arguments, &job, &interrupts) => done,
            () = interrupts.hasten() => unreachable!("it never ends by itself"),
        }
    })?;
    // A look-up of a name that hangs must not hold the result back.
    runtime.shutdown_background();
    let bound = validity::lag_bound(arguments.threshold);
    let problems = match &measured {
        Measured::Open(report) => validity::problems(report, bound),
        Measured::Closed(_) => Vec::new(),
    };
    let outcome = Outcome {
        format: FORMAT,
        target: &arguments.url,
        seed: arguments.seed,
        plan: &job.plan,
        interrupted: interrupts.came(),
        valid: problems.is_empty(),
        problems,
        lag_us_bound: bound.micros(),
        measured,
    };
    if arguments.json {
        output::say(&serde_json::to_string_pretty(&outcome).expect("a result is plain data"));
    } else {
        output::say(&text::render(&outcome, job.length, Style::stdout(global.color)));
    }
    written.map_err(|error| Failure::could_not("write the log", &error))?;
    Ok(code(&outcome))
}

const fn code(outcome: &Outcome<'_>) -> u8 {
    match (outcome.interrupted, outcome.valid) {
        (true, _) => exit::ABORTED,
        (false, true) => exit::PASS,
        (false, false) => exit::INCONCLUSIVE,
    }
}

async fn drive(
    arguments: &Load,
    job: &Job,
    interrupts: &Interrupts,
) -> Result<(Measured, io::Result<()>), Failure> {
    reach(job).await?;
    let clock: Arc<dyn Clock> = Arc::new(RunClock::start());
    if arguments.closed {
        let closed = run_closed(&*clock, &job.plan, &job.base, job.length, interrupts).await;
        return Ok((Measured::Closed(closed.map_err(|error| failed(&error))?), Ok(())));
    }
    let from = clock.now() + LEAD;
    let log = arguments.hdr_log.as_deref().map(|path| {
        sink::open_log(path, from, clock.wall())
            .map_err(|error| Failure::could_not(&format!("write {}", path.display()), &error))
    });
    let sink = Sink::new(job.length, log.transpose()?);
    let load = LoadJob {
        plan: &job.plan,
        run: &RunId::new("load"),
        trial: TrialIndex(0),
        arm: "load",
        target: &job.base,
        seed: arguments.seed,
        id_prefix: "load-0",
        from,
        until: from + job.length,
    };
    let driver = Drivers::new(Arc::clone(&clock), ports::journeys()?);
    let (summary, length) = {
        let mut driving = driver.run(load, &sink, interrupts);
        tokio::select! {
            summary = &mut driving => (summary, job.length),
            at = interrupted(&*clock, interrupts) => {
                (driving.await, job.length.min(at.since(from)))
            }
        }
    };
    let summary = summary.map_err(|error| failed(&error))?;
    let (totals, written) = sink.finish();
    let report = totals.report(&job.plan, length, &summary);
    Ok((Measured::Open(Box::new(report)), written))
}

/// When the interrupt came, once it comes.
async fn interrupted(clock: &dyn Clock, interrupts: &Interrupts) -> RunTime {
    interrupts.finishing().await;
    clock.now()
}

/// Connects once and sends nothing: a target that cannot be reached at all is no measurement.
async fn reach(job: &Job) -> Result<(), Failure> {
    let connecting = tokio::net::TcpStream::connect((job.host.as_str(), job.port));
    let action = format!("reach {}:{}", job.host, job.port);
    match tokio::time::timeout(REACH, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::could_not(&action, &error)),
        Err(_) => Err(Failure::refused(format!("could not {action}: no answer in {REACH:?}"))),
    }
}

fn failed(error: &LoadError) -> Failure {
    match error {
        LoadError::Unsupported { .. } => Failure::usage(error.to_string()),
        LoadError::Target { .. } | LoadError::Machine { .. } => Failure::refused(error.to_string()),
    }
}

/// What an outcome means, for the table.
const fn meaning(outcome: RequestOutcome, good: bool) -> &'static str {
    match outcome {
        RequestOutcome::Status(_) if good => "good",
        RequestOutcome::Status(_) => "an answer that is not good",
        RequestOutcome::Refused => "no connection: refused",
        RequestOutcome::Reset => "connection lost before the whole answer",
        RequestOutcome::Timeout => "no whole answer in time",
        RequestOutcome::Tls => "no TLS session",
        RequestOutcome::Body => "wrong body",
        RequestOutcome::Overrun => "not sent: too many under way",
        RequestOutcome::Unsent => "not sent: stopped first",
        RequestOutcome::Other => "the client's own failure",
    }
}
