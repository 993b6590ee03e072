//! What arrived at the system's own pager, read from it at a fixed period: every page is one
//! notice, at the time when the pager took it. Deliveries that it knew already are no pages.
//!
//! What was there before the source began is not reported. A pager that is silent, or that was
//! started again, is a gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness_core::ids::SignalId;
use harness_core::load::Stop;
use harness_core::signal::{AlertNotice, AlertStatus, SignalEvent, SignalSink, Source};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::units::Duration;
use hyper::Method;
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use crate::http::{Ask, ask};
use crate::monotonic::SharedInstant;
use crate::outlet::Outlet;
use crate::text::short;

/// One question.
const LOOK_WITHIN: Duration = Duration::from_millis(500);
/// The last question, when the source stops.
const LAST_LOOK_WITHIN: Duration = Duration::from_millis(80);
/// Notices in one run of the source; more are one gap.
const NOTICES_MAX: usize = 5_000;

/// The pages of a pager; see the module.
pub(crate) struct Pages {
    pub(crate) signal: SignalId,
    /// `host:port` of the pager.
    pub(crate) pager: String,
    /// More than zero.
    pub(crate) every: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    instance: String,
    pages: Vec<Page>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    sequence: u64,
    monotonic_us: u64,
    alertname: String,
    status: AlertStatus,
    labels: BTreeMap<String, String>,
}

/// What was read so far.
#[derive(Debug)]
struct Reader {
    begun_us: u64,
    instance: Option<String>,
    after: u64,
}

impl Reader {
    /// The new pages, and what is missing.
    fn read(&mut self, answer: Answer) -> (Vec<Page>, Option<String>) {
        let mut gap = None;
        if self.instance.as_ref().is_some_and(|known| *known != answer.instance) {
            gap = Some("the pager began anew".to_owned());
            // Its numbers do as well; what it has now is read from the first on.
            self.after = 0;
        }
        self.instance = Some(answer.instance);
        let mut pages = answer.pages;
        pages.sort_by_key(|page| page.sequence);
        let mut new = Vec::new();
        for page in pages {
            if page.sequence <= self.after {
                continue;
            }
            let missing = page.sequence - self.after - 1;
            if self.after > 0 && missing > 0 {
                gap = Some(format!("{missing} pages are lost"));
            }
            self.after = page.sequence;
            if page.monotonic_us > self.begun_us {
                new.push(page);
            }
        }
        (new, gap)
    }
}

impl Source for Pages {
    fn signal(&self) -> &SignalId {
        &self.signal
    }

    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let clock = self.clock.as_ref();
            let outlet = Outlet { signal: &self.signal, clock, out };
            let begun = SharedInstant::now(clock);
            let begun_us = begun.monotonic_nanos() / 1000;
            let mut reader = Reader { begun_us, instance: None, after: 0 };
            let mut noticed = 0;
            let mut stopped = stop.stopped();
            let mut ticks = tokio::time::interval(self.every.as_std());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // A look that is given up has changed nothing: it takes all in at its end.
                let looked = async {
                    ticks.tick().await;
                    self.look(LOOK_WITHIN).await
                };
                let answer = tokio::select! {
                    biased;
                    () = &mut stopped => break,
                    answer = looked => answer,
                };
                self.tell(&outlet, begun, (&mut reader, &mut noticed), answer);
            }
            let last = self.look(LAST_LOOK_WITHIN).await;
            self.tell(&outlet, begun, (&mut reader, &mut noticed), last);
        })
    }
}

impl Pages {
    /// A pager that was started again counts anew, so all is asked for; it is not much.
    async fn look(&self, within: Duration) -> Result<Answer, String> {
        let question = Ask {
            address: &self.pager,
            method: &Method::GET,
            path: "/api/pages",
            body: None,
            within,
        };
        ask(question).await.map_err(|error| error.to_string())?.json()
    }

    fn tell(
        &self,
        outlet: &Outlet<'_>,
        begun: SharedInstant,
        (reader, noticed): (&mut Reader, &mut usize),
        answer: Result<Answer, String>,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return outlet.gap(why),
        };
        let (pages, gap) = reader.read(answer);
        for page in pages {
            *noticed += 1;
            if *noticed > NOTICES_MAX {
                if *noticed == NOTICES_MAX + 1 {
                    outlet.gap(format!("more than {NOTICES_MAX} pages"));
                }
                continue;
            }
            outlet.put(SignalEvent::Alert(AlertNotice {
                signal: self.signal.clone(),
                alert: short(&page.alertname),
                labels: page.labels,
                status: page.status,
                at: begun.run_time(page.monotonic_us, outlet.now()),
                starts_at: None,
                // One incident for each name: that is how the pager's sender groups.
                fingerprint: short(&page.alertname),
            }));
        }
        if let Some(why) = gap {
            outlet.gap(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(sequence: u64, monotonic_us: u64) -> Page {
        Page {
            sequence,
            monotonic_us,
            alertname: "Down".to_owned(),
            status: AlertStatus::Firing,
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn each_new_page_is_told_once_and_what_is_missing_is_a_gap() {
        let mut reader = Reader { begun_us: 100, instance: None, after: 0 };
        let mut read = |instance: &str, pages: &[Page]| {
            let answer = Answer { instance: instance.to_owned(), pages: pages.to_vec() };
            let (new, gap) = reader.read(answer);
            (new.iter().map(|page| page.sequence).collect::<Vec<_>>(), gap)
        };
        assert_eq!(read("a", &[page(4, 50), page(5, 150)]), (vec![5], None));
        assert_eq!(read("a", &[page(4, 50), page(5, 150)]), (vec![], None));
        let lost = Some("1 pages are lost".to_owned());
        assert_eq!(read("a", &[page(5, 150), page(7, 170)]), (vec![7], lost));
        let anew = Some("the pager began anew".to_owned());
        assert_eq!(read("b", &[page(1, 180)]), (vec![1], anew));
    }
}
