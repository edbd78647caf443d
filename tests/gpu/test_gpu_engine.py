"""The engine on a GPU against the CPU engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small
import torch

import solverbench as sb
from solverbench.engines.cupy.combine import Draw, combine
from solverbench.engines.cupy.law import kernels
from solverbench.engines.cupy.mixture import FusedMixture
from solverbench.engines.cupy.runner import Runner
from solverbench.engines.cupy.sources import MAX_TERMS, TYPES
from solverbench.engines.law import kernel
from solverbench.engines.noise import normals
from solverbench.engines.torch import fill_normal
from solverbench.fields import Gaussian, Mixture
from solverbench.problems.base import ProblemSpec, build

EPS = {"float32": 2.0**-24, "float64": 2.0**-52, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def field(d=6):
    """Three components, diagonal."""
    means = np.random.default_rng(5).normal(size=(3, d))
    return Mixture([0.2, 0.5, 0.3], means, variances=[0.3, 0.05, 0.6], path="edm")


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("terms", [0, 1, 2, 5, MAX_TERMS, MAX_TERMS + 3])
@pytest.mark.parametrize("dtype", TYPES)
def test_combinations(gpu, rng, dtype, terms, noise):
    for n, d in ((1, 1), (5, 7), (64, 3072), (3, 100_003)):
        rows = [torch.from_numpy(rng.normal(size=(n, d))).to(getattr(torch, dtype)) for _ in range(terms)]
        c = rng.normal(size=terms)
        z = normals(3, 4, 5, n, d, np.float64 if dtype == "float64" else np.float32) * 0.5
        expected = sum((a * r.double().numpy() for a, r in zip(c, rows, strict=True)), z * noise)
        out = torch.empty(n, d, dtype=getattr(torch, dtype), device="cuda")
        combine(gpu, out, [r.cuda() for r in rows], c, [(Draw(3, 4, 5), 0.5)] if noise else [])
        bound = EPS[dtype] * (1 + np.abs(expected)) * max(4, terms) + (1e-3 if noise and dtype != "float64" else 1e-13)
        assert np.all(np.abs(out.double().cpu().numpy() - expected) <= bound)


@pytest.mark.parametrize("engine", ["cupy", "torch"])
@pytest.mark.parametrize("name", ["ddim", "heun", "ddpm", "dpmpp-3m", "sde-dpmpp-2m", "edm-stochastic", "rk8"])
def test_plans(name, engine):
    x = torch.randn(11, 6, dtype=torch.float64) * 80
    grid = sb.grid("edm", "edm", 8)
    a = sb.sample(field(), name, grid, x=x.cuda(), seed=3, engine=engine).x
    b = sb.sample(field(), name, grid, x=x.numpy(), seed=3, engine="numpy").x
    np.testing.assert_allclose(a.cpu().numpy(), b, rtol=0, atol=1e-9 * (1 + np.abs(b).max()))


def test_starts_and_draws_are_those_of_the_cpu_without_its_help(monkeypatch):
    expected = normals(3, 4, 5, 40, 77)
    monkeypatch.setattr("solverbench.engines.torch.normals", None)
    for shape in ((77,), (7, 11)):
        out = torch.empty(40, *shape, dtype=torch.float64, device="cuda")
        fill_normal(out, 3, 4, 5)
        np.testing.assert_allclose(out.view(40, -1).cpu().numpy(), expected, rtol=0, atol=1e-12)


def test_noise_of_a_brownian_path_comes_from_the_host():
    given = {"n": 4, "seed": 3, "dtype": "float64", "noise": "brownian"}
    a, b = (sb.sample(field(), "ddpm", sb.grid("edm", "edm", 8), engine=e, **given).x for e in ("cupy", "numpy"))
    np.testing.assert_allclose(a.cpu().numpy(), b, rtol=0, atol=1e-9)


def test_cupy_s_memory_is_shared():
    cupy = pytest.importorskip("cupy")
    x = cupy.ones((4, 6), dtype=cupy.float64) * 50
    found = sb.sample(field(), "ddim", sb.grid("edm", "edm", 4), x=x, engine="cupy")
    assert isinstance(found.x, cupy.ndarray)
    assert found.finite.all()
    assert (x == 50).all()


def test_launches_follow_torch_s_stream(gpu):
    side = torch.cuda.Stream()
    x = torch.zeros(1 << 24, device="cuda").view(1, -1)
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        for _ in range(50):  # in order, or the last sum would miss some
            x.add_(1)
            combine(gpu, x, [x], [1.0])
    side.synchronize()
    assert (x == 50).all()


def test_captured_plans():
    plan = sb.plan("sde-dpmpp-2m", "edm", sb.grid("edm", "edm", 6), prediction="x0")
    x = torch.randn(5, 6, device="cuda") * 80
    runner = Runner(plan, 5, (6,), torch.float32)
    expected = runner(field(), x, seed=2).clone()
    replay = runner.capture(field(), x, seed=2)
    torch.testing.assert_close(replay(), expected)
    other = torch.randn(5, 6, device="cuda") * 80
    expected = runner(field(), other, seed=2).clone()
    x.copy_(other)
    torch.testing.assert_close(replay(), expected)


def test_fields(gpu, rng):
    known = field()
    x = torch.from_numpy(rng.normal(size=(300, 6)))
    for sigma in (0.01, 1.0, 80.0):
        got = FusedMixture(known, gpu)(x.cuda(), sigma).cpu()
        torch.testing.assert_close(got, known(x, sigma), rtol=1e-9, atol=1e-9)


def test_low_rank_mixtures(gpu, rng):
    means, factors = rng.normal(size=(70, 12)), rng.normal(size=(70, 12, 3))
    known = Mixture(
        np.full(70, 1 / 70), means, factors=factors, diagonal=rng.uniform(0.1, 1, (70, 12)), path="vp-linear",
        prediction="noise",
    )  # fmt: skip
    x = torch.from_numpy(rng.normal(size=(500, 12)))
    fused = FusedMixture(known, gpu)
    for t in (0.1, 0.9):
        torch.testing.assert_close(fused(x.cuda(), t).cpu(), known(x, t), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(fused(x.cuda().float(), t).cpu(), known(x.float(), t), rtol=1e-4, atol=1e-4)


def test_laws_of_every_solver(gpu, rng):
    d = 700
    gaussian = Gaussian(rng.normal(size=d), rng.uniform(0, 2, d), "edm")
    plans = [sb.plan(s, "edm", sb.grid("edm", "edm", n), prediction="x0") for s in sb.solvers() for n in (2, 9)]
    for plan, found in zip(plans, kernels(plans, gaussian, gpu), strict=True):
        expected = kernel(plan, gaussian)
        scale = max(1.0, np.abs(plan.tableau().astype(float)).sum(axis=1).max())
        for name in "AbQ":
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-13 * scale)


def test_a_chosen_device(monkeypatch):
    assert sb.sample(field(), "ddim", sb.grid("edm", "edm", 4), n=3, device="auto").x.is_cuda
    monkeypatch.setattr("solverbench.fields.load", lambda name, path: small.mixture())
    spec = ProblemSpec("small", "small", "paired", samples=40, paired=8, rtol=1e-7)
    solver, rmse = sb.solvers()["heun"], {}
    for where in ("cpu", "cuda"):
        problem = build(replace(spec, device=where), 0)
        problem.prepare()
        rmse[where] = problem.judge(solver, problem.plan(solver, 9)).measures["rmse"]
    assert rmse["cuda"] == pytest.approx(rmse["cpu"], rel=1e-4)
