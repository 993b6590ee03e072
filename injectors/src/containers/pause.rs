//! `container-pause`: containers are frozen with all their processes: connections are taken by the
//! kernel, and nothing comes back.

use std::num::NonZeroU32;

use harness_core::ids::ServiceName;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::{Container, Engine, EngineError};
use super::fault::{ContainerSpec, Held, is_answer};
use super::kernel::is_frozen;
use crate::process::{Presence, presence};
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// An order to freeze is carried out within milliseconds.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PauseSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its containers.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
}

/// A container is frozen; it was running before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Freeze {}

impl ContainerSpec for PauseSpec {
    const KIND: &'static str = "container-pause";
    const SUMMARY: &'static str = "containers of a service are frozen, and go on afterwards";
    const MECHANISM: &'static str = "pause by the engine";
    const METHOD: &'static str = "state of the freezer and a request to the container";
    type Change = Freeze;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, found: &Container, process: &ProcessIdentity) -> Result<Freeze, String> {
        if found.state.paused || is_frozen(process) == Some(true) {
            return Err("somebody else has paused it".to_owned());
        }
        match is_frozen(process) {
            Some(_) => Ok(Freeze {}),
            None => Err("the kernel does not tell whether it is frozen".to_owned()),
        }
    }

    fn standing(held: &Held<Freeze>, found: &Container) -> Standing {
        if !found.is_up() || found.state.started_at != held.started_at {
            // A container that ended, or was started again, is frozen no more.
            return Standing::Gone;
        }
        if found.state.paused { Standing::Changed } else { Standing::Before }
    }

    async fn make(
        engine: &Engine,
        held: &Held<Freeze>,
        within: Duration,
    ) -> Result<(), EngineError> {
        engine.pause(&held.id, within).await
    }

    async fn unmake(
        engine: &Engine,
        held: &Held<Freeze>,
        within: Duration,
    ) -> Result<(), EngineError> {
        engine.unpause(&held.id, within).await
    }

    fn on_its_way(_change: &Freeze) -> Duration {
        ON_ITS_WAY
    }

    fn says(held: &Held<Freeze>, seen: &Seen) -> (Says, String) {
        let pid = held.process.pid;
        if presence(&held.process) == Presence::Gone {
            // Another process took its place.
            let says = if is_answer(seen) { Says::NotInForce } else { Says::Nothing };
            return (says, format!("has no process {pid} any more"));
        }
        match is_frozen(&held.process) {
            Some(frozen) => (said(frozen, seen), format!("is frozen: {frozen}")),
            None => (Says::Nothing, "does not show whether it is frozen".to_owned()),
        }
    }
}

/// A full queue of connections takes no more of them: that is silence, too.
fn said(frozen: bool, seen: &Seen) -> Says {
    match (frozen, seen) {
        (true, Seen::Silent | Seen::Unopened(_)) => Says::InForce,
        (false, Seen::Answered { .. }) => Says::NotInForce,
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

    fn held() -> Held<Freeze> {
        Held {
            container: "web-1".to_owned(),
            id: "c0ffee".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            process: ProcessIdentity { boot_id: "b".to_owned(), pid: 1, start_ticks: 1 },
            change: Freeze {},
        }
    }

    #[test]
    fn defaults_are_written_out_and_none_is_not_a_count() {
        let injector = ContainerFault::<PauseSpec>::INJECTOR;
        assert_eq!(
            injector.check(&json!({"service": "web"})).unwrap(),
            json!({"service": "web", "count": 1, "which": "random"})
        );
        let none = json!({"service": "web", "count": 0});
        assert_eq!(injector.check(&none).unwrap_err().path, ["count"]);
        assert!(injector.check(&json!({"service": "web", "all": true})).is_err());
    }

    #[test]
    fn a_restart_ends_a_pause_and_nobody_elses_pause_is_ended() {
        let paused = container(|c| c["State"]["Paused"] = true.into());
        assert_eq!(PauseSpec::standing(&held(), &paused), Standing::Changed);
        assert_eq!(PauseSpec::standing(&held(), &container(|_| {})), Standing::Before);
        let again = container(|c| {
            c["State"]["Paused"] = true.into();
            c["State"]["StartedAt"] = "2026-01-01T00:00:09Z".into();
        });
        assert_eq!(PauseSpec::standing(&held(), &again), Standing::Gone, "not the one we paused");
        let down = container(|c| c["State"]["Running"] = false.into());
        assert_eq!(PauseSpec::standing(&held(), &down), Standing::Gone);
    }

    #[test]
    fn both_the_kernel_and_the_connection_must_say_so() {
        let answered = Seen::Answered { status: 404, took: Vec::new() };
        assert_eq!(said(true, &Seen::Silent), Says::InForce);
        assert_eq!(said(false, &answered), Says::NotInForce);
        assert_eq!(said(true, &answered), Says::Nothing);
        assert_eq!(said(false, &Seen::Silent), Says::Nothing);
        assert_eq!(said(true, &Seen::Refused), Says::Nothing);
    }
}
