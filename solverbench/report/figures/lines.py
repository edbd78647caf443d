"""Lines of solvers in panels of error by work: who stands out, how each is drawn, and what else a panel holds."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import floor, tidy, twins, usual_budget
from solverbench.report.figures.page import NothingError
from solverbench.report.layout import short
from solverbench.report.style import DARK, GREY, MARKERS, hues, round_numbers, shade, slope_guide

if TYPE_CHECKING:
    from collections.abc import Collection

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run

BAND = "± 2 standard errors"
EDGES = {"x": "diverged or failed", "^": "above the panel"}
MOST = 12
"""Solvers that are drawn to be told apart in one panel; the others stand behind them in grey."""
LEGEND = "best at some NFE,\nand best of each family"
LEGEND_ROW = 0.125
"""Inches."""
NEAR = 30.0
"""A reference that resolves less than the smallest error by more than this factor is named, not shown."""
TALL = 40.0
"""Errors above this many times the median at the smallest budget are drawn at the edge, as arrows."""


@dataclass(frozen=True)
class Look:
    """How a solver is drawn, in every panel of a figure."""

    name: str
    colour: tuple[float, float, float]
    marker: str
    dashed: bool
    own: bool = False
    """Whether it is the user's, which is drawn black and thick."""

    def line(self) -> dict[str, Any]:
        """Properties of its line, and of its entry in the legend."""
        size = 4.5 if self.marker == "*" else 3.0
        look = {"color": self.colour, "marker": self.marker, "ms": size, "ls": "--" if self.dashed else "-"}
        return {**look, "mew": 0.4, "mec": "white", "lw": 2.0 if self.own else 1.1}


def judged(run: Run, column: str = "") -> list[str]:
    """Problems of which some cell has a value, and something in that column. Raises NothingError if there is none."""
    found = []
    for problem, _ in run.alone:
        records = run.of(problem)
        good = tidy(records, run.primary(problem))["ok"]
        if (good & records[column].notna() if column else good).any():
            found.append(problem)
    if not found:
        raise NothingError(f"no cell has {f'{column} and ' * bool(column)}a value that solvers are compared by")
    return found


def leaders(records: pd.DataFrame, quantity: Quantity, most: int = MOST) -> list[str]:
    """Solvers of one's own, winners at some budget, most wins first, then the best of each family at the usual budget.

    Of identical programs the first stands for all; where solvers are few, they all lead.
    """
    same = twins(records)[0]
    names = [str(n) for n in pd.unique(records["label"]) if n not in same]
    if len(names) <= most:
        return names
    data = tidy(records, quantity)
    data = data[data["ok"] & ~data["label"].isin(list(same))]
    wins = data.loc[data.groupby("budget")["rank"].idxmin(), "label"].value_counts(sort=False)
    winners = sorted((str(n) for n in wins.index), key=lambda n: (-wins[n], names.index(n)))
    usual = data[data["budget"] == usual_budget(records)].sort_values("rank", kind="stable")
    best = usual.drop_duplicates("family")["label"].astype(str)
    own = pd.unique(data.loc[data["family"] == "user", "label"]).tolist()
    return list(dict.fromkeys([*own, *winners, *best]))[:most]


def make_looks(records: pd.DataFrame, names: list[str], rainbow: bool = False) -> dict[str, Look]:
    """A family has one hue and its members shades of it; `rainbow`, for a family alone, gives each its own."""
    same = twins(records)[0]
    known = records.drop_duplicates("label").set_index("label")
    palette = hues(known["family"].fillna("user"))
    every = list(hues(()).values())
    seen: dict[str, int] = {}
    looks = {}
    for i, name in enumerate(dict.fromkeys(names)):
        family = known["family"][name] or "user"
        step = seen[family] = seen.get(family, -1) + 1
        colour = every[i % len(every)] if rainbow else shade(palette[family], step)
        alike = [name, *(twin for twin, root in same.items() if root == name)]
        every_name = rainbow or len(alike) < 4  # the figure of families names them all
        joint = " = ".join(alike) if every_name else f"{name} and {len(alike) - 1} twins"
        own = known["family"][name] == "user"
        colour = (0.0, 0.0, 0.0) if own and not rainbow else colour
        looks[name] = Look(joint, colour, MARKERS[i % len(MARKERS)], bool(known["stochastic"][name]), own)
    return looks


def lines(axes: Axes, records: pd.DataFrame, data: pd.DataFrame, looks: dict[str, Look], x: str) -> None:
    """One line per distinct program: those with a look in it, the rest thin and grey."""
    from matplotlib.collections import LineCollection

    same = twins(records)[0]
    good = data[data["ok"] & (data[x] > 0)].drop_duplicates(["label", "nfe"])
    for stochastic, rows in good[~good["label"].isin([*looks, *same])].groupby("stochastic"):
        points, new = rows[[x, "value"]].to_numpy(dtype=float), rows["label"] != rows["label"].shift()
        each = np.split(points, np.flatnonzero(new)[1:])
        axes.add_collection(LineCollection(each, colors=GREY, lw=0.6, ls="--" if stochastic else "-", zorder=2))
    for name, rows in good[good["label"].isin(list(looks))].groupby("label", sort=False):
        look = looks[str(name)]
        low, high = (rows["value"] + side * rows["se"] for side in (-2, 2))
        if (rows["se"] > 0).any():
            axes.fill_between(
                rows[x], low.where(low > 0), high, color=look.colour, alpha=0.2, lw=0, zorder=2.5, label=BAND
            )
        axes.plot(rows[x], rows["value"], zorder=3, **look.line())
    axes.set_xscale("log")
    axes.autoscale_view()
    limits(axes, data)
    _edge(axes, data[~data["label"].isin(list(same))], looks, x)


def budgets(records: pd.DataFrame) -> list[float]:
    """Budgets, and the fewest evaluations a solver made of one."""
    return [float(v) for v in [*records["budget"].dropna(), records["nfe"].min()] if v > 0]


def limits(axes: Axes, data: pd.DataFrame, tall: float = TALL) -> None:
    """Let the ordinary errors fill the panel: a few enormous ones, tall times the usual, may not flatten it."""
    good = data[data["ok"] & (data["value"] > 0)]
    if good.empty:
        return
    first = good[good["budget"] == good["budget"].min()]["value"]
    top = min(good["value"].max() * 1.6, float(first.median()) * tall)
    bottom, top = good["value"].min() / 1.6, max(top, good["value"].min() * 4)
    axes.set_ylim(bottom, top)
    axes.set_yscale("log")
    round_numbers(axes.yaxis)


def _edge(axes: Axes, data: pd.DataFrame, looks: dict[str, Look], x: str) -> None:
    """At the upper edge: a cross for a cell that diverged or failed, an arrow for one that is off the panel."""
    if x != "nfe":
        return
    top = axes.get_ylim()[1]
    for marker, height, rows in (
        ("x", 0.97, data[data["status"].isin(["diverged", "failed"])]),
        ("^", 0.93, data[data["ok"] & (data["value"] > top)]),
    ):
        where = rows["nfe"].fillna(rows["budget"])
        colours = [looks[n].colour if n in looks else GREY for n in rows["label"]]
        if len(rows):
            axes.scatter(where, np.full(len(rows), height), c=colours, marker=marker, s=9, lw=0.7, zorder=4,
                         transform=axes.get_xaxis_transform(), label=EDGES[marker])  # fmt: skip


def floor_band(axes: Axes, records: pd.DataFrame) -> None:
    """What as many exact samples score."""
    least, spread = floor(records)
    if np.isfinite(least):
        band = 2 * spread if np.isfinite(spread) else 0.0
        axes.axhspan(least - band, least + band, color="#f3d9a4", lw=0, zorder=0.5, label="exact samples ± 2 sd")


def directions(axes: Axes, quantity: Quantity) -> None:
    """The fan of orders, where the panel is logarithmic and its errors fall to zero."""
    if axes.get_yscale() == "log" and not quantity.floor:
        slope_guide(axes)


def error_axes(axes: Axes, records: pd.DataFrame, quantity: Quantity, title: str) -> None:
    if quantity.key == "fd":
        floor_band(axes, records)
    axes.set_ylabel(quantity.name)
    axes.set_title(title)
    truncation, own = (records[c].median() for c in ("rmse_truncation", "reference_error"))
    if quantity.key == "rmse" and truncation > 0:
        axes.axhline(truncation, color="black", lw=0.8, ls="-.", zorder=1, label="truncation: a perfect solver")
    own *= RESOLVES
    if quantity.key == "rmse" and own > 0:
        bottom, top = axes.get_ylim()
        label = f"{RESOLVES} × reference's error"
        if own > bottom / NEAR:
            axes.axhline(own, color="black", lw=0.8, ls=":", zorder=1, label=label)
            axes.set_ylim(min(bottom, own / 1.6), top)
            round_numbers(axes.yaxis)
        else:
            axes.plot([], [], color="black", lw=0.8, ls=":", label=f"{label},\n{short(own)}, is below\n{title}")


def entries(looks: dict[str, Look]) -> tuple[list[Artist], list[str]]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [Line2D([], [], **look.line()) for look in looks.values()]
    return handles, [_wrapped(k.name) for k in looks.values()]


def height_beside(looks: dict[str, Look], rows: int, gap: float, least: float = 1.9) -> float:
    """Height of panels in so many rows beside a legend of these solvers and what else it explains, in inches."""
    return max(least, (LEGEND_ROW * (len(looks) + 9) - (rows - 1) * gap) / rows)


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name.replace(" = ", " =\u00a0"), 25, break_long_words=False, break_on_hyphens=False))


def others(records: pd.DataFrame, panels: list[Axes], looks: Collection[str]) -> tuple[list[Artist], list[str]]:
    """What panels hold beside the solvers with a look."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found: dict[str, Artist] = {}
    if records["label"].nunique() - len(twins(records)[0]) > len(looks):
        found["other solvers"] = Line2D([], [], color=GREY, lw=0.8)
    if records["stochastic"].any():
        found["stochastic (dashed)"] = Line2D([], [], color=GREY, lw=0.8, ls="--")
    drawn = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    marks = {text: Line2D([], [], color=DARK, marker=mark, ms=4, mew=0.9, ls="") for mark, text in EDGES.items()}
    usual = {**marks, BAND: Patch(color=GREY, alpha=0.5, lw=0)}
    found |= {label: usual.get(label, handle) for label, handle in drawn.items()}
    return list(found.values()), list(found)


def legend(figure: Figure, records: pd.DataFrame, panels: list[Axes], looks: dict[str, Look]) -> None:
    """To the right of the panels: the solvers in colour, then what else is drawn."""
    handles, labels = entries(looks)
    more, said = others(records, panels, looks)
    right = max(axes.get_position().x1 for axes in panels)
    top = max(axes.get_position().y1 for axes in panels)
    every = len(looks) + len(twins(records)[0]) >= records["label"].nunique()
    figure.legend([*handles, *more], [*labels, *said], title="solvers" if every else LEGEND, loc="upper left",
                  bbox_to_anchor=(right + 0.01, top + 0.02), frameon=False, alignment="left",
                  title_fontproperties={"weight": "bold", "size": 6.5}, handlelength=2, labelspacing=0.35,
                  fontsize=6.5)  # fmt: skip
