"""What the table of `test_peers` does not reach in diffusers: training timesteps, a last noise level of zero,
DPM-Solver-3 of the paper pieced together from two of its options, UniPC's predictor alone.

A scheduler is built, then its table of sigmas is overwritten by ours in double precision: its own is float32, and its
grids are another matter. The defaults switched off: lowering the order of the last steps, clipping, and the final sigma
of zero where the comparison stops before it.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.fields import Mixture

diffusers = pytest.importorskip("diffusers", reason="parity needs diffusers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers", "ignore::FutureWarning:diffusers")

SIGMAS = np.array([14.0, 8.0, 5.5, 2.9, 1.6, 0.9, 0.41, 0.2, 0.07])
"""Uneven on purpose: on even steps many a wrong ratio is right."""
VP = sb.path("trig")
"""alpha = cos t, sigma = sin t, so that alpha = 1/sqrt(1 + sigma~^2) as in diffusers."""


@pytest.fixture(autouse=True)
def double_precision():
    """Some schedulers make tensors of the default type on the way."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def x(rng):
    """Six canonical states at the first noise level."""
    return torch.from_numpy(rng.normal(size=(6, 1, 2, 2)) * SIGMAS[0])


def mixture(path, prediction="x0"):
    """Two components of unlike width in four dimensions."""
    means = np.array([[0.9, -0.4, 0.2, 1.0], [-0.7, 0.5, -1.1, 0.0]]).reshape(2, 1, 2, 2)
    return Mixture([0.4, 0.6], means, variances=[0.25, 0.09], path=path, prediction=prediction)


def on(path, sigmas=SIGMAS):
    """Our grid with these noise levels."""
    return sb.Grid(path, tuple(path.inverse_sigma_tilde(np.asarray(sigmas)).tolist()))


def ours(solver, path, x, sigmas=SIGMAS, draws=None):
    """The states at the end by the numpy engine, with these draws of noise if the solver wants any."""
    field, grid = mixture(path), on(path, sigmas)
    plan = sb.plan(solver, path, grid, prediction="x0")
    noise = None if draws is None else (lambda k: draws[k].numpy())
    return numpy_engine.run(plan, field, x.numpy(), noise)


def prepared(name, sigmas=SIGMAS, **options):
    """A scheduler that stands at the beginning of our noise levels."""
    scheduler = getattr(diffusers, name)(**options)
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = torch.tensor(np.array(sigmas))
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1, dtype=torch.float64)
    scheduler.num_inference_steps = len(sigmas) - 1
    scheduler.set_begin_index(0)
    scheduler.is_scale_input_called = True
    return scheduler


def denoise(path, x, sigma, prediction="x0"):
    """Our field at a noise level of theirs."""
    return mixture(path, prediction)(x, float(path.inverse_sigma_tilde(float(sigma))))


def stepped(scheduler, path, x, prediction="x0"):
    """Their loop: one evaluation, one step."""
    for i, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[i]
        x = scheduler.step(denoise(path, x, sigma, prediction), t, x, return_dict=False)[0]
    return x


def close(a, b, tolerance=1e-10):
    """Agreement relative to the largest state."""
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance * np.abs(np.asarray(b)).max())


@pytest.mark.parametrize(("eta", "solver"), [(0.0, "ddim"), (0.6, "ddim[eta=0.6]"), (1.0, "ddpm")])
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 10), ("trailing", 8)])
def test_ddim(eta, solver, spacing, steps, rng):
    """On the discrete path, its own timesteps included; eta = 1 is DDPM. The last step goes to alpha = 1."""
    path = sb.path("vp-discrete")
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    N = scheduler.config.num_train_timesteps
    scheduler.alphas_cumprod = torch.tensor([path.alpha((m + 1) / N) ** 2 for m in range(N)])
    x = torch.from_numpy(rng.normal(size=(4, 1, 2, 2)))
    z = torch.from_numpy(rng.normal(size=(steps, 4, 1, 2, 2)))
    field = mixture(path, "noise")
    y = x
    for k, t in enumerate(scheduler.timesteps):
        model_output = field(y, (int(t) + 1) / N)
        y = scheduler.step(model_output, int(t), y, eta=eta, variance_noise=z[k] if eta else None, return_dict=False)[0]
    grid = sb.grid("discrete", path, steps, spacing=spacing)
    plan = sb.plan(solver, path, grid, prediction="noise")
    close(numpy_engine.run(plan, field, x.numpy(), lambda k: z[k].numpy()), y)


def test_ddim_steps_of_trailing_timesteps_are_even():
    """diffusers subtracts N // steps from a timestep, so only then are its steps those of its timesteps."""
    scheduler = diffusers.DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(8)
    assert set(np.diff(scheduler.timesteps.numpy())) == {-125}


def test_heun_onto_the_data(x):
    """EDM's algorithm 1 to a noise level of zero. Their sigmas stand twice inside, once for each stage."""
    path = sb.path("edm")
    sigmas = np.array([*SIGMAS, 0.0])
    scheduler = prepared("HeunDiscreteScheduler", sigmas, prediction_type="sample")
    doubled = torch.tensor(sigmas)
    scheduler.sigmas = torch.cat([doubled[:1], doubled[1:-1].repeat_interleave(2), doubled[-1:]])
    y = x
    for i in range(2 * (len(sigmas) - 1) - 1):
        y = scheduler.step(denoise(path, y, scheduler.sigmas[i]), 0, y, return_dict=False)[0]
    close(ours("rho-2heun", path, x, sigmas), y)
    close(ours("heun", path, x, sigmas), y)


def between(c):
    """Our noise levels with theirs at the fractions c of each step in lambda."""
    levels = []
    for s, t in itertools.pairwise(SIGMAS):
        levels += [s, *(s * (t / s) ** c_i for c_i in c)]
    return np.array([*levels, SIGMAS[-1]])


@pytest.mark.parametrize(("solver", "algorithm"), [("dpmpp-3s", "dpmsolver++"), ("dpm-3", "dpmsolver")])
def test_dpm_solver_3s(x, solver, algorithm):
    """The paper's algorithm 2: its stage at 2/3 is their "heun" update, its end their "midpoint" one."""
    sigmas = between([1 / 3, 2 / 3])
    scheduler = prepared("DPMSolverSinglestepScheduler", sigmas, algorithm_type=algorithm, solver_order=3,
                         final_sigmas_type="sigma_min", lower_order_final=False)  # fmt: skip
    kind = "noise" if algorithm == "dpmsolver" else "x0"
    start = y = x * VP.alpha(on(VP).times[0])
    for i in range(0, len(sigmas) - 1, 3):
        scheduler._step_index = i
        F = [denoise(VP, y, sigmas[i], kind)]
        stage = scheduler.dpm_solver_first_order_update(F[0], sample=y)
        scheduler._step_index = i + 1
        F.append(denoise(VP, stage, sigmas[i + 1], kind))
        scheduler.register_to_config(solver_type="heun")
        stage = scheduler.singlestep_dpm_solver_second_order_update(F, sample=y)
        scheduler._step_index = i + 2
        F.append(denoise(VP, stage, sigmas[i + 2], kind))
        scheduler.register_to_config(solver_type="midpoint")
        y = scheduler.singlestep_dpm_solver_third_order_update(F, sample=y)
    close(ours(solver, VP, start), y)


@pytest.mark.parametrize("predicts", ["x0", "noise"])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_unip(x, p, variant, predicts):
    """UniPC's predictor alone."""
    scheduler = prepared(
        "UniPCMultistepScheduler", solver_order=p, solver_type=variant, predict_x0=predicts == "x0",
        prediction_type="sample" if predicts == "x0" else "epsilon", lower_order_final=False,
        final_sigmas_type="sigma_min", disable_corrector=list(range(len(SIGMAS))),
    )  # fmt: skip
    start = x * VP.alpha(on(VP).times[0])
    got = ours(f"unipc-{p}[variant={variant},predicts={predicts},corrector=false]", VP, start)
    close(got, stepped(scheduler, VP, start, predicts))
