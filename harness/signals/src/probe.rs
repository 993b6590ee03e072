//! A check at a fixed period, each on a fresh connection of its own: 1 ok, 0 failed.
//!
//! An HTTP check is ok when a whole answer with a 2xx status came in time, a TCP check when a
//! connection was taken in time and not closed at once; all else has failed. It takes the addresses
//! of an edge in turn, one per period, so that as many checks in a row as there are slots have seen
//! them all. It is a gap when the check could not be tried, or when this process itself stood still
//! meanwhile.

use std::sync::Arc;

use harness_core::ids::SignalId;
use harness_core::load::Stop;
use harness_core::signal::{Observation, SignalEvent, SignalSink, Source};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use hyper::Method;
use tokio::time::MissedTickBehavior;

use crate::http::{Ask, CallError, is_success, status};
use crate::tcp::connection;

/// A check that ended so much later than its timeout was held up by this process, not by the
/// system.
const LATE_MAX: Duration = Duration::from_millis(100);

/// A probe; see the module.
pub(crate) struct Probe {
    pub(crate) signal: SignalId,
    /// At least one `host:port`.
    pub(crate) addresses: Vec<String>,
    /// Of an HTTP check; a TCP check has none.
    pub(crate) path: Option<String>,
    /// More than zero.
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Source for Probe {
    fn signal(&self) -> &SignalId {
        &self.signal
    }

    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut stopped = stop.stopped();
            let mut ticks = tokio::time::interval(self.every.as_std());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for address in self.addresses.iter().cycle() {
                let checked = async {
                    ticks.tick().await;
                    self.check(address).await
                };
                tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    observation = checked => out.put(SignalEvent::Observed(observation)),
                }
            }
        })
    }
}

impl Probe {
    async fn check(&self, address: &str) -> Observation {
        let at = self.clock.now();
        let end = match &self.path {
            Some(path) => {
                let (method, within) = (&Method::GET, self.timeout);
                status(Ask { address, method, path, body: None, within }).await.map(is_success)
            }
            None => connection(address, self.timeout).await.map(|()| true),
        };
        self.observation(at, self.clock.now().since(at), end)
    }

    /// From when and how long a check took, and whether its answer was a good one.
    fn observation(
        &self,
        at: RunTime,
        took: Duration,
        end: Result<bool, CallError>,
    ) -> Observation {
        let signal = self.signal.clone();
        let late = took.saturating_sub(self.timeout);
        if late > LATE_MAX {
            let why = format!("the harness itself stood still: the check ended {late} too late");
            return Observation::Gap { signal, at, why };
        }
        let good = match end {
            Err(error @ CallError::Untried { .. }) => {
                return Observation::Gap { signal, at, why: error.to_string() };
            }
            Ok(good) => good && late == Duration::ZERO,
            Err(
                CallError::Refused { .. } | CallError::TimedOut { .. } | CallError::Broken { .. },
            ) => false,
        };
        Observation::Value { signal, at, value: f64::from(u8::from(good)) }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::time::WallTime;

    use super::*;

    struct Never;

    impl Clock for Never {
        fn now(&self) -> RunTime {
            RunTime::START
        }

        fn wall(&self) -> WallTime {
            WallTime(0)
        }
    }

    fn check(took_ms: u64, end: Result<u16, CallError>) -> Option<f64> {
        let probe = Probe {
            signal: "sentinel".into(),
            addresses: vec!["127.0.0.1:1".to_owned()],
            path: Some("/".to_owned()),
            every: Duration::from_millis(250),
            timeout: Duration::from_millis(200),
            clock: Arc::new(Never),
        };
        let begun = RunTime::from_nanos(9);
        let end = end.map(is_success);
        match probe.observation(begun, Duration::from_millis(took_ms), end) {
            Observation::Value { at, value, .. } => {
                assert_eq!(at, begun, "a check counts from its beginning");
                Some(value)
            }
            Observation::Gap { at, .. } => {
                assert_eq!(at, begun);
                None
            }
        }
    }

    #[test]
    fn a_check_is_ok_failed_or_a_gap() {
        let address = || "127.0.0.1:1".to_owned();
        let timed_out =
            || CallError::TimedOut { address: address(), within: Duration::from_millis(200) };
        assert_eq!(check(5, Ok(200)), Some(1.0));
        assert_eq!(check(5, Ok(204)), Some(1.0));
        for status in [199, 301, 404, 503] {
            assert_eq!(check(5, Ok(status)), Some(0.0), "{status}");
        }
        assert_eq!(check(5, Err(CallError::Refused { address: address() })), Some(0.0));
        let why = String::new();
        assert_eq!(check(5, Err(CallError::Broken { address: address(), why })), Some(0.0));
        assert_eq!(check(201, Err(timed_out())), Some(0.0));
        assert_eq!(check(250, Ok(200)), Some(0.0), "it came too late");
        assert_eq!(check(301, Err(timed_out())), None, "we stood still");
        assert_eq!(check(900, Ok(200)), None, "we stood still");
        let why = "no free port".to_owned();
        assert_eq!(check(0, Err(CallError::Untried { address: address(), why })), None);
    }
}
