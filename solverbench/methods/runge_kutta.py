"""Explicit Runge-Kutta methods in any form of the equation. A method is a tableau that checks itself; one kernel steps
it in any of the variables of `forms`: in time on the velocity, in sigma~ on the noise prediction (where Euler is DDIM).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from solverbench.errors import UsageError, check_known
from solverbench.grids import Grid
from solverbench.methods.forms import SIGMA, TIME, Form
from solverbench.methods.registry import solver
from solverbench.numbers import Number
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
        """Read rows of a separated by ;, e.g. `of("; 1/2; 0, 1/2", "1/6, ...")`; c follows from the row sums."""
        rows = [tuple(Fraction(e) for e in row.split(",") if e.strip()) for row in a.split(";")]
        return cls(tuple(sum(row, Fraction(0)) for row in rows), tuple(rows), tuple(map(Fraction, b.split(","))))


EULER = ButcherTableau.of("", "1")
MIDPOINT = ButcherTableau.of("; 1/2", "0, 1")
HEUN = ButcherTableau.of("; 1", "1/2, 1/2")
RALSTON = ButcherTableau.of("; 2/3", "1/4, 3/4")
KUTTA3 = ButcherTableau.of("; 1/2; -1, 2", "1/6, 2/3, 1/6")
HEUN3 = ButcherTableau.of("; 1/3; 0, 2/3", "1/4, 0, 3/4")
RALSTON3 = ButcherTableau.of("; 1/2; 0, 3/4", "2/9, 1/3, 4/9")
HOUWEN3 = ButcherTableau.of("; 8/15; 1/4, 5/12", "1/4, 0, 3/4")
SSP3 = ButcherTableau.of("; 1; 1/4, 1/4", "1/6, 1/6, 2/3")
RK4 = ButcherTableau.of("; 1/2; 0, 1/2; 0, 0, 1", "1/6, 1/3, 1/3, 1/6")
KUTTA38 = ButcherTableau.of("; 1/3; -1/3, 1; 1, -1, 1", "1/8, 3/8, 3/8, 1/8")
DORMAND_PRINCE5 = ButcherTableau.of(
    "; 1/5; 3/40, 9/40; 44/45, -56/15, 32/9; 19372/6561, -25360/2187, 64448/6561, -212/729;"
    "9017/3168, -355/33, 46732/5247, 49/176, -5103/18656",
    "35/384, 0, 500/1113, 125/192, -2187/6784, 11/84",
)
BUTCHER6 = ButcherTableau.of(
    "; 1/3; 0, 2/3; 1/12, 1/3, -1/12; -1/16, 9/8, -3/16, -3/8; 0, 9/8, -3/8, -3/4, 1/2;"
    "9/44, -9/11, 63/44, 18/11, 0, -16/11",
    "11/120, 0, 27/40, 27/40, -4/15, -4/15, 11/120",
)
FEHLBERG8 = ButcherTableau.of(
    "; 2/27; 1/36, 1/12; 1/24, 0, 1/8; 5/12, 0, -25/16, 25/16; 1/20, 0, 0, 1/4, 1/5;"
    "-25/108, 0, 0, 125/108, -65/27, 125/54; 31/300, 0, 0, 0, 61/225, -2/9, 13/900;"
    "2, 0, 0, -53/6, 704/45, -107/9, 67/90, 3; -91/108, 0, 0, 23/108, -976/135, 311/54, -19/60, 17/6, -1/12;"
    "2383/4100, 0, 0, -341/164, 4496/1025, -301/82, 2133/4100, 45/82, 45/164, 18/41;"
    "3/205, 0, 0, 0, 0, -6/41, -3/205, -3/41, 3/41, 6/41, 0;"
    "-1777/4100, 0, 0, -341/164, 4496/1025, -289/82, 2193/4100, 51/82, 33/164, 12/41, 0, 1",
    "0, 0, 0, 0, 0, 34/105, 9/35, 9/35, 9/280, 9/280, 0, 41/840, 41/840",
)
TABLEAUX = {
    "euler": EULER,
    "midpoint": MIDPOINT,
    "heun": HEUN,
    "ralston": RALSTON,
    "kutta3": KUTTA3,
    "heun3": HEUN3,
    "ralston3": RALSTON3,
    "houwen3": HOUWEN3,
    "ssp3": SSP3,
    "rk4": RK4,
    "kutta-38": KUTTA38,
    "dormand-prince-5": DORMAND_PRINCE5,
    "butcher-6": BUTCHER6,
    "fehlberg-8": FEHLBERG8,
}


def stages(
    x: State, s: Number, t: Number, path: Path, tableau: ButcherTableau, form: Form
) -> tuple[list[State], list[State], Number]:
    """(states, slopes k, h): every stage of one step of dy = F du, x = m y, from s to t."""
    u_s = form.u(path, s)
    h = form.u(path, t) - u_s
    states, k = [x], [form.slope(x, path, s)]
    y = x / form.m(path, s)
    for c, a in zip(tableau.c[1:], tableau.a[1:], strict=True):
        r = t if c == 1 else form.inverse(path, u_s + h * _number(c, h))
        states.append(form.m(path, r) * (y + increment(a, k, h)))
        k.append(form.slope(states[-1], path, r))
    return states, k, h


def increment(weights: tuple[Fraction, ...], k: list[State], h: Number) -> State:
    """h sum_i w_i k_i."""
    return sum(h * _number(w, h) * k_i for w, k_i in zip(weights, k, strict=True) if w)


def step(x: State, s: Number, t: Number, path: Path, tableau: ButcherTableau, form: Form) -> State:
    """One step of dy = F du, x = m y, from s to t."""
    _, k, h = stages(x, s, t, path, tableau, form)
    return form.m(path, t) * (x / form.m(path, s) + increment(tableau.b, k, h))


def _number(q: Fraction, like: Number) -> Number:
    """An exact rational in the number type of `like`."""
    if isinstance(like, np.ndarray) and like.dtype == float:  # whose integers have 64 bits
        return float(q)
    return (like * 0 + q.numerator) / q.denominator


def rk_time(x: State, path: Path, grid: Grid, *, tableau: str = "euler") -> State:
    """Runge-Kutta in t on the velocity, x_t = x_s + (t - s) sum_i b_i v_i. Pure noise is a regular starting point."""
    check_known("tableau", tableau, TABLEAUX)
    for s, t in grid.with_head:
        x = step(x, s, t, path, TABLEAUX[tableau], TIME)
    return x


def rk_sigma(x: State, path: Path, grid: Grid, *, tableau: str = "euler") -> State:
    """Runge-Kutta in sigma~ on the noise prediction (rhoRK-DEIS): x~_t = x~_s + (sigma~_t - sigma~_s) sum b_i eps_i."""
    check_known("tableau", tableau, TABLEAUX)
    for s, t in grid.steps:
        x = step(x, s, t, path, TABLEAUX[tableau], SIGMA)
    return x


def _time(name: str, order: int, tableau: str, reason: str, cite: str = "hairer1993") -> None:
    solver(name, order=order, integrates="velocity", family="runge-kutta", cite=cite, reason=reason, takes=("head",),
           tableau=tableau)(rk_time)  # fmt: skip


_time("euler", 1, "euler", "the slope where the step begins")
_time("midpoint", 2, "midpoint", "the slope at the middle of the step, reached by half an Euler step")
_time("heun", 2, "heun", "the mean of the slopes at both ends, the second one after an Euler step")
_time("ralston", 2, "ralston", "of the two-stage methods of order two the one with the least error bound")
_time("kutta3", 3, "kutta3", "Simpson's rule where the slope depends on time alone")
_time("heun3", 3, "heun3", "Heun's method of order three")
_time("ssp3", 3, "ssp3", "strong-stability preserving (Shu & Osher, eq. 2.18)", "shu1988")
_time("rk4", 4, "rk4", "Kutta's classical method")
_time("rk4-38", 4, "kutta-38", "Kutta's 3/8 rule, torchdiffeq's rk4")
_time("rk5", 5, "dormand-prince-5", "the propagating method of DOPRI5 with given steps", "dormand1980")
_time("rk6", 6, "butcher-6", "seven stages", "butcher1964")
_time("rk8", 8, "fehlberg-8", "the method of order eight of Fehlberg's pair with given steps, twelve stages")


def _rho(name: str, order: int, tableau: str, reason: str, cite: str = "zhang2023deis") -> None:
    solver(name, order=order, integrates="noise", family="runge-kutta", cite=cite, reason=reason, tableau=tableau)(
        rk_sigma
    )


_rho("euler-sigma", 1, "euler", "the same method as ddim with eta = 0", "karras2022edm")
_rho("rho-midpoint", 2, "midpoint", "the midpoint rule")
_rho("rho-2heun", 2, "heun", "algorithm 1 of EDM: on paths with t = sigma the same as heun")
_rho("rho-3kutta", 3, "kutta3", "Kutta's method of order three")
_rho("rho-3heun", 3, "heun3", "Heun's method of order three")
_rho("rho-3ral", 3, "ralston3", "Ralston's method of order three")
_rho("rho-3vdh", 3, "houwen3", "the low-storage method of van der Houwen and Wray")
_rho("rho-3ssprk", 3, "ssp3", "strong-stability preserving")
_rho("rho-4rk", 4, "rk4", "Kutta's classical method")
