"""How values are written and axes divided, by Grafana's names of units."""

import datetime
import math

SHORT = (1000, ["", " K", " Mil", " Bil", " Tri"])
# What a unit counts in, and what its thousands are called.
SCALES = {
    "short": SHORT,
    "bytes": (1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]),
    "Bps": (1000, [" B/s", " kB/s", " MB/s", " GB/s", " TB/s"]),
    "reqps": (1000, [" req/s", "K req/s", "M req/s"]),
    "ops": (1000, [" ops/s", "K ops/s", "M ops/s"]),
}
SPANS = [(1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " h"), (86400, " d"), (31536000, " y")]
# Distances between marks of time, in seconds.
ROUND_SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800]


def written(value, unit):
    """A value as a person reads it, with three digits that count."""
    if unit == "percentunit":
        return f"{digits(100 * value)}%"
    if unit == "dateTimeAsIso":
        return datetime.datetime.fromtimestamp(value / 1000).strftime("%Y-%m-%d %H:%M")
    if unit == "s":
        size, name = next((span for span in reversed(SPANS) if abs(value) >= span[0]), SPANS[2] if value == 0 else SPANS[0])
        return digits(value / size) + name
    base, names = SCALES[unit]
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    return digits(value) + names[power]


def digits(value):
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def marks(low, high, unit, most):
    """Round values from `low` to `high`, at most so many and one more."""
    least = (high - low) / most
    base = SCALES[unit][0] if unit in SCALES else 1000
    size = base ** math.floor(math.log(least, base))
    steps = [nice * size for nice in (1, 2, 5, 10, 20, 50, 100, 200, 500, base)]
    if unit == "s" and least > 1:
        steps = [*ROUND_SPANS, *steps]
    step = next(step for step in steps if step >= least * 0.999)
    return [n * step for n in range(math.ceil(low / step - 0.001), math.floor(high / step + 0.001) + 1)]


def clock(start, end, most):
    """Times to be marked between two, and how each is written."""
    step = next((span for span in ROUND_SPANS if span >= (end - start) / most), ROUND_SPANS[-1])
    shape = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86400 else "%m-%d"
    times = [n * step for n in range(math.ceil(start / step), math.floor(end / step) + 1)]
    return times, [datetime.datetime.fromtimestamp(at).strftime(shape) for at in times]
