# The rules that always hold, beside those that a scenario names. What they need to know comes from
# data files of the scenario's policy, below `limits`; without them only what is written here holds.
#
#   limits.shares     share of a service that may be touched, by environment: {"prod": 0.2}
#   limits.approvals  persons who must approve a plan, by environment: {"prod": 2}
#   limits.freezes    [{"from": "2026-12-20T00:00:00Z", "to": "...", "because": "year end"}]
#   limits.weekdays   by environment, on which days a plan may run (UTC): {"prod": ["Monday"]}
package gameday

import rego.v1

environment := input.environment

is_lab if environment == "lab"

# Where the scenario may run.
deny contains {"rule": "environment", "because": because, "hint": "name it under `environments`"} if {
	not environment in input.plan.safety.environments
	because := sprintf("the scenario may not run in `%s`", [environment])
}

# Outside of a lab a service keeps at least half of its instances, unless the data say otherwise:
# whatever the faults of an arm do together.
share_most := data.limits.shares[environment]

share_most := 1 if {
	not data.limits.shares[environment]
	is_lab
}

share_most := 0.5 if {
	not data.limits.shares[environment]
	not is_lab
}

deny contains {"rule": "share", "because": because, "hint": "touch fewer instances"} if {
	some arm in input.arms
	share := to_number(trim_suffix(arm.share, "%")) / 100
	share > share_most
	because := sprintf("arm %s touches %s of a service; the most in `%s` is a share of %v", [
		arm.name,
		arm.share,
		environment,
		share_most,
	])
}

# What cannot be undone stays in a lab.
deny contains {"rule": "irreversible", "because": because, "hint": "run it in a lab"} if {
	not is_lab
	some fault in input.plan.faults
	fault.reversibility == "irreversible"
	because := sprintf("%s cannot be undone", [fault.id])
}

# Nothing during a change freeze.
deny contains {"rule": "freeze", "because": because, "hint": "wait until it ends"} if {
	some freeze in data.limits.freezes
	time.parse_rfc3339_ns(freeze.from) <= input.now.unixNanos
	input.now.unixNanos < time.parse_rfc3339_ns(freeze.to)
	because := sprintf("changes are frozen until %s: %s", [freeze.to, freeze.because])
}

deny contains {"rule": "weekday", "because": because, "hint": "wait for another day"} if {
	days := data.limits.weekdays[environment]
	today := time.weekday(input.now.unixNanos)
	not today in days
	because := sprintf("in `%s` nothing runs on a %s", [environment, today])
}

# Persons who have read this very plan. Outside of a lab there is at least one.
approvals_least := data.limits.approvals[environment]

approvals_least := 0 if {
	not data.limits.approvals[environment]
	is_lab
}

approvals_least := 1 if {
	not data.limits.approvals[environment]
	not is_lab
}

deny contains {"rule": "approvals", "because": because, "hint": "ask for it: `gameday approve`"} if {
	count(input.approvals) < approvals_least
	because := sprintf("%d of %d approvals are there for `%s`", [
		count(input.approvals),
		approvals_least,
		environment,
	])
}

# Outside of a lab users are there: something must stop the run when they are hurt.
warn contains {"rule": "guardrail", "because": because, "hint": "`success < 90% for 3s`, say"} if {
	not is_lab
	count([rail | some rail in input.plan.safety.guardrails; rail.guard.success]) == 0
	because := "no guardrail watches the success of requests"
}
