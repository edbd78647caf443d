"""`grid`: a grid from the name of a rule, or from times."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from solverbench.errors import UsageError, nearest
from solverbench.grids.base import Grid, check_inside
from solverbench.grids.rules import GRIDS, Rule
from solverbench.paths import Path
from solverbench.paths import path as named_path

MOST = 100_000
"""Steps of a named grid: a plan of more is hundreds of megabytes, and minutes of tracing."""


def grid(
    name: str | Grid | Sequence[float] | np.ndarray[Any, Any],
    path: Path | str,
    steps: int | None = None,
    *,
    t_max: float | None = None,
    t_min: float | None = None,
    zero: bool = True,
    denoise: bool = True,
    **options: Any,
) -> Grid:
    """Return a grid of `steps` steps on `path`, from t_max to the data.

    name: one of `GRIDS`, or "explicit" with `times=`, or an array of decreasing times, or a Grid (returned as it is).
    t_max, t_min: ends of the rule; by default those of a published table, else the path's own.
    zero: end at the data, t = 0, after a jump from t_min or in the rule's own way (`Rule.end`); with False the last
        time is t_min. The jump counts as a step.
    denoise: the step onto the data is the denoiser's, as in practice; with False it is the solver's own, as in
        papers that integrate to t = 0, which solvers cannot take that evaluate the field where a step ends.
    options: of the rule, see `GRIDS`: rho=, scale=, shift=, spacing=, offset=, times=.

    Raises UsageError for unknown names and options, steps that are not 1 to `MOST`, ends that are not
    0 <= t_min < t_max, or times that are none.
    """
    path = named_path(path)
    if isinstance(name, Grid):
        return name
    if not isinstance(name, str):
        return Grid(path, _explicit(name), denoise=denoise)
    if name == "explicit":
        if set(options) != {"times"}:
            raise UsageError(f"grid 'explicit' takes times=[...] alone, got {sorted(options)}")
        return Grid(path, _explicit(options["times"]), denoise=denoise)
    rule = named_rule(name)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise UsageError(f"grid {name!r}: steps must be a positive whole number, got {steps!r}")
    if steps > MOST:
        raise UsageError(f"grid {name!r}: at most {MOST} steps make a plan, got {steps}; give a smaller budget")
    first, last = rule.ends(path) if rule.ends else (path.t_max, path.t_min)
    if t_max is None and first > path.t_end:
        raise UsageError(f"grid {name!r} begins at t = {first:.6g}, beyond path {path}: give t_max= to stretch it")
    try:
        t_max, t_min = float(first if t_max is None else t_max), float(last if t_min is None else t_min)
    except (TypeError, ValueError):
        raise UsageError(f"grid {name!r}: t_max and t_min are numbers, got {t_max!r} and {t_min!r}") from None
    check_ends(name, t_min=t_min, t_max=t_max)
    check_inside(path, t_max)

    jump = zero and (rule.end == "jump" or (rule.end == "reach" and not path.is_data(t_min)))
    times = rule(path, int(steps) + 1 - jump, t_max, t_min, options).tolist()
    if jump:
        times.append(0.0)
    elif zero:
        times[-1] = 0.0
    return Grid(path, tuple(times), name, denoise)


def check_ends(name: str, **ends: float) -> None:
    """Raise UsageError for a t_min or t_max, or both, that no path can have: nan, say."""
    if not 0 <= ends.get("t_min", 0.0) < ends.get("t_max", sys.float_info.max) < math.inf:
        got = ", ".join(f"{key}={value}" for key, value in ends.items())
        raise UsageError(f"grid {name!r}: need 0 <= t_min < t_max, finite, got {got}")


def _explicit(times: Any) -> tuple[float, ...]:
    try:
        found = np.asarray(times, dtype=float)
    except (TypeError, ValueError):
        found = np.empty(())
    if found.ndim != 1:
        raise UsageError(f"a grid is the name of a rule, a Grid, or decreasing times in one row, got {times!r}")
    return tuple(found.tolist())


def named_rule(name: str) -> Rule:
    """The rule called `name`. Raises UsageError for an unknown one."""
    if name not in GRIDS:
        raise UsageError(f"unknown grid {name!r}{nearest(name, [*GRIDS, 'explicit'])}")
    return GRIDS[name]
