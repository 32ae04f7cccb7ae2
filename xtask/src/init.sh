#!/bin/busybox sh
# The first process of a machine started by `cargo xtask linux`: sets up a small system, then runs /script and powers
# off, or offers a shell and powers off when it ends.
/bin/busybox --install -s
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM=vt100

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
hostname nestwalk
ip link set lo up

# Drivers of the devices that are there.
if [ -d "/lib/modules/$(uname -r)" ]; then
  modprobe -q virtio_mmio
  for device in /sys/bus/virtio/devices/*/modalias; do
    [ -e "$device" ] && modprobe -q "$(cat "$device")"
  done
fi

echo "nestwalk-init: ready (Linux $(uname -r), up $(cut -d ' ' -f 1 /proc/uptime) s)"
if [ -e /script ]; then
  sh /script
  echo "nestwalk-init: script exit $?"
else
  echo "modprobe kvm loads KVM; exit or poweroff -f ends the machine; Ctrl-A x leaves it"
  cd /root
  setsid cttyhack sh
fi
stty sane # waits until the console has sent everything
poweroff -f
