//! The watchdog: a process of its own that puts everything back when the harness cannot.
//!
//! It leaves the harness's session, hears its renewals over standard input, and takes over when the
//! lease ends or the harness is gone: it raises the fence and pays the run's ledger, with the same
//! code as `gameday undo`. It neither decides what is owed nor knows any fault by name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use harness_core::fault::Registry;
use harness_core::time::Clock;
use harness_core::units::Duration;
use harness_engine::clock::RunClock;
use harness_engine::store::RunDir;
use harness_engine::undo::{HostFor, Purse, Which, Who, pay};
use harness_engine::watchdog::{FromWatchdog, ToWatchdog};
use rustix::process::{Pid, PidfdFlags, pidfd_open, setsid};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// What is owed is tried to be paid so often before the watchdog leaves it to a person.
pub const PAY_ROUNDS_MAX: u32 = 5;
/// A word to the harness is given up after this time: it may stand still, or be dead.
const SAY_MAX: Duration = Duration::from_millis(200);
/// After the harness's death its last words are read for so long.
const LAST_WORDS_MAX: Duration = Duration::from_millis(200);
/// A harness that stands still for longer than this is not waited for any more.
const STANDSTILL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A process that cannot be taken for a later one with the same number. As text: `PID:START`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarnessProcess {
    /// Process number.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl HarnessProcess {
    /// This process.
    pub fn own() -> io::Result<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// The process that has this number now.
    pub fn of(pid: i32) -> io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The command's name is in parentheses and may hold anything; the 22nd field is the 20th
        // after it.
        let ticks = text.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19));
        let start_ticks = ticks.and_then(|ticks| ticks.parse().ok());
        let start_ticks = start_ticks.ok_or_else(|| io::Error::other("/proc is not understood"))?;
        Ok(Self { pid, start_ticks })
    }

    /// Something that becomes readable when the process ends; `None` when it is gone already.
    fn watch(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Read after the descriptor was opened: from here on it cannot be another process.
        let same = Self::of(self.pid).is_ok_and(|found| found == self);
        Ok(same.then_some(fd))
    }
}

impl std::fmt::Display for HarnessProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.pid, self.start_ticks)
    }
}

impl std::str::FromStr for HarnessProcess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':');
        let parsed = parts.and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?)));
        let (pid, start_ticks) = parsed.ok_or_else(|| format!("`{text}` is not PID:START"))?;
        Ok(Self { pid, start_ticks })
    }
}

/// What a watchdog watches.
#[derive(Debug, Clone)]
pub struct WatchdogJob {
    /// The run whose ledger is paid.
    pub run: RunDir,
    /// Without a renewal for this long, it takes over.
    pub lease: Duration,
    /// Whom it watches.
    pub harness: HarnessProcess,
}

/// What it needs to put things back.
pub struct Outside {
    /// The kinds of fault.
    pub registry: Registry,
    /// The host for a kind of system.
    pub host: Box<HostFor>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogEnd {
    /// The harness said that the run is done.
    NotNeeded,
    /// It took over, and nothing is owed any more.
    Paid,
    /// It took over, and something is still owed.
    Owed,
}

/// The whole life of the watchdog's process: standard input and output must be the pipes of a
/// `WatchdogLink`. Errors when the process cannot be what it must be; then nothing was promised.
pub fn watch(job: &WatchdogJob, outside: &Outside) -> io::Result<WatchdogEnd> {
    let log = Log::open(&job.run)?;
    // A leader of a process group cannot leave its session; then it has one of its own already.
    setsid().map_or_else(|error| log.write(&format!("still in its session: {error}")), drop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let hear = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let say = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
        let gone = Gone::of(job.harness)?;
        Ok(Watch { job, outside, log, gone, say: Box::new(say) }.go(Box::new(hear)).await)
    })
}

/// Becomes true once: the harness is gone.
struct Gone(Option<AsyncFd<OwnedFd>>);

impl Gone {
    /// Must be called within a runtime.
    #[expect(deprecated, reason = "its successor is unsafe; an `OwnedFd` keeps what it asks for")]
    fn of(harness: HarnessProcess) -> io::Result<Self> {
        Ok(Self(harness.watch()?.map(AsyncFd::new).transpose()?))
    }

    /// Ends when the harness is gone. Cancel safe.
    async fn wait(&self) {
        let Some(fd) = &self.0 else { return };
        if let Err(error) = fd.readable().await {
            // Without the descriptor only the lease is left, which needs no descriptor.
            tracing::warn!(%error, "could not watch the harness");
            std::future::pending::<()>().await;
        }
    }
}

type Hear = Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>;

/// Why the watch over a lease ended.
enum Leave {
    Done,
    TakeOver(&'static str),
}

struct Watch<'a> {
    job: &'a WatchdogJob,
    outside: &'a Outside,
    log: Log,
    gone: Gone,
    say: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Watch<'_> {
    async fn go(mut self, hear: Box<dyn AsyncRead + Send + Unpin>) -> WatchdogEnd {
        let mut hear = BufReader::new(hear).lines();
        self.log.write(&format!("watching process {}", self.job.harness));
        self.say(&FromWatchdog::Ready).await;
        match self.lease(&mut hear).await {
            Leave::Done => {
                self.log.write("the run is done");
                WatchdogEnd::NotNeeded
            }
            Leave::TakeOver(why) => self.take_over(why, &mut hear).await,
        }
    }

    /// Renews as long as it is asked to.
    async fn lease(&mut self, hear: &mut Hear) -> Leave {
        loop {
            let lease = self.job.lease.as_std();
            let word = tokio::select! {
                biased;
                word = next_word(hear) => word,
                () = self.gone.wait() => {
                    let last_words = async { while next_word(hear).await != ToWatchdog::Done {} };
                    return match timeout(LAST_WORDS_MAX.as_std(), last_words).await {
                        Ok(()) => Leave::Done,
                        Err(_) => Leave::TakeOver("the harness is gone"),
                    };
                }
                () = tokio::time::sleep(lease) => {
                    return Leave::TakeOver("the lease ended without a renewal");
                }
            };
            match word {
                ToWatchdog::Renew { sequence } => {
                    self.say(&FromWatchdog::Renewed { sequence }).await;
                }
                ToWatchdog::Done => return Leave::Done,
            }
        }
    }

    async fn take_over(&mut self, why: &str, hear: &mut Hear) -> WatchdogEnd {
        self.log.write(&format!("taking over: {why}"));
        if let Err(error) = self.job.run.write("fence", why.as_bytes()) {
            self.log.write(&format!("could not raise the fence: {error}"));
        }
        self.say(&FromWatchdog::Fenced { why: why.to_owned() }).await;
        let mut end = self.pay(Which::Owed).await;
        let lives = timeout(Duration::ZERO.as_std(), self.gone.wait()).await.is_err();
        if lives {
            self.log.write("the harness still lives: watching on");
            let standstill = self.watch_on(&mut end, hear);
            if timeout(STANDSTILL_MAX.as_std(), standstill).await.is_err() {
                self.log.write("the harness stands still for too long");
            }
        }
        self.log.write(&format!("leaving: {end:?}"));
        end
    }

    /// A harness that stood still may inject once more before it notices the fence. Pays again
    /// whatever it owes, and once more everything when it is gone.
    async fn watch_on(&self, end: &mut WatchdogEnd, hear: &mut Hear) {
        loop {
            tokio::select! {
                biased;
                () = self.gone.wait() => break,
                () = said_done(hear) => return,
                () = tokio::time::sleep(self.job.lease.as_std()) => {}
            }
            if self.job.run.ledger().is_ok_and(|state| state.is_unpaid()) {
                *end = self.pay(Which::Owed).await;
            }
        }
        *end = self.pay(Which::All).await;
    }

    async fn pay(&self, which: Which) -> WatchdogEnd {
        let log = &self.log;
        let purse = Purse {
            registry: &self.outside.registry,
            host: &*self.outside.host,
            clock: Arc::clone(&self.log.clock),
            observer: &|words| log.write(words),
        };
        for round in 1..=PAY_ROUNDS_MAX {
            match pay(&self.job.run, &purse, Who::Watchdog, which).await {
                Ok(report) if report.owed.is_empty() => return WatchdogEnd::Paid,
                Ok(report) => {
                    for owed in report.owed {
                        self.log.write(&format!("still owed: {}: {}", owed.what, owed.why));
                    }
                }
                Err(error) => self.log.write(&format!("could not pay: {error}")),
            }
            if round < PAY_ROUNDS_MAX {
                tokio::time::sleep(self.job.lease.as_std()).await;
            }
        }
        WatchdogEnd::Owed
    }

    async fn say(&mut self, word: &FromWatchdog) {
        let mut line = serde_json::to_vec(word).expect("plain data");
        line.push(b'\n');
        let said = async {
            self.say.write_all(&line).await?;
            self.say.flush().await
        };
        match timeout(SAY_MAX.as_std(), said).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.log.write(&format!("the harness does not listen: {error}")),
            Err(_) => self.log.write("the harness does not listen"),
        }
    }
}

/// The next word that is understood. A closed pipe is no word: then only the lease and the
/// process tell. Cancel safe.
async fn next_word(hear: &mut Hear) -> ToWatchdog {
    loop {
        match hear.next_line().await {
            Ok(Some(line)) => {
                if let Ok(word) = serde_json::from_str(&line) {
                    return word;
                }
            }
            Ok(None) | Err(_) => std::future::pending::<()>().await,
        }
    }
}

async fn said_done(hear: &mut Hear) {
    while next_word(hear).await != ToWatchdog::Done {}
}

/// `watchdog.log`: what it did and when, for people.
struct Log {
    file: Mutex<File>,
    clock: Arc<dyn Clock>,
}

impl Log {
    fn open(run: &RunDir) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(run.watchdog_log_path())?;
        Ok(Self { file: Mutex::new(file), clock: Arc::new(RunClock::start()) })
    }

    /// A log that cannot be written is no reason to stop.
    fn write(&self, words: &str) {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{} {words}", self.clock.wall()) {
            tracing::warn!(%error, words, "could not write the watchdog's log");
        }
    }
}

#[cfg(test)]
mod tests;
