//! The load's clock and its waiting: the one file of this package that reads the time.
//!
//! Everything else gets nanoseconds since the run began. Does not decide when anything is due.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use harness_core::plan::TimerMode;
use harness_core::time::Clock;
use rustix::time::{ClockId, clock_gettime};

/// How long before the instant [`TimerMode::Exact`] begins to poll.
const POLL_BEFORE_NS: u64 = 100_000;
/// A wait in the kernel that is shorter than this is no idleness: events were there already.
const IDLE_NS_MIN: u64 = 15_000;

/// The run's clock as this process sees it: both were read once at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    instant: Instant,
    run_ns: u64,
}

impl Timeline {
    /// Reads the run's clock and the machine's together.
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        let before = instant_now();
        let run_ns = clock.now().nanos();
        let between = before.elapsed() / 2;
        Self { instant: before + between, run_ns }
    }

    /// The run's beginning on the machine's monotonic clock, in ns: the same for every process of
    /// the machine.
    pub(crate) fn origin_ns(self) -> u64 {
        let monotonic_ns = nanos_of(ClockId::Monotonic);
        monotonic_ns.saturating_sub(self.now_ns())
    }

    /// The clock of a run that began at `origin_ns` of the machine's monotonic clock.
    pub(crate) fn of_origin(origin_ns: u64) -> Self {
        let instant = instant_now();
        Self { instant, run_ns: nanos_of(ClockId::Monotonic).saturating_sub(origin_ns) }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(self) -> u64 {
        let since = u64::try_from(self.instant.elapsed().as_nanos());
        self.run_ns + since.expect("no run takes five centuries")
    }

    fn instant_of(self, at_ns: u64) -> Instant {
        self.instant + Duration::from_nanos(at_ns.saturating_sub(self.run_ns))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the load's timer")]
fn instant_now() -> Instant {
    Instant::now()
}

/// CPU time that the calling thread has used so far, in ns.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanos_of(ClockId::ThreadCPUTime)
}

/// CPU time that this process has used so far, in ns.
pub(crate) fn process_cpu_ns() -> u64 {
    nanos_of(ClockId::ProcessCPUTime)
}

fn nanos_of(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// When a worker's thread last had nothing to do: tells whether a request waited for the target
/// or for the client.
#[derive(Debug, Clone)]
pub(crate) struct Idleness {
    timeline: Timeline,
    marks: Arc<(AtomicU64, AtomicU64)>,
}

impl Idleness {
    /// Of a thread that has not been idle yet.
    pub(crate) fn new(timeline: Timeline) -> Self {
        Self { timeline, marks: Arc::new((AtomicU64::new(0), AtomicU64::new(0))) }
    }

    /// The thread begins to wait.
    pub(crate) fn parks(&self) {
        self.marks.0.store(self.timeline.now_ns(), Ordering::Relaxed);
    }

    /// The thread has waited.
    pub(crate) fn unparks(&self) {
        let now = self.timeline.now_ns();
        if now.saturating_sub(self.marks.0.load(Ordering::Relaxed)) >= IDLE_NS_MIN {
            self.marks.1.store(now, Ordering::Relaxed);
        }
    }

    /// The end of the last time without work, in ns since the run began.
    pub(crate) fn last_ns(&self) -> u64 {
        self.marks.1.load(Ordering::Relaxed)
    }
}

/// Waits until an instant, as exactly as asked.
#[derive(Debug)]
pub(crate) struct Timer {
    timeline: Timeline,
    means: Means,
}

#[derive(Debug)]
enum Means {
    Runtime(Pin<Box<tokio::time::Sleep>>),
    #[cfg(target_os = "linux")]
    Kernel(kernel::KernelTimer),
    #[cfg(target_os = "linux")]
    Hybrid(kernel::KernelTimer),
    /// Without a kernel timer: the runtime's up to its granularity, then polling.
    #[cfg(not(target_os = "linux"))]
    Polling(Pin<Box<tokio::time::Sleep>>),
}

impl Timer {
    /// A timer on the current runtime.
    pub(crate) fn new(mode: TimerMode, timeline: Timeline) -> io::Result<Self> {
        let means = match mode {
            TimerMode::Relaxed => Means::Runtime(runtime_sleep()),
            #[cfg(target_os = "linux")]
            TimerMode::Precise => Means::Kernel(kernel::KernelTimer::new()?),
            #[cfg(target_os = "linux")]
            TimerMode::Exact => Means::Hybrid(kernel::KernelTimer::new()?),
            #[cfg(not(target_os = "linux"))]
            TimerMode::Precise => Means::Runtime(runtime_sleep()),
            #[cfg(not(target_os = "linux"))]
            TimerMode::Exact => Means::Polling(runtime_sleep()),
        };
        Ok(Self { timeline, means })
    }

    /// Ends at `at_ns` or a little later; may end early once after a cancelled wait.
    pub(crate) async fn wait_until(&mut self, at_ns: u64) {
        let now = self.timeline.now_ns();
        if at_ns <= now {
            return;
        }
        match &mut self.means {
            Means::Runtime(sleep) => {
                sleep.as_mut().reset(self.timeline.instant_of(at_ns).into());
                sleep.await;
            }
            #[cfg(target_os = "linux")]
            Means::Kernel(timer) => timer.wait(at_ns - now).await,
            #[cfg(target_os = "linux")]
            Means::Hybrid(timer) => {
                if at_ns - now > POLL_BEFORE_NS {
                    timer.wait(at_ns - now - POLL_BEFORE_NS).await;
                }
                poll_until(self.timeline, at_ns).await;
            }
            #[cfg(not(target_os = "linux"))]
            Means::Polling(sleep) => {
                const GRANULARITY_NS: u64 = 2_000_000;
                if at_ns - now > GRANULARITY_NS {
                    sleep.as_mut().reset(self.timeline.instant_of(at_ns - GRANULARITY_NS).into());
                    sleep.await;
                }
                poll_until(self.timeline, at_ns).await;
            }
        }
    }
}

fn runtime_sleep() -> Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep(Duration::ZERO))
}

/// Gives way to other tasks again and again until the instant has come; at most
/// [`POLL_BEFORE_NS`] on Linux.
async fn poll_until(timeline: Timeline, at_ns: u64) {
    poll_fn(|cx| {
        if timeline.now_ns() >= at_ns {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(target_os = "linux")]
mod kernel {
    //! A timer of the kernel on the runtime's reactor.

    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// One timer, armed for one wait at a time.
    #[derive(Debug)]
    pub(super) struct KernelTimer(AsyncFd<OwnedFd>);

    impl KernelTimer {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an owned descriptor is open as long as this"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self(AsyncFd::with_interest(fd, Interest::READABLE)?))
        }

        /// Ends after `nanos`, which is at least 1: zero would disarm. The timer is not read:
        /// arming it anew resets it, and the reactor reports each expiry as a new edge.
        pub(super) async fn wait(&mut self, nanos: u64) {
            let value = Timespec {
                tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: (nanos % 1_000_000_000).try_into().expect("below 10^9"),
            };
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let armed = Itimerspec { it_interval: zero, it_value: value };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &armed)
                .expect("an own timer takes any positive time");
            let ready = self.0.readable().await;
            ready.expect("the runtime lives as long as its timer").clear_ready();
        }
    }
}
