"""Adaptive solvers by name. They have no plan, so they are not among `solvers()`: `sample` takes either kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from solverbench.adaptive.control import Controller, Tolerance
from solverbench.adaptive.pairs import EXPONENTIAL, RungeKutta, embedded
from solverbench.adaptive.walk import Walk
from solverbench.errors import PlanError, check_known
from solverbench.methods.forms import FORMS
from solverbench.methods.registry import Registry, Solver, keyword_defaults

if TYPE_CHECKING:
    from solverbench.grids import Grid
    from solverbench.paths import Path
    from solverbench.predictions import Prediction


@dataclass(frozen=True)
class Adaptive(Solver):
    """A solver whose function gives a `Walk`, not a state; `order` is that of the solution it keeps."""

    def plan(self, path: str | Path, grid: Grid, prediction: Prediction = "x0") -> NoReturn:
        """Raises PlanError: there is none."""
        raise self.without_plan()

    def without_plan(self) -> PlanError:
        """What to say where a plan is needed."""
        return PlanError(
            f"{self} chooses its steps by the samples, so it has no plan, law or budget: run it with "
            f"solverbench.sample(field, {str(self)!r}, (t_max, t_min), n=...), which counts evaluations per sample"
        )

    def walk(self) -> Walk:
        """Raises UsageError for options out of range."""
        made: Any = self.function(**self.options)
        assert isinstance(made, Walk)
        return made


ADAPTIVE: Registry[Adaptive] = Registry()


def adaptive_solvers() -> Registry[Adaptive]:
    """Every adaptive solver by name."""
    return ADAPTIVE


def _register(name: str, order: int, cite: str, reason: str, **fixed: Any) -> Callable[..., Any]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        options = {**keyword_defaults(function), **fixed}
        facts: dict[str, Any] = {"cite": cite, "reason": reason, "options": options, "defaults": options}
        ADAPTIVE.add(Adaptive(name, function, order, family="adaptive", **facts))
        return function

    return register


@_register("dop853-adaptive", 8, "hairer1993", "order eight with estimates of orders five and three", pair="dop853")
@_register("rk45-adaptive", 5, "dormand1980", "orders five and four, DOPRI5", pair="rk45")
@_register("rk23-adaptive", 3, "bogacki1989", "orders three and two", pair="rk23")
def runge_kutta(
    *,
    pair: str = "rk45",
    variable: str = "time",
    rtol: float = 1e-3,
    atol: float = 1e-6,
    first: float = 0.0,
    controller: str = "standard",
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    safety: float = 0.9,
    limit: int = 10_000,
) -> Walk:
    """An embedded Runge-Kutta pair with the step control of scipy.integrate.solve_ivp.

    variable: what it steps in: time (on the velocity), sigma, log-sigma, data, angle or mix, see `methods.forms`.
    rtol, atol: a sample's root mean square of error / (atol + rtol |x|) is kept below one.
    first: the first step, 0 to choose it. controller: standard, plain or smooth, with pcoeff, icoeff, dcoeff, safety.
    limit: steps a sample may try before it is given up.
    """
    check_known("variable", variable, FORMS)
    made = RungeKutta(embedded(pair), FORMS[variable])
    control = Controller(controller, made.exponent, pcoeff, icoeff, dcoeff, safety)
    return Walk(made, Tolerance(rtol, atol), control, first, limit)


@_register("dpm-23-adaptive", 3, "lu2022dpm", "dpm-3 with dpm-2 of r_1 = 1/3 inside it", pair="dpm-23")
@_register("dpm-12-adaptive", 2, "lu2022dpm", "dpm-2 with dpm-1 inside it", pair="dpm-12")
def dpm(
    *,
    pair: str = "dpm-23",
    rtol: float = 0.05,
    atol: float = 0.0078,
    first: float = 0.05,
    controller: str = "plain",
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    safety: float = 0.9,
    limit: int = 10_000,
) -> Walk:
    """DPM-Solver-12 and -23, steps in lambda (appendix C), each sample by itself where theirs go by a batch's worst.

    The tolerance is max(atol, rtol max(|x'|, |x'_prev|)) with the solutions x' of lower order. controller=smooth,
    safety=0.81 is k-diffusion's sample_dpm_adaptive of one sample. Other options as for rk45-adaptive.
    """
    check_known("pair", pair, EXPONENTIAL)
    made = EXPONENTIAL[pair]
    control = Controller(controller, made.exponent, pcoeff, icoeff, dcoeff, safety)
    return Walk(made, Tolerance(rtol, atol, larger=True), control, first, limit)
