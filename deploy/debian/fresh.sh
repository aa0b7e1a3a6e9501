# shellcheck shell=bash
# A fresh Debian, as $root, and Watari's packages for it in two versions: for those that try them (deploy/package-test,
# deploy/systemd-test). To be sourced by a script with `say`, `die`, $HERE, and $work, which it clears away.

# shellcheck source-path=SCRIPTDIR source=../stepwise.sh
. "$HERE/stepwise.sh"
root=$work/root
old=0.1.0+old new=0.1.0+test
pack() {
  "$HERE/package" --fast --version "$old" --out "$work/debs" &&
    "$HERE/package" --fast --version "$new" --out "$work/debs"
}

# fresh_debian [--force]: sets it up. The packages lie in its /var/tmp.
fresh_debian() {
  local packing packed
  # The mirror is what the Debian waits for.
  pack >/dev/null &
  packing=$!
  packed=$("$HERE/bootstrap" debian "$@") || exit 1
  mkdir "$root"
  # What follows the archive's end is read too: zstd would else die of writing it, or not, as it happens.
  zstd -dc "$packed" | { tar -C "$root" -x --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' && cat >/dev/null; }
  # No daemon is started by an installation.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  wait "$packing" || die "the programs cannot be packed"
  cp "$work"/debs/*.deb "$root/var/tmp/"
}

# in_root CMD…: in the fresh Debian, without a network, and with all that it starts gone when it ends.
in_root() {
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --pid --net --fork --kill-child -- bash -c '
    set -e
    root=$1
    shift
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' in-root "$root" "$@"
}
apt() {
  quietly in_root apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold \
    -o Dpkg::Options::=--force-unsafe-io "$@"
}
# debs VERSION: their paths in the fresh Debian.
debs() { (cd "$root" && printf '/%s\n' var/tmp/watari*_"$1"_*.deb); }
