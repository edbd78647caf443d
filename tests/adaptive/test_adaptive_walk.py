"""Whole runs: errors against tolerances, the same steps by other hands, independence of the batch, hostile input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import solverbench as sb
from solverbench import references
from solverbench.errors import UsageError
from solverbench.fields import Gaussian, Mixture
from solverbench.fields.network import NetworkField
from solverbench.orders import problems
from solverbench.peers import kdiffusion

NAMES = tuple(sb.adaptive_solvers())
RK = {"rk23-adaptive": "RK23", "rk45-adaptive": "RK45", "dop853-adaptive": "DOP853"}
MEANS = np.array([[0.9, -0.4, 0.2, 1.0], [-0.7, 0.5, -1.1, 0.0]])
FIELD = Mixture([0.4, 0.6], MEANS, variances=[0.25, 0.09], path="edm", prediction="x0")
ENDS = (14.0, 0.07)


@pytest.fixture
def x(rng):
    """Three states at the first noise level."""
    return rng.normal(size=(3, 4)) * ENDS[0]


class Column:
    """A function of x and t as a field of states (n, 1)."""

    shape = (1,)

    def __init__(self, function, path="rectified", prediction="velocity"):
        self.function, self.path, self.prediction = function, sb.path(path), prediction

    def __call__(self, x, t):
        return self.function(x, t)


class Mixed:
    """The mixture and the Gaussian of the order tests, as samples of one number each."""

    shape, path, prediction = (1,), sb.path("edm"), "x0"

    def __call__(self, x, t):
        row = problems.mixed(np.broadcast_to(x, (len(x), 16)), t)  # a denoiser of each column by itself
        return row[:, :1]


@pytest.mark.parametrize("variable", ["time", "log-sigma", "sigma", "mix", "angle", "data"])
@pytest.mark.parametrize("solver", RK)
def test_error_in_proportion_to_the_tolerance(solver, variable):
    """On a mixture with its quantile map, one number a sample.

    The error is the tolerance up to a small factor from 1e-6 on. At loose tolerances a long step may miss a bend (the
    two estimates agree by chance), which costs up to two digits.
    """
    start = problems.start(40.0)[0, problems.NONLINEAR][:, None]
    exact = problems.mixed.jump(problems.start(40.0), 40.0, 0.05)[0, problems.NONLINEAR][:, None]
    tolerances = 10.0 ** -np.arange(3, 10)
    ratio, work = [], []
    for tol in tolerances:
        run = sb.sample(Mixed(), f"{solver}[variable={variable},rtol={tol},atol={tol}]", (40.0, 0.05), x=start)
        ratio.append(np.sqrt(np.mean((run.x - exact) ** 2)) / tol)
        work.append(run.nfe.mean())
    assert max(ratio) < 300
    assert all(0.3 < r < 20 for r in ratio[3:])
    assert (np.diff(work) > 0).all()


@pytest.mark.parametrize("path", ["edm", "vp-linear", "rectified"])
@pytest.mark.parametrize("solver", NAMES)
def test_error_in_proportion_to_the_tolerance_on_a_gaussian(solver, path):
    field = Gaussian(np.zeros(7), problems.VARIANCE, path)
    s, t = (float(field.path.inverse_sigma_tilde(u)) for u in (40.0, 0.05))
    x = field.sample(4, 0, s)
    errors = []
    tolerances = (1e-3, 1e-4, 1e-5)
    for tol in tolerances:
        run = sb.sample(field, f"{solver}[rtol={tol},atol={tol}]", (s, t), x=x)
        errors.append(np.sqrt(np.mean((run.x - field.jump(x, s, t)) ** 2)))
    assert 0.6 < np.log(errors[0] / errors[2]) / np.log(tolerances[0] / tolerances[2]) < 1.5


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("first", [0.0, 0.5])
@pytest.mark.parametrize("solver", RK)
def test_scipy(solver, first, rtol, x):
    """One at a time by solve_ivp. Its DOP853 asks for the slope where a step ends even if that step is rejected."""
    run = sb.sample(FIELD, f"{solver}[rtol={rtol},first={first}]", ENDS, x=x)
    for i in range(3):
        theirs = solve_ivp(
            lambda t, y: (y - FIELD(y[None], t)[0]) / t, ENDS, x[i], RK[solver], rtol=rtol, atol=1e-6,
            first_step=first or None,
        )  # fmt: skip
        np.testing.assert_allclose(run.x[i], theirs.y[:, -1], rtol=0, atol=1e-10)
        assert run.accepted[i] == len(theirs.t) - 1
        wasted = run.rejected[i] + 1 if RK[solver] == "DOP853" else 0
        assert run.nfe[i] == theirs.nfev - wasted
    assert run.rejected.sum() > 0


@pytest.mark.parametrize("solver", ["rk23-adaptive", "rk45-adaptive"])
def test_scipy_in_log_sigma(solver, x):
    run = sb.sample(FIELD, f"{solver}[variable=log-sigma,rtol=1e-5]", ENDS, x=x)
    for i in range(3):
        theirs = solve_ivp(
            lambda u, y: y - FIELD(y[None], np.exp(u))[0], np.log(ENDS), x[i], RK[solver], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(run.x[i], theirs.y[:, -1], rtol=0, atol=1e-10)
        assert (run.nfe[i], run.accepted[i]) == (theirs.nfev, len(theirs.t) - 1)


@pytest.fixture
def k_diffusion():
    """Its module, and tensors of its constants in double precision."""
    try:
        module = kdiffusion.sampling()
    except ModuleNotFoundError as missing:
        pytest.skip(f"parity needs k-diffusion: {missing}")
    torch.set_default_dtype(torch.float64)
    yield module
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("pid", [(0.0, 1.0, 0.0), (0.4, 0.3, 0.0), (0.2, 0.4, 0.1)])
@pytest.mark.parametrize("tolerance", [(0.05, 0.0078), (1e-3, 1e-3), (1e-5, 1e-6)])
@pytest.mark.parametrize(("solver", "order"), [("dpm-12-adaptive", 2), ("dpm-23-adaptive", 3)])
def test_k_diffusion(solver, order, tolerance, pid, x, k_diffusion):
    """Their norm is over the whole batch, so one sample at a time; they count evaluations they could have kept."""
    (rtol, atol), (p, i, d) = tolerance, pid
    options = f"controller=smooth,safety=0.81,rtol={rtol},atol={atol},pcoeff={p},icoeff={i},dcoeff={d}"
    run = sb.sample(FIELD, f"{solver}[{options}]", ENDS, x=x)
    for j in range(3):
        last = []
        theirs, info = k_diffusion.sample_dpm_adaptive(
            lambda y, s: FIELD(y, float(s[0])), torch.from_numpy(x[j : j + 1]), *ENDS[::-1], order=order, rtol=rtol,
            atol=atol, pcoeff=p, icoeff=i, dcoeff=d, disable=True, return_info=True,
            callback=lambda info, last=last: last.append(float(info["sigma"])),
        )  # fmt: skip
        # they stop within 1e-5 of the end in log sigma
        tolerated = 1e-10 if last[-1] == pytest.approx(ENDS[1], rel=1e-12) else 1e-5
        np.testing.assert_allclose(run.x[j], theirs.numpy()[0], rtol=0, atol=tolerated)
        assert (run.accepted[j], run.rejected[j]) == (info["n_accept"], info["n_reject"])
        assert run.nfe[j] == info["nfe"] - info["n_reject"]


@pytest.mark.parametrize(("solver", "order"), [("dpm-12-adaptive", 2), ("dpm-23-adaptive", 3)])
def test_appendix_c_written_out(solver, order):
    """The published loop on a variance-preserving path, with the singlestep solvers of plans."""
    field = Gaussian([0.5, -0.5, 0.0], [1.0, 0.04, 0.3], "vp-linear", prediction="noise")
    path = field.path
    x, s, end = field.sample(1, 3, 0.9), 0.9, 1e-2
    run = sb.sample(field, solver, (s, end), x=x)
    before, h, taken, refused, at = x, 0.05, 0, 0, []
    while s > end:
        h = min(h, path.lam(end) - path.lam(s))
        t = end if h == path.lam(end) - path.lam(s) else path.inverse_lam(path.lam(s) + h)
        high = sb.sample(field, "dpm-2" if order == 2 else "dpm-3", (s, t), x=x).x
        low = sb.sample(field, "dpm-1", (s, t), x=x).x if order == 2 else dpm_2(field, x, s, t, 1 / 3)
        delta = np.maximum(0.0078, 0.05 * np.maximum(abs(low), abs(before)))
        E = np.sqrt(np.mean(((high - low) / delta) ** 2))
        if E <= 1:
            x, s, before, taken = high, t, low, taken + 1
            at.append(s)
        else:
            refused += 1
        h = 0.9 * h * E ** (-1 / order)
    np.testing.assert_allclose(run.x, x, rtol=0, atol=1e-12)
    assert (run.accepted[0], run.rejected[0]) == (taken, refused)
    assert run.nfe[0] == order * taken + (order - 1) * refused


def dpm_2(field, x, s, t, r):
    """DPM-Solver-2 for any r_1 (algorithm 4 of arXiv 2206.00927)."""
    path = field.path
    h = path.lam(t) - path.lam(s)
    m = path.inverse_lam(path.lam(s) + r * h)
    eps = field(x, s)
    u = path.alpha(m) / path.alpha(s) * x - path.sigma(m) * np.expm1(r * h) * eps
    first = path.alpha(t) / path.alpha(s) * x - path.sigma(t) * np.expm1(h) * eps
    return first - path.sigma(t) / (2 * r) * np.expm1(h) * (field(u, m) - eps)


@pytest.mark.parametrize("solver", NAMES)
def test_a_sample_does_not_depend_on_its_batch(solver, x):
    """Nor on chunks; a hard neighbour among them."""
    x = np.concatenate([x, 40 * x[:1]])
    whole = sb.sample(FIELD, solver, (*ENDS, 0.0), x=x)
    chunked = sb.sample(FIELD, solver, (*ENDS, 0.0), x=x, memory=1)
    for i in range(4):
        alone = sb.sample(FIELD, solver, (*ENDS, 0.0), x=x[i : i + 1])
        for other, j in ((whole, i), (chunked, i)):
            np.testing.assert_allclose(other.x[j], alone.x[0], rtol=0, atol=1e-11)
            for count in ("nfe", "accepted", "rejected"):
                assert getattr(other, count)[j] == getattr(alone, count)[0]
    assert len({*whole.nfe.tolist()}) > 1


def test_counts_of_torch_states_do_not_depend_on_chunks(x):
    whole, chunked = (
        sb.sample(FIELD, "rk45-adaptive", ENDS, x=torch.from_numpy(x), memory=memory) for memory in (1 << 20, 1)
    )
    np.testing.assert_array_equal(whole.nfe, chunked.nfe)
    np.testing.assert_allclose(whole.x, chunked.x, rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", NAMES)
def test_torch_states(solver, x):
    given = sb.sample(FIELD, solver, ENDS, x=x)
    run = sb.sample(FIELD, solver, ENDS, x=torch.from_numpy(x).reshape(3, 1, 4))
    assert run.x.shape == (3, 1, 4)
    assert run.nfe.shape == run.accepted.shape == run.rejected.shape == (3, 1)
    np.testing.assert_allclose(run.x.numpy()[:, 0], given.x, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(run.nfe[:, 0], given.nfe)
    assert run.plan is None
    assert 0 < run.field_seconds < run.seconds
    single = sb.sample(FIELD, solver, ENDS, x=x.astype(np.float32))
    assert single.x.dtype == np.float32
    np.testing.assert_allclose(single.x, given.x, atol=0.02)


def test_running_samples_are_evaluated_together(x):
    """By a field that takes a time per sample: as many calls as the slowest sample has evaluations."""
    calls = []

    def network(x, t, label):
        calls.append(len(x))
        s = torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1)
        return x / (1 + s * s)

    results = []
    for takes in (True, False):
        calls.clear()
        field = NetworkField(network, "edm", (4,), dtype="float64", takes_times=takes)
        results.append(sb.sample(field, "rk45-adaptive", ENDS, x=x * [[1], [3], [9]]))
        assert sum(calls) == results[-1].nfe.sum()
        if takes:
            assert len(calls) <= results[-1].nfe.max() + 12
    np.testing.assert_array_equal(results[0].nfe, results[1].nfe)
    np.testing.assert_allclose(results[0].x, results[1].x, rtol=1e-12)
    one = Gaussian(np.zeros(4), np.ones(4), "edm")
    np.testing.assert_allclose(sb.sample(one, "rk45-adaptive", ENDS, x=x * [[1], [3], [9]]).x, results[0].x, rtol=1e-11)


def test_guided_fields_cost_two():
    field = Gaussian([0.0], [1.0], "edm")
    plain = sb.sample(field, "rk23-adaptive", ENDS, n=2, seed=4)
    field.evaluations = 2
    np.testing.assert_array_equal(sb.sample(field, "rk23-adaptive", ENDS, n=2, seed=4).nfe, 2 * plain.nfe)


@pytest.mark.parametrize("solver", NAMES)
def test_never_beyond_the_end(solver, x):
    """Nor noisier than the start; the step onto the data is the denoiser at the last time, at no further cost."""
    seen = []

    class Watched:
        shape, path, prediction = FIELD.shape, FIELD.path, FIELD.prediction

        def __call__(self, x, t):
            seen.append(t)
            return FIELD(x, t)

    stopped = sb.sample(Watched(), solver, ENDS, x=x)
    assert max(seen) <= ENDS[0]
    assert min(seen) >= ENDS[1]
    full = sb.sample(Watched(), solver, (*ENDS, 0.0), x=x)
    assert max(seen) <= ENDS[0]
    assert min(seen) == ENDS[1]
    np.testing.assert_allclose(full.x, FIELD(stopped.x, ENDS[1]), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(full.nfe - stopped.nfe, 0 if solver in ("rk23-adaptive", "rk45-adaptive") else 1)
    grid = sb.Grid(FIELD.path, (ENDS[0], 9.0, 1.0, ENDS[1]))  # times between the ends are not used
    np.testing.assert_array_equal(sb.sample(FIELD, solver, grid, x=x).x, stopped.x)
    short = sb.sample(FIELD, solver, (ENDS[0], 0.0), x=x)  # by way of the path's t_min
    np.testing.assert_array_equal(short.x, sb.sample(FIELD, solver, (ENDS[0], 0.002, 0.0), x=x).x)


def test_out_of_pure_noise(rng):
    """Time is regular there; other variables begin with the first-order step, and need a time to take it to."""
    field = Gaussian(np.zeros(3), [1.0, 0.3, 0.1], "rectified")
    x = rng.normal(size=(2, 3))
    exact = field.jump(x, 1.0, 0.01)
    run = sb.sample(field, "rk45-adaptive[rtol=1e-8,atol=1e-8]", (1.0, 0.01), x=x)
    np.testing.assert_allclose(run.x, exact, atol=1e-6)
    run = sb.sample(field, "dpm-23-adaptive[rtol=1e-6,atol=1e-6]", (1.0, 0.9999, 0.01), x=x)
    np.testing.assert_allclose(run.x, exact, atol=1e-3)
    with pytest.raises(UsageError, match="prediction 'x0' does not follow from a field that predicts 'noise' at t = 1"):
        sb.sample(field.at("noise"), "dpm-23-adaptive", (1.0, 0.9999, 0.01), x=x)
    for times in ((1.0, 0.01), (0.9, 0.0)):
        with pytest.raises(UsageError, match="no step between noise and data for an adaptive solver: give it one more"):
            sb.sample(field, "dpm-23-adaptive", times, x=x)


@pytest.mark.parametrize("solver", NAMES)
def test_a_field_of_nan_is_given_up(solver):
    times = []
    bad = Column(lambda x, t: times.append(t) or x * np.nan)
    run = sb.sample(bad, solver, (0.9, 0.1), x=np.ones((2, 1)))
    assert not run.finite.any()
    assert np.isnan(run.x).all()
    assert (run.accepted == 0).all()
    assert (run.nfe < 500).all()
    assert np.isfinite(times).all()


@pytest.mark.parametrize("solver", NAMES)
def test_an_exploding_sample_is_given_up_and_its_neighbours_are_not(solver):
    """dx/dt = -x^2 from t = 0.9 down: x(t) = 1/(1/x + t - s) ends at t = s - 1/x if that is within."""
    field = Column(lambda x, t: -x * x)
    x = np.array([[4.0], [0.5], [1.0]])
    run = sb.sample(field, f"{solver}[rtol=1e-4,atol=1e-6,limit=2000]", (0.9, 0.1), x=x)
    assert run.finite.tolist() == [False, True, True]
    np.testing.assert_allclose(run.x[1:], 1 / (1 / x[1:] - 0.8), rtol=0.02)
    assert run.nfe.max() < 40_000


def test_a_step_too_many():
    run = sb.sample(FIELD, "rk45-adaptive[limit=3]", ENDS, n=2, dtype="float64")
    assert not run.finite.any()
    np.testing.assert_array_equal(run.accepted + run.rejected, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rk45-adaptive[rtol=0]", "rtol > 0 and atol >= 0: got rtol=0.0"),
        ("rk45-adaptive[rtol=-1]", "rtol > 0"),
        ("dpm-12-adaptive[rtol=nan]", "option rtol is nan, which is no number"),
        ("dpm-12-adaptive[atol=-1e-3]", "got rtol=0.05, atol=-0.001"),
        ("dpm-12-adaptive[first=0]", "first step must be a positive length, got 0"),
        ("rk23-adaptive[first=-1]", "positive length, or 0 to choose it, got -1"),
        ("rk23-adaptive[limit=0]", "at least 1, got 0"),
        ("rk23-adaptive[safety=1.5]", "safety must be between 0 and 1, got 1.5"),
        ("rk23-adaptive[controller=pdi]", "unknown controller 'pdi'"),
        ("rk23-adaptive[variable=sigm]", "unknown variable 'sigm'.*sigma"),
        ("rk23-adaptive[rtl=1]", "no option 'rtl'.*rtol"),
        ("dpm-12-adaptive[pair=dpm-13]", "unknown pair 'dpm-13'"),
        ("rk45-adaptiv", "unknown solver 'rk45-adaptiv'.*rk45-adaptive"),
    ],
)
def test_options_out_of_range(spec, message, x):
    with pytest.raises(UsageError, match=message):
        sb.sample(FIELD, spec, ENDS, x=x)


def test_a_field_of_another_shape(x):
    with pytest.raises(UsageError, match=r"returned shape \(3,\) for states of shape \(3, 1\)"):
        sb.sample(Column(lambda x, t: x[:, 0]), "rk23-adaptive", (0.9, 0.1), x=x[:, :1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_states_in_which_errors_cannot_be_estimated(dtype):
    with pytest.raises(UsageError, match="float32 or float64"):
        sb.sample(FIELD, "rk45-adaptive", ENDS, n=2, dtype=dtype)


def test_they_are_no_plans():
    assert not {*NAMES} & {*sb.solvers()}
    for name in NAMES:
        solver = sb.adaptive_solvers()[name]
        assert str(solver) == name
        assert solver.doc
        assert [entry is not None for entry, _ in references.parts(solver.cite)] == [True]
        with pytest.raises(sb.UsageError, match=f"{name}.* chooses its steps by the samples.*solverbench.sample"):
            sb.plan(f"{name}[rtol=0.1]", "edm", ENDS)
        with pytest.raises(sb.UsageError, match="no plan, law or budget"):
            sb.law(Gaussian([0.0], [1.0], "edm"), name, ENDS)
        with pytest.raises(sb.UsageError, match="no plan, law or budget"):
            sb.order(name)
