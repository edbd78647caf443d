"""What is said under a table: what its numbers are made of, what bold means, and why cells have no number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import floor, tidy, twins, unpaired
from solverbench.report.layout import LEAST, listed, short
from solverbench.report.statistics import LEVEL

if TYPE_CHECKING:
    import pandas as pd

    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run

ORDER = "Order: as claimed."
FEW = 0.1
"""Of a paired error: the standard error, as a share of it, above which a few starts are most of its mean square."""
NAMED = 6
"""Cells that a note names."""
WORDS = {"diverged": "div", "failed": "fail", "skipped": "-"}


def counted(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """The number of samples; nothing of what is computed."""
    if not quantity.error:
        return []
    n = [f"{one:g}" for one in sorted(tidy(records, quantity)["n"].dropna().unique())]
    name = quantity.name[0].upper() + quantity.name[1:]
    return [f"{name}: n {'= ' + ' or '.join(n) if n else 'is not known'}."]


def sampled(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """The number of samples, the standard errors and how these were found; nothing of what is computed."""
    data = tidy(records, quantity)
    told = [text.removesuffix(".") for text in counted(records, quantity)]
    if not told or not data["ok"].any():
        return []
    told += ["values at other n are not comparable"] * quantity.key.startswith("fd")
    if len(methods := data["method"].dropna().unique()):
        told.append(f"in brackets: the standard error ({' or '.join(methods)}), in units of the last digit")
    if (data["se"].between(0, LEAST * data["value"], inclusive="neither")).any():
        told.append("below a thousandth of the value it is left out")
    return [f"{'; '.join(told)}."]


def of_few_starts(records: pd.DataFrame) -> list[str]:
    """Whose paired errors are mostly those of a few starts, and the typical error where that is known."""
    share = records["rmse_se"] / records["rmse"]
    worst = records.loc[share[share > FEW].sort_values(ascending=False, kind="stable").index]
    if worst.empty:
        return []
    beside = ["" if np.isnan(typical) else f" ({short(typical)})" for typical in worst["typical"]]
    names = [f"{label} at {budget:g}{typical}" for label, budget, typical
             in zip(worst["label"], worst["budget"], beside, strict=True)]  # fmt: skip
    return [
        f"Standard errors above {FEW:.0%} of the value: {listed(names, NAMED)}. A few bad starts make up most of such "
        f"an error; those not drawn may be worse.{' In brackets: the typical error.' if any(beside[:NAMED]) else ''}"
    ]


def context(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """`sampled`, the reference's own error and the floor, as far as they were measured."""
    notes = sampled(records, quantity)
    if quantity.resolution and np.isfinite(reference := records[quantity.resolution].median()):
        notes.append(
            f"Error of the reference itself: {short(reference)}; less than {RESOLVES} times that is not resolved."
        )
    if quantity.key == "rmse":
        notes += of_few_starts(records)
    if quantity.key == "rmse" and np.isfinite(truncation := records["rmse_truncation"].median()):
        notes.append(
            f"Truncation: {short(truncation)} is what a perfect solver of the same grid scores, whose last step is the "
            "denoiser at the smallest noise level."
        )
    if quantity.key == "fd_reference" and np.isfinite(error := records["set_error"].median()):
        notes.append(f"Paired RMSE of these references: {short(error)}.")
    if quantity.key == "fd_data" and np.isfinite(least := records["fd_data_floor"].median()):
        notes.append(f"Goal, the score of the reference trajectories' ends: {short(least)}.")
    if quantity.key == "fd":
        least, spread = floor(records)
        if np.isfinite(least):
            notes.append(f"Floor, the score of n exact samples: {short(least)} (standard deviation {short(spread)}).")
    return notes


def of_bold(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """What bold stands for, and by which test."""
    if not quantity.error:
        return [f"Bold: {'the best' if quantity.floor is None else 'the nearest to the goal'} at its budget."]
    test = f"beyond doubt (all pairs tested start by start, Holm's correction, {LEVEL:.0%} for the table's column)"
    if careful := unpaired(records, quantity):
        test = test.replace(" start by start", "")
    if quantity.floor is None:
        return [f"Bold: no solver is better at that budget {test}.", *careful]
    nearer = (
        f"Bold: no solver is nearer to the goal at that budget {test}. "
        "Below it is no better: with few samples, outputs that vary too little score low, "
        "so a solver may also pass the floor by chance."
        + " The paired error is the primary measure."
        * bool(records["rmse"].notna().any())
    )
    return [nearer, *careful]


def of_seconds(run: Run, records: pd.DataFrame) -> list[str]:
    """How the seconds were taken."""
    if np.isfinite(rounds := records["timed_rounds"].median()):
        return [
            f"Seconds are medians of {rounds:g} rounds in which all solvers of a budget take turns, alone; in "
            "brackets: standard errors of these medians."
        ]
    once = "Seconds were taken once for each cell, without a standard error"
    if (jobs := int(run.manifest.get("jobs", 1))) > 1:
        return [f"{once}, while {jobs} cells ran at once on one machine: `--timing` takes them by themselves."]
    return [f"{once}: `--timing` repeats them."]


def footnotes(records: pd.DataFrame, body: pd.DataFrame) -> list[str]:
    """Explain what stands in the table: budgets, orders, marks, identical programs, and why cells have no number."""
    notes = ["NFE is a budget: a solver takes as many steps as fit and may use fewer evaluations.", ORDER]
    texts = set(body.to_numpy().ravel())
    words = {"div": "diverged", "fail": "failed", "-": "budget too small, or not measured", "": "not run yet"}
    legend = [f"{mark or 'empty'}: {word}" for mark, word in words.items() if mark in texts]
    if legend:
        notes.append("; ".join(legend) + ".")
    if records["stochastic"].any():
        follows = "; its samples are not meant to follow the reference trajectory of the ODE"
        paired = (records["kind"] == "paired").any() and records["rmse"].notna().any()
        notes.append(f"†: stochastic{follows * bool(paired)}.")
    if (records["family"] == "user").any():
        notes.append("→: a solver of your own.")
    same, sometimes = twins(records)
    notes += [
        f"Identical programs: {' = '.join([root, *(name for name, r in same.items() if r == root)])}."
        for root in dict.fromkeys(same.values())
    ]
    notes += [
        f"{name} = {other} at NFE {', '.join(map(str, budgets))}: the identical program there."
        for name, others in sometimes.items()
        for other, budgets in others.items()
    ]
    bad = records[records["status"].isin(["diverged", "failed"]) & records["reason"].notna()]
    for (status, reason), rows in bad.groupby(["status", "reason"], sort=False):
        where = [f"{label} at {budget:g}" for label, budget in zip(rows["label"], rows["budget"], strict=True)]
        notes.append(f"{WORDS[str(status)]}: {listed(where, NAMED)}: {reason}")
    return notes
