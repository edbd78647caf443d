"""Rules in a coordinate of sigma~ that is finite at pure noise and zero at pure data, so that both can be reached."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from solverbench.grids.rules import Array, rule, special, spread
from solverbench.paths import Path


def _bounded(
    path: Path,
    n: int,
    t_max: float,
    t_min: float,
    to: Callable[[float], float],
    back: Callable[[Array], Array],
    top: float = 1.0,
    profile: Array | None = None,
) -> Array:
    """n times spread in the coordinate `to` of sigma~, with inverse `back`, to(0) = 0 and to(inf) = top."""
    first = top if path.is_noise(t_max) else to(path.sigma_tilde(t_max))
    last = 0.0 if path.is_data(t_min) else to(path.sigma_tilde(t_min))
    inner = spread(first, last, n, profile)[1:-1]
    return np.concatenate([[t_max], path.inverse_sigma_tilde(back(inner)), [t_min]])


@rule("tangent", cite="sabour2024ays", end="reach", scale=1.0)
def _tangent(path: Path, n: int, t_max: float, t_min: float, scale: float) -> Array:
    """Equal steps in arctan(sigma~/scale): optimal for DDIM on N(0, scale^2)."""
    return _bounded(path, n, t_max, t_min, lambda y: math.atan(y / scale), lambda u: scale * np.tan(u), math.pi / 2)


special("kl-optimal", "tangent", "ComfyUI's name of tangent for data of unit variance.", scale=1)
special("cosine", "tangent", "tangent as equal steps in t of the path alpha = cos t, sigma = sin t.", scale=1)
special(
    "scm",
    "tangent",
    "tangent as equal steps in TrigFlow's t for data of deviation 0.5; with t_min=0 the jumps of sCM.",
    scale=0.5,
    cite="lu2025scm",
)


@rule("shift", cite="esser2024sd3, eq. 23", end="reach", shift=3.0)
def _shift(path: Path, n: int, t_max: float, t_min: float, shift: float) -> Array:
    """Equal steps in u, where shift u/(1 + (shift - 1) u) is the time of rectified flow; diffusers' linear type too."""
    return _bounded(path, n, t_max, t_min, lambda y: y / (y + shift), lambda u: shift * u / (1 - u))


@rule("dynamic-shift", cite="blackforest2024flux; diffusers2022, use_dynamic_shifting", end="reach", mu=1.15)
def _dynamic_shift(path: Path, n: int, t_max: float, t_min: float, mu: float) -> Array:
    """The shift e^mu, where mu grows with the size of the picture: 1.15 at 4096 tokens of FLUX.1, 0.5 at 256."""
    return _shift(path, n, t_max, t_min, math.exp(mu))


def _to_a_tenth(path: Path) -> tuple[float, float]:
    return path.t_max, float(path.inverse_sigma_tilde(0.1 / 0.9))


@rule("shift-stretch", cite="hacohen2024ltx", end="reach", ends=_to_a_tenth, shift=3.0)
def _shift_stretch(path: Path, n: int, t_max: float, t_min: float, shift: float) -> Array:
    """Shifted times of u = 1, (n-1)/n, ..., 1/n, stretched in rectified time to end at t_min, 0.1 if not given."""
    u = np.linspace(1, 1 / n, n)
    r = shift * u / (1 + (shift - 1) * u)
    profile = (r - r[-1]) / (1 - r[-1])
    return _bounded(path, n, t_max, t_min, lambda y: y / (y + 1), lambda r: r / (1 - r), profile=profile)


@rule("logit-normal", cite="esser2024sd3, section 3.1", end="reach", mean=0.0, std=1.0)
def _logit_normal(path: Path, n: int, t_max: float, t_min: float, mean: float, std: float) -> Array:
    """Quantiles of the density that rectified flows are trained with: log sigma~, the logit of t, is N(mean, std^2)."""
    from scipy.special import ndtr, ndtri

    def to(y: float) -> float:
        return float(ndtr((math.log(y) - mean) / std))

    def back(u: Array) -> Array:
        return np.asarray(np.exp(mean + std * ndtri(u)))

    return _bounded(path, n, t_max, t_min, to, back)
