#!/bin/sh
# Benchmarks `gameday load` against its peers on this machine, in alternating rounds, and prints
# a Markdown table. Needs nginx, wrk and python3; uses tcpdump, oha and hey where they are
# installed. Loopback only; stops only what it started.
#
#   ci/bench/load.sh                      everything, about 15 minutes
#   ci/bench/load.sh --rounds 1 --seconds 2 --only closed,stop --gentle
#   GAMEDAY=/path/to/gameday ci/bench/load.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${GAMEDAY:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --release -p harness-cli --bin gameday)
    GAMEDAY=${CARGO_TARGET_DIR:-$here/../../target}/release/gameday
fi
export GAMEDAY
exec python3 "$here/load.py" "$@"
