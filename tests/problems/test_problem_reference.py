"""References against the exact flow map of a Gaussian, with the error they state for themselves."""

from __future__ import annotations

import numpy as np
import pytest

from solverbench.errors import UsageError
from solverbench.fields import Gaussian, Mixture
from solverbench.problems.reference import reference_solution

MEAN, VARIANCE = np.array([0.3, -0.2, 0.1]), np.array([0.5, 0.05, 1.2])
STARTS = [
    ("edm", 80.0, "noise"),
    ("edm", 1.0, "score"),
    ("vp-linear", 1.0, "x0"),
    ("vp-cosine", 0.9946, "v"),
    ("rectified", 0.99, "x0"),
    ("rectified", 1.0, "velocity"),
]


def mixture(path, prediction="x0"):
    """One component of a mixture: a Gaussian by the mixture's formulas."""
    return Mixture([1.0], [MEAN], variances=[VARIANCE], path=path, prediction=prediction)


def exact(path, x, t):
    return Gaussian(MEAN, VARIANCE, path).jump(x, t, 0.0)


@pytest.mark.parametrize(("path", "t", "prediction"), STARTS)
@pytest.mark.parametrize("rtol", [1e-6, 1e-11])
def test_ends_where_the_exact_flow_map_does(path, t, prediction, rtol):
    field = mixture(path, prediction)
    x = field.sample(20, seed=1, t=t)
    found = reference_solution(field, x, t, rtol)
    error = found.x - exact(path, x, t)
    assert np.abs(error).max() <= 2 * rtol
    assert np.sqrt(np.mean(error**2)) <= found.rms_error
    assert np.abs(error).max() <= found.max_error
    assert found.max_error <= 50 * rtol  # an estimate, not a disclaimer


def test_two_modes_are_reached_from_either_side():
    """A mixture of two far points-like modes: every trajectory ends within one of them."""
    field = Mixture([0.5, 0.5], [[-1.0], [1.0]], variances=[1e-4, 1e-4], path="edm")
    x = field.sample(30, seed=3, t=80.0)
    end = reference_solution(field, x, 80.0, 1e-9).x
    assert np.abs(np.abs(end) - 1).max() < 0.06
    assert (np.sort(end[:, 0]) == end[np.argsort(x[:, 0]), 0]).all()  # in one dimension trajectories do not cross


class Broken:
    """A Gaussian whose answers are spoiled."""

    def __init__(self, spoil):
        field = Gaussian(MEAN, VARIANCE, "edm")
        self.path, self.prediction, self.shape = field.path, field.prediction, field.shape
        self.field, self.spoil = field, spoil

    def __call__(self, x, t):
        return self.spoil(self.field(x, t))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y * np.nan, "not finite at t = 80"),
        (lambda y: y + np.inf, "not finite"),
        (lambda y: y[:, :2], r"states of shape \(4, 3\) with \(4, 2\)"),
    ],
)
def test_a_broken_field_ends_the_integration(spoil, message):
    with pytest.raises(UsageError, match=message):
        reference_solution(Broken(spoil), np.ones((4, 3)), 80.0)
