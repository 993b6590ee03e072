//! `container-kill`: the main processes of containers are killed, as a crash or the kernel's
//! out-of-memory killer does it; the engine is expected to start them again.
//!
//! The process is signalled itself: a kill by the engine counts as an operator's wish, after which
//! no restart policy acts.

use std::num::NonZeroU32;

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted,
    Sighting, Touched, Witness,
};
use harness_core::ids::ServiceName;
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{Container, Engine, EngineError, HostConfig};
use super::fault::{
    ContainerDebt, Held, Listening, address_now, chosen, engine_of, is_answer, question,
};
use crate::process::{Presence, Signalled, kill, presence};
use crate::proxy::{Question, Seen, look, read};
use crate::targets::{Target, Targets, Which};

/// How often the end of a killed process is looked for.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);
/// How often the engine is asked whether a container is back.
const HEALED_LOOK: std::time::Duration = std::time::Duration::from_millis(50);
/// Engines start a container again within tenths of a second: a look must be shorter.
const SILENCE: Duration = Duration::from_millis(100);
/// One question to the engine.
const ASK_MAX: Duration = Duration::from_secs(2);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KillSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its containers.
    #[serde(default = "crate::targets::one")]
    pub(crate) count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    pub(crate) which: Which,
}

impl KillSpec {
    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }
}

/// Nothing of a container is changed but its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Kill {}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContainerKill;

/// Why nobody would start a container again; `None` when its engine does.
fn stays_dead(config: &HostConfig, restarts: u64) -> Option<String> {
    let policy = &config.restart_policy;
    let most = policy.maximum_retry_count;
    match policy.name.as_str() {
        _ if config.auto_remove => Some("it is removed when it ends (--rm)".to_owned()),
        "always" | "unless-stopped" => None,
        "on-failure" if most == 0 || restarts < most => None,
        "on-failure" => Some(format!("it was restarted {restarts} times, at most {most} are left")),
        _ => Some(
            "it has no restart policy, so that nothing would start it again; \
             `container-stop` starts it itself"
                .to_owned(),
        ),
    }
}

/// Whether a container lives that the fault did not kill, or that is back.
fn is_back(held: &Held<Kill>, found: &Container) -> bool {
    let is_new = found.state.started_at != held.started_at;
    // The engine may not have noticed a death yet; its process is looked for itself.
    found.process().is_some_and(|process| is_new || process == held.process)
}

impl Injector for ContainerKill {
    const KIND: &'static str = "container-kill";
    const SUMMARY: &'static str = "containers of a service are killed with SIGKILL";
    const REVERSIBILITY: Reversibility = Reversibility::SelfHealing;
    type Spec = KillSpec;
    type Undo = ContainerDebt<Kill>;

    fn blast_radius(spec: &KillSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spec.targets().radius(topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Changed(PROCESS)]
    }

    fn mechanism(_spec: &KillSpec) -> String {
        "SIGKILL".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &KillSpec) -> Result<Self::Undo, FaultError> {
        let targets = spec.targets();
        let service = targets.service_in(cx.topology)?;
        let engine = engine_of(cx.topology)?;
        let mut containers = Vec::new();
        for target in targets.living(service, &cx.name())? {
            let found = chosen(&engine, &target, cx.deadline.min(ASK_MAX)).await?;
            let Target { instance, uid, process } = target;
            if let Some(why) = stays_dead(&found.host_config, found.restart_count) {
                let mechanism = format!("a restart of {instance}");
                return Err(FaultError::Unavailable { mechanism, why });
            }
            let started_at = found.state.started_at;
            let change = Kill {};
            containers.push(Held { container: instance, id: uid, started_at, process, change });
        }
        Ok(ContainerDebt { engine: engine.socket().to_owned(), containers })
    }

    fn touched(_spec: &KillSpec, undo: &Self::Undo, topology: &Topology) -> Touched {
        undo.touched(topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &KillSpec,
        undo: &Self::Undo,
    ) -> Result<Option<Self::Undo>, FaultError> {
        for held in &undo.containers {
            let pid = held.process.pid;
            match kill(&held.process) {
                Ok(Signalled::Sent) => {}
                Ok(Signalled::WasGone) => {
                    return Err(FaultError::Conflict {
                        what: held.container.clone(),
                        why: format!("process {pid} was gone already"),
                    });
                }
                Err(error) => {
                    let action = format!("kill {} (process {pid})", held.container);
                    return Err(FaultError::Failed { action, why: error.to_string() });
                }
            }
        }
        let end = async {
            for held in &undo.containers {
                while presence(&held.process) == Presence::Alive {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
        };
        let ended = tokio::time::timeout(cx.deadline.as_std(), end).await;
        ended.map(|()| None).map_err(|_| FaultError::TimedOut {
            step: "the end of the killed processes".to_owned(),
            within: cx.deadline,
        })
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &KillSpec,
        undo: &Self::Undo,
    ) -> Result<Effect, FaultError> {
        let engine = Engine::new(&undo.engine);
        for held in &undo.containers {
            let found = held.found(&engine, cx.deadline).await?;
            if found.is_none_or(|found| is_back(held, &found)) {
                return Ok(Effect::Absent);
            }
        }
        Ok(Effect::InPlace)
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &Self::Undo) -> Result<Reverted, FaultError> {
        let engine = Engine::new(&undo.engine);
        // The engine starts it again by itself; what it needs for that is its own time, not ours.
        // Only when it does not is it helped, so that the help is never mistaken for its policy.
        let until = cx.clock.now() + cx.deadline;
        let patience = cx.clock.now() + cx.deadline.times(3).divided_by(5);
        let mut how = Reverted::WasClean;
        for held in &undo.containers {
            loop {
                let left = until.since(cx.clock.now());
                let found = held.found(&engine, left).await?;
                // Removed, or back.
                if found.is_none_or(|found| is_back(held, &found)) {
                    break;
                }
                if left == Duration::ZERO {
                    let step = format!("the start of {}", held.container);
                    return Err(FaultError::TimedOut { step, within: cx.deadline });
                }
                if cx.clock.now() >= patience {
                    how = Reverted::PutBack;
                    let failed = |e: EngineError| e.failed(format!("start {}", held.container));
                    engine.start(&held.id, left).await.map_err(failed)?;
                }
                tokio::time::sleep(HEALED_LOOK).await;
            }
        }
        Ok(how)
    }
}

impl Held<Kill> {
    async fn found(
        &self,
        engine: &Engine,
        within: Duration,
    ) -> Result<Option<Container>, FaultError> {
        let found = engine.inspect(&self.id, within.min(ASK_MAX)).await;
        found.map_err(|error| error.failed(format!("look at {}", self.container)))
    }
}

/// Looks whether the killed processes are gone in `/proc`, and whether anybody answers there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KillWitness;

impl KillWitness {
    async fn before(cx: &Cx<'_>, undo: &Value) -> Result<Value, FaultError> {
        let debt: ContainerDebt<Kill> = read("undo record", undo)?;
        let processes = debt.containers.iter().map(|held| &held.process);
        let listening = Listening::seen(cx, processes).await?;
        Ok(serde_json::to_value(listening).expect("plain data"))
    }

    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let undo: ContainerDebt<Kill> = read("undo record", debt.undo)?;
        let Listening { addresses } = read("baseline", debt.baseline)?;
        let engine = Engine::new(&undo.engine);
        let each = undo.containers.iter().zip(&addresses).map(async |(held, before)| {
            let (seen, pid) = (Self::heard(&engine, held, before, cx).await, held.process.pid);
            let presence = presence(&held.process);
            let word = match presence {
                Presence::Alive => "lives",
                Presence::Gone => "is gone",
            };
            let words = format!("{before}: process {pid} of {} {word}; {seen}", held.container);
            (said(presence, &seen), words)
        });
        Ok(sighting(&futures_util::future::join_all(each).await))
    }

    /// At its address; and where its engine has put it since, if nobody answers there.
    async fn heard(engine: &Engine, held: &Held<Kill>, before: &str, cx: &Cx<'_>) -> Seen {
        let silence = match presence(&held.process) {
            Presence::Alive => question(cx.deadline).silence,
            Presence::Gone => SILENCE.min(cx.deadline.divided_by(8)),
        };
        let seen = look(before, Question::once(silence), cx.clock).await;
        if is_answer(&seen) {
            return seen;
        }
        let now = address_now(engine, &held.id, before, silence.times(4)).await;
        if now == before { seen } else { look(&now, Question::once(silence), cx.clock).await }
    }
}

/// What one container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It was not killed.
    Lives,
    /// It was killed, and nobody answers.
    Down,
    /// It was killed, and another process has taken its place.
    Back,
    /// Neither can be said.
    Unclear,
}

fn said(presence: Presence, seen: &Seen) -> Found {
    match (presence, seen) {
        (Presence::Alive, seen) if is_answer(seen) => Found::Lives,
        (Presence::Gone, seen) if is_answer(seen) => Found::Back,
        (Presence::Gone, Seen::Refused | Seen::Reset | Seen::Closed | Seen::Unopened(_)) => {
            Found::Down
        }
        (_, _) => Found::Unclear,
    }
}

/// An engine may be quicker than a row of looks: that all were killed is known by the kernel also
/// when they are back.
fn sighting(said: &[(Found, String)]) -> Sighting {
    let are = |founds: &[Found]| said.iter().all(|(found, _)| founds.contains(found));
    let (lives, back) = (are(&[Found::Lives]), are(&[Found::Back]));
    let killed = are(&[Found::Down, Found::Back]);
    let words = said.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join("; ");
    match (lives, back, killed) {
        _ if said.is_empty() => Sighting::Unknown("the record names no container".to_owned()),
        (true, ..) => Sighting::NotInForce(words),
        (_, true, _) => Sighting::Over(words),
        (.., true) => Sighting::InForce(words),
        (..) => Sighting::Unknown(words),
    }
}

impl Witness for KillWitness {
    fn method(&self) -> &'static str {
        "the process in /proc and a request to the container"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(Self::before(cx, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::super::api::container;
    use super::*;

    #[test]
    fn defaults_are_written_out() {
        assert_eq!(
            ContainerKill.check(&json!({"service": "web"})).unwrap(),
            json!({"service": "web", "count": 1, "which": "random"})
        );
    }

    #[test]
    fn what_nobody_would_start_again_is_not_killed() {
        let reason = |name: &str, most: u64, auto: bool, restarts: u64| {
            let found = container(|c| {
                c["HostConfig"]["RestartPolicy"] = json!({"Name": name, "MaximumRetryCount": most});
                c["HostConfig"]["AutoRemove"] = auto.into();
                c["RestartCount"] = restarts.into();
            });
            stays_dead(&found.host_config, found.restart_count)
        };
        assert_eq!(reason("always", 0, false, 9), None);
        assert_eq!(reason("unless-stopped", 0, false, 0), None);
        assert_eq!(reason("on-failure", 0, false, 9), None);
        assert_eq!(reason("on-failure", 3, false, 2), None);
        assert!(reason("on-failure", 3, false, 3).unwrap().contains("3 times"));
        assert!(reason("always", 0, true, 0).unwrap().contains("--rm"));
        for none in ["", "no"] {
            assert!(reason(none, 0, false, 0).unwrap().contains("no restart policy"));
        }
    }

    #[test]
    fn both_the_process_and_the_connection_must_say_so() {
        let answered = Seen::Answered { status: 200, took: Vec::new() };
        assert_eq!(said(Presence::Gone, &Seen::Refused), Found::Down);
        assert_eq!(said(Presence::Gone, &answered), Found::Back);
        assert_eq!(said(Presence::Alive, &answered), Found::Lives);
        assert_eq!(said(Presence::Alive, &Seen::Refused), Found::Unclear);
        assert_eq!(said(Presence::Gone, &Seen::Silent), Found::Unclear);
    }

    #[test]
    fn what_was_killed_and_is_back_is_over() {
        let of = |founds: &[Found]| {
            let said: Vec<_> = founds.iter().map(|found| (*found, format!("{found:?}"))).collect();
            sighting(&said)
        };
        let words = |text: &str| text.to_owned();
        for (founds, expected) in [
            (&[Found::Lives][..], Sighting::NotInForce(words("Lives"))),
            (&[Found::Down, Found::Down], Sighting::InForce(words("Down; Down"))),
            (&[Found::Down, Found::Back], Sighting::InForce(words("Down; Back"))),
            (&[Found::Back, Found::Back], Sighting::Over(words("Back; Back"))),
            (&[Found::Back, Found::Lives], Sighting::Unknown(words("Back; Lives"))),
            (&[Found::Back, Found::Unclear], Sighting::Unknown(words("Back; Unclear"))),
        ] {
            assert_eq!(of(founds), expected, "{founds:?}");
        }
        assert!(matches!(of(&[]), Sighting::Unknown(_)));
    }
}
