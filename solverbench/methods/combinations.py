"""First-order steps combined: gradient estimation, Heun++, PFDiff, Richardson extrapolation, Picard; DPM-Solver-fast.

All but the last take Euler steps in canonical coordinates, x~_t = x~_s + (sigma~_t - sigma~_s) eps, which are DDIM, and
differ in which eps a step is given.
"""

from __future__ import annotations

from itertools import pairwise

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.exponential import exponential_rk
from solverbench.methods.pndm import ddim_step
from solverbench.methods.registry import solver
from solverbench.paths import Path
from solverbench.plans import State


@solver("gradient-estimation", order=1, integrates="noise", family="combined", cite="permenter2023gradient")
def gradient_estimation(x: State, path: Path, grid: Grid, *, gamma: float = 2.0) -> State:
    """Gradient estimation: a DDIM step with gamma eps + (1 - gamma) eps_old.

    It extrapolates eps by gamma - 1 times its last change; order two would take 1/2 on even steps in sigma~, and
    h/(2 h_old) on others (deis-rhoab1). The paper chooses gamma = 2 for its samples, so the order is one.
    """
    eps_old = None
    for s, t in grid.steps:
        eps = x.predict("noise", at=s).keep()
        x = ddim_step(x, path, s, t, eps if eps_old is None else gamma * eps + (1 - gamma) * eps_old)
        eps_old = eps
    return x


@solver("heunpp2", order=2, attains=(1, "coefficients"), integrates="noise", family="combined",
        cite="comfyui, comfy/k_diffusion/sampling.py")  # fmt: skip
def heunpp2(x: State, path: Path, grid: Grid) -> State:
    """Heun++: eps at s, and after Euler steps at t and at the level after it, in one average; the last step has two.

    Those at later levels u weigh sigma~_u/(n sigma~_0), n the number of values, sigma~_0 the first level, and that at s
    the rest: nearly all of it at low noise. Order two would take values whose mean level is the middle of the step.
    """
    sigma_0 = path.sigma_tilde(grid.steps[0][0])
    ends = [t for _, t in grid.steps]
    for i, (s, t) in enumerate(grid.steps):
        past, y = [x.predict("noise", at=s)], x
        for a, b in pairwise([s, *ends[i : i + 2]]):
            y = ddim_step(y, path, a, b, past[-1])
            past.append(y.predict("noise", at=b))
        w = [path.sigma_tilde(u) / (len(past) * sigma_0) for u in ends[i : i + 2]]
        eps = (1 - sum(w)) * past[0] + sum(w_u * eps_u for w_u, eps_u in zip(w, past[1:], strict=True))
        x = ddim_step(x, path, s, t, eps)
    return x


@solver("pfdiff-3-1", order=1, integrates="noise", family="combined", cite="wang2024pfdiff", k=3, h=1)
@solver("pfdiff-2-1", order=1, integrates="noise", family="combined", cite="wang2024pfdiff", k=2, h=1)
@solver("pfdiff-1", order=2, integrates="noise", family="combined", cite="wang2024pfdiff", k=1, h=1)
def pfdiff(x: State, path: Path, grid: Grid, *, k: int = 1, h: int = 1) -> State:
    """PFDiff-k_h on DDIM: a past eps leads to a springboard, whose eps, the future one, makes the step (algorithm 1).

    A step of the grid is k + 1 of the paper's, equal in lambda, and the springboard is the h-th of them. The first step
    is a plain one. With h/(k + 1) = 1/2 it is DPM-Solver-2 whose first stage is not evaluated, of order two; with any
    other fraction eps is taken off the middle, which leaves order one.
    """
    if not 1 <= h <= k:
        raise UsageError(f"pfdiff: needs 1 <= h <= k, got k={k}, h={h}")
    eps = None
    for s, t in grid.steps:
        if eps is None:
            eps = x.predict("noise", at=s)
        else:
            u = path.inverse_lam(path.lam(s) + (path.lam(t) - path.lam(s)) * h / (k + 1))
            eps = ddim_step(x, path, s, u, eps).predict("noise", at=u)
        eps = eps.keep()
        x = ddim_step(x, path, s, t, eps).keep()
    return x


@solver("rx-euler", order=2, integrates="noise", family="combined", cite="choi2025rxdpm")
def rx_euler(x: State, path: Path, grid: Grid, *, every: int = 2) -> State:
    """RX-Euler: Richardson extrapolation of `every` DDIM steps against one over the same interval.

    With H the whole interval and h_j its steps in sigma~, local errors of Euler's rule are in the ratio
    c = sum_j h_j^2/H^2 to 1, so (x_fine - c x_coarse)/(1 - c) is free of them. The coarse step reuses the first
    evaluation. Steps left over at the end are plain. With every = 2 it is the two-stage Runge-Kutta method in sigma~
    with its stage at h_1/H.
    """
    if every < 2:
        raise UsageError(f"rx-euler: extrapolation needs at least two steps, got every={every}")
    steps = grid.steps
    for i in range(0, len(steps), every):
        block = steps[i : i + every]
        s, t = block[0][0], block[-1][1]
        coarse = ddim_step(x, path, s, t, x.predict("noise", at=s))
        for a, b in block:
            x = ddim_step(x, path, a, b, x.predict("noise", at=a))
        if len(block) == every:
            h = [path.sigma_tilde(b) - path.sigma_tilde(a) for a, b in block]
            c = sum(h_j * h_j for h_j in h) / sum(h) ** 2
            x = (x - c * coarse) / (1 - c)
    return x


@solver("picard", order=1, integrates="noise", family="combined", cite="shih2023paradigms")
def picard(x: State, path: Path, grid: Grid, *, window: int = 4, sweeps: int = 2) -> State:
    """ParaDiGMs with a fixed number of sweeps: DDIM over windows of steps by Picard's iteration (algorithm 1).

    All states of a window start as its first one, in canonical coordinates; a sweep evaluates them together and sums
    the steps anew. After j sweeps the first j states are final and are not evaluated again; with as many sweeps as
    steps it is ddim. With fewer, K sweeps leave h^{K+1} of a window, beside the h^2 that DDIM leaves of it.
    The paper moves its window on by the states that have converged, which depends on their values: here windows are
    disjoint. What sweeps save is time on parallel machines: evaluations are more than DDIM's, though one that no later
    one reads is not made.
    """
    if window < 1 or sweeps < 1:
        raise UsageError(f"picard: needs window >= 1 and sweeps >= 1, got window={window}, sweeps={sweeps}")
    steps = grid.steps
    for i in range(0, len(steps), window):
        block = steps[i : i + window]
        s_0 = block[0][0]
        states = [path.alpha(t) / path.alpha(s_0) * x for t in (s_0, *(t for _, t in block))]
        eps: list[State] = [x] * len(block)
        for sweep in range(min(sweeps, len(block))):
            for j, (s, _) in enumerate(block[sweep:], start=sweep):
                eps[j] = states[j].predict("noise", at=s).keep()
            states = states[:1]
            for (s, t), eps_j in zip(block, eps, strict=True):
                states.append(ddim_step(states[-1], path, s, t, eps_j))
        x = states[-1].keep()
    return x


@solver("dpm-fast", order=3, attains=(2, "coefficients"), integrates="noise", family="dpm-solver", cite="lu2022dpm")
def dpm_fast(x: State, path: Path, grid: Grid, *, remainder: int = 0) -> State:
    """DPM-Solver-fast: steps of order three, and lower ones at the end to spend an exact number of evaluations.

    remainder: that number modulo 3. The last orders are 2, 1 for 0, 1 for 1 and 2 for 2, as in the authors' code; a
    last step of order one leaves order two in all.
    """
    if remainder not in (0, 1, 2):
        raise UsageError(f"dpm-fast: the remainder of a number modulo 3 is 0, 1 or 2, got {remainder}")
    tableaux = {1: "euler", 2: "midpoint", 3: "dpm3"}
    ends = ([2, 1], [1], [2])[remainder]
    orders = [3] * (len(grid.steps) - len(ends)) + ends
    for step, order in zip(grid.steps, orders[-len(grid.steps) :], strict=True):
        x = exponential_rk(x, path, grid.of(*step), tableau=tableaux[order], predicts="noise")
    return x
