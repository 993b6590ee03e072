//! `gameday lab`: starts, shows and stops the built-in lab. What the lab is, the package `lab`
//! knows; this only wires it to this binary and prints.

mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use harness_core::exit;
use lab::{Defects, LabError, Leave, Settings};

use crate::args::{Lab, LabCommand, LabState, Rest};
use crate::failure::Failure;
use crate::output;
use crate::style::Style;

pub(crate) fn run(arguments: &Lab, style: Style) -> Result<u8, Failure> {
    match &arguments.command {
        LabCommand::Up { state, with } => up(state, with),
        LabCommand::Status { state, json } => status::run(&state.state, *json, style),
        LabCommand::Logs { state, process, tail } => {
            logs(&state.state, process.as_deref(), *tail, style)
        }
        LabCommand::Measure { state, rate, seconds } => measure(&state.state, *rate, *seconds),
        LabCommand::Down { state } => down(state),
        LabCommand::Defects => {
            defects();
            Ok(exit::PASS)
        }
    }
}

/// Runs one process of a lab; returns when it ends.
pub(crate) fn role(arguments: &Rest) -> Result<ExitCode, Failure> {
    let role = lab::RoleArguments::parse(&arguments.arguments)
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(lab::run_role(role))
}

/// The settings of a lab of this binary in a state directory.
fn settings(state: &Path, with: &[(String, String)]) -> Result<Settings, Failure> {
    let texts: Vec<String> = with.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let defects = Defects::parse(&texts).map_err(|error| {
        Failure::usage(error.to_string()).hint("`gameday lab defects` lists them")
    })?;
    let program = program()?;
    let interposer = vec![program.display().to_string(), "agent-proxy".to_owned()];
    Ok(Settings {
        state: state.to_owned(),
        program,
        role_arguments: vec!["lab-role".to_owned()],
        interposer: Some(interposer),
        defects,
    })
}

/// This binary, for the processes that it starts.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::could_not("find this program", &error))
}

fn up(state: &LabState, with: &[(String, String)]) -> Result<u8, Failure> {
    let settings = settings(&state.state, with)?;
    let lab = lab::up(&settings).map_err(|error| failure("start the lab", &error))?;
    let pods = lab.pods.iter().filter(|pod| pod.ready).count();
    output::say(&format!("The lab is up: {pods} pods are ready in {}", lab.state.display()));
    output::say(&format!("  shop    {}/checkout", lab.endpoints.edge));
    output::say(&format!("  alerts  {}/api/v2/alerts", lab.endpoints.alerter));
    for defect in lab.defects.texts() {
        output::say(&format!("  defect  {defect}"));
    }
    let flag = state_flag(&state.state);
    output::say(&format!("Try: curl -X POST {}/checkout", lab.endpoints.edge));
    output::say(&format!("     gameday lab status{flag}"));
    output::say(&format!("     gameday run payments-outage --lab {}", state.state.display()));
    output::say(&format!("     gameday lab down{flag}"));
    Ok(exit::PASS)
}

/// ` --state DIR`, where it is not the default.
fn state_flag(state: &Path) -> String {
    if state == Path::new(".gameday/lab") {
        String::new()
    } else {
        format!(" --state {}", state.display())
    }
}

fn down(state: &LabState) -> Result<u8, Failure> {
    let stopped = lab::down(&state.state, Leave::Nothing)
        .map_err(|error| Failure::leftovers(format!("could not stop the lab: {error}")))?;
    let how = match (stopped.graceful, stopped.killed.len()) {
        (true, 0) => "The lab is down.".to_owned(),
        (false, 0) => "There was no lab; nothing is left of it.".to_owned(),
        (_, killed) => format!("The lab is down; {killed} processes had to be killed."),
    };
    output::say(&how);
    Ok(exit::PASS)
}

fn measure(state: &Path, rate: u32, seconds: u64) -> Result<u8, Failure> {
    let status = lab::status(state).map_err(|error| failure("read the lab's state", &error))?;
    let orders = lab::Orders {
        prefix: format!("measure-{}", lab::unix_ms()),
        per_second: rate,
        lasting: Duration::from_secs(seconds),
    };
    let seen = lab::measure(&status.lab, &orders)
        .map_err(|error| Failure::could_not("send orders to the lab", &error))?;
    output::say(&format!(
        "{} orders at {rate}/s: {:.2} % accepted, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        seen.sent,
        100.0 * seen.success(),
        seen.latency_ms_p50,
        seen.latency_ms_p99,
        seen.latency_ms_max
    ));
    output::say(&format!("all processes of the lab together used {:.2} cores", seen.cores));
    Ok(exit::PASS)
}

fn logs(state: &Path, process: Option<&str>, tail: usize, style: Style) -> Result<u8, Failure> {
    let texts =
        lab::logs(state, process, tail).map_err(|error| failure("read the logs", &error))?;
    for text in texts {
        output::say(&style.bold(&format!("==> {} <==", text.process)));
        for line in text.lines {
            output::say(&line);
        }
    }
    Ok(exit::PASS)
}

fn defects() {
    for defect in Defects::known() {
        let pair = format!("{}={}", defect.name, defect.value);
        output::say(&format!("{pair:<22} {}", defect.effect));
    }
}

/// A failed lab command, with what to do next where it is known.
fn failure(action: &str, error: &LabError) -> Failure {
    let failure = Failure::could_not(action, error);
    match error {
        LabError::AlreadyUp { .. } => failure.hint(
            "use it with `--lab DIR`, stop it with `gameday lab down`, or give this \
                          one another `--state DIR`",
        ),
        _ => failure.hint("is it up? `gameday lab up` starts one"),
    }
}
