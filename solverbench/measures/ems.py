"""The statistics of DPM-Solver-v3, of any field: its best linear part, and how fast the rest changes.

With x~ = x/alpha and n = x~ - D = sigma~ eps in canonical coordinates, trajectories obey dx~/dlambda = -n, and what the
solver approximates is f = n - l x~. Over states x~ of the marginal laws (Zheng et al. 2023, eq. 5 and 11, with one
number for all d entries of a state and b = 0),

    l = E tr(dn/dx~)/d     minimises E |df/dx~|^2,          s = E <f, f'>/E |f|^2     minimises E |f' - s f|^2,

f' = n' - l' x~ + l n being the derivative along trajectories. Both derivatives of n are central differences, so a field
needs to know nothing of itself, and the trace is taken by a random vector of signs (Hutchinson).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev

from solverbench.errors import UsageError
from solverbench.methods.dpm_v3 import Statistics
from solverbench.predictions import convert

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from solverbench.fields.base import Field

NOTHING = 1e-12
"""f below this share of x~ (in squares) is rounding: the field is linear, and s is set to zero."""


def statistics(
    field: Field,
    samples: ArrayLike,
    *,
    first: float = -5.0,
    last: float = 7.0,
    degree: int = 48,
    seed: int = 0,
    width: float = 1e-2,
    of: str = "",
) -> Statistics:
    """Measure l and s of a field at the degree + 1 Chebyshev nodes of an interval of lambda, from samples of its data.

    samples: x_0, (n, *field.shape); six evaluations of all of them a node. width: of the differences, in units of
    sigma~ and in lambda; single precision bears no less than the default. of: kept as a note. Raises UsageError for
    samples of another shape and for an empty interval.
    """
    x0 = np.asarray(samples, dtype=np.float64)
    if x0.shape[1:] != field.shape or not len(x0):
        raise UsageError(f"samples must have shape (n, {', '.join(map(str, field.shape))}), got {x0.shape}")
    if not (first < last and degree >= 1):
        raise UsageError(f"statistics need first < last and a degree of at least 1, got {first}, {last} and {degree}")
    random, nodes = np.random.default_rng(seed), chebyshev.chebpts1(degree + 1)
    # the same noise and signs at every lambda: then l and s are smooth, however few the samples
    z, v = random.standard_normal(x0.shape), random.choice([-1.0, 1.0], x0.shape)
    lams = (first + last) / 2 + (last - first) / 2 * nodes
    found = [_at(field, x0, z, v, float(lam), width) for lam in lams]
    l = chebyshev.chebfit(nodes, [trace for trace, _ in found], degree)  # noqa: E741
    slopes = chebyshev.chebval(nodes, chebyshev.chebder(l)) / ((last - first) / 2)
    values = [_s(gram, trace, slope) for (trace, gram), slope in zip(found, slopes, strict=True)]
    s = chebyshev.chebfit(nodes, values, degree)
    return Statistics(float(first), float(last), tuple(l.tolist()), tuple(s.tolist()), of)


def _at(
    field: Field, x0: NDArray[Any], z: NDArray[Any], v: NDArray[Any], lam: float, width: float
) -> tuple[float, NDArray[Any]]:
    """l, and the mean products of n, x~ and n' with each other."""
    sigma = np.exp(-lam)
    x = x0 + sigma * z
    n, away = _n(field, x, lam), width * sigma * v
    trace = np.mean(v * (_n(field, x + away, lam) - _n(field, x - away, lam))) / (2 * width * sigma)
    along = (_n(field, x - width * n, lam + width) - _n(field, x + width * n, lam - width)) / (2 * width)
    each = np.stack([n.ravel(), x.ravel(), along.ravel()])
    return float(trace), each @ each.T / x.size


def _n(field: Field, x: NDArray[Any], lam: float) -> NDArray[Any]:
    """sigma~ eps at x~ = x."""
    t = field.path.inverse_lam(lam)
    alpha, sigma = field.path.alpha(t), field.path.sigma(t)
    a, b = convert(field.prediction, "noise", field.path, t)
    return np.asarray(sigma / alpha * (a * alpha * x + b * field(alpha * x, t)))


def _s(gram: NDArray[Any], l: float, slope: float) -> float:  # noqa: E741
    """<f, f'>/|f|^2 from the products of n, x~ and n'."""
    f, change = np.array([1.0, -l, 0.0]), np.array([l, -slope, 1.0])
    square = f @ gram @ f
    return float(f @ gram @ change / square) if square > NOTHING * gram[1, 1] else 0.0
