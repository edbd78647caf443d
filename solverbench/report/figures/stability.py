"""Regions of absolute stability, in the variable in which every path is the same.

In canonical coordinates the probability-flow ODE is dx/dlambda = -(x - D). The test equation is D = (1 + zeta) x, so
dx/dlambda = zeta x, on steps of equal size h in lambda: a solver's state is multiplied by R(h zeta) a step, and the
region is |R| <= 1. Exponential solvers take -x exactly and see D alone, so their region depends on h too. Data of
variance v have zeta = -sigma^2/(v + sigma^2), between -1 and 0: the bar on the real axis is what a solver meets there.
"""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.report.figures.page import COLUMN, folded, headline, panels
from solverbench.report.figures.solvers import without_noise
from solverbench.report.style import DARK, GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from solverbench.methods import Solver
    from solverbench.report.figures import Wish

DEFAULT = ("ddim", "dpmpp-2m", "deis-tab3", "unipc-2", "rk4")
STEP = 1.0
"""In lambda: ten steps of the usual grids."""
FIRST = 50.0
"""Noise level of the start, so that the end is not mistaken for data."""
LONG = 28
"""Steps, of which the second half is looked at: by then the start of a multistep method is forgotten."""
BOX = (-3.7, 0.9, -3.4, 3.4)
FINE = 181
DASHES: tuple[Any, ...] = ("-", (0, (4, 1)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (8, 2)))
"""By which regions are told apart without colours."""
NAME = 17
"""Letters of a line of the legend, at most."""


def draw(wish: Wish) -> Figure:
    """The boundaries |R| = 1; stable is to their left or inside."""
    from matplotlib.lines import Line2D

    real, imaginary = np.linspace(*BOX[:2], FINE), np.linspace(*BOX[2:], FINE)
    z = real + 1j * imaginary[:, None]
    solvers = without_noise(wish.solvers or DEFAULT, "stability")
    figure, (axes,) = panels(1, 1, 2.2, width=COLUMN, left=0.42, right=1.25, above=0.45)
    handles = []
    for (solver, look), dash in zip(solvers, cycle(DASHES), strict=False):
        size, colour = amplification(solver, z), look["color"]
        axes.contour(real, imaginary, size, levels=[1.0], colors=[colour], linewidths=1.2, linestyles=[dash])
        axes.contourf(real, imaginary, size, levels=[0, 1.0], colors=[colour], alpha=0.07)
        handles.append(Line2D([], [], color=colour, lw=1.2, ls=dash, label="\n".join(folded(str(solver), NAME))))
    axes.axvline(0, color=GREY, lw=0.6, zorder=0)
    axes.plot([-STEP, 0], [0, 0], color=DARK, lw=2.5, solid_capstyle="butt", zorder=3)
    handles.append(Line2D([], [], color=DARK, lw=2.5, label="Gaussian data"))
    axes.set(xlabel="Re hζ", ylabel="Im hζ", xlim=BOX[:2], ylim=BOX[2:], aspect="equal")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, handlelength=2)
    axes.set_title("shaded: stable", weight="normal", fontsize=6.5)
    headline(figure, f"Absolute stability, steps of {STEP:g} in λ")
    return figure


def amplification(solver: Solver, z: NDArray[np.complex128], step: float = STEP) -> NDArray[np.float64]:
    """|R(z)|, the growth of a step of that size in lambda on dx/dlambda = (z/step) x, for complex z of any shape."""
    from solverbench.orders import subject

    run = subject(solver).run
    flat = np.asarray(z, dtype=complex).reshape(1, -1)

    def size(steps: int) -> NDArray[np.float64]:
        sigmas = tuple(FIRST * math.exp(-step * k) for k in range(steps + 1))
        end = run(lambda x, _: (1 + flat / step) * x, np.ones_like(flat), sigmas, np.zeros_like)
        return np.abs(end)

    with np.errstate(all="ignore"):
        growth = (size(LONG) / size(LONG // 2)) ** (2 / LONG)
    return np.where(np.isfinite(growth), growth, np.inf).reshape(np.shape(z))
