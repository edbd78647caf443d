"""Gaussian paths x_t = alpha(t) x_0 + sigma(t) eps, from data (t small) to noise (t large).

A path is two functions and what follows from them. Everything a solver needs is a method here: the log signal-to-noise
ratio lambda = log(alpha/sigma), the canonical noise level sigma~ = sigma/alpha = e^{-lambda}, their derivatives in t
and the inverse of lambda. All of it is evaluated in the number type of t (see `numbers`) and without cancellation at
either end: alpha near 1 goes through expm1 and log1p, never through 1 - alpha^2.

In canonical coordinates x~ = x/alpha, sigma~ every Gaussian path is the same variance-exploding process, so a solver
that is written in them does not depend on the path, given the grid of sigma~.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from solverbench.errors import UsageError, check_known, nearest
from solverbench.paths.base import SINGULAR, Path
from solverbench.paths.other import EDM, VE, Rectified, Trig
from solverbench.paths.preserving import VariancePreserving, VPCosine, VPDiscrete, VPLinear, VPScaledLinear

__all__ = [
    "EDM", "PATHS", "SINGULAR", "VE", "Path", "Rectified", "Trig", "VPCosine", "VPDiscrete", "VPLinear",
    "VPScaledLinear", "VariancePreserving", "path",
]  # fmt: skip

PATHS: dict[str, type[Path]] = {
    cls.name: cls for cls in (VPLinear, VPCosine, VPScaledLinear, VPDiscrete, VE, EDM, Rectified, Trig)
}


def path(name: str | Path, **options: Any) -> Path:
    """Return the Gaussian path called `name`, one of `PATHS`.

    Options are the fields of its class, for example `path("vp-linear", beta_1=10.0)` or `path("rectified", shift=3.0)`.
    Raises UsageError for an unknown name or option, or a range that is not 0 <= t_min < t_max <= t_end.
    """
    if isinstance(name, Path):
        return name
    check_known("path", name, PATHS)
    cls = PATHS[name]
    known = {f.name: f.default for f in fields(cls) if f.init}  # type: ignore[arg-type]
    for key, value in options.items():
        if key not in known:
            raise UsageError(f"path {name!r} has no option {key!r}{nearest(key, known)}")
        if isinstance(known[key], tuple):
            options[key] = _numbers(name, key, value)
        elif not isinstance(known[key], bool):
            _check_number(name, key, value, zero=key in ("t_min", "beta_0", "s"))
        elif not isinstance(value, bool):
            raise UsageError(f"path {name!r}: {key} is True or False, got {value!r}")
    made = cls(**options)
    if not 0 <= made.t_min < made.t_max <= made.t_end or made.t_max == np.inf:
        end = f" <= {made.t_end:g}" if made.t_end < np.inf else ""
        raise UsageError(f"path {name!r}: need 0 <= t_min < t_max{end}, got t_min={made.t_min}, t_max={made.t_max}")
    return made


def _numbers(name: str, key: str, value: Any) -> tuple[float, ...]:
    try:
        return tuple(np.asarray(value, dtype=float).tolist())
    except (TypeError, ValueError):
        raise UsageError(f"path {name!r}: {key} must be numbers, got {value!r}") from None


def _check_number(name: str, key: str, value: Any, zero: bool) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < np.inf or (value == 0 and not zero):
        raise UsageError(f"path {name!r}: {key} must be a {'' if zero else 'positive '}number, got {key}={value!r}")
