"""What dashboards ask of Prometheus, and what it answers."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request

# A proxy that the environment names leads elsewhere.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """A picture that cannot be drawn, and why."""


class Line:
    """A series: its name as the dashboard writes it, in one or both languages, and its points in order of time."""

    def __init__(self, name, times, values):
        self.name, self.times, self.values = name, times, values

    @property
    def last(self):
        return self.values[-1]


class Prometheus:
    """Asks about one stretch of time, from `start` to `end` every `step` seconds."""

    def __init__(self, url, start, end, step):
        self.url, self.start, self.end, self.step = url.rstrip("/"), start, end, step

    def label_values(self, definition):
        """The answer to Grafana's `label_values(metric, label)`."""
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", definition)
        if not asked:
            raise Refused(f"this question of a variable is not understood: {definition}")
        metric, label = asked.groups()
        return self._get(f"label/{label}/values", {"match[]": metric, "start": self.start, "end": self.end})

    def ask(self, target, variables):
        """The lines of a panel's question, without points that are no numbers; lines without points are left out."""
        asked = substituted(target["expr"], variables)
        if target.get("instant"):
            answer = self._get("query", {"query": asked, "time": self.end})
            series = [(one["metric"], [one["value"]]) for one in answer["result"]]
        else:
            limits = {"start": self.start, "end": self.end, "step": self.step}
            answer = self._get("query_range", {"query": asked, **limits})
            series = [(one["metric"], one["values"]) for one in answer["result"]]
        lines = []
        for labels, points in series:
            points = [(at, float(value)) for at, value in points if math.isfinite(float(value))]
            if points:
                lines.append(Line(named(target["legendFormat"], labels), *zip(*points)))
        return sorted(lines, key=lambda line: line.name)

    def _get(self, path, asked):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        try:
            with OPENER.open(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Refused(f"Prometheus refuses {asked}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise Refused(f"no answer from {self.url}: {error}") from error


def substituted(text, variables):
    """The question with the values of variables. Grafana's own, such as $__interval, no dashboard of Watari's uses."""

    def value(found):
        if found[1] not in variables:
            raise Refused(f"{found[0]} is no variable: {text}")
        return variables[found[1]]

    return re.sub(r"\$(\w+)", value, text)


def named(legend, labels):
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), legend).strip() or "Value"
