"""Weak and strong orders of the samplers that draw noise, and their orders in small noise; faults are seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted import planted

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.methods import additive
from solverbench.methods.runge_kutta import ButcherTableau
from solverbench.orders import measure_noise, subject
from solverbench.orders.noise import expected_of

ORDERS = {  # solver: weak, of variance and conditional mean; strong, on the Gaussian and on the mixture
    "seeds-1": (1, "exact", 1, 1),
    "seeds-2": (2, "exact", 1, 1),
    "seeds-3": (2, "exact", 1, 1),
    "exp-heun-2-x0-sde": (2, "exact", 1, 1),
    "sa-solver": (2, "exact", 1, 1),
    "sa-solver-3": (2, "exact", 1, 1),
    "sa-solver-pece": (2, "exact", 1, 1),
    "ddpm": (1, "exact", 1, 1),
    "ddpm-large": (1, "exact", 1, 1),
    "euler-maruyama": (1, 1, 1, 1),
    "exp-score": (1, "exact", 1, 1),
    "reverse-diffusion": (1, "exact", 1, 1),
    "shark": (2, "exact", 2, 1.5),  # where the field is linear, the next term of the expansion is a mean as well
    "sra1": (2, "exact", 2, 1.5),
    "sde-dpmpp-1": (1, "exact", 1, 1),
    "sde-dpm-1": (1, 1, 1, 1),
    "sde-dpmpp-2m": (2, "exact", 1, 1),  # weak on Gaussians: D is a martingale, and what is left is even in the noise
    "sde-dpm-2m": (2, 2, 1, 1),
    "sde-dpmpp-3m": (2, "exact", 1, 1),
    "er-sde-1": (1, None, None, None),  # its scale, sde-5, is of no constant strength
    "er-sde-2": (2, None, None, None),
    "er-sde-3": (2, None, None, None),
    "er-sde-3-newton": (2, None, None, None),
    "euler-ancestral": (1, "exact", 1, 1),
    "euler-ancestral-rf": (1, "exact", 1, 1),
    "dpm-2-ancestral": (2, 1, 1, 1),  # marginals of the order of the deterministic step, transitions of order one
    "dpmpp-2s-ancestral": (2, 1, 1, 1),
    "sde-dpmpp-2s": (2, "exact", 1, 1),
    "edm-stochastic": (0, None, None, None),  # churn is no reverse process of one strength, and this one adds variance
    "euler-churn": (1, None, None, None),
    "dpm-2-churn": (2, None, None, None),
    "restart": (0, None, None, None),
    "exact-sde": ("exact", None, None, None),  # in law: its draws are not those of one path
    "consistency": ("exact", None, None, None),
    "dmd2": ("exact", None, None, None),
    "scm": ("exact", None, None, None),
    "lcm": ("exact", None, None, None),
    "tcd": ("exact", None, None, None),
    "ctm": ("exact", None, None, None),
}
WEAK = {
    "ddim[eta=0.5]": (1, 1),
    "sde-dpmpp-1[eta=0.5]": (1, 1),
    "sde-dpmpp-2m[variant=heun]": (2, "exact"),
    "sde-dpmpp-2m[eta=0.3]": (2, 2),
    "reverse-diffusion[eta=0.5]": (1, 1),
    "seeds-2[eta=0.5]": (2, 2),
    "seeds-2[predicts=noise]": (2, 2),
    "seeds-3[eta=0.5]": (2, 3),
    "exp-heun-2-x0-sde[eta=0.5]": (2, 2),
    "shark[eta=0.5]": (2, 2),
    "sde-dpm-2m[eta=0.5]": (2, 2),
    "sde-dpmpp-3m[eta=0.3]": (2, 2),
    "er-sde-1[scale=sde]": (1, "exact"),
    "er-sde-2[scale=sde]": (2, "exact"),
    "er-sde-3[scale=sde]": (2, "exact"),
    "er-sde-3-newton[scale=sde]": (2, "exact"),
    "dpmpp-2s-ancestral[eta=0.5]": (2, 1),
    "dpmpp-2s-ancestral[levels=time]": (2, 1),
    "sde-dpmpp-2s[eta=0.5]": (2, 1),  # an ancestral step of this strength is the process to first order
    "edm-stochastic[s_noise=1,s_max=100,s_churn=5]": (2, None),
    "euler-churn[s_noise=1,s_max=100,s_churn=5]": (1, None),
    "dpm-2-churn[s_noise=1,s_max=100,s_churn=5]": (2, None),
}


def is_of(slope, order):
    """Whether a slope is this order; None if nothing is to be found."""
    if slope is None or order is None:
        return slope is None and order is None
    return slope.exact if order == "exact" else abs(slope.order - order) <= 0.15 + slope.half < 0.35


@pytest.mark.parametrize("name", [n for n, s in sb.solvers().items() if s.stochastic])
def test_the_orders_of_every_solver_that_draws_noise(name):
    variance, mean, gaussian, nonlinear = ORDERS[name]
    made = subject(sb.solvers()[name])
    weak, strong = (measure_noise(made, kind) for kind in ("weak", "strong"))
    assert is_of(weak.slopes["variance"], variance), weak
    assert is_of(weak.slopes.get("mean"), mean), weak
    assert is_of(strong.slopes.get("gaussian"), gaussian), strong
    assert is_of(strong.slopes.get("nonlinear, mean"), nonlinear), strong
    assert is_of(strong.slopes.get("nonlinear, mean square"), nonlinear), strong
    for report in (weak, strong):
        assert report.verdict == expected_of(sb.solvers()[name], report.kind), report


@pytest.mark.parametrize("name", WEAK)
def test_weak_orders_with_options(name):
    weak = sb.order(name, kind="weak").slopes
    assert is_of(weak["variance"], WEAK[name][0]), weak
    assert is_of(weak.get("mean"), WEAK[name][1]), weak


SMALL = {  # solver: p, and q of the distance, with the first power of tau, and of the variance, with the second
    "ddim": (1, 1, 1),
    "seeds-1": (1, 1, 1),
    "seeds-2": (2, 1, 2),
    "seeds-3": (3, 1, 2),
    "sa-solver": (3, 1, 2),
    "sde-dpmpp-2m": (2, 1, 2),
    "euler-ancestral-rf": (1, 1, 1),
    "shark": (2, 2, 2),
}


@pytest.mark.parametrize("name", SMALL)
def test_orders_in_small_noise(name):
    """What one draw a step costs is of the size of the noise: when that is small, the order of the drift is seen."""
    p, q, weak = SMALL[name]
    found = measure_noise(replace(subject(sb.solvers()[name]), stochastic=True), "small-noise").slopes
    assert is_of(found["drift, h"], p), found
    for k in (4, 8, 16):
        assert is_of(found[f"distance, h at tau = 1/{k}"], q), found
        assert abs(found[f"variance, h at tau = 1/{k}"].order - weak) < 0.25, found
    assert is_of(found["distance, tau"], 1), found
    assert is_of(found["variance, tau"], 2), found


FAULTS = [  # with the options, and the verdicts on weak and strong orders; None: not asked
    ("euler-maruyama", "eta_n * sqrt(g2 * (s - t))", "1.05 * eta_n * sqrt(g2 * (s - t))", {}, "inconsistent",
     "inconsistent", "too much noise"),
    ("euler-maruyama", "(s - t)) * x.noise(s, t)", "(s - t)) * x.noise(*next(iter(grid.steps)))", {}, "inconsistent",
     "undetermined", "one draw in all steps"),
    ("euler-maruyama", "eta_n * eta_n * g2 / 2", "eta_n * g2 / 2", {"eta": 0.5}, "inconsistent", None,
     "a strength for its square"),
    ("sra1", "(c_i, e_i), z, root)", "(c_i, 0 * e_i), z, root)", {}, None, "below claim: coefficients",
     "the area left out"),
    ("sra1", "x.area(s, t) /", "x.noise(s, t) /", {}, None, "below claim: coefficients",
     "the increment for the area"),
    ("sra1", "x.area(s, t) /", "-1 * x.area(s, t) /", {}, None, "below claim: coefficients", "an area seen from below"),
    ("sra1", "(1 + eta_n * eta_n) / 2", "(1 + eta_n) / 2", {"eta": 0.5}, "inconsistent", None,
     "a strength for its square"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "options", "weak", "strong", "what"), FAULTS)
def test_planted_faults_are_seen(name, old, new, options, weak, strong, what, monkeypatch):
    faulty = subject(planted(name, old, new, monkeypatch)[options])
    for kind, verdict in (("weak", weak), ("strong", strong)):
        if verdict:
            report = measure_noise(faulty, kind)
            assert report.verdict == verdict, (what, report)


def test_a_tableau_that_misses_a_mean_is_refused():
    with pytest.raises(UsageError, match="sums 1/2, 1, 1/2"):
        additive.AdditiveTableau(ButcherTableau.of("; 3/4", "1/3, 2/3"), (additive.Fraction(0), additive.Fraction(1)))


def test_kinds_are_by_name():
    with pytest.raises(UsageError, match="did you mean strong"):
        sb.order("ddpm", kind="strongly")
    assert sb.order("heun", kind="strong").slopes == {}


def test_a_sampler_that_raises_is_a_verdict():
    report = measure_noise(replace(subject(sb.solvers()["ddpm"]), run=lambda *a: 1 / 0), "weak")
    assert report.verdict == "failed"
    assert "division by zero" in report.error
