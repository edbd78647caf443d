"""How figures look: one font, one palette, lines that can be told apart in print and by the colour-blind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

GREY = "#b8b8b8"
ACCENT = "#0173b2"
DARK = "#444444"
MARKERS = "osD^vP*Xph<>"
TICKS = 6
"""Numbers on a logarithmic axis."""
FAMILIES = (
    "runge-kutta", "unipc", "dpm-solver++", "deis", "exponential", "dpm-solver", "ddim", "sde", "edm", "flow-map",
    "pndm",
)  # fmt: skip
"""The order in which families take colours, so that two runs agree; others follow in the order of the run."""
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
    bright = sns.color_palette("colorblind", 10)
    own = [
        (0.6, 0.6, 0.2),
        (0.2, 0.13, 0.53),
        (0.15, 0.15, 0.15),
        (0.53, 0.13, 0.33),
        (0.27, 0.67, 0.6),
    ]  # its yellow is pale, its grey is for the others
    palette = [*(bright[i] for i in (0, 1, 2, 4, 9, 3, 5)), *own]
    return {family: palette[i % len(palette)] for i, family in enumerate(order)}


def shade(colour: tuple[float, float, float], step: int) -> tuple[float, float, float]:
    """The hue itself, then darker, then lighter: members of one family."""
    amount, towards = ((0.0, 0.0), (0.45, 0.0), (0.4, 1.0), (0.7, 0.0))[step % 4]
    red, green, blue = (c + (towards - c) * amount for c in colour)
    return red, green, blue


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
    ticks = round_between(low, high)
    powers = bool(ticks) and not 1e-3 <= min(ticks) <= max(ticks) < 1e4
    axis.set_ticks(ticks, labels=[power(t) if powers else f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)


def round_between(low: float, high: float) -> list[float]:
    """Round numbers from low to high, both positive: of the usual sets the finest that has no more than `TICKS`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    coarse = [((1,), every) for every in range(1, last - first + 1)]
    for leading, every in ((1, 2, 3, 4, 5, 6, 8), 1), ((1, 2, 5), 1), *coarse:
        exponents = range(first - first % every, last + 1, every)
        found = [v for k in exponents for n in leading if low <= (v := float(f"{n}e{k}")) <= high]
        if len(found) <= TICKS:
            break
    return found


def power(value: float) -> str:
    """10⁻³, or 2·10⁻³."""
    leading, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if leading == "1" else f"{leading}·10{raised}"


def slope_guide(axes: Axes, orders: Iterable[int] = (1, 2, 3)) -> None:
    """Directions of errors that fall like 1/NFE^k, as a fan in log-log axes, where no line crosses it."""
    import numpy as np

    (left, right), (bottom, top) = np.log10(axes.get_xlim()), np.log10(axes.get_ylim())
    if (place := _free(axes)) is None:
        return
    x, y = left + place[0] * (right - left), bottom + place[1] * (top - bottom)
    longest, deepest = 0.2 * (right - left), 0.25 * (top - bottom)
    labelled = 0.0
    for k in orders:
        run = min(longest, deepest / k)
        if k * run - labelled < 0.035 * (top - bottom):  # its number would stand on the one before
            continue
        labelled = k * run
        axes.plot(10 ** np.array([x, x + run]), 10 ** np.array([y, y - k * run]), color=DARK, lw=0.6, zorder=1)
        axes.annotate(
            str(k), (10 ** (x + run), 10 ** (y - k * run)), xytext=(2, -1), textcoords="offset points",
            fontsize=6, color=DARK, va="center", ha="left",
        )  # fmt: skip
    axes.annotate(
        "order", (10**x, 10**y), xytext=(-2, 3), textcoords="offset points", fontsize=6, color=DARK, va="bottom"
    )


def _free(axes: Axes) -> tuple[float, float] | None:
    """Of some places for a fan, as fractions of the axes, the first that no line comes near."""
    import numpy as np
    from matplotlib.collections import LineCollection

    drawn: list[Any] = [np.asarray(line.get_xydata()) for line in axes.lines]
    drawn += [p.vertices for c in axes.collections if isinstance(c, LineCollection) for p in c.get_paths()]
    to_axes = axes.transData + axes.transAxes.inverted()
    part = np.linspace(0, 1, 24)[:, None, None]
    points = [np.empty((0, 2))]
    for line in drawn:
        at = to_axes.transform(line)
        points.append((at[:-1] + part * np.diff(at, axis=0)).reshape(-1, 2))
    x, y = np.concatenate(points).T
    places = [(x0, y0) for y0 in (0.34, 0.9, 0.62, 0.48, 0.76) for x0 in (0.05, 0.72)]
    met = [np.any((x > x0 - 0.04) & (x < x0 + 0.27) & (y > y0 - 0.3) & (y < y0 + 0.09)) for x0, y0 in places]
    return next((place for place, crossed in zip(places, met, strict=True) if not crossed), None)
