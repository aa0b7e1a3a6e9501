# shellcheck shell=bash
# When the lab may be used. Each wait is for a condition, says what it waits for, and has a bound.

# wait_for SECONDS WHAT HOST-FOR-LOGS CMD…
wait_for() {
  local bound=$1 what=$2 h=$3 until
  shift 3
  say "waiting for $what"
  until=$((SECONDS + bound))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || die "$what: not within $bound s" "deploy/lab logs $h"
    sleep 0.1
  done
}

wait_ready() {
  local h
  for h in $(hosts_of_role node); do
    wait_for 30 "libvirtd on $h" "$h" in_host "$h" virsh -c qemu:///system version
  done
  [ -n "$SERVICES" ] || return 0
  for h in m-front y-front witness; do
    wait_for 30 "nats-server on $h" "$h" port_answers client "$h" 4222
  done
  wait_for 40 "four ready nodes in \`watari node list\`" m-front four_nodes_ready
}
port_answers() { (host_exec "$1" timeout 1 bash -c "exec 3<>/dev/tcp/$2/$3"); }
four_nodes_ready() {
  [ "$( (host_exec client timeout 5 watari node list -o json) | jq '[.[] | select(.state == "ready")] | length')" = 4 ]
}
