//! Distortions between what the services of the lab expose and what its collector tells of them:
//! one leased order to the collector, and a witness that compares the two.
//!
//! A kind says what is distorted, and how that shows on one target; all else is here.

mod counter_reset;
pub(super) mod exposition;
mod label_drop;
mod telemetry_duplicate;
mod telemetry_lag;
mod telemetry_sample;
mod witness;

use std::sync::Arc;

use harness_core::fault::{Cx, FaultError, Hold, PROCESS, Registry};
use harness_core::ids::ServiceName;
use harness_core::topology::Topology;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LAB;
use super::leased::{self, Leased, LeasedSpec};
use super::spend::LabControl;
use crate::proxy::Says;
use witness::{Sight, TelemetryWitness};

/// The service that gathers metrics, and its control.
const COLLECTOR: &str = "collector";

/// What a scenario says about a distortion, and how it shows.
pub(crate) trait TelemetrySpec:
    Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name in scenarios.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// How the witness looks, in a few words.
    const METHOD: &'static str;
    /// Whether counters are compared, which takes a scrape that is younger than the look.
    const COUNTS: bool = false;

    /// Whose series; all, when it is empty.
    fn services(&self) -> &[ServiceName];
    /// What the collector is told to do to them.
    fn distortion(&self) -> Value;
    /// What one target says, in words, too; nothing where there is nothing to compare.
    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)>;
}

/// One target of the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) service: String,
    pub(crate) slot: usize,
    /// Where it exposes its metrics itself.
    pub(crate) address: String,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TelemetryDebt {
    /// Who tells.
    pub(crate) collector: LabControl,
    /// The order's name in the collector; used by no other fault, ever.
    pub(crate) name: String,
    /// Whose series; all, when it is empty.
    pub(crate) services: Vec<String>,
    /// What is done to them.
    pub(crate) distortion: Value,
    /// Where the witness asks the services themselves.
    pub(crate) targets: Vec<Target>,
}

impl Leased for TelemetryDebt {
    fn control(&self) -> &LabControl {
        &self.collector
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn body(&self) -> Value {
        let order = json!({ "services": self.services, "distortion": self.distortion });
        json!({ "name": self.name, "order": order })
    }
}

/// The services that the collector scrapes, of those that are meant.
fn scraped<'a>(
    meant: &'a [ServiceName],
    topology: &'a Topology,
) -> Result<Vec<&'a ServiceName>, FaultError> {
    let edges = topology.edges.iter().filter(|edge| edge.caller == COLLECTOR);
    let all: Vec<&ServiceName> = edges.map(|edge| &edge.callee).collect();
    if let Some(other) = meant.iter().find(|service| !all.contains(service)) {
        let known: Vec<&str> = all.iter().map(|service| service.as_str()).collect();
        let target = format!("{other} among what is scraped; that is {}", known.join(", "));
        return Err(FaultError::NoTarget { target });
    }
    Ok(if meant.is_empty() { all } else { meant.iter().collect() })
}

fn targets(meant: &[ServiceName], topology: &Topology) -> Result<Vec<Target>, FaultError> {
    let mut targets = Vec::new();
    for service in scraped(meant, topology)? {
        let found = topology.service(service);
        for (slot, instance) in found.into_iter().flat_map(|it| &it.instances).enumerate() {
            let address = instance.address.clone().ok_or_else(|| FaultError::NoTarget {
                target: format!("an address of {}", instance.name),
            })?;
            targets.push(Target { service: service.as_str().to_owned(), slot, address });
        }
    }
    if targets.is_empty() {
        return Err(FaultError::NoTarget { target: "anything that is scraped".to_owned() });
    }
    Ok(targets)
}

impl<S: TelemetrySpec> LeasedSpec for S {
    const KIND: &'static str = <S as TelemetrySpec>::KIND;
    const SUMMARY: &'static str = <S as TelemetrySpec>::SUMMARY;
    const MECHANISM: &'static str = "order to the collector";
    const CONTROL: &'static str = COLLECTOR;
    const HOLDS: &'static [Hold] = &[Hold::Changed("what it tells"), Hold::Needed(PROCESS)];
    type Order = TelemetryDebt;

    async fn order(
        &self,
        cx: &Cx<'_>,
        collector: LabControl,
        name: String,
    ) -> Result<TelemetryDebt, FaultError> {
        Ok(TelemetryDebt {
            collector,
            name,
            services: self.services().iter().map(|it| it.as_str().to_owned()).collect(),
            distortion: self.distortion(),
            targets: targets(self.services(), cx.topology)?,
        })
    }

    fn check(&self, topology: &Topology) -> Result<(), FaultError> {
        scraped(self.services(), topology).map(|_| ())
    }
}

/// Registers every kind.
pub(super) fn register(registry: &mut Registry) {
    add::<telemetry_lag::LagSpec>(registry);
    add::<label_drop::LabelDropSpec>(registry);
    add::<telemetry_sample::SampleSpec>(registry);
    add::<telemetry_duplicate::DuplicateSpec>(registry);
    add::<counter_reset::ResetSpec>(registry);
}

fn add<S: TelemetrySpec>(registry: &mut Registry) {
    registry.register(LAB, leased::entry::<S>(Arc::new(TelemetryWitness::<S>::WITNESS)));
}

/// A whole number within a range, or words that say what to write.
fn within(key: &str, number: u32, least: u32, most: u32) -> Result<u32, String> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("`{key}` is from {least} to {most}, not {number}"))
    }
}

#[cfg(test)]
mod tests {
    use harness_core::topology::{Edge, Instance, Service};

    use super::*;

    fn topology() -> Topology {
        let edge = |callee: &str| Edge {
            name: format!("collector->{callee}").as_str().into(),
            caller: COLLECTOR.to_owned(),
            callee: callee.into(),
            addresses: Vec::new(),
            interposable: true,
        };
        let service = |name: &str| Service {
            name: name.into(),
            labels: std::collections::BTreeMap::new(),
            instances: vec![Instance {
                name: format!("{name}-0"),
                uid: None,
                address: Some(format!("127.0.0.1:{}", name.len())),
                process: None,
                ready: true,
            }],
        };
        Topology {
            edges: vec![edge("edge"), edge("store")],
            services: ["collector", "edge", "pager", "store"].map(service).to_vec(),
            ..Topology::default()
        }
    }

    #[test]
    fn the_targets_are_those_that_are_scraped_and_meant() {
        let names = |meant: &[&str]| {
            let meant: Vec<ServiceName> = meant.iter().map(|name| (*name).into()).collect();
            let found = targets(&meant, &topology());
            found.map(|all| all.into_iter().map(|one| one.service).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["edge", "store"]);
        assert_eq!(names(&["store"]).unwrap(), ["store"]);
        let other = names(&["pager"]).unwrap_err().to_string();
        assert!(other.contains("that is edge, store"), "{other}");
    }
}
