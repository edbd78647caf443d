"""Checks on plans, before anything runs: is there one everywhere, is it the same again, are its numbers good."""

from __future__ import annotations

from collections.abc import Iterator

from solverbench.contract.base import ROUNDING, SIGMAS, Finding, between, generators, on
from solverbench.errors import SolverbenchError
from solverbench.grids import Grid, grid
from solverbench.methods import Solver
from solverbench.paths import PATHS, path
from solverbench.plans import LinComb, Plan
from solverbench.predictions import PREDICTIONS

DIGITS = 40


def traces(solver: Solver) -> Iterator[Finding]:
    """On every path, for every prediction, with and without a last step onto the data; and on the path's own grids,
    out of pure noise where it starts there."""
    failures: list[str] = []
    plans = 0
    for name in PATHS:
        made = path(name)
        cases = [(on(made, data), kind) for data in (False, True) for kind in PREDICTIONS]
        cases += [(grid("uniform", made, steps, zero=zero), "x0") for steps in (1, 4) for zero in (False, True)]
        for steps, kind in cases:
            plans += 1
            try:
                solver.plan(made, steps, kind)
            except SolverbenchError as error:
                failures.append(f"{name}, prediction {kind}, {len(steps)} steps: {error}")
    if failures:
        told = f"{len(failures)} of {plans} plans cannot be made, the first on {failures[0]}"
        remedy = "numbers come from path and grid alone, on every path and with one step; then the rest is asked"
        yield Finding("traces", "fail", told, remedy)
    else:
        yield Finding("traces", "pass", f"{plans} plans: {len(PATHS)} paths, {len(PREDICTIONS)} predictions")


def steps(solver: Solver) -> Iterator[Finding]:
    """Every time of a grid is used: changed by itself, it changes the plan."""
    edm = path("edm")
    plan = solver.plan(edm, on(edm))
    moved = (Grid(edm, (*SIGMAS[:i], 1.01 * SIGMAS[i], *SIGMAS[i + 1 :])) for i in range(len(SIGMAS)))
    unused = [str(i + 1) for i, g in enumerate(moved) if between(plan, solver.plan(edm, g)) == 0]
    if not unused:
        yield Finding("steps", "pass", f"each of {len(SIGMAS)} times on a grid is used")
        return
    seen = f"of {len(SIGMAS)} times on a grid it makes no difference where these are: {', '.join(unused)}"
    yield Finding("steps", "fail", seen, "take all of grid.steps, each from s to t, and return the state at the last t")


def repeats(solver: Solver) -> Iterator[Finding]:
    """The same plan again, after others on other grids and paths have been traced."""
    edm, rectified, before = path("edm"), path("rectified"), generators()
    first = solver.plan(edm, on(edm))
    others = [grid("edm", edm, 3), grid("edm", edm, len(first.grid)), grid("log-snr", rectified, 9, t_max=0.9)]
    for other in others:
        solver.plan(other.path, other)
    again = [solver.plan(edm, on(edm)) for _ in range(2)]  # twice: what changes every other time is seen
    nfe, distance = {plan.nfe for plan in again} - {first.nfe}, max(between(first, plan) for plan in again)
    if generators() != before:
        seen = "coefficients are drawn: the random generator of Python, numpy or torch is used or seeded"
    elif nfe:
        seen = f"{first.nfe} evaluations when first traced, {min(nfe)} when traced again"
    elif distance > 0:
        seen = f"traced again, coefficients differ by {distance:.1e}"
    else:
        yield Finding("repeats", "pass", f"{first.nfe} evaluations, bit for bit the same plan again")
        return
    remedy = "keep nothing from one call to the next: no module-level caches, counters or random numbers"
    yield Finding("repeats", "fail", seen, remedy)


def digits(solver: Solver) -> Iterator[Finding]:
    """Coefficients in double precision against forty digits: a cast and what cancels are seen."""
    import mpmath

    edm, vp = path("edm"), path("vp-linear")
    worst = 0.0
    with mpmath.workdps(DIGITS):
        for made in (edm, vp):
            try:
                exact = solver.plan(made, on(made, number=mpmath.mpf))
            except SolverbenchError as error:
                remedy = "use the functions of solverbench.numbers rather than math or numpy: orders are then measured "
                yield Finding("digits", "note", f"no plan to {DIGITS} digits: {error}", remedy + "to forty digits too")
                return
            worst = max(worst, between(exact, solver.plan(made, on(made))))
            if made is vp and _double(exact):  # on edm exact coefficients may be doubles
                remedy = "use the functions of solverbench.numbers, which follow the number type of the times"
                yield Finding("digits", "note", f"asked for {DIGITS} digits, coefficients have sixteen", remedy)
                return
    if worst <= ROUNDING:
        yield Finding("digits", "pass", f"coefficients differ from those to {DIGITS} digits by {worst:.0e}")
    else:
        remedy = "compute in the number type of the times: no float32, and expm1 or phi where differences cancel"
        yield Finding("digits", "fail", f"coefficients differ from those to {DIGITS} digits by {worst:.0e}", remedy)


def _double(plan: Plan) -> bool:
    """Whether a plan on times of many digits has no more than doubles: in its first combination, unless multiplied."""
    first = next((i.terms for i in plan.code if isinstance(i, LinComb)), ())
    return bool(first) and all(float(c) == c for _, c in first)
