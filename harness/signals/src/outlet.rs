//! Where one running source puts what it sees, under its own name and on the run's clock.

use harness_core::ids::SignalId;
use harness_core::signal::{Observation, SignalEvent, SignalSink};
use harness_core::time::{Clock, RunTime};

/// The way out of one source.
#[derive(Clone, Copy)]
pub(crate) struct Outlet<'a> {
    pub(crate) signal: &'a SignalId,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) out: &'a dyn SignalSink,
}

impl Outlet<'_> {
    /// The present on the run's clock.
    pub(crate) fn now(&self) -> RunTime {
        self.clock.now()
    }

    /// Puts one event.
    pub(crate) fn put(&self, event: SignalEvent) {
        self.out.put(event);
    }

    /// Says that something could not be read just now.
    pub(crate) fn gap(&self, why: String) {
        let gap = Observation::Gap { signal: self.signal.clone(), at: self.now(), why };
        self.put(SignalEvent::Observed(gap));
    }
}
