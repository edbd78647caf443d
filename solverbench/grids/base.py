"""What a grid is: decreasing times of a path, and the steps between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.numbers import Number
from solverbench.paths import SINGULAR, Path

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
    denoise: bool = True
    """Whether the step onto the data is the denoiser's; else solvers take it like any other, if they can."""

    def __post_init__(self) -> None:
        t = self.times
        if not isinstance(self.path, Path):
            raise UsageError(f"a grid's path is a Path, as solverbench.path(name) gives it, not {self.path!r}")
        if len(t) < 2:
            raise UsageError(f"a grid needs at least two times, got {len(t)}")
        for n, (s, r) in enumerate(pairwise(t)):
            if not (_is_finite(s) and _is_finite(r)):
                raise UsageError(f"grid times must be finite: times[{n}:{n + 2}] = {s}, {r}")
            if not s > r:
                raise UsageError(
                    f"grid times must decrease strictly from noise to data: times[{n}] = {s}, times[{n + 1}] = {r}"
                )
        if float(t[-1]) < 0:
            raise UsageError(f"grid times must not be negative, the last is {t[-1]}")
        check_inside(self.path, t[0])

    def __len__(self) -> int:
        """Number of steps, the first from pure noise and the last to the data included."""
        return len(self.times) - 1

    def of(self, *times: Number) -> Grid:
        """Other times on the same path, in the same direction."""
        return type(self)(self.path, times)

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
        """The step onto the data, if the grid ends there and the denoiser takes it."""
        return self.pairs[-1] if self.denoise and self.path.is_data(self.times[-1]) else None

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
        return Grid(self.path, tuple(number(t) for t in self.times), self.name, self.denoise)

    def __iter__(self) -> Iterator[Number]:
        return iter(self.times)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.times, dtype=dtype)


@dataclass(frozen=True)
class Rising(Grid):
    """Strictly increasing times, from data to noise: the way likelihoods are computed. Solvers take every step."""

    def __post_init__(self) -> None:
        Grid(self.path, self.times[::-1])

    head = None
    tail = None


def _is_finite(t: Any) -> bool:
    try:
        return math.isfinite(float(t))
    except (TypeError, ValueError):
        return False


def check_inside(path: Path, t: Number) -> None:
    """Raise UsageError for a time after the path's last."""
    if float(t) > path.t_end * (1 + SINGULAR):
        raise UsageError(f"time {t} is outside path {path}, which is defined on [0, {path.t_end}]")
