#!/bin/sh
# Becomes the init of a machine that has the programs of this one, and no unit, user or file but those below $1.
# Runs as the first process of namespaces of its own: mounts, processes, cgroups.
set -eu
place=$1
binary=$2
# Not seen outside; inside, what is mounted for a unit is seen by its processes.
mount --make-rprivate /
mount --make-rshared /
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t overlay -o "lowerdir=$place/etc:/etc" overlay /etc
mount -t overlay -o "lowerdir=$place/usr:/usr" overlay /usr
mount --bind "$binary" /usr/bin/secretsyncd
mount --bind "$place/units" /etc/systemd/system
for directory in /usr/lib/systemd/system /usr/lib/systemd/system-generators; do
    mount --bind "$place/empty" "$directory"
done
mkdir -p /run/seen
mount --bind "$place/seen" /run/seen
for directory in /var/tmp /tmp; do
    mount -t tmpfs -o mode=1777 tmpfs "$directory"
done
cd /
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=notice
