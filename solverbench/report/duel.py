"""One solver against others, problem by problem and budget by budget: where it wins, ties and loses.

Every verdict is a test (`statistics`): start by start where numbers by start were kept, as all solvers start from the
same states, and else of the values' standard errors, as if they did not. All comparisons of a table are corrected
together (Holm), so with a chance of 95 % no equal is told from the solver in it. Computed values have no error and tie
when they agree to `SAME`. What is sampled and has no standard error is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.measures.paired import root_of_power
from solverbench.report.comparison import SAME, unpaired, with_samples
from solverbench.report.layout import Table, short
from solverbench.report.notes import counted
from solverbench.report.statistics import (
    LEVEL,
    holm,
    normal_p,
    normal_ratio,
    paired_difference,
    paired_ratio,
    zero_mean_p,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run

COLUMNS = (
    "problem", "quantity", "solver", "against", "budget", "value", "other", "ratio", "low", "high", "p", "verdict",
)  # fmt: skip
JUDGED = ["ratio", "low", "high", "p", "verdict"]
SIGN = {"wins": "+", "ties": "=", "loses": "-"}
LEGEND = (
    "Its error over the other's: below one is better. +: wins, =: ties, -: loses. In brackets: its 95 % interval; a "
    "single number is computed, not sampled. Signs are corrected for the number of comparisons in the table (Holm), so "
    "an interval may leave out one beside a tie."
)


def judged(run: Run, problem: str) -> list[Quantity]:
    """The quantities of a problem that say how sure they are: computed, or with a standard error."""
    return [q for q in run.measured(problem) if not q.error or run.of(problem)[list(q.error)].notna().any(axis=None)]


def duels(run: Run, mine: Collection[str]) -> pd.DataFrame:
    """One row for each problem, quantity, solver of `mine`, other solver and budget, of `COLUMNS`.

    ratio: the solver's error over the other's, with the ends `low` and `high` of its 95 % interval; where exact samples
    have a score, of the distances from that. p: corrected for the comparisons of this solver by this quantity. A solver
    that has no number where the other has one loses.
    """
    found = []
    for problem, _ in run.problems:
        for quantity in judged(run, problem):
            data = with_samples(run.of(problem), quantity)
            own = data["solver"].isin(list(mine))
            for solver, rows in data[own].groupby("label", sort=False):
                pairs = rows.merge(data[~own], on="budget", suffixes=("", "_b"))
                told = verdicts(pairs, quantity)
                first = {"problem": problem, "quantity": quantity.key, "solver": solver, "against": pairs["label_b"]}
                rest = {"budget": pairs["budget"].astype(int), "value": pairs["value"], "other": pairs["value_b"]}
                found.append(pd.DataFrame({**first, **rest}).join(told)[told["verdict"].notna()])
    return pd.concat(found, ignore_index=True)[list(COLUMNS)] if found else pd.DataFrame(columns=list(COLUMNS))


def verdicts(pairs: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """`JUDGED` of each row of pairs of tidy cells, the second's columns ending in _b, corrected for all rows together.

    No verdict where neither has a number, or one was given too small a budget or has noise where that is not measured.
    """
    made = pd.DataFrame(np.nan, pairs.index, JUDGED[:-1]).assign(verdict=None)
    both = pairs["ok"] & pairs["ok_b"]
    one = (
        (pairs["ok"] != pairs["ok_b"])
        & (pairs["status"] != pairs["status_b"])
        & (pairs["status"] != "skipped")
        & (pairs["status_b"] != "skipped")
    )
    made.loc[one, "verdict"] = np.where(pairs.loc[one, "ok"], "wins", "loses")
    if both.any():
        tests = _tests(pairs[both], quantity)
        p = holm(tests["p"].to_numpy())
        sign = np.where(pairs.loc[both, "rank"] < pairs.loc[both, "rank_b"], "wins", "loses")
        made.loc[both, JUDGED] = tests.assign(p=p, verdict=np.where(p < LEVEL, sign, "ties"))
    return made


def _tests(pairs: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """ratio, low, high and p of pairs that both have a number, each test by itself."""
    made = pd.DataFrame([_independent(*row) for row in pairs[["rank", "se", "rank_b", "se_b"]].to_numpy(dtype=float)],
                        pairs.index, ["ratio", "low", "high", "p"])  # fmt: skip
    sizes = [
        len(a) if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and len(a) == len(b) > 1 else 0
        for a, b in zip(pairs["samples"], pairs["samples_b"], strict=True)
    ]
    for n in set(sizes) - {0}:
        rows = np.array(sizes) == n
        a, b = (np.stack(list(pairs.loc[rows, name]), axis=1) for name in ("samples", "samples_b"))
        if quantity.mean == "geometric":
            low, high = (root_of_power(end) for end in paired_difference(a, b))
        else:
            low, high = (np.sqrt(end) if quantity.mean == "quadratic" else end for end in paired_ratio(a, b))
        same = np.isclose(made.loc[rows, "ratio"], 1.0, rtol=SAME, atol=0)
        made.loc[rows, "p"] = np.where(same, 1.0, zero_mean_p(a - b))
        made.loc[rows, "low"], made.loc[rows, "high"] = np.where(same, 1.0, low), np.where(same, 1.0, high)
    return made


def _independent(a: float, a_se: float, b: float, b_se: float) -> tuple[float, float, float, float]:
    """(ratio, low, high, p) of values with standard errors, 0 where computed."""
    a_se, b_se = (np.inf if np.isnan(se) else se for se in (a_se, b_se))
    p = 1.0 if abs(a - b) <= SAME * max(a, b) else float(normal_p(np.array([a, b]), np.array([a_se, b_se]))[0, 1])
    if not b:
        return float("nan"), float("nan"), float("nan"), p
    return a / b, *normal_ratio(a, a_se, b, b_se), p


def tables(run: Run, rows: pd.DataFrame) -> list[Table]:
    """For each problem and quantity of `duels` the ratios by opponent and budget, with a sign for the verdict."""
    made = []
    for (problem, key, solver), found in rows.groupby(["problem", "quantity", "solver"], sort=False):
        quantity = next(q for q in judged(run, str(problem)) if q.key == key)
        texts = found.assign(text=[_text(row) for row in found.to_dict("records")])
        body = texts.pivot(index="against", columns="budget", values="text")
        body = body.reindex(index=pd.unique(found["against"]), columns=sorted(body.columns)).fillna("")
        body.columns = pd.Index([f"{b:g}" for b in body.columns])
        body.insert(0, "against", body.index)
        notes = [
            _count(found["verdict"]),
            LEGEND,
            quantity.meaning,
            *counted(run.of(str(problem)), quantity),
            *unpaired(run.of(str(problem)), quantity),
        ]
        if quantity.floor:
            notes.append("Of distances from the goal, what exact samples score: below it is no better.")
        title = run.titled(f"{problem}: {quantity.name}, {solver} against others by NFE")
        made.append(Table(f"{problem}-{key}-{solver}", title, body, found, notes + run.warnings))
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


def summary(rows: pd.DataFrame) -> list[str]:
    """A line for each solver, problem and quantity of `duels`: the counts, and where it is better or worse than all."""
    lines = []
    for (problem, key, solver), found in rows.groupby(["problem", "quantity", "solver"], sort=False):
        words = [f"{solver} on {problem} by {key}: {_count(found['verdict'])}"]
        for verdict, told in (("wins", "Better"), ("loses", "Worse")):
            budgets = [f"{b}" for b, at in found.groupby("budget") if (at["verdict"] == verdict).all()]
            words += [f"{told} than all at NFE {', '.join(budgets)}."] * bool(budgets)
        lines.append(" ".join(words))
    return lines
