# The default rules, tried on small plans. `gameday policy test harness/policy/src/rules` runs them.
package gameday_test

import data.gameday
import rego.v1

plan(environment) := {
	"faults": [{"id": "kill", "reversibility": "selfHealing", "radius": {"share": "34%"}}],
	"safety": {"environments": [environment], "guardrails": [], "approvals": 0},
	"system": {"environment": environment},
}

# A Wednesday.
noon := time.parse_rfc3339_ns("2026-11-25T12:00:00Z")

asked(environment) := {
	"environment": environment,
	"plan": plan(environment),
	"arms": [{"name": "fault", "instances": 1, "share": "34%", "edges": 0}],
	"now": {"unixNanos": noon},
	"approvals": [{"by": "anna"}],
}

rules(reasons) := {reason.rule | some reason in reasons}

test_a_lab_is_free if {
	count(gameday.deny) == 0 with input as asked("lab")
}

test_another_environment_is_denied if {
	changed := object.union(asked("lab"), {"environment": "prod"})
	"environment" in rules(gameday.deny) with input as changed
}

test_half_of_a_service_is_the_most_outside_of_a_lab if {
	changed := object.union(asked("prod"), {"arms": [
		{"name": "one", "instances": 1, "share": "34%", "edges": 0},
		{"name": "two", "instances": 2, "share": "67%", "edges": 0},
	]})
	rules(gameday.deny) == {"share"} with input as changed
	count(gameday.deny) == 0 with input as asked("prod")
	rules(gameday.deny) == {"share"} with input as asked("prod") with data.limits.shares as {"prod": 0.2}
}

test_an_arm_on_edges_has_no_share if {
	changed := object.union(asked("prod"), {"arms": [
		{"name": "down", "instances": 0, "share": "0%", "edges": 1},
	]})
	count(gameday.deny) == 0 with input as changed
}

test_what_cannot_be_undone_stays_in_a_lab if {
	fault := {"faults": [{"id": "wipe", "reversibility": "irreversible", "radius": {"share": "10%"}}]}
	prod := object.union(asked("prod"), {"plan": object.union(plan("prod"), fault)})
	lab := object.union(asked("lab"), {"plan": object.union(plan("lab"), fault)})
	rules(gameday.deny) == {"irreversible"} with input as prod
	count(gameday.deny) == 0 with input as lab
}

freeze := [{"from": "2026-11-25T00:00:00Z", "to": "2026-11-25T18:00:00Z", "because": "sale"}]

test_nothing_runs_in_a_freeze if {
	rules(gameday.deny) == {"freeze"} with input as asked("lab") with data.limits.freezes as freeze
}

test_after_a_freeze_it_runs if {
	later := object.union(asked("lab"), {"now": {"unixNanos": noon + ((6 * 3600) * 1000000000)}})
	count(gameday.deny) == 0 with input as later with data.limits.freezes as freeze
}

test_weekdays if {
	days := {"prod": ["Monday"]}
	rules(gameday.deny) == {"weekday"} with input as asked("prod") with data.limits.weekdays as days
	count(gameday.deny) == 0 with input as asked("lab") with data.limits.weekdays as days
}

test_somebody_must_approve_outside_of_a_lab if {
	nobody := object.union(asked("prod"), {"approvals": []})
	rules(gameday.deny) == {"approvals"} with input as nobody
	two := {"prod": 2}
	rules(gameday.deny) == {"approvals"} with input as asked("prod") with data.limits.approvals as two
}

test_users_should_be_watched if {
	rules(gameday.warn) == {"guardrail"} with input as asked("prod")
	count(gameday.warn) == 0 with input as asked("lab")
}
