//! The steps that concern the system as a whole: open, settle, collect, close.

use std::sync::Arc;

use harness_core::event::Done;
use harness_core::system::{Host, Opened, Steadiness, System, SystemError};
use harness_core::time::Clock;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use serde_json::Value;

use crate::ledger::{Ledger, LedgerEntry};
use harness_core::plan::Plan;

/// Period of asking a system for its state.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// One question must have been answered after this time.
const ASK_MAX: Duration = Duration::from_secs(1);
/// Differences between plan and system that are named.
const DIFFERENCES_MAX: usize = 8;

/// Writes the record of what will be started, then starts it. `Err` is the answer to the command;
/// the flag says that the ledger could not be written.
pub(super) async fn open(
    plan: &Plan,
    host: &dyn Host,
    ledger: &Ledger,
) -> Result<Opened, (Done, bool)> {
    let not_opened = |why: String| Done::NotOpened { why };
    if let Some(record) = host.record() {
        let close = plan.deadlines.close;
        let entry = LedgerEntry::SystemOpened { kind: plan.system.kind.clone(), record, close };
        if let Err(error) = ledger.write(entry).await {
            return Err((not_opened(format!("the undo ledger cannot be written: {error}")), true));
        }
    }
    let opened = within(plan.deadlines.open, "open it", host.open(plan.deadlines.open)).await;
    let opened = opened.map_err(|why| (not_opened(why), false))?;
    let differences = differences(&plan.system.topology, &opened.topology);
    if differences.is_empty() {
        return Ok(opened);
    }
    let what = differences.join(", ");
    Err((not_opened(format!("the system is not what the plan says: {what}")), false))
}

/// What the plan names and the system lacks.
fn differences(planned: &Topology, live: &Topology) -> Vec<String> {
    let mut differences = Vec::new();
    for service in &planned.services {
        match live.service(&service.name) {
            None => differences.push(format!("no service {}", service.name)),
            Some(found) if found.instances.len() != service.instances.len() => {
                let (found, wanted) = (found.instances.len(), service.instances.len());
                let name = &service.name;
                differences.push(format!("{found} instances of {name} instead of {wanted}"));
            }
            Some(_) => {}
        }
    }
    let edges = planned.edges.iter().filter(|edge| live.edge(&edge.name).is_none());
    differences.extend(edges.map(|edge| format!("no edge {}", edge.name)));
    differences.truncate(DIFFERENCES_MAX);
    differences
}

/// Resets the system and waits until it was steady for the hold time.
pub(super) async fn settle(plan: &Plan, system: &dyn System, clock: Arc<dyn Clock>) -> Done {
    let until = clock.now() + plan.steady.within;
    let mut missing = vec!["it was not asked in time".to_owned()];
    let (mut was_reset, mut steady_since) = (false, None);
    loop {
        let now = clock.now();
        let left = until.since(now);
        if left == Duration::ZERO {
            return Done::Unsteady { missing };
        }
        if was_reset {
            let deadline = left.min(ASK_MAX);
            match within(deadline, "ask it", system.steadiness(deadline)).await {
                Ok(Steadiness::Steady) => {
                    let since = *steady_since.get_or_insert(now);
                    missing = vec![format!("steady, but not for {}", plan.steady.hold)];
                    if clock.now().since(since) >= plan.steady.hold {
                        return settled(system).await;
                    }
                }
                Ok(Steadiness::Missing(what)) => (missing, steady_since) = (what, None),
                Err(why) => (missing, steady_since) = (vec![why], None),
            }
        } else {
            let deadline = left.min(plan.deadlines.reset);
            match within(deadline, "reset it", system.reset(deadline)).await {
                Ok(()) => was_reset = true,
                Err(why) => missing = vec![why],
            }
        }
        let pause = ASK_EVERY.min(until.since(clock.now()));
        tokio::time::sleep(pause.as_std()).await;
    }
}

async fn settled(system: &dyn System) -> Done {
    match within(ASK_MAX, "read its topology", system.topology(ASK_MAX)).await {
        Ok(topology) => Done::Steady(topology),
        Err(why) => Done::Unsteady { missing: vec![why] },
    }
}

/// Asks what was stored until nothing is pending.
pub(super) async fn collect(
    deadline: Duration,
    system: &dyn System,
    prefix: &str,
    clock: Arc<dyn Clock>,
) -> Done {
    let until = clock.now() + deadline;
    let mut why = "it was not asked in time".to_owned();
    loop {
        let left = until.since(clock.now());
        if left == Duration::ZERO {
            return Done::NotCollected { why };
        }
        let asked = async {
            match system.processed(prefix, left).await {
                // It never will.
                Err(error @ SystemError::Unsupported { .. }) => Ok(Err(error.to_string())),
                other => other.map(Ok),
            }
        };
        match within(left, "ask what it stored", asked).await {
            Ok(Err(why)) => return Done::NotCollected { why },
            Ok(Ok(processed)) if processed.pending.is_empty() => return Done::Collected(processed),
            Ok(Ok(processed)) => {
                let ids = processed.pending.iter().map(|(first, last)| last - first + 1);
                why = format!("{} ids are still being worked on", ids.sum::<u64>());
            }
            Err(error) => why = error,
        }
        let pause = ASK_EVERY.min(until.since(clock.now()));
        tokio::time::sleep(pause.as_std()).await;
    }
}

/// Stops what the record names until nothing of it is left. `Err` says what is.
pub(crate) async fn close(
    host: &dyn Host,
    record: &Value,
    deadline: Duration,
    clock: &dyn Clock,
) -> Result<(), String> {
    let until = clock.now() + deadline;
    loop {
        let left = until.since(clock.now()).max(Duration::from_millis(1));
        let closed = within(left, "close it", host.close(record, left)).await;
        let looked = within(ASK_MAX, "look what is left", host.left_behind(record, ASK_MAX)).await;
        let why = match looked {
            Ok(rest) if rest.is_empty() => return Ok(()),
            Ok(rest) => format!("{} are left", rest.join(", ")),
            Err(why) => why,
        };
        let why = closed.err().map_or(why.clone(), |error| format!("{error}; {why}"));
        if until.since(clock.now()) <= ASK_EVERY {
            return Err(why);
        }
        tokio::time::sleep(ASK_EVERY.as_std()).await;
    }
}

/// A call to the system with its deadline; `Err` says what went wrong.
async fn within<T>(
    deadline: Duration,
    what: &str,
    call: impl Future<Output = Result<T, SystemError>>,
) -> Result<T, String> {
    match tokio::time::timeout(deadline.as_std(), call).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("could not {what} within {deadline}")),
    }
}
