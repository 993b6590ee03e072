//! Locks of what a run attacks, and refusals of what another run has to itself.

use std::collections::BTreeMap;
use std::path::Path;

use harness_core::plan::Plan;
use harness_core::units::Duration;
use harness_engine::store::{LockError, RunDir, SystemLock};
use injectors::containers::ContainerHost;

use crate::failure::Failure;
use crate::ports::Origin;

/// The engine tells within this time which containers are meant.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// What is tried, in words.
const ACTION: &str = "lock the system";

/// Two runs cannot attack the same system: the same lab, or the same container.
pub(super) fn take(origin: &Origin, plan: &Plan, run: &RunDir) -> Result<Vec<SystemLock>, Failure> {
    let identities = identities(origin, plan)?;
    if identities.is_empty() {
        return Ok(Vec::new());
    }
    let directory = injectors::own_place().map_err(|error| Failure::could_not(ACTION, &error))?;
    let take = |identity: &String| {
        SystemLock::take(&directory, identity, run).map_err(|error| {
            let failure = Failure::could_not(ACTION, &error);
            match &error {
                LockError::Owes { run, .. } => failure.hint(undo(run)),
                LockError::Held { .. } | LockError::File { .. } => failure,
            }
        })
    };
    identities.iter().map(take).collect()
}

fn undo(run: &Path) -> String {
    format!("`gameday undo {}` puts it back and proves it", run.display())
}

/// What no other run may attack meanwhile. A lab that the run starts is in the run's own directory:
/// see [`refuse_labs_of_runs`].
fn identities(origin: &Origin, plan: &Plan) -> Result<Vec<String>, Failure> {
    match origin {
        Origin::Started => Ok(Vec::new()),
        Origin::Attached(state) => Ok(vec![format!("lab:{}", state.display())]),
        Origin::Containers(socket) => {
            let host = ContainerHost::new(socket, &plan.system);
            let host = host.expect("this origin is that of a plan about containers");
            // On this thread: it is done before the run has a runtime.
            let ids = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::could_not("start the runtime", &error))?
                .block_on(host.ids(LOOK_MAX))
                .map_err(|error| Failure::could_not(ACTION, &error))?;
            of_containers(&ids)
        }
    }
}

/// By id: a container has several names, and its engine several sockets.
fn of_containers(ids: &BTreeMap<String, String>) -> Result<Vec<String>, Failure> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, id) in ids {
        if let Some(other) = names.insert(id, name) {
            let one = format!("{other} and {name} are one container");
            return Err(Failure::refused(one).hint("name each container once"));
        }
    }
    // In one order, so that of two runs one gets all of them.
    Ok(names.keys().map(|id| format!("container:{id}")).collect())
}

/// The lab that a run has started is that run's alone, while it is under way and while it owes
/// something.
pub(super) fn refuse_labs_of_runs(state: &Path) -> Result<(), Failure> {
    // What is not there is refused by who looks for the lab.
    let owner = state.canonicalize().ok().and_then(|state| RunDir::at(state.parent()?));
    let Some(run) = owner else { return Ok(()) };
    let whose = format!("the lab in {} is that of run {}", state.display(), run.id());
    if run.is_alive() {
        return Err(Failure::refused(format!("{whose}, which is under way"))
            .hint("`gameday lab up --state DIR` starts one for several runs"));
    }
    match run.ledger() {
        Ok(ledger) if !ledger.is_unpaid() => Ok(()),
        Ok(_) | Err(_) => {
            Err(Failure::refused(format!("{whose}, which still owes something"))
                .hint(undo(run.path())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_locked_by_its_id_and_counts_once() {
        let ids = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned()));
            of_containers(&all.collect())
        };
        // Two names of one container, in two scenarios, are one lock.
        let by_name = ids(&[("web-1", "5bd8"), ("web-2", "0c0f")]).unwrap();
        assert_eq!(by_name, ["container:0c0f", "container:5bd8"]);
        assert_eq!(ids(&[("0c0f", "0c0f"), ("5bd8", "5bd8")]).unwrap(), by_name);
        assert!(ids(&[("web-1", "5bd8"), ("5bd8", "5bd8")]).is_err());
    }
}
