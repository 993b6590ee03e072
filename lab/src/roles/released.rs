//! What the release of a process does to its answers: each of them tells its name, and the flaw of
//! a release spoils some. What is asked by those who watch the process is never spoilt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::Context;
use crate::http::{Call, Reply, Service};
use crate::release::Flaw;

/// What watches and directs a process.
const WATCHING: [&str; 5] = ["/healthz", "/metrics", "/events", "/state", "/reset"];

/// A service as this process was built.
#[derive(Debug)]
pub(super) struct Released<S> {
    service: Arc<S>,
    context: Arc<Context>,
    name: HeaderValue,
    requests: AtomicU64,
}

impl<S> Released<S> {
    pub(super) fn new(service: Arc<S>, context: Arc<Context>) -> Self {
        let name = HeaderValue::from_str(&context.release.name)
            .expect("a release's name has letters, digits and . _ - only");
        Self { service, context, name, requests: AtomicU64::new(0) }
    }

    /// The flaw that such a request meets.
    fn flaw(&self, path: &str) -> Option<Flaw> {
        let watching = WATCHING.contains(&path) || path.starts_with("/-/");
        self.context.release.flaw.filter(|_| !watching)
    }
}

impl<S: Service> Service for Released<S> {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        let flaw = self.flaw(&call.path);
        if let Some(Flaw::SlowMs(by)) = flaw {
            tokio::time::sleep(Duration::from_millis(by)).await;
        }
        let broken =
            flaw.is_some_and(|it| it.breaks(self.requests.fetch_add(1, Ordering::Relaxed)));
        let mut reply = if broken {
            self.context.metrics.add("requests_total", "code=\"500\"", 1.0);
            Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "this release cannot do that")
        } else {
            Arc::clone(&self.service).answer(call).await
        };
        // What was passed on tells whose it was.
        reply.release.get_or_insert_with(|| self.name.clone());
        reply
    }
}
