"""Error along the trajectory: how far the law of the state is from the exact marginal, at every time of the grid.

The state at a time is that of the solver run on the grid up to there. On `cifar10-gaussian` its law is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.page import COLUMN, beside, headline, label_ends, panels
from solverbench.report.figures.solvers import chosen, gaussian, plan_on
from solverbench.report.style import round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

DEFAULT = ("ddim", "heun", "dpmpp-2m", "deis-tab3", "unipc-2")


def draw(wish: Wish) -> Figure:
    """W2 per pixel between the law of the state and the exact marginal, by noise level; noise is to the left."""
    from solverbench.grids import Grid
    from solverbench.measures.law import law_of

    field, nfe = gaussian(), wish.nfe or 10
    solvers = chosen(wish.solvers or DEFAULT)
    figure, (axes,) = panels(1, 1, 2.2, width=COLUMN, right=beside(str(s) for s, _ in solvers), above=0.45)
    ends = []
    for solver, look in solvers:
        times = [t for t in plan_on(solver, field, nfe).grid.times if t > 0]
        laws = [
            law_of(
                solver.plan(field.path, Grid(field.path, tuple(times[: k + 1])), field.prediction), field, target="end"
            )
            for k in range(1, len(times))
        ]
        w2 = np.array([law.w2 for law in laws]) / np.sqrt(field.moments(0.0)[0].size)
        sigma = [float(field.path.sigma_tilde(t)) for t in times[1:]]
        axes.plot(sigma, w2, **look)
        ends.append((sigma[-1], w2[-1], str(solver), look["color"]))
    axes.set(xscale="log", yscale="log", xlabel="noise level σ/α", ylabel="W2 per pixel to the exact marginal")
    axes.invert_xaxis()
    for axis in (axes.xaxis, axes.yaxis):
        round_numbers(axis)
    label_ends(axes, ends)
    headline(figure, f"Error along the trajectory, NFE {nfe}")
    axes.set_title("cifar10-gaussian", weight="normal", fontsize=6.5)
    return figure
