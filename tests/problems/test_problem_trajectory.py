"""Paired errors on a field of which only its values are used: against exact solutions, and at the cost of guidance."""

from __future__ import annotations

import numpy as np
import pytest
import small

import solverbench as sb
from solverbench.errors import BudgetError, UsageError
from solverbench.fields.network import NetworkField
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal
from solverbench.methods import SOLVERS
from solverbench.problems.base import ProblemSpec
from solverbench.problems.budget import plan_within
from solverbench.sampling import start


def judge(problem, name, nfe):
    field = problem.field
    plan = plan_within(SOLVERS[name], field.path, problem.grid, nfe, field.prediction, problem.evaluations)
    return problem.judge(SOLVERS[name], plan)


@pytest.mark.parametrize("name", ["ddim", "heun", "dpmpp-2m"])
def test_the_error_is_that_against_the_exact_flow(problem, name):
    field = small.gaussian("edm")
    made = problem("trajectory", field=field)
    x = start(field, made.grid(2), 8, 0)
    exact = field(field.jump(x, 80.0, 0.002), 0.002)  # down to the last noise level, then the denoiser
    plan = plan_within(SOLVERS[name], field.path, made.grid, 11, "x0")
    rmse = np.sqrt(np.mean((sb.sample(field, name, plan.grid, x).x - exact) ** 2))
    measures = judge(made, name, 11).measures
    assert measures["rmse"] == pytest.approx(rmse, rel=1e-3, abs=2e-6)
    assert measures["rmse_max"] >= measures["rmse"] > 100 * measures["reference_error"]


def test_the_reference_error_covers_the_reference(problem):
    field = small.gaussian("edm")
    made = problem("trajectory", field=field)
    x = start(field, made.grid(2), 8, 0, dtype=np.float32).astype(float)
    exact = field(field.jump(x, 80.0, 0.002), 0.002)
    assert np.sqrt(np.mean((made._reference - exact) ** 2)) < made._known["reference_error"] < 1e-4


def test_stochastic_solvers_are_left_out_with_the_reason(problem):
    made = problem("trajectory")
    assert "draws noise" in made.applies(SOLVERS["ddpm"])
    assert made.applies(SOLVERS["ddim"]) is None
    assert "no flow map" in problem("trajectory", field=guided(1.0)).applies(SOLVERS["flow-map"])


def guided(scale):
    gaussian = small.gaussian("edm")

    def network(x, t, label):
        return gaussian(x, t) * (1 + 0.1 * (label == 0)).view(-1, *[1] * (x.ndim - 1))

    return NetworkField(network, "edm", gaussian.shape, labels=2, label=0, guidance=scale, dtype="float64")


def test_guidance_counts_twice(problem):
    made = problem("trajectory", field=guided(2.0))
    assert made.evaluations == 2
    field = made.field
    plan = plan_within(SOLVERS["ddim"], field.path, made.grid, 11, "x0", 2)
    assert plan.nfe == 5
    with pytest.raises(BudgetError, match="at least 2 evaluations on this grid, the budget is 1"):
        plan_within(SOLVERS["ddim"], field.path, made.grid, 1, "x0", 2)


def test_a_network_that_breaks_down_is_a_result_or_an_error_never_a_crash(problem):
    calls = []

    def breaking(x, t, label):
        calls.append(t)
        return x * (float("nan") if len(calls) > limit else 0.5)

    limit = 10**9
    made = problem("trajectory", field=NetworkField(breaking, "edm", (3, 2, 2)))
    limit = 0
    judgement = judge(made, "ddim", 5)
    assert (judgement.status, judgement.reason) == ("diverged", "8 of 8 samples are not finite")
    with pytest.raises(UsageError, match="not finite along its own trajectories"):
        problem("trajectory", field=NetworkField(breaking, "edm", (3, 2, 2)))


def test_budgets_and_solvers_of_a_problem_are_its_own():
    spec = ProblemSpec("p", "f", "trajectory", nfe=(4,), solvers=("ddim",))
    assert (spec.nfe, spec.solvers, spec.path) == ((4,), ("ddim",), None)


@pytest.fixture
def pictured(problem, extractor_file, monkeypatch):
    """A problem on pictures, with distances in the features of an untrained network."""
    monkeypatch.setattr("solverbench.pretrained.path", lambda name: extractor_file)
    return problem("trajectory", field=small.pictures(), samples=24, paired=4, steps=16)


def test_sets_are_compared_with_what_a_perfect_solver_reaches(pictured):
    at = {nfe: judge(pictured, "dpmpp-2m", nfe).measures for nfe in (4, 8, 16, 60)}
    distances = [at[nfe]["fd_reference"] for nfe in at]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-2 * distances[0]  # bytes differ in a few places
    goal = at[60]["fd_data_floor"]
    assert abs(at[60]["fd_data"] - goal) < 0.1 * abs(at[4]["fd_data"] - goal)
    assert (at[4]["n"], at[4]["n_paired"]) == (24, 4)
    assert at[4]["set_error"] < 1e-3 < at[4]["rmse"]


def test_the_reference_of_sets_scores_nothing_and_the_goal(pictured):
    ends = pictured._watched(SOLVERS["unipc-3"], 60, pictured._start)[0]
    law = Normal.of(pictured._extract(ends))
    assert frechet(law, Normal.of(pictured._ends)) == pytest.approx(0, abs=1e-9)
    assert frechet(law, pictured._extract.data) == pictured._known["fd_data_floor"]


def test_fields_that_are_no_pictures_have_no_distances(problem):
    measures = judge(problem("trajectory", samples=40, paired=8), "ddim", 5).measures
    assert "fd_reference" not in measures
    assert measures["n"] == 8


def test_distances_of_sets_carry_standard_errors(problem, extractor_file, monkeypatch):
    monkeypatch.setattr("solverbench.pretrained.path", lambda name: extractor_file)
    made = problem("trajectory", field=small.pictures(), samples=12, paired=4, steps=16)
    measures = judge(made, "ddim", 6).measures
    assert 0 < measures["fd_reference_se"] < measures["fd_reference"]
    assert 0 < measures["fd_data_se"] < measures["fd_data"]
