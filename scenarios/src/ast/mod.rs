//! What a user may write, read from the tree with every place kept. No meaning across sections:
//! `plan` checks names against each other and fills in defaults.

mod automation;
mod claims;
mod containers;
mod cost;
mod document;
mod expect;
mod families;
mod faults;
mod journeys;
mod load;
mod mean;
mod objectives;
mod regression;
mod safety;
mod system;
mod trials;

pub(crate) use automation::{
    ACTION, ACTS, AUTOMATION, AUTOMATIONS_MAX, ActionAst, AutomationAst, CONFIDENCE, EXACTLY_ONCE,
    HOLDS_WHEN_BLIND, NEVER, OBEYS_KILL_SWITCH, ONLY, RELEASES, RULES, RuleAst, STAYS_QUIET,
};
pub(crate) use claims::ClaimsAst;
pub(crate) use containers::{CONTAINER_SERVICE, CONTAINERS, ContainersAst};
pub(crate) use cost::{COST, Cost, SpendBound};
pub(crate) use document::{
    API_VERSION, DOCUMENT, METADATA, REPORT, REPORT_FORMATS, SPEC, Spec, read as read_document,
};
pub(crate) use expect::{
    Common, DETECTION, Detection, EXPECTATIONS_MAX, ExpectAst, Family, INVARIANT, LATENCY, PAGES,
    RECOVERY, SUCCESS_RATE,
};
pub(crate) use families::{
    BUDGET_BOUNDS, DEGRADATION, Degradation, ERROR_BUDGET, ErrorBudget, Objective, TELEMETRY,
    Telemetry,
};
pub(crate) use faults::{FAULT, FaultAst, WITNESS, WitnessAst};
pub(crate) use journeys::{
    EXPONENTIAL, EXTRACT, EXTRACT_KINDS, JOURNEY, JOURNEY_STEP, JOURNEYS, JourneyAst, JourneysAst,
    StepAst, THINK, THINK_KINDS, UNIFORM,
};
pub(crate) use load::{
    ARRIVALS_RECORDED_MAX, FEED, FEED_VALUES_MAX, LOAD, LoadAst, METHODS, RAMP, REQUEST,
    RequestAst, SHAPES, SPIKE, STEP,
};
pub(crate) use mean::{MEAN_BUDGET, MEAN_SUCCESS, MEAN_TIME, Over};
pub(crate) use objectives::{ObjectivesAst, SLI, SLI_RATIO, SLO, SliAst};
pub(crate) use regression::{REGRESSION, REGRESSION_RUNS_MIN, Regression};
pub(crate) use safety::{APPROVALS, GUARDRAIL, RADIUS, RadiusAst, SAFETY, SafetyAst};
pub(crate) use system::{
    ACTIONS, Check, LATENCY_BOUND, PAGER, PHASES, PROBE, PhasesAst, RECOVERY_PHASE, SPEND, STEADY,
    SignalAst, SignalSource, SteadyAst, SystemAst,
};
pub(crate) use trials::{ARM, ArmAst, COUNT, Order, TRIALS, TRIALS_MAX, TrialsAst};
