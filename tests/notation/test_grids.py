"""The contract every rule keeps, the ends and steps of grids, and the grids that must be refused."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

from solverbench.errors import UsageError
from solverbench.grids import GRIDS, Grid, grid
from solverbench.paths import PATHS, path

ANYWHERE = sorted(name for name, rule in GRIDS.items() if not rule.indexed)
OWN_ENDS = {name for name, rule in GRIDS.items() if rule.ends}
NEEDS_WIDTH = ("vp", "iddpm")
"""Rules that not every pair of ends allows."""
ENDED = ("vp-linear", "vp-cosine", "vp-scaled-linear", "vp-discrete", "ve", "edm")
"""Paths whose own ends carry both data and noise."""
SPACED = {  # the coordinate in which a rule's times are equally spaced, as a function of t and sigma~
    ("uniform", ()): lambda t, u: t,
    ("quadratic", ()): lambda t, u: np.sqrt(t),
    ("log-snr", ()): lambda t, u: np.log(u),
    ("edm", ()): lambda t, u: u ** (1 / 7),
    ("edm", (("rho", 3.0),)): lambda t, u: np.cbrt(u),
    ("tangent", ()): lambda t, u: np.arctan(u),
    ("tangent", (("scale", 0.3),)): lambda t, u: np.arctan2(u, 0.3),
    ("exponential", ()): lambda t, u: np.log(u),
    ("power", (("order", 3.0),)): lambda t, u: np.cbrt(t),
    ("kl-optimal", ()): lambda t, u: np.arctan(u),
    ("scm", ()): lambda t, u: np.arctan2(u, 0.5),
    ("shift", ()): lambda t, u: u / (u + 3),
    ("shift", (("shift", 0.5),)): lambda t, u: u / (u + 0.5),
    ("dynamic-shift", ()): lambda t, u: u / (u + math.exp(1.15)),
    ("logit-normal", (("mean", -1.2), ("std", 3.0))): lambda t, u: norm.cdf(np.log(u), -1.2, 3.0),
    ("beta-sigma", ()): lambda t, u: beta.cdf(np.clip((u - u[-1]) / (u[0] - u[-1]), 0, 1), 0.6, 0.6),
    ("exponential", (("rho", 2.0),)): lambda t, u: np.sqrt(np.maximum(np.log(u / u[-1]) / np.log(u[0] / u[-1]), 0)),
}


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize(("rule", "options"), SPACED)
def test_equally_spaced_in_its_coordinate(name, rule, options):
    made = path(name)
    g = grid(rule, made, 9, **dict(options))
    times = np.array(g)
    assert len(g) == 9  # the jump to the data is one of the steps
    assert times[0] == pytest.approx(made.t_max, rel=4e-16)
    assert times[-2] == pytest.approx(made.t_min, rel=4e-16)
    assert times[-1] == 0
    u = SPACED[rule, options](times[:-1], np.array([made.sigma_tilde(t) for t in times[:-1]]))
    steps = np.diff(u)
    np.testing.assert_allclose(steps, steps.mean(), atol=2e-12 * np.abs(u).max())


def test_without_the_jump():
    for rule in set(ANYWHERE) - OWN_ENDS:
        g = grid(rule, "edm", 5, zero=False)
        assert len(g) == 5
        assert (g.times[0], g.times[-1]) == pytest.approx((80.0, 0.002), rel=4e-16)
        assert g.tail is None
        assert len(g.steps) == 5


def test_rules_that_reach_the_data_need_no_jump():
    assert grid("uniform", "rectified", 4).times == (1.0, 0.75, 0.5, 0.25, 0.0)
    np.testing.assert_allclose(grid("quadratic", "rectified", 4).times, [1, 9 / 16, 1 / 4, 1 / 16, 0], rtol=1e-14)
    # tangent on sigma~ = t/(1 - t): arctan goes from pi/2 to 0
    exact = [float(mp.tan(a) / (1 + mp.tan(a))) for a in (3 * mp.pi / 8, mp.pi / 4, mp.pi / 8)]
    np.testing.assert_allclose(grid("tangent", "rectified", 4).times, [1, *exact, 0], rtol=1e-13)
    assert grid("tangent", "trig", 2).times == (math.pi / 2, pytest.approx(math.pi / 4), 0.0)


def test_rules_in_sigma_on_a_path_that_ends_in_pure_data_and_noise():
    times = grid("log-snr", "rectified", 4).times  # sigma~ from 1e3 to 1e-3, then the jump
    np.testing.assert_allclose([t / (1 - t) for t in times[:-1]], [1e3, 10, 0.1, 1e-3], rtol=1e-10)
    assert times[-1] == 0


@given(
    st.sampled_from(ANYWHERE),
    st.sampled_from(sorted(PATHS)),
    st.integers(1, 60),
    st.booleans(),
)
def test_every_grid_decreases_strictly_and_has_the_steps_asked_for(rule, name, steps, zero):
    if (rule, name) == ("ays-svd", "vp-discrete"):
        with pytest.raises(UsageError, match=r"'ays-svd' begins at t = 1\.147.*give t_max="):
            grid(rule, name, steps, zero=zero)
        return
    g = grid(rule, name, steps, zero=zero)
    assert len(g) == steps
    assert np.all(np.diff(np.array(g)) < 0)
    assert (g.times[-1] == 0) or not zero
    assert len(g.steps) + (g.head is not None) + (g.tail is not None) == steps


@pytest.mark.parametrize("rule", sorted({*ANYWHERE} - {*NEEDS_WIDTH}))
@given(t_min=st.floats(2e-3, 50.0), factor=st.floats(1.01, 19.0))
def test_ends_as_given(rule, t_min, factor):
    """To the last bit: a grid that starts a rounding beyond t_max is another problem."""
    times = grid(rule, "edm", 6, t_min=t_min, t_max=t_min * factor, zero=False).times
    assert times[0] == t_min * factor
    assert times[-1] == t_min


@pytest.mark.parametrize("rule", NEEDS_WIDTH)
@given(t_min=st.floats(1e-3, 0.03), t_max=st.floats(10.0, 1000.0))
def test_ends_as_given_when_far_apart(rule, t_min, t_max):
    times = grid(rule, "edm", 6, t_min=t_min, t_max=t_max, zero=False).times
    assert (times[0], times[-1]) == (t_max, t_min)


def test_one_step():
    for rule in GRIDS:
        made = path("vp-discrete" if GRIDS[rule].indexed else "edm")
        g = grid(rule, made, 1)
        assert len(g) == 1
        assert g.times[1] == 0
        assert g.steps == ()
        assert g.tail == g.pairs[0]
    assert grid("edm", "edm", 1).times == (80.0, 0.0)


def test_head_steps_and_tail():
    g = grid([1.0, 0.6, 0.3, 0.0], "rectified")
    assert g.head == (1.0, 0.6)
    assert g.steps == ((0.6, 0.3),)
    assert g.tail == (0.3, 0.0)
    assert g.with_head == ((1.0, 0.6), (0.6, 0.3))
    assert g.pairs == ((1.0, 0.6), (0.6, 0.3), (0.3, 0.0))
    only = grid([1.0, 0.0], "rectified")
    assert (only.head, only.tail, only.steps, only.with_head) == (None, (1.0, 0.0), (), ())


def test_other_number_types():
    g = grid("edm", "edm", 4).astype(mp.mpf)
    assert all(isinstance(t, mp.mpf) for t in g)
    assert np.array(g, dtype=float).tolist() == list(grid("edm", "edm", 4))
    assert grid(g, "edm") is g


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1.0], "at least two times, got 1"),
        ([], "at least two times, got 0"),
        ([1.0, 2.0], r"times\[0\] = 1.0, times\[1\] = 2.0"),
        ([3.0, 2.0, 2.0, 1.0], r"times\[1\] = 2.0, times\[2\] = 2.0"),
        ([3.0, math.nan, 1.0], r"finite: times\[0:2\] = 3.0, nan"),
        ([math.inf, 1.0], "finite.*inf"),
        ([2.0, 1.0, -0.5], "must not be negative, the last is -0.5"),
    ],
)
def test_impossible_times(times, message):
    for call in (
        lambda: grid(times, "edm"),
        lambda: grid("explicit", "edm", times=times),
        lambda: Grid(path("edm"), tuple(times)),
    ):
        with pytest.raises(UsageError, match=message):
            call()


@pytest.mark.parametrize(
    ("name", "on", "steps", "options", "message"),
    [
        ("emd", "edm", 4, {}, "'emd'.*did you mean edm"),
        ("zzzz", "edm", 4, {}, "'zzzz'.*known: ays-sd15"),
        ("edm", "edmm", 4, {}, "'edmm'.*did you mean edm"),
        ("edm", "edm", 4, {"roh": 5.0}, "no option 'roh'.*did you mean rho"),
        ("uniform", "edm", 4, {"rho": 5.0}, "no option 'rho'"),
        ("edm", "edm", 0, {}, "positive whole number, got 0"),
        ("edm", "edm", -3, {}, "got -3"),
        ("edm", "edm", 2.5, {}, "got 2.5"),
        ("edm", "edm", None, {}, "got None"),
        ("edm", "edm", 4, {"t_min": 2.0, "t_max": 1.0}, "t_min=2.0, t_max=1.0"),
        ("edm", "edm", 4, {"t_min": -1.0}, "t_min=-1.0"),
        ("edm", "edm", 4, {"t_max": math.nan}, "t_max=nan"),
        ("explicit", "edm", 4, {}, "takes times="),
        ("explicit", "edm", None, {"times": [1, 0.5], "rho": 1}, "takes times="),
        ("discrete", "edm", 4, {}, "needs a path of discrete times.*edm"),
        ("discrete", "vp-discrete", 4, {"spacing": "trailling"}, "'trailling'.*did you mean trailing"),
        ("discrete", "vp-discrete", 4, {"offset": 999}, "offset 999 leaves"),
        ("discrete", "vp-discrete", 1001, {}, "1001 times asked of a path that has 1000"),
        ("uniform", "rectified", 4, {"t_max": 1.5}, "1.5 is outside path rectified"),
        ("uniform", "trig", 4, {"t_max": 2.0}, "2.0 is outside path trig"),
        ("uniform", "vp-cosine", 4, {"t_max": 1.5}, "1.5 is outside path vp-cosine"),
        ("edm", "rectified", 4, {"t_max": 1.5}, "1.5 is outside path rectified"),
        ("edm", "edm", 4, {"rho": 0.0}, "rho"),
        ("exponential", "edm", 4, {"rho": -1.0}, "rho"),
        ("edm", "edm", "four", {}, "four"),
        ("edm", "edm", math.nan, {}, "got nan"),
        ("edm", "edm", math.inf, {}, "got inf"),
        ("edm", "edm", 4, {"rho": "7"}, "rho must be a positive number, got '7'"),
        ("discrete", "vp-discrete", 4, {"offset": "1"}, "offset must be a whole number, got '1'"),
        ("simple", "edm", 4, {}, "needs a path of discrete times.*edm"),
        ("kl-optimal", "edm", 4, {"scale": 2.0}, "'kl-optimal' has no option 'scale'"),
        ("shift", "rectified", 4, {"shift": 0.0}, "shift must be a positive number, got 0.0"),
        ("logit-normal", "rectified", 4, {"mean": "0"}, "mean must be a number, got '0'"),
        ("logit-normal", "rectified", 4, {"mean": math.nan}, "mean must be a number, got nan"),
        ("linear-quadratic", "rectified", 4, {"threshold": 0.5}, "threshold must be below 0.5, got 0.5"),
        ("vp", "edm", 4, {"eps": 1.0}, "eps must be below 1, got 1.0"),
        ("vp", "edm", 4, {"t_min": 20.0}, r"no linear schedule.*B\(1\) = 8.76.*lower t_min"),
        ("iddpm", "edm", 4, {"M": 0}, "M must be positive, got 0"),
        ("iddpm", "edm", 2000, {}, "2000 times asked of 99. noise levels: raise M"),
        ("ays-svd", "vp-discrete", 10, {}, "begins at t = 1.147.*beyond path vp-discrete: give t_max="),
        ("ays-sd15", "edm", 10, {"t_min": 20.0}, "t_min=20.0, t_max=14.615"),
    ],
)  # fmt: skip
def test_errors_name_the_value_and_the_remedy(name, on, steps, options, message):
    with pytest.raises(UsageError, match=message):
        grid(name, on, steps, **options)
