"""Rules against the functions of the libraries they are named after, to the precision these compute in."""

from __future__ import annotations

import importlib.util
import math
import sys
import types

import numpy as np
import pytest

from solverbench.grids import grid
from solverbench.grids.tables import TABLES
from solverbench.paths import VPDiscrete

FLOAT32 = 3e-6
BETAS = tuple((np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).tolist())


@pytest.fixture(scope="module")
def k_sampling():
    """k_diffusion.sampling alone: the package itself imports what training needs."""
    for needed in ("torch", "torchdiffeq", "torchsde"):
        pytest.importorskip(needed)
    package = importlib.util.find_spec("k_diffusion")
    if package is None:
        pytest.skip("k-diffusion is not installed")
    stub = types.ModuleType("k_diffusion")
    stub.__path__ = list(package.submodule_search_locations or [])
    stub.utils = types.ModuleType("k_diffusion.utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "k_diffusion", stub)
        patch.setitem(sys.modules, "k_diffusion.utils", stub.utils)
        spec = importlib.util.spec_from_file_location("k_diffusion.sampling", f"{stub.__path__[0]}/sampling.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize("n", [2, 5, 18])
def test_k_diffusion(k_sampling, n):
    ends = (0.03, 15.0)
    theirs = {
        ("karras", (("rho", 5.0),)): k_sampling.get_sigmas_karras(n, *ends, rho=5.0),
        ("exponential", ()): k_sampling.get_sigmas_exponential(n, *ends),
        ("polyexponential", (("rho", 2.0),)): k_sampling.get_sigmas_polyexponential(n, *ends, rho=2.0),
    }
    for (name, options), sigmas in theirs.items():
        ours = grid(name, "edm", n, t_min=ends[0], t_max=ends[1], **dict(options))
        np.testing.assert_allclose(ours.times, sigmas.numpy(), rtol=FLOAT32)


def test_k_diffusion_vp(k_sampling):
    sigmas = k_sampling.get_sigmas_vp(9).double().numpy()
    song = [math.sqrt(math.expm1(19.9 * t * t / 2 + 0.1 * t)) for t in (1, 1e-3)]
    ours = grid("vp", "edm", 9, t_max=song[0], t_min=song[1]).times
    np.testing.assert_allclose(ours[:-2], sigmas[:-2], rtol=1e-5)
    assert sigmas[-2] == pytest.approx(ours[-2], rel=1e-3)  # sqrt(exp(1e-4) - 1) in float32


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason="compares with diffusers' grids")


@pytest.mark.parametrize(("spacing", "offset"), [("leading", 0), ("leading", 1), ("linspace", 0), ("trailing", 0)])
@pytest.mark.parametrize("steps", [1, 2, 7, 10, 30, 50, 999])
def test_discrete_spacings(diffusers, spacing, offset, steps):
    scheduler = diffusers.DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)
    scheduler.set_timesteps(steps)
    made = grid("discrete", "vp-discrete", steps, spacing=spacing, offset=offset)
    assert [round(1000 * t) - 1 for t in made.times[:-1]] == scheduler.timesteps.tolist()
    assert made.times[-1] == 0


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("use_karras_sigmas", "karras"),
        ("use_exponential_sigmas", "exponential"),
        ("use_beta_sigmas", "beta-sigma"),
        ("use_lu_lambdas", "log-snr"),
    ],
)
@pytest.mark.parametrize("steps", [5, 12])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # torch tensors in numpy functions
def test_sigmas_of_diffusers(diffusers, option, name, steps):
    """On Stable Diffusion's betas, between the ends that diffusers has in float32."""
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, **{option: True}
    )
    scheduler.set_timesteps(steps)
    path = VPDiscrete(betas=BETAS)
    sigmas = scheduler.sigmas.double().numpy()
    assert sigmas[[0, -2]] == pytest.approx([path.sigma_tilde(1.0), path.sigma_tilde(1e-3)], rel=5e-5)
    ends = {"t_max": min(path.inverse_sigma_tilde(sigmas[0]), 1.0), "t_min": path.inverse_sigma_tilde(sigmas[-2])}
    ours = grid(name, path, steps, **ends)
    np.testing.assert_allclose([path.sigma_tilde(t) for t in ours.times[:-1]], sigmas[:-1], rtol=FLOAT32)
    assert (ours.times[-1], sigmas[-1]) == (0, 0)


def flow(diffusers, steps, mu=None, **config):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**config)
    sigmas = np.linspace(1, 1 / steps, steps) if mu is not None else None
    scheduler.set_timesteps(steps, mu=mu, sigmas=sigmas)
    return scheduler.sigmas.double().numpy()


@pytest.mark.parametrize("shift", [0.7, 3.0])
def test_flow_shift(diffusers, shift):
    """diffusers shifts its last training time when it is built and again with the rest: there its grid ends."""
    once = shift * 1e-3 / (1 + (shift - 1) * 1e-3)
    twice = shift * once / (1 + (shift - 1) * once)
    ours = grid("shift", "rectified", 6, shift=shift, t_min=twice).times
    np.testing.assert_allclose(ours, flow(diffusers, 6, shift=shift), rtol=FLOAT32)


@pytest.mark.parametrize(("kind", "mu"), [("exponential", 0.9), ("linear", 2.5)])
def test_dynamic_shift(diffusers, kind, mu):
    """diffusers' pipelines pass u = 1, (n - 1)/n, ..., 1/n and append 0."""
    theirs = flow(diffusers, 6, mu=mu, use_dynamic_shifting=True, time_shift_type=kind)
    name, option = ("dynamic-shift", "mu") if kind == "exponential" else ("shift", "shift")
    np.testing.assert_allclose(grid(name, "rectified", 6, **{option: mu}).times, theirs, rtol=FLOAT32)


def test_shift_terminal(diffusers):
    theirs = flow(diffusers, 6, mu=1.1, use_dynamic_shifting=True, shift_terminal=0.1)
    ours = grid("shift-stretch", "rectified", 6, shift=math.exp(1.1))
    np.testing.assert_allclose(ours.times, theirs, rtol=FLOAT32)
    theirs = flow(diffusers, 6, mu=1.1, use_dynamic_shifting=True, shift_terminal=0.02)
    ours = grid("shift-stretch", "rectified", 6, shift=math.exp(1.1), t_min=0.02)
    np.testing.assert_allclose(ours.times, theirs, rtol=FLOAT32)


def test_align_your_steps(diffusers):
    from diffusers.schedulers import AysSchedules

    for name, key in (("sd15", "StableDiffusion"), ("sdxl", "StableDiffusionXL"), ("svd", "StableDiffusionVideo")):
        sigmas = AysSchedules[f"{key}Sigmas"]
        assert list(TABLES[f"ays-{name}"][3][:-1]) == sigmas[:-1]
        np.testing.assert_allclose(grid(f"ays-{name}", "edm", 10).times, sigmas, rtol=1e-13)


@pytest.mark.parametrize(("name", "key"), [("sd15", "StableDiffusion"), ("sdxl", "StableDiffusionXL")])
def test_align_your_steps_agree_with_their_training_indices(diffusers, name, key):
    """The published indices are the same times on Stable Diffusion's path, but for the rounding of both."""
    from diffusers.schedulers import AysSchedules

    times = np.array(grid(f"ays-{name}", VPDiscrete(betas=BETAS), 10))[:-1]
    np.testing.assert_allclose(times * 1000 - 1, AysSchedules[f"{key}Timesteps"], atol=1.1)
