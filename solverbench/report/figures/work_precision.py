"""Work and precision: error against model evaluations, a panel per problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.comparison import tidy
from solverbench.report.figures.lines import (
    budgets,
    directions,
    error_axes,
    height_beside,
    judged,
    leaders,
    legend,
    lines,
    make_looks,
)
from solverbench.report.figures.page import headline, panels
from solverbench.report.style import nfe_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish


def draw(wish: Wish) -> Figure:
    """The best of each budget stand out, slopes show orders, horizontal lines what no solver can undercut."""
    run = wish.run
    assert run is not None
    problems = judged(run)
    chosen = {p: leaders(run.of(p), run.primary(p)) for p in problems}
    looks = make_looks(run.records, [name for names in chosen.values() for name in names])
    height = height_beside(looks, -(-len(problems) // 2), 0.55)
    figure, made = panels(len(problems), 2, height, right=1.72, gap=(0.6, 0.55))
    for axes, problem in zip(made, problems, strict=True):
        quantity, records = run.primary(problem), run.of(problem)
        lines(axes, records, tidy(records, quantity), looks, "nfe")
        error_axes(axes, records, quantity, problem)
        nfe_axis(axes, budgets(records))
        axes.set_xlabel("NFE")
        directions(axes, quantity)
    legend(figure, run.records, made, looks)
    headline(figure, f"{run.title}: error by model evaluations", run)
    return figure
