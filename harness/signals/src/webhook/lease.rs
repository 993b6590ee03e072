//! The lease of a receiver at the alerter: taken, renewed, and given back.
//!
//! Without renewal a lease ends by itself, so that a receiver whose process was killed is soon
//! forgotten. An alerter that was restarted forgets, too; that is found at the next renewal.

use std::convert::Infallible;

use harness_core::units::Duration;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Answer, Ask, ask, query};
use crate::outlet::Outlet;

/// For so long the alerter remembers a receiver that is not renewed.
const TTL_SECONDS: u64 = 3;
/// A lease is renewed so often: a third of its life.
const RENEW_EVERY: Duration = Duration::from_millis(TTL_SECONDS * 1000 / 3);
/// After a failure the lease is tried again so soon.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// One question to the alerter.
const ASK_WITHIN: Duration = Duration::from_millis(500);
/// Giving the lease back when the source stops; later it ends by itself.
const END_WITHIN: Duration = Duration::from_millis(100);

/// A receiver's place at the alerter.
pub(super) struct Lease<'a> {
    /// `host:port` of the alerter.
    pub(super) alerter: &'a str,
    /// Where deliveries go.
    pub(super) url: &'a str,
    pub(super) outlet: Outlet<'a>,
}

#[derive(Deserialize)]
struct Receivers {
    receivers: Vec<String>,
}

impl Lease<'_> {
    /// Takes the lease and renews it for ever; each failure is a gap.
    pub(super) async fn keep(&self) -> Infallible {
        let mut held = false;
        loop {
            let wait = match self.renew(held).await {
                Ok(()) => {
                    held = true;
                    RENEW_EVERY
                }
                Err(why) => {
                    self.outlet.gap(format!("the receiver of alerts is not leased: {why}"));
                    RETRY_AFTER
                }
            };
            tokio::time::sleep(wait.as_std()).await;
        }
    }

    async fn renew(&self, held: bool) -> Result<(), String> {
        if held {
            let answer = self.ask(&Method::GET, "/-/receivers", None, ASK_WITHIN).await?;
            let known: Receivers = answer.json()?;
            if !known.receivers.iter().any(|url| url == self.url) {
                let why = "the alerter forgot the receiver; deliveries may be lost";
                self.outlet.gap(why.to_owned());
            }
        }
        let body = json!({ "url": self.url, "ttlSeconds": TTL_SECONDS });
        let answer = self.ask(&Method::POST, "/-/receivers", Some(&body), ASK_WITHIN).await?;
        answer.success().map(drop)
    }

    /// Gives the lease back.
    pub(super) async fn end(&self) {
        let path = format!("/-/receivers?url={}", query(self.url));
        if let Err(why) = self.ask(&Method::DELETE, &path, None, END_WITHIN).await {
            tracing::debug!("a receiver's lease ends by itself: {why}");
        }
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, String> {
        let asked = Ask { address: self.alerter, method, path, body, within };
        ask(asked).await.map_err(|error| error.to_string())
    }
}
