"""The same steps by another hand: k-diffusion's samplers on our field, noise levels and draws, in float64.

On the edm path t = sigma. A draw is a function of the interval it belongs to, so both sides find the same one.
Settings: k-diffusion's eta of 2m_sde and 3m_sde is eta^2 here, that of its ancestral steps and of dpmpp_sde is eta; its
noise for dpmpp_sde is a Brownian motion in sigma.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.fields import Mixture
from solverbench.peers import kdiffusion
from solverbench.plans import Noise

try:
    K = kdiffusion.sampling()
except ModuleNotFoundError as missing:
    pytest.skip(f"parity needs k-diffusion: {missing}", allow_module_level=True)

SIGMAS = np.array([14.0, 8.0, 5.5, 2.9, 1.6, 0.9, 0.41, 0.2, 0.07])
"""Uneven on purpose: on even steps many a wrong ratio is right."""
MEANS = np.array([[0.9, -0.4, 0.2, 1.0], [-0.7, 0.5, -1.1, 0.0]])
FIELD = Mixture([0.4, 0.6], MEANS, variances=[0.25, 0.09], path="edm", prediction="x0")


@pytest.fixture
def x(rng):
    """Six states at the first noise level."""
    return rng.normal(size=(6, 4)) * SIGMAS[0]


@pytest.fixture
def double_precision():
    """DPM-Solver-fast makes tensors of the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def model(x, sigma):
    """Theirs to call: a denoiser of states at one noise level, given once for every sample."""
    return FIELD(x, float(sigma[0]))


def draw(s, t):
    """Six normal vectors that belong to [s, t], whatever the last digits of its ends."""
    return np.random.default_rng([round(1e6 * float(s)), round(1e6 * float(t))]).normal(size=(6, 4))


def theirs(name, x, sigmas=SIGMAS, noise=draw, **options):
    """Their result, with these draws where the sampler takes them."""
    if noise is not None:
        options["noise_sampler"] = lambda s, t: torch.from_numpy(noise(s, t))
    sample = getattr(K, name)
    return sample(model, torch.from_numpy(x), torch.tensor(sigmas), disable=True, **options).numpy()


def ours(solver, x, sigmas=SIGMAS):
    """Our result on the numpy engine."""
    plan = sb.plan(solver, "edm", np.asarray(sigmas), prediction="x0")
    intervals = [(i.s, i.t) for i in plan.code if isinstance(i, Noise)]
    return numpy_engine.run(plan, FIELD, x, lambda k: draw(*intervals[k]))


def close(a, b):
    """Agreement relative to the largest state."""
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize(
    ("solver", "name", "options"),
    [
        ("euler-ancestral", "sample_euler_ancestral", {}),
        ("euler-ancestral[eta=0.6,s_noise=1.1]", "sample_euler_ancestral", {"eta": 0.6, "s_noise": 1.1}),
        ("dpm-2-ancestral", "sample_dpm_2_ancestral", {}),
        ("dpm-2-ancestral[eta=0.6,s_noise=1.1]", "sample_dpm_2_ancestral", {"eta": 0.6, "s_noise": 1.1}),
        ("dpmpp-2s-ancestral", "sample_dpmpp_2s_ancestral", {}),
        ("dpmpp-2s-ancestral[eta=0.6,s_noise=1.1]", "sample_dpmpp_2s_ancestral", {"eta": 0.6, "s_noise": 1.1}),
        ("sde-dpmpp-2m", "sample_dpmpp_2m_sde", {}),
        ("sde-dpmpp-2m[eta=0.7]", "sample_dpmpp_2m_sde", {"eta": 0.49}),
        ("sde-dpmpp-2m[eta=0.7,variant=heun]", "sample_dpmpp_2m_sde", {"eta": 0.49, "solver_type": "heun"}),
        ("sde-dpmpp-3m", "sample_dpmpp_3m_sde", {}),
        ("sde-dpmpp-3m[eta=0.7]", "sample_dpmpp_3m_sde", {"eta": 0.49}),
        ("sde-dpmpp-3m[eta=0]", "sample_dpmpp_3m_sde", {"eta": 0.0}),
    ],
)
def test_with_noise(solver, name, options, data, x):
    """With the last step onto the data too: there their samplers too draw nothing and return the denoiser."""
    sigmas = [*SIGMAS, 0.0] if data else SIGMAS
    close(ours(solver, x, sigmas), theirs(name, x, sigmas, **options))


def test_ancestral_steps_beyond_the_posterior(x):
    """eta = 2 asks for more noise than there is room for: both cut it off, and step to the data first."""
    close(ours("euler-ancestral[eta=2]", x), theirs("sample_euler_ancestral", x, eta=2.0))


@pytest.mark.parametrize(("eta", "r"), [(1.0, 0.5), (0.6, 0.5), (1.0, 0.3), (0.0, 0.5)])
def test_dpmpp_sde(eta, r, x):
    """Their draw of a whole step is the Brownian motion's increment, made of those of its two parts."""
    middle = {s: s * (t / s) ** r for s, t in itertools.pairwise(SIGMAS)}
    step = dict(itertools.pairwise(SIGMAS))

    def brownian(s, t):
        s = min(SIGMAS, key=lambda level: abs(level - float(s)))
        u, end = middle[s], step[s]
        if abs(float(t) - u) < 1e-9:
            return draw(s, u)
        return (math.sqrt(s - u) * draw(s, u) + math.sqrt(u - end) * draw(u, end)) / math.sqrt(s - end)

    close(ours(f"sde-dpmpp-2s[eta={eta},r={r}]", x), theirs("sample_dpmpp_sde", x, noise=brownian, eta=eta, r=r))


@pytest.mark.parametrize(
    ("solver", "name"), [("euler-churn", "sample_euler"), ("edm-heun", "sample_heun"), ("dpm-2-churn", "sample_dpm_2")]
)
@pytest.mark.parametrize("limits", [(0.0, math.inf), (0.3, 6.0)])
def test_churn(solver, name, limits, x, monkeypatch):
    """They draw in every step, also where nothing is added; N counts the step onto the data."""
    sigmas = [*SIGMAS, 0.0]
    gamma = min(2.5 / len(SIGMAS), math.sqrt(2) - 1)
    draws = iter([draw(s, s * (1 + gamma)) for s in SIGMAS[:-1]] + [draw(1, 2)])
    monkeypatch.setattr(torch, "randn_like", lambda _: torch.from_numpy(next(draws)))
    low, high = limits
    # the last step, onto the data, is the plan's and has no churn; theirs is kept from it by s_tmin
    low = max(low, SIGMAS[-1] * 1.001)
    options = {"s_churn": 2.5, "s_tmin": low, "s_tmax": high, "s_noise": 1.02}
    got = ours(f"{solver}[s_churn=2.5,s_min={low},s_max={high},s_noise=1.02]", x, sigmas)
    close(got, theirs(name, x, sigmas, noise=None, **options))


@pytest.mark.parametrize("nfe", [3, 4, 5, 6, 9, 10, 11])
@pytest.mark.usefixtures("double_precision")
def test_dpm_fast(nfe, x):
    """Their grid of nfe // 3 + 1 steps, even in log sigma."""
    sigmas = np.exp(np.linspace(np.log(14.0), np.log(0.07), nfe // 3 + 2))
    plan = sb.plan(f"dpm-fast[remainder={nfe % 3}]", "edm", sigmas, prediction="x0")
    assert plan.nfe == nfe
    z = K.sample_dpm_fast(model, torch.from_numpy(x), 0.07, 14.0, nfe, disable=True)
    np.testing.assert_allclose(numpy_engine.run(plan, FIELD, x), z.numpy(), rtol=0, atol=1e-11 * np.abs(x).max())
