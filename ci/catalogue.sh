#!/bin/sh
# Runs every catalogue scenario, inferred, on the healthy lab and on its matching defect, and
# writes the table to docs/catalogue.md. A pass needs all the trials that the scenario asks for;
# to refute a claim of 80 % at 95 %, also among several, five bad trials are enough. Takes about
# twenty minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
gameday="${GAMEDAY:-${CARGO_TARGET_DIR:-target}/release/gameday}"
runs=$(mktemp -d)
table="$runs/table.md"
trap 'rm -rf "$runs"' EXIT

failed=0
row() { # SCENARIO healthy|DEFECT|trials:N EXPECTED
    code=0
    began=$(date +%s)
    case "$2" in
        healthy) set -- "$1" "$2" "$3" ;;
        trials:*) set -- "$1" "$2" "$3" --trials "${2#trials:}" ;;
        *) set -- "$1" "$2" "$3" --with "$2" --trials 5 ;;
    esac
    scenario=$1 lab=$2 expected=$3
    shift 3
    "$gameday" run "$scenario" --runs "$runs" --quiet "$@" >"$runs/out" 2>&1 || code=$?
    took=$(($(date +%s) - began))
    sentence=$(grep -m1 -E '^(PASS|FAIL|INCONCLUSIVE|ABORTED|LEFTOVERS)' "$runs/out" || tail -1 "$runs/out")
    echo "| \`$scenario\` | $lab | $expected | $code | $took s | $sentence |" | tee -a "$table"
    [ "$code" = "$expected" ] || { failed=1; echo "not as expected:"; cat "$runs/out"; }
}

{
    echo "# The catalogue, inferred"
    echo
    echo "Every scenario on the healthy lab and on a lab with the matching defect, with confidence: healthy with all its trials, defects with five fault trials. Written by \`cargo ci full\` on $(date -u +%F), $(nproc) cores, Linux $(uname -r)."
    echo
    echo "| scenario | lab | expected exit | exit | time | verdict |"
    echo "|---|---|---|---|---|---|"
} >"$table"
while read -r scenario defect expected; do
    case "$scenario" in ''|'#'*) continue ;; esac
    row "$scenario" "$defect" "$expected"
done <ci/catalogue.txt
mkdir -p docs
cp "$table" docs/catalogue.md
exit "$failed"
