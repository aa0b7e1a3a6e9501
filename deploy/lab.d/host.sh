# shellcheck shell=bash
# One host: switched on, cut off its power, entered.

state_of() { echo "$LAB/hosts/$1"; }
disk_of() { echo "$LAB/hosts/$1/disk"; }

# Where the host's programs are looked for.
host_path() { echo "$BIN:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; }

# host_pid HOST: its PID 1 as the machine numbers it; fails when the host is off. The start time
# beside the number tells ours from another process that got the same number later.
host_pid() {
  local pid start stat
  { read -r pid start <"$LAB/hosts/$1/pid"; } 2>/dev/null || return 1
  { read -ra stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
  [ "${stat[21]}" = "$start" ] && [ "${stat[2]}" != Z ] || return 1
  echo "$pid"
}
host_is_on() { host_pid "$1" >/dev/null; }

host_power_on() {
  local h=$1 state ns=$NS_PREFIX$1 tries=0
  state=$(state_of "$h")
  ! host_is_on "$h" || return 0
  rm -f "$state/pid"
  mkdir -p "$(disk_of "$h")"
  host_net_down "$h"
  host_net_up "$h"
  # A host's environment is its own, whoever typed the command; what diagnoses a program may pass.
  env -i HOME=/root LANG=C.UTF-8 PATH="$(host_path)" \
    ${RUST_LOG:+RUST_LOG="$RUST_LOG"} ${RUST_BACKTRACE:+RUST_BACKTRACE="$RUST_BACKTRACE"} \
    LAB_HOST="$h" LAB_STATE="$state" LAB_HOSTS_FILE="$LAB/hosts-file" \
    LAB_SERVICES="$(services_of "$h")" \
    setsid ip netns exec "$ns" unshare --mount --uts --ipc --pid --fork --kill-child "$HERE/lab.d/init" \
    </dev/null >"$state/console.log" 2>&1 9>&- &
  until host_is_on "$h"; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || die "$h did not come up: $(tail -n 3 "$state/console.log" | tr '\n' ' ')" "see $state/console.log"
    sleep 0.05
  done
}

# A power cut: the kernel kills all of a PID namespace with its PID 1, QEMU too, and PID 1 is gone
# only when the last of them is. One that is dying already may be gone before the signal is sent.
host_power_off() {
  local h=$1 pid
  if pid=$(host_pid "$h"); then
    kill -KILL "$pid" 2>/dev/null || true
    while host_is_on "$h"; do sleep 0.01; done
  fi
  rm -f "$(state_of "$h")/pid"
  host_net_down "$h"
}

# host_exec HOST CMD…: becomes CMD in the host. The caller's folder, standard streams and exit
# status are CMD's; when the caller is killed, so is CMD. loadtests/src/lab/entering.rs gives a command the same
# namespaces and environment.
host_exec() {
  local h=$1 pid
  shift
  pid=$(host_pid "$h") || die "$h is off" "deploy/lab power-on $h"
  local -a env=(PATH="$HERE/lab.d/bin:$(host_path)" HOME="${HOME:-/root}" LAB_HOST="$h")
  [ "$(role_of "$h")" != client ] || client_env
  # shellcheck disable=SC2016
  exec nsenter --target "$pid" --mount --uts --ipc --net --pid -- \
    setpriv --pdeathsig TERM -- env "${env[@]}" \
    bash -c 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"' lab-exec "$PWD" "$@"
}

# What programs on the client need to find the cloud and to trust it.
client_env() {
  local front=m-front h
  # One URL, since not every NATS client takes a list: the first front end that has power and a link.
  for h in m-front y-front; do
    if host_is_on "$h" && ! site_is_cut "$(site_of "$h")"; then front=$h; break; fi
  done
  env+=(WATARI_NATS="tls://$MANAGEMENT.$(number_of "$front"):4222" WATARI_NKEY=/etc/watari/operator.nk
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/watari/ca.crt)
}
