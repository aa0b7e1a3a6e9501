# shellcheck shell=bash
# What is on the hosts' disks when they are first switched on: keys, certificates, configuration.

write_hosts_file() {
  local h network=$MANAGEMENT
  # The guide's hosts have one network.
  [ -z "$EMPTY" ] || network=$CAMPUS
  echo '127.0.0.1 localhost'
  for h in $HOSTS; do echo "$network.$(number_of "$h") $h"; done
}

# The cluster as `watari setup` reads it: a real installation's file differs in names only.
write_cluster_file() {
  local site h
  echo 'name = "lab"'
  # Else nothing of a host listens beyond its loopback that is not encrypted.
  [ -z "$PROMETHEUS" ] || echo 'scraped = true'
  for site in $SITES; do printf '\n[[site]]\nname = "%s"\ntitle = "%s"\n' "$site" "$(title_of "$site")"; done
  for h in $HOSTS; do
    printf '\n[[host]]\nname = "%s"\nrole = "%s"\n' "$h" "$(role_of "$h")"
    [ "$(site_of "$h")" = - ] || printf 'site = "%s"\n' "$(site_of "$h")"
    printf 'address = "%s"\n' "$MANAGEMENT.$(number_of "$h")"
    [ "$(role_of "$h")" != node ] || node_share
  done
  person_of_project
}

# Somebody with a key of their own, who changes the servers of one project alone.
person_of_project() { printf '\n[[person]]\nname = "sato"\nrole = "operator"\nproject = "research"\n'; }

# What a node may give to servers. All four see the whole machine; were each to offer all of it,
# the cloud would promise the same memory four times. Processors are shared as ever.
node_share() {
  local memory
  memory=$(awk '/^MemTotal:/ {m = int($2 / 1024 / 5); print (m > 4096 ? 4096 : m)}' /proc/meminfo)
  printf 'vcpus = 8\nmemory_mib = %s\n' "$memory"
}

# The lab's batteries and inspections last for minutes: what comes of them shall be seen, and soon.
outage_rules() {
  printf '\n[power]\non_battery = "evacuate"\nbattery_seconds = 5\non_mains = "return"\nmains_seconds = 5\n'
  # Guests are small and shut down at once; a disk is said to take one of them in that time, and no second.
  printf '\n[outages]\nlead_seconds = 60\noutlook_seconds = 2\nstop_seconds = 6\nsave_mib = 60\n'
  # Who waits until nothing of a server lies elsewhere waits for this.
  printf '\n[migration]\nleftover_seconds = 3\n'
  # Small disks are worth sending ahead too.
  printf '\n[preseed]\nbandwidth_mib = 20\nleast_mib = 1\n'
}

# The UPS of Myodaiji, where its front end asks for it. Nobody answers there until an upsd is started; then
# `watari site power` is not the last word on that campus.
ups_watched() {
  printf '\n[[ups]]\nsite = "myodaiji"\nname = "ups1@%s"\n' "$MANAGEMENT.$(number_of m-front)"
  printf '\n[power]\npoll_ms = 1000\nanswer_ms = 800\n'
}

# With what a node's agent shuts it down, here its PID 1.
shut_down_program() { printf '\n[power]\nshut_down = ["kill", "1"]\n'; }
# A node that is cut off stops soon what it is to stop. No host of the lab has a watchdog.
trust_of_front() { printf '\n[isolation]\ntrust = "agent"\n'; }
lease_of_node() { printf '\n[isolation]\nlease_ms = 4000\nstop_ms = 8000\n'; }

# What is broken on a host, and mended, is seen soon, and so is what would travel of a server.
stock_of_node() { printf '\n[intervals]\ninventory_ms = 3000\n\n[migration]\ngather_seconds = 5\n'; }

configure_hosts() {
  local h
  write_hosts_file >"$LAB/hosts-file"
  for h in $HOSTS; do mkdir -p "$(disk_of "$h")"; done
  [ -z "$EMPTY" ] || return 0
  if [ -n "$SERVICES" ]; then
    write_cluster_file >"$LAB/cluster.toml"
    "$BIN/watari" setup --cluster "$LAB/cluster.toml" --out "$LAB/setup" >"$LAB/setup.log" 2>&1 || {
      cat "$LAB/setup.log" >&2
      die "watari setup could not make the hosts' keys and configuration" "see the message above; the cluster file is $LAB/cluster.toml"
    }
    for h in $HOSTS; do
      [ ! -d "$LAB/setup/hosts/$h" ] || cp -a "$LAB/setup/hosts/$h/." "$(disk_of "$h")/"
    done
    for h in $(hosts_of_role front); do
      { outage_rules && trust_of_front; } >>"$(disk_of "$h")/etc/watari/scheduler.toml"
      ups_watched >>"$(disk_of "$h")/etc/watari/monitor.toml"
    done
    for h in $(hosts_of_role node); do shut_down_program >>"$(disk_of "$h")/etc/watari/node-agent.toml"; done
    for h in $(hosts_of_role node); do
      { lease_of_node && stock_of_node; } >>"$(disk_of "$h")/etc/watari/node-agent.toml"
    done
    # A person's own key is brought to where that person works.
    for h in $(hosts_of_role client); do
      cp -a "$LAB/setup/nkeys/sato.nk" "$(disk_of "$h")/etc/watari/"
      [ -z "$PROMETHEUS" ] || configure_prometheus "$(disk_of "$h")/etc/watari/prometheus"
    done
    # The authority's private key has no business on a running machine.
    rm -rf "$LAB/setup"
  else
    configure_libvirt_alone
  fi
}

# configure_prometheus FOLDER: as the install guide says, with the repository's own scraping and rules.
# Also its interval of 5 s: a transfer lasts hardly longer, and all sixteen scrapes took 1 to 10 ms each and Prometheus with its
# rules 0.8 % of a processor, measured in the demo.
configure_prometheus() {
  mkdir -p "$1"
  cp "$REPO"/deploy/prometheus/{prometheus,rules}.yml "$1/"
  cp -r "$LAB/setup/prometheus/targets" "$1/"
}

# Without Watari's own binaries: libvirt only, for work on the hypervisor module and on the lab.
configure_libvirt_alone() {
  local ca=$LAB/ca h disk
  mkdir -p "$ca"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/CN=watari lab' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout "$ca/ca.key" -out "$ca/ca.crt" 2>/dev/null
  for h in $(hosts_of_role node); do
    disk=$(disk_of "$h")
    mkdir -p "$disk"/etc/pki/{CA,libvirt/private,qemu} "$disk/etc/libvirt"
    issue_certificate "$ca" "$h" "$MANAGEMENT.$(number_of "$h")"
    cp "$ca/ca.crt" "$disk/etc/pki/CA/cacert.pem"
    cp "$ca/ca.crt" "$disk/etc/pki/qemu/ca-cert.pem"
    for kind in server client; do
      cp "$ca/$h.crt" "$disk/etc/pki/libvirt/${kind}cert.pem"
      cp "$ca/$h.key" "$disk/etc/pki/libvirt/private/${kind}key.pem"
      cp "$ca/$h.crt" "$disk/etc/pki/qemu/$kind-cert.pem"
      cp "$ca/$h.key" "$disk/etc/pki/qemu/$kind-key.pem"
    done
    write_libvirtd_conf "$h" >"$disk/etc/libvirt/libvirtd.conf"
    write_qemu_conf "$h" >"$disk/etc/libvirt/qemu.conf"
  done
  rm -rf "$ca"
}

issue_certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout "$1/$2.key" -out "$1/$2.csr" 2>/dev/null
  openssl x509 -req -in "$1/$2.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 3650 -out "$1/$2.crt" \
    -extfile <(printf 'subjectAltName=DNS:%s,IP:%s\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n' "$2" "$3") 2>/dev/null
}

write_libvirtd_conf() {
  cat <<CONF
listen_tls = 1
listen_tcp = 0
listen_addr = "$MANAGEMENT.$(number_of "$1")"
auth_tls = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "00000000-0000-4000-8000-$(printf '%012d' "$(number_of "$1")")"
CONF
}

write_qemu_conf() {
  cat <<CONF
user = "root"
group = "root"
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_host = "$MANAGEMENT.$(number_of "$1")"
migration_address = "$MANAGEMENT.$(number_of "$1")"
migrate_tls_x509_cert_dir = "/etc/pki/qemu"
migrate_tls_x509_verify = 1
CONF
}
