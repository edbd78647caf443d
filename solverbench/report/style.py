"""How figures look: one font, one palette, lines that can be told apart in print and by the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

GREY = "#b8b8b8"
ACCENT = "#0173b2"
DARK = "#444444"
MARKERS = "osD^vP*Xph<>"
TICKS = 6
"""Numbers on a logarithmic axis, at most."""
APART = 0.3, 0.13
"""And the inches that two of them need, beside and above each other."""
FAN, FAN_DEPTH, FAN_NUMBER = (0.27, 0.2), 0.25, 0.09
"""Widths of a fan of orders and its depth, as fractions of the panel, and the inches that a number at it needs."""
FAMILIES = (
    "runge-kutta", "unipc", "dpm-solver++", "deis", "exponential", "dpm-solver", "ddim", "sde", "edm", "flow-map",
    "pndm",
)  # fmt: skip
"""The order in which families take colours, so that two runs agree; others follow in the order of the run."""
MORE = ((0.6, 0.6, 0.2), (0.2, 0.13, 0.53), (0.58, 0.2, 0.95), (0.53, 0.13, 0.33), (0.33, 0.25, 0.08))
"""Colours besides seaborn's, as far from them, from grey and from black as the colour-blind can see."""
RULES: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "text.parse_math": False,  # names may have dollars
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it would be anyhow, without laying out every tick to find that out
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": DARK,
    "grid.linewidth": 0.4,
    "grid.color": "#e4e4e4",
    "axes.grid": True,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "pdf.fonttype": 42,  # text stays text in the PDF
    "svg.fonttype": "none",
    "svg.hashsalt": "solverbench",  # the same figure, the same names inside
    "figure.dpi": 150,
    "savefig.dpi": 220,
}


@contextmanager
def style() -> Iterator[None]:
    """The house style, for the time of one figure; the caller's settings are left as they were."""
    import matplotlib as mpl

    with mpl.rc_context(_rules()):
        yield


@lru_cache
def _rules() -> Any:
    import seaborn as sns

    return {**sns.axes_style("ticks"), **RULES}


def hues(families: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """A colour for each family, the same in every figure."""
    import seaborn as sns

    order = list(dict.fromkeys([*FAMILIES, *families]))
    bright = sns.color_palette("colorblind", 10)  # its yellow is pale, its grey is for the others
    palette = [*(bright[i] for i in (0, 1, 2, 4, 9, 3, 5)), *MORE]
    return {family: palette[i % len(palette)] for i, family in enumerate(order)}


def shade(colour: tuple[float, float, float], step: int) -> tuple[float, float, float]:
    """The hue itself, then darker, then lighter: members of one family."""
    amount, towards = ((0.0, 0.0), (0.45, 0.0), (0.4, 1.0), (0.7, 0.0))[step % 4]
    red, green, blue = (c + (towards - c) * amount for c in colour)
    return red, green, blue


def stroke(colour: Any, marker: str, dashed: bool = False) -> dict[str, Any]:
    """Properties of a line with marks, and of its entry in a legend."""
    size = 4.5 if marker == "*" else 3.0
    look = {"color": colour, "marker": marker, "ms": size, "ls": "--" if dashed else "-"}
    return {**look, "mew": 0.4, "mec": "white", "lw": 1.1}


def nfe_axis(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic axis whose ticks are budgets, 1, 2, 5, 10 ... first, as far as their numbers stand apart."""
    values = set(values)
    apart = max(1.45, (max(values) / min(values)) ** (1 / 6)) if values else 1.0
    ticks: list[float] = []
    for value in sorted(values, key=lambda v: (f"{v:e}"[:8] not in ("1.000000", "2.000000", "5.000000"), v)):
        if all(max(value / t, t / value) >= apart for t in ticks):
            ticks.append(value)
    axes.set_xscale("log")
    axes.set_xticks(sorted(ticks), [f"{t:g}" for t in sorted(ticks)])
    axes.set_xticks([], minor=True)


def round_numbers(axis: Axis) -> None:
    """Ticks of a logarithmic axis, once its limits are set: numbers, or powers of ten where some would be long."""
    low, high = sorted(axis.get_view_interval())
    across = axis is axis.axes.xaxis
    extent = axis.axes.bbox.width if across else axis.axes.bbox.height
    apart = APART[0 if across else 1] * axis.axes.figure.dpi / extent
    ticks = round_between(low, high, (high / low) ** apart)
    powers = bool(ticks) and not 1e-3 <= min(ticks) <= max(ticks) < 1e4
    axis.set_ticks(ticks, labels=[power(t) if powers else f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)


def round_between(low: float, high: float, apart: float = 1.0) -> list[float]:
    """Round numbers from low to high, both positive: of the usual sets the finest that has no more than `TICKS`, none
    less than the factor `apart` from the next."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    coarse = [((1,), every) for every in range(1, last - first + 1)]
    for leading, every in ((1, 2, 3, 4, 5, 6, 8), 1), ((1, 2, 5), 1), *coarse:
        exponents = range(first - first % every, last + 1, every)
        found = [v for k in exponents for n in leading if low <= (v := float(f"{n}e{k}")) <= high]
        if len(found) <= TICKS and all(b / a >= apart for a, b in pairwise(found)):
            break
    if len(found) < 2:  # within less than a factor of two
        from matplotlib.ticker import MaxNLocator

        found = [float(t) for t in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= t <= high]
    return found


def power(value: float) -> str:
    """10⁻³, or 2·10⁻³."""
    leading, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if leading == "1" else f"{leading}·10{raised}"


def slope_guide(axes: Axes, orders: Sequence[int] = (1, 2, 3)) -> None:
    """Directions of errors that fall like 1/NFE^k, as a fan in log-log axes, where no line crosses it."""
    import numpy as np

    (left, wide), (bottom, tall) = ((a, b - a) for a, b in np.log10([axes.get_xlim(), axes.get_ylim()]))
    depths = {width: min(FAN_DEPTH, width * wide / tall * max(orders)) for width in FAN}
    free = ((width, place) for width, depth in depths.items() if (place := _free(axes, width, depth)))
    if (found := next(free, None)) is None:
        return
    width, place = found
    x, y = left + place[0] * wide, bottom + place[1] * tall
    letter = FAN_NUMBER * axes.figure.dpi / axes.bbox.height * tall
    ends: dict[int, tuple[float, float]] = {}
    for k in orders:
        run = min(width * wide, FAN_DEPTH * tall / k)
        if not ends or min(at for _, at in ends.values()) - (y - k * run) >= letter:  # else a number on another
            ends[k] = x + run, y - k * run
    if len(ends) == 1:  # all budgets are next to each other
        return
    for k, (right, low) in ends.items():
        axes.plot(10 ** np.array([x, right]), 10 ** np.array([y, low]), color=DARK, lw=0.6, zorder=1)
        axes.annotate(
            str(k), (10**right, 10**low), xytext=(2, -1), textcoords="offset points",
            fontsize=6, color=DARK, va="center", ha="left",
        )  # fmt: skip
    axes.annotate(
        "order", (10**x, 10**y), xytext=(-2, 3), textcoords="offset points", fontsize=6, color=DARK, va="bottom"
    )


def _free(axes: Axes, width: float, depth: float) -> tuple[float, float] | None:
    """Of some places for a fan of that size, all in fractions of the axes, the first that no line or mark is near."""
    import numpy as np
    from matplotlib.collections import LineCollection, PathCollection

    lines: list[tuple[Any, Any]] = [(line.get_transform(), np.asarray(line.get_xydata())) for line in axes.lines]
    marks = []
    for c in axes.collections:
        if isinstance(c, LineCollection):
            lines += [(c.get_transform(), path.vertices) for path in c.get_paths()]
        elif isinstance(c, PathCollection):
            marks.append((c.get_offset_transform(), np.asarray(c.get_offsets())))
    to_axes = axes.transAxes.inverted()
    part = np.linspace(0, 1, 24)[:, None, None]
    points = [np.empty((0, 2)), *(to_axes.transform(where.transform(at)) for where, at in marks)]
    for where, line in lines:
        at = to_axes.transform(where.transform(line))
        points.append((at[:-1] + part * np.diff(at, axis=0)).reshape(-1, 2))
    x, y = np.concatenate(points).T
    right, below = width + 0.05, depth + 0.05
    places = [(x0, y0) for y0 in (0.34, 0.9, depth + 0.08, 0.62, 0.48, 0.76) for x0 in (0.05, 0.98 - right)]
    met = [np.any((x > x0 - 0.04) & (x < x0 + right) & (y > y0 - below) & (y < y0 + 0.09)) for x0, y0 in places]
    return next((place for place, crossed in zip(places, met, strict=True) if not crossed), None)
