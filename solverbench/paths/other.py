"""Paths that are not variance preserving (ve, edm, rectified), and the circle (trig)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from solverbench.numbers import Number, atan, cos, exp, sin
from solverbench.paths.base import Path


@dataclass(frozen=True)
class VE(Path):
    """alpha = 1, sigma = t (Song et al. 2021; the range is their CIFAR-10 one)."""

    name: ClassVar[str] = "ve"
    cite: ClassVar[str] = "song2021sde"
    t_min: float = 0.01
    t_max: float = 50.0

    def alpha(self, t: Number) -> Number:
        return t * 0 + 1

    def sigma(self, t: Number) -> Number:
        return t

    def d_alpha(self, t: Number) -> Number:
        return t * 0

    def d_sigma(self, t: Number) -> Number:
        return t * 0 + 1

    def inverse_lam(self, lam: Number) -> Number:
        return exp(-lam)

    def inverse_sigma_tilde(self, sigma_tilde: Number) -> Number:
        return sigma_tilde

    def prior_std(self, t: float) -> float:
        return float(self.sigma(t))


@dataclass(frozen=True)
class EDM(VE):
    """The VE path with the range of Karras et al. (2022, table 1)."""

    name: ClassVar[str] = "edm"
    cite: ClassVar[str] = "karras2022edm, table 1"
    t_min: float = 0.002
    t_max: float = 80.0


@dataclass(frozen=True)
class Rectified(Path):
    """alpha = 1 - r, sigma = r, r = shift t / (1 + (shift - 1) t) (Liu et al. 2023; Esser et al. 2024, eq. 23)."""

    name: ClassVar[str] = "rectified"
    cite: ClassVar[str] = "liu2023rectified; esser2024sd3, eq. 23"
    shift: float = 1.0
    t_min: float = 0.0
    t_max: float = 1.0

    @property
    def t_end(self) -> float:
        return 1.0

    def sigma(self, t: Number) -> Number:
        return self.shift * t / (1 + (self.shift - 1) * t)

    def alpha(self, t: Number) -> Number:
        return (1 - t) / (1 + (self.shift - 1) * t)

    def d_sigma(self, t: Number) -> Number:
        return self.shift / (1 + (self.shift - 1) * t) ** 2

    def d_alpha(self, t: Number) -> Number:
        return -self.d_sigma(t)

    def inverse_lam(self, lam: Number) -> Number:
        return 1 / (1 + self.shift * exp(lam))  # sigma~ = shift t / (1 - t)


@dataclass(frozen=True)
class Trig(Path):
    """alpha = cos t, sigma = sin t on [0, pi/2] (TrigFlow, Lu & Song 2025)."""

    name: ClassVar[str] = "trig"
    cite: ClassVar[str] = "lu2025scm"
    t_min: float = 0.0
    t_max: float = np.pi / 2

    @property
    def t_end(self) -> float:
        return np.pi / 2

    def alpha(self, t: Number) -> Number:
        return cos(t)

    def sigma(self, t: Number) -> Number:
        return sin(t)

    def d_alpha(self, t: Number) -> Number:
        return -sin(t)

    def d_sigma(self, t: Number) -> Number:
        return cos(t)

    def inverse_lam(self, lam: Number) -> Number:
        return atan(exp(-lam))
