# shellcheck shell=bash
# What `deploy/lab --help` and `deploy/lab VERB --help` say.

help_for() {
  case "$1" in
    '' | help | -h | --help) help_all ;;
    up)
      cat <<'T'
deploy/lab up [--link-mbit N] [--witness SITE] [--empty | --prometheus]

Builds the lab and waits until it may be used, saying what it waits for. What a lab that did
not end properly left behind is cleared away first. When the lab is up already, nothing is
changed but the links' speed, if one is given (see `link`).

--witness puts the NATS witness into one of the campuses, on whose switches and power it then is;
without it, it stands in a third place.

--empty leaves the hosts as they are before Watari is installed: no keys, no configuration, nothing runs. `systemctl` starts
there what `watari init` or `watari join` has set up. Names lead to their campus addresses.

--prometheus has the client run Prometheus with deploy/prometheus's scraping and rules, at localhost:9090 there; for it every
process tells its metrics, in plain text, at its host's management address.

  WATARI_BIN=FOLDER         where Watari's programs are, as long as this lab is up (default: target/debug of this checkout)
  WATARI_LAB_SERVICES=none  hosts with libvirtd alone, none of Watari's services
  WATARI_LAB_DIR=FOLDER     where the hosts' disks are kept (default: /var/tmp/watari-lab)
T
      ;;
    down)
      cat <<'T'
deploy/lab down

Takes the lab away: processes, namespaces, links, the hosts' disks. The built guest image stays
in its cache.
T
      ;;
    status)
      cat <<'T'
deploy/lab status [--json]

Shows each host (site, role, power, addresses, its services) and each site's link.
JSON: {"up", "ready_seconds", "link_mbit", "sites": [{"name", "link"}], "hosts": [{"name",
"site", "role", "power", "campus_address", "management_address", "services": [{"name",
"state", "pid"}]}]}; ready_seconds is how long `up` took.
T
      ;;
    exec)
      cat <<'T'
deploy/lab exec HOST [--] [CMD…]

Runs CMD (default: a shell) on HOST. Standard streams, the current folder and the exit status
are passed through; when the caller is killed, CMD gets a SIGTERM. The machine's files are
visible, save the folders that a host has for itself (/etc/watari, /var/lib/libvirt, /run, …).
On `client`, WATARI_NATS and WATARI_NKEY are set and the cluster's authority is trusted.
T
      ;;
    power-off | power-on)
      cat <<'T'
deploy/lab power-off HOST|SITE|SITE-nodes
deploy/lab power-on  HOST|SITE|SITE-nodes

power-off is a power cut, not a shutdown: every process of the host dies at once, its disk stays.
power-on starts the host again from its disk. SITE means all hosts of a site, SITE-nodes those
that run guests.
T
      ;;
    cut | heal)
      cat <<'T'
deploy/lab cut SITE
deploy/lab heal SITE

cut takes down the link between a site and everything else, both networks, without a word to
the hosts; packets on their way are lost. heal brings it back, at the speed it had.
T
      ;;
    link)
      cat <<'T'
deploy/lab link --mbit N

Each site's link carries N megabits of Ethernet frames a second in each direction, campus and
management network together; 0 takes the limit away. Between two sites a packet passes two such
links. A packet waits at most 10 ms in a link's queue.
T
      ;;
    logs)
      cat <<'T'
deploy/lab logs [-f] HOST [SERVICE]

Prints what the host's services have written; -f goes on as they write.
T
      ;;
    kill | stop | start | restart)
      cat <<'T'
deploy/lab kill HOST SERVICE [SIGNAL]
deploy/lab stop|start|restart HOST SERVICE

kill sends a signal (default KILL) to a service; one that dies is started again after 0.5 s, as
systemd would. stop ends it (TERM, after 90 s KILL) and it stays ended until start or the next
power-on. `watari-` may be left out of a service's name.
T
      ;;
    guest-image)
      cat <<'T'
deploy/lab guest-image [debian]

Builds the small guest image if need be (it is kept in ${XDG_CACHE_HOME:-~/.cache}/watari) and
prints its path. See deploy/guest/build for what is in it. With `debian`: a plain guest of this
machine's own release with cloud-init, see deploy/guest/debian/build.
T
      ;;
    *) die "'$1' is not something the lab does" "deploy/lab --help" ;;
  esac
}

help_all() {
  cat <<'T'
deploy/lab: two sites with eight hosts on this machine, each with its own network, file system
and processes: m-front m1 m2 (site myodaiji), y-front y1 y2 (site yamate), witness, client.

  up [--link-mbit N]              build it and wait until it is ready
  down                            take it away
  status [--json]                 hosts, services, links
  exec HOST -- CMD…               run a command on a host
  power-off HOST|SITE             cut the power; SITE-nodes means a site's nodes alone
  power-on HOST|SITE              switch on again
  cut SITE, heal SITE             take a site's link down, bring it back
  link --mbit N                   how fast each site's link is (0: no limit)
  logs [-f] HOST [SERVICE]        what services wrote
  kill HOST SERVICE [SIGNAL]      kill a service (it is started again); also stop, start, restart
  guest-image [debian]            build the guest image if need be, print its path

`deploy/lab VERB --help` says more. The opening lines of deploy/lab draw the network.
T
}
