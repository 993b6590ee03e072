//! What the senders of a load tell, handed on; what they are ordered, passed to them.
//!
//! Senders are threads of this process, or a process of their own.

use std::sync::Arc;

use harness_core::load::{LoadError, SampleSink, Stop};
use tokio::sync::{mpsc, watch};

use crate::merge::Merger;
use crate::worker::Report;

/// The two orders that senders get; both turn true once.
pub(crate) struct Orders {
    /// Nothing is sent any more.
    pub(crate) stop: Arc<watch::Sender<bool>>,
    /// Nothing more becomes due.
    pub(crate) finish: watch::Sender<bool>,
}

impl Orders {
    /// None given yet.
    pub(crate) fn new() -> Self {
        Self { stop: Arc::new(watch::channel(false).0), finish: watch::channel(false).0 }
    }
}

/// Hands on what the senders tell, until all have ended.
pub(crate) async fn listen(
    reports: &mut mpsc::Receiver<Report>,
    orders: &Orders,
    merger: &mut Merger,
    out: &dyn SampleSink,
    stop: &dyn Stop,
) -> Result<(), LoadError> {
    let mut stopped = std::pin::pin!(stop.stopped());
    let mut finished = std::pin::pin!(stop.finishing());
    let (mut stopping, mut finishing) = (false, false);
    loop {
        // Receiving is cancel-safe, and each end is asked for once.
        let report = tokio::select! {
            biased;
            () = &mut stopped, if !stopping => {
                stopping = true;
                orders.stop.send_replace(true);
                continue;
            }
            () = &mut finished, if !finishing => {
                finishing = true;
                orders.finish.send_replace(true);
                continue;
            }
            report = reports.recv() => report,
        };
        match report {
            Some(Report::Window(index, part)) => {
                merger.window(index, part);
                while let Some(window) = merger.next_window() {
                    out.window(window);
                }
            }
            Some(Report::Tick(index, part)) => {
                merger.tick(index, part);
                while let Some(tick) = merger.next_tick() {
                    out.tick(tick);
                }
            }
            Some(Report::Pause(from, to)) => merger.pause(from, to),
            Some(Report::Ended(end)) => merger.ended(end),
            Some(Report::Failed(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}
