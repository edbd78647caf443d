"""Whether every mode of a mixture is sampled as often as it should be: posterior shares against exact weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, mean_of
from solverbench.measures.moments import Array

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture


@dataclass(frozen=True)
class Modes:
    """Mean posterior probability of every component over the samples, beside its weight in the law."""

    shares: tuple[Estimate, ...]
    weights: Array
    p_value: float
    """Of the shares under exact sampling, by Hotelling's T^2 in the directions that shares can vary in; nan for no more
    samples than these."""

    distance: Estimate
    """Total variation between shares and weights. Never negative, so where weights are right it is some errors large:
    whether they are is what the p-value says."""


def modes(x: Any, field: Mixture) -> Modes:
    """Shares of the components in samples x (n, *shape): E r_k(X) is the weight w_k exactly, if X follows the law.

    Raises UsageError for fewer than two samples.
    """
    from scipy.stats import f

    r = np.asarray(field.responsibilities(np.asarray(x, np.float64), 0.0), np.float64)
    if (n := len(r)) < 2:
        raise UsageError(f"shares with a standard error need two samples or more, got {n}")
    excess, C = r.mean(0) - field.weights, np.atleast_2d(np.cov(r.T)) / n
    values, vectors = np.linalg.eigh(C)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    squared, p = float(np.sum((vectors[:, kept].T @ excess) ** 2 / values[kept])), int(kept.sum())
    p_value = float(f.sf(squared * (n - p) / (p * (n - 1)), p, n - p)) if n > p > 0 else math.nan
    distance = mean_of((r - field.weights) @ np.sign(excess) / 2)
    return Modes(tuple(mean_of(column) for column in r.T), field.weights, p_value, distance)
