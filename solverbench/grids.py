"""Time grids: decreasing times from noise to data, named after the coordinate in which they are equally spaced.

A rule is a coordinate u(t): the grid's times are equally spaced in u between t_max and t_min.

    uniform       u = t
    quadratic     u = sqrt(t)                            Song et al. (2021, DDIM, appendix D.2)
    log-snr       u = lambda                             Lu et al. (2022)
    exponential   u^rho = position in log sigma~         k-diffusion's polyexponential; rho = 1 is log-snr
    edm           u = sigma~^(1/rho), rho = 7            Karras et al. (2022, eq. 5)
    tangent       u = arctan(sigma~/scale)               optimal for DDIM on N(0, scale^2): see Sabour et al. (2024)
    discrete      u = training index of a discrete path  leading, linspace and trailing (Lin et al. 2024, table 2)
    explicit      the times themselves

Most rules end at t_min > 0 and then jump to the data (`zero=True`): the last step is the denoiser itself. Rules that
reach the data on their own (uniform on the rectified path, tangent with t_min = 0) need no jump and get none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError, nearest
from solverbench.numbers import Number
from solverbench.paths import SINGULAR, Path, VPDiscrete
from solverbench.paths import path as named_path

SIGMA_TILDE_RANGE = (1e-3, 1e3)
"""Where rules in sigma~ begin and end on a path whose own ends are pure data or pure noise."""

Step: TypeAlias = tuple[Number, Number]


@dataclass(frozen=True)
class Grid:
    """Strictly decreasing times t_0 > t_1 > ... of a path; a step goes from s = t_n to t = t_{n+1}.

    `steps` are those a solver integrates: both ends carry data and noise, 0 < sigma~ < inf. A first step from pure
    noise and a last step to pure data (`head`, `tail`) have one right answer, the first-order step, which is the
    denoiser's output mixed with the state, so they are taken by the plan and not by each solver.
    """

    path: Path
    times: tuple[Number, ...]
    name: str = "explicit"

    def __post_init__(self) -> None:
        t = self.times
        if len(t) < 2:
            raise UsageError(f"a grid needs at least two times, got {len(t)}")
        for n, (s, r) in enumerate(pairwise(t)):
            if not (math.isfinite(float(s)) and math.isfinite(float(r))):
                raise UsageError(f"grid times must be finite: times[{n}:{n + 2}] = {s}, {r}")
            if not s > r:
                raise UsageError(
                    f"grid times must decrease strictly from noise to data: times[{n}] = {s}, times[{n + 1}] = {r}"
                )
        if float(t[-1]) < 0:
            raise UsageError(f"grid times must not be negative, the last is {t[-1]}")
        _check_inside(self.path, t[0])

    def __len__(self) -> int:
        """Number of steps, the first from pure noise and the last to the data included."""
        return len(self.times) - 1

    @cached_property
    def pairs(self) -> tuple[Step, ...]:
        """All steps (s, t), for solvers that take the ends themselves (flow maps)."""
        return tuple(pairwise(self.times))

    @cached_property
    def head(self) -> Step | None:
        """The step out of pure noise, if the grid starts there and does not end with it."""
        return self.pairs[0] if self.path.is_noise(self.times[0]) and self.pairs[0] != self.tail else None

    @cached_property
    def tail(self) -> Step | None:
        """The step onto the data, if the grid ends there."""
        return self.pairs[-1] if self.path.is_data(self.times[-1]) else None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps a solver integrates: those of `pairs` that are neither head nor tail."""
        return self.pairs[self.head is not None : len(self) - (self.tail is not None)]

    @cached_property
    def with_head(self) -> tuple[Step, ...]:
        """All steps but the tail, for solvers that step in t, where pure noise is a regular point."""
        return self.pairs[: len(self) - (self.tail is not None)]

    def astype(self, number: Callable[[Any], Number]) -> Grid:
        """The same times in another number type, e.g. `mpmath.mpf` for coefficients to thirty digits."""
        return Grid(self.path, tuple(number(t) for t in self.times), self.name)

    def __iter__(self) -> Iterator[Number]:
        return iter(self.times)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.times, dtype=dtype)


def _check_inside(path: Path, t: Number) -> None:
    if float(t) > path.t_end * (1 + SINGULAR):
        raise UsageError(f"time {t} is outside path {path}, which is defined on [0, {path.t_end}]")


Rule: TypeAlias = Callable[..., np.ndarray[Any, Any]]
"""rule(path, n, t_max, t_min, **options) -> n decreasing times from t_max to t_min."""

GRIDS: dict[str, tuple[Rule, dict[str, Any]]] = {}
"""Name -> (rule, its options with defaults)."""


def _rule(name: str, **options: Any) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        GRIDS[name] = function, options
        return function

    return register


def _between(path: Path, n: int, t_max: float, t_min: float, to: Callable[..., Any], back: Callable[..., Any]) -> Any:
    """n times equally spaced in the coordinate `to` of sigma~, whose inverse is `back`; ends that can be kept are."""
    first, last = _finite_ends(path, t_max, t_min)
    times = path.inverse_sigma_tilde(back(np.linspace(to(first), to(last), n)))
    if not path.is_noise(t_max):
        times[0] = t_max
    if n > 1 and not path.is_data(t_min):
        times[-1] = t_min
    return times


def _finite_ends(path: Path, t_max: float, t_min: float) -> tuple[float, float]:
    """sigma~ at both ends, replaced by those of SIGMA_TILDE_RANGE where a path is pure noise or pure data."""
    low, high = SIGMA_TILDE_RANGE
    first = high if path.is_noise(t_max) else float(path.sigma_tilde(t_max))
    last = low if path.is_data(t_min) else float(path.sigma_tilde(t_min))
    return first, last


@_rule("uniform")
def _uniform(path: Path, n: int, t_max: float, t_min: float) -> Any:
    return np.linspace(t_max, t_min, n)


@_rule("quadratic")
def _quadratic(path: Path, n: int, t_max: float, t_min: float) -> Any:
    times = np.linspace(math.sqrt(t_max), math.sqrt(t_min), n) ** 2
    times[0], times[-1] = t_max, t_min  # sqrt(t)^2 need not be t to the last bit
    return times


@_rule("exponential", rho=1.0)
def _exponential(path: Path, n: int, t_max: float, t_min: float, rho: float) -> Any:
    first, last = (math.log(sigma_tilde) for sigma_tilde in _finite_ends(path, t_max, t_min))

    def to(sigma_tilde: float) -> float:
        return float(np.clip((math.log(sigma_tilde) - last) / (first - last), 0, 1) ** (1 / rho))

    return _between(path, n, t_max, t_min, to, lambda u: np.exp(last + u**rho * (first - last)))


@_rule("log-snr")
def _log_snr(path: Path, n: int, t_max: float, t_min: float) -> Any:
    return _exponential(path, n, t_max, t_min, rho=1.0)


@_rule("edm", rho=7.0)
def _edm(path: Path, n: int, t_max: float, t_min: float, rho: float) -> Any:
    return _between(path, n, t_max, t_min, lambda y: y ** (1 / rho), lambda u: u**rho)


@_rule("tangent", scale=1.0)
def _tangent(path: Path, n: int, t_max: float, t_min: float, scale: float) -> Any:
    # arctan reaches pure noise (pi/2) and pure data (0), so a path's own ends are kept
    first = math.pi / 2 if path.is_noise(t_max) else math.atan(path.sigma_tilde(t_max) / scale)
    last = 0.0 if path.is_data(t_min) else math.atan(path.sigma_tilde(t_min) / scale)
    inner = np.linspace(first, last, n)[1:-1]
    return np.concatenate([[t_max], path.inverse_sigma_tilde(scale * np.tan(inner)), [t_min]][: n + 1])


@_rule("discrete", spacing="leading", offset=0)
def _discrete(path: Path, n: int, t_max: float, t_min: float, spacing: str, offset: int) -> Any:
    """Training indices m = 0..N-1 as diffusers' `timestep_spacing` picks them; index m is the time (m + 1)/N."""
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
        case _:
            raise UsageError(f"grid 'discrete': unknown spacing {spacing!r}{nearest(spacing, _SPACINGS)}")
    if m.min() < 0 or m.max() > N - 1:
        raise UsageError(f"grid 'discrete': offset {offset} leaves the training indices 0..{N - 1}")
    return (m + 1) / N


_SPACINGS = ("leading", "linspace", "trailing")


def grid(
    name: str | Grid | Sequence[float] | np.ndarray[Any, Any],
    path: Path | str,
    steps: int | None = None,
    *,
    t_max: float | None = None,
    t_min: float | None = None,
    zero: bool = True,
    **options: Any,
) -> Grid:
    """Return a grid of `steps` steps on `path`, from t_max (default: the path's) to the data.

    name: one of `GRIDS`, or "explicit" with `times=`, or an array of decreasing times, or a Grid (returned as it is).
    t_max, t_min: ends of the rule; the path's own by default.
    zero: end with the jump from t_min to t = 0; with False the last time is t_min. The jump counts as a step.
    options: of the rule, see `GRIDS`: rho=, scale=, spacing=, offset=, times=.

    Raises UsageError for unknown names and options, steps < 1, or ends that are not 0 <= t_min < t_max.
    """
    path = named_path(path)
    if isinstance(name, Grid):
        return name
    if not isinstance(name, str):
        return Grid(path, tuple(np.asarray(name, dtype=float).tolist()))
    if name == "explicit":
        if set(options) != {"times"}:
            raise UsageError(f"grid 'explicit' takes times=[...] alone, got {sorted(options)}")
        return Grid(path, tuple(float(t) for t in options["times"]))
    if name not in GRIDS:
        raise UsageError(f"unknown grid {name!r}{nearest(name, [*GRIDS, 'explicit'])}")
    rule, defaults = GRIDS[name]
    for key in options:
        if key not in defaults:
            raise UsageError(f"grid {name!r} has no option {key!r}{nearest(key, defaults)}")
    for key, value in options.items():
        if isinstance(defaults[key], float) and not (isinstance(value, int | float) and 0 < value < math.inf):
            raise UsageError(f"grid {name!r}: {key} must be a positive number, got {value!r}")
        if isinstance(defaults[key], int) and not isinstance(value, int | np.integer):
            raise UsageError(f"grid {name!r}: {key} must be a whole number, got {value!r}")
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise UsageError(f"grid {name!r}: steps must be a positive whole number, got {steps!r}")
    t_max = path.t_max if t_max is None else float(t_max)
    t_min = path.t_min if t_min is None else float(t_min)
    if not 0 <= t_min < t_max:
        raise UsageError(f"grid {name!r}: need 0 <= t_min < t_max, got t_min={t_min}, t_max={t_max}")
    _check_inside(path, t_max)

    jump = zero and (name not in _REACH_DATA or not path.is_data(t_min))
    points = int(steps) + 1 - jump
    times = np.array([t_max]) if points == 1 and name != "discrete" else None
    if times is None:
        times = np.asarray(rule(path, points, t_max, t_min, **{**defaults, **options}), dtype=float)
    return Grid(path, (*times.tolist(), 0.0) if jump else tuple(times.tolist()), name)


_REACH_DATA = ("uniform", "quadratic", "tangent")
