"""Gaussian data N(mu, U diag(lam) U^T): every prediction, flow map, transition kernel and law in closed form.

At time t the marginal is Gaussian with mean alpha mu and, along the columns of U, variances
Lam = alpha^2 lam + sigma^2. Per direction, D = mu + (alpha lam / Lam) (x - alpha mu) and
eps = (sigma / Lam) (x - alpha mu), so the prediction p D + q eps (see `predictions`) is

    p mu + slope (x - alpha mu),                   slope = (p alpha lam + q sigma) / Lam,

which needs no division by sigma and subtracts nothing but the mean; slope itself cancels only where it passes through
zero. As an affine function of x its offset is (p - alpha slope) mu = (kappa / Lam) mu with
kappa = sigma (p sigma - q alpha).

The flow map from s to t scales each direction by the ratio of the standard deviations,

    x_t = alpha_t mu + sqrt(Lam_t / Lam_s) (x_s - alpha_s mu),

also along directions of zero variance, where it is sigma_t / sigma_s. The reverse process of strength eta, which may
depend on the noise level, is, in canonical coordinates about the mean with u = sigma~^2, the linear equation

    dz = (1 + eta^2)/2 z / (lam + u) du + eta dB_u,     u decreasing.

Its factor from u_s to u_t is exp(-int (1 + eta^2)/2 du/(lam + u)), and the square of the factor from u to u_t,
integrated over eta^2 du, is the variance: an elementary integral, since dJ = eta^2 du/(lam + u) below. With

    J = int_{u_t}^{u_s} eta^2 d log(lam + u) = sum over the pieces [a, b] of eta of eta^2 log((lam + u_a)/(lam + u_b)),
    x_t | x_s ~ N(alpha_t mu + Phi (x_s - alpha_s mu), Q),
    Phi = sqrt(Lam_t / Lam_s) e^{-J/2},     Q = Lam_t (1 - e^{-J}).

It satisfies Phi^2 Lam_s + Q = Lam_t, eta = 0 is the flow map, and eta = 1 is the Bayes kernel p(x_t | x_s) (Song et al.
2021, section 4, for eta in {0, 1}).
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.eta import Eta, EtaLike
from solverbench.fields.base import (
    Array,
    Constant,
    Vector,
    check_prediction,
    check_reverse,
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
from solverbench.numbers import Number, sqrt
from solverbench.paths import Path
from solverbench.paths import path as find_path
from solverbench.predictions import Prediction, functional
from solverbench.room import check_room

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def functional_weights(prediction: Prediction, path: Path, t: Number) -> tuple[Number, Number, Number]:
    """Return (p, q sigma, kappa = sigma (p sigma - q alpha)) of a prediction p D + q eps at time t.

    The products are finite at sigma = 0 where q alone need not be. Raises UsageError for an unknown prediction, or
    for one that does not exist at t.
    """
    alpha, sigma = path_at(path, t)
    if prediction == "score":  # q sigma = -1 also where sigma = 0
        return t * 0, t * 0 - 1, alpha
    try:
        p, q = functional(prediction, path, t)
    except ZeroDivisionError:
        raise UsageError(f"the {prediction} prediction of path {path} is not finite at t={t}") from None
    return p, q * sigma, sigma * (p * sigma - q * alpha)


class Gaussian:
    """N(mean, U diag(variance) U^T) on a path, a `LinearField`.

    mean: in state coordinates, of the state's shape or flat (d,). variance: (d,), along the basis vectors, >= 0.
    path: a Path or its name. basis: U, by default the state's own axes. shape: of one state, by default the mean's.
    Raises UsageError for anything that is not finite, of the wrong shape, or negative, and when asked at a time t < 0.
    """

    takes_times = True

    def __init__(
        self,
        mean: ArrayLike,
        variance: ArrayLike,
        path: str | Path,
        *,
        basis: Basis | None = None,
        prediction: Prediction = "x0",
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.basis = basis_for(basis, shape, np.shape(mean))
        self.shape = self.basis.shape
        d = math.prod(self.shape)
        self.mean = checked("mean", mean, self.shape, (d,)).reshape(self.shape)
        self.variance = checked("variance", variance, (d,))
        if np.any(self.variance < 0):
            raise UsageError(f"variance must not be negative, but its smallest entry is {self.variance.min():g}")
        self.path = find_path(path)
        self.prediction = check_prediction(prediction)
        self._mu = self.basis.forward(self.mean[None])[0]

    def __repr__(self) -> str:
        return f"Gaussian(shape={self.shape}, path={self.path}, prediction={self.prediction!r})"

    def at(self, prediction: Prediction) -> Gaussian:
        """The same law on the same path with another prediction."""
        other = copy.copy(self)
        other.prediction = check_prediction(prediction)
        return other

    def __call__(self, x: Array, t: Number) -> Array:
        """The prediction for states x (n, *shape) at time t, one or (n,); UsageError for states of another shape."""
        check_states(x, self.shape)
        t = time_for(x, t)
        p, slope, _ = self._response(t)
        return self._about_means(x, self.path.alpha(t), slope, p)

    def jump(self, x: Array, s: Number, t: Number) -> Array:
        """The states at t on the trajectories of the probability-flow ODE that pass through x (n, *shape) at s.

        Any s and t, in either order. Raises UsageError where the flow is not defined: leaving sigma_s = 0 along
        directions of zero variance, where all trajectories meet.
        """
        check_states(x, self.shape)
        s, t = time_for(x, s), time_for(x, t)
        growth = each(sqrt, self._growth(s, t))  # first: it refuses times that are none
        return self._about_means(x, self.path.alpha(s), growth, self.path.alpha(t))

    def divergence(self, x: Array, t: Number) -> Array:
        """The trace of the prediction's Jacobian at states x (n, *shape), shape (n,) in float64."""
        check_states(x, self.shape)
        slope = self._response(one_time(t))[1]
        return like(np.full(len(x), float(slope.sum())), double(x))

    def affine(self, t: float) -> tuple[Vector, Vector]:
        """(slope, offset), each (d,): the prediction is slope z + offset in coordinates z = U^T x."""
        _, slope, rest = self._response(one_time(t))
        return slope, rest * self._mu

    def jump_affine(self, s: float, t: float) -> tuple[Vector, Vector]:
        """(slope, offset), each (d,), of the flow map from s to t in coordinates z = U^T x."""
        slope, offset, _ = self.transition(s, t, eta=0.0)
        return slope, offset

    def moments(self, t: float) -> tuple[Vector, Vector]:
        """(mean, variance), each (d,), of the marginal law at t in coordinates z = U^T x."""
        variance = self._marginal(t := one_time(t))  # first: it refuses a time that is none
        return self.path.alpha(t) * self._mu, variance

    def lacks(self, eta: Eta) -> None:
        """Nothing: the process of any strength is known."""

    def transit(self, x: Array, s: Number, t: Number, eta: EtaLike, z: Array | None = None) -> Array:
        """States at t of the exact reverse process of strength eta that passes through x (n, *shape) at s.

        z: standard normal numbers shaped like x, which drive it where eta > 0. Raises UsageError as `transition` does.
        """
        if not driven(self.path, s, t, eta := Eta.of(eta), z):
            return self.jump(x, s, t)
        check_states(x, self.shape)
        slope, offset, variance = self.transition(s, t, eta)
        y, noise = self.basis.forward(x), self.basis.forward(z)
        return self.basis.inverse(y * like(slope, y) + like(offset, y) + noise * like(np.sqrt(variance), y))

    def transition(self, s: float, t: float, eta: EtaLike = 0.0) -> tuple[Vector, Vector, Vector]:
        """(slope, offset, variance), each (d,): z_t | z_s ~ N(slope z_s + offset, variance) at strength eta.

        Raises UsageError if eta > 0 and t is noisier than s, and where the flow map is not defined (see `jump`).
        """
        s, t = one_time(s), one_time(t)
        root, variance = np.sqrt(self._growth(s, t)), self._marginal(t)  # first: they refuse times that are none
        alpha_s, alpha_t = self.path.alpha(s), self.path.alpha(t)
        if not (eta := Eta.of(eta)):
            return root, (alpha_t - root * alpha_s) * self._mu, np.zeros_like(variance)
        check_reverse(self.path, s, t, eta)
        J = np.zeros_like(variance)
        for value, a, b in eta.within(self.path, s, t):
            J -= value * value * self._log_rho(a, b)
        slope = root * np.exp(-J / 2)
        return slope, (alpha_t - slope * alpha_s) * self._mu, variance * -np.expm1(-J)

    def sample(self, n: int, seed: int, t: float = 0.0) -> Vector:
        """n exact samples (n, *shape) of the law at time t; sample i does not depend on n."""
        mean, variance = self.moments(t)
        std = np.sqrt(variance)
        blocks = normal_blocks(n, seed, mean.size)
        check_room(n, 8 * math.prod(self.shape))
        out = np.empty((n, *self.shape))
        for rows, xi in blocks:
            out[rows] = self.basis.inverse(mean + std * xi)[: rows.stop - rows.start]
        return out

    def log_density(self, x: Array, t: float = 0.0) -> Array:
        """log p_t(x) in float64 for states x (n, *shape), shape (n,); UsageError where the law has no density."""
        check_states(x, self.shape)
        mean, variance = self.moments(t)
        if not np.all(variance > 0):
            raise UsageError(f"the law has no density at t={t}: sigma = 0 and some variances are zero")
        y = self.basis.forward(double(x))
        y = y - like(mean, y)
        return -((y * y) @ like(1 / variance, y) + np.log(2 * np.pi * variance).sum()) / 2

    def _about_means(self, x: Array, alpha: Number, slope: NDArray[Any], p: Number) -> Array:
        """p mu + slope (x - alpha mu), slope acting along the basis vectors."""
        z = self.basis.forward(x)
        out = z - like(alpha * self._mu, z)
        out *= like(slope, z)
        if np.any(p != 0):
            out += like(p * self._mu, z)
        return self.basis.inverse(out)

    def _marginal(self, t: Number) -> NDArray[Any]:
        """Lam at time t, in the number type of t."""
        alpha, sigma = path_at(self.path, t)
        Lam: NDArray[Any] = alpha * alpha * self.variance + sigma * sigma
        return Lam

    def _response(self, t: Number) -> tuple[Number, NDArray[Any], NDArray[Any]]:
        """(p, slope, kappa / Lam) of the prediction at time t."""
        p, q_sigma, kappa = functional_weights(self.prediction, self.path, t)
        Lam = self._marginal(t)
        gain, rest = p * self.path.alpha(t) * self.variance + q_sigma, kappa
        if degenerate := (Lam == 0).any():
            # sigma = 0 and no variance: x is the mean, D too, and nothing else has a limit
            if self.prediction != "x0":
                raise UsageError(f"the {self.prediction} of directions without variance is not finite at t={t}")
            rest = np.where(Lam == 0, p, kappa)
        Lam = np.where(Lam == 0, 1, Lam) if degenerate else Lam
        return p, gain / Lam, rest / Lam

    def _growth(self, s: Number, t: Number) -> NDArray[Any]:
        """Lam_t / Lam_s, 1 where both are zero."""
        start, end = self._marginal(s), self._marginal(t)
        if (empty := start == 0).any():
            if (end[empty] != 0).any():
                raise UsageError(f"the flow from t={s}, where sigma = 0, is not defined in directions without variance")
            start, end = np.where(empty, 1, start), np.where(empty, 1, end)
        growth: NDArray[Any] = end / start
        return growth

    def _log_rho(self, s: float, t: float) -> Vector:
        """log((lam + u_t) / (lam + u_s)) <= 0, without cancellation at either end; -inf if alpha_s = 0."""
        alpha_s, alpha_t = self.path.alpha(s), self.path.alpha(t)
        rho = self._growth(s, t) * (alpha_s / alpha_t) ** 2
        # 1 - rho = (u_s - u_t) / (lam + u_s), u_s - u_t = (sigma~_s - sigma~_t) (sigma~_s + sigma~_t)
        a, b = alpha_t * self.path.sigma(s), alpha_s * self.path.sigma(t)
        start = alpha_t * alpha_t * self._marginal(s)
        gap = (a - b) * (a + b) / np.where(start == 0, 1, start)
        with np.errstate(divide="ignore"):  # log 0 = -inf is meant: nothing of x_s is left
            log_rho: Vector = np.where(rho < 0.5, np.log(rho), np.log1p(-np.minimum(gap, 0.75)))
        return log_rho


class PrincipalGaussian(Gaussian):
    """The Gaussian of a picture collection in its eigen-coordinates: state z (d,), mean zero.

    Only the leading eigenvectors need be known: `pictures` shows what they span, in which nearly all variance lies.
    pixel_mean: (d,). eigenvectors: (d, r), of the first r coordinates. picture_shape: of one picture, d numbers.
    """

    def __init__(
        self,
        pixel_mean: ArrayLike,
        variance: ArrayLike,
        eigenvectors: ArrayLike,
        path: str | Path,
        *,
        picture_shape: tuple[int, ...],
        prediction: Prediction = "x0",
    ) -> None:
        d = math.prod(picture_shape)
        super().__init__(np.zeros(d), variance, path, prediction=prediction)
        self.picture_shape = tuple(picture_shape)
        self._pixel_mean = Constant(checked("pixel_mean", pixel_mean, (d,), self.picture_shape).reshape(d))
        self._lift = Constant(checked("eigenvectors", eigenvectors, (d, np.shape(eigenvectors)[-1])))

    def pictures(self, z: Array) -> Array:
        """The pictures (n, *picture_shape) whose coordinates begin as z (n, d) do; the others are left out."""
        check_states(z, self.shape)
        lift = self._lift.like(z)
        flat = z[:, : lift.shape[1]] @ lift.T + self._pixel_mean.like(z)
        return flat.reshape(len(z), *self.picture_shape)
