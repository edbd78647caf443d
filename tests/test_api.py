"""What a user types: defaults, kinds of arrays, and the errors that name what is wrong."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench import room
from solverbench.api import find_solver
from solverbench.errors import UsageError
from solverbench.fields import Gaussian, Mixture
from solverbench.grids.search import cheapest
from solverbench.methods.stochastic import ddim
from solverbench.numbers import isfinite
from solverbench.sampling import start

GRID = sb.grid("edm", "edm", 4)
FIELD = Gaussian(np.zeros((2, 3)), np.linspace(0.1, 2, 6), "edm")
MIXTURE = Mixture([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], variances=[1.0, 0.5], path="edm")


def test_defaults():
    out = sb.sample(FIELD, "dpmpp-2m", GRID, n=5)
    assert isinstance(out.x, torch.Tensor)
    assert (out.x.dtype, out.x.shape, out.x.device.type) == (torch.float32, (5, 2, 3), "cpu")
    assert out.nfe == out.plan.nfe == 4
    assert out.plan.solver == "dpmpp-2m"
    assert out.plan.prediction == FIELD.prediction
    assert 0 < out.field_seconds < out.seconds
    assert out.finite.tolist() == [True] * 5
    assert torch.equal(out.x, sb.sample(FIELD, "dpmpp-2m", GRID, n=5, seed=0, engine="torch", dtype="float32").x)


def test_a_start_from_the_prior_is_the_one_drawn_by_start():
    x = start(FIELD, GRID, 3, seed=7)
    assert x.shape == (3, 2, 3)
    drawn, given = (
        sb.sample(FIELD, "ddim", GRID, dtype="float64", seed=7, **kind).x
        for kind in ({"n": 3}, {"x": torch.from_numpy(x)})
    )
    assert torch.equal(drawn, given)
    assert np.array_equal(start(FIELD, GRID, 2, seed=7, first=1), x[1:])
    assert np.std(start(FIELD, GRID, 4000)) == pytest.approx(80, rel=0.02)
    vp = Gaussian([0.0], [1.0], "vp-linear")
    assert np.std(start(vp, sb.grid("uniform", vp.path, 3), 9000)) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_numpy_states_run_in_numpy(dtype):
    x = np.ones((2, 2, 3), dtype)
    out = sb.sample(FIELD, "heun", GRID, x=x)
    assert isinstance(out.x, np.ndarray)
    assert out.x.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_torch_states_run_in_torch(dtype):
    out = sb.sample(FIELD, "heun", GRID, x=torch.ones(2, 2, 3, dtype=dtype)).x
    assert isinstance(out, torch.Tensor)
    assert out.dtype == dtype
    assert not out.requires_grad


def test_mpmath_states():
    x = np.frompyfunc(mp.mpf, 1, 1)(np.ones((1, 2, 3)))
    with mp.workdps(30):
        out = sb.sample(FIELD, "heun", GRID, x=x)
    assert all(isinstance(v, mp.mpf) and isfinite(v) for v in out.x.flat)
    assert out.finite.all()


def test_engines_may_be_crossed():
    out = sb.sample(FIELD, "ddim", GRID, x=np.ones((2, 2, 3)), engine="torch").x
    assert isinstance(out, torch.Tensor)
    assert out.dtype == torch.float64
    out = sb.sample(FIELD, "ddim", GRID, n=2, engine="numpy").x
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32


def test_torch_states_in_the_numpy_engine():
    assert isinstance(sb.sample(FIELD, "ddim", GRID, x=torch.ones(2, 2, 3), engine="numpy").x, np.ndarray)


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("float64"), torch.float64, float])
@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_names_of_types(engine, dtype):
    assert "float64" in str(sb.sample(FIELD, "ddim", GRID, n=1, engine=engine, dtype=dtype).x.dtype)


def test_any_batch_shape(rng):
    x = rng.normal(size=(2, 3, 2, 3))
    for states in (x, torch.from_numpy(x)):
        out = sb.sample(FIELD, "dpmpp-2m", GRID, x=states)
        flat = sb.sample(FIELD, "dpmpp-2m", GRID, x=states.reshape(6, 2, 3))
        assert out.x.shape == (2, 3, 2, 3)
        assert out.finite.shape == (2, 3)
        assert np.array_equal(np.asarray(out.x).reshape(6, 2, 3), np.asarray(flat.x))
    one = sb.sample(FIELD, "dpmpp-2m", GRID, x=states[0, 0]).x
    assert one.shape == (2, 3)
    assert torch.equal(one, out.x[0, 0])


def test_divergence_is_reported_not_raised():
    def field(x, t):
        return torch.where(x > 0, torch.inf, 0.0) * x if t < 10 else x

    field.path, field.prediction, field.shape = sb.path("edm"), "x0", (1,)
    x = torch.tensor([[80.0], [-80.0]], dtype=torch.float64)
    out = sb.sample(field, "ddim", GRID, x=x)
    assert out.finite.tolist() == [False, True]


def test_grids_as_arrays():
    times = [80.0, 10.0, 1.0, 0.0]
    expected = sb.sample(FIELD, "ddim", sb.grid(times, "edm"), n=2).x
    for given in (times, tuple(times), np.array(times), torch.tensor(times)):
        assert torch.equal(sb.sample(FIELD, "ddim", given, n=2).x, expected)


def test_solvers_as_names_functions_and_objects():
    expected = sb.plan("ddim", "edm", GRID)
    for given in (ddim, sb.solvers()["ddim"], "ddim[eta=0]"):
        assert sb.plan(given, "edm", GRID).equivalent(expected)
    assert find_solver(sb.solvers()["ddim"][{"eta": 0.5}]).options == {"eta": 0.5}


def test_plan_takes_the_prediction_of_the_solver_by_default():
    for name in ("ddim", "dpmpp-2m", "heun", "flow-map"):
        expected = {"ddim": "noise", "dpmpp-2m": "x0", "heun": "velocity", "flow-map": "x0"}[name]
        assert sb.plan(name, "edm", GRID).prediction == expected
    assert sb.plan("ddim", "edm", GRID, prediction="v").prediction == "v"


def test_law():
    law = sb.law(FIELD, "ddim", GRID)
    assert law.mean.shape == law.variance.shape == (6,)
    assert law.nfe == 4
    assert law.w2 > 0
    assert law.kl > 0
    assert sb.law(FIELD, "ddim", GRID, start="prior").w2 != law.w2
    np.testing.assert_array_equal(law.reference_variance, np.linspace(0.1, 2, 6))
    end = sb.law(FIELD, "ddim", sb.grid("edm", "edm", 4, zero=False), target="end")
    np.testing.assert_allclose(end.reference_variance, np.linspace(0.1, 2, 6) + 0.002**2)
    assert repr(law).startswith("<Law in 6 directions: W2=")


RECT = sb.grid("uniform", "rectified", 4)
ONES = np.ones((2, 2, 3))


def no_jump(x, t):
    """A field that knows no flow map."""
    return x


no_jump.path, no_jump.prediction, no_jump.shape = sb.path("edm"), "x0", (2, 3)


def black_box(variance=(1.0, 2.0), sigmas=(2.0, 1.0), **more):
    """The law of a sampler that does nothing."""
    return sb.black_box_law(lambda denoise, x, sigmas, draw: x, variance, sigmas, **more)


def network(**options):
    """A network that answers its states."""
    return sb.fields.NetworkField(lambda x, t, label: x, "edm", (2, 3), **options)


WRONG = {
    "neither x nor n": (lambda: sb.sample(FIELD, "ddim", GRID), "either x.*or n"),
    "both x and n": (lambda: sb.sample(FIELD, "ddim", GRID, x=ONES, n=2), "either x.*or n"),
    "shape": (lambda: sb.sample(FIELD, "ddim", GRID, x=np.ones((2, 3, 2))), r"\(\.\.\., 2, 3\).*got \(2, 3, 2\)"),
    "too few axes": (lambda: sb.sample(FIELD, "ddim", GRID, x=np.ones(3)), r"got \(3,\)"),
    "torch shape": (lambda: sb.sample(FIELD, "ddim", GRID, x=torch.ones(2, 6)), r"got \(2, 6\)"),
    "no samples": (lambda: sb.sample(FIELD, "ddim", GRID, x=np.ones((0, 2, 3))), r"at least one.*got \(0, 2, 3\)"),
    "n": (lambda: sb.sample(FIELD, "ddim", GRID, n=0), "n must be at least 1 and whole, got 0"),
    "engine": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, engine="jax"), "unknown engine 'jax'.*numpy, torch"),
    "dtype": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, dtype="float23"), "dtype float23 is not.*float32"),
    "integer dtype": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, dtype=int), "is not a floating-point type"),
    "integers": (lambda: sb.sample(FIELD, "ddim", GRID, x=np.ones((2, 2, 3), int)), "int64 is not a floating-point"),
    "torch integers": (lambda: sb.sample(FIELD, "ddim", GRID, x=torch.ones(2, 2, 3, dtype=int)), "int64 is not"),
    "grid of another path": (lambda: sb.sample(FIELD, "ddim", RECT, n=1), "made for path rectified.*field is on edm"),
    "plan on another path": (lambda: sb.plan("ddim", "edm", RECT), "made for path rectified"),
    "law on another path": (lambda: sb.law(FIELD, "ddim", RECT), "made for path rectified"),
    "grid by name": (lambda: sb.sample(FIELD, "ddim", "edm", n=1), "steps must be a positive whole number"),
    "too many steps": (lambda: sb.grid("edm", "edm", 10**9), "at most 100000 steps make a plan, got 10{9}; give"),
    "steps that are true": (lambda: sb.grid("edm", "edm", True), "steps must be a positive whole number, got True"),
    "an end in words": (lambda: sb.grid("edm", "edm", 5, t_max="late"), "t_max and t_min are numbers, got 'late'"),
    "a grid's option": (lambda: sb.grid("edm", "edm", 5, rho=True), "rho must be a positive number, got True"),
    "a grid's whole option": (lambda: sb.grid("discrete", "vp-discrete", 5, offset=True), "whole number, got True"),
    "a grid on a name": (lambda: sb.Grid("edm", (2.0, 1.0)), "path is a Path.*not 'edm'"),
    "a grid of words": (lambda: sb.Grid(sb.path("edm"), ("late", 1.0)), "times must be finite.*late"),
    "a path's option": (lambda: sb.path("vp-linear", beta_1=True), "beta_1 must be a positive number"),
    "a path's choice": (lambda: sb.path("vp-discrete", zero_terminal_snr=3), "is True or False, got 3"),
    "half a point": (lambda: sb.solvers()["ab2"][{"points": 2.5}], "option points=2.5 is not a whole number"),
    "points that are true": (lambda: sb.solvers()["ab2"][{"points": True}], "option points=True is not a whole number"),
    "a corrector of 1": (lambda: sb.solvers()["unipc-2"][{"corrector": 1}], "option corrector=1 is not true or false"),
    "a strength that is true": (lambda: sb.Eta.of(True), "eta is a number or text"),
    "a number for a name": (lambda: sb.solver(3)(print), "solver name 3"),
    "noise": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, noise="white"), "unknown noise 'white'"),
    "a network's type": (lambda: network(dtype="int8"), "computes in float32.*not in int8"),
    "a network's device": (lambda: network(device="gpux"), "unknown device 'gpux'"),
    "a network's label": (lambda: network(labels=3, label=True), "label True is not one"),
    "a network's guidance": (lambda: network(labels=3, label=1, guidance=np.nan), "finite number, got nan"),
    "costs": (lambda: cheapest(np.ones((3, 2)), 1), r"costs must be numbers \(n, n\).*\(3, 2\)"),
    "costs, nan": (lambda: cheapest(np.full((3, 3), np.nan), 1), "9 nan"),
    "grid upwards": (lambda: sb.sample(FIELD, "ddim", [1.0, 2.0], n=1), "must decrease strictly"),
    "solver": (lambda: sb.sample(FIELD, "ddin", GRID, n=1), "unknown solver 'ddin'.*ddim"),
    "option": (lambda: sb.plan("ddim[ate=1]", "edm", GRID), "no option 'ate'"),
    "not a solver": (lambda: sb.plan(print, "edm", GRID), "is no solver: give its name, or register"),
    "path": (lambda: sb.plan("ddim", "edn", GRID), "unknown path 'edn'.*edm"),
    "prediction": (lambda: sb.plan("ddim", "edm", GRID, prediction="x1"), "unknown prediction 'x1'"),
    "law of a mixture": (lambda: sb.law(MIXTURE, "ddim", GRID), "linear along fixed directions, not Mixture"),
    "law's start": (lambda: sb.law(FIELD, "ddim", GRID, start="there"), "'exact' or 'prior', got 'there'"),
    "law's target": (lambda: sb.law(FIELD, "ddim", GRID, target="there"), "'data' or 'end', got 'there'"),
    "a state in place of a batch": (lambda: FIELD(np.ones(6), 1.0), r"shape \(n, 2, 3\)"),
    "flow map": (lambda: sb.sample(no_jump, "flow-map", GRID, n=1), "jump"),
    "a list": (lambda: sb.sample(FIELD, "ddim", GRID, x=ONES.tolist()), "array"),
    "longdouble in torch": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, dtype="longdouble"), "dtype"),
    "bfloat16 in numpy": (
        lambda: sb.sample(FIELD, "ddim", GRID, n=1, dtype="bfloat16", engine="numpy"), "dtype",
    ),
    "half a sample": (lambda: sb.sample(FIELD, "ddim", GRID, n=2.5), "n must be"),
    "n in words": (lambda: sb.sample(FIELD, "ddim", GRID, n="3"), "n must be at least 1 and whole, got '3'"),
    "n nan": (lambda: sb.sample(FIELD, "ddim", GRID, n=math.nan), "n must be at least 1 and whole, got nan"),
    "seed below zero": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, seed=-1), "seed must be at least 0 and whole"),
    "seed of seed 0": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, seed=2**64), "seed must be .*below 1.84e\\+19"),
    "seed in words": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, seed="a"), "seed must be .*got 'a'"),
    "first": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, first=-1), "first must be at least 0"),
    "memory": (lambda: sb.sample(FIELD, "ddim", GRID, n=1, memory="1G"), "memory must be at least 1.*got '1G'"),
    "field by name": (lambda: sb.sample("edm", "ddim", GRID, n=1), r"not 'edm': solverbench\.fields\.load\('edm'\)"),
    "no field": (lambda: sb.sample(np.tanh, "ddim", GRID, n=1), "a field is an object with path, prediction, shape"),
    "likelihood of no field": (lambda: sb.log_likelihood(None, ONES, "ddim", GRID), "a field is an .*not None"),
    "load no field": (lambda: sb.fields.load(3), "a field is an object with .*not 3"),
    "solver of no kind": (lambda: sb.plan(3, "edm", GRID), "3 is no solver: give its name"),
    "nan for an option": (lambda: sb.plan("ctm[floor=nan]", "edm", GRID), "option floor is nan"),
    "path of no kind": (lambda: sb.path(["edm"]), r"unknown path \['edm'\]"),
    "path beyond its end": (lambda: sb.path("rectified", t_max=2.0), "need 0 <= t_min < t_max <= 1, got .*t_max=2.0"),
    "betas in words": (lambda: sb.path("vp-discrete", betas=["a", "b"]), "betas must be numbers"),
    "grid in rows": (lambda: sb.grid(np.ones((2, 2)), "edm"), "decreasing times in one row"),
    "grid in words": (lambda: sb.grid(["a", "b"], "edm"), r"in one row, got \['a', 'b'\]"),
    "grid a number": (lambda: sb.plan("ddim", "edm", 5), "in one row, got 5"),
    "times of no kind": (lambda: sb.grid("explicit", "edm", times=None), "in one row, got None"),
    "grid that overflows": (lambda: sb.grid("edm", "edm", 4, rho=1e-9), "times overflow with {'rho': 1e-09}"),
    "mean in words": (lambda: Gaussian(["a"], [1.0], "edm"), "mean must be numbers"),
    "times for others": (lambda: FIELD(ONES, np.ones(3)), r"one time, or one for each of 2 states, got \(3,\)"),
    "n beyond all memory": (
        lambda: sb.sample(FIELD, "ddim", GRID, n=10**13),
        r"n = 10,000,000,000,000 samples take 447,034\.8 GiB of .* GiB of memory: take a smaller n, or several batches",
    ),
    "n beyond all memory, in numpy": (
        lambda: sb.sample(FIELD, "ddim", GRID, n=10**20, engine="numpy"), "samples take .* GiB"
    ),
    "n beyond all memory, of a law": (lambda: FIELD.sample(10**13, 0), "samples take .* GiB"),
    "n beyond all memory, of a mixture": (lambda: MIXTURE.sample(10**13, 0), "samples take .* GiB"),
    "sample less than nothing": (lambda: FIELD.sample(-1, 0), "n must be at least 0 and whole, got -1"),
    "problem of no order": (lambda: sb.order("ddim", problems=["nonlin"]), "problems are one or more of nonlinear"),
    "problem by itself": (lambda: sb.order("ddim", problems="nonlinear"), "in a list, got 'nonlinear'"),
    "black box, negative": (lambda: black_box(variance=[1.0, -1.0]), "variance must be .*none negative"),
    "black box, nan": (lambda: black_box(variance=[1.0, np.nan]), "variance must be finite"),
    "black box, upwards": (lambda: black_box(sigmas=(1.0, 2.0)), "must decrease strictly"),
    "black box, start": (lambda: black_box(start="pior"), "'exact' or 'prior', got 'pior'"),
    "black box, mean": (lambda: black_box(mean=[1.0, 2.0, 3.0]), r"mean must have shape \(\) or \(2,\), got \(3,\)"),
    "no pieces": (lambda: sb.Eta(()), "eta needs a piece"),
    "churn": (lambda: sb.plan("edm-heun[s_churn=-3]", "edm", GRID), "s_churn >= 0 .*got s_churn=-3"),
    "floor": (lambda: sb.plan("ctm[floor=-1]", "edm", GRID), "floor is a noise level, not below zero, got -1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_errors_name_what_is_wrong(what):
    call, message = WRONG[what]
    with pytest.raises(UsageError, match=message):
        call()


@pytest.mark.parametrize("engine", ["torch", "numpy"])
@pytest.mark.parametrize(("chunk", "most"), [(2**30, 41), (24, 20)])  # joined chunks are there twice
def test_samples_fill_the_memory_and_no_more(chunk, most, engine, monkeypatch):
    """With a thousand bytes, of which one sample takes 24."""
    monkeypatch.setattr(room, "installed_memory", lambda device: 1000)
    assert len(sb.sample(FIELD, "ddim", GRID, n=most, memory=chunk, engine=engine).x) == most
    with pytest.raises(UsageError, match=f"n = {most + 1} samples"):
        sb.sample(FIELD, "ddim", GRID, n=most + 1, memory=chunk, engine=engine)
    given = torch.ones(most + 1, 2, 3)  # what is there has had its room
    assert len(sb.sample(FIELD, "ddim", GRID, given, memory=chunk, engine=engine).x) == most + 1


def test_the_default_prediction_works_from_pure_noise():
    """Where alpha = 0 nothing follows from the noise, which is what ddim integrates."""
    assert sb.plan("ddim", "rectified", sb.grid("uniform", "rectified", 4)).prediction == "x0"
    assert sb.plan("ddim", "rectified", sb.grid("uniform", "rectified", 1)).prediction == "x0"
    assert sb.plan("ddim", "rectified", sb.grid("log-snr", "rectified", 4)).prediction == "noise"
