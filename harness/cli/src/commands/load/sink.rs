//! Where the windows of a load go: the sums, the log when one is asked for, and the screen.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::sync::Mutex;

use harness_core::load::{LoadTick, SampleSink, WINDOW, WindowSamples};
use harness_core::time::{RunTime, WallTime};
use harness_core::units::Duration;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use load::{HdrLog, LoadTotals};

/// A load's log.
type Log = HdrLog<BufWriter<File>>;

/// Adds up, logs and shows.
pub(super) struct Sink {
    /// The sums.
    pub(super) totals: LoadTotals,
    /// As long as it can be written.
    log: Option<Mutex<io::Result<Log>>>,
    screen: Option<Mutex<Screen>>,
}

/// The line on a terminal.
struct Screen {
    bar: ProgressBar,
    length: Duration,
    ticks: u64,
}

impl Sink {
    /// Of a load over `length`.
    pub(super) fn new(length: Duration, log: Option<Log>) -> Self {
        let screen = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{msg}").expect("the template is a constant"),
            );
            Mutex::new(Screen { bar, length, ticks: 0 })
        });
        Self { totals: LoadTotals::new(), log: log.map(|log| Mutex::new(Ok(log))), screen }
    }

    /// Ends log and screen; the sums remain.
    pub(super) fn finish(self) -> (LoadTotals, io::Result<()>) {
        if let Some(screen) = self.screen {
            screen.into_inner().expect("no holder of this lock panics").bar.finish_and_clear();
        }
        let written = self.log.map_or(Ok(()), |log| {
            let log = log.into_inner().expect("no holder of this lock panics");
            log.and_then(HdrLog::finish).map(drop)
        });
        (self.totals, written)
    }
}

/// Begins a log of a load that starts at `from`, which is `wall` on the wall clock.
pub(super) fn open_log(path: &Path, from: RunTime, wall: WallTime) -> io::Result<Log> {
    HdrLog::new(BufWriter::new(File::create(path)?), from, wall)
}

impl SampleSink for Sink {
    fn window(&self, samples: WindowSamples) {
        if let Some(log) = &self.log {
            let mut log = log.lock().expect("no holder of this lock panics");
            // The first error ends the log, and is told at the end.
            if let Ok(open) = log.as_mut()
                && let Err(error) = open.window(&samples)
            {
                *log = Err(error);
            }
        }
        self.totals.window(samples);
    }

    fn tick(&self, tick: LoadTick) {
        if let Some(screen) = &self.screen {
            screen.lock().expect("no holder of this lock panics").tick(tick);
        }
    }
}

impl Screen {
    fn tick(&mut self, tick: LoadTick) {
        self.ticks += 1;
        let per_second = 1_000_000 / WINDOW.micros();
        let ended = tick.good + tick.bad;
        let good = match ended {
            0 => "no answers".to_owned(),
            _ => format!("{:.1} % good", 100.0 * tick.good as f64 / ended as f64),
        };
        self.bar.set_message(format!(
            "{:.1}s of {}  {}/s due  {good}  p50 {:.1} ms  p99 {:.1} ms  {} in flight",
            WINDOW.times(self.ticks).secs_f64(),
            self.length,
            tick.due * per_second,
            tick.latency_us_p50 as f64 / 1000.0,
            tick.latency_us_p99 as f64 / 1000.0,
            tick.in_flight,
        ));
        self.bar.tick();
    }
}
