"""What changed from one run to another: cell by cell, better, worse or the same, and what is not comparable.

Computed values are the same when they agree to `SAME`; sampled ones by the tests of `duel`, start by start where both
runs kept them, corrected for the cells of a problem and quantity. Problems that are stated otherwise in the other run,
at another scale or of another seed, have other numbers by right: they are named and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from solverbench.report.comparison import with_samples
from solverbench.report.duel import judged, verdicts
from solverbench.report.layout import Table, short

if TYPE_CHECKING:
    from solverbench.report.records import Run

WORDS = {"wins": "better", "ties": "same", "loses": "worse"}
COLUMNS = ("problem", "quantity", "solver", "budget", "before", "after", "ratio", "low", "high", "p", "change")
KEY = ["label", "budget"]
SELECTS = ("nfe", "solvers")  # of a problem: who is judged on it, which changes no number


@dataclass(frozen=True)
class Changes:
    """What `compare` found."""

    rows: pd.DataFrame
    """One row for each cell and quantity that both runs have, of `COLUMNS`; change is better, same or worse."""
    remarks: list[str]
    """How the runs differ, and what could not be compared."""

    def count(self, change: str) -> int:
        """How many rows have that change."""
        return int((self.rows["change"] == change).sum())

    def table(self) -> Table:
        """The rows that are not the same, worst first."""
        changed = self.rows[self.rows["change"] != "same"].copy()
        changed = changed.sort_values(["change", "ratio"], ascending=[False, False], kind="stable")
        body = changed[["problem", "quantity", "solver", "budget", "before", "after", "ratio", "change"]].astype(object)
        for column in ("before", "after", "ratio"):
            body[column] = [short(float(v)) for v in changed[column]]
        body["budget"] = [f"{b:g}" for b in changed["budget"]]
        counts = ", ".join(f"{self.count(word)} {word}" for word in WORDS.values())
        notes = [f"{counts}, of {len(self.rows)} numbers that both runs have.", *self.remarks]
        return Table("changes", "What changed", body, self.rows, notes, 3)


def changes(before: Run, after: Run) -> Changes:
    """Compare two runs by problem, solver and budget."""
    remarks = _manifests(before.manifest, after.manifest)
    specs = [{p["name"]: _spec(p) for p in run.manifest.get("problems", ())} for run in (before, after)]
    rows: list[pd.DataFrame] = []
    kinds = dict(after.problems)
    for problem, kind in before.problems:
        if problem not in kinds:
            remarks.append(f"{problem} is in the first run only.")
        elif (told := _unlike(specs[0].get(problem), specs[1].get(problem))) or kinds[problem] != kind:
            remarks.append(f"{problem} is not compared: {told or 'its kind changed'}.")
        elif before.manifest.get("seed") != after.manifest.get("seed") and kind != "law":
            remarks.append(f"{problem} is not compared: the seeds differ, so do the starts.")
        else:
            rows += _of(before, after, problem)
            measured = [{q.key: q.name for q in run.measured(problem)} for run in (before, after)]
            for i, which in enumerate(("first", "second")):
                alone = [name for key, name in measured[i].items() if key not in measured[1 - i]]
                remarks += [f"{problem}: {name} is in the {which} run only." for name in alone]
    remarks += [f"{name} is in the second run only." for name in kinds if name not in dict(before.problems)]
    for run, which in ((before, "first"), (after, "second")):
        if not run.complete:
            remarks.append(f"The {which} run is {run.progress}.")
    cells = [set(map(tuple, run.records[["problem", *KEY]].to_numpy())) for run in (before, after)]
    for i, which in enumerate(("first", "second")):
        if count := len(cells[i] - cells[1 - i]):
            remarks.append(f"{count} cells are in the {which} run only.")
    return Changes(pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS)), remarks)


def _of(before: Run, after: Run, problem: str) -> list[pd.DataFrame]:
    found = []
    for quantity in judged(before, problem):
        old, new = (with_samples(run.of(problem), quantity) for run in (before, after))
        pairs = new.merge(old, on=KEY, suffixes=("", "_b"))
        told = verdicts(pairs, quantity)
        # a number that was there, or is, is a change even where a duel would call it undecided
        alone = told["verdict"].isna() & (pairs["status"] != pairs["status_b"])
        told.loc[alone, "verdict"] = np.where(pairs.loc[alone, "ok"], "wins", "loses")
        first = {"problem": problem, "quantity": quantity.key, "solver": pairs["label"], "budget": pairs["budget"]}
        rows = pd.DataFrame({**first, "before": pairs["value_b"], "after": pairs["value"]}).join(told)
        found.append(rows.assign(change=told["verdict"].map(WORDS))[told["verdict"].notna()][list(COLUMNS)])
    return found


def _spec(problem: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in problem.items() if key not in SELECTS}


def _unlike(a: dict[str, Any] | None, b: dict[str, Any] | None) -> str:
    """What two statements of a problem differ in."""
    a, b = a or {}, b or {}
    keys = [key for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]
    return ", ".join(f"{key} {a.get(key)} became {b.get(key)}" for key in keys)


def _manifests(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The entries of two manifests that may explain a change of numbers."""
    told = {key: (a.get(key), b.get(key)) for key in ("suite", "suite_hash", "scale", "seed", "commit")}
    for group in ("versions", "hardware"):
        one, other = (m.get(group) or {} for m in (a, b))
        told |= {key: (one.get(key), other.get(key)) for key in (*one, *other)}
    return [f"{key}: {_brief(was)} became {_brief(now)}." for key, (was, now) in told.items() if was != now]


def _brief(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 40 or len(text) == 64 else text
