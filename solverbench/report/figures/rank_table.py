"""The places of solvers on every problem, as far as the data tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.lines import judged
from solverbench.report.figures.page import PAGE, TALLEST, folded, headline, panels
from solverbench.report.profiles import errors, places

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

ROW, LEFT, ABOVE, BELOW, LETTER = 0.135, 1.5, 0.82, 0.12, 0.06
"""Inches, the last those of a letter."""
EVEN = 0.47
"""Where white and black stand out alike."""
MOST = int((TALLEST - ABOVE - BELOW) / ROW)
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
    names = [str(name) for name in table.index]
    left = max(LEFT, 0.1 + LETTER * max(map(len, names)))
    letters = int((PAGE - left) / len(problems) / LETTER)
    heads = [[*folded(p, letters), *folded(run.primary(p).name, letters)] for p in problems]
    above = max(ABOVE, 0.28 + 0.12 * max(map(len, heads)))
    figure, (axes,) = panels(1, 1, ROW * len(table), left=left, above=above, below=BELOW)
    colours = sns.color_palette("crest_r", as_cmap=True).with_extremes(bad="white")
    axes.imshow(middle, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    for i, j in np.ndindex(first.shape):
        if np.isfinite(first[i, j]):
            low, high = f"{first[i, j]:.0f}", f"{last[i, j]:.0f}"
            dark = middle[i, j] < EVEN
            axes.text(j, i, low if low == high else f"{low}–{high}", ha="center", va="center", fontsize=6,
                      color="white" if dark else "black")  # fmt: skip
    axes.set_yticks(range(len(table)), names)
    axes.set_xticks(range(len(problems)), ["\n".join(lines) for lines in heads])
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    headline(figure, "places", run.title, run)
    some = f"first {MOST} of {len(every)} solvers,\n" * (len(every) > MOST)
    explained = "best on top and dark;\nfirst–last place that the\ndata allow, mean over\nbudgets; blank: not run"
    figure.text(0.02, 1 - 0.26 / figure.get_figheight(), some + explained, fontsize=6, va="top")
    return figure
