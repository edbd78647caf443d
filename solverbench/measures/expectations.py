"""Expectations of kernels under a mixture of Gaussians, in closed form: the target's side of MMD and energy distance.

The Gaussian kernel exp(-|x - y|^2 / 2h^2) is a normal density of width h times (2 pi h^2)^{d/2}, so its expectation
over y ~ p is p blurred with noise of standard deviation h: the density of the diffusion at sigma~ = h, which a mixture
field knows. Over two draws of p it is, component by component, a normal density of covariance C_i + C_j + h^2 I.

The distance is a superposition of Gaussian kernels, |z| = sqrt(2/pi) int_0^inf (1 - exp(-|z|^2 / 2h^2)) dh, which
carries E |x - Y| over to the same expectations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from solverbench.measures.moments import Array

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture

_STEP, _SMALL, _LARGE = 0.2, 1e-5, 1e3
"""Of the trapezoid in log h, and its range over the spread of the data."""


def with_data(field: Mixture, x: Any, h: float) -> Array:
    """E exp(-|x - Y|^2 / 2h^2) over the data Y, (n,), for x (n, *shape). Source: module docstring."""
    found: Array = np.exp(_log_kernel(_blurred(field), x, h))
    return found


@lru_cache(maxsize=8)  # the same for all samples of a field
def within_data(field: Mixture, h: float) -> float:
    """E exp(-|Y - Y'|^2 / 2h^2) over two independent draws of the data."""
    return float(np.exp(_log_within(_differences(field), field, h)))


def distance_to_data(field: Mixture, x: Any) -> Array:
    """E |x - Y| over the data, (n,), for x (n, *shape); nine digits."""
    mean, variance = field.moments()
    z, blurred = field.basis.forward(np.asarray(x, np.float64)) - mean, _blurred(field)
    return _superposed(np.sum(z * z, axis=1) + variance.sum(), lambda h: _log_kernel(blurred, x, h))


@lru_cache(maxsize=8)
def distance_within_data(field: Mixture) -> float:
    """E |Y - Y'| over two independent draws of the data; nine digits."""
    square, laws = np.array([2 * field.moments()[1].sum()]), _differences(field)
    return float(_superposed(square, lambda h: np.array([_log_within(laws, field, h)]))[0])


def _superposed(square: Array, log_kernel: Callable[[float], Array]) -> Array:
    """E |z| from E |z|^2 and h -> log E exp(-|z|^2 / 2h^2).

    In log h the integrand (1 - kernel) h is analytic, so the trapezoid converges faster than any power. It is h below
    the range and E |z|^2 / 2h above, so the terms there are geometric series.
    """
    scale = math.sqrt(float(square.mean()))
    levels = scale * np.exp(np.arange(math.log(_SMALL), math.log(_LARGE), _STEP))
    heights = np.stack([-np.expm1(log_kernel(h)) * h for h in levels])
    beyond = (heights[0] + heights[-1]) / math.expm1(_STEP)
    found: Array = math.sqrt(2 / math.pi) * _STEP * (heights.sum(0) + beyond)
    return found


def _log_kernel(blurred: Mixture, x: Any, h: float) -> Array:
    """log E exp(-|x - Y|^2 / 2h^2) from the law of x_0 + h z."""
    found: Array = blurred.log_density(np.asarray(x, np.float64), h)
    return found + 0.5 * math.prod(blurred.shape) * math.log(2 * math.pi * h * h)


def _log_within(laws: list[Mixture], field: Mixture, h: float) -> float:
    terms = [_log_kernel(law, mean[None], h)[0] for law, mean in zip(laws, field.means, strict=True)]
    return float(logsumexp(terms, b=field.weights))


@lru_cache(maxsize=8)
def _blurred(field: Mixture) -> Mixture:
    """The same law where time is the standard deviation of the noise, whatever the field's path."""
    return _widened(field, None)


def _differences(field: Mixture) -> list[Mixture]:
    """For every component j the mixture of N(m_i, C_i + C_j): at m_j, the density of the difference at zero."""
    return [_widened(field, j) for j in range(len(field.weights))]


def _widened(field: Mixture, j: int | None) -> Mixture:
    """On the path x_0 + sigma z, the covariance of component j added to all."""
    from solverbench.fields.mixture import Mixture
    from solverbench.fields.posterior import LowRank

    C: Any = field.covariances
    given: dict[str, Any]
    if isinstance(C, LowRank):
        given = {"factors": C.factors, "diagonal": C.diagonal}
        if j is not None:
            other = np.broadcast_to(C.factors[j], C.factors.shape)
            given = {"factors": np.concatenate([C.factors, other], axis=2), "diagonal": C.diagonal + C.diagonal[j]}
    else:
        dense = (C.vectors * C.eigenvalues[:, None, :]) @ C.vectors.transpose(0, 2, 1)
        dense = (dense + dense.transpose(0, 2, 1)) / 2
        given = {"covariances": dense if j is None else dense + dense[j]}
    return Mixture(field.weights, field.means, path="edm", basis=field.basis, **given)


def projected(field: Mixture, directions: Array) -> tuple[Array, Array]:
    """Means and standard deviations (K, L) of the components along unit directions (L, *shape)."""
    from solverbench.fields.posterior import LowRank

    theta, m = field.basis.forward(directions), field.basis.forward(field.means)
    C: Any = field.covariances
    if isinstance(C, LowRank):
        variance = C.diagonal @ (theta * theta).T + np.square(theta @ C.factors).sum(2)
    else:
        variance = np.einsum("klj,kj->kl", np.square(theta @ C.vectors), C.eigenvalues)
    return m @ theta.T, np.sqrt(variance)
