"""The ruler on errors whose slope is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from solverbench.orders.ruler import slope

SIZES = [2**k for k in range(2, 10)]
N = np.array(SIZES)[:, None]
C = np.linspace(0.5, 2, 8)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_known_slopes(p):
    """With a second term, one change of sign and rounding, the order and the constant come out all the same."""
    errors = C * (10.0 / N) ** p * (1 + C / N)
    errors[:, 3] *= 1 - 300 / N[:, 0]
    found = slope(errors + 1e-14, SIZES)
    assert found.order == pytest.approx(p, abs=0.02)
    assert found.half < 0.02
    assert found.constant == pytest.approx(np.median(C) * 10.0**p, rel=0.1)
    assert found.window[1] == 4 * found.window[0]


def test_intervals_cover():
    """The order of errors whose columns scatter lies in the interval 95 times in a hundred."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        errors = C * (10.0 / N) ** 2 * np.exp(rng.normal(0, 0.02, (len(SIZES), C.size)))
        found = slope(errors, SIZES)
        inside += abs(found.order - 2) <= found.half
    assert 925 <= inside <= 975  # 3.6 standard deviations of a fair count


def test_a_missing_factor_is_far_outside():
    """h^2 with a h^1 remnant of one percent is order one, whatever it looks like at few steps."""
    found = slope(C * ((10.0 / N) ** 2 + 0.05 * (10.0 / N)), [2**k for k in range(2, 10)])
    assert not found.reaches(2)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (np.full((8, 8), np.nan), "not finite"),
        (C * (1e-6 / N) ** 2, "exact"),
        (C * (1e-4 / N) ** 1.2 * (N < 8) + 1e-14, "too few grids"),
        (C * (1.0 / N) * (-1.0) ** np.arange(8)[:, None], "change sign"),
    ],
)
def test_no_slope_says_why(errors, words):
    found = slope(errors, SIZES)
    assert words in str(found)
    assert found.window is None
    assert math.isnan(found.order) or found.exact


def test_no_convergence_is_order_zero():
    assert not slope(C + 0 * N, SIZES).reaches(0.5)
