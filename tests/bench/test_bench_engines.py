"""What a step costs outside the model, against diffusers and a loop written the usual way: `tox -e bench`.

The model is a constant tensor, so all that is timed is the solver's own work: DPM-Solver++(2M), 20 steps, float32.
"""

import pytest
import torch

import solverbench as sb
from solverbench.engines.torch import Runner

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers

STEPS = 20
SHAPE = (3, 32, 32)


class Constant:
    """A field that costs nothing."""

    prediction = "x0"
    shape = SHAPE

    def __init__(self, path, D):
        self.path, self.D = path, D

    def __call__(self, x, t):
        return self.D


def runner(batch, grid):
    """A torch engine with plan and buffers made beforehand, as for every chunk but the first."""
    return Runner(sb.plan("dpmpp-2m", grid.path, grid, prediction="x0"), batch, SHAPE, torch.float32)


def ours(x, D, grid):
    run, field = runner(len(x), grid), Constant(grid.path, D)
    return lambda: run(field, x)


def plain(x, D, grid):
    """The algorithm as papers' repositories write it: tensors for scalars, a temporary for every operation."""
    path = grid.path
    alphas, sigmas = (torch.tensor([f(t) for t in grid], dtype=torch.float32) for f in (path.alpha, path.sigma))
    lams = alphas.log() - sigmas.log()

    def run():
        state, old, h_last = x, None, None
        for n in range(STEPS):
            h = lams[n + 1] - lams[n]
            D_bar = D
            if old is not None:
                r = h_last / h
                D_bar = (1 + 1 / (2 * r)) * D - (1 / (2 * r)) * old
            state = (sigmas[n + 1] / sigmas[n]) * state - alphas[n + 1] * (-h).expm1() * D_bar
            old, h_last = D, h
        return state

    return run


def scheduler():
    """diffusers' DPMSolverMultistepScheduler as it comes, for a model that predicts x0."""
    return pytest.importorskip("diffusers").schedulers.DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++", solver_order=2, prediction_type="sample", lower_order_final=False,
        final_sigmas_type="sigma_min", timestep_spacing="trailing",
    )  # fmt: skip


def diffusers(x, D, grid):
    steps = scheduler()

    def run():
        steps.set_timesteps(STEPS)
        state = x
        for t in steps.timesteps:
            state = steps.step(D, t, state, return_dict=False)[0]
        return state

    return run


def scheduler_grid():
    """The times of the scheduler on the same path, DDPM's thousand betas."""
    made, path = scheduler(), sb.path("vp-discrete")
    made.set_timesteps(STEPS)
    return sb.grid([path.inverse_sigma_tilde(float(s)) for s in made.sigmas], path)


@pytest.mark.parametrize("batch", [64, 1024])
def test_bench_step(batch, benchmark, side_by_side):
    x, D = (torch.randn((batch, *SHAPE)) for _ in range(2))
    grid = scheduler_grid()
    candidates = {"solverbench": ours(x, D, grid), "plain loop": plain(x, D, grid), "diffusers": diffusers(x, D, grid)}
    mine, *others = (run() for run in candidates.values())
    for other in others:  # the same samples, or the comparison means nothing
        torch.testing.assert_close(other, mine, rtol=1e-4, atol=1e-4)
    side_by_side(f"a step outside the model, batch {batch}", candidates, per=STEPS)
    benchmark.pedantic(candidates["solverbench"], rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("batch", [512, 1024])
@pytest.mark.parametrize("operands", [2, 3, 5])
def test_bench_fused_pass(batch, operands, benchmark, side_by_side):
    """K states combined in one pass over memory, as a share of the bandwidth at which the machine copies."""
    run = runner(batch, sb.grid("edm", "edm", STEPS))
    rows = [torch.randn(batch * 3072) for _ in range(operands)]
    coefficients = [0.3 + k for k in range(operands)]
    target = torch.empty_like(rows[0])

    def share(seconds):
        # in place: K rows read, of which one is written
        return f", {(operands + 1) / seconds['fused'] / (2 / seconds['copy']):.0%} of copy bandwidth"

    candidates = {
        "copy": lambda: target.copy_(rows[-1]),
        "fused": lambda: run._combine(rows[0], rows, coefficients),
    }
    side_by_side(f"{operands} operands, batch {batch}", candidates, rounds=60, note=share)
    benchmark.pedantic(candidates["fused"], rounds=10, warmup_rounds=1)
