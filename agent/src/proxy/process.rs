//! The proxy as a process: arguments, start, the two threads, and the end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use super::control::{Control, listen};
use super::log::Log;
use super::pipe::PIPES_MAX;
use super::route::{Route, Shared};
use super::standing::{RouteData, route};
use super::timer::Timer;

/// Descriptors that are not connections: listeners come on top, two per route.
const DESCRIPTORS_RESERVED: u64 = 256 + 2 * PIPES_MAX as u64;
/// Without a limit of the system, so many connections.
const CONNECTIONS_MAX: usize = 32 * 1024;
/// At least so many connections, whatever the limit says.
const CONNECTIONS_MIN: usize = 64;

/// What a proxy is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyArguments {
    /// `--config`: the routes.
    pub config: PathBuf,
    /// `--socket`: the path of the control socket.
    pub socket: PathBuf,
    /// `--log`: lines are appended to this file; without it nothing is written.
    pub log: Option<PathBuf>,
}

/// Why a proxy could not be started, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The configuration cannot be used.
    #[error("could not read the proxy's configuration {}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The address of a route is taken by another process.
    #[error("could not listen on {address} for {edge}")]
    Listen {
        /// The edge.
        edge: String,
        /// What the caller dials.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The control socket could not be made.
    #[error("could not listen on the control socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another proxy serves the control socket.
    #[error("could not start: a proxy serves {} already", path.display())]
    Running {
        /// The socket.
        path: PathBuf,
    },
    /// A thread, a runtime, a timer or the log could not be made.
    #[error("could not {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The data thread ended although nobody asked it to: a bug.
    #[error("the data thread ended by itself")]
    DataEnded,
}

impl ProxyError {
    /// Whether another process has an address that this one needs; other ports may help.
    pub fn is_address_taken(&self) -> bool {
        matches!(self, Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Runs a proxy until its process ends. Blocks; builds its own runtimes.
pub fn run(arguments: &ProxyArguments) -> Result<(), ProxyError> {
    run_until(arguments, &CancellationToken::new())
}

/// Runs a proxy until `stop` is cancelled; then all its connections are closed. Blocks; builds
/// its own runtimes, so it is called from a thread that has none.
pub fn run_until(arguments: &ProxyArguments, stop: &CancellationToken) -> Result<(), ProxyError> {
    let failed = |action| move |source| ProxyError::System { action, source };
    let log = Log::open(arguments.log.as_deref()).map_err(failed("open the log"))?;
    let config = Config::read(&arguments.config)?;
    let (control, data): (Vec<_>, Vec<_>) = config
        .routes
        .into_iter()
        .map(|one| {
            let (control, data) = route(one.edge.clone(), one.listen, one.upstream);
            (control, (one.edge.to_string(), data))
        })
        .unzip();
    let identity = injectors::process::identity(std::process::id())
        .ok_or_else(|| failed("read /proc/self/stat")(io::ErrorKind::NotFound.into()))?;
    let room = room(control.len());
    let runtime = runtime().map_err(failed("build the control thread's runtime"))?;
    let (ready, is_ready) = oneshot::channel();
    let (ended, has_ended) = oneshot::channel();
    let data_stop = stop.clone();
    let thread = thread::Builder::new()
        .name("proxy-data".to_owned())
        .spawn(move || {
            let _ended: oneshot::Sender<()> = ended;
            carry(data, room, ready, &data_stop);
        })
        .map_err(failed("start the data thread"))?;
    let control = Arc::new(Control::new(control, identity, log.clone()));
    let served = runtime.block_on(async {
        is_ready.await.map_err(|_| ProxyError::DataEnded)??;
        let listener = listen(&arguments.socket).await?;
        log.line(&format!("the proxy is ready, control at {}", arguments.socket.display()));
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            _ = has_ended => Err(ProxyError::DataEnded),
            () = Arc::clone(&control).serve(listener) => unreachable!("it serves for ever"),
            () = control.watch_leases() => unreachable!("it watches for ever"),
        }
    });
    if let Err(error) = &served {
        log.line(&error.to_string());
    } else {
        remove(&arguments.socket);
    }
    stop.cancel();
    drop((runtime, control));
    thread.join().map_err(|_| ProxyError::DataEnded)?;
    served
}

fn remove(socket: &Path) {
    // It only makes the next start a little quicker.
    std::fs::remove_file(socket).unwrap_or_default();
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The data thread: all sockets of the edges.
fn carry(
    routes: Vec<(String, RouteData)>,
    room: usize,
    ready: oneshot::Sender<Result<(), ProxyError>>,
    stop: &CancellationToken,
) {
    let failed = |action| move |source| ProxyError::System { action, source };
    let runtime = match runtime().map_err(failed("build the data thread's runtime")) {
        Ok(runtime) => runtime,
        // Nobody waits for it any more only when the other thread has ended.
        Err(error) => return ready.send(Err(error)).unwrap_or_default(),
    };
    runtime.block_on(async {
        let bound = Timer::new().map_err(failed("make a timer")).and_then(|timer| {
            let routes: Result<Vec<Route>, ProxyError> = routes.into_iter().map(bind).collect();
            Ok((Arc::new(timer), routes?))
        });
        let (timer, routes) = match bound {
            Ok(bound) => bound,
            Err(error) => return ready.send(Err(error)).unwrap_or_default(),
        };
        let room = Arc::new(Semaphore::new(room));
        let shared = Shared { timer: Arc::clone(&timer), tracker: TaskTracker::new(), room };
        let mut serving = JoinSet::new();
        for route in routes {
            serving.spawn(route.serve(shared.clone()));
        }
        ready.send(Ok(())).unwrap_or_default();
        tokio::select! {
            () = stop.cancelled() => {}
            // A route ends only when the control thread does, or by a bug.
            _ = serving.join_next(), if !serving.is_empty() => {}
            _ = timer.drive() => {}
        }
    });
}

fn bind((edge, data): (String, RouteData)) -> Result<Route, ProxyError> {
    let address = data.listen.to_string();
    Route::bind(data).map_err(|source| ProxyError::Listen { edge, address, source })
}

/// How many connections fit into the descriptors of this process, whose soft limit is raised to
/// its hard limit first. Each connection has two.
fn room(routes: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(descriptors) = current else { return CONNECTIONS_MAX };
    let left = descriptors.saturating_sub(DESCRIPTORS_RESERVED + 2 * routes as u64) / 2;
    usize::try_from(left).unwrap_or(CONNECTIONS_MAX).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}
