"""Cells: one problem, one solver, one budget. What to run, decided before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from solverbench.errors import NothingSelectedError, PlanError, UsageError, nearest
from solverbench.methods import SOLVERS, Solver
from solverbench.problems.base import Problem, ProblemSpec, build
from solverbench.run.suite import Suite


@dataclass(frozen=True)
class Cell:
    """The unit of work."""

    problem: Problem
    solver: Solver
    budget: int
    seed: int
    before: tuple[Solver, ...] = ()
    """The solvers judged before it at this budget, whose program it may share."""

    @property
    def id(self) -> str:
        """Short content hash of what was asked for."""
        spec = self.problem.spec
        key = json.dumps([spec.name, str(spec), str(self.solver), self.budget, self.seed])
        return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Selection:
    """The cells of a run in order, and what was left out with the reason."""

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems that have cells."""
        found = {cell.problem.spec.name: cell.problem for cell in self.cells}
        return tuple(found.values())


def select(
    suite: Suite,
    *,
    solvers: Sequence[str] = (),
    problems: Sequence[str] = (),
    nfe: Sequence[int] = (),
    seed: int = 0,
) -> Selection:
    """The cells of a suite, narrowed by names (shell patterns allowed) and budgets; other solvers may be named too.

    Budgets are the inner loop but one: solvers of one budget follow each other, since they share times.
    Raises UsageError for unknown names and NothingSelectedError if nothing is left.
    """
    if (least := min(nfe, default=1)) < 1:
        raise UsageError(f"a budget is a positive number of model evaluations, got {least}")
    cells, left_out = [], []
    for problem in [build(spec, seed) for spec in _problems(suite, problems)]:
        fitting = []
        budgets = tuple(dict.fromkeys(nfe or problem.spec.nfe or suite.nfe))
        for method in _solvers(suite, problem.spec.solvers or suite.solvers, solvers):
            if reason := problem.applies(method):
                left_out.append(f"{method} on {problem.spec.name}: {reason}")
            else:
                fitting.append(method)
        fitting.sort(key=_evaluations)  # stable; equal grids follow each other
        before = [tuple(fitting[:place]) for place in range(len(fitting))]  # one for all budgets: they add up
        cells += [
            Cell(problem, method, budget, seed, earlier)
            for budget in budgets
            for method, earlier in zip(fitting, before, strict=True)
        ]
    if not cells:
        raise NothingSelectedError(f"nothing selected: no cell of suite {suite.name!r} passes the given filters")
    return Selection(tuple(cells), tuple(left_out))


def _problems(suite: Suite, patterns: Sequence[str]) -> list[ProblemSpec]:
    """Those of a suite that match a pattern, or all. Raises UsageError for a pattern that none matches."""
    names = [problem.name for problem in suite.problems]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"unknown problem {pattern!r} in suite {suite.name!r}{nearest(pattern, names)}")
    return [p for p in suite.problems if any(fnmatchcase(p.name, pattern) for pattern in patterns or ("*",))]


def _evaluations(method: Solver) -> int:
    """Per step; 0 for a solver that cannot be traced, whose cells will say so. Impossible options are errors now."""
    try:
        return method.evaluations
    except PlanError:
        return 0


def _solvers(suite: Suite, own: Sequence[str], patterns: Sequence[str]) -> list[Solver]:
    """Of a problem's `own` solvers those that match a pattern, and solvers named outright whether they are or not."""
    own = [name for entry in own for name in ([entry] if "*" not in entry else _shipped(entry))]
    names = own if not patterns else []
    for pattern in patterns:
        matches = [name for name in own if fnmatchcase(name, pattern)] if "[" not in pattern else []
        elsewhere = any(fnmatchcase(name, pattern) for name in suite.solvers) and pattern not in suite.solvers
        names += matches or ([] if elsewhere else [pattern])
    found = (SOLVERS[name] for name in names)
    return list({str(solver): solver for solver in found}.values())  # named twice, or by a default: still one solver


def _shipped(pattern: str) -> list[str]:
    """The solvers a suite means by a pattern: never the user's own."""
    return [name for name in SOLVERS if fnmatchcase(name, pattern) and SOLVERS[name].family != "user"]
