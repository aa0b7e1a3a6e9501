# shellcheck shell=bash
# When the lab may be used. Each wait is for a condition, says what it waits for, and has a bound.

# A machine with two cores and nothing else to do needs a tenth of this. More is said, and is no failure: each wait has its own bound.
READY_WITHIN=60

# wait_for SECONDS WHAT HOST-FOR-LOGS CMD…; CMD runs in a shell of its own.
wait_for() {
  local bound=$1 what=$2 h=$3 until answer
  shift 3
  until=$((SECONDS + bound))
  answer=$( ("$@") 2>&1) && return
  say "waiting for $what"
  until answer=$( ("$@") 2>&1); do
    [ $SECONDS -lt $until ] ||
      die "$what: not within $bound s${answer:+; the last answer was: ${answer##*$'\n'}}" "deploy/lab logs $h shows what its services say"
    sleep 0.1
  done
}

wait_ready() {
  local h service
  # Nothing runs on hosts that nobody has set up.
  [ -z "$EMPTY" ] || return 0
  for h in $(hosts_of_role node); do
    wait_for 30 "libvirtd on $h" "$h" in_host "$h" virsh -c qemu:///system version
  done
  [ -n "$SERVICES" ] || return 0
  for h in $(hosts_of_role front) $(hosts_of_role witness); do
    wait_for 30 "nats-server on $h" "$h" port_answers client "$h" 4222
  done
  for h in $(hosts_of_role front) $(hosts_of_role node); do
    for service in $(services_of "$h"); do
      case "$service" in watari-*) wait_for 40 "$service on $h" "$h $service" service_ready "$h" "$service" ;; esac
    done
  done
  for h in $(hosts_of_role client); do
    [ -z "$PROMETHEUS" ] || wait_for 30 "Prometheus on $h" "$h" host_exec "$h" curl -sS -m 2 --fail-with-body http://localhost:9090/-/ready
  done
  wait_for 30 "four ready nodes in \`watari node list\`" m-front four_nodes_ready
}

port_answers() { host_exec "$1" timeout 2 bash -c "exec 3<>/dev/tcp/$2/$3"; }

# Each service says on its own host whether it is ready, at the address that its configuration names.
service_ready() {
  local config listen
  config=$(disk_of "$1")/etc/watari/${2#watari-}.toml
  listen=$(sed -n 's/^listen = "\(.*\)"/\1/p' "$config")
  host_exec "$1" curl -sS -m 2 --fail-with-body "http://$listen/ready"
}

four_nodes_ready() {
  local nodes
  nodes=$( (host_exec client timeout 10 watari node list -o json)) || { echo "$nodes"; return 1; }
  jq -e '[.[] | select(.state == "ready")] | length == 4' <<<"$nodes"
}
