"""Steps with noise between them: levels, draws, and what becomes of exact marginals."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines.law import kernel
from solverbench.eta import Eta
from solverbench.fields import Gaussian
from solverbench.methods.flow_map import flow_map
from solverbench.methods.renoising import ancestral, churned, posterior_levels, time_levels
from solverbench.plans import Eval, LinComb, Noise, trace

MEAN = np.array([0.3, -0.6, 1.0, 0.2])
VARIANCE = np.array([0.0, 0.04, 1.0, 9.0])
PATHS = ["edm", "vp-linear", "rectified"]


def grid(path, levels=(9.0, 4.0, 2.5, 0.7, 0.3, 0.1)):
    """These levels on a path."""
    made = sb.path(path)
    return sb.Grid(made, tuple(made.inverse_sigma_tilde(np.array(levels)).tolist()))


@pytest.mark.parametrize("eta", [0.3, 1.0, 2.0])
def test_levels_of_the_posterior_add_up(eta):
    """down^2 + up^2 = sigma_t^2; at eta = 1 up is the posterior deviation."""
    down, up = posterior_levels(sb.path("edm"), 3.0, 1.2, eta)
    assert down**2 + up**2 == pytest.approx(1.44)
    assert up == pytest.approx(min(1.2, eta * 1.2 * np.sqrt(1 - 1.44 / 9)))


def test_levels_in_time_are_of_strength_sqrt_eta_in_a_small_step():
    """up^2 tends to eta times the noise of the reverse SDE, 2 sigma~ dsigma~; that of the posterior to eta^2 times."""
    path, s, dt = sb.path("rectified"), 0.6, 1e-6
    sde = path.sigma_tilde(s) ** 2 - path.sigma_tilde(s - dt) ** 2
    assert time_levels(path, s, s - dt, 0.3)[1] ** 2 / sde == pytest.approx(0.3, rel=1e-4)
    assert posterior_levels(path, s, s - dt, 0.3)[1] ** 2 / sde == pytest.approx(0.09, rel=1e-4)


def exact_rule(rule):
    """A renoising kernel around exact steps, on the field's own flow map."""
    return lambda x, path, grid: rule(x, path, grid, flow_map)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "rule",
    [
        lambda x, path, grid, step: ancestral(x, path, grid, step, Eta.of(1.0), 1.0, "posterior"),
        lambda x, path, grid, step: ancestral(x, path, grid, step, Eta.of(0.4), 1.0, "posterior"),
        lambda x, path, grid, step: ancestral(x, path, grid, step, Eta.of(0.4), 1.0, "time"),
        lambda x, path, grid, step: churned(x, path, grid, step, 2.0, 0.0, 5.0, 1.0),
    ],
)
def test_exact_steps_keep_exact_marginals(rule, path):
    """Noise alone does no harm: with s_noise = 1 and an exact step inside, the end has the exact law."""
    field = Gaussian(MEAN, VARIANCE, path)
    steps = grid(path)
    plan = trace(exact_rule(rule), field.path, steps, "x0", name="exact")
    assert plan.draws > 1
    start, end = field.moments(steps.times[0]), field.moments(steps.times[-1])
    mean, variance = kernel(plan, field).push(*start)
    np.testing.assert_allclose(mean, end[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(variance, end[1], rtol=1e-12)


def test_restarts_draw_anew_at_every_visit():
    plan = sb.plan("restart[visits=3]", "edm", [9.0, 2.0, 0.1, 0.05])
    assert plan.draws == 3
    assert len({(i.s, i.t) for i in plan.code if isinstance(i, Noise)}) == 1


@pytest.mark.parametrize("path", PATHS)
def test_restart_from_the_nearest_level(path):
    """Between 0.3 and 0.1 the level nearest 0.14 is 0.1; the descents are even in sigma~^(1/7)."""
    steps = grid(path)
    plan = sb.plan("restart[s_low=0.14,s_high=1.5,visits=1,points=4]", path, steps)
    levels = [float(steps.path.sigma_tilde(i.t)) for i in plan.code if isinstance(i, Eval)][-6:]
    a, b = 1.5 ** (1 / 7), 0.1 ** (1 / 7)
    down = [(a + (b - a) * i / 3) ** 7 for i in range(4)]
    np.testing.assert_allclose(levels, [down[0], down[1], down[1], down[2], down[2], down[3]], rtol=1e-12)


def test_no_restart_where_there_is_no_room():
    for spec in ("restart[s_low=0.05,s_high=0.08]", "restart[visits=0]"):
        assert sb.plan(spec, "edm", grid("edm")).equivalent(sb.plan("rho-2heun", "edm", grid("edm")))
    assert sb.plan("restart", "edm", [9.0, 0.0]).nfe == 1


def test_restarts_converge_in_their_own_steps():
    """A finer grid leaves the error of the descents, more points take it away: Heun's order two."""
    field = Gaussian(np.zeros(3), np.array([0.01, 0.2, 1.0]), "edm")
    steps = sb.grid("edm", "edm", 1500, t_max=10.0, t_min=0.05, zero=False)

    def error(points):
        law = sb.law(field, f"restart[s_low=0.2,s_high=2,s_noise=1,points={points}]", steps, target="end")
        return law.variance - law.reference_variance

    errors = [error(points) for points in (9, 17, 33)]
    np.testing.assert_allclose(np.log2(errors[0] / errors[1]), 2, atol=0.15)
    np.testing.assert_allclose(np.log2(errors[1] / errors[2]), 2, atol=0.1)


@pytest.mark.parametrize(("s_churn", "gamma"), [(1.0, 0.5), (100.0, np.sqrt(2) - 1)])
def test_churn_raises_by_its_share_of_the_steps_and_never_beyond_twice_the_variance(s_churn, gamma):
    """gamma = min(s_churn/N, sqrt(2) - 1) (EDM, algorithm 2), of the levels in range alone."""
    levels = (4.0, 1.0, 0.3)
    plan = sb.plan(f"euler-churn[s_churn={s_churn},s_min=0.5,s_max=2]", "edm", levels)
    gamma = min(gamma, np.sqrt(2) - 1)
    np.testing.assert_allclose([i.t for i in plan.code if isinstance(i, Eval)], [4.0, 1.0 + gamma], rtol=1e-12)
    assert plan.draws == 1


@pytest.mark.parametrize("r", [0.3, 0.5])
def test_the_draw_of_a_step_contains_that_of_its_stage(r):
    """DPM++ SDE: both are increments of a Brownian motion in sigma~, so they share (s - u)/(s - t) of the variance."""
    s, t = 3.0, 0.5
    u = s ** (1 - r) * t**r
    plan = sb.plan(f"sde-dpmpp-2s[r={r}]", "edm", [s, t], prediction="x0")
    base = [i for i in plan.code if not isinstance(i, LinComb)]
    of = {(i.s, i.t): k for k, i in enumerate(base) if isinstance(i, Noise)}
    end = plan.tableau()[-1]
    stage, rest = (float(next(end[k] for (a, _), k in of.items() if a == pytest.approx(level))) for level in (s, u))
    assert stage**2 / (stage**2 + rest**2) == pytest.approx((s - u) / (s - t), rel=1e-12)
