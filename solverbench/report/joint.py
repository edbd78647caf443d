"""The table that problems of kind `law` share: solver by problem against budget by start.

The shape of the ablation in Pierret & Galerne (2025): one block of rows per solver, a row per problem (there, where the
grid ends), and under each budget the error from the exact start p_T and from the prior N(0, s^2 I). The columns in
front have no budget: the exact process itself, so what no number of steps can take away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.report.comparison import IDENTITY, public
from solverbench.report.layout import Table, listed, short
from solverbench.report.quantities import W2

if TYPE_CHECKING:
    from solverbench.report.records import Run

STARTS = {"p_T": "w2_truncation_discretisation", "N_0": "w2"}
"""Heading of a start -> the column with the error of the solver from it."""
CONTINUOUS = {"p_T": "w2_truncation", "N_0": "w2_initialisation_truncation"}
"""The same of the exact process."""
FIRST = "continuous"


def joint_names(run: Run) -> list[str]:
    """The shared tables of the problems that have records."""
    return list(dict.fromkeys(run.shared[name] for name, _ in run.problems if name in run.shared))


def joint_table(run: Run, name: str) -> Table:
    """The table `name` of a run's problems that say they share it."""
    specs = [spec for spec in run.manifest["problems"] if spec.get("table") == name]
    records = run.records[run.records["problem"].isin([spec["name"] for spec in specs])]
    budgets = sorted(int(b) for b in records["budget"].unique())
    values = records.set_index(["label", "problem", "budget"])[list(STARTS.values())].to_dict("index")
    lines, keys = [], []
    for label, of_solver in records.groupby("label", sort=False):
        for spec in specs:
            stochastic = bool(of_solver["stochastic"].any())
            alike = records[(records["problem"] == spec["name"]) & (records["stochastic"] == stochastic)]
            cells = [_text(next(iter(alike[column].dropna()), np.nan)) for column in CONTINUOUS.values()]
            for budget in budgets:
                found = values.get((label, spec["name"], budget), {})
                cells += [_text(found.get(column, np.nan)) for column in STARTS.values()]
            lines.append([str(label), str(spec["name"]).removeprefix(f"{name}-"), *cells])
            keys.append((label, spec["name"]))
    heads = [f"{group} {start}" for group in (FIRST, *budgets) for start in STARTS]
    body = pd.DataFrame(lines, index=pd.MultiIndex.from_tuples(keys), columns=["solver", "problem", *heads])
    first = body["solver"].duplicated()
    body.loc[first, "solver"] = ""
    notes = [
        W2,
        "p_T: from the exact law at the first time. N_0: from the path's prior there. Numbers are budgets of NFE; "
        f"{FIRST}: the exact process, the reverse SDE for solvers that draw noise and the ODE for others, to where the "
        "grid ends.",
        *_spent(records, budgets),
        *dict.fromkeys(str(spec["about"]) for spec in specs if spec.get("about")),
        *_skipped(records),
    ]
    data = public(records[[*IDENTITY, *STARTS.values(), *CONTINUOUS.values()]])
    title = run.titled(f"{run.title}, {name}: W2 by NFE and start")
    return Table(name, title, body, data, notes + run.warnings, 2)


def _text(value: float) -> str:
    return "0" if abs(value) < 1e-12 else short(value)


def _skipped(records: pd.DataFrame) -> list[str]:
    """Why cells have no number."""
    found = records[(records["status"] == "skipped") & records["reason"].notna()]
    return [
        f"No number: {listed([f'{r.label} on {r.problem}' for r in rows.itertuples()], 8)}: {reason}"
        for reason, rows in found.groupby("reason", sort=False)
    ]


def _spent(records: pd.DataFrame, budgets: list[int]) -> list[str]:
    """How many steps and evaluations each solver made of a budget."""
    made: dict[str, list[str]] = {}
    for label, rows in records[records["steps"].notna()].groupby("label", sort=False):
        first = rows.drop_duplicates("budget").set_index("budget").reindex(budgets)
        pairs = zip(first["steps"], first["nfe"], strict=True)
        made.setdefault("; ".join(f"{s:g} steps, {n:g} NFE" for s, n in pairs), []).append(str(label))
    asked = ", ".join(map(str, budgets))
    return [f"Of budgets {asked} {', '.join(names)} made: {text}." for text, names in made.items()]
