"""What solvers make of the same noise at several budgets, and how far that is from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.report.comparison import tidy, twins
from solverbench.report.figures.lines import leaders
from solverbench.report.figures.page import PAGE, NothingError, folded, headline
from solverbench.report.layout import told
from solverbench.report.sheets import kept_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from solverbench.report.figures import Wish

ROWS, BUDGETS = 8, 4
GAIN = 4
"""Differences are shown enlarged by this factor, grey where there is none."""
NAME, GAP, ABOVE, ABOUT, LARGEST = 1.05, 0.03, 0.66, 2.0, 0.75
"""Inches: names, between pictures, height of the headings, width of the note on differences, a picture."""
LETTERS = 18
"""Of a line of a name, at most."""


def draw(wish: Wish) -> Figure:
    """A row per solver: the reference, its own pictures by budget, and to their right the enlarged differences."""
    from matplotlib.figure import Figure

    run, problem = wish.run, wish.problem
    assert run is not None
    records = run.of(problem)
    records = records[~records["label"].isin(list(twins(records)[0]))]
    quantity = run.primary(problem)
    reference = kept_images(run.folder, f"reference-{problem}")
    if reference is None:
        raise NothingError("the run has kept no images")
    goal = _picture(reference[0])
    names = leaders(records, quantity, ROWS) or [str(name) for name in records["label"].unique()[:ROWS]]
    every = sorted({int(b) for b in records["budget"]})
    shown = sorted({every[round(i)] for i in np.linspace(0, len(every) - 1, BUDGETS)})
    data = tidy(records, quantity)
    columns = 1 + 2 * len(shown)
    tile = min(LARGEST, (PAGE - NAME) / columns - GAP)
    height = ABOVE + len(names) * (tile + GAP)
    figure = Figure(figsize=(NAME + columns * (tile + GAP), height))
    width = figure.get_figwidth()
    for i, name in enumerate(names):
        bottom = height - ABOVE - i * (tile + GAP) - tile
        label = "\n".join(folded(name, LETTERS))
        figure.text(0.06 / width, (bottom + tile / 2) / height, label, va="center", fontsize=6.5)
        for j, (picture, text) in enumerate(_row(run.folder, records, data[data["label"] == name], shown, goal)):
            left = NAME + j * (tile + GAP)
            axes = figure.add_axes((left / width, bottom / height, tile / width, tile / height))
            axes.axis("off")
            if picture is not None:
                axes.imshow(picture, interpolation="nearest")
            axes.text(0.04, 0.04, text, transform=axes.transAxes, fontsize=6, va="bottom",
                      bbox={"facecolor": "white", "alpha": 0.75 * bool(text), "lw": 0, "pad": 0.6})  # fmt: skip
    headings = ["reference", *2 * [f"NFE ≤ {b}" for b in shown]]
    for j, text in enumerate(headings):
        x = (NAME + j * (tile + GAP) + tile / 2) / width
        figure.text(x, 1 - (ABOVE - 0.05) / height, text, ha="center", va="bottom", fontsize=6)
    x = min((NAME + (1 + len(shown)) * (tile + GAP)) / width, 1 - ABOUT / width)
    about = f"difference × {GAIN}, grey where there is none;\n{quantity.name} of all samples"
    figure.text(x, 1 - (ABOVE - 0.16) / height, about, va="bottom", fontsize=6, linespacing=1.05)
    headline(figure, "one noise, many solvers", problem, run)
    return figure


def _row(folder: Any, records: Any, rows: Any, budgets: list[int], goal: Any) -> list[tuple[Any, str]]:
    """(picture or None, text in its corner): reference, pictures, differences."""
    pictures, differences = [], []
    for budget in budgets:
        here = rows[rows["budget"] == budget]
        found = kept_images(folder, str(records.loc[here.index[0], "cell"])) if len(here) else None
        picture = None if found is None else _picture(found[0])
        text = told(float(here["value"].iloc[0]), 0.0, bool(here["below"].iloc[0])) if len(here) else ""
        off = None if picture is None else np.clip(0.5 + GAIN * (picture - goal) / 2, 0, 1)
        pictures.append((picture, "" if picture is not None else "none kept"))
        differences.append((off, text if off is not None and len(here) and here["ok"].iloc[0] else ""))
    return [(goal, ""), *pictures, *differences]


def _picture(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(image, dtype=float).transpose(1, 2, 0) / 255
