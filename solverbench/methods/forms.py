"""The probability-flow ODE in the shapes that methods integrate: x = m y, dy = F du, F a prediction, u a variable.

    form      u                    m                         F
    TIME      t                    1                         velocity                  flow matching, generic solvers
    SIGMA     sigma~               alpha                     noise                     DDIM, DEIS, EDM
    LOG       log sigma~           alpha                     sigma~ noise              adaptive steps
    DATA      e^lambda             sigma                     x0                        DPM-Solver++, UniPC
    angle(c)  arctan(sigma~/c)     sqrt(c^2 alpha^2+sigma^2) velocity of that angle    the rotated variable
    MIX       sigma/(alpha+sigma)  alpha + sigma             noise - x0                rectified flow

All are the same equation; in each another prediction, constant over a step, is integrated exactly. `data(eta)` is DATA
for the reverse process of strength eta: u = e^{(1 + eta^2) lambda}, m = sigma e^{-eta^2 lambda}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from solverbench.numbers import Number, atan, exp, sqrt, tan
from solverbench.paths import Path
from solverbench.plans import State

Variable: TypeAlias = Callable[[Path, Number], Number]
"""u(path, t)."""


@dataclass(frozen=True)
class Form:
    """One shape of the equation."""

    u: Variable
    inverse: Callable[[Path, Number], Number]
    """The time at which u has a value."""
    m: Variable
    slope: Callable[[State, Path, Number], State]
    """F at time t."""
    density: Callable[[Number], Number] | None = None
    """|du/dlambda| as a function of lambda up to a factor; None where polynomials are in u itself."""
    rate: float | None = None
    """c if u is e^{c lambda} up to a factor."""


def time(path: Path, t: Number) -> Number:
    """t itself."""
    return t


def sigma_tilde(path: Path, t: Number) -> Number:
    """sigma/alpha."""
    return path.sigma_tilde(t)


def lam(path: Path, t: Number) -> Number:
    """log(alpha/sigma)."""
    return path.lam(t)


TIME = Form(time, lambda path, u: u, lambda path, t: t * 0 + 1, lambda x, path, t: x.predict("velocity", at=t))
SIGMA = Form(
    sigma_tilde,
    lambda path, u: path.inverse_sigma_tilde(u),
    lambda path, t: path.alpha(t),
    lambda x, path, t: x.predict("noise", at=t),
    density=lambda y: exp(-y),
    rate=-1.0,
)
LOG = Form(
    lambda path, t: -path.lam(t),
    lambda path, u: path.inverse_lam(-u),
    lambda path, t: path.alpha(t),
    lambda x, path, t: path.sigma_tilde(t) * x.predict("noise", at=t),
    density=lambda y: y * 0 + 1,
)


def angle(c: float = 1.0) -> Form:
    """The rotated variable of data of deviation c, on whose Gaussian N(0, c^2) F is zero: y is constant there."""

    def m(path: Path, t: Number) -> Number:
        return sqrt(c * c * path.alpha(t) ** 2 + path.sigma(t) ** 2)

    def slope(x: State, path: Path, t: Number) -> State:
        eps, D = x.predict("noise", at=t), x.predict("x0", at=t)
        return (c * c * path.alpha(t) * eps - path.sigma(t) * D) / (c * m(path, t))

    return Form(
        lambda path, t: atan(path.sigma_tilde(t) / c),
        lambda path, u: path.inverse_sigma_tilde(c * tan(u)),
        m,
        slope,
        density=lambda y: 1 / (c * exp(y) + exp(-y) / c),
    )


MIX = Form(
    lambda path, t: path.sigma(t) / (path.alpha(t) + path.sigma(t)),
    lambda path, u: path.inverse_sigma_tilde(u / (1 - u)),
    lambda path, t: path.alpha(t) + path.sigma(t),
    lambda x, path, t: x.predict("noise", at=t) - x.predict("x0", at=t),
)


def data(eta: float = 0.0) -> Form:
    """DATA at strength eta."""
    c = 1 + eta * eta
    return Form(
        lambda path, t: exp(c * path.lam(t)),
        lambda path, u: path.inverse_sigma_tilde(u ** (u * 0 - 1 / (u * 0 + c))),
        lambda path, t: path.sigma(t) * (exp(-eta * eta * path.lam(t)) if eta else 1),
        lambda x, path, t: x.predict("x0", at=t),
        density=lambda y: exp(c * y),
        rate=c,
    )


DATA = data()
FORMS = {"time": TIME, "sigma": SIGMA, "log-sigma": LOG, "data": DATA, "angle": angle(), "mix": MIX}
