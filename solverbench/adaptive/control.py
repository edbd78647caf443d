"""How large an error is against its tolerance, and how long the next step may be.

The error of a sample is the root mean square over its numbers of e / scale, so it does not depend on other samples.
With E_n, E_{n-1}, E_{n-2} those of the step at hand and of the last ones accepted, and k the power of h in them,

    h' = h limit(safety E_n^{-(p + i + d)/k} E_{n-1}^{(p + 2d)/k} E_{n-2}^{-d/k})

i alone is the elementary controller; p = 0.4, i = 0.3 is a PI one (Hairer & Wanner, IV.2; Soderlind 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from solverbench.adaptive.batch import Array, Vector
from solverbench.errors import UsageError, check_known
from solverbench.fields.base import double

RULES = ("standard", "plain", "smooth")
LEAST, MOST = 0.2, 10.0
"""Factors between which the standard rule changes a step."""
TINY = 1e-10
"""Errors below are taken for this."""


def rms(x: Array, scale: Array) -> Vector:
    """The root mean square of x / scale over each sample, (m,) in float64."""
    square = (double(x) / scale) ** 2
    mean = square.reshape(len(x), -1).mean(1)
    return np.sqrt(mean if isinstance(mean, np.ndarray) else mean.cpu().numpy())


@dataclass(frozen=True)
class Tolerance:
    """rtol > 0 relative and atol >= 0 absolute: errors are measured in atol + rtol |x|, or in the larger of the two."""

    rtol: float
    atol: float
    larger: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.rtol < np.inf and 0 <= self.atol < np.inf):
            raise UsageError(f"tolerances are finite, rtol > 0 and atol >= 0: got rtol={self.rtol}, atol={self.atol}")

    def scale(self, x: Array, y: Array | None = None) -> Array:
        """What is tolerated beside states x, and y if given, in float64."""
        size = abs(double(x))
        at_least: Any = np.maximum if isinstance(size, np.ndarray) else _torch().maximum
        if y is not None:
            size = at_least(size, abs(double(y)))
        return at_least(self.rtol * size, size * 0 + self.atol) if self.larger else self.atol + self.rtol * size

    def error(self, errors: Sequence[Array], x: Array, y: Array) -> Vector:
        """The error (m,) in units of what is tolerated.

        Of two estimates e, e', |e|^2 / sqrt(|e|^2 + |e'|^2 / 100) (Hairer, Norsett & Wanner 1993, eq. II.10.17).
        """
        e, *more = (rms(error, self.scale(x, y)) for error in errors)
        if not more:
            return e
        total = np.sqrt(e * e + 0.01 * more[0] * more[0])
        return np.where(total == 0, 0, e * e / np.where(total == 0, 1, total))


def _torch() -> Any:
    import torch

    return torch


@dataclass(frozen=True)
class Controller:
    """Which steps are accepted, and the factor to the next.

    standard: accept E < 1; factors in [0.2, 10], none above 1 after a rejection, elementary in one (scipy's, Hairer's).
    plain:    accept E <= 1; no limits (DPM-Solver, appendix C).
    smooth:   the factor is limited to 1 + arctan(f - 1) and the step accepted if that is at least `safety`
              (k-diffusion's PIDStepSizeController).
    """

    rule: str
    exponent: int
    p: float = 0.0
    i: float = 1.0
    d: float = 0.0
    safety: float = 0.9

    def __post_init__(self) -> None:
        check_known("controller", self.rule, RULES)
        if not 0 < self.safety < 1:
            raise UsageError(f"safety must be between 0 and 1, got {self.safety}")

    def __call__(self, error: Vector, past: Vector, held: Any) -> tuple[Any, Vector, Vector]:
        """(accepted, factors, 1/E) of steps with these errors.

        past: (m, 2), 1/E of the last two accepted, nan where nothing was tried. held: whether the last was rejected.
        """
        k, smooth = self.exponent, self.rule == "smooth"
        inverse = 1 / (error + 1e-8 if smooth else np.maximum(error, TINY))
        last, earlier = np.where(np.isnan(past), inverse[:, None], past).T
        b = (self.p + self.i + self.d) / k, -(self.p + 2 * self.d) / k, self.d / k
        factor = inverse ** b[0] * last ** b[1] * earlier ** b[2]
        if smooth:
            factor = 1 + np.arctan(factor - 1)
            accepted = factor >= self.safety
        elif self.rule == "plain":
            accepted = error <= 1
            factor = self.safety * factor
        else:
            accepted = error < 1
            factor = self.safety * np.where(accepted, factor, inverse ** (1 / k))
            factor = np.clip(factor, LEAST, np.where(held & accepted, 1, MOST))
        return accepted, np.where(np.isfinite(error), factor, LEAST), inverse
