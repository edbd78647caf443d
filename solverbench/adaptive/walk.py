"""The loop: every sample steps at its own pace to the same end, and those still under way are evaluated together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solverbench.adaptive.batch import Array, Batch, Model, Vector
from solverbench.adaptive.control import Controller, Tolerance, rms
from solverbench.adaptive.pairs import Pair, RungeKutta
from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.forms import TIME
from solverbench.plans.trace import first_order


class Walked(NamedTuple):
    """Final states and, for each sample, how often the field was asked and steps were accepted and rejected."""

    x: Array
    nfe: NDArray[np.int64]
    accepted: NDArray[np.int64]
    rejected: NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """A pair under control.

    first: length of the first step in the pair's variable, 0 to choose it by the slope there.
    limit: steps a sample may try.
    """

    pair: Pair
    tolerance: Tolerance
    controller: Controller
    first: float
    limit: int

    @property
    def rows(self) -> int:
        """States alive at once, about: memory = rows x one batch."""
        return 2 * self.pair.stages + 8

    def __post_init__(self) -> None:
        if not 0 <= self.first < np.inf or (self.first == 0 and not isinstance(self.pair, RungeKutta)):
            chosen = ", or 0 to choose it" if isinstance(self.pair, RungeKutta) else ""
            raise UsageError(f"the first step must be a positive length{chosen}, got {self.first}")
        if self.limit < 1:
            raise UsageError(f"limit, the steps a sample may try, must be at least 1, got {self.limit}")

    def __call__(self, model: Model, grid: Grid, x: Array) -> Walked:
        """Integrate states x (m, *shape) between the ends of the grid's steps; the times between them are not used.

        The steps out of pure noise and onto the data are those of plans. A sample whose steps become too short or too
        many is given up: its state is nan.
        """
        grid = with_ends(grid)
        with np.errstate(all="ignore"):  # fields may overflow; their errors are then not finite
            regular = self.pair.form is TIME  # at pure noise
            steps = grid.with_head if regular else grid.steps
            if not steps:
                raise UsageError(
                    f"the grid {tuple(map(float, grid))} has no step between noise and data for an adaptive solver: "
                    "give it one more time, first below pure noise or last above the data"
                )
            begun = model.calls
            if grid.head is not None and not regular:
                x = _values(first_order(Batch(x, model), model.path, *grid.head))
            return self._between(model, x, steps[0][0], steps[-1][1], grid, begun)

    def _between(self, model: Model, x: Array, s: float, end: float, grid: Grid, begun: int) -> Walked:
        path, form, m = model.path, self.pair.form, len(x)
        accepted, rejected = (np.zeros(m, dtype=np.int64) for _ in range(2))
        F = model(x, np.full(m, s))
        last = form.u(path, end)
        sign = 1.0 if last > form.u(path, s) else -1.0
        t, u, past = np.full(m, s), np.full(m, form.u(path, s)), np.full((m, 2), np.nan)
        h = self._first_step(Batch(x, model, F, t), t, end) if self.first == 0 else np.full(m, self.first)
        nfe = np.full(m, model.calls - begun)  # so far every sample was asked in every call
        live, lost, held = np.arange(m), np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
        x, F, size = x * 1, F * 1, x * 1  # rows are written
        while len(live):
            goal = u[live] + sign * h[live]
            arrives = sign * (goal - last) >= 0
            goal = np.where(arrives, last, goal)
            after = np.where(arrives, end, form.inverse(path, goal))
            calls = model.calls
            step = self.pair.propose(Batch(x[live], model, F[live], t[live]), path, t[live], after)
            new, errors, relative = _values(step.x), tuple(map(_values, step.errors)), _values(step.size)
            error = self.tolerance.error(errors, size[live], relative)
            good, factor, inverse = self.controller(error, past[live], held[live])
            nfe[live] += model.calls - calls
            past[live] = np.where(np.isnan(past[live]), inverse[:, None], past[live])
            h[live] = abs(goal - u[live]) * factor
            held[live] = ~good

            taken = live[good]
            t[taken], u[taken], x[taken], size[taken] = after[good], goal[good], new[good], relative[good]
            past[taken] = np.stack([inverse[good], past[taken, 0]], 1)
            accepted[taken] += 1
            rejected[live[~good]] += 1
            known = step.x.output  # type: ignore[attr-defined]
            if known is not None:
                F[taken] = known[good]
            elif len(asked := taken if grid.tail else live[good & ~arrives]):
                F[asked] = model(x[asked], t[asked])
                nfe[asked] += 1

            shortest = 10 * np.spacing(abs(u))
            h = np.where(held, h, np.maximum(h, shortest))
            under_way = u[live] != last
            given_up = under_way & (~(h[live] >= shortest[live]) | (accepted + rejected >= self.limit)[live])
            lost[live[given_up]] = True
            live = live[under_way & ~given_up]

        if grid.tail is not None:
            x = _values(first_order(Batch(x, model, F, np.full(m, end)), path, *grid.tail))
        x[np.flatnonzero(lost)] = float("nan")
        return Walked(x, nfe, accepted, rejected)

    def _first_step(self, x: Batch, s: Vector, end: float) -> Vector:
        """The rule of Hairer, Norsett & Wanner (1993), II.4: an Euler step shows how the slope changes."""
        path, form = x.model.path, self.pair.form
        u, last = form.u(path, s), form.u(path, end)
        length, sign = abs(last - u), np.sign(last - u)
        y, F = x / form.m(path, s), form.slope(x, path, s)
        scale = self.tolerance.scale(_values(y))
        d_0, d_1 = rms(_values(y), scale), rms(_values(F), scale)
        ratio = 0.01 * d_0 / d_1
        h_0 = np.minimum(np.where((d_0 < 1e-5) | (d_1 < 1e-5) | ~np.isfinite(ratio), 1e-6, ratio), length)
        t = np.where(h_0 == length, end, form.inverse(path, u + sign * h_0))
        F_1 = form.slope(form.m(path, t) * (y + sign * h_0 * F), path, t)
        d_2 = rms(_values(F_1 - F), scale) / h_0
        flat = (d_1 <= 1e-15) & (d_2 <= 1e-15)
        h_1 = np.where(flat, np.maximum(1e-6, h_0 * 1e-3), (0.01 / np.maximum(d_1, d_2)) ** (1 / self.pair.exponent))
        first = np.minimum(np.minimum(100 * h_0, h_1), length)
        return np.where(first > 0, first, 1e-6 * length)  # nan, of a field that is


def with_ends(grid: Grid) -> Grid:
    """The grid, with the path's t_min before the data if only a first time and the data are given."""
    if len(grid) == 1 and grid.tail is not None and not grid.path.is_data(grid.path.t_min):
        return Grid(grid.path, (grid.times[0], grid.path.t_min, grid.times[1]))
    return grid


def _values(x: Any) -> Array:
    return x.x
