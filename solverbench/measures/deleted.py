"""The sum of singular values of a matrix N without one of its rows, for each of its rows, from one decomposition.

Sums of |mu| over the eigenvalues mu of H, and over those of H without some rows and the columns of the same numbers,
differ by an integral over the imaginary axis, as the integral of log(1 + mu^2/s^2) over s > 0 is pi |mu|, and

    det(is - H without I) = det(is - H) det((is - H)^{-1} restricted to I).

With H = [[0, N], [N^T, 0]], whose eigenvalues are the singular values of N twice, both signs, this reads

    sum without i = sum + (1/pi) int_0^inf log(a_i b_i + c_i^2) ds,

    1 - a_i = sum_k U_ik^2 sigma_k^2 / (sigma_k^2 + s^2),      1 - b_i = the same of V,
    c_i = sum_k U_ik V_ik sigma_k s / (sigma_k^2 + s^2),

where row i of N = U diag(sigma) V^T and column i go, and with b = 1, c = 0 where only the row does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from solverbench.measures.moments import Array

Rows: TypeAlias = Callable[[slice], Array]

_STEP, _BELOW, _ABOVE = 0.3, 36.0, 9.0
"""Of the trapezoidal rule in log s, whose error is e^(-pi^2/step): its step and ends, from the largest sigma on."""
_ROUNDING = 1e-15
ROWS = 4096
"""Of U and V that are at work at a time: what is in memory does not grow with n."""


def lost(n: int, sigma: Array, U: Rows, V: Rows | None = None) -> Array:
    """What the sum of the singular values sigma (r,) of n centred samples loses with each sample (n,).

    U(rows), a slice of U (n, r), with V where N has a column for each sample as well. Centred samples without one are
    not centred: taking sample i out of n and centring again takes out the direction of row i in the n - 1 that are left
    by centring, where it has the square length 1 - 1/n; so U^2 and the others count n/(n - 1) fold. Of sigma what is
    rounding is taken for zero: of n values at least one is.
    """
    top = float(sigma.max(initial=0))
    if not top:
        return np.zeros(n)
    real = sigma > n * _ROUNDING * top
    s = top * np.exp(np.arange(-_BELOW, _ABOVE, _STEP))
    weights = _STEP * s
    weights[-1] += _STEP * s[-1] / math.expm1(_STEP)  # of the rule beyond, where the logarithm is as s^-2
    parts = (slice(i, i + ROWS) for i in range(0, n, ROWS))
    logs = (_logarithm(n, sigma[real], s, *(W(part)[:, real] for W in (U, V) if W)) for part in parts)
    return np.concatenate([part @ weights / -math.pi for part in logs])


def _logarithm(n: int, sigma: Array, s: Array, U: Array, V: Array | None = None) -> Array:
    """log(a b + c^2) for each row (m,) and s; a and b as sums of what is positive, since they vanish with s."""
    kept = s**2 / (sigma[:, None] ** 2 + s**2)

    def one(W: Array) -> Array:
        squares = n / (n - 1) * W * W
        outside = 0.0 if W.shape[1] == n - 1 else np.maximum(1 - squares.sum(1, keepdims=True), 0.0)
        return np.asarray(outside + squares @ kept)

    if V is None:
        return np.asarray(np.log(one(U)))
    cross = n / (n - 1) * (U * V) @ (sigma[:, None] / s * kept)
    return np.asarray(np.log(one(U) * one(V) + cross**2))
