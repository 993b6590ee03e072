#!/bin/sh
# Runs one shell script as root in a User-Mode Linux guest: another kernel, another boot, its own
# clock. Killing this process (its group) is a loss of power.
#
#   uml-guest.sh DIR SCRIPT        DIR is absolute and is shared read-write; all else is read-only
#
# The script's words go to DIR/output, its exit status to DIR/status, the kernel's to DIR/console.
# The status is there when it is whole.
# The guest sees this machine's files and a loopback interface, and nothing else. Needs the Debian
# packages user-mode-linux and iproute2.
set -eu
dir=$1 script=$2
command -v linux.uml >/dev/null || { echo "uml-guest: there is no linux.uml" >&2; exit 125; }
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
