//! `network-disconnect`: containers are cut off from a network, and tied to it again afterwards
//! with the names that they had, and the address wherever the engine gives that out. They go on
//! running.
//!
//! Docker gives an address to who asks for it only in networks that were made with a subnet, and
//! does not tell which these are. So an address that the engine chose by itself is asked for, and
//! another one is taken where it refuses: there the names are what peers go by.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::{At, Container, Engine, EngineError, Tie};
use super::fault::{ContainerSpec, Held, is_answer};
use super::kernel::own_addresses;
use crate::process::{Presence, presence};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// An order is carried out within tenths of a second, on a busy machine later.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Docker's own network, which has no names: peers can only know addresses there, and Docker gives
/// none of them to who asks. No other network can be called so, in any engine.
const NAMELESS: &str = "bridge";

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
        if tie.network == NAMELESS {
            return Err(format!(
                "in {NAMELESS}, the engine's default network, it would not get its address {} \
                 again, and has no name to be found by; tie it to a network of your own",
                tie.address
            ));
        }
        let own = own_addresses(process).unwrap_or_default();
        if own.iter().any(|own| own.to_string() == tie.address) {
            return Ok(tie.clone());
        }
        Err(format!("the kernel does not show its address {}", tie.address))
    }

    fn standing(held: &Held<Tie>, found: &Container) -> Standing {
        let now = found.ties().find(|tie| tie.network == held.change.network);
        let Some(now) = now else { return Standing::Changed };
        // While it is down, it has no address.
        if now.address == held.change.address || !found.is_up() {
            return Standing::Before;
        }
        // Any address is right where nobody asked for one.
        if held.change.prefix_bits.is_some() {
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
        let (id, tie) = (&held.id, &held.change);
        match engine.connect(id, tie, At::Same, within).await {
            Err(EngineError::Said { .. }) if tie.prefix_bits.is_some() => {
                engine.connect(id, tie, At::Any, within).await
            }
            done => done,
        }
    }

    /// podman's networks do not bear two changes at a time: while one ends the name server with the
    /// last name in it, the other one does not find it ("aardvark pid not found").
    const AT_ONCE: usize = 1;

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
        let Some(own) = own_addresses(&held.process) else {
            return (Says::Nothing, "does not show its addresses".to_owned());
        };
        let (before, now) = (&held.change.address, address_in(&held.change, &own));
        let word = match now {
            Some(now) if now.to_string() != *before => {
                format!("has {now} in the place of {before}")
            }
            now => format!("has the address {before}: {}", now.is_some()),
        };
        (said(now.is_some(), seen), word)
    }
}

/// The address that it has in the network of the tie, of all that it has: the same one, or one that
/// the engine may have chosen instead.
fn address_in(tie: &Tie, own: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let before: Ipv4Addr = tie.address.parse().ok()?;
    let others = 32 - u32::from(tie.prefix_bits.unwrap_or(32)).min(32);
    let network = |address: Ipv4Addr| address.to_bits().checked_shr(others);
    let own = own.iter().copied();
    own.clone()
        .find(|one| *one == before)
        .or_else(|| own.into_iter().find(|one| network(*one) == network(before)))
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
        // Docker's own network: no address on demand there, and no names.
        let nameless = refusal(None, |c| {
            let tie = c["NetworkSettings"]["Networks"]["net1"].take();
            c["NetworkSettings"]["Networks"] = json!({"bridge": tie});
        });
        assert!(nameless.contains("tie it to a network of your own"), "{nameless}");
        // Process 1 has another network than this container.
        assert!(refusal(None, |_| {}).contains("the kernel does not show"));
    }

    fn held(change: impl FnOnce(&mut Value)) -> Held<Tie> {
        Held {
            container: "web-1".to_owned(),
            id: "c0ffee".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            process: process(),
            change: container(change).ties().next().unwrap(),
        }
    }

    /// As engines tell a tie: Docker where somebody asked for the address, Docker where nobody did,
    /// and podman, which does not tell what was asked for.
    fn told(engine: &str) -> Value {
        match engine {
            "docker, fixed" => json!({
                "IPAMConfig": {"IPv4Address": "172.20.30.33"}, "Links": ["db:database"],
                "Aliases": ["www"], "MacAddress": "02:42:ac:14:1e:21", "DriverOpts": null,
                "GwPriority": 0, "NetworkID": "7ea29f", "IPAddress": "172.20.30.33",
                "IPPrefixLen": 16, "DNSNames": ["web-1", "www", "c0ffee"],
            }),
            "docker, free" => json!({
                "IPAMConfig": {}, "Links": null, "Aliases": ["www", "c0ffee"],
                "MacAddress": "02:42:ac:14:00:02", "DriverOpts": {"com.example": "1"},
                "GwPriority": 7, "NetworkID": "7ea29f", "IPAddress": "172.20.0.2",
                "IPPrefixLen": 16, "DNSNames": ["web-1", "www", "c0ffee"],
            }),
            _ => json!({
                "IPAMConfig": null, "Links": null, "Aliases": ["c0ffee"],
                "MacAddress": "02:00:00:00:00:11", "DriverOpts": null, "NetworkID": "shop",
                "IPAddress": "10.89.7.11", "IPPrefixLen": 24,
            }),
        }
    }

    fn held_by(engine: &str) -> Held<Tie> {
        held(|c| c["NetworkSettings"]["Networks"] = json!({"shop": told(engine)}))
    }

    /// Ties a container again, at an engine that answers so; what it was asked.
    async fn unmade(held: &Held<Tie>, answers: &[&str]) -> (Result<(), EngineError>, Vec<Value>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let mut asked = Vec::new();
        let serve = async {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut said = Vec::new();
                // The body is one object, and all that follows the head.
                let body = loop {
                    said.push(stream.read_u8().await.unwrap());
                    let text = String::from_utf8_lossy(&said);
                    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                    if let Some(Ok(body)) = body.map(serde_json::from_str) {
                        break body;
                    }
                };
                asked.push(body);
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            // Nothing more is asked.
            drop(listener);
        };
        let engine = Engine::new(&socket);
        let unmake = DisconnectSpec::unmake(&engine, held, Duration::from_secs(5));
        let ((), done) = tokio::join!(serve, unmake);
        (done, asked)
    }

    const REFUSED: &str = "400 Bad Request";

    #[tokio::test]
    async fn an_address_that_somebody_asked_for_is_asked_for_again_and_no_other() {
        let held = held_by("docker, fixed");
        let (done, asked) = unmade(&held, &[REFUSED]).await;
        assert!(matches!(done, Err(EngineError::Said { .. })), "{done:?}");
        let endpoint = json!({
            "IPAMConfig": {"IPv4Address": "172.20.30.33"}, "Links": ["db:database"],
            "Aliases": ["www"], "MacAddress": "02:42:ac:14:1e:21",
        });
        assert_eq!(asked, [json!({"Container": "c0ffee", "EndpointConfig": endpoint})]);
    }

    #[tokio::test]
    async fn where_no_address_is_given_on_demand_any_other_will_do() {
        let same = json!({
            "IPAMConfig": {"IPv4Address": "172.20.0.2"}, "DriverOpts": {"com.example": "1"},
            "GwPriority": 7, "Aliases": ["www"], "MacAddress": "02:42:ac:14:00:02",
        });
        let any = json!({"DriverOpts": {"com.example": "1"}, "GwPriority": 7, "Aliases": ["www"]});
        let held = held_by("docker, free");
        let (done, asked) = unmade(&held, &[REFUSED, "200 OK"]).await;
        done.unwrap();
        assert_eq!([&asked[0]["EndpointConfig"], &asked[1]["EndpointConfig"]], [&same, &any]);
        // The same one where it can be had.
        let held = held_by("podman");
        let (done, asked) = unmade(&held, &["200 OK"]).await;
        done.unwrap();
        let ip = json!({"IPv4Address": "10.89.7.11"});
        let same = json!({"IPAMConfig": ip, "Aliases": [], "MacAddress": "02:00:00:00:00:11"});
        assert_eq!(asked, [json!({"Container": "c0ffee", "EndpointConfig": same})]);
    }

    #[test]
    fn another_address_counts_only_where_the_engine_chose_the_first_one() {
        let own = |all: &[[u8; 4]]| all.iter().copied().map(Ipv4Addr::from).collect::<Vec<_>>();
        let at = |held: &Held<Tie>, all: &[[u8; 4]]| address_in(&held.change, &own(all));
        let (host, other) = ([127, 0, 0, 1], [172, 21, 0, 2]);
        let free = held_by("docker, free");
        let (same, moved) = ([172, 20, 0, 2], [172, 20, 9, 9]);
        assert_eq!(at(&free, &[host, moved, same]), Some(same.into()));
        assert_eq!(at(&free, &[host, moved, other]), Some(moved.into()));
        assert_eq!(at(&free, &[host, other]), None);
        let fixed = held_by("docker, fixed");
        assert_eq!(at(&fixed, &[host, moved]), None);
        assert_eq!(at(&fixed, &[[172, 20, 30, 33]]), Some([172, 20, 30, 33].into()));
        // Who has tied it elsewhere in the meantime has tied it all the same.
        let stands = |held: &Held<Tie>, engine: &str| {
            let mut tie = told(engine);
            tie["IPAddress"] = "172.20.9.9".into();
            let change = |c: &mut Value| c["NetworkSettings"]["Networks"] = json!({"shop": tie});
            DisconnectSpec::standing(held, &container(change))
        };
        assert_eq!(stands(&free, "docker, free"), Standing::Before);
        assert!(matches!(stands(&fixed, "docker, fixed"), Standing::Other(_)));
    }

    #[test]
    fn somebody_elses_address_is_not_taken_away() {
        // As an earlier version recorded it, and as engines tell it that tell no prefix.
        let held = held(|_| {});
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
