"""Exponential multistep methods with noise: SDE-DPM-Solver and SDE-DPM-Solver++ (see `exponential` for the formula).

The polynomials are those of the drift. In the variance, on Gaussian fields, none of these exceeds order two.
"""

from __future__ import annotations

from itertools import pairwise

from solverbench.errors import check_known
from solverbench.eta import ONE, Eta
from solverbench.grids import Grid
from solverbench.methods.exponential import Predicts, linear_part
from solverbench.methods.registry import solver
from solverbench.numbers import Number, phi
from solverbench.paths import Path
from solverbench.plans import State


def exponential_sde_step(
    x: State, path: Path, s: Number, t: Number, predicts: Predicts, eta: Eta, F: tuple[State, ...]
) -> State:
    """x_t for F(lambda_s + tau) whose integral is h sum_n phi_{n+1}(k) F[n]: F[n] is h^n times its n-th derivative."""
    h = path.lam(t) - path.lam(s)
    eta_n = eta.over(path, s, t)
    ratio, weight, k, spread = linear_part(path, predicts, s, t, eta_n)
    x_t = ratio * x + sum(weight * h * phi(n + 1, k) * F_n for n, F_n in enumerate(F))
    return x_t + spread * x.noise(s, t) if eta_n else x_t


@solver("sde-dpmpp-1", order=1, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def sde_dpmpp_1(x: State, path: Path, grid: Grid, *, eta: Eta = ONE, predicts: Predicts = "x0") -> State:
    """SDE-DPM-Solver++(1): the linear part of the reverse SDE exactly, D frozen. At eta = 1 it is ddpm."""
    for s, t in grid.steps:
        x = exponential_sde_step(x, path, s, t, predicts, eta, (x.predict(predicts, at=s),))
    return x


solver("sde-dpm-1", order=1, integrates="noise", family="dpm-solver", cite="lu2022dpmpp", predicts="noise",
       reason="SDE-DPM-Solver-1 is the same step on the noise prediction")(sde_dpmpp_1)  # fmt: skip


@solver("sde-dpm-2m", order=2, integrates="noise", family="dpm-solver", cite="lu2022dpmpp", predicts="noise",
        reason="SDE-DPM-Solver-2M is the same step on the noise prediction")  # fmt: skip
@solver("sde-dpmpp-2m", order=2, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def sde_dpmpp_2m(
    x: State, path: Path, grid: Grid, *, eta: Eta = ONE, variant: str = "midpoint", predicts: Predicts = "x0"
) -> State:
    """SDE-DPM-Solver++(2M): D extrapolated from the last two values.

    variant: "midpoint" takes phi_1/2 for the slope's weight, "heun" the exact phi_2, as k-diffusion names them.
    """
    check_known("variant", variant, ("midpoint", "heun"), "sde-dpmpp-2m: ")
    F_old, h_old = None, None
    for s, t in grid.steps:
        F = x.predict(predicts, at=s).keep()
        h = path.lam(t) - path.lam(s)
        terms: tuple[State, ...] = (F,)
        if F_old is not None:
            slope = h / h_old * (F - F_old)
            terms = (F, slope) if variant == "heun" else (F + slope / 2,)
        x = exponential_sde_step(x, path, s, t, predicts, eta, terms)
        F_old, h_old = F, h
    return x


@solver("sde-dpmpp-3m", order=3, attains=(2, "coefficients"), integrates="x0", family="dpm-solver++",
        cite="crowson2022kdiffusion")  # fmt: skip
def sde_dpmpp_3m(x: State, path: Path, grid: Grid, *, eta: Eta = ONE) -> State:
    """DPM-Solver++(3M) SDE as k-diffusion publishes it: order two.

    Like dpmpp-3m it multiplies phi_3 by the second divided difference, which is half of h^2 D'', so half the term of
    third order is missing. Its second step takes the exact phi_2 where dpmpp-3m takes phi_1/2.
    """
    past: list[tuple[Number, State]] = []
    for s, t in grid.steps:
        past = [(path.lam(s), x.predict("x0", at=s).keep()), *past[:2]]
        h = path.lam(t) - path.lam(s)
        r = [(u - v) / h for (u, _), (v, _) in pairwise(past)]
        D1 = [(D - D_old) / r_i for r_i, ((_, D), (_, D_old)) in zip(r, pairwise(past), strict=True)]
        terms: tuple[State, ...] = (past[0][1], *D1)
        if len(D1) == 2:
            D2 = (D1[0] - D1[1]) / (r[0] + r[1])
            terms = past[0][1], D1[0] + r[0] * D2, D2
        x = exponential_sde_step(x, path, s, t, "x0", eta, terms)
    return x
