"""A step with estimates of its error: tableaux with second weights b^, whose less exact solution costs nothing.

Runge-Kutta   x' = m (y + h sum b_i k_i),  error m h sum (b_i - b^_i) k_i, in any form of the equation
exponential   DPM-Solver-12 and -23: the two singlestep solvers share their stages (arXiv 2206.00927, appendix C)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from solverbench.errors import UsageError
from solverbench.methods import exponential, runge_kutta
from solverbench.methods.exponential import DPM2, DPM3, ExponentialTableau, Weights
from solverbench.methods.forms import LOG, Form
from solverbench.methods.runge_kutta import DORMAND_PRINCE5, ButcherTableau
from solverbench.numbers import Number
from solverbench.paths import Path
from solverbench.plans import State

if TYPE_CHECKING:
    from collections.abc import Sequence


class Proposal(NamedTuple):
    """What a step came to."""

    x: State
    errors: tuple[State, ...]
    """One, or two that `control.Tolerance` combines."""
    size: State
    """What a relative tolerance is relative to."""


class Pair(Protocol):
    """A step with error estimates."""

    @property
    def order(self) -> int:
        """Of the solution that is kept."""

    @property
    def exponent(self) -> int:
        """The estimate falls with this power of the step."""

    @property
    def stages(self) -> int:
        """Predictions a step is made of."""

    @property
    def form(self) -> Form:
        """Whose variable steps are measured in."""

    def propose(self, x: State, path: Path, s: Number, t: Number) -> Proposal:
        """A step from s to t."""


@dataclass(frozen=True)
class Embedded:
    """A Butcher tableau with weights b^ of lower orders, the estimate's first. Raises UsageError unless they sum to 1.

    Where the last stage is the step's end (its row of a is b), its slope is also the next step's first.
    """

    tableau: ButcherTableau
    hats: tuple[tuple[Fraction, ...], ...]
    order: int
    exponent: int

    def __post_init__(self) -> None:
        if any(len(hat) != len(self.tableau.b) or sum(hat) != 1 for hat in self.hats):
            raise UsageError("a pair's second weights must sum to 1, as many as b")

    @cached_property
    def ends_in_its_last_stage(self) -> bool:
        """First same as last."""
        return self.tableau.b == (*self.tableau.a[-1], 0)

    @cached_property
    def differences(self) -> tuple[tuple[Fraction, ...], ...]:
        """b - b^."""
        return tuple(tuple(b - b_ for b, b_ in zip(self.tableau.b, hat, strict=True)) for hat in self.hats)

    @classmethod
    def ending(cls, tableau: ButcherTableau, hat: str, order: int, exponent: int) -> Embedded:
        """A tableau with the slope where it ends as one more stage, for which b^ has a weight."""
        longer = ButcherTableau((*tableau.c, Fraction(1)), (*tableau.a, tableau.b), (*tableau.b, Fraction(0)))
        return cls(longer, (tuple(map(Fraction, hat.split(","))),), order, exponent)


@cache
def embedded(name: str) -> Embedded:
    """rk23: Bogacki & Shampine (1989). rk45: Dormand & Prince (1980). dop853: Hairer, Norsett & Wanner (1993), II.5."""
    match name:
        case "rk23":
            three = ButcherTableau.of("; 1/2; 0, 3/4", "2/9, 1/3, 4/9")
            return Embedded.ending(three, "7/24, 1/4, 1/3, 1/8", 3, 3)
        case "rk45":
            hat = "5179/57600, 0, 7571/16695, 393/640, -92097/339200, 187/2100, 1/40"
            return Embedded.ending(DORMAND_PRINCE5, hat, 5, 5)
        case "dop853":
            return _dop853()
    raise UsageError(f"unknown pair {name!r} (known: rk23, rk45, dop853)")


def _dop853() -> Embedded:
    """Its coefficients are irrational; scipy has them in double precision. The estimates have orders five and three."""
    from scipy.integrate import DOP853

    c = tuple(map(Fraction, DOP853.C.tolist()))
    a = tuple(_summing_to(c_i, row[:i]) for i, (c_i, row) in enumerate(zip(c, DOP853.A.tolist(), strict=True)))
    b = _summing_to(1, DOP853.B.tolist())
    hats = (_summing_to(1, (DOP853.B - E[:-1]).tolist()) for E in (DOP853.E5, DOP853.E3))
    return Embedded(ButcherTableau(c, a, b), tuple(hats), 8, 8)


def _summing_to(total: Fraction | int, row: Sequence[float]) -> tuple[Fraction, ...]:
    """Rounded coefficients as fractions with the sum they must have; the largest takes the difference."""
    exact = list(map(Fraction, row))
    if exact:
        exact[max(range(len(exact)), key=lambda i: abs(exact[i]))] += total - sum(exact)
    return tuple(exact)


@dataclass(frozen=True)
class RungeKutta:
    """An embedded pair in a form of the equation."""

    pair: Embedded
    form: Form

    @property
    def order(self) -> int:
        """Of the solution that is kept."""
        return self.pair.order

    @property
    def exponent(self) -> int:
        """Of the step in the estimate."""
        return self.pair.exponent

    @property
    def stages(self) -> int:
        """Predictions a step is made of."""
        return len(self.pair.tableau.c)

    def propose(self, x: State, path: Path, s: Number, t: Number) -> Proposal:
        """A step from s to t."""
        tableau, m = self.pair.tableau, self.form.m(path, t)
        states, k, h = runge_kutta.stages(x, s, t, path, tableau, self.form)
        if self.pair.ends_in_its_last_stage:
            end = states[-1]
        else:
            end = m * (x / self.form.m(path, s) + runge_kutta.increment(tableau.b, k, h))
        errors = tuple(m * runge_kutta.increment(d, k, h) for d in self.pair.differences)
        return Proposal(end, errors, end)


@dataclass(frozen=True)
class Exponential:
    """A tableau of phi functions on the noise prediction, with weights of one order less; steps are in lambda."""

    tableau: ExponentialTableau
    hat: tuple[Weights, ...]
    order: int
    form: Form = LOG

    def __post_init__(self) -> None:
        ExponentialTableau(self.tableau.c, self.tableau.a, self.hat)  # which checks it

    @property
    def exponent(self) -> int:
        """Of the step in the estimate: the local error of the solution of one order less."""
        return self.order

    @property
    def stages(self) -> int:
        """Predictions a step is made of."""
        return len(self.tableau.c)

    def propose(self, x: State, path: Path, s: Number, t: Number) -> Proposal:
        """A step from s to t; the tolerance is relative to the solution of lower order, as published."""
        high, low = exponential.step(x, path, s, t, self.tableau, "noise", 0.0, self.hat)
        return Proposal(high, (high - low,), low)


def _phi_1(*weights: str) -> tuple[Weights, ...]:
    return tuple({1: Fraction(w)} if w != "0" else {} for w in weights)


EXPONENTIAL = {
    "dpm-12": Exponential(DPM2, _phi_1("1", "0"), 2),
    "dpm-23": Exponential(DPM3, _phi_1("-1/2", "3/2", "0"), 3),  # with DPM-Solver-2 of r_1 = 1/3
}
