"""The bench: where one process judges cells, and what it says on the way.

A cell whose plan is the same program as that of a solver before it, on the same problem and budget, takes that solver's
program and so its numbers, bit for bit, whoever computes them and in whatever order: `same_as` says so.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import BudgetError, SolverbenchError, UndefinedError, in_words
from solverbench.measures.memory import with_peak
from solverbench.methods import Solver
from solverbench.plans import Plan
from solverbench.problems.base import Judgement, Problem
from solverbench.run.cache import Cache
from solverbench.run.cells import Cell
from solverbench.run.identity import identity


@dataclass(frozen=True)
class Preparing:
    """What all cells of a problem share is being computed, which is no cell's time."""

    problem: str


@dataclass(frozen=True)
class Prepared:
    """It has been; `broken` says why it cannot be, and then every cell of the problem fails."""

    problem: str
    seconds: float
    broken: str | None


@dataclass(frozen=True)
class Shared:
    """A prepared problem: the attributes that preparing gave it, pickled; None if they cannot travel."""

    problem: str
    broken: str | None
    state: bytes | None


@dataclass(frozen=True)
class Shown:
    """Pictures of a problem's reference."""

    problem: str
    images: np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Done:
    """A cell is finished, well or not: its record, and arrays by name if there are any."""

    cell: str
    record: dict[str, Any]
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    fatal: bool = False
    """Whether it cost the process it ran in."""


@dataclass(frozen=True)
class Tracing:
    """Which solver's program is at work from now on: a cell's own, or another's that it might share."""

    solver: str


@dataclass(frozen=True)
class Returned:
    """A cell is to be run again, without `solver`, another's program that cost the process it was traced in."""

    cell: str
    solver: str


@dataclass(frozen=True)
class Notice:
    """Something a user should know, and no cell's business."""

    text: str


Event: TypeAlias = Preparing | Prepared | Shared | Shown | Tracing | Done | Returned | Notice


@dataclass
class Bench:
    """Judges cells one after the other; quickest when those of a problem and a budget follow each other."""

    tell: Callable[[Event], None]
    cache: Cache | None = None
    _broken: dict[str, str | None] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)
    _plans: dict[tuple[str, int, str], Plan | None] = field(default_factory=dict)
    _judged: dict[tuple[str, int, str], tuple[Judgement, bool]] = field(default_factory=dict)
    """With whether they are from another run."""

    def knows(self, problem: str) -> bool:
        """Whether a problem has been prepared here, or adopted."""
        return problem in self._broken

    def adopt(self, problem: str, broken: str | None) -> None:
        """Take a problem for prepared, or for one that cannot be."""
        self._broken[problem] = broken

    def finish(self, cell: Cell) -> Done:
        """Judge one cell; whatever its solver or its field raises is in the record."""
        started = time.perf_counter()
        record, arrays = describe(cell), dict[str, Any]()
        try:
            plan = self._plan(cell, cell.solver, str(cell.solver))
            cost = cell.problem.evaluations
            record |= {
                "nfe": plan.nfe * cost, "steps": len(plan.grid), "rows": plan.rows, "stochastic": plan.draws > 0,
            }  # fmt: skip
            same, plan = self._first(cell, plan)
            judgement, record["identity"], record["reused"] = self._judge(cell, same or cell.solver, plan)
            record |= {"status": judgement.status, "reason": judgement.reason}
            record |= {"same_as": str(same) if same else None, **judgement.measures}
            arrays = judgement.arrays
        except (BudgetError, UndefinedError) as error:
            record |= {"status": "skipped", "reason": str(error)}
        except SolverbenchError as error:
            record |= failure(str(error), error)
        except Exception as error:  # a field may raise anything; it costs its own cell only
            record |= failure(in_words(error), error)
        record["seconds"] = time.perf_counter() - started
        return Done(cell.id, record, arrays)

    def _plan(self, cell: Cell, solver: Solver, name: str) -> Plan:
        key = cell.problem.spec.name, cell.budget, name
        if key not in self._plans:
            self._forget(cell)
            self._plans[key] = None
            self._plans[key] = cell.problem.plan(solver, cell.budget)
        if (known := self._plans[key]) is None:
            raise SolverbenchError(f"{name} could not be traced before")
        return known

    def _forget(self, cell: Cell) -> None:
        """What belongs to other problems and budgets will not be asked for again soon."""
        here = cell.problem.spec.name, cell.budget
        for known in (self._plans, self._judged):
            for key in [key for key in known if key[:2] != here]:
                del known[key]

    def _first(self, cell: Cell, plan: Plan) -> tuple[Solver | None, Plan]:
        """(the first solver before this one whose plan is the same program, that plan), or (None, plan)."""
        found: tuple[Solver | None, Plan] = None, plan
        for other in cell.before:
            name = str(other)
            if (cell.problem.spec.name, cell.budget, name) not in self._plans:
                self.tell(Tracing(name))
            try:
                known = self._plan(cell, other, name)
                _ = other.stochastic  # a problem may ask, and a solver that cannot be traced should not be asked here
            except Exception:  # its own cell says why
                continue
            if known.nfe == plan.nfe and known.equivalent(plan):
                found = other, known
                break
        if cell.before:
            self.tell(Tracing(str(cell.solver)))
        return found

    def _judge(self, cell: Cell, solver: Solver, plan: Plan) -> tuple[Judgement, str | None, bool]:
        """(the judgement, its identity, whether it was known from another run)."""
        problem = cell.problem
        key = problem.spec.name, cell.budget, str(solver)
        named = identity(problem.spec, plan, cell.seed, problem.asks(solver, plan))
        if key not in self._judged:
            known = self._known(named)
            if known is not None and self._show_known(problem, cell.seed):
                self._judged[key] = known, True
            else:
                self._prepare(problem, cell.seed)
                judgement, peak = with_peak(lambda: problem.judge(solver, plan))
                judgement.measures["peak_memory"] = peak
                self._judged[key] = judgement, False
                self._keep(named, judgement)
        judgement, reused = self._judged[key]
        return judgement, named, reused

    def _prepare(self, problem: Problem, seed: int) -> None:
        """Make sure of what all cells of a problem share. Raises SolverbenchError if it cannot be had."""
        name = problem.spec.name
        if name not in self._broken:
            self.tell(Preparing(name))
            started, broken = time.perf_counter(), None
            try:
                problem.prepare()
            except Exception as error:
                broken = in_words(error)
            self._broken[name] = broken
            self.tell(Prepared(name, time.perf_counter() - started, broken))
        if (why := self._broken[name]) is not None:
            raise SolverbenchError(f"the problem could not be prepared: {why}")
        if name not in self._shown:
            images = problem.reference_images
            self._keep(identity(problem.spec, None, seed, problem.asks()), Judgement({}, images=images))
            self._show(name, images)

    def _show_known(self, problem: Problem, seed: int) -> bool:
        """Whether the reference's pictures have been shown, or can be without computing it."""
        name = problem.spec.name
        if name not in self._shown:
            if (known := self._known(identity(problem.spec, None, seed, problem.asks()))) is None:
                return False
            self._show(name, known.images)
        return True

    def _show(self, name: str, images: Any) -> None:
        self._shown.add(name)
        if images is not None:
            self.tell(Shown(name, images))

    def _known(self, named: str | None) -> Judgement | None:
        return self.cache.get(named) if self.cache and named else None

    def _keep(self, named: str | None, judgement: Judgement) -> None:
        if self.cache and named:
            self.cache.put(named, judgement)


def describe(cell: Cell) -> dict[str, Any]:
    """What a cell's record says of what was asked for."""
    return {
        "cell": cell.id,
        "problem": cell.problem.spec.name,
        "kind": cell.problem.spec.kind,
        "solver": str(cell.solver),
        "family": cell.solver.family,
        "order": cell.solver.order,
        "budget": cell.budget,
        "grid": cell.problem.spec.grid,
        "device": cell.problem.spec.device,
        "seed": cell.seed,
    }


def failure(reason: str, error: BaseException | None = None) -> dict[str, Any]:
    """What a record says of a cell that failed."""
    trace = {"traceback": "".join(traceback.format_exception(error))} if error is not None else {}
    return {"status": "failed", "reason": reason, **trace}
