#!/bin/sh
# How fast gameday is safe: aborts, kills and guardrails on a lab of real processes on loopback.
#
#   ci/bench/safety.sh [ROUNDS] [OUTPUT]      defaults: 20, docs/benchmarks-safety.md
#
# Run it on a quiet machine: a round in which another process takes the processors is in the figures
# all the same. About 5 minutes for 20 rounds.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-20} output=${2:-docs/benchmarks-safety.md}
# All packages at once: a selection would build their dependencies again with other features.
cargo build --release --workspace --bins --example time_to_safe
target=${CARGO_TARGET_DIR:-target}/release
python3 ci/bench/safety.py "$target/gameday" "$target/examples/time_to_safe" "$rounds" >"$output.new"
mv "$output.new" "$output"
echo "wrote $output" >&2
