//! Plans for this package's own unit tests.

use std::collections::BTreeMap;

use harness_core::plan::{
    Arrivals, Key, LoadPlan, RequestPlan, Reuse, Shape, StatusRange, TimerMode,
};
use harness_core::units::{Duration, Rate};

/// `GET <path>`.
pub(crate) fn get(path: &str, weight: u32) -> RequestPlan {
    RequestPlan {
        kind: format!("GET {path}").as_str().into(),
        weight,
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: BTreeMap::new(),
        body: None,
        key: Key::None,
        body_contains: None,
    }
}

/// Evenly spaced requests `GET /`.
pub(crate) fn constant(per_second: u32) -> LoadPlan {
    LoadPlan {
        shape: Shape::Constant { rate: Rate::per_second_whole(per_second) },
        arrivals: Arrivals::Constant,
        timeout: Duration::from_secs(2),
        mix: vec![get("/", 1)],
        feeds: BTreeMap::new(),
        good: vec![StatusRange { from: 200, to: 299 }],
        connections_max: 50,
        reuse: Reuse::Always {},
        in_flight_max: 1_000,
        timer: TimerMode::Relaxed,
        correlation: false,
        workers: 1,
        http2: false,
    }
}
