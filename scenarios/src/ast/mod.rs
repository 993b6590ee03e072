//! What a user may write, read from the tree with every place kept. No meaning across sections:
//! `plan` checks names against each other and fills in defaults.

mod document;
mod expect;
mod faults;
mod load;
mod safety;
mod system;
mod trials;

pub(crate) use document::{DOCUMENT, METADATA, Metadata, SPEC, Spec, read as read_document};
pub(crate) use expect::{
    Common, DETECTION, Detection, EXPECT_KINDS, ExpectAst, Family, INVARIANT, LATENCY, PAGES,
    RECOVERY, SUCCESS_RATE, read as read_expect,
};
pub(crate) use faults::{FAULT, FaultAst, WITNESS, WitnessAst, WitnessWhen};
pub(crate) use load::{
    FEED, FEED_KINDS, LOAD, LoadAst, METHODS, RAMP, REQUEST, RequestAst, ROWS, SHAPES, SPIKE, STEP,
};
pub(crate) use safety::{GUARDRAIL, RADIUS, RadiusAst, SAFETY, SafetyAst};
pub(crate) use system::{
    ACTIONS, ALERTS, LATENCY_BOUND, PHASES, PROBE, PhasesAst, RECOVERY_PHASE, SIGNAL, SIGNAL_KINDS,
    STEADY, SignalAst, SignalSource, SteadyAst, SystemAst,
};
pub(crate) use trials::{ARM, ArmAst, COUNT, Order, TRIALS, TRIALS_MAX, TrialsAst};
