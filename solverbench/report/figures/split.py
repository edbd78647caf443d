"""The parts of an error: initialisation, truncation and discretisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.report.figures.lines import budgets, leaders
from solverbench.report.figures.page import NothingError, headline, outer, panels
from solverbench.report.quantities import PARTS
from solverbench.report.style import hues, nfe_axis, power, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

DEEPEST = 1e-6
"""Parts smaller than this, relative to the largest, are rounding and leave the panel."""


def draw(wish: Wish) -> Figure:
    """The parts against NFE for the leading solvers, and the baseline."""
    run, problem = wish.run, wish.problem
    assert run is not None
    quantity = run.primary(problem)
    records = run.of(problem)
    if not (records["status"].eq("ok") & records[quantity.key].notna()).any():
        raise NothingError(f"no cell has {quantity.name}")
    names = leaders(records, quantity, 5)
    names = list(dict.fromkeys([*names, *pd.unique(records["label"])]))[: max(3, min(6, len(names) + 1))]
    colours = dict(zip(PARTS, hues(()).values(), strict=False))
    figure, made = panels(len(names), 3, 1.5, below=0.8, gap=(0.2, 0.36), share=True)
    for axes, name in zip(made, names, strict=True):
        rows = records[(records["label"] == name) & (records["status"] == "ok")].drop_duplicates("nfe")
        axes.plot(rows["nfe"], rows[quantity.key], color="black", lw=2.4, alpha=0.3, label="total")
        for part, marker in zip(PARTS, "vso", strict=True):
            values = rows[f"{quantity.key}_{part}"]
            axes.plot(rows["nfe"], values.where(values > 0), color=colours[part], marker=marker, ms=3, lw=1, label=part)
        axes.set_ylabel(quantity.name)
        axes.set_title(name)
    shown = records[records["label"].isin(names) & (records["status"] == "ok")]
    all_parts = shown[[quantity.key, *(f"{quantity.key}_{p}" for p in PARTS)]].to_numpy(dtype=float)
    drawn = all_parts[np.isfinite(all_parts) & (all_parts > 0)]
    for axes in made:
        nfe_axis(axes, budgets(shown))
        if drawn.size:
            axes.set_yscale("log")
            axes.set_ylim(max(drawn.min(), drawn.max() * DEEPEST) / 2, drawn.max() * 2)
            round_numbers(axes.yaxis)
    outer(made, 3)
    figure.legend(*made[0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False,
                  title=f"parts that are zero, or below {power(DEEPEST)} of the largest, are not drawn")  # fmt: skip
    headline(figure, f"{problem}: parts of {quantity.name}", run)
    return figure
