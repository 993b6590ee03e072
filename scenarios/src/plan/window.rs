//! Windows: `fault`, `all`, `down.effective+4s .. fault.end`; and where in a trial they lie.

use harness_core::diag::Span;
use harness_core::ids::FaultId;
use harness_core::plan::{Anchor, FaultInstant, Moment, Phase, PhaseEdge, Phases, WindowRange};
use harness_core::units::Duration;

use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean};
use crate::node::Spanned;
use crate::read::bad_quantity;

use super::faults::Faults;

/// Windows that have a name of their own.
const NAMED: [(&str, Phase, Phase); 4] = [
    ("baseline", Phase::Baseline, Phase::Baseline),
    ("fault", Phase::Fault, Phase::Fault),
    ("recovery", Phase::Recovery, Phase::Recovery),
    ("all", Phase::Baseline, Phase::Settle),
];

const INSTANTS: [(&str, FaultInstant); 4] = [
    ("inject", FaultInstant::Inject),
    ("effective", FaultInstant::Effective),
    ("revert", FaultInstant::Revert),
    ("reverted", FaultInstant::Reverted),
];

/// When things happen in a trial that goes as planned.
pub(super) struct Timeline {
    phases: Phases,
    /// Each fault with its injection and its revert, from the start of the fault phase.
    faults: Vec<(FaultId, Duration, Duration)>,
}

impl Timeline {
    pub(super) fn new(phases: Phases, faults: &Faults) -> Self {
        let faults = faults.plans.iter();
        let faults =
            faults.map(|fault| (fault.id.clone(), fault.at, fault.at + fault.lasts)).collect();
        Self { phases, faults }
    }

    /// Start of a phase since the start of the load, the recovery at its longest.
    fn phase_start_us(&self, phase: Phase) -> i64 {
        let p = &self.phases;
        let start = match phase {
            Phase::Warmup => Duration::ZERO,
            Phase::Baseline => p.warmup,
            Phase::Fault => p.warmup + p.baseline,
            Phase::Recovery => p.warmup + p.baseline + p.fault,
            Phase::Settle => p.warmup + p.baseline + p.fault + p.recovery_up_to,
        };
        signed_us(start)
    }

    fn phase_length_us(&self, phase: Phase) -> i64 {
        let p = &self.phases;
        signed_us(match phase {
            Phase::Warmup => p.warmup,
            Phase::Baseline => p.baseline,
            Phase::Fault => p.fault,
            Phase::Recovery => p.recovery_up_to,
            Phase::Settle => p.settle,
        })
    }

    /// Microseconds since the start of the load, when nothing is late. `None` for a fault that
    /// could not be read.
    pub(super) fn position_us(&self, moment: &Moment) -> Option<i64> {
        let base = match &moment.anchor {
            Anchor::Phase { phase, edge } => {
                let length = match edge {
                    PhaseEdge::Start => 0,
                    PhaseEdge::End => self.phase_length_us(*phase),
                };
                self.phase_start_us(*phase) + length
            }
            Anchor::Fault { fault, instant } => {
                let (_, inject, revert) = self.faults.iter().find(|(id, ..)| id == fault)?;
                let offset = match instant {
                    FaultInstant::Inject | FaultInstant::Effective => inject,
                    FaultInstant::Revert | FaultInstant::Reverted => revert,
                };
                self.phase_start_us(Phase::Fault) + signed_us(*offset)
            }
        };
        Some(base.saturating_add(moment.offset_us))
    }
}

fn signed_us(duration: Duration) -> i64 {
    i64::try_from(duration.micros()).expect("durations are at most ten years")
}

/// Reads a window. `None` when it cannot be read, which is then told.
pub(super) fn parse(
    text: &Spanned<String>,
    faults: &Faults,
    timeline: &Timeline,
    findings: &mut Findings,
) -> Option<WindowRange> {
    let said = text.value.trim();
    if let Some((name, first, last)) = NAMED.iter().find(|(name, ..)| *name == said) {
        return Some(WindowRange::phases(name, *first, *last));
    }
    let Some((from, to)) = text.value.split_once("..") else {
        let near = did_you_mean(said, NAMED.iter().map(|(name, ..)| *name));
        findings.push(
            Finding::error(codes::BAD_WINDOW, text.span, format!("`{said}` is not a window"))
                .label("neither a name nor `from .. to`")
                .hint(format!("{near} A range is written like `fault.start+1s .. fault.end`")),
        );
        return None;
    };
    let second = from.len() + 2;
    let from_moment = moment(from, text.part(0, from.len()), faults, findings);
    let to_moment = moment(to, text.part(second, text.value.len()), faults, findings);
    let range = WindowRange { text: said.to_owned(), from: from_moment?, to: to_moment? };
    let (start, end) = (timeline.position_us(&range.from)?, timeline.position_us(&range.to)?);
    if start >= end {
        findings.push(
            Finding::error(codes::BAD_WINDOW, text.span, "the window ends before it begins")
                .label("empty")
                .hint("exchange its ends, or change the offsets"),
        );
        return None;
    }
    Some(range)
}

/// `down.effective+4s`.
fn moment(text: &str, span: Span, faults: &Faults, findings: &mut Findings) -> Option<Moment> {
    let said = text.trim();
    let lead = text.len() - text.trim_start().len();
    let span = if span.end - span.start == text.len() {
        Span { start: span.start + lead, end: span.start + lead + said.len() }
    } else {
        span
    };
    let hint =
        "write `<phase>.start`, `<phase>.end`, `<fault>.effective`, each with `+1s` or `-1s`";
    let Some((name, rest)) = said.split_once('.') else {
        let message = format!("`{said}` is not an instant");
        findings.push(Finding::error(codes::BAD_WINDOW, span, message).hint(hint));
        return None;
    };
    let sign = rest.find(['+', '-']);
    let (point, offset) = sign.map_or((rest, ""), |at| rest.split_at(at));
    let anchor = anchor(name.trim(), point.trim(), span, faults, findings)?;
    let offset_us = if offset.is_empty() { 0 } else { signed_offset(offset, span, findings)? };
    Some(Moment { anchor, offset_us })
}

fn signed_offset(offset: &str, span: Span, findings: &mut Findings) -> Option<i64> {
    let (sign, length) = offset.split_at(1);
    match length.trim().parse::<Duration>() {
        Ok(length) => Some(if sign == "-" { -signed_us(length) } else { signed_us(length) }),
        Err(error) => {
            findings.push(bad_quantity(offset.trim(), "a duration", span, &error));
            None
        }
    }
}

fn anchor(
    name: &str,
    point: &str,
    span: Span,
    faults: &Faults,
    findings: &mut Findings,
) -> Option<Anchor> {
    if let Some(phase) = Phase::ALL.into_iter().find(|phase| phase.name() == name) {
        let edge = match point {
            "start" => PhaseEdge::Start,
            "end" => PhaseEdge::End,
            _ => {
                let message = format!("a phase has no `{point}`");
                findings.push(
                    Finding::error(codes::BAD_WINDOW, span, message)
                        .hint(did_you_mean(point, ["start", "end"])),
                );
                return None;
            }
        };
        return Some(Anchor::Phase { phase, edge });
    }
    if !faults.names.iter().any(|known| known.value == name) {
        let phases = Phase::ALL.iter().map(|phase| phase.name());
        let known = faults.names.iter().map(|known| known.value.as_str()).chain(phases);
        findings.push(
            Finding::error(
                codes::UNKNOWN_REFERENCE,
                span,
                format!("`{name}` is neither a phase nor a fault of this scenario"),
            )
            .hint(did_you_mean(name, known)),
        );
        return None;
    }
    let Some((_, instant)) = INSTANTS.iter().find(|(word, _)| *word == point) else {
        findings.push(
            Finding::error(codes::BAD_WINDOW, span, format!("a fault has no `{point}`"))
                .hint(did_you_mean(point, INSTANTS.iter().map(|(word, _)| *word))),
        );
        return None;
    };
    Some(Anchor::Fault { fault: FaultId::new(name), instant: *instant })
}
