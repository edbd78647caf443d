"""Running a selection: every cell is recorded and kept, whatever becomes of the next."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from solverbench.run.bench import Bench, Done, Event, Notice, Prepared, Shown
from solverbench.run.cache import Cache
from solverbench.run.cells import Cell, Selection
from solverbench.run.store import RunFolder, command_line, own_files
from solverbench.run.suite import Suite
from solverbench.run.timing import in_rounds
from solverbench.threads import on_one_thread


@dataclass
class Outcome:
    """How a run ended."""

    finished: int = 0
    failed: int = 0
    reused: int = 0
    timed: int = 0
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 ok, 3 some cells failed, 130 interrupted. A solver that diverges is a result, not a failure."""
        return 130 if self.interrupted else 3 if self.failed else 0


class Executor(Protocol):
    """Finishes cells somewhere, in any order."""

    def __call__(self, cells: Sequence[Cell]) -> Generator[Event]:
        """Exactly one `Done` for every cell. Closing the iterator ends whatever is at work for it."""


@dataclass
class InProcess:
    """Finishes cells here, one after the other: for debugging, and for fields and solvers that have no name."""

    cache: Cache | None = None

    def __call__(self, cells: Sequence[Cell]) -> Generator[Event]:
        """The events of each cell when it is finished."""
        told: list[Event] = []
        bench = Bench(told.append, self.cache)
        with on_one_thread():
            for cell in cells:
                done = bench.finish(cell)
                yield from (*told, done)
                told.clear()


def run(
    suite: Suite,
    selection: Selection,
    folder: RunFolder,
    *,
    execute: Executor | None = None,
    asked: dict[str, Any] | None = None,
    say: Callable[[str], None],
    done: Callable[[dict[str, Any]], None],
    timed: Callable[[dict[str, Any]], None] = lambda record: None,
    notes: Mapping[str, Any] | None = None,
    timing: int = 0,
) -> Outcome:
    """Finish the cells that the folder does not have yet; Ctrl-C ends it and keeps what is done.

    execute: where, in this process by default. asked: what `--resume` needs to select the same cells again.
    `say` takes messages, `done` records of finished cells; notes go into the manifest. timing: rounds in which solvers
    are timed side by side when all cells are finished (`timing.in_rounds`), if any; `timed` takes records with that.
    """
    todo = [cell for cell in selection.cells if cell.id not in folder.finished]
    if not folder.resumed:
        folder.manifest({**_manifest(suite, selection, asked), "jobs": getattr(execute, "jobs", 1), **(notes or {})})
    outcome = Outcome()
    for text in selection.left_out:
        say(f"not run: {text}")
    try:
        with closing((execute or InProcess())(todo)) as events:
            for event in events:
                match event:
                    case Prepared(problem, seconds, broken) if seconds > 1 and not broken:
                        say(f"{problem}: reference computed in {seconds:.1f} s")
                    case Notice(text):
                        say(text)
                    case Shown(problem, images):
                        folder.arrays(f"reference-{problem}", images=images)
                    case Done(cell, record, arrays):
                        folder.arrays(cell, **arrays)
                        written = folder.append(record)
                        outcome.finished += 1
                        outcome.failed += record["status"] == "failed"
                        outcome.reused += bool(record.get("reused"))
                        done(written)
        if timing:
            for record in in_rounds(selection, folder, timing, say):
                outcome.timed += 1
                timed(record)
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        folder.close()
    return outcome


def _manifest(suite: Suite, selection: Selection, asked: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "suite": suite.name,
        "title": suite.title,
        "suite_hash": suite.digest,
        "scale": suite.scale,
        "command": command_line(),
        "asked": asked,
        "files": own_files(selection.cells),
        "seed": selection.cells[0].seed,
        "cells": len(selection.cells),
        "nfe": sorted({cell.budget for cell in selection.cells}),
        "problems": [vars(problem.spec) for problem in selection.problems],
        "left_out": list(selection.left_out),
    }
