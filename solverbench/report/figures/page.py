"""Pages: panels at the widths of a paper's columns, and what stands around them. Everything is in inches."""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

from solverbench.errors import UsageError
from solverbench.report.style import shade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.records import Run

COLUMN, PAGE = 3.25, 6.75
"""Widths of one column and of two."""
TALLEST = 8.5
"""Of a figure that leaves room for a caption on its page."""
LETTERS, LEAST = 110.0, 6.5
"""Points of font size times letters of the headline that fit one inch, and the smallest size."""
NAME, LETTER, ROW = 20, 0.053, 0.115
"""Of a name at the end of a line: letters of a line of it at most, and their width and height in inches."""


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


def headline(figure: Figure, what: str, of: str = "", run: Run | None = None) -> None:
    """What is shown, of what, which is cut short if need be; on a line of its own, what the run lacks."""
    height = float(figure.get_figheight())
    left = min(a.get_position().x0 for a in figure.axes)
    room = LETTERS * ((1 - left) * float(figure.get_figwidth()) - 0.05)
    text = f"{of}: {what}" if of else what
    if of and (excess := len(text) - int(room / LEAST)) > 0:
        text = f"{of[: max(0, len(of) - excess - 1)]}…: {what}"
    figure.text(left, 1 - 0.06 / height, text, fontsize=min(8.5, room / len(text)), va="top", weight="bold")
    if run is not None and run.caveat:
        figure.text(left, 1 - 0.22 / height, run.caveat, fontsize=min(7, max(LEAST, room / len(run.caveat))), va="top",
                    color="#a03020")  # fmt: skip


def folded(name: str, most: int) -> list[str]:
    """The lines of a name, of no more than so many letters: broken at words, before options and between them."""
    lines = [""]
    for part in re.split(r"(?<=[^=] )(?=.)|(?=\[)|(?<=,)", name):
        if lines[-1] and len(lines[-1] + part.rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return [part for line in lines for part in textwrap.wrap(line, most)]


def beside(names: Iterable[str]) -> float:
    """Inches that names to the right of a panel need."""
    return 0.2 + LETTER * max(len(line) for name in names for line in folded(name, NAME))


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, Any]]) -> None:
    """Names (x, y, name, colour) to the right of the panel at the height of their lines' ends, moved apart."""
    import numpy as np

    to_axes = axes.transData + axes.transAxes.inverted()
    placed = sorted(((float(to_axes.transform((x, y))[1]), folded(name, NAME), colour) for x, y, name, colour in ends),
                    key=lambda end: end[0])  # fmt: skip
    tall = ROW * axes.figure.dpi / axes.bbox.height * np.array([len(lines) for _, lines, _ in placed])
    wanted = np.clip([at for at, *_ in placed], 0.0, 1.0)
    heights = wanted.copy()
    for _ in range(200):  # neighbours that are too close push each other away
        for i in range(len(heights) - 1):
            close = (tall[i] + tall[i + 1]) / 2 - (heights[i + 1] - heights[i])
            if close > 1e-4:
                heights[i], heights[i + 1] = heights[i] - close / 2, heights[i + 1] + close / 2
        heights += max(0.0, -heights[0]) if heights[0] < 0 else min(0.0, 1 - heights[-1])
    for (_, lines, colour), at, own in zip(placed, heights, wanted, strict=True):
        axes.annotate("\n".join(lines), (1.0, own), xytext=(1.035, at), xycoords="axes fraction",
                      textcoords="axes fraction", fontsize=6, color=shade(colour, 1), va="center",
                      annotation_clip=False, linespacing=1.0,
                      arrowprops={"arrowstyle": "-", "lw": 0.6, "color": colour, "shrinkA": 0,
                                  "shrinkB": 0, "relpos": (0, 0.5)})  # fmt: skip
