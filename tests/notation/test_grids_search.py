"""GITS: costs on trajectories known in closed form, and the dynamic programme against all choices."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from solverbench.errors import UsageError
from solverbench.grids import grid
from solverbench.grids.search import cheapest, deviation_costs

TIMES = np.array(grid("edm", "edm", 12, zero=False))


def gaussian(variances, samples=5):
    """Trajectories x = z sqrt(v + t^2) of N(0, diag v) and their slopes."""
    z = np.random.default_rng(0).normal(size=(samples, len(variances)))
    scale = np.sqrt(np.array(variances) + TIMES[:, None] ** 2)
    return z * scale[:, None], z * (TIMES[:, None] / scale)[:, None]


def test_straight_trajectories_cost_nothing():
    costs = deviation_costs(TIMES, *gaussian([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(costs, 0, atol=1e-11)


def test_cost_is_the_excess_distance_from_the_chord():
    """In two dimensions the distance is a cross product."""
    x, d = gaussian([1.0, 0.01], samples=3)
    costs = deviation_costs(TIMES, x, d)

    def distance(points):
        c = x[-1] - x[0]
        a = points - x[0]
        return np.abs(c[:, 0] * a[:, 1] - c[:, 1] * a[:, 0]) / np.hypot(c[:, 0], c[:, 1])

    i, j = 3, 8
    step = x[i] + (TIMES[j] - TIMES[i]) * d[i]
    assert costs[i, j] == pytest.approx(np.mean(distance(step) - distance(x[j])), rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [0.5, 1.0, 1.15, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_cheapest_of_all_choices(steps, weight, seed):
    costs = np.random.default_rng(seed).normal(size=(9, 9))
    every = [(0, *inner, 8) for inner in combinations(range(1, 8), steps - 1)]

    def total(choice):
        return sum(weight**k * costs[a, b] for k, (a, b) in enumerate(pairwise(choice)))

    assert cheapest(costs, steps, weight) == min(every, key=total)


def test_a_searched_grid_follows_a_bend_better_than_a_uniform_choice():
    """Its total cost is the smaller, and its times make a grid."""
    costs = deviation_costs(TIMES, *gaussian([1.0, 0.01]))
    found = cheapest(costs, 4, weight=1.0)
    assert sum(costs[a, b] for a, b in pairwise(found)) < sum(costs[a, b] for a, b in ((0, 3), (3, 6), (6, 9), (9, 12)))
    assert len(grid(TIMES[list(found)], "edm")) == 4


@pytest.mark.parametrize("steps", [0, 13])
def test_impossible_numbers_of_steps(steps):
    with pytest.raises(UsageError, match=f"{steps} steps cannot be chosen from 13 times"):
        cheapest(np.zeros((13, 13)), steps)
