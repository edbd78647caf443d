"""What a Gaussian path is: two functions, and what follows from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

from solverbench.numbers import Number, log

SINGULAR = 1e-12
"""alpha/sigma or sigma/alpha below this is pure noise or pure data: the other part is below rounding."""


class Path(ABC):
    """x_t = alpha(t) x_0 + sigma(t) eps on [t_min, t_max].

    Implementers give `alpha`, `sigma`, `d_alpha`, `d_sigma` (d/dt) and `inverse_lam`, for t of any number type, and
    the times at which grids start and end by default. alpha is decreasing or constant, sigma increasing, and both are
    differentiable with sigma > 0 inside the interval: the conditions under which the variational, score and flow views
    have one velocity field.
    """

    name: ClassVar[str]
    cite: ClassVar[str] = ""
    """Keys of references.bib, with places."""
    t_min: float
    t_max: float

    @abstractmethod
    def alpha(self, t: Number) -> Number:
        """Coefficient of the data."""

    @abstractmethod
    def sigma(self, t: Number) -> Number:
        """Coefficient of the noise."""

    @abstractmethod
    def d_alpha(self, t: Number) -> Number:
        """alpha'(t)."""

    @abstractmethod
    def d_sigma(self, t: Number) -> Number:
        """sigma'(t)."""

    @abstractmethod
    def inverse_lam(self, lam: Number) -> Number:
        """The time at which log(alpha/sigma) is `lam`."""

    @property
    def t_end(self) -> float:
        """The last time at which the path is defined."""
        return math.inf

    def lam(self, t: Number) -> Number:
        """lambda(t) = log(alpha/sigma), half the log signal-to-noise ratio; +inf at sigma = 0, -inf at alpha = 0."""
        return log(self.alpha(t)) - log(self.sigma(t))

    def d_lam(self, t: Number) -> Number:
        """lambda'(t) = alpha'/alpha - sigma'/sigma < 0."""
        return self.d_alpha(t) / self.alpha(t) - self.d_sigma(t) / self.sigma(t)

    def sigma_tilde(self, t: Number) -> Number:
        """sigma~ = sigma/alpha, the noise level of the canonical variance-exploding process."""
        return self.sigma(t) / self.alpha(t)

    def d_sigma_tilde(self, t: Number) -> Number:
        """sigma~'(t) = (alpha sigma' - alpha' sigma) / alpha^2."""
        a = self.alpha(t)
        return (a * self.d_sigma(t) - self.d_alpha(t) * self.sigma(t)) / (a * a)

    def inverse_sigma_tilde(self, sigma_tilde: Number) -> Number:
        """The time at which sigma/alpha is `sigma_tilde` > 0."""
        return self.inverse_lam(-log(sigma_tilde))

    def prior_std(self, t: float) -> float:
        """Standard deviation of the law a sampler starts from at time t: N(0, I) unless the path explodes."""
        return 1.0

    def is_noise(self, t: Number) -> bool:
        """Whether nothing of the data is left at t: there sigma~ is infinite and a step is the denoiser's mean."""
        return bool(self.alpha(t) <= SINGULAR * self.sigma(t))

    def is_data(self, t: Number) -> bool:
        """Whether no noise is left at t: a step that arrives there is the denoiser itself."""
        return bool(self.sigma(t) <= SINGULAR * self.alpha(t))

    def __str__(self) -> str:
        options = {k: f"<{len(v)} values>" if isinstance(v, tuple) else repr(v) for k, v in self.options().items()}
        given = ", ".join(f"{k}={v}" for k, v in options.items())
        return f"{self.name}[{given}]" if given else self.name

    def options(self) -> dict[str, Any]:
        """The options that differ from the path's defaults, as `path(name, **options)` takes them."""
        defaults = type(self)()
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)  # type: ignore[arg-type]  # every concrete path is a dataclass
            if f.init and getattr(self, f.name) != getattr(defaults, f.name)
        }
