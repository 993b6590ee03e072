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
    /// The first of the last orders that all ask the same of the listener.
    listener_since: u64,
    /// `None` passes everything through.
    pub(super) effect: Option<ProxyEffect>,
}

impl Standing {
    /// Passes everything through.
    fn inert() -> Self {
        Self { number: 0, listener_since: 0, effect: None }
    }

    /// Whether callers can connect under it.
    pub(super) fn listens(&self) -> bool {
        self.effect != Some(ProxyEffect::Refuse)
    }

    fn next(&self, effect: Option<ProxyEffect>) -> Self {
        let number = self.number + 1;
        let next = Self { number, listener_since: number, effect };
        if next.listens() == self.listens() {
            return Self { listener_since: self.listener_since, ..next };
        }
        next
    }

    /// Connections read the order that stands before each byte. Only the listener must be waited
    /// for, and only where it has to be opened or closed.
    fn is_carried_out(&self, applied: &Applied) -> bool {
        applied.number >= self.listener_since && applied.pending.is_none()
    }
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
    let (order, standing) = watch::channel(Standing::inert());
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
        self.standing.send_modify(|standing| *standing = standing.next(effect));
    }

    /// Waits until the newest order is carried out. The caller bounds it; this never gives up.
    pub(super) async fn carried_out(&self) {
        let standing = self.standing.borrow().clone();
        let mut applied = self.applied.clone();
        let done = applied.wait_for(|applied| standing.is_carried_out(applied));
        if done.await.is_err() {
            // The data thread is gone, and with it the process, in a moment.
            std::future::pending::<()>().await;
        }
    }

    /// Why the newest order is not carried out, or `None` when it is.
    pub(super) fn pending(&self) -> Option<String> {
        let standing = self.standing.borrow();
        let applied = self.applied.borrow();
        if standing.is_carried_out(&applied) {
            return None;
        }
        if applied.number < standing.listener_since {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listener_that_has_to_change_is_waited_for() {
        let applied = |number| Applied { number, pending: None };
        let start = Standing::inert();
        let hole = start.next(Some(ProxyEffect::Blackhole));
        assert!(hole.is_carried_out(&applied(0)), "connections read it themselves");
        let refuse = hole.next(Some(ProxyEffect::Refuse));
        assert!(!refuse.is_carried_out(&applied(1)), "the listener has to be closed");
        assert!(refuse.is_carried_out(&applied(2)));
        let open = refuse.next(None);
        assert!(!open.is_carried_out(&applied(1)), "it may be closed in between");
        assert!(!open.is_carried_out(&applied(2)), "the listener has to be opened");
        assert!(open.is_carried_out(&applied(3)));
        let failed = Applied { number: 3, pending: Some("taken".to_owned()) };
        assert!(!open.is_carried_out(&failed));
        assert!(!open.next(Some(ProxyEffect::Reset)).is_carried_out(&failed), "still closed");
    }
}
