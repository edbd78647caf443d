"""Fidelity and diversity by nearest neighbours: precision, recall, density, coverage.

A set's manifold is the union of balls around its samples that reach to their k-th neighbours in the set. Precision and
recall are of Kynkaanniemi et al. (2019, arXiv 1904.06991, equations 1-3), density and coverage of Naeem et al. (2020,
arXiv 2002.09797, equations 3-4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate
from solverbench.measures.kernels import distances
from solverbench.measures.moments import Array

_ROWS = 1000


def coverage(x: Any, data: Any, k: int = 5) -> dict[str, Estimate]:
    """precision, recall, density and coverage of features x (n, d) against features of data (m, d).

    Standard errors are of the samples that are judged, with the manifold they are judged by as given: precision and
    density over x, recall and coverage over the data. Raises UsageError for no more than k samples in a set.
    """
    x, data = np.asarray(x, np.float64), np.asarray(data, np.float64)
    if min(len(x), len(data)) <= k:
        raise UsageError(f"manifolds of {k} neighbours need more samples than that, got {len(x)} and {len(data)}")
    reach_x, reach_data = (_reach(z, k) for z in (x, data))
    inside, recalled, nearest = np.zeros(len(x)), np.zeros(len(data), bool), np.full(len(data), np.inf)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        apart = distances(x[rows], data)
        inside[rows] = (apart <= reach_data).sum(1)
        recalled |= (apart <= reach_x[rows, None]).any(0)
        nearest = np.minimum(nearest, apart.min(0))
    return {
        "precision": share(inside > 0),
        "recall": share(recalled),
        "density": share(inside / k),
        "coverage": share(nearest <= reach_data),
    }


def nearest(x: Any, training: Any) -> Estimate:
    """Mean distance of samples x (n, *shape) to their nearest neighbour in the training data (m, *shape).

    Per number of a state, root mean square: 0 for copies. Raises UsageError for no training data.
    """
    x, training = (np.asarray(z, np.float64).reshape(len(z), -1) for z in (x, training))
    if not len(training):
        raise UsageError("there is no nearest neighbour in an empty set")
    found = [distances(x[i : i + _ROWS], training).min(1) for i in range(0, len(x), _ROWS)]
    return share(np.concatenate(found) / np.sqrt(x.shape[1]))


def share(values: Any) -> Estimate:
    """A mean with its standard error."""
    v = np.asarray(values, np.float64)
    se = float(v.std(ddof=1)) / np.sqrt(len(v)) if len(v) > 1 else float("nan")
    return Estimate(float(v.mean()), len(v), float(se), "mean of samples", len(v) - 1)


def _reach(z: Array, k: int) -> Array:
    """Distance to the k-th neighbour within a set, (n,)."""
    reach = np.empty(len(z))
    for start in range(0, len(z), _ROWS):
        apart = distances(z[start : start + _ROWS], z)
        apart[np.arange(len(apart)), start + np.arange(len(apart))] = 0  # itself, rounding apart
        reach[start : start + _ROWS] = np.partition(apart, k, axis=1)[:, k]
    return reach
