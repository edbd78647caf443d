"""Training indices m = 0..N-1 of a discrete path as libraries pick them; index m is the time (m + 1)/N."""

from __future__ import annotations

import numpy as np

from solverbench.errors import UsageError, nearest
from solverbench.grids.rules import Array, rule, special
from solverbench.paths import Path, VPDiscrete

_SPACINGS = ("leading", "linspace", "trailing", "simple")


@rule(
    "discrete",
    cite="lin2024flawed, table 2; diffusers2022, timestep_spacing",
    end="jump",
    indexed=True,
    spacing="leading",
    offset=0,
)
def _discrete(path: Path, n: int, t_max: float, t_min: float, spacing: str, offset: int) -> Array:
    """Training indices, spaced leading, linspace, trailing or simple; `offset` is added to leading ones.

    simple is trailing rounded to the other side: N - 1 - floor(i N/n) where trailing has round(N - i N/n) - 1.
    """
    if not isinstance(path, VPDiscrete):
        raise UsageError(f"grid 'discrete' needs a path of discrete times (vp-discrete), got {path}")
    N = path.steps
    if n > N:
        raise UsageError(f"grid 'discrete': {n} times asked of a path that has {N}")
    match spacing:
        case "leading":
            m = np.arange(n, dtype=float)[::-1] * (N // n) + offset
        case "linspace":
            m = np.linspace(0, N - 1, n)[::-1].round()
        case "trailing":
            m = np.round(np.arange(N, 0, -N / n))[:n] - 1
        case "simple":
            m = N - 1.0 - np.arange(n) * N // n
        case _:
            raise UsageError(f"grid 'discrete': unknown spacing {spacing!r}{nearest(spacing, _SPACINGS)}")
    if m.min() < 0 or m.max() > N - 1:
        raise UsageError(f"grid 'discrete': offset {offset} leaves the training indices 0..{N - 1}")
    return (m + 1) / N


special(
    "simple",
    "discrete",
    "discrete as ComfyUI spaces it: trailing, rounded up.",
    spacing="simple",
    offset=0,
    cite="comfyui",
)
special(
    "ddim-uniform",
    "discrete",
    "discrete, leading from index 1; ComfyUI makes more steps than asked for where they do not divide N.",
    spacing="leading",
    offset=1,
    cite="song2021ddim; comfyui",
)
