//! The harness itself stands still in each trial: nothing may be concluded.

use std::time::Duration;

use crate::support::{Place, alone, signal, until};

#[test]
fn a_harness_that_stands_still_concludes_nothing() {
    let _alone = alone();
    let place = Place::new();
    let mut run = place.start(&["run", "payments-outage", "--mode", "observed", "--trials", "2"]);
    let journal = || {
        let path = place.only_run()?.join("journal.jsonl");
        std::fs::read_to_string(path).ok()
    };
    let mut stalled = 0;
    while run.is_running() {
        let marks = journal().map_or(0, |text| text.matches("\"effective\":{").count());
        if marks > stalled {
            signal(run.pid(), "STOP");
            std::thread::sleep(Duration::from_secs(1));
            signal(run.pid(), "CONT");
            stalled = marks;
        }
        until(Duration::from_millis(20), || (!run.is_running()).then_some(()));
    }
    let said = run.end();
    assert_eq!(stalled, 2, "each fault trial was disturbed: {said:?}");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.out.contains("stood still"), "the reason is given: {}", said.out);
}
