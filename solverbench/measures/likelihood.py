"""Log-likelihood along the probability-flow ODE, by any solver of it.

Densities follow the flow of x' = v(x, t) by the instantaneous change of variables, d log p_t(x_t)/dt = -div v(x_t, t)
(Grathwohl et al. 2019; Song et al. 2021, section 4.3). Integrated from states at the last time with noise up to the
first time of a grid,

    log p(x) = log p_T(x_T) + l,        l = int div v dt,

and (x, l) is one more state with a velocity, so that a solver needs to know nothing of it. Where the divergence is
exact all that is left is the solver's error, of the solver's order. On a Gaussian the map is affine, and the mean over
exact samples is in closed form by the engine that propagates laws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.engines import numpy as engine
from solverbench.engines.law import Vector, kernel
from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.grids.base import Rising
from solverbench.measures.law import Start, start_moments
from solverbench.predictions import convert

if TYPE_CHECKING:
    from solverbench.fields.base import Field, LinearField
    from solverbench.methods import Solver
    from solverbench.paths import Path
    from solverbench.plans import Plan


@dataclass(frozen=True)
class Likelihood:
    """What a solver makes of the density of states."""

    log_p: Vector
    """(n,) in nats."""
    x: np.ndarray[Any, np.dtype[np.float64]]
    """The states at the grid's first time that they came from, (n, *shape)."""
    nfe: int
    """Evaluations of field and divergence."""

    @property
    def bits(self) -> Vector:
        """Bits per dimension, -log2 p/d (n,); of densities, so that scaling the states adds a constant."""
        per_dimension: Vector = bits(self.log_p, self.x[0].size)
        return per_dimension


def bits(log_p: Any, d: int) -> Any:
    """Bits per dimension of a log-density in nats of states of d numbers: -log_p/(d log 2)."""
    return -log_p / (d * math.log(2))


def log_likelihood(field: Field, x: Any, solver: Solver, grid: Grid, start: Start = "prior") -> Likelihood:
    """log p of states x (n, *shape) at the grid's last time with noise, in float64, by an ODE solver.

    start: the law at the grid's first time, the path's "prior" or the field's "exact" one. Raises UsageError for a
    field without `divergence(x, t)`, solvers that draw noise or jump, and states of another shape.
    """
    if not hasattr(field, "divergence"):
        raise UsageError(f"a log-likelihood needs divergence(x, t), which {type(field).__name__} does not have")
    x = np.asarray(x, dtype=np.float64)
    shape = tuple(field.shape)
    if tuple(x.shape[1:]) != shape or not len(x):
        raise UsageError(f"x must have shape (n, {', '.join(map(str, shape))}), got {x.shape}")
    plan = rising_plan(solver, field.path, grid)
    both = _Both(field)
    z = np.concatenate([x.reshape(len(x), -1), np.zeros((len(x), 1))], axis=1)
    end = engine.run(plan, both, z)
    x_T, t = end[:, :-1].reshape(x.shape), float(plan.grid.times[-1])
    if start == "exact":
        log_p = field.log_density(x_T, t)  # type: ignore[attr-defined]  # of every field with a divergence
    elif start == "prior":
        s2 = field.path.prior_std(t) ** 2
        log_p = -(np.square(end[:, :-1]).sum(1) / s2 + both.d * math.log(2 * math.pi * s2)) / 2
    else:
        raise UsageError(f"start must be 'exact' or 'prior', got {start!r}")
    return Likelihood(np.asarray(log_p) + end[:, -1], x_T, plan.nfe)


def mean_bits(field: LinearField, solver: Solver, grid: Grid, start: Start = "prior") -> tuple[float, float]:
    """Bits per dimension over exact samples at the grid's last time with noise: (by the solver, exact). No samples.

    Raises UsageError as `log_likelihood` does.
    """
    plan = rising_plan(solver, field.path, grid)
    both: Any = _LinearBoth(field)
    K = kernel(plan, both)
    first, last = float(plan.grid.times[0]), float(plan.grid.times[-1])
    mean, V = field.moments(first)
    m, s2 = start_moments(field, last, start)
    A, b, integral = K.A[:-1], K.b[:-1], float(K.b[-1])
    squares = ((A * mean + b - m) ** 2 + A * A * V) / s2
    found = integral - 0.5 * float(np.sum(squares + np.log(2 * np.pi * s2)))
    exact = -0.5 * float(np.sum(1 + np.log(2 * np.pi * V)))
    return bits(found, V.size), bits(exact, V.size)


def rising_plan(solver: Solver, path: Path, grid: Grid) -> Plan:
    """The plan of a solver on the noisy times of a grid upwards, for a field that outputs velocities."""
    if solver.stochastic or solver.integrates == "flow map":
        what = "draws noise" if solver.stochastic else "jumps"
        raise UsageError(f"a log-likelihood follows the ODE, but {solver} {what}: take a solver of the ODE")
    times = tuple(grid.times)[::-1]
    if path.is_data(times[0]):
        times = times[1:]
    return solver.plan(path, Rising(path, times, grid.name), "velocity")


class _Both:
    """(x, l) flat (n, d + 1), as a field of velocities (v, div v)."""

    prediction = "velocity"

    def __init__(self, field: Any) -> None:
        self.field, self.path = field, field.path
        self.d = math.prod(field.shape)
        self.shape = (self.d + 1,)

    def __call__(self, z: Any, t: Any) -> Any:
        t = float(t)
        a, b = convert(self.field.prediction, "velocity", self.path, t)
        x = z[:, :-1].reshape(len(z), *self.field.shape)
        v = a * x + b * self.field(x, t)
        divergence = a * self.d + b * self.field.divergence(x, t)
        return np.concatenate([v.reshape(len(z), -1), divergence[:, None]], axis=1)


class _LinearBoth:
    """The same for a field that is affine along fixed directions: l is one more, of slope zero."""

    prediction = "velocity"

    def __init__(self, field: LinearField) -> None:
        self.field, self.path = field, field.path

    def affine(self, t: float) -> tuple[Vector, Vector]:
        a, b = convert(self.field.prediction, "velocity", self.path, float(t))
        slope, offset = self.field.affine(t)
        slope = a + b * slope
        return np.append(slope, 0.0), np.append(b * offset, slope.sum())

    def moments(self, t: float) -> tuple[Vector, Vector]:
        mean, variance = self.field.moments(t)
        return np.append(mean, 0.0), np.append(variance, 0.0)
