"""Rules in t: spread over the path's own time, so that those with t_min = 0 reach the data without a jump."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.grids.rules import Array, rule, special, spread, with_ends
from solverbench.paths import Path


@rule("power", cite="zhang2023deis, ts_phase t", end="reach", order=2.0)
def _power(path: Path, n: int, t_max: float, t_min: float, order: float) -> Array:
    """Equal steps in t^(1/order)."""
    if order == 2:  # the square root is rounded correctly, the power 1/2 is not
        first, last = math.sqrt(t_max), math.sqrt(t_min)
    else:
        first, last = t_max ** (1 / order), t_min ** (1 / order)
    return with_ends(np.linspace(first, last, n) ** order, t_max, t_min)


special("uniform", "power", "Equal steps in t.", order=1, cite="ho2020ddpm")
special("quadratic", "power", "Equal steps in sqrt(t).", order=2, cite="song2021ddim, D.2")
special("time-uniform", "uniform", "DPM-Solver's name of uniform.", cite="lu2022dpm")
special("time-quadratic", "quadratic", "DPM-Solver's name of quadratic.", cite="lu2022dpm")
special("normal", "uniform", "ComfyUI's name of uniform: equal steps in the model's own time.", cite="comfyui")
special(
    "sgm-uniform",
    "uniform",
    "Equal steps in t, the last of which is taken to the data instead of to t_min.",
    cite="stability2023generative; comfyui",
    end="replace",
)


@rule("beta", cite="lee2024beta; comfyui", end="replace", alpha=0.6, beta=0.6)
def _beta(path: Path, n: int, t_max: float, t_min: float, alpha: float, beta: float) -> Array:
    """Quantiles of the beta distribution in t: dense at both ends. ComfyUI rounds them to training indices."""
    return with_ends(spread(t_max, t_min, n, beta_quantiles(n, alpha, beta)), t_max, t_min)


def beta_quantiles(n: int, alpha: float, beta: float) -> Array:
    """Quantiles of Beta(alpha, beta) at n equally spaced levels from 1 to 0."""
    from scipy.special import betaincinv

    quantiles: Any = betaincinv(alpha, beta, np.linspace(1, 0, n))
    return np.asarray(quantiles)


@rule("linear-quadratic", cite="genmo2024mochi", end="replace", threshold=0.025)
def _linear_quadratic(path: Path, n: int, t_max: float, t_min: float, threshold: float) -> Array:
    """Half of the steps equal in t over the first `threshold` of the way, then a parabola that goes on from them."""
    if threshold >= 0.5:  # the parabola would turn back
        raise UsageError(f"grid 'linear-quadratic': threshold must be below 0.5, got {threshold!r}")
    N = n - 1
    L = N // 2
    slope = threshold / L if L else 0.0
    i = np.arange(n)
    way = slope * i + (1 - slope * N) * (np.maximum(i - L, 0) / (N - L)) ** 2
    return with_ends(spread(t_max, t_min, n, 1 - way), t_max, t_min)
