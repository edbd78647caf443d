"""The exact process as a solver, and the laws of all others against it: kernels, not only marginals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import planted

import solverbench as sb
from solverbench.engines.law import kernel
from solverbench.errors import UsageError
from solverbench.eta import Eta
from solverbench.measures.law import error_split, history
from solverbench.methods import SOLVERS
from solverbench.methods.renoising import churn_strength
from solverbench.problems.base import ProblemSpec, build

FIELD = sb.fields.Gaussian(np.array([0.4, 0.0, -1.0]), np.array([1.5, 0.3, 0.05]), "vp-linear")
ETAS = ["0", "0.5", "1", "1.7", "0.5@0.3:2", "1@:0.5;0.3@0.5:"]


def grid(n, path="vp-linear", high=5.0, low=0.2):
    """n equal steps in lambda between these noise levels; with an even n, sigma~ = 1 is one of the times."""
    path = sb.path(path)
    return sb.Grid(path, tuple(path.inverse_sigma_tilde(high * (low / high) ** (i / n)) for i in range(n + 1)))


def off(solver, n, eta, field=FIELD):
    """The largest difference of the kernel of a solver on n steps from the exact one: of A, and of Q."""
    times = grid(n)
    K = kernel(solver.plan(field.path, times, "x0"), field)
    slope, _, variance = field.transition(times.times[0], times.times[-1], eta)
    return np.abs(K.A - slope).max(), np.abs(K.Q - variance).max()


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_law_is_the_transition_on_any_grid(eta, steps):
    assert max(off(SOLVERS[f"exact-sde[eta={eta}]"], steps, eta)) < 1e-14
    times = sb.grid("edm", "vp-linear", steps)
    plan = sb.plan(f"exact-sde[eta={eta}]", "vp-linear", times, prediction="x0")
    split = error_split(plan, FIELD, Eta.of(eta))["w2"]
    assert split["discretisation"] == pytest.approx(0, abs=1e-14)
    assert split["total"] == pytest.approx(split["initialisation"], abs=1e-14)
    assert (plan.nfe, plan.draws) == (steps, sum(any(Eta.of(eta).within(FIELD.path, *p)) for p in times.pairs))


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_samples_have_that_law(engine):
    """Mean and covariance of the outputs for one start, within four standard errors."""
    n, times = 20000, grid(2)
    x = np.tile([[0.3, -1.0, 2.0]], (n, 1))
    out = np.asarray(sb.sample(FIELD, "exact-sde[eta=0.5@0.3:2]", times, x, engine=engine, dtype="float64").x)
    slope, offset, variance = FIELD.transition(times.times[0], times.times[-1], "0.5@0.3:2")
    z = (out - slope * x - offset) / np.sqrt(variance)
    assert np.abs(z.mean(0)).max() < 4 / math.sqrt(n)
    assert np.abs(z.T @ z / n - np.eye(3))[np.triu_indices(3)].max() < 4 * math.sqrt(2 / n)


def test_engines_agree_and_mixtures_run():
    field = sb.fields.Mixture([0.3, 0.7], [[-1.0], [2.0]], variances=[0.1, 0.3], path="vp-linear")
    for solver in ("exact-sde", "exact-ode"):
        a, b = (sb.sample(field, solver, grid(3), n=50, engine=e, dtype="float64").x for e in ("numpy", "torch"))
        np.testing.assert_allclose(a, b, atol=1e-12)
        c = sb.sample(field, solver, grid(3), n=50, engine="torch", memory=1, dtype="float64").x
        np.testing.assert_array_equal(b, c)


def test_states_on_the_way_are_correlated_as_the_process_says():
    times = grid(2)
    found = history(sb.plan("exact-sde", "vp-linear", times, prediction="x0"), FIELD)
    slope, _, _ = FIELD.transition(times.times[0], times.times[1], 1.0)
    np.testing.assert_allclose(found.covariance[0, 1], slope * FIELD.moments(times.times[0])[1], rtol=1e-13)
    for i, t in enumerate(times.times):
        np.testing.assert_allclose(found.covariance[i, i], FIELD.moments(t)[1], rtol=1e-13)
        np.testing.assert_allclose(found.mean[i], FIELD.moments(t)[0], atol=1e-14)


TIMES = [9.0, 1.0, 0.1]


def test_three_names_of_one_kernel():
    names = "exact-ode", "exact-sde", "exact-map", "exact-sde[eta=0]"
    ode, sde, flow, zero = (sb.plan(name, "edm", TIMES, prediction="x0") for name in names)
    assert ode.equivalent(flow)
    assert ode.equivalent(zero)
    assert not ode.equivalent(sde)
    for eta in ("0.5", "1@0.2:", "1@:3"):  # as many draws and the same times
        assert not sde.equivalent(sb.plan(f"exact-sde[eta={eta}]", "edm", TIMES, prediction="x0"))
    assert not ode.equivalent(sb.plan("flow-map", "edm", TIMES, prediction="x0"))  # which may be a trained one
    expressions = sde.table()["expression"].tolist()
    assert expressions[1:3] == ["z1 ~ N(0, I) over [9, 1]", "x1 = exact(x0, 9, 1, eta=1.0, z1)"]
    assert ode.table()["expression"].tolist()[1] == "x1 = exact(x0, 9, 1, eta=0.0)"


PROCESSES = [
    n for n, s in SOLVERS.items() if isinstance(s.options.get("eta"), Eta) and s.stochastic and s.family != "exact"
]
ER_SDE = [f"er-sde-{n}[scale={{eta}}]" for n in (1, 2, 3)]


@pytest.mark.parametrize("eta", ["0.5", "1", "0.5@0.2:1;1@1:"])
@pytest.mark.parametrize("name", [*(f"{name}[eta={{eta}}]" for name in PROCESSES), *ER_SDE])
def test_the_kernel_of_every_solver_converges_to_the_exact_one(name, eta):
    """Given the start, mean and variance of the output: at order one or better, also for pieces."""
    solver = SOLVERS[name.format(eta=eta)]
    errors = np.array([off(solver, n, solver.strength) for n in (80, 160)])
    ratio = errors[0] / np.maximum(errors[1], 1e-13)
    assert np.all((ratio > 1.8) | (errors[1] < 1e-11)), errors
    assert errors[1].max() < 0.05
    assert solver.strength == Eta.of(eta) or name.startswith("euler-ancestral-rf")  # whose eta is the square


@pytest.mark.parametrize("name", ["sde-dpmpp-2m", "seeds-2", "sa-solver", "dpmpp-2s-ancestral"])
def test_an_edge_inside_a_step_costs_the_marginals_nothing(name):
    """The process with the root mean square in that step has the same ones: order two all the same."""
    solver = SOLVERS[f"{name}[eta=0.5@0.27:0.93;1@0.93:]"]
    errors = []
    for n in (80, 160):
        times = grid(n)
        law = sb.law(FIELD, solver, times, target="end")
        errors.append(np.abs(law.std_error).max())
    assert errors[0] / errors[1] > 3.5


@pytest.mark.parametrize("s_churn", [0.5, 4.0])
def test_churn_follows_the_process_of_its_strength(s_churn):
    """Heun's steps raised by churn, in a range of levels; the strength depends on the grid, and grows with s_churn."""
    solver = SOLVERS[f"edm-heun[s_churn={s_churn},s_min=0.3,s_max=3]"]
    errors = np.array([off(solver, n, churn_strength(grid(n), s_churn, 0.3, 3.0)) for n in (80, 160)])
    assert np.all(errors[0] / errors[1] > 1.8)
    eta = churn_strength(grid(160), s_churn, 0.3, 3.0)
    h = math.log(25) / 160
    assert eta.largest == pytest.approx(math.sqrt(math.log1p(s_churn / 160) / h))
    assert off(solver, 160, 0.0)[0] > 3 * errors[1][0]
    assert not churn_strength(grid(8), 0.0)


FAULTS = [
    ("euler-maruyama", "_diffusion(path, s), eta.over(path, s, t)", "_diffusion(path, s), eta.over(path, s, t) ** 2",
     "eta squared: the marginals are right"),
    ("euler-maruyama", "x + eta_n * sqrt(g2", "x + eta_n * sqrt(g2 / 2", "a missing factor two"),
    ("exp-score", "x_t + eta_n * noise", "x_t + 1.05 * eta_n * noise", "noise scale"),
    ("exp-score", "(1 + eta_n * eta_n) / 2 * path.alpha", "(1 + eta_n * eta_n) * path.alpha", "a missing factor 1/2"),
    ("reverse-diffusion", "_forward_step(path, s, t), eta.over(path, s, t)", "_forward_step(path, s, t), eta.largest",
     "pieces taken for a constant"),
    ("ddim", "c = eta_n * sigma_t", "c = sqrt(eta_n) * sigma_t", "the root of eta: the marginals are right"),
    ("sde-dpmpp-1", "eta_n = eta.over(path, s, t)", "eta_n = eta.over(path, s, t) ** 2", "eta squared"),
    ("seeds-2", "predicts, eta.over(path, s, t))", "predicts, 2 * eta.over(path, s, t))", "twice the strength"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "what"), FAULTS, ids=[f"{n}: {w}" for n, *_, w in FAULTS])
def test_planted_faults_miss_the_exact_kernel(name, old, new, what, monkeypatch):
    """A solver that follows another process than it says converges, and to another kernel."""
    pieces = {"eta": "0.5@0.2:1"}
    sound, wrong = (
        [max(off(solver[pieces], n, pieces["eta"])) for n in (80, 160)]
        for solver in (SOLVERS[name], planted(name, old, new, monkeypatch))
    )
    assert sound[0] / sound[1] > 1.8
    assert not wrong[1] < 0.6 * wrong[0], what
    assert wrong[1] > 3 * sound[1], what


class Network:
    """As a trained field: a prediction, and a flow map that is not exact."""

    path, prediction, shape = FIELD.path, "x0", (3,)

    def __call__(self, x, t):
        return FIELD(x, t)

    def jump(self, x, s, t):
        return FIELD.jump(x, s, t)


@pytest.mark.parametrize("name", ["exact-ode", "exact-sde", "exact-map"])
def test_trained_fields_are_refused(name):
    with pytest.raises(UsageError, match=f"{name} jumps, and the field does not know its exact process: take rk4"):
        sb.sample(Network(), name, grid(2), n=1)
    assert sb.sample(Network(), "flow-map", grid(2), n=1).x.shape == (1, 3)
    mixture = sb.fields.Mixture([1.0], [[0.0, 1.0]], variances=[1.0], path="vp-linear")
    with pytest.raises(UsageError, match=r"not at eta = 0\.5 in 2"):
        sb.sample(mixture, "exact-sde[eta=0.5]", grid(2), n=1)


def test_problems_say_which_of_them_they_know():
    gaussian = build(ProblemSpec("g", "cifar10-gaussian", "law"), seed=0)
    mixture = build(ProblemSpec("m", "cifar10-mixture", "paired", samples=8, paired=1), seed=0)
    for name in ("exact-ode", "exact-sde", "exact-map", "exact-sde[eta=0.5@0.1:2]"):
        assert gaussian.applies(SOLVERS[name]) is None
    assert mixture.applies(SOLVERS["exact-sde"]) is None
    for name in ("exact-ode", "exact-map", "exact-sde[eta=0.5]"):
        assert "knows its process exactly at eta = 1" in mixture.applies(SOLVERS[name])
    measures = gaussian.judge(SOLVERS["exact-sde"], gaussian.plan(SOLVERS["exact-sde"], 3)).measures
    assert measures["w2_discretisation"] < 1e-12
    assert measures["w2"] == pytest.approx(measures["w2_initialisation"], rel=1e-9)
