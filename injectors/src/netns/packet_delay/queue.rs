//! The delay by NFQUEUE: rules of a table of our own hand the packets of the addresses to this
//! process, which holds each of them for a while and lets it go on.
//!
//! The rules let everything pass where nobody holds the queue: when this process is dead, nothing
//! is delayed any more. A process that lives but is not told to go on stops with the lease.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use harness_core::fault::{Cx, Effect, FaultError, Reverted};
use harness_core::units::Duration;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

use super::super::inside::Inside;
use super::super::nft::{Counts, Rule, script_with, table_name};
use super::netlink;
use crate::hash::hash;
use crate::permit;

/// The chain whose packets are held.
const HELD: &str = "held";
/// Packets that are held at once, at most; more of them pass.
const HELD_PACKETS_MAX: u32 = 10_000;
/// How often a holder looks whether its time is over, in nanoseconds.
const LOOK_NANOS: u64 = 50_000_000;
/// The kernel's list of queues that somebody holds, in a namespace.
const QUEUES: &str = "/proc/thread-self/net/netfilter/nfnetlink_queue";

/// What the record holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::netns) struct Queue {
    /// The table; used by no other fault, ever.
    table: String,
    /// The queue's number in the namespace.
    number: u16,
}

impl Queue {
    /// Chooses names that nobody uses.
    pub(super) async fn arm(inside: &Inside<'_>) -> Result<Self, FaultError> {
        let name = inside.cx.name();
        // Never the first one, which others use who do not choose.
        let number = u16::try_from(hash(&name) % u64::from(u16::MAX) + 1).expect("it is smaller");
        let queue = Self { table: table_name(&name), number };
        let conflict = |what: String, why: &str| FaultError::Conflict { what, why: why.to_owned() };
        if inside.has(&queue.table).await? {
            return Err(conflict(format!("table {}", queue.table), "it is there already"));
        }
        if queue.is_held(inside)? {
            return Err(conflict(format!("queue {number}"), "somebody holds it"));
        }
        Ok(queue)
    }

    /// Takes the queue, and hands it the packets.
    pub(super) async fn inject(
        &self,
        inside: &Inside<'_>,
        delay: (Duration, Duration),
        endpoints: &[SocketAddrV4],
    ) -> Result<(), FaultError> {
        let failed = |what: &str, why: String| FaultError::Failed { action: what.to_owned(), why };
        let taken = inside.door.within(|| netlink::Queue::take(self.number, HELD_PACKETS_MAX));
        let taken = taken.and_then(|done| done.map_err(|error| error.to_string()));
        let queue = taken.map_err(|why| failed("take a queue of packets", why))?;
        hold(inside.cx, queue, delay).map_err(|why| failed("hold packets", why.to_string()))?;
        let rule = Rule { counts: Counts::Met, condition: String::new(), fate: "jump held" };
        inside.make(&script_with(&self.table, &[HELD], endpoints, &[rule])).await?;
        // The last step: until then the chain is empty, and all packets pass.
        let added = inside.door.within(|| netlink::add_rule(&self.table, HELD, self.number));
        let added = added.and_then(|done| done.map_err(|error| error.to_string()));
        added.map_err(|why| failed("hand packets to the queue", why))
    }

    /// Whether all rules are there, and somebody holds the queue.
    pub(super) async fn verify(
        &self,
        inside: &Inside<'_>,
        endpoints: &[SocketAddrV4],
    ) -> Result<Effect, FaultError> {
        let counted = inside.counted(&self.table, endpoints.len()).await?;
        // To the address, and from it.
        let whole = counted.is_some_and(|all| all.iter().all(|one| one.rules == 2));
        let in_place = whole && self.is_held(inside)?;
        Ok(if in_place { Effect::InPlace } else { Effect::Absent })
    }

    /// Whether the rules are there: without them nothing is handed to the queue.
    pub(super) async fn is_there(&self, inside: &Inside<'_>) -> Result<bool, FaultError> {
        inside.has(&self.table).await
    }

    /// Deletes the rules, and lets go what is held.
    pub(super) async fn revert(&self, inside: &Inside<'_>) -> Result<Reverted, FaultError> {
        let there = inside.has(&self.table).await?;
        if there {
            inside.delete(&self.table).await?;
        }
        let held = end(&inside.cx.name());
        Ok(if there || held { Reverted::PutBack } else { Reverted::WasClean })
    }

    fn is_held(&self, inside: &Inside<'_>) -> Result<bool, FaultError> {
        let failed =
            |why: String| FaultError::Failed { action: "read the list of queues".to_owned(), why };
        let list = inside.door.within(|| std::fs::read_to_string(QUEUES)).map_err(failed)?;
        let list = list.map_err(|error| failed(error.to_string()))?;
        Ok(has_queue(&list, self.number))
    }
}

fn has_queue(list: &str, number: u16) -> bool {
    let of = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
    list.lines().any(|line| of(line) == Some(number))
}

/// Whether this machine can do it, tried in the namespace of the calling thread, which is there
/// for nothing else and has this table with this chain.
pub(crate) fn attempt(table: &str, chain: &str) -> std::io::Result<()> {
    netlink::Queue::take(1, 1).map(drop)?;
    netlink::add_rule(table, chain, 1)
}

/// Until when each fault's packets are held, in nanoseconds of [`now_nanos`]; 0 when it is over.
static HOLDERS: Mutex<BTreeMap<String, Arc<AtomicU64>>> = Mutex::new(BTreeMap::new());

fn holders() -> std::sync::MutexGuard<'static, BTreeMap<String, Arc<AtomicU64>>> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel's own clock, which a holder's timer is set by.
fn now_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

fn after(duration: Duration) -> u64 {
    now_nanos().saturating_add(duration.micros().saturating_mul(1000))
}

/// Begins to hold packets, on a thread of its own, until the lease is over.
fn hold(
    cx: &Cx<'_>,
    queue: netlink::Queue,
    (delay, jitter): (Duration, Duration),
) -> std::io::Result<()> {
    let name = cx.name();
    let until = Arc::new(AtomicU64::new(after(cx.lease)));
    holders().insert(name.clone(), Arc::clone(&until));
    let shifts = Shifts { state: hash(&name) | 1, delay, jitter };
    let work = move || {
        if let Err(error) = hold_until(&queue, &until, shifts, &name) {
            tracing::warn!(%error, fault = name, "packets are not held any more");
        }
        let mut holders = holders();
        if holders.get(&name).is_some_and(|one| Arc::ptr_eq(one, &until)) {
            holders.remove(&name);
        }
    };
    std::thread::Builder::new().name("gameday-packets".to_owned()).spawn(work).map(drop)
}

/// A fault's holder has another lease from now on.
pub(super) fn renew(cx: &Cx<'_>) -> Result<(), FaultError> {
    let failed = |why: &str| FaultError::Failed {
        action: "go on holding packets".to_owned(),
        why: why.to_owned(),
    };
    let holders = holders();
    let until = holders.get(&cx.name()).ok_or_else(|| failed("nobody here holds them"))?;
    until.store(after(cx.lease), Ordering::Relaxed);
    Ok(())
}

/// Ends a fault's holder; `false` when there is none in this process.
fn end(name: &str) -> bool {
    let holder = holders().remove(name);
    holder.is_some_and(|until| until.swap(0, Ordering::Relaxed) != 0)
}

/// How long each packet waits.
struct Shifts {
    state: u64,
    delay: Duration,
    jitter: Duration,
}

impl Shifts {
    /// Evenly between the least and the most, by Marsaglia's xorshift.
    fn next_nanos(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let jitter_nanos = self.jitter.micros().saturating_mul(1000);
        let least = self.delay.micros().saturating_mul(1000).saturating_sub(jitter_nanos);
        least + self.state % (2 * jitter_nanos + 1)
    }
}

fn hold_until(
    queue: &netlink::Queue,
    until: &AtomicU64,
    mut shifts: Shifts,
    name: &str,
) -> std::io::Result<()> {
    let mut held: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut look_at = 0;
    loop {
        let now = now_nanos();
        while held.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((_, packet))) = held.pop() else { break };
            queue.release(packet)?;
        }
        if now >= look_at {
            look_at = now + LOOK_NANOS;
            // Another process may have reverted it.
            if now >= until.load(Ordering::Relaxed) || !permit::is_granted(name) {
                break;
            }
        }
        let next = held.peek().map_or(look_at, |Reverse((due, _))| look_at.min(*due));
        let wait = Timespec {
            tv_sec: 0,
            // Never more than until the next look.
            tv_nsec: next.saturating_sub(now).min(LOOK_NANOS).cast_signed(),
        };
        match poll(&mut [PollFd::new(queue, PollFlags::IN)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // As many as can be held at once: what is due is let go in between.
        for _ in 0..HELD_PACKETS_MAX {
            let Some(packet) = queue.next()? else { break };
            held.push(Reverse((now_nanos().saturating_add(shifts.next_nanos()), packet)));
        }
    }
    held.into_iter().try_for_each(|Reverse((_, packet))| queue.release(packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_waits_as_long_as_it_was_asked_for() {
        let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(5));
        let mut shifts = Shifts { state: 7, delay, jitter };
        let all: Vec<u64> = (0..10_000).map(|_| shifts.next_nanos()).collect();
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!((15_000_000..15_100_000).contains(least), "{least}");
        assert!((24_900_000..=25_000_000).contains(most), "{most}");
        let mean = all.iter().sum::<u64>() / 10_000;
        assert!((19_900_000..20_100_000).contains(&mean), "{mean}");
        let mut even = Shifts { state: 7, delay, jitter: Duration::ZERO };
        assert_eq!(even.next_nanos(), 20_000_000);
    }

    #[test]
    fn queues_are_read_from_the_kernels_list() {
        let list =
            "    7 3165567910     0 1     0     0     0        0  1\n   70 1 0 1 0 0 0 0 1\n";
        assert!(has_queue(list, 7) && has_queue(list, 70));
        assert!(!has_queue(list, 1) && !has_queue("", 7));
    }
}
