"""Comparing solvers of one problem: who is best at a budget, who ties, and who is the same program.

Functions of the records of one problem, without text: what tables, figures and summaries agree on.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from solverbench.measures.paired import RESOLVES, logarithms
from solverbench.report.statistics import normal_p, paired_p, ranks, separated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from solverbench.report.quantities import Quantity

P = ParamSpec("P")
T = TypeVar("T")
IDENTITY = (
    "problem", "label", "solver", "order", "family", "stochastic", "same_as", "grid", "seed", "budget", "nfe", "steps",
    "status", "reason",
)  # fmt: skip
SAME = 1e-9
"""Computed values closer than this, relatively, are the same up to rounding."""


def tidy(records: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """One row per cell: value, its n, standard error (0 where it is computed) and method, `ok`, places, and `best`.

    `first` and `last` are places among the solvers of its budget that the data allow (`statistics`); the best are those
    that no other solver is better than beyond doubt. An error that the reference does not resolve is `below` what is
    given as its value, and all of them are equal. A sampled value without a standard error is told from none. Where
    exact samples have a score, the best is the nearest to it, as fewer samples than dimensions reward outputs that vary
    too little.
    """
    return _tidied(records, quantity).copy()


def remembered(found: Callable[Concatenate[pd.DataFrame, P], T]) -> Callable[Concatenate[pd.DataFrame, P], T]:
    """A function of a frame, computed once while the frame lives: tables, figures and the page ask for the same."""
    known: dict[Any, tuple[weakref.ref[pd.DataFrame], T]] = {}

    @wraps(found)
    def asked(records: pd.DataFrame, /, *rest: P.args, **named: P.kwargs) -> T:
        key = id(records), *rest, *named.items()
        if key not in known or known[key][0]() is not records:
            known[key] = weakref.ref(records, lambda _: known.pop(key, None)), found(records, *rest, **named)
        return known[key][1]

    return asked


@remembered
def _tidied(records: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    data = records[list(IDENTITY)].copy()
    data["quantity"] = quantity.key
    data["ok"] = (records["status"] == "ok") & np.isfinite(records[quantity.key])
    data["value"] = records[quantity.key].where(data["ok"])
    data["n"] = records[quantity.n].where(data["ok"]) if quantity.n else np.nan
    data["se"], data["method"] = 0.0, "computed"
    if quantity.error:
        data["se"], data["method"] = np.nan, None
        for column, method in zip(quantity.error, quantity.methods, strict=True):
            first = data["ok"] & data["se"].isna() & records[column].notna()
            data.loc[first, "se"], data.loc[first, "method"] = records.loc[first, column], method
    data["below"] = False
    if quantity.resolution:
        least = RESOLVES * records[quantity.resolution].fillna(0.0)
        data["below"] = data["value"] < least
        data["value"], data["se"] = (data[c].mask(data["below"], v) for c, v in (("value", least), ("se", 0.0)))
    goal = records[quantity.floor].fillna(0.0) if quantity.floor else 0.0
    data["rank"] = (data["value"] - goal).abs().where(data["ok"], np.inf)
    data[["first", "last"]] = _places(data, by_start(records, quantity))
    data["best"] = data["first"] == 1
    return data


def with_samples(records: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """`tidy` with `by_start` as samples; None also where a value is not resolved."""
    data = tidy(records, quantity)
    return data.assign(samples=by_start(records, quantity).where(~data["below"], None))


def by_start(records: pd.DataFrame, quantity: Quantity) -> pd.Series:
    """What each cell's `rank`, its square or the logarithm of that is the mean of, start by start; None where that was
    not kept.

    Distances from the score of exact samples are so on their side of it, as that score is the same for all.
    """
    if quantity.samples not in records:
        return pd.Series([None] * len(records), records.index, dtype=object)
    kept = records[quantity.samples].astype(object)
    if quantity.mean == "geometric":
        known = zip(kept, records["reference_error"].fillna(0.0), strict=True)
        logs = [None if terms is None else logarithms(terms, least) for terms, least in known]
        kept = pd.Series(logs, records.index, dtype=object)
    if not quantity.floor:
        return kept
    goal = records[quantity.floor].fillna(0.0)
    pairs = zip(kept, goal, np.sign(records[quantity.key] - goal), strict=True)
    return pd.Series([v if v is None else side * (v - g) for v, g, side in pairs], records.index, dtype=object)


def unpaired(records: pd.DataFrame, quantity: Quantity) -> list[str]:
    """A note on tests that cannot use what solvers share; none where they do, or nothing is sampled."""
    judged = records[(records["status"] == "ok") & records[quantity.key].notna()]
    if quantity.samples is None or by_start(judged, quantity).notna().all():
        return []
    return [
        "This run did not keep numbers by start for all cells: where they are missing, differences are tested by "
        "standard errors, as if solvers did not start from the same states, which is too careful."
    ]


def _places(data: pd.DataFrame, samples: pd.Series) -> NDArray[np.float64]:
    """First and last place (n, 2) of each cell among those of its budget; samples: `by_start` of each."""
    rank, se = data["rank"].to_numpy(dtype=float), data["se"].fillna(np.inf).to_numpy(dtype=float)
    kept = samples.to_numpy()
    found = np.full((len(data), 2), np.nan)
    numbers = np.where(data["ok"], pd.factorize(data["budget"])[0], -1)
    for number in range(numbers.max(initial=-1) + 1):
        at = np.flatnonzero(numbers == number)
        found[at] = np.transpose(ranks(rank[at], _different(rank[at], se[at], kept[at])))
    return found


def _different(value: NDArray[np.float64], se: NDArray[np.float64], samples: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which pairs of one budget's cells are separated; samples: `by_start` of each."""
    if not value.size:
        return np.zeros((0, 0), dtype=bool)
    value = np.where(np.abs(value - value.min()) <= SAME * value.min(), value.min(), value)
    _, one, place = np.unique(np.column_stack([value, se]), axis=0, return_index=True, return_inverse=True)
    place = place.ravel()  # equal cells are one: identical programs are no comparison
    value, p = value[one], normal_p(value[one], se[one])
    kept = samples[one]
    paired = [i for i, terms in enumerate(kept) if terms is not None and len(terms) > 1]
    if len({len(kept[i]) for i in paired}) == 1:
        p[np.ix_(paired, paired)] = paired_p(np.column_stack([kept[i] for i in paired]))
    p[value[:, None] == value] = 1.0
    return separated(p)[np.ix_(place, place)]


def public(data: pd.DataFrame) -> pd.DataFrame:
    """The columns of a CSV: the label under the name a reader looks for, and nothing that only tests need."""
    return data.drop(columns=["solver", "ok", "rank"], errors="ignore").rename(columns={"label": "solver"})


def wide(data: pd.DataFrame, column: str) -> pd.DataFrame:
    """Solvers by budget, in the order of the run."""
    table = data.pivot(index="label", columns="budget", values=column)
    return table.reindex(index=pd.unique(data["label"]), columns=sorted(table.columns))


@remembered
def twins(records: pd.DataFrame) -> tuple[dict[str, str], dict[str, dict[str, list[int]]]]:
    """Solvers that are the same program as an earlier one: at every budget, and {solver: {other: budgets}} at some."""
    always: dict[str, str] = {}
    sometimes: dict[str, dict[str, list[int]]] = {}
    labels = list(pd.unique(records["label"]))
    named_once = records.loc[records["same_as"].notna(), "label"].unique()
    for label, rows in records[records["label"].isin(named_once)].groupby("label", sort=False):
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


def clock(records: pd.DataFrame) -> pd.DataFrame:
    """seconds of sampling, and of these field_seconds and overhead_seconds: of interleaved rounds where there are any,
    then with the standard error seconds_se of their median.

    The field's and the solver's are missing where they are not known apart, as on a GPU; seconds of the whole cell
    stand in where those of sampling were not kept.
    """
    timed, field = records["timed_seconds"], records["timed_field_seconds"]
    rest = records["timed_overhead_seconds"].fillna(timed - field)  # older runs have no median of the rest
    alone = records["field_seconds"] + records["overhead_seconds"]
    return pd.DataFrame({
        "seconds": timed.fillna(alone).fillna(records["sampling_seconds"]).fillna(records["seconds"]),
        "seconds_se": records["timed_seconds_se"],
        "field_seconds": (timed - rest).fillna(records["field_seconds"]),
        "overhead_seconds": rest.fillna(records["overhead_seconds"]),
    })  # fmt: skip


def sampling_seconds(records: pd.DataFrame) -> pd.Series:
    """Time spent in the field and in the solver."""
    return clock(records)["seconds"]


def reach_floor(records: pd.DataFrame, quantity: Quantity) -> dict[str, int]:
    """The budget from which on a solver's distance is within two standard errors of that of exact samples.

    From which on: one that varies too little ends up below, and may pass the floor on its way there.
    """
    data = tidy(records, quantity)
    data["good"] = data["ok"] & (data["rank"] <= 2 * data["se"])
    reached = {}
    for label, rows in data.sort_values("budget", ascending=False).groupby("label"):
        stays = rows.loc[rows["good"].cummin(), "budget"]
        if len(stays):
            reached[str(label)] = int(stays.min())
    return reached


def floor(records: pd.DataFrame) -> tuple[float, float]:
    """Frechet distance of as many exact samples, and its standard deviation; NaN where it was not measured."""
    return float(records["fd_floor"].median()), float(records["fd_floor_sd"].median())
