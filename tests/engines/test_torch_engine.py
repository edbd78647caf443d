"""The torch engine against the numpy one, and what a result must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.engines import torch as torch_engine
from solverbench.engines.torch import Runner, fill_normal
from solverbench.fields import Gaussian, Mixture
from solverbench.plans import trace

SOLVERS = [*sb.solvers(), "ddim[eta=0.5]", "unipc-3[variant=bh1]", "edm-stochastic[s_churn=60,s_max=100]"]
ON_MIXTURES = [name for name in SOLVERS if sb.solvers()[name].integrates != "flow map"]
SOME = ["ddim", "ddpm", "rho-2heun", "dpmpp-2m", "unipc-2", "sde-dpmpp-2m", "edm-stochastic", "euler-maruyama"]
GRID = sb.grid("edm", "edm", 6, t_max=20.0)
SHAPE = (2, 3)


def mixture(path="edm", prediction="x0"):
    """Three components in six dimensions."""
    means = np.random.default_rng(5).normal(size=(3, *SHAPE))
    return Mixture([0.2, 0.5, 0.3], means, variances=[0.3, 0.05, 0.6], path=path, prediction=prediction)


def elementwise(x, t):
    """A field whose rounding cannot depend on its place in an array: products and sums alone."""
    return 0.25 * x - 0.5 / (1 + t)


elementwise.path, elementwise.prediction, elementwise.shape = sb.path("edm"), "x0", SHAPE


@pytest.mark.parametrize("path", ["edm", "vp-linear", "rectified"])
@pytest.mark.parametrize("name", ON_MIXTURES)
def test_float64_is_the_numpy_engine(name, path):
    field = mixture(path)
    grid = sb.grid("edm", path, 6)
    a, b = (sb.sample(field, name, grid, n=5, seed=3, engine=e, dtype="float64") for e in ("torch", "numpy"))
    scale = 1 + np.abs(b.x).max()
    np.testing.assert_allclose(a.x.numpy(), b.x, rtol=0, atol=1e-12 * scale * _growth(a.plan))
    assert a.nfe == b.nfe == a.plan.nfe


def _growth(plan):
    """How much rounding a plan may amplify: the largest sum of absolute coefficients of one combination."""
    from solverbench.plans import LinComb

    return max(1.0, *(sum(abs(c) for _, c in i.terms) for i in plan.code if isinstance(i, LinComb)))


def test_flow_map_in_both_engines():
    field = Gaussian(np.arange(6.0).reshape(SHAPE), np.linspace(0.1, 2, 6), "edm")
    a, b = (sb.sample(field, "flow-map", GRID, n=4, engine=e, dtype="float64").x for e in ("torch", "numpy"))
    np.testing.assert_allclose(a.numpy(), b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", SOME)
def test_not_a_bit_depends_on_chunks_batches_or_order(name, dtype):
    n = 23
    whole = sb.sample(elementwise, name, GRID, n=n, seed=8, dtype=dtype).x
    for memory in (1, 700, 3000):  # one sample at a time; a few; with a remainder
        assert torch.equal(sb.sample(elementwise, name, GRID, n=n, seed=8, dtype=dtype, memory=memory).x, whole)
    assert torch.equal(sb.sample(elementwise, name, GRID, n=9, seed=8, dtype=dtype).x, whole[:9])
    for first, m in ((0, 1), (5, 7), (22, 1)):
        assert torch.equal(
            sb.sample(elementwise, name, GRID, n=m, seed=8, dtype=dtype, first=first).x, whole[first : first + m]
        )
    other = sb.sample(elementwise, name, GRID, n=n, seed=9, dtype=dtype).x
    assert not torch.equal(other, whole)


@pytest.mark.parametrize("name", SOME)
def test_numpy_engine_likewise(name):
    kind = {"engine": "numpy", "dtype": "float64", "seed": 8}
    whole = sb.sample(elementwise, name, GRID, n=23, **kind).x
    assert np.array_equal(sb.sample(elementwise, name, GRID, n=23, memory=900, **kind).x, whole)
    assert np.array_equal(sb.sample(elementwise, name, GRID, n=4, first=6, **kind).x, whole[6:10])


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2m", "rho-4rk"])
def test_order_of_given_states(name, rng):
    x = torch.from_numpy(rng.normal(size=(17, *SHAPE))) * 20
    order = torch.from_numpy(rng.permutation(17))
    whole = sb.sample(elementwise, name, GRID, x=x).x
    assert torch.equal(sb.sample(elementwise, name, GRID, x=x[order]).x, whole[order])


TOLERANCE = {"float32": 2e-5, "bfloat16": 0.06}
"""Relative to the states' scale: some fifty roundings of 6e-8, and of 4e-3."""


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ON_MIXTURES)
def test_narrow_types_stay_close_to_float64(name, dtype):
    """On states at or above sigma = 0.05, where no coefficient amplifies a rounding by much."""
    field = mixture("rectified", prediction="velocity")
    grid = sb.grid("edm", "rectified", 8, t_max=0.9, t_min=0.1)
    exact = sb.sample(field, name, grid, n=6, seed=1, dtype="float64").x
    got = sb.sample(field, name, grid, n=6, seed=1, dtype=dtype).x
    assert got.dtype == getattr(torch, dtype)
    error = (got.double() - exact).abs().max() / exact.abs().max()
    assert error < TOLERANCE[dtype] * (1 if name != "deis-rhoab3" else 4)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_start_is_not_written_to(name):
    field = Gaussian(np.zeros(SHAPE), np.ones(6), "edm")
    x = torch.linspace(-30, 30, 24, dtype=torch.float64).reshape(4, *SHAPE)
    for start in (x.clone(), x.numpy().copy()):
        sb.sample(field, name, GRID, x=start)
        assert np.array_equal(np.asarray(start), x.numpy())


@pytest.mark.parametrize("memory", [1, 1 << 30])
@pytest.mark.parametrize("name", ON_MIXTURES)
def test_a_field_may_return_its_input(name, memory):
    """The state is overwritten later; the solver must not see its history change with it."""
    grid = sb.grid("edm", "edm", 7, t_max=3.0, t_min=0.5, zero=False)

    def run(function):
        function.path, function.prediction, function.shape = sb.path("edm"), "x0", SHAPE
        return sb.sample(function, name, grid, n=5, dtype="float64", memory=memory).x

    copied = run(lambda x, t: x.clone())
    assert torch.equal(run(lambda x, t: x), copied)
    assert torch.equal(run(lambda x, t: x.view(-1).view(x.shape)), copied)
    assert torch.equal(run(lambda x, t: x.transpose(1, 2).transpose(1, 2)), copied)
    numpy = sb.sample(_numpy_identity, name, grid, n=5, dtype="float64", engine="numpy").x
    np.testing.assert_allclose(numpy, copied.numpy(), rtol=1e-11, atol=1e-11)


def _numpy_identity(x, t):
    return x


_numpy_identity.path, _numpy_identity.prediction, _numpy_identity.shape = sb.path("edm"), "x0", SHAPE


def test_states_that_are_not_contiguous(rng):
    x = torch.from_numpy(rng.normal(size=(3, 2, 5)) * 20).transpose(1, 2).transpose(0, 2)  # (2, 5, 3) -> strided
    x = torch.from_numpy(rng.normal(size=(3, 2, 8)) * 20).permute(2, 1, 0)
    assert not x.is_contiguous()
    assert torch.equal(
        sb.sample(elementwise, "dpmpp-2m", GRID, x=x).x, sb.sample(elementwise, "dpmpp-2m", GRID, x=x.contiguous()).x
    )


def test_result_of_the_wrong_shape_is_refused():
    def field(x, t):
        return x[:, :1]

    field.path, field.prediction, field.shape = sb.path("edm"), "x0", SHAPE
    with pytest.raises(ValueError, match=r"returned shape \(2, 1, 3\) for a state of shape \(2, 2, 3\)"):
        sb.sample(field, "ddim", GRID, n=2)


def both(function, prediction="x0"):
    """The result of a solver written in a test, from states 1, in both engines."""
    plan = trace(function, sb.path("edm"), sb.Grid(sb.path("edm"), (10.0, 5.0)), prediction, name="mine")
    x = np.ones((1, 3))
    torch_x = Runner(plan, 1, (3,), torch.float64)(lambda x, t: 0.5 * x, torch.from_numpy(x))
    return torch_x.numpy(), numpy_engine.run(plan, lambda x, t: 0.5 * x, x)


def test_maps():
    a, b = both(lambda x, p, g: (x + x.predict("x0", at=10.0)).map(lambda y: y * y) - x)
    np.testing.assert_allclose(a, b)
    assert b[0, 0] == 1.25


def test_one_operand_twice():
    def mine(x, path, grid):
        F = x.predict("x0", at=10.0)
        x = (2 * x + F).keep()
        return 3 * (x + 0 * F).keep() + 5 * (x + 0 * F).keep()

    a, b = both(mine)
    assert b[0, 0] == 20
    np.testing.assert_array_equal(a, b)


def test_a_state_that_is_zero():
    a, b = both(lambda x, p, g: 0 * x)
    np.testing.assert_array_equal(a, b)


def test_meter_splits_the_time():
    plan = sb.plan("ddim", "edm", GRID, prediction="x0")
    runner = Runner(plan, 2, SHAPE, torch.float32)
    runner(elementwise, torch.ones(2, *SHAPE))
    assert 0 < runner.meter.field < runner.meter.total
    assert runner.meter.overhead == runner.meter.total - runner.meter.field


def test_fill_normal_is_the_noise_of_the_samples():
    from solverbench.engines.noise import normals

    out = torch.empty(4, 5, dtype=torch.bfloat16)
    fill_normal(out, seed=1, stream=2, first=3)
    expected = torch.from_numpy(normals(1, 2, 3, 4, 5, np.float32)).to(torch.bfloat16)
    assert torch.equal(out, expected)


def test_on_a_gpu_its_kernel_fills(monkeypatch):
    class There(torch.Tensor):
        is_cuda, device = True, torch.device("cuda", 1)

    asked = []
    monkeypatch.setattr("solverbench.engines.cupy.device.found", lambda index: asked.append(index) or Kernels())

    class Kernels:
        multiprocessors = 1

        def launch(self, kernel, blocks, threads, argument):
            asked.append((kernel.expression, *(int(argument[name][0]) for name in ("seed", "stream", "first", "d"))))

    fill_normal(torch.empty(4, 5, 2).as_subclass(There), seed=1, stream=2, first=3)
    assert asked == [1, ("combine_noise<float, 0>", 1, 2, 3, 10)]
    monkeypatch.setattr("solverbench.engines.cupy.device.found", lambda index: None)
    out, expected = torch.zeros(4, 5), torch.empty(4, 5)
    fill_normal(out.as_subclass(There), seed=1, stream=2, first=3)
    fill_normal(expected, seed=1, stream=2, first=3)
    assert torch.equal(out, expected)


def test_a_field_that_answers_in_numpy():
    field = Gaussian([0.0, 1.0], [1.0, 2.0], "edm")

    class InNumpy:
        path, prediction, shape = field.path, field.prediction, field.shape

        def __call__(self, x, t):
            return field(x.numpy(), t)

    ours, theirs = (sb.sample(f, "heun", GRID, n=3, seed=1, dtype="float64").x for f in (field, InNumpy()))
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


def test_combinations_are_cut_for_the_caches_of_a_cpu_alone():
    size = 10 * torch_engine.BLOCK * torch.get_num_threads()
    plan = sb.plan("ddim", "edm", GRID)
    for device, cut in (("cpu", True), ("meta", False)):
        assert torch_engine._block(torch.empty(size, device=device)) == (size // 10 if cut else size)
        narrow = Runner(plan, 1, (size,), torch.float16, device)._sum
        assert narrow.numel() == (torch_engine.BLOCK if cut else size)
