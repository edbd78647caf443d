"""One solver against others, problem by problem and budget by budget: where it wins, ties and loses.

Every verdict is an interval. The difference of two errors has a standard error, that of both combined (their starts
are the same, so it is rather too large); with 95 % of its law on one side of zero a comparison is won or lost, else
it is a tie. Computed values have no error and tie when they agree to `SAME`. What is sampled and has no standard error
is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.report.comparison import SAME, tidy
from solverbench.report.layout import Table, short

if TYPE_CHECKING:
    from collections.abc import Collection

    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run

Z = 1.96
"""Standard errors on either side of a 95 % interval."""
COLUMNS = (
    "problem", "quantity", "solver", "against", "budget", "value", "other", "ratio", "low", "high", "verdict",
)  # fmt: skip
SIGN = {"wins": "+", "ties": "=", "loses": "-"}


def judged(run: Run, problem: str, kind: str) -> list[Quantity]:
    """The quantities of a problem that say how sure they are: computed, or with a standard error."""
    return [q for q in run.measured(problem) if kind == "law" or q.error]


def duels(run: Run, mine: Collection[str]) -> pd.DataFrame:
    """One row for each problem, quantity, solver of `mine`, other solver and budget, of `COLUMNS`.

    ratio: the solver's error over the other's, with the ends `low` and `high` of its 95 % interval; where exact samples
    have a score, of the distances from that. A solver that has no number where the other has one loses.
    """
    rows = []
    for problem, kind in run.problems:
        for quantity in judged(run, problem, kind):
            data = tidy(run.of(problem), quantity)
            own = data["solver"].isin(list(mine))
            for _, a in data[own].iterrows():
                for _, b in data[~own & (data["budget"] == a["budget"])].iterrows():
                    if found := _duel(a, b):
                        first = {"problem": problem, "quantity": quantity.key, "solver": a["label"]}
                        rows.append({**first, "against": b["label"], "budget": int(a["budget"]), **found})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _duel(a: pd.Series, b: pd.Series) -> dict[str, object] | None:
    """a against b; None where neither has a number, or one was given too small a budget or has noise where that is
    not measured."""
    numbers = {"value": a["value"], "other": b["value"], "ratio": np.nan, "low": np.nan, "high": np.nan}
    if not (a["ok"] and b["ok"]):
        if a["ok"] == b["ok"] or {a["status"], b["status"]} & {"skipped"} or a["status"] == b["status"]:
            return None
        return {**numbers, "verdict": "wins" if a["ok"] else "loses"}
    ratio, low, high, verdict = verdict_of(a["rank"], a["se"], b["rank"], b["se"])
    return {**numbers, "ratio": ratio, "low": low, "high": high, "verdict": verdict}


def verdict_of(a: float, a_se: float, b: float, b_se: float) -> tuple[float, float, float, str]:
    """(ratio a/b, the ends of its 95 % interval, "wins" | "ties" | "loses") for errors a and b with standard errors."""
    band = Z * float(np.hypot(np.nan_to_num(a_se), np.nan_to_num(b_se))) + SAME * max(abs(a), abs(b))
    verdict = "wins" if a - b < -band else "loses" if a - b > band else "ties"
    if not b:
        return float("nan"), float("nan"), float("nan"), verdict
    return a / b, max(0.0, (a - band) / b), (a + band) / b, verdict


def tables(run: Run, mine: Collection[str]) -> list[Table]:
    """For each problem and quantity the ratios by opponent and budget, with a sign for the verdict."""
    rows = duels(run, mine)
    made = []
    for (problem, key, solver), found in rows.groupby(["problem", "quantity", "solver"], sort=False):
        kind = dict(run.problems)[str(problem)]
        quantity = next(q for q in judged(run, str(problem), kind) if q.key == key)
        texts = found.assign(text=[_text(row) for row in found.to_dict("records")])
        body = texts.pivot(index="against", columns="budget", values="text")
        body = body.reindex(index=pd.unique(found["against"]), columns=sorted(body.columns)).fillna("")
        body.columns = pd.Index([f"{b:g}" for b in body.columns])
        body.insert(0, "against", body.index)
        none = pd.DataFrame(False, index=body.index, columns=body.columns)
        notes = [
            _count(found["verdict"]),
            "Its error over the other's: below one is better. +: wins, =: ties, -: loses, by the 95 % interval in "
            "brackets; a single number is computed, not sampled. The number of comparisons is not corrected for: of "
            "twenty ties one may come out otherwise.",
            quantity.meaning,
        ]
        if quantity.floor:
            notes.append("Of distances from the score of exact samples: below it is no better.")
        title = run.titled(f"{problem}: {quantity.name}, {solver} against others by NFE")
        made.append(Table(f"{problem}-{key}-{solver}", title, body, none, found, notes + run.warnings))
    return made


def _text(row: dict[object, object]) -> str:
    sign, ratio, low, high = (row[k] for k in ("verdict", "ratio", "low", "high"))
    values = [float(v) for v in (ratio, low, high)]  # type: ignore[arg-type]
    if np.isnan(values[0]):
        return SIGN[str(sign)]
    exact = values[2] - values[1] <= 4 * SAME * max(values[0], 1.0)
    ends = "" if exact else f" [{short(values[1])}, {short(values[2])}]"
    return f"{SIGN[str(sign)]} {short(values[0])}{ends}"


def _count(verdicts: pd.Series) -> str:
    return ", ".join(f"{word} {int((verdicts == word).sum())}" for word in SIGN) + f" of {len(verdicts)}."


def summary(run: Run, mine: Collection[str]) -> list[str]:
    """A line for each solver, problem and quantity: where it is better than all, and against whom it loses."""
    lines = []
    rows = duels(run, mine)
    for (problem, key, solver), found in rows.groupby(["problem", "quantity", "solver"], sort=False):
        words = [f"{solver} on {problem} by {key}: {_count(found['verdict'])}"]
        for verdict, told in (("wins", "Better"), ("loses", "Worse")):
            budgets = [f"{b}" for b, at in found.groupby("budget") if (at["verdict"] == verdict).all()]
            words += [f"{told} than all at NFE {', '.join(budgets)}."] * bool(budgets)
        lines.append(" ".join(words))
    return lines
