# shellcheck shell=bash source-path=SCRIPTDIR disable=SC2154,SC2153
# The verbs that change the lab; status.sh and ready.sh only look.

# need_args COUNT WANTED WHAT
need_args() { [ "$1" -eq "$2" ] || die "$verb takes: $3" "deploy/lab $verb --help"; }

need_programs() {
  local p missing=''
  for p in ip tc unshare nsenter setpriv setsid awk openssl jq libvirtd virsh qemu-system-x86_64 qemu-img; do
    command -v "$p" >/dev/null || missing+=" $p"
  done
  [ -z "$SERVICES" ] || for p in nats-server dnsmasq nft ${PROMETHEUS:+prometheus}; do command -v "$p" >/dev/null || missing+=" $p"; done
  # Prometheus is only brought for the demo.
  local purpose=lab
  [ -z "$PROMETHEUS" ] || purpose=demo
  [ -z "$missing" ] || die "these programs are missing:$missing" "deploy/prerequisites --for $purpose"
  [ -n "$SERVICES" ] || return 0
  for p in watari watari-nats watari-node-agent watari-scheduler watari-image watari-network watari-monitor; do
    [ -x "$BIN/$p" ] || missing+=" $p"
  done
  [ -z "$missing" ] || die "not built yet in $BIN:$missing" "cargo build --workspace (or WATARI_BIN=FOLDER; or WATARI_LAB_SERVICES=none for hosts with libvirtd alone)"
}

# One `up` or `down` at a time, of all labs; deploy/test brings three up at once. The lock is on this folder itself, so that no file is left behind.
lock() {
  exec 9<"$HERE"
  flock -w 300 9 || die "another deploy/lab is at work" "wait for it, or look for it with: fuser $HERE"
}

is_whole() { [ -e "$LAB/up" ] && ns_exists "$SWITCH"; }
has_remains() {
  local h
  [ -e "$LAB" ] || ns_exists "$SWITCH" && return 0
  for h in $HOSTS; do ! ns_exists "$NS_PREFIX$h" || return 0; done
  return 1
}

verb_up() {
  local mbit='' h witness='' empty='' prometheus=''
  while [ $# -gt 0 ]; do
    case "$1" in
      --link-mbit) mbit=${2:-}; need_mbit "$mbit"; mbit=$((10#$mbit)); shift ;;
      --witness) witness=${2:-}; need_site "$witness"; shift ;;
      --empty) empty=yes ;;
      --prometheus) prometheus=yes ;;
      *) die "up takes [--link-mbit N] [--witness SITE] [--empty | --prometheus], not '$1'" "deploy/lab up --help" ;;
    esac
    shift || true
  done
  case "$LAB" in /run/* | /proc/* | /sys/* | /dev/*) die "WATARI_LAB_DIR=$LAB is hidden from the hosts" "choose a folder on a disk" ;; esac
  SERVICES=yes EMPTY=$empty PROMETHEUS=$prometheus
  [ "${WATARI_LAB_SERVICES:-}" != none ] || SERVICES=''
  [ -z "$EMPTY" ] || [ -n "$SERVICES" ] || die "an empty lab is for Watari's services" "leave WATARI_LAB_SERVICES out"
  [ -z "$PROMETHEUS" ] || { [ -n "$SERVICES" ] && [ -z "$EMPTY" ]; } ||
    die "Prometheus asks Watari's services, and none runs in such a lab" "leave --empty and WATARI_LAB_SERVICES out"
  need_programs
  lock
  if is_whole; then
    say "the lab is up already (deploy/lab down takes it away)"
    [ -z "$mbit" ] || link_shape "$mbit"
    return 0
  fi
  local began=$EPOCHREALTIME
  if has_remains; then
    say "cleaning up after a lab that did not end properly"
    take_down
  fi
  trap 'say "up did not finish; deploy/lab down clears away what is there, deploy/lab logs HOST shows why"' EXIT
  mkdir -p "$LAB/hosts"
  if [ -n "$witness" ]; then
    echo "$witness" >"$LAB/witness"
    # shellcheck source=topology.sh
    . "$HERE/lab.d/topology.sh"
  fi
  [ -n "$SERVICES" ] || echo none >"$LAB/services"
  [ -z "$EMPTY" ] || echo empty >"$LAB/services"
  [ -z "$PROMETHEUS" ] || echo prometheus >"$LAB/services"
  readlink -f "$BIN" >"$LAB/programs"
  say "writing keys and configuration"
  # shellcheck source=config.sh
  . "$HERE/lab.d/config.sh"
  configure_hosts
  say "laying cables"
  switch_up
  link_shape "${mbit:-0}"
  say "switching the hosts on"
  for h in $HOSTS; do host_power_on "$h"; done
  # shellcheck source=ready.sh
  . "$HERE/lab.d/ready.sh"
  wait_ready
  local took
  took=$(seconds_since "$began")
  echo "$took" >"$LAB/up"
  trap - EXIT
  say "ready after $took s: deploy/lab exec client -- watari node list"
  [ "${took%.*}" -lt "$READY_WITHIN" ] || say "it should take no longer than $READY_WITHIN s; the lines above say what was waited for"
}
seconds_since() { LC_ALL=C awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}'; }

verb_down() {
  need_args $# 0 'no arguments'
  lock
  has_remains || { say "there is no lab"; return 0; }
  take_down
}

# Works from what is there, not from what should be, so that any half-made lab goes too.
take_down() {
  local h ns pid
  for h in $HOSTS; do
    host_power_off "$h"
  done
  for ns in $SWITCH $(for h in $HOSTS; do echo "$NS_PREFIX$h"; done); do
    ns_exists "$ns" || continue
    for pid in $(ip netns pids "$ns"); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$ns" || true
  done
  rm -rf "$LAB"
  # The folder of named namespaces is a mount of its own, made by the first `ip netns add`.
  if [ -z "$(ls /run/netns 2>/dev/null)" ]; then
    umount /run/netns 2>/dev/null || true
    rmdir /run/netns 2>/dev/null || true
  fi
}

need_mbit() {
  [[ $1 =~ ^[0-9]{1,5}$ ]] || die "'$1' is no number of megabits a second" "0 (no limit) to 99999"
}

verb_link() {
  [ "${1:-}" = --mbit ] || die "link takes: --mbit N" "deploy/lab link --help"
  shift
  need_args $# 1 '--mbit N'
  need_mbit "$1"
  need_lab
  link_shape "$((10#$1))"
}

verb_cut() {
  need_args $# 1 SITE
  need_site "$1"
  need_lab
  trunk_set "$1" down
}

verb_heal() {
  need_args $# 1 SITE
  need_site "$1"
  need_lab
  trunk_set "$1" up
}

verb_power_off() {
  need_args $# 1 'HOST, SITE or SITE-nodes'
  need_lab
  local hosts h pid
  hosts=$(hosts_named "$1")
  # All at once, as a tripped breaker does; only then is each one's cabling cleared away.
  for h in $hosts; do ! pid=$(host_pid "$h") || kill -KILL "$pid" 2>/dev/null || true; done
  for h in $hosts; do host_power_off "$h"; done
}

verb_power_on() {
  need_args $# 1 'HOST, SITE or SITE-nodes'
  need_lab
  local hosts h
  hosts=$(hosts_named "$1")
  for h in $hosts; do host_power_on "$h"; done
}

verb_exec() {
  local h=${1:-}
  [ -n "$h" ] || die "exec takes: HOST -- CMD…" "deploy/lab exec --help"
  shift
  need_host "$h"
  [ "${1:-}" != -- ] || shift
  [ $# -gt 0 ] || set -- bash
  need_lab
  host_exec "$h" "$@"
}

verb_logs() {
  local follow='' h
  [ "${1:-}" != -f ] || { follow=-f; shift; }
  h=${1:-}
  [ -n "$h" ] || die "logs takes: [-f] HOST [SERVICE]" "deploy/lab logs --help"
  shift
  need_host "$h"
  [ "${1:-}" != -f ] || { follow=-f; shift; }
  [ $# -le 1 ] || die "logs takes: [-f] HOST [SERVICE]" "deploy/lab logs --help"
  need_lab
  local folder file
  folder=$(disk_of "$h")/var/log/watari
  # A host without services has no log but its own.
  local -a logs=("$folder"/*.log)
  [ -e "${logs[0]}" ] || logs=()
  if [ $# -gt 0 ]; then
    file=$folder/$1.log
    [ -e "$file" ] || file=$folder/watari-$1.log
    [ -e "$file" ] || die "$h has no log of '$1'" "it has: ${logs[*]##*/}"
    exec tail -n +1 $follow "$file"
  fi
  exec tail -n +1 $follow "$(state_of "$h")/console.log" "${logs[@]}"
}

# need_service HOST SERVICE sets $service to its full name.
need_service() {
  need_host "$1"
  need_lab
  local s
  for s in $(services_of "$1"); do
    case "$s" in "$2" | "watari-$2") service=$s; return 0 ;; esac
  done
  die "$1 runs no service '$2'" "it runs: $(services_of "$1")"
}
in_host() {
  local pid
  pid=$(host_pid "$1") || die "$1 is off" "deploy/lab power-on $1"
  shift
  nsenter --target "$pid" --mount --pid -- "$@"
}
# signal_service HOST SERVICE SIGNAL. What is called nats-server is what starts it, and its child.
signal_service() {
  # shellcheck disable=SC2016
  in_host "$1" bash -c 'pid=$(cat "/run/lab/$1.pid"); kill "-$2" $pid $([ "$1" != nats-server ] || pgrep -P "$pid")' - \
    "$2" "$3" 2>/dev/null || true
}

verb_kill() {
  [ $# = 3 ] || need_args $# 2 'HOST SERVICE [SIGNAL]'
  kill -l "${3:-KILL}" >/dev/null 2>&1 || die "'$3' is no signal" "such as KILL, TERM or STOP"
  local service=''
  need_service "$1" "$2"
  in_host "$1" test -e "/run/lab/$service.pid" || die "$service is not running on $1" "deploy/lab status"
  signal_service "$1" "$service" "${3:-KILL}"
}

verb_stop() {
  need_args $# 2 'HOST SERVICE'
  local service=''
  need_service "$1" "$2"
  in_host "$1" touch "/run/lab/$service.stopped"
  signal_service "$1" "$service" TERM
  # As systemd's default: what has not ended in 90 s is killed.
  local tries=0
  while in_host "$1" test -e "/run/lab/$service.pid"; do
    tries=$((tries + 1))
    [ "$tries" -ne 1800 ] || signal_service "$1" "$service" KILL
    sleep 0.05
  done
}

verb_start() {
  need_args $# 2 'HOST SERVICE'
  local service=''
  need_service "$1" "$2"
  in_host "$1" rm -f "/run/lab/$service.stopped"
}

verb_restart() {
  need_args $# 2 'HOST SERVICE'
  verb_stop "$@"
  verb_start "$@"
}

verb_status() {
  # shellcheck source=status.sh
  . "$HERE/lab.d/status.sh"
  show_status "$@"
}
