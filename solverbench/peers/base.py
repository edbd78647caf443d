"""What another library's sampler is made into, so that it can be judged as our own are.

Everything is in canonical coordinates, x~ = x/alpha against sigma~ = sigma/alpha, where every Gaussian path is the same
process; an adapter scales the state on the way in and out, and says in `setting` what else it had to set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np

from solverbench.orders.subjects import Array, Denoise, Draw, Watched
from solverbench.plans import Noise

Run: TypeAlias = Callable[[Denoise, Array, tuple[float, ...], Draw | None], Array]
"""run(denoise, x~ at sigmas[0], decreasing sigmas, noise) -> x~ at sigmas[-1]; noise None: the library draws."""


@dataclass(frozen=True)
class Peer:
    """One sampler of another library."""

    library: str
    name: str
    """Class or function, with the options that matter."""
    run: Run
    order: int | None = None
    """Claimed by its documentation or the paper it names; None if nobody claims one."""
    stochastic: bool = False
    eta: float | None = 0.0
    """Strength of the process it follows, whose limit without noise is dx/dlambda = -(1 + eta^2)(x - D); None: none."""
    evaluations: int | None = 1
    """Model evaluations that a step promises; None if nothing is promised."""
    corrects: bool = False
    """Whether a step is corrected by the next one's evaluation, so that a run ends on a step of one order less."""
    ours: str | None = None
    """The solver of ours it should equal."""
    path: str = "edm"
    """The path on which ours is that method, for methods that step in t."""
    setting: str = ""
    """What was set so that it takes the given noise levels, all of them, at its full order."""
    tolerance: float = 1e-10
    """Of the comparison with ours, relative to the largest state; a larger one has its reason in `setting`."""
    native: Run | None = None
    """The same in the library's own arithmetic, where `run` lifts its float32 to float64."""
    again: Run | None = None
    """The second run of one object whose first run was cut short, where there is an object to reuse."""
    own_noise: bool = False
    """Whether it draws noise from torch's global generator when `noise` is None."""
    strong: float | None = None
    """Strong order claimed."""
    draws: Callable[[tuple[Any, ...]], list[Noise]] | None = None
    """Its draws over noise levels, with their intervals, if they are of one Brownian path."""
    zero: bool = True
    """Whether its noise levels may end at zero."""


def along(sigmas: Sequence[Any], area: bool = False) -> list[Noise]:
    """The draws of a sampler that makes one for each step, or that of the step's area as well."""
    kinds = (False, True) if area else (False,)
    intervals = [(float(s), float(t), a) for s, t in pairwise(sigmas) for a in kinds]
    return [Noise(k, s, t, area=a) for k, (s, t, a) in enumerate(intervals)]


class Own(Protocol):
    """A run through the library's own choice of noise levels; raises what the library raises."""

    def __call__(self, denoise: Denoise, steps: int) -> Owned: ...


@dataclass(frozen=True)
class Owned:
    """What came of one."""

    sigmas: Array
    """Canonical noise levels in the order in which the model saw them, one per evaluation."""
    grid: Array
    """The noise levels of the steps, the last one included."""
    x: Array
    """The end."""
    promised: int | None = None
    """Evaluations that the number of steps promises."""

    @classmethod
    def of(
        cls, run: Callable[[Denoise, Array, Draw], Array], denoise: Denoise, std: float, grid: Array,
        promised: int | None = None,
    ) -> Owned:  # fmt: skip
        """Of `run(denoise, x, noise)` from four states in three directions with this standard deviation."""
        watched, x = Watched(denoise), std * np.random.default_rng(0).normal(size=(4, 3))
        end = run(watched, x, lambda k: np.random.default_rng(k + 1).normal(size=x.shape))
        return cls(np.array([sigma for sigma, *_ in watched.calls]), grid, end, promised)


@dataclass(frozen=True)
class Library:
    """A library: how it is installed, which samplers it has, how it runs by its own choices."""

    name: str
    pip: str
    """What to install, as pip is told."""
    peers: tuple[Peer, ...]
    own: Mapping[str, Own] = field(default_factory=dict)
    """Configuration -> run through the library's own grid."""
    versions: Mapping[str, str] = field(default_factory=dict)
