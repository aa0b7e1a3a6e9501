# shellcheck shell=bash
# `deploy/lab status`: one JSON value, and a table made from it.

show_status() {
  case "$*" in
    --json) status_json | jq . ;;
    '') status_json | status_table ;;
    *) die "status takes [--json], not '$*'" "deploy/lab status --help" ;;
  esac
}

status_json() {
  local up=false ready=null
  ! [ -e "$LAB/up" ] || { up=true; read -r ready <"$LAB/up" || ready=null; }
  {
    for site in $SITES; do status_site "$site"; done
    for h in $HOSTS; do status_host "$h"; done
  } | jq -sc --argjson up "$up" --argjson ready "$ready" --argjson mbit "$(cat "$LAB/link-mbit" 2>/dev/null || echo 0)" '{
    up: $up, ready_seconds: $ready, link_mbit: $mbit,
    sites: [.[] | select(.link)],
    hosts: [.[] | select(.power)]}'
}

status_site() {
  local link=down
  if ns_exists "$SWITCH"; then
    link=whole
    ! site_is_cut "$1" || link='cut'
  fi
  jq -nc --arg name "$1" --arg link "$link" '{$name, $link}'
}

status_host() {
  local h=$1 power=off pids='' site
  # One visit to the host reads all its services.
  if host_is_on "$h"; then
    power=on
    # shellcheck disable=SC2016
    pids=$(in_host "$h" sh -c 'for f in /run/lab/*.pid; do [ ! -e "$f" ] || echo "$(basename "$f" .pid) $(cat "$f")"; done')
  fi
  site=$(site_of "$h")
  jq -nc --arg name "$h" --arg site "${site#-}" --arg role "$(role_of "$h")" --arg power "$power" \
    --arg campus "$CAMPUS.$(number_of "$h")" --arg management "$MANAGEMENT.$(number_of "$h")" \
    --arg services "$(services_of "$h")" --arg pids "$pids" '
    ($pids | split("\n") | map(select(. != "") | split(" ") | {key: .[0], value: (.[1] | tonumber)}) | from_entries) as $pid
    | {$name, site: (if $site == "" then null else $site end), $role, $power,
       campus_address: $campus, management_address: $management,
       services: [$services | split(" ")[] | select(. != "") | {name: ., state: (if $pid[.] then "running" else "down" end), pid: $pid[.]}]}'
}

status_table() {
  jq -r '
    (if .up then empty else "the lab is not up (deploy/lab up)" end),
    (["HOST", "SITE", "ROLE", "POWER", "CAMPUS", "MANAGEMENT", "SERVICES"] | @tsv),
    (.hosts[] | [.name, .site // "-", .role, .power, .campus_address, .management_address,
      ([.services[] | .name + (if .state == "running" then "" else "(" + .state + ")" end)] | join(" ") | if . == "" then "-" else . end)] | @tsv),
    "",
    (.sites[] as $s | "link of \($s.name): \($s.link)" + (if .link_mbit > 0 then ", \(.link_mbit) Mbit/s" else ", no limit" end))
  ' | awk -F '\t' 'NF > 1 {printf "%-8s %-9s %-8s %-6s %-14s %-11s %s\n", $1, $2, $3, $4, $5, $6, $7; next} {print}'
}
