"""What of a very large run is on its page: all of its solvers at some of its budgets, so that it opens anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solverbench.report.comparison import usual_budget
from solverbench.report.records import Run

MOST = 8000
"""Cells of a page that is to stay below 8 MB."""


def excerpt(run: Run) -> Run:
    """The run itself, or one that says that it is part of it: budgets spread over all, then problems, are left out.

    Budgets are kept or left out whole, so that who is best at one is judged among all its solvers.
    """
    records = run.records
    if len(records) <= MOST:
        return run
    budgets = np.sort(records["budget"].dropna().unique())
    each = records["budget"].value_counts().max()
    some = np.linspace(0, len(budgets) - 1, max(1, min(len(budgets), MOST // each - 1)))
    kept = {*budgets[np.unique(some.round().astype(int))], usual_budget(records)}
    shown = records[records["budget"].isin(kept)]
    left = MOST - shown["problem"].value_counts(sort=False).cumsum()
    first = list(left.index[left >= 0]) or [shown["problem"].iloc[0]]
    shown = shown[shown["problem"].isin(first)].reset_index(drop=True)
    note = (
        f"This page shows {len(shown):,} of {len(records):,} cells: NFE {', '.join(f'{b:g}' for b in sorted(kept))}"
        f"{'' if set(first) == set(records['problem']) else ' of ' + ', '.join(first)}. The tables beside it have all."
    )
    return replace(run, records=shown, warnings=[*run.warnings, note], elsewhere=len(records) - len(shown))
