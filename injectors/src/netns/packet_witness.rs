//! Who is believed about faults on packets: a caller's own connections out of the namespace, and
//! the kernel's list of who listens there. Counters of the rules are shown beside it. Where nobody
//! listens any more, the kernel's list of rules decides.

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use futures_util::future::{join, join_all};
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::units::Duration;
use serde_json::Value;
use tokio::net::TcpSocket;

use super::inside::Inside;
use super::namespace::Door;
use super::nft::Counted;
use super::packet_fault::{PacketDebt, PacketSpec};
use crate::proxy::{Question, SILENCE, Says, Seen, look_from, read, sum_up};

/// What does not open says so by itself before this time is over, too.
const SPARE: Duration = Duration::from_millis(10);

/// How one connection opened that was only opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// At once.
    Open,
    /// Not within a silence: on a loopback only when a packet was lost.
    Late,
    /// Refused, reset, or an error of our own.
    Broken,
}

/// What one look saw of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// Somebody listens there, by the kernel's word, and has room for more.
    pub(super) listens: bool,
    /// It was waited as long as it should be; else nothing is known of what did not come.
    pub(super) whole: bool,
    /// What came of requests.
    pub(super) requests: Vec<Seen>,
    /// What came of connections that were only opened.
    pub(super) openings: Vec<Opening>,
    /// What the rules have counted; nothing when there are none.
    pub(super) counted: Option<Counted>,
}

impl Sight {
    /// All requests were answered as by a healthy callee.
    pub(super) fn is_healthy(&self) -> bool {
        let healthy = |seen: &Seen| matches!(seen, Seen::Answered { status: 200, .. });
        !self.requests.is_empty() && self.requests.iter().all(healthy)
    }

    /// How many of the connections that were only opened came to be so.
    pub(super) fn count(&self, opening: Opening) -> usize {
        self.openings.iter().filter(|one| **one == opening).count()
    }

    fn words(&self) -> String {
        let mut words: Vec<String> =
            self.requests.iter().take(1).map(ToString::to_string).collect();
        if !self.openings.is_empty() {
            let all = self.openings.len();
            words.push(format!("{} of {all} connections were late", self.count(Opening::Late)));
        }
        words.push(if self.listens { "the callee listens" } else { "nobody listens" }.to_owned());
        if let Some(Counted { seen, met, .. }) = self.counted {
            let of = if seen > 0 { format!(" of {seen}") } else { String::new() };
            words.push(format!("the rules met {met}{of} packets"));
        }
        words.join(", ")
    }
}

/// Sockets that belong to the namespace.
pub(super) fn sockets(door: &Door, count: usize) -> Result<Vec<TcpSocket>, FaultError> {
    let failed = |why: String| FaultError::Failed { action: "look".to_owned(), why };
    let make = || (0..count).map(|_| TcpSocket::new_v4()).collect::<std::io::Result<Vec<_>>>();
    door.within(make).map_err(failed)?.map_err(|error| failed(error.to_string()))
}

/// A socket that listens, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listener {
    at: SocketAddrV4,
    /// Fewer connections wait to be taken than may.
    has_room: bool,
}

/// Who listens in the namespace. The kernel is asked for listeners alone: a list of all sockets
/// takes as long as there are connections on the machine.
pub(super) async fn listeners(inside: &Inside<'_>) -> Result<Vec<Listener>, FaultError> {
    let answer = inside.run("ss", &["-H", "-l", "-t", "-n", "-4"], "").await?;
    Ok(read_listeners(&String::from_utf8_lossy(&answer)))
}

fn read_listeners(text: &str) -> Vec<Listener> {
    let one = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let waiting: u64 = fields.next()?.parse().ok()?;
        let most: u64 = fields.next()?.parse().ok()?;
        Some(Listener { at: fields.next()?.parse().ok()?, has_room: waiting < most })
    };
    text.lines().filter_map(one).collect()
}

pub(super) fn listens(listeners: &[Listener], endpoint: SocketAddrV4) -> bool {
    let same = |ip: &Ipv4Addr| ip == endpoint.ip() || ip.is_unspecified();
    let fits = |one: &Listener| one.at.port() == endpoint.port() && same(one.at.ip());
    listeners.iter().any(|one| fits(one) && one.has_room)
}

pub(super) async fn open(socket: TcpSocket, endpoint: SocketAddr, patience: Duration) -> Opening {
    match tokio::time::timeout(patience.as_std(), socket.connect(endpoint)).await {
        Ok(Ok(_)) => Opening::Open,
        Ok(Err(_)) => Opening::Broken,
        Err(_) => Opening::Late,
    }
}

/// Opens a connection and asks, within a silence for both: a look must be short.
pub(super) async fn request(
    socket: TcpSocket,
    endpoint: SocketAddr,
    patience: Duration,
    clock: &dyn Clock,
) -> Seen {
    let asking = look_from(socket, endpoint, Question::once(patience), clock);
    tokio::time::timeout((patience + SPARE).as_std(), asking).await.unwrap_or(Seen::Silent)
}

/// Looks as the callers in a namespace do.
pub(crate) struct PacketWitness<S>(PhantomData<fn() -> S>);

impl<S: PacketSpec> PacketWitness<S> {
    /// The witness; it has no state of its own.
    pub(super) const WITNESS: Self = Self(PhantomData);

    /// One look at each address, side by side.
    async fn see(
        cx: &Cx<'_>,
        spec: &S,
        debt: &PacketDebt,
        door: &Door,
    ) -> Result<Vec<Sight>, FaultError> {
        // Beside the waiting, a look reads the counters.
        let silence = SILENCE.min(cx.deadline.divided_by(3));
        let each = spec.requests() + spec.openings();
        let inside = Inside { cx, door, verb: "look" };
        let listeners = listeners(&inside).await?;
        let mut all = sockets(door, each * debt.endpoints.len())?;
        let looks: Vec<_> = debt
            .endpoints
            .iter()
            .map(|endpoint| {
                let mut sockets = all.split_off(all.len() - each);
                let asking = sockets.split_off(spec.openings());
                let (listens, to) = (listens(&listeners, *endpoint), SocketAddr::V4(*endpoint));
                async move {
                    let asked = asking.into_iter().map(|one| request(one, to, silence, cx.clock));
                    let opened = sockets.into_iter().map(|one| open(one, to, silence));
                    let (requests, openings) = join(join_all(asked), join_all(opened)).await;
                    let whole = silence == SILENCE;
                    Sight { listens, whole, requests, openings, counted: None }
                }
            })
            .collect();
        Ok(join_all(looks).await)
    }

    async fn before(cx: &Cx<'_>, spec: &Value, undo: &Value) -> Result<Value, FaultError> {
        let spec: S = read("specification", spec)?;
        let debt: PacketDebt = read("undo record", undo)?;
        let door = debt.namespace.reach().ok_or_else(|| FaultError::NoTarget {
            target: format!("network namespace `{}`", debt.namespace.name),
        })?;
        for (sight, endpoint) in
            Self::see(cx, &spec, &debt, &door).await?.iter().zip(&debt.endpoints)
        {
            if spec.says(sight) != Says::NotInForce {
                let action = format!("see {endpoint} healthy in `{}`", debt.namespace.name);
                return Err(FaultError::Failed { action, why: sight.words() });
            }
        }
        // Nothing needs to be known later.
        Ok(Value::Null)
    }

    async fn now(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: S = read("specification", debt.spec)?;
        let debt: PacketDebt = read("undo record", debt.undo)?;
        let Some(door) = debt.namespace.reach() else {
            let words =
                format!("the namespace `{}` is gone, and all rules in it", debt.namespace.name);
            return Ok(Sighting::NotInForce(words));
        };
        let mut sights = Self::see(cx, &spec, &debt, &door).await?;
        let mut has_rules = true;
        if sights.iter().any(|sight| spec.says(sight) != Says::NotInForce) {
            let nft = Inside { cx, door: &door, verb: "look" };
            let counted = nft.counted(&debt.table, sights.len()).await?;
            has_rules = counted.is_some();
            for (sight, counted) in sights.iter_mut().zip(counted.into_iter().flatten()) {
                sight.counted = Some(counted);
            }
        }
        let names: Vec<String> = debt.endpoints.iter().map(ToString::to_string).collect();
        let says = |sight: &Sight| match spec.says(sight) {
            // Where nobody is who could answer: rules that are not there meet no packet.
            Says::Nothing if !has_rules && !sight.listens => Says::NotInForce,
            says => says,
        };
        let said = sights.iter().zip(&names);
        Ok(sum_up(said.map(|(sight, name)| (says(sight), name.as_str(), sight.words()))))
    }
}

impl<S: PacketSpec> Witness for PacketWitness<S> {
    fn method(&self) -> &'static str {
        S::METHOD
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(Self::before(cx, spec, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::now(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_list() {
        let text = "LISTEN 3      1024       127.0.0.1:8080       0.0.0.0:*\n\
                    LISTEN 0      128          0.0.0.0:8082       0.0.0.0:*\n\
                    LISTEN 128    128        127.0.0.1:8083       0.0.0.0:*\n";
        let all = read_listeners(text);
        let listens = |endpoint: &str| listens(&all, endpoint.parse().unwrap());
        assert_eq!(all.len(), 3);
        assert!(listens("127.0.0.1:8080") && listens("10.0.0.1:8082"));
        assert!(!listens("127.0.0.1:8081"));
        assert!(!listens("10.0.0.1:8080"), "it is another address");
        assert!(!listens("127.0.0.1:8083"), "its queue is full");
    }
}
