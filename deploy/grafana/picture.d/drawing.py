"""A dashboard on one sheet: its panels on Grafana's grid of 24 columns, in Grafana's dark colours."""

import datetime
import functools
import io
import math

import matplotlib

matplotlib.use("Agg")

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch, Rectangle, Wedge
from PIL import Image, ImageColor, ImageFont

import units

# In pixels.
WIDTH, LINE, GAP, HEAD, FOOT = 1400, 30, 4, 52, 30
DPI = 100
PAGE, PANEL, EDGE, TEXT, DIM, GRID, EMPTY = "#111217", "#181b1f", "#2c3037", "#d5d6e0", "#9a9ba8", "#292c32", "#2b2e35"
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
LINES = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#4f94d4", "#d05fc0", "#9a86cf", "#b7dbab", "#f4d598", "#70dbed", "#f9ba8f"]
# For what Latin letters' fonts lack, the first that is installed.
JAPANESE = ["Noto Sans CJK JP", "Noto Sans JP", "IPAPGothic", "IPAexGothic", "IPAGothic", "VL PGothic", "TakaoPGothic"]
LATIN = ["Inter", "Roboto", "Open Sans", "Noto Sans", "DejaVu Sans"]


def installed(wanted):
    there = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in wanted if name in there][:1]


matplotlib.rcParams["font.family"] = installed(LATIN) + installed(JAPANESE)


def said(text):
    """A text of both languages as far as there are letters for it."""
    return text if installed(JAPANESE) else text.split(" / ")[0]


@functools.lru_cache(None)
def font(japanese):
    families = installed(JAPANESE if japanese else LATIN)
    return ImageFont.truetype(font_manager.findfont(families[0]), 100)


@functools.lru_cache(None)
def letter_breadth(letter):
    """Of its height."""
    return font(ord(letter) > 0x2E7F and bool(installed(JAPANESE))).getlength(letter) / 100


def breadth(text, size):
    """How many pixels wide a text of this height is."""
    return size * sum(map(letter_breadth, text))


def fitted(text, size, width):
    """As much of a text as there is room for."""
    if breadth(text, size) <= width:
        return text
    while text and breadth(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def threshold(defaults, value):
    """The colour of a value: of the last threshold that it has reached."""
    steps = defaults.get("thresholds", {}).get("steps", [{"color": "green", "value": None}])
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return NAMED[reached[-1]]


class Picture:
    """Draws panel after panel; what is drawn is kept until it is saved."""

    def __init__(self, board, start, end, told):
        self.start, self.end = start, end
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
        self.height = HEAD + rows * LINE + FOOT
        self.figure = Figure(figsize=(WIDTH / DPI, self.height / DPI), dpi=DPI, facecolor=PAGE)
        # In pixels from the top left, over all of the sheet.
        self.sheet = self.figure.add_axes([0, 0, 1, 1])
        self.sheet.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        self.sheet.axis("off")
        self.text(14, HEAD / 2, said(board["title"]), 20, weight="bold")
        when = [datetime.datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S") for at in (start, end)]
        self.text(WIDTH - 14, HEAD / 2, "   ".join([*told, " – ".join(when)]), 13, color=DIM, ha="right")

    def text(self, x, y, text, size, color=TEXT, **more):
        placed = {"ha": "left", "va": "center", **more}
        # A dollar sign would begin a formula.
        return self.sheet.text(x, y, text, fontsize=size * 72 / DPI, color=color, parse_math=False, **placed)

    def row(self, panel):
        at = panel["gridPos"]
        self.text(14, HEAD + at["y"] * LINE + LINE / 2, "▾ " + said(panel["title"]), 14, weight="bold")

    def panel(self, panel, lines):
        at = panel["gridPos"]
        column = (WIDTH - 2 * GAP) / 24
        x, y = GAP + at["x"] * column + GAP, HEAD + at["y"] * LINE + GAP
        width, height = at["w"] * column - 2 * GAP, at["h"] * LINE - 2 * GAP
        shape = {"boxstyle": "round,pad=0,rounding_size=3", "facecolor": PANEL, "edgecolor": EDGE, "linewidth": 0.7}
        self.sheet.add_patch(FancyBboxPatch((x, y), width, height, **shape))
        self.text(x + 9, y + 14, fitted(said(panel["title"]), 13, width - 18), 13, weight="medium")
        inside = (x + 9, y + 28, width - 18, height - 34)
        if not lines:
            self.text(x + width / 2, y + height / 2 + 8, "No data", 14, color=DIM, ha="center")
            return
        draw = {
            "timeseries": self.timeseries,
            "stat": self.stat,
            "gauge": self.gauge,
            "bargauge": self.bargauge,
            "state-timeline": self.state_timeline,
        }[panel["type"]]
        draw(inside, panel, lines)

    def axes(self, x, y, width, height):
        """Axes of their own at a place of the sheet."""
        axes = self.figure.add_axes([x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height])
        axes.set_facecolor("none")
        axes.tick_params(length=0, labelsize=11 * 72 / DPI, labelcolor=DIM)
        for side in axes.spines.values():
            side.set_visible(False)
        return axes

    def over_time(self, axes, width):
        times, texts = units.clock(self.start, self.end, max(2, width // 75))
        axes.set_xlim(self.start, self.end)
        axes.set_xticks(times, texts)
        axes.grid(color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)

    def timeseries(self, inside, panel, lines):
        x, y, width, height = inside
        defaults = panel["fieldConfig"]["defaults"]
        unit = defaults["unit"]
        below = self.legend(x, y + height, width, [said(line.name) for line in lines])
        values = [value for line in lines for value in line.values]
        low, high = defaults.get("min", min(values)), defaults.get("max", max(values))
        if high - low <= 1e-9 * max(abs(high), abs(low)):
            high = low + (abs(low) or 1)
        room = 0 if "max" in defaults else (high - low) * 0.06
        below_all = 0 if "min" in defaults else (high - low) * 0.06
        marks = units.marks(low, high, unit, max(2, (height - below) // 34))
        texts = [units.written(mark, unit) for mark in marks]
        left = max(breadth(text, 11) for text in texts) + 6
        axes = self.axes(x + left, y + 8, width - left - 4, height - below - 26)
        self.over_time(axes, width - left)
        axes.set_ylim(low - below_all, high + room)
        axes.set_yticks(marks, texts)
        for number, line in enumerate(lines):
            color = LINES[number % len(LINES)]
            for times, part in stretches(line):
                alone = len(times) == 1
                axes.plot(times, part, color=color, linewidth=1.1, marker="o" if alone else None, markersize=2.5)

    def legend(self, x, bottom, width, names):
        """Names of lines from left to right, in at most three rows; gives the height that they take."""
        rows, at = [[]], 0
        for number, name in enumerate(names):
            name = fitted(name, 11, width - 24)
            wide = breadth(name, 11) + 26
            if at + wide > width and rows[-1]:
                rows.append([])
                at = 0
            rows[-1].append((x + at, LINES[number % len(LINES)], name))
            at += wide
        if len(rows) > 3:
            shown = sum(len(row) for row in rows[:2])
            rows[2:] = [[(x, DIM, f"and {len(names) - shown} more")]]
        for number, row in enumerate(rows):
            y = bottom - 15 * (len(rows) - number) + 8
            for left, color, name in row:
                self.sheet.add_patch(Rectangle((left, y - 1.5), 12, 3, facecolor=color))
                self.text(left + 16, y, name, 11, color=DIM)
        return 15 * len(rows)

    def stat(self, inside, panel, lines):
        """Values in cells beside and below one another, as large as there is room for all."""
        defaults = panel["fieldConfig"]["defaults"]
        mode = panel["options"].get("textMode", "auto")
        cells = []
        for line in lines:
            name, value = said(line.name), units.written(line.last, defaults["unit"])
            if mode == "name":
                name, value = "", name
            elif mode == "auto" and len(lines) == 1:
                name = ""
            cells.append((name, value, threshold(defaults, line.last)))
        x, y, width, height = inside
        longest_name = max(breadth(name, 1) for name, _, _ in cells)
        longest_value = max(breadth(value, 1) for _, value, _ in cells)

        def size(columns):
            """Of the values, with so many columns; names are half as large at the least."""
            wide, high = 0.92 * width / columns, height / math.ceil(len(cells) / columns)
            by_name = 2 * wide / longest_name if longest_name else 46
            return min(46, high * (0.52 if longest_name else 0.75), wide / longest_value, by_name)

        columns = max(range(1, len(cells) + 1), key=size)
        rows = math.ceil(len(cells) / columns)
        large = size(columns)
        small = max(9, min(14, large * 0.5))
        for number, (name, value, color) in enumerate(cells):
            middle = x + width / columns * (number % columns + 0.5)
            center = y + height / rows * (number // columns + 0.5)
            if name:
                center += small * 0.55
                self.text(middle, center - large * 0.5 - small * 0.55, fitted(name, small, width / columns - 4), small, ha="center")
            self.text(middle, center, fitted(value, large, width / columns), large, color=color, ha="center", weight="medium")

    def gauge(self, inside, panel, lines):
        x, y, width, height = inside
        defaults = panel["fieldConfig"]["defaults"]
        value = lines[0].last
        part = (value - defaults["min"]) / (defaults["max"] - defaults["min"])
        axes = self.axes(x, y, width, height)
        axes.set(xlim=(-width / height, width / height), ylim=(-0.45, 1.1), xticks=[], yticks=[])
        axes.set_aspect("equal")
        axes.add_patch(Wedge((0, 0), 1, -15, 195, width=0.22, facecolor=EMPTY))
        axes.add_patch(Wedge((0, 0), 1, 195 - 210 * min(max(part, 0), 1), 195, width=0.22, facecolor=threshold(defaults, value)))
        said_value = units.written(value, defaults["unit"])
        self.text(x + width / 2, y + height * 0.7, said_value, height / 5, color=threshold(defaults, value), ha="center")

    def bargauge(self, inside, panel, lines):
        """Bars that stand beside one another."""
        x, y, width, height = inside
        defaults = panel["fieldConfig"]["defaults"]
        high = defaults.get("max", max(line.last for line in lines)) or 1
        each, full = width / len(lines), height - 46
        for number, line in enumerate(lines):
            left, color = x + each * number + 4, threshold(defaults, line.last)
            part = full * min(max((line.last - defaults["min"]) / (high - defaults["min"]), 0), 1)
            self.sheet.add_patch(Rectangle((left, y + 26), each - 8, full, facecolor=EMPTY))
            self.sheet.add_patch(Rectangle((left, y + 26 + full - part), each - 8, part, facecolor=color))
            middle = x + each * (number + 0.5)
            self.text(middle, y + 13, units.written(line.last, defaults["unit"]), min(20, each / 4), color=color, ha="center")
            self.text(middle, y + height - 10, fitted(said(line.name), 12, each), 12, ha="center")

    def state_timeline(self, inside, panel, lines):
        """A band for each line, coloured by what it was when."""
        x, y, width, height = inside
        defaults = panel["fieldConfig"]["defaults"]
        left = min(width / 3, max(breadth(said(line.name), 11) for line in lines) + 8)
        axes = self.axes(x + left, y, width - left - 4, height - 18)
        self.over_time(axes, width - left)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_yticks(range(len(lines)), [fitted(said(line.name), 11, left - 4) for line in lines])
        for number, line in enumerate(lines):
            for times, values in stretches(line):
                step = line_step(line)
                spans = [(at, step * 1.02) for at in times]
                axes.broken_barh(spans, (number - 0.42, 0.84), facecolors=[threshold(defaults, v) for v in values], linewidth=0)

    def foot(self, text):
        self.text(14, self.height - FOOT / 2, fitted(text, 11, WIDTH * 1.2), 11, color=DIM)

    def save(self, path, most):
        """Writes the PNG, in so few shades of each colour that it has at most so many bytes, if two are few enough."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        whole = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
        for shades in (4, 3, 2):
            packed = io.BytesIO()
            whole.quantize(palette=palette(shades), dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
            if packed.tell() <= most:
                break
        path.write_bytes(packed.getvalue())


def palette(shades):
    """An image whose palette holds each colour, and what lies between it and the ground, for the edges of letters."""
    ground = ImageColor.getrgb(PANEL)
    colors = [*ImageColor.getrgb(PAGE), *ground]
    for color in map(ImageColor.getrgb, [EDGE, TEXT, DIM, GRID, EMPTY, *NAMED.values(), *LINES]):
        for shade in range(1, shades + 1):
            colors += [round(low + (high - low) * shade / shades) for low, high in zip(ground, color)]
    image = Image.new("P", (1, 1))
    image.putpalette(colors)
    return image


def line_step(line):
    """The shortest time between two points."""
    return min((after - before for before, after in zip(line.times, line.times[1:])), default=5)


def stretches(line):
    """Its points where they follow one another; where some are missing nothing is drawn."""
    step, begun = line_step(line), 0
    for n in range(1, len(line.times) + 1):
        if n == len(line.times) or line.times[n] - line.times[n - 1] > 1.5 * step:
            yield line.times[begun:n], line.values[begun:n]
            begun = n
