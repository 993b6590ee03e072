//! One route: its listener, and the connections that came through it.
//!
//! The port is kept by a second socket that never listens, so nobody else can take it while the
//! order is to refuse; to refuse is to close the listener, and the kernel answers as it does for a
//! process that is gone.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use injectors::proxy::wire::ProxyEffect;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::TaskTracker;

use super::relay::{End, Relay, reset};
use super::standing::{Applied, Counters, RouteData, Standing};
use super::timer::Timer;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;
/// After an accept or a bind that failed, the next one waits.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What all routes of the data thread share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) timer: Arc<Timer>,
    pub(super) tracker: TaskTracker,
    /// One permit per connection; bounded by the descriptors that the process may have.
    pub(super) room: Arc<Semaphore>,
}

/// A route whose port is taken.
#[derive(Debug)]
pub(super) struct Route {
    data: RouteData,
    /// Keeps the port. Never listens.
    _keeper: TcpSocket,
    listener: Option<TcpListener>,
}

impl Route {
    /// Takes the port and listens. Needs a runtime.
    pub(super) fn bind(data: RouteData) -> io::Result<Self> {
        let keeper = keep(data.listen)?;
        let listener = listen(data.listen)?;
        data.counters.listening.store(true, Ordering::Relaxed);
        Ok(Self { data, _keeper: keeper, listener: Some(listener) })
    }

    /// Serves until the control side is gone.
    pub(super) async fn serve(mut self, shared: Shared) {
        loop {
            let standing = self.data.standing.borrow_and_update().clone();
            if let Err(error) = self.carry_out(&standing) {
                self.applied(&standing, Some(error.to_string()));
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            }
            self.applied(&standing, None);
            let gone = match &self.listener {
                Some(listener) => accept(&mut self.data, listener, &shared).await,
                None => self.data.standing.changed().await.is_err(),
            };
            if gone {
                return;
            }
        }
    }

    fn carry_out(&mut self, standing: &Standing) -> io::Result<()> {
        if !standing.listens() {
            self.listener = None;
        } else if self.listener.is_none() {
            self.listener = Some(listen(self.data.listen)?);
        }
        self.data.counters.listening.store(standing.listens(), Ordering::Relaxed);
        Ok(())
    }

    fn applied(&self, standing: &Standing, pending: Option<String>) {
        let next = Applied { number: standing.number, pending };
        self.data.applied.send_if_modified(|applied| {
            let changed = *applied != next;
            *applied = next;
            changed
        });
    }
}

/// A socket that keeps a port from everybody but those who share it on purpose. Without
/// `SO_REUSEADDR`: with it, any other socket that has it could take a port where nobody listens.
fn keep(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseport(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the order changes. True when the control side is gone.
async fn accept(data: &mut RouteData, listener: &TcpListener, shared: &Shared) -> bool {
    loop {
        let next = async {
            // Without room the connections wait in the kernel's queue.
            let room = Arc::clone(&shared.room).acquire_owned().await;
            (room.expect("the semaphore is never closed"), listener.accept().await)
        };
        let (room, accepted) = tokio::select! {
            biased;
            changed = data.standing.changed() => return changed.is_err(),
            next = next => next,
        };
        match accepted {
            Ok((caller, _)) => admit(data, caller, room, shared),
            // No descriptors, or a caller that is gone already.
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

fn admit(data: &RouteData, caller: TcpStream, room: OwnedSemaphorePermit, shared: &Shared) {
    data.counters.connections.fetch_add(1, Ordering::Relaxed);
    let standing = data.standing.clone();
    if standing.borrow().effect == Some(ProxyEffect::Reset) || caller.set_nodelay(true).is_err() {
        reset(&caller);
        return;
    }
    let relay = Relay::new(caller, data.upstream, &data.counters, &shared.timer);
    let open = Open::new(&data.counters);
    shared.tracker.spawn(async move {
        carry(relay, standing).await;
        drop((open, room));
    });
}

/// Counts a connection as open while it lives.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries one connection under the orders as they come.
async fn carry(mut relay: Relay, mut standing: watch::Receiver<Standing>) {
    let end = loop {
        let effect = standing.borrow_and_update().effect.clone();
        tokio::select! {
            // First the order, so that no byte passes under an old one.
            biased;
            changed = standing.changed() => if changed.is_err() { break End::Reset },
            end = poll_fn(|cx| relay.poll(cx, effect.as_ref())) => break end,
        }
    };
    relay.end(end);
}
