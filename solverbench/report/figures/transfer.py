"""Transfer functions: how a solver reproduces each direction of Gaussian data, by the direction's variance.

On `cifar10-gaussian` a solver's output law is exact (`engines.law`), direction by direction; no sample is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.report.figures.page import PAGE, beside, headline, label_ends, panels
from solverbench.report.figures.solvers import chosen, gaussian, law_within
from solverbench.report.style import DARK, round_numbers

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
    solvers = chosen(wish.solvers or DEFAULT)
    right = beside(str(solver) for solver, _ in solvers)
    figure, (gain, error) = panels(2, 2, 2.0, width=PAGE, right=right, gap=(0.6, 0.5), above=0.45)
    ends = []
    for solver, look in solvers:
        law = law_within(solver, field, nfe)
        ratio = np.sqrt(law.variance[order] / variance[order])
        off = np.abs(ratio - 1)
        line = {"color": look["color"], "lw": look["lw"]}
        gain.plot(x, ratio, **line)
        error.plot(x, np.where(ratio < 1, off, np.nan), **line)
        error.plot(x, np.where(ratio > 1, off, np.nan), **line, ls="--")
        for axes, y in ((gain, ratio), (error, off)):
            axes.plot(x[marks], y[marks], **{**look, "ls": ""})
        ends.append((x[-1], max(off[-1], 1e-12), str(solver), look["color"]))
    gain.axhline(1, color=DARK, lw=0.6, zorder=1)
    for axes in (gain, error):
        axes.set_xscale("log")
        axes.set_xlabel("standard deviation of the data in a direction")
        round_numbers(axes.xaxis)
    error.set_title("dashed: wider than the data", weight="normal", fontsize=6.5)
    gain.set_ylim(0, min(2.0, gain.get_ylim()[1]))
    gain.set_ylabel("output / data")
    error.set_yscale("log")
    round_numbers(error.yaxis)
    error.set_ylabel("|output / data − 1|")
    label_ends(error, ends)
    headline(figure, f"Transfer functions on cifar10-gaussian, NFE {nfe}")
    return figure
