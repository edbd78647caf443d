"""Local order with an exact history: the error of one step of a method whose past values are exact.

On a field that depends on time alone the past is exact whatever the state is. There are two of them, since a method
keeps either data or noise predictions: D = sin(a lambda + b), and eps = sin(a lambda + b), that is D = x - sigma~ eps.
Both have closed solutions. The last step of a run is compared with the exact step from where the run stood before it,
on steps of uneven length that shrink together. A method of order p leaves h^{p + 1} on the field of its own prediction.
This sees what a whole run can hide: errors that alternate or telescope from step to step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solverbench.numbers import Number
from solverbench.orders.ruler import Slope, slope
from solverbench.orders.subjects import Array, Subject

PATTERN = (1.0, 1.3, 0.8, 1.2, 0.7, 1.4, 0.9, 1.25)
"""Relative lengths of the steps in lambda; the last is the one that is measured."""
SIZES = tuple(2**k for k in range(1, 9))
"""The unit step in lambda is 1/size."""
A = np.array([0.7, 1.0, 1.3, 1.6, 1.9, 0.5, 1.1])
B = np.array([0.1, 0.6, 1.1, 1.6, 2.1, 2.6, 3.1])
"""Frequencies and phases of the columns."""


@dataclass(frozen=True)
class InTime:
    """A field of prediction sin(a lambda + b); k = 1 + eta^2 is the rate of dx~/dlambda = -k (x~ - D)."""

    noise: bool
    k: float

    def __call__(self, x: Array, sigma: Number) -> Array:
        """D at noise level sigma, for states (n, columns)."""
        wave = np.sin(A * -math.log(sigma) + B)
        return np.asarray(x - sigma * wave if self.noise else 0 * x + wave)

    def defect(self, before: Array, after: Array, lam_s: float, lam_t: float) -> Array:
        """after - the exact step from before."""
        if self.noise:  # x~' = -k e^{-lambda} eps
            return np.asarray(after - before + self.k * _forced(-1.0, lam_s, lam_t))
        # (e^{k lambda} x~)' = k e^{k lambda} D
        decay = math.exp(-self.k * (lam_t - lam_s))
        return np.asarray(after - decay * before - self.k * math.exp(-self.k * lam_t) * _forced(self.k, lam_s, lam_t))


def _forced(c: float, lam_s: float, lam_t: float) -> Array:
    """int e^{c lambda} sin(a lambda + b) dlambda from lam_s to lam_t."""

    def primitive(lam: float) -> Array:
        phase = A * lam + B
        return np.asarray(math.exp(c * lam) * (c * np.sin(phase) - A * np.cos(phase)) / (c * c + A * A))

    return np.asarray(primitive(lam_t) - primitive(lam_s))


def local_order(subject: Subject) -> Slope | None:
    """The order of the defect: of both fields the higher one, which is that of the prediction the method keeps.

    None for a sampler that jumps, since these fields have no flow map, or that follows no process of one strength.
    """
    if subject.jumps or subject.eta is None:
        return None
    found = [_slope(subject, InTime(noise, 1 + subject.eta**2)) for noise in (False, True)]
    return max(found, key=lambda s: -math.inf if math.isnan(s.order) else s.order)


def _slope(subject: Subject, field: InTime) -> Slope:
    x = np.ones((1, A.size))
    defects = []
    for size in SIZES:
        lam = [0.0, *(np.cumsum(PATTERN) / size).tolist()]
        sigmas = tuple(math.exp(-y) for y in lam)
        before, after = (subject.run(field, x, grid, lambda _: np.zeros_like(x)) for grid in (sigmas[:-1], sigmas))
        defects.append(field.defect(before, after, lam[-2], lam[-1])[0])
    return slope(np.array(defects), SIZES)
