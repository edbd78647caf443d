"""Pareto fronts: what no other choice of solver and budget beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from solverbench.report.figures.lines import budgets, limits
from solverbench.report.figures.page import headline, label_points, panels
from solverbench.report.profiles import common, errors, pareto, undominated
from solverbench.report.style import ACCENT, DARK, GREY, nfe_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish


def draw(wish: Wish) -> Figure:
    """Error by NFE with the front of each problem named; rings are choices undominated over all shared problems."""
    from matplotlib.lines import Line2D

    run = wish.run
    assert run is not None
    data = errors(run)
    shared = common(data)[0]
    joint = len(shared) > 1
    overall = set(pareto(data)[["label", "budget"]].itertuples(index=False, name=None))
    figure, made = panels(len(run.alone), 2, 2.0, below=0.62, gap=(0.5, 0.55))
    for axes, (problem, _) in zip(made, run.alone, strict=True):
        rows = data[(data["problem"] == problem) & data["ok"] & (data["rank"] > 0)]
        front = rows[undominated(rows[["nfe", "rank"]].to_numpy(dtype=float))].sort_values("nfe").drop_duplicates("nfe")
        axes.scatter(rows["nfe"], rows["value"], s=5, color=GREY, lw=0, zorder=2)
        axes.step(front["nfe"], front["value"], where="post", color=ACCENT, lw=1.1, zorder=3)
        axes.scatter(front["nfe"], front["value"], s=14, color=ACCENT, lw=0, zorder=4)
        chosen = pd.Series(list(zip(rows["label"], rows["budget"], strict=True)), index=rows.index, dtype=object)
        ringed = rows[chosen.isin(overall) & (joint and problem in shared)]
        axes.scatter(ringed["nfe"], ringed["value"], s=26, facecolors="none", edgecolors=DARK, lw=0.7, zorder=3.5)
        limits(axes, data[data["problem"] == problem])
        nfe_axis(axes, budgets(run.of(problem)))
        if axes.get_yscale() == "log":  # with room for the names
            (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
            axes.set(xlim=(left / (right / left) ** 0.12, right), ylim=(low / (high / low) ** 0.25, high))
        label_points(axes, front["nfe"], front["value"], [str(name) for name in front["label"]])
        axes.set(title=problem, xlabel="NFE", ylabel=run.primary(problem).name)
    ring = f"undominated on {' and '.join(shared)} together"
    marks = {
        "front": Line2D([], [], color=ACCENT, marker="o", ms=3.5, lw=1.1),
        ring: Line2D([], [], ls="", marker="o", ms=5, mfc="none", mec=DARK, mew=0.7),
        "all other choices": Line2D([], [], ls="", marker="o", ms=2.5, color=GREY),
    }
    if not joint:
        del marks[ring]
    figure.legend(marks.values(), marks.keys(), loc="lower center", ncols=3, frameon=False)
    headline(figure, f"{run.title}: Pareto fronts", run)
    return figure
