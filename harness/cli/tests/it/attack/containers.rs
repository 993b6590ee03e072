//! `kill -9` of the harness at each line of the ledger, and of its watchdog before it, for every
//! kind of fault on containers.

use super::kinds::{Attacked, kill_at_each_line, kill_watchdog_first};
use crate::containers::{approve, scenario};
use crate::podman::{ADDRESSES, Podman};
use crate::support::{Place, beside_others};
use crate::target::answers;

/// Every kind with a specification that leaves the container under load alone.
fn kinds() -> Vec<(String, &'static str)> {
    let registry = injectors::registry();
    let kinds = registry.kinds_on(injectors::containers::CONTAINERS);
    kinds.map(|kind| (kind.to_owned(), "{service: web, which: first}")).collect()
}

#[test]
fn every_kind_on_containers_is_put_back_when_the_harness_is_killed_at_any_ledger_line() {
    let name = "every_kind_on_containers_is_put_back_when_the_harness_is_killed_at_any_ledger_line";
    let Some(podman) = Podman::start(name) else { return };
    let _beside = beside_others();
    let place = Place::new();
    for (kind, spec) in kinds() {
        let text = |lasts: &str| scenario(&podman, &kind, spec, lasts);
        let attacked = Attacked {
            way: &[],
            arguments: &[],
            prepare: &|file, runs| approve(&place, &[], &["run", file], runs),
            works: &|| ADDRESSES.iter().all(|address| answers(address)),
        };
        kill_at_each_line(&place, &attacked, &kind, &text);
        kill_watchdog_first(&place, &attacked, &kind, &text);
    }
}
