"""Every rule against its formula as published, evaluated independently; names that stand for the same grid."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

from solverbench.grids import GRIDS, grid
from solverbench.grids.tables import TABLES
from solverbench.paths import PATHS, VPDiscrete, path

SCALED = VPDiscrete(betas=tuple((np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).tolist()))
"""Stable Diffusion's: sigma~ from 14.6146 down to 0.0292."""


def levels(g):
    """sigma~ of the times before the data."""
    return np.array([g.path.sigma_tilde(t) for t in g.times if t > 0])


def test_edm():
    """Karras et al. (2022), eq. 5."""
    i, n = np.arange(7), 7
    karras = (80 ** (1 / 7) + i / (n - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(grid("edm", "edm", 7).times, [*karras, 0], rtol=1e-13)


def test_exponential():
    """k-diffusion's polyexponential."""
    ramp = np.linspace(1, 0, 7) ** 3.0
    polyexponential = np.exp(ramp * (math.log(80) - math.log(0.002)) + math.log(0.002))
    np.testing.assert_allclose(grid("exponential", "edm", 7, rho=3.0).times, [*polyexponential, 0], rtol=1e-13)


def test_ve():
    """Karras et al. (2022), table 1: sigma^2 = sigma_max^2 (sigma_min^2/sigma_max^2)^(i/(N - 1))."""
    published = np.sqrt(100.0**2 * (0.02**2 / 100.0**2) ** (np.arange(9) / 8))
    np.testing.assert_allclose(grid("ve", "ve", 9, t_max=100.0, t_min=0.02).times[:-1], published, rtol=1e-13)


def test_vp_is_the_time_of_songs_schedule():
    """With Song's own ends the fitted schedule is Song's, on any path."""
    t = np.linspace(1, 1e-3, 8)
    published = [float(mp.sqrt(mp.expm1(mp.mpf("19.9") * v * v / 2 + mp.mpf("0.1") * v))) for v in t]
    ends = {"t_max": published[0], "t_min": published[-1]}
    np.testing.assert_allclose(grid("vp", "edm", 8, **ends).times[:-1], published, rtol=1e-12)
    np.testing.assert_allclose(grid("vp", "vp-linear", 8).times, grid("uniform", "vp-linear", 8).times, rtol=1e-12)


def test_vp_fitted_to_other_ends():
    """diff-sampler's time_uniform: t_i = (1 + i/(n - 1) (eps^(1/rho) - 1))^rho through the VP map with these ends."""
    lo, hi, eps, rho = 0.002, 80.0, 1e-3, 2.0
    beta_d = 2 * (math.log(lo**2 + 1) / eps - math.log(hi**2 + 1)) / (eps - 1)
    beta_min = math.log(hi**2 + 1) - beta_d / 2
    t = (1 + np.arange(6) / 5 * (eps ** (1 / rho) - 1)) ** rho
    published = np.sqrt(np.exp(beta_d * t**2 / 2 + beta_min * t) - 1)
    np.testing.assert_allclose(grid("vp", "edm", 6, rho=2.0).times[:-1], published, rtol=1e-8)  # exp(small) - 1


def test_iddpm():
    """Karras et al. (2022), table 1, in the letters of the paper, between two of its levels."""
    M, C1, C2, N = 1000, 0.001, 0.008, 18
    abar = [math.sin(math.pi / 2 * j / (M * (C2 + 1))) ** 2 for j in range(M + 1)]
    u = [0.0] * (M + 1)
    for j in range(M, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(abar[j - 1] / abar[j], C1) - 1)
    j0 = 8
    published = [u[math.floor(j0 + (M - 1 - j0) / (N - 1) * i + 0.5)] for i in range(N)]
    assert published[0] == pytest.approx(80.3, abs=0.1)
    ours = grid("iddpm", "edm", N, t_max=published[0], t_min=published[-1])
    np.testing.assert_allclose(ours.times, [*published, 0], rtol=1e-9)


def test_iddpm_clips_its_first_growth_only():
    """u_0 is where C1 acts: abar_0 = 0."""
    u = grid("iddpm", "edm", 101, M=100, t_max=1e7, t_min=1e-9).times
    top = [float(v) for v in u[1:3]]
    assert (top[0] ** 2 + 1) / (top[1] ** 2 + 1) == pytest.approx(1000, rel=1e-12)


def test_tangent_is_optimal_for_a_gaussian():
    """DDIM shrinks N(0, s^2) by prod cos(theta_n - theta_{n+1}), theta = arctan(sigma~/s): least for equal angles."""
    theta = np.arctan(levels(grid("tangent", "edm", 9, scale=0.7)) / 0.7)
    best = np.cos(np.diff(theta)).prod()
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = theta.copy()
        other[1:-1] += rng.normal(size=7) * 0.01
        assert np.cos(np.diff(other)).prod() < best


def test_scm_is_trigflows_time():
    """t = arctan(sigma/0.5), equally spaced from arctan(80/0.5) to 0 (Lu & Song 2025)."""
    t = np.linspace(math.atan(80 / 0.5), 0, 5)
    np.testing.assert_allclose(grid("scm", "edm", 4, t_min=0.0).times, 0.5 * np.tan(t), rtol=1e-12)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 12.0])
def test_shift(shift):
    """s u/(1 + (s - 1) u) on rectified flow: what the path with that shift has at equal times."""
    u = np.linspace(1, 0, 8)
    times = np.array(grid("shift", "rectified", 7, shift=shift))
    np.testing.assert_allclose(times, shift * u / (1 + (shift - 1) * u), rtol=1e-13)
    shifted = path("rectified", shift=shift)
    r = np.array([shifted.sigma(t) for t in grid("uniform", shifted, 7)])
    np.testing.assert_allclose(times, r, rtol=1e-13)


def test_dynamic_shift():
    """e^mu/(e^mu + 1/t - 1)."""
    u = np.linspace(1, 0, 8)[:-1]
    published = math.exp(0.8) / (math.exp(0.8) + (1 / u - 1))
    np.testing.assert_allclose(grid("dynamic-shift", "rectified", 7, mu=0.8).times[:-1], published, rtol=1e-13)


def test_shift_stretch():
    """1 - (1 - t)/((1 - t_last)/(1 - terminal)) of shifted times, terminal 0.1, then the jump."""
    n, s = 6, 2.5
    u = np.linspace(1, 1 / n, n)
    t = s * u / (1 + (s - 1) * u)
    published = 1 - (1 - t) / ((1 - t[-1]) / (1 - 0.1))
    np.testing.assert_allclose(grid("shift-stretch", "rectified", n, shift=s).times, [*published, 0], rtol=1e-13)


def test_logit_normal():
    """The integral of the density of Esser et al. (2024) between neighbouring times is the same."""
    m, s = -0.4, 1.3
    times = grid("logit-normal", "rectified", 6, mean=m, std=s).times
    assert (times[0], times[-1]) == (1.0, 0.0)

    def density(t):
        return math.exp(-((math.log(t / (1 - t)) - m) ** 2) / (2 * s * s)) / (s * math.sqrt(2 * math.pi) * t * (1 - t))

    inner = [integrate.quad(density, b, a, epsabs=1e-12)[0] for a, b in pairwise(times[1:-1])]
    np.testing.assert_allclose(inner, 1 / 6, rtol=1e-9)


@pytest.mark.parametrize("steps", [5, 20, 30])
def test_beta_is_comfyuis_before_rounding(steps):
    """rint(ppf(1 - i/steps) (N - 1)) are training indices."""
    index = np.rint(stats.beta.ppf(1 - np.linspace(0, 1, steps, endpoint=False), 0.6, 0.6) * 999)
    times = np.array(grid("beta", "vp-discrete", steps))
    assert times[-1] == 0
    np.testing.assert_array_equal(np.rint(times[:-1] * 1000 - 1), index)


def test_beta_sigma():
    p = stats.beta.ppf(1 - np.linspace(0, 1, 9), 0.5, 0.8)
    times = grid("beta-sigma", "edm", 9, alpha=0.5, beta=0.8).times
    np.testing.assert_allclose(times[:-1], 0.002 + p * (80 - 0.002), rtol=1e-11)


@pytest.mark.parametrize(("steps", "threshold"), [(1, 0.025), (2, 0.025), (3, 0.4), (8, 0.025), (9, 0.1), (50, 0.3)])
def test_linear_quadratic(steps, threshold):
    """Mochi's coefficients: quadratic a i^2 + b i + c from step L on."""
    way = [0.0, 1.0]
    if steps > 1:
        L = steps // 2
        Q, D = steps - L, L - threshold * steps
        a, b = D / (L * Q**2), threshold / L - 2 * D / Q**2
        way = [i * threshold / L for i in range(L)] + [a * i * i + b * i + a * L * L for i in range(L, steps)] + [1.0]
    times = grid("linear-quadratic", "rectified", steps, threshold=threshold).times
    np.testing.assert_allclose(times, 1 - np.array(way), atol=2e-15)


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 30, 999])
def test_simple(steps):
    """ComfyUI: the entry -(1 + int(i N/steps)) of the training levels."""
    picked = [range(1000)[-(1 + int(i * (1000 / steps)))] for i in range(steps)]
    times = grid("simple", "vp-discrete", steps).times
    assert [round(1000 * t) - 1 for t in times[:-1]] == picked


@pytest.mark.parametrize("steps", [1, 2, 10, 50, 250])
def test_ddim_uniform(steps):
    """ComfyUI: the training levels 1, 1 + N//steps, ... below N."""
    picked = list(range(1, 1000, 1000 // steps))[::-1]
    times = grid("ddim-uniform", "vp-discrete", steps).times
    assert [round(1000 * t) - 1 for t in times[:-1]] == picked


def test_sgm_uniform():
    """linspace with one point more, of which the last becomes the data."""
    times = grid("sgm-uniform", "vp-discrete", 4).times
    np.testing.assert_allclose(times, [*np.linspace(1, 1e-3, 5)[:-1], 0], rtol=1e-14)
    assert grid("sgm-uniform", "rectified", 4).times == grid("uniform", "rectified", 4).times


@pytest.mark.parametrize("name", [name for name, rule in GRIDS.items() if rule.of])
def test_special_cases_are_the_rule_with_their_options(name):
    """To the last bit, on every path; of those that end otherwise, without the data."""
    rule = GRIDS[name]
    for made in [SCALED] if rule.indexed else [SCALED, *map(path, PATHS)]:
        for zero in (False, True) if rule.end == GRIDS[rule.of].end else (False,):
            general = grid(rule.of, made, 7, zero=zero, **rule.fixed)
            assert grid(name, made, 7, zero=zero).times == general.times


def test_names_of_the_same_rule():
    assert {name: rule.of for name, rule in GRIDS.items() if rule.same} == {
        "time-uniform": "uniform", "time-quadratic": "quadratic", "normal": "uniform", "polyexponential": "exponential",
        "logsnr": "log-snr", "ve": "log-snr", "karras": "edm",
    }  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_reproduces_its_own_entries(name):
    _, end, _, table = TABLES[name]
    for on in ("edm", "rectified", "vp-linear", "trig"):
        found = levels(grid(name, on, len(table) - 1, zero=False))
        np.testing.assert_allclose(found, table, rtol=2e-10 if on == "trig" else 1e-11)
    steps = len(table) - 1 if end == "replace" else len(table)
    kept = table[:-1] if end == "replace" else table
    np.testing.assert_allclose(grid(name, "edm", steps).times, [*kept, 0], rtol=1e-13)


def test_tables_are_what_they_were_searched_among():
    """GITS: times of EDM's grid of 61, to the four decimals given. AYS: Stable Diffusion's own ends, to three."""
    teacher = np.round(grid("edm", "edm", 60, zero=False), 4)
    assert set(TABLES["gits-cifar10"][3]) <= set(teacher.tolist())
    for name in ("ays-sd15", "ays-sdxl"):
        ends = TABLES[name][3][0], TABLES[name][3][-1]
        assert ends == tuple(round(float(SCALED.sigma_tilde(t)), 3) for t in (1.0, 1e-3))
        assert grid(name, "edm", 10).times[-2:] == (pytest.approx(TABLES[name][3][-2], rel=1e-13), 0.0)
    assert (TABLES["ays-svd"][3][0], TABLES["ays-svd"][3][-1]) == (700.0, 0.002)  # sigma_max and sigma_min of SVD


@pytest.mark.parametrize("name", TABLES)
def test_a_table_between_its_entries(name):
    """Twice the steps put the geometric mean of neighbours between them, all else being kept."""
    table = np.array(TABLES[name][3])
    fine = np.array(grid(name, "edm", 2 * (len(table) - 1), zero=False))
    np.testing.assert_allclose(fine[::2], table, rtol=1e-12)
    np.testing.assert_allclose(fine[1::2], np.sqrt(table[1:] * table[:-1]), rtol=1e-12)


def test_a_table_stretched():
    """Affinely in log sigma~, to the ends given; its first level is Stable Diffusion's own to the table's decimals."""
    table = np.log(TABLES["ays-svd"][3])
    times = np.array(grid("ays-svd", "vp-discrete", 10, t_max=1.0, t_min=1e-3, zero=False))
    got = np.array([path("vp-discrete").lam(t) for t in times])
    expected = (table - table[0]) / (table[-1] - table[0])
    np.testing.assert_allclose((got - got[0]) / (got[-1] - got[0]), expected, atol=1e-12)
    assert grid("ays-sd15", SCALED, 10).times[0] == 1.0
    assert SCALED.sigma_tilde(1.0) == pytest.approx(14.6146, abs=1e-4)


@pytest.mark.parametrize(
    "name",
    sorted(n for n, r in GRIDS.items() if not r.indexed and n not in ("iddpm", "linear-quadratic", "shift-stretch")),
)
def test_nested(name):
    """Times are g(i/N) for one function g, so a grid of half the steps is every other time.

    Not of iddpm, which rounds, nor of linear-quadratic and shift-stretch, whose curves depend on N.
    """
    if name in TABLES:
        fine, coarse = (grid(name, "edm", 2**k * (len(TABLES[name][3]) - 1), zero=False) for k in (2, 1))
    else:
        fine, coarse = (grid(name, "edm", n, t_min=0.01, zero=False) for n in (16, 8))
    np.testing.assert_allclose(np.array(fine)[::2], np.array(coarse), rtol=1e-10)
