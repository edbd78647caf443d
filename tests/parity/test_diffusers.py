"""What the table of `test_peers` does not reach in diffusers: training timesteps, a last noise level of zero,
DPM-Solver-3 of the paper pieced together from two of its options, UniPC's predictor alone.

A scheduler is built, then its table of sigmas is overwritten by ours in double precision: its own is float32, and its
grids are another matter. The defaults switched off: lowering the order of the last steps, clipping, and the final sigma
of zero where the comparison stops before it.
"""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.fields import Mixture
from solverbench.methods.flow_map import jumps
from solverbench.plans import trace

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


@pytest.mark.parametrize(("solver", "variance"), [("ddpm", "fixed_small"), ("ddpm-large", "fixed_large")])
def test_ddpm(solver, variance, rng, monkeypatch):
    """Their step onto the data draws nothing."""
    path, steps = sb.path("vp-discrete"), 10
    scheduler = diffusers.DDPMScheduler(clip_sample=False, timestep_spacing="leading", variance_type=variance)
    scheduler.set_timesteps(steps)
    N = scheduler.config.num_train_timesteps
    scheduler.alphas_cumprod = torch.tensor([path.alpha((m + 1) / N) ** 2 for m in range(N)])
    x = torch.from_numpy(rng.normal(size=(4, 1, 2, 2)))
    z = torch.from_numpy(rng.normal(size=(steps, 4, 1, 2, 2)))
    draws_of(monkeypatch, scheduler, z)
    field = mixture(path, "noise")
    y = x
    for t in scheduler.timesteps:
        y = scheduler.step(field(y, (int(t) + 1) / N), int(t), y, return_dict=False)[0]
    plan = sb.plan(solver, path, sb.grid("discrete", path, steps, spacing="leading"), prediction="noise")
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


def draws_of(monkeypatch, scheduler, draws):
    """Give a scheduler that asks for random numbers these, one array a step."""
    module = sys.modules[type(scheduler).__module__]
    left = iter(draws)
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: next(left))


@pytest.mark.parametrize(("order", "kind"), [(1, "midpoint"), (2, "midpoint"), (2, "heun")])
def test_sde_dpm_solver_on_the_noise_prediction(x, order, kind, rng):
    scheduler = prepared("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver", solver_type=kind,
                         solver_order=order, final_sigmas_type="sigma_min")  # fmt: skip
    start = x * VP.alpha(on(VP).times[0])
    z = torch.from_numpy(rng.normal(size=(len(SIGMAS) - 1, *x.shape)))
    past, y = [], start
    for i in range(len(SIGMAS) - 1):
        scheduler._step_index = i
        past = [*past[-1:], denoise(VP, y, SIGMAS[i], "noise")]
        if order == 1 or i == 0:
            y = scheduler.dpm_solver_first_order_update(past[-1], sample=y, noise=z[i])
        else:
            y = scheduler.multistep_dpm_solver_second_order_update(past, sample=y, noise=z[i])
    close(ours("sde-dpm-1" if order == 1 else f"sde-dpm-2m[variant={kind}]", VP, start, draws=z), y)


def test_euler_ancestral(x, rng, monkeypatch):
    """Their step casts the state to float32: eight steps of 6e-8."""
    path = sb.path("edm")
    scheduler = prepared("EulerAncestralDiscreteScheduler", prediction_type="epsilon")
    z = torch.from_numpy(rng.normal(size=(len(SIGMAS) - 1, *x.shape)))
    draws_of(monkeypatch, scheduler, z)
    close(ours("euler-ancestral", path, x, draws=z), stepped(scheduler, path, x, "noise"), 2e-6)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # of numpy, by their set_timesteps
def test_kdpm2_ancestral(x, rng, monkeypatch):
    """Two of their steps are one of ours; their four tables of levels are filled with ours."""
    path = sb.path("edm")
    scheduler = prepared("KDPM2AncestralDiscreteScheduler", prediction_type="epsilon")
    s, t = torch.tensor(SIGMAS[:-1]), torch.tensor(SIGMAS[1:])
    up = (t**2 * (s**2 - t**2) / s**2) ** 0.5
    down = (t**2 - up**2) ** 0.5
    middle = (s * down) ** 0.5
    # they look at index i in the first half of a step and at i - 1 in the second
    scheduler.sigmas, scheduler.sigmas_interpol, scheduler.sigmas_up, scheduler.sigmas_down = (
        v.repeat_interleave(2) for v in (s, middle, up, down)
    )
    z = torch.from_numpy(rng.normal(size=(len(SIGMAS) - 1, *x.shape)))
    draws_of(monkeypatch, scheduler, z)
    y = x
    for i in range(len(s)):
        for level in (s[i], middle[i]):
            y = scheduler.step(denoise(path, y, level, "noise"), 0, y, return_dict=False)[0]
    close(ours("dpm-2-ancestral", path, x, draws=z), y)


def test_euler_ancestral_on_the_rectified_path(rng, monkeypatch):
    """Their steps are in float32. The last one, onto the data, draws nothing."""
    path, times = sb.path("rectified"), (0.95, 0.8, 0.55, 0.5, 0.2, 0.0)
    scheduler = diffusers.LTXEulerAncestralRFScheduler(eta=0.7)
    scheduler.set_timesteps(sigmas=torch.tensor(times))
    x = torch.from_numpy(rng.normal(size=(4, 1, 2, 2)))
    z = torch.from_numpy(rng.normal(size=(4, 4, 1, 2, 2)))
    draws_of(monkeypatch, scheduler, z)
    field = mixture(path, "velocity")
    y = x
    for t, time in zip(scheduler.timesteps[:-1], times[:-1], strict=True):
        y = scheduler.step(field(y, time), t, y, return_dict=False)[0]
    plan = sb.plan("euler-ancestral-rf[eta=0.7]", path, times, prediction="velocity")
    close(numpy_engine.run(plan, field, x.numpy(), lambda k: z[k].numpy()), y, 2e-6)


class Denoising:
    """A field whose flow map is one DDIM step with the mixture's denoiser: what a consistency function is made from."""

    def __init__(self, path):
        self.path, self.prediction, self.shape = path, "x0", (1, 2, 2)
        self.field = mixture(path)

    def __call__(self, x, t):
        return self.field(x, t)

    def jump(self, x, s, t):
        D = self.field(x, s)
        return self.path.alpha(t) * D + self.path.sigma(t) / self.path.sigma(s) * (x - self.path.alpha(s) * D)


def few_steps(scheduler, steps, **options):
    """A scheduler of a few-step rule on the discrete path, with our alphas, and its times with the data appended."""
    path = sb.path("vp-discrete")
    scheduler.set_timesteps(steps, **options)
    N = scheduler.config.num_train_timesteps
    scheduler.alphas_cumprod = torch.tensor([path.alpha((m + 1) / N) ** 2 for m in range(N)])
    return path, N


def test_lcm(rng, monkeypatch):
    """A large timestep_scaling makes their boundary function that of the denoiser. The last step is the data."""
    scheduler = diffusers.LCMScheduler(clip_sample=False, prediction_type="sample", timestep_scaling=1e8)
    path, N = few_steps(scheduler, 4)
    field = Denoising(path)
    x = torch.from_numpy(rng.normal(size=(4, 1, 2, 2)))
    z = torch.from_numpy(rng.normal(size=(3, 4, 1, 2, 2)))
    draws_of(monkeypatch, scheduler, z)
    y = x
    for t in scheduler.timesteps:
        y = scheduler.step(field(y, (int(t) + 1) / N), t, y, return_dict=False)[0]
    grid = sb.Grid(path, (*((int(t) + 1) / N for t in scheduler.timesteps), 0.0))
    plan = sb.plan("lcm", path, grid, prediction="x0")
    close(numpy_engine.run(plan, field, x.numpy(), lambda k: z[k].numpy()), y)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_tcd(eta, rng, monkeypatch):
    """Their level is that of the index floor((1 - eta) m), ours of the time (1 - eta) t: ours is given theirs."""
    scheduler = diffusers.TCDScheduler(clip_sample=False, prediction_type="sample")
    path, N = few_steps(scheduler, 4)
    field = Denoising(path)
    x = torch.from_numpy(rng.normal(size=(4, 1, 2, 2)))
    z = torch.from_numpy(rng.normal(size=(3, 4, 1, 2, 2)))
    draws_of(monkeypatch, scheduler, z)

    def down(t):
        return (math.floor((1 - eta) * round(t * N - 1)) + 1) / N

    y = x
    times = [(int(t) + 1) / N for t in scheduler.timesteps]
    for t in scheduler.timesteps[:-1]:  # their last step goes to index 0, which still has noise
        y = scheduler.step(field(y, (int(t) + 1) / N), t, y, eta=eta, return_dict=False)[0]
    traced = trace(lambda x, path, grid: jumps(x, path, grid, down), path, sb.Grid(path, tuple(times)), "x0",
                   name="tcd", takes=frozenset({"head", "tail"}))  # fmt: skip
    close(numpy_engine.run(traced, field, x.numpy(), lambda k: z[k].numpy()), y)


def test_consistency_model(x, rng, monkeypatch):
    """Their boundary function takes x_0 for the map at sigma_min, so that is where a map of ours must end."""
    path, floor = sb.path("edm"), 0.002
    scheduler = diffusers.CMStochasticIterativeScheduler(sigma_min=floor, clip_denoised=False)
    scheduler.set_timesteps(len(SIGMAS))
    scheduler.sigmas = torch.tensor([*SIGMAS, floor])
    scheduler.set_begin_index(0)
    scheduler.is_scale_input_called = True
    field = mixture(path)

    class Consistent(Denoising):
        def jump(self, x, s, t):
            c_skip, c_out = scheduler.get_scalings_for_boundary_condition(torch.tensor(s))
            return float(c_skip) * x + float(c_out) * field(x, s)

    z = torch.from_numpy(rng.normal(size=(len(SIGMAS), *x.shape)))
    draws_of(monkeypatch, scheduler, z)
    y = x
    for i, t in enumerate(scheduler.timesteps):
        y = scheduler.step(field(y, float(SIGMAS[i])), t, y, return_dict=False)[0]
    plan = sb.plan(f"ctm[gamma=1,floor={floor}]", path, [*SIGMAS, floor], prediction="x0")
    got = numpy_engine.run(plan, Consistent(path), x.numpy(), lambda k: z[k].numpy())
    close(got, y)
