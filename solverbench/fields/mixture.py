"""Mixtures of Gaussians sum_k w_k N(m_k, C_k): data with modes whose denoiser, law and samples are exact.

The marginal at time t is the mixture of N(alpha m_k, alpha^2 C_k + sigma^2 I) with the same weights. How its denoiser
becomes two large matrix products is derived in `posterior`; this module checks the parameters, keeps the coefficients
of the times last used, and cuts batches into blocks that fit the memory of a core.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from solverbench.errors import UsageError
from solverbench.fields.base import (
    Array,
    Vector,
    check_prediction,
    check_states,
    checked,
    each,
    normal_blocks,
    time_for,
)
from solverbench.fields.basis import Basis, basis_for
from solverbench.fields.gaussian import functional_weights
from solverbench.fields.posterior import Coefficients, Covariances, Full, LowRank, Scalars
from solverbench.numbers import Number, exp, log
from solverbench.paths import Path
from solverbench.paths import path as find_path
from solverbench.predictions import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from solverbench.predictions import Prediction

CACHE_BYTES = 192 * 2**20
"""Of coefficients kept: some thirty times in 3072 dimensions, thousands in two."""
CHUNK_BYTES = {"cpu": 32 * 2**20}
"""Of temporaries while one block of rows is worked on. On a CPU larger ones cost more in page faults than they save."""
CHUNK_BYTES_ELSEWHERE = 256 * 2**20


class Mixture:
    """sum_k w_k N(m_k, C_k) on a path.

    weights: (K,), positive, summing to 1. means: (K, *shape) or (K, d), in state coordinates. The covariances are in
    basis coordinates and take one of three forms: `variances` (K, d) or (K,); `factors` (K, d, rank) and `diagonal`
    (K, d), C = diag(diagonal) + factors factors^T; `covariances` (K, d, d). Variances may be zero where sigma > 0.
    Raises UsageError for anything that is not finite, of the wrong shape or not a covariance.

    float32 and float64 states, numpy or torch, cost O(n d K (rank + 1)); other number types work for `variances`.
    """

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        *,
        path: str | Path,
        variances: ArrayLike | None = None,
        factors: ArrayLike | None = None,
        diagonal: ArrayLike | None = None,
        covariances: ArrayLike | None = None,
        basis: Basis | None = None,
        prediction: Prediction = "x0",
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.weights = _simplex(weights)
        self.basis = basis_for(basis, shape, np.shape(means)[1:])
        self.shape = self.basis.shape
        K, d = len(self.weights), math.prod(self.shape)
        self.means = checked("means", means, (K, *self.shape), (K, d)).reshape(K, *self.shape)
        self.covariances = _covariances(K, d, variances, factors, diagonal, covariances)
        self.path = find_path(path)
        self.prediction = check_prediction(prediction)
        self._m = self.basis.forward(self.means)
        self._mean = self.weights @ self._m
        self._cache: dict[Any, Coefficients] = {}

    def __repr__(self) -> str:
        return (
            f"Mixture(components={len(self.weights)}, shape={self.shape}, path={self.path}, "
            f"prediction={self.prediction!r})"
        )

    def at(self, prediction: Prediction) -> Mixture:
        """The same law on the same path with another prediction."""
        other = copy.copy(self)
        other.prediction = check_prediction(prediction)
        other._cache = self._cache  # its keys tell predictions apart
        return other

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": {}}  # a pickle carries the law only

    def __call__(self, x: Array, t: Number) -> Array:
        """The prediction for states x (n, *shape) at time t; UsageError for states of another shape."""
        check_states(x, self.shape)
        if isinstance(x, np.ndarray):
            if x.dtype.kind == "O" or x.dtype.itemsize > 8:
                return self._exactly(x, time_for(x, t))
            return self._predict(_tensor(x), float(t)).numpy().astype(x.dtype, copy=False)
        return self._predict(x, float(t))

    def responsibilities(self, x: Array, t: float) -> Array:
        """The posterior probability of each component, float64 (n, K), for states x (n, *shape) at time t."""
        return self._of_law(x, t, lambda c, y: c.posterior(y)[0].softmax(1))

    def log_density(self, x: Array, t: float = 0.0) -> Array:
        """log p_t(x), float64 (n,), for states x (n, *shape); UsageError where the law has no density."""
        return self._of_law(x, t, lambda c, y: c.log_density(y))

    def divergence(self, x: Array, t: float) -> Array:
        """The trace of the prediction's Jacobian, float64 (n,), for states x (n, *shape) at a time with sigma > 0."""
        a, b = convert("score", self.prediction, self.path, float(t))
        divergence: Array = a * self._mean.size - b * self._of_law(x, t, lambda c, y: c.curvature(y))
        return divergence

    def moments(self, t: float = 0.0) -> tuple[Vector, Vector]:
        """(mean, variance), each (d,), of the law at time t along the basis vectors."""
        alpha, sigma = self._path_at(t)
        delta = self._m - self._mean
        variance = self.covariances.average_variance(self.weights) + self.weights @ (delta * delta)
        return alpha * self._mean, alpha * alpha * variance + sigma * sigma

    def covariance_times(self, A: ArrayLike, t: float = 0.0) -> Vector:
        """A @ C for A (m, d), with C the covariance of the law at time t in basis coordinates, which is not formed."""
        A = np.asarray(A, dtype=np.float64)
        alpha, sigma = self._path_at(t)
        delta = self._m - self._mean
        within = self.covariances.average_times(A, self.weights)
        between = ((A @ delta.T) * self.weights) @ delta
        product: Vector = alpha * alpha * (within + between) + sigma * sigma * A
        return product

    def covariance(self, t: float = 0.0) -> Vector:
        """C (d, d) itself, for small d."""
        return self.covariance_times(np.eye(self._mean.size), t)

    def sample(self, n: int, seed: int, t: float = 0.0) -> Vector:
        """n exact samples (n, *shape) of the law at time t; sample i does not depend on n."""
        alpha, sigma = self._path_at(t)
        edges = np.cumsum(self.weights)[:-1]
        out = np.empty((n, *self.shape))
        for rows, xi in normal_blocks(n, seed, 1 + self.covariances.rank + self._mean.size):
            component = np.searchsorted(edges, ndtr(xi[:, 0]), side="right")
            z = alpha * self._m[component]
            for k in np.unique(component):
                z[component == k] += self.covariances.draw(int(k), xi[component == k, 1:], alpha, sigma)
            out[rows] = self.basis.inverse(z)[: rows.stop - rows.start]
        return out

    def _path_at(self, t: float) -> tuple[float, float]:
        return float(self.path.alpha(float(t))), float(self.path.sigma(float(t)))

    def _predict(self, x: Tensor, t: float) -> Tensor:
        work = x if x.dtype in (torch.float32, torch.float64) else x.float()
        return self.over_rows(work, t, self.prediction, lambda c, y: self.basis.inverse(c.predict(y))).to(x.dtype)

    def _of_law(self, x: Array, t: float, function: Callable[[Coefficients, Tensor], Tensor]) -> Array:
        """function(coefficients, centred states) in float64, in the kind of x."""
        check_states(x, self.shape)
        work = (_tensor(x) if isinstance(x, np.ndarray) else x).double()
        out = self.over_rows(work, t, "x0", function)
        return out.numpy() if isinstance(x, np.ndarray) else out

    def over_rows(
        self, x: Tensor, t: float, prediction: Prediction, function: Callable[[Coefficients, Tensor], Tensor]
    ) -> Tensor:
        """function(coefficients at t, centred coordinates of x) for float32 or float64 states x (n, *shape), joined.

        It is called for blocks of rows, so that temporaries are bounded: for an engine's own way to the field.
        """
        c = self._coefficients(float(t), prediction, x)
        width = 6 * self._mean.size + 4 * len(self.weights) * (1 + self.covariances.columns)
        budget = CHUNK_BYTES.get(x.device.type, CHUNK_BYTES_ELSEWHERE)
        rows = max(1, budget // (x.element_size() * width))
        done = [function(c, self.basis.forward(x[i : i + rows]) - c.centre) for i in range(0, max(len(x), 1), rows)]
        return done[0] if len(done) == 1 else torch.cat(done)

    def _coefficients(self, t: float, prediction: Prediction, x: Tensor) -> Coefficients:
        """The coefficients at time t for states like x; those last used stay within CACHE_BYTES."""
        key = (t, prediction, x.dtype, x.device)
        found = self._cache.pop(key, None)
        if found is None:
            found = self._made(t, prediction, x)
            room = CACHE_BYTES // max(1, found.nbytes)
            while len(self._cache) > max(0, room - 1):  # entries of one field are of one size, or of two
                self._cache.pop(next(iter(self._cache)))
        self._cache[key] = found  # last in insertion order: most recently used
        return found

    def _made(self, t: float, prediction: Prediction, x: Tensor) -> Coefficients:
        at = Scalars(*self._path_at(t), *map(float, functional_weights(prediction, self.path, t)))
        home = x.device if x.device.type in ("cpu", "cuda") else torch.device("cpu")  # others may lack float64
        w, m, mean = (torch.from_numpy(a).to(home) for a in (self.weights, self._m, self._mean))
        entries = self.covariances.coefficients(at, m - mean)
        entries["constant"] = entries["constant"] + w.log()
        return Coefficients(centre=at.alpha * mean, lift=at.p * mean, **entries).to(x.dtype, x.device)

    def _exactly(self, x: Array, t: Number) -> Array:
        """The prediction by its formula, for number types without fast matrix products."""
        if not isinstance(self.covariances, LowRank) or self.covariances.rank:
            raise UsageError(f"states of type {x.dtype} need a mixture given by `variances`")
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        p, q_sigma, _ = functional_weights(self.prediction, self.path, t)
        d = self.covariances.diagonal
        E = alpha * alpha * d + sigma * sigma
        if (E == 0).any():
            raise UsageError("a mixture with zeros in its diagonal needs sigma > 0")
        y = self.basis.forward(x)[:, None, :] - alpha * self._m
        logits = each(log, self.weights) - each(log, E).sum(1) / 2 - (y * y / E).sum(2) / 2
        R = each(exp, logits - logits.max(1, keepdims=True))
        R = (R / R.sum(1, keepdims=True))[:, :, None]
        out = (R * (p * self._m + (p * alpha * d + q_sigma) / E * y)).sum(1)
        return self.basis.inverse(out.astype(x.dtype, copy=False))


def _tensor(x: Array) -> Tensor:
    return torch.from_numpy(np.require(x, requirements=["C", "W"]))


def _simplex(weights: ArrayLike) -> Vector:
    w = checked("weights", weights, (np.size(weights),))
    if not w.size or np.any(w <= 0) or abs(w.sum() - 1) > 1e-6:
        raise UsageError(f"weights must be positive and sum to 1, got {w.size} with sum {w.sum():g}")
    normalised: Vector = w / w.sum()
    return normalised


def _covariances(
    K: int,
    d: int,
    variances: ArrayLike | None,
    factors: ArrayLike | None,
    diagonal: ArrayLike | None,
    covariances: ArrayLike | None,
) -> Covariances:
    match variances, factors, diagonal, covariances:
        case variances, None, None, None if variances is not None:
            v = checked("variances", variances, (K, d), (K,))
            diagonal, factors = np.broadcast_to(v[:, None] if v.ndim == 1 else v, (K, d)).copy(), np.zeros((K, d, 0))
        case None, factors, diagonal, None if factors is not None and diagonal is not None:
            rank = np.shape(factors)[-1] if np.ndim(factors) == 3 else 1
            factors, diagonal = checked("factors", factors, (K, d, rank)), checked("diagonal", diagonal, (K, d))
        case None, None, None, covariances if covariances is not None:
            return Full(checked("covariances", covariances, (K, d, d)))
        case _:
            raise UsageError("give the covariances once: as variances, as factors with diagonal, or as covariances")
    if np.any(diagonal < 0):
        raise UsageError(f"variances must not be negative, but the smallest is {diagonal.min():g}")
    return LowRank(diagonal, factors)
