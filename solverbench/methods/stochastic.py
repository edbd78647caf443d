"""Samplers that draw noise: DDIM and DDPM, the SDE versions of DPM-Solver++, Euler-Maruyama, and EDM's churn.

The reverse process of strength eta has the marginals of the path for every eta. In canonical coordinates, u = sigma~^2,

    dx~ = (1 + eta^2)/2 (x~ - D)/u du + eta dB_u     (u decreasing; Song et al. 2021, eq. 6, generalised)

eta = 0 is the probability-flow ODE, eta = 1 the reverse SDE. k-diffusion's eta is eta^2 here; both agree at 0 and 1.
"""

from __future__ import annotations

import math

from solverbench.errors import UsageError, nearest
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.methods.runge_kutta import HEUN, in_sigma
from solverbench.numbers import exp, expm1, phi, sqrt
from solverbench.paths import Path
from solverbench.plans import State


@solver("ddim", order=1, integrates="noise", family="ddim", cite="song2021ddim")
def ddim(x: State, path: Path, grid: Grid, *, eta: float = 0.0) -> State:
    """DDIM: x~_t = D + sqrt(sigma~_t^2 - c^2) eps + c z (eq. 12, on any path).

    c = eta sigma~_t sqrt(1 - sigma~_t^2/sigma~_s^2). eta = 0 is deterministic, eta = 1 is DDPM.
    """
    if not 0 <= eta <= 1:
        raise UsageError(f"ddim: eta must be between 0 and 1, got {eta}: a larger one leaves no room for the state")
    for s, t in grid.steps:
        D, eps = x.predict("x0", at=s), x.predict("noise", at=s)
        sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
        c = eta * sigma_t * sqrt((1 - sigma_t / sigma_s) * (1 + sigma_t / sigma_s))
        x = path.alpha(t) * (D + sqrt((sigma_t - c) * (sigma_t + c)) * eps)
        if eta:
            x = x + path.alpha(t) * c * x.noise(s, t)
    return x


solver("ddpm", order=1, integrates="x0", family="ddim", cite="ho2020ddpm", eta=1.0,
       reason="ancestral sampling with the posterior variance is DDIM with eta = 1 (section 4.1)")(ddim)  # fmt: skip


@solver("euler-maruyama", order=1, integrates="velocity", family="sde", cite="song2021sde")
def euler_maruyama(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
    """Euler-Maruyama in t on the reverse SDE of strength eta.

    dx = (v - eta^2 g^2/2 score) dt + eta g dw with g^2 = 2 sigma (alpha sigma' - alpha' sigma)/alpha.
    """
    for s, t in grid.steps:
        a, sigma = path.alpha(s), path.sigma(s)
        g2 = 2 * sigma * (a * path.d_sigma(s) - path.d_alpha(s) * sigma) / a
        drift = x.predict("velocity", at=s) - eta * eta * g2 / 2 * x.predict("score", at=s)
        x = x + (t - s) * drift
        if eta:
            x = x + eta * sqrt(g2 * (s - t)) * x.noise(s, t)
    return x


@solver("sde-dpmpp-1", order=1, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def sde_dpmpp_1(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
    """SDE-DPM-Solver++(1): the linear part of the reverse SDE exactly, D frozen. At eta = 1 it is ddpm."""
    for s, t in grid.steps:
        D = x.predict("x0", at=s)
        x = _exponential_sde(x, path, s, t, eta, D)
    return x


@solver("sde-dpmpp-2m", order=2, integrates="x0", family="dpm-solver++", cite="lu2022dpmpp")
def sde_dpmpp_2m(x: State, path: Path, grid: Grid, *, eta: float = 1.0, variant: str = "midpoint") -> State:
    """SDE-DPM-Solver++(2M): D extrapolated from the last two values (DPM-Solver++, eq. 18).

    variant: "midpoint" takes phi_1/2 for the slope's weight, "heun" the exact phi_2, as k-diffusion names them.
    """
    if variant not in ("midpoint", "heun"):
        raise UsageError(f"sde-dpmpp-2m: unknown variant {variant!r}{nearest(variant, ('midpoint', 'heun'))}")
    D_old, h_old = None, None
    for s, t in grid.steps:
        D = x.predict("x0", at=s).keep()
        h = path.lam(t) - path.lam(s)
        z = -(1 + eta * eta) * h
        D_bar = D
        if D_old is not None:
            weight = 0.5 if variant == "midpoint" else phi(2, z) / phi(1, z)
            D_bar = D + weight * h / h_old * (D - D_old)
        x = _exponential_sde(x, path, s, t, eta, D_bar)
        D_old, h_old = D, h
    return x


def _exponential_sde(x: State, path: Path, s: float, t: float, eta: float, D: State) -> State:
    """x_t = sigma_t/sigma_s e^{-eta^2 h} x + alpha_t (1 - e^{-(1+eta^2) h}) D + sigma_t sqrt(1 - e^{-2 eta^2 h}) z."""
    h = path.lam(t) - path.lam(s)
    drift = path.sigma(t) / path.sigma(s) * exp(-eta * eta * h) * x - path.alpha(t) * expm1(-(1 + eta * eta) * h) * D
    return drift + path.sigma(t) * sqrt(-expm1(-2 * eta * eta * h)) * x.noise(s, t) if eta else drift


@solver("edm-stochastic", order=2, attains=(0, "coefficients"), integrates="noise", family="edm", cite="karras2022edm",
        s_churn=30.0, s_min=0.01, s_max=1.0, s_noise=1.007,
        reason="the settings of Karras et al. (2022, table 5) for CIFAR-10")  # fmt: skip
@solver("edm-heun", order=2, integrates="noise", family="edm", cite="karras2022edm")
def edm_heun(
    x: State,
    path: Path,
    grid: Grid,
    *,
    s_churn: float = 0.0,
    s_min: float = 0.0,
    s_max: float = math.inf,
    s_noise: float = 1.0,
) -> State:
    """EDM's sampler: raise the noise level by a factor 1 + gamma, then a Heun step in sigma~ (algorithm 2).

    gamma = min(s_churn/N, sqrt(2) - 1) while s_min <= sigma~ <= s_max, N the number of steps of the whole grid.
    Without churn it is algorithm 1, rho-2heun.
    """
    gamma_max = min(s_churn / len(grid), math.sqrt(2) - 1)
    for s, t in grid.steps:
        sigma_s = path.sigma_tilde(s)
        gamma = gamma_max if s_min <= sigma_s <= s_max else 0.0
        s_hat = s
        if gamma > 0:
            s_hat = path.inverse_sigma_tilde(sigma_s * (1 + gamma))
            added = s_noise * sigma_s * sqrt(gamma * (2 + gamma))
            x = path.alpha(s_hat) * (x / path.alpha(s) + added * x.noise(s, s_hat))
        x = in_sigma(x, s_hat, t, path, HEUN)
    return x
