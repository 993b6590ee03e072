//! The conformance suite on the delay of packets, and how long they really take: by what this
//! machine's kernel has, and by `tc netem` in a guest with a kernel that has it.

use std::net::{SocketAddr, TcpStream};

use harness_core::fault::{Capability, FaultError, Reverted, Sighting};
use harness_core::time::Clock as _;
use harness_core::units::Duration;
use injectors::conformance::check;
use serde_json::{Value, json};

use crate::conformance_packets::{PacketWorld, Steps, unique};
use crate::guest;
use crate::namespace::Netns;
use crate::world::{EDGE, TestClock, skip};

/// Round trips of one measurement.
const ROUND_TRIPS: usize = 21;
/// What the shortest round trip may take beside the delay, on a slow machine.
const BESIDE: Duration = Duration::from_millis(15);
/// A connection that does not open within this time does not open.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// What the kernel can be made to have.
const MODULES: [&str; 4] =
    ["net/sched/sch_netem", "net/sched/sch_prio", "net/sched/sch_htb", "net/sched/cls_u32"];

/// A namespace, and the mechanism that is used in it; `None`, and a skip by name, where there is
/// none.
fn begin(test: &str) -> Option<(Netns, String)> {
    if guest::is_one() {
        guest::load(&MODULES);
    }
    match injectors::capabilities_of(["packet-delay"]).remove("packet-delay") {
        Some(Capability::Available(mechanism)) => {
            let namespace = Netns::make_with(test, &["tc", "qdisc", "show"])?;
            Some((namespace, mechanism))
        }
        Some(Capability::Missing(why)) => {
            skip(&format!("packet-delay: {test}"), &why);
            None
        }
        None => panic!("the probe has no name"),
    }
}

fn queueing(namespace: &Netns) -> String {
    namespace.run("tc", &["qdisc", "show", "dev", "lo"]).trim().to_owned()
}

/// The shortest, the middle and the longest of how long connections take to open.
fn round_trips(namespace: &Netns, to: SocketAddr) -> [Duration; 3] {
    let one = || {
        let began = TestClock.now();
        TcpStream::connect_timeout(&to, PATIENCE).unwrap();
        TestClock.now().since(began)
    };
    let mut all: Vec<Duration> = namespace.within(|| (0..ROUND_TRIPS).map(|_| one()).collect());
    all.sort_unstable();
    [all[0], all[ROUND_TRIPS / 2], all[ROUND_TRIPS - 1]]
}

/// The same once the shortest takes no longer than this; on a machine that is busy for some
/// moments, not even that one is quick.
fn round_trips_within(namespace: &Netns, to: SocketAddr, most: Duration) -> [Duration; 3] {
    let until = TestClock.now() + Duration::from_secs(20);
    loop {
        let trips = round_trips(namespace, to);
        if trips[0] <= most || TestClock.now() >= until {
            return trips;
        }
    }
}

/// What the witness says. On a machine that is busy, a look now and then says nothing.
async fn sighted(steps: &Steps<'_>, undo: &Value) -> Sighting {
    let until = TestClock.now() + Duration::from_secs(20);
    loop {
        let sighting = steps.look(undo).await;
        if !matches!(sighting, Sighting::Unknown(_)) || TestClock.now() >= until {
            return sighting;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packet_delay_conforms() {
    let few = json!({"edge": EDGE, "delay": "5ms"});
    let many = json!({"service": "payments", "delay": "60ms", "jitter": "20ms"});
    for spec in [few, many] {
        let Some((namespace, mechanism)) = begin("packet_delay_conforms") else { return };
        let before = queueing(&namespace);
        let world = PacketWorld::new(namespace, "packet-delay", spec.clone());
        if let Err(broken) = check(&world, &unique("laws")).await {
            panic!("{spec} by {mechanism}: {broken}");
        }
        assert_eq!(queueing(&world.namespace), before, "{spec}: it is as it was");
        if mechanism != NETEM {
            assert_eq!(world.namespace.nft(&["list", "tables"]), "", "{spec}: nothing is left");
        }
    }
}

/// How the plan names the kernel's own mechanism.
const NETEM: &str = "tc netem";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_take_as_long_as_they_were_asked_to() {
    let Some((namespace, mechanism)) = begin("packet_delay_round_trips") else { return };
    if mechanism == NETEM {
        // Something that must be put back.
        let pfifo = ["qdisc", "add", "dev", "lo", "root", "handle", "10:", "pfifo", "limit", "77"];
        namespace.run("tc", &pfifo);
    }
    let spec = json!({"edge": EDGE, "delay": "20ms"});
    let world = PacketWorld::new(namespace, "packet-delay", spec);
    let (namespace, to) = (&world.namespace, world.callee.address());
    let steps = Steps::new(&world);
    let added = Duration::from_millis(40);
    let (was, before) = (queueing(namespace), round_trips_within(namespace, to, BESIDE));
    let undo = steps.inject().await;
    let during = round_trips_within(namespace, to, added + BESIDE);
    let other = round_trips_within(namespace, world.behind.address, BESIDE);
    let meanwhile = queueing(namespace);
    let sighting = sighted(&steps, &undo).await;
    assert!(matches!(sighting, Sighting::InForce(_)), "{sighting:?}");
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
    let (is, after) = (queueing(namespace), round_trips_within(namespace, to, BESIDE));
    println!("{mechanism}, 20 ms each way; shortest, middle and longest of {ROUND_TRIPS}:");
    for (when, [shortest, middle, longest], queueing) in
        [("before", before, &was), ("during", during, &meanwhile), ("after", after, &is)]
    {
        println!("{when:>7}: {shortest} {middle} {longest}; {queueing:?}");
    }
    println!("  other port, during: {} {} {}", other[0], other[1], other[2]);
    assert!(during[0] >= added, "no packet is quick: {}", during[0]);
    assert!(during[0] <= added + BESIDE, "{}", during[0]);
    for quick in [before, other, after] {
        assert!(quick[0] <= BESIDE, "{}", quick[0]);
    }
    assert_eq!(is, was, "the queueing is as it was");
    let sighting = sighted(&steps, &undo).await;
    assert!(matches!(sighting, Sighting::NotInForce(_)), "{sighting:?}");
}

/// Where the kernel has it: what could not be put back is never taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queueing_of_others_is_left_alone() {
    let Some((namespace, mechanism)) = begin("packet_delay_queueing") else { return };
    if mechanism != NETEM {
        // The guest's kernel has it.
        return;
    }
    let spec = json!({"edge": EDGE, "delay": "20ms"});
    let world = PacketWorld::new(namespace, "packet-delay", spec);
    let (namespace, steps) = (&world.namespace, Steps::new(&world));
    let tc = |words: &str| namespace.run("tc", &words.split(' ').collect::<Vec<_>>());
    tc("qdisc add dev lo root handle 7: htb default 1");
    tc("class add dev lo parent 7: classid 7:1 htb rate 1gbit");
    let refused = steps.arm().await.unwrap_err();
    assert!(refused.to_string().contains("could not be put back"), "{refused}");
    tc("qdisc del dev lo root");
    let undo = steps.inject().await;
    let again = Steps::new(&world).arm().await;
    assert!(matches!(again, Err(FaultError::Conflict { .. })), "ours is a tree, too: {again:?}");
    tc("qdisc replace dev lo root handle 20: pfifo limit 5");
    let theirs = queueing(namespace);
    let refused = steps.revert(&undo).await;
    assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    assert_eq!(queueing(namespace), theirs);
    let sighting = sighted(&steps, &undo).await;
    assert!(matches!(sighting, Sighting::NotInForce(_)), "{sighting:?}");
    tc("qdisc del dev lo root");
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::WasClean), "somebody has put it back");
}

/// A process that lives, and is not told to go on, lets all packets go when the lease is over; so
/// does the kernel when the process is dead. The rules that are left hold up nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_renewed_is_let_go() {
    let Some((namespace, mechanism)) = begin("packet_delay_lease") else { return };
    if mechanism == NETEM {
        // The kernel holds packets by itself, and knows no lease.
        return;
    }
    let spec = json!({"edge": EDGE, "delay": "20ms"});
    let world = PacketWorld::new(namespace, "packet-delay", spec);
    let (namespace, to) = (&world.namespace, world.callee.address());
    let mut steps = Steps::new(&world);
    steps.lease = Duration::from_secs(3);
    let undo = steps.inject().await;
    assert!(round_trips(namespace, to)[0] >= Duration::from_millis(40));
    let until = TestClock.now() + Duration::from_secs(10);
    while round_trips(namespace, to)[0] > BESIDE {
        assert!(TestClock.now() < until, "the lease ends");
    }
    assert!(namespace.nft(&["list", "tables"]).contains("gameday-"), "the rules are there");
    let sighting = sighted(&steps, &undo).await;
    assert!(matches!(sighting, Sighting::NotInForce(_)), "{sighting:?}");
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
}

/// When its system is gone, a fault that outlives it must still be proven, or a run would owe it
/// for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_callee_the_kernel_is_asked_for_what_delays() {
    let Some((namespace, _)) = begin("packet_delay_without_callee") else { return };
    let spec = json!({"edge": EDGE, "delay": "20ms"});
    let world = PacketWorld::new(namespace, "packet-delay", spec);
    let steps = Steps::new(&world);
    let undo = steps.inject().await;
    world.callee.kill_aside();
    assert!(!matches!(steps.look(&undo).await, Sighting::NotInForce(_)));
    assert_eq!(steps.revert(&undo).await, Ok(Reverted::PutBack));
    let seen = steps.look(&undo).await;
    assert!(matches!(seen, Sighting::NotInForce(_)), "{seen:?}");
}

#[tokio::test]
async fn the_kernels_own_mechanism_delays_and_puts_back_in_a_guest() {
    // A guest is too slow for all of the suite; these are the ones that tell of its mechanism.
    let tests = "packets_take_as_long queueing_of_others without_a_callee_the_kernel_is";
    if !guest::is_one() {
        guest::run("packet_delay_in_a_guest", tests).await;
    }
}
