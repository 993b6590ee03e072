//! How a run ends, and the exit codes of every command. They are part of the interface.

use serde::{Deserialize, Serialize};

/// Every expectation passed.
pub const PASS: u8 = 0;
/// An expectation failed.
pub const FAIL: u8 = 1;
/// Nothing failed, but the evidence does not support a pass.
pub const INCONCLUSIVE: u8 = 2;
/// The run was aborted and everything was put back.
pub const ABORTED: u8 = 3;
/// Something could not be proven to be put back: a person is needed. Beats all others.
pub const LEFTOVERS: u8 = 4;
/// The command line or the scenario is wrong; nothing was started.
pub const USAGE: u8 = 64;
/// The target or its telemetry is not ready, or policy, a lock or an unpaid ledger refuses.
pub const REFUSED: u8 = 69;
/// A defect of gameday itself.
pub const BUG: u8 = 70;

/// The meaning of each exit code, in ascending order, for help texts.
pub const MEANINGS: [(u8, &str); 8] = [
    (PASS, "pass: every expectation passed"),
    (FAIL, "fail: an expectation failed"),
    (INCONCLUSIVE, "inconclusive: the evidence does not support a pass"),
    (ABORTED, "aborted, and everything was put back"),
    (LEFTOVERS, "leftovers: something is not proven to be put back, a person is needed"),
    (USAGE, "wrong usage, or a wrong scenario; nothing was started"),
    (REFUSED, "target or telemetry not ready, or refused by policy, lock or unpaid ledger"),
    (BUG, "a defect of gameday itself"),
];

/// The code of two things that were done together: leftovers beat all others.
pub fn worse(one: u8, other: u8) -> u8 {
    if [one, other].contains(&LEFTOVERS) { LEFTOVERS } else { one.max(other) }
}

/// How a run ended, apart from what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EndOfRun {
    /// All trials that the plan asked for were done.
    Completed,
    /// Stopped early; everything was reverted.
    Aborted {
        /// One sentence: who or what stopped it.
        because: String,
    },
    /// Not started: the target or its telemetry was not ready.
    Refused {
        /// One sentence.
        because: String,
    },
    /// The harness or the system under test failed in a way that ends the run.
    Errored {
        /// One sentence.
        because: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_beat_all_other_codes() {
        for (code, _) in MEANINGS {
            assert_eq!((worse(code, LEFTOVERS), worse(LEFTOVERS, code)), (LEFTOVERS, LEFTOVERS));
            assert_eq!((worse(code, PASS), worse(PASS, code)), (code, code));
        }
        assert_eq!(worse(REFUSED, BUG), BUG);
    }
}
