"""The places of solvers on every problem, as far as the data tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.lines import judged
from solverbench.report.figures.page import headline, panels
from solverbench.report.profiles import errors, places

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

ROW = 0.135
"""Inches."""
MOST = 60
"""Rows of a figure that is to fit a page."""


def draw(wish: Wish) -> Figure:
    """Mean first and last place over budgets, solvers by problems, the best mean place on top; dark is good."""
    import seaborn as sns

    run = wish.run
    assert run is not None
    judged(run)
    every = places(errors(run))
    table = every.head(MOST)
    problems = list(dict.fromkeys(table.columns.get_level_values(0)))
    first, last = (table.xs(side, axis=1, level=1)[problems].to_numpy(dtype=float) for side in ("first", "last"))
    middle = (first + last) / 2 / np.nanmax(last, axis=0)
    figure, (axes,) = panels(1, 1, ROW * len(table), left=1.5, above=0.82, below=0.12)
    colours = sns.color_palette("crest", as_cmap=True).with_extremes(bad="white")
    axes.imshow(1 - middle, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    for i, j in np.ndindex(first.shape):
        if np.isfinite(first[i, j]):
            low, high = f"{first[i, j]:.0f}", f"{last[i, j]:.0f}"
            text = low if low == high else f"{low}–{high}"
            axes.text(
                j, i, text, ha="center", va="center", fontsize=6, color="white" if middle[i, j] < 0.55 else "black"
            )
    axes.set_yticks(range(len(table)), [str(name) for name in table.index])
    axes.set_xticks(range(len(problems)), ["\n".join([p, *run.primary(p).name.split()]) for p in problems])
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    headline(figure, f"{run.title}: places", run)
    some = f"first {MOST} of {len(every)} solvers,\n" * (len(every) > MOST)
    explained = f"{some}best mean place on top:\nfirst–last that the data\nallow, mean over budgets;\nblank: not run"
    figure.text(0.02, 1 - 0.26 / figure.get_figheight(), explained, fontsize=6, va="top")
    return figure
