"""Mixtures of Gaussians sum_k w_k N(m_k, C_k): data with modes whose denoiser, law and samples are exact.

The marginal at time t is the mixture of N(alpha m_k, alpha^2 C_k + sigma^2 I) with the same weights. How its denoiser
becomes two large matrix products is derived in `posterior`; this module checks the parameters, keeps the coefficients
of the times last used, and cuts batches into blocks that fit the memory of a core.

**The exact reverse process of strength 1** is Bayes' rule for the forward step from t to s, x_s = a x_t + g z with
a = alpha_s/alpha_t and g^2 = sigma_s^2 - a^2 sigma_t^2. Given the component, x_t and x_s are jointly Gaussian with
covariances S_k(t), a S_k(t) and S_k(s) = a^2 S_k(t) + g^2 I, so with R_k = S_k(t) S_k(s)^{-1}

    x_t | x_s, k ~ N(alpha_t m_k + a R_k (x_s - alpha_s m_k), g^2 R_k),       k | x_s with the probabilities r_k at s:

a mixture again (g^2 R_k = S_k(t) - a^2 R_k S_k(t), without the difference). Its mean is a prediction p D + q eps with
p = alpha_t and q sigma_s = a sigma_t^2, so the same products serve; that of strength other than 1 is not a mixture. One
normal number per coordinate drives it: the first, as a number between 0 and 1, falls into the share of a component,
and where in that share it falls is again uniform, and normal once more. On the line the flow (eta = 0) is the
quantile map.
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
from solverbench.eta import Eta, EtaLike
from solverbench.fields.base import (
    Array,
    Vector,
    check_prediction,
    check_states,
    checked,
    double,
    driven,
    each,
    like,
    normal_blocks,
    one_time,
    path_at,
    time_for,
)
from solverbench.fields.basis import Basis, basis_for
from solverbench.fields.gaussian import functional_weights
from solverbench.fields.line import Line, quantile_map
from solverbench.fields.posterior import Coefficients, Covariances, Full, LowRank, Scalars
from solverbench.numbers import Number, exp, log
from solverbench.paths import Path
from solverbench.paths import path as find_path
from solverbench.predictions import convert
from solverbench.room import check_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from solverbench.predictions import Prediction

CACHE_BYTES = 416 * 2**20
"""Of coefficients kept: a hundred times in 3072 dimensions, thousands in two. One solver after another visits a grid in
the same order, so that with room for less than all of its times none of them would still be there."""
CHUNK_BYTES = {"cpu": 32 * 2**20}
"""Of temporaries while one block of rows is worked on. On a CPU larger ones cost more in page faults than they save."""
CHUNK_BYTES_ELSEWHERE = 256 * 2**20


class Mixture:
    """sum_k w_k N(m_k, C_k) on a path.

    weights: (K,), positive, summing to 1. means: (K, *shape) or (K, d), in state coordinates. The covariances are in
    basis coordinates and take one of three forms: `variances` (K, d) or (K,); `factors` (K, d, rank) and `diagonal`
    (K, d), C = diag(diagonal) + factors factors^T; `covariances` (K, d, d). Variances may be zero where sigma > 0.
    Raises UsageError for anything that is not finite, of the wrong shape or not a covariance, and when asked at a time
    t < 0.

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
            return self._predict(_tensor(x), one_time(t)).numpy().astype(x.dtype, copy=False)
        return self._predict(x, one_time(t))

    def lacks(self, eta: Eta) -> str | None:
        """As `base.lacks`: nothing at strength 1 and, in one dimension, at 0."""
        d = self._mean.size
        if eta == 1 or (eta == 0 and d == 1):
            return None
        return (
            f"knows its process exactly at eta = 1 and, in one dimension, at 0; not at eta = {eta} in {d}: "
            f"take one of these, a Gaussian, or rk4 or sde-dpmpp-2m on a fine grid"
        )

    def transit(self, x: Array, s: Number, t: Number, eta: EtaLike, z: Array | None = None) -> Array:
        """States at t of the exact reverse process that passes through x (n, *shape) at s, float32 or float64.

        z: standard normal numbers shaped like x, which drive it where eta is 1. Raises UsageError for strengths that
        `lacks` names, for t noisier than s with eta = 1, for singular components where sigma_t or sigma_s is 0.
        """
        check_states(x, self.shape)
        s, t = one_time(s), one_time(t)
        if reason := self.lacks(eta := Eta.of(eta)):
            raise UsageError(f"a mixture {reason}")
        if not eta:
            return self._along_the_line(x, s, t)
        if not driven(self.path, s, t, eta, z):
            return x * 1  # s is t
        if x.dtype not in (np.float32, np.float64, torch.float32, torch.float64):
            raise UsageError(f"a mixture's process takes float32 or float64 states, got {x.dtype}")
        if isinstance(x, np.ndarray):
            return self._reverse(_tensor(x), torch.as_tensor(z), s, t).numpy()
        return self._reverse(x, torch.as_tensor(z), s, t)

    def _reverse(self, x: Tensor, z: Tensor, s: float, t: float) -> Tensor:
        (alpha_s, sigma_s), (alpha_t, sigma_t) = self._path_at(s), self._path_at(t)
        g2 = (alpha_t * sigma_s - alpha_s * sigma_t) * (alpha_t * sigma_s + alpha_s * sigma_t) / alpha_t**2
        at_s = Scalars(alpha_s, sigma_s, alpha_t, alpha_s / alpha_t * sigma_t**2, g2 * alpha_t)
        at_t = Scalars(alpha_t, sigma_t, 0.0, 0.0, 0.0)
        c = self._made(at_s, x)

        def step(y: Tensor, xi: Tensor) -> Tensor:
            y = y - c.centre
            k, first = _shared(c.posterior(y)[0].softmax(1), xi[:, 0].double())
            xi = torch.cat([first[:, None].to(xi), xi[:, 1:]], 1)
            out = c.predict(y, torch.nn.functional.one_hot(k, len(self.weights)))
            for component in k.unique().tolist():
                rows = k == component
                out[rows] += self.covariances.half(component, at_s, at_t, g2)(xi[rows])
            states: Tensor = self.basis.inverse(out)
            return states

        return self._by_rows(x, step, z.to(x))

    def _along_the_line(self, x: Array, s: Number, t: Number) -> Array:
        """The quantile map, number by number."""
        alphas, sigmas = zip(*map(self._path_at, (s, t)), strict=True)
        w, m, v = (a.ravel().tolist() for a in (self.weights, self._m, self.covariances.variances))
        if min(sigmas) == min(v) == 0:
            raise UsageError("the flow of a mixture with a variance of zero needs sigma > 0")
        start, end = (
            Line(w, [a * m_k for m_k in m], [a * a * v_k + b * b for v_k in v])
            for a, b in zip(alphas, sigmas, strict=True)
        )
        moved = [quantile_map(y, start, end) for y in double(x).reshape(-1).tolist()]
        return like(np.array(moved).reshape(x.shape), x)

    def responsibilities(self, x: Array, t: float) -> Array:
        """The posterior probability of each component, float64 (n, K), for states x (n, *shape) at time t."""
        return self._of_law(x, t, lambda c, y: c.posterior(y)[0].softmax(1))

    def log_density(self, x: Array, t: float = 0.0) -> Array:
        """log p_t(x), float64 (n,), for states x (n, *shape); UsageError where the law has no density."""
        return self._of_law(x, t, lambda c, y: c.log_density(y))

    def divergence(self, x: Array, t: float) -> Array:
        """The trace of the prediction's Jacobian, float64 (n,), for states x (n, *shape) at a time with sigma > 0."""
        curvature = self._of_law(x, t, lambda c, y: c.curvature(y))  # first: it refuses a time that is none
        a, b = convert("score", self.prediction, self.path, one_time(t))
        divergence: Array = a * self._mean.size - b * curvature
        return divergence

    def moments(self, t: float = 0.0) -> tuple[Vector, Vector]:
        """(mean, variance), each (d,), of the law at time t along the basis vectors."""
        alpha, sigma = self._path_at(t)
        delta = self._m - self._mean
        variance = self.weights @ (self.covariances.variances + delta * delta)
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
        blocks = normal_blocks(n, seed, 1 + self.covariances.rank + self._mean.size)
        check_room(n, 8 * math.prod(self.shape))
        out = np.empty((n, *self.shape))
        for rows, xi in blocks:
            component = np.searchsorted(edges, ndtr(xi[:, 0]), side="right")
            z = alpha * self._m[component]
            for k in np.unique(component):
                z[component == k] += self.covariances.draw(int(k), xi[component == k, 1:], alpha, sigma)
            out[rows] = self.basis.inverse(z)[: rows.stop - rows.start]
        return out

    def _path_at(self, t: float) -> tuple[float, float]:
        alpha, sigma = path_at(self.path, one_time(t))
        return float(alpha), float(sigma)

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
        c = self._coefficients(one_time(t), prediction, x)
        return self._by_rows(x, lambda z: function(c, z - c.centre))

    def _by_rows(self, x: Tensor, function: Callable[..., Tensor], *others: Tensor) -> Tensor:
        """function(coordinates of x and of the others), in blocks of rows whose temporaries are bounded."""
        width = 6 * self._mean.size + 4 * len(self.weights) * (1 + self.covariances.columns)
        budget = CHUNK_BYTES.get(x.device.type, CHUNK_BYTES_ELSEWHERE)
        rows = max(1, budget // (x.element_size() * width))
        starts = range(0, max(len(x), 1), rows)
        done = [function(*(self.basis.forward(a[i : i + rows]) for a in (x, *others))) for i in starts]
        return done[0] if len(done) == 1 else torch.cat(done)

    def _coefficients(self, t: float, prediction: Prediction, x: Tensor) -> Coefficients:
        """The coefficients at time t for states like x; those last used stay within CACHE_BYTES."""
        key = (t, prediction, x.dtype, x.device)
        found = self._cache.pop(key, None)
        if found is None:
            weights = functional_weights(prediction, self.path, t)
            found = self._made(Scalars(*self._path_at(t), *map(float, weights)), x)
            room = CACHE_BYTES // max(1, found.nbytes)
            while len(self._cache) > max(0, room - 1):  # entries of one field are of one size, or of two
                self._cache.pop(next(iter(self._cache)))
        self._cache[key] = found  # last in insertion order: most recently used
        return found

    def _made(self, at: Scalars, x: Tensor) -> Coefficients:
        home = x.device if x.device.type in ("cpu", "cuda") else torch.device("cpu")  # others may lack float64
        w, m, mean = (torch.from_numpy(a).to(home) for a in (self.weights, self._m, self._mean))
        entries = self.covariances.coefficients(at, m - mean)
        entries["constant"] = entries["constant"] + w.log()
        return Coefficients(centre=at.alpha * mean, lift=at.p * mean, **entries).to(x.dtype, x.device)

    def _exactly(self, x: Array, t: Number) -> Array:
        """The prediction by its formula, for number types without fast matrix products."""
        if not isinstance(self.covariances, LowRank) or self.covariances.rank:
            raise UsageError(f"states of type {x.dtype} need a mixture given by `variances`")
        alpha, sigma = path_at(self.path, t)
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


def _shared(shares: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """(components (n,) with these probabilities (n, K), normal numbers (n,) independent of them) from normal z (n,)."""
    edges = shares.cumsum(1)
    u = torch.special.ndtr(z) * edges[:, -1]
    k = torch.searchsorted(edges, u[:, None], right=True).clamp(max=shares.shape[1] - 1)
    share = shares.gather(1, k)
    inside = (u[:, None] - (edges.gather(1, k) - share)) / share
    return k[:, 0], torch.special.ndtri(inside.clamp(1e-16, 1 - 1e-16))[:, 0]


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
