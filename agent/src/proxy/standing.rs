//! What control and data share about one route: the standing order, how far it is carried out,
//! and the counters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness_core::ids::EdgeName;
use injectors::proxy::wire::{ProxyEffect, RouteReport};
use tokio::sync::watch;

/// The order that stands for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Counts the orders of this route; the answer names it.
    pub(super) number: u64,
    /// `None` passes everything through.
    pub(super) effect: Option<ProxyEffect>,
}

/// How far a route is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    /// The order that is carried out, or tried.
    pub(super) number: u64,
    /// Why it is not carried out yet, where it is not.
    pub(super) pending: Option<String>,
}

/// Counters of a route; written by the data thread.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) listening: AtomicBool,
    pub(super) connections: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) bytes_to_callee: AtomicU64,
    pub(super) bytes_to_caller: AtomicU64,
    pub(super) held_bytes: AtomicU64,
    pub(super) spliced_bytes: AtomicU64,
    pub(super) answered: AtomicU64,
}

/// The control thread's end of a route.
#[derive(Debug)]
pub(super) struct RouteControl {
    pub(super) edge: EdgeName,
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) counters: Arc<Counters>,
}

/// The data thread's end of a route.
#[derive(Debug)]
pub(super) struct RouteData {
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) applied: watch::Sender<Applied>,
    pub(super) counters: Arc<Counters>,
}

/// Both ends of a route that has no fault.
pub(super) fn route(
    edge: EdgeName,
    listen: SocketAddr,
    upstream: SocketAddr,
) -> (RouteControl, RouteData) {
    let (order, standing) = watch::channel(Standing { number: 0, effect: None });
    let (done, applied) = watch::channel(Applied { number: 0, pending: None });
    let counters = Arc::new(Counters::default());
    let control = RouteControl {
        edge,
        listen,
        upstream,
        standing: order,
        applied,
        counters: Arc::clone(&counters),
    };
    (control, RouteData { listen, upstream, standing, applied: done, counters })
}

impl RouteControl {
    /// Gives a new order.
    pub(super) fn order(&self, effect: Option<ProxyEffect>) {
        self.standing.send_modify(|standing| {
            *standing = Standing { number: standing.number + 1, effect };
        });
    }

    /// Waits until the newest order is carried out. The caller bounds it; this never gives up.
    pub(super) async fn carried_out(&self) {
        let number = self.standing.borrow().number;
        let mut applied = self.applied.clone();
        let done =
            applied.wait_for(|applied| applied.number >= number && applied.pending.is_none());
        if done.await.is_err() {
            // The data thread is gone, and with it the process, in a moment.
            std::future::pending::<()>().await;
        }
    }

    /// Why the newest order is not carried out, or `None` when it is.
    pub(super) fn pending(&self) -> Option<String> {
        let number = self.standing.borrow().number;
        let applied = self.applied.borrow();
        if applied.number < number {
            return Some(format!("the route on {} has not taken it up yet", self.listen));
        }
        applied.pending.clone()
    }

    /// The route as it is now.
    pub(super) fn report(&self) -> RouteReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        RouteReport {
            edge: self.edge.clone(),
            listen: self.listen.to_string(),
            upstream: self.upstream.to_string(),
            listening: counters.listening.load(Ordering::Relaxed),
            effect: self.standing.borrow().effect.clone(),
            connections: count(&counters.connections),
            open: count(&counters.open),
            bytes_to_callee: count(&counters.bytes_to_callee),
            bytes_to_caller: count(&counters.bytes_to_caller),
            held_bytes: count(&counters.held_bytes),
            spliced_bytes: count(&counters.spliced_bytes),
            answered: count(&counters.answered),
        }
    }
}
