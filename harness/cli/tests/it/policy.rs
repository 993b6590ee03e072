//! Rules and approvals from outside: what may be run, and who has said so. Nothing is started.

use crate::support::{Place, short_scenario};

fn with_safety(safety: &str) -> String {
    short_scenario("2s", "1s").replace("safety: {lease: 2s}", &format!("safety: {{{safety}}}"))
}

/// Runs it, which must be refused before anything is begun.
fn refused(place: &Place, scenario: &str) -> String {
    let file = place.write("scenario.yaml", scenario);
    let said = place.gameday(&["run", &file]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(place.only_run().is_none(), "nothing is begun");
    let check = place.gameday(&["policy", "check", &file]);
    assert_eq!(check.code, 69, "{check:?}");
    said.err
}

#[test]
fn a_plan_that_needs_approvals_waits_for_them() {
    let place = Place::new();
    let scenario = with_safety("lease: 2s, approvals: {required: 2}");
    let said = refused(&place, &scenario);
    assert!(said.contains("refused (approvals): 0 of 2 approvals are there"), "{said}");
    let plan = place.gameday(&["plan", "scenario.yaml"]);
    assert!(plan.out.contains("needs 2 approvals: gameday approve"), "{plan:?}");
    let hash = plan.out.trim().rsplit(' ').next().unwrap();
    assert!(said.contains(hash), "the refusal says which plan: {said}");

    let approve = |arguments: &[&str]| place.gameday(&[&["approve"], arguments].concat());
    let anna = approve(&[hash, "--by", "Anna", "--note", "after lunch"]);
    assert_eq!(anna.code, 0, "{anna:?}");
    assert_eq!(approve(&[hash, "--by", "anna"]).code, 0);
    let said = refused(&place, &scenario);
    assert!(said.contains("1 of 2 approvals"), "one person counts once: {said}");
    assert_eq!(approve(&[hash, "--by", "Ben"]).code, 0);
    let check = place.gameday(&["policy", "check", "scenario.yaml"]);
    assert_eq!(check.code, 0, "{check:?}");

    let other = scenario.replace("for: 1s", "for: 1200ms");
    let said = refused(&place, &other);
    assert!(said.contains("0 of 2 approvals"), "another plan needs another consent: {said}");
    for wrong in [&["abc", "--by", "anna"][..], &[hash, "--by", " "], &[hash]] {
        assert_ne!(approve(wrong).code, 0, "{wrong:?}");
    }
    assert_ne!(approve(&[hash, "--by", "anna", "--for", "9999h"]).code, 0);
}

#[test]
fn the_rules_of_a_scenario_refuse_and_so_do_rules_that_cannot_be_asked() {
    let place = Place::new();
    place.write(
        "team.rego",
        "package gameday.team\nimport rego.v1\n\
         deny contains {\"rule\": \"owner\", \"because\": \"nobody owns it\"} if {\n\
         \tinput.plan.scenario.owner == \"\"\n}\n\
         deny contains \"too long\" if data.limits.longest < 1\n",
    );
    let ruled = with_safety("lease: 2s, policy: [team.rego]");
    assert!(refused(&place, &ruled).contains("refused (owner): nobody owns it"));
    let owned = ruled.replace("{name: short,", "{name: short, owner: anna,");
    let file = place.write("owned.yaml", &owned);
    let check = place.gameday(&["policy", "check", &file, "--json"]);
    assert_eq!(check.code, 0, "{check:?}");

    place.write("data.json", "{\"limits\": {\"longest\": 0}}");
    let said = refused(&place, &owned.replace("[team.rego]", "[team.rego, data.json]"));
    assert!(said.contains("refused (policy): too long"), "{said}");
    place.write(
        "data.json",
        "{\"limits\": {\"freezes\": [{\"from\": \"2020-01-01T00:00:00Z\", \
         \"to\": \"2120-01-01T00:00:00Z\", \"because\": \"the long sale\"}]}}",
    );
    let said = refused(&place, &with_safety("policy: [data.json]"));
    assert!(said.contains("refused (freeze): changes are frozen"), "{said}");

    place.write(
        "broken.rego",
        "package gameday.x\nimport rego.v1\ndeny contains \"x\" if to_number(\"x\") > 1\n",
    );
    let said = refused(&place, &with_safety("policy: [broken.rego]"));
    assert!(said.contains("could not evaluate data.gameday.x.deny"), "{said}");
    let said = refused(&place, &with_safety("policy: [gone.rego]"));
    assert!(said.contains("gone.rego"), "{said}");
}

/// Data with a freeze that is on.
const FROZEN: &str = "{\"limits\": {\"freezes\": [{\"from\": \"2020-01-01T00:00:00Z\", \
                      \"to\": \"2120-01-01T00:00:00Z\", \"because\": \"the long sale\"}]}}";

#[test]
fn no_scenario_leaves_out_the_rules_of_the_organisation() {
    let place = Place::new();
    let org = place.write("org.json", FROZEN);
    place.write("own.json", "{\"limits\": {\"freezes\": []}}");
    for safety in ["lease: 2s", "lease: 2s, policy: [own.json]"] {
        let file = place.write("scenario.yaml", &with_safety(safety));
        assert_eq!(place.gameday(&["policy", "check", &file]).code, 0, "nobody says anything");
        let run = ["run", &file];
        for said in [
            place.gameday(&["run", &file, "--policy", &org]),
            place.gameday(&["calibrate", &file, "--policy", &org]),
            place.gameday_with("GAMEDAY_POLICY", &org, &run),
            place.gameday_with("GAMEDAY_POLICY", &format!("own.json:{org}"), &run),
            // What is said on the command line does not silence the environment.
            place.gameday_with("GAMEDAY_POLICY", &org, &["run", &file, "--policy", "own.json"]),
        ] {
            // Two files of one layer that contradict each other refuse, too.
            assert_eq!(said.code, 69, "{said:?}");
        }
        let said = place.gameday(&["run", &file, "--policy", &org]);
        assert!(said.err.contains("refused (freeze): changes are frozen"), "{said:?}");
        let said = place.gameday_with("GAMEDAY_POLICY", "gone.json", &run);
        assert_eq!(said.code, 69, "what cannot be read refuses: {said:?}");
        assert!(place.only_run().is_none(), "nothing is begun");
    }
    let check = ["policy", "check", "scenario.yaml", "--policy", &org];
    let said = place.gameday(&check);
    for line in ["default.rego (of gameday)", "org.json (of the organisation)", "own.json (of the"]
    {
        assert!(said.out.contains(line), "{said:?}");
    }
    let said = place.gameday(&[&check[..], &["--json"]].concat());
    assert!(said.out.contains("\"of\": \"organisation\""), "{said:?}");
}

#[test]
fn tests_of_rules_are_run() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("rules")).unwrap();
    place.write(
        "rules/a.rego",
        "package gameday.a\nimport rego.v1\ndeny contains \"x\" if input.x\n",
    );
    let none = place.gameday(&["policy", "test", "rules"]);
    assert_eq!(none.code, 64, "{none:?}");
    place.write(
        "rules/a_test.rego",
        "package gameday.a_test\nimport data.gameday.a\nimport rego.v1\n\
         test_denies if count(a.deny) == 1 with input as {\"x\": true}\n",
    );
    let good = place.gameday(&["policy", "test", "rules"]);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.out.contains("test_denies") && good.out.contains("1 of 1 passed"), "{good:?}");
    place.write(
        "rules/b_test.rego",
        "package gameday.b_test\nimport rego.v1\ntest_wrong if 1 == 2\n",
    );
    let bad = place.gameday(&["policy", "test", "rules", "--json"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.out.contains("\"failed\":\"it is not true\""), "{bad:?}");
}
