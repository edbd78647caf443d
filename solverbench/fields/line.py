"""Mixtures of Gaussians on the line: their flow is the quantile map, in any number type.

A flow on the line cannot let trajectories cross, so it keeps their order: what lies to the left of one keeps its mass,
and with F_t the distribution function at time t the trajectory through x_s is x_t = F_t^{-1}(F_s(x_s)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solverbench.numbers import Number, erfc, exp, log, pi, sqrt


@dataclass(frozen=True)
class Line:
    """sum_k w_k N(m_k, v_k), numbers of any type, variances > 0."""

    weights: Sequence[Number]
    means: Sequence[Number]
    variances: Sequence[Number]

    def tail(self, x: Number, side: int) -> Number:
        """P(side X > side x), side 1 or -1."""
        parts = zip(self.weights, self.means, self.variances, strict=True)
        return sum(w * erfc(side * (x - m) / sqrt(2 * v)) / 2 for w, m, v in parts)

    def density(self, x: Number) -> Number:
        """At x."""
        parts = zip(self.weights, self.means, self.variances, strict=True)
        return sum(w * exp(-((x - m) * (x - m)) / (2 * v)) / sqrt(2 * pi(x) * v) for w, m, v in parts)

    def standardised(self, x: Number) -> Number:
        """x in standard deviations from the mean."""
        mean, std = self._moments
        return (x - mean) / std

    def at(self, y: Number) -> Number:
        """The point y standard deviations from the mean."""
        mean, std = self._moments
        return mean + std * y

    @property
    def _moments(self) -> tuple[Number, Number]:
        parts = list(zip(self.weights, self.means, self.variances, strict=True))
        mean = sum(w * m for w, m, _ in parts)
        return mean, sqrt(sum(w * (v + (m - mean) ** 2) for w, m, v in parts))

    @property
    def bracket(self) -> tuple[Number, Number]:
        """Points with 40 standard deviations of every component between them and it."""
        parts = [(m, 40 * sqrt(v)) for m, v in zip(self.means, self.variances, strict=True)]
        return min(m - reach for m, reach in parts), max(m + reach for m, reach in parts)


def quantile_map(x: Number, start: Line, end: Line) -> Number:
    """F_end^{-1}(F_start(x)) by Newton's method, from the smaller of the tails, kept inside a bracket."""
    side = 1 if start.tail(x, 1) < start.tail(x, -1) else -1
    goal = log(start.tail(x, side))
    low, high = end.bracket
    y = end.at(start.standardised(x))
    for _ in range(400):
        tail = end.tail(y, side)
        difference = log(tail) - goal  # falls with y for the upper tail, rises for the lower
        low, high = (y, high) if difference * side > 0 else (low, y)
        density = end.density(y)
        after = y + side * difference * tail / density if density > 0 else high
        if not low < after < high:
            after = (low + high) / 2
        if abs(after - y) <= abs(y) * _epsilon(y):
            return after
        y = after
    return y


def _epsilon(like: Number) -> Number:
    if isinstance(like, float):
        return 2e-16
    import mpmath

    return 10 * mpmath.mp.eps
