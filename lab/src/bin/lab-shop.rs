//! The lab's own entry: the roles and `up`, `down`, `status`, for the lab's tests and for
//! measuring it alone. People use `gameday lab`, which links the same library.

use std::env::{args, current_exe};
use std::io::{Write, copy, stderr, stdout};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use std::time::Duration;

use lab::{Defects, Leave, Orders, RoleArguments, Settings, down, measure, run_role, status, up};

const USAGE: &str = "usage: lab-shop up DIR [DEFECT=VALUE ...] | status DIR | down DIR \
                     | measure DIR ORDERS_PER_SECOND SECONDS";

fn main() -> ExitCode {
    let arguments: Vec<String> = args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "lab-role" => match RoleArguments::parse(rest) {
            Ok(role) => run_role(role),
            Err(error) => fail(&error.to_string()),
        },
        Some((first, rest)) if first == "pass-through" => match pass_through(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => fail(&text),
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
        "measure" => {
            let [rate, seconds] = rest else { return Err(String::from(USAGE)) };
            let number = |text: &String| text.parse::<u32>().map_err(|error| error.to_string());
            let orders = Orders {
                prefix: format!("measure-{}", lab::unix_ms()),
                per_second: number(rate)?,
                lasting: Duration::from_secs(number(seconds)?.into()),
            };
            let lab = status(&state).map_err(|error| error.to_string())?.lab;
            let mut seen = measure(&lab, &orders).map_err(|error| error.to_string())?;
            // A million numbers help nobody at a terminal.
            seen.accepted.clear();
            serde_json::to_string_pretty(&seen).map_err(|error| error.to_string())
        }
        "down" => {
            let stopped = down(&state, Leave::Nothing).map_err(|error| error.to_string())?;
            serde_json::to_string_pretty(&stopped).map_err(|error| error.to_string())
        }
        _ => Err(String::from(USAGE)),
    }
}

/// An interposer that only copies, for tests: one thread per direction of a connection.
fn pass_through(arguments: &[String]) -> Result<(), String> {
    let at = arguments.iter().position(|argument| argument == "--config");
    let path = at.and_then(|at| arguments.get(at + 1)).ok_or("`--config` is missing")?;
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let config: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let routes = config["routes"].as_array().ok_or("`routes` is missing")?;
    let mut threads = Vec::new();
    for route in routes {
        let text = |name: &str| route[name].as_str().unwrap_or_default().to_owned();
        let upstream = text("upstream");
        let listener = TcpListener::bind(text("listen")).map_err(|error| error.to_string())?;
        threads.push(thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                if let Ok(callee) = TcpStream::connect(&upstream) {
                    copy_both_ways(&caller, &callee);
                }
            }
        }));
    }
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| String::from("it broke")))
}

fn copy_both_ways(near: &TcpStream, far: &TcpStream) {
    for (from, to) in [(near, far), (far, near)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
        // A connection that fails here is closed, as the one it stands for would be.
        to.set_nodelay(true).unwrap_or_default();
        thread::spawn(move || {
            copy(&mut from, &mut to).map(|_| ()).unwrap_or_default();
            to.shutdown(Shutdown::Both).unwrap_or_default();
            from.shutdown(Shutdown::Both).unwrap_or_default();
        });
    }
}

fn fail(text: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    writeln!(stderr(), "{text}").unwrap_or_default();
    ExitCode::FAILURE
}
