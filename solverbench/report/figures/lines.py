"""Lines of solvers in panels of error by work: who stands out, how each is drawn, and what else a panel holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import floor, tidy, twins, usual_budget
from solverbench.report.figures.page import NothingError, folded
from solverbench.report.style import DARK, GREY, MARKERS, hues, round_numbers, shade, slope_guide, stroke

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run

OTHERS, DASHED = "other solvers", "stochastic (dashed)"
BAND = "± 2 standard errors"
EDGES = {"x": "diverged or failed", "^": "above the panel", "v": "below the panel"}
MOST = 12
"""Solvers that are drawn to be told apart in one panel; the others stand behind them in grey."""
LEGEND = "best at some NFE,\nand best of each family"
LEGEND_ROW = 0.125
"""Inches."""
LETTERS = 23
"""Of a line of the legend, at most."""
NEAR = 10.0
"""A floor that is below the panel by more than this factor is not drawn."""
TALL, DEEP = 40.0, 1e4
"""Factors over the median error at the smallest budget, and under that at the largest; what is beyond is an arrow."""


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
        look = stroke(self.colour, self.marker, self.dashed)
        return {**look, "lw": 2.0} if self.own else look


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
    data = tidy(records, quantity)
    data = data[data["ok"] & ~data["label"].isin(list(same))]
    names = [str(n) for n in pd.unique(data["label"])]
    if len(names) <= most:
        return names
    wins = data.loc[data.groupby("budget")["rank"].idxmin(), "label"].value_counts(sort=False)
    winners = sorted((str(n) for n in wins.index), key=lambda n: (-wins[n], names.index(n)))
    usual = data[data["budget"] == usual_budget(records)].sort_values("rank", kind="stable")
    best = usual.drop_duplicates("family")["label"].astype(str)
    own = pd.unique(data.loc[data["family"] == "user", "label"]).tolist()
    return list(dict.fromkeys([*own, *winners, *best]))[:most]


def make_looks(records: pd.DataFrame, names: list[str], rainbow: bool = False) -> dict[str, Look]:
    """A family has one hue and its members shades of it, also where two families share it; `rainbow`, for a family
    alone, gives each its own."""
    same = twins(records)[0]
    known = records.drop_duplicates("label").set_index("label")
    palette = hues(known["family"].fillna("user"))
    every = list(hues(()).values())
    seen: dict[tuple[float, float, float], int] = {}
    looks = {}
    for i, name in enumerate(dict.fromkeys(names)):
        family = known["family"][name] or "user"
        hue = palette[family]
        step = seen[hue] = seen.get(hue, -1) + 1
        colour = every[i % len(every)] if rainbow else shade(hue, step)
        alike = [name, *(twin for twin, root in same.items() if root == name)]
        every_name = rainbow or len(alike) < 4  # the figure of families names them all
        joint = " = ".join(alike) if every_name else f"{name} and {len(alike) - 1} twins"
        own = known["family"][name] == "user"
        colour = (0.0, 0.0, 0.0) if own and not rainbow else colour
        looks[name] = Look(joint, colour, MARKERS[i % len(MARKERS)], bool(known["stochastic"][name]), own)
    return looks


def lines(
    axes: Axes, records: pd.DataFrame, data: pd.DataFrame, looks: dict[str, Look], x: str, tall: float = TALL
) -> None:
    """One line per distinct program: those with a look in it, the rest thin and grey; tall: see `limits`."""
    from matplotlib.collections import LineCollection

    distinct = data[~data["label"].isin(list(twins(records)[0]))]
    good = distinct[distinct["ok"] & (distinct[x] > 0)].drop_duplicates(["label", "nfe"])
    for stochastic, rows in good[~good["label"].isin(list(looks))].groupby("stochastic"):
        points, new = rows[[x, "value"]].to_numpy(dtype=float), rows["label"] != rows["label"].shift()
        each = np.split(points, np.flatnonzero(new)[1:])
        axes.add_collection(
            LineCollection(each, colors=GREY, lw=0.6, ls="--" if stochastic else "-", zorder=2, label=OTHERS)
        )
    for name, rows in good[good["label"].isin(list(looks))].groupby("label", sort=False):
        look = looks[str(name)]
        low, high = (rows["value"] + side * rows["se"] for side in (-2, 2))
        if (rows["se"] > 0).any():
            axes.fill_between(
                rows[x], low.where(low > 0), high, color=look.colour, alpha=0.2, lw=0, zorder=2.5, label=BAND
            )
        axes.plot(rows[x], rows["value"], zorder=3, **look.line())
    if good["stochastic"].any():
        axes.plot([], [], color=GREY, lw=0.8, ls="--", label=DASHED)
    if len(good):
        first, last = good[x].min(), good[x].max()
        margin = max(1.1, (last / first) ** 0.06)
        axes.set_xlim(first / margin, last * margin)
    axes.set_xscale("log")
    limits(axes, data, tall)
    edges(axes, distinct, x, {name: look.colour for name, look in looks.items()})


def budgets(records: pd.DataFrame) -> list[float]:
    """Budgets, and the fewest evaluations a solver made of one."""
    return [float(v) for v in [*records["budget"].dropna(), records["nfe"].min()] if v > 0]


def limits(axes: Axes, data: pd.DataFrame, tall: float = TALL) -> None:
    """Let the ordinary errors fill the panel: a few enormous ones, tall times the usual, may not flatten it, nor a few
    that are nothing but rounding."""
    good = data[data["ok"] & (data["value"] > 0)]
    if good.empty:
        return
    ends = good["budget"].min(), good["budget"].max()
    first, last = (float(good[good["budget"] == budget]["value"].median()) for budget in ends)
    bottom = max(good["value"].min() / 1.6, last / DEEP)
    axes.set_ylim(bottom, max(min(good["value"].max() * 1.6, first * tall), bottom * 6.4))
    axes.set_yscale("log")
    round_numbers(axes.yaxis)


def edges(axes: Axes, data: pd.DataFrame, x: str, colours: dict[str, Any]) -> None:
    """An arrow at the edge for a cell that is off the panel, and a cross for one that diverged or failed.

    colours: of solvers that are not grey.
    """
    bottom, top = axes.get_ylim()
    data = data.iloc[np.argsort(data["label"].isin(list(colours)), kind="stable")]  # colours over grey
    above, below = (data[data["ok"] & off] for off in (data["value"] > top, data["value"] < bottom))
    marks = [("^", 0.93, above), ("v", 0.04, below)]
    if x == "nfe":
        lost = data[data["status"].isin(["diverged", "failed"])]
        marks.append(("x", 0.97, lost.assign(nfe=lost["nfe"].fillna(lost["budget"]))))
    for marker, height, rows in marks:
        if len(rows):
            own = [colours.get(name, GREY) for name in rows["label"]]
            axes.scatter(rows[x], np.full(len(rows), height), c=own, marker=marker, s=9, lw=0.7, zorder=4,
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
    """Names, and the floors that are near the panel: what a solver without error leaves, and what can be told."""
    axes.set_ylabel(quantity.name)
    axes.set_title(title)
    if quantity.key == "fd":
        floor_band(axes, records)
    perfect = f"{quantity.key}_{'truncation' if quantity.resolution else 'initialisation_truncation'}"
    bottom, top = axes.get_ylim()
    least = bottom
    for label, style, column, factor in (
        ("a perfect solver of the ODE", "-.", perfect, 1),
        (f"{RESOLVES} × reference's error", ":", quantity.resolution, RESOLVES),
    ):
        level = factor * records.loc[~records["stochastic"], column].median() if column in records else np.nan
        if bottom / NEAR < level < top:
            axes.axhline(level, color="black", lw=0.8, ls=style, zorder=1, label=label)
            least = min(least, level / 1.6)
    if least < bottom:
        axes.set_ylim(least, top)
        round_numbers(axes.yaxis)


def seconds_label(records: pd.DataFrame) -> str:
    """What an axis of seconds shows, and how they were taken."""
    rounds = records["timed_rounds"].median()
    how = f"{rounds:g} rounds" if rounds > 0 else "once"
    return f"seconds ({records['n'].median():g} samples, {how})"


def entries(looks: dict[str, Look]) -> tuple[list[Artist], list[str]]:
    from matplotlib.lines import Line2D

    handles: list[Artist] = [Line2D([], [], **look.line()) for look in looks.values()]
    return handles, ["\n".join(folded(look.name, LETTERS)) for look in looks.values()]


def height_beside(looks: dict[str, Look], least: float, rows: int = 1, gap: float = 0.0) -> float:
    """Height of panels in so many rows beside a legend of these solvers and what else it explains, in inches."""
    lines = 9 + sum(len(folded(look.name, LETTERS)) for look in looks.values())
    return max(least, (LEGEND_ROW * lines - (rows - 1) * gap) / rows)


def others(panels: list[Axes]) -> tuple[list[Artist], list[str]]:
    """What panels hold beside the solvers with a look."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    usual: dict[str, Artist] = {
        text: Line2D([], [], color=GREY, lw=0.8, ls=dash) for text, dash in ((OTHERS, "-"), (DASHED, "--"))
    }
    usual |= {text: Line2D([], [], color=DARK, marker=mark, ms=4, mew=0.9, ls="") for mark, text in EDGES.items()}
    usual[BAND] = Patch(color=GREY, alpha=0.5, lw=0)
    drawn = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    found = {label: usual.get(label, drawn[label]) for label in [*usual, *drawn] if label in drawn}
    return list(found.values()), list(found)


def legend(figure: Figure, panels: list[Axes], looks: dict[str, Look], title: str = LEGEND) -> None:
    """To the right of the panels: the solvers in colour, then what else is drawn; title: unless that is all solvers."""
    handles, labels = entries(looks)
    more, said = others(panels)
    right = max(axes.get_position().x1 for axes in panels)
    top = max(axes.get_position().y1 for axes in panels)
    figure.legend([*handles, *more], [*labels, *said], title=title if OTHERS in said else "solvers", loc="upper left",
                  bbox_to_anchor=(right + 0.01, top + 0.02), frameon=False, alignment="left",
                  title_fontproperties={"weight": "bold", "size": 6.5}, handlelength=2, labelspacing=0.35,
                  fontsize=6.5)  # fmt: skip
