"""Standard errors by computing a statistic again on parts of the samples: any function of a list of sample numbers.

**Halves** (the delete-half jackknife: Shao & Wu 1989, Annals of Statistics 17, section 3). A bias b/n of n samples is
b/h in a half of h, so the extrapolation (n F_n - h mean F_h)/(n - h) is without it; and the two halves of a split are
independent, so (F_h - F_h')^2 h/2n estimates the variance of F_n. Halves are drawn without repetition, which matters:
a bootstrap sample has repeated rows, and a covariance of fewer distinct samples is another one.

**Bootstrap** (Efron 1979) of a difference of two solvers on the same starts: a resampled start takes its outputs of
both with it, so what the starts contribute to both goes out of the difference, and so does most of the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.measures.estimate import Estimate

Index: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Statistic: TypeAlias = Callable[[Index], float]


def halves(statistic: Statistic, n: int, splits: int = 16, seed: int = 0) -> Estimate:
    """The statistic of n samples with its bias of order 1/n taken out, and its standard error, by halves.

    statistic(index) is of the samples numbered `index`. At a quadratic statistic's null the standard error is up to
    sqrt 3 too large, never too small. Raises UsageError for fewer than four samples.
    """
    whole, mean_of_halves = at_n(statistic, n, splits, seed)
    h = n // 2
    return replace(whole, value=float((n * whole.value - h * mean_of_halves) / (n - h)))


def at_n(statistic: Statistic, n: int, splits: int = 16, seed: int = 0) -> tuple[Estimate, float]:
    """(the statistic of n samples as it is, bias and all, with its standard error by halves; its mean over halves)."""
    if n < 4:
        raise UsageError(f"a standard error by halves needs four samples or more, got {n}")
    rng, h = np.random.default_rng(seed), n // 2
    values = np.empty((splits, 2))
    for pair in values:
        order = rng.permutation(n)
        pair[:] = statistic(np.sort(order[:h])), statistic(np.sort(order[h : 2 * h]))
    variance = float(np.mean((values[:, 0] - values[:, 1]) ** 2)) * h / (2 * n)
    method = f"half-sample jackknife, {splits} splits"
    return Estimate(float(statistic(np.arange(n))), n, variance**0.5, method, splits), float(values.mean())


def bootstrap(statistic: Statistic, n: int, replicates: int = 200, seed: int = 0) -> Estimate:
    """The statistic of n samples and its standard error over samples drawn from them with repetition."""
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n, n)) for _ in range(replicates)]
    value = statistic(np.arange(n))
    return Estimate(float(value), n, float(np.std(drawn, ddof=1)), f"bootstrap, {replicates} replicates")
