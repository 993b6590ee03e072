//! Limits and guardrails; and whether the faults keep to them.

use harness_core::diag::Span;
use harness_core::fault::Extent;
use harness_core::plan::{Arm, FaultPlan, Guard, Guardrail, RadiusLimit, SafetyPlan, SystemPlan};
use harness_core::topology::Topology;
use harness_core::units::{Duration, Ratio};

use crate::ast::{RadiusAst, Spec};
use crate::codes;
use crate::findings::{Finding, Findings, listed};

const LEASE: Duration = Duration::from_secs(15);
/// Below this a busy machine would miss renewals.
const LEASE_MIN: Duration = Duration::from_secs(1);
/// Faults without a harness must not outlive a person's patience.
const LEASE_MAX: Duration = Duration::from_secs(60);
/// The load generator is blind for this long: always an abort. A scenario may say otherwise, within
/// a limit.
const STALE_FOR: Duration = Duration::from_secs(3);

pub(super) fn lower(
    spec: &Spec,
    system: Option<&SystemPlan>,
    faults: &[FaultPlan],
    arms: &[Arm],
    findings: &mut Findings,
) -> SafetyPlan {
    let extents: Vec<Extent> =
        arms.iter().map(|arm| extent(system, faults_of(arm, faults))).collect();
    let radius = radius(&spec.safety.radius, faults, &extents);
    check_radius(spec, &radius, faults, &extents, findings);
    SafetyPlan {
        environments: environments(spec, system, findings),
        radius,
        guardrails: guardrails(spec),
        lease: lease(spec, findings),
        policy: spec.safety.policy.clone(),
        approvals: spec.safety.approvals.as_ref().map_or(0, |required| {
            u32::try_from(required.value).expect("the reader keeps it small")
        }),
    }
}

fn environments(spec: &Spec, system: Option<&SystemPlan>, findings: &mut Findings) -> Vec<String> {
    let said = spec.safety.environments.as_deref();
    let names: Vec<String> = said.map_or_else(
        || vec!["lab".to_owned()],
        |said| said.iter().map(|name| name.value.clone()).collect(),
    );
    if let Some(system) = system
        && !names.contains(&system.environment)
    {
        let system_span = spec.system.as_ref().map(|system| system.kind.span);
        let span = said.and_then(<[_]>::first).map(|name| name.span).or(system_span);
        let span = span.unwrap_or(spec.metadata.name.span);
        findings.push(
            Finding::error(
                codes::ENVIRONMENT,
                span,
                format!("this scenario may not run in `{}`", system.environment),
            )
            .label(format!("allowed are {}", listed(&names)))
            .hint(format!("add `{}` to `environments`", system.environment)),
        );
    }
    names
}

fn guardrails(spec: &Spec) -> Vec<Guardrail> {
    let mut guardrails = spec.safety.guardrails.clone();
    if !guardrails.iter().any(|rail| matches!(rail.guard, Guard::LoadStale {})) {
        guardrails.push(Guardrail {
            text: format!("load stale for {STALE_FOR}"),
            guard: Guard::LoadStale {},
            lasting: STALE_FOR,
        });
    }
    guardrails
}

fn lease(spec: &Spec, findings: &mut Findings) -> Duration {
    let Some(lease) = &spec.safety.lease else { return LEASE };
    if !(LEASE_MIN..=LEASE_MAX).contains(&lease.value) {
        findings.push(
            Finding::error(codes::OUT_OF_RANGE, lease.span, "`lease` is out of range")
                .label(format!("from {LEASE_MIN} to {LEASE_MAX}"))
                .hint("faults stay in force so long when the harness dies"),
        );
    }
    lease.value
}

fn faults_of<'a>(arm: &'a Arm, faults: &'a [FaultPlan]) -> impl Iterator<Item = &'a FaultPlan> {
    faults.iter().filter(|fault| arm.faults.contains(&fault.id))
}

fn extent<'a>(system: Option<&SystemPlan>, faults: impl Iterator<Item = &'a FaultPlan>) -> Extent {
    let nothing = Topology::default();
    let topology = system.map_or(&nothing, |system| &system.topology);
    Extent::of(topology, faults.map(|fault| &fault.radius))
}

/// The limit as said; else exactly what the scenario names, so that a run can touch no more than
/// its plan shows.
fn radius(said: &RadiusAst, faults: &[FaultPlan], extents: &[Extent]) -> RadiusLimit {
    let mut limit = RadiusLimit {
        instances: 0,
        share: Ratio::ZERO,
        edges: 0,
        max_for: faults.iter().map(|fault| fault.lasts).max().unwrap_or_default(),
    };
    for extent in extents {
        limit.instances = limit.instances.max(extent.instances);
        limit.edges = limit.edges.max(extent.edges);
        limit.share = limit.share.max(extent.share);
    }
    let whole = |value: u64| u32::try_from(value).expect("the reader keeps limits below 2^32");
    RadiusLimit {
        instances: said.instances.as_ref().map_or(limit.instances, |n| whole(n.value)),
        share: said.share.as_ref().map_or(limit.share, |share| share.value),
        edges: said.edges.as_ref().map_or(limit.edges, |n| whole(n.value)),
        max_for: said.max_for.as_ref().map_or(limit.max_for, |max_for| max_for.value),
    }
}

fn check_radius(
    spec: &Spec,
    limit: &RadiusLimit,
    faults: &[FaultPlan],
    extents: &[Extent],
    findings: &mut Findings,
) {
    let said = &spec.safety.radius;
    let exceeded = |span: Option<Span>, what: &str, touched: String, allowed: String| {
        let span = span.expect("a limit that was not said is never exceeded");
        Finding::error(
            codes::RADIUS_EXCEEDED,
            span,
            format!("the faults touch more {what} than the blast radius allows"),
        )
        .label(format!("allowed {allowed}, touched {touched}"))
        .hint("raise the limit, or make the faults smaller")
    };
    for Extent { instances, share, edges } in extents {
        if *instances > limit.instances {
            let span = said.instances.as_ref().map(|n| n.span);
            let (touched, allowed) = (instances.to_string(), limit.instances.to_string());
            findings.push(exceeded(span, "instances", touched, allowed));
        }
        if *edges > limit.edges {
            let span = said.edges.as_ref().map(|n| n.span);
            findings.push(exceeded(span, "edges", edges.to_string(), limit.edges.to_string()));
        }
        if *share > limit.share {
            let span = said.share.as_ref().map(|share| share.span);
            let (touched, allowed) = (share.to_string(), limit.share.to_string());
            findings.push(exceeded(span, "of a service", touched, allowed));
        }
    }
    for fault in faults.iter().filter(|fault| fault.lasts > limit.max_for) {
        let span = said.max_for.as_ref().map(|max_for| max_for.span);
        let (lasts, allowed) = (fault.lasts.to_string(), limit.max_for.to_string());
        findings.push(exceeded(span, "time", lasts, allowed));
    }
}
