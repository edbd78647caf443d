"""Mean and covariance of features that arrive in batches, and their Frechet distance, without leaving the device.

torch's linear algebra is cuSOLVER's and cuBLAS's on a GPU and LAPACK's on a CPU: one text for both.
"""

from __future__ import annotations

import torch

from solverbench.errors import UsageError


class Moments:
    """Of all rows seen so far, in float64 on the device of the first batch.

    Batches are merged by their own means (Chan, Golub & LeVeque 1983, equations 2.1): nothing large is subtracted, so
    that features far from zero keep their digits.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.empty(0)
        """(d,)"""
        self._scatter = torch.empty(0)

    def update(self, x: torch.Tensor) -> None:
        """Add the rows of x (m, d). Raises UsageError for another d than before."""
        x = x.double()
        m, own = len(x), x.mean(0)
        centred = x - own
        scatter = centred.T @ centred
        if self.n == 0:
            self.n, self.mean, self._scatter = m, own, scatter
            return
        if own.shape != self.mean.shape:
            raise UsageError(f"features of {len(own)} numbers after features of {len(self.mean)}")
        delta, total = own - self.mean, self.n + m
        self._scatter.add_(scatter).addr_(delta, delta, alpha=self.n * m / total)
        self.mean = self.mean + delta * (m / total)
        self.n = total

    @property
    def covariance(self) -> torch.Tensor:
        """(d, d), divided by n - 1. Raises UsageError for fewer than two rows."""
        if self.n < 2:
            raise UsageError(f"a covariance needs two rows or more, got {self.n}")
        return self._scatter / (self.n - 1)

    def frechet_squared(self, mean: torch.Tensor, covariance: torch.Tensor) -> float:
        """Squared Frechet distance to the law with this mean (d,) and covariance (d, d).

        The cross term is the sum of square roots of the eigenvalues of S^T C' S with C = S S^T: symmetric, so they are
        real. The number is the only thing that is copied to the host.
        """
        C = self.covariance
        values, vectors = torch.linalg.eigh(C)
        S = vectors * values.clamp(min=0).sqrt()
        overlap = torch.linalg.eigvalsh(S.T @ covariance @ S).clamp(min=0).sqrt().sum()
        shift = (self.mean - mean).square().sum()
        return max(0.0, float(shift + C.trace() + covariance.trace() - 2 * overlap))
