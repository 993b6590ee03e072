//! `gameday plan FILE`: everything that a run would do, and what its trials can show. Touches
//! nothing.

mod power;

use harness_core::exit;
use harness_core::ids::FaultId;
use harness_core::plan::{
    FaultPlan, JourneysPlan, LoadPlan, Plan, SourcePlan, StopRule, Think, TrialMode, TrialPlan,
};
use harness_core::policy;
use harness_core::units::{Duration, Money};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output;
use crate::scenario;
use crate::style::Style;

pub(crate) fn run(global: &Global, arguments: &args::Plan) -> Result<u8, Failure> {
    let plan = scenario::plan(&arguments.scenario, global.color)?;
    if arguments.json {
        output::say(&plan.to_json());
        return Ok(exit::PASS);
    }
    output::say(&text(&plan, Style::stdout(global.color)));
    let refusals = policy::review(&plan);
    for refusal in &refusals {
        output::tell(&format!("refused ({}): {}", refusal.rule, refusal.because));
        output::tell(&format!("  hint: {}", refusal.hint));
    }
    Ok(if refusals.is_empty() { exit::PASS } else { exit::REFUSED })
}

/// The whole plan for people.
fn text(plan: &Plan, style: Style) -> String {
    let mut out = format!("{}  {}\n", style.bold(&plan.scenario.name), plan.scenario.title);
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out += &format!("\n{}\n", style.bold(title));
            for line in lines {
                out += &format!("  {line}\n");
            }
        }
    };
    section("System", system(plan));
    section("Load", load(plan));
    section("Signals", signals(plan));
    section("A trial", phases(plan));
    section("Faults", faults(plan));
    section("Trials", trials(plan));
    section("Expectations, and what these trials can show", power::lines(plan));
    section("Safety", safety(plan));
    out += &format!(
        "\n{}\n",
        style.faint(&format!("seed {}  plan sha256 {}", plan.seed, plan.sha256()))
    );
    out
}

fn system(plan: &Plan) -> Vec<String> {
    let system = &plan.system;
    let services = system.topology.services.iter().map(|service| {
        let count = service.instances.len();
        if count == 1 { service.name.to_string() } else { format!("{} x{count}", service.name) }
    });
    let mut lines = vec![
        format!("{}/{} ({})", system.kind, system.name, system.environment),
        format!("services: {}", services.collect::<Vec<_>>().join(", ")),
    ];
    for (name, value) in &system.defects {
        lines.push(format!("defect switched on: {name}={value}"));
    }
    lines
}

fn load(plan: &Plan) -> Vec<String> {
    let load = &plan.load;
    if let Some(journeys) = load.journeys() {
        return journeys_lines(load, journeys);
    }
    let weights: u32 = load.mix.iter().map(|request| request.weight).sum();
    let mut lines = vec![format!(
        "open loop, {}, {:?} arrivals, timeout {}",
        shape(plan),
        load.arrivals,
        load.timeout
    )];
    for request in &load.mix {
        let share = 100.0 * f64::from(request.weight) / f64::from(weights.max(1));
        lines.push(format!("{share:.0} %  {}  (key: {:?})", request.kind, request.key));
    }
    lines
}

/// Users and their ways; each step with the pause before it.
fn journeys_lines(load: &LoadPlan, plan: &JourneysPlan) -> Vec<String> {
    let (users, ramp_up, timeout) = (plan.users, plan.ramp_up, load.timeout);
    let mut lines = vec![format!(
        "closed model: {users} users, who begin over {ramp_up} and wait for their answers, \
         timeout {timeout}"
    )];
    let weights: u32 = plan.journeys.iter().map(|journey| journey.weight).sum();
    for journey in &plan.journeys {
        let share = 100.0 * f64::from(journey.weight) / f64::from(weights.max(1));
        lines.push(format!("{share:.0} %  {}", journey.name));
        for step in &journey.steps {
            let request = &load.mix[step.request as usize];
            let mut line = format!("       {}, then {}", think(step.think), request.kind);
            if !step.extract.is_empty() {
                let names: Vec<&str> = step.extract.keys().map(String::as_str).collect();
                line.push_str(&format!("; keeps {}", names.join(", ")));
            }
            lines.push(line);
        }
    }
    lines
}

fn think(think: Think) -> String {
    match think {
        Think::Fixed { lasts } => format!("{lasts}"),
        Think::Uniform { from, to } => format!("{from} to {to}"),
        Think::Exponential { mean, at_most } => {
            format!("{mean} on average (exponential, at most {at_most})")
        }
    }
}

fn shape(plan: &Plan) -> String {
    use harness_core::plan::Shape;
    match &plan.load.shape {
        Shape::Constant { rate } => format!("constant {rate}"),
        Shape::Ramp { from, to, over } => format!("ramp from {from} to {to} over {over}"),
        Shape::Steps { steps } => format!("{} steps", steps.len()),
        Shape::Spike { base, peak, at, lasts } => {
            format!("{base} with a spike of {peak} after {at} for {lasts}")
        }
        Shape::Recorded { offsets_us } => format!("{} recorded arrivals", offsets_us.len()),
        Shape::Journeys(journeys) => format!("{} users", journeys.users),
    }
}

fn signals(plan: &Plan) -> Vec<String> {
    plan.signals
        .iter()
        .map(|signal| {
            let source = match &signal.source {
                SourcePlan::Probe { edge, path, every, .. } => {
                    let place = edge.as_ref().map_or("the entry", |edge| edge.as_str());
                    match path {
                        Some(path) => {
                            format!("HTTP check of {path} through {place} every {every}")
                        }
                        None => format!("TCP check through {place} every {every}"),
                    }
                }
                SourcePlan::Alerts {} => "alerts, received by a webhook of the run".to_owned(),
                SourcePlan::Actions { every } => {
                    format!("what the system's automation did, asked every {every}")
                }
                SourcePlan::Pages { every } => {
                    format!("what arrived at the system's pager, asked every {every}")
                }
                SourcePlan::Spend { every, currency } => {
                    format!("what was spent in {currency}, asked every {every}")
                }
            };
            format!("{:<10} {source}", signal.id)
        })
        .collect()
}

fn phases(plan: &Plan) -> Vec<String> {
    let phases = &plan.phases;
    vec![
        format!(
            "warmup {} · baseline {} · fault {} · recovery up to {} · settle {}",
            phases.warmup, phases.baseline, phases.fault, phases.recovery_up_to, phases.settle
        ),
        format!(
            "steady: success at least {}{} for {}, within {}",
            plan.steady.success_at_least,
            plan.steady
                .latency
                .map(|(quantile, most)| format!(", {quantile} at most {most}"))
                .unwrap_or_default(),
            plan.steady.hold,
            plan.steady.within
        ),
    ]
}

fn faults(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for fault in &plan.faults {
        lines.push(format!(
            "{}: {} {}, {} after the start of the phase, for {}",
            fault.id, fault.kind, fault.spec, fault.at, fault.lasts
        ));
        let radius = &fault.radius;
        let chance = radius.at_most.map(|most| format!("{most} of "));
        let names = radius.instances.iter().chain(&radius.edges).map(String::as_str);
        let touched = chance.unwrap_or_default() + &names.collect::<Vec<_>>().join(", ");
        let share = radius.share.map(|share| format!(" ({share} of the service)"));
        lines.push(format!(
            "  touches {touched}{}; by {}; {:?}",
            share.unwrap_or_default(),
            fault.mechanism,
            fault.reversibility
        ));
        for (word, witness) in [("in force", &fault.effective), ("put back", &fault.reverted)] {
            let by = witness.by.as_ref().map_or("its own witness", |signal| signal.as_str());
            lines.push(format!(
                "  {word} when {by} says so {} times in a row, within {}",
                witness.in_a_row, witness.within
            ));
        }
    }
    lines
}

fn trials(plan: &Plan) -> Vec<String> {
    let trials = &plan.trials;
    let mut lines = Vec::new();
    for arm in &plan.arms {
        let count = trials.planned.iter().filter(|trial| trial.arm == arm.name).count();
        let what = if arm.is_placebo() {
            "no fault, the same machinery and times".to_owned()
        } else {
            arm.faults.iter().map(FaultId::as_str).collect::<Vec<_>>().join(", ")
        };
        lines.push(format!("{count:>3} x {} ({what})", arm.name));
    }
    let order: String = trials
        .planned
        .iter()
        .map(|trial| if plan.arm(trial).is_placebo() { '·' } else { '█' })
        .collect();
    lines.push(format!("order {order}  (█ with fault, · placebo), {} spare", trials.spare.len()));
    if trials.stop == StopRule::Sequential && trials.mode == TrialMode::Inferred {
        lines.push(format!(
            "stops as soon as every expectation is settled, not before {} of each arm with a fault",
            trials.count_min
        ));
    }
    let (short, long) = run_time(plan);
    lines.push(format!("run time about {short}, at most {long}"));
    lines.extend(plan.faults.iter().filter_map(|fault| spends(plan, fault)));
    if trials.mode == TrialMode::Observed {
        lines.push("observed: compared plainly, without a confidence statement".to_owned());
    }
    lines
}

/// What a fault that costs money may spend: its own bound in each trial, and in all of them.
fn spends(plan: &Plan, fault: &FaultPlan) -> Option<String> {
    let each: Money = fault.spec.get("spendAtMost")?.as_str()?.parse().ok()?;
    let in_force = |trial: &&TrialPlan| plan.arm(trial).faults.contains(&fault.id);
    let count = plan.trials.planned.iter().filter(in_force).count() as u64;
    let all = Money::from_micros(each.micros().saturating_mul(count), each.currency());
    Some(format!("{} costs at most {each} in each trial, {all} in all", fault.id))
}

/// Shortest and longest run time: recovery ends at once, or takes all its time.
fn run_time(plan: &Plan) -> (Duration, Duration) {
    /// Reset, steady state, arming and collecting, between two trials.
    const BETWEEN: Duration = Duration::from_millis(1200);
    let count = plan.trials.planned.len() as u64;
    let longest = (plan.phases.longest() + plan.steady.hold + BETWEEN).times(count);
    let saved = plan.phases.recovery_up_to.saturating_sub(plan.steady.hold).times(count);
    let whole = |d: Duration| Duration::from_secs(d.micros().div_ceil(1_000_000));
    (whole(longest.saturating_sub(saved)), whole(longest))
}

fn safety(plan: &Plan) -> Vec<String> {
    let safety = &plan.safety;
    let radius = &safety.radius;
    let mut lines = vec![
        format!(
            "at most {} instances, {} of a service, {} edges, {} per fault",
            radius.instances, radius.share, radius.edges, radius.max_for
        ),
        format!("faults revert by themselves {} after the last sign of life", safety.lease),
    ];
    for guardrail in &safety.guardrails {
        lines.push(format!("aborts when {}", guardrail.text));
    }
    for file in &safety.policy {
        lines.push(format!("asks the rules in {file}"));
    }
    if safety.approvals > 0 {
        let sha256 = plan.sha256();
        lines.push(format!("needs {} approvals: gameday approve {sha256}", safety.approvals));
    }
    lines
}
