"""The ruler: a slope from errors on grids of doubling size, with an interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

FLOOR = 1e-11
"""Errors below this are not used in double precision: rounding is 1e-14 and grows."""
POINTS = 3
"""Grids in a window: two octaves, whose slopes are extrapolated to step zero."""


def apart(a: Any, b: Any) -> float:
    """The largest difference of two arrays relative to the largest entry of the first; inf where not finite."""
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    if a.shape != b.shape:
        return float("inf")
    with np.errstate(all="ignore"):
        found = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-300))
    return found if np.isfinite(found) else float("inf")


@dataclass(frozen=True)
class Slope:
    """error ~ constant * N^-order."""

    order: float
    """nan if no window was found, inf if every error is rounding."""
    half: float = 0.0
    """Half width of the 95 % interval over columns (directions or start points)."""
    constant: float = math.nan
    """Median over columns of |error| N^order on the last grid of the window."""
    window: tuple[int, int] | None = None
    """Smallest and largest N used."""
    remark: str = ""
    """Why there is no slope."""

    @property
    def exact(self) -> bool:
        """Whether nothing but rounding was seen."""
        return math.isinf(self.order)

    def reaches(self, p: float, tolerance: float = 0.15) -> bool:
        """Whether order p lies within the measurement or below it."""
        return self.order + self.half >= p - tolerance

    def __str__(self) -> str:
        if self.exact:
            return "exact"
        return f"{self.order:.2f} ± {self.half:.2f}" if self.window else self.remark


def slope(errors: NDArray[Any], sizes: Sequence[int], floor: float = FLOOR, *, sampled: bool = False) -> Slope:
    """The order of convergence from signed errors (grids, columns), grid i having sizes[i] = 2 sizes[i - 1] steps.

    Per column the slopes s_1, s_2 of the last two octaves above the floor are extrapolated to step zero, 2 s_2 - s_1,
    since s = p + c h + ...; the mean over columns is the order, with a Student interval. Left out are columns whose
    error changes sign in the window, or that lie 0.4 off the median: near a change of sign a slope means nothing.

    sampled: columns are batches of samples, whose slopes scatter more than they change: each is the mean over the
    window, none is left out, and the order is that of the window and not of step zero.
    """
    errors = np.asarray(errors)
    if not all(np.isfinite(np.asarray(errors, float).ravel())):
        return Slope(math.nan, remark="not finite")
    typical = np.median(np.abs(errors), axis=1)
    above = [i for i, e in enumerate(typical) if e > floor]
    if not above:
        return Slope(math.inf)
    last = above[-1]
    if last + 1 < POINTS:
        return Slope(math.nan, remark="too few grids above rounding")
    used = errors[last + 1 - POINTS : last + 1]
    steady = (np.abs(np.sign(used.astype(float)).sum(0)) == POINTS) & (np.abs(used) > floor / 10).all(0)
    if steady.sum() < 4:
        return Slope(math.nan, remark="errors change sign")
    used = np.abs(used[:, steady])
    octaves = np.log2((used[:-1] / used[1:]).astype(float))
    order = octaves.mean(0) if sampled else 2 * octaves[-1] - octaves[-2]
    kept = (np.abs(order - np.median(order)) < 0.4) | sampled
    if kept.sum() < 3:
        return Slope(math.nan, remark="directions disagree")
    order = order[kept]
    half = float(stdtrit(order.size - 1, 0.975) * order.std(ddof=1) / math.sqrt(order.size))
    p, N = float(order.mean()), sizes[last]
    constant = float(np.median(used[-1][kept].astype(float))) * N**p
    return Slope(p, half, constant, (sizes[last + 1 - POINTS], N))
