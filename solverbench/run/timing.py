"""Seconds of solvers side by side: rounds in which all of a problem and a budget take turns, when nothing else runs.

The seconds that a cell takes when it is judged are of a moment of the machine, and of as many cells at once as there
are workers. Here a slow moment falls on all alike, and what is told is the median. It takes rounds times as long as the
cells themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from solverbench.measures.compute import interleaved
from solverbench.problems.sampled import Sampled
from solverbench.run.cells import Cell, Selection
from solverbench.run.store import RunFolder
from solverbench.threads import on_one_thread

WARMUP = 2


def in_rounds(
    selection: Selection, folder: RunFolder, rounds: int, say: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Time the cells of problems on samples that finished well, on one thread, and yield their records, written again.

    Added are timed_seconds, the median over `rounds` of one run on all samples, its standard error, the medians of what
    of it was the field's (timed_field_seconds) and of the rest (timed_overhead_seconds), and timed_rounds.
    Cells that are another's program have that one's numbers; those that have been timed in as many rounds are left.
    Raises UsageError for fewer than three rounds.
    """
    records = {r["cell"]: r for r in folder.records()}
    cells = [cell for cell in selection.cells if _wanted(cell, records.get(cell.id), rounds)]
    if not cells:
        say(f"nothing to time: no cell on samples, or all of them in {rounds} rounds already")
    with on_one_thread():
        for (problem, budget), together in groupby(cells, lambda cell: (cell.problem, cell.budget)):
            named = {str(cell.solver): cell for cell in together}
            own = {name: cell for name, cell in named.items() if records[cell.id]["same_as"] not in named}
            say(f"{problem.spec.name} at NFE {budget}: timing {len(own)} solvers in {rounds} rounds")
            found = _seconds(problem, own, rounds)
            for name, cell in named.items():
                record = records[cell.id]
                yield folder.append({**record, **found[name if name in own else record["same_as"]]})


def _wanted(cell: Cell, record: Mapping[str, Any] | None, rounds: int) -> bool:
    return (
        isinstance(cell.problem, Sampled)
        and record is not None
        and record["status"] == "ok"
        and record.get("timed_rounds") != rounds
    )


def _seconds(problem: Sampled, cells: Mapping[str, Cell], rounds: int) -> dict[str, dict[str, float | None]]:
    runs: dict[str, list[dict[str, float | None]]] = {name: [] for name in cells}

    def candidate(name: str, cell: Cell) -> Callable[[], object]:
        plan = problem.plan(cell.solver, cell.budget)
        return lambda: runs[name].append(problem.seconds(plan))

    seconds = interleaved({name: candidate(name, cell) for name, cell in cells.items()}, rounds, WARMUP)
    return {
        name: {
            "timed_seconds": found.value,
            "timed_seconds_se": found.se,
            **_split(runs[name][WARMUP:]),
            "timed_rounds": rounds,
        }
        for name, found in seconds.items()
    }


def _split(runs: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Medians of what was the field's and of the rest; None where they are not known apart, as on a GPU.

    The rest is taken run by run, as it is small beside what the field's seconds vary by.
    """
    pairs = [(run["sampling_seconds"], run["field_seconds"]) for run in runs]
    known = np.array([(whole, field) for whole, field in pairs if whole is not None and field is not None])
    apart = len(known) == len(runs)
    return {
        "timed_field_seconds": float(np.median(known[:, 1])) if apart else None,
        "timed_overhead_seconds": float(np.median(known[:, 0] - known[:, 1])) if apart else None,
    }
