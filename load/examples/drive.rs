//! Drives load from the command line, for benchmarks of the engine itself.
//!
//! `drive URL RATE SECONDS [name=value ...]`, where RATE 0 means a closed loop. Names:
//! connections, workers, timer (relaxed, precise, exact), arrivals (constant, poisson), seed,
//! http2 (1), `timeout_ms`. Prints one JSON document.

#![expect(clippy::print_stdout, reason = "the report is what it is for")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use harness_core::ids::{RunId, TrialIndex};
use harness_core::load::{LoadDriver, LoadJob, Stop};
use harness_core::plan::{
    Arrivals, Key, LoadPlan, RequestPlan, Reuse, Shape, StatusRange, TimerMode,
};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime, WallTime};
use harness_core::units::{Duration, Rate};
use load::{HttpDriver, LoadTotals, run_closed};

struct MachineClock(Instant);

impl Clock for MachineClock {
    fn now(&self) -> RunTime {
        RunTime::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallTime {
        WallTime(0)
    }
}

struct Never;

impl Stop for Never {
    fn is_stopped(&self) -> bool {
        false
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

struct Settings {
    url: String,
    rate: u32,
    seconds: u64,
    named: BTreeMap<String, String>,
}

impl Settings {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (url, rate, seconds) = (words.next()?, words.next()?, words.next()?);
        let named = words
            .map(|word| word.split_once('=').map(|(name, value)| (name.into(), value.into())))
            .collect::<Option<_>>()?;
        Some(Self { url, rate: rate.parse().ok()?, seconds: seconds.parse().ok()?, named })
    }

    fn number(&self, name: &str, default: u32) -> u32 {
        self.named.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    fn plan(&self) -> LoadPlan {
        let word = |name: &str| self.named.get(name).map(String::as_str);
        LoadPlan {
            shape: Shape::Constant { rate: Rate::per_second_whole(self.rate) },
            arrivals: match word("arrivals") {
                Some("poisson") => Arrivals::Poisson,
                _ => Arrivals::Constant,
            },
            timeout: Duration::from_millis(u64::from(self.number("timeout_ms", 30_000))),
            mix: vec![RequestPlan {
                kind: "GET /".into(),
                weight: 1,
                method: "GET".to_owned(),
                path: "/".to_owned(),
                headers: BTreeMap::new(),
                body: None,
                key: Key::None,
                body_contains: None,
            }],
            feeds: BTreeMap::new(),
            good: vec![StatusRange { from: 200, to: 399 }],
            connections_max: self.number("connections", 50),
            reuse: Reuse::Always {},
            in_flight_max: 1_000_000,
            timer: match word("timer") {
                Some("relaxed") => TimerMode::Relaxed,
                Some("exact") => TimerMode::Exact,
                _ => TimerMode::Precise,
            },
            correlation: false,
            workers: self.number("workers", 1),
            http2: self.number("http2", 0) == 1,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an example is its own shell")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::read(std::env::args().skip(1))
        .ok_or("usage: drive URL RATE SECONDS [name=value ...]")?;
    let clock: Arc<dyn Clock> = Arc::new(MachineClock(Instant::now()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(drive(&settings, clock))?;
    println!("{text}");
    Ok(())
}

async fn drive(
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<String, Box<dyn std::error::Error>> {
    let (plan, length) = (settings.plan(), Duration::from_secs(settings.seconds));
    if settings.rate == 0 {
        let report = run_closed(&*clock, &plan, &settings.url, length, &Never).await?;
        return Ok(serde_json::to_string_pretty(&report)?);
    }
    let from = clock.now() + Duration::from_millis(50);
    let job = LoadJob {
        plan: &plan,
        run: &RunId::new("drive"),
        trial: TrialIndex(0),
        arm: "drive",
        target: &settings.url,
        seed: u64::from(settings.number("seed", 1)),
        id_prefix: "drive-0",
        from,
        until: from + length,
    };
    let totals = LoadTotals::new();
    let summary = HttpDriver::new(clock).run(job, &totals, &Never).await?;
    Ok(serde_json::to_string_pretty(&totals.report(&plan, length, &summary))?)
}
