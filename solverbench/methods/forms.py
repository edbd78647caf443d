"""The probability-flow ODE in the shapes that methods integrate: x = m y, dy = F du, F a prediction, u a variable.

    form     u                    m                       F
    TIME     t                    1                       velocity                  flow matching, generic ODE solvers
    SIGMA    sigma~               alpha                   noise                     DDIM, DEIS, EDM
    LOG      log sigma~           alpha                   sigma~ noise              adaptive steps
    DATA     e^lambda             sigma                   x0                        DPM-Solver++, UniPC
    ANGLE    arctan sigma~        sqrt(alpha^2+sigma^2)   velocity of that angle    the rotated variable
    MIX      sigma/(alpha+sigma)  alpha + sigma           noise - x0                rectified flow

All are the same equation; in each another prediction, constant over a step, is integrated exactly. `data(eta)` is DATA
for the reverse process of strength eta: u = e^{(1 + eta^2) lambda}, m = sigma e^{-eta^2 lambda}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from solverbench.numbers import Number, atan, cosh, exp, sqrt, tan
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
    """|du/dlambda| as a function of lambda up to a factor; None for TIME, whose polynomials are in u itself."""
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


def _angular(x: State, path: Path, t: Number) -> State:
    """cos u eps - sin u D: the velocity of x / m along the angle u."""
    radius = sqrt(path.alpha(t) ** 2 + path.sigma(t) ** 2)
    return (path.alpha(t) * x.predict("noise", at=t) - path.sigma(t) * x.predict("x0", at=t)) / radius


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
ANGLE = Form(
    lambda path, t: atan(path.sigma_tilde(t)),
    lambda path, u: path.inverse_sigma_tilde(tan(u)),
    lambda path, t: sqrt(path.alpha(t) ** 2 + path.sigma(t) ** 2),
    _angular,
    density=lambda y: 1 / cosh(y),
)
MIX = Form(
    lambda path, t: path.sigma(t) / (path.alpha(t) + path.sigma(t)),
    lambda path, u: path.inverse_sigma_tilde(u / (1 - u)),
    lambda path, t: path.alpha(t) + path.sigma(t),
    lambda x, path, t: x.predict("noise", at=t) - x.predict("x0", at=t),
    density=lambda y: 1 / cosh(y / 2) ** 2,
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
FORMS = {"time": TIME, "sigma": SIGMA, "log-sigma": LOG, "data": DATA, "angle": ANGLE, "mix": MIX}
