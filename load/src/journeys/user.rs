//! One of goose's users: walks visit after visit until the process ends.
//!
//! goose brings the user, its client and the sending of a request; when to send, what to send and
//! what came of it are ours.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use goose::config::GooseConfiguration;
use goose::goose::{GooseRequest, GooseUser, Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, GooseError};
use harness_core::load::RequestOutcome;
use harness_core::plan::TimerMode;
use http_body_util::BodyExt as _;
use reqwest::redirect::Policy;

use super::answer::{Judged, Rules, read};
use super::cookies::VisitCookies;
use super::walk::{Next, Visit, Walk};
use crate::mix::Arrival;
use crate::request::Requests;
use crate::template::Data;
use crate::timer::Timer;

/// What every user needs.
pub(super) struct Ground {
    pub(super) walk: Walk,
    pub(super) requests: Requests,
    /// By place in the mix.
    pub(super) rules: Vec<Rules>,
    /// `http://127.0.0.1:8080`, without a path.
    pub(super) origin: String,
    pub(super) users: u32,
    pub(super) timeout: std::time::Duration,
    pub(super) timer: TimerMode,
    /// Why a user could not begin.
    pub(super) trouble: Mutex<Option<String>>,
}

/// Lets goose run all users. Does not end before goose does, which nobody asks it to.
pub(super) async fn run_users(ground: Arc<Ground>) -> Result<(), Box<GooseError>> {
    let users = ground.users.to_string();
    let arguments = [
        "--host",
        &ground.origin,
        // Users begin in time by our own clock; goose only has to have started them by then.
        "--users",
        &users,
        "--increase-rate",
        "100000",
        "--no-metrics",
        "--no-print-metrics",
        "--no-telnet",
        "--no-websocket",
        "--co-mitigation",
        "disabled",
        "-q",
    ];
    let configuration = GooseConfiguration::parse_args_default(&arguments).map_err(Box::new)?;
    let walking: TransactionFunction = Arc::new(move |user| {
        let ground = Arc::clone(&ground);
        Box::pin(async move {
            let Err(why) = walk(user, &ground).await;
            ground.trouble.lock().unwrap_or_else(PoisonError::into_inner).replace(why);
            pending().await
        })
    });
    let scenario = Scenario::new("journeys").register_transaction(Transaction::new(walking));
    let attack = GooseAttack::initialize_with_config(configuration).map_err(Box::new)?;
    Box::pin(attack.register_scenario(scenario).execute()).await.map_err(Box::new)?;
    Ok(())
}

/// Walks as one user, for ever; ends only when it cannot begin, and says why.
async fn walk(user: &mut GooseUser, ground: &Ground) -> Result<Infallible, String> {
    let Some(place) = ground.walk.claim() else { return pending().await };
    let cookies = Arc::new(VisitCookies::default());
    let client = reqwest::Client::builder()
        .cookie_provider(Arc::clone(&cookies))
        .timeout(ground.timeout)
        .redirect(Policy::none())
        .no_proxy()
        .no_gzip()
        .http1_only();
    user.set_client_builder(client)
        .await
        .map_err(|error| format!("could not make a client: {error}"))?;
    let mut timer = Timer::new(ground.timer, ground.walk.timeline())
        .map_err(|error| format!("could not make a timer: {error}"))?;
    loop {
        let visit = ground.walk.visit(place);
        cookies.forget();
        walk_once(user, ground, &mut timer, place, visit).await;
    }
}

/// One visit: its steps up to the end, or up to the first that does not end well.
async fn walk_once(
    user: &mut GooseUser,
    ground: &Ground,
    timer: &mut Timer,
    place: usize,
    visit: Visit,
) {
    let walk = &ground.walk;
    let journey = walk.journey(visit);
    let mut found = BTreeMap::new();
    for (at, step) in journey.steps.iter().enumerate() {
        while let Some(due_ns) = walk.due_ns(place)
            && walk.timeline().now_ns() < due_ns
        {
            timer.wait_until(due_ns).await;
        }
        let Some(arrival) = walk.sets_out(place, step.request) else {
            // The load has ended; this process will.
            return pending().await;
        };
        let data = Data { number: visit.number, found: &found };
        let judged = take_step(user, ground, place, &arrival, data).await;
        let goes_on = judged.good && at + 1 < journey.steps.len();
        let next = if goes_on { Next::Step(at + 1) } else { Next::Visit };
        walk.ended(place, visit, &judged, next);
        if !goes_on {
            return;
        }
        found.extend(judged.found);
    }
}

/// Sends one request and judges its answer.
async fn take_step(
    user: &mut GooseUser,
    ground: &Ground,
    place: usize,
    arrival: &Arrival,
    data: Data<'_>,
) -> Judged {
    // Data that HTTP does not allow is the client's own failure.
    let Ok(request) = ground.requests.fill(arrival, data) else {
        return Judged::failed(RequestOutcome::Other);
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await;
    let builder = user
        .client
        .request(parts.method.clone(), format!("{}{}", ground.origin, parts.uri))
        .headers(parts.headers)
        .body(body.to_bytes());
    let request = GooseRequest::builder().set_request_builder(builder).build();
    ground.walk.sent(place);
    match user.request(request).await {
        Ok(answer) => read(answer.response, &parts.method, &ground.rules[arrival.request]).await,
        // It was not sent: goose could not build it.
        Err(_) => Judged::failed(RequestOutcome::Other),
    }
}
