#!/bin/sh
# A container engine of a test's own: podman with its Docker-compatible API at DIR/api.sock, in a
# network namespace of its own, with all that it keeps below DIR. Nothing is pulled: there is one
# image, `web`, which serves /healthz on port 8080.
#
#   podman-engine.sh up DIR NAMESPACE        starts it, with a network of that name (10.89.7.0/24)
#   podman-engine.sh podman DIR NAMESPACE ARGUMENT...
#   podman-engine.sh down DIR NAMESPACE      removes its containers, stops it, leaves nothing
#
# DIR is absolute. `up` ends with 125 where the machine cannot do it, and says what is missing. Needs
# root and the Debian packages podman, runc, netavark, aardvark-dns, iptables, iproute2 and
# busybox-static.
set -eu
verb=$1 dir=$2 namespace=$3
shift 3

missing() {
    echo "podman-engine: $*" >&2
    exit 125
}

engine() {
    # Storage is chosen by flags: what podman starts to look after a container would not see a
    # file that is named in the environment. `ip netns exec` would hide the cgroups.
    exec nsenter "--net=/run/netns/$namespace" env "CONTAINERS_CONF=$dir/containers.conf" podman \
        --root "$dir/root" --runroot "$dir/run" --tmpdir "$dir/tmp" "$@"
}

case $verb in
up)
    [ "$(id -u)" = 0 ] || missing "needs root"
    for program in podman runc iptables ip nsenter busybox; do
        command -v "$program" >/dev/null || missing "$program is not installed"
    done
    [ -x /usr/lib/podman/netavark ] || missing "netavark is not installed"
    mkdir -p "$dir/image/www"
    # podman asks for more than a hard limit allows, and cannot raise one without the capability.
    files=$(ulimit -Hn)
    [ "$files" != unlimited ] || files=1048576
    cat >"$dir/containers.conf" <<CONF
[containers]
pids_limit = 0
default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "$dir/networks"
CONF
    ip netns add "$namespace" || missing "no network namespace can be made"
    ip -n "$namespace" link set lo up
    # By its own name: a program of many commands goes by that.
    cp -L "$(command -v busybox)" "$dir/image/busybox"
    echo ok >"$dir/image/www/healthz"
    cat >"$dir/image/Containerfile" <<IMAGE
FROM scratch
COPY busybox /bin/busybox
COPY www /www
ENTRYPOINT ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
IMAGE
    (engine build -q --pull-never -t web "$dir/image") >"$dir/build.log" 2>&1 ||
        missing "no image can be built: $(tail -n 1 "$dir/build.log")"
    try=$dir/try.log
    (engine run --rm --pull never --network none --entrypoint /bin/busybox web true) >"$try" 2>&1 ||
        missing "no container can be started: $(tail -n 1 "$try")"
    # Addresses are given out by the network's name, and for all engines of the machine together.
    (engine network create --subnet 10.89.7.0/24 "$namespace") >"$try" 2>&1 ||
        missing "no network can be made: $(tail -n 1 "$try")"
    (engine system service --time 0 "unix://$dir/api.sock") >"$dir/api.log" 2>&1 </dev/null &
    echo $! >"$dir/api.pid"
    looks=200
    until [ -S "$dir/api.sock" ]; do
        looks=$((looks - 1))
        [ $looks -gt 0 ] || missing "the engine does not start: $(tail -n 1 "$dir/api.log")"
        sleep 0.05
    done
    ;;
podman) engine "$@" ;;
down)
    if [ -d "$dir/root" ]; then
        (engine rm -fa -t 0) >/dev/null 2>&1 || true
    fi
    if [ -f "$dir/api.pid" ]; then
        kill "$(cat "$dir/api.pid")" 2>/dev/null || true
    fi
    # The name server that the engine has started in the namespace ends with the last container,
    # unless that was removed in another way.
    for pid in $(ip netns pids "$namespace" 2>/dev/null); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != aardvark-dns ] || kill "$pid" 2>/dev/null || true
    done
    umount "$dir/root/overlay" 2>/dev/null || true
    ip netns del "$namespace" 2>/dev/null || true
    ;;
*)
    echo "podman-engine: unknown verb $verb" >&2
    exit 2
    ;;
esac
