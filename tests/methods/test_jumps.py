"""Jump rules on a Gaussian field, whose flow map is exact: what they do to the law, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines.law import kernel
from solverbench.fields import Gaussian
from solverbench.paths import PATHS
from solverbench.plans import Jump

MEAN = np.array([0.3, -0.6, 1.0, 0.2])
VARIANCE = np.array([0.0, 0.04, 1.0, 9.0])
LEVELS = np.array([12.0, 4.0, 1.5, 0.4, 0.1])
RULES = ["flow-map", "consistency", "tcd", "tcd[eta=0.8]", "ctm", "ctm[gamma=0.9]", "ctm[gamma=1,floor=0.02]"]


def grid(path, data):
    """These levels on a path, with the data after them or not."""
    times = path.inverse_sigma_tilde(LEVELS).tolist()
    return sb.Grid(path, (*times, 0.0) if data else tuple(times))


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", PATHS)
def test_exact_jumps_keep_the_exact_marginal(name, rule, data):
    """Whatever the level jumped to, with the noise between it and the end of the step."""
    field = Gaussian(MEAN, VARIANCE, name)
    steps = grid(field.path, data)
    law = sb.law(field, rule, steps, target="data" if data else "end")
    np.testing.assert_allclose(law.mean, law.reference_mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.variance, law.reference_variance, rtol=1e-10, atol=1e-14)
    assert law.nfe == len(steps)


def standard_deviations(field, *times):
    return [np.sqrt(field.moments(t)[1]) for t in times]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.8, 1.0])
def test_what_a_step_remembers(gamma):
    """One gamma-step scales the state by std_d/std_s, d the level sqrt(1 - gamma^2) t, and adds gamma^2 t^2."""
    field = Gaussian(MEAN, VARIANCE, "edm")
    s, t = 4.0, 1.5
    K = kernel(sb.plan(f"ctm[gamma={gamma}]", "edm", [s, t], prediction="x0"), field)
    std_s, std_d = standard_deviations(field, s, np.sqrt(1 - gamma**2) * t)
    np.testing.assert_allclose(K.A, std_d / std_s, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(K.Q, gamma**2 * t * t, rtol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_level_of_tcd_is_a_time(eta):
    field = Gaussian(MEAN, VARIANCE, "vp-linear")
    s, t = 0.8, 0.5
    K = kernel(sb.plan(f"tcd[eta={eta}]", "vp-linear", [s, t], prediction="x0"), field)
    d = (1 - eta) * t
    alpha, sigma = field.path.alpha, field.path.sigma
    std_s, std_d = standard_deviations(field, s, d)
    np.testing.assert_allclose(K.A, alpha(t) / alpha(d) * std_d / std_s, rtol=1e-12, atol=1e-14)
    added = sigma(t) ** 2 - (alpha(t) / alpha(d) * sigma(d)) ** 2
    np.testing.assert_allclose(K.Q, added, rtol=1e-11, atol=1e-14)


def test_the_consistency_rule_asks_for_the_data_only():
    plan = sb.plan("consistency", "edm", [*LEVELS, 0.0])
    assert [(i.s, i.t) for i in plan.code if isinstance(i, Jump)] == [(s, 0.0) for s in LEVELS]
    assert plan.draws == len(LEVELS) - 1  # none onto the data


def test_levels_at_the_floor_are_jumped_to_without_noise():
    """CTM's code counts levels from sigma_min; a grid that ends there ends with the map's own value."""
    plan = sb.plan("ctm[floor=0.1]", "edm", LEVELS)
    assert plan.draws == len(LEVELS) - 2
    assert [i.t for i in plan.code if isinstance(i, Jump)][-1] == LEVELS[-1]
    first = next(i.t for i in plan.code if isinstance(i, Jump))
    assert first == pytest.approx(np.sqrt(0.75) * (LEVELS[1] - 0.1) + 0.1)


@pytest.mark.parametrize("path", ["rectified", "trig"])
@pytest.mark.parametrize("rule", RULES)
def test_from_pure_noise(path, rule):
    """A rule takes the first step itself. With the prior as the start, the law is that of the data."""
    field = Gaussian(MEAN, VARIANCE, path)
    law = sb.law(field, rule, sb.grid("uniform", path, 4), start="prior")
    np.testing.assert_allclose(law.mean, MEAN, rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.variance, VARIANCE, rtol=1e-10, atol=1e-14)
