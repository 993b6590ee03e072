//! Faults that want the same at one time: neither could be seen, or put back, alone.

use harness_core::diag::Span;
use harness_core::fault::{Hold, Holder, Registry};
use harness_core::ids::FaultId;
use harness_core::plan::{Arm, FaultPlan, SystemPlan};

use super::faults::Faults;
use crate::codes;
use crate::findings::{Finding, Findings};

/// Refuses pairs of faults that an arm has together.
pub(super) fn refuse(
    registry: &Registry,
    system: Option<&SystemPlan>,
    faults: &Faults,
    arms: &[Arm],
    findings: &mut Findings,
) {
    let holds = |fault: &FaultPlan| {
        let entry = system.and_then(|system| registry.entry(&fault.kind, &system.kind));
        entry.and_then(|entry| entry.injector.holds(&fault.spec).ok()).unwrap_or_default()
    };
    let plans = &faults.plans;
    let holds: Vec<Vec<Hold>> = plans.iter().map(holds).collect();
    for (index, later) in plans.iter().enumerate() {
        for (earlier, held) in plans[..index].iter().zip(&holds) {
            let together =
                |arm: &Arm| [later, earlier].iter().all(|it| arm.faults.contains(&it.id));
            if !arms.iter().any(together) {
                continue;
            }
            let one = holder(earlier, held);
            let Some(both) = one.contests(&holder(later, &holds[index])) else { continue };
            findings.push(
                Finding::error(
                    codes::FAULT_CONFLICT,
                    place(faults, &later.id),
                    format!("`{}` and `{}` cannot be in force at one time", earlier.id, later.id),
                )
                .label(format!("both act on {both}"))
                .hint("let one begin after the other has ended, or put them into arms of their own")
                .related(place(faults, &earlier.id), "the other one"),
            );
        }
    }
}

fn holder<'a>(fault: &'a FaultPlan, holds: &'a [Hold]) -> Holder<'a> {
    let (from, until) = (fault.at, fault.at + fault.lasts);
    Holder { holds, radius: &fault.radius, from, until }
}

fn place(faults: &Faults, id: &FaultId) -> Span {
    let name = faults.names.iter().find(|name| name.value == id.as_str());
    name.expect("a fault that is planned has a name").span
}
