//! What the faults in a network namespace share: programs that are called in it, permits to
//! inject, and the end of injections that a dead harness has left.

use std::path::Path;

use harness_core::fault::{Cx, FaultError};

use super::namespace::{Door, Namespace, NamespaceName};
use crate::permit;
use crate::program::{Call, end_others, is_under_way};

/// The verb of an injection, in the environment of the programs that work on it.
pub(super) const INJECT: &str = "inject";
/// Between two looks whether a killed program has ended.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

/// The inside of a namespace, for one step of one fault.
pub(super) struct Inside<'a> {
    pub(super) cx: &'a Cx<'a>,
    pub(super) door: &'a Door,
    pub(super) verb: &'static str,
}

impl Inside<'_> {
    /// Runs a program there; what it answers.
    pub(super) async fn run(
        &self,
        tool: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Vec<u8>, FaultError> {
        let action = format!("{} by `{tool} {}`", self.verb, arguments.join(" "));
        let failed = |why: String| FaultError::Failed { action: action.clone(), why };
        let enter = format!("--net={}", self.door.path());
        let all = [&[enter.as_str(), tool], arguments].concat();
        let name = self.cx.name();
        let program = Path::new("nsenter");
        let call = Call { program, arguments: &all, fault: &name, verb: self.verb };
        let within = self.cx.deadline;
        let said = tokio::time::timeout(within.as_std(), call.exchange(input))
            .await
            .map_err(|_| FaultError::TimedOut { step: action.clone(), within })?
            .map_err(failed)?;
        if said.has_succeeded() { Ok(said.answer) } else { Err(failed(said.how_it_ended())) }
    }
}

/// The way into the namespace of a record.
pub(super) fn door(namespace: &Namespace) -> Result<Door, FaultError> {
    let target = || format!("network namespace `{}`", namespace.name);
    namespace.reach().ok_or_else(|| FaultError::NoTarget { target: target() })
}

/// Whether this process runs in the namespace, as a run of such a fault must, and may get permits.
pub(super) fn ready(name: &NamespaceName) -> Result<(), FaultError> {
    if Namespace::find(name)?.is_ours() {
        return permit::ready();
    }
    Err(FaultError::NoTarget {
        target: format!(
            "network namespace `{name}` around this process; \
             `ip netns exec {name} gameday run ...` begins a run in it"
        ),
    })
}

fn failed(namespace: &Namespace, why: String) -> FaultError {
    let action = format!("change the packets in `{}`", namespace.name);
    FaultError::Failed { action, why }
}

/// Asked before and after an injection: somebody may have reverted it meanwhile, and then the
/// engine reverts once more.
pub(super) fn refuse_late(cx: &Cx<'_>, namespace: &Namespace) -> Result<(), FaultError> {
    if !permit::is_granted(&cx.name()) {
        return Err(failed(namespace, "it was reverted before".to_owned()));
    }
    Ok(())
}

/// Before a revert: nothing injects this fault any more, and nothing ever will.
pub(super) async fn begin_revert(cx: &Cx<'_>) -> Result<(), FaultError> {
    let name = cx.name();
    permit::withdraw(&name);
    // An injection of a harness that died may still be under way.
    let until = cx.clock.now() + cx.deadline;
    loop {
        end_others(&name, INJECT);
        if !is_under_way(&name, INJECT) {
            return Ok(());
        }
        if cx.clock.now() >= until {
            let action = "end an injection that was left".to_owned();
            return Err(FaultError::Failed { action, why: "it does not end".to_owned() });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
