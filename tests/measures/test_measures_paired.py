"""Paired errors by hand, their standard errors by simulation, and references that are not good enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from solverbench.errors import UsageError
from solverbench.measures.paired import errors, typical


def test_errors_by_hand():
    reference = np.array([[[3.0, 4.0]], [[0.0, 0.0]]])
    found = errors(reference + np.array([[[1.0, 1.0]], [[2.0, 0.0]]]), reference)
    assert found["rmse"].value == pytest.approx(math.sqrt((1 + 2) / 2))
    assert found["typical"].value == pytest.approx((1 * 2) ** 0.25)
    assert found["typical"].se == pytest.approx(2**0.25 * math.log(2) / 4)  # half of that of the mean logarithm
    assert found["max"].value == pytest.approx(math.sqrt(2))
    assert found["relative"].value == pytest.approx(math.sqrt(6 / 25))
    assert found["psnr"].value == pytest.approx(10 * math.log10(4 / 1.5))
    assert math.isnan(found["max"].se)
    assert found["rmse"].n == 2
    assert found["rmse"].se == pytest.approx(0.5 / (2 * math.sqrt(1.5)))
    assert found["psnr"].se == pytest.approx(10 / math.log(10) * 0.5 / 1.5)
    assert found["relative"].se == pytest.approx(0.32 / (2 * math.sqrt(0.24)))  # of -2 and 2, by 6.25


@pytest.mark.parametrize(("n", "draws", "least"), [(8, 2000, 0.905), (80, 400, 0.92)])
@pytest.mark.parametrize("name", ["rmse", "typical", "relative", "psnr"])
def test_intervals_hold(rng, name, n, draws, least):
    """Errors whose size differs from start to start, as those of solvers do; few starts as well as many."""

    def draw(n):
        reference = rng.normal(size=(n, 6))
        return errors(reference + 0.1 * rng.normal(size=(n, 6)) * rng.uniform(0.5, 1.5, (n, 1)), reference)[name]

    truth = draw(400_000).value
    inside = [low <= truth <= high for low, high in (draw(n).interval() for _ in range(draws))]
    assert least <= np.mean(inside) <= 0.98


@pytest.mark.parametrize("name", ["rmse", "relative", "psnr"])
def test_intervals_of_an_error_that_is_a_few_bad_starts_hold(rng, name):
    """Squared errors e^N(0, 1.5^2): of 64 starts one is a quarter of the mean, and the worst are seldom among them."""
    reference, draws = np.ones((64, 1)), 1000
    truth = {
        "rmse": math.exp(1.5**2 / 4),
        "relative": math.exp(1.5**2 / 4),
        "psnr": 10 * math.log10(4) - 5 * 1.5**2 / math.log(10),
    }
    found = [
        errors(reference + np.exp(0.75 * rng.normal(size=(64, 1))), reference)[name].interval() for _ in range(draws)
    ]
    inside = np.mean([low <= truth[name] <= high for low, high in found])
    assert 0.92 - 2 * math.sqrt(0.92 * 0.08 / draws) <= inside <= 0.98


@pytest.mark.parametrize("law", ["one in 500", "lognormal(2)"])
def test_intervals_of_the_typical_error_hold_where_those_of_the_rmse_cannot(rng, law):
    """As of accurate solvers of a mixture, of whose starts one in 500 ends in another mode; and heavier tails."""
    n, draws = 64, 1000
    logs = rng.normal(size=(draws, n)) * (1 if law == "one in 500" else 2)
    truth = {"rmse": math.exp(logs.var() / 4), "typical": 1.0}
    if law == "one in 500":
        bad, size = rng.random((draws, n)) < 1 / 500, math.log(1e6)
        logs += size * bad
        truth = {"rmse": math.sqrt(math.exp(0.5) * (1 + (1e6 - 1) / 500)), "typical": math.exp(size / 1000)}
    found = [errors(np.exp(one / 2)[:, None], np.zeros((n, 1))) for one in logs]
    held = {
        name: np.mean([low <= truth[name] <= high for low, high in (e[name].interval() for e in found)])
        for name in truth
    }
    assert held["rmse"] < 0.92
    assert 0.92 <= held["typical"] <= 0.98


def test_a_start_without_an_error_counts_as_the_references():
    squares = np.array([0.0, 4.0, 4.0, 4.0])
    assert typical(squares, 0.25).value == pytest.approx((0.25 * 2**3) ** 0.25)
    assert errors(np.zeros((3, 1)), np.zeros((3, 1)))["typical"].value == 0
    assert typical(np.zeros(3), 0.25).value == 0.25


def test_typical_errors_of_what_is_no_error():
    assert math.isfinite(typical(np.array([1.0, math.inf])).value)
    assert typical(np.array([1e30, 1e-30])).interval(0.99)[1] == math.inf
    for bad in (-1.0, math.nan):
        assert math.isnan((found := typical(np.array([1.0, bad]))).value)
        assert found.interval() == (-math.inf, math.inf)


def test_nothing_is_said_below_a_hundred_times_the_error_of_the_reference(rng):
    reference = rng.normal(size=(20, 3))
    assert errors(reference + 1e-3, reference, 9e-6)["rmse"].value == pytest.approx(1e-3)
    with pytest.raises(UsageError, match=r"an error of 0.001 cannot be told .* known to 1.1e-05: it takes 100 times"):
        errors(reference + 1e-3, reference, 1.1e-5)


def test_no_error_at_all(rng):
    reference = rng.normal(size=(4, 3))
    found = errors(reference, reference)
    assert [found[k].value for k in ("rmse", "typical", "max", "relative", "psnr")] == [0, 0, 0, 0, math.inf]
    with pytest.raises(UsageError, match="same starts"):
        errors(reference[:2], reference)
