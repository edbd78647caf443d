"""Standard errors by computing a statistic again on parts of the samples: any function of a list of sample numbers.

**Halves** (the delete-half jackknife: Shao & Wu 1989, Annals of Statistics 17, section 3). A bias b/n of n samples is
b/h in a half of h, so the extrapolation (n F_n - h mean F_h)/(n - h) is without it; and the two halves of a split are
independent, so (F_h - F_h')^2 h/2n estimates the variance of F_n. Halves are drawn without repetition, which matters:
a bootstrap sample has repeated rows, and a covariance of fewer distinct samples is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate
from solverbench.measures.moments import Array

Index: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Statistic: TypeAlias = Callable[[Index], float]


def halves(statistic: Statistic, n: int, splits: int = 16, seed: int = 0) -> Estimate:
    """The statistic of n samples with its bias of order 1/n taken out, and its standard error, by halves.

    statistic(index) is of the samples numbered `index`. At a quadratic statistic's null the standard error is up to
    sqrt 3 too large on average, but small where the value is. Raises UsageError for fewer than four samples.
    """
    pairs = _pairs(n, splits, np.random.default_rng(seed))
    values = np.array([[statistic(index) for index in pair] for pair in pairs])
    return _extrapolated(values, statistic(np.arange(n)), n)


def halves_of_square(difference: Callable[[Index], Array], n: int, splits: int = 16, seed: int = 0) -> Estimate:
    """`halves` of the mean square of difference(index), an array of numbers, with its variance at other true values.

    Of D and D' of two halves, e = (D - D')/2 is an error with the law of the whole set's own. With it the mean square
    is |delta + e|^2, whose variance is 4 E (delta.e)^2 + 2 tr C^2, C the covariance of e. The first part is in
    proportion to |delta|^2, by a factor that (D + D')/2 in place of delta shows; the second is twice E (e.e')^2 of two
    splits. It is never less than by `halves`: where a difference is no mean of the samples', as between distant modes,
    it is that alone which tells.
    """
    values, along, sizes, errors = [], [], [], []
    for pair in _pairs(n, splits, np.random.default_rng(seed)):
        one, other = (np.ravel(difference(index)) for index in pair)
        e, both = (one - other) / 2, (one + other) / 2
        values.append([float(np.mean(one * one)), float(np.mean(other * other))])
        along.append(float(np.mean(both * e)))
        sizes.append(float(np.mean(both * both)))
        errors.append(e)
    E = np.stack(errors)
    products = (E @ E.T)[~np.eye(splits, dtype=bool)] / E.shape[1]
    growth = 4 * float(np.mean(np.square(along))) / np.mean(sizes) if any(sizes) else 0.0
    whole = float(np.mean(difference(np.arange(n)) ** 2))
    found = _extrapolated(np.array(values), whole, n)
    return replace(found, variance=(2 * float(np.mean(products**2)), float(growth), found.se**2))


def _extrapolated(values: Array, whole: float, n: int) -> Estimate:
    """Of values (splits, 2) of halves, and that of all n samples."""
    h, splits = n // 2, len(values)
    variance = float(np.mean((values[:, 0] - values[:, 1]) ** 2)) * h / (2 * n)
    value = (n * whole - h * float(values.mean())) / (n - h)
    return Estimate(value, n, variance**0.5, f"half-sample jackknife, {splits} splits", splits)


def spread(statistic: Callable[[Index, Index], Any], n: int, m: int, splits: int = 8, seed: int = 0) -> Any:
    """Standard errors of statistics of two sets, of n and m samples, by halves of both; their bias is let be.

    statistic(index, other) is a number or an array of them, of the samples of either set that have these numbers.
    """
    rng = np.random.default_rng(seed)
    both = zip(_pairs(n, splits, rng), _pairs(m, splits, rng), strict=True)
    apart = [statistic(a, b) - statistic(c, d) for (a, c), (b, d) in both]
    return np.sqrt(np.mean(np.square(apart), axis=0)) / 2


def _pairs(n: int, splits: int, rng: np.random.Generator) -> list[tuple[Index, Index]]:
    """Halves of n samples, of one size: numbers in ascending order."""
    if n < 4:
        raise UsageError(f"a standard error by halves needs four samples or more, got {n}")
    orders = (rng.permutation(n) for _ in range(splits))
    return [(np.sort(order[: n // 2]), np.sort(order[n // 2 : 2 * (n // 2)])) for order in orders]
