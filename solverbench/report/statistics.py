"""Which differences between solvers are more than luck: tests of all pairs, corrected for how many there are.

All solvers of a problem start from the same states, so their errors are compared start by start: what makes a start
hard for all of them drops out of the difference. Two means over starts are tested by Student's t of their differences,
with Johnson's care for skewed ones (`measures.skewed`): a solver whose mean is a few bad starts has a tail, which a
sample seldom shows. Where errors by start were not kept, they are tested by the normal law of their standard errors,
which is too careful for paired values. An interval of a ratio holds the ratios that such a test does not reject
(Fieller 1954). The best is chosen by the same data, so every pair counts as a comparison, and Holm's step-down (1979)
keeps the chance of a single false separation below `LEVEL`.

A Frechet distance is compared in the same way by what each start contributes to it (`measures.subsets.contributions`).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, ndtri, stdtr

from solverbench.measures.estimate import mean_of
from solverbench.measures.skewed import evidence, skewness

Vector: TypeAlias = NDArray[np.float64]
Relation: TypeAlias = NDArray[np.bool_]

LEVEL = 0.05
"""The chance that anything at all is separated where nothing differs."""
Z = float(ndtri(1 - LEVEL / 2))
"""Standard errors on either side of a 95 % interval."""
TINY = 1e-300
"""Stands for a variance of zero, which then divides."""
_REACH, _HALVINGS = math.log(10**6), 17
"""How far from the middle an end of an interval is looked for, as a logarithm, and how finely: to a part in 10^4."""


def separated(p: Vector) -> Relation:
    """Which of all pairs differ, (m, m), from the p-values (m, m) of their tests, of which the upper half is read."""
    m = len(p)
    rows, columns = np.triu_indices(m, 1)
    found = np.zeros((m, m), dtype=bool)
    found[rows, columns] = found[columns, rows] = holm(p[rows, columns]) < LEVEL
    return found


def holm(p: Vector) -> Vector:
    """p-values (k,) adjusted for their number: those below a level are rejected at it, all together (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.size)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)).clip(max=1.0)
    return adjusted


def normal_p(values: Vector, errors: Vector) -> Vector:
    """p-values (m, m) of equal expectations, for independent values (m,) with standard errors (m,), 0 where computed.

    Values without an error differ if they are not equal.
    """
    difference = np.abs(values[:, None] - values)
    spread = np.hypot(errors[:, None], errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference > 0, difference / spread, 0.0)
    return np.asarray(erfc(z / np.sqrt(2)))


def paired_p(samples: Vector) -> Vector:
    """p-values (m, m) of equal means of the columns of samples (n, m), whose rows belong together.

    Raises ValueError for fewer than two rows.
    """
    samples = np.asarray(samples, np.float64)
    n, m = samples.shape
    if n < 2:
        raise ValueError(f"a paired test needs two rows or more, got {n}")
    return np.stack([zero_mean_p(samples - samples[:, [k]]) for k in range(m)])


def zero_mean_p(d: Vector) -> Vector:
    """p-values (k,) of mean zero for the columns of d (n, k), n > 1."""
    n = len(d)
    scale = np.abs(d).max(axis=0)
    d = d / np.where(scale > 0, scale, 1.0)
    t = d.mean(axis=0) / np.sqrt(d.var(axis=0) / (n - 1) + TINY)
    return np.where(scale > 0, 2 * stdtr(n - 1, -evidence(t, skewness(d), n)), 1.0)


@np.errstate(divide="ignore", invalid="ignore")
def paired_ratio(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Ends (k,) of the intervals of E a / E b, above 0, for the columns of a and b (n, k), paired by rows.

    Between them lie the ratios r for which a - r b is not rejected to have mean zero; 0 or inf where that has no end.
    """
    middle, ends = a.mean(axis=0) / b.mean(axis=0), []
    for side in (-1.0, 1.0):
        inside, outside = np.zeros(middle.size), np.full(middle.size, _REACH)  # logarithms of r over the middle
        for _ in range(_HALVINGS):
            at = (inside + outside) / 2
            kept = zero_mean_p(a - middle * np.exp(side * at) * b) >= LEVEL
            inside, outside = np.where(kept, at, inside), np.where(kept, outside, at)
        ends.append(np.where(outside == _REACH, np.inf if side > 0 else 0.0, middle * np.exp(side * outside)))
    return ends[0], ends[1]


def paired_difference(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Ends (k,) of the intervals of E a - E b for the columns of a and b (n, k), paired by rows."""
    low, high = zip(*(mean_of(d).interval(1 - LEVEL) for d in (a - b).T), strict=True)
    return np.array(low), np.array(high)


def normal_ratio(a: float, a_se: float, b: float, b_se: float) -> tuple[float, float]:
    """Ends of the interval of a ratio of independent normal values, b > 0 and r >= 0: where |a - r b| is no more than
    Z standard errors of it. (0, inf) where b itself cannot be told from zero."""
    if not (a_se or b_se):  # the root below would be of a difference that is rounding
        return a / b, a / b
    square, rest = b * b - (Z * b_se) ** 2, a * a - (Z * a_se) ** 2
    if not square > 0 or math.isinf(a_se):
        return 0.0, math.inf
    root = math.sqrt(max(0.0, (a * b) ** 2 - square * rest))
    return max(0.0, (a * b - root) / square), (a * b + root) / square


def ranks(values: Vector, different: Relation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first, last) place (m,) each value can have: one place per solver that is better, or worse, beyond doubt."""
    better = different & (values[None, :] < values[:, None])  # better[i, j]: j is better than i
    return 1 + better.sum(axis=1), len(values) - better.sum(axis=0)
