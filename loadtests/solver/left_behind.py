"""How many servers a solver has to leave behind, beside how many the scheduler's plan does.

Needs Python with ortools (pip install ortools), for this comparison alone. It reads the clouds that the benchmark of
plans writes with `--clouds`, and fails if the solver finds room for a server that the plan leaves behind. Of a plan that
leaves nobody behind it is not asked, unless all are wanted: fewer than none are left by no other.
"""

import argparse
import json
import pathlib
import sys

from ortools.sat.python import cp_model


def solve(cloud, seconds):
    """The fewest servers that CP-SAT leaves behind, and the fewest that it cannot rule out, in so many seconds."""
    model = cp_model.CpModel()
    free = {node["name"]: node["memory_mib"] for node in cloud["nodes"]}
    held = set()
    leaving = []
    for server in cloud["servers"]:
        if server["node"] is None:
            leaving.append(server)
        else:
            free[server["node"]] -= server["memory_mib"]
            held.update((group, server["node"]) for group in server["apart"])
    loads = {node: [] for node in free}
    members = {}
    placed = []
    for server in leaving:
        places = []
        for node in free:
            if any((group, node) in held for group in server["apart"]):
                continue
            place = model.NewBoolVar("")
            places.append(place)
            loads[node].append(server["memory_mib"] * place)
            for group in server["apart"]:
                members.setdefault((group, node), []).append(place)
        model.AddAtMostOne(places)
        placed.extend(places)
    for node, load in loads.items():
        model.Add(sum(load) <= free[node])
    for together in members.values():
        model.AddAtMostOne(together)
    model.Maximize(sum(placed))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    if solver.Solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return len(leaving), 0
    return len(leaving) - round(solver.ObjectiveValue()), len(leaving) - int(solver.BestObjectiveBound())


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("clouds", type=pathlib.Path, help="the folder that the benchmark wrote")
    arguments.add_argument("--seconds", type=float, default=60, help="for each cloud at the most")
    arguments.add_argument("--all", action="store_true", help="also where the plan leaves nobody behind")
    given = arguments.parse_args()
    clouds = sorted(given.clouds.glob("*.json"))
    worse = 0
    for path in clouds:
        cloud = json.loads(path.read_text())
        found, bound = solve(cloud, given.seconds) if given.all or cloud["plan"]["left"] else (0, 0)
        worse += cloud["plan"]["left"] > found
        print(json.dumps({"cloud": path.stem, "plan": cloud["plan"]["left"], "solver": found, "bound": bound}))
    return 1 if worse or not clouds else 0


if __name__ == "__main__":
    sys.exit(main())
