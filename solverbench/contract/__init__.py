"""The contract of a solver, asked check by check: does it load, trace, run, repeat, and converge.

    from solverbench.contract import check

    for finding in check("mine"):
        print(finding.status, finding.check, finding.measured)

None of the checks knows of a particular fault. A check that cannot be asked, because the solver raises, has failed.
What only its author can judge, such as a method that steps in t on purpose, is a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from solverbench.contract.base import Check, Finding
from solverbench.contract.limit import OutOfTime, limited
from solverbench.errors import SolverbenchError, in_words, place

if TYPE_CHECKING:
    from solverbench.api import SolverLike

__all__ = ["Check", "Finding", "check"]


LIMIT = 30.0
"""Seconds of the processor that a check may take: several times what the slowest takes."""
FIRST = ("traces", "repeats", "shape")
"""Checks without which others would only say the same again."""


def check(solver: SolverLike, limit: float = LIMIT) -> list[Finding]:
    """Ask a solver, given by name, by its function, or as it is, all of the contract; some seconds.

    limit: seconds of the processor for each check. Nothing more is asked of a solver that has no end, no plan, another
    plan each time, or results of another shape. Returns the findings in the order of the checks. Raises UsageError for
    unknown names and PlanError for adaptive solvers, which have no plan.
    """
    from solverbench.adaptive import Adaptive
    from solverbench.api import find_solver

    found = find_solver(solver)
    if isinstance(found, Adaptive):
        raise found.without_plan()
    findings: list[Finding] = []
    for name, ask in checks().items():
        try:
            with limited(limit):
                findings += _asked(name, ask, found)
        except OutOfTime as stopped:
            seen = f"no end after {limit:g} s{place(stopped)}"
            return [*findings, Finding(name, "fail", seen, "look for a loop that does not end with grid.steps")]
        if name in FIRST and any(f.status == "fail" for f in findings):
            break
    return findings


def checks() -> dict[str, Check]:
    """The checks by name, those that others build on first."""
    from solverbench.contract import finite, invariance, order, running, tracing, twins

    return {
        "traces": tracing.traces,
        "repeats": tracing.repeats,
        "steps": tracing.steps,
        "digits": tracing.digits,
        "shape": running.shape,
        "dtype": running.dtype,
        "nfe": running.nfe,
        "seed": running.seed,
        "batch": running.batch,
        "noise": running.noise,
        "predictions": invariance.predictions,
        "paths": invariance.paths,
        "finite": finite.finite,
        "order": order.order,
        "weak": order.weak,
        "strong": order.strong,
        "twins": twins.twins,
    }


def _asked(name: str, ask: Check, solver: object) -> Iterator[Finding]:
    try:
        yield from ask(solver)  # type: ignore[arg-type]
    except SolverbenchError as error:
        yield Finding(name, "fail", str(error), "a solver must not raise on any path, grid or prediction")
    except Exception as error:  # a pointwise function of a solver may raise anything
        yield Finding(name, "fail", in_words(error), "functions given to map() take numpy arrays and torch tensors")
