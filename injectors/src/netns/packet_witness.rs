//! Who is believed about faults on packets: a caller's own connections out of the namespace, and
//! the kernel's list of who listens there. Counters of the rules are shown beside it.

use std::fs::File;
use std::io::Read as _;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use futures_util::future::{join, join_all};
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::units::Duration;
use serde_json::Value;
use tokio::net::TcpSocket;

use super::namespace::Door;
use super::nft::{Counted, Nft};
use super::packet_fault::{PacketDebt, PacketSpec};
use crate::proxy::{Question, SILENCE, Says, Seen, look_from, read, sum_up};

/// A longer list of sockets is not read to its end, in bytes.
const LIST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// More connections than this that wait to be taken are a reason of their own not to open.
const WAITING_MAX: u32 = 64;

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

/// Sockets that were made in the namespace, and its listeners at that moment.
struct Ground {
    sockets: Vec<TcpSocket>,
    listeners: Vec<(SocketAddrV4, u32)>,
}

impl Ground {
    fn enter(door: &Door, sockets: usize) -> Result<Self, FaultError> {
        let failed = |why: String| FaultError::Failed { action: "look".to_owned(), why };
        let gather = || -> std::io::Result<Self> {
            let mut text = String::new();
            File::open("/proc/thread-self/net/tcp")?
                .take(LIST_BYTES_MAX)
                .read_to_string(&mut text)?;
            let sockets: std::io::Result<Vec<_>> =
                (0..sockets).map(|_| TcpSocket::new_v4()).collect();
            Ok(Self { sockets: sockets?, listeners: listeners(&text) })
        };
        door.within(gather).map_err(failed)?.map_err(|error| failed(error.to_string()))
    }

    fn listens(&self, endpoint: SocketAddrV4) -> bool {
        let fits = |at: SocketAddrV4| {
            at.port() == endpoint.port() && (at.ip() == endpoint.ip() || at.ip().is_unspecified())
        };
        self.listeners.iter().any(|(at, waiting)| fits(*at) && *waiting <= WAITING_MAX)
    }
}

/// Listening sockets, each with how many connections wait to be taken, of `/proc/net/tcp`.
fn listeners(text: &str) -> Vec<(SocketAddrV4, u32)> {
    /// `LISTEN` there.
    const LISTEN: &str = "0A";
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let one = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (ip, port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        let (_, waiting) = fields.next()?.split_once(':')?;
        // The number is the address as it lies in memory.
        let ip = Ipv4Addr::from(number(ip)?.to_ne_bytes());
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == LISTEN).then_some((SocketAddrV4::new(ip, port), number(waiting)?))
    };
    text.lines().filter_map(one).collect()
}

async fn open(socket: TcpSocket, endpoint: SocketAddr, patience: Duration) -> Opening {
    match tokio::time::timeout(patience.as_std(), socket.connect(endpoint)).await {
        Ok(Ok(_)) => Opening::Open,
        Ok(Err(_)) => Opening::Broken,
        Err(_) => Opening::Late,
    }
}

/// Opens a connection and asks, within a silence for both: a look must be short.
async fn request(
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
        let mut ground = Ground::enter(door, each * debt.endpoints.len())?;
        let looks: Vec<_> = debt
            .endpoints
            .iter()
            .map(|endpoint| {
                let mut sockets = ground.sockets.split_off(ground.sockets.len() - each);
                let asking = sockets.split_off(spec.openings());
                let (listens, to) = (ground.listens(*endpoint), SocketAddr::V4(*endpoint));
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
        if sights.iter().any(|sight| spec.says(sight) != Says::NotInForce) {
            let nft = Nft { cx, door: &door, verb: "look" };
            let counted = nft.counted(&debt.table, sights.len()).await?;
            for (sight, counted) in sights.iter_mut().zip(counted.into_iter().flatten()) {
                sight.counted = Some(counted);
            }
        }
        let names: Vec<String> = debt.endpoints.iter().map(ToString::to_string).collect();
        let said = sights.iter().zip(&names);
        Ok(sum_up(said.map(|(sight, name)| (spec.says(sight), name.as_str(), sight.words()))))
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
        let ip = u32::from_ne_bytes([127, 0, 0, 1]);
        let text = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
             \x20  0: {ip:08X}:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000 0 0 1\n\
             \x20  1: {ip:08X}:1F91 {ip:08X}:0050 01 00000000:00000000 00:00000000 00000000 0 0 1\n\
             \x20  2: 00000000:1F92 00000000:0000 0A 00000000:00000FFF 00:00000000 00000000 0 0 1\n"
        );
        let [first, any] = listeners(&text)[..] else { panic!("{:?}", listeners(&text)) };
        assert_eq!(first, ("127.0.0.1:8080".parse().unwrap(), 3));
        assert_eq!(any, ("0.0.0.0:8082".parse().unwrap(), 0xFFF));
        let ground = Ground { sockets: Vec::new(), listeners: vec![first, any] };
        assert!(ground.listens("127.0.0.1:8080".parse().unwrap()));
        assert!(!ground.listens("127.0.0.1:8081".parse().unwrap()));
        assert!(!ground.listens("127.0.0.1:8082".parse().unwrap()), "its queue is full");
    }
}
