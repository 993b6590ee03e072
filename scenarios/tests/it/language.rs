//! What the language means: overrides, defaults, arms, load, limits.

use std::collections::BTreeMap;

use harness_core::fault::Capability;
use harness_core::plan::{
    Assertion, Feed, Guard, Key, Plan, Shape, SourcePlan, StatusRange, StopRule, TimerMode,
    TrialMode,
};
use harness_core::units::{Duration, Ratio};

use crate::world::plan_of;

const OUTAGE: &str = include_str!("../../catalogue/payments-outage.yaml");
const KILL: &str = include_str!("../../catalogue/checkout-pod-kill.yaml");

fn arms(plan: &Plan) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for trial in &plan.trials.planned {
        *counts.entry(trial.arm.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn the_starter_is_a_complete_scenario() {
    let plan = plan_of(scenarios::starter(), |_| {}).unwrap();
    assert_eq!(plan.scenario.name, "my-first-game-day");
}

#[test]
fn overrides_take_the_place_of_what_is_said() {
    let quick = plan_of(OUTAGE, |input| {
        input.trials = Some(2);
        input.mode = Some(TrialMode::Observed);
        input.seed = Some(7);
    })
    .unwrap();
    assert_eq!(arms(&quick), BTreeMap::from([("fault", 2), ("placebo", 2)]));
    assert_eq!((quick.trials.mode, quick.seed), (TrialMode::Observed, 7));
    let twelve = plan_of(OUTAGE, |input| input.trials = Some(12)).unwrap();
    assert_eq!(arms(&twelve), BTreeMap::from([("fault", 12), ("placebo", 5)]));
    assert!(plan_of(OUTAGE, |input| input.trials = Some(0)).unwrap_err().contains("S032"));
    let lone = plan_of(OUTAGE, |input| {
        (input.trials, input.placebo) = (Some(1), Some(0));
    });
    assert_eq!(arms(&lone.unwrap()), BTreeMap::from([("fault", 1)]));
    let more = plan_of(OUTAGE, |input| (input.trials, input.placebo) = (Some(1), Some(3)));
    assert_eq!(arms(&more.unwrap()), BTreeMap::from([("fault", 1), ("placebo", 3)]));
}

#[test]
fn policies_and_approvals_are_planned_and_change_the_plan_only_when_said() {
    let plain = plan_of(OUTAGE, |_| {}).unwrap();
    assert!(!plain.to_json().contains("approvals") && !plain.to_json().contains("policy"));
    let text = OUTAGE.replace(
        "  expect:\n",
        "  safety: {policy: [rules/team.rego, data.json], approvals: {required: 2}}\n  expect:\n",
    );
    let ruled = plan_of(&text, |_| {}).unwrap();
    assert_eq!(ruled.safety.policy, ["rules/team.rego", "data.json"]);
    assert_eq!(ruled.safety.approvals, 2);
    let wrong = text.replace("required: 2", "needed: 2");
    assert!(plan_of(&wrong, |_| {}).is_err());
}

#[test]
fn defects_are_checked_and_planned() {
    let off = [("breaker".to_owned(), "off".to_owned())];
    let plan = plan_of(OUTAGE, |input| input.defects = off.to_vec()).map(|p| p.system.defects);
    assert_eq!(plan.unwrap(), BTreeMap::from([("breaker".to_owned(), "off".to_owned())]));
    let wrong = [("braeker".to_owned(), "off".to_owned())];
    let refused = plan_of(OUTAGE, |input| input.defects = wrong.to_vec()).unwrap_err();
    assert!(refused.contains("S035") && refused.contains("did you mean `breaker`?"), "{refused}");
}

#[test]
fn a_missing_mechanism_refuses_the_plan() {
    let missing =
        BTreeMap::from([("proxy".to_owned(), Capability::Missing("no sockets".to_owned()))]);
    let nothing = BTreeMap::new();
    for (capabilities, why) in [(&missing, "no sockets"), (&nothing, "nobody looked")] {
        let refused =
            plan_of(OUTAGE, |input| input.capabilities.clone_from(capabilities)).unwrap_err();
        assert!(refused.contains("S034") && refused.contains(why), "{refused}");
    }
    let plan = plan_of(OUTAGE, |_| {}).unwrap();
    assert_eq!(plan.capabilities.keys().collect::<Vec<_>>(), ["proxy"], "only what it needs");
}

#[test]
fn a_claim_of_silence_needs_as_many_placebo_trials_as_it_says() {
    let quiet = KILL
        .replace("pages: {exactly: 1}", "quietInPlacebo: true")
        .replace("trials: {count: 14, placebo: 5}", "trials: {seed: 3}");
    let plan = plan_of(&quiet, |_| {}).unwrap();
    assert_eq!(arms(&plan), BTreeMap::from([("fault", 14), ("placebo", 14)]));
    let silent = plan.expectations.iter().find(|e| matches!(e.assertion, Assertion::Quiet { .. }));
    let silent = silent.unwrap();
    assert_eq!((silent.id.as_str(), silent.arms[0].as_str()), ("detection-quiet", "placebo"));
    let stricter =
        quiet.replace("quietInPlacebo: true", "quietInPlacebo: true\n        inAtLeast: 90%");
    let plan = plan_of(&stricter, |_| {}).unwrap();
    assert_eq!(arms(&plan), BTreeMap::from([("fault", 29), ("placebo", 29)]));
}

#[test]
fn spare_trials_follow_and_seeds_differ() {
    let plan = plan_of(OUTAGE, |_| {}).unwrap();
    let spare: Vec<&str> = plan.trials.spare.iter().map(|trial| trial.arm.as_str()).collect();
    assert_eq!(spare, ["fault", "placebo", "fault", "fault"], "a fifth of 14 and of 5, rounded up");
    let all = || plan.trials.planned.iter().chain(&plan.trials.spare);
    assert!(all().enumerate().all(|(at, trial)| trial.index.0 as usize == at));
    let seeds: std::collections::BTreeSet<u64> = all().map(|trial| trial.seed).collect();
    assert_eq!(seeds.len(), 23);
    assert!(all().all(|trial| trial.delay <= scenarios::JITTER_MAX));
}

#[test]
fn the_whole_run_fits_into_three_minutes() {
    let plan = plan_of(OUTAGE, |_| {}).unwrap();
    let jitter = plan.trials.planned.iter().map(|trial| trial.delay).sum::<Duration>();
    let held = plan.phases.longest().saturating_sub(plan.phases.recovery_up_to);
    let each = held + plan.steady.hold.times(2) + Duration::from_secs(1);
    let whole = each.times(plan.trials.planned.len() as u64) + jitter;
    assert!(whole < Duration::from_secs(180), "{whole}");
}

#[test]
fn arms_of_ones_own() {
    let text = OUTAGE.replace(
        "trials: {count: 14, placebo: 5}",
        "trials: {count: {min: 14, max: 60}, stop: sequential, placebo: 6, order: inTurn,\n    \
         arms: {outage: {}, quiet: {faults: none}}}",
    );
    let plan = plan_of(&text, |_| {}).unwrap();
    assert_eq!(arms(&plan), BTreeMap::from([("outage", 60), ("quiet", 6)]));
    assert_eq!(plan.trials.stop, StopRule::Sequential);
    assert_eq!(plan.trials.planned[1].arm.as_str(), "quiet", "in turn");
    assert_eq!(plan.expectations[0].arms, ["outage".into()]);
}

#[test]
fn load_in_full() {
    let text = OUTAGE.replace(
        "load: {rate: 400/s, request: {post: /checkout}}",
        r#"load:
    open:
      spike: {base: 400/s, peak: 900/s, at: 3s, for: 1s}
      arrivals: poisson
      timeout: 1s
      timer: exact
      workers: 2
      good: [2xx, 302, 404..405]
      feeds: {user: {rows: [{name: ada}, {name: bob}], inTurn: true}, n: {sequence: {}}}
      mix:
        - {weight: 8, get: '/cart/{{user.name}}', kind: cart}
        - {weight: 2, post: /checkout, body: '{"n": {{n}}}', headers: {accept: text/plain}}"#,
    );
    let load = plan_of(&text, |_| {}).unwrap().load;
    assert!(matches!(load.shape, Shape::Spike { .. }));
    assert_eq!(
        (load.timer, load.workers, load.timeout),
        (TimerMode::Exact, 2, Duration::from_secs(1))
    );
    let good = [(200, 299), (302, 302), (404, 405)].map(|(from, to)| StatusRange { from, to });
    assert_eq!(load.good, good);
    assert_eq!((load.mix[0].kind.as_str(), load.mix[0].key), ("cart", Key::None));
    assert_eq!((load.mix[1].kind.as_str(), load.mix[1].key), ("POST /checkout", Key::Sequence));
    assert!(matches!(load.feeds["user"], Feed::Rows { in_turn: true, .. }));
}

#[test]
fn data_may_stand_in_files() {
    let load = |text: &str| {
        let text = OUTAGE.replace("load: {rate: 400/s, request: {post: /checkout}}", text);
        plan_of(&text, |_| {}).map(|plan| plan.load)
    };
    let feeds = load(
        "load: {rate: 400/s, request: {post: '/checkout/{{a.city}}/{{b.age}}/{{c}}'}, \
         feeds: {a: {csv: people.csv, inTurn: true}, b: {json: people.json}, \
         c: {json: skus.json}}}",
    );
    let feeds = feeds.unwrap().feeds;
    let Feed::Rows { rows, in_turn: true } = &feeds["a"] else { panic!("{feeds:?}") };
    assert_eq!(rows[1]["name"], "hopper, grace");
    assert_eq!(rows[1]["city"], "new york");
    let Feed::Rows { rows, in_turn: false } = &feeds["b"] else { panic!("{feeds:?}") };
    assert_eq!(rows[0]["age"], "36");
    assert_eq!(feeds["c"], Feed::Choice { of: vec!["a".into(), "b".into(), "3".into()] });
    let recorded = load("load: {recorded: {file: arrivals.txt}, request: {post: /checkout}}");
    let error = recorded.unwrap_err();
    assert!(error.contains("S027"), "three arrivals are few, and nothing else is wrong: {error}");
    for (text, why) in [
        ("{csv: ragged.csv}", "found record with 1 field"),
        ("{json: nested.json}", "is not a single value"),
        ("{csv: nowhere.csv}", "No such file"),
    ] {
        let feed =
            format!("load: {{rate: 400/s, request: {{post: /checkout}}, feeds: {{a: {text}}}}}");
        let error = load(&feed).unwrap_err();
        assert!(error.contains("S050") && error.contains(why), "{text}: {error}");
    }
    let back = load("load: {recorded: {file: back.txt}, request: {post: /checkout}}").unwrap_err();
    assert!(back.contains("line 2 is before the first"), "{back}");
}

#[test]
fn a_probe_of_ones_own_is_the_witness_and_a_sentinel() {
    let text = OUTAGE
        .replace(
            "  system: {lab: shop}\n",
            "  system: {lab: shop}\n  signals:\n    sentinel: {probe: {edge: checkout->payments, \
             every: 100ms}}\n",
        )
        .replace(
            "for: 3s}",
            "for: 3s, effective: {by: sentinel, when: failed 5 in a row, within: 1s}}",
        );
    let plan = plan_of(&text, |_| {}).unwrap();
    let fault = &plan.faults[0];
    assert_eq!(fault.effective.by.as_ref().unwrap().as_str(), "sentinel");
    assert_eq!((fault.effective.in_a_row, fault.effective.every.millis()), (5, 100));
    assert_eq!(plan.steady.sentinels, ["sentinel".into()]);
    let ids: Vec<&str> = plan.signals.iter().map(|signal| signal.id.as_str()).collect();
    assert_eq!(ids, ["sentinel", "alerts", "actions"]);
    assert!(matches!(plan.signals[0].source, SourcePlan::Probe { .. }));
}

#[test]
fn the_radius_is_what_the_scenario_names_unless_it_says_otherwise() {
    let outage = plan_of(OUTAGE, |_| {}).unwrap().safety.radius;
    assert_eq!((outage.instances, outage.edges), (0, 1));
    let kill = plan_of(KILL, |_| {}).unwrap().safety.radius;
    assert_eq!((kill.instances, kill.edges, kill.share.to_string()), (1, 0, "34%".to_owned()));
    let stricter = KILL.replace("share: 34%", "share: 33%");
    assert!(plan_of(&stricter, |_| {}).unwrap_err().contains("S029"));
}

/// Four faults, one after the other, on instances that chance decides: of `checkout`, which has
/// three.
const FOUR: &str = "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {name: four}
spec:
  system: {lab: shop}
  load: {rate: 400/s, request: {get: /}}
  faults:
    - {id: a, process-pause: {service: checkout}, for: 1s}
    - {id: b, fd-limit: {service: checkout, room: 3}, at: 1s, for: 1s}
    - {id: c, cpu-pressure: {service: checkout, share: 10%}, at: 2s, for: 1s}
    - {id: d, pod-kill: {service: checkout}, at: 3s, for: 1s}
  expect:
    - successRate: {atLeast: 50%, during: fault}
";

#[test]
fn faults_by_chance_add_up_until_the_whole_service_is_touched() {
    let radius = plan_of(FOUR, |_| {}).unwrap().safety.radius;
    assert_eq!((radius.instances, radius.share), (3, Ratio::ONE));
    for limit in ["instances: 1", "instances: 2", "share: 34%", "share: 99%"] {
        let text = format!("{FOUR}  safety: {{blastRadius: {{{limit}}}}}\n");
        assert!(plan_of(&text, |_| {}).unwrap_err().contains("S029"), "{limit}");
    }
    let whole = format!("{FOUR}  safety: {{blastRadius: {{instances: 3, share: 100%}}}}\n");
    assert!(plan_of(&whole, |_| {}).is_ok());
}

#[test]
fn the_load_is_always_watched() {
    let stale = |said: &str| -> Result<Vec<String>, String> {
        let text = format!("{FOUR}  safety: {{guardrails: [{said}]}}\n");
        let rails = plan_of(&text, |_| {})?.safety.guardrails;
        let stale = rails.iter().filter(|rail| rail.guard == Guard::LoadStale {});
        Ok(stale.map(|rail| rail.lasting.to_string()).collect())
    };
    assert_eq!(stale("").unwrap(), ["3s"]);
    assert_eq!(stale("success < 50% for 1s").unwrap(), ["3s"]);
    assert_eq!(stale("load stale for 1s").unwrap(), ["1s"]);
    assert_eq!(stale("load stale for 10s").unwrap(), ["10s"]);
    for longer in ["10001ms", "10m"] {
        let error = stale(&format!("load stale for {longer}")).unwrap_err();
        assert!(error.contains("at most 10s"), "{error}");
    }
}

#[test]
fn a_long_claim_about_recovery_gets_a_long_recovery() {
    let text = KILL.replace("within: 5s}", "within: 9s}");
    let plan = plan_of(&text, |_| {}).unwrap();
    assert_eq!(plan.phases.recovery_up_to, Duration::from_millis(10_500));
}

#[test]
fn comments_and_spaces_change_only_the_hash() {
    let one = plan_of(OUTAGE, |_| {}).unwrap();
    let two = plan_of(&format!("# more words\n{OUTAGE}"), |_| {}).unwrap();
    assert_ne!(one.scenario.sha256, two.scenario.sha256);
    assert_eq!(one.trials, two.trials);
}

/// Two containers of one service.
const CONTAINED: &str = "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {name: contained}
spec:
  system:
    containers:
      socket: /run/podman/podman.sock
      entry: http://127.0.0.1:8080
      environment: staging
      services:
        web: {containers: [web-2, web-1], port: 8080}
  load: {rate: 400/s, request: {get: /}}
  faults:
    - {id: frozen, container-pause: {service: web}, for: 3s}
  expect:
    - successRate: {atLeast: 99%, during: fault}
  safety: {environments: [staging]}
";

#[test]
fn containers_are_declared_by_the_scenario_itself() {
    let plan = plan_of(CONTAINED, |_| {}).unwrap();
    let system = &plan.system;
    assert_eq!((system.kind.as_str(), system.environment.as_str()), ("containers", "staging"));
    let names: Vec<&str> =
        system.topology.services[0].instances.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["web-1", "web-2"], "in the order of their names");
    let where_found = system.containers.as_ref().unwrap();
    assert_eq!(where_found.socket.as_deref(), Some("/run/podman/podman.sock"));
    assert_eq!(where_found.entry, "http://127.0.0.1:8080");
    assert_eq!(where_found.ports[&"web".into()], 8080);
    assert_eq!(plan.faults[0].radius.share.unwrap().to_string(), "50%");
    let ids: Vec<&str> = plan.signals.iter().map(|signal| signal.id.as_str()).collect();
    assert!(ids.is_empty(), "the lab's records are the lab's: {ids:?}");
    let with = plan_of(CONTAINED, |change| change.defects.push(("breaker".into(), "off".into())));
    assert!(with.unwrap_err().contains("is not a defect of this system"));

    let lab = plan_of(OUTAGE, |_| {}).unwrap().to_json();
    assert!(!lab.contains("\"containers\""), "plans of labs are as they were");
}

#[test]
fn what_containers_do_not_tell_cannot_be_judged_on_them() {
    for claim in [
        "expect: [{invariant: [none-lost]}]",
        "expect: [{detection: {alert: slow, within: 3s}}]",
        "expect: [{cost: {rateAtMost: 1 EUR/s, during: fault}}]",
        "automation: [{id: it, actions: {restart: {actor: supervisor, action: restart}}, expect: \
         {never: {actions: [restart]}}}]",
    ] {
        let (before, rest) = CONTAINED.split_once("  expect:").unwrap();
        let (_, safety) = rest.split_once("  safety:").unwrap();
        let text = format!("{before}  {claim}\n  safety:{safety}");
        let error = plan_of(&text, |_| {}).unwrap_err();
        assert!(error.contains("cannot be judged on containers"), "{claim}: {error}");
    }
}
