//! Clocks that leap: somebody sets the wall clock, or the machine was suspended.

use harness_core::event::Event;

use super::*;

/// How far a clock leaps.
#[derive(Clone, Copy)]
struct Leap {
    /// The wall clock, in milliseconds, forward or back.
    wall_ms: i64,
    /// Run time; it only goes forward.
    forward: Duration,
}

/// Leaps once, this long after its beginning.
struct LeapingClock {
    steady: PausedClock,
    at: RunTime,
    leap: Leap,
}

impl Clock for LeapingClock {
    fn now(&self) -> RunTime {
        let now = self.steady.now();
        if now < self.at { now } else { now + self.leap.forward }
    }

    fn wall(&self) -> WallTime {
        let wall = self.steady.wall();
        if self.steady.now() < self.at { wall } else { WallTime(wall.0 + self.leap.wall_ms) }
    }
}

/// A run whose clock leaps in the middle of its first fault.
async fn run_with(leap: Leap) -> (Scene, RunSummary) {
    let at = RunTime::START + Duration::from_millis(2_000);
    let clock = LeapingClock { steady: PausedClock::start(), at, leap };
    let mut scene = Scene::on(plan(), true, Arc::new(clock));
    let summary = run(scene.input()).await.unwrap();
    let fault_was_on = scene.world.injections() > 0;
    assert!(fault_was_on, "the clock leaps while something is in force");
    (scene, summary)
}

fn stalls(scene: &Scene) -> usize {
    let entries = scene.heard.0.lock().unwrap();
    let is_stall = |entry: &&Entry| matches!(entry.what, What::Event(Event::Stalled { .. }));
    entries.iter().filter(is_stall).count()
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_changes_no_decision() {
    for wall_ms in [-3_600_000, 86_400_000] {
        let (scene, summary) = run_with(Leap { wall_ms, forward: Duration::ZERO }).await;
        assert_eq!(summary.end, EndOfRun::Completed, "{wall_ms}");
        assert_eq!((summary.owed.len(), stalls(&scene)), (0, 0), "{wall_ms}");
        scene.assert_put_back();
        replay(&plan(), &scene.dir.journal().unwrap()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_machine_is_a_standstill_and_everything_is_put_back() {
    let (scene, summary) = run_with(Leap { wall_ms: 0, forward: Duration::from_secs(30) }).await;
    assert!(stalls(&scene) > 0, "it is seen: {summary:?}");
    assert_eq!(summary.owed, Vec::<String>::new());
    scene.assert_put_back();
    replay(&plan(), &scene.dir.journal().unwrap()).unwrap();
}
