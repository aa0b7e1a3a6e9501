# shellcheck shell=bash
# The machines of deploy/systemd-test: their disk, how they start, and what is typed at them. To be sourced by it.

# What the disk takes, then what a node's networks and its servers' wires do.
MODULES="virtio_pci virtio_blk virtio_net autofs4 tun 8021q bridge br_netfilter vxlan veth af_packet
  nf_tables nft_counter nft_ct nft_meta_bridge nft_chain_nat nft_nat nft_masq nft_redir nft_limit"

# make_disk: one of the fresh Debian, on which each machine's own disk stands; its kernel, and what finds the disk.
make_disk() {
  local modules
  # shellcheck disable=SC2086
  keep_kernel systemd $MODULES
  modules=$root/usr/lib/modules/$(cat "$kept/release")
  mkdir -p "$modules"
  cp "$kept"/modules/*.ko "$modules/"
  quietly in_root depmod "$(cat "$kept/release")"
  cp -r "$HERE/systemd-test.d/etc" "$root/"
  install -m 755 "$HERE/systemd-test.d/typist" "$root/usr/local/sbin/typist"
  quietly in_root systemctl enable typist.service systemd-networkd.service
  # Emulated processors are slow, and slower where others compute: nobody shall take leaders for dead at once.
  printf 'WATARI_LEASE_TTL_MS=20000\nWATARI_TELEMETRY_LOG=warn\n' >>"$root/etc/default/watari-front"
  # The server has nothing that could shut it down.
  echo 'SHUTDOWN_TIMEOUT=5' >>"$root/etc/default/libvirt-guests"
  # They would want a mirror, and a display.
  quietly in_root systemctl mask apt-daily.timer apt-daily-upgrade.timer getty@tty1.service serial-getty@ttyS0.service
  truncate -s 4G "$work/disk"
  mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$root" "$work/disk"

  mkdir -p "$work"/initrd/{bin,dev,modules,root}
  cp "$kept/bin/busybox" "$work/initrd/bin/"
  # No more than the disk takes; systemd finds the others.
  sed '/^virtio_blk.ko$/q' "$kept/modules/order" >"$work/initrd/modules/order"
  while read -r module; do cp "$kept/modules/$module" "$work/initrd/modules/"; done <"$work/initrd/modules/order"
  install -m 755 "$HERE/systemd-test.d/init" "$work/initrd/init"
  (cd "$work/initrd" && find . | cpio -o -H newc --quiet -R 0:0) >"$work/initrd.img"
}

# boot MACHINE: the host of that name, with a wire to the other one.
boot() {
  local name=$1 other=m1 address=02
  [ "$name" != m1 ] || other=m-front address=11
  qemu-img create -q -f qcow2 -b "$work/disk" -F raw "$work/$name.qcow2"
  mkfifo "$work/$name.in" "$work/$name.out"
  # A processor that draws numbers by chance: the kernel would gather them for seconds, and programs wait for it.
  qemu-system-x86_64 -name "$name" -machine pc,accel=tcg -cpu qemu64,+rdrand -m 1536 -nodefaults -no-user-config -display none \
    -kernel "$kept/vmlinuz" -initrd "$work/initrd.img" \
    -append "console=ttyS0 no_timer_check quiet loglevel=4 mitigations=off panic=-1 systemd.hostname=$name" \
    -drive "file=$work/$name.qcow2,if=none,id=disk,cache=unsafe" -device virtio-blk-pci,drive=disk \
    -netdev "dgram,id=wire,local.type=unix,local.path=$work/$name.wire,remote.type=unix,remote.path=$work/$other.wire" \
    -device "virtio-net-pci,netdev=wire,mac=52:54:00:00:00:$address,romfile=" \
    -serial "file:$work/$name.console" -chardev "pipe,id=typist,path=$work/$name" -serial chardev:typist \
    </dev/null 2>"$work/$name.qemu" &
  machines+=($!)
}

# heard MACHINE LINE: what it says up to that line, which begins with LINE; the rest of that is $rest.
heard() {
  local line
  while IFS= read -r -t 700 line; do
    case "$line" in "$2"*) rest=${line#"$2"}; return ;; esac
    printf '%s\n' "$line"
  done <>"$work/$1.out"
  die "$1 says nothing any more"
}
# awaited MACHINE: it has started.
awaited() { heard "$1" 'typist: listens'; }
# typed MACHINE SCRIPT: for root there, with the words of systemd-test.d/typist.
typed() { { base64 -w0 <<<"$2" && echo; } >"$work/$1.in"; }
# on MACHINE SCRIPT: the same, and it is done. What it says comes here.
on() {
  typed "$1" "$2"
  heard "$1" 'typist: ended with '
  [ "$rest" = 0 ] || die "$1 does not do this ($rest): $2"
}
# sound MACHINE UNIT…: nothing has failed there or was denied to us, and none of these has ended by itself.
sound() {
  local machine=$1
  shift
  on "$machine" "sound $*"
}
