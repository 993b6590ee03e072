//! The one queue into the run loop. What comes out of it is the order of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness_core::event::{Done, Event};
use harness_core::ids::CommandId;
use harness_core::load::{LoadTick, SampleSink, WindowSamples};
use harness_core::signal::{SignalEvent, SignalSink};
use harness_core::system::Opened;
use tokio::sync::mpsc;

/// Reports that may wait for the run loop.
pub(crate) const REPORTS_MAX: usize = 4096;

/// What tasks tell the run loop.
pub(crate) enum Report {
    /// Something happened.
    Event(Event),
    /// The system is open; the answer to this command.
    Opened(CommandId, Opened),
    /// A window is closed.
    Window(Box<WindowSamples>),
}

/// The way into the queue.
#[derive(Clone)]
pub(crate) struct Reports {
    queue: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

impl Reports {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Report>) {
        let (queue, out) = mpsc::channel(REPORTS_MAX);
        (Self { queue, lost: Arc::default() }, out)
    }

    /// Puts a report into the queue and waits for room. Without a run loop nobody needs to know.
    pub(crate) async fn put(&self, report: Report) {
        if self.queue.send(report).await.is_err() {
            tracing::debug!("a report came after the end of the run");
        }
    }

    pub(crate) async fn done(&self, command: CommandId, outcome: Done) {
        self.put(Report::Event(Event::Done { command, outcome })).await;
    }

    /// Puts a report into the queue, or counts it as lost: the sources of load and signals must
    /// never wait.
    fn put_now(&self, report: Report) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(report) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many reports were lost since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl SampleSink for Reports {
    fn window(&self, samples: WindowSamples) {
        self.put_now(Report::Window(Box::new(samples)));
    }

    fn tick(&self, tick: LoadTick) {
        self.put_now(Report::Event(Event::Load(tick)));
    }
}

impl SignalSink for Reports {
    fn put(&self, event: SignalEvent) {
        self.put_now(Report::Event(Event::Signal(event)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_counts_what_it_loses() {
        let (reports, _out) = Reports::new();
        for _ in 0..REPORTS_MAX + 3 {
            reports.tick(LoadTick::default());
        }
        assert_eq!((reports.take_lost(), reports.take_lost()), (3, 0));
    }
}
