//! `gameday approve PLAN-SHA256 --by NAME`: records who consents to a plan, and until when.

use harness_core::exit;
use harness_core::policy::Approval;
use harness_core::time::{Clock, WallTime};
use harness_core::units::Duration;
use harness_engine::clock::RunClock;

use crate::args::{Approve, Global};
use crate::failure::Failure;
use crate::gate;
use crate::output;

/// A consent counts for at most so long.
const LASTS_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

pub(crate) fn run(global: &Global, arguments: &Approve) -> Result<u8, Failure> {
    if arguments.by.trim().is_empty() {
        return Err(Failure::usage("an approval needs a name").hint("write `--by NAME`"));
    }
    if arguments.lasts > LASTS_MAX || arguments.lasts == Duration::ZERO {
        return Err(Failure::usage(format!("an approval lasts at most {LASTS_MAX}"))
            .hint("write `--for 24h`, say"));
    }
    let at = RunClock::start().wall();
    let lasts_ms = i64::try_from(arguments.lasts.micros() / 1000).unwrap_or(i64::MAX);
    let approval = Approval {
        plan: arguments.plan.clone(),
        by: arguments.by.trim().to_owned(),
        account: format!("uid {}", rustix::process::getuid().as_raw()),
        at,
        expires: WallTime(at.0.saturating_add(lasts_ms)),
        note: arguments.note.clone(),
    };
    gate::approvals(&global.runs)
        .add(&approval)
        .map_err(|error| Failure::could_not("keep the approval", &error))?;
    output::say(&format!(
        "{} approves plan {} until {}",
        approval.by,
        &approval.plan[..12],
        approval.expires
    ));
    Ok(exit::PASS)
}
