//! Makes the source of each planned signal: the one place that knows them all.
//!
//! It looks up addresses in the live topology and checks what a source relies on; it opens nothing.

use std::sync::Arc;

use harness_core::plan::{SignalPlan, SourcePlan};
use harness_core::signal::{Source, Sources};
use harness_core::time::Clock;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use hyper::http::uri::PathAndQuery;

use crate::actions::Actions;
use crate::http::authority;
use crate::pages::Pages;
use crate::probe::Probe;
use crate::spend::SpendFeed;
use crate::text::short;
use crate::webhook::Alerts;

/// Shorter periods would be a load of their own.
const EVERY_MIN: Duration = Duration::from_millis(5);
/// The control address that receivers of alerts are leased at.
const ALERTER: &str = "alerter";
/// The control address that tells what automations did.
const SUPERVISOR: &str = "supervisor";
/// The control address that tells what was spent.
const METER: &str = "meter";
/// The control address that tells which pages arrived.
const PAGER: &str = "pager";

/// Makes every kind of source there is.
///
/// Probes need nothing but an edge's addresses or the entry; alerts, actions, pages and spend are
/// read through the topology's controls `alerter`, `supervisor`, `pager` and `meter`, as a lab has
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSources;

impl SignalSources {
    /// All kinds; it holds nothing.
    pub const fn new() -> Self {
        Self
    }
}

impl Sources for SignalSources {
    fn source(
        &self,
        plan: &SignalPlan,
        topology: &Topology,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn Source>, String> {
        let signal = plan.id.clone();
        Ok(match &plan.source {
            SourcePlan::Probe { edge, path, every, timeout } => {
                let addresses = match edge {
                    None if topology.entry.is_empty() => {
                        return Err("the system has no entry that could be probed".to_owned());
                    }
                    None => vec![authority(&topology.entry)?],
                    Some(name) => {
                        let edge = topology.edge(name);
                        let edge = edge.ok_or_else(|| format!("there is no edge {name}"))?;
                        edge.addresses.iter().map(|one| authority(one)).collect::<Result<_, _>>()?
                    }
                };
                if addresses.is_empty() {
                    return Err("the edge has no address that could be probed".to_owned());
                }
                if *timeout == Duration::ZERO {
                    return Err("a probe needs a timeout".to_owned());
                }
                let every = period(*every)?;
                let path = path.as_deref().map(request_path).transpose()?;
                Arc::new(Probe { signal, addresses, path, every, timeout: *timeout, clock })
            }
            SourcePlan::Alerts {} => {
                Arc::new(Alerts { signal, alerter: control(topology, ALERTER)?, clock })
            }
            SourcePlan::Actions { every } => Arc::new(Actions {
                signal,
                supervisor: control(topology, SUPERVISOR)?,
                every: period(*every)?,
                clock,
            }),
            SourcePlan::Pages { every } => Arc::new(Pages {
                signal,
                pager: control(topology, PAGER)?,
                every: period(*every)?,
                clock,
            }),
            SourcePlan::Spend { every, currency } => Arc::new(SpendFeed {
                signal,
                meter: control(topology, METER)?,
                every: period(*every)?,
                currency: *currency,
                clock,
            }),
        })
    }
}

fn control(topology: &Topology, name: &str) -> Result<String, String> {
    let address = topology.controls.get(name);
    authority(address.ok_or_else(|| format!("the system has no control `{name}`"))?)
}

fn period(every: Duration) -> Result<Duration, String> {
    if every < EVERY_MIN {
        return Err(format!("a period of {every} is too short; the shortest is {EVERY_MIN}"));
    }
    Ok(every)
}

fn request_path(path: &str) -> Result<String, String> {
    let usable = path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
    if usable { Ok(path.to_owned()) } else { Err(format!("`{}` is no path", short(path))) }
}
