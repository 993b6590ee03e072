//! Real rules on a real plan's JSON, and rules that are wrong.

use harness_core::fault::BlastRadius;
use harness_core::plan::{FaultPlan, Plan};
use harness_core::policy::Approval;
use harness_core::time::WallTime;

use super::*;
use crate::{Layers, Tests, default_rules, read, test};

/// 2026-11-25 12:00 UTC, a Wednesday.
const NOON: WallTime = WallTime(1_795_608_000_000);

/// A plan as `gameday plan --json` prints it.
fn plan() -> Plan {
    serde_json::from_str(include_str!("plan.json")).unwrap()
}

fn asked(rules: &str) -> Result<Answer, PolicyError> {
    let own = Source { name: "own.rego".to_owned(), text: rules.to_owned() };
    ask(&[default_rules(), own], &Question { plan: &plan(), now: NOON, approvals: &[] })
}

fn denied(plan: &Plan, data: &str, approvals: &[&Approval]) -> Vec<String> {
    let data = Source { name: "data.json".to_owned(), text: data.to_owned() };
    let question = Question { plan, now: NOON, approvals };
    let answer = ask(&[default_rules(), data], &question).unwrap();
    answer.deny.into_iter().map(|reason| reason.rule).collect()
}

/// So many of the three instances of `checkout`.
fn by_chance(count: u32) -> BlastRadius {
    let instances = (0..3).map(|slot| format!("checkout/checkout-{slot}")).collect();
    BlastRadius { instances, at_most: Some(count), ..BlastRadius::default() }
}

#[test]
fn the_default_rules_pass_their_own_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules");
    let sources = read(&[folder], Tests::With).unwrap();
    let tested = test(&sources).unwrap();
    let failed: Vec<_> = tested.iter().filter(|one| one.failed.is_some()).collect();
    assert_eq!(failed, [] as [&crate::Tested; 0]);
    assert!(tested.len() >= 10, "{tested:?}");
}

#[test]
fn the_default_rules_know_the_plan_as_it_is_written() {
    let lab = plan();
    assert_eq!(denied(&lab, "{}", &[]), [""; 0]);
    let freeze = r#"{"limits": {"freezes": [
        {"from": "2026-11-25T00:00:00Z", "to": "2026-11-26T00:00:00Z", "because": "sale"}]}}"#;
    assert_eq!(denied(&lab, freeze, &[]), ["freeze"]);

    let mut prod = plan();
    prod.system.environment = "prod".to_owned();
    prod.faults[0].radius.share = Some("67%".parse().unwrap());
    assert_eq!(denied(&prod, "{}", &[]), ["approvals", "environment", "share"]);
    prod.safety.environments.push("prod".to_owned());
    prod.faults[0].radius.share = Some("50%".parse().unwrap());
    assert_eq!(denied(&prod, "{}", &[]), ["approvals"]);
    let mut two = prod.clone();
    two.faults[0].radius = by_chance(1);
    assert_eq!(denied(&two, "{}", &[]), ["approvals"], "a third");
    let second = FaultPlan { id: "second".into(), ..two.faults[0].clone() };
    two.faults.push(second);
    assert_eq!(denied(&two, "{}", &[]), ["approvals"], "the second is in no arm");
    for arm in two.arms.iter_mut().filter(|arm| !arm.is_placebo()) {
        arm.faults.push("second".into());
    }
    assert_eq!(denied(&two, "{}", &[]), ["approvals", "share"], "two thirds together");
    let approval = Approval {
        plan: prod.sha256(),
        by: "anna".to_owned(),
        account: "anna".to_owned(),
        at: NOON,
        expires: WallTime(NOON.0 + 1),
        note: String::new(),
    };
    assert_eq!(denied(&prod, "{}", &[&approval]), [""; 0]);
    prod.faults[0].reversibility = harness_core::fault::Reversibility::Irreversible;
    assert_eq!(denied(&prod, "{}", &[&approval]), ["irreversible"]);
}

#[test]
fn a_scenario_can_only_be_stricter_than_its_organisation() {
    let mut prod = plan();
    prod.system.environment = "prod".to_owned();
    prod.safety.environments.push("prod".to_owned());
    prod.faults[0].radius.share = Some("40%".parse().unwrap());
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let denied = |theirs: &str, own: &str| -> Vec<String> {
        let file = |name: &str, text: &str| match text {
            "" => Vec::new(),
            text => vec![source(name, text)],
        };
        let layers = Layers { organisation: file("a.json", theirs), scenario: file("b.json", own) };
        let answer = layers.ask(&Question { plan: &prod, now: NOON, approvals: &[] }).unwrap();
        answer
            .deny
            .into_iter()
            .map(|reason| format!("{}: {}", reason.rule, reason.because))
            .collect()
    };
    let limits = |share: &str, approvals: u32| {
        let (share, approvals) =
            (format!("{{\"prod\": {share}}}"), format!("{{\"prod\": {approvals}}}"));
        format!("{{\"limits\": {{\"shares\": {share}, \"approvals\": {approvals}}}}}")
    };
    let (loose, strict) = (limits("0.9", 0), limits("0.3", 2));
    assert_eq!(denied("", "").len(), 1, "one approval, unless somebody says otherwise");
    assert!(denied("", &loose).is_empty(), "without an organisation the scenario decides");
    assert!(denied(&loose, "").is_empty());
    for (theirs, own) in [(&strict, &loose), (&loose, &strict), (&strict, &strict)] {
        let said = denied(theirs, own);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("approvals: 0 of 2"), "{said:?}");
        assert!(said[1].contains("a share of 0.3"), "{said:?}");
    }
    let frozen = r#"{"limits": {"shares": {"prod": 0.9}, "approvals": {"prod": 0}, "freezes": [
        {"from": "2026-11-25T00:00:00Z", "to": "2026-11-26T00:00:00Z", "because": "sale"}]}}"#;
    let thawed = r#"{"limits": {"freezes": []}}"#;
    assert_eq!(denied(frozen, thawed).len(), 1, "a freeze cannot be lifted");
    assert_eq!(denied(&loose, r#"{"limits": {"shares": {"prod": 0.3}}}"#).len(), 1, "only that");
}

#[test]
fn a_scenario_without_files_keeps_to_the_rules_of_its_organisation() {
    let own = "package gameday.org\nimport rego.v1\ndeny contains \"not here\"";
    let rules = Source { name: "org.rego".to_owned(), text: own.to_owned() };
    let beside = "package gameday.org\nimport rego.v1\nwarn contains \"mine\"";
    let beside = Source { name: "own.rego".to_owned(), text: beside.to_owned() };
    for scenario in [Vec::new(), vec![beside], vec![rules.clone()]] {
        let layers = Layers { organisation: vec![rules.clone()], scenario };
        let answer = layers.ask(&Question { plan: &plan(), now: NOON, approvals: &[] }).unwrap();
        assert_eq!(answer.deny.len(), 1, "{answer:?}");
    }
    let broken = Source { name: "b.json".to_owned(), text: "{".to_owned() };
    let layers = Layers { organisation: vec![broken], scenario: Vec::new() };
    assert!(layers.ask(&Question { plan: &plan(), now: NOON, approvals: &[] }).is_err());
}

#[test]
fn a_sentence_and_an_object_are_reasons() {
    let answer = asked(
        r#"package gameday.team
           import rego.v1
           deny contains "not today"
           deny contains {"rule": "owner", "because": "nobody owns it", "hint": "name one"} if {
               input.plan.system.environment == "lab"
           }
           warn contains "a look would not hurt""#,
    )
    .unwrap();
    let words: Vec<_> = answer.deny.iter().map(|one| (&*one.rule, &*one.because)).collect();
    assert_eq!(words, [("owner", "nobody owns it"), ("policy", "not today")]);
    assert_eq!(answer.warn.len(), 1);
}

#[test]
fn a_rule_that_cannot_be_evaluated_denies() {
    for (rules, expected) in [
        // A builtin's error is no "undefined".
        (
            "package gameday.x\nimport rego.v1\n\
             deny contains \"late\" if time.parse_rfc3339_ns(\"yesterday\") > 0",
            "could not evaluate data.gameday.x.deny",
        ),
        (
            "package gameday.x\nimport rego.v1\n\
             deny contains \"big\" if to_number(input.plan.scenario.name) > 3",
            "could not evaluate data.gameday.x.deny",
        ),
        ("package gameday.x\nimport rego.v1\ndeny := true", "must be a set of sentences"),
        ("package gameday.x\nimport rego.v1\ndeny contains 7", "must be a set of sentences"),
        ("package gameday.x\nimport rego.v1\ndeny contains {\"why\": 1}", "must be a set"),
        ("package gameday.x\ndeny contains \"x\" if", "could not understand"),
        ("package other\nimport rego.v1\ndeny contains \"x\"", "not at or below data.gameday"),
        ("package gamedayish\nimport rego.v1\ndeny contains \"x\"", "not at or below"),
    ] {
        let error = asked(rules).unwrap_err().to_string();
        assert!(error.contains(expected), "{rules}: {error}");
    }
}

#[test]
fn a_rule_without_an_end_is_cut_off() {
    let rules = "package gameday.x\nimport rego.v1\n\
                 deny contains \"x\" if { some a in numbers.range(1, 100000); \
                 some b in numbers.range(1, 100000); a * b == 0 }";
    let error = asked(rules).unwrap_err().to_string();
    assert!(error.contains("could not evaluate"), "{error}");
}

#[test]
fn tests_of_rules_pass_fail_and_break() {
    let text = "package gameday.x_test\nimport rego.v1\n\
                test_good if 1 + 1 == 2\n\
                test_bad if 1 + 1 == 3\n\
                test_broken if to_number(\"x\") == 3\n\
                test_word := \"yes\"\n";
    let source = Source { name: "x_test.rego".to_owned(), text: text.to_owned() };
    let tested = test(&[source]).unwrap();
    let failed = |name: &str| {
        let one = tested.iter().find(|one| one.name == name).unwrap();
        one.failed.clone()
    };
    assert_eq!(failed("test_good"), None);
    assert_eq!(failed("test_bad").unwrap(), "it is not true");
    assert!(failed("test_broken").unwrap().contains("could not evaluate"));
    assert!(failed("test_word").unwrap().contains("yes"));
}

#[test]
fn only_rules_and_data_are_read_and_tests_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.rego", "a_test.rego", "data.json", "README.md"] {
        std::fs::write(folder.path().join(name), "{}").unwrap();
    }
    let names = |tests| -> Vec<String> {
        let sources = read(&[folder.path().to_owned()], tests).unwrap();
        let name = |source: &Source| source.name.rsplit('/').next().unwrap().to_owned();
        sources.iter().map(name).collect()
    };
    assert_eq!(names(Tests::Without), ["b.rego", "data.json"]);
    assert_eq!(names(Tests::With), ["a_test.rego", "b.rego", "data.json"]);
    assert!(read(&[folder.path().join("README.md")], Tests::With).is_err());
    assert!(read(&[folder.path().join("gone.rego")], Tests::With).is_err());
}
