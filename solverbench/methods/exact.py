"""The exact reverse process of fields that know it, as solvers: what all others approximate.

One kernel, x.exact(s, t, eta): the transition of the process of strength eta from s to t, in law. Kernels compose, so
the law at the end is that of the process whatever the grid is, one step included. Gaussians know the process of every
strength, mixtures that of strength 1 and, on the line, the flow; nobody knows it for a trained network, which is
refused (see `fields.base.lacks`).
"""

from __future__ import annotations

from solverbench.eta import ONE, Eta
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.paths import Path
from solverbench.plans import State


@solver("exact-map", integrates="flow map", family="exact", cite="boffi2024flowmap", takes=("head", "tail"), eta=0.0,
        reason="exact-ode read as a two-time map: flow-map with what a perfect distillation would learn")  # fmt: skip
@solver("exact-ode", integrates="flow map", family="exact", cite="song2021sde", takes=("head", "tail"), eta=0.0,
        reason="the process of strength 0, the probability flow")  # fmt: skip
@solver("exact-sde", integrates="flow map", family="exact", cite="song2021sde; pierret2025gaussian",
        takes=("head", "tail"))  # fmt: skip
def exact_process(x: State, path: Path, grid: Grid, *, eta: Eta = ONE) -> State:
    """One exact transition of the reverse process of strength eta per step: without error from an exact start.

    From the prior it errs by what the start costs, and its samples by their number, which no solver's can do without.
    """
    for s, t in grid.pairs:
        x = x.exact(s, t, eta)
    return x
