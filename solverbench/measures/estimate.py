"""A sampled number is never alone: with it go how many samples it is of, its standard error, and how that was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A value from n samples, its standard error, and the method of both in words."""

    value: float
    n: int
    se: float
    method: str
    degrees: float = math.inf
    """Degrees of freedom of the standard error: how many independent pieces it was found from, less one."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central interval by Student's t, (low, high); all of the line where there is no standard error."""
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, self.degrees)) * self.se
        return (-math.inf, math.inf) if math.isnan(half) else (self.value - half, self.value + half)

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.se:.2g} (n = {self.n}, {self.method})"


def mean_of(terms: Any, method: str = "mean of samples") -> Estimate:
    """The mean of terms (n,), with its standard error; of one term that is nan."""
    values = np.asarray(terms, np.float64)
    return Estimate(float(values.mean()), len(values), standard_error(values), method, len(values) - 1)


def standard_error(terms: Any) -> float:
    """Of the mean of terms (n,)."""
    return float(np.std(terms, ddof=1)) / math.sqrt(len(terms)) if len(terms) > 1 else math.nan
