//! The processes of the shop: how one of them starts, and one module per role.
//!
//! A role has a runtime with one thread, dies with its parent and leaves by SIGTERM.

mod alerter;
mod arguments;
mod cap;
mod checkout;
mod collector;
mod config;
mod edge;
mod jobs;
mod meter;
mod pager;
mod payments;
mod released;
mod service_time;
mod store;
mod worker;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

pub use arguments::{ArgumentError, RoleArguments, RoleName};
pub(crate) use jobs::OWN_GROUP;
use released::Released;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::http::{Reply, Service, serve};
use crate::layout::Layout;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::release::Release;
use crate::supervisor;
use crate::tls::Acceptor;
use crate::volume;

/// The exit code of a role, or of the interposer, whose address was taken: the supervisor gives
/// the lab up, and `up` tries again with other ports.
pub const EXIT_ADDRESS_TAKEN: u8 = 75;

/// What every role is handed.
#[derive(Debug)]
pub(crate) struct Context {
    /// The name of this pod.
    pub(crate) instance: String,
    /// What this process was built from.
    pub(crate) release: Release,
    pub(crate) layout: Layout,
    /// Where this role listens.
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) log: Log,
    /// Cancelled by SIGTERM.
    pub(crate) stop: CancellationToken,
    /// The state directory of the lab.
    pub(crate) state: std::path::PathBuf,
}

/// Runs one role until it is told to stop. Blocks; builds its own runtime, so call it from a
/// `main` that has none.
pub fn run_role(arguments: RoleArguments) -> ExitCode {
    let log = Log::open(Log::path(&arguments.state, &arguments.log_name()));
    match run(arguments, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn run(arguments: RoleArguments, log: Log) -> Result<(), ExitCode> {
    let failed = |log: &Log, text: String| {
        log.line(&text);
        ExitCode::FAILURE
    };
    if let Some(parent) = arguments.parent {
        follow(parent).map_err(|text| failed(&log, text))?;
    }
    if arguments.role == RoleName::Interposer {
        let error = become_program(&arguments.rest);
        return Err(failed(&log, format!("cannot start the interposer: {error}")));
    }
    if arguments.role == RoleName::Supervisor {
        match volume::mount_own(&arguments.state) {
            Ok(()) => log.line("the journal has a volume of its own"),
            Err(why) => log.line(&format!("the journal has no volume of its own: {why}")),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(&log, format!("cannot build a runtime: {error}")))?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let listening = stop_on_signal(stop.clone());
        listening.map_err(|error| failed(&log, format!("cannot listen for signals: {error}")))?;
        if arguments.role == RoleName::Supervisor {
            return supervisor::run(&arguments.state, log, stop).await;
        }
        let context = context(arguments, log, stop).map_err(|(log, text)| failed(&log, text))?;
        let role = context.1;
        let context = Arc::new(context.0);
        context.log.line(&format!("{} starts on {}", context.instance, context.address));
        let served = match role {
            RoleName::Edge => edge::run(Arc::clone(&context)).await,
            RoleName::Checkout => checkout::run(Arc::clone(&context)).await,
            RoleName::Payments => payments::run(Arc::clone(&context)).await,
            RoleName::Store => store::run(Arc::clone(&context)).await,
            RoleName::Worker => worker::run(Arc::clone(&context)).await,
            RoleName::Collector => collector::run(Arc::clone(&context)).await,
            RoleName::Alerter => alerter::run(Arc::clone(&context)).await,
            RoleName::Jobs => jobs::run(Arc::clone(&context)).await,
            RoleName::Meter => meter::run(Arc::clone(&context)).await,
            RoleName::Cap => cap::run(Arc::clone(&context)).await,
            RoleName::Pager => pager::run(Arc::clone(&context)).await,
            RoleName::Supervisor | RoleName::Interposer => Ok(()),
        };
        served.map_err(|error| {
            context.log.line(&format!("{} ends: {error}", context.instance));
            if error.kind() == std::io::ErrorKind::AddrInUse {
                ExitCode::from(EXIT_ADDRESS_TAKEN)
            } else {
                ExitCode::FAILURE
            }
        })
    })
}

/// Makes the kernel kill this process when its parent ends, and checks that it has not yet.
fn follow(parent: u32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot follow the parent: {error}"))?;
    let present = getppid().map(|pid| pid.as_raw_pid().cast_unsigned());
    if present == Some(parent) { Ok(()) } else { Err(String::from("the parent is gone already")) }
}

/// Replaces this process; the order to die with the parent stays in force.
fn become_program(command: &[String]) -> std::io::Error {
    match command.split_first() {
        Some((program, arguments)) => Command::new(program).args(arguments).exec(),
        None => std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program was named"),
    }
}

fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn context(
    arguments: RoleArguments,
    log: Log,
    stop: CancellationToken,
) -> Result<(Context, RoleName), (Log, String)> {
    let layout = match read_layout(&arguments.state) {
        Ok(layout) => layout,
        Err(text) => return Err((log, text)),
    };
    let service = arguments.role.text();
    let Some(address) = layout.service(service).get(arguments.slot).copied() else {
        return Err((log, format!("{service} has no slot {}", arguments.slot)));
    };
    let metrics = Metrics::new(service, &arguments.instance);
    let RoleArguments { role, state, instance, release, .. } = arguments;
    Ok((Context { instance, release, layout, address, metrics, log, stop, state }, role))
}

fn read_layout(state: &Path) -> Result<Layout, String> {
    let path = Layout::path(state);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is broken: {error}", path.display()))
}

impl Context {
    /// Serves until the role is told to stop.
    pub(crate) async fn serve<S: Service>(
        self: &Arc<Self>,
        service: Arc<S>,
    ) -> std::io::Result<()> {
        self.serve_with(service, None).await
    }

    /// The same, to callers who speak TLS, too.
    pub(crate) async fn serve_with<S: Service>(
        self: &Arc<Self>,
        service: Arc<S>,
        secure: Option<Acceptor>,
    ) -> std::io::Result<()> {
        let released = Released::new(service, Arc::clone(self));
        serve(self.address, Arc::new(released), self.stop.clone(), secure).await
    }

    /// The answer to `GET /healthz`: readiness, and whose.
    pub(crate) fn healthy(&self) -> Reply {
        let (instance, release) = (&self.instance, &self.release.name);
        let health = serde_json::json!({
            "status": "ok", "instance": instance, "release": release,
        });
        Reply::ok(&health)
    }
}
