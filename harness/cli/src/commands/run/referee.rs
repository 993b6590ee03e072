//! Judges while the run goes on: for the screen, and to stop early where the plan says so.

use std::sync::Arc;

use harness_core::evidence::{Evidence, EvidenceBuilder};
use harness_core::history::History;
use harness_core::journal::Entry;
use harness_core::judge::{StopDecision, judge, may_stop};
use harness_core::load::WindowSamples;
use harness_core::plan::{Plan, StopRule};
use harness_engine::run::Enough;

use crate::progress::Progress;

/// Gathers evidence as it comes.
pub(super) struct Referee {
    plan: Arc<Plan>,
    progress: Arc<Progress>,
    builder: EvidenceBuilder,
    history: History,
}

impl Referee {
    pub(super) fn new(plan: Arc<Plan>, progress: Arc<Progress>, history: History) -> Self {
        Self { plan, progress, builder: EvidenceBuilder::new(), history }
    }
}

impl Enough for Referee {
    fn entry(&mut self, entry: &Entry) {
        self.builder.entry(entry);
    }

    fn samples(&mut self, samples: &WindowSamples) {
        self.builder.samples(samples);
    }

    fn after_trial(&mut self) -> Option<String> {
        let evidence = Evidence { history: self.history.clone(), ..self.builder.clone().finish() };
        self.progress.standing(&judge(&self.plan, &evidence));
        if self.plan.trials.stop == StopRule::Fixed {
            return None;
        }
        match may_stop(&self.plan, &evidence) {
            StopDecision::GoOn => None,
            StopDecision::Stop { because } => Some(because),
        }
    }
}
