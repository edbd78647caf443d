"""Work and precision: error against model evaluations, a panel per problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.comparison import sampling_seconds, tidy
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
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish
    from solverbench.report.records import Run


def draw(wish: Wish) -> Figure:
    """The best of each budget stand out, slopes show orders, horizontal lines what no solver can undercut."""
    assert wish.run is not None
    return error_by(wish.run, "nfe", judged(wish.run), "error by model evaluations", _evaluations)


def error_by(run: Run, x: str, problems: list[str], what: str, work: Callable[[Axes, pd.DataFrame], None]) -> Figure:
    """Error against "nfe" or "seconds" on these problems; work: makes an axis of it, of the records of a problem."""
    looks = make_looks(run.records, [name for p in problems for name in leaders(run.of(p), run.primary(p))])
    gap = 0.62
    height = height_beside(looks, 1.9, -(-len(problems) // 2), gap)
    figure, made = panels(len(problems), 2, height, right=1.72, gap=(0.6, gap))
    for axes, problem in zip(made, problems, strict=True):
        quantity, records = run.primary(problem), run.of(problem)
        data = tidy(records, quantity).assign(seconds=sampling_seconds(records))
        lines(axes, records, data, looks, x)
        error_axes(axes, records, quantity, problem)
        work(axes, records)
        directions(axes, quantity)
    legend(figure, made, looks)
    headline(figure, what, run.title, run)
    return figure


def _evaluations(axes: Axes, records: pd.DataFrame) -> None:
    nfe_axis(axes, budgets(records))
    axes.set_xlabel("NFE")
