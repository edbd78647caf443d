"""Reference trajectories: the probability-flow ODE from given states to the data, with an estimate of its own error.

In canonical coordinates the ODE is dx~/dlambda = -(x~ - D) down to the grid's last noise level and, from there to zero,
dx~/dsigma~ = eps, which is regular at sigma~ = 0 for data with a density. Out of pure noise, where x~ is infinite, it
is dx/dt = v until the path is half data. The pieces go to SciPy's DOP853 (Hairer's order 8(5,3)) twice, at two
tolerances; the difference bounds the error of the looser run, and stands as the estimate for the tighter one, which is
returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import Field
from solverbench.predictions import convert
from solverbench.problems.along import FEW, Trajectory, levels
from solverbench.threads import numpy_on_one_thread

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Reference:
    """End points (n, *shape) on the data, and the root-mean-square and largest difference between two tolerances."""

    x: Array
    x_end: Array
    """The same trajectories at time `end`, the last the path's own grids evaluate at."""
    end: float
    rms_error: float
    max_error: float
    evaluations: int
    trajectory: Trajectory
    """Of the first starts, on the way to `end`."""


def reference_solution(field: Field, x: Array, t: float, rtol: float = 1e-11, loosen: float = 30.0) -> Reference:
    """Integrate states x (n, *shape), float64, from time t to the data at tolerances rtol and loosen * rtol.

    Raises UsageError if the field answers with another shape or with numbers that are not finite.
    """
    path = field.path
    end = float(path.inverse_sigma_tilde(1e-3)) if path.is_data(path.t_min) else path.t_min
    with numpy_on_one_thread():
        tight, x_end, way, evaluations = _integrate(field, x, t, end, rtol)
        loose, _, other, more = _integrate(field, x, t, end, loosen * rtol)
    (lam, states), apart = way, way[1] - other[1]
    own = np.sqrt((apart**2).reshape(len(lam), -1).mean(axis=1))
    difference = tight - loose
    rms, largest = float(np.sqrt(np.mean(difference**2))), float(np.abs(difference).max())
    return Reference(tight, x_end, end, rms, largest, evaluations + more, Trajectory(lam, states, own))


def _integrate(
    field: Field, x: Array, t: float, end: float, rtol: float
) -> tuple[Array, Array, tuple[Array, Array], int]:
    """(end points, states at `end`, (levels, x~ of the first starts at them), evaluations)."""
    from scipy.integrate import solve_ivp

    path = field.path
    # near sigma~ = 0 eps is taken from the field itself where it can give it: from D it would cancel
    direct = field.at("noise") if hasattr(field, "at") else field
    calls = 0

    def predict(model: Field, prediction: Any, state: Array, u: float) -> Array:
        """A prediction at time u, flat."""
        nonlocal calls
        calls += 1
        output = model(state.reshape(x.shape), u)
        if np.shape(output) != x.shape:
            raise UsageError(f"the field answered states of shape {x.shape} with {np.shape(output)}")
        a, b = convert(model.prediction, prediction, path, u)
        result: Array = a * state + b * output.ravel()
        if not np.isfinite(result).all():  # DOP853 would search for a step without end
            raise UsageError(f"the reference solution failed: the field is not finite at t = {u:.6g}")
        return result

    def in_time(u: float, y: Array) -> Array:
        return predict(field, "velocity", y, u)

    def in_lambda(lam: float, y: Array) -> Array:
        u = path.inverse_lam(lam)
        return predict(field, "x0", path.alpha(u) * y, u) - y

    def in_sigma(sigma_tilde: float, y: Array) -> Array:
        # at sigma~ = 0 itself eps vanishes; its limit is taken just above
        u = path.inverse_sigma_tilde(max(sigma_tilde, 1e-9))
        return predict(direct, "noise", path.alpha(u) * y, u)

    def solve(function: Any, start: float, stop: float, y: Array, on_the_way: Array | None = None) -> Array:
        """The state at stop, or states (k, size) at all of these times, the last of which is stop."""
        times = [stop] if on_the_way is None else on_the_way
        solved = solve_ivp(function, (start, stop), y, method="DOP853", rtol=rtol, atol=rtol, t_eval=times)
        if not solved.success:
            raise UsageError(f"the reference solution failed: {solved.message}")
        found: Array = solved.y[:, -1] if on_the_way is None else solved.y.T
        return found

    y = x.ravel()
    if path.is_noise(t):
        middle = path.inverse_lam(0.0)
        y, t = solve(in_time, t, middle, y), middle
    lam = levels(float(path.lam(t)), float(path.lam(end)))
    way = solve(in_lambda, path.lam(t), path.lam(end), y / path.alpha(t), lam)
    y, few = way[-1], min(FEW, len(x))
    states = way.reshape(len(lam), *x.shape)[:, :few].copy()
    x_end = path.alpha(end) * y.reshape(x.shape)
    y = solve(in_sigma, math.exp(-path.lam(end)), 0.0, y)
    return y.reshape(x.shape), x_end, (lam, states), calls
