"""Comparisons over problems: by hand, and against their definitions written out, on runs with ties and failures."""

from __future__ import annotations

import math

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


@pytest.fixture(params=range(6))
def drawn(request):
    """{problem: {budget: {solver: (nfe, error)}}} of small whole errors, so that many tie; an eighth are failures."""
    rng = np.random.default_rng(request.param)

    def error():
        return math.nan if rng.random() < 1 / 8 else float(rng.integers(1, 6))

    return {p: {b: {s: (b - int(rng.integers(2)), error()) for s in "abcdefg"} for b in (5, 10, 20)} for p in "pqr"}


def tidied(drawn):
    return pd.concat([cells({p: at[b] for p, at in drawn.items()}, b) for b in (5, 10, 20)], ignore_index=True)


def test_profiles_are_those_of_dolan_and_more(drawn):
    """rho_s(tau) is the share of instances whose error is at most tau times the least of any solver (2002, eq. 2.1).

    A cell that is not there counts as one that failed.
    """
    factors, data = np.array([1.0, 1.25, 2.0, 5.0]), tidied(drawn)
    found = profile(ratios(data), factors)
    pd.testing.assert_frame_equal(profile(ratios(data[data["ok"]]), factors), found)
    instances = [at[b] for at in drawn.values() for b in at]
    for solver in "abcdefg":
        for tau in factors:
            within = [table[solver][1] <= tau * np.nanmin([e for _, e in table.values()]) for table in instances]
            assert found.loc[solver, tau] == pytest.approx(sum(within) / len(within))
    assert (found[1.0] > 0).sum() > 1


def beats(one, other):
    return all(x <= y for x, y in zip(one, other, strict=True)) and one != other


def test_the_pareto_front_is_what_nothing_beats(drawn):
    costs = {}
    for budget in (5, 10, 20):
        for solver in "abcdefg":
            errors_there = [drawn[p][budget][solver][1] for p in "pqr"]
            spent = [drawn[p][budget][solver][0] for p in "pqr"]
            if not np.isnan(errors_there).any():  # what it spends at most, and its errors
                costs[solver, budget] = (max(spent), *errors_there)
    expected = {key for key, own in costs.items() if not any(beats(other, own) for other in costs.values())}
    front = pareto(tidied(drawn))
    assert set(zip(front["label"], front["budget"], strict=True)) == expected
    assert 1 < len(expected) < len(costs)


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_undominated_is_its_definition(columns):
    rng = np.random.default_rng(columns)
    for _ in range(30):
        costs = rng.integers(0, 5, (40, columns)).astype(float)
        costs[rng.random(costs.shape) < 0.03] = np.inf
        finite = [tuple(row) for row in costs if np.isfinite(row).all()]
        expected = [np.isfinite(row).all() and not any(beats(other, tuple(row)) for other in finite) for row in costs]
        assert undominated(costs).tolist() == expected


def test_places_are_means_over_budgets(drawn):
    """A failure is one behind all that have a number, first and last; the order is by the mean share of the field."""
    found = places(tidied(drawn))
    shares = {}
    for solver in "abcdefg":
        of_problem = []
        for p, at in drawn.items():
            ends = []
            for table in at.values():
                others = [e for _, e in table.values() if not math.isnan(e)]
                own = table[solver][1]
                failed = math.isnan(own)
                first = len(others) + 1 if failed else 1 + sum(e < own for e in others)
                last = len(others) + 1 if failed else sum(e <= own for e in others)
                ends.append((first, last, len(others)))
            first, last, field = np.mean(ends, axis=0)
            if not all(math.isnan(table[solver][1]) for table in at.values()):
                assert found.loc[solver, (p, "first")] == pytest.approx(first)
                assert found.loc[solver, (p, "last")] == pytest.approx(last)
                of_problem.append((first + last) / 2 / field)
        shares[solver] = np.mean(of_problem)
    ordered = [shares[solver] for solver in found.index]
    assert ordered == pytest.approx(sorted(shares.values()))
