"""Work and precision in seconds: what an error costs on the machine of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.report.comparison import sampling_seconds, tidy
from solverbench.report.figures.lines import (
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
from solverbench.report.style import round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish


def draw(wish: Wish) -> Figure:
    """Error against seconds in the model and the solver, of all samples of a cell; problems that are sampled only."""
    run = wish.run
    assert run is not None
    timed = judged(run, "field_seconds")
    looks = make_looks(run.records, [n for p in timed for n in leaders(run.of(p), run.primary(p))])
    height = height_beside(looks, -(-len(timed) // 2), 0.55)
    figure, made = panels(len(timed), 2, height, right=1.72, gap=(0.6, 0.55))
    for axes, problem in zip(made, timed, strict=True):
        quantity, records = run.primary(problem), run.of(problem)
        data = tidy(records, quantity).assign(seconds=sampling_seconds(records))
        lines(axes, records, data, looks, "seconds")
        error_axes(axes, records, quantity, problem)
        round_numbers(axes.xaxis)
        axes.set_xlabel(f"seconds for {records['n'].median():g} samples")
        directions(axes, quantity)
    legend(figure, run.records[run.records["problem"].isin(timed)], made, looks)
    headline(figure, f"{run.title}: error by seconds", run)
    return figure
