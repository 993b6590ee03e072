//! Every scenario of the catalogue: without a complaint, and with the plan that is on record.

use scenarios::{CheckInput, PlanInput, check, plan, render};

use crate::world;

#[test]
fn every_scenario_is_clean_and_its_plan_is_on_record() {
    let (registry, systems, capabilities) =
        (world::registry(), world::systems(), world::capabilities());
    for entry in scenarios::catalogue::all() {
        let input = CheckInput {
            params_set: &[],
            registry: &registry,
            systems: &systems,
            files: &world::files,
        };
        let (scenario, diagnostics) = check(entry.name, entry.text, &input);
        let drawn = render(entry.name, entry.text, &diagnostics, false);
        assert!(diagnostics.is_empty(), "{drawn}");
        let scenario = scenario.expect("no complaints");
        assert_eq!(scenario.name(), entry.name);
        let input = PlanInput {
            seed: None,
            trials: None,
            placebo: None,
            mode: None,
            defects: &[],
            capabilities: &capabilities,
            registry: &registry,
            systems: &systems,
        };
        let planned = plan(&scenario, &input).unwrap();
        insta::assert_snapshot!(entry.name, planned.to_json());
        let lines = entry.text.lines().count();
        assert!((20..=60).contains(&lines), "{} has {lines} lines", entry.name);
    }
}
