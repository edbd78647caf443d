"""Deterministic steps with noise between them: ancestral sampling, churn and restarts.

Adding independent noise takes the exact marginal at s to the exact marginal at t > s, on any path:

    x~_t = x~_s + sqrt(sigma~_t^2 - sigma~_s^2) z.

So a deterministic method may go too far down and be raised again (ancestral), be raised before every step (churn), or
be sent back over an interval several times (restart); the marginals it ends with keep the order of the method. A
deterministic method is any solver, and one step of it the solver on a grid of one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from solverbench.errors import UsageError, check_known
from solverbench.eta import ONE, ZERO, Eta, Piece
from solverbench.grids import Grid
from solverbench.methods.exponential import exponential_rk
from solverbench.methods.registry import Shortfall, solver
from solverbench.methods.runge_kutta import rk_sigma
from solverbench.numbers import Number, exp, log, sqrt
from solverbench.paths import Path
from solverbench.plans import State

Rule: TypeAlias = Callable[[State, Path, Grid], State]
RULES: dict[str, Rule] = {
    "euler": partial(rk_sigma, tableau="euler"),
    "heun": partial(rk_sigma, tableau="heun"),
    "dpm-2": partial(exponential_rk, tableau="midpoint", predicts="noise"),
    "dpmpp-2s": partial(exponential_rk, tableau="midpoint", predicts="x0"),
}
"""Deterministic steps by name."""


def posterior_levels(path: Path, s: Number, t: Number, eta: float) -> tuple[Number, Number]:
    """(down, up): the level to step down to and the deviation of the noise that leads from there to sigma~_t.

    At eta = 1 up is the posterior deviation of x~_t given x~_s and x_0; beyond sigma~_t it is cut off.
    """
    sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
    up = min(sigma_t, eta * sigma_t * sqrt((1 - sigma_t / sigma_s) * (1 + sigma_t / sigma_s)))
    return sqrt((sigma_t - up) * (sigma_t + up)), up


def time_levels(path: Path, s: Number, t: Number, eta: float) -> tuple[Number, Number]:
    """The same, with the level down that of the time t (1 - eta (1 - t/s)), for the rectified path."""
    down, sigma_t = path.sigma_tilde(t * (1 - eta * (1 - t / s))), path.sigma_tilde(t)
    return down, sqrt((sigma_t - down) * (sigma_t + down))


BETWEEN: tuple[int, Shortfall] = 1, "coefficients"
"""What ancestral steps of order two attain: their stages see the levels of a step that goes too far down, so the
variance of the law converges at order two, its mean given the start at order one."""
LEVELS = {"posterior": posterior_levels, "time": time_levels}


def ancestral(x: State, path: Path, grid: Grid, rule: Rule, eta: Eta, s_noise: float, levels: str) -> State:
    """Down past t by the rule, then up to t: marginals of the rule's order, a transition law of order one.

    levels: "posterior", k-diffusion's, or "time", ComfyUI's for the rectified path, whose eta is the square of the
    process's strength. Raises UsageError for others, and for an eta that steps below the data.
    """
    check_known("ancestral levels", levels, LEVELS)
    if levels == "time" and eta.largest > 1:
        raise UsageError(f"ancestral steps need eta <= 1 for levels in time, got {eta}")
    if not eta:
        return rule(x, path, grid)
    for s, t in grid.steps:
        down, up = LEVELS[levels](path, s, t, eta.over(path, s, t))
        if down > 0:
            d = path.inverse_sigma_tilde(down)
            x_d = rule(x, path, Grid(path, (s, d))) / path.alpha(d)
        else:
            x_d = x.predict("x0", at=s)
        x = path.alpha(t) * (x_d + s_noise * up * x.noise(s, t))
    return x


@solver("dpmpp-2s-ancestral", order=2, attains=BETWEEN, integrates="x0", family="ancestral",
        cite="crowson2022kdiffusion", rule="dpmpp-2s")  # fmt: skip
@solver("dpm-2-ancestral", order=2, attains=BETWEEN, integrates="noise", family="ancestral",
        cite="crowson2022kdiffusion", rule="dpm-2")  # fmt: skip
@solver("euler-ancestral-rf", order=1, integrates="noise", family="ancestral",
        cite="comfyui, comfy/k_diffusion/sampling.py", levels="time",
        reason="euler-ancestral with the levels ComfyUI takes on rectified flows")  # fmt: skip
@solver("euler-ancestral", order=1, integrates="noise", family="ancestral", cite="crowson2022kdiffusion")
def ancestral_sampling(
    x: State,
    path: Path,
    grid: Grid,
    *,
    rule: str = "euler",
    eta: Eta = ONE,
    s_noise: float = 1.0,
    levels: str = "posterior",
) -> State:
    """A step of the rule down to sigma_down, then noise (k-diffusion's *_ancestral).

    By Euler in sigma~ and with s_noise = 1 it is the same method as ddim of that eta.
    """
    check_known("rule", rule, RULES)
    return ancestral(x, path, grid, RULES[rule], eta, s_noise, levels)


@solver("sde-dpmpp-2s", order=2, integrates="x0", family="ancestral", cite="crowson2022kdiffusion")
def sde_dpmpp_2s(x: State, path: Path, grid: Grid, *, eta: Eta = ONE, r: float = 0.5, s_noise: float = 1.0) -> State:
    """DPM++ SDE: two ancestral steps from s, to the stage at lambda_s + r h and, with the D found there, to t.

    Both draws are increments of one Brownian motion in sigma~, so that of [s, t] contains that of [s, u]. SEEDS-2
    composes them as the process does; the correlations differ by O(h), which costs nothing in order. An ancestral
    step is the process's own at eta = 0 and 1; in between to first order, so the transition law is of order one there.
    """
    if not 0 < r < 1:
        raise UsageError(f"sde-dpmpp-2s: needs its stage inside the step, 0 < r < 1, got r={r}")

    def to(t: Number, D: State, z: State | int) -> State:
        down, up = posterior_levels(path, s, t, eta_n)
        ratio = down / path.sigma_tilde(s)
        return path.alpha(t) * (ratio * x / path.alpha(s) + (1 - ratio) * D + s_noise * up * z)

    for s, t in grid.steps:
        u = path.inverse_lam(path.lam(s) + r * (path.lam(t) - path.lam(s)))
        eta_n = eta.over(path, s, t)
        z_u: State | int = 0
        z_t: State | int = 0
        if eta_n:
            part = (path.sigma_tilde(s) - path.sigma_tilde(u)) / (path.sigma_tilde(s) - path.sigma_tilde(t))
            z_u = x.noise(s, u)
            z_t = sqrt(part) * z_u + sqrt(1 - part) * x.noise(u, t)
        D = x.predict("x0", at=s)
        D_u = to(u, D, z_u).predict("x0", at=u)
        x = to(t, D + (D_u - D) / (2 * r), z_t)
    return x


def churned(
    x: State, path: Path, grid: Grid, rule: Rule, s_churn: float, s_min: float, s_max: float, s_noise: float
) -> State:
    """Raise the noise level by a factor 1 + gamma, then one step of the rule down to t (EDM, algorithm 2)."""
    for s, t in grid.steps:
        sigma_s = path.sigma_tilde(s)
        if gamma := churn(sigma_s, len(grid), s_churn, s_min, s_max):
            s_hat = path.inverse_sigma_tilde(sigma_s * (1 + gamma))
            added = s_noise * sigma_s * math.sqrt(gamma * (2 + gamma))
            x = path.alpha(s_hat) * (x / path.alpha(s) + added * x.noise(s, s_hat))
            s = s_hat
        x = rule(x, path, grid.of(s, t))
    return x


def churn(sigma_s: Number, N: int, s_churn: float, s_min: float, s_max: float) -> float:
    """gamma = min(s_churn/N, sqrt(2) - 1) while s_min <= sigma~ <= s_max, N the number of steps of the whole grid."""
    return min(s_churn / N, math.sqrt(2) - 1) if s_churn > 0 and s_min <= sigma_s <= s_max else 0.0


def churn_strength(grid: Grid, s_churn: float, s_min: float = 0.0, s_max: float = math.inf) -> Eta:
    """The strength of the reverse process that churn follows on a grid: eta^2 = log(1 + gamma)/h in a step of length h.

    Of what the flow keeps of a direction of variance lam, a step raised by 1 + gamma and solved down exactly keeps
    ((lam + u_s)/(lam + (1 + gamma)^2 u_s))^{1/2}, the process ((lam + u_t)/(lam + u_s))^{eta^2/2}: equal at lam = 0, to
    first order in gamma and h elsewhere, so with more steps the kernels meet at order one. This is for s_noise = 1:
    another one adds variance, and is no process with these marginals.
    """
    path, pieces = grid.path, []
    for s, t in reversed(grid.steps):
        if gamma := churn(path.sigma_tilde(s), len(grid), s_churn, s_min, s_max):
            h = float(path.lam(t) - path.lam(s))
            levels = (float(path.sigma_tilde(r)) for r in (t, s))
            pieces.append(Piece(math.sqrt(math.log1p(gamma) / h), *levels))
    return Eta(tuple(pieces)) if pieces else ZERO


@solver("dpm-2-churn", order=2, integrates="noise", family="edm", cite="crowson2022kdiffusion", rule="dpm-2",
        s_churn=30.0, s_min=0.01, s_max=1.0,
        reason="k-diffusion's sample_dpm_2, in edm-stochastic's range")  # fmt: skip
@solver("euler-churn", order=1, integrates="noise", family="edm", cite="crowson2022kdiffusion", rule="euler",
        s_churn=30.0, s_min=0.01, s_max=1.0,
        reason="k-diffusion's sample_euler, in edm-stochastic's range")  # fmt: skip
@solver("edm-stochastic", order=2, attains=(0, "coefficients"), integrates="noise", family="edm", cite="karras2022edm",
        s_churn=30.0, s_min=0.01, s_max=1.0, s_noise=1.007,
        reason="the settings of Karras et al. (2022, table 5) for CIFAR-10; its s_noise adds variance in every "
               "step, so that with more steps it tends to another law")  # fmt: skip
@solver("edm-heun", order=2, integrates="noise", family="edm", cite="karras2022edm")
def edm_sampler(
    x: State,
    path: Path,
    grid: Grid,
    *,
    rule: str = "heun",
    s_churn: float = 0.0,
    s_min: float = 0.0,
    s_max: float = math.inf,
    s_noise: float = 1.0,
) -> State:
    """EDM's sampler: churn, then a Heun step in sigma~ (algorithm 2). Without churn it is algorithm 1, rho-2heun."""
    if s_churn < 0 or s_min > s_max:
        raise UsageError(f"churn needs s_churn >= 0 and s_min <= s_max, got {s_churn=}, {s_min=}, {s_max=}")
    check_known("rule", rule, RULES)
    return churned(x, path, grid, RULES[rule], s_churn, s_min, s_max, s_noise)


@solver("restart", order=2, attains=(0, "coefficients"), integrates="noise", family="edm", cite="xu2023restart")
def restart(
    x: State,
    path: Path,
    grid: Grid,
    *,
    s_low: float = 0.06,
    s_high: float = 0.3,
    visits: int = 2,
    points: int = 3,
    s_noise: float = 1.003,
) -> State:
    """Restart: at the grid's level nearest s_low, up to s_high by noise and down again by Heun, `visits` times.

    points: levels of each descent, its ends included, at equal distances in sigma~^{1/7} (algorithm 1 and the authors'
    example for CIFAR-10; the churn of their code inside a descent is not in the paper and is left out). The
    descents have their own steps, so a finer grid alone does not take their error away.
    """
    if visits < 0 or points < 2:
        raise UsageError(f"restart: needs visits >= 0 and points >= 2, got visits={visits}, points={points}")
    low = min((t for _, t in grid.steps), key=lambda t: abs(path.sigma_tilde(t) - s_low), default=None)
    for s, t in grid.steps:
        x = RULES["heun"](x, path, Grid(path, (s, t)))
        sigma_t = path.sigma_tilde(t)
        if t != low or sigma_t >= s_high:
            continue
        first, last = _root(sigma_t * 0 + s_high), _root(sigma_t)
        levels = [(first + (last - first) * i / (points - 1)) ** 7 for i in range(points - 1)]
        times = [*map(path.inverse_sigma_tilde, levels), t]
        added = s_noise * sqrt((levels[0] - sigma_t) * (levels[0] + sigma_t))
        for visit in range(visits):
            x = path.alpha(times[0]) * (x / path.alpha(t) + added * x.noise(t, times[0], visit))
            x = RULES["heun"](x, path, Grid(path, tuple(times)))
    return x


def _root(sigma: Number) -> Number:
    """sigma^{1/7} in the number type of sigma."""
    return exp(log(sigma) / 7)
