//! The harness's side of the watchdog: what the two say to each other, and the fence.
//!
//! The watchdog is a process of its own (package `agent`). The harness renews its lease over the
//! watchdog's standard input; the watchdog answers over its standard output. One JSON value per
//! line. When the lease ends, or the harness is gone, the watchdog raises the fence and pays the
//! ledger; a harness behind the fence must not inject any more.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// The lease is renewed so many times before it would end.
pub const RENEWALS_PER_LEASE: u64 = 5;
/// A watchdog that has not said that it is ready after this time is not there.
const READY_MAX: Duration = Duration::from_secs(5);
/// A watchdog that was told that the run is done must have ended after this time.
const END_MAX: Duration = Duration::from_secs(3);

/// What the harness says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ToWatchdog {
    /// The harness lives: the lease begins anew.
    Renew {
        /// Ascending.
        sequence: u64,
    },
    /// The run has ended and owes nothing: the watchdog may leave.
    Done,
}

/// What the watchdog says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FromWatchdog {
    /// It is in a session of its own and watches.
    Ready,
    /// It has seen this renewal.
    Renewed {
        /// Which.
        sequence: u64,
    },
    /// It has taken over.
    Fenced {
        /// Why.
        why: String,
    },
}

/// Why there is no watchdog.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// Its process cannot be started.
    #[error("could not start the watchdog {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It did not say that it is ready.
    #[error("the watchdog is not ready: {why}")]
    NotReady {
        /// Why.
        why: String,
    },
}

/// Whether the harness may inject.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    file: Option<PathBuf>,
    lease: Option<Arc<Lease>>,
}

#[derive(Debug)]
struct Lease {
    lasts: Duration,
    /// When the run loop last turned, in nanoseconds of the run's clock.
    turned_nanos: AtomicU64,
    /// When the newest renewal that was answered had been sent, in nanoseconds of the run's clock.
    renewed_nanos: AtomicU64,
}

impl Lease {
    /// Whether the run loop still turns. The lease of one that hangs must end.
    fn is_turning(&self, now: RunTime) -> bool {
        let turned = RunTime::from_nanos(self.turned_nanos.load(Ordering::Relaxed));
        now.since(turned) < self.lasts.divided_by(2)
    }
}

impl Fence {
    /// `Err` says why nothing may be injected: the watchdog has taken over, or may have.
    pub(crate) fn check(&self, now: RunTime) -> Result<(), String> {
        if let Some(file) = &self.file
            && file.exists()
        {
            return Err("the watchdog has taken over".to_owned());
        }
        let Some(lease) = &self.lease else { return Ok(()) };
        let renewed = RunTime::from_nanos(lease.renewed_nanos.load(Ordering::Relaxed));
        if now.since(renewed) < lease.lasts {
            return Ok(());
        }
        Err(format!("the watchdog has not answered within the lease of {}", lease.lasts))
    }

    /// The run loop turns.
    pub(crate) fn turn(&self, now: RunTime) {
        if let Some(lease) = &self.lease {
            lease.turned_nanos.store(now.nanos(), Ordering::Relaxed);
        }
    }
}

/// A watchdog that is ready.
pub struct WatchdogLink {
    child: Option<Child>,
    say: Box<dyn AsyncWrite + Send + Unpin>,
    hear: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    lasts: Duration,
    fence_file: Option<PathBuf>,
}

/// A watchdog to be started.
#[derive(Debug, Clone)]
pub struct WatchdogStart {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// The plan's lease.
    pub lease: Duration,
    /// The run's `RunDir::fence_path`.
    pub fence: PathBuf,
}

impl WatchdogLink {
    /// Starts a watchdog and waits until it is ready.
    pub async fn start(start: WatchdogStart) -> Result<Self, WatchdogError> {
        let (program, arguments) = start.argv.split_first().expect("the caller names a program");
        let failed = |source| WatchdogError::Start {
            program: program.to_string_lossy().into_owned(),
            source,
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let say = child.stdin.take().expect("it was piped");
        let hear = child.stdout.take().expect("it was piped");
        let mut link = Self::over(Box::new(say), Box::new(hear), start.lease).behind(start.fence);
        link.child = Some(child);
        link.ready().await
    }

    /// Its process; `None` when it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// A watchdog at the other end of two streams, which has not said yet that it is ready.
    pub(crate) fn over(
        say: Box<dyn AsyncWrite + Send + Unpin>,
        hear: Box<dyn AsyncRead + Send + Unpin>,
        lasts: Duration,
    ) -> Self {
        let hear = BufReader::new(hear).lines();
        Self { child: None, say, hear, lasts, fence_file: None }
    }

    /// The watchdog raises its fence as this file.
    pub(crate) fn behind(self, fence: PathBuf) -> Self {
        Self { fence_file: Some(fence), ..self }
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(mut self) -> Result<Self, WatchdogError> {
        let heard = tokio::time::timeout(READY_MAX.as_std(), self.heard()).await;
        let why = match heard {
            Ok(Ok(FromWatchdog::Ready)) => return Ok(self),
            Ok(Ok(other)) => format!("it said {other:?}"),
            Ok(Err(why)) => why,
            Err(_) => format!("it said nothing within {READY_MAX}"),
        };
        Err(WatchdogError::NotReady { why })
    }

    /// The fence that belongs to it; the lease begins now.
    pub(crate) fn fence(&self, now: RunTime) -> Fence {
        let beginning = || AtomicU64::new(now.nanos());
        let lease =
            Lease { lasts: self.lasts, turned_nanos: beginning(), renewed_nanos: beginning() };
        Fence { file: self.fence_file.clone(), lease: Some(Arc::new(lease)) }
    }

    /// Renews the lease until `done`, as long as the run loop turns. `Err` says why the watchdog is
    /// lost.
    pub(crate) async fn tend(
        &mut self,
        clock: &dyn Clock,
        fence: &Fence,
        done: &CancellationToken,
    ) -> Result<(), String> {
        let lease = fence.lease.as_ref().expect("the fence of this link");
        let period = self.lasts.divided_by(RENEWALS_PER_LEASE);
        for sequence in 0_u64.. {
            let sent = clock.now();
            if lease.is_turning(sent) {
                let lasts = self.lasts;
                tokio::time::timeout(lasts.as_std(), self.exchange(sequence))
                    .await
                    .map_err(|_| format!("no answer within the lease of {lasts}"))??;
                lease.renewed_nanos.store(sent.nanos(), Ordering::Relaxed);
            }
            let next = (sent + period).since(clock.now());
            tokio::select! {
                biased;
                () = done.cancelled() => break,
                heard = self.heard() => match heard? {
                    FromWatchdog::Fenced { why } => return Err(fenced(&why)),
                    FromWatchdog::Ready | FromWatchdog::Renewed { .. } => {}
                },
                () = tokio::time::sleep(next.as_std()) => {}
            }
        }
        Ok(())
    }

    /// Says that the run has ended and owes nothing, and waits until the watchdog is gone.
    pub async fn leave(mut self) {
        let end = async {
            self.say(ToWatchdog::Done).await?;
            match &mut self.child {
                Some(child) => child.wait().await.map(drop).map_err(|error| error.to_string()),
                None => Ok(()),
            }
        };
        match tokio::time::timeout(END_MAX.as_std(), end).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not let the watchdog leave"),
            Err(_) => tracing::warn!("the watchdog did not leave within {END_MAX}"),
        }
    }

    async fn exchange(&mut self, sequence: u64) -> Result<(), String> {
        self.say(ToWatchdog::Renew { sequence }).await?;
        loop {
            match self.heard().await? {
                FromWatchdog::Renewed { sequence: seen } if seen == sequence => return Ok(()),
                FromWatchdog::Fenced { why } => return Err(fenced(&why)),
                FromWatchdog::Ready | FromWatchdog::Renewed { .. } => {}
            }
        }
    }

    async fn say(&mut self, word: ToWatchdog) -> Result<(), String> {
        let mut line = serde_json::to_vec(&word).expect("plain data");
        line.push(b'\n');
        let said = async {
            self.say.write_all(&line).await?;
            self.say.flush().await
        };
        said.await.map_err(|error: std::io::Error| format!("it does not listen: {error}"))
    }

    /// Cancel safe: a line that was not read whole stays in the buffer.
    async fn heard(&mut self) -> Result<FromWatchdog, String> {
        match self.hear.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line)
                .map_err(|error| format!("it said what cannot be understood: {error}")),
            Ok(None) => Err("its process has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn fenced(why: &str) -> String {
    format!("it has taken over: {why}")
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::clock::PausedClock;

    #[tokio::test(start_paused = true)]
    async fn a_run_loop_that_hangs_is_not_renewed_and_may_not_inject() {
        let (to_peer, hear) = duplex(4096);
        let (mut say, from_peer) = duplex(4096);
        let clock = PausedClock::start();
        let lease = Duration::from_secs(3);
        let mut link = WatchdogLink::over(Box::new(to_peer), Box::new(from_peer), lease);
        let (fence, done) = (link.fence(clock.now()), CancellationToken::new());
        let mut heard = BufReader::new(hear).lines();
        let peer = async {
            let mut last = RunTime::START;
            while let Ok(Ok(Some(line))) =
                tokio::time::timeout(lease.as_std(), heard.next_line()).await
            {
                last = clock.now();
                let ToWatchdog::Renew { sequence } = serde_json::from_str(&line).unwrap() else {
                    break;
                };
                let answer = serde_json::to_string(&FromWatchdog::Renewed { sequence }).unwrap();
                say.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
            last
        };
        let turning = async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(200).as_std()).await;
                fence.turn(clock.now());
            }
            assert_eq!(fence.check(clock.now()), Ok(()));
            std::future::pending::<()>().await;
        };
        // The loop turns for 4 s; then the lease is renewed for half of it at most.
        tokio::select! {
            ended = link.tend(&clock, &fence, &done) => panic!("it ended: {ended:?}"),
            last = peer => assert!((4.0..5.6).contains(&last.secs_f64()), "{last}"),
            () = turning => {}
        }
        assert!(fence.check(clock.now()).is_err());
    }
}
