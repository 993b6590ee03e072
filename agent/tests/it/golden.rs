//! Undo records that earlier versions wrote are still paid: one golden record per kind of fault,
//! as a real run left it. Its processes and sockets are long gone, so there is nothing to put back;
//! what is tested is that this version still understands it.
//!
//! `GAMEDAY_BLESS_UNDO=$PWD/agent/tests/it/golden cargo test -p harness-cli --test it ledger_line`
//! writes the records of kinds that have none. A record that is there is never rewritten to please
//! a change: the change must go on reading it.

use std::collections::BTreeMap;
use std::path::Path;

use harness_core::fault::{Cx, Debt, FaultError, Sighting};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use harness_engine::ledger::OwedFault;

use crate::world::TestClock;

fn golden() -> BTreeMap<String, OwedFault> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let owed = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_string_lossy().into_owned(), owed)
        })
        .collect()
}

#[tokio::test]
async fn records_of_earlier_versions_are_understood_and_paid() {
    let registry = injectors::registry();
    for (name, owed) in golden() {
        let entry = registry.entry(&owed.kind, &owed.system);
        let entry = entry.unwrap_or_else(|| panic!("{name}: the kind is gone, its debts are not"));
        let (run, fault) = (RunId::new("golden"), FaultId::from(owed.fault.as_str()));
        let topology = Topology::default();
        let cx = Cx {
            run: &run,
            trial: TrialIndex(0),
            fault: &fault,
            topology: &topology,
            lease: owed.lease,
            deadline: Duration::from_secs(5),
            clock: &TestClock,
        };
        entry.injector.check(&owed.spec).unwrap_or_else(|error| panic!("{name}: {error}"));
        match entry.injector.revert(&cx, &owed.undo).await {
            Ok(_) => {}
            // A part that is not there may be an error; a record that is not understood is one.
            Err(error @ FaultError::Unreadable { .. }) => panic!("{name}: {error}"),
            Err(error) => println!("{name}: {error}"),
        }
        let debt = Debt { spec: &owed.spec, undo: &owed.undo, baseline: &owed.baseline };
        let seen = entry.witness.look(&cx, debt).await;
        // What is not there refuses connections, which is what some faults do, too.
        let (Sighting::InForce(words)
        | Sighting::NotInForce(words)
        | Sighting::Over(words)
        | Sighting::Unknown(words)) = &seen;
        assert!(!words.contains("unreadable"), "{name}: {seen:?}");
    }
}

/// Its records are those of the user's own program, which no version of ours reads.
const WITHOUT_RECORD: [&str; 1] = ["exec"];

#[test]
fn every_kind_has_its_golden_record() {
    let golden = golden();
    let registry = injectors::registry();
    let kinds = ["lab", injectors::containers::CONTAINERS].into_iter();
    let kinds = kinds.flat_map(|system| registry.kinds_on(system));
    for kind in kinds.filter(|kind| !WITHOUT_RECORD.contains(kind)) {
        assert!(golden.contains_key(kind), "{kind}: see the head of this file");
    }
}
