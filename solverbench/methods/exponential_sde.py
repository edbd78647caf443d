"""Exponential integrators with noise: SDE-DPM-Solver, SDE-DPM-Solver++ and SEEDS.

The reverse process of strength eta (see `stochastic`) is semilinear in lambda in either prediction, as its ODE is
(see `exponential`). With h = lambda_t - lambda_s and z standard normal,

    x_t = ratio x_s + weight int_0^h e^{(k/h)(h - tau)} F(lambda_s + tau) dtau + spread z

    F = x0:     ratio = sigma_t/sigma_s e^{-eta^2 h}   weight =  (1 + eta^2) alpha_t   k = -(1 + eta^2) h
                spread = sigma_t sqrt(1 - e^{-2 eta^2 h})
    F = noise:  ratio = alpha_t/alpha_s                weight = -(1 + eta^2) sigma_t   k = h
                spread = eta sigma_t sqrt(e^{2h} - 1)

(DPM-Solver++, eq. 18 and its noise-prediction twin, at eta = 1.) The noise of [s, t] is that of [s, u], times the
ratio from u to t, plus that of [u, t]: stages within a step share one path of the process.

The polynomials are those of the drift. In the variance, on Gaussian fields, none of these exceeds order two.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeAlias

from solverbench.errors import UsageError, nearest
from solverbench.grids import Grid
from solverbench.methods.exponential import DPM2, DPM3, ETD2RK, ExponentialTableau, linear_part, value
from solverbench.methods.registry import solver
from solverbench.numbers import Number, exp, expm1, phi, sqrt
from solverbench.paths import Path
from solverbench.plans import State

Predicts: TypeAlias = Literal["x0", "noise"]


def stochastic_part(
    path: Path, predicts: Predicts, s: Number, t: Number, eta: float
) -> tuple[Number, Number, Number, Number]:
    """(ratio, weight, k, spread) of the formula above from s to t. Raises UsageError for other predictions."""
    ratio, weight, k = linear_part(path, predicts, s, t)
    h, strength = path.lam(t) - path.lam(s), eta * eta
    if predicts == "x0":
        ratio, k = ratio * exp(-strength * h), (1 + strength) * k
        spread = path.sigma(t) * sqrt(-expm1(-2 * strength * h))
    else:
        spread = eta * path.sigma(t) * sqrt(expm1(2 * h))
    return ratio, (1 + strength) * weight, k, spread


def exponential_sde_rk(
    x: State, path: Path, grid: Grid, tableau: ExponentialTableau, predicts: Predicts, eta: float
) -> State:
    """Step a tableau of phi functions over the grid, every stage on the same path of the process."""
    for s, t in grid.steps:
        h = path.lam(t) - path.lam(s)
        F: list[State] = []
        N: State | int = 0  # noise of [s, r]
        r = s
        for c, row in zip((*tableau.c, Fraction(1)), (*tableau.a, tableau.b), strict=True):
            u = s if c == 0 else t if c == 1 else path.inverse_lam(path.lam(s) + h * c.numerator / c.denominator)
            if eta and u != r:
                ratio, _, _, spread = stochastic_part(path, predicts, r, u, eta)
                N, r = ratio * N + spread * x.noise(r, u), u
            ratio, weight, k, _ = stochastic_part(path, predicts, s, u, eta)
            x_u = ratio * x + N
            for entry, F_j in zip(row, F, strict=True):
                terms = (value(f, k, c) * w.numerator / w.denominator for f, w in entry.items())
                x_u = x_u + weight * h * sum(terms) * F_j
            if len(F) < len(tableau.c):
                F.append((x if c == 0 else x_u).predict(predicts, at=u))
        x = x_u
    return x


@solver("seeds-2", order=2, integrates="x0", family="seeds", cite="gonzalez2023seeds")
def seeds_2(x: State, path: Path, grid: Grid, *, eta: float = 1.0, predicts: Predicts = "x0") -> State:
    """SEEDS-2, r = 1/2: DPM-Solver-2's stages on the reverse SDE.

    Its order is that of the drift; what the paper proves with noise is order one.
    """
    return exponential_sde_rk(x, path, grid, DPM2, predicts, eta)


@solver("seeds-3", order=3, integrates="x0", family="seeds", cite="gonzalez2023seeds")
def seeds_3(x: State, path: Path, grid: Grid, *, eta: float = 1.0, predicts: Predicts = "x0") -> State:
    """SEEDS-3, r = 1/3 and 2/3: DPM-Solver-3's stages on the reverse SDE.

    Its order is that of the drift. With noise the paper proves one; the variance on Gaussian fields shows two.
    """
    return exponential_sde_rk(x, path, grid, DPM3, predicts, eta)


@solver("exp-heun-2-x0", order=2, integrates="x0", family="exponential", cite="cox2002etd", eta=0.0,
        reason="without noise ComfyUI's name for ETD2RK on the data prediction")  # fmt: skip
@solver("exp-heun-2-x0-sde", order=2, integrates="x0", family="exponential",
        cite="comfyui, comfy/k_diffusion/sampling.py")  # fmt: skip
def exp_heun_2_x0_sde(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
    """Exponential Heun on the reverse SDE: SEEDS-2 with its stage at the end of the step, and phi_2."""
    return exponential_sde_rk(x, path, grid, ETD2RK, "x0", eta)


def exponential_sde_step(
    x: State, path: Path, s: Number, t: Number, predicts: Predicts, eta: float, F: tuple[State, ...]
) -> State:
    """x_t for F(lambda_s + tau) whose integral is h sum_n phi_{n+1}(k) F[n]: F[n] is h^n times its n-th derivative."""
    h = path.lam(t) - path.lam(s)
    ratio, weight, k, spread = stochastic_part(path, predicts, s, t, eta)
    x_t = ratio * x + sum(weight * h * phi(n + 1, k) * F_n for n, F_n in enumerate(F))
    return x_t + spread * x.noise(s, t) if eta else x_t


@solver("seeds-1", order=1, integrates="x0", family="seeds", cite="gonzalez2023seeds",
        reason="SEEDS-1 on the data prediction freezes D in the same formula")  # fmt: skip
@solver("sde-dpmpp-1", order=1, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def sde_dpmpp_1(x: State, path: Path, grid: Grid, *, eta: float = 1.0, predicts: Predicts = "x0") -> State:
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
    x: State, path: Path, grid: Grid, *, eta: float = 1.0, variant: str = "midpoint", predicts: Predicts = "x0"
) -> State:
    """SDE-DPM-Solver++(2M): D extrapolated from the last two values (DPM-Solver++, eq. 18).

    variant: "midpoint" takes phi_1/2 for the slope's weight, "heun" the exact phi_2, as k-diffusion names them.
    """
    if variant not in ("midpoint", "heun"):
        raise UsageError(f"sde-dpmpp-2m: unknown variant {variant!r}{nearest(variant, ('midpoint', 'heun'))}")
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
def sde_dpmpp_3m(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
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
