//! One line for what is worth one; for logs and pipes.

use harness_core::event::Invalid;
use harness_core::signal::AlertStatus;

use super::board::{Board, Note};

/// The line of a note; alerts of the lab are many and stay out.
pub(super) fn line(board: &Board, note: &Note) -> Option<String> {
    Some(match note {
        Note::Opened => "the system is up".to_owned(),
        Note::TrialBegan(trial, arm) => {
            let number = trial.0 as usize + 1;
            if number <= board.planned {
                format!("trial {number} of {} begins ({arm})", board.planned)
            } else {
                format!("trial {number}, in place of an excluded one, begins ({arm})")
            }
        }
        Note::InForce(fault, seen) => format!("  {fault} is in force: {seen}"),
        Note::PutBack(fault, seen) => format!("  {fault} is put back: {seen}"),
        Note::FaultTrouble(fault, words) => format!("  {fault}: {words}"),
        Note::Alert(alert, AlertStatus::Firing) => format!("  alert {alert} fires"),
        Note::Alert(_, AlertStatus::Resolved) => return None,
        Note::TrialEnded(trial, arm, invalid) if invalid.is_empty() => {
            format!("trial {} ended ({arm})", trial.number())
        }
        Note::TrialEnded(trial, arm, invalid) => {
            format!("trial {} ended ({arm}), not valid: {}", trial.number(), words(invalid))
        }
        Note::Stopping(because) => because.clone(),
    })
}

/// Why a trial is not valid, in words.
pub(super) fn words(invalid: &[Invalid]) -> String {
    let reasons: Vec<_> = invalid
        .iter()
        .map(|reason| format!("{} ({})", reason.reason.label(), reason.because))
        .collect();
    reasons.join("; ")
}
