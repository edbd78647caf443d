"""Standard errors by computing a statistic again on parts of the samples: any function of a list of sample numbers.

**Halves** (the delete-half jackknife: Shao & Wu 1989, Annals of Statistics 17, section 3). A bias b/n of n samples is
b/h in a half of h, so the extrapolation (n F_n - h mean F_h)/(n - h) is without it; and the two halves of a split are
independent, so (F_h - F_h')^2 h/2n estimates the variance of F_n. Halves are drawn without repetition, which matters:
a bootstrap sample has repeated rows, and a covariance of fewer distinct samples is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate

Index: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Statistic: TypeAlias = Callable[[Index], float]


def halves(statistic: Statistic, n: int, splits: int = 16, seed: int = 0) -> Estimate:
    """The statistic of n samples with its bias of order 1/n taken out, and its standard error, by halves.

    statistic(index) is of the samples numbered `index`. At a quadratic statistic's null the standard error is up to
    sqrt 3 too large on average, but small where the value is. Raises UsageError for fewer than four samples.
    """
    both_halves = pairs(n, splits, np.random.default_rng(seed))
    values = np.array([[statistic(index) for index in pair] for pair in both_halves])
    h, whole = n // 2, statistic(np.arange(n))
    variance = float(np.mean((values[:, 0] - values[:, 1]) ** 2)) * h / (2 * n)
    value = (n * whole - h * float(values.mean())) / (n - h)
    return Estimate(value, n, variance**0.5, f"half-sample jackknife, {splits} splits", splits)


def spread(statistic: Callable[[Index, Index], Any], n: int, m: int, splits: int = 8, seed: int = 0) -> Any:
    """Standard errors of statistics of two sets, of n and m samples, by halves of both; their bias is let be.

    statistic(index, other) is a number or an array of them, of the samples of either set that have these numbers.
    """
    rng = np.random.default_rng(seed)
    both = zip(pairs(n, splits, rng), pairs(m, splits, rng), strict=True)
    apart = [statistic(a, b) - statistic(c, d) for (a, c), (b, d) in both]
    return np.sqrt(np.mean(np.square(apart), axis=0)) / 2


def pairs(n: int, splits: int, rng: np.random.Generator) -> list[tuple[Index, Index]]:
    """Halves of n samples, of one size: numbers in ascending order."""
    if n < 4:
        raise UsageError(f"a standard error by halves needs four samples or more, got {n}")
    orders = (rng.permutation(n) for _ in range(splits))
    return [(np.sort(order[: n // 2]), np.sort(order[n // 2 : 2 * (n // 2)])) for order in orders]
