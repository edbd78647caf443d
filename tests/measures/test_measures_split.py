"""The parts of a law's error against closed forms written out here, per direction."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.fields import Gaussian
from solverbench.measures.law import error_split, history, law_of, transfer

LAM = np.array([4.0, 0.5, 0.01])
MU = np.array([0.3, -0.2, 0.1])
PATHS = ["edm", "ve", "vp-linear", "vp-cosine"]


def gaussian(path):
    return Gaussian(MU, LAM, path, prediction="x0")


def w2(law, reference):
    (m, V), (n, R) = law, reference
    return math.sqrt(np.sum((m - n) ** 2 + (np.sqrt(V) - np.sqrt(R)) ** 2))


def kl(law, reference):
    (m, V), (n, R) = law, reference
    return 0.5 * np.sum(V / R - 1 - np.log(V / R) + (m - n) ** 2 / R)


def closed_forms(path, grid, eta):
    """Part -> (law, reference) in canonical coordinates, u = sigma~^2: what the exact process makes of the prior, what
    a perfect solver of this grid ends with, and what DDIM makes of the exact marginal and of the prior."""
    alpha = path.alpha(grid.times[0])
    u = np.array([path.sigma_tilde(t) ** 2 for t in grid.times])
    U, prior = LAM + u[0], path.prior_std(grid.times[0]) ** 2 / alpha**2
    phi = (LAM / U) ** ((1 + eta**2) / 2)
    from_prior = MU - phi * MU, LAM + phi**2 * (prior - U)
    last = u[-2]
    ideal = MU, LAM**2 / (LAM + last)
    slope = np.ones(3)
    for s, t in pairwise(u[:-1]):
        slope *= 1 + (math.sqrt(t / s) - 1) * s / (LAM + s)
    slope *= LAM / (LAM + last)  # the final denoising step
    return {
        "initialisation": (from_prior, (MU, LAM)),
        "truncation": (ideal, (MU, LAM)),
        "discretisation": ((MU, slope**2 * U), ideal),
        "initialisation_truncation": (closed_end(from_prior_at(u[0], last, prior, eta), last), (MU, LAM)),
        "initialisation_discretisation": ((MU - slope * MU, slope**2 * prior), ideal),
        "truncation_discretisation": ((MU, slope**2 * U), (MU, LAM)),
        "total": ((MU - slope * MU, slope**2 * prior), (MU, LAM)),
    }


def from_prior_at(first, last, prior, eta):
    """What the exact process makes of N(0, prior) between two levels u."""
    phi = ((LAM + last) / (LAM + first)) ** ((1 + eta**2) / 2)
    return MU - phi * MU, LAM + last + phi**2 * (prior - LAM - first)


def closed_end(law, u):
    """The denoiser's image of a law at level u."""
    (m, V), d = law, LAM / (LAM + u)
    return MU + d * (m - MU), d**2 * V


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_every_part_against_its_closed_form(path, eta):
    field = gaussian(path)
    plan = sb.plan("ddim", path, sb.grid("edm", path, 7), prediction="x0")
    split = error_split(plan, field, eta)
    expected = closed_forms(field.path, plan.grid, eta)
    assert expected.keys() == split["w2"].keys() == split["kl"].keys()
    for part, (law, reference) in expected.items():
        assert split["w2"][part] == pytest.approx(w2(law, reference), rel=1e-8, abs=1e-12), part
        # where both laws agree to eight digits, the formula above has none left
        assert split["kl"][part] == pytest.approx(kl(law, reference), rel=1e-6, abs=1e-12), part


@pytest.mark.parametrize("path", ["edm", "ve"])
def test_a_grid_that_stops_early_leaves_its_noise(path):
    plan = sb.plan("ddim", path, sb.grid("edm", path, 5, zero=False), prediction="x0")
    left = LAM + plan.grid.times[-1] ** 2
    split = error_split(plan, gaussian(path))
    assert split["w2"]["truncation"] == pytest.approx(w2((MU, left), (MU, LAM)), rel=1e-9)
    assert split["kl"]["truncation"] == pytest.approx(kl((MU, left), (MU, LAM)), rel=1e-6, abs=1e-14)


def test_a_start_that_is_exact_has_no_initialisation_error():
    """On the rectified path the prior is the marginal: the total is then the solver's law from the exact start."""
    field = gaussian("rectified")
    plan = sb.plan("heun", "rectified", sb.grid("uniform", "rectified", 6), prediction="x0")
    split = error_split(plan, field)
    assert split["w2"]["initialisation"] == pytest.approx(0, abs=1e-14)
    assert split["kl"]["initialisation"] == pytest.approx(0, abs=1e-14)
    assert split["w2"]["total"] == pytest.approx(law_of(plan, field, "exact").w2, rel=1e-12)
    assert split["w2"]["total"] > 0.01


@pytest.mark.parametrize("start", ["exact", "prior"])
def test_the_step_out_of_pure_noise_belongs_to_the_law(start):
    """On the rectified path x~ = MU + sigma~ z after the first step; DDIM then does as elsewhere."""
    field = gaussian("rectified")
    grid = sb.grid("uniform", "rectified", 6)
    law = sb.law(field, "ddim", grid, start=start)
    u = np.array([((t / (1 - t)) ** 2) for t in grid.times[1:-1]])
    slope = LAM / (LAM + u[-1])
    for s, t in pairwise(u):
        slope = slope * (1 + (math.sqrt(t / s) - 1) * s / (LAM + s))
    assert np.allclose(law.mean, MU, rtol=1e-12)
    assert np.allclose(law.variance, slope**2 * u[0], rtol=1e-12)
    assert len(sb.plan("ddim", "rectified", grid, prediction="x0").grid) == len(grid)


@pytest.mark.parametrize("path", PATHS)
def test_a_flow_map_errs_by_its_start_alone(path):
    field = gaussian(path)
    split = error_split(sb.plan("flow-map", path, sb.grid("edm", path, 3), prediction="x0"), field)
    assert split["w2"]["discretisation"] == pytest.approx(0, abs=1e-11)
    assert split["w2"]["truncation"] == pytest.approx(0, abs=1e-14)
    assert split["w2"]["total"] == pytest.approx(split["w2"]["initialisation"], rel=1e-9)


def test_deterministic_directions_become_as_wide_as_the_last_noise():
    field = Gaussian(np.zeros(1), np.zeros(1), "edm")
    split = error_split(sb.plan("ddim", "edm", sb.grid("edm", "edm", 4, zero=False), prediction="x0"), field)
    assert split["w2"]["truncation"] == pytest.approx(0.002)
    assert split["kl"]["truncation"] == math.inf


def test_law_reports_signed_errors_per_direction():
    law = sb.law(gaussian("edm"), "ddim", sb.grid("edm", "edm", 5))
    assert np.allclose(law.std_error, np.sqrt(law.variance) - np.sqrt(LAM), rtol=0, atol=0)
    assert np.allclose(law.mean_error, law.mean - MU, rtol=0, atol=0)
    assert law.w2**2 == pytest.approx(np.sum(law.mean_error**2 + law.std_error**2))


@pytest.mark.parametrize(("options", "named"), [({"start": "middle"}, "middle"), ({"target": "noise"}, "noise")])
def test_unknown_ends_are_refused(options, named):
    with pytest.raises(UsageError, match=named):
        sb.law(gaussian("edm"), "ddim", sb.grid("edm", "edm", 5), **options)


def test_the_transfer_function_is_a_row_per_direction():
    field, grid = gaussian("edm"), sb.grid("edm", "edm", 6)
    table = transfer(sb.plan("ddpm", "edm", grid, prediction="x0"), field, "prior", eta=1.0)
    law = sb.law(field, "ddpm", grid, start="prior")
    order = np.argsort(-LAM)
    assert list(table.index) == list(order)
    np.testing.assert_array_equal(table["gain"], law.kernel.A[order])
    np.testing.assert_array_equal(table["noise"], np.sqrt(law.kernel.Q)[order])
    np.testing.assert_allclose(table["ratio"], np.sqrt(law.variance / LAM)[order], rtol=1e-14)
    np.testing.assert_allclose(table["mean_error"], law.mean_error[order])
    slope, _, Q = field.transition(80.0, 0.0, 1.0)
    np.testing.assert_allclose(table["exact_gain"], slope[order], rtol=1e-14)
    np.testing.assert_allclose(table["exact_noise"], np.sqrt(Q)[order], rtol=1e-14)


def test_a_transfer_function_over_points_has_no_ratio():
    field = Gaussian(np.zeros(2), [1.0, 0.0], "edm")
    table = transfer(sb.plan("ddim", "edm", sb.grid("edm", "edm", 4), prediction="x0"), field)
    assert np.isnan(table["ratio"].iloc[1])
    assert table["ratio"].iloc[0] < 1


@pytest.mark.parametrize("solver", ["dpmpp-2m", "ddpm", "sde-dpmpp-2m", "sa-solver"])
def test_the_history_ends_in_the_law(solver):
    field, grid = gaussian("vp-linear"), sb.grid("edm", "vp-linear", 7)
    plan = sb.plan(solver, "vp-linear", grid, prediction="x0")
    found, law = history(plan, field, "prior"), law_of(plan, field, "prior")
    assert len(found.times) == plan.nfe + 1
    np.testing.assert_allclose(found.mean[-1], law.mean, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.covariance[-1, -1], law.variance, rtol=1e-10)
    np.testing.assert_allclose(found.covariance[0, 0], 1.0)


def test_the_history_has_the_covariance_of_samples():
    """Between the first, a middle and the last state of 40,000 runs, within four standard errors."""
    n, field = 40_000, Gaussian([0.4], [0.6], "edm", prediction="x0")
    grid = sb.grid("edm", "edm", 5, t_max=4.0, t_min=0.1)
    plan = sb.plan("ddim[eta=0.7]", "edm", grid, prediction="x0")
    seen = []

    class Watched:
        path, prediction, shape = field.path, field.prediction, field.shape

        def __call__(self, x, t):
            seen.append(np.array(x[:, 0], dtype=float))
            return field(x, t)

    x = sb.sample(Watched(), "ddim[eta=0.7]", grid, n=n, seed=3, dtype="float64", engine="numpy").x
    states = np.stack([*seen, x[:, 0]])
    found = history(plan, field, "prior")
    C = found.covariance[:, :, 0]
    assert np.all(np.abs(states.mean(1) - found.mean[:, 0]) < 4 * np.sqrt(np.diag(C) / n))
    error = np.sqrt((np.outer(np.diag(C), np.diag(C)) + C**2) / n)
    assert np.all(np.abs(np.cov(states) - C) < 4 * error)


def test_the_history_of_the_exact_flow_is_its_own():
    field, grid = gaussian("edm"), sb.grid("edm", "edm", 3)
    found = history(sb.plan("flow-map", "edm", grid, prediction="x0"), field)
    for k, t in enumerate((*grid.times[:-1], 0.0)):
        np.testing.assert_allclose(found.covariance[k, k], field.moments(float(t))[1], rtol=1e-10)
