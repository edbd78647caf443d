"""DPM-Solver-v3: statistics against closed forms, and the methods it becomes when they are simple."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.fields import Gaussian, Mixture
from solverbench.measures.ems import statistics
from solverbench.methods.dpm_v3 import Statistics, read, value
from solverbench.numbers import phi

FIRST, LAST = -3.0, 4.0
GRID = sb.grid("log-snr", "edm", 9, zero=False)


def constant(l, s):  # noqa: E741
    return Statistics(FIRST, LAST, (l,), (s,), "by hand")


def series(function, degree=80, first=-5.0, last=7.0):
    def at(y):
        return function((first + last) / 2 + (last - first) / 2 * y)

    return tuple(chebyshev.chebinterpolate(at, degree).tolist())


def plan(statistics, tmp_path, points, path="edm", **options):
    statistics.write(tmp_path / "s.json")
    options = {"points": points, "statistics": str(tmp_path / "s.json"), **options}
    return sb.plan(sb.solvers()["dpm-v3"][options], path, sb.grid("log-snr", path, 9, zero=False), prediction="x0")


@pytest.mark.parametrize(
    ("l", "s", "same"),
    [
        (1.0, 0.0, ["ddim", "exp-ab2", "exp-ab3", "exp-ab4"]),
        (0.0, -1.0, ["ddim", "exp-ab2[predicts=noise]", "exp-ab3[predicts=noise]", "exp-ab4[predicts=noise]"]),
    ],
)
@pytest.mark.parametrize("points", [1, 2, 3, 4])
@pytest.mark.parametrize("path", ["edm", "vp-cosine"])
def test_constant_statistics_are_exponential_adams_methods(l, s, same, points, path, tmp_path):  # noqa: E741
    ours = plan(constant(l, s), tmp_path, points, path, corrector=False)
    assert ours.equivalent(sb.plan(same[points - 1], path, sb.grid("log-snr", path, 9, zero=False), prediction="x0"))


def test_the_corrector_interpolates_where_the_predictor_extrapolates(tmp_path):
    """Three steps in x0 on a field of time alone, by hand: Euler; corrected by a line through both ends; predicted."""

    class InTime:
        path, prediction, shape = sb.path("edm"), "x0", (1,)

        def __call__(self, x, t):
            return 0 * x + np.sin(np.log(t))

    sigmas = (3.0, 1.7, 0.8, 0.45)
    D, h = np.sin(np.log(sigmas)), -np.diff(np.log(sigmas))
    x = np.exp(-h[0]) * 1.0 + h[0] * phi(1, -h[0]) * D[0]
    x = np.exp(-h[1]) * x + h[1] * (phi(1, -h[1]) * D[1] + phi(2, -h[1]) * (D[2] - D[1]))
    x = np.exp(-h[2]) * x + h[2] * (phi(1, -h[2]) * D[2] + phi(2, -h[2]) * (D[2] - D[1]) * h[2] / h[1])
    ours = sb.sample(InTime(), _solver(constant(1.0, 0.0), tmp_path, points=2), sigmas, np.ones((1, 1))).x
    assert ours[0, 0] == pytest.approx(x, rel=1e-13)


def test_the_rotated_variable(tmp_path):
    """l and s = l - 1 of white data are reab with its scale, up to the digits of the series."""
    c = 0.7

    def l(lam):  # noqa: E743
        return np.exp(-2 * lam) / (c * c + np.exp(-2 * lam))

    white = Statistics(-5.0, 7.0, series(l), series(lambda lam: l(lam) - 1))
    field = Gaussian(np.zeros(3), np.array([1.0, 0.1, 0.0]), "edm")
    ours = sb.law(field, _solver(white, tmp_path, corrector=False), GRID)
    theirs = sb.law(field, f"reab3[scale={c}]", GRID)
    np.testing.assert_allclose(ours.variance, theirs.variance, rtol=1e-6)


def _solver(statistics, tmp_path, **options):
    statistics.write(tmp_path / "s.json")
    return sb.solvers()["dpm-v3"][{"statistics": str(tmp_path / "s.json"), **options}]


def test_white_data_are_followed_exactly_in_one_step(tmp_path):
    """Whatever s is: with the l of their deviation, f is zero."""
    field = Gaussian(np.zeros(2), np.full(2, 0.49), "edm")
    measured = statistics(field, field.sample(4, seed=0), degree=80)
    assert np.abs(measured.s).max() == 0
    law = sb.law(field, _solver(measured, tmp_path), (20.0, 0.1))
    np.testing.assert_allclose(law.variance, 0.49 + 0.1**2, rtol=1e-6)


VARIANCES = np.array([1.0, 0.3, 0.05])


def exact(lam):
    """l and s of N(0, diag(VARIANCES)): n_i = g_i x~_i with variances v_i + sigma~^2."""
    u = np.exp(-2 * lam)
    g, v = u / (VARIANCES + u), VARIANCES + u
    dg = -2 * g * (1 - g)
    l, dl = g.mean(), dg.mean()  # noqa: E741
    f = g - l
    return l, np.sum(f * (dg - dl - f * g) * v) / np.sum(f * f * v)


def test_statistics_of_a_gaussian():
    """Differences are exact on a linear field, signs see a diagonal exactly; s depends on the samples' moments."""
    field = Gaussian(np.zeros(3), VARIANCES, "vp-linear", prediction="v")
    measured = statistics(field, field.sample(20000, seed=1), first=-3.0, last=4.0, degree=40, width=1e-3)
    for y in np.linspace(-1, 1, 9):
        l, s = exact(0.5 + 3.5 * y)  # noqa: E741
        assert value(measured.l, y) == pytest.approx(l, abs=2e-4)
        assert value(measured.s, y) == pytest.approx(s, abs=0.05)


def test_statistics_of_a_mixture():
    """On a nonlinear field, beside the mean trace by torch's own derivative."""
    import torch

    field = Mixture([0.4, 0.6], np.array([[0.9, -0.4], [-0.7, 0.5]]), variances=[0.25, 0.09], path="edm")
    measured = statistics(field, field.sample(4000, seed=2), first=-1.0, last=2.0, degree=8, width=1e-3)
    for lam in (-0.5, 0.5, 1.5):
        sigma = float(np.exp(-lam))
        x = torch.as_tensor(field.sample(4000, seed=3, t=sigma)).requires_grad_()
        n = x - field(x, sigma)
        trace = sum(torch.autograd.grad(n[:, i].sum(), x, retain_graph=True)[0][:, i].mean() for i in range(2)) / 2
        assert value(measured.l, (lam - 0.5) / 1.5) == pytest.approx(float(trace), abs=0.02)


def test_integrals_and_ends():
    measured = Statistics(-1.0, 2.0, (0.4, 0.1, -0.05), (-0.5, 0.2), "")
    step = 1e-5
    for lam in (-3.0, -0.7, 0.2, 1.9, 5.0):
        (l, L_0, LS_0), (_, L_1, LS_1) = measured.at(lam), measured.at(lam + step)  # noqa: E741
        y = np.clip((lam - 0.5) / 1.5, -1, 1)
        assert l == pytest.approx(chebyshev.chebval(y, measured.l))
        assert (L_1 - L_0) / step == pytest.approx(l, abs=1e-4)
        assert (LS_1 - LS_0) / step == pytest.approx(l + chebyshev.chebval(y, measured.s), abs=1e-4)


def test_files(tmp_path):
    written = Statistics(-1.0, 2.0, (0.4, 0.1), (-0.5,), "nothing in particular")
    written.write(tmp_path / "mine.json")
    assert read(str(tmp_path / "mine.json")) == written
    assert str(sb.solvers()[f"dpm-v3[statistics={tmp_path}/mine.json]"]).startswith("dpm-v3[statistics=")
    (tmp_path / "mine.json").write_text('{"first": 1}')
    with pytest.raises(UsageError, match="holds no statistics of dpm-v3"):
        read(str(tmp_path / "mine.json"))
    with pytest.raises(UsageError, match=r"no statistics 'cifar': give a .json file or one of cifar10-mixture"):
        sb.plan("dpm-v3[statistics=cifar]", "edm", GRID)
    with pytest.raises(UsageError, match="points must be from 1 to 6, got 0"):
        sb.plan("dpm-v3[points=0]", "edm", GRID)


def test_what_statistics_cannot_be_of():
    field = Gaussian(np.zeros(2), np.ones(2), "edm")
    with pytest.raises(UsageError, match=r"samples must have shape \(n, 2\), got \(4, 3\)"):
        statistics(field, np.zeros((4, 3)))
    with pytest.raises(UsageError, match="first < last"):
        statistics(field, np.zeros((4, 2)), first=1.0, last=1.0)
