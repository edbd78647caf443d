"""Error along the trajectory in a run: how far states are from the reference, at every time of the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import usual_budget
from solverbench.report.figures.lines import BAND, height_beside, leaders, legend, make_looks
from solverbench.report.figures.page import NothingError, headline, panels
from solverbench.report.records import array
from solverbench.report.style import round_numbers

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
    kept = {name: array(run.folder, str(here["cell"][name]), "along") for name in looks}
    told = {name: found[found[:, 1] >= RESOLVES * found[:, 3]].T for name, found in kept.items() if found is not None}
    if not any(found.size for found in told.values()):
        raise NothingError(f"no solver of the ODE has kept errors along the trajectory at NFE {budget}")
    figure, (axes,) = panels(1, 1, height_beside(looks, 2.6), right=1.72, above=0.42)
    for name, (sigma, error, se, _) in told.items():
        low = (error - 2 * se).clip(min=LEAST * error)
        axes.fill_between(sigma, low, error + 2 * se, color=looks[name].colour, alpha=0.2, lw=0, label=BAND)
        axes.plot(sigma, error, **looks[name].line())
    axes.set(xscale="log", yscale="log", xlabel="noise level σ/α", ylabel="paired RMSE of x/α")
    axes.invert_xaxis()
    for axis in (axes.xaxis, axes.yaxis):
        round_numbers(axis)
    legend(figure, [axes], looks)
    headline(figure, f"error along the trajectory at NFE {budget}", problem, run)
    return figure
