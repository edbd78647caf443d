"""The denoiser of a mixture sum_k w_k N(m_k, C_k) at one time, as a handful of matrix products.

At time t component k has mean alpha m_k and covariance S_k = alpha^2 C_k + sigma^2 I, the responsibilities are
r_k = softmax_k(log w_k - log|S_k|/2 - r^T S_k^-1 r/2) with r = x - alpha m_k, and, as for one Gaussian,

    prediction = sum_k r_k [p m_k + (p alpha C_k + q sigma) S_k^-1 (x - alpha m_k)].

**Low rank plus diagonal.** C_k = diag(d) + U U^T with U (d, rank); all that follows is per component. Let
E = alpha^2 d + sigma^2, G = I + alpha^2 U^T E^-1 U = L L^T and B = E^-1 U L^-T. By the Woodbury identity

    S^-1 = E^-1 - alpha^2 B B^T,                   log|S| = sum log E + 2 sum log diag L,
    C S^-1 r = (d/E) r + sigma^2 B B^T r           because  I - alpha^2 d/E = sigma^2/E,

so with P = B^T r and kappa = sigma (p sigma - q alpha) as for a Gaussian, a component contributes

    logit:   log w - log|S|/2 - r^T E^-1 r / 2 + alpha^2 |P|^2 / 2,
    output:  p m + slope r + alpha kappa B P,      slope = (p alpha d + q sigma) / E.

No difference of large numbers is left in the output. Nothing of size (n, K, d) is formed either: states are centred,
y = x - alpha m with m the mean of the mixture and m_k = m + delta_k; then, up to a constant, r^T E^-1 r is
y^2 . 1/E - 2 alpha y . delta/E, and in the output p m_k + slope (y - alpha delta_k) is p m + slope y + kappa delta_k/E.
So one matrix M = [B | delta/E] of all components, (d, K rank + K), serves going in, y M, and coming out, W M^T. What
the 1/E_k have in common, their smallest over k, drops out of the softmax; without it single precision stays accurate
at large sigma.

**Full.** With C = V diag(e) V^T and S = alpha^2 e + sigma^2 the same products appear with M = [V | delta], P = V^T r:
logit log w - sum log S / 2 - P^2 . 1/(2 S), output p m + p delta + V ((p alpha e + q sigma) / S) P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from solverbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from solverbench.fields.base import Vector


@dataclass(frozen=True)
class Scalars:
    """What the formulas need of a time: path coefficients and the weights of the prediction, as floats."""

    alpha: float
    sigma: float
    p: float
    q_sigma: float
    kappa: float


@dataclass(frozen=True)
class Coefficients:
    """The denoiser at one time, in the dtype and on the device of the states; the module docstring has the letters."""

    centre: Tensor  # (d,) alpha m
    lift: Tensor  # (d,) p m
    M: Tensor  # (d, K rank + K)
    shift: Tensor  # (K rank,) B^T alpha delta, so that P = y B - shift
    energy: Tensor  # (K rank,) float64, weight of P^2 in the logits
    gain: Tensor  # (K rank,) weight of P in the output
    constant: Tensor  # (K,) float64, of the logits
    common: Tensor | None  # (d,) float64, smallest 1/E, left out of the logits
    excess: Tensor | None  # (d, K) 1/E - common; None if all are equal
    slope: Tensor | None  # (K, d)
    linear: float  # weight of y . M[:, K rank:] in the logits
    pull: float  # weight of M[:, K rank:] in the output

    @property
    def nbytes(self) -> int:
        """Memory held."""
        values = [getattr(self, f.name) for f in fields(self)]
        return sum(v.element_size() * v.nelement() for v in values if isinstance(v, Tensor))

    def to(self, dtype: torch.dtype, device: torch.device) -> Coefficients:
        """The same on another device, in another dtype but for what enters the logits exactly."""
        exact = ("energy", "constant", "common")
        changed = {
            f.name: value.to(device, torch.float64 if f.name in exact else dtype)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return Coefficients(**({f.name: getattr(self, f.name) for f in fields(self)} | changed))

    def posterior(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(logits (n, K) in float64, P (n, K rank)) for centred states y (n, d)."""
        rank = len(self.shift)
        inner = y @ self.M
        P = inner[:, :rank] - self.shift
        logits = self.constant + self.linear * inner[:, rank:].double()
        if rank:
            K = len(self.constant)
            logits = logits + (P.double().square() * self.energy).view(len(y), K, rank // K).sum(2)
        if self.excess is not None:
            logits = logits - 0.5 * ((y * y) @ self.excess).double()
        return logits, P

    def log_density(self, y: Tensor) -> Tensor:
        """log p_t (n,) of centred states y (n, d), with nothing left out."""
        logits = self.posterior(y)[0].logsumexp(1)
        if self.common is not None:
            logits = logits - 0.5 * ((y * y) @ self.common.to(y.dtype))
        return logits - 0.5 * y.shape[1] * math.log(2 * math.pi)

    def curvature(self, y: Tensor) -> Tensor:
        """-div grad log p_t (n,) of centred states y (n, d).

        With s_k = S_k^-1 (x - alpha m_k), the score is -sum r_k s_k and grad r_k = r_k (sum_j r_j s_j - s_k), hence
        sum_k r_k (tr S_k^-1 - |s_k|^2) + |sum_k r_k s_k|^2.
        """
        logits, P = self.posterior(y)
        R, K = logits.softmax(1), logits.shape[1]
        rank = len(self.shift) // K
        total, mean = torch.zeros_like(R[:, 0]), torch.zeros_like(y)
        for k in range(K):
            columns = slice(k * rank, (k + 1) * rank)
            B, weight = self.M[:, columns], 2 * self.energy[columns]
            s = -self.linear * self.M[:, K * rank + k] - (P[:, columns] * weight) @ B.T
            trace = -(weight * B.square().sum(0)).sum()
            if self.common is not None:
                inverse = self.common if self.excess is None else self.common + self.excess[:, k]
                s = s + y * inverse
                trace = trace + inverse.sum()
            total = total + R[:, k] * (trace - s.square().sum(1))
            mean = mean + R[:, k, None] * s
        return total + mean.square().sum(1)

    def predict(self, y: Tensor, R: Tensor | None = None) -> Tensor:
        """The prediction (n, d) for centred states y (n, d), or that of given responsibilities R (n, K)."""
        logits, P = self.posterior(y)
        R = (logits.softmax(1) if R is None else R).to(y.dtype)
        n, K = R.shape
        weighted = ((P * self.gain).view(n, K, -1) * R[:, :, None]).view(n, -1) if P.numel() else P
        return self.assemble(y, R, torch.cat([weighted, self.pull * R], 1))

    def assemble(self, y: Tensor, R: Tensor, W: Tensor) -> Tensor:
        """The prediction (n, d) from responsibilities R (n, K) and W = [R gain P | pull R], (n, K rank + K)."""
        base = self.lift if self.slope is None else torch.addcmul(self.lift, R @ self.slope, y)
        return torch.addmm(base, W, self.M.T)


class Covariances(Protocol):
    """K covariances of one parametrisation, float64 in basis coordinates."""

    rank: int
    """Standard normals a sample takes beside one per coordinate."""
    columns: int
    """Of M per component, beside its mean."""

    def coefficients(self, at: Scalars, delta: Tensor) -> dict[str, Any]:
        """The entries of `Coefficients` that depend on the parametrisation; `constant` without log w."""

    def draw(self, k: int, xi: Vector, alpha: float, sigma: float) -> Vector:
        """Samples (m, d) of N(0, S_k) from standard normals xi (m, rank + d)."""

    def average_times(self, A: Vector, weights: Vector) -> Vector:
        """A @ sum_k w_k C_k for A (m, d)."""

    def half(self, k: int, s: Scalars, t: Scalars, g2: float) -> Callable[[Tensor], Tensor]:
        """z (n, d) -> L z (n, d) with L L^T = g^2 S_k(t) S_k(s)^{-1}, the covariance of x_t given x_s and k."""

    @property
    def variances(self) -> Vector:
        """The diagonals (K, d) of the C_k."""


class LowRank:
    """C_k = diag(diagonal_k) + factors_k factors_k^T: diagonal (K, d) and factors (K, d, rank), rank 0 included."""

    def __init__(self, diagonal: Vector, factors: Vector) -> None:
        self.diagonal, self.factors = diagonal, factors
        self.rank = self.columns = factors.shape[2]

    def coefficients(self, at: Scalars, delta: Tensor) -> dict[str, Any]:
        d, U = (torch.from_numpy(a).to(delta.device) for a in (self.diagonal, self.factors))
        alpha, K = at.alpha, len(d)
        E, L, B = _woodbury(d, U, at)
        inverse, pull = 1 / E, delta / E
        log_det = E.log().sum(1) + 2 * L.diagonal(dim1=1, dim2=2).log().sum(1)
        common = inverse.amin(0)
        excess = (inverse - common).T
        flat = B.transpose(0, 1).reshape(d.shape[1], K * self.rank)
        ones = torch.ones(K * self.rank, dtype=U.dtype, device=U.device)
        return {
            "M": torch.cat([flat, pull.T], 1),
            "shift": alpha * (delta[:, None, :] @ B).reshape(-1),
            "energy": ones * (alpha * alpha / 2),
            "gain": ones * (alpha * at.kappa),
            "constant": -0.5 * (log_det + alpha * alpha * (delta * pull).sum(1)),
            "common": common,
            "excess": excess if bool(excess.any()) else None,
            "slope": (at.p * alpha * d + at.q_sigma) * inverse,
            "linear": alpha,
            "pull": at.kappa,
        }

    def draw(self, k: int, xi: Vector, alpha: float, sigma: float) -> Vector:
        std = np.sqrt(alpha * alpha * self.diagonal[k] + sigma * sigma)
        drawn: Vector = alpha * xi[:, : self.rank] @ self.factors[k].T + std * xi[:, self.rank :]
        return drawn

    def average_times(self, A: Vector, weights: Vector) -> Vector:
        K, d, rank = self.factors.shape
        U = (np.sqrt(weights)[:, None, None] * self.factors).transpose(1, 0, 2).reshape(d, K * rank)
        product: Vector = A * (weights @ self.diagonal) + (A @ U) @ U.T
        return product

    def half(self, k: int, s: Scalars, t: Scalars, g2: float) -> Callable[[Tensor], Tensor]:
        # by Woodbury's identity it is F + (g^2 alpha_t)^2 B B^T with F = g^2 E_t/E_s and B of the time s; its root is
        # F^{1/2} (I + W W^T)^{1/2} with W = g^2 alpha_t F^{-1/2} B, and (I + W W^T)^{1/2} is
        # I + W (I + (I + W^T W)^{1/2})^{-1} W^T
        d, U = (torch.from_numpy(a[k : k + 1]) for a in (self.diagonal, self.factors))
        E_s, _, B = _woodbury(d, U, s)
        root = (g2 * (t.alpha**2 * d + t.sigma**2) / E_s).sqrt()[0]
        if not self.rank:
            return lambda z: z * root.to(z)
        if not bool((root > 0).all()):
            raise UsageError("a mixture with zeros in its diagonal needs sigma > 0")
        W = g2 * t.alpha * B[0] / root[:, None]
        e, V = torch.linalg.eigh(W.mT @ W)
        middle = (V / (1 + (1 + e.clamp(min=0)).sqrt())) @ V.mT
        return lambda z: (z + (z @ W.to(z)) @ (middle @ W.mT).to(z)) * root.to(z)

    @property
    def variances(self) -> Vector:
        variances: Vector = self.diagonal + np.square(self.factors).sum(2)
        return variances


def _woodbury(d: Tensor, U: Tensor, at: Scalars) -> tuple[Tensor, Tensor, Tensor]:
    """(E, L, B) of the components with these diagonals and factors."""
    E = at.alpha**2 * d + at.sigma**2
    if not bool((E > 0).all()):
        raise UsageError("a mixture with zeros in its diagonal needs sigma > 0")
    scaled = U / E[:, :, None]
    G = torch.eye(U.shape[2], dtype=U.dtype, device=U.device) + at.alpha**2 * (U.mT @ scaled)
    L = torch.linalg.cholesky(G)
    return E, L, torch.linalg.solve_triangular(L.mT, scaled, upper=True, left=False)  # B is (K, d, rank)


class Full:
    """C_k = V_k diag(e_k) V_k^T, decomposed once so that every time is cheap."""

    rank = 0

    def __init__(self, covariances: Vector) -> None:
        spread = np.abs(covariances).max(axis=(1, 2))
        skew = np.abs(covariances - covariances.transpose(0, 2, 1)).max(axis=(1, 2))
        if np.any(skew > 1e-10 * spread):
            raise UsageError(f"covariances must be symmetric; number {np.argmax(skew)} is not")
        eigenvalues, self.vectors = np.linalg.eigh(covariances)
        if np.any(eigenvalues < -1e-10 * spread[:, None]):
            k = int(np.argmin(eigenvalues[:, 0]))
            raise UsageError(
                f"covariances must be positive semi-definite; number {k} has an eigenvalue {eigenvalues[k, 0]:g}"
            )
        self.eigenvalues = np.maximum(eigenvalues, 0)
        self.columns = self.eigenvalues.shape[1]

    def coefficients(self, at: Scalars, delta: Tensor) -> dict[str, Any]:
        e, V = (torch.from_numpy(a).to(delta.device) for a in (self.eigenvalues, self.vectors))
        K, d = e.shape
        S = at.alpha**2 * e + at.sigma**2
        if not bool((S > 0).all()):
            raise UsageError("a mixture with singular covariances needs sigma > 0")
        return {
            "M": torch.cat([V.transpose(0, 1).reshape(d, K * d), delta.T], 1),
            "shift": at.alpha * (delta[:, None, :] @ V).reshape(-1),
            "energy": (-0.5 / S).reshape(-1),
            "gain": ((at.p * at.alpha * e + at.q_sigma) / S).reshape(-1),
            "constant": -0.5 * S.log().sum(1),
            "common": None,
            "excess": None,
            "slope": None,
            "linear": 0.0,
            "pull": at.p,
        }

    def draw(self, k: int, xi: Vector, alpha: float, sigma: float) -> Vector:
        drawn: Vector = (xi * np.sqrt(alpha * alpha * self.eigenvalues[k] + sigma * sigma)) @ self.vectors[k].T
        return drawn

    def average_times(self, A: Vector, weights: Vector) -> Vector:
        V = self.vectors
        product: Vector = A @ np.einsum("k,kij,kj,klj->il", weights, V, self.eigenvalues, V, optimize=True)
        return product

    def half(self, k: int, s: Scalars, t: Scalars, g2: float) -> Callable[[Tensor], Tensor]:
        e, V = (torch.from_numpy(a[k]) for a in (self.eigenvalues, self.vectors))
        S_s, S_t = (at.alpha**2 * e + at.sigma**2 for at in (s, t))
        root = (g2 * S_t / S_s).sqrt()
        return lambda z: (z * root.to(z)) @ V.to(z).mT

    @property
    def variances(self) -> Vector:
        variances: Vector = np.einsum("kij,kj->ki", np.square(self.vectors), self.eigenvalues)
        return variances
