"""What every check works with: findings, noise levels that are uneven on purpose, and fields on any path."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from solverbench.engines.noise import START, normals
from solverbench.fields import Gaussian, Mixture
from solverbench.grids import Grid
from solverbench.methods import Solver
from solverbench.numbers import Number
from solverbench.paths import Path
from solverbench.plans import Instruction, LinComb, Plan
from solverbench.predictions import Prediction

Status: TypeAlias = Literal["pass", "fail", "note"]
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """What a check has seen. A note is worth knowing and counts against nobody."""

    check: str
    status: Status
    measured: str
    remedy: str = ""


Check: TypeAlias = Callable[[Solver], Iterator[Finding]]

SIGMAS = (12.0, 6.0, 3.5, 1.7, 0.9, 0.5, 0.21, 0.1)
"""Noise levels without a pattern: on even steps many a wrong ratio is right."""
ROUNDING = 1e-10
"""Relative differences up to this are rounding in float64."""
SHAPE = 2, 3
"""Of a sample: not flat, so that a function that flattens is seen."""
N = 7
"""Samples: no multiple of a block."""


def on(path: Path, data: bool = False, number: Callable[[float], Number] = float) -> Grid:
    """The grid of `SIGMAS` on a path, in a number type, with a last step onto the data if asked for."""
    times = [path.inverse_sigma_tilde(number(sigma)) for sigma in SIGMAS]
    return Grid(path, tuple([*times, times[-1] * 0] if data else times))


def field(solver: Solver, path: Path, prediction: Prediction = "x0") -> Any:
    """A mixture on a path; for a solver that jumps a Gaussian, which knows its flow map."""
    z = normals(3, START, 0, 3, 6).reshape(3, *SHAPE)
    if solver.integrates == "flow map":
        return Gaussian(z[0], np.exp(z[1]).ravel() / 2, path, prediction=prediction)
    return Mixture([0.2, 0.5, 0.3], z, variances=[0.3, 0.05, 0.6], path=path, prediction=prediction)


def start(path: Path, grid: Grid, n: int = N) -> Array:
    """States (n, *SHAPE) at the first time of a grid, the same canonical ones on every path."""
    return normals(1, START, 0, n, 6).reshape(n, *SHAPE) * float(path.sigma(grid.times[0]))


def generators() -> bytes:
    """The state of the generators that are shared by all of a process."""
    import torch

    numpy_state = np.random.get_state()  # noqa: NPY002 - the legacy generator is the one that is shared
    return pickle.dumps((random.getstate(), numpy_state, torch.get_rng_state().numpy()))


def between(a: Plan, b: Plan) -> float:
    """How far the programs of two plans are apart: the largest difference of their tableaux, row by row relative.

    inf where they evaluate, draw or jump at other times or in another order.
    """
    if _skeleton(a) != _skeleton(b):
        return float("inf")
    one, other = (p.tableau() for p in (a, b))
    scale = np.maximum(np.abs(one), np.abs(other)).max(axis=1, keepdims=True)
    return float(np.max((np.abs(one - other) / np.where(scale > 0, scale, 1)).astype(float)))


def _skeleton(plan: Plan) -> list[tuple[str, str]]:
    """What a plan does and when, to nine digits, its coefficients left out."""
    done = (i for i in plan.code if not isinstance(i, LinComb))
    return [(f"{type(i).__name__} {getattr(i, 'eta', None)}", f"{_time(i, 's')} {_time(i, 't')}") for i in done]


def _time(i: Instruction, name: str) -> str:
    return f"{float(getattr(i, name, 0.0)):.8e}"
