"""Whole plans through the engine's own code, with launches on the host: equal to the numpy engine."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines.cupy import device
from solverbench.engines.cupy.runner import Runner
from solverbench.fields import Gaussian, Mixture
from solverbench.plans import Noise, trace
from solverbench.sampling import _Cupy

GRID = sb.grid("edm", "edm", 6, t_max=20.0)
SHAPE = (2, 3)
SOLVERS = [*sb.solvers(), "ddim[eta=0.5]", "edm-stochastic[s_churn=60,s_max=100]"]
ON_MIXTURES = [name for name in SOLVERS if sb.solvers()[name].integrates != "flow map"]


def mixture(path="edm"):
    """Three components in six dimensions."""
    means = np.random.default_rng(5).normal(size=(3, *SHAPE))
    return Mixture([0.2, 0.5, 0.3], means, variances=[0.3, 0.05, 0.6], path=path)


@pytest.fixture
def gpu(host, monkeypatch):
    """A machine on which engine "cupy" runs: its kernels on the host."""
    monkeypatch.setattr(device, "why_not", lambda: None)
    monkeypatch.setattr(device, "device", lambda index: host)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(_Cupy, "home", "cpu")
    return host


@pytest.mark.parametrize("name", ON_MIXTURES)
def test_plans_are_those_of_the_numpy_engine(gpu, name):
    field = mixture()
    a, b = (sb.sample(field, name, GRID, n=5, seed=3, engine=e, dtype="float64") for e in ("cupy", "numpy"))
    scale = 1 + np.abs(b.x).max()
    np.testing.assert_allclose(a.x.numpy(), b.x, rtol=0, atol=1e-11 * scale)
    assert gpu.launches


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.1), ("float16", 0.02)])
@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpmpp-3m", "sde-dpmpp-2m", "edm-stochastic"])
def test_narrow_types(gpu, name, dtype, tolerance):
    field = mixture("rectified")
    grid = sb.grid("edm", "rectified", 8, t_max=0.9, t_min=0.1)
    exact = sb.sample(field, name, grid, n=6, seed=1, dtype="float64", engine="numpy").x
    got = sb.sample(field, name, grid, n=6, seed=1, dtype=dtype, engine="cupy").x
    assert got.dtype == getattr(torch, dtype)
    assert np.abs(got.double().numpy() - exact).max() < tolerance * np.abs(exact).max()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_not_a_bit_depends_on_chunks(gpu, dtype):
    def field(x, t):
        return 0.25 * x - 0.5 / (1 + t)

    field.path, field.prediction, field.shape = sb.path("edm"), "x0", SHAPE
    runs = [sb.sample(field, "sde-dpmpp-2m", GRID, n=23, seed=8, dtype=dtype, engine="cupy", memory=m).x
            for m in (1 << 30, 1, 700)]  # fmt: skip
    assert all(torch.equal(run, runs[0]) for run in runs)


def test_noise_is_added_where_it_is_drawn(gpu):
    plan = sb.plan("ddpm", "edm", GRID, prediction="x0")
    Runner(plan, 4, SHAPE, torch.float64, "cpu")(lambda x, t: x / 2, torch.ones(4, *SHAPE, dtype=torch.float64))
    names = [name for name, _ in gpu.launches]
    assert sum(name.startswith("combine_noise") for name in names) == plan.draws
    assert not any(name.endswith(" 0>") for name in names)  # none was written by itself


def test_noise_that_a_field_sees_is_stored(gpu):
    def mine(x, path, grid):
        z = x.noise(10.0, 5.0)
        return x + z + z.predict("x0", at=10.0)

    plan = trace(mine, sb.path("edm"), sb.Grid(sb.path("edm"), (10.0, 5.0)), "x0", name="mine")
    assert any(isinstance(i, Noise) for i in plan.code)
    x = np.ones((2, 3))
    got = Runner(plan, 2, (3,), torch.float64, "cpu")(lambda x, t: 0.5 * x, torch.from_numpy(x), seed=4)
    from solverbench.engines import numpy as reference
    from solverbench.engines.noise import normals

    expected = reference.run(plan, lambda x, t: 0.5 * x, x, lambda draw: normals(4, draw + 1, 0, 2, 3))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13)


def test_noise_of_a_brownian_path_is_stored(gpu):
    given = {"n": 5, "seed": 3, "dtype": "float64", "noise": "brownian"}
    a, b = (sb.sample(mixture(), "ddpm", GRID, engine=e, **given).x for e in ("cupy", "numpy"))
    np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=1e-11 * (1 + np.abs(b).max()))
    assert not any("noise" in name for name, _ in gpu.launches)


def test_flow_map(gpu):
    field = Gaussian(np.arange(6.0).reshape(SHAPE), np.linspace(0.1, 2, 6), "edm")
    a, b = (sb.sample(field, "flow-map", GRID, n=4, engine=e, dtype="float64").x for e in ("cupy", "numpy"))
    np.testing.assert_allclose(a.numpy(), b, rtol=1e-13, atol=1e-14)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_message_says_what_to_do():
    with pytest.raises(sb.UsageError, match=r"engine 'cupy' cannot run here: .*install.*`solverbench doctor`"):
        sb.sample(mixture(), "ddim", GRID, n=2, engine="cupy")


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="cupy is installed")
def test_missing_cupy_is_named_for_torch_s_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert device.why_not() == "cupy is not installed: pip install cupy-cuda13x"


def test_types_without_kernels_are_refused(host):
    plan = sb.plan("ddim", "edm", GRID, prediction="x0")
    with pytest.raises(sb.UsageError, match="no kernels for float8_e5m2 states"):
        Runner(plan, 1, SHAPE, torch.float8_e5m2, "cpu", host)
