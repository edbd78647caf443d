"""The numbers of a suite's cells, without a run folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from solverbench.errors import SolverbenchError
from solverbench.gate.baseline import Baseline, Entry, here
from solverbench.run.bench import Done
from solverbench.run.cells import Selection
from solverbench.run.runner import Executor
from solverbench.run.suite import Suite


class FailedError(SolverbenchError):
    """Cells failed, and so have no numbers."""

    exit_code = 3


def measure(
    suite: Suite, selection: Selection, asked: dict[str, Any], execute: Executor, done: Callable[[dict[str, Any]], None]
) -> Baseline:
    """What a baseline of these cells would be. Cells that failed are in it, with that status and without numbers."""
    records = {}
    with closing(execute(selection.cells)) as events:
        for event in events:
            if isinstance(event, Done):
                records[event.cell] = event.record
                done(event.record)
    return Baseline(asked, suite.digest, here(), tuple(Entry.of(records[cell.id]) for cell in selection.cells))


def failures(baseline: Baseline) -> list[Entry]:
    """Of its entries, those that failed."""
    return [entry for entry in baseline.entries if entry.status == "failed"]
