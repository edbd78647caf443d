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

from solverbench.eta import Eta
from solverbench.fields import Gaussian
from solverbench.fields.base import each
from solverbench.fields.line import Line, quantile_map
from solverbench.numbers import Number, exp, log, sqrt

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


def line(x: Array, sigma: Number) -> Array:
    """D = E[x_0 | x~] of the mixture alone; any shape, each number by itself."""
    return _denoise_mixture(x, sigma * sigma)


class Mixed:
    """Both problems side by side."""

    def __call__(self, x: Array, sigma: Number) -> Array:
        """D = E[x_0 | x~] for states (n, columns)."""
        return np.concatenate([line(x[:, NONLINEAR], sigma), gaussian(x[:, GAUSSIAN], sigma)], 1)

    def jump(self, x: Array, sigma_s: Number, sigma_t: Number, eta: float = 0.0) -> Array:
        """Where the flow of strength eta takes the states (n, columns) from sigma_s to sigma_t."""
        flow = _quantile if eta == 0 else _integrate
        moved = [flow(tuple(row), sigma_s, sigma_t, eta) for row in x[:, NONLINEAR].tolist()]
        points = np.array(moved, dtype=x.dtype)
        return np.concatenate([points, gaussian.jump(x[:, GAUSSIAN], sigma_s, sigma_t, eta)], axis=1)

    def transit(self, x: Array, sigma_s: Number, sigma_t: Number, eta: Eta, z: Array | None) -> Array:
        """The flow: with noise, processes are judged by their laws, on `gaussian`."""
        return self.jump(x, sigma_s, sigma_t)


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

    def transit(self, x: Array, sigma_s: Number, sigma_t: Number, eta: Eta, z: Array | None) -> Array:
        """The exact process of strength eta, driven by z."""
        field = Gaussian(np.zeros(len(self.variance)), self.variance, "edm")
        return np.asarray(field.transit(x, sigma_s, sigma_t, eta, z))

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
    start, end = (Line(WEIGHT, MEAN, [v + sigma * sigma for v in WIDTH2]) for sigma in (sigma_s, sigma_t))
    return [quantile_map(x_i, start, end) for x_i in x]


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
