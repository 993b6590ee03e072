//! `container-stop`: containers are stopped by their engine, as an operator or a deployment does
//! it, and started again afterwards. No restart policy brings them back meanwhile.

use std::num::NonZeroU32;

use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::{Container, Engine, EngineError};
use super::fault::{ContainerSpec, Held, is_answer};
use crate::process::{Presence, presence};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// An order is begun within this time, and ended so long after its grace.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// A step of a fault has only seconds, and the engine itself takes some of it.
const GRACE_MAX_SECS: u8 = 1;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StopSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its containers.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
    /// Whole seconds from the stop signal to SIGKILL: 0 or 1.
    #[serde(default = "one_second")]
    pub(crate) grace_seconds: GraceSeconds,
}

/// Seconds from the stop signal to SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8")]
pub(crate) struct GraceSeconds(#[schemars(range(max = 1))] u8);

impl TryFrom<u8> for GraceSeconds {
    type Error = String;

    fn try_from(seconds: u8) -> Result<Self, String> {
        if seconds <= GRACE_MAX_SECS {
            return Ok(Self(seconds));
        }
        Err(format!("a stop may take at most {GRACE_MAX_SECS} s of grace; write 0 or 1"))
    }
}

fn one_second() -> GraceSeconds {
    GraceSeconds(1)
}

/// A container is stopped; it was running before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stop {
    /// From the stop signal to SIGKILL.
    pub(crate) grace_seconds: GraceSeconds,
}

impl ContainerSpec for StopSpec {
    const KIND: &'static str = "container-stop";
    const SUMMARY: &'static str = "containers of a service are stopped, and started afterwards";
    const MECHANISM: &'static str = "stop by the engine";
    const METHOD: &'static str = "the process in /proc and a request to the container";
    type Change = Stop;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, found: &Container, _process: &ProcessIdentity) -> Result<Stop, String> {
        if found.host_config.auto_remove {
            return Err("it is removed when it stops (--rm), and could not be started again".into());
        }
        if !found.state.running || found.state.paused {
            return Err(format!("it is {}", found.state.status));
        }
        Ok(Stop { grace_seconds: self.grace_seconds })
    }

    fn standing(held: &Held<Stop>, found: &Container) -> Standing {
        let same_start = found.state.started_at == held.started_at;
        match (found.is_up(), same_start) {
            (false, true) => Standing::Changed,
            (true, true) => Standing::Before,
            // Started since, by the revert or by somebody else: it is not stopped a second time.
            (true, false) => Standing::Gone,
            (false, false) => {
                Standing::Other("it was started since, and has stopped again".to_owned())
            }
        }
    }

    async fn make(engine: &Engine, held: &Held<Stop>, within: Duration) -> Result<(), EngineError> {
        engine.stop(&held.id, held.change.grace_seconds.0, within).await
    }

    async fn unmake(
        engine: &Engine,
        held: &Held<Stop>,
        within: Duration,
    ) -> Result<(), EngineError> {
        engine.start(&held.id, within).await
    }

    fn on_its_way(change: &Stop) -> Duration {
        ON_ITS_WAY + Duration::from_secs(u64::from(change.grace_seconds.0))
    }

    fn says(held: &Held<Stop>, seen: &Seen) -> (Says, String) {
        let presence = presence(&held.process);
        let word = match presence {
            Presence::Alive => "lives",
            Presence::Gone => "is gone",
        };
        (said(presence, seen), format!("process {} {word}", held.process.pid))
    }
}

/// An address without a container refuses, or nobody answers there.
fn said(presence: Presence, seen: &Seen) -> Says {
    match (presence, seen) {
        (Presence::Gone, Seen::Refused | Seen::Unopened(_)) => Says::InForce,
        (_, seen) if is_answer(seen) => Says::NotInForce,
        (_, _) => Says::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::super::api::container;
    use super::super::fault::ContainerFault;
    use super::*;

    const LATER: &str = "2026-01-01T00:00:09Z";

    fn process() -> ProcessIdentity {
        ProcessIdentity { boot_id: "b".to_owned(), pid: 1, start_ticks: 1 }
    }

    fn spec() -> StopSpec {
        serde_json::from_value(json!({"service": "web"})).unwrap()
    }

    #[test]
    fn defaults_are_written_out_and_a_long_grace_is_refused() {
        let injector = ContainerFault::<StopSpec>::INJECTOR;
        assert_eq!(
            injector.check(&json!({"service": "web"})).unwrap(),
            json!({"service": "web", "count": 1, "which": "random", "graceSeconds": 1})
        );
        let long = injector.check(&json!({"service": "web", "graceSeconds": 2})).unwrap_err();
        assert_eq!(long.path, ["graceSeconds"]);
        assert_eq!(long.hint, "write 0 or 1");
    }

    #[test]
    fn a_container_that_is_removed_when_it_stops_is_no_target() {
        let auto = container(|c| c["HostConfig"]["AutoRemove"] = true.into());
        assert!(spec().decide(&auto, &process()).unwrap_err().contains("--rm"));
        assert!(spec().decide(&container(|_| {}), &process()).is_ok());
    }

    #[test]
    fn only_the_stop_of_the_record_is_taken_back() {
        let held = Held {
            container: "web-1".to_owned(),
            id: "c0ffee".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            process: process(),
            change: spec().decide(&container(|_| {}), &process()).unwrap(),
        };
        let stands = |up: bool, later: bool| {
            StopSpec::standing(
                &held,
                &container(|c| {
                    c["State"]["Running"] = up.into();
                    if later {
                        c["State"]["StartedAt"] = LATER.into();
                    }
                }),
            )
        };
        assert_eq!(stands(false, false), Standing::Changed);
        assert_eq!(stands(true, false), Standing::Before);
        assert_eq!(stands(true, true), Standing::Gone, "not stopped a second time");
        assert!(matches!(stands(false, true), Standing::Other(_)), "somebody else's stop");
    }

    #[test]
    fn both_the_process_and_the_connection_must_say_so() {
        let answered = Seen::Answered { status: 200, took: Vec::new() };
        let nobody = Seen::Unopened("no route".to_owned());
        assert_eq!(said(Presence::Gone, &Seen::Refused), Says::InForce);
        assert_eq!(said(Presence::Gone, &nobody), Says::InForce);
        assert_eq!(said(Presence::Gone, &answered), Says::NotInForce, "another process");
        assert_eq!(said(Presence::Alive, &answered), Says::NotInForce);
        assert_eq!(said(Presence::Alive, &Seen::Refused), Says::Nothing);
        assert_eq!(said(Presence::Gone, &Seen::Silent), Says::Nothing);
    }
}
