//! Each catalogue scenario against the healthy lab and against its matching defect, in the quick
//! form: one trial with the fault, and for some one without, compared plainly. `cargo ci full` runs
//! them inferred, all with trials without a fault.

use serde_json::Value;

use crate::attack::skip;
use crate::netns::Netns;
use crate::support::{Place, run_undisturbed_by};

/// Scenarios that claim something of the trials without a fault, and cannot do without any.
const CLAIMS_OVER_PLACEBO: [&str; 1] = ["breaker-automation"];
/// On the healthy lab these have a trial without a fault too: one for each family of faults.
const WITH_PLACEBO: [&str; 5] =
    ["payments-outage", "payments-slow", "checkout-pod-kill", "collector-blackout", "cost-runaway"];

/// Runs the quick form and gives its exit code and what it said.
fn quick(scenario: &str, defect: Option<&str>, netns: Option<&Netns>) -> (i32, String) {
    let mut arguments = vec!["run", scenario, "--mode", "observed", "--trials", "1"];
    if let Some(defect) = defect {
        arguments.extend(["--with", defect]);
    }
    let needs_placebo = CLAIMS_OVER_PLACEBO.contains(&scenario);
    let has_placebo = needs_placebo || defect.is_none() && WITH_PLACEBO.contains(&scenario);
    arguments.extend(["--placebo", if has_placebo { "1" } else { "0" }]);
    let set = netns.map(Netns::set);
    if let Some(set) = &set {
        arguments.extend(["--set", set]);
    }
    let way = netns.map(Netns::way).unwrap_or_default();
    let (place, said) = run_undisturbed_by(&way, &arguments);
    assert!(place.processes().is_empty(), "left behind: {:?}", place.processes());
    (said.code, format!("{}\n{}", said.out, said.err))
}

/// Why this machine cannot do a kind of fault, where it cannot.
pub(crate) fn lacks(kind: &str) -> Option<String> {
    let doctor = Place::new().gameday(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_str(&doctor.out).unwrap();
    let all = doctor["faults"].as_array().unwrap();
    let fault = all.iter().find(|fault| fault["kind"] == kind && fault["system"] == "lab").unwrap();
    let missing = fault["missing"].as_array().unwrap();
    (!missing.is_empty()).then(|| format!("this machine has no {}", fault["missing"]))
}

/// Rows of which some machines lack the kind of fault.
macro_rules! rows_of {
    ($group:literal, $kind:literal:
        $($test:ident: $scenario:literal, $defect:expr => $code:literal;)+) => {
        $(
            #[test]
            fn $test() {
                if let Some(why) = lacks($kind) {
                    return skip(concat!($group, ": ", stringify!($test)), &why);
                }
                let (code, said) = quick($scenario, $defect, None);
                assert_eq!(code, $code, "{said}");
            }
        )+
    };
}

macro_rules! rows {
    ($($test:ident: $scenario:literal, $defect:expr => $code:literal;)+) => {
        $(
            #[test]
            fn $test() {
                let (code, said) = quick($scenario, $defect, None);
                assert_eq!(code, $code, "{said}");
            }
        )+
    };
}

/// The same in a network namespace, with a lab of its own in it; skipped where none can be had.
macro_rules! rows_in_namespace {
    ($group:literal, $kind:literal:
        $($test:ident: $scenario:literal, $defect:expr => $code:literal;)+) => {
        $(
            #[test]
            fn $test() {
                if let Some(why) = lacks($kind) {
                    return skip(concat!($group, ": ", stringify!($test)), &why);
                }
                let Some(netns) = Netns::make(stringify!($test)) else { return };
                let (code, said) = quick($scenario, $defect, Some(&netns));
                assert_eq!(code, $code, "{said}");
                assert_eq!(netns.tables(), "", "no rule is left");
                assert!(netns.queueing().contains("noqueue"), "no delay is left");
            }
        )+
    };
}

rows! {
    payments_outage_is_survived: "payments-outage", None => 0;
    payments_outage_without_breaker: "payments-outage", Some("breaker=off") => 1;
    payments_outage_without_fallback: "payments-outage", Some("fallback=off") => 1;
    payments_outage_with_lost_orders: "payments-outage", Some("worker=loses-orders") => 1;
    payments_outage_with_double_orders: "payments-outage", Some("worker=duplicates") => 1;
    the_guardrail_trips: "payments-outage-guarded", None => 3;
    a_killed_pod_is_survived: "checkout-pod-kill", None => 0;
    a_killed_pod_without_supervisor: "checkout-pod-kill", Some("supervisor=off") => 1;
    a_killed_pod_without_alerts: "checkout-pod-kill", Some("alerter=off") => 1;
    a_killed_pod_that_pages_twice: "checkout-pod-kill", Some("alerter=repeats") => 1;
    a_paused_pod_holds_up_few: "checkout-pause", None => 0;
    a_paused_pod_behind_a_blind_balancer: "checkout-pause", Some("balance=blind") => 1;
    a_pod_without_descriptors_is_survived: "checkout-descriptors", None => 0;
    a_pod_that_opens_a_file_per_order: "checkout-descriptors", Some("checkout=reopens") => 1;
    a_crash_loop_is_survived: "checkout-crash-loop", None => 0;
    a_crash_loop_without_supervisor: "checkout-crash-loop", Some("supervisor=off") => 1;
    a_crash_loop_without_alerts: "checkout-crash-loop", Some("alerter=off") => 1;
    a_bad_release_pages: "bad-release", None => 0;
    a_bad_release_without_alerts: "bad-release", Some("alerter=off") => 1;
    failing_charges_are_survived: "payments-errors", None => 0;
    failing_charges_without_fallback: "payments-errors", Some("fallback=off") => 1;
    a_brown_out_is_survived: "payments-brown-out", None => 0;
    a_brown_out_without_breaker: "payments-brown-out", Some("breaker=off") => 1;
    slow_payments_are_survived: "payments-slow", None => 0;
    slow_payments_without_breaker: "payments-slow", Some("breaker=off") => 1;
    slow_charges_are_survived: "payments-slow-charges", None => 0;
    slow_charges_without_breaker: "payments-slow-charges", Some("breaker=off") => 1;
    a_thin_line_is_survived: "payments-thin-line", None => 0;
    a_thin_line_without_breaker: "payments-thin-line", Some("breaker=off") => 1;
    a_lossy_line_is_survived: "payments-lossy-line", None => 0;
    a_lossy_line_without_fallback: "payments-lossy-line", Some("fallback=off") => 1;
    a_charge_without_answer_is_made_once: "payments-mute", None => 0;
    a_charge_without_answer_is_made_twice: "payments-mute", Some("worker=duplicates") => 1;
    answers_that_end_early_are_survived: "payments-cut-answers", None => 0;
    answers_that_end_early_without_fallback: "payments-cut-answers", Some("fallback=off") => 1;
    garbled_answers_are_survived: "payments-garbled", None => 0;
    garbled_answers_without_fallback: "payments-garbled", Some("fallback=off") => 1;
    a_flapping_provider_is_survived: "payments-flapping", None => 0;
    a_flapping_provider_without_fallback: "payments-flapping", Some("fallback=off") => 1;
    the_breaker_acts_and_stays_quiet: "breaker-automation", None => 0;
    a_missing_breaker_does_not_act: "breaker-automation", Some("breaker=off") => 1;
    a_storm_is_one_page: "alert-storm", None => 0;
    a_storm_that_floods_the_pager: "alert-storm", Some("alerter=floods") => 1;
    a_blind_collector_pages_once: "collector-blackout", None => 0;
    blindness_that_is_taken_for_an_outage: "collector-blackout", Some("alerter=alarmist") => 1;
    blindness_that_is_taken_for_health: "collector-blackout", Some("alerter=complacent") => 1;
    a_page_outlives_an_outage_of_the_pager: "pager-down", None => 0;
    a_page_that_is_forgotten: "pager-down", Some("alerter=forgets") => 1;
    a_page_waits_for_a_good_certificate: "pager-certificate-expired", None => 0;
    a_page_to_who_shows_an_expired_certificate:
        "pager-certificate-expired", Some("alerter=trusting") => 1;
    a_page_that_is_forgotten_when_refused:
        "pager-certificate-expired", Some("alerter=forgets") => 1;
    a_runaway_is_capped: "cost-runaway", None => 0;
    a_runaway_without_cap: "cost-runaway", Some("cap=off") => 1;
    a_runaway_with_a_late_cap: "cost-runaway", Some("cap=late") => 1;
    a_runaway_without_quota: "cost-runaway", Some("quota=off") => 1;
    a_price_spike_stops_nothing: "price-spike", None => 0;
    a_price_spike_stops_the_shops_own_jobs: "price-spike", Some("cap=blunt") => 1;
    late_metrics_tell_an_outage: "telemetry-lag", None => 0;
    late_metrics_out_of_the_window: "telemetry-lag", Some("alerter=narrow") => 1;
    sparse_metrics_tell_an_outage: "telemetry-sample", None => 0;
    sparse_metrics_out_of_the_window: "telemetry-sample", Some("alerter=narrow") => 1;
    a_lost_label_pages_once: "label-drop", None => 0;
    a_lost_label_that_is_taken_for_health: "label-drop", Some("alerter=complacent") => 1;
    a_lost_label_that_is_taken_for_an_outage: "label-drop", Some("alerter=alarmist") => 1;
    copies_of_a_handful_page_nobody: "telemetry-duplicate", None => 0;
    copies_that_are_counted: "telemetry-duplicate", Some("alerter=naive") => 1;
    a_reset_counter_pages_nobody: "counter-reset", None => 0;
    a_reset_counter_that_is_believed: "counter-reset", Some("alerter=naive") => 1;
    repeated_deliveries_are_one_page: "duplicate-alerts", None => 0;
    repeated_deliveries_that_page_again: "duplicate-alerts", Some("pager=repeats") => 1;
    a_drifted_setting_costs_no_order: "config-drift", None => 0;
    a_drifted_setting_without_fallback: "config-drift", Some("fallback=off") => 1;
    people_buy_while_payments_refuses: "journey-browse-and-buy", None => 0;
    people_cannot_buy_without_fallback: "journey-browse-and-buy", Some("fallback=off") => 1;
}

rows_in_namespace! { "netns", "partition":
    a_partition_is_survived: "payments-partition", None => 0;
    a_partition_without_breaker: "payments-partition", Some("breaker=off") => 1;
}

rows_in_namespace! { "netns", "packet-loss":
    a_loss_of_packets_is_survived: "payments-packet-loss", None => 0;
    a_loss_of_packets_without_fallback: "payments-packet-loss", Some("fallback=off") => 1;
}

rows_in_namespace! { "packet-delay", "packet-delay":
    a_long_way_is_survived: "payments-packet-delay", None => 0;
    a_long_way_without_fallback: "payments-packet-delay", Some("fallback=off") => 1;
}

rows_of! { "cgroup", "process-freeze":
    a_frozen_collector_pages_once: "collector-freeze", None => 0;
    a_frozen_collector_taken_for_health: "collector-freeze", Some("alerter=complacent") => 1;
}

rows_of! { "cgroup", "cpu-pressure":
    a_starved_pod_holds_up_few: "checkout-starved", None => 0;
    a_starved_pod_behind_a_blind_balancer: "checkout-starved", Some("balance=blind") => 1;
}

rows_of! { "cgroup", "memory-pressure":
    a_payments_without_memory_costs_nothing: "payments-out-of-memory", None => 0;
    a_payments_without_memory_or_fallback: "payments-out-of-memory", Some("fallback=off") => 1;
    a_payments_that_stays_dead: "payments-out-of-memory", Some("supervisor=off") => 1;
}

rows_of! { "mount", "disk-full":
    a_full_disk_costs_no_order_that_was_taken: "store-disk-full", None => 0;
    a_store_that_stays_shut_after_a_full_disk: "store-disk-full", Some("store=wedges") => 1;
}
