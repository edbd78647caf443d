"""The parts of an error: initialisation, truncation and discretisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.report.figures.lines import budgets, leaders
from solverbench.report.figures.page import NothingError, folded, headline, outer, panels
from solverbench.report.quantities import PARTS
from solverbench.report.style import hues, nfe_axis, power, round_numbers, stroke

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

LETTERS = 25
"""Of a line over a panel, at most."""
DEEPEST = 1e-6
"""Parts smaller than this, relative to the largest, are rounding and leave the panel."""


def draw(wish: Wish) -> Figure:
    """The parts against NFE for the leading solvers, and the baseline."""
    run, problem = wish.run, wish.problem
    assert run is not None
    quantity = run.primary(problem)
    if not quantity.parts:
        raise NothingError(f"{quantity.name} is not split")
    records = run.of(problem)
    good = records[records["status"].eq("ok") & records[quantity.key].notna()]
    if good.empty:
        raise NothingError(f"no cell has {quantity.name}")
    names = leaders(records, quantity, 5)
    names = list(dict.fromkeys([*names, *pd.unique(good["label"])]))[: max(3, min(6, len(names) + 1))]
    colours = dict(zip(PARTS, hues(()).values(), strict=False))
    titles = [folded(name, LETTERS) for name in names]
    more = 0.12 * (max(map(len, titles)) - 1)
    figure, made = panels(len(names), 3, 1.5, above=0.5 + more, below=0.8, gap=(0.2, 0.36 + more), share=True)
    for axes, name, title in zip(made, names, titles, strict=True):
        rows = good[good["label"] == name].drop_duplicates("nfe")
        axes.plot(rows["nfe"], rows[quantity.key], color="black", lw=2.4, alpha=0.3, label="total")
        for part, marker in zip(PARTS, "vso", strict=True):
            values = rows[f"{quantity.key}_{part}"]
            axes.plot(rows["nfe"], values.where(values > 0), **stroke(colours[part], marker), label=part)
        axes.set_ylabel(quantity.name)
        axes.set_title("\n".join(title))
    shown = good[good["label"].isin(names)]
    all_parts = shown[[quantity.key, *(f"{quantity.key}_{p}" for p in PARTS)]].to_numpy(dtype=float)
    drawn = all_parts[all_parts > DEEPEST * np.nanmax(all_parts)]
    for axes in made:
        nfe_axis(axes, budgets(shown))
        if drawn.size:
            axes.set_yscale("log")
            axes.set_ylim(drawn.min() / 2, drawn.max() * 2)
            round_numbers(axes.yaxis)
    outer(made, 3)
    figure.legend(*made[0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False,
                  title=f"parts that are zero, or below {power(DEEPEST)} of the largest, are not drawn")  # fmt: skip
    headline(figure, f"parts of {quantity.name}", problem, run)
    return figure
