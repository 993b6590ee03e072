//! Who is believed about killed instances: `/proc`, and requests to the service's own addresses.

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pod_kill::PodKillDebt;
use crate::process::{Presence, presence};
use crate::proxy::{Question, Seen, look, read};

/// An instance that does not answer within this time is not there.
const SILENCE: Duration = Duration::from_millis(400);

/// What the service was like before, kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Before {
    /// By slot; a slot keeps its address over restarts.
    addresses: Vec<String>,
    /// How many of them answered.
    answering: usize,
}

/// Looks whether the killed processes are gone and whether as many instances answer as before.
#[derive(Debug, Clone, Copy)]
pub struct PodWitness;

impl PodWitness {
    /// What the service is like before.
    pub(super) async fn before(cx: &Cx<'_>, debt: &PodKillDebt) -> Result<Value, FaultError> {
        let service = cx
            .topology
            .service(&debt.service)
            .ok_or_else(|| FaultError::NoTarget { target: debt.service.to_string() })?;
        let addresses: Vec<String> =
            service.instances.iter().filter_map(|one| one.address.clone()).collect();
        let answering = answering(&addresses, cx).await.len();
        if answering == 0 {
            return Err(FaultError::Failed {
                action: format!("see {} healthy", debt.service),
                why: "no instance answers".to_owned(),
            });
        }
        Ok(serde_json::to_value(Before { addresses, answering }).expect("plain data"))
    }

    /// One look.
    pub(super) async fn see(
        cx: &Cx<'_>,
        undo: &PodKillDebt,
        baseline: &Value,
    ) -> Result<Sighting, FaultError> {
        let before: Before = read("baseline", baseline)?;
        let living = undo.victims.iter().find(|one| presence(&one.process) == Presence::Alive);
        let answering = answering(&before.addresses, cx).await.len();
        let (all, now) = (before.answering, format!("{answering} of {} answer", before.answering));
        Ok(match living {
            Some(victim) if answering >= all => Sighting::NotInForce(format!(
                "process {} of {} lives; {now}",
                victim.process.pid, victim.instance
            )),
            Some(victim) => Sighting::Unknown(format!(
                "process {} of {} lives, but {now}",
                victim.process.pid, victim.instance
            )),
            None if answering >= all => {
                Sighting::NotInForce(format!("the killed are gone and replaced: {now}"))
            }
            None => Sighting::InForce(format!("{}; {now}", names(undo))),
        })
    }
}

fn names(debt: &PodKillDebt) -> String {
    let each = debt.victims.iter();
    let names: Vec<String> = each
        .map(|one| format!("process {} of {} is gone", one.process.pid, one.instance))
        .collect();
    names.join(", ")
}

async fn answering<'a>(addresses: &'a [String], cx: &Cx<'_>) -> Vec<&'a String> {
    let silence = SILENCE.min(cx.deadline.divided_by(2));
    let question = Question::once(silence);
    let seen = join_all(addresses.iter().map(|address| look(address, question, cx.clock))).await;
    let answered = |seen: &Seen| matches!(seen, Seen::Answered { status: 200, .. });
    addresses.iter().zip(seen).filter(|(_, seen)| answered(seen)).map(|(one, _)| one).collect()
}

impl Witness for PodWitness {
    fn method(&self) -> &'static str {
        "processes in /proc and requests to the instances"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { Self::before(cx, &read("undo record", undo)?).await })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            let seen =
                async { Self::see(cx, &read("undo record", debt.undo)?, debt.baseline).await };
            seen.await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}
