# shellcheck shell=bash
# The switches, the links between the sites, and each host's own interfaces.
#
# Everything lives in namespaces: the switches in one of their own, since the machine's may have a
# firewall that cuts bridges (Docker's does). A network is one bridge per site and one on the
# backbone, each pair joined by a veth, the *trunk*. A site's two trunks are one physical link to
# us, so both pass one shaper per direction: an ifb device, since VLANs, which would put both
# networks on one veth, are missing in some kernels.

SWITCH=${NS_PREFIX}switch
NETWORKS='campus mgmt'
in_switch() { ip netns exec "$SWITCH" "$@"; }
ns_exists() { [ -e "/run/netns/$1" ]; }

# Short names, since an interface's may have 15 letters.
short() { case "$1" in myodaiji) echo m ;; yamate) echo y ;; *) echo b ;; esac; }

switch_up() {
  ip netns add "$SWITCH"
  echo 1 | in_switch tee /proc/sys/net/ipv6/conf/default/disable_ipv6 >/dev/null
  local batch='' net site s
  for net in $NETWORKS; do
    batch+="link add $net-b type bridge forward_delay 0 mcast_snooping 0"$'\n'
    batch+="link set $net-b up"$'\n'
    for site in $SITES; do
      s=$(short "$site")
      batch+="link add $net-$s type bridge forward_delay 0 mcast_snooping 0"$'\n'
      batch+="link set $net-$s up"$'\n'
      batch+="link add $net-$s-out type veth peer name $net-$s-in"$'\n'
      batch+="link set $net-$s-out master $net-$s up"$'\n'
      batch+="link set $net-$s-in master $net-b up"$'\n'
    done
  done
  ip -n "$SWITCH" -batch - <<<"$batch"
}

# The two ends of a trunk are named from the site: what leaves the site passes -out, what comes to it -in.
trunk_set() {
  local s net batch=''
  s=$(short "$1")
  for net in $NETWORKS; do batch+="link set $net-$s-out $2"$'\n'"link set $net-$s-in $2"$'\n'; done
  ip -n "$SWITCH" -batch - <<<"$batch"
}
site_is_cut() { [ -z "$(ip -n "$SWITCH" -brief link show "campus-$(short "$1")-out" up 2>/dev/null)" ]; }

# link_shape MBIT: every site's link to the backbone carries MBIT megabits a second (Ethernet
# frames) in each direction; 0 takes the limit away. A packet waits at most 10 ms, so that a bulk
# transfer does not hide small messages behind seconds of queue.
# Measured with iperf3, one TCP flow between sites, beside it a ping from the sender's neighbour:
#   20 Mbit/s: 19.1, ping 6 ms (16 at most); 200: 191, 5 (11); 1000: 956, 4 (11); no limit: 15955.
# 95.6 % is what Ethernet, IP and TCP leave of a frame. Four flows, or one on each network, share it.
link_shape() {
  local site s mbit=$1
  for site in $SITES; do
    s=$(short "$site")
    if [ "$mbit" = 0 ]; then
      unshape_trunk "$s"
    else
      # What is seen coming in at one end of the trunk has left the other.
      shape_direction "up-$s" "$mbit" "campus-$s-in" "mgmt-$s-in"
      shape_direction "down-$s" "$mbit" "campus-$s-out" "mgmt-$s-out"
    fi
  done
  echo "$mbit" >"$LAB/link-mbit"
}

# shape_direction IFB MBIT DEV...: what arrives on the DEVs passes together through IFB's token bucket.
shape_direction() {
  local ifb=$1 mbit=$2 dev burst limit
  shift 2
  burst=$((mbit * 125)) # 1 ms at full rate
  [ "$burst" -ge 16384 ] || burst=16384
  limit=$((mbit * 1250 + burst)) # 10 ms
  if ! ip -n "$SWITCH" link show "$ifb" >/dev/null 2>&1; then
    # As a module it would make two devices of its own in the machine's own network when it is loaded.
    modprobe -q ifb numifbs=0 2>/dev/null || true
    ip -n "$SWITCH" link add "$ifb" type ifb
    ip -n "$SWITCH" link set "$ifb" txqueuelen 1000 up
  fi
  in_switch tc qdisc replace dev "$ifb" root tbf rate "${mbit}mbit" burst "$burst" limit "$limit"
  for dev; do
    [[ $(in_switch tc qdisc show dev "$dev") != *ingress* ]] || continue
    in_switch tc qdisc add dev "$dev" ingress
    in_switch tc filter add dev "$dev" parent ffff: protocol all u32 match u32 0 0 \
      action mirred egress redirect dev "$ifb"
  done
}

unshape_trunk() {
  local net end
  for net in $NETWORKS; do
    for end in in out; do in_switch tc qdisc del dev "$net-$1-$end" ingress 2>/dev/null || true; done
  done
  ip -n "$SWITCH" link del "up-$1" 2>/dev/null || true
  ip -n "$SWITCH" link del "down-$1" 2>/dev/null || true
}

# host_net_up HOST: its namespace and both its cables. Hardware addresses stay the same over power cycles.
host_net_up() {
  local h=$1 ns=$NS_PREFIX$1 n s batch on_campus=campus0
  n=$(number_of "$h")
  s=$(short "$(site_of "$h")")
  ip netns add "$ns"
  echo 1 | ip netns exec "$ns" tee /proc/sys/net/ipv6/conf/default/disable_ipv6 >/dev/null
  # As the package of front ends sets it, and newer distributions do: probes may ask for echoes.
  echo 0 2147483647 | ip netns exec "$ns" tee /proc/sys/net/ipv4/ping_group_range >/dev/null
  batch="link add c-$h type veth peer name campus0 address $(mac 1 "$n") netns $ns
link add g-$h type veth peer name mgmt0 address $(mac 2 "$n") netns $ns
link set c-$h master campus-$s up
link set g-$h master mgmt-$s up"
  ip -n "$SWITCH" -batch - <<<"$batch"
  batch="link set lo up
link set campus0 up
link set mgmt0 up
addr add $MANAGEMENT.$n/24 dev mgmt0"
  if [ "$(role_of "$h")" = node ]; then
    on_campus=br-campus
    # Guests sit on this bridge beside the node itself.
    batch+="
link add br-campus address $(mac 1 "$n") type bridge forward_delay 0 mcast_snooping 0
link set campus0 master br-campus
link set br-campus up
addr add $CAMPUS.$n/24 dev br-campus"
  else
    batch+="
addr add $CAMPUS.$n/24 dev campus0"
  fi
  ip -n "$ns" -batch - <<<"$batch"
  # IPv6 is there on the campus network alone. No router is heeded, as none is there.
  echo 0 | ip netns exec "$ns" tee "/proc/sys/net/ipv6/conf/$on_campus/accept_ra" \
    "/proc/sys/net/ipv6/conf/$on_campus/disable_ipv6" >/dev/null
  ip -n "$ns" addr add "$CAMPUS6::$n/64" dev "$on_campus" nodad
}
mac() { printf '02:77:61:74:%02x:%02x' "$1" "$2"; }

# Deleting a namespace frees its interfaces some time later; the cables' other ends are taken out
# at once, so that the host can be powered on again in the same second.
host_net_down() {
  ip -n "$SWITCH" link del "c-$1" 2>/dev/null || true
  ip -n "$SWITCH" link del "g-$1" 2>/dev/null || true
  ! ns_exists "$NS_PREFIX$1" || ip netns del "$NS_PREFIX$1"
}
