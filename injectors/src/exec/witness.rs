//! Who is believed about a fault of `exec`: another program of the user's, which looks by other
//! means. It is asked apart, and never sees the injector's process.

use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::program::Ask;
use super::{ExecSpec, ExecUndo};

/// Asks the witness program.
#[derive(Debug, Clone, Copy)]
pub struct ExecWitness;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    baseline: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Seen {
    sighting: Kind,
    seen: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    InForce,
    NotInForce,
    Unknown,
}

fn read<'a, T: Deserialize<'a>>(what: &str, value: &'a Value) -> Result<T, FaultError> {
    T::deserialize(value)
        .map_err(|error| FaultError::Unreadable { what: what.to_owned(), why: error.to_string() })
}

async fn look(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
    let spec: ExecSpec = read("specification", debt.spec)?;
    let undo: ExecUndo = read("undo record", debt.undo)?;
    let ask = Ask::new(cx, &spec.witness, "look").with(&spec.with).undo(&undo.record);
    let Seen { sighting, seen } = ask.baseline(debt.baseline).ask().await?;
    Ok(match sighting {
        Kind::InForce => Sighting::InForce(seen),
        Kind::NotInForce => Sighting::NotInForce(seen),
        Kind::Unknown => Sighting::Unknown(seen),
    })
}

impl Witness for ExecWitness {
    fn method(&self) -> &'static str {
        "a program of your own"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let spec: ExecSpec = read("specification", spec)?;
            let undo: ExecUndo = read("undo record", undo)?;
            let ask = Ask::new(cx, &spec.witness, "baseline").with(&spec.with);
            let ask = ask.undo(&undo.record).topology(cx.topology);
            let Baseline { baseline } = ask.ask().await?;
            Ok(baseline)
        })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            look(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}
