"""Error by evaluations, family by family, so that each solver can be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.comparison import tidy, twins
from solverbench.report.figures.lines import LETTERS, budgets, entries, error_axes, lines, make_looks, others
from solverbench.report.figures.page import TALLEST, NothingError, folded, headline, outer, panels
from solverbench.report.style import nfe_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

MOST = 10
"""Lines of names beside a panel: each solver has a colour of its own."""
PAGEFUL = 10
"""Panels of a figure that is to fit a page."""
ABOVE, BELOW, GAP = 0.5, 0.8, 0.36
"""Inches."""


def draw(wish: Wish) -> Figure:
    """A panel per family with all others in grey."""
    run, problem = wish.run, wish.problem
    assert run is not None
    quantity = run.primary(problem)
    records = run.of(problem)
    data = tidy(records, quantity)
    same = twins(records)[0]
    own = data[data["ok"] & ~data["label"].isin(list(same))].drop_duplicates("label")
    if own.empty:
        raise NothingError(f"no cell has {quantity.name}")
    members = {str(f): list(names) for f, names in own.groupby(own["family"].fillna("user"), sort=False)["label"]}
    looks = make_looks(records, [name for names in members.values() for name in names], rainbow=True)
    parts = _parts(members, {name: len(folded(look.name, LETTERS)) for name, look in looks.items()})
    if len(parts) > PAGEFUL:
        remedy = "name some: solverbench figure families RUN --solver PATTERN"
        raise NothingError(f"{len(own)} solvers are more than a page can tell apart; {remedy}")
    rows = -(-len(parts) // 2)
    height = min(1.3, (TALLEST - ABOVE - BELOW - (rows - 1) * GAP) / rows)
    figure, made = panels(len(parts), 2, height, right=1.52, gap=(1.57, GAP), share=True, above=ABOVE, below=BELOW)
    for axes, (title, names) in zip(made, parts, strict=True):
        looks = make_looks(records, names, rainbow=True)
        lines(axes, records, data, looks, "nfe")
        error_axes(axes, records, quantity, problem)
        nfe_axis(axes, budgets(records))
        axes.set_title(title)
        handles, labels = entries(looks)
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=6, handlelength=1.8,
                    labelspacing=0.35, frameon=False)  # fmt: skip
    outer(made, 2)
    figure.legend(*others(made), loc="lower center", ncols=4, frameon=False)
    headline(figure, f"{quantity.name} by NFE, family by family; all others in grey", problem, run)
    return figure


def _parts(members: dict[str, list[str]], lines: dict[str, int]) -> list[tuple[str, list[str]]]:
    """(title, solvers) of the panels: families with too many lines in parts, families of one solver together."""
    groups = {family: names for family, names in members.items() if len(names) > 1}
    alone = {family: names for family, names in members.items() if len(names) == 1}
    groups |= alone if len(alone) == 1 else {"families of one solver": [name for (name,) in alone.values()]}
    parts = []
    for title, names in groups.items():
        chunks: list[list[str]] = []
        for name in names:
            if not chunks or sum(lines[n] for n in [*chunks[-1], name]) > MOST:
                chunks.append([])
            chunks[-1].append(name)
        said = [f"{title}, {i} of {len(chunks)}" if len(chunks) > 1 else title for i in range(1, len(chunks) + 1)]
        parts += list(zip(said, chunks, strict=True))
    return parts
