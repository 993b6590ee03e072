#!/bin/sh
# Runs one shell script as root in a User-Mode Linux guest: another kernel, another boot, its own
# clock. Killing this process (its group) is a loss of power.
#
#   uml-guest.sh DIR SCRIPT        DIR is absolute and is shared read-write; all else is read-only
#   uml-guest.sh --probe           says why there is no guest here: status 127 without a linux.uml,
#                                  125 where it does not run. Version 6.1 cannot keep the registers
#                                  of a processor with AMX.
#
# The script's words go to DIR/output, its exit status to DIR/status, the kernel's to DIR/console.
# The status is there when it is whole.
# The guest sees this machine's files and a loopback interface, and nothing else. Needs the Debian
# packages user-mode-linux and iproute2.
set -eu
command -v linux.uml >/dev/null || { echo "there is no linux.uml here" >&2; exit 127; }
if [ "$1" = --probe ]; then
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    : >"$dir/script"
    (timeout 60 sh "$0" "$dir" "$dir/script" || true) 2>/dev/null
    [ "$(cat "$dir/status" 2>/dev/null)" = 0 ] && exit
    why=$(grep -m 1 -e ptrace -e panic "$dir/console" || tail -n 1 "$dir/console")
    echo "a linux.uml guest does not run on this machine: $why" >&2
    exit 125
fi
dir=$1 script=$2
work="$dir/uml"
mkdir -p "$work" "$dir/tmp"
rm -f "$dir/status" "$dir/output"
cat >"$work/init" <<INIT
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t hostfs none "$dir" -o "$dir"
mount -t tmpfs tmpfs /run
mount --bind "$dir/tmp" /var/tmp
ip link set lo up
cd "$dir"
export TMPDIR="$dir/tmp"
sh "$script" >"$dir/output" 2>&1 </dev/null
echo \$? >"$dir/status.new"
mv "$dir/status.new" "$dir/status"
sync
echo o >/proc/sysrq-trigger
sleep 60
INIT
chmod +x "$work/init"
exec linux.uml rootfstype=hostfs rootflags=/ ro mem=768M "init=$work/init" con=null \
    con0=null,fd:1 quiet "uml_dir=$work" "umid=guest-$$" >"$dir/console" 2>&1 </dev/null
