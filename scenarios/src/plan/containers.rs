//! A system of containers: declared by the scenario itself; and what no container tells.

use std::collections::BTreeMap;

use harness_core::ids::ServiceName;
use harness_core::plan::{ContainersPlan, SystemPlan};
use harness_core::topology::{Instance, Service, Topology};

use crate::ast::{ContainersAst, Family, SignalSource, Spec, SystemAst};
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::Spanned;

/// The key of this kind of system.
pub(super) const KIND: &str = "containers";

/// The plan of what the scenario declares.
pub(super) fn lower(system: &SystemAst, findings: &mut Findings) -> Option<SystemPlan> {
    let written = ContainersAst::read(&system.node, system.kind.span, findings)?;
    let mut services: Vec<Service> = Vec::new();
    let mut ports = BTreeMap::new();
    for one in &written.services {
        let mut names: Vec<&str> = one.containers.iter().map(|name| name.value.as_str()).collect();
        names.sort_unstable();
        let instance = |name: &str| Instance {
            name: name.to_owned(),
            uid: None,
            address: None,
            process: None,
            ready: false,
        };
        let name = ServiceName::new(&one.name.value);
        ports.insert(name.clone(), one.port);
        let instances = names.into_iter().map(instance).collect();
        services.push(Service { name, labels: BTreeMap::new(), instances });
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    Some(SystemPlan {
        kind: KIND.to_owned(),
        name: names.join("+"),
        environment: written.environment.value,
        defects: BTreeMap::new(),
        topology: Topology { services, ..Topology::default() },
        containers: Some(ContainersPlan {
            socket: written.socket.map(|socket| socket.value),
            entry: written.entry.value,
            ports,
        }),
    })
}

/// Whether an expectation needs what no container tells; said then.
pub(super) fn tells_nothing(
    key: &Spanned<String>,
    family: &Family,
    system: Option<&SystemPlan>,
    findings: &mut Findings,
) -> bool {
    if !is_containers(system) {
        return false;
    }
    let why = match family {
        Family::Invariant { .. } => "containers do not tell which ids they stored",
        Family::Detection(_) | Family::Silence { .. } => "containers have no alerter of ours",
        Family::Cost(_) => "containers do not tell what they cost",
        Family::SuccessRate { .. }
        | Family::Latency { .. }
        | Family::Recovery { .. }
        | Family::ErrorBudget(_)
        | Family::Degradation(_)
        | Family::Telemetry(_)
        | Family::Regression(_) => return false,
    };
    findings.push(cannot(key, why, "judge by the load's own requests: `successRate`, `latency`"));
    true
}

/// Refuses signals and claims about automation, of which only the lab keeps records.
pub(super) fn refuse_records(spec: &Spec, system: Option<&SystemPlan>, findings: &mut Findings) {
    if !is_containers(system) {
        return;
    }
    for automation in &spec.claims.automation {
        let why = "containers keep no record of what their automation does";
        findings.push(cannot(&automation.id, why, "claim a `recovery` instead"));
    }
    for signal in &spec.signals {
        match &signal.source {
            None | Some(SignalSource::Probe { .. }) => {}
            Some(
                SignalSource::Alerts
                | SignalSource::Actions { .. }
                | SignalSource::Pages { .. }
                | SignalSource::Spend { .. },
            ) => {
                let why = "only the lab has such a source";
                findings.push(cannot(&signal.name, why, "a `probe` works on containers"));
            }
        }
    }
}

pub(super) fn is_containers(system: Option<&SystemPlan>) -> bool {
    system.is_some_and(|system| system.kind == KIND)
}

fn cannot(key: &Spanned<String>, why: &str, hint: &str) -> Finding {
    let message = format!("`{}` cannot be judged on containers", key.value);
    Finding::error(codes::NO_EVIDENCE, key.span, message).label(why).hint(hint)
}
