"""The numbers behind the charts, as plain data: what JSON can say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from solverbench.measures.paired import RESOLVES
from solverbench.report.comparison import sampling_seconds, tidy, twins
from solverbench.report.style import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from solverbench.report.html.subjects import Subject
    from solverbench.report.quantities import Quantity
    from solverbench.report.records import Run


def chart_data(run: Run, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    """Families in the order of their colours, and per problem its solvers, cells and measured quantities.

    subjects: by the labels of solvers.
    """
    present = list(dict.fromkeys(str(family) for family in run.records["family"]))
    return {
        "families": [f for f in dict.fromkeys([*FAMILIES, *present]) if f in present],
        "problems": [_problem(run, name, subjects) for name, _ in run.problems],
    }


def _problem(run: Run, name: str, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    records = run.of(name)
    labels = [str(label) for label in dict.fromkeys(records["label"])]
    known = records.drop_duplicates("label")
    same = twins(records)[0]
    axes = {"nfe": records["nfe"], "seconds": sampling_seconds(records), "gflops": records["flops"] / 1e9}
    return {
        "name": name,
        "solvers": [
            {
                "name": label,
                "family": subjects[label].family,
                "anchor": subjects[label].anchor,
                "mine": subjects[label].mine,
                "stochastic": bool(stochastic),
                "same": same.get(label),
            }
            for label, stochastic in zip(labels, known["stochastic"], strict=True)
        ],
        "solver": [labels.index(str(label)) for label in records["label"]],
        "budget": numbers(records["budget"]),
        "status": [str(status) for status in records["status"]],
        "axes": {key: numbers(values) for key, values in axes.items() if values.notna().any()},
        "quantities": [_quantity(records, quantity) for quantity in run.measured(name)],
    }


def _quantity(records: pd.DataFrame, quantity: Quantity) -> dict[str, Any]:
    data = tidy(records, quantity)
    lines = {"floor": quantity.floor, "spread": quantity.spread}
    least = RESOLVES * float(records[quantity.resolution].median()) if quantity.resolution else math.nan
    return {
        "name": quantity.name,
        "meaning": quantity.meaning,
        "value": numbers(data["value"]),
        "se": numbers(data["se"]),
        "below": [bool(below) for below in data["below"]],
        "resolution": number(least),
        "best": [bool(best) for best in data["best"]],
        "first": numbers(data["first"]),
        "last": numbers(data["last"]),
        **{key: number(float(records[column].median())) if column else None for key, column in lines.items()},
    }


def numbers(values: pd.Series) -> list[float | None]:
    """Seven digits of each, None for what is not finite."""
    return [number(float(value)) for value in values]


def number(value: float) -> float | None:
    """Seven digits, or None for what is not finite."""
    return float(f"{value:.7g}") if math.isfinite(value) else None
