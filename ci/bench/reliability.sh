#!/bin/sh
# Attacks gameday N times in every way that its own tests know, and writes what came of it.
#
#   ci/bench/reliability.sh [ROUNDS] [OUTPUT]      defaults: 3, docs/reliability.md
#
# The attacks are the tests `attack::` of harness/cli: an attack after which something stays in
# force, or a leftover is not named, fails its test and this script. Real labs of real processes on
# loopback; about 5 minutes a round on two cores.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-3} output=${2:-docs/reliability.md}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export GAMEDAY_FIGURES="$work/figures" GAMEDAY_SKIPS="$work/skips"
: >"$work/figures"; : >"$work/skips"
cargo test --workspace --test it --no-run
round=1
while [ "$round" -le "$rounds" ]; do
    echo "== round $round of $rounds" >&2
    cargo test -q --workspace --test it attack:: -- --test-threads 1
    round=$((round + 1))
done
python3 ci/bench/reliability.py "$rounds" "$work/figures" "$work/skips" >"$work/page"
cp "$work/page" "$output"
echo "wrote $output" >&2
