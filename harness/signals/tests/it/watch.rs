//! Runs a source and looks at what it puts, always within a bound of time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness_core::load::Stop;
use harness_core::plan::{SignalPlan, SourcePlan};
use harness_core::signal::{
    ActionNotice, AlertNotice, Observation, SignalEvent, SignalSink, Sources,
};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::topology::Topology;
use harness_signals::SignalSources;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Nothing here takes so long unless it is broken.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// A source stops in about 100 ms; the rest is for a machine that is busy.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Microseconds of the machine's monotonic clock, as other processes stamp their records.
pub(crate) fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000 + u64::try_from(time.tv_nsec).unwrap() / 1000
}

/// The monotonic clock, counted from its making.
struct TestClock {
    begun_us: u64,
}

impl Clock for TestClock {
    fn now(&self) -> RunTime {
        RunTime::from_nanos((monotonic_us() - self.begun_us) * 1000)
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

struct Switch(CancellationToken);

impl Stop for Switch {
    fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.cancelled())
    }
}

#[derive(Default)]
struct Kept {
    events: Mutex<Vec<SignalEvent>>,
    changed: Notify,
}

impl SignalSink for Kept {
    fn put(&self, event: SignalEvent) {
        self.events.lock().unwrap().push(event);
        self.changed.notify_one();
    }
}

/// A source that runs.
pub(crate) struct Watch {
    pub(crate) begun_us: u64,
    kept: Arc<Kept>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Watch {
    pub(crate) fn start(source: SourcePlan, topology: &Topology) -> Self {
        let begun_us = monotonic_us();
        let clock = Arc::new(TestClock { begun_us });
        let plan = SignalPlan { id: "it".into(), source };
        let source = SignalSources::new().source(&plan, topology, clock).unwrap();
        assert_eq!(source.signal().as_str(), "it");
        let (kept, stop) = (Arc::new(Kept::default()), CancellationToken::new());
        let mut running = JoinSet::new();
        let (out, switch) = (Arc::clone(&kept), Switch(stop.clone()));
        running.spawn(async move { source.run(&*out, &switch).await });
        Self { begun_us, kept, stop, running }
    }

    pub(crate) fn events(&self) -> Vec<SignalEvent> {
        self.kept.events.lock().unwrap().clone()
    }

    /// Waits until what was put is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&[SignalEvent]) -> bool) -> Vec<SignalEvent> {
        let waiting = async {
            loop {
                let events = self.events();
                if wanted(&events) {
                    return events;
                }
                self.kept.changed.notified().await;
            }
        };
        let ended = tokio::time::timeout(WITHIN, waiting).await;
        ended.unwrap_or_else(|_| panic!("it did not come: {:?}", self.events()))
    }

    /// Waits for a gap with this text.
    pub(crate) async fn until_gap(&self, part: &str) {
        self.until(|events| gaps(events).iter().any(|why| why.contains(part))).await;
    }

    /// Stops the source; what it put in all.
    pub(crate) async fn stop(mut self) -> Vec<SignalEvent> {
        self.stop.cancel();
        let ended = tokio::time::timeout(STOP_WITHIN, self.running.join_next()).await;
        ended.expect("it stops soon").expect("it ran").expect("it does not panic");
        self.events()
    }
}

pub(crate) fn values(events: &[SignalEvent]) -> Vec<f64> {
    let value = |event: &SignalEvent| match event {
        SignalEvent::Observed(Observation::Value { value, .. }) => Some(*value),
        _ => None,
    };
    events.iter().filter_map(value).collect()
}

pub(crate) fn gaps(events: &[SignalEvent]) -> Vec<&str> {
    let mut gaps = Vec::new();
    for event in events {
        if let SignalEvent::Observed(Observation::Gap { why, .. }) = event {
            gaps.push(why.as_str());
        }
    }
    gaps
}

/// The gaps that a machine which is busy cannot cause.
pub(crate) fn gaps_in_time(events: &[SignalEvent]) -> Vec<&str> {
    let mut gaps = gaps(events);
    gaps.retain(|why| !why.contains("did not answer within"));
    gaps
}

pub(crate) fn alerts(events: &[SignalEvent]) -> Vec<&AlertNotice> {
    let mut notices = Vec::new();
    for event in events {
        if let SignalEvent::Alert(notice) = event {
            notices.push(notice);
        }
    }
    notices
}

pub(crate) fn actions(events: &[SignalEvent]) -> Vec<&ActionNotice> {
    let mut notices = Vec::new();
    for event in events {
        if let SignalEvent::Action(notice) = event {
            notices.push(notice);
        }
    }
    notices
}
