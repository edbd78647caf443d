"""What a problem measures of a plan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.eta import Eta
from solverbench.fields import Gaussian, Mixture
from solverbench.measures.frechet import frechet_squared
from solverbench.measures.likelihood import mean_bits
from solverbench.methods import SOLVERS
from solverbench.pictures import as_pictures
from solverbench.problems.base import ProblemSpec
from solverbench.problems.budget import plan_within


def judge(problem, name, nfe):
    solver = SOLVERS[name]
    plan = plan_within(solver, problem.field.path, problem.grid, nfe, problem.field.prediction)
    return problem.judge(solver, plan)


@pytest.mark.parametrize("name", ["ddim", "unipc-2", "sde-dpmpp-2m[eta=0.5]", "ddpm", "flow-map"])
def test_a_law_problem_agrees_with_sb_law(problem, name):
    made = problem("law")
    solver = SOLVERS[name]
    measures = judge(made, name, 6).measures
    plan = plan_within(solver, made.field.path, made.grid, 6)
    law = sb.law(made.field, solver, plan.grid, start="prior")
    exact = sb.law(made.field, solver, plan.grid)
    assert measures["w2"] == law.w2
    assert measures["kl"] == law.kl
    assert measures["mean_error"] == pytest.approx(np.linalg.norm(exact.mean_error), abs=1e-15)
    assert (measures["std_error_min"], measures["std_error_max"]) == (exact.std_error.min(), exact.std_error.max())
    eta = Eta.of(solver.options.get("eta", 0.0)).constant
    V = made.field.variance
    start = V + 6400
    spread = V + (6400 - start) * (V / start) ** (1 + eta**2)  # the exact process from N(0, 80^2)
    assert measures["w2_initialisation"] == pytest.approx(np.linalg.norm(np.sqrt(spread) - np.sqrt(V)), rel=1e-6)


def test_a_law_problem_draws_pictures_of_the_law(problem):
    made = problem("law")
    judgement = judge(made, "flow-map", 2)
    assert judgement.images.shape == made.reference_images.shape == (8, 3, 2, 2)
    assert judgement.images.dtype == np.uint8
    assert np.abs(judgement.images.astype(int) - made.reference_images).max() <= 1  # the flow map is exact


@pytest.mark.parametrize("path", ["edm", "vp-linear", "rectified"])
def test_the_paired_error_falls_with_the_budget(problem, path):
    made = problem("paired", path=path, grid="edm")
    few, many, most = (judge(made, "dpmpp-2m", nfe).measures for nfe in (5, 20, 80))
    assert few["rmse"] > 2 * many["rmse"] > 16 * most["rmse"] > 0
    assert 0 < many["rmse_se"] < many["rmse"] <= many["rmse_max"]
    assert most["reference_error"] < 1e-6
    assert many["flops"] == 4 * few["flops"]
    assert (few["n"], few["n_paired"]) == (40, 8)


@pytest.mark.parametrize("nfe", [2, 6])
def test_the_paired_error_is_per_pixel_and_to_the_exact_end(problem, nfe):
    """On a mixture of one component the exact ends are known: the error is computed here from the solver's output."""
    mean, variance = np.full((1, 3, 2, 2), 0.3), np.linspace(0.02, 0.5, 12)
    made = problem("paired", field=Mixture([1.0], mean, variances=[variance], path="edm"), paired=8)
    measures = judge(made, "ddim", nfe).measures
    start = made.field.sample(40, seed=1, t=80.0).astype(np.float32)  # seed 1: that of the starts
    plan = plan_within(SOLVERS["ddim"], made.field.path, made.grid, nfe)
    found = sb.sample(made.field, "ddim", plan.grid, start).x
    exact = Gaussian(mean[0], variance, "edm").jump(start.astype(float), 80.0, 0.0)
    squares = ((found - exact)[:8] ** 2).mean(axis=(1, 2, 3))
    assert measures["rmse"] == pytest.approx(np.sqrt(squares.mean()), rel=1e-4)
    assert measures["rmse_max"] == pytest.approx(np.sqrt(squares.max()), rel=1e-4)
    resampled = np.random.default_rng(0).choice(squares, (4000, 8)).mean(axis=1)
    assert measures["rmse_se"] == pytest.approx(np.sqrt(resampled).std(), rel=0.2)
    C = np.diag(variance)
    flat = found.reshape(40, 12).astype(float)
    expected = frechet_squared(flat, mean.ravel(), np.trace(C), lambda A: A @ C)
    assert measures["fd"] == pytest.approx(expected, rel=1e-3)


def test_truncation_is_the_last_denoising_of_the_exact_trajectory(problem):
    """Of N(m, v): D - x_0 = (k - sqrt k)(x - m) with k = v/(v + sigma_min^2), x the exact state there."""
    mean, v, sigma = np.full((1, 3, 2, 2), 0.3), 1e-4, 0.002
    made = problem("paired", field=Mixture([1.0], mean, variances=[v], path="edm"), rtol=1e-11)
    start = made.field.sample(40, seed=1, t=80.0).astype(np.float32).astype(float)[:8]
    centred = Gaussian(mean[0], np.full(12, v), "edm").jump(start, 80.0, sigma) - mean
    k = v / (v + sigma**2)
    expected = np.sqrt(np.mean(((k - np.sqrt(k)) * centred) ** 2))
    measures = judge(made, "dpmpp-3m", 300).measures
    assert measures["rmse_truncation"] == pytest.approx(expected, rel=1e-6)
    assert measures["rmse"] == pytest.approx(expected, rel=0.02)  # what is left at many steps is the truncation
    assert judge(problem("paired", path="rectified", grid="uniform"), "ddim", 5).measures["rmse_truncation"] is None


def test_the_frechet_distance_comes_down_to_its_floor(problem):
    made = problem("paired", samples=400)
    far, near = judge(made, "ddim", 3).measures, judge(made, "heun", 61).measures
    assert near["fd_floor"] == far["fd_floor"] > 2 * near["fd_floor_sd"] > 0
    assert near["fd"] < near["fd_floor"] + 8 * near["fd_floor_sd"] < far["fd"]


def test_the_floor_falls_as_one_over_n(problem):
    few, many = (judge(problem("paired", samples=n), "ddim", 2).measures["fd_floor"] for n in (50, 800))
    assert few / many == pytest.approx(16, rel=0.5)


def test_without_pairs_there_is_no_reference_and_all_else(problem):
    made, with_pairs = problem("paired", paired=0), problem("paired")
    few, all_ = (judge(p, "ddim", 5).measures for p in (made, with_pairs))
    assert few["fd"] == all_["fd"]
    assert (few["n_paired"], few["reference_error"], few.get("rmse")) == (0, None, None)
    assert made.reference_images is None


def test_the_likelihood_on_samples_is_that_of_the_law(problem):
    """On a mixture of one component, where its mean over all samples is known without any."""
    mean, variance = np.full((1, 3, 2, 2), 0.3), np.linspace(0.02, 0.5, 12)
    field = Mixture([1.0], mean, variances=[variance], path="edm")
    made = problem("paired", field=field, paired=0, likelihood=True)
    for name, nfe in (("ddim", 8), ("heun", 30)):
        judged = judge(made, name, nfe)
        found, terms = judged.measures, judged.by_start["bits_by_start"]
        assert found["bits_error"] == pytest.approx(terms.mean())
        assert found["bits_error_se"] == pytest.approx(stats.sem(terms))
        grid = plan_within(SOLVERS[name], made.field.path, made.grid, nfe).grid
        by_solver, exact = mean_bits(Gaussian(mean[0].ravel(), variance, "edm"), SOLVERS[name], grid)
        assert found["bits_error"] == pytest.approx(abs(by_solver - exact), abs=4 * found["bits_error_se"])
        assert 0 < found["bits_error_se"] < found["bits_error"] / 4
        assert found["bits"] - found["bits_exact"] == pytest.approx(by_solver - exact, abs=4 * found["bits_error_se"])
        assert found["n_bits"] == 16


@pytest.mark.parametrize("kind", ["law", "paired"])
def test_only_solvers_of_the_ode_have_likelihoods_and_only_if_asked(problem, kind):
    asked = {name: judge(problem(kind, likelihood=True), name, 6).measures for name in ("ddim", "ddpm")}
    assert [name for name, found in asked.items() if "bits" in found] == ["ddim"]
    assert "bits" not in judge(problem(kind), "ddim", 6).measures


def test_a_stochastic_solver_has_no_paired_error(problem):
    measures = judge(problem("paired"), "ddpm", 5).measures
    assert "rmse" not in measures
    assert measures["fd"] > 0


def test_seeds_change_starts_and_the_same_seed_does_not(problem):
    numbers = [judge(problem("paired", seed=seed), "ddim", 5).measures["rmse"] for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]


class Spoiled:
    """A mixture whose answers in single precision, those to a solver, are spoiled."""

    def __init__(self, field, spoil):
        self.field, self.spoil = field, spoil

    def __getattr__(self, name):
        return getattr(self.field, name)

    def __call__(self, x, t):
        y = self.field(x, t)
        return self.spoil(y) if "float32" in str(y.dtype) else y


def test_samples_that_are_not_finite_are_a_result(problem):
    def spoil(y):
        y[3] = float("nan")
        return y

    field = Spoiled(Mixture([1.0], np.zeros((1, 3, 2, 2)), variances=[0.1], path="edm"), spoil)
    judgement = judge(problem("paired", field=field), "ddim", 4)
    assert judgement.status == "diverged"
    assert judgement.reason == "1 of 40 samples are not finite"
    assert {"rmse", "fd"}.isdisjoint(judgement.measures)
    assert judgement.measures["fd_floor"] > 0
    assert (judgement.images[3] == 0).all()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"kind": "lw"}, "unknown kind 'lw'.*did you mean law"),
        ({"samples": 1, "paired": 1}, "2 <= samples"),
        ({"samples": 4, "paired": 5}, "paired <= samples, got samples=4, paired=5"),
        ({"paired": -1}, "0 <= paired"),
        ({"paired": 0, "kind": "trajectory"}, "1 <= paired"),
        ({"rtol": 0.0}, "rtol must be between"),
        ({"rtol": 1e-15}, "rtol must be between"),
    ],
)
def test_specs_that_cannot_be(entries, message):
    with pytest.raises(UsageError, match=message):
        ProblemSpec(**{"name": "p", "field": "f", "kind": "paired", **entries})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"path": "edn"}, "unknown path 'edn'.*edm"),
        ({"grid": "emd"}, "'small': unknown grid 'emd'.*edm"),
        ({"grid_options": {"rh": 3}}, "no option 'rh'.*rho"),
        ({"grid_options": {"t_min": 90.0}}, "t_min=90.0"),
        ({"grid_options": {"rho": "x"}}, "problem 'small'"),
        ({"grid_options": {"path": "ve"}}, "problem 'small'"),
        ({"field": Mixture([1.0], np.zeros((1, 2)), variances=[0.1], path="edm")}, "does not suit kind 'law'"),
    ],
)
def test_problems_that_cannot_be_are_refused_when_built(problem, entries, message):
    with pytest.raises(UsageError, match=message):
        problem("law", **entries)


def test_a_gaussian_is_no_paired_problem(problem):
    with pytest.raises(UsageError, match="does not suit kind 'paired'"):
        problem("paired", field=Gaussian([0.0], [1.0], "edm"))


def test_pictures_clip_and_show_what_is_not_finite_as_black():
    pixels = np.array([-2.0, -1.0, 0.0, 1.0, 7.0, np.nan, np.inf, -np.inf])
    assert as_pictures(pixels).tolist() == [0, 0, 128, 255, 255, 0, 0, 0]


@pytest.mark.parametrize("samples", [12, 40])
def test_the_frechet_distance_comes_with_the_spread_it_has_over_starts(problem, monkeypatch, samples):
    """In twelve dimensions, below full rank and above."""
    found = [judge(problem("paired", samples=samples, paired=0, seed=seed), "ddim", 4) for seed in range(20)]
    told, seen = (np.array([f.measures[key] for f in found]) for key in ("fd_se", "fd"))
    assert told.mean() == pytest.approx(np.std(seen), rel=0.6)
    np.testing.assert_allclose([f.by_start["fd_by_start"].mean() for f in found], seen)
    monkeypatch.setattr("solverbench.problems.paired.FEW", 11)
    measures = judge(problem("paired", samples=40, paired=0), "ddim", 4).measures
    assert "fd_se" not in measures
    if samples == 40:
        assert measures["fd"] == pytest.approx(seen[0])
