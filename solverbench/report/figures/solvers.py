"""What the figures of solvers share: who is drawn how, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from solverbench.errors import UsageError
from solverbench.methods import SOLVERS
from solverbench.report.style import MARKERS, hues, stroke

if TYPE_CHECKING:
    from collections.abc import Sequence

    from solverbench.measures.law import Law
    from solverbench.methods import Solver
    from solverbench.plans import Plan

MOST = 10


def chosen(names: Sequence[str], most: int = MOST) -> list[tuple[Solver, dict[str, Any]]]:
    """Solvers with the properties of their lines. Raises UsageError for unknown names and for more than so many."""
    if len(names) > most:
        raise UsageError(f"{len(names)} solvers are more than this figure can show: name at most {most}")
    solvers, looks = (SOLVERS[name] for name in names), zip(hues(()).values(), MARKERS, strict=False)
    return [(solver, stroke(*look, solver.stochastic)) for solver, look in zip(solvers, looks, strict=False)]


def without_noise(names: Sequence[str], what: str, most: int = MOST) -> list[tuple[Solver, dict[str, Any]]]:
    """The same, of solvers that draw none. Raises UsageError for one that does."""
    found = chosen(names, most)
    for solver, _ in found:
        if solver.stochastic or solver.integrates == "flow map":
            raise UsageError(f"{what} is of solvers of the ODE, {solver} is none: name others")
    return found


def gaussian() -> Any:
    """The field that laws are taken on."""
    from solverbench.fields import load

    return load("cifar10-gaussian")


def plan_on(solver: Solver, field: Any, nfe: int) -> Plan:
    """The plan of a budget on EDM's grid."""
    from solverbench.grids import grid
    from solverbench.problems.budget import plan_within

    return plan_within(solver, field.path, lambda n: grid("edm", field.path, n), nfe, field.prediction)


def law_within(solver: Solver, field: Any, nfe: int) -> Law:
    """The output law of a budget on EDM's grid, from the exact start."""
    from solverbench.measures.law import law_of

    return law_of(plan_on(solver, field, nfe), field)
