#!/bin/sh
# Runs catalogue scenarios, inferred, on the healthy lab and on their matching defects, and writes
# the table to docs/catalogue.md.
#
#   ci/catalogue.sh [SCENARIO|SCENARIO:LAB ...]     LAB is `healthy` or a defect
#
# Without names all rows are run; rows that are not named stay as they were. A pass needs all the
# trials that the scenario asks for; to refute a claim of 80 % at 95 %, also among several, five
# bad trials are enough. Takes two to three minutes for a healthy row and one for a defect.
set -eu
cd "$(dirname "$0")/.."
gameday="${GAMEDAY:-${CARGO_TARGET_DIR:-target}/release/gameday}"
runs=$(mktemp -d)
table="$runs/table.md"
old="$runs/old.md"
trap 'rm -rf "$runs"' EXIT
cp docs/catalogue.md "$old" 2>/dev/null || : >"$old"

failed=0
row() { # SCENARIO healthy|DEFECT|trials:N EXPECTED [netns]
    code=0
    began=$(date +%s)
    if [ "${4:-}" = netns ]; then
        # A namespace of its own, as the scenario's head says; it must be root's to make.
        namespace="gameday-catalogue-$$"
        ip netns add "$namespace" && ip -n "$namespace" link set lo up
        in_it="ip netns exec $namespace" named="--set namespace=$namespace"
    else
        in_it='' named=''
    fi
    case "$2" in
        healthy) set -- "$1" "$2" "$3" ;;
        trials:*) set -- "$1" "$2" "$3" --trials "${2#trials:}" ;;
        *)
            placebo="--placebo 0"
            # It claims something of the trials without a fault.
            [ "$1" = breaker-automation ] && placebo=
            # shellcheck disable=SC2086
            set -- "$1" "$2" "$3" --with "$2" --trials 5 $placebo
            ;;
    esac
    scenario=$1 lab=$2 expected=$3
    shift 3
    # Both are words, or nothing.
    # shellcheck disable=SC2086
    $in_it "$gameday" run "$scenario" --runs "$runs" --quiet $named "$@" >"$runs/out" 2>&1 || code=$?
    [ -z "$in_it" ] || ip netns del "$namespace"
    took=$(($(date +%s) - began))
    sentence=$(grep -m1 -E '^(PASS|FAIL|INCONCLUSIVE|ABORTED|LEFTOVERS)' "$runs/out" || tail -1 "$runs/out")
    echo "| \`$scenario\` | $lab | $expected | $code | $took s | $(date -u +%F) | $sentence |" | tee -a "$table"
    [ "$code" = "$expected" ] || { failed=1; echo "not as expected:"; cat "$runs/out"; }
}

{
    echo "# The catalogue, inferred"
    echo
    echo "Every scenario on the healthy lab and on a lab with the matching defect, with confidence: healthy with all its trials, defects with five trials with the fault. A row of \`ci/catalogue.txt\` that is not here has not been run so yet. Written by \`cargo ci full\`, or for single scenarios by \`sh ci/catalogue.sh SCENARIO\`; release build, $(nproc) cores, Linux $(uname -r)."
    echo
    echo "| scenario | lab | expected exit | exit | time | on | verdict |"
    echo "|---|---|---|---|---|---|---|"
} >"$table"
while read -r scenario defect expected where <&3; do
    case "$scenario" in ''|'#'*) continue ;; esac
    case " ${*:-$scenario} " in
        *" $scenario "* | *" $scenario:$defect "*) row "$scenario" "$defect" "$expected" "$where" ;;
        *) grep -F "| \`$scenario\` | $defect |" "$old" >>"$table" || : ;;
    esac
done 3<ci/catalogue.txt
mkdir -p docs
cp "$table" docs/catalogue.md
exit "$failed"
