"""Solvers over all problems of a run: performance profiles, what is not dominated, and places.

Functions of plain tables, without text or pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from solverbench.report.comparison import tidy, twins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from solverbench.report.records import Run


def errors(run: Run) -> pd.DataFrame:
    """Tidy cells of every problem by its first quantity; programs that are another's on all problems are left out."""
    found = {p: tidy(run.of(p), run.primary(p)) for p, _ in run.alone}
    own = {n for p, data in found.items() for n in set(data["label"]) - set(twins(run.of(p))[0])}
    data = pd.concat(found.values(), ignore_index=True)
    return data[data["label"].isin(own)]


def common(data: pd.DataFrame) -> tuple[list[str], list[str]]:
    """(problems, solvers) such that each of the solvers has some error on each of the problems, and most are compared.

    Problems with few solvers are left out as long as problems times shared solvers grows by it.
    """
    good = data[data["ok"]]
    sets = {str(problem): set(rows["label"]) for problem, rows in good.groupby("problem", sort=False)}
    most = sorted(sets, key=lambda problem: -len(sets[problem]))
    shared = [set.intersection(*(sets[p] for p in most[: i + 1])) for i in range(len(most))]
    best = max(range(len(most)), key=lambda i: (i + 1) * len(shared[i]), default=-1)
    kept = shared[best] if most else set()
    problems = [problem for problem in sets if problem in most[: best + 1]]
    return problems, [str(name) for name in pd.unique(good["label"]) if name in kept]


def ratios(data: pd.DataFrame) -> pd.DataFrame:
    """Error over the least error of the same problem and budget: solvers by (problem, budget), inf where there is none.

    These are the r_{p,s} of Dolan & Moré (2002), with a problem at a budget for a problem and its error for the time.
    """
    problems, solvers = common(data)
    cells = data[data["problem"].isin(problems) & data["label"].isin(solvers)]
    table = cells.assign(rank=cells["rank"].where(cells["ok"], np.inf)).pivot_table(
        index="label", columns=["problem", "budget"], values="rank", aggfunc="first", sort=False
    )
    table = table.reindex(solvers).fillna(np.inf)
    values = table.to_numpy(dtype=float)
    table, values = table.loc[:, np.isfinite(values).any(axis=0)], values[:, np.isfinite(values).any(axis=0)]
    least = values.min(axis=0)
    ratio = np.where(values > least, values / np.where(least > 0, least, 1.0), 1.0)
    return pd.DataFrame(ratio, index=table.index, columns=table.columns)


def profile(ratio: pd.DataFrame, within: NDArray[np.float64]) -> pd.DataFrame:
    """Share of instances on which each solver is within a factor of the best: solvers by factors."""
    inside = ratio.to_numpy(dtype=float)[:, :, None] <= within
    return pd.DataFrame(inside.mean(axis=1), index=ratio.index, columns=within)


def undominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of costs (n, k) no other row undercuts in one column without exceeding it in another."""
    found = np.zeros(len(costs), dtype=bool)
    left = np.lexsort(costs.T[::-1])  # what undercuts a row comes before it
    left = left[np.isfinite(costs[left]).all(axis=1)]
    while left.size:
        first = costs[left[0]]
        found[left[0]] = True
        beaten = np.all(first <= costs[left], axis=1) & np.any(first < costs[left], axis=1)
        left = left[~beaten][1:]
    return found


def pareto(data: pd.DataFrame) -> pd.DataFrame:
    """(solver, budget) that no other beats in evaluations and in all shared problems: label, budget, nfe, errors."""
    problems, solvers = common(data)
    cells = data[data["ok"] & data["problem"].isin(problems) & data["label"].isin(solvers)]
    table = cells.pivot_table(index=["label", "budget"], columns="problem", values="rank", sort=False)
    table.insert(0, "nfe", cells.groupby(["label", "budget"])["nfe"].max())
    table = table.dropna()
    return table[undominated(table.to_numpy(dtype=float))].reset_index()


def places(data: pd.DataFrame) -> pd.DataFrame:
    """Mean first and last place over budgets: solvers by (problem, "first" or "last"), best mean place first.

    A cell without an error is behind all that have one. Solvers are those with an error on some budget of the problem.
    """
    cells = data.copy()
    have = cells.groupby(["problem", "budget"])["ok"].transform("sum")
    cells[["first", "last"]] = cells[["first", "last"]].apply(lambda column: column.fillna(have + 1))
    some = cells.groupby(["problem", "label"])["ok"].transform("any") & (have > 0)
    mean = cells[some].groupby(["label", "problem"], sort=False)[["first", "last"]].mean()
    sides = {side: mean[side].unstack("problem") for side in ("first", "last")}
    problems = [p for p in pd.unique(data["problem"]) if p in sides["first"]]
    table = pd.DataFrame({(p, side): sides[side][p] for p in problems for side in sides})
    share = mean.mean(axis=1) / have.groupby([cells["label"], cells["problem"]], sort=False).mean()
    best = share.groupby("label").mean()
    return table.loc[best.reindex(table.index).sort_values(kind="stable").index]
