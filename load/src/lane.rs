//! A lane: one request after the other, each on the lane's connection, which is opened when needed.
//!
//! One lane has at most one request under way. Whether and when to send is the desk's decision.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use harness_core::load::RequestOutcome;
use harness_core::plan::Reuse;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::desk::{Connected, Desk, Rest};
use crate::mix::Arrival;
use crate::request::Requests;
use crate::session::{Failure, Http2Sender, Session, http2};
use crate::target::{Protocol, Target};
use crate::transport::connect;

/// A request that never left, since its connection had just been closed, is sent on another one at
/// most this often.
const RESENDS_MAX: u32 = 2;

/// Connections of one worker: HTTP/1.1 lanes own theirs, HTTP/2 lanes share.
pub(crate) struct Connections {
    target: Target,
    shared: Vec<Mutex<Option<Http2Sender>>>,
    /// What drives the shared ones.
    drivers: RefCell<JoinSet<()>>,
}

impl Connections {
    /// At most `connections_max` to a target.
    pub(crate) fn new(target: Target, connections_max: u32) -> Self {
        let shared = match target.protocol {
            Protocol::Http1 => Vec::new(),
            Protocol::Http2 => (0..connections_max).map(|_| Mutex::new(None)).collect(),
        };
        Self { target, shared, drivers: RefCell::new(JoinSet::new()) }
    }

    /// An open session for a lane.
    pub(crate) async fn open(&self, lane: usize) -> Result<Session, RequestOutcome> {
        match self.target.protocol {
            Protocol::Http1 => Session::http1(connect(&self.target).await?).await,
            Protocol::Http2 => {
                let mut shared = self.shared[lane % self.shared.len()].lock().await;
                if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
                    return Ok(Session::Http2 { sender: sender.clone() });
                }
                let (sender, driver) = http2(connect(&self.target).await?).await?;
                self.drivers.borrow_mut().spawn_local(driver);
                *shared = Some(sender.clone());
                Ok(Session::Http2 { sender })
            }
        }
    }
}

/// Serves one lane until its worker ends it.
pub(crate) async fn run_lane(
    desk: Rc<Desk>,
    connections: Rc<Connections>,
    requests: Arc<Requests>,
    lane: usize,
) {
    let mut session = None;
    // On the present connection; a request that was sent anew counts as one of the connection that
    // it left, too, so that no connection ever has more than its number.
    let mut served = 0;
    loop {
        let arrival = next(&desk, lane, &mut session).await;
        if session.is_none() {
            served = 0;
        }
        // Pinned where it is made: it is large, and nothing is moved for a request.
        let outcome = {
            let step = pin!(serve(&desk, &connections, &requests, lane, &arrival, &mut session));
            unless_expired(&desk, lane, step).await
        };
        let outcome = outcome.unwrap_or_else(|| {
            // Closing the connection is the only way to take back an HTTP/1.1 request.
            session = None;
            RequestOutcome::Timeout
        });
        served += 1;
        let spent = match desk.reuse() {
            Reuse::Always {} => false,
            Reuse::UpTo { requests } => served >= requests,
        };
        if spent || session.as_ref().is_some_and(Session::is_closed) {
            session = None;
        }
        let rest = if session.is_some() { Rest::Warm } else { Rest::Cold };
        desk.ended(lane, outcome, rest);
    }
}

/// Waits for the lane's next request, while its connection may end.
async fn next(desk: &Desk, lane: usize, session: &mut Option<Session>) -> Arrival {
    poll_fn(|cx| {
        if let Some(open) = session
            && open.poll_idle(cx).is_ready()
        {
            *session = None;
            desk.cooled(lane);
        }
        desk.take(lane, cx.waker()).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Runs a step; `None` when the desk says that it takes too long.
async fn unless_expired<T>(
    desk: &Desk,
    lane: usize,
    mut step: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| match step.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if desk.is_expired(lane, cx.waker()) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn serve(
    desk: &Desk,
    connections: &Connections,
    requests: &Requests,
    lane: usize,
    arrival: &Arrival,
    session: &mut Option<Session>,
) -> RequestOutcome {
    let mut connected = Connected::Before;
    for _ in 0..=RESENDS_MAX {
        let open = match session {
            Some(open) if !open.is_closed() => open,
            _ => {
                connected = Connected::Now;
                match connections.open(lane).await {
                    Ok(opened) => session.insert(opened),
                    Err(outcome) => return outcome,
                }
            }
        };
        match open.exchange(requests, arrival, || desk.sent(lane, connected)).await {
            Ok(outcome) => return outcome,
            Err(Failure::Ended(outcome)) => {
                *session = None;
                return outcome;
            }
            Err(Failure::NotSent) => {
                *session = None;
                desk.not_sent(lane);
            }
        }
    }
    RequestOutcome::Reset
}
