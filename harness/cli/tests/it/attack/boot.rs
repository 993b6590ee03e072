//! The machine loses its power while a fault is in force, comes back with another boot id and a
//! clock that was set: two User-Mode Linux guests, one after the other, over one directory.

use std::time::Instant;

use super::guest::{self, GUEST_MAX, Guest, read};
use super::{Figure, OUTAGE, skip};
use crate::support::{Place, alone, short_scenario, until};
use crate::target::newest_run;

#[test]
fn after_a_loss_of_power_another_boot_pays() {
    if let Some(why) = guest::why_none() {
        return skip("guest: loss_of_power", &why);
    }
    let _alone = alone();
    let place = Place::new();
    let gameday = env!("CARGO_BIN_EXE_gameday");
    let lasting = short_scenario("60s", "60s").replace("50/s", "10/s");
    place.write("short.yaml", &lasting);
    let mut guest = Guest::boot(
        &place,
        &format!("cat /proc/sys/kernel/random/boot_id >first-boot\n{gameday} run short.yaml\n"),
    );
    let runs = place.path().join(".gameday/runs");
    let in_force = until(GUEST_MAX, || {
        let ended = place.path().join("status").exists();
        let journal = newest_run(&runs).map(|run| run.join("journal.jsonl"));
        let journal = journal.and_then(|path| std::fs::read_to_string(path).ok());
        let effective = journal.is_some_and(|text| text.contains("\"effective\":{"));
        (ended || effective).then_some(effective)
    });
    let words = || format!("{}\n{}", read(&place, "output"), read(&place, "console"));
    assert_eq!(in_force, Some(true), "the fault is in force: {}", words());
    let began = Instant::now();
    guest.cut();
    let owing = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(owing.code, 4, "{owing:?}");

    let _second = Guest::boot(
        &place,
        &format!(
            "cat /proc/sys/kernel/random/boot_id >second-boot\n\
             date -s '2031-01-01 00:00:00' >/dev/null\n{gameday} undo\n"
        ),
    );
    let ended = until(GUEST_MAX, || place.path().join("status").exists().then_some(()));
    assert!(ended.is_some(), "the second guest ends: {}", words());
    assert_ne!(read(&place, "first-boot"), read(&place, "second-boot"));
    assert_eq!(read(&place, "status").trim(), "0", "{}", words());
    let paid = place.gameday(&["undo", "--dry-run"]);
    assert_eq!(paid.code, 0, "{paid:?}");
    let to_safe = began.elapsed();
    Figure { attack: "loss of power, another boot", kind: OUTAGE, to_safe, named: 0 }.keep();
}
