"""Which differences between solvers are more than luck: tests of all pairs, corrected for how many there are.

All solvers of a problem start from the same states, so their errors are compared start by start: what makes a start
hard for all of them drops out of the difference. Two means over starts are tested by the paired bootstrap of
Student's t (Efron & Tibshirani 1993, section 16.4, with both tails), which needs no normal errors; where errors by
start were not kept, by the normal law of their standard errors, which is too careful for paired values. An interval of
a ratio holds the ratios that such a test does not reject (Fieller 1954). The best is chosen by the same data, so every
pair counts as a comparison, and Holm's step-down (1979) keeps the chance of a single false separation below `LEVEL`. Of
very many solvers, whose corrected tests ask for more resamples than there is time for, and from very many starts, the
paired values are tested by Student's law, which takes mean differences for normal.

A Frechet distance is compared in the same way by what each start contributes to it (`measures.subsets.contributions`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, ndtri, stdtr

Vector: TypeAlias = NDArray[np.float64]
Relation: TypeAlias = NDArray[np.bool_]

LEVEL = 0.05
"""The chance that anything at all is separated where nothing differs."""
FEWEST = 2000
"""Resamples of a test; where pairs are many, more, so that the smallest p passes Holm's first step: 40 a pair."""
MOST = 1000
"""Pairs that are tested by resampling; the work grows with their square."""
MANY = 200
"""Starts from which on means are normal enough, and are tested without resampling."""
Z = float(ndtri(1 - LEVEL / 2))
"""Standard errors on either side of a 95 % interval."""
_SEED = 20
_CHUNK, _BLOCK = 64, 1000
"""Tests and resamples at a time, such that what is done with them stays in a processor's cache."""
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

    The same samples give the same p-values: the resamples are fixed. Raises ValueError for fewer than two rows.
    """
    samples = np.ascontiguousarray(samples, dtype=np.float64)
    n, m = samples.shape
    if n < 2:
        raise ValueError(f"a paired test needs two rows or more, got {n}")
    return _paired(samples.tobytes(), n, m)


@lru_cache(maxsize=256)  # tables and figures of a run ask for the same ones
def _paired(raw: bytes, n: int, m: int) -> Vector:
    samples = np.frombuffer(raw).reshape(n, m)
    i, j = np.triu_indices(m, 1)
    if i.size > MOST:
        return np.stack([_student(samples - samples[:, [k]]) for k in range(m)])
    p = np.ones((m, m))
    p[i, j] = p[j, i] = zero_mean_p(samples[:, i] - samples[:, j])
    return p


def zero_mean_p(d: Vector, draws: int | None = None) -> Vector:
    """p-values (k,) of mean zero for the columns of d (n, k), n > 1; by default of as many draws as k tests need."""
    n, k = d.shape
    if n >= MANY:
        return _student(d)
    W = _resamples(n, draws or max(FEWEST, 40 * k))
    parts = [_bootstrap_t(d[:, first : first + _CHUNK], W) for first in range(0, k, _CHUNK)]
    return np.concatenate(parts) if parts else np.empty(0)


@lru_cache(maxsize=4)
def _resamples(n: int, draws: int) -> Vector:
    """Weights (draws, n) of the rows in resamples, the same at every call."""
    return np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), size=draws) / n


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
            kept = zero_mean_p(a - middle * np.exp(side * at) * b, FEWEST) >= LEVEL
            inside, outside = np.where(kept, at, inside), np.where(kept, outside, at)
        ends.append(np.where(outside == _REACH, np.inf if side > 0 else 0.0, middle * np.exp(side * outside)))
    return ends[0], ends[1]


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


def _bootstrap_t(d: Vector, W: Vector) -> Vector:
    """p-values (k,) of mean zero for the columns of d (n, k); rows of W (draws, n) are the weights of a resample."""
    scale = np.abs(d).max(axis=0)
    d = d / np.where(scale > 0, scale, 1.0)
    mean = d.mean(axis=0)
    centred = d - mean
    own = mean**2 / ((centred**2).mean(axis=0) + TINY)
    beyond = np.zeros(d.shape[1])
    for first in range(0, len(W), _BLOCK):
        moved = np.square(W[first : first + _BLOCK] @ centred)
        spread = W[first : first + _BLOCK] @ centred**2
        np.maximum(np.subtract(spread, moved, out=spread), 0.0, out=spread)
        beyond += (moved >= own * (spread + TINY)).sum(axis=0)  # t^2 >= own t^2, without roots and quotients
    return np.where(scale > 0, (1 + beyond) / (1 + len(W)), 1.0)


def _student(d: Vector) -> Vector:
    """p-values (k,) of mean zero for the columns of d (n, k), by Student's t with n - 1 degrees of freedom."""
    n = len(d)
    scale = np.abs(d).max(axis=0)
    d = d / np.where(scale > 0, scale, 1.0)
    t = np.abs(d.mean(axis=0)) / np.sqrt(d.var(axis=0) / (n - 1) + TINY)
    return np.where(scale > 0, 2 * stdtr(n - 1, -t), 1.0)


def ranks(values: Vector, different: Relation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first, last) place (m,) each value can have: one place per solver that is better, or worse, beyond doubt."""
    better = different & (values[None, :] < values[:, None])  # better[i, j]: j is better than i
    return 1 + better.sum(axis=1), len(values) - better.sum(axis=0)
