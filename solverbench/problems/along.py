"""Errors along the trajectory: the states a run passes through, against reference states at the same noise levels.

Everything is in canonical coordinates, x~ = x/alpha over lambda, where all paths are one. A reference is kept at some
levels, and between them is the polynomial through the nearest ones; interpolated is x~ / sqrt(1 + sigma~^2), which is
of the size of the data at one end and of the noise at the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from solverbench.measures.moments import Array
from solverbench.measures.paired import errors
from solverbench.paths import Path

FEW = 16
"""Starts that are followed."""
SPACING = 0.1
"""Of the levels at which a reference is kept, in lambda."""
POINTS = 8
"""Of the polynomial."""


@dataclass(frozen=True)
class Trajectory:
    """Reference states."""

    lam: Array
    """Levels (m,), ascending."""
    states: Array
    """x~ (m, n, *shape)."""
    error: Array
    """Root-mean-square error (m,) of the reference itself."""

    def at(self, lam: float) -> tuple[Array, float]:
        """(x~ (n, *shape), its error) at a level between the first and the last."""
        first = int(np.clip(np.searchsorted(self.lam, lam) - POINTS // 2, 0, max(0, len(self.lam) - POINTS)))
        near = slice(first, first + POINTS)
        nodes = self.lam[near]
        weights = [np.prod([(lam - b) / (a - b) for b in nodes if b != a]) for a in nodes]  # Lagrange's
        weights *= np.hypot(1, np.exp(-lam)) / np.hypot(1, np.exp(-nodes))
        return np.tensordot(weights, self.states[near], 1), float(np.interp(lam, self.lam, self.error))

    def errors(self, seen: Mapping[float, Any], path: Path) -> Array:
        """Rows (noise level sigma~, paired error of x~, its standard error, error of the reference) (k, 4).

        seen: states x_t (n, *shape) by time. Times outside the levels are left out; noise comes first.
        """
        rows = []
        for t, x in seen.items():
            lam = float(path.lam(t))
            if self.lam[0] <= lam <= self.lam[-1]:
                reference, own = self.at(lam)
                x = _numbers(x[: len(reference)]) / float(path.alpha(t))
                found = errors(x, reference)["rmse"]
                rows.append((np.exp(-lam), found.value, found.se, own))
        return np.array(sorted(rows, reverse=True)).reshape(-1, 4)


def followed(seen: Mapping[float, Any], coarse: Mapping[float, Any], path: Path) -> Trajectory:
    """A reference from the states x_t (n, *shape) of a run by time, its error from those of a coarser run."""
    fine, rough = (_canonical(states, path) for states in (seen, coarse))
    apart = [x - rough.at(lam)[0] for lam, x in zip(fine.lam, fine.states, strict=True)]
    return replace(fine, error=np.sqrt([np.mean(d**2) for d in apart]))


def _canonical(seen: Mapping[float, Any], path: Path) -> Trajectory:
    times = sorted(seen, reverse=True)
    states = np.stack([_numbers(seen[t]) / float(path.alpha(t)) for t in times])
    return Trajectory(np.array([float(path.lam(t)) for t in times]), states, np.zeros(len(times)))


def _numbers(x: Any) -> Array:
    return np.asarray(x.cpu(), np.float64)


def levels(first: float, last: float) -> Array:
    """Levels lambda from the first to the last, some `SPACING` apart."""
    return np.linspace(first, last, max(POINTS, round((last - first) / SPACING) + 1))


class Watched:
    """A field that keeps what it is asked about at some times, of the first `FEW` samples; the last at each.

    That is the state of methods that evaluate where they are, and of those that correct a state without evaluating it
    again (UniPC) the one before the correction.
    """

    def __init__(self, field: Any, times: Any) -> None:
        self._field, self._times = field, {float(t) for t in times}
        self.seen: dict[float, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._field, name)

    def __call__(self, x: Any, t: float) -> Any:
        self._look(x, t)
        return self._field(x, t)

    def jump(self, x: Any, s: float, t: float) -> Any:
        """The field's own."""
        self._look(x, s)
        return self._field.jump(x, s, t)

    def _look(self, x: Any, t: float) -> None:
        if float(t) in self._times:
            self.seen[float(t)] = x[:FEW].clone().cpu()
