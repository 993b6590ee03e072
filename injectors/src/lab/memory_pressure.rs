//! `memory-pressure`: instances of a service can take only so much more memory, as in a container
//! with too small a limit. When one wants more, the kernel kills it, and the supervisor of the
//! system is expected to replace it; the new process is free.

use std::num::NonZeroU32;

use harness_core::fault::{
    BlastRadius, CONTROL_GROUP, Cx, Debt, Effect, FaultError, Hold, Injector, PROCESS,
    Reversibility, Reverted, Scope, Sighting, Touched, Witness,
};
use harness_core::ids::ServiceName;
use harness_core::system::BoxFuture;
use harness_core::topology::{ProcessIdentity, Topology};
use harness_core::units::Size;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pod_kill::{PodKill, PodKillDebt, PodKillSpec};
use super::process_fault::{ProcessDebt, ProcessFault, ProcessSpec, ProcessWitness, is_healthy};
use crate::cgroup::{Group, Rule};
use crate::process::oom_score_adj;
use crate::proxy::{Says, Seen};
use crate::standing::Standing;
use crate::targets::{Targets, Which};

/// The kernel hands memory out in steps of so much; less would be used up by a glance.
const HEADROOM_MIN: Size = Size::from_kib(256);
/// More is no pressure.
const HEADROOM_MAX: Size = Size::from_mib(64);
/// What one connection with one request takes of an instance at least, while it is open.
const CONNECTION: Size = Size::from_kib(4);
/// A look opens so many connections at least, and at most.
const CONNECTIONS_MIN: u64 = 64;
const CONNECTIONS_MAX: u64 = 512;
/// So many where there is no limit to reach.
const CONNECTIONS_FREE: usize = 8;
/// The kernel never kills a process with this `oom_score_adj`.
const NEVER_KILLED: i32 = -1000;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct MemorySpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How many of its instances.
    pub(crate) count: NonZeroU32,
    /// Which of them.
    pub(crate) which: Which,
    /// How much more memory each of them may take, 256KiB to 64MiB.
    pub(crate) headroom: Size,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(
    rename = "MemorySpec",
    description = "Instances are killed by the kernel when they want more memory than a little."
)]
struct Written {
    /// The service.
    service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    which: Which,
    /// How much more memory each of them may take, 256KiB to 64MiB.
    headroom: Size,
}

impl TryFrom<Written> for MemorySpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { service, count, which, headroom } = written;
        if !(HEADROOM_MIN..=HEADROOM_MAX).contains(&headroom) {
            return Err(format!(
                "a `headroom` of {headroom} is not possible; write {HEADROOM_MIN} to \
                 {HEADROOM_MAX}"
            ));
        }
        Ok(Self { service, count, which, headroom })
    }
}

impl MemorySpec {
    /// The deaths that may come of it.
    fn deaths(&self) -> PodKillSpec {
        PodKillSpec { service: self.service.clone(), count: self.count, which: self.which }
    }
}

/// A process is in a group with a limit of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Limited {
    /// Ours, and where the process was.
    group: Group,
    /// What the group may take.
    headroom: Size,
}

impl MemorySpec {
    /// What the kernel may not kill is refused.
    fn decide_by(
        &self,
        oom_score_adj: i32,
        process: &ProcessIdentity,
        name: &str,
    ) -> Result<Limited, String> {
        if oom_score_adj == NEVER_KILLED {
            let why = "the kernel may not kill it (its oom_score_adj is -1000), so it would wait \
                       for memory for ever";
            return Err(why.to_owned());
        }
        let group = Group::choose(Rule::Memory(self.headroom), process, name)?;
        Ok(Limited { group, headroom: self.headroom })
    }
}

impl ProcessSpec for MemorySpec {
    const KIND: &'static str = "memory-pressure";
    const SUMMARY: &'static str = "instances of a service are killed when they want more memory";
    const MECHANISM: &'static str = "cgroup memory limit";
    const METHOD: &'static str = "kills in the group by the kernel, and requests to the instance";
    const HOLDS: &'static [Hold] = &[Hold::Changed(PROCESS), Hold::Changed(CONTROL_GROUP)];
    type Change = Limited;

    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    fn decide(&self, process: &ProcessIdentity, name: &str) -> Result<Limited, String> {
        self.decide_by(oom_score_adj(process)?, process, name)
    }

    fn make(process: &ProcessIdentity, change: &Limited) -> Result<(), String> {
        change.group.enter(process, Rule::Memory(change.headroom))
    }

    fn unmake(_process: &ProcessIdentity, change: &Limited) -> Result<(), String> {
        change.group.leave()
    }

    fn clear(_process: &ProcessIdentity, change: &Limited) -> Result<(), String> {
        change.group.leave()
    }

    fn standing(process: &ProcessIdentity, change: &Limited) -> Result<Standing, String> {
        change.group.seat(process).map(Standing::from)
    }

    fn ended(change: &Limited) -> Result<bool, String> {
        Ok(change.group.killed()?.is_some_and(|processes| processes > 0))
    }

    /// Enough to reach the limit, whatever else the instance has to do.
    fn connections(process: &ProcessIdentity, change: &Limited) -> Result<usize, String> {
        if Self::standing(process, change)? != Standing::Changed {
            return Ok(CONNECTIONS_FREE);
        }
        let wanted = change.headroom.bytes() / CONNECTION.bytes();
        let wanted = wanted.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Ok(usize::try_from(wanted).expect("it is at most 512"))
    }

    fn tally(_process: &ProcessIdentity, change: &Limited) -> Result<Option<u64>, String> {
        change.group.killed()
    }

    /// A process that lives has not wanted more than its limit, or the kernel got something back:
    /// whether it is under pressure cannot be said. One that was killed is known to the frame.
    fn says(standing: &Standing, tally: [Option<u64>; 2], seen: &[Seen]) -> Says {
        match (standing, tally) {
            (Standing::Before, [_, None]) if seen.iter().all(is_healthy) => Says::NotInForce,
            _ => Says::Nothing,
        }
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MemoryDebt {
    /// Whose memory is limited.
    limits: ProcessDebt<Limited>,
    /// Who may die of it, and what the service was like.
    pods: PodKillDebt,
}

/// Where they are in the record.
const LIMITS_FIELD: &str = "limits";

/// The injector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryPressure;

impl MemoryPressure {
    const LIMITS: ProcessFault<MemorySpec> = ProcessFault::INJECTOR;
}

impl Injector for MemoryPressure {
    const KIND: &'static str = MemorySpec::KIND;
    const SUMMARY: &'static str = MemorySpec::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::SelfHealing;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = MemorySpec;
    type Undo = MemoryDebt;

    fn blast_radius(spec: &MemorySpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        ProcessFault::<MemorySpec>::blast_radius(spec, topology)
    }

    fn holds(spec: &MemorySpec) -> Vec<Hold> {
        ProcessFault::<MemorySpec>::holds(spec)
    }

    fn mechanism(_spec: &MemorySpec) -> String {
        MemorySpec::MECHANISM.to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &MemorySpec) -> Result<MemoryDebt, FaultError> {
        let limits = Self::LIMITS.arm(cx, spec).await?;
        let pods = PodKill.arm(cx, &spec.deaths()).await?;
        Ok(MemoryDebt { limits, pods })
    }

    fn touched(spec: &MemorySpec, undo: &MemoryDebt, topology: &Topology) -> Touched {
        let mut touched = ProcessFault::<MemorySpec>::touched(spec, &undo.limits, topology);
        touched.instances.extend(PodKill::touched(&spec.deaths(), &undo.pods, topology).instances);
        touched
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &MemorySpec,
        undo: &MemoryDebt,
    ) -> Result<Option<MemoryDebt>, FaultError> {
        Self::LIMITS.inject(cx, spec, &undo.limits).await.map(|_| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &MemorySpec,
        undo: &MemoryDebt,
    ) -> Result<Effect, FaultError> {
        Self::LIMITS.verify(cx, spec, &undo.limits).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &MemoryDebt) -> Result<Reverted, FaultError> {
        let lifted = Self::LIMITS.revert(cx, &undo.limits).await;
        // The service is made whole also where a limit could not be lifted.
        let whole = PodKill.revert(cx, &undo.pods).await;
        Ok(match (lifted?, whole?) {
            (Reverted::WasClean, Reverted::WasClean) => Reverted::WasClean,
            _ => Reverted::PutBack,
        })
    }
}

/// Looks at the limits, and asks the instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryWitness;

impl Witness for MemoryWitness {
    fn method(&self) -> &'static str {
        MemorySpec::METHOD
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(ProcessWitness::<MemorySpec>::before(cx, &undo[LIMITS_FIELD]))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            let debt = Debt { undo: &debt.undo[LIMITS_FIELD], ..debt };
            let seen = ProcessWitness::<MemorySpec>::see(cx, debt).await;
            seen.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::process::identity;

    fn spec(service: &str) -> MemorySpec {
        serde_json::from_value(json!({"service": service, "headroom": "64MiB"})).unwrap()
    }

    #[test]
    fn defaults_are_written_out_and_only_small_headrooms_are_taken() {
        let check = |spec: Value| MemoryPressure.check(&spec);
        assert_eq!(
            check(json!({"service": "payments", "headroom": "1MiB"})).unwrap(),
            json!({"service": "payments", "count": 1, "which": "random", "headroom": "1MiB"})
        );
        for headroom in ["0B", "255KiB", "65MiB", "1GiB"] {
            let error = check(json!({"service": "payments", "headroom": headroom})).unwrap_err();
            assert!(error.hint.contains("write 256KiB to 64MiB"), "{error:?}");
        }
        let bare = check(json!({"service": "payments", "headroom": "4"})).unwrap_err();
        assert!(bare.message.contains("no unit"), "{bare:?}");
        assert!(check(json!({"service": "payments"})).is_err(), "how little is to be said");
    }

    #[test]
    fn what_gameday_itself_acts_through_is_no_target() {
        let spec = spec("supervisor");
        let refused = <MemoryPressure as Injector>::blast_radius(&spec, &Topology::default());
        assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    }

    /// It would be neither served nor killed, and nobody would replace it.
    #[test]
    fn a_process_that_the_kernel_may_not_kill_is_refused() {
        let own = identity(std::process::id()).unwrap();
        assert!((-1000..=1000).contains(&oom_score_adj(&own).unwrap()));
        let decided = spec("payments").decide_by(-1000, &own, "spared");
        assert!(decided.unwrap_err().contains("may not kill it"));
    }

    #[test]
    fn the_witness_says_nothing_of_a_process_that_lives_on_in_its_group() {
        let says = |standing: &Standing, tally, seen: Seen| {
            MemorySpec::says(standing, tally, std::slice::from_ref(&seen))
        };
        let answered = || Seen::Answered { status: 200, took: Vec::new() };
        assert_eq!(says(&Standing::Changed, [Some(0); 2], answered()), Says::Nothing);
        assert_eq!(says(&Standing::Changed, [Some(0); 2], Seen::Silent), Says::Nothing);
        assert_eq!(says(&Standing::Before, [None; 2], answered()), Says::NotInForce);
        assert_eq!(says(&Standing::Before, [Some(0); 2], answered()), Says::Nothing);
        assert_eq!(says(&Standing::Before, [None; 2], Seen::Refused), Says::Nothing);
    }
}
