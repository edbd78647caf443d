"""Pareto fronts: what no other choice of solver and budget beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from solverbench.report.figures.lines import budgets, edges, floor_band, judged, limits, others
from solverbench.report.figures.page import folded, headline, panels
from solverbench.report.profiles import common, errors, pareto, undominated
from solverbench.report.style import ACCENT, DARK, GREY, nfe_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

LIST, ROWS = 1.3, 16
"""Width of the list beside a panel in inches, and how many lines it may have."""
LETTERS, RING = 17, 45
"""Of a line of the list, and of the legend, at most."""
MANY = 2000
"""Points from which on they are a picture in a vector file."""


def draw(wish: Wish) -> Figure:
    """Error by NFE with the front of each problem listed; rings are choices undominated over all shared problems."""
    from matplotlib.lines import Line2D

    run = wish.run
    assert run is not None
    problems = judged(run)
    data = errors(run)
    shared = common(data)[0]
    joint = len(shared) > 1
    overall = set(pareto(data)[["label", "budget"]].itertuples(index=False, name=None))
    figure, made = panels(len(problems), 2, 2.0, right=LIST, below=0.76, gap=(LIST + 0.6, 0.55))
    for axes, problem in zip(made, problems, strict=True):
        rows = data[(data["problem"] == problem) & data["ok"] & (data["rank"] > 0)]
        front = rows[undominated(rows[["nfe", "rank"]].to_numpy(dtype=float))].sort_values("nfe").drop_duplicates("nfe")
        axes.scatter(rows["nfe"], rows["value"], s=5, color=GREY, lw=0, zorder=2, rasterized=len(rows) > MANY)
        axes.step(front["nfe"], front["value"], where="post", color=ACCENT, lw=1.1, zorder=3)
        axes.scatter(front["nfe"], front["value"], s=14, color=ACCENT, lw=0, zorder=4)
        chosen = pd.Series(list(zip(rows["label"], rows["budget"], strict=True)), index=rows.index, dtype=object)
        ringed = rows[chosen.isin(overall) & (joint and problem in shared)]
        axes.scatter(ringed["nfe"], ringed["value"], s=26, facecolors="none", edgecolors=DARK, lw=0.7, zorder=3.5)
        limits(axes, data[data["problem"] == problem])
        edges(axes, rows.drop(front.index), "nfe", {})
        edges(axes, front, "nfe", dict.fromkeys(front["label"], ACCENT))
        if run.primary(problem).floor:
            floor_band(axes, run.of(problem))
        nfe_axis(axes, budgets(run.of(problem)))
        _listed(axes, front)
        axes.set(title=problem, xlabel="NFE", ylabel=run.primary(problem).name)
    marks = {
        "front, and who is on it at which NFE": Line2D([], [], color=ACCENT, marker="o", ms=3.5, lw=1.1),
        "all other choices": Line2D([], [], ls="", marker="o", ms=2.5, color=GREY),
    }
    if joint:
        ring = f"undominated on {' and '.join(shared) if len(shared) == 2 else f'{len(shared)} problems'} together"
        marks["\n".join(folded(ring, RING))] = Line2D([], [], ls="", marker="o", ms=5, mfc="none", mec=DARK, mew=0.7)
    more, said = others(made)
    figure.legend([*marks.values(), *more], [*marks, *said], loc="lower center", ncols=3, frameon=False)
    headline(figure, "Pareto fronts", run.title, run)
    return figure


def _listed(axes: Axes, front: pd.DataFrame) -> None:
    """Beside a panel, the numbers of evaluations and the solver on the front there, one line as long as it stays."""
    run = front["label"].ne(front["label"].shift()).cumsum()
    numbers, names = ["NFE"], [""]
    for _, rows in front.groupby(run):
        first, last = rows["nfe"].iloc[0], rows["nfe"].iloc[-1]
        numbers.append(f"{first:g}" if first == last else f"{first:g}–{last:g}")
        name, *options = folded(str(rows["label"].iloc[0]), LETTERS)
        names += [name, *(f"  {line}" for line in options)]
        numbers += [""] * (len(names) - len(numbers))
    if len(names) > ROWS:
        names[ROWS - 1 :] = ["and more"]
        numbers[ROWS - 1 :] = [""]
    for texts, x, side in ((numbers, 1.24, "right"), (names, 1.28, "left")):
        axes.text(x, 1.0, "\n".join(texts), transform=axes.transAxes, fontsize=6, va="top", ha=side, linespacing=1.3)
