"""Comparing solvers of one problem: who is best at a budget, who ties, and who is the same program.

Functions of the records of one problem, without text: what tables, figures and summaries agree on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from solverbench.report.quantities import Quantity

IDENTITY = (
    "problem", "label", "solver", "order", "family", "stochastic", "same_as", "grid", "seed", "budget", "nfe", "steps",
    "status", "reason",
)  # fmt: skip
SAME = 1e-9
"""Computed values closer than this, relatively, are the same up to rounding."""


def tidy(records: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """One row per cell: value, standard error (0 where it is computed), `ok`, and `best`, ties included.

    A solver ties with the best of its budget when they are within two combined standard errors, or both below the
    error of the reference. Where exact samples have a score, the best is the nearest to it, as fewer samples than
    dimensions reward outputs that vary too little.
    """
    data = records[list(IDENTITY)].copy()
    data["quantity"] = quantity.key
    data["ok"] = (records["status"] == "ok") & np.isfinite(records[quantity.key])
    data["value"] = records[quantity.key].where(data["ok"])
    data["se"] = records[quantity.error].where(data["ok"]) if quantity.error else 0.0
    goal = records[quantity.floor].fillna(0.0) if quantity.floor else 0.0
    ranked = (data["value"] - goal).abs()
    if quantity.resolution:
        ranked = ranked.clip(lower=records[quantity.resolution].fillna(0.0))
    ranked = ranked.where(data["ok"], np.inf)
    winner = ranked.groupby(data["budget"]).transform("idxmin") if len(data) else data["budget"]
    data["rank"] = ranked
    least = ranked.reindex(winner).to_numpy()
    band = 2 * np.hypot(data["se"].fillna(0.0), data["se"].reindex(winner).fillna(0.0).to_numpy())
    data["best"] = data["ok"] & (ranked <= least * (1 + SAME) + band)
    return data


def wide(data: pd.DataFrame, column: str) -> pd.DataFrame:
    """Solvers by budget, in the order of the run."""
    table = data.pivot(index="label", columns="budget", values=column)
    return table.reindex(index=pd.unique(data["label"]), columns=sorted(table.columns))


def twins(records: pd.DataFrame) -> tuple[dict[str, str], dict[str, dict[str, list[int]]]]:
    """Solvers that are the same program as an earlier one: at every budget, and {solver: {other: budgets}} at some."""
    always: dict[str, str] = {}
    sometimes: dict[str, dict[str, list[int]]] = {}
    labels = list(pd.unique(records["label"]))
    for label, rows in records.groupby("label", sort=False):
        suffix = str(label)[len(str(rows["solver"].iloc[0])) :]
        planned = rows[rows["same_as"].notna() | (rows["status"] != "skipped")]
        named = planned["same_as"].dropna()
        others = {n: f"{n}{suffix}" if f"{n}{suffix}" in labels else str(n) for n in pd.unique(named)}
        if len(others) == 1 and len(named) == len(planned):
            always[str(label)] = next(iter(others.values()))
        elif others:
            sometimes[str(label)] = {
                other: [int(b) for b in planned.loc[planned["same_as"] == name, "budget"]]
                for name, other in others.items()
            }
    return _roots(always, labels), sometimes


def _roots(pairs: dict[str, str], labels: list[str]) -> dict[str, str]:
    """Point every member of a class at the one that comes first in the run, which itself is left out."""
    group = {name: {name} for pair in pairs.items() for name in pair}
    for one, other in pairs.items():
        if group[one] is not group[other]:
            group[one] |= group[other]
            for name in group[one]:
                group[name] = group[one]
    place = {label: i for i, label in enumerate(labels)}
    roots = {name: min(members, key=lambda m: place.get(m, -1)) for name, members in group.items()}
    return {name: root for name, root in roots.items() if name != root and name in place}


def usual_budget(records: pd.DataFrame) -> int:
    """The budget that tables of one budget are made at: 10, or the middle one."""
    budgets = sorted(int(b) for b in records["budget"].dropna().unique())
    return 10 if 10 in budgets else budgets[len(budgets) // 2]


def sampling_seconds(records: pd.DataFrame) -> pd.Series:
    """Time spent in the field and in the solver; that of the whole cell where the two were not kept apart."""
    return (records["field_seconds"] + records["overhead_seconds"]).fillna(records["seconds"])


def reach_floor(records: pd.DataFrame) -> dict[str, int]:
    """The budget from which on a solver's Frechet distance cannot be told from that of exact samples.

    From which on: one that varies too little ends up below, and may pass the floor on its way there.
    """
    least, spread = floor(records)
    good = records.assign(good=(records["status"] == "ok") & ((records["fd"] - least).abs() <= 2 * spread))
    reached = {}
    for label, rows in good.sort_values("budget", ascending=False).groupby("label"):
        stays = rows.loc[rows["good"].cummin(), "budget"]
        if len(stays):
            reached[str(label)] = int(stays.min())
    return reached


def floor(records: pd.DataFrame) -> tuple[float, float]:
    """Frechet distance of as many exact samples, and its standard deviation; NaN where it was not measured."""
    return float(records["fd_floor"].median()), float(records["fd_floor_sd"].median())
