"""The order of a sampler, measured: on which grids, against what, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from solverbench.errors import SolverbenchError, in_words
from solverbench.methods.registry import Solver
from solverbench.numbers import Number
from solverbench.orders.grids import ENDS, GRIDS, GridOf, karras
from solverbench.orders.laws import laws
from solverbench.orders.local import local_order
from solverbench.orders.problems import GAUSSIAN, NONLINEAR, mixed, start
from solverbench.orders.ruler import FLOOR, Slope, slope
from solverbench.orders.subjects import Array, Draw, Subject

Verdict: TypeAlias = Literal[
    "as claimed",
    "no claim",
    "undetermined",
    "below claim: start-up",
    "below claim: coefficients",
    "inconsistent",
    "failed",
]
Problem: TypeAlias = Literal["nonlinear", "gaussian"]
PROBLEMS: tuple[Problem, ...] = get_args(Problem)
COLUMNS: dict[Problem, slice] = {"nonlinear": NONLINEAR, "gaussian": GAUSSIAN}
SIZES = tuple(3 * 2**k for k in range(1, 7))
"""Steps of a run: multiples of three, the period of the uneven grid."""
PRECISE_SIZES, PRECISE_ENDS, DIGITS = (6, 12, 24), (1.5, 1.4), 40
"""Where double precision ends before a window is found: few steps on a short way, to 40 digits."""
PRECISE_FLOOR = 10.0 ** (8 - DIGITS)
PRACTICAL = (80.0, 0.002, 7)
"""First and last noise level and rho of the grid on which the order at practical budgets is measured."""
WORSE: tuple[Verdict, ...] = get_args(Verdict)
"""Verdicts from best to worst."""


def expected(solver: Solver) -> Verdict:
    """The verdict that follows from what a solver is registered with."""
    match solver.attains:
        case (0, _):
            return "inconsistent"
        case (_, "start-up"):
            return "below claim: start-up"
        case (_, "coefficients"):
            return "below claim: coefficients"
    return "no claim" if solver.order is None else "as claimed"


@dataclass(frozen=True)
class Report:
    """What was measured of one sampler."""

    name: str
    claimed: int | None
    verdict: Verdict
    slopes: dict[str, Slope]
    """By "grid problem": of the flow itself, or of the reverse process without its noise."""
    local: Slope | None
    """Of one step with an exact history (`local`); None if it cannot be asked."""
    practical: float
    """log2 of error at 10 evaluations over error at 20 on the EDM grid from 80 to 0.002, nonlinear field, root mean
    square; what one feels of the order at budgets in use."""
    weak: dict[str, Slope]
    """Of the output law on the Gaussian: "variance" and "mean" (its slope), by exact laws."""
    strong: Slope | None
    """Root mean square distance to the exact solution on the same Brownian path, by exact laws; None without noise."""
    error: str = ""
    """Why the verdict is "failed"."""

    @property
    def attained(self) -> Slope:
        """The order of a whole run: the least over problems and grids without aid."""
        return _least(s for name, s in self.slopes.items() if not name.startswith("graded"))

    @property
    def aided(self) -> Slope:
        """The order with a history as good as exact; asked only where a run falls short of the claim."""
        return _least(s for name, s in self.slopes.items() if name.startswith("graded"))

    def record(self) -> dict[str, Any]:
        """As a flat row of plain values."""
        least, aided = self.attained, self.aided
        return {
            "solver": self.name,
            "claimed": self.claimed,
            "measured": least.order,
            "half": least.half,
            "aided": aided.order,
            "local": self.local.order if self.local else None,
            "constant": least.constant,
            "window": "-".join(map(str, least.window)) if least.window else None,
            "practical": self.practical,
            **{f"weak {name}": s.order for name, s in self.weak.items()},
            **({"strong": self.strong.order} if self.strong else {}),
            "verdict": self.verdict,
            "remark": self.error or least.remark,
        }


def _least(slopes: Iterable[Slope]) -> Slope:
    slopes = list(slopes)
    return min(seen(slopes) or slopes, key=lambda s: s.order, default=Slope(math.nan))


def measure(subject: Subject, problems: Sequence[Problem] = PROBLEMS) -> Report:
    """Measure a sampler on these problems; one that raises gets the verdict "failed" with its words."""
    try:
        return _measure(subject, tuple(problems))
    except SolverbenchError as error:
        words = str(error)
    except Exception as error:  # a sampler of somebody else's
        words = in_words(error)
    return Report(subject.name, subject.order, "failed", {}, None, math.nan, {}, None, words)


def _measure(subject: Subject, problems: tuple[Problem, ...]) -> Report:
    with np.errstate(all="ignore"):  # what overflows is seen in the errors
        weak, strong = laws(subject) if subject.stochastic else ({}, None)
        slopes = {} if subject.eta is None else _slopes(subject, ("smooth", "uneven"), problems)
        if not all(s.reaches(subject.order or 0) for s in slopes.values()):
            slopes |= _slopes(subject, ("graded",), problems)
        local = local_order(subject)
        practical = math.nan if subject.eta is None else _practical(subject)
    verdict = _verdict(subject, slopes, local, weak)
    return Report(subject.name, subject.order, verdict, slopes, local, practical, weak, strong)


def _slopes(subject: Subject, names: tuple[str, ...], problems: tuple[Problem, ...]) -> dict[str, Slope]:
    found: dict[str, Slope] = {}
    for name in names:
        errors = np.concatenate([flow_error(subject, GRIDS[name](N, float, ENDS)) for N in SIZES])
        measured = {problem: slope(errors[:, COLUMNS[problem]], SIZES) for problem in problems}
        if subject.numbers and any(s.window is None and not s.exact for s in measured.values()):
            errors = _precise(subject, GRIDS[name])
            precise = {p: slope(errors[:, COLUMNS[p]], PRECISE_SIZES, PRECISE_FLOOR) for p in problems}
            measured = {p: replace(s, constant=math.nan) for p, s in precise.items()}  # of another way: not to compare
        found |= {f"{name} {problem}": s for problem, s in measured.items()}
    return found


def _precise(subject: Subject, grid: GridOf) -> Array:
    import mpmath

    with mpmath.workdps(DIGITS):
        return np.concatenate([flow_error(subject, grid(N, mpmath.mpf, PRECISE_ENDS)) for N in PRECISE_SIZES])


def flow_error(subject: Subject, sigmas: tuple[Number, ...]) -> Array:
    """Signed errors (1, columns) of a run without noise, against the exact flow of the subject's strength."""
    assert subject.eta is not None
    x = start(sigmas[0])
    zeros: Draw = lambda k: np.zeros_like(x)  # noqa: E731
    return np.asarray(subject.run(mixed, x, sigmas, zeros) - mixed.jump(x, sigmas[0], sigmas[-1], subject.eta))


def _practical(subject: Subject) -> float:
    first, last, rho = PRACTICAL
    sizes = [max(1, round(budget / subject.evaluations)) for budget in (10, 20)]
    grids = [karras([i / N for i in range(N + 1)], first, last, rho) for N in sizes]
    e = [float(np.sqrt(np.mean(np.square(flow_error(subject, g)[:, NONLINEAR])))) for g in grids]
    return math.log2(e[0] / e[1]) / math.log2(sizes[1] / sizes[0]) if min(e) > FLOOR else math.inf


def _verdict(subject: Subject, slopes: dict[str, Slope], local: Slope | None, weak: dict[str, Slope]) -> Verdict:
    """From the slopes that hold a number: where the ruler found nothing to measure, nothing is held against anyone."""
    every = [s for name, s in slopes.items() if not name.startswith("graded")] or [weak["variance"]]
    plain, p = seen(every), subject.order
    converges = all(s.reaches(0.5) for s in seen([*every, *weak.values()]))
    if any(s.remark == "not finite" for s in every) or not converges:
        return "inconsistent"
    if p is None:
        return "no claim"
    if not plain:
        return "undetermined"
    step = seen([local] if local else [])
    right = all(s.reaches(p + (not subject.corrects)) for s in step)
    if right and all(s.reaches(p) for s in plain):
        return "as claimed"
    aided = seen(s for name, s in slopes.items() if name.startswith("graded"))
    if right and (aided or step) and all(s.reaches(p) for s in aided):
        return "below claim: start-up"
    return "below claim: coefficients"


def seen(slopes: Iterable[Slope]) -> list[Slope]:
    return [s for s in slopes if s.window or s.exact]
