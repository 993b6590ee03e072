//! `network-disconnect`: containers are cut off from a network, and tied to it again afterwards
//! with the address and the names that they had. They go on running.

use std::num::NonZeroU32;

use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::{Container, Engine, EngineError, Tie};
use super::fault::{ContainerSpec, Held, is_answer};
use super::kernel::has_address;
use crate::process::{Presence, presence};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// An order is carried out within tenths of a second, on a busy machine later.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DisconnectSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its containers.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
    /// The network; may be left out where a container has only one.
    #[serde(default)]
    pub(crate) network: Option<String>,
}

impl ContainerSpec for DisconnectSpec {
    const KIND: &'static str = "network-disconnect";
    const SUMMARY: &'static str =
        "containers of a service are cut off from a network, and tied to it again";
    const MECHANISM: &'static str = "network disconnect by the engine";
    const METHOD: &'static str = "addresses in /proc and a request to the container";
    /// How the container was tied to the network.
    type Change = Tie;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, found: &Container, process: &ProcessIdentity) -> Result<Tie, String> {
        if found.is_on_host_network() {
            return Err("it is on the host's own network, which cannot be taken away".to_owned());
        }
        let ties: Vec<Tie> = found.ties().collect();
        let has = || ties.iter().map(|tie| tie.network.as_str()).collect::<Vec<_>>().join(", ");
        let tie = match (&self.network, ties.as_slice()) {
            (_, []) => return Err("it has no network of its own".to_owned()),
            (None, [only]) => only,
            (None, _) => return Err(format!("it has several networks; name one of {}", has())),
            (Some(name), ties) => ties
                .iter()
                .find(|tie| &tie.network == name)
                .ok_or_else(|| format!("it has no network {name}; it has {}", has()))?,
        };
        if tie.address.is_empty() {
            return Err(format!("it has no address in {}", tie.network));
        }
        match has_address(process, &tie.address) {
            Some(true) => Ok(tie.clone()),
            Some(false) | None => {
                Err(format!("the kernel does not show its address {}", tie.address))
            }
        }
    }

    fn standing(held: &Held<Tie>, found: &Container) -> Standing {
        let now = found.ties().find(|tie| tie.network == held.change.network);
        let Some(now) = now else { return Standing::Changed };
        // While it is down, it has no address.
        if now.address == held.change.address || !found.is_up() {
            return Standing::Before;
        }
        if found.state.started_at != held.started_at {
            return Standing::Before;
        }
        Standing::Other(format!(
            "it is at {} in {}, and was at {}",
            now.address, now.network, held.change.address
        ))
    }

    async fn make(engine: &Engine, held: &Held<Tie>, within: Duration) -> Result<(), EngineError> {
        engine.disconnect(&held.id, &held.change.network, within).await
    }

    async fn unmake(
        engine: &Engine,
        held: &Held<Tie>,
        within: Duration,
    ) -> Result<(), EngineError> {
        engine.connect(&held.id, &held.change, within).await
    }

    fn on_its_way(_change: &Tie) -> Duration {
        ON_ITS_WAY
    }

    fn says(held: &Held<Tie>, seen: &Seen) -> (Says, String) {
        let pid = held.process.pid;
        if presence(&held.process) == Presence::Gone {
            // Another process took its place.
            let says = if is_answer(seen) { Says::NotInForce } else { Says::Nothing };
            return (says, format!("has no process {pid} any more"));
        }
        let address = &held.change.address;
        match has_address(&held.process, address) {
            Some(has) => (said(has, seen), format!("has the address {address}: {has}")),
            None => (Says::Nothing, "does not show its addresses".to_owned()),
        }
    }
}

/// Without an address there is no way to it.
fn said(has_address: bool, seen: &Seen) -> Says {
    match (has_address, seen) {
        (false, Seen::Unopened(_)) => Says::InForce,
        (true, seen) if is_answer(seen) => Says::NotInForce,
        (_, _) => Says::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::{Value, json};

    use super::super::api::container;
    use super::super::fault::ContainerFault;
    use super::*;

    fn process() -> ProcessIdentity {
        ProcessIdentity { boot_id: "b".to_owned(), pid: 1, start_ticks: 1 }
    }

    fn refusal(network: Option<&str>, change: impl FnOnce(&mut Value)) -> String {
        let spec = json!({"service": "web", "network": network});
        let spec: DisconnectSpec = serde_json::from_value(spec).unwrap();
        spec.decide(&container(change), &process()).unwrap_err()
    }

    #[test]
    fn defaults_are_written_out() {
        let injector = ContainerFault::<DisconnectSpec>::INJECTOR;
        assert_eq!(
            injector.check(&json!({"service": "web"})).unwrap(),
            json!({"service": "web", "count": 1, "which": "random", "network": null})
        );
    }

    #[test]
    fn what_could_not_be_put_back_is_refused() {
        let host = refusal(None, |c| c["HostConfig"]["NetworkMode"] = "host".into());
        assert!(host.contains("host's own network"), "{host}");
        let none = refusal(None, |c| c["NetworkSettings"]["Networks"] = json!({}));
        assert!(none.contains("no network of its own"), "{none}");
        let two = |c: &mut Value| {
            c["NetworkSettings"]["Networks"]["net2"] = json!({"IPAddress": "10.2.0.2"});
        };
        let several = refusal(None, two);
        assert!(several.contains("name one of net1, net2"), "{several}");
        let other = refusal(Some("net3"), two);
        assert!(other.contains("no network net3"), "{other}");
        let down = refusal(Some("net1"), |c| {
            c["NetworkSettings"]["Networks"]["net1"]["IPAddress"] = "".into();
        });
        assert!(down.contains("no address"), "{down}");
        // Process 1 has another network than this container.
        assert!(refusal(None, |_| {}).contains("the kernel does not show"));
    }

    #[test]
    fn somebody_elses_address_is_not_taken_away() {
        let held = Held {
            container: "web-1".to_owned(),
            id: "c0ffee".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            process: process(),
            change: container(|_| {}).ties().next().unwrap(),
        };
        assert_eq!(held.change.aliases, ["www"]);
        let stands = |change: fn(&mut Value)| DisconnectSpec::standing(&held, &container(change));
        assert_eq!(stands(|_| {}), Standing::Before);
        assert_eq!(stands(|c| c["NetworkSettings"]["Networks"] = json!({})), Standing::Changed);
        let moved = stands(|c| {
            c["NetworkSettings"]["Networks"]["net1"]["IPAddress"] = "10.1.0.9".into();
        });
        assert!(matches!(moved, Standing::Other(_)), "{moved:?}");
    }

    #[test]
    fn both_the_kernel_and_the_connection_must_say_so() {
        let answered = Seen::Answered { status: 200, took: Vec::new() };
        let nobody = Seen::Unopened("no connection".to_owned());
        assert_eq!(said(false, &nobody), Says::InForce);
        assert_eq!(said(true, &answered), Says::NotInForce);
        assert_eq!(said(true, &nobody), Says::Nothing);
        assert_eq!(said(false, &answered), Says::Nothing);
    }
}
