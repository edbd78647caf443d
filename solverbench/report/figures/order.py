"""Orders of convergence: error by number of steps, and the slope that is read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.page import COLUMN, beside, headline, label_ends, panels
from solverbench.report.figures.solvers import without_noise
from solverbench.report.style import round_numbers, slope_guide

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

DEFAULT = ("euler", "heun", "dpmpp-2m", "dpmpp-3m", "ipndm4", "unipc-3", "rk4")


def draw(wish: Wish) -> Figure:
    """Root mean square error on the nonlinear problem of `solverbench order`; names carry order measured (claimed)."""
    from solverbench.orders import subject
    from solverbench.orders.grids import GRIDS
    from solverbench.orders.measure import COLUMNS, SIZES, flow_error
    from solverbench.orders.ruler import slope

    lines = []
    for solver, look in without_noise(wish.solvers or DEFAULT, "order"):
        tested = subject(solver)
        runs = [flow_error(tested, GRIDS["smooth"](N, float, (1.5, 0.15))) for N in SIZES]
        errors = np.concatenate(runs)[:, COLUMNS["nonlinear"]].astype(float)
        measured = slope(errors, SIZES)
        claimed = "-" if solver.order is None else str(solver.order)
        number = f"{measured.order:.1f}" if measured.window else measured.remark or "exact"
        lines.append((np.sqrt(np.mean(errors**2, axis=1)), f"{solver}: {number}\u00a0({claimed})", look))
    figure, (axes,) = panels(1, 1, 2.4, width=COLUMN, right=beside(name for _, name, _ in lines), above=0.38)
    for error, _, look in lines:
        axes.plot(SIZES, error, **look)
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="root mean square error")
    axes.set_xticks(SIZES, [str(N) for N in SIZES])
    axes.set_xticks([], minor=True)
    round_numbers(axes.yaxis)
    slope_guide(axes, (1, 2, 3, 4))
    label_ends(axes, [(SIZES[-1], error[-1], name, look["color"]) for error, name, look in lines])
    headline(figure, "Order of convergence: measured (claimed)")
    return figure
