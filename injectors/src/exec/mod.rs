//! `exec`: a fault in any language. A program of the user's speaks our verbs as JSON over its
//! standard input and output, and another program is its witness.
//!
//! The protocol is described in `docs/exec-injector.md`. Each verb is one short-lived process in a
//! group of its own, with a cleared environment and bounded output; it is killed at its deadline.
//! What a program does is its own business: here is only how it is asked and believed.

mod program;
mod witness;

pub use witness::ExecWitness;

use std::path::{Path, PathBuf};

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted, Touched,
};
use harness_core::topology::{Service, Topology};
use harness_core::units::Ratio;
use rustix::fs::{Access, access};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lab::refuse_control;
use crate::permit;
use crate::program::end_others;
use program::{Ask, failed};

/// The protocol's name and version, in every question.
pub const FORMAT: &str = "gameday.exec/1";

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecSpec {
    /// The injector: the absolute path of an executable.
    pub program: PathBuf,
    /// Its witness: the absolute path of another executable, which looks by other means.
    pub witness: PathBuf,
    /// Handed to both as it is.
    #[serde(default)]
    pub with: Value,
    /// What it touches at most; the limits of the scenario are held against this.
    pub touches: Touches,
}

/// What the programs touch, by the names of the system's topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Touches {
    /// Instances: `payments-0`.
    #[serde(default)]
    pub instances: Vec<String>,
    /// Edges: `checkout->payments`.
    #[serde(default)]
    pub edges: Vec<String>,
}

/// All that a fresh process needs to revert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecUndo {
    /// The injector.
    pub program: PathBuf,
    /// Handed to it as it is.
    pub with: Value,
    /// The program's own record.
    pub record: Value,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct Exec;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Armed {
    undo: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Injected {
    #[serde(default)]
    undo: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Verified {
    in_place: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBack {
    reverted: Reverted,
}

/// What `describe` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Description {
    /// [`FORMAT`].
    pub format: String,
    /// One line for lists.
    pub summary: String,
}

/// Asks a program what it is. Errors when it is not one of ours.
pub async fn describe(cx: &Cx<'_>, program: &Path) -> Result<Description, FaultError> {
    let described: Description = Ask::new(cx, program, "describe").ask().await?;
    if described.format != FORMAT {
        let why = format!("it speaks `{}`, this is {FORMAT}", described.format);
        return Err(failed("describe", program, &why));
    }
    Ok(described)
}

/// Refuses what is no program that this user may run.
fn runnable(program: &Path) -> Result<(), FaultError> {
    let runs = access(program, Access::EXEC_OK).map_err(std::io::Error::from).and_then(|()| {
        let is_file = std::fs::metadata(program)?.is_file();
        is_file.then_some(()).ok_or_else(|| std::io::ErrorKind::IsADirectory.into())
    });
    runs.map_err(|error| {
        let action = format!("run {}", program.display());
        FaultError::Failed { action, why: error.to_string() }
    })
}

impl ExecUndo {
    fn ask<'a>(&'a self, cx: &'a Cx<'a>, verb: &'static str) -> Ask<'a> {
        Ask::new(cx, &self.program, verb).with(&self.with).undo(&self.record)
    }
}

impl Injector for Exec {
    const KIND: &'static str = "exec";
    const SUMMARY: &'static str = "a program of your own injects and reverts; another one looks";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = ExecSpec;
    type Undo = ExecUndo;

    fn blast_radius(spec: &ExecSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        let unreadable =
            |why: String| FaultError::Unreadable { what: "specification".to_owned(), why };
        for path in [&spec.program, &spec.witness] {
            if !path.is_absolute() {
                return Err(unreadable(format!("`{}` is no absolute path", path.display())));
            }
        }
        if spec.program == spec.witness {
            return Err(unreadable("an injector cannot be its own witness".to_owned()));
        }
        let Touches { instances, edges } = &spec.touches;
        if instances.is_empty() && edges.is_empty() {
            return Err(unreadable("`touches` names neither an instance nor an edge".to_owned()));
        }
        for edge in edges {
            if topology.edge(&edge.as_str().into()).is_none() {
                return Err(FaultError::NoTarget { target: format!("edge {edge}") });
            }
        }
        let (instances, share) = touched(instances, topology)?;
        Ok(BlastRadius { instances, share, edges: edges.clone(), ..BlastRadius::default() })
    }

    /// What a program does is its own affair; it may need what it acts on.
    fn holds(_spec: &ExecSpec) -> Vec<Hold> {
        vec![Hold::Needed(PROCESS)]
    }

    fn mechanism(spec: &ExecSpec) -> String {
        spec.program.display().to_string()
    }

    fn ready(spec: &ExecSpec) -> Result<(), FaultError> {
        runnable(&spec.program)?;
        runnable(&spec.witness)?;
        permit::ready()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &ExecSpec) -> Result<ExecUndo, FaultError> {
        describe(cx, &spec.program).await?;
        let ask = Ask::new(cx, &spec.program, "arm").with(&spec.with).topology(cx.topology);
        let Armed { undo: record } = ask.ask().await?;
        permit::grant(&cx.name())?;
        Ok(ExecUndo { program: spec.program.clone(), with: spec.with.clone(), record })
    }

    /// What the scenario says: the program's own record is read by nobody else.
    fn touched(spec: &ExecSpec, _undo: &ExecUndo, topology: &Topology) -> Touched {
        let path = |name: &String| {
            let found = topology.path_where(|_, one| &one.name == name);
            found.unwrap_or_else(|| format!("instance {name}"))
        };
        Touched {
            instances: spec.touches.instances.iter().map(path).collect(),
            edges: spec.touches.edges.iter().cloned().collect(),
        }
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &ExecSpec,
        undo: &ExecUndo,
    ) -> Result<Option<ExecUndo>, FaultError> {
        let name = cx.name();
        let late = || failed("inject", &undo.program, "it was reverted before");
        if !permit::is_granted(&name) {
            return Err(late());
        }
        let Injected { undo: amended } = undo.ask(cx, "inject").ask().await?;
        // Somebody reverted while it was injecting: the engine will revert once more.
        if !permit::is_granted(&name) {
            return Err(late());
        }
        Ok(amended.map(|record| ExecUndo { record, ..undo.clone() }))
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &ExecSpec,
        undo: &ExecUndo,
    ) -> Result<Effect, FaultError> {
        let Verified { in_place } = undo.ask(cx, "verify").ask().await?;
        Ok(if in_place { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &ExecUndo) -> Result<Reverted, FaultError> {
        let name = cx.name();
        permit::withdraw(&name);
        // An injection of a harness that died may still be under way.
        end_others(&name, "inject");
        let PutBack { reverted } = undo.ask(cx, "revert").ask().await?;
        Ok(reverted)
    }
}

/// The instances as `service/slot`, and the largest share of one service's instances.
fn touched(
    names: &[String],
    topology: &Topology,
) -> Result<(Vec<String>, Option<Ratio>), FaultError> {
    let (mut instances, mut largest) = (Vec::new(), None);
    for name in names {
        let has = |service: &&Service| service.instances.iter().any(|one| &one.name == name);
        let Some(service) = topology.services.iter().find(has) else {
            return Err(FaultError::NoTarget { target: format!("instance {name}") });
        };
        refuse_control(&service.name)?;
        instances.push(format!("{}/{name}", service.name));
        let part = service.instances.iter().filter(|one| names.contains(&one.name)).count() as u64;
        // Rounded up, so that a limit is never passed by rounding.
        let billionths = (part * 1_000_000_000).div_ceil(service.instances.len() as u64);
        largest = largest.max(Some(Ratio::from_billionths(billionths)));
    }
    Ok((instances, largest))
}

#[cfg(test)]
mod tests;
