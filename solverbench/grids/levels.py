"""Rules in sigma~: the same noise levels on every path. They end at a level above zero and jump to the data."""

from __future__ import annotations

import math

import numpy as np

from solverbench.errors import UsageError
from solverbench.grids.rules import Array, at_levels, finite_ends, in_levels, rule, special
from solverbench.grids.times import beta_quantiles
from solverbench.paths import Path, VPLinear


@rule("exponential", cite="crowson2022kdiffusion, get_sigmas_polyexponential", end="jump", rho=1.0)
def _exponential(path: Path, n: int, t_max: float, t_min: float, rho: float) -> Array:
    """Positions i/(n - 1) to the power rho in log sigma~, so that rho > 1 is denser at the data."""
    return in_levels(path, n, t_max, t_min, math.log, np.exp, np.linspace(1, 0, n) ** rho)


special("polyexponential", "exponential", "k-diffusion's name of exponential.")
special("log-snr", "exponential", "Equal steps in lambda.", rho=1, cite="lu2022dpm")
special("logsnr", "log-snr", "DPM-Solver's and UniPC's name of log-snr.")
special(
    "ve",
    "log-snr",
    "log-snr seen from VE models, whose levels of training are a geometric sequence.",
    cite="song2021sde; karras2022edm, table 1",
)


@rule("edm", cite="karras2022edm, eq. 5", end="jump", rho=7.0)
def _edm(path: Path, n: int, t_max: float, t_min: float, rho: float) -> Array:
    """Equal steps in sigma~^(1/rho)."""
    return in_levels(path, n, t_max, t_min, lambda y: y ** (1 / rho), lambda u: u**rho)


special("karras", "edm", "k-diffusion's, diffusers' and ComfyUI's name of edm.")


@rule("beta-sigma", cite="diffusers2022, use_beta_sigmas", end="jump", alpha=0.6, beta=0.6)
def _beta_sigma(path: Path, n: int, t_max: float, t_min: float, alpha: float, beta: float) -> Array:
    """Quantiles of the beta distribution in sigma~, where `beta` has them in t."""
    return in_levels(path, n, t_max, t_min, lambda y: y, lambda u: u, beta_quantiles(n, alpha, beta))


@rule(
    "vp",
    cite="song2021sde; karras2022edm, table 1",
    end="jump",
    eps=1e-3,
    rho=1.0,
)
def _vp(path: Path, n: int, t_max: float, t_min: float, eps: float, rho: float) -> Array:
    """Equal steps in tau^(1/rho) from 1 to eps, the time of the linear VP schedule that has these ends."""
    if eps >= 1:
        raise UsageError(f"grid 'vp': eps must be below 1, got {eps!r}")
    B_1, B_eps = (math.log1p(sigma_tilde**2) for sigma_tilde in finite_ends(path, t_max, t_min))
    slope = 2 * (B_eps / eps - B_1) / (eps - 1)
    beta_0 = B_1 - slope / 2
    if min(beta_0 + slope * eps, beta_0 + slope) < 0:
        raise UsageError(
            f"grid 'vp': no linear schedule of increasing noise has B(1) = {B_1:.4g} and B({eps}) = {B_eps:.4g}: "
            "lower t_min, or raise eps"
        )
    schedule = VPLinear(beta_0, beta_0 + slope)
    tau = np.linspace(1, eps ** (1 / rho), n) ** rho
    return at_levels(path, schedule.sigma_tilde(tau), t_max, t_min)


@rule(
    "iddpm",
    cite="nichol2021iddpm; karras2022edm, table 1",
    end="jump",
    M=1000,
    C1=0.001,
    C2=0.008,
)
def _iddpm(path: Path, n: int, t_max: float, t_min: float, M: int, C1: float, C2: float) -> Array:
    """Equal steps, rounded to whole ones, along those of M levels of the cosine schedule that lie between the ends.

    u_M = 0, u_{j-1}^2 = (u_j^2 + 1) / max(abar_{j-1}/abar_j, C1) - 1, abar_j = sin^2(pi/2 j/(M (1 + C2))). The ends
    count as levels; Karras et al. leave out ends that are none of the u.
    """
    if M < 1:
        raise UsageError(f"grid 'iddpm': M must be positive, got {M}")
    abar = np.sin(np.pi / 2 * np.arange(M + 1) / (M * (1 + C2))) ** 2
    growth = 1 / np.maximum(abar[:-1] / abar[1:], C1)
    u = np.sqrt(np.cumprod(growth[::-1])[::-1] - 1)
    first, last = finite_ends(path, t_max, t_min)
    levels = np.concatenate([[first], u[(last < u) & (u < first)], [last]])
    if n > len(levels):
        raise UsageError(f"grid 'iddpm': {n} times asked of {len(levels)} noise levels: raise M, or widen the ends")
    return at_levels(path, levels[np.linspace(0, len(levels) - 1, n).round().astype(int)], t_max, t_min)
