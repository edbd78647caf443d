"""Error by evaluations, family by family, so that each solver can be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.comparison import tidy, twins
from solverbench.report.figures.lines import entries, error_axes, lines, make_looks
from solverbench.report.figures.page import headline, outer, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish


def draw(wish: Wish) -> Figure:
    """A panel per family with all others in grey."""
    run, problem = wish.run, wish.problem
    assert run is not None
    quantity = run.primary(problem)
    records = run.of(problem)
    data = tidy(records, quantity)
    same = twins(records)[0]
    groups: dict[str, list[str]] = {}
    for name, rows in records.groupby("label", sort=False):
        if name not in same and data["value"][rows.index].notna().any():
            groups.setdefault(rows["family"].iloc[0] or "user", []).append(str(name))
    figure, made = panels(len(groups), 2, 1.5, right=1.45, gap=(1.5, 0.36), share=True)
    for axes, (family, names) in zip(made, groups.items(), strict=True):
        looks = make_looks(records, names, rainbow=True)
        lines(axes, records, data, looks, "nfe")
        error_axes(axes, records, quantity, family)
        handles, labels = entries(looks)
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=6, handlelength=1.8,
                    labelspacing=0.35, frameon=False)  # fmt: skip
    outer(made, 2)
    headline(figure, f"{problem}: {quantity.name} by NFE, family by family; all others in grey", run)
    return figure
