//! `kill -9` of the harness: the faults revert without a person, and what is owed is paid.

use std::time::{Duration, Instant};

use crate::support::{Place, alone, beside_others, short_scenario, until};
use crate::target::{kill_after_watchdog, ledger_lines, order_works, run_in_force, watchdog};

const LEASE: Duration = Duration::from_secs(2);

/// Looks until orders work again; how long it took.
fn healed_after(began: Instant, address: &str) -> Duration {
    let healed = until(LEASE * 5, || order_works(address).then(|| began.elapsed()));
    healed.expect("orders work again without any command")
}

#[test]
fn a_killed_harness_heals_within_the_lease() {
    let _alone = alone();
    let place = Place::new();
    let (run, address) = run_in_force(&place);
    let began = Instant::now();
    run.kill();
    let took = healed_after(began, &address);
    assert!(took <= LEASE + Duration::from_secs(1), "{took:?}");
    let paid = until(Duration::from_secs(20), || watchdog(&place).is_none().then_some(()));
    assert!(paid.is_some(), "the watchdog leaves when all is paid");
    let undo = place.gameday(&["undo"]);
    assert_eq!(undo.code, 0, "{undo:?}");
    let down = place.gameday(&["lab", "down", "--state", "shop"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(place.processes().is_empty(), "{:?}", place.processes());
}

#[test]
fn with_the_watchdog_killed_first_the_proxy_heals_and_undo_pays() {
    let _alone = alone();
    let place = Place::new();
    let (run, address) = run_in_force(&place);
    let began = Instant::now();
    kill_after_watchdog(&place, run);
    let took = healed_after(began, &address);
    assert!(took <= LEASE + Duration::from_secs(1), "{took:?}");

    let file = place.write("again.yaml", &short_scenario("2s", "8s"));
    let refused = place.gameday(&["run", &file, "--lab", "shop"]);
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("gameday undo"), "{refused:?}");
    let dry = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(dry.code, 4, "{dry:?}");
    let undo = place.gameday(&["undo"]);
    assert_eq!(undo.code, 0, "{undo:?}");
    assert!(undo.out.contains("down"), "{undo:?}");
    let down = place.gameday(&["lab", "down", "--state", "shop"]);
    assert_eq!(down.code, 0, "{down:?}");
}

#[test]
fn killed_at_every_ledger_line_everything_is_put_back() {
    let _beside = beside_others();
    let lines = {
        let place = Place::new();
        let file = place.write("short.yaml", &short_scenario("2s", "700ms"));
        let said = place.gameday(&["run", &file]);
        assert!(said.code <= 2, "{said:?}");
        ledger_lines(&place)
    };
    assert!(lines >= 5, "system opened, armed, injected, paid, closed; not {lines}");
    for line in 1..=lines {
        let place = Place::new();
        let file = place.write("short.yaml", &short_scenario("2s", "700ms"));
        let mut run = place.start(&["run", &file]);
        let there = until(Duration::from_secs(30), || {
            (ledger_lines(&place) >= line || !run.is_running()).then_some(())
        });
        assert!(there.is_some(), "line {line} is written");
        run.kill();
        let gone = until(Duration::from_secs(30), || place.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "killed at line {line}, left: {:?}", place.processes());
        let undo = place.gameday(&["undo"]);
        assert_eq!(undo.code, 0, "killed at line {line}: {undo:?}");
        let dry = place.gameday(&["undo", "--dry-run"]);
        assert_eq!(dry.code, 0, "killed at line {line}: {dry:?}");
    }
}
