//! Puts the ports together: the one place that knows every injector, driver, source and system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness_core::fault::Registry;
use harness_core::plan::Plan;
use harness_core::system::{DefectKind, Host, SystemKind};
use harness_core::time::Clock;
use harness_engine::Ports;
use harness_engine::store::RunDir;
use injectors::lab::LabHost;

use crate::commands::program;
use crate::failure::Failure;

/// The kinds of fault.
pub(crate) fn registry() -> Registry {
    injectors::registry()
}

/// The kinds of system.
pub(crate) fn systems() -> Vec<SystemKind> {
    let defects = lab::Defects::known().iter().map(|known| DefectKind {
        name: known.name.to_owned(),
        values: vec![known.value.to_owned(), known.healthy.to_owned()],
        summary: known.summary.to_owned(),
    });
    vec![injectors::lab_kind(defects.collect())]
}

/// Where the system of a run comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A lab that the run starts in its own directory, and stops.
    Started,
    /// A lab that was started apart, by its state directory; the run leaves it running.
    Attached(PathBuf),
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
            let argv = lab_up(&state, plan)?;
            Arc::new(LabHost::started(state, argv))
        }
        Origin::Attached(state) => Arc::new(LabHost::attached(state.clone())),
    };
    Ok(Ports {
        host,
        registry: registry(),
        driver: Arc::new(load::HttpDriver::new(Arc::clone(&clock))),
        sources: Arc::new(harness_signals::SignalSources::new()),
        clock,
    })
}

/// The host that closes what a record names, for a process that did not open it.
pub(crate) fn payer(kind: &str) -> Option<Arc<dyn Host>> {
    (kind == injectors::lab::LAB).then(|| Arc::new(LabHost::payer()) as Arc<dyn Host>)
}

fn lab_up(state: &Path, plan: &Plan) -> Result<Vec<OsString>, Failure> {
    let mut argv: Vec<OsString> = vec![
        program()?.into(),
        "lab".into(),
        "up".into(),
        "--state".into(),
        state.into(),
    ];
    for (name, value) in &plan.system.defects {
        argv.push("--with".into());
        argv.push(format!("{name}={value}").into());
    }
    Ok(argv)
}
