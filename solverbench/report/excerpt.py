"""What of a very large run is drawn: all of its solvers at some of its budgets, and that this is so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solverbench.report.comparison import usual_budget
from solverbench.report.records import Run

MOST = 8000
"""Cells of a page that is to stay below 8 MB."""


def thinned(run: Run, most: int) -> Run:
    """The run at no more than so many budgets, spread over all and with the usual one; its titles then say so.

    Budgets are kept or left out whole, so that who is best at one is judged among all its solvers.
    """
    records = run.records
    budgets = np.sort(records["budget"].dropna().unique())
    if len(budgets) <= most:
        return run
    some = np.linspace(0, len(budgets) - 1, max(1, most - 1))
    kept = {*budgets[np.unique(some.round().astype(int))], usual_budget(records)}
    shown = records[records["budget"].isin(kept)].reset_index(drop=True)
    left_out = run.elsewhere + len(records) - len(shown)
    return replace(run, records=shown, elsewhere=left_out, part=f"{len(kept)} of {len(budgets)} budgets")


def excerpt(run: Run) -> Run:
    """The run itself, or one that says that it is part of it: budgets spread over all, then problems, are left out."""
    records = run.records
    if len(records) <= MOST:
        return run
    some = thinned(run, MOST // int(records["budget"].value_counts().max()))
    left = MOST - some.records["problem"].value_counts(sort=False).cumsum()
    first = list(left.index[left >= 0]) or [some.records["problem"].iloc[0]]
    shown = some.records[some.records["problem"].isin(first)].reset_index(drop=True)
    note = (
        f"This page shows {len(shown):,} of {len(records):,} cells: NFE "
        f"{', '.join(f'{b:g}' for b in np.sort(shown['budget'].unique()))}"
        f"{'' if set(first) == set(records['problem']) else ' of ' + ', '.join(first)}. The tables beside it have all."
    )
    elsewhere = run.elsewhere + len(records) - len(shown)
    return replace(some, records=shown, warnings=[*run.warnings, note], elsewhere=elsewhere)
