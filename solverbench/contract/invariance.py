"""Checks on what a result must not depend on: the field's prediction, and the path given the noise levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from solverbench.contract.base import ROUNDING, Array, Finding, field, on, start
from solverbench.methods import Solver
from solverbench.orders import measure, subject
from solverbench.orders.measure import WORSE
from solverbench.orders.ruler import apart
from solverbench.paths import PATHS, path
from solverbench.predictions import PREDICTIONS, Prediction
from solverbench.sampling import sample


def canonical(solver: Solver, name: str, prediction: Prediction = "x0", data: bool = False) -> Array:
    """x~ = x/alpha at the last of fixed noise levels on a path, from the same x~ at the first."""
    made = path(name)
    grid = on(made, data)
    x = start(made, grid)
    ended = sample(field(solver, made, prediction), solver, grid, x, seed=5).x
    return np.asarray(ended / made.alpha(grid.times[-1]))


def predictions(solver: Solver) -> Iterator[Finding]:
    """Fields that output x0, noise, score, v or velocity give equal results."""
    worst, where = 0.0, ""
    for name in ("edm", "vp-linear", "rectified"):
        for data in (False, True):
            expected = canonical(solver, name, "x0", data)
            for kind in PREDICTIONS[1:]:
                found = apart(expected, canonical(solver, name, kind, data))
                if found > worst:
                    worst, where = found, f"{kind} and x0 on {name}"
    if worst > ROUNDING:
        remedy = "ask with x.predict(kind, at=t) for the kind the formula is in; what the field outputs is not yours"
        yield Finding("predictions", "fail", f"fields that output {where} differ by {worst:.1e}", remedy)
    else:
        yield Finding("predictions", "pass", f"{len(PREDICTIONS)} predictions on three paths agree to {worst:.0e}")


def paths(solver: Solver) -> Iterator[Finding]:
    """The same noise levels sigma/alpha on every path give the same x/alpha.

    A method that steps in t does depend on the path, and is no worse for it. What tells it from a coefficient that is
    right on one path only is its order: it has the same on the path where it differs most.
    """
    expected = canonical(solver, "edm")
    distance = {name: apart(expected, canonical(solver, name)) for name in PATHS if name != "edm"}
    name = max(distance, key=distance.__getitem__)
    if distance[name] <= ROUNDING:
        yield Finding("paths", "pass", f"{len(PATHS)} paths agree to {distance[name]:.0e} at equal sigma/alpha")
        return
    seen = f"{name} differs from edm by {distance[name]:.1e} at equal sigma/alpha"
    here, measured = measure(subject(solver)), measure(subject(solver, name))
    if WORSE.index(measured.verdict) <= WORSE.index(here.verdict):
        remedy = "as a method that steps in t does; if yours should not, look for t where sigma/alpha or lam is meant"
        yield Finding("paths", "note", f"{seen}; its order there is as on edm: {measured.verdict}", remedy)
    else:
        remedy = "a coefficient is right on some paths only: x_t = alpha x_0 + sigma eps, and alpha is 1 on edm and ve"
        yield Finding(
            "paths", "fail", f"{seen}, and its order there is {measured.attained}: {measured.verdict}", remedy
        )
