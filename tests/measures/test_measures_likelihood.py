"""Log-likelihoods along the ODE against exact densities, and the divergences they are made of against Jacobians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.errors import PlanError, UsageError
from solverbench.fields import Dense, Gaussian, Mixture
from solverbench.measures.likelihood import bits, mean_bits, rising_plan
from solverbench.methods import SOLVERS
from solverbench.paths import path
from solverbench.predictions import PREDICTIONS

MU, LAM = np.array([0.3, -0.2, 0.0]), np.array([2.0, 0.3, 0.05])


def rotation(d=3):
    return np.linalg.qr(np.random.default_rng(4).normal(size=(d, d)))[0]


def field(kind, path="vp-linear"):
    rng = np.random.default_rng(3)
    w, m = [0.5, 0.3, 0.2], rng.normal(size=(3, 3))
    match kind:
        case "gaussian":
            return Gaussian(MU, LAM, path, basis=Dense(rotation()))
        case "diagonal":
            return Mixture(w, m, variances=rng.uniform(0.05, 0.6, (3, 3)), path=path)
        case "isotropic":
            return Mixture(w, m, variances=[0.1, 0.1, 0.1], path=path, basis=Dense(rotation()))
        case "low rank":
            factors = rng.normal(size=(3, 3, 2)) / 2
            return Mixture(w, m, diagonal=rng.uniform(0.02, 0.1, (3, 3)), factors=factors, path=path)
        case "full":
            U = rng.normal(size=(3, 3, 3))
            return Mixture(w, m, covariances=U @ U.transpose(0, 2, 1) / 3 + 0.05 * np.eye(3), path=path)


KINDS = ["gaussian", "diagonal", "isotropic", "low rank", "full"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.9])
def test_the_divergence_is_the_trace_of_the_jacobian(kind, prediction, t):
    """By automatic differentiation, and by central differences."""
    made = field(kind).at(prediction)
    x = made.sample(4, seed=1, t=t)
    found = made.divergence(x, t)
    for x_i, divergence in zip(x, found, strict=True):
        J = torch.autograd.functional.jacobian(lambda y: made(y[None], t)[0], torch.from_numpy(x_i))
        assert divergence == pytest.approx(J.trace().item(), rel=1e-10, abs=1e-10)
        h = 1e-5
        differences = [(made((x_i + h * e)[None], t) - made((x_i - h * e)[None], t))[0] / (2 * h) for e in np.eye(3)]
        assert divergence == pytest.approx(np.trace(differences), rel=1e-6, abs=1e-6)
    assert isinstance(made.divergence(torch.from_numpy(x).float(), t), torch.Tensor)


@pytest.mark.parametrize("kind", ["gaussian", "low rank", "full"])
@pytest.mark.parametrize("path", ["vp-linear", "edm", "rectified"])
def test_a_fine_grid_gives_the_exact_density(kind, path):
    made = field(kind, path)
    ends = {"vp-linear": (0.01, 1.0), "edm": (0.05, 20.0), "rectified": (0.05, 0.95)}[path]
    grid = sb.grid("log-snr", path, 60, t_min=ends[0], t_max=ends[1], zero=False)
    x = made.sample(5, seed=2, t=ends[0])
    exact = made.log_density(x, ends[0])
    for solver in ("rho-4rk", "exp-rk4-krogstad"):
        found = sb.log_likelihood(made, x, solver, grid, start="exact")
        np.testing.assert_allclose(found.log_p, exact, atol=2e-4)
        np.testing.assert_allclose(found.bits, -exact / (3 * math.log(2)), atol=1e-4)
    assert found.x.shape == x.shape


@pytest.mark.parametrize(
    ("solver", "order"),
    [("euler", 1), ("ddim", 1), ("heun", 2), ("dpmpp-2m", 2), ("rho-2heun", 2), ("exp-rk3", 3), ("rk4", 4)],
)
@pytest.mark.parametrize("kind", ["gaussian", "diagonal"])
def test_the_error_has_the_order_of_the_solver(solver, order, kind):
    made = field(kind)
    x = made.sample(6, seed=5, t=0.1)
    exact = made.log_density(x, 0.1)

    def error(n):
        grid = sb.grid("log-snr", "vp-linear", n, t_min=0.1, t_max=0.8, zero=False)
        return np.sqrt(np.mean((sb.log_likelihood(made, x, solver, grid, start="exact").log_p - exact) ** 2))

    n = {4: 40, 3: 160}.get(order, 160)
    assert math.log2(error(n) / error(2 * n)) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize(("path", "T", "std"), [("vp-linear", 1.0, 1.0), ("edm", 20.0, 20.0)])
def test_the_prior_instead_of_the_exact_law(path, T, std):
    made, grid = field("gaussian", path), sb.grid("log-snr", path, 50, t_min=0.1, t_max=T, zero=False)
    x = made.sample(4, seed=0, t=0.1)
    prior, exact = (sb.log_likelihood(made, x, "rk4", grid, start=s) for s in ("prior", "exact"))
    normal = -(prior.x**2).sum(1) / (2 * std**2) - 1.5 * math.log(2 * math.pi * std**2)
    np.testing.assert_allclose(prior.log_p - exact.log_p, normal - made.log_density(prior.x, T), rtol=1e-8)
    by_prior, by_exact = (mean_bits(made, SOLVERS["rk4"], grid, s)[0] for s in ("prior", "exact"))
    mean, V = made.moments(T)  # of the exact law, which rk4 all but keeps: KL to the prior
    kl = 0.5 * np.sum(V / std**2 - 1 - np.log(V / std**2) + (mean / std) ** 2)
    assert by_prior - by_exact == pytest.approx(bits(-kl, 3), rel=1e-3)


@pytest.mark.parametrize("solver", ["euler", "heun", "dpmpp-2m", "unipc-2", "rk4"])
@pytest.mark.parametrize("start", ["prior", "exact"])
def test_the_mean_over_samples_is_in_closed_form(solver, start):
    """Of a quadratic function of x: exact by the points of an average over +- the deviations of each direction."""
    made = Gaussian(MU, LAM, "vp-linear")
    grid = sb.grid("uniform", "vp-linear", 9, t_min=0.1, zero=False)
    mean, V = made.moments(0.1)
    sides = [mean + sign * math.sqrt(3) * np.sqrt(V) * e for e in np.eye(3) for sign in (-1, 1)]
    found = sb.log_likelihood(made, np.array(sides), solver, grid, start=start)
    by_solver, exact = mean_bits(made, SOLVERS[solver], grid, start)
    assert by_solver == pytest.approx(found.bits.mean(), rel=1e-9)
    assert exact == pytest.approx(bits(made.log_density(np.array(sides), 0.1).mean(), 3), rel=1e-12)
    assert by_solver != pytest.approx(exact, rel=1e-6)


def test_the_closed_form_converges_to_the_entropy():
    made = Gaussian(MU, LAM, "vp-linear")
    for n, bound in ((20, 1e-3), (80, 1e-5)):
        grid = sb.grid("log-snr", "vp-linear", n, t_min=0.01, zero=False)
        found, exact = mean_bits(made, SOLVERS["exp-rk3"], grid, "exact")
        assert abs(found - exact) < bound


def test_the_step_onto_the_data_is_left_out():
    made = field("gaussian")
    with_tail = sb.grid("uniform", "vp-linear", 9, t_min=0.1)
    without = sb.grid("uniform", "vp-linear", 8, t_min=0.1, zero=False)
    x = made.sample(3, seed=0, t=0.1)
    np.testing.assert_array_equal(
        sb.log_likelihood(made, x, "heun", with_tail).log_p, sb.log_likelihood(made, x, "heun", without).log_p
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": "ddpm"}, "ddpm draws noise"),
        ({"solver": "flow-map"}, "flow-map jumps"),
        ({"x": np.zeros((2, 4))}, r"x must have shape \(n, 3\)"),
        ({"start": "middle"}, "middle"),
    ],
)
def test_what_has_no_likelihood_is_refused(changes, message):
    given = {"field": field("gaussian"), "x": np.zeros((2, 3)), "solver": "rk4", "start": "prior", **changes}
    given["grid"] = sb.grid("uniform", "vp-linear", 4, t_min=0.1)
    with pytest.raises(UsageError, match=message):
        sb.log_likelihood(given["field"], given["x"], given["solver"], given["grid"], start=given["start"])


def test_a_field_without_a_divergence_is_refused():
    class Bare:
        path, prediction, shape = sb.path("edm"), "x0", (3,)

        def __call__(self, x, t):
            return x

    with pytest.raises(UsageError, match="Bare does not have"):
        sb.log_likelihood(Bare(), np.zeros((1, 3)), "rk4", [1.0, 0.5])


@pytest.mark.parametrize("name", [n for n, s in SOLVERS.items() if not s.stochastic and s.integrates != "flow map"])
def test_solvers_of_the_ode_go_upwards_or_say_that_they_cannot(name):
    edm = path("edm")
    try:
        plan = rising_plan(SOLVERS[name], edm, sb.grid("edm", edm, 6))
    except PlanError:
        return
    assert plan.nfe
    assert float(plan.grid.times[0]) < float(plan.grid.times[-1])
