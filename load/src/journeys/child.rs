//! The process that walks: takes one load over its standard input, tells what it measures over the
//! same socket, and ends when it is told to, when its parent is gone, or when the load is over.
//!
//! Writes nothing to its output. Whatever goose does with signals or exits ends this process alone.

use std::io::{self, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use harness_core::load::LoadError;
use harness_core::plan::Key;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::{Builder, Runtime};

use super::answer::Rules;
use super::user::{Ground, run_users};
use super::walk::{BEAT, Walk, WalkSetup};
use super::wire::{FINISH, Job, STOP, Told, failed, read_line, write_line};
use crate::request::{Requests, Sender};
use crate::target::{Protocol, Target};
use crate::timer::Timeline;

/// Orders that may wait: there are two.
const ORDERS_MAX: usize = 4;

/// Why the walking process could not do its work. A target that cannot be used is no such reason:
/// that is told to the parent.
#[derive(Debug, thiserror::Error)]
pub enum JourneyError {
    /// Something that it needs from the machine was refused.
    #[error("could not {action}")]
    Machine {
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn machine(action: &'static str) -> impl Fn(io::Error) -> JourneyError {
    move |source| JourneyError::Machine { action, source }
}

/// What the parent, or its absence, orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Finish,
    Stop,
    /// The parent is gone.
    Leave,
}

/// Walks one load that comes over standard input, which must be a socket, and returns when all is
/// told. Threads may still run then: the caller leaves the process.
pub fn walk_journeys() -> Result<(), JourneyError> {
    // The thread that started this process waits for it, so its end is the parent's.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .map_err(machine("ask to die with the parent"))?;
    silence_logs();
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let mut socket = UnixStream::from(socket.map_err(machine("use standard input"))?);
    let reading = socket.try_clone().map_err(machine("use standard input"))?;
    let mut reading = BufReader::new(reading);
    let job = read_line::<Job>(&mut reading).map_err(machine("read what to walk"))?;
    let Some(job) = job else { return Ok(()) };
    let runtime = Builder::new_multi_thread()
        .worker_threads(job.plan.workers.clamp(1, 64) as usize)
        .enable_all()
        .build()
        .map_err(machine("start a runtime"))?;
    let orders = listen_for_orders(reading)?;
    let told = match runtime.block_on(prepare(job)) {
        Ok(ground) => walk(&runtime, &Arc::new(ground), &orders, &mut socket),
        Err(error) => write_line(&mut socket, &Told::failure(error)),
    };
    runtime.shutdown_background();
    match told {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(machine("tell what was measured")(error))
        }
        // A parent that is gone wants to know nothing.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// goose takes the place of the logger, and the terminal with it, unless it is taken.
fn silence_logs() {
    struct Nobody;
    impl log::Log for Nobody {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            false
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    // Fails only when somebody else took it before, which suits as well.
    log::set_logger(&Nobody).ok();
}

/// Listens for single letters on a thread of its own.
fn listen_for_orders(mut from: BufReader<UnixStream>) -> Result<Receiver<Order>, JourneyError> {
    let (give, orders) = sync_channel(ORDERS_MAX);
    let listening = move || {
        let mut letter = [0_u8];
        loop {
            let order = match from.read(&mut letter) {
                Ok(1) if letter[0] == FINISH => Order::Finish,
                Ok(1) if letter[0] == STOP => Order::Stop,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(_) | Err(_) => Order::Leave,
            };
            if !pass_on(&give, order) || order == Order::Leave {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("journey-orders".to_owned());
    thread.spawn(listening).map_err(machine("start a thread for orders"))?;
    Ok(orders)
}

fn pass_on(give: &SyncSender<Order>, order: Order) -> bool {
    give.send(order).is_ok()
}

/// Makes everything ready that can be wrong.
async fn prepare(job: Job) -> Result<Ground, LoadError> {
    let Some(journeys) = job.plan.journeys().cloned() else {
        return Err(failed("a load without journeys".to_owned()));
    };
    let target = Target::new(&job.target, Protocol::Http1, &[]).await?;
    let sender = Sender {
        run: &job.run,
        trial: job.trial,
        arm: &job.arm,
        id_prefix: &job.id_prefix,
        seed: job.seed,
    };
    let requests = Requests::new(&job.plan, &target, sender)?;
    let mut steps: Vec<_> = journeys.journeys.iter().flat_map(|one| &one.steps).collect();
    steps.sort_by_key(|step| step.request);
    let rules: Result<Vec<Rules>, String> =
        steps.iter().map(|step| Rules::new(&job.plan, step)).collect();
    let rules = rules.map_err(|what| LoadError::Unsupported { driver: super::DRIVER, what })?;
    let users = journeys.users;
    let walk = Walk::new(WalkSetup {
        timeline: Timeline::of_origin(job.origin_ns),
        from_ns: job.from_ns,
        until_ns: job.until_ns,
        timeout_ns: job.plan.timeout.micros().saturating_mul(1000),
        seed: job.seed,
        keyed: job.plan.mix.iter().map(|request| request.key == Key::Sequence).collect(),
        journeys,
    });
    Ok(Ground {
        walk,
        requests,
        rules,
        origin: target.origin,
        users,
        timeout: job.plan.timeout.as_std(),
        timer: job.plan.timer,
        trouble: Mutex::new(None),
    })
}

/// Lets the users walk, and tells at every beat what can be told.
fn walk(
    runtime: &Runtime,
    ground: &Arc<Ground>,
    orders: &Receiver<Order>,
    socket: &mut UnixStream,
) -> io::Result<()> {
    let users = runtime.spawn(run_users(Arc::clone(ground)));
    loop {
        match orders.recv_timeout(BEAT) {
            Ok(Order::Finish) => ground.walk.finish(),
            Ok(Order::Stop) => break,
            Ok(Order::Leave) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        for told in ground.walk.beat() {
            write_line(socket, &told)?;
        }
        let trouble = ground.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = users.is_finished().then(|| "goose ended before the load".to_owned());
        if let Some(why) = trouble.or(ended) {
            return write_line(socket, &Told::Failed(why));
        }
        if ground.walk.is_over() {
            break;
        }
    }
    ground.walk.end().iter().try_for_each(|told| write_line(socket, told))
}
