"""Watari's plan of an evacuation beside that of Ganeti's `hail`, of the same clouds in the same run.

Needs hail (Debian's package ganeti-htools), which is only run. First the benchmark of plans plans its clouds and writes
them; then hail is asked for each of them. Ganeti knows no sites: all nodes are one group, and hail is asked to evacuate
the servers of one half's nodes (`node-evacuate`, primary nodes only). They have no disk of their own (a local one would keep
hail from moving them anywhere), and those that are kept apart bear exclusion tags.

It prints JSON, and a table beside it, and fails when Watari's plan leaves more servers behind than hail does.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

BENCH = ["cargo", "bench", "-q", "-p", "watari-scheduler", "--bench", "plan", "--", "--beside"]
GROUP = "one-group"
# Far from every bound: what is compared is memory and exclusion, which are what both planners reckon with here.
WIDE = {"memory-size": 1 << 24, "cpu-count": 1 << 12, "disk-size": 1, "disk-count": 1, "nic-count": 1, "spindle-use": 1}
NARROW = {"memory-size": 1, "cpu-count": 1, "disk-size": 0, "disk-count": 0, "nic-count": 0, "spindle-use": 0}
POLICY = {
    "std": NARROW,
    "minmax": [{"min": NARROW, "max": WIDE}],
    "disk-templates": ["diskless"],
    "vcpu-ratio": 1000.0,
    "spindle-ratio": 100000.0,
}


def request(cloud):
    """What Ganeti would hand hail: the whole cluster, and the servers that are to go."""
    used = {}
    for server in cloud["servers"]:
        used[server["on"]] = used.get(server["on"], 0) + server["memory_mib"]
    nodes = {}
    for node in cloud["nodes"] + cloud["dark"]:
        dark = node in cloud["dark"]
        nodes[node["name"]] = {
            "group": GROUP,
            "tags": [],
            "ndparams": {"exclusive_storage": False, "spindle_count": 1},
            "offline": False,
            # Nothing is to go where it goes dark, though a node there has no server: hail takes drained for offline.
            "drained": dark and node["name"] not in used,
            "vm_capable": True,
            # hail keeps a node's last MiB free.
            "total_memory": node["memory_mib"] + 1,
            "reserved_memory": 0,
            "free_memory": node["memory_mib"] + 1 - used.get(node["name"], 0),
            "total_disk": 1 << 20,
            "free_disk": 1 << 20,
            "total_cpus": node["vcpus"],
            "reserved_cpus": 0,
            "total_spindles": 1,
            "free_spindles": 1,
        }
    instances = {
        server["name"]: {
            "memory": server["memory_mib"],
            "vcpus": server["vcpus"],
            "disk_space_total": 0,
            "disks": [],
            "disk_template": "diskless",
            "spindle_use": 0,
            "nics": [],
            "admin_state": "up",
            "nodes": [server["on"]],
            "tags": [f"apart:{group}" for group in server["apart"]],
        }
        for server in cloud["servers"]
    }
    leaving = [server["name"] for server in cloud["servers"] if server["node"] is None]
    return {
        "cluster_name": "cluster",
        "cluster_tags": ["htools:iextags:apart"],
        "enabled_hypervisors": ["kvm"],
        "ipolicy": POLICY,
        "nodegroups": {
            GROUP: {"name": "default", "alloc_policy": "preferred", "networks": [], "tags": [], "ipolicy": POLICY}
        },
        "nodes": nodes,
        "instances": instances,
        "request": {"type": "node-evacuate", "instances": leaving, "evac_mode": "primary-only"},
    }


def judge(cloud, moved):
    """How many servers are left behind or misplaced, and how full the fullest node is against the mean."""
    room = {node["name"]: node["memory_mib"] for node in cloud["nodes"]}
    used = dict.fromkeys(room, 0)
    held = set()
    left = 0
    for server in cloud["servers"]:
        node = server["node"] or moved.get(server["name"])
        apart = {(group, node) for group in server["apart"]}
        if node not in room or held & apart or used[node] + server["memory_mib"] > room[node]:
            left += 1
            continue
        held |= apart
        used[node] += server["memory_mib"]
    return left, max(used.values()) * len(used) / sum(used.values())


def ask(hail, cloud, seconds, folder):
    """What hail says, with its time and memory; of one that takes too long only that."""
    asked, answered = folder / "request.json", folder / "answer.json"
    asked.write_text(json.dumps(request(cloud)))
    with answered.open("w") as out:
        began = time.monotonic()
        process = subprocess.Popen([hail, str(asked)], stdout=out)
        ending = threading.Timer(seconds, process.kill)
        ending.start()
        _, status, used = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        ending.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    told = {"ms": took * 1000, "mib": used.ru_maxrss / 1024, "left": None, "fullest": None}
    if process.returncode == 0:
        answer = json.loads(answered.read_text())
        if not answer["success"]:
            raise SystemExit(f"hail refuses: {answer['info']}")
        moved = {name: nodes[0] for name, _, nodes in answer["result"][0]}
        told["left"], told["fullest"] = judge(cloud, moved)
    elif took < seconds:
        raise SystemExit(f"hail ended with {process.returncode}")
    return told


def row(name, who, told):
    """A line of the table; what is not known is a dash."""
    forms = {"left": "d", "fullest": ".3f"}
    left, fullest = ("-" if told[key] is None else format(told[key], form) for key, form in forms.items())
    return f"{name:14} {who:7} {told['ms']:12.1f} {told['mib']:9.0f} {left:>6} {fullest:>8}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--hail", default="hail", help="the program")
    arguments.add_argument("--seconds", type=float, default=300, help="for each cloud at the most")
    given = arguments.parse_args()
    hail = shutil.which(given.hail)
    if hail is None:
        print("hail is not here: install the package ganeti-htools", file=sys.stderr)
        return 2
    version = subprocess.run([hail, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    report = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([*BENCH, str(folder / "clouds")], check=True)
        print(f"{'NODES-SERVERS':14} {'PLANNER':7} {'MS':>12} {'MIB':>9} {'LEFT':>6} {'FULLEST':>8}", file=sys.stderr)
        for path in sorted((folder / "clouds").glob("*.json")):
            cloud = json.loads(path.read_text())
            both = {"watari": cloud["plan"], "hail": ask(hail, cloud, given.seconds, folder)}
            report.append({"cloud": path.stem, **both})
            for who, told in both.items():
                print(row(path.stem, who, told), file=sys.stderr)
    print(json.dumps({"hail": version, "most_seconds": given.seconds, "clouds": report}, indent=2))
    worse = [one for one in report if one["hail"]["left"] is not None and one["watari"]["left"] > one["hail"]["left"]]
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
