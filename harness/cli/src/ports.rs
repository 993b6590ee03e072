//! Puts the ports together: the one place that knows every injector, driver, source and system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness_core::fault::Registry;
use harness_core::plan::Plan;
use harness_core::system::{DefectKind, Host, SystemKind};
use harness_core::time::Clock;
use harness_engine::Ports;
use harness_engine::store::RunDir;
use injectors::containers::ContainerHost;
use injectors::lab::{LabHost, LabStart};

use crate::commands::program;
use crate::failure::Failure;

/// The kinds of fault.
pub(crate) fn registry() -> Registry {
    injectors::registry()
}

/// The kinds of system.
pub(crate) fn systems() -> Vec<SystemKind> {
    let mut defects: Vec<DefectKind> = Vec::new();
    for known in lab::Defects::known() {
        match defects.iter_mut().find(|kind| kind.name == known.name) {
            Some(kind) => kind.values.push(known.value.to_owned()),
            None => defects.push(DefectKind {
                name: known.name.to_owned(),
                values: vec![known.value.to_owned()],
                summary: known.effect.to_owned(),
            }),
        }
    }
    vec![injectors::lab::lab_kind(defects), injectors::containers::containers_kind()]
}

/// Where the system of a run comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A lab that the run starts in its own directory, and stops.
    Started,
    /// A lab that was started apart, by its state directory; the run leaves it running.
    Attached(PathBuf),
    /// Containers that are there, by the socket of their engine; the run leaves them as they are.
    Containers(PathBuf),
}

/// The ports of a run.
pub(crate) fn ports(
    plan: &Plan,
    run: &RunDir,
    origin: &Origin,
    clock: Arc<dyn Clock>,
) -> Result<Ports, Failure> {
    let host: Arc<dyn Host> = match origin {
        Origin::Started => {
            let state = run.path().join("lab");
            let start = LabStart::Command(lab_up(&state, plan)?);
            Arc::new(LabHost::new(state, start))
        }
        Origin::Attached(state) => Arc::new(LabHost::new(state.clone(), LabStart::Attach)),
        Origin::Containers(socket) => {
            let host = ContainerHost::new(socket, &plan.system);
            Arc::new(host.expect("this origin is that of a plan about containers"))
        }
    };
    Ok(Ports {
        host,
        registry: registry(),
        driver: Arc::new(load::Drivers::new(Arc::clone(&clock), journeys()?)),
        sources: Arc::new(harness_signals::SignalSources::new()),
        clock,
    })
}

/// The host that closes what a record names, for a process that did not open it. Only a lab is
/// ever started, and so owed: containers were there before.
pub(crate) fn payer(kind: &str) -> Option<Arc<dyn Host>> {
    // It reads only the record; the state directory is not used.
    let host = || Arc::new(LabHost::new(PathBuf::new(), LabStart::Attach)) as Arc<dyn Host>;
    (kind == injectors::lab::LAB).then(host)
}

/// The command of the process whose users walk journeys.
pub(crate) fn journeys() -> Result<Vec<String>, Failure> {
    Ok(vec![program()?.display().to_string(), "agent-journeys".to_owned()])
}

fn lab_up(state: &Path, plan: &Plan) -> Result<Vec<String>, Failure> {
    let words = ["lab", "up", "--state"].map(str::to_owned);
    let mut argv = vec![program()?.display().to_string()];
    argv.extend(words);
    argv.push(state.display().to_string());
    for (name, value) in &plan.system.defects {
        argv.push("--with".to_owned());
        argv.push(format!("{name}={value}"));
    }
    Ok(argv)
}
