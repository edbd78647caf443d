"""Transfer functions: how a solver reproduces each direction of Gaussian data, by the direction's variance.

On `cifar10-gaussian` a solver's output law is exact (`engines.law`), direction by direction; no sample is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.page import PAGE, headline, label_ends, panels
from solverbench.report.figures.solvers import chosen, gaussian, law_within
from solverbench.report.style import DARK, MARKERS, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solverbench.report.figures import Wish

DEFAULT = ("ddim", "heun", "dpmpp-2m", "deis-tab3", "unipc-2")


def draw(wish: Wish) -> Figure:
    """Left: standard deviation of the output over that of the data. Right: its error, dashed where it is too wide."""
    field, nfe = gaussian(), wish.nfe or 10
    _, variance = field.moments(0.0)
    order = np.argsort(variance)
    x = np.sqrt(variance[order])
    marks = np.searchsorted(x, np.geomspace(x[0], x[-1], 9))
    figure, (gain, error) = panels(2, 2, 2.0, width=PAGE, right=0.95, gap=(0.6, 0.5), above=0.4)
    ends = []
    for (solver, colour), marker in zip(chosen(wish.solvers or DEFAULT), MARKERS, strict=False):
        law = law_within(solver, field, nfe)
        ratio = np.sqrt(law.variance[order] / variance[order])
        off = np.abs(ratio - 1)
        gain.plot(x, ratio, color=colour, lw=1.1)
        error.plot(x, np.where(ratio < 1, off, np.nan), color=colour, lw=1.1)
        error.plot(x, np.where(ratio > 1, off, np.nan), color=colour, lw=1.1, ls="--")
        for axes, y in ((gain, ratio), (error, off)):
            axes.plot(x[marks], y[marks], color=colour, ls="", marker=marker, ms=3, mec="white", mew=0.4)
        ends.append((x[-1], max(off[-1], 1e-12), str(solver), colour))
    gain.axhline(1, color=DARK, lw=0.6, zorder=1)
    for axes in (gain, error):
        axes.set_xscale("log")
        axes.set_xlabel("standard deviation of the data in a direction")
        round_numbers(axes.xaxis)
    error.text(0.03, 0.03, "dashed: wider than the data", transform=error.transAxes, fontsize=6,
               bbox={"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1.0})  # fmt: skip
    gain.set_ylim(0, min(2.0, gain.get_ylim()[1]))
    gain.set_ylabel("output / data")
    error.set_yscale("log")
    round_numbers(error.yaxis)
    error.set_ylabel("|output / data − 1|")
    label_ends(error, ends)
    headline(figure, f"Transfer functions on cifar10-gaussian, NFE {nfe}")
    return figure
