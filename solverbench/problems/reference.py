"""Reference trajectories: the probability-flow ODE from given states to the data, with an estimate of its own error.

In canonical coordinates the ODE is dx~/dlambda = -(x~ - D) down to the grid's last noise level and, from there to zero,
dx~/dsigma~ = eps, which is regular at sigma~ = 0 for data with a density. Both pieces go to SciPy's DOP853 (Hairer's
order 8(5,3)) twice, at two tolerances; the difference bounds the error of the looser run, and stands as the estimate
for the tighter one, which is returned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import Field
from solverbench.predictions import convert

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Reference:
    """End points (n, *shape) on the data, and the root-mean-square and largest difference between two tolerances."""

    x: Array
    rms_error: float
    max_error: float
    evaluations: int


def reference_solution(field: Field, x: Array, t: float, rtol: float = 1e-11, loosen: float = 30.0) -> Reference:
    """Integrate states x (n, *shape), float64, from time t to the data at tolerances rtol and loosen * rtol."""
    tight, evaluations = _integrate(field, x, t, rtol)
    loose, more = _integrate(field, x, t, loosen * rtol)
    difference = tight - loose
    return Reference(tight, float(np.sqrt(np.mean(difference**2))), float(np.abs(difference).max()), evaluations + more)


def _integrate(field: Field, x: Array, t: float, rtol: float) -> tuple[Array, int]:
    from scipy.integrate import solve_ivp

    path = field.path
    end = path.inverse_sigma_tilde(1e-3) if path.is_data(path.t_min) else path.t_min
    calls = 0

    def predict(prediction: Any, x_tilde: Array, u: float) -> Array:
        """D or eps at canonical state x~ and time u."""
        nonlocal calls
        calls += 1
        state = path.alpha(u) * x_tilde.reshape(x.shape)
        a, b = convert(field.prediction, prediction, path, u)
        result: Array = (a * state + b * field(state, u)).ravel()
        return result

    def in_lambda(lam: float, y: Array) -> Array:
        return predict("x0", y, path.inverse_lam(lam)) - y

    def in_sigma(sigma_tilde: float, y: Array) -> Array:
        # at sigma~ = 0 itself eps vanishes; its limit is taken just above
        return predict("noise", y, path.inverse_sigma_tilde(max(sigma_tilde, 1e-9)))

    y = (x / path.alpha(t)).ravel()
    lam = (path.lam(t), path.lam(end))
    pieces = ((in_lambda, *lam), (in_sigma, math.exp(-lam[1]), 0.0))
    for function, start, stop in pieces:
        solved = solve_ivp(function, (start, stop), y, method="DOP853", rtol=rtol, atol=rtol, t_eval=[stop])
        if not solved.success:
            raise UsageError(f"the reference solution failed: {solved.message}")
        y = solved.y[:, -1]
    return y.reshape(x.shape), calls
