"""Fidelity and diversity by nearest neighbours: precision, recall, density, coverage.

A set's manifold is the union of balls around its samples that reach to their k-th neighbours in the set. Precision and
recall are of Kynkaanniemi et al. (2019, arXiv 1904.06991, equations 1 and 2), density and coverage of Naeem et al.
(2020, arXiv 2002.09797, section 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate, mean_of
from solverbench.measures.kernels import distances
from solverbench.measures.moments import Array
from solverbench.measures.resampling import spread

_ROWS = 1000
SPLITS = 8


def coverage(x: Any, data: Any, k: int = 5, seed: int = 0) -> dict[str, Estimate]:
    """precision, recall, density and coverage of features x (n, d) against features of data (m, d).

    Standard errors are by halves of both sets, for the manifolds are samples' too; those of the judged samples alone
    are up to half as large. Sets that have no k + 1 samples in a half get none. Raises UsageError for sets of no more
    than k samples.
    """
    x, data = np.asarray(x, np.float64), np.asarray(data, np.float64)
    if min(len(x), len(data)) <= k:
        raise UsageError(f"manifolds of {k} neighbours need more samples than that, got {len(x)} and {len(data)}")
    errors = np.full(4, np.nan)
    if min(len(x), len(data)) // 2 > k:
        errors = spread(lambda i, j: _shares(x[i], data[j], k), len(x), len(data), SPLITS, seed)
    method = f"half-sample jackknife of both sets, {SPLITS} splits"
    counts = {"precision": len(x), "recall": len(data), "density": len(x), "coverage": len(data)}
    found = zip(counts.items(), _shares(x, data, k), errors, strict=True)
    return {name: Estimate(float(value), n, float(se), method, SPLITS) for (name, n), value, se in found}


def nearest(x: Any, training: Any) -> Estimate:
    """Mean distance of samples x (n, *shape) to their nearest neighbour in the training data (m, *shape).

    Per number of a state, root mean square: 0 for copies. The standard error is of the samples, the training data
    being what they are. Raises UsageError for no training data.
    """
    x, training = (np.asarray(z, np.float64).reshape(len(z), -1) for z in (x, training))
    if not len(training):
        raise UsageError("there is no nearest neighbour in an empty set")
    found = [distances(x[i : i + _ROWS], training).min(1) for i in range(0, len(x), _ROWS)]
    return mean_of(np.concatenate(found) / np.sqrt(x.shape[1]))


def _shares(x: Array, data: Array, k: int) -> Array:
    """Precision, recall, density and coverage."""
    reach_x, reach_data = (_reach(z, k) for z in (x, data))
    inside, recalled, nearest = np.zeros(len(x)), np.zeros(len(data), bool), np.full(len(data), np.inf)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        apart = distances(x[rows], data)
        inside[rows] = (apart <= reach_data).sum(1)
        recalled |= (apart <= reach_x[rows, None]).any(0)
        nearest = np.minimum(nearest, apart.min(0))
    shares = (inside > 0), recalled, inside / k, (nearest <= reach_data)
    return np.array([share.mean() for share in shares])


def _reach(z: Array, k: int) -> Array:
    """Distance to the k-th neighbour within a set, (n,)."""
    reach = np.empty(len(z))
    for start in range(0, len(z), _ROWS):
        apart = distances(z[start : start + _ROWS], z)
        apart[np.arange(len(apart)), start + np.arange(len(apart))] = 0  # itself, rounding apart
        reach[start : start + _ROWS] = np.partition(apart, k, axis=1)[:, k]
    return reach
