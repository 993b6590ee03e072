#!/bin/sh
# Runs every catalogue scenario, inferred, on the healthy lab and on its matching defect, and
# writes the table to docs/catalogue.md. Takes about half an hour on two cores.
set -eu
cd "$(dirname "$0")/.."
gameday="${CARGO_TARGET_DIR:-target}/release/gameday"
runs=$(mktemp -d)
table="$runs/table.md"
trap 'rm -rf "$runs"' EXIT

failed=0
row() { # SCENARIO DEFECT EXPECTED
    code=0
    began=$(date +%s)
    if [ "$2" = healthy ]; then
        "$gameday" run "$1" --runs "$runs" --quiet >"$runs/out" 2>&1 || code=$?
    else
        "$gameday" run "$1" --runs "$runs" --quiet --with "$2" >"$runs/out" 2>&1 || code=$?
    fi
    took=$(($(date +%s) - began))
    sentence=$(grep -m1 -E '^(PASS|FAIL|INCONCLUSIVE|ABORTED|LEFTOVERS)' "$runs/out" || tail -1 "$runs/out")
    echo "| \`$1\` | $2 | $3 | $code | $took s | $sentence |" | tee -a "$table"
    [ "$code" = "$3" ] || { failed=1; echo "not as expected:"; cat "$runs/out"; }
}

{
    echo "# The catalogue, inferred"
    echo
    echo "Every scenario on the healthy lab and on a lab with the matching defect, with its full number of trials. Written by \`cargo ci full\` on $(date -u +%F), $(nproc) cores, Linux $(uname -r)."
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
