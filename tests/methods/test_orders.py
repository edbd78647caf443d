"""Orders of convergence: measured, not claimed.

Errors are signed, per direction or per start point, on nested grids g(i/N) that end at sigma > 0. The order is the last
slope, extrapolated, with a Student interval over directions; directions whose error changes sign are left out.

Where a multistep method starts matters. `near` starts at sigma 1.5, where the prediction varies and the first steps,
which have order one, dominate in the end: a predictor of any order measures two, a corrector one more. `far` starts at
sigma 1000, where the prediction is constant to 1e-6: what is measured there is the method between its first steps.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import solve_ivp

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.engines.law import kernel
from solverbench.fields import Gaussian

VARIANCE = np.geomspace(0.1, 4, 7)
STEPS = [2**k for k in range(5, 11)]
FLOOR = 1e-11
"""Errors below this are not used: rounding is 1e-14 and grows."""


def karras(first, last):
    """Even in sigma^(1/7): steps of uneven length in every variable a method uses, so that a wrong ratio shows."""
    a, b = first ** (1 / 7), last ** (1 / 7)
    return lambda y: (a + y * (b - a)) ** 7


PLACES = {
    "near": (sb.path("edm"), karras(1.5, 0.15)),
    "far": (sb.path("edm"), karras(1000.0, 0.3)),
    "in time": (sb.path("vp-linear"), lambda y: 0.9 - 0.8 * y),
}

ORDERS = {  # solver: near, far, on a nonlinear field near; None: as near
    "euler": (1, 1, 1),
    "midpoint": (3, 3, 2),  # the midpoint rule in sigma~ has no error of second order on any Gaussian
    "heun": (2, 2, 2),
    "rk4": (4, 4, 4),
    "euler-sigma": (1, 1, 1),
    "rho-midpoint": (3, 3, 2),  # likewise
    "rho-2heun": (2, 2, 2),
    "rho-4rk": (4, 4, 4),
    "exp-euler": (1, 1, 1),
    "exp-rk2": (2, 2, 2),
    "exp-rk3": (3, 3, 3),
    "dpm-1": (1, 1, 1),
    "dpm-2": (2, 2, 2),
    "dpm-3": (3, 3, 3),
    "dpmpp-1": (1, 1, 1),
    "dpmpp-2s": (2, 2, 2),
    "dpmpp-3s": (3, 3, 3),
    "deis-rhoab1": (2, 2, 2),
    "deis-rhoab2": (2, 3, 2),  # the first step has order one, once: h^2
    "deis-rhoab3": (2, 4, 2),  # likewise
    "deis-tab1": (2, 2, 2),
    "deis-tab2": (2, 3, 2),  # likewise
    "deis-tab3": (2, 4, 2),  # likewise
    "exp-ab2": (2, 2, 2),
    "exp-ab3": (2, 3, 2),  # likewise
    "dpmpp-2m": (2, 2, 2),
    "dpmpp-3m": (2, 2, 2),  # as published: half the second-difference term, so two even between its first steps
    "unipc-1": (2, 2, 2),
    "unipc-1[corrector=false]": (1, 1, 1),
    "unipc-2": (3, 3, 3),
    "unipc-2[variant=bh1]": (3, 3, 3),
    "unipc-2[corrector=false]": (2, 2, 2),
    "unipc-3": (3, 4, 3),  # the first step, corrected, has order two, once: h^3
    "unipc-3[corrector=false]": (2, 3, 2),  # the first step, as for exp-ab3
    "ddim": (1, 1, 1),
    "ddpm[eta=0]": (1, 1, 1),
    "euler-maruyama[eta=0]": (1, 1, 1),
    "sde-dpmpp-1[eta=0]": (1, 1, 1),
    "sde-dpmpp-2m[eta=0]": (2, 2, 2),
    "edm-heun": (2, 2, 2),
    "edm-stochastic[s_churn=0]": (2, 2, 2),
    "euler-churn[s_churn=0]": (1, 1, 1),
    "dpm-2-churn[s_churn=0]": (2, 2, 2),
    "restart[visits=0]": (2, 2, 2),
    "reverse-diffusion[eta=0]": (1, 1, 1),
    "seeds-1[eta=0]": (1, 1, 1),
    "seeds-2[eta=0]": (2, 2, 2),
    "seeds-3[eta=0]": (3, 3, 3),
    "exp-heun-2-x0": (2, 2, 2),
    "exp-heun-2-x0-sde[eta=0]": (2, 2, 2),
    "sde-dpm-1[eta=0]": (1, 1, 1),
    "sde-dpm-2m[eta=0]": (2, 2, 2),
    "sde-dpmpp-3m[eta=0]": (2, 2, 2),  # as dpmpp-3m: half the second-difference term
    "er-sde-1[scale=ode]": (1, 1, 1),
    "er-sde-2[scale=ode]": (2, 2, 2),
    "er-sde-3[scale=ode]": (2, 2, 2),  # as published: its first derivative is a backward difference
    "er-sde-3-newton[scale=ode]": (2, None, 2),  # the first steps; far, its errors change sign: see test_coefficients
    "euler-ancestral[eta=0]": (1, 1, 1),
    "euler-ancestral-rf[eta=0]": (1, 1, 1),
    "dpm-2-ancestral[eta=0]": (2, 2, 2),
    "dpmpp-2s-ancestral[eta=0]": (2, 2, 2),
    "sde-dpmpp-2s[eta=0]": (2, 2, 2),
    "gradient-estimation": (1, 1, 1),
    "pfdiff-1": (2, 2, 2),
    "pfdiff-2-1": (1, 1, 1),
    "pfdiff-3-1": (1, 1, 1),
    "rx-euler": (3, 3, 2),  # on pairs of even steps it is the midpoint rule in sigma~
    "picard[sweeps=3]": (1, 1, 1),
    "dpm-fast": (2, 2, 2),  # the last step has order one, once: h^2
    "dpm-fast[remainder=1]": (2, 2, 2),
    "dpm-fast[remainder=2]": (3, 3, 3),
}
CLAIMS_MORE = {
    "deis-rhoab2", "deis-rhoab3", "deis-tab2", "deis-tab3", "exp-ab3", "dpmpp-3m", "unipc-3",
    "sde-dpmpp-3m", "er-sde-3", "er-sde-3-newton", "dpm-fast",
}  # fmt: skip
"""Solvers whose claimed order is not that of a whole run started, or ended, at order one."""


def nested(path, coordinate, N):
    """The grid g(i/N)."""
    return sb.Grid(path, tuple(coordinate(i / N) for i in range(N + 1)))


def measured(errors):
    """(order, half width of its 95 % interval) from errors (grids, directions) on grids of doubling size.

    The slopes of the last two octaves above the floor, extrapolated to h = 0 as s + c h.
    """
    last = max(i for i, e in enumerate(errors) if np.median(np.abs(e)) > FLOOR)
    used = errors[last - 2 : last + 1]
    steady = (np.abs(np.sign(used).sum(0)) == 3) & (np.abs(used) > FLOOR / 10).all(0)
    used = np.abs(used[:, steady])
    assert used.shape[1] >= 4, "too few directions without a change of sign"
    slopes = np.log2(used[:-1] / used[1:])
    order = 2 * slopes[1] - slopes[0]
    # the mean of those within reach of the median: near a change of sign a slope means nothing
    order = order[np.abs(order - np.median(order)) < 0.4]
    half = stats.t.ppf(0.975, order.size - 1) * order.std(ddof=1) / np.sqrt(order.size)
    return order.mean(), half


def response_errors(solver, path, coordinate, steps=STEPS):
    """A - A_exact per direction, on a Gaussian field, for each number of steps."""
    field = Gaussian(np.zeros(VARIANCE.size), VARIANCE, path)
    errors = []
    for N in steps:
        grid = nested(path, coordinate, N)
        A = kernel(sb.plan(solver, path, grid, prediction="x0"), field).A
        errors.append(A - field.jump_affine(grid.times[0], grid.times[-1])[0])
    return np.array(errors)


def check(errors, expected):
    """The interval of the measured order lies within 0.15 of the expected one."""
    order, half = measured(errors)
    assert half < 0.1
    assert abs(order - expected) + half < 0.15, f"measured {order:.2f} +- {half:.2f}, expected {expected}"


def test_every_deterministic_solver_is_in_the_table():
    names = {spec.partition("[")[0] for spec in ORDERS} | {"ddpm-large"}  # which has no form without noise
    assert names == {name for name, solver in sb.solvers().items() if solver.integrates != "flow map"}


@pytest.mark.parametrize("place", ["near", "far"])
@pytest.mark.parametrize("solver", ORDERS)
def test_on_gaussians(solver, place):
    expected = ORDERS[solver][place == "far"]
    if expected is None:
        pytest.skip("errors of both signs")
    check(response_errors(solver, *PLACES[place]), expected)


@pytest.mark.parametrize(
    ("solver", "order"),
    [
        ("euler", 1),
        ("midpoint", 2),
        ("heun", 2),
        ("rk4", 4),
        ("rho-2heun", 2),
        ("deis-tab1", 2),
        ("dpmpp-2m", 2),
        ("unipc-2", 3),
        ("dpm-3", 3),
    ],
)
def test_on_a_path_where_time_is_not_sigma(solver, order):
    check(response_errors(solver, *PLACES["in time"]), order)


@pytest.mark.parametrize(
    "solver", [spec for spec in ORDERS if not any(option in spec for option in ("variant", "corrector", "remainder"))]
)
def test_claims(solver):
    """The order a solver is registered with is what a run attains, unless it is in the list of those that do not."""
    name = solver.partition("[")[0]
    claimed = sb.solvers()[name].order
    attained = ORDERS[solver][2]
    assert (claimed > attained) == (name in CLAIMS_MORE)
    assert claimed >= attained


def three_modes(x, t):
    """E[noise | x] for 0.3 N(-2, 0.16) + 0.5 N(0.3, 0.25) + 0.2 N(1.8, 0.09) on x = x_0 + t eps."""
    total = np.array([0.16, 0.25, 0.09]) + t * t
    y = (x - np.array([-2.0, 0.3, 1.8])) / total
    R = np.array([0.3, 0.5, 0.2]) / np.sqrt(total) * np.exp(-y * y * total / 2)
    return t * (R * y).sum(1, keepdims=True) / R.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def nonlinear():
    """Start points across the three modes, and where DOP853 takes them."""
    x = np.linspace(-3, 3, 9)[:, None]
    return x, trajectory_end(x, eta=0)


@pytest.mark.parametrize("solver", ORDERS)
def test_on_a_nonlinear_field(solver, nonlinear):
    x, end = nonlinear
    errors = [
        numpy_engine.run(sb.plan(solver, "edm", nested(*PLACES["near"], N), prediction="noise"), three_modes, x)[:, 0]
        - end
        for N in STEPS
    ]
    check(np.array(errors), ORDERS[solver][2])


WEAK = {  # solver: order of the variance, order of the conditional mean's slope (None: exact)
    "ddpm": (1, None),
    "ddpm-large": (1, None),
    "ddim[eta=0.5]": (1, 1),
    "euler-maruyama": (1, 1),
    "sde-dpmpp-1": (1, None),
    "sde-dpmpp-1[eta=0.5]": (1, 1),
    "sde-dpmpp-2m": (2, None),  # on Gaussians: D is a martingale, and what is left is even in the noise
    "sde-dpmpp-2m[variant=heun]": (2, None),
    "sde-dpmpp-2m[eta=0.3]": (2, 2),
    "edm-stochastic[s_noise=1,s_max=100]": (2, ...),  # its churn is not a reverse process of one strength
    "euler-churn[s_noise=1,s_max=100]": (1, ...),
    "dpm-2-churn[s_noise=1,s_max=100]": (2, ...),
    "reverse-diffusion": (1, None),
    "reverse-diffusion[eta=0.5]": (1, 1),
    "seeds-1": (1, None),
    "seeds-2": (2, None),
    "seeds-2[eta=0.5]": (2, 2),
    "seeds-2[predicts=noise]": (2, 2),
    "seeds-3": (2, None),
    "seeds-3[eta=0.5]": (2, 3),
    "exp-heun-2-x0-sde": (2, None),
    "exp-heun-2-x0-sde[eta=0.5]": (2, 2),
    "sde-dpm-1": (1, 1),
    "sde-dpm-2m": (2, 2),
    "sde-dpm-2m[eta=0.5]": (2, 2),
    "sde-dpmpp-3m": (2, None),
    "sde-dpmpp-3m[eta=0.3]": (2, 2),
    "er-sde-1[scale=sde]": (1, None),
    "er-sde-2[scale=sde]": (2, None),
    "er-sde-3[scale=sde]": (2, None),
    "er-sde-3-newton[scale=sde]": (2, None),
    "er-sde-1[scale=sde-2]": (1, 1),  # sigma~^1.5 is strength sqrt(1/2)
    "er-sde-2[scale=sde-2]": (2, 2),
    "er-sde-3[scale=sde-2]": (2, 2),
    "er-sde-3": (2, ...),  # sde-5 is no constant strength
    "euler-ancestral": (1, None),
    "euler-ancestral-rf": (1, None),  # on the edm path its levels at eta = 1 are those of the posterior
    "dpmpp-2s-ancestral[levels=time]": (2, 1),
    "dpm-2-ancestral": (2, 1),  # marginals of the deterministic order, transitions of order one
    "dpmpp-2s-ancestral": (2, 1),
    "dpmpp-2s-ancestral[eta=0.5]": (2, 1),
    "sde-dpmpp-2s": (2, None),
    "sde-dpmpp-2s[eta=0.5]": (2, 1),  # an ancestral step of this strength is the process to first order
}


@pytest.mark.parametrize("solver", WEAK)
def test_weak_order_without_samples(solver):
    """Of the output law on a Gaussian field, from its exact law. At eta = 1 the mean alone would hide everything."""
    path, coordinate = PLACES["near"]
    field = Gaussian(np.zeros(VARIANCE.size), VARIANCE, path)
    of_variance, of_mean = WEAK[solver]
    # DDIM's eta in one small step of the reverse process is the same strength
    options = sb.api.find_solver(solver).options
    eta = STRENGTH[options["scale"]] if "scale" in options else options.get("eta", 1.0)
    variances, slopes = [], []
    for N in STEPS:
        grid = nested(path, coordinate, N)
        law = sb.law(field, solver, grid, target="end")
        variances.append(law.variance - law.reference_variance)
        slopes.append(law.kernel.A - field.transition(grid.times[0], grid.times[-1], eta)[0])
    check(np.array(variances), of_variance)
    if of_mean is None:
        assert np.abs(slopes).max() < 1e-12
    elif of_mean is not ...:
        check(np.array(slopes), of_mean)


STRENGTH = {"ode": 0.0, "sde": 1.0, "sde-2": 0.5**0.5, "sde-5": 0.0}
"""eta of phi = sigma~^(1 + eta^2), for ER-SDE's names of phi; sde-5 is of no one strength, and not asked for it."""

ZERO_NOISE = {  # solver: order on a nonlinear field with every draw zero
    "ddpm": 1,
    "euler-maruyama": 1,
    "reverse-diffusion": 1,
    "sde-dpmpp-1[eta=0.5]": 1,
    "sde-dpmpp-2m": 2,
    "sde-dpmpp-2m[eta=0.5,variant=heun]": 2,
    "sde-dpmpp-3m": 2,
    "sde-dpm-1": 1,
    "sde-dpm-2m[eta=0.5]": 2,
    "sde-dpm-2m[variant=heun]": 2,
    "seeds-2": 2,
    "seeds-2[eta=0.5,predicts=noise]": 2,
    "seeds-3": 3,
    "seeds-3[eta=0.5]": 3,
    "exp-heun-2-x0-sde": 2,
    "er-sde-1[scale=sde]": 1,
    "er-sde-2[scale=sde-2]": 2,
    "er-sde-3[scale=sde]": 2,
    "er-sde-3-newton[scale=sde]": 2,  # the first steps
    "euler-ancestral": 1,
    "dpm-2-ancestral": 1,  # D is asked for the levels of the way down, not those of the process
    "dpmpp-2s-ancestral": 1,
    "sde-dpmpp-2s": 2,
    "sde-dpmpp-2s[eta=0.5]": 1,
}


def trajectory_end(x, eta):
    """Where DOP853 takes dx/dlambda = -(1 + eta^2) (x - D): the drift of the reverse process of that strength."""

    def slope(u, y):
        sigma = float(np.exp(u))
        return (1 + eta**2) * sigma * three_modes(y[:, None], sigma)[:, 0]

    return solve_ivp(slope, (np.log(1.5), np.log(0.15)), x[:, 0], method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]


@pytest.mark.parametrize("solver", ZERO_NOISE)
def test_the_drift_alone(solver, nonlinear):
    """With every draw zero, a solver of strength eta follows the drift of the process."""
    x, _ = nonlinear
    options = sb.api.find_solver(solver).options
    end = trajectory_end(x, STRENGTH[options["scale"]] if "scale" in options else options["eta"])
    plans = (sb.plan(solver, "edm", nested(*PLACES["near"], N), prediction="noise") for N in STEPS[:5])
    errors = [numpy_engine.run(plan, three_modes, x, lambda _: 0 * x)[:, 0] - end for plan in plans]
    check(np.array(errors), ZERO_NOISE[solver])


def test_published_churn_does_not_converge():
    """S_noise = 1.007 adds variance in every step: with more steps the law tends to another one than the data's."""
    path, coordinate = PLACES["near"]
    field = Gaussian(np.zeros(VARIANCE.size), VARIANCE, path)
    excess = [sb.law(field, "edm-stochastic", nested(path, coordinate, N), target="end").std_error for N in (256, 1024)]
    assert np.all(excess[1] > 1e-3)
    np.testing.assert_allclose(excess[0], excess[1], rtol=0.15)


def test_the_ruler_itself():
    """Known slopes with a second term, a change of sign and rounding: the order comes out all the same."""
    N = np.array(STEPS)[:, None]
    c = np.linspace(0.5, 2, 8)
    for p in (1, 2, 3):
        errors = c * (10.0 / N) ** p * (1 + c / N)
        errors[:, 3] *= 1 - 300 / N[:, 0]
        order, half = measured(errors + 1e-14)
        assert order == pytest.approx(p, abs=0.02)
        assert half < 0.02
