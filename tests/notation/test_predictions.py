"""All twenty conversions, against the definitions and against the formulas one finds in papers."""

from __future__ import annotations

from itertools import permutations

import mpmath as mp
import pytest

from solverbench.errors import UsageError
from solverbench.paths import path
from solverbench.predictions import PREDICTIONS, convert, functional

PATHS = {
    "vp-linear": path("vp-linear"),
    "vp-cosine": path("vp-cosine"),
    "vp-discrete": path("vp-discrete"),
    "edm": path("edm"),
    "rectified": path("rectified", shift=3.0),
    "trig": path("trig"),
}
TIMES = (1e-9, 0.0123, 0.4567, 0.9876)
PAIRS = list(permutations(PREDICTIONS, 2))

PAPERS = {  # x, the known output F, a = alpha, s = sigma, da and ds their derivatives, W = a ds - da s
    ("x0", "noise"): lambda x, F, a, s, da, ds, W: (x - a * F) / s,
    ("x0", "score"): lambda x, F, a, s, da, ds, W: -(x - a * F) / s**2,
    ("x0", "v"): lambda x, F, a, s, da, ds, W: (a * x - (a**2 + s**2) * F) / s,
    ("x0", "velocity"): lambda x, F, a, s, da, ds, W: ds / s * x - W / s * F,
    ("noise", "x0"): lambda x, F, a, s, da, ds, W: (x - s * F) / a,
    ("noise", "score"): lambda x, F, a, s, da, ds, W: -F / s,
    ("noise", "v"): lambda x, F, a, s, da, ds, W: ((a**2 + s**2) * F - s * x) / a,
    ("noise", "velocity"): lambda x, F, a, s, da, ds, W: da / a * x + W / a * F,
    ("score", "x0"): lambda x, F, a, s, da, ds, W: (x + s**2 * F) / a,
    ("score", "noise"): lambda x, F, a, s, da, ds, W: -s * F,
    ("score", "v"): lambda x, F, a, s, da, ds, W: -(s * (a**2 + s**2) * F + s * x) / a,
    ("score", "velocity"): lambda x, F, a, s, da, ds, W: da / a * x - s * W / a * F,
    ("v", "x0"): lambda x, F, a, s, da, ds, W: (a * x - s * F) / (a**2 + s**2),
    ("v", "noise"): lambda x, F, a, s, da, ds, W: (s * x + a * F) / (a**2 + s**2),
    ("v", "score"): lambda x, F, a, s, da, ds, W: -(s * x + a * F) / (a**2 + s**2) / s,
    ("v", "velocity"): lambda x, F, a, s, da, ds, W: (
        da * (a * x - s * F) / (a**2 + s**2) + ds * (s * x + a * F) / (a**2 + s**2)
    ),
    ("velocity", "x0"): lambda x, F, a, s, da, ds, W: (ds * x - s * F) / W,
    ("velocity", "noise"): lambda x, F, a, s, da, ds, W: (a * F - da * x) / W,
    ("velocity", "score"): lambda x, F, a, s, da, ds, W: -(a * F - da * x) / (s * W),
    ("velocity", "v"): lambda x, F, a, s, da, ds, W: a * (a * F - da * x) / W - s * (ds * x - s * F) / W,
}


def coefficients(made, t):
    """alpha, sigma, their derivatives and the Wronskian to 40 digits, from the same floats the code sees."""
    a, s, da, ds = (mp.mpf(float(f(t))) for f in (made.alpha, made.sigma, made.d_alpha, made.d_sigma))
    return a, s, da, ds, a * ds - da * s


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_is_the_papers_formula(name, source, target):
    made, formula = PATHS[name], PAPERS[source, target]
    with mp.workdps(40):
        for t in TIMES:
            c = coefficients(made, t)
            a, b = (mp.mpf(float(v)) for v in convert(source, target, made, t))
            of_x, of_F = formula(1, 0, *c), formula(0, 1, *c)
            # v -> velocity is a' alpha + s' sigma times x, which is zero on variance-preserving paths
            size = abs(c[0] * c[2]) + abs(c[1] * c[3]) if (source, target) == ("v", "velocity") else abs(of_x)
            size += abs(c[0] * c[1] * (1 - c[4])) if (source, target) == ("velocity", "v") else 0
            assert abs(a - of_x) <= 1e-14 * size
            assert abs(b - of_F) <= 1e-14 * abs(of_F)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversion_follows_from_the_definitions(name, source, target):
    """Take any D and eps, form x and both predictions from them: the conversion leads from one to the other."""
    made = PATHS[name]
    D, eps = mp.mpf("0.83"), mp.mpf("-1.7")
    with mp.workdps(40):
        for t in TIMES:
            alpha, sigma, d_alpha, d_sigma, _ = coefficients(made, t)
            is_a = {
                "x0": D,
                "noise": eps,
                "score": -eps / sigma,
                "v": alpha * eps - sigma * D,
                "velocity": d_alpha * D + d_sigma * eps,
            }
            x = alpha * D + sigma * eps
            a, b = (mp.mpf(float(v)) for v in convert(source, target, made, t))
            got = a * x + b * is_a[source]
            assert abs(got - is_a[target]) <= 4e-14 * (abs(a * x) + abs(b * is_a[source]))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_there_and_back_again(source, target):
    for made in PATHS.values():
        for t in TIMES:
            a, b = convert(source, target, made, t)
            back_a, back_b = convert(target, source, made, t)
            assert b * back_b == pytest.approx(1, rel=1e-13)
            assert abs(back_a + back_b * a) <= 1e-13 * (abs(back_a) + abs(back_b * a))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_by_way_of_a_third(source, target):
    for made in PATHS.values():
        for via in PREDICTIONS:
            a, b = convert(source, target, made, 0.3)
            a_1, b_1 = convert(source, via, made, 0.3)
            a_2, b_2 = convert(via, target, made, 0.3)
            assert b_2 * b_1 == pytest.approx(b, rel=1e-12)
            assert abs(a_2 + b_2 * a_1 - a) <= 1e-12 * (abs(a_2) + abs(b_2 * a_1) + abs(a))


def test_to_itself_is_nothing():
    for prediction in PREDICTIONS:
        assert convert(prediction, prediction, PATHS["edm"], 0.5) == (0, 1)


def test_thirty_digits():
    with mp.workdps(40):
        made, t = path("rectified"), mp.mpf(1) / 3  # alpha = 2/3, sigma = 1/3, W = 1
        a, b = convert("velocity", "score", made, t)
        assert abs(a + 3) < mp.mpf(10) ** -38  # -(a F - a' x)/(s W) = -(2/3 F + x)/(1/3)
        assert abs(b + 2) < mp.mpf(10) ** -38


def test_unknown_predictions():
    for call in (
        lambda: functional("nois", PATHS["edm"], 0.5),
        lambda: convert("nois", "x0", PATHS["edm"], 0.5),
        lambda: convert("x0", "nois", PATHS["edm"], 0.5),
    ):
        with pytest.raises(UsageError, match=r"'nois' \(did you mean noise"):
            call()
