"""Flow maps: a field that knows x_s -> x_t for any two times needs no integration, only jumps.

A jump may end below the noise level it is meant for and be raised to it by fresh noise, x~_t = x~_d + sqrt(sigma~_t^2 -
sigma~_d^2) z: from exact jumps the marginals stay exact, and errors of the map are forgotten in part. The rules differ
in the level d between the data (all of x_t anew, the consistency rule) and t itself (no noise).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.numbers import Number, sqrt
from solverbench.paths import Path
from solverbench.plans import State


def jumps(x: State, path: Path, grid: Grid, down: Callable[[Number], Number]) -> State:
    """For every step jump to the time down(t) <= t, then add the noise between it and t."""
    for s, t in grid.pairs:
        d = t if path.is_data(t) else down(t)
        x_d = x.jump(s, d)
        if d < t:
            sigma_d, sigma_t = path.sigma_tilde(d), path.sigma_tilde(t)
            added = sqrt((sigma_t - sigma_d) * (sigma_t + sigma_d))
            x_d = path.alpha(t) * (x_d / path.alpha(d) + added * x.noise(s, t))
        x = x_d
    return x


@solver("shortcut", integrates="flow map", family="flow-map", cite="frans2024shortcut", takes=("head", "tail"),
        reason="x + d s(x, t, d) is the jump itself, s its mean slope")  # fmt: skip
@solver("meanflow", integrates="flow map", family="flow-map", cite="geng2025meanflow", takes=("head", "tail"),
        reason="z - (t - r) u(z, r, t) is the jump itself, u its mean velocity")  # fmt: skip
@solver("flow-map", integrates="flow map", family="flow-map", cite="boffi2024flowmap", takes=("head", "tail"))
def flow_map(x: State, path: Path, grid: Grid) -> State:
    """One jump per step of the grid, x_t = Psi(x_s, s, t). Exact on a field whose flow map is exact, at any number."""
    return jumps(x, path, grid, lambda t: t)


@solver("lcm", integrates="flow map", family="flow-map", cite="luo2023lcm", takes=("head", "tail"),
        reason="the consistency rule on a variance-preserving path (algorithm 3)")  # fmt: skip
@solver("scm", integrates="flow map", family="flow-map", cite="lu2025scm", takes=("head", "tail"),
        reason="the consistency rule on the trigonometric path")  # fmt: skip
@solver("dmd2", integrates="flow map", family="flow-map", cite="yin2024dmd2, sec. 4.4", takes=("head", "tail"),
        reason="a generator of data in place of the map, its output made noisy anew: the consistency rule")  # fmt: skip
@solver("consistency", integrates="flow map", family="flow-map", cite="song2023consistency", takes=("head", "tail"))
def consistency(x: State, path: Path, grid: Grid) -> State:
    """Multistep consistency sampling: to the data, then noise of level t (algorithm 1).

    x_t = alpha_t f(x_s, s) + sigma_t z. The map is asked for the data only, so a consistency function will do. The
    paper's data are at sigma = epsilon: ctm[gamma=1,floor=epsilon] on a grid that ends there is its rule to the letter.
    """
    return jumps(x, path, grid, lambda t: t * 0)


@solver("tcd", integrates="flow map", family="flow-map", cite="zheng2024tcd", takes=("head", "tail"))
def tcd(x: State, path: Path, grid: Grid, *, eta: float = 0.3) -> State:
    """Strategic stochastic sampling: jump to the time (1 - eta) t, then noise up to t (TCD, whose gamma is eta).

    eta = 0 is flow-map, eta = 1 the consistency rule. Times are the path's own, so the level depends on the path.
    """
    if not 0 <= eta <= 1:
        raise UsageError(f"tcd: eta must be between 0 and 1, got {eta}")
    return jumps(x, path, grid, lambda t: (1 - eta) * t)


@solver("ctm", integrates="flow map", family="flow-map", cite="kim2023ctm", takes=("head", "tail"))
def ctm(x: State, path: Path, grid: Grid, *, gamma: float = 0.5, floor: float = 0.0) -> State:
    """Gamma-sampling: jump to the level sqrt(1 - gamma^2) sigma~_t, then noise up to t (CTM, algorithm 3).

    gamma = 0 is flow-map, gamma = 1 the consistency rule. floor: the level the authors' code calls the data,
    sigma_min, from which the levels are then counted.
    """
    if not 0 <= gamma <= 1:
        raise UsageError(f"ctm: gamma must be between 0 and 1, got {gamma}")
    if floor < 0:
        raise UsageError(f"ctm: floor is a noise level, not below zero, got {floor}")

    def down(t: Number) -> Number:
        sigma_t = path.sigma_tilde(t)
        if gamma == 0 or sigma_t <= floor:
            return t
        level = math.sqrt(1 - gamma * gamma) * (sigma_t - floor) + floor
        return path.inverse_sigma_tilde(level) if level > 0 else t * 0

    return jumps(x, path, grid, down)
