//! The lab's own entry: the roles and `up`, `down`, `status`, for the lab's tests and for
//! measuring it alone. People use `gameday lab`, which links the same library.

use std::env::{args, current_exe};
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use lab::{Defects, Leave, RoleArguments, Settings, down, run_role, status, up};

const USAGE: &str = "usage: lab-shop up DIR [DEFECT=VALUE ...] | status DIR | down DIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "lab-role" => match RoleArguments::parse(rest) {
            Ok(role) => run_role(role),
            Err(error) => fail(&error.to_string()),
        },
        Some((first, rest)) => match command(first, rest) {
            Ok(text) => match writeln!(stdout(), "{text}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Err(text) => fail(&text),
        },
        None => fail(USAGE),
    }
}

fn command(name: &str, rest: &[String]) -> Result<String, String> {
    let (state, rest) = rest.split_first().ok_or(USAGE)?;
    let state = PathBuf::from(state);
    match name {
        "up" => {
            let settings = Settings {
                state,
                program: current_exe().map_err(|error| error.to_string())?,
                role_arguments: vec![String::from("lab-role")],
                interposer: None,
                defects: Defects::parse(rest).map_err(|error| error.to_string())?,
            };
            let lab = up(&settings).map_err(|error| error.to_string())?;
            serde_json::to_string_pretty(&lab).map_err(|error| error.to_string())
        }
        "status" => {
            let report = status(&state).map_err(|error| error.to_string())?;
            serde_json::to_string_pretty(&report).map_err(|error| error.to_string())
        }
        "down" => {
            let stopped = down(&state, Leave::Nothing).map_err(|error| error.to_string())?;
            serde_json::to_string_pretty(&stopped).map_err(|error| error.to_string())
        }
        _ => Err(String::from(USAGE)),
    }
}

fn fail(text: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    writeln!(stderr(), "{text}").unwrap_or_default();
    ExitCode::FAILURE
}
