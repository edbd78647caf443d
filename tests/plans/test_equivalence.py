"""Proofs that two names are one method, or are not, by their tableaux on several paths and grids."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb

DISCRETE = sb.path("vp-discrete")
PLACES = {
    "edm": ("edm", sb.grid("edm", "edm", 9)),
    "edm, uneven": ("edm", sb.grid([30.0, 29.0, 11.0, 3.0, 2.5, 0.4, 0.0], "edm")),
    "vp-linear": ("vp-linear", sb.grid("uniform", "vp-linear", 8)),
    "vp-cosine": ("vp-cosine", sb.grid("log-snr", "vp-cosine", 8)),
    "vp-discrete": (DISCRETE, sb.grid("discrete", DISCRETE, 7, spacing="trailing")),
    "rectified": ("rectified", sb.grid("uniform", "rectified", 8)),
    "trig": ("trig", sb.grid("edm", "trig", 8, zero=False)),
}
EVERYWHERE = pytest.mark.parametrize("where", PLACES)
ONE_METHOD = [
    ("ddim", "dpm-1", "dpmpp-1", "euler-sigma", "exp-euler", "exp-euler[predicts=noise]", "sde-dpmpp-1[eta=0]",
     "unipc-1[corrector=false]", "unipc-1[corrector=false,predicts=noise]", "ddpm[eta=0]", "deis-rhoab1[degree=0]",
     "sde-dpm-1[eta=0]", "er-sde-1[scale=ode]", "euler-ancestral[eta=0]", "euler-churn[s_churn=0]", "picard[sweeps=4]"),
    ("ddpm", "ddim[eta=1]", "sde-dpmpp-1", "seeds-1", "er-sde-1[scale=sde]", "euler-ancestral"),
    ("ddim[eta=0.5]", "euler-ancestral[eta=0.5]"),
    ("rho-2heun", "edm-heun", "edm-stochastic[s_churn=0]", "restart[visits=0]"),
    ("exp-rk2", "exp-heun-2-x0", "exp-heun-2-x0-sde[eta=0]"),
    ("unipc-2[corrector=false,predicts=noise]", "sde-dpm-2m[eta=0]"),
    ("flow-map", "meanflow", "shortcut", "tcd[eta=0]", "ctm[gamma=0]"),
    ("consistency", "lcm", "tcd[eta=1]", "ctm[gamma=1]"),
    ("dpmpp-2m", "unipc-2[corrector=false]", "sde-dpmpp-2m[eta=0]"),
    ("exp-ab2", "sde-dpmpp-2m[eta=0,variant=heun]"),
    ("dpm-2", "dpmpp-2s[predicts=noise]", "dpm-2-ancestral[eta=0]", "dpm-2-churn[s_churn=0]",
     "seeds-2[eta=0,predicts=noise]"),
    ("dpmpp-2s", "dpm-2[predicts=x0]", "seeds-2[eta=0]", "dpmpp-2s-ancestral[eta=0]", "sde-dpmpp-2s[eta=0]"),
    ("dpmpp-3s", "dpm-3[predicts=x0]", "seeds-3[eta=0]"),
    ("unipc-2", "unipc-3[p=2]", "unipc-1[p=2]"),
]  # fmt: skip
PAIRS = [(group[0], other) for group in ONE_METHOD for other in group[1:]]
TWO_METHODS = [
    ("dpmpp-3m", "exp-ab3"),
    ("unipc-2", "unipc-2[variant=bh1]"),
    ("unipc-2[corrector=false]", "unipc-2[corrector=false,variant=bh1]"),
    ("dpmpp-2m", "exp-ab2"),
    ("exp-ab3", "unipc-3[corrector=false]"),  # in the second step alone, see below
    ("dpm-2", "dpmpp-2s"),
    ("ddim", "ddpm"),
    ("deis-rhoab2", "deis-rhoab3"),
    ("exp-rk2", "rho-2heun"),
    ("sde-dpmpp-2m", "sde-dpmpp-2m[variant=heun]"),
    ("ddim[eta=0.5]", "sde-dpmpp-1[eta=0.5]"),
    ("sde-dpmpp-2s", "seeds-2"),
    ("seeds-2", "exp-heun-2-x0-sde"),
    ("er-sde-3", "er-sde-3-newton"),
    ("pfdiff-1", "dpm-2"),
    ("sde-dpmpp-3m[eta=0]", "dpmpp-3m"),  # in the second step alone
    ("picard", "ddim"),
    ("ctm", "tcd"),
    ("flow-map", "consistency"),
]


def plans(where, *solvers, prediction="x0"):
    """The plans of several solvers at one place."""
    path, grid = PLACES[where]
    return [sb.plan(solver, path, grid, prediction=prediction) for solver in solvers]


@EVERYWHERE
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_method(one, other, where):
    a, b = plans(where, one, other)
    assert a.equivalent(b)
    assert b.equivalent(a)


@pytest.mark.parametrize("prediction", ["noise", "score", "v", "velocity"])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_method_whatever_the_field_predicts(one, other, prediction):
    a, b = plans("vp-linear", one, other, prediction=prediction)
    assert a.equivalent(b)


@EVERYWHERE
@pytest.mark.parametrize(("one", "other"), TWO_METHODS)
def test_two_methods(one, other, where):
    a, b = plans(where, one, other)
    assert not a.equivalent(b)


@EVERYWHERE
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
def test_unip_3_is_exponential_adams_bashforth_once_it_has_three_values(variant, where):
    """Its second step has two, where the paper puts 1/2 for the solution of the order condition."""
    path, grid = PLACES[where]
    last = sb.Grid(grid.path, grid.times[:-1]) if grid.tail else grid
    a, b = (
        sb.plan(solver, path, last, prediction="x0").code[-1]
        for solver in ("exp-ab3", f"unipc-3[corrector=false,variant={variant}]")
    )
    assert [v for v, _ in a.terms] == [v for v, _ in b.terms]
    assert [c for _, c in a.terms] == pytest.approx([c for _, c in b.terms], rel=1e-11)


@pytest.mark.parametrize(
    "rk", [("heun", "rho-2heun"), ("euler", "ddim"), ("midpoint", "rho-midpoint"), ("rk4", "rho-4rk")]
)
def test_in_time_and_in_sigma_agree_where_t_is_sigma_and_only_there(rk):
    for where in ("edm", "edm, uneven"):
        a, b = plans(where, *rk)
        assert a.equivalent(b)
    a, b = plans("vp-linear", *rk)
    assert not a.equivalent(b)


def test_different_paths_times_and_predictions_are_different_plans():
    g = sb.grid("edm", "edm", 4)
    plan = sb.plan("ddim", "edm", g)
    assert plan.equivalent(sb.plan("ddim", "edm", list(g)))
    assert not plan.equivalent(sb.plan("ddim", "edm", g, prediction="x0"))
    assert not plan.equivalent(sb.plan("ddim", "edm", sb.grid("edm", "edm", 4, rho=5.0), prediction=plan.prediction))
    ve = sb.plan("ddim", "ve", list(g), prediction=plan.prediction)
    assert not plan.equivalent(ve)


def test_the_tolerance_is_a_tolerance():
    """A coefficient off by 1e-9 is another method at rtol = 1e-11, and the same at 1e-8."""
    from solverbench.plans import trace

    path, grid = sb.path("edm"), sb.Grid(sb.path("edm"), (10.0, 5.0))

    def step(x, p, g, b=0.5):
        return b * x + (1 - b) * x.predict("x0", at=10.0)

    a = trace(step, path, grid, "x0", name="a")
    b = trace(lambda *args: step(*args, b=0.5 * (1 + 1e-9)), path, grid, "x0", name="b")
    assert not a.equivalent(b)
    assert a.equivalent(b, rtol=1e-8)


def test_richardson_on_even_pairs_is_the_midpoint_rule():
    """Two Euler steps and one over both, extrapolated, in sigma~."""
    pairs = sb.plan("rx-euler", "edm", [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0])
    assert pairs.equivalent(sb.plan("rho-midpoint", "edm", [9.0, 7.0, 5.0, 3.0]))


def test_gradient_estimation_with_half_the_gain_is_second_order_on_even_steps():
    even, uneven = [9.0, 7.0, 5.0, 3.0, 1.0], [9.0, 7.0, 6.0, 3.0, 1.0]
    for times, same in ((even, True), (uneven, False)):
        a, b = (sb.plan(s, "edm", times) for s in ("gradient-estimation[gamma=1.5]", "deis-rhoab1"))
        assert a.equivalent(b) == same


def test_plans_that_end_on_the_denoiser_are_told_apart_without_their_tableaux():
    """Their outputs are the last evaluation's, so what differs is what it is given."""
    ddim, multistep = (sb.plan(name, *PLACES["edm"], prediction="x0") for name in ("ddim", "dpmpp-2m"))
    assert ddim._seen_to_differ(multistep, 1e-11)
    assert not ddim._seen_to_differ(sb.plan("dpm-1", *PLACES["edm"], prediction="x0"), 1e-11)


def test_maps_by_different_functions_are_different_methods():
    """Clipped to one bound or another: no coefficient tells them apart, and a run would give both the same numbers."""
    from solverbench.plans import trace

    path, grid = sb.path("edm"), sb.Grid(sb.path("edm"), (10.0, 5.0))

    def clipped(function):
        return trace(lambda x, p, g: 0.5 * (x + x.predict("x0", at=10.0).map(function)), path, grid, "x0", name="clip")

    assert clipped(np.tanh).equivalent(clipped(np.tanh))
    assert not clipped(np.tanh).equivalent(clipped(np.arctan))


def test_pndm_starts_as_the_classical_runge_kutta_method():
    """Where the middle in t is the middle in sigma~, its first three steps are rk4's in sigma~."""
    levels = [30.0, 11.0, 3.0, 0.4]
    assert sb.plan("pndm", "edm", levels).equivalent(sb.plan("rho-4rk", "edm", levels))


def last_row(solver, levels=(3.0, 2.5, 2.0, 1.5, 1.0)):
    """Coefficients of the last step in the state and the slopes, oldest slope first."""
    return np.array([c for _, c in sorted(sb.plan(solver, "edm", levels, prediction="noise").code[-1].terms)])


@pytest.mark.parametrize(
    ("pseudo", "right"), [("pndm", 3), ("ipndm4", 3), ("ipndm3", 2), ("ipndm2", 1), ("ipndm-v3", 2), ("ipndm-v2", 1)]
)
def test_pseudo_methods_are_adams_bashforth_on_even_levels(pseudo, right):
    np.testing.assert_allclose(last_row(pseudo), last_row(f"deis-rhoab{right}"), rtol=1e-11)


def test_the_published_ipndm_v4_is_not_adams_bashforth_on_even_levels_either():
    """A wrong sign takes 11/24 of the third difference in place of 9/24."""
    excess = sorted(last_row("ipndm-v4") - last_row("deis-rhoab3"))
    np.testing.assert_allclose(excess, sorted(-0.5 * np.array([0, 1, -3, 3, -1]) / 12), atol=1e-13)
