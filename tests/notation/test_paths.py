"""Paths against their definitions, written here once more with mpmath at 40 digits."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solverbench.errors import UsageError
from solverbench.paths import PATHS, VPDiscrete, path

BETAS = tuple(np.linspace(1e-4, 2e-2, 1000))
SHORT = (0.02, 0.3, 0.11, 0.5, 0.07)


def vp(integral):
    """(alpha, sigma) of a variance-preserving path with the given integral of beta."""
    return lambda t: mp.exp(-integral(t) / 2), lambda t: mp.sqrt(1 - mp.exp(-integral(t)))


def cosine(s):
    """Nichol & Dhariwal: alpha^2 = f(t)/f(0), f = cos^2(pi/2 (t + s)/(1 + s)); pi at the working precision."""

    def alpha(t):
        return mp.cos(mp.pi / 2 * (t + s) / (1 + s)) / mp.cos(mp.pi / 2 * mp.mpf(s) / (1 + s))  # 1 + s is a float

    return alpha, lambda t: mp.sqrt(1 - alpha(t) ** 2)


def discrete(betas, zero_terminal_snr=False):
    """log alpha piecewise linear between prod (1 - beta)^(1/2), rescaled as Lin et al. (algorithm 1) if asked."""
    with mp.workdps(60):
        bars = [mp.mpf(1)]
        for b in betas:
            bars.append(bars[-1] * mp.sqrt(1 - mp.mpf(float(b))))
        if zero_terminal_snr:
            first, last = bars[1], bars[-1]
            bars = [mp.mpf(1), *((b - last) * first / (first - last) for b in bars[1:])]
    N = len(betas)

    def alpha(t):
        n = min(int(mp.floor(t * N)), N - 1)
        w = t * N - n
        if bars[n + 1] == 0:
            return bars[n] * (1 - w)
        return bars[n] * (bars[n + 1] / bars[n]) ** w

    return alpha, lambda t: mp.sqrt(1 - alpha(t) ** 2)


def rectified(shift):
    """t -> shift t / (1 + (shift - 1) t) on the straight path."""

    def r(t):
        return shift * t / (1 + (shift - 1) * t)

    return lambda t: 1 - r(t), r


def scaled_linear(b0, b1):
    """The integral of (sqrt b0 + t (sqrt b1 - sqrt b0))^2."""

    def B(t):
        r, d = mp.sqrt(b0), mp.sqrt(b1) - mp.sqrt(b0)
        return ((r + d * t) ** 3 - r**3) / (3 * d)

    return B


EXACT = {
    "vp-linear": (path("vp-linear"), vp(lambda t: 0.1 * t + (20.0 - 0.1) * t**2 / 2), 1e-13),
    "vp-linear/5": (path("vp-linear", beta_0=0.0, beta_1=5.0), vp(lambda t: 5 * t**2 / 2), 1e-13),
    "vp-constant": (path("vp-linear", beta_0=2.0, beta_1=2.0), vp(lambda t: 2 * t), 1e-13),
    "vp-scaled-linear": (path("vp-scaled-linear"), vp(scaled_linear(mp.mpf(0.85), 12)), 1e-13),
    "vp-cosine": (path("vp-cosine"), cosine(0.008), 1e-13),
    "vp-cosine/s": (path("vp-cosine", s=0.1), cosine(0.1), 1e-13),
    "vp-discrete": (path("vp-discrete"), discrete(BETAS), 1e-13),
    "vp-discrete/any": (path("vp-discrete", betas=SHORT), discrete(SHORT), 1e-13),
    # alpha is a difference of numbers stored to 1e-16 that is 1e-2 of them at the last knots
    "vp-discrete/0": (path("vp-discrete", zero_terminal_snr=True), discrete(BETAS, True), 1e-11),
    "ve": (path("ve"), (lambda t: mp.mpf(1), lambda t: t), 1e-13),
    "edm": (path("edm"), (lambda t: mp.mpf(1), lambda t: t), 1e-13),
    "rectified": (path("rectified"), rectified(1), 1e-13),
    "rectified/3": (path("rectified", shift=3.0), rectified(3), 1e-13),
    "trig": (path("trig"), (mp.cos, mp.sin), 1e-13),
}
INNER = (1e-12, 1e-6, 0.0012345, 0.12345, 0.501, 0.8765, 0.9903)  # none a knot of a discrete path
NAMES = pytest.mark.parametrize("name", EXACT)


def quantities(alpha, sigma):
    """Everything a path offers as a function of t, from the two functions that define it."""

    def lam(t):
        return mp.log(alpha(t)) - mp.log(sigma(t))

    def tilde(t):
        return sigma(t) / alpha(t)

    def slope(f):
        """By numerical differentiation, with a step inside a piece of the discrete paths."""
        return lambda t: mp.diff(f, t, h=t * mp.mpf(10) ** -18)

    return {
        "alpha": alpha, "sigma": sigma, "lam": lam, "sigma_tilde": tilde,
        "d_alpha": slope(alpha), "d_sigma": slope(sigma), "d_lam": slope(lam), "d_sigma_tilde": slope(tilde),
    }  # fmt: skip


def allowed(f, value, t, tolerance):
    """tolerance * |value|, or what a rounding of t by one unit does to the value if that is more."""
    sensitivity = abs(t * mp.diff(f, t, h=t * mp.mpf(10) ** -9))
    return tolerance * abs(value) + 2.0**-50 * sensitivity


@NAMES
@pytest.mark.parametrize("quantity", quantities(None, None))
def test_against_forty_digits(name, quantity):
    made, (alpha, sigma), tolerance = EXACT[name]
    with mp.workdps(80):  # the definition 1 - alpha^2 cancels at t = 1e-12, and differentiation halves the digits
        f = quantities(alpha, sigma)[quantity]
        for t in INNER:
            exact = f(mp.mpf(t))
            bound = allowed(f, exact, mp.mpf(t), tolerance) + (tolerance if quantity == "lam" else 0)
            assert abs(mp.mpf(float(getattr(made, quantity)(t))) - exact) <= bound, (t, exact)


@NAMES
@pytest.mark.parametrize("number", [np.float64, np.longdouble, mp.mpf])
def test_number_types(name, number):
    """The same values, in the type of t; thirty digits where the path's own constants are exact."""
    made, (alpha, sigma), _ = EXACT[name]
    with mp.workdps(40):
        for t in INNER:
            for quantity in quantities(None, None):
                got = getattr(made, quantity)(number(t))
                assert float(got) == pytest.approx(float(getattr(made, quantity)(t)), rel=1e-12, abs=1e-13)
                if number is not mp.mpf and not (quantity in ("alpha", "d_alpha") and name in ("ve", "edm")):
                    assert isinstance(got, number), (quantity, type(got))
            if number is mp.mpf and "discrete" not in name:
                with mp.workdps(80):
                    exact = alpha(mp.mpf(t)), sigma(mp.mpf(t))
                assert abs(made.alpha(mp.mpf(t)) - exact[0]) < mp.mpf(10) ** -36 * exact[0]
                assert abs(made.sigma(mp.mpf(t)) - exact[1]) < mp.mpf(10) ** -36 * exact[1]


@NAMES
def test_arrays_are_scalars_entry_by_entry(name):
    made, _, _ = EXACT[name]
    times = np.array(INNER)
    for quantity in quantities(None, None):
        each = [getattr(made, quantity)(t) for t in INNER]
        np.testing.assert_allclose(getattr(made, quantity)(times) + 0 * times, each, rtol=1e-13, atol=1e-15)
    lam = made.lam(times)
    np.testing.assert_allclose(made.inverse_lam(lam), [made.inverse_lam(y) for y in lam], rtol=1e-13)


@NAMES
def test_inverse_of_lambda(name):
    """t -> lambda -> t, to what a rounding of lambda does to t."""
    made, _, tolerance = EXACT[name]
    for t in INNER:
        lam = float(made.lam(t))
        bound = tolerance * t + 2.0**-49 * (1 + abs(lam)) / abs(made.d_lam(t))
        assert abs(made.inverse_lam(lam) - t) <= bound
        assert abs(made.inverse_sigma_tilde(made.sigma_tilde(t)) - t) <= bound


@NAMES
def test_inverse_of_lambda_to_thirty_digits(name):
    made, _, _ = EXACT[name]
    with mp.workdps(45):
        for t in INNER:
            back = made.inverse_lam(made.lam(mp.mpf(t)))
            assert abs(back - mp.mpf(t)) < mp.mpf(10) ** -28 * t


@given(st.floats(-18, 18))
def test_lambda_of_its_inverse(lam):
    """Also far from where grids go: at lambda = 18, sigma is 1e-8."""
    for name in ("vp-linear", "vp-scaled-linear", "vp-cosine", "edm", "rectified", "trig"):
        made = path(name)
        t = made.inverse_lam(lam)
        assert made.lam(t) == pytest.approx(lam, abs=1e-13 * (1 + abs(lam)) + 2.0**-50 * abs(t * made.d_lam(t)))


@given(st.lists(st.floats(1e-5, 0.95), min_size=2, max_size=20))
def test_any_betas(betas):
    """At the knots alpha^2 is the product of 1 - beta, and sigma^2 + alpha^2 = 1."""
    made = path("vp-discrete", betas=betas)
    assert made.steps == len(betas)
    assert made.t_min == 1 / len(betas)
    for n in range(len(betas) + 1):
        t = n / len(betas)
        assert made.alpha(t) ** 2 == pytest.approx(math.prod(1 - b for b in betas[:n]), rel=1e-12)
        assert made.alpha(t) ** 2 + made.sigma(t) ** 2 == pytest.approx(1, abs=1e-12)


def test_zero_terminal_snr():
    plain, made = VPDiscrete(), VPDiscrete(zero_terminal_snr=True)
    assert made.alpha(1.0) == 0
    assert made.sigma(1.0) == 1
    assert made.lam(1.0) == -math.inf
    assert made.is_noise(1.0)
    assert not made.is_noise(0.999)
    assert made.alpha(1 / 1000) == pytest.approx(plain.alpha(1 / 1000), rel=1e-14)  # the first knot stays
    assert made.d_alpha(0.9995) == pytest.approx(-1000 * made.alpha(0.999), rel=1e-12)  # alpha is linear at the end


def test_shift_is_a_change_of_time():
    plain, shifted = path("rectified"), path("rectified", shift=3.0)
    for t in (1e-9, 0.25, 0.9):
        assert shifted.sigma(t) == pytest.approx(plain.sigma(3 * t / (1 + 2 * t)), rel=1e-15)
        assert shifted.sigma_tilde(t) == pytest.approx(3 * t / (1 - t), rel=1e-14)


def test_ends():
    assert path("rectified").is_noise(1.0)
    assert path("trig").is_noise(math.pi / 2)
    for name in PATHS:
        made = path(name)
        assert made.is_data(0.0)
        assert made.lam(0.0) == math.inf
        assert not made.is_data(1e-3)
        assert not made.is_noise(0.9)
    for name, noise in (("vp-linear", 1.0), ("vp-cosine", 1.0), ("rectified", 1.0), ("edm", 0.5), ("ve", 0.5)):
        assert path(name).prior_std(0.5) == noise


def test_names_and_options():
    assert str(path("vp-linear")) == "vp-linear"
    assert str(path("rectified", shift=3.0)) == "rectified[shift=3.0]"
    assert path("vp-linear", beta_1=10.0).options() == {"beta_1": 10.0}
    assert path(made := path("edm", t_max=10.0)) is made
    assert path("vp-discrete", betas=np.array(SHORT)) == path("vp-discrete", betas=list(SHORT))
    assert path("edm") != path("ve")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vp-liner", {}, "'vp-liner'.*did you mean vp-linear"),
        ("zzz", {}, "'zzz'.*known: edm"),
        ("rectified", {"shfit": 2.0}, "no option 'shfit'.*did you mean shift"),
        ("edm", {"t_min": 3.0, "t_max": 2.0}, "t_min=3.0, t_max=2.0"),
        ("edm", {"t_min": -1.0}, "t_min=-1.0"),
        ("edm", {"t_max": math.nan}, "t_max=nan"),
        ("vp-discrete", {"betas": [0.1]}, "two or more"),
        ("vp-discrete", {"betas": [0.1, 1.0]}, "strictly between 0 and 1"),
        ("vp-discrete", {"betas": [0.1, math.nan]}, "strictly between 0 and 1"),
    ],
)
def test_errors_name_the_value_and_the_remedy(name, options, message):
    with pytest.raises(UsageError, match=message):
        path(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vp-linear", {"beta_0": -1.0}, "beta_0 must be a number, got beta_0=-1.0"),
        ("rectified", {"shift": 0.0}, "shift must be a positive number, got shift=0.0"),
        ("rectified", {"shift": "3"}, "shift must be a positive number, got shift='3'"),
        ("edm", {"t_max": math.inf}, "t_max must be a positive number"),
    ],
)
def test_options_that_make_no_path(name, options, message):
    with pytest.raises(UsageError, match=message):
        path(name, **options)


def test_a_long_table_has_a_short_name():
    assert str(path("vp-discrete", betas=[0.1] * 500)) == "vp-discrete[betas=<500 values>]"
