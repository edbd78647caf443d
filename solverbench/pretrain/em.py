"""Expectation-maximisation for a mixture of factor analysers: Gaussians with covariance diag(d_k) + U_k U_k^T.

Ghahramani & Hinton, "The EM algorithm for mixtures of factor analyzers" (1996), with two economies: in 3072
dimensions responsibilities are nearly 0 or 1, so the M-step of a component visits only the rows that matter to it; and
that makes it cheap enough to take several inner EM steps on (U_k, d_k) per E-step, each of which raises the bound.

Rows are coordinates z (n, D) float32. Densities go through the Woodbury identity with E = diag(d) and
G = I + U^T E^-1 U = L L^T: the Mahalanobis form is (z-m)^T E^-1 (z-m) - |L^-1 U^T E^-1 (z-m)|^2 and
log det = sum log d + 2 sum log diag L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

ROWS = 8192  # rows per E-step block: z and z^2 together stay near 200 MB
NEGLIGIBLE = 1e-4  # responsibilities below this do not reach the M-step


@dataclass(frozen=True)
class Mixture:
    """K components in D coordinates with q factors each; tensors share one dtype except float64 `weights`."""

    weights: Tensor  # (K,), positive, sums to 1
    means: Tensor  # (K, D)
    diagonal: Tensor  # (K, D), positive
    factors: Tensor  # (K, D, q)

    def to(self, dtype: torch.dtype) -> Mixture:
        """The same mixture with means, diagonal and factors in `dtype`."""
        return replace(
            self, means=self.means.to(dtype), diagonal=self.diagonal.to(dtype), factors=self.factors.to(dtype)
        )


def log_joint(mixture: Mixture, rows: Tensor) -> Tensor:
    """log w_k + log N(z | component k), shape (n, K) float64, computed in the dtype of `mixture` and `rows`."""
    K, D, q = mixture.factors.shape
    means, inverse = mixture.means, mixture.diagonal.reciprocal()
    scaled = mixture.factors * inverse[:, :, None]
    gram = torch.einsum("kdq,kdr->kqr", scaled.double(), mixture.factors.double())
    lower = torch.linalg.cholesky(gram + torch.eye(q, dtype=torch.float64))
    log_det = mixture.diagonal.double().log().sum(1) + 2 * lower.diagonal(dim1=1, dim2=2).log().sum(1)
    # L^-1 U^T E^-1, so that the Woodbury correction is a plain sum of squares.
    white = torch.linalg.solve_triangular(lower, scaled.double().mT, upper=False).to(rows.dtype)
    offset = torch.einsum("kqd,kd->kq", white.double(), means.double()).to(rows.dtype)
    constant = mixture.weights.log() - 0.5 * (log_det + D * math.log(2 * math.pi))
    constant = constant - 0.5 * (means.double().square() * inverse.double()).sum(1)
    out = torch.empty(len(rows), K, dtype=torch.float64)
    for start in range(0, len(rows), ROWS):
        z = rows[start : start + ROWS]
        quadratic = z.square() @ inverse.T - 2 * (z @ (means * inverse).T)
        projected = (z @ white.reshape(K * q, D).T).reshape(len(z), K, q) - offset
        out[start : start + ROWS] = constant - 0.5 * (quadratic.double() - projected.square().sum(2).double())
    return out


def log_likelihood(mixture: Mixture, rows: Tensor) -> Tensor:
    """log p(z) of each row in nats, shape (n,) float64."""
    return torch.logsumexp(log_joint(mixture, rows), 1)


def em_step(mixture: Mixture, rows: Tensor, floor: float, sweeps: int) -> tuple[Mixture, float]:
    """One EM iteration; returns the new mixture and the mean log-likelihood of the old one (nats per row).

    `floor` bounds every diagonal entry from below (the variance that dequantisation put there).
    """
    joint = log_joint(mixture, rows)
    total = torch.logsumexp(joint, 1)
    return maximise(mixture, rows, (joint - total[:, None]).exp(), floor, sweeps), float(total.mean())


def maximise(mixture: Mixture, rows: Tensor, responsibility: Tensor, floor: float, sweeps: int) -> Mixture:
    """The M-step for responsibilities (n, K); components left with next to nothing keep their shape and fade."""
    means, diagonal, factors = mixture.means.clone(), mixture.diagonal.clone(), mixture.factors.clone()
    mass = responsibility.sum(0)
    for k in range(len(means)):
        chosen = torch.nonzero(responsibility[:, k] > NEGLIGIBLE).squeeze(1)
        share = responsibility[chosen, k]
        if float(share.sum()) <= factors.shape[2] + 1:
            continue
        share = (share / share.sum()).float()
        z = rows[chosen]
        means[k] = share @ z
        centred = (z - means[k]) * share.sqrt()[:, None]
        diagonal[k], factors[k] = fit_factors(centred, diagonal[k], factors[k], floor, sweeps)
    mass = mass.clamp_min(1e-6)
    return Mixture(mass / mass.sum(), means, diagonal, factors)


def fit_factors(rows: Tensor, diagonal: Tensor, factors: Tensor, floor: float, sweeps: int) -> tuple[Tensor, Tensor]:
    """EM sweeps of one factor analyser on rows (n, D) whose plain sum of outer products is the covariance S."""
    variance = rows.square().sum(0)
    identity = torch.eye(factors.shape[1])
    for _ in range(sweeps):
        scaled = factors / diagonal[:, None]
        posterior = torch.linalg.inv((identity + factors.T @ scaled).double()).float()  # cov of the latent
        latent = rows @ (scaled @ posterior)  # (n, q), its posterior mean
        cross = rows.T @ latent  # (D, q)
        factors = torch.linalg.solve((posterior + latent.T @ latent).double(), cross.double().T).T.float()
        diagonal = (variance - (factors * cross).sum(1)).clamp_min(floor)
    return diagonal, factors


def principal_factors(rows: Tensor, rank: int, floor: float, seed: int) -> tuple[Tensor, Tensor]:
    """A start for `fit_factors`: leading directions of the correlation matrix, by subspace iteration."""
    variance = rows.square().sum(0).clamp_min(floor)
    white = rows / variance.sqrt()
    basis = torch.randn(rows.shape[1], rank + 8, generator=torch.Generator().manual_seed(seed))
    for _ in range(6):
        basis = torch.linalg.qr(white.T @ (white @ basis))[0]
    _, singular, right = torch.linalg.svd(white @ basis, full_matrices=False)
    directions, power = (basis @ right.T)[:, :rank], singular[:rank].square()
    # Leave at least a tenth of each variance to the diagonal: whatever the factors do not know yet.
    factors = variance.sqrt()[:, None] * directions * (power - 1).clamp_min(0.01).sqrt()
    excess = factors.square().sum(1) / (0.9 * variance)
    factors = factors / excess.clamp_min(1).sqrt()[:, None]
    return (variance - factors.square().sum(1)).clamp_min(floor), factors
