# shellcheck shell=bash
# For scripts that try something step by step (package-test, systemd-test, install-test, docker/test). To be sourced by a
# script with `say`.

# step WHAT: says how long the one before took.
began=$SECONDS last=$SECONDS doing=''
step() {
  [ -z "$doing" ] || say "  $doing: $((SECONDS - last)) s"
  doing=$1 last=$SECONDS
}
# quietly CMD…: its output only if it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || { tail -n 40 <<<"$output" >&2; return 1; }
}
# within SECONDS CMD…: waits until it holds; fails if it does not come to hold by then.
within() {
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.3
  done
}
