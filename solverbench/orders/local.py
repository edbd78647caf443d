"""Local order with an exact history: the error of one step of a method whose past values are exact.

On a field that depends on time alone the past is exact whatever the state is. There are two of them, since a method
keeps either data or noise predictions: D = sin(a lambda + b), and eps = sin(a lambda + b), that is D = x - sigma~ eps.
Both have closed solutions. The last step of a run (the last block, of a method that works in blocks of steps) is
compared with the exact step from where the run stood before it, on steps of uneven length that shrink together. A
method of order p leaves h^{p + 1} on the field of its own prediction. This sees what a whole run can hide: errors that
alternate or telescope from step to step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solverbench.fields.base import each
from solverbench.numbers import Number, cos, exp, log, sin
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Subject

PATTERN = (1.0, 1.3, 0.8, 1.2, 0.7, 1.4, 0.9, 1.25)
"""Relative lengths of the steps in lambda; the last is the one that is measured."""
SIZES = tuple(2**k for k in range(1, 9))
"""The unit step in lambda is 1/size."""
PRECISE_SIZES, DIGITS = (64, 128, 256), 40
"""Where double precision ends before a window is found."""
A = np.array([0.75, 1.0, 1.25, 1.625, 1.875, 0.5, 1.125])  # their squares are exact, for 40 digits
B = np.array([0.1, 0.6, 1.1, 1.6, 2.1, 2.6, 3.1])
"""Frequencies and phases of the columns."""


@dataclass(frozen=True)
class InTime:
    """A field of prediction sin(a lambda + b); k = 1 + eta^2 is the rate of dx~/dlambda = -k (x~ - D)."""

    noise: bool
    k: float

    def __call__(self, x: Array, sigma: Number) -> Array:
        """D at noise level sigma, for states (n, columns)."""
        wave = each(sin, A * -log(sigma) + B)
        return np.asarray(x - sigma * wave if self.noise else 0 * x + wave)

    def defect(self, before: Array, after: Array, lam_s: Number, lam_t: Number) -> Array:
        """after - the exact step from before."""
        if self.noise:  # x~' = -k e^{-lambda} eps
            return np.asarray(after - before + self.k * _forced(-1.0, lam_s, lam_t))
        # (e^{k lambda} x~)' = k e^{k lambda} D
        decay = exp(-self.k * (lam_t - lam_s))
        return np.asarray(after - decay * before - self.k * exp(-self.k * lam_t) * _forced(self.k, lam_s, lam_t))


def _forced(c: float, lam_s: Number, lam_t: Number) -> Array:
    """int e^{c lambda} sin(a lambda + b) dlambda from lam_s to lam_t."""

    def primitive(lam: Number) -> Array:
        phase = A * lam + B
        return np.asarray(exp(c * lam) * (c * each(sin, phase) - A * each(cos, phase)) / (c * c + A * A))

    return np.asarray(primitive(lam_t) - primitive(lam_s))


def local_order(subject: Subject) -> Slope | None:
    """The order of the defect: of both fields the higher one, which is that of the prediction the method keeps.

    None for a sampler that jumps, since these fields have no flow map, that follows no process of one strength, or
    whose steps are not alike.
    """
    if subject.jumps or subject.eta is None or subject.block is None or 2 * subject.block > len(PATTERN):
        return None
    found = [_slope(subject, InTime(noise, 1 + subject.eta**2)) for noise in (False, True)]
    return max(found, key=lambda s: -math.inf if math.isnan(s.order) else s.order)


def _slope(subject: Subject, field: InTime) -> Slope:
    found = slope(np.array([_defect(subject, field, size, float) for size in SIZES]), SIZES)
    if found.window is None and not found.exact and subject.numbers:
        import mpmath

        with mpmath.workdps(DIGITS):
            defects = [_defect(subject, field, size, mpmath.mpf) for size in PRECISE_SIZES]
        found = slope(np.array(defects), PRECISE_SIZES, floor=10.0 ** (8 - DIGITS))
    return found


def _defect(subject: Subject, field: InTime, size: int, number: Callable[[float], Number]) -> Array:
    assert subject.block is not None
    n = len(PATTERN) // subject.block * subject.block
    lam = [number(y) / size for y in (0.0, *np.cumsum(PATTERN[-n:]).tolist())]
    sigmas = tuple(exp(-y) for y in lam)
    x = np.array([[number(1)] * A.size], dtype=float if number is float else object)
    before, after = (subject.run(field, x, grid, lambda _: 0 * x) for grid in (sigmas[: n + 1 - subject.block], sigmas))
    defect: Array = field.defect(before, after, lam[-1 - subject.block], lam[-1])[0]
    return defect
