//! How runs end when something does not: reverts that hang, disks that hang, and people who
//! interrupt meanwhile.

use harness_core::plan::{Comparison, Guard, Guardrail};
use harness_core::units::Ratio;

use super::*;
use crate::clock::RunClock;
use crate::storage::memory::Hanging;

/// The newest fault's revert hangs while the other one waits for its own.
async fn waiting_faults_end_with_their_lease(mut scene: Scene, abort: Option<AbortRequest>) {
    let input = scene.input();
    let is_revert = |command: &Command| matches!(command, Command::Revert { .. });
    let aborting = async {
        while scene.world.rules().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20).as_std()).await;
        }
        scene.world.take_up(Habit::RevertsHang);
        if let Some(request) = abort {
            scene.interrupt.send(request).await.unwrap();
        }
        while !scene.commands().iter().any(is_revert) {
            tokio::time::sleep(Duration::from_millis(5).as_std()).await;
        }
        // Longer than the lease, and shorter than the deadline of the revert that hangs.
        tokio::time::sleep(Duration::from_millis(400).as_std()).await;
        assert_eq!(scene.commands().iter().filter(|one| is_revert(one)).count(), 1);
        assert_eq!(scene.world.rules(), Vec::<String>::new());
    };
    let (summary, ()) = tokio::join!(run(input), aborting);
    assert_eq!(summary.unwrap().owed.len(), 2, "a revert that hangs is not done");
}

#[tokio::test(start_paused = true)]
async fn after_an_abort_no_lease_is_renewed() {
    let scene = Scene::with(with_a_short_lease(), true);
    waiting_faults_end_with_their_lease(scene, Some(AbortRequest::Signal { count: 1 })).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_guardrail_has_tripped_no_lease_is_renewed() {
    let mut plan = with_a_short_lease();
    plan.safety.guardrails = vec![Guardrail {
        text: "success < 50% for 700ms".into(),
        guard: Guard::Success { is: Comparison::Below, than: Ratio::from_percent(50) },
        lasting: Duration::from_millis(700),
    }];
    waiting_faults_end_with_their_lease(Scene::with(plan, true), None).await;
}

/// An interrupt while what is owed is paid at the end, which takes longer than a lease; how long
/// the run took from then on.
async fn interrupted_while_it_pays(count: u32) -> Duration {
    let mut plan = plan();
    plan.safety.lease = Duration::from_secs(60);
    let mut scene = Scene::with(plan, true);
    let input = scene.input();
    let clock = Arc::clone(scene.world.clock());
    let interrupting = async {
        scene.until_in_force().await;
        scene.world.take_up(Habit::RevertsHang);
        scene.interrupt.send(AbortRequest::Signal { count: 1 }).await.unwrap();
        while scene.heard.1.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20).as_std()).await;
        }
        scene.interrupt.send(AbortRequest::Signal { count }).await.unwrap();
        clock.now()
    };
    let (summary, at) = tokio::join!(run(input), interrupting);
    let owed = summary.unwrap().owed;
    assert!(owed.iter().any(|debt| debt.starts_with("fault down")), "{owed:?}");
    assert_eq!(scene.dir.ledger().unwrap().debts(), owed, "and the ledger is intact");
    scene.world.clock().now().since(at)
}

#[tokio::test(start_paused = true)]
async fn interrupts_are_heard_while_what_is_owed_is_paid() {
    assert!(interrupted_while_it_pays(1).await > Duration::from_secs(60), "a lease is waited for");
    let second = interrupted_while_it_pays(2).await;
    assert!(second < Duration::from_secs(20), "no lease is waited for: {second}");
    let third = interrupted_while_it_pays(3).await;
    assert!(third < Duration::from_millis(100), "it leaves at once: {third}");
}

/// The journal's disk hangs at the end of the first trial, and the system does not close.
#[tokio::test]
async fn interrupts_are_heard_while_the_disk_hangs() {
    let mut plan = plan();
    plan.deadlines.close = Duration::from_secs(600);
    let mut scene = Scene::on(plan, false, Arc::new(RunClock::start()));
    let mut input = scene.input();
    let (disk, hold) = Hanging::after(1);
    input.files.journal = Box::new(disk);
    // Should the loop wait for the disk after all, the test still ends.
    let (ended, told) = std::sync::mpsc::channel::<()>();
    let holding = std::thread::spawn(move || {
        let end = told.recv_timeout(std::time::Duration::from_secs(30));
        drop(hold);
        end
    });
    scene.world.take_up(Habit::ClosingHangs);
    let until_asked = async |what: fn(&Command) -> bool| {
        while !scene.commands().iter().any(what) {
            tokio::time::sleep(Duration::from_millis(5).as_std()).await;
        }
    };
    let interrupting = async {
        until_asked(|command| matches!(command, Command::PhaseBegins { .. })).await;
        scene.interrupt.send(AbortRequest::Signal { count: 1 }).await.unwrap();
        until_asked(|command| matches!(command, Command::Close)).await;
        scene.interrupt.send(AbortRequest::Signal { count: 3 }).await.unwrap();
    };
    let (summary, ()) = tokio::join!(run(input), interrupting);
    drop(ended);
    let outcome = holding.join().unwrap();
    assert_eq!(outcome, Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "it hangs all along");
    assert_eq!(summary.unwrap().owed, ["the lab that the run started"]);
}
