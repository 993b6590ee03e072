//! `collector-blackout`: the collector cannot reach what it scrapes, all of it or some services.
//! The services themselves go on.

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Injector, Reversibility, Reverted, Scope, Sighting,
    Touched, Witness,
};
use harness_core::ids::{EdgeName, ServiceName};
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::debt::{self, Order, ProxyDebt};
use super::wire::ProxyEffect;
use crate::http::{Address, call};

/// The service that scrapes, and its control.
const COLLECTOR: &str = "collector";
/// Data that is older was not scraped lately: a scrape may take 500 ms, and the next begins 200 ms
/// later.
const DARK_MS: u64 = 900;
/// Data that is younger was.
const LIT_MS: u64 = 700;

/// How the collector is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BlackoutMode {
    /// Connections are kept and accepted, but no byte moves.
    #[default]
    Blackhole,
    /// Nothing listens.
    Refuse,
}

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(description = "The collector cannot scrape.")]
pub struct CollectorBlackoutSpec {
    /// The services that it cannot reach; all that it scrapes.
    #[serde(default)]
    pub services: Vec<ServiceName>,
    /// How it is cut off.
    #[serde(default)]
    pub mode: BlackoutMode,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CollectorBlackoutDebt {
    /// Where the collector tells how fresh its data is.
    pub collector: String,
    /// The services that it cannot reach.
    pub services: Vec<String>,
    /// One fault of the proxy for each of them.
    pub edges: Vec<ProxyDebt>,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct CollectorBlackout;

impl CollectorBlackoutSpec {
    fn order(&self) -> Order {
        let effect = match self.mode {
            BlackoutMode::Blackhole => ProxyEffect::Blackhole,
            BlackoutMode::Refuse => ProxyEffect::Refuse,
        };
        Order { effect, pulse: None }
    }

    /// The edges that are cut, with their callees.
    fn edges(&self, topology: &Topology) -> Result<Vec<(EdgeName, String)>, FaultError> {
        let scraped: Vec<_> =
            topology.edges.iter().filter(|edge| edge.caller == COLLECTOR).collect();
        let is_scraped =
            |service: &&ServiceName| scraped.iter().any(|edge| &edge.callee == *service);
        if let Some(other) = self.services.iter().find(|service| !is_scraped(service)) {
            let known: Vec<&str> = scraped.iter().map(|edge| edge.callee.as_str()).collect();
            let target = format!("{other} among what is scraped; that is {}", known.join(", "));
            return Err(FaultError::NoTarget { target });
        }
        let meant =
            |service: &ServiceName| self.services.is_empty() || self.services.contains(service);
        let edges: Vec<_> = scraped
            .iter()
            .filter(|edge| meant(&edge.callee))
            .map(|edge| (edge.name.clone(), edge.callee.as_str().to_owned()))
            .collect();
        if edges.is_empty() {
            return Err(FaultError::NoTarget { target: "an edge of the collector".to_owned() });
        }
        Ok(edges)
    }
}

impl Injector for CollectorBlackout {
    const KIND: &'static str = "collector-blackout";
    const SUMMARY: &'static str = "the collector of metrics cannot reach what it scrapes";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = CollectorBlackoutSpec;
    type Undo = CollectorBlackoutDebt;

    fn blast_radius(
        spec: &CollectorBlackoutSpec,
        topology: &Topology,
    ) -> Result<BlastRadius, FaultError> {
        let mut radius = BlastRadius::default();
        for (edge, _) in spec.edges(topology)? {
            radius.edges.extend(debt::radius(&edge, topology)?.edges);
        }
        Ok(radius)
    }

    fn mechanism(_spec: &CollectorBlackoutSpec) -> String {
        "proxy".to_owned()
    }

    async fn arm(
        &self,
        cx: &Cx<'_>,
        spec: &CollectorBlackoutSpec,
    ) -> Result<CollectorBlackoutDebt, FaultError> {
        let collector = cx.topology.controls.get(COLLECTOR);
        let collector = collector.ok_or_else(|| FaultError::Unavailable {
            mechanism: COLLECTOR.to_owned(),
            why: "the system names none".to_owned(),
        })?;
        let (mut services, mut edges) = (Vec::new(), Vec::new());
        for (number, (edge, service)) in spec.edges(cx.topology)?.into_iter().enumerate() {
            let debt = debt::arm(cx, &edge).await?;
            edges.push(debt.part(number));
            services.push(service);
        }
        Ok(CollectorBlackoutDebt { collector: collector.clone(), services, edges })
    }

    fn touched(
        _spec: &CollectorBlackoutSpec,
        undo: &CollectorBlackoutDebt,
        _topology: &Topology,
    ) -> Touched {
        Touched::edges(undo.edges.iter().map(|part| part.edge.to_string()))
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &CollectorBlackoutSpec,
        undo: &CollectorBlackoutDebt,
    ) -> Result<Option<CollectorBlackoutDebt>, FaultError> {
        for edge in &undo.edges {
            edge.inject(cx, spec.order()).await?;
        }
        Ok(None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &CollectorBlackoutSpec,
        undo: &CollectorBlackoutDebt,
    ) -> Result<Effect, FaultError> {
        for edge in &undo.edges {
            if edge.verify(cx, &spec.order()).await? == Effect::Absent {
                return Ok(Effect::Absent);
            }
        }
        Ok(Effect::InPlace)
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &CollectorBlackoutDebt) -> Result<(), FaultError> {
        for edge in &undo.edges {
            edge.renew(cx).await?;
        }
        Ok(())
    }

    async fn revert(
        &self,
        cx: &Cx<'_>,
        undo: &CollectorBlackoutDebt,
    ) -> Result<Reverted, FaultError> {
        // Each is put back whatever comes of the others; the first error is told.
        let mut all = Ok(Reverted::WasClean);
        for edge in undo.edges.iter().rev() {
            match (edge.revert(cx).await, &all) {
                (Err(error), Ok(_)) => all = Err(error),
                (Ok(Reverted::PutBack), Ok(_)) => all = Ok(Reverted::PutBack),
                (Ok(_) | Err(_), _) => {}
            }
        }
        all
    }
}

/// What `GET /api/freshness` tells.
#[derive(Debug, Deserialize)]
struct Freshness {
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    service: String,
    slot: u32,
    age_ms: i64,
}

/// Asks the collector, on a connection of its own, how old its data is.
#[derive(Debug, Clone, Copy)]
pub struct CollectorWitness;

impl CollectorWitness {
    async fn see(cx: &Cx<'_>, undo: &Value) -> Result<Sighting, FaultError> {
        let undo = CollectorBlackoutDebt::deserialize(undo).map_err(|error| {
            FaultError::Unreadable { what: "undo record".to_owned(), why: error.to_string() }
        })?;
        let failed = |why: String| FaultError::Failed {
            action: "ask the collector how fresh its data is".to_owned(),
            why,
        };
        let address = Address::Tcp(undo.collector.clone());
        let answer = call(&address, Method::GET, "/api/freshness", None, cx.deadline).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if !answer.is_success() {
            return Err(failed(answer.summary()));
        }
        let fresh: Freshness = answer.json().map_err(|error| failed(error.to_string()))?;
        Ok(sighting(&undo.services, &fresh.targets))
    }
}

/// All targets of the services must say the same.
fn sighting(services: &[String], targets: &[Target]) -> Sighting {
    let own: Vec<&Target> =
        targets.iter().filter(|target| services.contains(&target.service)).collect();
    let age = |target: &&Target| u64::try_from(target.age_ms).unwrap_or(0);
    let (Some(youngest), Some(oldest)) =
        (own.iter().min_by_key(|one| age(one)), own.iter().max_by_key(|one| age(one)))
    else {
        return Sighting::Unknown("the collector names none of these services".to_owned());
    };
    let told =
        |target: &Target| format!("{}-{} is {} ms old", target.service, target.slot, target.age_ms);
    if age(youngest) > DARK_MS {
        Sighting::InForce(format!("the freshest data, of {}", told(youngest)))
    } else if age(oldest) < LIT_MS {
        Sighting::NotInForce(format!("the oldest data, of {}", told(oldest)))
    } else {
        Sighting::Unknown(format!("data of {}, of {}", told(youngest), told(oldest)))
    }
}

impl Witness for CollectorWitness {
    fn method(&self) -> &'static str {
        "age of the collector's data"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            Self::see(cx, undo).await?.none_before("see the collector scrape")?;
            Ok(Value::Null)
        })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt.undo)
                .await
                .unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use harness_core::topology::Edge;
    use serde_json::json;

    use super::*;

    fn topology() -> Topology {
        let edge = |caller: &str, callee: &str| Edge {
            name: format!("{caller}->{callee}").as_str().into(),
            caller: caller.to_owned(),
            callee: callee.into(),
            addresses: Vec::new(),
            interposable: true,
        };
        let edges =
            vec![edge("collector", "edge"), edge("collector", "store"), edge("edge", "store")];
        Topology { edges, ..Topology::default() }
    }

    #[test]
    fn the_radius_is_every_edge_that_is_cut() {
        let radius = |spec: Value| CollectorBlackout.blast_radius(&spec, &topology());
        let all = radius(json!({"services": [], "mode": "blackhole"})).unwrap();
        assert_eq!(all.edges, ["collector->edge", "collector->store"]);
        let one = radius(json!({"services": ["store"], "mode": "refuse"})).unwrap();
        assert_eq!(one.edges, ["collector->store"]);
        let other = radius(json!({"services": ["cap"], "mode": "refuse"})).unwrap_err();
        assert!(other.to_string().contains("that is edge, store"), "{other}");
        let written = CollectorBlackout.check(&json!({})).unwrap();
        assert_eq!(written, json!({"services": [], "mode": "blackhole"}));
    }

    #[test]
    fn all_targets_must_be_dark_or_lit() {
        let see = |ages: &[i64]| {
            let target = |age_ms: &i64| Target { service: "edge".into(), slot: 0, age_ms: *age_ms };
            let other = Target { service: "store".into(), slot: 0, age_ms: 1 };
            let targets: Vec<_> = ages.iter().map(target).chain([other]).collect();
            sighting(&["edge".to_owned()], &targets)
        };
        assert!(matches!(see(&[950, 2_000]), Sighting::InForce(_)));
        assert!(matches!(see(&[10, 650]), Sighting::NotInForce(_)));
        for unclear in [&[10, 2_000][..], &[800], &[]] {
            assert!(matches!(see(unclear), Sighting::Unknown(_)), "{unclear:?}");
        }
    }
}
