"""Comparisons over problems, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from solverbench.report.profiles import common, errors, pareto, places, profile, ratios, undominated


def cells(values, budget=10):
    """Tidy cells from {problem: {solver: (nfe, error)}}; nan is a failure."""
    rows = [
        {"problem": p, "label": s, "budget": budget, "nfe": nfe, "rank": e, "ok": np.isfinite(e),
         "first": 1 + sum(x < e for _, x in table.values()) if np.isfinite(e) else np.nan,
         "last": sum(x <= e for _, x in table.values()) if np.isfinite(e) else np.nan}
        for p, table in values.items() for s, (nfe, e) in table.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


TWO = {
    "p": {"a": (10, 1.0), "b": (10, 2.0), "c": (9, 4.0)},
    "q": {"a": (10, 3.0), "b": (10, 1.0), "c": (9, np.nan)},
}


def test_ratios_and_profile():
    ratio = ratios(pd.concat([cells(TWO), cells({**TWO, "q": {**TWO["q"], "c": (9, 8.0)}}, budget=20)]))
    assert ratio.loc["a"].tolist() == [1, 3, 1, 3]
    assert ratio.loc["c"].tolist() == [4, np.inf, 4, 8]
    share = profile(ratio, np.array([1.0, 2.0, 4.0, 8.0]))
    assert share.loc["a"].tolist() == [0.5, 0.5, 1, 1]
    assert share.loc["b"].tolist() == [0.5, 1, 1, 1]
    assert share.loc["c"].tolist() == [0, 0, 0.5, 0.75]


def test_an_error_of_nothing_is_the_best():
    assert ratios(cells({"p": {"a": (5, 0.0), "b": (5, 2.0)}}))[("p", 10)].tolist() == [1, 2]


def test_undominated():
    costs = np.array([[1, 5], [2, 3], [2, 4], [3, 3], [4, 1], [4, 1], [5, np.inf]], dtype=float)
    assert undominated(costs).tolist() == [True, True, False, False, True, True, False]


def test_pareto_over_problems():
    """c is worst everywhere and spends less; d spends as much as a and is worse on both."""
    values = {"p": {**TWO["p"], "d": (10, 1.5)}, "q": {**TWO["q"], "c": (9, 8.0), "d": (10, 3.5)}}
    assert set(pareto(cells(values))["label"]) == {"a", "b", "c"}


def test_problems_that_share_few_solvers_are_left_out():
    many = dict.fromkeys("abcdef", (10, 1.0))
    assert common(cells({"p": many, "q": many, "r": {"a": (10, 1.0)}})) == (["p", "q"], list("abcdef"))
    assert common(cells({"p": {"a": (5, 1.0)}, "q": {"a": (5, 1.0)}}))[0] == ["p", "q"]
    assert common(cells({"p": {"a": (5, np.nan)}})) == ([], [])


def test_places():
    table = places(cells(TWO))
    assert list(table.index)[-1] == "c"
    assert table.loc["a", ("p", "first")] == 1
    assert table.loc["a", ("q", "last")] == 2
    assert np.isnan(table.loc["c", ("q", "first")])  # it has no error there at all


def test_errors_are_of_distinct_programs(big):
    labels = set(errors(big)["label"])
    assert "exp-euler" in labels
    assert "dpm-1" not in labels
    assert set(errors(big)["quantity"]) == {"w2", "rmse"}
    with pytest.raises(KeyError):
        errors(big)["squared_errors"]
