"""Variance-preserving paths: linear, scaled-linear and cosine schedules, and any table of betas."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from solverbench.errors import UsageError
from solverbench.numbers import Number, atan, cos, exp, expm1, log, log1p, pi, sin, sqrt
from solverbench.paths.base import Path


class VariancePreserving(Path):
    """alpha = exp(-B/2), sigma = sqrt(1 - exp(-B)) with B(t) = int_0^t beta (Song et al. 2021, eq. 29 and 33)."""

    @abstractmethod
    def B(self, t: Number) -> Number:
        """int_0^t beta(tau) d tau."""

    @abstractmethod
    def beta(self, t: Number) -> Number:
        """B'(t)."""

    @abstractmethod
    def inverse_B(self, B: Number) -> Number:
        """The time at which the integral of beta is B."""

    def alpha(self, t: Number) -> Number:
        return exp(-self.B(t) / 2)

    def sigma(self, t: Number) -> Number:
        return sqrt(-expm1(-self.B(t)))

    def d_alpha(self, t: Number) -> Number:
        return -self.beta(t) / 2 * self.alpha(t)

    def d_sigma(self, t: Number) -> Number:
        return self.beta(t) / 2 * exp(-self.B(t)) / self.sigma(t)

    def lam(self, t: Number) -> Number:
        return -log(expm1(self.B(t))) / 2

    def inverse_lam(self, lam: Number) -> Number:
        return self.inverse_B(log1p(exp(-2 * lam)))


@dataclass(frozen=True)
class VPLinear(VariancePreserving):
    """beta(t) = beta_0 + t (beta_1 - beta_0) on (0, 1] (Ho et al. 2020; Song et al. 2021, eq. 32)."""

    name: ClassVar[str] = "vp-linear"
    cite: ClassVar[str] = "ho2020ddpm; song2021sde, eq. 32"
    beta_0: float = 0.1
    beta_1: float = 20.0
    t_min: float = 1e-3
    t_max: float = 1.0

    def B(self, t: Number) -> Number:
        return self.beta_0 * t + (self.beta_1 - self.beta_0) * t * t / 2

    def beta(self, t: Number) -> Number:
        return self.beta_0 + (self.beta_1 - self.beta_0) * t

    def inverse_B(self, B: Number) -> Number:
        b0, slope = self.beta_0 + 0 * B, self.beta_1 - self.beta_0
        return 2 * B / (b0 + sqrt(b0 * b0 + 2 * slope * B))  # the root that does not cancel


@dataclass(frozen=True)
class VPScaledLinear(VariancePreserving):
    """sqrt(beta) linear in t, as latent diffusion uses it (Rombach et al. 2022)."""

    name: ClassVar[str] = "vp-scaled-linear"
    cite: ClassVar[str] = "rombach2022ldm"
    beta_0: float = 0.85
    beta_1: float = 12.0
    t_min: float = 1e-3
    t_max: float = 1.0

    def _root(self, like: Number) -> tuple[Number, Number]:
        r = sqrt(self.beta_0 + 0 * like)
        return r, sqrt(self.beta_1 + 0 * like) - r

    def B(self, t: Number) -> Number:
        r, d = self._root(t)
        return t * (r * r + t * (r * d + t * d * d / 3))

    def beta(self, t: Number) -> Number:
        r, d = self._root(t)
        return (r + d * t) ** 2

    def inverse_B(self, B: Number) -> Number:
        r, d = self._root(B)
        c = (r**3 + 3 * d * B) ** ((B * 0 + 1) / 3)
        return 3 * B / (c * c + c * r + r * r)


@dataclass(frozen=True)
class VPCosine(Path):
    """alpha = cos(phi)/cos(phi_0), phi = pi/2 (t + s)/(1 + s) (Nichol & Dhariwal 2021, eq. 17).

    t_max stops short of 1, where alpha = 0, as Lu et al. (2022, appendix D.4) do.
    """

    name: ClassVar[str] = "vp-cosine"
    cite: ClassVar[str] = "nichol2021iddpm, eq. 17"
    s: float = 0.008
    t_min: float = 1e-3
    t_max: float = 0.9946

    @property
    def t_end(self) -> float:
        return 1.0

    def _angles(self, t: Number) -> tuple[Number, Number]:
        quarter = pi(t) / 2 / (1 + self.s)
        return quarter * t, quarter * self.s  # phi - phi_0, phi_0

    def alpha(self, t: Number) -> Number:
        d, phi_0 = self._angles(t)
        return cos(d + phi_0) / cos(phi_0)

    def sigma(self, t: Number) -> Number:
        # 1 - alpha^2 = (cos^2 phi_0 - cos^2 phi) / cos^2 phi_0 as a product, so that it does not cancel near t = 0
        d, phi_0 = self._angles(t)
        return sqrt(sin(d) * sin(d + 2 * phi_0)) / cos(phi_0)

    def d_alpha(self, t: Number) -> Number:
        d, phi_0 = self._angles(t)
        return -pi(t) / 2 / (1 + self.s) * sin(d + phi_0) / cos(phi_0)

    def d_sigma(self, t: Number) -> Number:
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def inverse_lam(self, lam: Number) -> Number:
        u = exp(-2 * lam)  # sigma~^2
        _, phi_0 = self._angles(lam * 0)
        c0, s0 = cos(phi_0), sin(phi_0)
        cos_phi, sin_phi = c0 / sqrt(1 + u), sqrt((s0 * s0 + u) / (1 + u))
        sin_sum = sin_phi * c0 + cos_phi * s0
        sin_d = u / (1 + u) * c0 * c0 / sin_sum
        cos_d = cos_phi * c0 + sin_phi * s0
        return atan(sin_d / cos_d) * 2 * (1 + self.s) / pi(lam)


@dataclass(frozen=True)
class VPDiscrete(Path):
    """Any table of betas beta_1..beta_N as a continuous path: log alpha piecewise linear in t, knots at t_n = n/N.

    alpha(t_n)^2 = prod_{m <= n} (1 - beta_m), and alpha(0) = 1, so t = 0 is the data. `zero_terminal_snr` rescales
    the table so that alpha(1) = 0 (Lin et al. 2024, algorithm 1); on its last piece alpha itself is linear. Default
    betas: the 1,000 linear ones of DDPM. The interpolation is that of Lu et al. (2022, appendix D.4).
    """

    name: ClassVar[str] = "vp-discrete"
    cite: ClassVar[str] = "ho2020ddpm; lu2022dpm, appendix D.4; lin2024flawed, algorithm 1"
    betas: tuple[float, ...] = tuple(np.linspace(1e-4, 2e-2, 1000).tolist())
    zero_terminal_snr: bool = False
    t_max: float = 1.0
    t_min: float = field(init=False, default=1e-3)
    _log_alpha: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        betas = np.asarray(self.betas, dtype=float)
        if betas.ndim != 1 or betas.size < 2 or not np.all((betas > 0) & (betas < 1)):
            raise UsageError("vp-discrete: betas must be two or more numbers strictly between 0 and 1")
        log_alpha = np.concatenate([[0.0], np.cumsum(np.log1p(-betas)) / 2])
        if self.zero_terminal_snr:
            root = np.exp(log_alpha[1:])
            root = (root - root[-1]) * root[0] / (root[0] - root[-1])
            root[-1] = 0.0
            with np.errstate(divide="ignore"):
                log_alpha = np.concatenate([[0.0], np.log(root)])
        object.__setattr__(self, "betas", tuple(betas.tolist()))
        object.__setattr__(self, "_log_alpha", tuple(log_alpha.tolist()))
        object.__setattr__(self, "t_min", 1.0 / betas.size)

    @property
    def t_end(self) -> float:
        return 1.0

    @property
    def steps(self) -> int:
        """N, the number of discrete times."""
        return len(self.betas)

    def _piece(self, t: Number) -> tuple[Number, Number, Number]:
        """(left knot's log alpha, right knot's, position in [0, 1] between them), per entry of t."""
        N, table = self.steps, np.asarray(self._log_alpha)
        n = np.clip(np.floor(np.asarray(t * N, dtype=float)), 0, N - 1).astype(int)
        left, right = table[n], table[n + 1]
        return (left, right, t * N - n) if np.ndim(t) else (float(left), float(right), t * N - int(n))

    def alpha(self, t: Number) -> Number:
        return exp(self._log_alpha_at(t))

    def _log_alpha_at(self, t: Number) -> Number:
        left, right, w = self._piece(t)
        ends_in_zero = np.isneginf(right)
        if not np.any(ends_in_zero):
            return left + w * (right - left)
        return _where(ends_in_zero, lambda: left + log(1 - w), lambda: left + w * (right - left))

    def sigma(self, t: Number) -> Number:
        return sqrt(-expm1(2 * self._log_alpha_at(t)))

    def d_alpha(self, t: Number) -> Number:
        left, right, _ = self._piece(t)
        a = self.alpha(t)
        return _where(
            np.isneginf(right), lambda: -self.steps * exp(left) + 0 * t, lambda: self.steps * (right - left) * a
        )

    def d_sigma(self, t: Number) -> Number:
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def inverse_lam(self, lam: Number) -> Number:
        goal = -log1p(exp(-2 * lam)) / 2  # log alpha
        table = np.asarray(self._log_alpha)
        n = np.clip(np.searchsorted(-table, np.asarray(-goal, dtype=float), side="right") - 1, 0, self.steps - 1)
        left, right = table[n], table[n + 1]
        w = _where(np.isneginf(right), lambda: -expm1(goal - left), lambda: (goal - left) / (right - left))
        return (n + w) / self.steps


def _where(condition: Any, yes: Callable[[], Number], no: Callable[[], Number]) -> Number:
    """numpy.where that keeps scalars scalar and evaluates a branch only where it is asked for."""
    if np.ndim(condition) == 0:
        return yes() if condition else no()
    if not np.any(condition):
        return no()
    with np.errstate(all="ignore"):
        return np.where(condition, yes(), no())
