"""Combined steps against their papers' loops, written out in numpy on states and levels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines import numpy as engine
from solverbench.fields import Mixture

FIELD = Mixture([0.4, 0.6], np.array([[0.9, -0.4, 0.2], [-0.7, 0.5, -1.1]]), variances=[0.25, 0.09], path="edm")
LEVELS = [14.0, 8.0, 5.5, 2.9, 1.6, 0.9, 0.41, 0.2]


def eps(x, sigma):
    return (x - FIELD(x, sigma)) / sigma


def ours(solver, x, levels=LEVELS):
    return engine.run(sb.plan(solver, "edm", levels, prediction=FIELD.prediction), FIELD, x)


@pytest.fixture
def x(rng):
    return rng.normal(size=(5, 3)) * LEVELS[0]


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * np.abs(b).max())


@pytest.mark.parametrize("gamma", [1.5, 2.0])
def test_gradient_estimation(gamma, x):
    """A step of Euler, then (gamma - 1) times the change of the slope."""
    y, old = x, None
    for s, t in itertools.pairwise(LEVELS):
        d = eps(y, s)
        y = y + (t - s) * d + (0 if old is None else (gamma - 1) * (t - s) * (d - old))
        old = d
    close(ours(f"gradient-estimation[gamma={gamma}]", x), y)


@pytest.mark.parametrize(("k", "h"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_pfdiff(k, h, x):
    """On the paper's fine levels, equal in log sigma: one plain step, then by k + 1 of them through the h-th."""
    fine = np.geomspace(14.0, 0.2, 4 * (k + 1) + 2)
    Q = eps(x, fine[0])
    y = x + (fine[1] - fine[0]) * Q
    for i in range(1, len(fine) - 1, k + 1):
        springboard = y + (fine[i + h] - fine[i]) * Q
        Q = eps(springboard, fine[i + h])
        y = y + (fine[i + k + 1] - fine[i]) * Q
    close(ours(f"pfdiff-1[k={k},h={h}]", x, [fine[0], *fine[1 :: k + 1]]), y)


@pytest.mark.parametrize("every", [2, 3])
def test_richardson(every, x):
    """Over every block of steps, the combination of the fine and the coarse end that has no error of second order."""
    y = x
    for i in range(0, len(LEVELS) - 1, every):
        block = LEVELS[i : i + every + 1]
        coarse = y + (block[-1] - block[0]) * eps(y, block[0])
        for s, t in itertools.pairwise(block):
            y = y + (t - s) * eps(y, s)
        if len(block) == every + 1:
            ratio = np.sum(np.diff(block) ** 2) / (block[-1] - block[0]) ** 2
            fine_weight, coarse_weight = np.linalg.solve([[1, 1], [ratio, 1]], [1, 0])
            y = fine_weight * y + coarse_weight * coarse
    close(ours(f"rx-euler[every={every}]", x), y)


@pytest.mark.parametrize(("window", "sweeps"), [(7, 1), (7, 3), (4, 2), (3, 3), (5, 9)])
def test_picard(window, sweeps, x):
    """Every state of a window anew from every slope, as often as there are sweeps."""
    y = x
    for i in range(0, len(LEVELS) - 1, window):
        block = np.array(LEVELS[i : i + window + 1])
        states = np.repeat(y[None], len(block), axis=0)
        for _ in range(sweeps):
            slopes = np.array([eps(state, s) for state, s in zip(states[:-1], block[:-1], strict=True)])
            steps = np.diff(block)[:, None, None] * slopes
            states = np.concatenate([y[None], y + np.cumsum(steps, axis=0)])
        y = states[-1]
    close(ours(f"picard[window={window},sweeps={sweeps}]", x), y)


@pytest.mark.parametrize("remainder", [0, 1, 2])
def test_dpm_fast_is_its_parts(remainder, x):
    """DPM-Solver-3 as long as it lasts, then the orders that are left."""
    ends = {0: ["dpm-2", "dpm-1"], 1: ["dpm-1"], 2: ["dpm-2"]}[remainder]
    y = x
    names = ["dpm-3"] * (len(LEVELS) - 1 - len(ends)) + ends
    for name, s, t in zip(names, LEVELS[:-1], LEVELS[1:], strict=True):
        y = ours(name, y, [s, t])
    close(ours(f"dpm-fast[remainder={remainder}]", x), y)


def test_heunpp2(x):
    """Slopes at s, at t and at the level after it; later ones weigh their level over as many first levels as slopes."""
    y = x
    for i, (s, t) in enumerate(itertools.pairwise(LEVELS)):
        d = eps(y, s)
        y_2 = y + (t - s) * d
        d_2 = eps(y_2, t)
        if i + 2 < len(LEVELS):
            u = LEVELS[i + 2]
            d_3 = eps(y_2 + (u - t) * d_2, u)
            w_2, w_3 = t / (3 * LEVELS[0]), u / (3 * LEVELS[0])
            slope = (1 - w_2 - w_3) * d + w_2 * d_2 + w_3 * d_3
        else:
            slope = (1 - t / (2 * LEVELS[0])) * d + t / (2 * LEVELS[0]) * d_2
        y = y + (t - s) * slope
    close(ours("heunpp2", x), y)
