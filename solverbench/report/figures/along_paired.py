"""Error along the trajectory in a run: how far states are from the reference, at every time of the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import usual_budget
from solverbench.report.figures.lines import leaders, legend, make_looks
from solverbench.report.figures.page import headline, panels
from solverbench.report.records import array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

LEAST = 0.01
"""Of the median error, that is still within the panel."""


def draw(wish: Wish) -> Figure:
    """Paired error of x/alpha by noise level at one budget, noise to the left; what the reference does not resolve is
    left out. States are those a solver evaluates at."""
    run, problem = wish.run, wish.problem
    assert run is not None
    records = run.of(problem)
    budget = wish.nfe or usual_budget(records)
    here = records[records["budget"] == budget].set_index("label")
    names = leaders(records, run.primary(problem))
    looks = make_looks(run.records, [name for name in names if name in here.index and not here["stochastic"][name]])
    figure, (axes,) = panels(1, 1, 2.6, width=5.2, right=1.72, above=0.42)
    for name, look in looks.items():
        found = array(run.folder, str(here["cell"][name]), "along")
        if found is not None and len(good := found[found[:, 1] >= RESOLVES * found[:, 3]]):
            sigma, error, se, _ = good.T
            low = (error - 2 * se).clip(min=LEAST * error)
            axes.fill_between(sigma, low, error + 2 * se, color=look.colour, alpha=0.2, lw=0)
            axes.plot(sigma, error, **look.line())
    axes.set(xscale="log", yscale="log", xlabel="noise level σ/α", ylabel="paired RMSE of x/α")
    axes.invert_xaxis()
    legend(figure, here.reset_index(), [axes], looks)
    headline(figure, f"{problem}: error along the trajectory at NFE {budget}", run)
    return figure
