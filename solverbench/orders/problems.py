"""What orders are measured on: a nonlinear field and a Gaussian, side by side as the columns of one state.

Everything is in canonical coordinates, x~ = x/alpha against sigma~ = sigma/alpha, where every Gaussian path is the same
process. The first columns start at points across a mixture of three Gaussians on the line, each by itself; its
probability-flow map is the quantile map x_t = F_t^{-1}(F_s(x_s)), F the distribution function of the mixture. The other
columns are directions of a Gaussian of variances from stiff to flat at the last noise level, x_t = sqrt((v + u_t)/(v +
u_s)) x_s with u = sigma~^2. Under the reverse process of strength eta without its noise,

    dx~/dlambda = -(1 + eta^2) (x~ - D),

Gaussians contract to the power 1 + eta^2 and the mixture is integrated numerically.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from solverbench.fields.base import each
from solverbench.numbers import Number, erfc, exp, log, pi, sqrt

Array: TypeAlias = NDArray[Any]

WEIGHT, MEAN, WIDTH2 = (0.3, 0.5, 0.2), (-2.0, 0.3, 1.8), (0.16, 0.25, 0.09)
"""The mixture: weights, means, variances."""
VARIANCE = (0.003, 0.02, 0.1, 0.3, 1.0, 2.0, 4.0)
"""Of the Gaussian directions."""
POINTS = 9
"""Start points on the mixture, even between -2 and 2 standard deviations of the start."""
NONLINEAR, GAUSSIAN = slice(0, POINTS), slice(POINTS, None)
"""The columns of either."""


def start(sigma: Number) -> Array:
    """The states (1, columns) at noise level sigma, of its number type; one standard deviation in Gaussian columns."""
    spread = sqrt(sigma * sigma + 2)
    points = [spread * (4 * i - 2 * (POINTS - 1)) / (POINTS - 1) + spread / 50 for i in range(POINTS)]
    row = [*points, *(sqrt(sigma * sigma + v) for v in VARIANCE)]
    return np.array([row], dtype=float if isinstance(sigma, float) else object)


class Mixed:
    """Both problems side by side."""

    def __call__(self, x: Array, sigma: Number) -> Array:
        """D = E[x_0 | x~] for states (n, columns)."""
        return np.concatenate([_denoise_mixture(x[:, NONLINEAR], sigma * sigma), gaussian(x[:, GAUSSIAN], sigma)], 1)

    def jump(self, x: Array, sigma_s: Number, sigma_t: Number, eta: float = 0.0) -> Array:
        """Where the flow of strength eta takes the states (n, columns) from sigma_s to sigma_t."""
        flow = _quantile if eta == 0 else _integrate
        moved = [flow(tuple(row), sigma_s, sigma_t, eta) for row in x[:, NONLINEAR].tolist()]
        line = np.array(moved, dtype=x.dtype)
        return np.concatenate([line, gaussian.jump(x[:, GAUSSIAN], sigma_s, sigma_t, eta)], axis=1)


@dataclass(frozen=True)
class Directions:
    """A Gaussian alone; states (n, directions)."""

    variance: tuple[float, ...] = VARIANCE
    mean: tuple[float, ...] | float = 0.0

    def __call__(self, x: Array, sigma: Number) -> Array:
        """D = m + v/(v + u) (x - m)."""
        return self._about_mean(x, [v / (v + sigma * sigma) for v in self.variance])

    def jump(self, x: Array, sigma_s: Number, sigma_t: Number, eta: float = 0.0) -> Array:
        """x_t = m + ((v + u_t)/(v + u_s))^{(1 + eta^2)/2} (x_s - m)."""
        ratio = [(v + sigma_t * sigma_t) / (v + sigma_s * sigma_s) for v in self.variance]
        return self._about_mean(x, [sqrt(r) ** (1 + eta * eta) for r in ratio])

    def _about_mean(self, x: Array, slope: list[Number]) -> Array:
        m = np.array(self.mean, dtype=x.dtype)
        return np.asarray(m + (x - m) * np.array(slope, dtype=x.dtype))

    def marginal(self, sigma: float) -> NDArray[np.float64]:
        """The variance at a noise level."""
        return np.array(self.variance) + sigma * sigma


mixed, gaussian = Mixed(), Directions()


def _denoise_mixture(x: Array, u: Number) -> Array:
    log_r, D = [], []
    for w, m, v in zip(WEIGHT, MEAN, WIDTH2, strict=True):
        S = v + u
        log_r.append(log(S * 0 + w) - log(S) / 2 - (x - m) ** 2 / (2 * S))
        D.append(m + v / S * (x - m))
    top = np.maximum(np.maximum(log_r[0], log_r[1]), log_r[2])
    r = [each(exp, entry - top) for entry in log_r]
    return np.asarray(sum(a * b for a, b in zip(r, D, strict=True)) / sum(r))


@cache
def _quantile(x: tuple[Number, ...], sigma_s: Number, sigma_t: Number, eta: float) -> list[Number]:
    return [_quantile_of(x_i, sigma_s, sigma_t) for x_i in x]


def _quantile_of(x: Number, sigma_s: Number, sigma_t: Number) -> Number:
    """F_t^{-1}(F_s(x)) by Newton's method from the upper or lower tail, whichever is smaller, kept inside a bracket."""
    side = 1 if _tail(x, sigma_s, 1) < _tail(x, sigma_s, -1) else -1
    goal = log(_tail(x, sigma_s, side))
    low, high = x * 0 - 40 * sigma_t - 40, x * 0 + 40 * sigma_t + 40
    y = x * (1 + sigma_t) / (1 + sigma_s)
    for _ in range(400):
        difference = log(_tail(y, sigma_t, side)) - goal  # falls with y for the upper tail, rises for the lower
        low, high = (y, high) if difference * side > 0 else (low, y)
        density = _density(y, sigma_t)
        after = y + side * difference * _tail(y, sigma_t, side) / density if density > 0 else high
        if not low < after < high:
            after = (low + high) / 2
        if abs(after - y) <= abs(y) * _epsilon(y):
            return after
        y = after
    return y


def _epsilon(like: Number) -> Number:
    if isinstance(like, float):
        return 2e-16
    import mpmath

    return 10 * mpmath.mp.eps


def _tail(x: Number, sigma: Number, side: int) -> Number:
    """P(side X > side x) at noise level sigma."""
    total = x * 0
    for w, m, v in zip(WEIGHT, MEAN, WIDTH2, strict=True):
        total = total + w * erfc(side * (x - m) / sqrt(2 * (v + sigma * sigma))) / 2
    return total


def _density(x: Number, sigma: Number) -> Number:
    total, tau = x * 0, sqrt(2 * pi(x))
    for w, m, v in zip(WEIGHT, MEAN, WIDTH2, strict=True):
        S = sqrt(v + sigma * sigma)
        total = total + w * exp(-(((x - m) / S) ** 2) / 2) / (S * tau)
    return total


@cache
def _integrate(x: tuple[float, ...], sigma_s: float, sigma_t: float, eta: float) -> list[float]:
    """The mixture's columns by DOP853 in lambda, relative error about 1e-13."""
    from scipy.integrate import solve_ivp

    def slope(lam: float, y: Array) -> Array:
        sigma = math.exp(-lam)
        return np.asarray(-(1 + eta * eta) * (y - _denoise_mixture(y[None], sigma * sigma)[0]))

    span = -math.log(sigma_s), -math.log(sigma_t)
    end = solve_ivp(slope, span, np.array(x), method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    return [float(y) for y in end]
