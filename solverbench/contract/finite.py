"""The check on numbers that are none: few steps and many, ends with and without noise, and grids nobody would make."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from solverbench.contract.base import Finding
from solverbench.errors import SolverbenchError
from solverbench.fields import Gaussian
from solverbench.grids import Grid, grid
from solverbench.methods import Solver
from solverbench.paths import PATHS, Path
from solverbench.sampling import sample

STEPS = (1, 2, 3, 40)
RULES = ("uniform", "log-snr")
JAGGED = (20.0, 19.99, 2.0, 1.9999, 1.0, 0.02, 0.0199)
"""Noise levels whose steps differ by factors of thousands."""


def finite(solver: Solver) -> Iterator[Finding]:
    """No nan and no infinity in float32, from the path's prior to the data or to the least noise."""
    bad: list[str] = []
    largest, runs = 0.0, 0
    for name in PATHS:
        field = Gaussian([0.3, -0.2, 0.0], [1.0, 0.05, 0.0], name)  # a direction without variance among them
        for label, steps in _grids(field.path):
            runs += 1
            try:
                with np.errstate(all="ignore"):
                    x = sample(field, solver, steps, n=4, engine="numpy", dtype="float32").x
            except SolverbenchError as error:
                bad.append(f"{name}, {label}: {error}")
                continue
            if np.isfinite(x).all():
                largest = max(largest, float(np.abs(x).max() / steps.path.alpha(steps.times[-1])))
            else:
                bad.append(f"{name}, {label}: not finite")
    if bad:
        remedy = "look for a division by the difference of two times, or by sigma or alpha at an end"
        yield Finding("finite", "fail", f"{len(bad)} of {runs} runs, the first on {bad[0]}", remedy)
    else:
        yield Finding("finite", "pass", f"{runs} runs of 1 to {max(STEPS)} steps; the largest number is {largest:.3g}")


def _grids(made: Path) -> Iterator[tuple[str, Grid]]:
    for rule in RULES:
        for zero in (True, False):
            for steps in STEPS:
                yield f"grid {rule}, {steps} steps{', to the data' * zero}", grid(rule, made, steps, zero=zero)
    jagged = [made.inverse_sigma_tilde(sigma) for sigma in JAGGED]
    yield "jagged grid", Grid(made, tuple(jagged))
    yield "jagged grid, to the data", Grid(made, (*jagged, 0.0))
