"""Explicit Runge-Kutta methods, in time or in the canonical noise level.

The probability-flow ODE is dx/dt = velocity(x, t). In canonical coordinates x~ = x/alpha, sigma~ = sigma/alpha it reads
dx~/dsigma~ = eps(x, t), whose right-hand side varies little along a trajectory: Euler there is DDIM. A method is a
tableau that checks itself; one kernel runs any of them in either variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from solverbench.errors import UsageError
from solverbench.grids import Grid, Step
from solverbench.methods.registry import solver
from solverbench.paths import Path
from solverbench.plans import State


@dataclass(frozen=True)
class ButcherTableau:
    """An explicit Runge-Kutta method: k_i = f(s + c_i h, x + h sum_j a_ij k_j), x' = x + h sum_i b_i k_i."""

    c: tuple[Fraction, ...]
    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]

    def __post_init__(self) -> None:
        if [len(row) for row in self.a] != list(range(len(self.c))) or len(self.b) != len(self.c):
            raise UsageError("an explicit tableau has a strictly lower triangular a and as many b as c")
        if sum(self.b) != 1 or any(sum(row) != c for row, c in zip(self.a, self.c, strict=True)):
            raise UsageError("a tableau's rows must sum to c, and b to 1")

    @classmethod
    def of(cls, a: str, b: str) -> ButcherTableau:
        """Read rows of a separated by commas, e.g. `of("; 1/2; 0, 1/2", "1/6, ...")`; c follows from the row sums."""
        rows = [tuple(Fraction(e) for e in row.split(",") if e.strip()) for row in a.split(";")]
        return cls(tuple(sum(row, Fraction(0)) for row in rows), tuple(rows), tuple(map(Fraction, b.split(","))))


EULER = ButcherTableau.of("", "1")
MIDPOINT = ButcherTableau.of("; 1/2", "0, 1")
HEUN = ButcherTableau.of("; 1", "1/2, 1/2")
RK4 = ButcherTableau.of("; 1/2; 0, 1/2; 0, 0, 1", "1/6, 1/3, 1/3, 1/6")


def in_time(x: State, s: float, t: float, path: Path, tableau: ButcherTableau) -> State:
    """One step of dx/dt = velocity."""
    h = t - s
    k: list[State] = []
    for c, a in zip(tableau.c, tableau.a, strict=True):
        u = s + h * _number(c, h) if c < 1 else t
        stage = x + sum(h * _number(a_j, h) * k_j for a_j, k_j in zip(a, k, strict=True))
        k.append(stage.predict("velocity", at=u))
    return x + sum(h * _number(b_i, h) * k_i for b_i, k_i in zip(tableau.b, k, strict=True))


def in_sigma(x: State, s: float, t: float, path: Path, tableau: ButcherTableau) -> State:
    """One step of dx~/dsigma~ = eps in canonical coordinates."""
    sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
    h = sigma_t - sigma_s
    k: list[State] = []
    for c, a in zip(tableau.c, tableau.a, strict=True):
        u = s if c == 0 else t if c == 1 else path.inverse_sigma_tilde(sigma_s + h * _number(c, h))
        stage = x / path.alpha(s) + sum(h * _number(a_j, h) * k_j for a_j, k_j in zip(a, k, strict=True))
        k.append((x if c == 0 else path.alpha(u) * stage).predict("noise", at=u))
    slope = sum(h * _number(b_i, h) * k_i for b_i, k_i in zip(tableau.b, k, strict=True))
    return path.alpha(t) * (x / path.alpha(s) + slope)


def _number(q: Fraction, like: float) -> float:
    """An exact rational in the number type of `like`."""
    return (like * 0 + q.numerator) / q.denominator


def _in_time(x: State, path: Path, steps: tuple[Step, ...], tableau: ButcherTableau) -> State:
    for s, t in steps:
        x = in_time(x, s, t, path, tableau)
    return x


def _in_sigma(x: State, path: Path, steps: tuple[Step, ...], tableau: ButcherTableau) -> State:
    for s, t in steps:
        x = in_sigma(x, s, t, path, tableau)
    return x


@solver("euler", order=1, integrates="velocity", family="runge-kutta", cite="hairer1993", takes=("head",))
def euler(x: State, path: Path, grid: Grid) -> State:
    """Explicit Euler in t: x_t = x_s + (t - s) v(x_s, s). Pure noise is a regular starting point."""
    return _in_time(x, path, grid.with_head, EULER)


@solver("midpoint", order=2, integrates="velocity", family="runge-kutta", cite="hairer1993", takes=("head",))
def midpoint(x: State, path: Path, grid: Grid) -> State:
    """Explicit midpoint rule in t: the slope at the middle of the step, reached by half an Euler step."""
    return _in_time(x, path, grid.with_head, MIDPOINT)


@solver("heun", order=2, integrates="velocity", family="runge-kutta", cite="hairer1993", takes=("head",))
def heun(x: State, path: Path, grid: Grid) -> State:
    """Heun's method in t: the mean of the slopes at both ends, the second one after an Euler step."""
    return _in_time(x, path, grid.with_head, HEUN)


@solver("rk4", order=4, integrates="velocity", family="runge-kutta", cite="hairer1993", takes=("head",))
def rk4(x: State, path: Path, grid: Grid) -> State:
    """Kutta's classical method of order four in t."""
    return _in_time(x, path, grid.with_head, RK4)


@solver("euler-sigma", order=1, integrates="noise", family="runge-kutta", cite="karras2022edm")
def euler_sigma(x: State, path: Path, grid: Grid) -> State:
    """Euler in sigma~: x~_t = x~_s + (sigma~_t - sigma~_s) eps. The same method as ddim with eta = 0."""
    return _in_sigma(x, path, grid.steps, EULER)


@solver("rho-midpoint", order=2, integrates="noise", family="runge-kutta", cite="zhang2023deis")
def rho_midpoint(x: State, path: Path, grid: Grid) -> State:
    """Midpoint rule in sigma~ (rhoRK of DEIS, section 4)."""
    return _in_sigma(x, path, grid.steps, MIDPOINT)


@solver("rho-2heun", order=2, integrates="noise", family="runge-kutta", cite="zhang2023deis")
def rho_2heun(x: State, path: Path, grid: Grid) -> State:
    """Heun in sigma~ (rho-2Heun of DEIS, algorithm 1 of EDM): on paths with t = sigma the same as heun."""
    return _in_sigma(x, path, grid.steps, HEUN)


@solver("rho-4rk", order=4, integrates="noise", family="runge-kutta", cite="zhang2023deis")
def rho_4rk(x: State, path: Path, grid: Grid) -> State:
    """Kutta's classical method in sigma~ (rho-4RK of DEIS)."""
    return _in_sigma(x, path, grid.steps, RK4)
