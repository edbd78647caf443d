"""Running a selection: every cell is judged, recorded and kept, whatever becomes of the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from solverbench.errors import BudgetError, SolverbenchError, StorageError, in_words
from solverbench.plans import Plan
from solverbench.problems.base import Judgement, Problem
from solverbench.problems.budget import plan_within
from solverbench.run.cells import Cell, Selection
from solverbench.run.store import RunFolder, command_line
from solverbench.run.suite import Suite
from solverbench.threads import numpy_on_one_thread


@dataclass
class Outcome:
    """How a run ended."""

    finished: int = 0
    failed: int = 0
    interrupted: bool = False
    messages: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 ok, 3 some cells failed, 130 interrupted. A solver that diverges is a result, not a failure."""
        return 130 if self.interrupted else 3 if self.failed else 0


def run(
    suite: Suite,
    selection: Selection,
    folder: RunFolder,
    *,
    say: Callable[[str], None],
    done: Callable[[dict[str, Any]], None],
) -> Outcome:
    """Judge all cells into the folder; Ctrl-C ends it and keeps what is done. `say` takes messages, `done` records."""
    seed = selection.cells[0].seed
    folder.manifest(
        {
            "suite": suite.name,
            "title": suite.title,
            "suite_hash": suite.digest,
            "scale": suite.scale,
            "command": command_line(),
            "seed": seed,
            "cells": len(selection.cells),
            "nfe": sorted({cell.budget for cell in selection.cells}),
            "problems": [vars(problem.spec) for problem in selection.problems],
            "left_out": list(selection.left_out),
        }
    )
    outcome = Outcome()
    for text in selection.left_out:
        say(f"not run: {text}")
    try:
        with numpy_on_one_thread():
            for problem in selection.problems:
                cells = [cell for cell in selection.cells if cell.problem is problem]
                for record in _records(problem, cells, folder, say):
                    outcome.finished += 1
                    outcome.failed += record["status"] == "failed"
                    done(record)
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        folder.close()
    return outcome


def _records(
    problem: Problem, cells: Sequence[Cell], folder: RunFolder, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Prepare a problem and finish its cells one by one; a problem that cannot be prepared fails its own cells only."""
    started = time.perf_counter()
    broken = None
    try:
        problem.prepare()
        folder.arrays(f"reference-{problem.spec.name}", images=problem.reference_images)
    except StorageError:
        raise
    except Exception as error:
        broken = in_words(error)
    if (seconds := time.perf_counter() - started) > 1:
        say(f"{problem.spec.name}: reference computed in {seconds:.1f} s")
    judged = _Judged()
    for cell in cells:
        yield _finish(cell, judged, folder, broken)


def _finish(cell: Cell, judged: _Judged, folder: RunFolder, broken: str | None) -> dict[str, Any]:
    """Judge one cell, store its pictures and its record, and return the record. broken: why its problem cannot be."""
    started = time.perf_counter()
    record: dict[str, Any] = {
        "cell": cell.id,
        "problem": cell.problem.spec.name,
        "kind": cell.problem.spec.kind,
        "solver": str(cell.solver),
        "family": cell.solver.family,
        "order": cell.solver.order,
        "budget": cell.budget,
        "grid": cell.problem.spec.grid,
        "seed": cell.seed,
    }
    try:
        problem = cell.problem
        field, cost = problem.field, problem.evaluations
        plan = plan_within(cell.solver, field.path, problem.grid, cell.budget, field.prediction, cost)
        record |= {"nfe": plan.nfe * cost, "steps": len(plan.grid), "rows": plan.rows, "stochastic": plan.draws > 0}
        if broken is None:
            same, judgement = judged.by(cell, plan)
            record |= {"status": judgement.status, "reason": judgement.reason, "same_as": same, **judgement.measures}
            folder.arrays(cell.id, images=judgement.images, squared_errors=judgement.squared_errors)
        else:
            record |= {"status": "failed", "reason": f"the problem could not be prepared: {broken}"}
    except StorageError:
        raise
    except BudgetError as error:
        record |= {"status": "skipped", "reason": str(error)}
    except SolverbenchError as error:
        record |= {"status": "failed", "reason": str(error)}
    except Exception as error:  # a field may raise anything; it costs its own cell only
        record |= {"status": "failed", "reason": in_words(error)}
    record["seconds"] = time.perf_counter() - started
    folder.append(record)
    return record


class _Judged:
    """Judgements of one problem. A cell whose plan is the same program as an earlier one takes its numbers."""

    def __init__(self) -> None:
        self._known: list[tuple[int, str, Plan, Judgement]] = []

    def by(self, cell: Cell, plan: Plan) -> tuple[str | None, Judgement]:
        """(the solver whose plan it is, if another's; the judgement)."""
        for budget, solver, known, judgement in self._known:
            if budget == cell.budget and known.nfe == plan.nfe and known.equivalent(plan):
                return solver, judgement
        judgement = cell.problem.judge(cell.solver, plan)
        self._known.append((cell.budget, str(cell.solver), plan, judgement))
        return None, judgement
