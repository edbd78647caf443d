"""Published tables of noise levels: data, with one rule that interpolates them.

A table of N + 1 levels is the grid of N steps its authors searched for. Other numbers of steps are read off between its
entries, log sigma~ piecewise linear in the position, as the authors of AYS do. A table begins and ends at its own
levels; with t_max or t_min given, it is stretched to them in log sigma~.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from solverbench.grids.rules import Array, End, in_levels, rule
from solverbench.paths import Path

_AYS = "sabour2024ays"
_GITS = "chen2024gits"

TABLES: dict[str, tuple[str, End, str, tuple[float, ...]]] = {
    "ays-sd15": (
        "Align Your Steps for Stable Diffusion 1.5.", "replace", _AYS,
        (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    ),
    "ays-sdxl": (
        "Align Your Steps for SDXL.", "replace", _AYS,
        (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    ),
    "ays-svd": (
        "Align Your Steps for Stable Video Diffusion.", "replace", _AYS,
        (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    ),
    "gits-cifar10": (
        "Found by dynamic programming on trajectories of EDM's CIFAR-10 model for iPNDM.", "jump", _GITS,
        (80.0, 10.9836, 3.8811, 1.584, 0.5666, 0.1698, 0.002),
    ),
}  # fmt: skip
"""Name -> (description, how its authors come to the data, citation, levels of sigma~)."""

_ROUNDING = 1e-3
"""Relative; tables are given to three decimals, so a first level that exceeds the path's last by less is that one."""


def _ends(levels: tuple[float, ...], path: Path) -> tuple[float, float]:
    t_max, t_min = (float(path.inverse_sigma_tilde(level)) for level in (levels[0], levels[-1]))
    rounded = t_max > path.t_end and levels[0] < (1 + _ROUNDING) * path.sigma_tilde(path.t_end)
    return path.t_end if rounded else t_max, t_min


def _interpolated(path: Path, n: int, t_max: float, t_min: float, *, levels: tuple[float, ...]) -> Array:
    log_levels = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(levels)), np.log(levels))
    profile = (log_levels - math.log(levels[-1])) / math.log(levels[0] / levels[-1])
    return in_levels(path, n, t_max, t_min, math.log, np.exp, profile)


for _name, (_doc, _end, _cite, _levels) in TABLES.items():
    _place = partial(_interpolated, levels=_levels)
    _place.__doc__ = _doc
    rule(_name, cite=_cite, end=_end, ends=partial(_ends, _levels))(_place)
