# shellcheck shell=bash disable=SC2034
# Who is where: the one table from which the rest of the lab is made. It is read without starting a program: tests
# type commands of the lab by the thousand.

# Where the witness stands: nowhere of ours, or in one of the campuses (`up --witness SITE`).
{ read -r WITNESS_SITE <"$LAB/witness"; } 2>/dev/null || WITNESS_SITE=-
# host  site  role  last number of both its addresses
HOSTS_TABLE="
m-front myodaiji front 2
m1 myodaiji node 11
m2 myodaiji node 12
y-front yamate front 3
y1 yamate node 21
y2 yamate node 22
witness $WITNESS_SITE witness 4
client - client 10
"
# rows_where COLUMN VALUE WANTED: that column of every row in which the other has the value.
rows_where() {
  local -a row
  while read -r -a row; do
    [ ${#row[@]} = 0 ] || [ "${row[$1 - 1]}" != "$2" ] || echo "${row[$3 - 1]}"
  done <<<"$HOSTS_TABLE"
}
HOSTS=$(while read -r host _; do [ -z "$host" ] || echo "$host"; done <<<"$HOSTS_TABLE")
SITES='myodaiji yamate'
title_of() { case "$1" in myodaiji) echo 明大寺 ;; yamate) echo 山手 ;; esac; }
CAMPUS=203.0.113
CAMPUS6=2001:db8:0:1
MANAGEMENT=10.88.0

column_of() { rows_where 1 "$1" "$2"; }
site_of() { column_of "$1" 2; }
role_of() { column_of "$1" 3; }
number_of() { column_of "$1" 4; }
hosts_of_role() { rows_where 3 "$1" 1; }
site_hosts() { rows_where 2 "$1" 1; }
is_host() { [ -n "$(column_of "$1" 1)" ]; }
is_site() { case " $SITES " in *" $1 "*) return 0 ;; esac; return 1; }

need_host() {
  is_host "$1" || die "no host is called '$1'" "the hosts are: ${HOSTS//$'\n'/ }"
}
need_site() {
  is_site "$1" || die "no site is called '$1'" "the sites are: $SITES"
}

# hosts_named NAME: the hosts that a HOST, a SITE or a SITE-nodes (its nodes without its front end) means.
hosts_named() {
  local site=${1%-nodes}
  if is_host "$1"; then
    echo "$1"
  elif is_site "$1"; then
    site_hosts "$1"
  elif [ "$site" != "$1" ] && is_site "$site"; then
    awk -v s="$site" '$2 == s && $3 == "node" {print $1}' <<<"$HOSTS_TABLE"
  else
    die "'$1' is neither a host nor a site" "hosts: ${HOSTS//$'\n'/ }; sites: $SITES (SITE-nodes means its nodes alone)"
  fi
}

# What a host of each role runs, in the order in which it is started. Where hosts are made beforehand nobody joins.
services_of() {
  case "$(role_of "$1")" in
    node) echo libvirtd ${SERVICES:+watari-node-agent} ${EMPTY:+watari-enrol} ;;
    front) echo ${SERVICES:+nats-server watari-scheduler watari-image watari-network watari-monitor} ${EMPTY:+watari-enrol} ;;
    witness) echo ${SERVICES:+nats-server} ${EMPTY:+watari-enrol} ;;
    client) echo ${PROMETHEUS:+prometheus} ;;
  esac
}
