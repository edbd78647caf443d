"""Errors along the trajectory against the exact flow of a Gaussian, on two kinds of reference."""

from __future__ import annotations

import numpy as np
import pytest
import small

import solverbench as sb
from solverbench.fields import Gaussian, Mixture
from solverbench.methods import SOLVERS
from solverbench.problems.along import FEW, Trajectory, levels
from solverbench.problems.budget import plan_within

MEAN, VARIANCE = np.full((3, 2, 2), 0.3), np.linspace(0.02, 0.5, 12)


def test_between_levels_is_the_trajectory():
    """x~ = sqrt((v + u^2)/(v + U^2)) x~_0, u from 80 to 0.002."""
    lam = levels(-np.log(80), -np.log(0.002))
    v, start = VARIANCE[:, None], 80 * np.random.default_rng(0).normal(size=(12, 3))

    def exact(at):
        return np.sqrt((v + np.exp(-2 * at)) / (v + 80**2)) * start

    trajectory = Trajectory(lam, np.stack([exact(at) for at in lam]), np.zeros(len(lam)))
    for at in np.random.default_rng(1).uniform(lam[0], lam[-1], 40):
        np.testing.assert_allclose(trajectory.at(at)[0], exact(at), rtol=1e-8)


@pytest.mark.parametrize(("kind", "path"), [("paired", "edm"), ("paired", "vp-linear"), ("trajectory", "edm")])
@pytest.mark.parametrize("solver", ["ddim", "heun", "dpmpp-2m"])
def test_errors_are_those_of_the_states_against_the_exact_flow(problem, kind, path, solver):
    """Heun evaluates a state again after correcting it; expected are the ends of runs on the first part of the grid."""
    gaussian = Gaussian(MEAN, VARIANCE, path, prediction="x0")
    field = Mixture([1.0], MEAN[None], variances=[VARIANCE], path=path) if kind == "paired" else gaussian
    made = problem(kind, field=field, rtol=1e-9, samples=40, paired=20, grid="edm")
    plan = plan_within(SOLVERS[solver], field.path, made.grid, 10, field.prediction)
    found = made.judge(SOLVERS[solver], plan).along
    times = np.array(plan.grid.times[1:-1], dtype=float)
    start = made._start[:FEW].double().numpy()
    assert found.shape == (len(times), 4)
    np.testing.assert_allclose(found[:, 0], [field.path.sigma_tilde(t) for t in times], rtol=1e-12)
    first = float(plan.grid.times[0])
    for k, t in enumerate(times):
        part = sb.grids.Grid(field.path, plan.grid.times[: k + 2])
        x = sb.sample(field, solver, part, start, dtype="float64").x
        squares = (((x - gaussian.jump(start, first, t)) / float(field.path.alpha(t))) ** 2).reshape(FEW, -1).mean(1)
        assert found[k, 1] == pytest.approx(np.sqrt(squares.mean()), rel=2e-3, abs=2e-6)  # runs are in float32
        assert 0 < found[k, 2] < found[k, 1]
    assert (found[:, 3] < 2e-2 * found[:, 1]).all()


def test_the_error_of_the_reference_covers_it(problem):
    field = Gaussian(MEAN, VARIANCE, "edm", prediction="x0")
    made = problem("trajectory", field=field)
    start = made._start.double().numpy()
    for lam in (-4.0, -1.03, 0.5, 3.0, 5.5):
        x, own = made._trajectory.at(lam)
        exact = field.jump(start, 80.0, float(np.exp(-lam)))
        assert np.sqrt(np.mean((x - exact) ** 2)) < max(own, 1e-6)


def test_draws_and_runs_that_diverge_are_not_followed(problem):
    made = problem("paired")
    plan = plan_within(SOLVERS["ddpm"], made.field.path, made.grid, 5, made.field.prediction)
    assert made.judge(SOLVERS["ddpm"], plan).along is None


def test_jumps_are_seen(problem):
    field = small.gaussian("edm")
    made = problem("trajectory", field=field)
    plan = plan_within(SOLVERS["flow-map"], field.path, made.grid, 4, field.prediction)
    found = made.judge(SOLVERS["flow-map"], plan).along
    assert len(found) == 3
    assert (found[:, 1] < 1e-3).all()
