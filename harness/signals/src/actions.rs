//! What a lab's automations did: changes of breakers, acts of the cost cap, pages that the alerter
//! handed over, and restarts by the supervisor.
//!
//! Asks the supervisor at a fixed period, and once more at the end. Stamps come from the acting
//! process itself, so that the period costs no precision. What happened before the source began is
//! not reported, and nothing is reported twice.

mod breakers;
mod feed;
mod restarts;

use std::sync::Arc;

use harness_core::ids::SignalId;
use harness_core::load::Stop;
use harness_core::signal::{ActionNotice, SignalEvent, SignalSink, Source};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::units::Duration;
use hyper::Method;
use tokio::time::MissedTickBehavior;

use crate::http::{Ask, ask};
use crate::monotonic::SharedInstant;
use crate::outlet::Outlet;
use breakers::Breakers;
use feed::Feed;
use restarts::Restarts;

/// One question; the supervisor itself asks its instances, for half a second.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// The last question, when the source stops.
const LAST_LOOK_WITHIN: Duration = Duration::from_millis(80);
/// Notices of one feed in one run of the source; more are one gap.
const NOTICES_MAX: usize = 5_000;

/// Actions of a lab; see the module.
pub(crate) struct Actions {
    pub(crate) signal: SignalId,
    /// `host:port` of the supervisor.
    pub(crate) supervisor: String,
    /// More than zero.
    pub(crate) every: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Source for Actions {
    fn signal(&self) -> &SignalId {
        &self.signal
    }

    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let clock = self.clock.as_ref();
            let begun = SharedInstant::now(clock);
            let outlet = Outlet { signal: &self.signal, clock, out };
            let mut breakers = Looks::new(self, outlet, begun, Breakers::new(begun));
            let mut restarts = Looks::new(self, outlet, begun, Restarts::new(begun));
            tokio::join!(breakers.run(stop), restarts.run(stop));
        })
    }
}

/// The looks at one feed.
struct Looks<'a, F> {
    actions: &'a Actions,
    outlet: Outlet<'a>,
    begun: SharedInstant,
    feed: F,
    noticed: usize,
}

impl<'a, F: Feed> Looks<'a, F> {
    fn new(actions: &'a Actions, outlet: Outlet<'a>, begun: SharedInstant, feed: F) -> Self {
        Self { actions, outlet, begun, feed, noticed: 0 }
    }

    async fn run(&mut self, stop: &dyn Stop) {
        let mut stopped = stop.stopped();
        let mut ticks = tokio::time::interval(self.actions.every.as_std());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A look that is given up has changed nothing: it takes all in at its end.
            let looked = async {
                ticks.tick().await;
                self.look(LOOK_WITHIN).await;
            };
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = looked => {}
            }
        }
        self.look(LAST_LOOK_WITHIN).await;
    }

    async fn look(&mut self, within: Duration) {
        let asked_us = self.begun.monotonic_us(self.outlet.now());
        let path = self.feed.path();
        let question = Ask {
            address: &self.actions.supervisor,
            method: &Method::GET,
            path: &path,
            body: None,
            within,
        };
        let answer = match ask(question).await {
            Ok(answer) => answer.success(),
            Err(error) => Err(error.to_string()),
        };
        match answer.and_then(|body| self.feed.read(&body, asked_us)) {
            Ok(reading) => {
                for action in reading.actions {
                    self.notice(action);
                }
                for why in reading.gaps {
                    self.outlet.gap(why);
                }
            }
            Err(why) => self.outlet.gap(why),
        }
    }

    fn notice(&mut self, action: feed::Action) {
        if self.noticed >= NOTICES_MAX {
            if self.noticed == NOTICES_MAX {
                self.outlet.gap(format!("more than {NOTICES_MAX} actions of one kind"));
                self.noticed += 1;
            }
            return;
        }
        self.noticed += 1;
        self.outlet.put(SignalEvent::Action(ActionNotice {
            signal: self.outlet.signal.clone(),
            actor: action.actor.to_owned(),
            action: action.verb,
            target: action.target,
            at: self.begun.run_time(action.monotonic_us, self.outlet.now()),
        }));
    }
}
