//! Faults on packets, whose rules stay in the kernel when everything of ours is dead: `kill -9` of
//! the harness at each line of the ledger, and of its watchdog before it, in a network namespace of
//! the test's own.

use serde_json::Value;

use super::kinds::{Attacked, kill_at_each_line, kill_watchdog_first, scenario};
use super::{SAFE_MAX, skip};
use crate::catalogue::lacks;
use crate::netns::Netns;
use crate::support::{Place, beside_others, until};
use crate::target::{order_works, shop};

/// Kinds that act in a network namespace which the scenario names, and their scenarios: they are
/// refused where the other kinds are attacked.
pub(super) const IN_NAMESPACE: [(&str, &str); 3] = [
    ("partition", "payments-partition"),
    ("packet-loss", "payments-packet-loss"),
    ("packet-delay", "payments-packet-delay"),
];

/// The specification of the kind's scenario, in this namespace.
fn spec(place: &Place, netns: &Netns, scenario: &str) -> String {
    let plan = place.gameday(&["plan", scenario, "--json", "--set", &netns.set()]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|_| panic!("{plan:?}"));
    plan["faults"][0]["spec"].to_string()
}

/// Kills runs of these kinds, one after the other, in a lab of their own in the namespace.
fn attack(netns: &Netns, kinds: &[(&str, &str)]) {
    let _beside = beside_others();
    let place = Place::new();
    let way = netns.way();
    let up = place.start_by(&way, &["lab", "up", "--state", "shop"]).end();
    assert_eq!(up.code, 0, "{up:?}");
    let address = shop(&place.path().join("shop"));
    let works = || netns.within(|| order_works(&address));
    let before = until(SAFE_MAX, || works().then_some(()));
    assert!(before.is_some(), "the shop takes orders before");
    for (kind, name) in kinds {
        let spec = spec(&place, netns, name);
        let text = |lasts: &str| scenario(kind, &spec, lasts);
        let attacked = Attacked {
            way: &way,
            arguments: &["--lab", "shop"],
            // Nothing of the run before is left.
            prepare: &|_, _| is_as_before(netns, kind),
            works: &works,
        };
        kill_at_each_line(&place, &attacked, kind, &text);
        kill_watchdog_first(&place, &attacked, kind, &text);
        is_as_before(netns, kind);
    }
    let down = place.start_by(&way, &["lab", "down", "--state", "shop"]).end();
    assert_eq!(down.code, 0, "{down:?}");
    assert!(place.processes().is_empty(), "{:?}", place.processes());
}

fn is_as_before(netns: &Netns, kind: &str) {
    assert!(netns.queueing().contains("noqueue"), "{kind}: {}", netns.queueing());
    assert_eq!(netns.tables(), "", "{kind}");
}

#[test]
fn rules_of_the_kernel_are_taken_back_when_the_harness_is_killed_at_any_ledger_line() {
    let Some(netns) = Netns::make("packets_killed") else { return };
    let can = |(kind, _): &&(&str, &str)| match lacks(kind) {
        Some(why) => {
            let group = if *kind == "packet-delay" { kind } else { "netns" };
            skip(&format!("{group}: packets_killed, {kind}"), &why);
            false
        }
        None => true,
    };
    let kinds: Vec<_> = IN_NAMESPACE.iter().filter(can).copied().collect();
    attack(&netns, &kinds);
}

#[test]
fn a_run_outside_of_its_namespace_is_refused_at_once() {
    let Some(netns) = Netns::make("packets_refused") else { return };
    let place = Place::new();
    for (set, words) in [
        (netns.set(), "ip netns exec"),
        ("namespace=gdcli-no-such-namespace".to_owned(), "ip netns add"),
    ] {
        let said = place.gameday(&["run", "payments-partition", "--set", &set]);
        assert_eq!(said.code, 69, "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
        assert!(place.only_run().is_none(), "nothing was begun");
    }
}
