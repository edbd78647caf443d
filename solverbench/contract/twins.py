"""Whether a solver is one that has a name already: plans compared, not words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from solverbench.contract.base import Finding
from solverbench.errors import SolverbenchError
from solverbench.grids import grid
from solverbench.methods import SOLVERS, Solver
from solverbench.paths import path

STEPS = 6


def twins(solver: Solver) -> Iterator[Finding]:
    """Registered solvers whose plan is the same program up to rounding."""
    everywhere = same_program(solver, ("edm", "vp-linear", "rectified"))
    some = [name for name in same_program(solver) if name not in everywhere]
    if everywhere:
        yield Finding("twins", "note", f"the same program as {', '.join(everywhere)}", "cite it, or name it after it")
    if some:
        yield Finding("twins", "note", f"on edm and ve the same program as {', '.join(some)}")
    if not everywhere and not some:
        yield Finding("twins", "pass", f"the program of none of the {len(SOLVERS) - 1} other solvers")


def same_program(solver: Solver, paths: Sequence[str] = ("edm",)) -> list[str]:
    """Other registered solvers whose plans on these paths are the same programs, compared on the spot."""
    plans = [solver.plan(made, grid("edm", made, STEPS)) for made in map(path, paths)]

    def same(other: Solver) -> bool:
        try:
            return all(other.plan(plan.path, plan.grid).equivalent(plan) for plan in plans)
        except SolverbenchError:  # a file's other solver that cannot be traced is no twin
            return False

    return [name for name, other in SOLVERS.items() if str(other) != str(solver) and same(other)]
