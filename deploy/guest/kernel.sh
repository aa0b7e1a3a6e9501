# shellcheck shell=bash
# The distribution's kernel for virtual machines, out of its packages: for those who start one (build, machine/run,
# deploy/systemd-test).
# To be sourced by a script with `say` and `die`.

# Debian's name for it, then Ubuntu's. Its package is the first thing on which the ever-current one
# depends; Ubuntu keeps the modules in another.
kernel_packages() {
  local meta image
  for meta in linux-image-cloud-amd64 linux-image-virtual; do
    image=$(apt-cache depends "$meta" 2>/dev/null | awk '/Depends: linux-image-/ && !seen++ {print $2}')
    [ -n "$image" ] || continue
    echo "$image"
    apt-cache depends "$image" | awk '/Depends: linux-modules-/ {print $2}'
    return
  done
}

# unpack_packages FOLDER PACKAGE…: the packages' files, of which nothing is installed or run.
unpack_packages() {
  local to=$1 debs deb
  shift
  debs=$(mktemp -d "$to.debs.XXXXXX")
  (cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2) ||
    die "apt-get could not fetch the packages (apt-get update?)"
  mkdir -p "$to"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$to"; done
  rm -rf "$debs"
}

# find_kernel FOLDER: what is unpacked there, as $release (the kernel is boot/vmlinuz-$release) and $modules, its folder.
find_kernel() {
  release=$(cd "$1/boot" 2>/dev/null && ls vmlinuz-* 2>/dev/null) || die "no kernel package known to this script is in apt's lists (apt-get update?)"
  release=${release#vmlinuz-}
  modules=$1/lib/modules/$release
  [ -d "$modules" ] || modules=$1/usr/lib/modules/$release
  [ -d "$modules" ] || die "the kernel package has no modules of $release"
}

# add_module FOLDER NAME: the module and, before it, what it needs, with the order of loading. One
# that the kernel has built in has no file, and is passed over.
add_module() {
  local name=${2//-/_} file to dep
  to=$1/$name.ko
  [ ! -e "$to" ] || return 0
  file=$(find "$modules" -name "${name//_/[-_]}.ko*" | head -n 1)
  case "$file" in
    '') return 0 ;;
    *.xz) xz -dc "$file" >"$to" ;;
    *.zst) zstd -qdc "$file" >"$to" ;;
    *) cp "$file" "$to" ;;
  esac
  for dep in $(tr '\0' '\n' <"$to" | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' '); do add_module "$1" "$dep"; done
  echo "$name.ko" >>"$1/order"
}

# keep_kernel NAME MODULE…: a kernel with these modules, as $kept: vmlinuz, release, bin/busybox, and modules with their order.
# It is kept in $CACHE under a hash of what chose it, and put together in $work, which the script clears away.
keep_kernel() {
  local name=$1 module
  shift
  # shellcheck source=/dev/null
  kept=$CACHE/$name-$( (cat "${BASH_SOURCE[0]}"; echo "$*"; . /etc/os-release; echo "${VERSION_CODENAME:-}") | sha256sum | cut -c1-16)
  [ ! -e "$kept" ] || return 0
  say "fetching the kernel"
  # shellcheck disable=SC2046
  unpack_packages "$work/pkg" $(kernel_packages) busybox-static
  find_kernel "$work/pkg"
  mkdir -p "$work"/kept/{bin,modules}
  echo "$release" >"$work/kept/release"
  cp "$work/pkg/boot/vmlinuz-$release" "$work/kept/vmlinuz"
  cp "$(find "$work/pkg" -path '*/bin/busybox' -type f | head -n 1)" "$work/kept/bin/busybox"
  for module; do add_module "$work/kept/modules" "$module"; done
  # Nobody ever sees half of it. Who comes second finds it there.
  cp -a "$work/kept" "$kept.$$"
  mv -T "$kept.$$" "$kept" 2>/dev/null || rm -rf "${kept:?}.$$"
}
