"""What a step costs outside the model, against diffusers and a loop written the usual way: `tox -e bench`.

The model is a constant tensor, so all that is timed is the solver's own work: DPM-Solver++(2M), 20 steps, float32.
"""

from itertools import pairwise

import pytest
import torch

import solverbench as sb
from solverbench.engines.torch import Runner

STEPS = 20
SHAPE = (3, 32, 32)


class Constant:
    """A field that costs nothing."""

    prediction = "x0"
    shape = SHAPE

    def __init__(self, D):
        self.path, self.D = sb.path("edm"), D

    def __call__(self, x, t):
        return self.D


def runner(batch):
    """A torch engine with plan and buffers made beforehand, as for every chunk but the first."""
    plan = sb.plan("dpmpp-2m", "edm", sb.grid("edm", "edm", STEPS, zero=False), prediction="x0")
    return Runner(plan, batch, SHAPE, torch.float32)


def ours(x, D):
    run, field = runner(len(x)), Constant(D)
    return lambda: run(field, x)


def plain(x, D, sigmas):
    """The algorithm as papers' repositories write it: tensors for scalars, a temporary for every operation."""

    def run():
        state, old, h_last = x, None, None
        for s, t in pairwise(sigmas):
            h = s.log() - t.log()
            D_bar = D
            if old is not None:
                r = h_last / h
                D_bar = (1 + 1 / (2 * r)) * D - (1 / (2 * r)) * old
            state = (t / s) * state - (-h).expm1() * D_bar
            old, h_last = D, h
        return state

    return run


def diffusers(x, D, sigmas):
    """diffusers' EDMDPMSolverMultistepScheduler on the same grid, its denoiser output given as noise-free sample."""
    schedulers = pytest.importorskip("diffusers").schedulers
    scheduler = schedulers.EDMDPMSolverMultistepScheduler(
        solver_order=2, prediction_type="epsilon", lower_order_final=False, final_sigmas_type="sigma_min"
    )

    def run():
        scheduler.set_timesteps(STEPS)
        scheduler.sigmas = sigmas
        scheduler.set_begin_index(0)
        scheduler.convert_model_output = lambda output, sample: output  # the model returns D itself
        state = x
        for t in scheduler.timesteps:
            state = scheduler.step(D, t, state, return_dict=False)[0]
        return state

    return run


@pytest.mark.parametrize("batch", [64, 1024])
def test_bench_step(batch, benchmark, side_by_side):
    x, D = (torch.randn((batch, *SHAPE)) for _ in range(2))
    sigmas = torch.tensor(sb.grid("edm", "edm", STEPS, zero=False).times, dtype=torch.float32)
    candidates = {
        "solverbench": ours(x, D),
        "plain loop": plain(x, D, sigmas),
        "diffusers": diffusers(x, D, sigmas),
    }
    mine, *others = (run() for run in candidates.values())
    for other in others:  # the same samples, or the comparison means nothing
        torch.testing.assert_close(other, mine, rtol=1e-4, atol=1e-4)
    side_by_side(f"a step outside the model, batch {batch}", candidates, per=STEPS)
    benchmark.pedantic(candidates["solverbench"], rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("batch", [512, 1024])
@pytest.mark.parametrize("operands", [2, 3, 5])
def test_bench_fused_pass(batch, operands, benchmark, side_by_side):
    """K states combined in one pass over memory, as a share of the bandwidth at which the machine copies."""
    run = runner(batch)
    rows = [torch.randn(batch * 3072) for _ in range(operands)]
    terms = [(row, 0.3 + k) for k, row in enumerate(rows)]
    target = torch.empty_like(rows[0])

    def share(seconds):
        # in place: K rows read, of which one is written
        return f", {(operands + 1) / seconds['fused'] / (2 / seconds['copy']):.0%} of copy bandwidth"

    candidates = {"copy": lambda: target.copy_(rows[-1]), "fused": lambda: run._combine(rows[0], list(terms))}
    side_by_side(f"{operands} operands, batch {batch}", candidates, rounds=60, note=share)
    benchmark.pedantic(candidates["fused"], rounds=10, warmup_rounds=1)
