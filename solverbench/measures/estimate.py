"""A sampled number is never alone: with it go how many samples it is of, its standard error, and how that was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from solverbench.measures.skewed import reach, skewness


@dataclass(frozen=True)
class Estimate:
    """A value from n samples, its standard error, and the method of both in words."""

    value: float
    n: int
    se: float
    method: str
    degrees: float = math.inf
    """Degrees of freedom of the standard error: how many independent pieces it was found from, less one."""
    skewness: float = 0.0
    """Of the n terms that it is the mean of."""
    bounds: Callable[[float], tuple[float, float]] | None = field(default=None, repr=False, compare=False)
    """Its interval by level, of what is no mean: of a function of one, of a squared distance."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """(low, high) by Student's t, farther where the tail of skewed terms is (`measures.skewed`), or by `bounds`.

        All of the line where there is no number, or no standard error that it is made of.
        """
        from scipy.stats import t

        if math.isnan(self.value):
            return -math.inf, math.inf
        if self.bounds is not None:
            return self.bounds(level)
        if math.isnan(self.se):
            return -math.inf, math.inf
        below, above = reach(float(t.ppf((1 + level) / 2, self.degrees)), self.skewness, self.n)
        return self.value - below * self.se, self.value + above * self.se

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.se:.2g} (n = {self.n}, {self.method})"


def mean_of(terms: Any, method: str = "mean of samples") -> Estimate:
    """The mean of terms (n,), with its standard error; of one term that is nan."""
    values = np.asarray(terms, np.float64)
    n, se = len(values), standard_error(values)
    return Estimate(float(values.mean()), n, se, method, n - 1, skewness=float(skewness(values)))


def function_of(mean: Estimate, f: Callable[[float], float], slope: float) -> Estimate:
    """f(mean), f monotone and of this slope at the mean, to which its standard error is of first order."""
    se = abs(slope) * mean.se if mean.se else 0.0
    return Estimate(f(mean.value), mean.n, se, mean.method, mean.degrees, bounds=partial(_ends, mean, f))


def _ends(mean: Estimate, f: Callable[[float], float], level: float) -> tuple[float, float]:
    low, high = sorted(map(f, mean.interval(level)))
    return low, high


def standard_error(terms: Any) -> float:
    """Of the mean of terms (n,)."""
    return float(np.std(terms, ddof=1)) / math.sqrt(len(terms)) if len(terms) > 1 else math.nan
