#!/bin/sh
# Benchmarks the proxy against its peers on this machine, in alternating rounds, and prints a
# Markdown table. Needs nginx, wrk, sockperf, iperf3 and python3; uses haproxy and nginx's stream
# module where they are installed, and noxious where its crates can be had (ci/bench/noxious is
# built; `NOXIOUS=/path/to/bench-noxious` instead). Loopback only; stops only what it started.
#
#   ci/bench/proxy.sh                      everything, about 15 minutes
#   ci/bench/proxy.sh --write docs/benchmarks-proxy.md
#   ci/bench/proxy.sh --rounds 1 --seconds 1 --only through,safe --gentle --noise 100
#   PROXY=/path/to/agent-proxy ci/bench/proxy.sh
set -eu
NOXIOUS=${NOXIOUS:-}
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${PROXY:-}" ]; then
    (cd "$here/../.." && cargo build --quiet --release -p agent --bin agent-proxy)
    PROXY=${CARGO_TARGET_DIR:-$here/../../target}/release/agent-proxy
fi
if [ -z "${NOXIOUS:-}" ]; then
    target=${CARGO_TARGET_DIR:-$here/../../target}/peers
    if cargo build --quiet --release --locked --manifest-path "$here/noxious/Cargo.toml" \
        --target-dir "$target"; then
        NOXIOUS=$target/release/bench-noxious
    fi
fi
export PROXY NOXIOUS
exec python3 "$here/proxy.py" "$@"
