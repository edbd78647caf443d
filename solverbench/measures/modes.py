"""Whether every mode of a mixture is sampled as often as it should be: posterior shares against exact weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.measures.coverage import share
from solverbench.measures.estimate import Estimate
from solverbench.measures.moments import Array

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture


@dataclass(frozen=True)
class Modes:
    """Mean posterior probability of every component over the samples, beside its weight in the law."""

    shares: tuple[Estimate, ...]
    weights: Array
    p_value: float
    """Of the shares under exact sampling (Wald, chi-squared with as many degrees as the shares can vary in)."""

    @property
    def distance(self) -> float:
        """Total variation between shares and weights."""
        return float(np.abs(np.array([s.value for s in self.shares]) - self.weights).sum() / 2)


def modes(x: Any, field: Mixture) -> Modes:
    """Shares of the components in samples x (n, *shape): E r_k(X) is the weight w_k exactly, if X follows the law."""
    from scipy.stats import chi2

    r = np.asarray(field.responsibilities(np.asarray(x, np.float64), 0.0), np.float64)
    excess, C = r.mean(0) - field.weights, np.atleast_2d(np.cov(r.T)) / len(r)
    values, vectors = np.linalg.eigh(C)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    wald = float(np.sum((vectors[:, kept].T @ excess) ** 2 / values[kept]))
    return Modes(tuple(share(column) for column in r.T), field.weights, float(chi2.sf(wald, int(kept.sum()))))
