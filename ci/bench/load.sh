#!/bin/sh
# Benchmarks `gameday load` against its peers on this machine, in alternating rounds, and prints
# a Markdown table. Needs nginx, wrk and python3; uses tcpdump, oha and hey where they are
# installed, and goose as our own example. Loopback only; stops only what it started.
#
#   ci/bench/load.sh --write              everything, about 15 minutes, into docs/
#   ci/bench/load.sh --rounds 1 --seconds 2 --only closed,stop --gentle
#   GAMEDAY=/path/to/gameday ci/bench/load.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${GAMEDAY:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --release --workspace --bin gameday \
        --example goose_closed)
    built=${CARGO_TARGET_DIR:-$here/../../target}/release
    GAMEDAY=$built/gameday
    GOOSE=${GOOSE:-$built/examples/goose_closed}
fi
export GOOSE="${GOOSE:-}"
export GAMEDAY
exec python3 "$here/load.py" "$@"
