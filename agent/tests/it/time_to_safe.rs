//! The program that measures how soon everything flows again still measures it.

use std::process::Command;

#[test]
fn one_round_gives_two_times() {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().unwrap().parent().unwrap().join("examples/time_to_safe");
    let said = Command::new(&program).args(["1", "open"]).output();
    let said = said.unwrap_or_else(|error| {
        panic!("{}: {error}; cargo build -p agent --example time_to_safe", program.display())
    });
    assert!(said.status.success(), "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    let times: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [callee, callers] = times[..] else { panic!("two times: {text}") };
    assert!(0.0 < callee && callee <= callers && callers < 30_000.0, "{text}");
}
