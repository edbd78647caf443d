"""Pages: panels at the widths of a paper's columns, and what stands around them. Everything is in inches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from solverbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.records import Run

COLUMN, PAGE = 3.25, 6.75
"""Widths of one column and of two."""
LETTERS = 110.0
"""Points of font size times letters of the headline that fit one inch."""


class NothingError(UsageError):
    """There is nothing to draw a figure from; the message says what is missing."""


def panels(
    count: int,
    columns: int,
    height: float,
    *,
    width: float = PAGE,
    left: float = 0.56,
    right: float = 0.08,
    above: float = 0.5,
    below: float = 0.4,
    gap: tuple[float, float] = (0.5, 0.5),
    share: bool | str = False,
) -> tuple[Figure, list[Axes]]:
    """A figure of that width with panels of that height in rows; gap: between columns and between rows.

    share: whether panels share their axes, or "y" alone.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    across = (width - left - right - (columns - 1) * gap[0]) / columns
    tall = above + rows * height + (rows - 1) * gap[1] + below
    figure = Figure(figsize=(width, tall))
    made = list(figure.subplots(rows, columns, squeeze=False, sharex=share is True, sharey=bool(share)).flat)
    for axes in made[count:]:
        axes.remove()
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=below / tall,
        top=1 - above / tall,
        wspace=gap[0] / across,
        hspace=gap[1] / height,
    )
    return figure, made[:count]


def outer(panels: list[Axes], columns: int) -> None:
    """Label the left column and the lowest panel of each column only."""
    for i, axes in enumerate(panels):
        lowest = i + columns >= len(panels)
        axes.set_xlabel("NFE" if lowest else "")
        axes.tick_params(labelbottom=lowest)
        if i % columns:
            axes.set_ylabel("")


def headline(figure: Figure, text: str, run: Run | None = None) -> None:
    """What is shown; on a line of its own, that the run is not complete."""
    height = float(figure.get_figheight())
    left = min(a.get_position().x0 for a in figure.axes)
    room = (1 - left) * float(figure.get_figwidth()) - 0.05
    figure.text(left, 1 - 0.06 / height, text, fontsize=min(8.5, LETTERS * room / len(text)), va="top", weight="bold")
    if run is not None and run.caveat:
        figure.text(left, 1 - 0.22 / height, run.caveat, fontsize=7, va="top", color="#a03020")


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, Any]]) -> None:
    """Names (x, y, name, colour) to the right of the panel at the height of their lines' ends, moved apart."""
    import numpy as np

    apart = 0.105 * axes.figure.dpi / axes.bbox.height
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(
        ((float(to_axes.transform((x, y))[1]), name, colour) for x, y, name, colour in ends), key=lambda e: e[0]
    )
    wanted = np.clip([p for p, *_ in placed], 0.0, 1.0)
    heights = wanted.copy()
    for _ in range(200):  # neighbours that are too close push each other away
        for i in range(len(heights) - 1):
            close = apart - (heights[i + 1] - heights[i])
            if close > 1e-4:
                heights[i], heights[i + 1] = heights[i] - close / 2, heights[i + 1] + close / 2
        heights += max(0.0, -heights[0]) if heights[0] < 0 else min(0.0, 1 - heights[-1])
    for (_, name, colour), at, own in zip(placed, heights, wanted, strict=True):
        axes.annotate(name, (1.0, own), xytext=(1.035, at), xycoords="axes fraction", textcoords="axes fraction",
                      fontsize=6, color=colour, va="center", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "lw": 0.4, "color": colour, "shrinkA": 0,
                                  "shrinkB": 0, "relpos": (0, 0.5)})  # fmt: skip
